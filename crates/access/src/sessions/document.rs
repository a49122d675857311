//! Sessions as the store has them.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::{Deserialize, Serialize};

use super::secret::Hash;
use crate::{
    stamp::Stamp,
    state::{Content, WithoutDocument},
};

/// The longest text of a `User-Agent` that is kept, in bytes.
const LONGEST_AGENT: usize = 256;

/// The browser that signs in, as its request says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Browser<'a> {
    /// `User-Agent`
    pub agent: &'a str,
    /// Address of the client.
    pub address: Option<IpAddr>,
}

/// A browser that is signed in, without its secret.
#[derive(Debug)]
pub struct Session {
    account: Arc<str>,
    stamp: Stamp,
    /// When it began, in seconds since 1970.
    begun: u64,
    agent: Box<str>,
    address: Option<IpAddr>,
    times: Arc<Times>,
}

/// What changes while a session lasts, as far as this process knows. In seconds since 1970.
#[derive(Debug, Default)]
struct Times {
    /// When it was used last.
    used: AtomicU64,
    /// When the browser was last told how long it may keep the cookie.
    told: AtomicU64,
}

/// All sessions.
#[derive(Debug)]
pub(super) struct Table {
    document: Document,
    by_hash: HashMap<Hash, Arc<Session>>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) sessions: Vec<Stored>,
}

/// One session in the store. Times are in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    /// Hash of its secret, in base64url
    pub(super) sha256: String,
    pub(super) account: String,
    pub(super) stamp: String,
    pub(super) begun: u64,
    pub(super) used: u64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    agent: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
}

impl Session {
    pub(super) fn new(account: &str, stamp: Stamp, browser: Browser<'_>, now: u64) -> Self {
        let Browser { agent, address } = browser;
        Self {
            account: account.into(),
            stamp,
            begun: now,
            agent: agent[..agent.floor_char_boundary(LONGEST_AGENT)].into(),
            address,
            times: Arc::new(Times {
                used: AtomicU64::new(now),
                told: AtomicU64::new(now),
            }),
        }
    }

    /// The account that has signed in.
    pub fn account(&self) -> &Arc<str> {
        &self.account
    }

    /// The state that the user had then.
    pub(crate) fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// When it began, in seconds since 1970.
    pub fn begun(&self) -> u64 {
        self.begun
    }

    /// When it was used last, in seconds since 1970: exactly for this process, roughly for others.
    pub fn used(&self) -> u64 {
        self.times.used.load(Ordering::Relaxed)
    }

    /// The `User-Agent` of the browser; empty if it sent none.
    pub fn agent(&self) -> &str {
        &self.agent
    }

    /// The address from which the browser signed in, if it is known.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    pub(super) fn touch(&self, now: u64) {
        // Most requests find the second that they would write.
        if self.used() < now {
            self.times.used.fetch_max(now, Ordering::Relaxed);
        }
    }

    /// Whether the browser was told how long it may keep the cookie `pause` seconds ago or earlier. It counts as told from then on.
    pub(super) fn tell(&self, pause: u64, now: u64) -> bool {
        let told = self.times.told.load(Ordering::Relaxed);
        let is_due = told.saturating_add(pause) <= now;
        // Of several requests at once one tells it.
        is_due
            && self
                .times
                .told
                .compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    pub(super) fn stored(&self, hash: &Hash) -> Stored {
        Stored {
            sha256: hash.to_text(),
            account: (*self.account).to_owned(),
            stamp: self.stamp.to_string(),
            begun: self.begun,
            used: self.used(),
            agent: self.agent.clone().into(),
            address: self.address,
        }
    }

    /// `None`: the record is damaged. The session is worth no more than that its browser signs in again.
    fn read(stored: &Stored, old: Option<&Self>) -> Option<Self> {
        let times = old.map(|old| Arc::clone(&old.times)).unwrap_or_default();
        // Another process may have seen it later.
        times.used.fetch_max(stored.used, Ordering::Relaxed);
        times.told.fetch_max(stored.begun, Ordering::Relaxed);
        Some(Self {
            account: stored.account.as_str().into(),
            stamp: stored.stamp.parse().ok()?,
            begun: stored.begun,
            agent: stored.agent.as_str().into(),
            address: stored.address,
            times,
        })
    }
}

impl Table {
    /// The session with a secret of this hash. The search tells nothing by its time: the hash of a guess says nothing about the guess
    /// that would be right.
    pub(super) fn find(&self, hash: &Hash) -> Option<&Arc<Session>> {
        self.by_hash.get(hash)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Stored, &Arc<Session>)> {
        self.document.sessions.iter().filter_map(|stored| {
            let session = self.by_hash.get(&Hash::of_text(&stored.sha256)?)?;
            Some((stored, session))
        })
    }

    /// All sessions with the hashes of their secrets.
    pub(super) fn hashed(&self) -> impl Iterator<Item = (&Hash, &Arc<Session>)> {
        self.by_hash.iter()
    }
}

impl Content for Table {
    const WHAT: &'static str = "sessions of browsers";
    const VERSION: u32 = 2;
    // A browser signs in again, and that is all that is lost.
    const WITHOUT: WithoutDocument = WithoutDocument::BeginAnew;
    type Document = Document;
    type Context = ();

    fn read(document: Document, (): &(), old: Option<&Self>) -> Result<Self, String> {
        let mut by_hash = HashMap::with_capacity(document.sessions.len());
        for stored in &document.sessions {
            let Some(hash) = Hash::of_text(&stored.sha256) else {
                continue;
            };
            let before = old.and_then(|old| old.by_hash.get(&hash));
            if let Some(session) = Session::read(stored, before.map(|before| &**before)) {
                by_hash.insert(hash, Arc::new(session));
            }
        }
        Ok(Self { document, by_hash })
    }

    fn document(&self) -> &Document {
        &self.document
    }
}
