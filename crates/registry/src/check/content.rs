//! The content of one repository, read tolerantly: tags, manifests with what they need, layer links, and what is wrong with them.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use wharf_oci::Digest;
use wharf_storage::{
    Key, Storage,
    layout::{self, InTree as _, Repository},
};

use super::{
    finding::{Finding, Images, Link as Place, Problem},
    needs::Needs,
};
use crate::{
    error::{Error, Result},
    tree::{
        directory::{ByDigest, by_digest, names},
        link::{self, Link},
        manifest::{Manifests, Viewed},
        parallel::in_jobs,
        tags::is_tag,
    },
};

/// The content of one repository.
#[derive(Debug)]
pub(super) struct Content {
    repository: Repository,
    pub(super) tags: Vec<FoundTag>,
    /// Links of manifests, in ascending order; a directory without its link is not among them.
    pub(super) revisions: BTreeMap<Digest, Found>,
    /// Manifests that could be read, with what they need.
    pub(super) manifests: BTreeMap<Digest, Needs>,
    /// Manifests that are linked and could not be read.
    pub(super) unread: Vec<(Digest, Unread)>,
    /// Links of layers and configurations.
    pub(super) layers: BTreeMap<Digest, Found>,
    /// What is wrong and harms no image by itself.
    pub(super) findings: Vec<Finding>,
}

/// The directory of a tag.
#[derive(Debug)]
pub(super) struct FoundTag {
    pub(super) name: Box<str>,
    pub(super) link: Found,
    /// Digest that it points at, if it points.
    pub(super) target: Option<Digest>,
    /// Digests in its history.
    history: Vec<Digest>,
    is_history_known: bool,
    unknown_entries: Vec<Box<str>>,
    /// Path and error of what of it cannot be read.
    unreadable: Option<(Key, wharf_storage::Error)>,
}

/// A link as it was found.
#[derive(Debug)]
pub(super) enum Found {
    Read(Link),
    /// The link cannot be read.
    Unreadable(String),
}

/// Why a linked manifest could not be read.
#[derive(Debug)]
pub(super) enum Unread {
    Absent,
    /// The bytes do not have the digest.
    Damaged,
    NoManifest(String),
    /// They cannot be read; a check of the blob says why.
    Unreadable,
}

impl Content {
    /// Looks at everything in `repository`, except its uploads. `None` when the directory only holds other repositories.
    ///
    /// # Errors
    ///
    /// When the store is not available.
    pub(super) async fn read(
        storage: &Arc<dyn Storage>,
        manifests: &Arc<Manifests>,
        repository: Repository,
    ) -> Result<Option<Self>> {
        let mut content = Self {
            repository,
            tags: Vec::new(),
            revisions: BTreeMap::new(),
            manifests: BTreeMap::new(),
            unread: Vec::new(),
            layers: BTreeMap::new(),
            findings: Vec::new(),
        };
        let is_repository = content.read_directory(&**storage).await?;
        if is_repository {
            // Tags before manifests, and these before layers: a push writes them in the other order (I3), so what a tag or a
            // manifest that was seen needs was there before it.
            content.read_tags(storage).await?;
            content.read_revisions(storage).await?;
            content.read_manifests(manifests).await?;
            content.read_layers(storage).await?;
        }
        Ok((is_repository || !content.findings.is_empty()).then_some(content))
    }

    /// Name of the repository.
    pub(super) fn name(&self) -> &str {
        self.repository.path()
    }

