//! Reading: one object, whole or a range of it, in pieces.

use std::{ops::Range, sync::Arc};

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt, TryStreamExt, stream, stream::BoxStream};
use object_store::{GetOptions, GetResult, ObjectMeta, ObjectStoreExt, path::Path};

use super::{Bucket, Store, error::failed, stat_of};
use crate::{Blob, ByteStream, Error, ErrorKind, Key, Result, Stat};

/// The largest piece that [`ByteStream`] allows.
const PIECE: usize = 256 * 1024;

/// How many bytes are rather read and thrown away than asked for with another request.
const SKIP: u64 = 1024 * 1024;

/// An object that the store has begun to send, or is to send in parts.
///
/// [Opening](Self::open) asks for the whole object at once. A store goes on sending the object that it began
/// with when its key is replaced or removed, and the usual reader wants all of it, which then costs
/// one request. A reader that wants a range far inside gets it with a second request, which names the
/// entity tag; should the object be another one by then, the first answer is still there to be
/// read up to the range. A reader that will want a range [looks the object up](Self::look_up) and asks for that alone.
///
/// # Read-ahead, and how much a stalled reader holds
///
/// The connection to the store is the read-ahead: the store sends while the reader is busy, until the window of the connection
/// is full. In this process a stream holds one piece as it came from the client of the store, and asks for the next when the
/// reader does. So a reader that stalls costs no more memory here, however large the object is.
#[derive(Debug)]
pub(super) struct ObjectBlob {
    object: Found,
    /// What the store sends; `None` when only ranges are asked for.
    whole: Option<GetResult>,
}

/// An object, as it was when it was found.
#[derive(Debug, Clone)]
struct Found {
    store: Arc<dyn Store>,
    key: Key,
    path: Path,
    meta: ObjectMeta,
}

impl ObjectBlob {
    pub(super) async fn open(bucket: &Bucket, key: &Key) -> Result<Self> {
        let got = bucket.store.get(&bucket.path(key)).await;
        let whole = got.map_err(|error| failed(format!("read `{key}`"), error))?;
        Ok(Self::sent(bucket, key, whole))
    }

    /// The object, of which the store sends nothing yet.
    pub(super) async fn look_up(bucket: &Bucket, key: &Key) -> Result<Self> {
        Ok(Self {
            object: Found::new(bucket, key, bucket.head(key).await?),
            whole: None,
        })
    }

    /// `None` when the object still has that entity tag.
    pub(super) async fn open_unless(bucket: &Bucket, key: &Key, e_tag: &str) -> Result<Option<Self>> {
        let options = GetOptions::new().with_if_none_match(Some(e_tag.to_owned()));
        match bucket.store.get_opts(&bucket.path(key), options).await {
            Ok(whole) => Ok(Some(Self::sent(bucket, key, whole))),
            Err(object_store::Error::NotModified { .. }) => Ok(None),
            Err(error) => Err(failed(format!("read `{key}`"), error)),
        }
    }

    fn sent(bucket: &Bucket, key: &Key, whole: GetResult) -> Self {
        Self {
            object: Found::new(bucket, key, whole.meta.clone()),
            whole: Some(whole),
        }
    }

    /// The whole content. The caller has made sure that it is small.
    pub(super) async fn bytes(self) -> Result<Bytes> {
        let size = self.object.meta.size;
        let mut source = self.pieces(0..size).await?.unbroken();
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
        let Self { object, whole } = self;
        let Some(whole) = whole else {
            let part = object.part(range.clone()).await;
            let part = part.map_err(|error| failed(format!("read `{}`", object.key), error))?;
            return Ok(Pieces::new(object.key, part, 0..length(&range)));
        };
        if !range.is_empty() && range.start > SKIP && object.meta.e_tag.is_some() {
            match object.part(range.clone()).await {
                Ok(part) => return Ok(Pieces::new(object.key, part, 0..length(&range))),
                Err(object_store::Error::Precondition { .. } | object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(failed(format!("read `{}`", object.key), error)),
            }
        }
        Ok(Pieces::new(object.key, whole, range))
    }
}

impl Blob for ObjectBlob {
    fn stat(&self) -> Stat {
        stat_of(&self.object.meta)
    }

    fn stream(self: Box<Self>, range: Range<u64>) -> ByteStream {
        if range.is_empty() {
            return Box::pin(stream::empty());
        }
        let pieces = async move { Ok(in_pieces(self.pieces(range).await?)) };
        Box::pin(stream::once(pieces).try_flatten())
    }

    fn part(&self, range: Range<u64>) -> ByteStream {
        let other = Self {
            object: self.object.clone(),
            whole: None,
        };
        Box::new(other).stream(range)
    }
}

impl Found {
    fn new(bucket: &Bucket, key: &Key, meta: ObjectMeta) -> Self {
        Self {
            store: Arc::clone(&bucket.store),
            key: key.clone(),
            path: bucket.path(key),
            meta,
        }
    }

    /// A range of the object, which must still be the same.
    async fn part(&self, range: Range<u64>) -> object_store::Result<GetResult> {
        let options = GetOptions::new()
            .with_range(Some(range))
            .with_if_match(self.meta.e_tag.clone());
        self.store.get_opts(&self.path, options).await
    }
}

fn length(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
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
    /// The bytes of `range` of `source`.
    fn new(key: Key, source: GetResult, range: Range<u64>) -> Self {
        Self {
            key,
            source: source.into_stream(),
            received: Bytes::new(),
            skip: range.start,
            left: length(&range),
            largest: PIECE,
        }
    }

    /// In pieces as the store sends them.
    fn unbroken(self) -> Self {
        Self {
            largest: usize::MAX,
            ..self
        }
    }

    /// All bytes of the object at `key`, which must be `size`.
    pub(super) async fn of(bucket: &Bucket, key: &Key, size: u64) -> Result<Self> {
        let blob = ObjectBlob::open(bucket, key).await?;
        if blob.object.meta.size != size {
            return Err(Error::new(
                ErrorKind::Damaged,
                format!(
                    "read `{key}`: it has {} bytes, {size} were written",
                    blob.object.meta.size
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
