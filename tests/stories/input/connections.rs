//! Floods and slow clients: their connections and memory are released.

use std::time::Duration;

use wharf_testkit::{PATIENCE, RawConnection, Server, ServerBuilder, eventually, image::Blob};

wharf_testkit::on_both_engines![
    a_header_flood_is_refused,
    a_request_without_one_host_is_refused,
    a_transfer_encoding_beside_chunked_is_refused,
    too_many_headers_are_refused_with_a_text,
    a_header_that_is_too_long_is_refused,
    a_request_line_that_is_too_long_is_refused,
    what_is_not_http_is_refused,
    hundreds_of_idle_connections_do_not_starve_a_client,
];

wharf_testkit::configured_on_both_engines![
    slow_headers_lose_their_connection,
    a_slow_body_loses_its_connection_and_frees_the_upload,
    a_body_that_keeps_coming_is_not_slow,
    a_reader_may_pause_for_longer_than_a_sender,
    a_reader_that_has_gone_to_sleep_is_given_up_in_the_end,
];

/// Tells whether the server refused: an error, or no answer at all.
async fn refused(server: &Server, request: &str) {
    let mut raw = server.raw().await;
    // The server may close before it has read everything.
    raw.try_send(request).await.ok();
    if let Some(answer) = raw.try_answer().await {
        assert!(
            matches!(answer.status, 400 | 404 | 413 | 414 | 431),
            "{}{}",
            answer.head,
            answer.text()
        );
    }
    server.anonymous().get("/v2/").await.expect(200);
}

