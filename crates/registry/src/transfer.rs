//! Bytes of blobs on their way into a store: hashed meanwhile, and published only if they have the digest that is expected.

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, TryStreamExt as _};
use uuid::Uuid;
use wharf_oci::{Algorithm, Digest, Hasher, RepoName};
use wharf_storage::{
    Announced, Error, ErrorKind, Key, Put, Removal, Storage, Upload, layout, layout::UploadKey,
};

use crate::tree::{manifest::INLINE, parallel::in_background};

/// The largest blob that is written in one piece.
const SMALL: u64 = 1 << 20;

/// The repository in whose name large blobs are uploaded. It never has a manifest or a layer.
const UPLOADER: &str = "wharf-storage-copy";

/// A blob that is to be stored.
#[derive(Debug, Clone)]
pub(crate) struct Transfer {
    /// The digest that its bytes must have
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    /// The key at which it is published
    pub(crate) key: Key,
}

/// Why a blob was not stored.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Its bytes could not be read to their end.
    Reading(Error),
    /// Its bytes have another digest.
    Other,
    /// The store could not be written.
    Writing(Error),
}

impl Transfer {
    /// A blob in its place in the tree of a registry.
    pub(crate) fn of(digest: &Digest, size: u64) -> Self {
        Self {
            digest: *digest,
            size,
            key: layout::blob(digest),
        }
    }

    /// Stores `pieces`, and calls `sent` with the length of each that is on its way.
    ///
    /// # Errors
    ///
    /// A [`Failure`]: then nothing is published.
    pub(crate) async fn store(
        &self,
        to: &dyn Storage,
        pieces: impl Stream<Item = wharf_storage::Result<Bytes>> + Send + Unpin,
        sent: impl FnMut(u64) + Send,
    ) -> Result<(), Failure> {
        match self.size {
            ..=SMALL => self.put(to, pieces, sent).await,
            _ => self.upload(to, pieces, sent).await,
        }
    }

    /// Stores a small blob in one piece.
    async fn put(
        &self,
        to: &dyn Storage,
        mut pieces: impl Stream<Item = wharf_storage::Result<Bytes>> + Send + Unpin,
        mut sent: impl FnMut(u64) + Send,
    ) -> Result<(), Failure> {
        let mut bytes = BytesMut::new();
        while let Some(piece) = pieces.try_next().await.map_err(Failure::Reading)? {
            bytes.extend_from_slice(&piece);
        }
        let bytes = bytes.freeze();
        let actual = digest_of(self.digest.algorithm(), bytes.clone()).await;
        self.check(Some(actual.map_err(Failure::Reading)?))?;
        let put = Put::new(self.key.clone(), bytes);
        to.publish(&[put]).await.map_err(Failure::Writing)?;
        sent(self.size);
        Ok(())
    }

    /// Stores a large blob as clients push them, so that the engine chooses the parts in which it is written.
    async fn upload(
        &self,
        to: &dyn Storage,
        mut pieces: impl Stream<Item = wharf_storage::Result<Bytes>> + Send + Unpin,
        mut sent: impl FnMut(u64) + Send,
    ) -> Result<(), Failure> {
        let digest = &self.digest;
        let mut upload = begin(to, digest).await.map_err(Failure::Writing)?;
        upload.write_provisionally();
        upload.announce(Announced {
            // An engine may write what is announced to its place in the tree at once.
            digest: Some(*digest).filter(|digest| layout::blob(digest) == self.key),
            length: Some(self.size),
        });
        loop {
            match pieces.try_next().await {
                Ok(None) => break,
                Ok(Some(piece)) => {
                    let length = piece.len() as u64;
                    upload.write(piece).await.map_err(Failure::Writing)?;
                    sent(length);
                }
                Err(error) => {
                    forget(upload.discard().await);
                    return Err(Failure::Reading(error));
                }
            }
        }
        let also = Some(digest.algorithm()).filter(|algorithm| *algorithm != Algorithm::Sha256);
        let mut finished = upload.finish(also).await.map_err(Failure::Writing)?;
        if let Err(failure) = self.check(finished.digest(digest.algorithm())) {
            forget(finished.discard().await);
            return Err(failure);
        }
        finished.prepare().await.map_err(Failure::Writing)?;
        let published = finished.publish(&self.key, &[]).await;
        published.map_err(Failure::Writing)
    }

