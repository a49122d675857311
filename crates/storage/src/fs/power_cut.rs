//! Proofs on the simulated disk: the power goes after any effect, and nothing acknowledged is lost.
//!
//! A scenario runs until the power is cut. Everything that it may have changed so far, and
//! everything that was acknowledged, stands in a [`Ledger`]. The disk is then looked at in several
//! of the states in which it may be found when the power is back.

mod conditions;
mod failures;
mod moving;
mod prepare;
mod relying;
mod sweep;

use std::{
    collections::BTreeMap,
    future::Future,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use wharf_oci::{Algorithm, Digest, RepoName, Tag};

use super::{
    FsStorage,
    simulated::{SimulatedDisk, Survival, Syncs},
    sys::Disk,
};
use crate::{ErrorKind, Key, Objects, Put, Result, Uploads, layout, layout::UploadKey};

const SURVIVALS: [Survival; 8] = [
    Survival::Nothing,
    Survival::Everything,
    Survival::Later,
    Survival::Earlier,
    Survival::Some(1),
    Survival::Some(2),
    Survival::Some(4),
    Survival::Some(6),
];

/// What may lie at each key: `None` for nothing.
#[derive(Debug, Default)]
struct Ledger(Mutex<BTreeMap<String, Vec<Option<Bytes>>>>);

impl Ledger {
    /// From now on this may be what lies at `key`.
    fn begin(&self, key: &Key, content: Option<Bytes>) {
        let mut ledger = self.0.lock();
        let possible = ledger
            .entry(key.as_str().to_owned())
            .or_insert_with(|| vec![None]);
        if !possible.contains(&content) {
            possible.push(content);
        }
    }

    /// From now on only this may be what lies at `key`.
    fn acknowledge(&self, key: &Key, content: Option<Bytes>) {
        self.0.lock().insert(key.as_str().to_owned(), vec![content]);
    }

    /// Keys at or below `directory`.
    fn below(&self, directory: &Key) -> Vec<Key> {
        let ledger = self.0.lock();
        let below = ledger
            .keys()
            .filter(|key| super::directories::is_at_or_below(key, directory.as_str()));
        below.map(|key| Key::new(key.clone()).unwrap()).collect()
    }
}

/// A client that records its writes in the ledger.
#[derive(Clone)]
struct Client {
    storage: Arc<FsStorage<SimulatedDisk>>,
    ledger: Arc<Ledger>,
    repository: RepoName,
}

impl Client {
    fn upload(&self, id: &str) -> UploadKey {
        UploadKey {
            repository: self.repository.clone(),
            id: id.parse().unwrap(),
        }
    }

    /// Pushes a blob, each chunk in a request of its own.
    async fn push_blob(&self, id: &str, chunks: &[Bytes]) -> Result<Digest> {
        let content = Bytes::from(chunks.concat());
        let digest = Digest::sha256_of(&content);
        let puts = [put(
            layout::layer_link(&self.repository, &digest),
            layout::link_content(&digest),
        )];
        let blob = layout::blob(&digest);
        let upload = self.upload(id);
        self.storage.create_upload(&upload).await?;
        for chunk in &chunks[..chunks.len() - 1] {
            let mut held = self.storage.open_upload(&upload).await?;
            held.write(chunk.clone()).await?;
            held.suspend().await?;
        }
        let mut held = self.storage.open_upload(&upload).await?;
        held.write(chunks[chunks.len() - 1].clone()).await?;
        let finished = held.finish(None).await?;
        assert_eq!(finished.digest(Algorithm::Sha256), Some(digest));
        self.ledger.begin(&blob, Some(content.clone()));
        self.ledger.begin(&puts[0].key, Some(puts[0].bytes.clone()));
        finished.publish(&blob, &puts).await?;
        self.ledger.acknowledge(&blob, Some(content));
        self.ledger.acknowledge(&puts[0].key, Some(puts[0].bytes.clone()));
        Ok(digest)
    }

    /// Pushes a manifest and tags it.
    async fn push_manifest(&self, tag: &str, content: &'static str) -> Result<Digest> {
        let puts = self.manifest(tag, content);
        puts.iter()
            .for_each(|put| self.ledger.begin(&put.key, Some(put.bytes.clone())));
        self.storage.publish(&puts).await?;
        puts.iter()
            .for_each(|put| self.ledger.acknowledge(&put.key, Some(put.bytes.clone())));
        Ok(Digest::sha256_of(content.as_bytes()))
    }

    fn manifest(&self, tag: &str, content: &'static str) -> [Put; 4] {
        let (name, tag) = (&self.repository, tag.parse::<Tag>().unwrap());
        let digest = Digest::sha256_of(content.as_bytes());
        let link = layout::link_content(&digest);
        [
            put(layout::blob(&digest), Bytes::from_static(content.as_bytes())),
            put(layout::revision_link(name, &digest), link.clone()),
            put(layout::tag_history_link(name, &tag, &digest), link.clone()),
            put(layout::tag_link(name, &tag), link),
        ]
    }

    async fn delete_tag(&self, tag: &str) -> Result<()> {
        let directory = layout::tag(&self.repository, tag);
        let keys = self.ledger.below(&directory);
        keys.iter().for_each(|key| self.ledger.begin(key, None));
        self.storage.remove_tree(&directory).await?;
        keys.iter().for_each(|key| self.ledger.acknowledge(key, None));
        Ok(())
    }

    async fn delete(&self, key: Key) -> Result<()> {
        self.ledger.begin(&key, None);
        self.storage
            .remove(&key, &layout::repository(&self.repository))
            .await?;
        self.ledger.acknowledge(&key, None);
        Ok(())
    }
}

fn put(key: Key, bytes: Bytes) -> Put {
    Put::new(key, bytes)
}

fn pattern(seed: u8, size: usize) -> Bytes {
    (0..size)
        .map(usize::to_le_bytes)
        .map(|index| index[0].wrapping_mul(31) ^ index[1] ^ index[2] ^ seed)
        .collect()
}

/// Runs `scenario` on a fresh disk until its power is cut after each of its effects, and checks
/// what is found afterwards.
fn survives_a_cut_anywhere<F>(scenario: impl Fn(Client) -> F)
where
    F: Future<Output = Result<()>>,
{
    survives_cuts(1, scenario);
}

/// The same after each `step`th effect, for scenarios that run differently each time.
fn survives_cuts<F>(step: usize, scenario: impl Fn(Client) -> F)
where
    F: Future<Output = Result<()>>,
{
    let runtime = Runtime::new().unwrap();
    let recovers = |disk: &SimulatedDisk| runtime.block_on(check_recovery(disk));
    if let Err(problem) = cut_everywhere(&runtime, &SimulatedDisk::default, &scenario, step, &recovers) {
        panic!("{problem}");
    }
}

/// The first way in which `scenario` breaks a promise, on disks made by `disk`.
fn cut_everywhere<F>(
    runtime: &Runtime,
    disk: &dyn Fn() -> SimulatedDisk,
    scenario: &impl Fn(Client) -> F,
    step: usize,
    recovers: &dyn Fn(&SimulatedDisk) -> Result<(), String>,
) -> Result<(), String>
where
    F: Future<Output = Result<()>>,
{
    for effects in (0..).step_by(step) {
        let disk = disk();
        disk.cut_after(effects);
        let (finished, ledger) = run(runtime, &disk, scenario);
        for survival in SURVIVALS {
            let found = disk.after_power_cut(survival);
            check_promises(&found, &ledger)
                .and_then(|()| recovers(&found))
                // The start of the store must not remove what was acknowledged either.
                .and_then(|()| check_objects(&found, &ledger))
                .map_err(|problem| {
                    format!(
                        "cut after effect {effects}, surviving {survival:?}: {problem}\n{}",
                        disk.log()
                    )
                })?;
        }
        match finished {
            Ok(()) => {
                assert!(effects > 20, "the scenario does something");
                return Ok(());
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Other, "{error}"),
        }
    }
    Ok(())
}

/// Runs `scenario` to its end, or until something fails.
fn run<F>(
    runtime: &Runtime,
    disk: &SimulatedDisk,
    scenario: &impl Fn(Client) -> F,
) -> (Result<()>, Arc<Ledger>)
where
    F: Future<Output = Result<()>>,
{
    let ledger = Arc::new(Ledger::default());
    let finished = runtime.block_on(async {
        let storage = Arc::new(FsStorage::on(disk.clone(), "simulated")?);
        let repository = "team/app".parse().unwrap();
        scenario(Client {
            storage,
            ledger: Arc::clone(&ledger),
            repository,
        })
        .await
    });
    (finished, ledger)
}

/// Everything acknowledged is there, and nothing that was not written.
fn check_promises(disk: &SimulatedDisk, ledger: &Ledger) -> Result<(), String> {
    check_objects(disk, ledger)?;
    let files = disk.files();
    for directory in disk
        .directories()
        .iter()
        .filter(|path| path.starts_with("docker/"))
    {
        if let Some((_, tag)) = directory
            .split_once("/_manifests/tags/")
            .filter(|(_, tag)| !tag.contains('/'))
        {
            let whole = files.contains_key(&format!("{directory}/current/link"));
            check(whole, || format!("the tag `{tag}` without its link"))?;
        }
    }
    Ok(())
}

/// The same of objects alone.
fn check_objects(disk: &SimulatedDisk, ledger: &Ledger) -> Result<(), String> {
    let files = disk.files();
    for (key, possible) in &*ledger.0.lock() {
        let found = files.get(key).map(|content| Bytes::from(content.clone()));
        let possible_texts = || {
            possible
                .iter()
                .map(|content| shown(content.as_ref()))
                .collect::<Vec<_>>()
                .join(" or ")
        };
        check(possible.contains(&found), || {
            format!(
                "`{key}` has {}, possible is {}",
                shown(found.as_ref()),
                possible_texts()
            )
        })?;
    }
    for (path, content) in &files {
        if let Some(below) = path.strip_prefix("docker/registry/v2/") {
            check_file(below, content, &files)?;
        } else {
            let ours = path == "wharf/lock"
                || path.starts_with("wharf/staging/")
                || ledger.0.lock().contains_key(path);
            check(ours, || format!("`{path}` was written by no request"))?;
        }
    }
    Ok(())
}

fn check(holds: bool, problem: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(problem()) }
}

