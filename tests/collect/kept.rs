//! What must survive a collection, with `--delete-untagged` as well, and what is kept because it cannot be read.

use wharf_testkit::{
    digest, image,
    image::{Blob, Manifest, OCI_INDEX},
    json, store,
    suite::Suite,
};

use crate::tree::{Tree, below};

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test("children_of_tagged_lists_survive", &[], children);
    suite.test("children_of_children_survive", &[], nested_indexes);
    suite.test("the_cache_of_a_build_keeps_its_layers", &[], build_cache);
    suite.test("referrers_and_subjects_survive", &[], referrers);
    suite.test("fallback_tags_of_referrers_are_tags", &[], fallback_tag);
    suite.test("schema_1_keeps_its_layers", &[], schema1);
    suite.test("a_manifest_over_4_mib_keeps_its_layers", &[], large_manifest);
    suite.test("an_unknown_media_type_keeps_what_it_mentions", &[], unknown_type);
    suite.test(
        "an_empty_tag_link_keeps_the_history_of_its_tag",
        &[],
        empty_tag_link,
    );
    suite.test(
        "an_empty_revision_link_keeps_its_manifest",
        &[],
        empty_revision_link,
    );
    suite.test("a_garbled_layer_link_keeps_its_layer", &[], garbled_layer_link);
    suite.test("a_link_to_something_else_keeps_both", &[], crossed_link);
    suite.test("a_repository_without_layers_is_no_obstacle", &[], without_layers);
    suite.test("a_damaged_manifest_keeps_its_repository", &[], damaged_manifest);
    suite.test("a_lost_manifest_keeps_its_repository", &[], lost_manifest);
    suite.test("a_dangling_tag_is_told_and_no_obstacle", &[], dangling_tag);
    suite.test(
        "s0_16_an_image_without_its_config_keeps_the_rest",
        &[],
        config_gone,
    );
    suite.test("a_manifest_linked_as_a_layer_is_one", &[], linked_as_in_2_1_0);
    suite.test("sha512_in_both_forms", &[], sha512);
    suite.test("an_unknown_algorithm_keeps_what_it_links", &[], unknown_algorithm);
    suite.test("unfinished_uploads_are_not_touched", &[], uploads);
    suite.test("names_that_no_request_can_have_keep_their_blobs", &[], odd_names);
    suite.test("what_one_repository_drops_another_keeps", &[], shared);
    suite.test("nothing_goes_when_a_directory_cannot_be_listed", &[], unlistable);
    suite.test("nothing_goes_when_a_name_is_out_of_reach", &[], unreachable_names);
    suite.test("thousands_of_tags", &[], thousands_of_tags);
}

fn children() {
    let tree = Tree::new();
    let [docker, oci] = [image::docker_list(1), image::oci_index(2)];
    tree.index("docker", Some("latest"), &docker);
    tree.index("oci", Some("latest"), &oci);
    let dead = image::oci_index(3);
    let gone = tree.index("oci", None, &dead);
    let said = tree.collect(&["-m"]);
    assert_eq!(said.counts.unwrap()[2], 1 + dead.images.len());
    assert_eq!(tree.revisions("docker"), 1 + docker.images.len());
    assert_eq!(tree.revisions("oci"), 1 + oci.images.len());
    assert!(!tree.has(&gone));
    tree.check();
    assert_eq!(tree.collect(&["-m"]).doomed_blobs.len(), 0);
}

fn build_cache() {
    let tree = Tree::new();
    for (name, media_type) in [("oci", OCI_INDEX), ("docker", image::DOCKER_LIST)] {
        let [kept, gone] = [1, 2].map(|seed| image::buildkit_cache(format!("{name} {seed}"), media_type));
        tree.image(name, Some("main"), &kept);
        tree.image(name, None, &gone);
        let said = tree.collect(&["-m"]);
        assert_eq!(said.counts.unwrap()[2], 1);
        assert_eq!(said.doomed_blobs.len(), 1 + gone.blobs.len());
        tree.check_pull(name, &kept.manifest.digest);
    }
    tree.check();
    assert_eq!(tree.collect(&["-m"]).doomed_blobs.len(), 0);
}

