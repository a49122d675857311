//! Access rules: what an account, or a client without one, may do to which repository.
//!
//! The first rule that fits an action decides about it; an action that no rule fits is denied. A rule fits by the account, the
//! address of the client, the repository, the action, and the tag.
//!
//! **Tags.** A rule that allows and has tags allows what names no tag as well, because a push of `v1` consists of blobs first;
//! of what names a tag it allows those alone. A rule that denies and has tags denies what names one of them, and nothing else.

mod docker_auth;
mod effective;
mod file;
mod go;
mod native;
mod problem;
mod reader;
mod screen;
mod text;

use std::{
    collections::{HashMap, HashSet},
    fmt, iter,
    net::IpAddr,
};

use ipnet::IpNet;
pub use wharf_pattern::{Pattern, PatternError};

use self::screen::{Glance, Screen};
pub use self::{
    effective::Configured,
    file::{OpenError, RulesFile},
    problem::{Problem, Weight},
    reader::{Reading, read},
    text::network,
};
use crate::action::{Action, Resource, Verb};

/// An ordered list of rules, and the groups that they name.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    groups: Groups,
    /// The first before the others
    rules: Box<[Rule]>,
    /// One of each rule
    screens: Box<[Screen]>,
}

/// The members of each group.
pub type Groups = HashMap<Box<str>, HashSet<Box<str>>>;

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Where it is written
    pub origin: RuleOrigin,
    /// The clients that it fits
    pub accounts: Vec<Account>,
    /// The repositories that it fits
    pub repositories: Vec<Pattern>,
    /// The tags that it fits; all when there are none
    pub tags: Vec<Pattern>,
    /// The addresses that it fits; all when there are none
    pub from: Vec<IpNet>,
    /// The actions that it fits, and what becomes of them
    pub effect: Effect,
    /// Whether a push that it allows may create a tag, and not move one
    pub creates_only: bool,
    /// What a refusal may show
    pub comment: Option<Box<str>>,
}

/// Where a rule is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleOrigin {
    /// In the file of rules, at this line, counted from 1
    Line(usize),
    /// In the configuration, at this key
    Key(&'static str),
    /// Nowhere: without a file of rules every user may do everything, as in registry:2.
    Default,
}

/// Clients that a rule fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// Clients without an account
    Anonymous,
    /// Every client with an account
    AnyUser,
    /// The account of this name, or those that the pattern matches
    Named(Pattern),
    /// The members of a group
    Group(Box<str>),
}

/// What becomes of an action that a rule fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// These actions are allowed; it does not fit others.
    Allow(Verbs),
    /// These actions are denied; it does not fit others.
    Deny(Verbs),
    /// These actions are allowed and all others denied, as by a rule of docker_auth.
    Exactly(Verbs),
}

/// A set of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verbs(u8);

/// A client that wants something.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// The name of its account, if it has one
    pub account: Option<&'a str>,
    /// Groups that it is in, beside those of the rules
    pub groups: &'a [Box<str>],
    /// Its address, if that is known
    pub address: Option<IpAddr>,
}

/// What the rules say about an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// The rule allows it.
    Allowed(&'a Rule),
    /// The rule denies it; without a rule none fits.
    Denied(Option<&'a Rule>),
}

/// The repositories of which an account may see some, by the beginnings of their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visible {
    /// Sorted; none begins with another
    prefixes: Vec<Box<str>>,
}

impl Verbs {
    /// Every action on the content of a repository: pull, push and delete.
    pub const ALL: Self = Self(0b111);

    /// The administration of the registry, which is no action on a repository.
    pub const ADMIN: Self = Self(0b1000);

    /// The same set with those of `other`.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The same set with `verb`; [`Verb::All`] stands for every one on a repository.
    #[must_use]
    pub const fn with(self, verb: Verb) -> Self {
        match verb {
            Verb::All => self.and(Self::ALL),
            verb => Self(self.0 | Self::bit(verb)),
        }
    }

    /// Whether `verb` is in it; [`Verb::All`] when every action is.
    pub const fn has(self, verb: Verb) -> bool {
        match verb {
            Verb::All => self.covers(Self::ALL),
            verb => self.0 & Self::bit(verb) != 0,
        }
    }

    /// Whether all of `other` is in it.
    pub const fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    const fn bit(verb: Verb) -> u8 {
        match verb {
            Verb::Pull => 1,
            Verb::Push | Verb::Cancel => 2,
            Verb::Delete => 4,
            Verb::All => Self::ALL.0,
        }
    }
}

impl Effect {
    /// Whether it allows `verb`; `None` when it does not fit that.
    fn on(self, verb: Verb) -> Option<bool> {
        match self {
            Self::Allow(verbs) => verbs.has(verb).then_some(true),
            Self::Deny(verbs) => verbs.has(verb).then_some(false),
            Self::Exactly(verbs) => Some(verbs.has(verb)),
        }
    }

