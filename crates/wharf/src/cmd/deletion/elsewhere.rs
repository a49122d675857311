//! Deletions from registries that are no wharf. They have no plan, no trash, and often no way to delete a tag alone: what would go is found
//! out from the tags of the repository before anything goes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use wharf_client::{Client, Deleted, Error, ImageName, printable};
use wharf_oci::{Digest, ManifestView, Reference, RepoName, Tag};

use super::{Consent, DeletedImage, HowToDelete, OtherRegistry, TagRm, Target, ask};
use crate::{
    cli::Output,
    cmd::{
        listing::show_names,
        nearest::explain,
        remote::{print, print_json},
    },
};

/// Manifests that are read at once.
const AT_ONCE: usize = 8;

/// The most manifests of a repository that is deleted.
const MOST: usize = 100_000;

/// What goes from a repository, or went.
#[derive(Debug, Default, Serialize)]
struct Going {
    repository: String,
    /// Tags that go, also those that go along with a digest.
    tags: BTreeSet<String>,
    /// Manifests that go, indexes before what they list.
    manifests: Vec<String>,
    /// What stands against it, each with a reason; empty with `--force`.
    problems: Vec<String>,
    /// Tags to delete by themselves.
    #[serde(skip)]
    alone: Vec<Tag>,
    #[serde(skip)]
    digests: Vec<Digest>,
}

/// The tags of a repository, with the manifests that theirs list.
struct Tagged {
    digests: BTreeMap<String, Digest>,
    children: HashMap<Digest, Vec<Digest>>,
}

/// Deletes tags and manifests.
///
/// # Errors
/// When deleting is switched off, more would go than was named, or the registry refuses.
pub(super) fn remove_tags(other: &OtherRegistry, arguments: &TagRm) -> anyhow::Result<ExitCode> {
    let mut images: BTreeMap<&str, Vec<&DeletedImage>> = BTreeMap::new();
    for image in &arguments.images {
        images.entry(image.repository.as_str()).or_default().push(image);
    }
    let plans = other.runtime.block_on(async {
        let mut plans = Vec::new();
        for (repository, images) in images {
            plans.push(of_images(other, repository, &images, arguments).await?);
        }
        anyhow::Ok(plans)
    })?;
    carry_out(other, &plans, &arguments.how)
}

/// Deletes all that tags of a repository lead to.
///
/// # Errors
/// When deleting is switched off, the repository has a tag that it must not have, or the registry refuses.
pub(super) fn remove_repository(
    other: &OtherRegistry,
    name: &RepoName,
    if_empty: bool,
    how: &HowToDelete,
) -> anyhow::Result<ExitCode> {
    let repository = name.as_str();
    let plan = other.runtime.block_on(async {
        let client = &other.client;
        let tags = client.tags(repository).await?;
        if if_empty && !tags.is_empty() {
            bail!(
                "`{repository}` has {} tag(s), so it is not deleted; without `--if-empty` it goes with them",
                tags.len()
            );
        }
        require_deletion(other, repository).await?;
        let tagged = Tagged::read(client, repository, tags).await?;
        let digests = everything(client, repository, &tagged).await?;
        Ok(Going {
            repository: repository.to_owned(),
            tags: tagged.digests.into_keys().collect(),
            manifests: digests.iter().map(ToString::to_string).collect(),
            digests,
            ..Going::default()
        })
    })?;
    carry_out(other, &[plan], how)
}

/// Shows what goes, asks, and deletes it.
fn carry_out(other: &OtherRegistry, plans: &[Going], how: &HowToDelete) -> anyhow::Result<ExitCode> {
    let output = how.form.output(Output::Table);
    if output == Output::Table {
        for plan in plans {
            print(&described(plan, &other.host))?;
        }
    }
    if how.dry_run {
        show(plans, output)?;
        return Ok(match plans.iter().all(|plan| plan.problems.is_empty()) {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        });
    }
    if let Some(problem) = plans.iter().find_map(|plan| plan.problems.first()) {
        bail!(
            "nothing was deleted: {}; `--force` deletes all the same",
            printable(problem)
        );
    }
    if plans
        .iter()
        .all(|plan| plan.alone.is_empty() && plan.digests.is_empty())
    {
        return show(&[], output).map(|()| ExitCode::SUCCESS);
    }
    if let Consent::Refused(status) = ask("Delete this?", how.yes)? {
        return Ok(status);
    }
    for plan in plans {
        other.runtime.block_on(delete(other, plan))?;
        if output == Output::Table {
            print(&format!(
                "deleted from {}: {} tag(s), {} manifest(s)\n",
                plan.repository,
                plan.tags.len(),
                plan.manifests.len()
            ))?;
        }
    }
    show(plans, output)?;
    Ok(ExitCode::SUCCESS)
}

