//! A mirror's requests to an upstream that answers in all ways that registries do.

use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::StatusCode;
use wharf_oci::Tag;

use super::*;
use crate::{
    Login, Secret,
    fake::{Asked, Fake, Reply},
};

const MANIFEST: &str = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}"#;

/// `Basic ann:secret`
const BASIC: &str = "Basic YW5uOnNlY3JldA==";

fn tag(text: &str) -> Reference {
    Reference::Tag(text.parse::<Tag>().unwrap())
}

fn latest() -> Reference {
    tag("latest")
}

fn ann() -> UpstreamLogin {
    UpstreamLogin::Given(Login {
        user: "ann".to_owned(),
        secret: Secret::Password("secret".to_owned()),
    })
}

fn manifest() -> Reply {
    let digest = Digest::sha256_of(MANIFEST.as_bytes()).to_string();
    Reply::json(200, MANIFEST)
        .with("Content-Type", media_type::OCI_MANIFEST)
        .with("Docker-Content-Digest", &digest)
}

fn challenge(realm: &str) -> Reply {
    let challenge = format!("Bearer realm=\"{realm}\",service=\"s\"");
    Reply::json(401, "{}").with("WWW-Authenticate", &challenge)
}

/// A registry that wants a token, which its own token server gives. `tokens` counts them.
fn with_tokens(tokens: &Arc<AtomicUsize>, wanted: Option<&'static str>) -> Fake {
    let tokens = Arc::clone(tokens);
    Fake::start(
        move |asked, own| match (&*asked.path, asked.authorization.as_deref()) {
            (path, authorization) if path.starts_with("/token") => {
                tokens.fetch_add(1, Ordering::Relaxed);
                match authorization == wanted {
                    true => Reply::json(200, r#"{"token":"t","expires_in":300}"#),
                    false => Reply::json(401, "{}"),
                }
            }
            (_, Some("Bearer t")) => manifest(),
            _ => challenge(&format!("http://{own}/token")),
        },
    )
}

async fn kind_of(answer: impl Fn(&Asked, SocketAddr) -> Reply + Send + Sync + 'static) -> UpstreamErrorKind {
    let upstream = Fake::start(answer).upstream(|_| {});
    upstream.manifest("app", &latest()).await.unwrap_err().kind()
}

async fn read(blob: &mut UpstreamBlob) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(piece) = blob.next().await? {
        all.extend(piece);
    }
    Ok(all)
}

#[tokio::test]
async fn a_manifest_is_read_and_its_head() {
    let fake = Fake::start(|_, _| manifest().with("RateLimit-Remaining", "76;w=21600"));
    let upstream = fake.upstream(|_| {});
    assert_eq!(upstream.rate(), None);
    let digest = Digest::sha256_of(MANIFEST.as_bytes());
    let head = upstream.head_manifest("app", &latest()).await.unwrap().unwrap();
    let expected = ManifestHead {
        digest: Some(digest),
        media_type: media_type::OCI_MANIFEST.to_owned(),
        size: Some(MANIFEST.len() as u64),
    };
    assert_eq!(head, expected);
    assert_eq!(upstream.rate().unwrap().remaining, Some(76));
    for reference in [latest(), Reference::Digest(digest)] {
        let found = upstream.manifest("app", &reference).await.unwrap().unwrap();
        assert_eq!((found.digest, &*found.bytes), (digest, MANIFEST.as_bytes()));
    }
}

#[tokio::test]
async fn a_head_without_a_digest_has_none_and_bytes_know_their_media_type() {
    let fake = Fake::start(|_, _| Reply::json(200, MANIFEST));
    let upstream = fake.upstream(|_| {});
    let head = upstream.head_manifest("app", &latest()).await.unwrap().unwrap();
    assert_eq!(head.digest, None);
    let found = upstream.manifest("app", &latest()).await.unwrap().unwrap();
    assert_eq!(found.media_type, media_type::OCI_MANIFEST);
}

