//! On a bucket each operation is a round trip: many reads of one request must not wait for each other.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt as _;
use object_store::path::Path;
use tokio::time::Instant;
use wharf_oci::{Digest, PageRequest, Reference, RepoName, media_type};
use wharf_registry::{
    Error, ManifestPush, Precondition, Registry,
    collect::{CollectOptions, Collector},
};
use wharf_storage::{
    Announced, Operation, Put,
    faulty::{Fault, Faulty},
    layout,
    object::{Cost, ObjectStorage},
};

use crate::common::{
    ROUND_TRIP, caller, counted, far_away, image, index, name, on_bucket, over, push_blob, put, tag,
};

/// How many round trips `work` waits for, one after the other.
async fn round_trips<T>(work: impl Future<Output = T>) -> (T, u128) {
    let start = Instant::now();
    let done = work.await;
    (done, start.elapsed().as_millis() / ROUND_TRIP.as_millis())
}

/// `POST`, with which an upload begins, and then the bytes: those of each chunk but the last in a `PATCH`.
async fn upload(registry: &Arc<Registry>, name: &RepoName, chunks: &[Bytes]) -> Digest {
    let id = registry.start_upload(name).await.unwrap();
    let digest = Digest::sha256_of(&chunks.concat());
    let [first, last] = [&chunks[..chunks.len() - 1], &chunks[chunks.len() - 1..]];
    for chunk in first {
        let mut session = registry.open_upload(name, &id).await.unwrap();
        session.announce(Announced {
            length: Some(chunk.len() as u64),
            digest: None,
        });
        for piece in pieces(chunk) {
            session.write(piece).await.unwrap();
        }
        session.suspend().await.unwrap();
    }
    let mut session = registry.open_upload(name, &id).await.unwrap();
    session.announce(Announced {
        length: Some(last[0].len() as u64),
        digest: Some(digest),
    });
    session.write_provisionally();
    for piece in pieces(&last[0]) {
        session.write(piece).await.unwrap();
    }
    session.finish(&caller(), &digest).await.unwrap().digest
}

/// A body as it comes from a client.
fn pieces(body: &Bytes) -> impl Iterator<Item = Bytes> {
    const PIECE: usize = 256 << 10;
    let body = body.clone();
    (0..body.len())
        .step_by(PIECE)
        .map(move |start| body.slice(start..body.len().min(start + PIECE)))
}

fn line(step: &str, cost: &Cost) -> String {
    format!("{step}: {cost}")
}

/// How many requests each step of a pull costs, and how many of them wait for each other.
#[tokio::test(start_paused = true)]
async fn requests_of_a_pull() {
    let (registry, store) = counted();
    let app = name("app");
    let manifest = image(&registry, &app, "content", "").await;
    let digest = put(&registry, &app, tag("1"), &manifest).await;
    let layer = Digest::sha256_of(b"content");
    let absent = Digest::sha256_of(b"absent");
    let by_tag = Reference::from(tag("1"));

    // Another process, which has read nothing yet.
    let other = on_bucket(&store);
    let mut costs = Vec::new();
    for step in ["GET manifest by tag, cold", "GET manifest by tag"] {
        let (found, cost) = store.measure(other.manifest(&app, &by_tag)).await;
        assert_eq!(found.unwrap().digest, digest);
        costs.push(line(step, &cost));
    }

    let moved = image(&registry, &app, "other content", "").await;
    let moved = put(&registry, &app, tag("1"), &moved).await;
    let (found, cost) = store.measure(other.manifest(&app, &by_tag)).await;
    assert_eq!(found.unwrap().digest, moved, "another process moved the tag");
    costs.push(line("GET manifest by a tag that was moved", &cost));

    let (found, cost) = store.measure(other.manifest(&app, &digest.into())).await;
    assert_eq!(found.unwrap().digest, digest);
    costs.push(line("GET manifest by digest", &cost));
    let cold = on_bucket(&store);
    let (found, cost) = store.measure(cold.manifest(&app, &digest.into())).await;
    found.unwrap();
    costs.push(line("GET manifest by digest, cold", &cost));
    let (found, cost) = store.measure(other.manifest(&app, &tag("no").into())).await;
    found.unwrap_err();
    costs.push(line("GET manifest by a tag that is absent", &cost));

    let (found, cost) = store.measure(other.blob(&app, &absent)).await;
    found.unwrap_err();
    costs.push(line("HEAD blob, absent", &cost));
    for step in ["HEAD blob, cold", "HEAD blob"] {
        let (found, cost) = store.measure(other.blob(&app, &layer)).await;
        assert_eq!(found.unwrap().size, 7);
        costs.push(line(step, &cost));
    }
    for (step, registry) in [("GET blob, cold", &cold), ("GET blob", &other)] {
        let get = async {
            let blob = registry.open_blob(&app, &layer).await.unwrap();
            let pieces: Vec<_> = blob.stream(0..7).collect().await;
            assert_eq!(pieces[0].as_ref().unwrap(), "content");
        };
        costs.push(line(step, &store.measure(get).await.1));
    }
    let get = async {
        let blob = other.open_blob_parts(&app, &layer).await.unwrap();
        let pieces: Vec<_> = blob.stream(3..7).collect().await;
        assert_eq!(pieces[0].as_ref().unwrap(), "tent");
    };
    costs.push(line("GET range of a blob", &store.measure(get).await.1));
    let (found, cost) = store.measure(other.open_blob(&app, &absent)).await;
    assert!(matches!(found, Err(Error::BlobUnknown { .. })));
    costs.push(line("GET blob, absent", &cost));

    assert_eq!(
        costs,
        [
            "GET manifest by tag, cold: 3 requests in 2 round trips: 3 Get",
            "GET manifest by tag: 2 requests in 1 round trips: 2 Get",
            "GET manifest by a tag that was moved: 4 requests in 2 round trips: 4 Get",
            "GET manifest by digest: 1 requests in 1 round trips: 1 Get",
            "GET manifest by digest, cold: 2 requests in 1 round trips: 2 Get",
            "GET manifest by a tag that is absent: 1 requests in 1 round trips: 1 Get",
            "HEAD blob, absent: 1 requests in 1 round trips: 1 Get",
            "HEAD blob, cold: 2 requests in 2 round trips: 1 Head, 1 Get",
            "HEAD blob: 2 requests in 1 round trips: 1 Head, 1 Get",
            "GET blob, cold: 2 requests in 1 round trips: 2 Get",
            "GET blob: 2 requests in 1 round trips: 2 Get",
            "GET range of a blob: 3 requests in 2 round trips: 1 Head, 2 Get",
            "GET blob, absent: 2 requests in 1 round trips: 2 Get",
        ],
        "{costs:#?}"
    );
}

