//! The worker that writes the log, keeps it within its bounds, and writes the counts of pulls.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use tokio::time::{self, Instant};
use wharf_oci::RepoName;
use wharf_storage::{
    Error as StorageError, Objects,
    journal::{self, Journal, JournalLimits, Journals},
    layout,
};
use wharf_workers::{Error, Unit, Work, Worker};

use crate::{
    ActivityOptions,
    entry::Action,
    pulls::{Forgotten, Pulls},
    record::Record,
    recorder::Recorder,
};

/// Segments that a log of its full size has, about.
const SEGMENTS: u64 = 16;
/// Sizes of a segment in bytes.
const SMALLEST_SEGMENT: u64 = 16 << 10;
const LARGEST_SEGMENT: u64 = 8 << 20;

/// Bytes that one append writes at most, but for a longer line.
const PIECE: usize = 256 << 10;

/// How often what is too old is looked for.
const TRIM: Duration = Duration::from_secs(3600);

/// Deleted tags and manifests that are remembered until the pulls of the window are counted.
const DELETIONS: usize = 10_000;

/// Writes what was recorded.
pub(crate) struct Writer {
    recorder: Arc<Recorder>,
    pulls: Pulls,
    journal: Arc<dyn Journal>,
    objects: Arc<dyn Objects>,
    options: ActivityOptions,
    segment_bytes: u64,
    next_changes: Instant,
    next_pulls: Instant,
    next_trim: Instant,
    /// Lines that were taken out of the recorder and are not written yet.
    unwritten: Bytes,
    /// What was deleted since the last window.
    deleted: Vec<(RepoName, Forgotten)>,
    is_failing: bool,
}

impl Writer {
    pub(crate) fn new(
        recorder: Arc<Recorder>,
        pulls: Pulls,
        journals: &dyn Journals,
        objects: Arc<dyn Objects>,
        options: ActivityOptions,
    ) -> Self {
        let segment_bytes = (options.bytes / SEGMENTS).clamp(SMALLEST_SEGMENT, LARGEST_SEGMENT);
        let now = Instant::now();
        Self {
            recorder,
            pulls,
            journal: journals.journal(layout::activity(), segment_bytes),
            objects,
            options,
            segment_bytes,
            next_changes: now + options.timing.changes,
            next_pulls: now + options.timing.pulls,
            next_trim: now,
            unwritten: Bytes::new(),
            deleted: Vec::new(),
            is_failing: false,
        }
    }

    /// Writes what is due, or all of it.
    async fn write(&mut self, all: bool) -> Result<(), StorageError> {
        let now = Instant::now();
        let with_window = all || now >= self.next_pulls || self.recorder.is_half_full();
        let counted = match with_window {
            true => {
                self.next_pulls = now + self.options.timing.pulls;
                self.append_all(true).await?;
                self.pulls.write(all).await
            }
            false => self.append_all(false).await,
        };
        self.next_changes = now + self.options.timing.changes;
        counted?;
        if now >= self.next_trim {
            self.trim().await?;
        }
        Ok(())
    }

    /// Appends what was recorded. What an earlier append could not write goes first; as long as that fails, what happens is
    /// coalesced or waits in the recorder.
    async fn append_all(&mut self, with_window: bool) -> Result<(), StorageError> {
        self.append().await?;
        let records = self.recorder.drain(with_window);
        self.count(&records, with_window);
        if !records.is_empty() {
            self.unwritten = lines(records).await;
        }
        self.append().await
    }

    async fn append(&mut self) -> Result<(), StorageError> {
        while !self.unwritten.is_empty() {
            let piece = self.unwritten.slice(..end_of_piece(&self.unwritten));
            let begins = self.journal.append(piece.clone()).await?;
            self.unwritten = self.unwritten.split_off(piece.len());
            if begins {
                self.next_trim = Instant::now();
            }
        }
        Ok(())
    }

    /// Counts the pulls of a window. What was deleted has no pulls then, also where the window has earlier ones of it.
    fn count(&mut self, records: &[Record], is_window: bool) {
        self.pulls.count_days(records);
        for record in records {
            let Some(repository) = &record.repository else {
                continue;
            };
            if record.action == Action::Delete && self.deleted.len() < DELETIONS {
                let tag = record.tag.clone().map(Forgotten::Tag);
                let forgotten = tag.or(record.digest.map(Forgotten::Digest));
                self.deleted
                    .extend(forgotten.map(|forgotten| (repository.clone(), forgotten)));
            }
        }
        if is_window {
            self.pulls.count_sent(self.recorder.take_content_sent());
            self.pulls.count(records);
            self.pulls.forget(self.deleted.drain(..));
        }
    }

