//! Tokens that a server must take, and what they allow.

use std::sync::Arc;

use serde_json::{Value, json};
use wharf_access::{
    Action, Resource, Verb,
    token::{Algorithm, Claims, Settings, TrustedKeys, Verifier},
};
use wharf_oci::RepoName;
use wharf_testkit::tokens::{Signer, Wanted, x5c};

use crate::scene::{
    ISSUER, NOW, SERVICE, at, claims, claims_with, now, pull, settings, trusting, trusting_jwks,
};

fn allows(claims: &Claims, name: &str, verb: Verb) -> bool {
    let name: RepoName = name.parse().unwrap();
    let resource = Resource::Repository(&name);
    claims.allows(&Action { resource, verb })
}

fn allows_catalog(claims: &Claims, verb: Verb) -> bool {
    let resource = Resource::Catalog;
    claims.allows(&Action { resource, verb })
}

#[test]
fn each_algorithm_verifies_by_each_name_of_its_key() {
    for algorithm in Algorithm::ALL {
        let signer = Signer::new(algorithm.as_str());
        let wanted = Wanted::authority("token server");
        let certificate = signer.self_signed(&wanted);
        let verifiers = [
            trusting(&certificate.pem()),
            trusting(&signer.public_pem()),
            trusting_jwks(&[signer.jwk()]),
        ];
        let headers = [
            json!({"kid": signer.fingerprint()}),
            json!({"kid": signer.thumbprint(), "typ": "JWT"}),
            json!({"jwk": signer.jwk()}),
            json!({"x5c": [], "kid": signer.fingerprint()}),
        ];
        for verifier in &verifiers {
            for header in &headers {
                let token = signer.token(header.clone(), &claims(&pull()));
                let claims = verifier.verify(&token, now());
                let claims = claims.unwrap_or_else(|error| panic!("{algorithm} {header}: {error}"));
                assert_eq!(claims.account().map(|name| &**name), Some("alice"));
                assert!(allows(&claims, "team/app", Verb::Pull));
            }
        }
        let token = signer.token(json!({"x5c": x5c(&[&certificate])}), &claims(&pull()));
        verifiers[0].verify(&token, now()).unwrap();
    }
}

#[test]
fn a_key_of_a_jwks_is_found_by_the_id_that_it_has_there() {
    let (one, other) = (Signer::new("EdDSA"), Signer::new("ES256"));
    let with = |mut jwk: Value, more: &Value| {
        let more = more.as_object().unwrap().clone();
        jwk.as_object_mut().unwrap().extend(more);
        jwk
    };
    let verifier = trusting_jwks(&[
        with(one.jwk(), &json!({"kid": "2026", "use": "sig", "alg": "EdDSA"})),
        with(other.jwk(), &json!({"kid": "2026", "key_ops": ["verify"]})),
    ]);
    for signer in [&one, &other] {
        let token = signer.token(json!({"kid": "2026"}), &claims(&pull()));
        verifier.verify(&token, now()).unwrap();
    }
}

#[test]
fn an_audience_may_be_one_of_several() {
    let signer = Signer::new("EdDSA");
    let verifier = trusting(&signer.public_pem());
    let check = |name: &str, value: Value| {
        let token = signer.token(json!({"kid": signer.thumbprint()}), &claims_with(name, value));
        verifier.verify(&token, now()).unwrap()
    };
    check("aud", json!(SERVICE));
    check("aud", json!(["other", SERVICE]));
    // Clocks may be a minute apart; dates may have fractions.
    check("exp", json!(NOW - 60));
    check("nbf", json!(NOW + 60));
    check("exp", json!(NOW as f64 + 0.5));
    check("exp", json!(u64::MAX));
    check("nbf", Value::Null);
    // Without a subject the client is anonymous.
    assert_eq!(check("sub", json!("")).account(), None);
    assert_eq!(check("sub", Value::Null).account(), None);
    assert!(!allows(&check("access", Value::Null), "team/app", Verb::Pull));
}

#[test]
fn a_token_allows_what_it_lists_and_nothing_else() {
    let signer = Signer::new("EdDSA");
    let verifier = trusting(&signer.public_pem());
    let access = json!([
        {"type": "repository", "class": "plugin", "name": "z/pushed", "actions": ["push", "pull"]},
        {"type": "repository", "name": "team/app", "actions": ["pull"]},
        {"type": "repository", "name": "team/app", "actions": ["delete", "unknown"]},
        {"type": "repository", "name": "all", "actions": ["*"]},
        {"type": "repository", "name": "none", "actions": []},
        {"type": "repository", "name": "null"},
        {"type": "repository(plugin)", "name": "typed", "actions": ["*"]},
        {"type": "registry", "name": "other", "actions": ["*"]},
        {"type": "registry", "name": "catalog", "actions": ["pull"]},
        {"type": "wiki", "name": "wiki", "actions": ["*"]},
        {},
        // Names that could be taken for others.
        {"type": "repository", "name": "UPPER/app", "actions": ["*"]},
        {"type": "repository", "name": "up/../app", "actions": ["*"]},
        {"type": "repository", "name": "/lead", "actions": ["*"]},
        {"type": "repository", "name": "lead/", "actions": ["*"]},
        {"type": "repository", "name": "*", "actions": ["*"]},
        {"type": "repository", "name": "glob/*", "actions": ["*"]},
        {"type": "repository", "name": "a%2fb", "actions": ["*"]},
        {"type": "repository", "name": "catalog", "actions": ["*"]},
        {"type": "registry", "name": "*", "actions": ["*"]},
    ]);
    let token = signer.token(json!({"kid": signer.thumbprint()}), &claims(&access));
    let claims = verifier.verify(&token, now()).unwrap();
    let verbs = [Verb::Pull, Verb::Push, Verb::Delete, Verb::All];
    let allowed = |name| verbs.map(|verb| u8::from(allows(&claims, name, verb)));
    assert_eq!(allowed("z/pushed"), [1, 1, 0, 0]);
    assert_eq!(allowed("team/app"), [1, 0, 1, 0]);
    assert_eq!(allowed("all"), [1, 1, 1, 1]);
    assert_eq!(allowed("catalog"), [1, 1, 1, 1], "a repository of that name");
    for name in [
        "none",
        "null",
        "typed",
        "other",
        "wiki",
        "upper/app",
        "up/app",
        "app",
        "lead",
        "glob/x",
        "glob",
        "a/b",
        "team",
        "team/app/x",
        "team/ap",
        "team/apps",
    ] {
        assert_eq!(allowed(name), [0; 4], "{name}");
    }
    assert_eq!(
        verbs.map(|verb| allows_catalog(&claims, verb)),
        [true, false, false, false]
    );
}

