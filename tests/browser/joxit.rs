//! The web interface of another project, served from another origin, lists and deletes.

use wharf_testkit::suite::{Part, Suite};

use crate::{
    BROWSER,
    scene::{Scene, Visit},
};

pub(crate) fn add_to(suite: &mut Suite) {
    let interface = Part::Made {
        path: "tools/joxit/dist/index.html",
        by: "./test.sh",
    };
    let needs = [&BROWSER[..], &[interface]].concat();
    suite.test("joxit_lists_and_deletes_from_another_origin", &needs, || {
        let port = unused_port();
        let scene = Scene::for_pages_of(&format!("http://127.0.0.1:{port}"));
        scene.visit(&Visit::by("joxit.mjs").with("WHARF_UI_PORT", &port.to_string()));
    });
}

/// A port that nothing listened at a moment ago: the registry has to know the origin before the script listens there.
fn unused_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
