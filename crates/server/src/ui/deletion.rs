//! Deleting: the plan is the confirmation.
//!
//! A page shows what the [plan](crate::admin::plan_deletion) of this moment says: exactly what goes, what stays and why, and the bytes. Its
//! button sends the identifier of the plan, and with another one nothing goes: then the new plan is shown, which says so. A form without an
//! identifier only shows the plan: with very many tags that is how it is asked for, because an address is not that long.

use futures_util::{FutureExt as _, future::BoxFuture};
use http::StatusCode;
use wharf_oci::RepoName;
use wharf_pages::{Delete, Digest, GoingManifest, GoingTag, Staying};

use super::{
    answer::Answer,
    call::Call,
    failure::{Failure, Result},
    fields::Fields,
    forms,
    notice::{Deed, Done},
    rules_of_retention,
};
use crate::{
    admin::wire,
    api::problem::{Kind, Problem},
    words::Refused,
};

/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// The fields that say what is deleted.
pub(super) const FIELDS: &[&str] = &[
    "tag",
    "manifest",
    "untagged",
    "everything",
    "keep_images",
    "policy",
    "rule.*",
];

/// How the plan is shown.
#[derive(Debug, Clone, Copy, Default)]
struct Shown {
    /// Whether it is another one than the visitor has seen.
    has_changed: bool,
    /// Whether another name was typed than that of the repository.
    confirm_wrong: bool,
}

/// Shows the plan.
pub(super) fn show(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move { plan(call, call.query, Shown::default()).await }.boxed()
}

/// Deletes what the plan says.
pub(super) fn apply(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let form = call.form;
        let Some(id) = form.some("plan") else {
            return plan(call, form, Shown::default()).await;
        };
        let name = repository(call)?;
        if form.is_set("everything") && form.get("confirm") != name.as_str() {
            let shown = Shown {
                confirm_wrong: true,
                ..Shown::default()
            };
            let answer = plan(call, form, shown).await?;
            return Ok(answer.with_status(StatusCode::CONFLICT));
        }
        let application = wire::Application::new(wanted(form)?, Some(id.to_owned()), form.is_set("now"));
        let place = [("repository", name.as_str())];
        let applied: wire::Applied = match call.tell("applyDeletion", &place, &application).await {
            Ok(applied) => applied,
            Err(failure) if failure.kind() == Kind::Changed => {
                let shown = Shown {
                    has_changed: true,
                    ..Shown::default()
                };
                let answer = plan(call, form, shown).await?;
                return Ok(answer.with_status(StatusCode::PRECONDITION_FAILED));
            }
            Err(failure) => return Err(failure),
        };
        let is_of_tags = applied.tags_total > 0;
        let deed = Deed {
            done: if is_of_tags {
                Done::Deleted
            } else {
                Done::DeletedManifests
            },
            number: if is_of_tags {
                applied.tags_total
            } else {
                applied.manifests_total
            } as u64,
            // It is only told, and comes from the plan that the visitor has seen.
            bytes: form.get("free").parse().unwrap_or_default(),
            deletion: applied.deletion.and_then(|id| id.parse().ok()),
        };
        let place = match form.is_set("everything") {
            true => call.url("/"),
            false => call.url(&format!("/repo/{name}")),
        };
        Ok(Answer::see(&place).with_notice(call, &deed))
    }
    .boxed()
}

/// The page with the plan of this moment for what `fields` name.
async fn plan(call: Call<'_>, fields: &Fields, shown: Shown) -> Result<Answer> {
    let name = repository(call)?;
    let plan: wire::Plan = call
        .tell("planDeletion", &[("repository", name.as_str())], &wanted(fields)?)
        .await?;
    let page = call.page();
    let is_everything = plan.kind == "repository";
    let goes = plan.tags_total + plan.manifests_total + plan.layers + plan.history_total;
    let listed = plan.tags.len() + plan.manifests.len() + plan.history.len();
    let is_enabled = call.offers_deletion();
    let (kept, free) = (fields.only(FIELDS), plan.bytes.free.to_string());
    let hidden = forms::hidden(kept.iter().chain([("free", free.as_str())]));
    let tag = |entry: wire::TagAndDigest| GoingTag {
        name: entry.tag,
        digest: Some(Digest::from(entry.digest)),
    };
    Ok(Answer::page(Delete {
        changed: shown.has_changed,
        refused: page.said_if(plan.refused.as_ref(), &plan.refused_messages),
        fields: hidden,
        tags_total: plan.tags_total as u64,
        manifests_total: plan.manifests_total as u64,
        free: Some(plan.bytes.free),
        shared: Some(plan.bytes.shared),
        shared_with: plan.bytes.shared_with,
        uncertain: page.said_if(plan.bytes.uncertain, &plan.bytes.uncertain_messages),
        more_goes: (plan.tags_total + plan.manifests_total + plan.history_total).saturating_sub(listed)
            as u64,
        tags: plan.tags.into_iter().map(tag).collect(),
        manifests: plan
            .manifests
            .into_iter()
            .map(|manifest| GoingManifest {
                role: manifest.role,
                digest: Digest::from(manifest.digest),
            })
            .collect(),
        history: plan.history.into_iter().map(tag).collect(),
        stays: plan
            .stays
            .into_iter()
            .map(|staying| Staying {
                tag: staying.tag.unwrap_or_default(),
                digest: staying.digest.map(Digest::from),
                why: page.said(staying.why, &staying.why_messages),
            })
            .collect(),
        more_stays: plan.more_stays as u64,
        earlier: plan.earlier_total as u64,
        trash_days: plan.retention.div_ceil(DAY),
        type_name: if is_everything {
            name.to_string()
        } else {
            String::new()
        },
        confirm_wrong: shown.confirm_wrong,
        now: call.visitor.caller.is_admin() && plan.retention > 0,
        applies: goes > 0 && plan.refused.is_none() && is_enabled,
        kind: plan.kind,
        repository: plan.repository,
        id: plan.id,
        page,
    }))
}

/// What is to be deleted.
fn wanted(fields: &Fields) -> Result<wire::Deletion> {
    let tags: Vec<String> = fields.all("tag").map(str::to_owned).collect();
    let retention = match rules_of_retention::is_meant(fields) {
        true => Some(rules_of_retention::read(fields).map_err(|wrong| {
            let text = format!("`{}`: {}", wrong.field, wrong.why);
            Failure::from(Problem::new(Kind::BadQuery, text))
        })?),
        false => None,
    };
    let deletion = wire::Deletion {
        tags: (!tags.is_empty()).then_some(tags),
        keep_images: fields.is_set("keep_images"),
        manifest: fields.some("manifest").map(str::to_owned),
        untagged: fields.is_set("untagged").then(wire::Untagged::default),
        retention,
        everything: fields.is_set("everything"),
    };
    if deletion == wire::Deletion::default() {
        return Err(Problem::new(Kind::BadQuery, Refused::NothingChosen).into());
    }
    Ok(deletion)
}

fn repository(call: Call<'_>) -> Result<RepoName> {
    call.rest.parse().map_err(|_| Failure::no_page())
}
