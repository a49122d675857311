//! The contract over every kind of store, and what only this engine does: several processes on one bucket.

use std::{collections::BTreeMap, fmt, sync::atomic::Ordering::SeqCst};

use futures_util::{TryStreamExt as _, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
    multipart::{MultipartStore, PartId},
};
use wharf_oci::{Algorithm, Digest};

use super::*;
use crate::{Announced, Storage, contract::purge};

/// Limits that make multipart uploads, and copies in ranges, of small contents.
fn small() -> Limits {
    Limits {
        part_size: PART,
        smallest_part: 40 * 1024,
        tail: 4 * 1024,
        copy_whole: 150_000,
        copy_size: 150_000,
        listed: 7,
        ..Limits::default()
    }
}

const PART: usize = 64 * 1024;

/// A process on `store`, with memory for `parts` parts.
fn process_with(store: &(impl Store + Clone), limits: Limits, parts: usize) -> ObjectStorage {
    let memory = Share::new("parts", parts * limits.part_size);
    ObjectStorage::with_limits(Arc::new(store.clone()), Path::default(), memory, limits)
}

fn process(store: &(impl Store + Clone), limits: Limits) -> ObjectStorage {
    process_with(store, limits, 64)
}

mod gate;
mod memory;
mod names;
mod sequences;
mod takeover;
mod uploads;

use gate::Gate;

async fn contract_holds(storage: ObjectStorage) {
    let storage: Arc<dyn Storage> = Arc::new(storage);
    Box::pin(crate::contract::all(&storage)).await;
}

mod contract_in_memory {
    use super::*;

