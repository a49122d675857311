//! The decision about the tags of one repository. It reads nothing: the same tags, rules and time give the same answer.

use std::{cmp::Reverse, collections::HashMap, time::SystemTime};

use wharf_message::Sentence;
use wharf_oci::{ArtifactKind, Digest, RepoName, Tag};

use super::{
    LastPulls, Policy, RetentionRule, Verdict, matching,
    words::{Rank, Reason, RetentionRefusal},
};

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
    pub(crate) refused: Option<Sentence>,
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
            (Some(pattern), _) => {
                let pattern = pattern.to_string();
                (false, Reason::Protected { pattern }.into())
            }
            (None, None) => (false, Reason::NoRule.into()),
            (None, Some((index, rule))) => {
                let place = seen.entry(index).or_default();
                let judged = judge(rule, *place, &candidate, (pulled, pulls), now);
                *place += 1;
                match judged {
                    Ok(why) => (false, why.into()),
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
) -> Result<Reason, Sentence> {
    // A time in the future is that of another clock.
    let since = |then: SystemTime| now.duration_since(then).unwrap_or_default();
    let mut reasons = Sentence::default();
    if let Some(keep) = rule.keep {
        let is_kept = place < keep;
        let place = Rank::at(place);
        match is_kept {
            true => return Ok(Reason::NewEnough { place, keep }),
            false => reasons = reasons.and(Reason::NewerOnes { place, keep }),
        }
    }
    if let Some(limit) = rule.older_than {
        let is_young = since(candidate.pushed) < limit;
        let (age, limit) = (since(candidate.pushed).into(), limit.into());
        match is_young {
            true => return Ok(Reason::Young { age, limit }),
            false => reasons = reasons.and(Reason::Old { age, limit }),
        }
    }
    if let Some(limit) = rule.not_pulled {
        let Some(pulls) = pulls else {
            return Ok(Reason::NoPulls);
        };
        // What was pulled before pulls were counted is not known.
        let pushed = candidate.pushed;
        let (last, then) = match pulled {
            Some(pulled) if pulled >= pushed => (LastUse::Pull, pulled),
            _ if pushed >= pulls.since => (LastUse::Push, pushed),
            _ => (LastUse::Unknown, pulls.since),
        };
        let is_young = since(then) < limit;
        let (age, limit) = (since(then).into(), limit.into());
        let reason = match (last, is_young) {
            (LastUse::Pull, true) => Reason::Pulled { age, limit },
            (LastUse::Pull, false) => Reason::PulledLongAgo { age, limit },
            (LastUse::Push, true) => Reason::Unpulled { age, limit },
            (LastUse::Push, false) => Reason::UnpulledLong { age, limit },
            (LastUse::Unknown, true) => Reason::Uncounted { age, limit },
            (LastUse::Unknown, false) => Reason::UncountedLong { age, limit },
        };
        match is_young {
            true => return Ok(reason),
            false => reasons = reasons.and(reason),
        }
    }
    Err(reasons)
}

/// The last time that an image is known to have been used.
#[derive(Debug, Clone, Copy)]
enum LastUse {
    /// It was pulled.
    Pull,
    /// It was pushed, and not pulled since.
    Push,
    /// It was pushed before pulls were counted, and not pulled since they are.
    Unknown,
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
    verdict.why = Reason::Last.into();
}

/// Why so many tags may not go in one run. Rules that say how many stay take as many as they say.
fn refusal(policy: &Policy, total: usize, taken: &[Taken<'_>]) -> Option<Sentence> {
    let is_counted = |taken: &Taken<'_>| taken.rule.keep.is_none_or(|keep| keep == 0);
    let counted = taken.iter().filter(|taken| is_counted(taken)).count();
    (counted * 100 > total * usize::from(policy.most)).then(|| {
        let most = policy.most;
        let going = counted;
        RetentionRefusal::TooMany { going, total, most }.into()
    })
}

#[cfg(test)]
mod tests;
