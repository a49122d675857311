//! How each row is measured, on a server that is running.

use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::attack::{Attacks, Target};
use super::content::{BigBlobs, Image, MANIFEST_TYPE};
use super::feature::Feature;
use super::load::{Limit, Load, Outcome, request};
use super::machine::Machine;
use super::process::{Meter, Span, memory_kib};
use super::push;
use super::seed::{BIG_BLOB, IMAGE_REPOSITORY, SCREEN_REPOSITORY, TAG_REPOSITORY};
use super::server::{Running, Stage};
use super::store::Store;

const CONNECTIONS: usize = 16;
const HONEST_CONNECTIONS: usize = 4;
pub(super) const SMALL_REPOSITORIES: usize = 50;
pub(super) const SMALL_CLIENTS: usize = 8;
const CHUNK: usize = 10 << 20;
const CROWD: usize = 64;
const CROWD_BLOB: usize = 32 << 20;

/// A server's turn at a row.
pub(crate) struct Turn<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) server: &'a Running,
    pub(crate) feature: Feature,
    pub(crate) quick: bool,
    pub(crate) pushes: &'a Pushes,
}

/// Figures of one turn, in the order of the row's metrics.
pub(crate) struct Reading {
    pub(crate) values: Vec<f64>,
    pub(crate) span: Span,
    /// Median and 99th percentile in microseconds.
    pub(crate) latency: Option<[u32; 2]>,
}

