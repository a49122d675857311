//! The page for browsers: the way of a request from its address to a page, or through the locks of a form to what it changes.
//!
//! 1. [Assets](assets) are answered to every client.
//! 2. The [visitor] is recognised: by a proxy, by credentials, or by the cookie of its session.
//! 3. The [table of routes](routes) has the handler. A page is shown by GET; whatever changes something is a form, sent by POST, and passes
//!    two [locks](csrf) first. Without an account where one is needed, the page to [sign in](sign_in) takes its place, and a form is kept.
//! 4. The handler asks the [operations of the API](crate::api), in the name of the visitor, and fills a view of [`wharf_pages`]: pages have
//!    no rights of their own ([`call`]).
//! 5. The page is written and compressed on a thread of its own, and gets its [headers].
//!
//! The page is exempt from the gate of the health checks, because a page that says what is wrong is of use while something is. Where users
//! do not log in, everything may be looked at that any client may pull; the rest answers this machine alone, as the API does.
//!
//! **Compression and secrets.** A page is compressed whole, with texts that an attacker may have chosen beside the proof of its forms.
//! That proof is another text each time ([`Secret::proof`](wharf_access::sessions::Secret::proof)), and no page has the secret itself.

mod account;
mod activity;
mod answer;
mod artifact;
mod assets;
mod base;
mod build;
mod call;
mod certificates;
mod checks;
mod collection;
mod commands;
mod compare;
mod configuration;
mod connect;
mod cookies;
mod csrf;
mod deletion;
mod described;
mod descriptions;
mod disk;
mod failure;
mod fields;
mod find;
mod forms;
mod headers;
mod history;
mod image;
mod layer_files;
mod lists;
mod names;
mod notice;
mod page;
mod preferences;
mod repositories;
mod retention;
mod route;
mod routes;
mod rules;
mod rules_of_retention;
mod search;
mod servers;
mod shared;
mod sign_in;
mod sign_out;
mod similar;
mod subject;
mod tags;
mod tokens;
mod traffic;
mod trash;
mod users;
mod visitor;
mod way_back;

use std::{
    io::Write as _,
    sync::Arc,
    time::{Duration, SystemTime},
};

use flate2::{Compression, write::GzEncoder};
use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use wharf_access::sessions::Secret;
use wharf_http::RequestContext;

use self::{
    answer::{Answer, Body},
    call::Call,
    cookies::{Cookie, Cookies, FORMS},
    failure::{Failure, Result},
    fields::Fields,
    route::{Route, Sender},
    shared::{Shared, site_of},
    visitor::{Visitor, can_sign_in},
};
use crate::{
    api::{Api, problem::Kind},
    body::Content,
    call::App,
    handlers,
    negotiation::{self, Encoding},
    unread,
};

/// Paths that our own scripts ask.
const SCRIPTED: [&str; 2] = ["/find.json", "/collection.json"];

/// Pages with fewer bytes are not compressed.
const SMALL: usize = 1_000;

/// How long a page waits for its turn to be written.
const PATIENCE: Duration = Duration::from_secs(3);

/// The page for browsers.
#[derive(Debug)]
pub(crate) struct Ui {
    shared: Shared,
}

/// One request, with its visitor known.
struct Visit<'a> {
    shared: &'a Shared,
    context: &'a RequestContext,
    parts: &'a Parts,
    cookies: &'a Cookies,
    visitor: &'a Visitor,
    shortage: Option<u64>,
}

impl Ui {
    /// `None`: the operator wants no page.
    pub(crate) fn new(app: Arc<App>, api: Arc<Api>) -> Option<Self> {
        Shared::new(app, api).map(|shared| Self { shared })
    }

    /// The address of the first page.
    pub(crate) fn first_page(&self) -> String {
        format!("{}/", self.shared.root)
    }

