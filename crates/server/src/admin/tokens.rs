//! The robot tokens: listed, made, given another secret, revoked.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use wharf_access::{
    Access, Verb,
    robot::{self, Listed, RobotError, Robots, Secret, VERBS, Wanted},
    rules::{Pattern, Verbs},
    stamp::Stamp,
    state::StateError,
};

use super::wire;

/// How long a token is good if its creator does not say.
const LIFETIME: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// What stands for the end of a token that has none.
const NEVER: &str = "never";

/// The robot tokens of a registry.
#[derive(Debug, Clone)]
pub struct Tokens {
    robots: Robots,
    /// What knows the users; `None`: no token is made in the name of one.
    access: Option<Arc<Access>>,
}

/// Why the tokens were not listed or changed. The texts say what to do.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// A field of what is wanted is wrong.
    #[error("{text}")]
    Field {
        /// Name of the field.
        field: &'static str,
        /// What is wrong with it, and what to do.
        text: String,
    },
    /// The creator is no user of the password file.
    #[error(
        "`{}` is not in the password file, and a token acts in the name of a user of that file; add the user first",
        .0.escape_debug()
    )]
    NoUser(String),
    /// The creator was changed while the token was made.
    #[error(
        "the user `{}` was changed while the token was made, and the token is revoked; log in, and make it again",
        .0.escape_debug()
    )]
    UserChanged(String),
    /// The tokens cannot be read.
    #[error(transparent)]
    Unread(#[from] Arc<StateError>),
    /// The token cannot be made, found or changed.
    #[error(transparent)]
    Robot(#[from] RobotError),
}

impl Tokens {
    /// The tokens of a running server; `None`: it takes none.
    pub fn of(access: Arc<Access>) -> Option<Self> {
        let robots = access.token_server()?.robots().clone();
        Some(Self {
            robots,
            access: Some(access),
        })
    }

    /// The tokens in a store, for its operator.
    pub fn in_store(robots: Robots) -> Self {
        Self { robots, access: None }
    }

    /// All tokens by their names, or those that `creator` made.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn list(&self, creator: Option<&str>) -> Result<Vec<wire::Token>, TokensError> {
        // Another server of the same bucket may have made one a moment ago.
        self.robots.refresh().await?;
        let mut list = self.robots.list(SystemTime::now());
        list.retain(|listed| is_of(listed, creator));
        Ok(list.iter().map(described).collect())
    }

    /// Makes a token in the name of `creator`; `None`: in that of the operator.
    ///
    /// # Errors
    /// When what is wanted is none, the name is taken, `creator` is no user or is changed meanwhile, or the tokens cannot be changed.
    pub async fn create(
        &self,
        new: wire::NewToken,
        creator: Option<&str>,
    ) -> Result<wire::IssuedToken, TokensError> {
        let now = SystemTime::now();
        let wire::NewToken {
            name,
            repositories,
            actions,
            expires,
            lifetime,
        } = new;
        let lifetime = match expires.as_deref() {
            Some(NEVER) if lifetime.is_none() => None,
            expires => Some(lifetime_of(expires, lifetime, now)?.unwrap_or(LIFETIME)),
        };
        let wanted = Wanted {
            name,
            repositories: patterns(&repositories)?,
            verbs: match actions {
                Some(actions) => verbs(&actions)?,
                None => Verbs::default().with(Verb::Pull),
            },
            creator: creator.map(str::to_owned),
            lifetime,
        };
        let before = self.stamp_of(creator).await?;
        let (secret, listed) = self.robots.create(&wanted, now).await?;
        // The creator may have been removed meanwhile, and its tokens revoked before this one was there. Another user of the same name
        // has another stamp.
        let error = match self.stamp_of(creator).await {
            Ok(after) if after == before => return Ok(issued(&secret, &listed)),
            Ok(_) => TokensError::UserChanged(creator.unwrap_or_default().to_owned()),
            Err(error) => error,
        };
        self.robots.revoke(&listed.robot.id().to_string(), now).await?;
        Err(error)
    }

    /// Ends the token with the name or the identifier `which`. With `creator`, only one that this account made.
    ///
    /// # Errors
    /// When there is no such token, or the tokens cannot be changed.
    pub async fn revoke(&self, which: &str, creator: Option<&str>) -> Result<wire::Token, TokensError> {
        let now = SystemTime::now();
        let id = self.find(which, creator, now).await?;
        Ok(described(&self.robots.revoke(&id, now).await?))
    }

    /// Ends all tokens that the account `creator` made, as when it is removed, and returns their names, in order.
    ///
    /// # Errors
    /// When the tokens cannot be changed.
    pub async fn revoke_of(&self, creator: &str) -> Result<Vec<String>, TokensError> {
        Ok(self.robots.revoke_of(creator).await?)
    }

    /// Gives a token another secret. With `creator`, only one that this account made.
    ///
    /// # Errors
    /// When there is no such token, its new end is none, or the tokens cannot be changed.
    pub async fn rotate(
        &self,
        which: &str,
        rotation: wire::Rotation,
        creator: Option<&str>,
    ) -> Result<wire::IssuedToken, TokensError> {
        let now = SystemTime::now();
        let lifetime = lifetime_of(rotation.expires.as_deref(), rotation.lifetime, now)?;
        let id = self.find(which, creator, now).await?;
        let (secret, listed) = self.robots.rotate(&id, lifetime, now).await?;
        Ok(issued(&secret, &listed))
    }

    /// The identifier of a token. That of another account is not found, as if there were none.
    async fn find(&self, which: &str, creator: Option<&str>, now: SystemTime) -> Result<String, TokensError> {
        let found = self.robots.find(which, now).await?;
        match is_of(&found, creator) {
            true => Ok(found.robot.id().to_string()),
            false => Err(RobotError::NotFound(which.to_owned()).into()),
        }
    }

    /// The state of a creator. Refuses one that is no user of the password file.
    async fn stamp_of(&self, creator: Option<&str>) -> Result<Option<Stamp>, TokensError> {
        let Some(name) = creator else { return Ok(None) };
        let users = self.access.as_ref().and_then(|access| access.htpasswd());
        let stamp = match users {
            Some(users) => users.stamp(name).await,
            None => None,
        };
        match stamp {
            Some(stamp) => Ok(Some(stamp)),
            None => Err(TokensError::NoUser(name.to_owned())),
        }
    }
}

