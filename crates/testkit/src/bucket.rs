//! A store that speaks S3: versitygw on a port of its own over a directory of the test, or one that runs already.

mod given;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{process::Process, proxy::Proxy, tool};

/// The program, as `go install` names it.
pub const VERSITYGW: &str = "versitygw";

/// A running store with one bucket. Dropping it removes what the test has stored; a store of the test's own is killed.
#[derive(Debug)]
pub struct BucketStore {
    site: Site,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// versitygw, with an empty bucket in this directory
    Own { server: Proxy, directory: TempDir },
    /// The store of this run
    Given,
}

/// Where a bucket is, and the keys to it.
#[derive(Debug, Clone)]
pub struct Site {
    /// Address of the store: `http://127.0.0.1:41234`
    pub endpoint: String,
    /// Name of the bucket
    pub bucket: String,
    /// Access key
    pub access_key: String,
    /// Secret key
    pub secret_key: String,
    /// Region of the store
    pub region: String,
    /// Beginning of all keys of the test, empty or with a slash at its end
    pub root: String,
}

impl BucketStore {
    /// Name of the bucket.
    pub const BUCKET: &'static str = "registry";
    /// Its access key.
    pub const ACCESS_KEY: &'static str = "a-key-for-tests";
    /// Its secret key.
    pub const SECRET_KEY: &'static str = "a-secret-for-tests";
    /// Its region.
    pub const REGION: &'static str = "us-east-1";

    /// Starts versitygw on loopback.
    ///
    /// # Panics
    ///
    /// When it is not installed or does not start; the message holds its output.
    pub fn start() -> Self {
        let directory = TempDir::with_prefix("wharf-bucket-").expect("a temporary directory");
        // A bucket is a directory.
        std::fs::create_dir(directory.path().join(Self::BUCKET)).expect("a directory for the bucket");
        let server = Proxy::start(VERSITYGW, |address| launch(directory.path(), address));
        Self {
            site: Site::local(&format!("http://{}", server.address())),
            kind: Kind::Own { server, directory },
        }
    }

    /// A directory of the test's own in the bucket of this run, which `$WHARF_TEST_S3` names; without that, as
    /// [`start`](Self::start).
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub fn of_this_run() -> Self {
        match Site::of_this_run() {
            Some(site) => Self {
                site: site.with_root_of_its_own(),
                kind: Kind::Given,
            },
            None => Self::start(),
        }
    }

    /// Where the bucket is.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Its address: `http://127.0.0.1:41234`.
    pub fn endpoint(&self) -> String {
        self.site.endpoint.clone()
    }

    /// Its host and port.
    ///
    /// # Panics
    ///
    /// When `$WHARF_TEST_S3` is no address of plain HTTP.
    pub fn address(&self) -> SocketAddr {
        match &self.kind {
            Kind::Own { server, .. } => server.address(),
            Kind::Given => self.site.address(),
        }
    }

    /// Takes the bucket away, or brings it back: until then the store knows none of that name.
    ///
    /// # Panics
    ///
    /// When the store is not one of the test's own.
    pub fn hide(&self, is_hidden: bool) {
        let (here, away) = (self.path_of(""), self.directory().join(".away"));
        let moved = if is_hidden {
            std::fs::rename(here, away)
        } else {
            std::fs::rename(away, here)
        };
        moved.expect("the directory of the bucket");
    }

    /// The lines of `storage` that name a directory in the bucket, for wharf and for registry:3 alike.
    pub fn configuration(&self, directory: &str) -> Vec<String> {
        self.site.configuration(directory)
    }

    /// The same lines for another address, that of a proxy.
    pub fn configuration_at(&self, endpoint: &str, directory: &str) -> Vec<String> {
        self.site.at(endpoint).configuration(directory)
    }

    /// Path of the file in which it keeps the object with this key, and of the directory in which it keeps all below it.
    ///
    /// # Panics
    ///
    /// When the store is not one of the test's own.
    pub fn path_of(&self, key: &str) -> PathBuf {
        self.directory().join(Self::BUCKET).join(key)
    }

    /// The objects below a directory of the bucket as files, as they are now.
    ///
    /// # Panics
    ///
    /// When the store does not answer.
    pub fn files_of(&self, directory: &str) -> Files {
        match &self.kind {
            Kind::Own { .. } => Files {
                root: self.path_of(directory),
                _copy: None,
            },
            Kind::Given => {
                let copy = TempDir::with_prefix("wharf-bucket-").expect("a temporary directory");
                self.site.copy_objects(directory, copy.path());
                Files {
                    root: copy.path().to_owned(),
                    _copy: Some(copy),
                }
            }
        }
    }

    /// Whether there is an object below a directory of the bucket.
    ///
    /// # Panics
    ///
    /// When the store does not answer.
    pub fn has_some_below(&self, directory: &str) -> bool {
        match &self.kind {
            Kind::Own { .. } => self.path_of(directory).exists(),
            Kind::Given => self.site.has_some_below(directory),
        }
    }

    /// Whether a list that is to start at a key before `directory`, which has objects, goes on to them. Garage ends it at the
    /// first object outside of `directory`; those of registry:3 start so.
    ///
    /// # Panics
    ///
    /// When the store does not answer.
    pub fn lists_from_before(&self, directory: &str) -> bool {
        match &self.kind {
            Kind::Own { .. } => true,
            Kind::Given => self.site.lists_from_before(directory),
        }
    }

    fn directory(&self) -> &Path {
        match &self.kind {
            Kind::Own { directory, .. } => directory.path(),
            Kind::Given => panic!("the files of the store at {} are its own", self.site.endpoint),
        }
    }
}

impl Drop for BucketStore {
    fn drop(&mut self) {
        if matches!(self.kind, Kind::Given) {
            self.site.remove_objects();
        }
    }
}

/// A directory of a bucket as a directory of files.
#[derive(Debug)]
pub struct Files {
    root: PathBuf,
    _copy: Option<TempDir>,
}

impl Files {
    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl Site {
    /// The bucket and the keys that a store on this machine has for tests.
    fn local(endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            bucket: BucketStore::BUCKET.to_owned(),
            access_key: BucketStore::ACCESS_KEY.to_owned(),
            secret_key: BucketStore::SECRET_KEY.to_owned(),
            region: BucketStore::REGION.to_owned(),
            root: String::new(),
        }
    }

    /// The same bucket, at the address of a proxy.
    #[must_use]
    pub fn at(&self, endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            ..self.clone()
        }
    }

    /// Key of what has this name in the part of the bucket that is the test's.
    pub fn key(&self, name: &str) -> String {
        format!("{}{name}", self.root)
    }

    fn configuration(&self, directory: &str) -> Vec<String> {
        vec![
            "s3:".to_owned(),
            format!("  accesskey: {}", self.access_key),
            format!("  secretkey: {}", self.secret_key),
            format!("  region: {}", self.region),
            format!("  regionendpoint: {}", self.endpoint),
            "  forcepathstyle: true".to_owned(),
            format!("  bucket: {}", self.bucket),
            format!("  rootdirectory: /{}", self.key(directory)),
        ]
    }
}

/// Whether `$WHARF_TEST_S3` names the store of this run.
pub fn is_given() -> bool {
    Site::of_this_run().is_some()
}

/// The store that takes the place of the memory of servers for this run, as lines of `storage`.
pub(crate) fn instead_of_memory(directory: &str) -> Option<Vec<String>> {
    Some(Site::of_this_run()?.configuration(directory))
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
