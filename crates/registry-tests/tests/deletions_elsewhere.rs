//! Deletions on one replica against pushes on another one that need what is deleted, over a slow bucket.

use std::{sync::Arc, time::Duration};

use object_store::path::Path;
use tokio::time::sleep;
use wharf_oci::{Digest, RepoName, Tag};
use wharf_registry::{Error, Registry, Result};
use wharf_storage::object::ObjectStorage;

use crate::{
    common::{caller, image, index, name, over, push_blob, put, tag, try_put},
    slow_bucket::{Random, SlowBucket},
};

/// Two replicas, and a third that sees the same bucket without delays.
struct Replicas {
    one: Arc<Registry>,
    two: Arc<Registry>,
    quick: Arc<Registry>,
    random: Random,
}

impl Replicas {
    fn new(seed: u64) -> Self {
        let random = Random::new(seed);
        let bucket = SlowBucket::reliable(random.clone());
        let over_bucket = || {
            let bucket = Arc::new(bucket.clone());
            over(Arc::new(ObjectStorage::new(bucket, Path::default())))
        };
        let content = Arc::new(bucket.content());
        Self {
            one: over_bucket(),
            two: over_bucket(),
            quick: over(Arc::new(ObjectStorage::new(content, Path::default()))),
            random,
        }
    }

    /// Both at once, the one or the other first.
    async fn at_once<A, B>(&self, one: impl Future<Output = A>, two: impl Future<Output = B>) -> (A, B) {
        let moment = || Duration::from_millis(self.random.below(700));
        let (first, second) = (moment(), moment());
        futures_util::join!(
            async {
                sleep(first).await;
                one.await
            },
            async {
                sleep(second).await;
                two.await
            }
        )
    }
}

/// What became of a push and a deletion.
#[derive(Debug, Default)]
struct Outcomes {
    pushed: usize,
    deleted: usize,
    both: usize,
}

impl Outcomes {
    fn add(&mut self, is_pushed: bool, is_deleted: bool) {
        self.pushed += usize::from(is_pushed);
        self.deleted += usize::from(is_deleted);
        self.both += usize::from(is_pushed && is_deleted);
    }

    fn assert_mixed(&self, of: usize) {
        assert!(self.pushed > 0 && self.pushed < of, "{self:?}");
        assert!(self.deleted > 0 && self.deleted < of, "{self:?}");
    }
}

const ROUNDS: usize = 60;

fn is_pushed<T: std::fmt::Debug>(pushed: &Result<T>) -> bool {
    match pushed {
        Ok(_) => true,
        Err(Error::ManifestReferencesUnknown(_) | Error::Busy { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

async fn has_tag(registry: &Registry, app: &RepoName, tag: Tag) -> bool {
    registry.manifest(app, &tag.into()).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn an_index_that_is_pushed_keeps_a_child_that_another_replica_deletes() {
    let app = name("app");
    let mut outcomes = Outcomes::default();
    for seed in 0..ROUNDS as u64 {
        let replicas = Replicas::new(seed);
        let child = image(&replicas.quick, &app, "content", "").await;
        let digest = put(&replicas.quick, &app, tag("child"), &child).await;
        let list = index(&[(digest, child.len())]);
        let caller = caller();
        let (pushed, deleted) = replicas
            .at_once(
                Box::pin(try_put(&replicas.one, &app, tag("index"), &list)),
                Box::pin(replicas.two.delete_manifest(&caller, &app, &digest, false)),
            )
            .await;
        match &deleted {
            Ok(_) => {}
            Err(Error::NeededByIndex { indexes, .. }) => {
                assert_eq!(*indexes, ["app:index"]);
                assert!(has_tag(&replicas.quick, &app, tag("child")).await, "seed {seed}");
            }
            Err(error) => panic!("{error}"),
        }
        outcomes.add(is_pushed(&pushed), deleted.is_ok());
        let is_there = replicas.quick.manifest(&app, &digest.into()).await.is_ok();
        if has_tag(&replicas.quick, &app, tag("index")).await {
            assert!(is_there, "seed {seed}: the index has lost its child");
        }
        assert!(
            is_there || deleted.is_ok(),
            "seed {seed}: it is gone although its deletion was refused"
        );
    }
    outcomes.assert_mixed(ROUNDS);
}

#[tokio::test(start_paused = true)]
async fn a_manifest_that_is_pushed_keeps_a_blob_that_another_replica_deletes() {
    let app = name("app");
    let mut outcomes = Outcomes::default();
    for seed in 0..ROUNDS as u64 {
        let replicas = Replicas::new(seed);
        let manifest = image(&replicas.quick, &app, "content", "").await;
        let layer = Digest::sha256_of(b"content");
        let caller = caller();
        let (pushed, deleted) = replicas
            .at_once(
                Box::pin(try_put(&replicas.one, &app, tag("1"), &manifest)),
                Box::pin(replicas.two.delete_blob(&caller, &app, &layer, false)),
            )
            .await;
        match &deleted {
            Ok(()) => {}
            Err(Error::BlobNeeded { manifests, .. }) => assert_eq!(*manifests, ["app:1"]),
            Err(error) => panic!("{error}"),
        }
        outcomes.add(is_pushed(&pushed), deleted.is_ok());
        let is_there = replicas.quick.blob(&app, &layer).await.is_ok();
        if has_tag(&replicas.quick, &app, tag("1")).await {
            assert!(is_there, "seed {seed}: the image has lost its layer");
        }
        assert!(
            is_there || deleted.is_ok(),
            "seed {seed}: it is gone although its deletion was refused"
        );
    }
    outcomes.assert_mixed(ROUNDS);
    let replicas = Replicas::new(0);
    push_blob(&replicas.one, &app, b"content").await;
    let layer = Digest::sha256_of(b"content");
    replicas
        .two
        .delete_blob(&caller(), &app, &layer, false)
        .await
        .unwrap();
}
