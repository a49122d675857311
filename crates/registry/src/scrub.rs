//! The scrub: a worker that slowly reads all blobs again and again, and notices when stored bytes are not what they were.
//!
//! It reads one blob after the other in the order of their digests, some bytes at a time, and rests in between, so that it
//! reads no more than its rate. How far it is, it notes in the store, and goes on there after a restart. A blob whose bytes
//! are wrong is read a second time; then it counts as absent, so that the next push of it heals it (invariant I4), and one
//! line of the log names the images that suffer.
//!
//! On a bucket with several replicas the one that holds the [`Lease`] reads. The others look every few minutes at what it
//! has found, and read these blobs themselves: only then they count as absent there, too. Nothing goes wrong when two
//! replicas read at once, which is why a lease is enough. A check that is asked for goes before the scrub
//! ([`CheckTurn`](crate::check::CheckTurn)).

mod record;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep_until};
use uuid::Uuid;
use wharf_oci::Digest;
use wharf_storage::{KeyError, layout};
use wharf_workers::{Unit, Work, Worker};

use crate::{
    check::{
        Blobs, Position, Verdict, judge_read, suffering,
        turn::{SCRUB, TERM},
    },
    error::Result,
    hashing::{HashedBytes, Hashing, Pace},
    lease::Lease,
    registry::Registry,
};

pub use self::record::{ScrubNumbers, ScrubOptions, ScrubRecord, ScrubRound, StandBack};

/// From the start to the first read: the first requests come first.
const FIRST: Duration = Duration::from_secs(15 * 60);

/// How often a replica that does not hold the lease looks what was found, and whether the lease is free.
const STANDBY: Duration = Duration::from_secs(10 * 60);

/// How long the scrub stands back before it asks again whether a check runs.
const STAND_BACK: Duration = Duration::from_secs(5);

/// How often it is noted how far the scrub is.
const NOTE: Duration = Duration::from_secs(60);

/// How often damaged blobs are looked at, whether they were pushed again.
const LOOK: Duration = Duration::from_secs(60 * 60);

/// Least time between two searches for the images that suffer, each of which reads all manifests.
const SEARCH: Duration = Duration::from_secs(10 * 60);

/// The most bytes that are read at a time.
const STEP: u64 = 4 << 20;

/// The least rest after a blob, however small.
const REST: Duration = Duration::from_millis(10);

/// The worker.
#[derive(Debug)]
pub struct Scrub {
    registry: Arc<Registry>,
    options: ScrubOptions,
    pace: Pace,
    lease: Lease,
    record: Arc<ScrubRecord>,
    /// When there may be something to do.
    next: Instant,
    /// How far the round is; `None` until it was read, and while another replica works.
    position: Option<Position>,
    /// The walk of this round.
    blobs: Option<Blobs>,
    /// Blobs that were found damaged some time ago, and are to be read again.
    suspects: VecDeque<Digest>,
    current: Option<Current>,
    /// Damaged blobs of which the images that suffer were not looked for.
    unnamed: Vec<Digest>,
    searched: Option<Instant>,
    noted: Instant,
    looked: Instant,
}

/// The blob that is being read.
#[derive(Debug)]
struct Current {
    digest: Digest,
    /// Whether it is the next one of the round.
    is_of_round: bool,
    /// `None` until it is opened, and after an error.
    hashing: Option<Hashing>,
    /// What the first read found, if that was damage.
    first: Option<HashedBytes>,
}

impl Scrub {
    /// The scrub of the store of `registry`, and its record.
    ///
    /// # Errors
    ///
    /// Never, as long as its name can be part of a key.
    pub fn new(registry: Arc<Registry>, options: ScrubOptions) -> Result<(Self, Arc<ScrubRecord>), KeyError> {
        let record = Arc::new(ScrubRecord::new(options));
        let now = Instant::now();
        let scrub = Self {
            lease: Lease::new(Arc::clone(&registry.storage), SCRUB, TERM)?,
            registry,
            options,
            pace: Pace::new(Some(options.rate)),
            record: Arc::clone(&record),
            next: now + FIRST.min(options.interval),
            position: None,
            blobs: None,
            suspects: VecDeque::new(),
            current: None,
            unnamed: Vec::new(),
            searched: None,
            noted: now,
            looked: now,
        };
        Ok((scrub, record))
    }

    /// This scrub, with a lease in the name by which the process is known among the replicas.
    #[must_use]
    pub fn held_by(mut self, process: Uuid) -> Self {
        self.lease = self.lease.held_by(process);
        self
    }

