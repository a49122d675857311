//! Plans beside other requests, earlier deletions, and content that cannot be read.

use std::{sync::Arc, time::Duration};

use tokio::{join, time::sleep};
use wharf_oci::{Digest, RepoName, referrers_tag};
use wharf_registry::{Application, Applied, Deletion, Error, EveryTag, Plan, Registry, TrashId};
use wharf_storage::{
    Operation, Storage,
    faulty::{Fault, Faulty},
    layout,
};

use crate::{
    common::{caller, image, index, name, on_both_engines, put, tag, write},
    planning::keeping,
};

/// Longer than a request waits for another one. The clock of the tests only passes it when nothing else is left to do.
const PAUSE: Duration = Duration::from_secs(60);

/// A store, and a registry over it that keeps deletions for a week.
struct Store {
    storage: Arc<dyn Storage>,
    registry: Arc<Registry>,
    slow: Arc<Faulty>,
}

async fn open(storage: Arc<dyn Storage>, _is_bucket: bool) -> Store {
    tokio::time::pause();
    let slow = Arc::new(Faulty::new(Arc::clone(&storage)));
    Store {
        registry: keeping(Arc::clone(&slow) as _),
        storage,
        slow,
    }
}

fn one(tag: &str) -> Deletion {
    Deletion::Tags {
        tags: vec![self::tag(tag)],
        keep_images: false,
    }
}

fn untagged() -> Deletion {
    Deletion::Untagged {
        min_age: Duration::ZERO,
        keep_history: Duration::ZERO,
    }
}

impl Store {
    async fn image(&self, name: &RepoName, content: &str, reference: &str) -> Digest {
        let manifest = image(&self.registry, name, content, "").await;
        put(&self.registry, name, tag(reference), &manifest).await
    }

    async fn plan(&self, name: &RepoName, deletion: &Deletion) -> Plan {
        let plan = self.registry.plan_deletion(name, deletion, &EveryTag);
        plan.await.unwrap()
    }

    async fn apply(&self, name: &RepoName, deletion: &Deletion, now: bool) -> Applied {
        let plan = self.plan(name, deletion).await;
        let application = Application {
            plan: Some(&plan.id),
            now,
        };
        let caller = caller();
        self.registry
            .apply_deletion(&caller, name, deletion, &EveryTag, application)
            .await
            .unwrap()
    }

    async fn records(&self) -> Vec<TrashId> {
        let page = self.registry.trash_page(None, 100, None, &|_| true);
        let records = page.await.unwrap().records;
        // In the order in which they were made.
        records.into_iter().rev().map(|record| record.id).collect()
    }

    /// Lets the next deletion wait once its plan is made, before anything goes.
    fn slow_down(&self) {
        let slow = Fault::delay(PAUSE).on(Operation::Publish).key("wharf/trash/");
        self.slow.inject(slow.times(1));
    }

    async fn pulled(&self, name: &RepoName, reference: &str) -> Option<Digest> {
        let found = self.registry.manifest(name, &tag(reference).into()).await;
        found.ok().map(|manifest| manifest.digest)
    }

    async fn has(&self, name: &RepoName, digest: &Digest) -> bool {
        self.registry.manifest(name, &(*digest).into()).await.is_ok()
    }
}

on_both_engines! { open:
    a_signature_stays_with_an_image_that_is_pushed_again_meanwhile
    signatures_of_signatures_go_after_what_they_are_about
    a_repository_that_goes_for_good_takes_its_earlier_deletions_along
    manifests_of_an_unknown_algorithm_keep_all_but_the_named_one
    a_tagged_manifest_that_cannot_be_read_and_has_no_link_keeps_what_it_may_need
    a_deletion_that_runs_keeps_no_plan_waiting
    deletions_that_run_are_bounded_together
}

