//! `storage`: the store, deletion, and the removal of unfinished uploads.

pub(super) mod azure;
pub(super) mod gcs;
pub(super) mod s3;

use std::time::Duration;

use wharf_server::Redirect;

use super::{
    DeletePolicy, Engine, Locking, Purge,
    keys::{Default, Group, Key, KeyInfo, Positive, Since, keys},
    section::Section,
    unsupported,
};

/// Directory of the store without any configuration.
const DEFAULT_ROOT: &str = "./data";

/// Longest time for which stores accept a signed URL.
const LONGEST_SIGNATURE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Default of registry:2 for `storage.filesystem` without a directory.
pub(super) const REGISTRY_2_ROOT: &str = "/var/lib/registry";

keys! {
    STORAGE: Group = Key::choice("storage", "`filesystem` in `./data`, without a file")
        .help("The store: exactly one of the sections below, or its name");
    FILESYSTEM: Group = Key::named("storage.filesystem").help("Store the data in a directory, in the layout of registry:2");
    ROOT: String = Key::new("storage.filesystem.rootdirectory")
        .default(REGISTRY_2_ROOT)
        .help("Path of the directory; `docker/registry/v2` is created in it");
    LOCK: bool = Key::new("storage.filesystem.lock")
        .default("true")
        .help("Whether the directory is locked; off only on a file system without locks, where no second server may use it");
    LOCK_WAIT: Duration = Key::new("storage.filesystem.lockwait")
        .default("1m")
        .help("Longest time that a start waits for another process that has the lock; `/debug/health` is 503 meanwhile");
    IN_MEMORY: Group = Key::named("storage.inmemory").help("Store the data in memory; it is lost when the server stops");
    NO_REDIRECT: bool = Key::new("storage.redirect.disable")
        .default("false")
        .help("Whether blobs are sent by this server, and clients are never redirected to the bucket");
    REDIRECT_SIZE: Positive<usize> = Key::new("storage.redirect.minsize")
        .default("65536")
        .help("Bytes of the smallest blob that clients are redirected for")
        .since(Since::Ours);
    REDIRECT_EXPIRY: Positive<Duration> = Key::new("storage.redirect.expiry")
        .default("20m")
        .help("Time during which a client may begin to read from the bucket")
        .since(Since::Ours);
    DELETE: Option<bool> = Key::new("storage.delete.enabled")
        .shown_default(Default::Words("true if users log in or only this machine can connect"))
        .help("Whether manifests, tags and blobs may be deleted");
    PURGE: bool = Key::new("storage.maintenance.uploadpurging.enabled")
        .default("true")
        .help("Whether unfinished uploads are removed");
    PURGE_AGE: Duration = Key::new("storage.maintenance.uploadpurging.age")
        .default("168h")
        .help("Time since the last byte after which an unfinished upload is removed");
    PURGE_INTERVAL: Duration = Key::new("storage.maintenance.uploadpurging.interval")
        .default("24h")
        .help("Time between two searches for unfinished uploads; at least a minute");
    PURGE_DRY: bool = Key::new("storage.maintenance.uploadpurging.dryrun")
        .default("false")
        .help("Only log the uploads that would be removed");
    READ_ONLY: bool = Key::new("storage.maintenance.readonly.enabled")
        .default("false")
        .help("Refuse all changes with status 405");
}

/// The settings in `storage`.
pub(super) struct Read {
    /// The store; `None`: a problem has been reported.
    pub(super) engine: Option<Engine>,
    pub(super) locking: Locking,
    /// Redirects to the bucket; `None`: clients are not redirected.
    pub(super) redirect: Option<Redirect>,
    pub(super) deletion: DeletePolicy,
    pub(super) purge: Option<Purge>,
    pub(super) read_only: bool,
}

