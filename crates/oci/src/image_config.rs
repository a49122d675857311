//! The configuration of an image: what it runs, for which platform, and how it was built.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::Platform;

/// The parts of the configuration of an image that a registry shows (OCI image specification, config.md). What has another form than that
/// of the specification counts as left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// When the image was built, as its builder wrote it.
    pub created: Option<String>,
    /// The author of the image.
    pub author: Option<String>,
    /// The platform that the image is for.
    pub platform: Platform,
    /// The user that the process runs as.
    pub user: Option<String>,
    /// Variables of the environment, as `NAME=value`.
    pub env: Vec<String>,
    /// The command with the arguments that every container begins with.
    pub entrypoint: Vec<String>,
    /// The arguments of the entry point, or the command.
    pub cmd: Vec<String>,
    /// The directory in which the process begins.
    pub working_dir: Option<String>,
    /// Ports that the process listens at, such as `80/tcp`.
    pub exposed_ports: Vec<String>,
    /// Directories whose content is no part of the image.
    pub volumes: Vec<String>,
    /// Labels: free text by key.
    pub labels: BTreeMap<String, String>,
    /// The steps of the build, the first one first.
    pub history: Vec<HistoryStep>,
}

/// A step of a build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryStep {
    /// When it was carried out.
    pub created: Option<String>,
    /// The command.
    pub created_by: Option<String>,
    /// A remark of the builder.
    pub comment: Option<String>,
    /// Whether it made no layer.
    pub makes_no_layer: bool,
}

/// Why bytes are no configuration of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration is no JSON object")]
pub struct ImageConfigError;

impl ImageConfig {
    /// Reads a configuration.
    ///
    /// # Errors
    ///
    /// Only when the bytes are no JSON object.
    pub fn parse(bytes: &[u8]) -> Result<Self, ImageConfigError> {
        let Ok(Value::Object(root)) = serde_json::from_slice(bytes) else {
            return Err(ImageConfigError);
        };
        let empty = Map::new();
        let run = root.get("config").and_then(Value::as_object).unwrap_or(&empty);
        let steps = root.get("history").and_then(Value::as_array);
        Ok(Self {
            created: text(&root, "created"),
            author: text(&root, "author"),
            platform: Platform {
                architecture: text(&root, "architecture").unwrap_or_default(),
                os: text(&root, "os").unwrap_or_default(),
                variant: text(&root, "variant"),
            },
            user: text(run, "User"),
            env: texts(run, "Env"),
            entrypoint: texts(run, "Entrypoint"),
            cmd: texts(run, "Cmd"),
            working_dir: text(run, "WorkingDir"),
            exposed_ports: keys(run, "ExposedPorts"),
            volumes: keys(run, "Volumes"),
            labels: labels(run),
            history: steps.into_iter().flatten().map(step).collect(),
        })
    }
}

/// A text that is not empty.
fn text(object: &Map<String, Value>, key: &str) -> Option<String> {
    let text = object.get(key)?.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}

fn texts(object: &Map<String, Value>, key: &str) -> Vec<String> {
    let list = object.get(key).and_then(Value::as_array);
    let texts = list.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

fn keys(object: &Map<String, Value>, key: &str) -> Vec<String> {
    let set = object.get(key).and_then(Value::as_object);
    set.into_iter().flat_map(Map::keys).cloned().collect()
}

fn labels(run: &Map<String, Value>) -> BTreeMap<String, String> {
    let labels = run.get("Labels").and_then(Value::as_object);
    let pairs = labels.into_iter().flatten();
    pairs
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn step(step: &Value) -> HistoryStep {
    let Some(step) = step.as_object() else {
        return HistoryStep::default();
    };
    HistoryStep {
        created: text(step, "created"),
        created_by: text(step, "created_by"),
        comment: text(step, "comment"),
        makes_no_layer: step.get("empty_layer").and_then(Value::as_bool).unwrap_or(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_read_and_what_has_another_form_is_left_out() {
        let config = ImageConfig::parse(
            br#"{"created":"2024-01-01T00:00:00Z","author":"","os":"linux","architecture":"arm64","variant":"v8",
                "config":{"User":"app","Env":["A=1",2],"Entrypoint":["/app"],"Cmd":null,"WorkingDir":7,
                          "ExposedPorts":{"80/tcp":{}},"Volumes":{"/data":{}},"Labels":{"a":"b","c":1}},
                "history":[{"created_by":"COPY . /"},{"empty_layer":true,"comment":"x"},5]}"#,
        )
        .unwrap();
        let expected = ImageConfig {
            created: Some("2024-01-01T00:00:00Z".to_owned()),
            author: None,
            platform: Platform {
                architecture: "arm64".to_owned(),
                os: "linux".to_owned(),
                variant: Some("v8".to_owned()),
            },
            user: Some("app".to_owned()),
            env: vec!["A=1".to_owned()],
            entrypoint: vec!["/app".to_owned()],
            cmd: Vec::new(),
            working_dir: None,
            exposed_ports: vec!["80/tcp".to_owned()],
            volumes: vec!["/data".to_owned()],
            labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            history: vec![
                HistoryStep {
                    created_by: Some("COPY . /".to_owned()),
                    ..HistoryStep::default()
                },
                HistoryStep {
                    comment: Some("x".to_owned()),
                    makes_no_layer: true,
                    ..HistoryStep::default()
                },
                HistoryStep::default(),
            ],
        };
        assert_eq!(config, expected);
        assert_eq!(config.platform.name().as_deref(), Some("linux/arm64/v8"));
    }

    #[test]
    fn what_is_no_object_is_no_configuration() {
        for bytes in [b"".as_slice(), b"[]", b"{", b"\xff"] {
            assert_eq!(ImageConfig::parse(bytes), Err(ImageConfigError));
        }
        let empty = ImageConfig::parse(b"{}").unwrap();
        assert_eq!((&empty, empty.platform.name()), (&ImageConfig::default(), None));
    }
}