#[tokio::test]
async fn what_the_upstream_does_not_have_is_none() {
    let fake = Fake::start(|_, _| Reply::json(404, r#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#));
    let upstream = fake.upstream(|_| {});
    let digest = Digest::sha256_of(b"");
    assert!(upstream.manifest("app", &latest()).await.unwrap().is_none());
    assert!(upstream.head_manifest("app", &latest()).await.unwrap().is_none());
    assert!(upstream.head_blob("app", &digest).await.unwrap().is_none());
    assert!(upstream.open_blob("app", &digest, None).await.unwrap().is_none());
    assert!(upstream.tags("app").await.unwrap().is_none());
    assert!(upstream.referrers("app", &digest).await.unwrap().is_none());
}

#[tokio::test]
async fn tokens_are_fetched_with_and_without_credentials_and_once() {
    for (login, wanted) in [(UpstreamLogin::Anonymous, None), (ann(), Some(BASIC))] {
        let tokens = Arc::new(AtomicUsize::new(0));
        let fake = with_tokens(&tokens, wanted);
        let upstream = fake.upstream(|options| options.login = login);
        let latest = latest();
        let ask = || upstream.head_manifest("app", &latest);
        let (one, two, three) = tokio::join!(ask(), ask(), ask());
        assert!(one.unwrap().is_some() && two.unwrap().is_some() && three.unwrap().is_some());
        assert!(ask().await.unwrap().is_some());
        assert_eq!(tokens.load(Ordering::Relaxed), 1);
        assert!(upstream.manifest("other", &latest).await.unwrap().is_some());
        assert_eq!(tokens.load(Ordering::Relaxed), 2, "a token is for one repository");
    }
}

#[tokio::test]
async fn refused_credentials_are_denied() {
    let denied = UpstreamErrorKind::Denied(StatusCode::UNAUTHORIZED);
    let fake = with_tokens(&Arc::default(), Some("Basic of another user"));
    let upstream = fake.upstream(|options| options.login = ann());
    let error = upstream.manifest("app", &latest()).await.unwrap_err();
    assert_eq!(error.kind(), denied);
    assert!(
        error.to_string().contains("`ann`") && !error.to_string().contains("secret"),
        "{error}"
    );
    // The token is given, and has no rights.
    let kind = kind_of(|asked, own| match asked.path.starts_with("/token") {
        true => Reply::json(200, r#"{"token":"t"}"#),
        false => challenge(&format!("http://{own}/token")),
    });
    assert_eq!(kind.await, denied);
    let kind = kind_of(|_, _| Reply::json(401, "{}").with("WWW-Authenticate", "Basic realm=\"r\""));
    assert_eq!(kind.await, denied);
    let forbidden = kind_of(|_, _| Reply::json(403, "{}")).await;
    assert_eq!(forbidden, UpstreamErrorKind::Denied(StatusCode::FORBIDDEN));
}

#[tokio::test]
async fn a_token_server_of_another_domain_gets_no_credentials() {
    let fake = Fake::start(|_, _| challenge("https://auth.stranger.test/token"));
    let upstream = fake.upstream(|options| options.login = ann());
    let error = upstream.manifest("app", &latest()).await.unwrap_err();
    assert_eq!(error.kind(), UpstreamErrorKind::Untrusted);
    let text = error.to_string();
    assert!(
        text.contains("`realms`") && text.contains("auth.stranger.test"),
        "{text}"
    );
    // One that is named is asked, and does not exist; an anonymous request holds no secret.
    for (login, realms) in [
        (ann(), vec!["auth.stranger.test".to_owned()]),
        (UpstreamLogin::Anonymous, Vec::new()),
    ] {
        let upstream = fake.upstream(|options| {
            options.login = login;
            options.realms = realms;
            // The server of the test, as a proxy, makes no tunnel.
            options.http_proxy = Some(options.url.clone());
        });
        let error = upstream.manifest("app", &latest()).await.unwrap_err();
        assert_ne!(error.kind(), UpstreamErrorKind::Untrusted, "{error}");
    }
}

#[tokio::test]
async fn no_redirect_leaves_tls() {
    let plain = Fake::start(|_, _| manifest());
    let elsewhere = plain.url();
    let fake = Fake::start_tls(move |_, _| {
        Reply::json(307, "").with("Location", &format!("{elsewhere}/v2/app/manifests/latest"))
    });
    let upstream = fake.upstream(|options| options.insecure = true);
    let error = upstream.manifest("app", &latest()).await.unwrap_err();
    assert_eq!(error.kind(), UpstreamErrorKind::Untrusted);
    let strict = fake.upstream(|_| {});
    let error = strict.manifest("app", &latest()).await.unwrap_err();
    assert_eq!(error.kind(), UpstreamErrorKind::Unreachable, "{error}");
    assert!(
        error.to_string().contains("`authorities` of the mirror"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_to_which_the_registry_leads_gets_no_credentials_and_cannot_deny() {
    let bucket = Fake::start(|asked, _| match asked.authorization {
        Some(_) => Reply::json(200, "stolen"),
        None => Reply::json(403, "<Error/>"),
    });
    let elsewhere = bucket.url();
    let fake = Fake::start(move |asked, _| match asked.authorization {
        Some(_) => Reply::json(307, "").with("Location", &format!("{elsewhere}/blob")),
        None => Reply::json(401, "{}").with("WWW-Authenticate", "Basic realm=\"r\""),
    });
    let upstream = fake.upstream(|options| options.login = ann());
    let error = upstream
        .open_blob("app", &Digest::sha256_of(b""), None)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), UpstreamErrorKind::Wrong, "{error}");
    assert!(error.to_string().contains(&bucket.url()), "{error}");
}

#[tokio::test]
async fn limits_and_faults_are_answered_at_once() {
    let limited = kind_of(|_, _| Reply::json(429, "{}").with("Retry-After", "3600")).await;
    let after = Some(Duration::from_secs(3600));
    assert_eq!(limited, UpstreamErrorKind::Limited { after });
    let failing = kind_of(|_, _| Reply::json(503, "{}").with("Retry-After", "3600")).await;
    assert_eq!(
        failing,
        UpstreamErrorKind::Failing(StatusCode::SERVICE_UNAVAILABLE)
    );
    assert_eq!(
        kind_of(|_, _| Reply::json(508, "{}")).await,
        UpstreamErrorKind::Loop
    );
    // Of the token server as well.
    let limited = kind_of(|asked, own| match asked.path.starts_with("/token") {
        true => Reply::json(429, "{}"),
        false => challenge(&format!("http://{own}/token")),
    });
    assert_eq!(limited.await, UpstreamErrorKind::Limited { after: None });
    let absent = kind_of(|asked, own| match asked.path.starts_with("/token") {
        true => Reply::json(404, "{}"),
        false => challenge(&format!("http://{own}/token")),
    });
    assert_eq!(
        absent.await,
        UpstreamErrorKind::Wrong,
        "a token server says nothing about manifests"
    );
}

#[tokio::test]
async fn a_registry_that_is_silent_or_gone_is_told_apart() {
    let fake = Fake::start(|_, _| Reply::Silence);
    let upstream = fake.upstream(|options| options.timeout = Duration::from_millis(100));
    let error = upstream.manifest("app", &latest()).await.unwrap_err();
    assert_eq!(error.kind(), UpstreamErrorKind::TimedOut, "{error}");
    let head = upstream.head_manifest("app", &latest()).await.unwrap_err();
    assert_eq!(head.kind(), UpstreamErrorKind::TimedOut, "{head}");
    assert_eq!(kind_of(|_, _| Reply::Reset).await, UpstreamErrorKind::Unreachable);
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let stumbles = Fake::start(move |_, _| match counted.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::Reset,
        _ => manifest(),
    });
    let found = stumbles.upstream(|_| {}).manifest("app", &latest()).await;
    assert!(
        found.unwrap().is_some(),
        "an idle connection may have been closed"
    );
}

#[tokio::test]
async fn what_no_registry_sends_is_wrong() {
    let wrong = UpstreamErrorKind::Wrong;
    let other = Digest::sha256_of(b"other").to_string();
    let fake = Fake::start(move |_, _| manifest().with("Docker-Content-Digest", &other));
    let error = fake
        .upstream(|_| {})
        .manifest("app", &latest())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), wrong);
    let by_digest = Reference::Digest(Digest::sha256_of(b"other"));
    let fake = Fake::start(|_, _| Reply::json(200, MANIFEST));
    let error = fake
        .upstream(|_| {})
        .manifest("app", &by_digest)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), wrong);
    let page = || Reply::json(200, "<html>Log in</html>");
    let html = kind_of(move |_, _| page().with("Content-Type", "text/html; charset=utf-8"));
    assert_eq!(html.await, wrong);
    assert_eq!(kind_of(move |_, _| page()).await, wrong);
    let large = " ".repeat(MANIFEST_LIMIT + 1);
    assert_eq!(kind_of(move |_, _| Reply::json(200, &large)).await, wrong);
}

