//! Taking a backup; see the [module](super).

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::SystemTime,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Semaphore;
use wharf_budget::{HEAVY, Share};
use wharf_oci::{Digest, RepoName, media_type};
use wharf_storage::{
    Error as StorageError, ErrorKind, Storage,
    layout::{self as tree, InTree as _, Repository},
};

use super::{
    archive::{FileSink, FileTarget},
    document::{
        self, BaseName, FileKind, Manifest, RepositoryDocument, SavedFile, SavedRepository, Snapshot, Time,
    },
    error::{Error, Result},
    layout::{self, Place},
    listing::Pointers,
    pruned::{Loss, Losses},
    report::{Progress, TakeReport},
    sink::{Base, Sink, StoreSink},
    stripes::Stripes,
};
use crate::{
    collect::digests::DigestSet,
    transfer::{Failure, digest_of},
    tree::{
        manifest::Manifests,
        parallel::{failed_job, in_parallel},
        repositories,
        unreadable::Unreadable,
    },
};

/// How many repositories are read at once.
const REPOSITORIES: usize = 4;

/// How often a repository is read that changes again and again while its bytes are copied.
const TRIES: u32 = 8;

/// After how many blobs in a row that could not be read the backup ends: each may have waited for minutes.
const IN_A_ROW: u32 = 32;

/// The largest document of the store that is saved.
const STORE_LIMIT: u64 = 64 << 20;

/// Where a backup is written.
#[derive(Debug)]
pub enum Target {
    /// A directory or a bucket.
    Store(Arc<dyn Storage>),
    /// A file, and the backup that it builds on.
    File(FileTarget, Option<Base>),
}

/// What an operator chooses of a backup.
#[derive(Debug)]
pub struct TakeOptions {
    /// The repositories that are saved; all when empty.
    pub repositories: Vec<RepoName>,
    /// The files of the server that are saved.
    pub settings: Vec<SettingsFile>,
    /// Whether the keys of tokens and the robot tokens are saved.
    pub with_tokens: bool,
    /// How many blobs are on their way at once; in a file, one after the other.
    pub at_once: usize,
}

impl Default for TakeOptions {
    fn default() -> Self {
        Self {
            repositories: Vec::new(),
            settings: Vec::new(),
            with_tokens: false,
            at_once: 16,
        }
    }
}

/// A file of the server.
#[derive(Debug, Clone)]
pub struct SettingsFile {
    /// What it is for the server.
    pub kind: FileKind,
    /// Its name without directories.
    pub name: String,
    /// Its content.
    pub bytes: Bytes,
}

/// Takes a backup of the registry in one store.
#[derive(Debug)]
pub struct Taker {
    job: Arc<Job>,
    options: TakeOptions,
    base: Option<BaseName>,
}

#[derive(Debug)]
struct Job {
    from: Arc<dyn Storage>,
    manifests: Manifests,
    sink: Box<dyn Sink>,
    progress: Arc<Progress>,
    /// Blobs that need not be sent any more
    stored: Mutex<DigestSet>,
    turns: Semaphore,
    /// Blobs with other bytes than their digest says, which are not read again
    damaged: Mutex<DigestSet>,
    stripes: Stripes,
    errors_in_a_row: AtomicU32,
}

/// A repository that is in the backup.
struct Taken {
    saved: SavedRepository,
    /// Its entries in the index of the image layout, by their names
    entries: Vec<(String, String)>,
}

impl Taker {
    /// A backup of what is in `from`. Finds out what is there already.
    ///
    /// # Errors
    ///
    /// When the target cannot be read or written, or has a registry in it.
    pub async fn new(from: Arc<dyn Storage>, target: Target, options: TakeOptions) -> Result<Self> {
        let mut at_once = options.at_once.max(1);
        let (sink, stored, base): (Box<dyn Sink>, _, _) = match target {
            Target::Store(storage) => {
                let (sink, there) = StoreSink::open(storage).await?;
                (Box::new(sink), there, None)
            }
            Target::File(file, base) => {
                // What is opened is read at once, before its store gives up.
                at_once = 1;
                let sink = Box::new(FileSink::begin(file).await?);
                match base {
                    Some(Base { name, blobs }) => (sink, blobs, Some(name)),
                    None => (sink, DigestSet::default(), None),
                }
            }
        };
        let progress = Arc::new(Progress::default());
        progress.count(|counts| counts.blobs_there = stored.len() as u64);
        let job = Job {
            manifests: Manifests::new(Arc::clone(&from), Share::new("large_reads", HEAVY)),
            from,
            sink,
            progress,
            stored: Mutex::new(stored),
            turns: Semaphore::new(at_once),
            damaged: Mutex::default(),
            stripes: Stripes::default(),
            errors_in_a_row: AtomicU32::new(0),
        };
        Ok(Self {
            job: Arc::new(job),
            options,
            base,
        })
    }

