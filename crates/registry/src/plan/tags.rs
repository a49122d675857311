//! Removing the tags of a plan, and the entries of other tags' histories that lead to manifests that went.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, SystemTime},
};

use wharf_oci::{Digest, RepoName, Tag};
use wharf_storage::{Version, layout};

use super::{Applied, PlannedTag, Staying, making::Made, order::Order, retained::PlannedEntry, words::Stays};
use crate::{
    error::{Error, Result},
    events::{Caller, EventKind},
    registry::Registry,
    retention::Verdict,
    trash::TrashedEntry,
    tree::{parallel::in_parallel, tags::Pointer},
};

/// How many tags are locked at once.
const STEP: usize = 64;

/// A tag that points at what the plan says, and the version of its link.
pub(super) struct SeenTag {
    pub(super) tag: Tag,
    pub(super) digest: Digest,
    version: Option<Version>,
}

impl SeenTag {
    /// The wave of a plan in which the tag goes.
    pub(super) fn wave(&self, order: &Order) -> usize {
        order.wave_of_tag(&self.tag)
    }
}

/// Those of the tags `due` that go now. A tag that goes with the manifest that it is about goes if that went, and stays with it
/// otherwise.
pub(super) fn with_their_subjects(due: Vec<SeenTag>, order: &Order, applied: &mut Applied) -> Vec<SeenTag> {
    let went: HashSet<&Digest> = applied.manifests.iter().collect();
    let (going, staying): (Vec<SeenTag>, Vec<SeenTag>) = due.into_iter().partition(|seen| {
        let subject = order.subject_of(&seen.tag);
        subject.is_none_or(|subject| went.contains(subject))
    });
    let staying = staying
        .into_iter()
        .map(|seen| Staying::tag(seen.tag, Stays::SubjectNeeded));
    applied.stayed.extend(staying);
    going
}

