//! The keys of a token server that this server trusts: from a bundle of certificates, and from a JSON Web Key Set.

use std::{collections::HashMap, fmt};

use rustls_pki_types::pem::{PemObject as _, SectionKind};
use serde::Deserialize;

use super::{
    algorithm::Algorithm,
    chain::{self, Root},
    claims::Millis,
    jwk::Jwk,
    jws::Frame,
    key::PublicKey,
    rejection::{ChainFault, Rejection},
};

/// Keys whose signature is trusted, and certificates that vouch for others.
#[derive(Debug, Clone, Default)]
pub struct TrustedKeys {
    keys: Vec<Trusted>,
    /// Numbers of keys by each of their ids. Two keys may have one id in a JSON Web Key Set.
    ids: HashMap<String, Vec<usize>>,
    roots: Vec<Root>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Trusted {
    key: PublicKey,
    /// The only algorithm that it may be used with, if it says so.
    algorithm: Option<Algorithm>,
}

/// A part of a file that is not used, or that does not belong there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    place: String,
    text: String,
}

/// Why a file of keys cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// The file is no JSON Web Key Set.
    #[error("is not a JSON Web Key Set, `{{\"keys\": [{{\"kty\": …}}]}}`{place}", place = .line.map(|line| format!(" (line {line})")).unwrap_or_default())]
    NotJwks {
        /// The line at which it ends to be JSON, if it does.
        line: Option<usize>,
    },
    /// The file has no key that can verify a token.
    #[error("has no {kind} that can verify a token{}", listed(.problems))]
    NoUsableKey {
        /// What the file should have.
        kind: &'static str,
        /// What it has instead.
        problems: Vec<Problem>,
    },
}

impl TrustedKeys {
    /// Adds the certificates and public keys of `auth.token.rootcertbundle`, in PEM. Returns what is not used.
    ///
    /// # Errors
    ///
    /// [`KeysError::NoUsableKey`], and nothing is added.
    pub fn add_bundle(&mut self, pem: &[u8]) -> Result<Vec<Problem>, KeysError> {
        let (mut found, mut problems) = (Vec::new(), Vec::new());
        for (number, (line, section)) in sections(pem).into_iter().enumerate() {
            match read_section(section) {
                Ok(part) => found.push(part),
                Err(text) => problems.push(Problem {
                    place: format!("part {} (line {line})", number + 1),
                    text,
                }),
            }
        }
        if found.is_empty() {
            return Err(KeysError::NoUsableKey {
                kind: "certificate or public key",
                problems,
            });
        }
        for part in found {
            match part {
                Part::Key(key) => self.add(key, None, None),
                Part::Certificate(root) => {
                    self.add(root.key.clone(), None, None);
                    self.roots.push(*root);
                }
            }
        }
        Ok(problems)
    }

