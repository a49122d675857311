//! Marks in the store itself, for processes that share it: the objects below `wharf/gc/`.
//!
//! Only reads after writes and lists after writes are required of the store, no conditional write. Where conditions are
//! honoured, two runs that take the lease at once are told sooner; where not, the last one has it, and the first one
//! finds that out when it reads it back.
//!
//! **Names of pins.** The removal of an old pin may arrive late, after a request has pinned the same digest again. So a
//! pin is never written again under a name that may be removed: it has the name of the process in it, and a number that
//! goes up with every [slot](Timing::slot). A pin that counts no more has not been written for longer than that.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::time::Instant;
use uuid::Uuid;
use wharf_oci::Digest;
use wharf_storage::{ErrorKind, Key, Object, Put, Removal, Scanned, Storage, layout};

use super::{
    decisions::Timing,
    marks::{Flag, Marks, RunId, RunName, Suspects},
    moment::Moment,
    snapshot::{self, Snapshot},
};
use crate::error::Result;

/// How many marks a request lists: a bucket lists a thousand, and one more tells whether there are more.
const PAGE: usize = 999;

/// The largest lease.
const LIMIT: u64 = 1024;

/// The largest flag: it names what one sweep removes.
const LARGEST_FLAG: u64 = 64 << 10;

/// What stands in a lease that no run has.
const FREE: &str = "free";

/// The marks of a store that other processes share.
#[derive(Debug)]
pub(super) struct InStore {
    storage: Arc<dyn Storage>,
    snapshot: Snapshot,
    timing: &'static Timing,
    /// Names this process in its pins.
    process: Uuid,
    begun: Moment,
    /// The lease of another run, as it was when this process first saw it so.
    seen: Mutex<Option<(SystemTime, Instant)>>,
}

impl InStore {
    /// The marks in `storage`, of which all processes have the same `timing`. Does no I/O.
    pub(super) fn new(storage: Arc<dyn Storage>, timing: &'static Timing) -> Self {
        Self {
            snapshot: Snapshot::new(Arc::clone(&storage), timing.snapshot),
            storage,
            timing,
            process: Uuid::new_v4(),
            begun: Moment::now(),
            seen: Mutex::default(),
        }
    }

