//! What a manifest is to its users, as far as its media types tell.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    manifest::{ManifestKind, ManifestView},
    media_type,
};

/// What a manifest is to its users: by its `artifactType`, else by the media type of its configuration (OCI image specification,
/// "Guidelines for Artifact Usage"), else by those of its layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArtifactKind {
    /// An image of a container, for one platform or several.
    Image,
    /// The cache of a build, as BuildKit writes it. Caches of kaniko are images.
    Cache,
    /// A Helm chart.
    Chart,
    /// A signature or an attestation, as cosign, sigstore or Notary write it.
    Signature,
    /// Another artifact.
    Other,
}

const HELM: &str = "application/vnd.cncf.helm.config.v1+json";
const BUILDKIT: &str = "application/vnd.buildkit.cacheconfig.";
const SIGNATURES: [&str; 5] = [
    "application/vnd.dev.cosign.",
    "application/vnd.dev.sigstore.",
    "application/vnd.cncf.notary.signature",
    "application/vnd.dsse.envelope.",
    "application/vnd.in-toto+json",
];

impl ArtifactKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [
        Self::Image,
        Self::Cache,
        Self::Chart,
        Self::Signature,
        Self::Other,
    ];

    /// The kind of a manifest. An index that says nothing of itself counts as an image; its children may tell more.
    pub fn of(manifest: &ManifestView) -> Self {
        let stated = manifest.effective_artifact_type();
        // Signatures of cosign have the configuration of an image.
        let parts = manifest.manifests.iter().chain(&manifest.layers);
        let mut types = stated.into_iter().chain(parts.map(|part| &*part.media_type));
        if let Some(kind) = types.find_map(Self::special) {
            return kind;
        }
        match (manifest.kind, stated) {
            (_, Some(media_type::DOCKER_CONFIG | media_type::OCI_CONFIG))
            | (ManifestKind::Index, None)
            | (ManifestKind::Schema1, _) => Self::Image,
            _ => Self::Other,
        }
    }

    /// The kind other than an image that has this media type, in itself or in one of its parts.
    fn special(media_type: &str) -> Option<Self> {
        match media_type {
            HELM => Some(Self::Chart),
            other if other.starts_with(BUILDKIT) => Some(Self::Cache),
            other if SIGNATURES.iter().any(|prefix| other.starts_with(prefix)) => Some(Self::Signature),
            _ => None,
        }
    }

    /// Its name in configurations, rules and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Cache => "cache",
            Self::Chart => "chart",
            Self::Signature => "signature",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for ArtifactKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no kind of artifact; the kinds are `image`, `cache`, `chart`, `signature` and `other`")]
pub struct ArtifactKindError(String);

impl FromStr for ArtifactKind {
    type Err = ArtifactKindError;

    fn from_str(text: &str) -> Result<Self, ArtifactKindError> {
        let kind = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        kind.ok_or_else(|| ArtifactKindError(text.escape_debug().take(64).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn kind(manifest: &str) -> ArtifactKind {
        ArtifactKind::of(&ManifestView::parse_stored(manifest.as_bytes()).expect("a manifest"))
    }

    fn image(config: &str, layer: &str) -> String {
        let descriptor =
            |media_type: &str| format!(r#"{{"mediaType":"{media_type}","digest":"{DIGEST}","size":0}}"#);
        format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},"layers":[{}]}}"#,
            descriptor(config),
            descriptor(layer)
        )
    }

    fn index(entry: &str) -> String {
        format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{{"mediaType":"{entry}","digest":"{DIGEST}","size":0}}]}}"#
        )
    }

    #[test]
    fn the_kind_follows_from_media_types() {
        let layer = media_type::OCI_LAYER_GZIP;
        for (manifest, expected) in [
            (image(media_type::OCI_CONFIG, layer), ArtifactKind::Image),
            (
                image(media_type::DOCKER_CONFIG, media_type::DOCKER_LAYER),
                ArtifactKind::Image,
            ),
            (index(media_type::OCI_MANIFEST), ArtifactKind::Image),
            (
                image(HELM, "application/vnd.cncf.helm.chart.content.v1.tar+gzip"),
                ArtifactKind::Chart,
            ),
            (
                image("application/vnd.buildkit.cacheconfig.v0", layer),
                ArtifactKind::Cache,
            ),
            (
                index("application/vnd.buildkit.cacheconfig.v0"),
                ArtifactKind::Cache,
            ),
            (
                image(
                    media_type::OCI_EMPTY,
                    "application/vnd.dev.sigstore.bundle.v0.3+json",
                ),
                ArtifactKind::Signature,
            ),
            (
                image("application/vnd.cncf.notary.signature", "application/jose+json"),
                ArtifactKind::Signature,
            ),
            (image("application/vnd.example.thing", layer), ArtifactKind::Other),
        ] {
            assert_eq!(kind(&manifest), expected, "{manifest}");
        }
    }

    #[test]
    fn a_signature_of_cosign_looks_like_an_image_and_is_none() {
        let manifest = image(
            media_type::OCI_CONFIG,
            "application/vnd.dev.cosign.simplesigning.v1+json",
        );
        assert_eq!(kind(&manifest), ArtifactKind::Signature);
    }

    #[test]
    fn each_kind_is_read_by_its_name() {
        for kind in ArtifactKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        let error = "images".parse::<ArtifactKind>().unwrap_err();
        assert!(error.to_string().contains("`image`"), "{error}");
    }
}
