//! BuildKit: builds that push an image, and keep their cache in the registry.

use wharf_testkit::buildkit::{BuildKit, NEEDS};
use wharf_testkit::image::{BUILDKIT_CACHE, DOCKER_LIST, OCI_INDEX};
use wharf_testkit::suite::Suite;

use crate::subject::Subject;

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test("buildkit_keeps_its_cache_in_the_registry", NEEDS, keeps_its_cache);
}

/// In both forms: an OCI index, and a Docker list, each of layers and not of manifests.
fn keeps_its_cache() {
    let registry = Subject::start();
    let buildkit = BuildKit::start(registry.authority());
    for (name, media_type, is_oci) in [("oci", OCI_INDEX, true), ("docker", DOCKER_LIST, false)] {
        let image = format!("{}/{name}/app", registry.authority());
        let cache = format!("type=registry,ref={}/{name}/cache:main", registry.authority());
        let output = format!("--output=type=image,name={image}:1,push=true");
        let export = format!("--export-cache={cache},mode=max,oci-mediatypes={is_oci},image-manifest=false");
        let progress = buildkit.build(&["--no-cache", &output, &export]);
        assert!(!progress.contains("CACHED"), "{progress}");

        let stored = registry.manifest(&format!("{name}/cache"), "main");
        assert_eq!(stored.header("Content-Type"), Some(media_type));
        let entries = stored.json()["manifests"].as_array().cloned().unwrap_or_default();
        assert!(entries.len() >= 3, "{}", stored.text());
        assert!(
            entries.iter().any(|entry| entry["mediaType"] == BUILDKIT_CACHE),
            "{}",
            stored.text()
        );

        // Another machine, which has built nothing.
        buildkit.forget();
        let output = format!("--output=type=image,name={image}:2,push=true");
        let progress = buildkit.build(&[&output, &format!("--import-cache={cache}")]);
        assert!(progress.contains("CACHED"), "{progress}");
        assert_eq!(
            registry.digest_of(&format!("{name}/app"), "1"),
            registry.digest_of(&format!("{name}/app"), "2")
        );
        buildkit.forget();
    }
}
