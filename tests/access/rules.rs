//! `wharf access`: the problems of the rules, and what they decide, as an operator asks for them.

use wharf_testkit::ServerBuilder;
use wharf_testkit::suite::Suite;
use wharf_testkit::tool::Bench;

use crate::scene::{WHARF, builder_with, entry, says, tests};

const RULES: &str = "\
groups: {ci: [robot]}
rules:
- {accounts: '@ci', repositories: 'team/**', from: 10.0.0.0/8, allow: [pull, push]}
- {accounts: '*', repositories: 'releases/*', allow: [pull, push], push: create-only, comment: Releases stay}
- {accounts: eve, repositories: '**', deny: '*', comment: \"gone \\e[31m\"}
";

const CONFIGURATION: &str = "\
version: 0.1
storage: inmemory
auth: {htpasswd: {path: htpasswd}}
access: {rules: rules.yml, admins: root, anonymous: 'public/**'}
";

pub(crate) fn add_to(suite: &mut Suite) {
    tests!(
        suite,
        &[],
        [
            access_check,
            access_test,
            access_in_config_check,
            a_change_of_the_rules_is_in_force_at_once,
            a_start_with_damaged_rules_says_why
        ]
    );
}

#[track_caller]
fn mentions(text: &str, part: &str) {
    assert!(text.contains(part), "no {part:?} in:\n{text}");
}

fn bench(rules: &str) -> Bench {
    let bench = Bench::new();
    bench.write("rules.yml", rules);
    bench.write("config.yml", CONFIGURATION);
    bench
}

async fn access_check() {
    let bench = bench(RULES);
    let good = bench.try_run(WHARF, &["access", "check", "rules.yml"]);
    assert_eq!(
        (good.code, &*good.stdout),
        (Some(0), "rules.yml: 3 rules, 0 errors, 0 warnings\n")
    );
    let configured = bench.try_run(WHARF, &["access", "check", "--config", "config.yml"]);
    assert_eq!((configured.code, &*configured.stdout), (Some(0), &*good.stdout));

    let mistakes = format!(
        "{RULES}- {{accounts: '@cj', repositories: A, allow: pul}}\n- {{accounts: eve, repositories: a, deny: pull}}\n"
    );
    bench.write("rules.yml", &mistakes);
    let bad = bench.try_run(WHARF, &["access", "check", "rules.yml"]);
    assert_eq!(bad.code, Some(1));
    let expected = [
        "error: rules.yml:6: there is no group `cj`\n  hint: define it: `groups: {cj: [alice, bob]}`\n",
        "warning: rules.yml:6: `A` matches no name of a repository: ",
        "error: rules.yml:6: `pul` is no action\n  hint: did you mean `pull`?\n",
        "warning: rules.yml:7: this rule never decides, because the rule of line 5 does\n  hint: ",
        "rules.yml: 5 rules, 2 errors, 2 warnings\n",
    ];
    for part in expected {
        mentions(&bad.stdout, part);
    }
    let warned = format!("{RULES}- {{accounts: eve, repositories: a, deny: pull}}\n");
    bench.write("rules.yml", &warned);
    assert_eq!(
        bench.try_run(WHARF, &["access", "check", "rules.yml"]).code,
        Some(1)
    );
    let missing = bench.try_run(WHARF, &["access", "check", "no.yml"]);
    assert_eq!(missing.code, Some(1));
    mentions(&missing.stderr, "cannot read the file of access rules `no.yml`");
    bench.write("open.yml", "version: 0.1\nstorage: inmemory\n");
    let none = bench.try_run(WHARF, &["access", "check", "--config", "open.yml"]);
    assert_eq!(none.code, Some(1));
    mentions(&none.stderr, "no rules are configured (`access.rules`)");
}

async fn access_test() {
    let bench = bench(RULES);
    let ask = |words: &str| {
        let arguments = ["access", "test", "--config", "config.yml"];
        let arguments: Vec<&str> = arguments.into_iter().chain(words.split(' ')).collect();
        bench.try_run(WHARF, &arguments)
    };
    for (words, code, text) in [
        (
            "robot push team/app:1 --from 10.1.2.3",
            0,
            "allowed: `robot` may push team/app:1\n  rule: rules.yml:3\n",
        ),
        (
            "robot push team/app:1",
            1,
            "denied: `robot` may not push team/app:1\n  no rule allows it\n",
        ),
        (
            "alice pull team/app --from 10.1.2.3 --groups ci",
            0,
            "allowed: `alice` may pull team/app\n  rule: rules.yml:3\n",
        ),
        (
            "alice pull team/app --from 10.1.2.3 --groups @cj",
            1,
            "denied: `alice` may not pull team/app\n  no rule allows it\n",
        ),
        (
            "alice push releases/app:1",
            0,
            "allowed: `alice` may push releases/app:1\n  if the tag does not exist yet: the rule says `push: create-only`\n  \
             rule: rules.yml:4\n  comment: Releases stay\n",
        ),
        (
            "root delete team/app",
            0,
            "allowed: `root` may delete team/app\n  rule: `access.admins` of the configuration\n",
        ),
        (
            "root admin",
            0,
            "allowed: `root` may administer the registry\n  rule: `access.admins` of the configuration\n",
        ),
        (
            "alice admin",
            1,
            "denied: `alice` may not administer the registry\n  no rule allows it\n",
        ),
        (
            "anonymous pull public/a",
            0,
            "allowed: a client without an account may pull public/a\n  rule: `access.anonymous` of the configuration\n",
        ),
        (
            "anonymous push public/a",
            1,
            "denied: a client without an account may not push public/a\n  no rule allows it\n",
        ),
    ] {
        let ran = ask(words);
        assert_eq!(
            (ran.code, &*ran.stdout),
            (Some(code), text),
            "{words}: {}",
            ran.stderr
        );
    }
    let eve = ask("eve pull a");
    assert_eq!(eve.code, Some(1));
    assert!(
        !eve.stdout.contains('\u{1b}'),
        "no comment reaches the terminal as it is: {eve:?}"
    );
    let json = ask("alice push releases/app:1 --json");
    let answer: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(
        answer,
        serde_json::json!({
            "allowed": true, "account": "alice", "action": "push", "repository": "releases/app", "tag": "1", "create_only": true,
            "rule": { "file": "rules.yml", "line": 4, "key": null, "comment": "Releases stay" },
        })
    );
    // Questions without an answer.
    for words in ["alice pull localhost:5000/a", "alice fly a", "alice pull"] {
        assert_eq!(ask(words).code, Some(2), "{words}");
    }
    bench.write("bad.yml", "rules: [{accounts: a, repositories: b, allow: pul}]\n");
    let bad = ask("alice pull a --file bad.yml");
    assert_eq!(bad.code, Some(2));
    mentions(
        &bad.stderr,
        "`bad.yml` cannot be used: line 1: `pul` is no action; did you mean `pull`?",
    );
    // Without rules every user may do everything, as in registry:2.
    bench.write("config.yml", "version: 0.1\nstorage: inmemory\n");
    let open = ask("alice delete a");
    assert_eq!(
        (open.code, &*open.stdout),
        (
            Some(0),
            "allowed: `alice` may delete a\n  rule: the default without `access.rules`\n"
        )
    );
    assert_eq!(ask("anonymous pull a").code, Some(1));
}

async fn access_in_config_check() {
    let bench = bench(RULES);
    let check = || bench.try_run(WHARF, &["config", "check", "config.yml"]);
    let good = check();
    assert_eq!(good.code, Some(0), "{}", good.stdout);
    bench.write(
        "rules.yml",
        "rules: [{accounts: a, repositories: b, allow: pul}]\n",
    );
    let bad = check();
    assert_eq!(bad.code, Some(1));
    mentions(
        &bad.stdout,
        "problem: `rules.yml`: line 1: `pul` is no action; did you mean `pull`?",
    );
}

/// A server with the user `alice`, and these rules.
fn ruled(rules: &str) -> ServerBuilder {
    let builder = builder_with(entry("alice", "pw"));
    builder.write("rules.yml", rules);
    let path = builder.path("rules.yml");
    builder.config(format!("access: {{rules: '{}'}}", path.display()))
}

async fn a_change_of_the_rules_is_in_force_at_once() {
    let rules = |repositories: &str| {
        format!("rules: [{{accounts: alice, repositories: {repositories}, allow: pull}}]\n")
    };
    let server = ruled(&rules("a")).start();
    let alice = server.anonymous().as_user("alice", "pw");
    let check = async |a: u16, b: u16| {
        alice.get("/v2/a/tags/list").await.expect(a);
        alice.get("/v2/b/tags/list").await.expect(b);
    };
    // What may be read is not there.
    check(404, 403).await;
    server.write("rules.yml", rules("b"));
    check(403, 404).await;
    for damage in [
        "rules: [{accounts: alice, repositories: a, allow: pul}]\n",
        "rules: [{accounts: al",
        "",
    ] {
        server.write("rules.yml", damage);
        check(403, 404).await;
        check(403, 404).await;
    }
    says(
        &server,
        "line 1: `pul` is no action; did you mean `pull`?; the last good list with 1 rules stays in force",
        1,
    )
    .await;
    says(&server, "the file is empty", 1).await;
    server.write("rules.yml", rules("'**'"));
    check(404, 404).await;
}

async fn a_start_with_damaged_rules_says_why() {
    let (status, output) = ruled("rules: [{accounts: alice, repositories: a, allow: pul}]\n").output();
    assert!(!status.success());
    mentions(
        &output,
        "cannot be used: line 1: `pul` is no action; did you mean `pull`?",
    );
}
