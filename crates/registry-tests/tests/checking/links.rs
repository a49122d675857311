//! Damaged links, dangling ones, and leftovers.

use std::sync::Arc;

use wharf_oci::Digest;
use wharf_registry::check::Severity;
use wharf_storage::{Key, Storage, layout};

use super::{Scene, digest};
use crate::common::{image, name, on_both_engines, push_blob, put, tag, write};

async fn open(storage: Arc<dyn Storage>, _: bool) -> Scene {
    Scene::over(storage)
}

on_both_engines! { open:
    damaged_links_are_named_with_the_images_that_suffer
    a_link_that_names_another_digest_is_named
    a_layer_without_a_link_is_named
    a_tag_that_points_at_nothing_is_named
    leftovers_are_untidy
    a_half_deleted_repository_is_named
    strange_entries_are_named
}

async fn damaged_links_are_named_with_the_images_that_suffer(scene: Scene) {
    let app = &scene.app;
    let (tagged, _) = scene.image("team/app", Some("1"), "content").await;
    let (other, _) = scene.image("team/app", None, "untagged").await;
    for (link, image) in [
        (layout::tag_link(app, "1"), "team/app:1".to_owned()),
        (layout::revision_link(app, &tagged), "team/app:1".to_owned()),
        (
            layout::layer_link(app, &digest("content")),
            "team/app:1".to_owned(),
        ),
        (layout::revision_link(app, &other), format!("team/app@{other}")),
    ] {
        let sound = scene.storage.read(&link, 100).await.unwrap().bytes;
        for content in ["", "sha256:12", "not a digest"] {
            write(&*scene.storage, &link, content).await;
            let checked = scene.check().await;
            checked.says(&[("damaged-link", Severity::Broken, &[&image])]);
        }
        write(&*scene.storage, &link, std::str::from_utf8(&sound).unwrap()).await;
        scene.check().await.is_sound();
    }
}

async fn a_link_that_names_another_digest_is_named(scene: Scene) {
    let app = &scene.app;
    let (first, _) = scene.image("team/app", Some("1"), "content").await;
    let (second, _) = scene.image("team/app", Some("2"), "other").await;
    let revision = layout::revision_link(app, &first);
    write(&*scene.storage, &revision, &second.to_string()).await;
    scene
        .check()
        .await
        .says(&[("wrong-link", Severity::Broken, &["team/app:1"])]);
    write(&*scene.storage, &revision, &first.to_string()).await;
    let layer = layout::layer_link(app, &digest("content"));
    write(&*scene.storage, &layer, &digest("other").to_string()).await;
    let checked = scene.check().await;
    checked.says(&[("wrong-link", Severity::Broken, &["team/app:1"])]);
    let text = checked.findings[0].to_string();
    assert!(
        text.contains(&format!("another digest, `{}`", digest("other"))),
        "{text}"
    );
    let needless = push_blob(&scene.registry, app, b"needless").await;
    write(&*scene.storage, &layer, &digest("content").to_string()).await;
    write(
        &*scene.storage,
        &layout::layer_link(app, &needless),
        &second.to_string(),
    )
    .await;
    scene.check().await.says(&[("wrong-link", Severity::Untidy, &[])]);
}

async fn a_layer_without_a_link_is_named(scene: Scene) {
    scene.image("team/app", Some("1"), "content").await;
    // The bytes are there, and the repository may not read them.
    scene
        .remove(&layout::layer_link(&scene.app, &digest("content")))
        .await;
    scene
        .check()
        .await
        .says(&[("unlinked", Severity::Broken, &["team/app:1"])]);
}

async fn a_tag_that_points_at_nothing_is_named(scene: Scene) {
    let (first, _) = scene.image("team/app", Some("1"), "content").await;
    scene.image("team/app", Some("2"), "other").await;
    scene.remove(&layout::revision_link(&scene.app, &first)).await;
    let checked = scene.check().await;
    checked.says(&[("dangling-tag", Severity::Broken, &["team/app:1"])]);
    assert!(checked.findings[0].to_string().contains("or delete it"));
}

async fn leftovers_are_untidy(scene: Scene) {
    let app = &scene.app;
    scene.image("team/app", Some("1"), "content").await;
    let gone = digest("gone");
    let put = async |key: Key| write(&*scene.storage, &key, &gone.to_string()).await;
    put(layout::layer_link(app, &gone)).await;
    put(layout::layer_link(app, &digest("also gone"))).await;
    put(layout::tag_history_link(app, "1", &gone)).await;
    put(layout::tag_history_link(app, "empty", &gone)).await;
    let checked = scene.check().await;
    checked.says(&[
        ("dangling-history", Severity::Untidy, &[]),
        // The link of one holds the digest of the other.
        ("dangling-layers", Severity::Untidy, &[]),
        ("empty-tag", Severity::Untidy, &[]),
        ("wrong-link", Severity::Untidy, &[]),
    ]);
    let (current, _) = scene.image("team/app", Some("2"), "other").await;
    let entry = layout::tag_history_link(app, "2", &current);
    scene
        .storage
        .remove(&entry, &layout::tag(app, "2"))
        .await
        .unwrap();
    assert!(
        scene
            .check()
            .await
            .findings
            .iter()
            .any(|finding| finding.kind() == "unrecorded-tag"),
    );
}

async fn a_half_deleted_repository_is_named(scene: Scene) {
    scene.image("team/app", Some("1"), "content").await;
    let manifests = layout::manifests(&scene.app);
    scene.storage.remove_tree(&manifests).await.unwrap();
    scene.check().await.says(&[("remains", Severity::Untidy, &[])]);
    // The other half: links of manifests and tags, and none of layers.
    let manifest = image(&scene.registry, &name("other"), "other", "").await;
    put(&scene.registry, &name("other"), tag("1"), &manifest).await;
    scene
        .storage
        .remove_tree(&layout::layers(&name("other")))
        .await
        .unwrap();
    scene.check().await.says(&[
        ("remains", Severity::Untidy, &[]),
        ("unlinked", Severity::Broken, &["other:1"]),
        ("unlinked", Severity::Broken, &["other:1"]),
    ]);
}

async fn strange_entries_are_named(scene: Scene) {
    scene.image("team/app", Some("1"), "content").await;
    let repository = layout::repository(&scene.app);
    let digest: Digest = digest("content");
    let mut expected = Vec::new();
    for path in [
        format!("{repository}/readme.txt"),
        format!("{repository}/_manifests/more"),
        format!("{repository}/_manifests/tags/1/note"),
        format!("{repository}/_manifests/revisions/sha256/zz"),
        format!("{repository}/_layers/md5/{}/link", digest.hex()),
        format!("{}/sha256/file", layout::blobs()),
    ] {
        write(&*scene.storage, &Key::new(path).unwrap(), "x").await;
        expected.push(("unknown-entry", Severity::Untidy, &[][..]));
    }
    let foreign = format!(
        "{}/Team/_layers/sha256/{}/link",
        layout::repositories(),
        digest.hex()
    );
    write(&*scene.storage, &Key::new(foreign).unwrap(), &digest.to_string()).await;
    expected.push(("foreign-repository", Severity::Untidy, &[]));
    expected.push(("remains", Severity::Untidy, &[]));
    scene.check().await.says(&expected);
}
