//! The claims of a token: the account, the time, and the actions that it allows.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::Deserialize;
use wharf_oci::RepoName;

use super::{
    jws::object,
    limits::{ACCOUNT, ACTIONS, RESOURCES},
    rejection::Rejection,
};
use crate::{Action, Resource, Verb, binding::Binding};

/// How far the clocks of the token server and this machine may be apart.
const LEEWAY: i64 = 60;

/// The statements of a token whose signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    account: Option<Arc<str>>,
    /// The times between which the token is accepted, leeway included, in milliseconds since 1970.
    from: i64,
    until: i64,
    catalog: Rights,
    /// Sorted by name, without duplicates.
    repositories: Box<[(RepoName, Rights)]>,
    binding: Binding,
}

/// What a token must say to be for this server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) service: &'a str,
    pub(super) now: Millis,
    /// Whether the token is one of this registry, which says what it is bound to.
    pub(super) is_own: bool,
    /// The end of the certificates that vouch for the token's key, in seconds since 1970.
    pub(super) certified_until: i64,
}

/// A time in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Millis(i64);

/// A set of actions on one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Rights(u8);

/// The payload as it is written (RFC 7519, section 4.1).
#[derive(Deserialize)]
struct Payload {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Audience>,
    exp: Option<serde_json::Number>,
    nbf: Option<serde_json::Number>,
    access: Option<Vec<Entry>>,
    /// What a token of this registry is bound to. In others it may be anything.
    wharf: Option<serde_json::Value>,
}

/// [`Binding`] as a token of this registry has it.
#[derive(Deserialize)]
struct Bound {
    stamp: Option<String>,
    robot: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// The actions on one resource. Its `class` is of no account.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: Option<String>,
    name: Option<String>,
    actions: Option<Vec<String>>,
}

impl Claims {
    /// Reads the payload of a token whose signature was verified, and compares it with what is expected.
    pub(super) fn read(json: &[u8], expected: Expected<'_>) -> Result<Self, Rejection> {
        let payload: Payload =
            object(json).ok_or(Rejection::Malformed("its claims are not the JSON of a token"))?;
        if payload.iss.as_deref() != Some(expected.issuer) {
            return Err(Rejection::issuer(payload.iss.as_deref().unwrap_or_default()));
        }
        if !payload.aud.is_some_and(|audience| audience.has(expected.service)) {
            return Err(Rejection::Audience);
        }
        let expires = payload.exp.as_ref().and_then(seconds);
        let expires = expires.ok_or(Rejection::Malformed("it has no `exp` that is a time"))?;
        let begins = match &payload.nbf {
            Some(number) => seconds(number).ok_or(Rejection::Malformed("its `nbf` is not a time"))?,
            None => i64::MIN,
        };
        let mut claims = Self {
            account: account(payload.sub)?,
            from: millis(begins.saturating_sub(LEEWAY)),
            until: millis(expires.saturating_add(LEEWAY).min(expected.certified_until)),
            catalog: Rights::default(),
            repositories: Box::default(),
            binding: Binding::Time,
        };
        claims.check_time(expected.now)?;
        if expected.is_own {
            claims.binding = binding(payload.wharf, claims.account.is_some()).ok_or(Rejection::Unbound)?;
        }
        claims.take_access(payload.access.unwrap_or_default())?;
        Ok(claims)
    }

    /// The account; `None`: an anonymous client.
    pub fn account(&self) -> Option<&Arc<str>> {
        self.account.as_ref()
    }

    /// What the token ends with. Those of another token server end with their time.
    pub fn binding(&self) -> Binding {
        self.binding
    }

    /// Whether the token allows `action`.
    pub fn allows(&self, action: &Action<'_>) -> bool {
        let rights = match action.resource {
            Resource::Catalog => self.catalog,
            Resource::Repository(name) => {
                let found = self.repositories.binary_search_by(|(other, _)| other.cmp(name));
                found.map_or(Rights::default(), |place| self.repositories[place].1)
            }
        };
        rights.contain(action.verb)
    }

