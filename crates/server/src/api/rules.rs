//! `/rules`: the access rules in force, what they decide, and the check of a text.

use futures_util::{FutureExt as _, future::BoxFuture};

use super::{
    answer::Answer,
    call::Call,
    json,
    problem::{Kind, Problem, Result},
};
use crate::admin::{AccessRules, QuestionError, check_rules, wire};

pub(crate) fn show(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let shown = rules(&call)?.show().await;
        Answer::json(&shown)
    }
    .boxed()
}

pub(crate) fn test(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let question = call.json()?;
        let decided = rules(&call)?.decide(&question).await;
        let wrong =
            |error: QuestionError| Problem::new(Kind::BadBody, error.to_string()).with_field(error.field);
        Answer::json(&decided.map_err(wrong)?)
    }
    .boxed()
}

fn rules(call: &Call) -> Result<&AccessRules> {
    call.shared.admin.rules.as_ref().ok_or_else(|| {
        let text =
            "users do not log in here, so there are no rules about them; configure users (`auth.htpasswd`)";
        Problem::new(Kind::NoUsers, text)
    })
}

pub(crate) fn check(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let body = call.body.clone();
        let check = move || {
            let wire::RuleText { text } = json::read(&body)?;
            Answer::json(&check_rules(&text))
        };
        tokio::task::spawn_blocking(check)
            .await
            .map_err(Problem::failed)?
    }
    .boxed()
}