    contract_tests!(async || (Arc::new(ObjectStorage::in_memory()) as Arc<dyn Storage>, ()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_below_a_prefix_with_small_limits() {
    let store = Arc::new(Memory::new());
    let below = Path::from("some where/with spaces");
    let memory = Share::new("parts", 64 * PART);
    contract_holds(ObjectStorage::with_limits(
        Arc::clone(&store) as _,
        below.clone(),
        memory,
        small(),
    ))
    .await;
    let mut all = store.list(None);
    while let Some(meta) = all.next().await {
        let location = meta.unwrap().location;
        assert!(
            location.prefix_matches(&below),
            "{location} is not below the prefix"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contract_on_stores_that_do_not_honour_conditions() {
    for conditions in [Conditions::Ignored, Conditions::Refused] {
        for limits in [Limits::default(), small()] {
            let storage: Arc<dyn Storage> = Arc::new(process(&Weak::new(conditions), limits));
            Box::pin(crate::contract::unconditional(&storage)).await;
        }
    }
}

fn upload_key(id: &str) -> UploadKey {
    UploadKey {
        repository: "library/alpine".parse().unwrap(),
        id: id.parse().unwrap(),
    }
}

/// Two processes on one bucket.
fn replicas(store: impl Store + Clone) -> (ObjectStorage, ObjectStorage) {
    (
        ObjectStorage::new(Arc::new(store.clone()), Path::default()),
        ObjectStorage::new(Arc::new(store), Path::default()),
    )
}

async fn objects(storage: &ObjectStorage) -> Vec<String> {
    storage
        .bucket
        .store
        .list(None)
        .map_ok(|meta| meta.location.to_string())
        .try_collect()
        .await
        .unwrap()
}

async fn write(storage: &ObjectStorage, id: &str, content: &'static [u8]) -> Result<u64> {
    let mut held = storage.open_upload(&upload_key(id)).await?;
    held.write(Bytes::from_static(content)).await?;
    held.suspend().await
}

async fn publish(storage: &ObjectStorage, id: &str) -> Result<Bytes> {
    let finished = storage.open_upload(&upload_key(id)).await?.finish(None).await?;
    let digest = finished.digest(Algorithm::Sha256).unwrap();
    let key = layout::blob(&digest);
    finished.publish(&key, &[]).await?;
    let bytes = storage.read(&key, 1_000_000).await?.bytes;
    assert_eq!(Digest::sha256_of(&bytes), digest);
    Ok(bytes)
}

/// A tag goes before its history, a revision after both, whatever order the store lists them in.
#[tokio::test]
async fn a_tree_is_removed_from_its_pointers_on() {
    let store = Weak::new(Conditions::Honoured);
    let deleted = Arc::clone(&store.deleted);
    let storage = ObjectStorage::new(Arc::new(store), Path::default());
    let repository = "docker/registry/v2/repositories/a";
    let paths = [
        "_layers/sha256/00/link",
        "_manifests/revisions/sha256/00/link",
        "_manifests/tags/1/current/link",
        "_manifests/tags/1/index/sha256/00/link",
        "_manifests/tags/2/current/link",
        "_manifests/tags/2/index/sha256/00/link",
    ];
    for path in paths {
        let key = Key::new(format!("{repository}/{path}")).unwrap();
        storage
            .publish(&[Put::new(key, Bytes::from_static(b"x"))])
            .await
            .unwrap();
    }
    storage.remove_tree(&Key::new(repository).unwrap()).await.unwrap();
    let deleted: Vec<_> = deleted
        .lock()
        .iter()
        .map(|path| path[repository.len() + 1..].to_owned())
        .collect();
    assert_eq!(
        deleted,
        [paths[2], paths[4], paths[3], paths[5], paths[1], paths[0]]
    );
}

#[tokio::test]
async fn a_store_that_sends_too_little_is_noticed() {
    let store = Weak {
        send_short: true,
        ..Weak::new(Conditions::Honoured)
    };
    let storage = ObjectStorage::new(Arc::new(store), Path::default());
    let key = Key::new("docker/object").unwrap();
    storage
        .publish(&[Put::new(key.clone(), vec![1; 1000])])
        .await
        .unwrap();
    assert_eq!(
        storage.read(&key, 5000).await.unwrap_err().kind(),
        ErrorKind::Damaged
    );

    let mut stream = storage.open(&key).await.unwrap().stream(0..1000);
    assert_eq!(stream.next().await.unwrap().unwrap().len(), 999);
    assert_eq!(
        stream.next().await.unwrap().unwrap_err().kind(),
        ErrorKind::Damaged
    );
    assert!(stream.next().await.is_none(), "a stream ends after its error");
}

#[tokio::test]
async fn clients_are_sent_where_the_store_says() {
    let key = Key::new("docker/object").unwrap();
    let below = Path::from("below");
    let minute = Duration::from_secs(60);
    let storage = ObjectStorage::new(Arc::new(Memory::new()), below.clone());
    assert_eq!(storage.location(&key, minute).await.unwrap(), None);
    let storage = ObjectStorage::new(Arc::new(Weak::new(Conditions::Honoured)), below);
    assert_eq!(
        storage.location(&key, minute).await.unwrap().as_deref(),
        Some("https://bucket.example/below/docker/object?expires=60")
    );
    let error = storage.location(&key, Duration::ZERO).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
}

/// Objects that no key stands for take no place on a page, and end no listing.
#[tokio::test]
async fn a_scan_passes_over_objects_that_no_key_stands_for() {
    let store = Memory::new();
    let storage = ObjectStorage::new(Arc::new(store.clone()), Path::default());
    for number in 0..10 {
        let path = Path::from(format!("docker/{number}-\u{fc}"));
        store.put(&path, "foreign".into()).await.unwrap();
    }
    for name in ["docker/3", "docker/7", "docker/9"] {
        let put = Put::new(Key::new(name).unwrap(), "ours");
        storage.publish(&[put]).await.unwrap();
    }
    let prefix = Key::new("docker").unwrap();
    let page = storage.scan(&prefix, None, 2).await.unwrap();
    let keys: Vec<_> = page.objects.iter().map(|object| object.key.as_str()).collect();
    assert_eq!((keys, page.more), (vec!["docker/3", "docker/7"], true));
    let page = storage
        .scan(&prefix, Some(&page.objects[1].key), 2)
        .await
        .unwrap();
    assert_eq!((page.objects.len(), page.more), (1, false));
}

/// Many removals are one stream of deletions, without a look at each object before.
#[tokio::test]
async fn many_objects_are_removed_without_a_look() {
    let store = Weak::new(Conditions::Honoured);
    let (deleted, looks) = (Arc::clone(&store.deleted), Arc::clone(&store.looks));
    let storage = ObjectStorage::new(Arc::new(store), Path::default());
    let removals: Vec<_> = (0..5)
        .map(|number| Removal {
            key: Key::new(format!("docker/{number}/object")).unwrap(),
            keep: Key::new("docker").unwrap(),
        })
        .collect();
    for removal in &removals[1..] {
        storage
            .publish(&[Put::new(removal.key.clone(), "x")])
            .await
            .unwrap();
    }
    storage.remove_many(&removals).await.unwrap();
    assert_eq!(deleted.lock().len(), 5);
    assert_eq!(looks.load(SeqCst), 0);
    assert_eq!(objects(&storage).await, [""; 0]);
}

/// A conditional put whose answer got lost and that the client library repeated is refused, though it took effect:
/// the caller reads back what it wrote.
#[tokio::test]
async fn a_conditional_put_whose_answer_was_lost_is_refused() {
    let store = Weak {
        lose_answers: true,
        ..Weak::new(Conditions::Honoured)
    };
    let storage = ObjectStorage::new(Arc::new(store), Path::default());
    let key = Key::new("wharf/lease").unwrap();
    let put = Put::new(key.clone(), "nonce").if_absent();
    let error = storage.publish(&[put]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Precondition, "{error}");
    assert_eq!(storage.read(&key, 10).await.unwrap().bytes, "nonce");
}

/// versitygw refuses a write below a directory that it is removing because it was empty.
#[tokio::test]
async fn an_upload_begins_also_when_the_store_refuses_what_is_not_there_at_first() {
    let store = Weak::new(Conditions::Honoured);
    store.refusals.store(2, SeqCst);
    let storage = process(&store, small());
    storage.create_upload(&upload_key("x")).await.unwrap();
    assert_eq!(write(&storage, "x", b"content").await.unwrap(), 7);
    assert_eq!(publish(&storage, "x").await.unwrap(), "content");

    store.refusals.store(u32::MAX, SeqCst);
    let refused = storage.create_upload(&upload_key("y")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Busy);
}

/// A store without conditional puts says so, and nothing is written.
#[tokio::test]
async fn a_store_without_conditions_refuses_them() {
    let storage = ObjectStorage::new(Arc::new(Weak::new(Conditions::Refused)), Path::default());
    let key = Key::new("wharf/lease").unwrap();
    let error = storage
        .publish(&[Put::new(key, "nonce").if_absent()])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Other, "{error}");
    assert_eq!(objects(&storage).await, [""; 0]);
}

/// What a store makes of the condition of a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conditions {
    Honoured,
    Ignored,
    Refused,
}

/// A store in memory with the weaknesses of real ones.
#[derive(Debug, Clone)]
struct Weak {
    inner: Memory,
    conditions: Conditions,
    /// Every conditional put succeeds, is repeated by the client, and then fails on its own first try.
    lose_answers: bool,
    /// So many puts on the condition that there is no object are refused, though there is none.
    refusals: Arc<std::sync::atomic::AtomicU32>,
    /// The last byte of each object gets lost on the way.
    send_short: bool,
    /// Objects are sent in pieces of 64 KiB.
    send_pieces: bool,
    /// How many of these pieces were taken
    pieces: Arc<std::sync::atomic::AtomicU32>,
    /// A completed multipart upload is answered as one that does not exist, because the client library tried twice.
    lose_completions: bool,
    /// It is known to use the MD5 of an object as its entity tag.
    e_tag_is_md5: bool,
    /// It copies ranges and lists multipart uploads.
    is_able: bool,
    /// It lists multipart uploads only by their exact keys.
    exact_keys_only: bool,
    /// Keys that end with a slash, of objects that stand for directories
    markers: Vec<String>,
    /// It completes only multipart uploads whose parts are equal, but for the last.
    wants_equal_parts: bool,
    /// The sizes of the parts of each multipart upload
    parts: Arc<parking_lot::Mutex<BTreeMap<(MultipartId, usize), u64>>>,
    deleted: Arc<parking_lot::Mutex<Vec<String>>>,
    /// Every operation, and what it is on
    calls: Arc<parking_lot::Mutex<Vec<String>>>,
    /// The sizes of all parts, and of all puts
    sizes: Arc<parking_lot::Mutex<Vec<(&'static str, usize)>>>,
    /// The entity tags that the next reads answer with, in place of the true ones
    tags: Arc<parking_lot::Mutex<Vec<String>>>,
    /// How often an object was looked at or read
    looks: Arc<std::sync::atomic::AtomicU32>,
    /// What every request of a process passes
    gate: Arc<Gate>,
}

impl Weak {
    fn new(conditions: Conditions) -> Self {
        Self {
            inner: Memory::new(),
            conditions,
            lose_answers: false,
            refusals: Arc::default(),
            send_short: false,
            send_pieces: false,
            pieces: Arc::default(),
            lose_completions: false,
            e_tag_is_md5: false,
            is_able: conditions == Conditions::Honoured,
            exact_keys_only: false,
            markers: Vec::new(),
            wants_equal_parts: false,
            parts: Arc::default(),
            deleted: Arc::default(),
            calls: Arc::default(),
            sizes: Arc::default(),
            tags: Arc::default(),
            looks: Arc::default(),
            gate: Arc::default(),
        }
    }

    fn note(&self, operation: &str, path: &Path) {
        self.calls.lock().push(format!("{operation} {}", kind_of(path)));
    }

    fn note_size(&self, path: &Path, bytes: &PutPayload) {
        self.sizes.lock().push((kind_of(path), bytes.content_length()));
    }

    /// What was called since the last look.
    fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock())
    }
}

fn kind_of(path: &Path) -> &'static str {
    let path = path.as_ref();
    let kinds = [
        ("/state", "state"),
        ("/data/", "staging"),
        ("/blobs/", "blob"),
        ("/link", "link"),
    ];
    let kind = kinds.iter().find(|(part, _)| path.contains(part));
    kind.map_or("object", |(_, kind)| kind)
}

impl fmt::Display for Weak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a weak store")
    }
}

