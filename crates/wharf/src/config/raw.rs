//! What was said, read key by key: the types as the table of keys has them, every complaint with its place.

use std::{cell::RefCell, path::Path, time::Duration};

use super::{
    keys::{self, Kind, Schema},
    tree::{Map, Node, Place, Scalar, Value},
};

/// What there is to say about a configuration.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// The file, as it was named.
    source: Option<Box<Path>>,
    /// The server must not start.
    pub(super) problems: Vec<Remark>,
    /// It may.
    pub(super) warnings: Vec<Remark>,
    /// For those who look closely.
    pub(super) notes: Vec<Remark>,
}

/// Something to say, and where the reason stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Remark {
    place: Place,
    text: String,
}

/// The keys below one path.
///
/// Whether they exist and have the right types was checked before, by [`super::check`]: what does not reads as if it
/// were not there. The key that is asked for must stand in the [table of keys](super::keys), with the type that is
/// asked for.
#[derive(Debug, Clone)]
pub(super) struct Section<'a> {
    path: String,
    place: Place,
    map: Option<&'a Map>,
    schema: &'static Schema,
    report: &'a RefCell<Report>,
}

impl Report {
    pub(super) fn new(source: Option<&Path>) -> Self {
        Self {
            source: source.map(Into::into),
            ..Self::default()
        }
    }

    pub(super) fn problem(&mut self, place: &Place, text: impl Into<String>) {
        self.problems.push(Remark::new(place, text));
    }

    pub(super) fn warning(&mut self, place: &Place, text: impl Into<String>) {
        self.warnings.push(Remark::new(place, text));
    }

    pub(super) fn note(&mut self, place: &Place, text: impl Into<String>) {
        self.notes.push(Remark::new(place, text));
    }

    /// `remarks` as lines, in the order of their places, each once.
    pub(super) fn lines(&self, remarks: &[Remark]) -> Vec<String> {
        let mut remarks = remarks.to_vec();
        remarks.sort();
        remarks.dedup();
        remarks
            .iter()
            .map(|Remark { place, text }| match place {
                Place::Nowhere => text.clone(),
                place => format!("{}: {text}", self.place(place)),
            })
            .collect()
    }

    /// A place for people: `/etc/c.yml:7`, `$REGISTRY_HTTP_ADDR`.
    pub(super) fn place(&self, place: &Place) -> String {
        match place {
            Place::Nowhere => "default".to_owned(),
            Place::Line(line) => match &self.source {
                Some(source) => format!("{}:{line}", source.display()),
                None => format!("line {line}"),
            },
            Place::Variable(name) => format!("${name}"),
        }
    }
}

impl Remark {
    fn new(place: &Place, text: impl Into<String>) -> Self {
        Self {
            place: place.clone(),
            text: text.into(),
        }
    }
}

impl<'a> Section<'a> {
    pub(super) fn root(map: &'a Map, report: &'a RefCell<Report>) -> Self {
        Self {
            path: String::new(),
            place: Place::Nowhere,
            map: Some(map),
            schema: keys::schema(),
            report,
        }
    }

