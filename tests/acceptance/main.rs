//! The flows that operators type, as they type them: each is a shell script beside this file, run against the real binary.
//!
//! `wharf`, `registry` and `htpasswd` (Apache's) are in the scripts' PATH; `common.sh` starts and stops servers.

mod documents;

use std::os::unix::fs::symlink;

use wharf_testkit::{
    Content, Issuing, TokenIssuer,
    containerd::{self, Containerd},
    docker::{self, Docker},
    image, podman, store,
    suite::{Part, Suite},
    tokens::{Signer, Wanted},
    tool::{self, Bench},
};

const TOOLS: &[Part] = &[
    Part::Program("curl"),
    Part::Program("docker"),
    Part::Program("htpasswd"),
    Part::Program("openssl"),
    Part::Program("jq"),
];

const COMMON: &str = include_str!("common.sh");

fn main() {
    let mut suite = Suite::default();
    let with_daemon = [TOOLS, docker::NEEDS].concat();
    let with_registry_2 = [TOOLS, &[Part::Program("docker-registry")]].concat();
    suite.test("a1_setup_with_tls_and_users", TOOLS, || {
        play(&Bench::new(), include_str!("a1.sh"));
    });
    suite.test(
        "what_init_makes_starts_as_it_is",
        &[TOOLS, &[Part::Program("script")]].concat(),
        || play(&Bench::new(), include_str!("init.sh")),
    );
    suite.test("a2_login_tag_push_pull_run", &with_daemon, || {
        let docker = Docker::new("greetings");
        docker.build("greet-python:0.1");
        play(&docker.bench, include_str!("a2.sh"));
    });
    let with_listers = [
        TOOLS,
        &[
            Part::Program("skopeo"),
            Part::Program("crane"),
            Part::Program("regctl"),
        ],
    ]
    .concat();
    suite.test("a4_listing", &with_listers, || {
        play(&Bench::new(), include_str!("a4.sh"));
    });
    suite.test("a5_inspect_and_digests", TOOLS, a5);
    let with_curl = [Part::Program("curl"), Part::Program("jq"), Part::Program("tar")];
    suite.test("a11_backup_and_restore", &with_curl, a11);
    let readers = [
        Part::Program("skopeo"),
        Part::Program("tar"),
        Part::Program("zstd"),
    ];
    suite.test("a11_other_programs_read_a_backup", &readers, || {
        play(&Bench::new(), include_str!("a11_readers.sh"));
    });
    suite.test("a6_a7_a8_deleting_and_going_back", TOOLS, || {
        play(&Bench::new(), include_str!("a8.sh"));
    });
    let with_htpasswd = [
        Part::Program("curl"),
        Part::Program("htpasswd"),
        Part::Program("jq"),
    ];
    suite.test("a6_a7_recipes_and_tools_that_delete", &with_htpasswd, || {
        play(&Bench::new(), include_str!("a6_recipes.sh"));
    });
    suite.test("a10_retention", TOOLS, || {
        play(&Bench::new(), include_str!("a10.sh"));
    });
    let with_skopeo = [&with_daemon[..], &[Part::Program("skopeo")]].concat();
    suite.test("a12_a_token_server_beside_the_registry", &with_skopeo, || {
        let docker = Docker::new("greetings");
        docker.build("greet-python:0.1");
        let signer = Signer::new("RS256");
        let certificate = signer.self_signed(&Wanted::authority("Acme"));
        docker.bench.write("server.pem", &certificate.pem());
        let server = TokenIssuer::start(Issuing {
            signer,
            issuer: "Acme auth server",
            users: &[
                ("alice", "pw", &["pull", "push", "delete"]),
                ("bob", "pw", &["pull"]),
            ],
        });
        let script = include_str!("a12_foreign.sh");
        play_with(&docker.bench, script, &[("REALM", &server.realm())]);
    });
    let with_podman = [&with_daemon[..], containerd::NEEDS, &[Part::Program("podman")]].concat();
    let with_all = [&with_podman[..], &with_skopeo].concat();
    suite.test("a12_our_own_token_server", &with_all, || {
        play_with_clients(include_str!("a12.sh"));
    });
    suite.test("a12_rules_without_a_token_server", &with_podman, || {
        play_with_clients(include_str!("a12_basic.sh"));
    });
    suite.test("a14_the_directory_of_registry_2_as_is", &with_registry_2, || {
        play(&Bench::new(), include_str!("a14.sh"));
    });
    documents::add_to(&mut suite);
    let conclusion = suite.run();
    docker::stop();
    conclusion.exit();
}

/// Everything that was restored is a whole registry.
fn a11() {
    let bench = Bench::new();
    play(&bench, include_str!("a11.sh"));
    for data in [
        "busy/data",
        "other/data",
        "killed/data",
        "plain/data",
        "registry/data",
    ] {
        let report = store::check(&bench.path(data), store::Rules::default());
        // What was unpacked without `wharf restore` may have parts of images that were pushed meanwhile.
        let is_unpacked = data == "registry/data";
        assert!(
            is_unpacked || report.problems.is_empty(),
            "{data}: {:#?}",
            report.problems
        );
        assert!(report.tags >= 3, "{data}: {report:?}");
    }
}

/// Runs a script with docker, containerd and podman, each with a store of its own, and the functions of `a12_clients.sh`.
fn play_with_clients(script: &str) {
    let docker = Docker::new("greetings");
    docker.build("greet-python:0.1");
    let containerd = Containerd::start();
    let bench = podman::with_storage(containerd.for_commands_on(docker.bench));
    play(&bench, &[include_str!("a12_clients.sh"), script].concat());
}

/// Runs a script; all that it prints is shown when it fails.
fn play(bench: &Bench, script: &str) {
    play_with(bench, script, &[]);
}

fn play_with(bench: &Bench, script: &str, variables: &[(&str, &str)]) {
    bench.write("bin/keep", "");
    for name in ["wharf", "registry"] {
        symlink(env!("CARGO_BIN_EXE_wharf"), bench.path("bin").join(name)).expect("a link");
    }
    let shipped = tool::root_directory()
        .join("packaging/config.yml")
        .display()
        .to_string();
    let mut all = format!("set -eu\nPATH=$PWD/bin:$PATH:/usr/sbin\nSHIPPED='{shipped}'\n");
    for (name, value) in variables {
        all.push_str(&format!("{name}='{value}'\n"));
    }
    all.push_str(COMMON);
    all.push_str("\nset -x\n");
    all.push_str(script);
    bench.write("flow.sh", &all);
    bench.run("sh", &["flow.sh"]);
}

/// An image and an index for the scripts, pushed to a registry that the script starts.
fn contents() -> [(&'static str, Content); 4] {
    [
        ("docker", Content::of(image::docker("a5"))),
        ("list", Content::of(image::docker_list("a5"))),
        ("oci", Content::of(image::oci("a5"))),
        ("index", Content::of(image::oci_index("a5"))),
    ]
}

fn a5() {
    let registry = wharf_testkit::Server::builder(env!("CARGO_BIN_EXE_wharf")).start();
    let authority = registry.address().to_string();
    for (tag, content) in contents() {
        content.push(&authority, "g", tag);
        play_with(
            &Bench::new(),
            include_str!("a5.sh"),
            &[
                ("R", &authority),
                ("TAG", tag),
                ("D", &content.root().digest),
                ("TYPE", &content.root().media_type),
            ],
        );
    }
}
