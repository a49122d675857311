//! Standard error while a command works: problems as they come, and below them, on a terminal, a line of progress.

use std::{
    fmt::Display,
    io::{self, IsTerminal as _, Write as _},
    pin::pin,
    time::Duration,
};

use tokio::time;

/// How often the line of progress changes, and problems are printed.
const REFRESH: Duration = Duration::from_millis(200);

/// Erases a line of a terminal.
const ERASE: &str = "\r\x1b[K";

/// Standard error, while a command works.
pub(super) struct Follower {
    /// Whether there is a line of progress.
    has_line: bool,
}

impl Follower {
    /// There is a line of progress on a terminal, unless the command is to be quiet.
    pub(super) fn new(is_quiet: bool) -> Self {
        Self {
            has_line: !is_quiet && io::stderr().is_terminal(),
        }
    }

    /// Shows how far `work` is until it ends. `look` has the problems since the last look, and the line of progress.
    pub(super) async fn follow<T, P: Display>(
        &self,
        work: impl Future<Output = T>,
        look: impl Fn() -> (Vec<P>, String),
    ) -> T {
        let mut ticks = time::interval(REFRESH);
        let mut work = pin!(work);
        let ended = loop {
            tokio::select! {
                ended = &mut work => break ended,
                _ = ticks.tick() => self.show(look()),
            }
        };
        self.show(look());
        if self.has_line {
            to_stderr(ERASE);
        }
        ended
    }

    /// Prints problems, and the line of progress below them.
    fn show<P: Display>(&self, (problems, line): (Vec<P>, String)) {
        let mut text = String::new();
        if self.has_line {
            text.push_str(ERASE);
        }
        for problem in problems {
            text.push_str(&format!("{problem}\n"));
        }
        if self.has_line {
            text.push_str(&line);
        }
        to_stderr(&text);
    }
}

fn to_stderr(text: &str) {
    // A closed stderr leaves no other way to report.
    _ = io::stderr().lock().write_all(text.as_bytes());
}