#[async_trait]
impl ObjectStore for Weak {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        mut options: PutOptions,
    ) -> object_store::Result<PutResult> {
        let lost = self.gate.pass().await?;
        self.note("put", location);
        self.note_size(location, &payload);
        if options.mode != PutMode::Overwrite {
            match self.conditions {
                Conditions::Honoured => {}
                Conditions::Ignored => options.mode = PutMode::Overwrite,
                Conditions::Refused => {
                    return Err(object_store::Error::NotImplemented {
                        operation: "a conditional put".into(),
                        implementer: self.to_string(),
                    });
                }
            }
            let refused = |left: u32| left.checked_sub(1);
            if options.mode == PutMode::Create && self.refusals.fetch_update(SeqCst, SeqCst, refused).is_ok()
            {
                return Err(object_store::Error::AlreadyExists {
                    path: location.to_string(),
                    source: "a directory above it is being removed".into(),
                });
            }
            if self.lose_answers {
                self.inner
                    .put_opts(location, payload.clone(), options.clone())
                    .await?;
            }
        }
        lost.after(self.inner.put_opts(location, payload, options).await)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let lost = self.gate.pass().await?;
        self.looks.fetch_add(1, SeqCst);
        self.note(if options.head { "head" } else { "get" }, location);
        let mut got = self.inner.get_opts(location, options).await?;
        if let Some(tag) = self.tags.lock().pop() {
            got.meta.e_tag = Some(tag);
        }
        if self.send_short || self.send_pieces {
            let (meta, range, attributes) = (got.meta.clone(), got.range.clone(), got.attributes.clone());
            let mut bytes = got.bytes().await?;
            bytes.truncate(bytes.len() - usize::from(self.send_short));
            let piece = if self.send_pieces { 64 * 1024 } else { bytes.len() };
            let pieces: Vec<_> = bytes.chunks(piece).map(Bytes::copy_from_slice).collect();
            let taken = Arc::clone(&self.pieces);
            let sent = stream::iter(pieces).map(move |piece| {
                taken.fetch_add(1, SeqCst);
                Ok(piece)
            });
            got = GetResult {
                payload: object_store::GetResultPayload::Stream(Box::pin(sent)),
                meta,
                range,
                attributes,
                extensions: Default::default(),
            };
        }
        lost.after(Ok(got))
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        let deleted = Arc::clone(&self.deleted);
        let calls = Arc::clone(&self.calls);
        let noted = locations.inspect_ok(move |path| {
            deleted.lock().push(path.to_string());
            calls.lock().push(format!("delete {}", kind_of(path)));
        });
        let (inner, gate) = (self.inner.clone(), Arc::clone(&self.gate));
        let deleted = async move {
            let lost = gate.pass().await?;
            let all: Vec<_> = inner.delete_stream(Box::pin(noted)).collect().await;
            lost.after(Ok(stream::iter(all)))
        };
        stream::once(deleted).try_flatten().boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.calls.lock().push("list".to_owned());
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        let lost = self.gate.pass().await?;
        self.note("copy to", to);
        lost.after(self.inner.copy_opts(from, to, options).await)
    }
}

