//! Sessions of browsers: an account that has signed in with its password, and is known by a cookie from then on.
//!
//! **What is stored.** The hash of a random secret, the account, the [stamp](crate::stamp) of its user, two times, and what the browser
//! said of itself when it signed in, in one [document](crate::state) of the store, so that both engines and several replicas know the same sessions. The secret itself is in the
//! cookie alone: reading the store, a backup of it or a log signs no client in.
//!
//! **When a session ends.** After some time without use; after some time in all; when the browser signs out; and, at the very next
//! request, when the user is removed or has another password, because the stamp in the record is compared with the password file that
//! is in force ([`Access::of_session`](crate::Access::of_session)). Rights are no part of a session: they are asked for at each request.
//!
//! **Several replicas.** A browser that has signed in at one replica may send its next request to another one. That one does not know
//! the secret, and looks at the store before it says so: one look at a time, which all requests share that came before it began, so
//! cookies that were made up cost no more than four small conditional
//! reads in a second. A session that was ended at one replica is
//! known to the others until their next look, at most [`INTERVAL`](crate::state::INTERVAL).
//!
//! **Bounds.** An account has at most [`MOST_OF_ACCOUNT`] sessions and the registry at most [`MOST`]; beyond that the one that was used
//! the longest time ago makes room. Only a right password makes a session, so no client without one fills the table. Times of use are
//! written in batches, and only when they differ much from what is written.
//!
//! **A store that fails**, because it is full, for reading alone or away, is what an administrator needs to sign in for. Then the
//! session is kept in the memory of this process: it is as good there, the other replicas do not know it, and it ends with the process.
//! A session that ends then is remembered as ended, and removed as soon as the store can be written. A document that is damaged counts as
//! one without sessions, and the next browser that signs in replaces it.

mod document;
mod secret;

pub use document::{Browser, Session};
pub use secret::{Secret, SecretError};

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use tokio::time::Instant;
use wharf_storage::{Storage, layout};
use wharf_workers::{Error as WorkError, Periodic, Worker};

use self::{
    document::{Document, Table},
    secret::Hash,
};
use crate::{
    password::NoRandomness,
    stamp::Stamp,
    state::{State, StateError, seconds},
};

/// The most sessions of a registry.
pub const MOST: usize = 5_000;

/// The most sessions of one account.
pub const MOST_OF_ACCOUNT: usize = 50;

/// The most sessions that are in the memory of this process because they could not be written.
const MOST_UNWRITTEN: usize = 100;

/// The pause between two looks for sessions that are not known: a bucket bills each.
const PAUSE: Duration = Duration::from_millis(250);

/// The most of these of one account, so that none takes the room of all.
const MOST_UNWRITTEN_OF_ACCOUNT: usize = 5;

/// How often times of use are written, and sessions that have ended are removed.
const BATCH: Duration = Duration::from_secs(60);

/// A time of use is written when it is later than the written one by this part of the time without use: once in an hour, as it is by
/// default.
const PART: u32 = 12;

/// How often a browser that is used is told how long it may keep the cookie.
const TELLING: Duration = Duration::from_secs(60);

/// How long sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// Without use. It may end earlier than that by a twelfth at another replica than the one that was used.
    pub idle: Duration,
    /// In all.
    pub whole: Duration,
}

/// The sessions of a registry. Clones share everything.
#[derive(Debug, Clone)]
pub struct Sessions {
    table: State<Table>,
    lifetimes: Lifetimes,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Sessions that could not be written.
    unwritten: Mutex<HashMap<Hash, Arc<Session>>>,
    /// Sessions that have ended, and are not removed from the store yet.
    ended: Mutex<HashSet<Hash>>,
    /// Held by a look for a session that is not known; when the last one ended.
    looking: tokio::sync::Mutex<Option<Instant>>,
    /// Number of such looks that have begun.
    looks: AtomicU64,
}

/// A session in a list: what there is to know of it, and the identifier by which it is ended.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Made of the secret, and of no use to find it.
    pub id: String,
    /// The session.
    pub session: Arc<Session>,
}

