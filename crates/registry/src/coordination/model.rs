//! A model of the whole protocol about one digest, explored exhaustively: two requests that push a manifest which needs the
//! digest, one that uploads the digest first, and a collector, which may crash and is then succeeded by another replica.
//!
//! Time passes in ticks. A stamp is the age of a mark in ticks; while a run of the collector is under way, its age when the
//! mark of that run began, or [`SINCE`] when it is younger. What the code decides by stamps, the model decides by the
//! same functions. Requests of the collector may be lost on the way when it crashes, and arrive later.
//!
//! The grace period is not in the model: it is a comfort, and the protocol must be safe without it.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use super::{
    decisions::{AfterRemoval, Fate, Relying, Removal, Timing, fate, is_expired, is_pinned},
    explorer::{Explored, Model},
};

/// A tick of the model's clock.
const TICK: Duration = Duration::from_secs(1);

/// The times of the model: as short as the protocol allows.
const TIMING: Timing = Timing {
    reliance: Duration::ZERO,
    snapshot: Duration::ZERO,
    publication: Duration::ZERO,
    effect: TICK,
    confirmation: Duration::from_secs(2),
    pins: Duration::from_secs(2),
    check: TICK,
    // Takeovers are explored at any time.
    stale: Duration::ZERO,
};

/// The oldest stamp that any decision tells from older ones.
const OLDEST: i8 = 5;

/// The stamp of what was written after the mark began.
const SINCE: i8 = -1;

