//! The history of a tag, and the way back.

use std::{sync::Arc, time::Duration};

use wharf_oci::{Digest, Reference};
use wharf_registry::{Error, Matching, PastManifest, Precondition, Registry};
use wharf_storage::{Removal, Storage, layout};

use crate::common::{caller, image, name, on_both_engines, over, put, tag, write};

struct Scene {
    is_bucket: bool,
    registry: Arc<Registry>,
    storage: Arc<dyn Storage>,
    /// The manifests at which `app:latest` pointed, the first one first
    pushed: Vec<Digest>,
}

/// A repository with a tag `latest` that was moved from one image to the next, twice.
async fn moved_twice(storage: Arc<dyn Storage>, is_bucket: bool) -> Scene {
    let (registry, name) = (over(Arc::clone(&storage)), name("app"));
    let mut pushed = Vec::new();
    for content in ["one", "two", "three"] {
        let manifest = image(&registry, &name, content, "").await;
        pushed.push(put(&registry, &name, tag("latest"), &manifest).await);
        tick(is_bucket).await;
    }
    Scene {
        is_bucket,
        registry,
        storage,
        pushed,
    }
}

/// Waits until the clock of the store has another time: that of a bucket has seconds, that of a file system some milliseconds.
async fn tick(is_bucket: bool) {
    let step = if is_bucket { 1_100 } else { 20 };
    tokio::time::sleep(Duration::from_millis(step)).await;
}

on_both_engines!(moved_twice:
    a_history_has_each_manifest_once_the_latest_first
    a_tag_goes_back_and_forth
    a_tag_goes_back_only_to_where_it_was
    a_history_says_which_manifests_are_gone
    a_tag_of_another_tool_has_its_current_manifest
);

impl Scene {
    async fn history(&self, limit: usize) -> (Vec<PastManifest>, usize) {
        let history = self
            .registry
            .tag_history(&name("app"), &tag("latest"), limit)
            .await
            .unwrap();
        (history.entries, history.total)
    }

    async fn digests(&self) -> Vec<Digest> {
        self.history(100)
            .await
            .0
            .iter()
            .map(|entry| entry.digest)
            .collect()
    }

    async fn restore(&self, digest: &Digest, condition: &Precondition) -> Result<Digest, Error> {
        let (name, tag) = (name("app"), tag("latest"));
        let restored = self
            .registry
            .restore_tag(&caller(), &name, (&tag, digest), condition, false)
            .await;
        restored.map(|pushed| pushed.digest)
    }
}

async fn a_history_has_each_manifest_once_the_latest_first(scene: Scene) {
    let [one, two, three] = scene.pushed[..] else {
        panic!()
    };
    assert_eq!(scene.digests().await, [three, two, one]);
    let (entries, total) = scene.history(2).await;
    let short: Vec<_> = entries
        .iter()
        .map(|entry| (entry.digest, entry.is_current, entry.is_there))
        .collect();
    assert_eq!(
        (&*short, total),
        (&[(three, true, true), (two, false, true)][..], 3)
    );
    assert!(entries[0].since > entries[1].since);
    let unknown = scene.registry.tag_history(&name("app"), &tag("other"), 1).await;
    assert!(
        matches!(unknown, Err(Error::ManifestUnknown { .. })),
        "{unknown:?}"
    );
}

async fn a_tag_goes_back_and_forth(scene: Scene) {
    let [one, two, three] = scene.pushed[..] else {
        panic!()
    };
    let any = Precondition::default();
    assert_eq!(scene.restore(&one, &any).await.unwrap(), one);
    assert_eq!(
        scene.digests().await,
        [one, three, two],
        "the last change is the first line"
    );
    let found = scene
        .registry
        .manifest(&name("app"), &Reference::Tag(tag("latest")))
        .await
        .unwrap();
    assert_eq!(found.digest, one);

    let only_from = |digest| Precondition {
        if_match: Some(Matching::These(vec![digest])),
        ..Precondition::default()
    };
    let moved = scene.restore(&two, &only_from(three)).await;
    assert!(
        matches!(moved, Err(Error::PreconditionFailed { .. })),
        "it was moved meanwhile: {moved:?}"
    );
    tick(scene.is_bucket).await;
    assert_eq!(scene.restore(&two, &only_from(one)).await.unwrap(), two);
    assert_eq!(scene.digests().await, [two, one, three]);

    let (repository, latest) = (name("app"), tag("latest"));
    let moved = scene
        .registry
        .restore_tag(&caller(), &repository, (&latest, &one), &any, true)
        .await;
    assert!(
        matches!(moved, Err(Error::TagExists { .. })),
        "a tag that is only created moves neither way: {moved:?}"
    );
}

async fn a_tag_goes_back_only_to_where_it_was(scene: Scene) {
    let manifest = image(&scene.registry, &name("app"), "four", "").await;
    let other = put(&scene.registry, &name("app"), tag("other"), &manifest).await;
    let refused = scene.restore(&other, &Precondition::default()).await;
    assert!(
        matches!(&refused, Err(Error::NotInHistory { digest, .. }) if *digest == other),
        "{refused:?}"
    );
    assert_eq!(scene.digests().await.len(), 3, "nothing has changed");
}

async fn a_history_says_which_manifests_are_gone(scene: Scene) {
    let [one, two, three] = scene.pushed[..] else {
        panic!()
    };
    let deleted = scene
        .registry
        .delete_manifest(&caller(), &name("app"), &two, false)
        .await;
    assert_eq!(deleted.unwrap(), []);
    let (entries, _) = scene.history(100).await;
    let there: Vec<_> = entries
        .iter()
        .map(|entry| (entry.digest, entry.is_there))
        .collect();
    assert_eq!(there, [(three, true), (two, false), (one, true)]);
    let gone = scene.restore(&two, &Precondition::default()).await;
    assert!(matches!(gone, Err(Error::ManifestUnknown { .. })), "{gone:?}");
}

async fn a_tag_of_another_tool_has_its_current_manifest(scene: Scene) {
    let [one, two, three] = scene.pushed[..] else {
        panic!()
    };
    let link = Removal {
        key: layout::tag_history_link(&name("app"), &tag("latest"), &three),
        keep: layout::tag_history(&name("app"), &tag("latest")),
    };
    scene.storage.remove_many(&[link]).await.unwrap();
    let foreign = layout::tag_history(&name("app"), &tag("latest")).join("sha256/notes.txt");
    write(&*scene.storage, &foreign.unwrap(), "no link").await;
    assert_eq!(scene.digests().await, [three, two, one]);
    assert_eq!(scene.history(1).await.1, 3);
}
