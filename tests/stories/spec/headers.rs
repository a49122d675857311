//! The headers of every answer, and their spelling.

use wharf_testkit::{
    Server, digest,
    image::{self, Blob},
};

wharf_testkit::on_both_engines![
    every_answer_says_which_api_it_is,
    header_names_are_in_title_case_on_http1,
    connection_close_is_honoured,
    requests_can_be_pipelined,
    a_body_is_not_asked_for_when_it_would_be_refused,
    expect_continue_is_answered,
    the_location_follows_the_host_of_the_request,
    http_1_0_is_answered,
];

async fn every_answer_says_which_api_it_is(server: Server) {
    let client = server.anonymous();
    let repository = client.repository("a");
    let image = image::oci(1);
    repository.push_image("latest", &image).await;
    let location = repository.start_upload().await;
    let answers = [
        client.get("/v2/").await.expect(200),
        client.get("/v2/_catalog").await.expect(200),
        client.get("/v2/a/tags/list").await.expect(200),
        client.get("/v2/a/manifests/latest").await.expect(200),
        client.head("/v2/a/manifests/latest").await.expect(200),
        client
            .get("/v2/a/manifests/latest")
            .header("If-None-Match", &image.manifest.digest)
            .await
            .expect(304),
        client.get("/v2/a/manifests/unknown").await.expect(404),
        repository.get_blob(&image.blobs[0].digest).await.expect(200),
        repository
            .get_blob(&image.blobs[0].digest)
            .header("Range", "bytes=1-2")
            .await
            .expect(206),
        repository
            .get_blob(&image.blobs[0].digest)
            .header("Range", "bytes=99999-")
            .await
            .expect(416),
        repository.get_blob(&digest::unknown(1)).await.expect(404),
        client.get(&location).await.expect(204),
        repository.append(&location, "x").await.expect(202),
        client.delete(&location).await.expect(204),
        client.get("/v2/a/referrers/sha256:x").await.expect(400),
        client.put("/v2/_catalog").await.expect(405),
        client.get("/v2/a/nonsense").await.expect(404),
    ];
    for answer in answers {
        answer.expect_header("docker-distribution-api-version", "registry/2.0");
    }
}

/// Scripts grep for `Docker-Content-Digest:` (requirement S4-47).
async fn header_names_are_in_title_case_on_http1(server: Server) {
    let repository = server.anonymous().repository("a");
    let image = image::oci(1);
    repository.push_image("latest", &image).await;
    let mut raw = server.raw().await;
    raw.send("HEAD /v2/a/manifests/latest HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    let head = raw.head().await.unwrap();
    for line in [
        format!("Docker-Content-Digest: {}\r\n", image.manifest.digest),
        "Docker-Distribution-Api-Version: registry/2.0\r\n".to_owned(),
        format!("Content-Type: {}\r\n", image::OCI_MANIFEST),
        format!("Content-Length: {}\r\n", image.manifest.bytes.len()),
    ] {
        assert!(head.contains(&line), "`{line}` was expected in\n{head}");
    }
    raw.send("POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        .await;
    let answer = raw.answer().await.expect(202);
    for name in ["Location: ", "Docker-Upload-Uuid: ", "Range: 0-0"] {
        // registry:2 spells it `Docker-Upload-UUID`; header names are not case-sensitive.
        let found = answer.head.lines().any(|line| {
            line.starts_with(name)
                || (name.starts_with("Docker-Upload") && line.starts_with("Docker-Upload-UUID: "))
        });
        assert!(found, "`{name}` was expected in\n{}", answer.head);
    }
}

/// S4-34.
async fn connection_close_is_honoured(server: Server) {
    let mut raw = server.raw().await;
    raw.send("GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    raw.answer().await.expect(200);
    assert_eq!(raw.closed().await, b"");
}

/// RFC 9112, 9.3.2.
async fn requests_can_be_pipelined(server: Server) {
    let repository = server.anonymous().repository("a");
    let blobs = [Blob::random(1, 10), Blob::random(2, 200_000), Blob::random(3, 30)];
    let mut requests = String::new();
    for blob in &blobs {
        repository.push_blob(blob).await;
        requests += &format!(
            "GET {} HTTP/1.1\r\nHost: x\r\n\r\n",
            repository.blob_path(&blob.digest)
        );
    }
    let mut raw = server.raw().await;
    raw.send(requests).await;
    for blob in &blobs {
        assert!(
            raw.answer().await.expect(200).body == blob.bytes,
            "the answers came in another order"
        );
    }
}

/// RFC 9110, 10.1.1: a client that waits for `100 Continue` gets the refusal instead, and need not send the body.
async fn a_body_is_not_asked_for_when_it_would_be_refused(server: Server) {
    let mut raw = server.raw().await;
    raw.send(
        "PATCH /v2/a/blobs/uploads/8a0fd9a5-5a8e-4f1c-9d6b-0a4b8c1d2e3f HTTP/1.1\r\nHost: x\r\n\
         Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n",
    )
    .await;
    let answer = raw.answer().await;
    assert_eq!(answer.status, 404, "{}", answer.head);
}

async fn expect_continue_is_answered(server: Server) {
    let repository = server.anonymous().repository("a");
    let blob = Blob::random(1, 1000);
    let location = repository.start_upload().await;
    let mut raw = server.raw().await;
    raw.send(format!(
        "PUT {location}?digest={} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n",
        blob.digest
    ))
    .await;
    assert!(
        raw.stirs_within(wharf_testkit::PATIENCE).await,
        "no `100 Continue` came"
    );
    raw.send(&blob.bytes).await;
    raw.answer().await.expect(201);
    repository.expect_blob(&blob).await;
}

/// S0-10: behind a proxy, `Location` must lead back to where the client came from. A relative one
/// always does; an absolute one must name the host of the request.
async fn the_location_follows_the_host_of_the_request(server: Server) {
    let mut raw = server.raw().await;
    raw.send(
        "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: registry.example:5443\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let answer = raw.answer().await.expect(202);
    let location = answer.header("location").unwrap();
    let fits = location.starts_with("/v2/a/blobs/uploads/")
        || location.starts_with("http://registry.example:5443/v2/a/blobs/uploads/");
    assert!(fits, "{location}");
}

async fn http_1_0_is_answered(server: Server) {
    let mut raw = server.raw().await;
    raw.send("GET /v2/ HTTP/1.0\r\n\r\n").await;
    let text = String::from_utf8(raw.closed().await).unwrap();
    assert!(
        text.starts_with("HTTP/1.0 200") || text.starts_with("HTTP/1.1 200"),
        "{text}"
    );
    assert!(text.ends_with("{}\n") || text.ends_with("{}"), "{text}");
}
