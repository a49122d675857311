//! end-12a, end-12b: `GET /v2/<name>/referrers/<digest>`.

use wharf_testkit::{
    Repository, Server, ServerBuilder, digest,
    image::{self, Image, Manifest},
    json, store,
};

wharf_testkit::on_both_engines![
    no_referrers_is_an_empty_index,
    an_unknown_repository_has_no_referrers,
    a_malformed_digest_is_400,
    a_referrer_is_listed_with_type_and_annotations,
    the_push_says_that_the_subject_was_understood,
    a_referrer_pushed_by_digest_is_listed,
    a_subject_pushed_later_finds_its_referrers,
    the_config_type_stands_in_for_a_missing_artifact_type,
    an_index_can_be_a_referrer,
    an_artifact_manifest_can_be_a_referrer,
    a_filter_is_applied_and_named,
    a_deleted_referrer_is_listed_no_more,
    referrers_stay_in_their_repository,
    a_referrer_can_have_referrers,
    a_subject_by_sha512_finds_its_referrers,
    a_fallback_tag_that_a_client_pushes_does_not_double_entries,
];

wharf_testkit::on_disk![
    crate::BINARY;
    a_fallback_tag_of_an_older_registry_is_merged,
    a_broken_fallback_tag_does_no_harm,
    a_restart_forgets_no_referrer,
    fallback_tags_are_kept_and_left_out_of_lists_if_the_config_says_so,
];

const SBOM: &str = "application/vnd.example.sbom.v1";
const SIGNATURE: &str = "application/vnd.example.signature.v1";

async fn subject(server: &Server) -> (Repository, Image) {
    let repository = server.anonymous().repository("kyo/my-image");
    let image = image::oci(1);
    repository.push_image("latest", &image).await;
    (repository, image)
}

/// "If a query results in no matching referrers, an empty manifest list MUST be returned."
/// "The `Content-Type` header MUST be set to `application/vnd.oci.image.index.v1+json`."
async fn no_referrers_is_an_empty_index(server: Server) {
    let (repository, image) = subject(&server).await;
    for digest in [&image.manifest.digest, &digest::unknown(1)] {
        let answer = repository
            .client()
            .get(&repository.referrers_path(digest))
            .await
            .expect(200)
            .expect_header("content-type", image::OCI_INDEX)
            .expect_no_header("oci-filters-applied");
        let expected = json!({ "schemaVersion": 2, "mediaType": image::OCI_INDEX, "manifests": [] });
        assert_eq!(answer.json(), expected, "{answer}");
    }
}

/// "If the registry supports the referrers API, the registry MUST NOT return a `404 Not Found` to a
/// referrers API requests."
async fn an_unknown_repository_has_no_referrers(server: Server) {
    let nobody = server.anonymous().repository("nobody");
    assert_eq!(nobody.referrers(&digest::unknown(1)).await, Vec::<String>::new());
}

/// "If the request is invalid, such as a `<digest>` with an invalid syntax, a `400 Bad Request` MUST
/// be returned."
async fn a_malformed_digest_is_400(server: Server) {
    let client = server.anonymous();
    for bad in ["sha256:abc", "latest", "md5:d41d8cd98f00b204e9800998ecf8427e"] {
        client
            .get(&format!("/v2/kyo/my-image/referrers/{bad}"))
            .await
            .expect_error(400, "DIGEST_INVALID");
    }
}

/// "The descriptors MUST include an `artifactType` field that is set to the value of the
/// `artifactType` in the image manifest or index, if present." "The descriptors MUST include
/// annotations from the image manifest or index."
async fn a_referrer_is_listed_with_type_and_annotations(server: Server) {
    let (repository, image) = subject(&server).await;
    let artifact = image::artifact(2, SBOM, &image.manifest);
    repository.push_image("sbom", &artifact).await;
    let answer = repository
        .client()
        .get(&repository.referrers_path(&image.manifest.digest))
        .await
        .expect(200);
    let expected = json!([{
        "mediaType": image::OCI_MANIFEST,
        "digest": artifact.manifest.digest,
        "size": artifact.manifest.bytes.len(),
        "artifactType": SBOM,
        "annotations": { "org.example.seed": "2" },
    }]);
    assert_eq!(answer.json()["manifests"], expected, "{answer}");
}

