//! `wharf config`: the effective values of a configuration, their origins, and its problems.

use std::{fmt::Write as _, path::Path};

use wharf_document::{Map, Node, Place, Scalar, Value};
use wharf_http::redact;

use super::{
    Settings,
    keys::{Default, Status},
    kind::Kind,
    load::{self, Loaded},
    table::{Schema, schema},
};

/// Text that replaces secrets.
const MASK: &str = "********";

/// A configuration to check or show.
#[derive(Debug)]
pub(crate) struct Examined(Loaded);

/// Reads the same configuration as [`load`](super::load()), with all its problems.
pub(crate) fn examine(argument: Option<&Path>) -> Examined {
    Examined(load::read_all(argument))
}

impl Examined {
    #[cfg(test)]
    pub(super) fn of(loaded: Loaded) -> Self {
        Self(loaded)
    }

    /// Whether the configuration has no problems, so that the server would start with it.
    pub(crate) fn is_valid(&self) -> bool {
        self.0.report.problems.is_empty()
    }

    /// The settings. Some are missing when there are problems.
    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The problems, a line for each.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.0.report.lines(&self.0.report.problems)
    }

    /// The warnings, a line for each.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.0.report.lines(&self.0.report.warnings)
    }

    /// Whether the file itself has a secret, such as the key of a bucket.
    pub(crate) fn has_secret_in_file(&self) -> bool {
        let Some(source) = &self.0.source else {
            return false;
        };
        let mut lines = YamlLines {
            report: &self.0,
            lines: Vec::new(),
        };
        lines.section(schema(), Some(&self.0.root), 0, "");
        let file = format!("{}:", source.path.display());
        lines.lines.iter().any(|line| {
            let is_of_file = line
                .origin
                .as_ref()
                .is_some_and(|origin| origin.starts_with(&file));
            is_of_file && line.text.contains(MASK)
        })
    }

    /// Adds what was found elsewhere.
    pub(crate) fn add(&mut self, problems: Vec<String>, warnings: Vec<String>) {
        let report = &mut self.0.report;
        for problem in problems {
            report.problem(&Place::Nowhere, problem);
        }
        for warning in warnings {
            report.warning(&Place::Nowhere, warning);
        }
    }

    /// The report: a line for each problem and warning, and a summary.
    pub(crate) fn remarks(&self) -> String {
        let report = &self.0.report;
        let mut text = String::new();
        let kinds = [
            ("problem", &report.problems),
            ("warning", &report.warnings),
            ("note", &report.notes),
        ];
        let mut counts = Vec::new();
        for (kind, remarks) in kinds {
            let lines = report.lines(remarks);
            for line in &lines {
                _ = writeln!(text, "{kind}: {line}");
            }
            if kind != "note" {
                let plural = if lines.len() == 1 { "" } else { "s" };
                counts.push(format!("{} {kind}{plural}", lines.len()));
            }
        }
        let what = match &self.0.source {
            Some(source) => source.path.display().to_string(),
            None => "no file, and the environment".to_owned(),
        };
        _ = writeln!(text, "{what}: {}", counts.join(", "));
        text
    }

    /// The effective values as YAML; with `origins`, a comment behind each names its origin.
    pub(crate) fn yaml(&self, origins: bool) -> String {
        let mut lines = YamlLines {
            report: &self.0,
            lines: Vec::new(),
        };
        lines.section(schema(), Some(&self.0.root), 0, "");
        let width = lines
            .lines
            .iter()
            .map(|line| line.text.chars().count())
            .max()
            .unwrap_or(0)
            .min(60);
        let mut text = String::new();
        for line in &lines.lines {
            _ = match &line.origin {
                Some(origin) if origins => writeln!(text, "{:width$}  # {origin}", line.text),
                _ => writeln!(text, "{}", line.text),
            };
        }
        text
    }
}

struct YamlLines<'a> {
    report: &'a Loaded,
    lines: Vec<YamlLine>,
}

struct YamlLine {
    text: String,
    origin: Option<String>,
}

