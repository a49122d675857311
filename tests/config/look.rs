//! `wharf config check` and `show`, and the messages of `serve` about a configuration that it cannot use.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// A directory with a configuration for the binary.
pub(crate) struct Site(TempDir);

/// The output of a command, and whether it succeeded.
pub(crate) struct Output {
    pub(crate) is_good: bool,
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) error: String,
}

impl Site {
    pub(crate) fn new(config: &str) -> Self {
        let directory = TempDir::with_prefix("wharf-config-").unwrap();
        std::fs::write(directory.path().join("config.yml"), config).unwrap();
        Self(directory)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.path().join("config.yml")
    }

    /// Runs the binary here, with nothing in the environment but `variables`.
    pub(crate) fn run(&self, words: &[&str], variables: &[(&str, &str)]) -> Output {
        let output = Command::new(env!("CARGO_BIN_EXE_wharf"))
            .args(words)
            .env_clear()
            .envs(variables.iter().copied())
            .current_dir(self.0.path())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let said = Output {
            is_good: output.status.success(),
            code: output.status.code(),
            out: text(output.stdout),
            error: text(output.stderr),
        };
        assert!(!said.error.contains("panicked"), "{}", said.error);
        said
    }

    fn check(&self, variables: &[(&str, &str)]) -> Output {
        self.run(&["config", "check", "config.yml"], variables)
    }

    fn show(&self, variables: &[(&str, &str)]) -> Output {
        self.run(&["config", "show", "config.yml", "--origin"], variables)
    }
}

impl Output {
    #[track_caller]
    pub(crate) fn has(&self, expected: &str) -> &Self {
        let Self { out, error, .. } = self;
        assert!(
            out.contains(expected) || error.contains(expected),
            "`{expected}` was expected in\n{out}\n{error}"
        );
        self
    }

    #[track_caller]
    fn lacks(&self, unexpected: &str) -> &Self {
        let Self { out, error, .. } = self;
        assert!(
            !out.contains(unexpected) && !error.contains(unexpected),
            "`{unexpected}` must not be in\n{out}\n{error}"
        );
        self
    }

    #[track_caller]
    pub(crate) fn good(&self) -> &Self {
        assert!(self.is_good, "{}\n{}", self.out, self.error);
        self
    }

    #[track_caller]
    pub(crate) fn bad(&self) -> &Self {
        assert!(!self.is_good, "{}\n{}", self.out, self.error);
        self
    }
}

const GOOD: &str =
    "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: data\nhttp:\n  addr: 127.0.0.1:0\n";

#[test]
fn a_good_configuration_is_called_good() {
    Site::new(GOOD)
        .check(&[])
        .good()
        .has("config.yml: 0 problems, 0 warnings");
    let warned = Site::new(&format!("{GOOD}  adr: x\n"));
    warned
        .check(&[])
        .good()
        .has("warning: config.yml:7: `http.adr` is not a key of the configuration and has no effect; did you mean `http.addr`?")
        .has("config.yml: 0 problems, 1 warning");
}

#[test]
fn all_problems_are_told_at_once_with_their_places() {
    let config = "version: 0.2\nstorage:\n  filesystem:\n    rootdirectory: [a]\n  delete:\n    enabled: maybe\nlog:\n  level: loud\nproxy:\n  remoteurl: registry-1.docker.io\n";
    let variables = [
        ("REGISTRY_HTTP_DRAINTIMEOUT", "soon"),
        ("REGISTRY_TAGS_MAXTAGS", "-1"),
    ];
    let site = Site::new(config);
    let expected = [
        "config.yml:1: `version` must be `0.1`, not `0.2`",
        "config.yml:4: `storage.filesystem.rootdirectory` must be a text, not a list",
        "config.yml:6: `storage.delete.enabled` must be `true` or `false`, not `maybe`",
        "config.yml:8: `log.level` must be one of `error`, `warn`, `info`, `debug`, not `loud`",
        "config.yml:10: `proxy.remoteurl` must be a URL with `https://` or `http://`",
        "$REGISTRY_HTTP_DRAINTIMEOUT: `http.draintimeout` must be a duration such as `168h` or `1m30s`, not `soon`",
        "$REGISTRY_TAGS_MAXTAGS: `tags.maxtags` must not be negative",
    ];
    let checked = site.check(&variables);
    checked.bad().has("config.yml: 7 problems, 0 warnings");
    let started = site.run(&["serve", "config.yml"], &variables);
    started
        .bad()
        .has("the configuration `config.yml` cannot be used:");
    for expected in expected {
        checked.has(&format!("problem: {expected}"));
        started.has(&format!("  - {expected}"));
    }
}

