//! One image, with all its parts. Times that builders wrote are as they wrote them. Of a text that is longer than 4,096 bytes the
//! beginning is shown, with `…` behind it, and of a list of texts the first 1,000.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_message::Message;

use super::images::{ListedImage, PullCount};

/// An image or another artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Image {
    /// Name of the repository.
    pub repository: String,
    /// The tag or the digest that was asked for.
    pub reference: String,
    /// Digest of the manifest.
    pub digest: String,
    /// When the tag that was asked for was pushed last, or when the manifest was (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed: Option<String>,
    /// What the manifest says; absent where it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Manifest>,
    /// The manifests that refer to it, at most 100.
    pub referrers: Vec<Referrer>,
    /// Whether there are more of them; the API for images lists all.
    pub more_referrers: bool,
    /// The tags that point at it and that the caller may pull, at most 1,000.
    pub tags: Vec<String>,
    /// How many there are; `null` in a repository of more than 10,000 tags, where `tags` has only the one that was asked for.
    pub tags_total: Option<usize>,
    /// The tags by which something is attached to it, as cosign does it: made of its digest, with an end such as `.sig`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attached_tags: Vec<String>,
    /// Why the manifest cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// `problem` by codes, for programs, part by part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problem_messages: Vec<Message>,
    /// What was not looked for, or cannot be read, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// `left_out` by codes, for programs, line by line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out_messages: Vec<Vec<Message>>,
    /// How often the manifest was pulled, by a tag or by its digest; absent where rules hide tags of the repository from the caller.
    #[serde(flatten)]
    pub pulls: PullCount,
}

/// What a manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// Media type of the manifest.
    pub media_type: String,
    /// Type of the artifact, if the manifest or its configuration names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// What it is to its users: `image`, `cache`, `chart`, `signature` or `other`.
    pub kind: String,
    /// Bytes of the manifest itself.
    pub manifest_size: u64,
    /// Bytes of configurations and layers, of all platforms, each digest counted once; absent where they are not all known, and then
    /// `problem` says why, or `size_unstated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Whether the size is absent because the manifests do not state it, as those of schema 1.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub size_unstated: bool,
    /// Annotations of the manifest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The manifest that it refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Part>,
    /// The configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Configuration>,
    /// What is missing or damaged in the manifests that it lists, or was not read of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// `problem` by codes, for programs, part by part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problem_messages: Vec<Message>,
    /// The layers, or the blobs of an artifact, at most 1,000.
    pub layers: Vec<Layer>,
    /// How many there are.
    pub layers_total: usize,
    /// The steps of the build, at most 1,000.
    pub history: Vec<Step>,
    /// The manifests that an index lists, at most 256.
    pub children: Vec<Child>,
    /// How many there are.
    pub children_total: usize,
}

/// A manifest or a blob, as another manifest names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Part {
    /// Its digest.
    pub digest: String,
    /// Its media type.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
}

/// The configuration of an image or of another artifact.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Configuration {
    /// Digest of the configuration.
    pub digest: String,
    /// Media type of the configuration.
    pub media_type: String,
    /// Size of the configuration in bytes.
    pub size: u64,
    /// What is missing or damaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// `problem` by codes, for programs, part by part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problem_messages: Vec<Message>,
    /// When the image was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The author.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// The architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// The variant of the architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The user that the process runs as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Variables of the environment, as `NAME=value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The command with the arguments that every container begins with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// The arguments of the entry point, or the command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// The directory in which the process begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Ports that the process listens at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exposed_ports: Vec<String>,
    /// Directories whose content is no part of the image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A layer, or another blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Layer {
    /// The blob.
    #[serde(flatten)]
    pub part: Part,
    /// The number of the step in `history` that made it, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// What is missing or damaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// `problem` by codes, for programs, part by part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problem_messages: Vec<Message>,
}

/// A step of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// When it was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// A remark of the builder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether it made no layer.
    pub makes_no_layer: bool,
}

/// A manifest that an index lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Child {
    /// Digest of the manifest.
    pub digest: String,
    /// Bytes of the manifest itself.
    pub manifest_size: u64,
    /// The platform that the index names, such as `linux/arm64/v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Annotations in the index.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What it is.
    #[serde(flatten)]
    pub image: ListedImage,
}

/// A manifest that refers to an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Referrer {
    /// The manifest.
    #[serde(flatten)]
    pub part: Part,
    /// Type of the artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Annotations of the manifest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}