    /// Answers one request for `path`, which is below the root of the pages.
    pub(crate) async fn respond(
        &self,
        context: &mut RequestContext,
        parts: Parts,
        mut body: Incoming,
    ) -> Response<Content> {
        context.set_handler(handlers::UI);
        let path = parts.uri.path();
        let path = path
            .strip_prefix(self.shared.app.options.prefix.as_str())
            .unwrap_or(path);
        let path = path.strip_prefix("/ui").unwrap_or(path).to_owned();
        let mut response = match self.asset(&path, &parts) {
            Some(response) => response,
            None => self.answer(context, &parts, &path, &mut body).await,
        };
        if parts.method == Method::HEAD {
            let length = response.body().len();
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, length.into());
            *response.body_mut() = Content::Empty;
        }
        let budget = &self.shared.app.services.budget;
        if response.body().is_large()
            && let Err(exhausted) = response.body_mut().charged(context, &budget.answers).await
        {
            response = busy(&exhausted.to_string());
        }
        unread::abandon(&budget.requests, &parts, body);
        response
    }

    fn asset(&self, path: &str, parts: &Parts) -> Option<Response<Content>> {
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        assets::answer(&self.shared, path, &parts.headers).filter(|_| reads)
    }

    async fn answer(
        &self,
        context: &mut RequestContext,
        parts: &Parts,
        path: &str,
        body: &mut Incoming,
    ) -> Response<Content> {
        let shared = &self.shared;
        let cookies = shared.cookies(context, parts);
        let recognised = Visitor::of(&shared.app, &cookies, context, parts).await;
        let context = &*context;
        let (mut visitor, refused) = match recognised {
            Ok(visitor) => (visitor, None),
            Err(failure) => (
                Visitor::unknown(&shared.app, &cookies, context, parts),
                Some(failure),
            ),
        };
        let sends = parts.method == Method::POST;
        let new_cookie = self.give_secret(&mut visitor, &cookies, sends || path == "/sign-in");
        let shortage = match &shared.app.services.room {
            Some(room) => room.shortage().await,
            None => None,
        };
        let visit = Visit {
            shared,
            context,
            parts,
            cookies: &cookies,
            visitor: &visitor,
            shortage,
        };
        // Signing in needs no credentials, also where the browser sends old ones.
        let refused = refused.filter(|_| path != "/sign-in");
        let is_known = refused.is_none();
        let answered = match refused {
            Some(failure) => Err(failure),
            None => visit.answer(path, body).await,
        };
        let mut answer = match answered {
            Ok(answer) => answer,
            Err(failure) => Box::pin(visit.explain(path, failure, is_known)).await,
        };
        answer = answer.with_cookie(new_cookie);
        if !sets(&answer, &cookies) {
            answer = answer.with_cookie(self.session_cookie(&visitor, &cookies));
        }
        let has_notice = cookies.get(&parts.headers, Cookie::Notice).is_some();
        if has_notice && matches!(answer.body, Body::Page(_)) {
            answer = answer.with_cookie(cookies.remove(Cookie::Notice));
        }
        self.finish(answer, parts).await
    }

    /// Gives a browser without a session the secret that its forms need, where it can have any: to sign in, and where it is known by
    /// something else than a session. Looking around needs none, and sets no cookie. `signs_in`: the answer may be the page to sign in.
    fn give_secret(&self, visitor: &mut Visitor, cookies: &Cookies, signs_in: bool) -> Option<HeaderValue> {
        let has_forms = visitor.is_known() || signs_in || visitor.has_ended;
        if visitor.forms.is_some() || !has_forms {
            return None;
        }
        let secret = Secret::new().ok()?;
        let cookie = cookies.set(Cookie::Forms, &secret.to_cookie(), FORMS);
        visitor.forms = Some(secret);
        cookie
    }

    /// The cookie of a session that was used, which lasts as long as the session, or the end of the cookie with that of the session.
    fn session_cookie(&self, visitor: &Visitor, cookies: &Cookies) -> Option<HeaderValue> {
        if visitor.has_ended {
            return cookies.remove(Cookie::Session);
        }
        let (secret, session) = visitor.session.as_ref()?;
        let sessions = self.shared.app.services.sessions.as_ref()?;
        let age = sessions.cookie_age(session, SystemTime::now())?;
        cookies.set(Cookie::Session, &secret.to_cookie(), age)
    }

    /// Writes the answer, and adds the headers that all have.
    async fn finish(&self, answer: Answer, parts: &Parts) -> Response<Content> {
        let Answer {
            status,
            headers,
            body,
            charge,
        } = answer;
        let mut response = match body {
            Body::Data(content) => {
                let mut response = Response::new(content);
                headers::of_data(response.headers_mut());
                response
            }
            Body::Page(render) => {
                let encoding = negotiation::encoding(&parts.headers, false);
                let Ok(Ok(place)) =
                    tokio::time::timeout(PATIENCE, Arc::clone(&self.shared.writers).acquire_owned()).await
                else {
                    return busy("too many pages are being written; try again in a moment");
                };
                let written = tokio::task::spawn_blocking(move || {
                    // What the form was charged covers the page that repeats its fields.
                    let _held = (place, charge);
                    let html = render().map_err(std::io::Error::other)?;
                    written(html, encoding)
                });
                let (bytes, is_compressed) = match written.await {
                    Ok(Ok(written)) => written,
                    Ok(Err(error)) => return failed(&error),
                    Err(panic) => return failed(&panic),
                };
                let mut response = Response::new(Content::Full(bytes.into()));
                let origin = self.shared.configured_origin(parts);
                let folder = origin.map(|origin| format!("{origin}{}/assets/", self.shared.root));
                headers::of_page(response.headers_mut(), folder.as_deref());
                if is_compressed {
                    let gzip = HeaderValue::from_static("gzip");
                    response.headers_mut().insert(header::CONTENT_ENCODING, gzip);
                }
                response
            }
        };
        *response.status_mut() = status;
        for (name, value) in &headers {
            match *name {
                // A browser gets several of them.
                header::SET_COOKIE => response.headers_mut().append(name, value.clone()),
                _ => response.headers_mut().insert(name, value.clone()).is_some(),
            };
        }
        response
    }
}