/// Reads the section. Without a file the engine has a default.
pub(super) fn read(root: &Section<'_>, has_file: bool) -> Read {
    let read_only = root.get(READ_ONLY);
    Read {
        deletion: match root.get(DELETE) {
            Some(true) => DeletePolicy::Always,
            Some(false) => DeletePolicy::Never,
            None => DeletePolicy::WhenUsersOrLoopback,
        },
        purge: purge(root).filter(|_| !read_only),
        read_only,
        locking: Locking {
            is_on: root.get(LOCK),
            wait: root.get(LOCK_WAIT),
        },
        redirect: redirect(root),
        engine: engine(root, has_file),
    }
}

fn redirect(root: &Section<'_>) -> Option<Redirect> {
    let Positive(min_size) = root.get(REDIRECT_SIZE);
    let Positive(expiry) = root.get(REDIRECT_EXPIRY);
    if expiry > LONGEST_SIGNATURE {
        root.problem(
            REDIRECT_EXPIRY,
            "must be at most `168h`; stores accept no longer signatures",
        );
    }
    (!root.get(NO_REDIRECT)).then_some(Redirect {
        min_size: min_size as u64,
        expiry,
    })
}

fn purge(root: &Section<'_>) -> Option<Purge> {
    const SHORTEST: Duration = Duration::from_secs(60);

    let age = root.get(PURGE_AGE);
    if age.is_zero() {
        root.problem(
            PURGE_AGE,
            "must not be 0: uploads that are under way would be removed; write `168h`",
        );
    }
    let interval = root.get(PURGE_INTERVAL);
    if interval < SHORTEST {
        root.warning(
            PURGE_INTERVAL,
            "is too short; unfinished uploads are searched for once a minute",
        );
    }
    let purge = Purge {
        age,
        interval: interval.max(SHORTEST),
        is_dry: root.get(PURGE_DRY),
    };
    root.get(PURGE).then_some(purge)
}

/// The store that `storage` names.
fn engine(root: &Section<'_>, has_file: bool) -> Option<Engine> {
    let supported = [
        FILESYSTEM.info(),
        IN_MEMORY.info(),
        s3::S3.info(),
        gcs::GCS.info(),
        azure::AZURE.info(),
    ];
    let stores: Vec<KeyInfo> = supported
        .into_iter()
        .chain(unsupported::STORES)
        .filter(|store| root.has(*store))
        .collect();
    match &stores[..] {
        [] if has_file => root.problem(
            FILESYSTEM,
            "is missing; name a store: `storage: {filesystem: {rootdirectory: /var/lib/registry}}`",
        ),
        [] => {
            return Some(Engine::Filesystem {
                root: DEFAULT_ROOT.into(),
            });
        }
        [_] => {}
        [.., last] => {
            let named: Vec<String> = stores
                .iter()
                .map(|store| format!("`{}` ({})", store.name(), root.origin(*store)))
                .collect();
            root.problem(
                STORAGE,
                &format!(
                    "names {} stores, {}; remove all but one, or choose one with `REGISTRY_STORAGE={}`",
                    stores.len(),
                    named.join(" and "),
                    last.name()
                ),
            );
        }
    }
    match stores.first()?.path {
        path if path == FILESYSTEM.info().path => Some(Engine::Filesystem {
            root: root.get(ROOT).into(),
        }),
        path if path == IN_MEMORY.info().path => Some(Engine::InMemory),
        path if path == s3::S3.info().path => s3::read(root).map(Box::new).map(Engine::S3),
        path if path == gcs::GCS.info().path => gcs::read(root).map(Box::new).map(Engine::Cloud),
        path if path == azure::AZURE.info().path => azure::read(root).map(Box::new).map(Engine::Cloud),
        // A problem has been reported.
        _ => None,
    }
}

/// The prefix of all keys of a bucket, without slashes around it.
fn prefix(root: &Section<'_>, key: Key<Option<String>>) -> String {
    let prefix = root.get(key).unwrap_or_default();
    let prefix = prefix.trim_matches('/');
    if prefix.split('/').any(|part| matches!(part, "." | "..")) || prefix.contains("//") {
        root.problem(
            key,
            "has an empty part, or one that is `.` or `..`; such keys cannot be served",
        );
    }
    prefix.to_owned()
}
