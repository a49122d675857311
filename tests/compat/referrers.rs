//! Referrers in a tree that a registry without the referrers API wrote, or serves after us: it has them under a fallback tag.

use serde_json::json;
use tempfile::TempDir;
use wharf_testkit::suite::{Part, Suite};
use wharf_testkit::tool::Bench;
use wharf_testkit::wire::Request;
use wharf_testkit::{Content, image};

use crate::site::{Kind, Site};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const NOTE: &str = "application/vnd.example.note";

pub(crate) fn add_to(suite: &mut Suite) {
    for kind in [Kind::Two, Kind::Three] {
        let name = kind.name();
        suite.test(
            &format!("referrers_left_by_{name}_are_listed"),
            &kind.needs(),
            move || by_hand(kind),
        );
        let test = format!("referrers_left_by_wharf_are_found_on_{name}_by_their_fallback_tag");
        suite.test(&test, &kind.needs(), move || by_the_way_back(kind));
        let needs = [kind.needs(), vec![Part::Program("regctl")]].concat();
        let test = format!("referrers_left_by_regctl_on_{name}_are_listed");
        suite.test(&test, &needs, move || by_regctl(kind));
    }
}

/// Digests and artifact types of the referrers of `subject`, sorted.
fn referrers(site: &Site, name: &str, subject: &str) -> Vec<(String, String)> {
    let answer = site.ask("GET", &format!("/v2/{name}/referrers/{subject}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("Content-Type"), Some(INDEX));
    let json = answer.json();
    let entries = json["manifests"].as_array().expect("an index has manifests");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let mut found = entries
        .iter()
        .map(|entry| (text(&entry["digest"]), text(&entry["artifactType"])))
        .collect::<Vec<_>>();
    found.sort();
    found
}

/// As the specification tells clients: push the artifact, then an index under the tag `sha256-<hex>`.
fn by_hand(kind: Kind) {
    let root = TempDir::with_prefix("wharf-compat-").expect("a temporary directory");
    let image = Content::of(image::oci("subject"));
    let old = Content::of(image::artifact("before", NOTE, image.root()));
    let site = kind.serve(root.path());
    image.push(site.authority(), "app", "1");
    old.push(site.authority(), "app", "");
    let mut entry = old.root().descriptor();
    entry["artifactType"] = json!(NOTE);
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] });
    let tag = image.root().digest.replace(':', "-");
    let put = Request::new("PUT", &format!("/v2/app/manifests/{tag}"))
        .header("Content-Type", INDEX)
        .body(index.to_string());
    assert_eq!(site.send(&put).status, 201);
    site.stop();

    let site = Kind::Wharf.serve(root.path());
    let listed = (old.root().digest.clone(), NOTE.to_owned());
    assert_eq!(
        referrers(&site, "app", &image.root().digest),
        std::slice::from_ref(&listed)
    );
    // A referrer that is pushed to wharf joins the earlier one, and none is listed twice.
    let new = Content::of(image::artifact("after", NOTE, image.root()));
    new.push(site.authority(), "app", "");
    old.push(site.authority(), "app", "");
    let mut both = [listed, (new.root().digest.clone(), NOTE.to_owned())];
    both.sort();
    assert_eq!(referrers(&site, "app", &image.root().digest), both);
}

/// What is signed under wharf is found by clients of an older registry on the same tree, and what they add by wharf's again.
fn by_the_way_back(kind: Kind) {
    let root = TempDir::with_prefix("wharf-compat-").expect("a temporary directory");
    let image = Content::of(image::oci("subject"));
    let artifacts = ["kept", "deleted"].map(|name| Content::of(image::artifact(name, NOTE, image.root())));
    let path = format!("/v2/app/manifests/{}", image.root().digest.replace(':', "-"));
    let listed = |site: &Site| {
        let answer = site.ask("GET", &path);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("Content-Type"), Some(INDEX));
        answer.json()["manifests"]
            .as_array()
            .expect("an index has manifests")
            .clone()
    };
    let keeping = [
        ("REGISTRY_COMPAT_REFERRERS_TAGS", "true"),
        ("REGISTRY_STORAGE_DELETE_ENABLED", "true"),
    ];
    let site = Kind::Wharf.serve_with(root.path(), &keeping);
    image.push(site.authority(), "app", "1");
    for artifact in &artifacts {
        artifact.push(site.authority(), "app", "");
    }
    site.delete(&format!("/v2/app/manifests/{}", artifacts[1].root().digest));
    let tags = site.ask("GET", "/v2/app/tags/list").json();
    assert_eq!(tags["tags"], json!(["1"]));
    site.stop();

    let site = kind.serve(root.path());
    let found = listed(&site);
    assert_eq!(found.len(), 1, "{found:?}");
    let mut expected = artifacts[0].root().descriptor();
    expected["artifactType"] = json!(NOTE);
    for key in ["digest", "mediaType", "size", "artifactType"] {
        assert_eq!(found[0][key], expected[key], "{found:?}");
    }
    let signature = site.ask(
        "GET",
        &format!("/v2/app/manifests/{}", artifacts[0].root().digest),
    );
    assert_eq!(signature.status, 200, "{}", signature.text());
    // A client of the older registry adds to the list that it finds.
    let new = Content::of(image::artifact("new", NOTE, image.root()));
    new.push(site.authority(), "app", "");
    let mut entry = new.root().descriptor();
    entry["artifactType"] = json!(NOTE);
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [found[0], entry] });
    let put = Request::new("PUT", &path)
        .header("Content-Type", INDEX)
        .body(index.to_string());
    assert_eq!(site.send(&put).status, 201);
    site.stop();

    // Without the key the tag that is there stays up to date.
    let site = Kind::Wharf.serve(root.path());
    let last = Content::of(image::artifact("last", NOTE, image.root()));
    last.push(site.authority(), "app", "");
    assert_eq!(listed(&site).len(), 3);
    assert_eq!(referrers(&site, "app", &image.root().digest).len(), 3);
}

fn by_regctl(kind: Kind) {
    let root = TempDir::with_prefix("wharf-compat-").expect("a temporary directory");
    let bench = Bench::new();
    let image = Content::of(image::docker("subject"));
    let put = |site: &Site, artifact_type: &str| {
        let host = format!("reg={},tls=disabled", site.authority());
        let subject = format!("{}/app:1", site.authority());
        let line = [
            "--host",
            &host,
            "artifact",
            "put",
            "--artifact-type",
            artifact_type,
            "--subject",
            &subject,
        ];
        let ran = bench.try_run_with_input("regctl", &line, artifact_type.as_bytes());
        assert!(ran.succeeded, "{}", ran.stderr);
    };
    let types = |site: &Site| {
        let found = referrers(site, "app", &image.root().digest).into_iter();
        let mut types = found.map(|(_, artifact_type)| artifact_type).collect::<Vec<_>>();
        types.sort();
        types
    };
    let site = kind.serve(root.path());
    image.push(site.authority(), "app", "1");
    put(&site, "application/vnd.example.first");
    put(&site, "application/vnd.example.second");
    site.stop();

    let site = Kind::Wharf.serve(root.path());
    assert_eq!(
        types(&site),
        ["application/vnd.example.first", "application/vnd.example.second"]
    );
    put(&site, "application/vnd.example.third");
    assert_eq!(types(&site).len(), 3);
}
