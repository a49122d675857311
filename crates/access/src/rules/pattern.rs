//! Patterns of repositories, tags and accounts.

use std::fmt;

/// A pattern over names whose components are separated by `/`.
///
/// `*` matches any characters inside a component, `?` one of them, `**` as a whole component any number of components, also
/// none. `${account}` stands for the name of the account, literally. Nothing but `**` crosses a `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
    components: Box<[Component]>,
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

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// When it can match nothing, or not what it seems to.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        let components: Result<_, _> = text.split('/').map(Component::parse).collect();
        Ok(Self {
            text: text.into(),
            components: components?,
        })
    }

    /// Whether it matches `name`, for the account of this name; none is anonymous, and then no `${account}` matches.
    pub fn matches(&self, name: &str, account: Option<&str>) -> bool {
        components_match(&self.components, Some(name), account)
    }

    /// The beginning that all matches have in common, for any account.
    pub fn literal_prefix(&self) -> &str {
        let end = self.text.find(['*', '?', '$']).unwrap_or(self.text.len());
        let prefix = &self.text[..end];
        match self.text[end..].starts_with("**") {
            // `a/**` matches `a` as well.
            true => prefix.trim_end_matches('/'),
            false => prefix,
        }
    }

    /// Whether it matches whatever `other` matches, as far as can be told by looking: an answer `false` may be wrong.
    pub fn covers(&self, other: &Self) -> bool {
        self == other
            || *self.components == [Component::Any]
            || other.is_literal() && self.matches(&other.text, None)
            || match (&*self.components, &*other.components) {
                ([mine @ .., Component::Any], theirs) => {
                    theirs.len() >= mine.len() && theirs[..mine.len()] == *mine
                }
                _ => false,
            }
    }

    fn is_literal(&self) -> bool {
        let mut components = self.components.iter();
        components.all(|component| matches!(component, Component::Literal(_)))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Component {
    fn parse(text: &str) -> Result<Self, PatternError> {
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
                if name != "account" {
                    return Err(PatternError::UnknownVariable(name.to_owned()));
                }
                pieces.push(Piece::Account);
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

impl Piece {
    /// What follows the piece, if `text` begins with it.
    fn strip_from<'a>(&self, text: &'a str, account: Option<&str>) -> Option<&'a str> {
        match self {
            Self::Literal(literal) => text.strip_prefix(&**literal),
            Self::Account => text.strip_prefix(account.filter(|account| !account.is_empty())?),
            Self::One => {
                let mut others = text.chars();
                others.next()?;
                Some(others.as_str())
            }
            Self::Many => Some(text),
        }
    }
}
