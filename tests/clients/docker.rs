//! Docker Engine: build, tag, push, remove, pull, run, with a daemon of our own.

use wharf_testkit::Server;
use wharf_testkit::docker::{Docker, NEEDS};
use wharf_testkit::nginx;
use wharf_testkit::suite::{Part, Suite};
use wharf_testkit::tls::Wanted;
use wharf_testkit::{Content, image};

use crate::subject::Subject;

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test(
        "docker_builds_pushes_pulls_and_runs",
        NEEDS,
        builds_pushes_pulls_and_runs,
    );
    suite.test("docker_pulls_what_others_pushed", NEEDS, pulls_what_others_pushed);
    suite.test("docker_pushes_again_without_uploading", NEEDS, pushes_again);
    suite.test(
        "docker_mounts_layers_from_another_repository",
        NEEDS,
        mounts_layers,
    );
    suite.test("docker_manifest_list_is_pushed_and_pulled", NEEDS, manifest_list);
    suite.test("docker_over_tls", NEEDS, over_tls);
    let with_nginx = [NEEDS, &[Part::Program("nginx")]].concat();
    suite.test("docker_through_nginx", &with_nginx, through_nginx);
}

fn builds_pushes_pulls_and_runs() {
    let registry = Subject::start();
    let docker = Docker::new("an image of our own");
    for name in ["kyo/my-image:1.0", "education/engineer1-6.2.2:latest", "plain"] {
        let reference = format!("{}/{name}", registry.authority());
        let (repository, tag) = name.split_once(':').unwrap_or((name, "latest"));
        docker.build(&reference);
        let pushed = docker.run(&["push", &reference]);
        let ours = registry.digest_of(repository, tag);
        assert!(
            pushed.contains(&ours),
            "docker prints our digest {ours}: {pushed}"
        );

        let repository_digest = format!("{}/{repository}@{ours}", registry.authority());
        assert_eq!(
            docker.run(&["inspect", "--format", "{{index .RepoDigests 0}}", &reference]),
            repository_digest
        );
        docker.run(&["rmi", "--force", &reference]);
        assert!(
            docker.run(&["images", "--quiet", &reference]).is_empty(),
            "the image is gone before the pull"
        );

        let pulled = docker.run(&["pull", &reference]);
        assert!(pulled.contains(&ours), "docker pulls our digest {ours}: {pulled}");
        assert_eq!(
            docker.run(&["run", "--rm", "--network", "none", &reference]),
            "an image of our own"
        );
        docker.run(&["rmi", "--force", &reference]);
        docker.run(&["pull", &repository_digest]);
        assert_eq!(
            docker.run(&["run", "--rm", "--network", "none", &repository_digest]),
            "an image of our own"
        );
        docker.run(&["rmi", "--force", &repository_digest]);
    }
}

fn pulls_what_others_pushed() {
    let registry = Subject::start();
    let docker = Docker::new("");
    for (tag, content) in [
        ("docker", Content::of(image::docker("for docker"))),
        ("list", Content::of(image::docker_list("for docker"))),
        ("index", Content::of(image::oci_index("for docker"))),
    ] {
        content.push(registry.authority(), "others/app", tag);
        let reference = format!("{}/others/app:{tag}", registry.authority());
        let pulled = docker.run(&["pull", &reference]);
        assert!(pulled.contains(&content.root().digest), "{pulled}");
        let label = docker.run(&["inspect", "--format", "{{.Config.Labels.seed}}", &reference]);
        assert!(label.starts_with("for docker"), "{label}");
        docker.run(&["rmi", "--force", &reference]);
    }
}

fn pushes_again() {
    let registry = Subject::start();
    let docker = Docker::new("pushed twice");
    let reference = |tag: &str| format!("{}/twice:{tag}", registry.authority());
    docker.build(&reference("1"));
    docker.run(&["push", &reference("1")]);
    docker.run(&["tag", &reference("1"), &reference("2")]);
    let again = docker.run(&["push", &reference("2")]);
    assert!(again.contains("Layer already exists"), "{again}");
    assert_eq!(registry.digest_of("twice", "1"), registry.digest_of("twice", "2"));
    docker.run(&["rmi", "--force", &reference("1"), &reference("2")]);
}

fn mounts_layers() {
    let registry = Subject::start();
    let docker = Docker::new("mounted");
    let reference = |name: &str| format!("{}/{name}:1", registry.authority());
    docker.build(&reference("from/here"));
    docker.run(&["push", &reference("from/here")]);
    docker.run(&["tag", &reference("from/here"), &reference("to/there")]);
    let mounted = docker.run(&["push", &reference("to/there")]);
    assert!(mounted.contains("Mounted from from/here"), "{mounted}");
    assert_eq!(
        registry.digest_of("from/here", "1"),
        registry.digest_of("to/there", "1")
    );
    docker.run(&["rmi", "--force", &reference("from/here"), &reference("to/there")]);
}

fn manifest_list() {
    let registry = Subject::start();
    let docker = Docker::new("in a list");
    let reference = |tag: &str| format!("{}/listed:{tag}", registry.authority());
    docker.build(&reference("amd64"));
    docker.run(&["push", &reference("amd64")]);
    docker.run(&[
        "manifest",
        "create",
        "--insecure",
        &reference("all"),
        &reference("amd64"),
    ]);
    let pushed = docker.run(&["manifest", "push", &reference("all")]);
    assert!(pushed.contains(&registry.digest_of("listed", "all")), "{pushed}");
    let answer = registry.manifest("listed", "all");
    let list = "application/vnd.docker.distribution.manifest.list.v2+json";
    assert_eq!(answer.header("Content-Type"), Some(list));
    docker.run(&["rmi", "--force", &reference("amd64")]);
    docker.run(&["pull", &reference("all")]);
    assert_eq!(
        docker.run(&["run", "--rm", "--network", "none", &reference("all")]),
        "in a list"
    );
    docker.run(&["rmi", "--force", &reference("all")]);
}

/// Docker takes any certificate of a loopback address; certificates for other addresses are tested with openssl.
fn over_tls() {
    let server = Server::builder(env!("CARGO_BIN_EXE_wharf")).tls(&Wanted::localhost().self_signed());
    let server = server.start();
    pushes_and_runs(&server.address().to_string(), "over TLS");
    // With a new certificate under way, nothing is interrupted.
    let renewed = Wanted::localhost().self_signed();
    server.write("tls.crt", &renewed.certificate);
    server.write("tls.key", &renewed.key);
    pushes_and_runs(&server.address().to_string(), "over TLS, renewed");
}

fn through_nginx() {
    let server = Server::builder(env!("CARGO_BIN_EXE_wharf")).start();
    let upstream = server.address().to_string();
    let identity = Wanted::localhost().self_signed();
    for heading in ["HTTPS", "Plain HTTP"] {
        let nginx = nginx::start(heading, &[("127.0.0.1:5000", &upstream)], &identity);
        pushes_and_runs(&nginx.address().to_string(), heading);
    }
}

fn pushes_and_runs(authority: &str, greeting: &str) {
    let docker = Docker::new(greeting);
    let reference = format!("{authority}/tls/app:1");
    docker.build(&reference);
    docker.run(&["push", &reference]);
    docker.run(&["rmi", "--force", &reference]);
    docker.run(&["pull", &reference]);
    assert_eq!(
        docker.run(&["run", "--rm", "--network", "none", &reference]),
        greeting
    );
    docker.run(&["rmi", "--force", &reference]);
}
