//! The access rules, and questions to them.

use askama::Template;

use crate::{
    filters,
    foreign::Line,
    page::Page,
    said::Said,
    text::Text,
    values::{Choice, Field, Tone},
    view::View,
};

/// The access rules in their order, and the answer to "may X do Y?".
#[derive(Template)]
#[template(path = "rules.html")]
pub struct Rules {
    /// What all pages share.
    pub page: Page,
    /// Path of the file of rules; empty without one.
    pub file: String,
    /// Why the file is not used as it is; empty: it is used.
    pub problem: Said,
    /// Problems with which it is used.
    pub warnings: Vec<Said>,
    /// The rules.
    pub rules: Vec<Rule>,
    /// The account of the question.
    pub account: Field,
    /// The repository of the question.
    pub repository: Field,
    /// The tag of the question.
    pub tag: Field,
    /// The actions to ask for.
    pub rights: Vec<Choice>,
    /// The address of the question.
    pub from: Field,
    /// The answer; `None`: nothing was asked.
    pub decision: Option<Decision>,
}

/// A rule.
pub struct Rule {
    /// Its line in the file; `None`: it is one of the configuration.
    pub line: Option<u64>,
    /// What becomes of the actions: the last part of the key of a text in `effect`.
    pub effect: String,
    /// Colour of that.
    pub tone: Tone,
    /// The actions: last parts of keys of texts in `right`.
    pub actions: Vec<String>,
    /// The accounts that it fits.
    pub accounts: Vec<Line>,
    /// Patterns of the repositories that it fits.
    pub repositories: Vec<Line>,
    /// What a refusal may show; empty: nothing.
    pub comment: Line,
    /// Patterns of the tags that it fits; without any it fits all.
    pub tags: Vec<Line>,
    /// Whether a push may create a tag, and not move one.
    pub create_only: bool,
    /// Whether it decides the question.
    pub decides: bool,
    /// The networks that it fits; without any it fits all.
    pub from: Vec<Line>,
}

/// The answer to a question.
pub struct Decision {
    /// Whether it is allowed, as a colour.
    pub tone: Tone,
    /// Name of the icon.
    pub icon: &'static str,
    /// Whether it is allowed, in words.
    pub verdict: Text,
    /// What decides.
    pub reason: Text,
    /// Line of the rule that decides; `None`: none in the file does.
    pub line: Option<u64>,
}

impl View for Rules {}
