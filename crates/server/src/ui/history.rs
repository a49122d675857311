//! The history of a tag, and the way back.

use futures_util::{FutureExt as _, future::BoxFuture};
use http::StatusCode;
use wharf_access::Verb;
use wharf_oci::{Reference, RepoName, Tag};
use wharf_pages::{Digest, History, HistoryEntry, Pages, PastManifest, Rollback, Said};

use super::{
    answer::Answer,
    call::Call,
    failure::{Failure, Result},
    fields::query_of,
    forms::optional_time,
    names,
    notice::{Deed, Done},
};
use crate::{
    admin::wire,
    api::problem::{Kind, Problem},
    words::Refused,
};

/// The fields that say where a tag goes back to.
pub(super) const FIELDS: &[&str] = &["digest", "current"];

/// Entries that are shown.
const ENTRIES: &str = "1000";

/// The history of the tag in the path.
pub(super) fn show(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let (name, tag) = tagged(call)?;
        let found = history(call, &name, &tag).await?;
        let image = format!("{name}:{tag}");
        let restores = may_restore(call, &name, &tag);
        let total = found.total;
        let page = call.page();
        let entries: Vec<HistoryEntry> = found
            .entries
            .into_iter()
            .map(|entry| {
                let compare = query_of([("from", entry.digest.as_str()), ("to", tag.as_str())].into_iter());
                let restore = query_of([("digest", entry.digest.as_str())].into_iter());
                let is_past = entry.available && !entry.current;
                HistoryEntry {
                    since: optional_time(Some(&entry.since)),
                    href: call.url(&format!("/image/{name}@{}", entry.digest)),
                    compare: match is_past {
                        true => format!("{}?{compare}", call.url(&format!("/compare/{name}"))),
                        false => String::new(),
                    },
                    restores: restores && is_past,
                    restore: format!("{}?{restore}", call.url(&format!("/rollback/{image}"))),
                    current: entry.current,
                    available: entry.available,
                    size: entry.size,
                    digest: Digest::from(entry.digest),
                }
            })
            .collect();
        let more = total.saturating_sub(entries.len());
        Ok(Answer::page(History {
            name: image,
            repository: name.to_string(),
            tag: tag.to_string(),
            pages: Pages::default(),
            entries,
            more: more as u64,
            page,
        }))
    }
    .boxed()
}

/// Asks whether the tag is to go back.
pub(super) fn confirm(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let (name, tag) = tagged(call)?;
        question(call, (&name, &tag), call.query.get("digest"), Said::default()).await
    }
    .boxed()
}

/// Lets the tag go back, if it still points at the manifest that was shown.
pub(super) fn roll_back(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let (name, tag) = tagged(call)?;
        let digest = call.form.get("digest");
        let place = [("repository", name.as_str()), ("tag", tag.as_str())];
        let target = wire::TagTarget {
            digest: digest.to_owned(),
        };
        let restored = call
            .tell_if::<wire::RestoredTag>("restoreTag", &place, &target, call.form.some("current"))
            .await;
        match restored {
            Ok(_) => {
                let place = call.url(&format!("/history/{name}:{tag}"));
                Ok(Answer::see(&place).with_notice(call, &Deed::new(Done::RolledBack, 1)))
            }
            Err(failure) if failure.kind() == Kind::Changed => {
                let why = failure.said(&call.page());
                let answer = question(call, (&name, &tag), digest, why).await?;
                Ok(answer.with_status(StatusCode::PRECONDITION_FAILED))
            }
            Err(failure) => Err(failure),
        }
    }
    .boxed()
}

async fn question(
    call: Call<'_>,
    (name, tag): (&RepoName, &Tag),
    digest: &str,
    refused: Said,
) -> Result<Answer> {
    // First: of what the visitor may not pull it is told nothing.
    let found = history(call, name, tag).await?;
    if !may_restore(call, name, tag) {
        let image = format!("{name}:{tag}");
        let problem = Problem::new(Kind::Forbidden, Refused::CannotRestore { image });
        return Err(problem.with_right("push").into());
    }
    let past = |entry: &wire::PastManifest| PastManifest {
        digest: Digest::from(entry.digest.as_str()),
        since: optional_time(Some(&entry.since)),
    };
    let from = found.entries.iter().find(|entry| entry.current).map(past);
    let to = found
        .entries
        .iter()
        .find(|entry| entry.digest == digest)
        .map(past);
    let to = to.ok_or_else(|| {
        let unknown = Refused::NoSuchPast {
            image: format!("{name}:{tag}"),
            digest: digest.to_owned(),
        };
        Failure::from(Problem::new(Kind::UnknownImage, unknown))
    })?;
    Ok(Answer::page(Rollback {
        name: format!("{name}:{tag}"),
        repository: name.to_string(),
        tag: tag.to_string(),
        refused,
        to,
        from,
        page: call.page(),
    }))
}

/// The repository and the tag in the path.
fn tagged(call: Call<'_>) -> Result<(RepoName, Tag)> {
    match names::image(call.rest)? {
        (name, Reference::Tag(tag)) => Ok((name, tag)),
        (_, Reference::Digest(_)) => Err(Failure::no_page()),
    }
}

async fn history(call: Call<'_>, name: &RepoName, tag: &Tag) -> Result<wire::TagHistory> {
    let query = [
        ("repository", name.as_str()),
        ("tag", tag.as_str()),
        ("limit", ENTRIES),
    ];
    call.ask("showTagHistory", &query).await
}

/// Whether pages offer to move the tag: one that may only be created stays where it is.
fn may_restore(call: Call<'_>, name: &RepoName, tag: &Tag) -> bool {
    let access = call.shared.app.services.access.as_deref();
    let grant = call
        .visitor
        .rights
        .on(access, name, Verb::Push, Some(tag.as_str()));
    call.offers_changes() && grant.is_some_and(|grant| !grant.creates_only)
}
