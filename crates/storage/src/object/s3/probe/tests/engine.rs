//! A store that speaks S3 in the process of a test, and behaves as one engine or another.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time,
};

use super::super::contents::{CONTENT, CONTENT_MD5};

/// How a condition is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Treated {
    Atomically,
    /// Looked at, but not at the moment of the write
    Racily,
    Ignored,
    /// Answered with 501
    Unknown,
}

/// What sets an engine apart.
#[derive(Debug, Clone)]
pub(super) struct Engine {
    pub(super) name: &'static str,
    pub(super) create: Treated,
    pub(super) replace: Treated,
    /// How long a creation is not answered that lost against another one
    pub(super) losers_wait: Duration,
    pub(super) knows_quoted_tags: bool,
    pub(super) delete_if_match: bool,
    pub(super) e_tag_is_md5: bool,
    pub(super) checks_parts: bool,
    pub(super) refuses_expired: bool,
    pub(super) takes_signed_urls: bool,
    pub(super) copies_parts: bool,
    /// Size of the smallest object that is copied into a part
    pub(super) smallest_source: usize,
    /// Multipart uploads are listed for a directory, and not for an exact key only.
    pub(super) lists_directories: bool,
    pub(super) sorts_lists: bool,
    pub(super) has_stale_reads: bool,
    pub(super) has_stale_lists: bool,
    /// Its clock, ahead of ours; `None`: answers have no date.
    pub(super) clock: Option<SignedDuration>,
    /// The operation that the policy does not allow
    pub(super) denied: Option<&'static str>,
    /// Answers to questions for settings of the bucket
    pub(super) settings: &'static [(&'static str, &'static str)],
}

impl Default for Engine {
    /// AWS, as it is documented.
    fn default() -> Self {
        Self {
            name: "AWS",
            create: Treated::Atomically,
            replace: Treated::Atomically,
            losers_wait: Duration::ZERO,
            knows_quoted_tags: true,
            delete_if_match: true,
            e_tag_is_md5: true,
            checks_parts: true,
            refuses_expired: true,
            takes_signed_urls: true,
            copies_parts: true,
            smallest_source: 0,
            lists_directories: true,
            sorts_lists: true,
            has_stale_reads: false,
            has_stale_lists: false,
            clock: Some(SignedDuration::ZERO),
            denied: None,
            settings: &[],
        }
    }
}

/// A running engine with an empty bucket `b`; it ends when dropped.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) address: SocketAddr,
    store: Arc<Store>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Store {
    engine: Engine,
    content: Mutex<Content>,
}

#[derive(Debug, Default)]
struct Content {
    objects: BTreeMap<String, Object>,
    /// Keys of objects that were put on the condition that there is none
    created: BTreeSet<String>,
    /// What stale reads and lists have
    before: BTreeMap<String, Object>,
    uploads: BTreeMap<String, Multipart>,
    tags: u32,
}

#[derive(Debug, Clone)]
struct Object {
    body: Vec<u8>,
    e_tag: String,
    modified: SystemTime,
}

#[derive(Debug)]
struct Multipart {
    key: String,
    parts: BTreeMap<String, Object>,
}

#[derive(Debug)]
struct Request {
    method: String,
    key: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

type Answer = (u16, Vec<(&'static str, String)>, Vec<u8>);

impl Running {
    pub(super) async fn start(engine: Engine) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let store = Arc::new(Store {
            engine,
            content: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        let served = Arc::clone(&store);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&served)));
            }
        });
        Self {
            address,
            store,
            _tasks: tasks,
        }
    }

    /// The keys of all objects, and of all multipart uploads that are open.
    pub(super) fn keys(&self) -> Vec<String> {
        let content = self.store.content.lock();
        let open = content.uploads.values().map(|upload| upload.key.clone());
        content.objects.keys().cloned().chain(open).collect()
    }

    /// Adds an object that was written some time ago.
    pub(super) fn plant(&self, key: &str, age: Duration) {
        let mut content = self.store.content.lock();
        let object = Object {
            modified: SystemTime::now() - age,
            ..content.object(b"x".to_vec(), true)
        };
        content.objects.insert(key.to_owned(), object);
    }
}

