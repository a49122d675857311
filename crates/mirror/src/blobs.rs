//! Blobs of a mirror: one download for all requests, which read it while it arrives.

use std::{ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream::try_unfold;
use tokio::time::Instant;
use wharf_client::upstream::{UpstreamBlob, passing_on};
use wharf_oci::{Digest, Hasher};
use wharf_registry::{BlobInfo, Error as RegistryError, UploadSession};
use wharf_storage::{Announced, ByteStream, ErrorKind};

use crate::{
    download::{Download, Downloads, Phase},
    error::{Failure, Result},
    following::{Following, Joined},
    known::{Known, Outcome},
    manifests::NEGATIVE,
    mirror::Mirrored,
    numbers::Counters,
};

/// How long a download waits for its turn.
const TURN: Duration = Duration::from_secs(30);
/// Bytes that are hashed on the thread of the download; more go to another one.
const INLINE: usize = 64 << 10;
/// Bytes that are taken of a blob with a length that the upstream does not announce.
const LARGEST_UNANNOUNCED: u64 = 64 << 30;
/// How often a request looks for a download again that ended for another repository.
const ATTEMPTS: usize = 4;

/// Where a blob of a mirror is.
#[derive(Debug)]
pub enum FoundBlob {
    /// In its repository here.
    Stored,
    /// On its way.
    Arriving(Following),
    /// At the upstream, and only a part of it is wanted.
    Upstream(BlobInfo),
}

impl Mirrored {
    /// The size of a blob that is not stored here.
    ///
    /// # Errors
    ///
    /// [`BlobUnknown`](RegistryError::BlobUnknown) when the upstream does not have it; [`Error::Upstream`](crate::Error::Upstream) when it
    /// fails.
    pub async fn blob_info(&self, digest: &Digest) -> Result<BlobInfo> {
        Counters::add(&self.mirror.blobs.requests, 1);
        passing_on(self.via.clone(), self.confirmed(digest)).await
    }

    /// A blob that is not stored here: it is downloaded, unless only a `part` of it is wanted from a place where no download is.
    ///
    /// # Errors
    ///
    /// As [`blob_info`](Self::blob_info).
    pub async fn blob(&self, digest: &Digest, part: Option<u64>) -> Result<FoundBlob> {
        let counters = &self.mirror.blobs;
        Counters::add(&counters.requests, 1);
        self.require_asked(digest)?;
        self.require_not_gone(digest)?;
        // A download for a request that waits for this one may be under way.
        if self.is_loop {
            return Err(Failure::Loop.into());
        }
        passing_on(self.via.clone(), self.find_blob(digest, part)).await
    }

    async fn find_blob(&self, digest: &Digest, part: Option<u64>) -> Result<FoundBlob> {
        let counters = &self.mirror.blobs;
        let downloads = &self.mirror.downloads;
        if let Some(start) = part
            && downloads
                .find(digest)
                .is_none_or(|download| !download.is_near(start))
        {
            return Ok(FoundBlob::Upstream(self.confirmed(digest).await?));
        }
        for _ in 0..ATTEMPTS {
            let (download, is_new) = downloads.join(digest, &self.name);
            let joined = Joined::new(Arc::clone(&download));
            let is_own = download.name == self.name;
            if is_new {
                Counters::add(&counters.misses, 1);
                tokio::spawn(passing_on(
                    self.via.clone(),
                    self.clone().run(Arc::clone(&download)),
                ));
            } else if !is_own {
                // It is a download for another repository, perhaps of another upstream, which says nothing about this one.
                self.confirmed(digest).await?;
            }
            match download.begun().await {
                Phase::Running(Some(size)) | Phase::Whole(size) => {
                    if !is_new && !is_own {
                        tokio::spawn(self.clone().link_later(download));
                    }
                    let registry = Arc::clone(&self.mirror.registry);
                    return Ok(FoundBlob::Arriving(Following::new(joined, size, registry)));
                }
                Phase::Stored if is_own || self.link(digest).await => return Ok(FoundBlob::Stored),
                Phase::Gone if is_own => return Err(RegistryError::BlobUnknown { digest: *digest }.into()),
                Phase::Failed(failure) if is_own => return Err(failure.into()),
                // The next attempt is a download of its own.
                Phase::Stored | Phase::Gone | Phase::Failed(_) | Phase::Starting | Phase::Running(None) => {
                    downloads.remove(&download);
                }
            }
        }
        Err(Failure::Exhausted.into())
    }

    /// The bytes of `range` of a blob that is [at the upstream](FoundBlob::Upstream), passed on and not stored: the digest of a part is
    /// not known, so nothing is checked but its length.
    ///
    /// # Errors
    ///
    /// As [`blob_info`](Self::blob_info).
    pub async fn part(&self, digest: &Digest, range: Range<u64>) -> Result<ByteStream> {
        let length = range.end - range.start;
        let opened = self.asks_for_blob()?.open_blob(&self.remote, digest, Some(range));
        let opened = self.mirror.said(passing_on(self.via.clone(), opened).await)?;
        let blob = opened.ok_or(RegistryError::BlobUnknown { digest: *digest })?;
        if blob.size().is_some_and(|size| size != length) {
            return Err(self
                .wrong("a range of another length than the one that was asked for")
                .into());
        }
        let mirrored = self.clone();
        let pieces = try_unfold((mirrored, blob), |(mirrored, mut blob)| async move {
            let next = mirrored.mirror.said(blob.next().await);
            let piece = next.map_err(|failure| {
                wharf_storage::Error::with_source(
                    ErrorKind::Unavailable,
                    "read a part of a blob of an upstream",
                    failure,
                )
            })?;
            let count = piece.as_ref().map_or(0, Bytes::len) as u64;
            Counters::add(&mirrored.mirror.blobs.pulled_bytes, count);
            Ok(piece.map(|piece| (piece, (mirrored, blob))))
        });
        Ok(Box::pin(pieces))
    }

    /// Notes that a blob was found in its repository.
    pub fn found_stored(&self) {
        Counters::add(&self.mirror.blobs.requests, 1);
        Counters::add(&self.mirror.blobs.hits, 1);
    }

    /// What the upstream says of a blob of this repository.
    async fn confirmed(&self, digest: &Digest) -> Result<BlobInfo> {
        self.require_asked(digest)?;
        self.require_not_gone(digest)?;
        let unknown = RegistryError::BlobUnknown { digest: *digest };
        match self
            .mirror
            .said(self.asks_for_blob()?.head_blob(&self.remote, digest).await)?
        {
            Some(size) => Ok(BlobInfo {
                digest: *digest,
                size,
            }),
            None => {
                self.note_gone(digest);
                Err(unknown.into())
            }
        }
    }

    fn require_asked(&self, digest: &Digest) -> Result<()> {
        match self.is_asked() {
            true => Ok(()),
            false => Err(RegistryError::BlobUnknown { digest: *digest }.into()),
        }
    }

    fn require_not_gone(&self, digest: &Digest) -> Result<()> {
        let key = Known::key_of_blob(&self.name, digest);
        let seen = self.mirror.known.seen(&key);
        match seen
            .is_some_and(|seen| matches!(seen.outcome, Outcome::Gone) && seen.asked.elapsed() < NEGATIVE)
        {
            true => Err(RegistryError::BlobUnknown { digest: *digest }.into()),
            false => Ok(()),
        }
    }

    fn note_gone(&self, digest: &Digest) {
        let key = Known::key_of_blob(&self.name, digest);
        self.mirror.known.note(&key, Instant::now(), Outcome::Gone);
    }

    fn wrong(&self, reason: &str) -> Failure {
        Failure::WrongBytes {
            origin: self.mirror.upstream.origin(),
            reason: reason.to_owned(),
        }
    }

    /// Lets this repository have a blob that another one has. Returns whether it has it.
    async fn link(&self, digest: &Digest) -> bool {
        let registry = &self.mirror.registry;
        match registry
            .link_stored_blob(&self.mirror.origin, &self.name, digest)
            .await
        {
            Ok(linked) => linked.is_some(),
            Err(error) => {
                tracing::warn!(repository = %self.name, blob.digest = %digest, %error, "a blob of a mirror could not be linked");
                false
            }
        }
    }

    /// Lets this repository have the blob when its download for another one has ended.
    async fn link_later(self, download: Arc<Download>) {
        let mut changes = download.changes();
        loop {
            changes.mark_unchanged();
            match download.begun().await {
                Phase::Stored => {
                    self.link(&download.digest).await;
                    return;
                }
                Phase::Gone | Phase::Failed(_) => return,
                Phase::Starting | Phase::Running(_) | Phase::Whole(_) => {}
            }
            if download.is_lost() || changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// The task of a download. However it ends, also with a panic, no request waits for it any more.
    async fn run(self, download: Arc<Download>) {
        let under_way = UnderWay {
            downloads: Arc::clone(&self.mirror.downloads),
            download,
        };
        if let Err(failure) = self.transfer(&under_way.download).await {
            under_way.download.end(Phase::Failed(failure));
        }
    }

    async fn transfer(&self, download: &Download) -> Result<(), Failure> {
        let (registry, digest) = (&self.mirror.registry, &download.digest);
        // The download before this one may have ended after the request looked.
        if registry.blob(&self.name, digest).await.is_ok() {
            download.end(Phase::Stored);
            return Ok(());
        }
        if matches!(registry.has_stored_blob(digest).await, Ok(Some(_))) {
            let head = self
                .mirror
                .said(self.asks_for_blob()?.head_blob(&self.remote, digest).await)?;
            if head.is_none() {
                self.note_gone(digest);
                download.end(Phase::Gone);
                return Ok(());
            }
            if self.link(digest).await {
                download.end(Phase::Stored);
                return Ok(());
            }
        }
        let turn = self.mirror.downloads.turns.wait(1, TURN).await;
        let _turn = turn.map_err(|_| Failure::Exhausted)?;
        let opened = self.asks_for_blob()?.open_blob(&self.remote, digest, None).await;
        match self.mirror.said(opened)? {
            Some(blob) => {
                // Some servers say the length of a blob only when it is not sent.
                let size = match blob.size() {
                    Some(size) => Some(size),
                    None => self
                        .asks_for_blob()?
                        .head_blob(&self.remote, digest)
                        .await
                        .unwrap_or_default(),
                };
                self.receive(download, blob, size).await
            }
            None => {
                self.note_gone(digest);
                download.end(Phase::Gone);
                Ok(())
            }
        }
    }

    /// Passes the bytes of `blob` on and stores them; it has so many, if the upstream says it.
    async fn receive(
        &self,
        download: &Download,
        mut blob: UpstreamBlob,
        announced: Option<u64>,
    ) -> Result<(), Failure> {
        let digest = &download.digest;
        let mut session = self.session(digest, announced).await;
        let written = session.as_ref().and_then(UploadSession::follow);
        download.begin(announced, written, session.is_some());
        let mut hasher = Hasher::new(digest.algorithm());
        let mut received = 0;
        let outcome = loop {
            let piece = match self.mirror.said(blob.next().await) {
                Ok(Some(piece)) => piece,
                Ok(None) => break Ok(()),
                Err(failure) => break Err(failure),
            };
            received += piece.len() as u64;
            if received > announced.unwrap_or(LARGEST_UNANNOUNCED) {
                break Err(self.wrong("a body that is longer than the blob"));
            }
            Counters::add(&self.mirror.blobs.pulled_bytes, piece.len() as u64);
            hasher = hashed(hasher, &piece).await;
            download.push(piece.clone());
            if let Some(writing) = &mut session
                && let Err(error) = writing.write(piece).await
            {
                self.not_stored(download, &error);
                forget(session.take()).await;
            }
            if download.is_abandoned() {
                break Err(Failure::Abandoned);
            }
        };
        let outcome = outcome.and_then(|()| {
            let is_short = announced.is_some_and(|announced| announced != received);
            if is_short {
                return Err(self.wrong(&format!(
                    "{received} bytes, and announced {}",
                    announced.unwrap_or_default()
                )));
            }
            let actual = hasher.finish();
            match actual == *digest {
                true => Ok(()),
                false => Err(self.wrong(&format!(
                    "{received} bytes with the digest `{actual}` in place of `{digest}`"
                ))),
            }
        });
        if let Err(failure) = outcome {
            forget(session).await;
            return Err(failure);
        }
        download.whole();
        let Some(session) = session else {
            return Ok(());
        };
        match session.finish(&self.mirror.origin, digest).await {
            Ok(_) => download.end(Phase::Stored),
            Err(error) => self.not_stored(download, &error),
        }
        Ok(())
    }

    /// An upload into this repository; `None`: the store fails, which is in the log.
    async fn session(&self, digest: &Digest, length: Option<u64>) -> Option<UploadSession> {
        let registry = &self.mirror.registry;
        let open = async {
            let id = registry.start_upload(&self.name).await?;
            registry.open_upload(&self.name, &id).await
        };
        match open.await {
            Ok(mut session) => {
                session.write_provisionally();
                session.announce(Announced {
                    digest: Some(*digest),
                    length,
                });
                Some(session)
            }
            Err(error) => {
                tracing::warn!(repository = %self.name, blob.digest = %digest, %error, "a blob of a mirror cannot be stored; the clients get it");
                None
            }
        }
    }

    fn not_stored(&self, download: &Download, error: &RegistryError) {
        let digest = &download.digest;
        tracing::warn!(repository = %self.name, blob.digest = %digest, %error, "a blob of a mirror could not be stored; the clients get it");
        download.not_stored();
    }
}

/// A download, until its task has ended: from then on the repository has it, or the next request begins anew.
struct UnderWay {
    downloads: Arc<Downloads>,
    download: Arc<Download>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.download.end_at_last();
        self.downloads.remove(&self.download);
    }
}

/// Gives an upload up. What cannot be removed is purged when it is old.
async fn forget(session: Option<UploadSession>) {
    if let Some(session) = session
        && let Err(error) = session.discard().await
    {
        tracing::debug!(%error, "could not discard an upload of a mirror");
    }
}

async fn hashed(mut hasher: Hasher, piece: &Bytes) -> Hasher {
    if piece.len() <= INLINE {
        hasher.update(piece);
        return hasher;
    }
    let copy = piece.clone();
    let algorithm = hasher.algorithm();
    let update = move || {
        hasher.update(&copy);
        hasher
    };
    // The task does not panic, so the hasher comes back; a fresh one would only make the digest wrong.
    tokio::task::spawn_blocking(update)
        .await
        .unwrap_or_else(|_| Hasher::new(algorithm))
}
