//! Signing in.
//!
//! **The password** is checked as one in an `Authorization` header is: the same queue, the same limits against guessing, the same entry in
//! the activity log. What is answered never tells whether the name or the password was wrong. A robot token is refused before it is looked
//! at: it is for programs, and a session has the rights of an account.
//!
//! **The session** is a new one each time, and the one that the browser sent ends: a secret that was
//! planted or read before is worth nothing afterwards (fixation).
//!
//! **The [way back](super::way_back)** is a page of ours, so a link to the sign-in page leads nowhere else (open redirect).
//!
//! **A form that was sent in a session that had ended** is kept in hidden fields. After signing in, by whichever account, the form is
//! shown again with its values. Signing in never carries it out.

use std::time::SystemTime;

use futures_util::{FutureExt as _, future::BoxFuture};
use http::{HeaderValue, StatusCode};
use wharf_access::{
    Access, Basic, Credentials, binding::Binding, robot::is_token, rules::Asker, sessions::Browser,
};
use wharf_oci::RepoName;
use wharf_pages::{Confirm, Field, Hidden, Page, Said, SignIn};
use wharf_registry::CallerFacts;

use super::{
    answer::Answer,
    call::Call,
    cookies::Cookie,
    failure::{Failure, Result},
    fields::{Fields, KEPT},
    forms,
    visitor::can_sign_in,
};
use crate::{
    api::problem::{Kind, Problem},
    facts, gates,
    refused::Remedy,
};

/// The fields that this form keeps when it was made for another browser. Those of another form are not kept: they need not come from a
/// page of ours.
pub(super) const FIELDS: &[&str] = &["to", "name"];

/// The longest query with which a form is asked for again: proxies in front of a server take no much longer address.
const LONGEST_QUERY: usize = 4_000;

/// Asks for the name and the password.
pub(super) fn show(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        if !can_sign_in(&call.shared.app) {
            return Err(cannot());
        }
        if call.visitor.leaves() && call.query.some("to").is_none() {
            return Ok(Answer::see(&call.url("/")));
        }
        Ok(Answer::page(view(call, call.to.to_owned(), Fields::NONE)))
    }
    .boxed()
}

/// Checks the name and the password, and begins a session.
pub(super) fn sign_in(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let app = &call.shared.app;
        let (Some(access), Some(sessions)) = (&app.services.access, &app.services.sessions) else {
            return Err(cannot());
        };
        let form = call.form;
        if claims_tls(call) {
            let text = "the browser speaks TLS, and this server does not know it: let the proxy in front send `X-Forwarded-Proto`, \
                        or set `http.host: https://…`; a session would not be safe";
            return Err(Problem::new(Kind::BadHeader, text).into());
        }
        let (to, kept) = (call.to.to_owned(), call.kept.clone());
        let (name, password) = (form.get("name"), form.verbatim("password").as_bytes());
        let (activity, facts) = (app.services.activity.as_ref(), facts::of(call.context, call.parts));
        if name.is_empty() || password.is_empty() {
            return Ok(wrong(call, to, &kept, None));
        }
        if is_token(password) {
            if let Some(activity) = activity {
                activity.login_failed(&facts, Some(name), "a robot token signs no browser in");
            }
            return Ok(wrong(call, to, &kept, None));
        }
        let credentials = Credentials::Basic(Basic::new(name, password));
        let address = call.context.limited_client(&call.parts.headers);
        let login = match access.log_in(&credentials, address).await {
            Ok(login) => login,
            Err(reason) => {
                gates::note_refused((call.context, call.parts), activity, &credentials, &reason);
                return match Remedy::of(&reason, "") {
                    Remedy::Authenticate(_) => Ok(wrong(call, to, &kept, None)),
                    Remedy::Wait(seconds, _) => Ok(wrong(call, to, &kept, Some(seconds))),
                    Remedy::Nothing => Err(Problem::failed("the check of a password failed").into()),
                };
            }
        };
        let (Some(account), Binding::User(stamp)) = (login.principal.account(), login.binding) else {
            return Ok(wrong(call, to, &kept, None));
        };
        let browser = Browser {
            agent: facts.user_agent,
            address: facts.address,
        };
        let begun = sessions.begin((account, stamp), browser, SystemTime::now()).await;
        let secret = begun.map_err(Problem::failed)?;
        if let Some((old, _)) = &call.visitor.session
            && let Err(error) = sessions.end(old).await
        {
            // The new one counts; the old one ends by its time.
            tracing::warn!(%error, "could not end the session that another one replaces");
        }
        tracing::info!(account = &**account, "a browser has signed in");
        if let Some(activity) = activity {
            activity.signed_in(&CallerFacts {
                actor: Some(account),
                ..facts
            });
        }
        let answer = match resumed(call, &to, &kept) {
            Resumed::At(url) => Answer::see(&url),
            Resumed::ByForm(name) => {
                let visitor = call
                    .visitor
                    .signed_in(Some(access), &login.principal, secret.clone());
                let call = Call {
                    visitor: &visitor,
                    ..call
                };
                Answer::page(continued(call, &name, &kept))
            }
        };
        let age = sessions.first_cookie_age();
        Ok(answer
            .with_cookie(call.cookies.set(Cookie::Session, &secret.to_cookie(), age))
            .with_cookie(call.cookies.remove(Cookie::Forms)))
    }
    .boxed()
}

