//! The rules in force: those of the file between those that the configuration stands for.

use super::{Account, Effect, Pattern, Rule, RuleOrigin, Rules, Verbs};
use crate::action::Verb;

/// The rules that the configuration stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configured {
    /// `access.admins`: accounts that may do everything
    pub admins: Vec<String>,
    /// `access.anonymous`: repositories from which clients without an account may pull
    pub anonymous: Vec<Pattern>,
}

impl Rules {
    /// The rules in force: first that the administrators may do everything, then those of the `file`, then that clients without
    /// an account may pull what is public. Without a file every user may do everything on repositories, as in registry:2.
    #[must_use]
    pub fn effective(file: Option<&Self>, configured: &Configured) -> Self {
        let mut rules = Vec::new();
        if !configured.admins.is_empty() {
            let named = |name: &String| Account::Named(Pattern::literal(name));
            rules.push(Rule {
                accounts: configured.admins.iter().map(named).collect(),
                effect: Effect::Allow(Verbs::ALL.and(Verbs::ADMIN)),
                ..Rule::on_everything(RuleOrigin::Key("access.admins"))
            });
        }
        match file {
            Some(file) => rules.extend(file.rules.iter().cloned()),
            None => rules.push(Rule {
                accounts: vec![Account::AnyUser],
                effect: Effect::Allow(Verbs::ALL),
                ..Rule::on_everything(RuleOrigin::Default)
            }),
        }
        if !configured.anonymous.is_empty() {
            rules.push(Rule {
                accounts: vec![Account::Anonymous],
                repositories: configured.anonymous.clone(),
                effect: Effect::Allow(Verbs::default().with(Verb::Pull)),
                ..Rule::on_everything(RuleOrigin::Key("access.anonymous"))
            });
        }
        Self::new(file.map(|file| file.groups.clone()).unwrap_or_default(), rules)
    }
}

impl Rule {
    /// A rule about every repository that fits no client yet, and no action.
    fn on_everything(origin: RuleOrigin) -> Self {
        Self {
            origin,
            accounts: Vec::new(),
            repositories: vec![Pattern::everything()],
            tags: Vec::new(),
            from: Vec::new(),
            effect: Effect::Allow(Verbs::default()),
            creates_only: false,
            comment: None,
        }
    }
}
