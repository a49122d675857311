//! The configurations of images, checked against their digest, and the platforms that they name.

use std::sync::Arc;

use bytes::Bytes;
use quick_cache::{Weighter, sync::Cache};
use wharf_budget::Share;
use wharf_oci::{Digest, ImageConfig, RepoName};
use wharf_storage::{ErrorKind, Storage, layout};

use super::{link::Links, manifest::INLINE, parallel::in_turn};
use crate::{cache::FEW, error::Result, patience::turn};

/// The largest configuration that is read.
const READ_LIMIT: u64 = 4 << 20;

/// How many bytes of platforms are kept in memory, estimated: those of some 10,000 images.
const IN_MEMORY: u64 = 4 << 20;

/// Why a configuration cannot be shown, in words.
pub(crate) type Unreadable = String;

/// The configurations of images. The platform that one names is remembered for the repository that had it: a client that may read this
/// repository may learn nothing of what another one has.
#[derive(Debug)]
pub(crate) struct Configs {
    storage: Arc<dyn Storage>,
    links: Arc<Links>,
    /// Large configurations that are being read.
    large_reads: Share,
    platforms: Cache<(RepoName, Digest), Option<Box<str>>, ByMemory>,
}

#[derive(Debug, Clone)]
struct ByMemory;

impl Weighter<(RepoName, Digest), Option<Box<str>>> for ByMemory {
    fn weight(&self, (name, _): &(RepoName, Digest), platform: &Option<Box<str>>) -> u64 {
        let texts = name.as_str().len() + platform.as_deref().map_or(0, str::len);
        (size_of::<(RepoName, Digest)>() + 128 + texts) as u64
    }
}

impl Configs {
    /// Reads `storage`; large configurations as `large_reads` permits.
    pub(crate) fn new(storage: Arc<dyn Storage>, links: Arc<Links>, large_reads: Share) -> Self {
        Self {
            storage,
            links,
            large_reads,
            platforms: Cache::with_weighter(FEW, IN_MEMORY, ByMemory),
        }
    }

    /// The platform that the configuration `digest` of `name` is for, if it says so.
    ///
    /// # Errors
    ///
    /// Errors of the store; [`Error::Exhausted`](crate::Error::Exhausted) when too many large ones are being read.
    pub(crate) async fn platform(
        &self,
        name: &RepoName,
        digest: &Digest,
    ) -> Result<Result<Option<Box<str>>, Unreadable>> {
        let place = (name.clone(), *digest);
        if let Some(platform) = self.platforms.get(&place) {
            return Ok(Ok(platform));
        }
        Ok(self.read(name, digest).await?.map(|config| {
            let platform: Option<Box<str>> = config.platform.name().map(Into::into);
            self.platforms.insert(place, platform.clone());
            platform
        }))
    }

    /// The configuration `digest` of `name`.
    ///
    /// # Errors
    ///
    /// As [`platform`](Self::platform).
    pub(crate) async fn read(
        &self,
        name: &RepoName,
        digest: &Digest,
    ) -> Result<Result<ImageConfig, Unreadable>> {
        let link = layout::layer_link(name, digest);
        if self.links.target(&link).await?.is_none() {
            return Ok(Err(format!(
                "the configuration `{digest}` is not in the repository"
            )));
        }
        let key = layout::blob(digest);
        let small = self.storage.read(&key, INLINE as u64).await;
        let read = match small {
            Err(error) if error.kind() == ErrorKind::TooLarge => {
                let turn = turn(&self.large_reads).await?;
                match self.storage.read(&key, READ_LIMIT).await {
                    Ok(object) => {
                        let digest = *digest;
                        return Ok(in_turn(turn, move || examine(&digest, &object.bytes)).await?);
                    }
                    Err(error) => Err(error),
                }
            }
            read => read,
        };
        match read {
            Ok(object) => Ok(examine(digest, &object.bytes)),
            Err(error) => match error.kind() {
                ErrorKind::NotFound => Ok(Err(format!("the configuration `{digest}` is not stored"))),
                ErrorKind::TooLarge => Ok(Err(format!(
                    "the configuration `{digest}` is too large to be read"
                ))),
                ErrorKind::Damaged => Ok(Err(damaged(digest))),
                _ => Err(error.into()),
            },
        }
    }
}

fn examine(digest: &Digest, bytes: &Bytes) -> Result<ImageConfig, Unreadable> {
    if Digest::of(digest.algorithm(), bytes) != *digest {
        return Err(damaged(digest));
    }
    ImageConfig::parse(bytes).map_err(|error| error.to_string())
}

fn damaged(digest: &Digest) -> Unreadable {
    format!("the bytes of the configuration `{digest}` are damaged")
}
