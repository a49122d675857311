//! helm: a chart goes in, is shown, and comes out as the same file.

use wharf_testkit::suite::{Part, Suite};
use wharf_testkit::tool::Bench;

use crate::subject::Subject;

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test(
        "helm_pushes_and_pulls_a_chart",
        &[Part::Program("helm")],
        pushes_and_pulls,
    );
}

fn pushes_and_pulls() {
    let (registry, bench) = (Subject::start(), Bench::new());
    bench.write(
        "tiny/Chart.yaml",
        "apiVersion: v2\nname: tiny\nversion: 0.1.0+build.7\ndescription: one map\n",
    );
    bench.write(
        "tiny/templates/map.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: tiny\ndata:\n  key: value\n",
    );
    bench.run("helm", &["package", "tiny"]);
    let repository = format!("oci://{}/charts", registry.authority());
    bench.run(
        "helm",
        &["push", "tiny-0.1.0+build.7.tgz", &repository, "--plain-http"],
    );
    assert_eq!(
        registry.tags("charts/tiny"),
        ["0.1.0_build.7"],
        "a tag has no plus sign"
    );

    let chart = format!("{repository}/tiny");
    let shown = bench.run(
        "helm",
        &[
            "show",
            "chart",
            &chart,
            "--version",
            "0.1.0+build.7",
            "--plain-http",
        ],
    );
    assert!(shown.contains("description: one map"), "{shown}");
    bench.write("pulled/here", "");
    let pull = [
        "pull",
        &chart,
        "--version",
        "0.1.0+build.7",
        "--plain-http",
        "--destination",
        "pulled",
    ];
    bench.run("helm", &pull);
    assert!(
        bench.read_bytes("pulled/tiny-0.1.0+build.7.tgz") == bench.read_bytes("tiny-0.1.0+build.7.tgz"),
        "the chart is the same file"
    );
}
