//! Retention: what rules let go, through plans; that everything else stays, and that it comes back.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use object_store::path::Path;
use tokio::{join, time::sleep};
use wharf_oci::{ArtifactKind, Digest, RepoName, Tag, referrers_tag};
use wharf_pattern::Pattern;
use wharf_registry::{
    Application, DeletedKind, Deletion, Error, EveryTag, Plan, PullsOf, Registry, RetentionPage, TagRights,
    retention::{LastPulls, Policy, RetentionRule},
};
use wharf_storage::{Put, layout, object::ObjectStorage};

use crate::{
    common::{
        ROUND_TRIP, about, caller, far_away, image, index, name, on_both_engines, over, put, tag, write,
    },
    planning::{Store, manifests_of, open, tags_of, why},
    slow_bucket::{Random, SlowBucket},
};

const LONG: Duration = Duration::from_secs(3600);

fn rule() -> RetentionRule {
    RetentionRule {
        repositories: vec![Pattern::everything()],
        ..RetentionRule::default()
    }
}

fn policy(rules: Vec<RetentionRule>) -> Policy {
    Policy {
        rules,
        protected: Vec::new(),
        most: 50,
        keep_history: Duration::ZERO,
    }
}

fn deletion(policy: Policy) -> Deletion {
    Deletion::Retention {
        policy: Arc::new(policy),
        pulls: None,
    }
}

fn keep(count: usize) -> Deletion {
    deletion(policy(vec![RetentionRule {
        keep: Some(count),
        ..rule()
    }]))
}

fn untagged(age: Duration, keep_history: Duration) -> Deletion {
    deletion(Policy {
        keep_history,
        ..policy(vec![RetentionRule {
            untagged: Some(age),
            ..rule()
        }])
    })
}

fn reason<'a>(plan: &'a Plan, tag: &str) -> &'a str {
    &plan
        .verdicts
        .iter()
        .find(|verdict| verdict.tag.as_str() == tag)
        .unwrap()
        .why
}

on_both_engines! { open:
    the_tags_that_were_pushed_last_stay_and_each_has_its_reason
    what_belongs_to_an_image_follows_it
    too_many_tags_are_refused
    a_history_has_one_entry_when_nothing_else_is_kept
    old_entries_go_although_their_manifests_stay
    entries_that_lead_nowhere_go
    what_is_young_or_was_at_a_tag_lately_stays
    a_rule_takes_build_caches_alone
    an_index_is_what_its_children_are
    images_that_were_pulled_stay
    repositories_are_planned_together_and_their_bytes_counted_once
    a_repository_that_cannot_be_read_does_not_stop_the_others
}

// In the order of their names, because times on a bucket are in whole seconds.
async fn the_tags_that_were_pushed_last_stay_and_each_has_its_reason(store: Store) {
    let app = name("name/api");
    for number in 1..=11 {
        store
            .image(&app, &format!("content {number}"), &format!("1.{number:02}"))
            .await;
    }
    // Shares its digest with the second, and was pushed last.
    let (stable, _) = store.image(&app, "content 2", "stable").await;
    let before = store.keys().await;
    let plan = store.plan(&app, &keep(5)).await;
    assert_eq!(
        (plan.kind, plan.verdicts.len(), &plan.refused),
        (DeletedKind::Retention, 12, &None)
    );
    let going = ["1.01", "1.02", "1.03", "1.04", "1.05", "1.06", "1.07"];
    assert_eq!(tags_of(&plan), going);
    assert_eq!(reason(&plan, "stable"), "newest of 5 that stay");
    assert_eq!(reason(&plan, "1.07"), "6th newest, and 5 stay");
    assert_eq!(why(&plan, &stable), "it also has the tag `stable`");
    assert_eq!(plan.manifests.len(), 6, "all but the one of `stable`");

    let applied = store.apply(&app, &keep(5)).await;
    assert_eq!(store.tags(&app).await, ["1.08", "1.09", "1.10", "1.11", "stable"]);
    let again = store.plan(&app, &keep(5)).await;
    assert!(again.is_empty(), "{again:?}");
    store.restore(&applied).await;
    assert_eq!(store.keys().await, before);
}