    /// The section below `key`; empty when it is not there.
    pub(super) fn section(&self, key: &str) -> Section<'a> {
        let node = self.node(key);
        Self {
            path: keys::below(&self.path, key),
            place: node.map_or_else(|| self.place.clone(), |node| node.place.clone()),
            map: node.and_then(Node::map),
            schema: self.schema_of(key),
            report: self.report,
        }
    }

    /// The sections in the list below `key`.
    pub(super) fn sections(&self, key: &str) -> Vec<Section<'a>> {
        self.expect(key, |kind| kind == Kind::List);
        let Some(Node {
            value: Value::List(list),
            ..
        }) = self.node(key)
        else {
            return Vec::new();
        };
        let schema = self.schema_of(key);
        list.iter()
            .enumerate()
            .map(|(index, node)| Self {
                path: format!("{}[{index}]", keys::below(&self.path, key)),
                place: node.place.clone(),
                map: node.map(),
                schema: schema.element().unwrap_or(schema),
                report: self.report,
            })
            .collect()
    }

    /// Whether the key stands there, with or without a value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.map.is_some_and(|map| map.get(key).is_some())
    }

    /// A text, a secret, or a word. An empty one is none.
    pub(super) fn string(&self, key: &str) -> Option<String> {
        self.expect(key, |kind| {
            matches!(kind, Kind::Text | Kind::Secret | Kind::Word(_))
        });
        let text = &self.scalar(key)?.text;
        (!text.is_empty()).then(|| text.clone())
    }

    pub(super) fn boolean(&self, key: &str) -> Option<bool> {
        self.expect(key, |kind| kind == Kind::Boolean);
        self.scalar(key)?.boolean()
    }

    pub(super) fn number(&self, key: &str) -> Option<i64> {
        self.expect(key, |kind| kind == Kind::Number);
        self.scalar(key)?.integer()
    }

    /// As Go writes them: `168h`, `1m30s`, or a number of nanoseconds.
    pub(super) fn duration(&self, key: &str) -> Option<Duration> {
        self.expect(key, |kind| kind == Kind::Duration);
        self.scalar(key)?.duration()
    }

    /// A list of texts; a single text counts as a list of one.
    pub(super) fn strings(&self, key: &str) -> Vec<String> {
        self.expect(key, |kind| kind == Kind::Texts);
        self.node(key).map(texts).unwrap_or_default()
    }

    /// Names, each with its texts: headers, or fields.
    pub(super) fn pairs(&self, key: &str) -> Vec<(&'a str, Vec<String>)> {
        self.expect(key, |kind| matches!(kind, Kind::Headers { .. } | Kind::Fields));
        let map = self.node(key).and_then(Node::map);
        map.map(|map| map.iter().map(|(name, node)| (name, texts(node))).collect())
            .unwrap_or_default()
    }

    /// What a word stands for.
    pub(super) fn choice<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Option<T> {
        self.expect(
            key,
            |kind| matches!(kind, Kind::Word(known) if known.len() == words.len()),
        );
        let text = self.string(key)?;
        words
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(&text))
            .map(|&(_, value)| value)
    }

    /// Says that the server must not start because of `key`: `text` follows its name.
    pub(super) fn problem(&self, key: &str, text: &str) {
        let text = format!("`{}` {text}", keys::below(&self.path, key));
        self.report.borrow_mut().problem(&self.place_of(key), text);
    }

    pub(super) fn warning(&self, key: &str, text: &str) {
        let text = format!("`{}` {text}", keys::below(&self.path, key));
        self.report.borrow_mut().warning(&self.place_of(key), text);
    }

    /// A problem of the section as a whole.
    pub(super) fn problem_here(&self, text: &str) {
        let text = format!("`{}` {text}", self.path);
        self.report.borrow_mut().problem(&self.place, text);
    }

    /// Where a key stands, for people.
    pub(super) fn whence(&self, key: &str) -> String {
        self.report.borrow().place(&self.place_of(key))
    }

    fn place_of(&self, key: &str) -> Place {
        let node = self.map.and_then(|map| map.get(key));
        node.map_or_else(|| self.place.clone(), |node| node.place.clone())
    }

    /// What stands at the key, if that is something of the right type.
    fn node(&self, key: &str) -> Option<&'a Node> {
        let node = self.map?.get(key)?;
        let kind = self.schema.child(key).map_or(Kind::Any, Schema::kind);
        (!node.is_nothing() && super::check::type_problem(kind, node).is_none()).then_some(node)
    }

    fn scalar(&self, key: &str) -> Option<&'a Scalar> {
        self.node(key)?.scalar()
    }

    fn schema_of(&self, key: &str) -> &'static Schema {
        self.expect(key, |_| true);
        self.schema.child(key).unwrap_or(self.schema)
    }

    /// Reading a key that is not in the table, or as another type, is a mistake of ours: it would be undocumented, and
    /// called unknown.
    fn expect(&self, key: &str, is_right: impl FnOnce(Kind) -> bool) {
        debug_assert!(
            self.schema.child(key).is_some_and(|known| is_right(known.kind())),
            "`{}` is not in the table of keys, or has another type there",
            keys::below(&self.path, key)
        );
    }
}

fn texts(node: &Node) -> Vec<String> {
    match &node.value {
        Value::List(list) => list
            .iter()
            .filter_map(Node::scalar)
            .map(|scalar| scalar.text.clone())
            .collect(),
        Value::Scalar(scalar) if !scalar.is_nothing() => vec![scalar.text.clone()],
        Value::Scalar(_) | Value::Map(_) => Vec::new(),
    }
}
