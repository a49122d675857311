//! `/sessions`: the browsers in which an account is signed in, and their end.

use std::time::SystemTime;

use futures_util::{FutureExt as _, future::BoxFuture};
use wharf_access::{Access, sessions::Sessions};

use super::{
    answer::Answer,
    call::Call,
    caller::Right,
    problem::{Kind, Problem, Result},
};
use crate::admin::{list_sessions, wire};

pub(crate) fn list(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let (sessions, access) = services(&call)?;
        Answer::json(&list_sessions(sessions, access, account(&call)?).await)
    }
    .boxed()
}

pub(crate) fn end(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let (sessions, _) = services(&call)?;
        let (account, id) = (account(&call)?, call.query.required("session"));
        let ended = sessions.end_listed(account, id, SystemTime::now()).await;
        match ended.map_err(Problem::failed)? {
            true => ended_answer(&call, account, 1),
            false => {
                let text = "there is no such session; it has ended, or it is one of another account";
                Err(Problem::new(Kind::UnknownSession, text))
            }
        }
    }
    .boxed()
}

pub(crate) fn end_all(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let (sessions, _) = services(&call)?;
        let account = account(&call)?;
        let ended = sessions.end_all(account, SystemTime::now()).await;
        ended_answer(&call, account, ended.map_err(Problem::failed)?)
    }
    .boxed()
}

fn ended_answer(call: &Call, account: &str, ended: usize) -> Result<Answer> {
    let answer = Answer::json(&wire::EndedSessions { ended })?;
    Ok(answer.with_deed(match call.caller.account() {
        Some(own) if own == account => format!("signed out of {ended} browser(s)"),
        _ => format!("signed `{account}` out of {ended} browser(s)"),
    }))
}

/// The account that has the sessions: the caller's own, or for `admin` any.
fn account(call: &Call) -> Result<&str> {
    match (call.query.get("account"), call.caller.account()) {
        (None, Some(own)) => Ok(own),
        (None, None) => {
            let text = "the query lacks `account`: the caller has none of its own";
            Err(Problem::new(Kind::BadQuery, text).with_field("account"))
        }
        (Some(wanted), own) if call.caller.is_admin() || own == Some(wanted) => Ok(wanted),
        (Some(_), _) => {
            let text =
                "the sessions of other accounts need the right `admin`; leave `account` out for your own";
            Err(Problem::new(Kind::Forbidden, text).with_right(Right::Admin.name()))
        }
    }
}

fn services(call: &Call) -> Result<(&Sessions, &Access)> {
    let services = call.shared.sessions.as_ref().zip(call.shared.access.as_deref());
    services.ok_or_else(|| {
        let text = "no browser signs in here: there is no page (`ui.disabled`), or no password file (`auth.htpasswd`)";
        Problem::new(Kind::NoUsers, text)
    })
}
