//! What one repository holds: its tags, manifests and layer links, and findings about damaged ones.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use wharf_oci::Digest;
use wharf_storage::{
    Key, Storage,
    layout::{self, InTree as _, Repository},
};

use super::{
    known_links::{KnownLinks, ListedLink},
    listing::{Found, ListedTag, Listing},
    report::{CollectOptions, Finding},
    words::KeptBecause,
};
use crate::{
    error::Result,
    tree::{
        directory::{ByDigest, by_digest, names, no_key},
        link::{self, Link},
        manifest::{Facts, Manifests, Stored},
        parallel::in_jobs,
    },
};

/// The content of one repository.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) repository: Repository,
    pub(crate) tags: Vec<FoundTag>,
    /// Manifests that the repository has links of, in ascending order.
    pub(crate) revisions: Vec<Digest>,
    /// Facts of the revisions that could be read.
    pub(crate) manifests: HashMap<Digest, Arc<Facts>>,
    /// Manifests of which there is a directory, and no link.
    pub(super) unlinked: Vec<Digest>,
    /// Names of layer links, in ascending order; a directory without its link is among them.
    pub(crate) layers: Vec<Digest>,
    /// Digests that are kept whether or not something needs them, because damaged links name them.
    pub(crate) pinned: Vec<Digest>,
    /// Whether the repository is kept whole, because it is unknown what it needs.
    pub(crate) is_kept_whole: bool,
    /// Whether it may have manifests by digest algorithms that are not known.
    pub(crate) has_unknown_algorithms: bool,
    /// Whether the repository has entries that are not part of the layout.
    pub(crate) has_unknown_entries: bool,
    pub(crate) findings: Vec<Finding>,
    /// What a listing told of the links of `layers`, in the same order; `None` where these are to be asked for one by one.
    listed: Option<(Arc<KnownLinks>, Vec<ListedLink>)>,
}

/// A directory of a tag.
#[derive(Debug)]
pub(crate) struct FoundTag {
    pub(crate) name: Box<str>,
    pub(crate) current: Link,
    /// Digests in the history of the tag; not read when they are not needed.
    pub(crate) history: Vec<Digest>,
    has_unknown_entries: bool,
}

impl Survey {
    /// Looks at everything in `repository`, except its uploads. `None` when the directory has no place for manifests or
    /// layers, and so only holds other repositories.
    ///
    /// # Errors
    ///
    /// Errors of listing a directory: its content is unknown.
    pub(crate) async fn take(
        storage: &Arc<dyn Storage>,
        manifests: &Arc<Manifests>,
        links: &Arc<KnownLinks>,
        repository: Repository,
        options: CollectOptions,
    ) -> Result<Option<Self>> {
        if !is_repository(&**storage, &repository).await? {
            return Ok(None);
        }
        let mut survey = Self::empty(repository);
        survey.find_tags(storage, links, options).await?;
        survey.find_revisions(&**storage, links).await?;
        survey.read_manifests(manifests).await?;
        survey.find_layers(storage).await?;
        Ok(Some(survey))
    }

    /// As [`take`](Self::take), of a repository that was `found` in all of the store.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take).
    pub(crate) async fn of(
        storage: &Arc<dyn Storage>,
        manifests: &Arc<Manifests>,
        links: &Arc<KnownLinks>,
        found: Found,
        options: CollectOptions,
    ) -> Result<Option<Self>> {
        let listing = match found {
            Found::Directory(repository) => {
                return Self::take(storage, manifests, links, repository, options).await;
            }
            Found::Listing(listing) => *listing,
        };
        let Listing {
            repository,
            tags,
            revisions,
            layers,
            has_unknown_entries,
            ..
        } = listing;
        let mut survey = Self::empty(repository);
        survey.has_unknown_entries =
            has_unknown_entries || revisions.has_unknown_entries || layers.has_unknown_entries;
        let (reader, at) = (Arc::clone(links), survey.repository.clone());
        let tags = in_jobs(tags.into_iter().collect(), move |(name, tag)| {
            read_tag(Arc::clone(&reader), at.clone(), name, tag, options)
        });
        survey.note_tags(tags.await?);
        survey.note_algorithms(revisions.unknown_algorithms);
        let at = survey.repository.clone();
        let revisions = read_listed(links, revisions.links, move |digest| {
            layout::revision_link(&at, digest)
        });
        survey.note_revisions(revisions.await?);
        survey.read_manifests(manifests).await?;
        survey.layers = layers.links.iter().map(|link| link.digest).collect();
        survey.listed = Some((Arc::clone(links), layers.links));
        survey.pin_targets(&**storage, layers.unknown_links).await;
        Ok(Some(survey))
    }

