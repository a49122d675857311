//! The flows of a push, as clients do them.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow};

use super::client::Client;
use super::content::{BigBlob, Blob, Image, MANIFEST_TYPE};

const OCTETS: (&str, &str) = ("Content-Type", "application/octet-stream");

/// POST, then one PUT with the whole blob.
pub(crate) fn in_one_put(client: &mut Client, repository: &str, blob: &BigBlob<'_>) -> Result<()> {
    let location = start(client, repository)?;
    let path = with_digest(&location, &blob.digest);
    client
        .exchange("PUT", &path, &[OCTETS], &[blob.prefix, &blob.tail])?
        .expect(201, "PUT of a blob")?;
    Ok(())
}

/// POST, one PATCH without a range that carries the whole blob, then an empty PUT.
pub(crate) fn as_docker(client: &mut Client, repository: &str, blob: &BigBlob<'_>) -> Result<()> {
    let location = start(client, repository)?;
    let location = client
        .exchange("PATCH", &location, &[OCTETS], &[blob.prefix, &blob.tail])?
        .expect(202, "PATCH of a blob")?
        .location("PATCH of a blob")?;
    client
        .exchange("PUT", &with_digest(&location, &blob.digest), &[], &[])?
        .expect(201, "PUT after a PATCH")?;
    Ok(())
}

/// POST, a PATCH for every `chunk` bytes, then an empty PUT.
pub(crate) fn in_chunks(
    client: &mut Client,
    repository: &str,
    blob: &BigBlob<'_>,
    chunk: usize,
) -> Result<()> {
    let mut location = start(client, repository)?;
    let length = blob.prefix.len() + blob.tail.len();
    for from in (0..length).step_by(chunk) {
        let to = length.min(from + chunk);
        let range = format!("{from}-{}", to - 1);
        let prefix = &blob.prefix[from..to.min(blob.prefix.len())];
        let tail = &blob.tail[..to.saturating_sub(blob.prefix.len())];
        location = client
            .exchange(
                "PATCH",
                &location,
                &[OCTETS, ("Content-Range", &range)],
                &[prefix, tail],
            )?
            .expect(202, "PATCH of a chunk")?
            .location("PATCH of a chunk")?;
    }
    client
        .exchange("PUT", &with_digest(&location, &blob.digest), &[], &[])?
        .expect(201, "PUT after chunks")?;
    Ok(())
}

/// Pushes image `n` to repository `n % repositories`, tag `vN`, with `clients` connections at a time.
pub(crate) fn images(
    address: SocketAddr,
    images: &[Image],
    clients: usize,
    repositories: usize,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        let mut client = Client::connect(address)?;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(image) = images.get(number) else {
                return Ok(());
            };
            let repository = format!("bench/app-{}", number % repositories);
            push_image(&mut client, &repository, &format!("v{number}"), image)?;
        }
    };
    in_parallel(clients, work)
}

/// Pushes small images with `clients` connections until `is_over`, the image of number `n` to repository `n % repositories`,
/// and returns how many microseconds each of them took. `numbers` gives each image its number, once.
pub(crate) fn small_images_until(
    address: SocketAddr,
    clients: usize,
    repositories: u64,
    numbers: &AtomicU64,
    is_over: &(dyn Fn() -> bool + Sync),
) -> Result<Vec<u32>> {
    let all = Mutex::new(Vec::new());
    in_parallel(clients, || {
        let mut client = Client::connect(address)?;
        let mut latencies = Vec::new();
        while !is_over() {
            let number = numbers.fetch_add(1, Ordering::Relaxed);
            let image = Image::small(number);
            let repository = format!("bench/app-{}", number % repositories);
            let begun = Instant::now();
            push_image(&mut client, &repository, &format!("v{number}"), &image)?;
            latencies.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
        all.lock()
            .map_err(|_| anyhow!("a client panicked"))?
            .append(&mut latencies);
        Ok(())
    })?;
    all.into_inner().map_err(|_| anyhow!("a client panicked"))
}

/// Runs `work` on `count` threads and returns the first error.
pub(crate) fn in_parallel(count: usize, work: impl Fn() -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(&work)).collect();
        let ended = threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a client panicked"))?);
        ended.collect::<Vec<_>>().into_iter().collect()
    })
}

/// As containerd does: ask whether it is there, start an upload, send all in one PUT; the manifest last.
fn push_image(client: &mut Client, repository: &str, tag: &str, image: &Image) -> Result<()> {
    for blob in image.layers.iter().chain([&image.config]) {
        small_blob(client, repository, blob)?;
    }
    let manifest = format!("/v2/{repository}/manifests/{tag}");
    client
        .exchange("HEAD", &manifest, &[("Accept", MANIFEST_TYPE)], &[])?
        .expect(404, "HEAD of a new tag")?;
    client
        .exchange(
            "PUT",
            &manifest,
            &[("Content-Type", MANIFEST_TYPE)],
            &[&image.manifest.bytes],
        )?
        .expect(201, "PUT of a manifest")?;
    Ok(())
}

/// As containerd does: ask whether it is there, start an upload, send all in one PUT.
pub(crate) fn small_blob(client: &mut Client, repository: &str, blob: &Blob) -> Result<()> {
    let path = format!("/v2/{repository}/blobs/{}", blob.digest);
    client
        .exchange("HEAD", &path, &[], &[])?
        .expect(404, "HEAD of a new blob")?;
    let location = start(client, repository)?;
    client
        .exchange(
            "PUT",
            &with_digest(&location, &blob.digest),
            &[OCTETS],
            &[&blob.bytes],
        )?
        .expect(201, "PUT of a blob")?;
    Ok(())
}

fn start(client: &mut Client, repository: &str) -> Result<String> {
    client
        .exchange("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], &[])?
        .expect(202, "POST of an upload")?
        .location("POST of an upload")
}

fn with_digest(location: &str, digest: &str) -> String {
    let joint = if location.contains('?') { '&' } else { '?' };
    format!("{location}{joint}digest={digest}")
}