/// How many requests each step of a push costs, and how many of them wait for each other.
#[tokio::test(start_paused = true)]
async fn requests_of_a_push() {
    let (registry, store) = counted();
    let app = name("app");
    let mut costs = Vec::new();
    for step in [
        "HEAD blob before a push, first in minutes",
        "HEAD blob before a push",
    ] {
        let absent = Digest::sha256_of(b"absent");
        let (found, cost) = store.measure(registry.blob_to_rely_on(&app, &absent)).await;
        found.unwrap_err();
        costs.push(line(step, &cost));
    }
    let small = [Bytes::from_static(b"small")];
    let (_, cost) = store.measure(upload(&registry, &app, &small)).await;
    costs.push(line("small blob, POST and PUT", &cost));
    let chunks = [Bytes::from_static(b"of "), Bytes::from_static(b"two")];
    let (_, cost) = store.measure(upload(&registry, &app, &chunks)).await;
    costs.push(line("small blob, POST, PATCH and PUT", &cost));
    let chunks = [Bytes::from_static(b"patched"), Bytes::new()];
    let (patched, cost) = store.measure(upload(&registry, &app, &chunks)).await;
    costs.push(line("small blob, POST, PATCH and empty PUT", &cost));

    let (other, caller) = (name("other"), caller());
    let mount = registry.mount_blob(&caller, &other, &patched, Some(&app));
    let (mounted, cost) = store.measure(mount).await;
    mounted.unwrap().unwrap();
    costs.push(line("mount", &cost));
    let absent = Digest::sha256_of(b"absent");
    let mount = registry.mount_blob(&caller, &other, &absent, Some(&app));
    let (mounted, cost) = store.measure(mount).await;
    assert_eq!(mounted.unwrap(), None);
    costs.push(line("mount of an absent blob", &cost));

    let manifest = image(&registry, &app, "content", "").await;
    let (_, cost) = store.measure(put(&registry, &app, tag("1"), &manifest)).await;
    costs.push(line("PUT manifest of config and layer", &cost));
    let (_, cost) = store.measure(put(&registry, &app, tag("2"), &manifest)).await;
    costs.push(line("PUT manifest again, by another tag", &cost));
    let large = large_image(&registry, &app, 31).await;
    let (_, cost) = store.measure(put(&registry, &app, tag("3"), &large)).await;
    costs.push(line("PUT manifest of config and 31 layers", &cost));

    assert_eq!(
        costs,
        [
            "HEAD blob before a push, first in minutes: 2 requests in 1 round trips: 1 Get, 1 List",
            "HEAD blob before a push: 1 requests in 1 round trips: 1 Get",
            "small blob, POST and PUT: 5 requests in 5 round trips: 1 Get, 3 Put, 1 Delete",
            "small blob, POST, PATCH and PUT: 7 requests in 7 round trips: 2 Get, 4 Put, 1 Delete",
            "small blob, POST, PATCH and empty PUT: 7 requests in 7 round trips: 2 Get, 4 Put, 1 Delete",
            "mount: 3 requests in 2 round trips: 1 Head, 1 Get, 1 Put",
            "mount of an absent blob: 3 requests in 2 round trips: 1 Head, 2 Get",
            "PUT manifest of config and layer: 12 requests in 5 round trips: 3 Head, 5 Get, 4 Put",
            "PUT manifest again, by another tag: 12 requests in 5 round trips: 3 Head, 5 Get, 4 Put",
            "PUT manifest of config and 31 layers: 102 requests in 5 round trips: 33 Head, 65 Get, 4 Put",
        ],
        "{costs:#?}"
    );
}