    pub(super) fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Whether there are neither tags, nor manifests, nor layers.
    pub(super) fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.revisions.is_empty() && self.layers.is_empty()
    }

    /// Whether the repository has a link of the manifest `digest`, whatever it holds.
    pub(super) fn has_revision(&self, digest: &Digest) -> bool {
        self.revisions.contains_key(digest)
    }

    /// Notes a problem that harms no image.
    pub(super) fn note(&mut self, problem: Problem) {
        self.findings.push(Finding::new(problem, Images::default()));
    }

    /// Notes that something cannot be read.
    ///
    /// # Errors
    ///
    /// `error` itself, when it is not about what is stored.
    fn unreadable(&mut self, path: &Key, error: Error) -> Result<()> {
        match error {
            Error::Storage(error) if !error.is_transient() => {
                self.note(unreadable(path, &error));
                Ok(())
            }
            error => Err(error),
        }
    }

    fn unknown(&mut self, above: &Key, name: &str) {
        let path = format!("{above}/{name}").into();
        self.note(Problem::UnknownEntry { path });
    }

    /// Looks at the names in the directory, and returns whether it is one of a repository.
    async fn read_directory(&mut self, storage: &dyn Storage) -> Result<bool> {
        let directory = layout::repository(&self.repository);
        let entries = match names(storage, &directory).await {
            Ok(entries) => entries,
            // The walk has said so.
            Err(Error::Storage(error)) if !error.is_transient() => return Ok(false),
            Err(error) => return Err(error),
        };
        let (mut has_manifests, mut has_layers) = (false, false);
        for entry in &entries {
            match &*entry.name {
                "_manifests" if entry.is_dir => has_manifests = true,
                "_layers" if entry.is_dir => has_layers = true,
                "_uploads" if entry.is_dir => {}
                name if !entry.is_dir || name.starts_with('_') => self.unknown(&directory, name),
                // Another repository.
                _ => {}
            }
        }
        if has_manifests {
            let manifests = layout::manifests(&self.repository);
            match names(storage, &manifests).await {
                Ok(entries) => {
                    let known = |name: &str| matches!(name, "revisions" | "tags");
                    let unknown = entries.iter().filter(|entry| !known(&entry.name));
                    unknown.for_each(|entry| self.unknown(&manifests, &entry.name));
                }
                Err(error) => self.unreadable(&manifests, error)?,
            }
        }
        Ok(has_manifests || has_layers)
    }

    async fn read_tags(&mut self, storage: &Arc<dyn Storage>) -> Result<()> {
        let directory = layout::tags(&self.repository);
        let entries = match names(&**storage, &directory).await {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(&directory, error),
        };
        let mut tags = Vec::new();
        for entry in entries {
            if entry.is_dir && is_tag(&entry.name) {
                tags.push(entry.name);
            } else {
                self.unknown(&directory, &entry.name);
            }
        }
        let (storage, repository) = (Arc::clone(storage), self.repository.clone());
        let find = move |name| find_tag(Arc::clone(&storage), repository.clone(), name);
        self.tags = in_jobs(tags, find).await?;
        for number in 0..self.tags.len() {
            let tag = &mut self.tags[number];
            let directory = layout::tag(&self.repository, &tag.name);
            let (unknown, failed) = (std::mem::take(&mut tag.unknown_entries), tag.unreadable.take());
            unknown.iter().for_each(|name| self.unknown(&directory, name));
            if let Some((path, error)) = failed {
                self.note(unreadable(&path, &error));
            }
        }
        Ok(())
    }

    /// Lists a directory of digests; what else is in it is noted.
    async fn list(&mut self, storage: &dyn Storage, directory: &Key) -> Result<Vec<Digest>> {
        match by_digest(storage, directory).await {
            Ok(found) => {
                let unknown = found.unknown_entries.iter();
                unknown.for_each(|name| self.unknown(directory, name));
                Ok(found.digests)
            }
            Err(error) => {
                self.unreadable(directory, error)?;
                Ok(Vec::new())
            }
        }
    }

    async fn read_revisions(&mut self, storage: &Arc<dyn Storage>) -> Result<()> {
        let digests = self
            .list(&**storage, &layout::revisions(&self.repository))
            .await?;
        let repository = self.repository.clone();
        let key = move |digest: &Digest| layout::revision_link(&repository, digest);
        self.revisions = links(storage, digests, key).await?;
        Ok(())
    }

    async fn read_layers(&mut self, storage: &Arc<dyn Storage>) -> Result<()> {
        let digests = self.list(&**storage, &layout::layers(&self.repository)).await?;
        let repository = self.repository.clone();
        let key = move |digest: &Digest| layout::layer_link(&repository, digest);
        self.layers = links(storage, digests, key).await?;
        Ok(())
    }

    async fn read_manifests(&mut self, manifests: &Arc<Manifests>) -> Result<()> {
        // A damaged link may be all that is wrong, so the bytes say what suffers.
        let digests: Vec<Digest> = self.revisions.keys().copied().collect();
        let manifests = Arc::clone(manifests);
        let view = move |digest| {
            let manifests = Arc::clone(&manifests);
            async move {
                match manifests.view(&digest, Needs::of).await {
                    Err(Error::Storage(error)) if !error.is_transient() => Ok((digest, None)),
                    viewed => Ok((digest, Some(viewed?))),
                }
            }
        };
        for (digest, viewed) in in_jobs(digests, view).await? {
            let unread = match viewed {
                Some(Viewed::Understood(needs)) => {
                    self.manifests.insert(digest, needs);
                    continue;
                }
                Some(Viewed::Absent) => Unread::Absent,
                Some(Viewed::Damaged) => Unread::Damaged,
                Some(Viewed::NoManifest(why)) => Unread::NoManifest(why),
                None => Unread::Unreadable,
            };
            self.unread.push((digest, unread));
        }
        Ok(())
    }

    /// Notes what is wrong with the histories and directories of tags, which harms no image.
    pub(super) fn note_histories(&mut self) {
        let mut problems = Vec::new();
        for tag in &self.tags {
            let (repository, name) = (|| self.name().into(), || tag.name.clone());
            if matches!(tag.link, Found::Read(Link::Absent)) {
                problems.push(Problem::EmptyTag {
                    repository: repository(),
                    tag: name(),
                });
                continue;
            }
            let is_dangling = |digest: &&Digest| !self.has_revision(digest) && tag.target != Some(**digest);
            let mut dangling = tag.history.iter().filter(is_dangling);
            if let Some(first) = dangling.next() {
                problems.push(Problem::DanglingHistory {
                    repository: repository(),
                    tag: name(),
                    count: 1 + dangling.count(),
                    first: *first,
                });
            }
            let is_unrecorded = |target: &Digest| !tag.history.contains(target);
            if tag.target.as_ref().is_some_and(is_unrecorded) && tag.is_history_known {
                problems.push(Problem::UnrecordedTag {
                    repository: repository(),
                    tag: name(),
                });
            }
        }
        problems.into_iter().for_each(|problem| self.note(problem));
    }

    /// The digests that the manifests of the repository name as blobs or children.
    pub(super) fn named(&self) -> HashSet<Digest> {
        let parts = self.manifests.values().flat_map(|needs| &needs.parts);
        parts.map(|part| part.digest).collect()
    }

    /// The link of the layer `digest`, for a finding.
    pub(super) fn layer(&self, digest: &Digest) -> Place {
        Place::Layer {
            repository: self.name().into(),
            digest: *digest,
        }
    }

    /// The link of the manifest `digest`, for a finding.
    pub(super) fn revision(&self, digest: &Digest) -> Place {
        Place::Revision {
            repository: self.name().into(),
            digest: *digest,
        }
    }
}

