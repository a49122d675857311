//! Requests that a page of another site makes a browser send (CSRF): two locks, of which each would do.
//!
//! **The first** is what browsers say of a request, as for every surface ([`crate::site`]): `Sec-Fetch-Site` must be `same-origin`, or
//! else `Origin` must be this server. `SameSite` cookies alone would not do: a page on another name of the same domain, or on another
//! port of this host, is of the same site. A form without either header is refused, because every browser that shows these pages sends
//! `Origin` with it, also without TLS, where there is no `Sec-Fetch-Site`.
//!
//! **The second** is a proof in the form that it was made for this browser and this account: a MAC of the secret that only the cookie
//! has. A page of another site can neither read the cookie nor a page of ours. It holds where a proxy strips the headers or answers with
//! its own. Without a session, as for signing in, the secret is that of a cookie of its own, so no other page can sign a browser in to
//! another account than its user wants (login CSRF).
//!
//! **What has the first lock alone:** the choice of language and colours, so that looking around needs no cookie. The worst that a
//! broken first lock could do there is another colour.
//!
//! `GET` changes nothing, ever: the [table of routes](super::routes) has every change at `POST`.

use http::{header, request::Parts};
use wharf_http::RequestContext;

use super::{
    failure::Failure,
    route::Sender,
    shared::{Shared, site_of},
    visitor::Visitor,
};
use crate::{
    api::problem::{Kind, Problem},
    site,
    words::Refused,
};

/// Name of the field with the proof.
pub(super) const FIELD: &str = "csrf";

/// Refuses a form that a page of another site has sent, and, where users do not log in, one that does not come from this machine: the
/// same as for a change by the API.
pub(super) fn require_own_site(
    shared: &Shared,
    (context, parts): (&RequestContext, &Parts),
    sender: Sender,
) -> Result<(), Failure> {
    let app = &shared.app;
    let says_where =
        parts.headers.contains_key("sec-fetch-site") || parts.headers.contains_key(header::ORIGIN);
    let url = app.options.host.as_deref();
    // On TLS the page of the same name without TLS is another site: the network between can write it.
    let origin = parts.headers.get(header::ORIGIN);
    let is_plain = origin.is_some_and(|origin| origin.as_bytes().starts_with(b"http://"));
    let is_weaker = is_plain && shared.is_secure(context, parts);
    if !says_where || is_weaker || !site::is_own(url, context, parts) {
        return Err(Problem::new(Kind::CrossSite, Refused::ForeignForm).into());
    }
    match sender {
        // It changes cookies of its own.
        Sender::Looking => Ok(()),
        Sender::EveryBrowser | Sender::Account | Sender::Leaving => {
            Ok(site_of(app).check_machine(context, parts)?)
        }
    }
}

/// The proof for the forms of a page; empty for a browser that has no secret.
pub(super) fn proof(visitor: &Visitor) -> String {
    // Without random numbers there is none, and its forms will be refused.
    let secret = visitor.forms.as_ref();
    secret
        .and_then(|secret| secret.proof(&visitor.purpose()).ok())
        .unwrap_or_default()
}

/// Whether `proof` is one of a form that was made for this browser and this account.
pub(super) fn proves(visitor: &Visitor, proof: &str) -> bool {
    let secret = visitor.forms.as_ref();
    secret.is_some_and(|secret| secret.proves(&visitor.purpose(), proof))
}
