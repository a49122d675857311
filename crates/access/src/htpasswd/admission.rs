//! Which password checks run, wait, and are refused, by the networks that they come from and the names that they are for.
//!
//! Whether a name is in the password file is not known here: a client that guesses finds the same room, waits for the
//! same turns and meets the same refusals for every name. So what keeps guesses from starving users is fairness between
//! networks: they have their turns one after the other, and where there is no room for one more check, the network with
//! the most work gives up the check that it asked for last.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::memory::Tag;
use crate::{decision::Reason, queue::Network};

/// The part of the work that checks from one network may be: one of so many.
const NETWORKS: u64 = 2;

/// The part of the work that checks of one name may be: one of so many.
const NAMES: u64 = 4;

/// The most checks that run or wait, however little work they are.
const WAITING: usize = 1024;

/// Outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conclusion {
    /// The password is right.
    Right,
    /// The password is wrong, or the name is not in the file.
    Wrong,
    /// The password was not checked: the room went to a network with less work.
    Displaced,
}

/// The outcome of a check that runs or waits: `None` until it ends.
pub(super) type Outcome = watch::Receiver<Option<Conclusion>>;

/// A password check that asks for room.
#[derive(Debug, Clone, Copy)]
pub(super) struct Demand {
    /// Keyed hash of name, hash and password: equal checks are made once.
    pub(super) tag: Tag,
    /// Network of the client, if it is known.
    pub(super) network: Option<Network>,
    /// Keyed hash of the name.
    pub(super) name: Tag,
    /// Rounds of bcrypt.
    pub(super) work: u64,
}

/// The room for password checks. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    state: Arc<Mutex<State>>,
}

/// Answer to a [`Demand`] that is admitted.
pub(super) enum Admitted {
    /// An equal check runs or waits already.
    Joined(Outcome),
    /// The check waits for its turn.
    New(Outcome, Turn),
}

/// The place of one check until it ends, however it ends.
pub(super) struct Turn {
    admission: Admission,
    tag: Tag,
    number: u64,
    begin: oneshot::Receiver<()>,
    conclusion: Option<Conclusion>,
}

#[derive(Debug)]
struct State {
    /// Limit of the work of all checks.
    limit: u64,
    /// Checks that may still begin to run beside those that do.
    free: usize,
    checks: HashMap<Tag, Check>,
    /// Work of all checks.
    work: u64,
    /// Work of the checks of each name.
    names: HashMap<Tag, u64>,
    lines: HashMap<Option<Network>, Line>,
    /// Networks with checks that wait, in the order of their turns.
    turns: VecDeque<Option<Network>>,
    /// Number of the next check.
    next: u64,
}

#[derive(Debug)]
struct Check {
    demand: Demand,
    number: u64,
    outcome: watch::Sender<Option<Conclusion>>,
    /// The signal to begin; `None` once it was given.
    begin: Option<oneshot::Sender<()>>,
}

/// The checks from one network.
#[derive(Debug, Default)]
struct Line {
    /// Work of those that run or wait.
    work: u64,
    waiting: VecDeque<Tag>,
}

