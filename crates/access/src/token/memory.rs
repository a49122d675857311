//! The memory of verified tokens: of constant size, so that a token that was seen costs one hash.
//!
//! A token is remembered by its SHA-256, never by its text. Its place is chosen by a second hash with a key of this
//! process, so that a client cannot choose tokens that drive those of others out. What is remembered is a fact about one
//! set of keys; each has a memory of its own, and so it ends with them.

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use parking_lot::RwLock;
use sha2::{Digest as _, Sha256};

use super::claims::{Claims, Millis};

/// Number of locks; readers of different tokens rarely meet at one.
const SETS: usize = 512;

/// Tokens under one lock.
const PLACES: usize = 8;

/// The heaviest claims that are remembered, in bytes: all of them together stay below 16 MiB.
const HEAVIEST: usize = 4096;

/// The hash of a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark([u8; 32]);

/// Verified tokens with their claims.
pub(super) struct Memory {
    hasher: RandomState,
    sets: Box<[RwLock<Set>]>,
}

type Set = [Option<(Mark, Arc<Claims>)>; PLACES];

impl Mark {
    pub(super) fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }
}

impl Memory {
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            sets: (0..SETS).map(|_| RwLock::default()).collect(),
        }
    }

    /// The claims of a token that was verified before and is still current. Allocates nothing.
    ///
    /// The comparison may show how much of two hashes is equal; from that no token can be made.
    pub(super) fn recall(&self, mark: Mark, now: Millis) -> Option<Arc<Claims>> {
        let set = self.set(mark).read();
        let (_, claims) = set.iter().flatten().find(|(other, _)| *other == mark)?;
        claims.are_current(now).then(|| Arc::clone(claims))
    }

    /// Remembers the claims of a verified token, in place of the token that ends first.
    pub(super) fn keep(&self, mark: Mark, claims: &Arc<Claims>) {
        if claims.weight() > HEAVIEST {
            return;
        }
        let mut set = self.set(mark).write();
        let known = set
            .iter()
            .position(|place| place.as_ref().is_some_and(|(other, _)| *other == mark));
        // An empty place ends before all others.
        let end = |place: &usize| set[*place].as_ref().map(|(_, claims)| claims.end());
        if let Some(place) = known.or_else(|| (0..PLACES).min_by_key(end)) {
            set[place] = Some((mark, Arc::clone(claims)));
        }
    }

    fn set(&self, mark: Mark) -> &RwLock<Set> {
        let number = self.hasher.hash_one(mark.0) % SETS as u64;
        // Below 512.
        &self.sets[usize::try_from(number).unwrap_or(0)]
    }
}

/// Shows no hash.
impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}
