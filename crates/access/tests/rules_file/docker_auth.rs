//! Rules of docker_auth, compared with a model of how that program decides.

use std::collections::BTreeMap;

use ipnet::IpNet;
use proptest::{collection::vec, option, prelude::*, sample::select};
use regex::Regex;
use wharf_access::{Verb, rules::read};

use crate::{check_told, decide, rules, told};

/// The example of its documentation, without what only other programs can answer.
const REFERENCE: &str = r#"
server: {addr: ":5001", certificate: /path/to/server.pem, key: /path/to/server.key}
token: {issuer: "Acme auth server", expiration: 900}
users:
  "admin": {password: "$2y$05$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC"}
  "test": {password: "$2y$05$WuwBasGDAgr.QCbGIjKJaep4dhxeai9gNZdmBnQXqpKly57oNutya"}
  "eve": {password: x, labels: {group: [VIP, dev]}}
  "mia": {password: x, labels: {project: [web]}}
  "": {}
acl:
  - match: {ip: "127.0.0.0/8"}
    actions: ["*"]
  - match: {ip: "::1"}
    actions: ["*"]
  - match: {account: "admin"}
    actions: ["*"]
  - match: {account: "test", name: "test-*"}
    actions: ["*"]
  - match: {account: "test"}
    actions: []
    comment: "test has test-* and nothing else"
  - match: {account: "/.+/", name: "${account}/*"}
    actions: ["*"]
  - match: {account: "/.+/", type: "registry", name: "catalog"}
    actions: ["*"]
  - match: {account: "/^(.+)@test.com$/", name: "${account:1}/*"}
    actions: []
  - match: {labels: {"group": "VIP"}}
    actions: ["push"]
  - match: {name: "${labels:project}/*"}
    actions: ["push", "pull"]
  - match: {account: "/.+/"}
    actions: ["pull"]
  - match: {account: "", name: "hello-world"}
    actions: ["pull"]
"#;

#[test]
fn a_whole_configuration_is_read() {
    let told = told(REFERENCE);
    assert!(told[0].contains(
        "note: only `acl`, and the labels of `users`, are read; `server` and `token` mean nothing"
    ));
    assert!(
        told[1].contains("note: line 24: the entry is not needed: the catalogue shows"),
        "{told:#?}"
    );
    assert_eq!(told.len(), 2, "{told:#?}");
    let rules = read(REFERENCE.as_bytes()).rules;
    let at = |account, verb, repository| decide(&rules, account, verb, repository, None, Some("192.0.2.1"));
    assert_eq!(
        decide(&rules, None, Verb::Push, "x", None, Some("127.0.0.1")),
        Some((11, true))
    );
    assert_eq!(at(Some("admin"), Verb::Delete, "x/y"), Some((15, true)));
    assert_eq!(at(Some("test"), Verb::Push, "test-1"), Some((17, true)));
    assert_eq!(at(Some("test"), Verb::Pull, "other"), Some((19, false)));
    assert_eq!(at(Some("ann"), Verb::Delete, "ann/app"), Some((22, true)));
    assert_eq!(
        at(Some("ann"), Verb::Pull, "ann/app/deep"),
        Some((32, true)),
        "`*` stays inside a component"
    );
    assert_eq!(at(Some("joe@test.com"), Verb::Pull, "joe/app"), Some((26, false)));
    assert_eq!(at(Some("eve"), Verb::Push, "x"), Some((28, true)));
    assert_eq!(
        at(Some("eve"), Verb::Pull, "web/x"),
        Some((28, false)),
        "the first entry that fits decides"
    );
    assert_eq!(at(None, Verb::Pull, "hello-world"), Some((34, true)));
    assert_eq!(at(None, Verb::Pull, "other"), None);
}

