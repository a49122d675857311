//! An image as its registry describes it: the manifest, of one platform if need be, and the configuration.

use anyhow::{Context as _, bail};
use serde_json::Value;
use wharf_client::{Client, Manifest, printable};
use wharf_oci::{Descriptor, ManifestKind, ManifestView, Platform, Reference, media_type};

/// Media types of image configurations, which have the platform and the history of an image.
const IMAGE_CONFIGS: [&str; 2] = [media_type::OCI_CONFIG, media_type::DOCKER_CONFIG];

/// The platform of attestations, which run nowhere.
const NO_PLATFORM: &str = "unknown/unknown";

/// What configurations name that were made from nothing but a layer.
const EMPTY_PLATFORM: &str = "/";

/// An image as its registry describes it.
pub(super) struct Image {
    pub(super) manifest: Manifest,
    pub(super) view: ManifestView,
    /// The configuration, if it is that of an image.
    pub(super) config: Option<Value>,
}

impl Image {
    /// The manifest `reference`, an index or an image; the image of `platform` in an index, if one is given.
    pub(super) async fn read(
        client: &Client,
        repository: &str,
        reference: &Reference,
        platform: Option<&str>,
    ) -> anyhow::Result<Self> {
        let manifest = client.manifest(repository, reference).await?;
        let view = parsed(&manifest)?;
        let Some(wanted) = platform else {
            return Self::with_config(client, repository, manifest, view).await;
        };
        if view.kind != ManifestKind::Index {
            bail!("this is a single image, not an index with several platforms");
        }
        let child = view
            .manifests
            .iter()
            .find(|child| names(child.platform.as_ref(), wanted));
        let child = child.with_context(|| no_image(wanted, &view))?;
        Self::child(client, repository, child).await
    }

    /// The image `reference` that has files: of an index the one for `platform`, or else for this machine's, or the only one.
    pub(super) async fn of_platform(
        client: &Client,
        repository: &str,
        reference: &Reference,
        platform: Option<&str>,
    ) -> anyhow::Result<Self> {
        let manifest = client.manifest(repository, reference).await?;
        let view = parsed(&manifest)?;
        if view.kind != ManifestKind::Index {
            let image = Self::with_config(client, repository, manifest, view).await?;
            if let Some(wanted) = platform
                && let platforms = image.platforms()
                && !platforms
                    .iter()
                    .any(|own| own == wanted || own.starts_with(&format!("{wanted}/")))
            {
                bail!(
                    "this is a single image for `{}`, and not for `{wanted}`",
                    printable(&platforms.join(", "))
                );
            }
            return Ok(image);
        }
        let wanted = platform.map_or_else(this_machine, str::to_owned);
        let images: Vec<&Descriptor> = view.manifests.iter().filter(|child| is_image(child)).collect();
        let named = images
            .iter()
            .find(|child| names(child.platform.as_ref(), &wanted));
        let only = match (&images[..], platform) {
            ([only], None) => Some(only),
            _ => None,
        };
        let child = named.or(only);
        let child =
            child.with_context(|| format!("{}; choose one by --platform", no_image(&wanted, &view)))?;
        Self::child(client, repository, child).await
    }

    async fn child(client: &Client, repository: &str, child: &Descriptor) -> anyhow::Result<Self> {
        let manifest = client
            .manifest(repository, &Reference::Digest(child.digest))
            .await?;
        let view = parsed(&manifest)?;
        Self::with_config(client, repository, manifest, view).await
    }

    async fn with_config(
        client: &Client,
        repository: &str,
        manifest: Manifest,
        view: ManifestView,
    ) -> anyhow::Result<Self> {
        let config = match &view.config {
            Some(config) if IMAGE_CONFIGS.contains(&&*config.media_type) => {
                let bytes = client.small_blob(repository, &config.digest).await?;
                serde_json::from_slice(&bytes).ok()
            }
            _ => None,
        };
        Ok(Self {
            manifest,
            view,
            config,
        })
    }

