//! Rust source as tokens, and what one file declares, imports and names, without its tests.

use std::collections::{BTreeMap, BTreeSet};

/// A path in source, `crate::storage::Key` for example, segment by segment.
pub(crate) type Segments = Vec<String>;

/// What one file declares, imports and names outside of its tests.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// Modules in files of their own that are compiled for tests only.
    pub(crate) test_modules: BTreeSet<String>,
    /// Items that are defined here.
    pub(crate) items: BTreeSet<String>,
    /// Names that `use` brings in, with the paths that they stand for.
    pub(crate) names: BTreeMap<String, Segments>,
    /// Paths of which everything is brought in and handed on: `pub use path::*`.
    pub(crate) globs: Vec<Segments>,
    /// Paths that the file depends on: private imports, and paths in its code. What it only hands on is not among them.
    pub(crate) uses: Vec<Segments>,
}

impl Source {
    pub(crate) fn parse(text: &str) -> Self {
        let tokens = tokens(text);
        let mut source = Self::default();
        let mut at = 0;
        while at < tokens.len() {
            at = source.item(&tokens, at);
        }
        source
    }

    /// Takes in what begins at `at`, and answers where to go on.
    fn item(&mut self, tokens: &[&str], at: usize) -> usize {
        let next = tokens.get(at + 1).copied().unwrap_or_default();
        match tokens[at] {
            "#" if next == "[" => {
                let end = closing(tokens, at + 1);
                if is_test_only(&tokens[at + 1..end]) {
                    return self.skip_test_item(tokens, end + 1);
                }
                end + 1
            }
            "use" => {
                let end = at + position(&tokens[at..], ";");
                self.import(&tokens[at + 1..end], is_handed_on(tokens, at));
                end + 1
            }
            "fn" | "struct" | "enum" | "union" | "trait" | "type" | "const" | "static" => {
                self.items.insert(next.to_owned());
                at + 1
            }
            "macro_rules" if next == "!" => {
                self.items.insert(tokens[at + 2].to_owned());
                at + 3
            }
            first if is_name(first) && next == "::" && at > 0 && tokens[at - 1] != "::" => {
                let mut path = vec![first.to_owned()];
                let mut end = at + 1;
                while tokens.get(end) == Some(&"::") && tokens.get(end + 1).is_some_and(|t| is_name(t)) {
                    path.push(tokens[end + 1].to_owned());
                    end += 2;
                }
                self.uses.push(path);
                end.max(at + 1)
            }
            _ => at + 1,
        }
    }

    /// Passes over an item that is compiled for tests only.
    fn skip_test_item(&mut self, tokens: &[&str], mut at: usize) -> usize {
        while tokens.get(at) == Some(&"#") {
            at = closing(tokens, at + 1) + 1;
        }
        let end = at
            + tokens[at..]
                .iter()
                .position(|token| matches!(*token, ";" | "{"))
                .unwrap_or(tokens.len() - at - 1);
        if tokens[end] == "{" {
            return closing(tokens, end) + 1;
        }
        if let Some(module) = tokens[at..end].iter().position(|token| *token == "mod") {
            self.test_modules.insert(tokens[at + module + 1].to_owned());
        }
        end + 1
    }

    fn import(&mut self, tree: &[&str], is_handed_on: bool) {
        for (path, name) in leaves(tree, &[]) {
            if !is_handed_on {
                self.uses.push(path.clone());
            }
            match name.as_str() {
                "*" if is_handed_on => self.globs.push(path),
                "*" | "_" => {}
                _ => {
                    self.names.insert(name, path);
                }
            }
        }
    }
}

/// Each path that a `use` tree brings in, with its name: the last segment, what follows `as`, or `*`.
fn leaves(tree: &[&str], prefix: &[String]) -> Vec<(Segments, String)> {
    let mut path = prefix.to_vec();
    let mut at = 0;
    while at < tree.len() {
        match tree[at] {
            "::" => {}
            "{" => {
                let inner = &tree[at + 1..closing(tree, at)];
                let parts = split(inner);
                return parts.into_iter().flat_map(|part| leaves(part, &path)).collect();
            }
            "*" => return vec![(path, "*".to_owned())],
            "as" => return vec![(path, tree[at + 1].to_owned())],
            "self" if !path.is_empty() => {}
            segment => path.push(segment.to_owned()),
        }
        at += 1;
    }
    let name = path.last().cloned();
    name.map(|name| (path, name)).into_iter().collect()
}