async fn what_belongs_to_an_image_follows_it(store: Store) {
    let (app, registry) = (name("app"), &store.registry);
    let mut images = Vec::new();
    for version in ["1", "2"] {
        let child = image(registry, &app, version, "").await;
        let child_digest = put(registry, &app, Digest::sha256_of(child.as_bytes()), &child).await;
        let list = index(&[(child_digest, child.len())]);
        let multi = put(registry, &app, tag(version), &list).await;
        let sbom = image(
            registry,
            &app,
            &format!("sbom {version}"),
            &about(&multi, list.len()),
        )
        .await;
        let sbom = put(registry, &app, Digest::sha256_of(sbom.as_bytes()), &sbom).await;
        let of_cosign = format!("{}.sig", referrers_tag(&multi));
        let (signature, _) = store
            .image(&app, &format!("signature {version}"), &of_cosign)
            .await;
        images.push((BTreeSet::from([child_digest, multi, sbom, signature]), of_cosign));
    }
    let plan = store.plan(&app, &keep(1)).await;
    assert_eq!(
        plan.verdicts.len(),
        2,
        "signatures do not count: {:?}",
        plan.verdicts
    );
    assert_eq!(manifests_of(&plan), images[0].0);
    assert_eq!(tags_of(&plan), ["1".to_owned(), images[0].1.clone()]);
    store.apply(&app, &keep(1)).await;
    for digest in &images[1].0 {
        assert!(store.has(&app, digest).await);
    }
    assert_eq!(store.tags(&app).await, ["2".to_owned(), images[1].1.clone()]);
}

async fn too_many_tags_are_refused(store: Store) {
    let app = name("app");
    for number in 0..3 {
        store
            .image(&app, &number.to_string(), &format!("1.{number}"))
            .await;
    }
    let plan = store.plan(&app, &keep(0)).await;
    assert!(plan.refused.is_some() && plan.tags.len() == 3, "{plan:?}");
    let refused = store
        .registry
        .apply_deletion(&caller(), &app, &keep(0), &EveryTag, Application::default())
        .await;
    assert!(matches!(refused, Err(Error::TooManyTags { .. })), "{refused:?}");
    assert_eq!(store.tags(&app).await.len(), 3);
    let all = deletion(Policy {
        most: 100,
        ..policy(vec![RetentionRule {
            keep: Some(0),
            ..rule()
        }])
    });
    store.apply(&app, &all).await;
    assert_eq!(store.tags(&app).await, [""; 0]);
}

async fn a_history_has_one_entry_when_nothing_else_is_kept(store: Store) {
    let app = name("user/repo");
    for content in ["one", "two", "three"] {
        store.image(&app, content, "latest").await;
    }
    let (last, _) = store.image(&app, "four", "latest").await;
    let entries = async || {
        let keys = store.keys().await;
        keys.iter().filter(|key| key.contains("/latest/index/")).count()
    };
    assert_eq!(entries().await, 4);
    let before = store.keys().await;
    let plan = store.plan(&app, &untagged(Duration::ZERO, Duration::ZERO)).await;
    assert_eq!(
        (plan.tags.len(), plan.manifests.len(), plan.history.len()),
        (0, 3, 3)
    );
    let applied = store.apply(&app, &untagged(Duration::ZERO, Duration::ZERO)).await;
    assert_eq!(
        (entries().await, store.pulled(&app, "latest").await),
        (1, Some(last))
    );
    store.restore(&applied).await;
    assert_eq!(
        store.keys().await,
        before,
        "the tag can go back to all that it pointed at"
    );
}

async fn old_entries_go_although_their_manifests_stay(store: Store) {
    let app = name("app");
    let (kept, _) = store.image(&app, "one", "1.0").await;
    store.image(&app, "one", "latest").await;
    store.image(&app, "two", "latest").await;
    let young = store.plan(&app, &untagged(Duration::ZERO, LONG)).await;
    assert!(young.is_empty(), "{young:?}");
    let applied = store.apply(&app, &untagged(Duration::ZERO, Duration::ZERO)).await;
    assert_eq!(
        (applied.manifests, store.pulled(&app, "1.0").await),
        (vec![], Some(kept))
    );
    let entry = layout::tag_history_link(&app, &tag("latest"), &kept);
    assert!(!store.keys().await.contains(entry.as_str()));
    // A tag that goes back has its entry again, by which a deletion of the manifest finds it.
    store.image(&app, "one", "latest").await;
    let gone = Deletion::Manifest { digest: kept };
    assert_eq!(tags_of(&store.plan(&app, &gone).await), ["1.0", "latest"]);
}

