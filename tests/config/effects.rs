//! Keys and variables whose effect a client sees.

use wharf_testkit::{
    ServerBuilder,
    image::{self, Manifest},
    json, store,
};

wharf_testkit::configured_on_both_engines![
    forms_of_the_environment_that_fail_in_registry_2,
    a_service_of_kubernetes_is_no_configuration,
    s1_urls_of_layers_are_compared_with_the_patterns,
    s1_children_of_other_platforms_may_be_missing,
    pages_have_the_size_that_was_asked_for
];
wharf_testkit::on_disk![everything_can_be_said_in_the_environment];

async fn forms_of_the_environment_that_fail_in_registry_2(builder: ServerBuilder) {
    let server = builder
        .environment("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", "true")
        .environment("REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING_AGE", "1h")
        .environment("REGISTRY_HTTP_HEADERS_X_FRAME_OPTIONS", "DENY")
        .environment("REGISTRY_HTTP_HEADERS_X_LIST_0", "a")
        .start();
    let client = server.anonymous();
    client
        .get("/v2/")
        .await
        .expect(200)
        .expect_header("x-frame-options", "DENY")
        .expect_header("x-list", "a");
    client.post("/v2/a/blobs/uploads/").await.expect(405);
}

async fn a_service_of_kubernetes_is_no_configuration(builder: ServerBuilder) {
    let server = builder
        .config("log: {level: debug}")
        .environment("REGISTRY_PORT", "tcp://10.0.0.1:5000")
        .environment("REGISTRY_SERVICE_HOST", "10.0.0.1")
        .environment("REGISTRY_PORT_5000_TCP_ADDR", "10.0.0.1")
        .start();
    server.anonymous().get("/v2/").await.expect(200);
    server.says("$REGISTRY_PORT: is taken for").await;
    let log = server.log();
    assert!(!log.contains("names no key"), "{log}");
    assert_eq!(log.matches("$REGISTRY_PORT: is taken for").count(), 1, "{log}");
}

async fn s1_urls_of_layers_are_compared_with_the_patterns(builder: ServerBuilder) {
    let server = builder
        .config("validation: {manifests: {urls: {allow: ['^https://a\\.example/'], deny: ['/secret/']}}}")
        .start();
    let repository = server.anonymous().repository("a");
    let image = image::oci(1);
    repository.push_blobs(&image).await;
    let at = |url: &str| {
        let mut value = image.manifest.json();
        value["layers"][0]["urls"] = json!([url]);
        Manifest::new(image::OCI_MANIFEST, &value)
    };
    repository
        .push_manifest("v1", &at("https://a.example/layer"))
        .await;
    for (url, why) in [
        (
            "https://a.example/secret/layer",
            "`validation.manifests.urls.deny`",
        ),
        ("https://b.example/layer", "`validation.manifests.urls.allow`"),
        ("https://a.example/layer#x", "has a fragment"),
        ("file:///etc/passwd", "is not an http or https URL"),
    ] {
        repository
            .put_manifest("v2", &at(url))
            .await
            .expect_error(400, "MANIFEST_INVALID")
            .expect_message(&format!("a layer lies at `{url}`"))
            .expect_message(why);
    }
    repository.push_image("v3", &image).await;
}

/// `none`, and `list`: an index may name children that are not here, but not those for a platform of the list.
async fn s1_children_of_other_platforms_may_be_missing(builder: ServerBuilder) {
    let list = "validation: {manifests: {indexes: {platforms: list, platformlist: [{architecture: amd64, os: linux}]}}}";
    let none = "validation: {manifests: {indexes: {platforms: none}}}";
    let all = "validation: {manifests: {indexes: {platforms: all}}}";
    let index = image::docker_list(1);
    let [amd64, arm64] = &index.images[..] else {
        panic!("an index of two images was expected")
    };
    for (config, pushed, status) in [
        (all, None, 400),
        (all, Some(amd64), 400),
        (none, None, 201),
        (list, None, 400),
        (list, Some(arm64), 400),
        (list, Some(amd64), 201),
    ] {
        let server = builder
            .another()
            .rules(store::Rules {
                dangling_references: true,
            })
            .config(config)
            .start();
        let repository = server.anonymous().repository("a");
        if let Some(image) = pushed {
            repository.push_image("child", image).await;
        }
        repository
            .put_manifest("v1", &index.manifest)
            .await
            .expect(status);
    }
}

async fn pages_have_the_size_that_was_asked_for(builder: ServerBuilder) {
    let server = builder
        .config("catalog: {maxentries: 1}")
        .config("tags: {maxtags: 2}")
        .start();
    let client = server.anonymous();
    for name in ["a", "b"] {
        for tag in ["1", "2", "3"] {
            client.repository(name).push_image(tag, &image::oci(1)).await;
        }
    }
    let catalog = client.get("/v2/_catalog?n=100").await.expect(200);
    assert_eq!(catalog.json()["repositories"], json!(["a"]));
    let tags = client.get("/v2/a/tags/list?n=100").await.expect(200);
    assert_eq!(tags.json()["tags"], json!(["1", "2"]));
}

/// As a compose file does it that has no `config.yml`: here, the file says what the variables then say otherwise.
async fn everything_can_be_said_in_the_environment(builder: ServerBuilder) {
    let elsewhere = builder.root().with_file_name("elsewhere");
    let server = builder
        .storage("delete: {enabled: false}")
        .environment(
            "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY",
            elsewhere.to_str().unwrap(),
        )
        .environment("REGISTRY_STORAGE_DELETE_ENABLED", "yes")
        .environment("REGISTRY_LOG_LEVEL", "error")
        .environment("REGISTRY_LOG_ACCESSLOG_DISABLED", "true")
        .unchecked()
        .start();
    let repository = server.anonymous().repository("a");
    let image = image::oci(1);
    repository.push_image("v1", &image).await;
    assert!(elsewhere.join(store::TREE).is_dir());
    repository.delete_manifest("v1").await.expect(202);
    let log = server.log();
    assert!(!log.contains("/v2/"), "no access log was expected in\n{log}");
}
