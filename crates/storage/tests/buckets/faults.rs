//! Faults of the network and of the store, by a proxy in between: each fault at each request of each operation.

mod operations;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use futures_util::{TryStreamExt, future::LocalBoxFuture};
use object_store::path::Path;
use wharf_budget::Share;
use wharf_storage::{
    Condition, Error, ErrorKind, Objects, Put, Removal, Uploads, Wanted,
    layout::UploadKey,
    object::{
        ObjectOptions, ObjectStorage,
        s3::{Patience, RequestMeters, S3},
    },
};
use wharf_testkit::{
    bucket::BucketStore,
    faults::{Fault, FaultProxy, Refusal, Which},
    suite::{Part, Suite},
};

use self::operations::{Operation, PART, content, holds, key, operations, removal_in, write};
use crate::{credentials, settings};

/// Repeats at once, and waits long enough for a store on a busy machine.
const PATIENT: Patience = Patience {
    connect: Duration::from_secs(5),
    answer: Duration::from_secs(10),
    work: Duration::from_secs(20),
    slowest: 1 << 20,
    repeat: Duration::from_secs(10),
    first_wait: Duration::from_millis(2),
    longest_wait: Duration::from_millis(50),
};

/// Short, so that silence costs little.
const IMPATIENT: Patience = Patience {
    answer: Duration::from_millis(500),
    work: Duration::from_millis(1500),
    ..PATIENT
};

/// Faults after which a request is repeated: each at each request of each operation.
const PASSING: &[(&str, Fault)] = &[
    ("503", Fault::Refuse(Refusal::new(503, "SlowDown"))),
    ("reset", Fault::Reset),
    ("cut answer", Fault::CutAnswer(50)),
    REFUSED_AFTER,
    RESET_AFTER,
    CUT_REQUEST,
];

/// Those of them in which what was sent matters.
const OF_WRITES: &[(&str, Fault)] = &[REFUSED_AFTER, RESET_AFTER, CUT_REQUEST];

const REFUSED_AFTER: (&str, Fault) = (
    "500 after the effect",
    Fault::RefuseAfter(Refusal::new(500, "InternalError")),
);
const RESET_AFTER: (&str, Fault) = ("reset after the effect", Fault::ResetAfter);
const CUT_REQUEST: (&str, Fault) = ("cut request", Fault::CutRequest(100_000));

/// Answers that are taken like 503, or that cost another signature.
const REFUSALS: &[(&str, Fault)] = &[
    ("500", Fault::Refuse(Refusal::new(500, "InternalError"))),
    ("429", Fault::Refuse(Refusal::new(429, "TooManyRequests"))),
    (
        "expired signature",
        Fault::Refuse(Refusal::new(403, "RequestTimeTooSkewed")),
    ),
];

/// Those that cost time.
const SILENT: &[(&str, Fault)] = &[
    ("silence", Fault::Silence),
    ("silence within the answer", Fault::SilenceWithin(50)),
];

pub(crate) fn add_to(suite: &mut Suite) {
    let mut add_on = |store: Part, name: &str, test: fn() -> LocalBoxFuture<'static, ()>| {
        let name = format!("faults::{name}");
        suite.test(&name, &[store], move || {
            tokio::runtime::Runtime::new()
                .expect("a runtime")
                .block_on(test());
        });
    };
    add_on(Part::OwnBucket, "a_missing_bucket_is_not_an_empty_one", || {
        Box::pin(a_missing_bucket_is_not_an_empty_one())
    });
    let mut add = |name: &str, test: fn() -> LocalBoxFuture<'static, ()>| add_on(Part::Bucket, name, test);
    add("each_fault_at_each_request_passes", || {
        Box::pin(each_fault_at_each_request_passes())
    });
    add("silence_at_each_request_passes", || {
        Box::pin(silence_at_each_request_passes())
    });
    add("trouble_that_stays_is_an_error_in_time", || {
        Box::pin(trouble_that_stays_is_an_error_in_time())
    });
    add("refused_credentials_say_what_to_do", || {
        Box::pin(refused_credentials_say_what_to_do())
    });
    add("an_answer_of_another_server_is_not_that_of_a_store", || {
        Box::pin(an_answer_of_another_server_is_not_that_of_a_store())
    });
    add("the_store_is_given_the_time_it_asks_for", || {
        Box::pin(the_store_is_given_the_time_it_asks_for())
    });
    add("a_removal_that_is_delayed_beyond_its_time_is_refused", || {
        Box::pin(a_removal_that_is_delayed_beyond_its_time_is_refused())
    });
    add("a_stream_that_is_cut_goes_on", || {
        Box::pin(a_stream_that_is_cut_goes_on())
    });
    add("a_lost_answer_is_no_conflict", || {
        Box::pin(a_lost_answer_is_no_conflict())
    });
    add("a_slow_store_is_waited_for", || {
        Box::pin(a_slow_store_is_waited_for())
    });
    add("attempts_are_counted", || Box::pin(attempts_are_counted()));
}

