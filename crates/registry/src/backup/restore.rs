//! Restoring a backup; see the [module](super).

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::Semaphore;
use wharf_oci::Digest;
use wharf_storage::{Key, Storage};

use super::{
    archive::{OpenFile, Reader},
    destination::Destination,
    document::{FileKind, RepositoryDocument, SavedFile, SavedRepository, Snapshot},
    error::{Error, Result},
    layout::{self, Place},
    plain,
    pruned::{Loss, Losses},
    report::{Progress, RestoreReport},
    selection::{Selection, no_repository},
    source::{self, DOCUMENT_LIMIT, Source},
    stripes::Stripes,
};
use crate::{
    collect::digests::DigestSet,
    transfer,
    tree::parallel::{failed_job, in_parallel},
};

/// How many repositories are restored at once.
const REPOSITORIES: usize = 4;

/// What an operator chooses of a restore.
#[derive(Debug, Clone, Default)]
pub struct RestoreOptions {
    /// Beginning of the name of the snapshot; `None`: the newest.
    pub snapshot: Option<String>,
    /// What of the backup is restored.
    pub selection: Selection,
    /// Whether tags that point elsewhere by now go back.
    pub force: bool,
    /// Whether the restore only says what it would do.
    pub dry_run: bool,
    /// How many blobs are on their way at once.
    pub at_once: usize,
}

/// Restores a backup to a store that no server uses.
#[derive(Debug)]
pub struct Restorer {
    source: Source,
    base: Option<Source>,
    job: Arc<Job>,
    options: RestoreOptions,
}

#[derive(Debug)]
struct Job {
    destination: Destination,
    turns: Semaphore,
    stripes: Stripes,
    selection: Selection,
}

impl Restorer {
    /// A restore of `source` to `to`; `base` is the backup that a file builds on. Does no I/O.
    pub fn new(source: Source, base: Option<Source>, to: Arc<dyn Storage>, options: RestoreOptions) -> Self {
        let destination = Destination::new(to, Arc::default(), options.force, options.dry_run);
        let job = Job {
            destination,
            turns: Semaphore::new(options.at_once.max(1)),
            stripes: Stripes::default(),
            selection: options.selection.clone(),
        };
        Self {
            source,
            base,
            job: Arc::new(job),
            options,
        }
    }

