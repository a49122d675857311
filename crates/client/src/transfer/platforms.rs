//! Platforms: which ones are wanted, and an index without the others.

use std::{fmt, str::FromStr};

use serde_json::Value;
use wharf_oci::{Descriptor, Digest, ManifestKind, ManifestView, Platform};

use crate::{Manifest, text::printable};

/// The annotation by which BuildKit names the image that an attestation in the same index is for.
const ATTESTS: &str = "vnd.docker.reference.digest";

/// A platform that is asked for: `linux/arm64`, `linux/arm/v7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedPlatform {
    os: String,
    architecture: String,
    /// Variant; without one, all of them are wanted.
    variant: Option<String>,
}

/// The platforms do not fit the image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// The text names no platform.
    #[error("`{0}` names no platform; write it such as `linux/amd64` or `linux/arm/v7`")]
    Text(String),
    /// The image has no such platform.
    #[error("there is no image for `{wanted}`; there are: {}", printable(found))]
    Missing {
        /// Platform that was asked for.
        wanted: String,
        /// Platforms that there are.
        found: String,
    },
    /// The manifest is no index.
    #[error("{0} is a single image, not an index with several platforms; leave `--platform` out")]
    NoIndex(Digest),
}

impl WantedPlatform {
    /// The platform of containers on this machine.
    pub fn of_this_machine() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: None,
        }
    }

    /// Whether `platform` is one that is wanted.
    pub fn fits(&self, platform: &Platform) -> bool {
        let variant = platform.variant.as_deref().filter(|variant| !variant.is_empty());
        platform.os == self.os
            && platform.architecture == self.architecture
            && self
                .variant
                .as_deref()
                .is_none_or(|wanted| Some(wanted) == variant)
    }
}

impl FromStr for WantedPlatform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => return Err(PlatformError::Text(text.to_owned())),
        };
        if parts.iter().any(|part| part.is_empty()) {
            return Err(PlatformError::Text(text.to_owned()));
        }
        Ok(Self {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        })
    }
}

impl fmt::Display for WantedPlatform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}",
            shown(&self.os, &self.architecture, self.variant.as_deref())
        )
    }
}

fn shown(os: &str, architecture: &str, variant: Option<&str>) -> String {
    match variant.filter(|variant| !variant.is_empty()) {
        Some(variant) => format!("{os}/{architecture}/{variant}"),
        None => format!("{os}/{architecture}"),
    }
}

/// The child of an index for one platform: `wanted`, or without it the one of this machine.
pub(super) fn choose(index: &ManifestView, wanted: Option<&WantedPlatform>) -> Result<Digest, PlatformError> {
    let own = WantedPlatform::of_this_machine();
    let wanted = wanted.unwrap_or(&own);
    let fits = |child: &&Descriptor| {
        child
            .platform
            .as_ref()
            .is_some_and(|platform| wanted.fits(platform))
    };
    let child = index.children().find(fits).map(|child| child.digest);
    child.ok_or_else(|| missing(wanted, index))
}

fn missing(wanted: &WantedPlatform, index: &ManifestView) -> PlatformError {
    let platforms = index.manifests.iter().filter_map(|child| child.platform.as_ref());
    let found = platforms.map(|child| shown(&child.os, &child.architecture, child.variant.as_deref()));
    PlatformError::Missing {
        wanted: wanted.to_string(),
        found: found
            .filter(|name| name != "unknown/unknown")
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// The index with the wanted platforms alone, and the attestations for them. It is the same when nothing is left out.
pub(super) fn reduce(index: Manifest, wanted: &[WantedPlatform]) -> Result<Manifest, PlatformError> {
    let no_index = || PlatformError::NoIndex(index.digest);
    let view = ManifestView::parse_stored(&index.bytes).map_err(|_| no_index())?;
    if view.kind != ManifestKind::Index {
        return Err(no_index());
    }
    for platform in wanted {
        let mut has = view.manifests.iter().filter_map(|child| child.platform.as_ref());
        if !has.any(|child| platform.fits(child)) {
            return Err(missing(platform, &view));
        }
    }
    let fits = |platform: &Platform| wanted.iter().any(|wanted| wanted.fits(platform));
    let kept: Vec<String> = view
        .manifests
        .iter()
        .filter(|child| child.platform.as_ref().is_some_and(fits))
        .map(|child| child.digest.to_string())
        .collect();
    let mut json: Value = serde_json::from_slice(&index.bytes).map_err(|_| no_index())?;
    let entries = json["manifests"].as_array_mut().ok_or_else(no_index)?;
    let before = entries.len();
    entries.retain(|entry| {
        let is_kept = |value: &Value| {
            value
                .as_str()
                .is_some_and(|text| kept.iter().any(|kept| kept == text))
        };
        is_kept(&entry["digest"]) || is_kept(&entry["annotations"][ATTESTS])
    });
    if entries.len() == before {
        return Ok(index);
    }
    let bytes = serde_json::to_vec(&json).map_err(|_| no_index())?;
    Ok(Manifest {
        digest: Digest::of(index.digest.algorithm(), &bytes),
        bytes: bytes.into(),
        ..index
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wharf_oci::media_type;

    use super::*;

    fn index() -> Manifest {
        let entry = |content: &str, platform: Value, annotations: Value| {
            json!({"mediaType": media_type::OCI_MANIFEST, "size": 1, "platform": platform,
                "digest": Digest::sha256_of(content.as_bytes()).to_string(), "annotations": annotations})
        };
        let platform = |architecture: &str, variant: Option<&str>| json!({"os": "linux", "architecture": architecture, "variant": variant});
        let attests = json!({ATTESTS: Digest::sha256_of(b"arm64").to_string()});
        let value = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [
            entry("amd64", json!({"os": "linux", "architecture": "amd64"}), json!({})),
            entry("arm64", platform("arm64", Some("v8")), json!({})),
            entry("attestation", json!({"os": "unknown", "architecture": "unknown"}), attests),
        ]});
        let bytes = serde_json::to_vec(&value).unwrap();
        Manifest {
            media_type: media_type::OCI_INDEX.to_owned(),
            digest: Digest::sha256_of(&bytes),
            bytes: bytes.into(),
        }
    }

    fn wanted(names: &[&str]) -> Vec<WantedPlatform> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn an_index_keeps_what_is_wanted_and_its_attestations() {
        let children = |names: &[&str]| {
            let reduced = reduce(index(), &wanted(names)).unwrap();
            assert_eq!(Digest::sha256_of(&reduced.bytes), reduced.digest);
            ManifestView::parse_stored(&reduced.bytes)
                .unwrap()
                .manifests
                .len()
        };
        assert_eq!(children(&["linux/amd64"]), 1);
        assert_eq!(children(&["linux/arm64"]), 2);
        assert_eq!(children(&["linux/arm64/v8"]), 2);
        let all = reduce(index(), &wanted(&["linux/amd64", "linux/arm64"])).unwrap();
        assert_eq!(
            all.digest,
            index().digest,
            "nothing is left out, so nothing changes"
        );
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = reduce(index(), &wanted(&["linux/s390x"]))
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "there is no image for `linux/s390x`; there are: linux/amd64, linux/arm64/v8"
        );
        for bad in ["", "linux", "linux/", "a/b/c/d"] {
            assert!(bad.parse::<WantedPlatform>().is_err(), "{bad}");
        }
    }
}
