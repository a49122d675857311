//! What `storage copy` prints: a line of progress on a terminal, problems as they come, and a summary.

use std::{
    io::{self, Write as _},
    sync::Arc,
};

use anyhow::Context as _;
use wharf_registry::{
    Result,
    copy::{CopyReport, Progress, Tally},
};

use crate::{
    cli::StorageCopy,
    cmd::{follow::Follower, size::readable},
};

pub(super) struct Output {
    progress: Arc<Progress>,
    is_quiet: bool,
    is_dry: bool,
    follower: Follower,
}

impl Output {
    pub(super) fn new(progress: Arc<Progress>, arguments: &StorageCopy) -> Self {
        Self {
            progress,
            is_quiet: arguments.quiet,
            is_dry: arguments.dry_run,
            follower: Follower::new(arguments.quiet),
        }
    }

    /// Shows how far a copy is until it ends.
    pub(super) async fn follow(
        &mut self,
        copy: impl Future<Output = Result<CopyReport>>,
    ) -> Result<CopyReport> {
        let look = || {
            let counts = self.progress.counts();
            let (blobs, tags) = (counts.blobs, counts.tags);
            let line = format!(
                "{} blobs copied ({}), {} there already; {} repositories, {} tags copied; {} failed",
                blobs.copied,
                readable(counts.bytes),
                blobs.there,
                counts.repositories,
                tags.copied,
                counts.failed()
            );
            (self.progress.take_problems(), line)
        };
        self.follower.follow(copy, look).await
    }

    /// Prints the summary of a copy.
    pub(super) fn report(&self, report: &CopyReport, places: (&str, &str)) -> anyhow::Result<()> {
        if self.is_quiet {
            return Ok(());
        }
        let text = summary(report, places, self.is_dry);
        match io::stdout().lock().write_all(text.as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written.context("cannot write to standard output"),
        }
    }
}

fn summary(report: &CopyReport, (from, to): (&str, &str), is_dry: bool) -> String {
    let counts = &report.counts;
    let copied = if is_dry { "to copy" } else { "copied" };
    let tally = |what: &str, tally: Tally| {
        let failed = match tally.failed {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        };
        format!(
            "{what:<12} {} {copied}, {} there already{failed}\n",
            tally.copied, tally.there
        )
    };
    let mut text = format!("from `{from}` to `{to}`, {} repositories\n", counts.repositories);
    text.push_str(&tally("blobs", counts.blobs));
    text.push_str(&format!(
        "{:<12} {} {copied}, {} there already\n",
        "",
        readable(counts.bytes),
        readable(counts.bytes_there)
    ));
    text.push_str(&tally("layer links", counts.layers));
    text.push_str(&tally("manifests", counts.manifests));
    text.push_str(&tally("tags", counts.tags));
    let mut left_out = |count: u64, what: &str| {
        if count > 0 {
            text.push_str(&format!("left out: {count} {what}\n"));
        }
    };
    left_out(counts.dangling, "link(s) of layers that are not stored");
    left_out(counts.strangers, "file(s) that are no part of a registry");
    let uploads = report.unfinished_uploads.unwrap_or_default();
    left_out(uploads, "unfinished upload(s); their clients begin again");
    let only_there = &report.only_at_destination;
    if only_there.count > 0 {
        text.push_str(&format!(
            "only in `{to}`: {} tag(s), {only_there}; deleted in `{from}` since, or pushed there; they stay\n",
            only_there.count
        ));
    }
    text.push_str(&conclusion(report, is_dry));
    text
}

/// What the operator does next.
fn conclusion(report: &CopyReport, is_dry: bool) -> String {
    let (failed, changed) = (report.counts.failed(), &report.changed);
    let mut text = String::new();
    if failed > 0 {
        text.push_str(&format!(
            "incomplete: {failed} object(s) failed, for the reasons above; run this again when they are mended\n"
        ));
    }
    if changed.count > 0 {
        text.push_str(&format!(
            "changed meanwhile: {} repositories, {changed}; run this again with the server stopped, or read-only, to finish\n",
            changed.count
        ));
    }
    match (text.is_empty(), is_dry) {
        (true, false) => "complete: everything is there\n".to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use wharf_registry::copy::{Counts, Names};

    use super::*;

    fn report() -> CopyReport {
        CopyReport {
            counts: Counts {
                repositories: 2,
                tags: Tally {
                    copied: 3,
                    there: 4,
                    failed: 0,
                },
                bytes: 2048,
                ..Counts::default()
            },
            changed: Names::default(),
            only_at_destination: Names::default(),
            unfinished_uploads: None,
        }
    }

    #[test]
    fn the_summary_says_whether_the_copy_is_complete() {
        let text = summary(&report(), ("data", "b"), false);
        assert!(text.starts_with("from `data` to `b`, 2 repositories\n"), "{text}");
        assert!(
            text.contains("tags         3 copied, 4 there already\n"),
            "{text}"
        );
        assert!(text.ends_with("complete: everything is there\n"), "{text}");
        assert!(!text.contains("left out"), "{text}");
        let text = summary(&report(), ("data", "b"), true);
        assert!(
            text.contains("2.0 KiB to copy") && !text.contains("complete"),
            "{text}"
        );
    }

    #[test]
    fn the_summary_says_what_is_still_to_be_done() {
        let mut report = report();
        report.counts.tags.failed = 1;
        report.counts.dangling = 5;
        report.unfinished_uploads = Some(6);
        let names = |count: u64| Names {
            count,
            examples: vec!["app".to_owned(), "lib".to_owned()],
        };
        (report.changed, report.only_at_destination) = (names(2), names(7));
        let text = summary(&report, ("data", "b"), false);
        for expected in [
            "4 there already, 1 failed",
            "left out: 5 link(s)",
            "left out: 6 unfinished upload(s)",
            "only in `b`: 7 tag(s), `app`, `lib`, …; deleted",
            "incomplete: 1 object(s) failed",
            "changed meanwhile: 2 repositories, `app`, `lib`; run this again",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert!(!text.contains("complete: everything"), "{text}");
    }
}
