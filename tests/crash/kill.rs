//! Cycles of load, death, examination, restart.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use wharf_testkit::{
    Client, Repository, Server, ServerBuilder, Unanswered,
    image::{self, Blob, Image},
    store,
};

wharf_testkit::on_disk![what_was_acknowledged_survives_kill_9];

const PUSHERS: u64 = 8;

/// All that some server of this test has acknowledged.
#[derive(Debug, Default)]
struct Acknowledged {
    /// Repository and digest of each blob.
    blobs: Vec<(String, Blob)>,
    /// Repository of each image pushed by digest or tag.
    images: Vec<(String, Image)>,
    /// For each repository and tag: the digests that may be current. The last acknowledged one, and
    /// what was asked for after it without an answer.
    tags: BTreeMap<(String, String), Vec<String>>,
    /// Chunked uploads whose end was not acknowledged.
    uploads: Vec<Interrupted>,
}

/// A chunked upload that the server's death may interrupt.
#[derive(Debug, Clone)]
struct Interrupted {
    repository: String,
    location: String,
    /// All bytes of the upload.
    blob: Blob,
    /// How many bytes of it were acknowledged.
    acknowledged: usize,
    /// Whether the end has been asked for. From then on the bytes may lie under the upload or under
    /// the blob: an upload that has given its bytes to a blob that is not linked yet starts anew.
    is_closing: bool,
}

type Book = Arc<Mutex<Acknowledged>>;

async fn what_was_acknowledged_survives_kill_9(builder: ServerBuilder) {
    let cycles: u64 = std::env::var("WHARF_CRASH_CYCLES").map_or(8, |n| n.parse().unwrap());
    let mut server = builder.on_real_disk().start();
    let book = Book::default();
    let seeds = Arc::new(AtomicU64::new(1));
    let mut noise = u64::from(std::process::id()) ^ 0x9e37_79b9_7f4a_7c15;
    for cycle in 1..=cycles {
        let client = server.anonymous();
        let pushers: Vec<_> = (0..PUSHERS)
            .map(|number| {
                tokio::spawn(push_until_it_dies(
                    client.clone(),
                    number,
                    Arc::clone(&seeds),
                    Arc::clone(&book),
                ))
            })
            .collect();
        // Anywhere from the first request to well into the load.
        noise = noise
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        tokio::time::sleep(Duration::from_millis(20 + (noise >> 33) % 600)).await;
        server.kill9();
        for pusher in pushers {
            pusher.await.unwrap();
        }

        let report = store::check(&server.root(), store::Rules::default());
        assert!(
            report.problems.is_empty(),
            "after cycle {cycle} the store is broken:\n{}",
            report.problems.join("\n")
        );
        server.start_again();
        examine(&server, &book).await;
        let said = server.log();
        assert!(
            !said.contains("panicked"),
            "after cycle {cycle} the server says\n{said}"
        );
    }
    let book = book.lock().unwrap();
    println!(
        "survived {cycles} crash cycles; acknowledged: {} blobs, {} images, {} tags",
        book.blobs.len(),
        book.images.len(),
        book.tags.len()
    );
    assert!(
        !book.images.is_empty(),
        "no push was ever acknowledged: the test has tested nothing"
    );
}

/// One client: small images, tags that move, chunked uploads, until the server no longer answers.
async fn push_until_it_dies(client: Client, number: u64, seeds: Arc<AtomicU64>, book: Book) {
    let repository = client.repository(&format!("crash/pusher{number}"));
    while push_once(&repository, seeds.fetch_add(1, Ordering::Relaxed), &book)
        .await
        .is_ok()
    {}
}

async fn push_once(repository: &Repository, seed: u64, book: &Book) -> Result<(), Unanswered> {
    let image = image::oci(seed);
    for blob in &image.blobs {
        push_blob(repository, blob, book).await?;
    }
    if seed.is_multiple_of(4) {
        chunked(repository, seed, book).await?;
    }
    let tag = format!("t{}", seed % 3);
    let key = (repository.name.clone(), tag.clone());
    let digest = image.manifest.digest.clone();
    book.lock()
        .unwrap()
        .tags
        .entry(key.clone())
        .or_insert_with(|| vec![String::new()])
        .push(digest.clone());
    repository
        .put_manifest(&tag, &image.manifest)
        .try_send()
        .await?
        .expect(201);
    let mut book = book.lock().unwrap();
    book.images.push((repository.name.clone(), image));
    book.tags.insert(key, vec![digest]);
    Ok(())
}

async fn push_blob(repository: &Repository, blob: &Blob, book: &Book) -> Result<(), Unanswered> {
    let location = repository
        .client()
        .post(&repository.uploads_path())
        .try_send()
        .await?
        .expect(202)
        .location();
    repository
        .finish(&location, &blob.digest, blob.bytes.clone())
        .try_send()
        .await?
        .expect(201);
    book.lock()
        .unwrap()
        .blobs
        .push((repository.name.clone(), blob.clone()));
    Ok(())
}

