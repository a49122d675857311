//! Blobs: each hashed while it is copied, and published at the destination only if its bytes have its digest.

use std::sync::Arc;

use tokio::task::JoinSet;
use wharf_oci::Digest;
use wharf_storage::{Error, ErrorKind, Key, layout};

use super::{
    job::{Failure, Job},
    join::{Join, NotListed},
    report::Kind,
};
use crate::{
    error::Result,
    transfer::{self, Transfer},
    tree::parallel::failed_job,
};

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
    let key = layout::blob(digest);
    let hash = transfer::hash(&*job.to, &key, digest.algorithm());
    !job.options.verify || hash.await.is_ok_and(|actual| actual == *digest)
}

async fn transfer(job: &Job, digest: &Digest) -> Result<(), Failure> {
    let blob = job.from.open(&layout::blob(digest)).await;
    let blob = blob.map_err(Failure::reading)?;
    let size = blob.stat().size;
    let mut sent = 0;
    let count = |length| {
        sent += length;
        job.progress.sent(length);
    };
    let transfer = Transfer::of(digest, size);
    let stored = transfer.store(&*job.to, blob.stream(0..size), count).await;
    if stored.is_err() {
        job.progress.took_back(sent);
    }
    stored.map_err(|failure| match failure {
        transfer::Failure::Reading(error) => Failure::reading(error),
        transfer::Failure::Writing(error) => Failure::Destination(error),
        transfer::Failure::Other => Failure::Damaged(
            "the bytes of the source have another digest, so it is damaged there, and no client can pull it; push the image again, \
             or delete it, and run this again"
                .to_owned(),
        ),
    })
}
