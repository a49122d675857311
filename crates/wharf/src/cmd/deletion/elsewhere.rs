//! Deletions from registries that are no wharf. They have no plan, no trash, and often no way to delete a tag alone: what would go is found
//! out from the tags of the repository before anything goes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use wharf_client::{Client, Deleted, Error, printable};
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

/// The most entries of all indexes of such a repository.
const MOST_ENTRIES: usize = 10 * MOST;

/// What goes from a repository, or went.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Going {
    repository: String,
    /// Tags that go, also those that go along with a digest.
    tags: BTreeSet<String>,
    /// Manifests that go, indexes before what they list.
    manifests: Vec<String>,
    /// What stands against it, each with a reason; empty with `--force`.
    problems: Vec<String>,
    /// The deletions in their order: one that is interrupted leaves no tag on an index that lists what is gone.
    #[serde(skip)]
    steps: Vec<Step>,
}

/// One deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// A tag alone, with the manifest at which it points.
    Tag(Tag, Digest),
    /// A manifest, with the tags that go along.
    Manifest(Digest, Vec<Tag>),
}

/// The tags of a repository, with the manifests that theirs list.
struct Tagged {
    digests: BTreeMap<Tag, Digest>,
    children: HashMap<Digest, Vec<Digest>>,
}

impl Going {
    fn new(repository: &str, steps: Vec<Step>) -> Self {
        let mut going = Self {
            repository: repository.to_owned(),
            ..Self::default()
        };
        for step in steps {
            going.add(step);
        }
        going
    }

    fn add(&mut self, step: Step) {
        match &step {
            Step::Tag(tag, _) => {
                self.tags.insert(tag.to_string());
            }
            Step::Manifest(digest, tags) => {
                self.tags.extend(tags.iter().map(ToString::to_string));
                self.manifests.push(digest.to_string());
            }
        }
        self.steps.push(step);
    }

    /// The number of tags and manifests.
    fn count(&self) -> usize {
        self.tags.len() + self.manifests.len()
    }
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
    carry_out(other, &arguments.how, &|| {
        other.runtime.block_on(async {
            let mut plans = Vec::new();
            for (repository, images) in &images {
                plans.push(of_images(other, repository, images, arguments).await?);
            }
            Ok(plans)
        })
    })
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
    carry_out(other, how, &|| {
        let plan = of_repository(other, name.as_str(), if_empty);
        Ok(vec![other.runtime.block_on(plan)?])
    })
}

async fn of_repository(other: &OtherRegistry, repository: &str, if_empty: bool) -> anyhow::Result<Going> {
    let client = &other.client;
    let tags = client.tags(repository).await?;
    if if_empty && !tags.is_empty() {
        bail!(
            "`{repository}` has {} tag(s), so it is not deleted; without `--if-empty` it goes with them",
            tags.len()
        );
    }
    require_deletion(other, repository).await?;
    let deletes_tags = client.deletes_tags(repository).await?;
    let tagged = Tagged::read(client, repository, tags).await?;
    let digests = everything(client, repository, &tagged).await?;
    let steps = digests
        .into_iter()
        .flat_map(|digest| tagged.steps(digest, deletes_tags))
        .collect();
    Ok(Going::new(repository, steps))
}

