//! `activity`: the log of who did what, and its bounds.

use std::time::Duration;

use wharf_document::words::cut;

use super::{
    ActivityLog,
    keys::{Key, Positive, Since, keys},
    section::Section,
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

/// The bytes of `64MiB`, `2 GiB`, `500KB` or `1000000`; units by 1024 have an `i`.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return None,
    };
    let bytes = number.parse::<u64>().ok()?.checked_mul(factor)?;
    (bytes > 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, expected) in [
            ("100MiB", Some(100 << 20)),
            (" 2 GiB ", Some(2 << 30)),
            ("500kB", Some(500_000)),
            ("64m", Some(64 << 20)),
            ("1000000", Some(1_000_000)),
            ("0", None),
            ("", None),
            ("MiB", None),
            ("1.5GiB", None),
            ("-1", None),
            ("99999999999TiB", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
