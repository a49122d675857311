//! The token server: `/auth/token` issues tokens to the users of this registry, `/auth/jwks.json` shows its public keys.
//!
//! Requests and answers are those of docker's token servers: `GET` with a password or without one, and the `POST` of
//! OAuth 2.0 with a password or a refresh token. A scope that the client may not have is no error: it comes back without
//! actions, as from docker_auth.

mod form;
mod refusal;
mod request;

use std::{net::IpAddr, sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Method, Response, header, request::Parts};
use hyper::body::Incoming;
use serde_json::{Value, json};
use wharf_access::{Access, Basic, Credentials, Login, Reason, TokenServer, issuer::Subject, scope::Scope};
use wharf_http::RequestContext;

use self::{refusal::Refusal, request::TokenRequest};
use crate::{
    body::Content,
    call::{App, Call},
    error::JSON,
    facts,
    gates::{Gates, of_proxy},
    handlers, request_log,
};

/// It proves who clients are, so it asks for no proof before; it answers no page of another site; and it changes nothing.
const GATES: Gates = Gates::OPEN;

// Requests without TLS on a TLS port come to the distribution API instead, which refuses them.
const _: () = assert!(!GATES.can_stop());

/// How long other servers may keep the public keys, in seconds: a new key signs nothing for longer.
const KEYS: HeaderValue = HeaderValue::from_static("public, max-age=30");

/// What a path of the token server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Token,
    Keys,
}

/// The parts of a server that issue tokens.
#[derive(Clone, Copy)]
struct Office<'a> {
    access: &'a Access,
    server: &'a TokenServer,
}

impl Endpoint {
    /// What `path` is for, if this registry is a token server.
    pub(crate) fn of(app: &App, path: &str) -> Option<Self> {
        app.services.access.as_ref()?.token_server()?;
        match path.strip_prefix(app.options.prefix.as_str())? {
            "/auth/token" | "/auth" | "/token" => Some(Self::Token),
            "/auth/jwks.json" => Some(Self::Keys),
            _ => None,
        }
    }
}

/// Answers a request to the token server.
pub(crate) async fn respond(
    app: &App,
    endpoint: Endpoint,
    context: &mut RequestContext,
    parts: &Parts,
    body: &mut Incoming,
) -> Response<Content> {
    context.set_handler(match endpoint {
        Endpoint::Token => handlers::TOKEN,
        Endpoint::Keys => handlers::TOKEN_KEYS,
    });
    let answered = match endpoint {
        Endpoint::Token => token(app, context, parts, body).await,
        Endpoint::Keys => keys(app, parts),
    };
    let mut response = match answered {
        Ok(response) => response,
        Err(refusal) => {
            if refusal.is_busy() {
                context.note_limited(&parts.headers);
            }
            if let (Some(activity), Some(failure)) = (&app.services.activity, refusal.failure()) {
                activity.login_failed(
                    &facts::of(context, parts),
                    failure.name.as_deref(),
                    failure.reason,
                );
            }
            let (status, reason) = (refusal.status().as_u16(), refusal.text());
            tracing::debug!(http.response.status = status, reason, "no token was issued");
            refusal.into_response()
        }
    };
    let headers = response.headers_mut();
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    }
    GATES.leave(&app.options, parts, headers);
    if parts.method == Method::HEAD {
        let length = response.body().len();
        *response.body_mut() = Content::Empty;
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, length.into());
    }
    request_log::answered(Call { app, context, parts }, &response);
    response
}

fn keys(app: &App, parts: &Parts) -> Result<Response<Content>, Refusal> {
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return Err(Refusal::method("GET, HEAD"));
    }
    let office = office(app)?;
    let mut response = answer(office.server.issuer().jwks());
    response.headers_mut().insert(header::CACHE_CONTROL, KEYS);
    Ok(response)
}

async fn token(
    app: &App,
    context: &mut RequestContext,
    parts: &Parts,
    body: &mut Incoming,
) -> Result<Response<Content>, Refusal> {
    let office = office(app)?;
    office.refuse_proxied(context, parts)?;
    let address = context.limited_client(&parts.headers);
    let (request, login) = match parts.method {
        Method::GET => {
            let request = TokenRequest::read(parts.uri.query().unwrap_or_default())?;
            office.check_service(&request)?;
            let login = office.log_in(&request, parts, address).await?;
            (request, login)
        }
        Method::POST => {
            let request = form::read(Call { app, context, parts }, body).await?;
            office.check_service(&request)?;
            let login = office.grant(&request, address).await?;
            (request, login)
        }
        _ => return Err(Refusal::method("GET, POST")),
    };
    if let Some(actor) = login.principal.actor() {
        context.set_actor(Arc::clone(actor));
    }
    if let Some(activity) = &app.services.activity {
        let by = match login.principal.robot() {
            Some(robot) => robot.name(),
            None if request.refresh_token.is_some() => "a token for a refresh token",
            None => "a token for a password",
        };
        activity.token_used(&facts::of(context, parts), by);
    }
    let scopes = office.access.cut_down(
        &login.principal,
        &request.scopes,
        context.proven_client(&parts.headers),
    );
    office.issue(&request, &login, &scopes)
}

fn office(app: &App) -> Result<Office<'_>, Refusal> {
    let access = app.services.access.as_deref();
    let office = access.and_then(|access| {
        let server = access.token_server()?;
        Some(Office { access, server })
    });
    office.ok_or_else(|| Refusal::bad("invalid_request", "this registry issues no tokens"))
}

