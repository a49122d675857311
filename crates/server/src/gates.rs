//! The gates between clients and surfaces, in order. Each surface declares which of them apply to it.
//!
//! A gate decides, and the surface makes the response: an error of the distribution API differs from a page.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, header, request::Parts};
use wharf_access::{Access, Action, Authorization, Challenged, Credentials, Missing, Principal, Reason, Via};
use wharf_activity::Activity;
use wharf_http::{RequestContext, is_preflight};

use crate::{
    facts,
    health::Health,
    options::{ServerOptions, ServerServices},
    rights::Rights,
    site,
};

/// The gates that apply to the requests of a surface, in the order in which they are passed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gates {
    /// Refuse requests without TLS on a TLS port.
    pub(crate) tls: bool,
    /// Answer the preflights of browsers, and tell them which pages may read answers.
    pub(crate) cors: bool,
    /// Refuse requests while a health check fails.
    pub(crate) health: bool,
    /// Refuse requests without the rights that they need.
    pub(crate) authentication: bool,
    /// Refuse changes of a store that is read-only.
    pub(crate) read_only: bool,
    /// Security headers of every answer.
    pub(crate) security_headers: SecurityHeaders,
}

/// Security headers for browsers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecurityHeaders {
    /// The headers in `http.headers`; the configuration of registry:2's image has `X-Content-Type-Options` there.
    Configured,
    /// `X-Content-Type-Options: nosniff`.
    NoSniff,
}

/// Rights and access to the store that a request needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Demand<'a> {
    pub(crate) actions: &'a [Action<'a>],
    /// Without this one the request can be carried out in another way.
    pub(crate) wish: Option<Action<'a>>,
    /// Tag that the request names.
    pub(crate) tag: Option<&'a str>,
    pub(crate) changes_store: bool,
}

/// Reason to answer a request before its route is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The request came without TLS on a TLS port, perhaps with a password: it is never carried out.
    NeedsTls,
    /// The request is a preflight, answered by headers only. It carries no credentials, so none are required.
    Preflight,
    /// A health check fails.
    Unhealthy,
}

