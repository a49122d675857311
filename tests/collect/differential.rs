//! The same trees, collected by wharf, registry 2.8.2 and registry:3: the same lines, and each intended difference.

use wharf_testkit::{
    image,
    peer::{REGISTRY_2, REGISTRY_3},
    suite::{Part, Suite},
};

use crate::tree::{Collected, Tree, below};

/// A tree on which all of them agree.
struct Scene {
    name: &'static str,
    build: fn(&Tree),
    /// Whether registry 2.8.2 agrees with `--delete-untagged` as well.
    two_prunes_alike: bool,
    /// Whether registry:3 agrees with `--delete-untagged` as well.
    three_prunes_alike: bool,
}

const SCENES: &[Scene] = &[
    Scene {
        name: "plain_images",
        build: plain,
        two_prunes_alike: true,
        three_prunes_alike: true,
    },
    Scene {
        name: "overwritten_tags",
        build: overwritten,
        two_prunes_alike: true,
        three_prunes_alike: true,
    },
    Scene {
        name: "images_tagged_elsewhere",
        build: tagged_elsewhere,
        two_prunes_alike: true,
        // It keeps what any repository has tagged in all of them.
        three_prunes_alike: false,
    },
    Scene {
        name: "nested_repositories",
        build: nested,
        two_prunes_alike: true,
        three_prunes_alike: true,
    },
    Scene {
        name: "lists_and_indexes",
        build: lists,
        // It deletes the children of tagged lists.
        two_prunes_alike: false,
        three_prunes_alike: true,
    },
    Scene {
        name: "interrupted_pushes",
        build: interrupted,
        two_prunes_alike: true,
        three_prunes_alike: true,
    },
    Scene {
        name: "referrers",
        build: referrers,
        // Both delete the signatures of tagged images.
        two_prunes_alike: false,
        three_prunes_alike: false,
    },
];

/// A tree on which the other registries stop, and wharf does not.
struct Obstacle {
    name: &'static str,
    build: fn(&Tree),
    words: &'static [&'static str],
    two_stops: bool,
    three_stops: bool,
}

const OBSTACLES: &[Obstacle] = &[
    Obstacle {
        name: "an_empty_revision_link",
        build: empty_revision_link,
        words: &[],
        two_stops: true,
        three_stops: true,
    },
    Obstacle {
        name: "an_empty_tag_link",
        build: empty_tag_link,
        words: &["-m"],
        two_stops: true,
        three_stops: true,
    },
    Obstacle {
        name: "a_repository_without_layers",
        build: without_layers,
        words: &[],
        // It does not see such a repository, and sweeps its blobs.
        two_stops: false,
        three_stops: true,
    },
    Obstacle {
        name: "a_manifest_of_an_unknown_type",
        build: unknown_type,
        words: &[],
        two_stops: true,
        three_stops: true,
    },
    Obstacle {
        name: "a_damaged_manifest",
        build: damaged_manifest,
        words: &[],
        two_stops: true,
        three_stops: true,
    },
];

pub(crate) fn add_to(suite: &mut Suite) {
    let two = [Part::Program(REGISTRY_2)];
    let three = [Part::Program(REGISTRY_3)];
    for scene in SCENES {
        suite.test(&format!("{}_as_registry_2", scene.name), &two, || {
            as_registry_2(scene);
        });
        suite.test(&format!("{}_as_registry_3", scene.name), &three, || {
            as_registry_3(scene);
        });
    }
    for obstacle in OBSTACLES {
        let name = format!("{}_stops_registry_2_not_us", obstacle.name);
        suite.test(&name, &two, || stops(obstacle, REGISTRY_2, obstacle.two_stops));
        let name = format!("{}_stops_registry_3_not_us", obstacle.name);
        suite.test(&name, &three, || {
            stops(obstacle, REGISTRY_3, obstacle.three_stops);
        });
    }
    suite.test("registry_2_loses_the_children_of_tagged_lists", &two, || {
        loses(lists, REGISTRY_2);
    });
    suite.test("registry_2_loses_referrers", &two, || {
        loses(referrers, REGISTRY_2);
    });
    suite.test("registry_3_loses_referrers", &three, || {
        loses(referrers, REGISTRY_3);
    });
    suite.test("registry_2_does_not_prune_what_the_api_has_deleted", &two, || {
        leaves_history(REGISTRY_2);
    });
    suite.test(
        "registry_3_does_not_prune_what_the_api_has_deleted",
        &three,
        || {
            leaves_history(REGISTRY_3);
        },
    );
}

