//! A store that counts: a wrapper around any other one, for metrics.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use wharf_oci::{Algorithm, Digest};

use crate::{
    Announced, Blob, ErrorKind, Finished, Follow, FoundPage, Key, Listed, ListedUpload, Object, Objects,
    Obstacle, Operation, Page, Put, Puts, Removal, RepositoryPage, Result, ScanPage, Space, Stat, Storage,
    TreeRemoval, Upload, UploadStream, Uploads, Version, Wanted, layout::UploadKey,
};

/// The upper bounds of the histogram's buckets, in seconds; registry:2 has the same. One more bucket has no bound.
pub const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// A [`Storage`] that counts its operations and takes their time.
///
/// An operation is counted when it ends; one whose caller goes away is not. The time of a stream is not
/// counted, because it is the reader's time.
#[derive(Debug)]
pub struct Metered {
    inner: Arc<dyn Storage>,
    meters: Meters,
}

/// The counters of a [`Metered`] store. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Meters(Arc<[Meter; Operation::COUNT]>);

#[derive(Debug, Default)]
struct Meter {
    failures: AtomicU64,
    took: Histogram,
}

/// How long operations took.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    nanoseconds: AtomicU64,
    /// How many operations took no longer than each bound of [`BUCKETS`] and longer than the one before it.
    buckets: [AtomicU64; BUCKETS.len() + 1],
}

/// The counters of one operation, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// The operation that was counted
    pub operation: Operation,
    /// How many calls have ended, well or badly
    pub calls: u64,
    /// How many calls ended with an error of the store itself. A missing object, an upload that another request
    /// holds, a condition that does not hold and an object above the limit are ordinary answers.
    pub failures: u64,
    /// How long all calls took together
    pub total: Duration,
    /// How many calls took no longer than each bound of [`BUCKETS`]; the last number is that of all. Each
    /// includes the ones before it, as in the text format of Prometheus.
    pub cumulative: [u64; BUCKETS.len() + 1],
}

impl Metered {
    /// `inner`, counted from zero.
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        Self {
            inner,
            meters: Meters::default(),
        }
    }

    /// The counters.
    pub fn meters(&self) -> Meters {
        self.meters.clone()
    }
}

impl Meters {
    /// What has been counted so far, for each operation that happened at all. Operations that end meanwhile may be in
    /// some of the numbers and not yet in all.
    pub fn snapshot(&self) -> Vec<Measured> {
        let measured = Operation::ALL
            .into_iter()
            .map(|operation| self.0[operation as usize].read(operation));
        measured.filter(|measured| measured.calls > 0).collect()
    }

    async fn time<T>(&self, operation: Operation, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let start = Instant::now();
        let result = work.await;
        let failed = result
            .as_ref()
            .err()
            .is_some_and(|error| is_trouble(error.kind()));
        self.0[operation as usize].count(start.elapsed(), failed);
        result
    }
}

impl Meter {
    fn count(&self, took: Duration, failed: bool) {
        self.failures.fetch_add(u64::from(failed), Ordering::Relaxed);
        self.took.count(took);
    }

    fn read(&self, operation: Operation) -> Measured {
        let (total, cumulative) = self.took.read();
        Measured {
            operation,
            calls: cumulative[BUCKETS.len()],
            failures: self.failures.load(Ordering::Relaxed),
            total,
            cumulative,
        }
    }
}

impl Histogram {
    pub(crate) fn count(&self, took: Duration) {
        let bucket = BUCKETS
            .iter()
            .position(|bound| took.as_secs_f64() <= *bound)
            .unwrap_or(BUCKETS.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        // 64 bits hold the nanoseconds of 584 years.
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// The time of all together, and how many took no longer than each bound; the last number is that of all.
    pub(crate) fn read(&self) -> (Duration, [u64; BUCKETS.len() + 1]) {
        let mut calls = 0;
        let cumulative = self.buckets.each_ref().map(|bucket| {
            calls += bucket.load(Ordering::Relaxed);
            calls
        });
        (
            Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)),
            cumulative,
        )
    }
}

fn is_trouble(kind: ErrorKind) -> bool {
    !matches!(
        kind,
        ErrorKind::NotFound | ErrorKind::Busy | ErrorKind::Precondition | ErrorKind::TooLarge
    )
}

#[async_trait]
impl Objects for Metered {
    async fn stat(&self, key: &Key) -> Result<Stat> {
        self.meters.time(Operation::Stat, self.inner.stat(key)).await
    }

    async fn stat_below(&self, dir: &Key, names: &[Box<str>], path: &Key) -> Result<Vec<Option<Stat>>> {
        let work = self.inner.stat_below(dir, names, path);
        self.meters.time(Operation::Stat, work).await
    }

    async fn read(&self, key: &Key, limit: u64) -> Result<Object> {
        self.meters
            .time(Operation::Read, self.inner.read(key, limit))
            .await
    }

