//! Deletions as plans: what goes and what stays, that exactly the plan is applied, and that all of it comes back.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use wharf_oci::{Digest, PageRequest, RepoName, Tag, referrers_tag};
use wharf_registry::{Application, DeletedKind, Deletion, Error, EveryTag, Role, TagRights};
use wharf_storage::{
    ErrorKind, Operation, Put,
    faulty::{Fault, Faulty},
    layout,
    object::ObjectStorage,
};

use crate::common::{about, caller, image, index, name, on_both_engines, push_blob, put, registry, tag};
use crate::planning::{Store, manifests_of, open, tags_of, why};

fn one(tag: &str) -> Deletion {
    Deletion::Tags {
        tags: vec![self::tag(tag)],
        keep_images: false,
    }
}

fn untagged(min_age: u64, keep_history: u64) -> Deletion {
    Deletion::Untagged {
        min_age: Duration::from_secs(min_age),
        keep_history: Duration::from_secs(keep_history),
    }
}

on_both_engines! { open:
    an_index_goes_with_all_that_belongs_to_it_and_comes_back
    what_another_tag_needs_stays_and_the_plan_says_why
    tags_go_alone_if_the_images_are_to_stay
    a_manifest_goes_with_its_tags_and_what_only_it_needs
    a_manifest_that_a_tagged_index_lists_is_refused
    what_an_untagged_index_lists_stays
    histories_lose_what_leads_to_manifests_that_go
    an_entry_of_a_history_that_a_push_wrote_meanwhile_keeps_its_time
    untagged_manifests_go_when_they_are_old_and_no_history_keeps_them
    a_repository_goes_whole_and_those_below_it_stay
    bytes_are_free_when_nothing_else_needs_them
    a_plan_that_is_not_the_one_that_was_seen_is_refused
    a_signature_leaves_the_list_of_its_image
    nothing_is_known_where_a_manifest_cannot_be_read
    a_deletion_without_the_trash_leaves_no_record
    a_signature_of_a_child_goes_with_the_index
}

async fn a_signature_of_a_child_goes_with_the_index(store: Store) {
    let app = name("team/app");
    let child = store.image(&app, "child", "child").await;
    let all = index(&[child]);
    let all = put(&store.registry, &app, tag("all"), &all).await;
    store
        .registry
        .delete_tag(&caller(), &app, &tag("child"))
        .await
        .unwrap();
    let signature = image(&store.registry, &app, "signature", &about(&child.0, child.1)).await;
    let signature_digest = Digest::sha256_of(signature.as_bytes());
    put(&store.registry, &app, signature_digest, &signature).await;

    let applied = store.apply(&app, &Deletion::Manifest { digest: all }).await;
    assert_eq!(applied.manifests, [all, signature_digest, child.0]);
    store.restore(&applied).await;
    for digest in [all, signature_digest, child.0] {
        assert!(store.has(&app, &digest).await);
    }
    let applied = store.apply(&app, &Deletion::Repository).await;
    assert_eq!(applied.manifests.len(), 3);
}

async fn an_index_goes_with_all_that_belongs_to_it_and_comes_back(store: Store) {
    let (app, registry) = (name("team/app"), &store.registry);
    let mut children = Vec::new();
    for content in ["amd64", "arm64"] {
        let manifest = image(registry, &app, content, "").await;
        let digest = put(registry, &app, Digest::sha256_of(manifest.as_bytes()), &manifest).await;
        children.push((digest, manifest.len()));
    }
    let list = index(&children);
    let multi = put(registry, &app, tag("1.0"), &list).await;
    let sbom = image(registry, &app, "sbom", &about(&multi, list.len())).await;
    let sbom = put(registry, &app, Digest::sha256_of(sbom.as_bytes()), &sbom).await;
    let of_cosign = format!("{}.sig", referrers_tag(&multi));
    let (signature, _) = store.image(&app, "signature", &of_cosign).await;
    let (other, _) = store.image(&app, "other", "other").await;
    let before = store.keys().await;

    let plan = store.plan(&app, &one("1.0")).await;
    assert_eq!(tags_of(&plan), ["1.0".to_owned(), of_cosign.clone()]);
    let all = BTreeSet::from([multi, sbom, signature, children[0].0, children[1].0]);
    assert_eq!(manifests_of(&plan), all);
    assert_eq!(
        (plan.kind, plan.stays.len(), plan.layers),
        (DeletedKind::Tags, 0, 0)
    );
    let role = |digest: Digest| {
        plan.manifests
            .iter()
            .find(|planned| planned.digest == digest)
            .unwrap()
            .role
    };
    assert_eq!(
        [multi, sbom, signature, children[0].0].map(role),
        [Role::Index, Role::Referrer, Role::Image, Role::Child]
    );
    let place = |digest: Digest| plan.manifests.iter().position(|planned| planned.digest == digest);
    assert!(place(sbom) < place(multi) && place(multi) < place(children[1].0));

    let applied = store.apply(&app, &one("1.0")).await;
    for digest in &all {
        assert!(!store.has(&app, digest).await);
    }
    assert_eq!(store.pulled(&app, "other").await, Some(other));
    store.restore(&applied).await;
    assert_eq!(store.keys().await, before);
    assert_eq!(store.pulled(&app, "1.0").await, Some(multi));
}

