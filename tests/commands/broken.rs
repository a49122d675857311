//! Connections that break in the middle, and registries that answer in their own ways.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use wharf_testkit::{
    Content,
    faults::{Fault, FaultProxy, Refusal, Which},
    image::{self, Blob},
    suite::Suite,
    tool::Bench,
};

use crate::scene::{ENGINES, Engine, assert_holds, command, host, path, registry, status, wharf};

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test("a_broken_pull_goes_on_where_it_was", &[], pull);
    suite.test("a_broken_push_goes_on_where_it_was", &[], push);
    suite.test("a_push_whose_answer_is_lost_is_done", &[], lost_answer);
    suite.test("an_interrupted_export_leaves_no_file", &[], interrupted);
    suite.test("a_failed_copy_shows_nothing_and_goes_on", &[], half);
}

/// An image with a layer of 6 MiB.
fn large(seed: u64) -> Content {
    let config = Blob::new("application/vnd.oci.image.config.v1+json", "{}");
    let layer = Blob::random(seed, 6 << 20).of_type("application/vnd.oci.image.layer.v1.tar");
    Content::of(image::image(
        "application/vnd.oci.image.manifest.v1+json",
        config,
        vec![layer],
    ))
}

fn authority(proxy: &FaultProxy) -> String {
    proxy.endpoint().replace("http://", "")
}

fn pull() {
    for engine in ENGINES {
        let (from, to) = (registry(engine), registry(engine));
        let content = large(1);
        content.push(&host(&from), "app", "1");
        let proxy = FaultProxy::start(from.address());
        proxy.inject(Which::next("GET", "/blobs/").times(3), Fault::CutAnswer(1 << 20));
        let to = host(&to);
        wharf(&[
            "copy",
            &format!("{}/app:1", authority(&proxy)),
            &format!("{to}/app"),
        ])
        .good();
        assert_holds(&to, "app", "1", &content);
        assert!(proxy.happened() >= 3);
    }
}

fn push() {
    for engine in ENGINES {
        let (from, to) = (registry(engine), registry(engine));
        let content = large(2);
        content.push(&host(&from), "app", "1");
        let proxy = FaultProxy::start(to.address());
        proxy.inject(
            Which::next("PUT", "/blobs/uploads/").times(2),
            Fault::CutRequest(3 << 20),
        );
        wharf(&[
            "copy",
            &format!("{}/app:1", host(&from)),
            &format!("{}/app", authority(&proxy)),
        ])
        .good();
        assert_holds(&host(&to), "app", "1", &content);
        let requests = proxy.requests();
        assert!(
            requests
                .iter()
                .any(|request| request.starts_with("GET /v2/app/blobs/uploads/")),
            "{requests:#?}"
        );
    }
}

fn lost_answer() {
    let (from, to) = (registry(Engine::Filesystem), registry(Engine::Filesystem));
    let content = large(3);
    content.push(&host(&from), "app", "1");
    let proxy = FaultProxy::start(to.address());
    proxy.inject(Which::next("PUT", "/blobs/uploads/").times(2), Fault::ResetAfter);
    proxy.inject(Which::next("PUT", "/manifests/"), Fault::ResetAfter);
    wharf(&[
        "copy",
        &format!("{}/app:1", host(&from)),
        &format!("{}/app", authority(&proxy)),
    ])
    .good();
    assert_holds(&host(&to), "app", "1", &content);
}

fn interrupted() {
    let from = registry(Engine::Filesystem);
    let content = large(4);
    content.push(&host(&from), "app", "1");
    let proxy = FaultProxy::start(from.address());
    proxy.inject(
        Which::next("GET", "/blobs/").times(0),
        Fault::SilenceWithin(1 << 20),
    );
    let bench = Bench::new();
    std::fs::create_dir(bench.path("out")).unwrap();
    let file = path(&bench, "out/images.tar");
    let source = format!("{}/app:1", authority(&proxy));
    for signal in [Signal::INT, Signal::TERM] {
        let mut export = command(&["export", "-o", &file, &source]);
        let mut export = export
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let is_under_way = || {
            let files = std::fs::read_dir(bench.path("out")).unwrap();
            let sizes = files.map(|entry| entry.unwrap().metadata().unwrap().len());
            sizes.sum::<u64>() > 100_000
        };
        wait_until(is_under_way);
        kill_process(Pid::from_child(&export), signal).unwrap();
        assert_eq!(export.wait().unwrap().code(), Some(1));
        assert_eq!(
            std::fs::read_dir(bench.path("out")).unwrap().count(),
            0,
            "{signal:?}"
        );
    }
}

/// Waits for something that another process does.
fn wait_until(is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "it does not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn half() {
    let (from, to) = (registry(Engine::Filesystem), registry(Engine::Filesystem));
    let content = Content::of(image::oci_index("half"));
    content.push(&host(&from), "app", "1");
    let proxy = FaultProxy::start(to.address());
    let refused = Refusal {
        status: 403,
        code: "DENIED",
        retry_after: None,
    };
    proxy.inject(
        Which::next("PUT", "/manifests/1").times(0),
        Fault::Refuse(refused),
    );
    let arguments = [
        "copy".to_owned(),
        format!("{}/app:1", host(&from)),
        format!("{}/app", authority(&proxy)),
    ];
    let arguments = arguments.each_ref().map(String::as_str);
    let error = wharf(&arguments).bad();
    assert!(error.contains("403"), "{error}");
    assert_eq!(status(&host(&to), "/v2/app/manifests/1"), 404);
    proxy.clear();
    wharf(&arguments).good();
    let sent = |request: &&String| request.starts_with("PUT") && request.contains("/blobs/");
    assert_eq!(
        proxy.requests().iter().filter(sent).count(),
        0,
        "all blobs are there"
    );
    assert_holds(&host(&to), "app", "1", &content);
}
