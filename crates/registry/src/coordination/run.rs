//! The part of the protocol that the collector takes: doom, confirm by a later mark, sweep under the flag.

use std::{
    collections::HashSet,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{FutureExt as _, future::join_all};
use tokio::time::{Instant, sleep_until, timeout};
use wharf_oci::Digest;
use wharf_storage::{ErrorKind, Key, Storage};

use super::{
    decisions::{AfterRemoval, Fate, Removal, fate, is_expired, is_pinned},
    marks::{Flag, Marks, RunId, RunName},
    stripes::Stripes,
};
use crate::{
    error::{Error, Result},
    tree::parallel::{PARALLEL, in_parallel},
};

/// For how many digests the flag is raised at a time.
const BATCH: usize = 256;

/// One run of the collector, beside requests of this process and of others that share the store.
///
/// A run first marks, by whatever finds what is needed, and then calls [`judge`](Self::judge), [`sweep`](Self::sweep) and
/// [`end`](Self::end). It may be dropped at any time, and its process may die: the next run goes on.
#[derive(Debug)]
pub struct Run {
    storage: Arc<dyn Storage>,
    marks: Arc<dyn Marks>,
    stripes: Arc<Stripes>,
    id: RunId,
    began: SystemTime,
    /// How many sweeps there were.
    sweeps: u64,
    /// When no removal of an earlier run can take effect any more.
    ready: Instant,
    held: Held,
}

/// When the run last saw that it has the lease.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// By the clock of this process, at most.
    at: Instant,
    /// Until when, by the clock of the store, removals may be taken up by the store.
    until: SystemTime,
}

/// A digest that is to be swept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condemned {
    /// The digest.
    pub digest: Digest,
    /// What goes with it, pointers before what they point at; the bytes are the last.
    pub keys: Vec<Key>,
}

impl Run {
    /// Begins a run that `collects`, or only keeps others from it; `None` when another one may be under way. Only what is marked
    /// from now on counts for it.
    pub(super) async fn begin(
        storage: Arc<dyn Storage>,
        marks: Arc<dyn Marks>,
        stripes: Arc<Stripes>,
        collects: bool,
    ) -> Result<Option<Self>> {
        let id = RunName::new(collects);
        let Some(began) = marks.take_lease(&id).await? else {
            return Ok(None);
        };
        let (now, timing) = (Instant::now(), marks.timing());
        Ok(Some(Self {
            storage,
            stripes,
            id,
            began,
            sweeps: 0,
            ready: now + timing.takeover(),
            held: Held {
                at: now,
                until: began + timing.check,
            },
            marks,
        }))
    }

