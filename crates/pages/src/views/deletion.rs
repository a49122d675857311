//! The plan of a deletion, which is also its confirmation.

use askama::Template;

use crate::{
    filters,
    page::Page,
    said::Said,
    values::{Digest, Hidden},
    view::View,
};

/// What a deletion would take, and what would stay.
#[derive(Template)]
#[template(path = "delete.html")]
pub struct Delete {
    /// What all pages share.
    pub page: Page,
    /// What is deleted: the last part of the key of a text in `plan.title`.
    pub kind: String,
    /// Name of the repository.
    pub repository: String,
    /// Id of the plan.
    pub id: String,
    /// Whether another set would go than the one that was shown before.
    pub changed: bool,
    /// Why it was refused; empty: it was not.
    pub refused: Said,
    /// What was asked for, to be sent again.
    pub fields: Vec<Hidden>,
    /// How many tags go.
    pub tags_total: u64,
    /// How many manifests go.
    pub manifests_total: u64,
    /// Bytes that come free.
    pub free: Option<u64>,
    /// Bytes that stay because others need them.
    pub shared: Option<u64>,
    /// The repositories that need them.
    pub shared_with: Vec<String>,
    /// Why these numbers are not certain; empty: they are.
    pub uncertain: Said,
    /// The tags that go.
    pub tags: Vec<GoingTag>,
    /// The manifests that go.
    pub manifests: Vec<GoingManifest>,
    /// Tags that stay, and lose entries of their history.
    pub history: Vec<GoingTag>,
    /// How much more goes than is listed.
    pub more_goes: u64,
    /// What stays, and why.
    pub stays: Vec<Staying>,
    /// How much more stays than is listed.
    pub more_stays: u64,
    /// How many earlier deletions go for good.
    pub earlier: u64,
    /// For how many days it can be restored; 0: it cannot.
    pub trash_days: u64,
    /// The name to type as a confirmation; empty: none is asked for.
    pub type_name: String,
    /// Whether another name was typed.
    pub confirm_wrong: bool,
    /// Whether the caller may leave the trash out.
    pub now: bool,
    /// Whether the deletion can be carried out.
    pub applies: bool,
}

/// A tag that goes.
pub struct GoingTag {
    /// The tag.
    pub name: String,
    /// The manifest at which it points; `None`: its link is damaged.
    pub digest: Option<Digest>,
}

/// A manifest that goes.
pub struct GoingManifest {
    /// What it is: the last part of the key of a text in `role`.
    pub role: String,
    /// Its digest.
    pub digest: Digest,
}

/// Something that stays.
pub struct Staying {
    /// The tag; empty: it is a manifest.
    pub tag: String,
    /// The digest of the manifest.
    pub digest: Option<Digest>,
    /// Why it stays.
    pub why: Said,
}

impl View for Delete {}
