//! Robot tokens as the store has them, and the times at which they were used.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use super::secret::Hash;
use crate::{
    action::{Action, Resource, Verb},
    random::{self, NoRandomness},
    rules::{Pattern, Verbs},
    stamp::Stamp,
    state::Content,
};

/// The actions that a robot token can allow.
pub const VERBS: [Verb; 3] = [Verb::Pull, Verb::Push, Verb::Delete];

/// A text is no action of a robot token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no action of a token; there are `pull`, `push` and `delete`", .0.escape_debug())]
pub struct UnknownVerb(String);

/// Identifier of a robot token, which is no secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id([u8; 6]);

/// A text is no identifier of a robot token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an identifier of a robot token has 12 digits of 0-9 and a-f")]
pub struct IdError;

/// A robot token without its secret: what it allows, until when, and in whose name.
#[derive(Debug)]
pub struct Robot {
    id: Id,
    name: Box<str>,
    /// What logs call it
    actor: Arc<str>,
    hash: Hash,
    stamp: Stamp,
    repositories: Box<[Pattern]>,
    verbs: Verbs,
    creator: Option<Arc<str>>,
    created: u64,
    expires: Option<u64>,
    /// When it was used last in this process, in seconds since 1970; 0 for never.
    used: Arc<AtomicU64>,
}

/// All robot tokens.
#[derive(Debug)]
pub(super) struct Tokens {
    document: Document,
    /// By the first bytes of their hashes
    by_hash: HashMap<[u8; 8], Arc<Robot>>,
    by_id: HashMap<Id, Arc<Robot>>,
}

/// When robot tokens were used last.
#[derive(Debug)]
pub(super) struct Uses(pub(super) UsesDocument);

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) tokens: Vec<Stored>,
}

/// One robot token in the store. Times are in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    pub(super) id: String,
    pub(super) name: String,
    /// SHA-256 of the token, in base64url
    pub(super) sha256: String,
    pub(super) repositories: Vec<String>,
    pub(super) actions: Vec<String>,
    /// The account in whose name it acts; none for the operator of the machine
    pub(super) creator: Option<String>,
    pub(super) created: u64,
    pub(super) expires: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UsesDocument {
    /// By identifier, in seconds since 1970
    pub(super) used: BTreeMap<String, u64>,
}

/// The action of this name.
///
/// # Errors
///
/// [`UnknownVerb`] when no robot token can allow it.
pub fn verb(name: &str) -> Result<Verb, UnknownVerb> {
    let found = VERBS.into_iter().find(|verb| verb.as_str() == name);
    found.ok_or_else(|| UnknownVerb(name.chars().take(40).collect()))
}

impl Id {
    pub(super) fn new() -> Result<Self, NoRandomness> {
        random::bytes().map(Self)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 12 || !text.bytes().all(is_digit) {
            return Err(IdError);
        }
        let number = u64::from_str_radix(text, 16).map_err(|_| IdError)?;
        let [_, _, bytes @ ..] = number.to_be_bytes();
        Ok(Self(bytes))
    }
}

impl Robot {
    /// Identifier, which is no secret.
    pub fn id(&self) -> Id {
        self.id
    }

    /// What tokens that were fetched with it are bound to: another secret has another one.
    pub(crate) fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Name that its creator gave it; no two have one at the same time.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What logs call it: `robot:` and its name. No account has such a name.
    pub fn actor(&self) -> &Arc<str> {
        &self.actor
    }

    /// Patterns of the repositories that it is for.
    pub fn repositories(&self) -> &[Pattern] {
        &self.repositories
    }

    /// Actions that it is for.
    pub fn verbs(&self) -> Verbs {
        self.verbs
    }

    /// The account that made it, and beyond whose rights it allows nothing. `None`: the operator of the machine made it.
    pub fn creator(&self) -> Option<&Arc<str>> {
        self.creator.as_ref()
    }

    /// When it was made, in seconds since 1970.
    pub fn created(&self) -> u64 {
        self.created
    }

    /// When it ends, in seconds since 1970.
    pub fn expires(&self) -> Option<u64> {
        self.expires
    }

