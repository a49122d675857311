//! The keys that sign the tokens of this registry: made at the first start, shared by all replicas, rotated.
//!
//! A key signs from a moment that lies some time after it was made, so that every replica has read it by then, and verifies
//! until the last token that it can have signed has ended. So a rotation ends no token.

use std::fmt;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{
    state::{Content, INTERVAL},
    token::{Algorithm, Settings, TrustedKeys, Verifier},
};

/// The header `typ` of both kinds of tokens, so that one can never be taken for the other (RFC 8725, section 3.11).
pub(super) const ACCESS: &str = "JWT";
pub(super) const REFRESH: &str = "refresh+jwt";

/// What stands before the name of the service in the audience of a refresh token.
const REFRESH_AUDIENCE: &str = "refresh tokens of ";

/// How long after it was made a key begins to sign: several looks of each replica, and some error of its clock.
const SETTLING: u64 = 6 * INTERVAL.as_secs();

/// How much longer than a token a key verifies: the leeway of tokens, and the errors of clocks.
const LEEWAY: u64 = 5 * 60;

/// The keys that verify, and the one that signs.
pub(super) struct Keys {
    document: Document,
    /// By the times from which they sign
    pairs: Vec<(Stored, EcdsaKeyPair)>,
    pub(super) access: Verifier,
    pub(super) refresh: Verifier,
    jwks: String,
}

#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    keys: Vec<Stored>,
}

/// A key in the store. Times are in seconds since 1970.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    id: String,
    algorithm: String,
    /// PKCS#8
    private: Private,
    created: u64,
    /// When it begins to sign
    from: u64,
    /// How long the longest-lived token that it signs is good, in seconds
    lifetime: u64,
}

/// The bytes of a private key: overwritten when dropped, and never shown.
#[derive(Clone)]
struct Private(Zeroizing<Vec<u8>>);

/// A new key that is in no document yet.
pub(super) struct Fresh {
    id: String,
    private: Private,
}

/// The library could not make a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot make a key that signs tokens: the system gives no random numbers")]
pub(super) struct NoKey;

impl Fresh {
    pub(super) fn new() -> Result<Self, NoKey> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| NoKey)?;
        let document = pair.to_pkcs8v1().map_err(|_| NoKey)?;
        Ok(Self {
            id: thumbprint(&pair),
            private: Private(Zeroizing::new(document.as_ref().to_vec())),
        })
    }
}

impl Document {
    /// What is to become of the keys at the time `now`: the first key, another one every `rotation`, and the end of those
    /// that no token needs any more. The key that signs gets a note of the longest `lifetime` that it signs for.
    pub(super) fn rotate(&mut self, fresh: &Fresh, now: u64, rotation: u64, lifetime: u64) {
        self.keys.sort_by_key(|key| key.from);
        let ends: Vec<u64> = self.keys.iter().skip(1).map(|next| next.from).collect();
        let mut ends = ends.into_iter();
        self.keys.retain(|key| {
            let end = ends.next();
            end.is_none_or(|end| end.saturating_add(key.lifetime).saturating_add(LEEWAY) > now)
        });
        let signing = self.signing(now);
        for (place, key) in self.keys.iter_mut().enumerate() {
            if place >= signing {
                key.lifetime = key.lifetime.max(lifetime);
            }
        }
        let last = self.keys.last().map(|key| key.from);
        if last.is_some_and(|from| now < from.saturating_add(rotation)) {
            return;
        }
        self.keys.push(Stored {
            id: fresh.id.clone(),
            algorithm: Algorithm::Es256.as_str().to_owned(),
            private: fresh.private.clone(),
            created: now,
            // Before the first one there is none that could sign meanwhile.
            from: last.map_or(now, |_| now.saturating_add(SETTLING)),
            lifetime,
        });
    }

    /// Whether [`rotate`](Self::rotate) would change something.
    pub(super) fn needs_rotation(&self, fresh: &Fresh, now: u64, rotation: u64, lifetime: u64) -> bool {
        let mut after = self.clone();
        after.rotate(fresh, now, rotation, lifetime);
        after != *self
    }

