//! The power goes in the middle of a deletion, a restore, a collection or a backup: nothing that a tag needs is lost, what was
//! deleted can be restored, and a second run finishes.
//!
//! Each story runs on a simulated disk until its power is cut after so many effects, for more and more of them. The disk is then
//! looked at in several of the states in which it may be found, and each of these is gone on from. The clock stands still, so that
//! the collector does not wait in earnest for a removal whose outcome it does not know.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use wharf_oci::Digest;
use wharf_registry::{
    Application, Deletion, Error, EveryTag, Options, Registry, Result, TrashRecord,
    backup::{self, RestoreOptions, Restorer, Source, TakeOptions, Taker, Target},
    collect::{Collected, OnlineCollector},
};
use wharf_storage::{
    Storage,
    fs::{
        FsStorage,
        simulated::{SimulatedDisk, Survival},
    },
    layout,
    object::ObjectStorage,
};

use crate::{
    common::{about, caller, image, index, name, put, tag},
    copying::trees::{objects, require_whole},
    planning::records,
};

/// States in which a disk may be found.
const SURVIVALS: [Survival; 5] = [
    Survival::Nothing,
    Survival::Everything,
    Survival::Later,
    Survival::Some(2),
    Survival::Some(5),
];

/// The power is cut after each effect of this number: at several hundred effects, all of them would take minutes.
const STEP: usize = 3;

/// The repository that the stories change. The other one has images of the same layers.
const CHANGED: &str = "team/app";
const OTHER: &str = "other";

/// A registry over a disk, as a start of the server finds it.
struct Found {
    storage: Arc<dyn Storage>,
    registry: Arc<Registry>,
}

impl Found {
    fn on(disk: &SimulatedDisk) -> wharf_storage::Result<Self> {
        Ok(Self::over(Arc::new(FsStorage::on(disk.clone(), "simulated")?)))
    }

    fn over(storage: Arc<dyn Storage>) -> Self {
        let options = Options {
            delete_enabled: true,
            trash_retention: Duration::from_secs(7 * 86_400),
            collect_grace: Duration::ZERO,
            ..Options::default()
        };
        Self {
            registry: Arc::new(Registry::new(Arc::clone(&storage), options)),
            storage,
        }
    }

    /// Pushes an image with a tag.
    async fn push(&self, repository: &str, content: &str, reference: &str) -> (Digest, usize) {
        let repository = name(repository);
        let manifest = image(&self.registry, &repository, content, "").await;
        let digest = put(&self.registry, &repository, tag(reference), &manifest).await;
        (digest, manifest.len())
    }

    /// Pushes what the stories begin with.
    async fn fill(&self) {
        let app = name(CHANGED);
        let first = self.push(CHANGED, "first", "latest").await;
        let second = self.push(CHANGED, "second", "latest").await;
        put(&self.registry, &app, tag("all"), &index(&[first, second])).await;
        let about = about(&first.0, first.1);
        let signature = image(&self.registry, &app, "signature", &about).await;
        put(
            &self.registry,
            &app,
            Digest::sha256_of(signature.as_bytes()),
            &signature,
        )
        .await;
        self.push(OTHER, "first", "1").await;
        self.push(OTHER, "alone", "2").await;
    }

    /// All tags, and at what they point. Fails when one of them, or a manifest without a tag, lacks anything.
    async fn tags(&self) -> BTreeMap<String, Digest> {
        require_whole(&*self.storage).await;
        let mut tags = BTreeMap::new();
        for (key, content) in objects(&*self.storage).await {
            if key.ends_with("/current/link") {
                tags.insert(key, layout::parse_link(&content).unwrap());
            }
        }
        tags
    }

    async fn records(&self) -> Vec<TrashRecord> {
        records(&self.registry).await
    }

    /// Deletes the repository.
    async fn delete(&self) -> Result<()> {
        let application = Application {
            plan: None,
            now: false,
        };
        let origin = caller();
        let deletion = Deletion::Repository;
        let applied = self
            .registry
            .apply_deletion(&origin, &name(CHANGED), &deletion, &EveryTag, application)
            .await?;
        assert_eq!(applied.stayed, []);
        Ok(())
    }

