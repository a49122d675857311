//! Reading the nodes of a file of rules: texts, lists of them, and keys that are unknown.

use ipnet::IpNet;
use std::net::IpAddr;
use wharf_document::{
    Map, Node, Place, Value,
    words::{cut, meant},
};

use super::Problem;

/// A text of the file, and its line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) line: usize,
    pub(super) text: &'a str,
}

/// The line of a node.
pub(super) fn line(node: &Node) -> usize {
    match node.place {
        Place::Line(line) => line,
        Place::Nowhere | Place::Variable(_) => 0,
    }
}

/// The texts of a list, or a single text; `None` when it is neither, which is told.
pub(super) fn texts<'a>(key: &str, node: &'a Node, problems: &mut Vec<Problem>) -> Option<Vec<Text<'a>>> {
    let of = |node: &'a Node| {
        let scalar = node.scalar().filter(|scalar| !scalar.is_nothing())?;
        let text = &*scalar.text;
        Some(Text {
            line: line(node),
            text,
        })
    };
    let found: Option<Vec<Text<'a>>> = match &node.value {
        Value::List(list) => list.iter().map(of).collect(),
        Value::Scalar(_) => of(node).map(|text| vec![text]),
        Value::Map(_) => None,
    };
    if found.is_none() {
        let text = format!("`{key}` must be a text or a list of texts, not {}", node.kind());
        problems.push(Problem::error(
            line(node),
            text,
            "a text that is empty, or has a `: ` in it, needs quotes",
        ));
    }
    found
}

/// One text; `None` when it is not one, which is told.
pub(super) fn text<'a>(key: &str, node: &'a Node, problems: &mut Vec<Problem>) -> Option<Text<'a>> {
    match node.scalar() {
        Some(scalar) if !scalar.is_nothing() => Some(Text {
            line: line(node),
            text: &scalar.text,
        }),
        _ => {
            let text = format!("`{key}` must be a text, not {}", node.kind());
            problems.push(Problem::error(
                line(node),
                text,
                "a text that is empty needs quotes",
            ));
            None
        }
    }
}

/// Tells of every key of `map` that is not among `known`. `others` are words that operators of other systems write.
pub(super) fn check_keys(map: &Map, known: &[&str], others: &[(&str, &str)], problems: &mut Vec<Problem>) {
    for (name, node) in map.iter().filter(|(name, _)| !known.contains(name)) {
        let other = others.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        let hint = match other
            .map(|(_, own)| *own)
            .or_else(|| meant(name, known.iter().copied()))
        {
            Some(own) => format!("did you mean `{own}`?"),
            None => format!("the keys here are {}", listed(known)),
        };
        problems.push(Problem::error(
            line(node),
            format!("`{}` is not a key of this", cut(name)),
            hint,
        ));
    }
}

/// Tells of a word that is not among `known`.
pub(super) fn unknown(what: &str, text: Text<'_>, known: &[&str], others: &[(&str, &str)]) -> Problem {
    let other = others
        .iter()
        .find(|(other, _)| other.eq_ignore_ascii_case(text.text));
    let hint = match other
        .map(|(_, own)| *own)
        .or_else(|| meant(text.text, known.iter().copied()))
    {
        Some(own) => format!("did you mean `{own}`?"),
        None => format!("it is one of {}", listed(known)),
    };
    Problem::error(text.line, format!("`{}` is no {what}", cut(text.text)), hint)
}

/// An address, or a network.
pub fn network(text: &str) -> Option<IpNet> {
    let address = text.parse::<IpAddr>().ok();
    let network = address.map(|address| IpNet::from(address.to_canonical()));
    network.or_else(|| Some(text.parse::<IpNet>().ok()?.trunc()))
}

/// Names for a sentence.
pub(super) fn listed(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match &names[..] {
        [some @ .., last] if !some.is_empty() => format!("{} and {last}", some.join(", ")),
        names => names.join(", "),
    }
}
