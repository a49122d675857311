//! Removing the manifests of a plan: a few at a time, each only if nothing needs it at that moment.
//!
//! # Why no image loses a manifest
//!
//! The plan was made without a lock. A push that comes since then may tag a manifest of the plan, or list it in an index. So
//! each step looks once more, under a [watch](crate::coordination) over its manifests and all indexes above them:
//!
//! - a push of a manifest of the step, and of an index that lists one, takes the shared lock on it before it looks whether it is
//!   there, and holds that until its pointers are durable; so does a restore from the trash, and the way back of a tag. If it
//!   was granted its lock before the watch began, it has released it when the watch begins, and the look sees what it wrote. If
//!   after, it disturbs the watch, and the step begins anew. If it comes after the exclusive lock of the step was granted, it
//!   finds the manifest gone: a push of that manifest stores it again, one of an index is refused and says what to push first;
//! - what stays then keeps what it lists: steps go from indexes to their children, so a child is looked at when it is known
//!   whether the indexes above it went. Manifests of one step do not name each other.
//!
//! A manifest stays if a tag points at it, or if a manifest that is in the repository lists it, tagged or not: its client may be
//! about to tag that. Only the manifest that the deletion names is held by tagged indexes alone, as in a deletion by the
//! distribution API.
//!
//! Where other replicas write to the store, which take no lock of this process, the step looks again once the links are gone,
//! and writes those again that are needed by now; the push looks again as well, and whichever of the two looks last sees the other
//! ([`again`](crate::again)).
//!
//! The watch sees pushes of this process alone; the number of attempts has a limit, because a client may push the same content
//! all the time: then the manifests stay, which is what that client wants.

use std::collections::{HashMap, HashSet};

use wharf_oci::{Digest, RepoName, referrers_tag};

use super::{Applied, PlannedManifest, Staying, making::Made, words::Stays};
use crate::{
    delete::{ATTEMPTS, refusals::without_list},
    error::Result,
    events::{Caller, EventKind},
    registry::Registry,
    trash::TrashedLink,
    tree::parallel::in_parallel,
};

/// How many manifests go at once. Each step looks at the graph of the repository, and keeps pushes of the same stripes waiting for one
/// removal.
const STEP: usize = 64;

/// The manifests of one step.
struct Step<'a> {
    name: &'a RepoName,
    digests: Vec<Digest>,
    /// The manifest that the deletion names.
    named: Option<&'a Digest>,
}

impl Step<'_> {
    /// The manifest that `digest` is about, if the plan has that as well.
    fn subject(&self, digest: &Digest, made: &Made) -> Option<Digest> {
        let subject = made.subject(digest)?;
        (made.takes(&subject) && self.named != Some(&subject)).then_some(subject)
    }

    /// The manifests that those of the step are about.
    fn subjects(&self, made: &Made) -> Vec<Digest> {
        let subjects = self
            .digests
            .iter()
            .filter_map(|digest| self.subject(digest, made));
        let subjects: HashSet<Digest> = subjects.collect();
        subjects.into_iter().collect()
    }
}

impl Registry {
    /// Removes the manifests of one `wave` of a plan, as far as nothing needs them by now. `named` is the one that the deletion names.
    ///
    /// # Errors
    ///
    /// Errors of the store; [`Error::Busy`](crate::Error::Busy) when other requests keep it waiting for too long.
    pub(super) async fn remove_planned_manifests(
        &self,
        caller: &dyn Caller,
        (made, wave): (&Made, usize),
        named: Option<&Digest>,
        applied: &mut Applied,
    ) -> Result<()> {
        let name = &made.plan.repository;
        let manifests = made.plan.manifests.iter();
        let manifests: Vec<&PlannedManifest> = manifests
            .filter(|manifest| made.order.wave_of(&manifest.digest) == wave)
            .collect();
        let generations = manifests.chunk_by(|one, other| one.generation == other.generation);
        for manifests in generations.flat_map(|generation| generation.chunks(STEP)) {
            let step = Step {
                name,
                digests: manifests.iter().map(|manifest| manifest.digest).collect(),
                named,
            };
            let kept = self.remove_step(&step, made).await?;
            let (stayed, gone): (Vec<Digest>, Vec<Digest>) =
                step.digests.iter().partition(|digest| kept.contains_key(*digest));
            let stayed = stayed
                .into_iter()
                .map(|digest| Staying::manifest(digest, kept[&digest].clone()));
            applied.stayed.extend(stayed);
            applied.manifests.extend(&gone);
            let deleted = || {
                gone.into_iter()
                    .map(|digest| EventKind::ManifestDeleted { digest })
                    .collect()
            };
            self.subscribers.changed(caller, name, deleted).await;
        }
        Ok(())
    }