#[test]
fn what_cannot_be_read_exactly_is_an_error_with_a_remedy() {
    let entry =
        |conditions: &str, actions: &str| format!("acl:\n- match: {conditions}\n  actions: {actions}\n");
    for (conditions, parts) in [
        (
            "{service: r}",
            &["error: line 2: an entry for one service", "remove `service`"][..],
        ),
        (
            "{name: '${labels:project}/*'}",
            &["warning: line 2: no user of the file has labels"],
        ),
        (
            "{name: '/^${account}_.*x/'}",
            &[
                "error: line 2:",
                "cannot be read as docker_auth does",
                "docs/access.md",
            ],
        ),
        (
            "{name: '${account:1}/*'}",
            &["error: line 2:", "`${account:1}` is no variable"],
        ),
        (
            "{account: '/(.+)@x/', name: '${account:1}/*'}",
            &["error: line 2:", "`${account:1}` is no variable"],
        ),
        (
            "{name: '${service}/*'}",
            &["error: line 2:", "`${service}` is no variable"],
        ),
        (
            "{account: '${name}'}",
            &["error: line 2:", "an account with a variable"],
        ),
        (
            "{name: '/(/'}",
            &["error: line 2:", "cannot be read as docker_auth does"],
        ),
        (
            "{name: '/(?i)team/'}",
            &["error: line 2:", "the flags `?i` cannot be read"][..1],
        ),
        ("{ip: 10.0}", &["error: line 2: `10.0` is no address"]),
        (
            "{acount: alice}",
            &[
                "error: line 2: `acount` is not a key of this",
                "did you mean `account`?",
            ],
        ),
        ("{labels: [a]}", &["error: line 2: `labels` must have names"]),
        ("{name: Team/*}", &["x"][..0]),
        ("{name: /team}", &["warning: line 2: `/team` matches nothing"]),
        (
            "{type: plugin}",
            &["warning: line 2: `plugin` is no type of this registry"],
        ),
    ] {
        let text = entry(conditions, "['*']");
        match parts {
            [] => drop(read(text.as_bytes())),
            parts => check_told(&text, parts),
        }
    }
    check_told(
        &entry("{account: a, type: registry}", "[]"),
        &["warning: line 2: the catalogue cannot be denied"],
    );
    check_told(
        &entry("{}", "[pul]"),
        &["error: line 3: `pul` is no action", "did you mean `pull`?"],
    );
    check_told(
        &entry("{}", "[pull, '*']"),
        &["warning: line 3: `*` beside other actions"],
    );
    check_told(
        "acl:\n- match: {}\n",
        &["error: line 2: the entry has no `actions`"],
    );
    check_told(
        "acl:\n- actions: ['*']\n",
        &["error: line 2: the entry has no `match`", "`match: {}`"],
    );
    check_told("acl: {}\n", &["error: line 1: `acl` must be a list"]);
    let two = format!("{}rules: []\n", entry("{}", "['*']"));
    assert!(
        told(&two)[1].contains("error: line 4: the file has rules in two formats"),
        "{:#?}",
        told(&two)
    );
    let foreign = format!("ldap_auth: {{}}\n{}", entry("{labels: {a: b}}", "['*']"));
    assert!(
        told(&foreign)[1].contains("those of `ldap_auth` are not known"),
        "{:#?}",
        told(&foreign)
    );
    let other = format!("ext_authz: {{}}\n{}", entry("{}", "['*']"));
    assert!(
        told(&other)[1].contains("warning: `ext_authz` allows things as well"),
        "{:#?}",
        told(&other)
    );
}

#[test]
fn labels_that_stand_for_too_much_are_refused() {
    let users = |count: usize, value: &str| -> String {
        let user = |number| format!("  u{number}: {{labels: {{p: [{value}]}}}}\n");
        (0..count).map(user).collect()
    };
    let entry = "- match: {name: '${labels:p}/*'}\n  actions: ['*']\n";
    let read = |users: &str, entries: usize| {
        let text = format!("users:\n{users}acl:\n{}", entry.repeat(entries));
        read(text.as_bytes())
            .problems
            .iter()
            .map(ToString::to_string)
            .collect::<String>()
    };
    assert!(read(&users(1, "'{labels:p}$'"), 1).contains("line 4: the labels here stand for too much"));
    let many: Vec<String> = (0..40).map(|number| format!("v{number}")).collect();
    let product = format!(
        "users: {{a: {{labels: {{p: [{}]}}}}}}\nacl:\n- match: {{name: '${{labels:p}}/${{labels:p}}'}}\n  actions: ['*']\n",
        many.join(", ")
    );
    assert!(
        told(&product).is_empty(),
        "the same label has the same value everywhere: {:?}",
        told(&product)
    );
    let each: String = (0..300)
        .map(|number| format!("  u{number}: {{labels: {{p: [v{number}]}}}}\n"))
        .collect();
    assert!(read(&each, 70).contains("stand for too many rules"));
    assert!(!read(&each, 2).contains("too many"));
}

#[test]
fn a_star_of_docker_auth_makes_no_administrator() {
    use wharf_access::rules::{Asker, Verdict};

    let rules = rules("acl: [{match: {account: admin}, actions: ['*']}]\n");
    let asker = Asker {
        groups: &[],
        account: Some("admin"),
        address: None,
    };
    assert_eq!(rules.administers(asker), Verdict::Denied(None));
}

