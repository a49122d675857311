//! The JSON of deletions and of the trash.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};
use wharf_message::Message;

use super::retention::{Retention, UnreadRepository, Verdict};

/// What is to be deleted from a repository: exactly one of `tags`, `manifest`, `untagged`,
/// `retention` and `everything`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Deletion {
    /// These tags, and the images that nothing else needs then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Whether the images stay in the repository, without these tags.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keep_images: bool,
    /// The manifest of this digest, with its tags, and what nothing else needs then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// Every manifest that no tag reaches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub untagged: Option<Untagged>,
    /// What the rules of retention do not keep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// All that the repository has. Repositories below it stay.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub everything: bool,
}

/// A deletion that is to be carried out: exactly one of `tags`, `manifest`, `untagged`,
/// `retention` and `everything`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Application {
    /// What is to be deleted.
    #[serde(flatten)]
    pub deletion: Deletion,
    /// `id` of the plan that the caller has seen. If the deletion would remove something else now, nothing goes. If it is left out,
    /// what the plan of this moment names goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Whether nothing is kept in the trash, which needs the right `admin`: what goes cannot be restored, and of a whole repository what
    /// was deleted from it before cannot be either.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub now: bool,
}

impl Application {
    /// The application of a plan.
    pub fn new(deletion: Deletion, plan: Option<String>, now: bool) -> Self {
        Self { deletion, plan, now }
    }
}

// By hand, because serde does not refuse unknown fields of what is flattened.
impl<'de> Deserialize<'de> for Application {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        let mut own = |field: &str| fields.remove(field).unwrap_or_default();
        let (plan, now) = (own("plan"), own("now"));
        Ok(Self {
            deletion: Deletion::deserialize(Value::Object(fields)).map_err(D::Error::custom)?,
            plan: Option::deserialize(plan).map_err(|error| D::Error::custom(format!("`plan`: {error}")))?,
            now: Option::deserialize(now)
                .map_err(|error| D::Error::custom(format!("`now`: {error}")))?
                .unwrap_or_default(),
        })
    }
}

/// Which of the manifests that no tag reaches go. Those that go along with another manifest count as that one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Untagged {
    /// How long a manifest must have been in the repository, in seconds; a day if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_age: Option<u64>,
    /// How long a tag that was moved keeps what it pointed at before, in seconds; `history.retention` if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_history: Option<u64>,
}

/// What a deletion would do. Of long lists the first thousand are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// Identifier of what goes. The same deletion with another one is another plan.
    pub id: String,
    /// Name of the repository.
    pub repository: String,
    /// What is deleted: `tags`, `manifest`, `untagged`, `retention` or `repository`.
    pub kind: String,
    /// Tags that go.
    pub tags: Vec<TagAndDigest>,
    /// Number of all tags that go.
    pub tags_total: usize,
    /// Manifests that go.
    pub manifests: Vec<GoingManifest>,
    /// Number of all manifests that go.
    pub manifests_total: usize,
    /// Number of links of layers that go. Only a whole repository loses them at once.
    pub layers: usize,
    /// Entries that go from the histories of tags that stay.
    pub history: Vec<TagAndDigest>,
    /// Number of all these entries.
    pub history_total: usize,
    /// Identifiers of earlier deletions from a repository that goes whole. With `now` these cannot be restored any more.
    pub earlier: Vec<String>,
    /// Number of all these deletions.
    pub earlier_total: usize,
    /// What one might expect to go and stays, with the reason.
    pub stays: Vec<Staying>,
    /// How many stay beyond those.
    pub more_stays: usize,
    /// What retention decides about each tag, the one that was pushed last first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verdicts: Vec<Verdict>,
    /// Number of all these tags.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub verdicts_total: usize,
    /// Why the plan cannot be applied as it is: retention would take more of the tags than one run may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// `refused` by codes, for programs, part by part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused_messages: Vec<Message>,
    /// The bytes of what goes.
    pub bytes: PlannedBytes,
    /// How long what goes can be restored, in seconds; 0: there is no trash.
    pub retention: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference to the field"
)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// A tag, and the manifest at which it points or pointed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TagAndDigest {
    /// The tag.
    pub tag: String,
    /// Digest of the manifest.
    pub digest: String,
}

/// A manifest that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GoingManifest {
    /// Digest of the manifest.
    pub digest: String,
    /// What it is: `image`, `index`, `child` (of an index that goes as well), `referrer` or `unreadable`.
    pub role: String,
}

/// Something that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Staying {
    /// The tag that stays; absent for anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Digest of the manifest that stays; absent for anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Why it stays.
    pub why: String,
    /// `why` by codes, for programs, part by part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why_messages: Vec<Message>,
}

