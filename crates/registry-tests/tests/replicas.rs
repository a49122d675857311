//! Two registries over one store, as replicas are: a change by one is visible to the other at once.

use std::sync::Arc;

use bytes::Bytes;
use wharf_oci::{Digest, PageRequest, Reference, RepoName, media_type};
use wharf_registry::{Error, ManifestPush, Matching, Precondition, Registry};
use wharf_storage::{Storage, layout};

use crate::common::{caller, image, index, name, on_both_engines, over, push_blob, put, tag, try_put, write};

/// Two registries over one store.
struct Replicas {
    one: Arc<Registry>,
    two: Arc<Registry>,
    storage: Arc<dyn Storage>,
    is_bucket: bool,
}

impl Replicas {
    async fn tags(&self, of: &RepoName) -> Vec<String> {
        let page = PageRequest::default();
        let (one, two) = (self.one.tags(of, &page).await, self.two.tags(of, &page).await);
        let names = one.as_ref().map(|page| page.names.clone()).unwrap_or_default();
        assert_eq!(names, two.map(|page| page.names).unwrap_or_default());
        names.iter().map(ToString::to_string).collect()
    }

    async fn catalog(&self) -> Vec<String> {
        let page = PageRequest::default();
        let one = self.one.catalog(&page).await.unwrap();
        assert_eq!(one, self.two.catalog(&page).await.unwrap());
        one.names.iter().map(ToString::to_string).collect()
    }

    async fn points_at(&self, of: &RepoName, reference: impl Into<Reference>) -> Option<Digest> {
        let reference = reference.into();
        let mut found = Vec::new();
        for registry in [&self.one, &self.two] {
            found.push(match registry.manifest(of, &reference).await {
                Ok(manifest) => Some(manifest.digest),
                Err(Error::ManifestUnknown { .. }) => None,
                Err(error) => panic!("{error}"),
            });
        }
        assert_eq!(found[0], found[1], "{reference}");
        found[0]
    }

    async fn referrers(&self, of: &RepoName, subject: &Digest) -> Vec<Digest> {
        let mut found = Vec::new();
        for registry in [&self.one, &self.two] {
            let page = registry.referrers(of, subject, None, None).await.unwrap();
            found.push(
                page.descriptors
                    .iter()
                    .map(|descriptor| descriptor.digest)
                    .collect(),
            );
        }
        assert_eq!(found[0], found[1]);
        found.remove(0)
    }
}

async fn replicas(storage: Arc<dyn Storage>, is_bucket: bool) -> Replicas {
    Replicas {
        one: over(Arc::clone(&storage)),
        two: over(Arc::clone(&storage)),
        storage,
        is_bucket,
    }
}

on_both_engines! { replicas:
    an_image_pushed_here_is_pulled_there
    a_blob_uploaded_here_is_used_and_removed_there
    a_tag_moves_and_goes_for_both
    a_manifest_deleted_there_is_gone_here
    an_index_pushed_there_keeps_its_children_here
    repositories_come_and_go_for_both
    referrers_come_and_go_for_both
    a_blob_healed_there_is_sound_here
    a_tag_is_created_by_one_of_both
}

/// The two have no locks in common, as two processes over one bucket have none.
async fn a_tag_is_created_by_one_of_both(replicas: Replicas) {
    let app = name("app");
    let manifests = [
        image(&replicas.one, &app, "first", "").await,
        image(&replicas.two, &app, "second", "").await,
    ];
    let create = async |registry: &Arc<Registry>, manifest: &str, tag_name: &str| {
        let push = ManifestPush {
            reference: &tag(tag_name).into(),
            tags: &[],
            content_type: None,
            bytes: &Bytes::copy_from_slice(manifest.as_bytes()),
            condition: &Precondition {
                if_none_match: Some(Matching::Any),
                ..Precondition::default()
            },
            creates_only: false,
        };
        match registry.put_manifest(&caller(), &app, push).await {
            Ok(pushed) => Some(pushed.digest),
            Err(Error::PreconditionFailed { .. }) => None,
            Err(error) => panic!("{error}"),
        }
    };
    for round in 0..20 {
        let tag_name = format!("v{round}");
        let (one, two) = futures_util::join!(
            create(&replicas.one, &manifests[0], &tag_name),
            create(&replicas.two, &manifests[1], &tag_name),
        );
        assert_ne!(one.is_some(), two.is_some(), "one of both creates `{tag_name}`");
        assert_eq!(replicas.points_at(&app, tag(&tag_name)).await, one.or(two));
    }
}

