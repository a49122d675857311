//! `storage`: where the data is kept, whether it may be deleted, and when unfinished uploads are removed.

use std::time::Duration;

use super::{
    DeletePolicy, Purge, Storage,
    keys::{Default, Group, Key, KeyInfo, keys},
    section::Section,
    unsupported,
};

/// Without any configuration: in the working directory.
const DEFAULT_ROOT: &str = "./data";

/// Default of registry:2 for `storage.filesystem` without a directory.
pub(super) const REGISTRY_2_ROOT: &str = "/var/lib/registry";

keys! {
    STORAGE: Group = Key::choice("storage", "`filesystem` in `./data`, without a file")
        .says("Where the data is kept: exactly one of the stores below, or its name");
    FILESYSTEM: Group = Key::named("storage.filesystem").says("A directory, in the layout of registry:2");
    ROOT: String = Key::new("storage.filesystem.rootdirectory")
        .default(REGISTRY_2_ROOT)
        .says("The directory; `docker/registry/v2` is made in it");
    IN_MEMORY: Group = Key::named("storage.inmemory").says("The memory of the server; gone when it stops");
    DELETE: Option<bool> = Key::new("storage.delete.enabled")
        .shown_default(Default::Words("true if users log in or only this machine can connect"))
        .says("Whether manifests, tags and blobs may be deleted");
    PURGE: bool = Key::new("storage.maintenance.uploadpurging.enabled")
        .default("true")
        .says("Whether unfinished uploads are removed");
    PURGE_AGE: Duration = Key::new("storage.maintenance.uploadpurging.age")
        .default("168h")
        .says("How long after their last byte");
    PURGE_INTERVAL: Duration = Key::new("storage.maintenance.uploadpurging.interval")
        .default("24h")
        .says("Time between two searches for them; at least a minute");
    PURGE_DRY: bool = Key::new("storage.maintenance.uploadpurging.dryrun")
        .default("false")
        .says("Only log which would be removed");
    READ_ONLY: bool = Key::new("storage.maintenance.readonly.enabled")
        .default("false")
        .says("Refuse to change anything, with 405");
}

/// The settings in `storage`.
pub(super) struct Read {
    /// `None`: what is wrong has been reported.
    pub(super) engine: Option<Storage>,
    pub(super) deletion: DeletePolicy,
    pub(super) purge: Option<Purge>,
    pub(super) read_only: bool,
}

/// Without a file, no engine is missing: there is a default.
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
        engine: engine(root, has_file),
    }
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

/// The one section of `storage` that says where the data is kept.
fn engine(root: &Section<'_>, has_file: bool) -> Option<Storage> {
    let filesystem = || Storage::Filesystem {
        root: root.get(ROOT).into(),
    };
    let supported = [
        (FILESYSTEM.info(), filesystem()),
        (IN_MEMORY.info(), Storage::InMemory),
    ];
    // A problem has been reported for one that is not supported; none is missing.
    let unsupported = unsupported::STORES.map(|store| (store, Storage::InMemory));
    let stores: Vec<(KeyInfo, Storage)> = supported
        .into_iter()
        .chain(unsupported)
        .filter(|(store, _)| root.has(*store))
        .collect();
    unsupported::check_stores(root);
    match &stores[..] {
        [] if has_file => root.problem(
            FILESYSTEM,
            "is missing; name the place of the data: `storage: {filesystem: {rootdirectory: /var/lib/registry}}`",
        ),
        [] => {
            return Some(Storage::Filesystem {
                root: DEFAULT_ROOT.into(),
            });
        }
        [_] => {}
        [.., (last, _)] => {
            let named: Vec<String> = stores
                .iter()
                .map(|(store, _)| format!("`{}` ({})", store.name(), root.origin(*store)))
                .collect();
            root.problem(
                STORAGE,
                &format!(
                    "names {} places for the data, {}; take out all but one, or choose one with `REGISTRY_STORAGE={}`",
                    stores.len(),
                    named.join(" and "),
                    last.name()
                ),
            );
        }
    }
    stores.into_iter().next().map(|(_, storage)| storage)
}
