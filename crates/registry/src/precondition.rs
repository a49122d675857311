//! The condition of a push: which manifest its reference must name, or must not, for anything to be changed.

use wharf_oci::Digest;
use wharf_storage::{Key, Put, Version};

/// What must be true of the reference of a push (RFC 9110, section 13.1). Without either field nothing need be.
///
/// `if_none_match: Any` means "create only", `if_match: These(…)` means "move only from".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Precondition {
    /// The manifests of which the reference must name one.
    pub if_match: Option<Matching>,
    /// The manifests of which the reference must name none.
    pub if_none_match: Option<Matching>,
}

/// A set of manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matching {
    /// Whatever there is.
    Any,
    /// Those with these digests.
    These(Vec<Digest>),
}

impl Matching {
    fn contains(&self, current: Option<&Digest>) -> bool {
        match (self, current) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::These(digests), Some(current)) => digests.contains(current),
        }
    }
}

impl Precondition {
    /// Whether it holds when the reference names `current`.
    pub(crate) fn holds(&self, current: Option<&Digest>) -> bool {
        let is_wanted = self.if_match.as_ref().is_none_or(|these| these.contains(current));
        let is_unwanted = self
            .if_none_match
            .as_ref()
            .is_some_and(|these| these.contains(current));
        is_wanted && !is_unwanted
    }

    /// Whether it always holds.
    pub(crate) fn is_none(&self) -> bool {
        self.if_match.is_none() && self.if_none_match.is_none()
    }
}

/// What a push was checked against: its pointers are written only if the store still has that. A pointer of which nothing is
/// noted has no condition, or the store cannot tell its version at the moment.
#[derive(Debug, Default)]
pub(crate) struct Observed(Vec<(Key, Option<Version>)>);

impl Observed {
    /// Notes that there was nothing at `pointer`.
    pub(crate) fn absent(&mut self, pointer: Key) {
        self.0.push((pointer, None));
    }

    /// Notes that `pointer` was of this version.
    pub(crate) fn version(&mut self, pointer: Key, version: Version) {
        self.0.push((pointer, Some(version)));
    }

    /// Lets the write of a pointer take effect only if it still is as it was.
    pub(crate) fn apply(&self, put: Put) -> Put {
        match self.0.iter().find(|(pointer, _)| *pointer == put.key) {
            Some((_, Some(version))) => put.only_if(version.clone()),
            Some((_, None)) => put.if_absent(),
            None => put,
        }
    }
}
