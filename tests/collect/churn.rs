//! Pushes, pulls, deletions, restores and a collection every second, all of the same few images at the same time: on a
//! directory, and through two servers on a bucket.
//!
//! The contents are few, so that what one client deletes another one is about to rely on. No push may fail, no tag may
//! ever miss a part of its image, and nothing is left over in the end.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use wharf_testkit::{
    Client, Launcher, Method, Repository, Server, StartInProcess,
    bucket::BucketStore,
    image::{self, Blob, Image},
    json, run, store,
    suite::{Part, Suite},
    tool::Bench,
};

use crate::{in_process, tree::binary};

const PUSHERS: u64 = 8;
const READERS: u64 = 3;
const REPOSITORIES: u64 = 3;
const TAGS: u64 = 5;
/// The settings of the servers; `collect.grace` is [`GRACE`].
const SETTINGS: [&str; 2] = ["trash: {retention: 3s}", "collect: {grace: 2s, interval: 1s}"];
const GRACE: Duration = Duration::from_secs(2);
/// For how long a bucket keeps what a client was told that it may rely on, at the quick pace: `Timing::QUICK` of the registry has
/// thirteen seconds, and the argument why so few are enough for a store of this machine.
const PINNED: Duration = Duration::from_secs(10);
/// Directory in the bucket.
const DIRECTORY: &str = "some/where";
/// How long garbage may be left in the bucket when nothing changes any more: some runs, of twenty seconds.
const LEFT: Duration = Duration::from_secs(240);
/// How many layers there are in all.
const LAYERS: u64 = 12;

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test(
        "nothing_is_lost_while_garbage_is_collected_every_second",
        &[],
        || run(on_a_directory(duration())),
    );
    suite.test(
        "nothing_is_lost_while_two_servers_collect_the_garbage_of_a_bucket",
        &[Part::Bucket],
        || run(on_a_bucket(duration())),
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

/// The registry under test, as its clients know it.
#[derive(Clone)]
struct Scene {
    /// A client of each server
    clients: Vec<Client>,
    /// For how long what a client was told to be there stays for it
    kept: Duration,
    counts: Arc<Counts>,
    ended: Arc<AtomicBool>,
}

impl Scene {
    fn new(servers: &[Server], kept: Duration) -> Self {
        Self {
            clients: servers.iter().map(Server::anonymous).collect(),
            kept,
            counts: Arc::default(),
            ended: Arc::default(),
        }
    }

    /// Any of the servers: a balancer sends each request to another one.
    fn client(&self, random: &mut Random) -> Client {
        let number = random.below(self.clients.len() as u64);
        self.clients[usize::try_from(number).unwrap()].clone()
    }

    fn repository(&self, random: &mut Random) -> Repository {
        let name = format!("app{}", random.below(REPOSITORIES));
        self.client(random).repository(&name)
    }

    /// Whether requests agree with a collector by times.
    fn is_shared(&self) -> bool {
        self.clients.len() > 1
    }

    fn goes_on(&self) -> bool {
        !self.ended.load(SeqCst)
    }

    /// Lets all clients do what they do for so long.
    async fn churn(&self, duration: Duration) {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..PUSHERS {
            tasks.spawn(push(self.clone(), Random(7 + number)));
        }
        for number in 0..READERS {
            tasks.spawn(pull(self.clone(), Random(77 + number)));
        }
        tasks.spawn(delete(self.clone(), Random(777)));
        tasks.spawn(restore(self.clone(), Random(778)));
        let begun = Instant::now();
        while begun.elapsed() < duration {
            tokio::time::sleep(Duration::from_millis(100)).await;
            // A client that fails ends the test at once.
            if let Some(failed) = tasks.try_join_next() {
                failed.unwrap();
                panic!("a client ended early");
            }
        }
        self.ended.store(true, SeqCst);
        while let Some(task) = tasks.join_next().await {
            task.unwrap();
        }
        for (what, count) in [
            ("pushes", &self.counts.pushes),
            ("pulls", &self.counts.pulls),
            ("deletions", &self.counts.deletions),
            ("restores", &self.counts.restores),
        ] {
            assert!(count.load(SeqCst) > 0, "no {what}");
        }
    }
}

async fn on_a_directory(duration: Duration) {
    let bench = Bench::new();
    let data = bench.path("data").display().to_string();
    fs::create_dir(bench.path("data")).unwrap();
    let builder = Server::builder(binary().to_str().unwrap())
        .unchecked()
        .environment("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", &data);
    let builder = SETTINGS
        .iter()
        .fold(builder, |builder, line| builder.config(*line));
    let mut servers = [builder.start()];
    Scene::new(&servers, GRACE).churn(duration).await;
    let [server] = &mut servers;
    assert!(
        server.log().contains("collected garbage"),
        "nothing was ever collected"
    );

    // What is left goes when the trash lets go of it and the grace period is over.
    let binary = binary();
    let gc = ["gc", "--config", "config.yml"];
    let text = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {data}}}}}\n{}\n",
        SETTINGS.join("\n")
    );
    bench.write("config.yml", &text);
    tokio::time::sleep(Duration::from_secs(5)).await;
    for _ in 0..2 {
        let ran = bench.try_run(binary.to_str().unwrap(), &gc);
        assert_eq!(ran.code, Some(0), "{ran:?}");
    }
    server.stop();
    require_nothing_but_what_is_needed(&bench, &bench.path("data"));
}

