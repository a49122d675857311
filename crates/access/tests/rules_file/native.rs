//! Our own format.

use proptest::{collection::vec, option, prelude::*, sample::select};
use wharf_access::{
    Verb,
    rules::{Account, Asker, Effect, Verbs, Verdict, read},
};

use crate::{allows, check_told, decide, rules, told};

const TEAM: &str = "\
groups:
  ci: [jenkins, robot]
  leads: alice
rules:
  - accounts: '@ci'
    repositories: 'team/**'
    tags: ['v*', latest]
    from: [10.0.0.0/8, '2001:db8::/32']
    allow: [pull, push]
  - accounts: ['@leads', 'b*']
    repositories: ['team/*', '${account}/**']
    allow: '*'
  - accounts: '*'
    repositories: releases/*
    allow: [pull, push]
    push: create-only
    comment: Releases are never changed
  - accounts: carol
    repositories: '**'
    deny: pull
    comment: on leave
  - accounts: [anonymous, '*']
    repositories: public/**
    allow: pull
";

#[test]
fn a_file_means_what_its_documentation_says() {
    let rules = rules(TEAM);
    let at =
        |account, verb, repository, tag, address| decide(&rules, account, verb, repository, tag, address);
    let near = Some("10.1.2.3");
    assert_eq!(
        at(Some("robot"), Verb::Push, "team/a/b", Some("v1"), near),
        Some((5, true))
    );
    assert_eq!(at(Some("robot"), Verb::Push, "team/a", Some("x"), near), None);
    assert_eq!(
        at(Some("robot"), Verb::Push, "team/a", Some("v1"), Some("11.0.0.1")),
        None
    );
    assert_eq!(
        at(Some("robot"), Verb::Pull, "team/a", None, Some("2001:db8::7")),
        Some((5, true))
    );
    assert_eq!(
        at(Some("alice"), Verb::Delete, "team/a", Some("v1"), None),
        Some((10, true))
    );
    assert_eq!(
        at(Some("bob"), Verb::Push, "bob/x/y", None, None),
        Some((10, true))
    );
    assert_eq!(at(Some("bob"), Verb::Push, "alice/x", None, None), None);
    assert_eq!(
        at(Some("carol"), Verb::Push, "releases/app", Some("1"), None),
        Some((13, true))
    );
    assert_eq!(
        at(Some("carol"), Verb::Pull, "public/a", None, None),
        Some((18, false))
    );
    assert_eq!(at(None, Verb::Pull, "public/a/b", None, None), Some((22, true)));
    assert_eq!(at(None, Verb::Push, "public/a", None, None), None);
    let releases = rules.list().iter().find(|rule| rule.creates_only).unwrap();
    assert_eq!(releases.comment.as_deref(), Some("Releases are never changed"));
}

#[test]
fn admin_is_a_right_on_the_registry_and_in_no_star() {
    let administers = |text: &str, account| {
        let rules = read(text.as_bytes()).rules;
        let asker = Asker {
            groups: &[],
            account: Some(account),
            address: None,
        };
        matches!(rules.administers(asker), Verdict::Allowed(_))
    };
    let all = "rules: [{accounts: '*', repositories: '**', allow: '*'}]";
    assert!(
        !administers(all, "alice"),
        "`*` is what registry:2 lets every user do"
    );
    let one = "rules:\n- {accounts: bob, repositories: '**', deny: admin}\n- {accounts: ['b*', ann], repositories: '**', allow: [admin, pull]}";
    assert!(administers(one, "ann") && administers(one, "ben") && !administers(one, "bob"));
    let part = "rules: [{accounts: alice, repositories: 'team/**', allow: admin}]";
    assert!(!administers(part, "alice"));
    check_told(
        part,
        &[
            "warning: line 1: `admin` is a right on the whole registry",
            "`repositories: '**'`",
        ],
    );
    assert!(allows(&rules(all), Some("alice"), Verb::Delete, "a"));
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_what_to_do() {
    let rule = "rules:\n- accounts: alice\n  repositories: a\n";
    let with = |more: &str| format!("{rule}  {more}\n");
    let allowed = with("allow: pull");
    assert!(told(&allowed).is_empty());
    for (text, parts) in [
        // Keys and actions.
        (
            with("allow: pul"),
            &["error: line 4: `pul` is no action", "did you mean `pull`?"][..],
        ),
        (
            with("allow: [pull, write]"),
            &["line 4: `write` is no action", "did you mean `push`?"],
        ),
        (
            with("allow: fly"),
            &[
                "`fly` is no action",
                "it is one of `pull`, `push`, `delete`, `admin` and `*`",
            ],
        ),
        (with("allow: []"), &["line 4: there are no actions"]),
        (
            format!("{allowed}  tag: v1\n"),
            &["line 5: `tag` is not a key of this", "did you mean `tags`?"],
        ),
        (
            format!("{allowed}  user: bob\n"),
            &["line 5: `user` is not a key of this", "did you mean `accounts`?"],
        ),
        (
            format!("{allowed}  colour: red\n"),
            &["`colour` is not a key", "the keys here are `accounts`"],
        ),
        (
            format!("{allowed}rulez: []\n"),
            &["line 5: `rulez` is not a key", "did you mean `rules`?"],
        ),
        (
            format!("{allowed}  allow: push\n"),
            &["line 5: `allow` stands in line 4 already"],
        ),
        (
            format!("{allowed}  deny: push\n"),
            &["line 2: the rule has `allow` and `deny`", "two rules"],
        ),
        (
            rule.to_owned(),
            &["line 2: the rule has neither `allow` nor `deny`"],
        ),
        (
            "rules:\n- allow: pull\n  accounts: a\n".to_owned(),
            &["line 2: the rule has no `repositories`", "'**'"],
        ),
        (
            "rules:\n- allow: pull\n  repositories: a\n".to_owned(),
            &["line 2: the rule has no `accounts`"],
        ),
        (
            "rules:\n- alice\n".to_owned(),
            &["line 2: a rule has keys", "not", "accounts"][..1],
        ),
        ("rules: {a: b}\n".to_owned(), &["line 1: `rules` must be a list"]),
        (
            "groups: {}\n".to_owned(),
            &["error: `rules` is missing", "`rules: []`"],
        ),
        (
            format!("{allowed}  comment: [a]\n"),
            &["line 5: `comment` must be a text"],
        ),
        // Accounts and groups.
        (
            allowed.replace("alice", "'@ci'"),
            &["line 2: there is no group `ci`", "define it"],
        ),
        (
            format!("groups: {{cin: a}}\n{}", allowed.replace("alice", "'@ci'")),
            &["no group `ci`", "did you mean `@cin`?"],
        ),
        (
            format!("groups:\n  ci: []\n{allowed}"),
            &["warning: line 2: the group `ci` has no accounts"],
        ),
        (
            format!("groups: {{ci: ['@x']}}\n{allowed}"),
            &["line 1: `@x` is a group, and groups have accounts only"],
        ),
        (
            format!("groups: {{ci: [a*]}}\n{allowed}"),
            &["line 1: `a*` is a pattern"],
        ),
        (
            format!("groups: {{'@ci': [a]}}\n{allowed}"),
            &["line 1: `@ci` is no name of a group"],
        ),
        (
            format!("groups: {{ci: ['a:b']}}\n{allowed}"),
            &["line 1: `a:b` has a `:`"],
        ),
        (
            allowed.replace("alice", "'alice:pw'"),
            &["line 2: `alice:pw` has a `:`", "write the name alone"],
        ),
        (
            allowed.replace("alice", "'**'"),
            &["line 2: `**` is no pattern of accounts", "`'*'` is every user"],
        ),
        (
            allowed.replace("alice", "'${account}'"),
            &["line 2: `${account}` has a variable"],
        ),
        (
            allowed.replace("accounts: alice", "accounts: []"),
            &["line 2: `accounts` is empty"],
        ),
        // Patterns.
        (
            allowed.replace("s: a\n", "s: a**\n"),
            &["line 3: `a**` is no pattern", "`**` stands alone"],
        ),
        (
            allowed.replace("s: a\n", "s: /a\n"),
            &["line 3: `/a` is no pattern", "without the host"],
        ),
        (
            allowed.replace("s: a\n", "s: '${user}/*'\n"),
            &["line 3:", "`${user}` is no variable"],
        ),
        (
            allowed.replace("s: a\n", "s: Team/*\n"),
            &["warning: line 3: `Team/*` matches no name", "small letters"],
        ),
        (
            allowed.replace("s: a\n", "s: localhost:5000/a\n"),
            &["warning: line 3:", "without the host"],
        ),
        (
            allowed.replace("s: a\n", "s: a/_*\n"),
            &["warning: line 3: `a/_*` matches no name"],
        ),
        (
            format!("{allowed}  tags: a/b\n"),
            &["warning: line 5: `a/b` matches no tag"],
        ),
        (
            format!("{allowed}  tags: ['-*']\n"),
            &["warning: line 5: `-*` matches no tag"],
        ),
        (
            format!("{allowed}  tags: '${{account}}'\n"),
            &["line 5:", "has a variable"],
        ),
        (
            format!("{allowed}  from: 10.0.0\n"),
            &["line 5: `10.0.0` is no address", "10.0.0.0/8"],
        ),
        (
            format!("{allowed}  from: []\n"),
            &["line 5: `from` is empty", "remove the key"],
        ),
        // Pushes that create.
        (
            format!("{allowed}  push: create-only\n"),
            &["line 5: `push: create-only` stands in a rule that does not allow"],
        ),
        (
            with("allow: push\n  push: createonly"),
            &["line 5: `push` must be `create-only`, not `createonly`"],
        ),
        // The whole file.
        (String::new(), &["error: the file is empty", "`rules: []`"]),
        ("# nothing\n".to_owned(), &["the file is empty"]),
        (
            "rules: []\n".to_owned(),
            &["warning: line 1: there are no rules, so nothing is allowed"],
        ),
        (
            "- accounts: a\n".to_owned(),
            &["line 1: rules stand below the key `rules`"],
        ),
        (
            format!("{allowed}---\nrules: []\n"),
            &["a second document begins here"],
        ),
        (
            "rules:\n- accounts: *\n".to_owned(),
            &["error: line 2: this is not YAML", "must be in quotes"],
        ),
        (
            "rules:\n- accounts: @ci\n".to_owned(),
            &["error: line 2: this is not YAML", "`'@ci'`"],
        ),
        (
            "rules: [{accounts: a, repo".to_owned(),
            &["error: line 1: this is not YAML"],
        ),
    ] {
        check_told(&text, parts);
    }
    let bytes = read(b"rules:\n- accounts: \xff\n");
    assert!(
        !bytes.is_usable()
            && bytes.problems[0]
                .to_string()
                .contains("line 2: this is not UTF-8")
    );
}

#[test]
fn all_problems_of_a_file_are_told_in_the_order_of_their_lines() {
    let text = "rules:\n- {accounts: a, repositories: A, allow: pul}\n- {accounts: 'a:b', repositories: x, allow: pull}\n";
    let told = told(text);
    let lines: Vec<&str> = told
        .iter()
        .map(|line| &line[..line.find(": ").unwrap()])
        .collect();
    assert_eq!(lines, ["warning", "error", "error"], "{told:#?}");
}

#[test]
fn a_rule_that_never_decides_is_told_with_the_one_that_does() {
    let text = "rules:\n- {accounts: '*', repositories: '**', allow: '*'}\n- {accounts: bob, repositories: x, deny: push}\n";
    check_told(
        text,
        &[
            "warning: line 3: this rule never decides, because the rule of line 2 does",
            "the narrower one first",
        ],
    );
    assert!(read(text.as_bytes()).is_usable());
}

#[test]
fn anchors_save_repetition() {
    let text = "groups:\n  a: &team [x, y]\nrules:\n- {accounts: *team, repositories: z, allow: pull}\n";
    assert!(allows(&rules(text), Some("y"), Verb::Pull, "z"));
}

fn word(words: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    vec(select(words), 1..3)
}

prop_compose! {
    /// A rule as text, and what it must be read as.
    fn rule()(
        accounts in word(&["alice", "b*", "*", "anonymous", "@ci", "o'brien", "CN=x,O=y"]),
        repositories in word(&["a", "team/*", "**", "x/**/y", "${account}/**"]),
        tags in vec(select(&["v*", "latest"][..]), 0..2),
        from in option::of(select(&["10.0.0.0/8", "::1"][..])),
        is_allow in any::<bool>(),
        actions in word(&["pull", "push", "delete", "admin", "*"]),
        is_block in any::<bool>(),
        comment in option::of("[a-z #:'\"]{1,20}"),
    ) -> Written {
        Written { accounts, repositories, tags, from, is_allow, actions, is_block, comment }
    }
}

#[derive(Debug)]
struct Written {
    accounts: Vec<&'static str>,
    repositories: Vec<&'static str>,
    tags: Vec<&'static str>,
    from: Option<&'static str>,
    is_allow: bool,
    actions: Vec<&'static str>,
    is_block: bool,
    comment: Option<String>,
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn list(texts: &[&str], is_block: bool) -> String {
    match (texts, is_block) {
        ([one], false) => quoted(one),
        (_, true) => texts
            .iter()
            .map(|text| format!("\n    - {}", quoted(text)))
            .collect(),
        (_, false) => format!(
            "[{}]",
            texts
                .iter()
                .map(|text| quoted(text))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    }
}

impl Written {
    fn yaml(&self) -> String {
        let list = |texts: &[&str]| list(texts, self.is_block);
        let mut text = format!(
            "- accounts: {}\n  repositories: {}\n",
            list(&self.accounts),
            list(&self.repositories)
        );
        if !self.tags.is_empty() {
            text.push_str(&format!("  tags: {}\n", list(&self.tags)));
        }
        if let Some(from) = self.from {
            text.push_str(&format!("  from: {from}\n"));
        }
        let effect = if self.is_allow { "allow" } else { "deny" };
        text.push_str(&format!("  {effect}: {}\n", list(&self.actions)));
        if let Some(comment) = &self.comment {
            text.push_str(&format!("  comment: {}\n", quoted(comment)));
        }
        text
    }
}

proptest! {
    #[test]
    fn what_was_written_is_what_is_read(written in vec(rule(), 0..5)) {
        let rules: String = written.iter().map(Written::yaml).collect();
        let text = format!("groups: {{ci: [x]}}\nrules:\n{rules}");
        let reading = read(text.as_bytes());
        if written.is_empty() {
            return Ok(());
        }
        prop_assert!(reading.is_usable(), "{}: {:#?}", text, reading.problems);
        prop_assert_eq!(reading.rules.list().len(), written.len());
        for (rule, written) in reading.rules.list().iter().zip(&written) {
            let accounts: Vec<String> = rule.accounts.iter().map(|account| match account {
                Account::Anonymous => "anonymous".to_owned(),
                Account::AnyUser => "*".to_owned(),
                Account::Named(pattern) => pattern.to_string(),
                Account::Group(group) => format!("@{group}"),
            }).collect();
            prop_assert_eq!(&accounts, &written.accounts);
            let repositories: Vec<String> = rule.repositories.iter().map(ToString::to_string).collect();
            prop_assert_eq!(&repositories, &written.repositories);
            let tags: Vec<String> = rule.tags.iter().map(ToString::to_string).collect();
            prop_assert_eq!(&tags, &written.tags);
            prop_assert_eq!(rule.from.len(), usize::from(written.from.is_some()));
            let verbs = written.actions.iter().fold(Verbs::default(), |verbs, action| match *action {
                "pull" => verbs.with(Verb::Pull),
                "push" => verbs.with(Verb::Push),
                "delete" => verbs.with(Verb::Delete),
                "admin" => verbs.and(Verbs::ADMIN),
                _ => verbs.with(Verb::All),
            });
            let effect = if written.is_allow { Effect::Allow(verbs) } else { Effect::Deny(verbs) };
            prop_assert_eq!(rule.effect, effect);
            prop_assert_eq!(rule.comment.as_deref(), written.comment.as_deref().map(str::trim));
        }
    }

    #[test]
    fn no_text_is_a_reason_to_panic(
        lines in vec((
            "[ -]{0,5}",
            "(rules|groups|accounts|repositories|allow|deny|push|acl|match|actions|account|name|labels|type|users|'@x')",
            ": ?",
            "(\\[|\\]|\\{|\\}|'|\\*a|&a|'\\*'|'/.+/'|'\\$\\{account\\}/\\*'|pull|\n|null|1|a, b)?",
        ), 0..16),
        noise in "(?s).{0,60}",
    ) {
        let text: String = lines.iter().map(|(a, b, c, d)| format!("{a}{b}{c}{d}\n")).collect();
        for text in [&text, &noise, &format!("rules:\n{text}"), &format!("acl:\n{text}")] {
            read(text.as_bytes()).problems.iter().for_each(|problem| drop(problem.to_string()));
        }
    }
}