    /// Reads the mark: the answer to a request for its metadata would not say what of it is absent.
    async fn exists(&self, key: &Key) -> Result<bool> {
        match self.storage.read(key, LIMIT).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn write(&self, put: Put) -> Result<()> {
        Ok(self.storage.publish(&[put]).await?)
    }

    async fn remove(&self, key: Key, until: SystemTime) -> Result<()> {
        let removal = Removal {
            keep: key.clone(),
            key,
        };
        Ok(self.storage.remove_until(&removal, until).await?)
    }

    /// All marks below `dir`.
    async fn scan(&self, dir: &Key) -> Result<Vec<Scanned>> {
        let mut found = Vec::new();
        loop {
            let after = found.last().map(|scanned: &Scanned| scanned.key.clone());
            let mut page = self.storage.scan(dir, after.as_ref(), PAGE).await?;
            found.append(&mut page.objects);
            if !page.more {
                return Ok(found);
            }
        }
    }

    /// The digests of the marks below `dir`, with the time of the youngest mark of each.
    async fn digests(&self, dir: &Key) -> Result<HashMap<Digest, SystemTime>> {
        let mut digests = HashMap::new();
        for Scanned { key, stat } in self.scan(dir).await? {
            if let Some(digest) = layout::marked_digest(&key) {
                let time = digests.entry(digest).or_insert(stat.modified);
                *time = stat.modified.max(*time);
            }
        }
        Ok(digests)
    }

    async fn lease(&self) -> Result<Option<Object>> {
        match self.storage.read(&layout::collector_lease(), LIMIT).await {
            Ok(lease) => Ok(Some(lease)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the lease, if it still is as it was read, and the store can tell.
    async fn write_lease(&self, content: String, before: Option<Object>) -> Result<()> {
        let put = Put::new(layout::collector_lease(), content);
        let put = match before.map(|lease| lease.stat.version) {
            None => put.if_absent(),
            Some(Some(version)) => put.only_if(version),
            Some(None) => put,
        };
        match self.storage.publish(&[put]).await {
            // What is read next tells: a put that took effect may be answered so when it was repeated.
            Err(error) if error.kind() == ErrorKind::Precondition => Ok(()),
            other => Ok(other?),
        }
    }

    /// The time of the lease, if `run` has it.
    async fn lease_of(&self, run: &RunId) -> Result<Option<SystemTime>> {
        let lease = self.lease().await?;
        let own = lease.filter(|lease| *lease.bytes == *run.to_string().as_bytes());
        Ok(own.map(|lease| lease.stat.modified))
    }

    /// Whether the run that has the lease may be under way. Only a lease that this process has seen unchanged for long is
    /// that of a dead run: no clock of another machine counts.
    fn may_be_held(&self, lease: &Object) -> bool {
        if lease.bytes == FREE {
            return false;
        }
        let mut seen = self.seen.lock();
        match *seen {
            Some((modified, since)) if modified == lease.stat.modified => since.elapsed() < self.timing.stale,
            _ => {
                *seen = Some((lease.stat.modified, Instant::now()));
                true
            }
        }
    }
}

#[async_trait]
impl Marks for InStore {
    fn timing(&self) -> &'static Timing {
        self.timing
    }

    fn most_dooms(&self) -> usize {
        snapshot::MOST
    }

    fn may_be_any(&self) -> bool {
        true
    }

    async fn suspects(&self, digests: &[Digest]) -> Result<Suspects> {
        self.snapshot.suspects(digests).await
    }

    async fn is_doomed(&self, digest: &Digest) -> Result<bool> {
        self.exists(&layout::doom(digest)).await
    }

    async fn pin(&self, digest: &Digest) -> Result<()> {
        let slot = self.begun.elapsed().as_millis() / self.timing.slot().as_millis();
        let slot = u64::try_from(slot).unwrap_or(u64::MAX);
        self.write(Put::new(layout::pin(digest, &self.process, slot), ""))
            .await
    }

    async fn is_swept(&self, digest: &Digest) -> Result<bool> {
        for flag in self.flags().await? {
            let key = layout::sweep_flag(&flag.run, flag.number);
            match self.storage.read(&key, LARGEST_FLAG).await {
                Ok(Object { bytes, .. }) => {
                    let digest = digest.to_string();
                    if bytes
                        .split(|byte| *byte == b'\n')
                        .any(|line| line == digest.as_bytes())
                    {
                        return Ok(true);
                    }
                }
                // It was lowered since.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    async fn doom(&self, digest: &Digest) -> Result<()> {
        self.write(Put::new(layout::doom(digest), "")).await
    }

    async fn doomed(&self) -> Result<HashMap<Digest, SystemTime>> {
        self.digests(&layout::dooms()).await
    }

    async fn spare(&self, digest: &Digest, until: SystemTime) -> Result<()> {
        self.remove(layout::doom(digest), until).await
    }

    async fn pins(&self) -> Result<HashMap<Digest, SystemTime>> {
        self.digests(&layout::pins()).await
    }

    async fn remove_pins(&self, is_expired: &(dyn Fn(SystemTime) -> bool + Sync)) -> Result<()> {
        let mut removals = Vec::new();
        for Scanned { key, stat } in self.scan(&layout::pins()).await? {
            if is_expired(stat.modified) {
                let keep = layout::pins();
                removals.push(Removal { key, keep });
            }
        }
        match removals.is_empty() {
            true => Ok(()),
            false => Ok(self.storage.remove_many(&removals).await?),
        }
    }

    async fn raise_flag(&self, flag: &Flag, digests: &[Digest]) -> Result<()> {
        let lines = digests.iter().map(|digest| format!("{digest}\n"));
        let key = layout::sweep_flag(&flag.run, flag.number);
        self.write(Put::new(key, lines.collect::<String>())).await
    }

    async fn flags(&self) -> Result<Vec<Flag>> {
        let found = self.scan(&layout::sweep_flags()).await?;
        let flags = found.iter().filter_map(|found| layout::sweep_of_flag(&found.key));
        Ok(flags.map(|(run, number)| Flag { run, number }).collect())
    }

    async fn lower_flag(&self, flag: &Flag, until: SystemTime) -> Result<()> {
        self.remove(layout::sweep_flag(&flag.run, flag.number), until)
            .await
    }

    async fn take_lease(&self, run: &RunId) -> Result<Option<SystemTime>> {
        let before = self.lease().await?;
        let is_held = |lease: &Object| {
            let gives_way = !run.collects && RunName::is_of_idle_run(&lease.bytes);
            !gives_way && self.may_be_held(lease)
        };
        if before.as_ref().is_some_and(is_held) {
            return Ok(None);
        }
        self.write_lease(run.to_string(), before).await?;
        self.lease_of(run).await
    }

    async fn renew_lease(&self, run: &RunId) -> Result<Option<SystemTime>> {
        let before = self.lease().await?;
        let own = before.filter(|lease| *lease.bytes == *run.to_string().as_bytes());
        if own.is_none() {
            return Ok(None);
        }
        self.write_lease(run.to_string(), own).await?;
        self.lease_of(run).await
    }

    async fn give_lease_back(&self, run: &RunId) -> Result<()> {
        let before = self.lease().await?;
        match before.filter(|lease| *lease.bytes == *run.to_string().as_bytes()) {
            None => Ok(()),
            own => self.write_lease(FREE.to_owned(), own).await,
        }
    }
}
