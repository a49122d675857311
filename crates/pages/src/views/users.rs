//! The users in the password file.

use askama::Template;

use crate::{
    filters,
    foreign::Line,
    page::Page,
    said::Said,
    values::{Field, Pages},
    view::View,
    views::tokens::Secret,
};

/// The users, and the form that adds one.
#[derive(Template)]
#[template(path = "users.html")]
pub struct Users {
    /// What all pages share.
    pub page: Page,
    /// Path of the password file.
    pub file: String,
    /// A password that was just generated.
    pub secret: Option<Secret>,
    /// Further pages.
    pub pages: Pages,
    /// The users.
    pub users: Vec<User>,
    /// Name of a new user.
    pub name: Field,
    /// Password of a new user.
    pub password: Field,
}

/// A user.
pub struct User {
    /// Name of the user.
    pub name: Line,
    /// The name as a value in a query.
    pub query: String,
    /// How many robot tokens the user has made.
    pub tokens: u64,
    /// Whether the user administers the registry.
    pub admin: bool,
    /// Whether it is the caller.
    pub own: bool,
    /// Why the user cannot log in; empty: the user can.
    pub problem: Said,
}

impl View for Users {}
