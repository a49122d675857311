//! One object of the bytes of several, made inside the store, whatever its size.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::{MultipartId, ObjectStoreExt, multipart::PartId, path::Path};
use wharf_oci::Digest;

use super::{
    Bucket, PartCopy,
    error::{failed, is_unsupported},
    parts,
};
use crate::{Key, Result};

/// How many parts the ranges of a copy make at most, beside one for each object; stores take 10,000 in all.
const RANGES: u64 = 900;

/// Makes the object at `to` the one of `size` bytes at `from`. It appears whole, or not at all.
pub(super) async fn copy(bucket: &Arc<Bucket>, from: &Key, to: &Key, size: u64) -> Result<()> {
    assemble(bucket, &[(from.clone(), size)], Bytes::new(), to, None).await
}

/// Makes the object at `to` of the bytes of `sources`, one after the other, and of `last`. It appears whole, or not at all.
///
/// Each source but the last must be large enough to be a part of a multipart upload. The `digest` of all bytes tells
/// whether the object is there though its completion was answered with an error.
pub(super) async fn assemble(
    bucket: &Arc<Bucket>,
    sources: &[(Key, u64)],
    last: Bytes,
    to: &Key,
    digest: Option<&Digest>,
) -> Result<()> {
    if let ([(from, size)], true) = (sources, last.is_empty())
        && *size <= bucket.limits.copy_whole
    {
        return bucket.copy(from, to).await;
    }
    let sources = sources.iter().map(|(key, size)| (bucket.path(key), *size));
    let assembly = Assembly {
        bucket,
        sources: sources.collect(),
        last,
        key: to,
        to: bucket.path(to),
        digest,
    };
    let assembled = assembly.run().await;
    assembled.map_err(|error| failed(format!("assemble `{to}`"), error))
}

struct Assembly<'a> {
    bucket: &'a Bucket,
    sources: Vec<(Path, u64)>,
    last: Bytes,
    key: &'a Key,
    to: Path,
    digest: Option<&'a Digest>,
}

/// Bytes of the source of that number.
type Piece = (usize, Range<u64>);

impl Assembly<'_> {
    async fn run(&self) -> object_store::Result<()> {
        let pieces = self.pieces();
        match self.complete(Some(&pieces)).await {
            // Some stores copy no ranges, and some take no parts that differ in size.
            Err(error) if is_unsupported(&error) || !self.is_equal(&pieces) && !is_gone(&error) => {
                self.complete(None).await
            }
            // An earlier attempt of the completion may have taken effect, and its answer was lost.
            Err(error) if is_gone(&error) => self.complete(Some(&pieces)).await,
            ended => ended,
        }
    }

    /// Completes a multipart upload of parts into which the store copies `pieces`, or to which all bytes are sent.
    async fn complete(&self, pieces: Option<&[Piece]>) -> object_store::Result<()> {
        let store = &self.bucket.store;
        let id = store.create_multipart(&self.to).await?;
        let parts = match pieces {
            Some(pieces) => self.copied(&id, pieces).await,
            None => self.sent(&id).await,
        };
        let completed = match parts {
            Ok(parts) => match store.complete_multipart(&self.to, &id, parts).await {
                Err(_) if self.is_complete().await => Ok(()),
                completed => completed.map(drop),
            },
            Err(error) => Err(error),
        };
        if completed.is_err() {
            parts::abort(self.bucket, &self.to, &id).await;
        }
        completed
    }

    /// Whether the object is there, although the answer to its completion got lost.
    async fn is_complete(&self) -> bool {
        match self.digest {
            Some(digest) => parts::is_blob(self.bucket, self.key, self.size(), digest).await,
            None => false,
        }
    }

    fn size(&self) -> u64 {
        let sources: u64 = self.sources.iter().map(|(_, size)| size).sum();
        sources + self.last.len() as u64
    }

    /// What is copied into each part. Where bytes follow a source, its last piece has the remainder, since only the last
    /// part of all may be small.
    fn pieces(&self) -> Vec<Piece> {
        let step = self.bucket.limits.copy_size.max(self.size().div_ceil(RANGES));
        let mut pieces = Vec::new();
        for (at, (_, size)) in self.sources.iter().enumerate() {
            let is_last = at + 1 == self.sources.len() && self.last.is_empty();
            let count = if is_last {
                size.div_ceil(step)
            } else {
                (size / step).max(1)
            };
            let ranges = (0..count).map(|number| {
                let end = if number + 1 == count {
                    *size
                } else {
                    (number + 1) * step
                };
                (at, number * step..end)
            });
            pieces.extend(ranges);
        }
        pieces
    }

    /// Whether all parts but the last would have one size.
    fn is_equal(&self, pieces: &[Piece]) -> bool {
        let counted = match self.last.is_empty() {
            true => pieces.split_last().map_or(pieces, |(_, rest)| rest),
            false => pieces,
        };
        let size = |(_, range): &Piece| range.end - range.start;
        counted.windows(2).all(|two| size(&two[0]) == size(&two[1]))
    }

    /// All parts, copied by the store but for the last bytes.
    async fn copied(&self, id: &MultipartId, pieces: &[Piece]) -> object_store::Result<Vec<PartId>> {
        let mut numbered = (0..).zip(pieces.iter().cloned());
        let mut parts = Vec::new();
        // One alone, to learn whether the store can.
        if let Some((number, piece)) = numbered.next() {
            parts.push(self.copy_part(id, number, piece).await?);
        }
        let rest = numbered.map(|(number, piece)| self.copy_part(id, number, piece));
        let rest: Vec<_> = stream::iter(rest)
            .buffered(self.bucket.limits.copies)
            .try_collect()
            .await?;
        parts.extend(rest);
        if !self.last.is_empty() {
            let (store, number) = (&self.bucket.store, parts.len());
            let last = store.put_part(&self.to, id, number, self.last.clone().into());
            parts.push(last.await?);
        }
        Ok(parts)
    }

    async fn copy_part(
        &self,
        id: &MultipartId,
        part: usize,
        (source, range): Piece,
    ) -> object_store::Result<PartId> {
        let copy = PartCopy {
            from: &self.sources[source].0,
            range,
            to: &self.to,
            id,
            part,
        };
        self.bucket.store.copy_part(&copy).await
    }

    /// Reads and sends one part after the other, equal ones, in the memory of the request that publishes.
    async fn sent(&self, id: &MultipartId) -> object_store::Result<Vec<PartId>> {
        let mut sent = Vec::new();
        let size = self.size();
        let step =
            (self.bucket.limits.part_size as u64).max(size.div_ceil(self.bucket.limits.announced_parts));
        for start in (0..size.div_ceil(step)).map(|number| number * step) {
            let bytes = self.bytes(start..size.min(start + step)).await?;
            let part = self.bucket.store.put_part(&self.to, id, sent.len(), bytes.into());
            sent.push(part.await?);
        }
        Ok(sent)
    }

    async fn bytes(&self, range: Range<u64>) -> object_store::Result<Bytes> {
        let mut bytes = Vec::new();
        let mut at = 0;
        for (path, size) in &self.sources {
            let inside = range.start.clamp(at, at + size) - at..range.end.clamp(at, at + size) - at;
            if !inside.is_empty() {
                bytes.extend_from_slice(&self.bucket.store.get_range(path, inside).await?);
            }
            at += size;
        }
        let of_last = |end: u64| usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
        let inside = of_last(range.start)..of_last(range.end).min(self.last.len());
        bytes.extend_from_slice(self.last.get(inside).unwrap_or_default());
        Ok(bytes.into())
    }
}

/// Another request has ended the upload.
fn is_gone(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. })
}
