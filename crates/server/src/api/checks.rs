//! `/checks`: checks of the store.

use futures_util::{FutureExt as _, future::BoxFuture};
use http::StatusCode;

use super::{
    answer::Answer,
    call::Call,
    problem::{Kind, Problem, Result},
};
use crate::admin::{Checks, wire};

pub(crate) fn show(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move { Answer::large_json(checks(&call)?.show().await?).await }.boxed()
}

pub(crate) fn ask(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let wire::NewCheck { quick } = call.json()?;
        let asked = checks(&call)?.ask(quick);
        let deed = format!("asked for check {} of the store", asked.number);
        let answer = Answer::json(&asked)?.with_status(StatusCode::ACCEPTED);
        Ok(answer.with_deed(deed))
    }
    .boxed()
}

fn checks(call: &Call) -> Result<&Checks> {
    let checks = call.shared.admin.checks.as_ref();
    checks.ok_or_else(|| Problem::new(Kind::Failed, "this server has no checks of the store"))
}
