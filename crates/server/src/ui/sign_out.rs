//! Signing out: of this browser, of another one, everywhere.
//!
//! The record of a session ends, so a copy of the cookie is worth nothing either. This browser loses its cookie whatever becomes of the
//! record: while the store fails, the session has ended for this server, and the next page says that the others do not know it yet. Pages
//! are in no cache (`no-store`), and where there is TLS the browser is told to clear what it has.

use futures_util::{FutureExt as _, future::BoxFuture};
use http::{HeaderName, HeaderValue};
use wharf_access::sessions::Secret;
use wharf_activity::Outcome;

use super::{
    answer::Answer,
    call::Call,
    cookies::{Cookie, FORMS},
    failure::Result,
    notice::{Deed, Done},
};
use crate::{admin::wire, api::problem::Kind, facts};

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// Ends the session of this browser.
pub(super) fn sign_out(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let services = &call.shared.app.services;
        let (Some(sessions), Some((secret, _))) = (&services.sessions, &call.visitor.session) else {
            return Ok(left(call, None));
        };
        let ended = sessions.end(secret).await;
        let (outcome, deed) = match &ended {
            Ok(()) => (Outcome::Ok, None),
            Err(error) => {
                tracing::error!(%error, "a session has ended for this server alone, until the store can be written");
                (Outcome::Failed, Some(Deed::new(Done::SignedOutHere, 0)))
            }
        };
        if let Some(activity) = &services.activity {
            activity.signed_out(&facts::of(call.context, call.parts), None, outcome);
        }
        Ok(left(call, deed))
    }
    .boxed()
}

/// Ends the session that the form names, or all of the account if it names none.
pub(super) fn end(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let own = call.visitor.session.as_ref().map(|(secret, _)| secret.id());
        let ended: Result<wire::EndedSessions>;
        let leaves;
        match call.form.get("session") {
            "" => {
                ended = call.ask("endSessions", &[]).await;
                leaves = own.is_some();
            }
            id => {
                ended = call.ask("endSession", &[("session", id)]).await;
                leaves = own.as_deref() == Some(id);
            }
        }
        let deed = match ended {
            Ok(ended) => Some(Deed::new(Done::SignedOut, ended.ended as u64)),
            // It ended meanwhile.
            Err(failure) if failure.kind() == Kind::UnknownSession => None,
            Err(failure) if failure.kind() == Kind::Failed => {
                failure.log(call.path);
                Some(Deed::new(Done::SignedOutHere, 0))
            }
            Err(failure) => return Err(failure),
        };
        if leaves {
            return Ok(left(call, deed));
        }
        let answer = Answer::see(&call.url("/account"));
        Ok(match deed {
            Some(deed) => answer.with_notice(call, &deed),
            None => answer,
        })
    }
    .boxed()
}

/// The answer to a browser that is signed out, with what is told on the next page.
fn left(call: Call<'_>, deed: Option<Deed>) -> Answer {
    let answer = Answer::see(&call.url("/sign-in"))
        .with_cookie(call.cookies.remove(Cookie::Session))
        // Not the cookies of the browser: the choice of a language is to stay.
        .with(CLEAR_SITE_DATA, HeaderValue::from_static("\"cache\""));
    match (deed, Secret::new()) {
        (Some(deed), Ok(secret)) => answer
            .with_cookie(call.cookies.set(Cookie::Forms, &secret.to_cookie(), FORMS))
            .with_notice_for(call, &secret, &deed),
        _ => answer
            .with_cookie(call.cookies.remove(Cookie::Forms))
            .with_cookie(call.cookies.remove(Cookie::Notice)),
    }
}
