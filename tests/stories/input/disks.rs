//! Disks that are full, read-only, or of another user.

use std::{
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use wharf_testkit::{
    Repository, Server, ServerBuilder, eventually,
    image::{self, Blob, Image},
    store,
};

wharf_testkit::on_disk![
    crate::BINARY;
    a_full_disk_refuses_pushes_and_serves_pulls,
    a_read_only_disk_refuses_pushes_and_serves_pulls,
    a_forbidden_directory_refuses_pushes_and_serves_pulls,
    a_repository_that_may_not_be_read_is_left_out_of_the_catalogue,
    a_damaged_link_is_an_error_and_not_an_end,
    a_missing_blob_is_404_and_not_an_end,
    a_truncated_blob_never_looks_whole,
];

/// Starts a server that sees a small disk of its own at its root, in a mount namespace that ends
/// with it. Works for root, and for every user where user namespaces are allowed.
///
/// Gives `None`, and says so, where neither is the case.
pub(crate) fn on_small_disk(builder: ServerBuilder) -> Option<Server> {
    let root = builder.root();
    std::fs::create_dir_all(&root).unwrap();
    let trial = Command::new("unshare")
        .args(["--map-root-user", "--mount", "true"])
        .output();
    if !trial.is_ok_and(|output| output.status.success()) {
        println!(
            "left out: `unshare --map-root-user --mount` is not possible here, so there is no small disk"
        );
        return None;
    }
    let mount = "mount -t tmpfs -o size=8m,mode=755 none \"$0\" && exec \"$@\"";
    let wrapper = [
        "unshare",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        mount,
        root.to_str().unwrap(),
    ];
    Some(builder.unchecked().wrapped(&wrapper).start())
}

/// The root as the server sees it.
fn root_inside(server: &Server) -> PathBuf {
    let inside = server.root();
    Path::new("/proc")
        .join(server.pid().to_string())
        .join("root")
        .join(inside.strip_prefix("/").unwrap())
}

/// Runs a command in the server's mount namespace.
fn inside(server: &Server, command: &[&str]) {
    let pid = server.pid().to_string();
    let output = Command::new("nsenter")
        .args(["--target", &pid, "--user", "--mount", "--preserve-credentials"])
        .args(command)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.signal(), None);
}

/// Every way to push is refused as the server's own fault, with a code.
async fn pushes_are_refused(repository: &Repository, seed: u64, length: usize) {
    let blob = Blob::random(seed, length);
    let start = repository.client().post(&repository.uploads_path()).await;
    if start.status == 202 {
        let answer = repository
            .finish(&start.location(), &blob.digest, blob.bytes.clone())
            .try_send()
            .await;
        // A refusal in the middle of the body may cut the connection.
        if let Ok(answer) = answer {
            server_fault(&answer);
        }
    } else {
        server_fault(&start);
    }
    repository.head_blob(&blob.digest).await.expect(404);
}

fn server_fault(answer: &wharf_testkit::Answer) {
    assert!(answer.status.is_server_error(), "{answer}");
    let code = answer.errors()[0]["code"].clone();
    assert!(code == "UNAVAILABLE" || code == "UNKNOWN", "{answer}");
    assert!(!answer.messages().is_empty(), "{answer}");
    assert!(
        !answer.text().contains("/_"),
        "the answer tells paths of the server\n{answer}"
    );
}

async fn lives_on(mut server: Server, repository: &Repository, image: &Image) -> Server {
    server.assert_alive();
    repository.pull_image("v1", image).await;
    assert_eq!(repository.tags().await, ["v1"]);
    server
}

