//! A bucket that is far away: requests take from milliseconds to minutes, in any order, take effect although their senders are
//! gone, and are answered or not, by a seed. Time is virtual.

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
    multipart::{MultipartStore, PartId},
    path::Path,
};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use wharf_storage::object::{Memory, OpenMultipart, PartCopy, Store};

/// Random numbers that a seed determines.
#[derive(Debug, Clone)]
pub(crate) struct Random(Arc<Mutex<u64>>);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed.wrapping_mul(2) + 1)))
    }

    /// A number below `end`.
    pub(crate) fn below(&self, end: u64) -> u64 {
        let mut state = self.0.lock();
        // SplitMix64.
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// One of `items`.
    pub(crate) fn one_of<'a, T>(&self, items: &'a [T]) -> &'a T {
        let number = self.below(items.len() as u64);
        let number = usize::try_from(number).unwrap();
        &items[number]
    }

    pub(crate) fn seconds_below(&self, end: u64) -> Duration {
        Duration::from_millis(self.below(end * 1000))
    }
}

/// The bucket; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct SlowBucket {
    inner: Memory,
    random: Random,
    begun: Instant,
    honours_conditions: bool,
    is_slow: bool,
    loses_answers: bool,
    /// When each object was written, by the clock of the bucket.
    written: Arc<Mutex<HashMap<Path, SystemTime>>>,
}

impl SlowBucket {
    pub(crate) fn new(random: Random, honours_conditions: bool) -> Self {
        Self {
            inner: Memory::new(),
            random,
            begun: Instant::now(),
            honours_conditions,
            is_slow: true,
            loses_answers: true,
            written: Arc::default(),
        }
    }

    /// A bucket that answers at once. Its clock is the virtual one all the same.
    pub(crate) fn quick(honours_conditions: bool) -> Self {
        Self {
            is_slow: false,
            loses_answers: false,
            ..Self::new(Random::new(0), honours_conditions)
        }
    }

    /// A slow bucket that answers every request.
    pub(crate) fn reliable(random: Random) -> Self {
        Self {
            loses_answers: false,
            ..Self::new(random, true)
        }
    }

    /// The same content, without delays.
    pub(crate) fn content(&self) -> Memory {
        self.inner.clone()
    }

    /// The clock of the bucket differs from that of the machine by years.
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000) + self.begun.elapsed()
    }

    /// The time in a listing has no fractions of a second.
    fn wrote(&self, path: &Path) {
        let since = self.now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs());
        self.written.lock().insert(path.clone(), time);
    }

    fn dated(&self, mut meta: ObjectMeta) -> ObjectMeta {
        if let Some(time) = self.written.lock().get(&meta.location) {
            meta.last_modified = (*time).into();
        }
        meta
    }

    fn delay(&self) -> Duration {
        match self.random.below(100) {
            _ if !self.is_slow => Duration::ZERO,
            0 => self.random.seconds_below(200),
            1..5 => self.random.seconds_below(20),
            _ => self.random.seconds_below(1) / 10,
        }
    }

    /// Sends a request. It takes effect also if its sender goes away.
    async fn send<T: Send + 'static>(
        &self,
        effect: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let (there, back) = (self.delay(), self.delay());
        let is_lost = self.loses_answers && self.random.below(100) == 0;
        let request = tokio::spawn(async move {
            sleep(there).await;
            let answer = effect.await;
            sleep(back).await;
            answer
        });
        let answer = request
            .await
            .map_err(|error| Error::JoinError { source: error })?;
        match is_lost {
            true => Err(Error::Generic {
                store: "slow",
                source: "the answer was lost".into(),
            }),
            false => answer,
        }
    }

    fn later<T: Send + 'static>(
        &self,
        items: impl FnOnce(Self) -> BoxStream<'static, Result<T>> + Send + 'static,
    ) -> BoxStream<'static, Result<T>> {
        let bucket = self.clone();
        let items = async move {
            sleep(bucket.delay()).await;
            let items: Vec<Result<T>> = items(bucket.clone()).collect().await;
            sleep(bucket.delay()).await;
            stream::iter(items)
        };
        stream::once(items).flatten().boxed()
    }
}

#[async_trait]
impl ObjectStore for SlowBucket {
    async fn put_opts(&self, path: &Path, bytes: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        if !self.honours_conditions {
            options.mode = PutMode::Overwrite;
        }
        let (bucket, path) = (self.clone(), path.clone());
        let put = async move {
            let put = bucket.inner.put_opts(&path, bytes, options).await;
            if put.is_ok() {
                bucket.wrote(&path);
            }
            put
        };
        self.send(put).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let (bucket, path) = (self.clone(), path.clone());
        let get = async move {
            let mut got = bucket.inner.get_opts(&path, options).await?;
            got.meta = bucket.dated(got.meta);
            Ok(got)
        };
        self.send(get).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let bucket = self.clone();
        let delete = move |path: Path| {
            let (bucket, inner) = (bucket.clone(), bucket.inner.clone());
            async move {
                let deleted = path.clone();
                let delete = async move { inner.delete(&path).await };
                bucket.send(delete).await.map(|()| deleted)
            }
        };
        paths.and_then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let prefix = prefix.cloned();
        self.later(move |bucket| {
            let listed = bucket.inner.list(prefix.as_ref());
            listed.map_ok(move |meta| bucket.dated(meta)).boxed()
        })
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let (prefix, offset) = (prefix.cloned(), offset.clone());
        self.later(move |bucket| {
            let listed = bucket.inner.list_with_offset(prefix.as_ref(), &offset);
            listed.map_ok(move |meta| bucket.dated(meta)).boxed()
        })
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let (bucket, prefix) = (self.clone(), prefix.cloned());
        let list = async move {
            let mut listed = bucket.inner.list_with_delimiter(prefix.as_ref()).await?;
            let objects = listed.objects.into_iter();
            listed.objects = objects.map(|meta| bucket.dated(meta)).collect();
            Ok(listed)
        };
        self.send(list).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let (bucket, from, to) = (self.clone(), from.clone(), to.clone());
        let copy = async move {
            bucket.inner.copy_opts(&from, &to, options).await?;
            bucket.wrote(&to);
            Ok(())
        };
        self.send(copy).await
    }
}

/// Uploads are so small that they need no multipart uploads.
#[async_trait]
impl MultipartStore for SlowBucket {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.inner.create_multipart(path).await
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        index: usize,
        bytes: PutPayload,
    ) -> Result<PartId> {
        self.inner.put_part(path, id, index, bytes).await
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        self.inner.complete_multipart(path, id, parts).await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.inner.abort_multipart(path, id).await
    }
}

#[async_trait]
impl Store for SlowBucket {
    async fn copy_part(&self, copy: &PartCopy<'_>) -> Result<PartId> {
        self.inner.copy_part(copy).await
    }

    async fn open_multiparts(&self, prefix: &Path) -> Result<Vec<OpenMultipart>> {
        self.inner.open_multiparts(prefix).await
    }

    async fn delete_until(&self, path: &Path, until: SystemTime) -> Result<()> {
        let (bucket, path) = (self.clone(), path.clone());
        let delete = async move {
            if bucket.now() >= until {
                return Err(Error::Precondition {
                    path: path.to_string(),
                    source: "the request has expired".into(),
                });
            }
            bucket.inner.delete(&path).await
        };
        self.send(delete).await
    }
}

impl fmt::Display for SlowBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a slow bucket in memory")
    }
}
