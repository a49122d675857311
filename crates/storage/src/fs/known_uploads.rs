//! What one process knows about uploads: which are held, which have no directory yet, how much each may gather, and the
//! states of their hashes.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;
use parking_lot::Mutex;
use quick_cache::{UnitWeighter, sync::Cache};
use wharf_oci::Hasher;

use super::{
    pool::Pool,
    sys::{Metadata, Stamp},
};
use crate::layout::UploadKey;

/// How many bytes are gathered before they go to a job, when few uploads are under way; larger runs gain nothing.
const LONGEST_RUN: usize = 256 * 1024;
/// How many bytes are gathered when very many uploads are under way.
const SHORTEST_RUN: usize = 32 * 1024;
/// What the runs of all uploads may hold together, before each has become as short as it may: two runs an
/// upload, one that is gathered and one that is written.
const RUNS: usize = 16 * 1024 * 1024;
/// Runs are gathered in buffers of this size, so that short ones need few and long ones use them whole.
const BUFFER: usize = 64 * 1024;
/// States of hashes that are remembered, of about 300 bytes each.
const REMEMBERED: u64 = 4096;
/// How many uploads may be without a directory, of about 200 bytes each. Those that are started beyond get theirs at once.
const UNWRITTEN: usize = 1024;

/// The uploads of one process: holds, uploads without a directory, and states of hashes.
#[derive(Debug)]
pub(super) struct KnownUploads {
    held: Arc<Mutex<HashSet<UploadKey>>>,
    /// Uploads without a directory, and when each was started: no byte of them was written yet
    unwritten: Mutex<HashMap<UploadKey, Timestamp>>,
    /// Buffers in which runs are gathered
    pub(super) pool: Arc<Pool>,
    /// States of the hashes of uploads that no request holds
    pub(super) hashes: Cache<UploadKey, Arc<Remembered>>,
}

/// Exclusive use of one upload, until it is dropped.
pub(super) struct Hold {
    pub(super) upload: UploadKey,
    held: Arc<Mutex<HashSet<UploadKey>>>,
}

/// The state of the hash of a file as it was left.
#[derive(Debug)]
pub(super) struct Remembered {
    pub(super) hasher: Hasher,
    pub(super) file: Fingerprint,
}

/// A mark that differs when a file was replaced or changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    device: u64,
    inode: u64,
    size: u64,
    modified: Stamp,
    changed: Stamp,
}

impl KnownUploads {
    pub(super) fn new() -> Self {
        Self {
            held: Arc::default(),
            unwritten: Mutex::default(),
            pool: Pool::new(BUFFER),
            hashes: Cache::with_weighter(256, REMEMBERED, UnitWeighter),
        }
    }

    /// Takes hold of an upload; `None` when another request has it.
    pub(super) fn hold(&self, upload: &UploadKey) -> Option<Hold> {
        let taken = self.held.lock().insert(upload.clone());
        taken.then(|| Hold {
            upload: upload.clone(),
            held: Arc::clone(&self.held),
        })
    }

    /// Whether a request holds an upload at the moment.
    pub(super) fn is_held(&self, upload: &UploadKey) -> bool {
        self.held.lock().contains(upload)
    }

    /// Remembers an upload that has no directory; false when there are too many of them.
    pub(super) fn start(&self, upload: &UploadKey, started: Timestamp) -> bool {
        let mut unwritten = self.unwritten.lock();
        let has_room = unwritten.len() < UNWRITTEN;
        if has_room {
            unwritten.insert(upload.clone(), started);
        }
        has_room
    }

    /// When an upload without a directory was started; `None` for every other one.
    pub(super) fn started(&self, upload: &UploadKey) -> Option<Timestamp> {
        self.unwritten.lock().get(upload).copied()
    }

    /// Forgets an upload without a directory, because it gets one, or ends. Its holder calls this.
    pub(super) fn take_started(&self, upload: &UploadKey) -> Option<Timestamp> {
        self.unwritten.lock().remove(upload)
    }

    /// The uploads without a directory, and when each was started.
    pub(super) fn all_started(&self) -> Vec<(UploadKey, Timestamp)> {
        let unwritten = self.unwritten.lock();
        unwritten
            .iter()
            .map(|(upload, started)| (upload.clone(), *started))
            .collect()
    }

    /// How many bytes each upload is to gather, as many as there are: shared memory, in equal parts.
    pub(super) fn run(&self) -> usize {
        let uploads = self.held.lock().len().max(1);
        (RUNS / 2 / uploads).clamp(SHORTEST_RUN, LONGEST_RUN)
    }
}

impl Fingerprint {
    /// Whether the file has `size` bytes.
    pub(super) fn is_of_size(&self, size: u64) -> bool {
        self.size == size
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.held.lock().remove(&self.upload);
    }
}

impl From<Metadata> for Fingerprint {
    fn from(metadata: Metadata) -> Self {
        let Metadata {
            device,
            inode,
            size,
            modified,
            changed,
            ..
        } = metadata;
        Self {
            device,
            inode,
            size,
            modified,
            changed,
        }
    }
}
