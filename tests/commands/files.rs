//! Images in files, there and back.

use std::path::Path;

use serde_json::Value;
use wharf_testkit::{Content, image, suite::Suite, tool::Bench};

use crate::scene::{ENGINES, Engine, Signed, assert_holds, host, path, registry, status, wharf};

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test("a_tar_brings_images_with_all_that_refers_to_them", &[], tar);
    suite.test("a_directory_takes_more_images_later", &[], directory);
    suite.test("a_dry_run_lists_and_changes_nothing", &[], dry_run);
    suite.test("an_export_leaves_out_what_the_other_side_has", &[], since);
    suite.test(
        "a_directory_remembers_what_each_export_has_left_out",
        &[],
        since_twice,
    );
    suite.test("an_export_that_fails_leaves_no_file", &[], failed_export);
}

fn tar() {
    for engine in ENGINES {
        let (from, to) = (registry(engine), registry(engine));
        let (from, to, bench) = (host(&from), host(&to), Bench::new());
        let (signed, plain) = (Signed::new("tar"), Content::of(image::docker("plain")));
        signed.push(&from, "team/app", "1");
        plain.push(&from, "tools", "2");
        let file = path(&bench, "images.tar");
        let said = wharf(&[
            "export",
            &format!("{from}/team/app:1"),
            &format!("{from}/tools:2"),
            "-o",
            &file,
        ]);
        assert_eq!(said.good().lines().count(), 2);
        let said = wharf(&["import", &file, &to]).good();
        let digests = [&signed.index.root().digest, &plain.root().digest];
        assert_eq!(
            said,
            format!("{to}/team/app:1@{}\n{to}/tools:2@{}\n", digests[0], digests[1])
        );
        signed.assert_held(&to, "team/app", "1");
        assert_holds(&to, "tools", "2", &plain);
        wharf(&["import", "--no-referrers", &file, &format!("{to}/all")]).good();
        assert_holds(&to, "all", "1", &signed.index);
        assert_holds(&to, "all", "2", &plain);
    }
}

fn entries(directory: &Path) -> usize {
    let index = std::fs::read(directory.join("index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    index["manifests"].as_array().unwrap().len()
}

fn directory() {
    let (from, to) = (registry(Engine::Filesystem), registry(Engine::Filesystem));
    let (from, to, bench) = (host(&from), host(&to), Bench::new());
    let contents = ["1", "2"].map(|tag| Content::of(image::oci(format!("directory {tag}"))));
    let out = path(&bench, "layout");
    for (tag, content) in ["1", "2"].iter().zip(&contents) {
        content.push(&from, "app", tag);
        let said = wharf(&[
            "export",
            "--format",
            "oci-dir",
            "-o",
            &out,
            &format!("{from}/app:{tag}"),
        ]);
        said.good();
    }
    assert_eq!(entries(&bench.path("layout")), 2);
    // The same again replaces its entry.
    wharf(&[
        "export",
        "--format",
        "oci-dir",
        "-o",
        &out,
        &format!("{from}/app:1"),
    ])
    .good();
    assert_eq!(entries(&bench.path("layout")), 2);
    wharf(&["import", &out, &to]).good();
    for (tag, content) in ["1", "2"].iter().zip(&contents) {
        assert_holds(&to, "app", tag, content);
    }
}

fn dry_run() {
    let (from, to) = (registry(Engine::Filesystem), registry(Engine::Filesystem));
    let (from, to, bench) = (host(&from), host(&to), Bench::new());
    let content = Content::of(image::oci("dry"));
    content.push(&from, "app", "1");
    let file = path(&bench, "images.tar");
    wharf(&["export", "-o", &file, &format!("{from}/app:1")]).good();
    let said = wharf(&["import", "--dry-run", &file, &format!("{to}/other:9")]).good();
    assert_eq!(said, format!("{to}/other:9@{}\n", content.root().digest));
    assert_eq!(status(&to, "/v2/other/manifests/9"), 404);
}

fn since() {
    for engine in ENGINES {
        let (from, to) = (registry(engine), registry(engine));
        let (from, to, bench) = (host(&from), host(&to), Bench::new());
        let (known, new) = (Content::of(image::oci("known")), Content::of(image::oci("new")));
        for (tag, content) in [("1", &known), ("2", &new)] {
            content.push(&from, "app", tag);
        }
        // The other side has the layers of the first image in another repository.
        known.push(&to, "old/app", "1");
        let inventory = wharf(&["inventory", &to]).good();
        assert!(inventory.contains("repository old/app\n"), "{inventory}");
        bench.write("inventory", &inventory);
        let file = path(&bench, "images.tar");
        let inventory = path(&bench, "inventory");
        let images = [format!("{from}/app:1"), format!("{from}/app:2")];
        wharf(&[
            "export", "--since", &inventory, "-o", &file, &images[0], &images[1],
        ])
        .good();
        let tar = std::fs::read(bench.path("images.tar")).unwrap();
        let has = |content: &Content| {
            content
                .blobs
                .values()
                .filter(|bytes| tar.windows(bytes.len()).any(|part| part == &bytes[..]))
                .count()
        };
        assert_eq!((has(&known), has(&new)), (0, new.blobs.len()));
        wharf(&["import", &file, &to]).good();
        assert_holds(&to, "app", "1", &known);
        assert_holds(&to, "app", "2", &new);

        // Where the base is not, nothing becomes visible.
        let other = registry(engine);
        let other = host(&other);
        let error = wharf(&["import", &file, &other]).bad();
        assert!(error.contains("is missing"), "{error}");
        assert_eq!(status(&other, "/v2/app/manifests/1"), 404);
    }
}

fn since_twice() {
    let (from, to) = (registry(Engine::Filesystem), registry(Engine::Memory));
    let (from, to, bench) = (host(&from), host(&to), Bench::new());
    let contents = ["1", "2"].map(|tag| Content::of(image::oci(tag)));
    let out = path(&bench, "layout");
    for (tag, content) in ["1", "2"].iter().zip(&contents) {
        content.push(&from, "app", tag);
        content.push(&to, &format!("base/{tag}"), "1");
        let inventory = wharf(&["inventory", &format!("{to}/base/{tag}")]).good();
        bench.write("inventory", &inventory);
        wharf(&[
            "export",
            "--format",
            "oci-dir",
            "--since",
            &path(&bench, "inventory"),
            "-o",
            &out,
            &format!("{from}/app:{tag}"),
        ])
        .good();
    }
    wharf(&["import", &out, &to]).good();
    for (tag, content) in ["1", "2"].iter().zip(&contents) {
        assert_holds(&to, "app", tag, content);
    }
}

fn failed_export() {
    let from = registry(Engine::Memory);
    let (from, bench) = (host(&from), Bench::new());
    Content::of(image::oci("there")).push(&from, "app", "1");
    let file = path(&bench, "out/images.tar");
    std::fs::create_dir(bench.path("out")).unwrap();
    let said = wharf(&[
        "export",
        "-o",
        &file,
        &format!("{from}/app:1"),
        &format!("{from}/app:missing"),
    ]);
    assert!(said.bad().contains("has no tag `missing`"));
    assert_eq!(std::fs::read_dir(bench.path("out")).unwrap().count(), 0);
}
