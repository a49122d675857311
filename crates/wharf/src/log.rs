//! The application log: a line on stderr for each event, in the three forms of registry:2.

mod form;

use std::{
    fmt,
    io::{self, Write as _},
};

use jiff::Timestamp;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span,
    subscriber::Interest,
};

use self::form::Line;
use crate::config::{Log, LogFormat};

/// Our own crates speak as much as the operator wants; others from warnings on.
const OURS: &str = "wharf";

/// Every line from here on is written as `settings` says.
pub(crate) fn start(settings: Log) {
    let log = StderrLog {
        level: settings.level,
        format: settings.format,
        with_caller: settings.with_caller,
        context: context(settings.fields),
    };
    // It fails when there is a log already: then that one goes on.
    _ = tracing::subscriber::set_global_default(log);
}

/// What every line has: which process it is, and what the operator wants to tell apart.
fn context(fields: Vec<(String, String)>) -> Vec<(String, String)> {
    let own = [
        ("instance.id", uuid::Uuid::new_v4().to_string()),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value));
    own.into_iter().chain(fields).collect()
}

/// Events are all there is: no spans, no filters but the level, and so nothing to pay for when a level is off.
struct StderrLog {
    level: Level,
    format: LogFormat,
    with_caller: bool,
    context: Vec<(String, String)>,
}

impl StderrLog {
    fn is_wanted(&self, metadata: &Metadata<'_>) -> bool {
        let is_ours = metadata.target().starts_with(OURS);
        let level = if is_ours {
            self.level
        } else {
            self.level.min(Level::WARN)
        };
        !metadata.is_span() && *metadata.level() <= level
    }

    fn line(&self, event: &Event<'_>) -> String {
        let metadata = event.metadata();
        let mut line = Line::new(Timestamp::now(), *metadata.level());
        for (name, value) in &self.context {
            line.text(name, value);
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

impl Subscriber for StderrLog {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.is_wanted(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.is_wanted(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level.into())
    }

    fn event(&self, event: &Event<'_>) {
        // In one call, so that lines of two threads cannot mix. A closed stderr is no reason not to serve.
        _ = io::stderr().write_all(self.line(event).as_bytes());
    }

    // Spans are never enabled; one that is made nevertheless means nothing.
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Fields<'a>(&'a mut Line);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.0.message(value),
            name => self.0.text(name, value),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.value(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.value(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.value(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.value(field.name(), value.into());
    }
}
