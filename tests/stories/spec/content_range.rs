//! `Content-Range` of the chunks of an upload, as clients really write it.

use wharf_testkit::{Repository, Server, image::Blob};

wharf_testkit::on_both_engines![
    a_chunk_may_name_its_range_in_every_dialect,
    a_chunk_of_no_bytes_adds_nothing,
    a_chunk_of_no_bytes_has_its_place,
    a_refused_range_carries_the_state_of_the_upload,
    a_refused_range_of_no_upload_is_404,
];

async fn start(server: &Server) -> (Repository, String) {
    let repository = server.anonymous().repository("app");
    let location = repository.start_upload().await;
    (repository, location)
}

async fn a_chunk_may_name_its_range_in_every_dialect(server: Server) {
    let blob = Blob::random(1, 1000);
    for range in [
        "0-499",
        "bytes 0-499",
        "bytes=0-499",
        "0-499/1000",
        "0-499/*",
        "bytes 0-499/1000",
    ] {
        let (repository, location) = start(&server).await;
        let chunk = repository
            .append(&location, blob.bytes.slice(..500))
            .header("Content-Range", range);
        chunk.await.expect(202).expect_header("range", "0-499");
        let rest = repository.finish(&location, &blob.digest, blob.bytes.slice(500..));
        rest.header("Content-Range", range.replace("0-499", "500-999"))
            .await
            .expect(201);
    }
}

async fn a_chunk_of_no_bytes_adds_nothing(server: Server) {
    let (repository, location) = start(&server).await;
    let blob = Blob::random(2, 3000);
    repository
        .append(&location, "")
        .header("Content-Range", "0--1")
        .await
        .expect(202);
    let all = repository
        .append(&location, blob.bytes.clone())
        .header("Content-Range", "0-2999");
    all.await.expect(202).expect_header("range", "0-2999");
    repository
        .append(&location, "")
        .header("Content-Range", "3000-2999")
        .await
        .expect(202);
    let end = repository
        .finish(&location, &blob.digest, "")
        .header("Content-Range", "3000-2999");
    end.await.expect(201);
    repository.expect_blob(&blob).await;

    let (repository, location) = start(&server).await;
    let empty = Blob::random(3, 0);
    let end = repository
        .finish(&location, &empty.digest, "")
        .header("Content-Range", "0--1");
    end.await.expect(201);
}

async fn a_chunk_of_no_bytes_has_its_place(server: Server) {
    let (repository, location) = start(&server).await;
    repository.append(&location, "0123456789").await.expect(202);
    for range in ["0--1", "5-4", "11-10"] {
        let chunk = repository.append(&location, "").header("Content-Range", range);
        chunk
            .await
            .expect_error(416, "RANGE_INVALID")
            .expect_header("range", "0-9");
    }
    let chunk = repository.append(&location, "x").header("Content-Range", "10-9");
    chunk
        .await
        .expect_error(400, "SIZE_INVALID")
        .expect_header("range", "0-9");
}

async fn a_refused_range_carries_the_state_of_the_upload(server: Server) {
    let (repository, location) = start(&server).await;
    let id = location.rsplit('/').next().unwrap().to_owned();
    repository.append(&location, "0123456789").await.expect(202);
    let digest = Blob::new("", "0123456789").digest;
    for range in [
        "nonsense",
        "9-5",
        "bytes */10",
        "0-4",
        "10-14/12",
        "0-99999999999999999999",
    ] {
        let patch = repository
            .append(&location, "01234")
            .header("Content-Range", range)
            .await;
        let put = repository
            .finish(&location, &digest, "01234")
            .header("Content-Range", range)
            .await;
        for answer in [patch, put] {
            let answer = answer
                .expect_error(416, "RANGE_INVALID")
                .expect_header("range", "0-9")
                .expect_header("docker-upload-uuid", &id);
            assert!(answer.location().ends_with(&location), "{range}: {answer}");
        }
    }
    repository.finish(&location, &digest, "").await.expect(201);
}

async fn a_refused_range_of_no_upload_is_404(server: Server) {
    let (repository, location) = start(&server).await;
    repository.client().delete(&location).await.expect(204);
    let chunk = repository
        .append(&location, "x")
        .header("Content-Range", "nonsense")
        .await;
    chunk.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}
