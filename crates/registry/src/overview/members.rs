//! The manifests that images consist of: their facts, sizes and platforms, as far as they can be read.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use wharf_oci::{ArtifactKind, Digest, RepoName};

use crate::{
    error::Result,
    registry::Registry,
    tree::{
        manifest::{Facts, Purpose, Stored},
        parallel::in_jobs,
    },
};

/// How many children of one index are looked at.
const CHILDREN: usize = 64;

/// How many manifests are looked at for one list.
pub(super) const MANIFESTS: usize = 16 << 10;

/// How many bytes of what manifests say are kept for one list.
const BYTES: u64 = 64 << 20;

/// How many levels of indexes in indexes are looked at.
const DEPTH: usize = 4;

/// What a list shows of an image or another artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSummary {
    /// Media type of the manifest; `None` where it cannot be read.
    pub media_type: Option<Box<str>>,
    /// What the manifest is to its users.
    pub kind: Option<ArtifactKind>,
    /// Bytes of its configuration and layers, of all platforms, each counted once, as the manifests state them; `None` where they
    /// cannot all be read.
    pub size: Option<u64>,
    /// The platforms that it is for. Attestations are none.
    pub platforms: Vec<PlatformSummary>,
    /// What is missing or damaged, or was not looked at.
    pub problem: Option<String>,
}

/// What a list shows of an image for one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformSummary {
    /// Name of the platform, such as `linux/arm64/v8`.
    pub platform: Box<str>,
    /// Digest of the manifest.
    pub digest: Digest,
    /// Bytes of its configuration and layers.
    pub size: Option<u64>,
    /// What is missing or damaged.
    pub problem: Option<String>,
}

/// What is known of a manifest.
#[derive(Debug)]
pub(super) enum Member {
    /// What it says.
    Here(Arc<Facts>),
    /// Why it cannot be used.
    Broken(String),
}

/// Manifests of a repository by digest, with those that they list.
#[derive(Debug, Default)]
pub(super) struct Members {
    found: HashMap<Digest, Member>,
    /// Bytes of what they say, and of what was read in vain.
    bytes: Arc<AtomicU64>,
    /// What the configurations of images say.
    platforms: HashMap<Digest, Result<Option<Box<str>>, String>>,
}

impl Registry {
    /// The manifests `roots` of `name`, and those that they list, as many as a list may read.
    ///
    /// # Errors
    ///
    /// Errors of the store; [`Error::Exhausted`](crate::Error::Exhausted) when too many large manifests are being read.
    pub(super) async fn members(
        &self,
        name: &RepoName,
        roots: impl IntoIterator<Item = Digest>,
    ) -> Result<Members> {
        let roots: HashSet<Digest> = roots.into_iter().collect();
        let mut members = Members::default();
        let mut level: Vec<Digest> = roots.iter().copied().collect();
        for _ in 0..DEPTH {
            if level.is_empty() {
                break;
            }
            let mut next = HashSet::new();
            for (digest, member) in self.read_members(name, level, &members.bytes).await? {
                if let Member::Here(facts) = &member {
                    next.extend(facts.children.iter().take(CHILDREN));
                }
                members.found.insert(digest, member);
            }
            let room = MANIFESTS.saturating_sub(members.found.len());
            let next = next
                .into_iter()
                .filter(|digest| !members.found.contains_key(digest));
            level = next.take(room).collect();
        }
        self.read_platforms(name, &roots, &mut members).await?;
        Ok(members)
    }

    /// Reads manifests, as long as there is room for what they say.
    async fn read_members(
        &self,
        name: &RepoName,
        digests: Vec<Digest>,
        bytes: &Arc<AtomicU64>,
    ) -> Result<Vec<(Digest, Member)>> {
        let bytes = Arc::clone(bytes);
        let present = Arc::new(self.present(name, digests.clone()).await?);
        let manifests = Arc::clone(&self.tree.manifests);
        let read = in_jobs(digests, move |digest| {
            let (manifests, present) = (Arc::clone(&manifests), Arc::clone(&present));
            let bytes = Arc::clone(&bytes);
            async move {
                if !present.contains(&digest) {
                    let why = format!("the manifest `{digest}` is not in the repository");
                    return Ok(Some((digest, Member::Broken(why))));
                }
                let member = match manifests.look_up_soon(&digest).await? {
                    Stored::Understood(facts) => {
                        if bytes.fetch_add(facts.weight(), Relaxed) > BYTES {
                            return Ok(None);
                        }
                        Member::Here(facts)
                    }
                    Stored::Absent => Member::Broken(format!("the manifest `{digest}` is not stored")),
                    Stored::Unreadable(why) => {
                        Member::Broken(format!("the manifest `{digest}` cannot be read: {why}"))
                    }
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

impl Members {
    pub(super) fn get(&self, digest: &Digest) -> Option<&Member> {
        self.found.get(digest)
    }

    /// What a list shows of the manifest `digest`, one of the roots.
    pub(super) fn summary(&self, digest: &Digest) -> ImageSummary {
        let facts = match self.get(digest) {
            Some(Member::Here(facts)) => facts,
            Some(Member::Broken(why)) => return ImageSummary::broken(why.clone()),
            None => return ImageSummary::broken(NOT_READ.to_owned()),
        };
        let size = self.size(digest);
        let mut summary = ImageSummary {
            media_type: Some(facts.media_type.clone()),
            kind: Some(self.kind(facts)),
            size: size.as_ref().ok().copied(),
            platforms: Vec::new(),
            problem: size.err(),
        };
        for (child, purpose) in facts.children.iter().zip(&facts.purposes).take(CHILDREN) {
            if let Purpose::Platform(platform) = purpose {
                let size = self.size(child);
                summary.platforms.push(PlatformSummary {
                    platform: platform.clone(),
                    digest: *child,
                    size: size.as_ref().ok().copied(),
                    problem: size.err(),
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
    pub(super) fn size(&self, digest: &Digest) -> Result<u64, String> {
        let (mut blobs, mut manifests) = (HashSet::new(), HashSet::new());
        let mut open = vec![*digest];
        let (mut size, mut problem) = (0_u64, None);
        while let Some(digest) = open.pop() {
            if !manifests.insert(digest) {
                continue;
            }
            match self.get(&digest) {
                Some(Member::Here(facts)) => {
                    let new = facts.sized_blobs().filter(|(blob, _)| blobs.insert(**blob));
                    size = new.fold(size, |sum, (_, size)| sum.saturating_add(size));
                    open.extend(facts.children.iter());
                }
                Some(Member::Broken(why)) => problem = Some(why.clone()),
                None => problem = problem.or_else(|| Some(NOT_READ.to_owned())),
            }
        }
        problem.map_or(Ok(size), Err)
    }
}

const NOT_READ: &str = "it has more manifests than a list reads; look at this image alone";

impl ImageSummary {
    /// What a list shows of what cannot be read.
    pub(super) fn broken(problem: String) -> Self {
        Self {
            media_type: None,
            kind: None,
            size: None,
            platforms: Vec::new(),
            problem: Some(problem),
        }
    }
}
