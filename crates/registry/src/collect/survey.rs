//! What one repository holds: its tags, manifests and layer links, and what is odd about them.

use std::{collections::HashMap, sync::Arc};

use wharf_oci::Digest;
use wharf_storage::{Storage, layout::RepositoryDirectory};

use super::{
    CollectOptions, Doubt,
    references::{self, References, Stored},
    walk::{self, Link, by_digest, in_chunks, names},
};
use crate::Result;

/// After how many reads a job lets others have its thread.
const TURN: usize = 16;

/// One repository, as it was found.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) directory: RepositoryDirectory,
    pub(super) tags: Vec<FoundTag>,
    /// In ascending order.
    pub(super) revisions: Vec<Digest>,
    /// Of all revisions.
    pub(super) manifests: HashMap<Digest, References>,
    /// Names of layer links, in ascending order; a directory without its link is among them.
    pub(super) layers: Vec<Digest>,
    /// What is kept whoever needs it: odd links name it.
    pub(super) pinned: Vec<Digest>,
    /// Whether everything is kept, because nobody knows what is needed.
    pub(super) is_kept_whole: bool,
    /// Whether something lies in it that belongs to no registry.
    pub(super) has_strangers: bool,
    pub(super) doubts: Vec<Doubt>,
}

/// A directory of a tag.
#[derive(Debug)]
pub(super) struct FoundTag {
    pub(super) name: Box<str>,
    pub(super) current: Link,
    /// Not read when nobody will ask.
    pub(super) history: Vec<Digest>,
    has_strangers: bool,
}

impl Survey {
    /// Looks at everything in `directory`, except its uploads.
    pub(super) async fn take(
        storage: &Arc<dyn Storage>,
        directory: RepositoryDirectory,
        options: CollectOptions,
    ) -> Result<Self> {
        let mut survey = Self {
            directory,
            tags: Vec::new(),
            revisions: Vec::new(),
            manifests: HashMap::new(),
            layers: Vec::new(),
            pinned: Vec::new(),
            is_kept_whole: false,
            has_strangers: false,
            doubts: Vec::new(),
        };
        survey.find_tags(storage, options).await?;
        survey.find_revisions(storage).await?;
        survey.read_manifests(storage).await?;
        survey.find_layers(storage).await?;
        Ok(survey)
    }

    pub(super) fn doubt(&mut self, what: String) {
        self.doubts.push(Doubt {
            repository: self.directory.name().into(),
            what,
        });
    }

    /// Whether `digest` is a manifest of the repository.
    pub(super) fn has_revision(&self, digest: &Digest) -> bool {
        self.revisions.binary_search(digest).is_ok()
    }

    async fn find_tags(&mut self, storage: &Arc<dyn Storage>, options: CollectOptions) -> Result<()> {
        let entries = names(&**storage, &self.directory.tags()).await?;
        self.has_strangers |= entries.iter().any(|entry| !entry.is_dir);
        let tags: Vec<Box<str>> = entries
            .into_iter()
            .filter(|entry| entry.is_dir)
            .map(|entry| entry.name)
            .collect();
        let (storage, directory) = (Arc::clone(storage), self.directory.clone());
        self.tags = in_chunks(tags, move |tags| {
            find_tags(Arc::clone(&storage), directory.clone(), tags, options)
        })
        .await?;
        self.has_strangers |= self.tags.iter().any(|tag| tag.has_strangers);
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
        damaged.into_iter().for_each(|what| self.doubt(what));
        Ok(())
    }

    async fn find_revisions(&mut self, storage: &Arc<dyn Storage>) -> Result<()> {
        let found = by_digest(&**storage, &self.directory.revisions()).await?;
        self.has_strangers |= found.has_strangers;
        for algorithm in found.unknown_algorithms {
            self.is_kept_whole = true;
            self.doubt(format!(
                "it may have manifests by the unknown digest algorithm `{algorithm}`; all of it is kept"
            ));
        }
        let directory = self.directory.clone();
        let links = links(storage, found.digests, move |digest| {
            directory.revision_link(digest)
        });
        for (digest, link) in links.await? {
            match link {
                Link::Absent => continue,
                Link::Points(target) if target == digest => {}
                Link::Points(target) => {
                    self.pinned.extend([digest, target]);
                    self.doubt(format!("the link of the manifest `{digest}` points at `{target}`; both are kept; push the manifest again, or delete it"));
                }
                Link::Damaged(why) => {
                    self.pinned.push(digest);
                    self.doubt(format!("the link of the manifest `{digest}` points nowhere ({why}); the manifest is kept; push it again, or delete it"));
                }
            }
            self.revisions.push(digest);
        }
        Ok(())
    }

