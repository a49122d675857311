//! What pages show beside the obvious: growth, how much is damaged, sizes in a history, base images, what is attached, descriptions.

use wharf_testkit::{
    Engine, ServerBuilder, Value, eventually, image,
    image::{Blob, Image, Manifest},
    json,
};

use super::{Browser, with_accounts};

wharf_testkit::configured_on_both_engines![
    growth_is_drawn_since_the_first_collection,
    the_number_of_damaged_things_stands_in_the_navigation,
    a_history_tells_the_size_of_each_image,
    layers_of_the_base_image_are_marked,
    a_base_image_that_is_not_what_it_says_marks_nothing,
    a_list_of_tags_tells_what_is_attached,
    a_repository_is_described_by_its_newest_image,
];

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

#[track_caller]
fn has(page: &str, texts: &[&str]) {
    for text in texts {
        assert!(page.contains(text), "no `{text}` in {page}");
    }
}

/// An image with a layer for each of these texts, made by as many steps, and with these labels and annotations.
fn built(layers: &[&str], labels: &Value, annotations: &Value) -> Image {
    let history = layers
        .iter()
        .map(|text| json!({"created_by": format!("RUN make {text}")}));
    let config = json!({
        "os": "linux",
        "architecture": "amd64",
        "config": {"Labels": labels},
        "history": history.collect::<Vec<_>>(),
    });
    let layers = layers.iter().map(|text| Blob::new(LAYER, (*text).to_owned()));
    let image = image::image(
        image::OCI_MANIFEST,
        Blob::new(image::OCI_CONFIG, config.to_string()),
        layers.collect(),
    );
    Image {
        manifest: image.manifest.with(&json!({"annotations": annotations})),
        blobs: image.blobs,
    }
}

fn based_on(base: &Manifest, name: &str) -> Value {
    json!({
        "org.opencontainers.image.base.name": name,
        "org.opencontainers.image.base.digest": base.digest,
    })
}

async fn growth_is_drawn_since_the_first_collection(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let client = server.anonymous().as_user("root", "pw");
    client
        .repository("app")
        .push_image("1", &image::oci("growth"))
        .await;
    let mut root = Browser::of(&server, "root").await;
    let before = root.open("/traffic").await.expect(200).text();
    has(&before, &["Stored bytes", "Nothing is known yet"]);
    client.post("/api/v1/collections").await.expect(202);
    eventually("the collection has recorded what is stored", async || {
        let shown = client.get("/api/v1/traffic").await.expect(200).json();
        !shown["growth"].as_array().unwrap().is_empty()
    })
    .await;
    for span in ["week", "year"] {
        let page = root
            .open(&format!("/traffic?span={span}"))
            .await
            .expect(200)
            .text();
        let shown = client.get("/api/v1/traffic").await.expect(200).json();
        let day = shown["growth"][0]["day"].as_str().unwrap();
        has(
            &page,
            &[
                "Known since",
                &format!("<th scope=\"row\">{day}</th>"),
                "Bytes pulled and pushed",
            ],
        );
        assert!(!page.contains("Nothing is known yet"), "{page}");
    }
    has(&root.open("/disk").await.expect(200).text(), &["/ui/traffic"]);
}

async fn the_number_of_damaged_things_stands_in_the_navigation(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let client = server.anonymous().as_user("root", "pw");
    let (app, pushed) = (client.repository("app"), image::oci("damaged"));
    app.push_image("1", &pushed).await;
    let mut root = Browser::of(&server, "root").await;
    let number = "1 is damaged or missing";
    assert!(!root.open("/").await.expect(200).text().contains(number));
    let is_damaged = server.engine() == Engine::Filesystem;
    if is_damaged {
        let hex = pushed.blobs[1].digest.strip_prefix("sha256:").unwrap();
        let path = format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]);
        std::fs::write(server.root().join(path), "other bytes").unwrap();
    }
    client
        .post("/api/v1/checks")
        .header("content-type", "application/json")
        .body("{}")
        .await
        .expect(202);
    eventually("the check ends", async || {
        let shown = client.get("/api/v1/checks").await.expect(200).json();
        shown.get("last").is_some()
    })
    .await;
    let page = root.open("/").await.expect(200).text();
    assert_eq!(page.contains(number), is_damaged, "{page}");
    let other = Browser::of(&server, "alice")
        .await
        .open("/")
        .await
        .expect(200)
        .text();
    assert!(!other.contains(number), "it is for administrators");
    // The store is whole when the story ends.
    app.push_image("1", &pushed).await;
}