    /// How far it is, to be looked at while it runs.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.job.progress)
    }

    /// Takes the backup. What is not whole in the source is left out, and a [`Problem`](crate::copy::Problem) names it.
    ///
    /// # Errors
    ///
    /// When going on makes no sense: the target is full or cannot be written, the source cannot be listed, or many blobs in a
    /// row could not be read. There is then no new snapshot; what was written to a directory or a bucket is not sent again.
    pub async fn run(self) -> Result<TakeReport> {
        let (job, options) = (&self.job, self.options);
        let mut snapshot = Snapshot::new(Time(SystemTime::now()));
        snapshot.base = self.base;
        let settings = save_settings(job, options.settings, options.with_tokens).await?;
        let mut entries: Vec<(String, String)> = Vec::new();
        let unreadable = Arc::new(Unreadable::default());
        let mut taking = stream(job, &options.repositories, &unreadable);
        while let Some(taken) = taking.try_next().await? {
            let Some(taken) = taken else { continue };
            snapshot.repositories.push(taken.saved);
            entries.extend(taken.entries);
        }
        for name in unreadable.names() {
            job.progress.failed(format!(
                "the repository `{name}` may not be read; run this as the user of the registry, or give its files to this user"
            ));
        }
        snapshot
            .repositories
            .sort_by(|one, other| one.name.cmp(&other.name));
        snapshot.settings = settings;
        snapshot.left_out = job.progress.counts().left_out;
        snapshot.damaged = job.sink.damaged();
        let saved = snapshot.settings.len() as u64;
        entries.sort_unstable();
        let (id, bytes) = snapshot.write().await?;
        let path = layout::snapshot(&id);
        job.sink.end((&path, bytes), index(&entries)).await?;
        Ok(TakeReport {
            snapshot: id,
            counts: job.progress.counts(),
            settings: saved,
        })
    }
}

/// Takes the repositories, in tasks of their own.
fn stream(
    job: &Arc<Job>,
    wanted: &[RepoName],
    unreadable: &Arc<Unreadable>,
) -> BoxStream<'static, Result<Option<Taken>>> {
    let names: BoxStream<'static, crate::Result<Repository>> = match wanted {
        [] => repositories::readable(Arc::clone(&job.from), Arc::clone(unreadable)).boxed(),
        wanted => {
            let wanted: Vec<Repository> = wanted.iter().map(Repository::from).collect();
            stream::iter(wanted.into_iter().map(Ok)).boxed()
        }
    };
    let is_named = !wanted.is_empty();
    let job = Arc::clone(job);
    names
        .map(move |repository| {
            let job = Arc::clone(&job);
            tokio::spawn(async move {
                let repository = repository?;
                let taken = take(&job, &repository).await?;
                if taken.is_none() && is_named {
                    let what = format!(
                        "there is no repository `{}`; `wharf repo ls` lists their names",
                        repository.path()
                    );
                    job.progress.failed(what);
                }
                Ok(taken)
            })
        })
        .buffer_unordered(REPOSITORIES)
        .map(|ended| ended.map_err(failed_job)?)
        .boxed()
}

