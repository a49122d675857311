//! `activity`: the log of who did what, and its bounds.

use std::time::Duration;

use wharf_document::words::cut;

use super::{
    ActivityLog,
    keys::{Key, Positive, Since, keys},
    section::Section,
    size::bytes,
};

keys! {
    DISABLED: bool = Key::new("activity.disabled")
        .default("false")
        .help("Keep no activity log, and do not count pulls")
        .since(Since::Ours);
    SIZE: String = Key::new("activity.size")
        .default("100MiB")
        .help("Size of the activity log, such as `64MiB` or `2GiB`, beyond which its oldest part is removed")
        .since(Since::Ours);
    AGE: Positive<Duration> = Key::new("activity.age")
        .default("90d")
        .help("Age after which a part of the activity log is removed")
        .since(Since::Ours);
}

/// The smallest log, in bytes: segments of a useful size fit into it.
const SMALLEST: u64 = 1 << 20;

/// Reads `activity`. `None`: there is no log.
pub(super) fn read(root: &Section<'_>) -> Option<ActivityLog> {
    let text = root.get(SIZE);
    let size = match bytes(&text) {
        Some(size) => size.max(SMALLEST),
        None => {
            let text = format!("must be a size such as `64MiB` or `2GiB`, not `{}`", cut(&text));
            root.problem(SIZE, &text);
            SMALLEST
        }
    };
    if bytes(&text).is_some_and(|size| size < SMALLEST) {
        root.warning(SIZE, "is less than 1 MiB, the smallest size, which is used");
    }
    (!root.get(DISABLED)).then(|| ActivityLog {
        size,
        age: root.get(AGE).0,
    })
}
