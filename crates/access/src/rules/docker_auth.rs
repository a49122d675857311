//! Rules of docker_auth: the list `acl` of its configuration, as far as it can be read exactly.
//!
//! An entry that means something that our rules cannot express is an error with a remedy, so no rule ever allows more here than
//! it did there. What can only match nothing is told, and left out.

use std::collections::BTreeMap;

use wharf_document::{Map, Node, Value, words::cut};
use wharf_pattern::AccountPart;

use super::{
    Account, Effect, Groups, Pattern, Problem, Rule, RuleOrigin, Rules, Verbs,
    go::{self, Found},
    text::{Text, check_keys, line, listed, network, text, texts, unknown},
};
use crate::action::Verb;

/// The conditions of an entry.
const CONDITIONS: &[&str] = &["account", "type", "name", "ip", "service", "labels"];

/// The most repositories that the labels of one user may stand for in one entry.
const COMBINATIONS: usize = 1000;

/// The most rules that a file may stand for: an entry about labels is a rule for each user that has them.
const RULES: usize = 20_000;

/// Labels of a user: each with its values.
type Labels<'a> = BTreeMap<&'a str, Vec<&'a str>>;

/// Reads a whole configuration of docker_auth.
pub(super) fn read(root: &Map, problems: &mut Vec<Problem>) -> Rules {
    if let Some(own) = root.get("rules").or_else(|| root.get("groups")) {
        let hint = "keep `acl` of docker_auth, or `groups` and `rules`";
        problems.push(Problem::error(
            line(own),
            "the file has rules in two formats",
            hint,
        ));
    }
    let sections: Vec<&str> = root.iter().map(|(name, _)| name).collect();
    let others: Vec<&str> = sections
        .iter()
        .copied()
        .filter(|name| !matches!(*name, "acl" | "users"))
        .collect();
    if !others.is_empty() {
        let text = format!(
            "only `acl`, and the labels of `users`, are read; {} mean nothing here",
            listed(&others)
        );
        problems.push(Problem::note(0, text));
    }
    let is_decision = |name: &&&str| name.starts_with("acl_") || name.ends_with("authz");
    if let Some(other) = others.iter().find(is_decision) {
        let hint = "put its rules into `acl`; until then, what only they allow is denied";
        problems.push(Problem::warning(
            0,
            format!("`{other}` allows things as well, and is not read"),
            hint,
        ));
    }
    let mut reader = Reader {
        users: users(root.get("users"), problems),
        foreign: others
            .iter()
            .copied()
            .find(|name| name.ends_with("_auth") || name.ends_with("authn")),
        problems,
    };
    let entries = match root.get("acl").map(|node| (&node.value, line(node))) {
        Some((Value::List(list), _)) => &list[..],
        Some((_, at)) => {
            reader.refuse(
                at,
                "`acl` must be a list of entries with `match` and `actions`",
                "",
            );
            &[]
        }
        None => &[],
    };
    let mut rules = Vec::new();
    for entry in entries {
        rules.extend(reader.entry(entry).unwrap_or_default());
        if rules.len() > RULES {
            let hint = "name fewer labels, or write groups in our format";
            reader.refuse(
                line(entry),
                "the entries up to here stand for too many rules",
                hint,
            );
            break;
        }
    }
    Rules::new(Groups::new(), rules)
}

/// The users of the file, with their labels.
fn users<'a>(node: Option<&'a Node>, problems: &mut Vec<Problem>) -> BTreeMap<&'a str, Labels<'a>> {
    let mut users = BTreeMap::new();
    for (name, node) in node.and_then(Node::map).into_iter().flat_map(Map::iter) {
        let labels = node.map().and_then(|user| user.get("labels")).and_then(Node::map);
        let mut of_user = Labels::new();
        for (label, values) in labels.into_iter().flat_map(Map::iter) {
            let values = texts(label, values, problems).unwrap_or_default();
            of_user.insert(label, values.iter().map(|value| value.text).collect());
        }
        users.insert(name, of_user);
    }
    users
}

struct Reader<'a> {
    users: BTreeMap<&'a str, Labels<'a>>,
    /// A section with users, the labels of which are not in the file
    foreign: Option<&'a str>,
    problems: &'a mut Vec<Problem>,
}

/// The conditions of an entry that are about its client and its repository.
struct Entry<'a> {
    at: usize,
    account: Option<Text<'a>>,
    name: Option<Text<'a>>,
    labels: Vec<(&'a str, Text<'a>)>,
}

/// Accounts, and the repositories of an entry that are theirs.
type Fits = (Vec<Account>, Vec<Pattern>);

