//! What one repository needs: from its roots to everything that they reach.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use wharf_oci::Digest;
use wharf_storage::{Storage, layout::RepositoryDirectory};

use super::{
    CollectOptions, Doubt, Mark, RepositoryGarbage, garbage,
    references::{References, Stored},
    survey::{self, Survey},
    walk::Link,
};
use crate::Result;

/// One repository, marked.
#[derive(Debug)]
pub(super) struct Examined {
    pub(super) name: Box<str>,
    pub(super) marks: Vec<Mark>,
    /// `None` when it loses nothing.
    pub(super) garbage: Option<RepositoryGarbage>,
    pub(super) doubts: Vec<Doubt>,
}

/// Works out what `directory` needs, and what it has without needing it.
pub(super) async fn examine(
    storage: Arc<dyn Storage>,
    directory: RepositoryDirectory,
    options: CollectOptions,
) -> Result<Examined> {
    let mut survey = Survey::take(&storage, directory, options).await?;
    let mut live = Live::default();
    for root in roots(&survey, options) {
        live.mark_manifest(root);
        live.reach(&survey, vec![root]);
    }
    live.reach_unlinked(&storage, &mut survey).await?;
    for pinned in &survey.pinned {
        live.name(*pinned);
    }
    if survey.is_kept_whole {
        live.reach_everything(&survey);
        live.reach_unlinked(&storage, &mut survey).await?;
    }
    live.follow_links(&storage, &mut survey).await?;
    let garbage = if survey.is_kept_whole {
        None
    } else {
        garbage::of_repository(&storage, &survey, &live, options).await?
    };
    Ok(Examined {
        name: survey.directory.name().into(),
        marks: live.marks,
        garbage,
        doubts: survey.doubts,
    })
}

/// The manifests that are needed for their own sake.
///
/// *Online*, manifests that are pinned, or linked within the grace period, are roots as well.
fn roots(survey: &Survey, options: CollectOptions) -> Vec<Digest> {
    let mut roots = Vec::new();
    if !options.delete_untagged {
        roots.extend(&survey.revisions);
    }
    for tag in &survey.tags {
        match &tag.current {
            Link::Points(digest) => roots.push(*digest),
            // One of these was meant.
            Link::Damaged(_) => {
                roots.extend(tag.history.iter().filter(|digest| survey.has_revision(digest)));
            }
            Link::Absent => {}
        }
    }
    roots.extend(survey.pinned.iter().filter(|digest| survey.has_revision(digest)));
    let mut seen = HashSet::new();
    roots.retain(|root| seen.insert(*root));
    roots
}

/// What has been reached so far.
#[derive(Default)]
pub(super) struct Live {
    marks: Vec<Mark>,
    /// Marked as manifests.
    manifests: HashSet<Digest>,
    /// Named by something live.
    named: HashSet<Digest>,
    /// Manifests whose references have been followed.
    followed: HashSet<Digest>,
    /// What must be followed although the repository has no such manifest: children and targets of tags.
    unlinked: Vec<Digest>,
    /// The manifests of the repository by their subject; filled when it is first needed.
    referrers: Option<HashMap<Digest, Vec<Digest>>>,
}

impl Live {
    /// Whether the repository needs `digest`.
    pub(super) fn contains(&self, digest: &Digest) -> bool {
        self.named.contains(digest) || self.manifests.contains(digest)
    }

    /// Marks everything that the manifests `ahead`, which are marked, reach.
    fn reach(&mut self, survey: &Survey, mut ahead: Vec<Digest>) {
        while let Some(digest) = ahead.pop() {
            if !self.followed.insert(digest) {
                continue;
            }
            for referrer in self.referrers_of(survey, &digest) {
                self.mark_manifest(referrer);
                ahead.push(referrer);
            }
            match survey.manifests.get(&digest) {
                Some(references) => self.follow(survey, references, &mut ahead),
                None => self.unlinked.push(digest),
            }
        }
    }