async fn entries_that_lead_nowhere_go(store: Store) {
    let app = name("app");
    store.image(&app, "one", "latest").await;
    let gone = Digest::sha256_of(b"collected by another registry");
    let entry = layout::tag_history_link(&app, &tag("latest"), &gone);
    write(&*store.storage, &entry, &gone.to_string()).await;
    let young = store.plan(&app, &untagged(LONG, LONG)).await;
    assert!(young.is_empty(), "its manifest may be on its way: {young:?}");
    let plan = store.plan(&app, &untagged(Duration::ZERO, LONG)).await;
    assert_eq!((plan.history.len(), plan.manifests.len()), (1, 0));
    store.apply(&app, &untagged(Duration::ZERO, LONG)).await;
    assert!(!store.keys().await.contains(entry.as_str()));
}

async fn what_is_young_or_was_at_a_tag_lately_stays(store: Store) {
    let app = name("app");
    let (old, _) = store.image(&app, "one", "latest").await;
    store.image(&app, "two", "latest").await;
    let plan = store.plan(&app, &untagged(LONG, Duration::ZERO)).await;
    assert_eq!(
        (plan.manifests.len(), why(&plan, &old)),
        (0, "it is too young".to_owned())
    );
    let plan = store.plan(&app, &untagged(Duration::ZERO, LONG)).await;
    assert_eq!(
        (plan.manifests.len(), why(&plan, &old)),
        (0, "a tag pointed at it not long ago".to_owned())
    );
    // What a tag that goes pointed at is not kept by that tag.
    store.image(&app, "three", "new").await;
    let both = deletion(Policy {
        keep_history: LONG,
        ..policy(vec![RetentionRule {
            keep: Some(1),
            untagged: Some(Duration::ZERO),
            ..rule()
        }])
    });
    let plan = store.plan(&app, &both).await;
    assert_eq!(
        (tags_of(&plan), plan.manifests.len()),
        (vec!["latest".to_owned()], 2)
    );
}

async fn a_rule_takes_build_caches_alone(store: Store) {
    let (app, registry) = (name("app"), &store.registry);
    store.image(&app, "application", "1.0").await;
    let cache = image(registry, &app, "cache", "").await.replace(
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.buildkit.cacheconfig.v0",
    );
    put(registry, &app, tag("buildcache"), &cache).await;
    let caches = deletion(policy(vec![RetentionRule {
        kinds: vec![ArtifactKind::Cache],
        keep: Some(0),
        ..rule()
    }]));
    let plan = store.plan(&app, &caches).await;
    assert_eq!(
        (tags_of(&plan), plan.refused.as_deref()),
        (vec!["buildcache".to_owned()], None)
    );
    assert_eq!(reason(&plan, "1.0"), "no rule is about it");
}

async fn an_index_is_what_its_children_are(store: Store) {
    let (app, registry) = (name("app"), &store.registry);
    let chart = image(registry, &app, "chart", "").await.replace(
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.cncf.helm.config.v1+json",
    );
    let digest = put(registry, &app, Digest::sha256_of(chart.as_bytes()), &chart).await;
    put(registry, &app, tag("charts"), &index(&[(digest, chart.len())])).await;
    let child = store.image(&app, "image", "image").await;
    put(
        registry,
        &app,
        tag("images"),
        &index(&[(digest, chart.len()), child]),
    )
    .await;
    let plan = store.plan(&app, &keep(9)).await;
    let kinds: Vec<_> = plan
        .verdicts
        .iter()
        .map(|verdict| (verdict.tag.as_str(), verdict.kind))
        .collect();
    let image = ArtifactKind::Image;
    assert_eq!(
        kinds,
        [
            ("images", image),
            ("image", image),
            ("charts", ArtifactKind::Chart)
        ]
    );
}

async fn images_that_were_pulled_stay(store: Store) {
    let app = name("app");
    let (pulled, _) = store.image(&app, "one", "pulled").await;
    store.image(&app, "two", "forgotten").await;
    let unused = Arc::new(policy(vec![RetentionRule {
        not_pulled: Some(LONG),
        ..rule()
    }]));
    let deletion = |pulls: Option<LastPulls>| Deletion::Retention {
        policy: Arc::clone(&unused),
        pulls: pulls.map(Arc::new),
    };
    let plan = store.plan(&app, &deletion(None)).await;
    assert_eq!(reason(&plan, "forgotten"), "pulls are not counted");
    let now = std::time::SystemTime::now();
    let pulls = LastPulls {
        since: now - LONG * 9,
        tags: [].into(),
        digests: [(pulled, now)].into(),
    };
    let plan = store.plan(&app, &deletion(Some(pulls))).await;
    let is_known = |tag: &str| {
        let mut verdicts = plan.verdicts.iter();
        verdicts.any(|verdict| verdict.tag.as_str() == tag && verdict.pulled.is_some())
    };
    assert!(is_known("pulled") && !is_known("forgotten") && plan.is_empty());
}