async fn a_header_flood_is_refused(server: Server) {
    let many: String = (0..10_000).map(|n| format!("X-Flood-{n}: {n}\r\n")).collect();
    refused(
        &server,
        &format!("GET /v2/nowhere HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
    )
    .await;
}

async fn a_request_without_one_host_is_refused(server: Server) {
    for hosts in ["", "Host: a\r\nHost: b\r\n"] {
        let mut raw = server.raw().await;
        raw.send(format!("GET /v2/ HTTP/1.1\r\n{hosts}\r\n")).await;
        let answer = raw.answer().await.expect(400);
        assert!(answer.text().contains("`Host`"), "{}", answer.text());
    }
    let mut raw = server.raw().await;
    raw.send("GET /v2/ HTTP/1.0\r\n\r\n").await;
    raw.answer().await.expect(200);
}

async fn a_transfer_encoding_beside_chunked_is_refused(server: Server) {
    let mut raw = server.raw().await;
    raw.send("POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n").await;
    let answer = raw.answer().await.expect(400);
    assert!(answer.text().contains("`Transfer-Encoding`"), "{}", answer.text());
    assert_eq!(answer.header("connection"), Some("close"));
}

async fn too_many_headers_are_refused_with_a_text(server: Server) {
    let many: String = (0..101).map(|n| format!("X-{n}: {n}\r\n")).collect();
    let mut raw = server.raw().await;
    raw.send(format!("GET /v2/ HTTP/1.1\r\nHost: x\r\n{many}\r\n"))
        .await;
    let answer = raw.answer().await.expect(431);
    assert!(
        answer.text().contains("more than 100 headers"),
        "{}",
        answer.text()
    );
}

async fn a_header_that_is_too_long_is_refused(server: Server) {
    let long = "x".repeat(2_000_000);
    refused(
        &server,
        &format!("GET /v2/nowhere HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n"),
    )
    .await;
}

async fn a_request_line_that_is_too_long_is_refused(server: Server) {
    let long = "x".repeat(2_000_000);
    refused(&server, &format!("GET /v2/{long} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
}

async fn what_is_not_http_is_refused(server: Server) {
    for bytes in [
        "\0\0\0\0\r\n\r\n",
        "hello\r\n\r\n",
        "GET\r\n\r\n",
        "GET /v2/ HTTP/9.9\r\n\r\n",
        "\u{16}\u{3}\u{1}\0\u{1}",
    ] {
        let mut raw = server.raw().await;
        raw.try_send(bytes).await.ok();
        drop(raw);
    }
    refused(
        &server,
        "GET /v2/nowhere HTTP/1.1\r\nHost: x\r\nBad Header: x\r\n\r\n",
    )
    .await;
    refused(
        &server,
        "GET /v2/nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: minus\r\n\r\n",
    )
    .await;
}

async fn hundreds_of_idle_connections_do_not_starve_a_client(server: Server) {
    let mut idle = Vec::new();
    for n in 0..300 {
        let Some(mut raw) = RawConnection::try_open(server.address()).await else {
            break;
        };
        if n % 2 == 0 {
            raw.try_send("GET /v2/ HTTP/1.1\r\nHo").await.ok();
        }
        idle.push(raw);
    }
    assert!(idle.len() > 100, "only {} connections were taken", idle.len());
    let repository = server.anonymous().repository("a");
    repository.push_image("v1", &wharf_testkit::image::oci(1)).await;
    repository.pull_image("v1", &wharf_testkit::image::oci(1)).await;
}

/// The usual ten seconds and one minute would make the tests slow.
fn impatient(builder: ServerBuilder) -> Server {
    builder.http("timeouts: {header: 300ms, idle: 600ms}").start()
}

async fn slow_headers_lose_their_connection(builder: ServerBuilder) {
    let server = impatient(builder);
    for beginning in [
        "",
        "G",
        "GET /v2/ HTTP/1.1\r\nHost: x\r\n",
        "GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    ] {
        let mut raw = server.raw().await;
        raw.send(beginning).await;
        // Ends only when the server closes; `closed` itself gives up after a minute.
        let said = raw.closed().await;
        let said = String::from_utf8_lossy(&said);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
    }
    server.anonymous().get("/v2/").await.expect(200);
}

async fn a_slow_body_loses_its_connection_and_frees_the_upload(builder: ServerBuilder) {
    let server = impatient(builder);
    let repository = server.anonymous().repository("a");
    let blob = Blob::random(1, 1000);
    let location = repository.start_upload().await;
    let mut raw = server.raw().await;
    raw.send(format!(
        "PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    ))
    .await;
    raw.send(&blob.bytes[..500]).await;
    let said = String::from_utf8_lossy(&raw.closed().await).into_owned();
    assert!(
        said.is_empty() || said.starts_with("HTTP/1.1 408") || said.starts_with("HTTP/1.1 400"),
        "{said}"
    );
    eventually("the upload is free again", || async {
        repository.append(&location, "").await.status == 202
    })
    .await;
    let answer = repository.client().get(&location).await.expect(204);
    let held = answer
        .header("range")
        .strip_prefix("0-")
        .unwrap()
        .parse::<usize>()
        .unwrap();
    let held = if held == 0 { 0 } else { held + 1 };
    repository
        .finish(&location, &blob.digest, blob.bytes.slice(held..))
        .await
        .expect(201);
    repository.expect_blob(&blob).await;
}

/// The time-out counts since the last byte, not since the first: a slow line is allowed.
async fn a_body_that_keeps_coming_is_not_slow(builder: ServerBuilder) {
    let server = impatient(builder);
    let repository = server.anonymous().repository("a");
    let blob = Blob::random(1, 10);
    let location = repository.start_upload().await;
    let mut raw = server.raw().await;
    let target = format!("{location}?digest={}", blob.digest);
    raw.send(format!(
        "PUT {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
    ))
    .await;
    for byte in &blob.bytes {
        tokio::time::sleep(Duration::from_millis(150)).await;
        raw.send([*byte]).await;
    }
    assert!(raw.stirs_within(PATIENCE).await);
    raw.answer().await.expect(201);
}

/// More than the buffers of two sockets hold.
fn large() -> Blob {
    Blob::random(1, 32 << 20)
}

/// A connection that asked for a blob of more than the buffers hold, and has not read of the answer.
async fn asked_for_much(server: &Server) -> (Blob, RawConnection) {
    let repository = server.anonymous().repository("a");
    let blob = large();
    repository.push_blob(&blob).await;
    let mut raw = server.raw().await;
    let target = repository.blob_path(&blob.digest);
    raw.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"))
        .await;
    (blob, raw)
}

async fn a_reader_may_pause_for_longer_than_a_sender(builder: ServerBuilder) {
    let server = impatient(builder);
    let (blob, mut raw) = asked_for_much(&server).await;
    // Three times as long as a sender may pause.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let answer = raw.answer().await.expect(200);
    assert!(answer.body == blob.bytes, "{} bytes came", answer.body.len());
}

async fn a_reader_that_has_gone_to_sleep_is_given_up_in_the_end(builder: ServerBuilder) {
    let server = builder.http("timeouts: {header: 300ms, answer: 300ms}").start();
    let (blob, raw) = asked_for_much(&server).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let came = raw.closed().await.len();
    assert!(came < blob.bytes.len(), "{came}");
}