/// A problem was told, or the entry matches nothing: it makes no rule.
struct NoRule;

impl Reader<'_> {
    /// The rules of an entry, which have one origin and fit different accounts.
    fn entry(&mut self, node: &Node) -> Result<Vec<Rule>, NoRule> {
        let at = line(node);
        let Value::Map(map) = &node.value else {
            return Err(self.refuse(at, "an entry has `match` and `actions`", ""));
        };
        check_keys(map, &["match", "actions", "comment"], &[], self.problems);
        let Some(conditions) = map.get("match").and_then(Node::map) else {
            return Err(self.refuse(at, "the entry has no `match`", "`match: {}` matches everything"));
        };
        check_keys(conditions, CONDITIONS, &[], self.problems);
        let condition = |key: &str, problems: &mut Vec<Problem>| {
            // An empty text is a condition: `account: ""` is a client without an account.
            let node = conditions.get(key)?;
            let empty = Text {
                line: line(node),
                text: "",
            };
            match node.scalar() {
                Some(scalar) if scalar.text.is_empty() && !scalar.is_plain => Some(empty),
                _ => text(key, node, problems),
            }
        };
        if let Some(service) = condition("service", self.problems) {
            let hint = "remove `service` if the entry is for this registry, and the whole entry if it is not";
            return Err(self.refuse(service.line, "an entry for one service cannot be read", hint));
        }
        let effect = Effect::Exactly(self.actions(map, at)?);
        let kind = condition("type", self.problems);
        let entry = Entry {
            at,
            account: condition("account", self.problems),
            name: condition("name", self.problems),
            labels: self.labels(conditions)?,
        };
        self.check_type(kind, effect)?;
        let from = match condition("ip", self.problems) {
            None => Vec::new(),
            Some(ip) => vec![network(ip.text).ok_or_else(|| {
                let text = format!("`{}` is no address and no network", cut(ip.text));
                self.refuse(ip.line, text, "write it such as `10.0.0.7` or `10.0.0.0/8`")
            })?],
        };
        let comment = map
            .get("comment")
            .and_then(|node| text("comment", node, self.problems));
        let fits = match entry.has_labels() {
            true => self.by_labels(&entry)?,
            false => self.by_account(&entry)?,
        };
        let rule = |(accounts, repositories): Fits| Rule {
            origin: RuleOrigin::Line(at),
            accounts,
            repositories,
            tags: Vec::new(),
            from: from.clone(),
            effect,
            creates_only: false,
            comment: comment.map(|comment| comment.text.trim().into()),
        };
        Ok(fits.into_iter().map(rule).collect())
    }

    fn actions(&mut self, map: &Map, at: usize) -> Result<Verbs, NoRule> {
        let Some(node) = map.get("actions") else {
            return Err(self.refuse(
                at,
                "the entry has no `actions`",
                "`actions: []` denies everything",
            ));
        };
        let words = texts("actions", node, self.problems).ok_or(NoRule)?;
        if let [word] = &words[..]
            && word.text == "*"
        {
            return Ok(Verbs::ALL);
        }
        let mut verbs = Verbs::default();
        for word in words {
            match word.text {
                "pull" => verbs = verbs.with(Verb::Pull),
                "push" => verbs = verbs.with(Verb::Push),
                "delete" => verbs = verbs.with(Verb::Delete),
                "*" => {
                    let hint = "to allow everything, let it stand alone";
                    let text = "`*` beside other actions means the catalogue and nothing else";
                    self.problems.push(Problem::warning(word.line, text, hint));
                }
                _ => {
                    let known = &["pull", "push", "delete", "*"];
                    self.problems.push(unknown("action", word, known, &[]));
                }
            }
        }
        Ok(verbs)
    }

    /// Entries about other things than repositories make no rule.
    fn check_type(&mut self, kind: Option<Text<'_>>, effect: Effect) -> Result<(), NoRule> {
        let Some(kind) = kind else { return Ok(()) };
        let matches = |value: &str| go::matches(kind.text, value);
        match (matches("repository"), matches("registry")) {
            (Ok(true), _) => Ok(()),
            (Ok(false), Ok(true)) if effect == Effect::Exactly(Verbs::default()) => {
                let text = "the catalogue cannot be denied: it shows each account the repositories that it may pull, and no other";
                self.problems
                    .push(Problem::warning(kind.line, text, "the entry can be removed"));
                Err(NoRule)
            }
            (Ok(false), Ok(true)) => {
                let text = "the entry is not needed: the catalogue shows each account the repositories that it may pull";
                self.problems.push(Problem::note(kind.line, text));
                Err(NoRule)
            }
            (Ok(false), _) => {
                let text = format!(
                    "`{}` is no type of this registry, so the entry matches nothing",
                    cut(kind.text)
                );
                self.problems.push(Problem::warning(
                    kind.line,
                    text,
                    "types are `repository` and `registry`",
                ));
                Err(NoRule)
            }
            (Err(error), _) => Err(self.unreadable(kind, &error)),
        }
    }

    fn labels<'n>(&mut self, conditions: &'n Map) -> Result<Vec<(&'n str, Text<'n>)>, NoRule> {
        let Some(node) = conditions.get("labels") else {
            return Ok(Vec::new());
        };
        let Value::Map(map) = &node.value else {
            return Err(self.refuse(
                line(node),
                "`labels` must have names of labels below it",
                "write `labels: {group: dev}`",
            ));
        };
        let labels = map
            .iter()
            .map(|(name, node)| Some((name, text(name, node, self.problems)?)));
        labels.collect::<Option<_>>().ok_or(NoRule)
    }

    /// Accounts and repositories of an entry without labels.
    fn by_account(&mut self, entry: &Entry<'_>) -> Result<Vec<Fits>, NoRule> {
        let mut accounts = match entry.account {
            None => self.everyone(),
            Some(account) => self.accounts(account)?,
        };
        let part = entry.account.and_then(|account| go::group(account.text));
        let Some(name) = entry.name else {
            return Ok(vec![(accounts, vec![Pattern::everything()])]);
        };
        let mut fits = Vec::new();
        if name.text.contains("${account") && accounts.contains(&Account::Anonymous) {
            // The name of a client without an account is an empty text.
            accounts.retain(|account| *account != Account::Anonymous);
            let text = name.text.replace("${account}", "").replace("${account:1}", "");
            if let Ok(Found::Pattern(pattern)) = go::repository(&text, None) {
                fits.push((vec![Account::Anonymous], vec![pattern]));
            }
        }
        let pattern = self.repository(name, name.text, part)?;
        fits.push((accounts, vec![pattern]));
        Ok(fits)
    }

    /// Clients without an account: docker_auth asks the rules about them only if the file has the user `""`.
    fn anonymous(&self) -> Option<Account> {
        self.users.contains_key("").then_some(Account::Anonymous)
    }

    fn everyone(&self) -> Vec<Account> {
        self.anonymous().into_iter().chain([Account::AnyUser]).collect()
    }

    fn accounts(&mut self, account: Text<'_>) -> Result<Vec<Account>, NoRule> {
        match account.text {
            "" => return Ok(vec![Account::Anonymous]),
            "/.+/" | "/^.+$/" | "/./" => return Ok(vec![Account::AnyUser]),
            "/.*/" | "/^.*$/" => return Ok(self.everyone()),
            text if text.contains("${") => {
                return Err(self.unreadable(account, "an account with a variable"));
            }
            _ => {}
        }
        match go::account(account.text) {
            Ok(Found::Pattern(pattern)) => {
                let anonymous = self.anonymous().filter(|_| pattern.matches("", None));
                Ok(anonymous.into_iter().chain([Account::Named(pattern)]).collect())
            }
            Ok(Found::Nothing) => Err(self.matches_nothing(account)),
            Err(error) => Err(self.unreadable(account, &error)),
        }
    }

    /// The pattern of repositories `text`, which was made of what is `written`.
    fn repository(
        &mut self,
        written: Text<'_>,
        text: &str,
        part: Option<AccountPart>,
    ) -> Result<Pattern, NoRule> {
        match go::repository(&text.replace("${type}", "repository"), part) {
            Ok(Found::Pattern(pattern)) => Ok(pattern),
            Ok(Found::Nothing) => Err(self.matches_nothing(written)),
            Err(error) => Err(self.unreadable(written, &error)),
        }
    }

    /// Accounts and repositories of an entry with labels: for each user of the file those that its labels stand for.
    fn by_labels(&mut self, entry: &Entry<'_>) -> Result<Vec<Fits>, NoRule> {
        if let Some(foreign) = self.foreign {
            let text = format!("the entry is about labels, and those of `{foreign}` are not known here");
            return Err(self.refuse(entry.at, text, "name the accounts, or write groups in our format"));
        }
        let users = self.users.clone();
        let mut fits: Vec<Fits> = Vec::new();
        for (name, labels) in &users {
            if !self.user_matches(entry, name, labels)? {
                continue;
            }
            let repositories = self.repositories_of(entry, name, labels)?;
            if repositories.is_empty() {
                continue;
            }
            let account = match *name {
                "" => Account::Anonymous,
                name => Account::Named(Pattern::literal(name)),
            };
            match fits.iter_mut().find(|(_, others)| *others == repositories) {
                Some((accounts, _)) => accounts.push(account),
                None => fits.push((vec![account], repositories)),
            }
        }
        if fits.is_empty() {
            let hint = "users and their labels stand in `users`";
            self.problems.push(Problem::warning(
                entry.at,
                "no user of the file has labels that the entry is about",
                hint,
            ));
        }
        Ok(fits)
    }

    fn user_matches(&mut self, entry: &Entry<'_>, name: &str, labels: &Labels<'_>) -> Result<bool, NoRule> {
        for (label, pattern) in &entry.labels {
            let text = pattern.text.replace("${account}", &regex::escape(name));
            if text.contains("${") {
                return Err(self.unreadable(*pattern, "a label with a variable"));
            }
            let values = labels.get(label).map(Vec::as_slice).unwrap_or_default();
            let found: Result<Vec<bool>, String> =
                values.iter().map(|value| go::matches(&text, value)).collect();
            match found {
                Ok(found) if found.contains(&true) => {}
                Ok(_) => return Ok(false),
                Err(error) => return Err(self.unreadable(*pattern, &error)),
            }
        }
        let Some(account) = entry.account else {
            return Ok(true);
        };
        for text in self.combinations(account, labels)? {
            if text.contains("${") {
                return Err(self.unreadable(account, "an account with a variable"));
            }
            match go::matches(&text, name) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) => return Err(self.unreadable(account, &error)),
            }
        }
        Ok(false)
    }

    fn repositories_of(
        &mut self,
        entry: &Entry<'_>,
        name: &str,
        labels: &Labels<'_>,
    ) -> Result<Vec<Pattern>, NoRule> {
        let Some(written) = entry.name else {
            return Ok(vec![Pattern::everything()]);
        };
        let part = entry.account.and_then(|account| go::group(account.text));
        let mut repositories = Vec::new();
        for text in self.combinations(written, labels)? {
            let text = text.replace("${account}", &regex::escape(name));
            let pattern = match go::repository(&text.replace("${type}", "repository"), part) {
                Ok(Found::Pattern(pattern)) => pattern,
                Ok(Found::Nothing) => continue,
                Err(error) => return Err(self.unreadable(written, &error)),
            };
            repositories.push(pattern);
        }
        Ok(repositories)
    }

    /// `written` with each combination of the values of its labels; none when a label has no value.
    fn combinations(&mut self, written: Text<'_>, labels: &Labels<'_>) -> Result<Vec<String>, NoRule> {
        let mut texts = vec![written.text.to_owned()];
        while let Some(first) = texts.first() {
            let Some((_, rest)) = first.split_once("${labels:") else {
                break;
            };
            let Some((label, _)) = rest.split_once('}') else {
                break;
            };
            let placeholder = format!("${{labels:{label}}}");
            let values = labels.get(label).map(Vec::as_slice).unwrap_or_default();
            // A value with a placeholder of its own would be replaced again and again.
            if texts.len() * values.len() > COMBINATIONS || values.iter().any(|value| has_placeholder(value))
            {
                let hint = "name the repositories, or write groups in our format";
                return Err(self.refuse(written.line, "the labels here stand for too much", hint));
            }
            let each = |text: &String| -> Vec<String> {
                values
                    .iter()
                    .map(|value| text.replace(&placeholder, value))
                    .collect()
            };
            texts = texts.iter().flat_map(each).collect();
        }
        Ok(texts)
    }

    fn matches_nothing(&mut self, text: Text<'_>) -> NoRule {
        let what = format!("`{}` matches nothing, so the entry does nothing", cut(text.text));
        self.problems
            .push(Problem::warning(text.line, what, "the entry can be removed"));
        NoRule
    }

    fn unreadable(&mut self, text: Text<'_>, why: &str) -> NoRule {
        let what = format!("`{}` cannot be read as docker_auth does: {why}", cut(text.text));
        let hint = "write it as a glob, `${account}/*`, or the rule in our format; see docs/access.md";
        self.refuse(text.line, what, hint)
    }

    fn refuse(&mut self, line: usize, text: impl Into<String>, hint: &str) -> NoRule {
        self.problems.push(Problem::error(line, text, hint));
        NoRule
    }
}

/// Whether the value of a label would be replaced in its turn.
fn has_placeholder(value: &str) -> bool {
    value.contains("${") || value.contains("{labels:")
}

impl Entry<'_> {
    fn has_labels(&self) -> bool {
        let texts = self.account.into_iter().chain(self.name);
        !self.labels.is_empty() || texts.into_iter().any(|text| text.text.contains("${labels:"))
    }
}
