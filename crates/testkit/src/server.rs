//! The real binary as a child process: started on a free port, watched, stopped, killed, restarted.

use std::{
    fmt::Write as _,
    io::{BufRead as _, BufReader, Read},
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{
    Client, PATIENCE, RawConnection, store,
    tls::{Identity, Trust},
};

/// Where a server keeps its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A directory of this test's own.
    Filesystem,
    /// The memory of the server.
    Inmemory,
}

/// How a server is to be started.
#[derive(Debug)]
pub struct ServerBuilder {
    binary: PathBuf,
    engine: Engine,
    directory: TempDir,
    top: Vec<String>,
    storage: Vec<String>,
    http: Vec<String>,
    environment: Vec<(String, String)>,
    wrapper: Vec<String>,
    user: Option<u32>,
    rules: Option<store::Rules>,
}

/// A running server with a directory of its own. Dropping it kills it; when the test passed, the
/// store that it leaves is checked.
#[derive(Debug)]
pub struct Server {
    how: ServerBuilder,
    process: Process,
}

#[derive(Debug)]
struct Process {
    child: Child,
    place: Place,
    log: Log,
}

/// Where a server says that it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl ServerBuilder {
    /// A server of the same binary and engine, with a directory of its own and nothing configured.
    pub fn another(&self) -> Self {
        Self {
            engine: self.engine,
            ..Server::of_binary(self.binary.clone())
        }
    }

    /// Keeps everything in memory.
    pub fn inmemory(mut self) -> Self {
        self.engine = Engine::Inmemory;
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

    /// The path of a file there.
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

    /// Runs the server as another user; only root can. The binary is copied to where everybody may
    /// read it.
    pub fn as_user(mut self, user: u32) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let copy = self.directory.path().join("wharf");
        std::fs::copy(&self.binary, &copy).unwrap();
        std::fs::set_permissions(self.directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        self.binary = copy;
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

    /// Which engine.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// The directory of this server's own, with its configuration and its data.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Lets in who is in this password file; a relative path begins at [`directory`](Self::directory).
    pub fn htpasswd(self, path: &str) -> Self {
        self.config(format!(
            "auth: {{htpasswd: {{realm: Registry Realm, path: '{path}'}}}}"
        ))
    }

    /// Where the data will lie.
    pub fn root(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Starts it.
    ///
    /// # Panics
    ///
    /// When it does not say where it listens.
    pub fn start(self) -> Server {
        let process = self.spawn();
        Server { how: self, process }
    }

    /// Runs it to its end, for servers that must not start.
    pub fn output(&self) -> (ExitStatus, String) {
        let mut child = self.command().spawn().unwrap();
        let log = Log::default();
        let readers = [
            log.follow(child.stdout.take().unwrap(), None),
            log.follow(child.stderr.take().unwrap(), None),
        ];
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("the server did not end by itself\n{}", log.text());
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        for reader in readers {
            reader.join().unwrap();
        }
        (status, log.text())
    }

    fn spawn(&self) -> Process {
        let mut child = self
            .command()
            .spawn()
            .unwrap_or_else(|e| panic!("start {}: {e}", self.binary.display()));
        let log = Log::default();
        let (found, place) = mpsc::channel();
        log.follow(child.stdout.take().unwrap(), Some(found.clone()));
        log.follow(child.stderr.take().unwrap(), Some(found));
        match place.recv_timeout(PATIENCE) {
            Ok(place) => Process { child, place, log },
            Err(_) => {
                child.kill().unwrap();
                let status = child.wait().unwrap();
                panic!(
                    "the server does not say where it listens ({status})\n{}\n{}",
                    self.text(),
                    log.text()
                )
            }
        }
    }

    fn command(&self) -> Command {
        let config = self.directory.path().join("config.yml");
        std::fs::write(&config, self.text()).unwrap();
        let mut words = self
            .wrapper
            .iter()
            .map(AsRef::as_ref)
            .chain([self.binary.as_os_str()]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).arg("serve").arg(config);
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command.current_dir(self.directory.path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn text(&self) -> String {
        let mut text = String::from("version: 0.1\n");
        for line in &self.top {
            writeln!(text, "{line}").unwrap();
        }
        text.push_str("storage:\n");
        match self.engine {
            Engine::Filesystem => writeln!(
                text,
                "  filesystem:\n    rootdirectory: {}",
                self.root().display()
            ),
            Engine::Inmemory => writeln!(text, "  inmemory: {{}}"),
        }
        .unwrap();
        for line in &self.storage {
            writeln!(text, "  {line}").unwrap();
        }
        text.push_str("http:\n  addr: 127.0.0.1:0\n");
        for line in &self.http {
            writeln!(text, "  {line}").unwrap();
        }
        text
    }
}

impl Server {
    /// A server of the given binary, on a file system unless told otherwise. `$WHARF_BINARY` names
    /// another one, a release build for example.
    pub fn builder(binary: &str) -> ServerBuilder {
        Self::of_binary(std::env::var_os("WHARF_BINARY").map_or_else(|| binary.into(), PathBuf::from))
    }

    fn of_binary(binary: PathBuf) -> ServerBuilder {
        ServerBuilder {
            binary,
            engine: Engine::Filesystem,
            directory: tempfile::Builder::new().prefix("wharf-test-").tempdir().unwrap(),
            top: Vec::new(),
            storage: Vec::new(),
            http: Vec::new(),
            environment: Vec::new(),
            wrapper: Vec::new(),
            user: None,
            rules: Some(store::Rules::default()),
        }
    }

    /// Where it listens.
    ///
    /// # Panics
    ///
    /// When that is a unix socket.
    pub fn address(&self) -> SocketAddr {
        match &self.process.place {
            Place::Tcp(address) => *address,
            Place::Unix(path) => panic!("the server listens on {}", path.display()),
        }
    }

    /// The path of the unix socket on which it listens.
    ///
    /// # Panics
    ///
    /// When it listens on TCP.
    pub fn socket(&self) -> &Path {
        match &self.process.place {
            Place::Unix(path) => path,
            Place::Tcp(address) => panic!("the server listens on {address}"),
        }
    }

    /// Writes a file into the directory of the server; it appears whole.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let beside = self.how.path(&format!("{name}.new"));
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(beside, self.how.path(name)).unwrap();
    }

    /// The path of a file there.
    pub fn path(&self, name: &str) -> PathBuf {
        self.how.path(name)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Where the data lies.
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

    /// Which engine.
    pub fn engine(&self) -> Engine {
        self.how.engine
    }

    /// Somebody without credentials, over HTTP/1.1.
    pub fn anonymous(&self) -> Client {
        Client::http1(self.address())
    }

    /// The same over HTTP/2.
    pub fn anonymous_http2(&self) -> Client {
        Client::http2(self.address())
    }

    /// Somebody without credentials, over TLS.
    pub fn over_tls(&self, trust: &Trust) -> Client {
        Client::tls(self.address(), trust)
    }

    /// Somebody without credentials, on the unix socket.
    pub fn on_socket(&self) -> Client {
        Client::unix(self.socket())
    }

    /// Another server of the same binary, with a directory of its own.
    pub fn another(&self) -> ServerBuilder {
        self.how.another()
    }

    /// A connection without any manners.
    pub async fn raw(&self) -> RawConnection {
        RawConnection::open(self.address()).await
    }

    /// All that the server has said so far.
    pub fn log(&self) -> String {
        self.process.log.text()
    }

    /// Waits until the server has said `text`. Its words come through a pipe, a moment after what they speak of.
    ///
    /// # Panics
    ///
    /// When it still has not after [`PATIENCE`], with all that it has said.
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

    /// Checks that the process is alive.
    pub fn assert_alive(&mut self) {
        let ended = self.process.child.try_wait().unwrap();
        assert!(ended.is_none(), "the server has ended: {}", ended.unwrap());
    }

    /// Asks it to end (SIGTERM), as `docker stop` does, and checks that it ends well.
    pub fn stop(&mut self) {
        kill_process(self.process.pid(), Signal::TERM).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while self.process.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the server does not end after SIGTERM");
            std::thread::sleep(Duration::from_millis(5));
        }
        let status = self.process.child.wait().unwrap();
        assert!(status.success(), "after SIGTERM the server ended with {status}");
    }

    /// Kills it in the middle of whatever it does (`kill -9`).
    pub fn kill9(&mut self) {
        self.process.child.kill().unwrap();
        self.process.child.wait().unwrap();
    }

    /// Starts it again on the same data after [`stop`](Self::stop) or [`kill9`](Self::kill9). The
    /// port is a new one: actors must be made anew.
    pub fn start_again(&mut self) {
        self.process = self.how.spawn();
    }

    /// Stops it and starts it again.
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// Runs a second server on the same data to its end: its exit status, and what it said.
    pub fn second_process(&self) -> (ExitStatus, String) {
        self.how.output()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both succeed for a child that has ended already; there is nobody to tell if not.
        self.process.child.kill().ok();
        self.process.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("--- what the server said ---\n{}---", self.log());
        } else if let (Engine::Filesystem, Some(rules)) = (self.how.engine, &self.how.rules) {
            check(&self.root(), *rules, &self.log());
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

impl Process {
    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Log {
    fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    /// Keeps all that `output` says, and tells where the server listens as soon as it says so.
    fn follow(
        &self,
        output: impl Read + Send + 'static,
        found: Option<mpsc::Sender<Place>>,
    ) -> std::thread::JoinHandle<()> {
        let log = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line);
                if let (Some(found), Some(place)) = (&found, place_in(&line)) {
                    // Nobody waits any more after the first line that tells.
                    found.send(place).ok();
                }
                let mut text = log.0.lock().unwrap();
                text.push_str(&line);
                text.push('\n');
            }
        })
    }
}

/// The address in `listening on http://127.0.0.1:41234`, or the path in `listening on http at /run/socket`.
fn place_in(line: &str) -> Option<Place> {
    let (_, rest) = line.split_once("listening on ")?;
    if let Some((_, path)) = rest.split_once(" at ") {
        return Some(Place::Unix(path.into()));
    }
    let (_, rest) = rest.split_once("://")?;
    let end = rest
        .find(|c: char| !(c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '[' | ']')))
        .unwrap_or(rest.len());
    rest[..end].parse().ok().map(Place::Tcp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_address_in_a_line() {
        let expected = Place::Tcp("127.0.0.1:41234".parse().unwrap());
        for line in [
            "listening on http://127.0.0.1:41234",
            "INFO listening on https://127.0.0.1:41234/, data under x",
        ] {
            assert_eq!(place_in(line).as_ref(), Some(&expected), "{line}");
        }
        let expected = Place::Tcp("[::1]:41234".parse().unwrap());
        assert_eq!(place_in("listening on http://[::1]:41234"), Some(expected));
        let socket = Place::Unix("/run/s".into());
        assert_eq!(place_in("wharf 1 listening on http at /run/s"), Some(socket));
        assert_eq!(place_in("listening"), None);
    }
}