    /// How far it is, to be looked at while it runs.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.job.destination.progress)
    }

    /// Restores. Returns what was done, and the files of the server, of those that are whole, for the caller to write.
    ///
    /// # Errors
    ///
    /// When the backup is no whole one, nothing of what was asked for is in it, or the store cannot be written. What was
    /// restored stays, and may be restored again.
    pub async fn run(self) -> Result<(RestoreReport, Vec<(SavedFile, Bytes)>)> {
        let restored = match &self.source {
            Source::Store(storage) => self.restore_store(storage).await?,
            Source::File(file) => self.restore_file(file).await?,
        };
        let destination = &self.job.destination;
        let mut files = Vec::new();
        let mut kept = 0;
        for (file, bytes) in restored.settings {
            match (file.kind, Key::new(file.name.as_str())) {
                (FileKind::Store, Ok(key)) if is_known(&key) => {
                    kept += u64::from(!destination.object(&key, bytes).await?);
                }
                (FileKind::Store, _) => {}
                _ => files.push((file, bytes)),
            }
        }
        if !self.options.dry_run {
            transfer::clean(&*destination.storage).await;
        }
        let tags = *destination.tags.lock();
        let report = RestoreReport {
            snapshot: restored.snapshot,
            counts: destination.progress.counts(),
            restored: tags.restored,
            unchanged: tags.unchanged,
            newer: tags.newer,
            kept,
        };
        Ok((report, files))
    }

    async fn restore_store(&self, storage: &Arc<dyn Storage>) -> Result<Restored> {
        let (id, snapshot) = self.source.snapshot(self.options.snapshot.as_deref()).await?;
        let wanted = self.wanted(&snapshot)?;
        let mut restores = stream::iter(wanted.into_iter().cloned().collect::<Vec<_>>())
            .map(|saved| {
                let (job, storage) = (Arc::clone(&self.job), Arc::clone(storage));
                tokio::spawn(async move { job.stored_repository(&storage, saved).await })
            })
            .buffer_unordered(REPOSITORIES)
            .map(|ended| ended.map_err(failed_job)?)
            .boxed();
        while restores.try_next().await?.is_some() {}
        let mut settings = Vec::new();
        for file in snapshot.settings.into_iter().filter(|_| self.is_whole()) {
            let path = Place::Settings(file.digest).key()?;
            match storage.read(&path, DOCUMENT_LIMIT).await {
                Ok(object) if source::is_of(&file, &object.bytes).await? => {
                    settings.push((file, object.bytes));
                }
                Err(error) if !error.is_not_found() => return Err(error.into()),
                Ok(_) | Err(_) => self.lacks(&file),
            }
        }
        Ok(Restored {
            snapshot: Some(id),
            settings,
        })
    }

    /// The repositories of a snapshot that were asked for.
    fn wanted<'a>(&self, snapshot: &'a Snapshot) -> Result<Vec<&'a SavedRepository>> {
        let selection = &self.options.selection;
        let wanted = snapshot
            .repositories
            .iter()
            .filter(|saved| selection.has(&saved.name));
        let wanted: Vec<&SavedRepository> = wanted.collect();
        match (selection, &wanted[..]) {
            (Selection::One(name, _), []) => Err(no_repository(name)),
            _ => Ok(wanted),
        }
    }

    /// Reads a file two times: first to know that it is whole, and what is needed; then to restore.
    async fn restore_file(&self, file: &OpenFile) -> Result<Restored> {
        let mut contents = Contents::read(file, &self.options.selection).await?;
        let Some((id, snapshot)) = contents.snapshot.take() else {
            if !plain::looks_like(file).await? {
                return Err(source::no_snapshot());
            }
            plain::restore(file, &self.job.destination, &self.options.selection).await?;
            return Ok(Restored::default());
        };
        if self
            .options
            .snapshot
            .as_ref()
            .is_some_and(|wanted| !id.starts_with(wanted))
        {
            return Err(Error::refused(format!(
                "the file has the snapshot `{id}` and no other one"
            )));
        }
        for saved in self.wanted(&snapshot)? {
            if !contents.documents.contains(&saved.document) {
                return Err(Error::refused(format!(
                    "the document of the repository `{}` is missing or damaged in the file; use another backup",
                    saved.name
                )));
            }
        }
        let mut lost = Losses::new();
        if let Some(base) = &snapshot.base {
            let Some(source) = &self.base else {
                return Err(Error::refused(format!(
                    "the file builds on another backup, `{}` (snapshot `{}`), which is not there; name it with `--base`",
                    base.name, base.snapshot
                )));
            };
            self.restore_base(source, &base.snapshot, &contents).await?;
        }
        let mut settings = Vec::new();
        let mut reader = Reader::open(file, |path| Place::of(path).is_some());
        while let Some(entry) = reader.next().await? {
            match Place::of(&entry.path) {
                Some(Place::Blob(digest)) if contents.needed.contains(&digest) => {
                    self.job
                        .destination
                        .entry(&digest, entry.size, &mut reader, &mut lost)
                        .await?;
                }
                Some(place @ Place::Repository(_)) => {
                    let document = source::repository(place, reader.bytes(DOCUMENT_LIMIT).await?).await?;
                    if self.options.selection.has(&document.name) {
                        // The blobs that it needs came before it.
                        self.job.publish(document, lost.clone()).await?;
                    }
                }
                Some(Place::Settings(digest)) if self.is_whole() => {
                    let bytes = reader.bytes(DOCUMENT_LIMIT).await?;
                    for file in snapshot.settings.iter().filter(|file| file.digest == digest) {
                        if source::is_of(file, &bytes).await? {
                            settings.push((file.clone(), bytes.clone()));
                        }
                    }
                }
                _ => {}
            }
        }
        let is_there = |file: &SavedFile| settings.iter().any(|(there, _)| there == file);
        for file in snapshot
            .settings
            .iter()
            .filter(|file| self.is_whole() && !is_there(file))
        {
            self.lacks(file);
        }
        Ok(Restored {
            snapshot: Some(id),
            settings,
        })
    }

    /// Whether everything was asked for, and files of the server with it.
    fn is_whole(&self) -> bool {
        self.options.selection == Selection::All
    }

    fn lacks(&self, file: &SavedFile) {
        self.job.destination.progress.failed(format!(
            "the file `{}` of the server is missing or damaged in the backup; it is not restored",
            file.name
        ));
    }

    /// Restores what the base of a file has of what is needed.
    async fn restore_base(&self, base: &Source, wanted: &str, contents: &Contents) -> Result<()> {
        let found = base.snapshots().await?;
        if !found.iter().any(|one| one.id == wanted) {
            return Err(Error::refused(format!(
                "the file builds on the snapshot `{wanted}`, which is not in the backup that was named as its base; name the right one with `--base`"
            )));
        }
        match base {
            Source::Store(storage) => {
                for digest in contents.only_in_base() {
                    self.job.stored_blob(storage, &digest).await?;
                }
            }
            Source::File(file) => {
                let mut reader = Reader::open(file, |path| matches!(Place::of(path), Some(Place::Blob(_))));
                // What is damaged here is found missing later.
                let mut lost = Losses::new();
                while let Some(entry) = reader.next().await? {
                    match Place::of(&entry.path) {
                        Some(Place::Blob(digest)) if contents.is_only_in_base(&digest) => {
                            self.job
                                .destination
                                .entry(&digest, entry.size, &mut reader, &mut lost)
                                .await?;
                        }
                        _ => {}
                    }
                }
            }
        }
        Ok(())
    }
}

