//! `health`: what is looked at to tell whether the server is well.

use super::keys::{Key, Kind};

const NOT_YET: &str = "is not supported yet and has no effect";

pub(super) const KEYS: &[Key] = &[
    Key::warned("health.storagedriver", Kind::Section, NOT_YET),
    Key::below("health.storagedriver.enabled", Kind::Boolean),
    Key::below("health.storagedriver.interval", Kind::Duration),
    Key::below("health.storagedriver.threshold", Kind::Number),
    Key::warned("health.file", Kind::List, NOT_YET).variable("FILECHECKERS"),
    Key::below("health.file[].file", Kind::Text),
    Key::below("health.file[].interval", Kind::Duration),
    Key::below("health.file[].threshold", Kind::Number),
    Key::warned("health.http", Kind::List, NOT_YET).variable("HTTPCHECKERS"),
    Key::below("health.http[].uri", Kind::Text),
    Key::below("health.http[].headers", Kind::Headers { is_secret: true }),
    Key::below("health.http[].statuscode", Kind::Number),
    Key::below("health.http[].timeout", Kind::Duration),
    Key::below("health.http[].interval", Kind::Duration),
    Key::below("health.http[].threshold", Kind::Number),
    Key::warned("health.tcp", Kind::List, NOT_YET).variable("TCPCHECKERS"),
    Key::below("health.tcp[].addr", Kind::Text),
    Key::below("health.tcp[].timeout", Kind::Duration),
    Key::below("health.tcp[].interval", Kind::Duration),
    Key::below("health.tcp[].threshold", Kind::Number),
];
