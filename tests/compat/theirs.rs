//! A tree that registry:2 or registry:3 wrote is served by wharf as it is.

#![expect(
    clippy::disallowed_methods,
    reason = "damages a tree behind the server's back"
)]

use std::path::Path;

use tempfile::TempDir;
use wharf_testkit::suite::Suite;
use wharf_testkit::{Content, image};

use crate::site::Kind;
use crate::tree::History;

pub(crate) fn add_to(suite: &mut Suite) {
    for kind in [Kind::Two, Kind::Three] {
        let name = kind.name();
        suite.test(
            &format!("a_tree_of_{name}_is_served_as_is"),
            &kind.needs(),
            move || is_served(kind),
        );
        suite.test(
            &format!("a_tree_of_{name}_goes_on_being_used"),
            &kind.needs(),
            move || goes_on(kind),
        );
        suite.test(
            &format!("a_damaged_tree_of_{name}_stays_readable"),
            &kind.needs(),
            move || damaged(kind),
        );
    }
}

fn is_served(kind: Kind) {
    let root = TempDir::with_prefix("wharf-compat-").expect("a temporary directory");
    let site = kind.serve(root.path());
    let history = History::write(&site);
    let theirs = history.read(&site);
    site.stop();
    let (found, absent) = (theirs.count(200), theirs.count(404));
    assert!(
        found > 150 && absent >= 5,
        "a reading of {found} answers and {absent} absences is not worth comparing"
    );

    let site = Kind::Wharf.serve(root.path());
    history.read(&site).assert_equals(&theirs, "wharf");
}

/// There, back and there again: each finds what the other one changed.
fn goes_on(kind: Kind) {
    let root = TempDir::with_prefix("wharf-compat-").expect("a temporary directory");
    let site = kind.serve(root.path());
    let history = History::write(&site);
    site.stop();

    let added = Content::of(image::docker("added by wharf"));
    let site = Kind::Wharf.serve(root.path());
    added.push(site.authority(), "plain", "2");
    site.delete("/v2/plain/manifests/1");
    let ours = history.read(&site);
    site.stop();

    let site = kind.serve(root.path());
    history.read(&site).assert_equals(&ours, kind.name());
    assert_eq!(site.ask("GET", "/v2/plain/manifests/2").body, added.root().bytes);
    site.delete(&format!("/v2/plain/manifests/{}", added.root().digest));
    Content::of(image::docker("added by them")).push(site.authority(), "plain", "3");
    let theirs = history.read(&site);
    site.stop();

    let site = Kind::Wharf.serve(root.path());
    history.read(&site).assert_equals(&theirs, "wharf");
    assert_eq!(site.ask("GET", "/v2/plain/manifests/2").status, 404);
    assert_eq!(site.ask("GET", "/v2/plain/manifests/3").status, 200);
}

/// Crashes, restores from half a backup and `rm` leave a damaged tree: the rest stays readable.
fn damaged(kind: Kind) {
    let root = TempDir::with_prefix("wharf-compat-").expect("a temporary directory");
    let site = kind.serve(root.path());
    let history = History::write(&site);
    let before = history.read(&site);
    site.stop();

    let repositories = root.path().join("docker/registry/v2/repositories");
    let link = |path: &str| repositories.join(path);
    remove(&link("unfinished/_manifests/tags/1/current/link"));
    std::fs::write(link("a/_manifests/tags/1/current/link"), "").expect("an empty link");
    std::fs::write(link("a/b/_manifests/tags/1/current/link"), "sha256:garbage").expect("a garbled link");
    std::fs::create_dir_all(link("stray/_manifests/tags")).expect("a repository without anything");
    std::fs::write(repositories.join("stray-file"), "not a repository").expect("a stray file");

    let site = Kind::Wharf.serve(root.path());
    for (name, tag) in [("unfinished", "1"), ("a", "1"), ("a/b", "1")] {
        let answer = site.ask("GET", &format!("/v2/{name}/manifests/{tag}"));
        assert_eq!(answer.status, 404, "{name}:{tag}: {}", answer.text());
    }
    let catalog = site.ask("GET", "/v2/_catalog");
    assert_eq!(catalog.status, 200, "{}", catalog.text());
    for name in ["plain", "kyo/my-image", "a/b/c/d/e", "overwritten"] {
        assert!(
            catalog.text().contains(&format!("\"{name}\"")),
            "{name} is listed: {}",
            catalog.text()
        );
    }
    // By digest everything is as it was.
    let after = history.read(&site);
    assert!(
        after.count(500) == 0 && after.count(200) + 12 >= before.count(200),
        "the rest is served"
    );
    // A push of the same content mends the tags.
    Content::of(image::docker("a")).push(site.authority(), "a", "1");
    assert_eq!(site.ask("GET", "/v2/a/manifests/1").status, 200);
}

fn remove(path: &Path) {
    std::fs::remove_file(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
