//! What `fsck` prints: findings as they come, a line of progress on a terminal, and a summary.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use serde_json::json;
use tokio::time;
use wharf_registry::{
    Result,
    check::{Counts, Finding, Image, ImageReference, Progress, Severity},
};

use crate::{cli::Fsck, cmd::size::readable};

/// How often the line of progress changes, and findings are printed.
const REFRESH: Duration = Duration::from_millis(200);

/// Erases a line of a terminal.
const ERASE: &str = "\r\x1b[K";

pub(super) struct Output {
    progress: Arc<Progress>,
    is_quiet: bool,
    is_json: bool,
    is_quick: bool,
    /// Whether there is a line of progress.
    has_line: bool,
}

impl Output {
    pub(super) fn new(progress: Arc<Progress>, arguments: &Fsck) -> Self {
        Self {
            progress,
            is_quiet: arguments.quiet,
            is_json: arguments.json,
            is_quick: arguments.quick,
            has_line: !arguments.quiet && io::stderr().is_terminal(),
        }
    }

    /// Prints what a check finds until it ends. The outer error is that of standard output.
    pub(super) async fn follow(
        &mut self,
        check: impl Future<Output = Result<Counts>>,
    ) -> anyhow::Result<Result<Counts>> {
        let mut ticks = time::interval(REFRESH);
        let mut check = std::pin::pin!(check);
        let ended = loop {
            tokio::select! {
                ended = &mut check => break ended,
                _ = ticks.tick() => self.refresh()?,
            }
        };
        self.refresh()?;
        self.erase();
        Ok(ended)
    }

    fn refresh(&self) -> anyhow::Result<()> {
        let findings = self.progress.take_findings();
        if !findings.is_empty() {
            self.erase();
            let mut text = String::new();
            for finding in findings.iter().filter(|finding| self.shows(finding)) {
                match self.is_json {
                    true => text.push_str(&format!("{}\n", finding_as_json(finding))),
                    false => text.push_str(&described(finding)),
                }
            }
            print(&text)?;
        }
        if self.has_line {
            let counts = self.progress.counts();
            to_stderr(&format!(
                "{ERASE}{} repositories, {} blobs read ({}), {} broken",
                counts.repositories,
                counts.blobs,
                readable(counts.bytes),
                counts.broken
            ));
        }
        Ok(())
    }

    fn shows(&self, finding: &Finding) -> bool {
        !self.is_quiet || finding.severity() != Severity::Untidy
    }

    fn erase(&self) {
        if self.has_line {
            to_stderr(ERASE);
        }
    }

    /// Prints the numbers of a check.
    pub(super) fn summary(&self, counts: &Counts) -> anyhow::Result<()> {
        match (self.is_json, self.is_quiet) {
            (true, _) => print(&format!("{}\n", summary_as_json(counts))),
            (false, true) => Ok(()),
            (false, false) => print(&summary(counts, self.is_quick)),
        }
    }
}

/// A finding with the images that suffer, each on a line of its own.
fn described(finding: &Finding) -> String {
    let mut text = format!("{}: {finding}\n", finding.severity().as_str());
    for image in finding.images.iter() {
        text.push_str(&format!("  {image}\n"));
    }
    if finding.images.further() > 0 {
        text.push_str(&format!("  and {} more\n", finding.images.further()));
    }
    if let Some(key) = &finding.quarantined {
        text.push_str(&format!("  moved to `{key}`\n"));
    }
    text
}

fn summary(counts: &Counts, is_quick: bool) -> String {
    let read = match (is_quick, counts.goes_on_after) {
        (true, _) => "blobs not read".to_owned(),
        (false, None) => format!("{} blobs ({}) read", counts.blobs, readable(counts.bytes)),
        (false, Some(digest)) => format!(
            "{} blobs ({}) read after `{digest}`, up to which an earlier check came",
            counts.blobs,
            readable(counts.bytes)
        ),
    };
    format!(
        "{} repositories, {} tags, {} manifests, {read}: {} broken, {} untidy, {} unknown\n",
        counts.repositories, counts.tags, counts.manifests, counts.broken, counts.untidy, counts.unknown
    )
}

fn finding_as_json(finding: &Finding) -> serde_json::Value {
    json!({
        "severity": finding.severity().as_str(),
        "kind": finding.kind(),
        "problem": finding.problem.to_string(),
        "remedy": finding.remedy().to_string(),
        "digest": finding.digest().map(ToString::to_string),
        "images": finding.images.iter().map(image_as_json).collect::<Vec<_>>(),
        "further_images": finding.images.further(),
        "quarantined": finding.quarantined.as_ref().map(ToString::to_string),
    })
}

fn image_as_json(image: &Image) -> serde_json::Value {
    let (tag, digest) = match &image.reference {
        ImageReference::Tag(tag) => (Some(tag), None),
        ImageReference::Digest(digest) => (None, Some(digest.to_string())),
    };
    json!({
        "repository": image.repository,
        "tag": tag,
        "digest": digest,
        "platform": image.platform,
    })
}

fn summary_as_json(counts: &Counts) -> serde_json::Value {
    json!({
        "summary": {
            "repositories": counts.repositories,
            "tags": counts.tags,
            "manifests": counts.manifests,
            "blobs": counts.blobs,
            "bytes": counts.bytes,
            "goes_on_after": counts.goes_on_after.as_ref().map(ToString::to_string),
            "broken": counts.broken,
            "untidy": counts.untidy,
            "unknown": counts.unknown,
        }
    })
}

/// A reader that has ended wants no more: the check goes on, for its exit code.
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

fn to_stderr(text: &str) {
    // A closed stderr leaves no other way to report.
    _ = io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_was_not_looked_at() {
        let counts = Counts {
            repositories: 3,
            tags: 12,
            manifests: 40,
            blobs: 120,
            bytes: 2048,
            broken: 1,
            ..Counts::default()
        };
        assert_eq!(
            summary(&counts, false),
            "3 repositories, 12 tags, 40 manifests, 120 blobs (2.0 KiB) read: 1 broken, 0 untidy, 0 unknown\n"
        );
        assert!(summary(&counts, true).contains(", blobs not read: 1 broken"));
        assert_eq!(summary_as_json(&counts)["summary"]["tags"], 12);
    }
}
