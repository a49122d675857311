//! Development only: a server on a free port, clients that talk to it, what they push, and other programs.
//!
//! A test reads as a story: a [`Server`] is started, a client ([`Client`], and its [`Repository`])
//! pushes what a builder of [`image`] made, and each [`Answer`] is checked where it
//! arrives. When a test that used the file system ends well, the server ends and [`store`]
//! checks the whole tree: a test that leaves a dangling tag behind fails, whatever it looked at.
//!
//! A test that needs a program of another project is a trial of [`suite`] that names it as a
//! [`Part`](suite::Part). Without the part the test is counted as ignored, and a line `left out: …` says
//! what to install; it never passes without having run.
//!
//! **Architecture invariant:** nothing here uses the crates of the server. Digests, layouts and
//! expectations are computed from the specifications once more, so that a mistake in the server is
//! not repeated in what it is compared with.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test kit fails by panicking, looks at files behind the server's back, and shows logs"
)]

pub mod allocations;
mod archive;
pub mod bucket;
pub mod buildkit;
mod client;
mod connect;
pub mod containerd;
mod content;
pub mod digest;
pub mod docker;
pub mod faults;
pub mod front;
mod handshake;
mod http2;
pub mod image;
pub mod internet;
pub mod nginx;
pub mod peer;
pub mod podman;
mod process;
pub mod proxy;
mod raw;
mod receiver;
pub mod replicas;
mod server;
pub mod store;
mod stories;
pub mod suite;
pub mod tls;
mod token_issuer;
pub mod tokens;
pub mod tool;
pub mod upstream;
mod waiting;
pub mod wire;

pub use bytes::Bytes;
pub use client::{Answer, Client, Repository, Request, Unanswered, basic};
pub use content::{Content, push_blob};
pub use handshake::Handshake;
pub use http::{HeaderMap, Method, StatusCode};
pub use http2::{Http2Connection, Http2Stream};
pub use raw::{RawAnswer, RawConnection};
pub use receiver::{Behaviour, ClosedPort, Received, Receiver};
pub use serde_json::{self, Value, json};
pub use server::{Engine, InProcess, Launcher, Server, ServerBuilder, StartInProcess};
pub use token_issuer::{Issuing, TokenIssuer};
pub use waiting::{PATIENCE, eventually, run};
