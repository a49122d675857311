//! What is looked at: repositories, tags, and the search.

use wharf_testkit::{Server, ServerBuilder, image, image::Manifest, json};

use super::{Browser, with_accounts, with_rules};

wharf_testkit::configured_on_both_engines![
    repositories_are_shown_as_a_tree_and_as_a_list,
    an_empty_registry_says_how_to_push,
    a_directory_with_many_repositories_is_a_link_to_its_own_page,
    tags_are_shown_by_version_and_sorted_by_other_columns,
    tags_are_paged_and_filtered,
    buttons_are_those_that_the_visitor_may_press,
    manifests_without_a_tag_are_listed_on_request,
    a_search_shows_where_the_text_was_found,
    a_name_that_is_not_there_has_similar_ones,
    pages_of_images_work_below_a_prefix,
];

/// A server with accounts, and these tags of one image.
async fn with_tags(builder: ServerBuilder, images: &[&str]) -> Server {
    let server = with_accounts(builder).start();
    push(&server, images).await;
    server
}

async fn push(server: &Server, images: &[&str]) {
    let alice = server.anonymous().as_user("alice", "pw");
    let pushed = image::oci("shown");
    for name in images {
        let (repository, tag) = name.split_once(':').unwrap();
        alice.repository(repository).push_image(tag, &pushed).await;
    }
}

/// The places of texts in a page, which must be there.
#[track_caller]
fn places(page: &str, texts: &[&str]) -> Vec<usize> {
    let place = |text: &&str| {
        page.find(*text)
            .unwrap_or_else(|| panic!("no `{text}` in {page}"))
    };
    texts.iter().map(place).collect()
}

async fn repositories_are_shown_as_a_tree_and_as_a_list(builder: ServerBuilder) {
    let server = with_tags(builder, &["team/app:1", "team/tools/ci:1", "base:1", "base:2"]).await;
    let mut browser = Browser::of(&server, "alice").await;
    let tree = browser.open("/").await.expect(200).text();
    assert!(tree.contains("3 repositories"), "{tree}");
    places(
        &tree,
        &[
            "<bdi>team/</bdi>",
            "<bdi>tools/</bdi>",
            "<bdi>ci</bdi>",
            "/ui/repo/team/tools/ci",
        ],
    );
    let list = browser.open("/?view=flat").await.expect(200).text();
    let order = places(
        &list,
        &[
            "/ui/repo/base\"",
            "/ui/repo/team/app\"",
            "/ui/repo/team/tools/ci\"",
        ],
    );
    assert!(order.is_sorted(), "{list}");
    assert!(list.contains("aria-sort=\"ascending\""), "{list}");
    let other = browser.open("/?view=flat&sort=-name").await.expect(200).text();
    let order = places(&other, &["/ui/repo/team/tools/ci\"", "/ui/repo/base\""]);
    assert!(order.is_sorted(), "{other}");
    // A part of a name is a filter, and so is a pattern.
    for filter in ["tools", "team/**"] {
        let found = browser.open(&format!("/?q={filter}")).await.expect(200).text();
        assert!(
            found.contains("/ui/repo/team/tools/ci") && !found.contains("/ui/repo/base"),
            "{found}"
        );
    }
    let none = browser.open("/?q=nothing-like-it").await.expect(200).text();
    assert!(none.contains("Nothing fits the filter"), "{none}");
}

async fn an_empty_registry_says_how_to_push(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let mut browser = Browser::of(&server, "alice").await;
    let page = browser.open("/").await.expect(200).text();
    let push = format!("docker push {}/team/app:1.0", server.address());
    assert!(
        page.contains("There are no images yet") && page.contains(&push),
        "{page}"
    );
}

