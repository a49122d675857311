//! HTTP transport without a surface: listening, TLS, connections and their limits, and what is recorded of each
//! request.
//!
//! The path of a request: [`Listener`] accepts a connection, [`Server`] bounds the number of connections, the
//! connection detects its protocol and is closed when its client stalls, a [`RequestContext`] is made for each
//! request, and a [`Surface`] answers it. The context follows the answer to its last byte; then the access log, the
//! metrics and the trace of the request are written from it.
//!
//! # Invariants
//!
//! - Only this crate accepts connections. Every surface is served with the same TLS, limits, access log, metrics and
//!   traces.
//! - This crate knows no surface: no route, no error body, no rights, and nothing of a registry or its storage. A
//!   surface hands it [`Handler`]s to count and trace by.
//! - A request costs no allocation, lock or dynamic dispatch here unless the operator asks for a log or a trace of it:
//!   surfaces are type parameters, and counters lie at fixed places.

mod access_log;
mod activity;
mod body;
mod connection;
mod connections;
mod context;
mod cors;
mod end;
mod explained;
mod faults;
mod forwarding;
mod handler;
mod limits;
mod listen;
pub mod location;
mod log_writer;
mod metrics;
mod options;
mod peer;
mod port_owner;
mod proxies;
pub mod redact;
mod request_id;
mod senders;
mod server;
mod socket;
mod streams;
mod surface;
mod tls;
mod trace;
mod transfers;
mod turns;

pub use access_log::{AccessLog, AccessLogExclusions, AccessLogFormat, Pattern};
pub use body::{BodyObserver, ObservedBody};
pub use context::RequestContext;
pub use cors::{Cors, OriginError, is_preflight};
pub use handler::Handler;
pub use limits::Limits;
pub use listen::{
    BindError, ListenAddress, Listener, SOCKET_PATH_BYTES, SocketOwner, bind, bind_unix, check_address,
};
pub use log_writer::LogWriter;
pub use metrics::{
    BudgetMetrics, BuildInfo, CONTENT_TYPE, DroppedLines, Exposition, Family, HttpMetrics, Kind, LogMetrics,
    METRICS, Metric, ProcessMetrics, Source, number,
};
pub use options::TransportOptions;
pub use peer::Peer;
pub use proxies::{Network, NetworkError, TrustedProxies};
pub use request_id::RequestId;
pub use senders::BodyWait;
pub use server::Server;
pub use surface::Surface;
pub use tls::{
    CertificateRole, CipherSuite, CipherSuiteError, ClientAuth, DescribedCertificate, InspectedCertificate,
    Tls, TlsError, TlsOptions,
};
pub use trace::{TraceMetrics, TraceSettings, Tracer};
