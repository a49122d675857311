//! Uploads: one chunk for each request, composed and copied into place at the end.

use std::{
    collections::HashMap,
    mem,
    sync::Arc,
    time::{Instant, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::UpdateVersion;
use tokio::{runtime::Handle, sync::mpsc, task::JoinHandle};
use tracing::Instrument as _;
use uuid::Uuid;
use wharf_oci::{Algorithm, Digest};

use super::{
    Bucket,
    blob::Pieces,
    error::failed,
    hold::{Hold, Holds},
    rename::copy_into,
    state::{Chunk, State},
    tree,
    writer::{Hashes, ObjectWriter},
};
use crate::{Error, ErrorKind, Finished, Key, ListedUpload, Put, Result, Upload, layout};

/// An upload that a request of this process holds.
///
/// The bytes go to a task that owns the session. So whenever the request goes away, in the middle of whatever, the
/// task still completes the chunk with what it was given, and lets go only then.
pub(super) struct ObjectUpload {
    /// The session; `None` while a task has it.
    session: Option<Session>,
    appending: Option<Appending>,
    size: u64,
    failed: bool,
    is_provisional: bool,
}

struct Appending {
    commands: mpsc::Sender<Command>,
    task: JoinHandle<(Session, Result<()>)>,
}

enum Command {
    Append(Bytes),
    /// What this request has appended is all of it, and to be kept.
    Keep,
    /// Forget what this request has appended.
    Abort,
}

/// The state and the rights of a holder.
struct Session {
    bucket: Arc<Bucket>,
    dir: Key,
    state: State,
    version: UpdateVersion,
    /// When this session last wrote the state.
    touched: Instant,
    /// Whether what is appended gets into the state only when the upload is published.
    is_provisional: bool,
    /// The bytes of a request that is provisional, complete but in no state yet. Once the upload is finished, all of its bytes.
    provisional: Option<Chunk>,
    _hold: Hold,
}

impl ObjectUpload {
    pub(super) async fn open(bucket: Arc<Bucket>, dir: Key, hold: Hold) -> Result<Self> {
        let (state, version) = State::load(&bucket, &dir).await?;
        let size = state.size();
        let session = Session {
            bucket,
            dir,
            state,
            version,
            touched: Instant::now(),
            is_provisional: false,
            provisional: None,
            _hold: hold,
        };
        Ok(Self {
            session: Some(session),
            appending: None,
            size,
            failed: false,
            is_provisional: false,
        })
    }

    /// The task that takes bytes; started by the first of them.
    fn appending(&mut self) -> Result<&Appending> {
        if self.failed {
            return Err(Error::new(
                ErrorKind::Other,
                "add to an upload after a write to it failed",
            ));
        }
        if let Some(session) = self.session.take() {
            if let Err(error) = session.accepts() {
                self.session = Some(session);
                return Err(error);
            }
            // One piece waits here while the task works on another one.
            let (commands, queue) = mpsc::channel(1);
            self.appending = Some(Appending {
                commands,
                task: tokio::spawn(session.append(queue).in_current_span()),
            });
        }
        self.appending.as_ref().ok_or_else(lost)
    }

    /// Ends the task, if there is one, and gets the session back. An error is of what was appended.
    async fn end_appending(&mut self) -> Result<()> {
        let Some(Appending { commands, task }) = self.appending.take() else {
            return Ok(());
        };
        drop(commands);
        let (session, result) = task
            .await
            .map_err(|error| Error::with_source(ErrorKind::Other, "add to an upload", error))?;
        self.session = Some(session);
        self.failed |= result.is_err();
        result
    }

    /// Ends the task, and forgets what was appended.
    async fn abort_appending(&mut self) {
        if let Some(appending) = &self.appending {
            // When the task has ended with an error there is nothing to abort.
            drop(appending.commands.send(Command::Abort).await);
        }
        drop(self.end_appending().await);
    }

    async fn into_session(mut self: Box<Self>) -> Result<Session> {
        self.end_appending().await?;
        if self.failed {
            return Err(Error::new(
                ErrorKind::Other,
                "end a request on an upload after a write to it failed",
            ));
        }
        self.session.take().ok_or_else(lost)
    }
}

#[async_trait]
impl Upload for ObjectUpload {
    fn size(&self) -> u64 {
        self.size
    }

    fn write_provisionally(&mut self) {
        self.is_provisional = true;
        if let Some(session) = &mut self.session {
            session.is_provisional = true;
            session.state = session.state.before_seal();
            self.size = session.state.size();
        }
    }

    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let size = bytes.len() as u64;
        if self
            .appending()?
            .commands
            .send(Command::Append(bytes))
            .await
            .is_ok()
        {
            self.size += size;
            return Ok(());
        }
        // The task has ended before its time, so it has an error to tell.
        self.failed = true;
        self.end_appending().await?;
        Err(lost())
    }

    async fn suspend(mut self: Box<Self>) -> Result<u64> {
        if self.is_provisional {
            self.abort_appending().await;
        }
        Ok(self.into_session().await?.state.size())
    }

    async fn finish(mut self: Box<Self>, also: Option<Algorithm>) -> Result<Box<dyn Finished>> {
        if let Some(appending) = self.appending.as_ref().filter(|_| self.is_provisional) {
            // When the task has ended with an error, that is told below.
            drop(appending.commands.send(Command::Keep).await);
        }
        let session = self.into_session().await?;
        // In a task of its own: the caller may go away, but a multipart upload is completed or aborted.
        let finished = run(async move { session.finish(also).await }).await?;
        Ok(Box::new(finished))
    }

    async fn discard(mut self: Box<Self>) -> Result<()> {
        self.abort_appending().await;
        let session = self.session.take().ok_or_else(lost)?;
        run(async move { remove(&session.bucket, &session.dir).await }).await
    }
}

impl Session {
    /// Whether bytes may be added.
    fn accepts(&self) -> Result<()> {
        if self.state.sealed {
            let context = format!(
                "add to upload `{}`, which another request is publishing",
                self.dir
            );
            return Err(Error::new(ErrorKind::Busy, context));
        }
        let most = self.bucket.limits.chunks;
        if self.state.chunks.len() >= most {
            let context = format!(
                "add to upload `{}`: it came in {most} chunks already; send larger ones",
                self.dir
            );
            return Err(Error::new(ErrorKind::TooLarge, context));
        }
        Ok(())
    }

    /// Writes what comes as a new chunk, until there is no more.
    async fn append(mut self, mut queue: mpsc::Receiver<Command>) -> (Self, Result<()>) {
        let chunk = self.new_chunk();
        let mut writer = ObjectWriter::new(
            &self.bucket,
            &layout::object_upload_chunk(&self.dir, &chunk),
            None,
        );
        let mut is_kept = !self.is_provisional;
        while let Some(command) = queue.recv().await {
            let bytes = match command {
                Command::Append(bytes) => bytes,
                Command::Keep => {
                    is_kept = true;
                    continue;
                }
                Command::Abort => {
                    is_kept = false;
                    break;
                }
            };
            let mut result = writer.write(&bytes).await;
            if result.is_ok() {
                result = self.show_life().await;
            }
            if result.is_err() {
                writer.abort().await;
                return (self, result);
            }
        }
        if !is_kept {
            writer.abort().await;
            return (self, Ok(()));
        }
        let result = match writer.finish(None).await {
            Ok(written) => {
                self.accept(Chunk {
                    name: chunk,
                    size: written.size,
                    sha256: written.sha256,
                })
                .await
            }
            Err(error) => Err(error),
        };
        (self, result)
    }

    /// Sorted by name, chunks are in the order of their offsets, which helps operators only.
    fn new_chunk(&self) -> String {
        format!("{:016}-{}", self.state.size(), Uuid::new_v4())
    }

    fn chunk_key(&self, chunk: &Chunk) -> Key {
        layout::object_upload_chunk(&self.dir, &chunk.name)
    }

    async fn accept(&mut self, chunk: Chunk) -> Result<()> {
        if self.is_provisional {
            self.provisional = Some(chunk);
            return Ok(());
        }
        let mut state = self.state.clone();
        state.chunks.push(chunk.clone());
        self.replace_or_remove(state, &chunk).await
    }

    /// Makes `state` the upload's state. When another request was first, `chunk` belongs to no state and is removed.
    async fn replace_or_remove(&mut self, state: State, chunk: &Chunk) -> Result<()> {
        let result = self.replace(state).await;
        if let Err(error) = &result
            && matches!(error.kind(), ErrorKind::Busy | ErrorKind::NotFound)
        {
            self.forget(chunk).await;
        }
        result
    }

    async fn replace(&mut self, mut state: State) -> Result<()> {
        self.version = state.replace(&self.bucket, &self.dir, &self.version).await?;
        self.state = state;
        self.touched = Instant::now();
        Ok(())
    }

    /// Removes a chunk that no state lists. What stays in spite of it goes with the upload.
    async fn forget(&self, chunk: &Chunk) {
        let key = self.chunk_key(chunk);
        if let Err(error) = self.bucket.delete(&key).await {
            tracing::warn!(%key, %error, "could not remove a chunk that is not needed; a purge will");
        }
    }

    /// Renews the state once in a while, so that no other process takes the upload for abandoned.
    async fn show_life(&mut self) -> Result<()> {
        if self.touched.elapsed() < self.bucket.limits.heartbeat {
            return Ok(());
        }
        self.replace(self.state.clone()).await
    }

    /// Reduces the upload to at most one chunk, of known digests.
    async fn finish(mut self, also: Option<Algorithm>) -> Result<ObjectFinished> {
        let wants_more = also.is_some_and(|also| also != Algorithm::Sha256);
        let chunks = self.chunks();
        let (sha256, also) = match &chunks[..] {
            [] => Hashes::new(also).finish(),
            [chunk] if !wants_more => {
                self.check_size(chunk).await?;
                (chunk.sha256, None)
            }
            [chunk] => self.hash(chunk, also).await?,
            _ => self.compose(&chunks, also).await?,
        };
        Ok(ObjectFinished {
            session: self,
            sha256,
            also,
        })
    }

    async fn hash(&self, chunk: &Chunk, also: Option<Algorithm>) -> Result<(Digest, Option<Digest>)> {
        let mut hashes = Hashes::new(also);
        let mut pieces = Pieces::of(&self.bucket, &self.chunk_key(chunk), chunk.size).await?;
        while let Some(piece) = pieces.next().await? {
            hashes = hashes.update(piece).await?;
        }
        let (sha256, also) = hashes.finish();
        if sha256 == chunk.sha256 {
            Ok((sha256, also))
        } else {
            Err(self.damaged(chunk, sha256))
        }
    }

    async fn check_size(&self, chunk: &Chunk) -> Result<()> {
        let key = self.chunk_key(chunk);
        let found = self.bucket.head(&key).await?.size;
        if found == chunk.size {
            return Ok(());
        }
        let context = format!(
            "look up `{key}`: it has {found} bytes, {} were written",
            chunk.size
        );
        Err(Error::new(ErrorKind::Damaged, context))
    }

    fn damaged(&self, chunk: &Chunk, found: Digest) -> Error {
        let context = format!(
            "read `{}`: it has the digest {found}, not {}",
            self.chunk_key(chunk),
            chunk.sha256
        );
        Error::new(ErrorKind::Damaged, context)
    }

    /// All bytes of the upload, with those that are in no state yet.
    fn chunks(&self) -> Vec<Chunk> {
        let chunks = self.state.chunks.iter().chain(&self.provisional);
        chunks.cloned().collect()
    }

    /// Copies all `chunks` into one new chunk, and makes that the upload.
    async fn compose(
        &mut self,
        chunks: &[Chunk],
        also: Option<Algorithm>,
    ) -> Result<(Digest, Option<Digest>)> {
        let name = format!("all-{}", Uuid::new_v4());
        let mut writer =
            ObjectWriter::new(&self.bucket, &layout::object_upload_chunk(&self.dir, &name), also);
        for chunk in chunks {
            if let Err(error) = self.copy_into(&mut writer, chunk).await {
                writer.abort().await;
                return Err(error);
            }
        }
        let written = writer.finish(None).await?;
        let whole = Chunk {
            name,
            size: written.size,
            sha256: written.sha256,
        };
        if let Some(part) = self.provisional.replace(whole.clone()) {
            self.forget(&part).await;
        } else {
            self.provisional = None;
            let mut state = self.state.clone();
            let parts = mem::replace(&mut state.chunks, vec![whole.clone()]);
            self.replace_or_remove(state, &whole).await?;
            for part in &parts {
                self.forget(part).await;
            }
        }
        Ok((written.sha256, written.also))
    }

    async fn copy_into(&self, writer: &mut ObjectWriter, chunk: &Chunk) -> Result<()> {
        copy_into(writer, &self.bucket, &self.chunk_key(chunk), chunk.size).await
    }

    async fn publish(mut self, digest: &Digest, key: &Key, then: &[Put]) -> Result<()> {
        // From here on no other request can add to it: a request that read the state before fails to replace it, one that
        // reads it from now on sees the seal.
        // Its chunks stay until the upload is removed, so that after a crash a client can send its last request again.
        match self.provisional.take() {
            Some(all) => {
                let sealed = self.state.seal(Some(all.clone()));
                self.replace_or_remove(sealed, &all).await?;
            }
            None => self.replace(self.state.seal(None)).await?,
        }
        match &self.state.chunks[..] {
            [] => self.bucket.put(key, Bytes::new()).await?,
            [chunk] if chunk.size <= self.bucket.limits.copy_size => {
                self.bucket.copy(&self.chunk_key(chunk), key).await?;
            }
            chunks => {
                let mut writer = ObjectWriter::new(&self.bucket, key, None);
                for chunk in chunks {
                    if let Err(error) = self.copy_into(&mut writer, chunk).await {
                        writer.abort().await;
                        return Err(error);
                    }
                }
                writer.finish(Some(digest)).await?;
            }
        }
        self.bucket.publish(then).await?;
        if let Err(error) = remove(&self.bucket, &self.dir).await {
            tracing::warn!(upload = %self.dir, %error, "could not remove a published upload; a purge will");
        }
        Ok(())
    }
}

impl Drop for Session {
    /// Removes the bytes of a request that was provisional and came to nothing. If that fails they go with the upload.
    fn drop(&mut self) {
        if let (Some(chunk), Ok(runtime)) = (self.provisional.take(), Handle::try_current()) {
            let (bucket, key) = (Arc::clone(&self.bucket), self.chunk_key(&chunk));
            runtime.spawn(async move {
                if let Err(error) = bucket.delete(&key).await {
                    tracing::warn!(%key, %error, "could not remove a chunk that is not needed; a purge will");
                }
            });
        }
    }
}

/// An upload that is one chunk at most, with known digests.
pub(super) struct ObjectFinished {
    session: Session,
    sha256: Digest,
    also: Option<Digest>,
}

#[async_trait]
impl Finished for ObjectFinished {
    fn size(&self) -> u64 {
        match &self.session.provisional {
            Some(all) => all.size,
            None => self.session.state.size(),
        }
    }

    fn digest(&self, algorithm: Algorithm) -> Option<Digest> {
        [Some(self.sha256), self.also]
            .into_iter()
            .flatten()
            .find(|digest| digest.algorithm() == algorithm)
    }

    /// Does nothing: the chunks are durable since they were acknowledged, and a copy inside the store can be seen.
    async fn prepare(&mut self) -> Result<()> {
        Ok(())
    }

    async fn publish(self: Box<Self>, key: &Key, then: &[Put]) -> Result<()> {
        let (key, then) = (key.clone(), then.to_vec());
        // In a task of its own: hold is let go when all is done, also when the caller does not wait for it any more.
        run(async move { self.session.publish(&self.sha256, &key, &then).await }).await
    }

    async fn discard(self: Box<Self>) -> Result<()> {
        run(async move { remove(&self.session.bucket, &self.session.dir).await }).await
    }
}

/// Removes an upload, the state first: without it no request can take hold of the rest.
async fn remove(bucket: &Bucket, dir: &Key) -> Result<()> {
    bucket.delete(&layout::object_upload_state(dir)).await?;
    tree::remove_below(bucket, dir, |_| true).await
}

/// All uploads, each with the times of its objects, and what requests left behind whose upload is gone.
pub(super) async fn list(bucket: &Bucket, holds: &Holds) -> Result<Vec<ListedUpload>> {
    let root = layout::object_uploads();
    let mut found: HashMap<Key, ListedUpload> = HashMap::new();
    let mut listed = bucket.store.list(Some(&bucket.path(&root)));
    while let Some(meta) = listed
        .try_next()
        .await
        .map_err(|error| failed(format!("list `{root}`"), error))?
    {
        let Some(key) = bucket.key(&meta.location) else {
            continue;
        };
        let Some(dir) = layout::object_upload_of(&key) else {
            continue;
        };
        let modified = SystemTime::from(meta.last_modified);
        let is_held = holds.contains(&dir);
        let upload = found.entry(dir.clone()).or_insert_with(|| ListedUpload {
            repository: repository_of(&dir),
            id: dir.name().into(),
            started: None,
            touched: modified,
            size: 0,
            is_held,
            is_remnant: true,
        });
        upload.touched = upload.touched.max(modified);
        if key == layout::object_upload_state(&dir) {
            upload.is_remnant = false;
        } else {
            upload.size += meta.size;
        }
    }
    Ok(found.into_values().collect())
}

/// The name of the repository that an upload is for, whatever it is.
fn repository_of(dir: &Key) -> Box<str> {
    let parent = dir.parent();
    let repository = parent.as_ref().map_or("", Key::name);
    repository.replace('=', "/").into()
}

/// Removes an upload that is not held and was not touched since.
pub(super) async fn remove_untouched(
    bucket: &Bucket,
    holds: &Holds,
    upload: &ListedUpload,
    untouched_since: SystemTime,
) -> Result<()> {
    let dir = layout::object_uploads()
        .join(&upload.repository.replace('/', "="))
        .and_then(|above| above.join(&upload.id))
        .map_err(|error| Error::with_source(ErrorKind::NotFound, "remove an upload", error))?;
    let _hold = holds.take(&dir)?;
    // A request may have gone on with it since it was listed.
    let touched = match bucket.head(&layout::object_upload_state(&dir)).await {
        Ok(meta) => SystemTime::from(meta.last_modified).max(upload.touched),
        Err(error) if error.is_not_found() && upload.is_remnant => upload.touched,
        Err(error) => return Err(error),
    };
    if touched >= untouched_since {
        let context = format!("remove upload `{dir}`, which a request has gone on with");
        return Err(Error::new(ErrorKind::Precondition, context));
    }
    remove(bucket, &dir).await
}

/// Runs `work` to its end, whether or not the caller stays to see it.
async fn run<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    match tokio::spawn(work.in_current_span()).await {
        Ok(result) => result,
        Err(error) => Err(Error::with_source(ErrorKind::Other, "work on an upload", error)),
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::Other, "use an upload whose earlier call was abandoned")
}