/// What a restore has read beside the images.
#[derive(Debug, Default)]
struct Restored {
    /// `None`: the backup is a tar of a data directory.
    snapshot: Option<String>,
    settings: Vec<(SavedFile, Bytes)>,
}

/// What a file has.
#[derive(Debug, Default)]
struct Contents {
    snapshot: Option<(String, Snapshot)>,
    /// Blobs of which there are entries
    blobs: DigestSet,
    /// Documents that are whole
    documents: DigestSet,
    /// Blobs that the wanted repositories need
    needed: DigestSet,
    /// Those that have no entry
    missing: Vec<Digest>,
}

impl Contents {
    async fn read(file: &OpenFile, selection: &Selection) -> Result<Self> {
        let mut contents = Self::default();
        let mut reader = Reader::open(file, |path| {
            layout::snapshot_id(path).is_some() || matches!(Place::of(path), Some(Place::Repository(_)))
        });
        while let Some(entry) = reader.next().await? {
            if let Some(id) = layout::snapshot_id(&entry.path) {
                let bytes = reader.bytes(DOCUMENT_LIMIT).await?;
                contents.snapshot = Some((id.to_owned(), Snapshot::read(id, bytes).await?));
            }
            match Place::of(&entry.path) {
                Some(Place::Blob(digest)) => contents.blobs.insert(&digest),
                Some(place @ Place::Repository(_)) => {
                    let bytes = reader.bytes(DOCUMENT_LIMIT).await?;
                    let Ok(document) = source::repository(place, bytes).await else {
                        continue;
                    };
                    contents.documents.insert(&place.digest());
                    if selection.has(&document.name) {
                        contents.need(&document);
                    }
                }
                _ => {}
            }
        }
        Ok(contents)
    }

    fn need(&mut self, document: &RepositoryDocument) {
        for digest in document.bytes() {
            if !self.needed.contains(digest) {
                self.needed.insert(digest);
                // Entries of blobs come before the documents that name them.
                if !self.blobs.contains(digest) {
                    self.missing.push(*digest);
                }
            }
        }
    }

    fn only_in_base(&self) -> Vec<Digest> {
        self.missing.clone()
    }

    fn is_only_in_base(&self, digest: &Digest) -> bool {
        self.needed.contains(digest) && !self.blobs.contains(digest)
    }
}

impl Job {
    async fn stored_repository(&self, storage: &Arc<dyn Storage>, saved: SavedRepository) -> Result<()> {
        let document = match source::stored_repository(&**storage, &saved).await {
            Ok(document) => document,
            Err(error @ Error::Refused(_)) => {
                let what = format!("the repository `{}`: {error}; it is not restored", saved.name);
                self.destination.progress.failed(what);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let digests: std::collections::HashSet<Digest> = document.bytes().copied().collect();
        let blobs = digests.into_iter().map(|digest| async move {
            let loss = self.stored_blob(storage, &digest).await?;
            Ok(loss.map(|loss| (digest, loss)))
        });
        let lost = in_parallel::<_, Error, _>(blobs).await?;
        self.publish(document, lost.into_iter().flatten().collect()).await
    }

    /// Restores a blob of a store, unless it is there.
    async fn stored_blob(&self, storage: &Arc<dyn Storage>, digest: &Digest) -> Result<Option<Loss>> {
        let _only = self.stripes.lock(digest).await;
        let turn = self.turns.acquire().await;
        let _turn = turn.map_err(|closed| Error::refused(closed.to_string()))?;
        if self.destination.has(digest).await? {
            return Ok(None);
        }
        let blob = match storage.open(&Place::Blob(*digest).key()?).await {
            Ok(blob) => blob,
            Err(error) if error.is_not_found() => return Ok(Some(Loss::Missing)),
            Err(error) => return Err(error.into()),
        };
        let size = blob.stat().size;
        self.destination.blob(digest, size, blob.stream(0..size)).await
    }

    /// Publishes a repository whose blobs were restored, but for those that are lost.
    async fn publish(&self, document: RepositoryDocument, mut lost: Losses) -> Result<()> {
        for digest in document.bytes() {
            if !lost.contains_key(digest)
                && !self.destination.has(digest).await?
                && !lost.contains_key(digest)
            {
                lost.insert(*digest, Loss::Missing);
            }
        }
        self.destination
            .repository(self.selection.renamed(document), &lost)
            .await
    }
}

/// Whether an object of the store that is no image may be restored.
fn is_known(key: &Key) -> bool {
    use wharf_storage::layout::{robot_tokens, token_keys};

    [token_keys(), robot_tokens()].contains(key)
}
