//! One image: its manifest, configuration, layers, children, referrers and tags.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use wharf_message::Sentence;
use wharf_oci::{ArtifactKind, Descriptor, Digest, ImageConfig, ManifestView, Reference, RepoName, Tag};
use wharf_storage::layout;

use super::{
    members::{ImageSummary, MANIFESTS},
    reads::Reads,
    tags::TagWalk,
    words::LeftOut,
};
use crate::{
    error::{Error, Result},
    patience::turn,
    registry::Registry,
    tag_rights::TagRights,
    tree::{
        manifest::{INLINE, Stored, StoredManifest},
        parallel::{in_background, in_parallel, in_turn},
        words::Flaw,
    },
};

/// The largest manifest that is shown, in bytes.
const LARGEST: usize = 4 << 20;

/// How many layers, blobs of an index, and steps of a build are shown.
const LAYERS: usize = 1000;

/// How many children are shown.
const CHILDREN: usize = 256;

/// How many referrers are shown.
const REFERRERS: usize = 100;

/// How many tags are shown.
const TAGS: usize = 1000;

/// How many tags a repository may have in which those of an image are looked for: the layout has no index of them.
const MOST_TAGS: usize = 10_000;

/// How many manifests a repository may have among which referrers are looked for.
const MOST_MANIFESTS: usize = 50_000;

/// How many tags are looked at that may attach something to an image.
const ATTACHED: usize = 20;

/// How many names are asked of the store at once.
const AT_ONCE: usize = 1000;

/// An image or another artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageDetails {
    /// Digest of the manifest.
    pub digest: Digest,
    /// When the tag was pushed last that was asked for, or when the manifest was.
    pub pushed: Option<SystemTime>,
    /// What the manifest says; `None` where it cannot be read.
    pub manifest: Option<ManifestDetails>,
    /// The manifests that refer to it, by their digests: the first of them.
    pub referrers: Vec<Descriptor>,
    /// Whether there are more of them.
    pub more_referrers: bool,
    /// The tags that point at it, and that the client may see: the first of them.
    pub tags: Vec<Tag>,
    /// How many there are; `None`: they are not looked for in a repository of so many tags.
    pub tags_total: Option<usize>,
    /// The tags, which the client may see, by which something is attached to it: they are made of its digest, with an end such as `.sig`.
    pub attached: Vec<Tag>,
    /// What is missing or damaged.
    pub problem: Option<Sentence>,
    /// What was not looked for, and why.
    pub left_out: Vec<Sentence>,
}

/// What a manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestDetails {
    /// Media type of the manifest.
    pub media_type: String,
    /// Type of the artifact, if it names one, or its configuration does.
    pub artifact_type: Option<String>,
    /// What it is to its users.
    pub kind: ArtifactKind,
    /// Bytes of the manifest itself.
    pub manifest_size: u64,
    /// Bytes of configurations and layers, each counted once; `None` where they are not all known.
    pub size: Option<u64>,
    /// Whether the size is not known because the manifests do not state it.
    pub size_is_unstated: bool,
    /// Annotations: free text by key.
    pub annotations: BTreeMap<String, String>,
    /// The manifest that it refers to.
    pub subject: Option<Descriptor>,
    /// The configuration.
    pub config: Option<PartDetails>,
    /// What the configuration of an image says; `None` where it is that of no image, or cannot be read.
    pub image_config: Option<ImageConfig>,
    /// The layers, and the entries of an index that are blobs: the first of them.
    pub layers: Vec<PartDetails>,
    /// How many there are.
    pub layers_total: usize,
    /// The children of an index: the first of them.
    pub children: Vec<ChildDetails>,
    /// How many there are.
    pub children_total: usize,
    /// What is missing or damaged in the manifests that it lists, or was not read of them.
    pub problem: Option<Sentence>,
}

/// A blob of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartDetails {
    /// What the manifest says of it.
    pub descriptor: Descriptor,
    /// The number of the step in the history of the build that made it, counted from 0.
    pub step: Option<usize>,
    /// What is missing or damaged.
    pub problem: Option<Sentence>,
}

