//! The history of a tag, and the way back.

use askama::Template;

use crate::{
    filters,
    moment::Time,
    page::Page,
    said::Said,
    values::{Digest, Pages},
    view::View,
};

/// The manifests at which a tag points, and pointed.
#[derive(Template)]
#[template(path = "history.html")]
pub struct History {
    /// What all pages share.
    pub page: Page,
    /// Repository and tag, as in a pull.
    pub name: String,
    /// Name of the repository.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// Further pages.
    pub pages: Pages,
    /// The manifests, the latest first.
    pub entries: Vec<HistoryEntry>,
    /// How many earlier ones are not shown.
    pub more: u64,
}

/// A manifest at which a tag points, or pointed.
pub struct HistoryEntry {
    /// When the tag last came to point at it; `None`: that cannot be read.
    pub since: Option<Time>,
    /// Digest of the manifest.
    pub digest: Digest,
    /// Whether the tag points at it now.
    pub current: bool,
    /// Whether the repository still has it.
    pub available: bool,
    /// Size in bytes.
    pub size: Option<u64>,
    /// Page of the manifest.
    pub href: String,
    /// Page of its comparison with the present one; empty without one.
    pub compare: String,
    /// Whether the caller may let the tag go back to it.
    pub restores: bool,
    /// Page on which that is confirmed.
    pub restore: String,
}

impl View for History {}

/// A tag is about to go back to an earlier manifest.
#[derive(Template)]
#[template(path = "rollback.html")]
pub struct Rollback {
    /// What all pages share.
    pub page: Page,
    /// Repository and tag, as in a pull.
    pub name: String,
    /// Name of the repository.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// Why it was refused; empty: it was not.
    pub refused: Said,
    /// The manifest to which the tag goes.
    pub to: PastManifest,
    /// The manifest at which it points; `None`: at none that can be read.
    pub from: Option<PastManifest>,
}

/// A manifest with the time at which a tag came to point at it.
pub struct PastManifest {
    /// Digest of the manifest.
    pub digest: Digest,
    /// When the tag came to point at it.
    pub since: Option<Time>,
}

impl View for Rollback {}