struct Bench {
    store: BucketStore,
    proxy: FaultProxy,
    storage: ObjectStorage,
    meters: RequestMeters,
}

impl Bench {
    fn new(patience: Patience) -> Self {
        let store = BucketStore::of_this_run();
        let proxy = FaultProxy::start(store.address());
        let site = store.site().at(&proxy.endpoint());
        let bucket = S3::with_patience(&settings(&site), &credentials(&site), patience);
        let bucket = bucket.expect("settings that can be used");
        let meters = bucket.meters();
        let options = ObjectOptions {
            part_size: PART,
            copy_whole: 1 << 20,
            copy_size: PART as u64,
            ..ObjectOptions::default()
        };
        let memory = Share::new("parts", 16 * PART);
        let prefix = Path::from(site.key("some/where"));
        let storage = ObjectStorage::sharing(Arc::new(bucket), prefix, memory, options);
        Self {
            store,
            proxy,
            storage,
            meters,
        }
    }

    /// Runs `operation` with `fault` at its first request, then at its second, until it has no more. It succeeds each time.
    async fn sweep(&self, faults: &[(&str, Fault)], operation: &Operation) {
        for (name, fault) in faults {
            let mut at = 0;
            loop {
                self.proxy.clear();
                let prepared = format!("{}/{}/{at}", operation.name, name.replace(' ', "-"));
                let directory = key(&prepared);
                (operation.prepare)(&self.storage, &directory).await;
                self.proxy.clear();
                let mut which = Which::next("", "");
                which.after = at;
                self.proxy.inject(which, *fault);
                let result = (operation.run)(&self.storage, &directory).await;
                let happened = self.proxy.happened();
                let requests = self.proxy.requests();
                self.proxy.clear();
                if let Err(error) = result {
                    panic!(
                        "{}: {name} at request {at}: {error}\n{requests:#?}",
                        operation.name
                    );
                }
                if happened == 0 {
                    break;
                }
                at += 1;
            }
            assert!(at > 0, "{} makes requests", operation.name);
        }
    }
}

async fn each_fault_at_each_request_passes() {
    let bench = Bench::new(PATIENT);
    for operation in operations() {
        let faults = if operation.name == "large-upload" {
            OF_WRITES
        } else {
            PASSING
        };
        bench.sweep(faults, &operation).await;
        if ["stat", "publish"].contains(&operation.name) {
            bench.sweep(REFUSALS, &operation).await;
        }
    }
}

async fn silence_at_each_request_passes() {
    let bench = Bench::new(IMPATIENT);
    let quick = ["read", "stat", "publish-absent", "list", "upload"];
    for operation in operations() {
        if quick.contains(&operation.name) {
            bench.sweep(SILENT, &operation).await;
        }
    }
}

