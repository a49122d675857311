//! A download that is under way, as the requests see it that wait for its bytes.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};
use wharf_budget::Share;
use wharf_oci::{Digest, RepoName};
use wharf_storage::Follow;

use crate::error::Failure;

/// Bytes that are kept in memory for the requests that keep up. What is older is read from the store.
const WINDOW: u64 = 1 << 20;
/// Bytes that are kept at most while the store is behind.
const LARGEST_WINDOW: u64 = 4 << 20;
/// Bytes that are read from the store at once.
const PIECE: u64 = 256 << 10;
/// A download that no request waits for goes on if at most so many bytes are left.
const NEARLY_DONE: u64 = 64 << 20;
/// Time for which a download goes on that no request waits for: clients that lost their connection come back.
const ALONE: Duration = Duration::from_secs(10);

/// How many downloads are under way at once: each has a window in memory, and what the store gathers.
const DOWNLOADS: usize = 32;

/// The downloads of a process, one for each digest.
#[derive(Debug)]
pub(crate) struct Downloads {
    under_way: Mutex<HashMap<Digest, Arc<Download>>>,
    pub(crate) turns: Share,
}

impl Downloads {
    pub(crate) fn new() -> Self {
        Self {
            under_way: Mutex::default(),
            turns: Share::new("downloads", DOWNLOADS),
        }
    }

    /// The download of `digest`, if one is under way.
    pub(crate) fn find(&self, digest: &Digest) -> Option<Arc<Download>> {
        self.under_way.lock().get(digest).cloned()
    }

    /// The download of `digest` that is under way, or a new one into `name`, which the caller has to begin then. One that has ended is under
    /// way no more, also if its task has not forgotten it yet: a client that saw it fail and asks again must not get the same failure.
    pub(crate) fn join(&self, digest: &Digest, name: &RepoName) -> (Arc<Download>, bool) {
        match self.under_way.lock().entry(*digest) {
            Entry::Occupied(entry) if !entry.get().has_ended() => (Arc::clone(entry.get()), false),
            entry => {
                let download = Arc::new(Download::new(*digest, name.clone()));
                entry.insert_entry(Arc::clone(&download));
                (download, true)
            }
        }
    }

    /// Forgets a download that has ended.
    pub(crate) fn remove(&self, download: &Arc<Download>) {
        let mut under_way = self.under_way.lock();
        if under_way
            .get(&download.digest)
            .is_some_and(|known| Arc::ptr_eq(known, download))
        {
            under_way.remove(&download.digest);
        }
    }
}

/// A download that is under way. One task writes it, and many requests read it.
#[derive(Debug)]
pub(crate) struct Download {
    pub(crate) digest: Digest,
    /// The repository into which it is stored.
    pub(crate) name: RepoName,
    state: Mutex<State>,
    /// Told at each change of the state.
    changed: watch::Sender<()>,
    followers: AtomicUsize,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// The last pieces, in order.
    window: VecDeque<Bytes>,
    /// Position of the first byte in the window.
    start: u64,
    /// Position behind the last byte in the window.
    end: u64,
    /// Position before which bytes may be passed on.
    released: u64,
    /// What was written to the store.
    written: Option<Arc<dyn Follow>>,
    /// Whether the bytes are being stored.
    is_stored: bool,
    /// When the last request left that waited for it.
    alone_since: Instant,
}

/// How far a download is.
#[derive(Debug, Clone)]
pub(crate) enum Phase {
    /// The upstream was asked, and has not answered.
    Starting,
    /// Bytes arrive; of how many, if the upstream has said it.
    Running(Option<u64>),
    /// All bytes are there and right. They are stored soon, or could not be.
    Whole(u64),
    /// The blob is in its repository.
    Stored,
    /// The upstream has no such blob.
    Gone,
    /// It has failed.
    Failed(Failure),
}

/// What a request does next.
#[derive(Debug)]
pub(crate) enum Step {
    /// It has all its bytes.
    End,
    /// It passes these bytes on.
    Pass(Bytes),
    /// It reads this range of what was written.
    Read(Arc<dyn Follow>, Range<u64>),
    /// It reads the rest from the repository.
    Stored,
    /// It waits for a change.
    Wait,
    /// It ends with this failure; `None`: the bytes that it needs are nowhere any more, because they could not be stored.
    Fail(Option<Failure>),
}

impl Download {
    pub(crate) fn new(digest: Digest, name: RepoName) -> Self {
        Self {
            digest,
            name,
            state: Mutex::new(State {
                phase: Phase::Starting,
                window: VecDeque::new(),
                start: 0,
                end: 0,
                released: 0,
                written: None,
                is_stored: true,
                alone_since: Instant::now(),
            }),
            changed: watch::Sender::new(()),
            followers: AtomicUsize::new(0),
        }
    }

