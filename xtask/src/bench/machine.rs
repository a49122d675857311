//! The limits of the machine itself, measured in bare loops, to which the figures of the servers are compared.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::Result;
use sha2::Digest as _;

use super::push::in_parallel;

/// Files that one small image of `image-push` consists of in the store: config, layer and manifest, and one link each
/// for the two layers, the revision, the tag's history and the tag.
const FILES_OF_IMAGE: usize = 8;

/// What the machine can do with nothing else to do; medians of three.
#[derive(Clone, Copy)]
pub(crate) struct Machine {
    /// MB/s that one core hashes (SHA-256).
    pub(crate) hash: f64,
    /// MB/s that the disk takes with an fsync after each blob.
    pub(crate) disk: f64,
    /// Small images a second that the disk takes, each of their files written, synced, renamed into a new directory, and
    /// that directory synced; as many threads as the row has clients.
    pub(crate) images: f64,
}

impl Machine {
    /// Measures with `blob`, and with `clients` threads, in `directory`.
    pub(crate) fn measure(blob: &[u8], clients: usize, directory: &Path) -> Result<Self> {
        Ok(Self {
            hash: median(|| {
                let megabytes = blob.len() as f64 / 1e6;
                let started = Instant::now();
                std::hint::black_box(sha2::Sha256::digest(blob));
                Ok(megabytes / started.elapsed().as_secs_f64())
            })?,
            disk: median(|| write_blob(blob, &directory.join("disk")))?,
            images: median(|| write_images(clients, &directory.join("images")))?,
        })
    }
}

fn median(mut rate: impl FnMut() -> Result<f64>) -> Result<f64> {
    let mut rates = [rate()?, rate()?, rate()?];
    rates.sort_by(f64::total_cmp);
    Ok(rates[1])
}

fn write_blob(blob: &[u8], path: &Path) -> Result<f64> {
    let started = Instant::now();
    let mut file = File::create(path)?;
    file.write_all(blob)?;
    file.sync_all()?;
    let seconds = started.elapsed().as_secs_f64();
    fs::remove_file(path)?;
    Ok(blob.len() as f64 / 1e6 / seconds)
}

fn write_images(clients: usize, root: &Path) -> Result<f64> {
    const IMAGES: usize = 100;
    const CONTENT: [u8; 1024] = [b'x'; 1024];
    let staging = root.join("staging");
    fs::create_dir_all(&staging)?;
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    in_parallel(clients, || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= IMAGES * FILES_OF_IMAGE {
                return Ok(());
            }
            let (before, home) = (staging.join(number.to_string()), root.join(number.to_string()));
            let mut file = File::create(&before)?;
            file.write_all(&CONTENT)?;
            file.sync_all()?;
            fs::create_dir(&home)?;
            fs::rename(before, home.join("data"))?;
            File::open(home)?.sync_all()?;
        }
    })?;
    let seconds = started.elapsed().as_secs_f64();
    super::seed::remove_tree(root)?;
    Ok(IMAGES as f64 / seconds)
}