/// The problem of something at `path` that cannot be read.
fn unreadable(path: &Key, error: &wharf_storage::Error) -> Problem {
    Problem::Unreadable {
        path: path.as_str().into(),
        error: error.to_string(),
    }
}

/// Reads some links; those that are not there are left out.
async fn links(
    storage: &Arc<dyn Storage>,
    digests: Vec<Digest>,
    key: impl Fn(&Digest) -> Key + Clone + Send + Sync + 'static,
) -> Result<BTreeMap<Digest, Found>> {
    let storage = Arc::clone(storage);
    let read = move |digest| {
        let (storage, key) = (Arc::clone(&storage), key(&digest));
        async move { Ok((digest, find(&*storage, &key).await?)) }
    };
    let found = in_jobs(digests, read).await?.into_iter();
    // registry:2 leaves the directories of deleted links behind.
    let is_there = |found: &(Digest, Found)| !matches!(found.1, Found::Read(Link::Absent));
    Ok(found.filter(is_there).collect())
}

async fn find(storage: &dyn Storage, key: &Key) -> Result<Found> {
    match link::find(storage, key).await {
        Ok(link) => Ok(Found::Read(link)),
        Err(error) if !error.is_transient() => Ok(Found::Unreadable(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

async fn find_tag(storage: Arc<dyn Storage>, repository: Repository, name: Box<str>) -> Result<FoundTag> {
    let link = find(&*storage, &layout::tag_link(&repository, &name)).await?;
    let directory = layout::tag(&repository, &name);
    let mut unreadable = None;
    let mut passed_over = |path: Key, error: Error| match error {
        Error::Storage(error) if !error.is_transient() => {
            unreadable = Some((path, error));
            Ok(())
        }
        error => Err(error),
    };
    let mut unknown_entries: Vec<Box<str>> = Vec::new();
    match names(&*storage, &directory).await {
        Ok(entries) => {
            let known = |name: &str| matches!(name, "current" | "index");
            let unknown = entries.into_iter().filter(|entry| !known(&entry.name));
            unknown_entries.extend(unknown.map(|entry| entry.name));
        }
        Err(error) => passed_over(directory.clone(), error)?,
    }
    let path = layout::tag_history(&repository, &name);
    let mut is_history_known = true;
    let history = match by_digest(&*storage, &path).await {
        Ok(history) => history,
        Err(error) => {
            is_history_known = false;
            passed_over(path, error)?;
            ByDigest::default()
        }
    };
    let below = history.unknown_entries.iter();
    unknown_entries.extend(below.map(|name| format!("index/{name}").into()));
    let target = match &link {
        Found::Read(Link::Points(target)) => Some(*target),
        Found::Read(_) | Found::Unreadable(_) => None,
    };
    Ok(FoundTag {
        name,
        link,
        target,
        history: history.digests,
        is_history_known,
        unknown_entries,
        unreadable,
    })
}
