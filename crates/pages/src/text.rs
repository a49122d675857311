//! A text of the catalogue with the values that are put into it.

use std::fmt;

use askama::filters::{Escaper, Html, HtmlSafe};
use wharf_message::Count;

use crate::{
    catalogue::{self, Entry, Form},
    figures,
    foreign::line,
    language::Lang,
};

/// A text of the catalogue. Its `Display` is HTML: the text is escaped, and each value is escaped and isolated by `<bdi>`, so it is the only
/// type that templates do not escape.
#[derive(Debug, Clone)]
pub struct Text {
    lang: Lang,
    pattern: Pattern,
    form: Form,
    values: Vec<(&'static str, Value)>,
}

#[derive(Debug, Clone)]
enum Pattern {
    Entry(&'static Entry),
    /// The key of a text that no catalogue has. It shows itself.
    Missing(String),
}

#[derive(Debug, Clone)]
enum Value {
    /// A number in the form of the language.
    Number(String),
    /// A value from outside, or one that another text made.
    Foreign(String),
    /// A sentence that has its markup already.
    Marked { html: String, plain: String },
}

impl Text {
    /// The text of `key` in a language.
    pub fn of(lang: Lang, key: impl AsRef<str>) -> Self {
        let key = key.as_ref();
        let entry = catalogue::find(lang, key);
        Self {
            lang,
            pattern: entry.map_or_else(|| Pattern::Missing(key.to_owned()), Pattern::Entry),
            form: Form::Other,
            values: Vec::new(),
        }
    }

    /// The text with `value` in the place of `{name}`. It is cut and written as a [`Line`](crate::Line) is.
    #[must_use]
    pub fn arg(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        let value = line(&value.to_string()).into_owned();
        self.values.push((name, Value::Foreign(value)));
        self
    }

    /// The text with a sentence in the place of `{name}` that has its markup already, and what it is without.
    #[must_use]
    pub(crate) fn marked(mut self, name: &'static str, html: String, plain: String) -> Self {
        self.values.push((name, Value::Marked { html, plain }));
        self
    }

    /// The text for this number, which takes the place of `{n}`.
    #[must_use]
    pub fn n(mut self, count: impl Count) -> Self {
        let count = count.count();
        self.form = catalogue::form(self.lang, count);
        self.values
            .push(("n", Value::Number(figures::number(self.lang, count))));
        self
    }

    /// The text for attributes, for `<title>` and for programs: without markup, values isolated by U+2068 and U+2069.
    pub fn attr(&self) -> String {
        let mut text = String::new();
        for piece in self.pieces() {
            match piece {
                Piece::Text(part) | Piece::Number(part) => text.push_str(part),
                Piece::Foreign(value) => {
                    text.push('\u{2068}');
                    text.push_str(value);
                    text.push('\u{2069}');
                }
                Piece::Marked { plain, .. } => text.push_str(plain),
            }
        }
        text
    }

    fn pattern(&self) -> &str {
        match &self.pattern {
            Pattern::Entry(entry) => entry.form(self.form),
            Pattern::Missing(key) => key,
        }
    }

    fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let is_missing = matches!(self.pattern, Pattern::Missing(_));
        let mut rest = self.pattern();
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let place = rest.find('{').filter(|_| !is_missing);
            let Some(start) = place else {
                return Some(Piece::Text(std::mem::take(&mut rest)));
            };
            if start > 0 {
                let (text, after) = rest.split_at(start);
                rest = after;
                return Some(Piece::Text(text));
            }
            let end = rest.find('}').map_or(rest.len(), |end| end + 1);
            let (place, after) = rest.split_at(end);
            rest = after;
            let name = place.trim_matches(['{', '}']);
            let value = self.values.iter().find(|(candidate, _)| *candidate == name);
            Some(match value {
                Some((_, Value::Number(number))) => Piece::Number(number),
                Some((_, Value::Foreign(value))) => Piece::Foreign(value),
                Some((_, Value::Marked { html, plain })) => Piece::Marked { html, plain },
                None => Piece::Text(place),
            })
        })
    }
}

enum Piece<'t> {
    Text(&'t str),
    Number(&'t str),
    Foreign(&'t str),
    Marked { html: &'t str, plain: &'t str },
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in self.pieces() {
            match piece {
                Piece::Text(text) | Piece::Number(text) => Html.write_escaped_str(&mut *f, text)?,
                Piece::Foreign(value) => {
                    f.write_str("<bdi>")?;
                    Html.write_escaped_str(&mut *f, value)?;
                    f.write_str("</bdi>")?;
                }
                Piece::Marked { html, .. } => f.write_str(html)?,
            }
        }
        Ok(())
    }
}

impl HtmlSafe for Text {}

/// Writes `text` into HTML.
pub(crate) fn escape(out: &mut String, text: &str) {
    // Writing to a `String` does not fail.
    if Html.write_escaped_str(&mut *out, text).is_err() {
        out.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_and_isolated() {
        let text = Text::of(Lang::En, "copy.what").arg("text", "<script>\u{202e}");
        assert_eq!(text.to_string(), r"Copy <bdi>&#60;script&#62;\u{202e}</bdi>");
        assert_eq!(text.attr(), "Copy \u{2068}<script>\\u{202e}\u{2069}");
    }

    #[test]
    fn a_value_with_braces_is_not_read_as_a_place() {
        let text = Text::of(Lang::En, "pages.range")
            .arg("from", "{to}")
            .arg("to", 2)
            .arg("of", 3);
        assert_eq!(
            text.to_string(),
            "<bdi>{to}</bdi> to <bdi>2</bdi> of <bdi>3</bdi>"
        );
    }

    #[test]
    fn a_number_chooses_the_form() {
        let tags = |lang, count: u64| Text::of(lang, "ago.hours").n(count).to_string();
        assert_eq!(tags(Lang::En, 1), "1 hour ago");
        assert_eq!(tags(Lang::Ru, 1_003), "1\u{a0}003 часа назад");
    }

    #[test]
    fn a_missing_key_shows_itself_and_is_escaped() {
        assert_eq!(
            Text::of(Lang::En, "no.{such}.<key>").to_string(),
            "no.{such}.&#60;key&#62;"
        );
    }
}
