//! Memory for the bytes that uploads gather before they can be sent: shared by all requests, and taken in turns when short.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;
use wharf_budget::{Exhausted, Permit, Share};

use crate::{Error, ErrorKind, Result};

/// How long a request may keep its room while others wait for some.
const TURN: Duration = Duration::from_secs(5);
/// How long after that it looks again whether others wait.
const LOOK: Duration = Duration::from_secs(1);
/// All starts together take at most one of so many parts of the share.
const STARTS: usize = 4;
/// All ends together take one of so many parts of the share, beside it.
const ENDS: usize = 8;

/// The memory for parts of all requests, in bytes.
///
/// A request first takes a small room, a *start*, with the first byte; when it is full, it waits for a room for a
/// whole part. So a client that sends little holds little. No deadlock: starts together never take more than a
/// quarter of the share, and a request with a whole room never waits for more. It fills it, or its turn ends, and
/// then it sends what it has gathered. A request that ends an upload has permits of other shares that come after this
/// one, so it takes what it needs from a memory that is only for ends.
#[derive(Debug)]
pub(super) struct Rooms {
    share: Share,
    /// The quarter.
    starts: Share,
    ends: Share,
    /// How many requests wait.
    waiting: AtomicUsize,
    start: usize,
    patience: Duration,
}

/// Memory that a request may use until this is dropped.
#[derive(Debug)]
pub(super) struct Room {
    permit: Permit,
    /// For a start alone.
    _start: Option<Permit>,
    /// When others may have it if they wait.
    turn: Instant,
}

impl Rooms {
    /// `start` is how much memory a request takes first, `patience` how long one waits.
    pub(super) fn new(share: Share, start: usize, patience: Duration) -> Self {
        let quarter = (share.limit() / STARTS).max(1);
        Self {
            starts: Share::new("starts of parts", quarter),
            ends: Share::new("ends of uploads", share.limit() / ENDS),
            waiting: AtomicUsize::new(0),
            start: start.min(quarter),
            share,
            patience,
        }
    }

    /// How many bytes a start has at most.
    pub(super) fn start_size(&self) -> usize {
        self.start
    }

    /// How many bytes all requests may use.
    pub(super) fn limit(&self) -> usize {
        self.share.limit()
    }

    /// Room for the first bytes of a request that has none.
    pub(super) async fn start(&self, bytes: usize) -> Result<Room> {
        let bytes = bytes.min(self.start);
        let start = self.patient(&self.starts, bytes).await?;
        let permit = self.patient(&self.share, bytes).await?;
        Ok(Room::new(permit, Some(start)))
    }

    /// Room for `bytes`, for a request that has a start at most.
    pub(super) async fn whole(&self, bytes: usize) -> Result<Room> {
        let permit = self.patient(&self.share, bytes).await?;
        Ok(Room::new(permit, None))
    }

    /// Room for `bytes`, for a request that has none and ends.
    pub(super) async fn end(&self, bytes: usize) -> Result<Room> {
        let permit = self.patient(&self.ends, bytes).await?;
        Ok(Room::new(permit, None))
    }

    async fn patient(&self, share: &Share, bytes: usize) -> Result<Permit> {
        if let Some(permit) = share.try_take(bytes) {
            return Ok(permit);
        }
        let _waiting = Waiting::new(&self.waiting);
        let permit = share.wait(bytes, self.patience).await;
        permit.map_err(|full: Exhausted| {
            Error::with_source(ErrorKind::Exhausted, "receive a part of an upload", full)
        })
    }

    fn is_wanted(&self) -> bool {
        self.waiting.load(Relaxed) > 0
    }
}

impl Room {
    fn new(permit: Permit, start: Option<Permit>) -> Self {
        Self {
            permit,
            _start: start,
            turn: Instant::now() + TURN,
        }
    }

    /// How many bytes it holds.
    pub(super) fn size(&self) -> usize {
        self.permit.amount()
    }

    /// When to ask whether the turn [is over](Self::is_over).
    pub(super) fn turn(&self) -> Instant {
        self.turn
    }

    /// Whether the request is to let others have the room.
    pub(super) fn is_over(&mut self, rooms: &Rooms) -> bool {
        let now = Instant::now();
        if now < self.turn {
            return false;
        }
        self.turn = now + LOOK;
        rooms.is_wanted()
    }
}

/// Counts a request that waits, until it does no more, in whatever way that ends.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
