//! A probe recognises each engine, names what a policy does not allow, and leaves nothing behind.

mod engine;

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use jiff::SignedDuration;
use object_store::{ObjectStore as _, PutMode, UpdateVersion, path::Path};
use tokio::{net::TcpListener, time::timeout};

use self::engine::{Engine, Running, Treated};
use super::{
    super::{
        super::store::{Abilities, Cas, Store as _},
        AccessKey, Credentials, S3, S3Settings,
    },
    Break, Mode, Operation, Report, Severity,
};

fn bucket(address: impl std::fmt::Display) -> S3 {
    let settings = S3Settings {
        bucket: "b".to_owned(),
        region: Some("us-east-1".to_owned()),
        endpoint: Some(format!("http://{address}")),
        path_style: true,
        ..S3Settings::default()
    };
    let key = AccessKey {
        id: "i".to_owned(),
        secret: "s".to_owned(),
        token: None,
    };
    let bucket = S3::new(&settings, &Credentials::Fixed(key)).unwrap();
    bucket.with_prefix(&Path::from("some/where"))
}

async fn probed(engine: Engine) -> (Report, Running) {
    let name = engine.name;
    let running = Running::start(engine).await;
    let probed = bucket(running.address).probe().await;
    (probed.unwrap_or_else(|error| panic!("{name}: {error}")), running)
}

/// The texts of all findings.
fn texts(report: &Report) -> String {
    let texts: Vec<&str> = report
        .findings
        .iter()
        .map(|finding| finding.text.as_str())
        .collect();
    texts.join("\n")
}

const ALL: Abilities = Abilities {
    creates: true,
    cas: Cas::Quoted,
    delete_if_match: true,
    e_tag_is_md5: true,
    checks_parts: true,
    refuses_expired: true,
    is_consistent: true,
    sorts_lists: true,
    copies_parts: true,
    lists_multiparts: true,
    signs: true,
    skew: None,
};

/// Engines as they were measured, what they are known for, and how a registry works on them.
fn engines() -> Vec<(Engine, Abilities, Mode, &'static [Break], &'static str)> {
    let aws = Engine::default;
    let no_conditions = Abilities {
        creates: false,
        cas: Cas::None,
        delete_if_match: false,
        ..ALL
    };
    let no_delete_if_match = Abilities {
        delete_if_match: false,
        ..ALL
    };
    vec![
        (aws(), ALL, Mode::Replicas, &[], ""),
        (
            Engine {
                name: "AWS before 2024-11",
                replace: Treated::Unknown,
                delete_if_match: false,
                ..aws()
            },
            Abilities {
                cas: Cas::None,
                ..no_delete_if_match
            },
            Mode::LateConflicts,
            &[],
            "ignores If-Match (probed). Uploads stay safe",
        ),
        (
            Engine {
                name: "MinIO",
                delete_if_match: false,
                lists_directories: false,
                ..aws()
            },
            Abilities {
                lists_multiparts: false,
                ..no_delete_if_match
            },
            Mode::Replicas,
            &[],
            "AbortIncompleteMultipartUpload",
        ),
        (
            Engine {
                name: "Ceph 16",
                knows_quoted_tags: false,
                delete_if_match: false,
                ..aws()
            },
            Abilities {
                cas: Cas::Unquoted,
                ..no_delete_if_match
            },
            Mode::Replicas,
            &[],
            "refuses quoted ETags in If-Match (Ceph before #63348); sending unquoted ones",
        ),
        (
            Engine {
                name: "Garage",
                create: Treated::Ignored,
                replace: Treated::Ignored,
                delete_if_match: false,
                smallest_source: 3072,
                ..aws()
            },
            no_conditions,
            Mode::LateConflicts,
            &[],
            "ignores If-None-Match and If-Match (probed). Uploads stay safe; two clients on one upload are noticed late; the \
             collector's lease takes a minute",
        ),
        (
            Engine {
                name: "B2",
                create: Treated::Unknown,
                replace: Treated::Unknown,
                delete_if_match: false,
                copies_parts: false,
                ..aws()
            },
            Abilities {
                copies_parts: false,
                ..no_conditions
            },
            Mode::LateConflicts,
            &[],
            "does not copy into parts",
        ),
        (
            Engine {
                name: "s3s-fs",
                create: Treated::Racily,
                replace: Treated::Racily,
                delete_if_match: false,
                checks_parts: false,
                ..aws()
            },
            Abilities {
                checks_parts: false,
                ..no_conditions
            },
            Mode::Alone,
            &[Break::WrongPart],
            "",
        ),
        (
            Engine {
                name: "moto",
                refuses_expired: false,
                ..aws()
            },
            Abilities {
                refuses_expired: false,
                ..ALL
            },
            Mode::Alone,
            &[Break::ExpiredUrl],
            "",
        ),
        (
            Engine {
                name: "s3mock",
                create: Treated::Racily,
                replace: Treated::Racily,
                refuses_expired: false,
                ..aws()
            },
            Abilities {
                refuses_expired: false,
                delete_if_match: true,
                ..no_conditions
            },
            Mode::Alone,
            &[Break::ExpiredUrl],
            "",
        ),
        (
            Engine {
                name: "a store that replaces racily",
                replace: Treated::Racily,
                ..aws()
            },
            Abilities {
                delete_if_match: true,
                ..no_conditions
            },
            Mode::LateConflicts,
            &[],
            "ignores If-None-Match and If-Match",
        ),
        (
            Engine {
                name: "a store with a cache before it",
                has_stale_reads: true,
                e_tag_is_md5: false,
                ..aws()
            },
            Abilities {
                is_consistent: false,
                e_tag_is_md5: false,
                ..ALL
            },
            Mode::Alone,
            &[Break::Stale],
            "",
        ),
        (
            Engine {
                name: "a store with late lists",
                has_stale_lists: true,
                ..aws()
            },
            Abilities {
                is_consistent: false,
                ..ALL
            },
            Mode::Alone,
            &[Break::Stale],
            "",
        ),
        (
            Engine {
                name: "a store with lists in another order",
                sorts_lists: false,
                takes_signed_urls: false,
                ..aws()
            },
            Abilities {
                sorts_lists: false,
                signs: false,
                ..ALL
            },
            Mode::Alone,
            &[Break::Unsorted],
            "clients are not redirected",
        ),
    ]
}