/// The collector rests on this: a removal that another process may have undone by then has no effect any more.
async fn a_removal_that_is_delayed_beyond_its_time_is_refused() {
    let bench = Bench::new(PATIENT);
    let removal = removal_in(&key("late"));
    write(&bench.storage, &removal.key, &content(10)).await;
    let time = Duration::from_secs(3);
    bench.proxy.inject(
        Which::next("DELETE", "late"),
        Fault::Delay(time + Duration::from_secs(1)),
    );
    let removed = bench
        .storage
        .remove_until(&removal, SystemTime::now() + time)
        .await;
    let error = removed.expect_err("it is too late");
    assert_eq!(error.kind(), ErrorKind::Precondition, "{error}");
    holds(&bench.storage, &removal.key, &content(10))
        .await
        .expect("the object is still there");

    // Without the delay the same removal is in time.
    let until = SystemTime::now() + time;
    bench
        .storage
        .remove_until(&removal, until)
        .await
        .expect("it is in time");
    let found = bench.storage.stat(&removal.key).await;
    assert!(found.is_err_and(|error| error.is_not_found()));
}

/// Whatever the fault, an operation ends soon, and its error tells that of the store from a missing object.
async fn trouble_that_stays_is_an_error_in_time() {
    let patience = Patience {
        repeat: Duration::from_secs(1),
        ..IMPATIENT
    };
    let bench = Bench::new(patience);
    let object = key("stays/object");
    write(&bench.storage, &object, &content(10)).await;
    let faults = PASSING.iter().chain(REFUSALS).chain(SILENT);
    // The others do not happen to each request.
    let others = [
        "cut answer",
        "cut request",
        "expired signature",
        "silence within the answer",
    ];
    let faults = faults.filter(|(name, _)| !others.contains(name));
    for (name, fault) in faults {
        bench.proxy.clear();
        bench.proxy.inject(Which::all(), *fault);
        let begun = Instant::now();
        let (directory, puts) = (key("stays"), [Put::new(object.clone(), content(10))]);
        let (read, stat, listed, written, checked) = tokio::join!(
            bench.storage.read(&object, 100),
            bench.storage.stat(&object),
            bench.storage.list(&directory, None, 1),
            bench.storage.publish(&puts),
            bench.storage.check(),
        );
        for error in [read.err(), stat.err(), listed.err(), written.err(), checked.err()] {
            let error = error.unwrap_or_else(|| panic!("{name}: an error"));
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{name}: {error}");
        }
        let longest = patience.repeat + patience.answer + Duration::from_secs(5);
        assert!(begun.elapsed() < longest, "{name}: {:?}", begun.elapsed());
    }
    bench.proxy.clear();
    holds(&bench.storage, &object, &content(10))
        .await
        .expect("it works again");
}

async fn refused_credentials_say_what_to_do() {
    let bench = Bench::new(PATIENT);
    let object = key("refused/object");
    for (refusal, remedy) in [
        (Refusal::new(403, "RequestTimeTooSkewed"), "set the clock"),
        (Refusal::new(400, "ExpiredToken"), "give the process new ones"),
        (Refusal::new(403, "ExpiredToken"), "give the process new ones"),
    ] {
        bench.proxy.clear();
        bench.proxy.inject(Which::all(), Fault::Refuse(refusal));
        for error in [
            bench.storage.read(&object, 1).await.expect_err("an error"),
            bench
                .storage
                .publish(&[Put::new(object.clone(), "x")])
                .await
                .expect_err("an error"),
            bench
                .storage
                .list(&key("refused"), None, 1)
                .await
                .expect_err("an error"),
        ] {
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
            assert!(
                error.to_string().contains(remedy) || chain(&error).contains(remedy),
                "{error}"
            );
        }
        // An answer to HEAD has no body that says why.
        let error = bench.storage.stat(&object).await.expect_err("an error");
        assert!(!error.is_not_found(), "{error}");
        assert!(
            bench.proxy.happened() < 20,
            "it is not tried for long: {:?}",
            bench.proxy.requests()
        );
    }
}

