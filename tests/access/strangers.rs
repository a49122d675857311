//! The commands that ask a registry: secrets go where they belong, whatever a server says.

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
    sync::Arc,
};

use tempfile::TempDir;
use wharf_testkit::{
    internet::{Asked, Internet, Reply},
    suite::Suite,
};

use crate::scene::{WHARF, tests};

/// `ann:secret`, as Basic sends it.
pub(crate) const BASIC: &str = "Basic YW5uOnNlY3JldA==";

pub(crate) fn add_to(suite: &mut Suite) {
    tests!(
        suite,
        &[],
        [
            a_token_server_gets_the_password_over_tls,
            a_registry_with_tls_names_a_token_server_without,
            a_refresh_token_is_not_sent_in_clear_text,
            a_redirect_to_a_stranger_that_challenges,
            a_token_server_redirects_with_307,
            exceptions_of_tls_hold_for_one_host,
            a_registry_on_loopback_names_a_token_server_elsewhere,
            a_redirect_from_tls_to_plain_http,
            a_redirect_to_tls_of_the_same_host_is_the_registry,
            content_may_come_from_elsewhere_without_credentials,
            pages_without_an_end,
            pages_in_a_circle,
            text_of_a_registry_does_not_act_on_the_terminal,
            a_key_with_a_path_is_for_that_path,
        ]
    );
}

/// A user's machine: its home, and the internet that it reaches.
pub(crate) struct Machine {
    pub(crate) home: TempDir,
    pub(crate) internet: Internet,
}

