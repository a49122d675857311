//! Text of other servers, as it may be printed on a terminal.

use std::{borrow::Cow, fmt::Write as _};

/// `text` with each character escaped that would act on a terminal instead of being shown: control characters, line
/// separators, and those that change the direction of the text around them.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match acts(character) {
            true => escaped.extend(character.escape_default()),
            false => escaped.push(character),
        }
    }
    Cow::Owned(escaped)
}

/// The same for a JSON document without line breaks inside its strings: each such character becomes `\u….`, which reads
/// as the same text. Line breaks and tabs between values stay.
pub fn printable_json(document: &str) -> Cow<'_, str> {
    let acts = |character: char| !matches!(character, '\n' | '\t') && acts(character);
    if !document.contains(acts) {
        return Cow::Borrowed(document);
    }
    let mut escaped = String::with_capacity(document.len() + 16);
    for character in document.chars() {
        match acts(character) {
            true => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    _ = write!(escaped, "\\u{unit:04x}");
                }
            }
            false => escaped.push(character),
        }
    }
    Cow::Owned(escaped)
}

/// Whether a terminal acts on the character. The ranges are the line separators, and the bidirectional formatting
/// characters of Unicode (UAX #9, section 2).
fn acts(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_escaped_and_the_rest_stays() {
        for plain in ["", "linux/amd64", "日本 `\"x\"` \\ é किताब"] {
            assert!(matches!(printable(plain), Cow::Borrowed(same) if same == plain));
        }
        assert_eq!(printable("a\u{1b}[2J\r\n\tb"), "a\\u{1b}[2J\\r\\n\\tb");
        assert_eq!(printable("\u{9b}31m\u{7f}"), "\\u{9b}31m\\u{7f}");
        assert_eq!(
            printable("x\u{202e}gnp.exe\u{2066}"),
            "x\\u{202e}gnp.exe\\u{2066}"
        );
    }

    #[test]
    fn json_reads_as_the_same_text() {
        let value = serde_json::json!({"a": "x\u{202e}\u{9b}\u{7f}é", "b": ["\u{1b}"]});
        let document = format!("{value:#}\n");
        let safe = printable_json(&document);
        assert!(
            !safe.contains(|c| c != '\n' && acts(c)) && safe.contains('é'),
            "{safe}"
        );
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), value);
    }
}
