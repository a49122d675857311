//! Manifests, tags, referrers and their deletion.

use crate::common::{caller, image, index, name, push_blob, put, registry, tag, try_put, write};
use wharf_oci::{Digest, PageRequest, Reference};
use wharf_registry::{Error, ReferenceRole};
use wharf_storage::layout;

#[tokio::test]
async fn all_missing_references_are_named_at_once() {
    let (registry, _) = registry();
    let manifest = image(&registry, &name("elsewhere"), "content", "").await;
    let error = try_put(&registry, &name("app"), tag("1"), &manifest)
        .await
        .unwrap_err();
    let Error::ManifestReferencesUnknown(missing) = error else {
        panic!("{error}")
    };
    assert_eq!(
        missing.iter().map(|missing| missing.role).collect::<Vec<_>>(),
        [ReferenceRole::Config, ReferenceRole::Layer]
    );
    assert!(missing.iter().all(|missing| !missing.damaged));
}

#[tokio::test]
async fn a_truncated_blob_counts_as_absent_until_it_is_pushed_again() {
    let (registry, storage) = registry();
    let app = name("app");
    let manifest = image(&registry, &app, "content", "").await;
    let digest = Digest::sha256_of(b"content");
    write(&*storage, &layout::blob(&digest), "con").await;

    let put_manifest = || try_put(&registry, &app, tag("1"), &manifest);
    let Err(Error::ManifestReferencesUnknown(missing)) = put_manifest().await else {
        panic!("accepted")
    };
    assert_eq!(
        (missing.len(), missing[0].digest, missing[0].damaged),
        (1, digest, true)
    );
    assert!(
        matches!(registry.blob(&app, &digest).await, Err(Error::BlobUnknown { .. })),
        "clients ask before they push"
    );
    assert_eq!(
        registry
            .mount_blob(&caller(), &name("other"), &digest, Some(&app))
            .await
            .unwrap(),
        None
    );

    push_blob(&registry, &app, b"content").await;
    assert_eq!(registry.blob(&app, &digest).await.unwrap().size, 7);
    put_manifest().await.unwrap();
}

#[tokio::test]
async fn a_manifest_with_a_wrong_size_is_accepted_as_registry_2_does() {
    let (registry, _) = registry();
    let app = name("app");
    let manifest = image(&registry, &app, "content", "")
        .await
        .replace("\"size\":7}", "\"size\":8}");
    put(&registry, &app, tag("1"), &manifest).await;
}

#[tokio::test]
async fn a_damaged_manifest_is_never_served_and_a_push_heals_it() {
    let (registry, storage) = registry();
    let app = name("app");
    let manifest = image(&registry, &app, "content", "").await;
    let digest = Digest::sha256_of(manifest.as_bytes());
    put(&registry, &app, tag("1"), &manifest).await;

    let fresh = std::sync::Arc::new(wharf_registry::Registry::new(
        std::sync::Arc::clone(&storage),
        registry.options().clone(),
    ));
    write(
        &*storage,
        &layout::blob(&digest),
        &manifest.replace("layers", "LAYERS"),
    )
    .await;
    assert!(matches!(
        fresh.manifest(&app, &tag("1").into()).await,
        Err(Error::ManifestUnknown { .. })
    ));
    put(&fresh, &app, tag("1"), &manifest).await;
    assert_eq!(
        fresh.manifest(&app, &tag("1").into()).await.unwrap().bytes,
        manifest.as_bytes()
    );
    let again = wharf_registry::Registry::new(storage, registry.options().clone());
    assert_eq!(
        again.manifest(&app, &tag("1").into()).await.unwrap().bytes,
        manifest.as_bytes()
    );
}

#[tokio::test]
async fn deleting_a_tag_leaves_its_siblings_and_the_manifest() {
    let (registry, _) = registry();
    let app = name("app");
    let manifest = image(&registry, &app, "content", "").await;
    let digest = put(&registry, &app, tag("1.0"), &manifest).await;
    put(&registry, &app, tag("latest"), &manifest).await;
    registry.delete_tag(&caller(), &app, &tag("1.0")).await.unwrap();
    assert!(matches!(
        registry.manifest(&app, &tag("1.0").into()).await,
        Err(Error::ManifestUnknown { .. })
    ));
    assert_eq!(
        registry
            .manifest(&app, &tag("latest").into())
            .await
            .unwrap()
            .digest,
        digest
    );
    assert_eq!(
        registry.manifest(&app, &digest.into()).await.unwrap().digest,
        digest
    );
    assert!(matches!(
        registry.delete_tag(&caller(), &app, &tag("1.0")).await,
        Err(Error::ManifestUnknown { .. })
    ));
}

#[tokio::test]
async fn deleting_a_manifest_takes_its_tags_and_no_other() {
    let (registry, _) = registry();
    let app = name("app");
    let first = image(&registry, &app, "first", "").await;
    let second = image(&registry, &app, "second", "").await;
    let digest = put(&registry, &app, tag("1"), &first).await;
    put(&registry, &app, tag("also-1"), &first).await;
    put(&registry, &app, tag("2"), &second).await;
    registry
        .delete_manifest(&caller(), &app, &digest, false)
        .await
        .unwrap();
    let tags = registry.tags(&app, &PageRequest::default()).await.unwrap();
    assert_eq!(tags.names, ["2".into()]);
    assert!(matches!(
        registry.manifest(&app, &digest.into()).await,
        Err(Error::ManifestUnknown { .. })
    ));
}

