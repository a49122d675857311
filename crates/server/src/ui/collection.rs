//! Collections of garbage: the one that runs, the last one, and why something is kept.

use std::collections::BTreeMap;

use futures_util::{FutureExt as _, future::BoxFuture};
use serde::Serialize;
use wharf_pages::{
    Collection, Digest, EndedCollection, Kept, Line, Page, RunningCollection, Said, Text, Time, Why,
};

use super::{
    answer::Answer,
    call::Call,
    failure::Result,
    forms::{optional_time, time},
};
use crate::{admin::wire, api::problem::Kind};

/// How far a collection is, for the script of its page. Texts are ready to show.
#[derive(Debug, Serialize)]
struct Progress {
    running: bool,
    done: usize,
    /// 0: it is not known.
    of: usize,
    fields: BTreeMap<&'static str, String>,
}

/// The collection that runs, and the last one.
pub(super) fn show(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move { Ok(Answer::page(view(call).await?)) }.boxed()
}

/// Begins a collection.
pub(super) fn begin(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let asked: wire::RequestedCollection = call.ask("collect", &[]).await?;
        Ok(Answer::see(
            &call.url(&format!("/collection?asked={}", asked.number)),
        ))
    }
    .boxed()
}

/// Why a digest is kept.
pub(super) fn why(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let digest = call.query.get("digest");
        let mut view = view(call).await?;
        digest.clone_into(&mut view.why_digest);
        if !digest.is_empty() {
            let why: wire::Why = call.ask("explain", &[("digest", digest)]).await?;
            view.why = Some(explained(call, &view.page, why));
        }
        Ok(Answer::page(view))
    }
    .boxed()
}

/// How far it is.
pub(super) fn progress(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let found: wire::Collections = call.ask("showCollections", &[]).await?;
        let page = call.page();
        let mut fields = BTreeMap::new();
        let Some(running) = &found.running else {
            return Answer::json(&Progress {
                running: false,
                done: 0,
                of: 0,
                fields,
            });
        };
        fields.insert("phase", phase(&page, running).attr());
        fields.insert("repositories", page.number(running.repositories as u64));
        fields.insert("garbage", page.size(running.garbage.bytes));
        fields.insert("freed", page.size(running.removed.bytes));
        Answer::json(&Progress {
            running: true,
            done: running.repositories,
            of: of(&found),
            fields,
        })
    }
    .boxed()
}

async fn view(call: Call<'_>) -> Result<Collection> {
    let shown: Result<wire::Collections> = call.ask("showCollections", &[]).await;
    let page = call.page();
    let (found, off) = match shown {
        Ok(found) => (Some(found), Said::default()),
        // There is nothing to collect; what the page says besides is of use.
        Err(failure) if failure.kind() == Kind::NoCollector => (None, failure.said(&page)),
        Err(failure) => return Err(failure),
    };
    let running = found
        .as_ref()
        .and_then(|found| Some((found, found.running.as_ref()?)));
    let running = running.map(|(found, running)| RunningCollection {
        phase: phase(&page, running),
        done: running.repositories as u64,
        of: of(found) as u64,
        garbage: running.garbage.bytes,
        freed: running.removed.bytes,
        started: time(&running.started),
    });
    let last = found.as_ref().and_then(|found| found.last.as_ref());
    let asked: u64 = call.query.get("asked").parse().unwrap_or_default();
    let is_to_begin = off.is_empty() && asked > last.map_or(0, |last| last.number);
    // It begins in a moment: the page asks until then.
    let begins = (running.is_none() && is_to_begin).then(|| RunningCollection {
        phase: page.t("collection.phase.mark"),
        done: 0,
        of: 0,
        garbage: 0,
        freed: 0,
        started: Time::from(page.now),
    });
    Ok(Collection {
        starts: off.is_empty() && call.offers_settings() && running.is_none() && begins.is_none(),
        off,
        last: last.map(|last| ended(&page, last)),
        next: optional_time(found.as_ref().and_then(|found| found.next.as_ref())),
        running: running.or(begins),
        why_digest: String::new(),
        why: None,
        page,
    })
}

/// How many repositories there are, by what the last one has looked at; 0: it is not known.
fn of(found: &wire::Collections) -> usize {
    let before = found.last.as_ref().map_or(0, |last| last.repositories);
    let now = found.running.as_ref().map_or(0, |running| running.repositories);
    if before == 0 { 0 } else { before.max(now) }
}

fn phase(page: &Page, running: &wire::RunningCollection) -> Text {
    page.t(match running.removed.blobs {
        0 => "collection.phase.mark",
        _ => "collection.phase.sweep",
    })
}

fn ended(page: &Page, last: &wire::EndedCollection) -> EndedCollection {
    let (started, end) = (
        last.started.parse::<jiff::Timestamp>(),
        last.ended.parse::<jiff::Timestamp>(),
    );
    let took = match (started, end) {
        (Ok(started), Ok(end)) => u64::try_from(end.duration_since(started).as_millis()).unwrap_or(0),
        _ => 0,
    };
    EndedCollection {
        error: page.said_if(last.error.as_ref(), &last.error_messages),
        freed: last.removed.bytes,
        waiting: last.waiting.bytes,
        ended: time(&last.ended),
        took,
        repositories: last.repositories as u64,
        deletions: last.deletions as u64,
        findings: page.said_each(&last.findings, &last.findings_messages),
    }
}

fn explained(call: Call<'_>, page: &Page, why: wire::Why) -> Why {
    let verdict = match (why.size, why.kept.is_empty(), why.young) {
        (None, ..) => page.t("why.absent"),
        (Some(bytes), false, _) => page.t("why.needed").arg("size", page.size(bytes)),
        (Some(_), true, true) => page.t("why.young"),
        (Some(_), true, false) => page.t("why.garbage"),
    };
    let kept = why.kept.into_iter().map(|kept| {
        let (by, name) = match (kept.by, kept.name) {
            (wire::KeptBy::Tag, Some(tag)) => ("tag", format!("{}:{tag}", kept.repository)),
            (wire::KeptBy::Tag, None) => ("tag", kept.repository.clone()),
            (wire::KeptBy::Untagged, _) => ("untagged", kept.repository.clone()),
            (wire::KeptBy::Trash, Some(id)) => ("trash", id),
            (wire::KeptBy::Trash, None) => ("trash", kept.repository.clone()),
            (wire::KeptBy::YoungLink, _) => ("young-link", kept.repository.clone()),
            (wire::KeptBy::Unreadable, _) => ("unreadable", kept.repository.clone()),
        };
        let place = match by {
            "tag" if name.len() > kept.repository.len() => format!("/image/{name}"),
            "trash" if name != kept.repository => format!("/trash/{name}"),
            _ => format!("/repo/{}", kept.repository),
        };
        Kept {
            by: by.to_owned(),
            href: call.url(&place),
            name: Line::from(if by == "trash" { kept.repository } else { name }),
            path: kept.path.into_iter().map(Digest::from).collect(),
        }
    });
    Why {
        verdict,
        kept: kept.collect(),
    }
}
