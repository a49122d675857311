//! YAML text to a [tree](crate::tree): first document, anchors and merge keys resolved, nothing interpreted.
//!
//! The events of the parser are used directly, because a reader of typed values (or of an untyped tree) loses either
//! the lines or the spelling, and both are needed: the lines for reports, the spelling because only the type of the
//! key decides whether `off` is a text.

use std::{collections::HashMap, fmt};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use crate::tree::{Map, Node, Place, Scalar, Value};

/// The deepest nesting; a configuration has about seven levels.
const DEPTH: usize = 48;

/// Largest number of values after aliases are expanded, which can grow without bound.
const NODES: usize = 50_000;

/// A text that was parsed.
#[derive(Debug, Default)]
pub struct Parsed {
    /// The first document of the text
    pub root: Node,
    /// Unusual but valid constructs
    pub warnings: Vec<Warning>,
}

/// An unusual but valid construct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Line of the construct, counted from 1
    pub line: usize,
    /// The construct
    pub what: Oddity,
}

/// A construct that is valid, and probably a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Oddity {
    /// A key that stood in an earlier line of the same section already
    RepeatedKey {
        /// The key
        key: String,
        /// The earlier line
        first: usize,
    },
    /// A second document, which is not read
    SecondDocument,
}

/// The text is not YAML.
#[derive(Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Line of the error, counted from 1
    pub line: usize,
    /// What is wrong, and what to do
    pub text: String,
}

/// Parses `text`; `place` turns a line into a place.
///
/// # Errors
///
/// When it is not YAML, or stands for more than a document of settings may.
pub fn parse(text: &str, place: &dyn Fn(usize) -> Place) -> Result<Parsed, SyntaxError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: DEPTH,
        block_nesting_limit: DEPTH,
    };
    let mut composer = Composer {
        events: Parser::new_from_str_with_options(text, options),
        text,
        place,
        anchors: HashMap::new(),
        nodes: 0,
        warnings: Vec::new(),
    };
    let root = composer.document()?;
    Ok(Parsed {
        root,
        warnings: composer.warnings,
    })
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RepeatedKey { key, first } => write!(
                f,
                "`{}` stood in line {first} already; the later one counts",
                key.escape_debug()
            ),
            Self::SecondDocument => {
                f.write_str("a second document begins here, after `---`; only the first one is read")
            }
        }
    }
}

struct Composer<'a> {
    events: Parser<'a, granit_parser::StrInput<'a>>,
    text: &'a str,
    place: &'a dyn Fn(usize) -> Place,
    /// The node of each anchor, with its depth and number of nodes.
    anchors: HashMap<usize, (Node, Extent)>,
    nodes: usize,
    warnings: Vec<Warning>,
}

#[derive(Debug, Clone, Copy)]
struct Extent {
    depth: usize,
    nodes: usize,
}

