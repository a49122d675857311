//! The users in the password file.
//!
//! A password that was made is in the answer to the form itself, never behind an address: it is shown once, in a page that no cache keeps.

use std::collections::HashMap;

use futures_util::{FutureExt as _, future::BoxFuture};
use http::StatusCode;
use wharf_access::{
    Access,
    rules::{Asker, Verdict},
};
use wharf_pages::{Confirm, Line, Page, Said, Secret, Text, User, Users};

use super::{
    answer::Answer,
    call::Call,
    failure::{Failure, Result},
    fields::{Fields, query_of},
    forms,
    lists::foot,
    notice::{Deed, Done},
};
use crate::{admin::wire, api::problem::Kind};

/// What the page shows beside the list.
#[derive(Default)]
struct Beside {
    /// The name of a user, and the password that was made for it.
    made: Option<(String, wire::Secret)>,
    wrong_name: Option<Text>,
    wrong_password: Option<Text>,
}

/// The users, and the form that adds one.
pub(super) fn list(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move { Ok(Answer::page(view(call, call.query, Beside::default()).await?)) }.boxed()
}

/// Adds a user.
pub(super) fn add(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let form = call.form;
        let user = wire::NewUser {
            name: form.get("name").to_owned(),
            password: password(form),
            hash: None,
            cost: None,
        };
        let name = user.name.clone();
        let added: Result<wire::ChangedUser> = call.tell("addUser", &[], &user).await;
        match added {
            Ok(added) => done(call, added, Deed::new(Done::AddedUser, 1)).await,
            Err(failure) => {
                let page = call.page();
                let mut beside = Beside::default();
                match (failure.kind(), failure.field()) {
                    (Kind::UserExists, _) => {
                        beside.wrong_name = Some(page.t("user.exists").arg("name", &name));
                    }
                    (Kind::BadBody, Some("password")) => {
                        beside.wrong_password = Some(forms::wrong(&page, &failure));
                    }
                    (Kind::BadBody, _) => beside.wrong_name = Some(forms::wrong(&page, &failure)),
                    _ => return Err(failure),
                }
                let status = failure.status();
                Ok(Answer::page(view(call, form, beside).await?).with_status(status))
            }
        }
    }
    .boxed()
}

/// Asks for another password.
pub(super) fn confirm_password(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move { Ok(Answer::page(password_page(call, call.query.get("name"), None)?)) }.boxed()
}

/// Sets another password.
pub(super) fn set_password(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let name = call.form.get("name");
        let other = wire::OtherPassword {
            password: password(call.form),
            ..wire::OtherPassword::default()
        };
        let changed: Result<wire::ChangedUser> = call.tell("setPassword", &[("name", name)], &other).await;
        match changed {
            Ok(changed) => done(call, changed, Deed::new(Done::ChangedPassword, 1)).await,
            Err(failure) if failure.kind() == Kind::BadBody => {
                let page = password_page(call, name, Some(&failure))?;
                Ok(Answer::page(page).with_status(failure.status()))
            }
            Err(failure) => Err(failure),
        }
    }
    .boxed()
}

/// Asks whether a user is to be removed.
pub(super) fn confirm_removal(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let name = call.query.get("name").to_owned();
        require_admin(call)?;
        let page = call.page();
        let tokens = tokens(call).await.remove(&name).unwrap_or_default();
        let mut effects = vec![page.t("user.remove.effect.login")];
        if !tokens.is_empty() {
            let text = page.t("user.remove.effect.tokens").n(tokens.len() as u64);
            effects.push(text.arg("tokens", tokens.join(", ")));
        }
        effects.push(page.t("user.remove.effect.images"));
        Ok(Answer::page(Confirm {
            title: page.t("user.remove.title").arg("name", &name),
            back: call.url("/users"),
            back_label: page.t("users.title"),
            wrong: Said::default(),
            action: call.url("/users/remove"),
            hidden: forms::hidden([("name", name.as_str())]),
            effects,
            password: None,
            dangerous: true,
            button: page.t("user.remove.do"),
            page,
        }))
    }
    .boxed()
}