fn nested_indexes() {
    let tree = Tree::new();
    let inner = image::oci_index(1);
    tree.index("app", None, &inner);
    let middle = Manifest::new(
        OCI_INDEX,
        &json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [inner.manifest.descriptor()]}),
    );
    let outer = Manifest::new(
        OCI_INDEX,
        &json!({"schemaVersion": 2, "manifests": [middle.descriptor()], "annotations": {"outer": "yes"}}),
    );
    tree.manifest("app", None, &middle);
    tree.manifest("app", Some("latest"), &outer);
    let said = tree.collect(&["-m"]);
    assert_eq!(said.counts.unwrap()[1..], [0, 0]);
    assert_eq!(tree.revisions("app"), 3 + inner.images.len());
    tree.check();
}

fn referrers() {
    let tree = Tree::new();
    let [kept, gone, subject] = [image::oci(1), image::oci(2), image::oci(3)];
    tree.image("app", Some("latest"), &kept);
    tree.image("app", None, &gone);
    let signature = image::artifact(4, "application/vnd.example.signature", &kept.manifest);
    let of_signature = image::artifact(5, "application/vnd.example.timestamp", &signature.manifest);
    let dead = image::artifact(6, "application/vnd.example.signature", &gone.manifest);
    // Of a child of a tagged index.
    let index = image::oci_index(7);
    tree.index("app", Some("multi"), &index);
    let of_child = image::artifact(8, "application/vnd.example.sbom", &index.images[0].manifest);
    // A tagged artifact keeps the image that it is about.
    tree.image("app", None, &subject);
    let tagged = image::artifact(9, "application/vnd.example.sbom", &subject.manifest);
    for artifact in [&signature, &of_signature, &dead, &of_child] {
        tree.image("app", None, artifact);
    }
    tree.image("app", Some("sbom"), &tagged);

    let said = tree.collect(&["-m"]);
    let doomed = [gone.manifest.digest, dead.manifest.digest].into();
    assert_eq!(said.doomed_manifests, doomed);
    for kept in [&signature, &of_signature, &of_child, &tagged, &subject, &kept] {
        tree.check_pull("app", &kept.manifest.digest);
    }
    tree.check();
}

fn fallback_tag() {
    let tree = Tree::new();
    let image = image::oci(1);
    tree.image("app", Some("latest"), &image);
    let signature = image::artifact(2, "application/vnd.example.signature", &image.manifest);
    tree.image("app", None, &signature);
    // The client's list, and one of an image that has gone.
    let orphan = image::artifact(3, "application/vnd.example.signature", &image::oci(4).manifest);
    tree.image("app", None, &orphan);
    for (subject, artifact) in [(&image, &signature), (&image::oci(4), &orphan)] {
        let list = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [artifact.manifest.descriptor()]});
        let list = Manifest::new(OCI_INDEX, &list);
        tree.manifest("app", Some(&subject.manifest.fallback_tag()), &list);
    }
    assert_eq!(tree.collect(&["-m"]).counts.unwrap()[1..], [0, 0]);
    tree.check();
}

fn schema1() {
    let tree = Tree::new();
    let layers = [tree.layer("old", "first"), tree.layer("old", "second")];
    let manifest = json!({
        "schemaVersion": 1, "name": "old", "tag": "1", "architecture": "amd64",
        "fsLayers": [{"blobSum": layers[0]}, {"blobSum": layers[1]}],
        "history": [{"v1Compatibility": "{}"}, {"v1Compatibility": "{}"}],
        "signatures": [{"header": {}, "signature": "x", "protected": "y"}],
    });
    let manifest = Manifest::new(
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        &manifest,
    );
    tree.manifest("old", Some("1"), &manifest);
    let garbage = tree.layer("old", "third");
    let said = tree.collect(&["-m"]);
    assert_eq!(said.doomed_blobs, [garbage].into());
    tree.check();
}

fn large_manifest() {
    let tree = Tree::new();
    let image = image::oci(1);
    let large = image
        .manifest
        .with(&json!({"annotations": {"large": "x".repeat(5 << 20)}}));
    for blob in &image.blobs {
        tree.layer("large", blob.bytes.clone());
    }
    tree.manifest("large", Some("latest"), &large);
    let said = tree.collect(&["-m"]);
    assert_eq!(said.counts, Some([4, 0, 0]));
    assert_eq!(said.errors, "");
    tree.check();
}

