//! Collections of garbage.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_message::Message;

/// The collector of the server that answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Collections {
    /// The server that answers, since its start; numbers of collections are its own.
    pub server: String,
    /// The collection that runs; absent when none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<RunningCollection>,
    /// The last collection that ended; absent before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<EndedCollection>,
    /// When the next one begins by itself (RFC 3339); absent when collections run on demand alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A collection that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestedCollection {
    /// The server that was asked, since its start.
    pub server: String,
    /// Number of the collection that does what was asked for, among those of the server that answers.
    pub number: u64,
}

/// A collection that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunningCollection {
    /// Its number among those of the server that answers, from 1.
    pub number: u64,
    /// When it began (RFC 3339).
    pub started: String,
    /// How many repositories it has looked at.
    pub repositories: usize,
    /// What nothing needs, as far as it has found out.
    pub garbage: Space,
    /// What of it was removed.
    pub removed: Space,
}

/// A collection that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndedCollection {
    /// Its number among those of the server that answers, from 1.
    pub number: u64,
    /// When it began (RFC 3339).
    pub started: String,
    /// When it ended (RFC 3339).
    pub ended: String,
    /// How many repositories were looked at.
    pub repositories: usize,
    /// How many digests are needed.
    pub needed: usize,
    /// What was removed.
    pub removed: Space,
    /// What nothing needs and a later collection removes.
    pub waiting: Space,
    /// How many records of deletions went from the trash because of their age.
    pub expired: usize,
    /// How many deletions of the trash were given up before that, the oldest first, because too little space was free (`trash.pressure`).
    pub given_up: usize,
    /// How many deletions of the trash keep what they name.
    pub deletions: usize,
    /// Damaged or unknown content that was kept, with what to do about it.
    pub findings: Vec<String>,
    /// `findings` by codes, for programs, line by line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings_messages: Vec<Vec<Message>>,
    /// Why it ended early; absent when it came to its end. Nothing that is needed was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// `error` by codes, for programs, part by part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub error_messages: Vec<Message>,
}

/// Some blobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Space {
    /// Number of blobs.
    pub blobs: u64,
    /// Bytes that they hold.
    pub bytes: u64,
}

/// Why a digest is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Why {
    /// The digest.
    pub digest: String,
    /// Size of its bytes; absent when they are not stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Whether its bytes are younger than the grace period of collections.
    pub young: bool,
    /// What needs it; if that is nothing, and it is stored and not young, it is garbage.
    pub kept: Vec<Kept>,
}

/// What needs a digest in one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Kept {
    /// Name of the repository.
    pub repository: String,
    /// The kind of what needs it.
    pub by: KeptBy,
    /// The tag, the identifier of the deletion, or the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The way from what that names itself to the digest, both among them.
    pub path: Vec<String>,
}

/// What needs a digest for its own sake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeptBy {
    /// A tag, which `name` names.
    Tag,
    /// A manifest that no tag reaches: the first of the path.
    Untagged,
    /// A deletion in the trash, which `name` identifies.
    Trash,
    /// The link of a layer, which is younger than the grace period of collections.
    YoungLink,
    /// The repository is kept whole, because part of it cannot be read: `name` says what.
    Unreadable,
}
