//! The configurations of images, checked against their digest, and the platforms that they name.

use std::sync::Arc;

use bytes::Bytes;
use quick_cache::{Weighter, sync::Cache};
use serde_json::Value;
use wharf_budget::Share;
use wharf_message::Sentence;
use wharf_oci::{Digest, ImageConfig, Platform, RepoName};
use wharf_storage::{ErrorKind, Storage, layout};

use super::{link::Links, manifest::INLINE, parallel::in_turn, words::Flaw};
use crate::{cache::FEW, error::Result, patience::turn};

/// The largest configuration that is read.
const READ_LIMIT: u64 = 4 << 20;

/// The largest configuration that is kept as a document, in bytes.
const WHOLE_LIMIT: usize = 256 << 10;

/// How many bytes of platforms are kept in memory, estimated: those of some 10,000 images.
const IN_MEMORY: u64 = 4 << 20;

/// Why a configuration cannot be shown, in words.
pub(crate) type Unreadable = Sentence;

/// The configurations of images. The platform that one names is remembered for the repository that had it: a client that may read this
/// repository may learn nothing of what another one has.
#[derive(Debug)]
pub(crate) struct Configs {
    storage: Arc<dyn Storage>,
    links: Arc<Links>,
    /// Large configurations that are being read.
    large_reads: Share,
    platforms: Cache<(RepoName, Digest), Remembered, ByMemory>,
}

/// What is remembered of a configuration.
#[derive(Debug, Clone)]
struct Remembered {
    platform: Option<Box<str>>,
    /// Bytes of the configuration.
    size: u64,
}

#[derive(Debug, Clone)]
struct ByMemory;

impl Weighter<(RepoName, Digest), Remembered> for ByMemory {
    fn weight(&self, (name, _): &(RepoName, Digest), remembered: &Remembered) -> u64 {
        let texts = name.as_str().len() + remembered.platform.as_deref().map_or(0, str::len);
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
    /// On a directory, what is remembered counts only while the repository has the configuration, and its file is there in its size.
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
        if let Some(remembered) = self.platforms.get(&place)
            && (self.storage.is_shared() || self.is_still(&place, remembered.size).await?)
        {
            return Ok(Ok(remembered.platform));
        }
        let read = self
            .read_sized(name, digest, |bytes| {
                ImageConfig::parse_platform(bytes).map_err(|_| Flaw::NoConfig)
            })
            .await?;
        Ok(read.map(|(platform, size): (Platform, u64)| {
            let platform: Option<Box<str>> = platform.name().map(Into::into);
            let remembered = Remembered {
                platform: platform.clone(),
                size,
            };
            self.platforms.insert(place, remembered);
            platform
        }))
    }

    /// Whether a repository still has a configuration of `size` bytes.
    async fn is_still(&self, (name, digest): &(RepoName, Digest), size: u64) -> Result<bool> {
        if self
            .links
            .target(&layout::layer_link(name, digest))
            .await?
            .is_none()
        {
            return Ok(false);
        }
        match self.storage.stat(&layout::blob(digest)).await {
            Ok(stat) => Ok(stat.size == size),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error.into()),
        }
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
        let read = self
            .read_sized(name, digest, |bytes| {
                ImageConfig::parse(bytes).map_err(|_| Flaw::NoConfig)
            })
            .await?;
        Ok(read.map(|(config, _)| config))
    }

    /// The configuration `digest` of `name` as a whole, if it is not too large for that.
    ///
    /// # Errors
    ///
    /// As [`platform`](Self::platform).
    pub(crate) async fn document(
        &self,
        name: &RepoName,
        digest: &Digest,
    ) -> Result<Result<Value, Unreadable>> {
        let read = self.read_sized(name, digest, small_document).await?;
        Ok(read.map(|(document, _)| document))
    }

    /// What `parse` takes from the configuration, and its size in bytes.
    async fn read_sized<T: Send + 'static>(
        &self,
        name: &RepoName,
        digest: &Digest,
        parse: fn(&[u8]) -> Result<T, Flaw>,
    ) -> Result<Result<(T, u64), Unreadable>> {
        let link = layout::layer_link(name, digest);
        if self.links.target(&link).await?.is_none() {
            return Ok(Err(Flaw::ConfigUnlinked { digest: *digest }.into()));
        }
        let key = layout::blob(digest);
        let small = self.storage.read(&key, INLINE as u64).await;
        let read = match small {
            Err(error) if error.kind() == ErrorKind::TooLarge => {
                let turn = turn(&self.large_reads).await?;
                match self.storage.read(&key, READ_LIMIT).await {
                    Ok(object) => {
                        let digest = *digest;
                        return Ok(in_turn(turn, move || examine(&digest, &object.bytes, parse)).await?);
                    }
                    Err(error) => Err(error),
                }
            }
            read => read,
        };
        match read {
            Ok(object) => Ok(examine(digest, &object.bytes, parse)),
            Err(error) => match error.kind() {
                ErrorKind::NotFound => Ok(Err(Flaw::ConfigMissing { digest: *digest }.into())),
                ErrorKind::TooLarge => Ok(Err(Flaw::ConfigTooLarge { digest: *digest }.into())),
                ErrorKind::Damaged => Ok(Err(Flaw::ConfigDamaged { digest: *digest }.into())),
                _ => Err(error.into()),
            },
        }
    }
}

/// The whole of a configuration, which takes many times its size in memory.
fn small_document(bytes: &[u8]) -> Result<Value, Flaw> {
    if bytes.len() > WHOLE_LIMIT {
        return Err(Flaw::ConfigNotCompared);
    }
    serde_json::from_slice(bytes).map_err(|_| Flaw::NoConfig)
}

fn examine<T>(
    digest: &Digest,
    bytes: &Bytes,
    parse: fn(&[u8]) -> Result<T, Flaw>,
) -> Result<(T, u64), Unreadable> {
    if Digest::of(digest.algorithm(), bytes) != *digest {
        return Err(Flaw::ConfigDamaged { digest: *digest }.into());
    }
    let parsed = parse(bytes)?;
    Ok((parsed, bytes.len() as u64))
}
