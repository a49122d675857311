//! One image with all its parts, and the search for images.

use wharf_testkit::{ServerBuilder, Value, eventually, image, image::Blob, json};

use super::{Api, ExpectProblem as _, tags::ruled, with_users};

wharf_testkit::configured_on_both_engines![
    an_image_is_shown_with_configuration_layers_and_history,
    an_index_is_shown_with_its_children_and_referrers,
    an_image_behind_a_hidden_tag_is_unknown_by_that_tag,
    images_are_found_by_names_labels_annotations_and_digests,
    a_search_goes_on_where_it_ended_and_finds_what_its_caller_may_pull,
    a_server_tells_its_health_and_how_long_it_has_run,
];

/// An image of two layers, whose configuration has everything that is shown.
fn configured() -> image::Image {
    let config = json!({
        "created": "2026-01-02T03:04:05Z",
        "author": "Ada",
        "os": "linux",
        "architecture": "arm",
        "variant": "v7",
        "config": {
            "User": "app",
            "Env": ["PATH=/bin", "A=b"],
            "Entrypoint": ["/app"],
            "Cmd": ["--serve"],
            "WorkingDir": "/srv",
            "ExposedPorts": {"80/tcp": {}},
            "Volumes": {"/data": {}},
            "Labels": {"org.example.team": "Blue Whale"},
        },
        "history": [
            {"created": "2026-01-02T03:04:05Z", "created_by": "COPY a /"},
            {"created_by": "ENV A=b", "empty_layer": true},
            {"created_by": "COPY b /", "comment": "buildkit"},
        ],
    });
    let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
    let layers = ["first", "second"].map(|text| Blob::new(layer, text));
    image::image(
        image::OCI_MANIFEST,
        Blob::new(image::OCI_CONFIG, config.to_string()),
        layers.into(),
    )
}

async fn an_image_is_shown_with_configuration_layers_and_history(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    let pushed = configured();
    let app = alice.repository("app");
    app.push_image("1.0", &pushed).await;
    app.push_image("latest", &pushed).await;
    app.get_manifest("latest").await.expect(200);
    let api = Api::of_operator(&server).await;
    let digest = &pushed.manifest.digest;
    let by_digest = format!("/image?repository=app&reference={digest}");
    for target in ["/image?repository=app&reference=1.0", by_digest.as_str()] {
        eventually("the pull is counted", async || {
            api.get(target).await.expect(200).json()["pulls"] == 1
        })
        .await;
        let shown = api.get(target).await.json();
        assert_eq!(shown["digest"], *digest);
        assert_eq!(shown["tags"], json!(["1.0", "latest"]));
        assert!(
            shown["pushed"].is_string() && shown.get("problem").is_none(),
            "{shown}"
        );
        let manifest = &shown["manifest"];
        assert_eq!(manifest["media_type"], image::OCI_MANIFEST);
        assert_eq!(manifest["kind"], "image");
        assert_eq!(manifest["manifest_size"], pushed.manifest.bytes.len());
        let blobs = pushed.blobs.iter().map(|blob| blob.bytes.len());
        assert_eq!(manifest["size"], blobs.sum::<usize>());
        assert_eq!(
            manifest["config"],
            json!({
                "digest": pushed.blobs[0].digest,
                "media_type": image::OCI_CONFIG,
                "size": pushed.blobs[0].bytes.len(),
                "created": "2026-01-02T03:04:05Z",
                "author": "Ada",
                "os": "linux",
                "architecture": "arm",
                "variant": "v7",
                "user": "app",
                "env": ["PATH=/bin", "A=b"],
                "entrypoint": ["/app"],
                "cmd": ["--serve"],
                "working_dir": "/srv",
                "exposed_ports": ["80/tcp"],
                "volumes": ["/data"],
                "labels": {"org.example.team": "Blue Whale"},
            })
        );
        let layers = manifest["layers"].as_array().unwrap();
        let of_layers = |field: &str| -> Vec<&Value> { layers.iter().map(|layer| &layer[field]).collect() };
        assert_eq!(
            of_layers("digest"),
            [&pushed.blobs[1].digest, &pushed.blobs[2].digest]
        );
        assert_eq!(of_layers("step"), [0, 2]);
        assert_eq!(manifest["layers_total"], 2);
        assert_eq!(manifest["history"][1]["makes_no_layer"], true);
        assert_eq!(manifest["history"][2]["comment"], "buildkit");
    }
    for reference in ["2.0", &format!("sha256:{}", "0".repeat(64))] {
        api.get(&format!("/image?repository=app&reference={reference}"))
            .await
            .expect_problem(404, "unknown-image");
    }
    let problem = api.get("/image?repository=app&reference=-").await;
    assert_eq!(
        problem.expect_problem(400, "bad-query").json()["field"],
        "reference"
    );
}