impl Sessions {
    /// The sessions in `storage`, which are not read yet.
    pub fn new(storage: &Arc<dyn Storage>, lifetimes: Lifetimes) -> Self {
        Self {
            table: State::new(Arc::clone(storage), layout::sessions(), ()),
            lifetimes,
            shared: Arc::default(),
        }
    }

    /// How long they last.
    pub fn lifetimes(&self) -> Lifetimes {
        self.lifetimes
    }

    /// Reads the sessions.
    ///
    /// # Errors
    ///
    /// [`StateError`]; the sessions that were read before stay in force.
    pub async fn refresh(&self) -> Result<(), Arc<StateError>> {
        self.table.refresh().await
    }

    /// Begins a session of `account`, a user with this stamp, in this browser. The secret is for its cookie.
    ///
    /// # Errors
    ///
    /// [`NoRandomness`]; there is no session then.
    pub async fn begin(
        &self,
        (account, stamp): (&str, Stamp),
        browser: Browser<'_>,
        now: SystemTime,
    ) -> Result<Secret, NoRandomness> {
        let (secret, now) = (Secret::new()?, seconds(now));
        let (hash, session) = (secret.hash(), Session::new(account, stamp, browser, now));
        let stored = session.stored(&hash);
        let add = |document: &mut Document| {
            self.clean(document, now);
            while document
                .sessions
                .iter()
                .filter(|other| other.account == account)
                .count()
                >= MOST_OF_ACCOUNT
            {
                remove_oldest(document, |other| other == account);
            }
            while document.sessions.len() >= MOST {
                remove_oldest(document, |_| true);
            }
            document.sessions.push(stored.clone());
        };
        if let Err(error) = self.table.change(add).await {
            tracing::warn!(%error, "a session is kept in the memory of this process alone");
            self.keep_unwritten(hash, session, now);
        }
        Ok(secret)
    }

    /// The session with this secret, if it has not ended; this counts as its use.
    pub async fn find(&self, secret: &Secret, now: SystemTime) -> Option<Arc<Session>> {
        let (hash, now) = (secret.hash(), seconds(now));
        let found = match self.known(&hash) {
            Some(found) => found,
            None => {
                self.look().await;
                self.known(&hash)?
            }
        };
        let is_current = self.is_current(found.begun(), found.used(), now);
        is_current.then(|| {
            found.touch(now);
            found
        })
    }

    /// When a session that is used now ends for want of use, and when it ends in any case, in seconds since 1970.
    pub fn ends(&self, session: &Session) -> (u64, u64) {
        let Lifetimes { idle, whole } = self.lifetimes;
        (
            session.used().saturating_add(idle.as_secs()),
            session.begun().saturating_add(whole.as_secs()),
        )
    }

    /// How long the browser may keep the cookie of a session that is used now: as long as the session would last. `None`: it was told
    /// not long ago.
    pub fn cookie_age(&self, session: &Session, now: SystemTime) -> Option<Duration> {
        let now = seconds(now);
        let (idle, whole) = self.ends(session);
        let is_due = session.tell(TELLING.as_secs(), now);
        is_due.then(|| Duration::from_secs(idle.min(whole).saturating_sub(now)))
    }

    /// The same for a session that begins.
    pub fn first_cookie_age(&self) -> Duration {
        self.lifetimes.idle.min(self.lifetimes.whole)
    }

    /// The sessions of `account` that have not ended for their times, the one that was used last first. Those that other processes have
    /// made are among them, unless the store cannot be read.
    pub async fn of_account(&self, account: &str, now: SystemTime) -> Vec<Listed> {
        // What is wrong is told by the state itself, once.
        _ = self.table.refresh().await;
        let now = seconds(now);
        let mut listed = Vec::new();
        let mut list = |hash: &Hash, session: &Arc<Session>| {
            let is_current = self.is_current(session.begun(), session.used(), now);
            if is_current && **session.account() == *account && !self.has_ended(hash) {
                listed.push(Listed {
                    id: hash.to_text(),
                    session: Arc::clone(session),
                });
            }
        };
        if let Some(table) = self.table.current() {
            table.hashed().for_each(|(hash, session)| list(hash, session));
        }
        let unwritten = self.shared.unwritten.lock();
        unwritten.iter().for_each(|(hash, session)| list(hash, session));
        drop(unwritten);
        listed.sort_by(|a, b| b.session.used().cmp(&a.session.used()).then(a.id.cmp(&b.id)));
        listed
    }

