//! The activity log.

use futures_util::{FutureExt as _, future::BoxFuture};
use wharf_activity::{Action, Outcome};
use wharf_pages::{
    Activity, ActivityEntry, CLIENT_LIMIT, Choice, Line, Pages, Shown, TABLE_LIMIT, Time, Tone,
};

use super::{answer::Answer, call::Call, failure::Result, lists::foot};
use crate::admin::wire;

/// The entries that fit the filter, the newest first.
pub(super) fn list(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let query = call.query;
        let is_admin = call.visitor.caller.is_admin();
        let (since, until) = (query.get("since"), query.get("until"));
        let (first, last) = (moment(since, "T00:00:00Z"), moment(until, "T23:59:59.999Z"));
        let account = if is_admin { query.get("account") } else { "" };
        let wanted = [
            ("repository", query.get("repository")),
            ("account", account),
            ("action", query.get("action")),
            ("since", first.as_str()),
            ("until", last.as_str()),
            ("cursor", query.get("cursor")),
        ];
        let found: wire::ActivityPage = call.ask("listActivity", &wanted).await?;
        let pages = foot(call, found.next.as_deref());
        let actions = Action::ALL.into_iter().map(|action| Choice {
            value: action.as_str().to_owned(),
            chosen: action.as_str() == query.get("action"),
        });
        let page = call.page();
        let entries: Vec<ActivityEntry> = found
            .entries
            .into_iter()
            .rev()
            .map(|entry| ActivityEntry {
                time: Time::from(entry.timestamp),
                action: entry.action.as_str().to_owned(),
                times: entry.count,
                account: Line::from(entry.actor.name.as_deref().unwrap_or_default()),
                href: href(call, &entry),
                what: Shown::of(what(&entry), TABLE_LIMIT),
                address: Line::from(entry.request.addr.as_deref().unwrap_or_default()),
                client: Shown::of(
                    entry.request.user_agent.as_deref().unwrap_or_default(),
                    CLIENT_LIMIT,
                ),
                result: result(entry.result).0.to_owned(),
                tone: result(entry.result).1,
            })
            .collect();
        Ok(Answer::page(Activity {
            own: !is_admin,
            repository: query.get("repository").to_owned(),
            account: account.to_owned(),
            actions: actions.collect(),
            since: since.to_owned(),
            until: until.to_owned(),
            pages: Pages {
                shown: Some(page.t("pages.newest").n(entries.len() as u64)),
                ..pages
            },
            entries,
            page,
        }))
    }
    .boxed()
}

/// The beginning or the end of a day, as the API takes it; empty without a day.
fn moment(day: &str, time: &str) -> String {
    match day.is_empty() {
        true => String::new(),
        false => format!("{day}{time}"),
    }
}

/// What it was done to, in the words of the log.
fn what(entry: &wharf_activity::Entry) -> String {
    let target = &entry.target;
    let name = match (&target.repository, &target.tag, &target.digest) {
        (Some(repository), Some(tag), _) => format!("{repository}:{tag}"),
        (Some(repository), None, Some(digest)) => format!("{repository}@{digest}"),
        (Some(repository), None, None) => repository.to_string(),
        (None, ..) => String::new(),
    };
    match &entry.detail {
        Some(detail) if name.is_empty() => detail.to_string(),
        Some(detail) => format!("{name} ({detail})"),
        None => name,
    }
}

/// The page of what it was done to, while that can be there.
fn href(call: Call<'_>, entry: &wharf_activity::Entry) -> String {
    let Some(repository) = &entry.target.repository else {
        return String::new();
    };
    match (&entry.target.tag, entry.action) {
        (_, Action::Delete) | (None, _) => call.url(&format!("/repo/{repository}")),
        (Some(tag), _) => call.url(&format!("/image/{repository}:{tag}")),
    }
}

fn result(outcome: Outcome) -> (&'static str, Tone) {
    match outcome {
        Outcome::Ok => ("ok", Tone::Plain),
        Outcome::Denied => ("denied", Tone::Warn),
        Outcome::Failed => ("failed", Tone::Bad),
        Outcome::Unrecorded => ("unrecorded", Tone::Plain),
    }
}