/// Fails if anything is missing in the tree at `root`, or left over in the store of `config.yml`.
fn require_nothing_but_what_is_needed(bench: &Bench, root: &Path) {
    let report = store::check(root, store::Rules::default());
    assert_eq!(report.problems, Vec::<String>::new());
    let ran = bench.try_run(
        binary().to_str().unwrap(),
        &["garbage-collect", "--dry-run", "config.yml"],
    );
    assert!(
        ran.stdout
            .contains(" 0 blobs and 0 manifests eligible for deletion"),
        "{ran:?}"
    );
}

/// Two servers in this process, which know of each other by the bucket alone.
async fn on_a_bucket(duration: Duration) {
    let bucket = BucketStore::start();
    let start: StartInProcess = |configuration, environment| {
        in_process::start(wharf::start_quickly(configuration, environment.iter().cloned()))
    };
    let servers: Vec<Server> = (0..2)
        .map(|_| {
            let builder = Server::builder(Launcher::InProcess(start))
                .bucket(&bucket, DIRECTORY)
                .storage("delete: {enabled: true}")
                .unchecked();
            let settings = SETTINGS.iter();
            settings
                .fold(builder, |builder, line| builder.config(*line))
                .start()
        })
        .collect();
    let scene = Scene::new(&servers, PINNED);
    let garbage = image::oci("garbage");
    let repository = scene.clients[0].repository("garbage");
    repository.push_image("latest", &garbage).await;
    let deleted = repository.delete_manifest(&garbage.manifest.digest).await;
    assert_eq!(deleted.status, 202, "{deleted:?}");
    scene.churn(duration).await;
    // What is left goes by itself, when the trash lets go of it and later runs confirm that nothing needs it.
    let bench = Bench::new();
    let lines = bucket.configuration(DIRECTORY);
    let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    bench.write(
        "config.yml",
        &format!("version: 0.1\nstorage:\n{lines}{}\n", SETTINGS.join("\n")),
    );
    let dry_run = ["garbage-collect", "--dry-run", "config.yml"];
    let begun = Instant::now();
    loop {
        let ran = bench.try_run(binary().to_str().unwrap(), &dry_run);
        if ran
            .stdout
            .contains(" 0 blobs and 0 manifests eligible for deletion")
        {
            break;
        }
        assert!(begun.elapsed() < LEFT, "{ran:?}");
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    for mut server in servers {
        server.stop();
    }
    let files = bucket.files_of(DIRECTORY);
    require_nothing_but_what_is_needed(&bench, files.root());
    for blob in &garbage.blobs {
        assert!(
            !store::blob_path(files.root(), &blob.digest).exists(),
            "nothing was ever collected"
        );
    }
}

/// Pushes as docker does: what the registry has is not sent.
async fn push(scene: Scene, mut random: Random) {
    while scene.goes_on() {
        let name = format!("app{}", random.below(REPOSITORIES));
        let image = any_image(&mut random);
        let begun = Instant::now();
        for blob in &image.blobs {
            push_blob(&scene, &name, blob, &mut random).await;
        }
        let tag = format!("t{}", random.below(TAGS));
        let repository = scene.client(&mut random).repository(&name);
        let answer = repository.put_manifest(&tag, &image.manifest).await;
        match answer.status.as_u16() {
            201 => {
                scene.counts.pushes.fetch_add(1, SeqCst);
            }
            // What was there at the first look is kept for some time, and this machine may be slow.
            400 if begun.elapsed() >= scene.kept => {}
            // What is checked against the collector of a bucket has seconds at this pace.
            503 if scene.is_shared() => {}
            _ => panic!("{answer}"),
        }
    }
}

/// Sends a blob, unless it is there.
async fn push_blob(scene: &Scene, name: &str, blob: &Blob, random: &mut Random) {
    loop {
        let repository = scene.client(random).repository(name);
        let there = repository.head_blob(&blob.digest).await;
        match there.status.as_u16() {
            200 => return,
            404 => {}
            _ => panic!("{there}"),
        }
        let location = repository.start_upload().await;
        let repository = scene.client(random).repository(name);
        let sent = repository
            .finish(&location, &blob.digest, blob.bytes.clone())
            .await;
        match sent.status.as_u16() {
            201 => return,
            503 if scene.is_shared() => {}
            _ => panic!("{sent}"),
        }
    }
}

/// Pulls every part of what a tag points at. Parts may be gone only if the tag is gone, or points elsewhere.
async fn pull(scene: Scene, mut random: Random) {
    while scene.goes_on() {
        let repository = scene.repository(&mut random);
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
        scene.counts.pulls.fetch_add(1, SeqCst);
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
async fn delete(scene: Scene, mut random: Random) {
    while scene.goes_on() {
        let repository = scene.repository(&mut random);
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
                scene.counts.deletions.fetch_add(1, SeqCst);
            }
            // It was deleted by its digest in between, or pushed over and over.
            404 | 503 => {}
            // Another server has pushed what needs it.
            409 if scene.is_shared() => {}
            _ => panic!("{answer}"),
        }
        tokio::time::sleep(Duration::from_millis(random.below(20))).await;
    }
}

/// Lets tags go back to manifests of their histories, which may be gone.
async fn restore(scene: Scene, mut random: Random) {
    while scene.goes_on() {
        let place = format!(
            "repository=app{}&tag=t{}",
            random.below(REPOSITORIES),
            random.below(TAGS)
        );
        let client = scene.client(&mut random);
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
                scene.counts.restores.fetch_add(1, SeqCst);
            }
            // The tag, the manifest or a part of it is gone.
            404 | 409 | 503 => {}
            _ => panic!("{answer}"),
        }
        tokio::time::sleep(Duration::from_millis(random.below(20))).await;
    }
}
