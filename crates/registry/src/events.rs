//! Events: what operations report to subscribers, one typed value for each push, pull, mount and deletion.
//!
//! An operation takes its [`Caller`] and reports when its outcome is certain and its locks are released. What failed is
//! no event. Without a subscriber nothing is made: neither the event, nor its [`Origin`].

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::SystemTime,
};

use async_trait::async_trait;
use uuid::Uuid;
use wharf_oci::{Digest, RepoName, Tag};

use crate::tree::manifest::StoredManifest;

/// One thing that happened to the content of a repository.
#[derive(Debug, Clone)]
pub struct Event {
    /// Unique id of the event.
    pub id: Uuid,
    /// Time at which it was reported.
    pub time: SystemTime,
    /// Origin of the operation; the events of one operation share it.
    pub origin: Arc<Origin>,
    /// Repository that it happened to.
    pub repository: RepoName,
    /// What happened.
    pub kind: EventKind,
}

/// What happened to the content of a repository.
#[derive(Debug, Clone)]
pub enum EventKind {
    /// A manifest was stored; one event for each tag of the push, or one without a tag.
    ManifestPushed {
        /// The manifest.
        manifest: Arc<StoredManifest>,
        /// Tag that now points at it.
        tag: Option<Tag>,
    },
    /// A manifest was read, or asked for with `HEAD`.
    ManifestPulled {
        /// The manifest.
        manifest: Arc<StoredManifest>,
        /// Tag by which it was asked for.
        tag: Option<Tag>,
    },
    /// A manifest was deleted. Its tags went with it, and each has a [`TagDeleted`](Self::TagDeleted): after this event, or before it when a
    /// plan was applied.
    ManifestDeleted {
        /// Digest of the manifest.
        digest: Digest,
    },
    /// A tag was deleted.
    TagDeleted {
        /// The tag.
        tag: Tag,
    },
    /// A blob was stored.
    BlobPushed {
        /// Digest of the blob.
        digest: Digest,
        /// Size of the blob in bytes.
        size: u64,
    },
    /// A blob was read, whole or in part, or asked for with `HEAD`.
    BlobPulled {
        /// Digest of the blob.
        digest: Digest,
        /// Size of the whole blob in bytes.
        size: u64,
    },
    /// A blob of another repository became one of this repository.
    BlobMounted {
        /// Digest of the blob.
        digest: Digest,
        /// Size of the blob in bytes.
        size: u64,
        /// Repository that had the blob, if the client named one.
        from: Option<RepoName>,
    },
    /// A blob was removed from the repository.
    BlobDeleted {
        /// Digest of the blob.
        digest: Digest,
    },
}

/// Origin of an operation: the account that asked for it, and the surface through which it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Name of the account; `None` for anonymous requests and for workers.
    pub actor: Option<Arc<str>>,
    /// Surface through which the operation came.
    pub surface: Surface,
    /// Facts about the HTTP request; `None` where there is none.
    pub request: Option<RequestFacts>,
}

/// Surface through which an operation came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// The distribution API.
    Distribution,
    /// The administration API.
    Administration,
    /// The page for browsers.
    Ui,
    /// The worker of this name, which runs beside requests.
    Worker(&'static str),
}

/// Facts about an HTTP request that asked for an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestFacts {
    /// Id of the request, the same as in the log and in traces.
    pub id: Uuid,
    /// Address of the client, behind trusted proxies; with its port if no proxy lies between, empty if it is unknown.
    pub address: String,
    /// Host that the client addressed; empty if it named none.
    pub host: String,
    /// Method of the request.
    pub method: String,
    /// `User-Agent` of the client; empty if it sent none.
    pub user_agent: String,
    /// URL of the registry as this client sees it: what stands before `/v2/` in URLs.
    pub base_url: String,
}

impl Origin {
    /// The origin of what the worker `name` does.
    pub fn worker(name: &'static str) -> Self {
        Self {
            actor: None,
            surface: Surface::Worker(name),
            request: None,
        }
    }
}

/// Facts about the side that asks for an operation, borrowed from it: they cost no memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct CallerFacts<'a> {
    /// Name of the account; `None` for anonymous requests and for workers.
    pub actor: Option<&'a str>,
    /// Id of the request, the same as in the log and in traces; `None` without a request.
    pub request: Option<Uuid>,
    /// Address of the client, behind trusted proxies; `None` if it is unknown.
    pub address: Option<IpAddr>,
    /// Method of the request; empty without a request.
    pub method: &'a str,
    /// `User-Agent` of the client; empty if it sent none.
    pub user_agent: &'a str,
}

/// The side that asks for an operation, and that can say where it comes from.
///
/// The origin of a request takes some texts to make, so it is made only when a subscriber is going to read it.
pub trait Caller: Sync {
    /// The origin of the operation.
    fn origin(&self) -> Arc<Origin>;

