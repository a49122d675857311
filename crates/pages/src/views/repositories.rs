//! The repositories, and the search for images.

use askama::Template;

use crate::{
    filters,
    foreign::Line,
    moment::Time,
    page::Page,
    said::Said,
    text::Text,
    values::{Choice, Column, Command, Digest, Pages},
    view::View,
};

/// The repositories, as a tree of their names or as a list.
#[derive(Template)]
#[template(path = "repositories.html")]
pub struct Repositories {
    /// What all pages share.
    pub page: Page,
    /// `tree` or `flat`.
    pub view: &'static str,
    /// The nodes in the order in which they are shown. In a list all are repositories.
    pub nodes: Vec<Node>,
    /// The filter.
    pub q: String,
    /// How many repositories there are; `None`: that was not counted.
    pub total: Option<u64>,
    /// How an image is pushed, for a registry without any.
    pub commands: Vec<Command>,
    /// Further pages.
    pub pages: Pages,
    /// The columns of a list.
    pub columns: Vec<Column>,
    /// What was left out of the list, and why; empty: nothing.
    pub problem: Said,
}

/// A place in the tree of repositories.
pub enum Node {
    /// A directory opens: what follows until it closes is in it.
    Open(Directory),
    /// The directory that was opened last closes.
    Close,
    /// A directory with too many repositories to show them: a link to its own page.
    Folded(Directory),
    /// A repository.
    Repository(Box<RepositoryRow>),
}

/// A common beginning of names.
pub struct Directory {
    /// The last part of the name, with a slash.
    pub label: String,
    /// How many repositories of this page are in it.
    pub repositories: u64,
    /// Page of its repositories alone.
    pub href: String,
}

/// A repository in a list.
pub struct RepositoryRow {
    /// The last part of the name in a tree, and the whole name in a list.
    pub label: String,
    /// Name of the repository.
    pub name: String,
    /// How many tags it has; `None`: too many to count.
    pub tags: Option<u64>,
    /// Bytes of its images.
    pub size: Option<u64>,
    /// When a tag was pushed last.
    pub pushed: Option<Time>,
    /// When an image was pulled last.
    pub pulled: Option<Time>,
    /// How often its images were pulled; `None`: that is not counted.
    pub pulls: Option<u64>,
    /// What is damaged, missing or not known; empty: nothing.
    pub problem: Said,
    /// Whether something is damaged or missing, rather than not known.
    pub damaged: bool,
}

impl View for Repositories {}

/// What a search found.
#[derive(Template)]
#[template(path = "search.html")]
pub struct Search {
    /// What all pages share.
    pub page: Page,
    /// The text that was searched for.
    pub q: String,
    /// Where it can be searched for.
    pub places: Vec<Choice>,
    /// What was found.
    pub hits: Vec<SearchHit>,
    /// Further pages.
    pub pages: Pages,
    /// What was not searched whole; `None`: all was.
    pub incomplete: Option<Text>,
}

/// A repository or an image that was found.
pub struct SearchHit {
    /// Its page.
    pub href: String,
    /// Its name.
    pub name: String,
    /// Digest of the manifest; `None`: it is a repository.
    pub digest: Option<Digest>,
    /// Where the text was found.
    pub matches: Vec<Match>,
}

/// A place in which the text was found.
pub struct Match {
    /// The place: the last part of the key of a text in `search.in`.
    pub within: String,
    /// What stands before the text.
    pub before: Line,
    /// The text.
    pub hit: Line,
    /// What follows it.
    pub after: Line,
}

impl View for Search {}