    /// Restores all that is in the trash, the last deletion first.
    async fn restore(&self) -> Result<()> {
        let mut records = self.records().await;
        records.sort_by(|a, b| b.id.as_str().cmp(a.id.as_str()));
        for record in records {
            let restored = self
                .registry
                .restore_from_trash(&caller(), &record.id, false)
                .await?;
            assert_eq!((restored.left_alone, restored.lost), (vec![], vec![]));
        }
        Ok(())
    }

    async fn collect(&self) -> Result<()> {
        let collector = OnlineCollector::new(Arc::clone(&self.registry), false);
        match collector.collect().await? {
            Collected::Done(report) => assert_eq!((report.findings.len(), report.waiting.blobs), (0, 0)),
            other => panic!("{other:?}"),
        }
        Ok(())
    }

    async fn blobs(&self) -> Vec<String> {
        let all = objects(&*self.storage).await;
        all.into_keys().filter(|key| key.ends_with("/data")).collect()
    }
}

/// A disk on which `prepare` was done, with all that is on it durable.
async fn disk(prepare: impl AsyncFn(&Found)) -> SimulatedDisk {
    let disk = SimulatedDisk::default();
    prepare(&Found::on(&disk).unwrap()).await;
    disk.after_power_cut(Survival::Everything)
}

