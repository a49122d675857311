//! Pushes, pulls, deletions, restores and a collection every second, all of the same few images at the same time.
//!
//! The contents are few, so that what one client deletes another one is about to rely on. No push may fail, no tag may
//! ever miss a part of its image, and nothing is left over in the end.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use wharf_testkit::{
    Client, Method, Repository, Server,
    image::{self, Blob, Image},
    json, run, store,
    suite::Suite,
    tool::Bench,
};

use crate::tree::binary;

const PUSHERS: u64 = 8;
const READERS: u64 = 3;
const REPOSITORIES: u64 = 3;
const TAGS: u64 = 5;
/// `collect.grace`.
const GRACE: Duration = Duration::from_secs(2);
/// How many layers there are in all.
const LAYERS: u64 = 12;

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test(
        "nothing_is_lost_while_garbage_is_collected_every_second",
        &[],
        || {
            run(churn(duration()));
        },
    );
}

/// A minute; `WHARF_CHURN_SECONDS` says otherwise.
fn duration() -> Duration {
    let seconds = std::env::var("WHARF_CHURN_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(60))
}

/// Numbers that are the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// What the clients have done.
#[derive(Default)]
struct Counts {
    pushes: AtomicU64,
    pulls: AtomicU64,
    deletions: AtomicU64,
    restores: AtomicU64,
}

/// One of the few images.
fn any_image(random: &mut Random) -> Image {
    let layer =
        |number: u64| Blob::random(number, 2048).of_type("application/vnd.oci.image.layer.v1.tar+gzip");
    let layers = vec![layer(random.below(LAYERS)), layer(random.below(LAYERS))];
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","variant":"{}"}}"#,
        random.below(4)
    );
    let config = Blob::new("application/vnd.oci.image.config.v1+json", config.into_bytes());
    image::image("application/vnd.oci.image.manifest.v1+json", config, layers)
}

async fn churn(duration: Duration) {
    let bench = Bench::new();
    let data = bench.path("data").display().to_string();
    fs::create_dir(bench.path("data")).unwrap();
    let mut server = Server::builder(binary().to_str().unwrap())
        .config("trash: {retention: 3s}")
        .config("collect: {grace: 2s, interval: 1s}")
        .unchecked()
        .environment("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", &data)
        .start();
    let client = server.anonymous();
    let (counts, ended) = (Arc::new(Counts::default()), Arc::new(AtomicBool::new(false)));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..PUSHERS {
        tasks.spawn(push(
            client.clone(),
            Random(7 + number),
            Arc::clone(&counts),
            Arc::clone(&ended),
        ));
    }
    for number in 0..READERS {
        tasks.spawn(pull(
            client.clone(),
            Random(77 + number),
            Arc::clone(&counts),
            Arc::clone(&ended),
        ));
    }
    tasks.spawn(delete(
        client.clone(),
        Random(777),
        Arc::clone(&counts),
        Arc::clone(&ended),
    ));
    tasks.spawn(restore(
        client.clone(),
        Random(778),
        Arc::clone(&counts),
        Arc::clone(&ended),
    ));
    let begun = Instant::now();
    while begun.elapsed() < duration {
        tokio::time::sleep(Duration::from_millis(100)).await;
        // A client that fails ends the test at once.
        if let Some(failed) = tasks.try_join_next() {
            failed.unwrap();
            panic!("a client ended early");
        }
    }
    ended.store(true, SeqCst);
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    for (what, count) in [
        ("pushes", &counts.pushes),
        ("pulls", &counts.pulls),
        ("deletions", &counts.deletions),
        ("restores", &counts.restores),
    ] {
        assert!(count.load(SeqCst) > 0, "no {what}");
    }
    assert!(
        server.log().contains("collected garbage"),
        "nothing was ever collected"
    );

    // What is left goes when the trash lets go of it and the grace period is over.
    let binary = binary();
    let gc = ["gc", "--config", "config.yml"];
    let text = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {data}}}}}\ntrash: {{retention: 3s}}\ncollect: {{grace: 2s}}\n"
    );
    bench.write("config.yml", &text);
    tokio::time::sleep(Duration::from_secs(5)).await;
    for _ in 0..2 {
        let ran = bench.try_run(binary.to_str().unwrap(), &gc);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    server.stop();
    let report = store::check(&bench.path("data"), store::Rules::default());
    assert_eq!(report.problems, Vec::<String>::new());
    let ran = bench.try_run(
        binary.to_str().unwrap(),
        &["garbage-collect", "--dry-run", "config.yml"],
    );
    assert!(
        ran.stdout
            .contains(" 0 blobs and 0 manifests eligible for deletion"),
        "{ran:?}"
    );
}