impl Store {
    /// A page of what goes of the repositories of the team.
    async fn prune(&self, after: Option<&RepoName>) -> RetentionPage {
        let policy = keep_one();
        let page = self
            .registry
            .plan_retention(&policy, &Uncounted, after, &EveryTag);
        page.await.unwrap()
    }
}

/// What a tag pointed at for two months until a moment ago is what the operator may want back.
#[tokio::test]
async fn an_image_is_kept_from_the_time_at_which_its_tag_left_it() {
    let directory = tempfile::tempdir().unwrap();
    let storage = wharf_storage::fs::FsStorage::open(directory.path()).unwrap();
    let store = open(Arc::new(storage), false).await;
    let app = name("app");
    let (old, _) = store.image(&app, "one", "latest").await;
    store.image(&app, "two", "latest").await;
    let long_ago = std::time::SystemTime::now() - LONG * 1500;
    for key in [
        layout::tag_history_link(&app, &tag("latest"), &old),
        layout::revision_link(&app, &old),
    ] {
        let put = Put::new(key, layout::link_content(&old)).at(long_ago);
        store.storage.publish(&[put]).await.unwrap();
    }
    let plan = store.plan(&app, &untagged(Duration::ZERO, LONG)).await;
    assert!(plan.is_empty(), "{plan:?}");
    assert_eq!(why(&plan, &old), "a tag pointed at it not long ago");
}

/// The caller may not delete `release`.
struct AllButRelease;

impl TagRights for AllButRelease {
    fn may_delete(&self, tag: &Tag) -> bool {
        tag.as_str() != "release"
    }

    fn may_see(&self, _: &Tag) -> bool {
        true
    }

    fn may_see_all(&self) -> bool {
        true
    }

    fn may_see_repository(&self) -> bool {
        true
    }

