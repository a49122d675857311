//! `wharf inspect`: the description of an image.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
};

use bytes::Bytes;
use serde_json::{Value, json};
use wharf_client::{ImageName, printable};
use wharf_oci::Descriptor;

use super::{
    dockerfile,
    image::{Image, shown},
    nearest::explained,
    remote::{ask, print, print_json},
};
use crate::cli::Remote;

/// Output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    Text,
    Json,
    Raw,
    Dockerfile,
}

pub(crate) fn run(
    name: &ImageName,
    platform: Option<&str>,
    view: View,
    remote: Remote,
) -> anyhow::Result<()> {
    let repository = name.repository.to_string();
    let image = ask(&name.registry, remote, async |client| {
        let read = match view {
            // An index has no history of its own.
            View::Dockerfile => Image::of_platform(&client, &repository, &name.reference, platform).await,
            _ => Image::read(&client, &repository, &name.reference, platform).await,
        };
        explained(&client, name, read).await
    })?;
    match view {
        View::Raw => print_bytes(&image.manifest.bytes),
        View::Json => print_json(&format!("{:#}\n", image.json(name))),
        View::Dockerfile => print(&dockerfile::of(&image)?),
        View::Text => print(&image.text(name)),
    }
}

impl Image {
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
        let platforms = self.platforms();
        if !platforms.is_empty() {
            line("platforms", &platforms.join(", "));
        }
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
        for step in self.history() {
            if let Some(made_by) = step["created_by"].as_str().or(step["comment"].as_str()) {
                line("history", made_by);
            }
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
