//! The token server that the tests trust, and what its tokens say.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use wharf_access::token::{Algorithms, Realm, Settings, TrustedKeys, Verifier};

pub(crate) const ISSUER: &str = "Acme auth server";
pub(crate) const SERVICE: &str = "registry.example.com";
pub(crate) const REALM: &str = "https://auth.example.com/token";

/// Seconds since 1970 at the time of every test: in January 2027.
pub(crate) const NOW: i64 = 1_800_000_000;

/// Claims as docker_auth makes them.
pub(crate) fn claims(access: &Value) -> Value {
    json!({
        "iss": ISSUER, "sub": "alice", "aud": SERVICE,
        "exp": NOW + 300, "nbf": NOW - 10, "iat": NOW, "jti": "tYJCO1c6cnyy7kAn0c7rKPgbV1H1bFws",
        "access": access,
    })
}

/// The right to pull `team/app`.
pub(crate) fn pull() -> Value {
    json!([{"type": "repository", "name": "team/app", "actions": ["pull"]}])
}

/// Claims as docker_auth makes them, with one of them changed.
pub(crate) fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims(&pull());
    claims[name] = value;
    claims
}

pub(crate) fn settings() -> Settings {
    Settings {
        realm: Realm::Fixed(REALM.to_owned()),
        service: SERVICE.to_owned(),
        issuer: ISSUER.to_owned(),
        algorithms: Algorithms::default(),
    }
}

pub(crate) fn now() -> SystemTime {
    at(NOW)
}

pub(crate) fn at(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs())
}

/// A verifier that trusts this bundle.
pub(crate) fn trusting(bundle: &str) -> Verifier {
    let mut keys = TrustedKeys::default();
    assert_eq!(keys.add_bundle(bundle.as_bytes()).unwrap(), []);
    Verifier::new(settings(), keys)
}

/// A verifier that trusts these JSON Web Keys.
pub(crate) fn trusting_jwks(keys: &[Value]) -> Verifier {
    let mut trusted = TrustedKeys::default();
    let document = json!({ "keys": keys }).to_string();
    assert_eq!(trusted.add_jwks(document.as_bytes()).unwrap(), []);
    Verifier::new(settings(), trusted)
}
