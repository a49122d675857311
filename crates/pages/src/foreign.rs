//! Texts that come from outside: cut, and without characters that are not seen or that reorder what stands around them.
//!
//! Isolation by `<bdi>` is not enough: an isolate that a value opens and does not close (U+2066) ends the isolation around it. So these
//! characters are written as text, `\u{2066}`.

use std::{borrow::Cow, fmt};

/// How many characters of a value are shown on a page of details.
pub const LONG_LIMIT: usize = 240;

/// How many characters of a value are shown in a table.
pub const TABLE_LIMIT: usize = 160;

/// How many characters of the name of a program are shown.
pub const CLIENT_LIMIT: usize = 80;

/// How many bytes of the rest of a value are kept, to be opened.
const REST_LIMIT: usize = 16 * 1024;

/// A text from outside: its beginning, and the rest for a reader that opens it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    head: String,
    rest: String,
    bytes: u64,
    is_cut: bool,
}

impl Shown {
    /// The text with its first `limit` characters to be seen at once, counted as they are shown.
    pub fn of(text: impl AsRef<str>, limit: usize) -> Self {
        let text = text.as_ref();
        let mut shown = Self {
            bytes: text.len() as u64,
            ..Self::default()
        };
        let mut room = limit;
        for character in text.chars() {
            let spelling = Spelling::of(character);
            if room > 0 && shown.rest.is_empty() && spelling.len() <= room {
                room -= spelling.len();
                spelling.push_to(&mut shown.head);
            } else if shown.rest.len() + spelling.bytes() <= REST_LIMIT {
                spelling.push_to(&mut shown.rest);
            } else {
                shown.is_cut = true;
                break;
            }
        }
        shown
    }

    /// The beginning of the text.
    pub fn head(&self) -> &str {
        &self.head
    }

    /// What follows the beginning, up to 16 KiB.
    pub fn rest(&self) -> &str {
        &self.rest
    }

    /// Size of the whole text in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the text is longer than what is kept of it.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }
}

/// One line from outside, such as the name of an account or the reason of a problem: cut without a way to open the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line(String);

impl Line {
    /// The text, as it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for Line {
    fn from(text: &str) -> Self {
        Self(line(text).into_owned())
    }
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        match line(&text) {
            Cow::Owned(line) => Self(line),
            Cow::Borrowed(_) => Self(text),
        }
    }
}

impl From<&String> for Line {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

/// Without a text where there is none.
impl From<Option<String>> for Line {
    fn from(text: Option<String>) -> Self {
        text.map(Self::from).unwrap_or_default()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Line {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// How many characters a line has at most. Problems of a service name digests and what to do, and need this room.
const LINE_LIMIT: usize = 1000;

/// The text as one line may show it.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    let is_plain = text.len() <= LINE_LIMIT && text.chars().all(|character| !is_unseen(character));
    if is_plain {
        return Cow::Borrowed(text);
    }
    let shown = Shown::of(text, LINE_LIMIT);
    let mut head = shown.head;
    if !shown.rest.is_empty() || shown.is_cut {
        head.push('…');
    }
    Cow::Owned(head)
}

/// How a character is written.
enum Spelling {
    /// As it is.
    Plain(char),
    /// By its number.
    Number(String),
}

impl Spelling {
    fn of(character: char) -> Self {
        match is_unseen(character) {
            true => Self::Number(format!("\\u{{{:x}}}", u32::from(character))),
            false => Self::Plain(character),
        }
    }

    /// Count of characters.
    fn len(&self) -> usize {
        match self {
            Self::Plain(_) => 1,
            Self::Number(text) => text.len(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Plain(character) => character.len_utf8(),
            Self::Number(text) => text.len(),
        }
    }

    fn push_to(&self, text: &mut String) {
        match self {
            Self::Plain(character) => text.push(*character),
            Self::Number(number) => text.push_str(number),
        }
    }
}

/// Whether a character is not seen, or reorders the text around it.
fn is_unseen(character: char) -> bool {
    matches!(character,
        '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any characters, with those that matter more often than chance has them.
    fn texts() -> impl Strategy<Value = String> {
        let character = prop_oneof![
            any::<char>(),
            prop::char::range('\u{2000}', '\u{2070}'),
            prop::char::range('\0', '\u{a0}'),
            Just('\u{feff}'),
        ];
        prop::collection::vec(character, 0..600).prop_map(|characters| characters.into_iter().collect())
    }

    proptest! {
        #[test]
        fn what_is_shown_is_bounded_and_seen(text in texts(), limit in 0usize..300) {
            let shown = Shown::of(&text, limit);
            prop_assert!(shown.head.chars().count() <= limit);
            prop_assert!(shown.rest.len() <= REST_LIMIT);
            prop_assert_eq!(shown.bytes, text.len() as u64);
            prop_assert!(!shown.head.chars().chain(shown.rest.chars()).any(is_unseen));
            // Nothing is lost without a sign: short texts are whole.
            let spelled: String = text.chars().map(|character| {
                let mut spelled = String::new();
                Spelling::of(character).push_to(&mut spelled);
                spelled
            }).collect();
            let kept = shown.head.clone() + &shown.rest;
            prop_assert!(spelled.starts_with(&kept));
            prop_assert_eq!(shown.is_cut, spelled.len() > shown.head.len() + shown.rest.len());
        }

        #[test]
        fn a_line_is_bounded_and_seen(text in texts()) {
            let line = Line::from(text);
            prop_assert!(line.as_str().chars().count() <= LINE_LIMIT + 1);
            prop_assert!(!line.as_str().chars().any(is_unseen));
        }
    }

    #[test]
    fn a_long_text_keeps_its_beginning_and_a_rest() {
        let shown = Shown::of("ä".repeat(100_000), 240);
        assert_eq!((shown.head.chars().count(), shown.rest.len()), (240, 16 * 1024));
        assert!(shown.is_cut && shown.bytes == 200_000);
        let whole = Shown::of("short", 240);
        assert!(whole.rest.is_empty() && !whole.is_cut);
    }

    #[test]
    fn characters_that_reorder_a_text_are_written_by_their_numbers() {
        assert_eq!(Shown::of("\u{202e}gpj.exe", 240).head, r"\u{202e}gpj.exe");
        assert_eq!(Line::from("a\u{2066}b\u{0}").as_str(), r"a\u{2066}b\u{0}");
        assert_eq!(Line::from("مرحبا\tb").as_str(), "مرحبا\tb");
    }
}