    fn may_force(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn a_tag_that_may_not_be_deleted_keeps_its_history() {
    let store = open(Arc::new(ObjectStorage::in_memory()), true).await;
    let app = name("app");
    for reference in ["release", "other"] {
        for content in ["one", "two"] {
            store
                .image(&app, &format!("{reference} {content}"), reference)
                .await;
        }
    }
    let deletion = untagged(Duration::ZERO, Duration::ZERO);
    let plan = store
        .registry
        .plan_deletion(&app, &deletion, &AllButRelease)
        .await
        .unwrap();
    let history: Vec<&str> = plan.history.iter().map(|entry| entry.tag.as_str()).collect();
    assert_eq!((plan.manifests.len(), history), (1, vec!["other"]));
}

#[tokio::test]
async fn signatures_of_images_in_other_repositories_stay() {
    let store = open(Arc::new(ObjectStorage::in_memory()), true).await;
    let signatures = name("signatures");
    for content in ["one", "two"] {
        let subject = Digest::sha256_of(content.as_bytes());
        store
            .image(&signatures, content, &format!("{}.sig", referrers_tag(&subject)))
            .await;
    }
    let plan = store.plan(&signatures, &keep(1)).await;
    assert!(plan.is_empty(), "{plan:?}");
}

/// Pulls that nothing counts.
struct Uncounted;

impl PullsOf for Uncounted {
    fn pulls_of(&self, _: &RepoName) -> Option<Arc<LastPulls>> {
        None
    }
}

fn keep_one() -> Arc<Policy> {
    Arc::new(policy(vec![RetentionRule {
        repositories: vec![Pattern::parse("team/*").unwrap()],
        keep: Some(1),
        ..rule()
    }]))
}

async fn repositories_are_planned_together_and_their_bytes_counted_once(store: Store) {
    for (repository, content, reference) in [
        ("team/one", "shared by both", "1"),
        ("team/one", "one", "2"),
        ("team/two", "shared by both", "1"),
        ("team/two", "two", "2"),
        ("other", "another", "1"),
        ("other", "another one", "2"),
        ("team/none", "none", "1"),
    ] {
        store.image(&name(repository), content, reference).await;
    }
    let page = store.prune(None).await;
    let plans: Vec<_> = page
        .plans
        .iter()
        .map(|(plan, free)| (plan.repository.as_str(), plan.tags.len(), *free))
        .collect();
    let free = page.bytes.free;
    assert_eq!(
        plans,
        [("team/none", 0, 0), ("team/one", 1, free), ("team/two", 1, free)]
    );
    assert_eq!((page.bytes.blobs, page.next, page.unread), (3, None, vec![]));
    // A third repository that needs the layers keeps them.
    store.image(&name("other"), "shared by both", "3").await;
    let page = store.prune(None).await;
    assert_eq!((page.bytes.free, page.bytes.shared), (0, free));
    let after = name("team/one");
    assert_eq!(store.prune(Some(&after)).await.plans.len(), 1);
}

async fn a_repository_that_cannot_be_read_does_not_stop_the_others(store: Store) {
    for repository in ["team/good", "team/torn"] {
        for reference in ["1", "2"] {
            store
                .image(&name(repository), &format!("{repository} {reference}"), reference)
                .await;
        }
    }
    // A manifest that no tag reaches, and whose bytes are no manifest.
    let torn = Digest::sha256_of(b"torn");
    let link = layout::revision_link(&name("team/torn"), &torn);
    write(&*store.storage, &link, &torn.to_string()).await;
    write(&*store.storage, &layout::blob(&torn), "other bytes").await;
    let page = store.prune(None).await;
    let plans: Vec<_> = page
        .plans
        .iter()
        .map(|(plan, _)| (plan.repository.as_str(), plan.tags.len(), plan.manifests.len()))
        .collect();
    // Its tag goes, and what it needs is unknown, so every manifest stays.
    assert_eq!(plans, [("team/good", 1, 1), ("team/torn", 1, 0)]);
    assert_eq!(page.unread, []);
}

/// Whether the tag that may have moved back has its entry.
async fn assert_findable(registry: &Arc<Registry>, app: &RepoName, old: &Digest, when: &str) -> bool {
    let moving = registry
        .manifest(app, &tag("moving").into())
        .await
        .unwrap()
        .digest;
    if moving != *old {
        return false;
    }
    let (refused, gone) = (
        registry.delete_manifest(&caller(), app, old, false).await,
        tag("moving"),
    );
    let tags = refused.unwrap();
    assert!(
        tags.contains(&gone),
        "{when}: the tag was not found by its history: {tags:?}"
    );
    true
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_goes_back_while_its_old_entry_goes_keeps_the_entry() {
    let app = name("app");
    let mut went_back = 0;
    for delay in 0..60 {
        let (registry, _) = far_away();
        let (old, new) = (
            image(&registry, &app, "old", "").await,
            image(&registry, &app, "new", "").await,
        );
        let digest = put(&registry, &app, tag("kept"), &old).await;
        put(&registry, &app, tag("moving"), &old).await;
        put(&registry, &app, tag("moving"), &new).await;
        let (caller, deletion) = (caller(), untagged(Duration::ZERO, Duration::ZERO));
        let (applied, _) = join!(
            registry.apply_deletion(&caller, &app, &deletion, &EveryTag, Application::default()),
            async {
                sleep(ROUND_TRIP * delay).await;
                put(&registry, &app, tag("moving"), &old).await
            },
        );
        applied.unwrap();
        let when = format!("after {delay}");
        went_back += usize::from(assert_findable(&registry, &app, &digest, &when).await);
    }
    assert_eq!(went_back, 60);
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_goes_back_on_another_replica_keeps_its_entry() {
    let app = name("app");
    for seed in 0..100 {
        let random = Random::new(seed);
        let bucket = SlowBucket::reliable(random.clone());
        let over_bucket = || {
            over(Arc::new(ObjectStorage::new(
                Arc::new(bucket.clone()),
                Path::default(),
            )))
        };
        let (one, two) = (over_bucket(), over_bucket());
        let quick = over(Arc::new(ObjectStorage::new(
            Arc::new(bucket.content()),
            Path::default(),
        )));
        let (old, new) = (
            image(&quick, &app, "old", "").await,
            image(&quick, &app, "new", "").await,
        );
        let digest = put(&quick, &app, tag("kept"), &old).await;
        put(&quick, &app, tag("moving"), &old).await;
        put(&quick, &app, tag("moving"), &new).await;
        let (caller, deletion) = (caller(), untagged(Duration::ZERO, Duration::ZERO));
        let (applied, _) = join!(
            Box::pin(one.apply_deletion(&caller, &app, &deletion, &EveryTag, Application::default())),
            async {
                sleep(Duration::from_millis(random.below(3000))).await;
                Box::pin(put(&two, &app, tag("moving"), &old)).await
            },
        );
        applied.unwrap();
        assert_findable(&quick, &app, &digest, &format!("seed {seed}")).await;
    }
}