impl Machine {
    /// A machine whose user `ann` has logged in to `registry` and `local`.
    pub(crate) async fn new(
        untrusted: &[&'static str],
        answers: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Arc<Self> {
        let internet = Internet::start(untrusted, answers).await;
        let home = TempDir::with_prefix("wharf-home-").unwrap();
        let machine = Self { home, internet };
        let local = machine.internet.local();
        machine.log_in(&format!(
            r#"{{"auths":{{"registry.test":{{"auth":"YW5uOnNlY3JldA=="}},"{local}":{{"auth":"YW5uOnNlY3JldA=="}}}}}}"#
        ));
        std::fs::write(machine.home.path().join("ca.pem"), machine.internet.authority()).unwrap();
        Arc::new(machine)
    }

    pub(crate) fn log_in(&self, configuration: &str) {
        std::fs::write(self.home.path().join("config.json"), configuration).unwrap();
    }

    /// Runs `wharf`, and gives its standard output or, if it fails, its standard error.
    pub(crate) async fn wharf(self: &Arc<Self>, arguments: &[&str]) -> Result<String, String> {
        let trusted = self.home.path().join("ca.pem").display().to_string();
        let output = self.run(&[arguments, &["--cacert", &trusted]].concat(), "").await;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        match output.status.success() {
            true => Ok(text(output.stdout)),
            false => Err(text(output.stderr)),
        }
    }

    /// Runs `wharf` with this on its standard input. Programs in `bin` of the home are found.
    pub(crate) async fn run(self: &Arc<Self>, arguments: &[&str], input: &'static str) -> Output {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let machine = Arc::clone(self);
        let run = move || machine.run_to_its_end(&arguments, input);
        tokio::task::spawn_blocking(run).await.unwrap()
    }

    fn run_to_its_end(&self, arguments: &[String], input: &str) -> Output {
        let mut child = Command::new(WHARF)
            .args(arguments)
            .env_clear()
            .env(
                "PATH",
                format!("{}:/usr/bin:/bin", self.home.path().join("bin").display()),
            )
            .env("HOME", self.home.path())
            .env("DOCKER_CONFIG", self.home.path())
            .env("HTTP_PROXY", self.internet.proxy())
            .env("HTTPS_PROXY", self.internet.proxy())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that asks for nothing does not read it.
        _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// URLs of the requests that carried a secret.
    pub(crate) fn got_secrets(&self) -> Vec<String> {
        let asked = self.internet.asked();
        let secret = asked.into_iter().filter(|asked| {
            asked.header("authorization").is_some()
                || asked.body.contains("secret")
                || asked.url.contains("secret")
        });
        secret
            .map(|asked| asked.url.split('?').next().unwrap_or_default().to_owned())
            .collect()
    }

    pub(crate) fn was_asked(&self, url: &str) -> bool {
        self.internet
            .asked()
            .iter()
            .any(|asked| asked.url.starts_with(url))
    }
}

pub(crate) fn challenge(realm: &str) -> Reply {
    Reply::new(401, "{}").header(
        "WWW-Authenticate",
        &format!(r#"Bearer realm="{realm}",service="s""#),
    )
}

pub(crate) fn tags() -> Reply {
    Reply::new(200, r#"{"name":"app","tags":["1.0"]}"#)
}

/// A registry at `https://registry.test` with a token server at `realm`.
pub(crate) fn registry(realm: &'static str) -> impl Fn(&Asked) -> Reply {
    move |asked| {
        if asked.url.starts_with("https://registry.test/") {
            return match asked.header("authorization") {
                Some("Bearer t0ken") => tags(),
                _ => challenge(realm),
            };
        }
        Reply::new(200, r#"{"token":"t0ken"}"#)
    }
}

pub(crate) const LIST: [&str; 3] = ["tag", "ls", "registry.test/app"];

async fn a_token_server_gets_the_password_over_tls() {
    let machine = Machine::new(&[], registry("https://auth.test/token?x=1")).await;
    assert_eq!(machine.wharf(&LIST).await.unwrap(), "1.0\n");
    assert_eq!(
        machine.got_secrets(),
        [
            "https://auth.test/token",
            "https://registry.test/v2/app/tags/list"
        ]
    );
    let asked = machine.internet.asked();
    let token = asked
        .iter()
        .find(|asked| asked.url.starts_with("https://auth.test/"))
        .unwrap();
    assert_eq!(token.header("authorization"), Some(BASIC));
    assert!(
        token.url.contains("?x=1&service=s&scope=repository%3Aapp%3Apull"),
        "{}",
        token.url
    );
}

async fn a_registry_with_tls_names_a_token_server_without() {
    for realm in [
        "http://auth.test/token",
        "http://registry.test/token",
        "http://127.0.0.1:1/token",
    ] {
        let machine = Machine::new(&[], registry(realm)).await;
        for more in [&[][..], &["--insecure"]] {
            let error = machine.wharf(&[&LIST, more].concat()).await.unwrap_err();
            assert!(
                error.contains("clear text") && error.contains("https://registry.test"),
                "{error}"
            );
            assert_eq!(machine.got_secrets(), [""; 0]);
        }
    }
}

async fn a_refresh_token_is_not_sent_in_clear_text() {
    let machine = Machine::new(&[], registry("http://auth.test/token")).await;
    machine.log_in(r#"{"auths":{"registry.test":{"auth":"YW5uOg==","identitytoken":"secret"}}}"#);
    machine.wharf(&LIST).await.unwrap_err();
    assert_eq!(machine.got_secrets(), [""; 0]);
}

async fn a_redirect_to_a_stranger_that_challenges() {
    for asks in ["Bearer realm=\"https://evil.test/token\"", "Basic realm=\"x\""] {
        let machine = Machine::new(&[], move |asked| match asked.url.as_str() {
            "https://registry.test/v2/" => Reply::new(200, "{}"),
            url if url.starts_with("https://registry.test/") => {
                Reply::redirect(307, "https://evil.test/tags")
            }
            _ => Reply::new(401, "{}").header("WWW-Authenticate", asks),
        })
        .await;
        let error = machine.wharf(&LIST).await.unwrap_err();
        assert!(
            error.contains("https://evil.test") && error.contains("no credentials were sent"),
            "{error}"
        );
        assert_eq!(machine.got_secrets(), [""; 0]);
    }
}

async fn a_token_server_redirects_with_307() {
    for login in [
        r#"{"auths":{"registry.test":{"auth":"YW5uOnNlY3JldA=="}}}"#,
        r#"{"auths":{"registry.test":{"auth":"YW5uOg==","identitytoken":"secret"}}}"#,
    ] {
        let machine = Machine::new(&[], |asked| {
            if asked.url.starts_with("https://auth.test/") {
                return Reply::redirect(307, "https://evil.test/token");
            }
            registry("https://auth.test/token")(asked)
        })
        .await;
        machine.log_in(login);
        let error = machine.wharf(&LIST).await.unwrap_err();
        assert!(
            error.contains("https://auth.test") && error.contains("307"),
            "{error}"
        );
        assert!(!machine.was_asked("https://evil.test/"));
    }
}

async fn exceptions_of_tls_hold_for_one_host() {
    let machine = Machine::new(
        &["registry.test", "auth.test"],
        registry("https://auth.test/token"),
    )
    .await;
    let error = machine.wharf(&LIST).await.unwrap_err();
    assert!(error.contains("certificate"), "{error}");
    let error = machine
        .wharf(&[&LIST[..], &["--insecure"]].concat())
        .await
        .unwrap_err();
    assert!(
        error.contains("auth.test") && machine.was_asked("https://registry.test/"),
        "{error}"
    );
    assert!(!machine.was_asked("https://auth.test/"));

    let machine = Machine::new(&["registry.test"], registry("https://registry.test:8443/token")).await;
    let listed = machine.wharf(&[&LIST[..], &["--insecure"]].concat()).await;
    assert_eq!(listed.unwrap(), "1.0\n", "the same host on another port");
}

async fn a_registry_on_loopback_names_a_token_server_elsewhere() {
    for realm in ["https://auth.test/token", "http://auth.test/token"] {
        let machine = Machine::new(&["auth.test"], move |asked| {
            match asked.url.contains("auth.test") {
                true => Reply::new(200, r#"{"token":"t"}"#),
                false => challenge(realm),
            }
        })
        .await;
        for scheme in ["http", "https"] {
            let image = format!("{scheme}://{}/app", machine.internet.local());
            machine.wharf(&["tag", "ls", &image]).await.unwrap_err();
            assert!(!machine.was_asked("https://auth.test/") && !machine.was_asked("http://auth.test/"));
        }
    }
}

async fn a_redirect_from_tls_to_plain_http() {
    let machine = Machine::new(&[], |asked| match asked.url.as_str() {
        "https://registry.test/v2/" => Reply::new(200, "{}"),
        url if url.starts_with("https://registry.test/") => {
            Reply::redirect(302, "http://registry.test/plain")
        }
        _ => tags(),
    })
    .await;
    let error = machine.wharf(&LIST).await.unwrap_err();
    assert!(
        error.contains("redirects from `https://` to `http://registry.test`"),
        "{error}"
    );
    assert!(!machine.was_asked("http://"));
}

async fn a_redirect_to_tls_of_the_same_host_is_the_registry() {
    let machine = Machine::new(&[], |asked| {
        if let Some(rest) = asked.url.strip_prefix("http://registry.test/") {
            return Reply::redirect(301, &format!("https://registry.test/{rest}"));
        }
        match asked.header("authorization") {
            Some(BASIC) => tags(),
            _ => Reply::new(401, "{}").header("WWW-Authenticate", "Basic realm=\"x\""),
        }
    })
    .await;
    let listed = machine.wharf(&["tag", "ls", "http://registry.test/app"]).await;
    assert_eq!(listed.unwrap(), "1.0\n");
    assert_eq!(machine.got_secrets(), ["https://registry.test/v2/app/tags/list"]);
}

async fn content_may_come_from_elsewhere_without_credentials() {
    let machine = Machine::new(&[], |asked| match asked.url.as_str() {
        "https://registry.test/v2/app/tags/list?n=1000" if asked.header("authorization") == Some(BASIC) => {
            Reply::redirect(307, "https://storage.test/tags?signature=x")
        }
        url if url.starts_with("https://registry.test/") => {
            Reply::new(401, "{}").header("WWW-Authenticate", "Basic realm=\"x\"")
        }
        _ => tags(),
    })
    .await;
    assert_eq!(machine.wharf(&LIST).await.unwrap(), "1.0\n");
    assert_eq!(machine.got_secrets(), ["https://registry.test/v2/app/tags/list"]);
}

async fn pages_without_an_end() {
    let page = format!("[{}\"x\"]", format!("\"{}\",", "x".repeat(250)).repeat(40_000));
    let machine = Machine::new(&[], move |asked| {
        let next = asked.url.len();
        Reply::new(200, format!("{{\"repositories\":{page}}}")).header(
            "Link",
            &format!("</v2/_catalog?last={}>; rel=\"next\"", "y".repeat(next)),
        )
    })
    .await;
    let error = machine.wharf(&["repo", "ls", "registry.test"]).await.unwrap_err();
    assert!(
        error.contains("does not end") && error.contains("names"),
        "{error}"
    );
}

async fn pages_in_a_circle() {
    let machine = Machine::new(&[], |_| {
        Reply::new(200, r#"{"repositories":["a"]}"#).header("Link", "</v2/_catalog?last=a>; rel=\"next\"")
    })
    .await;
    let error = machine.wharf(&["repo", "ls", "registry.test"]).await.unwrap_err();
    assert!(error.contains("circle"), "{error}");
}

async fn text_of_a_registry_does_not_act_on_the_terminal() {
    const EVIL: &str = "\\u001b[2J\\u009b31m\\u202egnp\\r";
    let digest = format!("sha256:{}", "a".repeat(64));
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","annotations":{{"a":"{EVIL}"}},
        "manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":2,"digest":"{digest}",
        "platform":{{"os":"linux{EVIL}","architecture":"amd64"}}}}]}}"#
    );
    let machine = Machine::new(&[], move |asked| match asked.url.as_str() {
        "https://registry.test/v2/app/manifests/1" => {
            Reply::new(200, index.clone()).header("Content-Type", "application/vnd.oci.image.index.v1+json")
        }
        "https://registry.test/v2/" => Reply::new(200, "{}"),
        url if url.contains("/bad/") => Reply::new(
            400,
            format!(r#"{{"errors":[{{"code":"X{EVIL}","message":"m{EVIL}"}}]}}"#),
        ),
        url if url.contains("_catalog") => Reply::new(200, format!(r#"{{"repositories":["a{EVIL}"]}}"#)),
        _ => Reply::new(200, format!(r#"{{"tags":["t{EVIL}"]}}"#)),
    })
    .await;
    for (words, is_fine) in [
        (&["repo", "ls", "registry.test"][..], true),
        (&["repo", "ls", "registry.test", "--json"], true),
        (&["tag", "ls", "registry.test/app"], true),
        (&["tag", "ls", "registry.test/bad/app"], false),
        (&["inspect", "registry.test/app:1"], true),
        (&["inspect", "registry.test/app:1", "--json"], true),
        (
            &["inspect", "registry.test/app:1", "--platform", "plan9/mips"],
            false,
        ),
    ] {
        let result = machine.wharf(words).await;
        assert_eq!(result.is_ok(), is_fine, "{words:?}: {result:?}");
        let (Ok(text) | Err(text)) = result;
        let acts = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!text.contains(acts), "{words:?}: {text:?}");
        assert!(!is_fine || text.contains("\\u"), "{words:?}: {text}");
    }
}

async fn a_key_with_a_path_is_for_that_path() {
    let machine = Machine::new(&[], |asked| {
        let owner = match asked.header("authorization") {
            // `a:x` and `h:x`
            Some("Basic YTp4") => "team-a",
            Some("Basic aDp4") => "host",
            _ => return Reply::new(401, "{}").header("WWW-Authenticate", "Basic realm=\"x\""),
        };
        Reply::new(200, format!(r#"{{"tags":["{owner}"]}}"#))
    })
    .await;
    machine.log_in(r#"{"auths":{"registry.test/team-a":{"auth":"YTp4"},"registry.test":{"auth":"aDp4"}}}"#);
    let listed = async |name: &str| {
        machine
            .wharf(&["tag", "ls", &format!("registry.test/{name}")])
            .await
    };
    assert_eq!(listed("team-a/app").await.unwrap(), "team-a\n");
    assert_eq!(listed("team-b/app").await.unwrap(), "host\n");
    machine.log_in(r#"{"auths":{"registry.test/team-a":{"auth":"YTp4"}}}"#);
    let error = listed("team-b/app").await.unwrap_err();
    assert!(error.contains("requires a login"), "{error}");
}
