//! HTTP/2 streams whose answers are not read, and bodies that wait for a password check.

use wharf_testkit::{
    Bytes, Client, Http2Connection, Http2Stream, Method, Server, ServerBuilder, basic, eventually,
    image::{Blob, Manifest},
    json,
    suite::Suite,
};

use crate::{expect_end, expect_memory, expect_service, stories};

pub(crate) fn add_to(suite: &mut Suite) {
    stories!(
        suite,
        [
            streams_whose_window_stays_closed_hold_little_and_other_clients_are_served,
            bodies_that_come_before_a_password_check_are_bounded,
            a_stream_with_many_empty_headers_is_refused,
            large_manifests_that_no_client_takes_are_ended_for_others,
            small_answers_that_no_client_takes_are_charged,
            streams_that_are_held_after_their_answer_are_requests,
        ]
    );
}

/// Streams and connections of one attack; dropping it ends the attack.
struct Attack {
    _connections: Vec<Http2Connection>,
    streams: Vec<Http2Stream>,
}

async fn streams_whose_window_stays_closed_hold_little_and_other_clients_are_served(builder: ServerBuilder) {
    let server = builder.http("draintimeout: 1s").start();
    let repository = server.anonymous().repository("a");
    let blob = Blob::random(1, 4 << 20);
    repository.push_blob(&blob).await;
    for window in [0, 1, 100_000] {
        let mut attack = Attack {
            _connections: Vec::new(),
            streams: Vec::new(),
        };
        for _ in 0..40 {
            let mut connection = Http2Connection::open(server.address(), window).await;
            for _ in 0..100 {
                let target = repository.blob_path(&blob.digest);
                let stream = connection.begin(Method::GET, &target, Default::default(), false);
                attack.streams.extend(stream.await);
            }
            attack._connections.push(connection);
        }
        assert!(attack.streams.len() > 2000, "{}", attack.streams.len());
        expect_service(&server).await;
        repository
            .get_blob(&blob.digest)
            .await
            .expect(200)
            .expect_body(&blob.bytes);
        expect_memory(&server);
        if window == 100_000 {
            return expect_end(server).await;
        }
    }
}

async fn bodies_that_come_before_a_password_check_are_bounded(builder: ServerBuilder) {
    // A hash of cost 12, so that checks take long and requests wait for them.
    builder.write(
        "htpasswd",
        "alice:$2y$12$DrAEUS8Ej6B0PO9neuvGQ.cX5amhaGYVsr8U0B4xJL4rXWzuW1j4a\n",
    );
    let server = builder.htpasswd("htpasswd").http("draintimeout: 1s").start();
    let mut attack = Attack {
        _connections: Vec::new(),
        streams: Vec::new(),
    };
    let chunk = Bytes::from(vec![7; 1 << 20]);
    for number in 0..56 {
        let mut connection = Http2Connection::open(server.address(), 65_535).await;
        for stream in 0..100 {
            let mut headers = http_headers(number * 1000 + stream);
            headers.insert("content-type", "application/octet-stream".parse().unwrap());
            let stream = connection
                .begin(Method::POST, "/v2/a/blobs/uploads/", headers, true)
                .await;
            let Some(mut stream) = stream else { break };
            stream.send(chunk.clone(), false);
            attack.streams.push(stream);
        }
        attack._connections.push(connection);
    }
    server.anonymous().get("/v2/").await.expect(401);
    expect_memory(&server);
    expect_end(server).await;
}

/// Headers with a password of its own, so that no request joins the check of another one.
fn http_headers(number: u32) -> wharf_testkit::HeaderMap {
    let mut headers = wharf_testkit::HeaderMap::new();
    let credentials = basic("alice", &format!("guess {number}"));
    headers.insert("authorization", credentials.parse().unwrap());
    headers
}

async fn a_stream_with_many_empty_headers_is_refused(builder: ServerBuilder) {
    let server = builder.start();
    let mut connection = Http2Connection::open(server.address(), 65_535).await;
    for (count, expected) in [(90, 200), (1500, 431)] {
        let mut headers = wharf_testkit::HeaderMap::new();
        for _ in 0..count {
            headers.append("a", "".parse().unwrap());
        }
        let stream = connection.begin(Method::GET, "/v2/", headers, false).await;
        let status = stream.unwrap().status().await.unwrap();
        assert_eq!(status, expected, "{count} headers");
    }
    expect_end(server).await;
}

/// How much of a share of the budget is used.
async fn used(server: &Server, share: &str) -> u64 {
    const PORT: &str = "debug server listening ";
    eventually("the second port is named", async || server.log().contains(PORT)).await;
    let log = server.log();
    let address = log.split(PORT).nth(1).unwrap();
    let address = address.split('"').next().unwrap().parse().unwrap();
    let page = Client::http1(address).get("/metrics").await.expect(200);
    let start = format!("wharf_budget_used{{share=\"{share}\"}} ");
    let text = page.text();
    let line = text.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap().parse().unwrap()
}

const WATCHED: &str = "debug: {addr: '127.0.0.1:0', prometheus: {enabled: true}}";

async fn small_answers_that_no_client_takes_are_charged(builder: ServerBuilder) {
    let server = builder.http(WATCHED).http("draintimeout: 1s").start();
    let mut connection = Http2Connection::open(server.address(), 0).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let unknown = connection.begin(Method::GET, "/v2/a/manifests/1", Default::default(), false);
        streams.push(unknown.await.unwrap());
    }
    // An error of the API has about a hundred bytes.
    eventually("the answers are charged", async || {
        used(&server, "transfers").await >= 20 * 64
    })
    .await;
    drop((streams, connection));
    eventually("nothing is charged", async || {
        used(&server, "transfers").await == 0
    })
    .await;
    expect_end(server).await;
}

async fn streams_that_are_held_after_their_answer_are_requests(builder: ServerBuilder) {
    let server = builder.http(WATCHED).http("draintimeout: 1s").start();
    let mut connection = Http2Connection::open(server.address(), 65_535).await;
    let (mut streams, mut held) = (Vec::new(), 0);
    // Each is held for a second only, which may be over before the metrics are read.
    while held == 0 && streams.len() < 50 {
        let refused = connection.begin(
            Method::POST,
            "/v2/INVALID/blobs/uploads/",
            Default::default(),
            true,
        );
        let mut stream = refused.await.unwrap();
        assert_eq!(stream.status().await.unwrap(), 400);
        streams.push(stream);
        held = used(&server, "requests").await;
    }
    assert!(held > 0, "a stream that is held is a request");
    eventually("none is held for long", async || {
        used(&server, "requests").await == 0
    })
    .await;
    expect_end(server).await;
}

/// Of the 4 MiB for answers in memory, one such manifest takes more than half.
async fn large_manifests_that_no_client_takes_are_ended_for_others(builder: ServerBuilder) {
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";

    let server = builder.http("limits: {transfers: 8388608}").start();
    let repository = server.anonymous().repository("a");
    let padding = "x".repeat(3 << 20);
    let manifest = Manifest::new(
        INDEX,
        &json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [], "annotations": { "padding": padding } }),
    );
    repository.put_manifest("1", &manifest).await.expect(201);
    for window in [0, 100_000] {
        let mut connection = Http2Connection::open(server.address(), window).await;
        let target = repository.manifest_path("1");
        let stream = connection.begin(Method::GET, &target, Default::default(), false);
        let mut stream = stream.await.unwrap();
        assert_eq!(stream.status().await.unwrap(), 200);
        repository
            .get_manifest("1")
            .await
            .expect(200)
            .expect_body(&manifest.bytes);
    }
    expect_end(server).await;
}
