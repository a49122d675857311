//! Garbage collection, and why bytes are kept.

use askama::Template;

use crate::{
    filters, foreign::Line, moment::Time, page::Page, said::Said, text::Text, values::Digest, view::View,
};

/// The collection that runs, the last one, and the question why a digest is kept.
#[derive(Template)]
#[template(path = "collection.html")]
pub struct Collection {
    /// What all pages share.
    pub page: Page,
    /// Whether the caller can start one now.
    pub starts: bool,
    /// Why nothing is collected; empty: something is.
    pub off: Said,
    /// The one that runs.
    pub running: Option<RunningCollection>,
    /// The last one that ended.
    pub last: Option<EndedCollection>,
    /// When the next one starts by itself; `None`: none does.
    pub next: Option<Time>,
    /// The digest of the question; empty without one.
    pub why_digest: String,
    /// The answer to it.
    pub why: Option<Why>,
}

/// A collection that runs.
pub struct RunningCollection {
    /// What it does now.
    pub phase: Text,
    /// How many repositories it has looked at.
    pub done: u64,
    /// How many there are.
    pub of: u64,
    /// Bytes that nothing needs, as far as it knows.
    pub garbage: u64,
    /// Bytes that it has freed.
    pub freed: u64,
    /// When it began.
    pub started: Time,
}

/// A collection that ended.
pub struct EndedCollection {
    /// Why it failed; empty: it did not.
    pub error: Said,
    /// Bytes that it freed.
    pub freed: u64,
    /// Bytes that wait for another one.
    pub waiting: u64,
    /// When it ended.
    pub ended: Time,
    /// How long it ran, in milliseconds.
    pub took: u64,
    /// How many repositories it looked at.
    pub repositories: u64,
    /// How many deletions of the trash it let go.
    pub deletions: u64,
    /// What it found to be damaged.
    pub findings: Vec<Said>,
}

/// Why a digest is kept.
pub struct Why {
    /// The answer.
    pub verdict: Text,
    /// What needs it; without any, nothing does.
    pub kept: Vec<Kept>,
}

/// What needs a digest.
pub struct Kept {
    /// The way in which it does: the last part of the key of a text in `kept`.
    pub by: String,
    /// Its page.
    pub href: String,
    /// Its name.
    pub name: Line,
    /// The manifests from it to the digest.
    pub path: Vec<Digest>,
}

impl View for Collection {}
