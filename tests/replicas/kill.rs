//! `kill -9` of a replica at random, every second, under load: nothing that was acknowledged is lost, and each push that is
//! tried again succeeds.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use wharf_testkit::{
    Client, Repository, Unanswered,
    image::{self, Blob, Image},
    store,
    suite::Suite,
};

use crate::{NEEDS, replicas};

const REPLICAS: usize = 3;
const PUSHERS: u64 = 4;

/// How often a client tries a push again, as docker (5) and containerd do, and the wait before it.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(400);

/// After so many images the large blobs have the same content again. They are pushed to another repository then, so each is
/// sent, and the store does not grow with the time.
const CONTENTS: u64 = 64;

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test("kill_9_of_a_random_replica_every_second", &NEEDS, || {
        wharf_testkit::run(kill_9_of_a_random_replica_every_second());
    });
}

/// All that was acknowledged.
#[derive(Debug, Default)]
struct Book {
    /// Repository of each image.
    images: Vec<(String, Image)>,
    /// For each repository and tag, the digest that was acknowledged last: each has one pusher.
    tags: BTreeMap<(String, String), String>,
    /// Pushes that were begun again because a request was cut.
    retried: u64,
}

async fn kill_9_of_a_random_replica_every_second() {
    let seconds: u64 =
        std::env::var("WHARF_REPLICAS_SECONDS").map_or(60, |text| text.parse().expect("a number"));
    let mut replicas = replicas(REPLICAS, &[]);
    let (book, is_over) = (
        Arc::new(Mutex::new(Book::default())),
        Arc::new(AtomicBool::new(false)),
    );
    let seeds = Arc::new(AtomicU64::new(1));
    let pushers: Vec<_> = (0..PUSHERS)
        .map(|number| {
            let (book, is_over, seeds) = (Arc::clone(&book), Arc::clone(&is_over), Arc::clone(&seeds));
            let client = replicas.client();
            tokio::spawn(async move {
                while !is_over.load(Ordering::Relaxed) {
                    let seed = seeds.fetch_add(1, Ordering::Relaxed);
                    let name = format!("killed/pusher{number}/{}", seed / CONTENTS);
                    push(&client.repository(&name), seed, &book).await;
                }
            })
        })
        .collect();

    let mut noise = u64::from(std::process::id()) ^ 0x9e37_79b9_7f4a_7c15;
    let begun = Instant::now();
    let mut kills = 0_u64;
    while begun.elapsed() < Duration::from_secs(seconds)
        && !pushers.iter().any(tokio::task::JoinHandle::is_finished)
    {
        noise = noise
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let victim = usize::try_from((noise >> 33) % REPLICAS as u64).expect("a small number");
        tokio::time::sleep(Duration::from_millis(700 + (noise >> 40) % 600)).await;
        replicas.kill9(victim);
        kills += 1;
        // The others serve meanwhile.
        tokio::time::sleep(Duration::from_millis((noise >> 20) % 200)).await;
        replicas.start_again(victim);
    }
    is_over.store(true, Ordering::Relaxed);
    for pusher in pushers {
        pusher.await.expect("every push succeeds in the end");
    }

    let book = Arc::into_inner(book)
        .expect("the pushers have ended")
        .into_inner()
        .expect("no pusher panicked");
    println!(
        "survived {kills} kills: {} images acknowledged, {} pushes tried again",
        book.images.len(),
        book.retried
    );
    assert!(kills > 0 && book.images.len() > 10, "the test has tested nothing");
    let report = store::check(replicas.files().root(), store::Rules::default());
    assert!(
        report.problems.is_empty(),
        "the bucket is damaged:\n{}",
        report.problems.join("\n")
    );
    examine(&replicas.client(), &book).await;
    for server in replicas.servers() {
        let said = server.log();
        assert!(!said.contains("panicked"), "{said}");
    }
}

/// Pushes an image as a client does, until it is acknowledged.
async fn push(repository: &Repository, seed: u64, book: &Mutex<Book>) {
    let image = image::oci(seed);
    // Every eighth one has a layer of several parts, every fourth one is sent in chunks, small or of a part and more.
    let large = seed
        .is_multiple_of(8)
        .then(|| Blob::random((seed % CONTENTS) ^ 0xb16, 20 << 20));
    let chunked = seed.is_multiple_of(4).then(|| {
        let size = if seed.is_multiple_of(8) { 600_000 } else { 18 << 20 };
        Blob::random((seed % CONTENTS) ^ 0xc0ffee, size)
    });
    let tag = format!("t{}", seed % 3);
    let mut last = String::new();
    for attempt in 1..=ATTEMPTS {
        match try_push(repository, &tag, &image, large.as_ref(), chunked.as_ref()).await {
            Ok(()) => {
                let mut book = book.lock().expect("no pusher panicked");
                book.retried += u64::from(attempt > 1);
                book.tags
                    .insert((repository.name.clone(), tag), image.manifest.digest.clone());
                book.images.push((repository.name.clone(), image));
                return;
            }
            Err(why) => last = why,
        }
        tokio::time::sleep(PAUSE * attempt).await;
    }
    panic!("a push was tried {ATTEMPTS} times and failed: {last}");
}