/// Removes a user, with its robot tokens.
pub(super) fn remove(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let name = call.form.get("name");
        let removed: wire::RemovedUser = call.ask("removeUser", &[("name", name)]).await?;
        let deed = Deed::new(Done::RemovedUser, removed.tokens.len() as u64);
        Ok(Answer::see(&call.url("/users")).with_notice(call, &deed))
    }
    .boxed()
}

/// The answer to a change: with the password if it was made, otherwise the list again.
async fn done(call: Call<'_>, changed: wire::ChangedUser, deed: Deed) -> Result<Answer> {
    let Some(secret) = changed.password else {
        return Ok(Answer::see(&call.url("/users")).with_notice(call, &deed));
    };
    let beside = Beside {
        made: Some((changed.name, secret)),
        ..Beside::default()
    };
    let nothing = Fields::default();
    Ok(Answer::page(view(call, &nothing, beside).await?).with_status(StatusCode::OK))
}

/// The password of a form; `None`: one is made.
fn password(form: &Fields) -> Option<wire::Secret> {
    let password = form.verbatim("password");
    (!password.is_empty()).then(|| wire::Secret(password.to_owned()))
}

fn password_page(call: Call<'_>, name: &str, failure: Option<&Failure>) -> Result<Confirm> {
    require_admin(call)?;
    let page = call.page();
    let wrong = failure.map(|failure| forms::wrong(&page, failure));
    Ok(Confirm {
        title: page.t("user.password.title").arg("name", name),
        back: call.url("/users"),
        back_label: page.t("users.title"),
        wrong: Said::default(),
        action: call.url("/users/password"),
        hidden: forms::hidden([("name", name)]),
        effects: vec![page.t("user.password.effect")],
        password: Some(forms::password(wrong)),
        dangerous: false,
        button: page.t("user.change-password"),
        page,
    })
}

/// Refuses visitors that could not send the form either.
fn require_admin(call: Call<'_>) -> Result<()> {
    match call.visitor.caller.is_admin() {
        true => Ok(()),
        false if call.visitor.is_known() => Err(Failure::needs_admin()),
        false => Err(Failure::needs_account()),
    }
}

async fn view(call: Call<'_>, fields: &Fields, beside: Beside) -> Result<Users> {
    let cursor = [("cursor", call.query.get("cursor"))];
    let found: wire::UserPage = call.ask("listUsers", &cursor).await?;
    let tokens = tokens(call).await;
    let page = call.page();
    let own = call.visitor.caller.account().map(str::to_owned);
    let rules = call.shared.app.services.access.as_deref().and_then(Access::rules);
    let administers = |name: &str| {
        let asker = Asker {
            account: Some(name),
            groups: &[],
            address: None,
        };
        let verdict = rules.as_ref().map(|rules| rules.administers(asker));
        matches!(verdict, Some(Verdict::Allowed(_)))
    };
    let users = found.users.into_iter().map(|user| User {
        query: query_of([("", user.name.as_str())].into_iter()).split_off(1),
        tokens: tokens.get(&user.name).map_or(0, Vec::len) as u64,
        admin: administers(&user.name),
        own: own.as_deref() == Some(&*user.name),
        problem: Said::from(Line::from(user.problem)),
        name: Line::from(user.name),
    });
    let pages = foot(call, found.next.as_deref());
    let mut name = forms::required("name", fields);
    name.wrong = beside.wrong_name;
    Ok(Users {
        users: users.collect(),
        file: found.file,
        secret: beside.made.map(|(name, secret)| made(&page, &name, secret)),
        pages,
        name,
        password: forms::password(beside.wrong_password),
        page,
    })
}

fn made(page: &Page, name: &str, secret: wire::Secret) -> Secret {
    Secret {
        title: page.t("user.added").arg("name", name),
        text: secret.0,
        commands: Vec::new(),
    }
}

/// Names of robot tokens by the accounts that made them; none where the registry takes none.
async fn tokens(call: Call<'_>) -> HashMap<String, Vec<String>> {
    let found: Result<wire::TokenPage> = call.ask("listTokens", &[("limit", "1000")]).await;
    let mut by_account: HashMap<String, Vec<String>> = HashMap::new();
    for token in found.map(|found| found.tokens).unwrap_or_default() {
        if let Some(creator) = token.creator {
            by_account.entry(creator).or_default().push(token.name);
        }
    }
    by_account
}
