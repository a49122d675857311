//! A program as a child process: its log is kept, it can be asked to end, and dropping it kills it.

use std::{
    io::{BufRead as _, BufReader, Read},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// How long a program may take to listen, or to end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A running program.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: Log,
    readers: Vec<JoinHandle<()>>,
    places: mpsc::Receiver<Place>,
}

/// The address that a server listens on, as its log names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Process {
    /// Starts `command` with nothing on its standard input.
    pub(crate) fn start(command: &mut Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|e| panic!("start {}: {e}", command.get_program().display()));
        let log = Log::default();
        let (found, places) = mpsc::channel();
        let readers = vec![
            log.follow(child.stdout.take().unwrap(), found.clone()),
            log.follow(child.stderr.take().unwrap(), found),
        ];
        Self {
            child,
            log,
            readers,
            places,
        }
    }

    /// Waits until the log names the address that the program listens on. The error tells how a program ended before.
    pub(crate) fn place(&mut self) -> Result<Place, String> {
        self.places.recv_timeout(PATIENCE).map_err(|_| {
            self.kill();
            let status = self.child.wait().unwrap();
            format!(
                "the server does not say where it listens ({status})\n{}",
                self.log()
            )
        })
    }

    /// All that the program has printed so far.
    pub(crate) fn log(&self) -> String {
        self.log.0.lock().unwrap().clone()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The status of a program that has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Sends SIGTERM, and returns the status with which the program then ends.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.wait("the program does not end after SIGTERM")
    }

    /// Waits until the program ends by itself, and returns its status and its output.
    pub(crate) fn output(mut self) -> (ExitStatus, String) {
        let status = self.wait("the program does not end by itself");
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        (status, self.log())
    }

    /// Sends SIGKILL; a program that has ended already stays as it is.
    pub(crate) fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    fn wait(&mut self, complaint: &str) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            if Instant::now() > deadline {
                self.kill();
                panic!("{complaint}\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Log {
    /// Keeps the lines of `output`, and sends each address that they name.
    fn follow(&self, output: impl Read + Send + 'static, found: mpsc::Sender<Place>) -> JoinHandle<()> {
        let log = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line);
                if let Some(place) = place_in(&line) {
                    // A test that has its address no longer receives.
                    found.send(place).ok();
                }
                let mut text = log.0.lock().unwrap();
                text.push_str(&line);
                text.push('\n');
            }
        })
    }
}

/// The address in `listening on http://127.0.0.1:41234` or `listening on 127.0.0.1:41234`, or the path in
/// `listening on http at /run/socket`.
fn place_in(line: &str) -> Option<Place> {
    let (_, rest) = line.split_once("listening on ")?;
    if let Some((_, path)) = rest.split_once(" at ") {
        return Some(Place::Unix(path.into()));
    }
    let rest = rest.split_once("://").map_or(rest, |(_, rest)| rest);
    let end = rest
        .find(|c: char| !(c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '[' | ']')))
        .unwrap_or(rest.len());
    rest[..end].parse().ok().map(Place::Tcp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_address_in_a_line() {
        let expected = Place::Tcp("127.0.0.1:41234".parse().unwrap());
        for line in [
            "listening on http://127.0.0.1:41234",
            "INFO listening on https://127.0.0.1:41234/, data under x",
            r#"level=info msg="listening on 127.0.0.1:41234" version=v2.8.2"#,
        ] {
            assert_eq!(place_in(line).as_ref(), Some(&expected), "{line}");
        }
        let expected = Place::Tcp("[::1]:41234".parse().unwrap());
        assert_eq!(place_in("listening on http://[::1]:41234"), Some(expected));
        let socket = Place::Unix("/run/s".into());
        assert_eq!(place_in("wharf 1 listening on http at /run/s"), Some(socket));
        assert_eq!(place_in("listening"), None);
    }
}
