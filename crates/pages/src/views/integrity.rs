//! What checks of the store found.

use askama::Template;

use crate::{
    filters,
    foreign::Line,
    moment::Time,
    page::Page,
    said::Said,
    values::{Link, Tone},
    view::View,
};

/// The background check, the last full check, and what they found.
#[derive(Template)]
#[template(path = "checks.html")]
pub struct Checks {
    /// What all pages share.
    pub page: Page,
    /// The background check.
    pub scrub: Scrub,
    /// Whether the caller can start a full check now.
    pub checks: bool,
    /// Name of the machine that checks, for which a full check waits; `None`: none waits.
    pub waits_for: Option<Line>,
    /// The full check that runs.
    pub running: Option<CheckRun>,
    /// The last full check.
    pub fsck: Option<FullCheck>,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// The background check.
#[derive(Default)]
pub struct Scrub {
    /// How many blobs are damaged.
    pub damaged: u64,
    /// Whether none runs.
    pub off: bool,
    /// How much of the present round was done, in any unit.
    pub done: u64,
    /// How much the round has.
    pub of: u64,
    /// How much was read, such as `412 GiB / 1.2 TiB`.
    pub read: String,
    /// When the present round began.
    pub began: Option<Time>,
    /// When the last round ended.
    pub last: Option<Time>,
    /// How fast it reads, such as `10 MiB/s`.
    pub rate: String,
}

/// A full check that runs.
pub struct CheckRun {
    /// How much of it was done, in any unit.
    pub done: u64,
    /// How much there is.
    pub of: u64,
    /// How much was read, such as `412 GiB`.
    pub read: String,
    /// When it began.
    pub began: Option<Time>,
}

/// A full check.
pub struct FullCheck {
    /// When it ended.
    pub ended: Time,
    /// Its summary.
    pub sum: Said,
}

/// Something that was found.
pub struct Finding {
    /// Colour of the weight.
    pub tone: Tone,
    /// Its weight: the last part of the key of a text in `severity`.
    pub severity: String,
    /// What is wrong.
    pub text: Said,
    /// What to do about it.
    pub hint: Said,
    /// The images that suffer.
    pub images: Vec<Link>,
    /// How many more of them there are.
    pub more: u64,
}

impl View for Checks {}
