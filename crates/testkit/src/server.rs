//! The server under test on a free port: the real binary, or one in the process of the test.

use std::{
    fmt::{self, Write as _},
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    bucket::{self, BucketStore},
    client::Client,
    process::{Place, Process},
    raw::RawConnection,
    store,
    tls::{Identity, Trust},
    waiting::PATIENCE,
};

/// The storage engine of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// The file system engine, in a directory of this test.
    Filesystem,
    /// The object engine, in the memory of the server, or in the bucket of `$WHARF_TEST_S3`.
    Inmemory,
}

/// How a server is started.
///
/// A server in the process of the test has no log of its own, no process to kill and no working directory; stories
/// that need one of these run the binary.
#[derive(Clone)]
pub enum Launcher {
    /// This program, with `serve` and the path of its configuration.
    Binary(PathBuf),
    /// A function of the test crate, given the configuration and the variables of the environment.
    InProcess(StartInProcess),
}

/// Starts a server in the process of the test; an error says why it does not start.
pub type StartInProcess = fn(&str, &[(String, String)]) -> Result<Box<dyn InProcess>, String>;

/// A server in the process of the test.
pub trait InProcess: Send + Sync {
    /// Address at which the server listens.
    fn address(&self) -> SocketAddr;

    /// Lets running requests end, and waits until the server has ended. Dropping it cuts them instead.
    fn stop(self: Box<Self>);
}

/// The configuration of a server that is about to start.
#[derive(Debug)]
pub struct ServerBuilder {
    launcher: Launcher,
    engine: Engine,
    /// The lines of `storage` that name the bucket of the object engine; `None`: it keeps everything in memory.
    bucket: Option<Vec<String>>,
    directory: TempDir,
    top: Vec<String>,
    storage: Vec<String>,
    http: Vec<String>,
    environment: Vec<(String, String)>,
    wrapper: Vec<String>,
    user: Option<u32>,
    rules: Option<store::Rules>,
}

/// A running server with a directory of its own. Dropping it kills it; when the test passed, the store that it leaves is checked.
#[derive(Debug)]
pub struct Server {
    how: ServerBuilder,
    instance: Instance,
}

enum Instance {
    Process { process: Process, place: Place },
    InProcess(Box<dyn InProcess>),
    Ended,
}

impl ServerBuilder {
    /// A server of the same launcher and engine, with a directory of its own and nothing configured.
    pub fn another(&self) -> Self {
        Self {
            engine: self.engine,
            bucket: self.bucket.clone(),
            ..Server::launched_by(self.launcher.clone())
        }
    }

    /// Keeps its directory on a disk even where other tests keep theirs in memory; `$WHARF_TEST_DISK` names a directory
    /// of that disk.
    pub fn on_real_disk(mut self) -> Self {
        if let Some(disk) = std::env::var_os("WHARF_TEST_DISK") {
            self.directory = directory_builder().tempdir_in(disk).unwrap();
        }
        self
    }

    /// Keeps everything in memory.
    pub fn inmemory(mut self) -> Self {
        self.engine = Engine::Inmemory;
        self
    }

    /// Keeps everything in this directory of a bucket.
    pub fn bucket(mut self, store: &BucketStore, directory: &str) -> Self {
        self.engine = Engine::Inmemory;
        self.bucket = Some(store.configuration(directory));
        self
    }

    /// Keeps everything in this directory of a bucket, which the server reaches at `endpoint`.
    pub fn bucket_at(mut self, store: &BucketStore, endpoint: &str, directory: &str) -> Self {
        self.engine = Engine::Inmemory;
        self.bucket = Some(store.configuration_at(endpoint, directory));
        self
    }

    /// Adds one line to the configuration.
    pub fn config(mut self, line: impl Into<String>) -> Self {
        self.top.push(line.into());
        self
    }

    /// Adds one line to the `storage` section.
    pub fn storage(mut self, line: impl Into<String>) -> Self {
        self.storage.push(line.into());
        self
    }

    /// Adds one line to the `http` section.
    pub fn http(mut self, line: impl Into<String>) -> Self {
        self.http.push(line.into());
        self
    }

