//! Files of rules: what they mean, what is told of them, and that the last good one stays in force.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod allocations;
mod docker_auth;
mod native;
mod watched;

use wharf_access::{
    Action, Resource, Verb,
    rules::{Asker, Reading, RuleOrigin, Rules, Verdict, read},
};

/// The rules of a text without problems.
fn rules(text: &str) -> Rules {
    let reading = read(text.as_bytes());
    assert!(reading.problems.is_empty(), "{text}: {:#?}", reading.problems);
    reading.rules
}

/// What is told of a text, a line for each problem.
fn told(text: &str) -> Vec<String> {
    let Reading { problems, .. } = read(text.as_bytes());
    problems
        .iter()
        .map(|problem| format!("{}: {problem}", problem.weight))
        .collect()
}

/// Checks that of `text` one thing is told, which has all of `parts`.
fn check_told(text: &str, parts: &[&str]) {
    let told = told(text);
    assert_eq!(told.len(), 1, "{text}: {told:#?}");
    for part in parts {
        assert!(told[0].contains(part), "{text}: no {part:?} in {told:#?}");
    }
}

/// The line of the rule that decides, and whether it allows; `None`: no rule fits.
fn decide(
    rules: &Rules,
    account: Option<&str>,
    verb: Verb,
    repository: &str,
    tag: Option<&str>,
    address: Option<&str>,
) -> Option<(usize, bool)> {
    let name = repository.parse().unwrap();
    let asker = Asker {
        groups: &[],
        account,
        address: address.map(|address| address.parse().unwrap()),
    };
    let action = Action {
        resource: Resource::Repository(&name),
        verb,
    };
    let (rule, is_allowed) = match rules.decide(asker, action, tag) {
        Verdict::Allowed(rule) => (rule, true),
        Verdict::Denied(rule) => (rule?, false),
    };
    match rule.origin {
        RuleOrigin::Line(line) => Some((line, is_allowed)),
        RuleOrigin::Key(_) | RuleOrigin::Default => None,
    }
}

/// Whether the rules allow it, wherever they are written.
fn allows(rules: &Rules, account: Option<&str>, verb: Verb, repository: &str) -> bool {
    let name = repository.parse().unwrap();
    let resource = Resource::Repository(&name);
    let asker = Asker {
        groups: &[],
        account,
        address: None,
    };
    matches!(
        rules.decide(asker, Action { resource, verb }, None),
        Verdict::Allowed(_)
    )
}
