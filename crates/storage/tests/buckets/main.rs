//! The contract over a bucket of versitygw, through the client of S3; or over the bucket of another store, at the address in
//! `$WHARF_TEST_S3`, which has the bucket and the keys of the testkit's [`BucketStore`].
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod faults;

use std::sync::{Arc, Mutex};

use object_store::path::Path;
use tokio::runtime::Runtime;
use wharf_storage::{
    contract,
    object::{
        Cas, ObjectStorage, Store as _,
        s3::{AccessKey, Credentials, Mode, S3, S3Settings},
    },
};
use wharf_testkit::{
    bucket::{BucketStore, VERSITYGW},
    suite::{Part, Suite},
};

/// What the store does not keep, each with the reason.
const NOT_ON_VERSITYGW: &[(&str, &str)] = &[(
    "equal_versions_mean_equal_content",
    "a read during a write may get the old content with the entity tag of the new one",
)];

fn main() {
    let mut suite = Suite::default();
    let store = Arc::new(Mutex::new(None));
    for case in contract::CASES {
        if NOT_ON_VERSITYGW.iter().any(|(name, _)| *name == case.name) {
            continue;
        }
        let store = Arc::clone(&store);
        let name = format!("contract::{}", case.name);
        suite.test(&name, &[Part::Program(VERSITYGW)], move || {
            let endpoint = std::env::var("WHARF_TEST_S3").unwrap_or_else(|_| {
                let mut store = store.lock().expect("the store starts");
                store.get_or_insert_with(BucketStore::start).endpoint()
            });
            let storage = storage_in(endpoint, case.name);
            Runtime::new()
                .expect("a runtime")
                .block_on((case.check)(Arc::new(storage)));
        });
    }
    faults::add_to(&mut suite);
    let probed = Arc::clone(&store);
    suite.test(
        "versitygw::a_probe_finds_all_abilities",
        &[Part::Program(VERSITYGW)],
        move || {
            let mut probed = probed.lock().expect("the store starts");
            let store = probed.get_or_insert_with(BucketStore::start);
            Runtime::new().expect("a runtime").block_on(probe(store));
        },
    );
    let conclusion = suite.run();
    drop(store);
    conclusion.exit();
}

/// Copies, conditions, parts, lists and signed URLs, and nothing is left.
async fn probe(store: &BucketStore) {
    let bucket = client(store.endpoint()).with_prefix(&Path::from("some/probed"));
    bucket.check().await.expect("right settings");
    let report = bucket.probe().await.expect("the store answers");
    let missing: Vec<_> = report
        .abilities
        .table()
        .into_iter()
        .filter(|(_, has)| !has)
        .collect();
    assert_eq!(missing, [], "{report:?}");
    assert_eq!(report.abilities.cas, Cas::Quoted);
    assert_eq!(
        (report.mode(), &report.missing[..], &report.findings[..]),
        (Mode::Replicas, &[][..], &[][..])
    );
    let left = bucket
        .scan(&Path::from("some/probed"), None, 10)
        .await
        .expect("a list");
    assert_eq!(left, []);
}

/// What lies in a directory of its own of the store's one bucket.
fn storage_in(endpoint: String, directory: &str) -> ObjectStorage {
    let bucket = client(endpoint);
    ObjectStorage::new(Arc::new(bucket), Path::from(format!("some/where/{directory}")))
}

fn client(endpoint: String) -> S3 {
    S3::new(&settings(endpoint), &credentials()).expect("settings that can be used")
}

fn settings(endpoint: String) -> S3Settings {
    S3Settings {
        bucket: BucketStore::BUCKET.to_owned(),
        region: Some(BucketStore::REGION.to_owned()),
        endpoint: Some(endpoint),
        path_style: true,
        ..S3Settings::default()
    }
}

fn credentials() -> Credentials {
    Credentials::Fixed(AccessKey {
        id: BucketStore::ACCESS_KEY.to_owned(),
        secret: BucketStore::SECRET_KEY.to_owned(),
        token: None,
    })
}