fn shown(content: Option<&Bytes>) -> String {
    content.map_or("nothing".into(), |content| match content.len() {
        0..200 => format!("{content:?}"),
        long => format!("{long} bytes"),
    })
}

/// A file of the tree is what the layout says, whole, and what it names is there.
fn check_file(path: &str, content: &[u8], files: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
    let exists = |path: &str| files.contains_key(&format!("docker/registry/v2/{path}"));
    let blob = |hex: &str| format!("blobs/sha256/{}/{hex}/data", &hex[..2]);
    let link = || layout::parse_link(content).map_err(|error| format!("`{path}` is torn: {error}"));
    let parts: Vec<_> = path.split('/').collect();
    match parts[..] {
        ["blobs", "sha256", _, hex, "data"] => {
            check(Digest::sha256_of(content).hex().as_str() == hex, || {
                format!("`{path}` has other bytes")
            })
        }
        ["repositories", .., "_layers", "sha256", hex, "link"]
        | [
            "repositories",
            ..,
            "_manifests",
            "revisions",
            "sha256",
            hex,
            "link",
        ] => {
            check(link()?.hex().as_str() == hex, || {
                format!("`{path}` is another link")
            })?;
            check(exists(&blob(hex)), || format!("`{path}` dangles"))
        }
        [
            "repositories",
            ..,
            "_manifests",
            "tags",
            _,
            "index",
            "sha256",
            hex,
            "link",
        ] => check(link()?.hex().as_str() == hex, || {
            format!("`{path}` is another link")
        }),
        ["repositories", .., "_manifests", "tags", tag, "current", "link"] => {
            let manifests = path.split_once("/tags/").unwrap().0;
            let digest = link()?;
            let revision = format!("{manifests}/revisions/sha256/{}/link", digest.hex());
            check(exists(&revision), || format!("`{path}` dangles"))?;
            let history = format!("{manifests}/tags/{tag}/index/sha256/{}/link", digest.hex());
            check(exists(&history), || format!("`{path}` is not in its history"))
        }
        ["repositories", .., "_uploads", _, "data" | "startedat"] => Ok(()),
        _ => Err(format!("`{path}` is not of the layout")),
    }
}

