//! The rule engine: order, default deny, components, and that filtering equals asking one by one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{HashMap, HashSet};

use proptest::{collection::vec, option, prelude::*, sample::select};
use regex::Regex;
use wharf_access::{
    Action, Resource, Verb,
    rules::{Account, Asker, Effect, Pattern, PatternError, Rule, RuleOrigin, Rules, Verbs, Verdict},
};
use wharf_oci::RepoName;

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

fn pattern_text() -> impl Strategy<Value = String> {
    let component = prop_oneof![
        2 => select(vec!["a", "b", "ab", "team", "alice"]).prop_map(str::to_owned),
        1 => Just("**".to_owned()),
        3 => vec(select(vec!["a", "b", "*", "?", "${account}", "-"]), 1..4).prop_map(|pieces| pieces.concat()),
    ];
    vec(component, 1..4)
        .prop_map(|components| components.join("/"))
        .prop_filter("`**` stands alone", |text| Pattern::parse(text).is_ok())
}

fn name() -> impl Strategy<Value = String> {
    vec(select(vec!["a", "b", "ab", "ba", "team", "alice", "a-b"]), 1..4).prop_map(|parts| parts.join("/"))
}

fn account() -> impl Strategy<Value = Option<&'static str>> {
    option::of(select(vec!["alice", "a", "bob"]))
}

fn verb() -> impl Strategy<Value = Verb> {
    select(Verb::EACH.to_vec())
}

fn effect() -> impl Strategy<Value = Effect> {
    let verbs = vec(verb(), 1..3).prop_map(|verbs| verbs.into_iter().fold(Verbs::default(), Verbs::with));
    verbs.prop_flat_map(|verbs| {
        select(vec![
            Effect::Allow(verbs),
            Effect::Deny(verbs),
            Effect::Exactly(verbs),
        ])
    })
}

fn accounts() -> impl Strategy<Value = Vec<Account>> {
    let one = prop_oneof![
        Just(Account::Anonymous),
        Just(Account::AnyUser),
        Just(Account::Group("ci".into())),
        select(vec!["alice", "a*", "bob"]).prop_map(|text| Account::Named(pattern(text))),
    ];
    vec(one, 1..3)
}

prop_compose! {
    fn rule()(
        accounts in accounts(),
        repositories in vec(pattern_text(), 1..3),
        tags in vec(select(vec!["v*", "latest"]), 0..2),
        from in option::of(select(vec!["10.0.0.0/8", "10.1.0.0/16"])),
        effect in effect(),
    ) -> Rule {
        Rule {
            origin: RuleOrigin::Line(0),
            accounts,
            repositories: repositories.iter().map(|text| pattern(text)).collect(),
            tags: tags.into_iter().map(pattern).collect(),
            from: from.iter().map(|text| text.parse().unwrap()).collect(),
            effect,
            creates_only: false,
            comment: None,
        }
    }
}

fn rules() -> impl Strategy<Value = Rules> {
    vec(rule(), 0..6).prop_map(|mut rules| {
        for (at, rule) in rules.iter_mut().enumerate() {
            rule.origin = RuleOrigin::Line(at + 1);
        }
        let groups = HashMap::from([("ci".into(), HashSet::from(["bob".into()]))]);
        Rules::new(groups, rules)
    })
}

