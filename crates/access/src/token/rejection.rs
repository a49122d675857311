//! Why a token is refused, in words for the log.

use std::time::Duration;

use super::{algorithm::Algorithm, challenge::TokenError, limits};

/// The longest part of a token's claims that a rejection shows.
const SHOWN: usize = 100;

/// Why a token is refused. It never shows the token: of what only the token says, at most its key id, and of what the
/// token server has signed, the issuer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Longer than [`TOKEN_LIMIT`](super::TOKEN_LIMIT); nothing of it was read.
    #[error("the token has more than {} bytes", limits::TOKEN_LIMIT)]
    TooLong,
    /// It does not follow RFC 7515 or RFC 7519; the text says where.
    #[error("the token cannot be read: {0}")]
    Malformed(&'static str),
    /// The algorithm is none that can ever be accepted: `none`, `HS256`, or an unknown one.
    #[error(
        "the token is not signed with a private key (RS, PS, ES or EdDSA); set the algorithm of the token server to one such as `RS256`"
    )]
    UnknownAlgorithm,
    /// The algorithm is not among those of the configuration.
    #[error("the token is signed with `{0}`, which `auth.token.signingalgorithms` does not have")]
    RefusedAlgorithm(Algorithm),
    /// The header has neither `x5c` nor `jwk` nor `kid`.
    #[error("the token does not say which key signed it: its header has no `kid`, `jwk` or `x5c`")]
    NoKey,
    /// The `kid` is no key's.
    #[error(
        "no trusted key has the id {kid:?} of the token; add the key or its certificate to `auth.token.rootcertbundle` or `auth.token.jwks`"
    )]
    UnknownKey {
        /// The beginning of the id.
        kid: String,
    },
    /// The embedded `jwk` is no trusted key, and has no chain of certificates.
    #[error(
        "the token brings its own key (`jwk`), which is not among the trusted ones; add it to `auth.token.jwks`, or its certificate to `auth.token.rootcertbundle`"
    )]
    UntrustedKey,
    /// The algorithm needs another kind of key than the one that the token names, or the key is for another algorithm.
    #[error("the token is signed with `{0}`, and its key is not for that algorithm")]
    KeyMisfit(Algorithm),
    /// The chain of certificates is not accepted.
    #[error("the certificate of the token's key is refused: {0}")]
    Chain(ChainFault),
    /// The signature is not that of the key.
    #[error("the signature of the token is wrong")]
    Signature,
    /// `iss` is not that of the configuration.
    #[error("the token is issued by {issuer:?}, which is not `auth.token.issuer`")]
    Issuer {
        /// The beginning of the token's issuer.
        issuer: String,
    },
    /// `aud` does not have the name of this service.
    #[error("the token is not for this service: its `aud` does not have `auth.token.service`")]
    Audience,
    /// `exp` has passed.
    #[error("the token expired {} s ago; compare the clocks of this machine and the token server if it is fresh", .since.as_secs())]
    Expired {
        /// The time since it expired.
        since: Duration,
    },
    /// `nbf` is still to come.
    #[error("the token is valid in {} s; compare the clocks of this machine and the token server", .within.as_secs())]
    NotYetValid {
        /// The time until it is valid.
        within: Duration,
    },
    /// A token of this registry that is for something else: a refresh token, or an access token in the place of one.
    #[error(
        "the token is of another kind: a refresh token is good for fetching tokens alone, and no other token is"
    )]
    Kind,
    /// A token of this registry does not say what it is bound to.
    #[error("the token does not say with what it ends")]
    Unbound,
    /// What a token of this registry is bound to has ended.
    #[error(
        "the token has ended: its user was removed or has another password, or it is a robot token that expired or was revoked; log in again"
    )]
    Ended,
    /// `access` has more entries, or one of them more actions, than a token needs.
    #[error(
        "the token has more than {} resources, or more than {} actions on one",
        limits::RESOURCES,
        limits::ACTIONS
    )]
    TooMuchAccess,
    /// `sub` is no name of an account.
    #[error(
        "the `sub` of the token has control characters, or more than {} bytes",
        limits::ACCOUNT
    )]
    Account,
}

/// Why a chain of certificates is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    /// There are more certificates than a chain needs.
    #[error("the chain has more than {} certificates", limits::CERTIFICATES)]
    TooLong,
    /// A certificate cannot be read.
    #[error("certificate {0} of the chain is damaged")]
    Damaged(usize),
    /// No path leads to a certificate of the bundle.
    #[error("no valid certificate of `auth.token.rootcertbundle` has signed it")]
    UnknownRoot,
    /// A certificate has expired.
    #[error("a certificate of the chain has expired")]
    Expired,
    /// A certificate is not valid yet.
    #[error("a certificate of the chain is not valid yet")]
    NotYetValid,
    /// The key in the first certificate is not usable, or not the `jwk` that the chain is to vouch for.
    #[error("the first certificate has another key than the token, or one that cannot be used")]
    Key,
    /// The first certificate is that of an authority, whose key should sign certificates.
    #[error(
        "the first certificate is that of an authority; give the token server one that is not, or add this one to `auth.token.rootcertbundle`"
    )]
    Authority,
    /// Another rule of RFC 5280 is broken.
    #[error("{0}")]
    Invalid(String),
}

impl Rejection {
    /// What the challenge says to the client (RFC 6750, section 3.1).
    pub fn error(&self) -> TokenError {
        TokenError::InvalidToken
    }

    pub(crate) fn unknown_key(kid: &str) -> Self {
        Self::UnknownKey { kid: shortened(kid) }
    }

    pub(super) fn issuer(issuer: &str) -> Self {
        Self::Issuer {
            issuer: shortened(issuer),
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}