/// Takes one repository; `None` when it has nothing.
async fn take(job: &Job, repository: &Repository) -> Result<Option<Taken>> {
    let name = repository.path();
    let mut missed: HashSet<(Digest, Time)> = HashSet::new();
    for attempt in 1.. {
        let mut pointers = match Pointers::read(&*job.from, repository).await {
            Ok(pointers) => pointers,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                job.progress.failed(format!(
                    "the repository `{name}`: {error}; run this as the user of the registry"
                ));
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        if pointers.is_empty() {
            return Ok(None);
        }
        let lost = store(job, &pointers).await?;
        let damaged = std::mem::take(&mut pointers.damaged);
        let missing = lost
            .iter()
            .filter(|(_, loss)| **loss == Loss::Missing)
            .map(|(digest, _)| *digest);
        let mut missing: HashSet<Digest> = missing.chain(pointers.without_link()).collect();
        let (document, gone) = pointers.describe(name, &job.manifests, &lost).await?;
        missing.extend(gone);
        // A pointer that still is the one that led nowhere before was read after that, so it dangles. Others may have been
        // removed meanwhile, before their bytes were.
        let pointers = document.pointers_to(&missing);
        if pointers.is_subset(&missed) || attempt == TRIES {
            for damaged in damaged {
                job.progress.failed(format!("`{name}`: {damaged}"));
            }
            return Ok(Some(finish(job, document, lost, missing).await?));
        }
        missed = pointers;
    }
    Ok(None)
}

/// Writes the document of a repository whose bytes are in the backup, but for those that are lost.
async fn finish(
    job: &Job,
    mut document: RepositoryDocument,
    mut lost: Losses,
    missing: HashSet<Digest>,
) -> Result<Taken> {
    for digest in missing {
        lost.entry(digest).or_insert(Loss::Missing);
    }
    let (broken, dangling) = document.prune(&lost);
    for image in broken {
        job.progress.failed(format!(
            "{image}; it is left out: push the image again, or delete it, and run this again"
        ));
    }
    let (tags, manifests) = (document.tags.len() as u64, document.manifests.len() as u64);
    job.progress.count(|counts| {
        counts.repositories += 1;
        counts.tags += tags;
        counts.manifests += manifests;
        counts.dangling += dangling;
    });
    let (name, entries) = (document.name.clone(), entries(&document));
    let (digest, bytes) = document::write(document).await?;
    job.sink.document(Place::Repository(digest), bytes).await?;
    Ok(Taken {
        saved: SavedRepository {
            name,
            document: digest,
            tags,
            manifests,
        },
        entries,
    })
}

/// Makes sure that the backup has the bytes that a repository points at. Returns what cannot be had.
async fn store(job: &Job, pointers: &Pointers) -> Result<Losses> {
    let stores = pointers.bytes().into_iter().map(|digest| async move {
        let loss = store_blob(job, &digest).await?;
        Ok(loss.map(|loss| (digest, loss)))
    });
    let lost = in_parallel::<_, Error, _>(stores).await?;
    Ok(lost.into_iter().flatten().collect())
}

async fn store_blob(job: &Job, digest: &Digest) -> Result<Option<Loss>> {
    if job.stored.lock().contains(digest) {
        return Ok(None);
    }
    let _only = job.stripes.lock(digest).await;
    if job.damaged.lock().contains(digest) {
        return Ok(Some(Loss::Damaged));
    }
    let _turn = job
        .turns
        .acquire()
        .await
        .map_err(|closed| Error::refused(closed.to_string()))?;
    if job.stored.lock().contains(digest) {
        return Ok(None);
    }
    let blob = match job.from.open(&tree::blob(digest)).await {
        Ok(blob) => blob,
        Err(error) => return job.lost(error).map(Some),
    };
    let size = blob.stat().size;
    match job.sink.blob(digest, size, blob.stream(0..size)).await {
        Ok(()) => {
            job.errors_in_a_row.store(0, Relaxed);
            job.stored.lock().insert(digest);
            job.progress.count(|counts| {
                counts.blobs += 1;
                counts.bytes += size;
            });
            Ok(None)
        }
        Err(Failure::Reading(error)) => job.lost(error).map(Some),
        Err(Failure::Other) => {
            job.damaged.lock().insert(digest);
            Ok(Some(Loss::Damaged))
        }
        Err(Failure::Writing(error)) => Err(error.into()),
    }
}

impl Job {
    /// What an error of the source means for a blob.
    ///
    /// # Errors
    ///
    /// When the backup must end.
    fn lost(&self, error: StorageError) -> Result<Loss> {
        match error.kind() {
            ErrorKind::NotFound => Ok(Loss::Missing),
            ErrorKind::Damaged => Ok(Loss::Damaged),
            _ if self.errors_in_a_row.fetch_add(1, Relaxed) + 1 >= IN_A_ROW => Err(error.into()),
            _ => Ok(Loss::Unread(error.to_string())),
        }
    }
}

/// Writes the files of the server.
async fn save_settings(job: &Job, files: Vec<SettingsFile>, with_tokens: bool) -> Result<Vec<SavedFile>> {
    let mut files = files;
    if with_tokens {
        for key in [tree::token_keys(), tree::robot_tokens()] {
            match job.from.read(&key, STORE_LIMIT).await {
                Ok(object) => files.push(SettingsFile {
                    kind: FileKind::Store,
                    name: key.to_string(),
                    bytes: object.bytes,
                }),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    let mut saved = Vec::new();
    for SettingsFile { kind, name, bytes } in files {
        let digest = digest_of(wharf_oci::Algorithm::Sha256, bytes.clone()).await?;
        let size = bytes.len() as u64;
        job.sink.document(Place::Settings(digest), bytes).await?;
        saved.push(SavedFile {
            kind,
            name,
            digest,
            size,
        });
    }
    Ok(saved)
}

/// The entries of the tags of a repository in the index of the image layout, by the names that they have there.
fn entries(document: &RepositoryDocument) -> Vec<(String, String)> {
    let manifests = document.manifests.iter();
    let named: HashMap<Digest, &Manifest> = manifests
        .filter_map(|manifest| Some((manifest.link.name()?, manifest)))
        .collect();
    let tags = document.tags.iter().filter_map(|tag| {
        let manifest = named.get(&tag.digest)?;
        let name = format!("{}:{}", document.name, tag.name);
        let entry = json!({
            "mediaType": manifest.media_type,
            "digest": manifest.link.digest,
            "size": manifest.size,
            "annotations": {"org.opencontainers.image.ref.name": name},
        });
        Some((name, entry.to_string()))
    });
    tags.collect()
}

/// The index of the image layout.
fn index(entries: &[(String, String)]) -> Bytes {
    let mut text = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{}\",\"manifests\":[\n",
        media_type::OCI_INDEX
    );
    for (number, (_, entry)) in entries.iter().enumerate() {
        if number > 0 {
            text.push_str(",\n");
        }
        text.push_str(entry);
    }
    text.push_str("\n]}\n");
    text.into()
}
