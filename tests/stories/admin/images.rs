//! What lists show of images: sizes, platforms, times, pulls.

use wharf_testkit::{Client, ServerBuilder, Value, eventually, image};

use super::{Api, ExpectProblem as _, image::RULES, tags::ruled, with_users};

wharf_testkit::configured_on_both_engines![
    a_page_of_tags_shows_what_they_point_at,
    tags_come_sorted_filtered_and_in_pages,
    tags_that_a_caller_may_not_pull_are_not_listed,
    pulls_of_tags_are_shown_as_soon_as_they_are_counted,
    without_an_activity_log_no_pulls_are_shown,
    repositories_come_sorted_filtered_and_with_what_is_in_them,
    a_repository_shows_what_its_caller_may_pull,
    what_every_client_may_pull_is_listed_and_found_without_an_account,
    patterns_and_texts_that_are_too_long_are_refused,
];

/// The sizes of the blobs of an image, together.
fn size(image: &image::Image) -> u64 {
    image.blobs.iter().map(|blob| blob.bytes.len() as u64).sum()
}

fn texts<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    let entries = list.as_array().unwrap().iter();
    entries.map(|entry| entry[field].as_str().unwrap()).collect()
}

/// Gets all pages of a list, and gives the texts of one field of its entries.
async fn all_pages(api: &Api, target: &str, list: &str, field: &str) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("{target}{cursor}")).await.expect(200).json();
        found.extend(texts(&page[list], field).into_iter().map(str::to_owned));
        match page.get("next") {
            Some(next) => cursor = format!("&cursor={}", next.as_str().unwrap()),
            None => return found,
        }
    }
}

async fn a_page_of_tags_shows_what_they_point_at(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    let app = alice.repository("team/app");
    let (docker, index, cache) = (
        image::docker(1),
        image::oci_index(1),
        image::buildkit_cache(1, image::OCI_INDEX),
    );
    app.push_image("1.0", &docker).await;
    app.push_index("2.0", &index).await;
    app.push_image("cache", &cache).await;
    let signature = image::artifact(
        1,
        "application/vnd.dev.cosign.artifact.sig.v1+json",
        &docker.manifest,
    );
    app.push_image("signature", &signature).await;

    let api = Api::of_operator(&server).await;
    let page = api.get("/tags?repository=team/app").await.expect(200).json();
    assert_eq!(page["repository"], "team/app");
    assert!(page.get("next").is_none(), "{page}");
    let tags = &page["tags"];
    assert_eq!(texts(tags, "tag"), ["1.0", "2.0", "cache", "signature"]);
    assert_eq!(texts(tags, "kind"), ["image", "image", "cache", "signature"]);
    for (number, manifest) in [
        &docker.manifest,
        &index.manifest,
        &cache.manifest,
        &signature.manifest,
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(tags[number]["digest"], manifest.digest);
        assert_eq!(tags[number]["media_type"], manifest.media_type);
        assert!(tags[number].get("problem").is_none(), "{page}");
    }
    assert_eq!(tags[0]["size"], size(&docker));
    assert_eq!(texts(&tags[0]["platforms"], "platform"), ["linux/amd64"]);
    assert_eq!(tags[0]["platforms"][0]["digest"], docker.manifest.digest);
    assert_eq!(tags[1]["size"], index.images.iter().map(size).sum::<u64>());
    let platforms = &tags[1]["platforms"];
    assert_eq!(
        texts(platforms, "platform"),
        ["linux/amd64", "linux/arm64"],
        "attestations are left out"
    );
    assert_eq!(platforms[1]["digest"], index.images[1].manifest.digest);
    assert_eq!(platforms[1]["size"], size(&index.images[1]));
    assert_eq!(tags[2]["size"], size(&cache));
    assert_eq!(tags[3]["platforms"].as_array().unwrap().len(), 0);

    // An image that an index lists has a row of its own under a tag of its own.
    app.push_image("2.0-arm64", &index.images[1]).await;
    let page = api
        .get("/tags?repository=team/app&match=2.0-*")
        .await
        .expect(200)
        .json();
    assert_eq!(texts(&page["tags"][0]["platforms"], "platform"), ["linux/arm64"]);

    let by_alice = api.with(alice);
    by_alice.get("/tags?repository=team/app").await.expect(200);
    for target in ["/tags?repository=other", "/tags?repository=team"] {
        by_alice.get(target).await.expect_problem(404, "unknown-image");
    }
}

