//! How much garbage one run deals with, so that its memory does not grow with what is stored.
//!
//! A collection without a server removes what it finds at once, and keeps all of it in memory. A run beside requests dooms what it
//! finds, and a later run removes it; there a limit costs nothing but more runs. What is doomed already is always a part
//! of the portion: it is what the run may remove, and it is as much as the runs before had room for.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use parking_lot::Mutex;
use wharf_oci::Digest;
use wharf_storage::layout::{self, Repository};

use crate::coordination::link_mark;

use super::{
    digests::DigestSet,
    emptied::Emptied,
    report::{DoomedBlob, Swept},
};

/// How much garbage one run deals with.
#[derive(Debug)]
pub(super) struct Portion {
    /// What was doomed when the run began; `None` for a collection that removes whatever it finds.
    doomed: Option<DigestSet>,
    /// How many other digests of bytes there is room for
    room: usize,
    /// How many other links there is room for
    links: AtomicUsize,
}

impl Portion {
    /// All of it.
    pub(super) fn all() -> Self {
        Self {
            doomed: None,
            room: usize::MAX,
            links: AtomicUsize::new(usize::MAX),
        }
    }

    /// What is `doomed`, and as much besides that no more than `most` digests will be doomed.
    pub(super) fn of_run(doomed: impl IntoIterator<Item = Digest>, most: usize) -> Self {
        let mut known = DigestSet::default();
        for digest in doomed {
            known.insert(&digest);
        }
        let room = most.saturating_sub(known.len());
        let for_links = room / 4;
        Self {
            room: room - for_links,
            links: AtomicUsize::new(for_links),
            doomed: Some(known),
        }
    }

    /// Whether this run deals with the link of `repository` to `layer`, which nothing there needs: because the link may go, or the bytes,
    /// and the link with them, or because there is room for it.
    pub(super) fn takes_link(&self, repository: &Repository, layer: &Digest) -> bool {
        let take = |left: usize| left.checked_sub(1);
        self.may_go(layer)
            || self.may_go(&link_mark(repository, layer))
            || self.links.fetch_update(Relaxed, Relaxed, take).is_ok()
    }

    /// Whether this run may remove `digest`, if a mark confirms it.
    pub(super) fn may_go(&self, digest: &Digest) -> bool {
        self.doomed.as_ref().is_none_or(|doomed| doomed.contains(digest))
    }
}

/// Blobs that are stored and not needed.
#[derive(Debug, Default)]
pub(super) struct Unneeded {
    /// Those that fit into the portion, in ascending order
    pub(super) blobs: Vec<DoomedBlob>,
    /// What did not fit
    pub(super) rest: Swept,
    /// What is too young to be garbage
    pub(super) young: Swept,
    /// Directories of blobs that hold none
    pub(super) emptied: Emptied,
}

/// What is found, by several tasks at once.
#[derive(Debug)]
pub(super) struct Gathered {
    portion: Arc<Portion>,
    /// The room that is left, and what was found
    found: Mutex<(usize, Unneeded)>,
}

impl Gathered {
    pub(super) fn new(portion: Arc<Portion>) -> Self {
        Self {
            found: Mutex::new((portion.room, Unneeded::default())),
            portion,
        }
    }

    pub(super) fn add(&self, blob: DoomedBlob) {
        let is_doomed = self.portion.doomed.is_some() && self.portion.may_go(&blob.digest);
        let mut found = self.found.lock();
        let (room, unneeded) = &mut *found;
        match (is_doomed, *room) {
            (true, _) => unneeded.blobs.push(blob),
            (false, 0) => unneeded.rest.add(Swept {
                blobs: 1,
                bytes: blob.size,
            }),
            (false, _) => {
                *room -= 1;
                unneeded.blobs.push(blob);
            }
        }
    }

    /// Counts a blob that is too young to be garbage.
    pub(super) fn pass_over(&self, size: u64) {
        self.found.lock().1.young.add(Swept {
            blobs: 1,
            bytes: size,
        });
    }

    /// Notes that the directory of `digest` holds nothing.
    pub(super) fn note_empty(&self, digest: &Digest) {
        let mut found = self.found.lock();
        found.1.emptied.note(&layout::blob(digest), &layout::blobs());
    }

    pub(super) fn take(&self) -> Unneeded {
        let mut unneeded = std::mem::take(&mut self.found.lock().1);
        unneeded.blobs.sort_unstable_by_key(|blob| blob.digest);
        unneeded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(content: &str) -> DoomedBlob {
        DoomedBlob {
            digest: Digest::sha256_of(content.as_bytes()),
            size: 10,
        }
    }

    #[test]
    fn what_is_doomed_has_room_and_new_garbage_fills_the_rest() {
        let doomed = [blob("doomed"), blob("gone")].map(|blob| blob.digest);
        let portion = Arc::new(Portion::of_run(doomed, 3));
        assert!(portion.may_go(&blob("doomed").digest) && !portion.may_go(&blob("new").digest));
        let gathered = Gathered::new(portion);
        for content in ["new", "too much", "doomed", "far too much"] {
            gathered.add(blob(content));
        }
        let mut kept = ["new", "doomed"].map(|content| blob(content).digest);
        kept.sort_unstable();
        let Unneeded { blobs, rest, .. } = gathered.take();
        assert_eq!(blobs.iter().map(|blob| blob.digest).collect::<Vec<_>>(), kept);
        assert_eq!(rest, Swept { blobs: 2, bytes: 20 });
    }

    #[test]
    fn a_collection_that_removes_at_once_has_room_for_all() {
        let gathered = Gathered::new(Arc::new(Portion::all()));
        for content in ["a", "b", "c"] {
            gathered.add(blob(content));
        }
        assert_eq!(gathered.take().blobs.len(), 3);
        assert!(Portion::all().may_go(&blob("a").digest));
    }
    #[test]
    fn links_have_a_share_of_the_room() {
        let repository = Repository::at("app").unwrap();
        let layer = |number: u8| Digest::sha256_of(&[number]);
        let doomed = [layer(1), link_mark(&repository, &layer(2))];
        let portion = Portion::of_run(doomed, 10);
        assert!(
            portion.takes_link(&repository, &layer(1)),
            "it goes with its bytes"
        );
        assert!(portion.takes_link(&repository, &layer(2)), "it is doomed");
        let taken = (3..100).filter(|number| portion.takes_link(&repository, &layer(*number)));
        assert_eq!(taken.count(), 2);
    }
}
