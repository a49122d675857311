//! Our own format of rules: `groups`, and a list of `rules`.

use std::collections::HashSet;

use wharf_document::{Map, Node, Value, words::cut};

use super::{
    Account, Effect, Groups, Pattern, PatternError, Problem, Rule, RuleOrigin, Rules, Verbs,
    text::{Text, check_keys, line, network, text, texts, unknown},
};
use crate::action::Verb;

/// The keys of a rule.
const KEYS: &[&str] = &[
    "accounts",
    "repositories",
    "tags",
    "from",
    "allow",
    "deny",
    "push",
    "comment",
];

/// What other systems call the keys of a rule.
const OTHER_KEYS: &[(&str, &str)] = &[
    ("user", "accounts"),
    ("users", "accounts"),
    ("group", "accounts"),
    ("groups", "accounts"),
    ("repo", "repositories"),
    ("repos", "repositories"),
    ("repository", "repositories"),
    ("name", "repositories"),
    ("ip", "from"),
    ("address", "from"),
    ("addresses", "from"),
    ("action", "allow"),
    ("actions", "allow"),
    ("effect", "allow"),
    ("note", "comment"),
    ("description", "comment"),
];

/// The actions.
const ACTIONS: &[&str] = &["pull", "push", "delete", "admin", "*"];

/// What other systems call the actions.
const OTHER_ACTIONS: &[(&str, &str)] = &[
    ("read", "pull"),
    ("get", "pull"),
    ("write", "push"),
    ("create", "push"),
    ("upload", "push"),
    ("remove", "delete"),
    ("all", "*"),
    ("any", "*"),
    ("**", "*"),
    ("administrate", "admin"),
    ("administrator", "admin"),
];

/// Reads the whole file.
pub(super) fn read(root: &Map, problems: &mut Vec<Problem>) -> Rules {
    check_keys(
        root,
        &["groups", "rules"],
        &[("rule", "rules"), ("group", "groups")],
        problems,
    );
    let groups = root.get("groups").map(|node| groups(node, problems));
    let mut reader = Reader {
        groups: groups.unwrap_or_default(),
        problems,
    };
    let rules = match root.get("rules") {
        Some(node) => reader.rules(node),
        None => {
            let hint = "write `rules:` with a list of rules, or `rules: []` to allow nothing";
            reader
                .problems
                .push(Problem::error(0, "`rules` is missing", hint));
            Vec::new()
        }
    };
    let groups = reader.groups.into_iter();
    Rules::new(groups.collect(), rules)
}

fn groups(node: &Node, problems: &mut Vec<Problem>) -> Groups {
    let mut groups = Groups::new();
    let Value::Map(map) = &node.value else {
        if !node.is_nothing() {
            let text = format!("`groups` must have names of groups below it, not {}", node.kind());
            problems.push(Problem::error(
                line(node),
                text,
                "write `ci: [robot, jenkins]` below it",
            ));
        }
        return groups;
    };
    for (name, node) in map.iter() {
        if name.is_empty() || name.starts_with('@') {
            let hint = "the `@` stands before the name in rules alone";
            let text = format!("`{}` is no name of a group", cut(name));
            problems.push(Problem::error(line(node), text, hint));
        }
        let is_empty = node.is_nothing() || matches!(&node.value, Value::List(list) if list.is_empty());
        let members = match is_empty {
            true => {
                let text = format!("the group `{}` has no accounts", cut(name));
                problems.push(Problem::warning(line(node), text, "rules for it fit no client"));
                HashSet::new()
            }
            false => members(name, node, problems),
        };
        groups.insert(name.into(), members);
    }
    groups
}

fn members(name: &str, node: &Node, problems: &mut Vec<Problem>) -> HashSet<Box<str>> {
    let mut members = HashSet::new();
    for text in texts(name, node, problems).unwrap_or_default() {
        let shown = cut(text.text);
        if let Some(problem) = colon(text) {
            problems.push(problem);
        } else if text.text.starts_with('@') {
            let text_ = format!("`{shown}` is a group, and groups have accounts only");
            problems.push(Problem::error(text.line, text_, "name both groups in the rule"));
        } else if text.text.contains(['*', '?']) {
            let text_ = format!("`{shown}` is a pattern, and groups have names only");
            problems.push(Problem::error(text.line, text_, "put the pattern into the rule"));
        } else if !members.insert(Box::from(text.text)) {
            let text_ = format!("`{shown}` stands twice in the group `{}`", cut(name));
            problems.push(Problem::warning(text.line, text_, "once is enough"));
        }
    }
    members
}

fn colon(text: Text<'_>) -> Option<Problem> {
    text.text.contains(':').then(|| {
        let shown = cut(text.text);
        let text_ = format!("`{shown}` has a `:`, which no name of an account has");
        Problem::error(
            text.line,
            text_,
            "clients send `name:password`; write the name alone",
        )
    })
}

