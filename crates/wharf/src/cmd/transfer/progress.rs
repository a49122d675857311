//! Progress of a transfer on standard error: bars on a terminal, a line for each blob and manifest in a log.

use std::{
    collections::HashMap,
    io::{self, IsTerminal as _, Write as _},
    sync::{Mutex, PoisonError},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use wharf_client::transfer::{Event, Outcome, Progress};
use wharf_oci::{Descriptor, Digest};

use crate::cmd::size;

/// Blobs that are so small get no bar.
const LEAST: u64 = 1 << 20;

/// Shows the progress of transfers.
pub(crate) enum Shown {
    Nothing,
    Lines,
    Bars(Bars),
}

/// Bars of the blobs that are under way.
pub(crate) struct Bars {
    all: MultiProgress,
    shown: Mutex<HashMap<Digest, ProgressBar>>,
}

impl Shown {
    /// Nothing if the user wants it quiet, otherwise what suits standard error.
    pub(crate) fn new(quiet: bool) -> Self {
        match (quiet, io::stderr().is_terminal()) {
            (true, _) => Self::Nothing,
            (false, false) => Self::Lines,
            (false, true) => Self::Bars(Bars {
                all: MultiProgress::new(),
                shown: Mutex::default(),
            }),
        }
    }

    /// Tells the user what went wrong, also one that wants it quiet.
    pub(crate) fn warn(&self, line: &str) {
        match self {
            Self::Nothing => _ = writeln!(io::stderr(), "{line}"),
            Self::Lines | Self::Bars(_) => self.say(line),
        }
    }

    /// Tells the user something, above the bars.
    pub(crate) fn say(&self, line: &str) {
        match self {
            Self::Nothing => {}
            Self::Lines => _ = writeln!(io::stderr(), "{line}"),
            Self::Bars(bars) => _ = bars.all.println(line),
        }
    }
}

impl Progress for Shown {
    fn event(&self, event: Event<'_>) {
        match self {
            Self::Nothing => {}
            Self::Lines => {
                if let Some(line) = line(event) {
                    self.say(&line);
                }
            }
            Self::Bars(bars) => bars.event(event),
        }
    }
}

impl Bars {
    fn event(&self, event: Event<'_>) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Begins(blob) if blob.size >= LEAST => {
                let bar = ProgressBar::new(blob.size).with_message(short(&blob.digest));
                let style = ProgressStyle::with_template(
                    "{msg}  {bar:30} {bytes:>11} of {total_bytes}  {bytes_per_sec}  {eta}",
                );
                if let Ok(style) = style {
                    bar.set_style(style);
                }
                shown.insert(blob.digest, self.all.add(bar));
            }
            Event::Sent(blob, bytes) => {
                if let Some(bar) = shown.get(&blob.digest) {
                    bar.inc(bytes);
                }
            }
            Event::Ends(blob, _) => {
                if let Some(bar) = shown.remove(&blob.digest) {
                    bar.finish_and_clear();
                }
            }
            Event::Begins(_) | Event::Manifest(..) => {}
        }
    }
}

/// A line of a log; `None`: the event is none for a log.
fn line(event: Event<'_>) -> Option<String> {
    let done = |what: &str, content: &Descriptor, outcome: Outcome| {
        let outcome = match outcome {
            Outcome::Present => "is there",
            Outcome::Mounted => "mounted",
            Outcome::Moved => "copied",
            Outcome::LeftOut => "left out",
        };
        format!(
            "{what} {} {outcome} ({})",
            content.digest,
            size::readable(content.size)
        )
    };
    match event {
        Event::Ends(blob, outcome) => Some(done("blob", blob, outcome)),
        Event::Manifest(manifest, outcome) => Some(done("manifest", manifest, outcome)),
        Event::Begins(_) | Event::Sent(..) => None,
    }
}

fn short(digest: &Digest) -> String {
    digest.hex().as_str()[..12].to_owned()
}
