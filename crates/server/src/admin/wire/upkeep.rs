//! The JSON of what a server takes care of by itself, or would have taken care of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the scrub has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScrubState {
    /// Blobs that this server has read since its start.
    pub blobs: u64,
    /// Bytes of these blobs.
    pub bytes: u64,
    /// Blobs that are known to be damaged now.
    pub damaged: u64,
    /// When the last round over all blobs ended (RFC 3339), of this server or of another one of the same bucket; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub ended: Option<String>,
}

/// The certificate that a server shows to its clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateState {
    /// When it ends (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    pub ends: String,
}
