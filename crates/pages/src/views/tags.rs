//! The tags of a repository.

use askama::Template;

use crate::{
    filters,
    foreign::{Line, Shown},
    moment::Time,
    page::Page,
    said::Said,
    values::{Column, Command, Digest, Link, Pages},
    view::View,
};

/// A repository with its tags.
#[derive(Template)]
#[template(path = "tags.html")]
pub struct Tags {
    /// What all pages share.
    pub page: Page,
    /// Name of the repository.
    pub repository: String,
    /// The name that clients use, with the name of the registry.
    pub address: String,
    /// The directories in which it is.
    pub parents: Vec<Link>,
    /// What the labels of an image say about it.
    pub description: Option<Shown>,
    /// Whether there are images to compare.
    pub compares: bool,
    /// Whether the caller may delete in it.
    pub deletes: bool,
    /// What is damaged or missing; empty: nothing.
    pub problem: Said,
    /// How many tags it has; `None`: too many to count.
    pub tags_total: Option<u64>,
    /// Bytes of its images.
    pub size: Option<u64>,
    /// How many manifests without a tag it has; `None`: that was not counted.
    pub untagged: Option<u64>,
    /// When a tag was pushed last.
    pub pushed: Option<Time>,
    /// How often its images were pulled; `None`: that is not counted.
    pub pulls: Option<u64>,
    /// The tag of the example of a pull; empty: there is none.
    pub example: String,
    /// The commands that pull it.
    pub commands: Vec<Command>,
    /// The filter.
    pub q: String,
    /// The order, as the service names it.
    pub sort: String,
    /// Whether manifests without a tag are listed.
    pub shows_untagged: bool,
    /// The tags, and manifests without a tag.
    pub rows: Vec<TagRow>,
    /// The columns.
    pub columns: Vec<Column>,
    /// Further pages.
    pub pages: Pages,
    /// What was left out of the list, and why.
    pub left_out: Vec<Said>,
}

/// A tag, or a manifest without one.
pub struct TagRow {
    /// The tag, or the beginning of the digest.
    pub tag: String,
    /// The tag, or the digest.
    pub reference: String,
    /// Whether it is a manifest without a tag.
    pub untagged: bool,
    /// Repository, and tag or digest, as in a pull.
    pub path: String,
    /// The command that pulls it.
    pub pull: String,
    /// Whether the caller may delete it.
    pub deletes: bool,
    /// What it is: the last part of the key of a text in `kind`; empty: that cannot be read.
    pub kind: String,
    /// Whether no rule of retention deletes it.
    pub protected: bool,
    /// What is attached to it, each the last part of the key of a text in `kind`; signatures are not verified.
    pub attached: Vec<String>,
    /// What is damaged or missing; empty: nothing.
    pub problem: Said,
    /// Its platforms.
    pub platforms: Vec<TagPlatform>,
    /// How many platforms are not listed.
    pub more_platforms: u64,
    /// Bytes of all platforms.
    pub size: Option<u64>,
    /// When it was pushed.
    pub pushed: Option<Time>,
    /// When it was pulled last.
    pub pulled: Option<Time>,
    /// How often it was pulled; `None`: that is not counted.
    pub pulls: Option<u64>,
    /// Digest of the manifest; `None`: its link is damaged.
    pub digest: Option<Digest>,
}

/// A platform of an image.
pub struct TagPlatform {
    /// A short name, such as `arm64`.
    pub name: Line,
    /// The whole name.
    pub title: Line,
    /// Bytes of its image.
    pub size: Option<u64>,
}

impl View for Tags {}
