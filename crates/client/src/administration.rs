//! wharf's administration API, where the registry is a wharf: it tells in one request what takes many by the standard API.

use bytes::Bytes;
use http::header;

use crate::{Client, Error, Result, Target};

/// Bytes of an answer: a page of a list.
const ANSWER_LIMIT: usize = 16 << 20;

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
}
