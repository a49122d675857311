//! Several ranges of a blob in one request: podman asks so for the parts of a layer that have changed.

use wharf_testkit::{Answer, Bytes, Repository, Server, image::Blob};

wharf_testkit::on_both_engines![
    several_ranges_are_parts_of_one_answer,
    the_parts_are_in_the_order_of_the_ranges,
    ranges_that_touch_stay_apart_and_those_that_overlap_are_one,
    ranges_of_which_one_can_be_satisfied_are_a_single_part,
    ranges_beyond_the_end_are_416,
    more_ranges_than_the_bound_give_the_whole,
    a_head_request_ignores_ranges,
    if_range_decides_whether_several_ranges_count,
];

async fn pushed(server: &Server, length: usize) -> (Repository, Blob) {
    let repository = server.anonymous().repository("app");
    let blob = Blob::random(1, length);
    repository.push_blob(&blob).await;
    (repository, blob)
}

async fn get(repository: &Repository, blob: &Blob, range: &str) -> Answer {
    repository.get_blob(&blob.digest).header("Range", range).await
}

/// The parts of an answer, each with its `Content-Range`; read by the boundary, as clients do.
fn parts(answer: &Answer) -> Vec<(String, Bytes)> {
    let boundary = answer
        .header("content-type")
        .strip_prefix("multipart/byteranges; boundary=");
    let boundary = boundary.unwrap_or_else(|| panic!("not in parts: {answer}"));
    assert!(boundary.len() <= 70, "{boundary}");
    let length = answer.header("content-length").parse::<usize>().unwrap();
    assert_eq!(length, answer.body.len(), "exactly what was announced");
    let delimiter = format!("\r\n--{boundary}");
    // The first delimiter has no line before it.
    let text: Vec<u8> = [b"\r\n", &answer.body[..]].concat();
    let mut places = positions(&text, delimiter.as_bytes());
    assert!(places.len() >= 2 && places[0] == 0, "{places:?}");
    let end = places.pop().unwrap();
    assert_eq!(&text[end..], format!("{delimiter}--\r\n").as_bytes());
    let ends = places[1..].iter().chain([&end]);
    places
        .iter()
        .zip(ends)
        .map(|(start, end)| part(&text[start + delimiter.len()..*end]))
        .collect()
}

fn part(text: &[u8]) -> (String, Bytes) {
    let blank = positions(text, b"\r\n\r\n")[0];
    let head = std::str::from_utf8(&text[..blank]).unwrap();
    assert!(
        head.contains("\r\nContent-Type: application/octet-stream"),
        "{head}"
    );
    let range = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Range: "))
        .unwrap();
    (range.to_owned(), Bytes::copy_from_slice(&text[blank + 4..]))
}

fn positions(text: &[u8], wanted: &[u8]) -> Vec<usize> {
    let windows = text.windows(wanted.len()).enumerate();
    windows
        .filter(|(_, window)| *window == wanted)
        .map(|(place, _)| place)
        .collect()
}

/// Checks that `range` is answered with exactly these parts of `blob`.
async fn gives(repository: &Repository, blob: &Blob, range: &str, expected: &[std::ops::Range<usize>]) {
    let answer = get(repository, blob, range)
        .await
        .expect(206)
        .expect_no_header("content-range");
    let answer = answer.expect_header("docker-content-digest", &blob.digest);
    let expected = expected.iter().map(|range| {
        let header = format!("bytes {}-{}/{}", range.start, range.end - 1, blob.bytes.len());
        (header, blob.bytes.slice(range.clone()))
    });
    assert_eq!(parts(&answer), expected.collect::<Vec<_>>(), "{range}");
}

/// "bytes=0-9,50000-50009", beyond what one read of the store gives.
async fn several_ranges_are_parts_of_one_answer(server: Server) {
    let (repository, blob) = pushed(&server, 3_000_000).await;
    gives(
        &repository,
        &blob,
        "bytes=0-9,50000-50009",
        &[0..10, 50_000..50_010],
    )
    .await;
    let long = "bytes=0-999999,1500000-1500000,2000000-";
    gives(
        &repository,
        &blob,
        long,
        &[0..1_000_000, 1_500_000..1_500_001, 2_000_000..3_000_000],
    )
    .await;
}

async fn the_parts_are_in_the_order_of_the_ranges(server: Server) {
    let (repository, blob) = pushed(&server, 1000).await;
    gives(
        &repository,
        &blob,
        "bytes=-10, 0-0 ,,500-509",
        &[990..1000, 0..1, 500..510],
    )
    .await;
}

/// The n-th part is the n-th range for clients such as podman, so touching ranges are not joined.
async fn ranges_that_touch_stay_apart_and_those_that_overlap_are_one(server: Server) {
    let (repository, blob) = pushed(&server, 1000).await;
    gives(&repository, &blob, "bytes=0-9,10-19", &[0..10, 10..20]).await;
    gives(&repository, &blob, "bytes=900-,5-20,10-30", &[900..1000, 5..31]).await;
    let all = get(&repository, &blob, "bytes=0-600,500-").await.expect(206);
    all.expect_header("content-range", "bytes 0-999/1000")
        .expect_body(&blob.bytes);
}

/// RFC 9110, 15.3.7.2: "MUST NOT generate a multipart response to a request for a single range".
async fn ranges_of_which_one_can_be_satisfied_are_a_single_part(server: Server) {
    let (repository, blob) = pushed(&server, 1000).await;
    let answer = get(&repository, &blob, "bytes=1000-,0-9,-0").await.expect(206);
    answer
        .expect_header("content-range", "bytes 0-9/1000")
        .expect_header("content-type", "application/octet-stream")
        .expect_body(&blob.bytes[..10]);
}

async fn ranges_beyond_the_end_are_416(server: Server) {
    let (repository, blob) = pushed(&server, 1000).await;
    let answer = get(&repository, &blob, "bytes=1000-1001,5000-").await;
    answer
        .expect_error(416, "RANGE_INVALID")
        .expect_header("content-range", "bytes */1000");
}

/// podman asks for at most 1024.
async fn more_ranges_than_the_bound_give_the_whole(server: Server) {
    let (repository, blob) = pushed(&server, 5000).await;
    let ranges = |count: usize| {
        let each: Vec<String> = (0..count).map(|n| format!("{0}-{0}", 2 * n)).collect();
        format!("bytes={}", each.join(","))
    };
    let expected: Vec<_> = (0..1024).map(|n| 2 * n..2 * n + 1).collect();
    gives(&repository, &blob, &ranges(1024), &expected).await;
    let whole = get(&repository, &blob, &ranges(1025)).await.expect(200);
    whole.expect_no_header("content-range").expect_body(&blob.bytes);
}

/// RFC 9110, 14.2: only GET has ranges.
async fn a_head_request_ignores_ranges(server: Server) {
    let (repository, blob) = pushed(&server, 1000).await;
    let head = repository
        .head_blob(&blob.digest)
        .header("Range", "bytes=0-9,20-29")
        .await;
    head.expect(200).expect_header("content-length", "1000");
}

async fn if_range_decides_whether_several_ranges_count(server: Server) {
    let (repository, blob) = pushed(&server, 1000).await;
    let request = |validator: &str| {
        let get = repository
            .get_blob(&blob.digest)
            .header("Range", "bytes=0-9,20-29");
        get.header("If-Range", format!("\"{validator}\""))
    };
    assert_eq!(parts(&request(&blob.digest).await.expect(206)).len(), 2);
    request("something else")
        .await
        .expect(200)
        .expect_body(&blob.bytes);
}
