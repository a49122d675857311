//! Descriptors: how a manifest names its parts, and how the referrers list names manifests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Digest, media_type};

/// The description of a piece of content in a manifest (OCI image specification, descriptor.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Media type of the content.
    pub media_type: String,
    /// Digest of the content.
    pub digest: Digest,
    /// Size of the content in bytes; fits an `i64`.
    pub size: u64,
    /// Type of the artifact, if the content is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Annotations: free text by key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// URLs at which the content can be downloaded as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Platform of an image, for the children of an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

impl Descriptor {
    /// Whether the content may be missing from the registry: a layer whose licence keeps it elsewhere, or
    /// content with URLs of other places.
    pub fn is_foreign(&self) -> bool {
        media_type::is_foreign_layer(&self.media_type) || !self.urls.is_empty()
    }

    /// Whether its media type says that the content is a blob: it has one, and no manifest has it.
    ///
    /// An entry of an index may be a blob: BuildKit writes its cache as an index of layers.
    pub fn is_blob(&self) -> bool {
        !self.media_type.is_empty() && !media_type::is_manifest(&self.media_type)
    }
}

/// The platform of an image (OCI image specification, image-index.md).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Platform {
    /// Architecture, such as `amd64`.
    pub architecture: String,
    /// Operating system, such as `linux`.
    pub os: String,
    /// Variant of the architecture, such as `v7` of `arm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// The longest name of a platform in bytes. Names that are longer are none.
const LONGEST_PLATFORM: usize = 100;

impl Platform {
    /// Its name, such as `linux/arm64/v8`; `None` where it says neither system nor architecture, or only that they are `unknown`, as
    /// `BuildKit` does for attestations.
    pub fn name(&self) -> Option<String> {
        let is_said = |part: &str| !part.is_empty() && part != "unknown";
        let variant = self.variant.as_deref().filter(|variant| !variant.is_empty());
        let name = match variant {
            Some(variant) => format!("{}/{}/{variant}", self.os, self.architecture),
            None => format!("{}/{}", self.os, self.architecture),
        };
        (is_said(&self.os) && is_said(&self.architecture) && name.len() <= LONGEST_PLATFORM).then_some(name)
    }
}