async fn serve(mut stream: TcpStream, store: Arc<Store>) {
    let mut buffer = Vec::new();
    while let Some(request) = read(&mut stream, &mut buffer).await {
        let is_head = request.method == "HEAD";
        let (status, headers, body) = store.answer(&request).await;
        let mut head = format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n", body.len());
        if let Some(ahead) = store.engine.clock {
            let now = Timestamp::now() + ahead;
            head.push_str(&format!("Date: {}\r\n", now.strftime("%a, %d %b %Y %T GMT")));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        if !is_head {
            bytes.extend(body);
        }
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Request> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    while buffer.len() < end + 4 + length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body = buffer[end + 4..end + 4 + length].to_vec();
    buffer.drain(..end + 4 + length);
    let method = first.next()?.to_owned();
    let (path, query) = first.next()?.split_once('?').map_or_else(
        || (head.split(' ').nth(1).unwrap(), ""),
        |(path, query)| (path, query),
    );
    let query = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    });
    Some(Request {
        method,
        key: decoded(path.strip_prefix("/b")?.trim_start_matches('/')),
        query: query.collect(),
        headers,
        body,
    })
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().unwrap().into_owned()
}

impl Request {
    fn asks(&self, name: &str) -> bool {
        self.query.contains_key(name)
    }

    fn param(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    fn operation(&self) -> &'static str {
        let is_copy = self.headers.contains_key("x-amz-copy-source");
        match (self.method.as_str(), self.key.as_str()) {
            ("GET", "") if self.asks("list-type") => "ListObjectsV2",
            ("GET", "") if self.asks("uploads") => "ListMultipartUploads",
            ("GET", "") => "GetBucketSetting",
            ("GET" | "HEAD", _) => "GetObject",
            ("PUT", _) if self.asks("uploadId") && is_copy => "UploadPartCopy",
            ("PUT", _) if self.asks("uploadId") => "UploadPart",
            ("PUT", _) if is_copy => "CopyObject",
            ("PUT", _) => "PutObject",
            ("POST", _) if self.asks("uploads") => "CreateMultipartUpload",
            ("POST", _) => "CompleteMultipartUpload",
            ("DELETE", _) if self.asks("uploadId") => "AbortMultipartUpload",
            ("DELETE", _) => "DeleteObject",
            other => panic!("{other:?}"),
        }
    }

    /// Whether it comes by a signed URL whose time is over.
    fn is_expired(&self) -> bool {
        let Some(begun) = self.query.get("X-Amz-Date") else {
            return false;
        };
        let begun = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", begun).unwrap();
        let begun = begun.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
        let ttl: i64 = self.param("X-Amz-Expires").parse().unwrap();
        Timestamp::now() > begun + SignedDuration::from_secs(ttl)
    }
}

impl Content {
    fn object(&mut self, body: Vec<u8>, is_md5: bool) -> Object {
        self.tags += 1;
        let e_tag = match is_md5 && body == CONTENT.as_bytes() {
            true => format!("\"{CONTENT_MD5}\""),
            false => format!("\"{:032x}\"", self.tags),
        };
        Object {
            body,
            e_tag,
            modified: SystemTime::now(),
        }
    }

    fn put(&mut self, key: &str, object: Object) {
        if let Some(before) = self.objects.insert(key.to_owned(), object) {
            self.before.insert(key.to_owned(), before);
        }
    }

    /// The object that a copy is made of.
    fn source(&self, request: &Request) -> Vec<u8> {
        let source = decoded(request.header("x-amz-copy-source").unwrap());
        self.objects[source.strip_prefix("b/").unwrap()].body.clone()
    }
}

