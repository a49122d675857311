//! The effective values of a configuration, line by line as YAML and key by key, with their origins and without secrets.

use wharf_document::{Map, Node, Place, Scalar, Value};
use wharf_http::redact;

use super::{
    keys::{Default, Status},
    kind::Kind,
    report::Report,
    table::{Schema, schema},
};

/// Text that replaces secrets.
pub(super) const MASK: &str = "********";

/// An effective value of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShownSetting {
    /// Dotted name of the key; elements of a list have their number.
    pub(crate) key: String,
    /// The value, or a description of a default that depends on other keys. Secrets are left out by their type.
    pub(crate) value: String,
    /// Whether the value is a secret.
    pub(crate) is_secret: bool,
    pub(crate) origin: Origin,
    /// The place where it was written, as operators read it, and whether the value has an effect.
    pub(crate) place: String,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nothing was said.
    Default,
    /// The configuration file.
    File,
    /// A variable of the environment.
    Environment,
}

/// The effective values of a configuration in the order of its sections, one for each key.
pub(super) fn settings(root: &Map, report: &Report) -> Vec<ShownSetting> {
    let mut settings: Vec<ShownSetting> = Vec::new();
    for line in lines(root, report) {
        let Some((key, value)) = line.value else { continue };
        match settings.last_mut() {
            // A list of texts has one line for each.
            Some(last) if last.key == key => {
                let separator = if last.value.is_empty() { "" } else { ", " };
                last.value = format!("{}{separator}{value}", last.value);
            }
            _ => settings.push(ShownSetting {
                key,
                is_secret: value == format!("\"{MASK}\""),
                value,
                origin: match line.place {
                    Place::Nowhere => Origin::Default,
                    Place::Line(_) => Origin::File,
                    Place::Variable(_) => Origin::Environment,
                },
                place: line.origin.unwrap_or_else(|| report.place(&Place::Nowhere)),
            }),
        }
    }
    settings
}

/// The lines of a whole configuration.
pub(super) fn lines(root: &Map, report: &Report) -> Vec<YamlLine> {
    let mut lines = YamlLines {
        report,
        lines: Vec::new(),
        path: Vec::new(),
    };
    lines.section(schema(), Some(root), 0, "");
    lines.lines
}

struct YamlLines<'a> {
    report: &'a Report,
    lines: Vec<YamlLine>,
    /// Names of the keys above the next line
    path: Vec<String>,
}

/// A line of the configuration as YAML.
pub(super) struct YamlLine {
    pub(super) text: String,
    /// Where its value comes from; `None`: it has none of its own
    pub(super) origin: Option<String>,
    /// Name of the key, and its value or a part of that; `None`: the line begins a section
    value: Option<(String, String)>,
    place: Place,
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
            self.path.push(name.to_owned());
            self.key(name, child, node, depth, effect);
            self.path.pop();
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
                        self.line(depth, &format!("{name}: {{}}"), "{}", Some(&node.place), effect);
                    }
                    _ if self.lines.len() > at => {
                        let text = format!("{}{name}:", indentation(depth));
                        let header = YamlLine {
                            text,
                            origin: None,
                            value: None,
                            place: Place::Nowhere,
                        };
                        self.lines.insert(at, header);
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
                self.line(
                    depth,
                    &format!("{name}: {value}"),
                    value,
                    Some(&Place::Nowhere),
                    "",
                );
            }
            Some((Status::Works, Default::Words(words))) => {
                self.line(depth, &format!("# {name}: {words}"), words, None, "");
            }
            _ => {}
        }
    }

    fn value(&mut self, name: &str, schema: &Schema, node: &Node, depth: usize, effect: &str) {
        let key = scalar(name, true);
        let place = Some(&node.place);
        match (schema.kind(), &node.value) {
            (Kind::Secret | Kind::Any, _) => {
                let text = format!("\"{MASK}\"");
                self.line(depth, &format!("{key}: {text}"), &text, place, effect);
            }
            (kind, Value::Scalar(value)) => {
                let text = shown(
                    value,
                    matches!(kind, Kind::Text | Kind::Texts | Kind::Fields { .. }),
                );
                self.line(depth, &format!("{key}: {text}"), &text, place, effect);
            }
            (Kind::List, Value::List(list)) => {
                self.line(depth, &format!("{key}:"), "", place, effect);
                for (number, element) in list.iter().enumerate() {
                    self.path.push(number.to_string());
                    self.element(schema, element, depth + 1, effect);
                    self.path.pop();
                }
            }
            (_, Value::List(list)) => {
                self.line(depth, &format!("{key}:"), "", place, effect);
                for element in list {
                    let text = element
                        .scalar()
                        .map(|value| shown(value, true))
                        .unwrap_or_default();
                    let place = Some(&element.place);
                    self.line(depth + 1, &format!("- {text}"), &text, place, effect);
                }
            }
            (kind, Value::Map(map)) => {
                self.line(depth, &format!("{key}:"), "", place, effect);
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
                    let line = format!("{}: {text}", scalar(name, true));
                    self.path.push(name.to_owned());
                    self.line(depth + 1, &line, &text, Some(&node.place), effect);
                    self.path.pop();
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
            None => self.line(depth, "- {}", "{}", Some(&node.place), effect),
        }
    }

    /// Adds a line that shows `value`, all of what a key has or a part of it.
    fn line(&mut self, depth: usize, text: &str, value: &str, place: Option<&Place>, effect: &str) {
        self.lines.push(YamlLine {
            text: format!("{}{text}", indentation(depth)),
            origin: place.map(|place| format!("{}{effect}", self.report.place(place))),
            value: Some((self.path.join("."), value.to_owned())),
            place: place.cloned().unwrap_or(Place::Nowhere),
        });
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
