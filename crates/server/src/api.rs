//! The administration API: the way of a request through its gates to the operation, and back as an answer.
//!
//! The table of [operations] is the one truth: the [router], `Allow` and the [OpenAPI document](openapi) are made from it.
//! The same operations are answered on the registry's listener, behind authentication, and on the control socket, whose
//! mode decides who may connect.

mod about;
mod activity;
pub(crate) mod answer;
mod body;
pub(crate) mod call;
pub(crate) mod caller;
mod checks;
mod collections;
mod deletions;
mod files;
mod idempotency;
mod images;
mod json;
mod openapi;
mod operation;
mod operations;
mod parameters;
pub(crate) mod problem;
mod query;
mod record;
mod retention;
mod router;
mod rules;
mod sessions;
pub(crate) mod site;
mod tags;
mod tokens;
mod trash;
mod users;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request::Parts};
use hyper::body::Incoming;
use tracing::Instrument as _;
use wharf_access::Principal;
use wharf_budget::Permit;
use wharf_http::RequestContext;
use wharf_registry::Surface;

use self::{
    answer::Answer,
    call::{Call, Shared},
    caller::{Asked, Caller},
    idempotency::{Known, Memory},
    operation::Operation,
    operations::OPERATIONS,
    problem::{Kind, PROBLEM_JSON, Problem, Result},
    query::Query,
    record::Record,
    router::Found,
    site::Site,
};
use crate::{
    body::Content,
    call::App,
    facts,
    gates::{Gates, Stop},
    handlers, location,
    rights::Rights,
    unread,
};

/// What is administered is looked at when checks fail, too. Pages of other sites may not use the API, so CORS does not apply.
const GATES: Gates = Gates {
    tls: true,
    authentication: true,
    read_only: true,
    ..Gates::OPEN
};

/// At the control socket the kernel has checked who connects.
const SOCKET_GATES: Gates = Gates {
    tls: false,
    authentication: false,
    ..GATES
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// How long a change waits until the server has room for its work.
const ADMISSION: Duration = Duration::from_secs(3);

/// Where a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// The registry's listener.
    Listener,
    /// The control socket.
    Socket,
}

/// An operation that the page for browsers wants for its client.
#[derive(Debug)]
pub(crate) struct Errand<'a> {
    /// Name of the operation.
    pub(crate) id: &'static str,
    /// The query, encoded as in a URL.
    pub(crate) query: &'a str,
    /// JSON, or nothing.
    pub(crate) body: Bytes,
    /// The version to which alone a change is made.
    pub(crate) version: Option<&'a str>,
}

/// An operation with what it is about.
struct Wanted {
    operation: &'static Operation,
    query: Query,
    headers: HeaderMap,
    body: Bytes,
    /// Where the request came in.
    surface: Surface,
}

/// The administration API.
#[derive(Debug)]
pub(crate) struct Api {
    app: Arc<App>,
    shared: Arc<Shared>,
    repetitions: Arc<Memory>,
}

impl Api {
    pub(crate) fn new(app: Arc<App>) -> Self {
        let document = openapi::document(&OPERATIONS).to_string();
        Self {
            shared: Arc::new(Shared {
                admin: app.services.admin.clone(),
                access: app.services.access.clone(),
                sessions: app.services.sessions.clone(),
                health: app.services.health.clone(),
                document: Bytes::from(document),
                changing_users: tokio::sync::Mutex::default(),
                reading_activity: tokio::sync::Mutex::default(),
            }),
            app,
            repetitions: Arc::default(),
        }
    }

