//! The manifests that images consist of: their facts, sizes and platforms, as far as they can be read.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::Mutex;
use wharf_budget::{Exhausted, Permit, Share};
use wharf_message::Sentence;
use wharf_oci::{ArtifactKind, Digest, RepoName};

use super::reads::Reads;
use crate::{
    error::Result,
    patience::turn,
    registry::Registry,
    tree::{
        manifest::{Facts, Purpose, Stored},
        parallel::{in_background, in_jobs},
        words::Flaw,
    },
};

/// How many children of one index are looked at.
pub(super) const CHILDREN: usize = 64;

/// How many manifests are looked at for one list.
pub(super) const MANIFESTS: usize = 16 << 10;

/// How many bytes of what manifests say are kept for one list.
const BYTES: u64 = 32 << 20;

/// How many bytes of these are not charged: those of some thousand images.
const FREE: u64 = 2 << 20;

/// Bytes that are charged at a time.
const STEP: usize = 1 << 20;

/// How many levels of indexes in indexes are looked at.
const DEPTH: usize = 4;

/// How many blobs are added up for one list, those of an image that several indexes list each time.
const ADDED: usize = 2_000_000;

/// The longest media type that is shown whole, in characters.
const LONGEST_TYPE: usize = 255;

/// What a list shows of an image or another artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSummary {
    /// Media type of the manifest; `None` where it cannot be read.
    pub media_type: Option<Box<str>>,
    /// What the manifest is to its users.
    pub kind: Option<ArtifactKind>,
    /// Bytes of its configuration and layers, of all platforms, each counted once, as the manifests state them; `None` where they
    /// cannot all be read, or do not state them.
    pub size: Option<u64>,
    /// Whether the size is not known because the manifests do not state it, and nothing is wrong with them.
    pub size_is_unstated: bool,
    /// The platforms that it is for. Attestations are none.
    pub platforms: Vec<PlatformSummary>,
    /// What is missing or damaged, or was not looked at.
    pub problem: Option<Sentence>,
}

/// What a list shows of an image for one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformSummary {
    /// Name of the platform, such as `linux/arm64/v8`.
    pub platform: Box<str>,
    /// Digest of the manifest.
    pub digest: Digest,
    /// Bytes of its configuration and layers; `None` where they are not known.
    pub size: Option<u64>,
    /// What is missing or damaged.
    pub problem: Option<Sentence>,
}

/// What is known of a manifest.
#[derive(Debug)]
pub(super) enum Member {
    /// What it says.
    Here(Arc<Facts>),
    /// Why it cannot be used.
    Broken(Sentence),
}

/// Manifests of a repository by digest, with those that they list.
#[derive(Debug)]
pub(super) struct Members {
    found: HashMap<Digest, Member>,
    /// What the configurations of images say.
    platforms: HashMap<Digest, Result<Option<Box<str>>, Sentence>>,
    /// Pays for what is kept.
    held: Arc<Mutex<Held>>,
}

/// What lists show of images, by digest.
#[derive(Debug)]
pub(super) struct Summaries(HashMap<Digest, ImageSummary>);

/// Why the size of an image is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
enum NoSize {
    /// A manifest does not state it.
    Unstated,
    /// Something is missing, damaged, or was not looked at.
    Problem(Sentence),
}

/// Bytes of what manifests say, as they are read.
#[derive(Debug)]
struct Held {
    bytes: u64,
    /// Share that pays for what is held, beyond [`FREE`].
    memory: Share,
    charge: Option<Permit>,
}

impl Registry {
    /// What a list shows of the manifests `digests` of `name`.
    ///
    /// # Errors
    ///
    /// As [`members`](Self::members).
    pub(super) async fn summaries(&self, name: &RepoName, digests: Vec<Digest>) -> Result<Summaries> {
        let reads = Reads::new(MANIFESTS);
        let members = self.members(name, digests.iter().copied(), true, &reads).await?;
        Ok(in_background(move || members.summaries(&digests)).await?)
    }