#[tokio::test]
async fn the_digest_of_a_config_is_answered_with_that_of_its_manifest() {
    let (registry, _) = registry();
    let app = name("app");
    let manifest = image(&registry, &app, "content", "").await;
    let digest = put(&registry, &app, tag("latest"), &manifest).await;
    let config = Digest::sha256_of(b"{\"config\":\"content\"}");
    let error = registry
        .delete_manifest(&caller(), &app, &config, true)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("is a config of `app:latest`") && error.contains(&digest.to_string()),
        "{error}"
    );
    assert!(
        registry.blob(&app, &config).await.is_ok(),
        "the config is still there"
    );
}

#[tokio::test]
async fn the_child_of_a_tagged_index_is_kept_even_through_an_index_between() {
    let (registry, _) = registry();
    let app = name("app");
    let child = image(&registry, &app, "content", "").await;
    let digest = put(
        &registry,
        &app,
        Reference::Digest(Digest::sha256_of(child.as_bytes())),
        &child,
    )
    .await;
    let inner = index(&[(digest, child.len())]);
    let inner_digest = put(
        &registry,
        &app,
        Reference::Digest(Digest::sha256_of(inner.as_bytes())),
        &inner,
    )
    .await;
    let outer = index(&[(inner_digest, inner.len())]);
    put(&registry, &app, tag("multi"), &outer).await;

    let Err(Error::NeededByIndex { indexes, .. }) =
        registry.delete_manifest(&caller(), &app, &digest, false).await
    else {
        panic!("deleted")
    };
    assert_eq!(indexes, ["app:multi"]);
    registry.delete_tag(&caller(), &app, &tag("multi")).await.unwrap();
    registry
        .delete_manifest(&caller(), &app, &digest, false)
        .await
        .unwrap();
}

#[tokio::test]
async fn referrers_come_and_go_with_their_manifests() {
    let (registry, _) = registry();
    let app = name("app");
    let subject = image(&registry, &app, "subject", "").await;
    let subject_digest = Digest::sha256_of(subject.as_bytes());
    let extra = format!(
        r#","subject":{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{subject_digest}","size":{}}},"artifactType":"application/x.signature","annotations":{{"k":"v"}}"#,
        subject.len()
    );
    let referrer = image(&registry, &app, "referrer", &extra).await;
    let referrer_digest = Digest::sha256_of(referrer.as_bytes());
    assert!(
        registry
            .referrers(&app, &subject_digest, None, None)
            .await
            .unwrap()
            .descriptors
            .is_empty()
    );

    put(&registry, &app, referrer_digest, &referrer).await;
    put(&registry, &app, subject_digest, &subject).await;
    let found = registry
        .referrers(&app, &subject_digest, None, None)
        .await
        .unwrap()
        .descriptors;
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].digest, found[0].size),
        (referrer_digest, referrer.len() as u64)
    );
    assert_eq!(found[0].artifact_type.as_deref(), Some("application/x.signature"));
    assert_eq!(found[0].annotations.as_ref().unwrap()["k"], "v");
    let other = registry
        .referrers(&app, &subject_digest, Some("application/x.sbom"), None)
        .await
        .unwrap();
    assert!(other.descriptors.is_empty());

    registry
        .delete_manifest(&caller(), &app, &referrer_digest, false)
        .await
        .unwrap();
    assert!(
        registry
            .referrers(&app, &subject_digest, None, None)
            .await
            .unwrap()
            .descriptors
            .is_empty()
    );
}

#[tokio::test]
async fn a_tag_that_points_nowhere_is_not_listed() {
    let (registry, storage) = registry();
    let app = name("app");
    let manifest = image(&registry, &app, "content", "").await;
    let digest = put(&registry, &app, tag("good"), &manifest).await;
    // What registry:2 leaves when it crashes between the two links of a tag.
    write(
        &*storage,
        &layout::tag_history_link(&app, &tag("bad"), &digest),
        &digest.to_string(),
    )
    .await;
    for n in [None, Some(1), Some(2)] {
        let page = registry.tags(&app, &PageRequest { n, last: None }).await.unwrap();
        assert_eq!(page.names, ["good".into()], "n={n:?}");
    }
    write(
        &*storage,
        &layout::tag_link(&app, &tag("bad")),
        &digest.to_string(),
    )
    .await;
    let page = registry.tags(&app, &PageRequest::default()).await.unwrap();
    assert_eq!(page.names, ["bad".into(), "good".into()]);
}

#[tokio::test]
async fn a_large_manifest_is_stored_when_all_that_it_names_is_there() {
    let (registry, storage) = registry();
    let app = name("app");
    let annotations = format!(r#","annotations":{{"note":"{}"}}"#, "x".repeat(100_000));
    let elsewhere = image(&registry, &name("elsewhere"), "missing", &annotations).await;
    assert!(matches!(
        try_put(&registry, &app, tag("1"), &elsewhere).await,
        Err(Error::ManifestReferencesUnknown(_))
    ));
    let refused = layout::blob(&Digest::sha256_of(elsewhere.as_bytes()));
    assert!(storage.stat(&refused).await.unwrap_err().is_not_found());

    let manifest = image(&registry, &app, "content", &annotations).await;
    put(&registry, &app, tag("1"), &manifest).await;
    let fresh = wharf_registry::Registry::new(storage, registry.options().clone());
    let pulled = fresh.manifest(&app, &tag("1").into()).await.unwrap();
    assert_eq!(pulled.bytes, manifest.as_bytes());
}
