//! Copying an object inside the store, whatever its size.

use std::{ops::Range, sync::Arc};

use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::{MultipartId, ObjectStoreExt, multipart::PartId, path::Path};

use super::{
    Bucket, PartCopy,
    error::{failed, is_unsupported},
    parts,
};
use crate::{Key, Result};

/// A copy has at most so many parts; stores take 10,000.
const MOST: u64 = 9_000;

/// Makes the object at `to` the one of `size` bytes at `from`. It appears whole, or not at all.
pub(super) async fn copy(bucket: &Arc<Bucket>, from: &Key, to: &Key, size: u64) -> Result<()> {
    if size <= bucket.limits.copy_whole {
        return bucket.copy(from, to).await;
    }
    let context = || format!("copy `{from}` to `{to}`");
    let copying = Copying {
        bucket,
        from: bucket.path(from),
        to: bucket.path(to),
    };
    copying.run(size).await.map_err(|error| failed(context(), error))
}

struct Copying<'a> {
    bucket: &'a Bucket,
    from: Path,
    to: Path,
}

impl Copying<'_> {
    /// Copies once more when the completion finds no multipart upload: an earlier attempt of it may have taken effect,
    /// and its answer was lost.
    async fn run(&self, size: u64) -> object_store::Result<()> {
        match self.once(size).await {
            Err(object_store::Error::NotFound { .. }) => self.once(size).await,
            copied => copied,
        }
    }

    async fn once(&self, size: u64) -> object_store::Result<()> {
        let id = self.bucket.store.create_multipart(&self.to).await?;
        let copied = match self.parts(&id, size).await {
            Ok(parts) => self.bucket.store.complete_multipart(&self.to, &id, parts).await,
            Err(error) => Err(error),
        };
        if copied.is_err() {
            parts::abort(self.bucket, &self.to, &id).await;
        }
        copied.map(drop)
    }

    /// All parts, copied by the store where it can.
    async fn parts(&self, id: &MultipartId, size: u64) -> object_store::Result<Vec<PartId>> {
        let mut ranges = ranges(size, self.bucket.limits.copy_size.max(size.div_ceil(MOST)));
        let first = ranges.next().unwrap_or_default();
        match self.copy_part(id, 0, first).await {
            Ok(first) => {
                let rest = (1..)
                    .zip(ranges)
                    .map(|(part, range)| self.copy_part(id, part, range));
                let rest = stream::iter(rest)
                    .buffered(self.bucket.limits.copies)
                    .try_collect::<Vec<_>>()
                    .await?;
                Ok([vec![first], rest].concat())
            }
            Err(error) if is_unsupported(&error) => self.send_parts(id, size).await,
            Err(error) => Err(error),
        }
    }

    async fn copy_part(
        &self,
        id: &MultipartId,
        part: usize,
        range: Range<u64>,
    ) -> object_store::Result<PartId> {
        let copy = PartCopy {
            from: &self.from,
            range,
            to: &self.to,
            id,
            part,
        };
        self.bucket.store.copy_part(&copy).await
    }

    /// Reads and sends one part after the other, in the memory of the request that publishes.
    async fn send_parts(&self, id: &MultipartId, size: u64) -> object_store::Result<Vec<PartId>> {
        let mut sent = Vec::new();
        let part_size = (self.bucket.limits.part_size as u64).max(size.div_ceil(MOST));
        for range in ranges(size, part_size) {
            let bytes = self.bucket.store.get_range(&self.from, range).await?;
            let part = self
                .bucket
                .store
                .put_part(&self.to, id, sent.len(), bytes.into())
                .await?;
            sent.push(part);
        }
        Ok(sent)
    }
}

/// `size` bytes in ranges of `step`.
fn ranges(size: u64, step: u64) -> impl Iterator<Item = Range<u64>> {
    (0..size.div_ceil(step)).map(move |number| number * step..size.min((number + 1) * step))
}
