//! What is live in one repository: everything that its roots reach, in the order in which it is found.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use wharf_oci::{Algorithm, Digest};
use wharf_storage::Storage;

use super::{
    report::{CollectOptions, Mark},
    survey::{self, Survey},
    words::KeptBecause,
};
use crate::{
    error::Result,
    trash::roots::Roots,
    tree::{
        link::Link,
        manifest::{Facts, Manifests, Stored},
    },
};

/// The digests that have been reached so far.
#[derive(Default)]
pub(super) struct Live {
    marks: Vec<Mark>,
    /// The size in bytes of each of `marks`, as manifests state it; 0: none does.
    sizes: Vec<u64>,
    /// Digests that are marked as manifests, with their places among `marks`.
    manifests: HashMap<Digest, usize>,
    /// Digests that a live manifest names, with their places among `marks`.
    named: HashMap<Digest, usize>,
    /// Manifests whose references have been followed.
    followed: HashSet<Digest>,
    /// Children and targets of tags that must be followed although the repository has no such manifest.
    unlinked: Vec<Digest>,
    /// The manifests of the repository by their subject; filled when it is first needed.
    referrers: Option<HashMap<Digest, Vec<Digest>>>,
}

impl Live {
    /// Whether the repository needs `digest`.
    pub(super) fn contains(&self, digest: &Digest) -> bool {
        self.named.contains_key(digest) || self.manifests.contains_key(digest)
    }

    /// The marks, in the order in which they were made.
    pub(super) fn into_marks(self) -> Vec<Mark> {
        self.marks
    }

    /// As [`into_marks`](Self::into_marks), with the size in bytes of each, as manifests state it; 0: none does.
    pub(super) fn into_sized_marks(self) -> (Vec<Mark>, Vec<u64>) {
        (self.marks, self.sizes)
    }

    /// What is live and known by `algorithm`, in ascending order.
    pub(super) fn by(&self, algorithm: Algorithm) -> Vec<Digest> {
        let named = self.named.keys().filter(|digest| digest.algorithm() == algorithm);
        let mut named: Vec<Digest> = named.copied().collect();
        named.sort_unstable();
        named
    }

    /// Marks everything that the manifests `ahead`, which are marked, reach.
    pub(super) fn reach(&mut self, survey: &Survey, mut ahead: Vec<Digest>) {
        while let Some(digest) = ahead.pop() {
            if !self.followed.insert(digest) {
                continue;
            }
            for referrer in self.referrers_of(survey, &digest) {
                self.mark_manifest(referrer);
                ahead.push(referrer);
            }
            match survey.manifests.get(&digest) {
                Some(facts) => self.follow(survey, (digest, facts), &mut ahead),
                None => self.unlinked.push(digest),
            }
        }
    }

    /// Marks everything that a manifest names, and puts the manifests among it into `ahead`.
    fn follow(&mut self, survey: &Survey, (digest, facts): (Digest, &Facts), ahead: &mut Vec<Digest>) {
        self.measured(&digest, facts.size());
        let mentioned = facts.mentioned.iter().map(|blob| (blob, 0));
        for (blob, size) in facts.sized_blobs().chain(mentioned) {
            self.name_sized(*blob, size);
            // A manifest that is listed as a layer is still a manifest.
            if survey.has_revision(blob) {
                ahead.push(*blob);
            }
        }
        for child in &facts.children {
            self.name(*child);
            ahead.push(*child);
        }
        // A subject that is not in the repository is not followed: it may be pushed later.
        if let Some(subject) = facts.subject.filter(|subject| survey.has_revision(subject)) {
            self.mark_manifest(subject);
            ahead.push(subject);
        }
    }

