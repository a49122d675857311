//! The contract over every kind of store, and what only this engine does: several processes on one bucket.

use std::fmt;

use futures_util::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
    multipart::{MultipartStore, PartId},
};
use wharf_oci::{Algorithm, Digest};

use super::*;
use crate::{Storage, contract::purge};

/// Limits that make multipart uploads, copies by streaming and heartbeats of small contents.
const SMALL: Limits = Limits {
    part_size: 64 * 1024,
    copy_size: 150_000,
    chunks: 100,
    heartbeat: Duration::ZERO,
};

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
    contract_holds(ObjectStorage::with_limits(
        Arc::clone(&store) as _,
        below.clone(),
        SMALL,
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
        let store = Arc::new(Weak::new(conditions));
        let storage: Arc<dyn Storage> = Arc::new(ObjectStorage::new(store, Path::default()));
        Box::pin(crate::contract::unconditional(&storage)).await;
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
    use futures_util::TryStreamExt;
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

#[tokio::test]
async fn any_replica_goes_on_with_an_upload() {
    let (one, two) = replicas(Memory::new());
    one.create_upload(&upload_key("u")).await.unwrap();
    assert_eq!(write(&two, "u", b"one ").await.unwrap(), 4);
    assert_eq!(write(&one, "u", b"two ").await.unwrap(), 8);
    assert_eq!(two.upload_size(&upload_key("u")).await.unwrap(), 8);
    assert_eq!(write(&two, "u", b"three").await.unwrap(), 13);
    assert_eq!(publish(&one, "u").await.unwrap(), "one two three");
    assert_eq!(objects(&two).await.len(), 1, "only the blob is left");
}

#[tokio::test]
async fn of_two_requests_in_two_replicas_one_wins() {
    let (one, two) = replicas(Memory::new());
    one.create_upload(&upload_key("u")).await.unwrap();
    write(&one, "u", b"first ").await.unwrap();

    let mut a = one.open_upload(&upload_key("u")).await.unwrap();
    let mut b = two.open_upload(&upload_key("u")).await.unwrap();
    a.write(Bytes::from_static(b"from a")).await.unwrap();
    b.write(Bytes::from_static(b"from b, longer")).await.unwrap();
    assert_eq!(b.suspend().await.unwrap(), 20);
    assert_eq!(a.suspend().await.unwrap_err().kind(), ErrorKind::Busy);

    let chunks = objects(&one)
        .await
        .into_iter()
        .filter(|path| path.contains("/chunks/"))
        .count();
    assert_eq!(chunks, 2, "the loser's chunk is gone");
    assert_eq!(publish(&one, "u").await.unwrap(), "first from b, longer");
}

#[tokio::test]
async fn nothing_is_added_to_what_is_being_published() {
    let (one, two) = replicas(Memory::new());
    one.create_upload(&upload_key("u")).await.unwrap();
    write(&one, "u", b"whole").await.unwrap();

    // Opened before the seal: the put of its state fails.
    let mut early = two.open_upload(&upload_key("u")).await.unwrap();
    early.write(Bytes::from_static(b"too late")).await.unwrap();
    // Stops between the seal and the end, as a process that dies there does: what it was to copy is missing.
    let finished = one
        .open_upload(&upload_key("u"))
        .await
        .unwrap()
        .finish(None)
        .await
        .unwrap();
    let chunk = objects(&one)
        .await
        .into_iter()
        .find(|path| path.contains("/chunks/"))
        .unwrap();
    let saved = one
        .bucket
        .store
        .get(&Path::from(&*chunk))
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    one.bucket.store.delete(&Path::from(&*chunk)).await.unwrap();
    let error = finished
        .publish(&Key::new("blob").unwrap(), &[])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    one.bucket
        .store
        .put(&Path::from(&*chunk), saved.into())
        .await
        .unwrap();

    assert_eq!(early.suspend().await.unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(
        write(&two, "u", b"even later").await.unwrap_err().kind(),
        ErrorKind::Busy
    );
    // The client asks for the publication once more.
    assert_eq!(publish(&two, "u").await.unwrap(), "whole");
}

/// Where the store ignores conditions, one request may lose its bytes; what is published is still
/// exactly what the digest says, and made of whole requests.
#[tokio::test]
async fn without_conditions_there_is_still_no_mixture() {
    let (one, two) = replicas(Weak::new(Conditions::Ignored));
    one.create_upload(&upload_key("u")).await.unwrap();
    let mut a = one.open_upload(&upload_key("u")).await.unwrap();
    let mut b = two.open_upload(&upload_key("u")).await.unwrap();
    a.write(Bytes::from_static(b"aaaa")).await.unwrap();
    b.write(Bytes::from_static(b"bbbbbbbb")).await.unwrap();
    a.suspend().await.unwrap();
    b.suspend().await.unwrap();
    let published = publish(&one, "u").await.unwrap();
    assert!(published == "aaaa" || published == "bbbbbbbb", "{published:?}");
}

/// A store without conditional puts is at least looked at before it is written to.
#[tokio::test]
async fn a_refused_condition_falls_back_to_looking_first() {
    let (one, two) = replicas(Weak::new(Conditions::Refused));
    one.create_upload(&upload_key("u")).await.unwrap();
    let mut a = one.open_upload(&upload_key("u")).await.unwrap();
    let mut b = two.open_upload(&upload_key("u")).await.unwrap();
    a.write(Bytes::from_static(b"aaaa")).await.unwrap();
    b.write(Bytes::from_static(b"bbbbbbbb")).await.unwrap();
    a.suspend().await.unwrap();
    assert_eq!(b.suspend().await.unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(publish(&two, "u").await.unwrap(), "aaaa");
}

#[tokio::test]
async fn a_put_whose_answer_is_lost_counts() {
    let store = Weak {
        lose_answers: true,
        ..Weak::new(Conditions::Honoured)
    };
    let (one, _) = replicas(store);
    one.create_upload(&upload_key("u")).await.unwrap();
    assert_eq!(write(&one, "u", b"once ").await.unwrap(), 5);
    assert_eq!(write(&one, "u", b"only").await.unwrap(), 9);
    assert_eq!(publish(&one, "u").await.unwrap(), "once only");
}

/// I6 across processes: a request that lasts renews the state, which another process's purge looks at.
#[tokio::test]
async fn a_long_request_shows_other_replicas_that_it_lives() {
    let store = Memory::new();
    let one = ObjectStorage::with_limits(Arc::new(store.clone()), Path::default(), SMALL);
    let two = ObjectStorage::new(Arc::new(store), Path::default());
    one.create_upload(&upload_key("u")).await.unwrap();
    let mut held = one.open_upload(&upload_key("u")).await.unwrap();
    let cutoff = SystemTime::now();
    while SystemTime::now() <= cutoff {
        tokio::task::yield_now().await;
    }
    // The queue holds one piece, so by the third write the first has been dealt with.
    for _ in 0..3 {
        held.write(Bytes::from_static(b"piece ")).await.unwrap();
    }
    assert_eq!(purge(&two, cutoff).await.unwrap(), 0);
    assert_eq!(held.suspend().await.unwrap(), 18);
    assert_eq!(publish(&two, "u").await.unwrap(), "piece piece piece ");
}

#[tokio::test]
async fn purge_removes_chunks_without_a_state() {
    let storage = ObjectStorage::in_memory();
    let orphan = Path::from("wharf/uploads/library=alpine/gone/chunks/0-orphan");
    storage
        .bucket
        .store
        .put(&orphan, Bytes::from_static(b"x").into())
        .await
        .unwrap();
    assert_eq!(purge(&storage, SystemTime::UNIX_EPOCH).await.unwrap(), 0);
    assert_eq!(objects(&storage).await.len(), 1);
    let future = SystemTime::now() + Duration::from_secs(60);
    assert_eq!(
        purge(&storage, future).await.unwrap(),
        0,
        "it was no upload any more"
    );
    assert_eq!(objects(&storage).await, [""; 0]);
}

#[tokio::test]
async fn a_chunk_that_was_tampered_with_is_damaged() {
    for (damage, also) in [
        ("shorter", None),
        ("wholly different", None),
        ("abcde", Some(Algorithm::Sha512)),
    ] {
        let storage = ObjectStorage::in_memory();
        storage.create_upload(&upload_key("u")).await.unwrap();
        write(&storage, "u", b"12345").await.unwrap();
        let chunk = objects(&storage)
            .await
            .into_iter()
            .find(|path| path.contains("/chunks/"))
            .unwrap();
        storage
            .bucket
            .store
            .put(&Path::from(chunk), Bytes::from_static(damage.as_bytes()).into())
            .await
            .unwrap();
        let held = storage.open_upload(&upload_key("u")).await.unwrap();
        let Err(error) = held.finish(also).await else {
            panic!("`{damage}` was taken for `12345`")
        };
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    }
}

/// What is too large to be copied by the store is compared with its digest before it appears.
#[tokio::test]
async fn a_large_blob_is_hashed_on_its_way_to_its_key() {
    let content = Bytes::from(vec![7; 200_000]);
    let storage = ObjectStorage::with_limits(Arc::new(Memory::new()), Path::default(), SMALL);
    storage.create_upload(&upload_key("u")).await.unwrap();
    let mut held = storage.open_upload(&upload_key("u")).await.unwrap();
    held.write(content.clone()).await.unwrap();
    let finished = held.finish(None).await.unwrap();
    let chunk = objects(&storage)
        .await
        .into_iter()
        .find(|path| path.contains("/chunks/"))
        .unwrap();
    let mut other = content.to_vec();
    other[150_000] = 8;
    storage
        .bucket
        .store
        .put(&Path::from(chunk), other.into())
        .await
        .unwrap();
    let key = layout::blob(&Digest::sha256_of(&content));
    assert_eq!(
        finished.publish(&key, &[]).await.unwrap_err().kind(),
        ErrorKind::Damaged
    );
    assert!(
        storage.stat(&key).await.unwrap_err().is_not_found(),
        "nothing wrong ever appears at the key of a blob"
    );
}

#[tokio::test]
async fn an_upload_of_too_many_chunks_is_refused() {
    let storage = ObjectStorage::with_limits(Arc::new(Memory::new()), Path::default(), SMALL);
    storage.create_upload(&upload_key("u")).await.unwrap();
    for _ in 0..SMALL.chunks {
        write(&storage, "u", b"x").await.unwrap();
    }
    let error = write(&storage, "u", b"x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().contains("send larger ones"), "{error}");
    assert_eq!(
        publish(&storage, "u").await.unwrap().len(),
        SMALL.chunks,
        "what was accepted is not lost"
    );
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
    assert_eq!(looks.load(std::sync::atomic::Ordering::SeqCst), 0);
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
    /// The last byte of each object gets lost on the way.
    send_short: bool,
    deleted: Arc<parking_lot::Mutex<Vec<String>>>,
    /// How often an object was looked at or read
    looks: Arc<std::sync::atomic::AtomicU32>,
}

impl Weak {
    fn new(conditions: Conditions) -> Self {
        Self {
            inner: Memory::new(),
            conditions,
            lose_answers: false,
            send_short: false,
            deleted: Arc::default(),
            looks: Arc::default(),
        }
    }
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
            if self.lose_answers {
                self.inner
                    .put_opts(location, payload.clone(), options.clone())
                    .await?;
            }
        }
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.looks.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let mut got = self.inner.get_opts(location, options).await?;
        if self.send_short {
            let (meta, range, attributes) = (got.meta.clone(), got.range.clone(), got.attributes.clone());
            let bytes = got.bytes().await?;
            let short = bytes.slice(..bytes.len() - 1);
            let sent = stream::once(async { Ok(short) });
            got = GetResult {
                payload: object_store::GetResultPayload::Stream(Box::pin(sent)),
                meta,
                range,
                attributes,
                extensions: Default::default(),
            };
        }
        Ok(got)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        use futures_util::TryStreamExt;
        let deleted = Arc::clone(&self.deleted);
        let noted = locations.inspect_ok(move |path| deleted.lock().push(path.to_string()));
        self.inner.delete_stream(Box::pin(noted))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[async_trait]
impl MultipartStore for Weak {
    async fn create_multipart(&self, path: &Path) -> object_store::Result<MultipartId> {
        self.inner.create_multipart(path).await
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        index: usize,
        bytes: PutPayload,
    ) -> object_store::Result<PartId> {
        self.inner.put_part(path, id, index, bytes).await
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> object_store::Result<PutResult> {
        self.inner.complete_multipart(path, id, parts).await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> object_store::Result<()> {
        self.inner.abort_multipart(path, id).await
    }
}

#[async_trait]
impl Store for Weak {
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
}