async fn an_image_pushed_here_is_pulled_there(replicas: Replicas) {
    let app = name("app");
    assert_eq!(replicas.points_at(&app, tag("1")).await, None);
    let manifest = image(&replicas.one, &app, "content", "").await;
    let digest = put(&replicas.two, &app, tag("1"), &manifest).await;
    assert_eq!(replicas.points_at(&app, tag("1")).await, Some(digest));
    let pulled = replicas.one.manifest(&app, &tag("1").into()).await.unwrap();
    assert_eq!(pulled.bytes, manifest.as_bytes());
    let layer = Digest::sha256_of(b"content");
    assert_eq!(replicas.two.blob(&app, &layer).await.unwrap().size, 7);
}

async fn a_blob_uploaded_here_is_used_and_removed_there(replicas: Replicas) {
    let (app, other) = (name("app"), name("other"));
    let id = replicas.one.start_upload(&app).await.unwrap();
    let mut upload = replicas.two.open_upload(&app, &id).await.unwrap();
    upload.write(Bytes::from_static(b"first ")).await.unwrap();
    assert_eq!(upload.suspend().await.unwrap(), 6);
    let mut upload = replicas.one.open_upload(&app, &id).await.unwrap();
    upload.write(Bytes::from_static(b"second")).await.unwrap();
    let digest = Digest::sha256_of(b"first second");
    upload.finish(&caller(), &digest).await.unwrap();

    let mounted = replicas
        .two
        .mount_blob(&caller(), &other, &digest, Some(&app))
        .await
        .unwrap();
    assert_eq!(mounted.unwrap().size, 12);
    assert_eq!(replicas.one.blob(&other, &digest).await.unwrap().size, 12);
    replicas
        .two
        .delete_blob(&caller(), &app, &digest, false)
        .await
        .unwrap();
    for registry in [&replicas.one, &replicas.two] {
        let gone = registry.blob(&app, &digest).await;
        assert!(matches!(gone, Err(Error::BlobUnknown { .. })));
        assert!(registry.blob(&other, &digest).await.is_ok());
    }
}

async fn a_tag_moves_and_goes_for_both(replicas: Replicas) {
    let app = name("app");
    let first = image(&replicas.one, &app, "first", "").await;
    let second = image(&replicas.one, &app, "second", "").await;
    for round in 0..3 {
        let digest = put(&replicas.one, &app, tag("latest"), &first).await;
        assert_eq!(
            replicas.points_at(&app, tag("latest")).await,
            Some(digest),
            "round {round}"
        );
        let digest = put(&replicas.two, &app, tag("latest"), &second).await;
        assert_eq!(
            replicas.points_at(&app, tag("latest")).await,
            Some(digest),
            "round {round}"
        );
    }
    put(&replicas.two, &app, tag("1.0"), &second).await;
    assert_eq!(replicas.tags(&app).await, ["1.0", "latest"]);
    replicas
        .one
        .delete_tag(&caller(), &app, &tag("latest"))
        .await
        .unwrap();
    assert_eq!(replicas.tags(&app).await, ["1.0"]);
    assert_eq!(replicas.points_at(&app, tag("latest")).await, None);
    let again = replicas.two.delete_tag(&caller(), &app, &tag("latest")).await;
    assert!(matches!(again, Err(Error::ManifestUnknown { .. })));
}

async fn a_manifest_deleted_there_is_gone_here(replicas: Replicas) {
    let app = name("app");
    let manifest = image(&replicas.one, &app, "content", "").await;
    let digest = put(&replicas.one, &app, tag("1"), &manifest).await;
    put(&replicas.two, &app, tag("2"), &manifest).await;
    assert_eq!(replicas.points_at(&app, digest).await, Some(digest));
    let mut tags = replicas
        .two
        .delete_manifest(&caller(), &app, &digest, false)
        .await
        .unwrap();
    tags.sort_unstable();
    assert_eq!(tags, [tag("1"), tag("2")]);
    assert_eq!(replicas.points_at(&app, digest).await, None);
    assert_eq!(replicas.points_at(&app, tag("1")).await, None);
    assert!(replicas.tags(&app).await.is_empty());
    // Its blobs are still the repository's, so it can come back.
    put(&replicas.one, &app, tag("1"), &manifest).await;
    assert_eq!(replicas.points_at(&app, tag("1")).await, Some(digest));
}

