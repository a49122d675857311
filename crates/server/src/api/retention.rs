//! `/retention`: the rules of the configuration, and what rules would take.

use futures_util::{FutureExt as _, future::BoxFuture};
use wharf_oci::RepoName;
use wharf_registry::EveryTag;

use super::{
    answer::Answer,
    call::Call,
    problem::{Kind, Problem, Result},
};

pub(crate) fn show(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move { Answer::json(&call.shared.admin.retention.show()) }.boxed()
}

pub(crate) fn plan(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let retention = &call.shared.admin.retention;
        let policy = retention.policy_of(&call.json()?)?;
        let after: Option<RepoName> = match call.query.get("cursor") {
            None => None,
            Some(cursor) => Some(cursor.parse().map_err(|_| {
                Problem::new(Kind::BadQuery, "`cursor` is the `next` of the page before").with_field("cursor")
            })?),
        };
        // The caller is an administrator.
        let plans = retention
            .plan(&call.registry, &policy, after.as_ref(), &EveryTag)
            .await?;
        Answer::json(&plans)
    }
    .boxed()
}
