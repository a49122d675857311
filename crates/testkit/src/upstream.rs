//! The registry behind a mirror, played by the test: it serves what the test gives it, records each request, and fails as
//! the test wants.
//!
//! It also answers as a proxy does (`GET http://host/path`), so that it can stand for hosts of any name.

mod asked;
mod reply;
mod trouble;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::{self, Runtime},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

pub use self::{
    asked::Asked,
    trouble::{Gate, Trouble, When},
};
use self::{reply::Reply, trouble::play};
use crate::{
    client::basic,
    content::Content,
    image::{Blob, Manifest, OCI_INDEX},
    receiver::request,
    tls::Identity,
    waiting::PATIENCE,
};

/// Most names on a page of tags.
const PAGE: usize = 1000;

/// A registry on a port of its own, on threads of its own. It ends when dropped.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    tls: Option<Arc<rustls::ServerConfig>>,
    /// Keeps the port while the upstream is stopped.
    _port: TcpSocket,
    accepting: Mutex<Option<JoinHandle<()>>>,
    runtime: Option<Runtime>,
}

/// What the upstream asks clients for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Demand {
    /// Nothing.
    #[default]
    Nothing,
    /// Name and password, with every request.
    Password(&'static str, &'static str),
    /// A token for each repository, from the token server at `realm`; without one it is the upstream's own, at `/token`. With
    /// an account, that server gives tokens to it alone.
    Token {
        /// URL of the token server, if it is another one.
        realm: Option<String>,
        /// Name and password of the one account.
        account: Option<(&'static str, &'static str)>,
    },
}

#[derive(Debug, Default)]
struct Shared(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Address of the upstream as a URL, for its own realm
    url: String,
    repositories: BTreeMap<String, Repository>,
    demand: Demand,
    tokens: BTreeSet<String>,
    issued: usize,
    rules: Vec<Rule>,
    asked: Vec<Asked>,
}

#[derive(Debug, Default)]
struct Repository {
    manifests: BTreeMap<String, Manifest>,
    tags: BTreeMap<String, String>,
    blobs: BTreeMap<String, Bytes>,
}

#[derive(Debug)]
struct Rule {
    when: When,
    trouble: Trouble,
    seen: usize,
}

impl Upstream {
    /// An upstream without TLS that has nothing and asks for nothing.
    pub fn start() -> Self {
        Self::on(None)
    }

    /// An upstream that speaks TLS with this certificate.
    pub fn over_tls(identity: &Identity) -> Self {
        Self::on(Some(Arc::new(identity.server_config())))
    }

    fn on(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let socket = socket_at(SocketAddr::from(([127, 0, 0, 1], 0)));
        let address = socket.local_addr().unwrap();
        let port = socket_at(address);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let upstream = Self {
            address,
            scheme,
            shared: Arc::default(),
            tls,
            _port: port,
            accepting: Mutex::default(),
            runtime: Some(runtime),
        };
        upstream.state().url = upstream.url();
        upstream.listen(socket);
        upstream
    }

    /// Address at which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Host and port.
    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    /// `http://127.0.0.1:41234`
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Gives it all of an image or index, under a tag.
    pub fn serve(&self, repository: &str, tag: &str, content: impl Into<Content>) {
        let content = content.into();
        let mut state = self.state();
        let to = state.repositories.entry(repository.to_owned()).or_default();
        to.tags.insert(tag.to_owned(), content.root().digest.clone());
        to.blobs.extend(content.blobs);
        let manifests = content.manifests.into_iter();
        to.manifests
            .extend(manifests.map(|manifest| (manifest.digest.clone(), manifest)));
    }

    /// Gives it a manifest without a tag.
    pub fn serve_manifest(&self, repository: &str, manifest: &Manifest) {
        let mut state = self.state();
        let to = state.repositories.entry(repository.to_owned()).or_default();
        to.manifests.insert(manifest.digest.clone(), manifest.clone());
    }

    /// Gives it a blob.
    pub fn serve_blob(&self, repository: &str, blob: &Blob) {
        let mut state = self.state();
        let to = state.repositories.entry(repository.to_owned()).or_default();
        to.blobs.insert(blob.digest.clone(), blob.bytes.clone());
    }

    /// Takes a tag away; its image stays.
    pub fn remove_tag(&self, repository: &str, tag: &str) {
        let mut state = self.state();
        let from = state.repositories.entry(repository.to_owned()).or_default();
        from.tags.remove(tag);
    }

    /// Takes a whole repository away.
    pub fn remove(&self, repository: &str) {
        self.state().repositories.remove(repository);
    }

    /// What it asks clients for from now on. Tokens given before are worth nothing.
    pub fn demand(&self, demand: Demand) {
        let mut state = self.state();
        state.demand = demand;
        state.tokens.clear();
    }

