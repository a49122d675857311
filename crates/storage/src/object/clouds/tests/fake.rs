//! The stores of Google and of Azure in the process of a test, behind the client of their HTTP.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use object_store::client::{HttpClient, HttpError, HttpRequest, HttpResponse, HttpResponseBody, HttpService};
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;

use super::{super::steady, PATIENCE};

/// A store; clones share the content.
#[derive(Debug, Clone)]
pub(super) struct Fake {
    pub(super) content: Arc<Mutex<Content>>,
    dialect: Dialect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Google,
    Azure,
}

#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) objects: BTreeMap<String, Object>,
    /// Parts, and blocks that no list names yet: key, upload and name
    parts: BTreeMap<(String, String, String), (String, Bytes)>,
    uploads: BTreeMap<String, String>,
    count: u64,
    /// What was asked: method, path and query
    pub(super) requests: Vec<String>,
    pub(super) headers: Vec<HeaderMap>,
    /// Answers in place of the next ones; `None` has the answer get lost after its effect.
    pub(super) faults: VecDeque<Option<u16>>,
    /// Another server writes this before the next removal.
    pub(super) before_removal: Option<(String, Object)>,
    /// Whether lists begin at the first name, whatever is asked
    pub(super) ignores_start: bool,
    /// An account with directories
    pub(super) is_hierarchical: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) bytes: Bytes,
    pub(super) e_tag: String,
    pub(super) is_append_blob: bool,
    modified: Timestamp,
}

/// A request, taken apart.
struct Asked {
    method: String,
    /// Empty for the bucket
    key: String,
    query: BTreeMap<String, String>,
    headers: HeaderMap,
    body: Bytes,
}

type Answer = http::Response<Bytes>;

impl Fake {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            content: Arc::default(),
            dialect,
        }
    }

    /// A client of it, as the store of a cloud has one.
    pub(super) fn client(&self) -> HttpClient {
        let repeats = steady::Repeats {
            patience: PATIENCE,
            most: 3,
        };
        steady::over(HttpClient::new(self.clone()), repeats)
    }

    pub(super) fn put(&self, key: &str, bytes: &str, is_append_blob: bool) {
        let mut content = self.content.lock();
        let bytes = Bytes::copy_from_slice(bytes.as_bytes());
        content.put(key, bytes);
        if let Some(object) = content.objects.get_mut(key) {
            object.is_append_blob = is_append_blob;
        }
    }

    /// The text at the key, and whether it is an append blob.
    pub(super) fn get(&self, key: &str) -> Option<(String, bool)> {
        let content = self.content.lock();
        let object = content.objects.get(key)?;
        let text = String::from_utf8_lossy(&object.bytes).into_owned();
        Some((text, object.is_append_blob))
    }

    /// What was asked since the last call.
    pub(super) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.content.lock().requests)
    }
}

#[async_trait]
impl HttpService for Fake {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (head, body) = request.into_parts();
        let body = HttpResponseBody::new(body).bytes().await?;
        let url = head.uri.to_string();
        // Another service of Google gives accounts their tokens.
        if self.dialect == Dialect::Google && head.uri.path() == "/token" {
            let token = r#"{"access_token":"a-token","expires_in":3600}"#;
            return Ok(respond(200, &[], token).map(Into::into));
        }
        let path_and_query = url.splitn(4, '/').nth(3).unwrap_or_default();
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let key = path.split_once('/').map_or("", |(_, key)| key);
        let asked = Asked {
            method: head.method.to_string(),
            key: decoded(key),
            query: query
                .split('&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(name, value)| (decoded(name), decoded(value)))
                .collect(),
            headers: head.headers,
            body,
        };
        let mut content = self.content.lock();
        let logged = format!("{} {path_and_query}", asked.method);
        content.requests.push(logged);
        content.headers.push(asked.headers.clone());
        let fault = content.faults.pop_front();
        if let Some(Some(status)) = fault {
            return Ok(respond(status, &[], "").map(Into::into));
        }
        let answer = match self.dialect {
            Dialect::Google => content.google(&asked),
            Dialect::Azure => content.azure(&asked),
        };
        if fault.is_some() {
            return Ok(respond(504, &[], "").map(Into::into));
        }
        Ok(answer.map(Into::into))
    }
}

impl Content {
    fn tag(&mut self) -> String {
        self.count += 1;
        self.count.to_string()
    }

    pub(super) fn put(&mut self, key: &str, bytes: Bytes) -> Answer {
        let tag = self.tag();
        let object = Object {
            bytes,
            e_tag: format!("\"{tag}\""),
            is_append_blob: false,
            modified: Timestamp::now(),
        };
        let answer = respond(201, &[("etag", &object.e_tag), ("x-goog-generation", &tag)], "");
        self.objects.insert(key.to_owned(), object);
        answer
    }

