//! The token server of this registry: what it issues, what it takes, and what it refuses.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use wharf_access::{
    Action, Resource, Verb,
    binding::Binding,
    issuer::{IssueError, Issuer, Options, Subject},
    scope::Scope,
    stamp::Stamp,
    token::{Claims, Realm, Rejection, Settings, TrustedKeys, Verifier},
};
use wharf_storage::{
    ErrorKind, Operation, Put, Storage,
    faulty::{Fault, Faulty},
    fs::FsStorage,
    layout,
    object::ObjectStorage,
};
use wharf_testkit::tokens::Signer;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const EXPIRY: Duration = Duration::from_secs(300);

fn options() -> Options {
    Options {
        realm: Realm::Fixed("https://hub.example/auth/token".to_owned()),
        service: "hub.example".to_owned(),
        issuer: "wharf".to_owned(),
        expiry: EXPIRY,
        refresh_expiry: 30 * DAY,
        rotation: 90 * DAY,
    }
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn memory() -> Arc<dyn Storage> {
    Arc::new(ObjectStorage::in_memory())
}

async fn started(storage: &Arc<dyn Storage>, options: Options) -> Issuer {
    let issuer = Issuer::new(storage, options);
    issuer.start(now()).await.unwrap();
    issuer
}

fn alice() -> Subject<'static> {
    let stamp: Stamp = "AAECAwQFBgcICQoLDA0ODw".parse().unwrap();
    Subject {
        account: Some("alice"),
        binding: Binding::User(stamp),
    }
}

fn scopes(text: &str) -> Vec<Scope> {
    Scope::list([text]).unwrap()
}

fn allows(claims: &Claims, name: &str, verb: Verb) -> bool {
    let name = name.parse().unwrap();
    let resource = Resource::Repository(&name);
    claims.allows(&Action { resource, verb })
}

/// Header and claims of a token.
fn parts(token: &str) -> (Value, Value) {
    let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
    let mut next = || serde_json::from_slice(&parts.next().unwrap()).unwrap();
    (next(), next())
}

#[tokio::test]
async fn a_token_is_that_of_docker_auth_and_says_with_what_it_ends() {
    let issuer = started(&memory(), options()).await;
    let issued = issuer
        .issue(
            alice(),
            &scopes("repository:team/app:pull,push registry:catalog: repository(plugin):p:pull"),
            now(),
        )
        .unwrap();
    assert_eq!((issued.expires_in, issued.issued_at), (EXPIRY, now()));
    let (header, claims) = parts(&issued.token);
    assert_eq!(header["typ"], "JWT");
    assert_eq!(header["alg"], "ES256");
    let seconds = 1_800_000_000;
    assert_eq!(
        [&claims["iss"], &claims["sub"], &claims["aud"]],
        ["wharf", "alice", "hub.example"]
    );
    assert_eq!(
        [&claims["exp"], &claims["nbf"], &claims["iat"]],
        [seconds + 300, seconds - 10, seconds]
    );
    assert_eq!(claims["jti"].as_str().unwrap().len(), 22);
    assert_eq!(
        claims["access"],
        json!([
            {"type": "repository", "name": "team/app", "actions": ["pull", "push"]},
            {"type": "registry", "name": "catalog", "actions": []},
            {"type": "repository", "class": "plugin", "name": "p", "actions": ["pull"]},
        ])
    );

    assert!(
        issuer.recognise(issued.token.as_bytes(), now()).is_none(),
        "it was never verified"
    );
    let read = issuer.authenticate(issued.token.as_bytes(), now()).unwrap();
    assert_eq!(read.account().map(|name| &**name), Some("alice"));
    assert_eq!(read.binding(), alice().binding);
    assert!(allows(&read, "team/app", Verb::Push) && !allows(&read, "team/app", Verb::Delete));
    assert!(issuer.recognise(issued.token.as_bytes(), now()).is_some());
    let late = now() + EXPIRY + Duration::from_secs(61);
    assert!(issuer.recognise(issued.token.as_bytes(), late).is_none());
    let refused = issuer.authenticate(issued.token.as_bytes(), late);
    assert!(matches!(refused, Err(Rejection::Expired { .. })), "{refused:?}");
}

#[tokio::test]
async fn the_public_keys_verify_tokens_elsewhere_and_sign_none() {
    let issuer = started(&memory(), options()).await;
    let mut keys = TrustedKeys::default();
    assert_eq!(keys.add_jwks(issuer.jwks().as_bytes()).unwrap(), []);
    let elsewhere = Verifier::new(
        Settings {
            realm: options().realm,
            service: options().service,
            issuer: options().issuer,
            algorithms: Default::default(),
        },
        keys,
    );
    let issued = issuer
        .issue(alice(), &scopes("repository:a:pull"), now())
        .unwrap();
    let claims = elsewhere.verify(issued.token.as_bytes(), now()).unwrap();
    assert!(allows(&claims, "a", Verb::Pull));
}