/// The bytes of what a deletion removes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedBytes {
    /// Bytes that nothing else needs. A collection frees them once the trash has let go of the deletion.
    pub free: u64,
    /// Number of the blobs that hold them.
    pub blobs: usize,
    /// Bytes that stay because this repository or others need them.
    pub shared: u64,
    /// Some of the other repositories that need them, as far as the caller may see these.
    pub shared_with: Vec<String>,
    /// Bytes that stay because other deletions in the trash need them, and nothing else.
    pub in_trash: u64,
    /// Why fewer bytes may come free: a part of the store could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncertain: Option<String>,
    /// `uncertain` by codes, for programs, part by part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uncertain_messages: Vec<Message>,
}

/// What retention would take from some repositories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RetentionPlans {
    /// One plan for each repository about which there are rules. Each is applied by itself, with the same rules.
    pub plans: Vec<Plan>,
    /// The bytes of all these plans together.
    pub bytes: PlannedBytes,
    /// Repositories that could not be read. Nothing goes from them.
    pub unread: Vec<UnreadRepository>,
    /// The cursor of the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Outcome of a deletion. Of long lists the first thousand are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Applied {
    /// Name of the repository.
    pub repository: String,
    /// Identifier of the deletion in the trash, by which it can be restored; absent: it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion: Option<String>,
    /// When the trash lets go of it (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub expires: Option<String>,
    /// Tags that went.
    pub tags: Vec<String>,
    /// Number of all tags that went.
    pub tags_total: usize,
    /// Digests of manifests that went.
    pub manifests: Vec<String>,
    /// Number of all manifests that went.
    pub manifests_total: usize,
    /// Number of links of layers that went.
    pub layers: usize,
    /// Number of earlier deletions from the repository that cannot be restored any more, because it went without the trash.
    pub earlier: usize,
    /// What stayed of the plan, because other requests used it meanwhile.
    pub stayed: Vec<Staying>,
}

/// A page of the trash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrashPage {
    /// Deletions that can be restored, the newest last. A page may have fewer than the limit, and none, although there is a next one.
    pub deletions: Vec<Deleted>,
    /// Records of deletions that cannot be read; only for `admin`.
    pub damaged: Vec<DamagedRecord>,
    /// The cursor of the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A deletion that can be restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deleted {
    /// Identifier of the deletion.
    pub id: String,
    /// When it was made (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    pub time: String,
    /// When the trash lets go of it (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    pub expires: String,
    /// Account that asked for it; absent for anonymous clients, and for commands and workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Surface through which it came: `distribution`, `administration`, or the name of a command or a worker.
    pub surface: String,
    /// What was deleted: `tags`, `manifest`, `blob`, `untagged`, `retention` or `repository`.
    pub kind: String,
    /// Repository that lost it.
    pub repository: String,
    /// Number of tags; of a record that is shown by itself, of those that the caller may see.
    pub tags: usize,
    /// Number of links of manifests.
    pub manifests: usize,
    /// Number of links of layers.
    pub layers: usize,
}

/// The record of a deletion that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DamagedRecord {
    /// Identifier of the deletion.
    pub id: String,
    /// What is wrong with its record.
    pub problem: String,
}

/// All pointers that a deletion removed. Of long lists the first thousand are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeletedPointers {
    /// The deletion.
    pub deletion: Deleted,
    /// Tags, as far as the caller may see them.
    pub tags: Vec<DeletedTag>,
    /// Links of manifests.
    pub manifests: Vec<DeletedLink>,
    /// Links of layers.
    pub layers: Vec<DeletedLink>,
}

/// A tag that was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeletedTag {
    /// The tag.
    pub tag: String,
    /// Digest of the manifest at which it pointed.
    pub digest: String,
    /// Since when (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    pub since: String,
    /// At how many manifests it had pointed in all.
    pub history: usize,
}

/// A link that was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeletedLink {
    /// Its digest.
    pub digest: String,
    /// When it was written (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    pub since: String,
}

/// How a deletion is restored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Restoration {
    /// Whether tags that point elsewhere by now are moved back.
    #[serde(default)]
    pub force: bool,
}

/// Outcome of a restoration. Of long lists the first thousand are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Restored {
    /// Name of the repository.
    pub repository: String,
    /// Tags that point again at what they pointed at.
    pub tags: Vec<String>,
    /// Number of all these tags.
    pub tags_total: usize,
    /// Number of manifests that the repository has again.
    pub manifests: usize,
    /// Number of links of layers that were written again.
    pub layers: usize,
    /// Tags that point elsewhere by now, and were left alone.
    pub left_alone: Vec<LeftAlone>,
    /// Digests of content that the store does not have any more.
    pub lost: Vec<String>,
}

/// A tag that was pushed again since it was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftAlone {
    /// The tag.
    pub tag: String,
    /// Digest of the manifest at which it pointed when it was deleted.
    pub deleted: String,
    /// Digest of the manifest at which it points now.
    pub current: String,
}

/// Which deletions are given up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Emptying {
    /// Those that were made more than so many seconds ago; 0: all.
    pub older_than: u64,
}

/// How many deletions were given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Emptied {
    /// Their number.
    pub removed: usize,
}