    async fn trim(&mut self) -> Result<(), StorageError> {
        let limits = JournalLimits {
            // The segment that grows is about to have its full size.
            bytes: self.options.bytes.saturating_sub(self.segment_bytes),
            age: self.options.age,
        };
        let directory = layout::activity();
        journal::trim(&*self.objects, &directory, limits, SystemTime::now()).await?;
        self.next_trim = Instant::now() + TRIM;
        Ok(())
    }

    fn waiting(&self) -> usize {
        self.recorder.waiting() + self.unwritten.len()
    }

    /// Logs the first failure of a series, and its end.
    fn note(&mut self, result: &Result<(), StorageError>) {
        match result {
            Ok(()) if self.is_failing => {
                tracing::info!("the activity log can be written again");
                self.is_failing = false;
            }
            Err(error) => {
                self.recorder.failed();
                if !self.is_failing {
                    let error = reason(error);
                    tracing::error!(
                        error,
                        "the activity log cannot be written; requests go on, entries wait in memory, and those for which there \
                         is no room are counted (`wharf_activity_unrecorded_total`)"
                    );
                    self.is_failing = true;
                }
            }
            Ok(()) => {}
        }
    }
}

impl Worker for Writer {
    fn name(&self) -> String {
        "activity log".to_owned()
    }

    async fn work(&mut self) -> Unit {
        let is_due = Instant::now() >= self.next_changes.min(self.next_pulls);
        if !is_due && !self.recorder.is_half_full() {
            return Ok(Work::Idle);
        }
        let written = self.write(false).await;
        self.note(&written);
        match written {
            Ok(()) => Ok(Work::Busy),
            Err(error) => Err(Error::expected(reason(&error), self.options.timing.changes)),
        }
    }

    async fn wait(&mut self) {
        tokio::select! {
            () = time::sleep_until(self.next_changes.min(self.next_pulls)) => {}
            () = self.recorder.fills() => {}
        }
    }

    async fn drain(&mut self) {
        let written = self.write(true).await;
        self.note(&written);
        if written.is_err() && self.waiting() > 0 {
            let bytes = self.waiting();
            tracing::error!(bytes, "the last entries of the activity log are lost");
        }
    }

    fn status(&self) -> String {
        match self.waiting() {
            0 => String::new(),
            bytes => format!("{bytes} bytes wait to be written"),
        }
    }
}

/// The lines of `records`, in the order of their times. Made on a thread of its own: there may be megabytes of them.
async fn lines(mut records: Vec<Record>) -> Bytes {
    let rendered = tokio::task::spawn_blocking(move || {
        records.sort_by_key(|record| record.first);
        let lines = records.into_iter().flat_map(|record| record.into_entry().line());
        Bytes::from_iter(lines)
    });
    match rendered.await {
        Ok(lines) => lines,
        Err(error) => {
            tracing::error!(%error, "entries of the activity log are lost");
            Bytes::new()
        }
    }
}

/// The end of the last line of `lines` within the size of a piece, or of the first one if that is longer.
fn end_of_piece(lines: &[u8]) -> usize {
    let is_end = |byte: &u8| *byte == b'\n';
    let within = &lines[..lines.len().min(PIECE)];
    let end = within
        .iter()
        .rposition(is_end)
        .or_else(|| lines.iter().position(is_end));
    end.map_or(lines.len(), |end| end + 1)
}

/// An error with its causes, as one text.
fn reason(error: &StorageError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_ends_with_a_line() {
        assert_eq!(end_of_piece(b"a\nb\n"), 4);
        let long = [&vec![b'x'; PIECE + 5][..], b"\ny\n"].concat();
        assert_eq!(end_of_piece(&long), PIECE + 6);
        let two = [&vec![b'x'; PIECE - 5][..], b"\n1234567\n"].concat();
        assert_eq!(end_of_piece(&two), PIECE - 4);
    }
}
