//! Turns at updating fallback tags: one update of a tag at a time, and one for all requests that wait for it; and the
//! manifests that no update is to list, because they are being deleted.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    time::Instant,
};

use tokio::sync::{Mutex, MutexGuard};
use wharf_oci::{Digest, RepoName};

use crate::{error::Result, patience::soon};

/// Number of turns that may be taken at once: fallback tags of the same stripe wait for one another.
const STRIPES: usize = 64;

/// The turns of one process. They save work, and are no lock: writers of other processes take none of them.
pub(crate) struct FallbackTurns {
    stripes: Vec<Mutex<Option<Update>>>,
    /// Manifests that are being deleted, with the number of requests that do. Two deletions that list each other's manifest
    /// would disturb each other for ever.
    leaving: parking_lot::Mutex<HashMap<(RepoName, Digest), usize>>,
}

/// The last update of a stripe.
struct Update {
    name: RepoName,
    subject: Digest,
    began: Instant,
}

impl FallbackTurns {
    pub(crate) fn new() -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            leaving: parking_lot::Mutex::default(),
        }
    }

    /// Waits for the turn to update the fallback tag of `subject` in `name`; `None` when an update that began after this
    /// request came has ended meanwhile, which saw all that this one would see.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`](crate::Error::Busy) when that takes too long.
    pub(crate) async fn take(&self, name: &RepoName, subject: &Digest) -> Result<Option<Turn<'_>>> {
        let came = Instant::now();
        let stripe = &self.stripes[usize::from(subject.bytes()[0]) % STRIPES];
        let reason = "other requests are updating the list of referrers of the same manifest, and this one waited too long for them";
        let last = soon(stripe.lock(), reason).await?;
        let is_done = last
            .as_ref()
            .is_some_and(|last| last.began > came && last.subject == *subject && last.name == *name);
        Ok((!is_done).then_some(Turn {
            began: Instant::now(),
            last,
        }))
    }

    /// Keeps the manifest `digest` of `name` out of every update that begins from now on, until the result is dropped.
    pub(crate) fn leave(&self, name: &RepoName, digest: &Digest) -> Leaving<'_> {
        let key = (name.clone(), *digest);
        *self.leaving.lock().entry(key.clone()).or_default() += 1;
        Leaving { turns: self, key }
    }

    /// The manifests of `name` that are being deleted.
    pub(crate) fn leaving(&self, name: &RepoName) -> HashSet<Digest> {
        let leaving = self.leaving.lock();
        let here = leaving.keys().filter(|(repository, _)| repository == name);
        here.map(|(_, digest)| *digest).collect()
    }
}

impl fmt::Debug for FallbackTurns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackTurns").finish_non_exhaustive()
    }
}

/// The turn of one request.
pub(crate) struct Turn<'a> {
    began: Instant,
    last: MutexGuard<'a, Option<Update>>,
}

impl Turn<'_> {
    /// Ends it: the fallback tag of `subject` in `name` lists all that was there when it began.
    pub(crate) fn succeed(mut self, name: &RepoName, subject: &Digest) {
        *self.last = Some(Update {
            name: name.clone(),
            subject: *subject,
            began: self.began,
        });
    }
}

/// A manifest that is being deleted.
pub(crate) struct Leaving<'a> {
    turns: &'a FallbackTurns,
    key: (RepoName, Digest),
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let mut leaving = self.turns.leaving.lock();
        if let Some(count) = leaving.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                leaving.remove(&self.key);
            }
        }
    }
}