    /// Marks all that a manifest names. What lies behind it again is put into `ahead`.
    fn follow(&mut self, survey: &Survey, references: &References, ahead: &mut Vec<Digest>) {
        for blob in &references.blobs {
            self.name(*blob);
            // Where a manifest stands as a layer it is still a manifest.
            if survey.has_revision(blob) {
                ahead.push(*blob);
            }
        }
        for child in &references.manifests {
            self.name(*child);
            ahead.push(*child);
        }
        // What is not in the repository is not what the `subject` means: it may be pushed later.
        if let Some(subject) = references.subject.filter(|subject| survey.has_revision(subject)) {
            self.mark_manifest(subject);
            ahead.push(subject);
        }
    }

    /// Follows what is named as a manifest and is none of the repository's: it may be linked as a layer, which is how
    /// registry 2.1.0 did it, or its link is lost. Its bytes, if they are there, say what it needs.
    async fn reach_unlinked(&mut self, storage: &Arc<dyn Storage>, survey: &mut Survey) -> Result<()> {
        let tagged = survey.tags.iter().filter_map(|tag| match &tag.current {
            Link::Points(digest) => Some((*digest, tag.name.clone())),
            Link::Absent | Link::Damaged(_) => None,
        });
        let tagged: HashMap<Digest, Box<str>> = tagged.collect();
        while !self.unlinked.is_empty() {
            let wanted = std::mem::take(&mut self.unlinked);
            for (digest, stored) in survey::read_all(storage, wanted).await? {
                // A manifest of the repository that cannot be read has been told of.
                if survey.has_revision(&digest) {
                    continue;
                }
                let tag = tagged.get(&digest);
                match (stored, tag) {
                    (Stored::Understood(references), _) => {
                        let mut ahead = Vec::new();
                        self.follow(survey, &references, &mut ahead);
                        self.reach(survey, ahead);
                    }
                    // Nothing that anybody could pull through this repository.
                    (Stored::Absent | Stored::Unreadable(_), None) => {}
                    (Stored::Absent, Some(tag)) => survey.doubt(format!(
                        "the tag `{tag}` points at `{digest}`, which is not there; push the tag again, or delete it"
                    )),
                    (Stored::Unreadable(why), Some(tag)) => {
                        survey.is_kept_whole = true;
                        survey.doubt(format!("nobody knows what `{digest}` needs, at which the tag `{tag}` points ({why}); all of the repository is kept; push the tag again, or delete it"));
                    }
                }
            }
        }
        Ok(())
    }

    /// Follows the layer links of what is live to the bytes: what registry:2 was sent by SHA-512, it stores by SHA-256.
    async fn follow_links(&mut self, storage: &Arc<dyn Storage>, survey: &mut Survey) -> Result<()> {
        let live = survey.layers.iter().filter(|digest| self.contains(digest));
        let directory = survey.directory.clone();
        let links = survey::links(storage, live.copied().collect(), move |digest| {
            directory.layer_link(digest)
        });
        for (digest, link) in links.await? {
            match link {
                Link::Points(target) if target != digest => self.name(target),
                Link::Points(_) | Link::Absent => {}
                Link::Damaged(why) => survey.doubt(format!(
                    "the link of the layer `{digest}` points nowhere ({why}); the layer is kept; push it again"
                )),
            }
        }
        Ok(())
    }

    /// Marks whatever the repository has.
    fn reach_everything(&mut self, survey: &Survey) {
        for revision in &survey.revisions {
            self.mark_manifest(*revision);
        }
        self.reach(survey, survey.revisions.clone());
        let history = survey.tags.iter().flat_map(|tag| &tag.history);
        for digest in survey.layers.iter().chain(history) {
            self.name(*digest);
        }
    }

    fn mark_manifest(&mut self, digest: Digest) {
        if self.manifests.insert(digest) {
            self.marks.push(Mark::Manifest(digest));
        }
    }

    fn name(&mut self, digest: Digest) {
        if self.named.insert(digest) {
            self.marks.push(Mark::Blob(digest));
        }
    }

    fn referrers_of(&mut self, survey: &Survey, subject: &Digest) -> Vec<Digest> {
        let referrers = self.referrers.get_or_insert_with(|| {
            let mut referrers: HashMap<Digest, Vec<Digest>> = HashMap::new();
            for revision in &survey.revisions {
                let references = survey.manifests.get(revision);
                if let Some(subject) = references.and_then(|references| references.subject) {
                    referrers.entry(subject).or_default().push(*revision);
                }
            }
            referrers
        });
        referrers.get(subject).cloned().unwrap_or_default()
    }
}
