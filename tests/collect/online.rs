//! Collections by the server that runs: `wharf gc`, and `garbage-collect` beside it.

use std::{fs, path::Path};

use wharf_testkit::{
    Server, image, run,
    suite::Suite,
    tool::{Bench, Ran},
};

use crate::tree::binary;

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test("gc_frees_space_beside_the_server", &[], || run(gc()));
    suite.test(
        "garbage_collect_beside_a_server_is_done_by_the_server",
        &[],
        || {
            run(garbage_collect());
        },
    );
    suite.test(
        "garbage_collect_beside_a_server_removes_untagged_manifests",
        &[],
        || {
            run(untagged());
        },
    );
    suite.test("gc_says_what_the_trash_keeps", &[], || run(trash()));
    suite.test("why_names_what_needs_a_digest_and_the_way_there", &[], || {
        run(why());
    });
    suite.test("the_server_collects_by_itself", &[], || run(by_itself()));
}

/// A server whose deletions are final, and which collects what is of any age; and its configuration as commands read it.
fn serving(bench: &Bench, more: &[&str]) -> Server {
    let data = bench.path("data").display().to_string();
    fs::create_dir_all(bench.path("data")).unwrap();
    let mut text = format!("version: 0.1\nstorage: {{filesystem: {{rootdirectory: {data}}}}}\n");
    let mut builder = Server::builder(binary().to_str().unwrap()).unchecked();
    for line in more {
        builder = builder.config(*line);
        text += &format!("{line}\n");
    }
    bench.write("config.yml", &text);
    builder
        .environment("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", &data)
        .start()
}

/// Only on demand: the collection that a server begins by itself when the grace period is over would take the garbage away.
const AT_ONCE: [&str; 2] = ["trash: {retention: 0}", "collect: {grace: 0, enabled: false}"];

fn wharf(bench: &Bench, words: &[&str]) -> Ran {
    bench.try_run(binary().to_str().unwrap(), words)
}

/// Pushes two images and deletes the second one, which alone needs some blobs. Gives the bytes of these.
async fn garbage(server: &Server) -> (image::Image, image::Image, u64) {
    let repository = server.anonymous().repository("team/app");
    let (kept, gone) = (image::oci("kept"), image::oci("gone"));
    repository.push_image("kept", &kept).await;
    repository.push_image("gone", &gone).await;
    repository
        .delete_manifest(&gone.manifest.digest)
        .await
        .expect(202);
    let alone = gone
        .blobs
        .iter()
        .filter(|blob| !kept.blobs.iter().any(|other| other.digest == blob.digest));
    let bytes: usize = alone.map(|blob| blob.bytes.len()).sum::<usize>() + gone.manifest.bytes.len();
    (kept, gone, bytes as u64)
}

fn is_stored(root: &Path, digest: &str) -> bool {
    wharf_testkit::store::blob_path(root, digest).exists()
}