impl Store {
    async fn answer(&self, request: &Request) -> Answer {
        let engine = &self.engine;
        let operation = request.operation();
        let is_signed_url = request.asks("X-Amz-Signature");
        if is_signed_url && !engine.takes_signed_urls
            || request.is_expired() && engine.refuses_expired
            || engine.denied == Some(operation)
        {
            return refused(403, "AccessDenied");
        }
        if operation == "PutObject"
            && let Err(answer) = self.condition(request).await
        {
            return answer;
        }
        match operation {
            "GetBucketSetting" => {
                let found = engine.settings.iter().find(|(name, _)| request.asks(name));
                found.map_or_else(|| refused(404, "NoSuchConfiguration"), |(_, xml)| done(xml))
            }
            "ListObjectsV2" => self.list(request),
            "ListMultipartUploads" => self.list_uploads(request),
            _ if request.asks("uploads") || request.asks("uploadId") => self.multipart(operation, request),
            _ => self.object(operation, request),
        }
    }

    /// Looks at the condition of a put.
    async fn condition(&self, request: &Request) -> Result<(), Answer> {
        let (treated, wanted) = match (request.header("if-none-match"), request.header("if-match")) {
            (Some(_), _) => (self.engine.create, None),
            (_, Some(e_tag)) => (self.engine.replace, Some(e_tag)),
            _ => return Ok(()),
        };
        let current = {
            let content = self.content.lock();
            content
                .objects
                .get(&request.key)
                .map(|object| object.e_tag.clone())
        };
        let holds = match (wanted, current) {
            (None, current) => current.is_none(),
            (Some(_), None) => false,
            (Some(wanted), Some(current)) => {
                let knows = self.engine.knows_quoted_tags || !wanted.starts_with('"');
                knows && wanted.trim_matches('"') == current.trim_matches('"')
            }
        };
        match treated {
            Treated::Ignored => Ok(()),
            Treated::Unknown => Err(refused(501, "NotImplemented")),
            _ if !holds => {
                let has_lost = wanted.is_none() && self.content.lock().created.contains(&request.key);
                if has_lost {
                    time::sleep(self.engine.losers_wait).await;
                }
                Err(refused(412, "PreconditionFailed"))
            }
            Treated::Racily => {
                time::sleep(Duration::from_millis(100)).await;
                Ok(())
            }
            Treated::Atomically => {
                // No other request is served before the put, because nothing awaits in between.
                if wanted.is_none() {
                    self.content.lock().created.insert(request.key.clone());
                }
                Ok(())
            }
        }
    }

    fn object(&self, operation: &str, request: &Request) -> Answer {
        let key = request.key.as_str();
        let mut content = self.content.lock();
        match operation {
            "PutObject" | "CopyObject" => {
                let body = match operation {
                    "CopyObject" => content.source(request),
                    _ => request.body.clone(),
                };
                let object = content.object(body, self.engine.e_tag_is_md5);
                let e_tag = object.e_tag.clone();
                content.put(key, object);
                (
                    200,
                    vec![("ETag", e_tag.clone())],
                    copied("CopyObjectResult", &e_tag),
                )
            }
            "GetObject" => {
                let stale = self
                    .engine
                    .has_stale_reads
                    .then(|| content.before.get(key))
                    .flatten();
                match stale.or_else(|| content.objects.get(key)) {
                    Some(object) => {
                        let modified = Timestamp::try_from(object.modified).unwrap();
                        let modified = modified.strftime("%a, %d %b %Y %T GMT").to_string();
                        let headers = vec![("ETag", object.e_tag.clone()), ("Last-Modified", modified)];
                        (200, headers, object.body.clone())
                    }
                    None => refused(404, "NoSuchKey"),
                }
            }
            "DeleteObject" => {
                let current = content.objects.get(key).map(|object| object.e_tag.as_str());
                let wanted = request.header("if-match");
                if self.engine.delete_if_match && wanted.is_some() && wanted != current {
                    return refused(412, "PreconditionFailed");
                }
                if let Some(before) = content.objects.remove(key) {
                    content.before.insert(key.to_owned(), before);
                }
                (204, Vec::new(), Vec::new())
            }
            other => panic!("{other}"),
        }
    }