impl<'a> Composer<'a> {
    fn document(&mut self) -> Result<Node, SyntaxError> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(Node::default()),
                Event::DocumentStart(..) | Event::StreamStart => {}
                other => {
                    let root = self.node(other, &span, 0)?;
                    self.rest()?;
                    return Ok(root);
                }
            }
        }
    }

    /// Warns about a second document, which registry:2 ignores, too.
    fn rest(&mut self) -> Result<(), SyntaxError> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(()),
                Event::DocumentStart(..) => {
                    self.warnings.push(Warning {
                        line: line(&span),
                        what: Oddity::SecondDocument,
                    });
                    return Ok(());
                }
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), SyntaxError> {
        match self.events.next() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(self.not_yaml(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn not_yaml(&self, error: &ScanError) -> SyntaxError {
        let line = error.marker().line().max(1);
        let written = self.text.lines().nth(line - 1).unwrap_or_default();
        let indentation = &written[..written.len() - written.trim_start().len()];
        let hint = if indentation.contains('\t') {
            "; indent with spaces, a tab is none in YAML"
        } else {
            ""
        };
        SyntaxError {
            line,
            text: format!("this is not YAML: {}{hint}", error.info()),
        }
    }

    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<Node, SyntaxError> {
        let line = line(span);
        let wrong = |text: &str| SyntaxError {
            line,
            text: text.to_owned(),
        };
        self.nodes += 1;
        if depth > DEPTH || self.nodes > NODES {
            return Err(wrong(
                "this is nested too deep, or too large, for a configuration",
            ));
        }
        let place = (self.place)(line);
        let before = self.nodes;
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = tag
                    .as_deref()
                    .is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
                let is_plain = !is_text
                    && (style == ScalarStyle::Plain || tag.is_some_and(|tag| tag.is_yaml_core_schema()));
                let text = text.into_owned();
                (anchor, Value::Scalar(Scalar { text, is_plain }))
            }
            Event::SequenceStart(_, anchor, _) => (anchor, self.list(depth)?),
            Event::MappingStart(_, anchor, _) => (anchor, self.map(depth)?),
            Event::Alias(anchor) => {
                let (node, extent) = self
                    .anchors
                    .get(&anchor)
                    .ok_or_else(|| wrong("an alias stands inside what it stands for"))?;
                self.nodes += extent.nodes;
                if depth + extent.depth > DEPTH || self.nodes > NODES {
                    return Err(wrong("the aliases here stand for too much"));
                }
                return Ok(Node::new(place, node.value.clone()));
            }
            _ => return Err(wrong("a value is missing")),
        };
        let node = Node::new(place, value);
        if anchor != 0 {
            let extent = Extent {
                depth: depth_of(&node),
                nodes: self.nodes - before + 1,
            };
            self.anchors.insert(anchor, (node.clone(), extent));
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        let mut list = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Value::List(list));
            }
            list.push(self.node(event, &span, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        let mut map = Map::default();
        let mut merged = Vec::new();
        let mut lines: HashMap<String, usize> = HashMap::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let line = line(&span);
            let key = self.node(event, &span, depth + 1)?;
            let (event, span) = self.next()?;
            let mut node = self.node(event, &span, depth + 1)?;
            let Some(key) = key.scalar() else {
                return Err(SyntaxError {
                    line,
                    text: "a key must be a text; is a value missing its quotes, as in `'{a}'`?".to_owned(),
                });
            };
            if key.is_plain && key.text == "<<" {
                merged.push((line, node));
                continue;
            }
            node.place = (self.place)(line);
            if let Some(first) = lines.insert(key.text.clone(), line) {
                let key = key.text.clone();
                let what = Oddity::RepeatedKey { key, first };
                self.warnings.push(Warning { line, what });
            }
            override_with(map.entry(&key.text), node);
        }
        for (line, source) in merged {
            merge(&mut map, source).map_err(|text| SyntaxError { line, text })?;
        }
        Ok(Value::Map(map))
    }
}

fn line(span: &Span) -> usize {
    span.start.line().max(1)
}

/// Number of levels below a node.
fn depth_of(node: &Node) -> usize {
    match &node.value {
        Value::Scalar(_) => 0,
        Value::List(list) => 1 + list.iter().map(depth_of).max().unwrap_or(0),
        Value::Map(map) => 1 + map.iter().map(|(_, node)| depth_of(node)).max().unwrap_or(0),
    }
}

/// Merges a section that is written twice, as Go does, which fills the same struct two times.
fn override_with(old: &mut Node, new: Node) {
    match (&mut old.value, new.value) {
        (Value::Map(old), Value::Map(new)) => {
            for (key, node) in new.iter() {
                override_with(old.entry(key), node.clone());
            }
        }
        (value, new_value) => {
            *value = new_value;
            old.place = new.place;
        }
    }
}

