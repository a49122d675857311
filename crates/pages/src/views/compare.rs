//! The differences of two images.

use askama::Template;

use crate::{
    filters,
    foreign::{Line, Shown},
    page::Page,
    said::Said,
    text::Text,
    values::{NamedChoice, Pages, Tone},
    view::View,
};

/// Two images of a repository, side by side.
#[derive(Template)]
#[template(path = "compare.html")]
pub struct Compare {
    /// What all pages share.
    pub page: Page,
    /// Name of the repository.
    pub repository: String,
    /// The image from which changes are told; empty: not chosen yet.
    pub from: Line,
    /// The image to which they lead.
    pub to: Line,
    /// Tags to choose from.
    pub names: Vec<String>,
    /// Platforms that both have.
    pub platforms: Vec<NamedChoice>,
    /// Their sizes in a sentence.
    pub sum: Option<Text>,
    /// The differences; `None`: two images are not chosen yet.
    pub result: Option<Comparison>,
}

/// The differences of two images.
pub struct Comparison {
    /// Whether there are none, because both are the same manifest.
    pub same: bool,
    /// Differences of the configurations.
    pub config: Vec<Change>,
    /// How many layers both have.
    pub layers_same: u64,
    /// How many layers the second image alone has.
    pub layers_added: u64,
    /// How many layers the first image alone has.
    pub layers_removed: u64,
    /// Differences of the layers.
    pub layers: Vec<Change>,
    /// How many files the second image alone has.
    pub files_added: u64,
    /// How many files the first image alone has.
    pub files_removed: u64,
    /// How many files differ.
    pub files_changed: u64,
    /// What was not compared, and why; empty: everything was.
    pub files_note: Said,
    /// Differences of the files, of this page.
    pub files: Vec<Change>,
    /// Further pages of files.
    pub pages: Pages,
}

/// A difference.
pub struct Change {
    /// `added`, `removed` or `changed`.
    pub change: &'static str,
    /// What differs.
    pub name: Shown,
    /// What the first image has.
    pub before: Option<Shown>,
    /// What the second image has.
    pub after: Option<Shown>,
}

impl Change {
    fn tone(&self) -> Tone {
        match self.change {
            "added" => Tone::Good,
            "removed" => Tone::Bad,
            _ => Tone::Warn,
        }
    }
}

impl View for Compare {}
