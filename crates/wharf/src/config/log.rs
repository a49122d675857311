//! `log`: how much is said, and in which form.

use super::{Log, LogFormat, raw::Section};

/// What may be said in `log.level`.
pub(super) const LEVELS: [(&str, tracing::Level); 4] = [
    ("error", tracing::Level::ERROR),
    ("warn", tracing::Level::WARN),
    ("info", tracing::Level::INFO),
    ("debug", tracing::Level::DEBUG),
];

/// `deprecated` is the `loglevel` of old configurations.
pub(super) fn read(mut log: Section<'_>, deprecated: Option<tracing::Level>) -> Log {
    let level = log.choice("level", &LEVELS).or(deprecated);
    let format = match log.string("formatter").as_deref() {
        None | Some("text") => LogFormat::Text,
        Some("json") => LogFormat::Json,
        Some("logstash") => {
            log.warning("formatter", "`logstash` is not supported yet; `json` is used");
            LogFormat::Json
        }
        Some(other) => {
            log.problem("formatter", &format!("must be `text` or `json`, not `{other}`"));
            LogFormat::Text
        }
    };
    let mut access_log = log.section("accesslog");
    let is_disabled = access_log.boolean("disabled").unwrap_or(false);
    access_log.finish();
    log.ignore(&["reportcaller"]);
    log.finish();
    Log {
        level: level.unwrap_or(tracing::Level::INFO),
        format,
        access_log: !is_disabled,
    }
}
