//! A store that fails on command: a wrapper around any other one, for tests.
//!
//! ```
//! # async fn example() {
//! use std::sync::Arc;
//! use wharf_storage::{ErrorKind, Operation, Storage, faulty::{Fault, Faulty}, object::ObjectStorage};
//!
//! let faulty = Arc::new(Faulty::new(Arc::new(ObjectStorage::in_memory())));
//! let storage: Arc<dyn Storage> = faulty.clone(); // goes to what is being tested
//! // The second link of a tag cannot be written, once.
//! faulty.inject(Fault::before(ErrorKind::NoSpace).on(Operation::Publish).key("/tags/").after(1).times(1));
//! # }
//! ```
//!
//! # What a failure leaves behind
//!
//! A failure *before* its effect leaves the store as it was, one *after* it has done everything and
//! then says that it failed, as a lost answer does. What comes in several steps fails between any two of
//! them: each put of [`Storage::publish`], and the blob and each link of [`Finished::publish`], is
//! asked for by its own key, and what came before it in that call stays. An upload that fails is let go,
//! not lost. So every outcome is one that the trait allows, and what holds on top of this wrapper
//! should hold on top of a real disk.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use wharf_oci::{Algorithm, Digest};

use crate::{
    Announced, Blob, ByteStream, Error, ErrorKind, Finished, Follow, FoundPage, Key, Listed, ListedUpload,
    Object, Objects, Obstacle, Operation, Page, Put, Puts, Removal, RepositoryPage, Result, ScanPage, Space,
    Stat, Storage, TreeRemoval, Upload, UploadStream, Uploads, Version, Wanted, layout, layout::UploadKey,
};

/// A rule: what goes wrong, where, and when.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Operations that the rule is for; all when empty.
    pub operations: Vec<Operation>,
    /// Part of the keys that the rule is for. That of an upload is `<repository>/<id>`, that of a listing is empty.
    pub key_contains: String,
    /// Number of matching calls that succeed before it strikes
    pub after: u64,
    /// Number of matching calls that it then strikes
    pub times: u64,
    /// What goes wrong
    pub kind: FaultKind,
}

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The call fails and has no effect. A stream fails at its first piece.
    Before(ErrorKind),
    /// The call has its whole effect, and the caller is told that it failed. A stream fails half-way.
    After(ErrorKind),
    /// The call succeeds, later.
    Delay(Duration),
}

impl Fault {
    /// A fault of every operation on every key, for ever, unless the methods below restrict it.
    pub fn new(kind: FaultKind) -> Self {
        Self {
            operations: Vec::new(),
            key_contains: String::new(),
            after: 0,
            times: u64::MAX,
            kind,
        }
    }

    /// An error of `kind` instead of the effect.
    pub fn before(kind: ErrorKind) -> Self {
        Self::new(FaultKind::Before(kind))
    }

    /// An error of `kind` in spite of the effect.
    pub fn after_effect(kind: ErrorKind) -> Self {
        Self::new(FaultKind::After(kind))
    }

    /// Success after `delay`.
    pub fn delay(delay: Duration) -> Self {
        Self::new(FaultKind::Delay(delay))
    }

    /// No space is left: what needs more of it fails; reading, removing and discarding goes on.
    pub fn disk_full() -> Self {
        Self::before(ErrorKind::NoSpace).on_all(Operation::needs_space)
    }

    /// Nothing can be changed.
    pub fn read_only() -> Self {
        Self::before(ErrorKind::ReadOnly).on_all(Operation::changes)
    }

    /// The process may neither read nor write.
    pub fn permission_denied() -> Self {
        Self::before(ErrorKind::PermissionDenied)
    }

    /// Only for `operation`; further calls add further operations.
    pub fn on(mut self, operation: Operation) -> Self {
        self.operations.push(operation);
        self
    }

    /// Only for keys that contain `part`.
    pub fn key(mut self, part: impl Into<String>) -> Self {
        self.key_contains = part.into();
        self
    }

    /// Only after `calls` matching calls went well.
    pub fn after(mut self, calls: u64) -> Self {
        self.after = calls;
        self
    }

    /// Only `calls` times.
    pub fn times(mut self, calls: u64) -> Self {
        self.times = calls;
        self
    }

