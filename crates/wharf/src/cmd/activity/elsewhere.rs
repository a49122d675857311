//! The activity log of another wharf, read in pages from its newest entries on.

use std::{collections::HashSet, thread, time::Duration};

use http::Method;
use jiff::{SignedDuration, Timestamp};
use wharf_activity::{Entry, Found};
use wharf_server::admin::wire;

use crate::{
    cli,
    cmd::{pages::Pages, remote::say},
    control::RunningServer,
};

/// Entries that are asked for at a time.
const PAGE: usize = 1000;

/// How often new entries are asked for.
const LOOK: Duration = Duration::from_secs(2);

/// An entry comes later than its time says: pulls of one image are gathered before they are written, and clocks of replicas differ. So much
/// of the log before its newest entry is asked for again.
const SLACK: SignedDuration = SignedDuration::from_mins(10);

/// The newest entries that the command line asks for, in the order of their times.
///
/// # Errors
/// When the server does not tell them.
pub(super) fn newest(server: &RunningServer, arguments: &cli::Activity) -> anyhow::Result<Found> {
    let wanted = match arguments.limit {
        0 => usize::MAX,
        limit => limit,
    };
    since(server, arguments, arguments.since, wanted)
}

/// Prints the newest entries, and then each as it is written, until `print` takes no more.
///
/// # Errors
/// When the server does not tell the first entries, or they cannot be printed. An error later on is said, and the command asks again.
pub(super) fn follow(
    server: &RunningServer,
    arguments: &cli::Activity,
    print: impl Fn(&Found, bool) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let begun = Timestamp::now();
    let found = newest(server, arguments)?;
    let mut seen = Seen::default();
    // Of entries that were not asked for, those before the first look are not new.
    let before = since(server, arguments, Some(begun - SLACK), usize::MAX)?;
    let mut newest = newest_time(&found.entries).unwrap_or(begun);
    seen.add(
        before
            .entries
            .into_iter()
            .filter(|entry| last(entry) < newest)
            .collect(),
    );
    seen.add(found.entries.clone());
    let (mut goes_on, mut is_lost) = (print(&found, true)?, false);
    while goes_on {
        thread::sleep(LOOK);
        let after = newest - SLACK;
        match since(server, arguments, Some(after), usize::MAX) {
            Ok(found) => {
                is_lost = false;
                newest = newest_time(&found.entries).unwrap_or(newest).max(newest);
                let new = Found {
                    entries: seen.add(found.entries),
                    unreadable: 0,
                };
                seen.forget_before(after);
                goes_on = new.entries.is_empty() || print(&new, false)?;
            }
            Err(error) if !is_lost => {
                is_lost = true;
                say(&format!("{error:#}; asks again until there is an answer"));
            }
            Err(_) => {}
        }
    }
    Ok(())
}

/// The newest `wanted` entries since a time that the command line asks for otherwise, in the order of their times.
fn since(
    server: &RunningServer,
    arguments: &cli::Activity,
    since: Option<Timestamp>,
    wanted: usize,
) -> anyhow::Result<Found> {
    let times = [since, arguments.until].map(|time| time.map(|time| time.to_string()));
    let parts = [
        ("repository", arguments.repository.as_deref()),
        ("account", arguments.account.as_deref()),
        ("action", arguments.action.as_deref()),
        ("since", times[0].as_deref()),
        ("until", times[1].as_deref()),
    ];
    let filter = parts.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let filter: Vec<(&str, &str)> = filter.collect();
    let mut found = Found {
        entries: Vec::new(),
        unreadable: 0,
    };
    let mut pages = Pages::default();
    loop {
        let limit = PAGE.min(wanted - found.entries.len()).to_string();
        let mut query = filter.clone();
        query.push(("limit", &limit));
        query.extend(pages.cursor().map(|cursor| ("cursor", cursor)));
        let page: wire::ActivityPage = server.ask(Method::GET, "/activity", &query)?;
        // Each page has older entries than the one before, itself in the order of their times.
        found.entries.extend(page.entries.into_iter().rev());
        found.unreadable += page.unreadable;
        if found.entries.len() >= wanted || !pages.turn(page.next)? {
            break;
        }
    }
    found.entries.reverse();
    Ok(found)
}

/// Entries that were printed, or are older than the command.
#[derive(Default)]
struct Seen {
    /// The entries as they are stored
    texts: HashSet<(Timestamp, String)>,
}

impl Seen {
    /// Notes `entries`. Returns those that are new.
    fn add(&mut self, mut entries: Vec<Entry>) -> Vec<Entry> {
        entries.retain(|entry| {
            let text = serde_json::to_string(entry).unwrap_or_default();
            self.texts.insert((last(entry), text))
        });
        entries
    }

    /// Forgets those that are not asked for any more.
    fn forget_before(&mut self, time: Timestamp) {
        self.texts.retain(|(last, _)| *last >= time);
    }
}

/// When the last happened of what an entry tells.
fn last(entry: &Entry) -> Timestamp {
    entry.until.unwrap_or(entry.timestamp)
}

fn newest_time(entries: &[Entry]) -> Option<Timestamp> {
    entries.iter().map(last).max()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(second: u32, repository: &str) -> Entry {
        let entry = json!({
            "timestamp": format!("2026-11-29T15:00:{second:02}.000Z"), "action": "delete", "count": 1, "result": "ok",
            "target": {"repository": repository},
        });
        serde_json::from_value(entry).unwrap()
    }

    #[test]
    fn an_entry_that_is_told_again_is_printed_once_and_a_late_one_too() {
        let mut seen = Seen::default();
        assert_eq!(seen.add(vec![entry(1, "a"), entry(5, "a")]).len(), 2);
        let late = entry(3, "a");
        let new = seen.add(vec![entry(1, "a"), late.clone(), entry(5, "a"), entry(5, "b")]);
        assert_eq!(new, [late, entry(5, "b")]);
        seen.forget_before(entry(5, "a").timestamp);
        assert_eq!(seen.texts.len(), 2);
    }
}