async fn an_index_pushed_there_keeps_its_children_here(replicas: Replicas) {
    let app = name("app");
    let child = image(&replicas.one, &app, "content", "").await;
    let digest = put(&replicas.one, &app, Digest::sha256_of(child.as_bytes()), &child).await;
    let list = index(&[(digest, child.len())]);
    let list_digest = Digest::sha256_of(list.as_bytes());
    // Known to one replica before it matters, and tagged by the other one.
    put(&replicas.one, &app, list_digest, &list).await;
    put(&replicas.two, &app, tag("multi"), &list).await;
    let refused = replicas
        .one
        .delete_manifest(&caller(), &app, &digest, false)
        .await;
    assert!(matches!(refused, Err(Error::NeededByIndex { .. })), "{refused:?}");
    replicas
        .two
        .delete_tag(&caller(), &app, &tag("multi"))
        .await
        .unwrap();
    replicas
        .one
        .delete_manifest(&caller(), &app, &digest, false)
        .await
        .unwrap();
    let missing = try_put(&replicas.two, &app, tag("multi"), &list).await;
    assert!(matches!(missing, Err(Error::ManifestReferencesUnknown(_))));
}

async fn repositories_come_and_go_for_both(replicas: Replicas) {
    assert!(replicas.catalog().await.is_empty());
    for (number, repository) in ["b", "a/b", "a"].into_iter().enumerate() {
        let registry = [&replicas.one, &replicas.two][number % 2];
        let manifest = image(registry, &name(repository), "content", "").await;
        put(registry, &name(repository), tag("1"), &manifest).await;
    }
    assert_eq!(replicas.catalog().await, ["a", "a/b", "b"]);
    replicas
        .two
        .delete_tag(&caller(), &name("a/b"), &tag("1"))
        .await
        .unwrap();
    assert_eq!(replicas.catalog().await, ["a", "b"]);
}

async fn referrers_come_and_go_for_both(replicas: Replicas) {
    let app = name("app");
    let subject = image(&replicas.one, &app, "subject", "").await;
    let subject_digest = put(&replicas.one, &app, tag("1"), &subject).await;
    assert!(replicas.referrers(&app, &subject_digest).await.is_empty());
    let extra = format!(
        r#","subject":{{"mediaType":"{}","digest":"{subject_digest}","size":{}}}"#,
        media_type::OCI_MANIFEST,
        subject.len()
    );
    let mut referrers = Vec::new();
    for (number, registry) in [&replicas.one, &replicas.two].into_iter().enumerate() {
        let referrer = image(registry, &app, &format!("referrer {number}"), &extra).await;
        let digest = Digest::sha256_of(referrer.as_bytes());
        referrers.push(put(registry, &app, digest, &referrer).await);
        referrers.sort_unstable();
        assert_eq!(replicas.referrers(&app, &subject_digest).await, referrers);
    }
    let gone = referrers.remove(0);
    replicas
        .one
        .delete_manifest(&caller(), &app, &gone, false)
        .await
        .unwrap();
    assert_eq!(replicas.referrers(&app, &subject_digest).await, referrers);
}

async fn a_blob_healed_there_is_sound_here(replicas: Replicas) {
    let app = name("app");
    let manifest = image(&replicas.one, &app, "content", "").await;
    let digest = Digest::sha256_of(b"content");
    write(&*replicas.storage, &layout::blob(&digest), "con").await;
    let found = try_put(&replicas.one, &app, tag("1"), &manifest).await;
    assert!(matches!(found, Err(Error::ManifestReferencesUnknown(_))));
    let damaged = replicas.one.blob(&app, &digest).await;
    assert!(matches!(damaged, Err(Error::BlobUnknown { .. })));
    push_blob(&replicas.two, &app, b"content").await;
    // Where a file was written just before it was read, the store knows no version that could tell a newer one.
    if replicas.is_bucket {
        assert_eq!(replicas.one.blob(&app, &digest).await.unwrap().size, 7);
        put(&replicas.one, &app, tag("1"), &manifest).await;
    }
}
