//! `log`: how much is said, and in which form.

use super::{
    Log, LogFormat,
    keys::{Default, Key, Kind, Since},
    raw::Section,
};

const LEVELS: [(&str, tracing::Level); 4] = [
    ("error", tracing::Level::ERROR),
    ("warn", tracing::Level::WARN),
    ("info", tracing::Level::INFO),
    ("debug", tracing::Level::DEBUG),
];

pub(super) const KEYS: &[Key] = &[
    Key::works(
        "log.level",
        Kind::Word(&["error", "warn", "info", "debug"]),
        Default::Value("info"),
        "How much is said on stderr",
    ),
    Key::alias("loglevel", "log.level"),
    Key::works(
        "log.formatter",
        Kind::Word(&["text", "json", "logstash"]),
        Default::Value("text"),
        "The form of what is said; `logstash` is written as `json`",
    ),
    Key::warned(
        "log.fields",
        Kind::Fields,
        "is not supported yet and has no effect",
    ),
    Key::works(
        "log.accesslog.disabled",
        Kind::Boolean,
        Default::Value("false"),
        "Do not write a line for each request to stdout",
    ),
    Key::accepted(
        "log.reportcaller",
        Kind::Boolean,
        "each line names the part of the program that wrote it anyway",
    )
    .since(Since::From3("3.0")),
];

pub(super) fn read(log: &Section<'_>) -> Log {
    let formats = [
        ("text", LogFormat::Text),
        ("json", LogFormat::Json),
        ("logstash", LogFormat::Json),
    ];
    let is_disabled = log.section("accesslog").boolean("disabled").unwrap_or(false);
    Log {
        level: log.choice("level", &LEVELS).unwrap_or(tracing::Level::INFO),
        format: log.choice("formatter", &formats).unwrap_or(LogFormat::Text),
        access_log: !is_disabled,
    }
}