    /// Place of the key that signs at the time `now`, among keys that are sorted.
    fn signing(&self, now: u64) -> usize {
        let begun = self.keys.iter().rposition(|key| key.from <= now);
        begun.unwrap_or(0)
    }
}

impl Keys {
    /// The public keys, as a JSON Web Key Set.
    pub(super) fn jwks(&self) -> &str {
        &self.jwks
    }

    /// A token with these claims, signed at the time `now`. `None` without a key.
    pub(super) fn sign(&self, kind: &str, claims: &serde_json::Value, now: u64) -> Option<String> {
        let (stored, pair) = self.pairs.get(self.document.signing(now))?;
        let header = json!({"typ": kind, "alg": stored.algorithm, "kid": stored.id});
        let encoded = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let mut token = format!("{}.{}", encoded(&header), encoded(claims));
        let signature = pair.sign(&SystemRandom::new(), token.as_bytes()).ok()?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        Some(token)
    }

    /// The audience of refresh tokens of `service`. It is longer than the name of the service, so it is none that an access
    /// token has.
    pub(super) fn refresh_audience(service: &str) -> String {
        format!("{REFRESH_AUDIENCE}{service}")
    }
}

impl Content for Keys {
    const WHAT: &'static str = "keys of tokens";
    const VERSION: u32 = 1;
    type Document = Document;
    type Context = Settings;

    fn read(mut document: Document, settings: &Settings, _: Option<&Self>) -> Result<Self, String> {
        document.keys.sort_by_key(|key| key.from);
        let mut pairs = Vec::with_capacity(document.keys.len());
        for stored in &document.keys {
            pairs.push((stored.clone(), stored.pair()?));
        }
        let public: Vec<_> = pairs.iter().map(|(_, pair)| jwk(pair)).collect();
        let jwks = json!({"keys": public}).to_string();
        let mut trusted = TrustedKeys::default();
        if !pairs.is_empty() {
            trusted
                .add_jwks(jwks.as_bytes())
                .map_err(|error| format!("it {error}"))?;
        }
        let refresh = Settings {
            service: Self::refresh_audience(&settings.service),
            ..settings.clone()
        };
        Ok(Self {
            access: Verifier::of_own(settings.clone(), trusted.clone(), ACCESS),
            refresh: Verifier::of_own(refresh, trusted, REFRESH),
            document,
            pairs,
            jwks,
        })
    }

    fn document(&self) -> &Document {
        &self.document
    }
}

impl Stored {
    fn pair(&self) -> Result<EcdsaKeyPair, String> {
        let Self { id, algorithm, .. } = self;
        if algorithm != Algorithm::Es256.as_str() {
            return Err(format!(
                "the key {id:?} is for {algorithm:?}, which this version does not sign with"
            ));
        }
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &self.private.0)
            .map_err(|_| format!("the key {id:?} is damaged"))?;
        match thumbprint(&pair) == *id {
            true => Ok(pair),
            false => Err(format!("the key {id:?} has the identifier of another one")),
        }
    }
}

/// Compares every byte: the keys of a document are compared with themselves alone.
impl PartialEq for Private {
    fn eq(&self, other: &Self) -> bool {
        *self.0 == *other.0
    }
}

impl Serialize for Private {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(STANDARD.encode(&*self.0)))
    }
}

impl<'de> Deserialize<'de> for Private {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let bytes = STANDARD.decode(text.as_bytes());
        // The error of the decoder would show a byte.
        let bytes = bytes.map_err(|_| de::Error::custom("a private key is not base64"))?;
        Ok(Self(Zeroizing::new(bytes)))
    }
}

/// Shows no key.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&str> = self.document.keys.iter().map(|key| &*key.id).collect();
        f.debug_struct("Keys").field("ids", &ids).finish_non_exhaustive()
    }
}

