//! `/trash`: what was deleted, the way back, and giving it up.

use std::time::Duration;

use futures_util::{FutureExt as _, future::BoxFuture};
use wharf_access::{Access, Verb};
use wharf_oci::{RepoName, Tag};
use wharf_registry::{Error, TrashId, TrashRecord};

use super::{
    answer::Answer,
    call::Call,
    problem::{Kind, Problem, Result},
    users::LARGEST_PAGE,
};
use crate::{
    admin::{empty_trash, list_trash, restore_deletion, show_deletion, wire},
    rights::Rights,
    tag_rights::RightsToTags,
};

/// Number of entries on a page if the client names none.
const ENTRIES: usize = 100;

pub(crate) fn list(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let limit = call.query.number("limit").unwrap_or(ENTRIES).min(LARGEST_PAGE);
        let after = call
            .query
            .get("cursor")
            .map(|cursor| id(cursor, "cursor"))
            .transpose()?;
        let only = call.query.repository();
        let shown = |name: &RepoName| may_delete(&call.rights, call.shared.access.as_deref(), name);
        let shows_damaged = call.caller.is_admin() && only.is_none();
        let page = (after.as_ref(), limit);
        let page = list_trash(&call.registry, page, only.as_ref(), &shown, shows_damaged);
        Answer::json(&page.await?)
    }
    .boxed()
}

pub(crate) fn show(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let record = record(&call).await?;
        let rights = RightsToTags::new(call.rights, call.shared.access.clone(), &record.repository);
        Answer::json(&show_deletion(&call.registry, &record, &rights))
    }
    .boxed()
}

pub(crate) fn restore(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let wire::Restoration { force } = call.json()?;
        let record = record(&call).await?;
        require_push(&call, &record, force)?;
        let restored = restore_deletion(&call.registry, &call.origin, &record, force).await?;
        Answer::json(&restored)
    }
    .boxed()
}

pub(crate) fn remove(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let id = deletion(&call)?;
        call.registry.remove_from_trash(&id).await?;
        let removed = Answer::json(&wire::Emptied { removed: 1 })?;
        Ok(removed.with_deed(format!("gave up the deletion `{id}`")))
    }
    .boxed()
}

pub(crate) fn empty(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let wire::Emptying { older_than } = call.json()?;
        let emptied = empty_trash(&call.registry, Duration::from_secs(older_than)).await?;
        let answer = Answer::json(&emptied)?;
        Ok(answer.with_deed(format!("gave up {} deletion(s) in the trash", emptied.removed)))
    }
    .boxed()
}

/// The record that the query names. Of a repository from which the caller may not delete it has none.
async fn record(call: &Call) -> Result<TrashRecord> {
    let id = deletion(call)?;
    let unknown = || Problem::from(Error::TrashUnknown { id: id.clone() });
    let record = match call.registry.trash_record(&id).await {
        Err(Error::TrashDamaged { .. }) if !call.caller.is_admin() => return Err(unknown()),
        found => found?,
    };
    match may_delete(&call.rights, call.shared.access.as_deref(), &record.repository) {
        true => Ok(record),
        false => Err(unknown()),
    }
}

fn may_delete(rights: &Rights, access: Option<&Access>, name: &RepoName) -> bool {
    rights.on(access, name, Verb::Delete, None).is_some()
}

/// Checks that the caller may push what `record` brings back, entries in the histories of tags among it. A client that may only create tags
/// moves none.
fn require_push(call: &Call, record: &TrashRecord, force: bool) -> Result<()> {
    let (access, name) = (call.shared.access.as_deref(), &record.repository);
    let may_push = |tag: Option<&Tag>| {
        let grant = call.rights.on(access, name, Verb::Push, tag.map(Tag::as_str));
        grant.is_some_and(|grant| !(force && grant.creates_only))
    };
    let tags = record.pointers.tags.iter().map(|tag| &tag.tag);
    let tags = tags.chain(record.pointers.history.iter().map(|entry| &entry.tag));
    match tags.map(Some).chain([None]).all(may_push) {
        true => Ok(()),
        false => {
            let text = "the deletion brings back what the caller has no right to push; ask the operator of this registry to restore it";
            Err(Problem::new(Kind::Forbidden, text).with_right("push"))
        }
    }
}

fn deletion(call: &Call) -> Result<TrashId> {
    id(call.query.required("deletion"), "deletion")
}

fn id(text: &str, parameter: &str) -> Result<TrashId> {
    text.parse().map_err(|error: wharf_registry::TrashIdError| {
        Problem::new(Kind::BadQuery, error.to_string()).with_field(parameter)
    })
}
