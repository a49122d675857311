//! A server whose store has trouble: clients do not notice what passes, get a clear error of what stays, and lose nothing.

use std::time::Duration;

use wharf_testkit::{
    Client, Repository, Server,
    bucket::BucketStore,
    eventually,
    faults::{Fault, FaultProxy, Refusal, Which},
    image::{self, Blob, Image},
    store,
    suite::{Part, Suite},
};

const DIRECTORY: &str = "some/where";

/// The most that the server may hold while it sends parts again: the parts of all uploads take 96 MiB.
const MEMORY: u64 = 300 << 20;

pub(crate) fn add_to(suite: &mut Suite) {
    let needs = [Part::Bucket];
    suite.test("clients_do_not_notice_trouble_that_passes", &needs, || {
        wharf_testkit::run(clients_do_not_notice_trouble_that_passes());
    });
    suite.test("trouble_that_stays_is_a_clear_error", &needs, || {
        wharf_testkit::run(trouble_that_stays_is_a_clear_error());
    });
    suite.test("the_health_check_follows_the_bucket", &[Part::OwnBucket], || {
        wharf_testkit::run(the_health_check_follows_the_bucket());
    });
}

/// A server that reaches its bucket through a proxy. The server ends first.
struct Troubled {
    server: Server,
    proxy: FaultProxy,
    store: BucketStore,
}

impl Troubled {
    fn start() -> Self {
        let store = BucketStore::of_this_run();
        let proxy = FaultProxy::start(store.address());
        let server = Server::builder(env!("CARGO_BIN_EXE_wharf"))
            .bucket_at(&store, &proxy.endpoint(), DIRECTORY)
            .storage("delete: {enabled: true}")
            .config("health: {storagedriver: {enabled: true, interval: 100ms, threshold: 1}}")
            .http("debug: {addr: '127.0.0.1:0', prometheus: {enabled: true}}")
            .start();
        Self { server, proxy, store }
    }

    fn repository(&self, name: &str) -> Repository {
        self.server.anonymous().repository(name)
    }

    /// A client of the debug port.
    fn watcher(&self) -> Client {
        let log = self.server.log();
        let (_, address) = log.split_once("debug server listening ").expect("a debug server");
        let end = address.find(|character: char| !character.is_ascii_digit() && !".:".contains(character));
        let address = &address[..end.unwrap_or(address.len())];
        Client::http1(address.parse().expect("an address"))
    }

    fn check_tree(&self) {
        let report = store::check(self.store.files_of(DIRECTORY).root(), store::Rules::default());
        let problems = report.problems.join("\n");
        assert!(report.problems.is_empty(), "the bucket is damaged:\n{problems}");
        let said = self.server.log();
        assert!(!said.contains("panicked"), "{said}");
    }
}

/// Every kind of request that pushes, pulls, lists and deletions make, as method and part of the target.
const KINDS: &[(&str, &str)] = &[
    ("GET", "/blobs/"),
    ("GET", "/_manifests/"),
    ("GET", "/_uploads/"),
    ("GET", "/_layers/"),
    ("GET", "list-type=2"),
    ("HEAD", ""),
    ("PUT", "/blobs/"),
    ("PUT", "/_manifests/"),
    ("PUT", "/_layers/"),
    ("PUT", "/_uploads/"),
    ("PUT", "partNumber=1&"),
    ("PUT", "partNumber=2&"),
    ("POST", "uploads="),
    ("POST", "uploadId="),
    ("POST", "delete"),
    ("DELETE", ""),
];

async fn clients_do_not_notice_trouble_that_passes() {
    let troubled = Troubled::start();
    let faults = [
        ("500", Fault::Refuse(Refusal::new(500, "InternalError"))),
        ("slow-down", Fault::Refuse(Refusal::new(503, "SlowDown"))),
        ("reset", Fault::Reset),
        ("reset-after", Fault::ResetAfter),
        (
            "500-after",
            Fault::RefuseAfter(Refusal::new(500, "InternalError")),
        ),
        ("cut-request", Fault::CutRequest(500_000)),
        ("cut-answer", Fault::CutAnswer(70_000)),
    ];
    for (number, (name, fault)) in (1_u64..).zip(faults) {
        troubled.proxy.clear();
        for (method, containing) in KINDS {
            troubled
                .proxy
                .inject(Which::next(method, containing).times(2), fault);
        }
        let repository = troubled.repository(&format!("troubled/{name}"));
        let image = with_large_layer(number);
        push_in_chunks(&repository, &Blob::random(number ^ 0xc0ffee, 600_000)).await;
        repository.push_image("1", &image).await;
        repository.pull_image("1", &image).await;
        assert_eq!(repository.tags().await, ["1"], "{name}");
        let other = image::oci(format!("other {name}"));
        repository.push_image("2", &other).await;
        repository
            .delete_manifest(&other.manifest.digest)
            .await
            .expect(202);
        repository.get_manifest(&other.manifest.digest).await.expect(404);
        assert_eq!(repository.tags().await, ["1"], "{name}");
        let happened = troubled.proxy.happened();
        assert!(
            happened > 12,
            "{name}: {happened} faults: {:#?}",
            troubled.proxy.requests()
        );
    }
    troubled.proxy.clear();
    for (number, (name, _)) in (1_u64..).zip(faults) {
        let repository = troubled.repository(&format!("troubled/{name}"));
        repository.pull_image("1", &with_large_layer(number)).await;
    }
    let peak = troubled.server.peak_memory();
    assert!(peak < MEMORY, "the server held {} MiB", peak >> 20);
    let page = troubled.watcher().get("/metrics").await.expect(200).text();
    for line in [
        "wharf_s3_requests_total{operation=\"UploadPart\",outcome=\"5xx\"}",
        "wharf_s3_requests_total{operation=\"PutObject\",outcome=\"none\"}",
        "wharf_s3_repeats_total{operation=\"UploadPart\"}",
    ] {
        let found = page.lines().find_map(|found| found.strip_prefix(line));
        let count: f64 = found.map_or(0.0, |count| count.trim().parse().expect("a number"));
        assert!(count > 0.0, "{line}\n{page}");
    }
    troubled.check_tree();
}

