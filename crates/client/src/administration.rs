//! wharf's administration API, where the registry is a wharf: it tells in one request what takes many by the standard API.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde::{Deserialize, Serialize};

use crate::{Client, Error, Result, Target, control::TYPES};

/// Bytes of an answer: a page of a list.
const ANSWER_LIMIT: usize = 16 << 20;
/// Problems of a wharf that does not let this client use its API, or is older than the operation.
const NOT_HERE: [&str; 5] = [
    "needs-tls",
    "foreign-host",
    "not-this-machine",
    "unknown-path",
    "method-not-allowed",
];

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What the administration API says to a request.
#[derive(Debug)]
pub enum Administered {
    /// The JSON of its answer.
    Answer(Bytes),
    /// A wharf refuses.
    Refused {
        /// The kind of failure: `deleting-disabled`.
        kind: String,
        /// What was wrong, and what to do.
        detail: String,
    },
    /// The registry is no wharf, is older than the operation, or does not answer from elsewhere than its own machine.
    Absent,
}

/// A failure as the API writes it.
#[derive(Deserialize)]
struct Problem {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    detail: String,
}

impl Client {
    /// Sends a request about `repository` to `path` of the administration API. `key` names the request: a wharf that has carried it out
    /// does not do so again, and gives the same answer.
    ///
    /// # Errors
    /// When the registry cannot be reached.
    pub async fn administer(
        &self,
        path: &str,
        repository: &str,
        body: &(impl Serialize + Sync),
        key: Option<&str>,
    ) -> Result<Administered> {
        let name = percent_encoding::utf8_percent_encode(repository, percent_encoding::NON_ALPHANUMERIC);
        let target = Target::new(
            format!("/api/v1{path}?repository={name}"),
            format!("repository:{repository}:pull,delete"),
            Some(repository.to_owned()),
        );
        let url = self.wire.url(&target.path)?;
        let mut headers =
            HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        if let Some(key) = key.and_then(|key| HeaderValue::try_from(key).ok()) {
            headers.insert(IDEMPOTENCY_KEY, key);
        }
        let body = serde_json::to_vec(body)
            .map_err(|error| Error::not_a_registry("the request", &error.to_string()))?;
        let answer = match self
            .change(&target, Method::POST, &url, headers, body.into())
            .await
        {
            // By the standard API, the registry says which right is missing there.
            Err(Error::Unauthorized { .. } | Error::MissingRight { .. }) => return Ok(Administered::Absent),
            answer => answer?,
        };
        let media_type = answer.header(&header::CONTENT_TYPE).unwrap_or_default();
        if answer.status.is_success() {
            return Ok(match media_type.starts_with("application/json") {
                true => Administered::Answer(answer.body),
                // Other servers answer any path with a page for browsers.
                false => Administered::Absent,
            });
        }
        let problem = serde_json::from_slice::<Problem>(&answer.body).ok();
        let problem = problem.and_then(|problem| {
            let kind = problem.kind.strip_prefix(TYPES)?.to_owned();
            Some((kind, problem.detail))
        });
        Ok(match problem {
            Some((kind, _)) if NOT_HERE.contains(&&*kind) => Administered::Absent,
            Some((kind, detail)) => Administered::Refused { kind, detail },
            None => Administered::Absent,
        })
    }

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
}
