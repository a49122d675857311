//! What went wrong, and what is about to be done.

use askama::Template;

use crate::{
    filters,
    page::Page,
    said::Said,
    text::Text,
    values::{Field, Hidden, Link},
    view::View,
};

/// A request that failed.
#[derive(Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    /// What all pages share.
    pub page: Page,
    /// Status of the answer.
    pub status: u16,
    /// What is wrong.
    pub title: Text,
    /// What to do about it.
    pub text: Text,
    /// The kind of failure; empty where the detail is in the language of the page.
    pub kind: Said,
    /// What a service says; empty: nothing.
    pub detail: Said,
    /// Pages with similar names.
    pub similar: Vec<Link>,
    /// Whether another account may be allowed to.
    pub signs_in: bool,
    /// Whether the same request may succeed later.
    pub retries: bool,
    /// Id of the request, which the log of the server has as well; empty: it does not matter.
    pub request_id: String,
}

impl View for ErrorPage {}

/// A change that needs a confirmation.
#[derive(Template)]
#[template(path = "confirm.html")]
pub struct Confirm {
    /// What all pages share.
    pub page: Page,
    /// What is about to be done.
    pub title: Text,
    /// Where "cancel" leads.
    pub back: String,
    /// Name of that page.
    pub back_label: Text,
    /// Why it was not done; empty: it was not tried.
    pub wrong: Said,
    /// Path of the form.
    pub action: String,
    /// What the form sends.
    pub hidden: Vec<Hidden>,
    /// What follows from it.
    pub effects: Vec<Text>,
    /// A field for a password; `None`: none is asked for.
    pub password: Option<Field>,
    /// Whether something is lost by it.
    pub dangerous: bool,
    /// Text of the button.
    pub button: Text,
}

impl View for Confirm {}
