//! Checking a backup: every byte against its digest, and every image for what it needs.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use parking_lot::Mutex;
use wharf_oci::{Digest, Hasher};
use wharf_storage::Storage;

use super::{
    archive::{OpenFile, Reader},
    document::{RepositoryDocument, Snapshot},
    error::{Error, Result},
    layout::{self, BLOBS, Place, key},
    pruned::{Loss, Losses},
    report::{Progress, VerifyReport},
    source::{self, DOCUMENT_LIMIT, Found, Source},
};
use crate::{
    collect::digests::DigestSet,
    transfer::{hash, updated},
    tree::{parallel::failed_job, scan::Scan},
};

/// How many blobs are read at once.
const AT_ONCE: usize = 8;

/// Reads the whole backup, or the snapshot whose name begins with `wanted` and all blobs. What is wrong becomes a
/// [`Problem`](crate::copy::Problem). `base` is the backup that a file builds on.
///
/// # Errors
///
/// When the backup cannot be read to its end, or has no snapshot: a file that was cut short.
pub async fn verify(
    source: &Source,
    base: Option<&Source>,
    wanted: Option<&str>,
    progress: &Arc<Progress>,
) -> Result<VerifyReport> {
    let checked = Checked::default();
    let snapshots = match source {
        Source::Store(storage) => in_store(storage, wanted, progress, &checked).await?,
        Source::File(file) => in_file(file, base, progress, &checked).await?,
    };
    let problems = *checked.problems.lock();
    Ok(VerifyReport {
        snapshots,
        counts: progress.counts(),
        problems,
    })
}

/// What is known of the blobs of a backup.
#[derive(Debug, Default)]
struct Checked {
    good: Mutex<DigestSet>,
    bad: Mutex<Losses>,
    problems: Mutex<u64>,
}

impl Checked {
    fn problem(&self, progress: &Progress, what: String) {
        *self.problems.lock() += 1;
        progress.problem(true, what);
    }

    fn blob(&self, digest: &Digest, loss: Option<Loss>) {
        match loss {
            None => self.good.lock().insert(digest),
            Some(loss) => _ = self.bad.lock().insert(*digest, loss),
        }
    }

    /// Looks for images that are not whole.
    fn images(&self, progress: &Progress, mut document: RepositoryDocument) {
        let lost: Losses = {
            let (good, bad) = (self.good.lock(), self.bad.lock());
            let needed = document.bytes().filter(|digest| !good.contains(digest));
            needed
                .map(|digest| (*digest, bad.get(digest).cloned().unwrap_or(Loss::Missing)))
                .collect()
        };
        let (broken, dangling) = document.prune(&lost);
        progress.count(|counts| {
            counts.repositories += 1;
            counts.tags += document.tags.len() as u64;
            counts.manifests += document.manifests.len() as u64;
            counts.left_out += broken.len() as u64;
            counts.dangling += dangling;
        });
        for image in &broken {
            self.problem(
                progress,
                format!("{image}; it cannot be restored from this backup"),
            );
        }
        if broken.is_empty() && dangling > 0 {
            let name = &document.name;
            self.problem(
                progress,
                format!("`{name}`: {dangling} layer(s) that no image needs are missing or damaged"),
            );
        }
    }
}

async fn in_store(
    storage: &Arc<dyn Storage>,
    wanted: Option<&str>,
    progress: &Arc<Progress>,
    checked: &Checked,
) -> Result<Vec<String>> {
    let mut found = Source::Store(Arc::clone(storage)).snapshots().await?;
    found.retain(|one| wanted.is_none_or(|wanted| one.id.starts_with(wanted)));
    if found.is_empty() {
        return Err(source::no_snapshot());
    }
    blobs(storage, progress, checked).await?;
    let mut seen = DigestSet::default();
    let mut ids = Vec::new();
    for Found { id, snapshot } in found {
        match snapshot {
            Ok(snapshot) => stored_snapshot(storage, &snapshot, &mut seen, progress, checked).await?,
            Err(error @ Error::Refused(_)) => checked.problem(progress, error.to_string()),
            Err(error) => return Err(error),
        }
        ids.push(id);
    }
    Ok(ids)
}

/// Hashes all blobs.
async fn blobs(storage: &Arc<dyn Storage>, progress: &Arc<Progress>, checked: &Checked) -> Result<()> {
    let prefix = key(BLOBS)?;
    let scan = Scan::new(&**storage, &prefix);
    let objects = stream::try_unfold(scan, |mut scan| async move {
        Ok::<_, wharf_storage::Error>(scan.next().await?.map(|object| (object, scan)))
    });
    let mut hashes = objects
        .try_filter_map(|object| {
            std::future::ready(Ok(match Place::of(object.key.as_str()) {
                Some(Place::Blob(digest)) => Some((object, digest)),
                _ => None,
            }))
        })
        .map(|next| {
            let storage = Arc::clone(storage);
            async move {
                let (object, digest) = next?;
                let work = async move {
                    let actual = hash(&*storage, &object.key, digest.algorithm()).await;
                    (object, digest, actual)
                };
                let hashed = tokio::spawn(work).await.map_err(failed_job)?;
                Ok::<_, wharf_storage::Error>(hashed)
            }
        })
        .buffered(AT_ONCE)
        .boxed();
    while let Some((object, digest, actual)) = hashes.try_next().await? {
        let loss = match actual {
            Ok(actual) if actual == digest => None,
            Ok(_) => Some(Loss::Damaged),
            // It was removed since it was listed.
            Err(error) if error.is_not_found() => Some(Loss::Missing),
            Err(error) => Some(Loss::Unread(error.to_string())),
        };
        progress.count(|counts| {
            counts.blobs += 1;
            counts.bytes += object.stat.size;
        });
        if let Some(loss) = &loss {
            checked.problem(progress, format!(
                "the blob `{}` {loss}; remove it, and the next backup writes it again if the registry still has it",
                object.key
            ));
        }
        checked.blob(&digest, loss);
    }
    Ok(())
}

