//! Tokens that must not be taken, each with its cause. None of the causes shows the token.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use wharf_access::{
    Action, Resource, Verb,
    token::{Rejection, TOKEN_LIMIT, TokenError, Verifier},
};
use wharf_oci::RepoName;
use wharf_testkit::tokens::Signer;

use crate::scene::{ISSUER, NOW, SERVICE, claims, claims_with, now, pull, trusting, trusting_jwks};

/// Asserts that a token is refused with these words, none of which are its own, and that the client is told to fetch
/// another one.
fn refuse(verifier: &Verifier, token: &[u8], words: &str) {
    let text = String::from_utf8_lossy(token).into_owned();
    let error = verifier.verify(token, now()).expect_err(words);
    assert!(error.to_string().contains(words), "{words}: {error}");
    assert_eq!(error.error(), TokenError::InvalidToken);
    assert!(
        verifier
            .challenge(None, &[], Some(error.error()))
            .ends_with(r#",error="invalid_token""#)
    );
    for part in text.split('.').filter(|part| part.len() > 20) {
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(part), "{words}: {error}");
    }
    assert_eq!(verifier.authenticate(token, now()), Err(error));
    assert!(verifier.recognise(token, now()).is_none());
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

struct Scene {
    signer: Signer,
    verifier: Verifier,
}

impl Scene {
    fn new(algorithm: &'static str) -> Self {
        let signer = Signer::new(algorithm);
        let verifier = trusting(&signer.public_pem());
        Self { signer, verifier }
    }

    fn header(&self) -> Value {
        json!({"kid": self.signer.fingerprint()})
    }

    fn token(&self, claims: &Value) -> Vec<u8> {
        self.signer.token(self.header(), claims)
    }

    fn refuse_claim(&self, name: &str, value: Value, words: &str) {
        refuse(&self.verifier, &self.token(&claims_with(name, value)), words);
    }
}

#[test]
fn a_token_without_a_signature() {
    let scene = Scene::new("RS256");
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let header = encoded(&json!({"alg": alg, "kid": scene.signer.fingerprint()}));
        for signature in ["", "AAAA"] {
            let token = format!("{header}.{}.{signature}", encoded(&claims(&pull())));
            refuse(&scene.verifier, token.as_bytes(), "not signed with a private key");
        }
    }
    let token = String::from_utf8(scene.token(&claims(&pull()))).unwrap();
    let unsigned = &token[..=token.rfind('.').unwrap()];
    refuse(
        &scene.verifier,
        unsigned.as_bytes(),
        "the signature of the token is wrong",
    );
}

/// A public key is no secret, so it must never serve as a shared one.
#[test]
fn a_public_key_as_shared_secret() {
    let scene = Scene::new("RS256");
    let info = scene.signer.public_info();
    let pem = scene.signer.public_pem();
    for secret in [&info[..], pem.as_bytes(), pem.trim_end().as_bytes()] {
        let header = json!({"alg": "HS256", "kid": scene.signer.fingerprint()});
        let signed = format!("{}.{}", encoded(&header), encoded(&claims(&pull())));
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
        mac.update(signed.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        let token = format!("{signed}.{signature}");
        refuse(&scene.verifier, token.as_bytes(), "not signed with a private key");
    }
}

#[test]
fn an_algorithm_that_is_not_that_of_the_key() {
    let (rsa, ec) = (Signer::new("RS256"), Signer::new("ES256"));
    let verifier = trusting(&(rsa.public_pem() + &ec.public_pem()));
    for (signer, alg) in [
        (&rsa, "ES256"),
        (&rsa, "EdDSA"),
        (&ec, "RS256"),
        (&ec, "ES384"),
        (&ec, "EdDSA"),
    ] {
        for header in [
            json!({"alg": alg, "kid": signer.fingerprint()}),
            json!({"alg": alg, "jwk": signer.jwk()}),
        ] {
            let token = signer.token(header, &claims(&pull()));
            refuse(&verifier, &token, "its key is not for that algorithm");
        }
    }
    // The right kind of key, and another algorithm than the one that signed.
    for alg in ["PS256", "RS512"] {
        let token = rsa.token(json!({"alg": alg, "kid": rsa.fingerprint()}), &claims(&pull()));
        refuse(&verifier, &token, "the signature of the token is wrong");
    }
}

#[test]
fn an_algorithm_that_the_key_is_not_for() {
    let signer = Signer::new("RS256");
    let mut jwk = signer.jwk();
    jwk["alg"] = json!("PS256");
    let verifier = trusting_jwks(&[jwk]);
    let token = signer.token(json!({"kid": signer.thumbprint()}), &claims(&pull()));
    refuse(&verifier, &token, "its key is not for that algorithm");
    let token = signer.token(json!({"jwk": signer.jwk()}), &claims(&pull()));
    refuse(&verifier, &token, "its key is not for that algorithm");
}

#[test]
fn a_key_that_is_not_trusted() {
    let scene = Scene::new("ES256");
    let stranger = Signer::new("ES256");
    let token = |header: Value| stranger.token(header, &claims(&pull()));
    refuse(
        &scene.verifier,
        &token(json!({"kid": stranger.fingerprint()})),
        "no trusted key has the id",
    );
    refuse(
        &scene.verifier,
        &token(json!({"kid": scene.signer.fingerprint()})),
        "signature of the token is wrong",
    );
    refuse(
        &scene.verifier,
        &token(json!({"jwk": stranger.jwk()})),
        "brings its own key",
    );
    refuse(
        &scene.verifier,
        &token(json!({"jwk": scene.signer.jwk()})),
        "signature of the token is wrong",
    );
    let mut named = stranger.jwk();
    named["kid"] = json!(scene.signer.fingerprint());
    let both = json!({"jwk": named, "kid": scene.signer.fingerprint()});
    refuse(&scene.verifier, &token(both), "brings its own key");
    for header in [
        json!({}),
        json!({"kid": ""}),
        json!({"x5c": []}),
        json!({"x5c": null, "jwk": null}),
    ] {
        refuse(&scene.verifier, &token(header), "does not say which key");
    }
    for kid in [
        "/etc/passwd",
        "../../keys/a.pem",
        "https://evil.example.com/jwks",
        "' OR 1=1",
        "a\u{0}b\n",
    ] {
        refuse(
            &scene.verifier,
            &token(json!({"kid": kid})),
            "no trusted key has the id",
        );
    }
    let error = scene
        .verifier
        .verify(&token(json!({"kid": "k\r\n".repeat(900)})), now());
    let error = error.unwrap_err().to_string();
    assert!(error.len() < 800 && !error.contains('\n'), "{error}");
    for jwk in [
        json!({"kty": "oct", "k": "AAAA"}),
        json!({"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"}),
        json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}),
        json!({"kty": "EC"}),
    ] {
        refuse(
            &scene.verifier,
            &token(json!({"jwk": jwk})),
            "its `jwk` is no public key",
        );
    }
}

