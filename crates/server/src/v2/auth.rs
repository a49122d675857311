//! The rights that a request needs, and the answer to one that lacks them.

use http::{HeaderValue, Method, header, request::Parts};
use serde_json::{Value, json};
use wharf_access::{Access, Action, Challenged, Missing, Resource, Verb, token::Origin};
use wharf_http::{
    RequestContext,
    location::{authority, base},
};
use wharf_oci::{ApiError, ErrorCode, RepoName, Route, Tag, query_value};

use crate::{
    error::Failure,
    gates::{Demand, Refusal},
    refused::Remedy,
};

/// The repository from which a blob is mounted. An invalid name is refused later, or ignored.
pub(super) fn source_of_mount(request: &Parts, route: &Route) -> Option<RepoName> {
    match route {
        Route::Uploads(_) => query_value(request.uri.query().unwrap_or(""), "from")?
            .parse()
            .ok(),
        _ => None,
    }
}

/// The tag that a request names in its path.
pub(super) fn tag(route: &Route) -> Option<&str> {
    match route {
        Route::Manifest(_, reference) => reference.tag().map(Tag::as_str),
        _ => None,
    }
}

/// The right to read from a repository.
pub(super) fn pull(name: &RepoName) -> Action<'_> {
    Action {
        resource: Resource::Repository(name),
        verb: Verb::Pull,
    }
}

/// The rights that a request needs, without a heap allocation.
pub(super) struct Actions<'a> {
    list: [Action<'a>; 2],
    count: usize,
}

impl<'a> Actions<'a> {
    /// The rights as in registry:2: reading is pull, writing is pull and push, removing is delete.
    pub(super) fn of(route: &'a Route, method: &Method) -> Self {
        let catalog = Action {
            resource: Resource::Catalog,
            verb: Verb::All,
        };
        let (list, count) = match route {
            Route::Base => ([catalog; 2], 0),
            Route::Catalog => ([catalog; 2], 1),
            Route::Upload(name, _) if *method == Method::DELETE => on(name, &[Verb::Cancel]),
            Route::Tags(name)
            | Route::Manifest(name, _)
            | Route::Blob(name, _)
            | Route::Uploads(name)
            | Route::Upload(name, _)
            | Route::Referrers(name, _) => on(name, verbs(method)),
        };
        Self { list, count }
    }

    pub(super) fn as_slice(&self) -> &[Action<'a>] {
        &self.list[..self.count]
    }
}

/// Up to two verbs on one repository.
fn on<'a>(name: &'a RepoName, verbs: &[Verb]) -> ([Action<'a>; 2], usize) {
    let mut list = [pull(name); 2];
    for (action, &verb) in list.iter_mut().zip(verbs) {
        action.verb = verb;
    }
    (list, verbs.len().min(list.len()))
}

fn verbs(method: &Method) -> &'static [Verb] {
    match *method {
        Method::GET | Method::HEAD => &[Verb::Pull],
        Method::POST | Method::PUT | Method::PATCH => &[Verb::Pull, Verb::Push],
        Method::DELETE => &[Verb::Delete],
        _ => &[],
    }
}

/// The answer to a client that lacks a right which no other credentials of its account would give it.
///
/// Docker and containerd show the message; with 401 they would ask for credentials that are good already.
fn forbidden(account: Option<&str>, missing: &Missing<'_>) -> Failure {
    let action = Action {
        verb: missing.action.verb.right(),
        ..missing.action
    };
    let cause = match missing.rule {
        Some(origin) => format!("the rule at {origin} denies it"),
        None => "no rule allows it".to_owned(),
    };
    let text = format!("{}: {}", ErrorCode::Denied.message(), denied(account, missing));
    let error = ApiError::new(ErrorCode::Denied)
        .with_message(text)
        .with_detail(detail(std::slice::from_ref(&action)));
    Failure::from(error).caused_by(cause)
}

/// Which right `account` lacks, in a sentence.
pub(crate) fn denied(account: Option<&str>, missing: &Missing<'_>) -> String {
    let Missing { action, comment, .. } = missing;
    let mut text = format!(
        "`{}` has no right to {} {}",
        account.unwrap_or("this client").escape_debug(),
        right(action.verb.right()),
        action.name()
    );
    match comment {
        Some(comment) => text.extend([": ", comment]),
        None => text.push_str("; ask the operator of this registry for it"),
    }
    text
}

/// A verb as it stands in a sentence.
fn right(verb: Verb) -> &'static str {
    match verb {
        Verb::Pull => "pull from",
        Verb::Push | Verb::Cancel => "push to",
        Verb::Delete => "delete in",
        Verb::All => "administer",
    }
}