async fn gc() {
    let bench = Bench::new();
    let server = serving(&bench, &AT_ONCE);
    let (kept, gone, bytes) = garbage(&server).await;
    let ran = wharf(&bench, &["gc", "--config", "config.yml", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let told: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (&told["removed"]["bytes"], &told["waiting"]["blobs"]),
        (&bytes.into(), &0.into())
    );
    assert!(!is_stored(&bench.path("data"), &gone.manifest.digest));
    let repository = server.anonymous().repository("team/app");
    repository.pull_image("kept", &kept).await;
    // The same content is really there again, without a restart.
    repository.push_image("gone", &gone).await;
    repository.pull_image("gone", &gone).await;
    let ran = wharf(&bench, &["gc", "--config", "config.yml"]);
    assert_eq!(
        (ran.code, &*ran.stdout),
        (Some(0), "freed 0 B: 0 blobs\n"),
        "{ran:?}"
    );
}

async fn why() {
    let bench = Bench::new();
    let server = serving(&bench, &["collect: {grace: 0}"]);
    let (kept, gone, _) = garbage(&server).await;
    let index = image::oci_index("index");
    let repository = server.anonymous().repository("team/multi");
    repository.push_index("all", &index).await;
    let told = |digest: &str| {
        let ran = wharf(&bench, &["why", digest, "--config", "config.yml"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stdout
    };
    let layer = &kept.blobs.last().unwrap().digest;
    let text = told(layer);
    let expected = format!(
        "is needed by\n  team/app:kept\n    through {}\n",
        kept.manifest.digest
    );
    assert!(text.starts_with(layer) && text.ends_with(&expected), "{text}");
    let child = &index.images[0];
    let text = told(&child.blobs[0].digest);
    let (top, middle) = (&index.manifest.digest, &child.manifest.digest);
    let expected = format!("  team/multi:all\n    through {top}\n    through {middle}\n");
    assert!(text.contains(&expected), "{text}");
    let text = told(&gone.manifest.digest);
    assert!(
        text.contains("  the deletion ") && text.contains(" of team/app, which can be restored\n"),
        "{text}"
    );
    let never = format!("sha256:{}", "0".repeat(64));
    assert_eq!(
        told(&never),
        format!("{never} is not stored, and nothing needs it\n")
    );
    let ran = wharf(&bench, &["why", "sha256:12", "--config", "config.yml"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

async fn garbage_collect() {
    let bench = Bench::new();
    let server = serving(&bench, &AT_ONCE);
    let (kept, gone, bytes) = garbage(&server).await;
    let ran = wharf(&bench, &["garbage-collect", "config.yml"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let manifest = &kept.manifest.digest;
    let is_shared = |blob: &image::Blob| kept.blobs.iter().any(|other| other.digest == blob.digest);
    let garbage: Vec<_> = gone.blobs.iter().filter(|blob| !is_shared(blob)).collect();
    for line in [
        format!("team/app: marking manifest {manifest} \n"),
        format!(
            "\n{} blobs marked, {} blobs and 0 manifests eligible for deletion\n",
            kept.blobs.len() + 1,
            garbage.len() + 1
        ),
        format!("blob eligible for deletion: {}\n", gone.manifest.digest),
        format!("{bytes} bytes ("),
    ] {
        assert!(ran.stdout.contains(&line), "{line:?}: {ran:?}");
    }
    assert!(!is_stored(&bench.path("data"), &gone.manifest.digest));
    server
        .anonymous()
        .repository("team/app")
        .pull_image("kept", &kept)
        .await;
}

/// The same tag, pushed four times.
async fn untagged() {
    let bench = Bench::new();
    let server = serving(&bench, &["collect: {grace: 0}"]);
    let repository = server.anonymous().repository("user/repo");
    let mut pushed = Vec::new();
    for number in 0..4 {
        let image = image::oci(number);
        repository.push_image("latest", &image).await;
        pushed.push(image);
    }
    let index = image::oci_index("index");
    repository.push_index("multi", &index).await;
    let ran = wharf(&bench, &["garbage-collect", "-m", "config.yml"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.stdout.contains(" and 3 manifests eligible for deletion"),
        "{ran:?}"
    );
    let manifests = bench.path("data/docker/registry/v2/repositories/user/repo/_manifests");
    let entries = |below: &str| fs::read_dir(manifests.join(below)).unwrap().count();
    assert_eq!(entries("tags/latest/index/sha256"), 1);
    assert_eq!(entries("revisions/sha256"), 2 + index.images.len());
    repository.pull_image("latest", &pushed[3]).await;
    for image in &index.images {
        repository.pull_image(&image.manifest.digest, image).await;
    }
    assert!(!is_stored(&bench.path("data"), &pushed[0].manifest.digest));
}

async fn trash() {
    let bench = Bench::new();
    let server = serving(&bench, &["collect: {grace: 0}"]);
    let (_, gone, _) = garbage(&server).await;
    let ran = wharf(&bench, &["gc", "--config", "config.yml"]);
    assert!(
        ran.stdout
            .starts_with("freed 0 B: 0 blobs\nnote: 1 deletion in the trash keeps what it removed"),
        "{ran:?}"
    );
    assert!(is_stored(&bench.path("data"), &gone.manifest.digest));
    drop(server);
    let ran = wharf(&bench, &["garbage-collect", "config.yml"]);
    assert!(
        ran.stderr.contains("note: 1 deletion in the trash keeps"),
        "{ran:?}"
    );
    assert!(
        is_stored(&bench.path("data"), &gone.manifest.digest),
        "also without a server"
    );
}

async fn by_itself() {
    let bench = Bench::new();
    let server = serving(
        &bench,
        &["trash: {retention: 0}", "collect: {grace: 0, interval: 1s}"],
    );
    let (_, gone, _) = garbage(&server).await;
    server.says("collected garbage").await;
    assert!(!is_stored(&bench.path("data"), &gone.manifest.digest));
}
