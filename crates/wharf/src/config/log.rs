//! `log`: how much is logged, and in which form.

use tracing::Level;
use wharf_http::AccessLogFormat;

use super::{
    Log, LogFormat,
    keys::{Key, Pairs, Since, keys, words},
    section::Section,
};

keys! {
    LEVEL: Level = Key::new("log.level").default("info").says("The least severe lines that are logged to stderr");
    FORMATTER: LogFormat = Key::new("log.formatter").default("text").says("The form of those lines");
    FIELDS: Pairs = Key::fields("log.fields").says("Names and values that every line has, to tell servers apart");
    ACCESS_LOG_DISABLED: bool = Key::new("log.accesslog.disabled")
        .default("false")
        .says("Do not write a line for each request to stdout");
    ACCESS_LOG_FORMAT: AccessLogFormat = Key::new("log.accesslog.format")
        .default("combined")
        .says("The form of those lines: Apache's, or an object of JSON")
        .since(Since::Ours);
    REPORT_CALLER: bool = Key::new("log.reportcaller")
        .default("false")
        .says("Name the line of the source code that logs")
        .since(Since::From3("3.0"));
}

words! { Level: "error" => Self::ERROR, "warn" => Self::WARN, "info" => Self::INFO, "debug" => Self::DEBUG }

words! { LogFormat: "text" => Self::Text, "json" => Self::Json, "logstash" => Self::Logstash }

words! { AccessLogFormat: "combined" => Self::Combined, "json" => Self::Json }

pub(super) fn read(root: &Section<'_>) -> Log {
    let fields = root.get(FIELDS).into_iter();
    Log {
        level: root.get(LEVEL),
        format: root.get(FORMATTER),
        with_caller: root.get(REPORT_CALLER),
        fields: fields.map(|(name, values)| (name, values.join(", "))).collect(),
        access_log: (!root.get(ACCESS_LOG_DISABLED)).then(|| root.get(ACCESS_LOG_FORMAT)),
    }
}
