//! The rules of retention, and what they would do.

use askama::Template;

use crate::{
    filters,
    foreign::Line,
    moment::Time,
    page::Page,
    said::Said,
    text::Text,
    values::{Field, Hidden, Pages},
    view::View,
};

/// The rules of retention, and a preview of these or of others.
#[derive(Template)]
#[template(path = "retention.html")]
pub struct Retention {
    /// What all pages share.
    pub page: Page,
    /// Whether tags are deleted by the rules, rather than listed in the log.
    pub applies: bool,
    /// Patterns of tags that no rule deletes.
    pub protect: Vec<String>,
    /// The rules.
    pub rules: Vec<ConfiguredRule>,
    /// The last run.
    pub last: Option<EndedRetention>,
    /// When the next run starts by itself; `None`: none does.
    pub next: Option<Time>,
    /// Patterns of repositories to try.
    pub repositories: Field,
    /// Patterns of tags to try.
    pub tags: Field,
    /// How many tags to keep.
    pub keep: Field,
    /// From which age on tags go.
    pub older: Field,
    /// After which time without a pull tags go.
    pub not_pulled: Field,
    /// From which age on manifests without tags go.
    pub untagged: Field,
    /// What would go; `None`: it was not asked for.
    pub preview: Option<RetentionPreview>,
}

/// A rule of the configuration.
pub struct ConfiguredRule {
    /// Patterns of the repositories that it is for.
    pub selects: Vec<Line>,
    /// The kind of artifacts that it is for; `None`: all.
    pub kind: Option<Text>,
    /// What it keeps.
    pub keeps: Vec<Text>,
}

/// A run of retention that ended.
pub struct EndedRetention {
    /// When it ended.
    pub ended: Time,
    /// How many tags it deleted, or would have deleted.
    pub tags: u64,
}

/// What would go.
pub struct RetentionPreview {
    /// How many tags of how many repositories.
    pub sum: Text,
    /// The bytes that come free.
    pub bytes: Text,
    /// Further pages.
    pub pages: Pages,
    /// The plan of each repository.
    pub plans: Vec<RetentionPlan>,
}

/// What would go in one repository.
pub struct RetentionPlan {
    /// Name of the repository.
    pub repository: String,
    /// How many tags go.
    pub sum: Text,
    /// Whether the caller can carry it out.
    pub applies: bool,
    /// Id of the plan.
    pub id: String,
    /// What was asked for, to be sent again.
    pub fields: Vec<Hidden>,
    /// How many tags go.
    pub going: u64,
    /// Why it cannot be carried out; empty: it can.
    pub refused: Said,
    /// How many verdicts are not listed.
    pub more: u64,
    /// What becomes of each tag.
    pub verdicts: Vec<RetentionVerdict>,
}

/// What becomes of a tag.
pub struct RetentionVerdict {
    /// The tag.
    pub tag: String,
    /// Whether it goes.
    pub goes: bool,
    /// When it was pushed.
    pub pushed: Option<Time>,
    /// Why.
    pub why: Said,
}

impl View for Retention {}