async fn try_push(
    repository: &Repository,
    tag: &str,
    image: &Image,
    large: Option<&Blob>,
    chunked: Option<&Blob>,
) -> Result<(), String> {
    for blob in image.blobs.iter().chain(large) {
        push_blob(repository, blob).await?;
    }
    if let Some(blob) = chunked {
        push_in_chunks(repository, blob).await?;
    }
    accepted(
        repository.put_manifest(tag, &image.manifest).try_send().await,
        201,
    )
    .map(drop)
}

async fn push_blob(repository: &Repository, blob: &Blob) -> Result<(), String> {
    let head = repository.head_blob(&blob.digest).try_send().await;
    if head.as_ref().is_ok_and(|answer| answer.status == 200) {
        return Ok(());
    }
    accepted(head, 404)?;
    let location = begin(repository).await?;
    let finished = repository.finish(&location, &blob.digest, blob.bytes.clone());
    accepted(finished.try_send().await, 201).map(drop)
}

/// Sends a blob in three chunks. When a chunk is cut, the client asks how far the upload is, and goes on from there, at
/// whichever replica answers.
async fn push_in_chunks(repository: &Repository, blob: &Blob) -> Result<(), String> {
    let location = begin(repository).await?;
    let third = blob.bytes.len() / 3;
    let mut at = 0;
    let mut cuts = 0;
    while at < blob.bytes.len() {
        let end = (at + third + 1).min(blob.bytes.len());
        match repository
            .append(&location, blob.bytes.slice(at..end))
            .try_send()
            .await
        {
            Ok(answer) if answer.status == 202 => at = end,
            cut => {
                cuts += 1;
                if cuts > ATTEMPTS {
                    return accepted(cut, 202).map(drop);
                }
                tokio::time::sleep(PAUSE).await;
                at = resumed(repository, &location, at, end).await?;
            }
        }
    }
    let finished = repository.finish(&location, &blob.digest, "");
    accepted(finished.try_send().await, 201).map(drop)
}

/// Where an upload goes on: never before what was acknowledged, `at`, nor behind what was sent, `end`.
async fn resumed(repository: &Repository, location: &str, at: usize, end: usize) -> Result<usize, String> {
    let answer = accepted(repository.client().get(location).try_send().await, 204)?;
    let last = answer
        .strip_prefix("0-")
        .and_then(|last| last.parse::<usize>().ok());
    let held = match last.expect("a range") {
        0 => 0,
        last => last + 1,
    };
    assert!(
        (at..=end).contains(&held),
        "{at} bytes were acknowledged and {end} sent; {held} are held"
    );
    Ok(held)
}

async fn begin(repository: &Repository) -> Result<String, String> {
    let begun = repository
        .client()
        .post(&repository.uploads_path())
        .try_send()
        .await;
    match begun {
        Ok(answer) if answer.status == 202 => Ok(answer.location()),
        other => accepted(other, 202).map(|_| String::new()),
    }
}

/// The `Range` of an answer with this status. An answer of the balancer, or none, is a reason to try again; any other status is
/// a fault of the registry.
fn accepted(answer: Result<wharf_testkit::Answer, Unanswered>, status: u16) -> Result<String, String> {
    match answer {
        Ok(answer) if answer.status == status => Ok(answer
            .headers
            .get("range")
            .map_or_else(String::new, |range| range.to_str().unwrap_or_default().to_owned())),
        Ok(answer) if matches!(answer.status.as_u16(), 502..=504) => Err(format!("{answer}")),
        Ok(answer) => panic!("{status} was expected\n{answer}"),
        Err(why) => Err(format!("{why:?}")),
    }
}

/// Everything acknowledged is there, and each tag is where its pusher has put it last.
async fn examine(client: &Client, book: &Book) {
    for (name, image) in &book.images {
        client
            .repository(name)
            .pull_image(&image.manifest.digest, image)
            .await;
    }
    for ((name, tag), digest) in &book.tags {
        let answer = client.repository(name).head_manifest(tag).await.expect(200);
        assert_eq!(answer.header("docker-content-digest"), digest, "{name}:{tag}");
    }
}
