//! Removing the tags of a plan, and the entries of other tags' histories that lead to manifests that went.

use std::collections::HashSet;

use wharf_oci::{Digest, RepoName, Tag};
use wharf_storage::{Version, layout};

use super::{Applied, PlannedTag, Staying, making::Made, retained::PlannedEntry};
use crate::{
    error::{Error, Result},
    events::{Caller, EventKind},
    registry::Registry,
    trash::TrashedEntry,
    tree::{link::Link, parallel::in_parallel, tags::Pointer},
};

/// How many tags are locked at once.
const STEP: usize = 64;

const MOVED: &str = "it was pushed again meanwhile";

/// A tag that points at what the plan says, and the version of its link.
pub(super) struct SeenTag {
    pub(super) tag: Tag,
    pub(super) digest: Digest,
    version: Option<Version>,
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
        planned: &[PlannedTag],
        applied: &mut Applied,
    ) -> Result<Vec<SeenTag>> {
        let links = planned.iter().map(|planned| async {
            let link = layout::tag_link(name, &planned.tag);
            Ok::<_, Error>(self.tree.links.look_up(&link).await?)
        });
        let mut seen = Vec::new();
        for (planned, found) in planned.iter().zip(in_parallel(links).await?) {
            match found {
                Some((digest, version)) if digest == planned.digest => seen.push(SeenTag {
                    tag: planned.tag.clone(),
                    digest,
                    version,
                }),
                Some(_) => applied.stayed.push(Staying::tag(planned.tag.clone(), MOVED)),
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
                    false => applied.stayed.push(Staying::tag(tag, MOVED)),
                }
            }
            let went = lock.remove_unchanged(&pointers).await?;
            drop(lock);
            let (mut gone, mut stayed) = (Vec::new(), Vec::new());
            for (pointer, went) in pointers.into_iter().zip(went) {
                match went {
                    true => gone.push(pointer.tag),
                    false => stayed.push(Staying::tag(pointer.tag, MOVED)),
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
        let found = made.content.survey.tags.iter();
        let broken = found.filter(|tag| !matches!(tag.current, Link::Points(_)));
        let broken: Vec<Tag> = broken.filter_map(|tag| tag.name.parse().ok()).collect();
        for step in broken.chunks(STEP) {
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

    /// Of each entry whether its tag points at its manifest, or, if it goes because that went, whether the repository has that again.
    async fn are_used(&self, name: &RepoName, planned: &[&PlannedEntry]) -> Result<Vec<bool>> {
        let used = planned
            .iter()
            .map(|PlannedEntry { entry, is_expired }| async move {
                let link = layout::tag_link(name, &entry.tag);
                let target = self.tree.links.target(&link).await?;
                let is_target = target == Some(entry.digest);
                Ok::<_, Error>(is_target || !is_expired && self.has_revision(name, &entry.digest).await?)
            });
        in_parallel(used).await
    }
}

fn entries_of<'a>(planned: &[&'a PlannedEntry]) -> Vec<&'a TrashedEntry> {
    planned.iter().map(|planned| &planned.entry).collect()
}
