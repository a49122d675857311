//! The frame of a token: `header.payload.signature`, each in base64url (RFC 7515, section 7.1).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, de::IgnoredAny};

use super::{jwk::Jwk, limits::TOKEN_LIMIT, rejection::Rejection};

/// A token whose header was read. Of its payload nothing is known before the signature is verified.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) header: Header,
    /// The bytes that are signed: header and payload, as they came.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
    payload: &'a [u8],
}

/// The header of a token (RFC 7515, section 4.1).
#[derive(Debug, Deserialize)]
pub(super) struct Header {
    pub(super) alg: String,
    /// What kind of token it is; of account for those of this registry alone.
    pub(super) typ: Option<serde_json::Value>,
    pub(super) kid: Option<String>,
    pub(super) jwk: Option<Jwk>,
    pub(super) x5c: Option<Vec<String>>,
    /// Extensions that must be understood; none is.
    crit: Option<IgnoredAny>,
}

impl<'a> Frame<'a> {
    /// Takes a token apart.
    pub(super) fn read(token: &'a [u8]) -> Result<Self, Rejection> {
        if token.len() > TOKEN_LIMIT {
            return Err(Rejection::TooLong);
        }
        let mut parts = token.split(|&byte| byte == b'.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Rejection::Malformed(
                "it does not have three parts with `.` between them",
            ));
        };
        let signed = &token[..header.len() + 1 + payload.len()];
        let header = decoded(header, "its header is not base64url")?;
        let header: Header = object(&header).ok_or(Rejection::Malformed(
            "its header is not the JSON of a signed token",
        ))?;
        if header.crit.is_some() {
            return Err(Rejection::Malformed(
                "it needs an extension (`crit`), and none is supported",
            ));
        }
        Ok(Self {
            header,
            signed,
            signature: decoded(signature, "its signature is not base64url")?,
            payload,
        })
    }

    /// The bytes of the claims.
    pub(super) fn payload(&self) -> Result<Vec<u8>, Rejection> {
        decoded(self.payload, "its claims are not base64url")
    }
}

/// Reads a JSON object. (A structure could be read from an array as well.)
pub(super) fn object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Option<T> {
    json.trim_ascii_start()
        .starts_with(b"{")
        .then(|| serde_json::from_slice(json).ok())?
}

/// Each text has one meaning and each meaning one text: without padding, and without stray bits at the end.
fn decoded(text: &[u8], problem: &'static str) -> Result<Vec<u8>, Rejection> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| Rejection::Malformed(problem))
}
