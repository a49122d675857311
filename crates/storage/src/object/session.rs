//! What one request does to an upload that it holds: the bytes that it adds, its lease, and letting go.

use std::{mem, sync::Arc};

use bytes::Bytes;
use object_store::UpdateVersion;
use tokio::{runtime::Handle, time::Instant};
use uuid::Uuid;
use wharf_budget::Permit;
use wharf_oci::Digest;

use super::{
    Bucket,
    hashes::Hashes,
    hold::Hold,
    parts::Parts,
    state::{Direct, Lease, Staging, State},
};
use crate::{Announced, Error, ErrorKind, Key, Result, layout};

/// An upload, held by a request.
pub(super) struct Session {
    pub(super) bucket: Arc<Bucket>,
    pub(super) dir: Key,
    /// As it is in the store.
    pub(super) state: State,
    version: UpdateVersion,
    /// When the state was last written by this session, or read.
    written: Instant,
    pub(super) is_provisional: bool,
    pub(super) announced: Announced,
    /// What the state has not.
    pub(super) growth: Option<Growth>,
    /// Where this request sends parts.
    pub(super) target: Target,
    room: Option<Permit>,
    hold: Option<Hold>,
    /// Whether it was dropped before, and is being taken back. A runtime that shuts down drops it again.
    is_dropped: bool,
}

/// What this request has added, and the state does not have yet.
pub(super) struct Growth {
    pub(super) hashes: Hashes,
    /// The bytes in no part, also those that were there before.
    pub(super) tail: Vec<u8>,
    /// How many bytes of the tail are hashed.
    hashed: usize,
    /// Of the whole upload.
    pub(super) size: u64,
    part_size: usize,
}

/// Where the parts go.
pub(super) enum Target {
    /// No part was sent by this request.
    Nowhere,
    /// To the object that is copied to the key of the blob at the end.
    Staging(Parts),
    /// To the key of the blob.
    Direct(Parts),
    /// These bytes were sent before, by a request that sealed the upload. They are only hashed.
    Sealed,
}

impl Session {
    pub(super) async fn open(bucket: Arc<Bucket>, dir: Key, hold: Hold) -> Result<Self> {
        let (state, version, room) = State::load(&bucket, &dir).await?;
        let session = Self {
            bucket,
            dir,
            state,
            version,
            written: Instant::now(),
            is_provisional: false,
            announced: Announced::default(),
            growth: None,
            target: Target::Nowhere,
            room,
            hold: Some(hold),
            is_dropped: false,
        };
        let lease = session.state.head.lease.filter(|lease| {
            // The table of holds says that no request of this process has it.
            lease.holder != session.bucket.process && lease.is_live((session.bucket.limits.clock)())
        });
        match lease {
            Some(_) => {
                let context = format!(
                    "open upload `{}`, which a request on another server writes",
                    session.dir
                );
                session.forget();
                Err(Error::new(ErrorKind::Busy, context))
            }
            None => Ok(session),
        }
    }

    /// Adds to the upload. After an error the request can only [take back](Self::take_back) what it added.
    pub(super) async fn add(&mut self, bytes: Bytes) -> Result<()> {
        let mut growth = match self.growth.take() {
            Some(growth) => growth,
            None => self.begin().await?,
        };
        let added = self.add_to(&mut growth, bytes).await;
        self.growth = Some(growth);
        added
    }

    /// Makes what was added count.
    pub(super) async fn keep(&mut self) -> Result<()> {
        let Some(tail) = self.settle().await? else {
            return match self.state.head.lease {
                Some(_) => self.release().await,
                None => Ok(()),
            };
        };
        let mut state = self.state.clone();
        if let (Target::Staging(parts), Some(staging)) = (&self.target, &mut state.head.staging) {
            staging.parts = parts.names();
        }
        if let Some(growth) = &self.growth {
            state.set_end(growth.size, growth.hashes.sha256(), tail);
        }
        state.head.lease = None;
        self.write(state).await?;
        self.growth = None;
        self.target = Target::Nowhere;
        Ok(())
    }

    /// Hashes what was added and is not hashed yet, waits for the part on its way, and returns the bytes that are in no
    /// part. `None` when nothing was added.
    pub(super) async fn settle(&mut self) -> Result<Option<Bytes>> {
        let Some(growth) = &mut self.growth else {
            return Ok(None);
        };
        let (tail, fresh) = growth.take_tail();
        growth.hashes.update(fresh).await?;
        match &mut self.target {
            Target::Staging(parts) | Target::Direct(parts) => parts.settle().await?,
            Target::Nowhere | Target::Sealed => {}
        }
        Ok(Some(tail))
    }