impl Admission {
    /// Room for checks of `limit` rounds of bcrypt altogether, of which `at_a_time` run at once.
    pub(super) fn new(limit: u64, at_a_time: usize) -> Self {
        let state = State {
            limit,
            free: at_a_time,
            checks: HashMap::new(),
            work: 0,
            names: HashMap::new(),
            lines: HashMap::new(),
            turns: VecDeque::new(),
            next: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// A place for a check, or the outcome of an equal one.
    ///
    /// # Errors
    ///
    /// [`Reason::Busy`] if there is no room.
    pub(super) fn enter(&self, demand: Demand) -> Result<Admitted, Reason> {
        let mut state = self.state.lock();
        if let Some(check) = state.checks.get(&demand.tag) {
            return Ok(Admitted::Joined(check.outcome.subscribe()));
        }
        while !state.has_room(&demand) {
            let victim = state.victim_for(&demand).ok_or(Reason::Busy)?;
            if let Some(check) = state.remove(&victim) {
                check.outcome.send_replace(Some(Conclusion::Displaced));
            }
        }
        let (number, outcome, begin) = state.add(demand);
        state.begin_next();
        let turn = Turn {
            admission: self.clone(),
            tag: demand.tag,
            number,
            begin,
            conclusion: None,
        };
        Ok(Admitted::New(outcome, turn))
    }
}

impl Turn {
    /// Waits until the check may run. Returns whether it may: it may not if it was displaced.
    pub(super) async fn comes(&mut self) -> bool {
        (&mut self.begin).await.is_ok()
    }

    /// Ends the check with `conclusion`.
    pub(super) fn end(mut self, conclusion: Conclusion) {
        self.conclusion = Some(conclusion);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.admission.state.lock();
        // A check that was displaced has left already, and an equal one may have come.
        if state
            .checks
            .get(&self.tag)
            .is_none_or(|check| check.number != self.number)
        {
            return;
        }
        let Some(check) = state.remove(&self.tag) else {
            return;
        };
        if check.begin.is_none() {
            state.free += 1;
            state.begin_next();
        }
        drop(state);
        // Without a conclusion the sender is dropped, and the requests learn that the check failed.
        if self.conclusion.is_some() {
            check.outcome.send_replace(self.conclusion);
        }
    }
}

impl State {
    /// Whether there is room for a check. One is always admitted, whatever its cost: else a user with a costly hash could
    /// never log in.
    fn has_room(&self, demand: &Demand) -> bool {
        let is_admitted =
            self.work == 0 || (self.work + demand.work <= self.limit && self.checks.len() < WAITING);
        is_admitted && self.has_room_in_network(demand) && self.has_room_in_name(demand)
    }

    fn has_room_in_network(&self, demand: &Demand) -> bool {
        let used = self.work_of(demand.network);
        demand.network.is_none() || used == 0 || used + demand.work <= self.limit / NETWORKS
    }

    fn has_room_in_name(&self, demand: &Demand) -> bool {
        let used = self.names.get(&demand.name).copied().unwrap_or(0);
        used == 0 || used + demand.work <= self.limit / NAMES
    }

    fn work_of(&self, network: Option<Network>) -> u64 {
        self.lines.get(&network).map_or(0, |line| line.work)
    }

    /// The waiting check that gives its room to `demand`: the newest one of the network with the most work, if that
    /// network still has as much as the other one afterwards. Where the name has no room, it is one of the same name.
    fn victim_for(&self, demand: &Demand) -> Option<Tag> {
        if !self.has_room_in_network(demand) {
            return None;
        }
        let is_any = self.has_room_in_name(demand);
        let waiting = self
            .checks
            .values()
            .filter(|check| check.begin.is_some() && (is_any || check.demand.name == demand.name));
        let victim = waiting.max_by_key(|check| (self.work_of(check.demand.network), check.number))?;
        let is_fair = self.work_of(victim.demand.network)
            >= self.work_of(demand.network) + demand.work + victim.demand.work;
        is_fair.then_some(victim.demand.tag)
    }

    fn add(&mut self, demand: Demand) -> (u64, Outcome, oneshot::Receiver<()>) {
        let (sender, outcome) = watch::channel(None);
        let (begin, begun) = oneshot::channel();
        let number = self.next;
        self.next += 1;
        self.work += demand.work;
        *self.names.entry(demand.name).or_default() += demand.work;
        let line = self.lines.entry(demand.network).or_default();
        line.work += demand.work;
        if line.waiting.is_empty() {
            self.turns.push_back(demand.network);
        }
        line.waiting.push_back(demand.tag);
        let check = Check {
            demand,
            number,
            outcome: sender,
            begin: Some(begin),
        };
        self.checks.insert(demand.tag, check);
        (number, outcome, begun)
    }

    /// Removes a check that has ended, or does not wait any more.
    fn remove(&mut self, tag: &Tag) -> Option<Check> {
        let check = self.checks.remove(tag)?;
        let Demand {
            network, name, work, ..
        } = check.demand;
        self.work -= work;
        if let Some(used) = self.names.get_mut(&name) {
            *used -= work;
            if *used == 0 {
                self.names.remove(&name);
            }
        }
        if let Some(line) = self.lines.get_mut(&network) {
            line.work -= work;
            if check.begin.is_some() {
                line.waiting.retain(|waiting| waiting != tag);
                if line.waiting.is_empty() {
                    self.turns.retain(|turn| *turn != network);
                }
            }
            if line.work == 0 {
                self.lines.remove(&network);
            }
        }
        Some(check)
    }

    /// Lets as many checks begin as may run at once, of one network after the other.
    fn begin_next(&mut self) {
        while self.free > 0
            && let Some(network) = self.turns.pop_front()
        {
            let Some(line) = self.lines.get_mut(&network) else {
                continue;
            };
            let next = line.waiting.pop_front();
            if !line.waiting.is_empty() {
                self.turns.push_back(network);
            }
            if let Some(check) = next.and_then(|tag| self.checks.get_mut(&tag))
                && let Some(begin) = check.begin.take()
            {
                self.free -= 1;
                // The task may be gone with its runtime: its turn then ends as it is dropped.
                _ = begin.send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Room for checks of which none begins.
    fn room(limit: u64) -> Admission {
        Admission::new(limit, 0)
    }

    fn tag(kind: u8, number: u32) -> Tag {
        let mut tag = [kind; 32];
        tag[..4].copy_from_slice(&number.to_le_bytes());
        tag
    }

    fn network(last: u8) -> Option<Network> {
        Some(Network::of([192, 0, 2, last].into()))
    }

    /// Enters the check of the password `number` for `name`.
    fn enter(
        admission: &Admission,
        network: Option<Network>,
        name: u32,
        number: u32,
    ) -> Option<(Outcome, Turn)> {
        let demand = Demand {
            tag: tag(1, number),
            network,
            name: tag(2, name),
            work: 1,
        };
        match admission.enter(demand) {
            Ok(Admitted::New(outcome, turn)) => Some((outcome, turn)),
            Ok(Admitted::Joined(_)) => panic!("there is no equal check"),
            Err(reason) => {
                assert_eq!(reason, Reason::Busy);
                None
            }
        }
    }

    fn is_displaced((outcome, _): &(Outcome, Turn)) -> bool {
        *outcome.borrow() == Some(Conclusion::Displaced)
    }

    #[test]
    fn guesses_from_one_network_and_at_one_name_leave_room_for_others() {
        let admission = room(64);
        let guesses: Vec<_> = (0..64).map(|n| enter(&admission, network(1), n, n)).collect();
        assert_eq!(guesses.iter().flatten().count(), 32);
        let at_one_name: Vec<_> = (64..96).map(|n| enter(&admission, None, 64, n)).collect();
        assert_eq!(at_one_name.iter().flatten().count(), 16);
        assert!(enter(&admission, None, 65, 100).is_some());
    }

    #[test]
    fn the_network_with_the_most_work_gives_its_newest_check_to_one_with_less() {
        let admission = room(8);
        let many: Vec<_> = (0..4)
            .filter_map(|n| enter(&admission, network(1), n, n))
            .collect();
        let few: Vec<_> = (4..8)
            .filter_map(|n| enter(&admission, network(2), n, n))
            .collect();
        assert_eq!((many.len(), few.len()), (4, 4));
        let newcomers: Vec<_> = (3..10)
            .map(|n| enter(&admission, network(n), u32::from(n) + 10, u32::from(n) + 10))
            .collect();
        // Two attackers and six others have one each; the seventh takes from no network what that has alone.
        assert_eq!(newcomers.iter().filter(|newcomer| newcomer.is_some()).count(), 6);
        let left = |checks: &[(Outcome, Turn)]| -> Vec<bool> {
            checks.iter().map(|check| !is_displaced(check)).collect()
        };
        assert_eq!(left(&many), [true, false, false, false]);
        assert_eq!(left(&few), [true, false, false, false]);
    }

    #[test]
    fn guesses_at_a_name_from_one_network_leave_it_to_its_user() {
        let admission = room(64);
        let guesses: Vec<_> = (0..16)
            .filter_map(|n| enter(&admission, network(1), 1, n))
            .collect();
        assert_eq!(guesses.len(), 16);
        let other = enter(&admission, network(1), 2, 20).unwrap();
        let user = enter(&admission, network(2), 1, 21).unwrap();
        assert!(is_displaced(&guesses[15]) && !is_displaced(&guesses[14]));
        assert!(
            !is_displaced(&other) && !is_displaced(&user),
            "it is of another name"
        );
    }

    #[tokio::test]
    async fn networks_have_their_turns_one_after_the_other() {
        let admission = Admission::new(64, 1);
        let mut attack: Vec<_> = (0..8)
            .filter_map(|n| enter(&admission, network(1), n, n))
            .collect();
        let (_, mut user) = enter(&admission, network(2), 10, 10).unwrap();
        let (outcome, mut first) = attack.remove(0);
        assert!(first.comes().await);
        first.end(Conclusion::Wrong);
        assert_eq!(*outcome.borrow(), Some(Conclusion::Wrong));
        let (_, mut second) = attack.remove(0);
        assert!(second.comes().await);
        drop(second);
        assert!(user.comes().await, "it does not wait for six others");
    }

    #[tokio::test]
    async fn what_ended_or_was_displaced_leaves_nothing() {
        let admission = Admission::new(2, 1);
        let (outcome, first) = enter(&admission, network(1), 1, 1).unwrap();
        assert!(enter(&admission, network(1), 2, 2).is_none(), "half is its part");
        let (mut failed, second) = enter(&admission, None, 2, 2).unwrap();
        drop((first, second));
        assert!(outcome.has_changed().is_err());
        assert!(failed.wait_for(Option::is_some).await.is_err());
        let state = admission.state.lock();
        assert!(
            state.checks.is_empty() && state.names.is_empty() && state.lines.is_empty(),
            "{state:?}"
        );
        assert_eq!((state.work, state.free, state.turns.len()), (0, 1, 0));
    }
}
