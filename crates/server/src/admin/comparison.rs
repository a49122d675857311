//! In what two images differ: sizes, configurations, layers and files.

use std::sync::Arc;

use serde_json::Value;
use wharf_layers::{Changes, Tree};
use wharf_message::Sentence;
use wharf_oci::{Digest, RepoName, changed_parts};
use wharf_registry::{ImageParts, PartsWanted, Registry, Result, TagRights};

use super::{
    files::{ContentDigest, LayerFiles, LayerIndex, Turn, joined},
    image::short,
    shown::told,
    wire,
};
use crate::words::MissingFiles;

/// How many files of one image are compared: each takes some hundred bytes in memory.
const FILES: usize = 100_000;

/// What is wanted of the files that are not the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangesWanted {
    /// The path after which the page begins; `None`: at the start.
    pub after: Option<String>,
    /// How many files the page has at most.
    pub limit: usize,
}

/// The files of an image, each with the beginning of the digest of its content.
type Files = Tree<Option<ContentDigest>>;

/// In what `images` of one repository differ, for a client with these `rights`.
///
/// # Errors
///
/// As [`Registry::image_parts`]; [`Error::Exhausted`](wharf_registry::Error::Exhausted) when others read layers for too long.
pub async fn compare_images(
    registry: &Registry,
    files: &LayerFiles,
    images: [PartsWanted<'_>; 2],
    wanted: ChangesWanted,
    rights: &dyn TagRights,
) -> Result<wire::Comparison> {
    let name = images[0].name;
    let mut shown = wire::Comparison {
        repository: name.to_string(),
        ..wire::Comparison::default()
    };
    let mut parts = Vec::new();
    for (place, image) in images.into_iter().enumerate() {
        let of = registry.image_parts(image, rights).await?;
        let side = match place {
            0 => &mut shown.from,
            _ => &mut shown.to,
        };
        side.reference = image.reference.to_string();
        match of {
            Ok(of) => {
                side.digest = Some(of.digest.to_string());
                side.platform.clone_from(&of.platform);
                side.size = Some(size(&of));
                side.created = of.created.clone().map(short);
                parts.push(of);
            }
            Err(why) => {
                let image = image.reference.to_string();
                leave_out(
                    &mut shown,
                    Sentence::from(MissingFiles::InImage { image }).explained(why),
                );
            }
        }
    }
    let Ok([old, new]) = <[ImageParts; 2]>::try_from(parts) else {
        return Ok(shown);
    };
    shown.layers = compared_layers(&old, &new);
    if old.digest == new.digest {
        (shown.added, shown.removed, shown.changed) = (Some(0), Some(0), Some(0));
        return Ok(shown);
    }
    match compared_configs(registry, name, [&old, &new]).await? {
        Ok(changed) => shown.config = changed,
        Err(why) => {
            let what = Sentence::from(MissingFiles::ConfigNotCompared);
            leave_out(&mut shown, what.explained(why));
        }
    }
    match remembered_changes(registry, files, name, [&old, &new]).await? {
        Ok(changes) => page_of(&changes, &wanted, &mut shown),
        Err(why) => {
            let what = Sentence::from(MissingFiles::NotCompared);
            leave_out(&mut shown, what.explained(why));
        }
    }
    Ok(shown)
}

/// Says what could not be compared, and why.
fn leave_out(shown: &mut wire::Comparison, what: Sentence) {
    let (text, messages) = told(what);
    shown.left_out.push(text);
    shown.left_out_messages.push(messages);
}

/// Bytes of the configuration and the layers of an image, each once.
fn size(image: &ImageParts) -> u64 {
    let mut blobs: Vec<(Digest, u64)> = image
        .layers
        .iter()
        .map(|layer| (layer.digest, layer.size))
        .collect();
    blobs.extend(image.config.as_ref().map(|config| (config.digest, config.size)));
    blobs.sort_unstable();
    blobs.dedup_by_key(|(digest, _)| *digest);
    blobs
        .into_iter()
        .fold(0, |sum, (_, size)| sum.saturating_add(size))
}

/// The layers of both images: those of the new one in their order, and those that only the old one has before the layer that follows them.
fn compared_layers(old: &ImageParts, new: &ImageParts) -> Vec<wire::ComparedLayer> {
    let has = |image: &ImageParts, digest: &Digest| image.layers.iter().any(|layer| layer.digest == *digest);
    let row = |image: &ImageParts, number: usize, change: &str| {
        let layer = image.layers.get(number)?;
        Some(wire::ComparedLayer {
            part: wire::Part {
                digest: layer.digest.to_string(),
                media_type: layer.media_type.clone(),
                size: layer.size,
            },
            change: change.to_owned(),
            made_by: image.made_by.get(number).cloned().map(short),
        })
    };
    let mut rows = Vec::new();
    let mut passed = 0;
    let mut removed_before = |end: usize, rows: &mut Vec<wire::ComparedLayer>| {
        while passed < end {
            let is_gone = |layer: &wharf_oci::Descriptor| !has(new, &layer.digest);
            if old.layers.get(passed).is_some_and(is_gone) {
                rows.extend(row(old, passed, "removed"));
            }
            passed += 1;
        }
    };
    for (number, layer) in new.layers.iter().enumerate() {
        match old.layers.iter().position(|other| other.digest == layer.digest) {
            Some(place) => {
                removed_before(place, &mut rows);
                rows.extend(row(new, number, "both"));
            }
            None => rows.extend(row(new, number, "added")),
        }
    }
    removed_before(old.layers.len(), &mut rows);
    rows
}

async fn compared_configs(
    registry: &Registry,
    name: &RepoName,
    images: [&ImageParts; 2],
) -> Result<Result<Vec<wire::ChangedPart>, Sentence>> {
    let mut documents = Vec::new();
    for image in images {
        let document = match &image.config {
            None => None,
            Some(config) => match registry.config_document(name, &config.digest).await? {
                Ok(document) => Some(document),
                Err(why) => return Ok(Err(why)),
            },
        };
        documents.push(document);
    }
    let [old, new] = <[Option<Value>; 2]>::try_from(documents).unwrap_or_default();
    let text = |value: Value| match value {
        Value::String(text) => short(text),
        value => short(value.to_string()),
    };
    let changed = changed_parts(old.as_ref(), new.as_ref()).into_iter();
    let changed = changed.map(|(part, [before, after])| wire::ChangedPart {
        name: short(part),
        before: before.map(text),
        after: after.map(text),
    });
    Ok(Ok(changed.collect()))
}

/// As [`changed_files`], once for all pages.
async fn remembered_changes(
    registry: &Registry,
    files: &LayerFiles,
    name: &RepoName,
    images: [&ImageParts; 2],
) -> Result<Result<Arc<Changes>, Sentence>> {
    let digests = images.map(|image| image.digest);
    if let Some(changes) = files.compared(&digests) {
        return Ok(Ok(changes));
    }
    let turn = files.all_turns().await?;
    // Another page of the same comparison may have had the turn before.
    if let Some(changes) = files.compared(&digests) {
        return Ok(Ok(changes));
    }
    let changes = changed_files(registry, files, name, images, &turn).await?;
    Ok(changes.map(|changes| {
        let changes = Arc::new(changes);
        files.remember(digests, Arc::clone(&changes));
        changes
    }))
}

/// The files that are not the same, or why they were not compared, in words. What was read of layers is remembered, so that a request that
/// took too long gets further the next time.
async fn changed_files(
    registry: &Registry,
    files: &LayerFiles,
    name: &RepoName,
    images: [&ImageParts; 2],
    turn: &Turn,
) -> Result<Result<Changes, Sentence>> {
    let mut trees = Vec::new();
    for image in images {
        let mut tree = Files::of_at_most(FILES);
        for (number, layer) in image.layers.iter().enumerate() {
            let in_layer = || Sentence::from(MissingFiles::InLayer { number: number + 1 });
            let index = match files.read(registry, (name, &layer.digest), turn).await? {
                Ok(index) => index,
                Err(why) => return Ok(Err(in_layer().explained(why))),
            };
            if let Some(cut) = index.cut {
                return Ok(Err(in_layer().explained(cut.in_words(index.entries.len()))));
            }
            tree = match joined(move || add(tree, &index)).await? {
                Ok(tree) => tree,
                Err(error) => return Ok(Err(error.to_string().into())),
            };
        }
        trees.push(tree);
    }
    let Ok([old, new]) = <[Files; 2]>::try_from(trees) else {
        return Ok(Ok(Changes::default()));
    };
    Ok(Ok(joined(move || Changes::between(&old, &new)).await?))
}

/// `tree` with the layer of `index` on top.
fn add(mut tree: Files, index: &LayerIndex) -> wharf_layers::Result<Files> {
    for file in &index.entries {
        tree.add(file.entry.clone(), file.content)?;
    }
    tree.end_layer();
    Ok(tree)
}

/// Shows the page that is `wanted`.
fn page_of(changes: &Changes, wanted: &ChangesWanted, shown: &mut wire::Comparison) {
    shown.added = Some(changes.added.len());
    shown.removed = Some(changes.removed.len());
    shown.changed = Some(changes.changed.len());
    let after = wanted.after.as_deref().unwrap_or_default();
    let all = changes.all();
    let begin = all.partition_point(|(_, change)| change.path.as_str() <= after);
    let rest = all.get(begin..).unwrap_or_default();
    let page = rest.iter().take(wanted.limit).map(|(sign, change)| {
        let (word, sizes) = match *sign {
            "+" => ("added", [None, Some(change.sizes[1])]),
            "-" => ("removed", [Some(change.sizes[0]), None]),
            _ => ("changed", [Some(change.sizes[0]), Some(change.sizes[1])]),
        };
        wire::ChangedFile {
            path: change.path.clone(),
            change: word.to_owned(),
            before: sizes[0],
            after: sizes[1],
            what: change.what.iter().map(|what| (*what).to_owned()).collect(),
        }
    });
    shown.files = page.collect();
    shown.next = match rest.len() > wanted.limit {
        true => shown.files.last().map(|file| file.path.clone()),
        false => None,
    };
}
