//! Who may change what a digest or a tag means, while someone else relies on it.
//!
//! Two families of locks, each a fixed number of stripes, so memory does not grow with the store:
//!
//! - **Digests.** Who makes something point at a digest (a manifest that names layers, a link to a blob)
//!   holds the *shared* side from the check that it is there until the pointer is durable. Who takes
//!   a digest away (delete, and later the collector's sweep) holds the *exclusive* side from the
//!   check that nothing needs it until it is gone. So no pointer is ever made to something
//!   that is being removed: the check of the one cannot fall between the check and the act of the other.
//! - **Tags.** Who moves or removes a tag holds its lock from reading what it points at until the change is durable.
//!   So "remove every tag of this digest" cannot remove a tag that was moved elsewhere in between.
//!
//! **No deadlock**: every task takes all its digest stripes in ascending order, then its tag stripes in
//! ascending order, and nothing after that; so the stripes have one global order.

use std::hash::{BuildHasher, RandomState};

use tokio::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
use wharf_oci::{Digest, RepoName, Tag};

const STRIPES: usize = 256;

#[derive(Debug)]
pub(crate) struct Locks {
    digests: Vec<RwLock<()>>,
    tags: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Locks {
    pub(crate) fn new() -> Self {
        Self {
            digests: (0..STRIPES).map(|_| RwLock::new(())).collect(),
            tags: (0..STRIPES).map(|_| Mutex::new(())).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Keeps all of `digests` from being taken away.
    pub(crate) async fn rely_on(
        &self,
        digests: impl Iterator<Item = Digest>,
    ) -> Vec<RwLockReadGuard<'_, ()>> {
        let stripes = ascending(digests.map(|digest| self.digest_stripe(&digest)));
        let mut guards = Vec::with_capacity(stripes.len());
        for stripe in stripes {
            guards.push(self.digests[stripe].read().await);
        }
        guards
    }

    /// Keeps everybody from relying on `digest` anew.
    pub(crate) async fn take_away(&self, digest: &Digest) -> RwLockWriteGuard<'_, ()> {
        self.digests[self.digest_stripe(digest)].write().await
    }

    /// Keeps `tags` of `name` as they are for everybody else.
    pub(crate) async fn tags(&self, name: &RepoName, tags: &[Tag]) -> Vec<MutexGuard<'_, ()>> {
        let stripes = ascending(tags.iter().map(|tag| self.tag_stripe(name, tag)));
        let mut guards = Vec::with_capacity(stripes.len());
        for stripe in stripes {
            guards.push(self.tags[stripe].lock().await);
        }
        guards
    }

    fn digest_stripe(&self, digest: &Digest) -> usize {
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
}

fn ascending(stripes: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut stripes: Vec<usize> = stripes.collect();
    stripes.sort_unstable();
    stripes.dedup();
    stripes
}