fn unknown_type() {
    let tree = Tree::new();
    let parts = [tree.layer("app", "part"), tree.layer("app", "other part")];
    let child = tree.image("app", None, &image::oci(1));
    let media_type = "application/vnd.example.bundle.v9+json";
    let bundle =
        json!({"mediaType": media_type, "parts": {"a": parts[0], "b": [{"at": parts[1]}]}, "image": child});
    tree.manifest("app", Some("bundle"), &Manifest::new(media_type, &bundle));
    let garbage = tree.layer("app", "nobody names this");
    let said = tree.collect(&["-m"]);
    assert_eq!(said.doomed_blobs, [garbage].into());
    assert_eq!(said.counts.unwrap()[2], 0);
    tree.check();
    tree.check_pull("app", &child);
}

/// Overwrites a link without the server.
fn write_link(tree: &Tree, link: &str, content: &str) {
    std::fs::write(tree.repository(link).join("link"), content).unwrap();
}

fn empty_tag_link() {
    for content in ["", "sha256:garbage", "\0\0\0"] {
        let tree = Tree::new();
        let images = [image::oci(1), image::oci(2), image::oci(3)];
        for image in &images[..2] {
            tree.image("app", Some("moved"), image);
        }
        tree.image("app", None, &images[2]);
        write_link(&tree, "app/_manifests/tags/moved/current", content);
        let said = tree.collect(&["-m"]);
        assert_eq!(said.doomed_manifests, [images[2].manifest.digest.clone()].into());
        assert!(said.errors.contains("`moved`"), "{}", said.errors);
        assert_eq!(tree.history("app", "moved"), 2);
        for image in &images[..2] {
            tree.check_pull("app", &image.manifest.digest);
        }
    }
}

fn empty_revision_link() {
    let tree = Tree::new();
    let [tagged, untagged, gone] = [image::oci(1), image::oci(2), image::oci(3)];
    tree.image("app", Some("latest"), &tagged);
    tree.image("app", None, &untagged);
    tree.image("app", None, &gone);
    for image in [&tagged, &untagged] {
        let link = format!("app/_manifests/revisions/{}", below(&image.manifest.digest));
        write_link(&tree, &link, "");
    }
    let said = tree.collect(&["-m"]);
    assert_eq!(said.doomed_manifests, [gone.manifest.digest].into());
    for image in [&tagged, &untagged] {
        assert!(said.errors.contains(&image.manifest.digest), "{}", said.errors);
        tree.check_pull("app", &image.manifest.digest);
    }
}

fn garbled_layer_link() {
    let tree = Tree::new();
    let image = image::oci(1);
    tree.image("app", Some("latest"), &image);
    write_link(
        &tree,
        &format!("app/_layers/{}", below(&image.blobs[1].digest)),
        "",
    );
    let garbage = tree.layer("app", "garbage");
    write_link(&tree, &format!("app/_layers/{}", below(&garbage)), "");
    let said = tree.collect(&["-m"]);
    assert_eq!(said.doomed_blobs, [garbage].into());
    assert!(said.errors.contains(&image.blobs[1].digest), "{}", said.errors);
    tree.check_pull("app", &image.manifest.digest);
}

fn crossed_link() {
    let tree = Tree::new();
    let [one, other] = [image::oci(1), image::oci(2)];
    tree.image("app", None, &one);
    tree.image("app", None, &other);
    let link = format!("app/_manifests/revisions/{}", below(&one.manifest.digest));
    write_link(&tree, &link, &other.manifest.digest);
    // Another blob than the link's name says is what a client gets.
    let served = tree.layer("elsewhere", "what is served");
    let linked = image::oci(3);
    tree.image("app", Some("latest"), &linked);
    let link = format!("app/_layers/{}", below(&linked.blobs[1].digest));
    write_link(&tree, &link, &served);
    let said = tree.collect(&["-m"]);
    assert_eq!(said.counts.unwrap()[1..], [0, 0]);
    assert!(said.errors.contains(&one.manifest.digest), "{}", said.errors);
    assert!(tree.has(&served));
    for image in [&one, &other, &linked] {
        tree.check_pull("app", &image.manifest.digest);
    }
}

