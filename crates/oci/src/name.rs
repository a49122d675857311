//! Repository names: `library/alpine`, of any depth, at most 255 characters.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use crate::text::{Quoted, QuotedChar, shortened};

/// A valid repository name. Cheap to clone.
///
/// The grammar is the distribution specification's ("Pulling manifests"): components of lower case letters and
/// digits, separated within by `.`, `_`, `__` or any number of `-`, and joined by `/`. Hence no component is
/// `.` or `..`, none starts with `_`, and a name is safe as a relative path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoName(Arc<str>);

impl RepoName {
    /// The most characters a name can have, slashes included (the limit of `registry:2`).
    pub const MAX_LEN: usize = 255;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A text that comes before all names that start with `beginning`, and behind every name before them: names have no byte above `z`.
    pub fn just_before(beginning: &str) -> String {
        let mut text = beginning.as_bytes().to_vec();
        match text.pop() {
            Some(byte) if byte.is_ascii() && byte > 0 => text.extend([byte - 1, 0x7f]),
            // All names are ASCII; from the start nothing is left out.
            _ => text.clear(),
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

impl FromStr for RepoName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        validate(text)?;
        Ok(Self(text.into()))
    }
}

impl AsRef<str> for RepoName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for RepoName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for RepoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Why a text is not a repository name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("the repository name is empty")]
    Empty,
    /// The text has more than 255 characters.
    #[error("a repository name has at most {} characters, got {got}", RepoName::MAX_LEN)]
    TooLong {
        /// Number of characters.
        got: usize,
    },
    /// The text contains `A-Z`.
    #[error("repository names are lower case; use {} instead of {}", Quoted(.lower), Quoted(.name))]
    UpperCase {
        /// Name that the client sent.
        name: String,
        /// That name in lower case.
        lower: String,
    },
    /// A component is `.` or `..`.
    #[error("the repository name contains the component `{component}`; names are not paths and cannot climb")]
    DotComponent {
        /// The component: `.` or `..`.
        component: &'static str,
    },
    /// The text contains `//`, or has a slash at either end.
    #[error(
        "the repository name contains an empty component; write single slashes, and none at the start or end"
    )]
    EmptyComponent,
    /// A component begins or ends with `.`, `_` or `-`.
    #[error(
        "the component {} of the repository name starts or ends with a separator; a component starts and ends with a letter or digit",
        Quoted(.component)
    )]
    SeparatorAtEnd {
        /// The whole component.
        component: String,
    },
    /// A component contains a sequence of separators that is not allowed, such as `..`, `___` or `._`.
    #[error(
        "the component {} of the repository name has {} between its words; allowed are `.`, `_`, `__` or any number of `-`",
        Quoted(.component),
        Quoted(.separator)
    )]
    BadSeparator {
        /// The whole component.
        component: String,
        /// The run of separators.
        separator: String,
    },
    /// The text contains NUL or another control character.
    #[error("the repository name contains the control character U+{:04X}", u32::from(*.character))]
    ControlCharacter {
        /// The first such character.
        character: char,
    },
    /// The text contains another character that names cannot have.
    #[error(
        "the repository name contains {}; allowed are `a-z`, `0-9`, the separators `.`, `_`, `-`, and `/` between components",
        QuotedChar(*.character)
    )]
    BadCharacter {
        /// The first such character.
        character: char,
    },
}

/// The kind of character before a byte of a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Slash,
    Word,
    Dot,
    Underscore,
    TwoUnderscores,
    Dash,
}

fn validate(name: &str) -> Result<(), NameError> {
    if name.len() > RepoName::MAX_LEN || !matches_grammar(name.as_bytes()) {
        return Err(explain(name));
    }
    Ok(())
}

/// One pass over the bytes; [`explain`] finds the error when there is one.
fn matches_grammar(name: &[u8]) -> bool {
    let mut before = Before::Slash;
    for byte in name {
        before = match (byte, before) {
            (b'a'..=b'z' | b'0'..=b'9', _) => Before::Word,
            (b'/', Before::Word) => Before::Slash,
            (b'.', Before::Word) => Before::Dot,
            (b'_', Before::Word) => Before::Underscore,
            (b'_', Before::Underscore) => Before::TwoUnderscores,
            (b'-', Before::Word | Before::Dash) => Before::Dash,
            _ => return false,
        };
    }
    // Nothing ends with a slash or separator; the empty name is still behind its "slash".
    before == Before::Word
}

/// The error of a name that does not match, the most useful one first.
fn explain(name: &str) -> NameError {
    if name.is_empty() {
        return NameError::Empty;
    }
    if let Some(character) = name.chars().find(|character| character.is_control()) {
        return NameError::ControlCharacter { character };
    }
    for component in ["..", "."] {
        if name.split('/').any(|part| part == component) {
            return NameError::DotComponent { component };
        }
    }
    let got = name.chars().count();
    if got > RepoName::MAX_LEN {
        return NameError::TooLong { got };
    }
    let allowed =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '/' | '.' | '_' | '-');
    if let Some(character) = name.chars().find(|&character| !allowed(character)) {
        return NameError::BadCharacter { character };
    }
    // Lower case is the advice only where it would help.
    let lower = name.to_ascii_lowercase();
    if matches_grammar(lower.as_bytes()) {
        return NameError::UpperCase {
            name: name.to_owned(),
            lower,
        };
    }
    if name.split('/').any(str::is_empty) {
        return NameError::EmptyComponent;
    }
    let component = name
        .split('/')
        .find(|part| !matches_grammar(part.to_ascii_lowercase().as_bytes()))
        .unwrap_or(name);
    explain_component(component)
}

/// The error of a component that has allowed characters only.
fn explain_component(component: &str) -> NameError {
    let is_separator = |character: char| matches!(character, '.' | '_' | '-');
    if component.starts_with(is_separator) || component.ends_with(is_separator) {
        return NameError::SeparatorAtEnd {
            component: component.to_owned(),
        };
    }
    let separator = component
        .split(|character: char| !is_separator(character))
        .find(|run| !matches!(*run, "" | "." | "_" | "__") && run.contains(['.', '_']))
        .unwrap_or_default();
    NameError::BadSeparator {
        component: component.to_owned(),
        separator: shortened(separator),
    }
}