#[tokio::test]
async fn each_engine_is_recognised_and_left_as_it_was() {
    let engines = engines();
    let probes = engines.iter().map(|(engine, ..)| probed(engine.clone()));
    for ((report, running), (engine, abilities, mode, breaks, text)) in
        join_all(probes).await.iter().zip(&engines)
    {
        let name = engine.name;
        let found = Abilities {
            skew: None,
            ..report.abilities
        };
        assert_eq!(found, *abilities, "{name}");
        assert_eq!((report.mode(), &report.breaks[..]), (*mode, *breaks), "{name}");
        assert!(texts(report).contains(text), "{name}: {}", texts(report));
        assert_eq!(report.missing, [], "{name}");
        assert!(
            report
                .abilities
                .skew
                .is_some_and(|skew| skew.abs() <= SignedDuration::from_secs(2)),
            "{name}"
        );
        assert_eq!(running.keys(), [""; 0], "{name}");
    }
}

#[tokio::test]
async fn each_right_that_is_missing_is_named_with_the_statement_that_gives_it() {
    let probes = Operation::ALL.map(|operation| {
        probed(Engine {
            name: operation.name(),
            denied: Some(operation.name()),
            ..Engine::default()
        })
    });
    let actions = [
        "s3:ListBucket",
        "s3:GetObject",
        "s3:PutObject",
        "s3:DeleteObject",
        "s3:PutObject",
        "s3:PutObject",
        "s3:PutObject",
        "s3:AbortMultipartUpload",
        "s3:ListBucketMultipartUploads",
        "s3:PutObject",
        "s3:PutObject",
    ];
    let reports = join_all(probes).await;
    for ((operation, action), (report, _)) in Operation::ALL.into_iter().zip(actions).zip(&reports) {
        assert_eq!(report.missing, [operation]);
        let text = texts(report);
        assert!(
            text.contains(&format!(
                "may not do {} (the store answers 403 AccessDenied)",
                operation.name()
            )),
            "{text}"
        );
        let resource = match operation {
            Operation::List | Operation::ListMultiparts => "arn:aws:s3:::b",
            _ => "arn:aws:s3:::b/some/where/*",
        };
        assert!(
            text.contains(action) && text.contains(&format!(r#""Resource":"{resource}"}}"#)),
            "{text}"
        );
        assert!(
            report
                .findings
                .iter()
                .all(|finding| finding.severity == Severity::Error),
            "{text}"
        );
        assert_eq!(report.breaks, [], "what cannot be tried is not broken: {text}");
    }
}

#[tokio::test]
async fn a_bucket_whose_objects_cannot_be_removed_does_not_fill() {
    let engine = Engine {
        denied: Some("DeleteObject"),
        ..Engine::default()
    };
    let running = Running::start(engine).await;
    bucket(running.address).probe().await.unwrap();
    let left = running.keys();
    let second = bucket(running.address).probe().await.unwrap();
    assert_eq!(running.keys(), left);
    assert!(second.abilities.creates && second.abilities.cas == Cas::Quoted);
}

#[tokio::test]
async fn settings_of_the_bucket_that_work_against_a_registry_are_found() {
    let (report, _running) = probed(Engine {
        settings: &[
            ("versioning", "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"),
            (
                "lifecycle",
                "<LifecycleConfiguration><Rule><ID>old</ID><Status>Enabled</Status><Expiration><Days>9</Days></Expiration>\
                 </Rule></LifecycleConfiguration>",
            ),
        ],
        clock: None,
        ..Engine::default()
    })
    .await;
    let text = texts(&report);
    assert!(
        text.contains("keeps versions") && text.contains("rule `old`"),
        "{text}"
    );
    assert_eq!(report.abilities.skew, None);
    assert_eq!(report.mode(), Mode::Replicas);
}

#[tokio::test]
async fn a_clock_that_is_off_is_said_and_too_far_off_refused() {
    let at = |seconds: i64| Engine {
        clock: Some(SignedDuration::from_secs(seconds)),
        ..Engine::default()
    };
    let (report, _running) = probed(at(-423)).await;
    let text = texts(&report);
    assert!(
        text.contains("differs from the store's by 7 min ") && text.ends_with("; nothing is collected"),
        "{text}"
    );
    let (five, sixteen) = (Running::start(at(300)).await, Running::start(at(-960)).await);
    bucket(five.address).check().await.unwrap();
    let refused = bucket(sixteen.address).check().await.unwrap_err();
    assert!(
        refused.contains("differs from the store's by 16 min "),
        "{refused}"
    );
}

#[tokio::test]
async fn what_dead_probes_left_is_removed_after_an_hour() {
    let running = Running::start(Engine::default()).await;
    running.plant("some/where/wharf/probe/x/old", Duration::from_secs(3700));
    running.plant("some/where/wharf/probe/y/young", Duration::from_secs(3500));
    running.plant("some/where/wharf/probes", Duration::from_secs(9999));
    bucket(running.address).probe().await.unwrap();
    assert_eq!(
        running.keys(),
        ["some/where/wharf/probe/y/young", "some/where/wharf/probes"]
    );
}

#[tokio::test]
async fn conditional_puts_hold_one_after_the_other_on_every_store() {
    for (engine, ..) in engines() {
        let name = engine.name;
        let running = Running::start(engine).await;
        let bucket = bucket(running.address);
        let key = Path::from("some/where/object");
        let create =
            async |text: &'static str| bucket.put_opts(&key, text.into(), PutMode::Create.into()).await;
        let first = create("first").await.unwrap();
        let refused = create("second").await;
        assert!(
            matches!(refused, Err(object_store::Error::AlreadyExists { .. })),
            "{name}: {refused:?}"
        );
        let replace = async |e_tag: Option<String>| {
            let version = UpdateVersion { e_tag, version: None };
            bucket
                .put_opts(&key, "new".into(), PutMode::Update(version).into())
                .await
        };
        let second = replace(first.e_tag.clone()).await.unwrap();
        let refused = replace(first.e_tag).await;
        assert!(
            matches!(refused, Err(object_store::Error::Precondition { .. })),
            "{name}: {refused:?}"
        );
        replace(second.e_tag).await.unwrap();
        assert_eq!(running.keys(), [key.to_string()], "{name}");
    }
}

#[tokio::test]
async fn a_put_does_not_wait_for_the_end_of_races() {
    // SeaweedFS lets the losers of a creation wait for seconds.
    let engine = Engine {
        losers_wait: Duration::from_secs(300),
        ..Engine::default()
    };
    let running = Running::start(engine).await;
    let bucket = Arc::new(bucket(running.address));
    let probe = tokio::spawn({
        let bucket = Arc::clone(&bucket);
        async move { bucket.probe().await }
    });
    let path = Path::from("some/where/object");
    let create = || bucket.put_opts(&path, "x".into(), PutMode::Create.into());
    // Less than a put waits for what is not known.
    let put = timeout(Duration::from_secs(5), create()).await;
    put.expect("no wait").unwrap();
    assert!(!probe.is_finished(), "the races have not ended");
    probe.abort();
}

#[tokio::test]
async fn blobs_are_not_redirected_to_a_store_that_refuses_signed_urls() {
    let engine = Engine {
        takes_signed_urls: false,
        ..Engine::default()
    };
    let running = Running::start(engine).await;
    let bucket = bucket(running.address);
    assert_eq!(bucket.abilities(), Abilities::UNKNOWN);
    bucket.probe().await.unwrap();
    let path = Path::from("a");
    let get = super::super::SignedGet {
        path: &path,
        ttl: Duration::from_secs(60),
    };
    assert_eq!(bucket.sign(&get).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_ends_the_probe() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let begun = tokio::time::Instant::now();
    let error = bucket(silent.local_addr().unwrap()).probe().await.unwrap_err();
    assert!(error.contains("does not answer within 10 s"), "{error}");
    assert!(
        begun.elapsed() < Duration::from_secs(120),
        "{:?}",
        begun.elapsed()
    );
}