/// "a registry implementation that supports the referrers API MUST respond with the response header
/// `OCI-Subject: <subject digest>`".
async fn the_push_says_that_the_subject_was_understood(server: Server) {
    let (repository, image) = subject(&server).await;
    let artifact = image::artifact(2, SBOM, &image.manifest);
    repository.push_blobs(&artifact).await;
    for reference in ["sbom", &artifact.manifest.digest] {
        repository
            .put_manifest(reference, &artifact.manifest)
            .await
            .expect(201)
            .expect_header("oci-subject", &image.manifest.digest);
    }
}

async fn a_referrer_pushed_by_digest_is_listed(server: Server) {
    let (repository, image) = subject(&server).await;
    let artifact = image::artifact(2, SBOM, &image.manifest);
    repository.push_blobs(&artifact).await;
    repository
        .push_manifest(&artifact.manifest.digest, &artifact.manifest)
        .await;
    assert_eq!(
        repository.referrers(&image.manifest.digest).await,
        [artifact.manifest.digest]
    );
}

/// "allowing clients to push a manifest and referrers to that manifest in either order."
async fn a_subject_pushed_later_finds_its_referrers(server: Server) {
    let repository = server.anonymous().repository("a");
    let image = image::oci(1);
    let artifact = image::artifact(2, SBOM, &image.manifest);
    repository.push_image("sbom", &artifact).await;
    assert_eq!(
        repository.referrers(&image.manifest.digest).await,
        [artifact.manifest.digest.as_str()]
    );
    repository.push_image("latest", &image).await;
    assert_eq!(
        repository.referrers(&image.manifest.digest).await,
        [artifact.manifest.digest]
    );
}

/// "If the `artifactType` is empty or missing in the image manifest, the value of `artifactType`
/// MUST be set to the config descriptor `mediaType` value."
async fn the_config_type_stands_in_for_a_missing_artifact_type(server: Server) {
    let (repository, image) = subject(&server).await;
    let artifact = image::artifact(2, SBOM, &image.manifest);
    repository.push_blobs(&artifact).await;
    for absent in [json!({ "artifactType": null }), json!({ "artifactType": "" })] {
        let manifest = artifact.manifest.with(&absent);
        repository.push_manifest("x", &manifest).await;
        let answer = repository
            .client()
            .get(&repository.referrers_path(&image.manifest.digest))
            .await
            .expect(200);
        assert_eq!(
            answer.json()["manifests"][0]["artifactType"],
            "application/vnd.oci.empty.v1+json",
            "{answer}"
        );
        repository.delete_manifest(&manifest.digest).await.expect(202);
    }
}

/// "If the `artifactType` is empty or missing in an index, the `artifactType` MUST be omitted."
async fn an_index_can_be_a_referrer(server: Server) {
    let (repository, image) = subject(&server).await;
    let bare = image::index(image::OCI_INDEX, vec![], &[]).manifest;
    let silent = bare.with(&json!({ "subject": image.manifest.descriptor() }));
    let typed = silent.with(&json!({ "artifactType": SBOM, "annotations": { "a": "b" } }));
    repository
        .push_manifest("silent", &silent)
        .await
        .expect_header("oci-subject", &image.manifest.digest);
    repository.push_manifest("typed", &typed).await;
    let answer = repository
        .client()
        .get(&repository.referrers_path(&image.manifest.digest))
        .await
        .expect(200);
    let list = answer.json()["manifests"].as_array().unwrap().clone();
    let find = |manifest: &Manifest| {
        list.iter()
            .find(|descriptor| descriptor["digest"] == manifest.digest)
            .unwrap_or_else(|| panic!("{answer}"))
    };
    assert_eq!(find(&silent).get("artifactType"), None, "{answer}");
    assert_eq!(find(&silent)["mediaType"], image::OCI_INDEX, "{answer}");
    assert_eq!(find(&typed)["artifactType"], SBOM, "{answer}");
    assert_eq!(find(&typed)["annotations"], json!({ "a": "b" }), "{answer}");
    assert_eq!(list.len(), 2, "{answer}");
}