impl Office<'_> {
    /// A client that asks for a token for another service would get one that is good for nothing there.
    fn check_service(self, request: &TokenRequest) -> Result<(), Refusal> {
        let own = &self.server.issuer().options().service;
        match &request.service {
            Some(service) if service != own => {
                let text = format!("this token server is for the service `{own}`, and for no other");
                Err(Refusal::bad("invalid_request", text))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a client with an account that a proxy names. It needs no token, as the proxy names the account with each request; and one
    /// would be good after the session at the proxy has ended, and know nothing of the groups that it names. A client that names
    /// its account itself is refused as on all surfaces.
    fn refuse_proxied(self, context: &RequestContext, parts: &Parts) -> Result<(), Refusal> {
        match of_proxy(self.access, context, parts) {
            None => Ok(()),
            Some(Credentials::Malformed(what)) => {
                let reason = Reason::Malformed(what);
                Err(Refusal::of_reason(self.access, None, &reason))
            }
            Some(_) => Err(Refusal::proxied()),
        }
    }

    /// The client of a `GET`: by its password, or without an account.
    async fn log_in(
        self,
        request: &TokenRequest,
        parts: &Parts,
        address: Option<IpAddr>,
    ) -> Result<Login, Refusal> {
        let values = parts.headers.get_all(header::AUTHORIZATION);
        let credentials = Credentials::of_headers(values.iter().map(HeaderValue::as_bytes));
        if let (Credentials::Basic(basic), Some(account)) = (&credentials, &request.account)
            && !basic.is_empty()
            && account != basic.name()
        {
            let text = "the `account` is not the user name of the credentials";
            return Err(Refusal::bad("invalid_request", text));
        }
        let login = self.access.log_in(&credentials, address).await;
        let name = credentials.claimed_name();
        let login = login.map_err(|reason| Refusal::of_reason(self.access, name, &reason))?;
        self.admit(login)
    }

    /// The client of a `POST`.
    async fn grant(self, request: &TokenRequest, address: Option<IpAddr>) -> Result<Login, Refusal> {
        let missing =
            |name: &str| Refusal::bad("invalid_request", format!("the parameter `{name}` is missing"));
        let login = match request.grant.as_deref() {
            // docker_auth does not look at the kind of grant.
            Some("password") | None => {
                let name = request.username.as_deref().ok_or_else(|| missing("username"))?;
                let password = request.password.as_ref().ok_or_else(|| missing("password"))?;
                let basic = Basic::new(name, password.0.as_bytes());
                self.access.log_in(&Credentials::Basic(basic), address).await
            }
            Some("refresh_token") => {
                let token = request
                    .refresh_token
                    .as_ref()
                    .ok_or_else(|| missing("refresh_token"))?;
                self.access.redeem(token.0.as_bytes(), address).await
            }
            Some(_) => {
                let text = "the `grant_type` is neither `password` nor `refresh_token`";
                return Err(Refusal::bad("unsupported_grant_type", text));
            }
        };
        let name = request.username.as_deref();
        let login = login.map_err(|reason| Refusal::of_reason(self.access, name, &reason))?;
        self.admit(login)
    }

    /// A client without an account gets a token only where rules may allow it something.
    fn admit(self, login: Login) -> Result<Login, Refusal> {
        match login.principal.actor() {
            None if !self.access.has_rules() => {
                let text =
                    "log in first: `docker login` for docker, `-u NAME` for curl; both ask for the password";
                Err(Refusal::log_in(self.access, text))
            }
            _ => Ok(login),
        }
    }

    fn issue(
        self,
        request: &TokenRequest,
        login: &Login,
        scopes: &[Scope],
    ) -> Result<Response<Content>, Refusal> {
        let (issuer, now) = (self.server.issuer(), SystemTime::now());
        let subject = Subject {
            account: login.principal.account().map(|account| &**account),
            binding: login.binding,
        };
        let issued = issuer.issue(subject, scopes, now)?;
        let granted: Vec<String> = scopes.iter().map(ToString::to_string).collect();
        let mut body = json!({
            "token": issued.token,
            "access_token": issued.token,
            "token_type": "Bearer",
            "expires_in": issued.expires_in.as_secs(),
            "issued_at": rfc3339(issued.issued_at),
            "scope": granted.join(" "),
        });
        // One that is made for another ends with that at the latest, so none renews itself.
        let left = login
            .expires
            .map(|end| end.duration_since(now).unwrap_or_default());
        let has_account = login.principal.actor().is_some();
        let refresh = match (&request.refresh_token, request.refresh_lifetime) {
            (_, Some(wanted)) if has_account => {
                let lifetime = left.map_or(wanted, |left| wanted.min(left));
                Some(issuer.issue_refresh(subject, Some(lifetime), now)?)
            }
            // docker keeps the one that it has.
            (Some(token), _) if request.grant.as_deref() == Some("refresh_token") => Some(token.0.clone()),
            _ if request.is_offline && has_account => Some(issuer.issue_refresh(subject, None, now)?),
            _ => None,
        };
        if let Some(refresh) = refresh {
            body["refresh_token"] = Value::String(refresh);
        }
        Ok(answer(body.to_string()))
    }
}

fn answer(body: String) -> Response<Content> {
    let mut response = Response::new(Content::Full(Bytes::from(body)));
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

fn rfc3339(time: SystemTime) -> String {
    format!("{:.0}", jiff::Timestamp::try_from(time).unwrap_or_default())
}
