//! `access.rules`: what accounts, and clients without one, may do to which repository.

use wharf_testkit::{
    Client, Method, Server, ServerBuilder, digest,
    image::{self, Blob},
    store,
};

wharf_testkit::configured_on_both_engines![
    a_user_who_lacks_a_right_is_told_which_and_why,
    a_client_without_an_account_is_asked_to_log_in_unless_the_rules_let_it,
    empty_credentials_are_those_of_no_account,
    the_catalogue_has_what_each_client_may_pull_in_whole_pages,
    tags_that_a_client_may_not_pull_are_not_listed,
    a_blob_is_not_mounted_from_a_repository_that_its_client_may_not_read,
    a_tag_that_may_be_created_is_not_moved,
    a_digest_does_not_take_a_protected_tag_with_it,
    a_refused_deletion_names_no_tag_that_its_client_may_not_see,
    a_client_that_may_delete_and_not_pull_is_told_the_remedy_that_works,
    a_push_with_further_tags_needs_what_a_push_by_each_of_them_needs,
    an_account_that_may_push_may_end_its_upload,
    an_account_that_may_not_end_an_upload_is_told_that_it_may_not_push,
    rules_change_with_their_file_and_the_last_good_ones_stay,
    users_may_do_everything_without_rules_and_the_public_may_pull,
    a_proxy_that_is_believed_names_the_account_and_its_groups,
    a_client_that_names_its_account_itself_is_refused,
    a_page_of_another_site_changes_nothing_for_the_user_of_the_browser,
];

const USERS: &[&str] = &["alice", "bob", "ci", "root"];

/// A hash of `pw` that is quick to check.
const HASH: &str = "$2y$04$KQlVPV7oebzne.IOGT3eAONmm5hGHB1wtnxLDUdOMyabu50rBKuzq";

/// A server with users that all have the password `pw`, and these rules.
fn ruled(builder: ServerBuilder, rules: &str) -> Server {
    builder.write("rules.yml", rules);
    let path = builder.path("rules.yml").display().to_string();
    with_users(builder)
        .config(format!("access: {{rules: {path}, admins: [root]}}"))
        .start()
}

fn with_users(builder: ServerBuilder) -> ServerBuilder {
    let lines = USERS.iter().map(|name| format!("{name}:{HASH}\n"));
    builder.write("htpasswd", lines.collect::<String>());
    let path = builder.path("htpasswd").display().to_string();
    builder.htpasswd(&path)
}

fn user(server: &Server, name: &str) -> Client {
    server.anonymous().as_user(name, "pw")
}

async fn a_user_who_lacks_a_right_is_told_which_and_why(builder: ServerBuilder) {
    let server = ruled(
        builder,
        "rules:\n\
         - {accounts: bob, repositories: 'team/secret', deny: '*', comment: 'ask the security team'}\n\
         - {accounts: bob, repositories: 'team/**', allow: pull}\n",
    );
    let image = image::oci(1);
    user(&server, "root")
        .repository("team/app")
        .push_image("1", &image)
        .await;
    let bob = user(&server, "bob");
    bob.repository("team/app").pull_image("1", &image).await;
    bob.get("/v2/").await.expect(200);
    let blob = digest::unknown(1);
    for (method, path, text) in [
        (
            Method::POST,
            "/v2/team/app/blobs/uploads/".to_owned(),
            "push to team/app",
        ),
        (
            Method::PUT,
            "/v2/team/app/manifests/2".to_owned(),
            "push to team/app",
        ),
        (
            Method::DELETE,
            format!("/v2/team/app/blobs/{blob}"),
            "delete in team/app",
        ),
        (Method::GET, "/v2/other/tags/list".to_owned(), "pull from other"),
        (
            Method::GET,
            "/v2/team/secret/tags/list".to_owned(),
            "pull from team/secret: ask the security team",
        ),
    ] {
        bob.request(method, &path)
            .await
            .expect_error(403, "DENIED")
            .expect_message(text)
            .expect_no_header("www-authenticate");
    }
    server
        .anonymous()
        .as_user("bob", "wrong")
        .get("/v2/team/app/tags/list")
        .await
        .expect_error(401, "UNAUTHORIZED");
}

