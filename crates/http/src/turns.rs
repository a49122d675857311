//! Turns in the queues for what is short: one for each network of clients, and in it one for each connection, so that a
//! client with many connections waits like a client with one.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::Semaphore;

use crate::{peer::network_of, proxies::TrustedProxies};

/// The client that a connection is counted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// A network: an address, or of IPv6 the 64 bits that one client has.
    Network(IpAddr),
    /// One connection of a trusted proxy, behind which there are many clients, by its number.
    Connection(u64),
}

/// One turn at a time in each queue.
#[derive(Debug)]
pub(crate) struct Queues {
    memory: Semaphore,
    request: Semaphore,
    body: Semaphore,
}

/// The turns of one connection.
#[derive(Debug)]
pub(crate) struct Turns {
    pub(crate) source: Source,
    pub(crate) own: Queues,
}

/// The turns of networks with requests that wait.
#[derive(Debug, Default)]
pub(crate) struct Networks(Mutex<HashMap<IpAddr, Weak<Queues>>>);

impl Source {
    /// The client of the connection `number` from `address`.
    pub(crate) fn of(address: Option<SocketAddr>, number: u64, proxies: &TrustedProxies) -> Self {
        match address {
            Some(address) if !proxies.limits_by_word_of(address.ip()) => {
                Self::Network(network_of(address.ip()))
            }
            _ => Self::Connection(number),
        }
    }
}

impl Queues {
    /// The queue for memory of answers.
    pub(crate) fn memory(&self) -> &Semaphore {
        &self.memory
    }

    /// The queue for requests over HTTP/2.
    pub(crate) fn request(&self) -> &Semaphore {
        &self.request
    }

    /// The queue for bodies that are gathered whole.
    pub(crate) fn body(&self) -> &Semaphore {
        &self.body
    }
}

impl Turns {
    /// The turns of a connection of `source`.
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source,
            own: Queues::default(),
        }
    }
}

impl Networks {
    /// The turns of all connections of `source`.
    pub(crate) fn of(&self, source: Source) -> Arc<Queues> {
        let Source::Network(network) = source else {
            return Arc::default();
        };
        let mut networks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queues) = networks.get(&network).and_then(Weak::upgrade) {
            return queues;
        }
        networks.retain(|_, queues| queues.strong_count() > 0);
        let queues = Arc::default();
        networks.insert(network, Arc::downgrade(&queues));
        queues
    }
}

impl Default for Queues {
    fn default() -> Self {
        Self {
            memory: Semaphore::new(1),
            request: Semaphore::new(1),
            body: Semaphore::new(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_one_network_have_one_turn_and_those_of_a_proxy_one_each() {
        let proxies = TrustedProxies::default();
        let source = |address: &str, number| {
            let address = SocketAddr::new(address.parse().unwrap(), 4711);
            Source::of(Some(address), number, &proxies)
        };
        assert_eq!(source("192.0.2.1", 1), source("::ffff:192.0.2.1", 2));
        assert_eq!(source("2001:db8::1", 1), source("2001:db8::2", 2));
        assert_ne!(source("192.0.2.1", 1), source("192.0.2.2", 1));
        assert_ne!(source("127.0.0.1", 1), source("127.0.0.1", 2));
        let networks = Networks::default();
        let first = networks.of(source("192.0.2.1", 1));
        assert!(Arc::ptr_eq(&first, &networks.of(source("192.0.2.1", 2))));
        assert!(!Arc::ptr_eq(&first, &networks.of(source("192.0.2.2", 3))));
    }
}
