//! The state of an upload: one object, replaced atomically, that says which bytes count.
//!
//! It is a line of JSON, the head, and behind it the bytes that are in no object yet.

use bytes::Bytes;
use futures_util::{TryStreamExt, stream::BoxStream};
use object_store::{GetOptions, GetResult, MultipartId, PutMode, PutOptions, PutPayload, UpdateVersion};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use wharf_oci::{Algorithm, Hasher};

use super::{
    Bucket, Cas,
    error::{failed, is_conflict, is_unsupported},
    parts,
    room::Room,
};
use crate::{Error, ErrorKind, Key, Result, hash_state, layout};

/// The longest head that is read: nine thousand objects take some 700 KB.
const LONGEST: usize = 4 << 20;
/// A state of up to so many bytes is read without room of its own.
const SMALL: u64 = 64 << 10;
/// How often a write is tried again because a request elsewhere has shown that it lives, or because the store was busy with the
/// neighbours of the object.
const TRIES: usize = 8;

/// What an upload has, and the bytes of it that are in no object yet.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) head: Head,
    /// Small: more become an object.
    pub(super) tail: Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// Changes with each write, so that a writer recognises its own after an answer was lost.
    revision: Uuid,
    /// How many bytes the upload has.
    pub(super) size: u64,
    /// How many of them follow the head.
    tail_size: u64,
    /// The state of SHA-256 after all of them.
    hash: String,
    /// Where the bytes before the tail are, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) objects: Vec<Staged>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) open: Option<Open>,
}

/// An object that holds bytes of an upload. It is written once, by the request that named it, and never replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Staged {
    /// Where it is, in [`layout::object_upload_data`].
    pub(super) name: Uuid,
    pub(super) size: u64,
}

/// A multipart upload to which a request sends parts that do not count yet, at the key of a blob or of a [`Staged`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Open {
    pub(super) key: String,
    pub(super) id: MultipartId,
}

impl Open {
    /// Gives up what was sent.
    pub(super) async fn abort(&self, bucket: &Bucket) {
        if let Ok(key) = Key::new(self.key.clone()) {
            parts::abort(bucket, &bucket.path(&key), &self.id).await;
        }
    }
}

impl Head {
    /// The state of SHA-256 after all bytes.
    pub(super) fn hasher(&self, dir: &Key) -> Result<Hasher> {
        hash_state::restore(&self.hash).ok_or_else(|| {
            let context = format!(
                "go on with upload `{dir}`: the state of its hash is damaged, or of another version of wharf; start a new upload"
            );
            Error::new(ErrorKind::Damaged, context)
        })
    }

    /// Whether no request has brought bytes yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.size == 0
    }

    /// Whether this is that state, written again by a request that has added nothing to it.
    fn is_same_as(&self, other: &Self) -> bool {
        let Self {
            revision: _,
            size,
            tail_size,
            hash,
            objects,
            open,
        } = other;
        (self.size, self.tail_size) == (*size, *tail_size)
            && (&self.hash, &self.objects, &self.open) == (hash, objects, open)
    }
}

impl State {
    fn empty() -> Self {
        Self {
            head: Head {
                revision: Uuid::new_v4(),
                size: 0,
                tail_size: 0,
                hash: hash_state::save(&Hasher::new(Algorithm::Sha256)),
                objects: Vec::new(),
                open: None,
            },
            tail: Bytes::new(),
        }
    }

    /// Makes these the bytes of the upload that are in no object, and its size and hash what they are with them.
    pub(super) fn set_end(&mut self, size: u64, hasher: &Hasher, tail: Bytes) {
        self.head.size = size;
        self.head.hash = hash_state::save(hasher);
        self.head.tail_size = tail.len() as u64;
        self.tail = tail;
    }

    /// Starts an upload. To start one again that is still empty does nothing.
    pub(super) async fn create(bucket: &Bucket, dir: &Key) -> Result<()> {
        let key = layout::object_upload_state(dir);
        let path = bucket.path(&key);
        let payload = Self::empty().payload()?;
        for _ in 0..TRIES {
            let options = PutOptions::from(PutMode::Create);
            match bucket.store.put_opts(&path, payload.clone(), options).await {
                Ok(_) => return Ok(()),
                Err(error) if is_unsupported(&error) => return bucket.put(&key, payload).await,
                Err(error) if is_conflict(&error) => match Self::load_head(bucket, dir).await {
                    Ok((head, _)) if head.is_fresh() => return Ok(()),
                    Ok(_) => return Err(conflict(dir)),
                    // A store may refuse a write because of what it does beside it, as the removal of a directory that has become
                    // empty.
                    Err(error) if error.is_not_found() => {}
                    Err(error) => return Err(error),
                },
                Err(error) => return Err(failed(format!("create upload `{dir}`"), error)),
            }
        }
        Err(conflict(dir))
    }