#[test]
fn the_catalogue_needs_every_action() {
    let signer = Signer::new("EdDSA");
    let verifier = trusting(&signer.public_pem());
    let access = json!([{"type": "registry", "name": "catalog", "actions": ["*"]}]);
    let token = signer.token(json!({"kid": signer.thumbprint()}), &claims(&access));
    let claims = verifier.verify(&token, now()).unwrap();
    assert!(allows_catalog(&claims, Verb::All));
}

#[test]
fn a_remembered_token_ends_with_its_time_and_with_its_keys() {
    let signer = Signer::new("EdDSA");
    let verifier = trusting(&signer.public_pem());
    let token = signer.token(json!({"kid": signer.thumbprint()}), &claims(&pull()));
    assert!(verifier.recognise(&token, now()).is_none());
    let first = verifier.authenticate(&token, now()).unwrap();
    let again = verifier.recognise(&token, now()).unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    assert!(Arc::ptr_eq(
        &first,
        &verifier.authenticate(&token, now()).unwrap()
    ));

    assert!(verifier.recognise(&token, at(NOW + 360)).is_some());
    assert!(verifier.recognise(&token, at(NOW + 361)).is_none());
    assert!(verifier.authenticate(&token, at(NOW + 361)).is_err());
    // A clock that was set back.
    assert!(verifier.recognise(&token, at(NOW - 71)).is_none());
    let mut other = token.clone();
    *other.last_mut().unwrap() ^= 1;
    assert!(verifier.recognise(&other, now()).is_none());

    let other_keys = trusting(&Signer::new("EdDSA").public_pem());
    assert!(other_keys.recognise(&token, now()).is_none());
    assert!(other_keys.authenticate(&token, now()).is_err());
}

#[test]
fn a_refused_token_is_not_remembered() {
    let signer = Signer::new("EdDSA");
    let verifier = trusting(&signer.public_pem());
    let token = signer.token(
        json!({"kid": signer.thumbprint()}),
        &claims_with("nbf", json!(NOW + 100)),
    );
    assert!(verifier.authenticate(&token, now()).is_err());
    assert!(verifier.recognise(&token, at(NOW + 40)).is_none());
    verifier.authenticate(&token, at(NOW + 40)).unwrap();
}

/// More tokens than the memory has places: each that is recognised has its own claims.
#[test]
fn the_memory_of_tokens_has_a_limit() {
    let signer = Signer::new("EdDSA");
    let verifier = trusting(&signer.public_pem());
    let token = |number: usize| {
        let claims = claims_with("sub", json!(format!("user{number}")));
        signer.token(json!({"kid": signer.thumbprint()}), &claims)
    };
    let tokens: Vec<Vec<u8>> = (0..6000).map(token).collect();
    for token in &tokens {
        verifier.authenticate(token, now()).unwrap();
    }
    let mut known = 0;
    for (number, token) in tokens.iter().enumerate() {
        if let Some(claims) = verifier.recognise(token, now()) {
            assert_eq!(claims.account().unwrap().as_ref(), format!("user{number}"));
            known += 1;
        }
    }
    assert!((2000..=4096).contains(&known), "{known}");
    let last = verifier.recognise(&tokens[5999], now());
    assert!(last.is_some(), "the newest is known");
}

#[test]
fn heavy_claims_are_verified_each_time() {
    let signer = Signer::new("EdDSA");
    let verifier = trusting(&signer.public_pem());
    let access: Value = (0..100)
        .map(|number| json!({"type": "repository", "name": format!("team/app{number}"), "actions": ["pull"]}))
        .collect();
    let token = signer.token(json!({"kid": signer.thumbprint()}), &claims(&access));
    let claims = verifier.authenticate(&token, now()).unwrap();
    assert!(allows(&claims, "team/app99", Verb::Pull));
    assert!(verifier.recognise(&token, now()).is_none());
}

#[test]
fn only_the_algorithms_of_the_configuration_are_accepted() {
    let signer = Signer::new("RS256");
    let mut keys = TrustedKeys::default();
    keys.add_bundle(signer.public_pem().as_bytes()).unwrap();
    let settings = Settings {
        algorithms: [Algorithm::Ps256].into_iter().collect(),
        ..settings()
    };
    assert_eq!(settings.issuer, ISSUER);
    let verifier = Verifier::new(settings, keys);
    let header = json!({"kid": signer.thumbprint()});
    let error = verifier.verify(&signer.token(header.clone(), &claims(&pull())), now());
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("`RS256`") && error.contains("signingalgorithms"),
        "{error}"
    );
    let signer = signer.with("PS256");
    verifier
        .verify(&signer.token(header, &claims(&pull())), now())
        .unwrap();
}