async fn what_another_tag_needs_stays_and_the_plan_says_why(store: Store) {
    let (app, registry) = (name("app"), &store.registry);
    let child = store.image(&app, "child", "child").await;
    put(registry, &app, tag("index"), &index(&[child])).await;
    let (shared, _) = store.image(&app, "shared", "1.0").await;
    store.image(&app, "shared", "latest").await;

    let plan = store.plan(&app, &one("1.0")).await;
    assert_eq!(
        (tags_of(&plan), plan.manifests.len()),
        (vec!["1.0".to_owned()], 0)
    );
    assert_eq!(why(&plan, &shared), "it also has the tag `latest`");
    let plan = store.plan(&app, &one("child")).await;
    assert_eq!(
        (tags_of(&plan), plan.manifests.len()),
        (vec!["child".to_owned()], 0)
    );
    assert_eq!(why(&plan, &child.0), "an index with the tag `index` lists it");
    assert_eq!(plan.bytes.unwrap().free, 0);
    store.apply(&app, &one("1.0")).await;
    store.apply(&app, &one("child")).await;
    assert_eq!(store.tags(&app).await, ["index", "latest"]);
    assert!(store.has(&app, &child.0).await && store.has(&app, &shared).await);

    // Both tags of an image together take it along.
    store.image(&app, "shared", "1.0").await;
    let both = Deletion::Tags {
        tags: vec![tag("1.0"), tag("latest")],
        keep_images: false,
    };
    assert_eq!(
        manifests_of(&store.plan(&app, &both).await),
        BTreeSet::from([shared])
    );
    // A referrer with a tag of its own keeps what it is about.
    let signature = image(registry, &app, "signature", &about(&shared, 500)).await;
    put(registry, &app, tag("signature"), &signature).await;
    let plan = store.plan(&app, &both).await;
    assert_eq!((tags_of(&plan).len(), plan.manifests.len()), (2, 0));
    assert_eq!(why(&plan, &shared), "it belongs to a manifest that stays");
    let unknown = registry.plan_deletion(&app, &one("none"), &EveryTag).await;
    assert!(
        matches!(unknown, Err(Error::ManifestUnknown { .. })),
        "{unknown:?}"
    );
    let unknown = registry.plan_deletion(&name("none"), &one("1"), &EveryTag).await;
    assert!(matches!(unknown, Err(Error::NameUnknown { .. })), "{unknown:?}");
}

async fn tags_go_alone_if_the_images_are_to_stay(store: Store) {
    let app = name("app");
    let (digest, _) = store.image(&app, "content", "1").await;
    let deletion = Deletion::Tags {
        tags: vec![tag("1")],
        keep_images: true,
    };
    let plan = store.plan(&app, &deletion).await;
    assert_eq!((tags_of(&plan), plan.manifests.len()), (vec!["1".to_owned()], 0));
    assert_eq!(why(&plan, &digest), "the deletion is of tags alone");
    let applied = store.apply(&app, &deletion).await;
    assert!(store.has(&app, &digest).await && store.tags(&app).await.is_empty());
    store.restore(&applied).await;
    assert_eq!(store.pulled(&app, "1").await, Some(digest));
}

