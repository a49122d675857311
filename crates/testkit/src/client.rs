//! A client without credentials: requests, answers with checks, and the usual pushes and pulls.

use std::{
    collections::VecDeque,
    convert::Infallible,
    fmt::{self, Write as _},
    net::SocketAddr,
    path::Path,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper_util::{client::legacy, rt::TokioExecutor};
use serde_json::Value;

use crate::{
    connect::Way,
    digest,
    image::{Blob, Image, Index, Manifest},
    tls::Trust,
    waiting::PATIENCE,
};

/// A client of one server, without credentials unless given some. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    address: SocketAddr,
    /// Scheme and host of the URLs.
    base: String,
    /// Value of the `Authorization` header.
    authorization: Option<String>,
    http: legacy::Client<Way, Pieces>,
}

/// A request on its way to being sent; awaiting it sends it.
#[derive(Debug)]
pub struct Request {
    client: Client,
    method: Method,
    target: String,
    headers: Vec<(String, String)>,
    body: Pieces,
}

/// An answer of the server. Checks that fail print the request and the whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Text of the request, for messages.
    pub request: String,
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// The error of a request without an answer: the connection failed or ended early.
#[derive(Debug)]
pub struct Unanswered(pub String);

impl Client {
    /// A client over HTTP/1.1.
    pub fn http1(address: SocketAddr) -> Self {
        Self::on(Way::Tcp(address), address, format!("http://{address}"), false)
    }

    /// A client that speaks HTTP/2 from the first byte, without TLS.
    pub fn http2(address: SocketAddr) -> Self {
        Self::on(Way::Tcp(address), address, format!("http://{address}"), true)
    }

    /// A client over TLS, and over HTTP/2 where the server offers it.
    pub fn tls(address: SocketAddr, trust: &Trust) -> Self {
        let base = format!("https://localhost:{}", address.port());
        Self::on(Way::Tls(address, trust.clone()), address, base, false)
    }

    /// A client on a unix socket, over HTTP/1.1.
    pub fn unix(path: &Path) -> Self {
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        Self::on(
            Way::Unix(path.to_owned()),
            nowhere,
            "http://localhost".to_owned(),
            false,
        )
    }

    fn on(way: Way, address: SocketAddr, base: String, http2_only: bool) -> Self {
        Self {
            address,
            base,
            authorization: None,
            http: legacy::Client::builder(TokioExecutor::new())
                .http2_only(http2_only)
                .build(way),
        }
    }

    /// The same client, with these credentials in each request (`Basic`).
    pub fn as_user(mut self, name: &str, password: &str) -> Self {
        self.authorization = Some(basic(name, password));
        self
    }

    /// Address at which the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A request for `target`: a path with its query, or the URL of an answer's `Location`.
    pub fn request(&self, method: Method, target: &str) -> Request {
        let target = path_of(target).to_owned();
        Request {
            client: self.clone(),
            method,
            target,
            headers: self
                .authorization
                .iter()
                .map(|value| ("authorization".to_owned(), value.clone()))
                .collect(),
            body: Pieces::sized(Bytes::new()),
        }
    }

    /// A GET request.
    pub fn get(&self, target: &str) -> Request {
        self.request(Method::GET, target)
    }

    /// A HEAD request.
    pub fn head(&self, target: &str) -> Request {
        self.request(Method::HEAD, target)
    }

    /// A POST request.
    pub fn post(&self, target: &str) -> Request {
        self.request(Method::POST, target)
    }

    /// A PUT request.
    pub fn put(&self, target: &str) -> Request {
        self.request(Method::PUT, target)
    }

    /// A PATCH request.
    pub fn patch(&self, target: &str) -> Request {
        self.request(Method::PATCH, target)
    }

    /// A DELETE request.
    pub fn delete(&self, target: &str) -> Request {
        self.request(Method::DELETE, target)
    }

    /// The repository `name` as this client sees it.
    pub fn repository(&self, name: &str) -> Repository {
        Repository {
            client: self.clone(),
            name: name.to_owned(),
        }
    }
}