    fn on_all(self, which: impl Fn(Operation) -> bool) -> Self {
        Operation::ALL
            .into_iter()
            .filter(|operation| which(*operation))
            .fold(self, Self::on)
    }

    /// Counts a call that it may be for, and says whether it strikes.
    fn strikes(&mut self, operation: Operation, key: &str) -> bool {
        let matches = (self.operations.is_empty() || self.operations.contains(&operation))
            && key.contains(&self.key_contains)
            && self.times > 0;
        if !matches {
            return false;
        }
        if self.after > 0 {
            self.after -= 1;
            return false;
        }
        self.times -= 1;
        true
    }
}

/// A [`Storage`] with faults; see the [module](self).
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn Storage>,
    faults: Faults,
}

/// The rules and counters, shared by a store and its uploads and blobs.
#[derive(Debug, Clone, Default)]
struct Faults(Arc<Mutex<Plan>>);

#[derive(Debug, Default)]
struct Plan {
    rules: Vec<Fault>,
    random: Option<Random>,
    obstacle: Option<Obstacle>,
    struck: u64,
    /// The space that the store says it has, in place of its own.
    space: Option<Space>,
}

/// A sequence of faults that is the same for the same seed.
#[derive(Debug)]
struct Random {
    state: u64,
    per_mille: u64,
}

impl Faulty {
    /// `inner`, without any faults so far.
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        Self {
            inner,
            faults: Faults::default(),
        }
    }

    /// Adds a rule. The first rule that strikes decides.
    pub fn inject(&self, fault: Fault) {
        self.faults.0.lock().rules.push(fault);
    }

    /// From now on some `per_mille` of a thousand calls fail with [`ErrorKind::Other`], half of them after
    /// their effect. For the same `seed` and the same sequence of calls it is the same calls.
    pub fn inject_randomly(&self, seed: u64, per_mille: u16) {
        // Any seed but zero is good for xorshift.
        let random = Random {
            state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            per_mille: per_mille.into(),
        };
        self.faults.0.lock().random = Some(random);
    }

    /// From now on, until it is healed, the store lacks something that removals rely on.
    pub fn obstruct(&self, obstacle: Obstacle) {
        self.faults.0.lock().obstacle = Some(obstacle);
    }

    /// From now on nothing goes wrong, except for what is already under way.
    pub fn heal(&self) {
        let mut plan = self.faults.0.lock();
        plan.rules.clear();
        plan.random = None;
        plan.obstacle = None;
    }

    /// From now on the store says that it has this `space`; `None`: what is true.
    pub fn tell_space(&self, space: Option<Space>) {
        self.faults.0.lock().space = space;
    }

    /// How many calls have gone wrong, so that a test can make sure that its faults struck.
    pub fn struck(&self) -> u64 {
        self.faults.0.lock().struck
    }

    /// The store inside, which has no faults.
    pub fn inner(&self) -> &Arc<dyn Storage> {
        &self.inner
    }
}

impl Faulty {
    async fn opened(
        &self,
        key: &Key,
        open: impl Future<Output = Result<Box<dyn Blob>>> + Send,
    ) -> Result<Box<dyn Blob>> {
        let inner = self.faults.around(Operation::Open, key.as_str(), open).await?;
        Ok(Box::new(FaultyBlob {
            inner,
            key: key.clone(),
            faults: self.faults.clone(),
        }))
    }
}

impl Faults {
    /// The fault of this call, if any.
    fn draw(&self, operation: Operation, key: &str) -> Option<FaultKind> {
        let mut plan = self.0.lock();
        let ruled = plan
            .rules
            .iter_mut()
            .find_map(|rule| rule.strikes(operation, key).then_some(rule.kind));
        let kind = ruled.or_else(|| plan.random.as_mut().and_then(Random::draw));
        plan.struck += u64::from(kind.is_some());
        kind
    }

    /// Waits when the fault is a delay; otherwise answers how the call is to fail.
    async fn meet(&self, operation: Operation, key: &str) -> Option<Failure> {
        let (after_effect, kind) = match self.draw(operation, key)? {
            FaultKind::Delay(delay) => {
                tokio::time::sleep(delay).await;
                return None;
            }
            FaultKind::Before(kind) => (false, kind),
            FaultKind::After(kind) => (true, kind),
        };
        let when = if after_effect { "after" } else { "before" };
        let error = Error::new(
            kind,
            format!("{operation} `{key}` (a fault injected {when} its effect)"),
        );
        Some(Failure { after_effect, error })
    }

