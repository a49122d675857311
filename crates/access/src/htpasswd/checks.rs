//! Checking passwords: what is remembered, and how much work unauthenticated clients can cause.
//!
//! A check costs what the hash demands, 5 ms at Apache's default and 76 ms at wharf's, and docker sends the
//! password with every request. So a password that was right is remembered, as HMAC-SHA256 under a key that
//! never leaves this process: what lies in memory is useless without that key, and useless once the process ends.
//! A wrong one is never remembered: each guess costs a full check.
//!
//! **Remembering is exact.** A hash is a function of the line and the password, so a second check of the same pair can
//! only have the same result. What is remembered is bound to the whole line, and lives in the object of that
//! line; it is given up after some idle minutes only so that memory does not hold it for ever.
//!
//! **Guesses cannot starve users.** Few checks run at a time, on threads apart from those that serve requests, and a
//! bounded number wait; further ones get "busy" at once. Each network of clients, and each name, may fill a part of that
//! room. Requests with the same credentials share one check, so the many connections of one client that just started
//! count once. Remembered passwords do not wait at all.
//!
//! **Names do not leak by time.** For a name that is not in the file a hash is computed as well, of a cost that occurs
//! in the file: which one is a keyed function of the name, so that asking again tells nothing. A wrong password is hashed
//! also when the right one is remembered and it is known to be wrong at once. The outcome for a name that is not there is
//! known, so when many wait for it, they share the checks of a few: they wait as long, get the same answer, and leave the
//! room to the names that are there.