const USERS: &str = "\
users:
  alice: {labels: {group: [VIP], project: [web, 'a*']}}
  bob: {labels: {group: [dev, trainee]}}
  al@ex.com: {labels: {project: [al]}}
  '': {labels: {group: [public]}}
";

fn labels(account: &str) -> BTreeMap<&'static str, Vec<&'static str>> {
    let labels: &[(&str, &[&str])] = match account {
        "alice" => &[("group", &["VIP"]), ("project", &["web", "a*"])],
        "bob" => &[("group", &["dev", "trainee"])],
        "al@ex.com" => &[("project", &["al"])],
        "" => &[("group", &["public"])],
        _ => &[],
    };
    labels
        .iter()
        .map(|(label, values)| (*label, values.to_vec()))
        .collect()
}

#[derive(Debug, Clone)]
struct Entry {
    account: Option<&'static str>,
    name: Option<&'static str>,
    kind: Option<&'static str>,
    ip: Option<&'static str>,
    group: Option<&'static str>,
    actions: Vec<&'static str>,
}

prop_compose! {
    fn entry()(
        account in option::of(select(&[
            "", "alice", "a*", "*", "/.+/", "/.*/", "/^(.+)@ex.com$/", "/^a/", "/bob|carol/", "[a-b]*", "/^.l/", "${labels:group}",
        ][..])),
        name in option::of(select(&[
            "team/*", "*", "**", "*/*", "${account}/*", r"/^team\//", "/.*/", "${account:1}/*", r"/^${account}\/.*$/",
            "/^${account}/", "${labels:project}/*", "${labels:project}-${labels:group}", "x", "[tu]eam/?", "/web|app/", "/a", r"te\am/*",
        ][..])),
        kind in option::weighted(0.2, select(&["repository", "registry", "/re/", "*"][..])),
        ip in option::weighted(0.2, select(&["10.0.0.0/8", "10.1.2.3", "::1"][..])),
        group in option::weighted(0.2, select(&["VIP", "/trainee|dev/", "*", "[a-d]*"][..])),
        actions in select(vec![vec!["*"], vec![], vec!["pull"], vec!["push", "pull"], vec!["pull", "*"], vec!["delete"]]),
    ) -> Entry {
        Entry { account, name, kind, ip, group, actions }
    }
}

impl Entry {
    fn yaml(&self) -> String {
        let mut conditions = Vec::new();
        let fields = [
            ("account", self.account),
            ("name", self.name),
            ("type", self.kind),
            ("ip", self.ip),
        ];
        for (key, value) in fields {
            conditions.extend(value.map(|value| format!("{key}: '{value}'")));
        }
        conditions.extend(self.group.map(|group| format!("labels: {{group: '{group}'}}")));
        let actions: Vec<String> = self.actions.iter().map(|action| format!("'{action}'")).collect();
        format!(
            "- match: {{{}}}\n  actions: [{}]\n",
            conditions.join(", "),
            actions.join(", ")
        )
    }

    fn matches(&self, account: &str, name: &str, address: Option<&str>) -> bool {
        let mut variables = vec![
            ("${account}".to_owned(), regex::escape(account)),
            ("${type}".to_owned(), "repository".to_owned()),
        ];
        if let Some(pattern) = self
            .account
            .and_then(|text| text.strip_prefix('/')?.strip_suffix('/'))
            && let Some(found) = Regex::new(pattern).unwrap().captures(account)
            && let Some(group) = found.get(1)
        {
            variables.push(("${account:1}".to_owned(), group.as_str().to_owned()));
        }
        let labels = labels(account);
        let field = |pattern: Option<&str>, value: &str| {
            pattern.is_none_or(|pattern| {
                model_matches(pattern, value, &variables)
                    || combinations(pattern, &labels)
                        .iter()
                        .any(|pattern| model_matches(pattern, value, &variables))
            })
        };
        let values = labels.get("group").cloned().unwrap_or_default();
        field(self.account, account)
            && field(self.kind, "repository")
            && field(self.name, name)
            && self.ip.is_none_or(|network| {
                let network = network
                    .parse::<IpNet>()
                    .or_else(|_| network.parse::<std::net::IpAddr>().map(IpNet::from));
                address.is_some_and(|address| {
                    network
                        .unwrap()
                        .contains(&address.parse::<std::net::IpAddr>().unwrap())
                })
            })
            && self.group.is_none_or(|pattern| {
                values
                    .iter()
                    .any(|value| model_matches(pattern, value, &variables))
            })
    }
}