impl<'a> Visit<'a> {
    fn call<'b>(
        &'b self,
        route: Option<&'static Route>,
        (path, rest): (&'b str, &'b str),
        query: &'b Fields,
        form: &'b Fields,
    ) -> Call<'b> {
        Call {
            shared: self.shared,
            context: self.context,
            parts: self.parts,
            visitor: self.visitor,
            cookies: self.cookies,
            shortage: self.shortage,
            nav: route.map_or("", |route| route.nav),
            path,
            is_stale: false,
            to: "",
            kept: Fields::NONE,
            rest,
            query,
            form,
        }
    }

    async fn answer(&self, path: &str, body: &mut Incoming) -> Result<Answer> {
        match self.parts.method {
            Method::GET | Method::HEAD => {
                let query = query(path, self.parts);
                self.show(path, &query, false).await
            }
            Method::POST => self.receive(path, body).await,
            _ => Err(Failure::method("GET, HEAD, POST")),
        }
    }

    /// Shows a page; `is_stale`: in place of a form on it that was not carried out.
    async fn show(&self, path: &str, query: &Fields, is_stale: bool) -> Result<Answer> {
        let Some((route, rest)) = routes::page_at(path) else {
            return match path.trim_end_matches('/') {
                "" if path.is_empty() => Ok(Answer::see(&format!("{}/", self.shared.root))),
                clean if clean.len() < path.len() && routes::page_at(clean).is_some() => {
                    Ok(Answer::see(&address(self.shared, clean, query)))
                }
                _ if routes::form_at(path).is_some() => Err(Failure::method("POST")),
                _ => Err(Failure::no_page()),
            };
        };
        if !route.is_open {
            site_of(&self.shared.app).check_machine(self.context, self.parts)?;
        }
        let rest = percent_decode_str(rest).decode_utf8_lossy();
        let none = Fields::default();
        let to = way_back::of(&self.shared.root, query.get("to"));
        let call = Call {
            is_stale,
            to: &to,
            ..self.call(Some(route), (path, &rest), query, &none)
        };
        (route.handler)(call).await
    }

    /// Lets a form through its locks, and carries it out.
    async fn receive(&self, path: &str, body: &mut Incoming) -> Result<Answer> {
        let Some((route, rest)) = routes::form_at(path) else {
            return Err(match routes::page_at(path) {
                Some(_) => Failure::method("GET, HEAD"),
                None => Failure::no_page(),
            });
        };
        let app = &self.shared.app;
        let Some(form) = &route.form else {
            return Err(Failure::no_page());
        };
        csrf::require_own_site(self.shared, (self.context, self.parts), form.sender)?;
        if self.shared.options.read_only && form.sender == Sender::Account {
            return Err(Failure::page_read_only());
        }
        let share = &app.services.budget.bodies;
        let (fields, charge) = fields::receive(self.context, &self.parts.headers, share, body).await?;
        let place = route.page_of(path);
        let none = Fields::default();
        let call = self.call(Some(route), (place, ""), &none, &fields);
        if form.sender.is_account() && !self.visitor.is_known() {
            if !can_sign_in(app) {
                return Err(Failure::needs_account());
            }
            let kept = way_back::bounded(fields.only(form.kept));
            return Ok(sign_in::instead_of(call, call.url(place), &kept).holding(charge));
        }
        if form.sender != Sender::Looking && !csrf::proves(self.visitor, fields.get(csrf::FIELD)) {
            tracing::debug!(path, "a form was made for another session");
            let kept = fields.only(form.kept);
            let shown = Box::pin(self.show(place, &kept, true)).await?;
            return Ok(shown.with_status(StatusCode::FORBIDDEN).holding(charge));
        }
        let rest = percent_decode_str(rest).decode_utf8_lossy();
        let root = &self.shared.root;
        let to = way_back::of(root, fields.get("to"));
        let kept = way_back::kept(root, &to, &fields);
        let call = Call {
            rest: &rest,
            to: &to,
            kept: &kept,
            ..call
        };
        Ok((route.handler)(call).await?.holding(charge))
    }

    /// What is answered in place of a page that cannot be shown.
    ///
    /// `is_known`: whether the client could be recognised. Otherwise it is not led to signing in, where it would be refused again.
    async fn explain(&self, path: &str, failure: Failure, is_known: bool) -> Answer {
        failure.log(path);
        let reads = matches!(self.parts.method, Method::GET | Method::HEAD);
        let query = query(path, self.parts);
        let none = Fields::default();
        let is_for_scripts = SCRIPTED.contains(&path);
        let signs_in = is_known && !self.visitor.is_known() && can_sign_in(&self.shared.app);
        if failure.kind() == Kind::NotAuthenticated && signs_in && reads && !is_for_scripts {
            let here = address(self.shared, path, &query);
            let to = fields::query_of([("to", here.as_str())].into_iter());
            return Answer::see(&format!("{}/sign-in?{to}", self.shared.root));
        }
        let call = self.call(None, (path, ""), &query, &none);
        let failure = match (failure.kind(), image_of(path)) {
            (Kind::UnknownImage, Some(name)) if reads => {
                failure.with_similar(similar::images(call, &name).await)
            }
            _ => failure,
        };
        let mut answer = match is_for_scripts {
            true => Answer::json(&()).unwrap_or_else(|_| Answer::see("/")),
            false => Answer::page(failure.view(call.page(), self.context.id().uuid().to_string())),
        };
        answer.status = failure.status();
        answer.headers.extend(failure.headers());
        answer
    }
}

