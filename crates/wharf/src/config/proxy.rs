//! `proxy`: to be a cache of another registry.

use super::keys::{Key, Kind, Since};

pub(super) const KEYS: &[Key] = &[
    Key::refused(
        "proxy",
        Kind::Section,
        "is not supported yet; this server would be an ordinary registry, not a cache of another one",
    ),
    Key::below("proxy.remoteurl", Kind::Text),
    Key::below("proxy.username", Kind::Text),
    Key::below("proxy.password", Kind::Secret),
    Key::below("proxy.exec.command", Kind::Text).since(Since::From3("3.0")),
    Key::below("proxy.exec.lifetime", Kind::Duration).since(Since::From3("3.0")),
    Key::below("proxy.ttl", Kind::Duration).since(Since::From3("3.0")),
    Key::below("proxy.cachewritetimeout", Kind::Duration).since(Since::From3("3.1")),
];
