//! Hashing what is stored under a digest, step by step: little memory, on blocking threads, as fast as a pace allows.

use std::{num::NonZeroU64, time::Duration};

use futures_util::StreamExt as _;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};
use wharf_oci::{Digest, Hasher};
use wharf_storage::{Blob, Error, ErrorKind, Result, Stat, Storage, Version, layout};

use crate::tree::parallel::in_background;

/// How many bytes are read at a time: on a bucket each time is a request.
const STEP: u64 = 16 << 20;

/// How many bytes may be read in a second, by all readers together.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Bytes per second; `None`: as many as there are.
    rate: Option<NonZeroU64>,
    /// When what was taken so far may have been read.
    due: Mutex<Option<Instant>>,
}

impl Pace {
    pub(crate) fn new(rate: Option<NonZeroU64>) -> Self {
        Self {
            rate,
            due: Mutex::default(),
        }
    }

    /// The time that reading `bytes` may take.
    pub(crate) fn time_of(&self, bytes: u64) -> Duration {
        self.rate.map_or(Duration::ZERO, |rate| {
            Duration::from_micros(bytes.saturating_mul(1_000_000) / rate)
        })
    }

    /// The most bytes to read at a time, so that the load is even: those of a second.
    fn step(&self) -> u64 {
        self.rate.map_or(STEP, |rate| rate.get().clamp(64 << 10, STEP))
    }

    /// Waits until `bytes` more may be read.
    async fn take(&self, bytes: u64) {
        if self.rate.is_none() {
            return;
        }
        let turn = {
            let (mut due, now) = (self.due.lock(), Instant::now());
            let turn = due.map_or(now, |due| due.max(now));
            *due = Some(turn + self.time_of(bytes));
            turn
        };
        sleep_until(turn).await;
    }
}

/// What is stored under a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HashedBytes {
    /// Digest of the bytes; `None` when they end before their size.
    pub(crate) digest: Option<Digest>,
    /// Size in bytes.
    pub(crate) size: u64,
    /// Version of the object, where the store could tell one.
    pub(crate) version: Option<Version>,
}

/// Hashes what is stored under `digest`.
///
/// # Errors
///
/// Errors of the store: nothing is there, or it was replaced meanwhile, or it cannot be read.
pub(crate) async fn hash_stored(storage: &dyn Storage, digest: &Digest, pace: &Pace) -> Result<HashedBytes> {
    let mut hashing = Hashing::begin(storage, digest).await?;
    while !hashing.is_done() {
        let step = pace.step().min(hashing.remaining());
        pace.take(step).await;
        hashing.step(step).await?;
    }
    Ok(hashing.finish())
}

/// A blob of which a part has been hashed.
pub(crate) struct Hashing {
    blob: Box<dyn Blob>,
    stat: Stat,
    /// Number of bytes that have been hashed.
    offset: u64,
    /// `None` while bytes are being hashed.
    hasher: Option<Hasher>,
    is_cut_short: bool,
}

impl std::fmt::Debug for Hashing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hashing")
            .field("stat", &self.stat)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

impl Hashing {
    /// Opens what is stored under `digest`.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn begin(storage: &dyn Storage, digest: &Digest) -> Result<Self> {
        let blob = storage.open_parts(&layout::blob(digest)).await?;
        Ok(Self {
            stat: blob.stat(),
            blob,
            offset: 0,
            hasher: Some(Hasher::new(digest.algorithm())),
            is_cut_short: false,
        })
    }

    /// Number of bytes that have not been hashed.
    pub(crate) fn remaining(&self) -> u64 {
        self.stat.size - self.offset
    }

    /// Whether there is nothing more to hash.
    pub(crate) fn is_done(&self) -> bool {
        self.is_cut_short || self.remaining() == 0
    }

    /// Hashes at most `bytes` more; each piece while the next one is read.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn step(&mut self, bytes: u64) -> Result<()> {
        let end = self.stat.size.min(self.offset.saturating_add(bytes));
        let mut pieces = self.blob.part(self.offset..end);
        let mut next = pieces.next().await;
        while let Some(piece) = next {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) if error.kind() == ErrorKind::Damaged => {
                    self.is_cut_short = true;
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            let Some(mut hasher) = self.hasher.take() else {
                return Err(Error::new(
                    ErrorKind::Other,
                    "hash a blob: an earlier step did not end",
                ));
            };
            self.offset += piece.len() as u64;
            let hash = in_background(move || {
                hasher.update(&piece);
                hasher
            });
            let (hasher, following) = futures_util::join!(hash, pieces.next());
            self.hasher = Some(hasher?);
            next = following;
        }
        // A stream that ends early says so; without that, a loop over the steps would not end.
        self.is_cut_short |= self.offset < end;
        Ok(())
    }

    /// What was found.
    pub(crate) fn finish(self) -> HashedBytes {
        let hasher = self.hasher.filter(|_| !self.is_cut_short);
        HashedBytes {
            digest: hasher.map(Hasher::finish),
            size: self.stat.size,
            version: self.stat.version,
        }
    }
}
