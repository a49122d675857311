//! Faulty uploads: wrong order, concurrent requests, and clients that disconnect.

use std::{fs::File, os::unix::fs::MetadataExt as _};

use wharf_testkit::{
    Answer, Bytes, Engine, PATIENCE, RawConnection, Repository, Server, digest, eventually, image::Blob,
};

wharf_testkit::on_both_engines![
    replayed_and_overlapping_chunks_are_416,
    ranges_that_make_no_sense_are_refused,
    two_requests_at_once_on_one_upload_are_not_mixed,
    a_body_shorter_than_promised_stores_nothing_but_progress,
    a_client_that_vanishes_can_go_on,
    a_put_that_vanishes_can_be_repeated,
    a_put_that_breaks_off_half_way_leaves_the_upload_as_it_was,
    a_put_with_a_range_that_breaks_off_keeps_what_came,
    a_last_put_whose_answer_was_lost_is_answered_again,
    a_repeated_last_put_writes_the_link_again,
    an_upload_is_cancelled_once,
    a_cancel_during_a_patch_is_refused_or_ends_it,
    another_content_type_is_no_reason_to_lose_the_bytes,
    a_malformed_chunked_body_stores_no_blob,
    a_body_on_a_get_is_not_taken_for_the_next_request,
];

async fn start(server: &Server) -> (Repository, String) {
    let repository = server.anonymous().repository("kyo/my-image");
    let location = repository.start_upload().await;
    (repository, location)
}

/// "chunks out of order, replayed or overlapping (416, `Range` of what we hold)"
async fn replayed_and_overlapping_chunks_are_416(server: Server) {
    let (repository, location) = start(&server).await;
    let blob = Blob::random(1, 1000);
    let chunk = |start: usize, end: usize| {
        repository
            .append(&location, blob.bytes.slice(start..=end))
            .header("Content-Range", format!("{start}-{end}"))
    };
    chunk(0, 499).await.expect(202);
    for (start, end) in [(0, 499), (400, 899), (499, 998), (501, 999), (0, 0)] {
        chunk(start, end)
            .await
            .expect_error(416, "RANGE_INVALID")
            .expect_header("range", "0-499");
    }
    chunk(500, 999).await.expect(202).expect_header("range", "0-999");
    repository.finish(&location, &blob.digest, "").await.expect(201);
    repository.expect_blob(&blob).await;
}

async fn ranges_that_make_no_sense_are_refused(server: Server) {
    let (repository, location) = start(&server).await;
    for range in [
        "nonsense",
        "0-",
        "-5",
        "5",
        "0-99999999999999999999999999",
        "18446744073709551615-18446744073709551615",
        "0-18446744073709551615",
        "bytes */10",
        "bytes 0-",
        "0-9, 10-19",
        "9-0",
        "0x0-0x9",
    ] {
        let answer = repository
            .append(&location, "0123456789")
            .header("Content-Range", range)
            .await;
        assert!(matches!(answer.status.as_u16(), 400 | 416), "{range}\n{answer}");
        assert!(!answer.errors().is_empty(), "{answer}");
    }
    // None of them has left anything.
    repository
        .client()
        .get(&location)
        .await
        .expect(204)
        .expect_header("range", "0-0");
    repository
        .finish(&location, &Blob::new("", "x").digest, "x")
        .await
        .expect(201);
}

/// "two requests at once on one upload (exactly one wins, no mixture is ever stored)"
async fn two_requests_at_once_on_one_upload_are_not_mixed(server: Server) {
    let (repository, location) = start(&server).await;
    let blob = Blob::random(1, 100_000);
    let mut first = hold(&server, &format!("PATCH {location}"), 100_000).await;
    first.send(&blob.bytes[..50_000]).await;
    for answer in [
        repository
            .append(&location, Bytes::from_static(b"intruder"))
            .await,
        repository
            .finish(&location, &digest::unknown(1), "intruder")
            .await,
        repository.client().delete(&location).await,
    ] {
        answer.expect_error(409, "BLOB_UPLOAD_INVALID");
    }
    first.send(&blob.bytes[50_000..]).await;
    first.answer().await.expect(202);
    repository.finish(&location, &blob.digest, "").await.expect(201);
    repository.expect_blob(&blob).await;
}

/// Begins a request that holds its upload: the server asks for a body only once it does.
async fn hold(server: &Server, request: &str, length: usize) -> RawConnection {
    let mut raw = server.raw().await;
    raw.send(format!(
        "{request} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
    ))
    .await;
    assert!(
        raw.stirs_within(PATIENCE).await,
        "the server neither asks for the body nor refuses it"
    );
    raw
}

/// How many bytes the upload has, once the server has noticed that the client is gone.
async fn progress(repository: &Repository, location: &str) -> usize {
    eventually("the upload is free again", || async {
        repository.append(location, "").await.status == 202
    })
    .await;
    held(&repository.client().get(location).await.expect(204))
}

