//! Applying a plan: the record, then the tags, the manifests, and the links of layers, each as long as it is as planned.
//!
//! # Why nothing is lost
//!
//! - The record of the whole plan is durable before the first pointer goes (see [`trash`](crate::trash)). After a crash, or an
//!   error, the record stands beside pointers of which some are left; restoring it writes the others again. When all is done and
//!   something stayed, the record is written anew without it.
//! - Pointers go before what they point to (I3): tags, indexes before their children, referrers before their subjects, links of
//!   layers. What a crash leaves names nothing that is gone. The entries of histories that lead to these manifests go last: they may
//!   name what is gone, as they do in every registry.
//! - Each step removes only what nothing has begun to use since the plan was made; the argument stands at each of the steps:
//!   tags ([`remove_planned_tags`](Registry::remove_planned_tags)), [manifests](super::manifests), and layers
//!   ([`remove_planned_layers`](Registry::remove_planned_layers)).
//! - A referrer is taken from the fallback tag of its subject before it goes, and no update lists one that is to go.

use std::collections::{BTreeSet, HashSet};

use wharf_budget::Permit;
use wharf_oci::{Digest, RepoName};

use super::{
    Application, Applied, Deletion,
    making::Made,
    tags::{SeenTag, with_their_subjects},
};
use crate::{
    error::{Error, Result},
    events::Caller,
    patience::{PATIENCE, turn},
    registry::Registry,
    tag_rights::TagRights,
    trash::{Pointers, TrashId, TrashedLink},
};

impl Registry {
    /// Makes the plan of `deletion` anew, and carries it out, if it is the one that the client has seen. What other requests have
    /// begun to use meanwhile stays, and is named. Runs to its end once it has begun: a caller that may be dropped spawns it.
    ///
    /// # Errors
    ///
    /// Those of [`plan_deletion`](Self::plan_deletion), [`Error::DeleteDisabled`], and [`Error::PlanChanged`], with which nothing has
    /// changed. [`Error::DeletionInterrupted`] when it failed after the record was made.
    pub async fn apply_deletion(
        &self,
        caller: &dyn Caller,
        name: &RepoName,
        deletion: &Deletion,
        rights: &dyn TagRights,
        application: Application<'_>,
    ) -> Result<Applied> {
        self.require_delete()?;
        let (made, _held) = self.plan_to_apply(name, deletion, rights, application).await?;
        let mut applied = Applied {
            record: None,
            earlier: 0,
            tags: Vec::new(),
            manifests: Vec::new(),
            layers: 0,
            stayed: Vec::new(),
        };
        let tags = self
            .see_tags(name, (&made.plan.tags, &made.plan.verdicts), &mut applied)
            .await?;
        let pointers = self.pointers_of(&made, &tags).await?;
        if !application.now {
            let kept = self.trash.keep(caller, name, deletion.kind(), pointers.clone());
            applied.record = kept.await?;
        }
        let record = applied.record.clone();
        let done = self
            .carry_out(
                (caller, deletion, application),
                &made,
                tags,
                pointers.clone(),
                &mut applied,
            )
            .await;
        if let Some(record) = &record {
            self.keep_record(record, (caller, deletion), name, pointers)
                .await?;
        }
        match (done, record) {
            (Ok(()), _) => Ok(applied),
            (Err(error), Some(record)) => Err(Error::DeletionInterrupted {
                record,
                source: Box::new(error),
            }),
            (Err(error), None) => Err(error),
        }
    }

    /// Makes the plan of `deletion`, if it is the one that the client has seen, and charges what applying it keeps in memory. The turn at
    /// plans ends with that: only planning has the facts about the whole repository in memory.
    async fn plan_to_apply(
        &self,
        name: &RepoName,
        deletion: &Deletion,
        rights: &dyn TagRights,
        application: Application<'_>,
    ) -> Result<(Made, Permit)> {
        let _turn = turn(&self.budget().plans).await?;
        let (made, content) = self.make_plan(name, deletion, rights).await?;
        drop(content);
        let current = made.plan.id;
        if application.plan.is_some_and(|seen| *seen != current) {
            return Err(Error::PlanChanged { current });
        }
        if let Some(why) = made.plan.refused {
            return Err(Error::TooManyTags { why });
        }
        let held = self.budget().deletions.wait(made.weight(), PATIENCE).await?;
        Ok((made, held))
    }

    /// Writes the record of a deletion again that is gone: a restore that met the deletion half-way found the rest in its place, and what
    /// went after that is in no other record.
    async fn keep_record(
        &self,
        record: &TrashId,
        (caller, deletion): (&dyn Caller, &Deletion),
        name: &RepoName,
        pointers: Pointers,
    ) -> Result<()> {
        match self.trash.read(record).await {
            Err(Error::TrashUnknown { .. }) => {}
            _ => return Ok(()),
        }
        let kept = self.trash.narrow(record, caller, name, deletion.kind(), pointers);
        kept.await.map(drop)
    }

