//! Checks of the store. Times are those of RFC 3339.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_message::Message;

use super::ScrubState;

/// What the scrub and the last check have found, and the check that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Checks {
    /// The server that answers, since its start; numbers of checks are its own.
    pub server: String,
    /// Whether a check can be asked for: not where the store can only be read.
    pub on_demand: bool,
    /// The other server, or command, that checks, for which the check waits that was asked for; absent when none waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<OtherCheck>,
    /// The scrub, which reads all blobs again and again; absent where none runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scrub: Option<ScrubState>,
    /// The check that runs; absent when none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<RunningCheck>,
    /// The last check of the server that answers; absent before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<EndedCheck>,
    /// The last check of all blobs that the store has a note of, by `wharf fsck` or any server; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<RecordedCheck>,
    /// What is damaged, as far as it is known: not more than 1,000 findings. Those of `last` may have been put right since.
    pub findings: Vec<CheckFinding>,
}

/// A process that checks the same store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OtherCheck {
    /// Name of its machine, or of its container.
    pub host: String,
}

/// A check that is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NewCheck {
    /// Whether the bytes of blobs are not read, but for those with something else wrong.
    pub quick: bool,
}

/// A check that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestedCheck {
    /// The server that was asked, since its start.
    pub server: String,
    /// Number of the check that does what was asked for, among those of the server that answers.
    pub number: u64,
}

/// A check that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunningCheck {
    /// Its number among those of the server that answers, from 1.
    pub number: u64,
    /// Whether it does not read the bytes of blobs.
    pub quick: bool,
    /// When it began.
    pub started: String,
    /// How many repositories it has looked at: all of them come before the blobs.
    pub repositories: u64,
    /// How many blobs it has read.
    pub blobs: u64,
    /// Bytes of these blobs.
    pub bytes: u64,
    /// How many thousandths of the blobs it has read, about.
    pub done: u16,
    /// Findings because of which an image cannot be pulled whole, or stored bytes are wrong, so far.
    pub broken: u64,
}

/// A check that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndedCheck {
    /// Its number among those of the server that answers, from 1.
    pub number: u64,
    /// Whether it did not read the bytes of blobs.
    pub quick: bool,
    /// When it began.
    pub started: String,
    /// When it ended.
    pub ended: String,
    /// How many repositories were looked at.
    pub repositories: u64,
    /// How many tags were looked at.
    pub tags: u64,
    /// How many manifests were looked at.
    pub manifests: u64,
    /// How many blobs were read.
    pub blobs: u64,
    /// Bytes of these blobs.
    pub bytes: u64,
    /// Findings because of which an image cannot be pulled whole, or stored bytes are wrong.
    pub broken: u64,
    /// Leftovers that harm no image.
    pub untidy: u64,
    /// What could not be read, so that it is not known whether images are whole.
    pub unknown: u64,
    /// Why it ended early; absent when it came to its end. The next one goes on where it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// `error` by codes, for programs, part by part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub error_messages: Vec<Message>,
}

/// A check of all blobs, as the store has a note of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordedCheck {
    /// When it ended.
    pub ended: String,
    /// How many blobs were read.
    pub blobs: u64,
    /// Bytes of these blobs.
    pub bytes: u64,
    /// Findings because of which an image cannot be pulled whole, or stored bytes are wrong; absent where that was not noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<u64>,
    /// Leftovers that harm no image; absent where that was not noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untidy: Option<u64>,
    /// What could not be read; absent where that was not noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<u64>,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckFinding {
    /// How bad it is: `broken`, `untidy` or `unknown`.
    pub severity: String,
    /// What found it.
    pub by: FoundBy,
    /// Digest of the blob of which the bytes are damaged or missing; absent where something else is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<String>,
    /// What is wrong, in words.
    pub text: String,
    /// `text` by codes, for programs, part by part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub text_messages: Vec<Message>,
    /// What to do about it, in words.
    pub remedy: String,
    /// `remedy` by codes, for programs, part by part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remedy_messages: Vec<Message>,
    /// The images that cannot be pulled whole because of it: not more than twenty.
    pub images: Vec<DamagedImage>,
    /// How many more there are, at most.
    pub more_images: u64,
    /// Whether these images were looked for: the scrub does that some minutes after it finds something.
    #[serde(rename = "searched")]
    pub is_searched: bool,
}

/// What found a damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FoundBy {
    /// The scrub.
    Scrub,
    /// The last check of the server that answers.
    Check,
}

/// An image that suffers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DamagedImage {
    /// Name of the repository.
    pub repository: String,
    /// The tag; absent where no tag reaches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Digest of the manifest, where no tag reaches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The platform that suffers; absent where all of the image does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
}
