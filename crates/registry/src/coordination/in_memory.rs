//! Marks in the memory of the one process that uses a store.
//!
//! They are lost when the process ends, and with it everything that relied on them: a digest that was doomed is doomed
//! anew, and a request that was under way has ended.

use std::{
    collections::HashMap,
    sync::{
        Weak,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::time::Instant;
use wharf_oci::Digest;

use super::{
    decisions::Timing,
    marks::{Flag, Marks, RunId, RunName, Suspects},
    moment::Moment,
    recent::Recent,
};
use crate::error::Result;

/// How many digests are doomed at a time; some 200 bytes each, with what the collector knows of them.
const MOST_DOOMS: usize = 200_000;

/// The marks of a store that no other process uses.
#[derive(Debug)]
pub(super) struct InMemory {
    begun: (SystemTime, Instant),
    /// What clients were told lately.
    recent: Recent,
    /// Whether there are dooms: what every push asks.
    any: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    doomed: HashMap<Digest, SystemTime>,
    pins: HashMap<Digest, SystemTime>,
    flags: HashMap<Flag, Vec<Digest>>,
    run: Weak<RunName>,
}

impl InMemory {
    pub(super) fn new(grace: Duration) -> Self {
        Self {
            recent: Recent::new(grace),
            begun: (SystemTime::now(), Instant::now()),
            any: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// A time that never goes back, as that of the system may.
    fn now(&self) -> SystemTime {
        self.begun.0 + self.begun.1.elapsed()
    }
}

#[async_trait]
impl Marks for InMemory {
    fn timing(&self) -> &'static Timing {
        &Timing::ALONE
    }

    fn most_dooms(&self) -> usize {
        MOST_DOOMS
    }

    fn note(&self, digests: &[Digest]) {
        digests.iter().for_each(|digest| self.recent.note(digest));
    }

    fn is_recent(&self, digest: &Digest) -> bool {
        self.recent.has(digest)
    }

    /// A request asks under its shared lock. One that finds nothing just before a digest is doomed holds the lock for which the
    /// collector then waits.
    fn may_be_any(&self) -> bool {
        self.any.load(SeqCst)
    }

    async fn suspects(&self, digests: &[Digest]) -> Result<Suspects> {
        Ok(Suspects {
            digests: digests.to_vec(),
            since: Moment::now(),
        })
    }

    async fn is_doomed(&self, digest: &Digest) -> Result<bool> {
        Ok(self.state.lock().doomed.contains_key(digest))
    }

    async fn pin(&self, digest: &Digest) -> Result<()> {
        let now = self.now();
        self.state.lock().pins.insert(*digest, now);
        Ok(())
    }

    async fn is_swept(&self, digest: &Digest) -> Result<bool> {
        let state = self.state.lock();
        Ok(state.flags.values().any(|named| named.contains(digest)))
    }

    async fn doom(&self, digest: &Digest) -> Result<()> {
        let now = self.now();
        let mut state = self.state.lock();
        state.doomed.insert(*digest, now);
        self.any.store(true, SeqCst);
        Ok(())
    }

    async fn doomed(&self) -> Result<HashMap<Digest, SystemTime>> {
        Ok(self.state.lock().doomed.clone())
    }

    async fn spare(&self, digest: &Digest, _until: SystemTime) -> Result<()> {
        let mut state = self.state.lock();
        state.doomed.remove(digest);
        self.any.store(!state.doomed.is_empty(), SeqCst);
        Ok(())
    }

    async fn pins(&self) -> Result<HashMap<Digest, SystemTime>> {
        Ok(self.state.lock().pins.clone())
    }

    async fn remove_pins(&self, is_expired: &(dyn Fn(SystemTime) -> bool + Sync)) -> Result<()> {
        self.state.lock().pins.retain(|_, pinned| !is_expired(*pinned));
        Ok(())
    }

    async fn raise_flag(&self, flag: &Flag, digests: &[Digest]) -> Result<()> {
        self.state.lock().flags.insert(*flag, digests.to_vec());
        Ok(())
    }

    async fn flags(&self) -> Result<Vec<Flag>> {
        Ok(self.state.lock().flags.keys().copied().collect())
    }

    async fn lower_flag(&self, flag: &Flag, _until: SystemTime) -> Result<()> {
        self.state.lock().flags.remove(flag);
        Ok(())
    }

    async fn take_lease(&self, run: &RunId) -> Result<Option<SystemTime>> {
        let now = self.now();
        let mut state = self.state.lock();
        if state.run.upgrade().is_some() {
            return Ok(None);
        }
        state.run = RunId::downgrade(run);
        Ok(Some(now))
    }

    async fn renew_lease(&self, run: &RunId) -> Result<Option<SystemTime>> {
        let now = self.now();
        let holder = self.state.lock().run.upgrade();
        Ok((holder.as_ref() == Some(run)).then_some(now))
    }

    async fn give_lease_back(&self, run: &RunId) -> Result<()> {
        let mut state = self.state.lock();
        if state.run.upgrade().as_ref() == Some(run) {
            state.run = Weak::new();
        }
        Ok(())
    }
}