impl Request {
    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// Sends `bytes` with their length.
    pub fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body = Pieces::sized(bytes.into());
        self
    }

    /// Sends `bytes` in pieces of `length`, without saying how many will come.
    pub fn streamed(mut self, bytes: &Bytes, length: usize) -> Self {
        let pieces = (0..bytes.len())
            .step_by(length)
            .map(|at| bytes.slice(at..bytes.len().min(at + length)));
        self.body = Pieces {
            pieces: pieces.collect(),
            length: None,
        };
        self
    }

    /// Sends the request.
    ///
    /// # Errors
    ///
    /// When no complete answer comes.
    ///
    /// # Panics
    ///
    /// When the server is silent for [`PATIENCE`].
    pub async fn try_send(self) -> Result<Answer, Unanswered> {
        let text = format!("{} {}", self.method, self.target);
        let mut request = http::Request::builder()
            .method(self.method)
            .uri(format!("{}{}", self.client.base, self.target));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(self.body).unwrap_or_else(|e| panic!("{text}: {e}"));
        let exchange = async {
            let answer = self
                .client
                .http
                .request(request)
                .await
                .map_err(|e| causes(&text, &e))?;
            let (parts, body) = answer.into_parts();
            let body = body.collect().await.map_err(|e| causes(&text, &e))?.to_bytes();
            Ok(Answer {
                request: text.clone(),
                status: parts.status,
                headers: parts.headers,
                body,
            })
        };
        tokio::time::timeout(PATIENCE, exchange)
            .await
            .unwrap_or_else(|_| panic!("no answer to {text} within {PATIENCE:?}"))
    }
}

/// The value of an `Authorization` header (RFC 7617).
pub fn basic(name: &str, password: &str) -> String {
    use base64::Engine as _;
    let pair = format!("{name}:{password}");
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

impl IntoFuture for Request {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async {
            self.try_send()
                .await
                .unwrap_or_else(|Unanswered(why)| panic!("{why}"))
        })
    }
}

impl Answer {
    /// Checks the status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(
            self.status.as_u16(),
            status,
            "another status was expected\n{self}"
        );
        self
    }

    /// Checks that this is an error of the wire's form: the status, and the code of each error.
    #[track_caller]
    pub fn expect_error(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status);
        let errors = answer.errors();
        assert!(!errors.is_empty(), "an error was expected\n{answer}");
        for error in errors {
            assert_eq!(error["code"], code, "another code was expected\n{answer}");
        }
        answer
    }

    /// The list of errors in the body.
    #[track_caller]
    pub fn errors(&self) -> Vec<Value> {
        let errors = self.json()["errors"].as_array().cloned();
        errors.unwrap_or_else(|| panic!("the body has no list `errors`\n{self}"))
    }

    /// All messages of the errors in the body.
    #[track_caller]
    pub fn messages(&self) -> String {
        self.errors()
            .iter()
            .filter_map(|error| error["message"].as_str())
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Checks that the messages of the errors contain `text`.
    #[track_caller]
    pub fn expect_message(self, text: &str) -> Self {
        let messages = self.messages();
        assert!(
            messages.contains(text),
            "`{text}` was expected in the message\n{self}"
        );
        self
    }

    /// Checks that a header has this value.
    #[track_caller]
    pub fn expect_header(self, name: &str, value: impl AsRef<str>) -> Self {
        assert_eq!(
            self.header(name),
            value.as_ref(),
            "another `{name}` was expected\n{self}"
        );
        self
    }

    /// Checks that there is no such header.
    #[track_caller]
    pub fn expect_no_header(self, name: &str) -> Self {
        assert!(
            !self.headers.contains_key(name),
            "no `{name}` was expected\n{self}"
        );
        self
    }

    /// Checks the body, byte for byte.
    #[track_caller]
    pub fn expect_body(self, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        assert!(
            self.body == body,
            "another body was expected: {} bytes\n{}\n{self}",
            body.len(),
            String::from_utf8_lossy(&body[..body.len().min(2000)])
        );
        self
    }

    /// The value of a header that must be there once.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let values: Vec<_> = self.headers.get_all(name).iter().collect();
        assert_eq!(values.len(), 1, "one header `{name}` was expected\n{self}");
        values[0].to_str().unwrap()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("the body is not JSON: {e}\n{self}"))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Path and query of the `Location` header.
    #[track_caller]
    pub fn location(&self) -> String {
        path_of(self.header("location")).to_owned()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  to {}\n  the server answered {}", self.request, self.status)?;
        for (name, value) in &self.headers {
            writeln!(f, "  {name}: {}", String::from_utf8_lossy(value.as_bytes()))?;
        }
        write!(
            f,
            "\n{}",
            String::from_utf8_lossy(&self.body[..self.body.len().min(4000)])
        )
    }
}

