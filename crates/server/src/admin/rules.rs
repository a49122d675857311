//! The access rules: those in force, what they decide, and the problems of a text before it becomes the file.

use std::{borrow::Cow, net::IpAddr, path::Path, str::FromStr, sync::Arc};

use wharf_access::{
    Access, Action, Resource, Verb,
    rules::{
        self, Account, Asker, Configured, Effect, Rule, RuleOrigin, Rules, RulesFile, Verbs, Verdict, Weight,
    },
};
use wharf_oci::{RepoName, Tag};

use super::wire;

/// The access rules of a server.
#[derive(Debug, Clone)]
pub struct AccessRules {
    access: Arc<Access>,
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct QuestionError {
    /// The field that is wrong
    pub field: &'static str,
    /// What is wrong with it
    pub text: String,
}

impl AccessRules {
    /// The rules of `access`.
    pub fn of(access: Arc<Access>) -> Self {
        Self { access }
    }

    /// The rules in force, in their order, with the state of their file. Without rules there are none, and every user may do
    /// everything on repositories.
    pub async fn show(&self) -> wire::RuleList {
        self.access.refresh_rules().await;
        let file = self.access.rules_file().map(|file| {
            let status = file.status();
            wire::RulesFile {
                path: file.path().display().to_string(),
                problem: status.problem,
                warnings: status.findings,
            }
        });
        list_rules(self.access.rules().as_deref(), file)
    }

    /// What the rules in force say to `question`.
    ///
    /// # Errors
    /// When the question is none.
    pub async fn decide(&self, question: &wire::RuleQuestion) -> Result<wire::RuleDecision, QuestionError> {
        self.access.refresh_rules().await;
        let file = self.access.rules_file().map(RulesFile::path);
        decide(self.access.rules().as_deref(), file, question)
    }
}

/// `rules` in their order, of which some are written in `file`.
pub fn list_rules(rules: Option<&Rules>, file: Option<wire::RulesFile>) -> wire::RuleList {
    let rules = rules.into_iter().flat_map(Rules::list);
    wire::RuleList {
        file,
        rules: rules.map(described).collect(),
    }
}

/// What `rules`, of which some are written in `file`, say to `question`. Without rules every user may do everything on repositories.
///
/// # Errors
/// When the question is none: a name, a tag or an address is wrong, or the repository is missing.
pub fn decide(
    rules: Option<&Rules>,
    file: Option<&Path>,
    question: &wire::RuleQuestion,
) -> Result<wire::RuleDecision, QuestionError> {
    let rules = match rules {
        Some(rules) => Cow::Borrowed(rules),
        None => Cow::Owned(Rules::effective(None, &Configured::default())),
    };
    let groups = question.groups.iter();
    let groups: Vec<Box<str>> = groups.map(|group| group.trim_start_matches('@').into()).collect();
    let asker = Asker {
        account: question.account.as_deref(),
        groups: &groups,
        address: read::<IpAddr>("from", question.from.as_deref())?,
    };
    let repository = read::<RepoName>("repository", question.repository.as_deref())?;
    let tag = read::<Tag>("tag", question.tag.as_deref())?;
    let verb = match question.action {
        wire::RuleAction::Pull => Some(Verb::Pull),
        wire::RuleAction::Push => Some(Verb::Push),
        wire::RuleAction::Delete => Some(Verb::Delete),
        wire::RuleAction::Admin => None,
    };
    let verdict = match (verb, &repository) {
        (Some(verb), Some(name)) => {
            let resource = Resource::Repository(name);
            rules.decide(asker, Action { resource, verb }, tag.as_ref().map(Tag::as_str))
        }
        (Some(_), None) => {
            return Err(QuestionError {
                field: "repository",
                text: "`repository` is missing; only `admin` is about none".to_owned(),
            });
        }
        (None, _) => rules.administers(asker),
    };
    let (is_allowed, rule) = match verdict {
        Verdict::Allowed(rule) => (true, Some(rule)),
        Verdict::Denied(rule) => (false, rule),
    };
    let is_push = verb == Some(Verb::Push);
    Ok(wire::RuleDecision {
        allowed: is_allowed,
        create_only: is_allowed && is_push && rule.is_some_and(|rule| rule.creates_only),
        rule: rule.map(|rule| deciding(rule, file)),
    })
}

/// A field of a question, if it is there.
fn read<T: FromStr<Err: std::fmt::Display>>(
    field: &'static str,
    text: Option<&str>,
) -> Result<Option<T>, QuestionError> {
    let parsed = text.map(str::parse).transpose();
    parsed.map_err(|error: T::Err| QuestionError {
        field,
        text: format!("`{field}`: {error}"),
    })
}

fn deciding(rule: &Rule, file: Option<&Path>) -> wire::DecidingRule {
    let (line, key) = match rule.origin {
        RuleOrigin::Line(line) => (Some(line), None),
        RuleOrigin::Key(key) => (None, Some(key.to_owned())),
        RuleOrigin::Default => (None, None),
    };
    wire::DecidingRule {
        file: line.and(file).map(|file| file.display().to_string()),
        line,
        key,
        origin: rule.origin.to_string(),
        comment: rule.comment.as_deref().map(str::to_owned),
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

/// A rule as the API shows it.
pub(crate) fn described(rule: &Rule) -> wire::Rule {
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
