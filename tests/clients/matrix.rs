//! Every kind of content, pushed by one client and pulled by another, compared digest by digest.

use std::path::Path;

use wharf_testkit::suite::{Part, Suite};
use wharf_testkit::tool::Bench;
use wharf_testkit::{Content, image};

use crate::crane::crane;
use crate::regctl::regctl;
use crate::skopeo;
use crate::subject::{Subject, assert_complete};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Skopeo,
    Crane,
    Regctl,
}

const CLIENTS: [Client; 3] = [Client::Skopeo, Client::Crane, Client::Regctl];
const SUBJECT: &str = "what the artifact is about";
const NAMES: [&str; 2] = ["kyo/my-image", "education/engineer1-6.2.2"];

impl Client {
    fn program(self) -> &'static str {
        match self {
            Client::Skopeo => "skopeo",
            Client::Crane => "crane",
            Client::Regctl => "regctl",
        }
    }

    /// Copies the layout at `layout`, whose tag is `1`, to the registry.
    fn push(self, registry: &Subject, bench: &Bench, layout: &Path, reference: &str) {
        let layout = layout.display().to_string();
        match self {
            Client::Skopeo => {
                skopeo::copy(
                    bench,
                    &["--all"],
                    &format!("oci:{layout}:1"),
                    &format!("docker://{reference}"),
                );
            }
            Client::Crane => {
                crane(bench, &["push", &layout, reference]);
            }
            Client::Regctl => {
                regctl(
                    registry,
                    bench,
                    &["image", "copy", &format!("ocidir://{layout}:1"), reference],
                );
            }
        }
    }

    /// Copies `reference` with all that it reaches to a directory of the bench.
    fn pull(self, registry: &Subject, bench: &Bench, reference: &str, directory: &str) {
        let path = bench.path(directory).display().to_string();
        match self {
            Client::Skopeo => {
                skopeo::copy(
                    bench,
                    &["--all"],
                    &format!("docker://{reference}"),
                    &format!("dir:{path}"),
                );
            }
            Client::Crane => {
                crane(bench, &["pull", "--format=oci", reference, &path]);
            }
            Client::Regctl => {
                regctl(
                    registry,
                    bench,
                    &["image", "copy", reference, &format!("ocidir://{path}:1")],
                );
            }
        }
    }
}

pub(crate) fn add_to(suite: &mut Suite) {
    let subject = Content::of(image::oci(SUBJECT));
    let kinds = [
        ("docker_image", Content::of(image::docker("matrix"))),
        ("docker_list", Content::of(image::docker_list("matrix"))),
        ("oci_image", Content::of(image::oci("matrix"))),
        (
            "oci_index_with_attestations",
            Content::of(image::oci_index("matrix")),
        ),
        (
            "artifact_with_subject",
            Content::of(image::artifact(
                "matrix",
                "application/vnd.example.note",
                subject.root(),
            )),
        ),
        ("zstd_layers", Content::of(image::zstd("matrix"))),
    ];
    for (kind, content) in kinds {
        for pusher in CLIENTS {
            for puller in CLIENTS {
                if pusher != puller && can(pusher, kind) && can(puller, kind) {
                    let name = format!("matrix_{kind}_from_{}_to_{}", pusher.program(), puller.program());
                    let needs = [Part::Program(pusher.program()), Part::Program(puller.program())];
                    let content = content.clone();
                    suite.test(&name, &needs, move || round_trip(&content, pusher, puller));
                }
            }
        }
    }
}

/// Content that a client cannot transfer, whatever the registry does.
fn can(client: Client, kind: &str) -> bool {
    match client {
        // An image layout, skopeo's way in, knows no Docker types, and it takes an artifact's config for an image's.
        Client::Skopeo => !matches!(kind, "docker_image" | "docker_list" | "artifact_with_subject"),
        Client::Crane | Client::Regctl => true,
    }
}

fn round_trip(content: &Content, pusher: Client, puller: Client) {
    let (registry, bench) = (Subject::start(), Bench::new());
    let layout = bench.path("layout");
    content.write_layout(&layout, "1");
    for name in NAMES {
        let reference = format!("{}/{name}:1", registry.authority());
        Content::of(image::oci(SUBJECT)).push(registry.authority(), name, "subject");
        pusher.push(&registry, &bench, &layout, &reference);
        registry.assert_holds(name, "1", content);
        let directory = name.replace('/', "-");
        puller.pull(&registry, &bench, &reference, &directory);
        assert_complete(&bench.files_by_digest(&directory), content);
    }
}
