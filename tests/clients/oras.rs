//! oras for Python: push, pull, attach and referrers, by a script that PyPI's package runs.

use wharf_testkit::suite::{Part, Suite};
use wharf_testkit::tool::Bench;

use crate::subject::Subject;

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test(
        "oras_pushes_pulls_and_attaches",
        &[Part::Program("oras-python")],
        pushes_pulls_and_attaches,
    );
}

fn pushes_pulls_and_attaches() {
    let (registry, bench) = (Subject::start(), Bench::new());
    bench.write("script.py", include_str!("oras.py"));
    bench.write("empty.json", "{}");
    bench.write("artifact.txt", "an artifact of our own\n");
    let said = bench.run("oras-python", &["script.py", registry.authority()]);
    assert_eq!(said.trim(), "done");
    assert_eq!(registry.tags("oras/artifact"), ["1", "note"]);
    assert_eq!(registry.manifest("oras/gone", "1").status, 404);
    assert_eq!(bench.read("pulled/artifact.txt"), "an artifact of our own\n");

    let subject = registry.digest_of("oras/artifact", "1");
    let referrers = registry.get(&format!("/v2/oras/artifact/referrers/{subject}"));
    assert_eq!(referrers.status, 200, "{}", referrers.text());
    let manifests = referrers.json()["manifests"].clone();
    assert_eq!(manifests.as_array().map(Vec::len), Some(1), "{manifests}");
    assert_eq!(manifests[0]["artifactType"], "application/vnd.example.note");
}
