//! The access log: a line for each request, in Apache's combined format as registry:2 writes it.

mod exclude;

pub use self::exclude::{AccessLogExclusions, Pattern};

use std::{io::Write, net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version, header, request};
use jiff::Timestamp;

use crate::{log_writer::LogWriter, redact};

/// Time for which lines are gathered before they are written together.
const GATHER: Duration = Duration::from_millis(50);

/// The access log. Clones share it.
#[derive(Clone)]
pub struct AccessLog {
    format: AccessLogFormat,
    excluded: Arc<AccessLogExclusions>,
    writer: LogWriter<Stamp>,
}

/// Format of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccessLogFormat {
    /// Apache's combined format.
    #[default]
    Combined,
    /// A JSON object, with the field names of the application log.
    Json,
}

/// The text of a second.
#[derive(Debug)]
struct Stamp {
    /// Seconds since the epoch.
    second: i64,
    text: String,
}

impl Default for Stamp {
    fn default() -> Self {
        Self {
            second: i64::MIN,
            text: String::new(),
        }
    }
}

/// The line of a request. Status, user and bytes are set when the request ends.
#[derive(Debug)]
pub(crate) struct AccessLogLine {
    client: Option<IpAddr>,
    method: Method,
    uri: Uri,
    version: Version,
    referer: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    user: Option<Arc<str>>,
    status: StatusCode,
    bytes: u64,
}

impl AccessLog {
    /// A log that writes to `sink`, on a thread of its own.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(sink: impl Write + Send + 'static) -> std::io::Result<Self> {
        Self::with_format(sink, AccessLogFormat::default())
    }

    /// A log whose lines have the format `format`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn with_format(sink: impl Write + Send + 'static, format: AccessLogFormat) -> std::io::Result<Self> {
        Ok(Self {
            format,
            excluded: Arc::default(),
            writer: LogWriter::start("access log", GATHER, sink)?,
        })
    }

    /// The same log, without lines for the requests in `excluded`.
    #[must_use]
    pub fn excluding(self, excluded: AccessLogExclusions) -> Self {
        Self {
            excluded: Arc::new(excluded),
            ..self
        }
    }

    /// The line of a request of `client`, which is the address behind trusted proxies; `None`: it has none.
    pub(crate) fn line(
        &self,
        client: Option<IpAddr>,
        request: &request::Parts,
    ) -> Option<Box<AccessLogLine>> {
        let has_line = !self.excluded.covers(client, request);
        has_line.then(|| Box::new(AccessLogLine::new(client, request)))
    }

    /// Waits until all lines are written, for at most `patience`. Returns whether they are.
    pub fn flush(&self, patience: Duration) -> bool {
        self.writer.flush(patience)
    }

    /// How many lines were dropped.
    pub fn dropped(&self) -> u64 {
        self.writer.dropped()
    }

    pub(crate) fn write(&self, line: &AccessLogLine) {
        self.writer.append(|lines, stamp| {
            let now = Timestamp::now();
            if now.as_second() != stamp.second {
                stamp.second = now.as_second();
                stamp.text = now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
            }
            match self.format {
                AccessLogFormat::Combined => line.append_combined(lines, &stamp.text),
                AccessLogFormat::Json => line.append_json(lines, now),
            }
        });
    }
}

impl AccessLogLine {
    /// `client`: the address of the client behind trusted proxies; `None` if it is unknown.
    pub(crate) fn new(client: Option<IpAddr>, request: &request::Parts) -> Self {
        let header = |name: header::HeaderName| header_of(&request.headers, &name);
        Self {
            client,
            method: request.method.clone(),
            uri: request.uri.clone(),
            version: request.version,
            referer: header(header::REFERER),
            user_agent: header(header::USER_AGENT),
            user: None,
            status: StatusCode::OK,
            bytes: 0,
        }
    }

    /// Sets the fields that are known when the answer is complete, or given up.
    pub(crate) fn finished(&mut self, status: StatusCode, user: Option<Arc<str>>, bytes: u64) {
        (self.status, self.user, self.bytes) = (status, user, bytes);
    }

    fn append_json(&self, out: &mut Vec<u8>, now: Timestamp) {
        let text = |value: Option<&HeaderValue>| {
            let text = String::from_utf8_lossy(value?.as_bytes()).into_owned();
            Some(text)
        };
        let referer =
            text(self.referer.as_ref()).map(|referer| redact::cut(&redact::url(&referer)).to_owned());
        let line = serde_json::json!({
            "time": now.to_string(),
            "http.request.remoteaddr": self.client.map(|client| client.to_string()),
            "auth.user.name": self.user.as_deref(),
            "http.request.method": self.method.as_str(),
            "http.request.uri": redact::cut(&redact::target(self.target())),
            "http.request.version": format!("{:?}", self.version),
            "http.request.referer": referer,
            "http.request.useragent": text(self.user_agent.as_ref()).as_deref().map(redact::cut),
            "http.response.status": self.status.as_u16(),
            "http.response.written": self.bytes,
        });
        // Writing to a vector cannot fail.
        _ = writeln!(out, "{line}");
    }

    fn target(&self) -> &str {
        self.uri.path_and_query().map_or("/", |target| target.as_str())
    }

