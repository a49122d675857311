//! The start of a server over a bucket: what is wrong is said in one sentence, and what the store honours in the log.

use wharf_testkit::{
    ClosedPort, Receiver, ServerBuilder,
    bucket::{BucketStore, VERSITYGW},
    suite::{Part, Suite},
    tls::Wanted,
};

use crate::{complaints, refuses_to_start, stories};

pub(crate) fn add_to(suite: &mut Suite) {
    stories!(
        suite,
        &[Part::Program(VERSITYGW)],
        [
            what_is_wrong_with_a_bucket_is_said_at_the_start,
            a_probe_says_what_a_bucket_is_good_for,
        ]
    );
    stories!(suite, &[], [a_start_without_credentials_says_so]);
}

/// A configuration with these lines instead of those of `store` that begin alike.
fn over(builder: ServerBuilder, store: &BucketStore, instead: &[&str]) -> ServerBuilder {
    let key = |line: &str| line.split_once(": ").map(|(key, _)| key.trim().to_owned());
    let mut builder = builder.environment("REGISTRY_STORAGE", "s3").unchecked();
    for line in store.configuration("some/where") {
        let other = instead
            .iter()
            .find(|other| key(other).is_some() && key(other) == key(&line));
        builder = builder.storage(other.map_or(line, |other| format!("  {other}")));
    }
    builder
}

async fn what_is_wrong_with_a_bucket_is_said_at_the_start(builder: ServerBuilder) {
    let store = BucketStore::start();
    let closed = ClosedPort::new();
    let encrypted = Receiver::over_tls(&Wanted::localhost().self_signed());
    let https = store.endpoint().replace("http://", "regionendpoint: https://");
    let closed = closed.url().replace("/events", "");
    let encrypted = format!("regionendpoint: http://{}", encrypted.authority());
    let mut next = builder;
    for (line, expected) in [
        ("accesskey: wrong", "check `accesskey`"),
        ("secretkey: wrong", "check `secretkey`"),
        (
            "bucket: other",
            "`storage.s3.bucket` \"other\" does not exist at ",
        ),
        ("region: eu-west-1", "set `storage.s3.region"),
        (&https, "does not speak TLS; write `http://`"),
        (&encrypted, "check the scheme"),
        (&format!("regionendpoint: {closed}"), "cannot be reached"),
    ] {
        let (builder, after) = (next.another(), next.another());
        next = after;
        refuses_to_start(&over(builder, &store, &[line]), expected);
    }
}

async fn a_probe_says_what_a_bucket_is_good_for(builder: ServerBuilder) {
    let store = BucketStore::start();
    let builder =
        over(builder, &store, &[]).http("debug: {addr: '127.0.0.1:0', prometheus: {enabled: true}}");
    let mut server = builder.start();
    server
        .says("the bucket was probed: any number of replicas; conflicts are told at once")
        .await;
    assert!(
        store
            .path_of("some/where/wharf/replicas")
            .read_dir()
            .unwrap()
            .count()
            == 1
    );
    server.stop();
    assert_eq!(complaints(&server.log()), [""; 0]);
    let left = |directory: &str| store.path_of(&format!("some/where/wharf/{directory}")).exists();
    assert!(!left("replicas") && !left("probe"));
}

async fn a_start_without_credentials_says_so(builder: ServerBuilder) {
    let builder = builder
        .environment("REGISTRY_STORAGE", "s3")
        .environment("AWS_EC2_METADATA_DISABLED", "true")
        .storage("s3: {bucket: b, region: us-east-1}")
        .unchecked();
    let nowhere = builder.directory().display().to_string();
    let builder = builder.environment("HOME", &nowhere);
    refuses_to_start(
        &builder,
        "there are no credentials: neither variables, nor a shared file",
    );
}
