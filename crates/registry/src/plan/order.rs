//! The order in which the parts of a plan go: a tag that is made of the digest of a manifest goes after that manifest.
//!
//! Such tags, those of cosign and fallback tags, belong to the manifest that they are about, and stay if that stays after all. Whether it
//! goes is known only when it went, so they go in a later wave, and so does what they lead to. Tags that the deletion names go first,
//! whatever they are made of.

use std::collections::{HashMap, HashSet};

use wharf_oci::{Digest, Tag};

use super::{
    Deletion, Plan,
    selection::{Needs, about},
};

/// When the parts of a plan go.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Tags that go only if the manifest that they are about went, with that.
    dependents: HashMap<Tag, Digest>,
    /// The waves of manifests that do not go in the first one.
    later: HashMap<Digest, usize>,
}

impl Order {
    /// The order in which the parts of `plan` go.
    pub(super) fn of(needs: &Needs<'_>, deletion: &Deletion, plan: &Plan) -> Self {
        let going: HashSet<&Digest> = plan.manifests.iter().map(|manifest| &manifest.digest).collect();
        let is_named = |tag: &Tag, digest: &Digest| match deletion {
            Deletion::Tags { tags, .. } => tags.contains(tag),
            Deletion::Manifest { digest: named } => named == digest,
            Deletion::Untagged { .. } | Deletion::Retention { .. } | Deletion::Repository => false,
        };
        let planned = plan.tags.iter().filter_map(|planned| {
            let subject = about(needs, &planned.tag).filter(|subject| going.contains(subject))?;
            (!is_named(&planned.tag, &planned.digest)).then_some((planned, subject))
        });
        let planned: Vec<_> = planned.collect();
        let leads_to: Vec<HashSet<Digest>> = planned
            .iter()
            .map(|(planned, _)| needs.reached([planned.digest]))
            .collect();
        let mut order = Self::default();
        // Each round settles one link of the longest chain of signatures of signatures at least.
        for _ in 0..=planned.len() {
            let mut is_settled = true;
            for ((_, subject), below) in planned.iter().zip(&leads_to) {
                let wave = order.wave_of(subject) + 1;
                for digest in below.iter().filter(|digest| going.contains(digest)) {
                    if order.wave_of(digest) < wave {
                        order.later.insert(*digest, wave);
                        is_settled = false;
                    }
                }
            }
            if is_settled {
                let dependents = planned
                    .iter()
                    .map(|(planned, subject)| (planned.tag.clone(), *subject));
                order.dependents = dependents.collect();
                return order;
            }
        }
        // Manifests that are about each other in a circle have no order: all go at once.
        Self::default()
    }

    /// The wave in which the manifest `digest` goes, from 0.
    pub(super) fn wave_of(&self, digest: &Digest) -> usize {
        self.later.get(digest).copied().unwrap_or_default()
    }

    /// The manifest with which `tag` goes, if it goes with one.
    pub(super) fn subject_of(&self, tag: &Tag) -> Option<&Digest> {
        self.dependents.get(tag)
    }

    /// The wave before which `tag` goes: that after the manifest that it is about.
    pub(super) fn wave_of_tag(&self, tag: &Tag) -> usize {
        self.subject_of(tag)
            .map_or(0, |subject| self.wave_of(subject) + 1)
    }

    /// How many waves there are.
    pub(super) fn waves(&self) -> usize {
        let of_tags = self.dependents.values().map(|subject| self.wave_of(subject) + 1);
        1 + of_tags
            .chain(self.later.values().copied())
            .max()
            .unwrap_or_default()
    }
}