#[test]
fn a_file_that_cannot_be_read_is_one_clear_problem() {
    let missing = Site::new("");
    missing
        .run(&["serve", "nowhere.yml"], &[])
        .bad()
        .has("the configuration `nowhere.yml` cannot be used:")
        .has("the file cannot be read: No such file or directory");
    let tab = Site::new("version: 0.1\nstorage:\n\tinmemory: {}\n");
    tab.check(&[])
        .bad()
        .has("problem: config.yml:3: this is not YAML")
        .has("a tab is none in YAML");
    std::fs::write(tab.file(), b"version: 0.1\n\xff\n").unwrap();
    tab.check(&[]).bad().has("line 2 is not UTF-8");
    let old = Site::new("version: 0.3\nstorage: inmemory\n");
    old.check(&[]).bad().has("`version` must be `0.1`, not `0.3`");
    let none = Site::new("storage: inmemory\n");
    none.check(&[])
        .bad()
        .has("`version` is missing; the first line of a configuration is `version: 0.1`");
}

#[test]
fn the_argument_counts_more_than_the_variable() {
    let site = Site::new(GOOD);
    std::fs::write(
        site.0.path().join("other.yml"),
        "version: 0.1\nstorage: inmemory\n",
    )
    .unwrap();
    let variables = [("REGISTRY_CONFIGURATION_PATH", "other.yml")];
    site.run(&["config", "show", "--origin"], &variables)
        .good()
        .has("inmemory: {}")
        .has("# other.yml:2");
    site.show(&variables).good().has("filesystem:").lacks("inmemory");
    site.run(
        &["config", "check"],
        &[("REGISTRY_CONFIGURATION_PATH", "nowhere.yml")],
    )
    .bad()
    .has("nowhere.yml");
}

#[test]
fn show_says_where_each_value_comes_from() {
    let config = format!("{GOOD}  relativeurls: yes\n  headers:\n    X-A: [b]\n");
    let said = Site::new(&config).show(&[
        ("REGISTRY_HTTP_DRAINTIMEOUT", "5s"),
        ("REGISTRY_HTTP_HEADERS_X_C", "d"),
    ]);
    let line = |value: &str, origin: &str| {
        let found = said
            .good()
            .out
            .lines()
            .any(|line| line.trim().starts_with(value) && line.ends_with(&format!("# {origin}")));
        assert!(found, "`{value}` from `{origin}` was expected in\n{}", said.out);
    };
    line("rootdirectory: data", "config.yml:4");
    line("addr: 127.0.0.1:0", "config.yml:6");
    line("relativeurls: yes", "config.yml:7");
    line("X-A: [\"b\"]", "config.yml:9");
    line("x-c: d", "$REGISTRY_HTTP_HEADERS_X_C");
    line("draintimeout: 5s", "$REGISTRY_HTTP_DRAINTIMEOUT");
    line("level: info", "default");
    line("maxentries: 1000", "default");
}

#[test]
fn what_is_shown_is_a_configuration_that_means_the_same() {
    let config = "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: '0123'\n  maintenance:\n    uploadpurging: {age: 2h, dryrun: on}\n\
        http:\n  addr: '[::1]:0'\n  headers:\n    X-A: ['a: b', 'yes', '#c']\n    'X-B': d\nvalidation:\n  manifests:\n    urls:\n      allow: ['^https?://a\\.example/']\n    \
        indexes:\n      platforms: list\n      platformlist:\n        - architecture: amd64\n          os: linux\n";
    let first = Site::new(config).run(&["config", "show", "config.yml"], &[]);
    first.good();
    let second = Site::new(&first.out);
    second.check(&[]).good().has("0 problems, 0 warnings");
    assert_eq!(second.run(&["config", "show", "config.yml"], &[]).out, first.out);
}

#[test]
fn secrets_are_never_shown() {
    let config = "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: data\n  s3: {accesskey: hidden1, secretkey: hidden2, bucket: b, region: r}\n\
        http: {secret: hidden3}\nredis: {password: hidden4}\nproxy: {remoteurl: 'https://hidden5:hidden6@r.example/x', password: hidden7}\n\
        notifications:\n  endpoints:\n    - name: n\n      url: 'https://u:hidden8@h.example/x?token=hidden13&hidden14'\n      headers: {Authorization: [Bearer hidden9]}\nreporting: {bugsnag: {apikey: hidden10}}\n\
        health: {http: [{uri: 'http://127.0.0.1:1/up?apikey=hidden15'}]}\n";
    let site = Site::new(config);
    let secret = site.0.path().join("secret");
    std::fs::write(&secret, "hidden11\n").unwrap();
    let variables = [
        ("REGISTRY_PROXY_USERNAME", "visible"),
        ("REGISTRY_REDIS_SENTINELPASSWORD", "[hidden12: {"),
        ("REGISTRY_REDIS_USERNAME_FILE", secret.to_str().unwrap()),
        ("REGISTRY_HTTP_SECRET_FILE", secret.to_str().unwrap()),
    ];
    let shown = site.show(&variables);
    shown
        .has("visible")
        .has("secretkey: \"********\"")
        .has("https://********@r.example/x")
        .has("https://********@h.example/x?token=********&********")
        .has("http://127.0.0.1:1/up?apikey=********");
    shown.has("$REGISTRY_HTTP_SECRET_FILE");
    for said in [
        shown,
        site.check(&variables),
        site.run(&["serve", "config.yml"], &variables),
    ] {
        for line in said.out.lines().chain(said.error.lines()) {
            // The name of a user is no secret.
            assert!(!line.contains("hidden") || line.contains("username"), "{line}");
        }
    }
}

