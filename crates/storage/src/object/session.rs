//! What one request does to an upload that it holds: takes it over, adds bytes, makes them count, lets go.

use std::sync::Arc;

use bytes::Bytes;
use object_store::UpdateVersion;
use tokio::{runtime::Handle, time::Instant};
use uuid::Uuid;
use wharf_oci::Digest;

use super::{
    Bucket,
    growth::{Growth, Target},
    hashes::Hashes,
    hold::Hold,
    parts::Parts,
    purge::remove_objects,
    room::Room,
    state::{Open, Staged, State},
};
use crate::{Announced, Error, ErrorKind, Key, Result, layout};

/// How often a request tries to take an upload over from others.
const TRIES: usize = 8;

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
    growth: Option<Growth>,
    /// For the tail of the state.
    room: Option<Room>,
    hold: Option<Hold>,
    /// Whether it was dropped before, and is being taken back. A runtime that shuts down drops it again.
    is_dropped: bool,
}

impl Session {
    /// Takes hold of the upload, also if a request elsewhere has not let go of it: its client has given it up, or would not
    /// send this one. That request fails when it wants to write the state, and its parts go.
    pub(super) async fn open(bucket: Arc<Bucket>, dir: Key, hold: Hold) -> Result<Self> {
        for _ in 0..TRIES {
            let (state, version, room) = State::load(&bucket, &dir).await?;
            let mut session = Self {
                bucket: Arc::clone(&bucket),
                dir: dir.clone(),
                state,
                version,
                written: Instant::now(),
                is_provisional: false,
                announced: Announced::default(),
                growth: None,
                room,
                hold: None,
                is_dropped: false,
            };
            let Some(open) = session.state.head.open.clone() else {
                session.hold = Some(hold);
                return Ok(session);
            };
            match session.write_open(None).await {
                Ok(()) => {
                    tracing::debug!(upload = %dir, "took over an upload from a request that has not ended");
                    open.abort(&bucket).await;
                    session.hold = Some(hold);
                    return Ok(session);
                }
                // It ended just now, or another one took it over.
                Err(error) if error.kind() == ErrorKind::Busy => session.forget(),
                Err(error) => {
                    session.forget();
                    return Err(error);
                }
            }
        }
        let context = format!("open upload `{dir}`, which requests on other servers write");
        Err(Error::new(ErrorKind::Busy, context))
    }

    /// Adds to the upload. After an error the request can only [take back](Self::take_back) what it added.
    pub(super) async fn add(&mut self, bytes: Bytes) -> Result<()> {
        let mut growth = self.take_growth()?;
        let added = self.add_to(&mut growth, bytes).await;
        self.growth = Some(growth);
        match added {
            Ok(()) => Ok(()),
            Err(error) => Err(self.explained(error).await),
        }
    }

    /// Makes what was added count.
    pub(super) async fn keep(&mut self) -> Result<()> {
        let Some(growth) = &mut self.growth else {
            return Ok(());
        };
        if let Err(error) = growth.pause().await {
            return Err(self.explained(error).await);
        }
        let mut state = self.state.clone();
        state.head.objects.clone_from(&growth.objects);
        state.head.open = None;
        let (tail, _) = growth.take_tail();
        state.set_end(growth.size, growth.hashes.sha256(), tail);
        let before = self.state.head.objects.clone();
        self.write(state).await?;
        let made = self.growth.take().map(|growth| growth.made).unwrap_or_default();
        let after = &self.state.head.objects;
        let same = before
            .iter()
            .zip(after)
            .take_while(|(old, new)| old == new)
            .count();
        let replaced = before.into_iter().skip(same).chain(made);
        let replaced = replaced.filter(|object| !after[same..].contains(object));
        remove_objects(&self.bucket, &self.dir, replaced.collect()).await;
        Ok(())
    }

    /// The upload with what this request has added, which is nothing before the first call.
    pub(super) fn grown(&mut self) -> Result<&mut Growth> {
        let growth = self.take_growth()?;
        Ok(self.growth.insert(growth))
    }

    /// Leaves the upload as it was before this request.
    pub(super) async fn take_back(&mut self) {
        let made = self.take_back_parts().await;
        if self.state.head.open.is_some()
            && let Err(error) = self.write_open(None).await
        {
            tracing::debug!(upload = %self.dir, %error, "could not let go of an upload; the next request takes it over");
        }
        if made.is_empty() {
            return;
        }
        // The state may have them: it was written, and the answer got lost.
        let unnamed = match State::load_head(&self.bucket, &self.dir).await {
            Ok((head, _)) => made
                .into_iter()
                .filter(|object| !head.objects.contains(object))
                .collect(),
            Err(error) if error.is_not_found() => made,
            Err(_) => return,
        };
        remove_objects(&self.bucket, &self.dir, unnamed).await;
    }

