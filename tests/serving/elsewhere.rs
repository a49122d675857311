//! Servers in front of the store, from which clients read blobs.

use wharf_testkit::{ServerBuilder, image::Blob, suite::Suite};

use crate::{refuses_to_start, stories};

pub(crate) fn add_to(suite: &mut Suite) {
    stories!(
        suite,
        &[],
        [
            a_redirect_works_for_a_directory,
            a_rewrite_of_no_url_changes_nothing,
            a_private_key_that_cannot_be_read_ends_the_start
        ]
    );
}

const REDIRECT: &str =
    "middleware: {storage: [{name: redirect, options: {baseurl: 'https://cdn.example/registry/'}}]}";

async fn a_redirect_works_for_a_directory(builder: ServerBuilder) {
    let server = builder.config(REDIRECT).start();
    let repository = server.anonymous().repository("a");
    let (large, small) = (Blob::random(1, 64 << 10), Blob::random(2, 100));
    for blob in [&large, &small] {
        repository.push_blob(blob).await;
    }
    let hex = large.digest.trim_start_matches("sha256:");
    let expected = format!(
        "https://cdn.example/registry/docker/registry/v2/blobs/sha256/{}/{hex}/data",
        &hex[..2]
    );
    repository
        .get_blob(&large.digest)
        .await
        .expect(307)
        .expect_header("location", expected)
        .expect_header("docker-content-digest", &large.digest);
    repository
        .head_blob(&large.digest)
        .await
        .expect(200)
        .expect_no_header("location");
    repository
        .get_blob(&small.digest)
        .await
        .expect(200)
        .expect_body(&small.bytes);
    repository.get_blob(&Blob::random(3, 1).digest).await.expect(404);
}

/// A directory signs no URLs.
async fn a_rewrite_of_no_url_changes_nothing(builder: ServerBuilder) {
    let server = builder
        .config("middleware: {storage: [{name: rewrite, options: {host: cdn.example}}]}")
        .start();
    let repository = server.anonymous().repository("a");
    let blob = Blob::random(1, 64 << 10);
    repository.push_blob(&blob).await;
    repository
        .get_blob(&blob.digest)
        .await
        .expect(200)
        .expect_body(&blob.bytes);
}

async fn a_private_key_that_cannot_be_read_ends_the_start(builder: ServerBuilder) {
    for (file, expected) in [
        ("key.pem", "it has no private key of RSA in PEM"),
        ("absent.pem", "No such file or directory"),
    ] {
        let builder = builder.another();
        builder.write("key.pem", "no key");
        let middleware = format!(
            "middleware: {{storage: [{{name: cloudfront, options: {{baseurl: d.example, keypairid: k, privatekey: '{}'}}}}]}}",
            builder.path(file).display()
        );
        let builder = builder
            .environment("REGISTRY_STORAGE", "s3")
            .storage("s3: {bucket: b, region: r, accesskey: a, secretkey: s, regionendpoint: 'http://127.0.0.1:1'}")
            .config(middleware)
            .unchecked();
        refuses_to_start(&builder, expected);
    }
}