    fn append_combined(&self, out: &mut Vec<u8>, stamp: &str) {
        let Self {
            client,
            method,
            uri: _,
            version,
            referer,
            user_agent,
            user,
            status,
            bytes,
        } = self;
        // Writing to a vector cannot fail.
        _ = match client {
            Some(client) => write!(out, "{client} - "),
            None => write!(out, "- - "),
        };
        append_user(out, user.as_deref());
        _ = write!(out, " [{stamp}] \"{method} ");
        append_escaped(out, redact::cut(&redact::target(self.target())).as_bytes());
        _ = write!(out, " {version:?}\" {} {bytes} \"", status.as_u16());
        match referer.as_ref().map(|referer| referer.to_str()) {
            Some(Ok(referer)) => append_escaped(out, redact::cut(&redact::url(referer)).as_bytes()),
            Some(Err(_)) => append_escaped(out, b"not ASCII"),
            None => {}
        }
        out.extend_from_slice(b"\" \"");
        let user_agent = user_agent.as_ref().map_or(&b""[..], HeaderValue::as_bytes);
        append_escaped(out, redact::cut_bytes(user_agent));
        out.extend_from_slice(b"\"\n");
    }
}

impl std::fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessLog")
    }
}

fn header_of(headers: &HeaderMap, name: &header::HeaderName) -> Option<HeaderValue> {
    headers.get(name).cloned()
}

/// Appends the user, a field that only spaces delimit: spaces in a name are escaped, and so is a name that is `-`,
/// which stands for no user.
fn append_user(out: &mut Vec<u8>, user: Option<&str>) {
    match user {
        None => out.push(b'-'),
        Some("-") => out.extend_from_slice(b"\\x2d"),
        Some(name) => {
            for (index, word) in name.split(' ').enumerate() {
                if index > 0 {
                    out.extend_from_slice(b"\\x20");
                }
                append_escaped(out, word.as_bytes());
            }
        }
    }
}

/// Appends text of the client, escaped so that it cannot end its field or the line.
fn append_escaped(out: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            _ => _ = write!(out, "\\x{byte:02x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    struct Sink(mpsc::Sender<Vec<u8>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(std::io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_has_the_combined_format_and_stays_one_line() {
        let (sender, receiver) = mpsc::channel();
        let log = AccessLog::new(Sink(sender)).unwrap();
        let (parts, ()) = http::Request::get("/v2/a/tags/list?n=1")
            .header("user-agent", HeaderValue::from_bytes(b"evil\" \\ \xff").unwrap())
            .body(())
            .unwrap()
            .into_parts();
        let mut line = AccessLogLine::new(Some([127, 0, 0, 1].into()), &parts);
        line.finished(StatusCode::NOT_FOUND, None, 12);
        log.write(&line);
        assert!(log.flush(Duration::from_secs(60)));

        let text = String::from_utf8(receiver.recv().unwrap()).unwrap();
        assert!(text.starts_with("127.0.0.1 - - ["), "{text}");
        let rest = text.split_once("] ").unwrap().1;
        assert_eq!(
            rest,
            "\"GET /v2/a/tags/list?n=1 HTTP/1.1\" 404 12 \"\" \"evil\\\" \\\\ \\xff\"\n"
        );
    }

    #[test]
    fn long_texts_of_clients_are_cut() {
        let long = "x".repeat(20_000);
        let (parts, ()) = http::Request::get(format!("/{long}?{long}"))
            .header("user-agent", &long)
            .header("referer", format!("http://u:{long}@h/{long}"))
            .body(())
            .unwrap()
            .into_parts();
        let line = AccessLogLine::new(None, &parts);
        let mut out = Vec::new();
        line.append_combined(&mut out, "now");
        line.append_json(&mut out, Timestamp::now());
        for line in String::from_utf8(out).unwrap().lines() {
            assert!(line.len() < 4000 && line.contains("http://REDACTED@h/"), "{line}");
        }
    }

    #[test]
    fn a_user_stays_one_word() {
        for (user, expected) in [
            (None, "-"),
            (Some("alice"), "alice"),
            (Some("-"), "\\x2d"),
            (Some("a b\"] \u{e9}"), "a\\x20b\\\"]\\x20\\xc3\\xa9"),
        ] {
            let mut out = Vec::new();
            append_user(&mut out, user);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{user:?}");
        }
    }

    #[test]
    fn a_line_may_be_json_and_shows_no_secret() {
        let (sender, receiver) = mpsc::channel();
        let log = AccessLog::with_format(Sink(sender), AccessLogFormat::Json).unwrap();
        let (parts, ()) = http::Request::put("/v2/a/blobs/uploads/u?_state=hunter2&digest=d")
            .header("referer", "http://joe:hunter2@example.com/x")
            .body(())
            .unwrap()
            .into_parts();
        let mut line = AccessLogLine::new(None, &parts);
        line.finished(StatusCode::OK, None, 12);
        log.write(&line);
        assert!(log.flush(Duration::from_secs(60)));

        let text = String::from_utf8(receiver.recv().unwrap()).unwrap();
        assert!(text.ends_with("}\n") && !text.contains("hunter2"), "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            line["http.request.uri"],
            "/v2/a/blobs/uploads/u?_state=REDACTED&digest=d"
        );
        assert_eq!(line["http.request.referer"], "http://REDACTED@example.com/x");
        assert_eq!(line["http.response.written"], 12);
        assert_eq!(line["http.request.remoteaddr"], serde_json::Value::Null);
        let mut combined = Vec::new();
        AccessLogLine::new(None, &parts).append_combined(&mut combined, "now");
        let combined = String::from_utf8(combined).unwrap();
        assert!(
            combined.contains("_state=REDACTED&digest=d") && !combined.contains("hunter2"),
            "{combined}"
        );
    }
}
