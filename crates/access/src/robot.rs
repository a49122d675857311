//! Robot tokens: secrets for programs, for some repositories and some actions, and until some day.
//!
//! A robot token acts in the name of the account that made it and never allows more than that account may do at the moment
//! of the request; it ends when the account is removed. One that the operator of the machine made, by a command, has no
//! account behind it.
//!
//! The store has the SHA-256 of each token ([`state`](crate::state)); to recognise one takes one hash and one search in
//! memory. A token that is made, revoked or rotated through this process counts at once, elsewhere within
//! [`INTERVAL`](crate::state::INTERVAL). The time of the last use is written in batches, to an object of its own. An expired
//! token is listed for a month, and then removed.

mod document;
mod secret;

pub use document::{Id, IdError, Robot, UnknownVerb, VERBS, verb};
pub use secret::{PREFIX, Secret, is_token};

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use tokio::time::Instant;
use wharf_storage::{Storage, layout};
use wharf_workers::{Error as WorkError, Unit, Work, Worker};

use self::{
    document::{Document, Stored, Tokens, Uses},
    secret::Hash,
};
use crate::{
    password::NoRandomness,
    rules::{Pattern, Verbs},
    state::{State, StateError, seconds},
};

/// The most robot tokens of a registry.
pub const MOST: usize = 10_000;

/// The most robot tokens of one account, so that no account takes the room of all.
pub const MOST_OF_ACCOUNT: usize = 100;

/// The most patterns of one token, and the longest, in bytes.
const PATTERNS: usize = 32;
const PATTERN: usize = 255;

/// The longest name of a token, in bytes.
const NAME: usize = 64;

/// How long an expired token is listed, in seconds.
const LISTED: u64 = 30 * 24 * 60 * 60;

/// How often the times of use are written.
const BATCH: Duration = Duration::from_secs(60);

/// The robot tokens of a registry. Clones share everything.
#[derive(Debug, Clone)]
pub struct Robots {
    tokens: State<Tokens>,
    uses: State<Uses>,
}

/// A robot token that is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Name: lower case letters, digits, and `.`, `_`, `-` between them
    pub name: String,
    /// Patterns of the repositories that it is for
    pub repositories: Vec<Pattern>,
    /// Actions that it is for: some of [`VERBS`]
    pub verbs: Verbs,
    /// The account that makes it; it must be a user of the password file. `None`: the operator of the machine.
    pub creator: Option<String>,
    /// How long it is good; for ever without one
    pub lifetime: Option<Duration>,
}

/// A robot token in a list. Times are in seconds since 1970.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The token without its secret
    pub robot: Arc<Robot>,
    /// When it was used last, as far as that is written, or known to this process
    pub used: Option<u64>,
    /// Whether its time has passed
    pub is_expired: bool,
}

/// Why a robot token cannot be made, found, or changed.
#[derive(Debug, thiserror::Error)]
pub enum RobotError {
    /// The name is none that a token can have.
    #[error(
        "the name of a token has 1 to {NAME} lower case letters and digits, with `.`, `_` or `-` between them; {0:?} is none"
    )]
    Name(String),
    /// A token has that name.
    #[error("there is a token `{0}` already; rotate it for a new secret, revoke it, or take another name")]
    Exists(String),
    /// No token has that name or identifier.
    #[error("there is no token with the name or the identifier `{0}`; `wharf token ls` lists them")]
    NotFound(String),
    /// It would be good for nothing.
    #[error("a token needs at least one action of `pull`, `push` and `delete`")]
    NoAction,
    /// It would be good for nothing.
    #[error("a token needs at least one pattern of repositories, such as `team/**`")]
    NoRepository,
    /// There are too many patterns, or one is too long.
    #[error("a token has at most {PATTERNS} patterns of repositories, each with at most {PATTERN} bytes")]
    Patterns,
    /// It would end at once.
    #[error("a token must be good for a second at least")]
    Lifetime,
    /// There are too many.
    #[error(
        "there are {MOST} tokens already, which is the most that a registry keeps; revoke those that are not used"
    )]
    TooMany,
    /// The account has too many.
    #[error(
        "`{0}` has {MOST_OF_ACCOUNT} tokens already, which is the most of one account; revoke those that are not used"
    )]
    TooManyOfAccount(String),
    /// The tokens cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// No random numbers.
    #[error(transparent)]
    Random(#[from] NoRandomness),
}