#[tokio::test]
async fn a_refresh_token_is_good_again_and_again_until_it_ends() {
    let issuer = started(&memory(), options()).await;
    let token = issuer.issue_refresh(alice(), None, now()).unwrap();
    for day in [0, 1, 29] {
        let claims = issuer.read_refresh(token.as_bytes(), now() + day * DAY).unwrap();
        assert_eq!(claims.account().map(|name| &**name), Some("alice"));
        assert_eq!(claims.binding(), alice().binding);
    }
    let refused = issuer.read_refresh(token.as_bytes(), now() + 31 * DAY);
    assert!(matches!(refused, Err(Rejection::Expired { .. })), "{refused:?}");
}

#[tokio::test]
async fn replicas_that_start_at_once_agree_on_one_key() {
    let directory = tempfile::tempdir().unwrap();
    let stores: [Arc<dyn Storage>; 2] = [memory(), Arc::new(FsStorage::open(directory.path()).unwrap())];
    for storage in stores {
        let issuers: Vec<Issuer> = (0..4).map(|_| Issuer::new(&storage, options())).collect();
        let starts: Vec<_> = issuers
            .iter()
            .map(|issuer| {
                let issuer = issuer.clone();
                tokio::spawn(async move { issuer.start(now()).await.unwrap() })
            })
            .collect();
        for start in starts {
            start.await.unwrap();
        }
        let issued = issuers[0].issue(alice(), &[], now()).unwrap();
        for issuer in &issuers {
            assert_eq!(issuer.jwks(), issuers[0].jwks());
            issuer.authenticate(issued.token.as_bytes(), now()).unwrap();
        }
    }
}

#[tokio::test]
async fn a_rotation_logs_no_client_out() {
    let storage = memory();
    let (here, there) = (
        started(&storage, options()).await,
        started(&storage, options()).await,
    );
    let kid = |token: &str| parts(token).0["kid"].as_str().unwrap().to_owned();
    let rotation = now() + 90 * DAY;
    let before = rotation - DAY;
    let refresh = here.issue_refresh(alice(), None, before).unwrap();
    here.start(rotation).await.unwrap();
    // The other replica has not read the new key: nothing is signed with it yet.
    let access = here.issue(alice(), &[], rotation).unwrap().token;
    assert_eq!(kid(&access), kid(&refresh));
    there.authenticate(access.as_bytes(), rotation).unwrap();

    there.start(rotation + Duration::from_secs(10)).await.unwrap();
    let later = rotation + Duration::from_secs(60);
    let access = here.issue(alice(), &[], later).unwrap().token;
    assert_ne!(kid(&access), kid(&refresh));
    there.authenticate(access.as_bytes(), later).unwrap();
    let almost = before + 30 * DAY - Duration::from_secs(1);
    there.start(almost).await.unwrap();
    there.read_refresh(refresh.as_bytes(), almost).unwrap();

    let end = later + 31 * DAY;
    there.start(end).await.unwrap();
    let refused = there.read_refresh(refresh.as_bytes(), end);
    assert!(
        matches!(refused, Err(Rejection::UnknownKey { .. })),
        "{refused:?}"
    );
    assert!(!there.jwks().contains(&kid(&refresh)));
}