#[test]
fn a_token_for_another_place_or_time() {
    let scene = Scene::new("ES256");
    let near = format!("{ISSUER} ");
    for issuer in [
        json!("other"),
        json!(near),
        json!(ISSUER.to_lowercase()),
        json!(""),
        Value::Null,
    ] {
        scene.refuse_claim("iss", issuer, "which is not `auth.token.issuer`");
    }
    for audience in [
        json!("other"),
        json!(SERVICE.to_uppercase()),
        json!(format!("{SERVICE}.evil.com")),
        json!(["a", "b"]),
        json!([]),
        json!(""),
        Value::Null,
    ] {
        scene.refuse_claim("aud", audience, "not for this service");
    }
    scene.refuse_claim("exp", json!(NOW - 61), "the token expired 61 s ago");
    scene.refuse_claim("exp", json!(0), "the token expired 1800000000 s ago");
    scene.refuse_claim("exp", json!(i64::MIN), "the token expired");
    scene.refuse_claim("exp", json!(-1.5e300), "the token expired");
    scene.refuse_claim("nbf", json!(NOW + 61), "the token is valid in 61 s");
    scene.refuse_claim("nbf", json!(u64::MAX), "the token is valid in");
    scene.refuse_claim("exp", Value::Null, "it has no `exp`");
    for value in [json!("1900000000"), json!([1]), json!(true)] {
        scene.refuse_claim("exp", value.clone(), "its claims are not the JSON");
        scene.refuse_claim("nbf", value, "its claims are not the JSON");
    }
}