/// One repository as one client sees it.
#[derive(Debug, Clone)]
pub struct Repository {
    client: Client,
    /// Name of the repository.
    pub name: String,
}

impl Repository {
    /// The client that talks to it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// `/v2/<name>/blobs/<digest>`
    pub fn blob_path(&self, digest: &str) -> String {
        format!("/v2/{}/blobs/{digest}", self.name)
    }

    /// `/v2/<name>/manifests/<reference>`
    pub fn manifest_path(&self, reference: &str) -> String {
        format!("/v2/{}/manifests/{reference}", self.name)
    }

    /// `/v2/<name>/blobs/uploads/`
    pub fn uploads_path(&self) -> String {
        format!("/v2/{}/blobs/uploads/", self.name)
    }

    /// `/v2/<name>/referrers/<digest>`
    pub fn referrers_path(&self, digest: &str) -> String {
        format!("/v2/{}/referrers/{digest}", self.name)
    }

    /// GET of a blob.
    pub fn get_blob(&self, digest: &str) -> Request {
        self.client.get(&self.blob_path(digest))
    }

    /// HEAD of a blob.
    pub fn head_blob(&self, digest: &str) -> Request {
        self.client.head(&self.blob_path(digest))
    }

    /// GET of a manifest.
    pub fn get_manifest(&self, reference: &str) -> Request {
        self.client.get(&self.manifest_path(reference))
    }

    /// HEAD of a manifest.
    pub fn head_manifest(&self, reference: &str) -> Request {
        self.client.head(&self.manifest_path(reference))
    }

    /// DELETE of a manifest or tag.
    pub fn delete_manifest(&self, reference: &str) -> Request {
        self.client.delete(&self.manifest_path(reference))
    }

    /// PUT of a manifest under `reference`, which may carry a query.
    pub fn put_manifest(&self, reference: &str, manifest: &Manifest) -> Request {
        self.client
            .put(&self.manifest_path(reference))
            .header("Content-Type", &manifest.media_type)
            .body(manifest.bytes.clone())
    }

    /// Starts an upload and gives its location.
    pub async fn start_upload(&self) -> String {
        self.client
            .post(&self.uploads_path())
            .await
            .expect(202)
            .location()
    }

    /// PATCH that appends `bytes` to an upload.
    pub fn append(&self, location: &str, bytes: impl Into<Bytes>) -> Request {
        self.client
            .patch(location)
            .header("Content-Type", "application/octet-stream")
            .body(bytes)
    }

    /// PUT that closes an upload with `bytes` as its end.
    pub fn finish(&self, location: &str, digest: &str, bytes: impl Into<Bytes>) -> Request {
        self.client
            .put(&with_digest(location, digest))
            .header("Content-Type", "application/octet-stream")
            .body(bytes)
    }

    /// Pushes a blob in one POST and one PUT, as most clients do.
    pub async fn push_blob(&self, blob: &Blob) {
        let location = self.start_upload().await;
        self.finish(&location, &blob.digest, blob.bytes.clone())
            .await
            .expect(201);
    }

