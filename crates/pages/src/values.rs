//! Small parts that many views have.

use std::fmt;

use crate::{foreign::Shown, text::Text};

/// A digest, of which pages show the beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Digest(String);

/// How many digits of a digest are shown.
const DIGITS: usize = 12;

impl Digest {
    /// The whole digest.
    pub fn whole(&self) -> &str {
        &self.0
    }

    /// The algorithm and 12 digits.
    pub fn short(&self) -> &str {
        let digits = self.0.find(':').map_or(0, |colon| colon + 1);
        let end = (digits + DIGITS).min(self.0.len());
        self.0.get(..end).unwrap_or(&self.0)
    }
}

impl From<String> for Digest {
    fn from(digest: String) -> Self {
        Self(digest)
    }
}

impl From<&str> for Digest {
    fn from(digest: &str) -> Self {
        Self(digest.to_owned())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key and a value, such as a label.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The key.
    pub key: Shown,
    /// The value.
    pub value: Shown,
    href: String,
}

impl Pair {
    /// The pair of two texts from outside. The value becomes a link if it is one whole URL of `http` or `https`.
    pub fn of(key: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        let value = value.as_ref();
        Self {
            key: Shown::of(key, crate::foreign::LONG_LIMIT),
            href: if is_link(value) {
                value.to_owned()
            } else {
                String::new()
            },
            value: Shown::of(value, crate::foreign::LONG_LIMIT),
        }
    }

    /// Where the value leads; empty unless it is a link.
    pub fn href(&self) -> &str {
        &self.href
    }
}

/// Whether a text is one whole URL of `http` or `https`, of characters that a URL may have.
fn is_link(text: &str) -> bool {
    const LONGEST: usize = 2048;
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    let rest = match lower.starts_with("https://") {
        true => text.get(8..),
        false if lower.starts_with("http://") => text.get(7..),
        false => None,
    };
    let is_of_url = |byte: u8| byte.is_ascii_graphic() && !b"\"'<>\\^`{|}".contains(&byte);
    text.len() <= LONGEST
        && rest
            .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '['))
        && text.bytes().all(is_of_url)
}

/// The head of a column.
#[derive(Debug, Clone)]
pub struct Column {
    /// Key of its text.
    pub label: &'static str,
    /// Whether the rows are sorted by it.
    pub sorted: Sorted,
    /// Where the rows are sorted by it, or the other way round; empty where the server cannot sort by it.
    pub href: String,
    /// Whether it has numbers.
    pub number: bool,
}

/// How rows are sorted by a column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sorted {
    /// Not by this column.
    #[default]
    No,
    /// The smallest first.
    Ascending,
    /// The largest first.
    Descending,
}

impl Sorted {
    /// The word of `aria-sort`; empty for a column by which the rows are not sorted.
    pub fn word(self) -> &'static str {
        match self {
            Self::No => "",
            Self::Ascending => "ascending",
            Self::Descending => "descending",
        }
    }
}

/// The foot of a list with further pages.
#[derive(Debug, Clone, Default)]
pub struct Pages {
    /// What this page shows, such as "1 to 100 of 142".
    pub shown: Option<Text>,
    /// URL of the next page; empty on the last one.
    pub next: String,
    /// URL of the first page; empty on the first one.
    pub first: String,
}

impl Pages {
    /// Whether there are further pages.
    pub fn more(&self) -> bool {
        !self.next.is_empty()
    }
}

/// A field of a form, with what was sent in it.
#[derive(Debug, Clone, Default)]
pub struct Field {
    /// Name in the form.
    pub name: &'static str,
    /// The value that was sent.
    pub value: String,
    /// What is wrong with that value; `None`: nothing.
    pub wrong: Option<Text>,
    /// Whether it has to be filled in.
    pub required: bool,
    /// What a browser may fill in: `off`, `username`, `new-password`.
    pub autocomplete: &'static str,
}

/// A line for a program.
#[derive(Debug, Clone, Default)]
pub struct Command {
    /// Name of the program, or what the line does.
    pub program: String,
    /// The line.
    pub text: String,
}

/// A link of the pages.
#[derive(Debug, Clone, Default)]
pub struct Link {
    /// Where it leads.
    pub href: String,
    /// Its text.
    pub label: crate::foreign::Line,
}

/// A hidden field of a form.
#[derive(Debug, Clone, Default)]
pub struct Hidden {
    /// Name in the form.
    pub name: String,
    /// The value.
    pub value: String,
}

/// A choice with a text of the catalogue.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// The value in the form, and the last part of the key of its text.
    pub value: String,
    /// Whether it is chosen.
    pub chosen: bool,
}

/// A choice with a name.
#[derive(Debug, Clone, Default)]
pub struct NamedChoice {
    /// The value in the form.
    pub value: String,
    /// The name.
    pub name: crate::foreign::Line,
    /// Whether it is chosen.
    pub chosen: bool,
}

/// What a badge or a banner tells by its colour. Its words tell the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing.
    #[default]
    Plain,
    /// Good to know.
    Info,
    /// As it should be.
    Good,
    /// Needs attention.
    Warn,
    /// Harm was done, or will be.
    Bad,
}

impl Tone {
    fn word(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Info => "info",
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

impl fmt::Display for Tone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Templates compare tones with their words.
impl PartialEq<&str> for Tone {
    fn eq(&self, word: &&str) -> bool {
        self.word() == *word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_url_of_the_web_is_a_link() {
        for link in [
            "https://example.com",
            "http://10.0.0.7:8080/a?b=c&d#e",
            "HTTPS://[2001:db8::1]/",
        ] {
            assert_eq!(Pair::of("key", link).href(), link);
        }
        let evil = [
            "javascript:alert(1)",
            "data:text/html,<script>",
            "//example.com",
            "/ui/users",
            "https://",
            "https:///example.com",
            "https://example.com/ and more",
            "https://example.com/\u{202e}",
            "https://example.com/\"onclick=\"",
            "see https://example.com",
            " https://example.com",
            "https://example.com\n",
            "hätt://",
        ];
        for text in evil {
            assert_eq!(Pair::of("key", text).href(), "", "{text}");
        }
    }

    #[test]
    fn a_digest_is_shown_by_twelve_digits() {
        assert_eq!(
            Digest::from("sha256:0123456789abcdef").short(),
            "sha256:0123456789ab"
        );
        assert_eq!(Digest::from("sha256:01").short(), "sha256:01");
        assert_eq!(Digest::from("").short(), "");
        assert_eq!(Digest::from("1234567890aä").short(), "1234567890aä");
    }
}
