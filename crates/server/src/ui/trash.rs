//! The trash: what was deleted, the way back, and giving it up.

use futures_util::{FutureExt as _, future::BoxFuture};
use wharf_access::Verb;
use wharf_oci::RepoName;
use wharf_pages::{
    Confirm, DamagedRecord, Digest, LeftAlone, Line, Said, Trash, TrashRecord, TrashRow, TrashTag,
};

use super::{
    answer::Answer,
    call::Call,
    failure::Result,
    forms::{optional_time, time},
    lists::foot,
    notice::{Deed, Done},
};
use crate::{admin::wire, api::problem::Kind};

/// Entries of a page.
const ENTRIES: &str = "200";

/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// The deletions in the trash, the newest first.
pub(super) fn list(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let wanted = call.query.get("repository");
        let query = [
            ("repository", wanted),
            ("cursor", call.query.get("cursor")),
            ("limit", ENTRIES),
        ];
        let found: wire::TrashPage = call.ask("listTrash", &query).await?;
        let rows = found.deletions.into_iter().map(|deletion| row(call, deletion));
        let days = call.shared.app.registry.options().trash_retention.as_secs();
        Ok(Answer::page(Trash {
            days: days.div_ceil(DAY),
            empties: call.visitor.caller.is_admin() && call.offers_changes(),
            q: wanted.to_owned(),
            pages: foot(call, found.next.as_deref()),
            damaged: found
                .damaged
                .into_iter()
                .map(|record| DamagedRecord {
                    id: record.id,
                    problem: Said::from(Line::from(record.problem)),
                })
                .collect(),
            rows: rows.collect(),
            page: call.page(),
        }))
    }
    .boxed()
}

/// One deletion.
pub(super) fn show(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let found: wire::DeletedPointers = call.ask("showDeletion", &[("deletion", call.rest)]).await?;
        Ok(Answer::page(record(call, found, Vec::new())))
    }
    .boxed()
}

/// Takes a deletion back.
pub(super) fn restore(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let id = [("deletion", call.rest)];
        let restoration = wire::Restoration {
            force: call.form.is_set("force"),
        };
        let restored: wire::Restored = call.tell("restoreDeletion", &id, &restoration).await?;
        if !restored.left_alone.is_empty() {
            let found: Result<wire::DeletedPointers> = call.ask("showDeletion", &id).await;
            match found {
                Ok(found) => return Ok(Answer::page(record(call, found, restored.left_alone))),
                Err(failure) if failure.kind() == Kind::UnknownDeletion => {}
                Err(failure) => return Err(failure),
            }
        }
        let deed = Deed::new(Done::Restored, restored.tags_total as u64);
        let place = call.url(&format!("/repo/{}", restored.repository));
        Ok(Answer::see(&place).with_notice(call, &deed))
    }
    .boxed()
}

/// Gives a deletion up.
pub(super) fn purge(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let emptied: wire::Emptied = call.ask("giveUpDeletion", &[("deletion", call.rest)]).await?;
        let deed = Deed::new(Done::Emptied, emptied.removed as u64);
        Ok(Answer::see(&call.url("/trash")).with_notice(call, &deed))
    }
    .boxed()
}

/// Asks whether all deletions are to be given up.
pub(super) fn confirm_emptying(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let found: wire::TrashPage = call.ask("listTrash", &[("limit", "1000")]).await?;
        let page = call.page();
        Ok(Answer::page(Confirm {
            title: page.t("trash.empty.title"),
            back: call.url("/trash"),
            back_label: page.t("trash.title"),
            wrong: Said::default(),
            action: call.url("/trash/empty"),
            hidden: Vec::new(),
            effects: vec![page.t("trash.empty.effect").n(found.deletions.len() as u64)],
            password: None,
            dangerous: true,
            button: page.t("trash.empty.do"),
            page,
        }))
    }
    .boxed()
}

/// Gives all deletions up.
pub(super) fn empty(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let emptied: wire::Emptied = call
            .tell("emptyTrash", &[], &wire::Emptying { older_than: 0 })
            .await?;
        let deed = Deed::new(Done::Emptied, emptied.removed as u64);
        Ok(Answer::see(&call.url("/trash")).with_notice(call, &deed))
    }
    .boxed()
}

fn row(call: Call<'_>, deletion: wire::Deleted) -> TrashRow {
    TrashRow {
        restores: restores(call, &deletion.repository),
        tags: deletion.tags as u64,
        manifests: deletion.manifests as u64,
        actor: Line::from(deletion.actor),
        time: Some(time(&deletion.time)),
        expires: Some(time(&deletion.expires)),
        id: deletion.id,
        repository: deletion.repository,
        kind: deletion.kind,
        surface: deletion.surface,
    }
}

fn record(call: Call<'_>, found: wire::DeletedPointers, left_alone: Vec<wire::LeftAlone>) -> TrashRecord {
    let deletion = found.deletion;
    TrashRecord {
        restores: restores(call, &deletion.repository),
        purges: call.visitor.caller.is_admin() && call.offers_changes(),
        actor: Line::from(deletion.actor),
        time: Some(time(&deletion.time)),
        expires: Some(time(&deletion.expires)),
        left_alone: left_alone
            .into_iter()
            .map(|tag| LeftAlone {
                tag: tag.tag,
                deleted: Digest::from(tag.deleted),
                current: Digest::from(tag.current),
            })
            .collect(),
        tags: found
            .tags
            .into_iter()
            .map(|tag| TrashTag {
                tag: tag.tag,
                digest: Some(Digest::from(tag.digest)),
                since: optional_time(Some(&tag.since)),
                history: tag.history as u64,
            })
            .collect(),
        tags_total: deletion.tags as u64,
        manifests: deletion.manifests as u64,
        layers: deletion.layers as u64,
        id: deletion.id,
        kind: deletion.kind,
        repository: deletion.repository,
        page: call.page(),
    }
}

/// Whether the visitor is offered to restore what was deleted from a repository.
fn restores(call: Call<'_>, repository: &str) -> bool {
    let Ok(name) = repository.parse::<RepoName>() else {
        return false;
    };
    call.offers_changes() && call.may(Verb::Push, &name, None) && call.may(Verb::Delete, &name, None)
}