fn as_registry_2(scene: &Scene) {
    let tree = Tree::new();
    (scene.build)(&tree);
    for (words, alike) in [(&["-d"][..], true), (&["-d", "-m"], scene.two_prunes_alike)] {
        let (ours, theirs) = (tree.collect(words), tree.collect_with(REGISTRY_2, words));
        assert_eq!(theirs.code, Some(0), "{theirs:?}");
        if alike {
            assert_eq!(ours.repositories, theirs.repositories, "{words:?}");
            assert_eq!(ours.manifests, theirs.manifests, "{words:?}");
            assert_eq!(ours.blobs, theirs.blobs, "{words:?}");
            assert_same_garbage(&ours, &theirs);
        }
    }
    // registry:2 serves everything that wharf left.
    tree.collect(&["-m"]);
    tree.check();
    tree.check_served_by_registry_2();
}

fn as_registry_3(scene: &Scene) {
    let tree = Tree::new();
    (scene.build)(&tree);
    for (words, alike) in [(&[][..], true), (&["-m"], scene.three_prunes_alike)] {
        let (mine, its) = (tree.copied(), tree.copied());
        let (ours, theirs) = (mine.collect(words), its.collect_with(REGISTRY_3, words));
        assert_eq!(theirs.code, Some(0), "{theirs:?}");
        mine.check();
        if !alike {
            continue;
        }
        assert_eq!(ours.repositories, theirs.repositories, "{words:?}");
        assert_eq!(ours.manifests, theirs.manifests, "{words:?}");
        // It says of each blob only once that it is marked, whichever repositories need it.
        assert_eq!(ours.marked(), theirs.marked(), "{words:?}");
        assert_same_garbage(&ours, &theirs);
        // It keeps the layer links of blobs that a repository before needs.
        assert!(
            ours.doomed_layers.is_superset(&theirs.doomed_layers),
            "{ours:?} {theirs:?}"
        );
        let without_layers = |tree: &Tree| {
            let mut files = tree.files();
            files.retain(|path, _| !path.contains("/_layers/"));
            files
        };
        assert_eq!(without_layers(&mine), without_layers(&its), "{words:?}");
    }
}

fn assert_same_garbage(ours: &Collected, theirs: &Collected) {
    assert_eq!(ours.counts, theirs.counts);
    assert_eq!(ours.doomed_blobs, theirs.doomed_blobs);
    assert_eq!(ours.doomed_manifests, theirs.doomed_manifests);
    // Only wharf prints the total.
    assert_eq!((ours.others.len(), theirs.others.len()), (1, 0), "{theirs:?}");
    assert!(ours.others[0].contains(" bytes ("), "{ours:?}");
}

fn stops(obstacle: &Obstacle, program: &str, it_stops: bool) {
    let tree = Tree::new();
    plain(&tree);
    let garbage = tree.layer("z-last", "garbage");
    (obstacle.build)(&tree);
    let theirs = tree.copied().collect_with(program, obstacle.words);
    assert_eq!(theirs.code, Some(i32::from(it_stops)), "{theirs:?}");
    let ours = tree.collect(obstacle.words);
    assert!(ours.doomed_blobs.contains(&garbage) && !tree.has(&garbage));
    for (seed, name) in [(1, "app"), (2, "app"), (3, "org/app")] {
        tree.check_pull(name, &image::docker(seed).manifest.digest);
    }
}