/// What is left out of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    Pins,
    SweepFlag,
    Confirmation,
    /// A confirmation one tick too short.
    LastTick,
    /// Removals that the store refuses when they are late.
    Fence,
    /// The wait of a run that took the lease over.
    Takeover,
    /// The wait for a removal of which nothing is known.
    WaitingOut,
    /// Names for pins that no other process, and no later pin, uses.
    NamesOfPins,
    /// The limit of time between reading the marks and publishing.
    Deadline,
    /// On a store that belongs to one process: the wait for the locks of requests.
    Locks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    is_stored: bool,
    /// Whether a manifest that needs the digest is visible.
    is_needed: bool,
    doomed: Option<i8>,
    pinned: Option<i8>,
    /// Whether the removal of the pin that is there is on its way.
    unpinning: bool,
    is_sweeping: bool,
    /// The removal that the collector sent and of which it has no answer yet, with the ticks in which it may take effect.
    removal: Option<(Mark, u8)>,
    /// That of a collector that crashed.
    orphan: Option<(Mark, u8)>,
    /// A write that a collector sent before it crashed.
    late: Option<Mark>,
    requests: [Request; 3],
    collector: Collector,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Mark {
    Doom,
    Sweep,
    /// No mark: the bytes themselves.
    Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Request {
    at: At,
    /// Ticks since it began to read the marks; [`LOCKED`] where a lock stands in for the limit.
    age: u8,
    /// Whether the collector waits for its lock.
    is_waited_for: bool,
}

const LOCKED: u8 = u8::MAX;

impl Request {
    /// Whether it has read the doom, and not ended.
    fn has_begun(self) -> bool {
        !matches!(
            self.at,
            At::Ended | At::Upload(Relying::ReadDoom) | At::Push(Relying::ReadDoom)
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum At {
    /// It is to upload the digest.
    Upload(Relying),
    /// It is to push a manifest.
    Push(Relying),
    /// It has found the bytes.
    Publish,
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Collector {
    at: Run,
    /// Whether the mark of this run found the digest needed.
    is_needed: bool,
    /// Ticks until the run may remove.
    wait: u8,
    has_crashed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Run {
    Between,
    /// It has marked, and waits until it may remove.
    Judge,
    RaiseFlag,
    ReadPins,
    RemoveBytes,
    AfterBytes,
    RemoveDoom,
    AfterDoom,
    LowerFlag,
    End,
}

/// The protocol, or what is left of it.
struct Protocol {
    without: Without,
    timing: Timing,
    /// Whether the store belongs to one process, which ends with all of its requests when it crashes.
    is_alone: bool,
}

impl Protocol {
    fn new(without: Without) -> Self {
        let timing = match without {
            Without::Confirmation => Timing {
                confirmation: Duration::ZERO,
                ..TIMING
            },
            Without::LastTick => Timing {
                confirmation: TIMING.confirmation - TICK,
                ..TIMING
            },
            _ => TIMING,
        };
        Self {
            without,
            timing,
            is_alone: false,
        }
    }

    /// The protocol in one process: a lock stands in for the wait between doom and mark.
    fn alone(without: Without) -> Self {
        Self {
            without,
            timing: Timing {
                reliance: TICK,
                effect: Duration::ZERO,
                confirmation: Duration::ZERO,
                ..TIMING
            },
            is_alone: true,
        }
    }

    fn lacks(&self, without: Without) -> bool {
        self.without == without
    }

    /// Ticks from reading the marks to being visible.
    fn limit(&self) -> u8 {
        ticks(self.timing.reliance + self.timing.publication + self.timing.effect)
    }

    fn steps_of_request(&self, state: &State, index: usize, step: &mut dyn FnMut(&'static str, State)) {
        let request = state.requests[index];
        let mut to = |label, at, change: &dyn Fn(&mut State)| {
            let mut next = *state;
            next.requests[index] = match at {
                At::Ended => ENDED,
                At::Push(Relying::ReadDoom) => Request { at, ..PUSH },
                at => Request { at, ..request },
            };
            change(&mut next);
            // Both pushes are alike.
            next.requests[..2].sort_unstable();
            step(label, next);
        };
        let (relying, make): (Relying, fn(Relying) -> At) = match request.at {
            At::Upload(relying) => (relying, At::Upload),
            At::Push(relying) => (relying, At::Push),
            At::Publish => {
                to("a manifest is visible", At::Ended, &|next| next.is_needed = true);
                return to("a push gives up", At::Ended, &|_| {});
            }
            At::Ended => return,
        };
        match relying {
            Relying::ReadDoom => {
                let at = make(relying.next(state.doomed.is_some()));
                let label = if state.doomed.is_some() {
                    "a request reads a doom"
                } else {
                    "a request reads no doom"
                };
                to(label, at, &|next| {
                    if self.is_alone && state.doomed.is_none() {
                        next.requests[index].age = LOCKED;
                    }
                });
            }
            Relying::Pin => to("a request pins", make(relying.next(false)), &|next| {
                if !self.lacks(Without::Pins) {
                    next.pinned = Some(if next.collector.at == Run::Between {
                        0
                    } else {
                        SINCE
                    });
                    next.unpinning &= self.lacks(Without::NamesOfPins);
                }
            }),
            Relying::ReadSweep => {
                let at = make(relying.next(state.is_sweeping && !self.lacks(Without::SweepFlag)));
                to("a request reads the flag", at, &|_| {});
            }
            Relying::GoOn if matches!(request.at, At::Upload(_)) => {
                to(
                    "an upload stores the bytes",
                    At::Push(Relying::ReadDoom),
                    &|next| next.is_stored = true,
                );
            }
            Relying::GoOn if state.is_stored => to("a push finds the bytes", At::Publish, &|_| {}),
            Relying::GoOn => to("a push finds nothing", At::Ended, &|_| {}),
            // An upload asks again until it loses its patience.
            Relying::Swept if matches!(request.at, At::Upload(_)) => {
                to("an upload asks again", UPLOAD.at, &|next| {
                    next.requests[index] = UPLOAD;
                });
            }
            Relying::Swept => to("a push is refused", At::Ended, &|_| {}),
        }
        if relying != Relying::ReadDoom {
            to("a request gives up", At::Ended, &|_| {});
        }
    }

    fn steps_of_collector(&self, state: &State, step: &mut dyn FnMut(&'static str, State)) {
        let mut to = |label, at, change: &dyn Fn(&mut State)| {
            let mut next = *state;
            next.collector.at = at;
            change(&mut next);
            step(label, next);
        };
        let send = |mark| {
            let ticks = ticks(self.timing.check + self.timing.effect);
            move |next: &mut State| next.removal = Some((mark, ticks))
        };
        let is_known = state.removal.is_none() || self.lacks(Without::WaitingOut);
        let (doomed, pinned) = (stamp(state.doomed), stamp(state.pinned));
        match state.collector.at {
            Run::Between => to("a mark begins", Run::Judge, &|next| {
                next.collector.is_needed = next.is_needed;
                next.collector.wait = match self.lacks(Without::Takeover) {
                    true => 0,
                    false => ticks(self.timing.takeover()),
                };
            }),
            Run::Judge if state.collector.wait > 0 => {}
            Run::Judge if !is_known => {}
            // Of a run that crashed: no removal of it is on its way any more.
            Run::Judge if state.is_sweeping => {
                to(
                    "the flag of a dead run is to be lowered",
                    Run::Judge,
                    &send(Mark::Sweep),
                );
            }
            Run::Judge => {
                let is_needed = state.collector.is_needed || !state.is_stored;
                match fate(is_needed, doomed, BEGAN, &self.timing) {
                    Fate::Keep | Fate::Wait => to("the run ends", Run::End, &|_| {}),
                    Fate::Spare => to("the doom is to go", Run::RemoveDoom, &|_| {}),
                    Fate::Doom => to("the digest is doomed", Run::End, &|next| {
                        next.doomed = Some(SINCE);
                        for request in &mut next.requests {
                            request.is_waited_for = self.is_alone && request.has_begun();
                        }
                    }),
                    Fate::Sweep => to("the sweep begins", Run::RaiseFlag, &|_| {}),
                }
            }
            Run::RaiseFlag => to("the flag is raised", Run::ReadPins, &|next| {
                next.is_sweeping = true;
            }),
            Run::ReadPins if is_pinned(pinned, BEGAN, &self.timing) => {
                to("a pin is found", Run::RemoveDoom, &|_| {});
            }
            Run::ReadPins => to("no pin is found", Run::RemoveBytes, &|_| {}),
            Run::RemoveBytes => to(
                "the removal of the bytes is sent",
                Run::AfterBytes,
                &send(Mark::Bytes),
            ),
            Run::AfterBytes => {
                let removal = match state.removal {
                    Some(_) => Removal::Unknown,
                    None if state.is_stored => Removal::Refused,
                    None => Removal::Done,
                };
                match removal.next() {
                    AfterRemoval::WaitOut if !self.lacks(Without::WaitingOut) => {}
                    AfterRemoval::Leave => to("the digest stays doomed", Run::LowerFlag, &|_| {}),
                    _ => to("the bytes are taken for gone", Run::RemoveDoom, &|_| {}),
                }
            }
            Run::RemoveDoom => {
                let sent = send(Mark::Doom);
                to("the removal of the doom is sent", Run::AfterDoom, &move |next| {
                    // Where it was not waited for, the bytes' own removal is still on its way.
                    if next.removal.is_none() {
                        sent(next);
                    } else {
                        next.doomed = None;
                    }
                });
            }
            Run::AfterDoom if is_known => to("the doom is gone", Run::LowerFlag, &|_| {}),
            Run::LowerFlag if state.is_sweeping => {
                let sent = send(Mark::Sweep);
                to("the removal of the flag is sent", Run::End, &move |next| {
                    if next.removal.is_none() {
                        sent(next);
                    } else {
                        next.is_sweeping = false;
                    }
                });
            }
            Run::LowerFlag => to("the run ends", Run::End, &|_| {}),
            Run::End
                if state.requests.iter().any(|request| request.is_waited_for)
                    && !self.lacks(Without::Locks) => {}
            Run::End if is_known => to("the run has ended", Run::Between, &end),
            Run::AfterDoom | Run::End => {}
        }
        if state.collector.at != Run::Between && !state.collector.has_crashed {
            let crash = |late| {
                move |next: &mut State| {
                    next.late = late;
                    next.orphan = next.removal.take();
                    next.collector.has_crashed = true;
                    end(next);
                }
            };
            to("the collector crashes", Run::Between, &crash(None));
            if state.collector.at == Run::RaiseFlag {
                to(
                    "the collector crashes, and its flag is on the way",
                    Run::Between,
                    &crash(Some(Mark::Sweep)),
                );
            }
            if state.collector.at == Run::Judge && state.doomed.is_none() {
                to(
                    "the collector crashes, and its doom is on the way",
                    Run::Between,
                    &crash(Some(Mark::Doom)),
                );
            }
        }
    }

    fn steps_of_network(&self, state: &State, step: &mut dyn FnMut(&'static str, State)) {
        let now = if state.collector.at == Run::Between {
            0
        } else {
            SINCE
        };
        let mut remove = |label, removal: Option<(Mark, u8)>, mut next: State| {
            match removal {
                Some((Mark::Doom, _)) => next.doomed = None,
                Some((Mark::Sweep, _)) => next.is_sweeping = false,
                Some((Mark::Bytes, _)) => next.is_stored = false,
                None => return,
            }
            step(label, next);
        };
        remove(
            "a removal takes effect",
            state.removal,
            State {
                removal: None,
                ..*state
            },
        );
        remove(
            "a late removal takes effect",
            state.orphan,
            State {
                orphan: None,
                ..*state
            },
        );
        if let Some(mark) = state.late {
            let mut next = State { late: None, ..*state };
            match mark {
                Mark::Doom => next.doomed = Some(now),
                Mark::Sweep | Mark::Bytes => next.is_sweeping = true,
            }
            step("a late write takes effect", next);
        }
        if state.unpinning {
            step(
                "a pin is gone",
                State {
                    unpinning: false,
                    pinned: None,
                    ..*state
                },
            );
        }
        let is_old = stamp(state.pinned).is_some_and(|pinned| is_expired(pinned, BEGAN, &self.timing));
        if is_old && state.collector.at == Run::Between && !state.unpinning {
            step(
                "the removal of a pin is sent",
                State {
                    unpinning: true,
                    ..*state
                },
            );
        }
    }

    /// Time passes, unless a request would exceed its limit: that has to end before.
    fn tick(&self, state: &State) -> Option<State> {
        let limit = self.limit();
        let mut next = *state;
        for request in &mut next.requests {
            match request {
                _ if !request.has_begun() || request.age == LOCKED => {}
                _ if request.age >= limit && !self.lacks(Without::Deadline) => return None,
                _ => request.age = (request.age + 1).min(limit),
            }
        }
        if next.collector.at == Run::Between {
            let older = |stamp: i8| (stamp + 1).min(OLDEST);
            next.doomed = next.doomed.map(older);
            next.pinned = next.pinned.map(older);
        }
        next.collector.wait = next.collector.wait.saturating_sub(1);
        let sooner = |(mark, left)| (left > 1).then(|| (mark, left - 1));
        next.removal = next.removal.and_then(sooner);
        if !self.lacks(Without::Fence) {
            next.orphan = next.orphan.and_then(sooner);
        }
        (next != *state).then_some(next)
    }
}

impl Model for Protocol {
    type State = State;

    fn start(&self) -> State {
        State {
            is_stored: true,
            is_needed: false,
            doomed: None,
            pinned: None,
            unpinning: false,
            is_sweeping: false,
            removal: None,
            orphan: None,
            late: None,
            requests: [PUSH, PUSH, UPLOAD],
            collector: Collector {
                at: Run::Between,
                is_needed: false,
                wait: 0,
                has_crashed: self.is_alone,
            },
        }
    }

    fn steps(&self, state: &State, step: &mut dyn FnMut(&'static str, State)) {
        for index in 0..state.requests.len() {
            self.steps_of_request(state, index, step);
        }
        self.steps_of_collector(state, step);
        self.steps_of_network(state, step);
        if let Some(next) = self.tick(state) {
            step("time passes", next);
        }
    }

    fn is_wrong(&self, state: &State) -> bool {
        state.is_needed && !state.is_stored
    }
}

const PUSH: Request = Request {
    at: At::Push(Relying::ReadDoom),
    age: 0,
    is_waited_for: false,
};
const UPLOAD: Request = Request {
    at: At::Upload(Relying::ReadDoom),
    ..PUSH
};
const ENDED: Request = Request {
    at: At::Ended,
    ..PUSH
};

/// When the mark began of the run that is under way.
const BEGAN: SystemTime = SystemTime::UNIX_EPOCH;

fn stamp(stamp: Option<i8>) -> Option<SystemTime> {
    // Times before the epoch are allowed.
    stamp.map(|stamp| match u32::try_from(stamp) {
        Ok(before) => BEGAN - before * TICK,
        Err(_since) => BEGAN + TICK,
    })
}

fn ticks(duration: Duration) -> u8 {
    u8::try_from(duration.as_secs()).unwrap()
}

/// Ends a run: from now on stamps are ages. A mark may be older than its stamp says, which only delays decisions.
fn end(next: &mut State) {
    next.collector.is_needed = false;
    next.collector.wait = 0;
    next.doomed = next.doomed.map(|stamp| stamp.max(0));
    next.pinned = next.pinned.map(|stamp| stamp.max(0));
}

/// Asserts that the model loses an image without a part of the protocol.
fn assert_lost(protocol: &Protocol) {
    let lost = Explored::of(protocol).counterexample().is_some();
    assert!(lost, "without {:?} nothing is lost", protocol.without);
}

/// Asserts that nothing is lost, and that garbage goes.
fn assert_safe(protocol: &Protocol) {
    let explored = Explored::of(protocol);
    assert_eq!(explored.counterexample(), None);
    assert!(
        explored.states().any(|state| !state.is_stored),
        "nothing was ever removed"
    );
    garbage_goes(protocol, &explored);
}

#[test]
fn no_acknowledged_manifest_loses_a_blob_and_garbage_goes() {
    assert_safe(&Protocol::new(Without::Nothing));
}

#[test]
fn in_one_process_no_acknowledged_manifest_loses_a_blob_and_garbage_goes() {
    assert_safe(&Protocol::alone(Without::Nothing));
}

#[test]
fn in_one_process_each_part_is_needed_as_well() {
    for without in [Without::Pins, Without::SweepFlag, Without::Locks] {
        assert_lost(&Protocol::alone(without));
    }
}

#[test]
fn without_pins_an_image_is_lost() {
    assert_lost(&Protocol::new(Without::Pins));
}

#[test]
fn without_the_flag_an_image_is_lost() {
    assert_lost(&Protocol::new(Without::SweepFlag));
}

#[test]
fn without_the_wait_for_a_later_mark_an_image_is_lost() {
    assert_lost(&Protocol::new(Without::Confirmation));
}

#[test]
fn with_a_shorter_wait_an_image_is_lost() {
    assert_lost(&Protocol::new(Without::LastTick));
}

#[test]
fn without_the_fence_an_image_is_lost() {
    assert_lost(&Protocol::new(Without::Fence));
}

#[test]
fn without_the_wait_of_a_successor_an_image_is_lost() {
    assert_lost(&Protocol::new(Without::Takeover));
}

#[test]
fn with_marks_cleared_early_an_image_is_lost() {
    assert_lost(&Protocol::new(Without::WaitingOut));
}

#[test]
fn with_pins_of_one_name_an_image_is_lost() {
    assert_lost(&Protocol::new(Without::NamesOfPins));
}

#[test]
fn without_a_deadline_for_publishing_an_image_is_lost() {
    assert_lost(&Protocol::new(Without::Deadline));
}

/// Once no request is left and nothing needs the digest, it is gone after two more runs, and no mark of it is left.
fn garbage_goes(protocol: &Protocol, explored: &Explored<State>) {
    let idle = explored
        .states()
        .filter(|state| state.requests == [ENDED; 3] && !state.is_needed);
    let idle: HashSet<State> = idle.copied().collect();
    assert!(!idle.is_empty());
    for state in idle {
        let mut now = state;
        // Writes arrive; a removal takes no effect, and the pin stays.
        if let Some(late) = now.late.take() {
            match late {
                Mark::Doom => now.doomed = Some(0),
                _ => now.is_sweeping = true,
            }
        }
        now.unpinning = false;
        finish(protocol, &mut now);
        for _ in 0..2 {
            for _ in 0..=ticks(TIMING.pins) {
                now = protocol.tick(&now).unwrap_or(now);
            }
            now.collector.at = Run::Judge;
            finish(protocol, &mut now);
        }
        assert!(
            !now.is_stored && now.doomed.is_none() && !now.is_sweeping,
            "{state:?} becomes {now:?}"
        );
    }
}

/// Follows the run that is under way to its end, without a crash.
fn finish(protocol: &Protocol, state: &mut State) {
    state.collector.has_crashed = true;
    // Refused, and so is that of a run that crashed.
    (state.removal, state.orphan) = (None, None);
    while state.collector.at != Run::Between {
        let mut next = None;
        let mut first = |_: &'static str, to: State| {
            next.get_or_insert(to);
        };
        if state.removal.is_some() {
            protocol.steps_of_network(state, &mut first);
        } else {
            protocol.steps_of_collector(state, &mut first);
        }
        *state = next.or_else(|| protocol.tick(state)).unwrap();
    }
}