#[tokio::test]
async fn a_broken_body_goes_on_where_it_was() {
    let fake = Fake::start(|asked, _| match asked.header("range") {
        None => Reply::json(200, "01234").with("Content-Length", "10"),
        Some("bytes=5-") => Reply::json(206, "56")
            .with("Content-Length", "5")
            .with("Content-Range", "bytes 5-9/10"),
        // A registry may send everything again.
        _ => Reply::json(200, "0123456789"),
    });
    let upstream = fake.upstream(|_| {});
    let mut blob = upstream
        .open_blob("app", &Digest::sha256_of(b""), None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(blob.size(), Some(10));
    assert_eq!(read(&mut blob).await.unwrap(), b"0123456789");
}

#[tokio::test]
async fn a_body_has_the_length_that_was_announced() {
    let open = async |answer: fn(&Asked, SocketAddr) -> Reply, range| {
        let upstream = Fake::start(answer).upstream(|_| {});
        let blob = upstream.open_blob("app", &Digest::sha256_of(b""), range).await;
        read(&mut blob.unwrap().unwrap()).await
    };
    let tries = open(
        |asked, _| match asked.header("range") {
            None => Reply::json(200, "01234").with("Content-Length", "10"),
            Some(_) => Reply::Reset,
        },
        None,
    );
    assert_eq!(tries.await.unwrap_err().kind(), UpstreamErrorKind::Unreachable);
    let shorter = open(
        |asked, _| match asked.header("range") {
            None => Reply::json(200, "01234").with("Content-Length", "10"),
            Some(_) => Reply::json(200, "01234"),
        },
        None,
    );
    assert_eq!(shorter.await.unwrap_err().kind(), UpstreamErrorKind::Unreachable);
    let longer = open(
        |asked, _| match asked.header("range") {
            None => Reply::json(200, "01234").with("Content-Length", "10"),
            Some(_) => Reply::json(206, "56789and more").with("Content-Range", "bytes 5-17/18"),
        },
        None,
    );
    assert_eq!(longer.await.unwrap(), b"0123456789");
    let part = open(
        |asked, _| match asked.header("range") {
            Some("bytes=2-4") => Reply::json(206, "234").with("Content-Range", "bytes 2-4/10"),
            _ => Reply::json(200, "no range"),
        },
        Some(2..5),
    );
    assert_eq!(part.await.unwrap(), b"234");
    let without_ranges = open(|_, _| Reply::json(200, "0123456789"), Some(2..5));
    assert_eq!(without_ranges.await.unwrap(), b"234");
    let other_range = Fake::start(|_, _| Reply::json(206, "x").with("Content-Range", "bytes 7-7/10"));
    let upstream = other_range.upstream(|_| {});
    let error = upstream
        .open_blob("app", &Digest::sha256_of(b""), Some(2..5))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), UpstreamErrorKind::Wrong);
}

