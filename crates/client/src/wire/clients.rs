//! The HTTP clients of a connection: the certificates that they trust, and what they send with each request.

use std::time::Duration;

use http::HeaderMap;

use crate::{
    Error, Result,
    outgoing::{self, Identity, Route, Trust, Versions},
};

/// Time limit for opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The servers that are trusted without an exception.
pub(super) fn trust(authorities: Vec<rustls::pki_types::CertificateDer<'static>>) -> Trust {
    match authorities.is_empty() {
        true => Trust::System,
        false => Trust::SystemAnd(authorities),
    }
}

/// What clients of one connection have in common. They follow no redirect by themselves.
#[derive(Default)]
pub(super) struct Clients<'a> {
    pub(super) identity: Option<&'a Identity>,
    pub(super) read_timeout: Option<Duration>,
    /// Headers of each request.
    pub(super) headers: HeaderMap,
    pub(super) route: Route,
}

impl Clients<'_> {
    pub(super) fn make(self, trust: Trust) -> Result<reqwest::Client> {
        let refused = |reason: String| Error::Authorities {
            path: "the system".to_owned(),
            reason,
        };
        let builder = outgoing::builder_as(trust, Versions::Http1And2, self.identity, &self.route)
            .map_err(|error| refused(error.to_string()))?
            .connect_timeout(CONNECT_TIMEOUT)
            .default_headers(self.headers);
        let builder = match self.read_timeout {
            Some(limit) => builder.read_timeout(limit),
            None => builder,
        };
        builder.build().map_err(|error| refused(outgoing::reason(&error)))
    }
}