/// The page that asks to sign in, in place of a form that was sent in a session that had ended. `fields` are those to keep; `to` is the
/// path of the page with the form.
pub(super) fn instead_of(call: Call<'_>, to: String, fields: &Fields) -> Answer {
    let mut view = view(call, to, fields);
    view.resumes = true;
    Answer::page(view)
        .with_status(StatusCode::UNAUTHORIZED)
        .with(http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Form"))
}

fn cannot() -> Failure {
    let text = "browsers cannot sign in here, because users do not log in with a name and a password";
    Problem::new(Kind::NoUsers, text).into()
}

/// The page again, with what was wrong; `wait`: the seconds after which the next attempt is looked at.
fn wrong(call: Call<'_>, to: String, kept: &Fields, wait: Option<u64>) -> Answer {
    let text = match wait {
        None => |page: &Page, _: u64| page.t("sign-in.wrong"),
        Some(_) => |page: &Page, seconds: u64| page.t("sign-in.wait").n(seconds),
    };
    let status = match wait {
        None => StatusCode::UNAUTHORIZED,
        Some(_) => StatusCode::TOO_MANY_REQUESTS,
    };
    let mut view = view(call, to, kept);
    view.wrong = Some(text(&view.page, wait.unwrap_or_default()));
    let answer = Answer::page(view).with_status(status);
    match wait {
        Some(seconds) => answer.with(http::header::RETRY_AFTER, seconds.into()),
        None => answer.with(http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Form")),
    }
}

fn view(call: Call<'_>, to: String, kept: &Fields) -> SignIn {
    let mut page = call.page();
    page.alone = true;
    let name = match call.form.some("name") {
        Some(name) if call.path == "/sign-in" => name,
        _ => call.query.get("name"),
    };
    SignIn {
        to,
        resumes: !kept.is_empty(),
        wrong: None,
        anonymous: looks_around(call),
        kept: kept
            .iter()
            .map(|(name, value)| Hidden {
                name: format!("{KEPT}{name}"),
                value: value.to_owned(),
            })
            .collect(),
        account: Field {
            name: "name",
            value: name.chars().take(255).collect(),
            wrong: None,
            required: true,
            autocomplete: "username",
        },
        page,
    }
}

/// Whether rules let clients without an account pull something.
fn looks_around(call: Call<'_>) -> bool {
    let access = call.shared.app.services.access.as_deref();
    let address = call.context.proven_client(&call.parts.headers);
    let anonymous = Asker {
        account: None,
        groups: &[],
        address,
    };
    let rules = access.and_then(Access::rules);
    rules.is_some_and(|rules| !rules.visible(anonymous).is_empty())
}

/// Whether the browser has reached this page over TLS, although nothing else says so: a cookie for a connection without TLS would be
/// sent without TLS as well. The header was found to be that of this server.
fn claims_tls(call: Call<'_>) -> bool {
    let origin = call.parts.headers.get(http::header::ORIGIN);
    let has_tls = origin.is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
    has_tls && !call.shared.is_secure(call.context, call.parts)
}

/// How a form is shown again after signing in.
enum Resumed {
    /// At this address.
    At(String),
    /// By a form that shows the plan of a deletion from this repository, because the address would be too long.
    ByForm(RepoName),
}

fn resumed(call: Call<'_>, to: &str, kept: &Fields) -> Resumed {
    if kept.is_empty() {
        return Resumed::At(to.to_owned());
    }
    let path = to.split('?').next().unwrap_or(to);
    let query = kept.to_query();
    let name = path.strip_prefix(&call.url("/delete/"));
    match name.and_then(|name| name.parse().ok()) {
        Some(name) if query.len() > LONGEST_QUERY => Resumed::ByForm(name),
        _ => Resumed::At(format!("{path}?{query}")),
    }
}

/// The page with a button that shows the plan of a deletion with very many tags again. It has no plan to carry out.
fn continued(call: Call<'_>, name: &RepoName, kept: &Fields) -> Confirm {
    let page = call.page();
    Confirm {
        title: page.t("session.again"),
        back: call.url("/"),
        back_label: page.t("repositories.title"),
        wrong: Said::default(),
        action: call.url(&format!("/delete/{name}")),
        hidden: forms::hidden(kept.iter()),
        effects: vec![page.t("session.again.effect")],
        password: None,
        dangerous: false,
        button: page.t("session.again.do"),
        page,
    }
}
