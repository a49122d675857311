//! `history`: how long tags keep what they pointed at.

use std::time::Duration;

use super::{
    keys::{Key, Since, keys},
    section::Section,
};

keys! {
    RETENTION: Duration = Key::new("history.retention")
        .default("30d")
        .help("How long a tag that was moved keeps what it pointed at before, where manifests without a tag are removed")
        .since(Since::Ours);
}

/// Reads `history`: the retention.
pub(super) fn read(root: &Section<'_>) -> Duration {
    root.get(RETENTION)
}
