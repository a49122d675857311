//! A log with its worker, clients that cause entries, and the stores of both engines.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tempfile::TempDir;
use uuid::Uuid;
use wharf_activity::{Activity, ActivityOptions, Entry, Filter, Found, Reader, Timing};
use wharf_budget::Share;
use wharf_oci::{Digest, RepoName, Tag, media_type};
use wharf_registry::{Caller, CallerFacts, Origin, Pull, Pulled, StoredManifest, Subscriber as _};
use wharf_registry::{RequestFacts, Surface};
use wharf_storage::{
    Objects, Storage,
    fs::FsStorage,
    journal::{Journals, ObjectJournals},
    object::ObjectStorage,
};
use wharf_workers::Supervisor;

/// A store.
pub(crate) enum Engine {
    Directory(TempDir),
    Objects(Arc<dyn Storage>),
}

impl Engine {
    pub(crate) fn both() -> [Self; 2] {
        [Self::directory(), Self::memory()]
    }

    pub(crate) fn directory() -> Self {
        Self::Directory(tempfile::tempdir().unwrap())
    }

    pub(crate) fn memory() -> Self {
        Self::Objects(Arc::new(ObjectStorage::in_memory()))
    }

    /// A bucket that replicas share.
    pub(crate) fn bucket() -> Self {
        Self::Objects(Arc::new(ObjectStorage::in_memory()))
    }

    pub(crate) fn to_read(&self) -> Arc<dyn Objects> {
        match self {
            Self::Directory(root) => Arc::new(FsStorage::open_to_read(root.path()).unwrap()),
            Self::Objects(objects) => Arc::clone(objects) as _,
        }
    }

    fn open(&self) -> (Arc<dyn Objects>, Arc<dyn Journals>) {
        match self {
            Self::Directory(root) => {
                let storage = Arc::new(FsStorage::open(root.path()).unwrap());
                (Arc::clone(&storage) as _, storage)
            }
            Self::Objects(objects) => {
                let objects: Arc<dyn Objects> = Arc::clone(objects) as _;
                (Arc::clone(&objects), Arc::new(ObjectJournals::new(objects)))
            }
        }
    }
}

/// A log that is being written.
pub(crate) struct Server {
    pub(crate) activity: Activity,
    pub(crate) supervisor: Supervisor,
}

pub(crate) fn options(timing: Duration) -> ActivityOptions {
    ActivityOptions {
        bytes: 100 << 20,
        age: Duration::from_secs(90 * 24 * 3600),
        timing: Timing {
            changes: timing,
            pulls: timing,
        },
    }
}

impl Server {
    pub(crate) async fn start(engine: &Engine) -> Self {
        let options = ActivityOptions {
            timing: Timing::default(),
            ..options(Duration::ZERO)
        };
        Self::start_with(engine, options, 4 << 20).await
    }

    pub(crate) async fn start_with(engine: &Engine, options: ActivityOptions, room: usize) -> Self {
        let (objects, journals) = engine.open();
        let supervisor = Supervisor::default();
        let share = Share::new("activity", room);
        let activity = Activity::start(options, share, &*journals, objects, &supervisor).await;
        Self { activity, supervisor }
    }

    pub(crate) async fn stop(self) {
        let cut = self.supervisor.stop(Duration::from_secs(60)).await;
        assert!(cut.is_empty(), "{cut:?} did not end");
    }
}

/// A client that is logged in.
pub(crate) struct Client {
    account: String,
    pub(crate) request: Uuid,
    method: &'static str,
}

impl Client {
    pub(crate) fn new(account: &str) -> Self {
        Self {
            account: account.to_owned(),
            request: Uuid::from_u128(7),
            method: "GET",
        }
    }

    pub(crate) fn by(&self, method: &'static str) -> Self {
        Self {
            method,
            ..Self::new(&self.account)
        }
    }

    pub(crate) fn facts(&self) -> CallerFacts<'_> {
        CallerFacts {
            actor: Some(&self.account),
            request: Some(self.request),
            address: Some(IpAddr::from([192, 0, 2, 1])),
            method: self.method,
            user_agent: "docker/29",
        }
    }
}

impl Client {
    pub(crate) fn origin(&self) -> Arc<Origin> {
        Arc::new(Origin {
            actor: Some(self.account.as_str().into()),
            surface: Surface::Distribution,
            request: Some(RequestFacts {
                id: self.request,
                address: "192.0.2.1:4711".to_owned(),
                host: "example.com".to_owned(),
                method: self.method.to_owned(),
                user_agent: "docker/29".to_owned(),
                base_url: "https://example.com".to_owned(),
            }),
        })
    }
}

impl Caller for Client {
    fn origin(&self) -> Arc<Origin> {
        self.origin()
    }

    fn facts(&self) -> CallerFacts<'_> {
        self.facts()
    }
}

pub(crate) fn name(name: &str) -> RepoName {
    name.parse().unwrap()
}

pub(crate) fn tag(tag: &str) -> Tag {
    tag.parse().unwrap()
}

pub(crate) fn digest(content: &str) -> Digest {
    Digest::sha256_of(content.as_bytes())
}

pub(crate) fn manifest(content: &str) -> Arc<StoredManifest> {
    Arc::new(StoredManifest {
        digest: digest(content),
        media_type: media_type::OCI_MANIFEST.into(),
        bytes: content.to_owned().into(),
    })
}

/// Tells the log that a client is sent a manifest of `team/app`.
pub(crate) fn pulled(activity: &Activity, client: &Client, content: &str, by: Option<&str>) {
    let (name, manifest) = (name("team/app"), manifest(content));
    let by = by.map(tag);
    activity.observe(Pull {
        caller: client,
        repository: &name,
        content: Pulled::Manifest {
            manifest: &manifest,
            tag: by.as_ref(),
        },
    });
}

/// All entries of a log that is not written any more.
pub(crate) async fn entries(engine: &Engine) -> Vec<Entry> {
    let mut reader = Reader::new(engine.to_read(), Filter::default());
    let found = reader.newest(usize::MAX).await.unwrap();
    assert_eq!(found.unreadable, 0);
    found.entries
}

/// Nothing found.
pub(crate) fn all() -> Found {
    Found::default()
}
