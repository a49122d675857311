//! What the upstream said last, in memory: so that it is not asked again too early, and once for all requests that wait.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use quick_cache::{UnitWeighter, sync::Cache};
use tokio::{sync::OwnedMutexGuard, time::Instant};
use wharf_oci::{Digest, RepoName};

use crate::error::Failure;

/// How many references are remembered.
const REMEMBERED: usize = 16_384;
/// How many entries of turns there are before those that no request uses are removed.
const TURNS: usize = 1024;

/// What the upstream said of references, and the turns to ask it.
pub(crate) struct Known {
    seen: Cache<Box<str>, Seen>,
    turns: Mutex<HashMap<Box<str>, Weak<tokio::sync::Mutex<()>>>>,
    started: Instant,
}

/// What the upstream said of one reference.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// When it was asked.
    pub(crate) asked: Instant,
    /// When it was last asked with an answer, whatever it said.
    pub(crate) answered: Instant,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// The reference names this manifest.
    Names(Digest),
    /// There is no such manifest or blob.
    Gone,
    /// The upstream failed.
    Failed(Failure),
}

impl Known {
    pub(crate) fn new() -> Self {
        Self {
            seen: Cache::with_weighter(REMEMBERED, REMEMBERED as u64, UnitWeighter),
            turns: Mutex::default(),
            started: Instant::now(),
        }
    }

    /// The key of a manifest in `name`, by tag or digest. No name and no reference has a space.
    pub(crate) fn key(name: &RepoName, reference: &str) -> Box<str> {
        format!("{name} {reference}").into()
    }

    /// The key of a blob in `name`. A manifest is none: clients ask for its digest in both ways.
    pub(crate) fn key_of_blob(name: &RepoName, digest: &Digest) -> Box<str> {
        format!("{name} blob {digest}").into()
    }

    /// The key of the list of tags of `name`.
    pub(crate) fn key_of_tags(name: &RepoName) -> Box<str> {
        format!("{name} tags list").into()
    }

    pub(crate) fn seen(&self, key: &str) -> Option<Seen> {
        self.seen.get(key)
    }

    /// When the upstream last answered for `key`; at the latest when this process began, because what it said before was not kept.
    pub(crate) fn answered(&self, key: &str) -> Instant {
        self.seen.get(key).map_or(self.started, |seen| seen.answered)
    }

    /// Notes what the upstream said when it was asked at `asked`.
    pub(crate) fn note(&self, key: &str, asked: Instant, outcome: Outcome) {
        let answered = match &outcome {
            Outcome::Failed(_) => self.answered(key),
            Outcome::Names(_) | Outcome::Gone => asked,
        };
        let seen = Seen {
            asked,
            answered,
            outcome,
        };
        self.seen.insert(key.into(), seen);
    }

    /// Waits until no other request asks the upstream for `key`. A request asks once, within its time limit, so the wait has an end; and
    /// it mostly finds the answer then.
    pub(crate) async fn turn(&self, key: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock();
            if turns.len() > TURNS {
                turns.retain(|_, turn| turn.strong_count() > 0);
            }
            match turns.get(key).and_then(Weak::upgrade) {
                Some(turn) => turn,
                None => {
                    let turn = Arc::new(tokio::sync::Mutex::new(()));
                    turns.insert(key.into(), Arc::downgrade(&turn));
                    turn
                }
            }
        };
        turn.lock_owned().await
    }
}

/// How many lists of tags are remembered, and names in each of them at most.
const LISTS: usize = 16;
const NAMES: usize = 20_000;

/// The last lists of tags, for the requests of their further pages.
#[derive(Debug, Default)]
pub(crate) struct Lists(Mutex<VecDeque<Listed>>);

#[derive(Debug)]
struct Listed {
    name: RepoName,
    asked: Instant,
    tags: Arc<[Box<str>]>,
}

impl Lists {
    /// The tags of `name`, if the upstream was asked for them less than `fresh` ago, or not before `since`.
    pub(crate) fn find(
        &self,
        name: &RepoName,
        fresh: Duration,
        since: Option<Instant>,
    ) -> Option<Arc<[Box<str>]>> {
        let lists = self.0.lock();
        let found = lists.iter().find(|listed| listed.name == *name);
        let is_new = |listed: &&Listed| {
            listed.asked.elapsed() < fresh || since.is_some_and(|since| listed.asked >= since)
        };
        let found = found.filter(is_new);
        found.map(|listed| Arc::clone(&listed.tags))
    }

    /// Remembers the tags of `name`, unless there are very many.
    pub(crate) fn note(&self, name: &RepoName, asked: Instant, tags: &Arc<[Box<str>]>) {
        let mut lists = self.0.lock();
        lists.retain(|listed| listed.name != *name);
        if tags.len() > NAMES {
            return;
        }
        lists.truncate(LISTS - 1);
        lists.push_front(Listed {
            name: name.clone(),
            asked,
            tags: Arc::clone(tags),
        });
    }
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known")
            .field("seen", &self.seen.len())
            .finish_non_exhaustive()
    }
}