#[async_trait]
impl MultipartStore for Weak {
    async fn create_multipart(&self, path: &Path) -> object_store::Result<MultipartId> {
        let lost = self.gate.pass().await?;
        self.note("create", path);
        lost.after(self.inner.create_multipart(path).await)
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        index: usize,
        bytes: PutPayload,
    ) -> object_store::Result<PartId> {
        let lost = self.gate.pass().await?;
        self.note("part of", path);
        self.note_size(path, &bytes);
        let size = bytes.content_length() as u64;
        self.parts.lock().insert((id.clone(), index), size);
        lost.after(self.inner.put_part(path, id, index, bytes).await)
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> object_store::Result<PutResult> {
        let lost = self.gate.pass().await?;
        self.note("complete", path);
        if self.wants_equal_parts {
            let sizes = self.parts.lock();
            let mut sizes = (0..parts.len().saturating_sub(1)).map(|part| sizes[&(id.clone(), part)]);
            let first = sizes.next();
            if sizes.any(|size| Some(size) != first) {
                return Err(object_store::Error::Generic {
                    store: "weak",
                    source: "all parts but the last must be equal".into(),
                });
            }
        }
        let completed = self.inner.complete_multipart(path, id, parts).await?;
        if self.lose_completions {
            return Err(object_store::Error::NotFound {
                path: path.to_string(),
                source: "no such multipart upload".into(),
            });
        }
        lost.after(Ok(completed))
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> object_store::Result<()> {
        let lost = self.gate.pass().await?;
        self.note("abort", path);
        lost.after(self.inner.abort_multipart(path, id).await)
    }
}

#[async_trait]
impl Store for Weak {
    async fn scan(
        &self,
        prefix: &Path,
        after: Option<&Path>,
        most: usize,
    ) -> object_store::Result<Vec<ObjectMeta>> {
        use futures_util::TryStreamExt;
        self.calls.lock().push("list".to_owned());
        let objects: Vec<ObjectMeta> = self.inner.list(Some(prefix)).try_collect().await?;
        let mut found: Vec<_> = objects
            .into_iter()
            .map(|meta| (meta.location.to_string(), meta))
            .collect();
        // They sort with the slash, and are shown without.
        found.extend(
            self.markers
                .iter()
                .filter(|marker| marker.starts_with(&format!("{prefix}/")))
                .map(|marker| {
                    let meta = ObjectMeta {
                        location: Path::parse(marker).unwrap(),
                        last_modified: Default::default(),
                        size: 0,
                        e_tag: None,
                        version: None,
                    };
                    (marker.clone(), meta)
                }),
        );
        found.retain(|(key, _)| after.is_none_or(|after| key.as_str() > after.as_ref()));
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(found.into_iter().take(most).map(|(_, meta)| meta).collect())
    }

    async fn copy_part(&self, copy: &PartCopy<'_>) -> object_store::Result<PartId> {
        if !self.is_able {
            return Err(unable());
        }
        let lost = self.gate.pass().await?;
        self.note("copy part of", copy.to);
        let size = copy.range.end - copy.range.start;
        self.parts.lock().insert((copy.id.clone(), copy.part), size);
        lost.after(self.inner.copy_part(copy).await)
    }

    async fn open_multiparts(&self, prefix: &Path) -> object_store::Result<Vec<OpenMultipart>> {
        if !self.is_able {
            return Err(unable());
        }
        let mut open = self.inner.open_multiparts(prefix).await?;
        open.retain(|open| !self.exact_keys_only || open.path == *prefix);
        Ok(open)
    }

    async fn sign(&self, get: &SignedGet<'_>) -> object_store::Result<Option<String>> {
        if get.ttl.is_zero() {
            return Err(object_store::Error::Unauthenticated {
                path: get.path.to_string(),
                source: "no credentials".into(),
            });
        }
        let (path, seconds) = (get.path, get.ttl.as_secs());
        Ok(Some(format!("https://bucket.example/{path}?expires={seconds}")))
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            cas: match self.conditions {
                Conditions::Honoured => Cas::Quoted,
                Conditions::Ignored | Conditions::Refused => Cas::None,
            },
            e_tag_is_md5: self.e_tag_is_md5,
            ..Abilities::default()
        }
    }
}

fn unable() -> object_store::Error {
    object_store::Error::NotSupported {
        source: "a weak store".into(),
    }
}

/// A client that stalls holds what it was given: no more of the object is taken from the store meanwhile.
#[tokio::test]
async fn a_stalled_reader_takes_no_more_from_the_store() {
    use std::sync::atomic::Ordering::SeqCst;

    let store = Weak {
        send_pieces: true,
        ..Weak::new(Conditions::Honoured)
    };
    let (pieces, key) = (Arc::clone(&store.pieces), Key::new("docker/object").unwrap());
    let storage = ObjectStorage::new(Arc::new(store), Path::default());
    storage
        .publish(&[Put::new(key.clone(), vec![7; 4 << 20])])
        .await
        .unwrap();
    let mut streams = Vec::new();
    for _ in 0..16 {
        let mut stream = storage.open(&key).await.unwrap().stream(0..4 << 20);
        assert_eq!(stream.next().await.unwrap().unwrap().len(), 64 * 1024);
        streams.push(stream);
    }
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(pieces.load(SeqCst), 16, "one each");
    let rest: Vec<_> = streams.pop().unwrap().collect().await;
    assert_eq!(rest.len(), 63);
}

const MD5_OF_X: &str = "\"9dd4e461268c8034f5c8564e155c67a6\"";
const MD5_OF_Y: &str = "\"415290769594460e2e485922904f345d\"";

/// The object `x`, and a read of it: the entity tag that came with it, and how many requests it took.
async fn x_with_tags(store: &Weak) -> impl AsyncFn(&[&str]) -> (Option<String>, u32) + use<> {
    use std::sync::atomic::Ordering::SeqCst;

    let storage = ObjectStorage::new(Arc::new(store.clone()), Path::default());
    let (key, store) = (Key::new("docker/object").unwrap(), store.clone());
    storage.publish(&[Put::new(key.clone(), "x")]).await.unwrap();
    async move |tags: &[&str]| {
        *store.tags.lock() = tags.iter().rev().map(|tag| (*tag).to_owned()).collect();
        let before = store.looks.load(SeqCst);
        let object = storage.read(&key, 10).await.unwrap();
        assert_eq!(object.bytes, "x");
        let version = object.stat.version;
        let tag = version.map(|version| version.as_object().unwrap().e_tag.clone());
        (tag, store.looks.load(SeqCst) - before)
    }
}

#[tokio::test]
async fn bytes_that_come_with_the_entity_tag_of_others_are_read_again() {
    let read = x_with_tags(&Weak::new(Conditions::Honoured)).await;
    assert_eq!(read(&[MD5_OF_X]).await, (Some(MD5_OF_X.to_owned()), 1));
    assert_eq!(read(&[MD5_OF_Y, MD5_OF_X]).await, (Some(MD5_OF_X.to_owned()), 2));
    let others = [MD5_OF_Y, "\"0\"", MD5_OF_X];
    assert_eq!(read(&others).await, (Some("\"0\"".to_owned()), 2), "no MD5");
}

#[tokio::test]
async fn entity_tags_that_only_look_like_an_md5_are_taken_as_they_are() {
    let read = x_with_tags(&Weak::new(Conditions::Honoured)).await;
    let opaque = Some(MD5_OF_Y.to_owned());
    assert_eq!(read(&[MD5_OF_Y, MD5_OF_Y]).await, (opaque.clone(), 2));
    assert_eq!(read(&[MD5_OF_Y]).await, (opaque, 1), "that is known now");
}

#[tokio::test]
async fn a_store_whose_entity_tags_are_md5_gives_no_version_with_the_wrong_one() {
    let store = Weak {
        e_tag_is_md5: true,
        ..Weak::new(Conditions::Honoured)
    };
    let read = x_with_tags(&store).await;
    assert_eq!(read(&[MD5_OF_Y; 9]).await, (None, 4));
}

/// What waits for nothing in its round is not held up by others, and none of it takes effect after an error was reported.
#[tokio::test(start_paused = true)]
async fn the_puts_of_a_round_take_one_round_trip() {
    let store = Counted::new(Memory::new());
    let storage = ObjectStorage::new(Arc::new(store.clone()), Path::default());
    let mut puts = Puts::default();
    for (step, name) in [(0, "bytes"), (1, "a"), (2, "b"), (1, "c"), (2, "d")] {
        puts.add(step, Put::new(Key::new(name).unwrap(), "1"));
    }
    let (written, cost) = store.measure(storage.publish_all(&puts)).await;
    written.unwrap();
    assert_eq!(cost.to_string(), "5 requests in 3 round trips: 5 Put");

    let mut many = Puts::default();
    for number in 0..=AT_ONCE {
        many.add(0, Put::new(Key::new(number.to_string()).unwrap(), "1"));
    }
    let (written, cost) = store.measure(storage.publish_all(&many)).await;
    written.unwrap();
    assert_eq!(
        cost.to_string(),
        "33 requests in 2 round trips: 33 Put",
        "a limit on what is under way at once"
    );

    let mut refused = Puts::default();
    refused.add(0, Put::new(Key::new("bytes").unwrap(), "2").if_absent());
    refused.add(0, Put::new(Key::new("last").unwrap(), "2"));
    let error = storage.publish_all(&refused).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Precondition);
    storage
        .stat(&Key::new("last").unwrap())
        .await
        .expect("it was written before the error came");
}