    /// Lets `trouble` happen to requests.
    pub fn trouble(&self, when: When, trouble: Trouble) {
        let seen = 0;
        self.state().rules.push(Rule { when, trouble, seen });
    }

    /// Ends all trouble.
    pub fn recover(&self) {
        self.state().rules.clear();
    }

    /// Closes the port and all connections.
    pub fn stop(&self) {
        let accepting = self
            .accepting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(accepting) = accepting else { return };
        accepting.abort();
        // The port is closed when the task has been dropped.
        let deadline = std::time::Instant::now() + PATIENCE;
        while !accepting.is_finished() {
            assert!(std::time::Instant::now() < deadline, "the upstream does not stop");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// Listens again after [`stop`](Self::stop), on the same port.
    pub fn come_back(&self) {
        self.listen(socket_at(self.address));
    }

    fn listen(&self, socket: TcpSocket) {
        let runtime = self.runtime.as_ref().unwrap();
        let _entered = runtime.enter();
        let listener = socket.listen(128).unwrap();
        let task = runtime.spawn(accept(listener, self.tls.clone(), Arc::clone(&self.shared)));
        *self.accepting.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// All requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// Method and path of each request so far, without those for tokens.
    pub fn calls(&self) -> Vec<String> {
        let asked = self.asked();
        let calls = asked.iter().filter(|asked| asked.path != "/token");
        calls
            .map(|asked| format!("{} {}", asked.method, asked.path))
            .collect()
    }

    /// How many requests had this method, and this in their path.
    pub fn count(&self, method: &str, containing: &str) -> usize {
        let asked = self.asked();
        let counted = asked
            .iter()
            .filter(|asked| asked.method == method && asked.path.contains(containing));
        counted.count()
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.state().asked.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves one connection until it ends.
    async fn converse(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        let mut buffer = Vec::new();
        while let Some((head, _)) = request(&mut stream, &mut buffer).await {
            let asked = Asked::parse(head);
            let (reply, troubles) = self.state().answer(&asked);
            if !play(&mut stream, &asked, reply, &troubles).await? {
                stream.shutdown().await?;
                return Ok(());
            }
            for trouble in troubles {
                if let Trouble::Move { repository, tag, to } = trouble {
                    self.state().change(&repository, &tag, to);
                }
            }
        }
        Ok(())
    }
}

impl State {
    /// The answer to a request, and what goes wrong with it.
    fn answer(&mut self, asked: &Asked) -> (Reply, Vec<Trouble>) {
        self.asked.push(asked.clone());
        let mut troubles = Vec::new();
        for rule in self.rules.iter_mut().filter(|rule| rule.when.fits(asked)) {
            rule.seen += 1;
            let past = rule.seen.saturating_sub(rule.when.after);
            if past > 0 && rule.when.times.is_none_or(|times| past <= times) {
                troubles.push(rule.trouble.clone());
            }
        }
        let reply = match asked.path.as_str() {
            "/token" => self.token(asked),
            _ => self.challenge(asked).unwrap_or_else(|| {
                let takes_ranges = !troubles.iter().any(|trouble| matches!(trouble, Trouble::Whole));
                self.content(asked, takes_ranges)
            }),
        };
        (reply, troubles)
    }

    fn change(&mut self, repository: &str, tag: &str, to: Manifest) {
        let repository = self.repositories.entry(repository.to_owned()).or_default();
        let old = repository.tags.insert(tag.to_owned(), to.digest.clone());
        if let Some(old) = old {
            repository.manifests.remove(&old);
        }
        repository.manifests.insert(to.digest.clone(), to);
    }

    /// A refusal of a request without the credentials that are asked for.
    fn challenge(&self, asked: &Asked) -> Option<Reply> {
        let authorization = asked.header("authorization").unwrap_or_default();
        let wanted = match &self.demand {
            Demand::Nothing => return None,
            Demand::Password(name, password) if authorization == basic(name, password) => return None,
            Demand::Password(..) => "Basic realm=\"upstream\"".to_owned(),
            Demand::Token { realm, .. } => {
                let known = authorization.strip_prefix("Bearer ");
                if known.is_some_and(|token| self.tokens.contains(token)) {
                    return None;
                }
                let realm = realm.clone().unwrap_or_else(|| format!("{}/token", self.url));
                let scope = match parts(&asked.path) {
                    Some((name, _, _)) => format!(",scope=\"repository:{name}:pull\""),
                    None => String::new(),
                };
                format!("Bearer realm=\"{realm}\",service=\"upstream\"{scope}")
            }
        };
        let refused = Reply::error(401, "UNAUTHORIZED", "authentication required");
        Some(refused.header("WWW-Authenticate", wanted))
    }

    /// What the token server answers.
    fn token(&mut self, asked: &Asked) -> Reply {
        if let Demand::Token {
            account: Some((name, password)),
            ..
        } = &self.demand
            && asked.header("authorization") != Some(&basic(name, password))
        {
            return Reply::error(401, "UNAUTHORIZED", "incorrect username or password");
        }
        self.issued += 1;
        let token = format!("token-{}", self.issued);
        self.tokens.insert(token.clone());
        Reply::json(&json!({ "token": token, "access_token": token, "expires_in": 300 }))
    }

    fn content(&self, asked: &Asked, takes_ranges: bool) -> Reply {
        if !matches!(asked.method.as_str(), "GET" | "HEAD") {
            return Reply::error(405, "UNSUPPORTED", "the upstream is only read");
        }
        if asked.path == "/v2/" {
            return Reply::json(&json!({}));
        }
        let Some((name, kind, reference)) = parts(&asked.path) else {
            return Reply::error(404, "NAME_UNKNOWN", "no such path");
        };
        let Some(repository) = self.repositories.get(name) else {
            let code = match kind {
                "manifests" => "MANIFEST_UNKNOWN",
                "blobs" => "BLOB_UNKNOWN",
                _ => "NAME_UNKNOWN",
            };
            return Reply::error(404, code, "no such repository");
        };
        match kind {
            "manifests" => repository.manifest(reference),
            "blobs" => repository.blob(reference, asked.header("range").filter(|_| takes_ranges)),
            "referrers" => repository.referrers(reference),
            _ => repository.tags(name, asked),
        }
    }
}

impl Repository {
    fn manifest(&self, reference: &str) -> Reply {
        let digest = self.tags.get(reference).map_or(reference, String::as_str);
        let Some(manifest) = self.manifests.get(digest) else {
            return Reply::error(404, "MANIFEST_UNKNOWN", "manifest unknown");
        };
        Reply::ok(manifest.bytes.clone())
            .header("Content-Type", &manifest.media_type)
            .header("Docker-Content-Digest", &manifest.digest)
    }

    fn blob(&self, digest: &str, range: Option<&str>) -> Reply {
        let Some(bytes) = self.blobs.get(digest) else {
            return Reply::error(404, "BLOB_UNKNOWN", "blob unknown to registry");
        };
        let whole = |bytes: Bytes, status| {
            let reply = Reply::ok(bytes).header("Content-Type", "application/octet-stream");
            Reply { status, ..reply }.header("Docker-Content-Digest", digest)
        };
        let Some((from, to)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')) else {
            return whole(bytes.clone(), 200);
        };
        let length = bytes.len();
        let from = from.parse().unwrap_or(0);
        let end = to.parse().map_or(length, |last: usize| (last + 1).min(length));
        if from >= end {
            return Reply::error(416, "RANGE_INVALID", "no such bytes");
        }
        let content_range = format!("bytes {from}-{}/{length}", end - 1);
        whole(bytes.slice(from..end), 206).header("Content-Range", content_range)
    }

    fn referrers(&self, digest: &str) -> Reply {
        let refers = |manifest: &&Manifest| manifest.json()["subject"]["digest"] == digest;
        let descriptors = self.manifests.values().filter(refers).map(|manifest| {
            let mut descriptor = manifest.descriptor();
            descriptor["artifactType"] = manifest.json()["artifactType"].clone();
            descriptor
        });
        let list = json!({
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": descriptors.collect::<Vec<_>>(),
        });
        let mut reply = Reply::json(&list);
        reply.headers = vec![("Content-Type".to_owned(), OCI_INDEX.to_owned())];
        reply
    }

    /// One page of the tags.
    fn tags(&self, name: &str, asked: &Asked) -> Reply {
        let last = asked.parameter("last").unwrap_or_default();
        let wanted = asked.parameter("n").and_then(|n| n.parse().ok());
        let size = wanted.unwrap_or(PAGE).min(PAGE);
        let left: Vec<&String> = self.tags.keys().filter(|tag| **tag > last).collect();
        let page = &left[..left.len().min(size)];
        let reply = Reply::json(&json!({ "name": name, "tags": page }));
        match page.last() {
            Some(end) if page.len() < left.len() => {
                let next = format!("</v2/{name}/tags/list?last={end}&n={size}>; rel=\"next\"");
                reply.header("Link", next)
            }
            _ => reply,
        }
    }
}

/// Name of the repository, kind and reference of a path.
fn parts(path: &str) -> Option<(&str, &str, &str)> {
    let path = path.strip_prefix("/v2/")?;
    let mut kinds = ["manifests", "blobs", "referrers", "tags"].into_iter();
    kinds.find_map(|kind| {
        let (name, reference) = path.rsplit_once(&format!("/{kind}/"))?;
        Some((name, kind, reference))
    })
}

/// A socket that may be bound beside others that do not listen.
fn socket_at(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket
        .bind(address)
        .unwrap_or_else(|e| panic!("bind {address}: {e}"));
    socket
}

async fn accept(listener: TcpListener, tls: Option<Arc<rustls::ServerConfig>>, shared: Arc<Shared>) {
    let tls = tls.map(TlsAcceptor::from);
    // Aborted with this task.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, tls.clone(), Arc::clone(&shared)));
    }
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    match tls {
        None => shared.converse(stream).await,
        Some(tls) => shared.converse(tls.accept(stream).await?).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Client, digest, image, run};

    fn client(upstream: &Upstream) -> Client {
        Client::http1(upstream.address())
    }

    #[test]
    fn serves_what_it_was_given_and_counts_requests() {
        run(async {
            let upstream = Upstream::start();
            let index = image::oci_index(1);
            upstream.serve("a/b", "1", index.clone());
            let repository = client(&upstream).repository("a/b");
            repository
                .get_manifest("1")
                .await
                .expect_body(&index.manifest.bytes);
            for image in &index.images {
                repository.pull_image(&image.manifest.digest, image).await;
            }
            let blob = &index.images[0].blobs[0];
            let part = repository.get_blob(&blob.digest).header("range", "bytes=1-3");
            part.await.expect(206).expect_body(&blob.bytes[1..4]);
            let behind = repository.get_blob(&blob.digest).header("range", "bytes=999999-");
            behind.await.expect_error(416, "RANGE_INVALID");
            repository
                .get_blob(&digest::unknown(1))
                .await
                .expect_error(404, "BLOB_UNKNOWN");
            assert_eq!(repository.tags().await, ["1"]);
            assert_eq!(upstream.count("GET", "/manifests/1"), 1);
            assert_eq!(upstream.calls()[0], "GET /v2/a/b/manifests/1");
        });
    }

    #[test]
    fn stops_and_comes_back_on_its_port() {
        run(async {
            let upstream = Upstream::start();
            let client = client(&upstream);
            for _ in 0..3 {
                client.get("/v2/").await.expect(200);
                upstream.stop();
                let refused = client.get("/v2/").try_send().await;
                assert!(refused.is_err(), "{refused:?}");
                upstream.come_back();
            }
            client.get("/v2/").await.expect(200);
        });
    }

    #[test]
    fn fails_as_it_was_told() {
        run(async {
            let upstream = Upstream::start();
            let blob = Blob::random(1, 300_000);
            upstream.serve_blob("a", &blob);
            let repository = client(&upstream).repository("a");
            let get = || repository.get_blob(&blob.digest);
            let trouble = |times, trouble| upstream.trouble(When::method("GET").times(times), trouble);
            trouble(1, Trouble::status(500));
            get().await.expect_error(500, "TROUBLE");
            upstream.recover();
            trouble(1, Trouble::Flip);
            let wrong = get().await.expect(200);
            assert_eq!(wrong.body.len(), blob.bytes.len());
            assert_ne!(wrong.body, blob.bytes);
            for broken in [Trouble::Close, Trouble::Cut(100_000), Trouble::Length(300_001)] {
                upstream.recover();
                trouble(1, broken);
                assert!(get().try_send().await.is_err());
            }
            upstream.recover();
            trouble(1, Trouble::Chunks);
            let answer = get().await.expect_no_header("content-length");
            answer.expect_body(&blob.bytes);
            upstream.recover();
            let gate = Gate::new();
            trouble(2, Trouble::WaitAfter(100_000, gate.clone()));
            let waiting = tokio::spawn(get().into_future());
            gate.reached_by(1).await;
            assert!(!waiting.is_finished());
            gate.open();
            waiting.await.unwrap().expect_body(&blob.bytes);
        });
    }

    #[test]
    fn asks_for_passwords_and_tokens() {
        run(async {
            let upstream = Upstream::start();
            let image = image::oci(1);
            upstream.serve("a", "1", image.clone());
            upstream.demand(Demand::Password("robot", "pw"));
            let get = |client: Client| client.repository("a").get_manifest("1");
            get(client(&upstream)).await.expect_error(401, "UNAUTHORIZED");
            let robot = client(&upstream).as_user("robot", "pw");
            get(robot.clone()).await.expect(200);
            upstream.demand(Demand::Token {
                realm: None,
                account: Some(("robot", "pw")),
            });
            let refused = get(robot.clone()).await.expect(401);
            let realm = format!("Bearer realm=\"{}/token\"", upstream.url());
            assert!(
                refused.header("www-authenticate").starts_with(&realm),
                "{refused}"
            );
            client(&upstream).get("/token").await.expect(401);
            let token = robot.get("/token?service=upstream").await.expect(200).json();
            let token = token["token"].as_str().unwrap();
            let with_token = get(client(&upstream)).header("authorization", format!("Bearer {token}"));
            with_token.await.expect_body(&image.manifest.bytes);
        });
    }
}
