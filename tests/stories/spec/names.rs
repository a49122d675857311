//! Repository names: every form that the specification allows works from push to catalogue.

use wharf_testkit::{Server, image};

wharf_testkit::on_both_engines![
    every_allowed_form_of_a_name_works,
    names_that_look_like_routes_work,
    a_name_of_255_characters_works,
];

async fn works(server: &Server, name: &str) {
    let repository = server.anonymous().repository(name);
    let image = image::docker(1);
    repository.push_image("v1", &image).await;
    repository.pull_image("v1", &image).await;
    assert_eq!(repository.tags().await, ["v1"], "{name}");
    assert_eq!(
        repository.referrers(&image.manifest.digest).await,
        Vec::<String>::new(),
        "{name}"
    );
    let answer = server.anonymous().get("/v2/_catalog").await.expect(200);
    assert!(
        answer.json()["repositories"]
            .as_array()
            .unwrap()
            .iter()
            .any(|found| found == name),
        "{answer}"
    );
    repository.delete_manifest("v1").await.expect(202);
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*`
async fn every_allowed_form_of_a_name_works(server: Server) {
    for name in [
        "a",
        "0",
        "kyo/my-image",
        "education/engineer1-6.2.2",
        "a.b/c_d/e__f/g-h/i---j",
        "deep/er/and/deep/er/and/deep/er/still",
    ] {
        works(&server, name).await;
    }
}

/// The words of the routes are allowed as components of names.
async fn names_that_look_like_routes_work(server: Server) {
    for name in [
        "tags/list",
        "v2/blobs/uploads",
        "manifests",
        "blobs/uploads",
        "a/referrers",
        "a/manifests/latest",
    ] {
        works(&server, name).await;
    }
}

async fn a_name_of_255_characters_works(server: Server) {
    works(&server, &"a".repeat(255)).await;
    let deep = format!("{}b", "a/".repeat(127));
    assert_eq!(deep.len(), 255);
    works(&server, &deep).await;
}