async fn a_full_disk_refuses_pushes_and_serves_pulls(builder: ServerBuilder) {
    let Some(server) = on_small_disk(builder) else {
        return;
    };
    let repository = server.anonymous().repository("kyo/my-image");
    let image = image::oci(1);
    repository.push_image("v1", &image).await;

    // More than the disk has: refused, and what it took is given back.
    pushes_are_refused(&repository, 1, 12_000_000).await;
    server.says("kyo/my-image").await;
    let server = lives_on(server, &repository, &image).await;

    // Full to the last byte: small pushes are refused as well, manifests too.
    let filler = root_inside(&server).join("filler");
    std::fs::write(&filler, vec![1; 8 << 20]).unwrap_err();
    pushes_are_refused(&repository, 2, 10_000).await;
    let manifest = image
        .manifest
        .with(&wharf_testkit::json!({ "annotations": { "a": "b" } }));
    let answer = repository.put_manifest("v2", &manifest).await;
    answer.expect_error(507, "UNAVAILABLE").expect_message("full");
    // docker shows nothing but the status line, and gives up only at these words.
    let mut raw = server.raw().await;
    let head = format!(
        "PUT {} HTTP/1.1\r\nHost: x\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        repository.manifest_path("v2"),
        manifest.media_type,
        manifest.bytes.len()
    );
    raw.send([head.as_bytes(), &manifest.bytes[..]].concat()).await;
    let answer = raw.answer().await;
    assert!(
        answer
            .head
            .starts_with("HTTP/1.1 507 no space left on device\r\n"),
        "{}",
        answer.head
    );
    let server = lives_on(server, &repository, &image).await;

    // Room again: everything works again, without a restart.
    std::fs::remove_file(&filler).unwrap();
    repository.push_image("v2", &image::oci(2)).await;
    let report = store::check(&root_inside(&server), store::Rules::default());
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(report.tags, 2);
}

async fn a_read_only_disk_refuses_pushes_and_serves_pulls(builder: ServerBuilder) {
    let Some(server) = on_small_disk(builder) else {
        return;
    };
    let repository = server.anonymous().repository("kyo/my-image");
    let image = image::oci(1);
    repository.push_image("v1", &image).await;
    // A read-only view over each half of the tree: what is open for writing would hold up a remount,
    // and a process that holds the root open would not see a view over it.
    let halves = ["docker", "wharf"].map(|half| server.root().join(half));
    for half in &halves {
        let half = half.to_str().unwrap();
        inside(&server, &["mount", "--bind", half, half]);
        inside(&server, &["mount", "-o", "remount,ro,bind", half]);
    }

    pushes_are_refused(&repository, 1, 10_000).await;
    let answer = repository.put_manifest("v2", &image.manifest).await;
    server_fault(&answer);
    for reference in ["v1", &image.manifest.digest] {
        server_fault(&repository.delete_manifest(reference).await);
    }
    let server = lives_on(server, &repository, &image).await;

    for half in &halves {
        inside(&server, &["umount", half.to_str().unwrap()]);
    }
    repository.push_image("v2", &image::oci(2)).await;
    let report = store::check(&root_inside(&server), store::Rules::default());
    assert_eq!(report.problems, Vec::<String>::new());
}

/// Starts a server that may not do everything: root runs it as user `nobody`.
fn as_nobody(builder: ServerBuilder) -> Server {
    const NOBODY: u32 = 65_534;
    let root = builder.root();
    std::fs::create_dir_all(&root).unwrap();
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if is_root {
        std::os::unix::fs::chown(&root, Some(NOBODY), Some(NOBODY)).unwrap();
        builder.as_user(NOBODY).start()
    } else {
        builder.start()
    }
}

async fn a_forbidden_directory_refuses_pushes_and_serves_pulls(builder: ServerBuilder) {
    let server = as_nobody(builder);
    let repository = server.anonymous().repository("kyo/my-image");
    let image = image::oci(1);
    repository.push_image("v1", &image).await;

    forbid(&server.root(), 0o500);
    pushes_are_refused(&repository, 1, 10_000).await;
    server_fault(&repository.put_manifest("v2", &image.manifest).await);
    server_fault(&repository.delete_manifest("v1").await);
    let server = lives_on(server, &repository, &image).await;

    forbid(&server.root(), 0o700);
    repository.push_image("v2", &image::oci(2)).await;
}