    /// A receiver of changes. To be taken before the state is looked at, so that no change is missed.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Waits until the upstream has answered, and of a blob of unknown size until all of it is there.
    pub(crate) async fn begun(&self) -> Phase {
        let mut changes = self.changes();
        loop {
            changes.mark_unchanged();
            let phase = self.state.lock().phase.clone();
            if !matches!(phase, Phase::Starting | Phase::Running(None)) {
                return phase;
            }
            // The sender lives as long as `self` does.
            if changes.changed().await.is_err() {
                return phase;
            }
        }
    }

    /// The upstream sends the blob; what is written of it can be read from `written`.
    pub(crate) fn begin(&self, size: Option<u64>, written: Option<Box<dyn Follow>>, is_stored: bool) {
        self.change(|state| {
            state.phase = Phase::Running(size);
            state.written = written.map(Arc::from);
            state.is_stored = is_stored;
        });
    }

    /// Takes a piece over. The last one is held back until [`whole`](Self::whole): a client never gets all bytes of a blob that is wrong.
    pub(crate) fn push(&self, piece: Bytes) {
        self.change(|state| {
            let before = state.end;
            state.end += piece.len() as u64;
            state.window.push_back(piece);
            state.released = match state.phase {
                Phase::Running(Some(size)) if state.end < size => state.end,
                _ => before,
            };
            state.trim();
        });
    }

    /// The bytes cannot be stored: requests that do not keep up fail.
    pub(crate) fn not_stored(&self) {
        self.change(|state| state.is_stored = false);
    }

    /// All bytes are there, and have the digest.
    pub(crate) fn whole(&self) {
        self.change(|state| {
            state.released = state.end;
            state.phase = Phase::Whole(state.end);
        });
    }

    /// It has ended this way.
    pub(crate) fn end(&self, phase: Phase) {
        self.change(|state| state.phase = phase);
    }

    /// Its task has ended: what it has not said by now, it says never.
    pub(crate) fn end_at_last(&self) {
        self.change(|state| {
            if matches!(state.phase, Phase::Starting | Phase::Running(_)) {
                state.phase = Phase::Failed(Failure::Abandoned);
            }
            if matches!(state.phase, Phase::Whole(_)) {
                state.is_stored = false;
            }
        });
    }

    /// Whether it is to be given up: no request has waited for it for a while, and most of it is still to come.
    pub(crate) fn is_abandoned(&self) -> bool {
        if self.followers.load(SeqCst) > 0 {
            return false;
        }
        let state = self.state.lock();
        let (left, is_young) = match state.phase {
            Phase::Running(Some(size)) => (size.saturating_sub(state.end), state.end < size / 2),
            _ => (0, false),
        };
        left > NEARLY_DONE && is_young && state.alone_since.elapsed() > ALONE
    }

    pub(crate) fn joined(&self) {
        self.followers.fetch_add(1, SeqCst);
    }

    pub(crate) fn left(&self) {
        if self.followers.fetch_sub(1, SeqCst) == 1 {
            self.state.lock().alone_since = Instant::now();
        }
    }

    /// Whether it gives nothing any more to a request that comes now: its blob is in the repository, or never will be.
    fn has_ended(&self) -> bool {
        self.is_lost()
            || matches!(
                self.state.lock().phase,
                Phase::Stored | Phase::Gone | Phase::Failed(_)
            )
    }

    /// Whether all bytes were there, and could not be stored.
    pub(crate) fn is_lost(&self) -> bool {
        let state = self.state.lock();
        matches!(state.phase, Phase::Whole(_)) && !state.is_stored
    }

    /// Whether the byte at `position` is there, or is among the next ones.
    pub(crate) fn is_near(&self, position: u64) -> bool {
        let state = self.state.lock();
        position <= state.end + LARGEST_WINDOW
    }

    /// What a request does next that is at `position` and wants the bytes before `end`.
    pub(crate) fn step(&self, position: u64, end: u64) -> Step {
        let state = self.state.lock();
        if position >= end {
            return Step::End;
        }
        if matches!(state.phase, Phase::Stored) && position < state.start {
            return Step::Stored;
        }
        if position >= state.start && position < state.released {
            return state.piece(position, end.min(state.released));
        }
        if position < state.start
            && let Some(written) = &state.written
            && position < written.readable()
        {
            let until = end.min(written.readable()).min(position + PIECE);
            return Step::Read(
                Arc::clone(written),
                position..until.min(state.released.max(state.start)),
            );
        }
        match &state.phase {
            Phase::Failed(failure) => Step::Fail(Some(failure.clone())),
            Phase::Gone => Step::Fail(None),
            _ if position < state.start && !state.is_stored => Step::Fail(None),
            Phase::Starting | Phase::Running(_) | Phase::Whole(_) | Phase::Stored => Step::Wait,
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.changed.send_replace(());
    }
}

impl State {
    /// The bytes at `position` that are in the window, before `end`.
    fn piece(&self, position: u64, end: u64) -> Step {
        let mut start = self.start;
        for piece in &self.window {
            let behind = start + piece.len() as u64;
            if position < behind {
                let part = |at: u64| usize::try_from(at - start).unwrap_or(piece.len());
                return Step::Pass(piece.slice(part(position)..part(end.min(behind))));
            }
            start = behind;
        }
        Step::Wait
    }

