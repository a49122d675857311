//! `wharf repo ls`, `wharf repo du`, `wharf tag ls` and `wharf search`: what a registry has.
//!
//! A wharf tells sizes, pushes and pulls in one request for each page; of another registry only what the standard API has is known, and
//! the rest is said to be unknown.

mod asked;
mod repositories;
mod search;
mod tags;
mod usage;

pub(super) use self::{repositories::repositories, tags::tags};
pub(crate) use self::{search::run as search, usage::run as usage};

use anyhow::bail;
use serde::Serialize;
use wharf_client::printable;
use wharf_pattern::{ExpressionError, Pattern};

use super::remote::{print, print_json};
use crate::cli::{List, Order};

/// Prints rows as a JSON array.
pub(super) fn show_json(rows: &[impl Serialize]) -> anyhow::Result<()> {
    print_json(&format!("{:#}\n", serde_json::to_value(rows)?))
}

/// Prints names, one per line.
pub(super) fn show_names<'a>(names: impl Iterator<Item = &'a str>) -> anyhow::Result<()> {
    let lines = names.map(|name| format!("{}\n", printable(name)));
    print(&lines.collect::<String>())
}

/// Names as a registry lists them, as far as `list` wants them, and in its order.
fn chosen(mut names: Vec<String>, list: &List) -> anyhow::Result<Vec<String>> {
    if let Some(text) = &list.pattern {
        let pattern = Pattern::parse_or_regex(text)
            .map_err(|error: ExpressionError| anyhow::anyhow!("`--match {text}`: {error}"))?;
        names.retain(|name| pattern.matches(name, None));
    }
    match list.sort {
        Order::Name => names.sort(),
        Order::NameDown => names.sort_by(|one, other| other.cmp(one)),
        Order::Pushed | Order::PushedDown => {
            bail!(
                "`--sort {}`: the standard API does not tell when something was pushed, and this registry has no other",
                list.sort.text()
            )
        }
    }
    Ok(names)
}

/// A cell of a table that may be unknown.
pub(super) fn known<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), show)
}

/// A time as tables have it: to the second.
pub(super) fn time(text: &str) -> String {
    let time = text.parse::<jiff::Timestamp>();
    time.map_or_else(
        |_| printable(text).into_owned(),
        |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}
