//! A model of deletions of a manifest against pushes of an index that lists it, on replicas that share no locks
//! ([`again`](crate::again)): two deletions, two pushes to one tag, and a deletion of that tag.

use super::explorer::{Explored, Model};

/// What is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    /// The second look of deletions.
    LookOfDeletion,
    /// The look of pushes at what they relied on.
    LookOfPush,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    /// Whether the link of the child is there.
    child: bool,
    /// Whether the link of the index is there.
    index: bool,
    /// Whether the tag points at the index.
    tag: bool,
    deletions: [Deletion; 2],
    pushes: [Push; 2],
    /// Whether the tag is still to be deleted.
    untag: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Deletion {
    /// It lists the indexes; the flag says that it has removed the link before.
    List(bool),
    /// It has found the index or not, and reads the tags.
    ReadTags(bool, bool),
    Remove,
    Restore,
    Refused,
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Push {
    Check,
    WriteIndex,
    WriteTag,
    LookAgain,
    Restore,
    Acknowledged,
    Refused,
}

struct Requests(Without);

impl Model for Requests {
    type State = State;

    fn start(&self) -> State {
        State {
            child: true,
            index: false,
            tag: false,
            deletions: [Deletion::List(false); 2],
            pushes: [Push::Check; 2],
            untag: true,
        }
    }

    fn steps(&self, state: &State, step: &mut dyn FnMut(&'static str, State)) {
        for (number, deletion) in state.deletions.into_iter().enumerate() {
            let mut next = *state;
            let to = &mut next.deletions[number];
            match deletion {
                Deletion::List(false) if !state.child => *to = Deletion::Refused,
                Deletion::List(again) => *to = Deletion::ReadTags(again, state.index),
                Deletion::ReadTags(again, index) => {
                    *to = match (again, index && state.tag) {
                        (false, false) => Deletion::Remove,
                        (false, true) => Deletion::Refused,
                        (true, false) => Deletion::Done,
                        (true, true) => Deletion::Restore,
                    };
                }
                Deletion::Remove => {
                    *to = match self.0 {
                        Without::LookOfDeletion => Deletion::Done,
                        _ => Deletion::List(true),
                    };
                    next.child = false;
                }
                Deletion::Restore => {
                    *to = Deletion::Refused;
                    next.child = true;
                }
                Deletion::Refused | Deletion::Done => continue,
            }
            next.deletions.sort_unstable();
            step("a deletion goes on", next);
        }
        for (number, push) in state.pushes.into_iter().enumerate() {
            let mut next = *state;
            let to = &mut next.pushes[number];
            match push {
                Push::Check => {
                    *to = if state.child {
                        Push::WriteIndex
                    } else {
                        Push::Refused
                    }
                }
                Push::WriteIndex => {
                    *to = Push::WriteTag;
                    next.index = true;
                }
                Push::WriteTag => {
                    *to = match self.0 {
                        Without::LookOfPush => Push::Acknowledged,
                        _ => Push::LookAgain,
                    };
                    next.tag = true;
                }
                Push::LookAgain => {
                    *to = if state.child {
                        Push::Acknowledged
                    } else {
                        Push::Restore
                    }
                }
                Push::Restore => {
                    *to = Push::Acknowledged;
                    next.child = true;
                }
                Push::Acknowledged | Push::Refused => continue,
            }
            next.pushes.sort_unstable();
            step("a push goes on", next);
        }
        if state.untag && state.tag {
            step(
                "the tag is deleted",
                State {
                    untag: false,
                    tag: false,
                    ..*state
                },
            );
        }
    }

    fn is_wrong(&self, state: &State) -> bool {
        let has_ended = state
            .deletions
            .iter()
            .all(|at| matches!(at, Deletion::Refused | Deletion::Done))
            && state
                .pushes
                .iter()
                .all(|at| matches!(at, Push::Acknowledged | Push::Refused));
        has_ended && state.tag && !state.child
    }
}

#[test]
fn a_tagged_index_has_its_child_when_all_requests_have_ended() {
    let explored = Explored::of(&Requests(Without::Nothing));
    assert_eq!(explored.counterexample(), None);
    let is_deleted = |state: &State| !state.child && state.deletions.contains(&Deletion::Done);
    assert!(explored.states().any(is_deleted), "no deletion ever succeeds");
}

#[test]
fn without_the_second_look_of_deletions_an_index_loses_its_child() {
    let explored = Explored::of(&Requests(Without::LookOfDeletion));
    assert!(explored.counterexample().is_some());
}

#[test]
fn without_the_look_of_pushes_an_index_loses_its_child() {
    let explored = Explored::of(&Requests(Without::LookOfPush));
    assert!(explored.counterexample().is_some());
}
