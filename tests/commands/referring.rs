//! `wharf attach` and `wharf referrers`, at any registry and beside regctl.

use serde_json::{Value, json};
use wharf_testkit::{
    Content, image,
    suite::{Part, Suite},
    tool::Bench,
};

use crate::{
    registries::{ALL, Kind, Registry, on_each, run},
    scene::{Signed, get, get_json, path},
};

const SPDX: &str = "application/spdx+json";

pub(crate) fn add_to(suite: &mut Suite) {
    on_each(suite, &ALL, "what_is_attached_refers_to_the_image_at", attached);
    on_each(suite, &ALL, "referrers_have_kinds_and_referrers_at", kinds);
    on_each(suite, &ALL, "a_file_that_is_missing_attaches_nothing_at", nothing);
    suite.test(
        "regctl_lists_what_wharf_attaches_and_the_other_way_round",
        &[Part::Program("regctl")],
        || beside_regctl(&Registry::start(Kind::Directory)),
    );
    suite.test(
        "regctl_finds_what_wharf_attaches_at_registry_2",
        &[
            Part::Program("regctl"),
            Part::Program(wharf_testkit::peer::REGISTRY_2),
        ],
        || beside_regctl(&Registry::start(Kind::Two)),
    );
}

fn listed(registry: &Registry, words: &[&str]) -> Value {
    let name = registry.at("app:1");
    let said = run(&[&["referrers", &name, "--json"], words].concat()).good();
    serde_json::from_str(&said).unwrap()
}

fn attached(registry: &Registry) {
    let (bench, content) = (Bench::new(), Content::of(image::oci("attached")));
    content.push(&registry.host, "app", "1");
    bench.write("sbom.json", "{\"spdxVersion\":\"SPDX-2.3\"}\n");
    bench.write("notes", "to be read\n");
    let name = registry.at("app:1");
    let bill = format!("{}:{SPDX}", path(&bench, "sbom.json"));
    let notes = path(&bench, "notes");
    let words = [
        "attach",
        &name,
        &bill,
        &notes,
        "-a",
        "org.example.build=7",
        "--json",
    ];
    let said = run(&words);
    let outcome: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    let by_itself = registry.kind.is_wharf();
    assert_eq!(outcome["artifact_type"], json!(SPDX));
    assert_eq!(outcome["subject"], json!(content.root().digest));
    assert_eq!(outcome["listed_by_registry"], json!(by_itself));
    assert_eq!(
        said.err.contains("keeps no list of referrers"),
        !by_itself,
        "{said:?}"
    );

    let digest = outcome["digest"].as_str().unwrap();
    let manifest = get_json(&registry.host, &format!("/v2/app/manifests/{digest}"));
    assert_eq!(manifest["subject"]["digest"], json!(content.root().digest));
    assert_eq!(manifest["annotations"], json!({"org.example.build": "7"}));
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers[0]["mediaType"], json!(SPDX));
    assert_eq!(layers[1]["mediaType"], json!("application/octet-stream"));
    assert_eq!(
        layers[1]["annotations"]["org.opencontainers.image.title"],
        json!("notes")
    );
    let blob = layers[1]["digest"].as_str().unwrap();
    assert_eq!(
        get(&registry.host, &format!("/v2/app/blobs/{blob}")),
        b"to be read\n"
    );

    // Once more, it is the same.
    let again: Value = serde_json::from_str(&run(&words).out).unwrap();
    assert_eq!(again["digest"], json!(digest));
    let rows = listed(registry, &[]);
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    assert_eq!(
        (&rows[0]["kind"], &rows[0]["digest"]),
        (&json!("sbom"), &json!(digest))
    );
    assert_eq!(
        run(&["referrers", "-o", "name", &name]).good(),
        format!("{digest}\n")
    );
    assert_eq!(listed(registry, &["--artifact-type", "application/x"]), json!([]));
    // Attached to the artifact, at the other end of a chain.
    let to_bill = registry.at(&format!("app@{digest}"));
    let kind = ["--artifact-type", "application/vnd.cncf.notary.signature"];
    run(&[&["attach", &to_bill, &notes], &kind[..]].concat()).good();
    let tree = run(&["referrers", &name]).good();
    let lines: Vec<&str> = tree.lines().collect();
    assert_eq!(lines[0], content.root().digest);
    assert!(lines[1].starts_with("  sbom  sha256:"), "{tree}");
    assert!(lines[2].starts_with("    signature  sha256:"), "{tree}");
}