async fn pushed(client: &Client, tags: &[&str]) {
    let image = image::oci(1);
    for tag in tags {
        client.repository("app").push_image(tag, &image).await;
    }
}

async fn tags_come_sorted_filtered_and_in_pages(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    pushed(&alice, &["b", "a", "1.1", "1.0", "c"]).await;
    let api = Api::of_operator(&server).await;
    let list =
        async |query: &str| all_pages(&api, &format!("/tags?repository=app&{query}"), "tags", "tag").await;

    for limit in ["limit=1", "limit=2", "limit=4", "limit=5", "limit=1000"] {
        assert_eq!(list(limit).await, ["1.0", "1.1", "a", "b", "c"], "{limit}");
        let descending = list(&format!("{limit}&sort=-name")).await;
        assert_eq!(descending, ["c", "b", "a", "1.1", "1.0"], "{limit}");
        // A bucket in memory has times of its own; that each tag is there once holds on both.
        for sort in ["pushed", "-pushed"] {
            let mut by_time = list(&format!("{limit}&sort={sort}")).await;
            by_time.sort();
            assert_eq!(by_time, ["1.0", "1.1", "a", "b", "c"], "{limit} {sort}");
        }
        assert_eq!(list(&format!("{limit}&match=1.*")).await, ["1.0", "1.1"]);
        assert_eq!(
            list(&format!("{limit}&match=re:[ac]&sort=-name")).await,
            ["c", "a"]
        );
        assert_eq!(list(&format!("{limit}&match=none")).await, [""; 0]);
    }
    for (query, field) in [
        ("sort=size", "sort"),
        ("cursor=1:a", "cursor"),
        ("sort=pushed&cursor=a", "cursor"),
        ("match=re:(", "match"),
        ("limit=1001", "limit"),
        ("match=", "match"),
    ] {
        let problem = api.get(&format!("/tags?repository=app&{query}")).await;
        let problem = problem.expect_problem(400, "bad-query").json();
        assert_eq!(problem["field"], field, "{query}");
    }
}

async fn tags_that_a_caller_may_not_pull_are_not_listed(builder: ServerBuilder) {
    let server = ruled(builder, RULES);
    let user = |name: &str| server.anonymous().as_user(name, "pw");
    pushed(&user("alice"), &["0.9", "1.0", "1.1", "2.0"]).await;
    let operator = Api::of_operator(&server).await;
    let seen = async |name: &str, query: &str| {
        let api = operator.with(user(name));
        all_pages(
            &api,
            &format!("/tags?repository=app&limit=1{query}"),
            "tags",
            "tag",
        )
        .await
    };
    assert_eq!(seen("alice", "").await, ["0.9", "1.0", "1.1", "2.0"]);
    for query in ["", "&sort=pushed", "&sort=-pushed", "&sort=-name"] {
        let mut tags = seen("bob", query).await;
        tags.sort();
        assert_eq!(tags, ["1.0", "1.1"], "{query}");
    }
    operator
        .with(user("carol"))
        .get("/tags?repository=app")
        .await
        .expect_problem(404, "unknown-image");
    operator
        .with(server.anonymous())
        .get("/tags?repository=app")
        .await
        .expect_problem(401, "not-authenticated");
}