    /// Whether it denies each verb that `other` denies. A rule with `from` is one of these denials alone for a client with an
    /// unknown address, so one that denies less leaves something to `other`.
    fn denies_what(self, other: Self) -> bool {
        let denied = |effect: Self, verb| effect.on(verb) == Some(false);
        let administration = matches!(self, Self::Deny(_)) || !matches!(other, Self::Deny(_));
        administration
            && Verb::EACH
                .iter()
                .all(|verb| denied(self, *verb) || !denied(other, *verb))
    }
}

impl Rules {
    /// `rules`, the first before the others, which name `groups`.
    pub fn new(groups: Groups, rules: Vec<Rule>) -> Self {
        Self {
            groups,
            screens: rules.iter().map(Screen::of).collect(),
            rules: rules.into(),
        }
    }

    /// The groups that the rules name.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// The rules, the first before the others.
    pub fn list(&self) -> &[Rule] {
        &self.rules
    }

    /// What the rules say about `action` on `tag`, if it names one. Allocates nothing.
    ///
    /// The catalogue is allowed to each client that may see a repository, since it shows each only those.
    pub fn decide(&self, asker: Asker<'_>, action: Action<'_>, tag: Option<&str>) -> Verdict<'_> {
        let fits = |rule: &Rule| match action.resource {
            Resource::Catalog => {
                rule.effect.on(Verb::Pull) == Some(true)
                    && rule.fits_client(&self.groups, asker, Some(Verb::Pull))
            }
            Resource::Repository(name) => {
                rule.effect.on(action.verb).is_some()
                    && rule.fits_tag(action.verb, tag)
                    && rule.fits_name(name.as_str(), asker)
                    && rule.fits_client(&self.groups, asker, Some(action.verb))
            }
        };
        let verb = match action.resource {
            Resource::Catalog => Verb::Pull,
            Resource::Repository(_) => action.verb,
        };
        let mut candidates = self.candidates(Glance::at(asker.account, action));
        match candidates.find_map(|rule| fits(rule).then_some((rule, rule.effect.on(verb)?))) {
            Some((rule, true)) => Verdict::Allowed(rule),
            Some((rule, false)) => Verdict::Denied(Some(rule)),
            None => Verdict::Denied(None),
        }
    }

    /// The rules that may fit, of which there are few.
    fn candidates(&self, glance: Glance) -> impl Iterator<Item = &Rule> {
        let mut screens = self.screens.iter();
        let mut rules = self.rules.iter();
        iter::from_fn(move || rules.nth(screens.position(|screen| screen.lets_through(&glance))?))
    }

    /// Whether the client may administer the registry: by the first rule on every repository that names `admin`.
    pub fn administers(&self, asker: Asker<'_>) -> Verdict<'_> {
        let first = self.rules.iter().find_map(|rule| {
            let is_meant = rule.administers_all() && rule.fits_client(&self.groups, asker, None);
            let allows = match rule.effect {
                Effect::Allow(verbs) => verbs.covers(Verbs::ADMIN).then_some(true),
                Effect::Deny(verbs) => verbs.covers(Verbs::ADMIN).then_some(false),
                // docker_auth has no such action, so its rules say nothing about it.
                Effect::Exactly(_) => None,
            };
            is_meant.then_some(rule).zip(allows)
        });
        match first {
            Some((rule, true)) => Verdict::Allowed(rule),
            Some((rule, false)) => Verdict::Denied(Some(rule)),
            None => Verdict::Denied(None),
        }
    }

    /// Whether a rule for some tags is about the client and the repository `name`.
    pub fn limit_tags_of(&self, name: &str, asker: Asker<'_>) -> bool {
        let mut of_tags = self.rules.iter().filter(|rule| !rule.tags.is_empty());
        of_tags.any(|rule| {
            rule.fits_name(name, asker) && rule.fits_client(&self.groups, asker, Some(Verb::Pull))
        })
    }

    /// Where the repositories lie that `asker` may see, at most.
    pub fn visible(&self, asker: Asker<'_>) -> Visible {
        let allowing = self.rules.iter().filter(|rule| {
            rule.effect.on(Verb::Pull) == Some(true)
                && rule.fits_client(&self.groups, asker, Some(Verb::Pull))
        });
        Visible::of(allowing.flat_map(|rule| &rule.repositories))
    }

    /// The rules that allow the client something.
    pub fn allowing<'a>(&'a self, asker: Asker<'a>) -> impl Iterator<Item = &'a Rule> {
        let allows = |rule: &&Rule| match rule.effect {
            Effect::Allow(_) => true,
            Effect::Exactly(verbs) => verbs != Verbs::default(),
            Effect::Deny(_) => false,
        };
        let rules = self.rules.iter().filter(allows);
        rules.filter(move |rule| rule.fits_client(&self.groups, asker, None))
    }

    /// The rules that never decide because an earlier one does, as far as can be told by looking: each with that one.
    pub fn shadowed(&self) -> impl Iterator<Item = (&Rule, &Rule)> {
        self.rules.iter().enumerate().filter_map(|(at, rule)| {
            let mut earlier = self.rules[..at].iter();
            let by = earlier.find(|earlier| earlier.origin != rule.origin && earlier.covers(rule))?;
            Some((rule, by))
        })
    }
}