use std::{
    collections::{HashMap, hash_map},
    future,
    sync::{Arc, Weak, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use parking_lot::Mutex;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use tokio::{
    sync::{Semaphore, watch},
    time,
};
use tracing::Instrument as _;
use wharf_workers::{Periodic, Worker};

use super::{
    list::{User, Users},
    memory::Tag,
};
use crate::{
    bcrypt::{Bcrypt, significant},
    credentials::Basic,
    decision::Reason,
    password,
    queue::Network,
    random::{self, NoRandomness},
};

/// The work, in rounds of bcrypt (`2^cost`), of all checks that run or wait: 128 at the default cost, or
/// about ten seconds of one processor. More checks would wait for longer than clients do.
const WORK: u64 = 128 << password::DEFAULT_COST;

/// The part of that work that guesses from one network may be: one of so many.
const NETWORKS: u64 = 2;

/// The part of that work that guesses at one name may be: one of so many.
const NAMES: u64 = 4;

/// The part of that work that guesses at names which are not in the file may be: one of so many.
const STRANGERS: u64 = 8;

/// The most checks that run or wait, however little work they are.
const WAITING: usize = 1024;

/// The most checks at a time, however many processors there are: they use the threads that also read blobs.
const AT_A_TIME: usize = 4;

/// A password that was not used for this long is forgotten.
const IDLE: Duration = Duration::from_secs(10 * 60);

/// How often the sweeper looks for such passwords.
const SWEEP: Duration = Duration::from_secs(60);

/// The most time, of a processor, that is spent on looking for weak passwords.
const WEAK_BUDGET: Duration = Duration::from_secs(20);

/// The password checks of one file.
#[derive(Debug)]
pub(super) struct Checks {
    key: Key,
    permits: Arc<Semaphore>,
    running: Arc<Mutex<Running>>,
    /// Limit of the work of all checks: [`WORK`], except in tests.
    work_limit: u64,
    sweeper: Arc<Sweeper>,
}

/// The purpose of a keyed hash: no hash is valid for two purposes.
#[derive(Clone, Copy)]
enum Purpose {
    Password,
    File,
    Decoy,
}

/// The outcome of a check: `None` until it ends.
type Outcome = watch::Receiver<Option<bool>>;

/// The checks that run or wait.
#[derive(Debug, Default)]
struct Running {
    outcomes: HashMap<Tag, Outcome>,
    /// Work of all these checks, in rounds.
    work: u64,
    /// Work of the checks in each room.
    rooms: HashMap<Room, u64>,
    /// The newest check of a name that is not in the file.
    stranger: Option<Outcome>,
}

/// A part of the work, with a limit of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Room {
    Network(Network),
    Name(Arc<str>),
    /// All names that are not in the file.
    Strangers,
}

impl Room {
    /// The part of all work that it may be: one of so many.
    fn part(&self) -> u64 {
        match self {
            Self::Network(_) => NETWORKS,
            Self::Name(_) => NAMES,
            Self::Strangers => STRANGERS,
        }
    }
}

impl Running {
    /// Whether there is room for one more check, all of whose work is at most `limit`. One check is always admitted,
    /// whatever its cost: else a user with a costly hash could never log in.
    fn has_room(&self, limit: u64, work: u64) -> bool {
        self.work == 0 || (self.work + work <= limit && self.outcomes.len() < WAITING)
    }

    /// Whether `room` has room for one more check.
    fn has_room_in(&self, room: &Room, limit: u64, work: u64) -> bool {
        let used = self.rooms.get(room).copied().unwrap_or(0);
        used == 0 || used + work <= limit / room.part()
    }
}

/// HMAC-SHA256 with its key.
#[derive(Clone)]
struct Key(Hmac<Sha256>);

impl Checks {
    pub(super) fn new() -> Result<Self, NoRandomness> {
        let key: [u8; 32] = random::bytes()?;
        // HMAC takes a key of any length; 32 bytes are the recommended one.
        let key = Key(Hmac::new(&pad(&key).into()));
        // Half of the processors stay free for requests with remembered passwords.
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            key,
            permits: Arc::new(Semaphore::new((processors / 2).clamp(1, AT_A_TIME))),
            running: Arc::default(),
            work_limit: WORK,
            sweeper: Arc::default(),
        })
    }

    /// A fingerprint of `bytes` that is good for this process only.
    pub(super) fn digest(&self, bytes: &[u8]) -> [u8; 32] {
        self.key.tag(Purpose::File, bytes)
    }

    /// The worker that forgets the passwords that were not used for some minutes.
    pub(super) fn worker(&self) -> impl Worker + use<> {
        let sweeper = Arc::clone(&self.sweeper);
        Periodic::new("password memory", SWEEP, SWEEP, move || {
            let left = sweeper.sweep(sweeper.now().saturating_sub(IDLE.as_secs()));
            future::ready(Ok(format!("passwords that are remembered: {left}")))
        })
    }

    /// Whether `password` is the one that was right for `user` before.
    pub(super) fn remembers(&self, user: &User, password: &[u8]) -> bool {
        let tag = self.key.of(user.name(), user.hash(), password);
        let memory = user.memory();
        let is_right = memory.tag.read().is_some_and(|right| right.ct_eq(&tag).into());
        if is_right {
            let now = self.sweeper.now();
            // Written once a second at most: a line of cache that many processors read.
            if memory.last_used.load(Ordering::Relaxed) != now {
                memory.last_used.store(now, Ordering::Relaxed);
            }
        }
        is_right
    }

    /// The user of these credentials; hashes the password when it is not remembered.
    pub(super) async fn check(
        &self,
        users: &Arc<Users>,
        basic: &Basic,
        network: Option<Network>,
    ) -> Result<Arc<str>, Reason> {
        let user = users.find(basic.name());
        if let Some(user) = user
            && self.remembers(user, basic.password())
        {
            return Ok(Arc::clone(user.name()));
        }
        let hash = user.map_or_else(|| self.decoy(users, basic.name()), |user| user.hash().clone());
        let tag = self.key.of(basic.name(), &hash, basic.password());
        let mut outcome = self.join_or_start(tag, user, hash, basic.password(), network)?;
        // The sender is dropped without an outcome only if the check panicked, or the runtime ends.
        let is_right = outcome
            .wait_for(Option::is_some)
            .await
            .map_or(None, |outcome| *outcome);
        match (is_right, user) {
            (Some(true), Some(user)) => Ok(Arc::clone(user.name())),
            (Some(_), _) => Err(Reason::WrongCredentials),
            (None, _) => Err(Reason::Failed),
        }
    }

    /// The outcome of the check of these credentials that is under way, or of one that begins now.
    fn join_or_start(
        &self,
        tag: Tag,
        user: Option<&Arc<User>>,
        hash: Bcrypt,
        password: &[u8],
        network: Option<Network>,
    ) -> Result<Outcome, Reason> {
        let mut running = self.running.lock();
        if let Some(outcome) = running.outcomes.get(&tag) {
            return Ok(outcome.clone());
        }
        let (limit, work) = (self.work_limit, 1 << hash.cost());
        if user.is_none()
            && let Some(stranger) = &running.stranger
            && !(running.has_room(limit, work) && running.has_room_in(&Room::Strangers, limit, work))
        {
            return Ok(stranger.clone());
        }
        let name = user.map_or(Room::Strangers, |user| Room::Name(Arc::clone(user.name())));
        let rooms: Vec<Room> = network.map(Room::Network).into_iter().chain([name]).collect();
        let fits = |room: &Room| running.has_room_in(room, limit, work);
        if !running.has_room(limit, work) || !rooms.iter().all(fits) {
            return Err(Reason::Busy);
        }
        let (sender, outcome) = watch::channel(None);
        running.outcomes.insert(tag, outcome.clone());
        running.work += work;
        for room in &rooms {
            *running.rooms.entry(room.clone()).or_default() += work;
        }
        if user.is_none() {
            running.stranger = Some(outcome.clone());
        }
        let entry = Entry {
            running: Arc::clone(&self.running),
            tag,
            work,
            rooms,
        };
        let permits = Arc::clone(&self.permits);
        let sweeper = Arc::clone(&self.sweeper);
        let user = user.cloned();
        let password = significant(password).to_vec();
        // A task of its own: it goes on, for the requests that wait for it, when the first client disconnects.
        let span = tracing::Span::current();
        let check = async move {
            let _entry = entry;
            let Ok(_permit) = permits.acquire_owned().await else {
                return;
            };
            let checked = tokio::task::spawn_blocking(move || {
                let _request = span.enter();
                let is_right = hash.verify(&password);
                match user {
                    Some(user) if is_right => {
                        sweeper.remember(&user, tag);
                        if password::well_known(user.name()).any(|known| known.as_bytes() == password) {
                            user.warn_of_weak_password();
                        }
                    }
                    Some(user) => {
                        tracing::info!(auth.user.name = %user.name().escape_debug(), "login with a wrong password");
                    }
                    // Without the name: it may be a password, typed into the wrong field.
                    None => tracing::info!("login with a name that is not in the password file"),
                }
                is_right
            });
            match checked.await {
                // The waiting requests may be gone.
                Ok(is_right) => _ = sender.send(Some(is_right)),
                Err(error) => tracing::error!(%error, "a password check panicked"),
            }
        };
        tokio::spawn(check.in_current_span());
        Ok(outcome)
    }

    /// A hash for an unknown user name, the same each time and of a cost that occurs in the file.
    fn decoy(&self, users: &Users, name: &str) -> Bcrypt {
        let tag = self.key.tag(Purpose::Decoy, name.as_bytes());
        let (salt, rest) = tag.split_at(16);
        let mut number = [0; 8];
        number.copy_from_slice(&rest[..8]);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(salt);
        Bcrypt::decoy(users.cost_by(u64::from_le_bytes(number)), bytes)
    }
}

