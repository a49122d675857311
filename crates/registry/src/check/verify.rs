//! The verdict on the stored bytes of one blob: read, and read again before they are called damaged.

use wharf_oci::Digest;
use wharf_storage::{ErrorKind, Storage, Version, layout};

use crate::{
    error::Result,
    hashing::{HashedBytes, Pace, hash_stored},
};

/// How often a blob is read anew because it was replaced meanwhile.
const ATTEMPTS: usize = 4;

/// What was found of one blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The bytes have their digest.
    Sound { size: u64, version: Option<Version> },
    /// Nothing is stored.
    Gone,
    /// The bytes have another digest, and were read twice.
    Damaged(HashedBytes),
    /// The bytes cannot be read, for a reason that may lie elsewhere, such as a lack of rights.
    Unreadable(String),
}

/// Hashes what is stored under `digest`; damage is confirmed by a second read.
///
/// # Errors
///
/// When the store is not available.
pub(crate) async fn verify(storage: &dyn Storage, digest: &Digest, pace: &Pace) -> Result<Verdict> {
    let first = read(storage, digest, pace).await?;
    if !matches!(first, Verdict::Damaged(_)) {
        return Ok(first);
    }
    let second = read(storage, digest, pace).await?;
    if let Verdict::Sound { .. } = second {
        tracing::warn!(blob.digest = %digest, "a blob had other bytes when it was read the first time than the second time; if it was not pushed meanwhile, check the memory and the disk of this machine");
    }
    Ok(second)
}

/// Reads a blob once.
async fn read(storage: &dyn Storage, digest: &Digest, pace: &Pace) -> Result<Verdict> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let result = hash_stored(storage, digest, pace).await;
        match judge(digest, result) {
            Err(error) => return Err(error.into()),
            // Replaced while it was read: the next attempt reads what replaced it.
            Ok(None) if attempts < ATTEMPTS => {}
            Ok(None) => {
                return Ok(Verdict::Unreadable(
                    "it is being replaced again and again".to_owned(),
                ));
            }
            Ok(Some(Verdict::Gone)) if is_there(storage, digest).await && attempts < ATTEMPTS => {}
            Ok(Some(verdict)) => return Ok(verdict),
        }
    }
}

/// What one read says; `None` when the blob was replaced meanwhile.
///
/// # Errors
///
/// When the store is not available.
pub(crate) fn judge(
    digest: &Digest,
    read: wharf_storage::Result<HashedBytes>,
) -> wharf_storage::Result<Option<Verdict>> {
    let error = match read {
        Ok(hashed) if hashed.digest == Some(*digest) => {
            return Ok(Some(Verdict::Sound {
                size: hashed.size,
                version: hashed.version,
            }));
        }
        Ok(hashed) => return Ok(Some(Verdict::Damaged(hashed))),
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::NotFound => Ok(Some(Verdict::Gone)),
        ErrorKind::Precondition => Ok(None),
        _ if error.is_transient() => Err(error),
        _ => Ok(Some(Verdict::Unreadable(error.to_string()))),
    }
}

async fn is_there(storage: &dyn Storage, digest: &Digest) -> bool {
    storage.stat(&layout::blob(digest)).await.is_ok()
}
