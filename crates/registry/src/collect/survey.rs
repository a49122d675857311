//! What one repository holds: its tags, manifests and layer links, and findings about damaged ones.

use std::{collections::HashMap, sync::Arc};

use wharf_oci::Digest;
use wharf_storage::{
    Key, Storage,
    layout::{self, InTree as _, Repository},
};

use super::report::{CollectOptions, Finding};
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
        repository: Repository,
        options: CollectOptions,
    ) -> Result<Option<Self>> {
        if !is_repository(&**storage, &repository).await? {
            return Ok(None);
        }
        let mut survey = Self::empty(repository);
        survey.find_tags(storage, options).await?;
        survey.find_revisions(storage).await?;
        survey.read_manifests(manifests).await?;
        survey.find_layers(storage).await?;
        Ok(Some(survey))
    }

    /// A repository that has nothing.
    pub(crate) fn empty(repository: Repository) -> Self {
        Self {
            repository,
            tags: Vec::new(),
            revisions: Vec::new(),
            manifests: HashMap::new(),
            layers: Vec::new(),
            pinned: Vec::new(),
            is_kept_whole: false,
            has_unknown_algorithms: false,
            has_unknown_entries: false,
            findings: Vec::new(),
        }
    }

    /// Adds a finding about the repository.
    pub(crate) fn report(&mut self, what: String) {
        self.findings.push(Finding {
            repository: self.repository.path().into(),
            what,
        });
    }

    /// Whether `digest` is a manifest of the repository.
    pub(crate) fn has_revision(&self, digest: &Digest) -> bool {
        self.revisions.binary_search(digest).is_ok()
    }

    async fn find_tags(&mut self, storage: &Arc<dyn Storage>, options: CollectOptions) -> Result<()> {
        let entries = names(&**storage, &layout::tags(&self.repository)).await?;
        self.has_unknown_entries |= entries.iter().any(|entry| !entry.is_dir);
        let tags: Vec<Box<str>> = entries
            .into_iter()
            .filter(|entry| entry.is_dir)
            .map(|entry| entry.name)
            .collect();
        let (storage, repository) = (Arc::clone(storage), self.repository.clone());
        self.tags = in_jobs(tags, move |tag| {
            find_tag(Arc::clone(&storage), repository.clone(), tag, options)
        })
        .await?;
        self.has_unknown_entries |= self.tags.iter().any(|tag| tag.has_unknown_entries);
        let damaged: Vec<String> = self
            .tags
            .iter()
            .filter_map(|tag| match &tag.current {
                Link::Damaged(why) => Some(format!(
                    "the tag `{}` points nowhere ({why}); all that it ever pointed at is kept; push the tag again, or delete it",
                    tag.name
                )),
                Link::Absent | Link::Points(_) => None,
            })
            .collect();
        damaged.into_iter().for_each(|what| self.report(what));
        Ok(())
    }

    async fn find_revisions(&mut self, storage: &Arc<dyn Storage>) -> Result<()> {
        let found = by_digest(&**storage, &layout::revisions(&self.repository)).await?;
        self.has_unknown_entries |= found.has_unknown_entries;
        for algorithm in found.unknown_algorithms {
            self.is_kept_whole = true;
            self.has_unknown_algorithms = true;
            self.report(format!(
                "it may have manifests by the unknown digest algorithm `{algorithm}`; all of it is kept"
            ));
        }
        let repository = self.repository.clone();
        let links = links(storage, found.digests, move |digest| {
            layout::revision_link(&repository, digest)
        });
        for (digest, link) in links.await? {
            match link {
                Link::Absent => continue,
                Link::Points(target) if target == digest => {}
                Link::Points(target) => {
                    self.pinned.extend([digest, target]);
                    self.report(format!("the link of the manifest `{digest}` points at `{target}`; both are kept; push the manifest again, or delete it"));
                }
                Link::Damaged(why) => {
                    self.pinned.push(digest);
                    self.report(format!("the link of the manifest `{digest}` points nowhere ({why}); the manifest is kept; push it again, or delete it"));
                }
            }
            self.revisions.push(digest);
        }
        Ok(())
    }

    async fn read_manifests(&mut self, manifests: &Arc<Manifests>) -> Result<()> {
        for (digest, stored) in look_up_all(manifests, self.revisions.clone()).await? {
            let why = match stored {
                Stored::Understood(facts) => {
                    self.manifests.insert(digest, facts);
                    continue;
                }
                Stored::Absent => "its bytes are not there".to_owned(),
                Stored::Unreadable(why) => why,
            };
            self.is_kept_whole = true;
            self.report(format!("cannot read the manifest `{digest}` ({why}); all of the repository is kept; push the manifest again, or delete it"));
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
            for entry in names(&**storage, &below).await? {
                let link = below.join(&entry.name).and_then(|layer| layer.join("link"));
                if let Link::Points(target) = link::read(&**storage, &link.map_err(no_key)?).await {
                    self.pinned.push(target);
                }
            }
        }
        Ok(())
    }
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

async fn find_tag(
    storage: Arc<dyn Storage>,
    repository: Repository,
    name: Box<str>,
    options: CollectOptions,
) -> Result<FoundTag> {
    let current = link::read(&*storage, &layout::tag_link(&repository, &name)).await;
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