/// YAML 1.1, "merge": keys of the map itself take precedence, then those of earlier sources.
fn merge(map: &mut Map, source: Node) -> Result<(), String> {
    match source.value {
        Value::Map(source) => {
            for (key, node) in source.iter() {
                if map.get(key).is_none() {
                    map.set(key, node.clone());
                }
            }
            Ok(())
        }
        Value::List(sources) => sources.into_iter().try_for_each(|source| merge(map, source)),
        Value::Scalar(_) => {
            Err("`<<` takes a section, or a list of sections, as in `<<: *defaults`".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree as flow YAML, each value with its line.
    fn shown(text: &str) -> String {
        fn show(node: &Node) -> String {
            let Place::Line(line) = node.place else {
                return "nowhere".to_owned();
            };
            match &node.value {
                Value::Scalar(scalar) if scalar.is_plain => format!("{}@{line}", scalar.text),
                Value::Scalar(scalar) => format!("'{}'@{line}", scalar.text),
                Value::List(list) => {
                    format!("[{}]@{line}", list.iter().map(show).collect::<Vec<_>>().join(" "))
                }
                Value::Map(map) => {
                    let entries: Vec<String> = map
                        .iter()
                        .map(|(key, node)| format!("{key}:{}", show(node)))
                        .collect();
                    format!("{{{}}}@{line}", entries.join(" "))
                }
            }
        }
        show(&parse(text, &Place::Line).unwrap().root)
    }

    fn wrong(text: &str) -> (usize, String) {
        let wrong = parse(text, &Place::Line).unwrap_err();
        (wrong.line, wrong.text)
    }

    #[test]
    fn every_value_knows_its_line_and_its_spelling() {
        assert_eq!(
            shown("a: yes\nb:\n  - 'off'\n  - :5000\nc:\n  d: |\n    text\n"),
            "{a:yes@1 b:['off'@3 :5000@4]@2 c:{d:'text\n'@6}@5}@1"
        );
        assert_eq!(
            shown("\u{feff}a: !!str 5\r\nb: !!int '5'\r\n"),
            "{a:'5'@1 b:5@2}@1"
        );
        assert!(parse("", &Place::Line).unwrap().root.is_nothing());
        assert!(parse("# nothing\n", &Place::Line).unwrap().root.is_nothing());
    }

    #[test]
    fn anchors_and_merge_keys_are_resolved() {
        assert_eq!(
            shown("a: &a {x: 1, y: 2}\nb:\n  y: 3\n  <<: *a\nc: *a\n"),
            "{a:{x:1@1 y:2@1}@1 b:{y:3@3 x:1@1}@2 c:{x:1@1 y:2@1}@5}@1"
        );
        assert!(wrong("a: &a [*a]\n").1.contains("alias"));
        assert!(wrong("<<: 5\n").1.contains("`<<` takes a section"));
    }

    #[test]
    fn what_grows_without_bound_is_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..20 {
            let alias = format!("*a{}, ", level - 1).repeat(10);
            bomb.push_str(&format!("a{level}: &a{level} [{alias}]\n"));
        }
        assert_eq!(wrong(&bomb).1, "the aliases here stand for too much");
        assert!(parse(&"[".repeat(100_000), &Place::Line).is_err());
        assert!(parse(&"- ".repeat(10_000), &Place::Line).is_err());
    }

    #[test]
    fn a_key_that_stands_twice_is_told_and_the_later_one_counts() {
        let parsed = parse("a: {x: 1}\nb: 2\na: {y: 3}\nb: 4\n", &Place::Line).unwrap();
        let told: Vec<usize> = parsed.warnings.iter().map(|warning| warning.line).collect();
        assert_eq!(told, [3, 4]);
        assert!(
            parsed.warnings[0].what.to_string().contains("line 1 already"),
            "{:?}",
            parsed.warnings
        );
        assert_eq!(
            shown("a: {x: 1}\nb: 2\na: {y: 3}\nb: 4\n"),
            "{a:{x:1@1 y:3@3}@1 b:4@4}@1"
        );
        let second = parse("a: 1\n---\na: 2\n", &Place::Line).unwrap();
        assert_eq!(second.warnings[0].what, Oddity::SecondDocument);
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        let (line, text) = wrong("a:\n\tb: 1\n");
        assert_eq!(line, 2);
        assert!(text.contains("spaces"), "{text}");
        assert_eq!(wrong("a: 1\nb: [\n").0, 2);
        assert!(wrong("? {a: b}\n: c\n").1.contains("a key must be a text"));
    }
}
