//! Bearer tokens: whatever a header or claims are, nothing panics, nothing is accepted that the key did not sign, and
//! what is accepted can be looked at.
#![no_main]

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;
use wharf_access::{
    Action, Resource, Verb,
    token::{Claims, Realm, Rejection, Settings, TrustedKeys, Verifier},
};

struct Scene {
    pair: Ed25519KeyPair,
    verifier: Verifier,
}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key());
    let jwks = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"k","x":"{x}"}}]}}"#);
    let mut keys = TrustedKeys::default();
    keys.add_jwks(jwks.as_bytes()).unwrap();
    let settings = Settings {
        realm: Realm::Fixed("https://a/token".to_owned()),
        service: "s".to_owned(),
        issuer: "i".to_owned(),
        algorithms: Default::default(),
    };
    Scene {
        pair,
        verifier: Verifier::new(settings, keys),
    }
});

fuzz_target!(|data: &[u8]| {
    let scene = &*SCENE;
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    assert!(
        scene.verifier.verify(data, now).is_err(),
        "a token that the key did not sign"
    );

    let signed = scene.token(br#"{"alg":"EdDSA","kid":"k"}"#, data);
    if let Ok(claims) = scene.verifier.verify(&signed, now) {
        look_at(&claims);
        let again = scene.verifier.authenticate(&signed, now).unwrap();
        assert_eq!(*again, claims);
    }

    let headed = scene.token(data, br#"{"iss":"i","aud":"s","exp":1900000000}"#);
    match scene.verifier.verify(&headed, now) {
        Ok(claims) => assert_eq!(claims.account(), None),
        Err(Rejection::Signature) => panic!("the key has signed it"),
        Err(error) => assert!(error.to_string().chars().count() < 1200),
    }
});

impl Scene {
    fn token(&self, header: &[u8], claims: &[u8]) -> Vec<u8> {
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(signed.as_bytes()));
        format!("{signed}.{signature}").into_bytes()
    }
}

/// Every action is more than one.
fn look_at(claims: &Claims) {
    assert!(
        claims
            .account()
            .is_none_or(|name| !name.is_empty() && !name.contains(char::is_control))
    );
    let name = "a".parse().unwrap();
    for resource in [Resource::Catalog, Resource::Repository(&name)] {
        let allows = |verb| claims.allows(&Action { resource, verb });
        if allows(Verb::All) {
            assert!([Verb::Pull, Verb::Push, Verb::Delete].into_iter().all(allows));
        }
    }
}
