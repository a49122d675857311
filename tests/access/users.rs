//! `wharf user`: its edits of a password file, and how it finds the file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use wharf_testkit::suite::Suite;
use wharf_testkit::tool::Bench;

use crate::scene::{WHARF, tests};

pub(crate) fn add_to(suite: &mut Suite) {
    tests!(
        suite,
        &[],
        [
            s0_06_user_add_makes_the_file,
            s1_07_one_step,
            mistakes_change_nothing,
            the_file_is_found_by_the_configuration
        ]
    );
}

fn mode(bench: &Bench, path: &str) -> u32 {
    fs::metadata(bench.path(path)).unwrap().permissions().mode() & 0o777
}

async fn s0_06_user_add_makes_the_file() {
    let bench = Bench::new();
    let ran = bench.try_run(
        WHARF,
        &["user", "add", "alice", "--generate", "--file", "a/auth/htpasswd"],
    );
    assert!(ran.succeeded, "{}", ran.stderr);
    assert_eq!(
        (
            mode(&bench, "a"),
            mode(&bench, "a/auth"),
            mode(&bench, "a/auth/htpasswd")
        ),
        (0o700, 0o700, 0o600)
    );
    let password = ran.stdout.trim_end();
    assert_eq!(
        (password.len(), ran.stdout.lines().count()),
        (20, 1),
        "{}",
        ran.stdout
    );
    assert!(!ran.stderr.contains(password));
    bench.run(WHARF, &["htpasswd", "-vb", "a/auth/htpasswd", "alice", password]);
    fs::set_permissions(bench.path("a/auth/htpasswd"), fs::Permissions::from_mode(0o644)).unwrap();
    bench.run(
        WHARF,
        &["user", "add", "bob", "--generate", "--file", "a/auth/htpasswd"],
    );
    assert_eq!(mode(&bench, "a/auth/htpasswd"), 0o644, "the mode is kept");
    assert_eq!(
        bench.run(WHARF, &["user", "ls", "-q", "-f", "a/auth/htpasswd"]),
        "alice\nbob\n"
    );
}

async fn s1_07_one_step() {
    let bench = Bench::new();
    let arguments = [
        "user",
        "add",
        "alice",
        "--generate",
        "--out",
        ".pass-alice",
        "--file",
        "f",
    ];
    assert_eq!(
        bench.run(WHARF, &arguments),
        "",
        "the password is in the file alone"
    );
    assert_eq!(mode(&bench, ".pass-alice"), 0o600);
    let password = bench.read(".pass-alice");
    assert_eq!(password.len(), 20, "without a newline: {password:?}");
    bench.run(WHARF, &["htpasswd", "-vb", "f", "alice", &password]);
    let arguments = [
        "user",
        "passwd",
        "alice",
        "--generate",
        "--out",
        ".pass-alice",
        "--file",
        "f",
    ];
    let ran = bench.try_run(WHARF, &arguments);
    assert!(
        !ran.succeeded && ran.stderr.contains("cannot create `.pass-alice`"),
        "{}",
        ran.stderr
    );
    bench.run(WHARF, &["htpasswd", "-vb", "f", "alice", &password]);
}

async fn mistakes_change_nothing() {
    let bench = Bench::new();
    bench.run(WHARF, &["user", "add", "alice", "--generate", "--file", "f"]);
    let before = bench.read("f");
    let fails = |arguments: &[&str], input: &str, expected: &str| {
        let arguments = [arguments, &["--file", "f"]].concat();
        let ran = bench.try_run_with_input(WHARF, &arguments, input.as_bytes());
        assert!(
            !ran.succeeded && ran.stderr.contains(expected),
            "{arguments:?}: {}",
            ran.stderr
        );
        assert_eq!(bench.read("f"), before, "{arguments:?}");
    };
    fails(
        &["user", "add", "alice", "--generate"],
        "",
        "there is a user `alice` already",
    );
    fails(
        &["user", "passwd", "bob", "--generate"],
        "",
        "there is no user `bob`",
    );
    fails(&["user", "rm", "bob"], "", "there is no user `bob`");
    fails(&["user", "add", "a:b", "--generate"], "", "cannot be a user name");
    fails(&["user", "add", "#a", "--generate"], "", "would be a comment");
    fails(
        &["user", "add", "bob", "--password-stdin"],
        "\n",
        "an empty password",
    );
    fails(
        &["user", "add", "bob", "--password-stdin", "--generate"],
        "",
        "cannot be used with",
    );
    fails(&["user", "add", "bob", "--out", "x"], "", "--generate");
    fails(
        &["user", "add", "a:b", "--generate", "--out", "out"],
        "",
        "cannot be a user name",
    );
    assert!(!bench.path("out").exists(), "no password of nobody is left");
    let ran = bench.try_run(WHARF, &["user", "rm", "alice", "--file", "missing"]);
    assert!(
        !ran.succeeded && ran.stderr.contains("`missing`"),
        "{}",
        ran.stderr
    );
    bench.write("garbage", "not a password file\n");
    let ran = bench.try_run(
        WHARF,
        &["user", "add", "alice", "--generate", "--file", "garbage"],
    );
    assert!(
        !ran.succeeded && ran.stderr.contains("is not a password file"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        (bench.read("garbage"), ran.stdout),
        ("not a password file\n".to_owned(), String::new())
    );
}

async fn the_file_is_found_by_the_configuration() {
    let bench = Bench::new().environment("REGISTRY_AUTH_HTPASSWD_PATH", "from-environment");
    bench.run(WHARF, &["user", "add", "alice", "--generate"]);
    assert!(bench.read("from-environment").starts_with("alice:$2y$10$"));
    let bench = Bench::new();
    let path = bench.path("config.yml").display().to_string();
    let bench = bench.environment("REGISTRY_CONFIGURATION_PATH", path);
    bench.write(
        "config.yml",
        "version: 0.1\nstorage: inmemory\nauth: {htpasswd: {realm: r, path: from-file}}\n",
    );
    bench.run(WHARF, &["user", "add", "alice", "--generate"]);
    assert_eq!(bench.run(WHARF, &["user", "ls", "-q"]), "alice\n");
    assert!(bench.path("from-file").exists());
    bench.write("config.yml", "version: 0.1\nstorage: inmemory\n");
    let ran = bench.try_run(WHARF, &["user", "ls"]);
    assert!(
        !ran.succeeded && ran.stderr.contains("name it with `--file`"),
        "{}",
        ran.stderr
    );
}