    /// Follows digests that are named as manifests and have no revision link here: they may be linked as layers, as
    /// registry 2.1.0 did, or their link is lost. Their bytes, if they exist, say what they need.
    ///
    /// # Errors
    ///
    /// When a task did not end.
    pub(super) async fn reach_unlinked(
        &mut self,
        manifests: &Arc<Manifests>,
        survey: &mut Survey,
        trash: &Roots,
    ) -> Result<()> {
        let tagged = survey.tags.iter().filter_map(|tag| match &tag.current {
            Link::Points(digest) => Some((*digest, tag.name.clone())),
            Link::Absent | Link::Damaged(_) => None,
        });
        let tagged: HashMap<Digest, Box<str>> = tagged.collect();
        while !self.unlinked.is_empty() {
            let wanted = std::mem::take(&mut self.unlinked);
            for (digest, stored) in survey::look_up_all(manifests, wanted).await? {
                // A manifest of the repository that cannot be read is among the findings already.
                if survey.has_revision(&digest) {
                    continue;
                }
                let tag = tagged.get(&digest);
                match (stored, tag) {
                    (Stored::Understood(facts), _) => {
                        let mut ahead = Vec::new();
                        self.follow(survey, (digest, &facts), &mut ahead);
                        self.reach(survey, ahead);
                    }
                    (Stored::Unreadable(why), None) if trash.manifests.contains(&digest) => {
                        survey.is_kept_whole = true;
                        survey.report(KeptBecause::UnreadInTrash { digest, why });
                    }
                    // No client can pull anything through it in this repository.
                    (Stored::Absent | Stored::Unreadable(_), None) => {}
                    (Stored::Absent, Some(tag)) => {
                        let tag = tag.clone();
                        survey.report(KeptBecause::DanglingTag { tag, digest });
                    }
                    (Stored::Unreadable(why), Some(tag)) => {
                        survey.is_kept_whole = true;
                        let tag = tag.clone();
                        survey.report(KeptBecause::UnreadTagged { digest, tag, why });
                    }
                }
            }
        }
        Ok(())
    }

    /// Follows the layer links of what is live to the bytes: registry:2 stores by SHA-256 what it was sent by SHA-512.
    ///
    /// Beside requests a link by SHA-256 is not read. Whatever it holds, only bytes of its own digest are those that a client asks for,
    /// and these are live already; `wharf fsck` finds one that is damaged. Where no server runs, what it leads to stays, and it is reported.
    ///
    /// # Errors
    ///
    /// When a task did not end.
    pub(super) async fn follow_links(
        &mut self,
        storage: &Arc<dyn Storage>,
        survey: &mut Survey,
        options: CollectOptions,
    ) -> Result<()> {
        let leads_elsewhere = |digest: &&Digest| {
            let may_lead = digest.algorithm() == Algorithm::Sha512 || options.grace.is_none();
            may_lead && self.contains(digest)
        };
        let live = survey.layers.iter().filter(leads_elsewhere);
        let links = survey.layer_links(storage, live.copied().collect());
        for (digest, link) in links.await? {
            match link {
                Link::Points(target) if target != digest => self.name(target),
                Link::Points(_) | Link::Absent => {}
                Link::Damaged(why) => survey.report(KeptBecause::DamagedLayer { digest, why }),
            }
        }
        Ok(())
    }

    /// Marks everything that the repository has.
    pub(super) fn reach_everything(&mut self, survey: &Survey) {
        for revision in &survey.revisions {
            self.mark_manifest(*revision);
        }
        self.reach(survey, survey.revisions.clone());
        let history = survey.tags.iter().flat_map(|tag| &tag.history);
        for digest in survey.layers.iter().chain(history) {
            self.name(*digest);
        }
    }

    /// Marks `digest` as a manifest.
    pub(super) fn mark_manifest(&mut self, digest: Digest) {
        if let Entry::Vacant(new) = self.manifests.entry(digest) {
            new.insert(self.marks.len());
            self.marks.push(Mark::Manifest(digest));
            self.sizes.push(0);
        }
    }

    /// Marks `digest` as named by a live manifest.
    pub(super) fn name(&mut self, digest: Digest) {
        self.name_sized(digest, 0);
    }

    /// Marks `digest` as named by a live manifest, which states its `size`; 0: it does not.
    fn name_sized(&mut self, digest: Digest, size: u64) {
        match self.named.entry(digest) {
            Entry::Vacant(new) => {
                new.insert(self.marks.len());
                self.marks.push(Mark::Blob(digest));
                self.sizes.push(size);
            }
            Entry::Occupied(known) if size > 0 => self.sizes[*known.get()] = size,
            Entry::Occupied(_) => {}
        }
    }

    /// Notes the size of a manifest, in whatever form it is marked.
    fn measured(&mut self, manifest: &Digest, size: u64) {
        for marked in [&self.manifests, &self.named] {
            if let Some(place) = marked.get(manifest) {
                self.sizes[*place] = size;
            }
        }
    }

    fn referrers_of(&mut self, survey: &Survey, subject: &Digest) -> Vec<Digest> {
        let referrers = self.referrers.get_or_insert_with(|| {
            let mut referrers: HashMap<Digest, Vec<Digest>> = HashMap::new();
            for revision in &survey.revisions {
                let facts = survey.manifests.get(revision);
                if let Some(subject) = facts.and_then(|facts| facts.subject) {
                    referrers.entry(subject).or_default().push(*revision);
                }
            }
            referrers
        });
        referrers.get(subject).cloned().unwrap_or_default()
    }
}
