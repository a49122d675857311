//! wharf's administration API, where the registry is a wharf: it tells in one request what takes many by the standard API, and does
//! what the standard API cannot.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{
    Client, Error, Result, Target,
    patience::{Fault, Patience, retry_after},
    problem::Problem,
    text::printable,
    wire::Answer,
};

/// Bytes of an answer: a page of a list.
const ANSWER_LIMIT: usize = 16 << 20;

/// By this a wharf notices that a change is sent again.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Why a registry did not do what its administration API was asked for.
#[derive(Debug, thiserror::Error)]
pub enum AdministrationError {
    /// The registry refuses, in the words of its answer.
    #[error("`{host}` refuses: {}", printable(detail))]
    Refused {
        /// Host and port of the registry.
        host: String,
        /// The kind of failure: `unknown-image`.
        kind: String,
        /// What was wrong, and what to do.
        detail: String,
    },
    /// The registry does not know the operation.
    #[error(
        "`{host}` is a wharf that does not know `{operation}`: it runs another version than this command"
    )]
    OtherVersion {
        /// Host and port of the registry.
        host: String,
        /// Method and path that the registry does not know.
        operation: String,
    },
    /// The registry has no such API.
    #[error("`{host}` is no wharf: only a wharf has an administration API, which this needs")]
    NotWharf {
        /// Host and port of the registry.
        host: String,
    },
    /// The registry cannot be asked.
    #[error(transparent)]
    Registry(#[from] Error),
}

/// Refusals of a wharf that does not let this client use its API at all, though it may use the standard one: without users, it answers
/// there on its own machine alone.
const NOT_FROM_HERE: [&str; 3] = ["needs-tls", "foreign-host", "not-this-machine"];

impl AdministrationError {
    /// Whether the registry has no such API for this client, so that the standard API is what is left: there the registry says which
    /// right is missing.
    pub fn leaves_standard_api(&self) -> bool {
        match self {
            Self::Refused { kind, .. } => NOT_FROM_HERE.contains(&&**kind),
            Self::OtherVersion { .. } | Self::NotWharf { .. } => true,
            Self::Registry(error) => matches!(error, Error::Unauthorized { .. } | Error::MissingRight { .. }),
        }
    }

    /// Whether the registry refuses with a problem of this kind.
    pub fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { kind, .. } if kind == wanted)
    }
}

impl Client {
    /// The JSON at `path` of the administration API, such as `/tags?repository=app`. `None`: the registry is no wharf, is older than the
    /// operation, or does not answer this user there; the standard API has the reason then, or an answer with less in it.
    ///
    /// # Errors
    /// When the registry cannot be reached, or its answer has more than 16 MiB.
    pub async fn administration(&self, path: &str) -> Result<Option<Bytes>> {
        let target = Target::new(format!("/api/v1{path}"), String::new(), None);
        let answer = match self.get(&target, &target.path, ANSWER_LIMIT).await {
            Err(Error::Refused { .. } | Error::Unauthorized { .. } | Error::MissingRight { .. }) => {
                return Ok(None);
            }
            answer => answer?,
        };
        // Other servers answer any path with a page for browsers.
        let is_json = answer
            .header(&header::CONTENT_TYPE)
            .is_some_and(|media_type| media_type.starts_with("application/json"));
        Ok(is_json.then_some(answer.body))
    }

    /// Sends a request for `path` of the administration API, with the parameters of `query`, and reads the answer. A change that is sent
    /// again, because no answer came, is not made twice.
    ///
    /// # Errors
    /// The refusal of the registry, or the reason why there is no answer of it.
    pub async fn administer<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&(impl Serialize + Sync)>,
    ) -> std::result::Result<T, AdministrationError> {
        let operation = format!("{method} {path}");
        let repository = query.iter().find(|(name, _)| *name == "repository");
        let scope = repository.map(|(_, name)| format!("repository:{name}:pull,push,delete"));
        let target = Target::new(
            located(path, query),
            scope.unwrap_or_default(),
            repository.map(|(_, name)| (*name).to_owned()),
        );
        let url = self.wire.url(&target.path)?;
        let mut headers = HeaderMap::new();
        if method != Method::GET
            && let Ok(key) = HeaderValue::try_from(Uuid::new_v4().to_string())
        {
            headers.insert(IDEMPOTENCY_KEY, key);
        }
        let body = match body {
            Some(body) => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                let bytes = serde_json::to_vec(body);
                Bytes::from(bytes.map_err(|error| Error::not_a_registry(path, &error.to_string()))?)
            }
            None => Bytes::new(),
        };
        let answer = self
            .ask_patiently(&target, &method, &url, &headers, &body)
            .await?;
        let host = self.host.clone();
        if answer.status.is_success() {
            // Other servers answer any path with a page for browsers.
            return serde_json::from_slice(&answer.body).map_err(|_| AdministrationError::NotWharf { host });
        }
        Err(match Problem::read(&answer.body) {
            // An overloaded wharf, or the proxy before one, says nothing about what is there.
            None if is_passing(answer.status) => answer.successful(&target.path).err().map_or_else(
                || AdministrationError::NotWharf { host },
                AdministrationError::Registry,
            ),
            None => AdministrationError::NotWharf { host },
            Some(problem) if problem.is_unknown_operation() => {
                AdministrationError::OtherVersion { host, operation }
            }
            Some(problem) => AdministrationError::Refused {
                host,
                kind: problem.kind().to_owned(),
                detail: problem.detail,
            },
        })
    }
}

impl Client {
    /// Sends a request again while that may help, and gives the last answer.
    async fn ask_patiently(
        &self,
        target: &Target,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Answer> {
        let mut patience = Patience::default();
        loop {
            let outcome = self.change_once(target, method, url, headers, body).await;
            let fault = match &outcome {
                Ok(answer) if is_under_way(answer) => Some(Fault::Busy {
                    status: answer.status,
                    after: retry_after(&answer.headers),
                }),
                Ok(answer) => Fault::of(answer.status, &answer.headers),
                Err(Error::Unreachable { .. } | Error::TimedOut { .. } | Error::Interrupted { .. }) => {
                    Some(Fault::Broken)
                }
                Err(_) => None,
            };
            if !self.wire.pause(&mut patience, fault).await {
                return outcome;
            }
        }
    }
}

/// Whether the wharf still carries out the same request, of which the answer was lost: the next answer is its outcome.
fn is_under_way(answer: &Answer) -> bool {
    Problem::read(&answer.body).is_some_and(|problem| problem.kind() == "key-in-use")
}

/// Whether another answer may come later. A registry that has no such operation may also say so with 501.
fn is_passing(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS
        || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
}

/// The path of an operation, with the parameters of `query`.
fn located(path: &str, query: &[(&str, &str)]) -> String {
    let mut text = format!("/api/v1{path}");
    for (place, (name, value)) in query.iter().enumerate() {
        text.push(if place == 0 { '?' } else { '&' });
        text.extend([*name, "="]);
        text.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_encoded() {
        let path = located("/tags/history", &[("repository", "a/b"), ("tag", "1 0")]);
        assert_eq!(path, "/api/v1/tags/history?repository=a%2Fb&tag=1%200");
        assert_eq!(located("/server", &[]), "/api/v1/server");
    }
}
