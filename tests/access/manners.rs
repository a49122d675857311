//! Registries as they are: busy, stumbling, and with lists and refusals of their own. Each failure is one line with a remedy.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use wharf_testkit::{
    internet::{Asked, Reply},
    suite::Suite,
    tls::{Authority, Wanted},
};

use crate::{
    scene::{builder_with, entry, tests},
    strangers::{BASIC, LIST, Machine, challenge, tags},
};

pub(crate) fn add_to(suite: &mut Suite) {
    tests!(
        suite,
        &[],
        [
            a_busy_registry_is_waited_for_and_the_user_is_told,
            a_registry_that_asks_for_hours_is_not_waited_for,
            what_fails_once_is_asked_for_again,
            a_token_server_that_is_busy_is_waited_for,
            pages_are_found_however_they_are_linked,
            pages_of_another_server_are_refused,
            a_full_page_without_a_link_is_not_the_last,
            a_registry_that_ignores_the_page_has_sent_all,
            lists_that_are_null_are_empty,
            a_registry_without_a_catalogue_says_what_to_do,
            docker_hub_goes_by_its_names,
            names_that_do_not_exist_have_neighbours,
            a_missing_right_is_named,
            a_token_that_is_refused_is_no_wrong_password,
            certificates_that_are_wrong_say_why,
            servers_that_do_not_speak_as_expected,
            exceptions_of_tls_are_said_each_time,
            certificates_of_the_client_are_found,
        ]
    );
}

/// A registry at `https://registry.test` that answers its version to all.
async fn registry(answers: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Arc<Machine> {
    Machine::new(&[], move |asked| match asked.url.ends_with("/v2/") {
        true => Reply::new(200, "{}"),
        false => answers(asked),
    })
    .await
}

/// `first` for so many requests, and `then` for all after them.
fn at_first(
    count: usize,
    first: impl Fn() -> Reply + Send + Sync + 'static,
    then: impl Fn() -> Reply + Send + Sync + 'static,
) -> impl Fn(&Asked) -> Reply + Send + Sync + 'static {
    let asked = AtomicUsize::new(0);
    move |_| match asked.fetch_add(1, Ordering::Relaxed) < count {
        true => first(),
        false => then(),
    }
}

fn one_line(error: &str) {
    assert_eq!(error.trim_end().lines().count(), 1, "{error}");
    for words in error.split("; ").collect::<Vec<_>>().windows(2) {
        assert_ne!(words[0], words[1], "{error}");
    }
}

async fn a_busy_registry_is_waited_for_and_the_user_is_told() {
    let busy = || Reply::new(429, "{}").header("Retry-After", "0");
    let machine = registry(at_first(2, busy, tags)).await;
    let trusted = machine.home.path().join("ca.pem").display().to_string();
    let output = machine
        .run(&[&LIST[..], &["--cacert", &trusted]].concat(), "")
        .await;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1.0\n");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = "wharf: `registry.test` limits its clients (429 Too Many Requests), asking again in 0 s\n";
    assert_eq!(told, line.repeat(2));
}

async fn a_registry_that_asks_for_hours_is_not_waited_for() {
    let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit"}]}"#;
    let machine = registry(move |_| Reply::new(429, body).header("Retry-After", "21600")).await;
    let error = machine.wharf(&LIST).await.unwrap_err();
    one_line(&error);
    assert!(
        error.contains("pull rate limit") && error.contains("asks to come back in 6 h 0 min"),
        "{error}"
    );
}

async fn what_fails_once_is_asked_for_again() {
    for status in [500, 502, 503, 504] {
        let machine = registry(at_first(1, move || Reply::new(status, "oops"), tags)).await;
        assert_eq!(machine.wharf(&LIST).await.unwrap(), "1.0\n", "{status}");
    }
    let machine = registry(|_| Reply::new(400, "{}")).await;
    machine.wharf(&LIST).await.unwrap_err();
    assert_eq!(
        machine.internet.asked().len(),
        2,
        "what will not pass is asked for once"
    );
}

