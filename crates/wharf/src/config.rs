//! The configuration: [`mod@load`] finds and reads it, [`Settings`] are the result. Each section of it has a module
//! with its keys, which are read through a [`section`].

mod access;
mod activity;
mod admin;
mod auth;
mod beside;
mod check;
mod cloud;
mod collect;
mod compat;
mod debug;
mod documentation;
mod environment;
#[cfg(test)]
mod every_key;
mod file;
mod headers;
mod health;
mod history;
mod http;
mod keys;
mod kind;
mod limits;
mod lines;
mod load;
mod log;
mod middleware;
#[cfg(test)]
mod mirror_cases;
mod mirrors;
mod notifications;
mod paging;
mod proxy;
mod proxyheader;
mod report;
mod retention;
mod scrub;
mod section;
mod show;
mod size;
mod storage;
mod table;
mod tokens;
mod trash;
mod ui;
mod unsupported;
mod upstream;
mod validation;

pub(crate) use beside::{Directory, directory_of};
pub(crate) use cloud::{AzureIdentity, Cloud, CloudBucket, GcsKey};
pub(crate) use documentation::documentation;
pub(crate) use file::usual_place;
pub(crate) use lines::{Origin, ShownSetting};
pub(crate) use load::{load, parse};
pub(crate) use middleware::Middleware;
pub(crate) use retention::percent;
pub(crate) use show::{Examined, examine};
pub(crate) use size::bytes;

use std::{fmt, path::PathBuf, time::Duration};

use wharf_access::{ProxyHeader, rules::Configured, token};
use wharf_http::{AccessLogExclusions, AccessLogFormat, SocketOwner, TlsOptions, TraceSettings};
use wharf_mirror::MirrorOptions;
use wharf_registry::retention::Policy;
use wharf_server::{Check, ServerOptions, Target, WebhookOptions, admin::RetentionSchedule};
use wharf_storage::object::{
    ObjectOptions,
    s3::{AccessKey, S3Settings},
};

/// Everything that an operator can choose, checked: data only, and complete.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// The file that the settings were read from; `None`: there is none.
    pub(crate) source: Option<Source>,
    /// Mistakes with which the server starts anyway.
    pub(crate) warnings: Vec<String>,
    /// Details of how the configuration was read.
    pub(crate) notes: Vec<String>,
    /// The effective values, as operators read them.
    pub(crate) shown: Vec<ShownSetting>,
    pub(crate) log: Log,
    /// The debug listener; `None`: there is none.
    pub(crate) debug: Option<Debug>,
    pub(crate) health: Health,
    /// Settings of traces; `None`: requests are not traced.
    pub(crate) traces: Option<TraceSettings>,
    pub(crate) storage: Engine,
    /// Servers in front of the store, from which clients read blobs.
    pub(crate) middleware: Vec<Middleware>,
    /// The parts of the registry whose content comes from other registries; one alone if that is the whole registry. Their
    /// upstreams do not know this server's name for `Via` yet.
    pub(crate) mirrors: Vec<MirrorOptions>,
    /// What all clients together may use.
    pub(crate) limits: Limits,
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
    /// Authentication of clients; `None`: every client may do everything.
    pub(crate) auth: Option<Auth>,
    /// What accounts, and clients without one, may do.
    pub(crate) access: Access,
    /// The token server of this registry; `None`: it is none.
    pub(crate) tokens: Option<wharf_access::issuer::Options>,
    pub(crate) admin: Admin,
    pub(crate) webhooks: WebhookOptions,
    /// The activity log; `None`: there is none, and pulls are not counted.
    pub(crate) activity: Option<ActivityLog>,
    pub(crate) collect: Collect,
    pub(crate) retention: Retention,
    /// How all blobs are read again and again; `None`: they are not.
    pub(crate) scrub: Option<wharf_registry::ScrubOptions>,
    /// What the page for browsers needs beside the options of the server.
    pub(crate) ui: Ui,
    pub(crate) server: ServerOptions,
}

/// The page for browsers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ui {
    /// Path of the image beside the name of the registry.
    pub(crate) logo: Option<PathBuf>,
    /// How long browsers stay signed in.
    pub(crate) lifetimes: wharf_access::sessions::Lifetimes,
}

/// The collection of garbage beside requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Collect {
    /// Whether it runs by itself
    pub(crate) is_scheduled: bool,
    pub(crate) interval: Duration,
    pub(crate) grace: Duration,
    /// Whether manifests without a tag are deleted before each collection
    pub(crate) untagged: bool,
    pub(crate) ignores_foreign_writers: bool,
}

/// What stays in the repositories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Retention {
    pub(crate) policy: Policy,
    /// When the rules are applied; `None`: there are none.
    pub(crate) schedule: Option<RetentionSchedule>,
}

/// The bounds of the activity log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ActivityLog {
    /// Bytes of the whole log
    pub(crate) size: u64,
    pub(crate) age: Duration,
}

