//! Patterns over the names of repositories, tags and accounts, for access rules and for retention.

use std::{fmt, str::FromStr};

use regex::{Regex, RegexBuilder};
use wharf_oci::{NameError, RepoName, Tag, TagError};

/// A pattern over names whose components are separated by `/`.
///
/// `*` matches any characters inside a component, `?` one of them, `**` as a whole component any number of components, also
/// none. `${account}` stands for the name of the account, literally. Nothing but `**` crosses a `/`.
///
/// Regular expressions are patterns as well: written as `re:…` where [`parse_or_regex`](Pattern::parse_or_regex) reads them, and in
/// their own way in the rules of docker_auth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
    form: Form,
    /// Bytes of `text` with which all matches begin
    prefix: usize,
}

#[derive(Debug, Clone)]
enum Form {
    Components(Box<[Component]>),
    /// Of the same text
    Regex(Regex),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Component {
    /// `**`
    Any,
    /// A component without wildcards
    Literal(Box<str>),
    /// The rest
    Glob(Box<[Piece]>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    /// These characters
    Literal(Box<str>),
    /// `?`
    One,
    /// `*`
    Many,
    /// `${account}`
    Account,
    /// `${account:1}` of a rule of docker_auth
    AccountPart(AccountPart),
}

/// The part of the name of an account that a group of a regular expression takes: all but some characters at its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountPart {
    /// Characters before it
    pub front: usize,
    /// Characters behind it
    pub back: usize,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// There is nothing in it
    #[error("an empty pattern matches nothing; `**` matches every name")]
    Empty,
    /// `a//b`, `/a`, `a/`
    #[error("a component of the pattern is empty: names have no `/` at their ends, and no two in a row")]
    EmptyComponent,
    /// `a**`
    #[error("`**` stands alone between two `/`; inside a component `*` is meant")]
    PartialAny,
    /// A variable other than `${account}`
    #[error("`${{{0}}}` is no variable; `${{account}}` is the only one")]
    UnknownVariable(String),
    /// `${` without `}`
    #[error("`${{` has no `}}`")]
    OpenVariable,
    /// Characters that no name has
    #[error("{0:?} is in no name, so the pattern matches nothing")]
    Impossible(char),
}

/// Why a text is neither a pattern nor a regular expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// It is no pattern
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// `re:(`
    #[error("the regular expression after `re:` cannot be read: {0}")]
    Regex(String),
}

/// Memory that a compiled regular expression may take, in bytes.
const LARGEST_REGEX: usize = 1 << 20;

