//! The types of values, and checking a value against a type.

use wharf_document::{Node, Scalar, Value, words::cut};

/// Type of the value of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A section with keys.
    Section,
    /// A section with or without keys, whose presence has an effect.
    Named,
    /// A section, or the name of a section without keys: `storage: inmemory`.
    Choice,
    /// A list of sections.
    List,
    Text,
    /// A text that is never shown.
    Secret,
    Boolean,
    Number,
    Duration,
    /// A text that is one of these words, in any letter case.
    Word(&'static [&'static str]),
    /// A list of texts; one text is a list of one.
    Texts,
    /// Names of headers, each with a list of values.
    Headers {
        is_secret: bool,
    },
    /// Any names, each with a text.
    Fields {
        is_secret: bool,
    },
    /// Anything.
    Any,
}

impl Kind {
    /// Name of the type in the table of keys.
    pub(super) fn words(self) -> String {
        let word = match self {
            Self::Section | Self::Named => "section",
            Self::Choice => "section, or a name",
            Self::List => "list of sections",
            Self::Text => "text",
            Self::Secret => "secret",
            Self::Boolean => "true or false",
            Self::Number => "number",
            Self::Duration => "duration",
            Self::Word(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
                return words.join(", ");
            }
            Self::Texts => "list",
            Self::Headers { .. } => "names, each with a list",
            Self::Fields { .. } => "names, each with a text",
            Self::Any => "anything",
        };
        word.to_owned()
    }

    /// Why the value of `node` is not of this type; an empty value is of every type.
    pub(super) fn problem(self, node: &Node) -> Option<String> {
        if node.is_nothing() {
            return None;
        }
        let scalar = node.scalar();
        let not_text = |must: &str| Some(format!("must be {must}, not {}", node.kind()));
        let not = |must: &str| match scalar {
            Some(scalar) => Some(format!("must be {must}, not `{}`", cut(&scalar.text))),
            None => not_text(must),
        };
        let has_keys = matches!(node.value, Value::Map(_));
        match self {
            Self::Any => None,
            Self::Section | Self::Named | Self::Choice => {
                let is_name = scalar.is_some_and(|scalar| self == Self::Choice || scalar.text.is_empty());
                (!has_keys && !is_name).then(|| format!("must have keys below it, not {}", node.kind()))
            }
            Self::List if matches!(node.value, Value::List(_)) => None,
            Self::List => not_text("a list"),
            Self::Text | Self::Secret if scalar.is_some() => None,
            Self::Text | Self::Secret => not_text("a text"),
            Self::Boolean if scalar.and_then(Scalar::boolean).is_some() => None,
            Self::Boolean => not("`true` or `false`"),
            Self::Number if scalar.and_then(Scalar::integer).is_some() => None,
            Self::Number => not("a whole number"),
            Self::Duration if scalar.and_then(Scalar::duration).is_some() => None,
            Self::Duration => not("a duration such as `168h` or `1m30s`"),
            Self::Word(words) => match scalar {
                Some(scalar) if scalar.text.is_empty() => None,
                Some(scalar) if words.iter().any(|word| word.eq_ignore_ascii_case(&scalar.text)) => None,
                _ => not(&alternatives(words)),
            },
            Self::Texts => (!is_texts(node)).then(|| "must be a list of texts".to_owned()),
            Self::Headers { .. } => match &node.value {
                Value::Map(map) if map.iter().all(|(_, node)| is_texts(node)) => None,
                _ => Some("must have names of headers below it, each with a list of values".to_owned()),
            },
            Self::Fields { .. } => match &node.value {
                Value::Map(map) if map.iter().all(|(_, node)| node.scalar().is_some()) => None,
                _ => Some("must have names below it, each with a text".to_owned()),
            },
        }
    }
}

fn is_texts(node: &Node) -> bool {
    match &node.value {
        Value::Scalar(_) => true,
        Value::List(list) => list.iter().all(|node| node.scalar().is_some()),
        Value::Map(_) => false,
    }
}

fn alternatives(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match &words[..] {
        [one, other] => format!("{one} or {other}"),
        words => format!("one of {}", words.join(", ")),
    }
}
