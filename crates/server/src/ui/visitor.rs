//! The client of a request for a page: by which of three ways it is known.
//!
//! 1. A trusted proxy names the account, as for every surface.
//! 2. An `Authorization` header, as for the API: programs that show these pages send it.
//! 3. The cookie of a session.
//!
//! Whichever it is, the result is the [`Principal`] that the other surfaces would have, and nothing is decided by the way. Rights are
//! looked up for each request, so a session has none that could be out of date.
//!
//! **A session is never taken over from a browser** (fixation). A secret that was not made here is not in the store, so it stands for
//! no account; signing in makes a new one and ends the one that the browser sent, whatever it was.

use std::{sync::Arc, time::SystemTime};

use http::request::Parts;
use wharf_access::{
    Access, Grant, Principal,
    sessions::{Secret, Session},
};
use wharf_http::RequestContext;

use super::{
    cookies::{Cookie, Cookies},
    failure::{Failure, Result},
    shared::site_of,
};
use crate::{
    api::caller::{self, Caller},
    call::App,
    gates,
    rights::Rights,
};

/// The client of a request.
#[derive(Debug)]
pub(crate) struct Visitor {
    /// What the other surfaces would take it for; `None`: clients do not log in.
    pub(crate) principal: Option<Principal>,
    pub(crate) rights: Rights,
    pub(crate) caller: Caller,
    /// The session by which it is known.
    pub(super) session: Option<(Secret, Arc<Session>)>,
    /// The secret of its forms, if it can have one: that of the session, or that of a cookie before there is one.
    pub(super) forms: Option<Secret>,
    /// Whether the browser sent a session that has ended.
    pub(super) has_ended: bool,
    /// Whether users log in, or it is certain that the request comes from this machine.
    pub(super) is_here: bool,
}

impl Visitor {
    /// Finds out which client it is. Sets the actor in `context`.
    pub(super) async fn of(
        app: &App,
        cookies: &Cookies,
        context: &mut RequestContext,
        parts: &Parts,
    ) -> Result<Self> {
        let Some(access) = app.services.access.as_deref() else {
            return Ok(Self::new(app, None, (context, parts), cookies));
        };
        let activity = app.services.activity.as_ref();
        let recognised = gates::recognise((access, activity), context, parts).await;
        // A browser goes on sending a password that it knows for this host after it was changed: then its session counts.
        let (principal, refused) = match recognised {
            Ok(principal) => (principal, None),
            Err(reason) => {
                let problem = caller::unknown(context, parts, (access, &[]), &reason);
                (Principal::ANONYMOUS, Some(Failure::from(problem)))
            }
        };
        if principal.account().is_some() || principal.actor().is_some() {
            return Ok(Self::new(app, Some(principal), (context, parts), cookies));
        }
        let sent = cookies.get(&parts.headers, Cookie::Session);
        let secret = sent.and_then(|text| text.parse::<Secret>().ok());
        let found = match (&app.services.sessions, secret) {
            (Some(sessions), Some(secret)) => {
                let session = sessions.find(&secret, SystemTime::now()).await;
                match session {
                    Some(session) => access
                        .of_session(&session)
                        .await
                        .map(|client| (client, secret, session)),
                    None => None,
                }
            }
            _ => None,
        };
        let Some((client, secret, session)) = found else {
            if let Some(failure) = refused {
                return Err(failure);
            }
            let mut visitor = Self::new(app, Some(principal), (context, parts), cookies);
            visitor.has_ended = sent.is_some_and(|text| !text.is_empty());
            return Ok(visitor);
        };
        if let Some(actor) = client.actor() {
            context.set_actor(Arc::clone(actor));
        }
        let mut visitor = Self::new(app, Some(client), (context, parts), cookies);
        visitor.forms = Some(secret.clone());
        visitor.session = Some((secret, session));
        Ok(visitor)
    }

    /// A client without an account, whatever it sent.
    pub(super) fn unknown(app: &App, cookies: &Cookies, context: &RequestContext, parts: &Parts) -> Self {
        let principal = app.services.access.as_ref().map(|_| Principal::ANONYMOUS);
        Self::new(app, principal, (context, parts), cookies)
    }

    fn new(
        app: &App,
        principal: Option<Principal>,
        (context, parts): (&RequestContext, &Parts),
        cookies: &Cookies,
    ) -> Self {
        let access = app.services.access.as_deref();
        let rights = match &principal {
            None => Rights::ALL,
            Some(principal) => {
                // Only rules look at addresses.
                let address = access.filter(|access| access.has_rules());
                let address = address.and_then(|_| context.proven_client(&parts.headers));
                // Those that a request needs are looked up when it is known what that is.
                Rights::granted(principal.clone(), address, Grant::default(), false)
            }
        };
        let forms = cookies.get(&parts.headers, Cookie::Forms);
        Self {
            caller: Caller::of(&rights, access),
            principal,
            rights,
            session: None,
            forms: forms.and_then(|text| text.parse().ok()),
            has_ended: false,
            is_here: site_of(app).check_machine(context, parts).is_ok(),
        }
    }

    /// Whether it has an account, or needs none: where users do not log in, this machine needs none.
    pub(crate) fn is_known(&self) -> bool {
        match &self.principal {
            Some(principal) => principal.account().is_some(),
            None => self.is_here,
        }
    }

    /// Whether it can be signed out of this page.
    pub(crate) fn leaves(&self) -> bool {
        self.session.is_some()
    }

    /// The same browser after it has signed in as `principal`.
    pub(super) fn signed_in(&self, access: Option<&Access>, principal: &Principal, secret: Secret) -> Self {
        let rights = Rights::granted(principal.clone(), None, Grant::default(), false);
        Self {
            caller: Caller::of(&rights, access),
            principal: Some(principal.clone()),
            rights,
            session: None,
            forms: Some(secret),
            has_ended: false,
            is_here: self.is_here,
        }
    }

    /// What its forms are bound to, beside the secret of the browser.
    pub(super) fn purpose(&self) -> String {
        format!("forms of {}", self.caller.actor().unwrap_or_default())
    }
}

/// Whether browsers can sign in with a name and a password.
pub(crate) fn can_sign_in(app: &App) -> bool {
    app.services.sessions.is_some()
        && app
            .services
            .access
            .as_deref()
            .and_then(Access::htpasswd)
            .is_some()
}