impl Robots {
    /// The robot tokens in `storage`, which are not read yet.
    pub fn new(storage: &Arc<dyn Storage>) -> Self {
        Self {
            tokens: State::new(Arc::clone(storage), layout::robot_tokens(), ()),
            uses: State::new(Arc::clone(storage), layout::robot_token_uses(), ()),
        }
    }

    /// Reads the tokens.
    ///
    /// # Errors
    ///
    /// [`StateError`]; the tokens that were read before stay in force.
    pub async fn refresh(&self) -> Result<(), Arc<StateError>> {
        // That the times of use cannot be read is told, and keeps no token from working.
        _ = self.uses.refresh().await;
        self.tokens.refresh().await
    }

    /// The token with this text, if it is one that is good now; this counts as its use. One hash; nothing is allocated, and
    /// nothing is read.
    pub fn recognise(&self, text: &[u8], now: SystemTime) -> Option<Arc<Robot>> {
        let hash = Hash::of(text)?;
        let tokens = self.tokens.current()?;
        Self::in_use(tokens.find(&hash)?, seconds(now))
    }

    /// The token with this identifier, if it is good now; this counts as its use. For what was issued for it.
    pub fn by_id(&self, id: Id, now: SystemTime) -> Option<Arc<Robot>> {
        let tokens = self.tokens.current()?;
        Self::in_use(tokens.by_id(id)?, seconds(now))
    }

    fn in_use(robot: &Arc<Robot>, now: u64) -> Option<Arc<Robot>> {
        robot.is_current(now).then(|| {
            robot.touch(now);
            Arc::clone(robot)
        })
    }

    /// All tokens, by their names.
    pub fn list(&self, now: SystemTime) -> Vec<Listed> {
        let Some(tokens) = self.tokens.current() else {
            return Vec::new();
        };
        let now = seconds(now);
        let mut list: Vec<Listed> = tokens.iter().map(|robot| self.listed(robot, now)).collect();
        list.sort_by(|one, other| one.robot.name().cmp(other.robot.name()));
        list
    }

    /// Makes a token. Its secret is in the answer and nowhere else.
    ///
    /// # Errors
    ///
    /// [`RobotError`]; no token was made then.
    pub async fn create(&self, wanted: &Wanted, now: SystemTime) -> Result<(Secret, Listed), RobotError> {
        check(wanted)?;
        let (secret, id, now) = (Secret::new()?, Id::new()?, seconds(now));
        let lifetime = wanted.lifetime.map(|lifetime| lifetime.as_secs());
        let actions = VERBS.into_iter().filter(|verb| wanted.verbs.has(*verb));
        let stored = Stored {
            id: id.to_string(),
            name: wanted.name.clone(),
            sha256: URL_SAFE_NO_PAD.encode(secret.hash().0),
            repositories: wanted.repositories.iter().map(ToString::to_string).collect(),
            actions: actions.map(|verb| verb.as_str().to_owned()).collect(),
            creator: wanted.creator.clone(),
            created: now,
            expires: lifetime.map(|lifetime| now.saturating_add(lifetime)),
        };
        let add = |document: &mut Document| {
            clean(document, now);
            if document.tokens.iter().any(|token| token.name == stored.name) {
                return Err(RobotError::Exists(stored.name.clone()));
            }
            if document.tokens.len() >= MOST {
                return Err(RobotError::TooMany);
            }
            if let Some(creator) = &stored.creator {
                let is_of_account = |token: &&Stored| token.creator.as_ref() == Some(creator);
                if document.tokens.iter().filter(is_of_account).count() >= MOST_OF_ACCOUNT {
                    return Err(RobotError::TooManyOfAccount(creator.clone()));
                }
            }
            document.tokens.push(stored.clone());
            Ok(())
        };
        self.tokens.change(add).await??;
        Ok((secret, self.named(id, &wanted.name, now)?))
    }

    /// Ends the token with this name or identifier.
    ///
    /// # Errors
    ///
    /// [`RobotError`]; the token is as good as before then.
    pub async fn revoke(&self, which: &str, now: SystemTime) -> Result<Listed, RobotError> {
        let found = self.find(which, now).await?;
        let id = found.robot.id().to_string();
        let remove = |document: &mut Document| document.tokens.retain(|token| token.id != id);
        self.tokens.change(remove).await?;
        Ok(found)
    }