async fn a_directory_with_many_repositories_is_a_link_to_its_own_page(builder: ServerBuilder) {
    let names: Vec<String> = (0..52).map(|number| format!("many/n{number:02}:1")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let server = with_tags(builder, &names).await;
    let mut browser = Browser::of(&server, "alice").await;
    let folded = browser.open("/").await.expect(200).text();
    assert!(
        folded.contains("?q=many/**") && !folded.contains("/ui/repo/many/n00"),
        "{folded}"
    );
    let open = browser.open("/?q=many/**").await.expect(200).text();
    places(&open, &["/ui/repo/many/n00", "/ui/repo/many/n51"]);
}

async fn tags_are_shown_by_version_and_sorted_by_other_columns(builder: ServerBuilder) {
    let server = with_tags(builder, &["app:1.9", "app:1.10", "app:latest", "app:1.10-rc.1"]).await;
    let mut browser = Browser::of(&server, "alice").await;
    let page = browser.open("/repo/app").await.expect(200).text();
    let tags = [
        "/image/app:1.10\"",
        "/image/app:1.10-rc.1\"",
        "/image/app:1.9\"",
        "/image/app:latest\"",
    ];
    assert!(places(&page, &tags).is_sorted(), "{page}");
    assert!(page.contains("aria-sort=\"descending\""), "{page}");
    let pull = format!("docker pull {}/app:1.10", server.address());
    assert!(page.contains(&pull), "{page}");
    let named = browser.open("/repo/app?sort=name").await.expect(200).text();
    let tags = ["/image/app:1.10\"", "/image/app:1.9\"", "/image/app:latest\""];
    assert!(places(&named, &tags).is_sorted(), "{named}");
    browser.open("/repo/app?sort=-pushed").await.expect(200);
    // The commands are those of the program that the visitor has chosen.
    let form = super::Form::find(&browser.open("/account").await, "/preferences");
    browser
        .send(&form.with("client", "podman").without("theme").without("lang"))
        .await
        .expect(303);
    let page = browser.open("/repo/app").await.expect(200).text();
    assert!(
        page.contains(&format!("podman pull {}/app:1.9", server.address())),
        "{page}"
    );
}

async fn tags_are_paged_and_filtered(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    let app = alice.repository("app");
    let pushed = image::oci("shown");
    app.push_image("n000", &pushed).await;
    for number in 1..=120 {
        app.push_manifest(&format!("n{number:03}"), &pushed.manifest)
            .await;
    }
    let mut browser = Browser::of(&server, "alice").await;
    let first = browser.open("/repo/app?sort=name").await.expect(200).text();
    assert!(
        first.contains("app:n099\"") && !first.contains("app:n100\""),
        "{first}"
    );
    let next = first
        .split("rel=\"next\" href=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let next = next.replace("&#38;", "&");
    let second = browser.go(&next).await.expect(200).text();
    assert!(
        second.contains("app:n100\"") && !second.contains("app:n099\""),
        "{second}"
    );
    assert!(
        second.contains("First page") && !second.contains("rel=\"next\""),
        "{second}"
    );
    let filtered = browser.open("/repo/app?match=n01").await.expect(200).text();
    assert!(
        filtered.contains("app:n015\"") && !filtered.contains("app:n115\""),
        "{filtered}"
    );
    browser.open("/repo/app?match=re:(").await.expect(400);
    let odd = browser
        .open("/repo/app?match=%3Cscript%3E(%5B")
        .await
        .expect(200)
        .text();
    assert!(!odd.contains("<script>("), "{odd}");
}

async fn buttons_are_those_that_the_visitor_may_press(builder: ServerBuilder) {
    let rules = "rules:
\
                 - {accounts: alice, repositories: '**', allow: [pull, push, delete]}
\
                 - {accounts: bob, repositories: 'public/**', allow: pull}
\
                 - {accounts: anonymous, repositories: 'public/**', allow: pull}
";
    let server = with_rules(builder, rules).start();
    push(&server, &["public/app:1", "public/app:2", "secret:1"]).await;
    let mut alice = Browser::of(&server, "alice").await;
    let page = alice.open("/repo/public/app").await.expect(200).text();
    places(
        &page,
        &["Delete selected", "everything=1", "name=\"tag\" value=\"1\""],
    );
    let image = alice.open("/image/public/app:1").await.expect(200).text();
    places(&image, &["/ui/delete/public/app?tag=1", "Delete tag"]);
    let (mut bob, mut anonymous) = (Browser::of(&server, "bob").await, Browser::new(&server));
    for reader in [&mut bob, &mut anonymous] {
        let page = reader.open("/repo/public/app").await.expect(200).text();
        assert!(page.contains("/image/public/app:1"), "{page}");
        assert!(
            !page.contains("Delete") && !page.contains("type=\"checkbox\" name=\"tag\""),
            "{page}"
        );
        let image = reader.open("/image/public/app:1").await.expect(200).text();
        assert!(!image.contains("/ui/delete/"), "{image}");
        let list = reader.open("/").await.expect(200).text();
        assert!(list.contains("public/") && !list.contains("secret"), "{list}");
    }
    // What may not be seen is answered alike, whether it is there or not, and is not named either.
    for path in [
        "/repo/secre",
        "/repo/secret",
        "/image/secret:1",
        "/files/secret:1",
        "/history/secret:1",
    ] {
        let hidden = bob.open(path).await.expect(404).text();
        assert!(!hidden.contains("href=\"/ui/repo/secret\""), "{path}: {hidden}");
    }
    anonymous.open("/image/secret:1").await.expect(303);
}

async fn manifests_without_a_tag_are_listed_on_request(builder: ServerBuilder) {
    let server = with_tags(builder, &["app:1"]).await;
    let alice = server.anonymous().as_user("alice", "pw");
    let app = alice.repository("app");
    let other = image::oci("other");
    app.push_image("2", &other).await;
    app.push_image("2", &image::oci("shown")).await;
    let mut browser = Browser::of(&server, "alice").await;
    let page = browser.open("/repo/app").await.expect(200).text();
    assert!(!page.contains(&other.manifest.digest), "{page}");
    let page = browser.open("/repo/app?untagged=1").await.expect(200).text();
    let image = format!("/ui/image/app@{}", other.manifest.digest);
    places(&page, &[&image, "1 manifest", "name=\"manifest\""]);
    assert!(!page.contains("/ui/image/app:1"), "{page}");
}

async fn a_search_shows_where_the_text_was_found(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    let pushed = image::oci("searched");
    let labelled = image::Image {
        manifest: pushed
            .manifest
            .with(&json!({"annotations": {"com.example.<b>team</b>": "<img src=x>Blue Whale"}})),
        ..pushed
    };
    alice.repository("app").push_image("1", &labelled).await;
    let mut browser = Browser::of(&server, "alice").await;
    let page = browser.open("/search?q=blue+whale").await.expect(200).text();
    places(
        &page,
        &[
            "<mark>Blue Whale</mark>",
            "/ui/image/app:1",
            "&#60;img src=x&#62;",
        ],
    );
    assert!(!page.contains("<img") && !page.contains("<b>team"), "{page}");
    // The field of the bar has the text as well.
    assert_eq!(page.matches("value=\"blue whale\"").count(), 2, "{page}");
    let nothing = browser
        .open("/search?q=%22%3E%3Cscript%3E")
        .await
        .expect(200)
        .text();
    assert!(
        nothing.contains("Nothing has") && !nothing.contains("\"><script>"),
        "{nothing}"
    );
    let names = browser
        .open("/search?q=blue+whale&in=name")
        .await
        .expect(200)
        .text();
    assert!(names.contains("Nothing has"), "{names}");
    browser.open("/search").await.expect(200);
}

async fn a_name_that_is_not_there_has_similar_ones(builder: ServerBuilder) {
    let server = with_tags(builder, &["team/app:1.4.2", "team/web:1"]).await;
    let mut browser = Browser::of(&server, "alice").await;
    for (path, similar) in [
        ("/repo/team/ap", "/ui/repo/team/app\""),
        ("/image/taem/app:1.4.2", "/ui/repo/team/app\""),
        ("/image/team/app:1.4.3", "/ui/image/team/app:1.4.2\""),
        ("/history/team/app:none", "/ui/repo/team/app\""),
        ("/repo/Team/App", "/ui/repo/team/app\""),
    ] {
        let page = browser.open(path).await.expect(404).text();
        assert!(page.contains(similar), "{path}: {page}");
    }
    let page = browser
        .open("/repo/%3Cscript%3Ealert(1)%3C%2Fscript%3E")
        .await
        .expect(404)
        .text();
    assert!(!page.contains("<script>alert"), "{page}");
}

async fn pages_of_images_work_below_a_prefix(builder: ServerBuilder) {
    let server = with_accounts(builder).http("prefix: /registry/").start();
    let alice = server.anonymous().as_user("alice", "pw");
    let pushed = image::oci("shown");
    let base = "/registry/v2/team/app";
    for blob in &pushed.blobs {
        let start = alice
            .post(&format!("{base}/blobs/uploads/?digest={}", blob.digest))
            .body(blob.bytes.clone())
            .await;
        start.expect(201);
    }
    let Manifest {
        bytes, media_type, ..
    } = pushed.manifest.clone();
    let put = alice
        .put(&format!("{base}/manifests/1.0"))
        .header("content-type", media_type)
        .body(bytes)
        .await;
    put.expect(201);
    let mut browser = Browser::new(&server);
    "/registry/ui".clone_into(&mut browser.root);
    browser.sign_in("alice", "pw").await.expect(303);
    for path in [
        "/",
        "/?view=flat",
        "/repo/team/app",
        "/image/team/app:1.0",
        "/history/team/app:1.0",
        "/compare/team/app",
        "/search?q=app",
    ] {
        let page = browser.open(path).await.expect(200).text();
        for link in page
            .split("href=\"")
            .chain(page.split("action=\""))
            .chain(page.split("src=\""))
            .skip(1)
        {
            let link = link.split('"').next().unwrap();
            let is_own = !link.starts_with('/') || link.starts_with("/registry/");
            assert!(is_own, "{path}: {link}");
        }
    }
}
