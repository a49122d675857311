//! The metrics of requests and connections: counters at fixed places, added to without locks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{Method, StatusCode};

use super::{
    table::{
        BUILD_INFO, CONNECTIONS, CONNECTIONS_TOTAL, HTTP_DURATION, HTTP_IN_FLIGHT, HTTP_REQUEST_SIZE,
        HTTP_REQUESTS, HTTP_RESPONSE_SIZE,
    },
    text::{Exposition, Source, number},
};
use crate::handler::Handler;

/// Bounds of the histogram of durations in seconds, as in registry:2.
const DURATIONS: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0,
];

/// Number of bounds of the histograms of sizes: 1 KiB, doubled up to 2 GiB, as in registry:2.
const SIZES: usize = 22;
const FIRST_SIZE: u64 = 1 << 10;

/// Statuses that have a counter of their own. All others, which no handler gives, share the counter after these.
const CODES: [u16; 28] = [
    200, 201, 202, 204, 206, 301, 304, 307, 400, 401, 403, 404, 405, 406, 408, 409, 411, 412, 413, 415, 416,
    422, 429, 499, 500, 501, 503, 507,
];
const OTHER_CODE: &str = "other";

/// A method as a label. Unknown methods share one: clients must not be able to invent labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MethodLabel {
    Delete,
    Get,
    Head,
    Options,
    Patch,
    Post,
    Put,
    Unknown,
}

impl MethodLabel {
    const ALL: [Self; 8] = [
        Self::Delete,
        Self::Get,
        Self::Head,
        Self::Options,
        Self::Patch,
        Self::Post,
        Self::Put,
        Self::Unknown,
    ];

    pub(crate) fn of(method: &Method) -> Self {
        match *method {
            Method::DELETE => Self::Delete,
            Method::GET => Self::Get,
            Method::HEAD => Self::Head,
            Method::OPTIONS => Self::Options,
            Method::PATCH => Self::Patch,
            Method::POST => Self::Post,
            Method::PUT => Self::Put,
            _ => Self::Unknown,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Get => "get",
            Self::Head => "head",
            Self::Options => "options",
            Self::Patch => "patch",
            Self::Post => "post",
            Self::Put => "put",
            Self::Unknown => "unknown",
        }
    }
}

/// Measurements of a request, taken at its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) handler: &'static Handler,
    pub(crate) method: MethodLabel,
    pub(crate) status: StatusCode,
    pub(crate) took: Duration,
    /// Size of the head and of the announced body, in bytes.
    pub(crate) request: u64,
    /// Bytes of the body that were sent.
    pub(crate) response: u64,
}

/// The counters of requests, by the handlers of one surface, and of connections.
#[derive(Debug)]
pub struct HttpMetrics {
    handlers: Box<[HandlerMeter]>,
    connections: AtomicU64,
    connections_total: AtomicU64,
}

#[derive(Debug)]
struct HandlerMeter {
    name: &'static str,
    in_flight: AtomicU64,
    methods: [MethodMeter; MethodLabel::ALL.len()],
    request_sizes: Histogram<{ SIZES + 1 }>,
    response_sizes: Histogram<{ SIZES + 1 }>,
}

#[derive(Debug, Default)]
struct MethodMeter {
    codes: [AtomicU64; CODES.len() + 1],
    durations: Histogram<{ DURATIONS.len() + 1 }>,
}

/// A histogram. Each observation counts in one bucket only; buckets are added up when the page is read.
#[derive(Debug)]
struct Histogram<const BUCKETS: usize> {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

impl<const BUCKETS: usize> Default for Histogram<BUCKETS> {
    fn default() -> Self {
        Self {
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
            sum: AtomicU64::new(0),
        }
    }
}

impl<const BUCKETS: usize> Histogram<BUCKETS> {
    fn observe(&self, bucket: usize, value: u64) {
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    /// Number of observations up to each bucket, and the sum of their values. `None` without observations.
    fn read(&self) -> Option<([u64; BUCKETS], u64)> {
        let mut so_far = 0;
        let cumulative = self.buckets.each_ref().map(|bucket| {
            so_far += bucket.load(Relaxed);
            so_far
        });
        (so_far > 0).then(|| (cumulative, self.sum.load(Relaxed)))
    }
}

/// Counts a connection for as long as it lives.
#[derive(Debug)]
pub(crate) struct CountedConnection(Arc<HttpMetrics>);

impl Drop for CountedConnection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

impl HttpMetrics {
    /// Counters for requests to these handlers, whose indices are their places in the list.
    pub fn new(handlers: &[Handler]) -> Self {
        debug_assert!(
            handlers
                .iter()
                .enumerate()
                .all(|(place, handler)| handler.index == place)
        );
        Self {
            handlers: handlers
                .iter()
                .map(|handler| HandlerMeter::new(handler.name))
                .collect(),
            connections: AtomicU64::new(0),
            connections_total: AtomicU64::new(0),
        }
    }

