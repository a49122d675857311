//! `--store s3`: versitygw over the directory of a store, so that servers keep their data in a bucket of it; and a delay before
//! each of its answers, as a network has it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use md5::{Digest as _, Md5};
use rustix::fs::{XattrFlags, setxattr};

const PATIENCE: Duration = Duration::from_secs(20);
const ACCESS_KEY: &str = "bench-access-key";
const SECRET_KEY: &str = "bench-secret-key";

/// How servers reach a bucket.
#[derive(Clone)]
pub(crate) struct Buckets {
    pub(crate) program: PathBuf,
    /// Time before each request reaches the store.
    pub(crate) delay: Duration,
}

/// A store that listens, killed when dropped.
pub(crate) struct Bucket {
    child: Child,
    endpoint: SocketAddr,
    name: String,
}

impl Buckets {
    /// Starts a store in which the directory `root` is a bucket.
    pub(crate) fn open(&self, root: &Path) -> Result<Bucket> {
        let above = root.parent().context("a store has a directory above it")?;
        let name = root
            .file_name()
            .and_then(|name| name.to_str())
            .context("a store has a name")?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let child = Command::new(&self.program)
            .args([
                "--port",
                &address.to_string(),
                "--access",
                ACCESS_KEY,
                "--secret",
                SECRET_KEY,
            ])
            .args(["--keep-alive", "--quiet", "posix"])
            .arg(above)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start `{}`", self.program.display()))?;
        let mut bucket = Bucket {
            child,
            endpoint: address,
            name: name.to_owned(),
        };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            ensure!(bucket.child.try_wait()?.is_none(), "versitygw ended at once");
            ensure!(begun.elapsed() < PATIENCE, "versitygw does not listen");
            thread::sleep(Duration::from_millis(2));
        }
        if !self.delay.is_zero() {
            bucket.endpoint = delayed(address, self.delay)?;
        }
        Ok(bucket)
    }
}

impl Bucket {
    /// The lines of `storage` that name it.
    pub(crate) fn configuration(&self) -> String {
        format!(
            "  s3:\n    accesskey: {ACCESS_KEY}\n    secretkey: {SECRET_KEY}\n    region: us-east-1\n    regionendpoint: http://{}\n\
             \x20   forcepathstyle: true\n    bucket: {}\n  redirect:\n    disable: true\n",
            self.endpoint, self.name
        )
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // Both fail only when the process has ended already, which is the aim.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Gives each file below `root` the entity tag that the store would have given it.
pub(crate) fn tag_tree(root: &Path) -> Result<()> {
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        if path.is_dir() {
            tag_tree(&path)?;
        } else {
            let digest = Md5::digest(fs::read(&path)?);
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            setxattr(
                &path,
                "user.etag",
                format!("\"{hex}\"").as_bytes(),
                XattrFlags::empty(),
            )
            .with_context(|| format!("`{}` cannot have attributes", path.display()))?;
        }
    }
    Ok(())
}

/// Listens at a port, and passes each request on after `delay`. It ends with this program.
fn delayed(to: SocketAddr, delay: Duration) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || TcpStream::connect(to).and_then(|store| pass(&client, &store, delay)));
        }
    });
    Ok(address)
}

/// Passes bytes both ways. What follows an answer is a new request.
fn pass(client: &TcpStream, store: &TcpStream, delay: Duration) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    store.set_nodelay(true)?;
    let is_new = Arc::new(AtomicBool::new(true));
    let answers = {
        let (mut from, mut to, is_new) = (store.try_clone()?, client.try_clone()?, Arc::clone(&is_new));
        thread::spawn(move || {
            copy(&mut from, &mut to, || is_new.store(true, Ordering::Relaxed));
            drop(to.shutdown(Shutdown::Both));
        })
    };
    let (mut from, mut to) = (client.try_clone()?, store.try_clone()?);
    copy(&mut from, &mut to, || {
        if is_new.swap(false, Ordering::Relaxed) {
            thread::sleep(delay);
        }
    });
    drop(to.shutdown(Shutdown::Both));
    drop(answers.join());
    Ok(())
}

/// Copies until one side ends; `before` runs before each piece is passed on.
fn copy(from: &mut TcpStream, to: &mut TcpStream, before: impl Fn()) {
    let mut buffer = vec![0; 256 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        before();
        if to.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
}
