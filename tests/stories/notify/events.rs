//! Which requests cause events, and the content of events. `tests/compat` compares with registry:2 field by field.

use std::collections::BTreeSet;

use wharf_testkit::{Receiver, ServerBuilder, Value, image};

use super::telling;

wharf_testkit::configured_on_both_engines![
    a_push_and_a_pull_are_told,
    tags_that_a_push_names_are_told_one_by_one,
    references_are_included_on_request,
    requests_that_fail_are_no_events,
    the_actor_is_who_asked,
];

async fn a_push_and_a_pull_are_told(builder: ServerBuilder) {
    let receiver = Receiver::start();
    let server = telling(builder, &receiver.url(), "").start();
    let (client, image) = (server.anonymous(), image::docker(1));
    let repository = client.repository("team/app");
    repository.push_image("1.0", &image).await;
    let pushes = image.blobs.len() + 1;
    let pushed = receiver.wait_for(pushes).await.pop().unwrap().event();
    let address = server.address();
    let manifest = &image.manifest;
    let target = &pushed["target"];
    assert_eq!(pushed["action"], "push");
    assert_eq!(target["mediaType"], *manifest.media_type);
    assert_eq!(target["digest"], *manifest.digest);
    assert_eq!(
        (&target["size"], &target["length"]),
        (&manifest.bytes.len().into(), &manifest.bytes.len().into())
    );
    assert_eq!(
        (&target["repository"], &target["tag"]),
        (&"team/app".into(), &"1.0".into())
    );
    assert_eq!(
        target["url"],
        format!("http://{address}/v2/team/app/manifests/{}", manifest.digest)
    );
    assert_eq!(target.get("references"), None);
    assert_eq!(pushed["request"]["host"], address.to_string());
    assert_eq!(pushed["request"]["method"], "PUT");
    assert!(
        pushed["request"]["addr"]
            .as_str()
            .unwrap()
            .starts_with("127.0.0.1:")
    );
    assert_eq!(pushed["actor"], wharf_testkit::json!({}));
    let source = pushed["source"]["addr"].as_str().unwrap();
    assert!(source.ends_with(&format!(":{}", address.port())), "{source}");

    client.head(&repository.manifest_path("1.0")).await.expect(200);
    repository.get_manifest(&manifest.digest).await.expect(200);
    repository
        .get_blob(&image.blobs[0].digest)
        .header("Range", "bytes=0-1")
        .await
        .expect(206);
    let known = repository
        .get_manifest("1.0")
        .header("If-None-Match", &manifest.digest);
    known.await.expect(304);
    repository.head_blob(&image.blobs[0].digest).await.expect(200);
    let pulls = receiver.wait_for(pushes + 4).await.split_off(pushes);
    let shown: Vec<String> = pulls
        .iter()
        .map(|pull| {
            let event = pull.event();
            let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
            format!(
                "{} {} {} {}",
                text(&event["action"]),
                text(&event["request"]["method"]),
                text(&event["target"]["tag"]),
                text(&event["target"]["digest"])
            )
        })
        .collect();
    let (manifest, blob) = (&manifest.digest, &image.blobs[0].digest);
    let expected = [
        format!("pull HEAD 1.0 {manifest}"),
        format!("pull GET - {manifest}"),
        format!("pull GET - {blob}"),
        format!("pull HEAD - {blob}"),
    ];
    assert_eq!(shown, expected);
    let all = receiver.accepted();
    let ids: BTreeSet<_> = all
        .iter()
        .map(|received| received.event()["id"].to_string())
        .collect();
    assert_eq!(ids.len(), all.len());
    let instances: BTreeSet<_> = all
        .iter()
        .map(|received| received.event()["source"]["instanceID"].to_string())
        .collect();
    assert_eq!(instances.len(), 1);
}