    /// Answers one request.
    pub(crate) async fn respond(
        &self,
        entrance: Entrance,
        context: &mut RequestContext,
        parts: Parts,
        mut body: Incoming,
    ) -> Response<Content> {
        context.set_handler(handlers::API);
        let result = self.carry_out(entrance, context, &parts, &mut body).await;
        let mut response = match result {
            Ok(answer) => of_answer(answer),
            Err(problem) => {
                log_failure(&parts, &problem);
                of_problem(problem, context)
            }
        };
        if parts.method == Method::HEAD {
            let length = response.body().len();
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, length.into());
            *response.body_mut() = Content::Empty;
        }
        let answers = &self.app.services.budget.answers;
        if response.body().is_large()
            && let Err(exhausted) = response.body_mut().charged(context, answers).await
        {
            response = of_problem(exhausted.into(), context);
        }
        entrance
            .gates()
            .leave(&self.app.options, &parts, response.headers_mut());
        unread::abandon(&self.app.services.budget.requests, &parts, body);
        response
    }

    async fn carry_out(
        &self,
        entrance: Entrance,
        context: &mut RequestContext,
        parts: &Parts,
        body: &mut Incoming,
    ) -> Result<Answer> {
        let gates = entrance.gates();
        gates
            .enter((&self.app.options, &self.app.services), context, parts)
            .map_err(stopped)?;
        let operation = match router::find(&parts.method, self.below(entrance, parts.uri.path()))? {
            Found::Operation(operation) => operation,
            Found::Options(allow) => return Ok(options(allow)),
        };
        if entrance == Entrance::Listener {
            let site = Site {
                url: self.app.options.host.as_deref(),
                has_users: self.app.services.access.is_some(),
            };
            site.check(context, parts)?;
        }
        let query = Query::read(parts.uri.query().unwrap_or(""), operation.query);
        let asked = asked(operation, query.as_ref().ok());
        let identified = caller::identify(gates, &self.app, (context, parts), asked).await;
        let record = self.record(operation, context, parts);
        let (identified, record) = Record::unless_refused(identified, record)?;
        let query = query?;
        let (body, charge) = match operation.body {
            Some(_) => {
                let limit = (operation.body_limit, &self.app.services.budget.bodies);
                body::gather(context, &parts.headers, limit, body).await?
            }
            None => (Bytes::new(), None),
        };
        let wanted = Wanted {
            operation,
            query,
            headers: parts.headers.clone(),
            body,
            surface: Surface::Administration,
        };
        self.answer((context, parts), wanted, identified, record, charge)
            .await
    }

    /// Carries out an operation for a client that the page for browsers has recognised, with the rights of that client: the
    /// same checks, the same record and the same bounds as for a request to the API. `None`: clients do not log in.
    ///
    /// The page sees to it that the request does not come from a page of another site.
    pub(crate) async fn carry_out_for(
        &self,
        client: Option<Principal>,
        (context, parts): (&RequestContext, &Parts),
        errand: Errand<'_>,
    ) -> Result<Answer> {
        let operation = find(errand.id)?;
        if errand.body.len() > operation.body_limit {
            return Err(body::too_large(operation.body_limit));
        }
        let query = Query::read(errand.query, operation.query);
        let asked = asked(operation, query.as_ref().ok());
        let identified = caller::identify_as(client.as_ref(), GATES, &self.app, (context, parts), asked);
        let record = self.record(operation, context, parts);
        let (identified, record) = Record::unless_refused(identified, record)?;
        let mut headers = HeaderMap::new();
        if let Some(version) = errand.version {
            let quoted = HeaderValue::try_from(format!("\"{version}\"")).map_err(Problem::failed)?;
            headers.insert(header::IF_MATCH, quoted);
        }
        let wanted = Wanted {
            operation,
            query: query?,
            headers,
            body: errand.body,
            surface: Surface::Ui,
        };
        self.answer((context, parts), wanted, identified, record, None)
            .await
    }

    fn record(
        &self,
        operation: &'static Operation,
        context: &RequestContext,
        parts: &Parts,
    ) -> Option<Record> {
        Record::of(self.app.services.activity.as_ref(), operation, context, parts)
    }

    /// The answer to a caller with the right to what is wanted.
    async fn answer(
        &self,
        (context, parts): (&RequestContext, &Parts),
        Wanted {
            operation,
            query,
            headers,
            body,
            surface,
        }: Wanted,
        (caller, rights): (Caller, Rights),
        record: Option<Record>,
        charge: Option<Permit>,
    ) -> Result<Answer> {
        let base_url = location::base_for(&self.app.options, context, parts);
        let mut call = Call {
            shared: Arc::clone(&self.shared),
            caller,
            rights,
            registry: Arc::clone(&self.app.registry),
            origin: facts::origin(surface, context, parts, base_url),
            headers,
            query,
            body,
            _charge: charge.into_iter().collect(),
        };
        if !operation.is_write() {
            return (operation.handler)(call).await;
        }
        let work = &self.app.services.budget.work;
        call._charge.push(work.wait(1, ADMISSION).await?);
        self.change(parts, operation, call, record).await
    }

    /// Carries out a change to its end, whether or not its client waits for it, and only once for one key.
    async fn change(
        &self,
        parts: &Parts,
        operation: &'static Operation,
        call: Call,
        record: Option<Record>,
    ) -> Result<Answer> {
        let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
        if !operation.takes_key() {
            idempotency::refuse_key(&call.headers)?;
        }
        let facts = (parts.method.as_str(), target, &*call.body);
        let claim = match self.repetitions.claim(&call.caller.key(), &call.headers, facts)? {
            Known::Done(answer) => return Ok(answer),
            Known::New(claim) => Some(claim),
            Known::No => None,
        };
        let by = call.caller.to_string();
        let work = async move {
            let result = (operation.handler)(call).await;
            if let Some(record) = record {
                record.end(result.as_ref());
            }
            let answer = result?;
            // Neither queries nor bodies, which hold names and passwords.
            tracing::info!(operation = operation.id, by, "administration");
            if let Some(claim) = claim {
                claim.keep(&answer);
            }
            Ok(answer)
        };
        tokio::spawn(work.in_current_span())
            .await
            .map_err(Problem::failed)?
    }

    /// The path below the prefix of the server. At the control socket there is none.
    fn below<'a>(&self, entrance: Entrance, path: &'a str) -> &'a str {
        match entrance {
            Entrance::Listener => path
                .strip_prefix(self.app.options.prefix.as_str())
                .unwrap_or(path),
            Entrance::Socket => path,
        }
    }
}

