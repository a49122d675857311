//! The store that a backup is restored to: what it has, and what is published there, in the order of a push.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use parking_lot::Mutex;
use wharf_oci::{Digest, Tag as TagName};
use wharf_storage::{
    Error as StorageError, ErrorKind, Key, KeyError, Put, Storage,
    layout::{self, Repository},
};

use super::{
    archive::Reader,
    document::{Link, Manifest, RepositoryDocument, Tag, Time},
    error::{Error, Result},
    pruned::{Loss, Losses},
    report::Progress,
};
use crate::{
    collect::digests::DigestSet,
    transfer::{Failure, Transfer, hash},
    tree::parallel::in_parallel,
};

/// How many links are published by one call.
const BATCH: usize = 64;

/// The store, and what is known of it.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) progress: Arc<Progress>,
    /// Whether tags that point elsewhere go back to where the backup has them
    pub(super) force: bool,
    /// Whether nothing is written
    pub(super) dry_run: bool,
    /// Blobs that are there and right
    right: Mutex<DigestSet>,
    pub(super) tags: Mutex<Tags>,
}

/// What became of the tags.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tags {
    pub(super) restored: u64,
    pub(super) unchanged: u64,
    pub(super) newer: u64,
}

impl Destination {
    pub(super) fn new(
        storage: Arc<dyn Storage>,
        progress: Arc<Progress>,
        force: bool,
        dry_run: bool,
    ) -> Self {
        Self {
            storage,
            progress,
            force,
            dry_run,
            right: Mutex::default(),
            tags: Mutex::default(),
        }
    }

