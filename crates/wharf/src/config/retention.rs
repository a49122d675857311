//! `retention`: which tags and manifests stay, by rules, on a schedule.

use std::{fmt::Display, time::Duration};

use wharf_document::words::cut;
use wharf_pattern::Pattern;
use wharf_registry::retention::{Policy, RetentionRule, parse_age, repository_pattern, tag_pattern};
use wharf_server::admin::RetentionSchedule;

use super::{
    Retention,
    keys::{Key, List, Positive, Since, keys},
    section::Section,
};

keys! {
    APPLY: bool = Key::new("retention.apply")
        .default("false")
        .help("Delete what the rules do not keep; otherwise each run says in the log what it would delete")
        .since(Since::Ours);
    SCHEDULE: Positive<Duration> = Key::new("retention.schedule")
        .default("24h")
        .help("Time from the begin of one run to the begin of the next")
        .since(Since::Ours);
    PROTECT: Vec<String> = Key::list("retention.protect")
        .help("Tags that no rule takes, here and in `wharf prune`: names, patterns such as `v*`, or `re:…`")
        .since(Since::Ours);
    MAX_DELETE: String = Key::new("retention.maxdelete")
        .default("50%")
        .help("Part of the tags of a repository that one run takes at most; rules with `keep` take as many as they say")
        .since(Since::Ours);
    RULES: List = Key::sections("retention.rules")
        .help("Rules, of which the first that selects a tag decides about it")
        .since(Since::Ours);
    REPOSITORIES: Vec<String> = Key::list("retention.rules[].repositories")
        .default_in_words("every repository")
        .help("Repositories that the rule is about: names, patterns such as `team/**`, or `re:…`")
        .since(Since::Ours);
    KINDS: Vec<String> = Key::list("retention.rules[].kinds")
        .default_in_words("every kind")
        .help("Kinds of artifacts that it is about: `image`, `cache`, `chart`, `signature`, `other`")
        .since(Since::Ours);
    TAGS: Vec<String> = Key::list("retention.rules[].tags")
        .default_in_words("every tag")
        .help("Tags that it is about: names, patterns such as `*-SNAPSHOT`, or `re:…`")
        .since(Since::Ours);
    NOT_TAGS: Vec<String> = Key::list("retention.rules[].nottags")
        .help("Tags that it is not about")
        .since(Since::Ours);
    KEEP: Option<i64> = Key::new("retention.rules[].keep")
        .help("How many of these tags stay in each repository: those that were pushed last")
        .since(Since::Ours);
    OLDER_THAN: Option<String> = Key::new("retention.rules[].olderthan")
        .help("Age below which these tags stay, by the time of their push, such as `30d`, `2mo`, `1y`")
        .since(Since::Ours);
    NOT_PULLED: Option<String> = Key::new("retention.rules[].notpulled")
        .help("Time since the last pull below which these tags stay, such as `60d`")
        .since(Since::Ours);
    UNTAGGED: Option<String> = Key::new("retention.rules[].untagged")
        .help("Age from which manifests go that no tag reaches; without it they stay")
        .since(Since::Ours);
}

/// Reads `retention`. `counts_pulls`: whether there is an activity log.
pub(super) fn read(root: &Section<'_>, keep_history: Duration, counts_pulls: bool) -> Retention {
    let rules: Vec<RetentionRule> = root
        .elements(RULES)
        .iter()
        .map(|section| rule(section, counts_pulls))
        .collect();
    let schedule = RetentionSchedule {
        interval: root.get(SCHEDULE).0,
        applies: root.get(APPLY),
    };
    if rules.is_empty() && schedule.applies {
        root.warning(APPLY, "has no effect without `retention.rules`");
    }
    Retention {
        schedule: (!rules.is_empty()).then_some(schedule),
        policy: Policy {
            rules,
            protected: patterns(root, PROTECT, tag_pattern),
            most: max_delete(root),
            keep_history,
        },
    }
}

fn rule(section: &Section<'_>, counts_pulls: bool) -> RetentionRule {
    let kinds = section
        .get(KINDS)
        .into_iter()
        .filter_map(|kind| match kind.parse() {
            Ok(kind) => Some(kind),
            Err(error) => {
                wrong(section, KINDS, &error);
                None
            }
        });
    let mut repositories = patterns(section, REPOSITORIES, repository_pattern);
    if !section.has(REPOSITORIES) {
        repositories.push(Pattern::everything());
    }
    let keep = section.get(KEEP).and_then(|keep| {
        let count = usize::try_from(keep).ok();
        if count.is_none() {
            section.problem(KEEP, "must be 0 or more");
        }
        count
    });
    let rule = RetentionRule {
        repositories,
        kinds: kinds.collect(),
        tags: patterns(section, TAGS, tag_pattern),
        not_tags: patterns(section, NOT_TAGS, tag_pattern),
        keep,
        older_than: age(section, OLDER_THAN),
        not_pulled: age(section, NOT_PULLED),
        untagged: age(section, UNTAGGED),
    };
    let says_what_goes = section.has(KEEP)
        || [OLDER_THAN, NOT_PULLED, UNTAGGED]
            .into_iter()
            .any(|key| section.has(key));
    if !says_what_goes {
        section.problem(
            KEEP,
            "is missing, and so are `olderthan`, `notpulled` and `untagged`: one of them says what goes",
        );
    }
    if rule.not_pulled.is_some() && !counts_pulls {
        section.problem(
            NOT_PULLED,
            "needs the activity log, which counts pulls; `activity.disabled` must not be true",
        );
    }
    rule
}

/// How a pattern of one kind of names is read.
type Read = fn(&str) -> Result<Pattern, String>;

fn patterns(section: &Section<'_>, key: Key<Vec<String>>, read: Read) -> Vec<Pattern> {
    let texts = section.get(key);
    if section.has(key) && texts.is_empty() {
        section.problem(key, "is empty; leave it out, or name something");
    }
    let patterns = texts.into_iter().filter_map(|text| match read(&text) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            wrong(section, key, &format!("`{}`: {error}", cut(&text)));
            None
        }
    });
    patterns.collect()
}

fn age(section: &Section<'_>, key: Key<Option<String>>) -> Option<Duration> {
    let text = section.get(key)?;
    match parse_age(&text) {
        Ok(age) => Some(age),
        Err(error) => {
            wrong(section, key, &format!("`{}`: {error}", cut(&text)));
            None
        }
    }
}

fn max_delete(root: &Section<'_>) -> u8 {
    let text = root.get(MAX_DELETE);
    percent(&text).unwrap_or_else(|| {
        root.problem(
            MAX_DELETE,
            &format!("must be a percentage such as `50%`, not `{}`", cut(&text)),
        );
        0
    })
}

/// A percentage, from `0%` to `100%`.
pub(crate) fn percent(text: &str) -> Option<u8> {
    let number = text.trim().strip_suffix('%')?.trim_end();
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse().ok().filter(|percent| digits && *percent <= 100)
}

fn wrong<T>(section: &Section<'_>, key: Key<T>, error: &dyn Display) {
    section.problem(key, &format!("cannot be used: {error}"));
}