    /// Sets an environment variable of the server.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Serves TLS with this certificate; its files are `tls.crt` and `tls.key` in the directory of the server.
    pub fn tls(self, identity: &Identity) -> Self {
        self.write("tls.crt", &identity.certificate);
        self.write("tls.key", &identity.key);
        self.environment("REGISTRY_HTTP_TLS_CERTIFICATE", "tls.crt")
            .environment("REGISTRY_HTTP_TLS_KEY", "tls.key")
    }

    /// Writes a file into the directory of the server, which is its working directory.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Path of a file in the directory of the server.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Listens on a unix socket, `socket` in the directory of the server.
    pub fn unix(self) -> Self {
        let path = self.path("socket").display().to_string();
        self.environment("REGISTRY_HTTP_NET", "unix")
            .environment("REGISTRY_HTTP_ADDR", &path)
    }

    /// Starts the server through another command, which must `exec` what follows.
    pub fn wrapped(mut self, command: &[&str]) -> Self {
        self.wrapper = command.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Runs the server as another user; only root can. The binary is copied to where every user may
    /// read it.
    pub fn as_user(mut self, user: u32) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let copy = self.directory.path().join("wharf");
        std::fs::copy(self.binary(), &copy).unwrap();
        std::fs::set_permissions(self.directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        self.launcher = Launcher::Binary(copy);
        self.user = Some(user);
        self
    }

    /// What the store may look like in the end.
    pub fn rules(mut self, rules: store::Rules) -> Self {
        self.rules = Some(rules);
        self
    }

    /// Leaves the store unchecked: the test has damaged it, or checks it by itself.
    pub fn unchecked(mut self) -> Self {
        self.rules = None;
        self
    }

    /// The storage engine.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// The directory of this server's own, with its configuration and its data.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Lets in the users of this password file; a relative path begins at [`directory`](Self::directory).
    pub fn htpasswd(self, path: &str) -> Self {
        self.config(format!(
            "auth: {{htpasswd: {{realm: Registry Realm, path: '{path}'}}}}"
        ))
    }

    /// Directory of the data.
    pub fn root(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Starts the server.
    ///
    /// # Panics
    ///
    /// When the server does not log its address.
    pub fn start(self) -> Server {
        let instance = self.launch();
        Server { how: self, instance }
    }

    /// Runs the server to its end, for configurations with which it must not start.
    pub fn output(&self) -> (ExitStatus, String) {
        Process::start(&mut self.command()).output()
    }

    fn launch(&self) -> Instance {
        match &self.launcher {
            Launcher::Binary(_) => {
                let mut process = Process::start(&mut self.command());
                let place = process
                    .place()
                    .unwrap_or_else(|why| panic!("{}\n{why}", self.text()));
                Instance::Process { process, place }
            }
            Launcher::InProcess(start) => Instance::InProcess(
                start(&self.text(), &self.environment)
                    .unwrap_or_else(|why| panic!("the server does not start: {why}\n{}", self.text())),
            ),
        }
    }

    fn binary(&self) -> &Path {
        match &self.launcher {
            Launcher::Binary(path) => path,
            Launcher::InProcess(_) => panic!("this server has no process of its own"),
        }
    }

    fn command(&self) -> Command {
        let config = self.directory.path().join("config.yml");
        std::fs::write(&config, self.text()).unwrap();
        let mut words = self
            .wrapper
            .iter()
            .map(AsRef::as_ref)
            .chain([self.binary().as_os_str()]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).arg("serve").arg(config);
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command.current_dir(self.directory.path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn text(&self) -> String {
        let mut text = String::from("version: 0.1\n");
        // The access log of a server in this process would be printed between the results of the tests.
        if let Launcher::InProcess(_) = self.launcher {
            text.push_str("log: {accesslog: {disabled: true}}\n");
        }
        for line in &self.top {
            writeln!(text, "{line}").unwrap();
        }
        text.push_str("storage:\n");
        let engine = match self.engine {
            Engine::Filesystem => vec![
                "filesystem:".to_owned(),
                format!("  rootdirectory: {}", self.root().display()),
            ],
            Engine::Inmemory => {
                let own = self.directory.path().file_name().unwrap().to_string_lossy();
                let bucket = self.bucket.clone().or_else(|| bucket::instead_of_memory(&own));
                bucket.unwrap_or_else(|| vec!["inmemory: {}".to_owned()])
            }
        };
        for line in engine.iter().chain(&self.storage) {
            writeln!(text, "  {line}").unwrap();
        }
        text.push_str("http:\n  addr: 127.0.0.1:0\n");
        for line in &self.http {
            writeln!(text, "  {line}").unwrap();
        }
        text
    }
}

fn directory_builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("wharf-test-");
    builder
}

impl Server {
    /// A server of this launcher, on a file system unless told otherwise. `$WHARF_BINARY` names another binary, a
    /// release build for example.
    pub fn builder(launcher: impl Into<Launcher>) -> ServerBuilder {
        let named = std::env::var_os("WHARF_BINARY").map(|path| Launcher::Binary(path.into()));
        Self::launched_by(named.unwrap_or_else(|| launcher.into()))
    }

    fn launched_by(launcher: Launcher) -> ServerBuilder {
        ServerBuilder {
            launcher,
            engine: Engine::Filesystem,
            bucket: None,
            directory: directory_builder().tempdir().unwrap(),
            top: Vec::new(),
            storage: Vec::new(),
            http: Vec::new(),
            environment: Vec::new(),
            wrapper: Vec::new(),
            user: None,
            rules: Some(store::Rules::default()),
        }
    }

    /// Address at which the server listens.
    ///
    /// # Panics
    ///
    /// When the server listens on a unix socket.
    pub fn address(&self) -> SocketAddr {
        match &self.instance {
            Instance::InProcess(server) => server.address(),
            Instance::Process { place, .. } => match place {
                Place::Tcp(address) => *address,
                Place::Unix(path) => panic!("the server listens on {}", path.display()),
            },
            Instance::Ended => panic!("the server has ended"),
        }
    }

    /// Path of the unix socket at which the server listens.
    ///
    /// # Panics
    ///
    /// When the server listens on TCP.
    pub fn socket(&self) -> &Path {
        match &self.instance {
            Instance::Process {
                place: Place::Unix(path),
                ..
            } => path,
            _ => panic!("the server listens on {}", self.address()),
        }
    }

    /// Writes a file into the directory of the server; it appears whole.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let beside = self.how.path(&format!("{name}.new"));
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(beside, self.how.path(name)).unwrap();
    }

    /// Path of a file in the directory of the server.
    pub fn path(&self, name: &str) -> PathBuf {
        self.how.path(name)
    }

    /// The most memory that the process has held so far, in bytes: without the pages of files, which are those of the binary, and which the
    /// system drops when it needs room.
    pub fn peak_memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).expect("the server runs");
        let bytes = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
            let kibibytes: u64 = kibibytes.and_then(|text| text.parse().ok()).expect("a number");
            kibibytes * 1024
        };
        bytes("VmHWM:").saturating_sub(bytes("RssFile:"))
    }

    /// Identifier of the process of the server.
    pub fn pid(&self) -> u32 {
        self.process().id()
    }

    /// Directory of the data.
    pub fn root(&self) -> PathBuf {
        self.how.root()
    }

    /// The directory of this server's own; see [`ServerBuilder::directory`].
    pub fn directory(&self) -> &Path {
        self.how.directory()
    }

    /// `docker/registry/v2` in the data.
    pub fn tree(&self) -> PathBuf {
        self.root().join(store::TREE)
    }

    /// The storage engine.
    pub fn engine(&self) -> Engine {
        self.how.engine
    }

    /// A client without credentials, over HTTP/1.1.
    pub fn anonymous(&self) -> Client {
        Client::http1(self.address())
    }

    /// A client without credentials, over HTTP/2.
    pub fn anonymous_http2(&self) -> Client {
        Client::http2(self.address())
    }

    /// A client without credentials, over TLS.
    pub fn over_tls(&self, trust: &Trust) -> Client {
        Client::tls(self.address(), trust)
    }

    /// A client without credentials, on the unix socket.
    pub fn on_socket(&self) -> Client {
        Client::unix(self.socket())
    }

    /// Another server of the same launcher, with a directory of its own.
    pub fn another(&self) -> ServerBuilder {
        self.how.another()
    }

    /// A connection on which the test writes bytes as they are.
    pub async fn raw(&self) -> RawConnection {
        RawConnection::open(self.address()).await
    }

    fn process(&self) -> &Process {
        match &self.instance {
            Instance::Process { process, .. } => process,
            _ => panic!("this server has no process of its own"),
        }
    }

    /// The log of the server so far.
    pub fn log(&self) -> String {
        self.process().log()
    }

    /// Waits until the server has logged `text`. The log comes through a pipe, a moment after the event.
    ///
    /// # Panics
    ///
    /// When it still has not after [`PATIENCE`]; the message holds the log.
    pub async fn says(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            assert!(Instant::now() < deadline, "`{text}` is not in:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What the store may look like in the end; see [`ServerBuilder::rules`].
    pub fn allow(&mut self, rules: store::Rules) {
        self.how.rules = Some(rules);
    }

    /// Leaves the store unchecked: the test has damaged it.
    pub fn leave_unchecked(&mut self) {
        self.how.rules = None;
    }

    /// Checks that the server still runs.
    pub fn assert_alive(&mut self) {
        match &mut self.instance {
            Instance::Process { process, .. } => {
                let ended = process.ended();
                assert!(ended.is_none(), "the server has ended: {}", ended.unwrap());
            }
            Instance::InProcess(server) => {
                let connected = std::net::TcpStream::connect(server.address());
                assert!(connected.is_ok(), "the server no longer listens: {connected:?}");
            }
            Instance::Ended => panic!("the server has ended"),
        }
    }

    /// Stops the server with SIGTERM, as `docker stop` does, and checks that it ends with success.
    pub fn stop(&mut self) {
        match &mut self.instance {
            Instance::Process { process, .. } => {
                let status = process.stop();
                assert!(status.success(), "after SIGTERM the server ended with {status}");
            }
            instance => {
                if let Instance::InProcess(server) = std::mem::replace(instance, Instance::Ended) {
                    server.stop();
                }
            }
        }
    }

    /// Kills the server in the middle of its work (`kill -9`).
    pub fn kill9(&mut self) {
        match &mut self.instance {
            Instance::Process { process, .. } => process.kill(),
            _ => panic!("a server in the process of the test cannot be killed"),
        }
    }

    /// Starts the server again on the same data after [`stop`](Self::stop) or [`kill9`](Self::kill9). The
    /// port is a new one, so clients must be made anew.
    pub fn start_again(&mut self) {
        self.instance = self.how.launch();
    }

    /// Stops the server and starts it again.
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// Runs a second server on the same data to its end: its exit status and its log.
    pub fn second_process(&self) -> (ExitStatus, String) {
        self.how.output()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.instance.cut();
        if std::thread::panicking() {
            if let Instance::Process { process, .. } = &self.instance {
                eprintln!("--- what the server said ---\n{}---", process.log());
            }
        } else if let (Engine::Filesystem, Some(rules)) = (self.how.engine, &self.how.rules) {
            let log = match &self.instance {
                Instance::Process { process, .. } => process.log(),
                _ => String::new(),
            };
            check(&self.root(), *rules, &log);
        }
    }
}

impl Instance {
    /// Ends the server without waiting for requests.
    fn cut(&mut self) {
        match self {
            Self::Process { process, .. } => process.kill(),
            Self::InProcess(_) | Self::Ended => *self = Self::Ended,
        }
    }
}

fn check(root: &Path, rules: store::Rules, log: &str) {
    let report = store::check(root, rules);
    assert!(
        report.problems.is_empty(),
        "the test passed, but the store that it left is broken:\n{}\n--- what the server said ---\n{log}---",
        report.problems.join("\n")
    );
}

impl From<&str> for Launcher {
    fn from(binary: &str) -> Self {
        Self::Binary(binary.into())
    }
}

impl From<StartInProcess> for Launcher {
    fn from(start: StartInProcess) -> Self {
        Self::InProcess(start)
    }
}

impl fmt::Debug for Launcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Binary(path) => f.debug_tuple("Binary").field(path).finish(),
            Self::InProcess(_) => f.write_str("InProcess"),
        }
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Process { .. } => "Process",
            Self::InProcess(_) => "InProcess",
            Self::Ended => "Ended",
        })
    }
}