    /// Does `work`, unless it is to fail before that, and fails it afterwards if that is what is to happen.
    async fn around<T>(
        &self,
        operation: Operation,
        key: &str,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        match self.meet(operation, key).await {
            None => work.await,
            Some(Failure {
                after_effect: false,
                error,
            }) => Err(error),
            // When the work fails by itself, the caller gets that error.
            Some(Failure {
                after_effect: true,
                error,
            }) => work.await.and(Err(error)),
        }
    }

    /// How many of `puts` are to be done, and how it is to end after that.
    async fn plan_puts(&self, puts: &[Put]) -> (usize, Result<()>) {
        for (index, put) in puts.iter().enumerate() {
            if let Some(failure) = self.meet(Operation::Publish, put.key.as_str()).await {
                return (index + usize::from(failure.after_effect), Err(failure.error));
            }
        }
        (puts.len(), Ok(()))
    }
}

struct Failure {
    after_effect: bool,
    error: Error,
}

impl Random {
    fn draw(&mut self) -> Option<FaultKind> {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        // The upper bits are the better ones.
        let (chance, half) = ((self.state >> 32) % 1000, self.state >> 20 & 1);
        let kind = if half == 0 {
            FaultKind::Before
        } else {
            FaultKind::After
        };
        (chance < self.per_mille).then_some(kind(ErrorKind::Other))
    }
}

fn name_of(upload: &UploadKey) -> String {
    format!("{}/{}", upload.repository, upload.id)
}

#[async_trait]
impl Objects for Faulty {
    async fn stat(&self, key: &Key) -> Result<Stat> {
        self.faults
            .around(Operation::Stat, key.as_str(), self.inner.stat(key))
            .await
    }

    async fn read(&self, key: &Key, limit: u64) -> Result<Object> {
        self.faults
            .around(Operation::Read, key.as_str(), self.inner.read(key, limit))
            .await
    }

    async fn read_unless(&self, key: &Key, limit: u64, version: &Version) -> Result<Option<Object>> {
        let work = self.inner.read_unless(key, limit, version);
        self.faults.around(Operation::Read, key.as_str(), work).await
    }

    async fn open(&self, key: &Key) -> Result<Box<dyn Blob>> {
        self.opened(key, self.inner.open(key)).await
    }

    async fn open_parts(&self, key: &Key) -> Result<Box<dyn Blob>> {
        self.opened(key, self.inner.open_parts(key)).await
    }

    /// A put that fails takes along those that wait for it, and no other: these may all take effect on a bucket.
    async fn publish_all(&self, puts: &Puts) -> Result<()> {
        for (number, put) in puts.iter().enumerate() {
            if let Some(Failure { after_effect, error }) =
                self.faults.meet(Operation::Publish, put.key.as_str()).await
            {
                self.inner.publish_all(&puts.despite(number)).await?;
                if after_effect {
                    self.inner.publish(std::slice::from_ref(put)).await?;
                }
                return Err(error);
            }
        }
        self.inner.publish_all(puts).await
    }

    async fn rename(&self, from: &Removal, to: &Key) -> Result<()> {
        self.faults
            .around(Operation::Rename, from.key.as_str(), self.inner.rename(from, to))
            .await
    }

    async fn remove(&self, key: &Key, keep: &Key) -> Result<()> {
        self.faults
            .around(Operation::Remove, key.as_str(), self.inner.remove(key, keep))
            .await
    }

    async fn remove_many(&self, removals: &[Removal]) -> Result<()> {
        for (index, removal) in removals.iter().enumerate() {
            if let Some(failure) = self.faults.meet(Operation::Remove, removal.key.as_str()).await {
                let done = index + usize::from(failure.after_effect);
                return self
                    .inner
                    .remove_many(&removals[..done])
                    .await
                    .and(Err(failure.error));
            }
        }
        self.inner.remove_many(removals).await
    }