/// How many requests a large blob costs, how many of them wait for each other, and how often its bytes are sent.
#[tokio::test(start_paused = true)]
async fn requests_of_a_large_blob() {
    let (registry, store) = counted();
    let (app, chunk) = (name("app"), 10 << 20);
    push_blob(&registry, &app, b"first in minutes").await;
    let mut costs = Vec::new();
    let content = Bytes::from(vec![1; 4 * chunk]);
    let (_, cost) = store
        .measure(upload(&registry, &app, std::slice::from_ref(&content)))
        .await;
    assert_eq!(cost.sent >> 20, 40, "each byte once");
    costs.push(line("40 MiB, POST and PUT", &cost));

    let content = Bytes::from(vec![2; 4 * chunk]);
    let mut chunks: Vec<Bytes> = (0..4)
        .map(|at| content.slice(at * chunk..(at + 1) * chunk))
        .collect();
    chunks.push(Bytes::new());
    let (_, cost) = store.measure(upload(&registry, &app, &chunks)).await;
    costs.push(format!(
        "{}, {} MiB sent",
        line("40 MiB in chunks of 10 MiB", &cost),
        cost.sent >> 20
    ));
    assert_eq!(
        costs,
        [
            "40 MiB, POST and PUT: 12 requests in 12 round trips: 1 Get, 3 Put, 1 Create, 5 Part, 1 Complete, 1 Delete",
            "40 MiB in chunks of 10 MiB: 23 requests in 21 round trips: 5 Get, 10 Put, 1 Create, 4 CopyPart, 1 Complete, 2 Delete, 40 MiB sent",
        ],
        "{costs:#?}"
    );
}

/// The manifest of an image with `layers` layers, all of which are pushed.
async fn large_image(registry: &Arc<Registry>, name: &RepoName, layers: usize) -> String {
    let mut descriptors = Vec::new();
    for layer in 0..layers {
        let content = format!("layer {layer}");
        let digest = push_blob(registry, name, content.as_bytes()).await;
        descriptors.push(format!(
            r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{digest}","size":{}}}"#,
            content.len()
        ));
    }
    let config = push_blob(registry, name, b"{}").await;
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":2}},"layers":[{}]}}"#,
        media_type::OCI_MANIFEST,
        descriptors.join(",")
    )
}

#[tokio::test(start_paused = true)]
async fn the_layers_of_a_pushed_image_are_checked_at_once() {
    let (registry, _) = far_away();
    let app = name("app");
    let manifest = large_image(&registry, &app, 20).await;
    let (_, trips) = round_trips(put(&registry, &app, tag("1"), &manifest)).await;
    // The references at once, three steps of writes, and the links of the references again.
    assert_eq!(trips, 5);
}

#[tokio::test(start_paused = true)]
async fn a_long_list_of_tags_is_one_listing() {
    let (registry, storage) = far_away();
    let (app, tags) = (name("app"), 320);
    let link = Digest::sha256_of(b"manifest").to_string();
    for number in 0..tags {
        let key = layout::tag_link(&app, &format!("t{number:03}"));
        storage.publish(&[Put::new(key, link.clone())]).await.unwrap();
    }
    let page = PageRequest::default();
    let (page, trips) = round_trips(registry.tags(&app, &page)).await;
    assert_eq!(page.unwrap().names.len(), tags);
    assert_eq!(trips, 1, "one listing");
}