    fn google(&mut self, asked: &Asked) -> Answer {
        let generation = |content: &Self| content.objects.get(&asked.key).map(Object::generation);
        if let Some(wanted) = asked.header("x-goog-if-generation-match")
            && generation(self).unwrap_or("0".to_owned()) != wanted
        {
            return refused(412, "PreconditionFailed");
        }
        let upload = asked.query.get("uploadId").cloned();
        match (asked.method.as_str(), upload) {
            ("GET", _) if asked.key.is_empty() => self.list_of_google(asked),
            ("GET" | "HEAD", _) => self.read(asked),
            ("PUT", Some(upload)) if self.uploads.contains_key(&upload) => {
                let e_tag = format!("\"{}\"", self.tag());
                let part = (asked.key.clone(), upload, asked.query["partNumber"].clone());
                self.parts.insert(part, (e_tag.clone(), asked.body.clone()));
                respond(200, &[("etag", &e_tag)], "")
            }
            ("POST", None) if asked.query.contains_key("uploads") => {
                let upload = self.tag();
                self.uploads.insert(upload.clone(), asked.key.clone());
                let body = format!(
                    "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
                );
                respond(200, &[], &body)
            }
            ("POST", Some(upload)) if self.uploads.contains_key(&upload) => {
                self.complete_of_google(asked, &upload)
            }
            ("DELETE", Some(upload)) if self.uploads.remove(&upload).is_some() => respond(204, &[], ""),
            (_, Some(_)) => refused(404, "NoSuchUpload"),
            ("PUT", None) => match asked.header("x-goog-copy-source") {
                Some(source) => {
                    let source = decoded(source.split_once('/').map_or("", |(_, key)| key));
                    match self.objects.get(&source).cloned() {
                        Some(object) => self.put(&asked.key, object.bytes),
                        None => refused(404, "NoSuchKey"),
                    }
                }
                None => self.put(&asked.key, asked.body.clone()),
            },
            ("DELETE", None) => match self.objects.remove(&asked.key) {
                Some(_) => respond(204, &[], ""),
                None => refused(404, "NoSuchKey"),
            },
            _ => refused(400, "InvalidArgument"),
        }
    }

    fn complete_of_google(&mut self, asked: &Asked, upload: &str) -> Answer {
        let text = String::from_utf8_lossy(&asked.body).into_owned();
        let mut whole = Vec::new();
        for part in text.split("<Part>").skip(1) {
            let between = |name: &str| {
                let start = part.split_once(&format!("<{name}>")).map_or("", |(_, rest)| rest);
                start
                    .split('<')
                    .next()
                    .unwrap_or_default()
                    .replace("&quot;", "\"")
            };
            let name = (asked.key.clone(), upload.to_owned(), between("PartNumber"));
            match self.parts.get(&name) {
                Some((e_tag, bytes)) if *e_tag == between("ETag") => whole.extend_from_slice(bytes),
                _ => return refused(400, "InvalidPart"),
            }
        }
        self.uploads.remove(upload);
        self.put(&asked.key, whole.into());
        let e_tag = self.objects[&asked.key].e_tag.replace('"', "&quot;");
        let body =
            format!("<CompleteMultipartUploadResult><ETag>{e_tag}</ETag></CompleteMultipartUploadResult>");
        respond(
            200,
            &[("x-goog-generation", &self.objects[&asked.key].generation())],
            &body,
        )
    }

    fn list_of_google(&self, asked: &Asked) -> Answer {
        let start = asked.query.get("start-after").filter(|_| !self.ignores_start);
        let after = asked.query.get("continuation-token").or(start);
        let most = asked.number("max-keys");
        let (page, next) = self.page(asked, after, most, false);
        let mut body = "<ListBucketResult>".to_owned();
        for (key, object) in page {
            body += &format!(
                "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>{}</ETag><Size>{}</Size><Generation>{}</Generation></Contents>",
                escaped(&key),
                object.modified,
                object.e_tag,
                object.bytes.len(),
                object.generation()
            );
        }
        if let Some(next) = next {
            body += &format!(
                "<NextContinuationToken>{}</NextContinuationToken>",
                escaped(&next)
            );
        }
        respond(200, &[], &(body + "</ListBucketResult>"))
    }

