//! `GET /v2/_catalog` of the Docker Registry HTTP API V2.

use wharf_testkit::{Answer, Server, ServerBuilder, image, json};

wharf_testkit::on_both_engines![
    an_empty_registry_has_an_empty_catalogue,
    all_repositories_are_listed_in_order,
    n_limits_and_link_leads_on,
    n_of_zero_gives_nothing,
    n_that_is_no_number_is_refused,
    empty_repositories_are_hidden,
    a_repository_with_blobs_only_is_hidden,
    other_query_parameters_and_accept_headers_are_ignored,
];

wharf_testkit::configured_on_both_engines![
    more_than_the_maximum_is_clamped_with_a_link,
    without_n_a_page_has_at_most_the_maximum,
];

/// `-` sorts before `/`, and `/` before letters: not the order in which a tree is walked.
const SORTED: [&str; 7] = ["a", "a-b", "a/b", "a/b/c/d/e/f", "a0", "kyo/my-image", "z"];

async fn filled(server: &Server) {
    let client = server.anonymous();
    for name in ["z", "a/b", "a", "a0", "kyo/my-image", "a-b", "a/b/c/d/e/f"] {
        client.repository(name).push_image("v1", &image::oci(1)).await;
    }
}

async fn catalog(server: &Server, query: &str) -> Answer {
    server.anonymous().get(&format!("/v2/_catalog{query}")).await
}

fn next(answer: &Answer) -> Option<String> {
    let link = answer.headers.get("link")?.to_str().unwrap();
    let (target, relation) = link.split_once('>').unwrap();
    assert_eq!(relation, "; rel=\"next\"", "{answer}");
    Some(target.strip_prefix('<').unwrap().to_owned())
}

/// S1-14: "exactly that body on an empty store".
async fn an_empty_registry_has_an_empty_catalogue(server: Server) {
    catalog(&server, "")
        .await
        .expect(200)
        .expect_header("content-type", "application/json; charset=utf-8")
        .expect_body("{\"repositories\":[]}\n");
}

async fn all_repositories_are_listed_in_order(server: Server) {
    filled(&server).await;
    let answer = catalog(&server, "").await.expect(200);
    assert_eq!(answer.json(), json!({ "repositories": SORTED }), "{answer}");
    assert_eq!(next(&answer), None, "{answer}");
}

async fn n_limits_and_link_leads_on(server: Server) {
    filled(&server).await;
    let mut found = Vec::new();
    let mut page = Some("/v2/_catalog?n=2".to_owned());
    let mut pages = 0;
    while let Some(target) = page {
        let answer = server.anonymous().get(&target).await.expect(200);
        let names = answer.json()["repositories"].as_array().unwrap().clone();
        assert!(names.len() <= 2, "{answer}");
        found.extend(names.iter().map(|name| name.as_str().unwrap().to_owned()));
        page = next(&answer);
        pages += 1;
    }
    assert_eq!(found, SORTED);
    assert_eq!(pages, 4);
    let first = catalog(&server, "?n=3").await.expect(200);
    let link = next(&first).unwrap();
    assert!(
        link == "/v2/_catalog?last=a%2Fb&n=3" || link == "/v2/_catalog?last=a/b&n=3",
        "{first}"
    );
}

async fn n_of_zero_gives_nothing(server: Server) {
    filled(&server).await;
    let answer = catalog(&server, "?n=0").await.expect(200);
    assert_eq!(answer.json(), json!({ "repositories": [] }), "{answer}");
    assert_eq!(next(&answer), None, "{answer}");
}

async fn n_that_is_no_number_is_refused(server: Server) {
    for n in ["-1", "many"] {
        catalog(&server, &format!("?n={n}"))
            .await
            .expect_error(400, "PAGINATION_NUMBER_INVALID");
    }
}

/// D5: what holds no image is not listed.
async fn empty_repositories_are_hidden(server: Server) {
    let repository = server.anonymous().repository("goes");
    let image = image::oci(1);
    repository.push_image("v1", &image).await;
    server
        .anonymous()
        .repository("stays")
        .push_image("v1", &image::oci(2))
        .await;
    repository
        .delete_manifest(&image.manifest.digest)
        .await
        .expect(202);
    let answer = catalog(&server, "").await.expect(200);
    assert_eq!(answer.json(), json!({ "repositories": ["stays"] }), "{answer}");
    // A page must not come out short, or even empty, because of what is hidden.
    let answer = catalog(&server, "?n=1").await.expect(200);
    assert_eq!(answer.json(), json!({ "repositories": ["stays"] }), "{answer}");
}

async fn a_repository_with_blobs_only_is_hidden(server: Server) {
    server
        .anonymous()
        .repository("blobs/only")
        .push_blob(&image::Blob::random(1, 10))
        .await;
    server.anonymous().repository("upload/only").start_upload().await;
    catalog(&server, "")
        .await
        .expect(200)
        .expect_body("{\"repositories\":[]}\n");
}

/// S0-13: "ignore irrelevant Accept".
async fn other_query_parameters_and_accept_headers_are_ignored(server: Server) {
    filled(&server).await;
    let answer = server
        .anonymous()
        .get("/v2/_catalog?n=100&pretty=1")
        .header("Accept", image::DOCKER_MANIFEST)
        .await
        .expect(200);
    assert_eq!(answer.json(), json!({ "repositories": SORTED }), "{answer}");
}

/// D3: registry:2 answers 400 here.
async fn more_than_the_maximum_is_clamped_with_a_link(builder: ServerBuilder) {
    let server = builder.config("catalog: {maxentries: 3}").start();
    filled(&server).await;
    let answer = catalog(&server, "?n=5").await.expect(200);
    assert_eq!(answer.json(), json!({ "repositories": SORTED[..3] }), "{answer}");
    assert!(next(&answer).is_some(), "{answer}");
}

async fn without_n_a_page_has_at_most_the_maximum(builder: ServerBuilder) {
    let server = builder.config("catalog: {maxentries: 3}").start();
    filled(&server).await;
    let answer = catalog(&server, "").await.expect(200);
    assert_eq!(answer.json(), json!({ "repositories": SORTED[..3] }), "{answer}");
    assert!(next(&answer).is_some(), "{answer}");
}
