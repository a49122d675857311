//! The application log: a line on stderr for each event, in the three formats of registry:2.

mod format;

use std::{cell::RefCell, fmt, io, panic, sync::OnceLock, time::Duration};

use jiff::Timestamp;
use serde_json::Value;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
};
use tracing_core::span::Current;
use wharf_http::{LogWriter, RequestId};

use self::format::LogLine;
use crate::{
    config::{Log, LogFormat},
    version,
};

/// Prefix of our own crates, which log at the configured level; other crates log warnings and errors only.
const OURS: &str = "wharf";

/// The last lines may take so much time: the reader of standard error may stand still.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The writer of the log, once it was started.
static WRITER: OnceLock<LogWriter> = OnceLock::new();

/// Starts the log with `settings`, on a thread of its own. Panics are lines of it.
///
/// # Errors
///
/// When the system gives no thread.
pub(crate) fn start(settings: Log) -> io::Result<()> {
    let writer = LogWriter::start("application log", Duration::ZERO, io::stderr())?;
    let log = StderrLog {
        request: OnceLock::new(),
        level: settings.level,
        format: settings.format,
        with_caller: settings.with_caller,
        context: context(settings.fields),
        writer: WRITER.get_or_init(|| writer).clone(),
    };
    // It fails when there is a log already, which then stays.
    if tracing::subscriber::set_global_default(log).is_ok() {
        panic::set_hook(Box::new(|panic| {
            tracing::error!("{panic}");
            // The process may end with it.
            flush();
        }));
    }
    Ok(())
}

/// Waits, for a limited time, until all lines are written.
pub(crate) fn flush() {
    if let Some(writer) = WRITER.get() {
        writer.flush(LAST_LINES);
    }
}

/// How many lines were dropped because the reader of standard error was too slow.
pub(crate) fn dropped() -> u64 {
    WRITER.get().map_or(0, LogWriter::dropped)
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
    writer: LogWriter,
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
        let line = self.line(event);
        self.writer
            .append(|lines, ()| lines.extend_from_slice(line.as_bytes()));
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