    /// The first repository, not before `name`, of which the token says something; `None` when there is none.
    pub(crate) fn next_repository<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        let place = self
            .repositories
            .partition_point(|(other, _)| other.as_str() < name);
        self.repositories.get(place).map(|(name, _)| name.as_str())
    }

    /// When the token ends, without the leeway.
    pub(crate) fn expires(&self) -> SystemTime {
        let end = self.until.saturating_sub(millis(LEEWAY));
        SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(end).unwrap_or(0))
    }

    /// Whether the token has begun and not ended.
    pub(super) fn are_current(&self, now: Millis) -> bool {
        (self.from..=self.until).contains(&now.0)
    }

    pub(super) fn end(&self) -> Millis {
        Millis(self.until)
    }

    /// About the memory that the claims take, in bytes.
    pub(super) fn weight(&self) -> usize {
        let names = self.repositories.iter().map(|(name, _)| name.as_str().len() + 48);
        128 + names.sum::<usize>()
    }

    fn check_time(&self, now: Millis) -> Result<(), Rejection> {
        let apart = |later: i64, earlier: i64| {
            let millis = later.saturating_sub(earlier).saturating_add(LEEWAY * 1000);
            Duration::from_millis(u64::try_from(millis).unwrap_or(0))
        };
        if now.0 > self.until {
            return Err(Rejection::Expired {
                since: apart(now.0, self.until),
            });
        }
        if now.0 < self.from {
            return Err(Rejection::NotYetValid {
                within: apart(self.from, now.0),
            });
        }
        Ok(())
    }

    /// Keeps what this server has: repositories by valid names, and the catalogue. A name that is none, such as one in
    /// upper case, with `..` or with `*`, is no repository's and allows nothing.
    fn take_access(&mut self, access: Vec<Entry>) -> Result<(), Rejection> {
        if access.len() > RESOURCES {
            return Err(Rejection::TooMuchAccess);
        }
        let mut repositories: Vec<(RepoName, Rights)> = Vec::with_capacity(access.len());
        for entry in access {
            let actions = entry.actions.unwrap_or_default();
            if actions.len() > ACTIONS {
                return Err(Rejection::TooMuchAccess);
            }
            let rights = actions
                .iter()
                .fold(Rights::default(), |all, action| all.and(Rights::named(action)));
            match (entry.kind.as_deref(), entry.name.as_deref()) {
                (Some("registry"), Some("catalog")) => self.catalog = self.catalog.and(rights),
                (Some("repository"), Some(name)) => {
                    repositories.extend(name.parse().ok().map(|name| (name, rights)));
                }
                _ => {}
            }
        }
        repositories.sort_by(|(one, _), (other, _)| one.cmp(other));
        repositories.dedup_by(|later, first| {
            let is_same = later.0 == first.0;
            if is_same {
                first.1 = first.1.and(later.1);
            }
            is_same
        });
        self.repositories = repositories.into();
        Ok(())
    }
}

impl Rights {
    const EVERY: Self = Self(1 << 7);

    fn named(action: &str) -> Self {
        match action {
            "pull" => Self::of(Verb::Pull),
            "push" => Self::of(Verb::Push),
            "delete" => Self::of(Verb::Delete),
            "*" => Self::EVERY,
            _ => Self::default(),
        }
    }

    fn of(verb: Verb) -> Self {
        match verb {
            Verb::Pull => Self(1),
            Verb::Push => Self(1 << 1),
            Verb::Delete => Self(1 << 2),
            // Either of the two.
            Verb::Cancel => Self(1 << 1 | 1 << 2),
            Verb::All => Self::EVERY,
        }
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn contain(self, verb: Verb) -> bool {
        self.0 & (Self::of(verb).0 | Self::EVERY.0) != 0
    }
}

impl Audience {
    fn has(&self, service: &str) -> bool {
        match self {
            Self::One(name) => name == service,
            Self::Several(names) => names.iter().any(|name| name == service),
        }
    }
}

impl Millis {
    pub(super) fn of(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    pub(super) fn seconds(self) -> i64 {
        self.0 / 1000
    }
}

/// A token without an account is bound to nothing but its time; every other one says to what.
fn binding(value: Option<serde_json::Value>, has_account: bool) -> Option<Binding> {
    let bound: Option<Bound> = value.map(serde_json::from_value).transpose().ok()?;
    let parts = bound.map(|bound| (bound.stamp, bound.robot)).unwrap_or_default();
    match parts {
        (Some(stamp), None) if has_account => stamp.parse().ok().map(Binding::User),
        (Some(stamp), Some(robot)) => Some(Binding::Robot(robot.parse().ok()?, stamp.parse().ok()?)),
        (None, None) if !has_account => Some(Binding::Time),
        _ => None,
    }
}

fn account(sub: Option<String>) -> Result<Option<Arc<str>>, Rejection> {
    let name = sub.unwrap_or_default();
    if name.len() > ACCOUNT || name.contains(char::is_control) {
        return Err(Rejection::Account);
    }
    Ok((!name.is_empty()).then(|| name.into()))
}

/// A `NumericDate` in whole seconds since 1970; some token servers write fractions.
fn seconds(number: &serde_json::Number) -> Option<i64> {
    if let Some(seconds) = number.as_i64() {
        return Some(seconds);
    }
    if number.is_u64() {
        return Some(i64::MAX);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what is too large becomes the largest"
    )]
    number.as_f64().map(|seconds| seconds as i64)
}

fn millis(seconds: i64) -> i64 {
    seconds.saturating_mul(1000)
}