async fn a_client_without_an_account_is_asked_to_log_in_unless_the_rules_let_it(builder: ServerBuilder) {
    let server = ruled(
        builder,
        "rules: [{accounts: anonymous, repositories: 'public/**', allow: pull}]",
    );
    let image = image::docker(1);
    for name in ["public/a", "private/a"] {
        user(&server, "root")
            .repository(name)
            .push_image("1", &image)
            .await;
    }
    let anonymous = server.anonymous();
    anonymous.repository("public/a").pull_image("1", &image).await;
    anonymous
        .get("/v2/_catalog")
        .await
        .expect(200)
        .expect_body("{\"repositories\":[\"public/a\"]}\n");
    for (method, path) in [
        (Method::GET, "/v2/"),
        (Method::GET, "/v2/private/a/manifests/1"),
        (Method::POST, "/v2/public/a/blobs/uploads/"),
    ] {
        let answer = anonymous.request(method, path).await;
        answer
            .expect_error(401, "UNAUTHORIZED")
            .expect_header("www-authenticate", "Basic realm=\"Registry Realm\"");
    }
}

/// As the libraries of podman and skopeo send them when they know no password for a server that asks for one.
async fn empty_credentials_are_those_of_no_account(builder: ServerBuilder) {
    let server = ruled(
        builder,
        "rules: [{accounts: anonymous, repositories: 'public/**', allow: pull}]",
    );
    let image = image::docker(1);
    user(&server, "root")
        .repository("public/a")
        .push_image("1", &image)
        .await;
    let unnamed = server.anonymous().as_user("", "");
    unnamed.repository("public/a").pull_image("1", &image).await;
    unnamed.get("/v2/").await.expect(401);
    unnamed.get("/v2/private/a/tags/list").await.expect(401);
    server
        .anonymous()
        .as_user("", "x")
        .get("/v2/public/a/tags/list")
        .await
        .expect(401);
}

async fn the_catalogue_has_what_each_client_may_pull_in_whole_pages(builder: ServerBuilder) {
    let server = ruled(
        builder,
        "rules:\n\
         - {accounts: alice, repositories: ['team/b*', 'team/x/**', 'zoo'], allow: pull}\n\
         - {accounts: bob, repositories: '${account}/**', allow: '*'}\n",
    );
    let root = user(&server, "root");
    let image = image::oci(1);
    let names = [
        "aaa",
        "bob/one",
        "bob/two/three",
        "bobby/x",
        "team/a",
        "team/b",
        "team/b/c",
        "team/bb",
        "team/x",
        "team/x/y",
        "team/y",
        "teams",
        "zoo",
        "zoo/x",
    ];
    for name in names {
        root.repository(name).push_image("1", &image).await;
    }
    let seen_by = async |name: &str, n: usize| {
        let client = user(&server, name);
        let (mut seen, mut pages) = (Vec::new(), 0);
        let mut path = format!("/v2/_catalog?n={n}");
        loop {
            let answer = client.get(&path).await.expect(200);
            let page: Vec<String> = serde_json::from_value(answer.json()["repositories"].clone()).unwrap();
            pages += 1;
            let link = answer
                .headers
                .get("link")
                .map(|link| link.to_str().unwrap().to_owned());
            assert!(page.len() == n || link.is_none(), "{path}: {page:?} {link:?}");
            seen.extend(page);
            match link {
                Some(link) => path = link[1..link.find('>').unwrap()].to_owned(),
                None => return (seen, pages),
            }
        }
    };
    let alice = ["team/b", "team/bb", "team/x", "team/x/y", "zoo"]
        .map(str::to_owned)
        .to_vec();
    assert_eq!(seen_by("alice", 2).await, (alice.clone(), 3));
    assert_eq!(seen_by("alice", 5).await, (alice.clone(), 1));
    assert_eq!(seen_by("alice", 100).await, (alice, 1));
    let bob = ["bob/one", "bob/two/three"].map(str::to_owned).to_vec();
    assert_eq!(seen_by("bob", 1).await, (bob, 2));
    assert_eq!(seen_by("ci", 10).await, (Vec::new(), 1));
    let all = names.map(str::to_owned).to_vec();
    assert_eq!(seen_by("root", 3).await, (all, 5));
    server.anonymous().get("/v2/_catalog").await.expect(401);
}