fn without_layers() {
    let tree = Tree::new();
    let [here, there] = [image::oci(1), image::oci(2)];
    tree.image("here", Some("1"), &here);
    tree.image("there", Some("1"), &there);
    std::fs::remove_dir_all(tree.repository("here/_layers")).unwrap();
    std::fs::remove_dir_all(tree.repository("here/_manifests/tags")).unwrap();
    let garbage = tree.layer("there", "garbage");
    let said = tree.collect(&[]);
    assert_eq!(said.doomed_blobs, [garbage].into());
    assert!(here.blobs.iter().all(|blob| tree.has(&blob.digest)));
    assert_eq!(tree.revisions("here"), 1);
    // Without its tag it may go, when that is wanted.
    assert_eq!(
        tree.collect(&["-m"]).doomed_manifests,
        [here.manifest.digest].into()
    );
    tree.check();
}

/// Checks that a repository is kept whole, while another one is collected.
fn is_kept_whole(break_it: impl Fn(&Tree, &str)) {
    for words in [&[][..], &["-m"]] {
        let tree = Tree::new();
        tree.image("app", Some("latest"), &image::oci(1));
        let broken = tree.image("app", None, &image::oci(2));
        let bystander = tree.image("app", None, &image::oci(3));
        tree.layer("app", "nobody knows whether this is needed");
        let garbage = tree.layer("elsewhere", "garbage");
        break_it(&tree, &broken);
        let before = tree.files();
        let said = tree.collect(words);
        assert_eq!(said.doomed_blobs, [garbage].into(), "{words:?}");
        for expected in ["`app`", &broken, "all of the repository is kept"] {
            assert!(said.errors.contains(expected), "{expected}: {}", said.errors);
        }
        let mut after = tree.files();
        after.retain(|path, _| !path.contains("elsewhere"));
        let kept = before
            .iter()
            .filter(|(path, _)| after.contains_key(*path))
            .count();
        assert_eq!(
            before.len() - kept,
            2,
            "the blob and the link of the other repository"
        );
        tree.check_pull("app", &bystander);
        // The operator is told what to do, and that helps.
        tree.delete("app", &broken);
        let said = tree.collect(words);
        assert!(!said.errors.contains("warning"), "{}", said.errors);
        assert!(said.doomed_blobs.len() >= 3, "{said:?}");
        tree.check();
    }
}

fn damaged_manifest() {
    for content in [
        &b""[..],
        b"{",
        b"{\"schemaVersion\":2,\"layers\":[]}",
        b"not even JSON",
    ] {
        is_kept_whole(|tree, digest| {
            std::fs::write(store::blob_path(&tree.root(), digest), content).unwrap();
        });
    }
}

fn lost_manifest() {
    is_kept_whole(|tree, digest| std::fs::remove_file(store::blob_path(&tree.root(), digest)).unwrap());
}

fn dangling_tag() {
    let tree = Tree::new();
    let image = image::oci(1);
    let digest = tree.image("app", Some("gone"), &image);
    tree.image("app", Some("latest"), &image::oci(2));
    let revision = format!("app/_manifests/revisions/{}", below(&digest));
    std::fs::remove_dir_all(tree.repository(&revision)).unwrap();
    // As long as its bytes are there, what it needs is there as well.
    let said = tree.collect(&["-m"]);
    assert_eq!(said.counts.unwrap()[1..], [0, 0]);
    std::fs::remove_file(store::blob_path(&tree.root(), &digest)).unwrap();
    let said = tree.collect(&["-m"]);
    assert_eq!(said.doomed_blobs.len(), image.blobs.len());
    assert!(said.errors.contains("`gone`"), "{}", said.errors);
}

fn config_gone() {
    let tree = Tree::new();
    let [broken, whole] = [image::docker(1), image::docker(2)];
    tree.image("app", Some("broken"), &broken);
    tree.image("app", Some("whole"), &whole);
    let config = &broken.blobs[0].digest;
    std::fs::remove_file(store::blob_path(&tree.root(), config)).unwrap();
    std::fs::remove_dir_all(tree.repository(&format!("app/_layers/{}", below(config)))).unwrap();
    let said = tree.collect(&["-m"]);
    assert_eq!(said.counts, Some([8, 0, 0]));
    assert!(broken.blobs[1..].iter().all(|blob| tree.has(&blob.digest)));
    tree.check_pull("app", &whole.manifest.digest);
}