    /// Adds the keys of `auth.token.jwks`, a JSON Web Key Set. Returns what is not used.
    ///
    /// # Errors
    ///
    /// [`KeysError`], and nothing is added.
    pub fn add_jwks(&mut self, json: &[u8]) -> Result<Vec<Problem>, KeysError> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<serde_json::Value>,
        }

        let document: Result<Document, _> = serde_json::from_slice(json);
        let document = document.map_err(|error| KeysError::NotJwks {
            line: (!error.is_data()).then(|| error.line()),
        })?;
        let (mut found, mut problems) = (Vec::new(), Vec::new());
        for (number, value) in document.keys.into_iter().enumerate() {
            let kid = value.get("kid").and_then(serde_json::Value::as_str);
            let named = kid.map(|kid| format!(" ({:?})", shortened(kid)));
            let place = format!("key {}{}", number + 1, named.unwrap_or_default());
            let problem = match read_jwk(value) {
                Ok(key) => {
                    let is_private = key.is_private;
                    found.push(key);
                    is_private.then(|| {
                        "is used, and has its private part (`d`) in it; remove that from this file".to_owned()
                    })
                }
                Err(text) => Some(text),
            };
            problems.extend(problem.map(|text| Problem { place, text }));
        }
        if found.is_empty() {
            return Err(KeysError::NoUsableKey {
                kind: "key",
                problems,
            });
        }
        for Found {
            key, algorithm, kid, ..
        } in found
        {
            self.add(key, algorithm, kid);
        }
        Ok(problems)
    }

    /// Whether there is no key at all: then no token can be verified.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Number of different keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Verifies the signature of a token by the key that its header names: by a chain of certificates, by an embedded key,
    /// or by an id, in this order, as in registry:2. Returns the end of the certificates on which the trust in the key
    /// rests, in seconds since 1970.
    pub(super) fn verify(
        &self,
        token: &Frame<'_>,
        algorithm: Algorithm,
        now: Millis,
    ) -> Result<i64, Rejection> {
        let header = &token.header;
        if let Some(chain) = not_empty(header.x5c.as_ref()) {
            let (key, until) =
                chain::verified(chain, &self.roots, now.seconds()).map_err(Rejection::Chain)?;
            return check([&Trusted { key, algorithm: None }], token, algorithm, until);
        }
        if let Some(jwk) = &header.jwk {
            return self.verify_embedded(jwk, token, algorithm, now);
        }
        let kid = header.kid.as_deref().filter(|kid| !kid.is_empty());
        let kid = kid.ok_or(Rejection::NoKey)?;
        let keys = self.ids.get(kid).ok_or_else(|| Rejection::unknown_key(kid))?;
        check(
            keys.iter().map(|&key| &self.keys[key]),
            token,
            algorithm,
            i64::MAX,
        )
    }

    /// An embedded key is only ever a name of a trusted one, or the key of a certificate that a root vouches for.
    fn verify_embedded(
        &self,
        jwk: &Jwk,
        token: &Frame<'_>,
        algorithm: Algorithm,
        now: Millis,
    ) -> Result<i64, Rejection> {
        let (key, own) = jwk
            .public_key()
            .map_err(|_| Rejection::Malformed("its `jwk` is no public key that can be used"))?;
        if let Some(chain) = not_empty(jwk.x5c.as_ref()) {
            let (certified, until) =
                chain::verified(chain, &self.roots, now.seconds()).map_err(Rejection::Chain)?;
            if certified != key {
                return Err(Rejection::Chain(ChainFault::Key));
            }
            return check([&Trusted { key, algorithm: own }], token, algorithm, until);
        }
        let mut trusted = self.keys.iter().filter(|trusted| trusted.key == key).peekable();
        if trusted.peek().is_none() {
            return Err(Rejection::UntrustedKey);
        }
        check(trusted, token, algorithm, i64::MAX)
    }

    fn add(&mut self, key: PublicKey, algorithm: Option<Algorithm>, kid: Option<String>) {
        let ids = key.ids();
        let trusted = Trusted { key, algorithm };
        let known = self.keys.iter().position(|other| *other == trusted);
        let number = known.unwrap_or_else(|| {
            self.keys.push(trusted);
            self.keys.len() - 1
        });
        for id in ids.into_iter().chain(kid) {
            let numbers = self.ids.entry(id).or_default();
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// Whether one of `keys` has signed the token.
fn check<'k>(
    keys: impl IntoIterator<Item = &'k Trusted>,
    token: &Frame<'_>,
    algorithm: Algorithm,
    until: i64,
) -> Result<i64, Rejection> {
    let fits = |trusted: &&Trusted| {
        trusted.key.kind() == algorithm.kind() && trusted.algorithm.is_none_or(|only| only == algorithm)
    };
    let mut fitting = keys.into_iter().filter(fits).peekable();
    if fitting.peek().is_none() {
        return Err(Rejection::KeyMisfit(algorithm));
    }
    if fitting.any(|trusted| trusted.key.verifies(algorithm, token.signed, &token.signature)) {
        Ok(until)
    } else {
        Err(Rejection::Signature)
    }
}

fn not_empty(chain: Option<&Vec<String>>) -> Option<&Vec<String>> {
    chain.filter(|chain| !chain.is_empty())
}

/// A usable part of a bundle.
enum Part {
    Key(PublicKey),
    Certificate(Box<Root>),
}

/// The parts of a PEM file, each with the number of its first line.
fn sections(pem: &[u8]) -> Vec<(usize, &[u8])> {
    const BEGIN: &[u8] = b"-----BEGIN ";

    let pem = pem.strip_prefix(b"\xef\xbb\xbf").unwrap_or(pem);
    let mut starts = Vec::new();
    let mut offset = 0;
    for (number, line) in pem.split_inclusive(|&byte| byte == b'\n').enumerate() {
        if line.starts_with(BEGIN) {
            starts.push((number + 1, offset));
        }
        offset += line.len();
    }
    let ends = starts.iter().skip(1).map(|(_, start)| *start).chain([pem.len()]);
    let parts = starts.iter().zip(ends);
    parts
        .map(|(&(line, start), end)| (line, &pem[start..end]))
        .collect()
}

fn read_section(section: &[u8]) -> Result<Part, String> {
    let read = <(SectionKind, Vec<u8>)>::pem_slice_iter(section).next();
    match read {
        Some(Ok((SectionKind::Certificate, der))) => match Root::read(der) {
            Ok(root) => Ok(Part::Certificate(Box::new(root))),
            Err(fault) => Err(fault.to_string()),
        },
        Some(Ok((SectionKind::PublicKey, der))) => match PublicKey::from_info(&der) {
            Ok(key) => Ok(Part::Key(key)),
            Err(fault) => Err(format!("the public key {fault}")),
        },
        Some(Ok((SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey, _))) => {
            Err(
                "is a private key, which the token server alone should have; remove it from this file"
                    .to_owned(),
            )
        }
        Some(Ok(_)) | None => Err("is neither a certificate nor a public key".to_owned()),
        Some(Err(_)) => Err("is no whole PEM, from its `-----BEGIN` to its `-----END`".to_owned()),
    }
}

/// A usable key of a JSON Web Key Set.
struct Found {
    key: PublicKey,
    algorithm: Option<Algorithm>,
    kid: Option<String>,
    is_private: bool,
}

fn read_jwk(value: serde_json::Value) -> Result<Found, String> {
    let jwk = Jwk::deserialize(value)
        .map_err(|_| "is not an object of texts with a `kty`, as RFC 7517 describes it".to_owned())?;
    let (key, algorithm) = jwk.public_key().map_err(|fault| fault.to_string())?;
    Ok(Found {
        key,
        algorithm,
        is_private: jwk.is_private(),
        kid: jwk.kid.filter(|kid| !kid.is_empty()),
    })
}

fn listed(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("; {problem}")).collect()
}

fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}