async fn tags_that_a_client_may_not_pull_are_not_listed(builder: ServerBuilder) {
    let server = ruled(
        builder,
        "rules:\n\
         - {accounts: bob, repositories: app, tags: 'internal-*', deny: pull}\n\
         - {accounts: bob, repositories: app, allow: pull}\n",
    );
    let root = user(&server, "root");
    let image = image::oci(1);
    for tag in ["1.0", "1.1", "internal-1", "internal-2", "latest"] {
        root.repository("app").push_image(tag, &image).await;
    }
    let bob = user(&server, "bob");
    let tags = async |query: &str| bob.get(&format!("/v2/app/tags/list{query}")).await.expect(200);
    let list = tags("").await;
    list.expect_body("{\"name\":\"app\",\"tags\":[\"1.0\",\"1.1\",\"latest\"]}\n");
    let first = tags("?n=2").await;
    assert!(
        first
            .header("link")
            .starts_with("</v2/app/tags/list?last=1.1&n=2>")
    );
    let last = tags("?n=2&last=1.1").await.expect_no_header("link");
    last.expect_body("{\"name\":\"app\",\"tags\":[\"latest\"]}\n");
    let manifest = bob.repository("app").get_manifest("internal-1").await;
    manifest.expect_error(403, "DENIED");
    assert_eq!(root.repository("app").tags().await.len(), 5);
}

async fn a_blob_is_not_mounted_from_a_repository_that_its_client_may_not_read(builder: ServerBuilder) {
    let server = ruled(
        builder,
        "rules:\n\
         - {accounts: bob, repositories: ['mine', 'shared'], allow: [pull, push]}\n",
    );
    let (secret, shared) = (Blob::random(1, 100), Blob::random(2, 100));
    let root = user(&server, "root");
    root.repository("secret").push_blob(&secret).await;
    root.repository("shared").push_blob(&shared).await;
    let bob = user(&server, "bob");
    let mount = async |blob: &Blob, from: &str| {
        let path = format!("/v2/mine/blobs/uploads/?mount={}{from}", blob.digest);
        bob.post(&path).await.status
    };
    for from in ["&from=secret", "", "&from=", "&from=shared", "&from=../secret"] {
        assert_eq!(mount(&secret, from).await, 202, "{from}");
        bob.head(&format!("/v2/mine/blobs/{}", secret.digest))
            .await
            .expect(404);
    }
    assert_eq!(mount(&shared, "&from=shared").await, 201);
}

async fn a_tag_that_may_be_created_is_not_moved(builder: ServerBuilder) {
    let server = ruled(
        builder,
        "rules:\n\
         - {accounts: ci, repositories: app, tags: 'v*', allow: [pull, push], push: create-only}\n\
         - {accounts: ci, repositories: app, allow: [pull, push]}\n",
    );
    let ci = user(&server, "ci");
    let app = ci.repository("app");
    let (old, new) = (image::oci(1), image::oci(2));
    app.push_image("v1", &old).await;
    app.push_image("v1", &old).await;
    app.push_image("latest", &old).await;
    app.push_image("latest", &new).await;
    app.put_manifest("v1", &new.manifest)
        .await
        .expect_error(403, "DENIED")
        .expect_message("tag `app:v1` exists");
    let by_digest = format!("{}?tag=v2&tag=v1", app.manifest_path(&new.manifest.digest));
    ci.put(&by_digest)
        .header("content-type", &new.manifest.media_type)
        .body(new.manifest.bytes.clone())
        .await
        .expect_error(403, "DENIED");
    app.get_manifest("v2").await.expect(404);
    app.get_manifest("v1").await.expect_body(&old.manifest.bytes);
    let moved = user(&server, "root").repository("app");
    moved.put_manifest("v1", &new.manifest).await.expect(201);
}

