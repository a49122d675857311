//! Deletions as plans: what goes, what stays and why, and how many bytes come free; and then exactly that.
//!
//! A [`Plan`] is a plain value. Its [`id`](Plan::id) is the digest of what goes: a client that has seen a plan sends the same
//! deletion with that identifier, the plan is made again, and if the store has changed so that something else would go, nothing
//! does. So no plan is kept anywhere, and any process can apply one that another made.

mod apply;
mod bytes;
mod content;
mod layers;
mod making;
mod manifests;
mod order;
mod prune;
mod retained;
mod selection;
mod tags;
mod untagged;
mod words;

pub use prune::{PullsOf, RetentionPage};
pub(crate) use untagged::UnreachedManifest;
pub use words::Stays;
pub(crate) use words::Unshown;

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use wharf_message::Sentence;
use wharf_oci::{Digest, RepoName, Tag};

use crate::{
    retention::{LastPulls, Policy, Verdict},
    trash::{DeletedKind, TrashId},
};

/// What is to be deleted from a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deletion {
    /// These tags, and the images that nothing else needs then.
    Tags {
        /// The tags.
        tags: Vec<Tag>,
        /// Whether the images stay in the repository, without these tags.
        keep_images: bool,
    },
    /// A manifest with its tags, and what nothing else needs then.
    Manifest {
        /// Digest of the manifest.
        digest: Digest,
    },
    /// Every manifest that no tag reaches.
    Untagged {
        /// How long a manifest must have been in the repository.
        min_age: Duration,
        /// How long a tag that was moved keeps what it pointed at before.
        keep_history: Duration,
    },
    /// What the rules of retention let go: tags with the images that nothing else needs then, and untagged manifests.
    Retention {
        /// The rules.
        policy: Arc<Policy>,
        /// When images of the repository were pulled; `None`: that is not counted, and rules that ask for it take nothing.
        pulls: Option<Arc<LastPulls>>,
    },
    /// All that the repository has. Repositories below it stay, and so do uploads that have not ended.
    Repository,
}

impl Deletion {
    /// The deletion in the words of the trash.
    pub fn kind(&self) -> DeletedKind {
        match self {
            Self::Tags { .. } => DeletedKind::Tags,
            Self::Manifest { .. } => DeletedKind::Manifest,
            Self::Untagged { .. } => DeletedKind::Untagged,
            Self::Retention { .. } => DeletedKind::Retention,
            Self::Repository => DeletedKind::Repository,
        }
    }
}

/// What a deletion would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Digest of what goes: two plans that remove the same have the same.
    pub id: Digest,
    /// Repository that loses something.
    pub repository: RepoName,
    /// What is deleted.
    pub kind: DeletedKind,
    /// Tags that go, in ascending order.
    pub tags: Vec<PlannedTag>,
    /// Manifests that go, in the order in which they may: an index before its children, a referrer before its subject, and what a tag
    /// leads to that is made of a digest, as cosign does, after the manifest of that.
    pub manifests: Vec<PlannedManifest>,
    /// Number of links of layers that go, which let the repository read blobs. Only a whole repository loses them at once;
    /// otherwise those that nothing needs go with the next collection.
    pub layers: usize,
    /// Entries that go from the histories of tags that stay: they lead to manifests that go, or to none, or are too old.
    pub history: Vec<PlannedTag>,
    /// Earlier deletions of a whole repository that goes. Without the trash they are given up as well: what they need of the repository
    /// goes, so they could not be taken back.
    pub earlier: Vec<TrashId>,
    /// What one might expect to go and stays, with the reason: not more than a hundred.
    pub stays: Vec<Staying>,
    /// How many stay beyond those that are listed.
    pub more_stays: usize,
    /// The bytes of what goes; `None`: nothing has looked at them.
    pub bytes: Option<PlannedBytes>,
    /// What retention decides about each tag, the one that was pushed last first; empty for another deletion.
    pub verdicts: Vec<Verdict>,
    /// Why the plan cannot be applied as it is; `None`: it can.
    pub refused: Option<Sentence>,
}

impl Plan {
    /// Whether nothing would go.
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.manifests.is_empty() && self.layers == 0 && self.history.is_empty()
    }
}

/// A tag, with the manifest at which it points, or pointed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlannedTag {
    /// The tag.
    pub tag: Tag,
    /// Digest of the manifest.
    pub digest: Digest,
}

/// A manifest that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedManifest {
    /// Digest of the manifest.
    pub digest: Digest,
    /// What it is among those that go.
    pub role: Role,
    /// Manifests of the same generation do not name each other; lower generations go first.
    generation: u32,
}

/// What a manifest is among those that go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// An image, or another artifact without a subject.
    Image,
    /// An index.
    Index,
    /// A child of an index that goes as well.
    Child,
    /// A signature, or another artifact that refers to a manifest.
    Referrer,
    /// A manifest that cannot be read.
    Unreadable,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Image => "image",
            Self::Index => "index",
            Self::Child => "child",
            Self::Referrer => "referrer",
            Self::Unreadable => "unreadable",
        })
    }
}

/// Something that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staying {
    /// The tag; `None`: it is a manifest, or something else.
    pub tag: Option<Tag>,
    /// Digest of the manifest; `None`: it is none.
    pub digest: Option<Digest>,
    /// Why it stays: a clause whose subject is the tag or the manifest.
    pub why: Sentence,
}

impl Staying {
    fn manifest(digest: Digest, why: impl Into<Sentence>) -> Self {
        Self {
            tag: None,
            digest: Some(digest),
            why: why.into(),
        }
    }

    fn tag(tag: Tag, why: impl Into<Sentence>) -> Self {
        Self {
            tag: Some(tag),
            digest: None,
            why: why.into(),
        }
    }

    fn other(why: impl Into<Sentence>) -> Self {
        Self {
            tag: None,
            digest: None,
            why: why.into(),
        }
    }
}

/// The bytes of what goes: its manifests, and the blobs that these name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlannedBytes {
    /// Bytes that nothing else needs. They come free with a collection, once the trash has let go of the deletion.
    pub free: u64,
    /// Number of the blobs that hold them.
    pub blobs: usize,
    /// Bytes that stay because this repository or others need them.
    pub shared: u64,
    /// Other repositories that need some of them: for each blob one, and not more than a hundred in all.
    pub shared_with: Vec<Box<str>>,
    /// Bytes that stay because other deletions in the trash need them, and nothing else.
    pub in_trash: u64,
    /// Why fewer bytes may come free: a part of the store that could not be read.
    pub uncertain: Option<Sentence>,
}

/// How a plan is applied.
#[derive(Debug, Clone, Copy, Default)]
pub struct Application<'a> {
    /// The plan that the client has seen: if another one is made now, nothing goes.
    pub plan: Option<&'a Digest>,
    /// Whether no record is made in the trash: what goes cannot be restored, and its bytes come free at once. With a whole repository go
    /// the records of its [earlier](Plan::earlier) deletions.
    pub now: bool,
}

/// Outcome of a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Record of the deletion in the trash; `None`: there is none.
    pub record: Option<TrashId>,
    /// Tags that went.
    pub tags: Vec<Tag>,
    /// Manifests that went.
    pub manifests: Vec<Digest>,
    /// Number of links of layers that went.
    pub layers: usize,
    /// Number of earlier deletions that were given up.
    pub earlier: usize,
    /// What stayed of the plan, because other requests used it meanwhile.
    pub stayed: Vec<Staying>,
}
