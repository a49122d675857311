//! The locks with which the requests of one process, and its collector, agree on the use and the removal of digests.
//!
//! # Three locks
//!
//! - **Shared, on digests.** A request that makes something point at a digest (a manifest that names layers, a link to
//!   a blob) holds it from the check that the digest is there until the pointer is durable.
//! - **Exclusive, on digests.** A request, or a step of the collector's sweep, that removes a digest holds it from the
//!   check that nothing needs it until it is gone. So no pointer is ever made to something that is being removed: the
//!   check of the one cannot fall between the check and the act of the other.
//! - **Tags.** A request that moves or removes a tag holds its lock from reading what it points at until the change
//!   is durable. So "remove every tag of this digest" cannot remove a tag that was moved elsewhere in between.
//!
//! # Watching instead of holding
//!
//! No lock is held across a listing, the sync of a large file, or a wait for a client. A deletion has to list (which
//! tags point at the manifest, which indexes need it) before it knows what it may remove. It therefore *watches* the
//! digests, lists, takes the exclusive lock, and goes on only if the watch saw no shared lock granted since; otherwise
//! it begins anew. Each new beginning means that a push of just these digests was granted its lock meanwhile, whether it
//! succeeded or not; so the number of new beginnings has a limit.
//!
//! # Other processes
//!
//! A directory belongs to one process, so there these locks are the whole truth. Where other processes share the store,
//! the locks spare requests of one process work that would be in vain; among processes, requests look
//! again after they have acted (`registry::again`).

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use tokio::sync::{Mutex, RwLock};
use wharf_oci::{Digest, RepoName, Tag};

/// Locks that are released when it is dropped.
pub(crate) type Hold = Box<dyn Send + Sync>;

const STRIPES: usize = 256;

/// The locks of one process: a fixed number of stripes, so that memory does not grow with the store.
///
/// **Stripes.** All digests with the same first byte share one stripe. A sweep that goes through the digests in
/// ascending order, a few of one prefix at a time, holds one stripe at a time.
///
/// **No deadlock.** The stripes have one global order: those of digests, ascending, then those of tags, ascending. A task
/// takes all its stripes of digests in one call, then all its stripes of tags in one call, and nothing after that; each
/// call takes every stripe once, in ascending order. So a task only ever waits for stripes above those that it
/// holds, and the task that holds the highest one does not wait for any. A watch keeps no stripe.
///
/// **No missed push.** A watch is entered in the table first, and then takes and releases the exclusive lock of each of its
/// stripes, one after the other. Consider a shared lock on a watched digest. It has the stripe of that digest either before
/// or after the watch has had it. If before, it was released before the watch got the stripe, so a listing that
/// follows sees what its holder published. If after, its holder looks into the table once it has all its stripes, and before it
/// publishes anything: it finds the watch there, and disturbs it. Each digest is argued by its own stripe alone, so the watch
/// need not have two of them at once. The holder of the exclusive lock asks the watch after the shared lock was released.
#[derive(Debug)]
pub(crate) struct Stripes {
    digests: Vec<Arc<RwLock<()>>>,
    tags: Vec<Arc<Mutex<()>>>,
    hasher: RandomState,
    watched: Arc<Watched>,
}

/// The flags of the watches, by digest.
type Watched = parking_lot::Mutex<HashMap<Digest, Vec<Arc<AtomicBool>>>>;

impl Stripes {
    pub(crate) fn new() -> Self {
        Self {
            digests: (0..STRIPES).map(|_| Arc::default()).collect(),
            tags: (0..STRIPES).map(|_| Arc::default()).collect(),
            hasher: RandomState::new(),
            watched: Arc::default(),
        }
    }

    fn digest_stripe(digest: &Digest) -> usize {
        usize::from(digest.bytes()[0]) % STRIPES
    }

    fn tag_stripe(&self, name: &RepoName, tag: &Tag) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a stripe is chosen by the low bits"
        )]
        let hash = self.hasher.hash_one((name, tag)) as usize;
        hash % STRIPES
    }

    /// Keeps all of `digests` from being removed.
    pub(crate) async fn lock_shared(&self, digests: &[Digest]) -> Hold {
        let mut guards = Vec::new();
        for stripe in ascending(digests.iter().map(Self::digest_stripe)) {
            guards.push(Arc::clone(&self.digests[stripe]).read_owned().await);
        }
        let watched = self.watched.lock();
        if !watched.is_empty() {
            let flags = digests.iter().filter_map(|digest| watched.get(digest)).flatten();
            flags.for_each(|flag| flag.store(true, Relaxed));
        }
        Box::new(guards)
    }

    /// Keeps other requests from relying on any of `digests` anew.
    pub(crate) async fn lock_exclusive(&self, digests: &[Digest]) -> Hold {
        let mut guards = Vec::new();
        for stripe in ascending(digests.iter().map(Self::digest_stripe)) {
            guards.push(Arc::clone(&self.digests[stripe]).write_owned().await);
        }
        Box::new(guards)
    }

    /// Keeps `tags` of `name` from being changed by other requests. A task that needs locks on digests as well takes
    /// them before.
    pub(crate) async fn lock_tags(&self, name: &RepoName, tags: &[Tag]) -> Hold {
        let mut guards = Vec::new();
        for stripe in ascending(tags.iter().map(|tag| self.tag_stripe(name, tag))) {
            guards.push(Arc::clone(&self.tags[stripe]).lock_owned().await);
        }
        Box::new(guards)
    }

    /// Watches `digests`. When this returns, every shared lock on one of them that was granted before has been released.
    pub(crate) async fn watch(&self, digests: &[Digest]) -> Watch {
        let watch = Watch {
            watched: Arc::clone(&self.watched),
            digests: digests.into(),
            flag: Arc::default(),
        };
        {
            let mut watched = self.watched.lock();
            for digest in digests {
                watched.entry(*digest).or_default().push(Arc::clone(&watch.flag));
            }
        }
        self.pass(digests).await;
        watch
    }

    /// Waits until every shared lock on one of `digests` that has been granted is released.
    pub(crate) async fn pass(&self, digests: &[Digest]) {
        // Stripe by stripe, without keeping one while waiting for the next: passing many digests would stop every push.
        for stripe in ascending(digests.iter().map(Self::digest_stripe)) {
            drop(self.digests[stripe].write().await);
        }
    }
}