async fn a_digest_does_not_take_a_protected_tag_with_it(builder: ServerBuilder) {
    let server = ruled(
        builder,
        "rules:\n\
         - {accounts: bob, repositories: app, tags: 'v*', deny: delete}\n\
         - {accounts: bob, repositories: app, allow: '*'}\n",
    );
    let bob = user(&server, "bob");
    let app = bob.repository("app");
    let image = image::oci(1);
    app.push_image("v1", &image).await;
    app.push_image("test", &image).await;
    app.delete_manifest("v1").await.expect_error(403, "DENIED");
    for query in ["", "?force=true"] {
        let path = format!("{}{query}", app.manifest_path(&image.manifest.digest));
        bob.delete(&path).await.expect_error(403, "DENIED");
        let blob = format!("{}{query}", app.blob_path(&image.blobs[0].digest));
        assert_ne!(bob.delete(&blob).await.status, 202, "{query}");
    }
    app.pull_image("v1", &image).await;
    app.delete_manifest("test").await.expect(202);
    assert_eq!(app.tags().await, ["v1"]);
}

async fn a_refused_deletion_names_no_tag_that_its_client_may_not_see(builder: ServerBuilder) {
    let server = ruled(
        builder,
        "rules:\n\
         - {accounts: bob, repositories: '**', tags: 'secret-*', deny: [pull, delete]}\n\
         - {accounts: bob, repositories: '**', allow: [pull, delete]}\n\
         - {accounts: ci, repositories: '**', allow: delete}\n\
         - {accounts: alice, repositories: '**', allow: '*'}\n",
    );
    let alice = user(&server, "alice").repository("app");
    let (image, index) = (image::oci(1), image::oci_index(2));
    alice.push_image("secret-1", &image).await;
    alice.push_index("secret-2", &index).await;
    let other = &index.images[0];
    let (config, blob) = (&image.blobs[0].digest, &other.blobs[0].digest);
    for name in ["bob", "ci"] {
        let client = user(&server, name);
        let app = client.repository("app");
        for (path, status) in [
            (app.manifest_path(&other.manifest.digest), 409),
            (app.blob_path(blob), 409),
            (app.blob_path(config), 409),
            (app.manifest_path(config), 404),
        ] {
            let answer = client.delete(&path).await.expect(status);
            assert!(
                !answer.text().contains("secret"),
                "{name} {path}: {}",
                answer.text()
            );
            assert!(
                !answer.text().contains("force"),
                "{name} {path}: {}",
                answer.text()
            );
        }
    }
    // The digest of a blob of the image is its manifest's owner only for a client that may pull.
    let hint = user(&server, "bob").repository("app").manifest_path(config);
    user(&server, "bob")
        .delete(&hint)
        .await
        .expect_message("that digest is a config of an image of `app`");
    let hint = user(&server, "ci").delete(&hint).await;
    assert!(!hint.text().contains(&image.manifest.digest), "{}", hint.text());
    let bob = user(&server, "bob");
    let manifest = bob.repository("app").manifest_path(&image.manifest.digest);
    let denied = bob.delete(&manifest).await.expect_error(403, "DENIED");
    assert!(!denied.text().contains("secret"), "{}", denied.text());

    // What the client may see is named beside the hidden one.
    alice.push_index("open", &index).await;
    let manifest = bob.repository("app").manifest_path(&other.manifest.digest);
    let denied = bob.delete(&manifest).await.expect(409);
    let text = denied.text();
    assert!(
        text.contains("`app:open`, and by an image with a tag that the client may not see"),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
    let seen = user(&server, "alice").delete(&manifest).await.expect(409);
    assert!(
        seen.text()
            .contains("`app:open`, `app:secret-2`; delete that first\""),
        "{}",
        seen.text()
    );
}

async fn a_client_that_may_delete_and_not_pull_is_told_the_remedy_that_works(builder: ServerBuilder) {
    let server = ruled(
        builder.rules(store::Rules {
            dangling_references: true,
        }),
        "rules:\n\
         - {accounts: ci, repositories: '**', allow: delete}\n\
         - {accounts: alice, repositories: '**', allow: '*'}\n",
    );
    let alice = user(&server, "alice").repository("app");
    let (image, index) = (image::oci(1), image::oci_index(2));
    alice.push_image("secret-1", &image).await;
    alice.push_index("secret-2", &index).await;
    let ci = user(&server, "ci");
    let app = ci.repository("app");
    for path in [
        app.blob_path(&image.blobs[0].digest),
        app.manifest_path(&index.images[0].manifest.digest),
    ] {
        let refused = ci.delete(&path).await.expect(409);
        let text = refused.text();
        assert!(
            text.contains("an image with a tag that the client may not see; repeat with `?force=true`"),
            "{path}: {text}"
        );
        assert!(
            !text.contains("secret") && !text.contains("operator"),
            "{path}: {text}"
        );
        ci.delete(&format!("{path}?force=true")).await.expect(202);
    }
}

async fn a_push_with_further_tags_needs_what_a_push_by_each_of_them_needs(builder: ServerBuilder) {
    let server = ruled(
        builder,
        "rules:\n\
         - {accounts: ci, repositories: app, tags: 'v*', deny: pull}\n\
         - {accounts: ci, repositories: app, allow: [pull, push], push: create-only}\n",
    );
    let (old, new) = (image::oci(1), image::oci(2));
    let owner = user(&server, "root").repository("app");
    owner.push_image("v1", &old).await;
    owner.push_image("test", &new).await;
    let ci = user(&server, "ci");
    let by_digest = format!(
        "{}?tag=v1",
        ci.repository("app").manifest_path(&new.manifest.digest)
    );
    let answer = ci
        .put(&by_digest)
        .header("content-type", &new.manifest.media_type)
        .body(new.manifest.bytes.clone())
        .await
        .expect_error(403, "DENIED");
    // The error of a tag that exists says what it names.
    assert!(!answer.text().contains(&old.manifest.digest), "{}", answer.text());
}

async fn an_account_that_may_push_may_end_its_upload(builder: ServerBuilder) {
    let server = ruled(
        builder,
        "rules: [{accounts: ci, repositories: app, allow: [pull, push]}]",
    );
    let ci = user(&server, "ci");
    let location = ci.repository("app").start_upload().await;
    user(&server, "bob").delete(&location).await.expect(403);
    ci.delete(&location).await.expect(204);
}

async fn an_account_that_may_not_end_an_upload_is_told_that_it_may_not_push(builder: ServerBuilder) {
    let server = ruled(
        builder,
        "rules: [{accounts: ci, repositories: app, allow: [pull, push]}, {accounts: bob, repositories: app, allow: [pull, delete]}]",
    );
    let location = user(&server, "ci").repository("app").start_upload().await;
    let refused = user(&server, "bob").delete(&location).await;
    let refused = refused
        .expect_error(403, "DENIED")
        .expect_message("`bob` has no right to push to app");
    assert_eq!(refused.errors()[0]["detail"][0]["Action"], "push");
}

async fn rules_change_with_their_file_and_the_last_good_ones_stay(builder: ServerBuilder) {
    let allows = |action: &str| format!("rules: [{{accounts: bob, repositories: '**', allow: {action}}}]\n");
    let server = ruled(builder, &allows("pull"));
    let bob = user(&server, "bob");
    let list = async || bob.get("/v2/a/tags/list").await.status.as_u16();
    let push = async || bob.post("/v2/a/blobs/uploads/").await.status.as_u16();
    assert_eq!((list().await, push().await), (404, 403));
    server.write("rules.yml", allows("[pull, push]"));
    assert_eq!((list().await, push().await), (404, 202));
    for broken in [
        "rules: [{accounts: bob, repo",
        "rules: [{accounts: bob, repositories: '**', allow: pul}]\n",
        "",
    ] {
        server.write("rules.yml", broken);
        assert_eq!((list().await, push().await), (404, 202), "{broken}");
    }
    server.write(
        "rules.yml",
        "rules: [{accounts: alice, repositories: '**', allow: pull}]\n",
    );
    assert_eq!((list().await, push().await), (403, 403));
}

async fn users_may_do_everything_without_rules_and_the_public_may_pull(builder: ServerBuilder) {
    let server = with_users(builder)
        .config("access: {anonymous: ['public/**']}")
        .start();
    let image = image::oci(1);
    let bob = user(&server, "bob");
    for name in ["public/a", "b"] {
        bob.repository(name).push_image("1", &image).await;
    }
    let anonymous = server.anonymous();
    anonymous.repository("public/a").pull_image("1", &image).await;
    anonymous.get("/v2/b/tags/list").await.expect(401);
    // Without rules nothing is hidden from users, so a blob may come from any repository.
    let mount = format!("/v2/c/blobs/uploads/?mount={}", image.blobs[0].digest);
    bob.post(&mount).await.expect(201);
    let catalog = bob.get("/v2/_catalog").await.expect(200);
    catalog.expect_body("{\"repositories\":[\"b\",\"public/a\"]}\n");
}

/// A server that believes `proxies`, and lets the group `ops` pull.
fn behind(builder: ServerBuilder, proxies: &str) -> Server {
    builder.write(
        "rules.yml",
        "groups: {ops: [yan]}\nrules: [{accounts: '@ops', repositories: 'a', allow: pull}]\n",
    );
    let path = builder.path("rules.yml").display().to_string();
    let header = format!("{{user: X-Remote-User, groups: X-Remote-Groups, proxies: {proxies}}}");
    with_users(builder)
        .config(format!("access: {{rules: {path}, proxyheader: {header}}}"))
        .start()
}

async fn a_proxy_that_is_believed_names_the_account_and_its_groups(builder: ServerBuilder) {
    let server = behind(builder, "127.0.0.0/8");
    let get = |user: &str, groups: &str| {
        let request = server.anonymous().get("/v2/a/tags/list");
        request
            .header("x-remote-user", user)
            .header("x-remote-groups", groups)
    };
    get("zoe", "dev, ops").await.expect(404);
    get("zoe", "dev")
        .await
        .expect_error(403, "DENIED")
        .expect_message("`zoe` has no right to pull from a");
    get("yan", "").await.expect(404);
    get("", "ops").await.expect(401);
    // Clients that do not come by way of the sign-on log in as ever.
    user(&server, "bob").get("/v2/").await.expect(200);
    server
        .anonymous()
        .get("/v2/a/tags/list")
        .header("x-remote-groups", "ops")
        .await
        .expect(401);
}

async fn a_page_of_another_site_changes_nothing_for_the_user_of_the_browser(builder: ServerBuilder) {
    let server = with_users(builder)
        .http("cors: {origins: ['https://ui.example'], credentials: true}")
        .config("access: {proxyheader: {user: X-Remote-User, proxies: 127.0.0.0/8}}")
        .start();
    let signed_on = |method: Method, path: &str| {
        let request = server.anonymous().request(method, path);
        request.header("x-remote-user", "zoe")
    };
    let own = format!("http://{}", server.address());
    let uploads = "/v2/a/blobs/uploads/";
    for (header, status) in [
        // Programs send neither.
        (("user-agent", "docker/29"), 202),
        (("sec-fetch-site", "same-origin"), 202),
        (("sec-fetch-site", "none"), 202),
        (("origin", own.as_str()), 202),
        (("origin", "https://ui.example"), 202),
        (("sec-fetch-site", "same-site"), 403),
        (("sec-fetch-site", "cross-site"), 403),
        (("origin", "https://evil.example"), 403),
        (("origin", "null"), 403),
    ] {
        let request = signed_on(Method::POST, uploads).header(header.0, header.1);
        let answer = request.await.expect(status);
        if status == 403 {
            answer
                .expect_error(403, "DENIED")
                .expect_message("for a page of another site");
        }
    }
    let image = image::oci(1);
    let bob = user(&server, "bob").repository("a");
    bob.push_image("1", &image).await;
    let manifest = bob.manifest_path("1");
    let foreign = |request: wharf_testkit::Request| request.header("sec-fetch-site", "cross-site");
    foreign(signed_on(Method::DELETE, &manifest)).await.expect(403);
    // A page reads nothing that CORS does not let it read, and changes nothing by reading.
    foreign(signed_on(Method::GET, &manifest)).await.expect(200);
    // The browser says the same of the page that may: its site is another one, and its origin is named.
    foreign(signed_on(Method::DELETE, &manifest))
        .header("origin", "https://ui.example")
        .await
        .expect(202);
}

async fn a_client_that_names_its_account_itself_is_refused(builder: ServerBuilder) {
    let server = behind(builder, "192.0.2.1");
    let request = user(&server, "bob").get("/v2/").header("x-remote-user", "root");
    request
        .await
        .expect_error(401, "UNAUTHORIZED")
        .expect_message("access.proxyheader.proxies");
    user(&server, "bob").get("/v2/").await.expect(200);
}
