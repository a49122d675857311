//! Bad files, and what they get: one line, and nothing visible in the registry.

use std::path::Path;

use serde_json::{Value, json};
use wharf_testkit::{Content, image, suite::Suite, tool::Bench};

use crate::scene::{ENGINES, Engine, assert_holds, get_json, host, path, registry, status, wharf};

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test("bad_files_are_named_with_a_remedy", &[], bad_files);
    suite.test("a_changed_layer_is_found", &[], changed);
    suite.test("a_cut_file_is_found", &[], cut);
    suite.test("links_in_a_directory_are_not_followed", &[], links);
    suite.test(
        "references_that_are_not_known_are_refused",
        &[],
        unknown_references,
    );
    suite.test("names_in_a_file_are_names_of_repositories", &[], names_in_files);
    suite.test("the_platforms_that_a_file_has_are_imported", &[], some_platforms);
}

/// A registry that has an image, and a file with it.
fn exported(bench: &Bench) -> (wharf_testkit::Server, Content, String) {
    let server = registry(Engine::Memory);
    let content = Content::of(image::oci("bad"));
    content.push(&host(&server), "app", "1");
    let file = path(bench, "images.tar");
    wharf(&["export", "-o", &file, &format!("{}/app:1", host(&server))]).good();
    (server, content, file)
}

fn bad_files() {
    let (server, bench) = (registry(Engine::Memory), Bench::new());
    let to = format!("{}/new", host(&server));
    let import = |name: &str| wharf(&["import", &path(&bench, name), &to]).bad();
    bench.write("text", &"this is no tar\n".repeat(100));
    bench.write("empty", "");
    bench.write("zipped", "\u{1f}");
    std::fs::write(bench.path("zipped"), [0x1f, 0x8b, 8, 0, 0, 0]).unwrap();
    std::fs::create_dir(bench.path("directory")).unwrap();
    for (name, reason) in [
        ("text", "it is no tar"),
        ("empty", "it is empty"),
        ("zipped", "run `gunzip` on it first"),
        ("directory", "it has neither `index.json` nor `manifest.json`"),
        ("nothing", "there is no such file"),
    ] {
        let error = import(name);
        assert!(error.contains(reason), "{name}: {error}");
    }
}

fn position(file: &Path, bytes: &[u8]) -> usize {
    let tar = std::fs::read(file).unwrap();
    tar.windows(bytes.len()).position(|part| part == bytes).unwrap()
}

fn changed() {
    let bench = Bench::new();
    let (server, content, file) = exported(&bench);
    let layer = content.blobs.values().max_by_key(|bytes| bytes.len()).unwrap();
    let mut tar = std::fs::read(&file).unwrap();
    tar[position(Path::new(&file), layer) + 3] ^= 1;
    std::fs::write(&file, tar).unwrap();
    let error = wharf(&["import", &file, &format!("{}/changed", host(&server))]).bad();
    assert!(error.contains("should have the digest"), "{error}");
    assert_eq!(status(&host(&server), "/v2/changed/manifests/1"), 404);
}

fn cut() {
    let bench = Bench::new();
    let (server, content, file) = exported(&bench);
    let whole = std::fs::read(&file).unwrap();
    let layer = content.blobs.values().max_by_key(|bytes| bytes.len()).unwrap();
    let inside = position(Path::new(&file), layer) + layer.len() / 2;
    for length in [inside, whole.len() / 512 * 256, 700] {
        std::fs::write(&file, &whole[..length]).unwrap();
        let error = wharf(&["import", &file, &format!("{}/cut", host(&server))]).bad();
        assert!(
            error.contains("cut short") || error.contains("is no image"),
            "{length}: {error}"
        );
        assert_eq!(status(&host(&server), "/v2/cut/manifests/1"), 404);
    }
}

/// Path of a blob in a layout on the bench.
fn blob(bench: &Bench, digest: &str) -> std::path::PathBuf {
    bench.path("layout/blobs").join(digest.replace(':', "/"))
}

fn links() {
    let (server, bench) = (registry(Engine::Memory), Bench::new());
    let content = Content::of(image::oci("links"));
    content.write_layout(&bench.path("layout"), "1");
    let (digest, bytes) = content.blobs.iter().next().unwrap();
    std::fs::write(bench.path("secret"), bytes).unwrap();
    std::fs::remove_file(blob(&bench, digest)).unwrap();
    std::os::unix::fs::symlink(bench.path("secret"), blob(&bench, digest)).unwrap();
    let error = wharf(&[
        "import",
        &path(&bench, "layout"),
        &format!("{}/app", host(&server)),
    ])
    .bad();
    assert!(error.contains("links in a directory are not followed"), "{error}");
    assert_eq!(status(&host(&server), "/v2/app/manifests/1"), 404);
}