/// The name of the repository or the image in the path of a page, which may be none.
fn image_of(path: &str) -> Option<String> {
    let (_, name) = path.strip_prefix('/')?.split_once('/')?;
    Some(percent_decode_str(name).decode_utf8_lossy().into_owned())
}

/// The query of a request: of one that names tags, with as many fields as a form.
fn query(path: &str, parts: &Parts) -> Fields {
    let most = match path.starts_with("/delete/") {
        true => fields::MOST,
        false => fields::FEW,
    };
    Fields::read_some(parts.uri.query().unwrap_or_default(), most)
}

/// The address of a page.
fn address(shared: &Shared, path: &str, query: &Fields) -> String {
    match query.is_empty() {
        true => format!("{}{path}", shared.root),
        false => format!("{}{path}?{}", shared.root, query.to_query()),
    }
}

/// Whether an answer sets the cookie of a session.
fn sets(answer: &Answer, cookies: &Cookies) -> bool {
    let values = answer.headers.get_all(header::SET_COOKIE).iter();
    let mut values = values.filter_map(|value| value.to_str().ok());
    values.any(|value| cookies.is_of(Cookie::Session, value))
}

/// The bytes of a page, and whether they are compressed.
fn written(html: String, encoding: Encoding) -> std::io::Result<(Vec<u8>, bool)> {
    if encoding != Encoding::Gzip || html.len() < SMALL {
        return Ok((html.into_bytes(), false));
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(html.len() / 4), Compression::new(5));
    encoder.write_all(html.as_bytes())?;
    Ok((encoder.finish()?, true))
}

/// The answer when there is no room for a page.
fn busy(text: &str) -> Response<Content> {
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, text);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// The answer when a page cannot be written.
fn failed(error: &dyn std::fmt::Display) -> Response<Content> {
    tracing::error!(%error, "a page could not be written");
    let text = "the server failed; its operator finds the reason in the log";
    plain(StatusCode::INTERNAL_SERVER_ERROR, text)
}

/// A sentence in place of a page.
fn plain(status: StatusCode, text: &str) -> Response<Content> {
    let mut response = Response::new(Content::Full(format!("{text}\n").into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers::of_data(headers);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
