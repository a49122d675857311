//! What is without a tag, the files of layers, comparisons, checks, the configuration and certificates.

use wharf_testkit::{Engine, ServerBuilder, Value, eventually, image, json};

use super::{Api, ExpectProblem as _, with_users};

wharf_testkit::configured_on_both_engines![
    manifests_without_a_tag_are_listed_with_what_leads_to_them,
    a_list_of_manifests_without_a_tag_comes_in_pages,
    the_files_of_a_layer_are_listed_by_directory,
    two_images_are_compared_by_configuration_layers_and_files,
    a_check_finds_what_is_damaged_and_is_followed,
    the_configuration_is_shown_with_origins_and_without_secrets,
    a_server_without_tls_has_no_certificates,
    bytes_that_only_the_trash_keeps_are_told,
];

async fn manifests_without_a_tag_are_listed_with_what_leads_to_them(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    let app = alice.repository("app");
    let (old, new) = (image::oci("old"), image::oci("new"));
    app.push_image("latest", &old).await;
    app.push_image("latest", &new).await;
    let index = image::oci_index("untagged");
    app.push_index(&index.manifest.digest, &index).await;
    let signature = image::artifact("signature", "application/vnd.example.signature", &old.manifest);
    app.push_image(&signature.manifest.digest, &signature).await;
    let of_tagged = image::artifact("sbom", "application/vnd.example.sbom", &new.manifest);
    app.push_image(&of_tagged.manifest.digest, &of_tagged).await;

    let api = Api::of_operator(&server).await;
    let page = api.get("/untagged?repository=app").await.expect(200).json();
    let rows = page["manifests"].as_array().unwrap();
    let row = |digest: &str| rows.iter().find(|row| row["digest"] == *digest);
    assert_eq!(page["total"], rows.len());
    assert_eq!(rows.len(), 2 + 1 + index.images.len(), "{page}");
    let left = row(&old.manifest.digest).unwrap();
    assert_eq!(left["left_by"], json!(["latest"]));
    assert_eq!((&left["kind"], &left["referrers"]), (&json!("image"), &json!(1)));
    assert!(left["size"].is_u64() && left["pushed"].is_string(), "{left}");
    let signed = row(&signature.manifest.digest).unwrap();
    assert_eq!(signed["subject"], old.manifest.digest);
    let child = row(&index.images[0].manifest.digest).unwrap();
    assert_eq!(child["listed_by"], json!([index.manifest.digest]));
    for tagged in [&new.manifest.digest, &of_tagged.manifest.digest] {
        assert!(row(tagged).is_none(), "a tag reaches `{tagged}`");
    }
    api.get("/untagged?repository=other")
        .await
        .expect_problem(404, "unknown-image");
    let stranger = api.with(server.anonymous());
    stranger
        .get("/untagged?repository=app")
        .await
        .expect_problem(401, "not-authenticated");
}

