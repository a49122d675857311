//! Traffic and growth by day, and images that were never pulled.

use wharf_testkit::{ServerBuilder, Value, eventually, image};

use super::{Api, ExpectProblem as _, with_users};

wharf_testkit::configured_on_both_engines![
    what_happens_is_added_to_its_day,
    bytes_of_pulls_are_those_that_were_sent,
    a_collection_records_what_is_stored_on_its_day,
    a_repository_with_many_tags_does_not_end_the_search_for_images_that_were_never_pulled,
];

/// The sum of `field` over all days: midnight may come.
fn sum(shown: &Value, field: &str) -> u64 {
    let days = shown["days"].as_array().unwrap().iter();
    days.map(|day| day[field].as_u64().unwrap()).sum()
}

async fn what_happens_is_added_to_its_day(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let app = server.anonymous().as_user("alice", "pw").repository("app");
    let pushed = image::oci("traffic");
    app.push_image("1", &pushed).await;
    app.push_image("never", &pushed).await;
    app.get_manifest("1").await.expect(200);
    let api = Api::of_operator(&server).await;
    eventually("the pull is counted", async || {
        sum(&api.get("/traffic").await.expect(200).json(), "pulls") == 1
    })
    .await;
    let shown = api.get("/traffic").await.json();
    let blobs: usize = pushed.blobs.iter().map(|blob| blob.bytes.len()).sum();
    let manifest = pushed.manifest.bytes.len();
    assert_eq!(sum(&shown, "pushes"), 2);
    // The second push sent the same blobs once more.
    assert_eq!(sum(&shown, "received"), 2 * (blobs + manifest) as u64, "{shown}");
    assert_eq!(shown["most"][0]["tag"], "1");
    assert_eq!(shown["never"][0]["tag"], "never");
    assert!(shown["since"].is_string(), "{shown}");
    assert_eq!(sum(&shown, "sent"), manifest as u64, "{shown}");
    let alice = api.with(server.anonymous().as_user("alice", "pw"));
    alice.get("/traffic").await.expect_problem(403, "forbidden");
}

/// A `HEAD` sends none, a range what it names, and a refusal is no content.
async fn bytes_of_pulls_are_those_that_were_sent(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    let app = alice.repository("app");
    let pushed = image::oci("bytes");
    app.push_image("1", &pushed).await;
    let api = Api::of_operator(&server).await;
    let before = sum(&api.get("/traffic").await.expect(200).json(), "sent");
    let blob = format!("/v2/app/blobs/{}", pushed.blobs[0].digest);
    alice.head(&blob).await.expect(200);
    alice.head("/v2/app/manifests/1").await.expect(200);
    alice.get("/v2/app/manifests/none").await.expect(404);
    alice.get("/v2/app/tags/list").await.expect(200);
    alice.get(&blob).await.expect(200);
    alice.get(&blob).header("range", "bytes=0-2").await.expect(206);
    app.get_manifest("1").await.expect(200);
    let sent = pushed.blobs[0].bytes.len() + 3 + pushed.manifest.bytes.len();
    eventually("the bytes are counted", async || {
        let shown = api.get("/traffic").await.expect(200).json();
        sum(&shown, "pulls") == 1 && sum(&shown, "sent") >= before + sent as u64
    })
    .await;
    let shown = api.get("/traffic").await.json();
    assert_eq!(sum(&shown, "sent"), before + sent as u64, "{shown}");
}

async fn a_collection_records_what_is_stored_on_its_day(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    let pushed = image::oci("growth");
    for repository in ["app", "team/copy"] {
        alice.repository(repository).push_image("1", &pushed).await;
    }
    let api = Api::of_operator(&server).await;
    assert_eq!(
        api.get("/traffic").await.expect(200).json()["growth"],
        Value::Array(Vec::new())
    );
    api.post("/collections", "").await.expect(202);
    eventually("the collection has recorded what is stored", async || {
        let shown = api.get("/traffic").await.expect(200).json();
        !shown["growth"].as_array().unwrap().is_empty()
    })
    .await;
    let shown = api.get("/traffic").await.expect(200).json();
    let day = &shown["growth"][0];
    let blobs: usize = pushed.blobs.iter().map(|blob| blob.bytes.len()).sum();
    let bytes = blobs + pushed.manifest.bytes.len();
    assert_eq!(day["bytes"].as_u64(), Some(bytes as u64), "{shown}");
    assert_eq!(
        day["blobs"].as_u64(),
        Some(pushed.blobs.len() as u64 + 1),
        "{shown}"
    );
    assert_eq!(day["repositories"].as_u64(), Some(2), "{shown}");
    assert!(
        day["measured"]
            .as_str()
            .unwrap()
            .starts_with(day["day"].as_str().unwrap()),
        "{day}"
    );
}

fn large_image() -> image::Image {
    let small = image::oci("large");
    let layer = image::Blob::random(1, 1 << 20);
    image::image(&small.manifest.media_type, small.blobs[0].clone(), vec![layer])
}

async fn a_repository_with_many_tags_does_not_end_the_search_for_images_that_were_never_pulled(
    builder: ServerBuilder,
) {
    let server = with_users(builder).start();
    let alice = server.anonymous().as_user("alice", "pw");
    let (small, large) = (image::oci("small"), large_image());
    let many = alice.repository("a/many");
    many.push_image("1", &small).await;
    for number in 2..=201 {
        many.put_manifest(&number.to_string(), &small.manifest)
            .await
            .expect(201);
    }
    alice.repository("b/later").push_image("1", &large).await;
    let api = Api::of_operator(&server).await;
    let shown = api.get("/traffic").await.expect(200).json();
    assert_eq!(shown["never"][0]["repository"], "b/later", "{shown}");
    let problem = shown["problem"].as_str().unwrap();
    assert!(problem.contains("201 tags of 2 repositories"), "{problem}");
}
