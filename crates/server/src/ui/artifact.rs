//! The page of an artifact that is no image, and the download of its files.

use futures_util::{FutureExt as _, future::BoxFuture};
use serde_json::Value;
use wharf_oci::{Digest as ParsedDigest, Reference, RepoName};
use wharf_pages::{
    Artifact, Blob, Chart, Digest, LONG_LIMIT, Line, Page, Pages, Pair, Sbom, SbomPackage, Section, Shown,
    Subject, TABLE_LIMIT,
};

use super::{
    answer::Answer,
    call::Call,
    commands,
    failure::{Failure, Result},
    fields::query_of,
    lists::foot,
    names,
    subject::{ask, described, overview},
};
use crate::{
    admin::{self, ArtifactContent, Packages, wire},
    body::Content,
};

/// Packages of a page.
const PACKAGES: usize = 100;

/// The kind of an artifact. The service tells images, caches, charts and signatures apart.
fn kind(manifest: &wire::Manifest) -> &str {
    let config = manifest.config.as_ref().map(|config| config.media_type.as_str());
    let layers = manifest.layers.iter().map(|layer| layer.part.media_type.as_str());
    let types: Vec<&str> = manifest
        .artifact_type
        .as_deref()
        .into_iter()
        .chain(config)
        .chain(layers)
        .collect();
    if manifest.kind == "chart" {
        return "chart";
    }
    if types.iter().any(|media_type| media_type.contains("wasm")) {
        return "wasm";
    }
    let mut kinds = types.iter().map(|media_type| admin::kind_of_attached(media_type));
    kinds.find(|kind| *kind != "other").unwrap_or(&manifest.kind)
}

/// The page of an artifact, below its head.
pub(super) async fn show(
    call: Call<'_>,
    name: &RepoName,
    found: wire::Image,
    mut subject: Subject,
) -> Result<Answer> {
    let page = call.page();
    let content = match found.digest.parse::<ParsedDigest>() {
        // What cannot be read is told by the rows of the files.
        Ok(digest) => admin::read_artifact(&call.shared.app.registry, name, &digest)
            .await
            .unwrap_or_default(),
        Err(_) => ArtifactContent::default(),
    };
    let Some(manifest) = found.manifest else {
        return Err(Failure::no_page());
    };
    let kind = kind(&manifest).to_owned();
    let reference: Option<Reference> = found.reference.parse().ok();
    subject.commands = match (kind.as_str(), &reference) {
        ("chart", Some(Reference::Tag(tag))) => {
            commands::of_chart(&format!("{}/{name}", commands::host(call)), tag.as_str())
        }
        (kind, _) => commands::of_artifact(&subject.address, kind == "wasm"),
    };
    subject.more_commands = match kind.as_str() {
        "chart" => commands::of_artifact(&subject.address, false),
        _ => Vec::new(),
    };
    let labels: Vec<(String, String)> = manifest.annotations.into_iter().collect();
    let described = described(&labels).or_else(|| text(content.config.as_ref()?, "description"));
    subject.description = described.map(|text| Shown::of(text, LONG_LIMIT));
    let history = subject.is_tag.then(|| Section {
        href: call.url(&format!("/history/{}", subject.name)),
        current: false,
        label: "history",
        count: None,
    });
    subject.sections = [overview(call)].into_iter().chain(history).collect();
    let config = content.config.as_ref();
    let chart = config
        .filter(|_| kind == "chart")
        .map(|config| chart(&page, config));
    let wasm = (kind == "wasm").then(|| config.map(|config| wasm(&page, config)).unwrap_or_default());
    let sbom = content.sbom.map(|sbom| packages(call, &page, sbom));
    let blobs = manifest.layers.iter().enumerate().map(|(number, layer)| {
        let query = query_of([("layer", (number + 1).to_string().as_str())].into_iter());
        Blob {
            title: Shown::of(content.titles.get(number).map_or("", String::as_str), TABLE_LIMIT),
            media_type: Line::from(layer.part.media_type.as_str()),
            size: Some(layer.part.size),
            digest: Digest::from(layer.part.digest.as_str()),
            download: format!("{}?{query}", call.url(&format!("/blob/{name}@{}", found.digest))),
            problem: page.said_if(layer.problem.as_ref(), &layer.problem_messages),
        }
    });
    let blobs: Vec<Blob> = blobs.collect();
    let is_known =
        chart.is_some() || sbom.is_some() || wasm.is_some() || kind == "signature" || kind == "attestation";
    subject.kind = kind;
    Ok(Answer::page(Artifact {
        chart,
        sbom,
        wasm,
        unknown: !is_known,
        more_blobs: manifest.layers_total.saturating_sub(blobs.len()) as u64,
        blobs,
        labels: labels.iter().map(|(key, value)| Pair::of(key, value)).collect(),
        subject,
        page,
    }))
}

fn text<'a>(config: &'a Value, key: &str) -> Option<&'a str> {
    config.get(key)?.as_str().filter(|text| !text.is_empty())
}