impl YamlLines<'_> {
    /// `effect` is the remark about the section above.
    fn section(&mut self, schema: &Schema, map: Option<&Map>, depth: usize, effect: &str) {
        for (name, child) in schema.children() {
            let node = map.and_then(|map| map.get(name));
            let effect = match child.status() {
                Status::Alias(_) => continue,
                Status::AsAbove => effect,
                Status::Warned(_) => ", has no effect",
                Status::Refused(_) => ", refused",
                Status::Works | Status::Accepted(_) => "",
            };
            self.key(name, child, node, depth, effect);
        }
    }

    fn key(&mut self, name: &str, schema: &Schema, node: Option<&Node>, depth: usize, effect: &str) {
        let kind = schema.kind();
        let is_said = node.is_some_and(|node| !node.is_nothing());
        match kind {
            Kind::Named if node.is_none() => {}
            Kind::Choice if !is_said => self.default(name, schema, depth),
            Kind::Section | Kind::Named | Kind::Choice => {
                let at = self.lines.len();
                self.section(schema, node.and_then(Node::map), depth + 1, effect);
                match node {
                    Some(node) if self.lines.len() == at && kind == Kind::Named => {
                        self.line(depth, &format!("{name}: {{}}"), Some(&node.place), effect);
                    }
                    _ if self.lines.len() > at => {
                        let text = format!("{}{name}:", indentation(depth));
                        self.lines.insert(at, YamlLine { text, origin: None });
                    }
                    _ => {}
                }
            }
            _ => match node.filter(|node| !node.is_nothing()) {
                Some(node) => self.value(name, schema, node, depth, effect),
                None => self.default(name, schema, depth),
            },
        }
    }

    fn default(&mut self, name: &str, schema: &Schema, depth: usize) {
        match schema.key.map(|key| (key.status, key.default)) {
            Some((Status::Works, Default::Value(value))) => {
                self.line(depth, &format!("{name}: {value}"), Some(&Place::Nowhere), "");
            }
            Some((Status::Works, Default::Words(words))) => {
                self.line(depth, &format!("# {name}: {words}"), None, "");
            }
            _ => {}
        }
    }

    fn value(&mut self, name: &str, schema: &Schema, node: &Node, depth: usize, effect: &str) {
        let key = scalar(name, true);
        let place = Some(&node.place);
        match (schema.kind(), &node.value) {
            (Kind::Secret | Kind::Any, _) => self.line(depth, &format!("{key}: \"{MASK}\""), place, effect),
            (kind, Value::Scalar(value)) => {
                let text = shown(
                    value,
                    matches!(kind, Kind::Text | Kind::Texts | Kind::Fields { .. }),
                );
                self.line(depth, &format!("{key}: {text}"), place, effect);
            }
            (Kind::List, Value::List(list)) => {
                self.line(depth, &format!("{key}:"), place, effect);
                for element in list {
                    self.element(schema, element, depth + 1, effect);
                }
            }
            (_, Value::List(list)) => {
                self.line(depth, &format!("{key}:"), place, effect);
                for element in list {
                    let text = element
                        .scalar()
                        .map(|value| shown(value, true))
                        .unwrap_or_default();
                    self.line(depth + 1, &format!("- {text}"), Some(&element.place), effect);
                }
            }
            (kind, Value::Map(map)) => {
                self.line(depth, &format!("{key}:"), place, effect);
                let is_secret = matches!(
                    kind,
                    Kind::Headers { is_secret: true } | Kind::Fields { is_secret: true }
                );
                for (name, node) in map.iter() {
                    let text = match &node.value {
                        _ if is_secret => format!("\"{MASK}\""),
                        Value::Scalar(value) => shown(value, true),
                        Value::List(list) => {
                            let values: Vec<String> = list
                                .iter()
                                .filter_map(Node::scalar)
                                .map(|value| quoted(&redact::configured(&value.text, MASK)))
                                .collect();
                            format!("[{}]", values.join(", "))
                        }
                        Value::Map(_) => format!("\"{MASK}\""),
                    };
                    self.line(
                        depth + 1,
                        &format!("{}: {text}", scalar(name, true)),
                        Some(&node.place),
                        effect,
                    );
                }
            }
        }
    }

    /// The keys of one element of a list, the first one behind the dash.
    fn element(&mut self, schema: &Schema, node: &Node, depth: usize, effect: &str) {
        let at = self.lines.len();
        if let Some(element) = schema.element() {
            self.section(element, node.map(), depth + 1, effect);
        }
        match self.lines.get_mut(at) {
            Some(first) => {
                let dash = 2 * depth;
                first.text.replace_range(dash..dash + 2, "- ");
            }
            None => self.line(depth, "- {}", Some(&node.place), effect),
        }
    }

    fn line(&mut self, depth: usize, text: &str, place: Option<&Place>, effect: &str) {
        let text = format!("{}{text}", indentation(depth));
        let origin = place.map(|place| format!("{}{effect}", self.report.report.place(place)));
        self.lines.push(YamlLine { text, origin });
    }
}

fn indentation(depth: usize) -> String {
    "  ".repeat(depth)
}

fn shown(value: &Scalar, is_text: bool) -> String {
    scalar(&redact::configured(&value.text, MASK), is_text)
}

/// A text as YAML that reads as the same text; in quotes unless it is unambiguous without.
fn scalar(text: &str, is_text: bool) -> String {
    let is_word = text.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_'))
        && !text.ends_with(':')
        && text.chars().all(|c| {
            c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | ':' | '@' | '+' | ',' | '%')
        });
    let plain = Scalar {
        text: text.to_owned(),
        is_plain: true,
    };
    let is_something_else = plain.is_nothing()
        || plain.boolean().is_some()
        || text.parse::<f64>().is_ok()
        || plain.integer().is_some();
    if is_word && !(is_text && is_something_else) {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// A quoted text; JSON strings are valid YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
