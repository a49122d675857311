//! `/whoami`, `/server`, `/configuration`, `/certificates`, `/authority` and the OpenAPI document.

use futures_util::{FutureExt as _, future::BoxFuture};

use super::{
    answer::Answer,
    call::Call,
    problem::{Problem, Result},
};
use crate::{admin::wire, health::Health};

pub(crate) fn whoami(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        Answer::json(&wire::WhoAmI {
            account: call.caller.account().map(str::to_owned),
            actor: call.caller.actor().map(str::to_owned),
            via: call.caller.via(),
            admin: call.caller.is_admin(),
        })
    }
    .boxed()
}

pub(crate) fn server(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let failing = call.shared.health.as_deref().map(Health::failing);
        let failing = failing.unwrap_or_default().into_iter();
        let failing = failing.map(|(check, why)| (check.to_owned(), why)).collect();
        let admin = &call.shared.admin;
        let mut shown = admin.about.show(failing).await.map_err(Problem::failed)?;
        shown.scrub = admin.upkeep.scrub();
        shown.certificate = admin.upkeep.certificate().await;
        Answer::json(&shown)
    }
    .boxed()
}

pub(crate) fn configuration(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move { Answer::json(&*call.shared.admin.configuration) }.boxed()
}

pub(crate) fn certificates(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move { Answer::json(&call.shared.admin.upkeep.certificates().await) }.boxed()
}

pub(crate) fn authority(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move { Answer::json(&call.shared.admin.upkeep.authority().await) }.boxed()
}

pub(crate) fn document(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move { Ok(Answer::document(call.shared.document.clone())) }.boxed()
}