    /// Total bytes of answers that this handler has sent.
    pub fn response_bytes(&self, handler: &Handler) -> u64 {
        let meter = self.handlers.get(handler.index);
        meter.map_or(0, |meter| meter.response_sizes.sum.load(Relaxed))
    }

    /// Counts an accepted connection, which is open until the result is dropped.
    pub(crate) fn connection(self: Arc<Self>) -> CountedConnection {
        self.connections_total.fetch_add(1, Relaxed);
        self.connections.fetch_add(1, Relaxed);
        CountedConnection(self)
    }

    /// Counts a request whose handler is known as in flight.
    pub(crate) fn began(&self, handler: &Handler) {
        if let Some(meter) = self.handlers.get(handler.index) {
            meter.in_flight.fetch_add(1, Relaxed);
        }
    }

    /// Counts the end of a request that [began](Self::began).
    pub(crate) fn ended(&self, sample: &Sample) {
        let Some(handler) = self.handlers.get(sample.handler.index) else {
            return;
        };
        handler.in_flight.fetch_sub(1, Relaxed);
        handler
            .request_sizes
            .observe(size_bucket(sample.request), sample.request);
        handler
            .response_sizes
            .observe(size_bucket(sample.response), sample.response);
        let method = &handler.methods[sample.method as usize];
        method.codes[code_index(sample.status)].fetch_add(1, Relaxed);
        let nanoseconds = u64::try_from(sample.took.as_nanos()).unwrap_or(u64::MAX);
        method
            .durations
            .observe(duration_bucket(sample.took), nanoseconds);
    }

    fn write_requests(&self, page: &mut Exposition) {
        let mut in_flight = page.family(&HTTP_IN_FLIGHT);
        for (handler, meter) in self.by_handler() {
            in_flight.value(&[handler], number(meter.in_flight.load(Relaxed)));
        }
        let mut durations = page.family(&HTTP_DURATION);
        for (handler, method, meter) in self.by_method() {
            if let Some((cumulative, nanoseconds)) = meter.durations.read() {
                let count = cumulative[DURATIONS.len()];
                let seconds = Duration::from_nanos(nanoseconds).as_secs_f64();
                let bounds = DURATIONS.into_iter().zip(cumulative);
                durations.histogram(&[handler, method], bounds, count, seconds);
            }
        }
        let mut requests = page.family(&HTTP_REQUESTS);
        for (handler, method, meter) in self.by_method() {
            for (index, counter) in meter.codes.iter().enumerate() {
                let count = counter.load(Relaxed);
                if count > 0 {
                    let code = CODES
                        .get(index)
                        .map_or_else(|| OTHER_CODE.to_owned(), u16::to_string);
                    requests.value(&[&code, handler, method], number(count));
                }
            }
        }
    }

    fn write_sizes(&self, page: &mut Exposition) {
        type Sizes = fn(&HandlerMeter) -> &Histogram<{ SIZES + 1 }>;
        let both: [(_, Sizes); 2] = [
            (&HTTP_REQUEST_SIZE, |meter| &meter.request_sizes),
            (&HTTP_RESPONSE_SIZE, |meter| &meter.response_sizes),
        ];
        for (metric, sizes) in both {
            let mut family = page.family(metric);
            for (handler, meter) in self.by_handler() {
                if let Some((cumulative, sum)) = sizes(meter).read() {
                    let bounds = (0..SIZES).map(|power| number(FIRST_SIZE << power));
                    family.histogram(&[handler], bounds.zip(cumulative), cumulative[SIZES], number(sum));
                }
            }
        }
    }

    fn by_handler(&self) -> impl Iterator<Item = (&'static str, &HandlerMeter)> {
        self.handlers.iter().map(|meter| (meter.name, meter))
    }

    fn by_method(&self) -> impl Iterator<Item = (&'static str, &'static str, &MethodMeter)> {
        self.by_handler().flat_map(|(handler, meter)| {
            let methods = MethodLabel::ALL.iter().zip(&meter.methods);
            methods.map(move |(method, meter)| (handler, method.name(), meter))
        })
    }
}

/// Version, commit and build of the program.
#[derive(Debug, Clone, Copy)]
pub struct BuildInfo {
    /// Version of the program.
    pub version: &'static str,
    /// Commit of its sources.
    pub commit: &'static str,
    /// Profile and target of the compiler.
    pub build: &'static str,
}

impl Source for BuildInfo {
    fn write(&self, page: &mut Exposition) {
        page.family(&BUILD_INFO)
            .value(&[self.build, self.commit, self.version], 1.0);
    }
}

impl Source for HttpMetrics {
    fn write(&self, page: &mut Exposition) {
        self.write_requests(page);
        self.write_sizes(page);
        let read = |counter: &AtomicU64| number(counter.load(Relaxed));
        page.family(&CONNECTIONS).value(&[], read(&self.connections));
        page.family(&CONNECTIONS_TOTAL)
            .value(&[], read(&self.connections_total));
    }
}

impl HandlerMeter {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            in_flight: AtomicU64::new(0),
            methods: Default::default(),
            request_sizes: Histogram::default(),
            response_sizes: Histogram::default(),
        }
    }
}