/// The number of bytes by `Range: 0-<last>`. No test here stops after exactly one byte, which looks like none.
fn held(answer: &Answer) -> usize {
    match answer
        .header("range")
        .strip_prefix("0-")
        .unwrap()
        .parse::<usize>()
        .unwrap()
    {
        0 => 0,
        last => last + 1,
    }
}

/// "body shorter than its Content-Length"
async fn a_body_shorter_than_promised_stores_nothing_but_progress(server: Server) {
    let (repository, location) = start(&server).await;
    let blob = Blob::random(1, 1000);
    let mut raw = hold(&server, &format!("PUT {location}?digest={}", blob.digest), 1000).await;
    raw.send(&blob.bytes[..999]).await;
    drop(raw);
    // Whatever has arrived is a prefix, and the upload can be ended with the rest.
    let held = progress(&repository, &location).await;
    assert!(held <= 999, "{held} bytes of 999");
    repository.head_blob(&blob.digest).await.expect(404);
    repository
        .finish(&location, &blob.digest, blob.bytes.slice(held..))
        .await
        .expect(201);
    repository.expect_blob(&blob).await;
}

/// "client gone half-way (upload resumable)"
async fn a_client_that_vanishes_can_go_on(server: Server) {
    let (repository, location) = start(&server).await;
    let blob = Blob::random(1, 2_000_000);
    repository
        .append(&location, blob.bytes.slice(..500_000))
        .await
        .expect(202);
    let mut raw = hold(&server, &format!("PATCH {location}"), 1_500_000).await;
    raw.send(&blob.bytes[500_000..1_200_000]).await;
    drop(raw);
    let held = progress(&repository, &location).await;
    assert!((500_000..=1_200_000).contains(&held), "{held}");
    repository
        .append(&location, blob.bytes.slice(held..))
        .header("Content-Range", format!("{held}-1999999"))
        .await
        .expect(202)
        .expect_header("range", "0-1999999");
    repository.finish(&location, &blob.digest, "").await.expect(201);
    repository.expect_blob(&blob).await;
}

/// The client sent everything, never saw the 201, and asks again: the blob is there, or what is
/// missing of it can be sent.
async fn a_put_that_vanishes_can_be_repeated(server: Server) {
    let (repository, location) = start(&server).await;
    let blob = Blob::random(1, 1000);
    let mut raw = hold(&server, &format!("PUT {location}?digest={}", blob.digest), 1000).await;
    raw.send(&blob.bytes).await;
    drop(raw);
    eventually("the blob is there, or can be completed", || async {
        if repository.head_blob(&blob.digest).await.status == 200 {
            return true;
        }
        let status = repository.client().get(&location).await;
        if status.status == 404 {
            // It was published between the two questions.
            return false;
        }
        let rest = blob.bytes.slice(held(&status.expect(204))..);
        let answer = repository.finish(&location, &blob.digest, rest).await;
        assert!(matches!(answer.status.as_u16(), 201 | 404 | 409), "{answer}");
        answer.status == 201
    })
    .await;
    repository.expect_blob(&blob).await;
}

/// Go's transport, regctl and ollama send the same request again: what came of the first one does not count.
async fn a_put_that_breaks_off_half_way_leaves_the_upload_as_it_was(server: Server) {
    for before in [0, 300_000] {
        let (repository, location) = start(&server).await;
        let blob = Blob::random(before as u64, 1_000_000);
        if before > 0 {
            repository
                .append(&location, blob.bytes.slice(..before))
                .await
                .expect(202);
        }
        let put = format!("PUT {location}?digest={}", blob.digest);
        let mut raw = hold(&server, &put, 1_000_000 - before).await;
        raw.send(&blob.bytes[before..800_000]).await;
        drop(raw);
        let held = progress(&repository, &location).await;
        assert_eq!(held, before, "the upload is as it was before the request");
        repository
            .finish(&location, &blob.digest, blob.bytes.slice(before..))
            .await
            .expect(201);
        repository.expect_blob(&blob).await;
    }
}

/// A range says where the bytes belong, so the client can go on after those that came.
async fn a_put_with_a_range_that_breaks_off_keeps_what_came(server: Server) {
    let (repository, location) = start(&server).await;
    let blob = Blob::random(1, 1_000_000);
    let put = format!("PUT {location}?digest={}", blob.digest);
    let mut raw = server.raw().await;
    raw.send(format!(
        "{put} HTTP/1.1\r\nHost: x\r\nContent-Range: 0-999999\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n"
    ))
    .await;
    assert!(raw.stirs_within(PATIENCE).await, "the server asks for the body");
    raw.send(&blob.bytes[..900_000]).await;
    drop(raw);
    let held = progress(&repository, &location).await;
    assert!(held > 0 && held <= 900_000, "{held} bytes of 900,000");
    repository
        .finish(&location, &blob.digest, blob.bytes.slice(held..))
        .await
        .expect(201);
    repository.expect_blob(&blob).await;
}

