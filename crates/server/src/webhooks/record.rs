//! The record of an event in the queues; the form that an endpoint gets is made of it when it is sent.

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use wharf_oci::Descriptor;

use super::Action;

/// The largest record that lists what a manifest refers to, in bytes. Above, the list is left out.
const REFERENCES_LIMIT: usize = 1 << 20;

/// The record of one event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: String,
    /// Time of the event (RFC 3339).
    pub(super) timestamp: String,
    pub(super) action: Action,
    pub(super) subject: Subject,
    pub(super) target: Target,
    pub(super) request: Request,
    /// Name of the account that asked; empty for anonymous requests.
    pub(super) actor: String,
    pub(super) source: Source,
}

/// Kind of content that an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Subject {
    Manifest,
    Blob,
    Tag,
}

/// The content that an event is about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Target {
    pub(super) media_type: Option<String>,
    pub(super) digest: Option<String>,
    /// Size in bytes.
    pub(super) size: u64,
    pub(super) repository: String,
    pub(super) from_repository: Option<String>,
    pub(super) url: Option<String>,
    pub(super) tag: Option<String>,
    pub(super) references: Vec<Descriptor>,
}

/// The request that caused an event; empty where there was none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) id: String,
    pub(super) addr: String,
    pub(super) host: String,
    pub(super) method: String,
    pub(super) user_agent: String,
}

/// The process that reports events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Source {
    pub(super) addr: String,
    pub(super) instance_id: String,
}

impl Source {
    pub(super) fn new(addr: String) -> Self {
        Self {
            addr,
            instance_id: Uuid::new_v4().to_string(),
        }
    }
}

impl Record {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Writing plain texts and numbers to memory cannot fail.
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        if bytes.len() <= REFERENCES_LIMIT || self.target.references.is_empty() {
            return bytes;
        }
        let mut shorter = self.clone();
        shorter.target.references.clear();
        shorter.to_bytes()
    }

    /// The record in `bytes`; `None` when a version of an unknown format wrote them.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}
