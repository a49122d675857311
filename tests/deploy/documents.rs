//! The configurations of `docs/s3.md` and `docs/clouds.md`, and the policies of the former: each one is what the registry, or the store, takes.

use wharf_testkit::{Value, serde_json, suite::Suite, tool};

use crate::{checked, yaml};

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test("configurations_of_s3_md_pass_config_check", &[], configurations);
    suite.test("configurations_of_clouds_md_pass_config_check", &[], clouds);
    suite.test("policies_of_s3_md_are_json", &[], policies);
}

fn text(name: &str) -> String {
    std::fs::read_to_string(tool::root_directory().join(name)).expect("there is the document")
}

/// The blocks of a language.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let fence = format!("\n```{language}\n");
    let parts = document.split(&fence).skip(1);
    parts
        .map(|part| part.split("\n```").next().unwrap_or_default().to_owned())
        .collect()
}

fn configurations() {
    let document = text("docs/s3.md");
    let found = blocks(&document, "yaml");
    assert!(found.len() > 8, "{} configurations", found.len());
    for configuration in &found {
        checked::is_good(configuration, &[]);
        let shown = yaml::document(configuration);
        assert!(shown["storage"]["s3"]["bucket"].is_string(), "{configuration}");
    }
}

fn clouds() {
    let found = blocks(&text("docs/clouds.md"), "yaml");
    assert!(found.len() > 6, "{} configurations", found.len());
    for configuration in &found {
        checked::is_good(configuration, &[]);
    }
}

fn policies() {
    let found = blocks(&text("docs/s3.md"), "json");
    let found: Vec<Value> = found
        .iter()
        .map(|block| serde_json::from_str(block).expect("it is JSON"))
        .collect();
    let [policy, lifecycle] = &found[..] else {
        panic!("{} blocks", found.len())
    };
    let allowed: Vec<&Value> = policy["Statement"]
        .as_array()
        .expect("statements")
        .iter()
        .flat_map(|statement| statement["Action"].as_array().expect("actions"))
        .collect();
    for action in [
        "s3:ListBucket",
        "s3:ListBucketMultipartUploads",
        "s3:GetObject",
        "s3:PutObject",
        "s3:DeleteObject",
        "s3:AbortMultipartUpload",
    ] {
        assert!(allowed.iter().any(|allowed| *allowed == action), "{action}");
    }
    let rules = lifecycle["Rules"].as_array().expect("rules");
    assert!(
        rules.iter().all(|rule| rule.get("Expiration").is_none()),
        "no rule removes objects"
    );
}
