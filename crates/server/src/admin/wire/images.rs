//! Repositories, tags and images as lists show them. Times are those of RFC 3339.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_message::Message;

/// A page of the repositories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RepositoryPage {
    /// The repositories, in the order that was asked for.
    pub repositories: Vec<ListedRepository>,
    /// The cursor of the next page; absent on the last one. A page may have fewer repositories than its `limit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Why pulls are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// `problem` by codes, for programs, part by part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problem_messages: Vec<Message>,
}

/// A repository, with what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListedRepository {
    /// Name of the repository.
    pub name: String,
    /// How many tags it has that the caller may pull; `null` where there are more than 10,000, or they are among too many others.
    pub tags: Option<usize>,
    /// When one of these was pushed last; absent without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed: Option<String>,
    /// How many manifests it has, of those that the caller may pull: all of them, or those that these tags need where rules hide others.
    /// `null` where there are more than 5,000, or too many tags to tell.
    pub manifests: Option<usize>,
    /// Bytes of what these manifests name, each digest counted once, as far as the manifests state them; `null` where there are more than
    /// 5,000 manifests or 50,000 digests, and where nothing is stated. Other repositories may share some of them.
    pub size: Option<u64>,
    /// How many of these manifests are damaged or missing. What they name is not in the size.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub damaged: usize,
    /// Why something is `null`, or not in the size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// `problem` by codes, for programs, part by part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problem_messages: Vec<Message>,
    /// How often its images were pulled; absent where rules hide tags of it from the caller.
    #[serde(flatten)]
    pub pulls: PullCount,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// The disk use of a store. Sizes are those that its manifests state; manifests themselves are not counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// The largest repositories that have manifests, the largest one first.
    pub repositories: Vec<RepositoryUsage>,
    /// How many there are; where something was left out, how many were read.
    pub total: usize,
    /// Bytes of all that these need, each digest counted once.
    pub size: u64,
    /// How many manifests are damaged or missing, or do not state all sizes. Where there are any, all sizes are lower bounds, and `unique` may
    /// count bytes that these manifests share.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub uncounted: usize,
    /// Bytes that only deletions in the trash need: a collection frees them when these are given up. Absent where not everything was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trash: Option<u64>,
    /// Bytes that are free on the file system; absent where the store has no such limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<u64>,
    /// Bytes of the file system, free or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u64>,
    /// Why something is left out or not exact: the store has more than one answer adds up, or manifests could not be counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// `problem` by codes, for programs, part by part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problem_messages: Vec<Message>,
}

/// The disk use of one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RepositoryUsage {
    /// Name of the repository.
    pub name: String,
    /// How many manifests it has.
    pub manifests: usize,
    /// How many of them are damaged or missing. What these name is not counted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub damaged: usize,
    /// How many of them do not state all sizes. What they leave out is not counted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unstated: usize,
    /// Bytes of all that it needs, each digest counted once.
    pub size: u64,
    /// Bytes that no other repository needs; `null` where not all repositories were read.
    pub unique: Option<u64>,
    /// Bytes that other repositories need as well; `null` where not all repositories were read.
    pub shared: Option<u64>,
}

/// A page of the tags of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TagPage {
    /// Name of the repository.
    pub repository: String,
    /// The tags, in the order that was asked for.
    pub tags: Vec<ListedTag>,
    /// The cursor of the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Why pulls are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// `problem` by codes, for programs, part by part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problem_messages: Vec<Message>,
}

/// A tag, with what it points at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListedTag {
    /// The tag.
    pub tag: String,
    /// Digest of the manifest at which it points; absent where its link is damaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// When it was pushed last.
    pub pushed: String,
    /// The image, or another artifact.
    #[serde(flatten)]
    pub image: ListedImage,
    /// What is attached to it, each kind once: `signature`, `sbom`, `attestation` or `other`. Only where that is asked for, and not in a
    /// repository of more than 2,000 manifests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attached: Vec<String>,
    /// How often it was pulled.
    #[serde(flatten)]
    pub pulls: PullCount,
}

/// A page of the manifests of a repository that no tag reaches, those that came last first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UntaggedPage {
    /// Name of the repository.
    pub repository: String,
    /// The manifests.
    pub manifests: Vec<ListedUntagged>,
    /// How many there are on all pages.
    pub total: usize,
    /// The cursor of the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Why some are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// `problem` by codes, for programs, part by part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problem_messages: Vec<Message>,
}

/// A manifest that no tag reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListedUntagged {
    /// Digest of the manifest.
    pub digest: String,
    /// When it came into the repository.
    pub pushed: String,
    /// The image, or another artifact.
    #[serde(flatten)]
    pub image: ListedImage,
    /// The manifest that it refers to, as a signature does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Indexes that list it, which no tag reaches either: not more than ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listed_by: Vec<String>,
    /// How many manifests refer to it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub referrers: usize,
    /// Tags that pointed at it and were moved, and that the caller may pull: not more than ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_by: Vec<String>,
}

/// What a list shows of an image or another artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListedImage {
    /// Media type of the manifest; absent where that cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What it is to its users: `image`, `cache`, `chart`, `signature` or `other`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Bytes of its configuration and layers, of all its platforms, each digest counted once, as its manifests state them; absent where
    /// these cannot all be read, or do not state them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Whether the size is absent because the manifests do not state it, as those of schema 1.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub size_unstated: bool,
    /// The platforms that it is for, without attestations.
    pub platforms: Vec<ListedPlatform>,
    /// What is missing or damaged, or was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// `problem` by codes, for programs, part by part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problem_messages: Vec<Message>,
}

/// What a list shows of an image for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListedPlatform {
    /// Name of the platform, such as `linux/arm64/v8`.
    pub platform: String,
    /// Digest of its manifest.
    pub digest: String,
    /// Bytes of its configuration and layers; absent where its manifest cannot be read, or does not state them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// What is missing or damaged, or was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// `problem` by codes, for programs, part by part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problem_messages: Vec<Message>,
}

/// How often something was pulled. The pulls of the last seconds are not counted yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PullCount {
    /// How often, since its pulls are counted; absent where they are not counted, or may have been forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulls: Option<u64>,
    /// When last; absent where that is not known, or it was not pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_pull: Option<String>,
}