/// Shows what `plan` says that goes, asks, and deletes it.
fn carry_out(
    other: &OtherRegistry,
    how: &HowToDelete,
    plan: &dyn Fn() -> anyhow::Result<Vec<Going>>,
) -> anyhow::Result<ExitCode> {
    let plans = plan()?;
    let output = how.form.output(Output::Table);
    if output == Output::Table {
        for plan in &plans {
            print(&described(plan, other))?;
        }
    }
    if how.dry_run {
        show(&plans, output)?;
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
    if plans.iter().all(|plan| plan.steps.is_empty()) {
        return show(&[], output).map(|()| ExitCode::SUCCESS);
    }
    if let Consent::Refused(status) = ask("Delete this?", how.yes)? {
        return Ok(status);
    }
    // The consent is to what was shown, and the question may have stood for long.
    if !how.yes && plan()? != plans {
        bail!("nothing was deleted: the repository has changed since this was shown; run the command again");
    }
    delete_all(other, &plans, output)
}

/// Deletes what `plans` say, and prints what went, also when that is not all.
fn delete_all(other: &OtherRegistry, plans: &[Going], output: Output) -> anyhow::Result<ExitCode> {
    let mut all_went = Vec::new();
    let mut ended = Ok(());
    for plan in plans {
        let mut went = Going::new(&plan.repository, Vec::new());
        ended = other.runtime.block_on(delete(other, plan, &mut went));
        if output == Output::Table && !went.steps.is_empty() {
            print(&format!(
                "deleted from {}: {} tag(s), {} manifest(s)\n",
                went.repository,
                went.tags.len(),
                went.manifests.len()
            ))?;
        }
        all_went.push(went);
        if ended.is_err() {
            break;
        }
    }
    all_went.retain(|went| !went.steps.is_empty());
    show(&all_went, output)?;
    let count = |plans: &[Going]| plans.iter().map(Going::count).sum::<usize>();
    ended.with_context(|| match count(&all_went) {
        0 => "nothing was deleted".to_owned(),
        gone => format!("{gone} of {} tags and manifests are gone", count(plans)),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Deletes what `plan` says, and tells in `went` what is gone.
async fn delete(other: &OtherRegistry, plan: &Going, went: &mut Going) -> anyhow::Result<()> {
    let (client, repository) = (&other.client, plan.repository.as_str());
    for step in &plan.steps {
        let reference = match step {
            Step::Manifest(digest, _) => Reference::Digest(*digest),
            Step::Tag(tag, digest) => {
                let reference = Reference::Tag(tag.clone());
                let now = client.manifest_digest(repository, &reference).await?;
                if now.is_some_and(|now| now != *digest) {
                    bail!("`{repository}:{tag}` was pushed meanwhile, so it stays; run the command again");
                }
                reference
            }
        };
        match client.delete_manifest(repository, &reference).await? {
            // What went along with something else, or by the hand of another client, is gone as well.
            Deleted::Gone => went.add(step.clone()),
            Deleted::Unsupported(status) => bail!(
                "`{}` does not delete `{repository}` at `{reference}` ({status})",
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
    // Named by their digests.
    let mut named = BTreeSet::new();
    let mut children = HashMap::new();
    let mut tags = BTreeMap::new();
    for image in images {
        match &image.target {
            Target::Tag(tag) => {
                tags.insert(tag.clone(), digest_of(other, image, tag).await?);
            }
            Target::Manifest(digest) => {
                named.insert(*digest);
                children.insert(*digest, children_of(other, image, digest).await?);
            }
        }
    }
    let deletes_tags = client.deletes_tags(repository).await?;
    let mut digests = named.clone();
    let mut steps = Vec::new();
    if deletes_tags {
        steps.extend(tags.iter().map(|(tag, digest)| Step::Tag(tag.clone(), *digest)));
    } else {
        require_deletion(other, repository).await?;
        if arguments.keep_image && !tags.is_empty() {
            bail!(
                "`{}` deletes no tag alone, only images by their digests with all their tags; `--keep-image` is not possible there",
                other.host
            );
        }
        digests.extend(tags.values());
    }
    if digests.is_empty() {
        return Ok(Going::new(repository, steps));
    }
    if deletes_tags {
        require_deletion(other, repository).await?;
    }
    let tagged = Tagged::read(client, repository, client.tags(repository).await?).await?;
    let mut problems = Vec::new();
    for digest in &digests {
        let others: Vec<&Tag> = tagged
            .tags_of(digest)
            .filter(|tag| !tags.contains_key(*tag))
            .collect();
        if !others.is_empty() {
            let others = quoted(&others);
            problems.push(match named.contains(digest) {
                true => format!("{others} of `{repository}` would go as well with {digest}"),
                false => format!(
                    "`{}` only deletes by digest, and {others} of `{repository}` would go as well, because they point at {digest}",
                    other.host
                ),
            });
        }
        let needing: Vec<&Tag> = tagged.tags_that_list(digest, &digests).collect();
        if !needing.is_empty() {
            problems.push(format!(
                "the index at {} of `{repository}` lists {digest}, and could not be pulled whole any more",
                quoted(&needing)
            ));
        }
    }
    children.extend(
        tagged
            .children
            .iter()
            .map(|(digest, children)| (*digest, children.clone())),
    );
    let digests: Vec<Digest> = digests.into_iter().collect();
    for digest in parents_first(&digests, &children) {
        let own = tagged.steps(digest, deletes_tags);
        let is_new = |step: &Step| !steps.contains(step);
        let own: Vec<Step> = own.into_iter().filter(is_new).collect();
        steps.extend(own);
    }
    let mut going = Going::new(repository, steps);
    if !arguments.force {
        going.problems = problems;
    }
    Ok(going)
}

/// The manifest at which a tag points that was named.
async fn digest_of(other: &OtherRegistry, image: &DeletedImage, tag: &Tag) -> anyhow::Result<Digest> {
    let (repository, reference) = (image.repository.as_str(), Reference::Tag(tag.clone()));
    if let Some(digest) = other.client.manifest_digest(repository, &reference).await? {
        return Ok(digest);
    }
    let name = format!("{}/{repository}:{tag}", other.host);
    match other.client.manifest(repository, &reference).await {
        Ok(manifest) => Ok(manifest.digest),
        Err(error) => Err(explain(&other.client, &name.parse()?, error).await),
    }
}

/// What a manifest lists that was named.
async fn children_of(
    other: &OtherRegistry,
    image: &DeletedImage,
    digest: &Digest,
) -> anyhow::Result<Vec<Digest>> {
    let (repository, reference) = (image.repository.as_str(), Reference::Digest(*digest));
    let name = format!("{}/{repository}@{digest}", other.host);
    match other.client.manifest(repository, &reference).await {
        Ok(manifest) => Ok(children(&manifest.bytes)),
        // It can be deleted all the same.
        Err(Error::Damaged { .. }) => Ok(Vec::new()),
        Err(error) => Err(explain(&other.client, &name.parse()?, error).await),
    }
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
                let tag: Tag = tag.parse().with_context(|| {
                    format!("the registry lists a tag that is none: `{}`", printable(&tag))
                })?;
                match client.manifest(repository, &Reference::Tag(tag.clone())).await {
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
    fn tags_of(&self, digest: &Digest) -> impl Iterator<Item = &Tag> {
        let pointing = self.digests.iter().filter(move |(_, known)| *known == digest);
        pointing.map(|(tag, _)| tag)
    }

    /// The tags of indexes that stay, and list `digest`.
    fn tags_that_list(&self, digest: &Digest, going: &BTreeSet<Digest>) -> impl Iterator<Item = &Tag> {
        let listing = self.digests.iter().filter(move |(_, known)| {
            let children = self.children.get(*known).filter(|_| !going.contains(*known));
            children.is_some_and(|children| children.contains(digest))
        });
        listing.map(|(tag, _)| tag)
    }

    /// The deletions of a manifest. Its tags go first where they can be deleted alone: some registries delete no manifest that has a tag.
    fn steps(&self, digest: Digest, deletes_tags: bool) -> Vec<Step> {
        let tags: Vec<Tag> = self.tags_of(&digest).cloned().collect();
        let alone = tags.iter().filter(|_| deletes_tags);
        let mut steps: Vec<Step> = alone.map(|tag| Step::Tag(tag.clone(), digest)).collect();
        steps.push(Step::Manifest(digest, tags));
        steps
    }
}

/// All manifests that the tags of a repository lead to, and what refers to them, indexes before what they list.
async fn everything(client: &Client, repository: &str, tagged: &Tagged) -> anyhow::Result<Vec<Digest>> {
    let mut seen = HashSet::new();
    let first = tagged.digests.values().copied();
    let mut round: Vec<Digest> = first.filter(|digest| seen.insert(*digest)).collect();
    let mut all = round.clone();
    let (mut children, mut entries) = (HashMap::new(), 0);
    while !round.is_empty() {
        let found: Vec<(Digest, Found)> = stream::iter(round)
            .map(async |digest| {
                let found = leads_to(client, repository, digest, tagged.children.get(&digest)).await?;
                anyhow::Ok((digest, found))
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        round = Vec::new();
        for (digest, found) in found {
            let next = found.children.iter().chain(&found.referrers).copied();
            round.extend(next.filter(|digest| seen.insert(*digest)));
            entries += found.children.len();
            children.insert(digest, found.children);
        }
        all.extend(&round);
        if all.len() > MOST || entries > MOST_ENTRIES {
            bail!("`{repository}` has more than {MOST} manifests; delete it in the store of the registry");
        }
    }
    Ok(parents_first(&all, &children))
}

/// `digests` in their order, but each after those that list it.
fn parents_first(digests: &[Digest], children: &HashMap<Digest, Vec<Digest>>) -> Vec<Digest> {
    let places: HashMap<Digest, usize> = digests.iter().copied().zip(0..).collect();
    let listed = |place: usize| {
        let listed: BTreeSet<Digest> = children
            .get(&digests[place])
            .into_iter()
            .flatten()
            .copied()
            .collect();
        let places = listed
            .into_iter()
            .filter_map(|digest| places.get(&digest).copied());
        places.collect::<Vec<_>>()
    };
    let mut parents = vec![0_usize; digests.len()];
    for place in 0..digests.len() {
        for child in listed(place) {
            parents[child] += 1;
        }
    }
    let free = (0..digests.len()).filter(|place| parents[*place] == 0);
    let mut free: BTreeSet<usize> = free.collect();
    let mut ordered = Vec::with_capacity(digests.len());
    // It ends with all of them: no manifest has its own digest in itself or in what it lists.
    while let Some(place) = free.pop_first() {
        ordered.push(digests[place]);
        for child in listed(place) {
            parents[child] -= 1;
            if parents[child] == 0 {
                free.insert(child);
            }
        }
    }
    ordered
}

/// What a manifest leads to.
struct Found {
    /// What it lists.
    children: Vec<Digest>,
    /// What refers to it.
    referrers: Vec<Digest>,
}

async fn leads_to(
    client: &Client,
    repository: &str,
    digest: Digest,
    known: Option<&Vec<Digest>>,
) -> anyhow::Result<Found> {
    let children = match known {
        Some(known) => known.clone(),
        None => match client.manifest(repository, &Reference::Digest(digest)).await {
            Ok(manifest) => children(&manifest.bytes),
            Err(Error::Refused { status, .. }) if status.as_u16() == 404 => Vec::new(),
            Err(error) => return Err(error.into()),
        },
    };
    let referrers = client.referrers(repository, &digest).await?;
    let mut referrers: Vec<Digest> = referrers.into_iter().map(|referrer| referrer.digest).collect();
    referrers.sort_unstable();
    Ok(Found { children, referrers })
}

/// The manifests that an index lists; of another manifest none.
fn children(manifest: &[u8]) -> Vec<Digest> {
    let view = ManifestView::parse_stored(manifest);
    view.map(|view| view.children().map(|child| child.digest).collect())
        .unwrap_or_default()
}

fn quoted(tags: &[&Tag]) -> String {
    const SHOWN: usize = 20;
    let shown = tags.iter().take(SHOWN).map(|tag| format!("`{tag}`"));
    let shown = shown.collect::<Vec<_>>().join(", ");
    match tags.len() {
        1 => format!("the tag {shown}"),
        count if count > SHOWN => format!("the tags {shown} and {} more", count - SHOWN),
        _ => format!("the tags {shown}"),
    }
}

fn described(plan: &Going, other: &OtherRegistry) -> String {
    let mut text = format!("from {} at {} go:\n", plan.repository, other.host);
    for tag in &plan.tags {
        text += &format!("  {}:{tag}\n", plan.repository);
    }
    for digest in &plan.manifests {
        text += &format!("  {}@{digest}\n", plan.repository);
    }
    text += &match (other.obstacle(), plan.manifests.is_empty()) {
        (Some(why), _) => format!(
            "by the standard API, because {}; if it has a trash, `wharf trash` on its own machine restores it\n",
            printable(&why.to_string())
        ),
        (None, true) => {
            "the tags alone: what they point at stays, until the registry collects what has no tag\n"
                .to_owned()
        }
        (None, false) => {
            "this registry has no trash, so it cannot be restored; its collection frees the bytes\n"
                .to_owned()
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_before_what_they_list() {
        let [child, index, outer, other] =
            ["child", "index", "outer", "other"].map(|text| Digest::sha256_of(text.as_bytes()));
        let children = HashMap::from([(index, vec![child, child]), (outer, vec![index, child])]);
        let ordered = |digests: &[Digest]| parents_first(digests, &children);
        assert_eq!(
            ordered(&[child, other, index, outer]),
            [other, outer, index, child]
        );
        assert_eq!(ordered(&[index, other]), [index, other]);
        assert_eq!(ordered(&[]), []);
    }
}
