//! `storage`: where the data lies, whether it may be deleted, and when unfinished uploads are forgotten.

use std::time::Duration;

use super::{
    Purge, Storage,
    keys::{Default, Key, Kind, Since},
    later,
    raw::Section,
};

/// Without any configuration: beside where one stands.
const DEFAULT_ROOT: &str = "./data";

/// Of `storage.filesystem` without a directory, as registry:2 has it.
pub(super) const REGISTRY_2_ROOT: &str = "/var/lib/registry";

const OWN_CACHE: &str =
    "what is cached is bounded, needs no setting, and is compared with the store at every use";

pub(super) const KEYS: &[Key] = &[
    Key::works(
        "storage",
        Kind::Choice,
        Default::Words("`filesystem` in `./data`, without a file"),
        "Where the data lies: exactly one of the stores below, or its name",
    ),
    Key::works(
        "storage.filesystem",
        Kind::Named,
        Default::None,
        "A directory, in the layout of registry:2",
    ),
    Key::works(
        "storage.filesystem.rootdirectory",
        Kind::Text,
        Default::Value(REGISTRY_2_ROOT),
        "The directory; `docker/registry/v2` is made in it",
    ),
    Key::accepted(
        "storage.filesystem.maxthreads",
        Kind::Number,
        "threads are bounded without it",
    ),
    Key::works(
        "storage.inmemory",
        Kind::Named,
        Default::None,
        "The memory of the server; gone at its end",
    ),
    Key::works(
        "storage.delete.enabled",
        Kind::Boolean,
        Default::Words("true if users log in or only this machine can connect"),
        "Whether manifests, tags and blobs may be deleted",
    ),
    Key::accepted(
        "storage.redirect.disable",
        Kind::Boolean,
        "clients are never sent elsewhere",
    ),
    Key::accepted(
        "storage.cache.blobdescriptor",
        Kind::Word(&["inmemory", "redis"]),
        OWN_CACHE,
    ),
    Key::alias("storage.cache.layerinfo", "storage.cache.blobdescriptor"),
    Key::accepted("storage.cache.blobdescriptorsize", Kind::Number, OWN_CACHE).since(Since::From3("3.0")),
    Key::accepted(
        "storage.tag.concurrencylimit",
        Kind::Number,
        "reads are bounded without it",
    )
    .since(Since::From3("3.0")),
    Key::works(
        "storage.maintenance.uploadpurging.enabled",
        Kind::Boolean,
        Default::Value("true"),
        "Whether unfinished uploads are forgotten",
    ),
    Key::works(
        "storage.maintenance.uploadpurging.age",
        Kind::Duration,
        Default::Value("168h"),
        "How long after their last byte",
    ),
    Key::works(
        "storage.maintenance.uploadpurging.interval",
        Kind::Duration,
        Default::Value("24h"),
        "How often they are looked for; at least a minute",
    ),
    Key::works(
        "storage.maintenance.uploadpurging.dryrun",
        Kind::Boolean,
        Default::Value("false"),
        "Only say in the log which would be forgotten",
    ),
    Key::works(
        "storage.maintenance.readonly.enabled",
        Kind::Boolean,
        Default::Value("false"),
        "Refuse to change anything, with 405",
    ),
];

/// What `storage` says.
pub(super) struct Read {
    /// `None`: what is wrong has been said.
    pub(super) engine: Option<Storage>,
    pub(super) delete_enabled: Option<bool>,
    pub(super) purge: Option<Purge>,
    pub(super) read_only: bool,
}

/// Without a file, no engine is missed: there is a default.
pub(super) fn read(storage: &Section<'_>, has_file: bool) -> Read {
    let maintenance = storage.section("maintenance");
    let read_only = maintenance
        .section("readonly")
        .boolean("enabled")
        .unwrap_or(false);
    Read {
        delete_enabled: storage.section("delete").boolean("enabled"),
        purge: purge(&maintenance.section("uploadpurging")).filter(|_| !read_only),
        read_only,
        engine: engine(storage, has_file),
    }
}

fn purge(purging: &Section<'_>) -> Option<Purge> {
    const HOUR: Duration = Duration::from_secs(3600);
    const SHORTEST: Duration = Duration::from_secs(60);

    let age = purging.duration("age").unwrap_or(168 * HOUR);
    if age.is_zero() {
        purging.problem(
            "age",
            "must not be 0: uploads that are under way would be forgotten; write `168h`",
        );
    }
    let interval = purging.duration("interval").unwrap_or(24 * HOUR);
    if interval < SHORTEST {
        purging.warning("interval", "is too short; uploads are looked at once a minute");
    }
    let purge = Purge {
        age,
        interval: interval.max(SHORTEST),
        is_dry: purging.boolean("dryrun").unwrap_or(false),
    };
    purging.boolean("enabled").unwrap_or(true).then_some(purge)
}

/// The one section of `storage` that says where the data lies.
fn engine(storage: &Section<'_>, has_file: bool) -> Option<Storage> {
    let stores: Vec<&str> = ["filesystem", "inmemory"]
        .into_iter()
        .chain(later::STORES)
        .filter(|name| storage.has(name))
        .collect();
    let engines: Vec<Storage> = stores
        .iter()
        .map(|&name| match name {
            "filesystem" => filesystem(&storage.section("filesystem")),
            "inmemory" => Storage::InMemory,
            name => later::store(storage, name),
        })
        .collect();
    match &stores[..] {
        [] if has_file => storage.problem(
            "filesystem",
            "is missing; say where the data lies: `storage: {filesystem: {rootdirectory: /var/lib/registry}}`",
        ),
        [] => {
            return Some(Storage::Filesystem {
                root: DEFAULT_ROOT.into(),
            });
        }
        [_] => {}
        [.., last] => {
            let named: Vec<String> = stores
                .iter()
                .map(|name| format!("`{name}` ({})", storage.whence(name)))
                .collect();
            storage.problem_here(&format!(
                "names {} places for the data, {}; take out all but one, or choose one with `REGISTRY_STORAGE={last}`",
                stores.len(),
                named.join(" and ")
            ));
        }
    }
    engines.into_iter().next()
}

fn filesystem(filesystem: &Section<'_>) -> Storage {
    let root = filesystem.string("rootdirectory");
    Storage::Filesystem {
        root: root.unwrap_or_else(|| REGISTRY_2_ROOT.to_owned()).into(),
    }
}
