//! The state of an upload: one object, replaced atomically, that says which bytes count.
//!
//! It is a line of JSON, the head, and behind it the bytes that are in no part yet.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::{TryStreamExt, stream::BoxStream};
use object_store::{GetOptions, GetResult, MultipartId, PutMode, PutOptions, PutPayload, UpdateVersion};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use wharf_budget::Permit;
use wharf_oci::{Algorithm, Digest, Hasher};

use super::{
    Bucket,
    error::{failed, is_conflict, is_unsupported},
    parts,
};
use crate::{Error, ErrorKind, Key, Result, hash_state, layout};

/// The longest head that is read: ten thousand parts take some 600 KB.
const LONGEST: usize = 4 << 20;
/// A state of up to so many bytes is read without room of its own.
const SMALL: u64 = 64 << 10;

/// What an upload has, and the bytes of it that are in no part yet.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) head: Head,
    /// At most one part.
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lease: Option<Lease>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) staging: Option<Staging>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) direct: Option<Direct>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sealed: Option<Sealed>,
}

/// A request is writing parts, until it says so no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lease {
    /// The process of the request.
    pub(super) holder: Uuid,
    /// Milliseconds since 1970.
    until: u64,
}

/// The multipart upload that has the bytes before the tail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Staging {
    /// Where it is, in [`layout::object_upload_data`].
    pub(super) name: Uuid,
    pub(super) id: MultipartId,
    pub(super) part_size: u64,
    /// What the store calls the parts that count, all of them of `part_size`.
    pub(super) parts: Vec<String>,
}

/// A multipart upload at the key of a blob, of a request that brings all of it. Nothing of it counts before its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Direct {
    pub(super) key: String,
    pub(super) id: MultipartId,
}

impl Direct {
    /// Gives up what was sent.
    pub(super) async fn abort(&self, bucket: &Bucket) {
        if let Ok(key) = Key::new(self.key.clone()) {
            parts::abort(bucket, &bucket.path(&key), &self.id).await;
        }
    }
}

/// The upload is being published: no bytes are accepted any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sealed {
    pub(super) size: u64,
    pub(super) sha256: Digest,
    /// All parts that are published. The size, the tail and the parts beside this are those of the upload before the
    /// request that sealed it.
    pub(super) parts: Vec<String>,
}

impl Lease {
    pub(super) fn new(holder: Uuid, from: SystemTime, duration: Duration) -> Self {
        Self {
            holder,
            until: millis(from + duration),
        }
    }

    pub(super) fn is_live(&self, now: SystemTime) -> bool {
        millis(now) < self.until
    }
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
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
        self.size == 0 && self.staging.is_none() && self.sealed.is_none()
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
                lease: None,
                staging: None,
                direct: None,
                sealed: None,
            },
            tail: Bytes::new(),
        }
    }

    /// Makes these the bytes of the upload that are in no part, and its size and hash what they are with them.
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
        let options = PutOptions::from(PutMode::Create);
        match bucket.store.put_opts(&path, payload.clone(), options).await {
            Ok(_) => Ok(()),
            Err(error) if is_unsupported(&error) => bucket.put(&key, payload).await,
            Err(error) if is_conflict(&error) => {
                let (head, _) = Self::load_head(bucket, dir).await?;
                if head.is_fresh() {
                    Ok(())
                } else {
                    Err(conflict(dir))
                }
            }
            Err(error) => Err(failed(format!("create upload `{dir}`"), error)),
        }
    }

    /// The state, with room for its tail and for one part more if the tail is more than a little.
    pub(super) async fn load(bucket: &Bucket, dir: &Key) -> Result<(Self, UpdateVersion, Option<Permit>)> {
        let (got, version) = get(bucket, dir).await?;
        let size = got.meta.size;
        let room = if size > SMALL {
            let more = usize::try_from(size).unwrap_or(usize::MAX);
            Some(bucket.room(more.saturating_add(bucket.limits.part_size)).await?)
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

    /// Writes this state in place of the one of `version`. [`ErrorKind::Busy`] when there is another one by now,
    /// [`ErrorKind::NotFound`] when the upload is gone; after any other error either of the two may be there.
    pub(super) async fn replace(
        &mut self,
        bucket: &Bucket,
        dir: &Key,
        version: &UpdateVersion,
    ) -> Result<UpdateVersion> {
        let before = std::mem::replace(&mut self.head.revision, Uuid::new_v4());
        let payload = self.payload()?;
        let path = bucket.path(&layout::object_upload_state(dir));
        let options = PutOptions::from(PutMode::Update(version.clone()));
        match bucket.store.put_opts(&path, payload.clone(), options).await {
            Ok(written) => Ok(written.into()),
            Err(error) if is_conflict(&error) => {
                // It may be this state itself: the store took it, the answer got lost, the client library tried again.
                let (found, version) = Self::load_head(bucket, dir).await?;
                if found.revision == self.head.revision {
                    Ok(version)
                } else {
                    Err(conflict(dir))
                }
            }
            Err(error) if is_unsupported(&error) => self.overwrite(bucket, dir, before, payload).await,
            Err(error) => Err(failed(format!("write upload `{dir}`"), error)),
        }
    }

    /// The best that a store without conditional puts can do: look first.
    async fn overwrite(
        &self,
        bucket: &Bucket,
        dir: &Key,
        before: Uuid,
        payload: PutPayload,
    ) -> Result<UpdateVersion> {
        let (found, _) = Self::load_head(bucket, dir).await?;
        if found.revision != before {
            return Err(conflict(dir));
        }
        let path = bucket.path(&layout::object_upload_state(dir));
        let written = bucket.store.put_opts(&path, payload, PutOptions::default()).await;
        written
            .map(UpdateVersion::from)
            .map_err(|error| failed(format!("write upload `{dir}`"), error))
    }

    fn payload(&self) -> Result<PutPayload> {
        let mut head = serde_json::to_vec(&self.head)
            .map_err(|error| Error::with_source(ErrorKind::Other, "write the state of an upload", error))?;
        head.push(b'\n');
        Ok([Bytes::from(head), self.tail.clone()].into_iter().collect())
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
