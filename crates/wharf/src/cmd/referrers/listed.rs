//! `wharf referrers`: lists what refers to an image, directly or through others.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
};

use anyhow::{Context as _, bail};
use serde::Serialize;
use wharf_client::{Client, printable};
use wharf_oci::{Descriptor, Digest, ManifestKind, ManifestView, Reference, Tag};

use super::kind::Kind;
use crate::{
    cli::{Output, ReferrersOf},
    cmd::{
        listing::{show_json, show_names},
        nearest::explained,
        remote::{ask, print},
        size::readable,
    },
};

/// The most artifacts that are listed.
const MOST: usize = 1000;

/// Endings of the tags that cosign makes of a digest: `sha256-….sig`.
const ENDINGS: [&str; 3] = ["sig", "att", "sbom"];

/// Annotations by which an index marks the attestations in it, and names their image.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

/// Annotations that a line of the tree shows.
const SHOWN: [&str; 2] = [
    "org.opencontainers.image.created",
    "org.opencontainers.image.title",
];

/// An artifact, as `--output json` prints it.
#[derive(Debug, Serialize)]
struct Row {
    kind: Kind,
    digest: String,
    artifact_type: Option<String>,
    size: u64,
    annotations: BTreeMap<String, String>,
    /// The manifest that it refers to.
    subject: String,
    /// The tag of cosign at which it is, if it has no other way to its image.
    tag: Option<String>,
    /// Whether the index itself lists it, as BuildKit writes attestations.
    in_index: bool,
    /// How many artifacts lie between it and the image.
    #[serde(skip)]
    depth: usize,
}

/// Lists what refers to an image.
pub(crate) fn list(arguments: ReferrersOf) -> anyhow::Result<()> {
    let image = arguments.image.context("the image is missing")?;
    let (root, rows) = ask(&image.registry, arguments.remote, async |client| {
        let read = found(&client, image.repository.as_str(), &image.reference).await;
        explained(&client, &image, read).await
    })?;
    let wanted = arguments.artifact_type.as_deref();
    let is_wanted = |row: &Row| wanted.is_none_or(|wanted| row.artifact_type.as_deref() == Some(wanted));
    match arguments.form.output(Output::Table) {
        Output::Table => print(&tree(&root, &rows, is_wanted)),
        output => {
            let rows: Vec<&Row> = rows.iter().filter(|row| is_wanted(row)).collect();
            match output {
                Output::Json => show_json(&rows),
                _ => show_names(rows.iter().map(|row| &*row.digest)),
            }
        }
    }
}

/// The digest of the image, and what refers to it: each artifact followed by what refers to that.
async fn found(
    client: &Client,
    repository: &str,
    reference: &Reference,
) -> anyhow::Result<(Digest, Vec<Row>)> {
    let manifest = client.manifest(repository, reference).await?;
    let root = manifest.digest;
    let mut stack = of_cosign(client, repository, &root).await?;
    if let Ok(view) = ManifestView::parse_stored(&manifest.bytes)
        && view.kind == ManifestKind::Index
    {
        stack.extend(attestations(&view));
    }
    stack.extend(direct(client, repository, &root, 0).await?);
    let mut rows = Vec::new();
    let mut seen = HashSet::from([root]);
    while let Some((digest, row)) = stack.pop() {
        if !seen.insert(digest) {
            continue;
        }
        let depth = row.depth + 1;
        rows.push(row);
        if rows.len() > MOST {
            bail!(
                "more than {MOST} artifacts refer to `{repository}` at `{reference}`, directly or through others; ask for one of them by its digest"
            );
        }
        stack.extend(direct(client, repository, &digest, depth).await?);
    }
    Ok((root, rows))
}

/// What refers to `subject` directly: the first one last, as a stack needs it.
async fn direct(
    client: &Client,
    repository: &str,
    subject: &Digest,
    depth: usize,
) -> anyhow::Result<Vec<(Digest, Row)>> {
    let found = client.referrers(repository, subject).await?;
    let rows = found.into_iter().rev();
    Ok(rows
        .map(|found| (found.digest, row(found, subject, depth)))
        .collect())
}

fn row(found: Descriptor, subject: &Digest, depth: usize) -> Row {
    let annotations = found.annotations.unwrap_or_default();
    let artifact_type = found.artifact_type.filter(|text| !text.is_empty());
    Row {
        kind: Kind::of(artifact_type.as_deref().unwrap_or_default(), &annotations),
        digest: found.digest.to_string(),
        artifact_type,
        size: found.size,
        annotations,
        subject: subject.to_string(),
        tag: None,
        in_index: false,
        depth,
    }
}

/// The attestations that an index lists beside its images.
fn attestations(index: &ManifestView) -> impl Iterator<Item = (Digest, Row)> {
    index.manifests.iter().filter_map(|entry| {
        let annotations = entry.annotations.as_ref()?;
        annotations.get(REFERENCE_TYPE)?;
        let subject: Digest = annotations.get(REFERENCE_DIGEST)?.parse().ok()?;
        let mut row = row(entry.clone(), &subject, 0);
        row.kind = Kind::Attestation;
        row.in_index = true;
        Some((entry.digest, row))
    })
}

/// What cosign keeps at tags that it makes of the digest.
async fn of_cosign(client: &Client, repository: &str, digest: &Digest) -> anyhow::Result<Vec<(Digest, Row)>> {
    let mut found = Vec::new();
    for ending in ENDINGS {
        let Ok(tag) = format!("{}-{}.{ending}", digest.algorithm(), digest.hex()).parse::<Tag>() else {
            continue;
        };
        let reference = Reference::Tag(tag.clone());
        if client.manifest_digest(repository, &reference).await?.is_none() {
            continue;
        }
        let manifest = client.manifest(repository, &reference).await?;
        let Ok(view) = ManifestView::parse_stored(&manifest.bytes) else {
            continue;
        };
        let descriptor = view.descriptor(manifest.digest, manifest.bytes.len() as u64);
        let mut row = row(descriptor, digest, 0);
        row.kind = Kind::of_ending(ending);
        row.tag = Some(tag.to_string());
        found.push((manifest.digest, row));
    }
    Ok(found)
}

/// A line for each artifact, below what it refers to.
fn tree(root: &Digest, rows: &[Row], is_wanted: impl Fn(&Row) -> bool) -> String {
    let mut text = format!("{root}\n");
    let shown: Vec<&Row> = rows.iter().filter(|row| is_wanted(row)).collect();
    if shown.is_empty() {
        text += "  nothing refers to it\n";
    }
    for row in shown {
        let indent = "  ".repeat(row.depth + 1);
        let artifact_type = row.artifact_type.as_deref().unwrap_or("without a type");
        let mut line = format!(
            "{indent}{}  {}  {}  {}",
            row.kind,
            row.digest,
            printable(artifact_type),
            readable(row.size)
        );
        for name in SHOWN {
            if let Some(value) = row.annotations.get(name) {
                _ = write!(line, "  {}", printable(value));
            }
        }
        if let Some(tag) = &row.tag {
            _ = write!(line, "  at the tag {}", printable(tag));
        }
        if row.in_index {
            line += "  in the index";
        }
        text += &(line + "\n");
    }
    text
}
