//! The application log: a line on stderr for each event, in the three formats of registry:2.

mod format;

use std::{
    fmt,
    io::{self, Write as _},
};

use jiff::Timestamp;
use serde_json::Value;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span::{Attributes, Id},
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt as _},
    registry::{LookupSpan, Scope},
};

use self::format::LogLine;
use crate::config::{Log, LogFormat};

/// Prefix of our own crates, which log at the configured level; other crates log warnings and errors only.
const OURS: &str = "wharf";

/// Starts the log with `settings`.
pub(crate) fn start(settings: Log) {
    let log = StderrLog {
        level: settings.level,
        format: settings.format,
        with_caller: settings.with_caller,
        context: context(settings.fields),
    };
    // It fails when there is a log already, which then stays.
    _ = tracing::subscriber::set_global_default(Registry::default().with(log));
}

/// The fields of every line: those that identify the process, and the configured ones.
fn context(fields: Vec<(String, String)>) -> Vec<(String, String)> {
    let own = [
        ("instance.id", uuid::Uuid::new_v4().to_string()),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value));
    own.into_iter().chain(fields).collect()
}

/// Writes events with the fields of their spans. A level that is off costs nothing. Only spans at the level of errors
/// are recorded; each request has one.
struct StderrLog {
    level: Level,
    format: LogFormat,
    with_caller: bool,
    context: Vec<(String, String)>,
}

/// The fields of a span, kept for the events in it.
#[derive(Default)]
struct SpanFields(Vec<(&'static str, Value)>);

impl StderrLog {
    fn is_wanted(&self, metadata: &Metadata<'_>) -> bool {
        let is_ours = metadata.target().starts_with(OURS);
        let level = match metadata.is_span() {
            true if is_ours => Level::ERROR,
            true => return false,
            false if is_ours => self.level,
            false => self.level.min(Level::WARN),
        };
        *metadata.level() <= level
    }

    fn line<S>(&self, event: &Event<'_>, within: &Context<'_, S>) -> String
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let metadata = event.metadata();
        let mut line = LogLine::new(Timestamp::now(), *metadata.level());
        for (name, value) in &self.context {
            line.text(name, value);
        }
        for span in within.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(SpanFields(fields)) = span.extensions().get() {
                for (name, value) in fields {
                    line.value(name, value.clone());
                }
            }
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

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for StderrLog {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.is_wanted(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level.into())
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = SpanFields::default();
        attributes.record(&mut Fields(&mut fields));
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        // In one call, so that lines of two threads cannot mix. A closed stderr is no reason not to serve.
        _ = io::stderr().write_all(self.line(event, &context).as_bytes());
    }
}

/// A destination of fields.
trait Sink {
    fn put(&mut self, name: &'static str, value: Value);
}

impl Sink for SpanFields {
    fn put(&mut self, name: &'static str, value: Value) {
        self.0.push((name, value));
    }
}

impl Sink for LogLine {
    fn put(&mut self, name: &'static str, value: Value) {
        match (name, value) {
            ("message", Value::String(text)) => self.message(&text),
            (name, value) => self.value(name, value),
        }
    }
}

struct Fields<'a, T>(&'a mut T);

impl<T: Sink> Visit for Fields<'_, T> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.put(field.name(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.put(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.put(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.put(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.put(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.put(field.name(), value.into());
    }
}