/// The public key as a JSON Web Key.
fn jwk(pair: &EcdsaKeyPair) -> serde_json::Value {
    let (x, y) = coordinates(pair);
    let kid = thumbprint(pair);
    json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid, "use": "sig", "alg": "ES256"})
}

/// The name of RFC 7638.
fn thumbprint(pair: &EcdsaKeyPair) -> String {
    let (x, y) = coordinates(pair);
    let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}

fn coordinates(pair: &EcdsaKeyPair) -> (String, String) {
    // A mark of the form, and two numbers of 32 bytes.
    let point = pair.public_key().as_ref();
    let (x, y) = point[1..].split_at((point.len() - 1) / 2);
    (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60;
    const ROTATION: u64 = 90 * DAY;

    fn rotated(document: &mut Document, now: u64, lifetime: u64) -> Vec<u64> {
        document.rotate(&Fresh::new().unwrap(), now, ROTATION, lifetime);
        document.keys.iter().map(|key| key.from).collect()
    }

    #[test]
    fn a_key_verifies_until_its_longest_token_has_ended() {
        let mut document = Document::default();
        assert_eq!(rotated(&mut document, 1000, 30 * DAY), [1000]);
        assert_eq!(rotated(&mut document, 999 + ROTATION, 30 * DAY), [1000]);
        let second = 1000 + ROTATION + SETTLING;
        assert_eq!(rotated(&mut document, 1000 + ROTATION, 30 * DAY), [1000, second]);
        // Until every replica has read the second one, the first one signs.
        assert_eq!(document.signing(second - 1), 0);
        assert_eq!(document.signing(second), 1);
        let end = second + 30 * DAY + LEEWAY;
        assert_eq!(rotated(&mut document, end - 1, DAY), [1000, second]);
        assert_eq!(rotated(&mut document, end, DAY), [second]);
    }

    #[test]
    fn a_longer_lifetime_counts_from_when_it_is_configured_and_a_shorter_one_does_not() {
        let mut document = Document::default();
        rotated(&mut document, 0, 30 * DAY);
        rotated(&mut document, DAY, 60 * DAY);
        rotated(&mut document, 2 * DAY, DAY);
        assert_eq!(document.keys[0].lifetime, 60 * DAY);
        let fresh = Fresh::new().unwrap();
        assert!(!document.needs_rotation(&fresh, 2 * DAY, ROTATION, DAY));
        assert!(document.needs_rotation(&fresh, 2 * DAY, ROTATION, 61 * DAY));
        assert!(document.needs_rotation(&fresh, ROTATION, ROTATION, DAY));
    }

    #[test]
    fn no_key_shows() {
        let mut document = Document::default();
        rotated(&mut document, 0, DAY);
        let private = STANDARD.encode(&*document.keys[0].private.0);
        assert!(serde_json::to_string(&document).unwrap().contains(&private));
        let settings = Settings {
            realm: crate::token::Realm::Fixed(String::new()),
            service: "s".to_owned(),
            issuer: "i".to_owned(),
            algorithms: [Algorithm::Es256].into_iter().collect(),
        };
        let keys = Keys::read(document, &settings, None).unwrap();
        for text in [format!("{keys:?}"), keys.jwks().to_owned()] {
            assert!(
                text.contains(&keys.document.keys[0].id) && !text.contains(&private),
                "{text}"
            );
            assert!(!text.contains("\"d\""), "{text}");
        }
    }

    #[test]
    fn a_damaged_key_is_refused_without_being_shown() {
        let mut document = Document::default();
        rotated(&mut document, 0, DAY);
        let text = serde_json::to_string(&document).unwrap();
        let error = serde_json::from_str::<Document>(&text.replace("\"private\":\"", "\"private\":\"%"));
        assert_eq!(
            error.err().unwrap().to_string().split(" at ").next(),
            Some("a private key is not base64")
        );
        document.keys[0].private.0.truncate(20);
        let why = document.keys[0].pair().unwrap_err();
        assert!(why.contains("is damaged"), "{why}");
    }
}