impl Registry {
    /// Those of the `planned` tags that still point at what the plan says. What is recorded of a tag is read after this, and what
    /// has changed since is not removed.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(super) async fn see_tags(
        &self,
        name: &RepoName,
        (planned, verdicts): (&[PlannedTag], &[Verdict]),
        applied: &mut Applied,
    ) -> Result<Vec<SeenTag>> {
        let decided: HashMap<&Tag, SystemTime> = verdicts
            .iter()
            .map(|verdict| (&verdict.tag, verdict.pushed))
            .collect();
        let links = planned.iter().map(|planned| async {
            let link = layout::tag_link(name, &planned.tag);
            let found = self.tree.links.look_up(&link).await?;
            // Where the time of its push decided, one that was pushed since then stays, also with the same manifest.
            let is_newer = match decided.get(&planned.tag) {
                Some(pushed) if found.is_some() => {
                    let since = self.tree.links.since(&link).await?;
                    since.is_none_or(|since| is_newer(since, *pushed))
                }
                _ => false,
            };
            Ok::<_, Error>((found, is_newer))
        });
        let mut seen = Vec::new();
        for (planned, (found, is_newer)) in planned.iter().zip(in_parallel(links).await?) {
            match found {
                Some((digest, version)) if digest == planned.digest && !is_newer => seen.push(SeenTag {
                    tag: planned.tag.clone(),
                    digest,
                    version,
                }),
                Some(_) => applied
                    .stayed
                    .push(Staying::tag(planned.tag.clone(), Stays::PushedAgain)),
                // Another request has deleted it.
                None => {}
            }
        }
        Ok(seen)
    }

    /// Removes tags that have not changed since they were `seen`, under their locks. A tag that was pushed meanwhile stays, also
    /// when it was pushed with the same manifest: then the client that pushed it was told, after the plan was made, that it is
    /// there.
    ///
    /// Where the store cannot tell versions, a tag that still points at its manifest counts as unchanged.
    ///
    /// # Errors
    ///
    /// Errors of the store; [`Error::Busy`] when other requests keep it waiting for too long.
    pub(super) async fn remove_planned_tags(
        &self,
        caller: &dyn Caller,
        name: &RepoName,
        seen: Vec<SeenTag>,
        applied: &mut Applied,
    ) -> Result<()> {
        for step in seen.chunks(STEP) {
            let names = step.iter().map(|seen| seen.tag.clone()).collect();
            let lock = self.locks.lock_tags(name, names).await?;
            let current = in_parallel(step.iter().map(|seen| async {
                let link = layout::tag_link(name, &seen.tag);
                Ok::<_, Error>(self.tree.links.look_up(&link).await?)
            }));
            let mut pointers = Vec::new();
            for (seen, current) in step.iter().zip(current.await?) {
                let Some((digest, version)) = current else {
                    continue;
                };
                let is_same = match (&seen.version, &version) {
                    (Some(before), Some(now)) => before == now,
                    _ => digest == seen.digest,
                };
                let tag = seen.tag.clone();
                match is_same {
                    true => pointers.push(Pointer { tag, version }),
                    false => applied.stayed.push(Staying::tag(tag, Stays::PushedAgain)),
                }
            }
            let went = lock.remove_unchanged(&pointers).await?;
            drop(lock);
            let (mut gone, mut stayed) = (Vec::new(), Vec::new());
            for (pointer, went) in pointers.into_iter().zip(went) {
                match went {
                    true => gone.push(pointer.tag),
                    false => stayed.push(Staying::tag(pointer.tag, Stays::PushedAgain)),
                }
            }
            applied.tags.extend(gone.iter().cloned());
            applied.stayed.extend(stayed);
            let deleted = || {
                gone.into_iter()
                    .map(|tag| EventKind::TagDeleted { tag })
                    .collect()
            };
            self.subscribers.changed(caller, name, deleted).await;
        }
        Ok(())
    }

    /// Removes the directories of tags that point nowhere, which crashes of other registries leave behind.
    ///
    /// # Errors
    ///
    /// As [`remove_planned_tags`](Self::remove_planned_tags).
    pub(super) async fn remove_broken_tags(&self, made: &Made) -> Result<()> {
        let name = &made.plan.repository;
        for step in made.broken.chunks(STEP) {
            let lock = self.locks.lock_tags(name, step.to_vec()).await?;
            let targets = in_parallel(step.iter().map(|tag| async {
                Ok::<_, Error>(self.tree.links.target(&layout::tag_link(name, tag)).await?)
            }));
            let still = step
                .iter()
                .zip(targets.await?)
                .filter(|(_, target)| target.is_none());
            let still = still.map(|(tag, _)| Pointer {
                tag: tag.clone(),
                version: None,
            });
            lock.remove_unchanged(&still.collect::<Vec<_>>()).await?;
        }
        Ok(())
    }

    /// Removes the entries of histories that lead to manifests that `went`, after these, because a history may name what is gone; and
    /// those that go for themselves.
    ///
    /// A push writes the entry before its tag points at the manifest (I3), and deletions find tags by their histories. So an entry
    /// stays at whose manifest its tag points, and, if it went after its manifest, one that leads to a manifest which is there again.
    /// Another replica takes no lock of this
    /// process: where there may be one, its push is looked for once more after the removal, and the entry is written again.
    ///
    /// # Errors
    ///
    /// As [`remove_planned_tags`](Self::remove_planned_tags).
    pub(super) async fn remove_planned_entries(
        &self,
        made: &Made,
        went: &HashSet<Digest>,
    ) -> Result<Vec<TrashedEntry>> {
        let name = &made.plan.repository;
        let goes = |planned: &&PlannedEntry| planned.is_expired || went.contains(&planned.entry.digest);
        let planned: Vec<&PlannedEntry> = made.entries.iter().filter(goes).collect();
        let mut removed = Vec::new();
        for step in planned.chunks(STEP) {
            let tags = step.iter().map(|planned| planned.entry.tag.clone()).collect();
            let lock = self.locks.lock_tags(name, tags).await?;
            let used = self.are_used(name, step).await?;
            let unused = step.iter().zip(used).filter(|(_, is_used)| !is_used);
            let unused: Vec<&PlannedEntry> = unused.map(|(planned, _)| *planned).collect();
            lock.remove_entries(&entries_of(&unused)).await?;
            if self.must_look_again() {
                let used = self.are_used(name, &unused).await?;
                let used = unused.iter().zip(used).filter(|(_, is_used)| *is_used);
                let used: Vec<&PlannedEntry> = used.map(|(planned, _)| *planned).collect();
                lock.restore_entries(&entries_of(&used)).await?;
            }
            removed.extend(unused.into_iter().map(|planned| planned.entry.clone()));
        }
        Ok(removed)
    }

    /// Of each entry whether its tag points at its manifest; if it goes because that went, whether the repository has that again; and if
    /// it goes for its age, whether it was written again.
    async fn are_used(&self, name: &RepoName, planned: &[&PlannedEntry]) -> Result<Vec<bool>> {
        let used = planned
            .iter()
            .map(|PlannedEntry { entry, is_expired }| async move {
                let link = layout::tag_link(name, &entry.tag);
                let target = self.tree.links.target(&link).await?;
                if target == Some(entry.digest) {
                    return Ok(true);
                }
                if !is_expired {
                    return self.has_revision(name, &entry.digest).await;
                }
                // The tag may have gone back there, and away again.
                let key = layout::tag_history_link(name, &entry.tag, &entry.digest);
                let since = self.tree.links.since(&key).await?;
                Ok::<_, Error>(since.is_some_and(|since| is_newer(since, entry.since)))
            });
        in_parallel(used).await
    }
}

/// Whether an object was written after the time that was seen before. Some stores give times in whole seconds.
fn is_newer(modified: SystemTime, seen: SystemTime) -> bool {
    modified
        .duration_since(seen)
        .is_ok_and(|later| later >= Duration::from_secs(1))
}

fn entries_of<'a>(planned: &[&'a PlannedEntry]) -> Vec<&'a TrashedEntry> {
    planned.iter().map(|planned| &planned.entry).collect()
}