    /// The digests that are doomed: all that this run may remove, because what is doomed later is confirmed by a later one.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub async fn doomed(&self) -> Result<Vec<Digest>> {
        Ok(self.marks.doomed().await?.into_keys().collect())
    }

    /// How many digests may be doomed at a time, so that requests and runs can keep them all in memory.
    pub fn most_dooms(&self) -> usize {
        self.marks.most_dooms()
    }

    /// Does `work`, and keeps the lease meanwhile.
    ///
    /// # Errors
    ///
    /// As [`judge`](Self::judge), and those of `work`, which is dropped when the lease is lost.
    pub(crate) async fn during<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut work = pin!(work);
        let often = self.marks.timing().check / 3;
        loop {
            match timeout(often, work.as_mut()).await {
                Ok(done) => return done,
                Err(_elapsed) => self.keep().await?,
            }
        }
    }

    /// How long after this run one begins that may remove what this one has doomed.
    pub fn again_after(&self) -> Duration {
        let timing = self.marks.timing();
        timing.confirmation + timing.check
    }

    /// Dooms what of `garbage` is not doomed yet, spares what is doomed and not among it, and answers what may be swept:
    /// what a mark that began long enough after its doom confirms. `garbage` was stored, and the mark of this run, which began
    /// after the run did, did not find it needed. It has all of that which is doomed, and as much of the rest as the run deals with.
    ///
    /// What any linked manifest names is not garbage, whether that manifest is needed or not: a push that tags it again
    /// asks for what it names itself, and not for what its children name. So an index that nothing needs goes first, its
    /// children by a later run, and their layers by another.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when another run has taken the lease over; errors of the store. The run is over then.
    pub async fn judge(&mut self, garbage: &[Digest]) -> Result<Vec<Digest>> {
        // A run that has nothing to change has nothing to wait for.
        if garbage.is_empty() && self.marks.doomed().await?.is_empty() && self.marks.flags().await?.is_empty()
        {
            return Ok(Vec::new());
        }
        self.hold_until(self.ready).await?;
        for flag in self.marks.flags().await? {
            self.lower_flag(&flag, false).await?;
        }
        let doomed = self.marks.doomed().await?;
        let unneeded: HashSet<Digest> = garbage.iter().copied().collect();
        let needed = doomed.keys().filter(|digest| !unneeded.contains(digest));
        let (mut spared, mut dooms, mut confirmed) = (Vec::new(), Vec::new(), Vec::new());
        for digest in garbage.iter().chain(needed) {
            let is_needed = !unneeded.contains(digest) || self.marks.is_recent(digest);
            let since = doomed.get(digest).copied();
            match fate(is_needed, since, self.began, self.marks.timing()) {
                Fate::Keep | Fate::Wait => {}
                Fate::Spare => spared.push(*digest),
                Fate::Doom => dooms.push(*digest),
                Fate::Sweep => confirmed.push(*digest),
            }
        }
        self.spare(&spared).await?;
        in_parallel(dooms.iter().map(|digest| self.marks.doom(digest))).await?;
        // Requests of this process that found no mark have ended with this. Those of others have a time for it.
        self.stripes.pass(&dooms).await;
        Ok(confirmed)
    }

    /// Removes what of `condemned` is not pinned, and answers what is gone.
    ///
    /// The flag is raised for some digests at a time: an upload of one of them waits for no more than those.
    ///
    /// # Errors
    ///
    /// As [`judge`](Self::judge). What was not removed is left to the next run, and so is the flag if it cannot be lowered.
    pub async fn sweep(&mut self, condemned: &[Condemned]) -> Result<Vec<Digest>> {
        let mut gone = Vec::new();
        if !condemned.is_empty() {
            // One that names nothing: a flag that cannot be lowered must not be raised.
            let trial = self.raise_flag(&[]).await?;
            self.lower_flag(&trial, false).await?;
        }
        for some in condemned.chunks(BATCH) {
            let flag = self.raise_flag(some).await?;
            let swept = self.sweep_under_flag(some).await;
            let lowered = self.lower_flag(&flag, swept.is_err()).await;
            gone.append(&mut swept?);
            lowered?;
        }
        Ok(gone)
    }

    /// Raises a flag that names `condemned`.
    async fn raise_flag(&mut self, condemned: &[Condemned]) -> Result<Flag> {
        self.deadline().await?;
        let flag = Flag {
            run: self.id.id,
            number: self.sweeps,
        };
        self.sweeps += 1;
        let digests: Vec<Digest> = condemned.iter().map(|condemned| condemned.digest).collect();
        self.marks.raise_flag(&flag, &digests).await?;
        Ok(flag)
    }

    /// Keeps the lease while the caller marks. To be called at least every half minute; marking may go on at once.
    ///
    /// # Errors
    ///
    /// As [`judge`](Self::judge).
    pub async fn keep(&mut self) -> Result<()> {
        self.deadline().await.map(drop)
    }

    /// Lowers the flag, when nothing can take effect any more of a sweep that failed.
    async fn lower_flag(&mut self, flag: &Flag, has_failed: bool) -> Result<()> {
        if has_failed {
            self.hold_until(self.decided()).await?;
        }
        let until = self.deadline().await?;
        self.marks.lower_flag(flag, until).await
    }

    async fn sweep_under_flag(&mut self, condemned: &[Condemned]) -> Result<Vec<Digest>> {
        let pins = self.marks.pins().await?;
        let (pinned, free): (Vec<&Condemned>, Vec<&Condemned>) = condemned.iter().partition(|condemned| {
            let pinned = pins.get(&condemned.digest).copied();
            is_pinned(pinned, self.began, self.marks.timing())
        });
        let mut gone = self.remove_all(&free).await?;
        let mut spared: Vec<Digest> = pinned.iter().map(|condemned| condemned.digest).collect();
        spared.extend(&gone);
        self.spare(&spared).await?;
        gone.sort_unstable();
        Ok(gone)
    }

    /// Removes all of `condemned`, and answers what is certainly gone. Nothing is on its way any more when this returns `Ok`.
    async fn remove_all(&mut self, condemned: &[&Condemned]) -> Result<Vec<Digest>> {
        let (mut gone, mut open) = (Vec::new(), Vec::new());
        // Where no other process can undo a removal, it carries no time, and many share their syncs.
        let is_alone = !self.storage.is_shared();
        for some in condemned.chunks(if is_alone { BATCH } else { PARALLEL }) {
            let until = self.deadline().await?;
            // In tasks of their own: when the run is dropped, no other one begins in this process before they have ended.
            let spawned = |some: Vec<Condemned>| {
                let (storage, id) = (Arc::clone(&self.storage), Arc::clone(&self.id));
                let count = some.len();
                let removal = tokio::spawn(async move {
                    match is_alone {
                        true => remove_together(storage, some, id).await,
                        false => remove(storage, some, until, id).await,
                    }
                });
                removal.map(move |removal| vec![removal.unwrap_or(Removal::Unknown); count])
            };
            let each = some.iter().map(|condemned| (*condemned).clone());
            let removals: Vec<_> = match is_alone {
                true => vec![spawned(each.collect())],
                false => each.map(|condemned| spawned(vec![condemned])).collect(),
            };
            let outcomes = join_all(removals).await.into_iter().flatten();
            for (condemned, removal) in some.iter().zip(outcomes) {
                match removal.next() {
                    AfterRemoval::Spare => gone.push(condemned.digest),
                    AfterRemoval::WaitOut => open.push(*condemned),
                    AfterRemoval::Leave => {}
                }
            }
        }
        if !open.is_empty() {
            self.hold_until(self.decided()).await?;
        }
        for condemned in open {
            if self.look(condemned).await?.next() == AfterRemoval::Spare {
                gone.push(condemned.digest);
            }
        }
        Ok(gone)
    }

    /// Ends the run, so that the next one need not find out that it is over.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub async fn end(self) -> Result<()> {
        let (began, timing) = (self.began, self.marks.timing());
        let is_expired = move |pinned| is_expired(pinned, began, timing);
        self.marks.remove_pins(&is_expired).await?;
        self.marks.give_lease_back(&self.id).await
    }

    /// Takes the dooms of `digests` back.
    async fn spare(&mut self, digests: &[Digest]) -> Result<()> {
        for some in digests.chunks(PARALLEL) {
            let until = self.deadline().await?;
            in_parallel(some.iter().map(|digest| self.marks.spare(digest, until))).await?;
        }
        Ok(())
    }

    /// Looks what became of a removal that cannot take effect any more.
    async fn look(&self, condemned: &Condemned) -> Result<Removal> {
        let Some(bytes) = condemned.keys.last() else {
            return Ok(Removal::Done);
        };
        match self.storage.stat(bytes).await {
            Ok(_) => Ok(Removal::Refused),
            Err(error) if error.is_not_found() => Ok(Removal::Done),
            Err(error) => Err(error.into()),
        }
    }

    /// When all removals that were sent until now have taken effect, or will not.
    fn decided(&self) -> Instant {
        let timing = self.marks.timing();
        self.held.at + timing.check + timing.effect
    }

    /// Waits, and keeps the lease meanwhile.
    async fn hold_until(&mut self, time: Instant) -> Result<()> {
        loop {
            self.deadline().await?;
            let renewal = self.held.at + self.marks.timing().check / 2;
            if renewal >= time {
                sleep_until(time).await;
                return Ok(());
            }
            sleep_until(renewal).await;
        }
    }

    /// Until when, by the clock of the store, the store may take up a removal that is sent now.
    async fn deadline(&mut self) -> Result<SystemTime> {
        let check = self.marks.timing().check;
        if self.held.at.elapsed() >= check / 2 {
            let asked = Instant::now();
            let had = self.marks.renew_lease(&self.id).await?;
            // A renewal that took longer may have been written over the lease of another run, which does not wait any more.
            let Some(had) = had.filter(|_| asked.elapsed() < check) else {
                return Err(Error::Busy {
                    reason: "another run of the collector has taken over, or the store is too slow",
                });
            };
            self.held = Held {
                at: Instant::now(),
                until: had + check,
            };
        }
        Ok(self.held.until)
    }
}