    /// Gives up the parts that were sent. Returns the objects that were written.
    pub(super) async fn take_back_parts(&mut self) -> Vec<Staged> {
        let Some(growth) = self.growth.take() else {
            return Vec::new();
        };
        match growth.target {
            Target::Object(_, parts) | Target::Blob(parts) => parts.abort().await,
            Target::Nowhere => {}
        }
        growth.made
    }

    /// When there is something to [look after](Self::look_after), unless bytes come before.
    pub(super) fn wake(&self) -> Instant {
        let turn = self.growth.as_ref().and_then(Growth::turn);
        let renewal = self.renewal();
        turn.map_or(renewal, |turn| turn.min(renewal))
    }

    /// Shows other processes that this request lives, and lets other requests have its room when they wait for it.
    pub(super) async fn look_after(&mut self) -> Result<()> {
        if Instant::now() >= self.renewal() {
            self.write(self.state.clone()).await?;
        }
        match &mut self.growth {
            Some(growth) => growth.give_way().await,
            None => Ok(()),
        }
    }

    /// What the error says of the upload: what another request took away is not gone.
    pub(super) async fn explained(&self, error: Error) -> Error {
        if !error.is_not_found() || State::load_head(&self.bucket, &self.dir).await.is_err() {
            return error;
        }
        let context = format!(
            "add to upload `{}`, which another request has taken over",
            self.dir
        );
        Error::with_source(ErrorKind::Busy, context, error)
    }

    /// There is nothing to let go of any more.
    pub(super) fn forget(mut self) {
        self.growth = None;
        self.state.head.open = None;
    }

    fn renewal(&self) -> Instant {
        self.written + self.bucket.limits.heartbeat
    }

    async fn write(&mut self, mut state: State) -> Result<()> {
        let before = &self.state.head;
        self.version = state
            .replace(&self.bucket, &self.dir, before, &self.version)
            .await?;
        self.state = state;
        self.written = Instant::now();
        Ok(())
    }

    async fn write_open(&mut self, open: Option<Open>) -> Result<()> {
        let mut state = self.state.clone();
        state.head.open = open;
        self.write(state).await
    }

    fn take_growth(&mut self) -> Result<Growth> {
        if let Some(growth) = self.growth.take() {
            return Ok(growth);
        }
        let hashes = match self.direct_digest() {
            Some(digest) => Hashes::new(Some(digest.algorithm())),
            None => Hashes::from_sha256(self.state.head.hasher(&self.dir)?),
        };
        let (length, room) = (self.announced.length, self.room.take());
        Ok(Growth::new(
            &self.bucket,
            &self.dir,
            &self.state,
            hashes,
            length,
            room,
        ))
    }

    /// The digest of the blob that this request brings as a whole, and says so.
    fn direct_digest(&self) -> Option<Digest> {
        let is_whole = self.is_provisional && self.state.head.is_fresh();
        self.announced.digest.filter(|_| is_whole)
    }

    async fn add_to(&mut self, growth: &mut Growth, mut bytes: Bytes) -> Result<()> {
        while growth.fill(&mut bytes).await? {
            if let Target::Nowhere = growth.target {
                growth.target = self.begin_parts().await?;
            }
            growth.ship().await?;
        }
        Ok(())
    }

    /// Begins a multipart upload, which the state names: so a request elsewhere that began earlier can add nothing any more,
    /// and when this process dies it is known what to abort.
    async fn begin_parts(&mut self) -> Result<Target> {
        let name = Uuid::new_v4();
        let digest = self.direct_digest();
        let key = match &digest {
            Some(digest) => layout::blob(digest),
            None => layout::object_upload_data(&self.dir, name),
        };
        let parts = Parts::create(&self.bucket, &key).await?;
        let open = Open {
            key: key.to_string(),
            id: parts.id.clone(),
        };
        if let Err(error) = self.write_open(Some(open)).await {
            if matches!(error.kind(), ErrorKind::Busy | ErrorKind::NotFound) {
                // No state names it.
                parts.abort().await;
            }
            return Err(error);
        }
        Ok(match digest {
            Some(_) => Target::Blob(parts),
            None => Target::Object(name, parts),
        })
    }
}

impl Drop for Session {
    /// Takes back what was added, in a task that goes on holding the upload.
    fn drop(&mut self) {
        let has_sent = self.growth.as_ref().is_some_and(Growth::has_sent);
        let is_under_way = has_sent || self.state.head.open.is_some();
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
            growth: self.growth.take(),
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