    async fn read_unless(&self, key: &Key, limit: u64, version: &Version) -> Result<Option<Object>> {
        self.meters
            .time(Operation::Read, self.inner.read_unless(key, limit, version))
            .await
    }

    async fn open(&self, key: &Key) -> Result<Box<dyn Blob>> {
        self.meters.time(Operation::Open, self.inner.open(key)).await
    }

    async fn open_parts(&self, key: &Key) -> Result<Box<dyn Blob>> {
        self.meters
            .time(Operation::Open, self.inner.open_parts(key))
            .await
    }

    async fn publish_all(&self, puts: &Puts) -> Result<()> {
        self.meters
            .time(Operation::Publish, self.inner.publish_all(puts))
            .await
    }

    async fn rename(&self, from: &Removal, to: &Key) -> Result<()> {
        self.meters
            .time(Operation::Rename, self.inner.rename(from, to))
            .await
    }

    async fn remove(&self, key: &Key, keep: &Key) -> Result<()> {
        self.meters
            .time(Operation::Remove, self.inner.remove(key, keep))
            .await
    }

    async fn remove_many(&self, removals: &[Removal]) -> Result<()> {
        self.meters
            .time(Operation::Remove, self.inner.remove_many(removals))
            .await
    }

    async fn remove_until(&self, removal: &Removal, until: SystemTime) -> Result<()> {
        self.meters
            .time(Operation::Remove, self.inner.remove_until(removal, until))
            .await
    }

    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    fn obstacle(&self) -> Option<Obstacle> {
        self.inner.obstacle()
    }

    fn keeps_times(&self) -> bool {
        self.inner.keeps_times()
    }

    async fn remove_tree(&self, dir: &Key) -> Result<()> {
        self.meters
            .time(Operation::RemoveTree, self.inner.remove_tree(dir))
            .await
    }

    async fn remove_trees(&self, trees: &[TreeRemoval]) -> Result<Vec<bool>> {
        self.meters
            .time(Operation::RemoveTree, self.inner.remove_trees(trees))
            .await
    }

    async fn list(&self, dir: &Key, after: Option<&str>, limit: usize) -> Result<Page> {
        self.meters
            .time(Operation::List, self.inner.list(dir, after, limit))
            .await
    }

    async fn has_directory_below(&self, dir: &Key, name: &str, wanted: &[&str]) -> Result<bool> {
        self.meters
            .time(Operation::List, self.inner.has_directory_below(dir, name, wanted))
            .await
    }

    async fn scan(&self, prefix: &Key, after: Option<&Key>, limit: usize) -> Result<ScanPage> {
        self.meters
            .time(Operation::Scan, self.inner.scan(prefix, after, limit))
            .await
    }

    async fn names_with(
        &self,
        dir: &Key,
        wanted: Wanted<'_>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<FoundPage> {
        let work = self.inner.names_with(dir, wanted, after, limit);
        self.meters.time(Operation::of(&wanted), work).await
    }

    async fn repositories(&self, listed: Listed, after: &str, limit: usize) -> Result<RepositoryPage> {
        let work = self.inner.repositories(listed, after, limit);
        self.meters.time(Operation::List, work).await
    }

    async fn location(&self, key: &Key, ttl: Duration) -> Result<Option<String>> {
        self.meters
            .time(Operation::Location, self.inner.location(key, ttl))
            .await
    }

    // Of the same cost and meaning as a stat of the root, which registry:2 makes of it.
    async fn space(&self) -> Result<Option<Space>> {
        self.inner.space().await
    }

    async fn check(&self) -> Result<()> {
        self.meters.time(Operation::Stat, self.inner.check()).await
    }
}

#[async_trait]
impl Uploads for Metered {
    async fn create_upload(&self, upload: &UploadKey) -> Result<()> {
        self.meters
            .time(Operation::CreateUpload, self.inner.create_upload(upload))
            .await
    }

    async fn open_upload(&self, upload: &UploadKey) -> Result<Box<dyn Upload>> {
        let inner = self
            .meters
            .time(Operation::OpenUpload, self.inner.open_upload(upload))
            .await?;
        Ok(Box::new(MeteredUpload {
            inner,
            meters: self.meters.clone(),
        }))
    }

    async fn upload_size(&self, upload: &UploadKey) -> Result<u64> {
        self.meters
            .time(Operation::UploadSize, self.inner.upload_size(upload))
            .await
    }

    async fn list_uploads(&self) -> Result<UploadStream> {
        self.meters
            .time(Operation::ListUploads, self.inner.list_uploads())
            .await
    }

    async fn remove_upload(&self, upload: &ListedUpload, untouched_since: SystemTime) -> Result<()> {
        let work = self.inner.remove_upload(upload, untouched_since);
        self.meters.time(Operation::RemoveUpload, work).await
    }
}

struct MeteredUpload {
    inner: Box<dyn Upload>,
    meters: Meters,
}

#[async_trait]
impl Upload for MeteredUpload {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    fn write_provisionally(&mut self) {
        self.inner.write_provisionally();
    }

