//! What commands on backups print: a line of progress on a terminal, and problems as they come.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use tokio::time;
use wharf_registry::backup::Progress;

use crate::cmd::size::readable;

/// How often the line of progress changes, and problems are printed.
const REFRESH: Duration = Duration::from_millis(200);

/// Erases a line of a terminal.
const ERASE: &str = "\r\x1b[K";

/// Standard error, while a command runs.
pub(in super::super) struct Output {
    progress: Arc<Progress>,
    /// What is done to blobs
    verb: &'static str,
    /// Whether there is a line of progress
    has_line: bool,
}

impl Output {
    pub(in super::super) fn new(progress: Arc<Progress>, is_quiet: bool, verb: &'static str) -> Self {
        Self {
            progress,
            verb,
            has_line: !is_quiet && io::stderr().is_terminal(),
        }
    }

    /// Shows how far `work` is until it ends.
    pub(in super::super) async fn follow<T>(&self, work: impl Future<Output = T>) -> T {
        let mut ticks = time::interval(REFRESH);
        let mut work = std::pin::pin!(work);
        let ended = loop {
            tokio::select! {
                ended = &mut work => break ended,
                _ = ticks.tick() => self.refresh(),
            }
        };
        self.refresh();
        if self.has_line {
            to_stderr(ERASE);
        }
        ended
    }

    /// Prints the problems since the last time, and the line of progress below them.
    fn refresh(&self) {
        let mut text = String::new();
        if self.has_line {
            text.push_str(ERASE);
        }
        for problem in self.progress.take_problems() {
            text.push_str(&format!("{problem}\n"));
        }
        if self.has_line {
            let counts = self.progress.counts();
            text.push_str(&format!(
                "{} repositories, {} tags; {} blobs {} ({})",
                counts.repositories,
                counts.tags,
                counts.blobs,
                self.verb,
                readable(counts.bytes)
            ));
        }
        to_stderr(&text);
    }
}

/// Prints the result of a command.
pub(in super::super) fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

fn to_stderr(text: &str) {
    // A closed stderr leaves no other way to report.
    _ = io::stderr().lock().write_all(text.as_bytes());
}
