//! Tests of the decision.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use wharf_oci::{ArtifactKind, Digest};
use wharf_pattern::Pattern;

use super::{super::DEFAULT_MOST, *};

const DAY: Duration = Duration::from_secs(86_400);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + 20_000 * DAY
}

/// Tags that were pushed so many days ago.
fn tags(tags: &[(&str, u32)]) -> Vec<Candidate> {
    let candidate = |(tag, days): &(&str, u32)| Candidate {
        tag: tag.parse().unwrap(),
        digest: Digest::sha256_of(tag.as_bytes()),
        kind: ArtifactKind::Image,
        is_of_digest: false,
        below: Vec::new(),
        pushed: now() - *days * DAY,
    };
    tags.iter().map(candidate).collect()
}

fn rule() -> RetentionRule {
    RetentionRule {
        repositories: vec![Pattern::everything()],
        ..RetentionRule::default()
    }
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts
        .iter()
        .map(|text| Pattern::parse_or_regex(text).unwrap())
        .collect()
}

fn policy(rules: Vec<RetentionRule>) -> Policy {
    Policy {
        rules,
        protected: Vec::new(),
        most: 100,
        keep_history: Duration::ZERO,
    }
}

fn decided(policy: &Policy, candidates: Vec<Candidate>) -> Decided {
    decide(policy, &"team/app".parse().unwrap(), candidates, None, now())
}

fn going(decided: &Decided) -> Vec<&str> {
    let going = decided.verdicts.iter().filter(|verdict| verdict.goes);
    going.map(|verdict| verdict.tag.as_str()).collect()
}

fn why<'a>(decided: &'a Decided, tag: &str) -> &'a str {
    &decided
        .verdicts
        .iter()
        .find(|verdict| verdict.tag.as_str() == tag)
        .unwrap()
        .why
}

#[test]
fn the_newest_by_push_time_stay() {
    let policy = policy(vec![RetentionRule {
        keep: Some(2),
        ..rule()
    }]);
    let decided = decided(&policy, tags(&[("c", 3), ("a", 1), ("d", 9), ("b", 2)]));
    assert_eq!(going(&decided), ["c", "d"]);
    assert_eq!(why(&decided, "a"), "newest of 2 that stay");
    assert_eq!(why(&decided, "d"), "4th newest, and 2 stay");
}

#[test]
fn a_tag_that_is_younger_stays_and_counts_among_the_newest() {
    let policy = policy(vec![RetentionRule {
        keep: Some(1),
        older_than: Some(5 * DAY),
        ..rule()
    }]);
    let decided = decided(&policy, tags(&[("a", 1), ("b", 4), ("c", 5), ("d", 60)]));
    assert_eq!(going(&decided), ["c", "d"]);
    assert_eq!(why(&decided, "b"), "pushed 4 days ago, less than 5 days");
    assert_eq!(
        why(&decided, "d"),
        "4th newest, and 1 stay; pushed 60 days ago, at least 5 days"
    );
}

#[test]
fn a_time_in_the_future_is_as_young_as_can_be() {
    let policy = policy(vec![RetentionRule {
        older_than: Some(DAY),
        ..rule()
    }]);
    let mut candidates = tags(&[("a", 2), ("b", 3)]);
    candidates[0].pushed = now() + 100 * DAY;
    assert_eq!(going(&decided(&policy, candidates)), ["b"]);
}

#[test]
fn the_first_rule_that_selects_a_tag_decides() {
    let snapshots = RetentionRule {
        tags: patterns(&["re:.*-SNAPSHOT"]),
        keep: Some(0),
        ..rule()
    };
    let others = RetentionRule {
        not_tags: patterns(&["v*"]),
        keep: Some(1),
        ..rule()
    };
    let policy = policy(vec![snapshots, others]);
    let decided = decided(
        &policy,
        tags(&[
            ("v1", 90),
            ("main", 2),
            ("old", 3),
            ("1-SNAPSHOT", 1),
            ("1-SNAPSHOTS", 4),
        ]),
    );
    assert_eq!(going(&decided), ["1-SNAPSHOT", "old", "1-SNAPSHOTS"]);
    assert_eq!(why(&decided, "v1"), "no rule is about it");
}

