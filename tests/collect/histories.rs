//! `tag history` and `tag restore`, with and without a server.

use wharf_testkit::{
    Server, image, run,
    suite::Suite,
    tool::{Bench, Ran},
};

use crate::tree::binary;

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test("a_tag_goes_back_with_and_without_a_server", &[], || {
        run(back_and_forth());
    });
    suite.test("what_is_no_tag_of_this_registry_is_told", &[], || run(mistakes()));
}

/// A configuration of a directory, in a bench.
fn bench() -> Bench {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("data")).unwrap();
    let data = bench.path("data").display().to_string();
    let text = format!("version: 0.1\nstorage: {{filesystem: {{rootdirectory: {data}}}}}\n");
    bench.write("config.yml", &text);
    bench
}

/// A server on the data of `bench`.
fn serving(bench: &Bench) -> Server {
    let builder = Server::builder(binary().to_str().unwrap()).unchecked();
    let data = bench.path("data").display().to_string();
    builder
        .environment("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", &data)
        .start()
}

/// Runs `wharf tag …` with the configuration of the bench.
fn tag(bench: &Bench, words: &[&str]) -> Ran {
    let words = [&["tag"], words, &["--config", "config.yml"]].concat();
    bench.try_run(binary().to_str().unwrap(), &words)
}

/// The digests of `tag history app:1`, each with its state.
#[track_caller]
fn history(bench: &Bench) -> Vec<(String, String)> {
    let ran = tag(bench, &["history", "app:1"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let mut lines = ran.stdout.lines();
    assert!(lines.next().unwrap().starts_with("SINCE "), "{ran:?}");
    // Date and time come first.
    let columns = lines.map(|line| line.split_whitespace().skip(2).map(str::to_owned));
    columns
        .map(|mut line| (line.next().unwrap(), line.next().unwrap_or_default()))
        .collect()
}

async fn back_and_forth() {
    let bench = bench();
    let server = serving(&bench);
    let repository = server.anonymous().repository("app");
    let mut pushed = Vec::new();
    for number in 1..=2 {
        let image = image::oci(number);
        repository.push_image("1", &image).await;
        pushed.push(image.manifest.digest);
    }
    let state = |one: &str, two: &str| {
        let states = [
            (pushed[0].clone(), one.to_owned()),
            (pushed[1].clone(), two.to_owned()),
        ];
        std::collections::BTreeSet::from(states)
    };
    let now = |bench: &Bench| std::collections::BTreeSet::from_iter(history(bench));
    assert_eq!(now(&bench), state("", "current"));
    let back = tag(&bench, &["restore", &format!("app:1@{}", pushed[0])]);
    assert_eq!(
        back.stdout,
        format!("app:1 points at {} again\n", pushed[0]),
        "{back:?}"
    );
    assert_eq!(now(&bench), state("current", ""));

    drop(server);
    assert_eq!(
        now(&bench),
        state("current", ""),
        "the store says the same without a server"
    );
    let forth = tag(&bench, &["restore", &format!("app:1@{}", pushed[1]), "--json"]);
    let told: serde_json::Value = serde_json::from_str(&forth.stdout).unwrap();
    assert_eq!(
        told,
        serde_json::json!({"repository": "app", "tag": "1", "digest": pushed[1]}),
        "{forth:?}"
    );
    assert_eq!(now(&bench), state("", "current"));
    let first = tag(&bench, &["history", "app:1", "-n", "1"]);
    assert!(
        first.stdout.ends_with("and 1 before; `--limit` shows more\n"),
        "{first:?}"
    );

    let server = serving(&bench);
    let image = server.anonymous().get("/v2/app/manifests/1").await.expect(200);
    assert_eq!(image.header("docker-content-digest"), pushed[1]);
}

async fn mistakes() {
    let bench = bench();
    let never = format!("sha256:{}", "0".repeat(64));
    let check = |part: &str| {
        for (words, told) in [
            (
                vec!["history", "app:1"],
                "manifest `1` is not in repository `app`",
            ),
            (
                vec!["restore", &format!("app:1@{never}")],
                "manifest `1` is not in repository `app`",
            ),
        ] {
            let ran = tag(&bench, &words);
            assert_eq!(ran.code, Some(1), "{part}: {ran:?}");
            assert!(ran.stderr.contains(told), "{part}: {ran:?}");
        }
    };
    check("without a server");
    let server = serving(&bench);
    check("beside a server");
    let repository = server.anonymous().repository("app");
    repository.push_image("1", &image::oci(1)).await;
    let ran = tag(&bench, &["restore", &format!("app:1@{never}")]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("never pointed at"), "{ran:?}");
    drop(server);
}