/// Pushes as docker does: what the registry has is not sent.
async fn push(client: Client, mut random: Random, counts: Arc<Counts>, ended: Arc<AtomicBool>) {
    while !ended.load(SeqCst) {
        let repository = client.repository(&format!("app{}", random.below(REPOSITORIES)));
        let image = any_image(&mut random);
        let begun = Instant::now();
        for blob in &image.blobs {
            let there = repository.head_blob(&blob.digest).await;
            match there.status.as_u16() {
                200 => {}
                404 => repository.push_blob(blob).await,
                _ => panic!("{there}"),
            }
        }
        let tag = format!("t{}", random.below(TAGS));
        let answer = repository.put_manifest(&tag, &image.manifest).await;
        match answer.status.as_u16() {
            201 => {
                counts.pushes.fetch_add(1, SeqCst);
            }
            // What was there at the first look is kept for the grace period, and this machine may be slow.
            400 if begun.elapsed() >= GRACE => {}
            _ => panic!("{answer}"),
        }
    }
}

/// Pulls every part of what a tag points at. Parts may be gone only if the tag is gone, or points elsewhere.
async fn pull(client: Client, mut random: Random, counts: Arc<Counts>, ended: Arc<AtomicBool>) {
    while !ended.load(SeqCst) {
        let repository = client.repository(&format!("app{}", random.below(REPOSITORIES)));
        let tag = format!("t{}", random.below(TAGS));
        let answer = repository.get_manifest(&tag).await;
        if answer.status.as_u16() == 404 {
            continue;
        }
        let answer = answer.expect(200);
        let (digest, manifest) = (answer.header("docker-content-digest").to_owned(), answer.json());
        let layers = manifest["layers"].as_array().unwrap().iter();
        for part in layers.chain([&manifest["config"]]) {
            let part = part["digest"].as_str().unwrap();
            let bytes = repository.get_blob(part).await;
            if bytes.status.as_u16() == 200 {
                assert_eq!(wharf_testkit::digest::sha256(&bytes.body), part);
                continue;
            }
            require_moved(&repository, &tag, &digest, part).await;
            break;
        }
        counts.pulls.fetch_add(1, SeqCst);
    }
}

/// Fails if `tag` points at `digest` and lacks `part`. It may have been deleted, and pushed again, since it was pulled.
async fn require_moved(repository: &Repository, tag: &str, digest: &str, part: &str) {
    for _ in 0..3 {
        let now = repository.head_manifest(tag).await;
        if now.status.as_u16() != 200 || now.header("docker-content-digest") != digest {
            return;
        }
        if repository.head_blob(part).await.status.as_u16() == 200 {
            return;
        }
    }
    panic!("{tag} points at {digest}, which lacks {part}");
}

/// Deletes tags, and manifests with all their tags.
async fn delete(client: Client, mut random: Random, counts: Arc<Counts>, ended: Arc<AtomicBool>) {
    while !ended.load(SeqCst) {
        let repository = client.repository(&format!("app{}", random.below(REPOSITORIES)));
        let tag = format!("t{}", random.below(TAGS));
        let reference = match random.below(3) {
            0 => tag,
            _ => {
                let found = repository.head_manifest(&tag).await;
                match found.status.as_u16() {
                    200 => found.header("docker-content-digest").to_owned(),
                    _ => continue,
                }
            }
        };
        let answer = repository.delete_manifest(&reference).await;
        match answer.status.as_u16() {
            202 => {
                counts.deletions.fetch_add(1, SeqCst);
            }
            // It was deleted by its digest in between, or pushed over and over.
            404 | 503 => {}
            _ => panic!("{answer}"),
        }
        tokio::time::sleep(Duration::from_millis(random.below(20))).await;
    }
}

/// Lets tags go back to manifests of their histories, which may be gone.
async fn restore(client: Client, mut random: Random, counts: Arc<Counts>, ended: Arc<AtomicBool>) {
    while !ended.load(SeqCst) {
        let place = format!(
            "repository=app{}&tag=t{}",
            random.below(REPOSITORIES),
            random.below(TAGS)
        );
        let history = client.get(&format!("/api/v1/tags/history?{place}")).await;
        if history.status.as_u16() != 200 {
            continue;
        }
        let history = history.json();
        let entries = history["entries"].as_array().unwrap();
        let entry = &entries[usize::try_from(random.below(entries.len() as u64)).unwrap()];
        let answer = client
            .request(Method::POST, &format!("/api/v1/tags/restore?{place}"))
            .header("Content-Type", "application/json")
            .body(json!({"digest": entry["digest"]}).to_string())
            .await;
        match answer.status.as_u16() {
            200 => {
                counts.restores.fetch_add(1, SeqCst);
            }
            // The tag, the manifest or a part of it is gone.
            404 | 409 | 503 => {}
            _ => panic!("{answer}"),
        }
        tokio::time::sleep(Duration::from_millis(random.below(20))).await;
    }
}