/// Checks that the store opens, continues from what it finds, and cleans up.
async fn check_recovery(disk: &SimulatedDisk) -> Result<(), String> {
    let before = disk.files();
    let storage = FsStorage::on(disk.clone(), "simulated").unwrap();
    let files = disk.files();
    let staged = files
        .keys()
        .chain(&disk.directories())
        .any(|path| path.starts_with("wharf/staging/"));
    check(!staged, || "something is left in staging".into())?;
    for (path, content) in &files {
        let Some((repository, file)) = path.split_once("/_uploads/") else {
            continue;
        };
        let Some(id) = file.strip_suffix("/data") else {
            continue;
        };
        let repository = repository
            .strip_prefix("docker/registry/v2/repositories/")
            .unwrap()
            .parse()
            .unwrap();
        let upload = UploadKey {
            repository,
            id: id.parse().unwrap(),
        };
        // A file that may be a blob already is not written to again.
        let has_other_names = Disk::stat(disk, path).unwrap().has_other_names;
        let content = if has_other_names { &[] } else { &content[..] };
        let held = storage.open_upload(&upload).await.unwrap();
        check(held.size() == content.len() as u64, || {
            format!("the size of `{path}`")
        })?;
        let digest = held.finish(None).await.unwrap().digest(Algorithm::Sha256);
        check(digest == Some(Digest::sha256_of(content)), || {
            format!("the digest of `{path}`")
        })?;
    }
    let client = Client {
        storage: Arc::new(storage),
        ledger: Arc::default(),
        repository: "team/app".parse().unwrap(),
    };
    // Files beside the tree are kept.
    for (path, content) in before.iter().filter(|(path, _)| path.starts_with("wharf/")) {
        let key = Key::new(path.clone()).unwrap();
        if !files.contains_key(path) {
            // It went with its name in staging, not durably.
            client.ledger.begin(&key, Some(content.clone().into()));
        } else if path != "wharf/lock" {
            client.ledger.acknowledge(&key, Some(content.clone().into()));
        }
    }
    client
        .push_blob("afterwards", &[pattern(99, 1000)])
        .await
        .unwrap();
    client.push_manifest("afterwards", "afterwards").await.unwrap();
    crate::contract::purge(&*client.storage, SystemTime::now() + Duration::from_secs(60))
        .await
        .unwrap();
    let left = disk.directories().iter().any(|path| path.contains("/_uploads/"));
    check(!left, || "an upload is left after a purge".into())?;
    check_promises(&disk.after_power_cut(Survival::Nothing), &client.ledger)
}