    fn announce(&mut self, announced: Announced) {
        self.inner.announce(announced);
    }

    fn follow(&self) -> Option<Box<dyn Follow>> {
        self.inner.follow()
    }

    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.meters.time(Operation::Write, self.inner.write(bytes)).await
    }

    async fn suspend(self: Box<Self>) -> Result<u64> {
        self.meters.time(Operation::Suspend, self.inner.suspend()).await
    }

    async fn finish(self: Box<Self>, also: Option<Algorithm>) -> Result<Box<dyn Finished>> {
        let inner = self
            .meters
            .time(Operation::Finish, self.inner.finish(also))
            .await?;
        Ok(Box::new(MeteredFinished {
            inner,
            meters: self.meters,
        }))
    }

    async fn discard(self: Box<Self>) -> Result<()> {
        self.meters.time(Operation::Discard, self.inner.discard()).await
    }
}

struct MeteredFinished {
    inner: Box<dyn Finished>,
    meters: Meters,
}

#[async_trait]
impl Finished for MeteredFinished {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    fn digest(&self, algorithm: Algorithm) -> Option<Digest> {
        self.inner.digest(algorithm)
    }

    async fn prepare(&mut self) -> Result<()> {
        self.inner.prepare().await
    }

    async fn publish(self: Box<Self>, key: &Key, then: &[Put]) -> Result<()> {
        self.meters
            .time(Operation::PublishBlob, self.inner.publish(key, then))
            .await
    }

    async fn discard(self: Box<Self>) -> Result<()> {
        self.meters.time(Operation::Discard, self.inner.discard()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        faulty::{Fault, Faulty},
        object::ObjectStorage,
    };

    contract_tests!(async || (
        Arc::new(Metered::new(Arc::new(ObjectStorage::in_memory()))) as Arc<dyn Storage>,
        ()
    ));

    fn measured(meters: &Meters, operation: Operation) -> Option<Measured> {
        meters
            .snapshot()
            .into_iter()
            .find(|measured| measured.operation == operation)
    }

    #[tokio::test]
    async fn counts_calls_and_failures() {
        let faulty = Arc::new(Faulty::new(Arc::new(ObjectStorage::in_memory())));
        let storage = Metered::new(Arc::clone(&faulty) as _);
        let meters = storage.meters();
        assert_eq!(meters.snapshot(), [], "nothing happened so far");

        let key = Key::new("a/b").unwrap();
        let put = Put::new(key.clone(), Bytes::from_static(b"x"));
        storage.publish(std::slice::from_ref(&put)).await.unwrap();
        storage.read(&key, 1).await.unwrap();
        storage.read(&Key::new("a/c").unwrap(), 1).await.unwrap_err();
        faulty.inject(Fault::disk_full());
        storage.publish(&[put]).await.unwrap_err();

        let publish = measured(&meters, Operation::Publish).unwrap();
        assert_eq!((publish.calls, publish.failures), (2, 1));
        let read = measured(&meters, Operation::Read).unwrap();
        assert_eq!(
            (read.calls, read.failures),
            (2, 0),
            "that nothing is there is no failure"
        );
        assert_eq!(measured(&meters, Operation::Stat), None);
    }

    #[tokio::test]
    async fn counts_what_uploads_do() {
        let storage = Metered::new(Arc::new(ObjectStorage::in_memory()));
        let upload = UploadKey {
            repository: "a/b".parse().unwrap(),
            id: "u".parse().unwrap(),
        };
        storage.create_upload(&upload).await.unwrap();
        let mut held = storage.open_upload(&upload).await.unwrap();
        held.write(Bytes::from_static(b"x")).await.unwrap();
        held.write(Bytes::from_static(b"y")).await.unwrap();
        let finished = held.finish(None).await.unwrap();
        finished.publish(&Key::new("blob").unwrap(), &[]).await.unwrap();
        let calls: Vec<_> = storage
            .meters()
            .snapshot()
            .iter()
            .map(|measured| (measured.operation.name(), measured.calls))
            .collect();
        let expected = [
            ("create_upload", 1),
            ("open_upload", 1),
            ("write", 2),
            ("finish", 1),
            ("publish_blob", 1),
        ];
        assert_eq!(calls, expected);
    }

    #[test]
    fn buckets_accumulate() {
        let meter = Meter::default();
        for millis in [5, 6, 100, 9_999, 10_001] {
            meter.count(Duration::from_millis(millis), false);
        }
        let measured = meter.read(Operation::Stat);
        assert_eq!(measured.calls, 5);
        assert_eq!(measured.total, Duration::from_millis(20_111));
        assert_eq!(measured.cumulative, [1, 2, 2, 2, 3, 3, 3, 3, 3, 3, 4, 5]);
    }

    #[test]
    fn operations_are_numbered_in_order() {
        for (number, operation) in Operation::ALL.into_iter().enumerate() {
            assert_eq!(operation as usize, number, "{operation}");
        }
    }
}