fn unknown_references() {
    let (server, bench) = (registry(Engine::Memory), Bench::new());
    let content = Content::of(image::oci("unknown"));
    content.write_layout(&bench.path("layout"), "1");
    let mut manifest = content.root().json();
    let digest = format!("blake3:{}", "0".repeat(64));
    let layers = manifest["layers"].as_array_mut().unwrap();
    layers.push(json!({"mediaType": "application/octet-stream", "digest": digest, "size": 1}));
    replace_root(&bench, &manifest);
    let error = wharf(&[
        "import",
        &path(&bench, "layout"),
        &format!("{}/app", host(&server)),
    ])
    .bad();
    assert!(
        error.contains(&digest) && error.contains("a copy would lack it"),
        "{error}"
    );
}

/// Puts another manifest into the layout, and points its index at that.
fn replace_root(bench: &Bench, manifest: &Value) {
    let bytes = manifest.to_string();
    let digest = wharf_testkit::digest::sha256(bytes.as_bytes());
    std::fs::write(blob(bench, &digest), &bytes).unwrap();
    let file = bench.path("layout/index.json");
    let mut index: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    index["manifests"][0]["digest"] = digest.into();
    index["manifests"][0]["size"] = bytes.len().into();
    std::fs::write(&file, index.to_string()).unwrap();
}

fn names_in_files() {
    let (server, bench) = (registry(Engine::Memory), Bench::new());
    let content = Content::of(image::oci("names"));
    content.write_layout(&bench.path("layout"), "1");
    let digest = content.blobs.keys().next().unwrap();
    let to = format!("{}/app", host(&server));
    for name in ["a&digest=b", "A", "a\nrepository b"] {
        let left_out = json!({digest.as_str(): name}).to_string();
        bench.write("layout/wharf-left-out.json", &left_out);
        let error = wharf(&["import", &path(&bench, "layout"), &to]).bad();
        assert!(error.contains("names no repository"), "{error}");
        if name.contains('\n') {
            // There it would be two lines.
            continue;
        }
        bench.write(
            "inventory",
            &format!("# wharf inventory 1 x\nrepository {name}\n{digest}\n"),
        );
        let file = path(&bench, "inventory");
        let said = wharf(&[
            "export",
            "--since",
            &file,
            "-o",
            &path(&bench, "out.tar"),
            &format!("{to}:1"),
        ]);
        assert!(said.bad().contains("is no inventory"));
    }
}

/// As docker saves what it has pulled for one platform: the index names all of them.
fn some_platforms() {
    for engine in ENGINES {
        let (server, bench) = (registry(engine), Bench::new());
        let content = Content::of(image::oci_index("some"));
        content.write_layout(&bench.path("layout"), "1");
        let index = content.root().json();
        for entry in index["manifests"].as_array().unwrap() {
            let is_absent = entry["platform"]["architecture"] != "amd64";
            if is_absent {
                std::fs::remove_file(blob(&bench, entry["digest"].as_str().unwrap())).unwrap();
            }
        }
        let (file, to) = (path(&bench, "layout"), host(&server));
        let said = wharf(&["import", &file, &format!("{to}/app")]);
        assert!(said.err.contains("without attestations, linux/arm64"), "{said:?}");
        let line = said.good();
        let imported = get_json(&to, "/v2/app/manifests/1");
        assert_eq!(imported["manifests"].as_array().unwrap().len(), 1, "{imported}");
        assert_eq!(
            imported["manifests"][0]["digest"],
            index["manifests"][0]["digest"]
        );
        let dry = wharf(&["import", "--dry-run", &file, &format!("{to}/app")]).good();
        assert_eq!(dry, line, "it has the digest that it gets");
        // Without any platform it is not whole.
        std::fs::remove_file(blob(&bench, index["manifests"][0]["digest"].as_str().unwrap())).unwrap();
        let error = wharf(&["import", &file, &format!("{to}/none")]).bad();
        assert!(error.contains("is missing"), "{error}");
    }
    let server = registry(Engine::Memory);
    let content = Content::of(image::oci_index("whole"));
    let bench = Bench::new();
    content.write_layout(&bench.path("layout"), "1");
    wharf(&[
        "import",
        &path(&bench, "layout"),
        &format!("{}/app", host(&server)),
    ])
    .good();
    assert_holds(&host(&server), "app", "1", &content);
}