async fn an_artifact_manifest_can_be_a_referrer(server: Server) {
    let (repository, image) = subject(&server).await;
    let artifact = Manifest::new(
        image::OCI_ARTIFACT,
        &json!({
            "mediaType": image::OCI_ARTIFACT,
            "artifactType": SIGNATURE,
            "subject": image.manifest.descriptor(),
        }),
    );
    repository
        .push_manifest("old", &artifact)
        .await
        .expect_header("oci-subject", &image.manifest.digest);
    let answer = repository
        .client()
        .get(&repository.referrers_path(&image.manifest.digest))
        .await
        .expect(200);
    assert_eq!(
        answer.json()["manifests"][0]["artifactType"],
        SIGNATURE,
        "{answer}"
    );
    assert_eq!(
        answer.json()["manifests"][0]["mediaType"],
        image::OCI_ARTIFACT,
        "{answer}"
    );
}

/// end-12b: "If filtering is requested and applied, the response MUST include a header
/// `OCI-Filters-Applied: artifactType`".
async fn a_filter_is_applied_and_named(server: Server) {
    let (repository, image) = subject(&server).await;
    let sbom = image::artifact(2, SBOM, &image.manifest);
    let signature = image::artifact(3, SIGNATURE, &image.manifest);
    repository.push_image("sbom", &sbom).await;
    repository.push_image("signature", &signature).await;
    let mut both = [sbom.manifest.digest.clone(), signature.manifest.digest.clone()];
    both.sort();
    let mut all = repository.referrers(&image.manifest.digest).await;
    all.sort();
    assert_eq!(all, both);
    let queries = [
        (SBOM, vec![sbom.manifest.digest]),
        (SIGNATURE, vec![signature.manifest.digest]),
        ("text/x", vec![]),
    ];
    for (artifact_type, expected) in queries {
        // As clients send it: encoded or not.
        for query in [
            artifact_type.to_owned(),
            artifact_type.replace('/', "%2F").replace('+', "%2B"),
        ] {
            let path = format!(
                "{}?artifactType={query}",
                repository.referrers_path(&image.manifest.digest)
            );
            let answer = repository
                .client()
                .get(&path)
                .await
                .expect(200)
                .expect_header("oci-filters-applied", "artifactType");
            let json = answer.json();
            let found: Vec<&str> = json["manifests"]
                .as_array()
                .unwrap()
                .iter()
                .map(|d| d["digest"].as_str().unwrap())
                .collect();
            assert_eq!(found, expected, "{answer}");
        }
    }
}

async fn a_deleted_referrer_is_listed_no_more(server: Server) {
    let (repository, image) = subject(&server).await;
    let artifact = image::artifact(2, SBOM, &image.manifest);
    repository.push_image("sbom", &artifact).await;
    assert_eq!(
        repository.referrers(&image.manifest.digest).await,
        [artifact.manifest.digest.as_str()]
    );
    repository
        .delete_manifest(&artifact.manifest.digest)
        .await
        .expect(202);
    assert_eq!(
        repository.referrers(&image.manifest.digest).await,
        Vec::<String>::new()
    );
    repository.push_image("sbom", &artifact).await;
    assert_eq!(
        repository.referrers(&image.manifest.digest).await,
        [artifact.manifest.digest]
    );
}

/// "Each descriptor is of an image manifest or index in the same `<name>` namespace".
async fn referrers_stay_in_their_repository(server: Server) {
    let (repository, image) = subject(&server).await;
    let other = repository.client().repository("kyo/other");
    other
        .push_image("sbom", &image::artifact(2, SBOM, &image.manifest))
        .await;
    assert_eq!(
        repository.referrers(&image.manifest.digest).await,
        Vec::<String>::new()
    );
    assert_eq!(other.referrers(&image.manifest.digest).await.len(), 1);
}

