//! A model checker: visits every state that a model can reach, breadth first, and finds the shortest way to a wrong one.
//!
//! It is this small because the models have few actors, no network of their own, and one property each; `stateright`, the
//! library for more than that, would bring thirteen crates that nothing else here needs, among them a web server.

use std::{
    collections::HashSet,
    fmt::Debug,
    hash::{BuildHasherDefault, Hash, Hasher},
};

/// Actors that share a state.
pub(super) trait Model {
    /// The state of all actors and of what they share.
    type State: Copy + Eq + Hash + Debug;

    /// The first state.
    fn start(&self) -> Self::State;

    /// Calls `step` with each step that some actor can take in `state`, and the state that it leads to.
    fn steps(&self, state: &Self::State, step: &mut dyn FnMut(&'static str, Self::State));

    /// Whether something was lost.
    fn is_wrong(&self, state: &Self::State) -> bool;
}

/// What a model can reach.
pub(super) struct Explored<S> {
    /// Each state once, with the number of the state from which it was first reached.
    reached: Vec<(S, u32)>,
    /// The steps to the first state that is wrong.
    counterexample: Option<Vec<&'static str>>,
}

impl<S: Copy + Eq + Hash + Debug> Explored<S> {
    /// Explores `model`, up to the first wrong state.
    pub(super) fn of<M: Model<State = S>>(model: &M) -> Self {
        let mut reached = vec![(model.start(), 0)];
        let mut known = HashSet::<S, BuildHasherDefault<Quick>>::default();
        known.insert(model.start());
        let mut at = 0;
        while let Some((state, _)) = reached.get(at).copied() {
            if model.is_wrong(&state) {
                let counterexample = Some(way(model, &reached, at));
                return Self {
                    reached,
                    counterexample,
                };
            }
            let number = u32::try_from(at).expect("fewer states");
            model.steps(&state, &mut |_, next| {
                if known.insert(next) {
                    reached.push((next, number));
                }
            });
            at += 1;
        }
        Self {
            reached,
            counterexample: None,
        }
    }

    /// All states that were reached.
    pub(super) fn states(&self) -> impl Iterator<Item = &S> {
        self.reached.iter().map(|(state, _)| state)
    }

    /// The steps to the first wrong state; `None` when there is none.
    pub(super) fn counterexample(&self) -> Option<&[&'static str]> {
        self.counterexample.as_deref()
    }
}

/// The steps to the state with the number `at`.
fn way<M: Model>(model: &M, reached: &[(M::State, u32)], mut at: usize) -> Vec<&'static str> {
    let mut steps = Vec::new();
    while at > 0 {
        let (to, from) = reached[at];
        at = from as usize;
        let mut label = None;
        model.steps(&reached[at].0, &mut |step, next| {
            if next == to {
                label.get_or_insert(step);
            }
        });
        steps.extend(label);
    }
    steps.reverse();
    steps
}

/// A hash of small values: a model hashes millions of states of some thirty of them.
#[derive(Default)]
struct Quick(u64);

impl Hasher for Quick {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_i8(&mut self, value: i8) {
        self.write_u64(u64::from(value.cast_unsigned()));
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value.cast_unsigned() as u64);
    }
}
