//! `wharf doctor` on a bucket: whether it answers, its clock, and the servers that write to it.

use serde_json::Value;
use wharf_testkit::{
    bucket::{BucketStore, VERSITYGW},
    suite::{Part, Suite},
    tool::Bench,
};

use crate::replica::on_bucket;

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test(
        "doctor_looks_at_the_bucket_and_its_servers",
        &[Part::Program(VERSITYGW)],
        looks_at_the_bucket,
    );
}

/// The state and the text of each check.
fn doctor(store: &BucketStore) -> (Option<i32>, Vec<[String; 3]>) {
    let bench = Bench::new()
        .environment("REGISTRY_CONFIGURATION_PATH", "/dev/null")
        .environment("REGISTRY_HTTP_ADDR", "127.0.0.1:0")
        .environment("REGISTRY_STORAGE", "s3")
        .environment("REGISTRY_STORAGE_S3_REGIONENDPOINT", store.endpoint())
        .environment("REGISTRY_STORAGE_S3_BUCKET", BucketStore::BUCKET)
        .environment("REGISTRY_STORAGE_S3_ACCESSKEY", BucketStore::ACCESS_KEY)
        .environment("REGISTRY_STORAGE_S3_SECRETKEY", BucketStore::SECRET_KEY);
    let ran = bench.try_run(env!("CARGO_BIN_EXE_wharf"), &["doctor", "--json"]);
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let checks = report["checks"].as_array().expect("checks").iter();
    let text = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    let of = |check: &Value| ["check", "state", "text"].map(|key| text(check, key));
    (ran.code, checks.map(of).collect())
}

#[track_caller]
fn has(report: &[[String; 3]], check: &str, state: &str, part: &str) {
    let is_there = report
        .iter()
        .any(|line| line[0] == check && line[1] == state && line[2].contains(part));
    assert!(is_there, "{check}: {state}: {part}: {report:#?}");
}

fn looks_at_the_bucket() {
    let store = BucketStore::start();
    let (code, report) = doctor(&store);
    assert_eq!(code, Some(0), "{report:#?}");
    has(&report, "bucket", "ok", "answers");
    has(&report, "clock", "ok", "it differs from that of the store by 0 s");
    has(&report, "servers", "ok", "none writes to the bucket");

    let server = on_bucket(&store.endpoint()).start();
    let (_, report) = doctor(&store);
    has(&report, "servers", "ok", &server.address().to_string());

    // What a server writes meanwhile would make the bucket again.
    drop(server);
    store.hide(true);
    let (code, report) = doctor(&store);
    assert_eq!(code, Some(1), "{report:#?}");
    has(&report, "bucket", "problem", BucketStore::BUCKET);
    store.hide(false);
}
