//! What can be told of a rule at one glance: of many rules most are about other repositories, other accounts or other actions.

use super::{Account, Effect, Pattern, Rule, Verbs};
use crate::action::{Action, Resource, Verb};

/// A few words of a rule, in a list of their own, so that 200 of them are looked through without fetching the rules themselves from
/// memory. A screen lets through each rule that fits, and of the others those that begin alike, or name no account.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    verbs: Verbs,
    repository: Beginning,
    account: Beginning,
}

/// What screens look at of a question.
#[derive(Debug, Clone, Copy)]
pub(super) struct Glance {
    verb: Verb,
    repository: u64,
    /// The bits of it that are known: none when the question is not about one repository
    known: u64,
    account: u64,
}

/// The first bytes of texts, eight at most.
#[derive(Debug, Clone, Copy)]
struct Beginning {
    bytes: u64,
    /// The bits of them that are known
    mask: u64,
}

impl Screen {
    pub(super) fn of(rule: &Rule) -> Self {
        let names = rule.repositories.iter().map(|pattern| known(pattern, false));
        let accounts = rule.accounts.iter().map(|account| match account {
            Account::Named(pattern) => known(pattern, true),
            Account::Anonymous | Account::AnyUser | Account::Group(_) => Beginning::UNKNOWN,
        });
        Self {
            verbs: match rule.effect {
                Effect::Allow(verbs) | Effect::Deny(verbs) => verbs,
                Effect::Exactly(_) => Verbs::ALL,
            },
            repository: Beginning::common(names),
            account: Beginning::common(accounts),
        }
    }

    /// Whether the rule may fit; if not, it certainly does not.
    pub(super) fn lets_through(&self, glance: &Glance) -> bool {
        let other_name = self.repository.differs(glance.repository) & glance.known;
        (self.account.differs(glance.account) | other_name) == 0 && self.verbs.has(glance.verb)
    }
}

impl Glance {
    pub(super) fn at(account: Option<&str>, action: Action<'_>) -> Self {
        let (repository, known, verb) = match action.resource {
            Resource::Repository(name) => (first_bytes(name.as_str()), u64::MAX, action.verb),
            Resource::Catalog => (0, 0, Verb::Pull),
        };
        Self {
            verb,
            repository,
            known,
            // A client without an account has the bytes of an empty name, which no rule names.
            account: first_bytes(account.unwrap_or_default()),
        }
    }
}

impl Beginning {
    const UNKNOWN: Self = Self { bytes: 0, mask: 0 };

    /// What all of `beginnings` have in common.
    fn common(beginnings: impl Iterator<Item = Self>) -> Self {
        let both = |one: Self, other: Self| {
            let mask = one.mask & other.mask & !(one.bytes ^ other.bytes);
            Self {
                bytes: one.bytes & mask,
                mask,
            }
        };
        beginnings.reduce(both).unwrap_or(Self::UNKNOWN)
    }

    /// The bits that no text with these first bytes has; zero: it may be one of its texts.
    fn differs(self, first_bytes: u64) -> u64 {
        (self.bytes ^ first_bytes) & self.mask
    }
}

/// What is known of the beginning of each text that `pattern` matches; if it matches one alone, that text may end there.
fn known(pattern: &Pattern, ends: bool) -> Beginning {
    let prefix = pattern.literal_prefix();
    let count = match ends && pattern.is_literal() {
        true => prefix.len() + 1,
        false => prefix.len(),
    };
    let mask = match count {
        0 => 0,
        1..8 => u64::MAX >> (8 * (8 - count)),
        _ => u64::MAX,
    };
    Beginning {
        bytes: first_bytes(prefix) & mask,
        mask,
    }
}

