//! The open connections of a server: their number, altogether and for each address, and which of them goes when there
//! are too many.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use wharf_budget::{Permit, Share};

use crate::{
    activity::Activity,
    end::End,
    peer::network_of,
    transfers::{Short, Transfers},
};

/// Time between two attempts to make room while a connection waits.
const RETRY: Duration = Duration::from_millis(500);

/// Time between two reports that no connection is free.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// Time without progress after which a busy connection may be ended for a new one.
const GRACE: Duration = Duration::from_secs(5);

/// Time without a request after which a connection may be closed for a new one: a client between two requests, and one
/// that has just come, are left alone.
const IDLE: Duration = Duration::from_secs(2);

/// The same for a connection whose TLS handshake has not ended, or that has said nothing yet.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// The open connections of a server.
#[derive(Debug)]
pub(crate) struct Connections {
    share: Share,
    /// Maximum number of connections from one address; `None`: there is no limit.
    per_address: Option<usize>,
    open: Mutex<Open>,
}

/// The open connections, in the order in which they were accepted.
#[derive(Debug, Default)]
struct Open {
    connections: BTreeMap<u64, Entry>,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    address: Option<IpAddr>,
    accepted: Instant,
    activity: Arc<Activity>,
    end: Arc<End>,
}

/// The place of one connection. Dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) activity: Arc<Activity>,
    pub(crate) end: Arc<End>,
    connections: Arc<Connections>,
    /// Number of the connection, which no other one of the server has.
    pub(crate) number: u64,
    _permit: Permit,
}

impl Connections {
    pub(crate) fn new(share: Share, per_address: Option<usize>) -> Self {
        Self {
            share,
            per_address,
            open: Mutex::default(),
        }
    }

    /// A place for a connection from `address`. When there is none, the connection that is idle for longest is closed
    /// to make room; else one whose client does not take its answer, or sends next to nothing of its body. `None`: the address has too many, none of them
    /// idle.
    pub(crate) async fn admit(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        transfers: &Transfers,
    ) -> Option<Place> {
        let address = address.map(network_of);
        if let (Some(limit), Some(address)) = (self.per_address, address)
            && self.count(address) >= limit
            && !self.end_idle(Some(address))
        {
            tracing::debug!(%address, limit, "refused a connection: `http.limits.peraddress` allows no more from there");
            return None;
        }
        let permit = match self.share.try_take(1) {
            Some(permit) => permit,
            None => self.wait(transfers).await,
        };
        Some(self.place(address, permit))
    }

    /// Closes the connection that is idle for longest, unless that is not long; of `address`, if there is one. Returns
    /// whether there was one.
    pub(crate) fn end_idle(&self, address: Option<IpAddr>) -> bool {
        let open = self.lock();
        let idle = open.connections.iter().filter_map(|(number, entry)| {
            let is_candidate = !entry.end.is_asked() && (address.is_none() || entry.address == address);
            let idle = is_candidate.then(|| entry.idle()).flatten()?;
            // A client that opens more connections than it may replaces one of its own that it has used.
            let is_replaced = address.is_some() && entry.activity.has_answered();
            let is_long = idle >= entry.least_idle() || is_replaced;
            is_long.then_some(((idle, Reverse(number)), &entry.end))
        });
        match idle.max_by_key(|(rank, _)| *rank) {
            Some((_, end)) => {
                end.ask_if_idle();
                true
            }
            None => false,
        }
    }

    async fn wait(&self, transfers: &Transfers) -> Permit {
        let making_room = async {
            loop {
                if !self.end_idle(None) {
                    transfers.end_longest(Short::Places, GRACE);
                }
                tokio::time::sleep(RETRY).await;
            }
        };
        let permit = async {
            loop {
                match self.share.wait(1, REPORT_INTERVAL).await {
                    Ok(permit) => return permit,
                    Err(error) => {
                        tracing::warn!(%error, "new connections wait; `http.limits.connections` allows more");
                    }
                }
            }
        };
        tokio::select! {
            permit = permit => permit,
            never = making_room => never,
        }
    }