/// Reason to refuse a request.
#[derive(Debug)]
pub(crate) enum Refusal<'a> {
    /// The client has to log in, or to fetch a token.
    Unauthenticated(&'a Access, Challenged),
    /// The credentials of the request are not good, or were not checked.
    Unknown(&'a Access, Reason),
    /// The account lacks a right.
    Forbidden(Box<Missing<'a>>),
    /// A browser sent the request, which would change the store, for a page of another site.
    CrossSite,
    /// The request would change a store that is read-only.
    ReadOnly,
}

impl Gates {
    /// No request is stopped.
    pub(crate) const OPEN: Self = Self {
        tls: false,
        cors: false,
        health: false,
        authentication: false,
        read_only: false,
        security_headers: SecurityHeaders::NoSniff,
    };

    /// Whether one of the gates can stop a request.
    pub(crate) const fn can_stop(self) -> bool {
        self.tls || self.cors || self.health || self.authentication || self.read_only
    }

    /// Passes the gates that come before routing.
    pub(crate) fn enter(
        self,
        (options, services): (&ServerOptions, &ServerServices),
        context: &RequestContext,
        request: &Parts,
    ) -> Result<(), Stop> {
        if self.tls && context.lacks_tls() {
            Err(Stop::NeedsTls)
        } else if self.cors && request.method == Method::OPTIONS && answers_preflight(options, request) {
            Err(Stop::Preflight)
        } else if self.health && !services.health.as_deref().is_none_or(Health::is_well) {
            Err(Stop::Unhealthy)
        } else {
            Ok(())
        }
    }

    /// Passes the gates that depend on the route, before the first byte of the body is read. Sets the actor in
    /// `context`.
    pub(crate) async fn pass<'a>(
        self,
        (options, services): (&ServerOptions, &'a ServerServices),
        context: &mut RequestContext,
        request: &Parts,
        demand: Demand<'a>,
    ) -> Result<Rights, Refusal<'a>> {
        let recognised = self.client(services, context, request).await;
        let client = recognised.map_err(|(access, reason)| Refusal::Unknown(access, reason))?;
        self.pass_as(client, (options, services), context, request, demand)
    }

    /// Recognises the client; `None`: clients do not log in, or these gates ask for no credentials. Sets the actor in `context`.
    pub(crate) async fn client<'a>(
        self,
        services: &'a ServerServices,
        context: &mut RequestContext,
        request: &Parts,
    ) -> Result<Option<Principal>, (&'a Access, Reason)> {
        match services.access.as_deref().filter(|_| self.authentication) {
            Some(access) => {
                let recognised = recognise((access, services.activity.as_ref()), context, request).await;
                recognised.map(Some).map_err(|reason| (access, reason))
            }
            None => Ok(None),
        }
    }

    /// The same for a client that is recognised already; `None`: clients do not log in, or these gates ask for no credentials.
    pub(crate) fn pass_as<'a>(
        self,
        client: Option<Principal>,
        (options, services): (&ServerOptions, &'a ServerServices),
        context: &RequestContext,
        request: &Parts,
        demand: Demand<'a>,
    ) -> Result<Rights, Refusal<'a>> {
        let rights = match (&services.access, client) {
            (Some(access), Some(client)) if self.authentication => {
                admit(access, client, context, request, demand)?
            }
            (Some(access), None) if self.authentication => {
                return Err(Refusal::Unauthenticated(access, Challenged::Anonymous));
            }
            _ => Rights::ALL,
        };
        if self.read_only && options.read_only && demand.changes_store {
            return Err(Refusal::ReadOnly);
        }
        // The session is in the browser, which adds it to the requests of every page. Passwords are not looked at: pages send them
        // through proxies that change the `Host`, or that answer for CORS, as with registry:2.
        if demand.changes_store
            && rights
                .principal()
                .is_some_and(|principal| *principal.via() == Via::Proxy)
            && !site::is_own(options.host.as_deref(), context, request)
            && !self.lets_page(options, request)
        {
            return Err(Refusal::CrossSite);
        }
        Ok(rights)
    }

    /// Whether the operator lets the page of another site that sent a request act for the user of its browser: the headers of the
    /// answer say so.
    fn lets_page(self, options: &ServerOptions, request: &Parts) -> bool {
        let mut headers = HeaderMap::new();
        self.leave(options, request, &mut headers);
        let origin = request.headers.get(header::ORIGIN);
        let allows = headers.get(header::ACCESS_CONTROL_ALLOW_CREDENTIALS);
        origin.is_some()
            && headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN) == origin
            && allows.is_some_and(|value| value == "true")
    }

    /// Adds the headers of the gates to an answer, whether the request was carried out or stopped.
    pub(crate) fn leave(self, options: &ServerOptions, request: &Parts, headers: &mut HeaderMap) {
        match self.security_headers {
            SecurityHeaders::Configured => {
                for (name, value) in &options.headers {
                    headers.append(name, value.clone());
                }
            }
            SecurityHeaders::NoSniff => {
                let nosniff = HeaderValue::from_static("nosniff");
                headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
            }
        }
        if let (true, Some(cors)) = (self.cors, &options.cors) {
            cors.add_to(headers, request);
        }
    }
}

/// Whether the request is a preflight, and CORS is configured.
fn answers_preflight(options: &ServerOptions, request: &Parts) -> bool {
    options.has_cors() && is_preflight(request)
}

/// Finds out which client it is by the headers of its request, and sets the actor in `context`.
pub(crate) async fn recognise(
    (access, activity): (&Access, Option<&Activity>),
    context: &mut RequestContext,
    request: &Parts,
) -> Result<Principal, Reason> {
    let principal = authenticate((access, activity), context, request).await?;
    if let Some(actor) = principal.actor() {
        context.set_actor(Arc::clone(actor));
    }
    if let (Via::Robot(robot), Some(activity)) = (principal.via(), activity) {
        activity.token_used(&facts::of(context, request), robot.name());
    }
    Ok(principal)
}

