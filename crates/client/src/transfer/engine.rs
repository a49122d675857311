//! Moving one image: what it consists of is found first. Then blobs go before manifests, children before their index, and the
//! tag goes last.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use parking_lot::Mutex;
use wharf_oci::{Descriptor, Digest, Reference, Tag};

use super::{
    graph::{self, Graph, Node},
    model::{Event, Moved, Outcome, Progress, Settings, TransferError},
    source::Source,
    target::Target,
};

/// Moves the image at `reference` with everything that it needs, and with `tag` as its name on the other side.
///
/// # Errors
/// When the image is not there, or one of the sides fails. The tag is not written then.
pub async fn image(
    source: &Source,
    target: &Target,
    (reference, tag): (&Reference, Option<&Tag>),
    settings: &Settings,
    progress: &dyn Progress,
) -> Result<Moved, TransferError> {
    let graph = Graph::read(source, reference, settings).await?;
    let transfer = Transfer {
        source,
        target,
        progress,
        jobs: settings.jobs.max(1),
        left_out: Mutex::default(),
    };
    let root = graph.root();
    transfer.nodes(&graph).await?;
    transfer.referrers(&graph).await?;
    let mut kept = Vec::new();
    for (tag, digest) in &graph.digest_tags {
        if let Some(node) = graph.node(digest)
            && !target.digest_tag(tag, node).await?
        {
            kept.push(tag.clone());
        }
    }
    target.root(tag, root, graph.native()).await?;
    Ok(Moved {
        digest: root.descriptor.digest,
        original: graph.original,
        referrers: graph.referrers.values().map(Vec::len).sum(),
        kept,
        left_out: transfer.left_out.into_inner(),
    })
}

/// One image on its way.
struct Transfer<'a> {
    source: &'a Source,
    target: &'a Target,
    progress: &'a dyn Progress,
    jobs: usize,
    /// Layers that neither side has, because their licence keeps them elsewhere.
    left_out: Mutex<Vec<Digest>>,
}

impl Transfer<'_> {
    /// Moves the blobs, and then the manifests from the leaves to the root.
    async fn nodes(&self, graph: &Graph) -> Result<(), TransferError> {
        let missing: Vec<&Node> = stream::iter(graph.nodes())
            .map(|node| async move {
                let is_there = self.target.has_manifest(&node.descriptor.digest).await?;
                if is_there {
                    self.progress
                        .event(Event::Manifest(&node.descriptor, Outcome::Present));
                }
                Ok::<_, TransferError>((!is_there).then_some(node))
            })
            .buffer_unordered(self.jobs)
            .try_filter_map(|node| async move { Ok(node) })
            .try_collect()
            .await?;
        let blobs = graph::blobs(&missing);
        stream::iter(blobs)
            .map(|blob| self.blob(blob))
            .buffer_unordered(self.jobs)
            .try_collect::<()>()
            .await?;
        let mut missing = missing;
        missing.sort_by_key(|node| node.height);
        for of_one_height in missing.chunk_by(|a, b| a.height == b.height) {
            stream::iter(of_one_height)
                .map(|node| async move {
                    self.target.put_manifest(node).await?;
                    self.progress
                        .event(Event::Manifest(&node.descriptor, Outcome::Moved));
                    Ok::<_, TransferError>(())
                })
                .buffer_unordered(self.jobs)
                .try_collect::<()>()
                .await?;
        }
        Ok(())
    }

    async fn blob(&self, blob: &Descriptor) -> Result<(), TransferError> {
        self.progress.event(Event::Begins(blob));
        let sent = |bytes| self.progress.event(Event::Sent(blob, bytes));
        let outcome = match blob.is_foreign() && !self.source.has(blob).await? {
            true if self.target.has_blob(blob).await? => Outcome::Present,
            true => {
                self.left_out.lock().push(blob.digest);
                Outcome::LeftOut
            }
            false => self.target.take_blob(self.source, blob, &sent).await?,
        };
        self.progress.event(Event::Ends(blob, outcome));
        Ok(())
    }

    /// Sees to it that the other side lists what refers to the manifests, also when an earlier transfer stopped before that.
    async fn referrers(&self, graph: &Graph) -> Result<(), TransferError> {
        for (subject, referrers) in &graph.referrers {
            let referrers: Vec<&Node> = referrers.iter().filter_map(|digest| graph.node(digest)).collect();
            self.target.list_referrers(subject, &referrers).await?;
        }
        Ok(())
    }
}
