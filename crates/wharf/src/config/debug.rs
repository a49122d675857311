//! `http.debug`: a second port, for those who watch.

use super::keys::{Key, Kind};

pub(super) const KEYS: &[Key] = &[
    Key::warned(
        "http.debug",
        Kind::Section,
        "is not supported yet and has no effect",
    ),
    Key::below("http.debug.addr", Kind::Text),
    Key::below("http.debug.prometheus.enabled", Kind::Boolean),
    Key::below("http.debug.prometheus.path", Kind::Text),
];
