//! JSON Web Keys (RFC 7517): in a file of trusted keys, and in the header of a token.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, de::IgnoredAny};

use super::{
    algorithm::{Algorithm, AlgorithmError, Kind},
    key::{KeyFault, PublicKey},
};

/// A key as it is written; [`public_key`](Self::public_key) checks it.
#[derive(Debug, Deserialize)]
pub(super) struct Jwk {
    kty: String,
    pub(super) kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    /// A chain of certificates, the key's own first.
    pub(super) x5c: Option<Vec<String>>,
    d: Option<IgnoredAny>,
}

/// Why a JSON Web Key verifies no token.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum JwkFault {
    #[error(
        "is a shared secret (`kty` is `oct`), which verifies no token here; use the public key of a pair"
    )]
    Secret,
    #[error("has the `{0}` {1:?}, which is not supported")]
    Unsupported(&'static str, String),
    #[error("has no `{0}`")]
    Missing(&'static str),
    #[error("has a `{0}` that is not base64url without padding")]
    NotBase64(&'static str),
    #[error("has an `x` or a `y` that is not as long as its curve demands")]
    Length,
    #[error("is not for signatures, by its `{0}`")]
    Purpose(&'static str),
    #[error("has an `alg` that cannot be used: {0}")]
    Algorithm(AlgorithmError),
    #[error("has the `alg` `{0}`, which needs another kind of key")]
    Misfit(Algorithm),
    #[error(transparent)]
    Key(#[from] KeyFault),
}

impl Jwk {
    /// The public key, and the only algorithm that it may be used with, if it says so.
    pub(super) fn public_key(&self) -> Result<(PublicKey, Option<Algorithm>), JwkFault> {
        if self.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
            return Err(JwkFault::Purpose("use"));
        }
        let may_verify = |acts: &Vec<String>| acts.iter().any(|act| act == "verify");
        if !self.key_ops.as_ref().is_none_or(may_verify) {
            return Err(JwkFault::Purpose("key_ops"));
        }
        let key = self.numbers()?;
        let algorithm = self.alg.as_deref().map(str::parse::<Algorithm>).transpose();
        let algorithm = algorithm.map_err(JwkFault::Algorithm)?;
        match algorithm {
            Some(algorithm) if algorithm.kind() != key.kind() => Err(JwkFault::Misfit(algorithm)),
            _ => Ok((key, algorithm)),
        }
    }

    /// Whether it has the private part of a pair.
    pub(super) fn is_private(&self) -> bool {
        self.d.is_some()
    }

    fn numbers(&self) -> Result<PublicKey, JwkFault> {
        match self.kty.as_str() {
            "RSA" => {
                let (n, e) = (decoded("n", self.n.as_ref())?, decoded("e", self.e.as_ref())?);
                Ok(PublicKey::from_rsa(&n, &e)?)
            }
            "EC" => {
                let (kind, size) = match self.curve()? {
                    "P-256" => (Kind::P256, 32),
                    "P-384" => (Kind::P384, 48),
                    "P-521" => (Kind::P521, 66),
                    other => return Err(unsupported("crv", other)),
                };
                let mut point = decoded("x", self.x.as_ref())?;
                let y = decoded("y", self.y.as_ref())?;
                if point.len() != size || y.len() != size {
                    return Err(JwkFault::Length);
                }
                point.extend(y);
                Ok(PublicKey::from_curve(kind, &point)?)
            }
            "OKP" => match self.curve()? {
                "Ed25519" => {
                    let x = decoded("x", self.x.as_ref())?;
                    Ok(PublicKey::from_curve(Kind::Ed25519, &x)?)
                }
                other => Err(unsupported("crv", other)),
            },
            "oct" => Err(JwkFault::Secret),
            other => Err(unsupported("kty", other)),
        }
    }

    fn curve(&self) -> Result<&str, JwkFault> {
        self.crv.as_deref().ok_or(JwkFault::Missing("crv"))
    }
}

fn unsupported(member: &'static str, value: &str) -> JwkFault {
    JwkFault::Unsupported(member, value.chars().take(32).collect())
}

fn decoded(member: &'static str, value: Option<&String>) -> Result<Vec<u8>, JwkFault> {
    let text = value.ok_or(JwkFault::Missing(member))?;
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| JwkFault::NotBase64(member))
}