async fn a_referrer_can_have_referrers(server: Server) {
    let (repository, image) = subject(&server).await;
    let sbom = image::artifact(2, SBOM, &image.manifest);
    let signature = image::artifact(3, SIGNATURE, &sbom.manifest);
    repository.push_image("sbom", &sbom).await;
    repository.push_image("signature", &signature).await;
    assert_eq!(
        repository.referrers(&image.manifest.digest).await,
        [sbom.manifest.digest.as_str()]
    );
    assert_eq!(
        repository.referrers(&sbom.manifest.digest).await,
        [signature.manifest.digest]
    );
}

async fn a_subject_by_sha512_finds_its_referrers(server: Server) {
    let repository = server.anonymous().repository("a");
    let image = image::oci(1);
    repository.push_blobs(&image).await;
    repository
        .put_manifest(&image.manifest.sha512(), &image.manifest)
        .await
        .expect(201);
    let mut descriptor = image.manifest.descriptor();
    descriptor["digest"] = json!(image.manifest.sha512());
    let artifact = image::artifact(2, SBOM, &image.manifest);
    let manifest = artifact.manifest.with(&json!({ "subject": descriptor }));
    repository.push_blobs(&artifact).await;
    repository
        .push_manifest("sbom", &manifest)
        .await
        .expect_header("oci-subject", image.manifest.sha512());
    assert_eq!(
        repository.referrers(&image.manifest.sha512()).await,
        [manifest.digest]
    );
}

/// A careful client keeps the fallback tag as well: "duplicate entries SHOULD NOT be created".
async fn a_fallback_tag_that_a_client_pushes_does_not_double_entries(server: Server) {
    let (repository, image) = subject(&server).await;
    let artifact = image::artifact(2, SBOM, &image.manifest);
    repository.push_image("sbom", &artifact).await;
    let fallback = image::index(image::OCI_INDEX, vec![artifact.clone()], &["amd64"]);
    repository
        .push_manifest(&image.manifest.fallback_tag(), &fallback.manifest)
        .await;
    assert_eq!(
        repository.referrers(&image.manifest.digest).await,
        [artifact.manifest.digest]
    );
}

/// "Registries MUST include preexisting image manifests that are listed in an image index tagged
/// with the referrers tag schema and have a valid `subject` field in the referrers API response."
async fn a_fallback_tag_of_an_older_registry_is_merged(builder: ServerBuilder) {
    let root = builder.root();
    let image = image::oci(1);
    let (before, after) = (
        image::artifact(2, SBOM, &image.manifest),
        image::artifact(3, SIGNATURE, &image.manifest),
    );
    for blob in image.blobs.iter().chain(&before.blobs) {
        store::write_layer(&root, "kyo/my-image", &blob.bytes);
    }
    store::write_manifest(&root, "kyo/my-image", Some("latest"), &image.manifest.bytes);
    store::write_manifest(&root, "kyo/my-image", None, &before.manifest.bytes);
    let fallback = image::index(image::OCI_INDEX, vec![before.clone()], &["amd64"]);
    store::write_manifest(
        &root,
        "kyo/my-image",
        Some(&image.manifest.fallback_tag()),
        &fallback.manifest.bytes,
    );

    let server = builder.start();
    let repository = server.anonymous().repository("kyo/my-image");
    assert_eq!(
        repository.referrers(&image.manifest.digest).await,
        [before.manifest.digest.as_str()]
    );
    let answer = repository
        .client()
        .get(&repository.referrers_path(&image.manifest.digest))
        .await;
    assert_eq!(answer.json()["manifests"][0]["artifactType"], SBOM, "{answer}");
    assert_eq!(
        answer.json()["manifests"][0]["annotations"],
        json!({ "org.example.seed": "2" }),
        "{answer}"
    );

    // What is pushed from now on joins what was there before.
    repository.push_image("signature", &after).await;
    let mut found = repository.referrers(&image.manifest.digest).await;
    found.sort();
    let mut expected = [before.manifest.digest, after.manifest.digest];
    expected.sort();
    assert_eq!(found, expected);
}

