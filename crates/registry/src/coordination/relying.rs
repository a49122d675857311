//! The part of the protocol that requests take which let a client that pushes rely on a digest.

use std::{collections::HashMap, future::poll_fn, pin::pin, sync::Arc, task::Poll};

use wharf_oci::{Digest, RepoName};

use super::{
    decisions::{Relying, Timing},
    link_marks::link_mark,
    marks::Marks,
    moment::Moment,
};
use crate::{
    error::{Error, Result},
    tree::parallel::in_parallel,
};

/// What a request may rely on, and for how long.
#[derive(Debug, Default)]
pub(crate) struct Reliance {
    swept: Vec<Digest>,
    limit: Option<Limit>,
}

/// Until when what relies on the digests may be published.
#[derive(Debug, Clone, Copy)]
struct Limit {
    /// When the marks were read, at the earliest.
    since: Moment,
    timing: &'static Timing,
}

impl Reliance {
    /// What of `digests` may be relied on, and of the links of `repository` to them. If some of these are doomed, they are pinned. A
    /// digest counts as absent also if only its link is about to go.
    ///
    /// Whether the digests are stored is to be looked up after this: a digest of which no mark was found may have been swept
    /// before.
    pub(super) async fn on(
        marks: &Arc<dyn Marks>,
        repository: Option<&RepoName>,
        digests: &[Digest],
    ) -> Result<Self> {
        let links = digests
            .iter()
            .filter_map(|layer| Some((link_mark(repository?, layer), *layer)));
        let links: HashMap<Digest, Digest> = links.collect();
        let digests: Vec<Digest> = digests.iter().chain(links.keys()).copied().collect();
        let digests = &digests[..];
        // Before the doom is read: the collector reads in the opposite order.
        marks.note(digests);
        if !marks.may_be_any() {
            return Ok(Self::default());
        }
        let (suspects, timing) = (marks.suspects(digests).await?, marks.timing());
        let asked = suspects.digests.iter().map(|digest| may_rely_on(marks, digest));
        let may_go_on: Vec<bool> = in_parallel(asked).await?;
        let swept = suspects.digests.iter().zip(may_go_on);
        let swept = swept.filter(|(_, may_go_on)| !may_go_on);
        Ok(Self {
            swept: swept
                .map(|(digest, _)| links.get(digest).copied().unwrap_or(*digest))
                .collect(),
            limit: Some(Limit {
                since: suspects.since,
                timing,
            }),
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
        let Some(Limit { since, timing }) = self.limit else {
            return publish.await;
        };
        let late = || Error::Busy {
            reason: "checking the content that is referred to, or storing the references, took too long",
        };
        let begun = Moment::now();
        if since.elapsed() >= timing.reliance {
            return Err(late());
        }
        // A process that was stopped meanwhile finds that out before it sends anything more.
        let mut publish = pin!(publish);
        let in_time = poll_fn(|context| match begun.elapsed() >= timing.publication {
            true => Poll::Ready(Err(late())),
            false => publish.as_mut().poll(context),
        });
        let published = tokio::time::timeout(timing.publication, in_time).await;
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
            Relying::ReadSweep => marks.is_swept(digest).await?,
            Relying::GoOn => return Ok(true),
            Relying::Swept => return Ok(false),
        };
        at = at.next(answer);
    }
}
