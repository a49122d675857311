//! The JSON of retention.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_message::Message;

/// Rules of retention. A repository keeps what they say; tags that `retention.protect` of the configuration names stay in any case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Rules, of which the first that selects a tag decides about it; those of the configuration if they are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<RetentionRule>>,
    /// Patterns of tags that stay whatever the rules say, beside those of the configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub protect: Vec<String>,
    /// How much of the tags of a repository may go at once, in percent: 100 for all; that of the configuration if it is left out. Rules
    /// that say how many stay take as many as they say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub max_delete: Option<u8>,
    /// How long a tag that was moved keeps what it pointed at before, in seconds; `history.retention` if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_history: Option<u64>,
}

/// One rule of retention. A tag about which it is goes if neither `keep` nor `older_than` nor `not_pulled` keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionRule {
    /// Repositories that it is about: names, patterns such as `team/**`, or regular expressions after `re:`; all if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<String>,
    /// Kinds of artifacts that it is about: `image`, `cache`, `chart`, `signature`, `other`; all if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// Tags that it is about: names, patterns such as `v1.*`, or regular expressions after `re:`; all if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Tags that it is not about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_tags: Vec<String>,
    /// How many of these tags stay: those that were pushed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<usize>,
    /// Tags stay that were pushed less than so many seconds ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub older_than: Option<u64>,
    /// Tags stay that were pulled, or pushed, less than so many seconds ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_pulled: Option<u64>,
    /// Manifests that no tag reaches go when they came into the repository so many seconds ago; they stay if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untagged: Option<u64>,
}

/// What retention decides about a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The tag.
    pub tag: String,
    /// Digest of the manifest at which it points.
    pub digest: String,
    /// What the manifest is: `image`, `cache`, `chart`, `signature` or `other`.
    pub kind: String,
    /// When the tag was pushed (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    pub pushed: String,
    /// When the image was pulled last (RFC 3339); absent if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub pulled: Option<String>,
    /// Whether the tag goes.
    pub goes: bool,
    /// Why it goes or stays.
    pub why: String,
    /// `why` by codes, for programs, part by part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why_messages: Vec<Message>,
}

/// A repository that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnreadRepository {
    /// Name of the repository.
    pub repository: String,
    /// What was wrong.
    pub problem: String,
}

/// The rules of the configuration, and what they have done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfiguredRetention {
    /// The rules; none: nothing goes by itself.
    pub rules: Vec<RetentionRule>,
    /// Patterns of tags that no rule takes.
    pub protect: Vec<String>,
    /// How much of the tags of a repository one run takes at most, in percent.
    pub max_delete: u8,
    /// How long a tag that was moved keeps what it pointed at before, in seconds.
    pub keep_history: u64,
    /// Whether runs on schedule delete; otherwise they say in the log what they would delete.
    pub apply: bool,
    /// Whether a run is under way.
    pub running: bool,
    /// When the next run begins (RFC 3339); absent: none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub next: Option<String>,
    /// The run that ended last, since the server started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<EndedRetention>,
}

/// A run of retention that has ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndedRetention {
    /// When it began (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    pub started: String,
    /// When it ended (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    pub ended: String,
    /// Whether what it names was deleted.
    pub applied: bool,
    /// Number of repositories about which there are rules.
    pub repositories: usize,
    /// Number of tags that went, or would go.
    pub tags: usize,
    /// Number of manifests that went, or would go.
    pub manifests: usize,
    /// Repositories from which nothing went, with the reason: too many tags would go, or the repository could not be read. Not more than
    /// a hundred.
    pub refused: Vec<UnreadRepository>,
}
