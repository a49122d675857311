//! `wharf doctor` finds a registry:2 that still runs on the data directory, also in a container, and says what it cannot see.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use wharf_testkit::{
    Value,
    peer::{Peer, REGISTRY_2},
    suite::{Part, Suite},
    tool::{Bench, Ran},
};

const WHARF: &str = env!("CARGO_BIN_EXE_wharf");

pub(crate) fn add_to(suite: &mut Suite) {
    let registry = Part::Program(REGISTRY_2);
    suite.test(
        "doctor_finds_a_registry_2_on_the_same_directory",
        &[registry],
        on_the_same_directory,
    );
    let with_namespace = [
        registry,
        Part::Program("unshare"),
        Part::Program("setpriv"),
        Part::Root,
    ];
    suite.test(
        "doctor_finds_a_registry_2_in_a_container",
        &with_namespace,
        in_a_container,
    );
    suite.test(
        "doctor_says_that_it_may_not_look_at_a_registry_2",
        &with_namespace,
        of_another_user,
    );
}

/// A configuration with a directory that has a registry.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("data/docker/registry/v2/repositories/app/_manifests/keep", "");
    let config = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:0'}}\n",
        bench.path("data").display()
    );
    bench.write("config.yml", &config);
    bench
}

/// What the check has found, each line with its state, its text and its remedy; without the registries of other tests, of
/// which an unprivileged user cannot tell where their data is.
fn writers(ran: &Ran, own: Option<&Peer>) -> Vec<[String; 3]> {
    let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}", ran.stderr));
    let lines = report["checks"].as_array().expect("checks").iter();
    let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let is_of_own = |text: &str| own.is_some_and(|peer| text.contains(&named(peer)));
    lines
        .filter(|line| line["check"] == "writers")
        .map(|line| ["state", "text", "remedy"].map(|key| text(line, key)))
        .filter(|[_, text, _]| is_of_own(text) || !text.contains(UNKNOWN))
        .collect()
}

/// Words about a registry with a data directory that is not known.
const UNKNOWN: &str = "cannot be read";

fn named(peer: &Peer) -> String {
    format!("process {}, `", peer.pid())
}

fn doctor(bench: &Bench) -> Ran {
    bench.try_run(WHARF, &["doctor", "--json", "config.yml"])
}

/// Whether the one line of the check has this state, these parts and this remedy, and names `own`.
#[track_caller]
fn has(ran: &Ran, own: &Peer, state: &str, parts: &[&str], remedy: &str) {
    let lines = writers(ran, Some(own));
    let [line] = &lines[..] else {
        panic!("one line was expected: {lines:#?}");
    };
    assert!(line[0] == state && line[2].contains(remedy), "{line:#?}");
    for part in [&[named(own).as_str()], parts].concat() {
        assert!(line[1].contains(part), "`{part}` was expected in {line:#?}");
    }
}

/// Whether the check has nothing to report.
#[track_caller]
fn has_none(bench: &Bench) {
    let ran = doctor(bench);
    let root = bench.path("data").display().to_string();
    let expected = format!("no other program is seen to use `{root}`");
    let lines = writers(&ran, None);
    assert!(
        lines.len() == 1 && lines[0][0] == "ok" && lines[0][1].starts_with(&expected),
        "{lines:#?}"
    );
}

fn on_the_same_directory() {
    let bench = bench();
    has_none(&bench);
    let uses = format!("uses the same data directory, `{}`", bench.path("data").display());
    let found = |bench: &Bench, peer: &Peer| {
        let ran = doctor(bench);
        let parts = ["docker-registry serve ", &uses];
        has(&ran, peer, "problem", &parts, "stop it first");
        assert_eq!(ran.code, Some(1));
    };
    let peer = Peer::start(REGISTRY_2, &bench.path("data"));
    found(&bench, &peer);
    peer.stop();
    has_none(&bench);

    // The environment decides, as for registry:2 itself; a path through a link is the same directory.
    std::os::unix::fs::symlink(bench.path("data"), bench.path("link")).expect("a link");
    let variable = |root: &Path| root.display().to_string();
    let to_this = variable(&bench.path("link"));
    let name = "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY";
    let peer = Peer::start_with(REGISTRY_2, &bench.path("other"), &[(name, &to_this)]);
    found(&bench, &peer);
    peer.stop();
    let to_another = variable(&bench.path("other"));
    let _peer = Peer::start_with(REGISTRY_2, &bench.path("data"), &[(name, &to_another)]);
    has_none(&bench);
    let reads = "REGISTRY_STORAGE_MAINTENANCE_READONLY";
    let _reader = Peer::start_with(REGISTRY_2, &bench.path("data"), &[(reads, "{enabled: true}")]);
    has_none(&bench);
}

/// registry:2 with the directory at `/mnt` of a mount namespace of its own.
fn contained(bench: &Bench) -> Peer {
    let script = format!(
        "#!/bin/sh\nexec unshare --mount sh -c 'mount --bind {} /mnt && exec {REGISTRY_2} \"$@\"' sh \"$@\"\n",
        bench.path("data").display()
    );
    bench.write("contained", &script);
    fs::set_permissions(bench.path("contained"), fs::Permissions::from_mode(0o755)).expect("the mode is set");
    Peer::start(&bench.path("contained").display().to_string(), Path::new("/mnt"))
}

/// `wharf doctor` as a user that may read the registry, and not the processes of others.
fn doctor_as_another_user(bench: &Bench) -> Ran {
    bench.copy_in(WHARF.as_ref(), "wharf");
    fs::set_permissions(bench.path(""), fs::Permissions::from_mode(0o755)).expect("the mode is set");
    let program = bench.path("wharf").display().to_string();
    let words = [
        "--reuid",
        "65534",
        "--clear-groups",
        &program,
        "doctor",
        "--json",
        "config.yml",
    ];
    bench.try_run("setpriv", &words)
}

fn in_a_container() {
    let bench = bench();
    let peer = contained(&bench);
    let parts = ["uses the same data directory", "(by `/mnt`)"];
    has(&doctor(&bench), &peer, "problem", &parts, "stop it first");
    // Another user may not see the environment, and sees the mount.
    let seen = doctor_as_another_user(&bench);
    has(&seen, &peer, "problem", &parts, "stop it first");
    peer.stop();
    has_none(&bench);
}

fn of_another_user() {
    let bench = bench();
    let seen = doctor_as_another_user(&bench);
    // Where registries of other tests run, the lines about these are all that the check has.
    for line in writers(&seen, None) {
        assert!(
            line[1].starts_with("no other program is seen to use `")
                && line[1].contains("some of other users"),
            "{}",
            seen.stdout
        );
    }
    let is_unknown = |peer: &Peer| {
        let seen = doctor_as_another_user(&bench);
        has(
            &seen,
            peer,
            "warning",
            &["may use `", UNKNOWN],
            "run this as root",
        );
    };
    // The file names the directory, and the environment, which only root and its own user may read, could name another one.
    let peer = Peer::start(REGISTRY_2, &bench.path("data"));
    is_unknown(&peer);
    peer.stop();
    // The file names another directory than the environment.
    let root = bench.path("data").display().to_string();
    let variable = ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", root.as_str());
    let peer = Peer::start_with(REGISTRY_2, &bench.path("other"), &[variable]);
    is_unknown(&peer);
}