fn is_of(listed: &Listed, creator: Option<&str>) -> bool {
    creator.is_none() || listed.robot.creator().map(|account| &**account) == creator
}

fn patterns(texts: &[String]) -> Result<Vec<Pattern>, TokensError> {
    let pattern = |text: &String| {
        let shown: String = text.chars().take(80).collect();
        Pattern::parse(text).map_err(|error| TokensError::Field {
            field: "repositories",
            text: format!("the pattern `{}` is none: {error}", shown.escape_debug()),
        })
    };
    texts.iter().map(pattern).collect()
}

fn verbs(names: &[String]) -> Result<Verbs, TokensError> {
    names.iter().try_fold(Verbs::default(), |all, name| {
        let verb = robot::verb(name).map_err(|error| TokensError::Field {
            field: "actions",
            text: error.to_string(),
        })?;
        Ok(all.with(verb))
    })
}

/// How long a token is good from `now` on; `None`: neither of the fields says it.
fn lifetime_of(
    expires: Option<&str>,
    lifetime: Option<u64>,
    now: SystemTime,
) -> Result<Option<Duration>, TokensError> {
    let wrong = |text: &str| {
        Err(TokensError::Field {
            field: "expires",
            text: text.to_owned(),
        })
    };
    let expires = match (expires, lifetime) {
        (Some(_), Some(_)) => return wrong("`expires` and `lifetime` exclude each other; send one of them"),
        (None, lifetime) => return Ok(lifetime.map(Duration::from_secs)),
        (Some(NEVER), None) => {
            return wrong("`never` is for a new token; revoke this one, and make another without an end");
        }
        (Some(text), None) => text.parse::<Timestamp>(),
    };
    let Ok(expires) = expires else {
        return wrong(
            "`expires` is a time of RFC 3339, such as `2030-12-31T23:59:59Z`, or `never` for a new token; \
             `lifetime` takes seconds",
        );
    };
    // Whole seconds, as tokens have them.
    let now = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    match u64::try_from(expires.as_second()) {
        Ok(expires) if expires > now => Ok(Some(Duration::from_secs(expires - now))),
        _ => wrong("`expires` is in the past; a token must be good for a second at least"),
    }
}