/// What a chart of Helm says of itself.
fn chart(page: &Page, config: &Value) -> Chart {
    let list = |key: &str| {
        config
            .get(key)
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice)
    };
    let maintainers = list("maintainers").iter().filter_map(|maintainer| {
        let name = text(maintainer, "name")?;
        Some(match text(maintainer, "email") {
            Some(email) => format!("{name} <{email}>"),
            None => name.to_owned(),
        })
    });
    let maintainers: Vec<String> = maintainers.take(20).collect();
    let maintainers = maintainers.join(", ");
    let facts = [
        ("chart.name", text(config, "name")),
        ("chart.version", text(config, "version")),
        ("chart.app-version", text(config, "appVersion")),
        ("chart.kube-version", text(config, "kubeVersion")),
        (
            "chart.maintainers",
            Some(maintainers.as_str()).filter(|text| !text.is_empty()),
        ),
        ("chart.home", text(config, "home")),
    ];
    let said = facts.into_iter().filter_map(|(key, value)| Some((key, value?)));
    let dependencies = list("dependencies").iter().filter_map(|dependency| {
        let parts = [text(dependency, "version"), text(dependency, "repository")];
        let parts: Vec<&str> = parts.into_iter().flatten().collect();
        Some(Pair::of(text(dependency, "name")?, parts.join(" · ")))
    });
    Chart {
        facts: said
            .map(|(key, value)| Pair::of(page.t(key).attr(), value))
            .collect(),
        dependencies: dependencies.take(200).collect(),
    }
}

/// What a module of WebAssembly says of itself.
fn wasm(page: &Page, config: &Value) -> Vec<Pair> {
    let component = config.get("component");
    let names = |key: &str| {
        let names = component
            .and_then(|component| component.get(key))
            .and_then(Value::as_array);
        let names = names.into_iter().flatten().filter_map(Value::as_str).take(200);
        names.collect::<Vec<_>>().join(", ")
    };
    let platform = [text(config, "os"), text(config, "architecture")];
    let platform: Vec<&str> = platform.into_iter().flatten().collect();
    let facts = [
        ("platform", platform.join(" / ")),
        ("wasm.exports", names("exports")),
        ("wasm.imports", names("imports")),
        (
            "config.author",
            text(config, "author").unwrap_or_default().to_owned(),
        ),
    ];
    let said = facts.into_iter().filter(|(_, value)| !value.is_empty());
    said.map(|(key, value)| Pair::of(page.t(key).attr(), value))
        .collect()
}

/// A page of the packages of an SBOM. Its cursor is the number of the first one.
fn packages(call: Call<'_>, page: &Page, sbom: Packages) -> Sbom {
    let total = sbom.packages.len();
    let start = call.query.get("cursor").parse().unwrap_or(0).min(total);
    let end = (start + PACKAGES).min(total);
    let mut pages: Pages = foot(call, (end < total).then(|| end.to_string()).as_deref());
    if total > PACKAGES {
        let number = |number: usize| page.number(number);
        let range = page.t("pages.range").arg("from", number((start + 1).min(end)));
        pages.shown = Some(range.arg("to", number(end)).arg("of", number(total)));
    }
    let shown = |text: &String| Shown::of(text, TABLE_LIMIT);
    let packages = sbom.packages[start..end].iter().map(|package| SbomPackage {
        name: shown(&package.name),
        version: shown(&package.version),
        licence: shown(&package.licence),
    });
    Sbom {
        total: total as u64,
        format: Line::from(sbom.format),
        packages: packages.collect(),
        pages,
    }
}

/// A file of an artifact, as one that the browser saves.
pub(super) fn download(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let (name, reference) = names::image(call.rest)?;
        let found = ask(call, &name, &reference.to_string()).await?;
        let number = call
            .query
            .get("layer")
            .parse::<usize>()
            .ok()
            .and_then(|number| number.checked_sub(1));
        let layers = found.manifest.map(|manifest| manifest.layers).unwrap_or_default();
        let layer = number
            .and_then(|number| layers.get(number))
            .ok_or_else(Failure::no_page)?;
        let registry = &call.shared.app.registry;
        let titles = match found.digest.parse::<ParsedDigest>() {
            Ok(digest) => admin::titles_of(registry, &name, &digest).await?,
            Err(_) => Vec::new(),
        };
        let digest = layer
            .part
            .digest
            .parse::<ParsedDigest>()
            .map_err(|_| Failure::no_page())?;
        let blob = registry.open_blob(&name, &digest).await?;
        let size = blob.info.size;
        let content = match size {
            0 => Content::Empty,
            size => Content::Stream {
                stream: blob.stream(0..size),
                remaining: size,
            },
        };
        let title = number
            .and_then(|number| titles.get(number))
            .filter(|title| !title.is_empty());
        let fallback = names::of_image(&name, &reference).replace(['/', ':', '@'], "-");
        let title = title.map_or(fallback.as_str(), |title| {
            title.rsplit('/').next().unwrap_or(title)
        });
        Ok(Answer::download(title, content))
    }
    .boxed()
}
