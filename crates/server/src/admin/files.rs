//! The files of one layer of an image, by directory, and what is remembered of layers.

mod index;
mod listing;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use quick_cache::{Weighter, sync::Cache};
use tokio::{runtime::Handle, task::spawn_blocking};
use wharf_budget::{Budget, Exhausted, HEAVY, Permit, Share};
use wharf_layers::{Change, Changes};
use wharf_message::Sentence;
use wharf_oci::{Digest, RepoName};
use wharf_registry::{Error, PartsWanted, Registry, Result, TagRights};
use wharf_storage::ErrorKind;

pub(super) use self::index::{ContentDigest, Cut, LayerIndex};
pub use self::listing::FilesWanted;
use self::listing::listed;
use super::{shown::told, wire};
use crate::words::MissingFiles;

/// How long one request reads layers.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a request waits for others that read layers.
const WAIT: Duration = Duration::from_secs(30);

/// How long a layer is remembered of which reading took too long, so that not all of it is known.
const FRESH: Duration = Duration::from_secs(600);

/// Bytes of what is remembered of layers.
const IN_MEMORY: u64 = 48 << 20;

/// How many layers are remembered, about.
const LAYERS: usize = 1000;

/// Bytes of what is remembered of comparisons: one of two images without a common file fits.
const COMPARED_IN_MEMORY: u64 = 32 << 20;

/// How many comparisons are remembered, about: so few that the cache is of one piece, in which the largest one finds room.
const COMPARISONS: usize = 30;

/// Reads layers, some at a time, and remembers what they hold by their digests. Clones share it.
#[derive(Clone)]
pub struct LayerFiles(Arc<Inner>);

struct Inner {
    share: Share,
    known: Cache<Digest, Known, ByMemory>,
    compared: Cache<[Digest; 2], Arc<Changes>, ByMemory>,
}

/// What is remembered of a layer.
#[derive(Clone)]
struct Known {
    index: Arc<LayerIndex>,
    read: Instant,
}

#[derive(Debug, Clone)]
struct ByMemory;

impl Weighter<Digest, Known> for ByMemory {
    fn weight(&self, _: &Digest, known: &Known) -> u64 {
        (size_of::<(Digest, Known)>() + size_of::<LayerIndex>() + known.index.weight) as u64
    }
}

impl Weighter<[Digest; 2], Arc<Changes>> for ByMemory {
    fn weight(&self, _: &[Digest; 2], changes: &Arc<Changes>) -> u64 {
        let lists = [&changes.added, &changes.removed, &changes.changed];
        let all = lists.into_iter().flatten();
        let weight =
            |change: &Change| size_of::<Change>() + change.path.len() + change.what.len() * size_of::<&str>();
        (size_of::<[Digest; 2]>() + size_of::<Changes>() + all.map(weight).sum::<usize>()) as u64
    }
}

/// What a request that holds it may read of layers.
#[derive(Debug)]
pub(super) struct Turn {
    permit: Arc<Permit>,
    deadline: Instant,
    /// Whether a layer of which reading took too long is of use.
    takes_parts: bool,
}

impl LayerFiles {
    /// Reads as many layers at a time as `budget` permits.
    pub fn of(budget: &Budget) -> Self {
        Self::with(budget.layers.clone())
    }

    fn with(share: Share) -> Self {
        Self(Arc::new(Inner {
            share,
            known: Cache::with_weighter(LAYERS, IN_MEMORY, ByMemory),
            compared: Cache::with_weighter(COMPARISONS, COMPARED_IN_MEMORY, ByMemory),
        }))
    }

    /// Waits for a turn at reading a layer.
    ///
    /// # Errors
    ///
    /// When others read for too long.
    async fn turn(&self) -> Result<Turn, Exhausted> {
        self.turns(1, true).await
    }

    /// Waits for all turns, to read whole layers.
    ///
    /// # Errors
    ///
    /// As [`turn`](Self::turn).
    pub(super) async fn all_turns(&self) -> Result<Turn, Exhausted> {
        self.turns(self.0.share.limit(), false).await
    }

    async fn turns(&self, turns: usize, takes_parts: bool) -> Result<Turn, Exhausted> {
        let permit = self.0.share.wait(turns, WAIT).await?;
        Ok(Turn {
            permit: Arc::new(permit),
            deadline: Instant::now() + PATIENCE,
            takes_parts,
        })
    }

    /// In which files two images differ, by the digests of their manifests, if that is remembered. The digests say all of both images, so
    /// it never goes stale.
    pub(super) fn compared(&self, images: &[Digest; 2]) -> Option<Arc<Changes>> {
        self.0.compared.get(images)
    }

    /// Remembers in which files two images differ.
    pub(super) fn remember(&self, images: [Digest; 2], changes: Arc<Changes>) {
        self.0.compared.insert(images, changes);
    }