/// Finds out whether a client has the rights that its request needs.
fn admit<'a>(
    access: &'a Access,
    principal: Principal,
    context: &RequestContext,
    request: &Parts,
    demand: Demand<'a>,
) -> Result<Rights, Refusal<'a>> {
    // Only rules look at addresses.
    let address = match access.has_rules() {
        true => context.proven_client(&request.headers),
        false => None,
    };
    let authorize = |actions| access.authorize(&principal, actions, demand.tag, address);
    let grant = match authorize(demand.actions) {
        Authorization::Allowed(grant) => grant,
        refused => return Err(refusal(access, refused)),
    };
    let may_mount = match demand
        .wish
        .as_ref()
        .map(|wish| authorize(std::slice::from_ref(wish)))
    {
        None | Some(Authorization::Allowed(_)) => true,
        // Another token may have the right, and the client fetches one only if it is told.
        Some(refused @ Authorization::InsufficientScope) => return Err(refusal(access, refused)),
        Some(_) => false,
    };
    Ok(Rights::granted(principal, address, grant, may_mount))
}

fn refusal<'a>(access: &'a Access, refused: Authorization<'a>) -> Refusal<'a> {
    match refused {
        Authorization::Forbidden(missing) => Refusal::Forbidden(missing),
        Authorization::InsufficientScope => Refusal::Unauthenticated(access, Challenged::InsufficientScope),
        Authorization::Unauthenticated | Authorization::Allowed(_) => {
            Refusal::Unauthenticated(access, Challenged::Anonymous)
        }
    }
}

async fn authenticate(
    (access, activity): (&Access, Option<&Activity>),
    context: &RequestContext,
    request: &Parts,
) -> Result<Principal, Reason> {
    let credentials = of_proxy(access, context, request).unwrap_or_else(|| {
        let values = request.headers.get_all(header::AUTHORIZATION);
        Credentials::of_headers(values.iter().map(HeaderValue::as_bytes))
    });
    let done = match access.authenticate_at_once(&credentials) {
        Some(done) => done,
        None => {
            let address = context.limited_client(&request.headers);
            Box::pin(access.authenticate(&credentials, address)).await
        }
    };
    if let Err(reason) = &done {
        note_refused((context, request), activity, &credentials, reason);
    }
    done
}

/// Tells the log of activities, and that of the server, of credentials that are refused.
#[cold]
pub(crate) fn note_refused(
    (context, request): (&RequestContext, &Parts),
    activity: Option<&Activity>,
    credentials: &Credentials<'_>,
    reason: &Reason,
) {
    if *reason == Reason::Busy {
        context.note_limited(&request.headers);
    }
    if let (Some(activity), Some(why)) = (activity, reason.of_failed_login()) {
        activity.login_failed(&facts::of(context, request), credentials.claimed_name(), why);
    }
}

/// The account that a proxy names, if it names one; malformed credentials, if a client names it itself.
pub(crate) fn of_proxy<'a>(
    access: &Access,
    context: &RequestContext,
    request: &'a Parts,
) -> Option<Credentials<'a>> {
    let header = access.proxy_header()?;
    let values = |name: &str| request.headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let groups = header.groups.as_deref().map(values);
    header.credentials(
        context.peer().address.map(|address| address.ip()),
        values(&header.user),
        groups.into_iter().flatten(),
    )
}

#[cfg(test)]
mod tests {
    use wharf_http::Cors;

    use super::*;

    fn headers_of(gates: Gates) -> Vec<String> {
        let options = ServerOptions {
            headers: [(header::SERVER, HeaderValue::from_static("x"))]
                .into_iter()
                .collect(),
            cors: Some(Cors::new(&["*".to_owned()], false).unwrap()),
            ..ServerOptions::default()
        };
        let request = http::Request::get("/")
            .header("origin", "http://ui.example")
            .body(());
        let mut headers = HeaderMap::new();
        gates.leave(&options, &request.unwrap().into_parts().0, &mut headers);
        headers.keys().map(ToString::to_string).collect()
    }

    #[test]
    fn answers_get_the_headers_of_the_gates_that_apply() {
        assert_eq!(headers_of(Gates::OPEN), ["x-content-type-options"]);
        let configured = Gates {
            security_headers: SecurityHeaders::Configured,
            ..Gates::OPEN
        };
        assert_eq!(headers_of(configured), ["server"]);
        let with_cors = Gates {
            cors: true,
            ..configured
        };
        assert!(headers_of(with_cors).contains(&"access-control-allow-origin".to_owned()));
    }

    #[test]
    fn only_gates_that_look_at_requests_can_stop_them() {
        assert!(!Gates::OPEN.can_stop());
        assert!(
            Gates {
                health: true,
                ..Gates::OPEN
            }
            .can_stop()
        );
    }
}