/// A child of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildDetails {
    /// What the index says of it.
    pub descriptor: Descriptor,
    /// What it is.
    pub image: ImageSummary,
}

impl Registry {
    /// The image that `reference` names in `name`, for a client with these `rights`.
    ///
    /// # Errors
    ///
    /// [`Error::ManifestUnknown`] when there is no such tag or manifest, or the client may not see the tag; [`Error::Exhausted`] when too
    /// many lists are being made; errors of the store.
    pub async fn show_image(
        &self,
        name: &RepoName,
        reference: &Reference,
        rights: &dyn TagRights,
    ) -> Result<ImageDetails> {
        let _turn = turn(&self.budget().lists).await?;
        let unknown = || Error::ManifestUnknown {
            name: name.clone(),
            reference: reference.to_string(),
            hint: None,
        };
        let (digest, pointer) = match reference {
            Reference::Tag(tag) if rights.may_see(tag) => {
                (self.require_tag(name, tag).await?, layout::tag_link(name, tag))
            }
            Reference::Tag(_) => return Err(unknown()),
            Reference::Digest(digest) => (*digest, layout::revision_link(name, digest)),
        };
        let is_here = self.has_revision(name, &digest).await?;
        if !is_here && matches!(reference, Reference::Digest(_)) {
            return Err(unknown());
        }
        let (manifest, problem) = match is_here {
            false => (None, Some(Flaw::ManifestUnlinked { digest }.into())),
            true => match self.view_of(&digest).await? {
                Ok((stored, view)) => (Some(self.details(name, &stored, view).await?), None),
                Err(why) => (None, Some(why)),
            },
        };
        let mut left_out = Vec::new();
        let (referrers, more_referrers) = self.some_referrers(name, &digest, &mut left_out).await?;
        let (tags, tags_total) = self
            .tags_at(name, (&digest, reference), rights, &mut left_out)
            .await?;
        let attached = self.attached_by_tags(name, &digest, rights).await?;
        Ok(ImageDetails {
            digest,
            pushed: self.tree.links.since(&pointer).await?,
            manifest,
            referrers,
            more_referrers,
            tags,
            tags_total,
            attached,
            problem,
            left_out,
        })
    }

    /// The first referrers of `digest`, and whether there are more.
    async fn some_referrers(
        &self,
        name: &RepoName,
        digest: &Digest,
        left_out: &mut Vec<Sentence>,
    ) -> Result<(Vec<Descriptor>, bool)> {
        if !self.tree.graphs.is_small(name, MOST_MANIFESTS).await? {
            left_out.push(LeftOut::Referrers { n: MOST_MANIFESTS }.into());
            return Ok((Vec::new(), true));
        }
        let mut referrers = self.referrers(name, digest, None, None).await?;
        let more = referrers.more || referrers.descriptors.len() > REFERRERS;
        referrers.descriptors.truncate(REFERRERS);
        Ok((std::mem::take(&mut referrers.descriptors), more))
    }

    /// The first visible tags that point at `digest`, and how many there are; `None` where only the tag is known that was asked for.
    async fn tags_at(
        &self,
        name: &RepoName,
        (digest, reference): (&Digest, &Reference),
        rights: &dyn TagRights,
        left_out: &mut Vec<Sentence>,
    ) -> Result<(Vec<Tag>, Option<usize>)> {
        let (mut walk, mut passed) = (TagWalk::new(name, None), 0);
        loop {
            match self.next_tags(&mut walk, AT_ONCE).await {
                Ok(Some(names)) => passed += names.len(),
                Ok(None) | Err(Error::NameUnknown { .. }) => break,
                Err(error) => return Err(error),
            }
            if passed > MOST_TAGS {
                // Where tags are hidden from the client, no number tells how many.
                left_out.push(match rights.may_see_all() {
                    true => LeftOut::Tags { n: MOST_TAGS }.into(),
                    false => LeftOut::SomeTags.into(),
                });
                let asked = match reference {
                    Reference::Tag(tag) => Some(tag.clone()),
                    Reference::Digest(_) => None,
                };
                return Ok((asked.into_iter().collect(), None));
            }
        }
        let pointers = self.tags_of(name, &[*digest]).await?.remove(digest);
        let tags = pointers
            .unwrap_or_default()
            .into_iter()
            .map(|pointer| pointer.tag);
        let mut tags: Vec<Tag> = tags.filter(|tag| rights.may_see(tag)).collect();
        let total = tags.len();
        tags.truncate(TAGS);
        Ok((tags, Some(total)))
    }