async fn tags_that_a_push_names_are_told_one_by_one(builder: ServerBuilder) {
    let receiver = Receiver::start();
    let server = telling(
        builder,
        &receiver.url(),
        ", ignoredmediatypes: [application/octet-stream]",
    )
    .start();
    let (client, image) = (server.anonymous(), image::oci(1));
    let repository = client.repository("app");
    repository.push_blobs(&image).await;
    let path = format!("{}?tag=a&tag=b", repository.manifest_path(&image.manifest.digest));
    let push = client
        .put(&path)
        .header("Content-Type", &image.manifest.media_type);
    push.body(image.manifest.bytes.clone()).await.expect(201);
    repository
        .delete_manifest(&image.manifest.digest)
        .await
        .expect(202);
    let told: Vec<(Value, Value)> = receiver
        .wait_for(5)
        .await
        .iter()
        .map(|received| {
            (
                received.event()["action"].clone(),
                received.event()["target"]["tag"].clone(),
            )
        })
        .collect();
    let expected = [
        ("push", Some("a")),
        ("push", Some("b")),
        ("delete", None),
        ("delete", Some("a")),
        ("delete", Some("b")),
    ];
    let expected = expected.map(|(action, tag)| (action.into(), tag.map_or(Value::Null, Value::from)));
    assert_eq!(told, expected);
}

async fn references_are_included_on_request(builder: ServerBuilder) {
    let receiver = Receiver::start();
    let server = builder
        .config(format!(
            "notifications: {{events: {{includereferences: true}}, endpoints: [{{name: a, url: '{}', ignoredmediatypes: [application/octet-stream]}}]}}",
            receiver.url()
        ))
        .start();
    let image = image::docker(1);
    server.anonymous().repository("app").push_image("1", &image).await;
    let event = receiver.wait_for(1).await[0].event();
    let references = event["target"]["references"].as_array().unwrap();
    let digests: Vec<_> = references
        .iter()
        .map(|reference| reference["digest"].as_str().unwrap())
        .collect();
    let manifest = image.manifest.json();
    let mut expected = vec![manifest["config"]["digest"].as_str().unwrap()];
    expected.extend(
        manifest["layers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|layer| layer["digest"].as_str().unwrap()),
    );
    assert_eq!(digests, expected);
}

async fn requests_that_fail_are_no_events(builder: ServerBuilder) {
    let receiver = Receiver::start();
    let server = telling(builder, &receiver.url(), "").start();
    let (client, image) = (server.anonymous(), image::oci(1));
    let repository = client.repository("app");
    client.get("/v2/").await.expect(200);
    repository.put_manifest("1", &image.manifest).await.expect(400);
    repository.get_manifest("1").await.expect(404);
    repository.get_blob(&image.blobs[0].digest).await.expect(404);
    repository.delete_manifest("1").await.expect(404);
    let location = repository.start_upload().await;
    repository
        .finish(&location, &image.blobs[0].digest, "other bytes")
        .await
        .expect(400);
    let mount = format!(
        "{}?mount={}&from=other",
        repository.uploads_path(),
        image.blobs[0].digest
    );
    client.post(&mount).await.expect(202);
    repository.push_blob(&image.blobs[1]).await;
    repository
        .get_blob(&image.blobs[1].digest)
        .header("Range", "bytes=999999-")
        .await
        .expect(416);
    repository.get_blob(&image.blobs[1].digest).await.expect(200);
    let told: Vec<String> = receiver
        .wait_for(2)
        .await
        .iter()
        .map(|received| received.event()["action"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(told, ["push", "pull"]);
}

async fn the_actor_is_who_asked(builder: ServerBuilder) {
    let receiver = Receiver::start();
    // `wonderland`, at the lowest cost.
    builder.write(
        "htpasswd",
        "alice:$2y$04$DrAEUS8Ej6B0PO9neuvGQ.cX5amhaGYVsr8U0B4xJL4rXWzuW1j4a\n",
    );
    let users = builder.path("htpasswd").display().to_string();
    let server = telling(builder, &receiver.url(), "").htpasswd(&users).start();
    let alice = server.anonymous().as_user("alice", "wonderland");
    alice.repository("app").push_blob(&image::oci(1).blobs[0]).await;
    let event = receiver.wait_for(1).await[0].event();
    assert_eq!(event["actor"], wharf_testkit::json!({"name": "alice"}));
}