    /// A page of objects, and the last of its keys if there are more.
    fn page(
        &self,
        asked: &Asked,
        after: Option<&String>,
        most: usize,
        includes_start: bool,
    ) -> (Vec<(String, Object)>, Option<String>) {
        let prefix = asked.query.get("prefix").cloned().unwrap_or_default();
        let follows = |key: &String| match after {
            Some(after) if includes_start => key >= after,
            Some(after) => key > after,
            None => true,
        };
        let found = self
            .objects
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix) && follows(key));
        let mut page: Vec<_> = found
            .take(most + 1)
            .map(|(key, object)| (key.clone(), object.clone()))
            .collect();
        let has_more = page.len() > most;
        page.truncate(most);
        let next = page.last().filter(|_| has_more).map(|(key, _)| key.clone());
        (page, next)
    }

    fn azure(&mut self, asked: &Asked) -> Answer {
        let comp = asked.query.get("comp").map_or("", String::as_str);
        match (asked.method.as_str(), comp) {
            ("GET", "list") => self.list_of_azure(asked),
            ("GET", "properties") => respond(
                200,
                &[("x-ms-is-hns-enabled", &self.is_hierarchical.to_string())],
                "",
            ),
            ("POST", "batch") => self.batch(asked),
            ("POST", "userdelegationkey") => refused(403, "AuthorizationPermissionMismatch"),
            ("POST", "") if asked.key.ends_with("/oauth2/v2.0/token") => {
                respond(200, &[], r#"{"access_token": "t", "expires_in": 3600}"#)
            }
            ("GET" | "HEAD", _) => self.read(asked),
            ("DELETE", _) => self.delete_of_azure(asked),
            ("PUT", _) => self.put_of_azure(asked, comp),
            _ => refused(400, "InvalidUri"),
        }
    }

    fn put_of_azure(&mut self, asked: &Asked, comp: &str) -> Answer {
        let there = self.objects.get(&asked.key);
        if asked.header("if-none-match") == Some("*") && there.is_some() {
            return refused(409, "BlobAlreadyExists");
        }
        if let Some(wanted) = asked.header("if-match")
            && there.is_none_or(|object| object.e_tag != wanted)
        {
            return refused(412, "ConditionNotMet");
        }
        if there.is_some_and(|object| object.is_append_blob) {
            return refused(409, "InvalidBlobType");
        }
        let bytes = match asked.header("x-ms-copy-source") {
            Some(source) => {
                let path = source.split('?').next().unwrap_or_default();
                let source = decoded(path.splitn(5, '/').nth(4).unwrap_or_default());
                let Some(object) = self.objects.get(&source) else {
                    return refused(404, "CannotVerifyCopySource");
                };
                match asked.header("x-ms-source-range") {
                    Some(range) => object.bytes.slice(range_of(range, object.bytes.len())),
                    None => object.bytes.clone(),
                }
            }
            None => asked.body.clone(),
        };
        match comp {
            "block" => {
                let name = (asked.key.clone(), String::new(), asked.query["blockid"].clone());
                self.parts.insert(name, (String::new(), bytes));
                respond(201, &[("etag", "\"0\"")], "")
            }
            "blocklist" => {
                let text = String::from_utf8_lossy(&asked.body).into_owned();
                let mut whole = Vec::new();
                for block in text.split("<Uncommitted>").skip(1) {
                    let block = block.split('<').next().unwrap_or_default().to_owned();
                    match self.parts.get(&(asked.key.clone(), String::new(), block)) {
                        Some((_, bytes)) => whole.extend_from_slice(bytes),
                        None => return refused(400, "InvalidBlockList"),
                    }
                }
                self.parts.retain(|(key, ..), _| *key != asked.key);
                self.put(&asked.key, whole.into())
            }
            _ => {
                assert_eq!(asked.header("x-ms-blob-type"), Some("BlockBlob"));
                self.parts.retain(|(key, ..), _| *key != asked.key);
                self.put(&asked.key, bytes)
            }
        }
    }

    fn delete_of_azure(&mut self, asked: &Asked) -> Answer {
        if let Some((key, object)) = self.before_removal.take() {
            self.objects.insert(key, object);
        }
        match self.objects.get(&asked.key) {
            None => refused(404, "BlobNotFound"),
            Some(object) if asked.header("if-match").is_some_and(|tag| tag != object.e_tag) => {
                refused(412, "ConditionNotMet")
            }
            Some(_) => {
                self.objects.remove(&asked.key);
                respond(202, &[], "")
            }
        }
    }

    fn list_of_azure(&self, asked: &Asked) -> Answer {
        let knows_start = asked
            .header("x-ms-version")
            .is_some_and(|version| version >= "2026-02-06");
        let start = asked
            .query
            .get("startFrom")
            .filter(|_| knows_start && !self.ignores_start);
        let marker = asked.query.get("marker");
        let most = asked.number("maxresults");
        let (page, next) = self.page(asked, marker.or(start), most, marker.is_none());
        let mut body = "\u{feff}<EnumerationResults><Blobs>".to_owned();
        for (key, object) in page {
            body += &format!(
                "<Blob><Name>{}</Name><Properties><Last-Modified>{}</Last-Modified><Etag>{}</Etag>\
                 <Content-Length>{}</Content-Length></Properties></Blob>",
                escaped(&key),
                date(object.modified),
                object.e_tag.trim_matches('"'),
                object.bytes.len()
            );
        }
        body += &format!(
            "</Blobs><NextMarker>{}</NextMarker></EnumerationResults>",
            escaped(&next.unwrap_or_default())
        );
        respond(200, &[], &body)
    }

    /// Removes several blobs.
    fn batch(&mut self, asked: &Asked) -> Answer {
        let text = String::from_utf8_lossy(&asked.body).into_owned();
        let mut body = String::new();
        for (id, line) in text
            .lines()
            .filter(|line| line.starts_with("DELETE "))
            .enumerate()
        {
            let path = line.split(' ').nth(1).unwrap_or_default();
            let key = decoded(path.splitn(3, '/').nth(2).unwrap_or_default());
            let status = match self.objects.remove(&key) {
                Some(_) => "202 Accepted",
                None => "404 The specified blob does not exist.",
            };
            body += &format!(
                "--r\r\nContent-Type: application/http\r\nContent-ID: {id}\r\n\r\nHTTP/1.1 {status}\r\nx-ms-version: 1\r\n\r\n"
            );
        }
        let kind = "multipart/mixed; boundary=r";
        respond(202, &[("content-type", kind)], &(body + "--r--"))
    }

    fn read(&self, asked: &Asked) -> Answer {
        let Some(object) = self.objects.get(&asked.key) else {
            return refused(404, "NoSuchKey");
        };
        if asked
            .header("if-none-match")
            .is_some_and(|tag| tag == object.e_tag)
        {
            return respond(304, &[("etag", &object.e_tag)], "");
        }
        if asked.header("if-match").is_some_and(|tag| tag != object.e_tag) {
            return refused(412, "ConditionNotMet");
        }
        let size = object.bytes.len();
        let range = asked.header("range").map(|range| range_of(range, size));
        let kind = if object.is_append_blob {
            "AppendBlob"
        } else {
            "BlockBlob"
        };
        let mut answer = respond(200, &[("etag", &object.e_tag), ("x-ms-blob-type", kind)], "");
        let headers = answer.headers_mut();
        headers.insert("last-modified", date(object.modified).parse().unwrap());
        headers.insert("x-goog-generation", object.generation().parse().unwrap());
        let bytes = match range {
            Some(range) if range.is_empty() => return refused(416, "InvalidRange"),
            Some(range) => {
                let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
                headers.insert("content-range", text.parse().unwrap());
                *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
                object.bytes.slice(range)
            }
            None => object.bytes.clone(),
        };
        let length = bytes.len().to_string();
        answer
            .headers_mut()
            .insert("content-length", length.parse().unwrap());
        match asked.method.as_str() {
            "HEAD" => answer,
            _ => answer.map(|_| bytes),
        }
    }
}