async fn stored_snapshot(
    storage: &Arc<dyn Storage>,
    snapshot: &Snapshot,
    seen: &mut DigestSet,
    progress: &Arc<Progress>,
    checked: &Checked,
) -> Result<()> {
    for saved in &snapshot.repositories {
        if seen.contains(&saved.document) {
            continue;
        }
        seen.insert(&saved.document);
        match source::stored_repository(&**storage, saved).await {
            Ok(document) => checked.images(progress, document),
            Err(error) if is_damage(&error) => {
                checked.problem(progress, format!("the repository `{}`: {error}", saved.name));
            }
            Err(error) => return Err(error),
        }
    }
    for file in &snapshot.settings {
        let path = Place::Settings(file.digest).key()?;
        let is_right = match storage.read(&path, DOCUMENT_LIMIT).await {
            Ok(object) => source::is_of(file, &object.bytes).await?,
            Err(error) if error.is_not_found() => false,
            Err(error) => return Err(error.into()),
        };
        if !is_right {
            checked.problem(
                progress,
                format!(
                    "the file `{}` of the server, `{path}`, is missing or damaged",
                    file.name
                ),
            );
        }
    }
    Ok(())
}

/// Whether an error is of one object, and not of the whole backup.
fn is_damage(error: &Error) -> bool {
    match error {
        Error::Refused(_) => true,
        Error::Storage(error) => error.is_not_found(),
        Error::Registry(_) | Error::File { .. } => false,
    }
}

async fn in_file(
    file: &OpenFile,
    base: Option<&Source>,
    progress: &Arc<Progress>,
    checked: &Checked,
) -> Result<Vec<String>> {
    if let Some(base) = base {
        base_blobs(base, progress, checked).await?;
    }
    let mut found: Option<(String, Snapshot)> = None;
    let mut documents = DigestSet::default();
    let mut damaged: Vec<Digest> = Vec::new();
    let mut reader = Reader::open(file, |path| {
        Place::of(path).is_some() || layout::snapshot_id(path).is_some()
    });
    while let Some(entry) = reader.next().await? {
        if let Some(id) = layout::snapshot_id(&entry.path) {
            let bytes = reader.bytes(DOCUMENT_LIMIT).await?;
            found = Some((id.to_owned(), Snapshot::read(id, bytes).await?));
        }
        let Some(place) = Place::of(&entry.path) else {
            continue;
        };
        if matches!(place, Place::Repository(_)) {
            let bytes = reader.bytes(DOCUMENT_LIMIT).await?;
            match source::repository(place, bytes).await {
                Ok(document) => {
                    documents.insert(&place.digest());
                    // The blobs that it needs came before it.
                    checked.images(progress, document);
                }
                Err(error @ Error::Refused(_)) => checked.problem(progress, error.to_string()),
                Err(error) => return Err(error),
            }
            continue;
        }
        let mut hasher = Hasher::new(place.digest().algorithm());
        while let Some(piece) = reader.pieces().try_next().await? {
            hasher = updated(hasher, piece).await?;
        }
        let is_right = hasher.finish() == place.digest();
        match place {
            Place::Blob(digest) => {
                progress.count(|counts| {
                    counts.blobs += 1;
                    counts.bytes += entry.size;
                });
                match is_right {
                    true => checked.blob(&digest, None),
                    false => {
                        damaged.push(digest);
                        checked.blob(&digest, Some(Loss::Damaged));
                    }
                }
            }
            _ if is_right => documents.insert(&place.digest()),
            _ => checked.problem(progress, format!("`{}` in the file is damaged", entry.path)),
        }
    }
    let (id, snapshot) = found.ok_or_else(source::no_snapshot)?;
    for digest in damaged.iter().filter(|digest| !snapshot.damaged.contains(digest)) {
        checked.problem(progress, format!("the blob `{digest}` in the file is damaged"));
    }
    let names = snapshot
        .repositories
        .iter()
        .map(|saved| (&saved.document, &saved.name));
    let files = snapshot.settings.iter().map(|file| (&file.digest, &file.name));
    for (digest, name) in names
        .chain(files)
        .filter(|(digest, _)| !documents.contains(digest))
    {
        checked.problem(
            progress,
            format!("`{name}`: its document `{digest}` is missing or damaged"),
        );
    }
    match (&snapshot.base, base) {
        (Some(wanted), None) => Err(Error::refused(format!(
            "the file builds on another backup, `{}` (snapshot `{}`), which is not there; name it with `--base`",
            wanted.name, wanted.snapshot
        ))),
        _ => Ok(vec![id]),
    }
}

/// Hashes the blobs of the backup that another one builds on.
async fn base_blobs(base: &Source, progress: &Arc<Progress>, checked: &Checked) -> Result<()> {
    let file = match base {
        Source::Store(storage) => return blobs(storage, progress, checked).await,
        Source::File(file) => file,
    };
    let mut reader = Reader::open(file, |path| matches!(Place::of(path), Some(Place::Blob(_))));
    while let Some(entry) = reader.next().await? {
        let Some(place) = Place::of(&entry.path) else {
            continue;
        };
        let mut hasher = Hasher::new(place.digest().algorithm());
        while let Some(piece) = reader.pieces().try_next().await? {
            hasher = updated(hasher, piece).await?;
        }
        if matches!(place, Place::Blob(_)) {
            let loss = (hasher.finish() != place.digest()).then_some(Loss::Damaged);
            checked.blob(&place.digest(), loss);
        }
    }
    Ok(())
}