#[tokio::test]
async fn requests_name_this_registry_and_one_that_comes_back_is_a_loop() {
    let fake = Fake::start(|asked, _| match asked.header("via") {
        Some("1.1 wharf-test") => manifest().with("Via", "1.1 other, 1.1 wharf-other"),
        _ => Reply::json(500, "{}"),
    });
    let found = fake.upstream(|_| {}).manifest("app", &latest()).await;
    assert!(found.unwrap().is_some());
    let looped =
        kind_of(|asked, _| manifest().with("Via", &format!("{}, 1.1 other", asked.header("via").unwrap())));
    assert_eq!(looped.await, UpstreamErrorKind::Loop);
}

#[tokio::test]
async fn a_registry_may_be_below_a_path_and_lists_its_tags_in_pages() {
    let fake = Fake::start(|asked, _| match &*asked.path {
        "/below/v2/app/tags/list?n=1000" => {
            Reply::json(200, r#"{"tags":["a"]}"#).with("Link", "</v2/app/tags/list?last=a>; rel=\"next\"")
        }
        "/below/v2/app/tags/list?last=a" => Reply::json(200, r#"{"tags":["b"]}"#)
            .with("Link", "</below/v2/app/tags/list?last=b>; rel=\"next\""),
        "/below/v2/app/tags/list?last=b" => Reply::json(200, r#"{"tags":["c"]}"#),
        _ => Reply::json(404, "{}"),
    });
    for path in ["/below", "/below/", "/below/v2/"] {
        let upstream = fake.upstream(|options| options.url.set_path(path));
        let tags = upstream.tags("app").await.unwrap().unwrap();
        assert_eq!(tags, ["a", "b", "c"], "{path}");
    }
}

#[tokio::test]
async fn referrers_come_from_the_api_or_from_their_tag() {
    let entry = json!({"mediaType": media_type::OCI_MANIFEST, "size": 1, "digest": Digest::sha256_of(b"x")});
    let list =
        json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [entry]}).to_string();
    let index = move || Reply::json(200, &list).with("Content-Type", media_type::OCI_INDEX);
    for by_tag in [false, true] {
        let index = index.clone();
        let fake = Fake::start(move |asked, _| match asked.path.contains("/manifests/sha256-") {
            is_tag if is_tag == by_tag => index(),
            _ => Reply::json(404, "{}"),
        });
        let found = fake
            .upstream(|_| {})
            .referrers("app", &Digest::sha256_of(b""))
            .await;
        let found: Value = serde_json::from_slice(&found.unwrap().unwrap()).unwrap();
        assert_eq!(
            found["manifests"].as_array().unwrap().len(),
            1,
            "by tag: {by_tag}"
        );
    }
}

/// registry:3's `proxy.exec`.
#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "plays an operator with a credential helper"
)]
async fn a_program_gives_credentials_for_a_while() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("helper");
    let script = r#"#!/bin/bash
