//! The account of the visitor, and the keys of the keyboard.

use futures_util::{FutureExt as _, future::BoxFuture};
use jiff::Timestamp;
use wharf_access::{Access, rules::Asker};
use wharf_pages::{Account, Keys, Line, NamedChoice, Page, SignedIn, Time};

use super::{
    answer::Answer,
    call::{CLIENTS, Call},
    failure::{Failure, Result},
    forms::time,
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
        let page = call.page();
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
            sessions: sessions(call).await,
            rights: rights(call, &page, name),
            clients: clients.collect(),
            page,
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

/// The browsers in which the account is signed in; none where it does not sign in with a browser.
async fn sessions(call: Call<'_>) -> Vec<SignedIn> {
    let own = call.visitor.session.as_ref().map(|(secret, _)| secret.id());
    let found: Result<wire::SessionList> = call.ask("listSessions", &[]).await;
    let sessions = found.map(|found| found.sessions).unwrap_or_default();
    let shown = sessions.into_iter().map(|session| SignedIn {
        browser: browser(session.user_agent.as_deref().unwrap_or_default()),
        address: Line::from(session.address.unwrap_or_default()),
        since: time(&session.begun),
        used: time(&session.used),
        own: own.as_ref() == Some(&session.id),
        id: session.id,
    });
    shown.collect()
}

/// The browser and the system that a `User-Agent` names, as far as they are well known; otherwise what it says.
fn browser(agent: &str) -> Line {
    // Each names those after it as well, to be taken for them.
    let programs = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    let systems = [
        ("Windows", "Windows"),
        ("Android", "Android"),
        ("iPhone", "iOS"),
        ("iPad", "iPadOS"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    let named = |known: &[(&str, &'static str)]| {
        let mut known = known.iter();
        known
            .find(|(mark, _)| agent.contains(mark))
            .map(|(_, name)| *name)
    };
    match (named(&programs), named(&systems)) {
        (Some(program), Some(system)) => Line::from(format!("{program} · {system}")),
        _ => Line::from(agent.chars().take(80).collect::<String>()),
    }
}

/// What the rules allow the account, a line for each; none where it may do everything. What they deny is not told: it would name what is
/// hidden.
fn rights(call: Call<'_>, page: &Page, name: &str) -> Vec<Line> {
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
        let actions: Vec<String> = rule
            .actions
            .iter()
            .map(|action| page.t_of("right", action).attr())
            .collect();
        Line::from(format!(
            "{}: {}{tags}",
            actions.join(", "),
            rule.repositories.join(", ")
        ))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_named_by_what_it_says() {
        for (agent, shown) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Firefox · Linux",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
                "Edge · Windows",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15",
                "Safari · macOS",
            ),
            (
                "Mozilla/5.0 (Linux; Android 16; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
                "Chrome · Android",
            ),
            ("curl/8.14.1", "curl/8.14.1"),
            ("", ""),
        ] {
            assert_eq!(browser(agent).as_str(), shown);
        }
    }
}