async fn a_token_server_that_is_busy_is_waited_for() {
    let token = at_first(
        1,
        || Reply::new(503, "").header("Retry-After", "0"),
        || Reply::new(200, r#"{"token":"t"}"#),
    );
    let machine = Machine::new(&[], move |asked| match asked.header("authorization") {
        _ if asked.url.contains("auth.test") => token(asked),
        Some("Bearer t") => tags(),
        _ => challenge("https://auth.test/token"),
    })
    .await;
    assert_eq!(machine.wharf(&LIST).await.unwrap(), "1.0\n");
}

async fn pages_are_found_however_they_are_linked() {
    for link in [
        "</v2/app/tags/list?last=1&n=1000>; rel=\"next\"",
        "<list?last=1>; rel=next",
        "<?n=1&last=1>; rel=\"next\"",
        "<https://registry.test/v2/app/tags/list?last=1>; rel=\"next\"",
        "<http://registry.test:80/v2/app/tags/list?last=1>;rel=\"next\"",
        "</v2/x>; rel=\"prev\", </v2/app/tags/list?last=1>; rel=\"next\"",
    ] {
        let machine = registry(move |asked| match asked.url.contains("last=1") {
            true => Reply::new(200, r#"{"tags":["2"]}"#),
            false => Reply::new(200, r#"{"tags":["1"]}"#).header("Link", link),
        })
        .await;
        assert_eq!(machine.wharf(&LIST).await.unwrap(), "1\n2\n", "{link}");
    }
}

async fn pages_of_another_server_are_refused() {
    let machine = registry(|_| {
        Reply::new(200, r#"{"tags":["1"]}"#).header("Link", "<https://evil.test/v2/x>; rel=\"next\"")
    })
    .await;
    let error = machine.wharf(&LIST).await.unwrap_err();
    assert!(
        error.contains("https://evil.test") && error.contains("http.host"),
        "{error}"
    );
    assert!(!machine.was_asked("https://evil.test"));
}

/// A page of a thousand tags from `start` on.
fn thousand(start: usize) -> String {
    let names = (start..start + 1000).map(|number| format!("\"t{number:05}\""));
    format!("{{\"tags\":[{}]}}", names.collect::<Vec<_>>().join(","))
}

async fn a_full_page_without_a_link_is_not_the_last() {
    let machine = registry(|asked| match asked.url.split_once("last=") {
        None => Reply::new(200, thousand(0)),
        Some((_, "t00999")) => Reply::new(200, r#"{"tags":["u"]}"#),
        Some((_, last)) => Reply::new(400, last),
    })
    .await;
    let listed = machine.wharf(&LIST).await.unwrap();
    assert_eq!((listed.lines().count(), listed.lines().last()), (1001, Some("u")));
}

async fn a_registry_that_ignores_the_page_has_sent_all() {
    for status in [200, 400, 404] {
        let machine = registry(move |asked| match asked.url.contains("last=") {
            true => Reply::new(status, thousand(0)),
            false => Reply::new(200, thousand(0)),
        })
        .await;
        let listed = machine.wharf(&LIST).await.unwrap();
        assert_eq!(listed.lines().count(), 1000, "{status}");
    }
}

async fn lists_that_are_null_are_empty() {
    let machine = registry(|_| Reply::new(200, r#"{"name":"app","tags":null}"#)).await;
    assert_eq!(machine.wharf(&LIST).await.unwrap(), "");
}

async fn a_registry_without_a_catalogue_says_what_to_do() {
    for status in [401, 403, 404, 405, 501] {
        let body = r#"{"errors":[{"code":"UNSUPPORTED","message":"no"}]}"#;
        let machine = Machine::new(&[], move |asked| match asked.url.contains("_catalog") {
            true if asked.header("authorization").is_some() || status != 401 => Reply::new(status, body)
                .header(
                    "WWW-Authenticate",
                    "Bearer realm=\"https://auth.test/\",error=\"insufficient_scope\"",
                ),
            true => challenge("https://auth.test/"),
            false => Reply::new(200, r#"{"token":"t"}"#),
        })
        .await;
        let error = machine.wharf(&["repo", "ls", "registry.test"]).await.unwrap_err();
        one_line(&error);
        assert!(
            error.contains("name one, as in `wharf tag ls"),
            "{status}: {error}"
        );
    }
}

async fn docker_hub_goes_by_its_names() {
    let machine = Machine::new(&[], |asked| match asked.header("authorization") {
        Some("Bearer t") => tags(),
        _ if asked.url.starts_with("https://auth.docker.io/") => Reply::new(200, r#"{"token":"t"}"#),
        _ => challenge("https://auth.docker.io/token"),
    })
    .await;
    machine.log_in(r#"{"auths":{"https://index.docker.io/v1/":{"auth":"YW5uOnNlY3JldA=="}}}"#);
    assert_eq!(
        machine.wharf(&["tag", "ls", "docker.io/alpine"]).await.unwrap(),
        "1.0\n"
    );
    assert!(machine.was_asked("https://registry-1.docker.io/v2/library/alpine/tags/list"));
    let asked = machine.internet.asked();
    let token = asked
        .iter()
        .find(|asked| asked.url.contains("auth.docker.io"))
        .unwrap();
    assert_eq!(token.header("authorization"), Some(BASIC));
}

async fn names_that_do_not_exist_have_neighbours() {
    let machine = registry(|asked| {
        let unknown = |code: &str| {
            Reply::new(
                404,
                format!(r#"{{"errors":[{{"code":"{code}","message":"x"}}]}}"#),
            )
        };
        match asked
            .url
            .strip_prefix("https://registry.test/v2/")
            .unwrap_or_default()
        {
            path if path.starts_with("_catalog") => {
                Reply::new(200, r#"{"repositories":["kyo/my-image","team/app"]}"#)
            }
            path if path.starts_with("team/app/tags") => Reply::new(200, r#"{"tags":["latest","1.0.1"]}"#),
            path if path.contains("/manifests/") => unknown("MANIFEST_UNKNOWN"),
            _ => unknown("NAME_UNKNOWN"),
        }
    })
    .await;
    for (words, expected) in [
        (
            ["inspect", "registry.test/team/app:lastest"],
            "`team/app` at `registry.test` has no tag `lastest`; did you mean `latest`?",
        ),
        (
            ["inspect", "registry.test/team/app:other"],
            "`wharf tag ls registry.test/team/app` lists",
        ),
        (
            ["inspect", "registry.test/my-image:1"],
            "has no repository `my-image`, or not for this user; did you mean `kyo/my-image`?",
        ),
        (
            ["inspect", "registry.test/unlike:1"],
            "`wharf repo ls registry.test` lists",
        ),
    ] {
        let error = machine.wharf(&words).await.unwrap_err();
        one_line(&error);
        assert!(error.contains(expected), "{words:?}: {error}");
    }
    let error = machine
        .wharf(&["tag", "ls", "registry.test/team/ap"])
        .await
        .unwrap_err();
    assert!(error.contains("did you mean `team/app`?"), "{error}");
}

async fn a_missing_right_is_named() {
    let machine = Machine::new(&[], |asked| match asked.url.contains("auth.test") {
        true => Reply::new(200, r#"{"token":"t"}"#),
        false => Reply::new(401, "{}").header(
            "WWW-Authenticate",
            "Bearer realm=\"https://auth.test/\",error=\"insufficient_scope\"",
        ),
    })
    .await;
    let error = machine.wharf(&LIST).await.unwrap_err();
    one_line(&error);
    assert!(error.contains("`ann` lacks the right `pull` in `app`"), "{error}");

    let denied = r#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}"#;
    let machine = registry(move |_| Reply::new(403, denied)).await;
    let error = machine.wharf(&LIST).await.unwrap_err();
    one_line(&error);
    assert!(
        error.contains("DENIED") && error.contains("ask the operator"),
        "{error}"
    );
}

async fn a_token_that_is_refused_is_no_wrong_password() {
    let machine = Machine::new(&[], |asked| match asked.url.contains("auth.test") {
        true => Reply::new(200, r#"{"token":"t"}"#),
        false => Reply::new(401, "{}").header(
            "WWW-Authenticate",
            "Bearer realm=\"https://auth.test/\",error=\"invalid_token\"",
        ),
    })
    .await;
    let error = machine.wharf(&LIST).await.unwrap_err();
    one_line(&error);
    assert!(error.contains("do their clocks and keys agree"), "{error}");
}

async fn certificates_that_are_wrong_say_why() {
    let machine = Machine::new(&["registry.test"], |_| tags()).await;
    for (host, expected) in [
        ("registry.test", &["not trusted", "--cacert"][..]),
        (
            "expired.test",
            &[
                "has ended on Tue, 31 Dec 2002",
                "the clock of this machine says",
                "set the clock",
            ],
        ),
        ("misnamed.test", &["is for `other.test`, not for `misnamed.test`"]),
    ] {
        let error = machine
            .wharf(&["tag", "ls", &format!("{host}/app")])
            .await
            .unwrap_err();
        one_line(&error);
        for words in expected {
            assert!(error.contains(words), "{host}: {error}");
        }
    }
}

async fn servers_that_do_not_speak_as_expected() {
    let machine = registry(|_| tags()).await;
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let error = machine
        .wharf(&["tag", "ls", &format!("{closed}/app")])
        .await
        .unwrap_err();
    one_line(&error);
    assert_eq!(error.matches("connection refused").count(), 1, "{error}");
    assert!(error.contains("is the registry running"), "{error}");

    let answer: &'static [u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let plain = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut some = [0; 4096];
            _ = stream.read(&mut some);
            _ = stream.write_all(answer);
        }
    });
    let error = machine
        .wharf(&["tag", "ls", &format!("https://{plain}/app")])
        .await
        .unwrap_err();
    one_line(&error);
    assert!(
        error.contains("speaks no TLS") && error.contains("`--plain-http`"),
        "{error}"
    );
    // As servers with TLS answer what comes in clear text.
    let error = machine
        .wharf(&["tag", "ls", &format!("http://{plain}/app")])
        .await
        .unwrap_err();
    one_line(&error);
    assert!(error.contains(&format!("write `https://{plain}`")), "{error}");
}

async fn exceptions_of_tls_are_said_each_time() {
    let machine = Machine::new(&["registry.test"], |asked| {
        match asked.url.starts_with("http://") {
            true => Reply::new(200, r#"{"tags":["plain"]}"#),
            false => tags(),
        }
    })
    .await;
    for _ in 0..2 {
        let output = machine.run(&[&LIST[..], &["--insecure"]].concat(), "").await;
        assert_eq!(String::from_utf8_lossy(&output.stdout), "1.0\n");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            told.contains("--insecure: nothing proves") && told.contains("--cacert"),
            "{told}"
        );
    }
    let listed = machine.wharf(&[&LIST[..], &["--plain-http"]].concat()).await;
    assert_eq!(listed.unwrap(), "plain\n");
    let error = machine
        .wharf(&["tag", "ls", "https://registry.test/app", "--plain-http"])
        .await
        .unwrap_err();
    assert!(error.contains("contradicts"), "{error}");
}

async fn certificates_of_the_client_are_found() {
    let ours = Authority::new("ours");
    let builder = builder_with(entry("ann", "secret"))
        .tls(&Wanted::localhost().self_signed())
        .environment("REGISTRY_HTTP_TLS_CLIENTCAS", "[ca.crt]");
    builder.write("ca.crt", ours.certificate());
    let server = builder.start();
    let machine = registry(|_| tags()).await;
    let address = server.address();
    let list = ["repo", "ls", &format!("https://{address}")];
    machine.log_in(&format!(
        r#"{{"auths":{{"{address}":{{"auth":"YW5uOnNlY3JldA=="}}}}}}"#
    ));
    let error = machine.wharf(&list).await.unwrap_err();
    assert!(error.contains("requires a certificate of the client"), "{error}");

    let directory = machine.home.path().join(format!(".docker/certs.d/{address}"));
    std::fs::create_dir_all(&directory).unwrap();
    let client = Wanted::client("friend").signed_by(&ours);
    std::fs::write(directory.join("client.cert"), &client.certificate).unwrap();
    let error = machine.wharf(&list).await.unwrap_err();
    assert!(
        error.contains("client.key") && error.contains("missing"),
        "{error}"
    );
    std::fs::write(directory.join("client.key"), &client.key).unwrap();
    assert_eq!(machine.wharf(&list).await.unwrap(), "");
}