    /// The platforms of the image, or of those in the index, without attestations.
    pub(super) fn platforms(&self) -> Vec<String> {
        let of_children = self
            .view
            .manifests
            .iter()
            .filter_map(|child| child.platform.as_ref())
            .map(shown);
        let own = self.config.as_ref().and_then(|config| {
            Some(shown(&Platform {
                os: config["os"].as_str()?.to_owned(),
                architecture: config["architecture"].as_str()?.to_owned(),
                variant: config["variant"].as_str().map(str::to_owned),
            }))
        });
        of_children
            .chain(own)
            .filter(|platform| platform != NO_PLATFORM && platform != EMPTY_PLATFORM)
            .collect()
    }

    /// Size in bytes of the configuration and all layers, or of the children's manifests.
    pub(super) fn size(&self) -> u64 {
        let parts = self
            .view
            .config
            .iter()
            .chain(&self.view.layers)
            .chain(&self.view.manifests);
        parts.map(|part| part.size).fold(0, u64::saturating_add)
    }

    /// The steps of the history, in the order in which they were made.
    pub(super) fn history(&self) -> impl Iterator<Item = &Value> {
        let history = self
            .config
            .as_ref()
            .and_then(|config| config["history"].as_array());
        history.into_iter().flatten()
    }
}

fn parsed(manifest: &Manifest) -> anyhow::Result<ManifestView> {
    ManifestView::parse_stored(&manifest.bytes).context("cannot parse the manifest")
}

fn is_image(child: &Descriptor) -> bool {
    !child.is_blob()
        && child
            .platform
            .as_ref()
            .is_none_or(|platform| shown(platform) != NO_PLATFORM)
}

/// The platform of images that run on this machine.
fn this_machine() -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    };
    format!("linux/{architecture}")
}

/// Whether `wanted`, such as `linux/arm64` or `linux/arm/v7`, names the platform.
fn names(platform: Option<&Platform>, wanted: &str) -> bool {
    platform.is_some_and(|platform| {
        let full = shown(platform);
        full == wanted || format!("{}/{}", platform.os, platform.architecture) == wanted
    })
}

fn no_image(wanted: &str, view: &ManifestView) -> String {
    let platforms = view.manifests.iter().filter_map(|child| child.platform.as_ref());
    format!(
        "there is no image for `{wanted}`; there are: {}",
        listed(platforms)
    )
}

/// The platforms of an index for an error message: a line break in one must not begin a line of its own.
fn listed<'a>(platforms: impl Iterator<Item = &'a Platform>) -> String {
    let platforms = platforms.map(shown).filter(|platform| platform != NO_PLATFORM);
    let platforms = platforms.map(|platform| printable(&platform).into_owned());
    platforms.collect::<Vec<_>>().join(", ")
}

/// A platform as people write it.
pub(super) fn shown(platform: &Platform) -> String {
    let Platform {
        os,
        architecture,
        variant,
    } = platform;
    match variant.as_deref().filter(|variant| !variant.is_empty()) {
        Some(variant) => format!("{os}/{architecture}/{variant}"),
        None => format!("{os}/{architecture}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_named_with_and_without_variant() {
        let platform = Platform {
            os: "linux".to_owned(),
            architecture: "arm".to_owned(),
            variant: Some("v7".to_owned()),
        };
        assert!(names(Some(&platform), "linux/arm/v7"));
        assert!(names(Some(&platform), "linux/arm"));
        assert!(!names(Some(&platform), "linux/arm64"));
        assert!(!names(None, "linux/arm"));
    }

    #[test]
    fn a_platform_forges_no_line_of_an_error() {
        let platform = Platform {
            os: "linux\nwharf: done".to_owned(),
            architecture: "arm".to_owned(),
            variant: None,
        };
        assert_eq!(listed([&platform].into_iter()), "linux\\nwharf: done/arm");
    }
}
