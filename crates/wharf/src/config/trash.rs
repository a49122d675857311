//! `trash`: how long deletions can be taken back, and when the trash makes room.

use std::time::Duration;

use wharf_document::words::cut;
use wharf_registry::Pressure;

use super::{
    keys::{Key, Since, keys},
    section::Section,
    size::bytes,
};

keys! {
    RETENTION: Duration = Key::new("trash.retention")
        .default("7d")
        .help("How long what was deleted can be restored, and keeps its bytes; `0`: not at all")
        .since(Since::Ours);
    PRESSURE: String = Key::new("trash.pressure")
        .default("5%")
        .help("Free space of the file system, such as `5%` or `20GiB`, below which collections give the oldest deletions in the trash up; `0`: never. A bucket has no such limit")
        .since(Since::Ours);
}

/// Reads `trash`: the retention, and the pressure.
pub(super) fn read(root: &Section<'_>) -> (Duration, Pressure) {
    let text = root.get(PRESSURE);
    let pressure = pressure(&text).unwrap_or_else(|| {
        let text = format!(
            "must be a part such as `5%`, a size such as `20GiB`, or `0`, not `{}`",
            cut(&text)
        );
        root.problem(PRESSURE, &text);
        Pressure::Off
    });
    (root.get(RETENTION), pressure)
}

/// A part of the file system, or a size.
fn pressure(text: &str) -> Option<Pressure> {
    let text = text.trim();
    if let Some(percent) = text.strip_suffix('%') {
        let percent: u8 = percent.trim_end().parse().ok()?;
        return match percent {
            0 => Some(Pressure::Off),
            1..100 => Some(Pressure::Percent(percent)),
            _ => None,
        };
    }
    match text {
        "0" => Some(Pressure::Off),
        _ => bytes(text).map(Pressure::Bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_is_a_part_or_a_size() {
        for (text, expected) in [
            ("5%", Some(Pressure::Percent(5))),
            (" 99 % ", Some(Pressure::Percent(99))),
            ("20GiB", Some(Pressure::Bytes(20 << 30))),
            ("0", Some(Pressure::Off)),
            ("0%", Some(Pressure::Off)),
            ("100%", None),
            ("-1%", None),
            ("%", None),
            ("much", None),
            ("", None),
        ] {
            assert_eq!(pressure(text), expected, "{text}");
        }
    }
}