/// The first answer was lost, so the client sends the request again, and the upload is gone.
async fn a_last_put_whose_answer_was_lost_is_answered_again(server: Server) {
    let (repository, location) = start(&server).await;
    let (blob, other) = (Blob::random(1, 100_000), Blob::random(2, 100));
    for body in [blob.bytes.clone(), blob.bytes.clone(), Bytes::new()] {
        let answer = repository
            .finish(&location, &blob.digest, body)
            .await
            .expect(201)
            .expect_header("docker-content-digest", &blob.digest);
        assert_eq!(answer.location(), repository.blob_path(&blob.digest), "{answer}");
    }
    repository.expect_blob(&blob).await;

    // Nothing of that is true of another blob, of another repository, or of a chunk.
    repository
        .finish(&location, &other.digest, other.bytes.clone())
        .await
        .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    let elsewhere = location.replace("kyo/my-image", "kyo/another");
    repository
        .finish(&elsewhere, &blob.digest, "")
        .await
        .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    repository
        .append(&location, "more")
        .await
        .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}

/// A link that can be read need not be durable: its sync may have failed, or not have ended yet.
async fn a_repeated_last_put_writes_the_link_again(server: Server) {
    if server.engine() != Engine::Filesystem {
        // A bucket shows nothing that is not durable.
        return;
    }
    let (repository, location) = start(&server).await;
    let blob = Blob::random(1, 1000);
    repository
        .finish(&location, &blob.digest, blob.bytes.clone())
        .await
        .expect(201);
    let link = format!(
        "repositories/kyo/my-image/_layers/{}/link",
        blob.digest.replace(':', "/")
    );
    let link = server.tree().join(link);
    let first = File::open(&link).unwrap();
    repository.finish(&location, &blob.digest, "").await.expect(201);
    let inode = |file: &File| file.metadata().unwrap().ino();
    // The first file is open, so that no other one gets its number.
    assert_ne!(inode(&first), inode(&File::open(&link).unwrap()));
}

async fn an_upload_is_cancelled_once(server: Server) {
    let (repository, location) = start(&server).await;
    repository.client().delete(&location).await.expect(204);
    repository
        .client()
        .delete(&location)
        .await
        .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}

async fn a_cancel_during_a_patch_is_refused_or_ends_it(server: Server) {
    let (repository, location) = start(&server).await;
    let mut raw = hold(&server, &format!("PATCH {location}"), 100).await;
    raw.send("0123456789").await;
    let answer = repository.client().delete(&location).await;
    assert!(matches!(answer.status.as_u16(), 204 | 409), "{answer}");
    drop(raw);
    eventually("the upload can be cancelled", || async {
        matches!(
            repository.client().delete(&location).await.status.as_u16(),
            204 | 404
        )
    })
    .await;
    repository.client().get(&location).await.expect(404);
}

/// registry:2 answers 500 here.
async fn another_content_type_is_no_reason_to_lose_the_bytes(server: Server) {
    let (repository, location) = start(&server).await;
    let client = repository.client();
    client
        .patch(&location)
        .header("Content-Type", "text/plain")
        .body("01234")
        .await
        .expect(202);
    client.patch(&location).body("56789").await.expect(202);
    repository
        .finish(&location, &Blob::new("", "0123456789").digest, "")
        .await
        .expect(201);
}

async fn a_malformed_chunked_body_stores_no_blob(server: Server) {
    let (repository, location) = start(&server).await;
    let blob = Blob::new("", "0123456789");
    let mut raw = server.raw().await;
    raw.send(format!(
        "PUT {location}?digest={} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\nzz\r\n56789\r\n0\r\n\r\n",
        blob.digest
    ))
    .await;
    if let Some(answer) = raw.try_answer().await {
        assert_eq!(answer.status, 400, "{}{}", answer.head, answer.text());
    }
    drop(raw);
    repository.head_blob(&blob.digest).await.expect(404);
    server.anonymous().get("/v2/").await.expect(200);
}

/// No request smuggling: the body of one request never becomes another.
async fn a_body_on_a_get_is_not_taken_for_the_next_request(server: Server) {
    let inner = "DELETE /v2/a/manifests/latest HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut raw = RawConnection::open(server.address()).await;
    raw.send(format!(
        "GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{inner}",
        inner.len()
    ))
    .await;
    raw.send("GET /v2/_catalog HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    raw.answer().await.expect(200);
    if let Some(second) = raw.try_answer().await {
        assert!(
            second.text().contains("repositories"),
            "{}{}",
            second.head,
            second.text()
        );
    }

    // Both lengths at once: refused, or the connection ends (RFC 9112, 6.3).
    let mut raw = server.raw().await;
    raw.send(
        "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    )
    .await;
    if let Some(answer) = raw.try_answer().await {
        assert_eq!(answer.status, 400, "{}{}", answer.head, answer.text());
    }
}
