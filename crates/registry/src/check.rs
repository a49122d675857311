//! Checking: reads a whole store beside its users, and names each damage once, with the images that suffer and a remedy.
//!
//! # What is damage
//!
//! What keeps a client from pulling an image whole, by what its `GET` requests need: the link of the tag, the link and the
//! bytes of the manifest, and for each configuration, layer and child that the manifest names, the link in the repository
//! and the bytes. No damage is:
//!
//! - a `subject` that is absent: it may be pushed later;
//! - a foreign layer without a link: clients fetch it from its URLs;
//! - a child of an index without a link, where the configuration lets indexes be sparse
//!   ([`Options::required_children`], [`Options::allow_missing_references`]);
//! - what a manifest of an unknown type names: what its fields mean is unknown;
//! - schema 1, which is served as it is stored; its layers count;
//! - a size in a manifest that is not that of the bytes, if these have their digest: the registry takes such manifests.
//!
//! A link says that something was there. So bytes that are linked and not stored are damage also where a link could be
//! absent; unless no manifest names them, when they are leftovers.
//!
//! # Beside pushes, deletions and a collector
//!
//! Nothing is locked. A repository in which something is wrong is read again, twice, and only what all three reads find
//! counts: a push or a deletion that was under way is over by then, or shows something else. A blob whose bytes are wrong
//! is read a second time, and once more looked at before it is reported, because it may have been pushed or removed meanwhile.
//!
//! # Memory
//!
//! One repository is in memory at a time on each of a few tasks, some hundred bytes a digest, and what was found of blobs:
//! of each the images that suffer, at most a thousand of them by name.

mod blobs;
mod content;
mod finding;
mod images;
mod judge;
mod needs;
mod position;
mod progress;
mod quarantine;
mod survey;
pub(crate) mod turn;
mod verify;
mod words;

use std::{collections::BTreeMap, num::NonZeroU64, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};
use tokio::time::Instant;
use wharf_oci::{Digest, RepoName};
use wharf_storage::{Storage, layout};

use crate::{
    error::Result,
    hashing::{HashedBytes, Pace},
    registry::Options,
    tree::parallel::failed_job,
};

pub(crate) use self::{
    blobs::Blobs,
    position::Position,
    survey::{Survey, suffering},
    verify::{Verdict, judge as judge_read, verify},
};
pub use self::{
    finding::{Finding, Image, ImageReference, Images, Link, Problem, Severity},
    position::{CheckTotals, LastCheck, last_check},
    progress::{Counts, Progress},
    turn::{CheckTurn, PATIENCE},
    words::{Damage, Remedy},
};

/// How many blobs are hashed at once.
const AT_ONCE: usize = 2;

/// How often it is noted how far a check is.
const NOTE: Duration = Duration::from_secs(10);

/// How a store is checked.
#[derive(Debug, Clone, Default)]
pub struct CheckOptions {
    /// Whether blobs are not hashed, except those that have something else wrong.
    pub is_quick: bool,
    /// The one repository that is checked, with the blobs that it has links of; `None`: all of the store.
    pub repository: Option<RepoName>,
    /// Bytes that are read in a second to hash blobs; `None`: as many as there are.
    pub rate: Option<NonZeroU64>,
    /// Whether damaged bytes are moved to the quarantine. No other process may use the store then.
    pub repair: bool,
}

/// Checks one store.
#[derive(Debug)]
pub struct Checker {
    storage: Arc<dyn Storage>,
    options: CheckOptions,
    survey: Survey,
    pace: Arc<Pace>,
    progress: Arc<Progress>,
}

impl Checker {
    /// A checker of `storage`, which serves images by the rules of `registry`. Does no I/O.
    pub fn new(storage: Arc<dyn Storage>, registry: &Options, options: CheckOptions) -> Self {
        let progress = Arc::new(Progress::default());
        Self {
            survey: Survey::new(
                Arc::clone(&storage),
                registry.clone(),
                options.repository.clone(),
                options.repair,
            ),
            pace: Arc::new(Pace::new(options.rate)),
            progress,
            options,
            storage,
        }
    }

    /// How far the check is, and what it has found.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Checks. What is found is taken from the [`progress`](Self::progress), meanwhile or at the end.
    ///
    /// # Errors
    ///
    /// When the store is not available, or its repositories cannot be listed at all.
    pub async fn run(&self) -> Result<Counts> {
        let mut position = self.load().await?;
        let surveyed = self.survey.run(&self.progress).await?;
        let mut blobs = Found {
            missing: surveyed.missing,
            damaged: BTreeMap::new(),
            unreadable: BTreeMap::new(),
        };
        let mut suspects = surveyed.suspects;
        for digest in std::mem::take(&mut position.damaged) {
            suspects.entry(digest).or_default();
        }
        for (digest, images) in suspects {
            let verdict = verify(&*self.storage, &digest, &self.pace).await?;
            self.settle(&mut blobs, &mut position, digest, images, verdict);
        }
        if !self.options.is_quick {
            self.hash_all(surveyed.linked, &mut blobs, &mut position).await?;
        }
        self.name_images(&mut blobs).await?;
        self.report(blobs).await?;
        if self.is_whole() {
            let counts = self.progress.counts();
            (position.blobs, position.bytes) = (counts.blobs, counts.bytes);
            position.found = Some(counts.totals());
            position.end();
            self.save(&position).await;
        }
        Ok(self.progress.counts())
    }

    /// Whether it is noted how far the check is.
    fn is_whole(&self) -> bool {
        !self.options.is_quick && self.options.repository.is_none()
    }

    /// How far an earlier check was that did not end.
    async fn load(&self) -> Result<Position> {
        if !self.is_whole() {
            return Ok(Position::default());
        }
        let mut position = Position::load(&*self.storage, &layout::check()).await?;
        if position.is_under_way() {
            self.progress.goes_on_after(position.last);
        } else {
            position.begin();
            position.damaged.clear();
        }
        Ok(position)
    }