    fn multipart(&self, operation: &str, request: &Request) -> Answer {
        let id = request.param("uploadId").to_owned();
        let mut content = self.content.lock();
        match operation {
            "CreateMultipartUpload" => {
                let id = format!("id{}", content.uploads.len());
                let upload = Multipart {
                    key: request.key.clone(),
                    parts: BTreeMap::new(),
                };
                content.uploads.insert(id.clone(), upload);
                done(&format!(
                    "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
                ))
            }
            "UploadPartCopy" if !self.engine.copies_parts => refused(501, "NotImplemented"),
            "UploadPart" | "UploadPartCopy" => {
                let body = match operation {
                    "UploadPartCopy" => content.source(request),
                    _ => request.body.clone(),
                };
                if operation == "UploadPartCopy" && body.len() < self.engine.smallest_source {
                    return refused(400, "InvalidRequest");
                }
                let part = content.object(body, true);
                let e_tag = part.e_tag.clone();
                let upload = content.uploads.get_mut(&id).unwrap();
                upload.parts.insert(request.param("partNumber").to_owned(), part);
                (
                    200,
                    vec![("ETag", e_tag.clone())],
                    copied("CopyPartResult", &e_tag),
                )
            }
            "CompleteMultipartUpload" => {
                let Some(upload) = content.uploads.get(&id) else {
                    return refused(404, "NoSuchUpload");
                };
                let named = String::from_utf8_lossy(&request.body).replace("&quot;", "\"");
                let is_right = upload.parts.values().all(|part| named.contains(&part.e_tag));
                if self.engine.checks_parts && !is_right {
                    return refused(400, "InvalidPart");
                }
                let upload = content.uploads.remove(&id).unwrap();
                let body = upload.parts.values().flat_map(|part| part.body.clone()).collect();
                let object = content.object(body, false);
                content.put(&upload.key, object);
                done("<CompleteMultipartUploadResult/>")
            }
            "AbortMultipartUpload" => match content.uploads.remove(&id) {
                Some(_) => (204, Vec::new(), Vec::new()),
                None => refused(404, "NoSuchUpload"),
            },
            other => panic!("{other}"),
        }
    }

    fn list(&self, request: &Request) -> Answer {
        let content = self.content.lock();
        let shown = match self.engine.has_stale_lists {
            true => &content.before,
            false => &content.objects,
        };
        let mut keys: Vec<_> = shown
            .iter()
            .filter(|(key, _)| {
                key.starts_with(request.param("prefix")) && key.as_str() > request.param("start-after")
            })
            .collect();
        if !self.engine.sorts_lists {
            keys.reverse();
        }
        let listed: String = keys
            .into_iter()
            .map(|(key, object)| {
                let modified = Timestamp::try_from(object.modified).unwrap();
                let size = object.body.len();
                format!(
                    "<Contents><Key>{key}</Key><LastModified>{modified}</LastModified><Size>{size}</Size></Contents>"
                )
            })
            .collect();
        done(&format!("<ListBucketResult>{listed}</ListBucketResult>"))
    }

    fn list_uploads(&self, request: &Request) -> Answer {
        let content = self.content.lock();
        let prefix = request.param("prefix");
        let is_listed = |key: &str| match self.engine.lists_directories {
            true => key.starts_with(prefix),
            false => key == prefix,
        };
        let listed: String = content
            .uploads
            .iter()
            .filter(|(_, upload)| is_listed(&upload.key))
            .map(|(id, upload)| {
                let now = Timestamp::now();
                let key = &upload.key;
                format!(
                    "<Upload><Key>{key}</Key><UploadId>{id}</UploadId><Initiated>{now}</Initiated></Upload>"
                )
            })
            .collect();
        done(&format!(
            "<ListMultipartUploadsResult>{listed}</ListMultipartUploadsResult>"
        ))
    }
}

fn done(xml: &str) -> Answer {
    (200, Vec::new(), xml.as_bytes().to_vec())
}

fn copied(result: &str, e_tag: &str) -> Vec<u8> {
    format!("<{result}><ETag>{e_tag}</ETag></{result}>").into_bytes()
}

fn refused(status: u16, code: &str) -> Answer {
    let xml = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
    (status, Vec::new(), xml.into_bytes())
}
