//! The flows that operators type, as they type them: each is a shell script beside this file, run against the real binary.
//!
//! `wharf`, `registry` and `htpasswd` (Apache's) are in the scripts' PATH; `common.sh` starts and stops servers.

mod documents;

use std::os::unix::fs::symlink;

use wharf_testkit::{
    Content,
    docker::{self, Docker},
    image,
    suite::{Part, Suite},
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
    suite.test("a2_login_tag_push_pull_run", &with_daemon, || {
        let docker = Docker::new("greetings");
        docker.build("greet-python:0.1");
        play(&docker.bench, include_str!("a2.sh"));
    });
    suite.test("a5_inspect_and_digests", TOOLS, a5);
    let with_skopeo = [&with_daemon[..], &[Part::Program("skopeo")]].concat();
    suite.test("a12_our_own_token_server", &with_skopeo, || {
        let docker = Docker::new("greetings");
        docker.build("greet-python:0.1");
        play(&docker.bench, include_str!("a12.sh"));
    });
    suite.test("a14_the_directory_of_registry_2_as_is", &with_registry_2, || {
        play(&Bench::new(), include_str!("a14.sh"));
    });
    documents::add_to(&mut suite);
    let conclusion = suite.run();
    docker::stop();
    conclusion.exit();
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
