//! Collections of garbage: how long they take, and how pushes fare meanwhile.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};

use super::feature::Feature;
use super::load::median_and_p99;
use super::measure::{Reading, SMALL_CLIENTS, SMALL_REPOSITORIES};
use super::process::{Meter, Span};
use super::push;
use super::seed::count_blobs;
use super::server::{Running, WHARF};
use super::store::Store;

/// The words of wharf's command that lets the running server collect; the path of the configuration follows.
pub(crate) const ONLINE: [&str; 2] = ["gc", "--config"];

/// Numbers of pushed images, which are no numbers of the images of a seed.
const FIRST_PUSHED: u64 = 9_000_000;

/// A layer, a config and a manifest.
const BLOBS_OF_A_PUSH: u64 = 3;

/// How long pushes are undisturbed before the collection, and again after it.
const UNDISTURBED: [Duration; 2] = [Duration::from_secs(4), Duration::from_secs(2)];

/// Seconds that a collection takes while no server runs, and seconds of a second one, which has nothing to remove.
pub(crate) fn offline(store: &Store<'_>) -> Result<Reading> {
    let words = ["garbage-collect", "--delete-untagged"];
    store.twice(|| store.server.run(store.stage, store.root, Feature::Plain, &words))
}

/// Seconds that a collection by the running server takes, and seconds of a second one. A server that cannot collect while it
/// runs does it while it does not.
pub(crate) fn online(store: &Store<'_>) -> Result<Reading> {
    if store.server.name != WHARF {
        let words = ["garbage-collect"];
        return store.twice(|| store.server.run(store.stage, store.root, Feature::Plain, &words));
    }
    let running = store.start()?;
    let meter = Meter::start(running.pid())?;
    let mut reading = store.twice(|| store.collect())?;
    reading.span = meter.stop()?;
    running.stop()?;
    Ok(reading)
}

/// The latency of pushes while the running server collects, beside that of pushes before and after, their rate, and how long
/// the collection takes.
pub(crate) fn pushes_beside(store: &Store<'_>) -> Result<Reading> {
    let running = store.start()?;
    let numbers = AtomicU64::new(FIRST_PUSHED);
    let push_until = |is_over: &(dyn Fn() -> bool + Sync)| {
        let repositories = SMALL_REPOSITORIES as u64;
        push::small_images_until(running.address, SMALL_CLIENTS, repositories, &numbers, is_over)
    };
    let undisturbed = || {
        let begun = Instant::now();
        push_until(&|| begun.elapsed() >= UNDISTURBED[usize::from(store.quick)])
    };
    // Connections, threads and directories are made before it counts.
    let warm_up = Instant::now();
    push_until(&|| warm_up.elapsed() >= Duration::from_millis(500))?;
    let mut alone = undisturbed()?;

    let before = count_blobs(store.root)?;
    let has_ended = AtomicBool::new(false);
    let meter = Meter::start(running.pid())?;
    let (collected, pushed) = thread::scope(|scope| {
        let collection = scope.spawn(|| {
            let begun = Instant::now();
            let collected = store.collect();
            has_ended.store(true, Ordering::Relaxed);
            collected.map(|()| begun.elapsed().as_secs_f64())
        });
        let pushed = push_until(&|| has_ended.load(Ordering::Relaxed));
        (collection.join(), pushed)
    });
    let span = meter.stop()?;
    let seconds = collected.map_err(|_| anyhow!("the collection panicked"))??;
    let mut beside = pushed?;
    let after = count_blobs(store.root)?;
    let with_pushed = before + beside.len() as u64 * BLOBS_OF_A_PUSH;
    ensure!(
        after < with_pushed,
        "nothing was collected: with those pushed meanwhile, {with_pushed} blobs were stored, and {after} are"
    );

    alone.append(&mut undisturbed()?);
    running.stop()?;
    let latency = median_and_p99(&mut beside).context("no image was pushed meanwhile")?;
    let [_, undisturbed] = median_and_p99(&mut alone).context("no image was pushed before")?;
    let p99 = f64::from(latency[1]);
    Ok(Reading {
        values: vec![
            p99 / 1e3,
            p99 / f64::from(undisturbed),
            beside.len() as f64 / span.wall,
            seconds,
        ],
        span,
        latency: Some(latency),
    })
}

impl Store<'_> {
    fn start(&self) -> Result<Running> {
        self.server
            .start(self.stage, self.root, Feature::OnlineCollection)
    }

    /// Lets the running server collect.
    fn collect(&self) -> Result<()> {
        self.server
            .run(self.stage, self.root, Feature::OnlineCollection, &ONLINE)
    }

    /// Seconds of a collection, which must leave half of the blobs, and of a second one.
    fn twice(&self, collect: impl Fn() -> Result<()>) -> Result<Reading> {
        let before = count_blobs(self.root)?;
        let once = || -> Result<f64> {
            let started = Instant::now();
            collect()?;
            let seconds = started.elapsed().as_secs_f64();
            let after = count_blobs(self.root)?;
            ensure!(
                after == before / 2,
                "{} of {before} blobs should be left, and {after} are",
                before / 2
            );
            Ok(seconds)
        };
        Ok(Reading {
            values: vec![once()?, once()?],
            span: Span::default(),
            latency: None,
        })
    }
}
