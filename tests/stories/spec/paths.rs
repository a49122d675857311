//! Paths that are written in another way: encoded slashes of names, doubled slashes, slashes at the end.

use wharf_testkit::{Method, Server, ServerBuilder, image};

wharf_testkit::on_both_engines![
    an_encoded_slash_is_one_of_the_name,
    reads_of_unclean_paths_are_sent_to_the_clean_path,
    other_methods_are_told_the_clean_path,
    no_path_leads_to_another_host,
];

wharf_testkit::configured_on_both_engines![the_prefix_stays_in_the_clean_path];

wharf_testkit::on_disk![crate::BINARY; the_log_has_the_decoded_name];

async fn an_encoded_slash_is_one_of_the_name(server: Server) {
    let (encoded, plain) = ("kyo%2Fmy%2fimage", "kyo/my/image");
    let client = server.anonymous();
    let start = client
        .post(&format!("/v2/{encoded}/blobs/uploads/"))
        .await
        .expect(202);
    assert!(
        start.location().contains(&format!("/v2/{plain}/blobs/uploads/")),
        "{start}"
    );
    let image = image::oci(1);
    client.repository(encoded).push_blobs(&image).await;
    let pushed = client
        .repository(encoded)
        .put_manifest("v1", &image.manifest)
        .await
        .expect(201);
    let expected = format!("/v2/{plain}/manifests/{}", image.manifest.digest);
    assert!(pushed.location().ends_with(&expected), "{pushed}");
    client.repository(plain).pull_image("v1", &image).await;
    let tags = client.get(&format!("/v2/{encoded}/tags/list")).await.expect(200);
    assert_eq!(tags.json()["name"], plain);
}

async fn reads_of_unclean_paths_are_sent_to_the_clean_path(server: Server) {
    let repository = server.anonymous().repository("c/app");
    repository.push_image("v1", &image::oci(1)).await;
    for (unclean, clean) in [
        ("/v2/_catalog/", "/v2/_catalog"),
        ("/v2//_catalog", "/v2/_catalog"),
        ("/v2/_catalog/?n=5&last=a", "/v2/_catalog?n=5&last=a"),
        ("/v2/c/app/tags/list/", "/v2/c/app/tags/list"),
        ("/v2/c//app/tags/list", "/v2/c/app/tags/list"),
        ("/v2/c%2Fapp/tags/list/", "/v2/c/app/tags/list"),
        ("/v2/c/app/manifests/v1/", "/v2/c/app/manifests/v1"),
        ("/v2//", "/v2/"),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let answer = server
                .anonymous()
                .request(method.clone(), unclean)
                .await
                .expect(301);
            assert_eq!(answer.header("location"), clean, "{method} {unclean}");
            server.anonymous().request(method, clean).await.expect(200);
        }
    }
}

async fn other_methods_are_told_the_clean_path(server: Server) {
    let client = server.anonymous();
    for (method, unclean, clean) in [
        (
            Method::POST,
            "/v2/c//app/blobs/uploads/",
            "`/v2/c/app/blobs/uploads/`",
        ),
        (Method::PUT, "/v2/c/app/manifests/v1/", "`/v2/c/app/manifests/v1`"),
        (
            Method::DELETE,
            "/v2/c/app/manifests/v1//",
            "`/v2/c/app/manifests/v1`",
        ),
    ] {
        let answer = client.request(method, unclean).await;
        answer
            .expect_error(404, "UNSUPPORTED")
            .expect_message(clean)
            .expect_no_header("location");
    }
    // Unclean or not, these are no paths of the API, and those are no names.
    client.get("/v2/nothing/").await.expect_error(404, "UNSUPPORTED");
    client
        .get("/v2/A//b/tags/list")
        .await
        .expect_error(400, "NAME_INVALID");
}

/// A path that begins with two slashes is a host to a browser that finds it in `Location`.
async fn no_path_leads_to_another_host(server: Server) {
    for (target, status) in [
        ("//v2/", 301),
        ("//evil.example/v2/", 404),
        ("//evil.example/v2/a/tags/list", 404),
        ("//evil.example//", 404),
        ("/v2//evil.example/tags/list", 301),
        ("/v2///evil.example/tags/list/", 301),
        ("/v2/%2F%2Fevil.example/tags/list/", 404),
        ("/v2/%2F%2Fevil.example/tags/list", 400),
        ("/v2/%5Cevil.example/tags/list", 400),
    ] {
        let mut raw = server.raw().await;
        raw.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"))
            .await;
        let answer = raw.answer().await;
        assert_eq!(answer.status, status, "{target}: {}", answer.head);
        let location = answer.header("location");
        assert_eq!(location.is_some(), status == 301, "{target}: {}", answer.head);
        assert!(
            location.is_none_or(|path| path.starts_with("/v2/")),
            "{target}: {}",
            answer.head
        );
    }
}

async fn the_prefix_stays_in_the_clean_path(builder: ServerBuilder) {
    let server = builder.http("prefix: /registry/").start();
    let client = server.anonymous();
    let answer = client.get("/registry//v2/_catalog/?n=1").await.expect(301);
    answer.expect_header("location", "/registry/v2/_catalog?n=1");
    client
        .get("/v2/_catalog/")
        .await
        .expect(404)
        .expect_no_header("location");
}

async fn the_log_has_the_decoded_name(builder: ServerBuilder) {
    let server = builder.config("log: {level: debug}").start();
    let client = server.anonymous();
    client.get("/v2/kyo%2Fapp/tags/list").await.expect(404);
    server.says("vars.name=kyo/app").await;
}
