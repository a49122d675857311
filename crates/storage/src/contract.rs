//! What every engine must do: the suite that runs against each [`Storage`].
//!
//! Each case is a small public function that takes a store and panics when the store breaks a
//! promise of the trait. A case touches only keys and uploads of its own, so that all of them can
//! share one store; only [`purge_spares_held_and_recent_uploads`] needs that no other case has idle
//! uploads that it still wants.
//!
//! An engine's test module says
//!
//! ```text
//! wharf_storage::contract_tests!(async || {
//!     let directory = tempfile::tempdir().unwrap();
//!     let storage: Arc<dyn Storage> = Arc::new(FsStorage::open(directory.path()).await.unwrap());
//!     (storage, directory)
//! });
//! ```
//!
//! and gets one test for each case, with a fresh store each. What stands beside the store in the
//! tuple is kept until the case is over.
//!
//! What only a cut of power or several processes can show is not tested here.

mod conditions;
mod listing;
mod moving;
mod names;
mod objects;
mod provisional;
mod races;
mod scans;
mod uploads;

pub use conditions::*;
pub use listing::*;
pub use moving::*;
pub use names::*;
pub use objects::*;
pub use provisional::*;
pub use races::*;
pub use scans::*;
pub use uploads::*;

use std::{
    collections::BTreeSet,
    future::Future,
    ops::Range,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::{StreamExt, future::BoxFuture};
use wharf_oci::{RepoName, UploadId};

use crate::{Blob, Error, ErrorKind, Key, Put, Result, Storage, Upload, layout::UploadKey};

/// A promise of the trait.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Name of the function that checks it
    pub name: &'static str,
    /// Whether only stores keep it that honour the conditions of puts
    pub needs_conditions: bool,
    /// Checks it, and panics when the store breaks it
    pub check: fn(Arc<dyn Storage>) -> BoxFuture<'static, ()>,
}

/// The one list of cases: [`CASES`], [`all`], [`unconditional`] and [`contract_tests`](crate::contract_tests) are made of it.
macro_rules! cases {
    ($dollar:tt always { $($name:ident)* } if conditions are honoured { $($conditional:ident)* }) => {
        /// Every case.
        pub const CASES: &[Case] = &[
            $(cases! { case $name, false },)*
            $(cases! { case $conditional, true },)*
        ];

        cases! { $dollar tests { $($name)* $($conditional)* } }
    };
    (case $name:ident, $needs_conditions:literal) => {
        Case {
            name: stringify!($name),
            needs_conditions: $needs_conditions,
            check: |storage| Box::pin(async move { $name(&storage).await }),
        }
    };
    ($dollar:tt tests { $($name:ident)* }) => {
        /// One test for each case of [`contract`](crate::contract), each on a fresh store: the argument is a closure
        /// that returns a future of a tuple of `Arc<dyn Storage>` and whatever must outlive it.
        #[macro_export]
        macro_rules! contract_tests {
            ($dollar make:expr) => {
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $name() {
                        let (storage, _guard) = ($dollar make)().await;
                        $dollar crate::contract::$name(&storage).await;
                    }
                )*
            };
        }
    };
}

/// Runs every case, one after another, on one store.
pub async fn all(storage: &Arc<dyn Storage>) {
    for case in CASES {
        (case.check)(Arc::clone(storage)).await;
    }
}

/// Runs every case that a store passes which does not honour the conditions of puts.
pub async fn unconditional(storage: &Arc<dyn Storage>) {
    for case in CASES.iter().filter(|case| !case.needs_conditions) {
        (case.check)(Arc::clone(storage)).await;
    }
}

cases! {$ always {
    // objects
    publish_then_read
    publish_at_a_time
    publish_replaces
    publish_nothing_and_empty_objects
    publish_one_key_twice_in_a_call
    publish_is_ordered
    publish_all_keeps_the_order_of_steps
    read_limits
    read_unless_it_is_of_that_version
    missing_is_not_found
    directory_is_not_an_object
    stat_below_tells_what_stat_tells
    nothing_is_below_an_object
    equal_versions_mean_equal_content
    stream_ranges
    parts_of_an_open_object
    opened_survives_replacement
    opened_survives_removal
    remove_takes_empty_directories_along
    remove_spares_neighbours
    remove_all_is_many_removes
    remove_tree_takes_everything_below
    remove_trees_takes_what_has_not_changed
    // moving
    rename_moves_an_object
    rename_of_nothing
    rename_is_never_missed
    // listing
    list_is_sorted_by_bytes
    list_pages
    list_tells_directories_from_objects
    list_of_nothing_is_empty
    list_repository_that_is_a_parent
    list_deep_keys
    list_versions_tell_name_sets_apart
    list_never_misses_a_name_that_stays
    // scans
    scan_is_sorted_by_keys
    scan_pages
    scan_starts_after
    scan_tells_sizes_and_times
    scan_of_nothing_is_empty
    scan_never_misses_an_object_that_stays
    // names
    names_with_pages
    names_with_start_after_any_text
    names_with_another_object_besides
    names_with_are_those_of_the_moment
    names_in_random_trees
    repositories_page
    // uploads
    upload_in_one_request
    upload_of_nothing
    upload_large
    upload_is_followed
    upload_in_many_requests
    upload_many_small_writes
    upload_digests
    upload_create_may_be_repeated
    upload_belongs_to_one_repository
    upload_is_held_exclusively
    upload_dropped_keeps_what_was_written
    upload_dropped_in_mid_write_keeps_a_prefix
    finished_dropped_keeps_the_upload
    finished_publish_leaves_only_what_was_asked
    finished_publish_heals_damage
    discard_leaves_nothing
    uploads_are_listed
    remove_upload_looks_again
    purge_spares_held_and_recent_uploads
    // provisional
    provisional_bytes_are_taken_back
    provisional_bytes_of_an_abandoned_write_are_taken_back
    provisional_bytes_count_once_published
    // races
    concurrent_publishes_of_one_key
    concurrent_uploads_of_one_digest
    concurrent_uploads_of_different_digests
    concurrent_openers_take_turns
    concurrent_links_never_precede_their_blob
    concurrent_removal_of_neighbours
    concurrent_removal_of_a_tree
    concurrent_replacement_while_streaming
} if conditions are honoured {
    condition_absent
    condition_matches
    condition_takes_any_version
    condition_stops_what_waits_for_it
    condition_ends_a_call
    condition_absent_has_one_winner
    condition_counts_without_loss
    condition_until
}}