    /// A repository that has nothing.
    pub(crate) fn empty(repository: Repository) -> Self {
        Self {
            repository,
            tags: Vec::new(),
            revisions: Vec::new(),
            unlinked: Vec::new(),
            manifests: HashMap::new(),
            layers: Vec::new(),
            pinned: Vec::new(),
            is_kept_whole: false,
            has_unknown_algorithms: false,
            has_unknown_entries: false,
            findings: Vec::new(),
            listed: None,
        }
    }

    /// Adds a finding about the repository.
    pub(crate) fn report(&mut self, what: KeptBecause) {
        self.findings.push(Finding {
            repository: self.repository.path().into(),
            what: what.into(),
        });
    }

    /// Whether `digest` is a manifest of the repository.
    pub(crate) fn has_revision(&self, digest: &Digest) -> bool {
        self.revisions.binary_search(digest).is_ok()
    }

    async fn find_tags(
        &mut self,
        storage: &Arc<dyn Storage>,
        links: &Arc<KnownLinks>,
        options: CollectOptions,
    ) -> Result<()> {
        let entries = names(&**storage, &layout::tags(&self.repository)).await?;
        self.has_unknown_entries |= entries.iter().any(|entry| !entry.is_dir);
        let tags: Vec<Box<str>> = entries
            .into_iter()
            .filter(|entry| entry.is_dir)
            .map(|entry| entry.name)
            .collect();
        let named = tags.iter().map(|tag| (tag.clone(), None)).collect();
        let directory = layout::tags(&self.repository);
        let current = links.find_below(&directory, named, &layout::in_tag_link()).await;
        let repository = self.repository.clone();
        let storage = Arc::clone(storage);
        let found = tags.into_iter().zip(current).collect();
        let tags = in_jobs(found, move |(tag, current)| {
            found_tag(Arc::clone(&storage), repository.clone(), tag, current, options)
        });
        self.note_tags(tags.await?);
        Ok(())
    }

    fn note_tags(&mut self, tags: Vec<FoundTag>) {
        self.tags = tags;
        self.has_unknown_entries |= self.tags.iter().any(|tag| tag.has_unknown_entries);
        let damaged: Vec<KeptBecause> = self
            .tags
            .iter()
            .filter_map(|tag| match &tag.current {
                Link::Damaged(why) => Some(KeptBecause::DamagedTag {
                    tag: tag.name.clone(),
                    why: why.clone(),
                }),
                Link::Absent | Link::Points(_) => None,
            })
            .collect();
        damaged.into_iter().for_each(|what| self.report(what));
    }

    async fn find_revisions(&mut self, storage: &dyn Storage, links: &Arc<KnownLinks>) -> Result<()> {
        let found = by_digest(storage, &layout::revisions(&self.repository)).await?;
        self.has_unknown_entries |= found.has_unknown_entries;
        self.note_algorithms(found.unknown_algorithms);
        for digests in found
            .digests
            .chunk_by(|one, next| one.algorithm() == next.algorithm())
        {
            let Some(first) = digests.first() else { continue };
            let directory = layout::revisions_of(&self.repository, first.algorithm());
            let named = digests
                .iter()
                .map(|digest| (digest.hex().to_string().into(), Some(*digest)));
            let held = links
                .find_below(&directory, named.collect(), &layout::in_digest())
                .await;
            self.note_revisions(digests.iter().copied().zip(held).collect());
        }
        Ok(())
    }

    /// Notes algorithms by which the repository may have manifests.
    fn note_algorithms(&mut self, unknown: impl IntoIterator<Item = Box<str>>) {
        for algorithm in unknown {
            self.is_kept_whole = true;
            self.has_unknown_algorithms = true;
            self.report(KeptBecause::UnknownAlgorithm { algorithm });
        }
    }