async fn an_index_is_shown_with_its_children_and_referrers(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let app = server.anonymous().as_user("alice", "pw").repository("app");
    let index = image::oci_index(1);
    app.push_index("latest", &index).await;
    let signature = image::artifact(1, "application/vnd.example.signature", &index.manifest);
    app.push_blobs(&signature).await;
    app.push_manifest(&signature.manifest.digest, &signature.manifest)
        .await;
    let api = Api::of_operator(&server).await;

    let shown = api
        .get("/image?repository=app&reference=latest")
        .await
        .expect(200)
        .json();
    let referrer = &shown["referrers"][0];
    assert_eq!(referrer["digest"], signature.manifest.digest);
    assert_eq!(referrer["artifact_type"], "application/vnd.example.signature");
    assert_eq!(referrer["annotations"]["org.example.seed"], "1");
    assert_eq!(shown["more_referrers"], false);
    let manifest = &shown["manifest"];
    assert_eq!(
        (&manifest["children_total"], &manifest["layers_total"]),
        (&4.into(), &0.into())
    );
    for (child, image) in manifest["children"].as_array().unwrap().iter().zip(&index.images) {
        assert_eq!(child["digest"], image.manifest.digest);
        let blobs = image.blobs.iter().map(|blob| blob.bytes.len());
        assert_eq!(child["size"], blobs.sum::<usize>());
    }
    assert_eq!(manifest["children"][1]["platform"], "linux/arm64");
    let attestation = &manifest["children"][2];
    assert!(attestation.get("platform").is_none(), "{attestation}");
    assert_eq!(
        attestation["annotations"]["vnd.docker.reference.type"],
        "attestation-manifest"
    );

    let target = format!("/image?repository=app&reference={}", signature.manifest.digest);
    let shown = api.get(&target).await.expect(200).json();
    assert_eq!(shown["manifest"]["subject"]["digest"], index.manifest.digest);
    assert_eq!(shown["manifest"]["annotations"]["org.example.seed"], "1");
    assert_eq!(shown["tags"], json!([]));
}

/// Rules by which bob may pull some tags of one repository.
pub(super) const RULES: &str = "rules:\n\
     - {accounts: alice, repositories: '**', allow: [pull, push]}\n\
     - {accounts: bob, repositories: app, tags: ['1.*'], allow: pull}\n";

async fn an_image_behind_a_hidden_tag_is_unknown_by_that_tag(builder: ServerBuilder) {
    let server = ruled(builder, RULES);
    let user = |name: &str| server.anonymous().as_user(name, "pw");
    let app = user("alice").repository("app");
    for tag in ["1.0", "2.0"] {
        app.push_image(tag, &image::oci(1)).await;
    }
    let api = Api::of_operator(&server).await;
    let (alice, bob) = (api.with(user("alice")), api.with(user("bob")));
    let shown = alice
        .get("/image?repository=app&reference=1.0")
        .await
        .expect(200)
        .json();
    assert_eq!(shown["tags"], json!(["1.0", "2.0"]));
    let shown = bob
        .get("/image?repository=app&reference=1.0")
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&shown["tags"], &shown["tags_total"]),
        (&json!(["1.0"]), &1.into())
    );
    bob.get("/image?repository=app&reference=2.0")
        .await
        .expect_problem(404, "unknown-image");
}

/// The hits of all pages of a search, as `repository:tag`.
async fn hits(api: &Api, query: &str) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api
            .get(&format!("/search?{query}{cursor}"))
            .await
            .expect(200)
            .json();
        found.extend(page["hits"].as_array().unwrap().iter().map(|hit| {
            let repository = hit["repository"].as_str().unwrap();
            match hit["tag"].as_str() {
                Some(tag) => format!("{repository}:{tag}"),
                None => repository.to_owned(),
            }
        }));
        match page.get("next") {
            Some(next) => cursor = format!("&cursor={}", next.as_str().unwrap()),
            None => return found,
        }
    }
}