    /// Pushes the blobs of `image`, but not its manifest.
    pub async fn push_blobs(&self, image: &Image) {
        for blob in &image.blobs {
            self.push_blob(blob).await;
        }
    }

    /// Pushes all of `image` and tags it.
    pub async fn push_image(&self, tag: &str, image: &Image) {
        self.push_blobs(image).await;
        self.push_manifest(tag, &image.manifest).await;
    }

    /// Pushes all of `index`, its children by digest, and tags it.
    pub async fn push_index(&self, tag: &str, index: &Index) {
        for image in &index.images {
            self.push_blobs(image).await;
            self.push_manifest(&image.manifest.digest, &image.manifest).await;
        }
        self.push_manifest(tag, &index.manifest).await;
    }

    /// Pushes a manifest whose references are there.
    pub async fn push_manifest(&self, reference: &str, manifest: &Manifest) -> Answer {
        self.put_manifest(reference, manifest)
            .await
            .expect(201)
            .expect_header("docker-content-digest", digest::sha256(&manifest.bytes))
    }

    /// Pulls an image as a client does, and checks every byte and digest of it.
    pub async fn pull_image(&self, reference: &str, image: &Image) {
        self.get_manifest(reference)
            .await
            .expect(200)
            .expect_header("content-type", &image.manifest.media_type)
            .expect_header("docker-content-digest", &image.manifest.digest)
            .expect_body(&image.manifest.bytes);
        for blob in &image.blobs {
            self.expect_blob(blob).await;
        }
    }

    /// Pulls a blob, and checks that all its bytes come.
    pub async fn expect_blob(&self, blob: &Blob) -> Answer {
        self.get_blob(&blob.digest)
            .await
            .expect(200)
            .expect_body(&blob.bytes)
    }

    /// All tags.
    pub async fn tags(&self) -> Vec<String> {
        let answer = self
            .client
            .get(&format!("/v2/{}/tags/list", self.name))
            .await
            .expect(200);
        let json = answer.json();
        assert_eq!(json["name"], self.name, "{answer}");
        strings(&json["tags"])
    }

    /// The digests that the referrers API lists for `digest`.
    pub async fn referrers(&self, digest: &str) -> Vec<String> {
        let answer = self.client.get(&self.referrers_path(digest)).await.expect(200);
        let manifests = answer.json()["manifests"]
            .as_array()
            .cloned()
            .unwrap_or_else(|| panic!("{answer}"));
        manifests
            .iter()
            .map(|descriptor| descriptor["digest"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// A location with `digest=` added to whatever query it has.
pub(crate) fn with_digest(location: &str, digest: &str) -> String {
    let separator = if location.contains('?') { '&' } else { '?' };
    format!("{location}{separator}digest={digest}")
}

/// A JSON list of strings.
fn strings(list: &Value) -> Vec<String> {
    let list = list
        .as_array()
        .unwrap_or_else(|| panic!("`{list}` is not a list"));
    list.iter()
        .map(|item| item.as_str().unwrap().to_owned())
        .collect()
}

/// Path and query of a URL; a path stays as it is.
pub(crate) fn path_of(url: &str) -> &str {
    match url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"))
    {
        Some(rest) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => url,
    }
}

fn causes(request: &str, error: &dyn std::error::Error) -> Unanswered {
    let mut text = format!("{request}: {error}");
    let mut source = error.source();
    while let Some(error) = source {
        write!(text, ": {error}").unwrap();
        source = error.source();
    }
    Unanswered(text)
}

/// A request body: pieces, and their length where it is announced.
#[derive(Debug, Clone)]
struct Pieces {
    pieces: VecDeque<Bytes>,
    length: Option<u64>,
}

impl Pieces {
    fn sized(bytes: Bytes) -> Self {
        let length = Some(bytes.len() as u64);
        Self {
            pieces: VecDeque::from_iter(Some(bytes).filter(|bytes| !bytes.is_empty())),
            length,
        }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.pieces.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && self.length.is_some()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