#[test]
fn a_rule_about_untagged_manifests_alone_decides_about_no_tag() {
    let untagged = RetentionRule {
        untagged: Some(DAY),
        ..rule()
    };
    let policy = policy(vec![
        untagged,
        RetentionRule {
            keep: Some(1),
            ..rule()
        },
    ]);
    assert_eq!(going(&decided(&policy, tags(&[("a", 1), ("b", 2)]))), ["b"]);
    assert_eq!(policy.untagged(&"x".parse().unwrap()), Some(DAY));
}

#[test]
fn rules_select_by_kind() {
    let caches = RetentionRule {
        kinds: vec![ArtifactKind::Cache],
        keep: Some(0),
        ..rule()
    };
    let mut candidates = tags(&[("app", 5), ("cache", 1)]);
    candidates[1].kind = ArtifactKind::Cache;
    assert_eq!(going(&decided(&policy(vec![caches]), candidates)), ["cache"]);
}

#[test]
fn tags_that_are_made_of_digests_are_for_rules_about_signatures() {
    let mut candidates = tags(&[("app", 5), ("sha256-signature", 1)]);
    candidates[1].is_of_digest = true;
    let all = decided(
        &policy(vec![RetentionRule {
            keep: Some(1),
            ..rule()
        }]),
        candidates.clone(),
    );
    assert_eq!(going(&all), [""; 0], "it takes no place among those that stay");
    assert_eq!(why(&all, "app"), "newest of 1 that stay");
    let signatures = RetentionRule {
        kinds: vec![ArtifactKind::Signature],
        keep: Some(0),
        ..rule()
    };
    assert_eq!(
        going(&decided(&policy(vec![signatures]), candidates)),
        ["sha256-signature"]
    );
}

#[test]
fn a_pull_of_a_child_is_a_pull_of_its_index() {
    let child = Digest::sha256_of(b"child");
    let mut candidates = tags(&[("multi", 100), ("other", 100)]);
    candidates[0].below = vec![child];
    let pulls = LastPulls {
        since: now() - 365 * DAY,
        tags: [].into(),
        digests: [(child, now() - DAY)].into(),
    };
    let unused = policy(vec![RetentionRule {
        not_pulled: Some(30 * DAY),
        ..rule()
    }]);
    let decided = decide(&unused, &"app".parse().unwrap(), candidates, Some(&pulls), now());
    assert_eq!(going(&decided), ["other"]);
}

#[test]
fn a_rule_with_a_number_does_not_count_for_the_limit_of_another() {
    let caches = RetentionRule {
        kinds: vec![ArtifactKind::Cache],
        older_than: Some(DAY),
        ..rule()
    };
    let images = RetentionRule {
        keep: Some(1),
        ..rule()
    };
    let mut candidates = tags(&[("a", 1), ("b", 2), ("c", 3), ("d", 4), ("cache", 9)]);
    candidates[4].kind = ArtifactKind::Cache;
    let decided = decided(
        &Policy {
            most: 50,
            ..policy(vec![caches, images])
        },
        candidates,
    );
    assert_eq!((going(&decided).len(), decided.refused.as_deref()), (4, None));
}

#[test]
fn protected_tags_stay_and_do_not_count() {
    let policy = Policy {
        protected: patterns(&["latest", "v*"]),
        ..policy(vec![RetentionRule {
            keep: Some(1),
            ..rule()
        }])
    };
    let decided = decided(&policy, tags(&[("latest", 1), ("v1", 2), ("a", 3), ("b", 4)]));
    assert_eq!(going(&decided), ["b"]);
    assert_eq!(why(&decided, "v1"), "protected by `v*`");
}

#[test]
fn the_last_tag_goes_only_where_the_rule_keeps_none() {
    let aged = policy(vec![RetentionRule {
        older_than: Some(DAY),
        ..rule()
    }]);
    let candidates = tags(&[("a", 50), ("b", 60)]);
    let kept = decided(&aged, candidates.clone());
    assert_eq!(going(&kept), ["b"]);
    assert_eq!(
        why(&kept, "a"),
        "the last tag of the repository, which goes only by `keep: 0`"
    );
    let all = policy(vec![RetentionRule {
        keep: Some(0),
        older_than: Some(DAY),
        ..rule()
    }]);
    assert_eq!(going(&decided(&all, candidates)), ["a", "b"]);
}