    /// Whether it has not ended at the time `now`, in seconds since 1970.
    pub fn is_current(&self, now: u64) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }

    /// Whether it is for `action`. That alone allows nothing: its creator must have the right as well. Allocates nothing.
    ///
    /// The catalogue is for each token that can pull something: it shows only that.
    pub fn allows(&self, action: &Action<'_>) -> bool {
        match action.resource {
            Resource::Catalog => self.verbs.has(Verb::Pull),
            Resource::Repository(name) => {
                let creator = self.creator.as_deref();
                let has_verb = match action.verb {
                    Verb::All => VERBS.into_iter().all(|verb| self.verbs.has(verb)),
                    verb => self.verbs.has(verb),
                };
                has_verb
                    && self
                        .repositories
                        .iter()
                        .any(|pattern| pattern.matches(name.as_str(), creator))
            }
        }
    }

    /// When it was used last in this process, in seconds since 1970; 0 for never.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn touch(&self, now: u64) {
        // Most requests find the second that they would write.
        if self.used() < now {
            self.used.fetch_max(now, Ordering::Relaxed);
        }
    }

    fn read(stored: &Stored, old: Option<&Tokens>) -> Result<Self, String> {
        let id: Id = stored.id.parse().map_err(|error: IdError| error.to_string())?;
        let of = |why: &dyn fmt::Display| format!("token {id}: {why}");
        let hash = URL_SAFE_NO_PAD.decode(&stored.sha256).ok();
        let hash = hash.and_then(|hash| hash.try_into().ok()).map(Hash);
        let hash = hash.ok_or_else(|| of(&"its hash is damaged"))?;
        let mut verbs = Verbs::default();
        for action in &stored.actions {
            let verb = VERBS.into_iter().find(|verb| verb.as_str() == action);
            verbs = verbs.with(verb.ok_or_else(|| of(&format_args!("`{action}` is no action")))?);
        }
        let repositories: Result<_, _> = stored
            .repositories
            .iter()
            .map(|text| Pattern::parse(text))
            .collect();
        let used = old
            .and_then(|old| old.by_id.get(&id))
            .map(|robot| Arc::clone(&robot.used));
        Ok(Self {
            id,
            name: stored.name.as_str().into(),
            actor: format!("robot:{}", stored.name).into(),
            stamp: Stamp::of_robot(&hash.0),
            hash,
            repositories: repositories.map_err(|error| of(&error))?,
            verbs,
            creator: stored.creator.as_deref().map(Into::into),
            created: stored.created,
            expires: stored.expires,
            used: used.unwrap_or_default(),
        })
    }
}

/// Two are equal if they are one token with one secret.
impl PartialEq for Robot {
    fn eq(&self, other: &Self) -> bool {
        (self.id, self.hash) == (other.id, other.hash)
    }
}

impl Eq for Robot {}

impl Tokens {
    /// The token with this hash. Allocates nothing, and compares in a time that says nothing about the hash.
    pub(super) fn find(&self, hash: &Hash) -> Option<&Arc<Robot>> {
        let robot = self.by_hash.get(&start(hash))?;
        bool::from(robot.hash.0.ct_eq(&hash.0)).then_some(robot)
    }

    pub(super) fn by_id(&self, id: Id) -> Option<&Arc<Robot>> {
        self.by_id.get(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Robot>> {
        self.by_id.values()
    }
}

impl Content for Tokens {
    const WHAT: &'static str = "robot tokens";
    const VERSION: u32 = 1;
    type Document = Document;
    type Context = ();

    fn read(document: Document, (): &(), old: Option<&Self>) -> Result<Self, String> {
        let (mut by_hash, mut by_id) = (HashMap::new(), HashMap::new());
        for stored in &document.tokens {
            let robot = Arc::new(Robot::read(stored, old)?);
            by_hash.insert(start(&robot.hash), Arc::clone(&robot));
            by_id.insert(robot.id, robot);
        }
        let count = document.tokens.len();
        if [by_hash.len(), by_id.len()] != [count, count] {
            return Err("two tokens have one identifier or one hash".to_owned());
        }
        Ok(Self {
            document,
            by_hash,
            by_id,
        })
    }

    fn document(&self) -> &Document {
        &self.document
    }
}

impl Content for Uses {
    const WHAT: &'static str = "times of use of robot tokens";
    const VERSION: u32 = 1;
    type Document = UsesDocument;
    type Context = ();

    fn read(document: UsesDocument, (): &(), _: Option<&Self>) -> Result<Self, String> {
        Ok(Self(document))
    }

    fn document(&self) -> &UsesDocument {
        &self.0
    }
}

/// What a map is searched by. The keys of the map's own hashes differ in each process, so the time of a search tells a client
/// nothing that it could use.
fn start(hash: &Hash) -> [u8; 8] {
    let mut start = [0; 8];
    start.copy_from_slice(&hash.0[..8]);
    start
}