/// The parts between the commas that are in no inner braces.
fn split<'a, 't>(tokens: &'a [&'t str]) -> Vec<&'a [&'t str]> {
    let mut depth = 0;
    tokens
        .split(|token| {
            match *token {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            depth == 0 && *token == ","
        })
        .collect()
}

/// Whether the `use` at `at` hands on what it brings in.
fn is_handed_on(tokens: &[&str], at: usize) -> bool {
    at > 0
        && (tokens[at - 1] == "pub"
            || tokens[at - 1] == ")" && tokens[..at].ends_with(&[")"]) && {
                let open = tokens[..at].iter().rposition(|token| *token == "(");
                open.is_some_and(|open| open > 0 && tokens[open - 1] == "pub")
            })
}

/// `[cfg(test)]` and `[cfg(all(test, …))]`.
fn is_test_only(attribute: &[&str]) -> bool {
    attribute.get(1) == Some(&"cfg")
        && attribute.contains(&"test")
        && !attribute.contains(&"any")
        && !attribute.contains(&"not")
}

fn is_name(token: &str) -> bool {
    token
        .chars()
        .next()
        .is_some_and(|first| first.is_alphabetic() || first == '_')
}

fn position(tokens: &[&str], wanted: &str) -> usize {
    tokens
        .iter()
        .position(|token| *token == wanted)
        .unwrap_or(tokens.len() - 1)
}

/// The place of the bracket that closes the one at `open`.
fn closing(tokens: &[&str], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match *token {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len() - 1
}

/// Names and punctuation; `::` is one token. Comments, strings, characters and numbers are left out.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' => quoted(rest, '"'),
            'r' | 'b' | 'c' if starts_string(rest) => string(rest),
            '\'' if is_character(rest) => quoted(rest, '\''),
            _ if first.is_alphabetic() || first == '_' => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                let length = end.unwrap_or(rest.len());
                tokens.push(&rest[..length]);
                length
            }
            ':' if rest.starts_with("::") => {
                tokens.push("::");
                2
            }
            _ if first.is_ascii_digit() => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                end.unwrap_or(rest.len())
            }
            _ => {
                if !first.is_whitespace() {
                    tokens.push(&rest[..first.len_utf8()]);
                }
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    tokens
}

/// The length of a literal between two of `quote`, escapes included.
fn quoted(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if is_escaped {
            is_escaped = false;
        } else if c == '\\' {
            is_escaped = true;
        } else if c == quote {
            return at + quote.len_utf8();
        }
    }
    rest.len()
}

fn starts_string(rest: &str) -> bool {
    let after = rest.trim_start_matches(['r', 'b', 'c']);
    rest.len() - after.len() <= 2 && (after.starts_with('"') || is_raw(rest, after))
}

fn is_raw(rest: &str, after: &str) -> bool {
    rest[..rest.len() - after.len()].ends_with('r')
        && after.starts_with('#')
        && after.trim_start_matches('#').starts_with('"')
}

/// The length of a literal such as `b"…"`, `r"…"` or `r#"…"#`.
fn string(rest: &str) -> usize {
    let after = rest.trim_start_matches(['r', 'b', 'c']);
    let prefix = rest.len() - after.len();
    if !rest[..prefix].ends_with('r') {
        return prefix + quoted(after, '"');
    }
    let hashes = after.len() - after.trim_start_matches('#').len();
    let end = format!("\"{}", "#".repeat(hashes));
    let body = prefix + hashes + 1;
    rest[body..]
        .find(&end)
        .map_or(rest.len(), |at| body + at + end.len())
}

/// Whether a quote opens a character and no lifetime.
fn is_character(rest: &str) -> bool {
    let mut chars = rest.chars().skip(1);
    match (chars.next(), chars.next()) {
        (Some('\\'), _) => true,
        (_, after) => after == Some('\''),
    }
}

#[test]
fn a_file_is_taken_apart() {
    let source = Source::parse(
        r##"
//! use crate::comment::Nothing;
use std::{fmt, io::{self, Read as _}};
use crate::{a::{B, c as d}, e::*};
pub(crate) use crate::f::G;
pub use child::*;
#[cfg(test)]
mod tests { use crate::only_tests::X; }
#[cfg(test)]
mod other;
struct Own<'a>(&'a str, char);
fn run() { let x = "use crate::string::Y;"; let y = '"'; crate::h::i(r#"" crate::raw::Z "#); child::j::<u8>(); }
"##,
    );
    let uses: Vec<String> = source.uses.iter().map(|path| path.join("::")).collect();
    let expected = [
        "std::fmt",
        "std::io",
        "std::io::Read",
        "crate::a::B",
        "crate::a::c",
        "crate::e",
        "crate::h::i",
        "child::j",
    ];
    assert_eq!(uses, expected);
    assert_eq!(source.names["d"].join("::"), "crate::a::c");
    assert_eq!(source.names["G"].join("::"), "crate::f::G");
    assert_eq!(source.globs, [["child"]]);
    assert_eq!(source.test_modules, BTreeSet::from(["other".to_owned()]));
    assert!(source.items.contains("Own") && source.items.contains("run"));
}