    /// The sizes of those of the manifests `digests` of `name` that can be read and state them, as a list shows them.
    ///
    /// # Errors
    ///
    /// As [`list_tags`](Self::list_tags).
    pub async fn image_sizes(&self, name: &RepoName, digests: Vec<Digest>) -> Result<HashMap<Digest, u64>> {
        let _turn = turn(&self.budget().lists).await?;
        let reads = Reads::new(MANIFESTS);
        let members = self.members(name, digests.iter().copied(), false, &reads).await?;
        let sizes = in_background(move || {
            let mut left = ADDED;
            let sized = |digest: Digest| Some((digest, members.size(&digest, &mut left).ok()?));
            digests.into_iter().filter_map(sized).collect()
        });
        Ok(sizes.await?)
    }

    /// The manifests `roots` of `name`, and those that they list, as many as there are `reads` for; with the platforms of the roots, if they
    /// are asked for.
    ///
    /// # Errors
    ///
    /// Errors of the store; [`Error::Exhausted`](crate::Error::Exhausted) when too many large manifests are being read, or too much is kept of
    /// manifests.
    pub(super) async fn members(
        &self,
        name: &RepoName,
        roots: impl IntoIterator<Item = Digest>,
        with_platforms: bool,
        reads: &Reads,
    ) -> Result<Members> {
        let roots: HashSet<Digest> = roots.into_iter().collect();
        let mut members = Members {
            found: HashMap::new(),
            platforms: HashMap::new(),
            held: Arc::new(Mutex::new(Held::new(self.budget().bodies.clone()))),
        };
        let mut level: Vec<Digest> = roots.iter().copied().collect();
        for _ in 0..DEPTH {
            level.truncate(reads.take_some(level.len()));
            if level.is_empty() {
                break;
            }
            let mut next = HashSet::new();
            for (digest, member) in self.read_members(name, level, &members.held).await? {
                if let Member::Here(facts) = &member {
                    next.extend(facts.children.iter().take(CHILDREN));
                }
                members.found.insert(digest, member);
            }
            let next = next
                .into_iter()
                .filter(|digest| !members.found.contains_key(digest));
            level = next.collect();
        }
        if with_platforms {
            self.read_platforms(name, &roots, &mut members).await?;
        }
        Ok(members)
    }

    /// Reads manifests, as long as there is room for what they say.
    async fn read_members(
        &self,
        name: &RepoName,
        digests: Vec<Digest>,
        held: &Arc<Mutex<Held>>,
    ) -> Result<Vec<(Digest, Member)>> {
        let held = Arc::clone(held);
        let present = Arc::new(self.present(name, digests.clone()).await?);
        let manifests = Arc::clone(&self.tree.manifests);
        let read = in_jobs(digests, move |digest| {
            let (manifests, present) = (Arc::clone(&manifests), Arc::clone(&present));
            let held = Arc::clone(&held);
            async move {
                if !present.contains(&digest) {
                    let why = Flaw::ManifestUnlinked { digest };
                    return Ok(Some((digest, Member::Broken(why.into()))));
                }
                let member = match manifests.look_up_soon(&digest).await? {
                    Stored::Understood(facts) => match held.lock().has_room_for(facts.weight())? {
                        true => Member::Here(facts),
                        false => return Ok(None),
                    },
                    Stored::Absent => Member::Broken(Flaw::ManifestMissing { digest }.into()),
                    Stored::Unreadable(why) => Member::Broken(Flaw::ManifestUnread { digest, why }.into()),
                };
                Ok(Some((digest, member)))
            }
        });
        Ok(read.await?.into_iter().flatten().collect())
    }