async fn a_manifest_goes_with_its_tags_and_what_only_it_needs(store: Store) {
    let (app, registry) = (name("app"), &store.registry);
    let (own, shared) = (
        store.image(&app, "own", "to-go").await,
        store.image(&app, "shared", "shared").await,
    );
    registry.delete_tag(&caller(), &app, &tag("to-go")).await.unwrap();
    let list = put(registry, &app, tag("1"), &index(&[own, shared])).await;
    put(registry, &app, tag("2"), &index(&[own, shared])).await;
    let deletion = Deletion::Manifest { digest: list };
    let plan = store.plan(&app, &deletion).await;
    assert_eq!(tags_of(&plan), ["1", "2"]);
    assert_eq!(manifests_of(&plan), BTreeSet::from([list, own.0]));
    assert_eq!(why(&plan, &shared.0), "it also has the tag `shared`");
    let applied = store.apply(&app, &deletion).await;
    assert_eq!(store.tags(&app).await, ["shared"]);
    store.restore(&applied).await;
    assert_eq!(store.pulled(&app, "2").await, Some(list));
    assert!(store.has(&app, &own.0).await);
}

async fn a_manifest_that_a_tagged_index_lists_is_refused(store: Store) {
    let (app, registry) = (name("app"), &store.registry);
    let child = store.image(&app, "child", "child").await;
    put(registry, &app, tag("multi"), &index(&[child])).await;
    let deletion = Deletion::Manifest { digest: child.0 };
    match registry.plan_deletion(&app, &deletion, &EveryTag).await {
        Err(error @ Error::NeededByIndex { .. }) => {
            assert!(
                error.to_string().contains("`app:multi`; delete that first"),
                "{error}"
            );
        }
        other => panic!("{other:?}"),
    }
    let config = Digest::sha256_of(br#"{"config":"child"}"#);
    let error = registry
        .plan_deletion(&app, &Deletion::Manifest { digest: config }, &EveryTag)
        .await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("that digest is a config"), "{error}");
}

async fn what_an_untagged_index_lists_stays(store: Store) {
    let (app, registry) = (name("app"), &store.registry);
    let child = store.image(&app, "child", "child").await;
    let list = index(&[child]);
    let list = put(registry, &app, Digest::sha256_of(list.as_bytes()), &list).await;
    let plan = store.plan(&app, &one("child")).await;
    assert_eq!((tags_of(&plan).len(), plan.manifests.len()), (1, 0));
    assert_eq!(
        why(&plan, &child.0),
        format!("the manifest `{list}` lists it, which stays")
    );
    store.apply(&app, &one("child")).await;
    assert!(store.has(&app, &child.0).await);
    // The deletion that names it takes it all the same, as the distribution API does.
    let plan = store.plan(&app, &Deletion::Manifest { digest: child.0 }).await;
    assert_eq!(manifests_of(&plan), BTreeSet::from([child.0]));
}

async fn histories_lose_what_leads_to_manifests_that_go(store: Store) {
    let app = name("app");
    let (old, _) = store.image(&app, "old", "latest").await;
    store.image(&app, "old", "1.0").await;
    let (new, _) = store.image(&app, "new", "latest").await;
    let plan = store.plan(&app, &one("1.0")).await;
    assert_eq!(manifests_of(&plan), BTreeSet::from([old]));
    let entries: Vec<(&str, Digest)> = plan
        .history
        .iter()
        .map(|entry| (entry.tag.as_str(), entry.digest))
        .collect();
    assert_eq!(entries, [("latest", old)]);
    let before = store.keys().await;
    let applied = store.apply(&app, &one("1.0")).await;
    let history = store
        .registry
        .tag_history(&app, &tag("latest"), 10)
        .await
        .unwrap();
    let left: Vec<Digest> = history.entries.iter().map(|entry| entry.digest).collect();
    assert_eq!(left, [new]);
    store.restore(&applied).await;
    assert_eq!(store.keys().await, before);
}

async fn an_entry_of_a_history_that_a_push_wrote_meanwhile_keeps_its_time(store: Store) {
    let app = name("app");
    let (old, _) = store.image(&app, "old", "latest").await;
    store.image(&app, "old", "1.0").await;
    store.image(&app, "new", "latest").await;
    let applied = store.apply(&app, &one("1.0")).await;

    store.image(&app, "old", "latest").await;
    store.image(&app, "new", "latest").await;
    let entry = layout::tag_history_link(&app, &tag("latest"), &old);
    let pushed = store.storage.stat(&entry).await.unwrap();
    store.restore(&applied).await;
    let restored = store.storage.stat(&entry).await.unwrap();
    assert_eq!(restored.modified, pushed.modified);
}

