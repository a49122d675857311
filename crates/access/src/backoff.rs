//! The back-off of clients that guess passwords: after some wrong ones, each further guess has to wait, for longer and longer.
//!
//! Failures are counted by network and by account. What counts is the number of *different* wrong credentials: machines that
//! repeat old passwords all day are no guessers, and are answered as at first. Guesses that are being checked count as well: once
//! there is a wait, only one at a time is let in.
//!
//! **A guesser locks no user out.** A password that was right not long ago is recognised before any of this
//! ([`Htpasswd::recognise`](crate::htpasswd::Htpasswd::recognise)), and an account from a network that it has logged in from within
//! a day does not wait for the failures of others. Only guesses at that very account from that very network end this.
//!
//! **Memory is bounded.** Each table has a limit; the entry of the oldest failure makes room. To be forgotten early a guesser
//! would have to fill the table, and each entry costs it a check.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{credentials::Basic, queue::Network};

/// Wrong credentials of one network that are answered without a wait.
const FREE_OF_NETWORK: u32 = 50;

/// Wrong passwords of one account that are answered without a wait.
const FREE_OF_ACCOUNT: u32 = 20;

/// Wrong passwords of an account, from a network that it has logged in from, after which that counts no more.
const FREE_OF_PAIR: u32 = 10;

/// The first wait; each further failure doubles it.
const FIRST: Duration = Duration::from_secs(1);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(60);

/// Failures are forgotten after this time without another one.
const FORGOTTEN: Duration = Duration::from_secs(15 * 60);

/// How long a right password speaks for its account at its network.
const KNOWN: Duration = Duration::from_secs(24 * 60 * 60);

/// How many wrong credentials are known when they come again.
const REMEMBERED: usize = 8;

/// The most entries of each table.
const MOST: usize = 8192;

/// The failures of networks and accounts.
#[derive(Debug)]
pub(crate) struct Backoff {
    hasher: RandomState,
    start: Instant,
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    networks: HashMap<u64, Failures>,
    accounts: HashMap<u64, Failures>,
    /// Accounts with networks that they have logged in from
    known: HashMap<u64, Known>,
}

/// Wrong credentials of one network, or of one account.
#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    /// Hashes of the last ones, the next of which has its place after `count`
    last: [u64; REMEMBERED],
    /// When they came
    at: Duration,
    /// Until when the next guess has to wait
    until: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    at: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            start: Instant::now(),
            tables: Mutex::default(),
        }
    }

    /// Whether credentials from `network` may be checked now.
    ///
    /// # Errors
    ///
    /// The time after which they may.
    pub(crate) fn admit(&self, basic: &Basic, network: Option<Network>) -> Result<(), Duration> {
        self.admit_at(self.start.elapsed(), basic, network)
    }

    /// Notes that credentials were right.
    pub(crate) fn succeeded(&self, basic: &Basic, network: Option<Network>) {
        self.succeeded_at(self.start.elapsed(), basic, network);
    }

    /// Notes that credentials were wrong.
    pub(crate) fn failed(&self, basic: &Basic, network: Option<Network>) {
        self.failed_at(self.start.elapsed(), basic, network);
    }

    fn admit_at(&self, now: Duration, basic: &Basic, network: Option<Network>) -> Result<(), Duration> {
        let guess = self.guess(basic);
        let mut tables = self.tables.lock();
        if let Some(known) = tables.known.get(&self.pair(basic, network))
            && now < known.at + KNOWN
        {
            return Ok(());
        }
        let account = self.hasher.hash_one(basic.name());
        let network = network.map(|network| self.hasher.hash_one(network));
        let Tables {
            networks, accounts, ..
        } = &mut *tables;
        let of_network = network.and_then(|network| Some((networks.get_mut(&network)?, FREE_OF_NETWORK)));
        let of_account = accounts
            .get_mut(&account)
            .map(|failures| (failures, FREE_OF_ACCOUNT));
        let mut counted: Vec<(&mut Failures, u32)> = [of_network, of_account].into_iter().flatten().collect();
        counted.retain(|(failures, _)| now < failures.at + FORGOTTEN && !failures.last.contains(&guess));
        let waits = counted
            .iter()
            .map(|(failures, _)| failures.until.saturating_sub(now));
        match waits.max() {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                // The others wait for the outcome of this one.
                for (failures, free) in counted {
                    failures.until = now + wait_after(failures.count + 1, free);
                }
                Ok(())
            }
        }
    }

    fn succeeded_at(&self, now: Duration, basic: &Basic, network: Option<Network>) {
        let mut tables = self.tables.lock();
        // Those of the network stay: a guesser may have an account of its own.
        tables.accounts.remove(&self.hasher.hash_one(basic.name()));
        let known = Known { at: now, failures: 0 };
        insert(&mut tables.known, self.pair(basic, network), known, |known| {
            known.at
        });
    }

    fn failed_at(&self, now: Duration, basic: &Basic, network: Option<Network>) {
        let guess = self.guess(basic);
        let mut tables = self.tables.lock();
        let pair = self.pair(basic, network);
        if let Some(known) = tables.known.get_mut(&pair) {
            known.failures += 1;
            if known.failures >= FREE_OF_PAIR {
                tables.known.remove(&pair);
            }
        }
        if let Some(network) = network {
            let key = self.hasher.hash_one(network);
            note(&mut tables.networks, key, guess, now, FREE_OF_NETWORK);
        }
        let key = self.hasher.hash_one(basic.name());
        note(&mut tables.accounts, key, guess, now, FREE_OF_ACCOUNT);
    }

    fn guess(&self, basic: &Basic) -> u64 {
        self.hasher.hash_one((basic.name(), basic.password()))
    }

    fn pair(&self, basic: &Basic, network: Option<Network>) -> u64 {
        self.hasher.hash_one((basic.name(), network))
    }
}

