//! A store that counts requests and makes each take one tick, so that tests assert what an operation costs.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{StreamExt, stream, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    multipart::{MultipartStore, PartId},
    path::Path,
};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::store::{Abilities, OpenMultipart, PartCopy, SignedGet, Store};

/// How many keys one request lists or deletes at most, as on S3.
const KEYS: usize = 1000;

/// A [`Store`] whose requests are counted, and take one [`TICK`](Self::TICK) each; clones share the counts.
///
/// With tokio's clock paused, time passes in ticks alone: the ticks that an operation takes are the requests that waited
/// for each other.
#[derive(Debug, Clone)]
pub struct Counted<T> {
    inner: T,
    cost: Arc<Mutex<Cost>>,
}

/// A kind of request to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    /// Whether there is an object
    Head,
    /// An object, or a range of it
    Get,
    /// A page of a thousand keys
    List,
    /// A new object
    Put,
    /// A copy of an object
    Copy,
    /// The beginning of a multipart upload
    Create,
    /// A part of a multipart upload
    Part,
    /// A part of a multipart upload that is copied from an object
    CopyPart,
    /// The end of a multipart upload that becomes an object
    Complete,
    /// The end of a multipart upload that is given up
    Abort,
    /// The multipart uploads under way
    ListMultiparts,
    /// The removal of up to a thousand objects
    Delete,
}

/// What an operation cost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cost {
    requests: BTreeMap<Request, usize>,
    /// How many ticks passed: the length of the longest chain of requests of which each waited for the one before.
    pub round_trips: u128,
    /// How many bytes of objects and parts were sent.
    pub sent: usize,
}

impl Cost {
    /// How many requests of that kind were made.
    pub fn count(&self, request: Request) -> usize {
        self.requests.get(&request).copied().unwrap_or(0)
    }

    /// How many requests were made.
    pub fn total(&self) -> usize {
        self.requests.values().sum()
    }
}

/// Such as `3 requests in 2 round trips: 2 Head, 1 Get`.
impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests in {} round trips", self.total(), self.round_trips)?;
        let mut separator = ": ";
        for (request, count) in &self.requests {
            write!(f, "{separator}{count} {request:?}")?;
            separator = ", ";
        }
        Ok(())
    }
}

impl<T> Counted<T> {
    /// How long each request takes.
    pub const TICK: Duration = Duration::from_millis(10);

    /// Counts the requests to `inner`.
    pub fn new(inner: T) -> Self {
        Self {
            inner,
            cost: Arc::default(),
        }
    }

    /// Runs `work`, and returns with its result what was asked of the store meanwhile, by whatever task.
    pub async fn measure<R>(&self, work: impl Future<Output = R>) -> (R, Cost) {
        let start = Instant::now();
        *self.cost.lock() = Cost::default();
        let result = work.await;
        let mut cost = self.cost.lock().clone();
        cost.round_trips = start.elapsed().as_millis() / Self::TICK.as_millis();
        (result, cost)
    }

    async fn request(&self, request: Request) {
        count(&self.cost, request);
        sleep(Self::TICK).await;
    }

    async fn send(&self, request: Request, bytes: &PutPayload) {
        self.cost.lock().sent += bytes.content_length();
        self.request(request).await;
    }

    /// The items of `listed`, each page of which is a request.
    fn in_pages<I: Send + 'static>(&self, listed: BoxStream<'static, I>) -> BoxStream<'static, I> {
        let first = ask(Arc::clone(&self.cost), Request::List);
        let cost = Arc::clone(&self.cost);
        let items = listed.enumerate().then(move |(index, item)| {
            let next = (index > 0 && index % KEYS == 0).then(|| ask(Arc::clone(&cost), Request::List));
            async move {
                if let Some(next) = next {
                    next.await;
                }
                item
            }
        });
        stream::once(first)
            .map(|()| None)
            .chain(items.map(Some))
            .filter_map(async |item| item)
            .boxed()
    }
}

fn count(cost: &Mutex<Cost>, request: Request) {
    *cost.lock().requests.entry(request).or_default() += 1;
}

async fn ask(cost: Arc<Mutex<Cost>>, request: Request) {
    count(&cost, request);
    sleep(Counted::<()>::TICK).await;
}

#[async_trait]
impl<T: Store> Store for Counted<T> {
    async fn scan(&self, prefix: &Path, after: Option<&Path>, most: usize) -> Result<Vec<ObjectMeta>> {
        let found = self.inner.scan(prefix, after, most).await;
        let pages = found
            .as_ref()
            .map_or(1, |found| found.len().div_ceil(KEYS).max(1));
        for _ in 0..pages {
            self.request(Request::List).await;
        }
        found
    }

