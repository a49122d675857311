//! Robot tokens. A secret is in the answer to the form that made it, and nowhere else.

use futures_util::{FutureExt as _, future::BoxFuture};
use wharf_pages::{Choice, Confirm, Line, NamedChoice, Page, Said, Secret, Text, Token, Tokens};

use super::{
    answer::Answer,
    call::Call,
    commands,
    failure::{Failure, Result},
    fields::Fields,
    forms::{self, optional_time},
    lists::foot,
    notice::{Deed, Done},
    rules_of_retention::words,
};
use crate::{admin::wire, api::problem::Kind};

/// Days that a new token can be good.
const LIFETIMES: [u64; 4] = [7, 30, 90, 365];

/// The days that are chosen where nothing else is.
const USUAL: &str = "90";

/// The word for a token that does not end.
const NEVER: &str = "never";

/// Actions that a token can be for.
const ACTIONS: [&str; 3] = ["pull", "push", "delete"];

/// What the page shows beside the list.
#[derive(Default)]
struct Beside {
    made: Option<wire::IssuedToken>,
    wrong_name: Option<Text>,
    wrong_repositories: Option<Text>,
}

/// The tokens, and the form that makes one.
pub(super) fn list(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move { Ok(Answer::page(view(call, call.query, Beside::default()).await?)) }.boxed()
}

/// Makes a token.
pub(super) fn make(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let form = call.form;
        let days: Option<u64> = form.get("lifetime").parse().ok();
        let actions: Vec<String> = form.all("action").map(str::to_owned).collect();
        let token = wire::NewToken {
            name: form.get("name").to_owned(),
            repositories: words(form.get("repositories")),
            actions: Some(actions),
            expires: (form.get("lifetime") == NEVER).then(|| NEVER.to_owned()),
            lifetime: days.map(|days| days.saturating_mul(24 * 60 * 60)),
        };
        let made: Result<wire::IssuedToken> = call.tell("createToken", &[], &token).await;
        let failure = match made {
            Ok(made) => {
                let beside = Beside {
                    made: Some(made),
                    ..Beside::default()
                };
                return Ok(Answer::page(view(call, &Fields::default(), beside).await?));
            }
            Err(failure) => failure,
        };
        let wrong = Some(forms::wrong(&call.page(), &failure));
        let beside = match (failure.kind(), failure.field()) {
            (Kind::BadBody, Some("repositories" | "actions" | "lifetime" | "expires")) => Beside {
                wrong_repositories: wrong,
                ..Beside::default()
            },
            (Kind::BadBody | Kind::TokenExists | Kind::TooManyTokens, _) => Beside {
                wrong_name: wrong,
                ..Beside::default()
            },
            _ => return Err(failure),
        };
        let status = failure.status();
        Ok(Answer::page(view(call, form, beside).await?).with_status(status))
    }
    .boxed()
}

/// Asks whether a token is to get another secret.
pub(super) fn confirm_rotation(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    let texts = ["token.rotate.title", "token.rotate.effect", "token.rotate"];
    async move { confirm(call, "/tokens/rotate", texts, false) }.boxed()
}

/// Gives a token another secret.
pub(super) fn rotate(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let name = [("token", call.form.get("token"))];
        let made: wire::IssuedToken = call
            .tell("rotateToken", &name, &wire::Rotation::default())
            .await?;
        let beside = Beside {
            made: Some(made),
            ..Beside::default()
        };
        Ok(Answer::page(view(call, &Fields::default(), beside).await?))
    }
    .boxed()
}

/// Asks whether a token is to end.
pub(super) fn confirm_revocation(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    let texts = ["token.revoke.title", "token.revoke.effect", "token.revoke"];
    async move { confirm(call, "/tokens/revoke", texts, true) }.boxed()
}

/// Ends a token.
pub(super) fn revoke(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let name = [("token", call.form.get("token"))];
        let _revoked: wire::Token = call.ask("revokeToken", &name).await?;
        let deed = Deed::new(Done::RevokedToken, 1);
        Ok(Answer::see(&call.url("/tokens")).with_notice(call, &deed))
    }
    .boxed()
}

/// The page that asks before the form at `action` is sent, with these texts of the catalogue: its title, the effect, the button.
fn confirm(
    call: Call<'_>,
    action: &str,
    [title, effect, button]: [&'static str; 3],
    dangerous: bool,
) -> Result<Answer> {
    if call.visitor.caller.account().is_none() {
        return Err(Failure::needs_account());
    }
    let (page, token) = (call.page(), call.query.get("token"));
    Ok(Answer::page(Confirm {
        title: page.t(title).arg("name", token),
        back: call.url("/tokens"),
        back_label: page.t("tokens.title"),
        wrong: Said::default(),
        action: call.url(action),
        hidden: forms::hidden([("token", token)]),
        effects: vec![page.t(effect)],
        password: None,
        dangerous,
        button: page.t(button),
        page,
    }))
}

async fn view(call: Call<'_>, fields: &Fields, beside: Beside) -> Result<Tokens> {
    let cursor = [("cursor", call.query.get("cursor"))];
    let found: wire::TokenPage = call.ask("listTokens", &cursor).await?;
    let page = call.page();
    let tokens = found.tokens.into_iter().map(|token| Token {
        expired: token.state == wire::TokenState::Expired,
        name: token.name,
        repositories: token.repositories,
        actions: token.actions,
        creator: Line::from(token.creator),
        expires: optional_time(token.expires.as_ref()),
        used: optional_time(token.last_use.as_ref()),
    });
    let pages = foot(call, found.next.as_deref());
    let chosen = match fields.some("lifetime") {
        Some(chosen) => chosen.to_owned(),
        None => USUAL.to_owned(),
    };
    let days = LIFETIMES.into_iter().map(|days| NamedChoice {
        value: days.to_string(),
        name: Line::from(page.t("days.count").n(days).attr()),
        chosen: days.to_string() == chosen,
    });
    let never = NamedChoice {
        value: NEVER.to_owned(),
        name: Line::from(page.t("token.never-ends").attr()),
        chosen: chosen == NEVER,
    };
    let has_actions = fields.is_set("action");
    let rights = ACTIONS.into_iter().map(|action| Choice {
        value: action.to_owned(),
        chosen: match has_actions {
            true => fields.all("action").any(|chosen| chosen == action),
            false => action == "pull",
        },
    });
    let mut name = forms::required("name", fields);
    name.wrong = beside.wrong_name;
    let mut repositories = forms::required("repositories", fields);
    repositories.wrong = beside.wrong_repositories;
    Ok(Tokens {
        secret: beside.made.map(|made| shown(call, &page, made)),
        pages,
        tokens: tokens.collect(),
        name,
        repositories,
        rights: rights.collect(),
        lifetimes: days.chain([never]).collect(),
        page,
    })
}

/// The secret, and how a program logs in with it.
fn shown(call: Call<'_>, page: &Page, made: wire::IssuedToken) -> Secret {
    let host = commands::host(call);
    Secret {
        title: page.t("token.made").arg("name", &made.token.name),
        commands: vec![format!("docker login -u {} {host}", made.token.name)],
        text: made.secret.0,
    }
}