    /// Forgets the oldest pieces that are passed on and can be read from the store.
    fn trim(&mut self) {
        let written = self.written.as_ref().map(|written| written.readable());
        while let Some(first) = self.window.front() {
            let behind = self.start + first.len() as u64;
            let left = self.end - behind;
            // Where the store shows nothing before the end, requests that fall behind wait for it.
            let is_readable = written.is_none_or(|written| behind <= written);
            let may_go = behind <= self.released && (left >= WINDOW && is_readable || left >= LARGEST_WINDOW);
            if !may_go {
                return;
            }
            self.start = behind;
            self.window.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn download() -> Download {
        Download::new(Digest::sha256_of(b"x"), "a".parse().unwrap())
    }

    #[test]
    fn the_last_piece_waits_until_all_is_right() {
        let download = download();
        download.begin(Some(6), None, true);
        download.push(Bytes::from_static(b"abc"));
        download.push(Bytes::from_static(b"def"));
        assert!(matches!(download.step(0, 6), Step::Pass(piece) if piece == "abc"));
        assert!(matches!(download.step(1, 2), Step::Pass(piece) if piece == "b"));
        assert!(matches!(download.step(3, 6), Step::Wait));
        download.whole();
        assert!(matches!(download.step(3, 6), Step::Pass(piece) if piece == "def"));
        assert!(matches!(download.step(6, 6), Step::End));
    }

    #[test]
    fn wrong_bytes_are_never_passed_on_whole() {
        let download = download();
        download.begin(Some(6), None, true);
        download.push(Bytes::from_static(b"abc"));
        download.push(Bytes::from_static(b"deg"));
        download.end(Phase::Failed(Failure::Abandoned));
        assert!(matches!(download.step(3, 6), Step::Fail(Some(_))));
    }

    #[test]
    fn memory_is_bounded_and_those_who_fall_behind_read_what_is_stored() {
        let download = download();
        let piece = Bytes::from(vec![0; 64 << 10]);
        let size = 1000 * piece.len() as u64;
        download.begin(Some(size), None, true);
        for _ in 0..900 {
            download.push(piece.clone());
        }
        let held: usize = download.state.lock().window.iter().map(Bytes::len).sum();
        assert!(held as u64 <= WINDOW + piece.len() as u64, "{held}");
        assert!(matches!(download.step(0, size), Step::Wait), "until it is stored");
        for _ in 0..100 {
            download.push(piece.clone());
        }
        download.whole();
        assert!(matches!(download.step(0, size), Step::Wait));
        download.end(Phase::Stored);
        assert!(matches!(download.step(0, size), Step::Stored));
    }

    #[test]
    fn without_a_store_only_those_who_keep_up_get_their_bytes() {
        let download = download();
        let piece = Bytes::from(vec![0; 64 << 10]);
        let size = 1000 * piece.len() as u64;
        download.begin(Some(size), None, true);
        for _ in 0..100 {
            download.push(piece.clone());
        }
        download.not_stored();
        assert!(matches!(download.step(0, size), Step::Fail(None)));
        assert!(matches!(
            download.step(99 * piece.len() as u64, size),
            Step::Pass(_)
        ));
    }

    #[test]
    fn a_download_that_has_ended_is_joined_no_more() {
        let (downloads, digest, name) = (Downloads::new(), Digest::sha256_of(b"x"), "a".parse().unwrap());
        let (first, is_new) = downloads.join(&digest, &name);
        assert!(is_new);
        let (second, is_new) = downloads.join(&digest, &name);
        assert!(!is_new && Arc::ptr_eq(&first, &second));
        first.end(Phase::Failed(Failure::Abandoned));
        let (third, is_new) = downloads.join(&digest, &name);
        assert!(is_new && !Arc::ptr_eq(&first, &third));
        downloads.remove(&first);
        assert!(downloads.find(&digest).is_some(), "another one has its place");
        third.whole();
        assert!(!downloads.join(&digest, &name).1);
        third.not_stored();
        assert!(downloads.join(&digest, &name).1, "its first bytes are nowhere");
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_download_ends_that_no_request_waits_for() {
        let download = download();
        download.joined();
        download.begin(Some(1 << 30), None, true);
        download.push(Bytes::from_static(b"abc"));
        tokio::time::advance(2 * ALONE).await;
        assert!(!download.is_abandoned(), "a request waits");
        download.left();
        assert!(!download.is_abandoned(), "its client may come back");
        tokio::time::advance(2 * ALONE).await;
        assert!(download.is_abandoned());
        let small = self::download();
        small.begin(Some(1 << 20), None, true);
        tokio::time::advance(2 * ALONE).await;
        assert!(!small.is_abandoned(), "it is nearly done");
    }
}