/// Removes all that goes with each digest, in order. The run may be under way as long as its `id` is held.
async fn remove(
    storage: Arc<dyn Storage>,
    condemned: Vec<Condemned>,
    until: SystemTime,
    id: RunId,
) -> Removal {
    for Condemned { digest, keys } in condemned {
        for key in keys {
            match storage.remove_until(&with_directories(key), until).await {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Precondition => return Removal::Refused,
                Err(error) => {
                    log_unknown(&id, &digest, &error);
                    return Removal::Unknown;
                }
            }
        }
    }
    Removal::Done
}

/// Removes all that goes with some digests: all pointers, and then all bytes, each durable before the next.
async fn remove_together(storage: Arc<dyn Storage>, condemned: Vec<Condemned>, id: RunId) -> Removal {
    let Some(first) = condemned.first().map(|condemned| condemned.digest) else {
        return Removal::Done;
    };
    let (mut pointers, mut bytes) = (Vec::new(), Vec::new());
    for Condemned { mut keys, .. } in condemned {
        bytes.extend(keys.pop().map(with_directories));
        pointers.extend(keys.into_iter().map(with_directories));
    }
    // Removals that follow each other in one directory share a sync. Digests that are neighbours are in many repositories.
    pointers.sort_unstable_by(|one, other| one.key.as_str().cmp(other.key.as_str()));
    for removals in [pointers, bytes] {
        if let Err(error) = storage.remove_many(&removals).await {
            log_unknown(&id, &first, &error);
            return Removal::Unknown;
        }
    }
    Removal::Done
}

/// The removal of the object at `key`, and of the directory that is its own.
fn with_directories(key: Key) -> wharf_storage::Removal {
    let keep = key.parent().and_then(|directory| directory.parent());
    wharf_storage::Removal {
        keep: keep.unwrap_or_else(|| key.clone()),
        key,
    }
}

fn log_unknown(id: &RunId, digest: &Digest, error: &wharf_storage::Error) {
    tracing::warn!(collector.run = %id, %digest, %error, "it is not known whether garbage was removed; the collector waits, and looks");
}
