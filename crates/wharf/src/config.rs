//! The configuration: [`mod@load`] finds and reads it, [`Settings`] are the result. Each section of it has a module
//! with its keys, which are read through a [`section`].

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
    /// Path of the file that the settings were read from.
    pub(crate) source: Option<PathBuf>,
    /// Mistakes with which the server starts anyway.
    pub(crate) warnings: Vec<String>,
    /// Details of how the configuration was read.
    pub(crate) notes: Vec<String>,
    pub(crate) log: Log,
    /// The debug listener; `None`: there is none.
    pub(crate) debug: Option<Debug>,
    pub(crate) health: Health,
    /// Settings of traces; `None`: requests are not traced.
    pub(crate) traces: Option<TraceSettings>,
    pub(crate) storage: Engine,
    pub(crate) locking: Locking,
    /// Address to listen on, unless systemd passes a socket.
    pub(crate) listen: Listen,
    /// Options of TLS; `None`: connections are not encrypted.
    pub(crate) tls: Option<TlsOptions>,
    /// Whether deletion is enabled in the registry.
    pub(crate) deletion: DeletePolicy,
    /// Removal of unfinished uploads; `None`: they are never removed.
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
    /// If users log in, or only this machine can connect (decision D1).
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
    /// Path of a unix socket.
    Unix(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Engine {
    Filesystem { root: PathBuf },
    InMemory,
}

/// Exclusive use of the directory of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Locking {
    /// Whether the directory is locked.
    pub(crate) is_on: bool,
    /// How long a start waits for a process that has the lock.
    pub(crate) wait: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) level: tracing::Level,
    pub(crate) format: LogFormat,
    /// Whether each log line names the source code line that wrote it.
    pub(crate) with_caller: bool,
    /// Names and values of the fields that every line has.
    pub(crate) fields: Vec<(String, String)>,
    /// Format of the access log; `None`: there is no access log.
    pub(crate) access_log: Option<AccessLogFormat>,
}

/// The debug listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Debug {
    /// `host:port` or `:port`.
    pub(crate) address: String,
    /// Path of the metrics page; `None`: nothing is counted.
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

/// Removal of unfinished uploads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Purge {
    /// Time since the last byte of an upload after which it is removed.
    pub(crate) age: Duration,
    /// Time between two searches.
    pub(crate) interval: Duration,
    /// Whether uploads that would be removed are only logged.
    pub(crate) is_dry: bool,
}