    async fn read_manifests(&mut self, storage: &Arc<dyn Storage>) -> Result<()> {
        for (digest, stored) in read_all(storage, self.revisions.clone()).await? {
            let why = match stored {
                Stored::Understood(references) => {
                    self.manifests.insert(digest, references);
                    continue;
                }
                Stored::Absent => "its bytes are not there".to_owned(),
                Stored::Unreadable(why) => why,
            };
            self.is_kept_whole = true;
            self.doubt(format!("nobody knows what the manifest `{digest}` needs ({why}); all of the repository is kept; push the manifest again, or delete it"));
        }
        Ok(())
    }

    async fn find_layers(&mut self, storage: &Arc<dyn Storage>) -> Result<()> {
        let layers = self.directory.layers();
        let found = by_digest(&**storage, &layers).await?;
        self.has_strangers |= found.has_strangers;
        self.layers = found.digests;
        for algorithm in found.unknown_algorithms {
            let below = layers.join(&algorithm).map_err(walk::no_key)?;
            for entry in names(&**storage, &below).await? {
                let link = below.join(&entry.name).and_then(|layer| layer.join("link"));
                if let Link::Points(target) = walk::link(&**storage, &link.map_err(walk::no_key)?).await {
                    self.pinned.push(target);
                }
            }
        }
        Ok(())
    }
}

/// Reads some links, each named by its digest.
pub(super) async fn links(
    storage: &Arc<dyn Storage>,
    digests: Vec<Digest>,
    key: impl Fn(&Digest) -> wharf_storage::Key + Clone + Send + Sync + 'static,
) -> Result<Vec<(Digest, Link)>> {
    let storage = Arc::clone(storage);
    in_chunks(digests, move |digests| {
        let (storage, key) = (Arc::clone(&storage), key.clone());
        async move {
            let mut found = Vec::with_capacity(digests.len());
            for (count, digest) in digests.into_iter().enumerate() {
                let link = walk::link(&*storage, &key(&digest)).await;
                found.push((digest, link));
                take_turns(count).await;
            }
            Ok(found)
        }
    })
    .await
}

/// Reads some manifests.
pub(super) async fn read_all(
    storage: &Arc<dyn Storage>,
    digests: Vec<Digest>,
) -> Result<Vec<(Digest, Stored)>> {
    let storage = Arc::clone(storage);
    in_chunks(digests, move |digests| {
        let storage = Arc::clone(&storage);
        async move {
            let mut found = Vec::with_capacity(digests.len());
            for (count, digest) in digests.into_iter().enumerate() {
                let stored = references::read(&*storage, &digest).await;
                found.push((digest, stored));
                take_turns(count).await;
            }
            Ok(found)
        }
    })
    .await
}

async fn find_tags(
    storage: Arc<dyn Storage>,
    directory: RepositoryDirectory,
    tags: Vec<Box<str>>,
    options: CollectOptions,
) -> Result<Vec<FoundTag>> {
    let mut found = Vec::with_capacity(tags.len());
    for (count, name) in tags.into_iter().enumerate() {
        let current = walk::link(&*storage, &directory.tag_link(&name)).await;
        let is_history_needed = options.delete_untagged || matches!(current, Link::Damaged(_));
        let history = if is_history_needed {
            by_digest(&*storage, &directory.tag_history(&name)).await?
        } else {
            walk::ByDigest::default()
        };
        found.push(FoundTag {
            name,
            current,
            history: history.digests,
            has_strangers: history.has_strangers,
        });
        take_turns(count).await;
    }
    Ok(found)
}

/// Reads from the page cache never wait, so a job that makes many of them has to let go by itself.
pub(super) async fn take_turns(count: usize) {
    if count % TURN == TURN - 1 {
        tokio::task::yield_now().await;
    }
}