fn asker(account: Option<&'static str>, address: Option<&str>) -> Asker<'static> {
    Asker {
        groups: &[],
        account,
        address: address.map(|text| text.parse().unwrap()),
    }
}

fn decide<'a>(rules: &'a Rules, asker: Asker<'_>, name: &str, verb: Verb, tag: Option<&str>) -> Verdict<'a> {
    let name: RepoName = name.parse().unwrap();
    let resource = Resource::Repository(&name);
    rules.decide(asker, Action { resource, verb }, tag)
}

/// The origin of the rule that decides, and whether it allows.
fn outcome(verdict: Verdict<'_>) -> Option<(RuleOrigin, bool)> {
    match verdict {
        Verdict::Allowed(rule) => Some((rule.origin, true)),
        Verdict::Denied(rule) => rule.map(|rule| (rule.origin, false)),
    }
}

/// The same pattern as a regular expression over names with a slash at their end, by the documentation.
fn as_regex(text: &str, account: Option<&str>) -> Option<Regex> {
    let mut expression = String::from("^");
    for component in text.split('/') {
        if component == "**" {
            expression.push_str("(?:[^/]+/)*");
            continue;
        }
        let mut rest = component;
        while let Some(first) = rest.chars().next() {
            if let Some(after) = rest.strip_prefix("${account}") {
                expression.push_str(&regex::escape(account?));
                rest = after;
                continue;
            }
            match first {
                '*' => expression.push_str("[^/]*"),
                '?' => expression.push_str("[^/]"),
                other => expression.push_str(&regex::escape(&other.to_string())),
            }
            rest = &rest[first.len_utf8()..];
        }
        expression.push('/');
    }
    expression.push('$');
    Some(Regex::new(&expression).unwrap())
}

proptest! {
    #[test]
    fn a_pattern_matches_what_its_documentation_says(
        text in pattern_text(), name in name(), account in account(),
    ) {
        let expected = as_regex(&text, account).is_some_and(|regex| regex.is_match(&format!("{name}/")));
        prop_assert_eq!(pattern(&text).matches(&name, account), expected, "{} {}", text, name);
    }

    #[test]
    fn no_pattern_crosses_a_component_unasked(text in pattern_text(), name in name(), account in account()) {
        if !text.contains("**") && pattern(&text).matches(&name, account) {
            prop_assert_eq!(text.split('/').count(), name.split('/').count());
        }
    }

    #[test]
    fn a_pattern_that_covers_another_matches_what_that_does(
        one in pattern_text(), other in pattern_text(), name in name(), account in account(),
    ) {
        let (one, other) = (pattern(&one), pattern(&other));
        if one.covers(&other) && other.matches(&name, account) {
            prop_assert!(one.matches(&name, account), "{} {}", one, other);
        }
    }

    #[test]
    fn the_first_rule_that_fits_decides(
        rules in rules(), account in account(), name in name(), verb in verb(),
    ) {
        let asker = asker(account, Some("10.1.2.3"));
        let alone = |rule: &Rule| {
            let rules = Rules::new(rules.groups().clone(), vec![rule.clone()]);
            outcome(decide(&rules, asker, &name, verb, None))
        };
        let first = rules.list().iter().find_map(alone);
        let found = outcome(decide(&rules, asker, &name, verb, None));
        prop_assert_eq!(found, first, "and without one it is denied");
    }

    #[test]
    fn a_jump_leaves_out_no_name_that_may_be_pulled(
        rules in rules(), account in account(), from in name(), name in name(),
    ) {
        let asker = asker(account, Some("10.1.2.3"));
        let visible = rules.visible(asker);
        let allowed = matches!(decide(&rules, asker, &name, Verb::Pull, None), Verdict::Allowed(_));
        if let Some(next) = visible.next_from(&from) {
            prop_assert!(next >= from.as_str());
        }
        if allowed {
            prop_assert!(visible.may_have(&name));
            if name >= from {
                let next = visible.next_from(&from);
                prop_assert!(next.is_some_and(|next| next <= name.as_str()), "{:?}", next);
            }
        }
    }

    #[test]
    fn a_rule_that_is_shadowed_never_decides(
        rules in rules(),
        account in account(),
        address in option::of(select(vec!["10.1.2.3", "10.2.2.3", "1.1.1.1"])),
        name in name(),
        verb in verb(),
        tag in option::of(select(vec!["v1", "latest", "x"])),
    ) {
        if let Some((line, _)) = outcome(decide(&rules, asker(account, address), &name, verb, tag)) {
            prop_assert!(rules.shadowed().all(|(shadowed, _)| shadowed.origin != line));
        }
    }
}

#[test]
fn a_pattern_that_can_match_nothing_is_no_pattern() {
    for (text, error) in [
        ("", PatternError::Empty),
        ("/a", PatternError::EmptyComponent),
        ("a//b", PatternError::EmptyComponent),
        ("a/", PatternError::EmptyComponent),
        ("a**", PatternError::PartialAny),
        ("${user}/**", PatternError::UnknownVariable("user".to_owned())),
        ("${account", PatternError::OpenVariable),
        ("$a", PatternError::Impossible('$')),
        ("a[bc]", PatternError::Impossible('[')),
    ] {
        assert_eq!(Pattern::parse(text), Err(error), "{text}");
    }
}

#[test]
fn the_name_of_an_account_is_taken_literally() {
    let own = pattern("${account}/**");
    assert!(own.matches("alice/x/y", Some("alice")));
    assert!(!own.matches("alice/x", None), "anonymous has no name");
    assert!(!own.matches("bob/x", Some("*")) && !own.matches("bob", Some("**")));
    assert!(!own.matches("alice/x", Some("")));
}

fn one(effect: Effect, tags: &[&str], from: &[&str]) -> Rule {
    Rule {
        origin: RuleOrigin::Line(1),
        accounts: vec![Account::AnyUser],
        repositories: vec![pattern("**")],
        tags: tags.iter().map(|tag| pattern(tag)).collect(),
        from: from.iter().map(|text| text.parse().unwrap()).collect(),
        effect,
        creates_only: false,
        comment: None,
    }
}

fn allows(rules: Vec<Rule>, address: Option<&str>, tag: Option<&str>) -> bool {
    let rules = Rules::new(HashMap::new(), rules);
    let verdict = decide(&rules, asker(Some("alice"), address), "a", Verb::Push, tag);
    matches!(verdict, Verdict::Allowed(_))
}

#[test]
fn an_ipv4_address_in_ipv6_is_that_address() {
    let local = || vec![one(Effect::Allow(Verbs::ALL), &[], &["10.0.0.0/8"])];
    assert!(allows(local(), Some("10.1.1.1"), None) && allows(local(), Some("::ffff:10.1.1.1"), None));
    assert!(!allows(local(), Some("::10.1.1.1"), None) && !allows(local(), None, None));
}

#[test]
fn tags_limit_what_names_one() {
    let push = Verbs::default().with(Verb::Push);
    let only = || vec![one(Effect::Allow(push), &["v*"], &[])];
    assert!(allows(only(), None, Some("v1")) && !allows(only(), None, Some("latest")));
    assert!(allows(only(), None, None), "the blobs of v1");
    let all_but = || {
        vec![
            one(Effect::Deny(push), &["v*"], &[]),
            one(Effect::Allow(push), &[], &[]),
        ]
    };
    assert!(!allows(all_but(), None, Some("v1")));
    assert!(allows(all_but(), None, Some("latest")) && allows(all_but(), None, None));
}

/// The warning that the second one never decides would be wrong: of a client with an unknown address, a rule with `from` only
/// denies, so the first one leaves to the second what it allows itself.
#[test]
fn a_rule_from_a_network_shadows_none_that_denies_more_to_clients_without_an_address() {
    let exactly = |verb| Effect::Exactly(Verbs::default().with(verb));
    let (pull, push, everything) = (exactly(Verb::Pull), exactly(Verb::Push), exactly(Verb::All));
    let is_shadowed = |first: Effect, second: Effect, from: &[&str]| {
        let mut rules = [one(first, &[], from), one(second, &[], from)];
        rules[1].origin = RuleOrigin::Line(2);
        Rules::new(HashMap::new(), rules.into()).shadowed().count() == 1
    };
    for (first, second) in [(push, pull), (everything, pull)] {
        assert!(
            !is_shadowed(first, second, &["10.0.0.0/8"]),
            "{first:?}, {second:?}"
        );
        assert!(is_shadowed(first, second, &[]), "{first:?}, {second:?}");
    }
    assert!(is_shadowed(pull, everything, &["10.0.0.0/8"]));
}
