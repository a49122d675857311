//! Hostile ranges.

use wharf_testkit::{Repository, Server, image::Blob};

wharf_testkit::on_both_engines![
    numbers_that_overflow_do_no_harm,
    hundreds_of_ranges_are_answered_once,
    malformed_ranges_are_ignored,
    a_reversed_range_is_416,
    a_range_of_an_empty_blob_does_no_harm,
];

async fn pushed(server: &Server) -> (Repository, Blob) {
    let repository = server.anonymous().repository("a");
    let blob = Blob::random(1, 1000);
    repository.push_blob(&blob).await;
    (repository, blob)
}

/// "Range abuse (overflow, …)"
async fn numbers_that_overflow_do_no_harm(server: Server) {
    let (repository, blob) = pushed(&server).await;
    let get = |range: &str| {
        repository
            .get_blob(&blob.digest)
            .header("Range", range.to_owned())
    };
    for range in [
        "bytes=0-18446744073709551615",
        "bytes=0-99999999999999999999999999",
        "bytes=0-9223372036854775808",
    ] {
        let answer = get(range).await;
        assert!(matches!(answer.status.as_u16(), 200 | 206), "{answer}");
        answer.expect_body(&blob.bytes);
    }
    for range in ["bytes=-18446744073709551615", "bytes=-99999999999999999999999999"] {
        let answer = get(range).await;
        assert!(matches!(answer.status.as_u16(), 200 | 206), "{answer}");
        answer.expect_body(&blob.bytes);
    }
    for range in [
        "bytes=18446744073709551615-",
        "bytes=18446744073709551615-18446744073709551615",
        "bytes=99999999999999999999999999-",
    ] {
        let answer = get(range).await;
        assert!(matches!(answer.status.as_u16(), 200 | 416), "{answer}");
        if answer.status == 200 {
            answer.expect_body(&blob.bytes);
        }
    }
}

/// "Range abuse (…, hundreds of ranges)": never more bytes than the blob has.
async fn hundreds_of_ranges_are_answered_once(server: Server) {
    let (repository, blob) = pushed(&server).await;
    for (count, status) in [
        (2, 206),
        (10, 206),
        (500, 206),
        (1024, 206),
        (1025, 200),
        (5000, 200),
    ] {
        let ranges = vec!["0-999"; count].join(",");
        repository
            .get_blob(&blob.digest)
            .header("Range", format!("bytes={ranges}"))
            .await
            .expect(status)
            .expect_body(&blob.bytes);
    }
}

/// RFC 9110, 14.2: an invalid `Range` is ignored.
async fn malformed_ranges_are_ignored(server: Server) {
    let (repository, blob) = pushed(&server).await;
    for range in [
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes=1-2-3",
        "=",
        "bytes=0x1-2",
        "bytes=0-1,x",
        "bytes=0-1,5",
    ] {
        repository
            .get_blob(&blob.digest)
            .header("Range", range)
            .await
            .expect(200)
            .expect_body(&blob.bytes);
    }
}

/// RFC 9110, 14.1.1, calls it invalid and so to be ignored; registry:2 and its clients know it as 416.
async fn a_reversed_range_is_416(server: Server) {
    let (repository, blob) = pushed(&server).await;
    repository
        .get_blob(&blob.digest)
        .header("Range", "bytes=5-2")
        .await
        .expect(416);
    repository
        .get_blob(&blob.digest)
        .header("Range", "bytes=0-1,5-2")
        .await
        .expect(416);
}

async fn a_range_of_an_empty_blob_does_no_harm(server: Server) {
    let repository = server.anonymous().repository("a");
    let blob = Blob::random(1, 0);
    repository.push_blob(&blob).await;
    for range in ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=5-9"] {
        let answer = repository.get_blob(&blob.digest).header("Range", range).await;
        assert!(matches!(answer.status.as_u16(), 200 | 416), "{answer}");
    }
}