async fn a_missing_bucket_is_not_an_empty_one() {
    let bench = Bench::new(PATIENT);
    let object = key("gone/object");
    write(&bench.storage, &object, &content(10)).await;
    bench.store.hide(true);
    // No answer shows any more that the bucket is there.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let removal = Removal {
        key: object.clone(),
        keep: key("gone"),
    };
    let uploads = bench.storage.list_uploads().await;
    let uploads = match uploads {
        Ok(uploads) => uploads.try_collect::<Vec<_>>().await.map(drop),
        Err(error) => Err(error),
    };
    let upload = UploadKey {
        repository: "a/b".parse().expect("a name"),
        id: "u".parse().expect("an ID"),
    };
    let (name, besides) = (key("x"), []);
    let wanted = Wanted {
        object: &name,
        besides: &besides,
        others: 0,
    };
    let outcomes = [
        ("stat", bench.storage.stat(&object).await.map(drop)),
        ("read", bench.storage.read(&object, 100).await.map(drop)),
        ("open", bench.storage.open(&object).await.map(drop)),
        ("list", bench.storage.list(&key("gone"), None, 1).await.map(drop)),
        ("scan", bench.storage.scan(&key("gone"), None, 1).await.map(drop)),
        (
            "names_with",
            bench
                .storage
                .names_with(&key("gone"), wanted, None, 1)
                .await
                .map(drop),
        ),
        ("remove", bench.storage.remove(&object, &key("gone")).await),
        ("remove_many", bench.storage.remove_many(&[removal]).await),
        ("remove_tree", bench.storage.remove_tree(&key("gone")).await),
        (
            "publish",
            bench.storage.publish(&[Put::new(object.clone(), "x")]).await,
        ),
        ("create_upload", bench.storage.create_upload(&upload).await),
        ("open_upload", bench.storage.open_upload(&upload).await.map(drop)),
        ("upload_size", bench.storage.upload_size(&upload).await.map(drop)),
        ("list_uploads", uploads),
        ("check", bench.storage.check().await),
    ];
    for (operation, outcome) in outcomes {
        let error = outcome.expect_err(operation);
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{operation}: {error}");
        assert!(
            chain(&error).contains("there is no bucket"),
            "{operation}: {error}"
        );
    }
    bench.store.hide(false);
    bench.storage.check().await.expect("the bucket is back");
    holds(&bench.storage, &object, &content(10))
        .await
        .expect("nothing was lost");
}

