//! `/tokens`: robot tokens, which an account makes for itself, and an administrator ends for others.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::{FutureExt as _, future::BoxFuture};
use http::StatusCode;

use super::{
    answer::Answer,
    call::Call,
    problem::{Kind, Problem, Result},
};
use crate::{
    admin::{Tokens, TokensError, wire},
    words::Refused,
};

/// Number of tokens on a page if the client names none.
const PAGE: usize = 100;

pub(crate) fn list(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let listed = tokens(&call)?.list(owner(&call)).await;
        let mut tokens = listed.map_err(|error| told(&call, error))?;
        if let Some(cursor) = call.query.get("cursor") {
            let last = name_of(cursor)?;
            tokens.retain(|token| token.name > last);
        }
        let limit = call.query.number("limit").unwrap_or(PAGE);
        let has_more = tokens.len() > limit;
        tokens.truncate(limit);
        let next = tokens
            .last()
            .filter(|_| has_more)
            .map(|last| URL_SAFE_NO_PAD.encode(&last.name));
        Answer::json(&wire::TokenPage { tokens, next })
    }
    .boxed()
}

pub(crate) fn create(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let new: wire::NewToken = call.json()?;
        let created = tokens(&call)?.create(new, call.caller.account()).await;
        let created = created.map_err(|error| told(&call, error))?;
        Ok(Answer::json(&created)?
            .with_status(StatusCode::CREATED)
            .with_deed(deed("made", &created.token)))
    }
    .boxed()
}

pub(crate) fn revoke(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let which = call.query.required("token");
        let revoked = tokens(&call)?.revoke(which, owner(&call)).await;
        let revoked = revoked.map_err(|error| told(&call, error))?;
        Ok(Answer::json(&revoked)?.with_deed(deed("revoked", &revoked)))
    }
    .boxed()
}

pub(crate) fn rotate(call: Call) -> BoxFuture<'static, Result<Answer>> {
    async move {
        let rotation: wire::Rotation = call.json()?;
        let which = call.query.required("token");
        let rotated = tokens(&call)?.rotate(which, rotation, owner(&call)).await;
        let rotated = rotated.map_err(|error| told(&call, error))?;
        Ok(Answer::json(&rotated)?.with_deed(deed("rotated", &rotated.token)))
    }
    .boxed()
}

fn deed(verb: &str, token: &wire::Token) -> String {
    format!("{verb} the token `{}` ({})", token.name, token.id)
}

fn tokens(call: &Call) -> Result<&Tokens> {
    call.shared
        .admin
        .tokens
        .as_ref()
        .ok_or_else(|| Problem::new(Kind::NoTokens, Refused::NoTokens))
}

/// The account to whose tokens the caller is limited; `None`: to none, as it is an administrator.
fn owner(call: &Call) -> Option<&str> {
    match call.caller.is_admin() {
        true => None,
        // Only accounts come here; an empty name would be that of no token.
        false => Some(call.caller.account().unwrap_or_default()),
    }
}

/// The problem of an error. An account that is no administrator is not told about the store.
fn told(call: &Call, error: TokensError) -> Problem {
    let problem = Problem::from(error);
    match call.caller.is_admin() {
        true => problem,
        false => problem.without_cause(),
    }
}

/// The name after which the page of a cursor begins. Names are in order, so what changes meanwhile moves no other token.
fn name_of(cursor: &str) -> Result<String> {
    let name = URL_SAFE_NO_PAD.decode(cursor).ok().map(String::from_utf8);
    match name {
        Some(Ok(name)) => Ok(name),
        _ => {
            let text = "`cursor` is not one that this server gave; begin without it";
            Err(Problem::new(Kind::BadQuery, text).with_field("cursor"))
        }
    }
}