fn kinds(registry: &Registry) {
    let signed = Signed::new("kinds");
    signed.push(&registry.host, "app", "1");
    let rows = listed(registry, &[]);
    let rows = rows.as_array().unwrap();
    let of_kind = |kind: &str| rows.iter().filter(|row| row["kind"] == json!(kind)).count();
    // BuildKit's attestations are in the index itself, and cosign's signature at a tag.
    assert!(of_kind("attestation") > 0, "{rows:?}");
    let at_tag = rows
        .iter()
        .find(|row| row["tag"] == json!(signed.cosign_tag))
        .unwrap();
    assert_eq!(at_tag["kind"], json!("signature"));
    // Of the others, a registry without a list of referrers knows those alone that a client has put at the tag.
    let others = if registry.kind.is_wharf() { 2 } else { 0 };
    assert_eq!(of_kind("other"), others, "{rows:?}");

    let nothing = Content::of(image::oci("unsigned"));
    nothing.push(&registry.host, "app", "2");
    let tree = run(&["referrers", &registry.at("app:2")]).good();
    assert_eq!(
        tree,
        format!("{}\n  nothing refers to it\n", nothing.root().digest)
    );
    let error = run(&["referrers", &registry.at("app:3")]).bad();
    assert!(error.contains("has no tag `3`"), "{error}");
}

fn nothing(registry: &Registry) {
    let content = Content::of(image::oci("nothing"));
    content.push(&registry.host, "app", "1");
    let name = registry.at("app:1");
    let error = run(&["attach", &name, "/nonexistent/sbom.json"]).bad();
    assert!(error.contains("/nonexistent/sbom.json"), "{error}");
    assert_eq!(listed(registry, &[]), json!([]));
    let bench = Bench::new();
    bench.write("a", "a");
    let error = run(&["attach", &registry.at("app:none"), &path(&bench, "a")]).bad();
    assert!(error.contains("has no tag `none`"), "{error}");
}

fn beside_regctl(registry: &Registry) {
    let (bench, content) = (Bench::new(), Content::of(image::oci("regctl")));
    let host = registry.host.as_str();
    content.push(host, "app", "1");
    bench.write("a.json", "{}");
    bench.run("regctl", &["registry", "set", "--tls", "disabled", host]);
    let name = registry.at("app:1");
    let file = format!("{}:{SPDX}", path(&bench, "a.json"));
    let ours = run(&["attach", &name, &file]).good();
    let ours = ours.trim().split_once('@').unwrap().1;
    let list = [
        "artifact",
        "list",
        name.as_str(),
        "--format",
        "{{jsonPretty .Descriptors}}",
    ];
    let said = bench.run("regctl", &list);
    assert!(said.contains(ours) && said.contains(SPDX), "{said}");
    let file = path(&bench, "a.json");
    let put = ["artifact", "put", "--subject", name.as_str()];
    let what = [
        "--artifact-type",
        "application/vnd.example.report",
        "--file",
        file.as_str(),
    ];
    bench.run("regctl", &[&put[..], &what].concat());
    let rows = listed(registry, &[]);
    let types: Vec<&Value> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["artifact_type"])
        .collect();
    assert!(
        types.contains(&&json!(SPDX)) && types.contains(&&json!("application/vnd.example.report")),
        "{rows}"
    );
}