/// Counts a guess, unless it is one of the last ones again.
fn note(table: &mut HashMap<u64, Failures>, key: u64, guess: u64, now: Duration, free: u32) {
    let before = table
        .get(&key)
        .copied()
        .filter(|failures| now < failures.at + FORGOTTEN);
    let mut failures = before.unwrap_or(Failures {
        count: 0,
        last: [0; REMEMBERED],
        at: now,
        until: now,
    });
    failures.at = now;
    if !failures.last.contains(&guess) {
        failures.last[failures.count as usize % REMEMBERED] = guess;
        failures.count = failures.count.saturating_add(1);
        failures.until = now + wait_after(failures.count, free);
    }
    insert(table, key, failures, |failures| failures.at);
}

/// How long the next guess waits after so many.
fn wait_after(count: u32, free: u32) -> Duration {
    match count.checked_sub(free) {
        None | Some(0) => Duration::ZERO,
        Some(over) => FIRST.saturating_mul(1 << (over - 1).min(16)).min(LONGEST),
    }
}

/// Inserts an entry, in place of the oldest one if there is no room.
fn insert<T>(table: &mut HashMap<u64, T>, key: u64, entry: T, at: impl Fn(&T) -> Duration) {
    if table.len() >= MOST && !table.contains_key(&key) {
        let oldest = table.iter().min_by_key(|(_, entry)| at(entry));
        if let Some(oldest) = oldest.map(|(&key, _)| key) {
            table.remove(&oldest);
        }
    }
    table.insert(key, entry);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str) -> Option<Network> {
        Some(Network::of(address.parse().unwrap()))
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn guess(name: &str, number: u32) -> Basic {
        Basic::new(name, number.to_string().as_bytes())
    }

    /// Lets a client at `address` guess `count` passwords of `name`.
    fn attack(backoff: &Backoff, name: &str, address: &str, count: u32) {
        for number in 0..count {
            backoff.failed_at(seconds(1), &guess(name, number), network(address));
        }
    }

    #[test]
    fn a_guesser_waits_longer_and_longer_and_is_forgotten() {
        let backoff = Backoff::new();
        let wait = |now| backoff.admit_at(now, &guess("alice", 999), network("192.0.2.1"));
        attack(&backoff, "alice", "192.0.2.1", FREE_OF_ACCOUNT);
        assert_eq!(wait(seconds(1)), Ok(()));
        for (number, expected) in (1000..).zip([1, 2, 4, 8, 16, 32, 60, 60]) {
            backoff.failed_at(seconds(1), &guess("alice", number), network("192.0.2.1"));
            assert_eq!(wait(seconds(1)), Err(seconds(expected)));
        }
        assert_eq!(wait(seconds(61)), Ok(()));
        backoff.failed_at(seconds(2000), &guess("alice", 5), network("192.0.2.1"));
        assert_eq!(wait(seconds(2000)), Ok(()));
    }

    #[test]
    fn guesses_at_many_accounts_count_for_their_network() {
        let backoff = Backoff::new();
        for number in 0..=FREE_OF_NETWORK {
            let basic = guess(&format!("user{number}"), number);
            backoff.failed_at(seconds(1), &basic, network("2001:db8::1"));
        }
        let admit = |address| backoff.admit_at(seconds(1), &guess("other", 1), network(address));
        assert!(admit("2001:db8::ffff").is_err(), "the same /64");
        assert!(admit("2001:db8:0:1::1").is_ok());
    }

    #[test]
    fn a_machine_that_repeats_a_wrong_password_is_no_guesser() {
        let backoff = Backoff::new();
        for second in 0..1000 {
            let basic = guess("alice", 1);
            assert_eq!(
                backoff.admit_at(seconds(second), &basic, network("192.0.2.1")),
                Ok(())
            );
            backoff.failed_at(seconds(second), &basic, network("192.0.2.1"));
        }
    }

    #[test]
    fn machines_with_several_old_passwords_are_no_guessers() {
        let backoff = Backoff::new();
        for second in 0..1000 {
            for number in 0..u32::try_from(REMEMBERED).unwrap() {
                let basic = guess("alice", number);
                assert_eq!(
                    backoff.admit_at(seconds(second), &basic, network("192.0.2.1")),
                    Ok(())
                );
                backoff.failed_at(seconds(second), &basic, network("192.0.2.1"));
            }
        }
    }

    #[test]
    fn guesses_that_come_at_once_wait_for_each_other() {
        let backoff = Backoff::new();
        attack(&backoff, "alice", "192.0.2.1", FREE_OF_ACCOUNT);
        let admit = |number| backoff.admit_at(seconds(1), &guess("alice", number), network("192.0.2.9"));
        assert_eq!(admit(1000), Ok(()));
        assert_eq!(admit(1001), Err(seconds(1)), "the first is still being checked");
    }

    #[test]
    fn a_guesser_locks_no_user_out_where_that_user_works() {
        let backoff = Backoff::new();
        let right = Basic::new("alice", b"right");
        backoff.succeeded_at(seconds(1), &right, network("192.0.2.7"));
        attack(&backoff, "alice", "192.0.2.1", 1000);
        attack(&backoff, "bob", "192.0.2.7", 1000);
        let admit = |basic: &Basic, address| backoff.admit_at(seconds(2), basic, network(address));
        assert_eq!(admit(&right, "192.0.2.7"), Ok(()));
        assert!(admit(&right, "192.0.2.9").is_err(), "elsewhere the account waits");
        assert!(admit(&guess("carol", 1), "192.0.2.7").is_err());
        // Guesses at the account from that network end its privilege, so they are no way around.
        attack(&backoff, "alice", "192.0.2.7", FREE_OF_PAIR);
        assert!(admit(&guess("alice", 1), "192.0.2.7").is_err());
        backoff.succeeded_at(seconds(3), &right, network("192.0.2.7"));
        assert_eq!(admit(&right, "192.0.2.9"), Ok(()));
    }

    #[test]
    fn memory_is_bounded() {
        let backoff = Backoff::new();
        let count = u32::try_from(MOST).unwrap() + 100;
        for number in 0..count {
            let basic = guess(&number.to_string(), number);
            backoff.failed_at(seconds(number.into()), &basic, None);
            backoff.succeeded_at(seconds(number.into()), &guess(&format!("u{number}"), 1), None);
        }
        let tables = backoff.tables.lock();
        assert_eq!((tables.accounts.len(), tables.known.len()), (MOST, MOST));
    }
}