    /// Leaves the upload as it was before this request.
    pub(super) async fn take_back(&mut self) {
        self.take_back_parts().await;
        if self.state.head.lease.is_some()
            && let Err(error) = self.release().await
        {
            tracing::warn!(upload = %self.dir, %error, "could not let go of an upload; other servers can go on with it in some minutes");
        }
    }

    /// Waits for the part on its way, and gives up a multipart upload at the key of a blob.
    pub(super) async fn take_back_parts(&mut self) {
        self.growth = None;
        match mem::replace(&mut self.target, Target::Nowhere) {
            // A part that arrived later could replace one of the next request.
            Target::Staging(mut parts) => drop(parts.settle().await),
            Target::Direct(parts) => {
                parts.abort().await;
                self.state.head.direct = None;
            }
            Target::Nowhere | Target::Sealed => {}
        }
    }

    /// When the lease, or the state of an upload without one, has to be written again.
    pub(super) fn renewal(&self) -> Instant {
        self.written + self.bucket.limits.heartbeat
    }

    /// Writes the state with a new lease, so that no other process takes the upload for abandoned.
    pub(super) async fn renew(&mut self) -> Result<()> {
        self.write_lease(Some(self.lease())).await
    }

    pub(super) async fn write(&mut self, mut state: State) -> Result<()> {
        self.version = state.replace(&self.bucket, &self.dir, &self.version).await?;
        self.state = state;
        self.written = Instant::now();
        Ok(())
    }

    /// There is nothing to let go of any more.
    pub(super) fn forget(mut self) {
        self.growth = None;
        self.target = Target::Nowhere;
        self.state.head.lease = None;
    }

    /// Whether bytes may be added.
    pub(super) fn accepts(&self) -> Result<()> {
        if self.state.head.sealed.is_some() && !self.is_provisional {
            let context = format!(
                "add to upload `{}`, which another request is publishing",
                self.dir
            );
            return Err(Error::new(ErrorKind::Busy, context));
        }
        Ok(())
    }

    async fn release(&mut self) -> Result<()> {
        self.write_lease(None).await
    }

    async fn write_lease(&mut self, lease: Option<Lease>) -> Result<()> {
        let mut state = self.state.clone();
        state.head.lease = lease;
        self.write(state).await
    }

    fn lease(&self) -> Lease {
        let limits = &self.bucket.limits;
        Lease::new(self.bucket.process, (limits.clock)(), limits.lease)
    }

    /// Makes room for a part, and starts with the tail.
    async fn begin(&mut self) -> Result<Growth> {
        self.accepts()?;
        let head = &self.state.head;
        let part_size = match &head.staging {
            Some(staging) => usize::try_from(staging.part_size).unwrap_or(usize::MAX),
            None => self.bucket.part_size(head.size, self.announced.length),
        };
        if self.room.is_none() {
            let length = self
                .announced
                .length
                .and_then(|length| usize::try_from(length).ok());
            let most = length.map_or(part_size, |length| part_size.min(length + self.state.tail.len()));
            self.room = Some(self.bucket.room(most).await?);
        }
        if head.sealed.is_some() {
            self.target = Target::Sealed;
        }
        let head = &self.state.head;
        let hashes = match self.direct_digest() {
            Some(digest) => Hashes::new(Some(digest.algorithm())),
            None => Hashes::from_sha256(head.hasher(&self.dir)?),
        };
        Ok(Growth {
            hashes,
            hashed: self.state.tail.len(),
            tail: self.state.tail.to_vec(),
            size: head.size,
            part_size,
        })
    }

    /// The digest of the blob that this request brings as a whole, and says so.
    fn direct_digest(&self) -> Option<Digest> {
        let is_whole = self.is_provisional && self.state.head.is_fresh();
        self.announced.digest.filter(|_| is_whole)
    }

    async fn add_to(&mut self, growth: &mut Growth, mut bytes: Bytes) -> Result<()> {
        while !bytes.is_empty() {
            if growth.tail.len() >= growth.part_size {
                if let Target::Nowhere = self.target {
                    self.target = self.begin_parts(growth.part_size).await?;
                }
                self.send_tail(growth).await?;
            }
            let taken = bytes.len().min(growth.part_size - growth.tail.len());
            growth.append(&bytes.split_to(taken));
        }
        Ok(())
    }

