//! What the scrub has done and found, for metrics, the health page and the administration.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use wharf_oci::Digest;

use crate::check::Images;

/// How many images a line of the log names.
const NAMED: usize = 20;

/// What the scrub of this process has done and found.
#[derive(Debug, Default)]
pub struct ScrubRecord(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    blobs: u64,
    bytes: u64,
    ended: u64,
    /// Damaged blobs, each with a text for operators.
    damaged: BTreeMap<Digest, String>,
}

/// The numbers of a [`ScrubRecord`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScrubNumbers {
    /// Blobs that this process has read.
    pub blobs: u64,
    /// Bytes of these blobs.
    pub bytes: u64,
    /// Blobs that are known to be damaged now.
    pub damaged: u64,
    /// When the last round over all blobs ended, of this replica or of another one.
    pub ended: Option<SystemTime>,
}

impl ScrubRecord {
    /// The numbers at this moment.
    pub fn numbers(&self) -> ScrubNumbers {
        let state = self.0.lock();
        ScrubNumbers {
            blobs: state.blobs,
            bytes: state.bytes,
            damaged: state.damaged.len() as u64,
            ended: (state.ended > 0).then(|| UNIX_EPOCH + Duration::from_secs(state.ended)),
        }
    }

    /// The blobs that are known to be damaged now, each with the images that suffer, in words.
    pub fn damage(&self) -> BTreeMap<Digest, String> {
        self.0.lock().damaged.clone()
    }

    pub(super) fn digests(&self) -> Vec<Digest> {
        self.0.lock().damaged.keys().copied().collect()
    }

    pub(super) fn contains(&self, digest: &Digest) -> bool {
        self.0.lock().damaged.contains_key(digest)
    }

    pub(super) fn read(&self, bytes: u64) {
        let mut state = self.0.lock();
        state.blobs += 1;
        state.bytes += bytes;
    }

    pub(super) fn ended(&self, ended: u64) {
        self.0.lock().ended = ended;
    }

    /// Notes that a blob is damaged; returns whether that is new.
    pub(super) fn damaged(&self, digest: &Digest, size: u64) -> bool {
        let mut state = self.0.lock();
        let is_new = !state.damaged.contains_key(digest);
        state.damaged.entry(*digest).or_insert_with(|| {
            format!("its {size} bytes are damaged; the images that suffer are being looked for")
        });
        is_new
    }

    /// Notes that a blob is not damaged; returns whether it was.
    pub(super) fn sound(&self, digest: &Digest) -> bool {
        self.0.lock().damaged.remove(digest).is_some()
    }

    /// Forgets the damaged blobs that are not among `damaged`, which is in ascending order, and returns them.
    pub(super) fn keep(&self, damaged: &[Digest]) -> Vec<Digest> {
        let mut state = self.0.lock();
        let (kept, forgotten) = std::mem::take(&mut state.damaged)
            .into_iter()
            .partition(|(digest, _)| damaged.binary_search(digest).is_ok());
        state.damaged = kept;
        let forgotten: BTreeMap<Digest, String> = forgotten;
        forgotten.into_keys().collect()
    }

    /// Notes the images that suffer from a damaged blob; returns the first of them as text.
    pub(super) fn name(&self, digest: &Digest, images: &Images) -> String {
        let mut names: Vec<String> = images.iter().take(NAMED).map(ToString::to_string).collect();
        let more = images.iter().skip(NAMED).count() as u64 + images.further();
        if more > 0 {
            names.push(format!("{more} more"));
        }
        let names = names.join(", ");
        let text = match names.as_str() {
            "" => "damaged; no image needs it".to_owned(),
            names => format!("damaged; push one of these images again: {names}"),
        };
        if let Some(known) = self.0.lock().damaged.get_mut(digest) {
            *known = text;
        }
        names
    }
}
