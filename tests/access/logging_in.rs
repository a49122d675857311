//! `wharf login` and `wharf logout`: a login is tried, then kept as docker keeps it, and no secret shows.

use std::{
    os::unix::fs::{PermissionsExt as _, symlink},
    process::Output,
    sync::Arc,
};

use wharf_testkit::{
    Value,
    internet::Reply,
    suite::{Part, Suite},
    tool::Bench,
};

use crate::{
    scene::{WHARF, builder_with, entry, tests},
    strangers::{BASIC, LIST, Machine, registry, tags},
};

pub(crate) fn add_to(suite: &mut Suite) {
    tests!(
        suite,
        &[],
        [
            a_login_is_tried_and_kept,
            a_login_that_is_refused_changes_nothing,
            a_token_is_kept_in_place_of_the_password,
            a_helper_keeps_the_login,
            a_helper_that_fails_is_heard,
            a_configuration_behind_a_link_stays_behind_it,
            a_long_secret_is_not_cut,
            a_login_of_podman_is_found,
            a_logout_names_what_is_left,
            a_logout_removes_the_entry_though_the_helper_fails,
        ]
    );
    tests!(
        suite,
        &[
            Part::Program("docker"),
            Part::Program("skopeo"),
            Part::Program("podman")
        ],
        [docker_and_others_read_what_a_login_keeps]
    );
}

/// `https://registry.test`, where `ann` has the password `secret`.
async fn machine() -> Arc<Machine> {
    Machine::new(&[], |asked| match asked.header("authorization") {
        Some(BASIC) if asked.url.ends_with("/v2/") => Reply::new(200, "{}"),
        Some(BASIC) => tags(),
        _ => Reply::new(401, "{}").header("WWW-Authenticate", "Basic realm=\"x\""),
    })
    .await
}

/// What a command said and wrote, with the secret nowhere in it.
fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    assert!(
        !text.contains("secret") && !text.contains("YW5uOnNlY3JldA"),
        "{text}"
    );
    text
}

impl Machine {
    async fn login(self: &Arc<Self>, password: &'static str) -> (bool, String) {
        let trusted = self.home.path().join("ca.pem").display().to_string();
        let words = [
            "login",
            "registry.test",
            "-u",
            "ann",
            "--password-stdin",
            "--cacert",
            &trusted,
        ];
        let output = self.run(&words, password).await;
        (output.status.success(), said(&output))
    }

    async fn logout(self: &Arc<Self>) -> String {
        let output = self.run(&["logout", "registry.test"], "").await;
        assert!(output.status.success(), "{output:?}");
        said(&output)
    }

