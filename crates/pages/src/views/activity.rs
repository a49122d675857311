//! The activity log.

use askama::Template;

use crate::{
    filters,
    foreign::{Line, Shown},
    moment::Time,
    page::Page,
    values::{Choice, Pages, Tone},
    view::View,
};

/// A page of the activity log.
#[derive(Template)]
#[template(path = "activity.html")]
pub struct Activity {
    /// What all pages share.
    pub page: Page,
    /// Whether the caller sees its own entries alone.
    pub own: bool,
    /// The pattern of repositories that the list is filtered by.
    pub repository: String,
    /// The account that the list is filtered by.
    pub account: String,
    /// The actions that it can be filtered by.
    pub actions: Vec<Choice>,
    /// The first day of the list, as `2026-11-30`.
    pub since: String,
    /// The last day of the list.
    pub until: String,
    /// Further pages.
    pub pages: Pages,
    /// The entries, the newest first.
    pub entries: Vec<ActivityEntry>,
}

/// An entry of the activity log.
pub struct ActivityEntry {
    /// When it happened, or began.
    pub time: Time,
    /// The action: the last part of the key of a text in `action`.
    pub action: String,
    /// How often it happened.
    pub times: u64,
    /// Name of the account.
    pub account: Line,
    /// What it was done to.
    pub what: Shown,
    /// Address of the client.
    pub address: Line,
    /// Program of the client.
    pub client: Shown,
    /// How it ended: the last part of the key of a text in `result`.
    pub result: String,
    /// Colour of the result.
    pub tone: Tone,
    /// Page of what it was done to; empty without one.
    pub href: String,
}

impl View for Activity {}