/// The first eight bytes of a text, filled up with zeros.
fn first_bytes(text: &str) -> u64 {
    let mut bytes = [0; 8];
    let count = text.len().min(8);
    bytes[..count].copy_from_slice(&text.as_bytes()[..count]);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::{collection::vec, option, prelude::*, sample::select};
    use regex::Regex;
    use wharf_oci::RepoName;

    use super::{
        super::{Asker, Groups, RuleOrigin},
        *,
    };

    fn joined(parts: &'static [&'static str]) -> impl Strategy<Value = String> {
        vec(select(parts), 1..4).prop_map(|parts| parts.join("/"))
    }

    fn patterns() -> impl Strategy<Value = Vec<Pattern>> {
        let text = joined(&["**", "*", "a", "a*", "?b", "ab", "abababab", "${account}"]);
        let parsed = text.prop_map(|text| Pattern::parse(&text).unwrap());
        let literal = select(NAMES).prop_map(Pattern::literal);
        let regex = select(&["^a", "b", "^(a|ab)$", ".*"][..]);
        let regex = regex.prop_map(|text| Pattern::regex(Regex::new(text).unwrap()));
        vec(prop_oneof![4 => parsed, 2 => literal, 1 => regex], 1..3)
    }

    /// Names of accounts, also of such as look like patterns.
    const NAMES: &[&str] = &["a", "ab", "abababab", "a$", "$", "a*b", "?b", "b${account}"];

    /// An account of a rule: mostly one that is named.
    fn accounts() -> impl Strategy<Value = Vec<Account>> {
        let named =
            patterns().prop_map(|patterns| patterns.into_iter().map(Account::Named).collect::<Vec<_>>());
        let others = vec![Account::Anonymous, Account::AnyUser, Account::Group("ci".into())];
        (named, option::weighted(0.2, select(others))).prop_map(|(mut accounts, other)| {
            accounts.extend(other);
            accounts
        })
    }

    fn verbs() -> impl Strategy<Value = Verb> {
        select(vec![
            Verb::Pull,
            Verb::Push,
            Verb::Delete,
            Verb::Cancel,
            Verb::All,
        ])
    }

    fn effects() -> impl Strategy<Value = Effect> {
        let verbs = verbs().prop_map(|verb| Verbs::default().with(verb));
        (0..3, verbs).prop_map(|(kind, verbs)| match kind {
            0 => Effect::Allow(verbs),
            1 => Effect::Deny(verbs),
            _ => Effect::Exactly(verbs),
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_screen_lets_through_each_rule_that_fits(
            repositories in patterns(), accounts in accounts(), effect in effects(), verb in verbs(),
            name in joined(&["a", "b", "ab", "abababab"]), account in option::weighted(0.9, select(NAMES)), is_catalog in any::<bool>(),
        ) {
            let groups = Groups::from([("ci".into(), HashSet::from(["ab".into()]))]);
            let name = name.parse().unwrap();
            let resource = if is_catalog { Resource::Catalog } else { Resource::Repository(&name) };
            let verb = if is_catalog { Verb::Pull } else { verb };
            let rule = Rule { accounts, repositories, ..rule(effect) };
            let asker = Asker { account, groups: &[], address: None };
            let fits = rule.effect.on(verb).is_some()
                && (is_catalog || rule.fits_name(name.as_str(), asker))
                && rule.fits_client(&groups, asker, Some(verb));
            let glance = Glance::at(account, Action { resource, verb });
            prop_assert!(Screen::of(&rule).lets_through(&glance) || !fits);
        }
    }

    #[test]
    fn a_screen_tells_other_accounts_repositories_and_actions_apart() {
        let named = |name: &str| vec![Account::Named(Pattern::literal(name))];
        let rule = Rule {
            accounts: named("svc$1"),
            repositories: vec![Pattern::parse("team/**").unwrap()],
            ..rule(Effect::Deny(Verbs::default().with(Verb::Push)))
        };
        let lets_through = |account: &str, name: &str, verb| {
            let name = name.parse().unwrap();
            let resource = Resource::Repository(&name);
            Screen::of(&rule).lets_through(&Glance::at(Some(account), Action { resource, verb }))
        };
        assert!(lets_through("svc$1", "team/app", Verb::Push));
        assert!(!lets_through("svc", "team/app", Verb::Push));
        assert!(!lets_through("svc$1", "tea/app", Verb::Push));
        assert!(!lets_through("svc$1", "team/app", Verb::Pull));
    }

    fn rule(effect: Effect) -> Rule {
        Rule {
            origin: RuleOrigin::Line(1),
            accounts: vec![Account::AnyUser],
            repositories: vec![Pattern::everything()],
            tags: Vec::new(),
            from: Vec::new(),
            effect,
            creates_only: false,
            comment: None,
        }
    }

    #[test]
    fn a_rule_about_everything_is_let_through() {
        let name: RepoName = "a".parse().unwrap();
        for resource in [Resource::Repository(&name), Resource::Catalog] {
            let glance = Glance::at(
                None,
                Action {
                    resource,
                    verb: Verb::Pull,
                },
            );
            assert!(Screen::of(&rule(Effect::Exactly(Verbs::default()))).lets_through(&glance));
        }
    }

    fn begins(pattern: &str, ends: bool, text: &str) -> bool {
        known(&Pattern::parse(pattern).unwrap(), ends).differs(first_bytes(text)) == 0
    }

    #[test]
    fn the_first_bytes_tell_most_texts_apart() {
        for (pattern, text) in [
            ("team1/**", "team1/app"),
            ("team1/**", "team1"),
            ("**", "x"),
            ("*", ""),
            ("a-long-name", "a-long-name"),
        ] {
            assert!(begins(pattern, false, text), "{pattern} {text}");
        }
        assert!(!begins("team1/**", false, "team2/app"));
        assert!(!begins("team10/**", false, "team1/app"));
        assert!(begins("bob", true, "bob") && !begins("bob", true, "bobby"));
        assert!(begins("bob", false, "bobby"), "a longer name is told apart later");
    }

    #[test]
    fn of_several_texts_what_they_have_in_common_is_known() {
        let common = |texts: &[&str]| {
            let patterns: Vec<Pattern> = texts.iter().map(|text| Pattern::literal(text)).collect();
            Beginning::common(patterns.iter().map(|pattern| known(pattern, true)))
        };
        let may_be = |texts: &[&str], text| common(texts).differs(first_bytes(text)) == 0;
        assert!(may_be(&["user1", "user2"], "user2") && !may_be(&["user1", "user2"], "bench"));
        assert!(may_be(&[], "x"));
        assert!(may_be(&["", "x"], ""));
    }
}