#[tokio::test(start_paused = true)]
async fn the_tags_of_a_deleted_manifest_are_found_many_at_a_time() {
    let (registry, _) = far_away();
    let app = name("app");
    let manifest = image(&registry, &app, "content", "").await;
    let bytes = Bytes::from(manifest.clone());
    let tags: Vec<_> = (0..32).map(|number| tag(&format!("t{number}"))).collect();
    let reference = Reference::from(Digest::sha256_of(manifest.as_bytes()));
    let push = ManifestPush {
        reference: &reference,
        tags: &tags,
        content_type: None,
        bytes: &bytes,
        condition: &Precondition::default(),
        creates_only: false,
    };
    let pushed = registry.put_manifest(&caller(), &app, push).await;
    let digest = pushed.unwrap().digest;
    let (removed, trips) = round_trips(registry.delete_manifest(&caller(), &app, &digest, false)).await;
    assert_eq!(removed.unwrap().len(), 32);
    assert!(trips <= 18, "{trips} round trips");
}

#[tokio::test(start_paused = true)]
async fn the_referrers_of_a_manifest_are_read_many_at_a_time_and_once() {
    let (registry, storage) = far_away();
    let app = name("app");
    let subject = Digest::sha256_of(b"subject");
    let extra = format!(
        r#","subject":{{"mediaType":"{}","digest":"{subject}","size":7}}"#,
        media_type::OCI_MANIFEST
    );
    for number in 0..32 {
        let referrer = image(&registry, &app, &format!("referrer {number}"), &extra).await;
        put(&registry, &app, Digest::sha256_of(referrer.as_bytes()), &referrer).await;
    }
    // Another registry over the store has seen none of them.
    let other = Registry::new(Arc::clone(&storage), registry.options().clone());
    let (page, first) = round_trips(other.referrers(&app, &subject, None, None)).await;
    assert_eq!(page.unwrap().descriptors.len(), 32);
    assert!(first <= 10, "{first} round trips");
    let (page, again) = round_trips(other.referrers(&app, &subject, None, None)).await;
    assert_eq!(page.unwrap().descriptors.len(), 32);
    assert!(
        again < first,
        "{again} round trips: manifests are immutable, and read once"
    );
}

#[tokio::test(start_paused = true)]
async fn the_catalogue_is_one_listing() {
    let (registry, storage) = far_away();
    let link = Digest::sha256_of(b"manifest").to_string();
    for number in 0..32 {
        let key = layout::tag_link(&name(&format!("r{number:02}")), "1");
        storage.publish(&[Put::new(key, link.clone())]).await.unwrap();
    }
    let page = PageRequest {
        n: Some(20),
        last: None,
    };
    let (page, trips) = round_trips(registry.catalog(&page)).await;
    assert_eq!(page.unwrap().names.len(), 20);
    assert_eq!(trips, 1, "one listing");
}

#[tokio::test(start_paused = true)]
async fn a_collection_reads_many_manifests_at_a_time() {
    let (registry, storage) = far_away();
    let app = name("app");
    let mut children = Vec::new();
    for number in 0..16 {
        let child = image(&registry, &app, &format!("content {number}"), "").await;
        let digest = put(&registry, &app, Digest::sha256_of(child.as_bytes()), &child).await;
        children.push((digest, child.len()));
    }
    put(&registry, &app, tag("all"), &index(&children)).await;
    let collector = Collector::new(storage, CollectOptions::default());
    let (marked, trips) = round_trips(async {
        let mut marking = collector.mark().await.unwrap();
        marking.next().await.unwrap().unwrap().marks.len()
    })
    .await;
    // The index, its children, and of each a config and a layer; children are both manifests and named.
    assert_eq!(marked, 17 + 16 + 32);
    assert!(trips <= 16, "{trips} round trips");
}

/// What a tag pointed at before is looked up while the tag is: that it was absent then says nothing once the tag points at it.
#[tokio::test(start_paused = true)]
async fn a_manifest_that_comes_back_while_its_tag_is_read_is_found() {
    let (registry, store) = counted();
    let app = name("app");
    let first = image(&registry, &app, "first", "").await;
    let digest = put(&registry, &app, tag("1"), &first).await;
    let bucket = ObjectStorage::new(Arc::new(store.clone()), Path::default());
    let faulty = Arc::new(Faulty::new(Arc::new(bucket)));
    let other = over(Arc::clone(&faulty) as _);
    let by_tag = Reference::from(tag("1"));
    other.manifest(&app, &by_tag).await.unwrap();

    let second = image(&registry, &app, "second", "").await;
    put(&registry, &app, tag("1"), &second).await;
    registry
        .delete_manifest(&caller(), &app, &digest, false)
        .await
        .unwrap();
    let slow = Fault::delay(Duration::from_secs(10));
    faulty.inject(slow.on(Operation::Read).key("tags/1/current/link").times(1));
    let (found, _) = tokio::join!(other.manifest(&app, &by_tag), async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        put(&registry, &app, tag("1"), &first).await
    });
    assert_eq!(found.unwrap().digest, digest);
    assert_eq!(faulty.struck(), 1);
}
