//! An image: its platforms, how the one that is shown was built, its labels.

use futures_util::{FutureExt as _, future::BoxFuture, join};
use wharf_oci::{Reference, RepoName};
use wharf_pages::{Build, Digest, Image, ImagePlatform, LONG_LIMIT, Line, Pair, Section, Shown, Subject};

use super::{
    answer::Answer,
    artifact, base, build,
    call::Call,
    failure::Result,
    fields::query_of,
    forms::optional_time,
    names,
    subject::{ask, described, is_attestation, overview, recent, subject},
};
use crate::admin::wire;

/// The page of an image or of another artifact.
pub(super) fn show(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let (name, reference) = names::image(call.rest)?;
        let found = ask(call, &name, &reference.to_string()).await?;
        let history = recent(call, &name, &reference);
        let chosen = chosen(call, &found);
        let child = async {
            match &chosen {
                // What of it cannot be read is told by its row.
                Some(digest) => ask(call, &name, digest).await.ok(),
                None => None,
            }
        };
        let (history, child) = join!(history, child);
        let mut subject = subject(call, (&name, &reference), &found);
        subject.recent = history;
        let kind = found.manifest.as_ref().map(|manifest| manifest.kind.as_str());
        let is_image = matches!(kind, None | Some("image" | "cache"));
        if !is_image {
            return artifact::show(call, &name, found, subject).await;
        }
        let shown = match &chosen {
            Some(digest) => child
                .as_ref()
                .and_then(|child| Some((digest.as_str(), child.manifest.as_ref()?))),
            None => found
                .manifest
                .as_ref()
                .map(|manifest| (found.digest.as_str(), manifest)),
        };
        let page = call.page();
        let platforms = found
            .manifest
            .as_ref()
            .map(|manifest| platforms(call, (&name, &reference), manifest, chosen.as_deref()));
        let labels = labels(&found, shown.map(|(_, manifest)| manifest));
        let base = match shown {
            Some((_, manifest)) => base::of(call, &name, &labels, manifest).await,
            None => None,
        };
        let build =
            shown.and_then(|(digest, manifest)| build::of(call, &page, (&name, digest), manifest, base));
        subject.description = described(&labels).map(|text| Shown::of(text, LONG_LIMIT));
        let built = shown.and_then(|(_, manifest)| manifest.config.as_ref());
        subject.built = built.and_then(|config| optional_time(config.created.as_ref()));
        subject.sections = sections(call, &subject, build.as_ref(), labels.len());
        let more = found.manifest.as_ref().map_or(0, |manifest| {
            manifest.children_total.saturating_sub(manifest.children.len())
        });
        Ok(Answer::page(Image {
            platforms: platforms.unwrap_or_default(),
            more_platforms: more as u64,
            build,
            labels: labels.iter().map(|(key, value)| Pair::of(key, value)).collect(),
            subject,
            page,
        }))
    }
    .boxed()
}

/// The digest of the child of an index that is shown: that of the platform in the query, or that which most clients pull.
pub(super) fn chosen(call: Call<'_>, found: &wire::Image) -> Option<String> {
    let children = &found.manifest.as_ref()?.children;
    let images = || children.iter().filter(|child| !is_attestation(child));
    let wanted = call.query.get("platform");
    let is_of = |child: &&wire::Child, platform: &str| child.platform.as_deref() == Some(platform);
    let by_name = images().find(|child| is_of(child, wanted) || child.digest == wanted);
    let usual = || images().find(|child| is_of(child, "linux/amd64"));
    let whole = || images().find(|child| child.image.problem.is_none());
    let child = by_name
        .or_else(usual)
        .or_else(whole)
        .or_else(|| images().next())?;
    Some(child.digest.clone())
}

fn platforms(
    call: Call<'_>,
    (name, reference): (&RepoName, &Reference),
    manifest: &wire::Manifest,
    chosen: Option<&str>,
) -> Vec<ImagePlatform> {
    let children = manifest.children.iter().filter(|child| !is_attestation(child));
    let platforms = children.map(|child| {
        let platform = child.platform.as_deref().unwrap_or(&child.digest);
        let query = query_of([("platform", platform)].into_iter());
        ImagePlatform {
            name: Line::from(child.platform.as_deref().unwrap_or_default()),
            current: chosen == Some(child.digest.as_str()),
            href: format!(
                "{}?{query}",
                call.url(&format!("/image/{}", names::of_image(name, reference)))
            ),
            size: child.image.size,
            digest: Digest::from(child.digest.as_str()),
            kind: child.image.kind.clone().unwrap_or_default(),
            problem: call.said(child.image.problem.as_ref(), &child.image.problem_messages),
        }
    });
    let mut platforms: Vec<ImagePlatform> = platforms.collect();
    for platform in &mut platforms {
        if platform.name.is_empty() {
            platform.name = Line::from(platform.digest.short());
        }
    }
    platforms
}

/// The annotations of the manifest, and of the one that is shown, with the labels of its configuration.
pub(super) fn labels(found: &wire::Image, shown: Option<&wire::Manifest>) -> Vec<(String, String)> {
    let mut labels = std::collections::BTreeMap::new();
    let configuration = shown.and_then(|manifest| manifest.config.as_ref());
    let of_configuration = configuration.into_iter().flat_map(|config| &config.labels);
    let of_shown = shown.into_iter().flat_map(|manifest| &manifest.annotations);
    let of_top = found.manifest.iter().flat_map(|manifest| &manifest.annotations);
    for (key, value) in of_configuration.chain(of_shown).chain(of_top) {
        labels.insert(key.clone(), value.clone());
    }
    labels.into_iter().collect()
}

fn sections(call: Call<'_>, subject: &Subject, build: Option<&Build>, labels: usize) -> Vec<Section> {
    let section = |href: String, label, count| Section {
        href,
        current: false,
        label,
        count,
    };
    let mut sections = vec![overview(call)];
    if let Some(build) = build {
        sections.push(section("#layers".to_owned(), "layers", Some(build.layers_total)));
        sections.push(section("#dockerfile".to_owned(), "dockerfile", None));
        sections.push(section("#config".to_owned(), "config", None));
    }
    sections.push(section("#labels".to_owned(), "labels", Some(labels as u64)));
    if subject.is_tag {
        sections.push(section(
            call.url(&format!("/history/{}", subject.name)),
            "history",
            None,
        ));
    }
    sections
}
