//! Client-supplied text in messages: escaped, and cut when it is long.

use std::fmt;

/// The most characters of client-supplied text that a message repeats.
const LIMIT: usize = 80;

/// Shows client-supplied text between backticks: control characters escaped, long text cut with an ellipsis.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", Escaped(self.0))
    }
}

/// Like [`Quoted`], without the backticks: for a part of what stands between them.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.0.chars();
        for character in characters.by_ref().take(LIMIT) {
            write_escaped(f, character)?;
        }
        f.write_str(if characters.next().is_some() { "…" } else { "" })
    }
}

/// Shows one client-supplied character between backticks, escaped when it is not printable.
pub(crate) struct QuotedChar(pub(crate) char);

impl fmt::Display for QuotedChar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`")?;
        write_escaped(f, self.0)?;
        f.write_str("`")
    }
}

/// Quotes stay as they are, unlike in [`char::escape_debug`]: the messages quote with backticks.
fn write_escaped(f: &mut fmt::Formatter<'_>, character: char) -> fmt::Result {
    match character {
        '"' | '\'' => write!(f, "{character}"),
        _ => write!(f, "{}", character.escape_debug()),
    }
}

/// The first `LIMIT` characters and one more of a text: enough for [`Quoted`] to show that it was cut,
/// so that an error never keeps a text of a megabyte.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(LIMIT + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_escaped_and_cut() {
        assert_eq!(Quoted("a\"b'c").to_string(), "`a\"b'c`");
        assert_eq!(Quoted("a\0\n\u{1b}").to_string(), "`a\\0\\n\\u{1b}`");
        assert_eq!(QuotedChar('\r').to_string(), "`\\r`");
        let long = "é".repeat(5000);
        assert_eq!(Quoted(&long).to_string(), format!("`{}…`", "é".repeat(80)));
        assert_eq!(Quoted(&shortened(&long)).to_string(), Quoted(&long).to_string());
        assert_eq!(
            Quoted(&shortened(&"x".repeat(80))).to_string(),
            format!("`{}`", "x".repeat(80))
        );
    }
}
