//! The activity log of another wharf, read in pages from its newest entries on.

use http::Method;
use wharf_activity::Found;
use wharf_server::admin::wire;

use crate::{cli, control::RunningServer};

/// Entries that are asked for at a time.
const PAGE: usize = 1000;

/// The newest entries that the command line asks for, in the order of their times.
///
/// # Errors
/// When the server does not tell them.
pub(super) fn newest(server: &RunningServer, arguments: &cli::Activity) -> anyhow::Result<Found> {
    let times = [&arguments.since, &arguments.until].map(|time| time.map(|time| time.to_string()));
    let parts = [
        ("repository", arguments.repository.as_deref()),
        ("account", arguments.account.as_deref()),
        ("action", arguments.action.as_deref()),
        ("since", times[0].as_deref()),
        ("until", times[1].as_deref()),
    ];
    let filter = parts.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let filter: Vec<(&str, &str)> = filter.collect();
    let wanted = match arguments.limit {
        0 => usize::MAX,
        limit => limit,
    };
    let mut found = Found {
        entries: Vec::new(),
        unreadable: 0,
    };
    let mut cursor: Option<String> = None;
    loop {
        let limit = PAGE.min(wanted - found.entries.len()).to_string();
        let mut query = filter.clone();
        query.push(("limit", &limit));
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page: wire::ActivityPage = server.ask(Method::GET, "/activity", &query)?;
        // Each page has older entries than the one before, itself in the order of their times.
        found.entries.extend(page.entries.into_iter().rev());
        found.unreadable += page.unreadable;
        cursor = page.next;
        if cursor.is_none() || found.entries.len() >= wanted {
            break;
        }
    }
    found.entries.reverse();
    Ok(found)
}