    fn configuration(&self) -> Value {
        serde_json::from_str(&self.read("config.json")).unwrap()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.home.path().join(name)).unwrap()
    }

    /// Makes a helper of docker, a script of bash that finds its home as `$HOME`.
    fn helper(&self, name: &str, script: &str) {
        let directory = self.home.path().join("bin");
        std::fs::create_dir_all(&directory).unwrap();
        let program = directory.join(format!("docker-credential-{name}"));
        std::fs::write(&program, format!("#!/bin/bash\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

async fn a_login_is_tried_and_kept() {
    let machine = machine().await;
    std::fs::remove_file(machine.home.path().join("config.json")).unwrap();
    let (succeeded, text) = machine.login("secret\n").await;
    assert!(
        succeeded && text.contains("Login Succeeded") && text.contains("stored unencrypted"),
        "{text}"
    );
    assert_eq!(machine.got_secrets(), ["https://registry.test/v2/"]);
    assert_eq!(
        machine.read("config.json"),
        "{\n\t\"auths\": {\n\t\t\"registry.test\": {\n\t\t\t\"auth\": \"YW5uOnNlY3JldA==\"\n\t\t}\n\t}\n}"
    );
    let mode = std::fs::metadata(machine.home.path().join("config.json")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    assert_eq!(machine.wharf(&LIST).await.unwrap(), "1.0\n");

    assert!(
        machine
            .logout()
            .await
            .contains("Removing login credentials for registry.test")
    );
    assert_eq!(machine.read("config.json"), "{\n\t\"auths\": {}\n}");
    assert!(machine.logout().await.contains("Not logged in to registry.test"));
    let error = machine.wharf(&LIST).await.unwrap_err();
    assert!(error.contains("`wharf login registry.test`"), "{error}");
}

async fn a_login_that_is_refused_changes_nothing() {
    let machine = machine().await;
    machine.log_in("{ \"auths\": {},   \"x\": 1 }");
    let (succeeded, text) = machine.login("wrong").await;
    assert!(
        !succeeded && text.contains("does not accept the password of `ann`"),
        "{text}"
    );
    assert_eq!(machine.read("config.json"), "{ \"auths\": {},   \"x\": 1 }");
    let output = machine.run(&["login", "registry.test"], "").await;
    let text = said(&output);
    assert!(
        !output.status.success() && text.contains("--user NAME") && text.contains("--password-stdin"),
        "{text}"
    );
}

async fn a_token_is_kept_in_place_of_the_password() {
    let machine = Machine::new(&[], |asked| match asked.url.starts_with("https://auth.test/") {
        true => Reply::new(200, r#"{"access_token":"t0ken","refresh_token":"r3fresh"}"#),
        false => registry("https://auth.test/token")(asked),
    })
    .await;
    let (succeeded, text) = machine.login("secret").await;
    assert!(succeeded && !text.contains("r3fresh"), "{text}");
    let entry = machine.configuration()["auths"]["registry.test"].clone();
    assert_eq!(
        (&entry["auth"], &entry["identitytoken"]),
        (&"YW5uOg==".into(), &"r3fresh".into())
    );
    let asked = machine.internet.asked();
    let token = asked
        .iter()
        .find(|asked| asked.url.contains("auth.test"))
        .unwrap();
    assert!(
        token.url.contains("offline_token=true") && token.url.contains("account=ann"),
        "{}",
        token.url
    );
    assert_eq!(machine.wharf(&LIST).await.unwrap(), "1.0\n");
    let asked = machine.internet.asked();
    let exchange = asked
        .iter()
        .rfind(|asked| asked.url.contains("auth.test"))
        .unwrap();
    assert!(
        exchange.head.starts_with("POST ") && exchange.body.contains("refresh_token=r3fresh"),
        "{exchange:?}"
    );
}

async fn a_helper_keeps_the_login() {
    let machine = machine().await;
    machine.helper(
        "keeper",
        r#"echo "$@" >> "$HOME/words"
case $1 in
    store) cat > "$HOME/kept"; echo junk ;;
    get) cat "$HOME/kept" 2> /dev/null || { echo 'credentials not found in native keychain'; exit 1; } ;;
    erase) rm -f "$HOME/kept"; echo junk ;;
esac"#,
    );
    machine.log_in(r#"{"auths":{"registry.test":{"auth":"b2xkOm9sZA=="}},"credsStore":"keeper"}"#);
    let (succeeded, text) = machine.login("secret").await;
    assert!(succeeded && !text.contains("unencrypted"), "{text}");
    let kept: Value = serde_json::from_str(&machine.read("kept")).unwrap();
    assert_eq!(
        kept,
        serde_json::json!({"ServerURL": "registry.test", "Username": "ann", "Secret": "secret"})
    );
    let configuration = machine.configuration();
    assert_eq!(configuration["auths"]["registry.test"], serde_json::json!({}));
    assert_eq!(configuration["credsStore"], "keeper");
    assert!(!machine.read("words").contains("secret"));
    assert_eq!(machine.wharf(&LIST).await.unwrap(), "1.0\n");
    assert!(machine.logout().await.contains("Removing login credentials"));
    assert!(
        machine
            .wharf(&LIST)
            .await
            .unwrap_err()
            .contains("requires a login")
    );
}

async fn a_helper_that_fails_is_heard() {
    let machine = machine().await;
    machine.helper("broken", "echo 'the key ring is locked'; exit 1");
    machine.log_in(r#"{"credHelpers":{"registry.test":"broken"}}"#);
    let before = machine.read("config.json");
    let (succeeded, text) = machine.login("secret").await;
    assert!(
        !succeeded && text.contains("docker-credential-broken") && text.contains("the key ring is locked"),
        "{text}"
    );
    assert_eq!(machine.read("config.json"), before);
    let error = machine.wharf(&LIST).await.unwrap_err();
    assert!(error.contains("the key ring is locked"), "{error}");
}

async fn a_configuration_behind_a_link_stays_behind_it() {
    let machine = machine().await;
    let path = machine.home.path().join("config.json");
    std::fs::remove_file(&path).unwrap();
    symlink("dotfiles/docker.json", &path).unwrap();
    // First the file behind the link is made, then it is changed.
    for _ in 0..2 {
        let (succeeded, text) = machine.login("secret").await;
        assert!(succeeded, "{text}");
        assert!(path.symlink_metadata().unwrap().is_symlink());
        assert!(machine.read("dotfiles/docker.json").contains("YW5uOnNlY3JldA=="));
    }
}

async fn a_long_secret_is_not_cut() {
    const LONG: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef end";
    let machine = Machine::new(&[], |asked| {
        let expected = wharf_testkit::basic("ann", LONG);
        match asked.header("authorization") == Some(&*expected) {
            true => Reply::new(200, "{}"),
            false => Reply::new(401, "{}").header("WWW-Authenticate", "Basic realm=\"x\""),
        }
    })
    .await;
    let (succeeded, text) = machine.login(LONG).await;
    assert!(succeeded, "{text}");
}

async fn a_login_of_podman_is_found() {
    let machine = machine().await;
    machine.log_in("");
    let directory = machine.home.path().join(".config/containers");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(
        directory.join("auth.json"),
        r#"{"auths":{"registry.test/app":{"auth":"YW5uOnNlY3JldA=="}}}"#,
    )
    .unwrap();
    assert_eq!(machine.wharf(&LIST).await.unwrap(), "1.0\n");
}

async fn a_logout_names_what_is_left() {
    let machine = machine().await;
    let directory = machine.home.path().join(".config/containers");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::copy(
        machine.home.path().join("config.json"),
        directory.join("auth.json"),
    )
    .unwrap();
    let text = machine.logout().await;
    assert!(
        text.contains("containers/auth.json` still has a login for `registry.test`"),
        "{text}"
    );
}

async fn a_logout_removes_the_entry_though_the_helper_fails() {
    let machine = machine().await;
    machine.helper("broken", "echo 'the key ring is locked'; exit 1");
    machine.log_in(r#"{"auths":{"registry.test":{"auth":"b2xkOm9sZA=="}},"credsStore":"broken"}"#);
    let output = machine.run(&["logout", "registry.test"], "").await;
    let text = said(&output);
    assert!(
        !output.status.success() && text.contains("the key ring is locked"),
        "{text}"
    );
    assert!(!machine.read("config.json").contains("b2xkOm9sZA=="));
}

async fn docker_and_others_read_what_a_login_keeps() {
    let server = builder_with(entry("bob", "p:w")).start();
    let authority = server.address().to_string();
    let repository = server
        .anonymous()
        .as_user("bob", "p:w")
        .repository("kyo/my-image");
    repository
        .push_image("1.0", &wharf_testkit::image::docker(2))
        .await;
    let bench = Bench::new();
    bench.write("config.json", "{\"auths\":{}}");
    let login = ["login", "--username", "bob", "--password-stdin", &authority];
    let ran = bench.try_run_with_input(WHARF, &login, b"p:w\n");
    assert!(
        ran.succeeded && ran.stdout.contains("Login Succeeded"),
        "{}",
        ran.stderr
    );
    let image = format!("{authority}/kyo/my-image:1.0");
    bench.run("docker", &["manifest", "inspect", "--insecure", &image]);
    bench.run(
        "skopeo",
        &["inspect", "--tls-verify=false", &format!("docker://{image}")],
    );
    assert_eq!(
        bench.run("podman", &["login", "--get-login", &authority]).trim(),
        "bob"
    );
    bench.run("docker", &["logout", &authority]);
    let ran = bench.try_run(WHARF, &["logout", &authority]);
    assert!(
        ran.stdout.contains("Not logged in"),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
}
