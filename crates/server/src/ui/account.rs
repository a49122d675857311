//! The account of the visitor, and the keys of the keyboard.

use futures_util::{FutureExt as _, future::BoxFuture};
use jiff::Timestamp;
use wharf_access::{Access, rules::Asker};
use wharf_pages::{Account, Keys, Line, NamedChoice, Time};

use super::{
    answer::Answer,
    call::{CLIENTS, Call},
    failure::{Failure, Result},
};
use crate::admin::{described, wire};

/// The account, by what it is known, and what it may do.
pub(super) fn show(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let Some(name) = call.visitor.caller.account() else {
            return Err(Failure::needs_account());
        };
        let chosen = call.client();
        let clients = CLIENTS.into_iter().map(|client| NamedChoice {
            value: client.to_owned(),
            name: Line::from(client),
            chosen: client == chosen,
        });
        let via = match call.visitor.caller.via() {
            wire::Via::Operator => "operator",
            wire::Via::Anonymous => "anonymous",
            wire::Via::Password => "password",
            wire::Via::Token => "token",
            wire::Via::Robot => "robot",
            wire::Via::Proxy => "proxy",
        };
        Ok(Answer::page(Account {
            name: Line::from(name),
            admin: call.visitor.caller.is_admin(),
            leaves: call.visitor.leaves(),
            via: via.to_owned(),
            ends: ends(call),
            rights: rights(call, name),
            clients: clients.collect(),
            page: call.page(),
        }))
    }
    .boxed()
}

/// The keys.
pub(super) fn keys(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move { Ok(Answer::page(Keys { page: call.page() })) }.boxed()
}

/// When the session ends, if it is used no more.
fn ends(call: Call<'_>) -> Option<Time> {
    let (_, session) = call.visitor.session.as_ref()?;
    let sessions = call.shared.app.services.sessions.as_ref()?;
    let (idle, whole) = sessions.ends(session);
    let seconds = i64::try_from(idle.min(whole)).ok()?;
    Timestamp::from_second(seconds).ok().map(Time::from)
}

/// What the rules allow the account, a line for each; none where it may do everything. What they deny is not told: it would name what is
/// hidden.
fn rights(call: Call<'_>, name: &str) -> Vec<Line> {
    let access = call.shared.app.services.access.as_deref();
    let Some(rules) = access.and_then(Access::rules) else {
        return Vec::new();
    };
    let asker = Asker {
        account: Some(name),
        groups: &[],
        address: call.context.proven_client(&call.parts.headers),
    };
    let lines = rules.allowing(asker).map(|rule| {
        let rule = described(rule);
        let tags = match rule.tags.is_empty() {
            true => String::new(),
            false => format!(" ({})", rule.tags.join(", ")),
        };
        Line::from(format!(
            "{}: {}{tags}",
            rule.actions.join(", "),
            rule.repositories.join(", ")
        ))
    });
    lines.collect()
}
