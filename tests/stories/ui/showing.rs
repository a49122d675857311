//! One image, or another artifact: what it is, what is in it, what is damaged, and its past.

use wharf_testkit::{
    Server, ServerBuilder, Value, image,
    image::{Blob, Image, Manifest},
    json,
};

use super::{Browser, Form, with_accounts};

wharf_testkit::configured_on_both_engines![
    an_image_is_shown_with_its_layers_steps_and_labels,
    what_an_image_says_is_never_more_than_text,
    an_index_shows_the_platform_that_is_chosen_and_no_attestation_as_one,
    what_is_attached_stands_beside_the_image,
    a_damaged_image_is_shown_with_what_to_do,
    a_chart_an_sbom_and_a_module_say_what_they_are,
    an_unknown_artifact_lists_its_files_and_they_are_saved_not_shown,
    the_files_of_a_layer_are_shown,
    two_images_are_compared,
    a_tag_goes_back_to_what_it_was,
    a_tag_that_moved_meanwhile_stays_where_it_is,
    a_reader_cannot_let_a_tag_go_back,
];

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

async fn with_image(builder: ServerBuilder, tag: &str, pushed: &Image) -> Server {
    let server = with_accounts(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    alice.repository("team/app").push_image(tag, pushed).await;
    server
}

/// An image with this configuration, and a layer for each of these texts.
fn configured(config: &Value, layers: &[&str]) -> Image {
    let layers = layers.iter().map(|text| Blob::new(LAYER, (*text).to_owned()));
    image::image(
        image::OCI_MANIFEST,
        Blob::new(image::OCI_CONFIG, config.to_string()),
        layers.collect(),
    )
}

#[track_caller]
fn has(page: &str, texts: &[&str]) {
    for text in texts {
        assert!(page.contains(text), "no `{text}` in {page}");
    }
}

async fn an_image_is_shown_with_its_layers_steps_and_labels(builder: ServerBuilder) {
    let config = json!({
        "created": "2026-01-02T03:04:05Z",
        "os": "linux",
        "architecture": "amd64",
        "config": {
            "User": "app",
            "Env": ["PATH=/bin", "A=b=c"],
            "Entrypoint": ["/app"],
            "Cmd": ["--serve"],
            "ExposedPorts": {"80/tcp": {}},
            "Labels": {
                "org.opencontainers.image.source": "https://git.example.com/team/app",
                "org.opencontainers.image.description": "The blue application",
            },
        },
        "history": [
            {"created_by": "/bin/sh -c #(nop) ADD file:abc in / "},
            {"created_by": "ENV A=b=c", "empty_layer": true},
            {"created_by": "RUN /bin/sh -c apk add curl # buildkit"},
        ],
    });
    let pushed = configured(&config, &["first layer", "second"]);
    let server = with_image(builder, "1.0", &pushed).await;
    let mut browser = Browser::of(&server, "alice").await;
    let digest = &pushed.manifest.digest;
    let page = browser.open("/image/team/app:1.0").await.expect(200).text();
    has(
        &page,
        &[
            "<b>ADD</b>",
            "file:abc in /",
            "<b>RUN</b>",
            "apk add curl",
            "<b>ENV</b>",
            "The blue application",
            "80/tcp",
            "--serve",
            "b=c",
            "<a href=\"https://git.example.com/team/app\" rel=\"noreferrer noopener nofollow\">",
            digest.as_str(),
            "layers-bar",
            "2026-01-02 03:04:05 UTC",
            &format!("docker pull {}/team/app:1.0", server.address()),
            &format!("docker pull {}/team/app@{digest}", server.address()),
            &format!("/ui/files/team/app@{digest}?layer=2"),
            "/ui/history/team/app:1.0",
        ],
    );
    let by_digest = browser
        .open(&format!("/image/team/app@{digest}"))
        .await
        .expect(200)
        .text();
    has(
        &by_digest,
        &["apk add curl", &format!("/ui/delete/team/app?manifest={digest}")],
    );
    // The texts are those of the browser's language.
    browser.cookies.insert("wharf-lang".to_owned(), "ru".to_owned());
    has(
        &browser.open("/image/team/app:1.0").await.expect(200).text(),
        &["lang=\"ru\"", "Слои"],
    );
}

async fn what_an_image_says_is_never_more_than_text(builder: ServerBuilder) {
    let evil = "\"><script>alert(1)</script><img src=x onerror=alert(1)>\u{202e}";
    let long = "x".repeat(100_000);
    let config = json!({
        "os": evil, "architecture": evil, "author": evil,
        "config": {
            "User": evil, "Env": [format!("A={evil}"), format!("LONG={long}")], "Entrypoint": [evil], "Cmd": [evil],
            "WorkingDir": evil, "ExposedPorts": {evil: {}}, "Volumes": {evil: {}},
            "Labels": {evil: evil, "org.opencontainers.image.url": "javascript:alert(1)", "org.opencontainers.image.description": evil},
        },
        "history": [{"created_by": format!("RUN {evil}")}, {"comment": evil, "empty_layer": true}],
    });
    let mut pushed = configured(&config, &["layer"]);
    pushed.manifest = pushed
        .manifest
        .with(&json!({"annotations": {evil: evil, "note": long}}));
    let server = with_image(builder, "1.0", &pushed).await;
    let mut browser = Browser::of(&server, "alice").await;
    for path in [
        "/image/team/app:1.0",
        "/search?q=alert",
        "/repo/team/app",
        "/compare/team/app?from=1.0&to=1.0",
    ] {
        let answer = browser.open(path).await.expect(200);
        assert!(
            answer
                .header("content-security-policy")
                .contains("default-src 'none'")
        );
        let page = answer.text();
        for bad in [
            "<script>",
            "<img src=x",
            "\u{202e}",
            "href=\"javascript:",
            "onerror=\"",
        ] {
            assert!(!page.contains(bad), "{path} has {bad}: {page}");
        }
        assert!(page.len() < 400_000, "{path}: {}", page.len());
    }
    let page = browser.open("/image/team/app:1.0").await.text();
    has(&page, &["&#60;script&#62;alert(1)", r"\u{202e}", "Show the rest"]);
}

async fn an_index_shows_the_platform_that_is_chosen_and_no_attestation_as_one(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    let index = image::oci_index("shown");
    alice.repository("team/app").push_index("1.0", &index).await;
    let mut browser = Browser::of(&server, "alice").await;
    let (amd64, arm64) = (&index.images[0], &index.images[1]);
    let page = browser.open("/image/team/app:1.0").await.expect(200).text();
    has(
        &page,
        &[
            "linux/amd64",
            "?platform=linux/arm64",
            "Attestations",
            &amd64.blobs[1].digest,
        ],
    );
    assert!(
        !page.contains("unknown/unknown") && !page.contains(&arm64.blobs[0].digest),
        "{page}"
    );
    let other = browser
        .open("/image/team/app:1.0?platform=linux/arm64")
        .await
        .expect(200)
        .text();
    let files = format!("/ui/files/team/app@{}?layer=1", arm64.manifest.digest);
    has(&other, &[&files, "?platform=linux/amd64"]);
}

async fn what_is_attached_stands_beside_the_image(builder: ServerBuilder) {
    let pushed = image::oci("signed");
    let server = with_image(builder, "1.0", &pushed).await;
    let app = server.anonymous().as_user("alice", "pw").repository("team/app");
    let page = Browser::of(&server, "alice")
        .await
        .open("/image/team/app:1.0")
        .await
        .expect(200)
        .text();
    assert!(
        !page.contains("has a signature") && !page.contains("Signatures"),
        "{page}"
    );
    for (artifact_type, seed) in [
        ("application/vnd.cncf.notary.signature", 1),
        ("application/spdx+json", 2),
        ("example/other", 3),
    ] {
        let attached = image::artifact(seed, artifact_type, &pushed.manifest);
        let digest = attached.manifest.digest.clone();
        app.push_image(&digest, &attached).await;
    }
    // cosign's own way is a tag.
    let tag = pushed.manifest.digest.replace(':', "-") + ".sig";
    app.push_image(&tag, &image::oci("signature")).await;
    let page = Browser::of(&server, "alice")
        .await
        .open("/image/team/app:1.0")
        .await
        .expect(200)
        .text();
    has(
        &page,
        &[
            "has a signature",
            "Signatures",
            "SBOMs",
            "Others",
            "application/vnd.cncf.notary.signature",
            &format!("/ui/image/team/app:{tag}"),
        ],
    );
}

async fn a_damaged_image_is_shown_with_what_to_do(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    let index = image::oci_index("damaged");
    let app = alice.repository("team/app");
    app.push_index("1.0", &index).await;
    app.push_image("2.0", &image::oci("whole")).await;
    let child = app.manifest_path(&index.images[1].manifest.digest);
    alice.delete(&format!("{child}?force=true")).await.expect(202);
    let mut browser = Browser::of(&server, "alice").await;
    let page = browser.open("/image/team/app:1.0").await.expect(200).text();
    has(&page, &["class=\"damaged\"", "linux/arm64", "linux/amd64"]);
    let gone = browser
        .open("/image/team/app:1.0?platform=linux/arm64")
        .await
        .expect(200)
        .text();
    has(&gone, &["class=\"damaged\"", "linux/arm64"]);
    let tags = browser.open("/repo/team/app").await.expect(200).text();
    has(&tags, &["class=\"damaged\"", "/ui/image/team/app:2.0"]);
    // The remedy that the page names; the store is checked when the story ends.
    app.push_image(&index.images[1].manifest.digest, &index.images[1])
        .await;
}

fn artifact_of(config: (&str, &Value), layer: (&str, &str)) -> Image {
    let config = Blob::new(config.0, config.1.to_string());
    image::image(
        image::OCI_MANIFEST,
        config,
        vec![Blob::new(layer.0, layer.1.to_owned())],
    )
}

async fn a_chart_an_sbom_and_a_module_say_what_they_are(builder: ServerBuilder) {
    let chart = json!({
        "name": "app", "version": "0.9.1", "appVersion": "1.4.2", "description": "Chart of the <b>app</b>",
        "home": "https://app.example.com", "maintainers": [{"name": "Blue", "email": "blue@example.com"}, 7],
        "dependencies": [{"name": "postgresql", "version": "15.x", "repository": "https://charts.example.com"}],
    });
    let chart = artifact_of(
        ("application/vnd.cncf.helm.config.v1+json", &chart),
        ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", "chart"),
    );
    let server = with_image(builder, "0.9.1", &chart).await;
    let app = server.anonymous().as_user("alice", "pw").repository("team/app");
    let packages: Vec<Value> = (0..120)
        .map(|number| json!({"name": format!("package-{number:03}"), "versionInfo": "1"}))
        .collect();
    let sbom = json!({"spdxVersion": "SPDX-2.3", "packages": packages});
    let sbom = artifact_of(
        ("application/vnd.oci.empty.v1+json", &json!({})),
        ("application/spdx+json", &sbom.to_string()),
    );
    app.push_image("sbom", &sbom).await;
    let module = json!({"os": "wasip2", "architecture": "wasm", "component": {"exports": ["wasi:http/incoming-handler"], "imports": []}});
    let module = artifact_of(
        ("application/vnd.wasm.config.v0+json", &module),
        ("application/wasm", "module"),
    );
    app.push_image("module", &module).await;
    let mut browser = Browser::of(&server, "alice").await;
    let page = browser.open("/image/team/app:0.9.1").await.expect(200).text();
    has(
        &page,
        &[
            &format!("helm pull oci://{}/team/app --version 0.9.1", server.address()),
            "Helm chart",
            "1.4.2",
            "Chart of the &#60;b&#62;app",
            "postgresql",
            "15.x",
            "Blue &#60;blue@example.com&#62;",
            "href=\"https://app.example.com\"",
        ],
    );
    assert!(!page.contains("docker pull"), "{page}");
    let page = browser.open("/image/team/app:sbom").await.expect(200).text();
    has(&page, &["SPDX 2.3", "120 packages", "package-099", "oras pull"]);
    assert!(!page.contains("package-100"), "{page}");
    has(
        &browser
            .open("/image/team/app:sbom?cursor=100")
            .await
            .expect(200)
            .text(),
        &["package-100", "package-119"],
    );
    browser
        .open("/image/team/app:sbom?cursor=99999999999999999999")
        .await
        .expect(200);
    let page = browser.open("/image/team/app:module").await.expect(200).text();
    has(
        &page,
        &[
            "WebAssembly",
            "wasip2 / wasm",
            "wasi:http/incoming-handler",
            "wkg oci pull",
        ],
    );
}

async fn an_unknown_artifact_lists_its_files_and_they_are_saved_not_shown(builder: ServerBuilder) {
    let mut pushed = artifact_of(
        ("application/vnd.example.rocket", &json!({"deep": [[[[]]]]})),
        ("text/html", "<script>alert(1)</script>"),
    );
    let mut manifest = pushed.manifest.json();
    manifest["layers"][0]["annotations"] = json!({"org.opencontainers.image.title": "../\"<b>evil</b>.html"});
    pushed.manifest = Manifest::new(image::OCI_MANIFEST, &manifest);
    let server = with_image(builder, "7", &pushed).await;
    let mut browser = Browser::of(&server, "alice").await;
    let page = browser.open("/image/team/app:7").await.expect(200).text();
    has(
        &page,
        &[
            "does not know this kind",
            "&#60;b&#62;evil",
            "text/html",
            "oras pull",
        ],
    );
    let place = format!("/blob/team/app@{}?layer=1", pushed.manifest.digest);
    has(&page, &[&format!("/ui{place}")]);
    let file = browser.open(&place).await.expect(200);
    let file = file.expect_header("content-type", "application/octet-stream");
    let file = file.expect_header("x-content-type-options", "nosniff");
    let file = file.expect_header("content-disposition", "attachment; filename=\"b.html\"");
    file.expect_body("<script>alert(1)</script>");
    for layer in ["0", "2", "x", ""] {
        let place = format!("/blob/team/app:7?layer={layer}");
        browser.open(&place).await.expect(404);
    }
    Browser::new(&server).open(&place).await.expect(303);
}

async fn the_files_of_a_layer_are_shown(builder: ServerBuilder) {
    let pushed = image::oci("files");
    let server = with_image(builder, "1.0", &pushed).await;
    let mut browser = Browser::of(&server, "alice").await;
    let page = browser.open("/image/team/app:1.0").await.expect(200).text();
    let files = format!("/ui/files/team/app@{}?layer=1", pushed.manifest.digest);
    has(&page, &[&files]);
    let root = browser.go(&files).await.expect(200).text();
    has(&root, &["path=etc", "#i-folder", "1 file", "Layer"]);
    let page = browser.go(&format!("{files}&path=etc")).await.expect(200).text();
    has(&page, &["greeting", "-rw-r--r--", "0:0"]);
    let none = browser
        .open("/files/team/app:1.0?layer=1&match=no-such-file")
        .await
        .expect(200)
        .text();
    assert!(!none.contains("-rw-r--r--"), "{none}");
    browser.open("/files/team/app:no").await.expect(404);
}

async fn two_images_are_compared(builder: ServerBuilder) {
    let config = |level: &str| json!({"os": "linux", "architecture": "amd64", "config": {"Env": [format!("LEVEL={level}")]}});
    let server = with_image(
        builder,
        "1.0",
        &configured(&config("<i>warn</i>"), &["same", "old"]),
    )
    .await;
    let app = server.anonymous().as_user("alice", "pw").repository("team/app");
    app.push_image("1.1", &configured(&config("info"), &["same", "new layer"]))
        .await;
    let mut browser = Browser::of(&server, "alice").await;
    let form = browser.open("/compare/team/app").await.expect(200).text();
    has(&form, &["<option value=\"1.1\">", "name=\"from\""]);
    let page = browser
        .open("/compare/team/app?from=1.0&to=1.1")
        .await
        .expect(200)
        .text();
    has(
        &page,
        &[
            "LEVEL=info",
            "&#60;i&#62;warn",
            "<del",
            "<ins",
            "1</bdi> the same",
        ],
    );
    let same = browser
        .open("/compare/team/app?from=1.0&to=1.0")
        .await
        .expect(200)
        .text();
    has(&same, &["Both are the same image"]);
    browser.open("/compare/team/app?from=1.0&to=9").await.expect(404);
}

/// A tag that pointed at one image, and points at another.
async fn moved(builder: ServerBuilder) -> (Server, Image, Image) {
    let (old, new) = (image::oci("old"), image::oci("new"));
    let server = with_image(builder, "latest", &old).await;
    server
        .anonymous()
        .as_user("alice", "pw")
        .repository("team/app")
        .push_image("latest", &new)
        .await;
    (server, old, new)
}

async fn a_tag_goes_back_to_what_it_was(builder: ServerBuilder) {
    let (server, old, new) = moved(builder).await;
    let mut browser = Browser::of(&server, "alice").await;
    let page = browser.open("/history/team/app:latest").await.expect(200).text();
    let question = format!("/rollback/team/app:latest?digest={}", old.manifest.digest);
    has(
        &page,
        &[&new.manifest.digest, &format!("/ui{question}"), "current"],
    );
    let page = browser.open(&question).await.expect(200);
    has(&page.text(), &[&old.manifest.digest, &new.manifest.digest]);
    let done = browser
        .send(&Form::find(&page, "/rollback/team/app:latest"))
        .await
        .expect(303);
    assert_eq!(done.header("location"), "/ui/history/team/app:latest");
    let page = browser.follow(&done).await.expect(200).text();
    has(
        &page,
        &[
            "role=\"status\"",
            &format!("/ui/rollback/team/app:latest?digest={}", new.manifest.digest),
        ],
    );
    let alice = server.anonymous().as_user("alice", "pw");
    alice.repository("team/app").pull_image("latest", &old).await;
    browser
        .open("/rollback/team/app:latest?digest=sha256:00")
        .await
        .expect(404);
    browser
        .open(&format!("/history/team/app@{}", old.manifest.digest))
        .await
        .expect(404);
}

async fn a_tag_that_moved_meanwhile_stays_where_it_is(builder: ServerBuilder) {
    let (server, old, _) = moved(builder).await;
    let mut browser = Browser::of(&server, "alice").await;
    let question = format!("/rollback/team/app:latest?digest={}", old.manifest.digest);
    let form = Form::find(
        &browser.open(&question).await.expect(200),
        "/rollback/team/app:latest",
    );
    let newest = image::oci("newest");
    let app = server.anonymous().as_user("alice", "pw").repository("team/app");
    app.push_image("latest", &newest).await;
    let refused = browser.send(&form).await.expect(412);
    has(
        &refused.text(),
        &["The tag cannot go back", &newest.manifest.digest],
    );
    app.pull_image("latest", &newest).await;
    // What is shown now can be confirmed.
    browser
        .send(&Form::find(&refused, "/rollback/team/app:latest"))
        .await
        .expect(303);
    app.pull_image("latest", &old).await;
}

async fn a_reader_cannot_let_a_tag_go_back(builder: ServerBuilder) {
    let rules = "rules:
\
                 - {accounts: alice, repositories: '**', allow: [pull, push]}
\
                 - {accounts: bob, repositories: '**', allow: pull}
";
    let server = super::with_rules(builder, rules).start();
    let app = server.anonymous().as_user("alice", "pw").repository("team/app");
    let (old, new) = (image::oci("old"), image::oci("new"));
    app.push_image("latest", &old).await;
    app.push_image("latest", &new).await;
    let mut bob = Browser::of(&server, "bob").await;
    let page = bob.open("/history/team/app:latest").await.expect(200);
    assert!(!page.text().contains("/rollback/"), "{}", page.text());
    let question = format!("/rollback/team/app:latest?digest={}", old.manifest.digest);
    bob.open(&question).await.expect(403);
    let mut alice = Browser::of(&server, "alice").await;
    let form = Form::find(
        &alice.open(&question).await.expect(200),
        "/rollback/team/app:latest",
    );
    let own = Form::find(&bob.open("/account").await, "/sign-out");
    bob.send(&form.with("csrf", own.get("csrf"))).await.expect(403);
    app.pull_image("latest", &new).await;
}