/// A configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    /// Path of the file.
    pub(crate) path: PathBuf,
    /// The way in which it was found.
    pub(crate) found: Found,
}

/// The way in which a configuration file was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// The command line names it.
    Argument,
    /// `REGISTRY_CONFIGURATION_PATH` names it.
    Variable,
    /// It is at a path of registry:2 or registry:3, and no other file was named.
    Place,
}

impl Source {
    /// The error of a start that failed for `reason`: it names the file that led to it, and what starts without it.
    pub(crate) fn blame(&self, reason: &str) -> String {
        format!("cannot start with {self}: {reason}{}", self.hint())
    }

    /// The remedy when the file was not meant, on a line of its own.
    pub(crate) fn hint(&self) -> &'static str {
        match self.found {
            Found::Argument => "",
            Found::Variable => {
                "\nhint: `wharf serve FILE` reads another configuration, and `wharf serve /dev/null` starts without one"
            }
            Found::Place => {
                "\nhint: that file was read because no other was named (registry:2 reads it too, and its Debian package installs \
                 it); `wharf serve FILE` reads another configuration, and `wharf serve /dev/null` starts without one"
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration `{}`", self.path.display())?;
        f.write_str(match self.found {
            Found::Argument => "",
            Found::Variable => ", which `$REGISTRY_CONFIGURATION_PATH` names",
            Found::Place => ", which was found at its usual place",
        })
    }
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

/// What all clients together may use; `None`: as much as suits the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) connections: Option<usize>,
    pub(crate) requests: Option<usize>,
    /// Bytes of bodies that are gathered whole.
    pub(crate) bodies: Option<usize>,
    /// Bytes of parts of uploads that are gathered in memory.
    pub(crate) parts: Option<usize>,
    /// Bytes of blobs in memory.
    pub(crate) transfers: Option<usize>,
    /// Bytes that clients may send over HTTP/2 before they are read.
    pub(crate) windows: Option<usize>,
}

/// Authentication of clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Auth {
    /// By passwords
    Htpasswd(Htpasswd),
    /// By the tokens of a token server
    Token(Token),
}

/// A token server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) settings: token::Settings,
    pub(crate) keys: token::KeyFiles,
}

impl Auth {
    /// The password file, if there is one.
    pub(crate) fn htpasswd(&self) -> Option<&Htpasswd> {
        match self {
            Self::Htpasswd(htpasswd) => Some(htpasswd),
            Self::Token(_) => None,
        }
    }
}

/// A password file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Htpasswd {
    pub(crate) realm: String,
    pub(crate) path: PathBuf,
}

/// The administration of a running server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Admin {
    /// The chosen path of the control socket; `None`: it follows from the store.
    pub(crate) socket: Option<PathBuf>,
}

/// What accounts, and clients without one, may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Access {
    /// Path of the file of rules; `None`: every user may do everything on repositories.
    pub(crate) rules: Option<PathBuf>,
    /// The rules that other keys stand for.
    pub(crate) configured: Configured,
    /// The headers in which proxies name the account of their client; `None`: no proxy is believed.
    pub(crate) proxy_header: Option<ProxyHeader>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listen {
    /// `host:port` or `:port`.
    Tcp(String),
    /// Path of a unix socket, and its group and mode.
    Unix(PathBuf, SocketOwner),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Engine {
    Filesystem { root: PathBuf },
    InMemory,
    S3(Box<Bucket>),
    Cloud(Box<CloudBucket>),
}

impl Engine {
    /// The beginning of all keys, without slashes around it; empty but for a bucket.
    pub(crate) fn prefix(&self) -> &str {
        match self {
            Self::S3(bucket) => &bucket.prefix,
            Self::Cloud(bucket) => &bucket.prefix,
            Self::Filesystem { .. } | Self::InMemory => "",
        }
    }
}

/// A bucket, and the way to write into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) settings: S3Settings,
    /// The configured key; `None`: it is found as the SDK of AWS finds it.
    pub(crate) access_key: Option<AccessKey>,
    /// Prefix of all keys, without slashes around it.
    pub(crate) prefix: String,
    pub(crate) options: ObjectOptions,
    /// How many parts all uploads together may hold in memory; `None`: as many as suit the machine.
    pub(crate) part_buffers: Option<usize>,
    /// Whether the operator makes sure that no other process uses the bucket.
    pub(crate) is_alone: bool,
}

impl Bucket {
    /// Bytes of parts of uploads that may be in memory; `None`: as many as suit the machine.
    fn part_memory(&self) -> Option<usize> {
        Some(self.part_buffers?.saturating_mul(self.options.part_size))
    }

    /// The bucket and the prefix in it, as operators read them.
    pub(crate) fn place(&self) -> String {
        match self.prefix.as_str() {
            "" => self.settings.bucket_url(),
            prefix => format!("{}/{prefix}", self.settings.bucket_url()),
        }
    }
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
    /// Requests that have no line in the access log.
    pub(crate) access_log_exclusions: AccessLogExclusions,
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