    fn note_revisions(&mut self, links: Vec<(Digest, Link)>) {
        for (digest, link) in links {
            match link {
                Link::Absent => {
                    self.unlinked.push(digest);
                    continue;
                }
                Link::Points(target) if target == digest => {}
                Link::Points(target) => {
                    self.pinned.extend([digest, target]);
                    self.report(KeptBecause::WrongRevision { digest, target });
                }
                Link::Damaged(why) => {
                    self.pinned.push(digest);
                    self.report(KeptBecause::DamagedRevision { digest, why });
                }
            }
            self.revisions.push(digest);
        }
    }

    async fn read_manifests(&mut self, manifests: &Arc<Manifests>) -> Result<()> {
        for (digest, stored) in look_up_all(manifests, self.revisions.clone()).await? {
            let kept = match stored {
                Stored::Understood(facts) => {
                    self.manifests.insert(digest, facts);
                    continue;
                }
                Stored::Absent => KeptBecause::MissingManifest { digest },
                Stored::Unreadable(why) => KeptBecause::UnreadManifest { digest, why },
            };
            self.is_kept_whole = true;
            self.report(kept);
        }
        Ok(())
    }

    async fn find_layers(&mut self, storage: &Arc<dyn Storage>) -> Result<()> {
        let layers = layout::layers(&self.repository);
        let found = by_digest(&**storage, &layers).await?;
        self.has_unknown_entries |= found.has_unknown_entries;
        self.layers = found.digests;
        for algorithm in found.unknown_algorithms {
            let below = layers.join(&algorithm).map_err(no_key)?;
            let mut links = Vec::new();
            for entry in names(&**storage, &below).await? {
                let link = below.join(&entry.name).and_then(|layer| layer.join("link"));
                links.push(link.map_err(no_key)?);
            }
            self.pin_targets(&**storage, links).await;
        }
        Ok(())
    }

    /// Keeps what links of layers by unknown algorithms point at.
    async fn pin_targets(&mut self, storage: &dyn Storage, links: Vec<Key>) {
        for link in links {
            if let Link::Points(target) = link::read(storage, &link).await {
                self.pinned.push(target);
            }
        }
    }

    /// What the links of some of the layers hold.
    ///
    /// # Errors
    ///
    /// When a task did not end.
    pub(crate) async fn layer_links(
        &self,
        storage: &Arc<dyn Storage>,
        layers: Vec<Digest>,
    ) -> Result<Vec<(Digest, Link)>> {
        let repository = self.repository.clone();
        let key = move |digest: &Digest| layout::layer_link(&repository, digest);
        match &self.listed {
            Some((links, listed)) => read_listed(links, some_of(listed, &layers), key).await,
            None => links(storage, layers, key).await,
        }
    }

    /// Whether nothing is left of the repository, where `unlinked` of its layers have no link.
    pub(super) fn has_nothing(&self, unlinked: usize) -> bool {
        self.tags.is_empty()
            && self.revisions.is_empty()
            && self.layers.len() == unlinked
            && !self.is_kept_whole
            && !self.has_unknown_entries
    }

    /// When the links of some of the layers were written; `None` for those without a link.
    ///
    /// # Errors
    ///
    /// When a task did not end; errors of the store, unless `despite_errors`: then a link whose time is unknown counts as old.
    pub(crate) async fn layer_times(
        &self,
        storage: &Arc<dyn Storage>,
        layers: Vec<Digest>,
        despite_errors: bool,
    ) -> Result<Vec<(Digest, Option<SystemTime>)>> {
        if let Some((_, listed)) = &self.listed {
            let listed = some_of(listed, &layers).into_iter();
            return Ok(listed.map(|link| (link.digest, link.written)).collect());
        }
        let (storage, repository) = (Arc::clone(storage), self.repository.clone());
        in_jobs(layers, move |digest| {
            let (storage, link) = (Arc::clone(&storage), layout::layer_link(&repository, &digest));
            async move {
                match storage.stat(&link).await {
                    Err(error) if error.is_not_found() => Ok((digest, None)),
                    Ok(stat) => Ok((digest, Some(stat.modified))),
                    Err(_) if despite_errors => Ok((digest, Some(SystemTime::UNIX_EPOCH))),
                    Err(error) => Err(error.into()),
                }
            }
        })
        .await
    }
}

