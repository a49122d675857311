//! Blobs: each hashed while it is copied, and published at the destination only if its bytes have its digest.

use std::sync::Arc;

use bytes::BytesMut;
use futures_util::TryStreamExt as _;
use tokio::task::JoinSet;
use uuid::Uuid;
use wharf_oci::{Algorithm, Digest, Hasher, RepoName};
use wharf_storage::{
    Announced, Blob, Error, ErrorKind, Key, Put, Removal, Storage, Upload, layout, layout::UploadKey,
};

use super::{
    job::{Failure, Job},
    join::{Join, NotListed},
    report::Kind,
};
use crate::{
    error::Result,
    tree::{
        manifest::INLINE,
        parallel::{failed_job, in_background},
    },
};

/// The largest blob that is written in one piece.
const SMALL: u64 = 1 << 20;

/// The repository in whose name large blobs are uploaded. It never has a manifest or a layer.
const UPLOADER: &str = "wharf-storage-copy";

/// Whether a blob can be pointed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// The destination has it.
    Stored,
    /// Neither of the stores has it.
    Nowhere,
    /// It could not be copied, which has been reported.
    Failed,
}

/// Copies all blobs.
///
/// # Errors
///
/// When the copy must end.
pub(super) async fn copy_all(job: &Arc<Job>) -> Result<()> {
    let prefix = layout::blobs();
    let (from, to) = (Arc::clone(&job.from), Arc::clone(&job.to));
    let mut pairs = Join::new(&*from, &*to, &prefix);
    let mut copies = JoinSet::new();
    while let Some(pair) = pairs.next().await.map_err(|NotListed { error, .. }| error)? {
        let Some(here) = pair.here else { continue };
        let Some(digest) = digest_of(&pair.key) else {
            job.stranger();
            continue;
        };
        if copies.len() >= job.options.at_once.max(1) {
            ended(copies.join_next().await)?;
        }
        let job = Arc::clone(job);
        copies.spawn(async move {
            let copied = copy(&job, &digest, here.stat.size, pair.there).await;
            copied.map(|_| ())
        });
    }
    while let Some(copied) = copies.join_next().await {
        ended(Some(copied))?;
    }
    Ok(())
}

/// Makes sure that the destination has the blob, which a link of the source names.
///
/// # Errors
///
/// When the copy must end.
pub(super) async fn ensure(job: &Job, digest: &Digest) -> Result<Presence> {
    if job.stored.lock().contains(digest) {
        return Ok(Presence::Stored);
    }
    if job.failed.lock().contains(digest) {
        return Ok(Presence::Failed);
    }
    let key = layout::blob(digest);
    let there = match job.to.stat(&key).await {
        Ok(stat) => Some(stat.size),
        Err(error) if error.is_not_found() => None,
        Err(error) => return failed(job, digest, Failure::Destination(error)),
    };
    match (job.from.stat(&key).await, there) {
        // It came after the blobs were listed.
        (Ok(stat), _) => copy(job, digest, stat.size, there).await,
        (Err(error), Some(_)) if error.is_not_found() => {
            job.stored.lock().insert(digest);
            Ok(Presence::Stored)
        }
        (Err(error), None) if error.is_not_found() => Ok(Presence::Nowhere),
        (Err(error), _) => failed(job, digest, Failure::Source(error)),
    }
}

/// Removes the directories in which large blobs were uploaded, which are empty.
pub(super) async fn clean(job: &Job) {
    let uploads = UPLOADER.parse::<RepoName>().map(|name| layout::uploads(&name));
    // Nothing has this name, and the directories above it go if they are empty.
    let Some(key) = uploads.ok().and_then(|uploads| uploads.join("none").ok()) else {
        return;
    };
    let removal = Removal {
        key,
        keep: layout::repositories(),
    };
    if let Err(error) = job.to.remove_many(&[removal]).await {
        tracing::debug!(%error, "could not remove the directory of the uploads of a copy");
    }
}

fn ended(copied: Option<std::result::Result<Result<()>, tokio::task::JoinError>>) -> Result<()> {
    copied.map_or(Ok(()), |copied| copied.map_err(failed_job)?)
}

/// The digest that the key of a blob names.
fn digest_of(key: &Key) -> Option<Digest> {
    let below = key.as_str().strip_prefix(layout::blobs().as_str())?;
    let mut parts = below.strip_prefix('/')?.split('/');
    let (algorithm, _, hex) = (parts.next()?, parts.next()?, parts.next()?);
    let digest: Digest = format!("{algorithm}:{hex}").parse().ok()?;
    (layout::blob(&digest) == *key).then_some(digest)
}