    /// Removes the manifests of `step`, and returns those that stay, with the reason.
    async fn remove_step(&self, step: &Step<'_>, made: &Made) -> Result<HashMap<Digest, Stays>> {
        let name = step.name;
        for _ in 0..ATTEMPTS {
            let mut watched = step.digests.clone();
            watched.extend(step.subjects(made));
            let (above, watch) = self
                .watch_with(&watched, || self.linked_above(name, &watched))
                .await?;
            let mut kept = self.kept_by_now(step, &above).await?;
            kept.extend(self.about_what_is_needed(step, made).await?);
            let going: Vec<Digest> = step
                .digests
                .iter()
                .filter(|digest| !kept.contains_key(*digest))
                .copied()
                .collect();
            if going.is_empty() {
                return Ok(kept);
            }
            let lock = self.locks.lock_step(&going).await?;
            if watch.is_disturbed() {
                continue;
            }
            let (going, anew) = self.written_anew(step, going, made).await?;
            kept.extend(anew);
            lock.unlink_revisions(name, &going).await?;
            if self.must_look_again() {
                let again = Step {
                    digests: going,
                    ..*step
                };
                let above = self.linked_above(name, &again.digests).await?;
                let needed = self.kept_by_now(&again, &above).await?;
                let links = needed.keys().map(|digest| TrashedLink {
                    digest: *digest,
                    since: made.since(digest),
                });
                let links: Vec<TrashedLink> = links.collect();
                lock.restore_revisions(name, &links).await?;
                kept.extend(needed);
            }
            return Ok(kept);
        }
        let digests = step.digests.iter();
        Ok(digests.map(|digest| (*digest, Stays::Disturbed)).collect())
    }

    /// The referrers of `step` whose subjects a tag or an index needs by now: what is about an image stays with it.
    async fn about_what_is_needed(&self, step: &Step<'_>, made: &Made) -> Result<HashMap<Digest, Stays>> {
        let subjects = Step {
            digests: step.subjects(made),
            ..*step
        };
        if subjects.digests.is_empty() {
            return Ok(HashMap::new());
        }
        let above = self.linked_above(step.name, &subjects.digests).await?;
        let needed = self.kept_by_now(&subjects, &above).await?;
        let about = step.digests.iter().filter(|digest| {
            let subject = step.subject(digest, made);
            subject.is_some_and(|subject| needed.contains_key(&subject))
        });
        Ok(about.map(|digest| (*digest, Stays::SubjectNeeded)).collect())
    }

    /// Takes from `going`, which is locked, the manifests that were pushed since the plan was made, apart from the one that the deletion
    /// names: a client was told that they are there. Returns the rest, and these.
    async fn written_anew(
        &self,
        step: &Step<'_>,
        going: Vec<Digest>,
        made: &Made,
    ) -> Result<(Vec<Digest>, HashMap<Digest, Stays>)> {
        let since = going.iter().map(|digest| self.linked_since(step.name, digest));
        let since = in_parallel(since).await?;
        let mut anew = HashMap::new();
        for (digest, since) in going.iter().zip(since) {
            let is_named = step.named == Some(digest);
            if !is_named && since.is_some_and(|since| since != made.since(digest)) {
                anew.insert(*digest, Stays::PushedAgain);
            }
        }
        let rest = going.into_iter().filter(|digest| !anew.contains_key(digest));
        Ok((rest.collect(), anew))
    }

    /// The indexes of `name` above `digests`.
    async fn linked_above(&self, name: &RepoName, digests: &[Digest]) -> Result<Vec<Digest>> {
        let graph = self.tree.graphs.of(name, &self.tree.manifests).await?;
        self.ancestors(name, digests, &graph).await
    }

    /// The manifests of `step` that something needs at this moment, with the reason. `above` has the indexes above them.
    async fn kept_by_now(&self, step: &Step<'_>, above: &[Digest]) -> Result<HashMap<Digest, Stays>> {
        let name = step.name;
        let graph = self.tree.graphs.of(name, &self.tree.manifests).await?;
        let tagged = self.tags_of(name, &step.digests).await?;
        let above: HashSet<Digest> = above.iter().copied().collect();
        let mut kept = HashMap::new();
        for digest in &step.digests {
            if tagged.get(digest).is_some_and(|tags| !tags.is_empty()) {
                kept.insert(*digest, Stays::TaggedByNow);
                continue;
            }
            let is_needed = if step.named == Some(digest) {
                let above: Vec<Digest> = above.iter().copied().collect();
                let subject = self.subject_of(digest).await?;
                let tags = without_list(self.tags_of(name, &above).await?, subject.as_ref());
                tags.values().any(|tags| !tags.is_empty())
            } else {
                let parents = graph.parents(digest).into_iter();
                let mut parents = parents.filter(|parent| above.contains(parent));
                self.any_needs(name, digest, &mut parents).await?
            };
            if is_needed {
                kept.insert(*digest, Stays::ListedByNow);
            }
        }
        Ok(kept)
    }

    /// Whether one of `parents`, which list `digest`, needs it. A list of the referrers of its subject needs it only as long as it is
    /// there.
    async fn any_needs(
        &self,
        name: &RepoName,
        digest: &Digest,
        parents: &mut (dyn Iterator<Item = Digest> + Send),
    ) -> Result<bool> {
        let mut parents = parents.peekable();
        if parents.peek().is_none() {
            return Ok(false);
        }
        let Some(subject) = self.subject_of(digest).await? else {
            return Ok(true);
        };
        for parent in parents {
            if !self.is_list_of(name, &parent, &subject).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the index `parent` lists nothing but referrers of `subject`, and has no tag but the one for such a list.
    async fn is_list_of(&self, name: &RepoName, parent: &Digest, subject: &Digest) -> Result<bool> {
        let Some(facts) = self.tree.manifests.facts(parent).await? else {
            return Ok(false);
        };
        if facts.subject.is_some() {
            return Ok(false);
        }
        for child in &facts.children {
            let facts = self.tree.manifests.facts(child).await?;
            if facts.is_some_and(|facts| facts.subject.as_ref() != Some(subject)) {
                return Ok(false);
            }
        }
        let own = referrers_tag(subject);
        let tags = self.tags_of(name, std::slice::from_ref(parent)).await?;
        let mut tags = tags.values().flatten();
        Ok(tags.all(|pointer| pointer.tag == own))
    }
}