    /// Ends all tokens that the account `creator` made, and returns their names, in order.
    ///
    /// # Errors
    ///
    /// [`RobotError`]; the tokens are as good as before then.
    pub async fn revoke_of(&self, creator: &str) -> Result<Vec<String>, RobotError> {
        let remove = |document: &mut Document| {
            let is_theirs = |token: &mut Stored| token.creator.as_deref() == Some(creator);
            let removed = document.tokens.extract_if(.., is_theirs);
            removed.map(|token| token.name).collect::<Vec<_>>()
        };
        let mut names = self.tokens.change(remove).await?;
        names.sort_unstable();
        Ok(names)
    }

    /// Gives the token with this name or identifier another secret, and ends the old one. A lifetime begins anew, as long as
    /// it was, or as `lifetime` says.
    ///
    /// # Errors
    ///
    /// [`RobotError`]; the token is as good as before then.
    pub async fn rotate(
        &self,
        which: &str,
        lifetime: Option<Duration>,
        now: SystemTime,
    ) -> Result<(Secret, Listed), RobotError> {
        if lifetime.is_some_and(|lifetime| lifetime < Duration::from_secs(1)) {
            return Err(RobotError::Lifetime);
        }
        let found = self.find(which, now).await?;
        let (id, now) = (found.robot.id(), seconds(now));
        let (text, secret) = (id.to_string(), Secret::new()?);
        let lifetime = lifetime.map(|lifetime| lifetime.as_secs());
        let replace = |document: &mut Document| {
            let token = document.tokens.iter_mut().find(|token| token.id == text)?;
            let before = token.expires.map(|expires| expires.saturating_sub(token.created));
            token.sha256 = URL_SAFE_NO_PAD.encode(secret.hash().0);
            token.expires = lifetime.or(before).map(|lifetime| now.saturating_add(lifetime));
            token.created = now;
            Some(())
        };
        let replaced = self.tokens.change(replace).await?;
        replaced.ok_or_else(|| RobotError::NotFound(which.to_owned()))?;
        Ok((secret, self.named(id, which, now)?))
    }

    /// The token with this name or identifier, as the store has it now.
    ///
    /// # Errors
    ///
    /// [`RobotError::NotFound`], and [`RobotError::State`] when that cannot be told.
    pub async fn find(&self, which: &str, now: SystemTime) -> Result<Listed, RobotError> {
        // A change that changes nothing: it reads, and fails as a change would.
        let id = self.tokens.change(|document| id_of(document, which)).await?;
        let id = id.ok_or_else(|| RobotError::NotFound(which.to_owned()))?;
        if self
            .tokens
            .current()
            .is_none_or(|tokens| tokens.by_id(id).is_none())
        {
            // Another process made it a moment ago.
            _ = self.tokens.refresh().await;
        }
        self.named(id, which, seconds(now))
    }

    /// Why the tokens that are in force may not be the latest ones; `None` if they were read lately.
    pub fn problem(&self) -> Option<Arc<StateError>> {
        self.tokens.problem()
    }

    /// The worker that reads the tokens again and again.
    pub fn worker(&self) -> impl Worker + use<> {
        self.tokens.worker()
    }

    /// The worker that writes the times of use, and removes tokens that expired long ago.
    pub fn upkeep(&self) -> impl Worker + use<> {
        Upkeep {
            robots: self.clone(),
            next: Instant::now() + BATCH,
        }
    }

    /// Writes the times of use that are not written yet.
    ///
    /// # Errors
    ///
    /// [`StateError`]; they are tried again with the next batch.
    pub async fn write_uses(&self) -> Result<(), StateError> {
        let Some(tokens) = self.tokens.current() else {
            return Ok(());
        };
        let uses = self.uses.current();
        let written = |robot: &Robot| {
            uses.as_ref()
                .and_then(|uses| uses.0.used.get(&robot.id().to_string()))
        };
        let is_new = |robot: &Arc<Robot>| robot.used() > written(robot).copied().unwrap_or(0);
        if !tokens.iter().any(is_new) {
            return Ok(());
        }
        let merge = |document: &mut document::UsesDocument| {
            let is_there = |id: &String| id.parse().is_ok_and(|id| tokens.by_id(id).is_some());
            document.used.retain(|id, _| is_there(id));
            for robot in tokens.iter().filter(|robot| robot.used() > 0) {
                let used = document.used.entry(robot.id().to_string()).or_default();
                *used = robot.used().max(*used);
            }
        };
        self.uses.change(merge).await
    }

