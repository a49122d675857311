//! Pulls through a mirror, as the configurations of clients name it: by prefix, as a mirror of `registries.conf`, and by
//! containerd's `hosts.toml`; and mirrors of other registries.

use tempfile::TempDir;
use wharf_testkit::{
    Content, Server, ServerBuilder, basic,
    containerd::{self, Containerd},
    image,
    peer::{Peer, REGISTRY_2},
    podman::{POLICY, with_storage},
    store,
    suite::{Part, Suite},
    tool::Bench,
    upstream::{Demand, Upstream},
    wire::Request,
};

use crate::{skopeo::copy, subject::assert_complete};

const SKOPEO: Part = Part::Program("skopeo");

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test("skopeo_copies_through_a_mirror", &[SKOPEO], by_prefix);
    suite.test(
        "podman_pulls_from_a_mirror_of_registries_conf",
        &[Part::Program("podman"), Part::Root],
        by_registries_conf,
    );
    suite.test(
        "containerd_pulls_from_a_mirror_of_hosts_toml",
        containerd::NEEDS,
        by_hosts_toml,
    );
    suite.test(
        "skopeo_copies_through_a_mirror_of_registry_2",
        &[SKOPEO, Part::Program(REGISTRY_2)],
        of_registry_2,
    );
    suite.test(
        "a_mirror_of_a_wharf_with_users_pulls_as_its_account",
        &[],
        of_wharf,
    );
}

/// A server with a mirror below `hub`, with these keys.
fn mirroring(url: &str, keys: &str) -> Server {
    let keys = format!("prefix: hub, remoteurl: '{url}', fresh: 0s{keys}");
    sparse().config(format!("mirrors: [{{{keys}}}]")).start()
}

fn sparse() -> ServerBuilder {
    Server::builder(env!("CARGO_BIN_EXE_wharf")).rules(store::Rules {
        dangling_references: true,
    })
}

/// Copies an image through a mirror to a directory, and checks that all of it came.
fn copies(server: &Server, name: &str, content: &Content) {
    let bench = Bench::new();
    let from = format!("docker://{}/{name}", server.address());
    let to = format!("oci:{}", bench.path("copy").display());
    copy(&bench, &["--all"], &from, &to);
    assert_complete(&bench.files_by_digest("copy"), content);
}

fn by_prefix() {
    let upstream = Upstream::start();
    upstream.demand(Demand::Token {
        realm: None,
        account: None,
    });
    let server = mirroring(&upstream.url(), "");
    for (tag, content) in [
        ("image", Content::of(image::oci("mirrored"))),
        ("index", Content::of(image::oci_index("mirrored"))),
    ] {
        upstream.serve("team/app", tag, content.clone());
        let name = format!("hub/team/app:{tag}");
        copies(&server, &name, &content);
        upstream.forget();
        copies(&server, &name, &content);
        assert_eq!(upstream.count("GET", "/blobs/"), 0, "{:?}", upstream.calls());
    }
    upstream.stop();
    copies(
        &server,
        "hub/team/app:image",
        &Content::of(image::oci("mirrored")),
    );
}

fn by_registries_conf() {
    let upstream = Upstream::start();
    let content = Content::of(image::oci("for podman"));
    upstream.serve("library/app", "1", content.clone());
    let server = mirroring(&upstream.url(), "");
    let bench = with_storage(Bench::new());
    bench.write(
        "registries.conf",
        &format!(
            "[[registry]]\nprefix = \"docker.io\"\nlocation = \"docker.io\"\n\
             [[registry.mirror]]\nlocation = \"{}/hub\"\ninsecure = true\n",
            server.address()
        ),
    );
    let policy = bench.path(POLICY).display().to_string();
    let configuration = bench.path("registries.conf").display().to_string();
    let bench = bench.environment("CONTAINERS_REGISTRIES_CONF", configuration);
    let podman = |arguments: &[&str]| {
        let first = ["--events-backend", "file", "--cgroup-manager", "cgroupfs"];
        bench.run("podman", &[&first, arguments].concat())
    };
    let reference = "docker.io/library/app:1";
    podman(&["pull", "--signature-policy", &policy, reference]);
    let pulled = podman(&["image", "inspect", "--format", "{{.Digest}}", reference]);
    assert_eq!(pulled.trim(), content.root().digest);
    assert_eq!(
        upstream.count("GET", "/blobs/"),
        content.blobs.len(),
        "{:?}",
        upstream.calls()
    );
}

