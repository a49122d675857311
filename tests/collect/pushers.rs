//! A9: eight clients push for a minute while garbage is collected twenty times, by `wharf gc` and by `garbage-collect`.

use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use wharf_testkit::{
    Client, Server, eventually,
    image::{self, Blob, Image},
    run, store,
    suite::Suite,
    tool::Bench,
};

use crate::tree::binary;

const PUSHERS: u64 = 8;
const COLLECTIONS: u32 = 20;
/// How many layers there are in all, besides those of each image alone.
const LAYERS: u64 = 12;

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test("a9_eight_pushers_beside_twenty_collections", &[], || {
        run(pushers());
    });
}

/// What the pushers have pushed: repository, tag and image.
type Pushed = Arc<Mutex<Vec<(String, String, Image)>>>;

async fn pushers() {
    let bench = Bench::new();
    let data = bench.path("data").display().to_string();
    fs::create_dir(bench.path("data")).unwrap();
    let text = format!(
        "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {data}}}}}\ntrash: {{retention: 0}}\ncollect: {{grace: 2s}}\n"
    );
    bench.write("config.yml", &text);
    let mut server = Server::builder(binary().to_str().unwrap())
        .config("trash: {retention: 0}")
        .config("collect: {enabled: false, grace: 2s}")
        .unchecked()
        .environment("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", &data)
        .start();
    let (pushed, ended) = (Pushed::default(), Arc::new(AtomicBool::new(false)));
    let numbers = Arc::new(AtomicU64::new(1));
    let mut clients = tokio::task::JoinSet::new();
    for pusher in 0..PUSHERS {
        let repository = format!("team/app{pusher}");
        let shared = (Arc::clone(&pushed), Arc::clone(&numbers), Arc::clone(&ended));
        clients.spawn(push(server.anonymous(), repository, shared));
    }
    clients.spawn(litter(
        server.anonymous(),
        Arc::clone(&numbers),
        Arc::clone(&ended),
    ));

    let binary = binary();
    let collect = |words: &[&str]| {
        let ran = bench.try_run(binary.to_str().unwrap(), words);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stdout
    };
    let mut freed = 0;
    let mut pauses = tokio::time::interval(duration() / COLLECTIONS);
    for number in 1..=COLLECTIONS {
        pauses.tick().await;
        // A second process beside the server, with the data directory of the server, leaves the work to it.
        if number % 5 == 0 {
            collect(&["garbage-collect", "config.yml"]);
        } else {
            let told = collect(&["gc", "--config", "config.yml", "--json"]);
            let told: serde_json::Value = serde_json::from_str(&told).unwrap();
            freed += told["removed"]["blobs"].as_u64().unwrap();
        }
        if let Some(failed) = clients.try_join_next() {
            failed.unwrap();
            panic!("a client ended early");
        }
    }
    ended.store(true, SeqCst);
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    assert!(freed > 0, "nothing was ever collected");

    let pushed = std::mem::take(&mut *pushed.lock().unwrap());
    assert!(pushed.len() > 100, "{} images were pushed", pushed.len());
    for (repository, tag, image) in &pushed {
        server
            .anonymous()
            .repository(repository)
            .pull_image(tag, image)
            .await;
    }
    pushed_again(&server, &bench, &collect).await;
    server.stop();
    let report = store::check(&bench.path("data"), store::Rules::default());
    assert_eq!(report.problems, Vec::<String>::new());
}

/// What was collected, and is pushed again, is really there.
async fn pushed_again(server: &Server, bench: &Bench, collect: &dyn Fn(&[&str]) -> String) {
    let repository = server.anonymous().repository("litter");
    let image = image_of(0);
    repository.push_image("again", &image).await;
    repository
        .delete_manifest(&image.manifest.digest)
        .await
        .expect(202);
    let own = &image.blobs[3];
    let is_stored = || store::blob_path(&bench.path("data"), &own.digest).exists();
    eventually("the grace period is over and it is collected", || async {
        collect(&["gc", "--config", "config.yml"]);
        !is_stored()
    })
    .await;
    repository.head_blob(&own.digest).await.expect(404);
    repository.push_image("again", &image).await;
    assert!(is_stored());
    repository.head_blob(&own.digest).await.expect(200);
    repository.pull_image("again", &image).await;
}

/// A minute; `WHARF_CHURN_SECONDS` says otherwise.
fn duration() -> Duration {
    let seconds = std::env::var("WHARF_CHURN_SECONDS").ok();
    Duration::from_secs(seconds.and_then(|text| text.parse().ok()).unwrap_or(60))
}

/// Pushes images as docker does, each with a tag of its own, one after the other. No push may fail.
async fn push(
    client: Client,
    repository: String,
    (pushed, numbers, ended): (Pushed, Arc<AtomicU64>, Arc<AtomicBool>),
) {
    while !ended.load(SeqCst) {
        let number = numbers.fetch_add(1, SeqCst);
        let (tag, image) = (format!("t{number}"), image_of(number));
        push_as_docker(&client, &repository, &tag, &image).await;
        pushed.lock().unwrap().push((repository.clone(), tag, image));
    }
}

async fn push_as_docker(client: &Client, repository: &str, tag: &str, image: &Image) {
    let repository = client.repository(repository);
    for blob in &image.blobs {
        if repository.head_blob(&blob.digest).await.status != 200 {
            repository.push_blob(blob).await;
        }
    }
    repository.push_manifest(tag, &image.manifest).await;
}

/// Pushes images of the same layers, and deletes them: what is garbage when nothing else needs it by then.
async fn litter(client: Client, numbers: Arc<AtomicU64>, ended: Arc<AtomicBool>) {
    while !ended.load(SeqCst) {
        let image = image_of(numbers.fetch_add(1, SeqCst));
        push_as_docker(&client, "litter", "moving", &image).await;
        let deleted = client
            .repository("litter")
            .delete_manifest(&image.manifest.digest);
        deleted.await.expect(202);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An image with two layers that others may have, one of its own, and a config of its own.
fn image_of(number: u64) -> Image {
    let layer =
        |number: u64| Blob::random(number, 2048).of_type("application/vnd.oci.image.layer.v1.tar+gzip");
    let layers = vec![
        layer(number % LAYERS),
        layer(number / LAYERS % LAYERS),
        layer(1_000_000 + number),
    ];
    let config = format!(r#"{{"architecture":"amd64","os":"linux","variant":"{number}"}}"#);
    let config = Blob::new("application/vnd.oci.image.config.v1+json", config.into_bytes());
    image::image("application/vnd.oci.image.manifest.v1+json", config, layers)
}