#[test]
fn claims_that_are_none() {
    let scene = Scene::new("EdDSA");
    for (name, value) in [
        ("iss", json!(["Acme auth server"])),
        ("aud", json!({"a": 1})),
        ("sub", json!(5)),
        ("access", json!({})),
        ("access", json!([null])),
        (
            "access",
            json!([{"type": "repository", "name": "a", "actions": "pull"}]),
        ),
        (
            "access",
            json!([{"type": "repository", "name": ["a"], "actions": []}]),
        ),
    ] {
        scene.refuse_claim(name, value, "its claims are not the JSON of a token");
    }
    for sub in ["a\nb".to_owned(), "\u{7f}".to_owned(), "a".repeat(256)] {
        scene.refuse_claim("sub", json!(sub), "the `sub` of the token");
    }
    let deep = "[".repeat(3000) + &"]".repeat(3000);
    let mut harmless = claims(&pull()).to_string();
    harmless.insert_str(1, &format!(r#""unknown":{deep},"#));
    let token = scene.signer.token_of_bytes(scene.header(), harmless.as_bytes());
    scene.verifier.verify(&token, now()).unwrap();
    let twice = format!(
        r#"{{"iss":"other","iss":"{ISSUER}","aud":"{SERVICE}","exp":{}}}"#,
        NOW + 9
    );
    for bytes in [
        &b""[..],
        b"null",
        b"{}x",
        b"\xff",
        br#"["Acme auth server","alice","registry.example.com",1900000000,0,null]"#,
        format!(r#"{{"aud":{deep}}}"#).as_bytes(),
        format!(r#"{{"access":{deep}}}"#).as_bytes(),
        twice.as_bytes(),
    ] {
        let token = scene.signer.token_of_bytes(scene.header(), bytes);
        refuse(&scene.verifier, &token, "its claims are not the JSON of a token");
    }
}

#[test]
fn more_than_a_token_needs() {
    let scene = Scene::new("EdDSA");
    let actions: Vec<String> = (0..1000).map(|number| format!("a{number}")).collect();
    let many = json!([{"type": "repository", "name": "team/app", "actions": actions}]);
    scene.refuse_claim("access", many, "more than 256 resources, or more than 32 actions");
    let one = json!({"type": "x"});
    scene.refuse_claim("access", vec![one; 257].into(), "more than 256 resources");

    let mut token = scene.token(&claims_with("pad", json!("a".repeat(TOKEN_LIMIT))));
    refuse(&scene.verifier, &token, "more than 16384 bytes");
    token.truncate(TOKEN_LIMIT);
    refuse(&scene.verifier, &token, "three parts");
    refuse(&scene.verifier, &vec![b'.'; TOKEN_LIMIT], "three parts");
    assert_eq!(
        scene.verifier.verify(&vec![b'.'; 1 << 20], now()),
        Err(Rejection::TooLong)
    );
}

#[test]
fn a_frame_that_is_none() {
    let scene = Scene::new("ES256");
    let good = String::from_utf8(scene.token(&claims(&pull()))).unwrap();
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    for (token, words) in [
        (String::new(), "three parts"),
        ("a.b".to_owned(), "three parts"),
        (format!("{good}."), "three parts"),
        (format!("{good}.{signature}"), "three parts"),
        (format!("{header}..{payload}.{signature}"), "three parts"),
        (format!(" {good}"), "header is not base64url"),
        (
            format!("{header}=.{payload}.{signature}"),
            "header is not base64url",
        ),
        (format!(".{payload}.{signature}"), "header is not the JSON"),
        (
            format!("{header}.{payload}.{signature}="),
            "signature is not base64url",
        ),
        (
            format!("{header}.{payload}.{signature} "),
            "signature is not base64url",
        ),
        (format!("{header}.{payload}="), "three parts"),
        (
            format!("{header}.{payload}.+{}", &signature[1..]),
            "signature is not base64url",
        ),
        (format!("{header}.{payload}."), "signature of the token is wrong"),
        (
            format!("{header}..{signature}"),
            "signature of the token is wrong",
        ),
        (format!("{{\"payload\":\"{payload}\"}}"), "three parts"),
    ] {
        refuse(&scene.verifier, token.as_bytes(), words);
    }
    refuse(&scene.verifier, "é.é.é".as_bytes(), "header is not base64url");
    for header in [
        json!({"alg": 5}),
        json!({"alg": ["ES256"]}),
        json!({"alg": "ES256", "kid": 7}),
        json!({"alg": "ES256", "kid": ["a"]}),
        json!({"alg": "ES256", "x5c": "a"}),
        json!({"alg": "ES256", "jwk": "a"}),
        json!({"alg": "ES256", "jwk": {}}),
    ] {
        let token = scene.signer.token(header, &claims(&pull()));
        refuse(
            &scene.verifier,
            &token,
            "header is not the JSON of a signed token",
        );
    }
    let critical = json!({"kid": scene.signer.fingerprint(), "crit": ["b64"], "b64": false});
    refuse(
        &scene.verifier,
        &scene.signer.token(critical, &claims(&pull())),
        "`crit`",
    );
}

/// What a request answers that has a good token for something else.
#[test]
fn a_token_for_another_repository_or_action() {
    let scene = Scene::new("ES256");
    let claims = scene
        .verifier
        .verify(&scene.token(&claims(&pull())), now())
        .unwrap();
    let (app, other): (RepoName, RepoName) = ("team/app".parse().unwrap(), "team/other".parse().unwrap());
    let on = |name, verb| Action {
        resource: Resource::Repository(name),
        verb,
    };
    assert!(claims.allows(&on(&app, Verb::Pull)));
    assert!(!claims.allows(&on(&app, Verb::Push)));
    assert!(!claims.allows(&on(&app, Verb::Delete)));
    assert!(!claims.allows(&on(&other, Verb::Pull)));
    let needed = [on(&app, Verb::Pull), on(&app, Verb::Push)];
    assert_eq!(
        scene
            .verifier
            .challenge(None, &needed, Some(TokenError::InsufficientScope)),
        r#"Bearer realm="https://auth.example.com/token",service="registry.example.com",scope="repository:team/app:pull,push",error="insufficient_scope""#
    );
}