/// A watch over some digests, until it is dropped.
pub(crate) struct Watch {
    watched: Arc<Watched>,
    digests: Box<[Digest]>,
    flag: Arc<AtomicBool>,
}

impl Watch {
    /// Whether a shared lock on one of the digests has been granted since the watch began. Asked under the exclusive
    /// lock, the answer stays true as long as that is held.
    pub(crate) fn is_disturbed(&self) -> bool {
        self.flag.load(Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = self.watched.lock();
        for digest in &self.digests {
            if let Some(flags) = watched.get_mut(digest) {
                flags.retain(|flag| !Arc::ptr_eq(flag, &self.flag));
                if flags.is_empty() {
                    watched.remove(digest);
                }
            }
        }
    }
}

/// Each stripe once, in ascending order.
fn ascending(stripes: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut stripes: Vec<usize> = stripes.collect();
    stripes.sort_unstable();
    stripes.dedup();
    stripes
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use wharf_oci::Algorithm;

    fn digest(first: u8, last: u8) -> Digest {
        let mut bytes = [0; 32];
        (bytes[0], bytes[31]) = (first, last);
        Digest::from_bytes(Algorithm::Sha256, &bytes).unwrap()
    }

    /// Whether a lock is granted at once.
    fn is_free<T>(lock: impl Future<Output = T>) -> bool {
        // Without the budget that makes a task yield after many locks.
        tokio::task::unconstrained(lock).now_or_never().is_some()
    }

    #[tokio::test]
    async fn a_digest_is_relied_on_by_many_and_removed_by_one() {
        let locks = Stripes::new();
        let (one, other) = ([digest(1, 0)], [digest(2, 0)]);
        let shared = locks.lock_shared(&one).await;
        assert!(is_free(locks.lock_shared(&one)));
        assert!(!is_free(locks.lock_exclusive(&one)));
        assert!(is_free(locks.lock_exclusive(&other)));
        drop(shared);
        let exclusive = locks.lock_exclusive(&one).await;
        assert!(!is_free(locks.lock_shared(&[other[0], one[0]])));
        drop(exclusive);
        assert!(is_free(locks.lock_shared(&one)));
    }

    #[tokio::test]
    async fn digests_with_the_same_first_byte_share_a_stripe() {
        let locks = Stripes::new();
        // One call takes a stripe once, or it would wait for itself.
        let step = [digest(7, 1), digest(7, 2)];
        let exclusive = locks.lock_exclusive(&step).await;
        assert!(!is_free(locks.lock_shared(&[digest(7, 3)])));
        assert!(
            (0..=255)
                .filter(|first| *first != 7)
                .all(|first| is_free(locks.lock_shared(&[digest(first, 1)]))),
            "a step holds one stripe"
        );
        drop(exclusive);
    }

    #[tokio::test]
    async fn a_watch_sees_the_shared_locks_that_come_after_it() {
        let locks = Stripes::new();
        let (watched, other) = ([digest(1, 0)], [digest(1, 1)]);
        let earlier = locks.lock_shared(&watched).await;
        assert!(
            !is_free(locks.watch(&watched)),
            "it waits for those that were granted before"
        );
        drop(earlier);
        let watch = locks.watch(&watched).await;
        drop(locks.lock_shared(&other).await);
        assert!(!watch.is_disturbed(), "another digest of the stripe");
        drop(locks.lock_shared(&[other[0], watched[0]]).await);
        assert!(watch.is_disturbed());
        drop(watch);
        assert!(locks.watched.lock().is_empty());
    }

    #[tokio::test]
    async fn a_watch_keeps_no_stripe_while_it_waits_for_another() {
        let locks = Stripes::new();
        let (first, last) = (digest(1, 0), digest(2, 0));
        let push = locks.lock_shared(&[last]).await;
        let both = [first, last];
        let mut watch = Box::pin(locks.watch(&both));
        assert!(watch.as_mut().now_or_never().is_none(), "it waits for the push");
        let first = [first];
        let other = locks.lock_shared(&first).now_or_never();
        assert!(other.is_some(), "a push of the first digest does not wait");
        drop((push, other));
        assert!(
            watch.await.is_disturbed(),
            "by the push that came while it waited"
        );
    }

    #[tokio::test]
    async fn tags_are_locked_by_repository() {
        let locks = Stripes::new();
        let (app, tag): (RepoName, Tag) = ("app".parse().unwrap(), "1".parse().unwrap());
        let held = locks.lock_tags(&app, std::slice::from_ref(&tag)).await;
        assert!(!is_free(locks.lock_tags(&app, &[tag])));
        drop(held);
    }
}
