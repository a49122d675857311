//! Overrides from the environment: `REGISTRY_A_B_C=value` sets `a.b.c`, the value being YAML.
//!
//! Names are taken in order, so `REGISTRY_STORAGE` comes before `REGISTRY_STORAGE_DELETE_ENABLED`. A text in the way
//! of a longer path names the one key of its section: `REGISTRY_STORAGE=filesystem` and
//! `REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/data` go together.

use serde_json::{Map, Value};

use super::raw::{Document, parse_yaml};

const PREFIX: &str = "REGISTRY_";

/// Where the configuration file is, not a part of it.
pub(super) const CONFIGURATION_PATH: &str = "REGISTRY_CONFIGURATION_PATH";

/// Applies `variables` to `document`. Returns what is wrong with them.
pub(super) fn apply(
    document: &mut Document,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Vec<String> {
    let mut variables: Vec<(String, String)> = variables
        .into_iter()
        .filter(|(name, _)| name.starts_with(PREFIX) && name != CONFIGURATION_PATH)
        .collect();
    variables.sort();
    variables
        .into_iter()
        .filter_map(|(name, text)| set(document, &name, &text).err())
        .collect()
}

fn set(document: &mut Document, name: &str, text: &str) -> Result<(), String> {
    let value = parse_yaml(text).map_err(|error| format!("the value of `${name}` is not YAML: {error}"))?;
    let path: Vec<String> = name[PREFIX.len()..]
        .split('_')
        .map(str::to_ascii_lowercase)
        .collect();
    if path.iter().any(String::is_empty) {
        return Err(format!(
            "`${name}` names no key; write `REGISTRY_HTTP_ADDR` for `http.addr`"
        ));
    }
    let Some((last, sections)) = path.split_last() else {
        return Ok(());
    };
    let mut here = &mut document.root;
    let mut dotted = String::new();
    for part in sections {
        let key = existing_key(here, part);
        dotted.push_str(&key);
        dotted.push('.');
        here = as_section(here.entry(key).or_insert(Value::Null));
    }
    let key = existing_key(here, last);
    dotted.push_str(&key);
    here.insert(key, value);
    document.origins.insert(dotted, name.to_owned());
    Ok(())
}

/// Keys are written in any case in the file, and in capitals in the environment.
fn existing_key(section: &Map<String, Value>, part: &str) -> String {
    section
        .keys()
        .find(|key| key.eq_ignore_ascii_case(part))
        .cloned()
        .unwrap_or_else(|| part.to_owned())
}

/// The value, made a section if it is none.
fn as_section(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        let mut section = Map::new();
        if let Value::String(name) = value {
            section.insert(std::mem::take(name), Value::Null);
        }
        *value = Value::Object(section);
    }
    match value {
        Value::Object(section) => section,
        _ => unreachable!("it was just made a section"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn applied(file: &str, variables: &[(&str, &str)]) -> Value {
        let mut document = Document {
            root: Document::parse(file).unwrap(),
            ..Document::default()
        };
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        assert!(apply(&mut document, variables).is_empty());
        Value::Object(document.root)
    }

    #[test]
    fn a_variable_sets_its_key() {
        let file = "http: {addr: ':5000', headers: {X-A: [b]}}\n";
        let variables = [
            ("REGISTRY_HTTP_ADDR", "127.0.0.1:5001"),
            ("REGISTRY_STORAGE_DELETE_ENABLED", "true"),
            ("REGISTRY_HTTP_HEADERS", "{X-B: [c, d]}"),
            ("REGISTRY_CONFIGURATION_PATH", "/nowhere"),
            ("OTHER_HTTP_ADDR", "x"),
        ];
        let expected = json!({
            "http": {"addr": "127.0.0.1:5001", "headers": {"X-B": ["c", "d"]}},
            "storage": {"delete": {"enabled": true}},
        });
        assert_eq!(applied(file, &variables), expected);
    }

    #[test]
    fn a_text_in_the_way_names_its_section() {
        let variables = [
            ("REGISTRY_AUTH_HTPASSWD_REALM", "Registry Realm"),
            ("REGISTRY_AUTH", "htpasswd"),
        ];
        assert_eq!(
            applied("", &variables),
            json!({"auth": {"htpasswd": {"realm": "Registry Realm"}}})
        );
        let variables = [("REGISTRY_STORAGE_DELETE_ENABLED", "true")];
        let expected = json!({"storage": {"inmemory": null, "delete": {"enabled": true}}});
        assert_eq!(applied("storage: inmemory\n", &variables), expected);
    }
}
