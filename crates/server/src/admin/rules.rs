//! The access rules: those in force, and the problems of a text before it becomes the file.

use std::sync::Arc;

use wharf_access::{
    Access, Verb,
    rules::{self, Account, Effect, Rule, RuleOrigin, Verbs, Weight},
};

use super::wire;

/// The access rules of a server.
#[derive(Debug, Clone)]
pub struct AccessRules {
    access: Arc<Access>,
}

impl AccessRules {
    /// The rules of `access`.
    pub fn of(access: Arc<Access>) -> Self {
        Self { access }
    }

    /// The rules in force, in their order, with the state of their file. Without rules there are none, and every user may do
    /// everything on repositories.
    pub fn show(&self) -> wire::RuleList {
        let rules = self.access.rules();
        let rules = rules
            .iter()
            .flat_map(|rules| rules.list())
            .map(described)
            .collect();
        let file = self.access.rules_file().map(|file| {
            let status = file.status();
            wire::RulesFile {
                path: file.path().display().to_string(),
                problem: status.problem,
                warnings: status.findings,
            }
        });
        wire::RuleList { file, rules }
    }
}

/// The problems of a text as a file of rules, in our format or in that of docker_auth. Blocks for a large text.
pub fn check_rules(text: &str) -> wire::CheckedRules {
    let reading = rules::read(text.as_bytes());
    let is_usable = reading.is_usable();
    let problems = reading.problems.into_iter().map(|problem| wire::RuleProblem {
        line: (problem.line > 0).then_some(problem.line),
        weight: match problem.weight {
            Weight::Error => wire::Weight::Error,
            Weight::Warning => wire::Weight::Warning,
            Weight::Note => wire::Weight::Note,
        },
        text: problem.text,
        hint: problem.hint,
    });
    wire::CheckedRules {
        usable: is_usable,
        problems: problems.collect(),
        rules: reading.rules.list().iter().map(described).collect(),
    }
}

fn described(rule: &Rule) -> wire::Rule {
    let (effect, verbs) = match rule.effect {
        Effect::Allow(verbs) => (wire::RuleEffect::Allow, verbs),
        Effect::Deny(verbs) => (wire::RuleEffect::Deny, verbs),
        Effect::Exactly(verbs) => (wire::RuleEffect::Exactly, verbs),
    };
    wire::Rule {
        line: match rule.origin {
            RuleOrigin::Line(line) => Some(line),
            RuleOrigin::Key(_) | RuleOrigin::Default => None,
        },
        origin: rule.origin.to_string(),
        accounts: rule.accounts.iter().map(account).collect(),
        repositories: rule.repositories.iter().map(ToString::to_string).collect(),
        tags: rule.tags.iter().map(ToString::to_string).collect(),
        from: rule.from.iter().map(ToString::to_string).collect(),
        effect,
        actions: actions(verbs),
        create_only: rule.creates_only,
        comment: rule.comment.as_deref().map(str::to_owned),
    }
}

fn account(account: &Account) -> String {
    match account {
        Account::Anonymous => "anonymous".to_owned(),
        Account::AnyUser => "*".to_owned(),
        Account::Named(pattern) => pattern.to_string(),
        Account::Group(group) => format!("@{group}"),
    }
}

/// The names of the actions, as rules write them.
fn actions(verbs: Verbs) -> Vec<String> {
    let on_repositories = [Verb::Pull, Verb::Push, Verb::Delete].into_iter();
    let mut actions: Vec<String> = on_repositories
        .filter(|&verb| verbs.has(verb))
        .map(|verb| verb.as_str().to_owned())
        .collect();
    if verbs.covers(Verbs::ADMIN) {
        actions.push("admin".to_owned());
    }
    actions
}
