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
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use http::{StatusCode, header, request::Parts};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinHandle,
    time,
};
use uuid::Uuid;

pub(crate) use self::span::Span;
use self::{context::Parent, otlp::Exporter};
use crate::{
    handler::Handler,
    metrics::{Exposition, SPANS, Source, number},
    redact,
};

/// Samples requests, and queues their spans for the collector.
pub struct Tracer {
    settings: TraceSettings,
    queue: mpsc::Sender<Box<Span>>,
    counts: Arc<Counts>,
    worker: Mutex<Option<JoinHandle<()>>>,
    stop: tokio::sync::watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Counts {
    exported: AtomicU64,
    dropped: AtomicU64,
}

impl Tracer {
    /// Starts the work of sending; needs a runtime.
    pub fn start(settings: TraceSettings) -> Arc<Self> {
        let (queue, spans) = mpsc::channel(settings.queue);
        let (stop, stopping) = tokio::sync::watch::channel(false);
        let counts = Arc::new(Counts::default());
        let worker = Worker {
            spans,
            stopping,
            exporter: Exporter::new(&settings),
            counts: Arc::clone(&counts),
            batch: settings.batch,
            delay: settings.delay,
            is_failing: false,
        };
        Arc::new(Self {
            settings,
            queue,
            counts,
            worker: Mutex::new(Some(tokio::spawn(worker.run()))),
            stop,
        })
    }

    /// The span of a request, if it is to be traced.
    pub(crate) fn begin(&self, parts: &Parts) -> Option<Box<Span>> {
        let parent = parts
            .headers
            .get("traceparent")
            .and_then(|value| Parent::parse(value.as_bytes()));
        let context = self.settings.sampler.sample(parent.as_ref())?;
        let now = SystemTime::now();
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let target = redact::target(target);
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
            None => (target.into_owned(), None),
        };
        let user_agent = parts.headers.get(header::USER_AGENT);
        Some(Box::new(Span {
            context,
            request_id: Uuid::nil(),
            parent: parent.map(|parent| parent.span),
            started: now,
            ended: now,
            method: parts.method.clone(),
            path,
            query,
            user_agent: user_agent.and_then(|agent| agent.to_str().ok().map(str::to_owned)),
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
        request_id: Uuid,
        handler: Option<&'static Handler>,
        status: StatusCode,
        sent: u64,
    ) {
        span.ended = SystemTime::now();
        span.request_id = request_id;
        (span.handler, span.status, span.sent) = (handler, status, sent);
        if self.queue.try_send(span).is_err() {
            self.counts.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Sends what waits, for as long as `patience` lasts. Later spans are lost.
    pub async fn stop(&self, patience: Duration) {
        self.stop.send_replace(true);
        if let Some(worker) = self.worker.lock().await.take()
            && time::timeout(patience, worker).await.is_err()
        {
            tracing::warn!("the collector of traces did not take the last ones in time");
        }
    }
}

struct Worker {
    spans: mpsc::Receiver<Box<Span>>,
    stopping: tokio::sync::watch::Receiver<bool>,
    exporter: Exporter,
    counts: Arc<Counts>,
    batch: usize,
    delay: Duration,
    is_failing: bool,
}

impl Worker {
    async fn run(mut self) {
        let mut batch = Vec::new();
        loop {
            let is_stopping = self.gather(&mut batch).await;
            while !batch.is_empty() {
                self.export(&batch).await;
                batch.clear();
                if is_stopping {
                    self.take_what_waits(&mut batch);
                }
            }
            if is_stopping {
                return;
            }
        }
    }

    /// Waits for a full batch, or for the delay after the first span of one that is not. Whether it is the last.
    async fn gather(&mut self, batch: &mut Vec<Span>) -> bool {
        let mut deadline = None;
        while batch.len() < self.batch {
            let rest = async {
                match deadline {
                    Some(deadline) => time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            let span = tokio::select! {
                span = self.spans.recv() => span,
                () = rest => return false,
                stopping = self.stopping.wait_for(|&is_stopping| is_stopping) => {
                    drop(stopping);
                    None
                }
            };
            let Some(span) = span else {
                self.take_what_waits(batch);
                return true;
            };
            batch.push(*span);
            deadline.get_or_insert_with(|| time::Instant::now() + self.delay);
        }
        false
    }

    fn take_what_waits(&mut self, batch: &mut Vec<Span>) {
        while batch.len() < self.batch
            && let Ok(span) = self.spans.try_recv()
        {
            batch.push(*span);
        }
    }

    /// A failure is logged once until it is over.
    async fn export(&mut self, batch: &[Span]) {
        let result = self.exporter.export(batch).await;
        let was_failing = std::mem::replace(&mut self.is_failing, result.is_err());
        let counter = match &result {
            Ok(()) => &self.counts.exported,
            Err(_) => &self.counts.dropped,
        };
        counter.fetch_add(batch.len() as u64, Relaxed);
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