/// Something restored one repository as root: the others are listed, and it is named.
async fn a_repository_that_may_not_be_read_is_left_out_of_the_catalogue(builder: ServerBuilder) {
    let server = as_nobody(builder);
    for name in ["a/one", "a/one/below", "a/two", "b"] {
        let repository = server.anonymous().repository(name);
        repository.push_image("v1", &image::oci(name)).await;
    }
    let listed = async || {
        let answer = server.anonymous().get("/v2/_catalog").await.expect(200);
        answer.json()["repositories"].to_string()
    };
    assert_eq!(listed().await, r#"["a/one","a/one/below","a/two","b"]"#);

    let repositories = server.root().join("docker/registry/v2/repositories");
    let hidden = ["a/two/_manifests/tags", "a/one"].map(|path| repositories.join(path));
    let set_mode = |mode: u32| {
        for path in &hidden {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    set_mode(0o000);
    for _ in 0..2 {
        assert_eq!(listed().await, r#"["b"]"#);
    }
    for name in ["a/one", "a/two"] {
        let named = || {
            let log = server.log();
            let lines = log.lines();
            lines
                .filter(|line| line.contains("cannot be read") && line.contains(name))
                .count()
        };
        eventually("the log names it", || async { named() > 0 }).await;
        assert_eq!(named(), 1, "{name}\n{}", server.log());
    }

    set_mode(0o700);
    assert_eq!(listed().await, r#"["a/one","a/one/below","a/two","b"]"#);
}

/// Sets the mode of a directory and of all directories below it.
fn forbid(directory: &Path, mode: u32) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            forbid(&path, mode);
        }
    }
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// #2635 of distribution: an empty link stopped everything.
async fn a_damaged_link_is_an_error_and_not_an_end(builder: ServerBuilder) {
    let mut server = builder.unchecked().start();
    let repository = server.anonymous().repository("a");
    let (image, other) = (image::oci(1), image::oci(2));
    repository.push_image("good", &image).await;
    repository.push_image("bad", &other).await;
    for content in ["", "garbage", "sha256:abc", "\0\0\0", &"x".repeat(100_000)] {
        let link = server
            .tree()
            .join("repositories/a/_manifests/tags/bad/current/link");
        std::fs::write(link, content).unwrap();
        let answer = repository.get_manifest("bad").await;
        assert!(
            answer.status.is_server_error() || answer.status == 404,
            "{content:?}\n{answer}"
        );
        assert!(!answer.errors().is_empty(), "{answer}");
    }
    assert_eq!(repository.tags().await, ["bad", "good"]);
    repository.pull_image("good", &image).await;
    server.anonymous().get("/v2/_catalog").await.expect(200);
    assert_eq!(
        repository.referrers(&image.manifest.digest).await,
        Vec::<String>::new()
    );
    repository.push_manifest("bad", &other.manifest).await;
    repository.pull_image("bad", &other).await;
    server.assert_alive();
}

async fn a_missing_blob_is_404_and_not_an_end(builder: ServerBuilder) {
    let mut server = builder.unchecked().start();
    let repository = server.anonymous().repository("a");
    let image = image::oci(1);
    repository.push_image("v1", &image).await;
    std::fs::remove_file(store::blob_path(&server.root(), &image.blobs[1].digest)).unwrap();
    repository
        .get_blob(&image.blobs[1].digest)
        .await
        .expect_error(404, "BLOB_UNKNOWN");
    std::fs::remove_file(store::blob_path(&server.root(), &image.manifest.digest)).unwrap();
    // Bytes by digest may be cached: they cannot have changed.
    server.restart();
    let repository = server.anonymous().repository("a");
    for reference in ["v1", &image.manifest.digest] {
        repository
            .get_manifest(reference)
            .await
            .expect_error(404, "MANIFEST_UNKNOWN");
    }
    lives(&repository).await;
}

/// The length that the head promised is the length of what follows, or the connection breaks.
async fn a_truncated_blob_never_looks_whole(builder: ServerBuilder) {
    let server = builder.unchecked().start();
    let repository = server.anonymous().repository("a");
    let image = image::oci(1);
    repository.push_image("v1", &image).await;
    let file = store::blob_path(&server.root(), &image.manifest.digest);
    std::fs::write(&file, &image.manifest.bytes[..20]).unwrap();
    let answer = repository.get_manifest(&image.manifest.digest).try_send().await;
    // What cannot be the manifest of that digest must not be answered as if it were.
    if let Ok(answer) = answer {
        assert!(
            answer.status != 200 || answer.body == image.manifest.bytes,
            "{answer}"
        );
    }
    lives(&repository).await;
}

async fn lives(repository: &Repository) {
    let other = image::oci(7);
    repository.push_image("other", &other).await;
    repository.pull_image("other", &other).await;
}