    /// The facts of the origin that can be borrowed.
    fn facts(&self) -> CallerFacts<'_>;
}

/// An origin that was made before, because the operation outlives its request.
impl Caller for Arc<Origin> {
    fn origin(&self) -> Arc<Origin> {
        Self::clone(self)
    }

    fn facts(&self) -> CallerFacts<'_> {
        Origin::facts(self)
    }
}

impl Origin {
    /// The facts of the origin that can be borrowed.
    pub fn facts(&self) -> CallerFacts<'_> {
        let request = self.request.as_ref();
        let text = |of: fn(&RequestFacts) -> &str| request.map_or("", of);
        let address = text(|request| &request.address);
        let with_port = || Some(address.parse::<SocketAddr>().ok()?.ip());
        CallerFacts {
            actor: self.actor.as_deref(),
            request: request.map(|request| request.id),
            address: address.parse().ok().or_else(with_port),
            method: text(|request| &request.method),
            user_agent: text(|request| &request.user_agent),
        }
    }
}

/// A pull that is happening, borrowed from the request: nothing is made for it.
#[derive(Clone, Copy)]
pub struct Pull<'a> {
    /// The side that pulls.
    pub caller: &'a dyn Caller,
    /// Repository that it pulls from.
    pub repository: &'a RepoName,
    /// What it is sent.
    pub content: Pulled<'a>,
}

/// What a client is sent, or would be for a `GET` in place of its `HEAD`.
#[derive(Debug, Clone, Copy)]
pub enum Pulled<'a> {
    /// A manifest.
    Manifest {
        /// The manifest.
        manifest: &'a Arc<StoredManifest>,
        /// Tag by which it was asked for.
        tag: Option<&'a Tag>,
    },
    /// A blob, whole or in part.
    Blob {
        /// Digest of the blob.
        digest: &'a Digest,
        /// Size of the whole blob in bytes.
        size: u64,
    },
}

impl Pulled<'_> {
    fn event(self) -> EventKind {
        match self {
            Self::Manifest { manifest, tag } => EventKind::ManifestPulled {
                manifest: Arc::clone(manifest),
                tag: tag.cloned(),
            },
            Self::Blob { digest, size } => EventKind::BlobPulled {
                digest: *digest,
                size,
            },
        }
    }
}

/// A receiver of events, such as webhooks.
#[async_trait]
pub trait Subscriber: fmt::Debug + Send + Sync {
    /// Whether events of pulls are to be reported. Pulls are far more frequent than changes, so their events are made on
    /// demand.
    fn wants_pulls(&self) -> bool;

    /// Sees a pull, of which no event need be made. The client is waiting: this does not block, and allocates only for
    /// what it has not seen lately.
    fn observe(&self, pull: Pull<'_>) {
        let _ = pull;
    }

    /// Takes over the event of a push, a mount or a deletion. The operation, and so the answer to the client, waits: when
    /// this returns, no end of the process may lose the event.
    async fn deliver(&self, event: &Event);

    /// Takes over the event of a pull without waiting. The event may be dropped when pulls come too fast.
    fn try_deliver(&self, event: &Event);
}

/// The subscribers of a registry, in the order in which they are told.
#[derive(Debug, Default)]
pub(crate) struct Subscribers(Vec<Arc<dyn Subscriber>>);

impl Subscribers {
    pub(crate) fn add(&mut self, subscriber: Arc<dyn Subscriber>) {
        self.0.push(subscriber);
    }

    /// Reports changes of `repository`, in order, and waits until every subscriber has taken them over.
    pub(crate) async fn changed(
        &self,
        caller: &dyn Caller,
        repository: &RepoName,
        changes: impl FnOnce() -> Vec<EventKind> + Send,
    ) {
        if self.0.is_empty() {
            return;
        }
        let origin = caller.origin();
        for kind in changes() {
            let event = Event::now(Arc::clone(&origin), repository, kind);
            for subscriber in &self.0 {
                subscriber.deliver(&event).await;
            }
        }
    }

    /// Reports that content was pulled, without waiting.
    pub(crate) fn pulled(&self, pull: Pull<'_>) {
        for subscriber in &self.0 {
            subscriber.observe(pull);
        }
        let mut interested = self.0.iter().filter(|subscriber| subscriber.wants_pulls());
        let Some(first) = interested.next() else { return };
        let event = Event::now(pull.caller.origin(), pull.repository, pull.content.event());
        first.try_deliver(&event);
        interested.for_each(|subscriber| subscriber.try_deliver(&event));
    }
}

impl Event {
    fn now(origin: Arc<Origin>, repository: &RepoName, kind: EventKind) -> Self {
        Self {
            id: Uuid::new_v4(),
            time: SystemTime::now(),
            origin,
            repository: repository.clone(),
            kind,
        }
    }
}
