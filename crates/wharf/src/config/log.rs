//! `log`: how much is said, and in which form.

use wharf_http::AccessLogFormat;

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
        "The form of what is said",
    ),
    Key::works(
        "log.fields",
        Kind::Fields,
        Default::None,
        "Names and values that every line has, to tell servers apart",
    ),
    Key::works(
        "log.accesslog.disabled",
        Kind::Boolean,
        Default::Value("false"),
        "Do not write a line for each request to stdout",
    ),
    Key::works(
        "log.accesslog.format",
        Kind::Word(&["combined", "json"]),
        Default::Value("combined"),
        "The form of those lines: Apache's, or an object of JSON",
    )
    .since(Since::Ours),
    Key::works(
        "log.reportcaller",
        Kind::Boolean,
        Default::Value("false"),
        "Name the line of the program that speaks",
    )
    .since(Since::From3("3.0")),
];

pub(super) fn read(log: &Section<'_>) -> Log {
    let formats = [
        ("text", LogFormat::Text),
        ("json", LogFormat::Json),
        ("logstash", LogFormat::Logstash),
    ];
    let access_formats = [
        ("combined", AccessLogFormat::Combined),
        ("json", AccessLogFormat::Json),
    ];
    let access_log = log.section("accesslog");
    let access_format = access_log.choice("format", &access_formats).unwrap_or_default();
    let is_disabled = access_log.boolean("disabled").unwrap_or(false);
    let fields = log.pairs("fields").into_iter();
    Log {
        level: log.choice("level", &LEVELS).unwrap_or(tracing::Level::INFO),
        format: log.choice("formatter", &formats).unwrap_or(LogFormat::Text),
        with_caller: log.boolean("reportcaller").unwrap_or(false),
        fields: fields
            .map(|(name, values)| (name.to_owned(), values.join(", ")))
            .collect(),
        access_log: (!is_disabled).then_some(access_format),
    }
}
