//! A store that speaks S3, on a port of its own: versitygw over a directory of the test.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{process::Process, proxy::Proxy, tool};

/// The program, as `go install` names it.
pub const VERSITYGW: &str = "versitygw";

/// A running store with one empty bucket. Dropping it kills it and removes what it has stored.
#[derive(Debug)]
pub struct BucketStore {
    server: Proxy,
    directory: TempDir,
}

impl BucketStore {
    /// Name of its bucket.
    pub const BUCKET: &'static str = "registry";
    /// Its access key.
    pub const ACCESS_KEY: &'static str = "a-key-for-tests";
    /// Its secret key.
    pub const SECRET_KEY: &'static str = "a-secret-for-tests";
    /// Its region.
    pub const REGION: &'static str = "us-east-1";

    /// Starts it on loopback.
    ///
    /// # Panics
    ///
    /// When it is not installed or does not start; the message holds its output.
    pub fn start() -> Self {
        let directory = TempDir::with_prefix("wharf-bucket-").expect("a temporary directory");
        // A bucket is a directory.
        std::fs::create_dir(directory.path().join(Self::BUCKET)).expect("a directory for the bucket");
        let server = Proxy::start(VERSITYGW, |address| launch(directory.path(), address));
        Self { server, directory }
    }

    /// Its address: `http://127.0.0.1:41234`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Its host and port.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Takes the bucket away, or brings it back: until then the store knows none of that name.
    pub fn hide(&self, is_hidden: bool) {
        let (here, away) = (self.path_of(""), self.directory.path().join(".away"));
        let moved = if is_hidden {
            std::fs::rename(here, away)
        } else {
            std::fs::rename(away, here)
        };
        moved.expect("the directory of the bucket");
    }

    /// The lines of `storage` that name a directory in the bucket, for wharf and for registry:3 alike.
    pub fn configuration(&self, directory: &str) -> Vec<String> {
        configuration(&self.endpoint(), directory)
    }

    /// The same lines for another address, that of a proxy.
    pub fn configuration_at(&self, endpoint: &str, directory: &str) -> Vec<String> {
        configuration(endpoint, directory)
    }

    /// Path of the file in which it keeps the object with this key, and of the directory in which it keeps all below it.
    pub fn path_of(&self, key: &str) -> PathBuf {
        self.directory.path().join(Self::BUCKET).join(key)
    }
}

/// The store that takes the place of the memory of servers for this run: `$WHARF_TEST_S3` is its address. It has a bucket
/// and keys as a [`BucketStore`] has.
pub(crate) fn instead_of_memory(directory: &str) -> Option<Vec<String>> {
    let endpoint = std::env::var("WHARF_TEST_S3").ok()?;
    Some(configuration(&endpoint, directory))
}

fn configuration(endpoint: &str, directory: &str) -> Vec<String> {
    vec![
        "s3:".to_owned(),
        format!("  accesskey: {}", BucketStore::ACCESS_KEY),
        format!("  secretkey: {}", BucketStore::SECRET_KEY),
        format!("  region: {}", BucketStore::REGION),
        format!("  regionendpoint: {endpoint}"),
        "  forcepathstyle: true".to_owned(),
        format!("  bucket: {}", BucketStore::BUCKET),
        format!("  rootdirectory: /{directory}"),
    ]
}

fn launch(root: &Path, address: SocketAddr) -> (Process, TempDir) {
    let home = TempDir::with_prefix("wharf-versitygw-").expect("a temporary directory");
    let program = tool::find(VERSITYGW).expect("versitygw is installed by test.sh");
    let mut command = Command::new(program);
    command
        .current_dir(home.path())
        .args(["--port", &address.to_string()])
        .args(["--access", BucketStore::ACCESS_KEY])
        .args(["--secret", BucketStore::SECRET_KEY])
        .args(["--region", BucketStore::REGION])
        .args(["--keep-alive", "--quiet", "posix"]);
    if !has_attributes(root) {
        let sidecar = home.path().join("attributes");
        std::fs::create_dir(&sidecar).expect("a directory for attributes");
        command.arg("--sidecar").arg(sidecar);
    }
    (Process::start(command.arg(root)), home)
}

/// Whether files in this directory can have the attributes in which it keeps entity tags.
fn has_attributes(directory: &Path) -> bool {
    use rustix::fs::{XattrFlags, setxattr};

    setxattr(directory, "user.test", b"1", XattrFlags::empty()).is_ok()
}