async fn pulls_of_tags_are_shown_as_soon_as_they_are_counted(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    pushed(&alice, &["1.0", "2.0"]).await;
    let app = alice.repository("app");
    for _ in 0..3 {
        app.get_manifest("1.0").await.expect(200);
    }
    let api = Api::of_operator(&server).await;
    let tags = async || api.get("/tags?repository=app").await.expect(200).json()["tags"].clone();
    eventually("three pulls are counted", async || tags().await[0]["pulls"] == 3).await;
    let tags = tags().await;
    assert!(tags[0]["last_pull"].is_string(), "{tags}");
    assert_eq!(tags[1]["pulls"], 0);
    assert!(tags[1].get("last_pull").is_none(), "{tags}");
}

async fn without_an_activity_log_no_pulls_are_shown(builder: ServerBuilder) {
    let server = with_users(builder).config("activity: {disabled: true}").start();
    let alice = server.anonymous().as_user("alice", "pw");
    pushed(&alice, &["1.0"]).await;
    let api = Api::of_operator(&server).await;
    let page = api.get("/tags?repository=app").await.expect(200).json();
    assert!(page["tags"][0].get("pulls").is_none(), "{page}");
}

async fn repositories_come_sorted_filtered_and_with_what_is_in_them(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    let (docker, index) = (image::docker(1), image::oci_index(1));
    alice.repository("team/b").push_image("1.0", &docker).await;
    alice.repository("team/b").push_image("latest", &docker).await;
    alice.repository("team/a").push_index("latest", &index).await;
    alice.repository("z").push_image("latest", &docker).await;
    alice.repository("z").get_manifest("latest").await.expect(200);
    let api = Api::of_operator(&server).await;
    let list =
        async |query: &str| all_pages(&api, &format!("/repositories?{query}"), "repositories", "name").await;

    for limit in ["limit=1", "limit=2", "limit=3", "limit=1000"] {
        assert_eq!(list(limit).await, ["team/a", "team/b", "z"], "{limit}");
        assert_eq!(
            list(&format!("{limit}&sort=-name")).await,
            ["z", "team/b", "team/a"]
        );
        assert_eq!(list(&format!("{limit}&match=team/*")).await, ["team/a", "team/b"]);
        let mut by_time = list(&format!("{limit}&sort=-pushed")).await;
        by_time.sort();
        assert_eq!(by_time, ["team/a", "team/b", "z"], "{limit}");
    }
    let pulled = async || api.get("/repositories").await.expect(200).json()["repositories"].clone();
    eventually("the pull is counted", async || pulled().await[2]["pulls"] == 1).await;
    let rows = pulled().await;
    assert_eq!((&rows[1]["tags"], &rows[1]["manifests"]), (&2.into(), &1.into()));
    assert_eq!(rows[1]["size"], size(&docker));
    assert_eq!((&rows[0]["tags"], &rows[0]["manifests"]), (&1.into(), &5.into()));
    assert_eq!(rows[0]["size"], index.images.iter().map(size).sum::<u64>());
    assert!(
        rows[0]["pushed"].is_string() && rows[2]["last_pull"].is_string(),
        "{rows}"
    );
    assert!(rows[0].get("last_pull").is_none(), "{rows}");
}

