//! `trash`: how long deletions can be taken back.

use std::time::Duration;

use super::{
    keys::{Key, Since, keys},
    section::Section,
};

keys! {
    RETENTION: Duration = Key::new("trash.retention")
        .default("7d")
        .help("How long what was deleted can be restored, and keeps its bytes; `0`: not at all")
        .since(Since::Ours);
}

/// Reads `trash`: the retention.
pub(super) fn read(root: &Section<'_>) -> Duration {
    root.get(RETENTION)
}