/// Registry 2.1.0 linked manifests where layers are linked.
fn linked_as_in_2_1_0() {
    let tree = Tree::new();
    let image = image::docker(1);
    let digest = tree.image("old", Some("latest"), &image);
    let revision = format!("old/_manifests/revisions/{}", below(&digest));
    std::fs::remove_dir_all(tree.repository(&revision)).unwrap();
    store::write_link(&tree.root(), &format!("old/_layers/{}", below(&digest)), &digest);
    for words in [&[][..], &["-m"]] {
        let said = tree.collect(words);
        assert_eq!(said.counts, Some([4, 0, 0]));
        assert_eq!((said.doomed_layers.len(), said.errors.as_str()), (0, ""));
    }
}

fn sha512() {
    let tree = Tree::new();
    let bytes = ["stored by its own digest", "stored by its SHA-256"]
        .map(|text| Blob::random(text.len() as u64, 300));
    // The link of wharf.
    let own = digest::sha512(&bytes[0].bytes);
    let path = store::blob_path(&tree.root(), &own);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, &bytes[0].bytes).unwrap();
    store::write_link(&tree.root(), &format!("app/_layers/{}", below(&own)), &own);
    // The link of registry:2.
    let theirs = digest::sha512(&bytes[1].bytes);
    let stored = tree.layer("app", bytes[1].bytes.clone());
    store::write_link(&tree.root(), &format!("app/_layers/{}", below(&theirs)), &stored);
    let image = image::oci(1);
    let layers: Vec<_> = [&own, &theirs]
        .map(|digest| json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": 300}))
        .into();
    for blob in &image.blobs {
        tree.layer("app", blob.bytes.clone());
    }
    tree.manifest(
        "app",
        Some("latest"),
        &image.manifest.with(&json!({"layers": layers})),
    );
    let garbage = digest::sha512(b"garbage");
    let path = store::blob_path(&tree.root(), &garbage);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, b"garbage").unwrap();

    let said = tree.collect(&["-m"]);
    assert!(
        tree.has(&own) && tree.has(&stored) && !tree.has(&garbage),
        "{said:?}"
    );
    assert!(said.doomed_blobs.contains(&garbage));
    for digest in [&own, &theirs, &stored] {
        let link = tree
            .repository(&format!("app/_layers/{}", below(digest)))
            .join("link");
        assert!(link.exists(), "{digest}");
    }
}

fn unknown_algorithm() {
    let tree = Tree::new();
    let hex = "0".repeat(96);
    let layer = tree.layer("app", "asked for by its SHA-384");
    tree.image("app", Some("latest"), &image::oci(1));
    store::write_link(&tree.root(), &format!("app/_layers/sha384/{hex}"), &layer);
    let garbage = tree.layer("app", "garbage");
    assert_eq!(tree.collect(&["-m"]).doomed_blobs, [garbage].into());
    assert!(tree.has(&layer));
    // A manifest that cannot be read may need anything.
    let garbage = tree.layer("app", "garbage");
    store::write_link(
        &tree.root(),
        &format!("app/_manifests/revisions/sha384/{hex}"),
        "?",
    );
    let said = tree.collect(&["-m"]);
    assert!(tree.has(&garbage), "{said:?}");
    assert!(said.errors.contains("`sha384`"), "{}", said.errors);
}

