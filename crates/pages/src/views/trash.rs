//! What was deleted and can come back.

use askama::Template;

use crate::{
    filters,
    foreign::Line,
    moment::Time,
    page::Page,
    said::Said,
    values::{Digest, Pages},
    view::View,
};

/// The deletions in the trash.
#[derive(Template)]
#[template(path = "trash.html")]
pub struct Trash {
    /// What all pages share.
    pub page: Page,
    /// For how many days a deletion stays.
    pub days: u64,
    /// Whether the caller may empty it.
    pub empties: bool,
    /// The repository that the list is filtered by.
    pub q: String,
    /// Further pages.
    pub pages: Pages,
    /// Records that cannot be read.
    pub damaged: Vec<DamagedRecord>,
    /// The deletions, the newest first.
    pub rows: Vec<TrashRow>,
}

/// A record that cannot be read.
pub struct DamagedRecord {
    /// Its id.
    pub id: String,
    /// What is wrong with it.
    pub problem: Said,
}

/// A deletion.
pub struct TrashRow {
    /// Its id.
    pub id: String,
    /// Name of the repository.
    pub repository: String,
    /// What was deleted: the last part of the key of a text in `trash.kind`.
    pub kind: String,
    /// How many tags.
    pub tags: u64,
    /// How many manifests.
    pub manifests: u64,
    /// The account that deleted it; empty: the server did by itself.
    pub actor: Line,
    /// The way in which it was deleted: the last part of the key of a text in `surface`.
    pub surface: String,
    /// When it was deleted.
    pub time: Option<Time>,
    /// When it is gone for good.
    pub expires: Option<Time>,
    /// Whether the caller may restore it.
    pub restores: bool,
}

impl View for Trash {}

/// One deletion.
#[derive(Template)]
#[template(path = "trash_record.html")]
pub struct TrashRecord {
    /// What all pages share.
    pub page: Page,
    /// Its id.
    pub id: String,
    /// What was deleted: the last part of the key of a text in `trash.kind`.
    pub kind: String,
    /// Name of the repository.
    pub repository: String,
    /// The account that deleted it.
    pub actor: Line,
    /// When it was deleted.
    pub time: Option<Time>,
    /// When it is gone for good.
    pub expires: Option<Time>,
    /// Whether the caller may restore it.
    pub restores: bool,
    /// Whether the caller may give it up.
    pub purges: bool,
    /// Tags that a restoration left alone, because they point at something else by now.
    pub left_alone: Vec<LeftAlone>,
    /// The tags that were deleted.
    pub tags: Vec<TrashTag>,
    /// How many there are, listed or not.
    pub tags_total: u64,
    /// How many manifests were deleted.
    pub manifests: u64,
    /// How many layers were deleted.
    pub layers: u64,
}

/// A tag that points at something else by now.
pub struct LeftAlone {
    /// The tag.
    pub tag: String,
    /// The manifest at which it pointed.
    pub deleted: Digest,
    /// The manifest at which it points now.
    pub current: Digest,
}

/// A tag that was deleted.
pub struct TrashTag {
    /// The tag.
    pub tag: String,
    /// The manifest at which it pointed; `None`: its link was damaged.
    pub digest: Option<Digest>,
    /// When it came to point at it.
    pub since: Option<Time>,
    /// How many entries its history has.
    pub history: u64,
}

impl View for TrashRecord {}