async fn an_answer_of_another_server_is_not_that_of_a_store() {
    let bench = Bench::new(PATIENT);
    let object = key("elsewhere/object");
    bench
        .proxy
        .inject(Which::all(), Fault::Refuse(Refusal::new(404, "")));
    for error in [
        bench.storage.read(&object, 1).await.expect_err("an error"),
        bench.storage.stat(&object).await.expect_err("an error"),
        bench
            .storage
            .list(&key("elsewhere"), None, 1)
            .await
            .expect_err("an error"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
}

async fn the_store_is_given_the_time_it_asks_for() {
    let bench = Bench::new(PATIENT);
    let slow_down = |seconds| {
        Fault::Refuse(Refusal {
            retry_after: Some(seconds),
            ..Refusal::new(503, "SlowDown")
        })
    };
    bench.proxy.inject(Which::next("PUT", "asked"), slow_down(1));
    let begun = Instant::now();
    write(&bench.storage, &key("asked/object"), &content(10)).await;
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(bench.proxy.requests().len(), 2, "{:?}", bench.proxy.requests());

    bench.proxy.clear();
    bench.proxy.inject(Which::all(), slow_down(600));
    let error = bench
        .storage
        .read(&key("asked/object"), 100)
        .await
        .expect_err("an error");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_eq!(
        bench.proxy.requests().len(),
        1,
        "there is no time for another attempt"
    );
}

async fn a_stream_that_is_cut_goes_on() {
    let bench = Bench::new(IMPATIENT);
    let object = key("cut/object");
    let blob = content(3_000_000);
    write(&bench.storage, &object, &blob).await;
    for fault in [Fault::CutAnswer(300_000), Fault::SilenceWithin(1_000_000)] {
        bench.proxy.clear();
        bench
            .proxy
            .inject(Which::next("GET", "cut/object").times(8), fault);
        let open = bench.storage.open(&object).await.expect("it opens");
        let size = open.stat().size;
        let streamed: Vec<Bytes> = open.stream(0..size).try_collect().await.expect("all of it");
        assert!(streamed.concat() == blob, "exactly the bytes that were written");
        assert!(bench.proxy.happened() >= 2, "{:?}", bench.proxy.requests());
    }
    // Another object in its place is not what was begun.
    bench.proxy.clear();
    bench
        .proxy
        .inject(Which::next("GET", "cut/object"), Fault::CutAnswer(300_000));
    let open = bench.storage.open(&object).await.expect("it opens");
    write(&bench.storage, &object, &content(2_999_999)).await;
    let streamed = open.stream(0..3_000_000).try_collect::<Vec<Bytes>>().await;
    assert!(streamed.is_err(), "no mixture of two objects");
}

async fn a_lost_answer_is_no_conflict() {
    let bench = Bench::new(PATIENT);
    let object = key("once/object");
    let create = |content: &'static str| {
        let mut put = Put::new(object.clone(), content);
        put.condition = Condition::Absent;
        put
    };
    for fault in [
        Fault::ResetAfter,
        Fault::RefuseAfter(Refusal::new(503, "SlowDown")),
    ] {
        bench.proxy.clear();
        bench.proxy.inject(Which::next("PUT", "once"), fault);
        bench
            .storage
            .publish(&[create("mine")])
            .await
            .expect("it took effect");
        assert_eq!(bench.proxy.happened(), 1);
        // Also with an answer lost, what another writer has put there is a conflict.
        bench.proxy.clear();
        bench.proxy.inject(Which::next("PUT", "once"), fault);
        let error = bench
            .storage
            .publish(&[create("another")])
            .await
            .expect_err("a conflict");
        assert_eq!(error.kind(), ErrorKind::Precondition, "{error}");
        // And without one, the same bytes are.
        bench.proxy.clear();
        let error = bench
            .storage
            .publish(&[create("mine")])
            .await
            .expect_err("a conflict");
        assert_eq!(error.kind(), ErrorKind::Precondition, "{error}");
        bench
            .storage
            .remove(&object, &key("once"))
            .await
            .expect("it is there");
    }
}

async fn a_slow_store_is_waited_for() {
    let bench = Bench::new(IMPATIENT);
    // Both take longer than a silent store would be waited for.
    bench
        .proxy
        .inject(Which::next("GET", "slow"), Fault::Throttle(700_000));
    bench
        .proxy
        .inject(Which::next("PUT", "slow"), Fault::Delay(IMPATIENT.answer / 2));
    let object = key("slow/object");
    let blob = content(1_000_000);
    write(&bench.storage, &object, &blob).await;
    let begun = Instant::now();
    holds(&bench.storage, &object, &blob).await.expect("all of it");
    assert!(begun.elapsed() > IMPATIENT.answer, "the store was not slow");
    assert_eq!(bench.proxy.requests().len(), 2, "{:?}", bench.proxy.requests());
}

async fn attempts_are_counted() {
    let bench = Bench::new(PATIENT);
    bench.proxy.inject(
        Which::next("PUT", "counted"),
        Fault::Refuse(Refusal::new(503, "SlowDown")),
    );
    bench.proxy.inject(Which::next("PUT", "counted"), Fault::Reset);
    let object = key("counted/object");
    write(&bench.storage, &object, &content(1000)).await;
    holds(&bench.storage, &object, &content(1000))
        .await
        .expect("it is there");
    let measured = bench.meters.snapshot();
    let of = |operation: &str| {
        let found = measured.iter().find(|measured| measured.operation == operation);
        found.unwrap_or_else(|| panic!("{operation}: {measured:?}"))
    };
    let put = of("PutObject");
    assert_eq!((put.outcomes, put.repeats), ([1, 0, 0, 1, 1], 2), "{put:?}");
    assert_eq!(put.sent, 3000, "each attempt sends all of it");
    let get = of("GetObject");
    assert_eq!((get.outcomes, get.received), ([1, 0, 0, 0, 0], 1000), "{get:?}");
}

/// An error with all of its causes.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