async fn images_are_found_by_names_labels_annotations_and_digests(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    let configured = configured();
    let annotated = image::oci(2);
    let annotated = image::Image {
        manifest: annotated
            .manifest
            .with(&json!({"annotations": {"org.example.ticket": "WHALE-7"}})),
        ..annotated
    };
    let index = image::oci_index(3);
    alice.repository("team/app").push_image("1.0", &configured).await;
    alice.repository("team/app").push_image("2.0", &annotated).await;
    alice.repository("other").push_index("whaleboat", &index).await;
    let api = Api::of_operator(&server).await;

    assert_eq!(
        hits(&api, "q=whale").await,
        ["other:whaleboat", "team/app:1.0", "team/app:2.0"]
    );
    assert_eq!(hits(&api, "q=whale&in=name").await, ["other:whaleboat"]);
    assert_eq!(hits(&api, "q=WHALE&in=label").await, ["team/app:1.0"]);
    assert_eq!(hits(&api, "q=ticket=whale&in=annotation").await, ["team/app:2.0"]);
    assert_eq!(hits(&api, "q=TEAM&in=name").await, ["team/app"]);
    assert_eq!(hits(&api, "q=nothing").await, [""; 0]);
    for digest in [
        &index.manifest.digest,
        &index.images[1].manifest.digest,
        &index.images[1].blobs[0].digest,
        &index.images[0].blobs[1].digest,
    ] {
        assert_eq!(hits(&api, &format!("q={digest}")).await, ["other:whaleboat"]);
    }
    let found = api.get("/search?q=blue&in=label,name").await.expect(200).json();
    assert_eq!(
        found["hits"][0]["matches"],
        json!([{"in": "label", "text": "org.example.team=Blue Whale"}])
    );
    assert_eq!(found["hits"][0]["digest"], configured.manifest.digest);
    for (query, field) in [
        ("in=name", "q"),
        ("q=a&in=size", "in"),
        ("q=a&cursor=A", "cursor"),
    ] {
        let problem = api.get(&format!("/search?{query}")).await;
        assert_eq!(problem.expect_problem(400, "bad-query").json()["field"], field);
    }
}

async fn a_search_goes_on_where_it_ended_and_finds_what_its_caller_may_pull(builder: ServerBuilder) {
    let server = ruled(builder, RULES);
    let user = |name: &str| server.anonymous().as_user(name, "pw");
    let alice = user("alice");
    for repository in ["app", "apple", "b/app"] {
        for tag in ["1.0", "1.1", "2.0"] {
            alice.repository(repository).push_image(tag, &image::oci(1)).await;
        }
    }
    let api = Api::of_operator(&server).await;
    let everything = [
        "app:1.0",
        "app:1.1",
        "apple:1.0",
        "apple:1.1",
        "b/app:1.0",
        "b/app:1.1",
    ];
    for limit in [1, 2, 3, 5, 100] {
        let by = async |api: &Api, query: &str| hits(api, &format!("{query}&limit={limit}")).await;
        let (alice, bob, carol) = (
            api.with(user("alice")),
            api.with(user("bob")),
            api.with(user("carol")),
        );
        // Every name of a repository, and of a tag.
        for api in [&api, &alice] {
            assert_eq!(by(api, "q=a&in=name").await, ["app", "apple", "b/app"], "{limit}");
            assert_eq!(by(api, "q=1.&in=name,digest").await, everything, "{limit}");
        }
        assert_eq!(by(&bob, "q=a&in=name").await, ["app"], "{limit}");
        // All tags are of one image.
        for query in ["q=1.&in=name,digest", "q=.&in=name", "q=sha256&in=digest"] {
            assert_eq!(by(&bob, query).await, ["app:1.0", "app:1.1"], "{limit} {query}");
        }
        assert_eq!(by(&carol, "q=a").await, [""; 0], "{limit}");
    }
}

async fn a_server_tells_its_health_and_how_long_it_has_run(builder: ServerBuilder) {
    let down = builder.path("down");
    let check = format!(
        "health: {{file: [{{file: '{}', interval: 10ms, threshold: 1}}]}}",
        down.display()
    );
    let server = with_users(builder).config(check).start();
    let api = Api::of_operator(&server).await;
    let shown = api.get("/server").await.expect(200).json();
    assert_eq!(shown["healthy"], true, "{shown}");
    assert!(shown["uptime"].as_u64().unwrap() < 600, "{shown}");
    server.write("down", "");
    eventually("the check fails", async || {
        api.get("/server").await.expect(200).json()["healthy"] == false
    })
    .await;
    let shown = api.get("/server").await.expect(200).json();
    assert_eq!(shown["failing"].as_object().unwrap().len(), 1, "{shown}");
}
