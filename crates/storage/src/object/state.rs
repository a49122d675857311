//! The state of an upload: one small object that says which chunks count.

use bytes::Bytes;
use object_store::{PutMode, PutOptions, UpdateVersion};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use wharf_oci::Digest;

use super::{
    Bucket,
    error::{failed, is_conflict, is_unsupported},
};
use crate::{Error, ErrorKind, Key, Result, layout};

/// What `state` holds, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// Changes with each write, so that a writer recognises its own after an answer was lost.
    revision: Uuid,
    /// Whether it is being published: no bytes are accepted any more.
    #[serde(default)]
    pub(super) sealed: bool,
    /// The bytes of the upload, in order.
    pub(super) chunks: Vec<Chunk>,
    /// Of a sealed upload: the bytes that it had before the request that sealed it, if that one was provisional.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Vec<Chunk>>,
}

/// The bytes of one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chunk {
    /// Name of the chunk in the directory of chunks.
    pub(super) name: String,
    pub(super) size: u64,
    /// SHA-256 of its bytes, computed as they were written.
    pub(super) sha256: Digest,
}

impl State {
    fn empty() -> Self {
        Self {
            revision: Uuid::new_v4(),
            sealed: false,
            chunks: Vec::new(),
            before: None,
        }
    }

    /// This state, closed for more bytes; of `all` of them, where they came by a request that is provisional.
    pub(super) fn seal(&self, all: Option<Chunk>) -> Self {
        let (chunks, before) = match all {
            Some(all) => (vec![all], Some(self.chunks.clone())),
            None => (self.chunks.clone(), self.before.clone()),
        };
        Self {
            revision: self.revision,
            sealed: true,
            chunks,
            before,
        }
    }

    /// The state before a provisional request sealed it, for another such request to begin with. Whichever of the two writes
    /// its state first wins.
    pub(super) fn before_seal(&self) -> Self {
        match &self.before {
            Some(chunks) if self.sealed => Self {
                revision: self.revision,
                sealed: false,
                chunks: chunks.clone(),
                before: None,
            },
            _ => self.clone(),
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.size).sum()
    }

    /// Starts an upload. To start one again that is still empty does nothing.
    pub(super) async fn create(bucket: &Bucket, dir: &Key) -> Result<()> {
        let path = bucket.path(&layout::object_upload_state(dir));
        let bytes = Self::empty().to_json()?;
        let options = PutOptions::from(PutMode::Create);
        match bucket.store.put_opts(&path, bytes.clone().into(), options).await {
            Ok(_) => Ok(()),
            Err(error) if is_unsupported(&error) => {
                bucket.put(&layout::object_upload_state(dir), bytes).await
            }
            Err(error) if is_conflict(&error) => {
                let (state, _) = Self::load(bucket, dir).await?;
                if state.size() == 0 {
                    Ok(())
                } else {
                    Err(conflict(dir))
                }
            }
            Err(error) => Err(failed(format!("create upload `{dir}`"), error)),
        }
    }

    pub(super) async fn load(bucket: &Bucket, dir: &Key) -> Result<(Self, UpdateVersion)> {
        let context = || format!("read upload `{dir}`");
        let path = bucket.path(&layout::object_upload_state(dir));
        let got = bucket
            .store
            .get_opts(&path, object_store::GetOptions::default())
            .await;
        let got = got.map_err(|error| failed(context(), error))?;
        let version = UpdateVersion {
            e_tag: got.meta.e_tag.clone(),
            version: got.meta.version.clone(),
        };
        let bytes = got.bytes().await.map_err(|error| failed(context(), error))?;
        let state = serde_json::from_slice(&bytes)
            .map_err(|error| Error::with_source(ErrorKind::Damaged, context(), error))?;
        Ok((state, version))
    }

    /// Writes this state in place of the one of `version`. [`ErrorKind::Busy`] when there is another one by now,
    /// [`ErrorKind::NotFound`] when the upload is gone; after any other error either of the two may be there.
    pub(super) async fn replace(
        &mut self,
        bucket: &Bucket,
        dir: &Key,
        version: &UpdateVersion,
    ) -> Result<UpdateVersion> {
        let before = std::mem::replace(&mut self.revision, Uuid::new_v4());
        let bytes = self.to_json()?;
        let path = bucket.path(&layout::object_upload_state(dir));
        let options = PutOptions::from(PutMode::Update(version.clone()));
        match bucket.store.put_opts(&path, bytes.clone().into(), options).await {
            Ok(written) => Ok(written.into()),
            Err(error) if is_conflict(&error) => {
                // It may be this state itself: the store took it, the answer got lost, the client library tried again.
                let (found, version) = Self::load(bucket, dir).await?;
                if found.revision == self.revision {
                    Ok(version)
                } else {
                    Err(conflict(dir))
                }
            }
            Err(error) if is_unsupported(&error) => self.overwrite(bucket, dir, before, bytes).await,
            Err(error) => Err(failed(format!("write upload `{dir}`"), error)),
        }
    }

    /// The best that a store without conditional puts can do: look first.
    async fn overwrite(
        &self,
        bucket: &Bucket,
        dir: &Key,
        before: Uuid,
        bytes: Bytes,
    ) -> Result<UpdateVersion> {
        let (found, _) = Self::load(bucket, dir).await?;
        if found.revision != before {
            return Err(conflict(dir));
        }
        let path = bucket.path(&layout::object_upload_state(dir));
        let written = bucket
            .store
            .put_opts(&path, bytes.into(), PutOptions::default())
            .await;
        written
            .map(UpdateVersion::from)
            .map_err(|error| failed(format!("write upload `{dir}`"), error))
    }

    fn to_json(&self) -> Result<Bytes> {
        let json = serde_json::to_vec(self);
        json.map(Bytes::from)
            .map_err(|error| Error::with_source(ErrorKind::Other, "write the state of an upload", error))
    }
}

fn conflict(dir: &Key) -> Error {
    Error::new(
        ErrorKind::Busy,
        format!("add to upload `{dir}`, to which another request has added meanwhile"),
    )
}