    async fn copy_part(&self, copy: &PartCopy<'_>) -> Result<PartId> {
        self.request(Request::CopyPart).await;
        self.inner.copy_part(copy).await
    }

    async fn open_multiparts(&self, prefix: &Path) -> Result<Vec<OpenMultipart>> {
        self.request(Request::ListMultiparts).await;
        self.inner.open_multiparts(prefix).await
    }

    async fn sign(&self, get: &SignedGet<'_>) -> Result<Option<String>> {
        self.inner.sign(get).await
    }

    fn abilities(&self) -> Abilities {
        self.inner.abilities()
    }
}

#[async_trait]
impl<T: Store> MultipartStore for Counted<T> {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.request(Request::Create).await;
        self.inner.create_multipart(path).await
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        index: usize,
        bytes: PutPayload,
    ) -> Result<PartId> {
        self.send(Request::Part, &bytes).await;
        self.inner.put_part(path, id, index, bytes).await
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        self.request(Request::Complete).await;
        self.inner.complete_multipart(path, id, parts).await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.request(Request::Abort).await;
        self.inner.abort_multipart(path, id).await
    }
}

#[async_trait]
impl<T: Store> ObjectStore for Counted<T> {
    async fn put_opts(&self, path: &Path, bytes: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.send(Request::Put, &bytes).await;
        self.inner.put_opts(path, bytes, options).await
    }

    /// Its requests could not be counted.
    async fn put_multipart_opts(
        &self,
        _path: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(Error::NotImplemented {
            operation: "put_multipart_opts".to_owned(),
            implementer: self.to_string(),
        })
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let request = if options.head { Request::Head } else { Request::Get };
        self.request(request).await;
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let cost = Arc::clone(&self.cost);
        let paths = paths.chunks(KEYS).then(move |paths| {
            let request = ask(Arc::clone(&cost), Request::Delete);
            async move {
                request.await;
                stream::iter(paths)
            }
        });
        self.inner.delete_stream(paths.flatten().boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.in_pages(self.inner.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.in_pages(self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let listed = self.inner.list_with_delimiter(prefix).await?;
        let keys = listed.objects.len() + listed.common_prefixes.len();
        for _ in 0..keys.div_ceil(KEYS).max(1) {
            self.request(Request::List).await;
        }
        Ok(listed)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.request(Request::Copy).await;
        self.inner.copy_opts(from, to, options).await
    }
}

impl<T: fmt::Display> fmt::Display for Counted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, counted", self.inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{TryStreamExt, future::join_all};
    use object_store::ObjectStoreExt;

    use super::*;
    use crate::object::Memory;

    #[tokio::test(start_paused = true)]
    async fn requests_in_series_and_side_by_side_are_told_apart() {
        let store = Counted::new(Memory::new());
        let paths = ["a", "b", "c"].map(Path::from);
        let side_by_side = join_all(paths.iter().map(|path| store.put(path, "12345".into())));
        let (_, cost) = store.measure(side_by_side).await;
        assert_eq!(cost.to_string(), "3 requests in 1 round trips: 3 Put");
        assert_eq!(cost.sent, 15);
        let (_, cost) = store
            .measure(async {
                store.head(&paths[0]).await.unwrap();
                store.get(&paths[0]).await.unwrap();
                store.get(&Path::from("absent")).await.unwrap_err();
            })
            .await;
        assert_eq!(cost.to_string(), "3 requests in 3 round trips: 1 Head, 2 Get");
        assert_eq!(cost.count(Request::Get), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn each_thousand_keys_take_a_request() {
        let store = Counted::new(Memory::new());
        let cost_of_list = async |keys: usize, most: usize| {
            let (listed, cost) = store
                .measure(store.list(None).take(most).try_collect::<Vec<_>>())
                .await;
            assert_eq!(listed.unwrap().len(), keys.min(most));
            (cost.count(Request::List), cost.round_trips)
        };
        assert_eq!(cost_of_list(0, 9).await, (1, 1));
        let paths: Vec<Path> = (0..2001).map(|number| format!("{number:04}").into()).collect();
        join_all(paths.iter().map(|path| store.put(path, "".into()))).await;
        assert_eq!(cost_of_list(2001, 1000).await, (1, 1));
        assert_eq!(cost_of_list(2001, 9999).await, (3, 3));
        let paths = stream::iter(paths).map(Ok).boxed();
        let (deleted, cost) = store
            .measure(store.delete_stream(paths).try_collect::<Vec<_>>())
            .await;
        assert_eq!(deleted.unwrap().len(), 2001);
        assert_eq!(cost.to_string(), "3 requests in 3 round trips: 3 Delete");
    }
}
