//! Bad files, and what they get: one line, and nothing visible in the registry.

use std::path::Path;

use wharf_testkit::{Content, image, suite::Suite, tool::Bench};

use crate::scene::{Engine, host, path, registry, status, wharf};

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test("bad_files_are_named_with_a_remedy", &[], bad_files);
    suite.test("a_changed_layer_is_found", &[], changed);
    suite.test("a_cut_file_is_found", &[], cut);
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
        ("nothing", "not found"),
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