#[test]
fn a_push_survives() {
    survives_a_cut_anywhere(async |client| {
        client.push_blob("small", &[pattern(1, 5000)]).await?;
        client.push_blob("large", &[pattern(2, 100_000)]).await?;
        client.push_manifest("latest", "manifest").await?;
        Ok(())
    });
}

#[test]
fn a_manifest_into_a_new_repository_survives() {
    survives_a_cut_anywhere(async |client| client.push_manifest("v1", "the first").await.map(|_| ()));
}

#[test]
fn chunks_survive() {
    survives_a_cut_anywhere(async |client| {
        let chunks = [
            pattern(1, 70_000),
            pattern(2, 10),
            pattern(3, 300_000),
            Bytes::new(),
        ];
        client.push_blob("chunked", &chunks).await?;
        // A second push of the same blob replaces the stored one.
        client.push_blob("again", &chunks).await?;
        Ok(())
    });
}

#[test]
fn a_moved_tag_survives() {
    survives_a_cut_anywhere(async |client| {
        client.push_manifest("latest", "old").await?;
        client.push_manifest("latest", "new").await?;
        client.push_manifest("v2", "new").await?;
        client.push_manifest("latest", "old").await?;
        Ok(())
    });
}

#[test]
fn deletions_survive() {
    survives_a_cut_anywhere(async |client| {
        let layer = client.push_blob("u", &[pattern(1, 100)]).await?;
        let manifest = client.push_manifest("latest", "manifest").await?;
        client.push_manifest("other", "manifest").await?;
        client.delete_tag("latest").await?;
        client.delete_tag("other").await?;
        client
            .delete(layout::revision_link(&client.repository, &manifest))
            .await?;
        client
            .delete(layout::layer_link(&client.repository, &layer))
            .await?;
        client.push_manifest("latest", "manifest").await?;
        Ok(())
    });
}