    fn check(&self, actual: Option<Digest>) -> Result<(), Failure> {
        match actual {
            Some(actual) if actual == self.digest => Ok(()),
            _ => Err(Failure::Other),
        }
    }
}

/// The digest of `bytes`.
///
/// # Errors
///
/// When the hash did not end.
pub(crate) async fn digest_of(algorithm: Algorithm, bytes: Bytes) -> wharf_storage::Result<Digest> {
    match bytes.len() {
        ..=INLINE => Ok(Digest::of(algorithm, &bytes)),
        _ => in_background(move || Digest::of(algorithm, &bytes)).await,
    }
}

/// The digest of the object at `key`.
///
/// # Errors
///
/// Errors of the store.
pub(crate) async fn hash(
    storage: &dyn Storage,
    key: &Key,
    algorithm: Algorithm,
) -> wharf_storage::Result<Digest> {
    let blob = storage.open(key).await?;
    let size = blob.stat().size;
    let mut pieces = blob.stream(0..size);
    let mut hasher = Hasher::new(algorithm);
    while let Some(piece) = pieces.try_next().await? {
        hasher = updated(hasher, piece).await?;
    }
    Ok(hasher.finish())
}

/// `hasher`, after `piece`.
///
/// # Errors
///
/// When the hash did not end.
pub(crate) async fn updated(mut hasher: Hasher, piece: Bytes) -> wharf_storage::Result<Hasher> {
    if piece.len() <= INLINE {
        hasher.update(&piece);
        return Ok(hasher);
    }
    let update = move || {
        hasher.update(&piece);
        hasher
    };
    in_background(update).await
}

/// Removes the directories in which large blobs were uploaded, which are empty.
pub(crate) async fn clean(to: &dyn Storage) {
    let uploads = UPLOADER.parse::<RepoName>().map(|name| layout::uploads(&name));
    // Nothing has this name, and the directories above it go if they are empty.
    let Some(key) = uploads.ok().and_then(|uploads| uploads.join("none").ok()) else {
        return;
    };
    let removal = Removal {
        key,
        keep: layout::repositories(),
    };
    if let Err(error) = to.remove_many(&[removal]).await {
        tracing::debug!(%error, "could not remove the directory of the uploads of a copy");
    }
}

/// Begins an upload. It has the name of the digest, so that it takes the place of one that a killed copy left behind; or
/// another name, where that one may still be in use (on a bucket a lease outlives its process for some minutes).
async fn begin(to: &dyn Storage, digest: &Digest) -> wharf_storage::Result<Box<dyn Upload>> {
    match open(to, digest.hex().as_str()).await {
        Err(error) if error.kind() == ErrorKind::Busy => open(to, &Uuid::new_v4().to_string()).await,
        opened => opened,
    }
}

async fn open(to: &dyn Storage, id: &str) -> wharf_storage::Result<Box<dyn Upload>> {
    let (Ok(repository), Ok(id)) = (UPLOADER.parse(), id.parse()) else {
        return Err(Error::new(ErrorKind::Other, format!("name the upload `{id}`")));
    };
    let key = UploadKey { repository, id };
    to.create_upload(&key).await?;
    to.open_upload(&key).await
}

/// An upload that could not be discarded is removed by the server that serves the destination, when it is old.
fn forget(discarded: wharf_storage::Result<()>) {
    if let Err(error) = discarded {
        tracing::debug!(%error, "could not discard an upload of a copy");
    }
}
