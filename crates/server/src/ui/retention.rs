//! The rules of retention, and what they, or others, would take.

use futures_util::{FutureExt as _, future::BoxFuture};
use wharf_pages::{
    ConfiguredRule, EndedRetention, Field, Hidden, Line, Page, Pages, Retention, RetentionPlan,
    RetentionPreview, RetentionVerdict, Text,
};

use super::{
    answer::Answer,
    call::Call,
    failure::Result,
    fields::{Fields, query_of},
    forms::{self, field, optional_time, time},
    rules_of_retention::{self, FIELDS, Wrong},
};
use crate::{admin::wire, api::problem::Kind};

/// How many verdicts of a repository are listed.
const LISTED: usize = 200;

/// The rules of the configuration, and the preview that is asked for.
pub(super) fn show(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let query = call.query;
        let found: wire::ConfiguredRetention = call.ask("showRetention", &[]).await?;
        let page = call.page();
        let mut fields = FIELDS.map(|name| field(name, query));
        let mut preview = None;
        if query.is_set("try") || query.is_set("policy") {
            match rules_of_retention::of(query, "") {
                Err(Wrong { field: wrong, .. }) => mark(&mut fields, wrong, page.t("retention.age.wrong")),
                Ok(rules) => {
                    let cursor = [("cursor", query.get("cursor"))];
                    let plans: Result<wire::RetentionPlans> =
                        call.tell("planRetention", &cursor, &rules).await;
                    match plans {
                        Ok(plans) => preview = Some(previewed(call, &page, plans)),
                        Err(failure) if failure.kind() == Kind::BadBody => {
                            let wrong = forms::wrong(&page, &failure);
                            mark(&mut fields, "repositories", wrong);
                        }
                        Err(failure) => return Err(failure),
                    }
                }
            }
        }
        let [repositories, tags, keep, older, not_pulled, untagged] = fields;
        Ok(Answer::page(Retention {
            applies: found.apply,
            protect: found.protect,
            rules: found
                .rules
                .into_iter()
                .map(|rule| configured(&page, rule))
                .collect(),
            last: found.last.map(|last| EndedRetention {
                ended: time(&last.ended),
                tags: last.tags as u64,
            }),
            next: optional_time(found.next.as_ref()),
            repositories,
            tags,
            keep,
            older,
            not_pulled,
            untagged,
            preview,
            page,
        }))
    }
    .boxed()
}

fn mark(fields: &mut [Field], name: &str, wrong: Text) {
    if let Some(field) = fields.iter_mut().find(|field| field.name == name) {
        field.wrong = Some(wrong);
    }
}

fn previewed(call: Call<'_>, page: &Page, found: wire::RetentionPlans) -> RetentionPreview {
    let going: usize = found.plans.iter().map(|plan| plan.tags_total).sum();
    let plans = found.plans.into_iter().map(|plan| planned(call, page, plan));
    let next = found.next.map(|next| {
        let asked = call.query.iter().filter(|(name, _)| *name != "cursor");
        let query = query_of(asked.chain([("cursor", next.as_str())]));
        call.url(&format!("/retention?{query}"))
    });
    let plans: Vec<RetentionPlan> = plans.collect();
    let sum = page.t("retention.sum").arg("tags", page.number(going as u64));
    RetentionPreview {
        sum: sum.arg("repositories", page.number(plans.len() as u64)),
        bytes: page
            .t("retention.sum.bytes")
            .arg("size", page.size(found.bytes.free)),
        pages: Pages {
            shown: None,
            next: next.unwrap_or_default(),
            first: String::new(),
        },
        plans,
    }
}

fn planned(call: Call<'_>, page: &Page, plan: wire::Plan) -> RetentionPlan {
    let is_enabled = call.shared.app.registry.options().delete_enabled && call.offers_changes();
    let listed = plan.verdicts.len().min(LISTED);
    let more = plan.verdicts_total.saturating_sub(listed);
    let verdicts = plan
        .verdicts
        .into_iter()
        .take(LISTED)
        .map(|verdict| RetentionVerdict {
            tag: verdict.tag,
            goes: verdict.goes,
            pushed: optional_time(Some(&verdict.pushed)),
            why: page.said(verdict.why, &verdict.why_messages),
        });
    let goes = plan.tags_total + plan.manifests_total;
    RetentionPlan {
        sum: page.t("tags.count").n(plan.tags_total as u64),
        applies: is_enabled && goes > 0 && plan.refused.is_none(),
        fields: fields_of(call.query),
        going: plan.tags_total as u64,
        refused: page.said_if(plan.refused, &plan.refused_messages),
        more: more as u64,
        verdicts: verdicts.collect(),
        id: plan.id,
        repository: plan.repository,
    }
}

/// The rules as fields of a deletion.
fn fields_of(query: &Fields) -> Vec<Hidden> {
    let hidden = |name: String, value: &str| Hidden {
        name,
        value: value.to_owned(),
    };
    if query.is_set("policy") {
        return vec![hidden("policy".to_owned(), "1")];
    }
    let fields = FIELDS
        .into_iter()
        .filter_map(|name| Some((name, query.some(name)?)));
    fields
        .map(|(name, value)| hidden(format!("rule.{name}"), value))
        .collect()
}

fn configured(page: &Page, rule: wire::RetentionRule) -> ConfiguredRule {
    let days = |seconds: u64| page.t("days.count").n(seconds.div_ceil(24 * 60 * 60)).attr();
    let mut keeps = Vec::new();
    if let Some(keep) = rule.keep {
        keeps.push(page.t("retention.keeps.newest").n(keep as u64));
    }
    for (key, age) in [
        ("retention.keeps.younger", rule.older_than),
        ("retention.keeps.pulled", rule.not_pulled),
        ("retention.keeps.untagged", rule.untagged),
    ] {
        if let Some(age) = age {
            keeps.push(page.t(key).arg("age", days(age)));
        }
    }
    let selects = rule.repositories.into_iter().chain(rule.tags);
    ConfiguredRule {
        selects: selects.map(Line::from).collect(),
        kind: match rule.kinds.is_empty() {
            true => None,
            false => Some(page.t("retention.kind").arg("kind", rule.kinds.join(", "))),
        },
        keeps,
    }
}