    /// Chooses what to read next; `None` when there is nothing to do for some time.
    async fn choose(&mut self) -> Result<Option<Current>> {
        if let Some(digest) = self.suspects.pop_front() {
            return Ok(Some(Current::new(digest, false)));
        }
        if !self.lease.hold().await? {
            self.stand_by().await?;
            // What was found elsewhere is read at once.
            return Ok(self
                .suspects
                .pop_front()
                .map(|digest| Current::new(digest, false)));
        }
        let Some(position) = &mut self.position else {
            let position = Position::load(&*self.registry.storage, &layout::scrub()).await?;
            self.record.follow(&position);
            let is_new = |digest: &&Digest| !self.record.contains(digest);
            self.suspects.extend(position.damaged.iter().filter(is_new));
            self.blobs = None;
            self.position = Some(position);
            return Ok(self
                .suspects
                .pop_front()
                .map(|digest| Current::new(digest, false)));
        };
        if !position.is_under_way() {
            let age = position.age();
            if age < self.options.interval {
                self.next = Instant::now() + (self.options.interval - age).min(LOOK);
                return Ok(None);
            }
            position.begin();
            self.record.follow(position);
            self.blobs = None;
        }
        let last = position.last;
        let blobs = self.blobs.get_or_insert_with(|| Blobs::after(last));
        let next = blobs.next(&*self.registry.storage).await?;
        for problem in blobs.take_problems() {
            tracing::debug!(%problem, "the scrub passed something over; `wharf fsck` says what to do");
        }
        match next {
            Some(digest) => Ok(Some(Current::new(digest, true))),
            None => {
                self.end_round().await;
                Ok(None)
            }
        }
    }

    async fn end_round(&mut self) {
        self.blobs = None;
        if let Some(position) = &mut self.position {
            position.end();
            self.record.follow(position);
            tracing::info!(
                blobs = position.blobs,
                bytes = position.bytes,
                damaged = position.damaged.len(),
                "the scrub has read all blobs"
            );
        }
        self.note().await;
    }

    /// Another replica works: takes over what that has found.
    async fn stand_by(&mut self) -> Result<()> {
        (self.position, self.blobs) = (None, None);
        self.next = Instant::now() + STANDBY;
        let position = Position::load(&*self.registry.storage, &layout::scrub()).await?;
        self.record.follow(&position);
        for healed in self.record.keep(&position.damaged) {
            self.registry.damaged.healed(&healed);
        }
        let is_new = |digest: &&Digest| !self.record.contains(digest);
        self.suspects = position.damaged.iter().filter(is_new).copied().collect();
        Ok(())
    }

    /// Notes how far the scrub is, if it is this replica that works.
    async fn note(&mut self) {
        self.noted = Instant::now();
        let Some(position) = &self.position else { return };
        if let Err(error) = position.save(&*self.registry.storage, &layout::scrub()).await {
            tracing::warn!(%error, "cannot note how far the scrub is; after a restart it reads some blobs again");
        }
    }

    /// Reads some bytes of the current blob.
    async fn read(&mut self, mut current: Current) -> Result<Duration> {
        let storage = Arc::clone(&self.registry.storage);
        let digest = current.digest;
        let mut bytes = 0;
        let read = async {
            let mut hashing = match current.hashing.take() {
                Some(hashing) => hashing,
                None => Hashing::begin(&*storage, &digest).await?,
            };
            bytes = STEP.min(self.options.rate.get()).min(hashing.remaining());
            hashing.step(bytes).await?;
            Ok(hashing)
        };
        let read = read.await;
        let done = match read {
            Ok(hashing) if !hashing.is_done() => {
                current.hashing = Some(hashing);
                self.current = Some(current);
                return Ok(self.pace.time_of(bytes));
            }
            Ok(hashing) => Ok(hashing.finish()),
            Err(error) => Err(error),
        };
        match judge_read(&digest, done) {
            // It is read from its beginning again.
            Err(error) => {
                self.current = Some(current);
                return Err(error.into());
            }
            Ok(None) => self.current = Some(Current::new(digest, current.is_of_round)),
            Ok(Some(Verdict::Damaged(hashed))) if current.first.is_none() => {
                current.first = Some(hashed);
                self.current = Some(current);
            }
            Ok(Some(verdict)) => self.settle(current, verdict).await,
        }
        Ok(self.pace.time_of(bytes).max(REST))
    }

