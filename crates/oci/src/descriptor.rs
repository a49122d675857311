//! Descriptors: how a manifest names what it is made of, and how the referrers list names manifests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Digest, media_type};

/// What a manifest says of a piece of content (OCI image specification, descriptor.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What kind of content it is.
    pub media_type: String,
    /// Which content it is.
    pub digest: Digest,
    /// How many bytes it has; fits an `i64`.
    pub size: u64,
    /// What an artifact is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Whatever else the pusher wanted to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Where else the content can be had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// What an image runs on, in the children of an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

impl Descriptor {
    /// Whether the content may be missing from the registry: a layer whose licence keeps it elsewhere, or
    /// content that names other places where it can be had.
    pub fn is_foreign(&self) -> bool {
        media_type::is_foreign_layer(&self.media_type) || !self.urls.is_empty()
    }
}

/// What an image runs on (OCI image specification, image-index.md).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Platform {
    /// Such as `amd64`.
    pub architecture: String,
    /// Such as `linux`.
    pub os: String,
    /// Such as `v7` of `arm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}
