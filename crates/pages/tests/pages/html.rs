//! A strict reader of HTML, as far as pages have it.

use std::collections::BTreeSet;

/// A tag with its attributes.
#[derive(Debug)]
pub(crate) struct Tag {
    /// Name of the element.
    pub(crate) name: String,
    /// The attributes with their values, as they are written.
    pub(crate) attributes: Vec<(String, String)>,
}

/// What a page has.
#[derive(Debug, Default)]
pub(crate) struct Html {
    /// The tags that open an element.
    pub(crate) tags: Vec<Tag>,
    /// All that is no tag.
    pub(crate) text: String,
}

/// Elements that have no end.
const VOID: &[&str] = &["meta", "link", "input", "br", "img"];

impl Html {
    /// Reads a page.
    ///
    /// # Panics
    ///
    /// Where a tag is not well formed, or an element does not end where it should.
    pub(crate) fn read(name: &str, page: &str) -> Self {
        let mut html = Self::default();
        let mut open: Vec<String> = Vec::new();
        let mut rest = page.trim_start().strip_prefix("<!doctype html>").unwrap();
        while let Some(start) = rest.find('<') {
            html.text.push_str(&rest[..start]);
            let end = end_of_tag(&rest[start..]);
            let inner = &rest[start + 1..start + end];
            rest = &rest[start + end + 1..];
            if let Some(closed) = inner.strip_prefix('/') {
                let last = open.pop();
                assert_eq!(
                    last.as_deref(),
                    Some(closed),
                    "{name}: after {:?}",
                    html.tags.last()
                );
                continue;
            }
            let (inner, is_closed) = match inner.strip_suffix('/') {
                Some(inner) => (inner, true),
                None => (inner, false),
            };
            let tag = Tag::read(name, inner);
            if !is_closed && !VOID.contains(&tag.name.as_str()) {
                open.push(tag.name.clone());
            }
            html.tags.push(tag);
        }
        html.text.push_str(rest);
        assert!(open.is_empty(), "{name}: {open:?} does not end");
        html
    }

    /// The names of elements with the names of their attributes.
    pub(crate) fn shapes(&self) -> BTreeSet<String> {
        let shape = |tag: &Tag| {
            let names: BTreeSet<&str> = tag.attributes.iter().map(|(name, _)| name.as_str()).collect();
            format!("{} {names:?}", tag.name)
        };
        self.tags.iter().map(shape).collect()
    }
}

/// Where the tag at the beginning of `text` ends: a `>` in the value of an attribute does not end it.
fn end_of_tag(text: &str) -> usize {
    let mut is_quoted = false;
    for (place, character) in text.char_indices() {
        match character {
            '"' => is_quoted = !is_quoted,
            '>' if !is_quoted => return place,
            _ => {}
        }
    }
    panic!("a tag does not end: {}", &text[..text.len().min(200)]);
}

impl Tag {
    fn read(page: &str, inner: &str) -> Self {
        let (name, mut rest) = inner.split_once(' ').unwrap_or((inner, ""));
        assert!(
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            "{page}: `<{inner}>` is no tag"
        );
        let mut attributes = Vec::new();
        while !rest.trim_start().is_empty() {
            rest = rest.trim_start();
            let end = rest.find([' ', '=']).unwrap_or(rest.len());
            let (attribute, after) = rest.split_at(end);
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            assert!(
                attribute.bytes().all(is_name),
                "{page}: `{attribute}` in `<{inner}>`"
            );
            let Some(quoted) = after.strip_prefix("=\"") else {
                assert!(
                    !after.starts_with('='),
                    "{page}: a value without quotes in `<{inner}>`"
                );
                attributes.push((attribute.to_owned(), String::new()));
                rest = after;
                continue;
            };
            let (value, after) = quoted.split_once('"').unwrap();
            attributes.push((attribute.to_owned(), value.to_owned()));
            rest = after;
        }
        Self {
            name: name.to_owned(),
            attributes,
        }
    }
}
