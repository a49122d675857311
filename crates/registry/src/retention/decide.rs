//! The decision about the tags of one repository. It reads nothing: the same tags, rules and time give the same answer.

use std::{
    cmp::Reverse,
    collections::HashMap,
    time::{Duration, SystemTime},
};

use wharf_oci::{ArtifactKind, Digest, RepoName, Tag};

use super::{LastPulls, Policy, RetentionRule, Verdict, matching, words};

/// A tag about which is to be decided.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) tag: Tag,
    pub(crate) digest: Digest,
    pub(crate) kind: ArtifactKind,
    /// Whether clients made it of the digest of another manifest, which the repository need not have.
    pub(crate) is_of_digest: bool,
    /// The children of an index: a pull of one is a pull of the image.
    pub(crate) below: Vec<Digest>,
    pub(crate) pushed: SystemTime,
}

/// The decision.
#[derive(Debug, Default)]
pub(crate) struct Decided {
    /// One for each tag, the one that was pushed last first.
    pub(crate) verdicts: Vec<Verdict>,
    /// Why none may go all the same: too many would.
    pub(crate) refused: Option<String>,
}

/// A tag that a rule takes, by its place among the verdicts.
struct Taken<'a> {
    place: usize,
    rule: &'a RetentionRule,
}

/// Decides about the `candidates` of the repository `name`.
pub(crate) fn decide(
    policy: &Policy,
    name: &RepoName,
    mut candidates: Vec<Candidate>,
    pulls: Option<&LastPulls>,
    now: SystemTime,
) -> Decided {
    // Of tags that were pushed at one moment, any order will do that is always the same.
    candidates.sort_unstable_by(|one, other| {
        let key = |candidate: &Candidate| (Reverse(candidate.pushed), Reverse(candidate.tag.clone()));
        key(one).cmp(&key(other))
    });
    let rules: Vec<&RetentionRule> = policy.rules_of(name).collect();
    let mut seen: HashMap<usize, usize> = HashMap::new();
    let (mut verdicts, mut taken) = (Vec::new(), Vec::new());
    for candidate in candidates {
        let pulled = pulls.and_then(|pulls| pulls.of(&candidate));
        let rule = rules
            .iter()
            .enumerate()
            .find(|(_, rule)| rule.selects(&candidate));
        let (goes, why) = match (matching(&policy.protected, &candidate.tag), rule) {
            (Some(pattern), _) => (false, format!("protected by `{pattern}`")),
            (None, None) => (false, "no rule is about it".to_owned()),
            (None, Some((index, rule))) => {
                let place = seen.entry(index).or_default();
                let judged = judge(rule, *place, &candidate, (pulled, pulls), now);
                *place += 1;
                match judged {
                    Ok(why) => (false, why),
                    Err(why) => {
                        taken.push(Taken {
                            place: verdicts.len(),
                            rule,
                        });
                        (true, why)
                    }
                }
            }
        };
        verdicts.push(Verdict {
            tag: candidate.tag,
            digest: candidate.digest,
            kind: candidate.kind,
            pushed: candidate.pushed,
            pulled,
            goes,
            why,
        });
    }
    keep_the_last(&mut verdicts, &mut taken);
    let refused = refusal(policy, verdicts.len(), &taken);
    Decided { verdicts, refused }
}

/// Why `rule` keeps a tag that is at `place` among those that it is about; `Err`: why it goes.
fn judge(
    rule: &RetentionRule,
    place: usize,
    candidate: &Candidate,
    (pulled, pulls): (Option<SystemTime>, Option<&LastPulls>),
    now: SystemTime,
) -> Result<String, String> {
    // A time in the future is that of another clock.
    let since = |then: SystemTime| now.duration_since(then).unwrap_or_default();
    let mut reasons = Vec::new();
    if let Some(keep) = rule.keep {
        let rank = words::rank(place);
        match place < keep {
            true => return Ok(format!("{rank} of {keep} that stay")),
            false => reasons.push(format!("{rank}, and {keep} stay")),
        }
    }
    if let Some(limit) = rule.older_than {
        let text = ago("pushed", since(candidate.pushed), limit);
        match since(candidate.pushed) < limit {
            true => return Ok(text),
            false => reasons.push(text),
        }
    }
    if let Some(limit) = rule.not_pulled {
        let Some(pulls) = pulls else {
            return Ok("pulls are not counted".to_owned());
        };
        // What was pulled before pulls were counted is not known.
        let pushed = candidate.pushed;
        let (what, then) = match pulled {
            Some(pulled) if pulled >= pushed => ("pulled", pulled),
            _ if pushed >= pulls.since => ("not pulled since it was pushed", pushed),
            _ => ("not pulled since counting began", pulls.since),
        };
        let text = ago(what, since(then), limit);
        match since(then) < limit {
            true => return Ok(text),
            false => reasons.push(text),
        }
    }
    Err(reasons.join("; "))
}

fn ago(what: &str, age: Duration, limit: Duration) -> String {
    let compared = match age < limit {
        true => "less than",
        false => "at least",
    };
    format!(
        "{what} {} ago, {compared} {}",
        words::span(age),
        words::span(limit)
    )
}

/// If no tag would stay, the newest stays of those whose rules do not say that none need be kept.
fn keep_the_last(verdicts: &mut [Verdict], taken: &mut Vec<Taken<'_>>) {
    if verdicts.iter().any(|verdict| !verdict.goes) {
        return;
    }
    let last = taken.iter().position(|taken| taken.rule.keep != Some(0));
    let Some(last) = last else { return };
    let verdict = &mut verdicts[taken.remove(last).place];
    verdict.goes = false;
    "the last tag of the repository, which goes only by `keep: 0`".clone_into(&mut verdict.why);
}

/// Why so many tags may not go in one run. Rules that say how many stay take as many as they say.
fn refusal(policy: &Policy, total: usize, taken: &[Taken<'_>]) -> Option<String> {
    let is_counted = |taken: &Taken<'_>| taken.rule.keep.is_none_or(|keep| keep == 0);
    let counted = taken.iter().filter(|taken| is_counted(taken)).count();
    (counted * 100 > total * usize::from(policy.most)).then(|| {
        format!(
            "{counted} of {total} tags would go, and one run takes {} % of the tags of a repository at most (`retention.maxdelete`)",
            policy.most
        )
    })
}

#[cfg(test)]
mod tests;