impl Entrance {
    fn gates(self) -> Gates {
        match self {
            Self::Listener => GATES,
            Self::Socket => SOCKET_GATES,
        }
    }
}

/// The operation of this name.
fn find(id: &str) -> Result<&'static Operation> {
    let found = OPERATIONS.iter().find(|operation| operation.id == id);
    found.ok_or_else(|| Problem::failed(format_args!("the API has no operation `{id}`")))
}

/// What an operation asks of its caller.
fn asked<'a>(operation: &Operation, query: Option<&'a Query>) -> Asked<'a> {
    Asked {
        right: operation.right,
        changes_store: operation.changes_store(),
        query,
    }
}

/// The failure of a request that a gate stops before routing.
fn stopped(stop: Stop) -> Problem {
    match stop {
        Stop::NeedsTls => {
            let text = "this server speaks TLS; use `https://`";
            Problem::new(Kind::NeedsTls, text).and_close()
        }
        // Neither gate applies here.
        Stop::Preflight | Stop::Unhealthy => {
            Problem::failed("a gate stopped a request that it does not apply to")
        }
    }
}

/// The answer to `OPTIONS`.
fn options(allow: HeaderValue) -> Answer {
    Answer {
        status: StatusCode::NO_CONTENT,
        headers: HeaderMap::from_iter([(header::ALLOW, allow)]),
        body: Bytes::new(),
        deed: None,
    }
}

fn of_answer(answer: Answer) -> Response<Content> {
    let has_body = !answer.body.is_empty();
    let mut response = Response::new(if has_body {
        Content::Full(answer.body)
    } else {
        Content::Empty
    });
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    if has_body {
        response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    }
    never_stored(response)
}

fn of_problem(problem: Problem, context: &RequestContext) -> Response<Content> {
    let (status, headers, body) = problem.into_parts(context.id());
    // A struct of texts and numbers is always JSON.
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let mut response = Response::new(Content::Full(body.into()));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.headers_mut().insert(header::CONTENT_TYPE, PROBLEM_JSON);
    never_stored(response)
}

/// Answers may hold names and passwords: no cache keeps them.
fn never_stored(mut response: Response<Content>) -> Response<Content> {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Logs a request that failed because of this server; the others are those of the client, and it has been told.
fn log_failure(parts: &Parts, problem: &Problem) {
    let kind = problem.kind();
    if let Some(cause) = problem.cause() {
        tracing::error!(problem = ?kind, method = %parts.method, path = parts.uri.path(), cause, "administration failed");
    } else {
        tracing::debug!(problem = ?kind, method = %parts.method, path = parts.uri.path(), "administration refused");
    }
}
