//! How programs log in to this registry and trust it.

use askama::Template;

use crate::{filters, page::Page, view::View};

/// The steps for each program.
#[derive(Template)]
#[template(path = "connect.html")]
pub struct Connect {
    /// What all pages share.
    pub page: Page,
    /// Name of the registry, as clients write it.
    pub host: String,
    /// Whether the certificate of its authority can be downloaded here.
    pub has_ca: bool,
    /// Whether it serves without TLS.
    pub plain: bool,
    /// The programs.
    pub clients: Vec<Client>,
}

/// A program.
pub struct Client {
    /// Its id in the page.
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What to do, in this order.
    pub steps: Vec<ClientStep>,
}

/// A step.
#[derive(Default)]
pub struct ClientStep {
    /// Key of its text.
    pub label: &'static str,
    /// Lines for a shell.
    pub lines: Vec<String>,
    /// The content of a file; empty without one.
    pub block: String,
    /// Path of that file.
    pub file: String,
}

impl View for Connect {}
