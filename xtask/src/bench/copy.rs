//! Copies of one image between two registries on this machine, by wharf and by other programs: time, and memory of the program.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::client::Client;
use super::content::{BigBlobs, MANIFEST_TYPE};
use super::feature::Feature;
use super::measure::Reading;
use super::process::{Meter, memory_kib};
use super::push;
use super::seed::remove_tree;
use super::server::{Server, Stage, WHARF, in_path};

const SOURCE: &str = "bench/image";
const COPY: &str = "bench/copy";
const TAG: &str = "1";
/// Layers of the image, and bytes of each, in a full run and in a quick one.
const LAYERS: [(u64, usize); 2] = [(8, 128 << 20), (4, 32 << 20)];

/// A program that copies images.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    program: PathBuf,
}

/// The programs of the row, and the registries between which they copy.
pub(crate) struct Copies<'a> {
    stage: &'a Stage,
    /// The registry at both ends.
    server: &'a Server,
    /// Where the source keeps the image.
    source: PathBuf,
}

/// The programs that are there, wharf first, and the names of those that are not.
pub(crate) fn tools(server: &Server, target: &Path) -> (Vec<Tool>, Vec<&'static str>) {
    let program = server.command.first().map(PathBuf::from).unwrap_or_default();
    let mut found = vec![Tool { name: WHARF, program }];
    let mut missing = Vec::new();
    for name in ["skopeo", "crane"] {
        let installed = target.join("tools/bin").join(name);
        match in_path(name).or_else(|| installed.is_file().then_some(installed)) {
            Some(program) => found.push(Tool { name, program }),
            None => missing.push(name),
        }
    }
    (found, missing)
}

impl<'a> Copies<'a> {
    /// Puts the image into the source.
    pub(crate) fn prepare(stage: &'a Stage, server: &'a Server, quick: bool) -> Result<Self> {
        let source = stage.scratch.join("stores/copy-source");
        fs::create_dir_all(&source)?;
        let running = server.start(stage, &source, Feature::Plain)?;
        push_image(running.address, LAYERS[usize::from(quick)])?;
        running.stop()?;
        Ok(Self {
            stage,
            server,
            source,
        })
    }

    /// One copy into an empty registry.
    pub(crate) fn turn(&self, tool: &Tool) -> Result<Reading> {
        let root = self.stage.scratch.join("stores/copy-target");
        fs::create_dir_all(&root)?;
        let reading = self.copy(tool, &root);
        remove_tree(&root)?;
        reading
    }

    fn copy(&self, tool: &Tool, root: &Path) -> Result<Reading> {
        let source = self.server.start(self.stage, &self.source, Feature::Plain)?;
        let target = self.server.start(self.stage, root, Feature::Plain)?;
        rustix::fs::sync();
        let from = format!("{}/{SOURCE}:{TAG}", source.address);
        let to = format!("{}/{COPY}:{TAG}", target.address);
        let meter = Meter::start(target.pid())?;
        let mut child = tool
            .command(&from, &to)
            .current_dir(&self.stage.scratch)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start `{}`", tool.program.display()))?;
        let mut peak = 0;
        let status = loop {
            // A process that has ended has no figures any more.
            peak = memory_kib(child.id(), "VmHWM").unwrap_or_default().max(peak);
            if let Some(status) = child.try_wait()? {
                break status;
            }
            thread::sleep(Duration::from_millis(5));
        };
        let span = meter.stop()?;
        ensure!(
            status.success(),
            "`{}` ended with {status}",
            tool.program.display()
        );
        let manifest = |address: SocketAddr, repository: &str| -> Result<String> {
            let path = format!("/v2/{repository}/manifests/{TAG}");
            let answer =
                Client::connect(address)?.exchange("GET", &path, &[("Accept", MANIFEST_TYPE)], &[])?;
            Ok(answer.expect(200, "GET of a manifest")?.body)
        };
        ensure!(
            manifest(source.address, SOURCE)? == manifest(target.address, COPY)?,
            "the copy is another image"
        );
        source.stop()?;
        target.stop()?;
        Ok(Reading {
            values: vec![span.wall, peak as f64 / 1024.0],
            span,
            latency: None,
        })
    }
}

impl Tool {
    fn command(&self, from: &str, to: &str) -> Command {
        let mut command = Command::new(&self.program);
        match self.name {
            "skopeo" => command
                .args([
                    "--insecure-policy",
                    "copy",
                    "--quiet",
                    "--all",
                    "--preserve-digests",
                ])
                .args(["--src-tls-verify=false", "--dest-tls-verify=false"])
                .args([format!("docker://{from}"), format!("docker://{to}")]),
            "crane" => command.args(["copy", "--insecure", from, to]),
            _ => command.args(["copy", "--quiet", from, to]),
        };
        command
    }
}

fn push_image(address: SocketAddr, (count, size): (u64, usize)) -> Result<()> {
    let mut client = Client::connect(address)?;
    let blobs = BigBlobs::new(size);
    let descriptor = |digest: &str, size: usize, kind: &str| json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest, "size": size});
    let mut layers = Vec::new();
    for number in 0..count {
        let blob = blobs.get(number);
        push::in_one_put(&mut client, SOURCE, &blob)?;
        layers.push(descriptor(&blob.digest, size, "layer.v1.tar+gzip"));
    }
    let digests: Vec<_> = layers.iter().map(|layer| layer["digest"].clone()).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": digests},
    });
    let config = super::content::Blob::new(config.to_string().into_bytes());
    push::small_blob(&mut client, SOURCE, &config)?;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "layers": layers,
        "config": descriptor(&config.digest, config.bytes.len(), "config.v1+json"),
    });
    let path = format!("/v2/{SOURCE}/manifests/{TAG}");
    client
        .exchange(
            "PUT",
            &path,
            &[("Content-Type", MANIFEST_TYPE)],
            &[manifest.to_string().as_bytes()],
        )?
        .expect(201, "PUT of a manifest")?;
    Ok(())
}
