//! `notifications`: who is told of pushes and pulls.

use super::keys::{Key, Kind};

pub(super) const KEYS: &[Key] = &[
    Key::warned(
        "notifications",
        Kind::Section,
        "is not supported yet and has no effect",
    ),
    Key::below("notifications.events", Kind::Section).variable("EVENTCONFIG"),
    Key::below("notifications.events.includereferences", Kind::Boolean),
    Key::below("notifications.endpoints", Kind::List),
    Key::below("notifications.endpoints[].name", Kind::Text),
    Key::below("notifications.endpoints[].disabled", Kind::Boolean),
    Key::below("notifications.endpoints[].url", Kind::Text),
    Key::below(
        "notifications.endpoints[].headers",
        Kind::Headers { is_secret: true },
    ),
    Key::below("notifications.endpoints[].timeout", Kind::Duration),
    Key::below("notifications.endpoints[].threshold", Kind::Number),
    Key::below("notifications.endpoints[].backoff", Kind::Duration),
    Key::below("notifications.endpoints[].ignoredmediatypes", Kind::Texts),
    Key::below("notifications.endpoints[].ignore.mediatypes", Kind::Texts),
    Key::below("notifications.endpoints[].ignore.actions", Kind::Texts),
];