    async fn remove_until(&self, removal: &Removal, until: SystemTime) -> Result<()> {
        let removed = self.inner.remove_until(removal, until);
        self.faults
            .around(Operation::Remove, removal.key.as_str(), removed)
            .await
    }

    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    fn obstacle(&self) -> Option<Obstacle> {
        self.faults.0.lock().obstacle.or_else(|| self.inner.obstacle())
    }

    fn keeps_times(&self) -> bool {
        self.inner.keeps_times()
    }

    async fn remove_tree(&self, dir: &Key) -> Result<()> {
        self.faults
            .around(Operation::RemoveTree, dir.as_str(), self.inner.remove_tree(dir))
            .await
    }

    async fn remove_trees(&self, trees: &[TreeRemoval]) -> Result<Vec<bool>> {
        for (index, tree) in trees.iter().enumerate() {
            if let Some(failure) = self.faults.meet(Operation::RemoveTree, tree.dir.as_str()).await {
                let done = index + usize::from(failure.after_effect);
                return self
                    .inner
                    .remove_trees(&trees[..done])
                    .await
                    .and(Err(failure.error));
            }
        }
        self.inner.remove_trees(trees).await
    }

    async fn list(&self, dir: &Key, after: Option<&str>, limit: usize) -> Result<Page> {
        self.faults
            .around(Operation::List, dir.as_str(), self.inner.list(dir, after, limit))
            .await
    }

    async fn has_directory_below(&self, dir: &Key, name: &str, wanted: &[&str]) -> Result<bool> {
        let work = self.inner.has_directory_below(dir, name, wanted);
        self.faults.around(Operation::List, dir.as_str(), work).await
    }

    async fn scan(&self, prefix: &Key, after: Option<&Key>, limit: usize) -> Result<ScanPage> {
        let work = self.inner.scan(prefix, after, limit);
        self.faults.around(Operation::Scan, prefix.as_str(), work).await
    }

    async fn names_with(
        &self,
        dir: &Key,
        wanted: Wanted<'_>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<FoundPage> {
        let work = self.inner.names_with(dir, wanted, after, limit);
        self.faults
            .around(Operation::of(&wanted), dir.as_str(), work)
            .await
    }

    /// A repository whose listing is to fail for lack of a right is unreadable, and so is what lies below it.
    async fn repositories(&self, listed: Listed, after: &str, limit: usize) -> Result<RepositoryPage> {
        let root = layout::repositories();
        let work = self.inner.repositories(listed, after, limit);
        let mut page = self.faults.around(Operation::List, root.as_str(), work).await?;
        let names = std::mem::take(&mut page.names);
        for name in names {
            let is_below = |(above, _): &(Box<str>, Error)| name.starts_with(&format!("{above}/"));
            if page.unreadable.iter().any(is_below) {
                continue;
            }
            match self.faults.meet(Operation::List, &format!("{root}/{name}")).await {
                None => page.names.push(name),
                Some(Failure { error, .. }) if error.kind() == ErrorKind::PermissionDenied => {
                    page.unreadable.push((name, error));
                }
                Some(Failure { error, .. }) => return Err(error),
            }
        }
        Ok(page)
    }

    async fn location(&self, key: &Key, ttl: Duration) -> Result<Option<String>> {
        self.faults
            .around(Operation::Location, key.as_str(), self.inner.location(key, ttl))
            .await
    }

    async fn space(&self) -> Result<Option<Space>> {
        let told = self.faults.0.lock().space;
        match told {
            Some(space) => Ok(Some(space)),
            None => self.inner.space().await,
        }
    }

    async fn check(&self) -> Result<()> {
        self.faults.around(Operation::Stat, "", self.inner.check()).await
    }
}

#[async_trait]
impl Uploads for Faulty {
    async fn create_upload(&self, upload: &UploadKey) -> Result<()> {
        let work = self.inner.create_upload(upload);
        self.faults
            .around(Operation::CreateUpload, &name_of(upload), work)
            .await
    }

    async fn open_upload(&self, upload: &UploadKey) -> Result<Box<dyn Upload>> {
        let name = name_of(upload);
        let inner = self
            .faults
            .around(Operation::OpenUpload, &name, self.inner.open_upload(upload))
            .await?;
        Ok(Box::new(FaultyUpload {
            inner,
            name,
            faults: self.faults.clone(),
        }))
    }