    /// What is remembered of the layer `digest`.
    fn known(&self, digest: &Digest, turn: &Turn) -> Option<Arc<LayerIndex>> {
        let known = self.0.known.get(digest)?;
        let is_whole = known.index.cut != Some(Cut::Slow);
        let is_good = is_whole || (turn.takes_parts && known.read.elapsed() < FRESH);
        is_good.then_some(known.index)
    }

    /// What the layer `digest` of `name` holds, or why that cannot be told, in words.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(super) async fn read(
        &self,
        registry: &Registry,
        (name, digest): (&RepoName, &Digest),
        turn: &Turn,
    ) -> Result<Result<Arc<LayerIndex>, Sentence>> {
        // That the repository has it is asked of the store whatever is remembered.
        let blob = match registry.open_blob(name, digest).await {
            Ok(blob) => blob,
            Err(Error::BlobUnknown { .. }) => return Ok(Err(MissingFiles::LayerMissing.into())),
            Err(error) => return Err(error),
        };
        if let Some(index) = self.known(digest, turn) {
            return Ok(Ok(index));
        }
        let (runtime, deadline) = (Handle::current(), turn.deadline);
        let permit = Arc::clone(&turn.permit);
        let read = joined(move || {
            let read = LayerIndex::read(blob, runtime, deadline);
            // A client that went away meanwhile leaves its turn when the work has ended, and not before.
            drop(permit);
            read
        });
        Ok(match read.await? {
            Ok(index) => {
                let index = Arc::new(index);
                let known = Known {
                    index: Arc::clone(&index),
                    read: Instant::now(),
                };
                if turn.takes_parts || index.cut != Some(Cut::Slow) {
                    self.0.known.insert(*digest, known);
                }
                Ok(index)
            }
            Err(why) => Err(why),
        })
    }
}

/// Runs `work`, which takes long, on a thread of its own.
pub(super) async fn joined<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let failed = |error| wharf_storage::Error::with_source(ErrorKind::Other, "look at layers", error);
    Ok(spawn_blocking(work).await.map_err(failed)?)
}

impl Default for LayerFiles {
    fn default() -> Self {
        Self::with(Share::new("layers", HEAVY))
    }
}

impl fmt::Debug for LayerFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerFiles")
            .field("layers", &self.0.known.len())
            .finish_non_exhaustive()
    }
}

/// The files that are `wanted` of one layer of an image, for a client with these `rights`.
///
/// # Errors
///
/// As [`Registry::image_parts`]; [`Error::Exhausted`] when others read layers for too long.
pub async fn layer_files(
    registry: &Registry,
    files: &LayerFiles,
    image: PartsWanted<'_>,
    wanted: FilesWanted,
    rights: &dyn TagRights,
) -> Result<wire::LayerFiles> {
    let mut shown = wire::LayerFiles {
        repository: image.name.to_string(),
        reference: image.reference.to_string(),
        number: wanted.layer,
        path: wanted.path.clone(),
        ..wire::LayerFiles::default()
    };
    let parts = match registry.image_parts(image, rights).await? {
        Ok(parts) => parts,
        Err(why) => {
            say(&mut shown, why);
            return Ok(shown);
        }
    };
    shown.digest = Some(parts.digest.to_string());
    shown.layers = parts.layers.len();
    let place = wanted.layer.saturating_sub(1);
    let Some(layer) = parts.layers.get(place) else {
        let no_layer = MissingFiles::NoLayer {
            number: wanted.layer,
            n: parts.layers.len(),
        };
        say(&mut shown, no_layer.into());
        return Ok(shown);
    };
    shown.layer = Some(wire::Part {
        digest: layer.digest.to_string(),
        media_type: layer.media_type.clone(),
        size: layer.size,
    });
    shown.made_by = parts.made_by.get(place).cloned().map(super::image::short);
    let turn = files.turn().await?;
    match files.read(registry, (image.name, &layer.digest), &turn).await? {
        Ok(index) => {
            if let Some(cut) = index.cut {
                say(&mut shown, cut.in_words(index.entries.len()).into());
            }
            shown.total = index.entries.len();
            let page = joined(move || listed(&index, &wanted)).await?;
            shown.files = page.files;
            shown.next = page.next;
            shown.opaque = page.is_opaque;
        }
        Err(why) => say(&mut shown, why),
    }
    Ok(shown)
}

/// Says why files are missing.
fn say(shown: &mut wire::LayerFiles, why: Sentence) {
    let (problem, messages) = told(why);
    (shown.problem, shown.problem_messages) = (Some(problem), messages);
}

impl Cut {
    /// Why the files after the first `known` are missing.
    pub(crate) fn in_words(self, known: usize) -> MissingFiles {
        match self {
            Self::Many => MissingFiles::Many { n: known },
            Self::Slow => MissingFiles::Slow { n: known },
        }
    }
}