/// How a row is measured.
#[derive(Clone, Copy)]
pub(crate) enum Measure {
    /// By requests to the server.
    Serving(fn(&Turn<'_>) -> Result<Reading>),
    /// By garbage collections, which may need a server that runs and may need that it does not.
    Collecting(fn(&Store<'_>) -> Result<Reading>),
    /// By copies of an image between two registries of wharf, in which programs are compared and not servers.
    Copying,
}

/// Content of the push rows, made once.
#[derive(Default)]
pub(crate) struct Pushes {
    big: std::sync::OnceLock<BigBlobs>,
    crowd: std::sync::OnceLock<BigBlobs>,
    images: std::sync::OnceLock<Vec<Image>>,
}

impl Pushes {
    fn big(&self) -> &BigBlobs {
        self.big.get_or_init(|| BigBlobs::new(BIG_BLOB))
    }

    fn crowd(&self) -> &BigBlobs {
        self.crowd.get_or_init(|| BigBlobs::new(CROWD_BLOB))
    }

    /// What the machine itself does with this content, in `directory`.
    pub(crate) fn machine(&self, directory: &Path) -> Result<Machine> {
        Machine::measure(self.big().get(0).prefix, SMALL_CLIENTS, directory)
    }

    fn images(&self, quick: bool) -> &[Image] {
        self.images
            .get_or_init(|| (0..if quick { 300 } else { 1_000 }).map(Image::small).collect())
    }
}

pub(crate) fn big_get_1(turn: &Turn<'_>) -> Result<Reading> {
    turn.big_get(1)
}

pub(crate) fn big_get_8(turn: &Turn<'_>) -> Result<Reading> {
    turn.big_get(8)
}

/// How evenly eight transfers that run together are served.
pub(crate) fn big_get_fairness(turn: &Turn<'_>) -> Result<Reading> {
    let (connections, each) = (8, if turn.quick { 4 } else { 12 });
    let requests = [turn.big_request()];
    turn.load(&requests, 1, false, Limit::Each(1)).run()?;
    let meter = turn.meter()?;
    let mut outcome = turn
        .load(&requests, connections, false, Limit::Each(each))
        .run()?;
    let span = meter.stop()?;
    let [median, worst] = outcome.median_and_p99().context("no transfer ended")?;
    Ok(Reading {
        values: vec![f64::from(worst) / 1e3, f64::from(worst) / f64::from(median)],
        span,
        latency: Some([median, worst]),
    })
}

pub(crate) fn big_get_tls(turn: &Turn<'_>) -> Result<Reading> {
    let materials = turn.stage.materials.as_ref().context("keys were not made")?;
    let times = if turn.quick { 4 } else { 10 };
    let path = format!("/v2/{IMAGE_REPOSITORY}/blobs/{}", turn.stage.images.big);
    materials.get_by_tls(turn.server.address, &path, 1)?;
    let meter = turn.meter()?;
    materials.get_by_tls(turn.server.address, &path, times)?;
    Ok(bytes_moved((times * BIG_BLOB) as f64, meter.stop()?))
}

pub(crate) fn small_get(turn: &Turn<'_>) -> Result<Reading> {
    let small = turn
        .stage
        .images
        .small
        .iter()
        .flat_map(|(_, image)| &image.layers);
    let path = |digest: &str| format!("/v2/{IMAGE_REPOSITORY}/blobs/{digest}");
    let requests: Vec<_> = small
        .map(|layer| turn.request("GET", &path(&layer.digest)))
        .collect();
    turn.requests(&requests, false)
}

pub(crate) fn manifest_get(turn: &Turn<'_>) -> Result<Reading> {
    turn.requests(&turn.manifest_requests("GET"), false)
}

pub(crate) fn manifest_head(turn: &Turn<'_>) -> Result<Reading> {
    turn.requests(&turn.manifest_requests("HEAD"), true)
}

pub(crate) fn version(turn: &Turn<'_>) -> Result<Reading> {
    turn.requests(&[turn.request("GET", "/v2/")], false)
}

pub(crate) fn tags_page(turn: &Turn<'_>) -> Result<Reading> {
    turn.requests(
        &[turn.request(
            "GET",
            &format!("/v2/{TAG_REPOSITORY}/tags/list?n=100&last=build-04999"),
        )],
        false,
    )
}

pub(crate) fn tags_all(turn: &Turn<'_>) -> Result<Reading> {
    turn.requests(
        &[turn.request("GET", &format!("/v2/{TAG_REPOSITORY}/tags/list"))],
        false,
    )
}

pub(crate) fn tags_screen(turn: &Turn<'_>) -> Result<Reading> {
    turn.screen(&format!("/api/v1/tags?repository={SCREEN_REPOSITORY}&limit=1000"))
}

pub(crate) fn tags_html(turn: &Turn<'_>) -> Result<Reading> {
    turn.screen(&format!("/ui/repo/{TAG_REPOSITORY}"))
}

pub(crate) fn repositories_html(turn: &Turn<'_>) -> Result<Reading> {
    turn.screen("/ui/")
}

pub(crate) fn catalog_page(turn: &Turn<'_>) -> Result<Reading> {
    turn.requests(&[turn.catalog_request()], false)
}

/// As one client alone asks: no walk of the tree is shared.
pub(crate) fn catalog_page_alone(turn: &Turn<'_>) -> Result<Reading> {
    turn.requests_over(1, &[turn.catalog_request()], false)
}

pub(crate) fn push_in_one_put(turn: &Turn<'_>) -> Result<Reading> {
    turn.big_pushes(|client, blob| push::in_one_put(client, "bench/push", blob))
}

pub(crate) fn push_in_chunks(turn: &Turn<'_>) -> Result<Reading> {
    turn.big_pushes(|client, blob| push::in_chunks(client, "bench/push", blob, CHUNK))
}

pub(crate) fn push_images(turn: &Turn<'_>) -> Result<Reading> {
    let images = turn.pushes.images(turn.quick);
    let meter = turn.meter()?;
    push::images(turn.server.address, images, SMALL_CLIENTS, SMALL_REPOSITORIES)?;
    Ok(things_done(images.len() as f64, meter.stop()?, None))
}

/// Manifest GETs of honest clients while hostile ones attack, and the memory that the server has taken at most.
pub(crate) fn hostile(turn: &Turn<'_>) -> Result<Reading> {
    let materials = turn.stage.materials.as_ref();
    let authorization = materials.and_then(|materials| materials.authorization(turn.feature));
    let target = Target {
        address: turn.server.address,
        repository: IMAGE_REPOSITORY.to_owned(),
        blob: turn.stage.images.big.clone(),
        authorization: authorization.context("the attacks need a user")?,
    };
    let requests = turn.manifest_requests("GET");
    turn.load(&requests, 1, false, Limit::Each(1)).run()?;
    let attacks = Attacks::start(&target);
    thread::sleep(Duration::from_secs(if turn.quick { 2 } else { 6 }));
    let (mut outcome, span) = turn.timed(&requests, HONEST_CONNECTIONS, false)?;
    attacks.stop()?;
    let peak = memory_kib(turn.server.pid(), "VmHWM")? as f64 / 1024.0;
    Ok(Reading {
        values: vec![outcome.responses as f64 / span.wall, peak],
        span,
        latency: outcome.median_and_p99(),
    })
}

/// Resident memory after a second of rest.
pub(crate) fn rss_idle(turn: &Turn<'_>) -> Result<Reading> {
    thread::sleep(Duration::from_secs(1));
    turn.memory("VmRSS", Span::default())
}

pub(crate) fn rss_of_gets(turn: &Turn<'_>) -> Result<Reading> {
    let meter = turn.meter()?;
    let requests = [turn.big_request()];
    turn.load(&requests, CROWD, false, Limit::Each(1)).run()?;
    turn.memory("VmHWM", meter.stop()?)
}

pub(crate) fn rss_of_pushes(turn: &Turn<'_>) -> Result<Reading> {
    let blobs = turn.pushes.crowd();
    let numbers = std::sync::atomic::AtomicU64::new(0);
    let barrier = Barrier::new(CROWD);
    let meter = turn.meter()?;
    push::in_parallel(CROWD, || {
        let blob = blobs.get(numbers.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let client = turn.server.client();
        barrier.wait();
        push::as_docker(&mut client?, "bench/push", &blob)
    })?;
    turn.memory("VmHWM", meter.stop()?)
}

pub(crate) fn first_answer(turn: &Turn<'_>) -> Result<Reading> {
    Ok(Reading {
        values: vec![turn.server.first_answer * 1e3],
        span: Span::default(),
        latency: None,
    })
}

impl Turn<'_> {
    fn meter(&self) -> Result<Meter> {
        Meter::start(self.server.pid())
    }

    fn request(&self, method: &str, path: &str) -> Vec<u8> {
        let authorization = self
            .stage
            .materials
            .as_ref()
            .and_then(|m| m.authorization(self.feature));
        let mut headers = vec![("Accept", MANIFEST_TYPE)];
        headers.extend(authorization.as_deref().map(|value| ("Authorization", value)));
        request(method, path, &headers)
    }

    fn big_request(&self) -> Vec<u8> {
        self.request(
            "GET",
            &format!("/v2/{IMAGE_REPOSITORY}/blobs/{}", self.stage.images.big),
        )
    }

    fn manifest_requests(&self, method: &str) -> Vec<Vec<u8>> {
        let tags = self.stage.images.small.iter().map(|(tag, _)| tag);
        tags.map(|tag| self.request(method, &format!("/v2/{IMAGE_REPOSITORY}/manifests/{tag}")))
            .collect()
    }

    fn load<'b>(&self, requests: &'b [Vec<u8>], connections: usize, head: bool, limit: Limit) -> Load<'b> {
        Load {
            address: self.server.address,
            connections,
            requests,
            head,
            limit,
        }
    }

    fn big_get(&self, connections: usize) -> Result<Reading> {
        let requests = [self.big_request()];
        self.load(&requests, 1, false, Limit::Each(1)).run()?;
        let (outcome, span) = self.timed(&requests, connections, false)?;
        Ok(bytes_moved(outcome.body_bytes as f64, span))
    }

    /// Milliseconds of a screen: of the first one after the start, and of each further one of one client.
    fn screen(&self, path: &str) -> Result<Reading> {
        let requests = [self.request("GET", path)];
        let meter = self.meter()?;
        self.load(&requests, 1, false, Limit::Each(1)).run()?;
        let first = meter.stop()?;
        let (mut outcome, span) = self.timed(&requests, 1, false)?;
        let each = span.wall / outcome.responses as f64;
        Ok(Reading {
            values: vec![first.wall * 1e3, each * 1e3],
            span,
            latency: outcome.median_and_p99(),
        })
    }

    fn catalog_request(&self) -> Vec<u8> {
        self.request("GET", "/v2/_catalog?n=100&last=team-24/service-99")
    }

    fn requests(&self, requests: &[Vec<u8>], head: bool) -> Result<Reading> {
        self.requests_over(CONNECTIONS, requests, head)
    }

    fn requests_over(&self, connections: usize, requests: &[Vec<u8>], head: bool) -> Result<Reading> {
        let warm_up = Limit::Time(Duration::from_millis(200));
        self.load(requests, connections, head, warm_up).run()?;
        let (mut outcome, span) = self.timed(requests, connections, head)?;
        let latency = outcome.median_and_p99();
        Ok(things_done(outcome.responses as f64, span, latency))
    }

    fn timed(&self, requests: &[Vec<u8>], connections: usize, head: bool) -> Result<(Outcome, Span)> {
        let time = Duration::from_millis(if self.quick { 500 } else { 1_200 });
        let meter = self.meter()?;
        let outcome = self.load(requests, connections, head, Limit::Time(time)).run()?;
        Ok((outcome, meter.stop()?))
    }

    fn big_pushes(
        &self,
        push: impl Fn(&mut super::client::Client, &super::content::BigBlob<'_>) -> Result<()>,
    ) -> Result<Reading> {
        let count = if self.quick { 2 } else { 4 };
        let blobs: Vec<_> = (1..=count).map(|number| self.pushes.big().get(number)).collect();
        let mut client = self.server.client()?;
        let meter = self.meter()?;
        for blob in &blobs {
            push(&mut client, blob)?;
        }
        Ok(bytes_moved((blobs.len() * BIG_BLOB) as f64, meter.stop()?))
    }

    fn memory(&self, line: &str, span: Span) -> Result<Reading> {
        let mebibytes = memory_kib(self.server.pid(), line)? as f64 / 1024.0;
        Ok(Reading {
            values: vec![mebibytes],
            span,
            latency: None,
        })
    }
}

/// MB/s and CPU s/GB, of a million and of a thousand million bytes.
fn bytes_moved(bytes: f64, span: Span) -> Reading {
    Reading {
        values: vec![bytes / 1e6 / span.wall, span.server_cpu / (bytes / 1e9)],
        span,
        latency: None,
    }
}

/// Operations a second, and CPU microseconds an operation.
fn things_done(count: f64, span: Span, latency: Option<[u32; 2]>) -> Reading {
    Reading {
        values: vec![count / span.wall, span.server_cpu * 1e6 / count],
        span,
        latency,
    }
}
