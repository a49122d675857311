//! What the configuration means. How it is said is [`raw`]'s business, where it is found [`mod@load`]'s; each section
//! of it has a module that reads it.

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
mod later;
mod load;
mod log;
mod notifications;
mod paging;
mod proxy;
mod raw;
mod show;
mod storage;
mod tree;
mod validation;
mod yaml;

pub(crate) use documentation::table;
pub(crate) use load::{load, parse};
pub(crate) use show::examine;

use std::{path::PathBuf, time::Duration};

use wharf_server::{AccessLogFormat, Check, ServerOptions, TlsOptions, TraceSettings, WebhookOptions};

/// Everything that an operator can choose, checked.
#[derive(Debug)]
pub(crate) struct Config {
    /// The file that it was read from.
    pub(crate) source: Option<PathBuf>,
    /// What to tell the operator; the server starts anyway.
    pub(crate) warnings: Vec<String>,
    /// What to tell those who look closely.
    pub(crate) notes: Vec<String>,
    pub(crate) log: Log,
    /// `None`: there is no second port.
    pub(crate) debug: Option<Debug>,
    pub(crate) health: Health,
    /// `None`: requests are not traced.
    pub(crate) traces: Option<TraceSettings>,
    pub(crate) storage: Storage,
    /// Where to listen, unless a socket is handed over.
    pub(crate) listen: Listen,
    /// The files in here are not yet read.
    pub(crate) tls: Option<TlsOptions>,
    /// `None`: on for a loopback address, and where users log in (decision D1).
    pub(crate) delete_enabled: Option<bool>,
    pub(crate) purge: Option<Purge>,
    /// `delete_enabled` in here is not yet decided.
    pub(crate) registry: wharf_registry::Options,
    /// Who is let in. `None`: everybody.
    pub(crate) auth: Option<Htpasswd>,
    /// Where events come from is not yet known in here.
    pub(crate) webhooks: WebhookOptions,
    /// The access log, TLS, who is let in and who is told are not yet in here.
    pub(crate) server: ServerOptions,
}

/// A password file. Whoever is in it may do everything.
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

#[derive(Debug, Clone)]
pub(crate) struct Log {
    pub(crate) level: tracing::Level,
    pub(crate) format: LogFormat,
    /// Each line names the line of the program that it comes from.
    pub(crate) with_caller: bool,
    /// What every line has.
    pub(crate) fields: Vec<(String, String)>,
    /// `None`: there is none.
    pub(crate) access_log: Option<AccessLogFormat>,
}

/// The second port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Debug {
    /// `host:port` or `:port`.
    pub(crate) address: String,
    /// `None`: nothing is counted.
    pub(crate) metrics_path: Option<String>,
}

/// What tells whether the server is well.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// `None`: the store is not looked at.
    pub(crate) storage: Option<StorageCheck>,
    pub(crate) checks: Vec<Check>,
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

/// When unfinished uploads are forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Purge {
    /// Since the last byte.
    pub(crate) age: Duration,
    /// Between two looks.
    pub(crate) interval: Duration,
    /// Only say which.
    pub(crate) is_dry: bool,
}