    /// Every pointer that is to go.
    async fn pointers_of(&self, made: &Made, tags: &[SeenTag]) -> Result<Pointers> {
        let tags: Vec<_> = tags.iter().map(|seen| (seen.tag.clone(), seen.digest)).collect();
        let manifests = made.plan.manifests.iter().map(|manifest| TrashedLink {
            digest: manifest.digest,
            since: made.since(&manifest.digest),
        });
        Ok(Pointers {
            tags: self.record_tags(&made.plan.repository, &tags).await?,
            manifests: manifests.collect(),
            layers: made.layers.iter().map(|link| link.layer.clone()).collect(),
            history: made.entries.iter().map(|planned| planned.entry.clone()).collect(),
        })
    }

    async fn carry_out(
        &self,
        (caller, deletion, application): (&dyn Caller, &Deletion, Application<'_>),
        made: &Made,
        tags: Vec<SeenTag>,
        mut pointers: Pointers,
        applied: &mut Applied,
    ) -> Result<()> {
        let name = &made.plan.repository;
        let named = match deletion {
            Deletion::Manifest { digest } => Some(digest),
            _ => None,
        };
        let subjects = staying_subjects(made);
        let leaving: Vec<_> = referrers(made)
            .map(|digest| self.fallback_turns.leave(name, digest))
            .collect();
        let removed = self
            .remove_in_waves(caller, (made, named), tags, &subjects, applied)
            .await;
        drop(leaving);
        // Those that stayed, or were pushed again meanwhile, are listed again.
        let listed = self.update_lists(name, &subjects).await;
        removed?;
        listed?;
        if matches!(deletion, Deletion::Repository) {
            self.remove_broken_tags(made).await?;
            if application.now {
                applied.earlier = self.give_up(&made.plan.earlier).await?;
            }
            pointers.layers = self.remove_planned_layers(made, applied).await?;
            self.remove_empty_directories(name).await?;
        }
        let went: HashSet<Digest> = applied.manifests.iter().copied().collect();
        pointers.history = self.remove_planned_entries(made, &went).await?;
        if let Some(record) = &applied.record
            && !applied.stayed.is_empty()
        {
            let tags: HashSet<_> = applied.tags.iter().collect();
            pointers.tags.retain(|tag| tags.contains(&tag.tag));
            pointers.manifests.retain(|link| went.contains(&link.digest));
            let narrowed = self.trash.narrow(record, caller, name, deletion.kind(), pointers);
            applied.record = narrowed.await?;
        }
        Ok(())
    }

    /// Removes the tags and manifests of a plan in its [order](super::order).
    async fn remove_in_waves(
        &self,
        caller: &dyn Caller,
        (made, named): (&Made, Option<&Digest>),
        mut tags: Vec<SeenTag>,
        subjects: &BTreeSet<Digest>,
        applied: &mut Applied,
    ) -> Result<()> {
        let (name, order) = (&made.plan.repository, &made.order);
        for wave in 0..order.waves() {
            let (due, later) = tags.into_iter().partition(|seen| seen.wave(order) == wave);
            tags = later;
            let due = with_their_subjects(due, order, applied);
            self.remove_planned_tags(caller, name, due, applied).await?;
            if wave == 0 {
                self.update_lists(name, subjects).await?;
            }
            self.remove_planned_manifests(caller, (made, wave), named, applied)
                .await?;
        }
        Ok(())
    }

    /// Gives the `earlier` deletions of a repository up that is deleted without the trash: the links of the layers that they need go.
    /// Returns how many there were.
    async fn give_up(&self, earlier: &[TrashId]) -> Result<usize> {
        let mut given_up = 0;
        for id in earlier {
            match self.trash.remove(id).await {
                Ok(()) => given_up += 1,
                // It was restored, or given up, meanwhile.
                Err(Error::TrashUnknown { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(given_up)
    }

    /// Brings the fallback tags of `subjects` up to date.
    async fn update_lists(&self, name: &RepoName, subjects: &BTreeSet<Digest>) -> Result<()> {
        for subject in subjects {
            self.update_fallback_tag(name, subject).await?;
        }
        Ok(())
    }
}

/// The manifests of a plan that refer to another one.
fn referrers(made: &Made) -> impl Iterator<Item = &Digest> {
    let manifests = made.plan.manifests.iter().map(|manifest| &manifest.digest);
    manifests.filter(|digest| made.subject(digest).is_some())
}

/// The manifests to which some of the plan refer, and that are not in it.
fn staying_subjects(made: &Made) -> BTreeSet<Digest> {
    let subjects = referrers(made).filter_map(|digest| made.subject(digest));
    subjects.filter(|subject| !made.takes(subject)).collect()
}