    /// Reads for which platforms those images are for which nothing else says it: the `roots`.
    async fn read_platforms(
        &self,
        name: &RepoName,
        roots: &HashSet<Digest>,
        members: &mut Members,
    ) -> Result<()> {
        let configs: HashSet<Digest> = roots
            .iter()
            .filter_map(|digest| match members.get(digest)? {
                Member::Here(facts) if facts.kind == ArtifactKind::Image => facts.config,
                _ => None,
            })
            .collect();
        let (readers, name) = (Arc::clone(&self.tree.configs), name.clone());
        let read = in_jobs(configs.into_iter().collect(), move |digest| {
            let (readers, name) = (Arc::clone(&readers), name.clone());
            async move { Ok((digest, readers.platform(&name, &digest).await?)) }
        });
        members.platforms.extend(read.await?);
        Ok(())
    }
}

impl Held {
    fn new(memory: Share) -> Self {
        Self {
            bytes: 0,
            memory,
            charge: None,
        }
    }

    /// Charges `bytes` more, unless a list may keep no more of them.
    fn has_room_for(&mut self, bytes: u64) -> Result<bool, Exhausted> {
        if self.bytes + bytes > BYTES {
            return Ok(false);
        }
        let paid = FREE + self.charge.as_ref().map_or(0, Permit::amount) as u64;
        if self.bytes + bytes > paid {
            let missing = usize::try_from(self.bytes + bytes - paid).unwrap_or(usize::MAX);
            let more = self.memory.take(missing.next_multiple_of(STEP))?;
            match &mut self.charge {
                Some(charge) => charge.merge(more),
                charge @ None => *charge = Some(more),
            }
        }
        self.bytes += bytes;
        Ok(true)
    }
}

impl Members {
    pub(super) fn get(&self, digest: &Digest) -> Option<&Member> {
        self.found.get(digest)
    }

    /// What the manifests say that could be read, by digest.
    pub(super) fn readable(&self) -> impl Iterator<Item = (&Digest, &Facts)> {
        self.found.iter().filter_map(|(digest, member)| match member {
            Member::Here(facts) => Some((digest, &**facts)),
            Member::Broken(_) => None,
        })
    }

    /// What a list shows of the manifests `digests`. This computes for long.
    pub(super) fn summaries(&self, digests: &[Digest]) -> Summaries {
        let (mut summaries, mut left) = (HashMap::new(), ADDED);
        for digest in digests {
            if !summaries.contains_key(digest) {
                summaries.insert(*digest, self.summary(digest, &mut left));
            }
        }
        Summaries(summaries)
    }

    /// Why the size of the manifest `digest` is not known although it is stated. This computes for long.
    pub(super) fn problem(&self, digest: &Digest) -> Option<Sentence> {
        let mut left = ADDED;
        self.size(digest, &mut left).err()?.problem()
    }

    /// What a list shows of the manifest `digest`; `left` are the blobs that may still be added up.
    fn summary(&self, digest: &Digest, left: &mut usize) -> ImageSummary {
        let facts = match self.get(digest) {
            Some(Member::Here(facts)) => facts,
            Some(Member::Broken(why)) => return ImageSummary::broken(why.clone()),
            None => return ImageSummary::broken(Flaw::NotRead.into()),
        };
        let size = self.size(digest, left);
        let mut summary = ImageSummary {
            media_type: Some(facts.media_type.chars().take(LONGEST_TYPE).collect()),
            kind: Some(self.kind(facts)),
            size: size.as_ref().ok().copied(),
            size_is_unstated: size == Err(NoSize::Unstated),
            platforms: Vec::new(),
            problem: size.err().and_then(NoSize::problem),
        };
        for (child, purpose) in facts.children.iter().zip(&facts.purposes).take(CHILDREN) {
            if let Purpose::Platform(platform) = purpose {
                let size = self.size(child, left);
                summary.platforms.push(PlatformSummary {
                    platform: platform.clone(),
                    digest: *child,
                    size: size.as_ref().ok().copied(),
                    problem: size.err().and_then(NoSize::problem),
                });
            }
        }
        let alone = facts.config.and_then(|config| self.platforms.get(&config));
        match alone {
            Some(Ok(Some(platform))) => summary.platforms.push(PlatformSummary {
                platform: platform.clone(),
                digest: *digest,
                size: summary.size,
                problem: None,
            }),
            Some(Err(why)) => summary.problem = Some(why.clone()),
            Some(Ok(None)) | None => {}
        }
        summary
    }

