//! Signing in, the account of the caller, and the keys.

use askama::Template;

use crate::{
    filters,
    foreign::Line,
    moment::Time,
    page::Page,
    text::Text,
    values::{Field, Hidden, NamedChoice},
    view::View,
};

/// Signing in.
#[derive(Template)]
#[template(path = "sign_in.html")]
pub struct SignIn {
    /// What all pages share.
    pub page: Page,
    /// Path to which a caller that signed in is led.
    pub to: String,
    /// Whether a session ended while a form was sent, and what it had is kept.
    pub resumes: bool,
    /// Why signing in failed; `None`: it was not tried.
    pub wrong: Option<Text>,
    /// Whether rules let anonymous callers look around.
    pub anonymous: bool,
    /// Fields of the form that was sent when the session had ended.
    pub kept: Vec<Hidden>,
    /// The field for the name of the account.
    pub account: Field,
}

impl View for SignIn {}

/// The account of the caller, and its preferences.
#[derive(Template)]
#[template(path = "account.html")]
pub struct Account {
    /// What all pages share.
    pub page: Page,
    /// Name of the account.
    pub name: Line,
    /// Whether it administers the registry.
    pub admin: bool,
    /// Whether it has a session, which it can leave.
    pub leaves: bool,
    /// The way in which the caller was recognised: the last part of the key of a text in `via`.
    pub via: String,
    /// When the session ends; `None`: there is none.
    pub ends: Option<Time>,
    /// The browsers in which the account is signed in.
    pub sessions: Vec<SignedIn>,
    /// What the account may do, a line for each group of repositories; without any it may do everything.
    pub rights: Vec<Line>,
    /// The programs; the commands of the chosen one are shown first.
    pub clients: Vec<NamedChoice>,
}

impl View for Account {}

/// A browser in which the account is signed in.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Identifier by which it is signed out.
    pub id: String,
    /// The browser, as it says.
    pub browser: Line,
    /// Address from which it has signed in; empty if it is not known.
    pub address: Line,
    /// When it has signed in.
    pub since: Time,
    /// When it was used last.
    pub used: Time,
    /// Whether it is the browser that looks at the page.
    pub own: bool,
}

/// The keys of the keyboard.
#[derive(Template)]
#[template(path = "keys.html")]
pub struct Keys {
    /// What all pages share.
    pub page: Page,
}

impl Keys {
    /// The keys to press, and the key of the text that tells what they do. `assets/keys.js` listens to them.
    fn keys(&self) -> &'static [(&'static [&'static str], &'static str)] {
        &[
            (&["/"], "keys.search"),
            (&["f"], "keys.filter"),
            (&["j", "k"], "keys.move"),
            (&["Enter"], "keys.open"),
            (&["x"], "keys.select"),
            (&["Shift", "x"], "keys.range"),
            (&["g", "r"], "repositories.title"),
            (&["g", "t"], "trash.title"),
            (&["g", "d"], "disk.title"),
            (&["g", "c"], "collection.title"),
            (&["g", "a"], "activity.title"),
            (&["g", "h"], "connect.title"),
            (&["?"], "keys.title"),
            (&["Esc"], "keys.leave"),
        ]
    }
}

impl View for Keys {}