/// A repository that was removed is made anew by the next upload, and is not durable because the
/// old one was.
#[test]
fn a_removed_repository_that_comes_back_survives() {
    survives_a_cut_anywhere(async |client| {
        client.push_blob("a", &[pattern(1, 100)]).await?;
        client.push_blob("b", &[pattern(2, 100)]).await?;
        let directory = layout::repository(&client.repository);
        let keys = client.ledger.below(&directory);
        keys.iter().for_each(|key| client.ledger.begin(key, None));
        client.storage.remove_tree(&directory).await?;
        keys.iter().for_each(|key| client.ledger.acknowledge(key, None));
        client.push_blob("c", &[pattern(1, 100)]).await?;
        client.push_manifest("latest", "manifest").await.map(|_| ())
    });
}

/// The proofs are sharp, and the syncs few: when any single sync does nothing, a promise is broken.
#[test]
fn every_single_sync_is_needed() {
    let scenario = async |client: Client| {
        client.push_manifest("latest", "old").await?;
        client.push_blob("small", &[pattern(1, 5000)]).await?;
        client.push_blob("large", &[pattern(2, 100_000)]).await?;
        client.push_manifest("latest", "new").await?;
        let old = Digest::sha256_of(b"old");
        client
            .delete(layout::revision_link(&client.repository, &old))
            .await?;
        client.delete_tag("latest").await
    };
    assert_no_sync_is_superfluous(&scenario, &|_| Ok(()));
}

/// Whether a promise that `scenario` was given, or that `holds` looks for, is broken when any single sync does nothing.
fn assert_no_sync_is_superfluous<F>(
    scenario: &impl Fn(Client) -> F,
    holds: &dyn Fn(&SimulatedDisk) -> Result<(), String>,
) where
    F: Future<Output = Result<()>>,
{
    let runtime = Runtime::new().unwrap();
    let whole = SimulatedDisk::default();
    run(&runtime, &whole, scenario).0.unwrap();
    let Syncs { files, directories } = whole.take_syncs();
    let superfluous: Vec<_> = (0..files + directories)
        .filter(|number| {
            let disk = || {
                let disk = SimulatedDisk::default();
                disk.ignore_sync(*number);
                disk
            };
            let starts = |disk: &SimulatedDisk| {
                FsStorage::on(disk.clone(), "simulated").map_err(|error| error.to_string())?;
                holds(disk)
            };
            cut_everywhere(&runtime, &disk, scenario, 1, &starts).is_ok()
        })
        .collect();
    assert_eq!(superfluous, [0; 0], "of {} syncs", files + directories);
}

/// Several requests create, share and remove the same directories.
#[test]
fn concurrent_requests_survive() {
    survives_cuts(7, async |client| {
        let pushes = stream::iter(0..4_u8).map(|number| {
            let mut client = client.clone();
            tokio::spawn(async move {
                if number % 2 == 1 {
                    client.repository = "team/app/below".parse().unwrap();
                }
                let layer = client
                    .push_blob(&format!("u{number}"), &[pattern(number, 2000)])
                    .await?;
                let tag = format!("tag-{number}");
                let manifest = ["a", "b", "c", "d"][usize::from(number)];
                let digest = client.push_manifest(&tag, manifest).await?;
                client.delete_tag(&tag).await?;
                client
                    .delete(layout::revision_link(&client.repository, &digest))
                    .await?;
                client.push_manifest(&tag, manifest).await?;
                client
                    .delete(layout::layer_link(&client.repository, &layer))
                    .await
            })
        });
        let results: Vec<_> = pushes.buffer_unordered(4).map(Result::unwrap).collect().await;
        results.into_iter().collect()
    });
}

