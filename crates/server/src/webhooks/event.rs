//! What happened, as it lies in the queues; the forms that endpoints get are made of it when it is sent.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use wharf_oci::Descriptor;

use super::Action;

/// The largest record that lists what a manifest refers to, in bytes. Above, the list is left out.
const REFERENCES_LIMIT: usize = 1 << 20;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) id: String,
    /// RFC 3339.
    pub(crate) timestamp: String,
    pub(crate) action: Action,
    pub(crate) subject: Subject,
    pub(crate) target: Target,
    pub(crate) request: Request,
    /// Who asked; empty for nobody in particular.
    pub(crate) actor: String,
    pub(crate) source: Source,
}

/// What kind of thing it happened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Subject {
    Manifest,
    Blob,
    Tag,
}

/// What it happened to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Target {
    pub(crate) media_type: Option<String>,
    pub(crate) digest: Option<String>,
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) repository: String,
    pub(crate) from_repository: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) tag: Option<String>,
    pub(crate) references: Vec<Descriptor>,
}

/// The request that did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) id: String,
    pub(crate) addr: String,
    pub(crate) host: String,
    pub(crate) method: String,
    pub(crate) user_agent: String,
}

/// The process that it happened in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Source {
    pub(crate) addr: String,
    pub(crate) instance_id: String,
}

impl Source {
    pub(super) fn new(addr: String) -> Self {
        Self {
            addr,
            instance_id: Uuid::new_v4().to_string(),
        }
    }
}

impl Event {
    /// Something that happened just now.
    pub(crate) fn now(
        action: Action,
        subject: Subject,
        target: Target,
        (request, actor, source): (&Request, &str, &Source),
    ) -> Self {
        Self {
            id: Uuid::new_v4().to_string(),
            timestamp: Timestamp::now().to_string(),
            action,
            subject,
            target,
            request: request.clone(),
            actor: actor.to_owned(),
            source: source.clone(),
        }
    }

    pub(super) fn to_record(&self) -> Vec<u8> {
        // Writing plain texts and numbers to memory cannot fail.
        let record = serde_json::to_vec(self).unwrap_or_default();
        if record.len() <= REFERENCES_LIMIT || self.target.references.is_empty() {
            return record;
        }
        let mut shorter = self.clone();
        shorter.target.references.clear();
        shorter.to_record()
    }

    /// `None`: written by a version that we do not know.
    pub(super) fn from_record(record: &[u8]) -> Option<Self> {
        serde_json::from_slice(record).ok()
    }
}