struct Reader<'a> {
    groups: Groups,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn rules(&mut self, node: &Node) -> Vec<Rule> {
        match &node.value {
            Value::List(list) if list.is_empty() => {
                let text = "there are no rules, so nothing is allowed";
                self.warn(
                    line(node),
                    text,
                    "accounts in `access.admins` may do everything all the same",
                );
                Vec::new()
            }
            Value::List(list) => list.iter().filter_map(|node| self.rule(node)).collect(),
            Value::Scalar(_) | Value::Map(_) => {
                let text = format!("`rules` must be a list, not {}", node.kind());
                self.refuse(
                    line(node),
                    text,
                    "each rule begins with `-`; `rules: []` allows nothing",
                );
                Vec::new()
            }
        }
    }

    /// One rule; `None` when it cannot be used, which is told.
    fn rule(&mut self, node: &Node) -> Option<Rule> {
        let at = line(node);
        let Value::Map(map) = &node.value else {
            let text = format!("a rule has keys such as `accounts`, this is {}", node.kind());
            self.refuse(at, text, "write `- accounts: alice`, and the other keys below it");
            return None;
        };
        check_keys(map, KEYS, OTHER_KEYS, self.problems);
        let accounts = self.required(
            map,
            at,
            "accounts",
            "`'*'` is every user, `anonymous` a client without an account",
        );
        let repositories = self.required(map, at, "repositories", "`'**'` is every repository");
        let accounts: Vec<Account> = accounts.iter().filter_map(|text| self.account(*text)).collect();
        let repositories: Vec<Pattern> = repositories
            .iter()
            .filter_map(|text| self.repository(*text))
            .collect();
        let tags = self.optional(map, "tags");
        let tags: Vec<Pattern> = tags.iter().filter_map(|text| self.tag(*text)).collect();
        let from = self.optional(map, "from");
        let from = from.iter().filter_map(|text| {
            let found = network(text.text);
            if found.is_none() {
                let shown = cut(text.text);
                let hint = "write it such as `10.0.0.7`, `10.0.0.0/8` or `2001:db8::/32`";
                self.refuse(text.line, format!("`{shown}` is no address and no network"), hint);
            }
            found
        });
        let from = from.collect();
        let effect = self.effect(map, at)?;
        let creates_only = self.creates_only(map, effect);
        self.check_admin(at, effect, &repositories, &tags);
        let comment = map
            .get("comment")
            .and_then(|node| text("comment", node, self.problems));
        Some(Rule {
            origin: RuleOrigin::Line(at),
            accounts,
            repositories,
            tags,
            from,
            effect,
            creates_only,
            comment: comment.map(|comment| comment.text.trim().into()),
        })
    }

    fn required<'n>(&mut self, map: &'n Map, at: usize, key: &str, hint: &str) -> Vec<Text<'n>> {
        let Some(node) = map.get(key) else {
            self.refuse(at, format!("the rule has no `{key}`"), hint);
            return Vec::new();
        };
        let found = texts(key, node, self.problems);
        if found.as_ref().is_some_and(Vec::is_empty) {
            self.refuse(
                line(node),
                format!("`{key}` is empty, so the rule fits nothing"),
                hint,
            );
        }
        found.unwrap_or_default()
    }

    fn optional<'n>(&mut self, map: &'n Map, key: &str) -> Vec<Text<'n>> {
        let Some(node) = map.get(key) else {
            return Vec::new();
        };
        let found = texts(key, node, self.problems);
        if found.as_ref().is_some_and(Vec::is_empty) {
            let hint = "remove the key to leave this open";
            self.refuse(line(node), format!("`{key}` is empty"), hint);
        }
        found.unwrap_or_default()
    }

    fn account(&mut self, text: Text<'_>) -> Option<Account> {
        match text.text {
            "*" => return Some(Account::AnyUser),
            "anonymous" => return Some(Account::Anonymous),
            "**" => {
                self.refuse(text.line, "`**` is no pattern of accounts", "`'*'` is every user");
                return None;
            }
            _ => {}
        }
        if let Some(group) = text.text.strip_prefix('@') {
            if !self.groups.contains_key(group) {
                let known: Vec<&str> = self.groups.keys().map(|name| &**name).collect();
                let hint = match wharf_document::words::meant(group, known.iter().copied()) {
                    Some(known) => format!("did you mean `@{known}`?"),
                    None => format!("define it: `groups: {{{}: [alice, bob]}}`", cut(group)),
                };
                self.refuse(text.line, format!("there is no group `{}`", cut(group)), &hint);
            }
            return Some(Account::Group(group.into()));
        }
        if let Some(problem) = colon(text) {
            self.problems.push(problem);
            return None;
        }
        if !text.text.contains(['*', '?', '$']) {
            return (!text.text.is_empty()).then(|| Account::Named(Pattern::literal(text.text)));
        }
        if text.text.contains("${") {
            let hint = "a variable stands in `repositories`";
            self.refuse(text.line, format!("`{}` has a variable", cut(text.text)), hint);
            return None;
        }
        self.pattern(text).map(Account::Named)
    }

    fn repository(&mut self, text: Text<'_>) -> Option<Pattern> {
        let pattern = self.pattern(text)?;
        if let Some(error) = pattern.matches_no_repository() {
            let shown = cut(text.text);
            self.warn(
                text.line,
                format!("`{shown}` matches no name of a repository: {error}"),
                REPOSITORIES,
            );
        }
        Some(pattern)
    }

    fn tag(&mut self, text: Text<'_>) -> Option<Pattern> {
        let pattern = self.pattern(text)?;
        let shown = cut(text.text);
        if text.text.contains("${") {
            self.refuse(
                text.line,
                format!("`{shown}` has a variable"),
                "tags have `*` and `?` only",
            );
            return None;
        }
        if let Some(error) = pattern.matches_no_tag() {
            let hint = "a tag has letters, digits, `.`, `_` and `-`";
            self.warn(text.line, format!("`{shown}` matches no tag: {error}"), hint);
        }
        Some(pattern)
    }

    fn pattern(&mut self, text: Text<'_>) -> Option<Pattern> {
        match Pattern::parse(text.text) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                let hint = match error {
                    PatternError::Impossible(_) | PatternError::EmptyComponent => REPOSITORIES,
                    _ => "",
                };
                self.refuse(
                    text.line,
                    format!("`{}` is no pattern: {error}", cut(text.text)),
                    hint,
                );
                None
            }
        }
    }

    fn effect(&mut self, map: &Map, at: usize) -> Option<Effect> {
        let (node, effect): (_, fn(Verbs) -> Effect) = match (map.get("allow"), map.get("deny")) {
            (Some(node), None) => (node, Effect::Allow),
            (None, Some(node)) => (node, Effect::Deny),
            (Some(_), Some(_)) => {
                self.refuse(at, "the rule has `allow` and `deny`", "make two rules of it");
                return None;
            }
            (None, None) => {
                let hint = "write `allow: [pull, push]`, or `deny: '*'`";
                self.refuse(at, "the rule has neither `allow` nor `deny`", hint);
                return None;
            }
        };
        let words = texts("allow", node, self.problems)?;
        if words.is_empty() {
            let hint = "actions are `pull`, `push`, `delete`, `admin` and `'*'`, which is the first three";
            self.refuse(line(node), "there are no actions, so the rule fits nothing", hint);
        }
        let verbs = words
            .iter()
            .fold(Verbs::default(), |verbs, word| match word.text {
                "pull" => verbs.with(Verb::Pull),
                "push" => verbs.with(Verb::Push),
                "delete" => verbs.with(Verb::Delete),
                "admin" => verbs.and(Verbs::ADMIN),
                "*" => verbs.with(Verb::All),
                _ => {
                    self.problems
                        .push(unknown("action", *word, ACTIONS, OTHER_ACTIONS));
                    verbs
                }
            });
        Some(effect(verbs))
    }

    fn creates_only(&mut self, map: &Map, effect: Effect) -> bool {
        let Some(node) = map.get("push") else { return false };
        let at = line(node);
        match text("push", node, self.problems).map(|text| text.text) {
            Some("create-only") => {
                if !matches!(effect, Effect::Allow(verbs) if verbs.has(Verb::Push)) {
                    let hint = "write `allow: [pull, push]` beside it";
                    self.refuse(
                        at,
                        "`push: create-only` stands in a rule that does not allow `push`",
                        hint,
                    );
                }
                true
            }
            Some(other) => {
                let text = format!("`push` must be `create-only`, not `{}`", cut(other));
                self.refuse(at, text, "without the key, a push may move tags");
                false
            }
            None => false,
        }
    }

    fn check_admin(&mut self, at: usize, effect: Effect, repositories: &[Pattern], tags: &[Pattern]) {
        let (Effect::Allow(verbs) | Effect::Deny(verbs) | Effect::Exactly(verbs)) = effect;
        let is_whole = tags.is_empty() && repositories.iter().any(Pattern::is_everything);
        if verbs.covers(Verbs::ADMIN) && !is_whole {
            let hint = "put it into a rule of its own with `repositories: '**'` and without `tags`";
            self.warn(
                at,
                "`admin` is a right on the whole registry, and has no effect here",
                hint,
            );
        }
    }

    fn refuse(&mut self, line: usize, text: impl Into<String>, hint: &str) {
        self.problems.push(Problem::error(line, text, hint));
    }

    fn warn(&mut self, line: usize, text: impl Into<String>, hint: &str) {
        self.problems.push(Problem::warning(line, text, hint));
    }
}

const REPOSITORIES: &str = "a repository is named without the host, in small letters, such as `team/app`; `*` stays inside a component, `**` crosses `/`";
