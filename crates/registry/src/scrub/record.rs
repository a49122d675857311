//! What the scrub has done and found, for metrics, the health page and the administration.

use std::{
    collections::BTreeMap,
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use wharf_oci::Digest;

use crate::{
    check::{Finding, Images, Position, Problem},
    hashing::HashedBytes,
};

/// How many images a line of the log names.
const NAMED: usize = 20;

/// How the scrub goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScrubOptions {
    /// Time from the beginning of one round over all blobs to that of the next.
    pub interval: Duration,
    /// Bytes that are read in a second.
    pub rate: NonZeroU64,
}

/// What the scrub of this process has done and found.
#[derive(Debug)]
pub struct ScrubRecord {
    options: ScrubOptions,
    state: Mutex<State>,
    /// Number of checks that run in this process.
    checks: Arc<AtomicUsize>,
}

/// A check that runs in this process: the scrub stands back as long as this exists.
#[derive(Debug)]
pub struct StandBack(Arc<AtomicUsize>);

impl Drop for StandBack {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct State {
    blobs: u64,
    bytes: u64,
    ended: u64,
    round: Option<ScrubRound>,
    damaged: BTreeMap<Digest, Damage>,
}

/// A damaged blob.
#[derive(Debug)]
struct Damage {
    finding: Finding,
    /// Whether the images that suffer were looked for.
    is_searched: bool,
}

/// A round over all blobs that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScrubRound {
    /// When it began.
    pub began: SystemTime,
    /// Blobs that it has read.
    pub blobs: u64,
    /// Bytes of these blobs.
    pub bytes: u64,
    /// How many thousandths of the blobs it has read, about: digests are spread evenly.
    pub done: u16,
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
    /// Lets the scrub stand back, from its next step on, as long as what is returned exists.
    pub fn stand_back(&self) -> StandBack {
        self.checks.fetch_add(1, Ordering::Relaxed);
        StandBack(Arc::clone(&self.checks))
    }

    /// Whether the scrub stands back.
    pub(super) fn stands_back(&self) -> bool {
        self.checks.load(Ordering::Relaxed) > 0
    }

    /// The record of a scrub with these options, which has done nothing yet.
    pub(super) fn new(options: ScrubOptions) -> Self {
        Self {
            options,
            state: Mutex::default(),
            checks: Arc::default(),
        }
    }

    /// How the scrub goes about it.
    pub fn options(&self) -> ScrubOptions {
        self.options
    }

    /// The round that is under way, of this replica or of another one, as far as that is known here.
    pub fn round(&self) -> Option<ScrubRound> {
        self.state.lock().round
    }

    /// The blobs that are known to be damaged now, each with the images that suffer, and whether these were looked for: at most `most`.
    pub fn findings(&self, most: usize) -> Vec<(Finding, bool)> {
        let state = self.state.lock();
        let damaged = state.damaged.values().take(most);
        damaged
            .map(|damage| (damage.finding.clone(), damage.is_searched))
            .collect()
    }

    /// The numbers at this moment.
    pub fn numbers(&self) -> ScrubNumbers {
        let state = self.state.lock();
        ScrubNumbers {
            blobs: state.blobs,
            bytes: state.bytes,
            damaged: state.damaged.len() as u64,
            ended: (state.ended > 0).then(|| UNIX_EPOCH + Duration::from_secs(state.ended)),
        }
    }

    /// The blobs that are known to be damaged now, each with the images that suffer, in words.
    pub fn damage(&self) -> BTreeMap<Digest, String> {
        let state = self.state.lock();
        let damaged = state.damaged.iter();
        damaged.map(|(digest, damage)| (*digest, damage.text())).collect()
    }

    pub(super) fn digests(&self) -> Vec<Digest> {
        self.state.lock().damaged.keys().copied().collect()
    }

    /// Whether a blob is known to be damaged now.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.state.lock().damaged.contains_key(digest)
    }

    pub(super) fn read(&self, bytes: u64) {
        let mut state = self.state.lock();
        state.blobs += 1;
        state.bytes += bytes;
    }

    /// Notes how far the rounds are.
    pub(super) fn follow(&self, position: &Position) {
        let mut state = self.state.lock();
        state.ended = position.ended;
        state.round = position.is_under_way().then(|| ScrubRound {
            began: UNIX_EPOCH + Duration::from_secs(position.began),
            blobs: position.blobs,
            bytes: position.bytes,
            done: position.done(),
        });
    }

    /// Notes that a blob is damaged; returns whether that is new.
    pub(super) fn damaged(&self, digest: &Digest, hashed: &HashedBytes) -> bool {
        let mut state = self.state.lock();
        let is_new = !state.damaged.contains_key(digest);
        state.damaged.entry(*digest).or_insert_with(|| {
            let problem = Problem::DamagedBlob {
                digest: *digest,
                size: hashed.size,
                actual: hashed.digest,
            };
            Damage {
                finding: Finding::new(problem, Images::default()),
                is_searched: false,
            }
        });
        is_new
    }

    /// Notes that a blob is not damaged; returns whether it was.
    pub(super) fn sound(&self, digest: &Digest) -> bool {
        self.state.lock().damaged.remove(digest).is_some()
    }

    /// Forgets the damaged blobs that are not among `damaged`, which is in ascending order, and returns them.
    pub(super) fn keep(&self, damaged: &[Digest]) -> Vec<Digest> {
        let mut state = self.state.lock();
        let (kept, forgotten) = std::mem::take(&mut state.damaged)
            .into_iter()
            .partition(|(digest, _)| damaged.binary_search(digest).is_ok());
        state.damaged = kept;
        let forgotten: BTreeMap<Digest, Damage> = forgotten;
        forgotten.into_keys().collect()
    }

    /// Notes the images that suffer from a damaged blob; returns the first of them as text.
    pub(super) fn name(&self, digest: &Digest, images: &Images) -> String {
        let images = images.first(NAMED);
        let names = named(&images);
        if let Some(known) = self.state.lock().damaged.get_mut(digest) {
            (known.finding.images, known.is_searched) = (images, true);
        }
        names
    }
}

impl Damage {
    /// The text for operators.
    fn text(&self) -> String {
        let Finding { problem, images, .. } = &self.finding;
        match (problem, self.is_searched) {
            (Problem::DamagedBlob { size, .. }, false) => {
                format!("its {size} bytes are damaged; the images that suffer are being looked for")
            }
            _ if images.is_empty() => "damaged; no image needs it".to_owned(),
            _ => format!("damaged; push one of these images again: {}", named(images)),
        }
    }
}

fn named(images: &Images) -> String {
    let mut names: Vec<String> = images.iter().map(ToString::to_string).collect();
    if images.further() > 0 {
        names.push(format!("{} more", images.further()));
    }
    names.join(", ")
}
