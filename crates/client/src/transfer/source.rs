//! Where images come from: a repository of a registry, or a file.

use std::sync::Arc;

use bytes::Bytes;
use wharf_oci::{Descriptor, Digest, ManifestKind, ManifestView, Reference, Tag};

use super::{
    file::FileReader,
    layout::Layout,
    model::TransferError,
    platforms::{self, WantedPlatform},
};
use crate::{BlobReader, Client, Manifest, stream::Blob};

/// Where images come from.
#[derive(Debug)]
pub enum Source {
    /// A repository of a registry.
    Registry {
        /// Connection to the registry.
        client: Arc<Client>,
        /// Name of the repository.
        repository: String,
    },
    /// An image layout, or an archive of docker.
    Layout(Arc<Layout>),
}

/// A blob of a source.
#[derive(Debug)]
pub(super) enum SourceBlob {
    Registry(Box<BlobReader>),
    File(FileReader),
}

impl Source {
    pub(super) async fn manifest(&self, reference: &Reference) -> Result<Manifest, TransferError> {
        match self {
            Self::Registry { client, repository } => Ok(client.manifest(repository, reference).await?),
            Self::Layout(layout) => Ok(layout.manifest(reference).await?),
        }
    }

    /// The manifests that refer to `subject`.
    pub(super) async fn referrers(&self, subject: &Digest) -> Result<Vec<Digest>, TransferError> {
        let found = match self {
            Self::Registry { client, repository } => client.referrers(repository, subject).await?,
            Self::Layout(layout) => return Ok(layout.referrers(subject)),
        };
        Ok(found.into_iter().map(|found| found.digest).collect())
    }

    /// The digest at which `tag` points.
    pub(super) async fn digest_of(&self, tag: &Tag) -> Result<Option<Digest>, TransferError> {
        match self {
            Self::Registry { client, repository } => {
                let reference = Reference::Tag(tag.clone());
                Ok(client.manifest_digest(repository, &reference).await?)
            }
            Self::Layout(layout) => Ok(layout.tag(tag)),
        }
    }

    /// The repository of the other side that had a blob which the file was exported without.
    pub(super) fn base(&self, digest: &Digest) -> Option<&str> {
        match self {
            Self::Registry { .. } => None,
            Self::Layout(layout) => layout.base(digest),
        }
    }

    /// Whether the source has a blob.
    pub(super) async fn has(&self, blob: &Descriptor) -> Result<bool, TransferError> {
        match self {
            Self::Registry { client, repository } => Ok(client.has_blob(repository, &blob.digest).await?),
            Self::Layout(layout) => Ok(layout.has(&blob.digest)?),
        }
    }

    /// The digest of the image for one platform: `wanted`, or without it the one of this machine. A single image is taken as it
    /// is.
    ///
    /// # Errors
    /// When there is no such image.
    pub async fn single(
        &self,
        reference: &Reference,
        wanted: Option<&WantedPlatform>,
    ) -> Result<Digest, TransferError> {
        let manifest = self.manifest(reference).await?;
        let digest = manifest.digest;
        let view = ManifestView::parse_stored(&manifest.bytes).map_err(|error| TransferError::Manifest {
            digest,
            reason: error.to_string(),
        })?;
        match view.kind {
            ManifestKind::Index => Ok(platforms::choose(&view, wanted)?),
            _ => Ok(digest),
        }
    }

    /// The blob; `None`: the file was exported without it.
    pub(super) fn blob(&self, descriptor: &Descriptor) -> Result<Option<SourceBlob>, TransferError> {
        match self {
            Self::Registry { client, repository } => {
                let reader = BlobReader::new(Arc::clone(client), repository, &descriptor.digest);
                Ok(Some(SourceBlob::Registry(Box::new(reader))))
            }
            Self::Layout(layout) => Ok(layout.blob(&descriptor.digest)?.map(SourceBlob::File)),
        }
    }
}

impl Blob for SourceBlob {
    fn seek(&mut self, position: u64) {
        match self {
            Self::Registry(blob) => blob.seek(position),
            Self::File(blob) => blob.seek(position),
        }
    }

    async fn next(&mut self) -> crate::Result<Option<Bytes>> {
        match self {
            Self::Registry(blob) => blob.next().await,
            Self::File(blob) => blob.next().await,
        }
    }
}
