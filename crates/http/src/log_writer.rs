//! Writing a log on a thread of its own: a reader that stands still stops no request.

use std::{
    io::{self, ErrorKind, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Limit in bytes of lines that the sink has not taken yet: beyond it lines are dropped and counted.
const PENDING_LIMIT: usize = 1 << 20;

/// Pause when the sink cannot take more at the moment.
const BACK_OFF: Duration = Duration::from_millis(10);

/// Pause after the sink failed. What the registry logs about the failure may go to the same sink: without a pause the two
/// would chase each other.
const PAUSE: Duration = Duration::from_secs(1);

/// A log that is written by a thread of its own. Lines keep their order; while the sink stands still, some wait, and
/// more are dropped and counted. Clones share it.
///
/// `T` is state for making lines that is used under the same lock.
#[derive(Debug)]
pub struct LogWriter<T = ()>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    name: &'static str,
    pending: Mutex<Pending<T>>,
    /// Signals a first line, or a wish to have all lines written.
    has_lines: Condvar,
    is_written: Condvar,
}

#[derive(Debug)]
struct Pending<T> {
    state: T,
    lines: Vec<u8>,
    /// Bytes of lines since the start, and how many of them were written or given up.
    appended: u64,
    finished: u64,
    /// Lines that were dropped since the last report.
    unreported: u64,
    /// Lines that were dropped or lost since the start.
    dropped: u64,
    /// Whether lines are wanted now, not when more have been gathered.
    is_urgent: bool,
}

impl<T> Clone for LogWriter<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Default + Send + 'static> LogWriter<T> {
    /// A log that writes to `sink`. For the time `gather`, lines are gathered and then written together.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        name: &'static str,
        gather: Duration,
        sink: impl Write + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            name,
            pending: Mutex::new(Pending {
                state: T::default(),
                lines: Vec::new(),
                appended: 0,
                finished: 0,
                unreported: 0,
                dropped: 0,
                is_urgent: false,
            }),
            has_lines: Condvar::new(),
            is_written: Condvar::new(),
        });
        let writer = Arc::clone(&shared);
        thread::Builder::new()
            .name(name.replace(' ', "-"))
            .stack_size(128 << 10)
            .spawn(move || writer.write_for_ever(gather, sink))?;
        Ok(Self(shared))
    }

    /// Appends a line, which `write` adds to the lines before it.
    pub fn append(&self, write: impl FnOnce(&mut Vec<u8>, &mut T)) {
        let mut pending = self.0.lock();
        if pending.lines.len() > PENDING_LIMIT {
            pending.unreported += 1;
            pending.dropped += 1;
            return;
        }
        let before = pending.lines.len();
        let Pending { lines, state, .. } = &mut *pending;
        write(lines, state);
        pending.appended += (pending.lines.len() - before) as u64;
        drop(pending);
        if before == 0 {
            self.0.has_lines.notify_one();
        }
    }

    /// Waits until the sink has all lines that were appended before, for at most `patience`. Returns whether it has.
    pub fn flush(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut pending = self.0.lock();
        let wanted = pending.appended;
        pending.is_urgent = true;
        self.0.has_lines.notify_one();
        while pending.finished < wanted {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.0.is_written.wait_timeout(pending, left);
            pending = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// How many lines were dropped, or lost by a sink that failed.
    pub fn dropped(&self) -> u64 {
        self.0.lock().dropped
    }
}

impl<T> Shared<T> {
    fn write_for_ever(&self, gather: Duration, mut sink: impl Write) {
        // How many lines were lost since the sink began to fail, if it does.
        let mut failing: Option<u64> = None;
        loop {
            let (mut lines, dropped) = self.take(gather);
            let result = write_whole(&mut sink, &lines);
            let written = lines.len() as u64;
            let lost_now = result.as_ref().err().map_or(0, |failure| failure.lost);
            // Give the buffer back, so that it is not grown anew for each batch.
            lines.clear();
            let mut pending = self.lock();
            pending.finished += written;
            pending.dropped += lost_now;
            if pending.lines.capacity() == 0 {
                pending.lines = lines;
            }
            drop(pending);
            self.is_written.notify_all();
            // A sink that fails (a closed pipe, a full disk) loses lines; the registry goes on. The failure is reported at
            // its begin and at its end only: each report is a line, perhaps of this very log.
            match (result, failing) {
                (Err(Failure { error, .. }), lost) => {
                    if lost.is_none() {
                        tracing::warn!(%error, "the {} cannot be written: its lines are lost until it can", self.name);
                    }
                    failing = Some(lost.unwrap_or(0) + lost_now);
                    thread::sleep(PAUSE);
                }
                (Ok(()), Some(lines)) => {
                    failing = None;
                    tracing::warn!(
                        lines,
                        "the {} can be written again: some of its lines were lost",
                        self.name
                    );
                }
                (Ok(()), None) => {}
            }
            if dropped > 0 {
                tracing::warn!(
                    lines = dropped,
                    "lines of the {} were dropped: its reader was too slow",
                    self.name
                );
            }
        }
    }

    /// Waits for lines, and takes them and the number of lines that were dropped since.
    fn take(&self, gather: Duration) -> (Vec<u8>, u64) {
        let mut pending = self.lock();
        while pending.lines.is_empty() {
            pending.is_urgent = false;
            let waited = self.has_lines.wait(pending);
            pending = waited.unwrap_or_else(PoisonError::into_inner);
        }
        // Requests wake this thread only for the first line of a batch.
        if !gather.is_zero() && !pending.is_urgent {
            let waited = self.has_lines.wait_timeout(pending, gather);
            pending = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        (
            std::mem::take(&mut pending.lines),
            std::mem::take(&mut pending.unreported),
        )
    }

    fn lock(&self) -> MutexGuard<'_, Pending<T>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A batch that was not written whole.
#[derive(Debug)]
struct Failure {
    error: io::Error,
    /// Number of lines that the sink did not take, or took in part.
    lost: u64,
}

/// Writes all of `bytes`, also to a sink that does not wait for its reader: no line is torn.
fn write_whole(sink: &mut impl Write, mut bytes: &[u8]) -> Result<(), Failure> {
    while !bytes.is_empty() {
        let error = match sink.write(bytes) {
            Ok(0) => ErrorKind::WriteZero.into(),
            Ok(count) => {
                bytes = &bytes[count..];
                continue;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(BACK_OFF);
                continue;
            }
            Err(error) => error,
        };
        let lost = bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
        return Err(Failure { error, lost });
    }
    sink.flush().map_err(|error| Failure { error, lost: 0 })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Takes what is written when the test says so.
    struct Sink {
        go: mpsc::Receiver<()>,
        taken: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // A test that has ended lets everything through.
            self.go.recv().ok();
            // In parts, as a pipe that is nearly full takes it.
            let part = bytes.len().min(100_000);
            self.taken.send(bytes[..part].to_vec()).ok();
            Ok(part)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stands_still_stops_no_writer_and_tears_no_line() {
        let (go, may_go) = mpsc::channel();
        let (taken, received) = mpsc::channel();
        let sink = Sink { go: may_go, taken };
        let log = LogWriter::<()>::start("test log", Duration::ZERO, sink).unwrap();
        let line = |number: u32| format!("{number} {}\n", "x".repeat(1000));
        for number in 0..5000 {
            log.append(|lines, ()| lines.extend_from_slice(line(number).as_bytes()));
        }
        assert!(log.dropped() > 2000, "{}", log.dropped());
        assert!(!log.flush(Duration::from_millis(1)), "the sink stands still");
        drop(go);
        assert!(log.flush(Duration::from_secs(60)));
        let text: Vec<u8> = received.try_iter().flatten().collect();
        let text = String::from_utf8(text).unwrap();
        let numbers: Vec<u32> = text
            .lines()
            .map(|line| {
                let (number, rest) = line.split_once(' ').unwrap();
                assert_eq!(rest.len(), 1000, "a line was torn");
                number.parse().unwrap()
            })
            .collect();
        assert!(numbers.is_sorted() && numbers.len() as u64 + log.dropped() == 5000);
    }

    /// A disk that is full for the first `failures` writes.
    struct Full {
        failures: usize,
        writes: mpsc::Sender<Instant>,
    }

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.writes.send(Instant::now()).ok();
            if self.failures == 0 {
                return Ok(bytes.len());
            }
            self.failures -= 1;
            Err(ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_sink_that_fails_is_given_time_and_its_lost_lines_are_counted() {
        let (sender, writes) = mpsc::channel();
        let sink = Full {
            failures: 1,
            writes: sender,
        };
        let log = LogWriter::<()>::start("test log", Duration::ZERO, sink).unwrap();
        for batch in ["a\nb\n", "c\n"] {
            log.append(|lines, ()| lines.extend_from_slice(batch.as_bytes()));
            assert!(log.flush(Duration::from_secs(60)));
        }
        assert_eq!(log.dropped(), 2);
        let writes: Vec<Instant> = writes.try_iter().collect();
        assert_eq!(writes.len(), 2);
        assert!(writes[1] - writes[0] >= PAUSE, "the second write did not wait");
    }

    #[test]
    fn a_flush_does_not_wait_for_more_lines() {
        let (sender, received) = mpsc::channel();
        let (go, may_go) = mpsc::channel();
        drop(go);
        let sink = Sink {
            go: may_go,
            taken: sender,
        };
        let log = LogWriter::<()>::start("test log", Duration::from_secs(3600), sink).unwrap();
        log.append(|lines, ()| lines.extend_from_slice(b"a\n"));
        assert!(log.flush(Duration::from_secs(60)));
        assert_eq!(received.try_recv().unwrap(), b"a\n");
    }
}
