//! Where images go: a repository of a registry, or files.

use std::sync::Arc;

use wharf_oci::{Descriptor, Digest, Reference, Tag};

use super::{
    error::LayoutError,
    graph::Node,
    model::{Outcome, TransferError},
    source::Source,
    writer::Writer,
};
use crate::{Client, push::Upload};

/// Where images go.
#[derive(Debug)]
pub enum Target {
    /// A repository of a registry.
    Registry {
        /// Connection to the registry.
        client: Arc<Client>,
        /// Name of the repository.
        repository: String,
    },
    /// An image layout that is being written.
    Files {
        /// The files.
        writer: Arc<Writer>,
        /// Name of the image, without its tag: `registry.example.com/app`.
        name: String,
    },
}

impl Target {
    pub(super) async fn has_manifest(&self, digest: &Digest) -> Result<bool, TransferError> {
        match self {
            Self::Registry { client, repository } => {
                let found = client
                    .pushed_digest(repository, &Reference::Digest(*digest))
                    .await?;
                Ok(found.is_some())
            }
            // All of a file is written: its blobs may still be missing.
            Self::Files { .. } => Ok(false),
        }
    }

    /// The digest at which `tag` points there. Of files, which are written anew, nothing is known.
    pub(super) async fn tagged(&self, tag: &Tag) -> Result<Option<Digest>, TransferError> {
        match self {
            Self::Registry { client, repository } => {
                let reference = Reference::Tag(tag.clone());
                match client.manifest_digest(repository, &reference).await {
                    // Some registries answer only a client that may push that there is no such repository yet.
                    Err(error) if error.is_denied() => {
                        Ok(client.pushed_digest(repository, &reference).await?)
                    }
                    found => Ok(found?),
                }
            }
            Self::Files { .. } => Ok(None),
        }
    }

    /// The repository as one that is read. Files are not read.
    pub(super) fn as_source(&self) -> Option<Source> {
        match self {
            Self::Registry { client, repository } => Some(Source::Registry {
                client: Arc::clone(client),
                repository: repository.clone(),
            }),
            Self::Files { .. } => None,
        }
    }

    /// How many of `referrers` the other side does not list for `subject`.
    pub(super) async fn unlisted(
        &self,
        subject: &Digest,
        referrers: &[Digest],
    ) -> Result<usize, TransferError> {
        let listed = match self {
            Self::Registry { client, repository } => client.referrers(repository, subject).await?,
            Self::Files { .. } => Vec::new(),
        };
        let is_listed = |digest: &&Digest| listed.iter().any(|known| known.digest == **digest);
        Ok(referrers.iter().filter(|digest| !is_listed(digest)).count())
    }

    /// Whether the blob is there.
    pub(super) async fn has_blob(&self, blob: &Descriptor) -> Result<bool, TransferError> {
        match self {
            Self::Registry { client, repository } => {
                Ok(client.blob_size(repository, &blob.digest).await? == Some(blob.size))
            }
            Self::Files { writer, .. } => Ok(writer.has(blob).await?),
        }
    }

    pub(super) async fn take_blob(
        &self,
        source: &Source,
        blob: &Descriptor,
        sent: &(dyn Fn(u64) + Sync),
    ) -> Result<Outcome, TransferError> {
        match self {
            Self::Registry { client, repository } => {
                let from = mountable(source, client, repository);
                // Also where it might be mounted: a registry that does not mount would get all of it again.
                if client.blob_size(repository, &blob.digest).await? == Some(blob.size) {
                    return Ok(Outcome::Present);
                }
                let Some(mut bytes) = source.blob(blob)? else {
                    // An export leaves out what this side has in some repository.
                    let is_mounted = match source.base(&blob.digest) {
                        Some(base) => client.mount_blob(repository, &blob.digest, base).await?,
                        None => false,
                    };
                    let missing = || LayoutError::Missing(blob.digest).into();
                    return is_mounted.then_some(Outcome::Mounted).ok_or_else(missing);
                };
                let pushed = client.push_blob(repository, blob, &mut bytes, from, sent).await?;
                Ok(match pushed {
                    Upload::Mounted => Outcome::Mounted,
                    Upload::Sent => Outcome::Moved,
                })
            }
            Self::Files { writer, .. } => {
                if writer.leaves_out(blob) {
                    return Ok(Outcome::LeftOut);
                }
                if writer.has(blob).await? {
                    return Ok(Outcome::Present);
                }
                let Some(mut bytes) = source.blob(blob)? else {
                    return Err(LayoutError::Missing(blob.digest).into());
                };
                writer.blob(blob, &mut bytes, sent).await?;
                Ok(Outcome::Moved)
            }
        }
    }

