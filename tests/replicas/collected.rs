//! Commands that remove, beside servers of the same bucket.

use std::process::{Command, Output};

use wharf_testkit::{
    Content,
    bucket::BucketStore,
    image,
    peer::Peer,
    suite::{Part, Suite},
    tool::Bench,
};

use crate::both_ways::holds;

const WHARF: &str = env!("CARGO_BIN_EXE_wharf");

const DIRECTORY: &str = "some/where";

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test(
        "a_collection_is_refused_while_a_server_writes_to_the_bucket",
        &[Part::Bucket],
        refused_beside_a_server,
    );
}

fn refused_beside_a_server() {
    let store = BucketStore::of_this_run();
    let bench = Bench::new();
    let lines = store.configuration(DIRECTORY);
    let storage = lines.iter().map(|line| format!("  {line}\n")).collect::<String>();
    bench.write("config.yml", &format!("version: 0.1\nstorage:\n{storage}"));
    let run = |words: &[&str]| -> Output {
        Command::new(WHARF)
            .args(words)
            .arg(bench.path("config.yml"))
            .env_remove("REGISTRY_CONFIGURATION_PATH")
            .output()
            .expect("the command runs")
    };

    let peer = Peer::on_bucket(WHARF, &store, DIRECTORY);
    let content = Content::of(image::oci("kept"));
    content.push(peer.authority(), "app", "1");
    for words in [
        &["garbage-collect"][..],
        &["uploads", "purge", "--older-than", "1h"],
    ] {
        let refused = run(words);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{words:?}: {said}");
        assert!(said.contains("while a server runs"), "{said}");
        assert!(said.contains("writes to the bucket; stop them"), "{said}");
    }
    let dry = run(&["garbage-collect", "--dry-run"]);
    assert!(dry.status.success(), "{}", String::from_utf8_lossy(&dry.stderr));

    peer.stop();
    let collected = run(&["garbage-collect"]);
    assert!(
        collected.status.success(),
        "the server has left: {}",
        String::from_utf8_lossy(&collected.stderr)
    );
    holds(&Peer::on_bucket(WHARF, &store, DIRECTORY), "app", &content);
}