impl Object {
    fn generation(&self) -> String {
        self.e_tag.trim_matches('"').to_owned()
    }
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn number(&self, name: &str) -> usize {
        self.query
            .get(name)
            .map_or(1000, |number| number.parse().unwrap())
    }
}

fn respond(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut answer = http::Response::new(Bytes::copy_from_slice(body.as_bytes()));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    let date = date(Timestamp::now());
    for (name, value) in headers.iter().copied().chain([("date", date.as_str())]) {
        let name: http::HeaderName = name.parse().unwrap();
        answer.headers_mut().insert(name, value.parse().unwrap());
    }
    answer
}

fn refused(status: u16, code: &str) -> Answer {
    let body = format!("<Error><Code>{code}</Code><Message>no.\nRequestId:1</Message></Error>");
    respond(status, &[], &body)
}

fn range_of(range: &str, size: usize) -> std::ops::Range<usize> {
    let (start, end) = range.trim_start_matches("bytes=").split_once('-').unwrap();
    let start = start.parse::<usize>().unwrap().min(size);
    start
        ..end
            .parse::<usize>()
            .map_or(size, |end| (end + 1).min(size))
            .max(start)
}

fn date(time: Timestamp) -> String {
    jiff::fmt::rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&time)
        .unwrap()
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