/// The answer to a request that a gate refuses. It never tells whether the name or the password was wrong.
pub(super) fn refused(
    context: &RequestContext,
    parts: &Parts,
    refusal: Refusal<'_>,
    demand: &Demand<'_>,
) -> Failure {
    let (access, challenged, why) = match refusal {
        Refusal::ReadOnly => return super::read_only(),
        Refusal::CrossSite => return cross_site(),
        Refusal::Forbidden(missing) => return forbidden(context.actor(), &missing),
        Refusal::Unauthenticated(access, challenged) => {
            (access, challenged, unproved(access, challenged).into())
        }
        Refusal::Unknown(access, reason) => match Remedy::of(&reason, scheme(access)) {
            Remedy::Authenticate(why) => (access, Challenged::Invalid, why),
            Remedy::Wait(seconds, text) => {
                return Failure::busy(seconds, ErrorCode::TooManyRequests, text);
            }
            Remedy::Nothing => {
                let text = "the credentials could not be checked; the registry's operator finds the reason in the log";
                return Failure::new(ErrorCode::Unknown, text);
            }
        },
    };
    let code = ErrorCode::Unauthorized;
    let needed: Vec<Action<'_>> = demand.actions.iter().copied().chain(demand.wish).collect();
    let error = ApiError::new(code)
        .with_message(format!("{}: {why}", code.message()))
        .with_detail(detail(&needed));
    let challenge = challenge(context, parts, access, (&needed, challenged));
    Failure::from(error).with_header(header::WWW_AUTHENTICATE, challenge)
}

/// The answer to a change that a browser sent for a page of another site.
fn cross_site() -> Failure {
    let text = "a browser sent this request for a page of another site, which may not change this registry for the user of the \
                browser; the operator of this registry can allow its origin with `http.cors`";
    Failure::new(ErrorCode::Denied, text)
}

/// The value of `WWW-Authenticate` for a client that needs the rights `needed`.
pub(crate) fn challenge(
    context: &RequestContext,
    parts: &Parts,
    access: &Access,
    (needed, challenged): (&[Action<'_>], Challenged),
) -> HeaderValue {
    let base = access.token_server().and_then(|_| base(context.peer(), parts));
    let origin = match base.as_deref().and_then(|base| base.split_once("://")) {
        Some((scheme, host)) => Some(Origin {
            forwarded_proto: Some(scheme),
            host,
        }),
        None => origin(context, parts),
    };
    let challenge = access.challenge(origin, needed, challenged);
    // The challenge is quoted, so that it is a valid header value.
    HeaderValue::from_bytes(challenge.as_bytes())
        .unwrap_or(HeaderValue::from_static("Basic realm=\"registry\""))
}

/// What a client can do that has shown nothing, or not enough.
fn unproved(access: &Access, challenged: Challenged) -> &'static str {
    match challenged {
        Challenged::InsufficientScope => {
            "the token does not allow this; fetch one with the scope of the challenge, or ask the operator of the token server for the right"
        }
        _ if access.takes_tokens() => {
            "log in first with `docker login`, or send `Authorization: Bearer` with a token from the realm of the challenge"
        }
        _ => "log in first: `docker login` for docker, `-u NAME` for curl; both ask for the password",
    }
}

/// The scheme that this registry takes, for a client that has used another one.
fn scheme(access: &Access) -> &'static str {
    match access.takes_tokens() {
        true => {
            "this registry takes a token (`Bearer`) from the realm of the challenge, not a user name and a password; `docker login` fetches one"
        }
        false => "this registry takes a user name and a password (`Basic`), not a token; use `docker login`",
    }
}

/// The address by which the client has reached this server, as far as `auth.token.autoredirect` needs it.
fn origin<'a>(context: &RequestContext, parts: &'a Parts) -> Option<Origin<'a>> {
    let forwarded_proto = parts.headers.get("x-forwarded-proto");
    Some(Origin {
        forwarded_proto: forwarded_proto
            .and_then(|value| value.to_str().ok())
            .filter(|_| context.peer().is_trusted),
        host: authority(parts)?,
    })
}

/// The rights that were missing, as registry:2 lists them.
fn detail(actions: &[Action<'_>]) -> Value {
    if actions.is_empty() {
        return Value::Null;
    }
    let detail = |action: &Action<'_>| json!({"Type": action.kind(), "Class": "", "Name": action.name(), "Action": action.verb.as_str()});
    actions.iter().map(detail).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed(path: &str, method: &Method) -> String {
        let route = Route::parse(path).unwrap();
        let actions = Actions::of(&route, method);
        let text =
            |action: &Action<'_>| format!("{}:{}:{}", action.kind(), action.name(), action.verb.as_str());
        actions.as_slice().iter().map(text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn rights_are_those_of_registry_2() {
        let blob = format!("/v2/a/blobs/sha256:{}", "0".repeat(64));
        assert_eq!(needed("/v2/", &Method::GET), "");
        assert_eq!(needed("/v2/", &Method::DELETE), "");
        assert_eq!(needed("/v2/_catalog", &Method::GET), "registry:catalog:*");
        assert_eq!(needed("/v2/a/tags/list", &Method::GET), "repository:a:pull");
        assert_eq!(needed(&blob, &Method::HEAD), "repository:a:pull");
        assert_eq!(needed(&blob, &Method::DELETE), "repository:a:delete");
        assert_eq!(
            needed("/v2/a/manifests/1", &Method::PUT),
            "repository:a:pull repository:a:push"
        );
        assert_eq!(needed("/v2/a/manifests/1", &Method::OPTIONS), "");
        let upload = format!("/v2/a/blobs/uploads/{}", "00000000-0000-4000-8000-000000000000");
        assert_eq!(needed(&upload, &Method::DELETE), "repository:a:delete");
        assert_eq!(
            needed("/v2/a/blobs/uploads/", &Method::POST),
            "repository:a:pull repository:a:push"
        );
    }
}