async fn a_list_of_manifests_without_a_tag_comes_in_pages(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let app = server.anonymous().as_user("alice", "pw").repository("app");
    let mut pushed: Vec<String> = Vec::new();
    for seed in 0..5 {
        let image = image::oci(seed);
        app.push_image(&image.manifest.digest, &image).await;
        pushed.push(image.manifest.digest);
    }
    let api = Api::of_operator(&server).await;
    let (mut listed, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let target = format!("/untagged?repository=app&limit=2{cursor}");
        let page = api.get(&target).await.expect(200).json();
        let rows = page["manifests"].as_array().unwrap();
        listed.extend(rows.iter().map(|row| row["digest"].as_str().unwrap().to_owned()));
        pages += 1;
        assert_eq!(page["total"], 5);
        let Some(next) = page.get("next").and_then(Value::as_str) else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(pages, 3);
    pushed.reverse();
    if server.engine() == Engine::Inmemory {
        // As on a bucket, where times are those of seconds.
        listed.sort();
        pushed.sort();
    }
    assert_eq!(listed, pushed, "those that came last come first");
    api.get("/untagged?repository=app&cursor=x")
        .await
        .expect_problem(400, "bad-query");
}

async fn the_files_of_a_layer_are_listed_by_directory(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let app = server.anonymous().as_user("alice", "pw").repository("app");
    let pushed = image::oci("files");
    app.push_image("1", &pushed).await;
    app.push_index("many", &image::oci_index("files")).await;
    let broken = image::image(
        image::OCI_MANIFEST,
        image::Blob::new(image::OCI_CONFIG, "{}"),
        vec![image::Blob::random(7, 3000)],
    );
    app.push_image("broken", &broken).await;
    let api = Api::of_operator(&server).await;
    let page = api
        .get("/files?repository=app&reference=1&layer=2")
        .await
        .expect(200)
        .json();
    assert_eq!(page["digest"], pushed.manifest.digest);
    assert_eq!(page["layer"]["digest"], pushed.blobs[2].digest);
    assert_eq!((&page["number"], &page["layers"]), (&json!(2), &json!(2)));
    assert!(page.get("problem").is_none(), "{page}");
    let files = page["files"].as_array().unwrap();
    assert_eq!((files.len(), &page["total"]), (1, &json!(1)));
    assert_eq!(
        files[0]["kind"], "directory",
        "the layer has no entry of it, and a file in it"
    );
    // What is remembered answers the same.
    let again = api.get("/files?repository=app&reference=1&layer=2").await.json();
    assert_eq!(again, page);
    let directory = files[0]["path"].as_str().unwrap();
    let below = api
        .get(&format!(
            "/files?repository=app&reference=1&layer=2&path=/{directory}"
        ))
        .await
        .json();
    let file = &below["files"][0];
    assert_eq!(
        (&file["kind"], &file["mode"]),
        (&json!("file"), &json!("0644")),
        "{below}"
    );
    let name = file["name"].as_str().unwrap().to_uppercase();
    let found = api
        .get(&format!("/files?repository=app&reference=1&layer=2&match={name}"))
        .await
        .json();
    assert_eq!(found["files"][0]["path"], file["path"]);
    let of_index = api
        .get("/files?repository=app&reference=many&layer=1&platform=linux/arm64")
        .await
        .expect(200)
        .json();
    assert!(
        of_index.get("problem").is_none() && of_index["total"] == 1,
        "{of_index}"
    );
    for (target, problem) in [
        ("reference=1&layer=3", "has no layer 3"),
        (
            "reference=many&layer=1&platform=plan9/mips",
            "no image for this platform",
        ),
        ("reference=broken&layer=1", "cannot read the files"),
    ] {
        let shown = api
            .get(&format!("/files?repository=app&{target}"))
            .await
            .expect(200);
        let text = shown.json()["problem"].as_str().unwrap_or_default().to_owned();
        assert!(text.contains(problem), "{target}: {text}");
    }
    for target in [
        "reference=1",
        "reference=1&layer=0",
        "reference=1&layer=1&path=../..",
    ] {
        api.get(&format!("/files?repository=app&{target}"))
            .await
            .expect_problem(400, "bad-query");
    }
    for target in [
        "/files?repository=app&reference=2&layer=1",
        "/files?repository=no&reference=1&layer=1",
    ] {
        api.get(target).await.expect_problem(404, "unknown-image");
    }
}

async fn two_images_are_compared_by_configuration_layers_and_files(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let app = server.anonymous().as_user("alice", "pw").repository("app");
    let old = image::oci("old");
    let mut blobs = image::oci("new").blobs;
    blobs[1] = old.blobs[1].clone();
    let new = image::image(image::OCI_MANIFEST, blobs[0].clone(), blobs[1..].to_vec());
    app.push_image("1", &old).await;
    app.push_image("2", &new).await;
    let api = Api::of_operator(&server).await;
    let shown = api
        .get("/comparison?repository=app&from=1&to=2")
        .await
        .expect(200)
        .json();
    assert_eq!(shown["from"]["digest"], old.manifest.digest);
    assert_eq!(shown["to"]["digest"], new.manifest.digest);
    let layers = shown["layers"].as_array().unwrap();
    let changes: Vec<(&str, &str)> = layers
        .iter()
        .map(|layer| {
            (
                layer["change"].as_str().unwrap(),
                layer["digest"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        changes,
        [
            ("both", old.blobs[1].digest.as_str()),
            ("added", &blobs[2].digest),
            ("removed", &old.blobs[2].digest),
        ]
    );
    assert_eq!(
        (&shown["added"], &shown["removed"], &shown["changed"]),
        (&json!(0), &json!(0), &json!(1)),
        "{shown}"
    );
    assert_eq!(shown["files"][0]["change"], "changed");
    assert_eq!(shown["files"][0]["what"], json!(["content"]));
    assert!(shown.get("left_out").is_none(), "{shown}");
    // What two digests name never changes: further pages of the comparison read no layer.
    if server.engine() == Engine::Filesystem {
        for image in [&old, &new] {
            let hex = image.blobs[2].digest.strip_prefix("sha256:").unwrap();
            let path = format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]);
            std::fs::remove_file(server.root().join(path)).unwrap();
        }
    }
    let again = api.get("/comparison?repository=app&from=1&to=2").await;
    assert_eq!(again.expect(200).json(), shown);
    app.push_image("1", &old).await;
    app.push_image("2", &new).await;
    let same = api
        .get("/comparison?repository=app&from=1&to=1")
        .await
        .expect(200)
        .json();
    assert_eq!((&same["changed"], &same["files"]), (&json!(0), &json!([])));
    api.get("/comparison?repository=app&from=1&to=3")
        .await
        .expect_problem(404, "unknown-image");
}

async fn a_check_finds_what_is_damaged_and_is_followed(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let app = server.anonymous().as_user("alice", "pw").repository("app");
    let pushed = image::oci("damaged");
    app.push_image("1", &pushed).await;
    let api = Api::of_operator(&server).await;
    let before = api.get("/checks").await.expect(200).json();
    assert_eq!(
        (&before["on_demand"], &before["findings"]),
        (&json!(true), &json!([]))
    );
    let blob = &pushed.blobs[1].digest;
    let is_damaged = server.engine() == Engine::Filesystem;
    if is_damaged {
        let hex = blob.strip_prefix("sha256:").unwrap();
        let path = format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]);
        std::fs::write(server.root().join(path), "other bytes").unwrap();
    }
    let asked = api.post("/checks", "{}").await.expect(202).json();
    assert_eq!(asked["number"], 1);
    eventually("the check ends", async || {
        let shown = api.get("/checks").await.expect(200).json();
        shown.get("last").is_some()
    })
    .await;
    let ended = api.get("/checks").await.json();
    assert_eq!(
        (&ended["last"]["number"], &ended["last"]["blobs"]),
        (&json!(1), &json!(4))
    );
    assert!(ended["last"].get("error").is_none(), "{ended}");
    assert_eq!(ended["recorded"]["blobs"], 4);
    let findings = ended["findings"].as_array().unwrap();
    match is_damaged {
        false => assert_eq!(findings.len(), 0, "{ended}"),
        true => {
            assert_eq!((findings.len(), &ended["last"]["broken"]), (1, &json!(1)));
            let finding = &findings[0];
            assert_eq!(
                (&finding["severity"], &finding["blob"]),
                (&json!("broken"), &json!(blob))
            );
            assert_eq!(finding["images"], json!([{"repository": "app", "tag": "1"}]));
            assert!(
                finding["remedy"]
                    .as_str()
                    .unwrap()
                    .contains("push one of these images")
            );
            // The store is whole when the story ends.
            app.push_image("1", &pushed).await;
        }
    }
    let alice = api.with(server.anonymous().as_user("alice", "pw"));
    alice.get("/checks").await.expect_problem(403, "forbidden");
    api.post("/checks", r#"{"fast":true}"#)
        .await
        .expect_problem(400, "bad-body");
}

async fn the_configuration_is_shown_with_origins_and_without_secrets(builder: ServerBuilder) {
    let server = with_users(builder)
        .http("secret: hunter2")
        .config("history: {retention: 3d}")
        .start();
    let api = Api::of_operator(&server).await;
    let answer = api.get("/configuration").await.expect(200);
    assert!(!answer.to_string().contains("hunter2"), "{answer}");
    let shown = answer.json();
    let settings = shown["settings"].as_array().unwrap();
    let of = |key: &str| {
        let setting = settings.iter().find(|setting| setting["key"] == *key);
        setting.unwrap_or_else(|| panic!("no `{key}` in {shown}"))
    };
    assert_eq!(
        (
            &of("history.retention")["value"],
            &of("history.retention")["origin"]
        ),
        (&json!("3d"), &json!("file"))
    );
    assert_eq!(of("http.secret")["secret"], true);
    assert_eq!(of("scrub.enabled")["origin"], "default");
    let keys: std::collections::HashSet<&str> = settings
        .iter()
        .map(|setting| setting["key"].as_str().unwrap())
        .collect();
    assert_eq!(keys.len(), settings.len(), "each key once");
    let alice = api.with(server.anonymous().as_user("alice", "pw"));
    alice.get("/configuration").await.expect_problem(403, "forbidden");
}

async fn a_server_without_tls_has_no_certificates(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let api = Api::of_operator(&server).await;
    assert_eq!(
        api.get("/certificates").await.expect(200).json(),
        json!({"certificates": []})
    );
    let anonymous = api.with(server.anonymous().as_user("alice", "pw"));
    assert_eq!(anonymous.get("/authority").await.expect(200).json(), json!({}));
}

async fn bytes_that_only_the_trash_keeps_are_told(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    let (kept, gone) = (image::oci("kept"), image::oci("gone"));
    alice.repository("app").push_image("1", &kept).await;
    alice.repository("other").push_image("1", &kept).await;
    alice.repository("other").push_image("2", &gone).await;
    let api = Api::of_operator(&server).await;
    assert_eq!(api.get("/usage").await.expect(200).json()["trash"], 0);
    api.post("/plans/apply?repository=other", r#"{"everything":true}"#)
        .await
        .expect(200);
    let usage = api.get("/usage").await.expect(200).json();
    let of_gone: usize = gone.blobs.iter().map(|blob| blob.bytes.len()).sum();
    assert_eq!(usage["trash"], of_gone, "{usage}");
}