#[test]
fn one_run_takes_half_at_most_unless_the_rule_says_how_many_stay() {
    let half = |rules| Policy {
        most: DEFAULT_MOST,
        ..policy(rules)
    };
    let old = tags(&[("a", 1), ("b", 50), ("c", 60)]);
    let refused = decided(
        &half(vec![RetentionRule {
            older_than: Some(DAY * 2),
            ..rule()
        }]),
        old.clone(),
    );
    let why = refused.refused.unwrap();
    assert!(why.starts_with("2 of 3 tags would go"), "{why}");
    let counted = decided(
        &half(vec![RetentionRule {
            keep: Some(1),
            ..rule()
        }]),
        old.clone(),
    );
    assert_eq!((going(&counted).len(), &counted.refused), (2, &None));
    let none = decided(
        &half(vec![RetentionRule {
            keep: Some(0),
            ..rule()
        }]),
        old,
    );
    assert!(none.refused.is_some());
    let exactly_half = tags(&[("a", 1), ("b", 50)]);
    let allowed = decided(
        &half(vec![RetentionRule {
            older_than: Some(DAY * 2),
            ..rule()
        }]),
        exactly_half,
    );
    assert_eq!((going(&allowed), allowed.refused.as_deref()), (vec!["b"], None));
}

#[test]
fn what_was_pulled_lately_stays() {
    let policy = policy(vec![RetentionRule {
        not_pulled: Some(30 * DAY),
        ..rule()
    }]);
    let candidates = tags(&[
        ("by-tag", 100),
        ("by-digest", 100),
        ("never", 100),
        ("new", 3),
        ("long-ago", 200),
    ]);
    let pulls = LastPulls {
        since: now() - 365 * DAY,
        tags: [("by-tag", 2), ("long-ago", 31)]
            .map(|(tag, days): (&str, u32)| (tag.parse().unwrap(), now() - days * DAY))
            .into(),
        digests: [(Digest::sha256_of(b"by-digest"), now() - 29 * DAY)].into(),
    };
    let name = "team/app".parse().unwrap();
    let decided = decide(&policy, &name, candidates.clone(), Some(&pulls), now());
    assert_eq!(going(&decided), ["never", "long-ago"]);
    assert_eq!(why(&decided, "by-tag"), "pulled 2 days ago, less than 30 days");
    assert_eq!(
        why(&decided, "new"),
        "not pulled since it was pushed 3 days ago, less than 30 days"
    );
    // Where counting began lately, it is not known that a tag was not pulled.
    let young = LastPulls {
        since: now() - DAY,
        ..pulls
    };
    let decided = decide(&policy, &name, candidates.clone(), Some(&young), now());
    assert_eq!(going(&decided), ["long-ago"]);
    assert_eq!(
        why(&decided, "never"),
        "not pulled since counting began 24 hours ago, less than 30 days"
    );
    // Without counts nothing is known.
    assert_eq!(going(&decide(&policy, &name, candidates, None, now())), [""; 0]);
}

proptest! {
    /// Whatever the rules: `keep` of them stay, and they are the newest; protected tags stay; and one stays unless a rule keeps none.
    #[test]
    fn promises_hold_for_any_tags(days in prop::collection::vec(0_u32..400, 1..40), keep in prop::option::of(0_usize..6), older in prop::option::of(0_u32..400)) {
        let names: Vec<String> = (0..days.len()).map(|index| format!("t{index}")).collect();
        let all: Vec<(&str, u32)> = names.iter().map(String::as_str).zip(days.iter().copied()).collect();
        let rule = RetentionRule { keep, older_than: older.map(|days| days * DAY), ..rule() };
        let takes = rule.takes_tags();
        let policy = Policy { protected: patterns(&["t3"]), ..policy(vec![rule]) };
        let decided = decided(&policy, tags(&all));
        let stays = decided.verdicts.iter().filter(|verdict| !verdict.goes).count();
        prop_assert_eq!(decided.verdicts.len(), days.len());
        prop_assert!(takes || stays == days.len());
        prop_assert!(stays >= keep.unwrap_or(0).min(days.len()));
        prop_assert!(keep == Some(0) || stays > 0);
        prop_assert!(!going(&decided).contains(&"t3"));
        let newest_that_goes = decided.verdicts.iter().position(|verdict| verdict.goes).unwrap_or(days.len());
        let counted = decided.verdicts[..newest_that_goes].iter().filter(|verdict| verdict.tag.as_str() != "t3").count();
        prop_assert!(counted >= keep.unwrap_or(0).min(days.len() - usize::from(days.len() > 3)));
    }
}