fn uploads() {
    let tree = Tree::new();
    let upload = "_uploads/8f7c1b0e-6a0a-4b5c-9f0e-0d8a7f6b5c4d";
    for (path, content) in [("data", "half"), ("startedat", "2020-01-01T00:00:00Z")] {
        for repository in ["app", "new"] {
            let path = tree.repository(&format!("{repository}/{upload}/{path}"));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
    }
    tree.image("app", None, &image::oci(1));
    let said = tree.collect(&["-m"]);
    assert_eq!(said.counts.unwrap()[2], 1);
    assert_eq!(tree.files().len(), 4, "{:?}", tree.files().keys());
    tree.check();
}

fn odd_names() {
    let tree = Tree::new();
    let names = ["A/b", "UPPER", "localhost.5000/x", "a__b..c", "lost+found"];
    for (name, seed) in names.iter().zip(1..) {
        tree.image(name, Some("1"), &image::oci(seed));
        tree.image(name, Some("with+plus"), &image::oci(seed + 100));
    }
    assert_eq!(tree.collect(&["-m"]).counts.unwrap()[1..], [0, 0]);
    tree.check();
}

fn shared() {
    let tree = Tree::new();
    let image = image::oci(1);
    tree.image("kept", Some("1"), &image);
    tree.image("dropped", None, &image);
    tree.image("dropped", Some("other"), &image::oci(2));
    let said = tree.collect(&["-m"]);
    assert_eq!(said.counts, Some([8, 0, 1]));
    assert_eq!(said.doomed_layers.len(), image.blobs.len());
    assert_eq!(tree.revisions("dropped"), 1);
    tree.check();
}

/// Where links cannot be listed, it is unknown what is needed.
fn unlistable() {
    let tree = Tree::new();
    tree.image("app", Some("1"), &image::oci(1));
    let garbage = tree.layer("app", "garbage");
    // A symbolic link to itself: even root cannot list it.
    let manifests = tree.repository("broken/_manifests");
    std::fs::create_dir_all(&manifests).unwrap();
    std::os::unix::fs::symlink("revisions", manifests.join("revisions")).unwrap();
    let said = crate::tree::Collected::of(&mut tree.command(&[]));
    assert_eq!((said.code, said.doomed_blobs.len()), (Some(1), 0), "{said:?}");
    assert!(said.errors.contains("broken"), "{}", said.errors);
    assert!(tree.has(&garbage));
    std::fs::remove_dir_all(tree.repository("broken")).unwrap();
    tree.check();
    assert_eq!(tree.collect(&[]).doomed_blobs, [garbage].into());
}

/// A copy made by hand, beside the repositories or below one.
fn unreachable_names() {
    for name in ["app (copy)", "app/back up", "ünicode"] {
        let tree = Tree::new();
        tree.image("app", Some("1"), &image::oci(1));
        tree.image("app", Some("2"), &image::oci(2));
        let garbage = tree.layer("app", "garbage");
        let hidden = tree.repository(name);
        std::fs::create_dir_all(hidden.parent().unwrap()).unwrap();
        std::fs::create_dir_all(hidden.join("deep/_manifests")).unwrap();
        let said = crate::tree::Collected::of(&mut tree.command(&["-m"]));
        assert_eq!((said.code, said.doomed_blobs.len()), (Some(1), 0), "{said:?}");
        let last = name.rsplit('/').next().unwrap();
        assert!(said.errors.contains(&format!("`{last}`")), "{}", said.errors);
        assert!(tree.has(&garbage));
        std::fs::remove_dir_all(&hidden).unwrap();
        assert_eq!(tree.collect(&["-m"]).doomed_blobs, [garbage].into());
        tree.check();
    }
    // File servers keep directories of their own everywhere; these hold no repository, and are named once.
    let tree = Tree::new();
    tree.image("app", Some("1"), &image::oci(1));
    let garbage = tree.layer("app", "garbage");
    for name in ["@eaDir", "#recycle", "app/@eaDir", "lost+found"] {
        std::fs::create_dir_all(tree.repository(name).join("thumbnails/a b")).unwrap();
    }
    let said = crate::tree::Collected::of(&mut tree.command(&["-m"]));
    assert_eq!(said.doomed_blobs, [garbage].into(), "{said:?}");
    for name in ["@eaDir", "#recycle"] {
        assert!(said.errors.contains(name), "{}", said.errors);
    }
    // A file is no repository.
    let tree = Tree::new();
    tree.image("app", Some("1"), &image::oci(1));
    std::fs::write(tree.repository("read me"), "").unwrap();
    assert_eq!(tree.collect(&["-m"]).counts, Some([4, 0, 0]));
}

fn thousands_of_tags() {
    let tree = Tree::new();
    let images: Vec<_> = (0..20).map(image::docker).collect();
    for number in 0..3000 {
        let image = &images[number % 10];
        tree.manifest("app", Some(&format!("v{number}")), &image.manifest);
    }
    for image in &images {
        tree.image("app", None, image);
    }
    let said = tree.collect(&["-m"]);
    assert_eq!(said.counts.unwrap()[1..], [40, 10]);
    assert_eq!((tree.tags().len(), tree.revisions("app")), (3000, 10));
    tree.check();
}