read server; echo "$1 $server" >> "$0.asked"
echo '{"ServerURL":"x","Username":"ann","Secret":"secret"}'
"#;
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let asked = || std::fs::read_to_string(directory.path().join("helper.asked")).unwrap_or_default();
    let fake = with_tokens(&Arc::default(), Some(BASIC));
    let host = fake.url().replace("http://", "");
    for (lifetime, times) in [
        (Lifetime::Once, 1),
        (Lifetime::Each, 2),
        (Lifetime::For(Duration::from_secs(3600)), 1),
    ] {
        let command = program.display().to_string();
        let upstream = fake.upstream(|options| options.login = UpstreamLogin::Helper { command, lifetime });
        for repository in ["a", "b"] {
            let found = upstream.manifest(repository, &latest()).await.unwrap();
            assert!(found.is_some());
        }
        assert_eq!(asked(), format!("get {host}\n").repeat(times), "{lifetime:?}");
        std::fs::remove_file(directory.path().join("helper.asked")).unwrap();
    }
    let missing = UpstreamLogin::Helper {
        command: "/no/such/helper".to_owned(),
        lifetime: Lifetime::Once,
    };
    let upstream = fake.upstream(|options| options.login = missing);
    let error = upstream.manifest("a", &latest()).await.unwrap_err();
    assert_eq!(error.kind(), UpstreamErrorKind::Denied(StatusCode::UNAUTHORIZED));
    assert!(error.to_string().contains("`exec.command`"), "{error}");
}

#[tokio::test]
async fn a_proxy_of_the_mirror_takes_every_request() {
    // To a proxy of plain HTTP, the whole URL is written.
    let proxy = Fake::start(
        |asked, _| match asked.path.starts_with("http://registry.test/v2/app/") {
            true => manifest(),
            false => Reply::json(500, "{}"),
        },
    );
    let upstream = proxy.upstream(|options| {
        options.http_proxy = Some(options.url.clone());
        options.url = "http://registry.test".parse().unwrap();
    });
    assert!(upstream.manifest("app", &latest()).await.unwrap().is_some());
}

#[test]
fn options_hide_secrets_and_wrong_ones_are_refused() {
    let url: Url = "https://u:secret@r.test/x?secret".parse().unwrap();
    let mut options = UpstreamOptions::new(url, "wharf".to_owned());
    options.login = ann();
    options.http_proxy = Some("http://u:secret@proxy.test:3128".parse().unwrap());
    let shown = format!("{options:?}");
    assert!(
        shown.contains("r.test/x") && shown.contains("proxy.test:3128"),
        "{shown}"
    );
    assert!(!shown.contains("secret"), "{shown}");
    let error = Upstream::new(options.clone()).unwrap_err();
    assert_eq!(error.kind(), UpstreamErrorKind::Wrong);
    assert!(!error.to_string().contains("secret"), "{error}");
    options.url = "https://r.test".parse().unwrap();
    assert_eq!(Upstream::new(options.clone()).unwrap().origin(), "https://r.test");
    options.authorities = vec!["/no/such/authorities.pem".into()];
    let error = Upstream::new(options.clone()).unwrap_err();
    assert_eq!(error.kind(), UpstreamErrorKind::Untrusted);
    options.url = "ftp://r.test".parse().unwrap();
    assert!(Upstream::new(options).is_err());
}