    /// Removes the tokens that expired long before `now`.
    async fn clean(&self, now: u64) -> Result<(), StateError> {
        let is_old = |robot: &Arc<Robot>| robot.expires().is_some_and(|expires| expires + LISTED < now);
        match self.tokens.current() {
            Some(tokens) if tokens.iter().any(is_old) => {
                self.tokens.change(|document| clean(document, now)).await
            }
            _ => Ok(()),
        }
    }

    fn named(&self, id: Id, name: &str, now: u64) -> Result<Listed, RobotError> {
        let tokens = self.tokens.current();
        let robot = tokens.as_ref().and_then(|tokens| tokens.by_id(id));
        let robot = robot.ok_or_else(|| RobotError::NotFound(name.to_owned()))?;
        Ok(self.listed(robot, now))
    }

    fn listed(&self, robot: &Arc<Robot>, now: u64) -> Listed {
        let uses = self.uses.current();
        let written = uses.and_then(|uses| uses.0.used.get(&robot.id().to_string()).copied());
        let used = written.unwrap_or(0).max(robot.used());
        Listed {
            robot: Arc::clone(robot),
            used: (used > 0).then_some(used),
            is_expired: !robot.is_current(now),
        }
    }
}

/// Writes the times of use.
struct Upkeep {
    robots: Robots,
    next: Instant,
}

impl Worker for Upkeep {
    fn name(&self) -> String {
        "upkeep of robot tokens".to_owned()
    }

    async fn work(&mut self) -> Unit {
        if Instant::now() < self.next {
            return Ok(Work::Idle);
        }
        self.next = Instant::now() + BATCH;
        // What other replicas have written is listed here as well.
        _ = self.robots.uses.refresh().await;
        let written = self.robots.write_uses().await;
        let cleaned = self.robots.clean(seconds(SystemTime::now())).await;
        match written.and(cleaned) {
            Ok(()) => Ok(Work::Idle),
            Err(error) => {
                tracing::warn!(%error, "could not write when robot tokens were used; trying again");
                Err(WorkError::expected(error.to_string(), BATCH))
            }
        }
    }

    async fn wait(&mut self) {
        tokio::time::sleep_until(self.next).await;
    }

    async fn drain(&mut self) {
        if let Err(error) = self.robots.write_uses().await {
            tracing::warn!(%error, "could not write when robot tokens were used last");
        }
    }
}

fn check(wanted: &Wanted) -> Result<(), RobotError> {
    if !is_name(&wanted.name) {
        return Err(RobotError::Name(wanted.name.chars().take(NAME).collect()));
    }
    if wanted.repositories.is_empty() {
        return Err(RobotError::NoRepository);
    }
    let is_long = |pattern: &Pattern| pattern.to_string().len() > PATTERN;
    if wanted.repositories.len() > PATTERNS || wanted.repositories.iter().any(is_long) {
        return Err(RobotError::Patterns);
    }
    if !VERBS.into_iter().any(|verb| wanted.verbs.has(verb)) {
        return Err(RobotError::NoAction);
    }
    let is_short = |lifetime: Duration| lifetime < Duration::from_secs(1);
    if wanted.lifetime.is_some_and(is_short) {
        return Err(RobotError::Lifetime);
    }
    Ok(())
}

/// Names cannot be taken for identifiers, because a command takes either: such a name would end another token.
fn is_name(name: &str) -> bool {
    let is_of_names = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    let is_edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    name.len() <= NAME
        && name.bytes().all(is_of_names)
        && is_edge(name.bytes().next())
        && is_edge(name.bytes().next_back())
        && name.parse::<Id>().is_err()
}

fn id_of(document: &Document, which: &str) -> Option<Id> {
    let mut tokens = document.tokens.iter();
    let token = tokens.find(|token| token.name == which || token.id == which)?;
    token.id.parse().ok()
}

fn clean(document: &mut Document, now: u64) {
    let is_listed = |token: &Stored| {
        token
            .expires
            .is_none_or(|expires| expires.saturating_add(LISTED) >= now)
    };
    document.tokens.retain(is_listed);
}
