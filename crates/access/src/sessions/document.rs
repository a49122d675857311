//! Sessions as the store has them.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::secret::Hash;
use crate::{stamp::Stamp, state::Content};

/// A browser that is signed in, without its secret.
#[derive(Debug)]
pub struct Session {
    account: Arc<str>,
    stamp: Stamp,
    /// When it began, in seconds since 1970.
    begun: u64,
    /// When it was used last as far as this process knows, in seconds since 1970.
    used: Arc<AtomicU64>,
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
}

impl Session {
    pub(super) fn new(account: &str, stamp: Stamp, now: u64) -> Self {
        Self {
            account: account.into(),
            stamp,
            begun: now,
            used: Arc::new(AtomicU64::new(now)),
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

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn touch(&self, now: u64) {
        // Most requests find the second that they would write.
        if self.used() < now {
            self.used.fetch_max(now, Ordering::Relaxed);
        }
    }

    pub(super) fn stored(&self, hash: &Hash) -> Stored {
        Stored {
            sha256: text_of(hash),
            account: (*self.account).to_owned(),
            stamp: self.stamp.to_string(),
            begun: self.begun,
            used: self.used(),
        }
    }

    /// `None`: the record is damaged. The session is worth no more than that its browser signs in again.
    fn read(stored: &Stored, old: Option<&Self>) -> Option<Self> {
        let used = old.map(|old| Arc::clone(&old.used)).unwrap_or_default();
        // Another process may have seen it later.
        used.fetch_max(stored.used, Ordering::Relaxed);
        Some(Self {
            account: stored.account.as_str().into(),
            stamp: stored.stamp.parse().ok()?,
            begun: stored.begun,
            used,
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
            let session = self.by_hash.get(&hash_of(&stored.sha256)?)?;
            Some((stored, session))
        })
    }
}

impl Content for Table {
    const WHAT: &'static str = "sessions of browsers";
    const VERSION: u32 = 1;
    type Document = Document;
    type Context = ();

    fn read(document: Document, (): &(), old: Option<&Self>) -> Result<Self, String> {
        let mut by_hash = HashMap::with_capacity(document.sessions.len());
        for stored in &document.sessions {
            let Some(hash) = hash_of(&stored.sha256) else {
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

pub(super) fn text_of(hash: &Hash) -> String {
    URL_SAFE_NO_PAD.encode(hash.0)
}

fn hash_of(text: &str) -> Option<Hash> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    bytes.try_into().ok().map(Hash)
}
