//! What a request and the collector do next, given what they have read: pure functions, which the models explore as well.

use std::time::{Duration, SystemTime};

/// The times on which the protocol rests. Those of the marks are by the clock of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timing {
    /// How long after it begins to read the marks a request may begin to publish what relies on them.
    pub(crate) reliance: Duration,
    /// For how long of that a listing of all dooms is used.
    pub(crate) snapshot: Duration,
    /// How long publishing may take.
    pub(crate) publication: Duration,
    /// How long after it was sent, or, where the store refuses it from a time on, after that time, a request may take
    /// effect. The clocks of the servers of one store may differ within it. It is the only assumption about the store's speed.
    pub(crate) effect: Duration,
    /// How long before the mark begins that confirms it a digest must have been doomed.
    pub(crate) confirmation: Duration,
    /// How long before a mark begins a pin may have been written and still count.
    pub(crate) pins: Duration,
    /// How long the collector may send removals after it has seen that it holds the lease.
    pub(crate) check: Duration,
    /// After how long without a renewal a process that watches the lease takes it over.
    pub(crate) stale: Duration,
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

impl Timing {
    /// The times of a store that several processes share.
    pub(crate) const SHARED: Self = Self {
        reliance: minutes(6),
        snapshot: minutes(4),
        publication: minutes(10),
        effect: minutes(5),
        confirmation: minutes(30),
        pins: minutes(30),
        check: minutes(1),
        stale: minutes(10),
    };

    /// Times for tests: those of a store that several processes share, on one machine, that is known to be quick.
    ///
    /// The protocol rests on the order of these times ([`is_in_order`](Self::is_in_order)), which is the same here, and on one
    /// assumption about the store: that a request takes effect within [`effect`](Self::effect) after its time. A store that a test
    /// starts for itself on the same machine has no queue and no second copy: a request that it has taken up has taken effect before
    /// it is answered, in milliseconds, so three seconds are a thousand times what it takes. The times of marks are told in whole
    /// seconds; the confirmation has two more than it needs. All other times are limits that requests and runs
    /// keep by themselves, and what is too slow for one fails.
    pub(crate) const QUICK: Self = Self {
        reliance: Duration::from_secs(3),
        snapshot: Duration::from_millis(1500),
        publication: Duration::from_secs(5),
        effect: Duration::from_secs(3),
        confirmation: Duration::from_secs(13),
        pins: Duration::from_secs(13),
        check: Duration::from_secs(5),
        stale: Duration::from_secs(15),
    };

    /// The times of a store that this process has for itself. What a request holds while it relies on a digest is a
    /// lock: the collector waits for that, and not for a time.
    pub(crate) const ALONE: Self = Self {
        effect: Duration::ZERO,
        confirmation: Duration::ZERO,
        check: minutes(1),
        ..Self::SHARED
    };

    /// For how long a process writes its pins under the same names: a pin that counts no more has not been written for longer.
    pub(crate) fn slot(&self) -> Duration {
        self.pins / 3
    }

    /// Whether what relied on a digest before its doom is visible to the mark that confirms it, and to the first mark for which
    /// a pin is too old; and whether a listing of dooms is used no longer than a reading of each.
    const fn is_in_order(&self) -> bool {
        let limit = self.reliance.as_millis() + self.publication.as_millis() + self.effect.as_millis();
        limit < self.confirmation.as_millis()
            && limit < self.pins.as_millis()
            && self.snapshot.as_millis() < self.reliance.as_millis()
    }

    /// How long after it took the lease a run of the collector may begin to remove, marks included: no removal of the run
    /// that had the lease before can take effect any more, not even one after a renewal that was under way meanwhile.
    pub(crate) fn takeover(&self) -> Duration {
        match self.effect {
            Duration::ZERO => Duration::ZERO,
            effect => 2 * self.check + effect,
        }
    }
}

const _: () = assert!(Timing::SHARED.is_in_order() && Timing::QUICK.is_in_order());

/// Where a request stands that is to rely on a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Relying {
    /// It reads whether the digest is doomed.
    ReadDoom,
    /// It writes a pin.
    Pin,
    /// It reads whether the collector sweeps.
    ReadSweep,
    /// It may rely on the digest, if that is stored.
    GoOn,
    /// The digest counts as absent; bytes of it may be stored when the sweep is over.
    Swept,
}

impl Relying {
    /// What comes after this step, which found `answer`. The pin has none.
    pub(crate) fn next(self, answer: bool) -> Self {
        match (self, answer) {
            (Self::ReadDoom | Self::ReadSweep, false) => Self::GoOn,
            (Self::ReadDoom, true) => Self::Pin,
            (Self::Pin, _) => Self::ReadSweep,
            (Self::ReadSweep, true) => Self::Swept,
            (Self::GoOn | Self::Swept, _) => self,
        }
    }
}

/// What a run of the collector does about a digest that is stored or doomed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    /// Nothing: it is needed.
    Keep,
    /// It is needed: its doom is taken back.
    Spare,
    /// It is not needed: it is doomed.
    Doom,
    /// It is doomed, and the mark of this run began too early to confirm that.
    Wait,
    /// It is not needed, and that is confirmed: it may be swept, unless it is pinned.
    Sweep,
}

/// The fate of a digest that was doomed at `doomed`, if at all, by the mark that began at `began` and found it needed or not.
pub(crate) fn fate(is_needed: bool, doomed: Option<SystemTime>, began: SystemTime, timing: &Timing) -> Fate {
    match (is_needed, doomed) {
        (true, None) => Fate::Keep,
        (true, Some(_)) => Fate::Spare,
        (false, None) => Fate::Doom,
        (false, Some(doomed)) if began >= doomed + timing.confirmation => Fate::Sweep,
        (false, Some(_)) => Fate::Wait,
    }
}

/// Whether a digest whose youngest pin was written at `pinned` is spared by a sweep whose mark began at `began`.
pub(crate) fn is_pinned(pinned: Option<SystemTime>, began: SystemTime, timing: &Timing) -> bool {
    pinned.is_some_and(|pinned| pinned + timing.pins >= began)
}

/// Whether a pin that was written at `pinned` may be removed by a run whose mark began at `began`: it counts for no mark that
/// begins from now on, and its process has long ceased to write it.
pub(crate) fn is_expired(pinned: SystemTime, began: SystemTime, timing: &Timing) -> bool {
    pinned + 2 * timing.pins < began
}

/// What is known of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Removal {
    /// The object is gone.
    Done,
    /// It may take effect yet.
    Unknown,
    /// It did not take effect, and will not.
    Refused,
}

/// What a sweep does after a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum AfterRemoval {
    /// It removes the doom.
    Spare,
    /// It waits until the removal cannot take effect any more, and looks.
    WaitOut,
    /// It leaves the digest doomed, for the next run.
    Leave,
}

impl Removal {
    /// What a sweep does next.
    pub(crate) fn next(self) -> AfterRemoval {
        match self {
            Self::Done => AfterRemoval::Spare,
            Self::Unknown => AfterRemoval::WaitOut,
            Self::Refused => AfterRemoval::Leave,
        }
    }
}
