//! `wharf access` beside a server that runs: what is printed is what that server decides.

use wharf_testkit::{
    Server,
    suite::Suite,
    tool::{Bench, Ran},
};

use crate::scene::{WHARF, entry, on_data_of, tests};

pub(crate) fn add_to(suite: &mut Suite) {
    tests!(
        suite,
        &[],
        [
            rules_say_the_same_with_and_without_a_server,
            a_server_that_keeps_the_last_good_rules_decides_by_them,
            a_server_without_users_leaves_the_rules_to_the_command,
        ]
    );
}

const RULES: &str = "\
rules:
- {accounts: alice, repositories: 'team/**', allow: [pull, push], push: create-only, comment: Teams push once}
- {accounts: [bob, '*'], repositories: 'releases/*', tags: 'v*', from: 10.0.0.0/8, deny: '*'}
- {accounts: alice, repositories: 'team/app', allow: push}
";

/// A configuration of a directory, the user `alice` and rules, in a bench.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("htpasswd", &entry("alice", "pw"));
    bench.write("rules.yml", RULES);
    std::fs::create_dir(bench.path("data")).unwrap();
    let text = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '127.0.0.1:0'}}\n\
         auth: {{htpasswd: {{realm: r, path: {}}}}}\naccess: {}\n",
        bench.path("data").display(),
        bench.path("htpasswd").display(),
        access(&bench),
    );
    bench.write("config.yml", &text);
    bench
}

fn access(bench: &Bench) -> String {
    format!("{{rules: {}, admins: root}}", bench.path("rules.yml").display())
}

/// A server on the data of `bench`, with its users and rules if it `has_users`.
fn serving(bench: &Bench, has_users: bool) -> Server {
    match has_users {
        true => on_data_of(bench)
            .htpasswd(&bench.path("htpasswd").display().to_string())
            .config(format!("access: {}", access(bench))),
        false => on_data_of(bench),
    }
    .start()
}

/// Runs `wharf access …` with the configuration of the bench.
fn access_command(bench: &Bench, words: &str) -> Ran {
    let words = ["access"].into_iter().chain(words.split(' '));
    let words: Vec<&str> = words.chain(["--config", "config.yml"]).collect();
    bench.try_run(WHARF, &words)
}

/// What a command said, without the directory of the bench.
fn said(bench: &Bench, words: &str) -> String {
    let ran = access_command(bench, words);
    let text = format!("{words}: {:?}\n{}{}", ran.code, ran.stdout, ran.stderr);
    text.replace(&bench.path("").display().to_string(), "")
}

async fn rules_say_the_same_with_and_without_a_server() {
    let (alone, beside) = (bench(), bench());
    let _server = serving(&beside, true);
    let shown = said(&alone, "show");
    let expected = "show: Some(0)
warning: rules.yml: line 4: this rule never decides, because the rule of line 2 does; the first rule that fits counts: put the narrower one first, or remove it
RULE                                  ACCOUNTS  REPOSITORIES  TAGS  FROM        EFFECT                              COMMENT
`access.admins` of the configuration  root      **            -     -           allow pull,push,delete,admin
line 2                                alice     team/**       -     -           allow pull,push, push: create-only  Teams push once
line 3                                bob *     releases/*    v*    10.0.0.0/8  deny pull,push,delete
line 4                                alice     team/app      -     -           allow push
";
    assert_eq!(shown, expected);
    for words in [
        "show",
        "show --json",
        "test alice push team/app:1",
        "test alice push team/app:1 --json",
        "test alice pull other",
        "test bob pull releases/a:v1 --from 10.1.2.3",
        "test anonymous pull team/app",
        "test root admin --json",
        "test alice admin",
    ] {
        assert_eq!(said(&beside, words), said(&alone, words));
    }
}

async fn a_server_that_keeps_the_last_good_rules_decides_by_them() {
    let bench = bench();
    let server = serving(&bench, true);
    bench.write(
        "rules.yml",
        "rules: [{accounts: bob, repositories: a, allow: pul}]\n",
    );
    let tested = access_command(&bench, "test alice push team/app:1");
    assert_eq!(tested.code, Some(0), "{tested:?}");
    assert!(tested.stdout.starts_with("allowed: "), "{tested:?}");
    let shown = access_command(&bench, "show");
    assert!(
        shown.stdout.starts_with("error: `") && shown.stdout.contains("`pul` is no action"),
        "{shown:?}"
    );
    assert!(
        shown.stdout.contains("the last good rules are in force\n"),
        "{shown:?}"
    );
    assert!(shown.stdout.contains("Teams push once"), "{shown:?}");
    // A file that is named is asked itself.
    let of_file = access_command(&bench, "test alice push team/app:1 --file rules.yml");
    assert_eq!(of_file.code, Some(2), "{of_file:?}");

    bench.write("rules.yml", "rules: []\n");
    let tested = access_command(&bench, "test alice push team/app:1");
    assert_eq!(
        tested.code,
        Some(1),
        "no restart, and no request between: {tested:?}"
    );
    drop(server);
    bench.write(
        "rules.yml",
        "rules: [{accounts: bob, repositories: a, allow: pul}]\n",
    );
    let tested = access_command(&bench, "test alice push team/app:1");
    assert_eq!(
        tested.code,
        Some(2),
        "without a server there are no last good rules: {tested:?}"
    );
}

async fn a_server_without_users_leaves_the_rules_to_the_command() {
    let bench = bench();
    let _server = serving(&bench, false);
    let tested = access_command(&bench, "test alice push team/app:1");
    assert_eq!(tested.code, Some(0), "{tested:?}");
}