fn code_index(status: StatusCode) -> usize {
    let code = status.as_u16();
    CODES
        .iter()
        .position(|&known| known == code)
        .unwrap_or(CODES.len())
}

fn duration_bucket(took: Duration) -> usize {
    let seconds = took.as_secs_f64();
    DURATIONS
        .iter()
        .position(|&bound| seconds <= bound)
        .unwrap_or(DURATIONS.len())
}

/// The first bucket whose bound is not smaller.
fn size_bucket(bytes: u64) -> usize {
    let kibibytes = bytes.div_ceil(FIRST_SIZE).max(1);
    // At most 55.
    let power = kibibytes.next_power_of_two().trailing_zeros() as usize;
    power.min(SIZES)
}

#[cfg(test)]
mod tests {
    use super::*;

    static HANDLERS: [Handler; 2] = [
        Handler {
            index: 0,
            name: "tags",
            route: "/tags",
        },
        Handler {
            index: 1,
            name: "blob",
            route: "/blob",
        },
    ];
    const TAGS: &Handler = &HANDLERS[0];
    const BLOB: &Handler = &HANDLERS[1];

    fn page(metrics: &HttpMetrics) -> String {
        let mut page = Exposition::default();
        metrics.write(&mut page);
        page.finish()
    }

    fn sample(handler: &'static Handler) -> Sample {
        Sample {
            handler,
            method: MethodLabel::Get,
            status: StatusCode::OK,
            took: Duration::from_millis(7),
            request: 300,
            response: 5000,
        }
    }

    #[test]
    fn numbers_of_enums_are_their_places() {
        for (place, method) in MethodLabel::ALL.into_iter().enumerate() {
            assert_eq!(method as usize, place, "{method:?}");
        }
        assert!(CODES.is_sorted());
    }

    #[test]
    fn sizes_fall_into_the_first_bucket_that_holds_them() {
        for (bytes, bucket) in [
            (0, 0),
            (1024, 0),
            (1025, 1),
            (2048, 1),
            (2049, 2),
            (1 << 31, 21),
            ((1 << 31) + 1, 22),
            (u64::MAX / 2, 22),
        ] {
            assert_eq!(size_bucket(bytes), bucket, "{bytes}");
        }
    }

    #[test]
    fn a_request_shows_once_in_each_of_its_metrics() {
        let metrics = HttpMetrics::new(&HANDLERS);
        metrics.began(BLOB);
        assert!(page(&metrics).contains("registry_http_in_flight_requests{handler=\"blob\"} 1\n"));
        metrics.ended(&sample(BLOB));
        let page = page(&metrics);
        for line in [
            "registry_http_in_flight_requests{handler=\"blob\"} 0",
            "registry_http_requests_total{code=\"200\",handler=\"blob\",method=\"get\"} 1",
            "registry_http_request_duration_seconds_bucket{handler=\"blob\",method=\"get\",le=\"0.005\"} 0",
            "registry_http_request_duration_seconds_bucket{handler=\"blob\",method=\"get\",le=\"0.01\"} 1",
            "registry_http_request_duration_seconds_bucket{handler=\"blob\",method=\"get\",le=\"60\"} 1",
            "registry_http_request_duration_seconds_sum{handler=\"blob\",method=\"get\"} 0.007",
            "registry_http_request_size_bytes_bucket{handler=\"blob\",le=\"1024\"} 1",
            "registry_http_response_size_bytes_bucket{handler=\"blob\",le=\"4096\"} 0",
            "registry_http_response_size_bytes_bucket{handler=\"blob\",le=\"8192\"} 1",
            "registry_http_response_size_bytes_bucket{handler=\"blob\",le=\"2.147483648e+09\"} 1",
            "registry_http_response_size_bytes_sum{handler=\"blob\"} 5000",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
        assert!(
            !page.contains("handler=\"tags\",method"),
            "what never happened is not shown"
        );
    }

    #[test]
    fn unknown_statuses_and_methods_share_a_label() {
        let metrics = HttpMetrics::new(&HANDLERS);
        metrics.began(TAGS);
        metrics.ended(&Sample {
            method: MethodLabel::of(&Method::from_bytes(b"BREW").unwrap()),
            status: StatusCode::IM_A_TEAPOT,
            ..sample(TAGS)
        });
        let expected = "registry_http_requests_total{code=\"other\",handler=\"tags\",method=\"unknown\"} 1\n";
        assert!(page(&metrics).contains(expected));
    }

    #[test]
    fn connections_count_while_they_last() {
        let metrics = Arc::new(HttpMetrics::new(&HANDLERS));
        let connection = Arc::clone(&metrics).connection();
        assert!(page(&metrics).contains("wharf_connections 1\n"));
        drop(connection);
        let page = page(&metrics);
        assert!(page.contains("wharf_connections 0\n") && page.contains("wharf_connections_total 1\n"));
    }
}
