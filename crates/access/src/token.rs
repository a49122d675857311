//! Bearer tokens of a token server, verified as registry:2 and registry:3 do it (`auth.token`).
//!
//! A token is a JSON Web Token in the compact form (RFC 7519, RFC 7515): a header, claims and a signature. What is trusted
//! is a set of public keys ([`TrustedKeys`]), and the accepted algorithms are those of the configuration, each of which
//! fits one kind of key; the header only chooses among them. Claims are not even decoded before the signature is
//! verified. The signatures, and the certificates that vouch for keys, are checked by `aws-lc-rs` and `rustls-webpki`.
//!
//! A verified token is remembered by its hash until it ends ([`Verifier::recognise`]). The memory belongs to one
//! [`Verifier`], as the keys do: other keys are another verifier, with nothing in its memory.

mod algorithm;
mod chain;
mod challenge;
mod claims;
mod jwk;
mod jws;
mod key;
mod limits;
mod memory;
mod rejection;
mod source;
mod trusted;

pub use algorithm::{Algorithm, AlgorithmError, Algorithms};
pub(crate) use challenge::challenge;
pub use challenge::{Origin, Realm, TokenError};
pub use claims::Claims;
pub use limits::TOKEN_LIMIT;
pub use rejection::{ChainFault, Rejection};
pub use source::{KeyFile, KeyFileError, KeyFiles, WatchedVerifier};
pub use trusted::{KeysError, Problem, TrustedKeys};

use std::{sync::Arc, time::SystemTime};

use crate::Action;
use claims::{Expected, Millis};
use jws::Frame;
use memory::{Mark, Memory};

/// The configuration of `auth.token`, but for the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The address at which clients fetch tokens.
    pub realm: Realm,
    /// The name of this service, which tokens must have as their audience.
    pub service: String,
    /// The issuer that tokens must have.
    pub issuer: String,
    /// The accepted signature algorithms.
    pub algorithms: Algorithms,
}

/// Verifies tokens by one set of keys.
#[derive(Debug)]
pub struct Verifier {
    settings: Settings,
    keys: TrustedKeys,
    memory: Memory,
    /// What `typ` must say; `None` for the tokens of another server, which write there what they like.
    kind: Option<&'static str>,
}

impl Verifier {
    /// Trusts `keys`, and remembers no token.
    pub fn new(settings: Settings, keys: TrustedKeys) -> Self {
        Self {
            settings,
            keys,
            memory: Memory::new(),
            kind: None,
        }
    }

    /// Trusts `keys`, which are those of this registry, in tokens of one `kind` that say what they are bound to.
    pub(crate) fn of_own(settings: Settings, keys: TrustedKeys, kind: &'static str) -> Self {
        Self {
            kind: Some(kind),
            ..Self::new(settings, keys)
        }
    }

    /// The claims of a token that [`authenticate`](Self::authenticate) has verified before: one hash, and nothing is
    /// allocated. `None`: the token is not known, or no longer good.
    pub fn recognise(&self, token: &[u8], now: SystemTime) -> Option<Arc<Claims>> {
        if token.len() > TOKEN_LIMIT {
            return None;
        }
        self.memory.recall(Mark::of(token), Millis::of(now))
    }

    /// Recognises or verifies a token, and remembers it. The verification computes a signature, or several if the token has
    /// certificates: between 20 microseconds and some milliseconds.
    ///
    /// # Errors
    ///
    /// [`Rejection`], as for [`verify`](Self::verify).
    pub fn authenticate(&self, token: &[u8], now: SystemTime) -> Result<Arc<Claims>, Rejection> {
        if token.len() > TOKEN_LIMIT {
            return Err(Rejection::TooLong);
        }
        let mark = Mark::of(token);
        if let Some(claims) = self.memory.recall(mark, Millis::of(now)) {
            return Ok(claims);
        }
        let claims = Arc::new(self.verify(token, now)?);
        self.memory.keep(mark, &claims);
        Ok(claims)
    }

    /// Verifies a token at the time `now`, and remembers nothing.
    ///
    /// # Errors
    ///
    /// [`Rejection`]: the token is damaged, not signed by a trusted key, not for this service, or not valid now.
    pub fn verify(&self, token: &[u8], now: SystemTime) -> Result<Claims, Rejection> {
        let now = Millis::of(now);
        let frame = Frame::read(token)?;
        let algorithm: Algorithm = frame
            .header
            .alg
            .parse()
            .map_err(|_| Rejection::UnknownAlgorithm)?;
        if !self.settings.algorithms.contains(algorithm) {
            return Err(Rejection::RefusedAlgorithm(algorithm));
        }
        let certified_until = self.keys.verify(&frame, algorithm, now)?;
        let typ = frame.header.typ.as_ref().and_then(serde_json::Value::as_str);
        if self.kind.is_some() && self.kind != typ {
            return Err(Rejection::Kind);
        }
        let expected = Expected {
            issuer: &self.settings.issuer,
            service: &self.settings.service,
            now,
            is_own: self.kind.is_some(),
            certified_until,
        };
        Claims::read(&frame.payload()?, expected)
    }

    /// The value of `WWW-Authenticate` for a request that needs the right to `actions`, as registry:2 writes it. UTF-8.
    /// Without an `error` the client sent no token.
    pub fn challenge(
        &self,
        origin: Option<Origin<'_>>,
        actions: &[Action<'_>],
        error: Option<TokenError>,
    ) -> String {
        let Settings { realm, service, .. } = &self.settings;
        challenge(realm, service, origin, actions, error)
    }
}