/// It deletes more than wharf, and not everything that is tagged can be pulled any more.
fn loses(build: fn(&Tree), program: &str) {
    let tree = Tree::new();
    build(&tree);
    let its = tree.copied();
    let theirs = its.collect_with(program, &["-m"]);
    let ours = tree.collect(&["-m"]);
    assert_eq!(theirs.code, Some(0), "{theirs:?}");
    assert!(
        theirs.doomed_manifests.is_superset(&ours.doomed_manifests)
            && theirs.doomed_manifests.len() > ours.doomed_manifests.len(),
        "{theirs:?}"
    );
    tree.check();
}

fn leaves_history(program: &str) {
    let tree = Tree::new();
    for seed in 1..=3 {
        tree.image("app", Some("latest"), &image::docker(seed));
    }
    for seed in 1..=2 {
        tree.delete("app", &image::docker(seed).manifest.digest);
    }
    let its = tree.copied();
    let theirs = its.collect_with(program, &["-m"]);
    assert_eq!(
        (theirs.code, its.history("app", "latest")),
        (Some(0), 3),
        "{theirs:?}"
    );
    tree.collect(&["-m"]);
    assert_eq!(tree.history("app", "latest"), 1);
}

fn plain(tree: &Tree) {
    tree.image("app", Some("1"), &image::docker(1));
    tree.image("app", Some("2"), &image::docker(2));
    tree.image("org/app", Some("latest"), &image::docker(3));
    tree.image("org/app", None, &image::oci(4));
    tree.image("org/app", Some("oci"), &image::zstd(5));
}

fn overwritten(tree: &Tree) {
    for seed in 1..=4 {
        tree.image("app", Some("latest"), &image::docker(seed));
    }
    tree.manifest("app", Some("old"), &image::docker(2).manifest);
    tree.image("other", Some("1"), &image::docker(9));
}

fn tagged_elsewhere(tree: &Tree) {
    tree.image("app", Some("latest"), &image::docker(1));
    tree.image("app", Some("latest"), &image::docker(2));
    tree.image("other", Some("1"), &image::docker(1));
}

fn nested(tree: &Tree) {
    for (name, seed) in ["a", "a/b", "a/b/c", "a-b", "a/0"].iter().zip(1..) {
        tree.image(name, Some("1"), &image::docker(seed));
        tree.image(name, None, &image::docker(seed + 10));
    }
}

fn lists(tree: &Tree) {
    tree.index("docker", Some("1"), &image::docker_list(1));
    tree.index("docker", None, &image::docker_list(2));
    tree.index("oci", Some("1"), &image::oci_index(3));
}

fn interrupted(tree: &Tree) {
    plain(tree);
    tree.layer("app", "no manifest names this");
    // The link is there, the manifest was deleted by the API.
    let digest = tree.image("app", Some("3"), &image::docker(6));
    tree.delete("app", &digest);
}

fn referrers(tree: &Tree) {
    plain(tree);
    for seed in [1, 2] {
        let signature = image::artifact(
            20 + seed,
            "application/vnd.example.signature",
            &image::docker(seed).manifest,
        );
        tree.image("app", None, &signature);
    }
}

fn empty_revision_link(tree: &Tree) {
    let digest = tree.image("broken", Some("1"), &image::docker(30));
    let link = format!("broken/_manifests/revisions/{}/link", below(&digest));
    std::fs::write(tree.repository(&link), "").unwrap();
}

fn empty_tag_link(tree: &Tree) {
    tree.image("broken", Some("1"), &image::docker(30));
    std::fs::write(tree.repository("broken/_manifests/tags/1/current/link"), "").unwrap();
}

fn without_layers(tree: &Tree) {
    tree.image("broken", Some("1"), &image::docker(30));
    std::fs::remove_dir_all(tree.repository("broken/_layers")).unwrap();
}

fn unknown_type(tree: &Tree) {
    tree.manifest("broken", Some("1"), &image::unheard_of(30));
    tree.layer("broken", "beside it");
}

fn damaged_manifest(tree: &Tree) {
    let digest = tree.image("broken", Some("1"), &image::docker(30));
    std::fs::write(wharf_testkit::store::blob_path(&tree.root(), &digest), "{").unwrap();
}