    /// The visible tags that are made of `digest`, as cosign makes them. In the order of the names they are neighbours: one look finds them.
    async fn attached_by_tags(
        &self,
        name: &RepoName,
        digest: &Digest,
        rights: &dyn TagRights,
    ) -> Result<Vec<Tag>> {
        let start = format!("{}-{}", digest.algorithm(), digest.hex());
        let mut walk = TagWalk::new(name, Some(&start));
        let names = match self.next_tags(&mut walk, ATTACHED).await {
            Ok(names) => names.unwrap_or_default(),
            Err(Error::NameUnknown { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        let tags = names.into_iter().map(|named| named.tag);
        let is_attached = |tag: &Tag| {
            let rest = tag.as_str().strip_prefix(start.as_str());
            rest.is_some_and(|rest| rest.starts_with('.')) && rights.may_see(tag)
        };
        Ok(tags.filter(is_attached).collect())
    }

    /// The manifest `digest` with what it says, or why it cannot be shown.
    pub(super) async fn view_of(
        &self,
        digest: &Digest,
    ) -> Result<Result<(Arc<StoredManifest>, ManifestView), Sentence>> {
        // Also on a bucket, where lists rely on what is remembered.
        self.tree.manifests.look_again(digest).await?;
        match self.tree.manifests.look_up_soon(digest).await? {
            Stored::Understood(_) => {}
            Stored::Absent => return Ok(Err(Flaw::ManifestMissing { digest: *digest }.into())),
            Stored::Unreadable(why) => {
                let digest = *digest;
                return Ok(Err(Flaw::ManifestUnread { digest, why }.into()));
            }
        }
        let Some(stored) = self.tree.manifests.load(digest).await? else {
            return Ok(Err(Flaw::ManifestMissing { digest: *digest }.into()));
        };
        if stored.bytes.len() > LARGEST {
            return Ok(Err(Flaw::ManifestTooLarge { digest: *digest }.into()));
        }
        let view = match stored.bytes.len() {
            ..=INLINE => ManifestView::parse_stored(&stored.bytes),
            _ => {
                let turn = turn(&self.budget().large_reads).await?;
                let bytes = stored.bytes.clone();
                in_turn(turn, move || ManifestView::parse_stored(&bytes)).await?
            }
        };
        Ok(match view {
            Ok(view) => Ok((stored, view)),
            Err(error) => Err(Flaw::ManifestUnread {
                digest: *digest,
                why: error.to_string(),
            }
            .into()),
        })
    }

    async fn details(
        &self,
        name: &RepoName,
        stored: &StoredManifest,
        view: ManifestView,
    ) -> Result<ManifestDetails> {
        let children: Vec<Descriptor> = view.children().take(CHILDREN).cloned().collect();
        let roots: Vec<Digest> = children.iter().map(|child| child.digest).collect();
        let digest = stored.digest;
        let members = self
            .members(
                name,
                roots.iter().copied().chain([digest]),
                true,
                &Reads::new(MANIFESTS),
            )
            .await?;
        let computed = in_background(move || {
            let all: Vec<Digest> = roots.into_iter().chain([digest]).collect();
            (members.summaries(&all), members.problem(&digest))
        });
        let (summaries, problem) = computed.await?;
        let summary = summaries.of(&digest);
        let (config, image_config) = match &view.config {
            None => (None, None),
            Some(descriptor) => {
                let (part, config) = self.config_part(name, descriptor, summary.kind).await?;
                (Some(part), config)
            }
        };
        let entries = view.manifests.iter().filter(|entry| entry.is_blob());
        let blobs: Vec<&Descriptor> = view.layers.iter().chain(entries).collect();
        let shown = blobs.iter().take(LAYERS);
        let problems = shown.clone().map(|layer| self.missing(name, layer));
        let problems: Vec<Option<Sentence>> = in_parallel(problems).await?;
        let steps = steps(image_config.as_ref(), blobs.len());
        let layers = shown.zip(problems).enumerate();
        let layers = layers.map(|(number, (descriptor, problem))| PartDetails {
            descriptor: (*descriptor).clone(),
            step: steps.get(number).copied(),
            problem,
        });
        Ok(ManifestDetails {
            artifact_type: view.effective_artifact_type().map(str::to_owned),
            kind: summary.kind.unwrap_or(ArtifactKind::Other),
            manifest_size: stored.bytes.len() as u64,
            size: summary.size,
            size_is_unstated: summary.size_is_unstated,
            problem,
            config,
            layers: layers.collect(),
            layers_total: blobs.len(),
            children_total: view.children().count(),
            children: children
                .into_iter()
                .map(|descriptor| ChildDetails {
                    image: summaries.of(&descriptor.digest),
                    descriptor,
                })
                .collect(),
            image_config,
            media_type: view.media_type,
            annotations: view.annotations,
            subject: view.subject,
        })
    }

    /// The configuration, and what it says if it is that of an image.
    async fn config_part(
        &self,
        name: &RepoName,
        descriptor: &Descriptor,
        kind: Option<ArtifactKind>,
    ) -> Result<(PartDetails, Option<ImageConfig>)> {
        let mut part = PartDetails {
            descriptor: descriptor.clone(),
            step: None,
            problem: None,
        };
        if kind != Some(ArtifactKind::Image) {
            part.problem = self.missing(name, descriptor).await?;
            return Ok((part, None));
        }
        match self.tree.configs.read(name, &descriptor.digest).await? {
            Ok(mut config) => {
                config.history.truncate(LAYERS);
                Ok((part, Some(config)))
            }
            Err(why) => {
                part.problem = Some(why);
                Ok((part, None))
            }
        }
    }

    /// What is wrong with a blob of an image in `name`, as far as that shows without reading it.
    async fn missing(&self, name: &RepoName, blob: &Descriptor) -> Result<Option<Sentence>> {
        let link = layout::layer_link(name, &blob.digest);
        if self.tree.links.target(&link).await?.is_none() {
            let elsewhere = blob.is_foreign();
            return Ok((!elsewhere).then(|| Flaw::Unlinked.into()));
        }
        match self.storage.stat(&layout::blob(&blob.digest)).await {
            Ok(stat) if stat.size == blob.size => Ok(None),
            Ok(stat) => Ok(Some(
                Flaw::OtherSize {
                    stored: stat.size,
                    stated: blob.size,
                }
                .into(),
            )),
            Err(error) if error.is_not_found() => Ok(Some(Flaw::Missing.into())),
            Err(error) => Err(error.into()),
        }
    }
}

/// The numbers of the steps that made the layers of an image, in their order; none where the history does not fit to them.
pub(super) fn steps(config: Option<&ImageConfig>, layers: usize) -> Vec<usize> {
    let history = config.map_or(&[][..], |config| &config.history);
    let making = history
        .iter()
        .enumerate()
        .filter(|(_, step)| !step.makes_no_layer);
    let numbers: Vec<usize> = making.map(|(number, _)| number).collect();
    match numbers.len() == layers {
        true => numbers,
        false => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use wharf_oci::HistoryStep;

    use super::*;

    #[test]
    fn layers_belong_to_the_steps_that_make_one() {
        let step = |makes_no_layer| HistoryStep {
            makes_no_layer,
            ..HistoryStep::default()
        };
        let config = ImageConfig {
            history: vec![step(false), step(true), step(false)],
            ..ImageConfig::default()
        };
        assert_eq!(steps(Some(&config), 2), [0, 2]);
        assert_eq!(
            steps(Some(&config), 3),
            [0; 0],
            "the history is not that of these layers"
        );
        assert_eq!(steps(None, 2), [0; 0]);
    }
}