/// The store answers nothing but 503. Each request ends in time, says so, and changes nothing that was acknowledged.
async fn trouble_that_stays_is_a_clear_error() {
    let troubled = Troubled::start();
    let repository = troubled.repository("troubled/long");
    let (image, more) = (image::oci("before"), image::oci("more"));
    repository.push_image("1", &image).await;
    repository.push_blobs(&more).await;
    let location = repository.start_upload().await;
    let slow_down = Fault::Refuse(Refusal::new(503, "SlowDown"));
    troubled.proxy.inject(Which::all(), slow_down);
    let blob = Blob::random(7, 20 << 20);
    let client = repository.client();
    let begun = tokio::time::Instant::now();
    let (get, head, list, put, start, finish, delete) = tokio::join!(
        repository.get_manifest("1"),
        repository.head_blob(&image.blobs[0].digest),
        client.get("/v2/troubled/long/tags/list"),
        repository.put_manifest("2", &more.manifest),
        client.post(&repository.uploads_path()),
        repository.finish(&location, &blob.digest, blob.bytes.clone()),
        repository.delete_manifest(&image.manifest.digest),
    );
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(50), "the requests took {took:?}");
    assert_eq!(head.status, 503, "{head}");
    for answer in [get, list, put, start, finish, delete] {
        let answer = answer.expect_error(503, "UNAVAILABLE");
        assert!(answer.headers.contains_key("retry-after"), "{answer}");
    }
    troubled.proxy.clear();
    eventually("the server is healthy again", async || {
        client.get("/v2/").await.status == 200
    })
    .await;
    // What failed succeeds when it is tried again.
    repository.pull_image("1", &image).await;
    repository.push_image("2", &more).await;
    repository.push_blob(&blob).await;
    repository.expect_blob(&blob).await;
    troubled.check_tree();
}

/// While the bucket is gone nothing is unknown, and when it is back all is as before, without a restart.
async fn the_health_check_follows_the_bucket() {
    let troubled = Troubled::start();
    let repository = troubled.repository("troubled/gone");
    let image = image::oci("gone");
    repository.push_image("1", &image).await;
    let watcher = troubled.watcher();
    watcher.get("/debug/health").await.expect(200);
    troubled.store.hide(true);
    for answer in [
        repository.get_manifest("1").await,
        repository.get_blob(&image.blobs[0].digest).await,
        repository.client().get("/v2/troubled/gone/tags/list").await,
        repository.client().get("/v2/_catalog").await,
        repository.put_manifest("2", &image.manifest).await,
        repository.client().post(&repository.uploads_path()).await,
        repository.delete_manifest(&image.manifest.digest).await,
    ] {
        assert_eq!(answer.status, 503, "{answer}");
    }
    eventually("the check fails", async || {
        watcher.get("/debug/health").await.status == 503
    })
    .await;
    let failing = watcher.get("/debug/health").await.json();
    let reason = failing["storagedriver_s3aws"].to_string();
    assert!(reason.contains("there is no bucket"), "{failing}");
    troubled.store.hide(false);
    eventually("the check succeeds", async || {
        watcher.get("/debug/health").await.status == 200
    })
    .await;
    repository.pull_image("1", &image).await;
    repository.push_image("2", &image::oci("back")).await;
    troubled.check_tree();
}

/// An image with a layer that takes three parts.
fn with_large_layer(seed: u64) -> Image {
    let image = image::oci(seed);
    let [config, layers @ ..] = &image.blobs[..] else {
        panic!("an image has a config");
    };
    let large = Blob::random(seed ^ 0xb16, 20 << 20).of_type("application/vnd.oci.image.layer.v1.tar");
    let layers = layers.iter().cloned().chain([large]).collect();
    image::image(&image.manifest.media_type, config.clone(), layers)
}

async fn push_in_chunks(repository: &Repository, blob: &Blob) {
    let mut location = repository.start_upload().await;
    let third = blob.bytes.len() / 3;
    for at in [0, third] {
        let appended = repository
            .append(&location, blob.bytes.slice(at..at + third))
            .await;
        location = appended.expect(202).location();
    }
    let rest = blob.bytes.slice(2 * third..);
    repository.finish(&location, &blob.digest, rest).await.expect(201);
    repository.expect_blob(blob).await;
}