#[test]
fn what_is_not_here_yet_is_refused_or_told_before_anything_listens() {
    for (key, sentence) in [
        (
            "storage: {azure: {container: c}}",
            "`storage.azure.accountname` is missing",
        ),
        (
            "storage: {azure: {accountname: a, accountkey: k}}",
            "`storage.azure.container` is missing",
        ),
        (
            "storage: {azure: {accountname: a, container: c, credentials: {type: client_secret, clientid: i}}}",
            "`storage.azure.credentials.tenantid` is missing; `type: client_secret` needs it",
        ),
        (
            "storage: {azure: {container: c, connectionstring: 'BlobEndpoint=https://a;SharedAccessSignature=s'}}",
            "`storage.azure.connectionstring` has a shared access signature",
        ),
        (
            "storage: {azure: {accountname: a, accountkey: k, container: c, serviceurl: a.blob}}",
            "`storage.azure.serviceurl` must be a URL such as `https://a.blob.core.windows.net`",
        ),
        (
            "storage: {azure: {accountname: a, accountkey: '!', container: c}}",
            "cannot use the container `c` of `storage.azure`",
        ),
        ("storage: {gcs: {keyfile: k}}", "`storage.gcs.bucket` is missing"),
        (
            "storage: {gcs: {bucket: b, chunksize: 1000000}}",
            "`storage.gcs.chunksize` must be a multiple of 262144 (256 KiB)",
        ),
        (
            "storage: {gcs: {bucket: b, credentials: {client_email: e}}}",
            "`storage.gcs.credentials` has no `private_key`",
        ),
        (
            "storage: {gcs: {bucket: b, keyfile: /nowhere}}",
            "cannot use `/nowhere`, the credentials that `storage.gcs.keyfile` names",
        ),
        (
            "storage: inmemory\nproxy: {remoteurl: 'https://u:hidden@r.example'}",
            "`proxy.remoteurl` has credentials in its URL",
        ),
        (
            "storage: inmemory\nmiddleware: {repository: [{name: redirect}]}",
            "`middleware.repository` is not supported: such middleware is code",
        ),
        (
            "storage: inmemory\nmiddleware: {storage: [{name: redirect}]}",
            "`middleware.storage[0].options.baseurl` is missing",
        ),
        (
            "storage: inmemory\nmiddleware: {storage: [{name: redirect, options: {baseurl: cdn}}]}",
            "`middleware.storage[0].options.baseurl` must be a URL with scheme and host",
        ),
        (
            "storage: inmemory\nmiddleware: {storage: [{name: akamai}]}",
            "`middleware.storage[0].name` names no middleware with `akamai`; there are `redirect`, `rewrite` and `cloudfront`",
        ),
        (
            "storage: {s3: {bucket: b, region: r}}\nmiddleware: {storage: [{name: cloudfront, options: {baseurl: b}}]}",
            "`middleware.storage[0].options.privatekey` is missing",
        ),
        (
            "storage: {s3: {bucket: b, region: r}}\nmiddleware: {storage: [{name: cloudfront, options: {baseurl: b, privatekey: p, keypairid: k, ipfilteredby: aws}}]}",
            "`middleware.storage[0].options.ipfilteredby` must be `none`: the others need the addresses of clients",
        ),
        (
            "storage: inmemory\nauth: {token: {realm: r, service: s, issuer: i}}",
            "`auth.token` has neither `rootcertbundle` nor `jwks`; without a key of the token server no token can be verified",
        ),
        (
            "storage: inmemory\nauth: {silly: {realm: r, service: s}}",
            "`auth.silly` lets in",
        ),
        (
            "storage: inmemory\nhttp: {tls: {letsencrypt: {cachefile: c}}}",
            "`http.tls.letsencrypt` is not supported yet",
        ),
    ] {
        let site = Site::new(&format!("version: 0.1\n{key}\n"));
        site.check(&[]).bad().has(sentence);
        site.run(&["serve", "config.yml"], &[])
            .bad()
            .has(sentence)
            .lacks("listening");
    }
    for (key, sentence) in [
        (
            "reporting: {newrelic: {licensekey: k}}",
            "`reporting` has no effect",
        ),
        (
            "compatibility: {schema1: {enabled: true}}",
            "`compatibility` has no effect",
        ),
        ("redis: {addr: 'r:6379'}", "`redis` is not used"),
        (
            "policy: {repository: {classes: [image]}}",
            "`policy.repository.classes` has no effect",
        ),
        ("log: {hooks: [{type: mail}]}", "`log.hooks` has no effect"),
    ] {
        let site = Site::new(&format!("{GOOD}{key}\n"));
        site.check(&[]).good().has(sentence);
    }
}

#[test]
fn the_list_of_keys_is_the_documentation() {
    let keys = Site::new("").run(&["config", "keys"], &[]);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let documentation = std::fs::read_to_string(path).unwrap();
    assert!(
        documentation.ends_with(&keys.good().out),
        "put what `wharf config keys` says at the end of docs/configuration.md"
    );
}