/// Removes the uploads that are not held and were last touched before `untouched_since`, as a registry does, and
/// returns how many there were.
///
/// # Errors
///
/// Errors of the store.
pub async fn purge(storage: &dyn Storage, untouched_since: SystemTime) -> Result<u64> {
    let mut purged = 0;
    let mut uploads = storage.list_uploads().await?;
    while let Some(upload) = uploads.next().await.transpose()? {
        match storage.remove_upload(&upload, untouched_since).await {
            Ok(()) => purged += u64::from(!upload.is_remnant()),
            Err(error) if matches!(error.kind(), ErrorKind::Busy | ErrorKind::Precondition) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(purged)
}

/// A key from parts that a case has written down itself.
fn key(path: impl Into<String>) -> Key {
    Key::new(path).expect("a key of the contract suite is valid")
}

fn put(key: &Key, bytes: impl Into<Bytes>) -> Put {
    Put::new(key.clone(), bytes)
}

fn upload_key(repository: &str, id: &str) -> UploadKey {
    let repository: RepoName = repository
        .parse()
        .expect("a repository name of the contract suite is valid");
    let id: UploadId = id.parse().expect("an upload id of the contract suite is valid");
    UploadKey { repository, id }
}

async fn publish(storage: &Arc<dyn Storage>, key: &Key, bytes: impl Into<Bytes>) {
    storage
        .publish(&[put(key, bytes)])
        .await
        .unwrap_or_else(|error| panic!("publish `{key}`: {error}"));
}

async fn read(storage: &Arc<dyn Storage>, key: &Key) -> Bytes {
    let object = storage
        .read(key, u64::MAX)
        .await
        .unwrap_or_else(|error| panic!("read of `{key}`: {error}"));
    assert_eq!(
        object.stat.size,
        object.bytes.len() as u64,
        "size of what was read from `{key}`"
    );
    object.bytes
}

async fn exists(storage: &Arc<dyn Storage>, key: &Key) -> bool {
    match storage.stat(key).await {
        Ok(_) => true,
        Err(error) if error.is_not_found() => false,
        Err(error) => panic!("stat of `{key}`: {error}"),
    }
}

/// All names of a directory, in one page.
async fn names(storage: &Arc<dyn Storage>, dir: &Key) -> Vec<String> {
    let page = storage.list(dir, None, 100_000).await.expect("list");
    assert!(!page.more, "a page of 100,000 holds all names of `{dir}`");
    page.entries.iter().map(|entry| entry.name.to_string()).collect()
}

/// Every object of the store, by walking it.
async fn all_objects(storage: &Arc<dyn Storage>) -> BTreeSet<Key> {
    let mut found = BTreeSet::new();
    let mut directories: Vec<Key> = ["docker", "wharf", "contract"].map(key).to_vec();
    while let Some(directory) = directories.pop() {
        for entry in storage
            .list(&directory, None, 100_000)
            .await
            .expect("list")
            .entries
        {
            let below = directory
                .join(&entry.name)
                .expect("a listed name is a component of a key");
            if entry.is_dir {
                directories.push(below.clone());
            }
            if exists(storage, &below).await {
                found.insert(below);
            }
        }
    }
    found
}

async fn collect(blob: Box<dyn Blob>, range: Range<u64>) -> Result<Bytes> {
    let mut stream = blob.stream(range);
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        assert!(
            piece.len() <= 256 * 1024,
            "a piece of {} bytes is larger than 256 KiB",
            piece.len()
        );
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.into())
}

/// Takes hold of an upload whose last holder has been dropped: letting go may take a moment.
async fn open_when_free(storage: &Arc<dyn Storage>, upload: &UploadKey) -> Box<dyn Upload> {
    eventually(async || match storage.open_upload(upload).await {
        Err(error) if error.kind() == ErrorKind::Busy => None,
        other => Some(other.expect("open a dropped upload")),
    })
    .await
}

/// What `attempt` returns at last. Panics only when a minute was not enough, so that a deadlock
/// becomes a failure.
async fn eventually<T, F: Future<Output = Option<T>>>(attempt: impl Fn() -> F) -> T {
    for _ in 0..6_000 {
        if let Some(value) = attempt().await {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not happen within a minute");
}

/// `size` bytes that differ from those of any other seed, and at any two near offsets.
fn pattern(seed: u64, size: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes.into()
}

#[track_caller]
fn assert_kind<T>(result: Result<T>, expected: ErrorKind, what: &str) -> Error {
    match result {
        Ok(_) => panic!("{what}: `{expected}` expected, but it succeeded"),
        Err(error) => {
            assert_eq!(error.kind(), expected, "{what}: {error}");
            error
        }
    }
}
