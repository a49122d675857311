//! end-11: `POST /v2/<name>/blobs/uploads/?mount=<digest>&from=<other_name>`.

use wharf_testkit::{Answer, Repository, Server, digest, image::Blob};

wharf_testkit::on_both_engines![
    a_blob_is_mounted_from_another_repository,
    a_blob_is_mounted_by_sha512,
    a_mounted_blob_stays_when_its_source_goes,
    mount_without_from_gives_the_blob_or_a_session,
    mount_of_an_unknown_blob_starts_a_session,
    mount_from_an_unknown_repository_starts_a_session,
    mount_from_a_repository_without_the_blob_starts_a_session,
    mount_of_a_malformed_digest_is_refused_or_starts_a_session,
    a_blob_can_be_mounted_on_its_own_repository,
];

async fn source(server: &Server) -> (Repository, Repository, Blob) {
    let client = server.anonymous();
    let (from, to) = (
        client.repository("library/base"),
        client.repository("kyo/my-image"),
    );
    let blob = Blob::random(1, 5000);
    from.push_blob(&blob).await;
    (from, to, blob)
}

async fn mount(to: &Repository, query: &str) -> Answer {
    to.client().post(&format!("{}?{query}", to.uploads_path())).await
}

/// "The response to a successful mount MUST be `201 Created`, and MUST contain" a `Location`.
async fn a_blob_is_mounted_from_another_repository(server: Server) {
    let (from, to, blob) = source(&server).await;
    let answer = mount(&to, &format!("mount={}&from={}", blob.digest, from.name))
        .await
        .expect(201)
        .expect_header("docker-content-digest", &blob.digest);
    assert_eq!(answer.location(), to.blob_path(&blob.digest), "{answer}");
    to.expect_blob(&blob).await;
}

async fn a_blob_is_mounted_by_sha512(server: Server) {
    let (from, to, _) = source(&server).await;
    let blob = Blob::random(9, 100);
    let location = from.start_upload().await;
    from.finish(&location, &blob.sha512(), blob.bytes.clone())
        .await
        .expect(201);
    mount(&to, &format!("mount={}&from={}", blob.sha512(), from.name))
        .await
        .expect(201);
    to.get_blob(&blob.sha512())
        .await
        .expect(200)
        .expect_body(&blob.bytes);
}

async fn a_mounted_blob_stays_when_its_source_goes(server: Server) {
    let (from, to, blob) = source(&server).await;
    mount(&to, &format!("mount={}&from={}", blob.digest, from.name))
        .await
        .expect(201);
    from.client()
        .delete(&from.blob_path(&blob.digest))
        .await
        .expect(202);
    to.expect_blob(&blob).await;
    // The client may not have got the first answer.
    let answer = mount(&to, &format!("mount={}&from={}", blob.digest, from.name))
        .await
        .expect(201);
    assert_eq!(answer.location(), to.blob_path(&blob.digest), "{answer}");
}

/// "The registry MAY treat the `from` parameter as optional, and it MAY cross-mount the blob if it
/// can be found."
async fn mount_without_from_gives_the_blob_or_a_session(server: Server) {
    let (_, to, blob) = source(&server).await;
    let answer = mount(&to, &format!("mount={}", blob.digest)).await;
    if answer.status == 201 {
        to.expect_blob(&blob).await;
    } else {
        let location = answer.expect(202).location();
        to.finish(&location, &blob.digest, blob.bytes.clone())
            .await
            .expect(201);
    }
}

/// "if a registry … is unable to mount the requested blob, it SHOULD return a `202`. This indicates
/// that the upload session has begun and that the client MAY proceed with the upload."
async fn mount_of_an_unknown_blob_starts_a_session(server: Server) {
    let (from, to, _) = source(&server).await;
    let blob = Blob::random(2, 100);
    for query in [
        format!("mount={}&from={}", blob.digest, from.name),
        format!("mount={}", blob.digest),
    ] {
        let location = mount(&to, &query).await.expect(202).location();
        to.client().get(&location).await.expect(204);
    }
    let location = mount(&to, &format!("mount={}&from={}", blob.digest, from.name))
        .await
        .expect(202)
        .location();
    to.finish(&location, &blob.digest, blob.bytes.clone())
        .await
        .expect(201);
}

async fn mount_from_an_unknown_repository_starts_a_session(server: Server) {
    let (_, to, _) = source(&server).await;
    mount(&to, &format!("mount={}&from=nobody", digest::unknown(1)))
        .await
        .expect(202);
}

/// A client that names a source must be allowed to read it: mounting is no way around rights.
async fn mount_from_a_repository_without_the_blob_starts_a_session(server: Server) {
    let (_, to, blob) = source(&server).await;
    to.client()
        .repository("kyo/poor")
        .push_blob(&Blob::random(2, 10))
        .await;
    mount(&to, &format!("mount={}&from=kyo/poor", blob.digest))
        .await
        .expect(202);
    to.head_blob(&blob.digest).await.expect(404);
}

/// registry:2 starts a session; the specification wants a 400 for an invalid digest.
async fn mount_of_a_malformed_digest_is_refused_or_starts_a_session(server: Server) {
    let (from, to, _) = source(&server).await;
    let answer = mount(&to, &format!("mount=sha256:abc&from={}", from.name)).await;
    if answer.status != 202 {
        answer.expect_error(400, "DIGEST_INVALID");
    }
}

async fn a_blob_can_be_mounted_on_its_own_repository(server: Server) {
    let (from, _, blob) = source(&server).await;
    mount(&from, &format!("mount={}&from={}", blob.digest, from.name))
        .await
        .expect(201);
    from.expect_blob(&blob).await;
}
