//! The configuration of an image: what it runs, for which platform, and how it was built.

mod changes;
mod instruction;
mod part;

use std::collections::BTreeMap;

use serde::de::{IgnoredAny, MapAccess, SeqAccess};

use self::part::{Keys, Lenient, MOST, Part, entries, part};
pub use self::{changes::changed_parts, instruction::instruction};
use crate::Platform;

/// The parts of the configuration of an image that a registry shows (OCI image specification, config.md). What has another form than that
/// of the specification counts as left out. Of every list the first [`MOST`](ImageConfig::MOST) entries are kept.
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
    /// How many entries of a list are kept.
    pub const MOST: usize = MOST;

    /// Reads a configuration.
    ///
    /// # Errors
    ///
    /// Only when the bytes are no JSON object.
    pub fn parse(bytes: &[u8]) -> Result<Self, ImageConfigError> {
        let root: Result<Lenient<Option<Self>>, _> = serde_json::from_slice(bytes);
        root.ok().and_then(|root| root.0).ok_or(ImageConfigError)
    }

    /// Reads of a configuration nothing but the platform.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn parse_platform(bytes: &[u8]) -> Result<Platform, ImageConfigError> {
        let root: Result<Lenient<Option<OfPlatform>>, _> = serde_json::from_slice(bytes);
        let platform = root.ok().and_then(|root| root.0);
        platform
            .map(|OfPlatform(platform)| platform)
            .ok_or(ImageConfigError)
    }
}

impl Part for Option<ImageConfig> {
    fn of_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        let (mut config, mut run) = (ImageConfig::default(), Run::default());
        while let Some(key) = object.next_key::<String>()? {
            match key.as_str() {
                "created" => config.created = part(&mut object)?,
                "author" => config.author = part(&mut object)?,
                "config" => run = part(&mut object)?,
                "history" => config.history = part(&mut object)?,
                key => read_platform(&mut config.platform, key, &mut object)?,
            }
        }
        Ok(Some(ImageConfig {
            user: run.user,
            env: run.env,
            entrypoint: run.entrypoint,
            cmd: run.cmd,
            working_dir: run.working_dir,
            exposed_ports: run.exposed_ports.0,
            volumes: run.volumes.0,
            labels: run.labels,
            ..config
        }))
    }
}

/// The platform alone.
struct OfPlatform(Platform);

impl Part for Option<OfPlatform> {
    fn of_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        let mut platform = Platform::default();
        while let Some(key) = object.next_key::<String>()? {
            read_platform(&mut platform, &key, &mut object)?;
        }
        Ok(Some(OfPlatform(platform)))
    }
}

/// Reads the value of `key` into `platform`, or passes over it if it is no part of that.
fn read_platform<'de, A: MapAccess<'de>>(
    platform: &mut Platform,
    key: &str,
    object: &mut A,
) -> Result<(), A::Error> {
    let text = |object: &mut A| part::<Option<String>, A>(object);
    match key {
        "architecture" => platform.architecture = text(object)?.unwrap_or_default(),
        "os" => platform.os = text(object)?.unwrap_or_default(),
        "variant" => platform.variant = text(object)?,
        _ => _ = object.next_value::<IgnoredAny>()?,
    }
    Ok(())
}

/// The parameters with which a container runs.
#[derive(Default)]
struct Run {
    user: Option<String>,
    env: Vec<String>,
    entrypoint: Vec<String>,
    cmd: Vec<String>,
    working_dir: Option<String>,
    exposed_ports: Keys,
    volumes: Keys,
    labels: BTreeMap<String, String>,
}

impl Part for Run {
    fn of_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        let mut run = Self::default();
        while let Some(key) = object.next_key::<String>()? {
            match key.as_str() {
                "User" => run.user = part(&mut object)?,
                "Env" => run.env = part(&mut object)?,
                "Entrypoint" => run.entrypoint = part(&mut object)?,
                "Cmd" => run.cmd = part(&mut object)?,
                "WorkingDir" => run.working_dir = part(&mut object)?,
                "ExposedPorts" => run.exposed_ports = part(&mut object)?,
                "Volumes" => run.volumes = part(&mut object)?,
                "Labels" => run.labels = part(&mut object)?,
                _ => _ = object.next_value::<IgnoredAny>()?,
            }
        }
        Ok(run)
    }
}

/// One of another form has nothing to show, and counts.
impl Part for Vec<HistoryStep> {
    fn of_list<'de, A: SeqAccess<'de>>(list: A) -> Result<Self, A::Error> {
        entries(list, Some)
    }
}

impl Part for HistoryStep {
    fn of_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        let mut step = Self::default();
        while let Some(key) = object.next_key::<String>()? {
            match key.as_str() {
                "created" => step.created = part(&mut object)?,
                "created_by" => step.created_by = part(&mut object)?,
                "comment" => step.comment = part(&mut object)?,
                "empty_layer" => step.makes_no_layer = part(&mut object)?,
                _ => _ = object.next_value::<IgnoredAny>()?,
            }
        }
        Ok(step)
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
    fn of_what_stands_twice_the_last_counts_and_the_rest_is_passed_over() {
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        let text = format!(
            r#"{{"os":"a","rootfs":{{"diff_ids":["sha256:1",{deep}]}},"os":"b","config":{{"User":"x"}},"config":{{"Cmd":["y"]}},"x":1e999}}"#
        );
        let config = ImageConfig::parse(text.as_bytes()).unwrap();
        assert_eq!((config.platform.os.as_str(), config.user), ("b", None));
        assert_eq!(config.cmd, ["y"]);
    }

    /// A text of 4 MiB may have two million entries.
    #[test]
    fn of_very_many_entries_the_first_are_kept() {
        let many = 100_000;
        let list = |entry: &str| vec![entry; many].join(",");
        let pairs = |value: &str| -> String {
            let pairs: Vec<String> = (0..many).map(|key| format!(r#""{key:06}":{value}"#)).collect();
            pairs.join(",")
        };
        let text = format!(
            r#"{{"history":[{}],"config":{{"Env":[{}],"Volumes":{{{}}},"Labels":{{{}}},"User":"x"}},"os":"linux"}}"#,
            list("0"),
            list(r#""a""#),
            pairs("{}"),
            pairs(r#""b""#),
        );
        let config = ImageConfig::parse(text.as_bytes()).unwrap();
        let counts = [
            config.history.len(),
            config.env.len(),
            config.volumes.len(),
            config.labels.len(),
        ];
        assert_eq!(counts, [ImageConfig::MOST; 4]);
        assert_eq!(config.volumes[1000], "001000");
        assert_eq!(
            (config.user.as_deref(), config.platform.os.as_str()),
            (Some("x"), "linux"),
            "what follows is read"
        );
        assert_eq!(ImageConfig::parse_platform(text.as_bytes()), Ok(config.platform));
    }

    #[test]
    fn what_is_no_object_is_no_configuration() {
        for bytes in [b"".as_slice(), b"[]", b"{", b"\xff", b"{} x", b"1", b"null"] {
            assert_eq!(ImageConfig::parse(bytes), Err(ImageConfigError));
            assert_eq!(ImageConfig::parse_platform(bytes), Err(ImageConfigError));
        }
        let empty = ImageConfig::parse(b"{}").unwrap();
        assert_eq!((&empty, empty.platform.name()), (&ImageConfig::default(), None));
    }
}
