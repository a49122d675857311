//! One mirror: its upstream, and whether it may be asked.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use http::HeaderValue;
use parking_lot::Mutex;
use tokio::time::Instant;
use wharf_client::upstream::{Upstream, UpstreamError, UpstreamErrorKind};
use wharf_oci::RepoName;
use wharf_registry::{Origin, Registry};

use crate::{
    circuit::Circuit,
    download::Downloads,
    error::{Error, Failure, Result},
    known::{Known, Lists},
    numbers::{Counters, MirrorNumbers},
    options::MirrorOptions,
};

/// How long an upstream is left alone that limits its clients and does not say for how long.
const REST: Duration = Duration::from_secs(60);
/// The longest time for which it is left alone, whatever it says.
const LONGEST_REST: Duration = Duration::from_secs(3600);

/// One mirror.
#[derive(Debug)]
pub(crate) struct Mirror {
    pub(crate) registry: Arc<Registry>,
    pub(crate) options: MirrorOptions,
    pub(crate) upstream: Upstream,
    circuit: Circuit,
    /// Until when the upstream wants no requests for manifests and lists.
    resting: Mutex<Option<Instant>>,
    pub(crate) known: Known,
    pub(crate) lists: Lists,
    /// Those of all mirrors.
    pub(crate) downloads: Arc<Downloads>,
    /// Whether the upstream has failed since it last answered: each change is told once.
    is_failing: AtomicBool,
    pub(crate) manifests: Counters,
    pub(crate) blobs: Counters,
    /// The origin of what is stored.
    pub(crate) origin: Arc<Origin>,
}

/// A repository of a mirror, as one request sees it.
#[derive(Debug, Clone)]
pub struct Mirrored {
    pub(crate) mirror: Arc<Mirror>,
    /// Its name here.
    pub(crate) name: RepoName,
    /// Its name at the upstream.
    pub(crate) remote: String,
    /// Whether the operator lets it be mirrored.
    pub(crate) is_allowed: bool,
    /// Whether the request has passed this registry before.
    pub(crate) is_loop: bool,
    /// The way of the request to the upstream; `None`: it begins here.
    pub(crate) via: Option<HeaderValue>,
}

impl Mirror {
    pub(crate) fn new(
        registry: Arc<Registry>,
        options: MirrorOptions,
        downloads: Arc<Downloads>,
    ) -> std::result::Result<Self, UpstreamError> {
        Ok(Self {
            registry,
            upstream: Upstream::new(options.upstream.clone())?,
            options,
            circuit: Circuit::default(),
            resting: Mutex::default(),
            known: Known::new(),
            lists: Lists::default(),
            downloads,
            is_failing: AtomicBool::new(false),
            manifests: Counters::default(),
            blobs: Counters::default(),
            origin: Arc::new(Origin::worker("mirror")),
        })
    }

    /// Takes over what the upstream answered, and remembers how it is.
    pub(crate) fn said<T>(&self, outcome: std::result::Result<T, UpstreamError>) -> Result<T, Failure> {
        let failure = match outcome {
            Ok(answer) => {
                self.circuit.succeeded();
                if self.is_failing.swap(false, Relaxed) {
                    tracing::info!(
                        upstream = self.upstream.origin(),
                        "the upstream of a mirror answers again"
                    );
                }
                return Ok(answer);
            }
            Err(failure) => failure,
        };
        if !self.is_failing.swap(true, Relaxed) {
            tracing::warn!(
                upstream = self.upstream.origin(),
                error = %failure,
                "the upstream of a mirror failed; what is stored of it is served meanwhile"
            );
        }
        match failure.kind() {
            UpstreamErrorKind::Unreachable | UpstreamErrorKind::TimedOut | UpstreamErrorKind::Failing(_) => {
                if let Some(pause) = self.circuit.failed() {
                    let upstream = self.upstream.origin();
                    tracing::info!(
                        upstream,
                        ?pause,
                        "the upstream of a mirror is not asked for a while"
                    );
                }
            }
            UpstreamErrorKind::Limited { after } => {
                self.circuit.succeeded();
                let rest = after.unwrap_or(REST).min(LONGEST_REST);
                *self.resting.lock() = Some(Instant::now() + rest);
            }
            UpstreamErrorKind::Denied(_)
            | UpstreamErrorKind::Untrusted
            | UpstreamErrorKind::Wrong
            | UpstreamErrorKind::Loop => {
                self.circuit.succeeded();
            }
        }
        Err(failure.into())
    }

    pub(crate) fn numbers(&self) -> MirrorNumbers {
        MirrorNumbers {
            upstream: self.upstream.origin(),
            manifests: self.manifests.read(),
            blobs: self.blobs.read(),
            is_well: self.circuit.is_closed(),
            rate: self.upstream.rate(),
        }
    }

    /// Time for which the upstream wants no requests that count.
    fn rest(&self) -> Option<Duration> {
        let until = (*self.resting.lock())?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }
}

impl Mirrored {
    /// The upstream, if it may be asked for a manifest or a list. What it says goes to [`Mirror::said`].
    pub(crate) fn asks(&self) -> Result<&Upstream, Failure> {
        if let Some(after) = self.mirror.rest() {
            let origin = self.mirror.upstream.origin();
            return Err(Failure::Limited { origin, after });
        }
        self.asks_for_blob()
    }

    /// The same for a blob: of these, upstreams do not limit the number.
    pub(crate) fn asks_for_blob(&self) -> Result<&Upstream, Failure> {
        if self.is_loop {
            return Err(Failure::Loop);
        }
        self.mirror.circuit.enter().map_err(|after| Failure::Resting {
            origin: self.mirror.upstream.origin(),
            after,
        })?;
        Ok(&self.mirror.upstream)
    }

    /// Whether the upstream is asked at all for this repository.
    pub(crate) fn is_asked(&self) -> bool {
        self.is_allowed && !self.mirror.options.is_offline
    }

    /// Whether the operator lets it be mirrored.
    pub fn is_allowed(&self) -> bool {
        self.is_allowed
    }

    /// Scheme, host and port of the upstream.
    pub fn upstream(&self) -> String {
        self.mirror.upstream.origin()
    }

    /// Its name here.
    pub fn name(&self) -> &RepoName {
        &self.name
    }

    /// There is no such manifest.
    pub(crate) fn unknown_manifest(&self, reference: &str) -> Error {
        let origin = self.mirror.upstream.origin();
        let hint = match (self.is_allowed, self.mirror.options.is_offline) {
            (false, _) => format!(
                "this mirror of `{origin}` does not mirror `{}`, by `allow` and `deny` of its configuration",
                self.remote
            ),
            (true, true) => format!("this mirror of `{origin}` is offline, and has not stored it"),
            (true, false) => format!("`{origin}`, the upstream of this mirror, does not have it"),
        };
        wharf_registry::Error::ManifestUnknown {
            name: self.name.clone(),
            reference: reference.to_owned(),
            hint: Some(hint),
        }
        .into()
    }
}
