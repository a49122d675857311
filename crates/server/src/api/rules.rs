//! `/rules`: the access rules in force, and the check of a text.

use futures_util::{FutureExt as _, future::BoxFuture};

use super::{
    answer::Answer,
    call::Call,
    json,
    problem::{Kind, Problem, Result},
};
use crate::admin::{check_rules, wire};

pub(crate) fn show(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let Some(rules) = call.shared.admin.rules.clone() else {
            return Err(Problem::new(
                Kind::NoUsers,
                "users do not log in here, so there are no rules about them; configure users (`auth.htpasswd`)",
            ));
        };
        Answer::json(&rules.show())
    }
    .boxed()
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