    async fn upload_size(&self, upload: &UploadKey) -> Result<u64> {
        let work = self.inner.upload_size(upload);
        self.faults
            .around(Operation::UploadSize, &name_of(upload), work)
            .await
    }

    async fn list_uploads(&self) -> Result<UploadStream> {
        self.faults
            .around(Operation::ListUploads, "", self.inner.list_uploads())
            .await
    }

    async fn remove_upload(&self, upload: &ListedUpload, untouched_since: SystemTime) -> Result<()> {
        let name = format!("{}/{}", upload.repository(), upload.id());
        let work = self.inner.remove_upload(upload, untouched_since);
        self.faults.around(Operation::RemoveUpload, &name, work).await
    }
}

struct FaultyBlob {
    inner: Box<dyn Blob>,
    key: Key,
    faults: Faults,
}

impl Blob for FaultyBlob {
    fn stat(&self) -> Stat {
        self.inner.stat()
    }

    fn stream(self: Box<Self>, range: Range<u64>) -> ByteStream {
        let Self { inner, key, faults } = *self;
        let faulty = async move {
            match cut(&faults, &key, &range).await {
                None => inner.stream(range),
                Some((good, error)) => failing(inner.stream(good), error),
            }
        };
        stream::once(faulty).flatten().boxed()
    }

    fn part(&self, range: Range<u64>) -> ByteStream {
        let (faults, key) = (self.faults.clone(), self.key.clone());
        let half = range.start..range.start + range.end.saturating_sub(range.start) / 2;
        let whole = self.inner.part(range.clone());
        let start = self.inner.part(half);
        let faulty = async move {
            match cut(&faults, &key, &range).await {
                None => whole,
                Some((good, error)) if good.is_empty() => failing(stream::empty().boxed(), error),
                Some((_, error)) => failing(start, error),
            }
        };
        stream::once(faulty).flatten().boxed()
    }
}

/// The bytes of `range` that arrive before the fault that meets a stream of it.
async fn cut(faults: &Faults, key: &Key, range: &Range<u64>) -> Option<(Range<u64>, Error)> {
    let half = range.start + range.end.saturating_sub(range.start) / 2;
    let Failure { after_effect, error } = faults.meet(Operation::Stream, key.as_str()).await?;
    let end = if after_effect { half } else { range.start };
    Some((range.start..end, error))
}

fn failing(good: ByteStream, error: Error) -> ByteStream {
    good.chain(stream::once(async { Err(error) })).boxed()
}

struct FaultyUpload {
    inner: Box<dyn Upload>,
    name: String,
    faults: Faults,
}

#[async_trait]
impl Upload for FaultyUpload {
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
        self.faults
            .around(Operation::Write, &self.name, self.inner.write(bytes))
            .await
    }

    async fn suspend(self: Box<Self>) -> Result<u64> {
        self.faults
            .around(Operation::Suspend, &self.name, self.inner.suspend())
            .await
    }

    async fn finish(self: Box<Self>, also: Option<Algorithm>) -> Result<Box<dyn Finished>> {
        let Self { inner, name, faults } = *self;
        let inner = faults
            .around(Operation::Finish, &name, inner.finish(also))
            .await?;
        Ok(Box::new(FaultyFinished { inner, name, faults }))
    }

    async fn discard(self: Box<Self>) -> Result<()> {
        self.faults
            .around(Operation::Discard, &self.name, self.inner.discard())
            .await
    }
}

struct FaultyFinished {
    inner: Box<dyn Finished>,
    name: String,
    faults: Faults,
}

#[async_trait]
impl Finished for FaultyFinished {
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
        let Self {
            inner,
            name: _,
            faults,
        } = *self;
        match faults.meet(Operation::PublishBlob, key.as_str()).await {
            Some(Failure {
                after_effect: false,
                error,
            }) => Err(error),
            Some(Failure {
                after_effect: true,
                error,
            }) => inner.publish(key, &[]).await.and(Err(error)),
            None => {
                let (done, end) = faults.plan_puts(then).await;
                inner.publish(key, &then[..done]).await?;
                end
            }
        }
    }

    async fn discard(self: Box<Self>) -> Result<()> {
        self.faults
            .around(Operation::Discard, &self.name, self.inner.discard())
            .await
    }
}

#[cfg(test)]
mod tests;
