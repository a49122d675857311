//! The rights that a request needs, and the answer to one that lacks them.

use http::{HeaderValue, Method, header, request::Parts};
use serde_json::{Value, json};
use wharf_access::{Access, Action, Reason, Resource, Verb};
use wharf_oci::{ApiError, ErrorCode, RepoName, Route, query_value};

use crate::error::Failure;

/// The repository from which a blob is mounted. An invalid name is refused later, or ignored.
pub(super) fn source_of_mount(request: &Parts, route: &Route) -> Option<RepoName> {
    match route {
        Route::Uploads(_) => query_value(request.uri.query().unwrap_or(""), "from")?
            .parse()
            .ok(),
        _ => None,
    }
}

/// The rights that a request needs, without a heap allocation.
pub(super) struct Actions<'a> {
    list: [Action<'a>; 3],
    count: usize,
}

impl<'a> Actions<'a> {
    /// The rights as in registry:2: reading is pull, writing is pull and push, removing is delete. Cancelling an
    /// upload is a removal there, so it is here.
    pub(super) fn of(route: &'a Route, method: &Method, source: Option<&'a RepoName>) -> Self {
        let catalog = Action {
            resource: Resource::Catalog,
            verb: Verb::All,
        };
        let mut actions = Self {
            list: [catalog; 3],
            count: 0,
        };
        match route {
            Route::Base => {}
            Route::Catalog => actions.add(catalog),
            Route::Tags(name)
            | Route::Manifest(name, _)
            | Route::Blob(name, _)
            | Route::Uploads(name)
            | Route::Upload(name, _)
            | Route::Referrers(name, _) => {
                for &verb in verbs(method) {
                    actions.add(Action {
                        resource: Resource::Repository(name),
                        verb,
                    });
                }
            }
        }
        if let Some(source) = source {
            actions.add(Action {
                resource: Resource::Repository(source),
                verb: Verb::Pull,
            });
        }
        actions
    }

    fn add(&mut self, action: Action<'a>) {
        // One repository with two verbs, and one to mount from: there are never more than three.
        if let Some(slot) = self.list.get_mut(self.count) {
            *slot = action;
            self.count += 1;
        }
    }

    pub(super) fn as_slice(&self) -> &[Action<'a>] {
        &self.list[..self.count]
    }
}

fn verbs(method: &Method) -> &'static [Verb] {
    match *method {
        Method::GET | Method::HEAD => &[Verb::Pull],
        Method::POST | Method::PUT | Method::PATCH => &[Verb::Pull, Verb::Push],
        Method::DELETE => &[Verb::Delete],
        _ => &[],
    }
}

/// The answer to a request that was denied. It never tells whether the name or the password was wrong.
pub(super) fn refusal(access: &Access, reason: Reason, actions: &[Action<'_>]) -> Failure {
    let why = match reason {
        Reason::NoCredentials => {
            "log in first: `docker login` for docker, `-u NAME` for curl; both ask for the password"
        }
        Reason::WrongCredentials => "the user name or password is wrong",
        Reason::WrongScheme => {
            "this registry takes a user name and a password (`Basic`), not a token; use `docker login`"
        }
        Reason::Malformed(what) => what,
        Reason::Busy => {
            let text = "too many passwords are being checked; the same request will succeed in a moment";
            return Failure::busy(ErrorCode::TooManyRequests, text);
        }
        Reason::Failed => {
            let text =
                "the password could not be checked; the registry's operator finds the reason in the log";
            return Failure::new(ErrorCode::Unknown, text);
        }
    };
    let code = ErrorCode::Unauthorized;
    let error = ApiError::new(code)
        .with_message(format!("{}: {why}", code.message()))
        .with_detail(detail(actions));
    // The challenge is quoted, so that it is a valid header value.
    let challenge = HeaderValue::from_bytes(access.challenge().as_bytes());
    let challenge = challenge.unwrap_or(HeaderValue::from_static("Basic realm=\"registry\""));
    Failure::from(error).with_header(header::WWW_AUTHENTICATE, challenge)
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

    fn needed(path: &str, method: &Method, source: Option<&str>) -> String {
        let route = Route::parse(path).unwrap();
        let source = source.map(|name| name.parse().unwrap());
        let actions = Actions::of(&route, method, source.as_ref());
        let text =
            |action: &Action<'_>| format!("{}:{}:{}", action.kind(), action.name(), action.verb.as_str());
        actions.as_slice().iter().map(text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn rights_are_those_of_registry_2() {
        let blob = format!("/v2/a/blobs/sha256:{}", "0".repeat(64));
        assert_eq!(needed("/v2/", &Method::GET, None), "");
        assert_eq!(needed("/v2/", &Method::DELETE, None), "");
        assert_eq!(needed("/v2/_catalog", &Method::GET, None), "registry:catalog:*");
        assert_eq!(needed("/v2/a/tags/list", &Method::GET, None), "repository:a:pull");
        assert_eq!(needed(&blob, &Method::HEAD, None), "repository:a:pull");
        assert_eq!(needed(&blob, &Method::DELETE, None), "repository:a:delete");
        assert_eq!(
            needed("/v2/a/manifests/1", &Method::PUT, None),
            "repository:a:pull repository:a:push"
        );
        assert_eq!(needed("/v2/a/manifests/1", &Method::OPTIONS, None), "");
        assert_eq!(
            needed("/v2/a/blobs/uploads/", &Method::POST, Some("b/c")),
            "repository:a:pull repository:a:push repository:b/c:pull"
        );
    }
}