async fn delete(other: &OtherRegistry, plan: &Going) -> anyhow::Result<()> {
    let repository = plan.repository.as_str();
    let tags = plan.alone.iter().cloned().map(Reference::Tag);
    let digests = plan.digests.iter().copied().map(Reference::Digest);
    for reference in tags.chain(digests) {
        match other.client.delete_manifest(repository, &reference).await? {
            // What went along with something else, or by the hand of another client, is gone as well.
            Deleted::Gone | Deleted::Absent => {}
            Deleted::Unsupported(status) => bail!(
                "`{}` does not delete `{repository}` at `{reference}` ({status}); what was named before it is gone",
                other.host
            ),
        }
    }
    Ok(())
}

/// What goes with some tags and manifests of one repository.
async fn of_images(
    other: &OtherRegistry,
    repository: &str,
    images: &[&DeletedImage],
    arguments: &TagRm,
) -> anyhow::Result<Going> {
    let client = &other.client;
    let mut going = Going {
        repository: repository.to_owned(),
        ..Going::default()
    };
    let mut digests = BTreeSet::new();
    let mut tags = Vec::new();
    for image in images {
        match &image.target {
            Target::Tag(tag) => {
                let digest = digest_of(other, image, tag).await?;
                tags.push((tag.clone(), digest));
            }
            Target::Manifest(digest) => {
                digests.insert(*digest);
            }
        }
    }
    let are_alone = match tags.is_empty() {
        true => false,
        false => client.deletes_tags(repository).await?,
    };
    if are_alone {
        going.tags.extend(tags.iter().map(|(tag, _)| tag.to_string()));
        going.alone.extend(tags.iter().map(|(tag, _)| tag.clone()));
    } else {
        require_deletion(other, repository).await?;
        if arguments.keep_image && !tags.is_empty() {
            bail!(
                "`{}` deletes no tag alone, only images by their digests with all their tags; `--keep-image` is not possible there",
                other.host
            );
        }
        digests.extend(tags.iter().map(|(_, digest)| *digest));
    }
    if digests.is_empty() {
        return Ok(going);
    }
    if are_alone {
        require_deletion(other, repository).await?;
    }
    let named: HashSet<String> = tags.iter().map(|(tag, _)| tag.to_string()).collect();
    let tagged = Tagged::read(client, repository, client.tags(repository).await?).await?;
    for digest in &digests {
        let along: Vec<&String> = tagged.tags_of(digest).collect();
        let others: Vec<&String> = along
            .iter()
            .copied()
            .filter(|tag| !named.contains(*tag))
            .collect();
        if !others.is_empty() {
            going.problems.push(format!(
                "`{}` only deletes by digest, and {} of `{repository}` would go as well, because they point at {digest}",
                other.host,
                quoted(&others)
            ));
        }
        going.tags.extend(along.into_iter().cloned());
        let needing: Vec<&String> = tagged.tags_that_list(digest, &digests).collect();
        if !needing.is_empty() {
            going.problems.push(format!(
                "the index at {} of `{repository}` lists {digest}, and could not be pulled whole any more",
                quoted(&needing)
            ));
        }
    }
    if arguments.force {
        going.problems.clear();
    }
    going.manifests = digests.iter().map(ToString::to_string).collect();
    going.digests = digests.into_iter().collect();
    Ok(going)
}

async fn digest_of(other: &OtherRegistry, image: &DeletedImage, tag: &Tag) -> anyhow::Result<Digest> {
    let (repository, reference) = (&image.repository, Reference::Tag(tag.clone()));
    let found = other
        .client
        .manifest_digest(repository.as_str(), &reference)
        .await?;
    if let Some(digest) = found {
        return Ok(digest);
    }
    let text = format!("{}/{repository}:{tag}", other.host);
    let name: ImageName = text.parse()?;
    let missing = Error::Refused {
        path: format!("/v2/{repository}/manifests/{tag}"),
        status: http::StatusCode::NOT_FOUND,
        message: "MANIFEST_UNKNOWN: there is no such tag".to_owned(),
        after: None,
    };
    Err(explain(&other.client, &name, missing).await)
}

/// Refuses where deleting is switched off.
async fn require_deletion(other: &OtherRegistry, repository: &str) -> anyhow::Result<()> {
    if other.client.deletes(repository).await? {
        return Ok(());
    }
    bail!(
        "`{}` does not delete: it cannot, or deleting is switched off there; of registry:2 and registry:3 \
         `storage.delete.enabled: true`, or REGISTRY_STORAGE_DELETE_ENABLED=true, switches it on",
        other.host
    )
}

impl Tagged {
    async fn read(client: &Client, repository: &str, tags: Vec<String>) -> anyhow::Result<Self> {
        let read = stream::iter(tags)
            .map(|tag| async move {
                let reference: Reference = tag.parse::<Tag>().map(Reference::Tag).with_context(|| {
                    format!("the registry lists a tag that is none: `{}`", printable(&tag))
                })?;
                match client.manifest(repository, &reference).await {
                    Ok(manifest) => anyhow::Ok(Some((tag, manifest.digest, children(&manifest.bytes)))),
                    // It was deleted meanwhile, or points at nothing.
                    Err(Error::Refused { status, .. }) if status.as_u16() == 404 => Ok(None),
                    Err(error) => Err(error.into()),
                }
            })
            .buffer_unordered(AT_ONCE);
        let found: Vec<_> = read
            .try_filter_map(|found| async move { Ok(found) })
            .try_collect()
            .await?;
        let mut tagged = Self {
            digests: BTreeMap::new(),
            children: HashMap::new(),
        };
        for (tag, digest, children) in found {
            tagged.digests.insert(tag, digest);
            tagged.children.insert(digest, children);
        }
        Ok(tagged)
    }

