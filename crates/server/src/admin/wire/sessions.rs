//! Browsers in which an account is signed in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The browsers in which an account is signed in, the one that was used last first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionList {
    /// The account.
    pub account: String,
    /// Its sessions.
    pub sessions: Vec<Session>,
}

/// A browser that is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// Identifier by which it is ended; it signs no browser in.
    pub id: String,
    /// When the browser has signed in.
    pub begun: String,
    /// When it was used last, as far as the server that answers knows: within an hour or so.
    pub used: String,
    /// When it ends if it is used no more.
    pub ends: String,
    /// `User-Agent` with which it has signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Address from which it has signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// Sessions that were ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndedSessions {
    /// Number of them.
    pub ended: usize,
}
