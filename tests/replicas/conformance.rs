//! The OCI conformance suite through the balancer: each of its requests reaches another replica than the one before.

use std::{fs, process::Command};

use wharf_testkit::{suite::Suite, tool};

use crate::{NEEDS, replicas};

/// The test is there when `OCI_CONFORMANCE` names the suite's binary, as for `test.sh`.
pub(crate) fn add_to(suite: &mut Suite) {
    if let Some(program) = std::env::var_os("OCI_CONFORMANCE") {
        suite.test("conformance_through_the_balancer", &NEEDS, move || {
            let replicas = replicas(3, &["compat: {sparse_manifests: true, foreign_layers: true}"]);
            let results = replicas.servers()[0].path("results");
            let output = Command::new(&program)
                .current_dir(replicas.servers()[0].directory())
                .envs(settings())
                .env("OCI_VERSION", "dev")
                .env("OCI_REGISTRY", replicas.authority())
                .env("OCI_RESULTS_DIR", &results)
                .output()
                .expect("the conformance suite runs");
            let said = String::from_utf8_lossy(&output.stdout);
            let report = fs::read_to_string(results.join("junit.xml")).expect("a report");
            let total = report
                .lines()
                .find(|line| line.contains("<testsuite "))
                .expect("a total");
            println!("{}", total.trim());
            assert!(
                output.status.success() && total.contains("failures=\"0\" errors=\"0\""),
                "{total}\n{said}"
            );
        });
    }
}

/// What the suite is asked to test.
fn settings() -> Vec<(String, String)> {
    let text =
        fs::read_to_string(tool::root_directory().join("tests/conformance.env")).expect("the settings");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