    /// The tags that point at `digest`.
    fn tags_of(&self, digest: &Digest) -> impl Iterator<Item = &String> {
        let pointing = self.digests.iter().filter(move |(_, known)| *known == digest);
        pointing.map(|(tag, _)| tag)
    }

    /// The tags of indexes that stay, and list `digest`.
    fn tags_that_list(&self, digest: &Digest, going: &BTreeSet<Digest>) -> impl Iterator<Item = &String> {
        let listing = self.digests.iter().filter(move |(_, known)| {
            let children = self.children.get(*known).filter(|_| !going.contains(*known));
            children.is_some_and(|children| children.contains(digest))
        });
        listing.map(|(tag, _)| tag)
    }
}

/// All manifests that the tags of a repository lead to, and what refers to them: those of the tags first, so that a deletion that is
/// interrupted leaves no tag on an index that lists what is gone.
async fn everything(client: &Client, repository: &str, tagged: &Tagged) -> anyhow::Result<Vec<Digest>> {
    let mut seen: HashSet<Digest> = tagged.digests.values().copied().collect();
    let mut all: Vec<Digest> = seen.iter().copied().collect();
    let mut round = all.clone();
    while !round.is_empty() {
        let found: Vec<Vec<Digest>> = stream::iter(round)
            .map(|digest| leads_to(client, repository, digest, tagged.children.get(&digest)))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        round = found
            .into_iter()
            .flatten()
            .filter(|digest| seen.insert(*digest))
            .collect();
        all.extend(&round);
        if all.len() > MOST {
            bail!("`{repository}` has more than {MOST} manifests; delete it in the store of the registry");
        }
    }
    Ok(all)
}

/// The children of a manifest, and what refers to it.
async fn leads_to(
    client: &Client,
    repository: &str,
    digest: Digest,
    known: Option<&Vec<Digest>>,
) -> anyhow::Result<Vec<Digest>> {
    let mut found = match known {
        Some(known) => known.clone(),
        None => match client.manifest(repository, &Reference::Digest(digest)).await {
            Ok(manifest) => children(&manifest.bytes),
            Err(Error::Refused { status, .. }) if status.as_u16() == 404 => Vec::new(),
            Err(error) => return Err(error.into()),
        },
    };
    let referrers = client.referrers(repository, &digest).await?;
    found.extend(referrers.into_iter().map(|referrer| referrer.digest));
    Ok(found)
}

/// The manifests that an index lists; of another manifest none.
fn children(manifest: &[u8]) -> Vec<Digest> {
    let view = ManifestView::parse_stored(manifest);
    view.map(|view| view.children().map(|child| child.digest).collect())
        .unwrap_or_default()
}

fn quoted(tags: &[&String]) -> String {
    const SHOWN: usize = 20;
    let shown = tags.iter().take(SHOWN).map(|tag| format!("`{}`", printable(tag)));
    let shown = shown.collect::<Vec<_>>().join(", ");
    match tags.len() {
        1 => format!("the tag {shown}"),
        count if count > SHOWN => format!("the tags {shown} and {} more", count - SHOWN),
        _ => format!("the tags {shown}"),
    }
}

fn described(plan: &Going, host: &str) -> String {
    let mut text = format!("from {} at {host} go:\n", plan.repository);
    for tag in &plan.tags {
        text += &format!("  {}:{}\n", plan.repository, printable(tag));
    }
    for digest in &plan.manifests {
        text += &format!("  {}@{digest}\n", plan.repository);
    }
    text += match plan.manifests.is_empty() {
        true => "the tags alone: what they point at stays, until the registry collects what has no tag\n",
        false => "this registry has no trash, so it cannot be restored; its collection frees the bytes\n",
    };
    for problem in &plan.problems {
        text += &format!("refused without `--force`: {}\n", printable(problem));
    }
    text
}

/// Prints what goes, or went, unless it is a table that was printed before.
fn show(plans: &[Going], output: Output) -> anyhow::Result<()> {
    match output {
        Output::Table => Ok(()),
        Output::Json => print_json(&format!("{:#}\n", serde_json::to_value(plans)?)),
        Output::Name => {
            let names = plans.iter().flat_map(|plan| {
                let repository = &plan.repository;
                let tags = plan.tags.iter().map(move |tag| format!("{repository}:{tag}"));
                let manifests = plan
                    .manifests
                    .iter()
                    .map(move |digest| format!("{repository}@{digest}"));
                tags.chain(manifests)
            });
            let names: Vec<String> = names.collect();
            show_names(names.iter().map(String::as_str))
        }
    }
}