    /// Ends the session with this secret, if there is one.
    ///
    /// # Errors
    ///
    /// [`StateError`]: it has ended in this process, and will elsewhere when the store can be written; [`tidy`](Self::tidy) tries again.
    pub async fn end(&self, secret: &Secret) -> Result<(), StateError> {
        self.end_these(&[secret.hash()]).await
    }

    /// Ends the session of `account` with this identifier of a [list](Self::of_account). Returns whether there was one.
    ///
    /// # Errors
    ///
    /// As of [`end`](Self::end).
    pub async fn end_listed(&self, account: &str, id: &str, now: SystemTime) -> Result<bool, StateError> {
        let listed = self.of_account(account, now).await;
        let is_listed = listed.iter().any(|listed| listed.id == id);
        let Some(hash) = Hash::of_text(id).filter(|_| is_listed) else {
            return Ok(false);
        };
        self.end_these(&[hash]).await.map(|()| true)
    }

    /// Ends all sessions of `account`, and returns how many these were.
    ///
    /// # Errors
    ///
    /// As of [`end`](Self::end).
    pub async fn end_all(&self, account: &str, now: SystemTime) -> Result<usize, StateError> {
        let listed = self.of_account(account, now).await;
        let hashes: Vec<Hash> = listed
            .iter()
            .filter_map(|listed| Hash::of_text(&listed.id))
            .collect();
        self.end_these(&hashes).await.map(|()| hashes.len())
    }

    async fn end_these(&self, hashes: &[Hash]) -> Result<(), StateError> {
        for hash in hashes {
            if self.shared.unwritten.lock().remove(hash).is_none() && self.known(hash).is_some() {
                // First here, so that it is worth nothing whatever becomes of the change.
                self.shared.ended.lock().insert(*hash);
            }
        }
        self.remove_ended().await
    }

    /// Removes from the store what has ended.
    async fn remove_ended(&self) -> Result<(), StateError> {
        let ended: HashSet<Hash> = self.shared.ended.lock().clone();
        if ended.is_empty() {
            return Ok(());
        }
        let texts: HashSet<String> = ended.iter().map(|hash| hash.to_text()).collect();
        let remove = |document: &mut Document| {
            document
                .sessions
                .retain(|session| !texts.contains(&session.sha256));
        };
        self.table.change(remove).await?;
        self.shared.ended.lock().retain(|hash| !ended.contains(hash));
        Ok(())
    }

    fn has_ended(&self, hash: &Hash) -> bool {
        self.shared.ended.lock().contains(hash)
    }

    /// Number of sessions that are known.
    pub fn count(&self) -> usize {
        let written = self.table.current().map_or(0, |table| table.iter().count());
        written + self.shared.unwritten.lock().len()
    }

    /// The worker that reads the sessions again and again.
    pub fn worker(&self) -> impl Worker + use<> {
        self.table.worker()
    }

    /// The worker that writes the times of use, and removes sessions that have ended.
    pub fn upkeep(&self) -> impl Worker + use<> {
        let sessions = self.clone();
        Periodic::new("upkeep of sessions", BATCH, BATCH, move || {
            let sessions = sessions.clone();
            async move {
                let tidied = sessions.tidy(SystemTime::now()).await;
                tidied.map(|()| String::new()).map_err(|error| {
                    tracing::warn!(%error, "could not write when sessions were used; trying again");
                    WorkError::expected(error.to_string(), BATCH)
                })
            }
        })
    }

