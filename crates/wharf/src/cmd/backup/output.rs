//! What commands on backups print: a line of progress on a terminal, and problems as they come.

use std::{
    io::{self, Write as _},
    sync::Arc,
};

use anyhow::Context as _;
use wharf_registry::backup::Progress;

use crate::cmd::{follow::Follower, size::readable};

/// Standard error, while a command runs.
pub(in super::super) struct Output {
    progress: Arc<Progress>,
    /// What is done to blobs
    verb: &'static str,
    follower: Follower,
}

impl Output {
    pub(in super::super) fn new(progress: Arc<Progress>, is_quiet: bool, verb: &'static str) -> Self {
        Self {
            progress,
            verb,
            follower: Follower::new(is_quiet),
        }
    }

    /// Shows how far `work` is until it ends.
    pub(in super::super) async fn follow<T>(&self, work: impl Future<Output = T>) -> T {
        let look = || {
            let counts = self.progress.counts();
            let line = format!(
                "{} repositories, {} tags; {} blobs {} ({})",
                counts.repositories,
                counts.tags,
                counts.blobs,
                self.verb,
                readable(counts.bytes)
            );
            (self.progress.take_problems(), line)
        };
        self.follower.follow(work, look).await
    }
}

/// Prints the result of a command.
pub(in super::super) fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}
