//! `wharf inspect`: the description of an image.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use serde_json::{Value, json};
use wharf_client::{Client, ImageName, Manifest, printable};
use wharf_oci::{Descriptor, ManifestKind, ManifestView, Platform, Reference, media_type};

use crate::{
    cli::Remote,
    cmd::{
        nearest::explain,
        remote::{ask, print, print_json},
    },
};

/// Media types of image configurations, which have the platform and the history of an image.
const IMAGE_CONFIGS: [&str; 2] = [media_type::OCI_CONFIG, media_type::DOCKER_CONFIG];

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    Text,
    Json,
    Raw,
}

/// An image as its registry describes it.
struct Image {
    manifest: Manifest,
    view: ManifestView,
    /// The configuration, if it is that of an image.
    config: Option<Value>,
}

pub(crate) fn run(
    name: &ImageName,
    platform: Option<&str>,
    view: View,
    remote: Remote,
) -> anyhow::Result<()> {
    let repository = name.repository.to_string();
    let image = ask(&name.registry, remote, async |client| {
        let manifest = match client.manifest(&repository, &name.reference).await {
            Ok(manifest) => manifest,
            Err(error) => return Err(explain(&client, name, error).await),
        };
        read(&client, &repository, manifest, platform).await
    })?;
    match view {
        View::Raw => print_bytes(&image.manifest.bytes),
        View::Json => print_json(&format!("{:#}\n", image.json(name))),
        View::Text => print(&image.text(name)),
    }
}

/// Follows an index to `platform`, and reads the configuration.
async fn read(
    client: &Client,
    repository: &str,
    mut manifest: Manifest,
    platform: Option<&str>,
) -> anyhow::Result<Image> {
    let parse = |manifest: &Manifest| {
        ManifestView::parse_stored(&manifest.bytes).context("cannot parse the manifest")
    };
    let mut view = parse(&manifest)?;
    if let Some(wanted) = platform {
        if view.kind != ManifestKind::Index {
            bail!("this is a single image, not an index with several platforms");
        }
        let child = view
            .manifests
            .iter()
            .find(|child| names(child.platform.as_ref(), wanted));
        let Some(child) = child else {
            let platforms = view.manifests.iter().filter_map(|child| child.platform.as_ref());
            bail!(
                "there is no image for `{wanted}`; there are: {}",
                listed(platforms)
            );
        };
        manifest = client
            .manifest(repository, &Reference::Digest(child.digest))
            .await?;
        view = parse(&manifest)?;
    }
    let config = match &view.config {
        Some(config) if IMAGE_CONFIGS.contains(&&*config.media_type) => {
            let bytes = client.small_blob(repository, &config.digest).await?;
            serde_json::from_slice(&bytes).ok()
        }
        _ => None,
    };
    Ok(Image {
        manifest,
        view,
        config,
    })
}

/// Whether `wanted`, such as `linux/arm64` or `linux/arm/v7`, names the platform.
fn names(platform: Option<&Platform>, wanted: &str) -> bool {
    platform.is_some_and(|platform| {
        let full = shown(platform);
        full == wanted || format!("{}/{}", platform.os, platform.architecture) == wanted
    })
}

/// The platforms of an index for an error message: a line break in one must not begin a line of its own.
fn listed<'a>(platforms: impl Iterator<Item = &'a Platform>) -> String {
    let platforms = platforms.map(|platform| printable(&shown(platform)).into_owned());
    platforms.collect::<Vec<_>>().join(", ")
}

fn shown(platform: &Platform) -> String {
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

impl Image {
    fn platforms(&self) -> Vec<String> {
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
        // Attestations have the platform `unknown/unknown`.
        of_children
            .chain(own)
            .filter(|platform| platform != "unknown/unknown")
            .collect()
    }

    /// Size in bytes of the configuration and all layers, or of the children's manifests.
    fn size(&self) -> u64 {
        let parts = self
            .view
            .config
            .iter()
            .chain(&self.view.layers)
            .chain(&self.view.manifests);
        parts.map(|part| part.size).fold(0, u64::saturating_add)
    }

    fn json(&self, name: &ImageName) -> Value {
        let part = |part: &Descriptor| {
            json!({
                "mediaType": part.media_type, "digest": part.digest.to_string(), "size": part.size,
                "platform": part.platform.as_ref().map(shown),
            })
        };
        let parts = |parts: &[Descriptor]| parts.iter().map(part).collect::<Vec<_>>();
        json!({
            "name": name.repository.to_string(),
            "reference": name.reference.to_string(),
            "digest": self.manifest.digest.to_string(),
            "mediaType": self.view.media_type,
            "artifactType": self.view.effective_artifact_type(),
            "manifestSize": self.manifest.bytes.len(),
            "size": self.size(),
            "platforms": self.platforms(),
            "config": self.view.config.as_ref().map(part),
            "layers": parts(&self.view.layers),
            "manifests": parts(&self.view.manifests),
            "subject": self.view.subject.as_ref().map(part),
            "annotations": self.view.annotations,
            "missing": Some(&self.view.omissions).filter(|missing| !missing.is_empty()).map(ToString::to_string),
            "created": self.config.as_ref().map(|config| &config["created"]),
            "history": self.config.as_ref().map(|config| &config["history"]),
        })
    }

    fn text(&self, name: &ImageName) -> String {
        let mut text = String::new();
        let mut line = |label: &str, value: &str| {
            _ = writeln!(text, "{label:<10}{}", printable(value));
        };
        line("name", &format!("{}/{}", name.registry.host(), name.repository));
        line("digest", &self.manifest.digest.to_string());
        line("type", &self.view.media_type);
        if let Some(artifact) = self.view.effective_artifact_type() {
            line("artifact", artifact);
        }
        line("size", &format!("{} bytes", self.size()));
        line("platforms", &self.platforms().join(", "));
        if let Some(created) = self.config.as_ref().and_then(|config| config["created"].as_str()) {
            line("created", created);
        }
        if let Some(subject) = &self.view.subject {
            line("subject", &subject.digest.to_string());
        }
        let part = |part: &Descriptor| {
            let platform = part.platform.as_ref().map(shown).unwrap_or_default();
            format!(
                "{}  {:>12}  {} {platform}",
                part.digest, part.size, part.media_type
            )
            .trim_end()
            .to_owned()
        };
        if let Some(config) = &self.view.config {
            line("config", &part(config));
        }
        for layer in &self.view.layers {
            line("layer", &part(layer));
        }
        for child in &self.view.manifests {
            line(if child.is_blob() { "blob" } else { "manifest" }, &part(child));
        }
        if !self.view.omissions.is_empty() {
            line("missing", &self.view.omissions.to_string());
        }
        for (key, value) in &self.view.annotations {
            line("note", &format!("{key}={value}"));
        }
        let history = self
            .config
            .as_ref()
            .and_then(|config| config["history"].as_array());
        for step in history.into_iter().flatten() {
            line(
                "history",
                step["created_by"]
                    .as_str()
                    .or(step["comment"].as_str())
                    .unwrap_or_default(),
            );
        }
        text
    }
}

/// Prints the manifest as stored, byte for byte; on a terminal with those characters escaped that it would act on.
fn print_bytes(bytes: &Bytes) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    if stdout.is_terminal() {
        // A manifest is JSON, so its control characters stand in strings and its line breaks between values.
        return print_json(&String::from_utf8_lossy(bytes));
    }
    Ok(stdout.write_all(bytes)?)
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
