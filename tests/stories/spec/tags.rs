//! end-8a, end-8b: `GET /v2/<name>/tags/list`.

use wharf_testkit::{Answer, Repository, Server, ServerBuilder, image, json};

wharf_testkit::on_both_engines![
    all_tags_are_listed_in_order,
    n_limits_and_link_leads_on,
    the_last_page_has_no_link,
    n_of_zero_gives_nothing_and_no_link,
    last_need_not_exist,
    last_without_n_gives_the_rest,
    n_that_is_no_number_is_refused,
    an_unknown_repository_is_404,
    a_repository_whose_tags_are_gone_has_an_empty_list,
    tags_with_odd_characters_survive_paging,
    a_parent_repository_does_not_list_its_child,
];

wharf_testkit::configured_on_both_engines![more_than_the_maximum_is_clamped_with_a_link];

/// ASCIIbetical: digits, upper case, underscore, lower case.
const SORTED: [&str; 6] = ["0.1", "1.0", "10", "Z", "_x", "a"];

async fn tagged(server: &Server) -> Repository {
    let repository = server.anonymous().repository("kyo/my-image");
    let image = image::oci(1);
    repository.push_blobs(&image).await;
    for tag in ["a", "10", "Z", "0.1", "_x", "1.0"] {
        repository.push_manifest(tag, &image.manifest).await;
    }
    repository
}

async fn list(repository: &Repository, query: &str) -> Answer {
    repository
        .client()
        .get(&format!("/v2/{}/tags/list{query}", repository.name))
        .await
}

/// The target of a `Link` with the relation `next`, or nothing.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.headers.get("link")?.to_str().unwrap();
    let (target, relation) = link.split_once('>').unwrap();
    assert_eq!(relation, "; rel=\"next\"", "{answer}");
    Some(target.strip_prefix('<').unwrap().to_owned())
}

/// "the tags MUST be in lexical … or ASCIIbetical order." "the response MUST be a json body in the
/// following format".
async fn all_tags_are_listed_in_order(server: Server) {
    let answer = list(&tagged(&server).await, "")
        .await
        .expect(200)
        .expect_header("content-type", "application/json; charset=utf-8");
    assert_eq!(
        answer.json(),
        json!({ "name": "kyo/my-image", "tags": SORTED }),
        "{answer}"
    );
    assert_eq!(next(&answer), None);
}

/// "If included, the `Link` header MUST be set according to RFC 5988 with the Relation Type
/// `rel="next"`." "`<tagname>` will not be included in the results".
async fn n_limits_and_link_leads_on(server: Server) {
    let repository = tagged(&server).await;
    let first = list(&repository, "?n=4").await.expect(200);
    assert_eq!(first.json()["tags"], json!(SORTED[..4]), "{first}");
    assert_eq!(
        next(&first).as_deref(),
        Some("/v2/kyo/my-image/tags/list?last=Z&n=4"),
        "{first}"
    );
    let second = repository.client().get(&next(&first).unwrap()).await.expect(200);
    assert_eq!(second.json()["tags"], json!(SORTED[4..]), "{second}");
    assert_eq!(next(&second), None, "{second}");
}

async fn the_last_page_has_no_link(server: Server) {
    let repository = tagged(&server).await;
    for query in ["?n=6", "?n=7", "?n=2&last=Z"] {
        let answer = list(&repository, query).await.expect(200);
        assert_eq!(next(&answer), None, "{answer}");
    }
}

/// "When `n` is zero, this endpoint MUST return an empty list, and MUST NOT include a `Link`
/// header."
async fn n_of_zero_gives_nothing_and_no_link(server: Server) {
    let answer = list(&tagged(&server).await, "?n=0").await.expect(200);
    assert_eq!(
        answer.json(),
        json!({ "name": "kyo/my-image", "tags": [] }),
        "{answer}"
    );
    assert_eq!(next(&answer), None, "{answer}");
}

/// The tag may have been deleted between two pages.
async fn last_need_not_exist(server: Server) {
    let answer = list(&tagged(&server).await, "?n=2&last=10.5").await.expect(200);
    assert_eq!(answer.json()["tags"], json!(["Z", "_x"]), "{answer}");
}

/// "When using the `last` query parameter, the `n` parameter is OPTIONAL."
async fn last_without_n_gives_the_rest(server: Server) {
    let repository = tagged(&server).await;
    let answer = list(&repository, "?last=Z").await.expect(200);
    assert_eq!(answer.json()["tags"], json!(["_x", "a"]), "{answer}");
    let answer = list(&repository, "?last=zzz").await.expect(200);
    assert_eq!(answer.json()["tags"], json!([]), "{answer}");
}

async fn n_that_is_no_number_is_refused(server: Server) {
    let repository = tagged(&server).await;
    for n in ["-1", "x", "1.5", "99999999999999999999x"] {
        list(&repository, &format!("?n={n}"))
            .await
            .expect_error(400, "PAGINATION_NUMBER_INVALID");
    }
}

async fn an_unknown_repository_is_404(server: Server) {
    let nobody = server.anonymous().repository("nobody");
    list(&nobody, "")
        .await
        .expect_error(404, "NAME_UNKNOWN")
        .expect_message("nobody");
}

/// "The list of tags MAY be empty if there are no tags on the repository."
async fn a_repository_whose_tags_are_gone_has_an_empty_list(server: Server) {
    let repository = server.anonymous().repository("a");
    repository.push_image("only", &image::oci(1)).await;
    repository.delete_manifest("only").await.expect(202);
    let answer = list(&repository, "").await.expect(200);
    assert_eq!(answer.json(), json!({ "name": "a", "tags": [] }), "{answer}");
}

async fn tags_with_odd_characters_survive_paging(server: Server) {
    let repository = server.anonymous().repository("a");
    let image = image::oci(1);
    repository.push_blobs(&image).await;
    let tags = ["1.0-rc.1", "1.0_x", "__", "a.b-c_d"];
    for tag in tags {
        repository.push_manifest(tag, &image.manifest).await;
    }
    let mut found = Vec::new();
    let mut page = Some("/v2/a/tags/list?n=1".to_owned());
    while let Some(target) = page {
        let answer = repository.client().get(&target).await.expect(200);
        found.extend(
            answer.json()["tags"]
                .as_array()
                .unwrap()
                .iter()
                .map(|tag| tag.as_str().unwrap().to_owned()),
        );
        page = next(&answer);
    }
    assert_eq!(found, tags);
}

async fn a_parent_repository_does_not_list_its_child(server: Server) {
    let client = server.anonymous();
    client.repository("a/b").push_image("child", &image::oci(1)).await;
    list(&client.repository("a"), "")
        .await
        .expect_error(404, "NAME_UNKNOWN");
    client.repository("a").push_image("parent", &image::oci(2)).await;
    assert_eq!(client.repository("a").tags().await, ["parent"]);
    assert_eq!(client.repository("a/b").tags().await, ["child"]);
}

/// D3, with registry:3's key for the maximum.
async fn more_than_the_maximum_is_clamped_with_a_link(builder: ServerBuilder) {
    let server = builder.config("tags: {maxtags: 2}").start();
    let repository = tagged(&server).await;
    let answer = list(&repository, "?n=5").await.expect(200);
    assert_eq!(answer.json()["tags"], json!(SORTED[..2]), "{answer}");
    assert!(
        next(&answer).is_some_and(|link| link.contains("last=1.0")),
        "{answer}"
    );
}