/// The pattern with each combination of the values of its labels; none when a label has no values.
fn combinations(pattern: &str, labels: &BTreeMap<&str, Vec<&str>>) -> Vec<String> {
    let mut patterns = vec![pattern.to_owned()];
    for (label, values) in labels {
        let placeholder = format!("${{labels:{label}}}");
        if pattern.contains(&placeholder) {
            let each = |pattern: String| -> Vec<String> {
                values
                    .iter()
                    .map(|value| pattern.replace(&placeholder, value))
                    .collect()
            };
            patterns = patterns.into_iter().flat_map(each).collect();
        }
    }
    patterns
}

fn model_matches(pattern: &str, value: &str, variables: &[(String, String)]) -> bool {
    let pattern = variables.iter().fold(pattern.to_owned(), |text, (name, value)| {
        text.replace(name, value)
    });
    match pattern.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
        Some(inner) if !inner.is_empty() => Regex::new(inner).is_ok_and(|regex| regex.is_match(value)),
        _ => path_match(
            &pattern.chars().collect::<Vec<_>>(),
            &value.chars().collect::<Vec<_>>(),
        ),
    }
}

/// Go's `path.Match`, of well-formed patterns.
fn path_match(pattern: &[char], name: &[char]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        (['*', rest @ ..], _) => {
            path_match(rest, name)
                || matches!(name, [first, more @ ..] if *first != '/' && path_match(pattern, more))
        }
        (['?', rest @ ..], [first, more @ ..]) => *first != '/' && path_match(rest, more),
        (['[', from, '-', to, ']', rest @ ..], [first, more @ ..]) => {
            (from..=to).contains(&first) && path_match(rest, more)
        }
        (['[', one, other, ']', rest @ ..], [first, more @ ..]) => {
            (one == first || other == first) && path_match(rest, more)
        }
        (['\\', literal, rest @ ..] | [literal, rest @ ..], [first, more @ ..]) => {
            literal == first && path_match(rest, more)
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn decisions_are_those_of_docker_auth(
        entries in vec(entry(), 1..5),
        account in select(&["", "alice", "bob", "carol", "al@ex.com"][..]),
        name in select(&[
            "x", "team/x", "team/x/y", "alice/x", "alice", "alicex/y", "al/app", "web/x", "web", "abc/x", "web-vip", "app", "bob/web",
        ][..]),
        verb in select(&[Verb::Pull, Verb::Push, Verb::Delete][..]),
        address in option::of(select(&["10.1.2.3", "192.0.2.1"][..])),
    ) {
        let text: String = entries.iter().map(Entry::yaml).collect();
        let reading = read(format!("{USERS}acl:\n{text}").as_bytes());
        prop_assume!(reading.is_usable());
        let first = entries.iter().find(|entry| entry.matches(account, name, address));
        let expected = first.is_some_and(|entry| {
            entry.actions == ["*"] || entry.actions.contains(&verb.as_str())
        });
        let asker = (!account.is_empty()).then_some(account);
        let found = matches!(decide(&reading.rules, asker, verb, name, None, address), Some((_, true)));
        match address {
            Some(_) => prop_assert_eq!(found, expected, "{}{:#?}", text, reading),
            // docker_auth always knows one. Without one nothing is allowed that it would deny.
            None => prop_assert!(!found || expected, "{}{:#?}", text, reading),
        }
    }
}

/// docker_auth asks its rules about a client without an account only if the file has the user `""`.
#[test]
fn entries_without_an_account_let_no_anonymous_client_in_unless_the_file_has_one() {
    let acl = |users: &str| {
        format!(
            "users: {{admin: {{}}{users}}}\nacl:\n\
             - {{match: {{name: a}}, actions: ['*']}}\n\
             - {{match: {{account: '/.*/', name: b}}, actions: ['*']}}\n\
             - {{match: {{account: '*', name: c}}, actions: ['*']}}\n\
             - {{match: {{ip: 192.0.2.0/24, name: d}}, actions: ['*']}}\n"
        )
    };
    for (users, expected) in [("", false), (", '': {}", true)] {
        let rules = read(acl(users).as_bytes()).rules;
        for name in ["a", "b", "c", "d"] {
            let decided = |account| {
                let decided = decide(&rules, account, Verb::Pull, name, None, Some("192.0.2.1"));
                decided.is_some_and(|(_, is_allowed)| is_allowed)
            };
            assert_eq!(decided(None), expected, "{name} with users{users}");
            assert!(decided(Some("admin")), "{name}");
        }
    }
}
