//! Traces for OpenTelemetry: one span for each sampled request, sent in batches as OTLP over HTTP in JSON.
//!
//! The SDK of OpenTelemetry would bring more than twenty crates (tonic and prost among them) for what is a queue, a
//! JSON document and a POST. This one speaks plain HTTP to a collector nearby, and nothing waits for it: when the queue
//! is full or the collector away, spans are dropped and counted.

mod context;
mod otlp;
mod settings;
mod span;

pub use self::settings::TraceSettings;

use std::{
    fmt, mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use http::{StatusCode, header, request::Parts};
use tokio::{sync::mpsc, time};
use wharf_workers::{Error, Supervisor, Unit, Work, Worker};

pub(crate) use self::span::Span;
use self::{context::Parent, otlp::Exporter};
use crate::{
    handler::Handler,
    metrics::{Exposition, SPANS, Source, number},
    redact,
    request_id::RequestId,
};

/// Samples requests, and queues their spans for the collector.
pub struct Tracer {
    settings: TraceSettings,
    queue: mpsc::Sender<Box<Span>>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    exported: AtomicU64,
    dropped: AtomicU64,
}

impl Tracer {
    /// Starts the worker that sends; needs a runtime. When `supervisor` stops it, it sends what waits.
    pub fn start(settings: TraceSettings, supervisor: &Supervisor) -> Arc<Self> {
        let (queue, spans) = mpsc::channel(settings.queue);
        let counts = Arc::new(Counts::default());
        supervisor.spawn(Export {
            spans,
            batch: Vec::new(),
            size: settings.batch,
            delay: settings.delay,
            exporter: Exporter::new(&settings),
            counts: Arc::clone(&counts),
            is_failing: false,
        });
        Arc::new(Self {
            settings,
            queue,
            counts,
        })
    }

    /// The span of `request`, if it is to be traced.
    pub(crate) fn begin(&self, request: RequestId, parts: &Parts) -> Option<Box<Span>> {
        let parent = parts
            .headers
            .get("traceparent")
            .and_then(|value| Parent::parse(value.as_bytes()));
        let context = self.settings.sampler.sample(parent.as_ref())?;
        let now = SystemTime::now();
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let target = redact::target(target);
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (redact::cut(path).to_owned(), Some(redact::cut(query).to_owned())),
            None => (redact::cut(&target).to_owned(), None),
        };
        let user_agent = parts.headers.get(header::USER_AGENT);
        Some(Box::new(Span {
            context,
            request,
            parent: parent.map(|parent| parent.span),
            started: now,
            ended: now,
            method: parts.method.clone(),
            path,
            query,
            user_agent: user_agent.and_then(|agent| Some(redact::cut(agent.to_str().ok()?).to_owned())),
            protocol: match parts.version {
                http::Version::HTTP_2 => "2",
                http::Version::HTTP_10 => "1.0",
                _ => "1.1",
            },
            handler: None,
            status: StatusCode::OK,
            sent: 0,
        }))
    }

    /// A request that [began](Self::begin) is over.
    pub(crate) fn end(
        &self,
        mut span: Box<Span>,
        handler: Option<&'static Handler>,
        status: StatusCode,
        sent: u64,
    ) {
        span.ended = SystemTime::now();
        (span.handler, span.status, span.sent) = (handler, status, sent);
        if self.queue.try_send(span).is_err() {
            self.counts.dropped.fetch_add(1, Relaxed);
        }
    }
}

/// Sends spans in batches.
struct Export {
    spans: mpsc::Receiver<Box<Span>>,
    /// The spans that are sent next.
    batch: Vec<Span>,
    size: usize,
    delay: Duration,
    exporter: Exporter,
    counts: Arc<Counts>,
    is_failing: bool,
}

impl Worker for Export {
    fn name(&self) -> String {
        "trace export".to_owned()
    }

    /// Sends one batch.
    async fn work(&mut self) -> Unit {
        if self.batch.is_empty() {
            return Ok(match self.spans.is_closed() && self.spans.is_empty() {
                true => Work::Done,
                false => Work::Idle,
            });
        }
        let batch = mem::take(&mut self.batch);
        let result = self.exporter.export(&batch).await;
        self.count(batch.len(), &result);
        match result {
            Ok(()) => Ok(Work::Busy),
            // The batch is gone, and the next one has its own chance.
            Err(why) => Err(Error::expected(why, Duration::ZERO)),
        }
    }

    /// Gathers a full batch, or what came in during the delay after the first span of one that is not.
    async fn wait(&mut self) {
        let Some(first) = self.spans.recv().await else {
            return;
        };
        self.batch.push(*first);
        let deadline = time::Instant::now() + self.delay;
        while self.batch.len() < self.size
            && let Ok(Some(span)) = time::timeout_at(deadline, self.spans.recv()).await
        {
            self.batch.push(*span);
        }
    }

    async fn drain(&mut self) {
        loop {
            while self.batch.len() < self.size
                && let Ok(span) = self.spans.try_recv()
            {
                self.batch.push(*span);
            }
            if self.batch.is_empty() {
                return;
            }
            // A failure was counted and logged.
            _ = self.work().await;
        }
    }
}

impl Export {
    /// A failure is logged once until it is over.
    fn count(&mut self, spans: usize, result: &Result<(), String>) {
        let was_failing = mem::replace(&mut self.is_failing, result.is_err());
        let counter = match result {
            Ok(()) => &self.counts.exported,
            Err(_) => &self.counts.dropped,
        };
        counter.fetch_add(spans as u64, Relaxed);
        match result {
            Err(why) if !was_failing => tracing::warn!(
                reason = why,
                "traces cannot be sent and are dropped until they can; `OTEL_EXPORTER_OTLP_ENDPOINT` says where to"
            ),
            Ok(()) if was_failing => tracing::info!("traces can be sent again"),
            Ok(()) | Err(_) => {}
        }
    }
}

/// The metrics of a tracer.
#[derive(Debug)]
pub struct TraceMetrics(
    /// The tracer whose spans are counted.
    pub Arc<Tracer>,
);

impl Source for TraceMetrics {
    fn write(&self, page: &mut Exposition) {
        let Counts { exported, dropped } = &*self.0.counts;
        let mut spans = page.family(&SPANS);
        spans.value(&["dropped"], number(dropped.load(Relaxed)));
        spans.value(&["exported"], number(exported.load(Relaxed)));
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tracer")
    }
}
