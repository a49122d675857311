//! Checks a configuration against the table of keys: unknown keys, wrong types, and unsupported features.

use wharf_document::{
    Map, Node, Value,
    words::{cut, distance},
};

use super::{
    keys::Status,
    kind::Kind,
    report::Report,
    table::{self, Schema},
};

/// Bare numbers below this many nanoseconds get a warning: they were surely meant to be seconds.
const SURELY_NOT_NANOSECONDS: i64 = 1_000_000;

/// Replaces aliases of keys by the names of the keys.
pub(super) fn rename(root: &mut Map, report: &mut Report) {
    for key in table::all() {
        let Status::Alias(of) = key.status else { continue };
        let (above, name) = split(key.path);
        let Some(node) = section_mut(root, above).and_then(|section| section.remove(name)) else {
            continue;
        };
        report.warning(
            &node.place,
            format!("`{}` is another name of `{of}`; write that", key.path),
        );
        let (above, own) = split(of);
        let section = section_or_new(root, above);
        if section.get(own).is_none() {
            section.set(own, node);
        }
    }
}

/// The section of a dotted path, and the last name.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

fn section_mut<'a>(root: &'a mut Map, path: &str) -> Option<&'a mut Map> {
    let mut names = path.split('.').filter(|name| !name.is_empty());
    names.try_fold(root, |here, name| match &mut here.get_mut(name)?.value {
        Value::Map(map) => Some(map),
        Value::List(_) | Value::Scalar(_) => None,
    })
}

fn section_or_new<'a>(root: &'a mut Map, path: &str) -> &'a mut Map {
    path.split('.')
        .filter(|name| !name.is_empty())
        .fold(root, |here, name| here.entry(name).make_map())
}

/// Replaces the name of a section by the section: `storage: inmemory`.
pub(super) fn expand_names(root: &mut Map) {
    for (name, schema) in table::schema().children() {
        if schema.kind() == Kind::Choice
            && let Some(node) = root.get_mut(name)
            && node.scalar().is_some()
            && !node.is_nothing()
        {
            node.make_map();
        }
    }
}

/// Reports the problems of `root` that the table of keys shows.
pub(super) fn check(root: &Map, report: &mut Report) {
    section("", root, table::schema(), report);
}

fn section(path: &str, map: &Map, schema: &'static Schema, report: &mut Report) {
    for (name, node) in map.iter() {
        let path = table::below(path, name);
        match schema.child(name) {
            Some(known) => value(&path, node, known, report),
            // An unknown store or authentication method: without it the server would use another one.
            None if schema.kind() == Kind::Choice => {
                report.problem(&node.place, unknown(&path, name, schema));
            }
            None => report.warning(&node.place, unknown(&path, name, schema)),
        }
    }
}

fn value(path: &str, node: &Node, schema: &'static Schema, report: &mut Report) {
    let kind = schema.kind();
    let counts = asks_for_something(node, schema);
    match schema.status() {
        Status::Refused(why) if counts => report.problem(&node.place, format!("`{path}` {why}")),
        Status::Warned(why) if counts => report.warning(&node.place, format!("`{path}` {why}")),
        _ => {}
    }
    if let Some(text) = kind.problem(node) {
        report.problem(&node.place, format!("`{path}` {text}"));
        return;
    }
    match &node.value {
        Value::Map(map) if matches!(kind, Kind::Section | Kind::Named | Kind::Choice) => {
            section(path, map, schema, report);
        }
        Value::List(list) if kind == Kind::List => {
            for (index, element) in list.iter().enumerate() {
                let path = format!("{path}[{index}]");
                match (&element.value, schema.element()) {
                    (Value::Map(map), Some(schema)) => section(&path, map, schema, report),
                    _ => report.problem(
                        &element.place,
                        format!("`{path}` must have keys below it, not {}", element.kind()),
                    ),
                }
            }
        }
        Value::Scalar(scalar) if kind == Kind::Duration && scalar.is_plain => {
            let number = scalar
                .integer()
                .filter(|number| (1..SURELY_NOT_NANOSECONDS).contains(number));
            if let Some(number) = number {
                report.warning(&node.place, format!("`{path}` is {number} nanoseconds, as registry:2 reads a bare number; write `{number}s` for seconds"));
            }
        }
        Value::Map(_) | Value::List(_) | Value::Scalar(_) => {}
    }
}

/// Whether a node asks for anything: `proxy: {remoteurl: ""}` and `enabled: false` do not.
pub(super) fn asks_for_something(node: &Node, schema: &Schema) -> bool {
    let kind = schema.kind();
    match &node.value {
        _ if kind == Kind::Named => true,
        Value::Scalar(scalar) if kind == Kind::Boolean => {
            scalar.boolean() != Some(false) && !scalar.is_nothing()
        }
        Value::Scalar(scalar) => !scalar.is_nothing() && !scalar.text.is_empty(),
        Value::List(list) => !list.is_empty(),
        Value::Map(map) => map.iter().any(|(name, node)| match schema.child(name) {
            Some(child) => asks_for_something(node, child),
            None => true,
        }),
    }
}

fn unknown(path: &str, name: &str, schema: &Schema) -> String {
    let begin = format!("`{}` is not a key of the configuration", cut(path));
    let end = if schema.kind() == Kind::Choice {
        ""
    } else {
        " and has no effect"
    };
    match meant(name, schema) {
        Some(key) => format!("{begin}{end}; did you mean `{key}`?"),
        None => format!("{begin}{end}"),
    }
}

/// The key that was probably meant: one beside it with a similar name, or one elsewhere with the same name.
fn meant(name: &str, schema: &Schema) -> Option<String> {
    let alike = schema
        .children()
        .filter_map(|(known, child)| Some((distance(name, known)?, &child.path)))
        .min();
    if let Some((_, path)) = alike {
        return Some(path.clone());
    }
    // A section or key of that name in another place, if there is only one.
    let mut found: Option<String> = None;
    for path in table::all()
        .map(|key| key.path)
        .filter(|path| !path.contains('['))
    {
        let mut parts = path.split('.');
        let mut here = String::new();
        if parts.any(|part| {
            here = table::below(&here, part);
            part == name
        }) {
            match &found {
                Some(other) if *other != here => return None,
                _ => found = Some(here),
            }
        }
    }
    found
}
