//! Failures as the administration API of wharf writes them (RFC 9457).

use serde::Deserialize;

/// What the types of problems begin with.
const TYPES: &str = "urn:wharf:problem:";

/// A failure as the API writes it.
#[derive(Debug, Deserialize)]
pub(crate) struct Problem {
    #[serde(rename = "type")]
    kind: String,
    /// What was wrong, and what to do.
    pub(crate) detail: String,
}

impl Problem {
    /// The failure that `body` tells of; `None`: it is none of this API.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let problem: Self = serde_json::from_slice(body).ok()?;
        problem.kind.starts_with(TYPES).then_some(problem)
    }

    /// The kind of failure: `unknown-user`.
    pub(crate) fn kind(&self) -> &str {
        self.kind.strip_prefix(TYPES).unwrap_or_default()
    }

    /// Whether the server has no such operation.
    pub(crate) fn is_unknown_operation(&self) -> bool {
        matches!(self.kind(), "unknown-path" | "method-not-allowed")
    }
}
