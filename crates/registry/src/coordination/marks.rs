//! The marks with which requests and the collector agree on digests: the trait [`Marks`].

use std::{
    collections::HashMap,
    fmt::{self, Debug},
    sync::Arc,
    time::SystemTime,
};

use async_trait::async_trait;
use uuid::Uuid;
use wharf_oci::Digest;

use super::{decisions::Timing, moment::Moment};
use crate::error::Result;

/// Names one run of the collector. As long as it is held, the run may be under way.
pub(crate) type RunId = Arc<RunName>;

/// The name of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RunName {
    pub(crate) id: Uuid,
    /// Whether it collects; otherwise it is only there so that no other run is.
    pub(crate) collects: bool,
}

impl RunName {
    /// A name that no run has had.
    pub(crate) fn new(collects: bool) -> RunId {
        let id = Uuid::new_v4();
        Arc::new(Self { id, collects })
    }

    /// Whether a text is the name of a run that does not collect.
    pub(crate) fn is_of_idle_run(text: &[u8]) -> bool {
        text.starts_with(IDLE.as_bytes())
    }
}

/// What the names of runs begin with that do not collect.
const IDLE: &str = "idle ";

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.collects { "" } else { IDLE };
        write!(f, "{kind}{}", self.id)
    }
}

/// Digests that may be doomed.
#[derive(Debug)]
pub(crate) struct Suspects {
    /// Those of the digests that were asked for. The others are not doomed.
    pub(crate) digests: Vec<Digest>,
    /// At what time they were not, at least.
    pub(crate) since: Moment,
}

/// The flag of one sweep. Its name is never used again: neither a late request to raise it, nor one to lower it, touches
/// that of another sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Flag {
    /// The run.
    pub(crate) run: Uuid,
    /// The number of the sweep in it.
    pub(crate) number: u64,
}

/// The marks of a store. A process that has the store for itself keeps them in memory; processes that share it keep them
/// in the store. All times are those of one clock.
///
/// What a method has written is seen by every call of another method, in any process, that begins after it has returned.
#[async_trait]
pub(crate) trait Marks: Debug + Send + Sync + 'static {
    /// The times that hold for this store.
    fn timing(&self) -> &'static Timing;

    /// How many digests may be doomed at a time: a request, or a run, keeps them all in memory.
    fn most_dooms(&self) -> usize;

    /// Remembers that clients were told that they may rely on `digests`, where the times of this store give them no time to
    /// do so. Does not wait.
    fn note(&self, digests: &[Digest]) {
        let _ = digests;
    }

    /// Whether a client may have been told lately that it may rely on `digest`.
    fn is_recent(&self, digest: &Digest) -> bool {
        let _ = digest;
        false
    }

    /// Whether a digest may be doomed. Where none is, a request need not ask.
    fn may_be_any(&self) -> bool;

    /// Which of `digests` may be doomed: a request asks for these one by one.
    async fn suspects(&self, digests: &[Digest]) -> Result<Suspects>;

    /// Whether `digest` is doomed.
    async fn is_doomed(&self, digest: &Digest) -> Result<bool>;

    /// Pins `digest`.
    async fn pin(&self, digest: &Digest) -> Result<()>;

    /// Whether a flag is raised that names `digest`.
    async fn is_swept(&self, digest: &Digest) -> Result<bool>;

    /// Dooms `digest`.
    async fn doom(&self, digest: &Digest) -> Result<()>;

    /// The digests that are doomed, and since when.
    async fn doomed(&self) -> Result<HashMap<Digest, SystemTime>>;

    /// Takes the doom of `digest` back, unless that is `until` or later. An error leaves it open whether it did.
    async fn spare(&self, digest: &Digest, until: SystemTime) -> Result<()>;

    /// The digests that are pinned, and when last.
    async fn pins(&self) -> Result<HashMap<Digest, SystemTime>>;

    /// Removes the pins that were last written at a time for which `is_expired` holds.
    async fn remove_pins(&self, is_expired: &(dyn Fn(SystemTime) -> bool + Sync)) -> Result<()>;

    /// Raises `flag`, which no sweep has had before: it names `digests`.
    async fn raise_flag(&self, flag: &Flag, digests: &[Digest]) -> Result<()>;

    /// The flags that are raised.
    async fn flags(&self) -> Result<Vec<Flag>>;

    /// Lowers `flag`, unless that is `until` or later. An error leaves it open whether it did.
    async fn lower_flag(&self, flag: &Flag, until: SystemTime) -> Result<()>;

    /// Takes the lease for `run`, and answers when; `None` when another run has it that may be under way. Of two runs that do not
    /// collect the later one has it at once: the earlier one may have died, and has removed nothing.
    async fn take_lease(&self, run: &RunId) -> Result<Option<SystemTime>>;

    /// Renews the lease of `run`, and answers a time at which `run` had it, not before this call; `None` when it is lost.
    async fn renew_lease(&self, run: &RunId) -> Result<Option<SystemTime>>;

    /// Gives the lease back.
    async fn give_lease_back(&self, run: &RunId) -> Result<()>;
}