fn issued(secret: &Secret, listed: &Listed) -> wire::IssuedToken {
    wire::IssuedToken {
        token: described(listed),
        secret: wire::Secret(secret.expose().to_owned()),
    }
}

fn described(listed: &Listed) -> wire::Token {
    let robot = &listed.robot;
    let verbs = VERBS.into_iter().filter(|verb| robot.verbs().has(*verb));
    wire::Token {
        name: robot.name().to_owned(),
        id: robot.id().to_string(),
        repositories: robot.repositories().iter().map(ToString::to_string).collect(),
        actions: verbs.map(|verb| verb.as_str().to_owned()).collect(),
        creator: robot.creator().map(ToString::to_string),
        created: time(robot.created()),
        expires: robot.expires().map(time),
        last_use: listed.used.map(time),
        state: match listed.is_expired {
            true => wire::TokenState::Expired,
            false => wire::TokenState::Active,
        },
    }
}

/// A time in seconds since 1970, as RFC 3339.
fn time(seconds: u64) -> String {
    let time = Timestamp::from_second(i64::try_from(seconds).unwrap_or(i64::MAX));
    format!("{:.0}", time.unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::disallowed_methods,
        reason = "the test is the operator, and edits the password file"
    )]

    use std::{fs, path::Path};

    use wharf_access::{
        TokenServer,
        htpasswd::Htpasswd,
        issuer::{Issuer, Options},
        password,
        token::Realm,
    };
    use wharf_storage::{
        Operation, Storage,
        faulty::{Fault, Faulty},
        object::ObjectStorage,
    };

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Replaces the password file by one with these users.
    fn write_users(path: &Path, users: &[(&str, &str)]) {
        let line = |(name, hash): &(&str, &str)| format!("{name}:{hash}\n");
        let other = path.with_extension("new");
        fs::write(&other, users.iter().map(line).collect::<String>()).unwrap();
        fs::rename(other, path).unwrap();
    }

    /// What comes of a token of alice if the password file has other `users` before the token is in the store.
    async fn made_while_users_become(users: &[(&str, &str)], hash: &str) -> (Result<(), TokensError>, usize) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("htpasswd");
        write_users(&path, &[("alice", hash)]);
        let faulty = Arc::new(Faulty::new(Arc::new(ObjectStorage::in_memory())));
        let storage: Arc<dyn Storage> = Arc::clone(&faulty) as _;
        let options = Options {
            realm: Realm::Fixed("https://hub.example/auth/token".to_owned()),
            service: "wharf".to_owned(),
            issuer: "wharf".to_owned(),
            expiry: MINUTE,
            refresh_expiry: MINUTE,
            rotation: MINUTE,
        };
        let server = TokenServer::new(Issuer::new(&storage, options), Robots::new(&storage));
        let (file, _) = Htpasswd::open(&path).unwrap();
        let access = Access::with_htpasswd("realm".to_owned(), file).with_token_server(server);
        let tokens = Tokens::of(Arc::new(access)).unwrap();
        faulty.inject(Fault::delay(MINUTE).on(Operation::Publish).key("robots").times(1));
        let wanted = wire::NewToken {
            name: "ci".to_owned(),
            repositories: vec!["**".to_owned()],
            actions: None,
            expires: None,
            lifetime: None,
        };
        let change = async {
            tokio::time::sleep(MINUTE / 2).await;
            write_users(&path, users);
        };
        let (made, ()) = tokio::join!(tokens.create(wanted, Some("alice")), change);
        assert_eq!(faulty.struck(), 1);
        (made.map(drop), tokens.list(None).await.unwrap().len())
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_whose_creator_is_removed_or_changed_while_it_is_made_is_not_kept() {
        let [hash, other] = ["one", "other"].map(|password| password::hash(password.as_bytes(), 4).unwrap());
        let (made, count) = made_while_users_become(&[("alice", &hash), ("bob", &hash)], &hash).await;
        made.unwrap();
        assert_eq!(count, 1, "a change of another user");
        let (made, count) = made_while_users_become(&[("bob", &hash)], &hash).await;
        assert!(matches!(made, Err(TokensError::NoUser(name)) if name == "alice"));
        assert_eq!(count, 0);
        let (made, count) = made_while_users_become(&[("alice", &other)], &hash).await;
        assert!(matches!(made, Err(TokensError::UserChanged(name)) if name == "alice"));
        assert_eq!(count, 0);
    }
}
