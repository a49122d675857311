//! `/plans`: what a deletion would do, and the deletion.

use futures_util::{FutureExt as _, future::BoxFuture};
use wharf_oci::{Digest, RepoName};
use wharf_registry::Deletion;

use super::{
    answer::Answer,
    call::Call,
    problem::{Kind, Problem, Result},
};
use crate::{
    admin::{apply_deletion, deletion_of, plan_deletion, wire},
    tag_rights::RightsToTags,
};

pub(crate) fn plan(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let name = repository(&call)?;
        let deletion = deletion(&call, &call.json()?, &name).await?;
        let access = call.shared.access.clone();
        let rights = RightsToTags::new(call.rights, access.clone(), &name);
        let sees = |other: &RepoName| rights.may_see_other(other);
        let plan = plan_deletion(&call.registry, &name, &deletion, &rights, &sees).await?;
        Answer::json(&plan)
    }
    .boxed()
}

pub(crate) fn apply(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let name = repository(&call)?;
        let application: wire::Application = call.json()?;
        let deletion = deletion(&call, &application.deletion(), &name).await?;
        if application.now && !call.caller.is_admin() {
            let text = "only an administrator deletes without the trash; leave `now` out, and the operator can restore what goes";
            return Err(Problem::new(Kind::Forbidden, text).with_right("admin"));
        }
        let plan: Option<Digest> = match &application.plan {
            None => None,
            Some(id) => Some(id.parse().map_err(|error| {
                Problem::new(Kind::BadBody, format!("`plan` is the `id` of a plan: {error}")).with_field("plan")
            })?),
        };
        let rights = RightsToTags::new(call.rights, call.shared.access.clone(), &name);
        let (what, how) = ((&name, &deletion), (plan.as_ref(), application.now));
        let applied = apply_deletion(&call.registry, &call.origin, what, &rights, how).await?;
        Answer::json(&applied)
    }
    .boxed()
}

async fn deletion(call: &Call, wanted: &wire::Deletion, name: &RepoName) -> Result<Deletion> {
    let retention = &call.shared.admin.retention;
    Ok(retention
        .with_pulls(deletion_of(wanted, retention)?, name)
        .await?)
}

/// The repository that the query names: it is required, and was checked.
fn repository(call: &Call) -> Result<RepoName> {
    let name = call.query.repository();
    name.ok_or_else(|| Problem::failed("an operation on a repository without one"))
}