/// The links of `digests` among those that were `listed` in ascending order.
fn some_of(listed: &[ListedLink], digests: &[Digest]) -> Vec<ListedLink> {
    let place = |digest| listed.binary_search_by(|link| link.digest.cmp(digest)).ok();
    digests
        .iter()
        .filter_map(place)
        .map(|place| listed[place].clone())
        .collect()
}

/// What links of a listing hold.
async fn read_listed(
    links: &Arc<KnownLinks>,
    listed: Vec<ListedLink>,
    key: impl Fn(&Digest) -> Key + Clone + Send + Sync + 'static,
) -> Result<Vec<(Digest, Link)>> {
    let links = Arc::clone(links);
    in_jobs(listed, move |link| {
        let (links, key) = (Arc::clone(&links), key(&link.digest));
        async move { Ok((link.digest, links.read(&key, &link).await)) }
    })
    .await
}

/// The tag `name` of `repository`, as a listing shows it.
async fn read_tag(
    links: Arc<KnownLinks>,
    repository: Repository,
    name: Box<str>,
    listed: ListedTag,
    options: CollectOptions,
) -> Result<FoundTag> {
    let current = match &listed.current {
        Some(stat) => {
            let key = layout::tag_link(&repository, &name);
            links.read_tag(&key, stat, &listed.history).await
        }
        None => Link::Absent,
    };
    let is_history_needed = options.delete_untagged || matches!(current, Link::Damaged(_));
    Ok(FoundTag {
        name,
        current,
        history: if is_history_needed {
            listed.history
        } else {
            Vec::new()
        },
        has_unknown_entries: is_history_needed && listed.has_unknown_history,
    })
}

/// Whether a directory is more than one that holds other repositories: it has a place for manifests or layers.
async fn is_repository(storage: &dyn Storage, repository: &Repository) -> Result<bool> {
    let directory = layout::repository(repository);
    // Names of the layout begin with an underscore, and nothing else does.
    let page = storage.list(&directory, Some("_"), 8).await?;
    let mut names = page.entries.iter().map(|entry| &*entry.name);
    Ok(names.any(|name| matches!(name, "_manifests" | "_layers")))
}

/// Reads some links, each named by its digest.
///
/// # Errors
///
/// When a task did not end.
pub(crate) async fn links(
    storage: &Arc<dyn Storage>,
    digests: Vec<Digest>,
    key: impl Fn(&Digest) -> Key + Clone + Send + Sync + 'static,
) -> Result<Vec<(Digest, Link)>> {
    let storage = Arc::clone(storage);
    in_jobs(digests, move |digest| {
        let (storage, key) = (Arc::clone(&storage), key(&digest));
        async move { Ok((digest, link::read(&*storage, &key).await)) }
    })
    .await
}

/// Looks some manifests up.
///
/// # Errors
///
/// When a task did not end.
pub(crate) async fn look_up_all(
    manifests: &Arc<Manifests>,
    digests: Vec<Digest>,
) -> Result<Vec<(Digest, Stored)>> {
    let manifests = Arc::clone(manifests);
    in_jobs(digests, move |digest| {
        let manifests = Arc::clone(&manifests);
        async move { Ok((digest, manifests.look_up(&digest).await)) }
    })
    .await
}

/// The tag `name` of `repository` in a directory; its link is `current`.
async fn found_tag(
    storage: Arc<dyn Storage>,
    repository: Repository,
    name: Box<str>,
    current: Link,
    options: CollectOptions,
) -> Result<FoundTag> {
    let is_history_needed = options.delete_untagged || matches!(current, Link::Damaged(_));
    let history = if is_history_needed {
        by_digest(&*storage, &layout::tag_history(&repository, &name)).await?
    } else {
        ByDigest::default()
    };
    Ok(FoundTag {
        name,
        current,
        history: history.digests,
        has_unknown_entries: history.has_unknown_entries,
    })
}