async fn untagged_manifests_go_when_they_are_old_and_no_history_keeps_them(store: Store) {
    let (app, registry) = (name("app"), &store.registry);
    let (old, _) = store.image(&app, "old", "latest").await;
    let (new, _) = store.image(&app, "new", "latest").await;
    let alone = image(registry, &app, "alone", "").await;
    let digest = Digest::sha256_of(alone.as_bytes());
    let alone = put(registry, &app, digest, &alone).await;
    let signature = image(registry, &app, "signature", &about(&new, 500)).await;
    let signature = put(
        registry,
        &app,
        Digest::sha256_of(signature.as_bytes()),
        &signature,
    )
    .await;
    let of_alone = format!("{}.sig", referrers_tag(&alone));
    let (of_cosign, _) = store.image(&app, "cosign", &of_alone).await;

    let young = store.plan(&app, &untagged(3600, 0)).await;
    assert!(young.is_empty(), "{young:?}");
    assert_eq!(why(&young, &alone), "it is too young");
    let tagged = young
        .stays
        .iter()
        .any(|staying| staying.digest == Some(new) || staying.digest == Some(signature));
    assert!(!tagged, "{young:?}");
    let kept = store.plan(&app, &untagged(0, 3600)).await;
    assert_eq!(manifests_of(&kept), BTreeSet::from([alone]));
    assert_eq!(why(&kept, &old), "a tag pointed at it not long ago");
    let plan = store.plan(&app, &untagged(0, 0)).await;
    assert_eq!(manifests_of(&plan), BTreeSet::from([old, alone, of_cosign]));
    assert_eq!(tags_of(&plan), [of_alone]);
    store.apply(&app, &untagged(0, 0)).await;
    assert!(store.has(&app, &new).await && store.has(&app, &signature).await);
    assert_eq!(store.tags(&app).await, ["latest"]);
}

async fn a_repository_goes_whole_and_those_below_it_stay(store: Store) {
    let (app, below, registry) = (name("app"), name("app/sub"), &store.registry);
    let child = store.image(&app, "child", "child").await;
    put(registry, &app, tag("multi"), &index(&[child])).await;
    push_blob(registry, &app, b"of no image").await;
    let (kept, _) = store.image(&below, "below", "1").await;
    let upload = registry.start_upload(&app).await.unwrap();
    let before = store.keys().await;

    let plan = store.plan(&app, &Deletion::Repository).await;
    assert_eq!(
        (tags_of(&plan).len(), plan.manifests.len(), plan.layers),
        (2, 2, 3)
    );
    let applied = store.apply(&app, &Deletion::Repository).await;
    let left: BTreeSet<String> = before
        .iter()
        .filter(|key| key.contains("/app/sub/"))
        .cloned()
        .collect();
    assert_eq!(store.keys().await, left);
    let names = registry
        .catalog(&PageRequest::default())
        .await
        .unwrap()
        .names
        .clone();
    assert_eq!(names, ["app/sub".into()]);
    assert_eq!(store.pulled(&below, "1").await, Some(kept));
    registry.open_upload(&app, &upload).await.unwrap();
    let unknown = registry.tags(&app, &PageRequest::default()).await;
    assert!(matches!(unknown, Err(Error::NameUnknown { .. })), "{unknown:?}");

    store.restore(&applied).await;
    assert_eq!(store.keys().await, before);
    registry
        .blob(&app, &Digest::sha256_of(b"of no image"))
        .await
        .unwrap();
    // And again, for good, with what it never had before.
    store.image(&app, "more", "more").await;
    store.apply(&app, &Deletion::Repository).await;
    assert_eq!(store.keys().await, left);
}

