//! Platforms: which ones are wanted, and an index without the others.

use std::{collections::HashSet, fmt, str::FromStr};

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

/// Those of the `wanted` platforms that an index has; none of a single image.
pub(super) fn there(
    manifest: &Manifest,
    wanted: &[WantedPlatform],
) -> Result<Vec<WantedPlatform>, PlatformError> {
    let Ok(view) = ManifestView::parse_stored(&manifest.bytes) else {
        return Ok(Vec::new());
    };
    if view.kind != ManifestKind::Index {
        return Ok(Vec::new());
    }
    let has = |wanted: &&WantedPlatform| {
        let mut platforms = view.manifests.iter().filter_map(|child| child.platform.as_ref());
        platforms.any(|platform| wanted.fits(platform))
    };
    let there: Vec<_> = wanted.iter().filter(has).cloned().collect();
    match wanted.first() {
        Some(first) if there.is_empty() => Err(missing(first, &view)),
        _ => Ok(there),
    }
}

/// The index with the wanted platforms alone, and the attestations for them. It is the same when nothing is left out.
pub(super) fn reduce(index: Manifest, wanted: &[WantedPlatform]) -> Result<Manifest, PlatformError> {
    let digest = index.digest;
    let no_index = || PlatformError::NoIndex(digest);
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
    let kept: HashSet<String> = view
        .manifests
        .iter()
        .filter(|child| child.platform.as_ref().is_some_and(fits))
        .map(|child| child.digest.to_string())
        .collect();
    let is_kept = |digest: &str, subject: Option<&str>| {
        let is_in = |text: &str| kept.contains(text);
        is_in(digest) || subject.is_some_and(is_in)
    };
    rewrite(index, is_kept).ok_or_else(no_index)
}

/// The index without these entries, and without the attestations for them; `None`: no image would remain.
pub(super) fn without(index: Manifest, absent: &[&Descriptor]) -> Option<Manifest> {
    let absent: HashSet<String> = absent.iter().map(|child| child.digest.to_string()).collect();
    let is_kept = |digest: &str, subject: Option<&str>| {
        !absent.contains(digest) && subject.is_none_or(|subject| !absent.contains(subject))
    };
    let reduced = rewrite(index, is_kept)?;
    let view = ManifestView::parse_stored(&reduced.bytes).ok()?;
    let has_image = view.manifests.iter().any(|entry| !is_attestation(entry));
    has_image.then_some(reduced)
}

/// Whether an entry of an index is the attestation for another one.
pub(super) fn is_attestation(entry: &Descriptor) -> bool {
    let annotations = entry.annotations.as_ref();
    annotations.is_some_and(|annotations| annotations.contains_key(ATTESTS))
}

/// The index with those entries alone of which `is_kept` says so, by the digest and by that of the image that an attestation is for. It is
/// the same when nothing is left out.
fn rewrite(index: Manifest, is_kept: impl Fn(&str, Option<&str>) -> bool) -> Option<Manifest> {
    let mut json: Value = serde_json::from_slice(&index.bytes).ok()?;
    let entries = json["manifests"].as_array_mut()?;
    let before = entries.len();
    entries.retain(|entry| {
        let digest = entry["digest"].as_str().unwrap_or_default();
        is_kept(digest, entry["annotations"][ATTESTS].as_str())
    });
    if entries.len() == before {
        return Some(index);
    }
    let bytes = serde_json::to_vec(&json).ok()?;
    Some(Manifest {
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
    fn an_index_goes_without_what_a_file_has_not() {
        let view = ManifestView::parse_stored(&index().bytes).unwrap();
        let absent = |places: &[usize]| -> Option<usize> {
            let absent: Vec<&Descriptor> = places.iter().map(|place| &view.manifests[*place]).collect();
            let reduced = without(index(), &absent)?;
            assert_eq!(Digest::sha256_of(&reduced.bytes), reduced.digest);
            let view = ManifestView::parse_stored(&reduced.bytes).unwrap();
            Some(view.manifests.len())
        };
        assert_eq!(absent(&[0]), Some(2));
        assert_eq!(absent(&[1]), Some(1), "the attestation is for nothing then");
        assert_eq!(absent(&[0, 1]), None);
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