fn by_hosts_toml() {
    let upstream = Upstream::start();
    let server = mirroring(&upstream.url(), ", namespaces: [docker.io, ghcr.io]");
    let containerd = Containerd::start();
    let bench = containerd.for_commands_on(Bench::new());
    let host = format!(
        "[host.\"http://{}\"]\ncapabilities = [\"pull\", \"resolve\"]\n",
        server.address()
    );
    bench.write("hosts/docker.io/hosts.toml", &host);
    bench.write("hosts/_default/hosts.toml", &host);
    let hosts = bench.path("hosts").display().to_string();
    for registry in ["docker.io", "ghcr.io"] {
        let content = Content::of(image::oci(registry));
        let name = format!("library/for-{}", registry.trim_end_matches(".io"));
        upstream.serve(&name, "1", content.clone());
        let reference = format!("{registry}/{name}:1");
        bench.run("ctr", &["content", "fetch", "--hosts-dir", &hosts, &reference]);
        let listed = bench.run("ctr", &["content", "ls"]);
        for digest in content.everything().keys() {
            assert!(listed.contains(digest), "{digest}: {listed}");
        }
        assert_eq!(
            upstream.count("GET", &format!("{name}/blobs/")),
            content.blobs.len()
        );
    }
    // What the list does not have is no way out.
    let unknown = [
        "content",
        "fetch",
        "--hosts-dir",
        &hosts,
        "stranger.test/library/app:1",
    ];
    assert!(!bench.try_run("ctr", &unknown).succeeded);
}

fn of_registry_2() {
    let root = TempDir::with_prefix("wharf-tree-").expect("a temporary directory");
    let peer = Peer::start(REGISTRY_2, root.path());
    let content = Content::of(image::oci_index("of registry:2"));
    content.push(peer.authority(), "team/app", "1");
    let server = mirroring(&format!("http://{}", peer.authority()), "");
    copies(&server, "hub/team/app:1", &content);
    peer.stop();
    copies(&server, "hub/team/app:1", &content);
}

fn of_wharf() {
    // `alice` has the password `pw`.
    let users = "alice:$2y$04$GGM6RoW8osn7YjJ5LjkGxenr.OcquEAkaBl0/QER35f5AYyyuzLkC\n";
    let upstream = sparse();
    upstream.write("htpasswd", users);
    let path = upstream.path("htpasswd").display().to_string();
    let mut upstream = upstream.htpasswd(&path).start();
    let url = format!("http://{}", upstream.address());
    let content = Content::of(image::oci("of wharf"));
    let authorization = basic("alice", "pw");
    wharf_testkit::run(async {
        let client = upstream.anonymous().as_user("alice", "pw");
        client
            .repository("team/app")
            .push_image("1", &image::oci("of wharf"))
            .await;
    });
    let server = mirroring(&url, ", username: alice, password: pw");
    let get = |path: String| {
        Request::new("GET", &path)
            .send(&server.address().to_string())
            .expect("the server answers")
    };
    let pulled = || {
        let answer = get("/v2/hub/team/app/manifests/1".to_owned()).expect(200);
        assert!(answer.body == content.root().bytes);
        for (digest, bytes) in &content.blobs {
            let answer = get(format!("/v2/hub/team/app/blobs/{digest}")).expect(200);
            assert!(answer.body == *bytes);
        }
        answer
    };
    assert_eq!(pulled().header("Warning"), None);
    upstream.kill9();
    assert!(
        pulled()
            .header("Warning")
            .is_some_and(|text| text.starts_with("110 "))
    );
    let log = server.log();
    assert!(!log.contains(&authorization), "{log}");
}