async fn a_history_tells_the_size_of_each_image(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let client = server.anonymous().as_user("alice", "pw");
    let app = client.repository("team/app");
    let sized = |seed: u64, size: usize| {
        let config = Blob::new(image::OCI_CONFIG, "{}");
        image::image(image::OCI_MANIFEST, config, vec![Blob::random(seed, size)])
    };
    let (old, new) = (sized(1, 70_000), sized(2, 90_000));
    app.push_image("latest", &old).await;
    app.push_image("latest", &new).await;
    let history = "/api/v1/tags/history?repository=team/app&tag=latest";
    let shown = client.get(history).await.expect(200).json();
    let size = |digest: &str| {
        let entries = shown["entries"].as_array().unwrap();
        let entry = entries.iter().find(|entry| entry["digest"] == *digest);
        entry.unwrap()["size"].as_u64()
    };
    assert_eq!(size(&old.manifest.digest), Some(70_002), "{shown}");
    assert_eq!(size(&new.manifest.digest), Some(90_002), "{shown}");
    let mut browser = Browser::of(&server, "alice").await;
    let page = browser.open("/history/team/app:latest").await.expect(200).text();
    has(&page, &["value=\"70002\"", "value=\"90002\""]);
    app.delete_manifest(&old.manifest.digest).await.expect(202);
    let shown = client.get(history).await.expect(200).json();
    let gone = shown["entries"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["available"] == false);
    assert!(gone.is_none_or(|gone| gone.get("size").is_none()), "{shown}");
    browser.open("/history/team/app:latest").await.expect(200);
}

async fn layers_of_the_base_image_are_marked(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let root = server.anonymous().as_user("root", "pw");
    let base = built(&["one", "two"], &json!({}), &json!({}));
    let name = format!("{}/base/debian:12", server.address());
    let own = built(
        &["one", "two", "three"],
        &json!({}),
        &based_on(&base.manifest, &name),
    );
    root.repository("team/app").push_image("1.0", &own).await;
    let mut browser = Browser::of(&server, "root").await;
    let page = browser.open("/image/team/app:1.0").await.expect(200).text();
    assert!(
        !page.contains("base image</span>"),
        "the base is not here yet: {page}"
    );
    root.repository("base/debian").push_image("12", &base).await;
    let page = browser.open("/image/team/app:1.0").await.expect(200).text();
    let page_of_base = format!("/ui/image/base/debian@{}", base.manifest.digest);
    has(
        &page,
        &["2 layers are those of the base image", &page_of_base, &name],
    );
    assert_eq!(page.matches("class=\"base\"").count(), 2, "two parts of the bar");
    assert_eq!(
        page.matches("<span class=\"badge\">base image</span>").count(),
        4,
        "two layers, and two steps"
    );
}

async fn a_base_image_that_is_not_what_it_says_marks_nothing(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let root = server.anonymous().as_user("root", "pw");
    let base = built(&["other", "two"], &json!({}), &json!({}));
    let app = root.repository("team/app");
    app.push_image("base", &base).await;
    let mut browser = Browser::of(&server, "root").await;
    for (tag, annotations) in [
        ("wrong", based_on(&base.manifest, "example.com/base:1")),
        (
            "nonsense",
            json!({"org.opencontainers.image.base.digest": "sha256:<script>"}),
        ),
        (
            "nowhere",
            json!({"org.opencontainers.image.base.name": "../../etc", "org.opencontainers.image.base.digest": format!("sha256:{}", "0".repeat(64))}),
        ),
    ] {
        let own = built(&["one", "two", "three"], &json!({}), &annotations);
        app.push_image(tag, &own).await;
        let page = browser
            .open(&format!("/image/team/app:{tag}"))
            .await
            .expect(200)
            .text();
        assert!(!page.contains("base image</span>"), "{tag}: {page}");
    }
}