/// One check in the list of those that run; gone when it ends, however it ends.
struct Entry {
    running: Arc<Mutex<Running>>,
    tag: Tag,
    work: u64,
    rooms: Vec<Room>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut running = self.running.lock();
        running.outcomes.remove(&self.tag);
        running.work -= self.work;
        for room in self.rooms.drain(..) {
            if let hash_map::Entry::Occupied(mut used) = running.rooms.entry(room) {
                *used.get_mut() -= self.work;
                if *used.get() == 0 {
                    used.remove();
                }
            }
        }
        if !running.rooms.contains_key(&Room::Strangers) {
            running.stranger = None;
        }
    }
}

impl Key {
    /// The keyed hash of some bytes, for one purpose.
    fn tag(&self, purpose: Purpose, bytes: &[u8]) -> Tag {
        let mut mac = self.0.clone();
        mac.update(&[purpose as u8]);
        mac.update(bytes);
        mac.finalize().into_bytes().into()
    }

    /// The keyed hash of a line and the part of a password that bcrypt reads. Parts of no fixed length have their
    /// length before them, except the last, so that no two different pairs make the same input.
    fn of(&self, name: &str, hash: &Bcrypt, password: &[u8]) -> Tag {
        let mut mac = self.0.clone();
        mac.update(&[Purpose::Password as u8]);
        for part in hash.parts() {
            mac.update(part);
        }
        mac.update(&(name.len() as u64).to_le_bytes());
        mac.update(name.as_bytes());
        mac.update(significant(password));
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// A key as HMAC wants it: filled up with zeros to the length of a block.
fn pad(key: &[u8; 32]) -> [u8; 64] {
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    block
}

/// Forgets what has not been used.
#[derive(Debug)]
struct Sweeper {
    start: time::Instant,
    remembered: Mutex<Vec<Weak<User>>>,
}

impl Default for Sweeper {
    fn default() -> Self {
        Self {
            start: time::Instant::now(),
            remembered: Mutex::default(),
        }
    }
}

impl Sweeper {
    /// Seconds since the start of the sweeper.
    fn now(&self) -> u64 {
        self.start.elapsed().as_secs()
    }

    fn remember(&self, user: &Arc<User>, tag: Tag) {
        user.memory().last_used.store(self.now(), Ordering::Relaxed);
        let was_known = user.memory().tag.write().replace(tag).is_some();
        if !was_known {
            self.remembered.lock().push(Arc::downgrade(user));
        }
    }

    /// Forgets passwords that were last used before `limit`. Returns how many are still remembered.
    fn sweep(&self, limit: u64) -> usize {
        let mut remembered = self.remembered.lock();
        remembered.retain(|user| {
            let Some(user) = user.upgrade() else { return false };
            let is_used = user.memory().last_used.load(Ordering::Relaxed) >= limit;
            if !is_used {
                user.memory().tag.write().take();
            }
            is_used
        });
        remembered.len()
    }
}

/// Tries well-known passwords on each of `users`, as long as the budget lasts, and warns the operator.
///
/// The thread yields to everything else: it has the lowest priority, and rests as long as it works.
pub(super) fn look_for_weak_passwords(users: Arc<Users>) {
    let look = move || {
        lower_priority();
        let mut spent = Duration::ZERO;
        // The likeliest guess for each user before the second for any.
        for rank in 0.. {
            let mut is_left = false;
            for user in users.iter() {
                let Some(guess) = password::well_known(user.name()).nth(rank) else {
                    continue;
                };
                is_left = true;
                let began = Instant::now();
                if user.hash().verify(guess.as_bytes()) {
                    user.warn_of_weak_password();
                }
                let took = began.elapsed();
                spent += took;
                if spent > WEAK_BUDGET {
                    tracing::debug!("stopped looking for weak passwords: it takes too long");
                    return;
                }
                thread::sleep(took);
            }
            if !is_left {
                return;
            }
        }
    };
    if let Err(error) = thread::Builder::new()
        .name("weak-passwords".to_owned())
        .stack_size(128 << 10)
        .spawn(look)
    {
        tracing::debug!(%error, "cannot look for weak passwords");
    }
}

/// Lowers the priority of the calling thread. On Linux a priority belongs to a thread, not to its process.
fn lower_priority() {
    const LOWEST: i32 = 19;
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), LOWEST) {
        tracing::debug!(%error, "cannot lower the priority of a thread");
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::OwnedSemaphorePermit;
    use wharf_workers::Supervisor;

    use super::*;

    fn users(lines: &str) -> Arc<Users> {
        Arc::new(Users::read(lines.as_bytes(), &Users::default()).unwrap().0)
    }

    fn entry(name: &str, password: &str) -> String {
        format!(
            "{name}:{}\n",
            password::hash(password.as_bytes(), password::MIN_COST).unwrap()
        )
    }

    #[tokio::test]
    async fn a_right_password_is_remembered_and_a_wrong_one_is_not() {
        let checks = Checks::new().unwrap();
        let users = users(&entry("alice", "pw"));
        let alice = users.find("alice").unwrap();
        assert_eq!(
            checks.check(&users, &Basic::new("alice", b"no"), None).await,
            Err(Reason::WrongCredentials)
        );
        assert!(alice.memory().tag.read().is_none());
        assert_eq!(
            checks
                .check(&users, &Basic::new("alice", b"pw"), None)
                .await
                .as_deref(),
            Ok("alice")
        );
        assert!(
            checks.remembers(alice, b"pw")
                && !checks.remembers(alice, b"no")
                && !checks.remembers(alice, b"")
        );
        assert_eq!(
            checks.check(&users, &Basic::new("alice", b"no"), None).await,
            Err(Reason::WrongCredentials)
        );
        assert!(checks.remembers(alice, b"pw"));
    }

    #[tokio::test]
    async fn what_is_remembered_goes_with_its_line_and_stays_with_it() {
        let checks = Checks::new().unwrap();
        let (alice, bob) = (entry("alice", "pw"), entry("bob", "pw"));
        let before = users(&format!("{alice}{bob}"));
        for name in ["alice", "bob"] {
            checks
                .check(&before, &Basic::new(name, b"pw"), None)
                .await
                .unwrap();
        }
        let after = format!("# edited\n{bob}{}", entry("alice", "pw"));
        let (after, _) = Users::read(after.as_bytes(), &before).unwrap();
        assert!(
            checks.remembers(after.find("bob").unwrap(), b"pw"),
            "bob's line is the same"
        );
        assert!(
            !checks.remembers(after.find("alice").unwrap(), b"pw"),
            "alice's line is another one"
        );
    }

    #[tokio::test]
    async fn what_is_idle_is_forgotten() {
        let checks = Checks::new().unwrap();
        let users = users(&entry("alice", "pw"));
        checks
            .check(&users, &Basic::new("alice", b"pw"), None)
            .await
            .unwrap();
        assert_eq!(checks.sweeper.sweep(0), 1, "it was just used");
        assert_eq!(checks.sweeper.sweep(u64::MAX), 0);
        assert!(!checks.remembers(users.find("alice").unwrap(), b"pw"));
        checks
            .check(&users, &Basic::new("alice", b"pw"), None)
            .await
            .unwrap();
        assert!(checks.remembers(users.find("alice").unwrap(), b"pw"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_worker_forgets_what_is_idle_and_keeps_what_is_used() {
        let checks = Checks::new().unwrap();
        let users = users(&format!("{}{}", entry("alice", "pw"), entry("bob", "pw")));
        for name in ["alice", "bob"] {
            checks
                .check(&users, &Basic::new(name, b"pw"), None)
                .await
                .unwrap();
        }
        let worker = Supervisor::default().spawn(checks.worker());
        time::sleep(IDLE / 2).await;
        assert!(checks.remembers(users.find("bob").unwrap(), b"pw"));
        time::sleep(IDLE / 2 + 2 * SWEEP).await;
        assert_eq!(worker.status().detail, "passwords that are remembered: 1");
        assert!(!checks.remembers(users.find("alice").unwrap(), b"pw"));
        assert!(checks.remembers(users.find("bob").unwrap(), b"pw"));
    }

    #[tokio::test]
    async fn names_that_are_not_there_cost_what_others_cost() {
        let checks = Checks::new().unwrap();
        let users = users(&format!(
            "{}{}",
            entry("alice", "pw"),
            entry("bob", "pw").replace("$04$", "$06$")
        ));
        let costs: Vec<u8> = (0..100)
            .map(|number| checks.decoy(&users, &format!("user{number}")).cost())
            .collect();
        assert!(
            costs.contains(&4) && costs.contains(&6) && costs.iter().all(|cost| [4, 6].contains(cost)),
            "{costs:?}"
        );
        assert_eq!(checks.decoy(&users, "eve"), checks.decoy(&users, "eve"));
        assert_eq!(
            checks.check(&users, &Basic::new("eve", b""), None).await,
            Err(Reason::WrongCredentials)
        );
        assert_eq!(
            checks.decoy(&Users::default(), "eve").cost(),
            password::DEFAULT_COST
        );
    }

    /// Checks of which none begins as long as the permits are held.
    async fn held(work_limit: u64) -> (Checks, OwnedSemaphorePermit) {
        let mut checks = Checks::new().unwrap();
        checks.work_limit = work_limit << password::MIN_COST;
        let all = u32::try_from(checks.permits.available_permits()).unwrap();
        let held = Arc::clone(&checks.permits).acquire_many_owned(all);
        let held = held.await.unwrap();
        (checks, held)
    }

    fn network(last: u8) -> Option<Network> {
        Some(Network::of([192, 0, 2, last].into()))
    }

    /// Starts a check for a user, or for a name that is not in the file.
    fn start(
        checks: &Checks,
        users: &Users,
        (name, password): (&str, &str),
        network: Option<Network>,
    ) -> Result<Outcome, Reason> {
        let user = users.find(name);
        let hash = user.map_or_else(|| checks.decoy(users, name), |user| user.hash().clone());
        let tag = checks.key.of(name, &hash, password.as_bytes());
        checks.join_or_start(tag, user, hash, password.as_bytes(), network)
    }

    #[tokio::test]
    async fn equal_requests_share_a_check_and_too_many_are_refused() {
        let (checks, held) = held(64).await;
        let users = users(&format!("{}{}", entry("alice", "pw"), entry("bob", "pw")));
        let start = |name: &str, password: &str| start(&checks, &users, (name, password), None);
        let outcomes: Vec<_> = (0..16)
            .map(|number| start("alice", &format!("guess{number}")).unwrap())
            .collect();
        assert_eq!(start("alice", "pw").err(), Some(Reason::Busy));
        assert!(start("alice", "guess7").is_ok(), "the same as one that waits");
        assert!(start("bob", "pw").is_ok(), "another name has room of its own");
        assert_eq!(checks.running.lock().outcomes.len(), 17);
        drop(held);
        for mut outcome in outcomes {
            assert_eq!(*outcome.wait_for(Option::is_some).await.unwrap(), Some(false));
        }
        assert_eq!(
            checks
                .check(&users, &Basic::new("alice", b"pw"), None)
                .await
                .as_deref(),
            Ok("alice")
        );
        let running = checks.running.lock();
        assert!(running.work == 0 && running.rooms.is_empty(), "{running:?}");
    }

    #[tokio::test]
    async fn a_user_logs_in_while_thousands_of_names_are_guessed() {
        let (checks, held) = held(64).await;
        let users = users(&entry("alice", "pw"));
        let guesses: Vec<_> = (0..5000_u32)
            .map(|number| {
                let [.., last] = number.to_le_bytes();
                let name = format!("stranger{number}");
                start(&checks, &users, (&name, "pw"), network(last)).unwrap()
            })
            .collect();
        assert_eq!(checks.running.lock().outcomes.len(), 8, "they share a few checks");
        let mut login = start(&checks, &users, ("alice", "pw"), network(1)).unwrap();
        drop(held);
        assert_eq!(*login.wait_for(Option::is_some).await.unwrap(), Some(true));
        for mut guess in guesses {
            assert_eq!(*guess.wait_for(Option::is_some).await.unwrap(), Some(false));
        }
        assert!(checks.running.lock().stranger.is_none());
    }

    #[tokio::test]
    async fn guesses_from_one_network_leave_room_for_others() {
        let (checks, _held) = held(64).await;
        let lines: String = (0..64)
            .map(|number| entry(&format!("user{number}"), "pw"))
            .collect();
        let users = users(&lines);
        let guess = |number, network| start(&checks, &users, (&format!("user{number}"), "no"), network);
        let guesses: Vec<_> = (0..64).map(|number| guess(number, network(1))).collect();
        let admitted = guesses.iter().filter(|guess| guess.is_ok()).count();
        assert_eq!(admitted, 32);
        assert!(guess(63, network(2)).is_ok() && guess(62, None).is_ok());
    }

    #[tokio::test]
    async fn a_costly_hash_is_checked_when_nothing_else_is() {
        let mut checks = Checks::new().unwrap();
        checks.work_limit = 1;
        let users = users(&entry("alice", "pw"));
        let alice = Basic::new("alice", b"pw");
        assert_eq!(checks.check(&users, &alice, None).await.as_deref(), Ok("alice"));
    }
}
