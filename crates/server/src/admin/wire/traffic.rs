//! Growth and traffic.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_message::Message;

/// What happened on each day, and which images are pulled most, and never.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Traffic {
    /// Since when pulls are counted (RFC 3339); absent where they are not, or that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The days on which something happened, the oldest first: the last 400.
    pub days: Vec<TrafficDay>,
    /// What was stored on each day on which a collection ended, the oldest first: the last two years.
    #[serde(default)]
    pub growth: Vec<StoredDay>,
    /// The tags that were pulled most.
    pub most: Vec<PulledImage>,
    /// The largest of the tags that were not pulled since pulls are counted.
    pub never: Vec<UnpulledImage>,
    /// What was left out, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// `problem` by codes, for programs, part by part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problem_messages: Vec<Message>,
}

/// What happened on one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrafficDay {
    /// The day in UTC, such as `2026-11-30`.
    pub day: String,
    /// How many manifests were pulled.
    pub pulls: u64,
    /// How many manifests were pushed.
    pub pushes: u64,
    /// Bytes of manifests and blobs that were pushed, for the first time or again.
    pub received: u64,
    /// Bytes of manifests and blobs that clients got from this registry; not of those that a redirect led to the store.
    #[serde(default)]
    pub sent: u64,
    /// How many logins failed, and acts of administration were denied.
    pub refused: u64,
}

/// What was stored on one day, as the last collection of the day has found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoredDay {
    /// The day in UTC, such as `2026-11-30`.
    pub day: String,
    /// When the collection ended (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    pub measured: String,
    /// Bytes of all blobs, each digest once: of what images and the trash need as manifests state it, and of what nothing needs.
    pub bytes: u64,
    /// How many blobs these are, manifests among them.
    pub blobs: u64,
    /// How many repositories there were.
    pub repositories: u64,
}

/// A tag with its pulls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PulledImage {
    /// Name of the repository.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// How often it was pulled.
    pub pulls: u64,
    /// When last (RFC 3339).
    pub last_pull: String,
}

/// A tag that was not pulled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnpulledImage {
    /// Name of the repository.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// Bytes of its configuration and layers; absent where they are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// When it was pushed last (RFC 3339).
    pub pushed: String,
}