    /// What a manifest is to its users: of an index that says nothing of itself, what its children are.
    fn kind(&self, facts: &Facts) -> ArtifactKind {
        let children = facts.children.iter();
        let kinds = children.filter_map(|child| match self.get(child)? {
            Member::Here(facts) => Some(facts.kind),
            Member::Broken(_) => None,
        });
        facts.kind_among(kinds)
    }

    /// Bytes of configurations, layers and other blobs of the manifest `digest` and of those that it lists, each blob once; `Err` with the
    /// reason where they are not known.
    fn size(&self, digest: &Digest, left: &mut usize) -> Result<u64, NoSize> {
        let (mut blobs, mut manifests) = (HashSet::new(), HashSet::new());
        let mut open = vec![*digest];
        let (mut size, mut problem) = (0_u64, None);
        while let Some(digest) = open.pop() {
            if !manifests.insert(digest) {
                continue;
            }
            match self.get(&digest) {
                Some(Member::Here(facts)) => {
                    let work = 1 + facts.blobs().count() + facts.children.len();
                    let Some(rest) = left.checked_sub(work) else {
                        return Err(NoSize::Problem(Flaw::NotRead.into()));
                    };
                    *left = rest;
                    let new = facts.sized_blobs().filter(|(blob, _)| blobs.insert(**blob));
                    size = new.fold(size, |sum, (_, size)| sum.saturating_add(size));
                    open.extend(facts.children.iter());
                    if !facts.states_sizes {
                        problem = problem.or(Some(NoSize::Unstated));
                    }
                }
                Some(Member::Broken(why)) => problem = Some(NoSize::Problem(why.clone())),
                None => match problem {
                    Some(NoSize::Problem(_)) => {}
                    Some(NoSize::Unstated) | None => problem = Some(NoSize::Problem(Flaw::NotRead.into())),
                },
            }
        }
        problem.map_or(Ok(size), Err)
    }
}

impl Summaries {
    /// What a list shows of the manifest `digest`, one of those that were asked for.
    pub(super) fn of(&self, digest: &Digest) -> ImageSummary {
        match self.0.get(digest) {
            Some(summary) => summary.clone(),
            None => ImageSummary::broken(Flaw::NotRead.into()),
        }
    }
}

impl NoSize {
    fn problem(self) -> Option<Sentence> {
        match self {
            Self::Problem(why) => Some(why),
            Self::Unstated => None,
        }
    }
}

impl ImageSummary {
    /// What a list shows of what cannot be read.
    pub(super) fn broken(problem: Sentence) -> Self {
        Self {
            media_type: None,
            kind: None,
            size: None,
            size_is_unstated: false,
            platforms: Vec::new(),
            problem: Some(problem),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_list_keeps_is_charged_and_has_a_limit() {
        let memory = Share::new("bodies", 64 << 20);
        let mut held = Held::new(memory.clone());
        assert_eq!((held.has_room_for(FREE), memory.used()), (Ok(true), 0));
        assert_eq!((held.has_room_for(1), memory.used()), (Ok(true), STEP));
        assert_eq!((held.has_room_for(BYTES), memory.used()), (Ok(false), STEP));
        drop(held);
        assert_eq!(memory.used(), 0);

        let mut held = Held::new(Share::new("bodies", STEP));
        held.has_room_for(FREE + 1).unwrap();
        held.has_room_for(STEP as u64).unwrap_err();
    }
}