/// Does `act` on copies of `disk` whose power is cut, and checks by `then` in what state each of them is found. `then` is told
/// whether `act` had ended.
async fn cut_everywhere(
    disk: &SimulatedDisk,
    act: impl AsyncFn(&Found) -> bool,
    then: impl AsyncFn(&Found, bool),
) {
    for effects in (0..).step_by(STEP) {
        let cut = disk.after_power_cut(Survival::Everything);
        cut.cut_after(effects);
        let has_ended = match Found::on(&cut) {
            Ok(opened) => act(&opened).await,
            Err(_no_power) => false,
        };
        for survival in SURVIVALS {
            let found = Found::on(&cut.after_power_cut(survival)).unwrap();
            then(&found, has_ended).await;
        }
        if has_ended {
            assert!(effects > 10, "the story does something");
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_is_done_or_can_be_taken_back() {
    let disk = disk(Found::fill).await;
    let before = Found::on(&disk.after_power_cut(Survival::Everything))
        .unwrap()
        .tags()
        .await;
    let of_other = |tags: &BTreeMap<String, Digest>| {
        let tags = tags.clone().into_iter();
        tags.filter(|(key, _)| key.contains("/other/"))
            .collect::<BTreeMap<_, _>>()
    };
    cut_everywhere(
        &disk,
        async |found| found.delete().await.is_ok(),
        async |found, has_ended| {
            let tags = found.tags().await;
            assert_eq!(of_other(&tags), of_other(&before));
            assert!(tags.iter().all(|(key, digest)| before.get(key) == Some(digest)));
            let records = found.records().await;
            let named: Vec<String> = records
                .iter()
                .flat_map(|record| &record.pointers.tags)
                .map(|deleted| layout::tag_link(&name(CHANGED), &deleted.tag).to_string())
                .collect();
            let gone = before.keys().filter(|key| !tags.contains_key(*key));
            for key in gone {
                assert!(named.contains(key), "no record names {key}");
            }
            if has_ended {
                assert_eq!((tags, records.len()), (of_other(&before), 1));
            }
            // What is in the trash outlives a collection.
            found.collect().await.unwrap();
            match found.delete().await {
                Ok(()) | Err(Error::NameUnknown { .. }) => {}
                Err(error) => panic!("{error}"),
            }
            assert_eq!(found.tags().await, of_other(&before));
            found.collect().await.unwrap();
            found.restore().await.unwrap();
            assert_eq!(found.tags().await, before);
            assert_eq!(found.records().await, []);
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_restore_is_done_or_can_be_repeated() {
    let disk = disk(async |found: &Found| {
        found.fill().await;
        found.delete().await.unwrap();
        found.collect().await.unwrap();
    })
    .await;
    let whole = {
        let found = Found::on(&disk.after_power_cut(Survival::Everything)).unwrap();
        found.restore().await.unwrap();
        found.tags().await
    };
    cut_everywhere(
        &disk,
        async |found| found.restore().await.is_ok(),
        async |found, has_ended| {
            let tags = found.tags().await;
            assert!(tags.iter().all(|(key, digest)| whole.get(key) == Some(digest)));
            if found.records().await.is_empty() {
                assert_eq!(tags, whole, "the record is gone before all of it is back");
            }
            assert!(!has_ended || tags == whole);
            found.collect().await.unwrap();
            found.restore().await.unwrap();
            assert_eq!(found.tags().await, whole);
            assert_eq!(found.records().await, []);
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_collection_is_done_or_goes_on() {
    let disk = disk(async |found: &Found| {
        found.fill().await;
        // One that can be restored, and one that cannot.
        found.delete().await.unwrap();
        found.push(CHANGED, "garbage", "gone").await;
        found.push(CHANGED, "kept", "kept").await;
        let digest = found
            .registry
            .manifest(&name(CHANGED), &tag("gone").into())
            .await
            .unwrap()
            .digest;
        let registry = &found.registry;
        registry
            .delete_manifest(&caller(), &name(CHANGED), &digest, false)
            .await
            .unwrap();
        let last = found.records().await;
        let last = last.iter().max_by_key(|record| record.id.as_str()).unwrap();
        registry.remove_from_trash(&last.id).await.unwrap();
    })
    .await;
    let (tags, left) = {
        let found = Found::on(&disk.after_power_cut(Survival::Everything)).unwrap();
        let before = found.blobs().await.len();
        found.collect().await.unwrap();
        let left = found.blobs().await;
        assert_eq!(left.len() + 3, before, "an image of three blobs is garbage");
        (found.tags().await, left)
    };
    cut_everywhere(
        &disk,
        async |found| found.collect().await.is_ok(),
        async |found, has_ended| {
            assert_eq!(found.tags().await, tags);
            if has_ended {
                assert_eq!(found.blobs().await, left);
            }
            found.collect().await.unwrap();
            assert_eq!(
                (found.tags().await, found.blobs().await),
                (tags.clone(), left.clone())
            );
            found.restore().await.unwrap();
            let restored = found.tags().await;
            assert!(restored.len() > tags.len() && tags.keys().all(|key| restored.contains_key(key)));
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_backup_is_whole_or_is_not_there_and_the_one_before_it_stays() {
    let from = Found::over(Arc::new(ObjectStorage::in_memory()));
    from.fill().await;
    let take = async |to: &Found| {
        let target = Target::Store(Arc::clone(&to.storage));
        let taker = Taker::new(Arc::clone(&from.storage), target, TakeOptions::default()).await?;
        taker.run().await
    };
    let disk = disk(async |to: &Found| {
        take(to).await.unwrap();
    })
    .await;
    let first = from.tags().await;
    from.push(CHANGED, "third", "latest").await;
    from.push("new", "fourth", "1").await;
    let second = from.tags().await;

    cut_everywhere(
        &disk,
        async |to| take(to).await.is_ok(),
        async |to, has_ended| {
            let source = Source::Store(Arc::clone(&to.storage));
            let snapshots = source.snapshots().await.unwrap().len();
            assert!(snapshots == 2 || (snapshots == 1 && !has_ended), "{snapshots}");
            require_restored(&to.storage, if snapshots == 2 { &second } else { &first }).await;
            take(to).await.unwrap();
            require_restored(&to.storage, &second).await;
        },
    )
    .await;
}

/// All snapshots of a backup verify, and the last one restores `tags`.
async fn require_restored(backup: &Arc<dyn Storage>, tags: &BTreeMap<String, Digest>) {
    let source = Source::Store(Arc::clone(backup));
    let report = backup::verify(&source, None, None, &Arc::default())
        .await
        .unwrap();
    assert_eq!(report.problems, 0);
    let to = Found::over(Arc::new(ObjectStorage::in_memory()));
    let restorer = Restorer::new(source, None, Arc::clone(&to.storage), RestoreOptions::default());
    restorer.run().await.unwrap();
    assert_eq!(to.tags().await, *tags);
}