impl fmt::Display for RuleOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Key(key) => write!(f, "`{key}` of the configuration"),
            Self::Default => f.write_str("the default without `access.rules`"),
        }
    }
}

impl Rule {
    /// The line of the file at which it is written; 0 for a rule of the configuration.
    fn line(&self) -> usize {
        match self.origin {
            RuleOrigin::Line(line) => line,
            RuleOrigin::Key(_) | RuleOrigin::Default => 0,
        }
    }

    /// Whether `admin` means something in it: that is a right on the registry, not on some repositories.
    fn administers_all(&self) -> bool {
        self.tags.is_empty() && self.repositories.iter().any(Pattern::is_everything)
    }

    /// Whether the rule is about the client, which wants `verb`, or, without one, to administer.
    fn fits_client(&self, groups: &Groups, asker: Asker<'_>, verb: Option<Verb>) -> bool {
        let by_account = self
            .accounts
            .iter()
            .any(|account| match (account, asker.account) {
                (Account::Anonymous, name) => name.is_none(),
                (Account::AnyUser, name) => name.is_some(),
                (Account::Named(pattern), Some(name)) => pattern.matches(name, Some(name)),
                (Account::Group(group), Some(name)) => {
                    asker.groups.contains(group)
                        || groups.get(group).is_some_and(|members| members.contains(name))
                }
                (Account::Named(_) | Account::Group(_), None) => false,
            });
        by_account && (self.from.is_empty() || self.fits_address(asker.address, verb))
    }

    /// Of a client with an unknown address, the rule allows nothing, and denies what it denies.
    fn fits_address(&self, address: Option<IpAddr>, verb: Option<Verb>) -> bool {
        match (address.map(|address| address.to_canonical()), verb) {
            (Some(address), _) => self.from.iter().any(|network| network.contains(&address)),
            (None, Some(verb)) => self.effect.on(verb) == Some(false),
            (None, None) => matches!(self.effect, Effect::Deny(_)),
        }
    }

    fn fits_name(&self, name: &str, asker: Asker<'_>) -> bool {
        let mut patterns = self.repositories.iter();
        patterns.any(|pattern| pattern.matches(name, asker.account))
    }

    fn fits_tag(&self, verb: Verb, tag: Option<&str>) -> bool {
        if self.tags.is_empty() {
            return true;
        }
        match tag {
            Some(tag) => self.tags.iter().any(|pattern| pattern.matches(tag, None)),
            None => self.effect.on(verb) == Some(true),
        }
    }

    fn covers(&self, later: &Self) -> bool {
        let verbs = |effect| match effect {
            Effect::Allow(verbs) | Effect::Deny(verbs) => verbs,
            Effect::Exactly(_) => Verbs::ALL,
        };
        let accounts = later.accounts.iter().all(|account| {
            self.accounts.contains(account)
                || self.accounts.contains(&Account::AnyUser) && *account != Account::Anonymous
        });
        let names = later.repositories.iter().all(|theirs| {
            let mut mine = self.repositories.iter();
            mine.any(|mine| mine.covers(theirs))
        });
        let from = self.from.is_empty()
            || !later.from.is_empty()
                && later.from.iter().all(|theirs| {
                    let mut mine = self.from.iter();
                    mine.any(|mine| mine.contains(theirs))
                })
                && self.effect.denies_what(later.effect);
        let tags = self.tags.is_empty() || self.tags == later.tags && self.effect == later.effect;
        accounts && names && from && tags && verbs(self.effect).covers(verbs(later.effect))
    }
}

impl Visible {
    /// Where the repositories lie that one of `patterns` matches.
    pub fn of<'a>(patterns: impl IntoIterator<Item = &'a Pattern>) -> Self {
        let patterns = patterns.into_iter();
        let mut prefixes: Vec<Box<str>> = patterns.map(|pattern| pattern.literal_prefix().into()).collect();
        prefixes.sort_unstable();
        prefixes.dedup_by(|next, before| next.starts_with(&**before));
        Self { prefixes }
    }

    /// Whether nothing can be visible.
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }

    /// Whether the name may be visible: the rules decide.
    pub fn may_have(&self, name: &str) -> bool {
        self.next_from(name).is_some_and(|next| next == name)
    }

    /// The first name, not before `name`, that may be visible; it need not exist. `None` when there is none.
    pub fn next_from<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        let after = self.prefixes.partition_point(|prefix| **prefix <= *name);
        let within = after
            .checked_sub(1)
            .is_some_and(|before| name.starts_with(&*self.prefixes[before]));
        match within {
            true => Some(name),
            false => self.prefixes.get(after).map(|prefix| &**prefix),
        }
    }
}