async fn bytes_are_free_when_nothing_else_needs_them(store: Store) {
    let (app, other, registry) = (name("app"), name("other"), &store.registry);
    let (digest, size) = store.image(&app, "content", "1").await;
    let config = br#"{"config":"content"}"#.len() as u64;
    let all = size as u64 + config + "content".len() as u64;
    let bytes = async |name: &RepoName, deletion: &Deletion| store.plan(name, deletion).await.bytes.unwrap();
    let alone = bytes(&app, &one("1")).await;
    assert_eq!((alone.free, alone.blobs, alone.shared), (all, 3, 0));

    // Another image of the repository has the same layer.
    let again = image(registry, &app, "content", r#","annotations":{"a":"b"}"#).await;
    put(registry, &app, tag("2"), &again).await;
    let here = bytes(&app, &one("1")).await;
    assert_eq!(
        (here.free, here.blobs, here.shared),
        (size as u64, 1, all - size as u64)
    );
    assert!(here.shared_with.is_empty());

    // So has another repository.
    registry
        .delete_manifest(&caller(), &app, &Digest::sha256_of(again.as_bytes()), false)
        .await
        .unwrap();
    push_blob(registry, &other, b"content").await;
    let (same, _) = store.image(&other, "content", "1").await;
    assert_eq!(same, digest);
    let shared = bytes(&app, &Deletion::Repository).await;
    assert_eq!((shared.free, shared.shared), (0, all));
    assert_eq!(shared.shared_with, ["other".into()]);

    // When that is deleted as well, its record keeps them.
    store.apply(&other, &Deletion::Repository).await;
    let kept = bytes(&app, &Deletion::Repository).await;
    assert_eq!((kept.free, kept.shared, kept.in_trash), (0, 0, all));
    registry
        .empty_trash(SystemTime::now() + Duration::from_secs(60))
        .await
        .unwrap();
    let free = bytes(&app, &Deletion::Repository).await;
    assert_eq!((free.free, free.in_trash, free.uncertain), (all, 0, None));
}

async fn a_plan_that_is_not_the_one_that_was_seen_is_refused(store: Store) {
    let (app, registry) = (name("app"), &store.registry);
    store.image(&app, "content", "1").await;
    let seen = store.plan(&app, &one("1")).await;
    assert_eq!(
        seen.id,
        store.plan(&app, &one("1")).await.id,
        "it is the same each time"
    );
    let (moved, _) = store.image(&app, "other", "1").await;
    let application = Application {
        plan: Some(&seen.id),
        now: false,
    };
    let refused = registry
        .apply_deletion(&caller(), &app, &one("1"), &EveryTag, application)
        .await;
    let current = store.plan(&app, &one("1")).await.id;
    match refused {
        Err(Error::PlanChanged { current: named }) => assert_eq!(named, current),
        other => panic!("{other:?}"),
    }
    assert_eq!(store.pulled(&app, "1").await, Some(moved));
    let page = registry.trash_page(None, 10, None, &|_| true).await.unwrap();
    assert!(
        page.records.is_empty(),
        "nothing is recorded of what did not happen"
    );
}

async fn a_signature_leaves_the_list_of_its_image(store: Store) {
    let (app, registry) = (name("app"), &store.registry);
    let (subject, size) = store.image(&app, "content", "1").await;
    let mut referrers = Vec::new();
    for content in ["one", "two"] {
        let manifest = image(registry, &app, content, &about(&subject, size)).await;
        let digest = put(registry, &app, Digest::sha256_of(manifest.as_bytes()), &manifest).await;
        referrers.push((digest, manifest.len()));
        // A client that does not know the referrers API keeps the list.
        put(registry, &app, referrers_tag(&subject), &index(&referrers)).await;
    }
    let listed = async || {
        let list = registry
            .manifest(&app, &referrers_tag(&subject).into())
            .await
            .unwrap();
        let text = std::str::from_utf8(&list.bytes).unwrap().to_owned();
        referrers
            .iter()
            .map(|(digest, _)| text.contains(&digest.to_string()))
            .collect::<Vec<bool>>()
    };
    assert_eq!(listed().await, [true, true]);
    let deletion = Deletion::Manifest {
        digest: referrers[0].0,
    };
    let applied = store.apply(&app, &deletion).await;
    assert_eq!(applied.manifests, [referrers[0].0]);
    assert_eq!(listed().await, [false, true]);
    assert_eq!(store.tags(&app).await.len(), 2);

    // With the image go its signatures and their list. One of the past, of which no entry is left, is as any untagged manifest.
    let applied = store.apply(&app, &one("1")).await;
    assert!(applied.manifests.contains(&referrers[1].0) && applied.manifests.contains(&subject));
    assert_eq!(store.tags(&app).await, Vec::<String>::new());
    let past = layout::revision_link(&app, &Digest::sha256_of(index(&referrers[..1]).as_bytes()));
    let left: Vec<String> = store
        .keys()
        .await
        .into_iter()
        .filter(|key| key.contains("/revisions/"))
        .collect();
    assert_eq!(left, [past.as_str()]);
}

async fn nothing_is_known_where_a_manifest_cannot_be_read(store: Store) {
    let (app, registry) = (name("app"), &store.registry);
    let (digest, _) = store.image(&app, "content", "1").await;
    let (damaged, _) = store.image(&app, "damaged", "damaged").await;
    let put = Put::new(layout::blob(&damaged), "not what it was");
    store.storage.publish(&[put]).await.unwrap();
    let registry_after = Store::over(Arc::clone(&store.storage));
    for deletion in [one("1"), untagged(0, 0)] {
        let plan = registry_after.plan(&app, &deletion).await;
        assert!(plan.manifests.is_empty(), "{plan:?}");
        assert!(
            plan.stays[0].why.contains(&format!("`{damaged}` cannot be read")),
            "{plan:?}"
        );
    }
    let plan = registry_after
        .plan(&app, &Deletion::Manifest { digest: damaged })
        .await;
    assert_eq!(manifests_of(&plan), BTreeSet::from([damaged]));
    assert_eq!(plan.manifests[0].role, Role::Unreadable);
    registry_after
        .apply(&app, &Deletion::Manifest { digest: damaged })
        .await;
    let plan = registry_after.plan(&app, &one("1")).await;
    assert_eq!(manifests_of(&plan), BTreeSet::from([digest]));
    drop(registry.trash_page(None, 1, None, &|_| true).await.unwrap());
}

async fn a_deletion_without_the_trash_leaves_no_record(store: Store) {
    let (app, registry) = (name("app"), &store.registry);
    store.image(&app, "content", "1").await;
    let application = Application {
        plan: None,
        now: true,
    };
    let applied = registry
        .apply_deletion(&caller(), &app, &Deletion::Repository, &EveryTag, application)
        .await
        .unwrap();
    assert_eq!((applied.record, applied.tags.len(), applied.layers), (None, 1, 2));
    let page = registry.trash_page(None, 10, None, &|_| true).await.unwrap();
    assert!(page.records.is_empty());
    assert!(store.keys().await.is_empty());
}

/// A client that may not delete `protected`, nor see `secret`.
struct Limited;

impl TagRights for Limited {
    fn may_delete(&self, tag: &Tag) -> bool {
        tag.as_str() != "protected"
    }

    fn may_see(&self, tag: &Tag) -> bool {
        tag.as_str() != "secret"
    }

    fn may_see_all(&self) -> bool {
        false
    }

    fn may_see_repository(&self) -> bool {
        true
    }

    fn may_force(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn a_plan_takes_no_tag_that_the_client_may_not_delete_and_names_none_that_it_may_not_see() {
    let (registry, _) = registry();
    let app = name("app");
    let manifest = image(&registry, &app, "content", "").await;
    let digest = put(&registry, &app, tag("1"), &manifest).await;
    put(&registry, &app, tag("secret"), &manifest).await;
    let plan = registry.plan_deletion(&app, &one("1"), &Limited).await.unwrap();
    assert_eq!(
        why(&plan, &digest),
        "it also has a tag that the client may not see"
    );
    put(&registry, &app, tag("protected"), &manifest).await;
    for deletion in [
        Deletion::Repository,
        Deletion::Manifest { digest },
        one("protected"),
    ] {
        match registry.plan_deletion(&app, &deletion, &Limited).await {
            Err(Error::TagDenied { tag: Some(tag) }) => assert_eq!(tag.as_str(), "protected"),
            other => panic!("{other:?}"),
        }
    }
}

/// Whatever step of a deletion fails, its record is there first, and restoring it brings back what went.
#[tokio::test]
async fn a_deletion_that_ends_anywhere_can_be_taken_back() {
    let mut interrupted = 0;
    for after in 0..40 {
        let faulty = Arc::new(Faulty::new(Arc::new(ObjectStorage::in_memory())));
        let store = Store::over(Arc::clone(&faulty) as _);
        let app = name("app");
        let child = store.image(&app, "child", "child").await;
        put(&store.registry, &app, tag("multi"), &index(&[child])).await;
        let before = store.keys().await;
        let fault = Fault::before(ErrorKind::Other).key("repositories/app/");
        let fault = fault
            .on(Operation::Remove)
            .on(Operation::RemoveTree)
            .after(after)
            .times(1);
        faulty.inject(fault);
        let application = Application::default();
        let applied = store
            .registry
            .apply_deletion(&caller(), &app, &Deletion::Repository, &EveryTag, application)
            .await;
        let record = match applied {
            Ok(applied) => applied.record.unwrap(),
            Err(Error::DeletionInterrupted { record, .. }) => {
                interrupted += 1;
                record
            }
            Err(error) => panic!("{error}"),
        };
        store
            .registry
            .restore_from_trash(&caller(), &record, false)
            .await
            .unwrap();
        assert_eq!(store.keys().await, before, "after {after} removals");
    }
    assert!(interrupted > 5, "{interrupted}");
}
