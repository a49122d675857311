//! The configuration: [`mod@load`] finds and reads it, [`Settings`] are what it means. Each section of it has a module
//! with its keys, which a [`section`] reads.

mod auth;
mod check;
mod compat;
mod debug;
mod documentation;
mod environment;
#[cfg(test)]
mod every_key;
mod headers;
mod health;
mod http;
mod keys;
mod kind;
mod load;
mod log;
mod notifications;
mod paging;
mod report;
mod section;
mod show;
mod storage;
mod table;
mod tree;
mod unsupported;
mod validation;
mod yaml;

pub(crate) use documentation::documentation;
pub(crate) use load::{load, parse};
pub(crate) use show::examine;

use std::{path::PathBuf, time::Duration};

use wharf_http::{AccessLogFormat, TlsOptions, TraceSettings};
use wharf_server::{Check, ServerOptions, Target, WebhookOptions};

/// Everything that an operator can choose, checked: data only, and complete.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// The file that they were read from.
    pub(crate) source: Option<PathBuf>,
    /// Mistakes with which the server starts anyway.
    pub(crate) warnings: Vec<String>,
    /// Details of how the configuration was read.
    pub(crate) notes: Vec<String>,
    pub(crate) log: Log,
    /// The debug listener; `None`: there is none.
    pub(crate) debug: Option<Debug>,
    pub(crate) health: Health,
    /// How requests are traced; `None`: they are not.
    pub(crate) traces: Option<TraceSettings>,
    pub(crate) storage: Storage,
    /// Where to listen, unless systemd hands a socket over.
    pub(crate) listen: Listen,
    /// The files of TLS; `None`: connections are not encrypted.
    pub(crate) tls: Option<TlsOptions>,
    /// Decides about `delete_enabled` of the registry.
    pub(crate) deletion: DeletePolicy,
    /// When unfinished uploads are removed; `None`: never.
    pub(crate) purge: Option<Purge>,
    pub(crate) registry: wharf_registry::Options,
    /// The password file; `None`: every client may do everything.
    pub(crate) auth: Option<Htpasswd>,
    pub(crate) webhooks: WebhookOptions,
    pub(crate) server: ServerOptions,
}

/// Whether clients may delete manifests, tags and blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeletePolicy {
    Always,
    Never,
    /// Where users log in, and where only this machine can connect (decision D1).
    WhenUsersOrLoopback,
}

impl DeletePolicy {
    /// Whether deletion is on for a server with these properties.
    pub(crate) fn is_enabled(self, has_users: bool, is_loopback: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::WhenUsersOrLoopback => has_users || is_loopback,
        }
    }
}

/// A password file. Every user in it may do everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Htpasswd {
    pub(crate) realm: String,
    pub(crate) path: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listen {
    /// `host:port` or `:port`.
    Tcp(String),
    /// The path of a socket.
    Unix(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Storage {
    Filesystem { root: PathBuf },
    InMemory,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) level: tracing::Level,
    pub(crate) format: LogFormat,
    /// Whether each line names the line of the source code that it comes from.
    pub(crate) with_caller: bool,
    /// Names and values that every line has.
    pub(crate) fields: Vec<(String, String)>,
    /// The form of the access log; `None`: there is none.
    pub(crate) access_log: Option<AccessLogFormat>,
}

/// The debug listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Debug {
    /// `host:port` or `:port`.
    pub(crate) address: String,
    /// The path of the metrics; `None`: nothing is counted.
    pub(crate) metrics_path: Option<String>,
}

/// The checks that tell whether the server is healthy.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Health {
    /// The check of the store; `None`: it is not checked.
    pub(crate) storage: Option<StorageCheck>,
    /// Checks of files, URLs and addresses.
    pub(crate) checks: Vec<Check<Target>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StorageCheck {
    pub(crate) interval: Duration,
    pub(crate) threshold: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
    Logstash,
}

/// When unfinished uploads are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Purge {
    /// Time since their last byte.
    pub(crate) age: Duration,
    /// Time between two searches.
    pub(crate) interval: Duration,
    /// Only log which would be removed.
    pub(crate) is_dry: bool,
}