async fn chunked(repository: &Repository, seed: u64, book: &Book) -> Result<(), Unanswered> {
    const CHUNK: usize = 150_000;
    let blob = Blob::random(seed ^ 0xc0ffee, 4 * CHUNK);
    let location = repository
        .client()
        .post(&repository.uploads_path())
        .try_send()
        .await?
        .expect(202)
        .location();
    book.lock().unwrap().uploads.push(Interrupted {
        repository: repository.name.clone(),
        location: location.clone(),
        blob: blob.clone(),
        acknowledged: 0,
        is_closing: false,
    });
    let note = |change: &dyn Fn(&mut Interrupted)| {
        change(
            book.lock()
                .unwrap()
                .uploads
                .iter_mut()
                .find(|upload| upload.location == location)
                .unwrap(),
        );
    };
    for chunk in 1..=3 {
        let bytes = blob.bytes.slice((chunk - 1) * CHUNK..chunk * CHUNK);
        repository.append(&location, bytes).try_send().await?.expect(202);
        note(&|upload| upload.acknowledged = chunk * CHUNK);
    }
    note(&|upload| upload.is_closing = true);
    repository
        .finish(&location, &blob.digest, blob.bytes.slice(3 * CHUNK..))
        .try_send()
        .await?
        .expect(201);
    let mut book = book.lock().unwrap();
    book.uploads.retain(|upload| upload.location != location);
    book.blobs.push((repository.name.clone(), blob));
    Ok(())
}

/// Everything acknowledged is there, and every interrupted upload can be carried to its end.
async fn examine(server: &Server, book: &Book) {
    let client = server.anonymous();
    let (blobs, images, tags, uploads) = {
        let mut book = book.lock().unwrap();
        let uploads = std::mem::take(&mut book.uploads);
        (
            book.blobs.clone(),
            book.images.clone(),
            book.tags.clone(),
            uploads,
        )
    };
    // What is on the disk was hashed by the store verifier: here it must be reachable. The newest
    // are read whole through the server.
    for (name, blob) in &blobs {
        let link = server
            .tree()
            .join("repositories")
            .join(name)
            .join("_layers")
            .join(blob.digest.replace(':', "/"));
        assert!(link.join("link").exists(), "{name} has lost {}", blob.digest);
        assert!(
            store::blob_path(&server.root(), &blob.digest).exists(),
            "the bytes of {} are lost",
            blob.digest
        );
    }
    for (name, image) in &images {
        let below = image.manifest.digest.replace(':', "/");
        let link = server
            .tree()
            .join("repositories")
            .join(name)
            .join("_manifests/revisions")
            .join(below);
        assert!(
            link.join("link").exists(),
            "{name} has lost {}",
            image.manifest.digest
        );
    }
    for (name, image) in images.iter().rev().take(20) {
        client
            .repository(name)
            .pull_image(&image.manifest.digest, image)
            .await;
    }
    for ((name, tag), digests) in &tags {
        let answer = client.repository(name).get_manifest(tag).await;
        match answer.status.as_u16() {
            200 => assert!(
                digests.contains(&answer.header("docker-content-digest").to_owned()),
                "{digests:?}\n{answer}"
            ),
            // Only a tag whose very first push was never answered may be absent.
            404 => assert!(digests[0].is_empty(), "the tag was acknowledged\n{answer}"),
            _ => panic!("{answer}"),
        }
    }
    for upload in uploads {
        carry_on(&client, &upload).await;
        book.lock().unwrap().blobs.push((upload.repository, upload.blob));
    }
}

/// What was acknowledged of an upload is there, and it can be carried to its end.
async fn carry_on(client: &Client, upload: &Interrupted) {
    let repository = client.repository(&upload.repository);
    let blob = &upload.blob;
    let answer = client.get(&upload.location).await;
    if answer.status == 404 {
        // Published without the client seeing it; or begun, and nothing of it promised.
        assert!(
            upload.is_closing || upload.acknowledged == 0,
            "{upload:?} is lost\n{answer}"
        );
        if repository.head_blob(&blob.digest).await.status == 404 {
            repository.push_blob(blob).await;
        }
    } else {
        let held = match answer
            .expect(204)
            .header("range")
            .strip_prefix("0-")
            .unwrap()
            .parse::<usize>()
            .unwrap()
        {
            0 => 0,
            last => last + 1,
        };
        let lost = held < upload.acknowledged && !(upload.is_closing && held == 0);
        assert!(
            !lost,
            "{}: {} bytes were acknowledged, {held} are held",
            upload.location, upload.acknowledged
        );
        repository
            .finish(&upload.location, &blob.digest, blob.bytes.slice(held..))
            .await
            .expect(201);
    }
    repository.expect_blob(blob).await;
}
