//! One bucket for wharf and registry:3, in turn: each serves what the other wrote.

use std::{collections::BTreeMap, fs, path::Path};

use wharf_testkit::{
    Content,
    bucket::BucketStore,
    image,
    peer::{Peer, REGISTRY_3},
    suite::{Part, Suite},
    wire::Request,
};

const DIRECTORY: &str = "some/where";

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test(
        "one_bucket_for_wharf_and_registry_3_in_turn",
        &[Part::Bucket, Part::Program(REGISTRY_3)],
        in_turn,
    );
}

/// Both push, pull, move a tag and delete, twice over, each on what the other left. What one writes is what the other would.
fn in_turn() {
    let store = BucketStore::of_this_run();
    let wharf = env!("CARGO_BIN_EXE_wharf");
    let mut pushed: Vec<(String, Content)> = Vec::new();
    for (round, program) in [wharf, REGISTRY_3, wharf, REGISTRY_3].into_iter().enumerate() {
        let peer = Peer::on_bucket(program, &store, DIRECTORY);
        for (name, content) in &pushed {
            holds(&peer, name, content);
        }
        let repositories = format!("{DIRECTORY}/docker/registry/v2/repositories");
        let lists = program == wharf || store.lists_from_before(&repositories);
        let listed = peer
            .send(&Request::new("GET", "/v2/_catalog"))
            .expect("an answer")
            .json();
        assert!(
            !lists || listed["repositories"].as_array().map_or(0, Vec::len) == pushed.len(),
            "{program} lists what was pushed: {listed}"
        );
        for content in [
            Content::of(image::docker(format!("round{round}"))),
            Content::of(image::oci_index(format!("round{round}"))),
        ] {
            let name = format!("app/number{}", pushed.len());
            content.push(peer.authority(), &name, "1");
            content.push(peer.authority(), &name, "2");
            pushed.push((name, content));
        }
        // An image of the round before is deleted, and pushed again under another tag.
        if round > 0 {
            let (name, content) = pushed.remove(0);
            let digest = &content.root().digest;
            let gone = Request::new("DELETE", &format!("/v2/{name}/manifests/{digest}"));
            assert_eq!(peer.send(&gone).expect("an answer").status, 202, "{}", peer.log());
            let read = Request::new("GET", &format!("/v2/{name}/manifests/{digest}"));
            assert_eq!(peer.send(&read).expect("an answer").status, 404);
            content.push(peer.authority(), &name, "again");
            let tags = peer
                .send(&Request::new("GET", &format!("/v2/{name}/tags/list")))
                .expect("an answer");
            assert!(
                !lists || tags.json()["tags"] == wharf_testkit::json!(["again"]),
                "{}",
                tags.text()
            );
            pushed.push((name, content));
        }
        peer.stop();
    }
    same_objects(&store);
}

pub(crate) fn holds(peer: &Peer, name: &str, content: &Content) {
    for manifest in &content.manifests {
        let request = Request::new("GET", &format!("/v2/{name}/manifests/{}", manifest.digest));
        let answer = peer
            .send(&request.header("Accept", &manifest.media_type))
            .expect("an answer");
        assert_eq!(
            answer.status,
            200,
            "{name}@{}: {}\n{}",
            manifest.digest,
            answer.text(),
            peer.log()
        );
        assert!(answer.body == manifest.bytes, "{} was changed", manifest.digest);
    }
    for (digest, bytes) in &content.blobs {
        let request = Request::new("GET", &format!("/v2/{name}/blobs/{digest}"));
        let answer = peer.send(&request).expect("an answer");
        assert_eq!(
            answer.status,
            200,
            "{name}@{digest}: {}\n{}",
            answer.text(),
            peer.log()
        );
        assert!(&answer.body == bytes, "the bytes of {digest} were changed");
    }
}

/// The same pushes, each by one of both into a directory of its own, leave the same objects with the same bytes.
fn same_objects(store: &BucketStore) {
    let written = [env!("CARGO_BIN_EXE_wharf"), REGISTRY_3].map(|program| {
        let directory = format!("only/{}", if program == REGISTRY_3 { "theirs" } else { "ours" });
        let peer = Peer::on_bucket(program, store, &directory);
        for content in [
            Content::of(image::docker("same")),
            Content::of(image::oci_index("same")),
        ] {
            content.push(peer.authority(), "same/app", &content.root().digest[7..20]);
        }
        peer.stop();
        let mut objects = BTreeMap::new();
        read(
            &store.files_of(&directory).root().join("docker"),
            "",
            &mut objects,
        );
        objects
    });
    let [ours, theirs] = &written;
    let names = |objects: &BTreeMap<String, Vec<u8>>| objects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(ours), names(theirs), "the keys of both");
    assert!(ours == theirs, "the bytes of both");
    assert!(ours.len() > 10, "{:?}", names(ours));
}

pub(crate) fn read(directory: &Path, path: &str, objects: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let entry = entry.expect("an entry");
        let name = format!("{path}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().expect("a type").is_dir() {
            // Directories of uploads that have ended are left by the store, not by the registries.
            if !name.ends_with("/_uploads") {
                read(&entry.path(), &name, objects);
            }
        } else {
            objects.insert(name, fs::read(entry.path()).expect("an object"));
        }
    }
}
