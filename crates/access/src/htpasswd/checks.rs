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
//! bounded number wait; further ones get "busy" at once. Networks of clients have their turns one after the other, and
//! each network, and each name, may fill a part of that room; see [`admission`](super::admission). Requests with the same
//! credentials share one check, so the many connections of one client that just started count once. Remembered passwords
//! do not wait at all.
//!
//! **Names do not leak**, neither by time nor by refusals. For a name that is not in the file a hash is computed as well,
//! of a cost that occurs in the file: which one is a keyed function of the name, so that asking again tells nothing. It
//! waits for the same turn, in the same room. A wrong password is hashed also when the right one is remembered and it is
//! known to be wrong at once.

use std::{
    future,
    sync::{Arc, Weak, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use parking_lot::Mutex;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use tokio::time;
use tracing::Instrument as _;
use wharf_workers::{Periodic, Worker};

use super::{
    admission::{Admission, Admitted, Conclusion, Demand, Outcome},
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

/// The most checks at a time, however many processors there are: they use the threads that also read blobs.
const AT_A_TIME: usize = 4;

/// A password that was not used for this long is forgotten.
const IDLE: Duration = Duration::from_secs(10 * 60);

/// The priority of the thread that looks for weak passwords, of 1 to 19: the lowest.
const LOWEST: i32 = 19;

/// How often the sweeper looks for such passwords.
const SWEEP: Duration = Duration::from_secs(60);

/// The most time, of a processor, that is spent on looking for weak passwords.
const WEAK_BUDGET: Duration = Duration::from_secs(20);

/// The password checks of one file.
#[derive(Debug)]
pub(super) struct Checks {
    key: Key,
    admission: Admission,
    sweeper: Arc<Sweeper>,
}

/// The purpose of a keyed hash: no hash is valid for two purposes.
#[derive(Clone, Copy)]
enum Purpose {
    Password,
    Decoy,
    Name,
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
            admission: Admission::new(WORK, (processors / 2).clamp(1, AT_A_TIME)),
            sweeper: Arc::default(),
        })
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
        let mut outcome = self.join_or_start(user, hash, basic, network)?;
        // The sender is dropped without an outcome only if the check panicked, or the runtime ends.
        let conclusion = outcome
            .wait_for(Option::is_some)
            .await
            .map_or(None, |conclusion| *conclusion);
        match (conclusion, user) {
            (Some(Conclusion::Right), Some(user)) => Ok(Arc::clone(user.name())),
            (Some(Conclusion::Right | Conclusion::Wrong), _) => Err(Reason::WrongCredentials),
            (Some(Conclusion::Displaced), _) => Err(Reason::Busy),
            (None, _) => Err(Reason::Failed),
        }
    }

    /// The outcome of the check of these credentials that is under way, or of one that begins now. `user` is the one in
    /// the file, with its `hash`; without one that is a decoy, which is treated alike.
    fn join_or_start(
        &self,
        user: Option<&Arc<User>>,
        hash: Bcrypt,
        basic: &Basic,
        network: Option<Network>,
    ) -> Result<Outcome, Reason> {
        let tag = self.key.of(basic.name(), &hash, basic.password());
        let demand = Demand {
            tag,
            network,
            name: self.key.tag(Purpose::Name, basic.name().as_bytes()),
            work: 1 << hash.cost(),
        };
        let (outcome, mut turn) = match self.admission.enter(demand)? {
            Admitted::Joined(outcome) => return Ok(outcome),
            Admitted::New(outcome, turn) => (outcome, turn),
        };
        let sweeper = Arc::clone(&self.sweeper);
        let user = user.cloned();
        let password = significant(basic.password()).to_vec();
        // A task of its own: it goes on, for the requests that wait for it, when the first client disconnects.
        let span = tracing::Span::current();
        let check = async move {
            if !turn.comes().await {
                return;
            }
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
                Ok(true) => turn.end(Conclusion::Right),
                Ok(false) => turn.end(Conclusion::Wrong),
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
        wharf_workers::lower_priority(LOWEST);
        let is_complete =
            find_weak_passwords(&users, WEAK_BUDGET, thread::sleep, User::warn_of_weak_password);
        if !is_complete {
            tracing::debug!("stopped looking for weak passwords: it takes too long");
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

/// Tries well-known passwords on each of `users`, and calls `found` for each that is right. `rest` is called after each try with
/// the time that it took. Returns whether all were tried before the tries took more than `budget`.
pub(super) fn find_weak_passwords(
    users: &Users,
    budget: Duration,
    rest: impl Fn(Duration),
    mut found: impl FnMut(&User),
) -> bool {
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
                found(user);
            }
            let took = began.elapsed();
            spent += took;
            if spent > budget {
                return false;
            }
            rest(took);
        }
        if !is_left {
            break;
        }
    }
    true
}

#[cfg(test)]
mod tests {
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

    /// Checks with room for `work` of the least cost, of which none begins.
    fn held(work: u64) -> Checks {
        let mut checks = Checks::new().unwrap();
        checks.admission = Admission::new(work << password::MIN_COST, 0);
        checks
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
        checks.join_or_start(user, hash, &Basic::new(name, password.as_bytes()), network)
    }

    #[tokio::test]
    async fn equal_requests_share_a_check_and_too_many_are_refused() {
        let checks = held(64);
        let users = users(&format!("{}{}", entry("alice", "pw"), entry("bob", "pw")));
        let start = |name: &str, password: &str| start(&checks, &users, (name, password), None);
        let outcomes: Vec<_> = (0..16)
            .map(|number| start("alice", &format!("guess{number}")).unwrap())
            .collect();
        assert_eq!(start("alice", "pw").err(), Some(Reason::Busy));
        let mut joined = start("alice", "guess7").unwrap();
        assert!(joined.same_channel(&outcomes[7]), "the same as one that waits");
        assert!(start("bob", "pw").is_ok(), "another name has room of its own");
        assert!(joined.borrow_and_update().is_none());
    }

    #[tokio::test]
    async fn a_name_that_is_not_in_the_file_meets_refusals_as_one_that_is() {
        let users = users(&entry("alice", "pw"));
        let refusals = |name: &str| -> Vec<bool> {
            let checks = held(128);
            let guess = |number: u8| {
                start(
                    &checks,
                    &users,
                    (name, &format!("guess{number}")),
                    network(number % 3),
                )
            };
            (0..48).map(|number| guess(number).is_err()).collect()
        };
        let of_user = refusals("alice");
        assert_eq!(of_user.iter().filter(|is_refused| **is_refused).count(), 16);
        assert_eq!(refusals("stranger"), of_user);
    }

    #[tokio::test]
    async fn each_guess_at_a_name_that_is_not_in_the_file_has_a_check_of_its_own() {
        let checks = held(64);
        let users = users(&entry("alice", "pw"));
        let guess = |number: u8| start(&checks, &users, ("stranger", &format!("{number}")), None).unwrap();
        let outcomes: Vec<Outcome> = (0..16).map(guess).collect();
        for (number, outcome) in outcomes.iter().enumerate() {
            let earlier = &outcomes[..number];
            assert!(!earlier.iter().any(|earlier| earlier.same_channel(outcome)));
        }
    }

    #[tokio::test]
    async fn a_user_logs_in_while_thousands_of_names_are_guessed() {
        let mut checks = Checks::new().unwrap();
        checks.admission = Admission::new(64 << password::MIN_COST, 1);
        let users = users(&entry("alice", "pw"));
        // Every network has room left for the checks that a user of another one needs.
        let guesses: Vec<_> = (0..5000_u32)
            .map(|number| {
                let [last, ..] = number.to_le_bytes();
                let name = format!("stranger{number}");
                start(&checks, &users, (&name, "pw"), network(last % 16))
            })
            .collect();
        assert!(guesses.iter().any(Result::is_err), "there is not room for all");
        let mut login = start(&checks, &users, ("alice", "pw"), network(100)).unwrap();
        assert_eq!(
            *login.wait_for(Option::is_some).await.unwrap(),
            Some(Conclusion::Right)
        );
    }

    #[tokio::test]
    async fn a_costly_hash_is_checked_when_nothing_else_is() {
        let mut checks = Checks::new().unwrap();
        checks.admission = Admission::new(1, 1);
        let users = users(&entry("alice", "pw"));
        let alice = Basic::new("alice", b"pw");
        assert_eq!(checks.check(&users, &alice, None).await.as_deref(), Ok("alice"));
    }
}