/// Copies the blob of `size` bytes, unless the destination has it, where an object of `there` bytes has its key.
async fn copy(job: &Job, digest: &Digest, size: u64, there: Option<u64>) -> Result<Presence> {
    if there == Some(size) && is_right(job, digest).await {
        job.there(Kind::Blob);
        job.progress.count(|counts| counts.bytes_there += size);
    } else if job.options.dry_run {
        job.progress.sent(size);
        job.copied(Kind::Blob);
    } else {
        let copied = match transfer(job, digest).await {
            Ok(()) if !is_right(job, digest).await => {
                let text = "the destination gives back other bytes than were written";
                let error = Error::new(ErrorKind::Other, format!("check the blob `{digest}`: {text}"));
                Err(Failure::Destination(error))
            }
            transferred => transferred,
        };
        if let Err(failure) = copied {
            return failed(job, digest, failure);
        }
        job.copied(Kind::Blob);
    }
    job.stored.lock().insert(digest);
    Ok(Presence::Stored)
}

fn failed(job: &Job, digest: &Digest, failure: Failure) -> Result<Presence> {
    if matches!(failure, Failure::Gone) {
        return Ok(Presence::Nowhere);
    }
    job.failed.lock().insert(*digest);
    job.report(Some(Kind::Blob), &format!("the blob `{digest}`"), failure)?;
    Ok(Presence::Failed)
}

/// Whether the bytes of the destination have the digest; true as well where they are not to be verified.
async fn is_right(job: &Job, digest: &Digest) -> bool {
    !job.options.verify || hash(&*job.to, digest).await.is_ok_and(|actual| actual == *digest)
}

async fn hash(storage: &dyn Storage, digest: &Digest) -> wharf_storage::Result<Digest> {
    let blob = storage.open(&layout::blob(digest)).await?;
    let size = blob.stat().size;
    let mut pieces = blob.stream(0..size);
    let mut hasher = Hasher::new(digest.algorithm());
    while let Some(piece) = pieces.try_next().await? {
        let update = move || {
            hasher.update(&piece);
            hasher
        };
        hasher = in_background(update).await?;
    }
    Ok(hasher.finish())
}

async fn transfer(job: &Job, digest: &Digest) -> Result<(), Failure> {
    let blob = job.from.open(&layout::blob(digest)).await;
    let blob = blob.map_err(Failure::reading)?;
    let mut sent = 0;
    let transferred = match blob.stat().size {
        ..=SMALL => put(job, digest, blob, &mut sent).await,
        _ => upload(job, digest, blob, &mut sent).await,
    };
    if transferred.is_err() {
        job.progress.took_back(sent);
    }
    transferred
}

/// Copies a small blob in one piece.
async fn put(job: &Job, digest: &Digest, blob: Box<dyn Blob>, sent: &mut u64) -> Result<(), Failure> {
    let size = blob.stat().size;
    let mut pieces = blob.stream(0..size);
    let mut bytes = BytesMut::new();
    while let Some(piece) = pieces.try_next().await.map_err(Failure::reading)? {
        bytes.extend_from_slice(&piece);
    }
    let (bytes, algorithm) = (bytes.freeze(), digest.algorithm());
    let actual = if bytes.len() <= INLINE {
        Digest::of(algorithm, &bytes)
    } else {
        let bytes = bytes.clone();
        let hashed = in_background(move || Digest::of(algorithm, &bytes)).await;
        hashed.map_err(Failure::Source)?
    };
    check(digest, Some(actual))?;
    let put = Put::new(layout::blob(digest), bytes);
    job.to.publish(&[put]).await.map_err(Failure::Destination)?;
    *sent += size;
    job.progress.sent(size);
    Ok(())
}

/// Copies a large blob as clients push them, so that the engine chooses the parts in which it is written.
async fn upload(job: &Job, digest: &Digest, blob: Box<dyn Blob>, sent: &mut u64) -> Result<(), Failure> {
    let size = blob.stat().size;
    let mut upload = begin(&*job.to, digest).await.map_err(Failure::Destination)?;
    upload.write_provisionally();
    upload.announce(Announced {
        digest: Some(*digest),
        length: Some(size),
    });
    let mut pieces = blob.stream(0..size);
    loop {
        match pieces.try_next().await {
            Ok(None) => break,
            Ok(Some(piece)) => {
                let length = piece.len() as u64;
                upload.write(piece).await.map_err(Failure::Destination)?;
                *sent += length;
                job.progress.sent(length);
            }
            Err(error) => {
                forget(upload.discard().await);
                return Err(Failure::reading(error));
            }
        }
    }
    let also = Some(digest.algorithm()).filter(|algorithm| *algorithm != Algorithm::Sha256);
    let mut finished = upload.finish(also).await.map_err(Failure::Destination)?;
    if let Err(failure) = check(digest, finished.digest(digest.algorithm())) {
        forget(finished.discard().await);
        return Err(failure);
    }
    finished.prepare().await.map_err(Failure::Destination)?;
    let published = finished.publish(&layout::blob(digest), &[]).await;
    published.map_err(Failure::Destination)
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

fn check(digest: &Digest, actual: Option<Digest>) -> Result<(), Failure> {
    match actual {
        Some(actual) if actual == *digest => Ok(()),
        _ => Err(Failure::Damaged(
            "the bytes of the source have another digest, so it is damaged there, and no client can pull it; push the image again, \
             or delete it, and run this again"
                .to_owned(),
        )),
    }
}
