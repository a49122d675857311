//! The web page in a real browser: Chromium, driven by Playwright, against the real binary.
//!
//! What a test does in the browser is a script below `scripts/`; it fails by its exit code, and says why. Screenshots go below
//! `target/browser/`. `./test.sh` installs what is needed; where it is not there, the tests are left out.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod joxit;
mod scene;

use wharf_testkit::suite::{Part, Suite};

use self::scene::{Scene, Visit};

/// What a script needs.
const BROWSER: [Part; 3] = [
    Part::Program("node"),
    Part::Program("chromium"),
    Part::Made {
        path: "tools/browser/node_modules/playwright-core/package.json",
        by: "./test.sh",
    },
];

/// What a script needs that looks for barriers.
const AXE: Part = Part::Made {
    path: "tools/browser/node_modules/axe-core/axe.min.js",
    by: "./test.sh",
};

fn main() {
    let mut suite = Suite::default();
    suite.test("a13_images_are_browsed_and_deleted", &BROWSER, || {
        Scene::full().visit(&Visit::by("a13.mjs"));
    });
    for lang in ["en", "ru", "zh", "es"] {
        let needs = [&BROWSER[..], &[AXE]].concat();
        let name = format!("every_page_in_{lang}_has_no_barriers_and_asks_no_other_host");
        suite.test(&name, &needs, move || {
            Scene::full().visit(&Visit::by("pages.mjs").with("WHARF_LANG", lang));
        });
    }
    suite.test("nothing_moves_while_a_page_arrives", &BROWSER, || {
        Scene::full().visit(&Visit::by("steady.mjs"));
    });
    suite.test("content_of_the_registry_is_inert", &BROWSER, || {
        Scene::hostile().visit(&Visit::by("hostile.mjs"));
    });
    suite.test("images_are_read_and_deleted_without_scripts", &BROWSER, || {
        Scene::full().visit(&Visit::by("scriptless.mjs"));
    });
    suite.test("pages_are_used_by_the_keyboard", &BROWSER, || {
        Scene::full().visit(&Visit::by("keyboard.mjs"));
    });
    suite.test("signing_out_leaves_nothing_to_go_back_to", &BROWSER, || {
        Scene::full().visit(&Visit::by("leaving.mjs"));
    });
    joxit::add_to(&mut suite);
    suite.run().exit();
}
