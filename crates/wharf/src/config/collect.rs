//! `collect`: the collection of garbage beside requests.

use std::time::Duration;

use super::{
    Collect,
    keys::{Key, Positive, Since, keys},
    section::Section,
};

keys! {
    ENABLED: bool = Key::new("collect.enabled")
        .default("true")
        .help("Collect garbage while the server runs, where deleting is enabled; `wharf gc` asks for it at any time")
        .since(Since::Ours);
    INTERVAL: Positive<Duration> = Key::new("collect.interval")
        .default("6h")
        .help("Pause between two collections")
        .since(Since::Ours);
    GRACE: Duration = Key::new("collect.grace")
        .default("1h")
        .help("Age below which nothing is garbage, because the manifest that needs it may be on its way")
        .since(Since::Ours);
    UNTAGGED: bool = Key::new("collect.untagged")
        .default("false")
        .help("Before each collection, delete manifests that no tag reaches: older than `collect.grace`, and for `history.retention` at no tag")
        .since(Since::Ours);
    FOREIGN_WRITERS: String = Key::new("collect.foreignwriters")
        .default("refuse")
        .help("Whether to collect in a bucket to which another registry writes: `refuse`, or `ignore` if that has ended")
        .since(Since::Ours);
}

/// Reads `collect`.
pub(super) fn read(root: &Section<'_>) -> Collect {
    let foreign = root.get(FOREIGN_WRITERS);
    if !matches!(&*foreign, "refuse" | "ignore") {
        root.problem(FOREIGN_WRITERS, "must be `refuse` or `ignore`");
    }
    Collect {
        is_scheduled: root.get(ENABLED),
        interval: root.get(INTERVAL).0,
        grace: root.get(GRACE),
        untagged: root.get(UNTAGGED),
        ignores_foreign_writers: foreign == "ignore",
    }
}
