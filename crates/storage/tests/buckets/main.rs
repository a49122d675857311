//! The contract over a bucket of versitygw, through the client of S3; or over the bucket of another store, at the address in
//! `$WHARF_TEST_S3`.
#![expect(clippy::print_stdout, reason = "says what the store honours")]
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
    bucket::{self, BucketStore, Site},
    suite::{Part, Suite},
};

/// What versitygw does not keep, with the reason.
const NOT_ON_VERSITYGW: &[(&str, &str)] = &[(
    "equal_versions_mean_equal_content",
    "a read during a write may get the old content with the entity tag of the new one",
)];

fn main() {
    let mut suite = Suite::default();
    let shared = Arc::new(Mutex::new(None));
    let is_given = bucket::is_given();
    let refuses = is_given.then(refuses_what_does_not_hold).unwrap_or(true);
    for case in contract::CASES {
        if !is_given && NOT_ON_VERSITYGW.iter().any(|(name, _)| *name == case.name) {
            continue;
        }
        let store = match case.needs_conditions && !refuses {
            true => Part::NotOnStore("ignores the conditions of puts"),
            false => Part::Bucket,
        };
        let shared = Arc::clone(&shared);
        suite.test(&format!("contract::{}", case.name), &[store], move || {
            let site = site(&shared);
            let storage = ObjectStorage::new(
                Arc::new(client(&site)),
                Path::from(site.key(&format!("some/where/{}", case.name))),
            );
            run((case.check)(Arc::new(storage)));
        });
    }
    faults::add_to(&mut suite);
    for (name, needs, has_all) in [
        ("probe::finds_nothing_that_breaks_replicas", Part::Bucket, false),
        ("probe::finds_all_abilities_of_versitygw", Part::OwnBucket, true),
    ] {
        let shared = Arc::clone(&shared);
        suite.test(name, &[needs], move || run(probe(&site(&shared), has_all)));
    }
    let conclusion = suite.run();
    drop(shared);
    conclusion.exit();
}

/// Where the store is that tests share, which the first of them starts.
fn site(shared: &Mutex<Option<BucketStore>>) -> Site {
    let mut store = shared.lock().expect("the store starts");
    store.get_or_insert_with(BucketStore::of_this_run).site().clone()
}

/// Whether the store of this run refuses a put whose condition does not hold.
fn refuses_what_does_not_hold() -> bool {
    let store = BucketStore::of_this_run();
    let bucket = client(store.site()).with_prefix(&Path::from(store.site().key("asked")));
    let report = run(async { bucket.probe().await.expect("the store of this run answers") });
    println!("the store of this run: {report:#?}");
    report.abilities.creates && report.abilities.cas != Cas::None
}

/// What replicas rest on is kept, and nothing is left; `has_all`: and the store has everything else.
async fn probe(site: &Site, has_all: bool) {
    let root = Path::from(site.key(&format!("some/probed/{has_all}")));
    let bucket = client(site).with_prefix(&root);
    bucket.check().await.expect("right settings");
    let report = bucket.probe().await.expect("the store answers");
    assert_eq!((&report.missing[..], &report.breaks[..]), (&[][..], &[][..]));
    assert_ne!(report.mode(), Mode::Alone);
    if has_all {
        let missing: Vec<_> = report
            .abilities
            .table()
            .into_iter()
            .filter(|(_, has)| !has)
            .collect();
        assert_eq!(missing, [], "{report:?}");
        assert_eq!(report.abilities.cas, Cas::Quoted);
        assert_eq!((report.mode(), &report.findings[..]), (Mode::Replicas, &[][..]));
    }
    let left = bucket.scan(&root, None, 10).await.expect("a list");
    assert_eq!(left, []);
}

fn run<T>(test: impl Future<Output = T>) -> T {
    Runtime::new().expect("a runtime").block_on(test)
}

fn client(site: &Site) -> S3 {
    S3::new(&settings(site), &credentials(site)).expect("settings that can be used")
}

fn settings(site: &Site) -> S3Settings {
    S3Settings {
        bucket: site.bucket.clone(),
        region: Some(site.region.clone()),
        endpoint: Some(site.endpoint.clone()),
        path_style: true,
        ..S3Settings::default()
    }
}

fn credentials(site: &Site) -> Credentials {
    Credentials::Fixed(AccessKey {
        id: site.access_key.clone(),
        secret: site.secret_key.clone(),
        token: None,
    })
}
