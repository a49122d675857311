//! The query of a request, checked against the parameters of its operation.

use std::{borrow::Cow, fmt::Display, str::FromStr};

use jiff::Timestamp;
use wharf_activity::Action;
use wharf_oci::{RepoName, Tag, query_pairs};
use wharf_registry::Order;

use super::problem::{Kind, Problem, Result};

/// A parameter of the query.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    /// Meaning, in one sentence without a full stop.
    pub(crate) help: &'static str,
    pub(crate) form: Form,
    pub(crate) is_required: bool,
}

/// The form of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    /// Name of a repository.
    Repository,
    /// A tag.
    Tag,
    /// A whole number from 1 to this.
    UpTo(usize),
    /// A time of RFC 3339.
    Time,
    /// An action of the activity log.
    Action,
    /// The name of an order of a list.
    Order,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

/// The parameters of a request, each once.
#[derive(Debug, Default)]
pub(crate) struct Query(Vec<(&'static str, String)>);

impl Query {
    /// Reads `query`, the part of the target after its question mark, as the parameters that are `known`.
    pub(crate) fn read(query: &str, known: &'static [Parameter]) -> Result<Self> {
        let mut read = Self::default();
        for (name, value) in query_pairs(query) {
            let Some(parameter) = known.iter().find(|known| known.name == name) else {
                return Err(unknown(&name, known));
            };
            if read.get(parameter.name).is_some() {
                let text = format!("`{}` stands twice in the query; leave one out", parameter.name);
                return Err(bad(parameter.name, text));
            }
            read.0.push((parameter.name, checked(parameter, value)?));
        }
        for parameter in known {
            if parameter.is_required && read.get(parameter.name).is_none() {
                let text = format!(
                    "the query lacks `{name}`: `?{name}=…`; it is the {help}",
                    name = parameter.name,
                    help = parameter.help
                );
                return Err(bad(parameter.name, text));
            }
        }
        Ok(read)
    }

    /// The value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that is required.
    pub(crate) fn required(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// The repository that an operation is about, if it is about one.
    pub(crate) fn repository(&self) -> Option<RepoName> {
        self.get("repository")?.parse().ok()
    }

    /// The tag that an operation is about, if it is about one.
    pub(crate) fn tag(&self) -> Option<Tag> {
        self.get("tag")?.parse().ok()
    }

    /// The value of a number.
    pub(crate) fn number(&self, name: &str) -> Option<usize> {
        self.get(name)?.parse().ok()
    }
}

fn checked(parameter: &Parameter, value: Cow<'_, str>) -> Result<String> {
    let name = parameter.name;
    match parameter.form {
        Form::Text if value.is_empty() => Err(bad(name, format!("`{name}` is empty in the query"))),
        Form::Text => Ok(value.into_owned()),
        Form::Repository => parsed::<RepoName>(name, value),
        Form::Tag => parsed::<Tag>(name, value),
        Form::UpTo(most) => match value.parse::<usize>() {
            Ok(1..) if value.parse().is_ok_and(|number: usize| number <= most) => Ok(value.into_owned()),
            _ => Err(bad(
                name,
                format!("`{name}` must be a whole number from 1 to {most}"),
            )),
        },
        Form::Time if value.parse::<Timestamp>().is_ok() => Ok(value.into_owned()),
        Form::Time => Err(bad(
            name,
            format!("`{name}` must be a time of RFC 3339, such as `2030-12-31T23:59:59Z`"),
        )),
        Form::Action => one_of(&Action::ALL.map(Action::as_str), name, value),
        Form::Order => one_of(&Order::ALL.map(Order::as_str), name, value),
        Form::OneOf(words) => one_of(words, name, value),
    }
}

/// The value, if it is one of those that are `known`.
fn one_of(known: &[&str], name: &str, value: Cow<'_, str>) -> Result<String> {
    match known.contains(&&*value) {
        true => Ok(value.into_owned()),
        false => {
            let text = format!("`{name}` must be one of `{}`", known.join("`, `"));
            Err(bad(name, text))
        }
    }
}

/// The value, if it is the text of a `T`.
fn parsed<T: FromStr<Err: Display>>(name: &str, value: Cow<'_, str>) -> Result<String> {
    match value.parse::<T>() {
        Ok(_) => Ok(value.into_owned()),
        Err(error) => Err(bad(name, format!("`{name}`: {error}"))),
    }
}

fn unknown(name: &str, known: &[Parameter]) -> Problem {
    let known: Vec<String> = known.iter().map(|known| format!("`{}`", known.name)).collect();
    let hint = match known.as_slice() {
        [] => "this operation takes none".to_owned(),
        known => format!("this operation takes {}", known.join(", ")),
    };
    let shown: String = name.chars().take(80).collect();
    let text = format!("`{}` is not a parameter; {hint}", shown.escape_debug());
    bad(&shown, text)
}

fn bad(name: &str, text: String) -> Problem {
    Problem::new(Kind::BadQuery, text).with_field(name)
}
