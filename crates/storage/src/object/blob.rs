//! Reading: one object, whole or a range of it, in pieces.

use std::{ops::Range, sync::Arc};

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt, TryStreamExt, stream, stream::BoxStream};
use object_store::{GetOptions, GetResult, ObjectStoreExt, path::Path};

use super::{Bucket, Store, error::failed, stat_of};
use crate::{Blob, ByteStream, Error, ErrorKind, Key, Result, Stat};

/// The largest piece that [`ByteStream`] allows.
const PIECE: usize = 256 * 1024;

/// How many bytes are rather read and thrown away than asked for with another request.
const SKIP: u64 = 1024 * 1024;

/// An object that the store has begun to send.
///
/// Opening asks for the whole object at once. A store goes on sending the object that it began
/// with when its key is replaced or removed, and the usual reader wants all of it, which then costs
/// one request. A reader that wants a range far inside gets it with a second request, which names the
/// entity tag; should the object be another one by then, the first answer is still there to be
/// read up to the range.
#[derive(Debug)]
pub(super) struct ObjectBlob {
    store: Arc<dyn Store>,
    key: Key,
    path: Path,
    stat: Stat,
    whole: GetResult,
}

impl ObjectBlob {
    pub(super) async fn open(bucket: &Bucket, key: &Key) -> Result<Self> {
        let path = bucket.path(key);
        let got = bucket.store.get(&path).await;
        let whole = got.map_err(|error| failed(format!("read `{key}`"), error))?;
        Ok(Self::new(bucket, key, path, whole))
    }

    /// `None` when the object still has that entity tag.
    pub(super) async fn open_unless(bucket: &Bucket, key: &Key, e_tag: &str) -> Result<Option<Self>> {
        let path = bucket.path(key);
        let options = GetOptions::new().with_if_none_match(Some(e_tag.to_owned()));
        match bucket.store.get_opts(&path, options).await {
            Ok(whole) => Ok(Some(Self::new(bucket, key, path, whole))),
            Err(object_store::Error::NotModified { .. }) => Ok(None),
            Err(error) => Err(failed(format!("read `{key}`"), error)),
        }
    }

    fn new(bucket: &Bucket, key: &Key, path: Path, whole: GetResult) -> Self {
        Self {
            store: Arc::clone(&bucket.store),
            key: key.clone(),
            path,
            stat: stat_of(&whole.meta),
            whole,
        }
    }

    /// The whole content. The caller has made sure that it is small.
    pub(super) async fn bytes(self) -> Result<Bytes> {
        let size = self.stat.size;
        let mut source = Pieces::new(self.key, self.whole.into_stream(), 0, size, usize::MAX);
        let first = source.next().await?.unwrap_or_default();
        if first.len() as u64 == size {
            return Ok(first);
        }
        let mut all = first.to_vec();
        while let Some(piece) = source.next().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all.into())
    }

    async fn pieces(self, range: Range<u64>) -> Result<Pieces> {
        let length = range.end.saturating_sub(range.start);
        if length > 0
            && range.start > SKIP
            && let Some(e_tag) = self.whole.meta.e_tag.clone()
        {
            let options = GetOptions::new()
                .with_range(Some(range.clone()))
                .with_if_match(Some(e_tag));
            match self.store.get_opts(&self.path, options).await {
                Ok(part) => return Ok(Pieces::new(self.key, part.into_stream(), 0, length, PIECE)),
                Err(object_store::Error::Precondition { .. } | object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(failed(format!("read `{}`", self.key), error)),
            }
        }
        Ok(Pieces::new(
            self.key,
            self.whole.into_stream(),
            range.start,
            length,
            PIECE,
        ))
    }
}

impl Blob for ObjectBlob {
    fn stat(&self) -> Stat {
        self.stat.clone()
    }

    fn stream(self: Box<Self>, range: Range<u64>) -> ByteStream {
        let pieces = async move {
            let pieces = self.pieces(range).await?;
            Ok(in_pieces(pieces))
        };
        Box::pin(stream::once(pieces).try_flatten())
    }

    fn part(&self, range: Range<u64>) -> ByteStream {
        let (store, path, key) = (Arc::clone(&self.store), self.path.clone(), self.key.clone());
        let e_tag = self.whole.meta.e_tag.clone();
        let pieces = async move {
            let length = range.end.saturating_sub(range.start);
            let options = GetOptions::new().with_range(Some(range)).with_if_match(e_tag);
            let part = store.get_opts(&path, options).await;
            let part = part.map_err(|error| failed(format!("read `{key}`"), error))?;
            Ok(in_pieces(Pieces::new(key, part.into_stream(), 0, length, PIECE)))
        };
        Box::pin(stream::once(pieces).try_flatten())
    }
}

fn in_pieces(pieces: Pieces) -> impl Stream<Item = Result<Bytes>> {
    stream::try_unfold(pieces, async |mut pieces: Pieces| {
        Ok(pieces.next().await?.map(|piece| (piece, pieces)))
    })
}

/// The bytes of a range of what a store sends, cut into pieces, all of them or an error.
pub(super) struct Pieces {
    key: Key,
    source: BoxStream<'static, object_store::Result<Bytes>>,
    received: Bytes,
    skip: u64,
    left: u64,
    largest: usize,
}

impl Pieces {
    /// `left` bytes after the first `skip` of `source`.
    fn new(
        key: Key,
        source: BoxStream<'static, object_store::Result<Bytes>>,
        skip: u64,
        left: u64,
        largest: usize,
    ) -> Self {
        Self {
            key,
            source,
            received: Bytes::new(),
            skip,
            left,
            largest,
        }
    }

    /// All bytes of the object at `key`, which must be `size`.
    pub(super) async fn of(bucket: &Bucket, key: &Key, size: u64) -> Result<Self> {
        let blob = ObjectBlob::open(bucket, key).await?;
        if blob.stat.size != size {
            return Err(Error::new(
                ErrorKind::Damaged,
                format!(
                    "read `{key}`: it has {} bytes, {size} were written",
                    blob.stat.size
                ),
            ));
        }
        blob.pieces(0..size).await
    }

    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.left > 0 {
            if self.received.is_empty() {
                self.received = match self.source.next().await {
                    Some(Ok(bytes)) => bytes,
                    Some(Err(error)) => return Err(failed(format!("read `{}`", self.key), error)),
                    None => return Err(self.too_short()),
                };
            } else if self.skip > 0 {
                let skipped = clamp(self.skip, self.received.len());
                self.received.advance(skipped);
                self.skip -= skipped as u64;
            } else {
                let size = clamp(self.left, self.received.len().min(self.largest));
                self.left -= size as u64;
                return Ok(Some(self.received.split_to(size)));
            }
        }
        Ok(None)
    }

    fn too_short(&self) -> Error {
        let missing = self.left + self.skip;
        Error::new(
            ErrorKind::Damaged,
            format!("read `{}`: it ended {missing} bytes too early", self.key),
        )
    }
}

fn clamp(bytes: u64, most: usize) -> usize {
    usize::try_from(bytes).map_or(most, |bytes| bytes.min(most))
}