async fn a_signature_stays_with_an_image_that_is_pushed_again_meanwhile(store: Store) {
    for (app, deletion) in [("app", one("1")), ("whole", Deletion::Repository)] {
        let app = name(app);
        let manifest = image(&store.registry, &app, "content", "").await;
        let digest = put(&store.registry, &app, tag("1"), &manifest).await;
        let of_cosign = format!("{}.sig", referrers_tag(&digest));
        let signature = store.image(&app, "signature", &of_cosign).await;
        let plan = store.plan(&app, &deletion).await;
        assert_eq!((plan.tags.len(), plan.manifests.len()), (2, 2));
        store.slow_down();
        let caller = caller();
        let application = Application::default();
        let (applied, pushed) = join!(
            store
                .registry
                .apply_deletion(&caller, &app, &deletion, &EveryTag, application),
            async {
                sleep(PAUSE / 2).await;
                put(&store.registry, &app, tag("late"), &manifest).await
            }
        );
        let applied = applied.unwrap();
        assert_eq!((pushed, applied.tags.len()), (digest, 1), "{applied:?}");
        assert_eq!(store.pulled(&app, "late").await, Some(digest));
        assert_eq!(
            store.pulled(&app, &of_cosign).await,
            Some(signature),
            "{applied:?}"
        );
        let stayed = applied
            .stayed
            .iter()
            .find(|stayed| stayed.tag == Some(tag(&of_cosign)));
        assert!(stayed.unwrap().why.contains("it is about"), "{applied:?}");
        let record = store
            .registry
            .trash_record(applied.record.as_ref().unwrap())
            .await
            .unwrap();
        let recorded: Vec<_> = record.pointers.tags.iter().map(|tag| tag.tag.as_str()).collect();
        assert_eq!(recorded, ["1"], "only what went can be taken back");
    }
}

async fn signatures_of_signatures_go_after_what_they_are_about(store: Store) {
    let app = name("app");
    let digest = store.image(&app, "content", "1").await;
    let signature = format!("{}.sig", referrers_tag(&digest));
    let signed = store.image(&app, "signature", &signature).await;
    let attestation = format!("{}.att", referrers_tag(&signed));
    let attested = store.image(&app, "attestation", &attestation).await;
    let plan = store.plan(&app, &one("1")).await;
    let order: Vec<Digest> = plan.manifests.iter().map(|manifest| manifest.digest).collect();
    assert_eq!(order, [digest, signed, attested]);
    let applied = store.apply(&app, &one("1"), false).await;
    assert_eq!((&applied.stayed[..], applied.tags.len()), (&[][..], 3));
    assert_eq!(applied.manifests, order);
    let (caller, record) = (caller(), applied.record.unwrap());
    let restored = store.registry.restore_from_trash(&caller, &record, false).await;
    assert_eq!(restored.unwrap().tags.len(), 3);
}

async fn a_repository_that_goes_for_good_takes_its_earlier_deletions_along(store: Store) {
    let (app, other) = (name("app"), name("other"));
    for repository in [&app, &other] {
        store.image(repository, "one", "1").await;
        store.image(repository, "two", "2").await;
        store.apply(repository, &one("1"), false).await;
    }
    let [of_app, of_other] = <[TrashId; 2]>::try_from(store.records().await).unwrap();
    let plan = store.plan(&app, &Deletion::Repository).await;
    assert_eq!(plan.earlier, std::slice::from_ref(&of_app), "the plan names it");
    assert_eq!(store.plan(&app, &one("2")).await.earlier, []);

    // With the trash both can be taken back, in any order.
    let applied = store.apply(&app, &Deletion::Repository, false).await;
    assert_eq!(applied.earlier, 0);
    let whole = applied.record.unwrap();
    for id in [&of_app, &whole] {
        let caller = caller();
        let restored = store
            .registry
            .restore_from_trash(&caller, id, false)
            .await
            .unwrap();
        assert_eq!((restored.tags.len(), &restored.lost[..]), (1, &[][..]));
    }

    // Without it, what needs the layers of the repository is given up with them.
    store.apply(&app, &one("1"), false).await;
    let applied = store.apply(&app, &Deletion::Repository, true).await;
    assert_eq!((applied.record, applied.earlier), (None, 1));
    assert_eq!(store.records().await, std::slice::from_ref(&of_other));
    let caller = caller();
    let restored = store.registry.restore_from_trash(&caller, &of_other, false).await;
    assert_eq!(restored.unwrap().tags, [tag("1")]);
}

/// What stays of all the rest, and why.
fn whys(plan: &Plan) -> Vec<&str> {
    plan.stays.iter().map(|staying| &*staying.why).collect()
}

