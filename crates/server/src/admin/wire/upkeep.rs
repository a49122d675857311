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
    /// Bytes that it reads in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
    /// Seconds from the beginning of one round over all blobs to that of the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<u64>,
    /// The round that is under way, of this server or of another one of the same bucket; absent between two rounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<ScrubRound>,
}

/// A round of the scrub over all blobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScrubRound {
    /// When it began (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    pub began: String,
    /// Blobs that it has read.
    pub blobs: u64,
    /// Bytes of these blobs.
    pub bytes: u64,
    /// How many thousandths of the blobs it has read, about.
    pub done: u16,
}

/// The certificates of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Certificates {
    /// The certificates in force: that of the server first, then those that lead to an authority, then those that sign certificates of
    /// clients. Empty where this server ends no TLS.
    pub certificates: Vec<ShownCertificate>,
    /// Path of the file with the certificate of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Why the files are not used as they are now: the last good ones stay in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Reasons why clients would refuse the certificate of the server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShownCertificate {
    /// What it is for: `server`, `chain` (from that of the server to an authority) or `clients` (it signs those of clients).
    pub role: String,
    /// Name of its owner.
    pub subject: String,
    /// The names and addresses of hosts that it is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Name of the authority that signed it.
    pub issuer: String,
    /// When it begins to count (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    pub begins: String,
    /// When it ends (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    pub ends: String,
    /// The public key, such as `ECDSA P-256` or `RSA 4096`.
    pub key: String,
    /// Whether it is signed with its own key, so that clients must be told to trust it.
    pub self_signed: bool,
    /// SHA-256 of its bytes, in hexadecimal digits.
    pub fingerprint: String,
}

/// The certificate that clients must be told to trust.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Authority {
    /// The certificate as PEM: the last one of those that the server shows, if it is signed with its own key. Absent where there is none:
    /// then this server ends no TLS, or its certificate leads to an authority that it does not show, such as a public one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Name of its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// SHA-256 of its bytes, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

/// The configuration of a server as it counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerConfiguration {
    /// Path of its file; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Mistakes with which the server started anyway.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The effective values in the order of their sections, one for each key.
    pub settings: Vec<Setting>,
}

/// A value of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Setting {
    /// Dotted name of the key; elements of a list have their number.
    pub key: String,
    /// The value, or a description of a default that depends on other keys; of a secret, asterisks.
    pub value: String,
    /// Whether the value is a secret, which is not shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
    /// Where it comes from: `default`, `file` or `environment`.
    pub origin: String,
    /// The line of the file, or the variable, and whether the value has an effect.
    pub place: String,
}

/// The certificate that a server shows to its clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateState {
    /// When it ends (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    pub ends: String,
}
