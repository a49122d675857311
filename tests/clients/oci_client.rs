//! The `oci-client` crate, as the program in `oci-client/`: push, pull, tags, manifests, referrers, mount.

use wharf_testkit::suite::{Part, Suite};
use wharf_testkit::tool::Bench;
use wharf_testkit::{Content, image};

use crate::subject::Subject;

const NEEDS: &[Part] = &[Part::Program("wharf-oci-client")];

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test("oci_client_pushes_and_pulls", NEEDS, pushes_and_pulls);
    suite.test(
        "oci_client_reads_what_others_pushed",
        NEEDS,
        reads_what_others_pushed,
    );
    suite.test("oci_client_sees_referrers", NEEDS, sees_referrers);
    suite.test("oci_client_mounts_a_blob", NEEDS, mounts_a_blob);
}

fn client(arguments: &[&str]) -> Vec<String> {
    Bench::new()
        .run("wharf-oci-client", arguments)
        .lines()
        .map(str::to_owned)
        .collect()
}

fn pushes_and_pulls() {
    let registry = Subject::start();
    let reference = format!("{}/kyo/my-image:1", registry.authority());
    assert_eq!(
        client(&["push-and-pull", &reference]),
        [registry.digest_of("kyo/my-image", "1")]
    );
    assert_eq!(client(&["tags", &reference]), ["1"]);
}

fn reads_what_others_pushed() {
    let registry = Subject::start();
    let content = Content::of(image::oci_index("oci-client"));
    content.push(registry.authority(), "others/index", "1");
    let read = client(&["manifest", &format!("{}/others/index:1", registry.authority())]);
    let (root, children) = content.manifests.split_last().expect("content has a root");
    assert_eq!(read[0], root.digest);
    assert_eq!(
        read[1..],
        children
            .iter()
            .map(|child| child.digest.clone())
            .collect::<Vec<_>>()
    );
}

fn sees_referrers() {
    let registry = Subject::start();
    let image = Content::of(image::oci("referred"));
    image.push(registry.authority(), "app", "1");
    let wanted = Content::of(image::artifact(
        "note",
        "application/vnd.example.note",
        image.root(),
    ));
    wanted.push(registry.authority(), "app", "");
    Content::of(image::artifact(
        "other",
        "application/vnd.example.other",
        image.root(),
    ))
    .push(registry.authority(), "app", "");
    let by_digest = format!("{}/app@{}", registry.authority(), image.root().digest);
    let found = client(&["referrers", &by_digest, "application/vnd.example.note"]);
    assert_eq!(found, [wanted.root().digest.clone()]);
}

fn mounts_a_blob() {
    let registry = Subject::start();
    let image = Content::of(image::oci("mounted"));
    image.push(registry.authority(), "from/here", "1");
    let reference = |name: &str| format!("{}/{name}:1", registry.authority());
    let mounted = client(&["mount", &reference("from/here"), &reference("to/there")]);
    let answer = registry.get(&format!("/v2/to/there/blobs/{}", mounted[0]));
    assert!(
        answer.status == 200 && answer.body == image.blobs[&mounted[0]],
        "the blob is in the second repository"
    );
}