    /// Stores a manifest by its digest.
    pub(super) async fn put_manifest(&self, node: &Node) -> Result<(), TransferError> {
        match self {
            Self::Registry { client, repository } => {
                let reference = Reference::Digest(node.descriptor.digest);
                let media_type = &node.descriptor.media_type;
                client
                    .push_manifest(repository, &reference, media_type, &node.bytes)
                    .await?;
            }
            Self::Files { writer, .. } => writer.manifest(node).await?,
        }
        Ok(())
    }

    /// Lets the other side list `referrers` as those of `subject`.
    pub(super) async fn list_referrers(
        &self,
        subject: &Digest,
        referrers: &[&Node],
    ) -> Result<(), TransferError> {
        let (client, repository) = match self {
            Self::Registry { client, repository } => (client, repository),
            Self::Files { writer, .. } => {
                writer.list(referrers);
                return Ok(());
            }
        };
        let listed = client.referrers(repository, subject).await?;
        let is_listed = |node: &&&Node| listed.iter().any(|known| known.digest == node.descriptor.digest);
        let mut unlisted = Vec::new();
        for node in referrers.iter().filter(|node| !is_listed(node)) {
            let reference = Reference::Digest(node.descriptor.digest);
            let media_type = &node.descriptor.media_type;
            let pushed = client
                .push_manifest(repository, &reference, media_type, &node.bytes)
                .await?;
            if !pushed.lists_subject {
                unlisted.push(node.descriptor.clone());
            }
        }
        // The registry has no list: clients keep it at a tag.
        if !unlisted.is_empty() {
            client.add_to_fallback(repository, subject, &unlisted).await?;
        }
        Ok(())
    }

    /// Lets `tag` point at a manifest that is there.
    async fn tag(&self, tag: &Tag, node: &Node) -> Result<(), TransferError> {
        match self {
            Self::Registry { client, repository } => {
                let reference = Reference::Tag(tag.clone());
                let known = client.pushed_digest(repository, &reference).await?;
                if known != Some(node.descriptor.digest) {
                    let media_type = &node.descriptor.media_type;
                    client
                        .push_manifest(repository, &reference, media_type, &node.bytes)
                        .await?;
                }
            }
            Self::Files { writer, .. } => writer.digest_tag(tag, node),
        }
        Ok(())
    }

    /// Points a tag that is made of a digest, such as that of a signature, at a manifest; false: it points at another one, and stays. The
    /// other side may have signed the image as well.
    pub(super) async fn digest_tag(&self, tag: &Tag, node: &Node) -> Result<bool, TransferError> {
        if let Self::Registry { client, repository } = self {
            let reference = Reference::Tag(tag.clone());
            let known = client.pushed_digest(repository, &reference).await?;
            if let Some(known) = known {
                return Ok(known == node.descriptor.digest);
            }
        }
        self.tag(tag, node).await?;
        Ok(true)
    }

    /// Makes the image visible, once everything that it needs is there.
    /// `native` is the image for this machine.
    pub(super) async fn root(
        &self,
        tag: Option<&Tag>,
        node: &Node,
        native: Option<&Node>,
    ) -> Result<(), TransferError> {
        match self {
            Self::Registry { .. } => match tag {
                Some(tag) => self.tag(tag, node).await,
                None => Ok(()),
            },
            Self::Files { writer, name } => {
                writer.image(name, tag, node, native);
                Ok(())
            }
        }
    }
}

/// The repository of the same registry that has the blobs of `source`.
fn mountable<'a>(source: &'a Source, target: &Client, repository: &str) -> Option<&'a str> {
    match source {
        Source::Registry {
            client,
            repository: from,
        } if client.host == target.host && from != repository => Some(from),
        _ => None,
    }
}
