//! The token server of this registry: access tokens, and refresh tokens with which a client fetches them.
//!
//! An access token is a JSON Web Token as docker_auth makes them, and is verified by the same machinery as those of another
//! token server. In addition it says with what it ends ([`Binding`]): the user with the password that the user has, or a
//! robot token. A refresh token is one of another kind, for another audience, and without any access, so that neither can be
//! used as the other. It is good again and again until its time has passed, because docker never stores another one in its
//! place.

mod keys;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::time::Instant;
use wharf_storage::{Storage, layout};
use wharf_workers::{Error as WorkError, Unit, Work, Worker};

use self::keys::{ACCESS, Document, Fresh, Keys, REFRESH};
use crate::{
    Action,
    binding::Binding,
    random,
    scope::Scope,
    state::{Content as _, INTERVAL, State, StateError, seconds},
    token::{self, Algorithm, Claims, Origin, Realm, Rejection, Settings, TOKEN_LIMIT, TokenError},
};

/// How much earlier than it is made a token is valid, in seconds, for servers with clocks that are late.
const EARLIER: u64 = 10;

/// The configuration of the token server (`access.tokens`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The address at which clients fetch tokens
    pub realm: Realm,
    /// Name of this service, the audience of its tokens
    pub service: String,
    /// Name of the issuer
    pub issuer: String,
    /// How long an access token is good
    pub expiry: Duration,
    /// How long a refresh token is good
    pub refresh_expiry: Duration,
    /// How long a key signs
    pub rotation: Duration,
}

/// Makes tokens, and verifies those that it has made. Clones share everything.
#[derive(Debug, Clone)]
pub struct Issuer {
    options: Arc<Options>,
    keys: State<Keys>,
}

/// The client that a token is for.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Name of its account; none is anonymous
    pub account: Option<&'a str>,
    /// What the token ends with
    pub binding: Binding,
}

/// An access token.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The token
    pub token: String,
    /// How long it is good
    pub expires_in: Duration,
    /// When it was made
    pub issued_at: SystemTime,
}

/// Why no token can be made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// There is no key to sign with.
    #[error("there is no key that could sign a token{}", .0.as_ref().map(|why| format!(": {why}")).unwrap_or_default())]
    NoKey(Option<Arc<StateError>>),
    /// The token would be longer than this server takes.
    #[error("a token for so many scopes would have more than {TOKEN_LIMIT} bytes; ask for fewer")]
    TooLong,
    /// No random numbers.
    #[error(transparent)]
    Random(#[from] random::NoRandomness),
}

impl Issuer {
    /// A token server with its keys in `storage`. It can neither make nor verify a token before [`start`](Self::start).
    pub fn new(storage: &Arc<dyn Storage>, options: Options) -> Self {
        let settings = Settings {
            realm: options.realm.clone(),
            service: options.service.clone(),
            issuer: options.issuer.clone(),
            algorithms: [Algorithm::Es256].into_iter().collect(),
        };
        Self {
            keys: State::new(Arc::clone(storage), layout::token_keys(), settings),
            options: Arc::new(options),
        }
    }

    /// Reads the keys, and makes the first one, or another one when it is time. Several replicas that start at once agree on
    /// one key.
    ///
    /// # Errors
    ///
    /// [`StateError`]; with the keys that were read before, tokens are made and verified as before.
    pub async fn start(&self, now: SystemTime) -> Result<(), Arc<StateError>> {
        self.keys.refresh().await?;
        self.rotate(seconds(now)).await.map_err(Arc::new)
    }

    /// Reads the keys, and changes nothing: for a process that is no server.
    ///
    /// # Errors
    ///
    /// [`StateError`].
    pub async fn look(&self) -> Result<(), Arc<StateError>> {
        self.keys.refresh().await
    }

    /// A token that allows `scopes`, which are what the client may do.
    ///
    /// # Errors
    ///
    /// [`IssueError`].
    pub fn issue(
        &self,
        subject: Subject<'_>,
        scopes: &[Scope],
        now: SystemTime,
    ) -> Result<Issued, IssueError> {
        let access: Vec<Value> = scopes.iter().map(entry).collect();
        let mut claims = self.claims(subject, &self.options.service, self.options.expiry, now)?;
        claims["access"] = access.into();
        let token = self.sign(ACCESS, &claims, now)?;
        if token.len() > TOKEN_LIMIT {
            return Err(IssueError::TooLong);
        }
        Ok(Issued {
            token,
            expires_in: self.options.expiry,
            issued_at: now,
        })
    }

    /// A refresh token, for as long as the options say, or for a shorter `lifetime`.
    ///
    /// # Errors
    ///
    /// [`IssueError`].
    pub fn issue_refresh(
        &self,
        subject: Subject<'_>,
        lifetime: Option<Duration>,
        now: SystemTime,
    ) -> Result<String, IssueError> {
        let audience = Keys::refresh_audience(&self.options.service);
        let longest = self.options.refresh_expiry;
        let lifetime = lifetime.map_or(longest, |lifetime| lifetime.min(longest));
        let claims = self.claims(subject, &audience, lifetime, now)?;
        self.sign(REFRESH, &claims, now)
    }