/// A fallback tag that is no index, or lists what is gone, or what has another subject.
async fn a_broken_fallback_tag_does_no_harm(builder: ServerBuilder) {
    let root = builder.root();
    let image = image::oci(1);
    let (stranger, gone) = (image::oci(2), image::artifact(3, SBOM, &image.manifest));
    for blob in image.blobs.iter().chain(&stranger.blobs) {
        store::write_layer(&root, "a", &blob.bytes);
        store::write_layer(&root, "b", &blob.bytes);
    }
    for name in ["a", "b"] {
        store::write_manifest(&root, name, Some("latest"), &image.manifest.bytes);
        store::write_manifest(&root, name, None, &stranger.manifest.bytes);
    }
    let fallback = image::index(image::OCI_INDEX, vec![stranger, gone], &["amd64", "amd64"]);
    store::write_manifest(
        &root,
        "a",
        Some(&image.manifest.fallback_tag()),
        &fallback.manifest.bytes,
    );
    store::write_manifest(
        &root,
        "b",
        Some(&image.manifest.fallback_tag()),
        &image.manifest.bytes,
    );

    let server = builder
        .rules(store::Rules {
            dangling_references: true,
        })
        .start();
    for name in ["a", "b"] {
        let repository = server.anonymous().repository(name);
        assert_eq!(
            repository.referrers(&image.manifest.digest).await,
            Vec::<String>::new()
        );
    }
}

async fn a_restart_forgets_no_referrer(builder: ServerBuilder) {
    let mut server = builder.start();
    let (repository, image) = subject(&server).await;
    let artifact = image::artifact(2, SBOM, &image.manifest);
    repository.push_image("sbom", &artifact).await;
    server.restart();
    let repository = server.anonymous().repository(&repository.name);
    assert_eq!(
        repository.referrers(&image.manifest.digest).await,
        [artifact.manifest.digest]
    );
    repository.delete_manifest("sbom").await.expect(202);
}

/// "Referrers Tag Schema": clients of registries without the API find referrers by such a tag, also after the way back.
async fn fallback_tags_are_kept_and_left_out_of_lists_if_the_config_says_so(builder: ServerBuilder) {
    let server = builder
        .storage("delete: {enabled: true}")
        .config("compat: {referrers_tags: true}")
        // The index that was replaced is untagged, and names what was deleted.
        .rules(store::Rules {
            dangling_references: true,
        })
        .start();
    let (repository, image) = subject(&server).await;
    let tag = image.manifest.fallback_tag();
    let artifacts = [(2, SBOM), (3, SIGNATURE)];
    let artifacts = artifacts.map(|(seed, media_type)| image::artifact(seed, media_type, &image.manifest));
    for artifact in &artifacts {
        repository.push_blobs(artifact).await;
        repository
            .put_manifest(&artifact.manifest.digest, &artifact.manifest)
            .await
            .expect(201)
            .expect_header("oci-subject", &image.manifest.digest);
    }
    // The tag lists what the API lists, and nothing else shows it.
    let path = repository.referrers_path(&image.manifest.digest);
    let listed = repository.client().get(&path).await.expect(200).json();
    let answer = repository.get_manifest(&tag).await.expect(200);
    assert_eq!(answer.json(), listed, "{answer}");
    assert_eq!(repository.tags().await, ["latest"]);
    // A deletion takes the referrer from the tag, which does not keep it.
    repository
        .delete_manifest(&artifacts[0].manifest.digest)
        .await
        .expect(202);
    let answer = repository.get_manifest(&tag).await.expect(200);
    assert_eq!(
        answer.json()["manifests"].as_array().unwrap().len(),
        1,
        "{answer}"
    );
    repository.delete_manifest(&tag).await.expect(202);
    repository.get_manifest(&tag).await.expect(404);
}