    async fn save(&self, position: &Position) {
        if let Err(error) = position.save(&*self.storage, &layout::check()).await {
            tracing::debug!(%error, "cannot note how far the check is; if it is interrupted, the next one begins anew");
        }
    }

    /// Hashes the blobs in the order of their digests: all, or those that the one repository has links of.
    async fn hash_all(&self, linked: Vec<Digest>, blobs: &mut Found, position: &mut Position) -> Result<()> {
        let digests: BoxStream<'_, Result<Digest>> = match &self.options.repository {
            Some(_) => stream::iter(linked).map(Ok).boxed(),
            None => self.stored_after(position.last),
        };
        let mut verdicts = digests
            .map_ok(|digest| {
                let (storage, pace) = (Arc::clone(&self.storage), Arc::clone(&self.pace));
                async move {
                    let job = tokio::spawn(async move { verify(&*storage, &digest, &pace).await });
                    Ok((digest, job.await.map_err(failed_job)??))
                }
            })
            .try_buffered(AT_ONCE);
        let mut noted = Instant::now();
        while let Some((digest, verdict)) = verdicts.try_next().await? {
            if let Verdict::Sound { size, .. } = &verdict {
                self.progress.hashed(*size);
            } else if let Verdict::Damaged(hashed) = &verdict {
                self.progress.hashed(hashed.size);
            }
            self.settle(blobs, position, digest, Images::default(), verdict);
            position.last = Some(digest);
            self.progress.reached(&digest);
            if self.is_whole() && noted.elapsed() >= NOTE {
                self.save(position).await;
                noted = Instant::now();
            }
        }
        Ok(())
    }

    fn stored_after(&self, last: Option<Digest>) -> BoxStream<'_, Result<Digest>> {
        stream::try_unfold(Blobs::after(last), move |mut walk| async move {
            let next = walk.next(&*self.storage).await?;
            let problems = walk.take_problems().into_iter();
            problems.for_each(|problem| self.progress.found(Finding::new(problem, Images::default())));
            Ok(next.map(|digest| (digest, walk)))
        })
        .boxed()
    }

    /// Notes what was found of one blob.
    fn settle(
        &self,
        blobs: &mut Found,
        position: &mut Position,
        digest: Digest,
        images: Images,
        verdict: Verdict,
    ) {
        match verdict {
            Verdict::Damaged(hashed) => {
                position.note(&digest, true);
                let known = blobs.damaged.entry(digest);
                known
                    .or_insert_with(|| (hashed, Images::default()))
                    .1
                    .extend(images);
            }
            Verdict::Unreadable(error) => {
                let known = blobs.unreadable.entry(digest);
                known
                    .or_insert_with(|| (error, Images::default()))
                    .1
                    .extend(images);
            }
            Verdict::Sound { .. } | Verdict::Gone => {}
        }
    }

    /// Looks for the images that need a damaged blob, where that is not known from the survey.
    async fn name_images(&self, blobs: &mut Found) -> Result<()> {
        let damaged = blobs.damaged.iter().map(|(digest, (_, images))| (digest, images));
        let unreadable = blobs
            .unreadable
            .iter()
            .map(|(digest, (_, images))| (digest, images));
        let unnamed = damaged.chain(unreadable).filter(|(_, images)| images.is_empty());
        let unnamed: Vec<Digest> = unnamed.map(|(digest, _)| *digest).collect();
        if unnamed.is_empty() {
            return Ok(());
        }
        for (digest, images) in suffering(&self.storage, self.options.repository.as_ref(), unnamed).await? {
            if let Some((_, known)) = blobs.damaged.get_mut(&digest) {
                known.extend(images);
            } else if let Some((_, known)) = blobs.unreadable.get_mut(&digest) {
                known.extend(images);
            }
        }
        Ok(())
    }

    /// Reports what is still so, and moves damaged bytes aside if that was asked for.
    async fn report(&self, blobs: Found) -> Result<()> {
        for (digest, images) in blobs.missing {
            if matches!(self.storage.stat(&layout::blob(&digest)).await, Err(error) if error.is_not_found()) {
                self.progress
                    .found(Finding::new(Problem::MissingBlob { digest }, images));
            }
        }
        for (digest, (error, images)) in blobs.unreadable {
            let path = layout::blob(&digest).as_str().into();
            self.progress
                .found(Finding::new(Problem::Unreadable { path, error }, images));
        }
        for (digest, (mut hashed, images)) in blobs.damaged {
            match self.storage.stat(&layout::blob(&digest)).await {
                Ok(stat) if stat.version.is_some() && stat.version == hashed.version => {}
                Err(error) if error.is_not_found() => continue,
                _ => match verify(&*self.storage, &digest, &self.pace).await? {
                    Verdict::Damaged(again) => hashed = again,
                    Verdict::Sound { .. } | Verdict::Gone | Verdict::Unreadable(_) => continue,
                },
            }
            let problem = Problem::DamagedBlob {
                digest,
                size: hashed.size,
                actual: hashed.digest,
            };
            let mut finding = Finding::new(problem, images);
            if self.options.repair {
                finding.quarantined = Some(quarantine::quarantine(&*self.storage, &digest).await?);
            }
            self.progress.found(finding);
        }
        Ok(())
    }
}

/// Blobs that were found wrong, each with the images that suffer.
struct Found {
    missing: BTreeMap<Digest, Images>,
    damaged: BTreeMap<Digest, (HashedBytes, Images)>,
    /// Blobs that cannot be read, each with the error of the store.
    unreadable: BTreeMap<Digest, (String, Images)>,
}
