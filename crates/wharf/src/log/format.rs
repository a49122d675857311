//! The formats of a log line, as logrus writes them, because existing tools parse these.

use std::{collections::BTreeMap, fmt::Write as _};

use jiff::Timestamp;
use serde_json::Value;
use tracing::Level;

/// One event.
#[derive(Debug)]
pub(super) struct LogLine {
    time: Timestamp,
    level: Level,
    message: String,
    /// Sorted by name, as logrus writes them.
    fields: BTreeMap<String, Value>,
}

impl LogLine {
    pub(super) fn new(time: Timestamp, level: Level) -> Self {
        Self {
            time,
            level,
            message: String::new(),
            fields: BTreeMap::new(),
        }
    }

    pub(super) fn message(&mut self, message: &str) {
        message.clone_into(&mut self.message);
    }

    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.value(name, value.into());
    }

    pub(super) fn value(&mut self, name: &str, value: Value) {
        self.fields.insert(name.to_owned(), value);
    }

    /// `time="…" level=info msg="…" name=value`
    pub(super) fn as_text(&self) -> String {
        let mut line = format!("time=\"{}\" level={} msg=", self.time, self.level());
        append_quoted(&mut line, &self.message);
        for (name, value) in self.fields_beside(&["time", "level", "msg"]) {
            _ = write!(line, " {name}=");
            match value {
                Value::String(text) => append_quoted(&mut line, text),
                other => _ = write!(line, "{other}"),
            }
        }
        line.push('\n');
        line
    }

    /// `{"level":"info","msg":"…","time":"…"}`
    pub(super) fn as_json(&self) -> String {
        self.object([
            ("level", self.level()),
            ("msg", &self.message),
            ("time", &self.time.to_string()),
        ])
    }

    /// `{"@timestamp":"…","@version":"1","level":"info","message":"…"}`
    pub(super) fn as_logstash(&self) -> String {
        self.object([
            ("@timestamp", &*self.time.to_string()),
            ("@version", "1"),
            ("level", self.level()),
            ("message", &self.message),
        ])
    }

    fn object<const N: usize>(&self, own: [(&str, &str); N]) -> String {
        let names = own.map(|(name, _)| name);
        let own = own.map(|(name, value)| (name.to_owned(), value.into()));
        let fields = self
            .fields_beside(&names)
            .map(|(name, value)| (name, value.clone()));
        let object: BTreeMap<String, Value> = fields.chain(own).collect();
        // Texts and values of JSON always have a JSON form.
        let mut line = serde_json::to_string(&object).unwrap_or_default();
        line.push('\n');
        line
    }

    /// The fields; a field with the name of a part of the line gets the prefix `fields.`.
    fn fields_beside(&self, own: &[&str]) -> impl Iterator<Item = (String, &Value)> {
        self.fields.iter().map(|(name, value)| match &**name {
            name if own.contains(&name) => (format!("fields.{name}"), value),
            name => (name.to_owned(), value),
        })
    }

    fn level(&self) -> &'static str {
        match self.level {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "info",
            _ => "debug",
        }
    }
}

/// Appends a value as logrus does: bare if it has only these characters, else quoted as in Go.
fn append_quoted(line: &mut String, text: &str) {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '/' | '@' | '^' | '+');
    if text.chars().all(is_bare) {
        line.push_str(text);
        return;
    }
    line.push('"');
    for character in text.chars() {
        _ = match character {
            '"' | '\\' => write!(line, "\\{character}"),
            '\n' => write!(line, "\\n"),
            '\r' => write!(line, "\\r"),
            '\t' => write!(line, "\\t"),
            c if c.is_ascii_control() => write!(line, "\\x{:02x}", u32::from(c)),
            // Among them characters that change the direction of writing, or are invisible: a line must show them.
            c if !c.is_ascii() && c.escape_debug().len() > 1 => match u32::from(c) {
                code @ ..=0xffff => write!(line, "\\u{code:04x}"),
                code => write!(line, "\\U{code:08x}"),
            },
            c => write!(line, "{c}"),
        };
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> LogLine {
        let mut line = LogLine::new("2026-11-21T14:56:51.7200Z".parse().unwrap(), Level::WARN);
        line.message("it \"happened\"\n");
        line.text("vars.name", "a/b");
        line.text("http.request.host", "localhost:5000");
        line.value("http.response.status", 404.into());
        line.text("msg", "not the message");
        line
    }

    #[test]
    fn text_looks_as_logrus_writes_it() {
        assert_eq!(
            line().as_text(),
            "time=\"2026-11-21T14:56:51.72Z\" level=warning msg=\"it \\\"happened\\\"\\n\" \
             http.request.host=\"localhost:5000\" http.response.status=404 fields.msg=\"not the message\" vars.name=a/b\n"
        );
    }

    #[test]
    fn json_and_logstash_are_one_object_a_line() {
        assert_eq!(
            line().as_json(),
            "{\"fields.msg\":\"not the message\",\"http.request.host\":\"localhost:5000\",\"http.response.status\":404,\
             \"level\":\"warning\",\"msg\":\"it \\\"happened\\\"\\n\",\"time\":\"2026-11-21T14:56:51.72Z\",\"vars.name\":\"a/b\"}\n"
        );
        assert_eq!(
            line().as_logstash(),
            "{\"@timestamp\":\"2026-11-21T14:56:51.72Z\",\"@version\":\"1\",\"http.request.host\":\"localhost:5000\",\
             \"http.response.status\":404,\"level\":\"warning\",\"message\":\"it \\\"happened\\\"\\n\",\
             \"msg\":\"not the message\",\"vars.name\":\"a/b\"}\n"
        );
    }

    #[test]
    fn nothing_in_a_text_ends_its_line_or_hides() {
        for (text, expected) in [
            ("", ""),
            ("abc-1.2_/@^+", "abc-1.2_/@^+"),
            ("a b", "\"a b\""),
            ("a=b", "\"a=b\""),
            ("\u{1b}[2J\r\n", "\"\\x1b[2J\\r\\n\""),
            ("é", "\"é\""),
            ("\u{202e}x", "\"\\u202ex\""),
            ("\u{e0001}", "\"\\U000e0001\""),
        ] {
            let mut line = String::new();
            append_quoted(&mut line, text);
            assert_eq!(line, expected);
        }
    }
}