async fn a_repository_shows_what_its_caller_may_pull(builder: ServerBuilder) {
    let server = ruled(builder, RULES);
    let user = |name: &str| server.anonymous().as_user(name, "pw");
    let (visible, hidden) = (image::docker(1), image::docker(2));
    for repository in ["app", "secret"].map(|name| user("alice").repository(name)) {
        repository.push_image("1.0", &visible).await;
        repository.push_image("2.0", &hidden).await;
        repository.get_manifest("2.0").await.expect(200);
    }
    let operator = Api::of_operator(&server).await;
    let rows = async |name: &str| {
        let api = operator.with(user(name));
        api.get("/repositories").await.expect(200).json()["repositories"].clone()
    };
    eventually("the pull is counted", async || {
        rows("alice").await[0]["pulls"] == 1
    })
    .await;
    let by_alice = rows("alice").await;
    assert_eq!(texts(&by_alice, "name"), ["app", "secret"]);
    assert_eq!(
        (&by_alice[0]["tags"], &by_alice[0]["manifests"]),
        (&2.into(), &2.into())
    );

    let by_bob = rows("bob").await;
    assert_eq!(texts(&by_bob, "name"), ["app"]);
    assert_eq!(
        (&by_bob[0]["tags"], &by_bob[0]["manifests"]),
        (&1.into(), &1.into())
    );
    assert_eq!(by_bob[0]["size"], size(&visible));
    assert!(by_bob[0].get("pulls").is_none(), "{by_bob}");
    for (name, is_shown) in [("alice", true), ("bob", false)] {
        let api = operator.with(user(name));
        let image = api.get("/image?repository=app&reference=1.0").await.expect(200);
        assert_eq!(image.json().get("pulls").is_some(), is_shown, "{name}");
    }
    assert_eq!(rows("carol").await.as_array().unwrap().len(), 0);
    for target in ["/repositories", "/search?q=a"] {
        let anonymous = operator.with(server.anonymous()).get(target).await;
        anonymous.expect_problem(401, "not-authenticated");
    }
}

async fn what_every_client_may_pull_is_listed_and_found_without_an_account(builder: ServerBuilder) {
    let server = ruled(
        builder,
        "rules:\n\
         - {accounts: alice, repositories: '**', allow: [pull, push]}\n\
         - {accounts: anonymous, repositories: 'public/**', tags: ['1.*'], allow: pull}\n",
    );
    let alice = server.anonymous().as_user("alice", "pw");
    let (visible, hidden) = (image::docker(1), image::docker(2));
    for name in ["public/app", "secret/app"] {
        alice.repository(name).push_image("1.0", &visible).await;
        alice.repository(name).push_image("2.0", &hidden).await;
    }
    let operator = Api::of_operator(&server).await;
    let anonymous = operator.with(server.anonymous());
    let page = anonymous.get("/repositories").await.expect(200).json();
    let rows = &page["repositories"];
    assert_eq!(texts(rows, "name"), ["public/app"]);
    assert_eq!((&rows[0]["tags"], &rows[0]["manifests"]), (&1.into(), &1.into()));
    assert!(rows[0].get("pulls").is_none(), "{page}");
    for (text, expected) in [
        ("app", 1),
        ("secret", 0),
        ("1.0", 1),
        ("2.0", 0),
        (visible.manifest.digest.as_str(), 1),
        (hidden.manifest.digest.as_str(), 0),
    ] {
        let page = anonymous
            .get(&format!("/search?q={text}"))
            .await
            .expect(200)
            .json();
        let hits = page["hits"].as_array().unwrap();
        assert_eq!(hits.len(), expected, "{text}: {page}");
        assert!(hits.iter().all(|hit| hit["repository"] == "public/app"), "{page}");
    }
}

async fn patterns_and_texts_that_are_too_long_are_refused(builder: ServerBuilder) {
    let server = with_users(builder).start();
    pushed(&server.anonymous().as_user("alice", "pw"), &["1.0"]).await;
    let api = Api::of_operator(&server).await;
    let (fits, long) = ("a".repeat(997), "a".repeat(998));
    for (target, field) in [
        ("/tags?repository=app&match=re:", "match"),
        ("/repositories?match=re:", "match"),
        ("/search?q=aaa", "q"),
    ] {
        api.get(&format!("{target}{fits}")).await.expect(200);
        let problem = api.get(&format!("{target}{long}")).await;
        let problem = problem.expect_problem(400, "bad-query").json();
        assert_eq!(problem["field"], field, "{target}");
    }
    let large = api
        .get("/tags?repository=app&match=re:(a%7B1000%7D)%7B1000%7D")
        .await;
    large.expect_problem(400, "bad-query");
}
