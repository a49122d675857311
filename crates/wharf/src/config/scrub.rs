//! `scrub`: reading all blobs again and again, to notice damage.

use std::{num::NonZeroU64, time::Duration};

use wharf_document::words::cut;
use wharf_registry::ScrubOptions;

use super::{
    keys::{Key, Positive, Since, keys},
    section::Section,
    size::bytes,
};

keys! {
    ENABLED: bool = Key::new("scrub.enabled")
        .default("true")
        .help("Whether the server reads all blobs again and again, to notice damaged ones before their images are needed")
        .since(Since::Ours);
    INTERVAL: Positive<Duration> = Key::new("scrub.interval")
        .default("30d")
        .help("Time from the beginning of one round over all blobs to that of the next; at least an hour")
        .since(Since::Ours);
    RATE: String = Key::new("scrub.rate")
        .default("10MiB")
        .help("Bytes that are read in a second at most, such as `10MiB`")
        .since(Since::Ours);
}

/// The shortest time between two rounds.
const SHORTEST: Duration = Duration::from_secs(60 * 60);

/// Reads `scrub`. `None`: blobs are not read.
pub(super) fn read(root: &Section<'_>) -> Option<ScrubOptions> {
    let Positive(interval) = root.get(INTERVAL);
    if interval < SHORTEST {
        root.warning(
            INTERVAL,
            "is less than an hour, the shortest interval, which is used",
        );
    }
    let text = root.get(RATE);
    let rate = bytes(&text).and_then(NonZeroU64::new);
    if rate.is_none() {
        let text = format!("must be a size such as `10MiB`, not `{}`", cut(&text));
        root.problem(RATE, &text);
    }
    root.get(ENABLED).then_some(())?;
    Some(ScrubOptions {
        interval: interval.max(SHORTEST),
        rate: rate?,
    })
}