    /// The state, with room for its tail if that is more than a little.
    pub(super) async fn load(bucket: &Bucket, dir: &Key) -> Result<(Self, UpdateVersion, Option<Room>)> {
        let (got, version) = get(bucket, dir).await?;
        let size = got.meta.size;
        let room = if size > SMALL {
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            Some(bucket.rooms.start(size).await?)
        } else {
            None
        };
        let mut stream = got.into_stream();
        let (head, mut tail) = read_head(&mut stream, dir).await?;
        let mut rest = Vec::new();
        while let Some(piece) = next(&mut stream, dir).await? {
            rest.extend_from_slice(&piece);
        }
        if !rest.is_empty() {
            tail = [&tail[..], &rest].concat().into();
        }
        if tail.len() as u64 != head.tail_size {
            let (found, wanted) = (tail.len(), head.tail_size);
            let context = format!("read upload `{dir}`: {found} bytes follow its head, not {wanted}");
            return Err(Error::new(ErrorKind::Damaged, context));
        }
        Ok((Self { head, tail }, version, room))
    }

    /// The state without the tail, which is not read.
    pub(super) async fn load_head(bucket: &Bucket, dir: &Key) -> Result<(Head, UpdateVersion)> {
        let (got, version) = get(bucket, dir).await?;
        let (head, _) = read_head(&mut got.into_stream(), dir).await?;
        Ok((head, version))
    }

    /// Writes this state in place of the one that is `before`, at `version`. [`ErrorKind::Busy`] when another request
    /// has added to the upload by now, or has taken it over, [`ErrorKind::NotFound`] when the upload is gone; after
    /// any other error either of the two may be there.
    ///
    /// The same state under another version is no conflict: a request elsewhere, maybe one whose client is gone, has
    /// shown that it lives.
    pub(super) async fn replace(
        &mut self,
        bucket: &Bucket,
        dir: &Key,
        before: &Head,
        version: &UpdateVersion,
    ) -> Result<UpdateVersion> {
        self.head.revision = Uuid::new_v4();
        let payload = self.payload()?;
        let path = bucket.path(&layout::object_upload_state(dir));
        let mut mode = PutMode::Update(version.clone());
        if bucket.store.abilities().cas == Cas::None {
            mode = look_first(bucket, dir, before).await?;
        }
        for _ in 0..TRIES {
            let put = bucket.store.put_opts(&path, payload.clone(), mode.into());
            match put.await {
                Ok(written) => return Ok(written.into()),
                Err(error) if is_conflict(&error) => {
                    let (found, version) = Self::load_head(bucket, dir).await?;
                    // The store took it, the answer got lost, the client library tried again.
                    if found.revision == self.head.revision {
                        return Ok(version);
                    }
                    if !found.is_same_as(before) {
                        return Err(conflict(dir));
                    }
                    mode = PutMode::Update(version);
                }
                Err(error) if is_unsupported(&error) => mode = look_first(bucket, dir, before).await?,
                Err(error) => return Err(failed(format!("write upload `{dir}`"), error)),
            }
        }
        Err(conflict(dir))
    }

    fn payload(&self) -> Result<PutPayload> {
        let mut head = serde_json::to_vec(&self.head)
            .map_err(|error| Error::with_source(ErrorKind::Other, "write the state of an upload", error))?;
        head.push(b'\n');
        Ok([Bytes::from(head), self.tail.clone()].into_iter().collect())
    }
}

/// The best that a store without conditional puts can do.
async fn look_first(bucket: &Bucket, dir: &Key, before: &Head) -> Result<PutMode> {
    let (found, _) = State::load_head(bucket, dir).await?;
    if found.is_same_as(before) {
        Ok(PutMode::Overwrite)
    } else {
        Err(conflict(dir))
    }
}

async fn get(bucket: &Bucket, dir: &Key) -> Result<(GetResult, UpdateVersion)> {
    let path = bucket.path(&layout::object_upload_state(dir));
    let got = bucket.store.get_opts(&path, GetOptions::default()).await;
    let got = got.map_err(|error| failed(format!("read upload `{dir}`"), error))?;
    let version = UpdateVersion {
        e_tag: got.meta.e_tag.clone(),
        version: got.meta.version.clone(),
    };
    Ok((got, version))
}

type Pieces = BoxStream<'static, object_store::Result<Bytes>>;

async fn next(stream: &mut Pieces, dir: &Key) -> Result<Option<Bytes>> {
    let piece = stream.try_next().await;
    piece.map_err(|error| failed(format!("read upload `{dir}`"), error))
}

/// The head, and what came with its end of the bytes behind it.
async fn read_head(stream: &mut Pieces, dir: &Key) -> Result<(Head, Bytes)> {
    let mut text = Vec::new();
    while text.len() < LONGEST
        && let Some(piece) = next(stream, dir).await?
    {
        let Some(end) = piece.iter().position(|byte| *byte == b'\n') else {
            text.extend_from_slice(&piece);
            continue;
        };
        text.extend_from_slice(&piece[..end]);
        let head = serde_json::from_slice(&text)
            .map_err(|error| Error::with_source(ErrorKind::Damaged, format!("read upload `{dir}`"), error))?;
        return Ok((head, piece.slice(end + 1..)));
    }
    let context = format!("read upload `{dir}`: its state has no head");
    Err(Error::new(ErrorKind::Damaged, context))
}

fn conflict(dir: &Key) -> Error {
    Error::new(
        ErrorKind::Busy,
        format!("add to upload `{dir}`, to which another request has added meanwhile"),
    )
}
