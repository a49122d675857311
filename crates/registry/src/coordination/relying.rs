//! The part of the protocol that requests take which let a client that pushes rely on a digest.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use wharf_oci::Digest;

use super::{decisions::Relying, marks::Marks};
use crate::{
    error::{Error, Result},
    tree::parallel::in_parallel,
};

/// What a request may rely on, and for how long.
#[derive(Debug, Default)]
pub(crate) struct Reliance {
    swept: Vec<Digest>,
    /// When publishing has to begin, and how long it may take.
    limit: Option<(Instant, Duration)>,
}

impl Reliance {
    /// What of `digests` may be relied on. If some of them are doomed, they are pinned.
    ///
    /// Whether the digests are stored is to be looked up after this: a digest of which no mark was found may have been swept
    /// before.
    pub(super) async fn on(marks: &Arc<dyn Marks>, digests: &[Digest]) -> Result<Self> {
        if !marks.may_be_any() {
            return Ok(Self::default());
        }
        let (suspects, timing) = (marks.suspects(digests).await?, marks.timing());
        let asked = suspects.digests.iter().map(|digest| may_rely_on(marks, digest));
        let may_go_on: Vec<bool> = in_parallel(asked).await?;
        let swept = suspects.digests.iter().zip(may_go_on);
        let swept = swept.filter(|(_, may_go_on)| !may_go_on);
        Ok(Self {
            swept: swept.map(|(digest, _)| *digest).collect(),
            limit: Some((suspects.since + timing.reliance, timing.publication)),
        })
    }

    /// Whether `digest` counts as absent, whatever is stored: the collector is about to remove it.
    pub(crate) fn is_swept(&self, digest: &Digest) -> bool {
        self.swept.contains(digest)
    }

    /// Publishes what relies on the digests, within the time that the collector waits for.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when it is too late to begin, or it takes too long; the errors of `publish`.
    pub(crate) async fn publish(&self, publish: impl Future<Output = Result<()>>) -> Result<()> {
        let Some((until, publication)) = self.limit else {
            return publish.await;
        };
        let late = || Error::Busy {
            reason: "checking the content that is referred to, or storing the references, took too long",
        };
        if Instant::now() >= until {
            return Err(late());
        }
        let published = tokio::time::timeout(publication, publish).await;
        published.map_err(|_elapsed| late())?
    }
}

async fn may_rely_on(marks: &Arc<dyn Marks>, digest: &Digest) -> Result<bool> {
    let mut at = Relying::ReadDoom;
    loop {
        let answer = match at {
            Relying::ReadDoom => marks.is_doomed(digest).await?,
            Relying::Pin => {
                marks.pin(digest).await?;
                true
            }
            Relying::ReadSweep => marks.is_sweeping().await?,
            Relying::GoOn => return Ok(true),
            Relying::Swept => return Ok(false),
        };
        at = at.next(answer);
    }
}