    /// Sends the tail as the next part, and hashes it while it is on its way.
    async fn send_tail(&mut self, growth: &mut Growth) -> Result<()> {
        let (part, fresh) = growth.take_tail();
        match &mut self.target {
            Target::Staging(parts) | Target::Direct(parts) => {
                let (sent, hashed) = tokio::join!(parts.send(part), growth.hashes.update(fresh));
                sent.and(hashed)
            }
            Target::Nowhere | Target::Sealed => growth.hashes.update(fresh).await,
        }
    }

    /// Takes the lease, with the multipart upload that the parts of this request go to.
    async fn begin_parts(&mut self, part_size: usize) -> Result<Target> {
        let mut state = self.state.clone();
        state.head.lease = Some(self.lease());
        if let Some(digest) = self.direct_digest() {
            let parts = Parts::create(&self.bucket, &layout::blob(&digest)).await?;
            let direct = Direct {
                key: parts.key.to_string(),
                id: parts.id.clone(),
            };
            // Of a request that ended without a word.
            let dead = state.head.direct.replace(direct);
            let parts = self.claim(state, parts).await?;
            if let Some(dead) = dead {
                dead.abort(&self.bucket).await;
            }
            return Ok(Target::Direct(parts));
        }
        if let Some(staging) = &state.head.staging {
            let key = layout::object_upload_data(&self.dir, staging.name);
            let parts = Parts::resume(&self.bucket, &key, staging.id.clone(), &staging.parts);
            self.write(state).await?;
            return Ok(Target::Staging(parts));
        }
        let name = Uuid::new_v4();
        let key = layout::object_upload_data(&self.dir, name);
        let parts = Parts::create(&self.bucket, &key).await?;
        state.head.staging = Some(Staging {
            name,
            id: parts.id.clone(),
            part_size: part_size as u64,
            parts: Vec::new(),
        });
        self.claim(state, parts).await.map(Target::Staging)
    }

    /// Writes the state that names a new multipart upload. When another request was first, no state names it.
    async fn claim(&mut self, state: State, parts: Parts) -> Result<Parts> {
        match self.write(state).await {
            Ok(()) => Ok(parts),
            Err(error) => {
                if matches!(error.kind(), ErrorKind::Busy | ErrorKind::NotFound) {
                    parts.abort().await;
                }
                Err(error)
            }
        }
    }
}

impl Growth {
    /// Doubles the buffer like `Vec` does, but never beyond a part.
    fn append(&mut self, bytes: &[u8]) {
        let needed = self.tail.len() + bytes.len();
        if needed > self.tail.capacity() {
            let wanted = needed.max(2 * self.tail.capacity()).min(self.part_size);
            self.tail.reserve_exact(wanted - self.tail.len());
        }
        self.tail.extend_from_slice(bytes);
        self.size += bytes.len() as u64;
    }

    /// The tail, and those of its bytes that are not hashed. Exactly as large as its content: a store in memory keeps
    /// the allocation.
    fn take_tail(&mut self) -> (Bytes, Bytes) {
        let tail = Bytes::from(mem::take(&mut self.tail).into_boxed_slice());
        let fresh = tail.slice(mem::take(&mut self.hashed)..);
        (tail, fresh)
    }
}

impl Drop for Session {
    /// Takes back what was added, in a task that goes on holding the upload.
    fn drop(&mut self) {
        let is_under_way = matches!(self.target, Target::Staging(_) | Target::Direct(_));
        let is_under_way = is_under_way || self.state.head.lease.is_some();
        let Some(runtime) = Handle::try_current()
            .ok()
            .filter(|_| is_under_way && !self.is_dropped)
        else {
            return;
        };
        let mut rest = Self {
            bucket: Arc::clone(&self.bucket),
            dir: self.dir.clone(),
            state: self.state.clone(),
            version: self.version.clone(),
            written: self.written,
            is_provisional: self.is_provisional,
            announced: self.announced,
            growth: None,
            target: mem::replace(&mut self.target, Target::Nowhere),
            room: self.room.take(),
            hold: self.hold.take(),
            is_dropped: true,
        };
        runtime.spawn(async move {
            rest.take_back().await;
            rest.forget();
        });
    }
}