async fn manifests_of_an_unknown_algorithm_keep_all_but_the_named_one(store: Store) {
    let app = name("app");
    let child = image(&store.registry, &app, "child", "").await;
    let digest = put(&store.registry, &app, Digest::sha256_of(child.as_bytes()), &child).await;
    let list = put(
        &store.registry,
        &app,
        tag("multi"),
        &index(&[(digest, child.len())]),
    )
    .await;
    let unknown = layout::revisions(&app)
        .join("blake3")
        .unwrap()
        .join(&"a".repeat(64))
        .unwrap();
    let link = unknown.join("link").unwrap();
    write(&*store.storage, &link, &format!("blake3:{}", "a".repeat(64))).await;
    let named = Deletion::Manifest { digest: list };
    for deletion in [one("multi"), untagged(), named.clone()] {
        let plan = store.plan(&app, &deletion).await;
        let manifests: Vec<Digest> = plan.manifests.iter().map(|manifest| manifest.digest).collect();
        match deletion {
            Deletion::Manifest { .. } => assert_eq!(manifests, [list], "the named one alone"),
            _ => assert_eq!(manifests, []),
        }
        assert!(whys(&plan)[0].contains("unknown digest algorithm"), "{plan:?}");
    }
    let applied = store.apply(&app, &named, false).await;
    assert_eq!(applied.manifests, [list]);
    assert!(store.has(&app, &digest).await, "the unknown manifest may list it");
}

async fn a_tagged_manifest_that_cannot_be_read_and_has_no_link_keeps_what_it_may_need(store: Store) {
    let app = name("app");
    let child = image(&store.registry, &app, "child", "").await;
    let digest = put(&store.registry, &app, Digest::sha256_of(child.as_bytes()), &child).await;
    store.image(&app, "other", "other").await;
    // A tag of an older registry, and bytes that are damaged: it listed the child.
    let damaged = Digest::sha256_of(index(&[(digest, child.len())]).as_bytes());
    write(&*store.storage, &layout::blob(&damaged), "not what it was").await;
    let link = layout::tag_link(&app, &tag("old"));
    write(&*store.storage, &link, &damaged.to_string()).await;
    for deletion in [untagged(), one("other")] {
        let plan = store.plan(&app, &deletion).await;
        assert!(plan.manifests.is_empty(), "{plan:?}");
        let why = whys(&plan)[0];
        assert!(
            why.contains(&format!("`{damaged}`, which cannot be read")),
            "{why}"
        );
    }
    // Without that tag nothing is unknown any more.
    let plan = store.plan(&app, &one("old")).await;
    assert_eq!((plan.tags.len(), whys(&plan).len()), (1, 0), "{plan:?}");
    store.apply(&app, &one("old"), false).await;
    let plan = store.plan(&app, &untagged()).await;
    assert_eq!(plan.manifests.len(), 1, "{plan:?}");
}

async fn a_deletion_that_runs_keeps_no_plan_waiting(store: Store) {
    let (app, other) = (name("app"), name("other"));
    store.image(&app, "content", "1").await;
    store.image(&other, "content", "1").await;
    store.slow_down();
    let caller = caller();
    let (deletion, application) = (one("1"), Application::default());
    let (applied, planned) = join!(
        store
            .registry
            .apply_deletion(&caller, &app, &deletion, &EveryTag, application),
        async {
            sleep(PAUSE / 20).await;
            store.registry.plan_deletion(&other, &deletion, &EveryTag).await
        }
    );
    assert_eq!(store.slow.struck(), 1);
    assert_eq!(planned.unwrap().tags.len(), 1);
    assert_eq!(applied.unwrap().tags, [tag("1")]);
}

async fn deletions_that_run_are_bounded_together(store: Store) {
    let app = name("app");
    store.image(&app, "content", "1").await;
    let share = &store.registry.budget().deletions;
    let others = share.take(share.limit()).unwrap();
    let caller = caller();
    let (deletion, application) = (one("1"), Application::default());
    let refused = store
        .registry
        .apply_deletion(&caller, &app, &deletion, &EveryTag, application)
        .await;
    assert!(matches!(refused, Err(Error::Exhausted(_))), "{refused:?}");
    assert!(store.pulled(&app, "1").await.is_some() && store.records().await.is_empty());
    drop(others);
    assert_eq!(store.apply(&app, &deletion, false).await.tags, [tag("1")]);
    assert_eq!(share.used(), 0);
}
