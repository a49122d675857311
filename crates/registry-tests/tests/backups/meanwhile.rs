//! Backups of a registry that changes meanwhile.

use std::time::Duration;

use tokio::{task::JoinSet, time};
use wharf_oci::Digest;
use wharf_storage::{
    Operation,
    faulty::{Fault, Faulty},
    layout,
};

use super::*;
use crate::common::{self, name};

/// A time that the clock of the tests only passes when nothing else is left to do.
const PAUSE: Duration = Duration::from_secs(10);

/// Takes a backup, does `change` while it waits at the `number`th call of `operation`, and lets it end.
async fn take_with(
    from: &Arc<dyn Storage>,
    vault: &Arc<dyn Storage>,
    (operation, number): (Operation, u64),
    change: impl AsyncFnOnce(),
) -> (TakeReport, Vec<Problem>) {
    let slow = Arc::new(Faulty::new(Arc::clone(from)));
    slow.inject(Fault::delay(PAUSE).on(operation).after(number).times(1));
    let source: Arc<dyn Storage> = Arc::<Faulty>::clone(&slow);
    let changes = async {
        time::sleep(PAUSE / 2).await;
        change().await;
    };
    let ((report, problems), ()) =
        tokio::join!(try_take(&source, store(vault), TakeOptions::default()), changes);
    assert_eq!(slow.struck(), 1);
    (report.unwrap(), problems)
}

async fn restored_whole(vault: &Arc<dyn Storage>) -> Arc<dyn Storage> {
    let to = memory();
    restore(Source::Store(Arc::clone(vault)), &to).await;
    require_whole(&*to).await;
    to
}

/// The tags were read, and the manifests and layers were not.
#[tokio::test(start_paused = true)]
async fn an_image_that_is_pushed_meanwhile_is_there_whole_or_not_at_all() {
    for scan in 0..3 {
        let (from, vault) = (memory(), memory());
        push(&*from, &image(0, &[1])).await;
        let (report, problems) = take_with(&from, &vault, (Operation::Scan, scan), async || {
            push(&*from, &image(1, &[2, 7])).await;
        })
        .await;
        assert_eq!(problems, []);
        assert_eq!(report.counts.tags, if scan == 0 { 2 } else { 1 });
        restored_whole(&vault).await;
    }
}

/// The image was listed, and then it is deleted and collected, before its bytes were copied.
#[tokio::test(start_paused = true)]
async fn what_is_deleted_and_collected_meanwhile_is_no_damage() {
    for opened in 0..3 {
        let (from, vault) = (memory(), memory());
        push(&*from, &image(0, &[1])).await;
        push(&*from, &image(1, &[2, 3])).await;
        let (report, problems) = take_with(&from, &vault, (Operation::Open, opened), async || {
            let app = name("a");
            let tag = layout::tag_link(&app, "t1");
            let manifest = layout::parse_link(&from.read(&tag, 1024).await.unwrap().bytes).unwrap();
            from.remove_tree(&layout::tag(&app, "t1")).await.unwrap();
            let mut keys = vec![layout::revision_link(&app, &manifest)];
            let layers = [2, 3].map(|number| Digest::sha256_of(&trees::layer(number)));
            keys.extend(layers.iter().map(|layer| layout::layer_link(&app, layer)));
            keys.extend(layers.iter().chain([&manifest]).map(layout::blob));
            for key in keys {
                from.remove(&key, &layout::repositories()).await.unwrap();
            }
        })
        .await;
        assert_eq!(problems, [], "at blob {opened}");
        assert_eq!((report.counts.tags, report.counts.left_out), (1, 0));
        restored_whole(&vault).await;
    }
}

/// Clients push, overwrite and delete all the time, and every backup is whole.
#[tokio::test(flavor = "multi_thread")]
async fn every_backup_beside_pushes_and_deletions_is_whole() {
    let directories = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let open = |number: usize| -> Arc<dyn Storage> {
        Arc::new(FsStorage::open(directories[number].path()).unwrap())
    };
    for (from, vault) in [(memory(), memory()), (open(0), open(1))] {
        let registry = common::over(Arc::clone(&from));
        let mut clients = JoinSet::new();
        for client in 0..4 {
            let registry = Arc::clone(&registry);
            clients.spawn(async move {
                let repository = name(&format!("team/app{}", client % 2));
                for round in 0..12 {
                    let content = format!("layer {client} {round}");
                    let manifest = common::image(&registry, &repository, &content, "").await;
                    let tag = common::tag(&format!("t{client}-{}", round % 3));
                    let digest = common::put(&registry, &repository, tag.clone(), &manifest).await;
                    if round % 4 == 3 {
                        registry
                            .delete_manifest(&common::caller(), &repository, &digest, false)
                            .await
                            .unwrap();
                    }
                }
            });
        }
        let mut file = FileInMemory::default();
        for round in 0..4 {
            let report = take(&from, store(&vault)).await;
            let to = restored_whole(&vault).await;
            assert_eq!(tags(&*to).await as u64, report.counts.tags, "round {round}");
            file = FileInMemory::default();
            take(&from, file.target(Compression::Zstd, None)).await;
        }
        while let Some(ended) = clients.join_next().await {
            ended.unwrap();
        }
        let to = memory();
        restore(file.source(), &to).await;
        require_whole(&*to).await;
        take(&from, store(&vault)).await;
        let to = restored_whole(&vault).await;
        assert_eq!(tags(&*to).await, tags(&*from).await);
        require_verified(&Source::Store(Arc::clone(&vault))).await;
    }
}

/// How many tags point somewhere.
async fn tags(storage: &dyn Storage) -> usize {
    objects(storage)
        .await
        .keys()
        .filter(|key| key.ends_with("/current/link"))
        .count()
}