async fn a_list_of_tags_tells_what_is_attached(builder: ServerBuilder) {
    let server = with_accounts(builder).start();
    let client = server.anonymous().as_user("alice", "pw");
    let app = client.repository("team/app");
    let (by_subject, by_tag, plain) = (image::oci("subject"), image::oci("tag"), image::oci("plain"));
    for (tag, pushed) in [("1", &by_subject), ("2", &by_tag), ("3", &plain)] {
        app.push_image(tag, pushed).await;
    }
    for (artifact_type, seed) in [
        ("application/vnd.cncf.notary.signature", 1),
        ("application/spdx+json", 2),
        ("application/vnd.dev.cosign.artifact.sig.v1+json", 3),
    ] {
        let attached = image::artifact(seed, artifact_type, &by_subject.manifest);
        app.push_image(&attached.manifest.digest, &attached).await;
    }
    let tag = by_tag.manifest.digest.replace(':', "-") + ".att";
    app.push_image(&tag, &image::oci("attestation")).await;
    let list = "/api/v1/tags?repository=team/app";
    let shown = client
        .get(&format!("{list}&with=attached"))
        .await
        .expect(200)
        .json();
    let attached = |shown: &Value, tag: &str| {
        let tags = shown["tags"].as_array().unwrap();
        tags.iter()
            .find(|row| row["tag"] == tag)
            .unwrap()
            .get("attached")
            .cloned()
    };
    assert_eq!(
        attached(&shown, "1"),
        Some(json!(["signature", "sbom"])),
        "{shown}"
    );
    assert_eq!(attached(&shown, "2"), Some(json!(["attestation"])), "{shown}");
    assert_eq!(attached(&shown, "3"), None, "{shown}");
    let plainly = client.get(list).await.expect(200).json();
    assert_eq!(
        attached(&plainly, "1"),
        None,
        "only what is asked for is looked for"
    );
    client.get(&format!("{list}&with=everything")).await.expect(400);
    for sort in ["-version", "name", "-pushed"] {
        let page = Browser::of(&server, "alice")
            .await
            .open(&format!("/repo/team/app?sort={sort}"))
            .await
            .expect(200)
            .text();
        let row = |tag: &str| {
            let begin = page.find(&format!("data-text=\"{tag}\"")).unwrap();
            page[begin..].split("</tr>").next().unwrap().to_owned()
        };
        has(&row("1"), &["has a signature", ">SBOM</span>"]);
        has(&row("2"), &[">attestation</span>"]);
        assert!(!row("2").contains("has a signature") && !row("3").contains("has a signature"));
    }
}

async fn a_repository_is_described_by_its_newest_image(builder: ServerBuilder) {
    const DESCRIPTION: &str = "org.opencontainers.image.description";
    let server = with_accounts(builder).start();
    let client = server.anonymous().as_user("alice", "pw");
    let app = client.repository("team/app");
    let mut browser = Browser::of(&server, "alice").await;
    app.push_image(
        "2.0",
        &built(&["old"], &json!({DESCRIPTION: "The old words"}), &json!({})),
    )
    .await;
    has(
        &browser.open("/repo/team/app").await.expect(200).text(),
        &["The old words"],
    );
    let new = built(
        &["new"],
        &json!({}),
        &json!({DESCRIPTION: "The <b>new</b> words"}),
    );
    app.push_image("1.9", &new).await;
    for _ in 0..2 {
        let page = browser.open("/repo/team/app").await.expect(200).text();
        has(&page, &["The &#60;b&#62;new&#60;/b&#62; words"]);
        assert!(!page.contains("The old words"), "{page}");
    }
    app.push_image("1.8", &image::oci("silent")).await;
    let page = browser.open("/repo/team/app").await.expect(200).text();
    assert!(!page.contains("words"), "the newest one says nothing: {page}");
}
