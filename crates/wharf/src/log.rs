//! The application log: a line on stderr for each event, in the three formats of registry:2.

mod format;

use std::{
    cell::RefCell,
    fmt,
    io::{self, Write as _},
    sync::OnceLock,
};

use jiff::Timestamp;
use serde_json::Value;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
};
use tracing_core::span::Current;
use wharf_http::RequestId;

use self::format::LogLine;
use crate::{
    config::{Log, LogFormat},
    version,
};

/// Prefix of our own crates, which log at the configured level; other crates log warnings and errors only.
const OURS: &str = "wharf";

/// Starts the log with `settings`.
pub(crate) fn start(settings: Log) {
    let log = StderrLog {
        request: OnceLock::new(),
        level: settings.level,
        format: settings.format,
        with_caller: settings.with_caller,
        context: context(settings.fields),
    };
    // It fails when there is a log already, which then stays.
    _ = tracing::subscriber::set_global_default(log);
}

/// The fields of every line: those that identify the process, and the configured ones.
fn context(fields: Vec<(String, String)>) -> Vec<(String, String)> {
    let own = [
        ("instance.id", uuid::Uuid::new_v4().to_string()),
        ("version", version::VERSION.to_owned()),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value));
    own.into_iter().chain(fields).collect()
}

/// Writes events, with the id of the request in whose span they are. A level that is off costs nothing.
///
/// The registry of spans of `tracing-subscriber` would cost each request 2,000 instructions, a tenth of a small GET.
/// Here the spans are those of requests only, and [`RequestId`] says all of them: nothing is stored for a span.
struct StderrLog {
    level: Level,
    format: LogFormat,
    with_caller: bool,
    context: Vec<(String, String)>,
    /// The metadata of the span of a request, once there was one.
    request: OnceLock<&'static Metadata<'static>>,
}

thread_local! {
    /// The spans that this thread is in, the innermost last.
    static ENTERED: RefCell<Vec<Id>> = const { RefCell::new(Vec::new()) };
}

impl StderrLog {
    fn line(&self, event: &Event<'_>) -> String {
        let metadata = event.metadata();
        let mut line = LogLine::new(Timestamp::now(), *metadata.level());
        for (name, value) in &self.context {
            line.text(name, value);
        }
        if let Some(span) = innermost() {
            line.text("http.request.id", &RequestId::from(&span).uuid().to_string());
        }
        event.record(&mut Fields(&mut line));
        if let (true, Some(file)) = (self.with_caller, metadata.file()) {
            let number = metadata.line().unwrap_or(0);
            line.text("file", &format!("{file}:{number}"));
            line.text("func", metadata.module_path().unwrap_or(metadata.target()));
        }
        match self.format {
            LogFormat::Text => line.as_text(),
            LogFormat::Json => line.as_json(),
            LogFormat::Logstash => line.as_logstash(),
        }
    }
}

/// The innermost span that this thread is in.
fn innermost() -> Option<Id> {
    ENTERED.with_borrow(|entered| entered.last().cloned())
}

impl Subscriber for StderrLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let is_ours = metadata.target().starts_with(OURS);
        if metadata.is_span() {
            return RequestId::is_span(metadata);
        }
        let level = match is_ours {
            true => self.level,
            false => self.level.min(Level::WARN),
        };
        *metadata.level() <= level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level.into())
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        self.request.get_or_init(|| attributes.metadata());
        RequestId::of_span(attributes).into()
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        // In one call, so that lines of two threads cannot mix. A closed stderr is no reason not to serve.
        _ = io::stderr().write_all(self.line(event).as_bytes());
    }

    fn enter(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(span.clone()));
    }

    fn exit(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| {
            if let Some(place) = entered.iter().rposition(|other| other == span) {
                entered.remove(place);
            }
        });
    }

    fn current_span(&self) -> Current {
        match (innermost(), self.request.get()) {
            (Some(span), Some(metadata)) => Current::new(span, metadata),
            _ => Current::none(),
        }
    }
}

/// Puts the fields of an event into its line.
struct Fields<'a>(&'a mut LogLine);

impl Fields<'_> {
    fn put(&mut self, name: &str, value: Value) {
        match (name, value) {
            ("message", Value::String(text)) => self.0.message(&text),
            (name, value) => self.0.value(name, value),
        }
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value.into());
    }
}