/// The last line of an error, which says what is wrong; the lines before it show where.
fn said(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// When it can match nothing, or not what it seems to.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        Self::parse_with(text, None)
    }

    /// Reads a pattern, or, after `re:`, a regular expression that matches whole names.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse); when the regular expression cannot be read, or is too large.
    pub fn parse_or_regex(text: &str) -> Result<Self, ExpressionError> {
        let Some(expression) = text.strip_prefix("re:") else {
            return Ok(Self::parse(text)?);
        };
        // The group keeps `a|b` together.
        let whole = RegexBuilder::new(&format!("^(?:{expression})$"))
            .size_limit(LARGEST_REGEX)
            .build();
        match whole {
            Ok(regex) => Ok(Self {
                text: text.into(),
                form: Form::Regex(regex),
                prefix: 0,
            }),
            Err(error) => Err(ExpressionError::Regex(said(&error))),
        }
    }

    /// Reads a pattern in which `${account:1}` stands for `part`, if that is given.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn parse_with(text: &str, part: Option<AccountPart>) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        let components = text.split('/').map(|text| Component::parse(text, part));
        Ok(Self::new(
            text,
            Form::Components(components.collect::<Result<_, _>>()?),
        ))
    }

    /// The pattern that matches `name` alone.
    pub fn literal(name: &str) -> Self {
        let components = name.split('/').map(|text| Component::Literal(text.into()));
        Self {
            text: name.into(),
            form: Form::Components(components.collect()),
            // All of it, whatever characters it has.
            prefix: name.len(),
        }
    }

    /// The pattern that matches every name.
    pub fn everything() -> Self {
        Self::new("**", Form::Components([Component::Any].into()))
    }

    /// The pattern that matches what `regex` does.
    pub fn regex(regex: Regex) -> Self {
        let text = regex.as_str().to_owned();
        Self::new(&text, Form::Regex(regex))
    }

    fn new(text: &str, form: Form) -> Self {
        let end = match form {
            Form::Components(_) => text.find(['*', '?', '$']).unwrap_or(text.len()),
            Form::Regex(_) => 0,
        };
        let prefix = match text[end..].starts_with("**") {
            // `a/**` matches `a` as well.
            true => text[..end].trim_end_matches('/').len(),
            false => end,
        };
        Self {
            text: text.into(),
            form,
            prefix,
        }
    }

    /// Why it matches no name that a repository can have; `None` when it does, as far as can be told by looking.
    pub fn matches_no_repository(&self) -> Option<NameError> {
        self.impossible::<RepoName>()
    }

    /// Why it matches no tag; `None` when it does, as far as can be told by looking.
    pub fn matches_no_tag(&self) -> Option<TagError> {
        self.impossible::<Tag>()
    }

    fn impossible<T: FromStr>(&self) -> Option<T::Err> {
        let with_letters = self.example("a")?.parse::<T>();
        let without = self.example("")?.parse::<T>();
        match (with_letters, without) {
            (Err(error), Err(_)) => Some(error),
            _ => None,
        }
    }

    /// A name that it matches for the account `a`, if the pattern has components: each wildcard is replaced by `filling`.
    fn example(&self, filling: &str) -> Option<String> {
        let Form::Components(components) = &self.form else {
            return None;
        };
        let components = components.iter().map(|component| match component {
            Component::Any => "a".to_owned(),
            Component::Literal(literal) => literal.to_string(),
            Component::Glob(pieces) => pieces.iter().map(|piece| piece.example(filling)).collect(),
        });
        Some(components.collect::<Vec<_>>().join("/"))
    }

    /// Whether it matches every name.
    pub fn is_everything(&self) -> bool {
        matches!(&self.form, Form::Components(components) if **components == [Component::Any])
    }

    /// Whether it is a name and nothing else.
    pub fn is_literal(&self) -> bool {
        matches!(&self.form, Form::Components(components)
            if components.iter().all(|component| matches!(component, Component::Literal(_))))
    }

    /// Whether it matches `name`, for the account of this name; none is anonymous, and then no `${account}` matches.
    pub fn matches(&self, name: &str, account: Option<&str>) -> bool {
        // Of many rules most are about other names.
        if !name.as_bytes().starts_with(self.literal_prefix().as_bytes()) {
            return false;
        }
        match &self.form {
            Form::Components(components) => components_match(components, Some(name), account),
            Form::Regex(regex) => regex.is_match(name),
        }
    }

    /// The beginning that all matches have in common, for any account.
    pub fn literal_prefix(&self) -> &str {
        &self.text[..self.prefix]
    }

    /// Whether it matches whatever `other` matches, as far as can be told by looking: an answer `false` may be wrong.
    pub fn covers(&self, other: &Self) -> bool {
        self == other
            || self.is_everything()
            || other.is_literal() && self.matches(&other.text, None)
            || match (&self.form, &other.form) {
                (Form::Components(mine), Form::Components(theirs)) => match &**mine {
                    [mine @ .., Component::Any] => {
                        theirs.len() >= mine.len() && theirs[..mine.len()] == *mine
                    }
                    _ => false,
                },
                (Form::Regex(_), _) | (_, Form::Regex(_)) => false,
            }
    }
}

impl PartialEq for Form {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Components(mine), Self::Components(theirs)) => mine == theirs,
            (Self::Regex(mine), Self::Regex(theirs)) => mine.as_str() == theirs.as_str(),
            (Self::Components(_), Self::Regex(_)) | (Self::Regex(_), Self::Components(_)) => false,
        }
    }
}

impl Eq for Form {}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Component {
    fn parse(text: &str, part: Option<AccountPart>) -> Result<Self, PatternError> {
        match text {
            "" => return Err(PatternError::EmptyComponent),
            "**" => return Ok(Self::Any),
            _ if text.contains("**") => return Err(PatternError::PartialAny),
            _ => {}
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(['*', '?', '$']).unwrap_or(rest.len());
            if end > 0 {
                let literal = &rest[..end];
                if let Some(bad) = literal.chars().find(|character| !is_of_names(*character)) {
                    return Err(PatternError::Impossible(bad));
                }
                pieces.push(Piece::Literal(literal.into()));
                rest = &rest[end..];
            } else if let Some(after) = rest.strip_prefix('*') {
                pieces.push(Piece::Many);
                rest = after;
            } else if let Some(after) = rest.strip_prefix('?') {
                pieces.push(Piece::One);
                rest = after;
            } else if let Some(after) = rest.strip_prefix("${") {
                let (name, after) = after.split_once('}').ok_or(PatternError::OpenVariable)?;
                pieces.push(match (name, part) {
                    ("account", _) => Piece::Account,
                    ("account:1", Some(part)) => Piece::AccountPart(part),
                    _ => return Err(PatternError::UnknownVariable(name.to_owned())),
                });
                rest = after;
            } else {
                return Err(PatternError::Impossible('$'));
            }
        }
        Ok(match &*pieces {
            [Piece::Literal(literal)] => Self::Literal(literal.clone()),
            _ => Self::Glob(pieces.into()),
        })
    }