    fn place(self: &Arc<Self>, address: Option<IpAddr>, permit: Permit) -> Place {
        let (activity, end) = (Arc::<Activity>::default(), Arc::<End>::default());
        let mut open = self.lock();
        let number = open.next;
        open.next += 1;
        let entry = Entry {
            address,
            accepted: Instant::now(),
            activity: Arc::clone(&activity),
            end: Arc::clone(&end),
        };
        open.connections.insert(number, entry);
        Place {
            activity,
            end,
            connections: Arc::clone(self),
            number,
            _permit: permit,
        }
    }

    fn count(&self, address: IpAddr) -> usize {
        let open = self.lock();
        let entries = open.connections.values();
        entries
            .filter(|entry| entry.address == Some(address) && !entry.end.is_asked())
            .count()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// For how long there has been no request; `None`: there is one.
    fn idle(&self) -> Option<Duration> {
        match self.activity.is_open() {
            true => self.activity.idle(),
            false => Some(self.accepted.elapsed()),
        }
    }

    /// How long it must be idle before it may be closed for a new one.
    fn least_idle(&self) -> Duration {
        match self.activity.is_open() {
            true => IDLE,
            false => HANDSHAKE,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().connections.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(limit: usize, per_address: Option<usize>) -> (Arc<Connections>, Transfers) {
        let share = Share::new("connections", limit);
        let transfers = Transfers::new(Share::new("transfers", 1), Share::new("requests", 1));
        (Arc::new(Connections::new(share, per_address)), transfers)
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_limit_the_connection_that_is_idle_for_longest_makes_room() {
        let (connections, transfers) = connections(3, None);
        let busy = connections.admit(None, &transfers).await.unwrap();
        let short = connections.admit(None, &transfers).await.unwrap();
        let long = connections.admit(None, &transfers).await.unwrap();
        for place in [&busy, &short, &long] {
            place.activity.opened();
        }
        busy.activity.request_started();
        short.activity.set_idle(Duration::from_secs(3));
        long.activity.set_idle(Duration::from_secs(4));
        let end = Arc::clone(&long.end);
        tokio::spawn(async move {
            end.asked().await;
            drop(long);
        });
        connections.admit(None, &transfers).await.unwrap();
        assert!(!busy.end.is_asked() && !short.end.is_asked());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_has_just_come_is_not_closed_for_another_one() {
        let (connections, transfers) = connections(2, None);
        let shaking_hands = connections.admit(None, &transfers).await.unwrap();
        let before_its_first_request = connections.admit(None, &transfers).await.unwrap();
        before_its_first_request.activity.opened();
        assert!(!connections.end_idle(None));
        tokio::time::advance(HANDSHAKE).await;
        assert!(connections.end_idle(None));
        assert!(shaking_hands.end.is_asked() && !before_its_first_request.end.is_asked());
        before_its_first_request.activity.set_idle(IDLE);
        assert!(connections.end_idle(None));
        assert!(before_its_first_request.end.is_asked());
    }

    #[test]
    fn addresses_of_one_network_are_counted_together() {
        let counted = |text: &str| network_of(text.parse().unwrap()).to_string();
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(counted("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(counted("192.0.2.1"), "192.0.2.1");
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_has_its_own_limit() {
        let (connections, transfers) = connections(10, Some(1));
        let one = Some(IpAddr::from([192, 0, 2, 1]));
        let first = connections.admit(one, &transfers).await.unwrap();
        first.activity.opened();
        first.activity.request_started();
        assert!(connections.admit(one, &transfers).await.is_none());
        let other = Some(IpAddr::from([192, 0, 2, 2]));
        assert!(connections.admit(other, &transfers).await.is_some());
        first.activity.request_finished();
        assert!(connections.admit(one, &transfers).await.is_some());
        assert!(first.end.is_asked(), "it was idle");
    }
}
