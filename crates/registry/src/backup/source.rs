//! Reading a backup: its snapshots, and the documents of each.

use std::sync::Arc;

use bytes::Bytes;
use wharf_oci::Algorithm;
use wharf_storage::Storage;

use super::{
    archive::{OpenFile, Reader},
    document::{self, BaseName, RepositoryDocument, SavedFile, SavedRepository, Snapshot},
    error::{Error, Result},
    layout::{self, Place, SNAPSHOTS, key},
    sink::Base,
};
use crate::{collect::digests::DigestSet, transfer::digest_of, tree::scan::Scan};

/// The largest snapshot or document that is read.
pub(super) const DOCUMENT_LIMIT: u64 = 1 << 30;

/// A backup to read.
#[derive(Clone)]
pub enum Source {
    /// A directory or a bucket.
    Store(Arc<dyn Storage>),
    /// A file.
    File(OpenFile),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Store(_) => "Source::Store",
            Self::File(_) => "Source::File",
        })
    }
}

/// A snapshot of a backup, by its name.
#[derive(Debug)]
pub struct Found {
    /// Its name.
    pub id: String,
    /// What it says, or why it cannot be read.
    pub snapshot: Result<Snapshot>,
}

impl Source {
    /// The snapshots of the backup, the oldest first.
    ///
    /// # Errors
    ///
    /// When the backup cannot be read. A snapshot that is damaged is among those that are returned.
    pub async fn snapshots(&self) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        match self {
            Self::Store(storage) => {
                let prefix = key(SNAPSHOTS)?;
                let mut scan = Scan::new(&**storage, &prefix);
                while let Some(object) = scan.next().await? {
                    let Some(id) = layout::snapshot_id(object.key.as_str()) else {
                        continue;
                    };
                    let bytes = storage.read(&object.key, DOCUMENT_LIMIT).await?.bytes;
                    found.push(Found {
                        snapshot: Snapshot::read(id, bytes).await,
                        id: id.to_owned(),
                    });
                }
            }
            Self::File(file) => {
                let mut reader = Reader::open(file, |path| layout::snapshot_id(path).is_some());
                while let Some(entry) = reader.next().await? {
                    if let Some(id) = layout::snapshot_id(&entry.path) {
                        let bytes = reader.bytes(DOCUMENT_LIMIT).await?;
                        found.push(Found {
                            snapshot: Snapshot::read(id, bytes).await,
                            id: id.to_owned(),
                        });
                    }
                }
            }
        }
        Ok(found)
    }

    /// The snapshot whose name begins with `wanted`, or the newest.
    ///
    /// # Errors
    ///
    /// When there is none, or several, or it is damaged.
    pub async fn snapshot(&self, wanted: Option<&str>) -> Result<(String, Snapshot)> {
        let mut found = self.snapshots().await?;
        if let Some(wanted) = wanted {
            found.retain(|one| one.id.starts_with(wanted));
            if found.len() > 1 {
                return Err(Error::refused(format!(
                    "{} snapshots have names that begin with `{wanted}`; give more of the name",
                    found.len()
                )));
            }
        }
        let Some(Found { id, snapshot }) = found.pop() else {
            return Err(match wanted {
                Some(wanted) => Error::refused(format!(
                    "the backup has no snapshot `{wanted}`; `wharf backup ls` lists them"
                )),
                None => no_snapshot(),
            });
        };
        Ok((id, snapshot?))
    }

    /// The blobs that this backup has, for another one that leaves them out; `name` is its file name.
    ///
    /// # Errors
    ///
    /// When it is no whole backup.
    pub async fn base(&self, name: &str) -> Result<Base> {
        let (snapshot, said) = self.snapshot(None).await?;
        let mut blobs = DigestSet::default();
        match self {
            Self::Store(storage) => {
                let prefix = key(layout::BLOBS)?;
                let mut scan = Scan::new(&**storage, &prefix);
                while let Some(object) = scan.next().await? {
                    if let Some(Place::Blob(digest)) = Place::of(object.key.as_str()) {
                        blobs.insert(&digest);
                    }
                }
            }
            Self::File(file) => {
                let mut reader = Reader::open(file, |_| false);
                while let Some(entry) = reader.next().await? {
                    match Place::of(&entry.path) {
                        Some(Place::Blob(digest)) if !said.damaged.contains(&digest) => blobs.insert(&digest),
                        _ => {}
                    }
                }
            }
        }
        Ok(Base {
            name: BaseName {
                snapshot,
                name: name.to_owned(),
            },
            blobs,
        })
    }
}

/// What a backup without a snapshot is.
pub(super) fn no_snapshot() -> Error {
    Error::refused(
        "there is no snapshot in the backup: it was cut short, the backup did not run to its end, or it is no backup of wharf; use another one",
    )
}

/// Reads the document of a repository.
///
/// # Errors
///
/// When the bytes are not those that were written.
pub(super) async fn repository(place: Place, bytes: Bytes) -> Result<RepositoryDocument> {
    let damaged = |why: &str| Error::refused(format!("`{}` in the backup is damaged: {why}", place.path()));
    let digest = digest_of(Algorithm::Sha256, bytes.clone()).await?;
    if digest != place.digest() {
        return Err(damaged("its bytes do not have the digest in its name"));
    }
    document::parse(bytes).await?.map_err(|error| damaged(&error))
}

/// Reads the document of a repository in a store.
///
/// # Errors
///
/// When it is missing or damaged.
pub(super) async fn stored_repository(
    storage: &dyn Storage,
    saved: &SavedRepository,
) -> Result<RepositoryDocument> {
    let place = Place::Repository(saved.document);
    let bytes = storage.read(&place.key()?, DOCUMENT_LIMIT).await?.bytes;
    repository(place, bytes).await
}

/// Whether `bytes` are those of a file of the server.
///
/// # Errors
///
/// When the work did not end.
pub(super) async fn is_of(file: &SavedFile, bytes: &Bytes) -> Result<bool> {
    Ok(digest_of(Algorithm::Sha256, bytes.clone()).await? == file.digest)
}