    /// Draws the consequences of what was found of a blob.
    async fn settle(&mut self, current: Current, verdict: Verdict) {
        let Current {
            digest,
            is_of_round,
            first,
            ..
        } = current;
        let size = match &verdict {
            Verdict::Sound { size, .. } => *size,
            Verdict::Damaged(hashed) => hashed.size,
            Verdict::Gone | Verdict::Unreadable(_) => 0,
        };
        self.record.read(size);
        if let Some(position) = &mut self.position {
            if is_of_round {
                position.last = Some(digest);
                position.blobs += 1;
                position.bytes += size;
            }
            match verdict {
                Verdict::Unreadable(_) => {}
                _ => position.note(&digest, matches!(verdict, Verdict::Damaged(_))),
            }
            self.record.follow(position);
        }
        match verdict {
            Verdict::Sound { .. } => {
                if self.record.sound(&digest) {
                    self.registry.damaged.healed(&digest);
                }
                if first.is_some() {
                    tracing::warn!(blob.digest = %digest, "a blob had other bytes when it was read the first time than the second time; if it was not pushed meanwhile, check the memory and the disk of this machine");
                }
            }
            Verdict::Gone => {
                self.record.sound(&digest);
            }
            Verdict::Unreadable(error) => {
                tracing::error!(blob.digest = %digest, %error, "the scrub cannot read a blob; if clients cannot pull it either, push it again, and look at the disk");
            }
            Verdict::Damaged(hashed) => {
                self.registry
                    .damaged
                    .insert(&digest, hashed.version.clone(), false);
                if self.record.damaged(&digest, &hashed) {
                    self.unnamed.push(digest);
                    self.note().await;
                }
            }
        }
    }

    /// Looks for the images that suffer, and says so, once for each damaged blob.
    async fn name(&mut self) -> Result<()> {
        let unnamed = self.unnamed.clone();
        let found = suffering(&self.registry.storage, None, unnamed.clone()).await?;
        for digest in unnamed {
            let images = found.get(&digest).cloned().unwrap_or_default();
            let named = self.record.name(&digest, &images);
            if images.is_empty() {
                tracing::error!(blob.digest = %digest, "the stored bytes of a blob are damaged; no image needs it, and it counts as absent until it is pushed again; look at the disk");
            } else {
                tracing::error!(blob.digest = %digest, images = named, "the stored bytes of a blob are damaged; it counts as absent until one of these images is pushed again; look at the disk");
            }
        }
        self.unnamed.clear();
        self.searched = Some(Instant::now());
        Ok(())
    }

    /// Puts those damaged blobs among the suspects that were written or removed since.
    async fn look(&mut self) -> Result<()> {
        self.looked = Instant::now();
        for (digest, version) in self.registry.damaged.known(&self.record.digests()) {
            match self.registry.storage.stat(&layout::blob(&digest)).await {
                Ok(stat) if stat.version.is_some() && stat.version == version => {}
                Ok(_) => self.suspects.push_back(digest),
                Err(error) if error.is_not_found() => self.suspects.push_back(digest),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn unit(&mut self) -> Result<Work> {
        let begun = Instant::now();
        let current = self.current.take();
        let is_of_round = current.as_ref().is_some_and(|current| current.is_of_round);
        // Reading a large blob takes longer than the lease holds.
        if is_of_round && !self.lease.hold().await? {
            self.stand_by().await?;
            return Ok(Work::Busy);
        }
        let rest = match current {
            Some(current) => self.read(current).await?,
            None => {
                let may_search = self.searched.is_none_or(|searched| searched.elapsed() >= SEARCH);
                if !self.unnamed.is_empty() && may_search {
                    self.name().await?;
                    return Ok(Work::Busy);
                }
                if self.looked.elapsed() >= LOOK {
                    self.look().await?;
                }
                match self.choose().await? {
                    Some(current) => self.read(current).await?,
                    None if self.next > Instant::now() => {
                        if let (Some(searched), false) = (self.searched, self.unnamed.is_empty()) {
                            self.next = self.next.min(searched + SEARCH);
                        }
                        return Ok(Work::Idle);
                    }
                    None => return Ok(Work::Busy),
                }
            }
        };
        if self.noted.elapsed() >= NOTE {
            self.note().await;
        }
        Ok(Work::Throttled(rest.saturating_sub(begun.elapsed())))
    }
}

impl Current {
    fn new(digest: Digest, is_of_round: bool) -> Self {
        Self {
            digest,
            is_of_round,
            hashing: None,
            first: None,
        }
    }
}

impl Worker for Scrub {
    fn name(&self) -> String {
        "scrub".to_owned()
    }

    async fn work(&mut self) -> Unit {
        if Instant::now() < self.next {
            return Ok(Work::Idle);
        }
        if self.record.stands_back() {
            self.next = Instant::now() + STAND_BACK;
            return Ok(Work::Idle);
        }
        Ok(self.unit().await?)
    }

    async fn wait(&mut self) {
        sleep_until(self.next).await;
    }

    async fn drain(&mut self) {
        self.note().await;
        if let Err(error) = self.lease.give_back().await {
            tracing::debug!(%error, "cannot give the lease of the scrub back; it ends by itself");
        }
    }

    fn status(&self) -> String {
        match &self.position {
            Some(position) if position.is_under_way() => format!(
                "blobs of this round so far: {}, bytes: {}; damaged: {}",
                position.blobs,
                position.bytes,
                position.damaged.len()
            ),
            Some(position) => format!(
                "blobs of the last round: {}, bytes: {}; damaged: {}",
                position.blobs,
                position.bytes,
                position.damaged.len()
            ),
            None => String::new(),
        }
    }
}
