//! In what the configurations of two images differ.

use std::collections::BTreeMap;

use serde_json::Value;

/// What is compared as layers and files, or says only how the image was made.
const PASSED_OVER: [&str; 2] = ["history", "rootfs"];

/// The parts of two configurations of images that are not the same, before and after, by their paths: `config.Env`, `architecture`.
pub fn changed_parts(old: Option<&Value>, new: Option<&Value>) -> BTreeMap<String, [Option<Value>; 2]> {
    let (mut old, new) = (parts(old), parts(new));
    let mut changed = BTreeMap::new();
    for (part, value) in new {
        let before = old.remove(&part);
        if before.as_ref() != Some(&value) {
            changed.insert(part, [before, Some(value)]);
        }
    }
    changed.extend(old.into_iter().map(|(part, value)| (part, [Some(value), None])));
    changed
}

fn parts(config: Option<&Value>) -> BTreeMap<String, Value> {
    let mut parts = BTreeMap::new();
    for (name, value) in config.and_then(Value::as_object).into_iter().flatten() {
        match value.as_object() {
            _ if PASSED_OVER.contains(&name.as_str()) => {}
            Some(inner) if name == "config" => {
                let inner = inner
                    .iter()
                    .map(|(part, value)| (format!("{name}.{part}"), value.clone()));
                parts.extend(inner);
            }
            _ => _ = parts.insert(name.clone(), value.clone()),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parts_of_a_configuration_are_compared_one_by_one() {
        let old = json!({
            "architecture": "amd64", "author": "a", "created": "2020", "history": [1],
            "config": {"Env": ["A=1"], "Cmd": ["x"]},
        });
        let new = json!({
            "architecture": "amd64", "created": "2021", "history": [2],
            "config": {"Env": ["A=2"], "Cmd": ["x"], "User": "app"},
        });
        let changed = changed_parts(Some(&old), Some(&new));
        let changed: Vec<(&str, [Option<Value>; 2])> = changed
            .iter()
            .map(|(part, values)| (part.as_str(), values.clone()))
            .collect();
        assert_eq!(
            changed,
            [
                ("author", [Some(json!("a")), None]),
                ("config.Env", [Some(json!(["A=1"])), Some(json!(["A=2"]))]),
                ("config.User", [None, Some(json!("app"))]),
                ("created", [Some(json!("2020")), Some(json!("2021"))]),
            ]
        );
    }
}
