//! What wharf wrote, pushed and deleted is served by registry:2 and registry:3 afterwards.

use tempfile::TempDir;
use wharf_testkit::peer::Peer;
use wharf_testkit::suite::Suite;

use crate::site::Kind;
use crate::tree::History;

pub(crate) fn add_to(suite: &mut Suite) {
    for kind in [Kind::Two, Kind::Three] {
        let name = kind.name();
        suite.test(
            &format!("our_tree_is_served_by_{name}"),
            &kind.needs(),
            move || is_served(kind),
        );
        suite.test(
            &format!("our_tree_is_collected_by_{name}"),
            &kind.needs(),
            move || is_collected(kind),
        );
    }
}

fn is_served(kind: Kind) {
    let root = TempDir::with_prefix("wharf-compat-").expect("a temporary directory");
    let site = Kind::Wharf.serve(root.path());
    let history = History::write(&site);
    // Only wharf can do this: one tag goes, its sibling stays.
    site.delete("/v2/plain/manifests/1");
    let ours = history.read(&site);
    site.stop();

    let site = kind.serve(root.path());
    history.read(&site).assert_equals(&ours, kind.name());
}

/// Their collector walks wharf's tree to its end, and would keep all that its tags reach.
fn is_collected(kind: Kind) {
    let root = TempDir::with_prefix("wharf-compat-").expect("a temporary directory");
    let site = Kind::Wharf.serve(root.path());
    let history = History::write(&site);
    let ours = history.read(&site);
    site.stop();

    let dry = Peer::collect_dry_run(kind.program(), root.path());
    for name in history.repositories() {
        assert!(dry.lines().any(|line| line == name), "{name} was visited:\n{dry}");
    }
    assert!(
        dry.contains("blobs marked"),
        "the collector came to its end:\n{dry}"
    );
    Peer::collect(kind.program(), root.path());

    let site = Kind::Wharf.serve(root.path());
    let after = history.read(&site);
    assert_eq!(after.count(500), 0, "no answer is an error of ours");
    for name in ["plain", "kyo/my-image", "a/b/c/d/e", "education/engineer1-6.2.2"] {
        after.assert_equals_below(&ours, &format!("/v2/{name}/"));
    }
}
