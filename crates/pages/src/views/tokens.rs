//! Robot tokens.

use askama::Template;

use crate::{
    filters,
    moment::Time,
    page::Page,
    text::Text,
    values::{Choice, Field, NamedChoice, Pages},
    view::View,
};

/// The robot tokens, and the form that makes one.
#[derive(Template)]
#[template(path = "tokens.html")]
pub struct Tokens {
    /// What all pages share.
    pub page: Page,
    /// The secret of a token that was just made.
    pub secret: Option<Secret>,
    /// Further pages.
    pub pages: Pages,
    /// The tokens.
    pub tokens: Vec<Token>,
    /// Name of a new token.
    pub name: Field,
    /// Patterns of the repositories of a new token.
    pub repositories: Field,
    /// The actions of a new token.
    pub rights: Vec<Choice>,
    /// How long a new token is good.
    pub lifetimes: Vec<NamedChoice>,
}

/// A secret that is shown once.
pub struct Secret {
    /// What it is.
    pub title: Text,
    /// The secret itself.
    pub text: String,
    /// Lines that make use of it.
    pub commands: Vec<String>,
}

/// A robot token.
pub struct Token {
    /// Its name.
    pub name: String,
    /// Patterns of the repositories that it is for.
    pub repositories: Vec<String>,
    /// The actions that it is for: last parts of keys of texts in `right`.
    pub actions: Vec<String>,
    /// The account that made it; empty: the operator.
    pub creator: crate::foreign::Line,
    /// When it ends; `None`: when it is revoked.
    pub expires: Option<Time>,
    /// When it was used last.
    pub used: Option<Time>,
    /// Whether it has ended.
    pub expired: bool,
}

impl View for Tokens {}