    /// Whether the blob is there, with the right bytes. They are hashed: a registry that is restored may be damaged.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(super) async fn has(&self, digest: &Digest) -> Result<bool> {
        if self.right.lock().contains(digest) {
            return Ok(true);
        }
        let is_right = match hash(&*self.storage, &layout::blob(digest), digest.algorithm()).await {
            Ok(actual) => actual == *digest,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Damaged) => false,
            Err(error) => return Err(error.into()),
        };
        if is_right {
            self.right.lock().insert(digest);
            self.progress.count(|counts| counts.blobs_there += 1);
        }
        Ok(is_right)
    }

    /// Publishes a blob if its bytes have its digest. Returns why they are lost if they do not.
    ///
    /// # Errors
    ///
    /// When the store cannot be written.
    pub(super) async fn blob(
        &self,
        digest: &Digest,
        size: u64,
        pieces: impl Stream<Item = wharf_storage::Result<Bytes>> + Send + Unpin,
    ) -> Result<Option<Loss>> {
        if !self.dry_run {
            match Transfer::of(digest, size)
                .store(&*self.storage, pieces, |_| {})
                .await
            {
                Ok(()) => {}
                Err(Failure::Other) => return Ok(Some(Loss::Damaged)),
                Err(Failure::Reading(error)) if error.is_not_found() => return Ok(Some(Loss::Missing)),
                Err(Failure::Reading(error)) => return Ok(Some(Loss::Unread(error.to_string()))),
                Err(Failure::Writing(error)) => return Err(error.into()),
            }
        }
        self.right.lock().insert(digest);
        self.progress.count(|counts| {
            counts.blobs += 1;
            counts.bytes += size;
        });
        Ok(None)
    }

    /// Restores the blob that is the entry of a file, unless it is there.
    ///
    /// # Errors
    ///
    /// When the file cannot be read any further, or the store cannot be written.
    pub(super) async fn entry(
        &self,
        digest: &Digest,
        size: u64,
        reader: &mut Reader,
        lost: &mut Losses,
    ) -> Result<()> {
        if self.has(digest).await? {
            return Ok(());
        }
        // A failure of the file ends the restore, and not the blob alone.
        let mut failed = None;
        let pieces = reader.pieces().map(|piece| {
            piece.map_err(|error| {
                let told = StorageError::new(ErrorKind::Other, error.to_string());
                failed = Some(error);
                told
            })
        });
        let loss = self.blob(digest, size, pieces).await?;
        if let Some(error) = failed {
            return Err(error);
        }
        match loss {
            Some(loss) => _ = lost.insert(*digest, loss),
            None => _ = lost.remove(digest),
        }
        Ok(())
    }

    /// Publishes the pointers of a repository whose blobs are there, but for those that are lost: layers, manifests, and tags
    /// last.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or written, or the document has names that no repository can have.
    pub(super) async fn repository(&self, mut document: RepositoryDocument, lost: &Losses) -> Result<()> {
        let (broken, dangling) = document.prune(lost);
        for image in broken {
            self.progress.failed(format!("{image}; it is not restored"));
        }
        let repository = repository(&document.name)?;
        self.progress.count(|counts| {
            counts.repositories += 1;
            counts.tags += document.tags.len() as u64;
            counts.manifests += document.manifests.len() as u64;
            counts.dangling += dangling;
        });
        let layers = self
            .missing(&layout::layers(&repository), &document.layers)
            .await?;
        self.publish(layers).await?;
        let manifests: Vec<Link> = document
            .manifests
            .iter()
            .map(|manifest| manifest.link.clone())
            .collect();
        let revisions = layout::revisions(&repository);
        let mut missing: HashMap<Key, Put> = self
            .missing(&revisions, &manifests)
            .await?
            .into_iter()
            .map(|put| (put.key.clone(), put))
            .collect();
        for round in in_rounds(document.manifests) {
            let puts = round.into_iter().map(|link| revisions.join_all(&link.place()));
            let keys: Vec<Key> = puts.collect::<Result<_>>()?;
            self.publish(keys.iter().filter_map(|key| missing.remove(key)).collect())
                .await?;
        }
        let restored = document
            .tags
            .into_iter()
            .map(|tag| self.tag(&document.name, &repository, tag));
        in_parallel::<(), Error, _>(restored).await?;
        Ok(())
    }

    /// The links that are not there as they should be.
    async fn missing(&self, prefix: &Key, links: &[Link]) -> Result<Vec<Put>> {
        let looks = links.iter().map(|link| async move {
            let put = put(prefix.join_all(&link.place())?, &link.digest, link.time);
            let is_there = self.target(&put.key).await? == Some(link.digest);
            Ok((!is_there).then_some(put))
        });
        let missing = in_parallel::<_, Error, _>(looks).await?;
        Ok(missing.into_iter().flatten().collect())
    }

    async fn tag(&self, name: &str, repository: &Repository, tag: Tag) -> Result<()> {
        let Ok(_) = tag.name.parse::<TagName>() else {
            self.progress.failed(format!(
                "`{name}`: no tag can have the name `{}`; it is not restored",
                tag.name
            ));
            return Ok(());
        };
        let current = layout::tag_link(repository, &tag.name);
        let there = self.target(&current).await?;
        match there {
            Some(there) if there != tag.digest && !self.force => {
                self.tags.lock().newer += 1;
                self.progress.warned(format!(
                    "the tag `{name}:{}` stays at `{there}`, where it points by now; the backup has it at `{}`, and `--force` moves it there",
                    tag.name, tag.digest
                ));
                return Ok(());
            }
            _ => {}
        }
        let mut puts = Vec::new();
        let mut history = tag
            .history
            .iter()
            .map(|past| (past.digest, past.time))
            .collect::<Vec<_>>();
        if !history.iter().any(|(digest, _)| *digest == tag.digest) {
            // Other tools write tags without a history.
            history.push((tag.digest, tag.time));
        }
        for (digest, time) in history {
            let key = layout::tag_history_link(repository, &tag.name, &digest);
            if self.target(&key).await? != Some(digest) {
                puts.push(put(key, &digest, time));
            }
        }
        let is_moved = there != Some(tag.digest);
        if is_moved {
            puts.push(put(current, &tag.digest, tag.time));
        }
        self.publish(puts).await?;
        let mut tags = self.tags.lock();
        match is_moved {
            true => tags.restored += 1,
            false => tags.unchanged += 1,
        }
        Ok(())
    }

    /// The digest that a link holds; `None`: there is none, or it is damaged.
    async fn target(&self, key: &Key) -> Result<Option<Digest>> {
        match self.storage.read(key, layout::LINK_LIMIT).await {
            Ok(object) => Ok(layout::parse_link(&object.bytes).ok()),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::TooLarge | ErrorKind::Damaged
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Publishes in order.
    async fn publish(&self, puts: Vec<Put>) -> Result<()> {
        if self.dry_run {
            return Ok(());
        }
        for batch in puts.chunks(BATCH) {
            self.storage.publish(batch).await?;
        }
        Ok(())
    }

    /// Publishes an object of the store that is no image, unless there is one. Returns whether it did.
    ///
    /// # Errors
    ///
    /// When the store cannot be read or written.
    pub(super) async fn object(&self, key: &Key, bytes: Bytes) -> Result<bool> {
        match self.storage.stat(key).await {
            Ok(_) => return Ok(false),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
        self.publish(vec![Put::new(key.clone(), bytes)]).await?;
        Ok(true)
    }
}

fn put(key: Key, digest: &Digest, time: Time) -> Put {
    Put::new(key, layout::link_content(digest)).at(time.0)
}

/// The repository that a document is of.
///
/// # Errors
///
/// When none can have that name.
pub(super) fn repository(name: &str) -> Result<Repository> {
    let refused = || {
        Error::refused(format!(
            "the backup has a repository `{name}`, and none can have that name"
        ))
    };
    let mut found = None;
    for component in name.split('/') {
        if component.starts_with('_') {
            return Err(refused());
        }
        let next = Repository::find(found.as_ref(), component).map_err(|_| refused())?;
        found = Some(next);
    }
    found
        .filter(|_| name.len() <= layout::LONGEST_NAME)
        .ok_or_else(refused)
}

/// The links of manifests in rounds, each after those of the manifests that it names.
fn in_rounds(manifests: Vec<Manifest>) -> Vec<Vec<Link>> {
    let mut rounds = Vec::new();
    let mut left = manifests;
    while !left.is_empty() {
        let waiting: HashSet<Digest> = left.iter().filter_map(|manifest| manifest.link.name()).collect();
        let is_ready = |manifest: &Manifest| {
            let own = manifest.link.name();
            !manifest
                .needs
                .iter()
                .any(|needed| Some(*needed) != own && waiting.contains(needed))
        };
        let (mut ready, rest): (Vec<Manifest>, Vec<Manifest>) = left.into_iter().partition(is_ready);
        left = rest;
        if ready.is_empty() {
            // No digests can name each other in a circle; if they did, no order would be right.
            ready = std::mem::take(&mut left);
        }
        rounds.push(ready.into_iter().map(|manifest| manifest.link).collect());
    }
    rounds
}

/// Paths of several components below a key.
trait JoinAll {
    fn join_all(&self, path: &str) -> Result<Key>;
}

impl JoinAll for Key {
    fn join_all(&self, path: &str) -> Result<Key> {
        let parts = path.split('/').count();
        let joined = Key::new(format!("{self}/{path}"));
        match joined {
            Ok(key) if parts == 3 => Ok(key),
            Ok(_) => Err(Error::refused(format!(
                "the backup has a link `{path}`, which is none"
            ))),
            Err(KeyError(path)) => Err(Error::refused(format!(
                "the backup has a link `{path}`, which no registry can have"
            ))),
        }
    }
}