    /// The account of a refresh token, and what it is bound to: the caller looks whether that still is so.
    ///
    /// # Errors
    ///
    /// [`Rejection`].
    pub fn read_refresh(&self, token: &[u8], now: SystemTime) -> Result<Claims, Rejection> {
        let keys = self.keys.current();
        let keys = keys.ok_or_else(|| Rejection::unknown_key(""))?;
        keys.refresh.verify(token, now)
    }

    /// The claims of an access token that was verified before: one hash, and nothing is allocated. The caller looks whether
    /// what it is bound to is still so.
    pub fn recognise(&self, token: &[u8], now: SystemTime) -> Option<Arc<Claims>> {
        self.keys.current()?.access.recognise(token, now)
    }

    /// Recognises or verifies an access token. The caller looks whether what it is bound to is still so.
    ///
    /// # Errors
    ///
    /// [`Rejection`].
    pub fn authenticate(&self, token: &[u8], now: SystemTime) -> Result<Arc<Claims>, Rejection> {
        let keys = self.keys.current();
        let keys = keys.ok_or_else(|| Rejection::unknown_key(""))?;
        keys.access.authenticate(token, now)
    }

    /// The value of `WWW-Authenticate` for a request that needs the right to `actions`. UTF-8.
    pub fn challenge(
        &self,
        origin: Option<Origin<'_>>,
        actions: &[Action<'_>],
        error: Option<TokenError>,
    ) -> String {
        token::challenge(&self.options.realm, &self.options.service, origin, actions, error)
    }

    /// The public keys, as a JSON Web Key Set.
    pub fn jwks(&self) -> String {
        let keys = self.keys.current();
        keys.map_or_else(|| r#"{"keys":[]}"#.to_owned(), |keys| keys.jwks().to_owned())
    }

    /// The configuration.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Why the keys that are in force may not be the latest ones; `None` if they were read lately.
    pub fn problem(&self) -> Option<Arc<StateError>> {
        self.keys.problem()
    }

    /// The worker that reads the keys again and again, and makes others in time.
    pub fn worker(&self) -> impl Worker + use<> {
        Upkeep {
            issuer: self.clone(),
            next: Instant::now() + INTERVAL,
            told: None,
        }
    }

    async fn rotate(&self, now: u64) -> Result<(), StateError> {
        let fresh = match Fresh::new() {
            Ok(fresh) => fresh,
            Err(error) => {
                tracing::error!(%error, "the keys of tokens stay as they are");
                return Ok(());
            }
        };
        let rotation = self.options.rotation.as_secs();
        let lifetime = self.options.refresh_expiry.max(self.options.expiry).as_secs();
        let needs = |document: &Document| document.needs_rotation(&fresh, now, rotation, lifetime);
        let keys = self.keys.current();
        if keys.is_some_and(|keys| !needs(keys.document())) {
            return Ok(());
        }
        self.keys
            .change(|document| document.rotate(&fresh, now, rotation, lifetime))
            .await
    }

    fn claims(
        &self,
        subject: Subject<'_>,
        audience: &str,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Value, IssueError> {
        let now = seconds(now);
        let id: [u8; 16] = random::bytes()?;
        let mut claims = json!({
            "iss": self.options.issuer,
            "sub": subject.account.unwrap_or_default(),
            "aud": audience,
            "exp": now.saturating_add(lifetime.as_secs()),
            "nbf": now.saturating_sub(EARLIER),
            "iat": now,
            "jti": URL_SAFE_NO_PAD.encode(id),
        });
        match subject.binding {
            Binding::Time => {}
            Binding::User(stamp) => claims["wharf"] = json!({"stamp": stamp.to_string()}),
            Binding::Robot(id, stamp) => {
                claims["wharf"] = json!({"robot": id.to_string(), "stamp": stamp.to_string()});
            }
        }
        Ok(claims)
    }

    fn sign(&self, kind: &str, claims: &Value, now: SystemTime) -> Result<String, IssueError> {
        let keys = self.keys.current();
        let signed = keys.and_then(|keys| keys.sign(kind, claims, seconds(now)));
        signed.ok_or_else(|| IssueError::NoKey(self.keys.problem()))
    }
}

/// Reads the keys again and again.
struct Upkeep {
    issuer: Issuer,
    next: Instant,
    /// The failure that the operator was told of last
    told: Option<String>,
}

impl Worker for Upkeep {
    fn name(&self) -> String {
        "upkeep of the keys of tokens".to_owned()
    }

    async fn work(&mut self) -> Unit {
        if Instant::now() < self.next {
            return Ok(Work::Idle);
        }
        self.next = Instant::now() + INTERVAL;
        match self.issuer.start(SystemTime::now()).await {
            Ok(()) => {
                self.told = None;
                Ok(Work::Idle)
            }
            Err(error) => {
                let text = error.to_string();
                if self.told.as_ref() != Some(&text) {
                    tracing::warn!(%error, "the keys of tokens stay as they are");
                    self.told = Some(text.clone());
                }
                Err(WorkError::expected(text, INTERVAL))
            }
        }
    }

    async fn wait(&mut self) {
        tokio::time::sleep_until(self.next).await;
    }
}

/// A scope in the claims of a token, as docker_auth writes it.
fn entry(scope: &Scope) -> Value {
    let actions: Vec<&str> = scope.actions().collect();
    let mut entry = json!({"type": scope.kind(), "name": scope.name(), "actions": actions});
    if let Some(class) = scope.class() {
        entry["class"] = class.into();
    }
    entry
}
