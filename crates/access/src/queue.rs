//! The queue of requests that wait for the check of a password: bounded, with room for each network of clients.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use parking_lot::Mutex;
use wharf_budget::{Permit, Share};

use crate::decision::Reason;

/// The part of the queue that one network may fill: one of so many.
const PARTS: usize = 4;

/// An address, or of IPv6 the network of 64 bits that one client may choose its addresses from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Network(IpAddr);

impl Network {
    /// The network of `address`.
    pub(crate) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() >> 64 << 64;
                IpAddr::V6(Ipv6Addr::from_bits(network))
            }
            address @ IpAddr::V4(_) => address,
        })
    }
}

/// The requests that wait, whether they have a check of their own or share that of another request.
#[derive(Debug)]
pub(crate) struct Queue {
    places: Share,
    networks: Arc<Mutex<HashMap<Network, usize>>>,
}

/// A place in the queue, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: Permit,
    network: Option<Network>,
    networks: Arc<Mutex<HashMap<Network, usize>>>,
}

impl Queue {
    /// A queue with `places`.
    pub(crate) fn new(places: Share) -> Self {
        Self {
            places,
            networks: Arc::default(),
        }
    }

    /// Takes a place for a request from `network`; `None`: its network is not known.
    ///
    /// # Errors
    ///
    /// [`Reason::Busy`] when all places, or those of the network, are taken.
    pub(crate) fn enter(&self, network: Option<Network>) -> Result<Place, Reason> {
        let mut networks = self.networks.lock();
        let taken = network.and_then(|network| networks.get(&network)).copied();
        if taken.is_some_and(|taken| taken >= (self.places.limit() / PARTS).max(1)) {
            return Err(self.refuse());
        }
        // A refusal is counted by the share.
        let permit = self.places.take(1).map_err(|_| Reason::Busy)?;
        if let Some(network) = network {
            *networks.entry(network).or_default() += 1;
        }
        Ok(Place {
            _permit: permit,
            network,
            networks: Arc::clone(&self.networks),
        })
    }

    /// Counts a request that is refused for want of room.
    pub(crate) fn refuse(&self) -> Reason {
        self.places.refuse();
        Reason::Busy
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(network) = self.network else { return };
        let mut networks = self.networks.lock();
        if let Some(taken) = networks.get_mut(&network) {
            *taken -= 1;
            if *taken == 0 {
                networks.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str) -> Network {
        Network::of(address.parse().unwrap())
    }

    #[test]
    fn the_addresses_that_one_client_may_choose_are_one_network() {
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.2"), network("192.0.2.1"));
    }

    #[test]
    fn one_network_leaves_places_to_others() {
        let places = Share::new("passwords", 8);
        let queue = Queue::new(places.clone());
        let (one, other) = (network("192.0.2.1"), network("192.0.2.2"));
        let held: Vec<Place> = (0..2).map(|_| queue.enter(Some(one)).unwrap()).collect();
        assert!(queue.enter(Some(one)).is_err());
        let others: Vec<Place> = [Some(other), Some(other), None, None, None, None]
            .map(|network| queue.enter(network).unwrap())
            .into();
        assert!(queue.enter(None).is_err(), "all are taken");
        assert_eq!((places.used(), places.refused()), (8, 2));
        drop((held, others));
        assert!(queue.networks.lock().is_empty());
        assert!(queue.enter(Some(one)).is_ok());
    }
}
