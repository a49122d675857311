//! What retention takes of a repository: its tags by the rules, its untagged manifests by their age, and old entries of histories.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, SystemTime},
};

use wharf_oci::{ArtifactKind, Digest, RepoName, Tag};

use super::{
    content::{Content, Past, TagObject, each_history, each_tag_object},
    selection::{Needs, subject_of},
    words::Stays,
};
use crate::{
    error::Result,
    registry::Registry,
    retention::{Candidate, Decided, LastPulls, Policy, decide},
    tag_rights::TagRights,
    trash::TrashedEntry,
};

/// How old untagged manifests and entries of histories must be to go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ages {
    /// Since when a manifest must have been in the repository.
    pub(super) manifests: Duration,
    /// Since when a tag must have left a manifest, for the entry and for what it keeps.
    pub(super) history: Duration,
}

impl Ages {
    pub(super) fn is_young(since: SystemTime, now: SystemTime, age: Duration) -> bool {
        // A time in the future is that of another clock.
        now.duration_since(since).map_or(true, |is| is < age)
    }
}

/// An entry that goes from the history of a tag that stays.
#[derive(Debug, Clone)]
pub(super) struct PlannedEntry {
    pub(super) entry: TrashedEntry,
    /// Whether it goes for itself: it is too old, or leads nowhere. Otherwise it goes after its manifest.
    pub(super) is_expired: bool,
}

impl Registry {
    /// What `policy` decides about the tags of `name`.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(super) async fn decide_tags(
        &self,
        name: &RepoName,
        (content, needs): (&Content, &Needs<'_>),
        (policy, pulls): (&Policy, Option<&LastPulls>),
        now: SystemTime,
    ) -> Result<Decided> {
        let mut pushed: HashMap<Tag, SystemTime> = HashMap::new();
        each_tag_object(&*self.storage, name, |tag, object, since| {
            if matches!(object, TagObject::Current) {
                pushed.insert(tag.clone(), since);
            }
        })
        .await?;
        let ordinary = content.tags.iter().filter(|(tag, _)| !needs.is_dependent(tag));
        let candidates = ordinary.map(|(tag, digest)| Candidate {
            tag: tag.clone(),
            digest: *digest,
            kind: kind_of(content, digest),
            is_of_digest: subject_of(tag).is_some_and(|subject| subject != *digest),
            below: content
                .facts(digest)
                .map_or_else(Vec::new, |facts| facts.children.to_vec()),
            // One that came while the repository was read is as young as can be.
            pushed: pushed.get(tag).copied().unwrap_or(now),
        });
        Ok(decide(policy, name, candidates.collect(), pulls, now))
    }

    /// The manifests that are too young to go, or that a tag pointed at not long ago, each with its reason, when all entries of tags but
    /// those of `leaving` count.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(super) async fn young_manifests(
        &self,
        name: &RepoName,
        content: &Content,
        (ages, now): (Ages, SystemTime),
        leaving: &HashSet<Tag>,
        rights: &dyn TagRights,
    ) -> Result<HashMap<Digest, Stays>> {
        let mut young: HashMap<Digest, Stays> = HashMap::new();
        each_history(&*self.storage, name, |tag, history| {
            if leaving.contains(tag) {
                return;
            }
            // What a tag that the caller may not delete pointed at stays, as the tag itself does.
            let is_kept =
                |past: &Past| !rights.may_delete(tag) || Ages::is_young(past.left, now, ages.history);
            for past in history
                .iter()
                .filter(|past| content.is_linked(&past.digest) && is_kept(past))
            {
                young.insert(past.digest, Stays::InHistory);
            }
        })
        .await?;
        for digest in &content.survey.revisions {
            if Ages::is_young(content.since(digest), now, ages.manifests) {
                young.insert(*digest, Stays::Young);
            }
        }
        Ok(young)
    }
}

/// What the manifest `digest` is to its users: of an index, what its children are.
fn kind_of(content: &Content, digest: &Digest) -> ArtifactKind {
    let Some(facts) = content.facts(digest) else {
        return ArtifactKind::Other;
    };
    let children = facts.children.iter();
    facts.kind_among(children.filter_map(|child| Some(content.facts(child)?.kind)))
}
