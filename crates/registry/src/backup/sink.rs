//! Where a backup is written: a store, which holds many snapshots.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use wharf_oci::Digest;
use wharf_storage::{ByteStream, Error, ErrorKind, Key, Put, Storage, layout as tree};

use super::{
    document::BaseName,
    error::{Error as BackupError, Result},
    layout::{BLOBS, INDEX, OCI_LAYOUT, Place, key},
};
use crate::{
    collect::digests::DigestSet,
    transfer::{self, Failure, Transfer},
    tree::scan::Scan,
};

/// A backup that has blobs which another one leaves out.
#[derive(Debug)]
pub struct Base {
    /// Its name.
    pub name: BaseName,
    /// The blobs that it has.
    pub(crate) blobs: DigestSet,
}

/// A place to write a backup to.
#[async_trait]
pub(super) trait Sink: Send + Sync + std::fmt::Debug {
    /// Writes a blob whose bytes are `pieces`, hashed on their way.
    async fn blob(&self, digest: &Digest, size: u64, pieces: ByteStream) -> Result<(), Failure>;

    /// Writes a document, unless it is there.
    async fn document(&self, place: Place, bytes: Bytes) -> Result<()>;

    /// The blobs that are there with other bytes, because the source gave these.
    fn damaged(&self) -> Vec<Digest>;

    /// Writes the index of the image layout and the snapshot, which makes the backup whole.
    async fn end(&self, snapshot: (&str, Bytes), index: Bytes) -> Result<()>;
}

/// A directory or a bucket.
#[derive(Debug)]
pub(super) struct StoreSink {
    storage: Arc<dyn Storage>,
}

impl StoreSink {
    /// Opens the backup in `storage`, and finds the blobs that it has.
    ///
    /// # Errors
    ///
    /// When it has a registry instead; errors of the store.
    pub(super) async fn open(storage: Arc<dyn Storage>) -> Result<(Self, DigestSet)> {
        for directory in [tree::blobs(), tree::repositories()] {
            let page = storage.scan(&directory, None, 1).await?;
            if !page.objects.is_empty() {
                return Err(BackupError::refused(
                    "the place to back up to has a registry in it; name an empty directory or prefix",
                ));
            }
        }
        let mut there = DigestSet::default();
        let prefix = key(BLOBS)?;
        let mut scan = Scan::new(&*storage, &prefix);
        while let Some(object) = scan.next().await? {
            if let Some(Place::Blob(digest)) = Place::of(object.key.as_str()) {
                there.insert(&digest);
            }
        }
        Ok((Self { storage }, there))
    }

    async fn put(&self, key: Key, bytes: Bytes) -> Result<()> {
        Ok(self.storage.publish(&[Put::new(key, bytes)]).await?)
    }

    async fn put_new(&self, key: Key, bytes: Bytes) -> Result<()> {
        match self.storage.stat(&key).await {
            Ok(stat) if stat.size == bytes.len() as u64 => Ok(()),
            Err(error) if !error.is_not_found() => Err(error.into()),
            Ok(_) | Err(_) => self.put(key, bytes).await,
        }
    }

    /// Removes what uploads of large blobs leave of the tree of a registry, which is empty.
    async fn clean(&self) -> Result<()> {
        transfer::clean(&*self.storage).await;
        let tree = key("docker")?;
        let page = self.storage.scan(&tree, None, 1).await?;
        if !page.objects.is_empty() {
            return Ok(());
        }
        match self.storage.remove_tree(&tree).await {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Sink for StoreSink {
    async fn blob(&self, digest: &Digest, size: u64, pieces: ByteStream) -> Result<(), Failure> {
        let key = Place::Blob(*digest).key().map_err(|error| {
            let context = format!("name the blob `{digest}`");
            Failure::Writing(Error::with_source(ErrorKind::Other, context, error))
        })?;
        let transfer = Transfer {
            digest: *digest,
            size,
            key,
        };
        transfer.store(&*self.storage, pieces, |_| {}).await
    }

    async fn document(&self, place: Place, bytes: Bytes) -> Result<()> {
        self.put_new(place.key()?, bytes).await
    }

    fn damaged(&self) -> Vec<Digest> {
        Vec::new()
    }

    async fn end(&self, (path, snapshot): (&str, Bytes), index: Bytes) -> Result<()> {
        let (name, layout) = OCI_LAYOUT;
        self.put_new(key(name)?, Bytes::from_static(layout)).await?;
        self.put(key(path)?, snapshot).await?;
        self.put(key(INDEX)?, index).await?;
        self.clean().await
    }
}