#[tokio::test]
async fn keys_that_cannot_be_read_issue_nothing_and_those_that_were_read_stay() {
    let faulty = Arc::new(Faulty::new(memory()));
    let storage: Arc<dyn Storage> = Arc::clone(&faulty) as _;
    let issuer = started(&storage, options()).await;
    let token = issuer.issue(alice(), &[], now()).unwrap().token;

    let damaged = Put::new(layout::token_keys(), "damaged");
    storage.publish(&[damaged]).await.unwrap();
    let error = issuer.start(now()).await.unwrap_err().to_string();
    assert!(
        error.starts_with("the keys of tokens (`wharf/access/keys`) cannot be read"),
        "{error}"
    );
    issuer.authenticate(token.as_bytes(), now()).unwrap();
    issuer.issue(alice(), &[], now()).unwrap();

    let new = Issuer::new(&storage, options());
    new.start(now()).await.unwrap_err();
    let error = new.issue(alice(), &[], now()).unwrap_err();
    assert!(matches!(error, IssueError::NoKey(Some(_))), "{error}");
    assert!(error.to_string().contains("cannot be read"), "{error}");
    assert!(new.authenticate(token.as_bytes(), now()).is_err());
    assert_eq!(new.jwks(), r#"{"keys":[]}"#);

    faulty.inject(Fault::before(ErrorKind::Unavailable).on(Operation::Read));
    let new = Issuer::new(&storage, options());
    new.start(now()).await.unwrap_err();
    assert!(new.issue(alice(), &[], now()).is_err());
}

/// Claims that are right but for what `change` does to them, signed by another key under the identifier of the right one.
#[tokio::test]
async fn what_the_keys_did_not_sign_is_refused() {
    let issuer = started(&memory(), options()).await;
    let token = issuer
        .issue(alice(), &scopes("repository:a:pull"), now())
        .unwrap()
        .token;
    let (header, claims) = parts(&token);
    let kid = header["kid"].clone();
    let jwks: Value = serde_json::from_str(&issuer.jwks()).unwrap();
    let signer = Signer::new("ES256");
    let other = |header: Value| issuer.authenticate(&signer.token(header, &claims), now());
    for header in [
        json!({"typ": "JWT", "kid": kid}),
        json!({"typ": "JWT", "jwk": jwks["keys"][0]}),
        json!({"typ": "JWT", "jwk": signer.jwk()}),
        json!({"typ": "JWT", "kid": "../../wharf/access/keys"}),
        json!({"typ": "JWT", "kid": "/dev/null"}),
        json!({"typ": "JWT", "kid": ""}),
        json!({"typ": "JWT"}),
        json!({"typ": "JWT", "kid": kid, "alg": "none"}),
        json!({"typ": "JWT", "kid": kid, "alg": "HS256"}),
        json!({"typ": "JWT", "kid": kid, "alg": "RS256"}),
        json!({"typ": "JWT", "kid": kid, "alg": "EdDSA"}),
    ] {
        assert!(other(header.clone()).is_err(), "{header}");
    }
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (_, payload) = signed.split_once('.').unwrap();
    let none = URL_SAFE_NO_PAD.encode(json!({"typ": "JWT", "alg": "none", "kid": kid}).to_string());
    let mut more = claims.clone();
    more["access"][0]["actions"] = json!(["*"]);
    let more = URL_SAFE_NO_PAD.encode(more.to_string());
    let first = token.split('.').next().unwrap();
    for forged in [
        format!("{none}.{payload}."),
        format!("{none}.{payload}.{signature}"),
        format!("{first}.{more}.{signature}"),
        format!("{signed}."),
        format!("{token}."),
        format!("{token}{}", "A".repeat(16 << 10)),
        String::new(),
    ] {
        assert!(issuer.authenticate(forged.as_bytes(), now()).is_err(), "{forged}");
        assert!(issuer.read_refresh(forged.as_bytes(), now()).is_err(), "{forged}");
    }
}

#[tokio::test]
async fn a_token_is_good_for_its_own_purpose_and_service_alone() {
    let storage = memory();
    let issuer = started(&storage, options()).await;
    let access = issuer
        .issue(alice(), &scopes("repository:a:pull"), now())
        .unwrap()
        .token;
    let refresh = issuer.issue_refresh(alice(), None, now()).unwrap();
    assert!(issuer.authenticate(refresh.as_bytes(), now()).is_err());
    assert!(issuer.read_refresh(access.as_bytes(), now()).is_err());

    // The same keys under another name of the service, also one that is made to fit the audience of refresh tokens.
    for service in ["other.example", "refresh tokens of hub.example"] {
        let options = Options {
            service: service.to_owned(),
            ..options()
        };
        let other = started(&storage, options).await;
        assert!(other.authenticate(access.as_bytes(), now()).is_err(), "{service}");
        assert!(
            other.authenticate(refresh.as_bytes(), now()).is_err(),
            "{service}"
        );
        assert!(
            other.read_refresh(refresh.as_bytes(), now()).is_err(),
            "{service}"
        );
    }
    let options = Options {
        issuer: "other".to_owned(),
        ..options()
    };
    let other = started(&storage, options).await;
    let refused = other.authenticate(access.as_bytes(), now());
    assert!(matches!(refused, Err(Rejection::Issuer { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_token_without_an_account_ends_with_its_time_alone() {
    let issuer = started(&memory(), options()).await;
    let anonymous = Subject {
        account: None,
        binding: Binding::Time,
    };
    let token = issuer
        .issue(anonymous, &scopes("repository:public/a:pull"), now())
        .unwrap()
        .token;
    let claims = issuer.authenticate(token.as_bytes(), now()).unwrap();
    assert_eq!((claims.account(), claims.binding()), (None, Binding::Time));
    // An account that is bound to nothing would outlive its user.
    let unbound = Subject {
        account: Some("alice"),
        binding: Binding::Time,
    };
    let token = issuer.issue(unbound, &[], now()).unwrap().token;
    assert_eq!(
        issuer.authenticate(token.as_bytes(), now()),
        Err(Rejection::Unbound)
    );
}
