//! The files of a layer.

use askama::Template;

use crate::{
    filters,
    foreign::Shown,
    moment::Time,
    page::Page,
    said::Said,
    values::{Digest, Hidden, Link, Pages},
    view::View,
};

/// A directory of a layer.
#[derive(Template)]
#[template(path = "files.html")]
pub struct Files {
    /// What all pages share.
    pub page: Page,
    /// Name of the repository.
    pub repository: String,
    /// The tag or the beginning of the digest of the image.
    pub reference: String,
    /// Page of the image.
    pub image: String,
    /// Number of the layer, counted from 1.
    pub number: u64,
    /// Digest of the layer.
    pub digest: Digest,
    /// The step that made it.
    pub step: Shown,
    /// Path of this page without a query.
    pub here: String,
    /// What a filter keeps of the query.
    pub hidden: Vec<Hidden>,
    /// The filter.
    pub q: String,
    /// How many files the layer has.
    pub total: u64,
    /// Why the files cannot be read, or not all of them; empty: they were.
    pub problem: Said,
    /// The directories from the root to this one.
    pub path: Vec<Link>,
    /// Further pages.
    pub pages: Pages,
    /// The files.
    pub files: Vec<File>,
}

/// A file of a layer.
pub struct File {
    /// Name of the file.
    pub name: Shown,
    /// Name of its icon: `folder`, `file` or `link`.
    pub icon: &'static str,
    /// Size in bytes; `None`: it is no file.
    pub size: Option<u64>,
    /// Its rights, such as `-rw-r--r--`.
    pub mode: String,
    /// Its owner, as `uid:gid`.
    pub owner: String,
    /// Page of what is in it; empty: it is no directory.
    pub href: String,
    /// Where a link leads.
    pub target: Option<Shown>,
    /// Whether the layer takes it away.
    pub removed: bool,
    /// When it was changed.
    pub modified: Option<Time>,
}

impl View for Files {}