/// I5: whichever of two pushes of one tag wins, both are readable by digest and the tag is there.
#[test]
fn concurrent_pushes_of_one_tag_survive() {
    survives_cuts(3, async |client| {
        client.push_manifest("latest", "first").await?;
        let tag = layout::tag_link(&client.repository, "latest");
        let (one, two) = (client.manifest("latest", "one"), client.manifest("latest", "two"));
        for put in one.iter().chain(&two) {
            client.ledger.begin(&put.key, Some(put.bytes.clone()));
        }
        let results = tokio::join!(client.storage.publish(&one), client.storage.publish(&two));
        for (result, puts) in [(results.0, &one), (results.1, &two)] {
            result?;
            for put in puts.iter().filter(|put| put.key != tag) {
                client.ledger.acknowledge(&put.key, Some(put.bytes.clone()));
            }
        }
        let either = vec![Some(one[3].bytes.clone()), Some(two[3].bytes.clone())];
        client.ledger.0.lock().insert(tag.as_str().to_owned(), either);
        Ok(())
    });
}

/// A process was killed; what it left was never synced, and looks as if it had been there for ever.
#[test]
fn what_a_killed_process_left_unsynced_is_synced_when_it_is_used() {
    survives_a_cut_anywhere(async |client| {
        client.storage.create_upload(&client.upload("left")).await?;
        let mut left = client.storage.open_upload(&client.upload("left")).await?;
        left.write(pattern(9, 10)).await?;
        left.suspend().await?;
        let disk = client.storage.engine.disk.clone();
        let repository = layout::repository(&client.repository);
        for path in [
            "_manifests",
            "_manifests/tags",
            "_manifests/revisions",
            "_manifests/revisions/sha256",
        ] {
            Disk::create_directory(&disk, &format!("{repository}/{path}"))
                .map_err(|error| crate::Error::io("create", error))?;
        }
        client.push_manifest("latest", "manifest").await.map(|_| ())
    });
}

fn opened() -> (Runtime, SimulatedDisk, Client) {
    let disk = SimulatedDisk::default();
    let storage = FsStorage::on(disk.clone(), "simulated").unwrap();
    let client = Client {
        storage: Arc::new(storage),
        ledger: Arc::default(),
        repository: "team/app".parse().unwrap(),
    };
    (Runtime::new().unwrap(), disk, client)
}

/// The table of syncs in the documentation of the engine is right.
#[test]
fn syncs_are_as_few_as_documented() {
    let (runtime, disk, client) = opened();
    let mut other = client.clone();
    other.repository = "team/other".parse().unwrap();
    let counted = runtime.block_on(async {
        // A store that is not new has a directory for each pair of first digits.
        for pair in 0..=255 {
            let key = Key::new(format!("docker/registry/v2/blobs/sha256/{pair:02x}/known")).unwrap();
            client
                .storage
                .publish(&[put(key.clone(), Bytes::new())])
                .await
                .unwrap();
            client.storage.publish(&[put(key, Bytes::new())]).await.unwrap();
        }
        disk.take_syncs();
        let mut counted = Vec::new();
        let mut count = |what| counted.push((what, disk.take_syncs()));
        client.push_blob("a", &[pattern(1, 100)]).await.unwrap();
        count("blob and link, new repository");
        client.push_blob("b", &[pattern(2, 100)]).await.unwrap();
        count("blob and link");
        client.push_blob("c", &[pattern(3, 100_000)]).await.unwrap();
        count("blob and link, large");
        client.push_manifest("a", "a").await.unwrap();
        count("manifest and tag, first of the repository");
        client.push_manifest("b", "b").await.unwrap();
        count("manifest and tag, new tag");
        client.push_manifest("b", "c").await.unwrap();
        count("manifest and tag, tag that exists");
        client.delete_tag("a").await.unwrap();
        count("tag removed");
        counted
    });
    let found: Vec<_> = counted
        .iter()
        .map(|(what, syncs)| (*what, syncs.files, syncs.directories))
        .collect();
    assert_eq!(
        found,
        [
            ("blob and link, new repository", 2, 9),
            ("blob and link", 2, 4),
            ("blob and link, large", 2, 4),
            ("manifest and tag, first of the repository", 4, 14),
            ("manifest and tag, new tag", 4, 11),
            ("manifest and tag, tag that exists", 4, 7),
            ("tag removed", 0, 1),
        ]
    );
}