    fn matches(&self, name: &str, account: Option<&str>) -> bool {
        match self {
            Self::Any => true,
            Self::Literal(literal) => **literal == *name,
            Self::Glob(pieces) => pieces_match(pieces, name, account),
        }
    }
}

/// What names of repositories, tags and accounts consist of.
fn is_of_names(character: char) -> bool {
    character.is_alphanumeric() || "._-@+: ".contains(character)
}

/// Whether components match the rest of a name; `None` after its last component.
///
/// Of several `**` only the last that was met need be tried with more components: what comes between two of them has a fixed
/// number, so the earliest place for it is as good as any. The same holds for `*` inside a component.
fn components_match(components: &[Component], name: Option<&str>, account: Option<&str>) -> bool {
    let (mut at, mut rest) = (0, name);
    let mut last: Option<(usize, Option<&str>)> = None;
    loop {
        match (components.get(at), rest) {
            (None, None) => return true,
            (Some(Component::Any), _) => {
                at += 1;
                last = Some((at, rest));
                continue;
            }
            (Some(component), Some(text)) => {
                let (first, others) = first_component(text);
                if component.matches(first, account) {
                    (at, rest) = (at + 1, others);
                    continue;
                }
            }
            (None, Some(_)) | (Some(_), None) => {}
        }
        let Some((after, Some(from))) = last else {
            return false;
        };
        let (_, others) = first_component(from);
        last = Some((after, others));
        (at, rest) = (after, others);
    }
}

/// The first component, and the others if there are some.
fn first_component(text: &str) -> (&str, Option<&str>) {
    match text.split_once('/') {
        Some((first, others)) => (first, Some(others)),
        None => (text, None),
    }
}

fn pieces_match(pieces: &[Piece], text: &str, account: Option<&str>) -> bool {
    let (mut at, mut rest) = (0, text);
    let mut last: Option<(usize, &str)> = None;
    loop {
        match pieces.get(at) {
            None if rest.is_empty() => return true,
            None => {}
            Some(Piece::Many) => {
                at += 1;
                last = Some((at, rest));
                continue;
            }
            Some(piece) => {
                if let Some(others) = piece.strip_from(rest, account) {
                    (at, rest) = (at + 1, others);
                    continue;
                }
            }
        }
        let Some((after, from)) = last else { return false };
        let mut from = from.chars();
        if from.next().is_none() {
            return false;
        }
        last = Some((after, from.as_str()));
        (at, rest) = (after, from.as_str());
    }
}

impl AccountPart {
    fn of(self, account: &str) -> Option<&str> {
        let mut characters = account.chars();
        let front = (0..self.front).all(|_| characters.next().is_some());
        let back = (0..self.back).all(|_| characters.next_back().is_some());
        (front && back).then_some(characters.as_str())
    }
}

impl Piece {
    fn example<'a>(&'a self, filling: &'a str) -> &'a str {
        match self {
            Self::Literal(literal) => literal,
            Self::One | Self::Account | Self::AccountPart(_) => "a",
            Self::Many => filling,
        }
    }

    /// What follows the piece, if `text` begins with it.
    fn strip_from<'a>(&self, text: &'a str, account: Option<&str>) -> Option<&'a str> {
        match self {
            Self::Literal(literal) => text.strip_prefix(&**literal),
            Self::Account => text.strip_prefix(account.filter(|account| !account.is_empty())?),
            Self::AccountPart(part) => text.strip_prefix(part.of(account?)?),
            Self::One => {
                let mut others = text.chars();
                others.next()?;
                Some(others.as_str())
            }
            Self::Many => Some(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_expression_matches_whole_names() {
        let pattern = Pattern::parse_or_regex("re:a|.*-SNAPSHOT").unwrap();
        for (name, is_matched) in [
            ("a", true),
            ("1.0-SNAPSHOT", true),
            ("ab", false),
            ("1.0-SNAPSHOT2", false),
            ("xa", false),
        ] {
            assert_eq!(pattern.matches(name, None), is_matched, "{name}");
        }
        assert_eq!(pattern.to_string(), "re:a|.*-SNAPSHOT");
        assert!(Pattern::parse_or_regex("test").unwrap().matches("test", None));
        assert!(!Pattern::parse_or_regex("test").unwrap().matches("testxxx", None));
    }

    #[test]
    fn what_is_wrong_with_a_regular_expression_is_said() {
        let error = Pattern::parse_or_regex("re:(").unwrap_err();
        assert!(error.to_string().contains("unclosed group"), "{error}");
        let error = Pattern::parse_or_regex("re:(a{1000}){1000}").unwrap_err();
        assert!(error.to_string().contains("size limit"), "{error}");
    }
}
