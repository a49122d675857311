//! One repository: its links, read in the order tags, manifests, layers, and written in the opposite one.

use std::{
    collections::{HashMap, HashSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher as _},
    sync::Arc,
};

use wharf_oci::Digest;
use wharf_storage::{
    Key, Put, Scanned, Stat,
    layout::{self, InTree as _, Repository},
};

use super::{
    blobs::{self, Presence},
    job::{Failure, Job},
    join::Join,
    links::{self, Compared, Link},
    report::Kind,
};
use crate::{
    error::Result,
    tree::{
        manifest::Facts,
        parallel::in_parallel,
        scan::{self, Scan},
    },
};

/// The manifests and tags of a repository at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// A hash of keys, sizes and times.
    times: u64,
    /// A hash of versions; `None` when a store does not know all of them at the moment.
    versions: Option<u64>,
}

impl Seen {
    /// What is seen of a repository that does not exist.
    pub(super) const NOTHING: Self = Self {
        times: 0,
        versions: Some(0),
    };

    /// Whether nothing has changed from the one moment to the other.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let are_versions_same = match (self.versions, other.versions) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        self.times == other.times && are_versions_same
    }

    fn see(&mut self, object: &Scanned) {
        let Stat {
            size,
            modified,
            version,
        } = &object.stat;
        self.times = hash(&(self.times, &object.key, size, modified));
        let versions = self.versions.zip(version.as_ref());
        self.versions = versions.map(|(before, version)| hash(&(before, version)));
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Copies the links of `repository`, and blobs that came after they were listed. `None` when it could not be listed.
///
/// # Errors
///
/// When the copy must end.
pub(super) async fn copy(job: Arc<Job>, repository: Repository) -> Result<Option<(Repository, Seen)>> {
    let what = format!("the repository `{}`", repository.path());
    let listed = match list(&job, &repository).await {
        Ok(listed) => listed,
        Err(failure) => {
            job.report(None, &what, failure)?;
            return Ok(None);
        }
    };
    let Listed {
        seen,
        tags,
        manifests,
        layers,
    } = listed;
    if !tags.is_empty() || !manifests.is_empty() || !layers.is_empty() {
        job.progress.count(|counts| counts.repositories += 1);
    }
    let broken = copy_layers(&job, &repository, layers).await?;
    let known = copy_manifests(&job, &repository, manifests, &broken).await?;
    copy_tags(&job, &repository, tags, &known).await?;
    Ok(Some((repository, seen)))
}

/// The manifests and tags that the source has by now; `None` when they could not be listed.
///
/// # Errors
///
/// When the copy must end.
pub(super) async fn look(job: Arc<Job>, repository: Repository) -> Result<(Repository, Option<Seen>)> {
    match see(&job, &repository).await {
        Ok(seen) => Ok((repository, Some(seen))),
        Err(error) => {
            let what = format!("the second look at the repository `{}`", repository.path());
            job.report(None, &what, Failure::Source(error))?;
            Ok((repository, None))
        }
    }
}

async fn see(job: &Job, repository: &Repository) -> wharf_storage::Result<Seen> {
    let mut seen = Seen::NOTHING;
    for prefix in [layout::tags(repository), layout::revisions(repository)] {
        let mut scan = Scan::new(&*job.from, &prefix);
        while let Some(object) = scan.next().await? {
            seen.see(&object);
        }
    }
    Ok(seen)
}

/// All that is to be done for one repository.
struct Listed {
    seen: Seen,
    tags: Vec<Tag>,
    manifests: Vec<Link>,
    layers: Vec<Link>,
}

/// The directory of a tag.
struct Tag {
    name: Box<str>,
    /// What it pointed at before the manifests were listed.
    current: Option<(Link, Result<Compared, Failure>)>,
    history: Vec<Link>,
}

async fn list(job: &Job, repository: &Repository) -> Result<Listed, Failure> {
    let mut seen = Seen::NOTHING;
    let tags = list_tags(job, repository, &mut seen).await?;
    let manifests = list_links(job, &layout::revisions(repository), Some(&mut seen)).await?;
    let layers = list_links(job, &layout::layers(repository), None).await?;
    Ok(Listed {
        seen,
        tags,
        manifests,
        layers,
    })
}

/// Lists the tags, and reads what each points at.
async fn list_tags(job: &Job, repository: &Repository, seen: &mut Seen) -> Result<Vec<Tag>, Failure> {
    let prefix = layout::tags(repository);
    let (mut tags, mut currents): (Vec<Tag>, Vec<Option<Link>>) = Default::default();
    let mut pairs = Join::new(&*job.from, &*job.to, &prefix);
    while let Some(pair) = pairs.next().await? {
        let below = scan::below(&prefix, &pair.key);
        let (name, rest) = below.and_then(|below| below.split_once('/')).unwrap_or_default();
        let Some(here) = &pair.here else {
            if rest == "current/link" {
                let name = || format!("{}:{name}", repository.path());
                job.progress.found_only_at_destination(name);
            }
            continue;
        };
        seen.see(here);
        let is_current = rest == "current/link";
        let own = rest.strip_prefix("index/").and_then(scan::named);
        if !is_current && own.is_none() {
            job.stranger();
            continue;
        }
        if tags.last().is_none_or(|tag| *tag.name != *name) {
            currents.push(None);
            tags.push(Tag {
                name: name.into(),
                current: None,
                history: Vec::new(),
            });
        }
        let link = Link {
            size: here.stat.size,
            there: pair.there,
            own,
            key: pair.key,
        };
        match (is_current, currents.last_mut(), tags.last_mut()) {
            (true, Some(current), _) => *current = Some(link),
            (_, _, Some(tag)) => tag.history.push(link),
            _ => {}
        }
    }
    let reads = currents.into_iter().map(|link| read(job, link));
    let read = in_parallel::<_, Failure, _>(reads).await?;
    for (tag, current) in tags.iter_mut().zip(read) {
        tag.current = current;
    }
    Ok(tags)
}

async fn read(job: &Job, link: Option<Link>) -> Result<Option<(Link, Result<Compared, Failure>)>, Failure> {
    let Some(link) = link else { return Ok(None) };
    let compared = links::compare(job, &link).await;
    Ok(Some((link, compared)))
}

async fn list_links(job: &Job, prefix: &Key, mut seen: Option<&mut Seen>) -> Result<Vec<Link>, Failure> {
    let mut links = Vec::new();
    let mut pairs = Join::new(&*job.from, &*job.to, prefix);
    while let Some(pair) = pairs.next().await? {
        let Some(here) = &pair.here else { continue };
        if let Some(seen) = &mut seen {
            seen.see(here);
        }
        let Some(below) = scan::below(prefix, &pair.key).filter(|below| scan::is_link(below)) else {
            job.stranger();
            continue;
        };
        links.push(Link {
            size: here.stat.size,
            there: pair.there,
            own: scan::named(below),
            key: pair.key,
        });
    }
    Ok(links)
}

/// Copies the links of layers. Returns the digests of those that are left out.
async fn copy_layers(job: &Job, repository: &Repository, layers: Vec<Link>) -> Result<HashSet<Digest>> {
    let name = repository.path();
    let copies = layers.into_iter().map(|link| async move {
        let is_copied = match copy_layer(job, &link).await {
            Ok(is_copied) => is_copied,
            Err(failure) => {
                let what = format!("`{name}`: the link `{}` of a layer", link.key);
                job.report(Some(Kind::Layer), &what, failure)?;
                false
            }
        };
        Ok(link.own.filter(|_| !is_copied))
    });
    let left_out = in_parallel::<_, crate::Error, _>(copies).await?;
    Ok(left_out.into_iter().flatten().collect())
}

/// Whether the destination has the link now.
async fn copy_layer(job: &Job, link: &Link) -> Result<bool, Failure> {
    let compared = links::compare(job, link).await?;
    match blobs::ensure(job, &compared.target())
        .await
        .map_err(Failure::Fatal)?
    {
        Presence::Stored => {}
        Presence::Nowhere => {
            job.progress.count(|counts| counts.dangling += 1);
            return Ok(false);
        }
        Presence::Failed => return Ok(false),
    }
    match compared {
        Compared::Same(_) => job.there(Kind::Layer),
        Compared::Other(_, bytes) => {
            links::publish(job, vec![Put::new(link.key.clone(), bytes)]).await?;
            job.copied(Kind::Layer);
        }
    }
    Ok(true)
}

/// The manifests of a repository, by what became of them.
#[derive(Default)]
struct Known {
    copied: HashSet<Digest>,
    left_out: HashSet<Digest>,
}

/// A manifest that the destination does not have.
struct Missing {
    digest: Digest,
    put: Put,
    facts: Option<Arc<Facts>>,
}

enum Examined {
    There(Digest),
    Missing(Missing),
    LeftOut(Option<Digest>),
}

/// Copies the links of manifests, each after those of the manifests that it names.
async fn copy_manifests(
    job: &Job,
    repository: &Repository,
    manifests: Vec<Link>,
    broken: &HashSet<Digest>,
) -> Result<Known> {
    let name = repository.path();
    let looks = manifests.into_iter().map(|link| examine(job, name, link));
    let mut known = Known::default();
    let mut missing: HashMap<Digest, Missing> = HashMap::new();
    for examined in in_parallel::<_, crate::Error, _>(looks).await? {
        match examined {
            Examined::There(digest) => _ = known.copied.insert(digest),
            Examined::LeftOut(digest) => known.left_out.extend(digest),
            Examined::Missing(manifest) => _ = missing.insert(manifest.digest, manifest),
        }
    }
    while !missing.is_empty() {
        let waits = |manifest: &Missing| manifest.children().any(|child| missing.contains_key(child));
        let mut ready: Vec<Digest> = missing
            .values()
            .filter(|each| !waits(each))
            .map(|each| each.digest)
            .collect();
        if ready.is_empty() {
            // No digests can name each other in a circle; if they did, no order would be right.
            ready = missing.keys().copied().collect();
        }
        let ready: Vec<Missing> = ready.iter().filter_map(|digest| missing.remove(digest)).collect();
        let left_out = &known.left_out;
        let copies = ready.into_iter().map(|manifest| async move {
            let is_copied = copy_manifest(job, name, &manifest, broken, left_out).await?;
            Ok((manifest.digest, is_copied))
        });
        for (digest, is_copied) in in_parallel::<_, crate::Error, _>(copies).await? {
            let set = if is_copied {
                &mut known.copied
            } else {
                &mut known.left_out
            };
            set.insert(digest);
        }
    }
    Ok(known)
}

impl Missing {
    fn children(&self) -> impl Iterator<Item = &Digest> {
        self.facts.iter().flat_map(|facts| facts.entries())
    }

    /// A digest that it names and that was left out.
    fn lacks(&self, broken: &HashSet<Digest>, left_out: &HashSet<Digest>) -> Option<&Digest> {
        let mut blobs = self.facts.iter().flat_map(|facts| facts.blobs());
        blobs
            .find(|blob| broken.contains(blob))
            .or_else(|| self.children().find(|child| left_out.contains(child)))
    }
}

async fn examine(job: &Job, name: &str, link: Link) -> Result<Examined> {
    let compared = match links::compare(job, &link).await {
        Ok(compared) => compared,
        Err(failure) => {
            let what = format!("`{name}`: the link `{}` of a manifest", link.key);
            job.report(Some(Kind::Manifest), &what, failure)?;
            return Ok(Examined::LeftOut(link.own));
        }
    };
    let digest = link.own.unwrap_or_else(|| compared.target());
    for needed in HashSet::from([digest, compared.target()]) {
        let why = match blobs::ensure(job, &needed).await? {
            Presence::Stored => continue,
            Presence::Nowhere => "the source does not have its bytes; push it again, or delete it",
            Presence::Failed => "its bytes could not be copied",
        };
        let what = format!("`{name}`: the manifest `{digest}` is left out: {why}");
        job.progress.failed(Kind::Manifest, what);
        return Ok(Examined::LeftOut(Some(digest)));
    }
    let bytes = match compared {
        Compared::Same(_) => {
            job.there(Kind::Manifest);
            return Ok(Examined::There(digest));
        }
        Compared::Other(_, bytes) => bytes,
    };
    // `None`: its bytes are right, and no manifest.
    let facts = match job.manifests.facts(&digest).await {
        Ok(facts) => facts,
        Err(error) => {
            let what = format!("`{name}`: the manifest `{digest}`");
            job.report(Some(Kind::Manifest), &what, Failure::looking_up(error))?;
            return Ok(Examined::LeftOut(Some(digest)));
        }
    };
    Ok(Examined::Missing(Missing {
        digest,
        put: Put::new(link.key, bytes),
        facts,
    }))
}

/// Whether the manifest was copied.
async fn copy_manifest(
    job: &Job,
    name: &str,
    manifest: &Missing,
    broken: &HashSet<Digest>,
    left_out: &HashSet<Digest>,
) -> Result<bool> {
    let digest = &manifest.digest;
    if let Some(lacking) = manifest.lacks(broken, left_out) {
        let what = format!(
            "`{name}`: the manifest `{digest}` is left out: `{lacking}`, which it needs, is damaged, missing, or could not be copied; \
             push the image again, or delete it, and run this again"
        );
        job.progress.failed(Kind::Manifest, what);
        return Ok(false);
    }
    match links::publish(job, vec![manifest.put.clone()]).await {
        Ok(()) => {
            job.copied(Kind::Manifest);
            Ok(true)
        }
        Err(failure) => {
            let what = format!("`{name}`: the manifest `{digest}`");
            job.report(Some(Kind::Manifest), &what, failure)?;
            Ok(false)
        }
    }
}

async fn copy_tags(job: &Job, repository: &Repository, tags: Vec<Tag>, known: &Known) -> Result<()> {
    let copies = tags.into_iter().map(|tag| async move {
        let what = format!("the tag `{}:{}`", repository.path(), tag.name);
        match copy_tag(job, repository, tag, known, &what).await {
            Ok(()) => Ok(()),
            Err(failure) => job.report(Some(Kind::Tag), &what, failure),
        }
    });
    in_parallel::<(), crate::Error, _>(copies).await?;
    Ok(())
}

async fn copy_tag(
    job: &Job,
    repository: &Repository,
    tag: Tag,
    known: &Known,
    what: &str,
) -> Result<(), Failure> {
    let current = match tag.current {
        Some((link, compared)) => Some((link, compared?)),
        // Other programs leave a history behind.
        None => None,
    };
    if let Some((link, compared)) = &current {
        require(job, repository, link, &compared.target(), known).await?;
    }
    let mut puts = Vec::new();
    for link in &tag.history {
        match links::compare(job, link).await {
            Ok(Compared::Other(_, bytes)) => puts.push(Put::new(link.key.clone(), bytes)),
            Ok(Compared::Same(_)) | Err(Failure::Gone) => {}
            Err(Failure::Damaged(why)) => {
                let key = &link.key;
                job.progress
                    .warned(format!("{what}: left `{key}` of its history out: {why}"));
            }
            Err(failure) => return Err(failure),
        }
    }
    match current {
        Some((_, Compared::Same(_))) => {
            links::publish(job, puts).await?;
            job.there(Kind::Tag);
        }
        Some((link, Compared::Other(_, bytes))) => {
            puts.push(Put::new(link.key, bytes));
            links::publish(job, puts).await?;
            job.copied(Kind::Tag);
        }
        None => links::publish(job, puts).await?,
    }
    Ok(())
}

/// Fails unless the destination has the manifest that a tag points at.
async fn require(
    job: &Job,
    repository: &Repository,
    link: &Link,
    target: &Digest,
    known: &Known,
) -> Result<(), Failure> {
    if known.copied.contains(target) {
        return Ok(());
    }
    if known.left_out.contains(target) {
        let why = format!("it is left out with its manifest `{target}`");
        return Err(Failure::Damaged(why));
    }
    // The manifest was deleted after the tag was read, and the tag with it; or the tag is damaged.
    let now = links::compare(job, link).await?;
    let is_linked = job.from.stat(&layout::revision_link(repository, target)).await;
    match is_linked {
        Err(error) if error.is_not_found() && now.target() == *target => Err(Failure::Damaged(format!(
            "it points at `{target}`, which is not in the repository; push the tag again, or delete it"
        ))),
        _ => Err(Failure::Gone),
    }
}