    /// Writes the times of use that differ much from the written ones, and removes what has ended at the time `now`.
    ///
    /// # Errors
    ///
    /// [`StateError`]; both are tried again with the next batch.
    pub async fn tidy(&self, now: SystemTime) -> Result<(), StateError> {
        let now = seconds(now);
        let is_over = |session: &Arc<Session>| !self.is_current(session.begun(), session.used(), now);
        self.shared
            .unwritten
            .lock()
            .retain(|_, session| !is_over(session));
        self.remove_ended().await?;
        let Some(table) = self.table.current() else {
            return Ok(());
        };
        let step = (self.lifetimes.idle / PART).as_secs();
        let is_due = |(stored, session): (&document::Stored, &Arc<Session>)| {
            is_over(session) || session.used() > stored.used.saturating_add(step)
        };
        if !table.iter().any(is_due) {
            return Ok(());
        }
        let used: HashMap<String, u64> = table
            .iter()
            .map(|(stored, session)| (stored.sha256.clone(), session.used()))
            .collect();
        let write = |document: &mut Document| {
            for stored in &mut document.sessions {
                let used = used.get(&stored.sha256).copied().unwrap_or_default();
                stored.used = stored.used.max(used);
            }
            self.clean(document, now);
        };
        self.table.change(write).await
    }

    fn known(&self, hash: &Hash) -> Option<Arc<Session>> {
        if self.has_ended(hash) {
            return None;
        }
        let written = self.table.current();
        let written = written.as_ref().and_then(|table| table.find(hash)).cloned();
        written.or_else(|| self.shared.unwritten.lock().get(hash).cloned())
    }

    /// Looks at the store for sessions that other processes have made.
    async fn look(&self) {
        let seen = self.shared.looks.load(Ordering::Relaxed);
        let mut last = self.shared.looking.lock().await;
        // A look that began after this request came has ended meanwhile: it has found what there is to find.
        if self.shared.looks.load(Ordering::Relaxed) == seen {
            if let Some(last) = *last {
                tokio::time::sleep_until(last + PAUSE).await;
            }
            self.shared.looks.fetch_add(1, Ordering::Relaxed);
            // What is wrong is told by the state itself, once.
            _ = self.table.refresh().await;
            *last = Some(Instant::now());
        }
    }

    fn keep_unwritten(&self, hash: Hash, session: Session, now: u64) {
        let mut unwritten = self.shared.unwritten.lock();
        unwritten.retain(|_, session| self.is_current(session.begun(), session.used(), now));
        let of_account = |other: &Session| other.account() == session.account();
        while unwritten.values().filter(|other| of_account(other)).count() >= MOST_UNWRITTEN_OF_ACCOUNT {
            remove_oldest_of(&mut unwritten, of_account);
        }
        while unwritten.len() >= MOST_UNWRITTEN {
            remove_oldest_of(&mut unwritten, |_| true);
        }
        unwritten.insert(hash, Arc::new(session));
    }

    fn clean(&self, document: &mut Document, now: u64) {
        document
            .sessions
            .retain(|session| self.is_current(session.begun, session.used, now));
    }

    fn is_current(&self, begun: u64, used: u64, now: u64) -> bool {
        let Lifetimes { idle, whole } = self.lifetimes;
        now < used.saturating_add(idle.as_secs()) && now < begun.saturating_add(whole.as_secs())
    }
}

/// Removes the session that was used the longest time ago, of those of accounts that are `wanted`.
fn remove_oldest(document: &mut Document, wanted: impl Fn(&str) -> bool) {
    let sessions = document.sessions.iter().enumerate();
    let of_them = sessions.filter(|(_, session)| wanted(&session.account));
    let oldest = of_them
        .min_by_key(|(_, session)| session.used)
        .map(|(place, _)| place);
    if let Some(place) = oldest {
        document.sessions.remove(place);
    }
}

/// The same of those that are in memory.
fn remove_oldest_of(sessions: &mut HashMap<Hash, Arc<Session>>, wanted: impl Fn(&Session) -> bool) {
    let of_them = sessions.iter().filter(|(_, session)| wanted(session));
    let oldest = of_them.min_by_key(|(_, session)| session.used());
    if let Some(hash) = oldest.map(|(hash, _)| *hash) {
        sessions.remove(&hash);
    }
}
