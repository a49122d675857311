//! A bucket of S3, or of a store that speaks its protocol.
//!
//! `object_store` makes requests and signs them, and goes on with an object whose stream was cut; this adds what it does not
//! have: attempts that are bounded in time and repeated whatever the operation, listings that survive keys that no path
//! can name, copies into a part, the list of multipart uploads, the headers of encryption, storage class and ACL, and the names of
//! all of AWS.

mod answers;
mod attempt;
mod check;
mod clock;
mod credentials;
mod expiring;
mod headers;
mod meters;
mod operation;
mod patience;
mod policy;
mod probe;
mod repeat;
mod requests;
mod settings;
mod signature;
mod verdict;

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use object_store::{
    BackoffConfig, Certificate, ClientOptions, CopyOptions, Error, GetOptions, GetResult, ListResult,
    MultipartId, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey},
    client::{HttpClient, HttpConnector, ReqwestConnector},
    multipart::{MultipartStore, PartId},
    path::Path,
    signer::Signer,
};
use parking_lot::Mutex;
use tokio::{sync::OnceCell, time::timeout};

pub use self::{
    credentials::{AccessKey, Credentials, SharedFiles},
    meters::{MeasuredRequests, OUTCOMES, RequestMeters},
    patience::Patience,
    probe::{Break, Finding, Mode, Operation, Report, Severity},
    settings::{AwsNames, Encryption, S3Settings},
};

use self::{
    answers::{Copied, Listing, Multiparts, Named},
    attempt::Attempts,
    credentials::SharedProvider,
    headers::AddHeaders,
    probe::{Conditions, Subject, Tries},
    repeat::Repeating,
    requests::{Request, Requests},
    signature::Signature,
};
use super::store::{Abilities, Cas, OpenMultipart, PartCopy, SignedGet, Store};
use crate::layout;

/// How long the search for credentials is repeated.
const CREDENTIALS: Duration = Duration::from_secs(20);

/// How often the stream of one object goes on after a cut.
const CUTS: usize = 16;

/// Longest time that a conditional put waits until it is known which conditions the store honours.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Objects in one page of a listing; stores give no more.
const PAGE: usize = 1000;

/// A bucket.
#[derive(Debug)]
pub struct S3 {
    objects: AmazonS3,
    /// Signs URLs for clients, at the address that they reach the store by
    signer: AmazonS3,
    requests: Arc<Requests>,
    patience: Patience,
    bucket: String,
    /// Beginning of all keys, empty or with a slash at its end
    root: String,
    /// The conditions that the store honours when one request follows the other, from the first put with one on
    asked: OnceCell<Conditions>,
    /// What is known of it, from the end of a probe on
    report: OnceLock<Report>,
    /// The probe that is running
    probing: Mutex<Option<Arc<Tries>>>,
    /// A key that no path can name was reported.
    has_warned: Arc<AtomicBool>,
    meters: RequestMeters,
}

/// Which objects to list.
#[derive(Debug, Clone)]
struct Wanted {
    /// Beginning of their keys
    prefix: String,
    after: Option<String>,
    /// Whether keys are cut at the first `/` after the prefix
    by_directory: bool,
    /// Objects in a page
    most: usize,
}

impl Wanted {
    /// All objects below the directory.
    fn below(directory: Option<&Path>) -> Self {
        Self {
            prefix: below(directory),
            after: None,
            by_directory: false,
            most: PAGE,
        }
    }
}

impl S3 {
    /// A client of the bucket; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// When a setting cannot be used, as a `User-Agent` with a line break.
    pub fn new(settings: &S3Settings, credentials: &Credentials) -> Result<Self> {
        Self::with_patience(settings, credentials, Patience::default())
    }

    /// As [`S3::new`], with these bounds on the time of requests.
    ///
    /// # Errors
    ///
    /// Those of [`S3::new`].
    pub fn with_patience(
        settings: &S3Settings,
        credentials: &Credentials,
        patience: Patience,
    ) -> Result<Self> {
        let options = options(settings)?.with_connect_timeout(patience.connect);
        let of_credentials = RetryConfig {
            retry_timeout: CREDENTIALS,
            ..RetryConfig::default()
        };
        let plain = builder(settings, &settings.bucket_url(), &options).with_retry(of_credentials.clone());
        let plain = with_credentials(plain, credentials).build()?;
        let signature = Signature {
            credentials: Arc::clone(plain.credentials()),
            region: settings.signing_region().to_owned(),
        };
        let meters = RequestMeters::default();
        let client = client(settings, &options, patience, &signature, meters.clone())?;
        // One cache of credentials for all.
        let objects = builder(settings, &settings.bucket_url(), &options)
            .with_credentials(Arc::clone(plain.credentials()))
            .with_http_connector(Connected(client.clone()))
            .with_retry(of_streams(patience))
            .build()?;
        let signer = builder(settings, &settings.redirect_url(), &options)
            .with_credentials(Arc::clone(plain.credentials()))
            .with_retry(of_credentials)
            .build()?;
        let requests = Requests {
            client,
            credentials: Arc::clone(plain.credentials()),
            region: settings.signing_region().to_owned(),
            bucket_url: settings.bucket_url(),
        };
        Ok(Self {
            objects,
            signer,
            requests: Arc::new(requests),
            patience,
            bucket: settings.bucket.clone(),
            root: String::new(),
            asked: OnceCell::new(),
            report: OnceLock::new(),
            probing: Mutex::default(),
            has_warned: Arc::default(),
            meters,
        })
    }

    /// The counters of the requests to the bucket.
    pub fn meters(&self) -> RequestMeters {
        self.meters.clone()
    }

    /// With `prefix` as the beginning of all keys: what is tried on the store stays below it.
    #[must_use]
    pub fn with_prefix(mut self, prefix: &Path) -> Self {
        self.root = below(Some(prefix));
        self
    }

    /// Tries what the store honours and what the policy of the bucket allows, on objects that it removes again. The
    /// engine uses what it finds from then on. It takes some seconds.
    ///
    /// # Errors
    ///
    /// When the store does not answer, or not in time.
    pub async fn probe(&self) -> Result<Report, String> {
        let asked = self.ask_for_conditions().await?;
        let probes = self.probes();
        let tries = self.begin_tries(&probes).await?;
        let report = probe::probe(&self.subject(&probes), &tries, asked).await;
        *self.probing.lock() = None;
        let report = report?;
        _ = self.report.set(report.clone());
        Ok(report)
    }

    /// Removes what a [probe](Self::probe) has written that was dropped before its end.
    pub async fn end_probe(&self) {
        let tries = self.probing.lock().take();
        if let Some(tries) = tries {
            tries.clean_up().await;
        }
    }

    /// Looks at the settings of the bucket, and writes nothing.
    pub async fn look(&self) -> Vec<Finding> {
        let probes = self.probes();
        probe::look(&self.subject(&probes)).await
    }

    /// Asks the bucket for one key, once, and says what is wrong with the settings if it does not answer.
    ///
    /// # Errors
    ///
    /// One sentence with the cause and the remedy.
    pub async fn check(&self) -> Result<(), String> {
        check::check(&self.requests, &self.bucket).await
    }

    /// Directory of all probes.
    fn probes(&self) -> String {
        format!("{}{}", self.root, layout::probes())
    }

    fn subject<'a>(&'a self, probes: &'a str) -> Subject<'a> {
        Subject {
            requests: &self.requests,
            signer: &self.objects,
            bucket: &self.bucket,
            root: &self.root,
            probes,
        }
    }

    /// Begins to try things on the store. What that leaves when it is dropped is removed by [`end_probe`](Self::end_probe).
    async fn begin_tries(&self, probes: &str) -> Result<Arc<Tries>, String> {
        let tries = Arc::new(Tries::begin(&self.requests, probes).await?);
        *self.probing.lock() = Some(Arc::clone(&tries));
        Ok(tries)
    }

    async fn ask_for_conditions(&self) -> Result<Conditions, String> {
        let ask = || async {
            let tries = self.begin_tries(&self.probes()).await?;
            let found = Conditions::ask(&tries).await;
            tries.clean_up().await;
            found
        };
        self.asked.get_or_try_init(ask).await.copied()
    }

    /// The conditions that the store honours: none while that is not known. Until a probe has shown which of them hold among
    /// several requests at once, those that hold when one follows the other: no less than looking before the put.
    async fn conditions(&self) -> Conditions {
        if let Some(Report { abilities, .. }) = self.report.get() {
            return Conditions {
                creates: abilities.creates,
                cas: abilities.cas,
            };
        }
        match timeout(LONGEST_WAIT, self.ask_for_conditions()).await {
            Ok(Ok(found)) => found,
            Ok(Err(_)) | Err(_) => Conditions::NONE,
        }
    }

    /// Puts under a condition that the store does not honour: the best that can be done is to look first.
    async fn look_and_put(&self, path: &Path, bytes: PutPayload, options: PutOptions) -> Result<PutResult> {
        let found = match self.objects.head(path).await {
            Ok(meta) => Some(meta.e_tag.unwrap_or_default()),
            Err(Error::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        let (path_text, source) = (path.to_string(), "the object is another one by now".into());
        match (&options.mode, found) {
            (PutMode::Create, Some(_)) => {
                return Err(Error::AlreadyExists {
                    path: path_text,
                    source,
                });
            }
            (PutMode::Update(wanted), found) if found.as_deref() != wanted.e_tag.as_deref() => {
                return Err(Error::Precondition {
                    path: path_text,
                    source,
                });
            }
            _ => {}
        }
        let mode = PutMode::Overwrite;
        self.put_opts(path, bytes, PutOptions { mode, ..options }).await
    }

    /// All pages of a listing, from the first.
    fn pages(&self, wanted: Wanted) -> BoxStream<'static, Result<Named>> {
        let requests = Arc::clone(&self.requests);
        let has_warned = Arc::clone(&self.has_warned);
        // `None` instead of a token: there are no more.
        stream::try_unfold(Some(None::<String>), move |token| {
            let (requests, has_warned, wanted) =
                (Arc::clone(&requests), Arc::clone(&has_warned), wanted.clone());
            async move {
                let Some(token) = token else { return Ok(None) };
                let page = page(&requests, &wanted, token.as_deref()).await?;
                let next = page.next();
                let named = page.named()?;
                if let Some(key) = &named.stray
                    && !has_warned.swap(true, Ordering::Relaxed)
                {
                    tracing::warn!(
                        key,
                        "the bucket has a key that no registry writes; listings leave out such keys"
                    );
                }
                Ok(Some((named, next.map(Some))))
            }
        })
        .boxed()
    }

    fn objects(&self, wanted: Wanted) -> BoxStream<'static, Result<ObjectMeta>> {
        self.pages(wanted)
            .map_ok(|named| stream::iter(named.objects.into_iter().map(Ok)))
            .try_flatten()
            .boxed()
    }
}

#[async_trait]
impl Store for S3 {
    async fn scan(&self, prefix: &Path, after: Option<&Path>, most: usize) -> Result<Vec<ObjectMeta>> {
        let wanted = Wanted {
            after: after.map(ToString::to_string),
            most: most.clamp(1, PAGE),
            ..Wanted::below(Some(prefix))
        };
        self.objects(wanted).take(most).try_collect().await
    }

    async fn copy_part(&self, copy: &PartCopy<'_>) -> Result<PartId> {
        let source = format!("{}/{}", self.bucket, requests::encoded(copy.from.as_ref()));
        let range = format!("bytes={}-{}", copy.range.start, copy.range.end.saturating_sub(1));
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-copy-source", header(&source)?);
        headers.insert("x-amz-copy-source-range", header(&range)?);
        let number = (copy.part + 1).to_string();
        let request = Request {
            method: Method::PUT,
            key: copy.to.as_ref(),
            query: &[("partNumber", &number), ("uploadId", copy.id)],
            headers,
        };
        let body = self.requests.send(&request).await?;
        let copied: Copied = answers::read(&body)?;
        Ok(PartId {
            content_id: copied.e_tag,
        })
    }

    /// A multipart upload may stand at the key `prefix` itself, so the store is asked without the slash.
    async fn open_multiparts(&self, prefix: &Path) -> Result<Vec<OpenMultipart>> {
        let beginning = prefix.to_string();
        let (mut key, mut id) = (String::new(), String::new());
        let mut open = Vec::new();
        loop {
            let mut query = vec![("prefix", beginning.as_str()), ("uploads", "")];
            if !key.is_empty() {
                query.push(("key-marker", &key));
                query.push(("upload-id-marker", &id));
            }
            let request = Request {
                method: Method::GET,
                key: "",
                query: &query,
                headers: HeaderMap::new(),
            };
            let page: Multiparts = answers::read(&self.requests.send(&request).await?)?;
            for upload in page.uploads {
                if let Some(path) = answers::path_of(&upload.key).filter(|path| path.prefix_matches(prefix)) {
                    open.push(OpenMultipart {
                        path,
                        id: upload.upload_id,
                        begun: answers::time(&upload.initiated)?,
                    });
                }
            }
            let next = page.next_key_marker.unwrap_or_default();
            let next_id = page.next_upload_id_marker.unwrap_or_default();
            // A store that does not move on would be asked forever.
            if !page.is_truncated || next.is_empty() || (&next, &next_id) == (&key, &id) {
                return Ok(open);
            }
            (key, id) = (next, next_id);
        }
    }

    async fn sign(&self, get: &SignedGet<'_>) -> Result<Option<String>> {
        if self.report.get().is_some_and(Report::refuses_signed_urls) {
            return Ok(None);
        }
        let url = self.signer.signed_url(Method::GET, get.path, get.ttl).await?;
        Ok(Some(url.into()))
    }

    async fn delete_until(&self, path: &Path, until: SystemTime) -> Result<()> {
        expiring::delete(&self.requests, &self.objects, self.patience, path, until).await
    }

    fn abilities(&self) -> Abilities {
        self.report
            .get()
            .map_or(Abilities::UNKNOWN, |report| report.abilities)
    }
}

#[async_trait]
impl ObjectStore for S3 {
    async fn put_opts(&self, path: &Path, bytes: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        let is_honoured = match &mut options.mode {
            PutMode::Overwrite => true,
            PutMode::Create => self.conditions().await.creates,
            PutMode::Update(version) => match self.conditions().await.cas {
                Cas::Quoted => true,
                Cas::Unquoted => {
                    version.e_tag = version
                        .e_tag
                        .take()
                        .map(|e_tag| e_tag.trim_matches('"').to_owned());
                    true
                }
                Cas::None => false,
            },
        };
        if !is_honoured {
            return self.look_and_put(path, bytes, options).await;
        }
        self.objects.put_opts(path, bytes, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.objects.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.objects.get_opts(path, options).await
    }

    /// Removes a thousand objects in one request. When the store refuses one of them, as some do of an object that another
    /// request removes at the same time, or has no such request, they are removed one by one.
    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (objects, requests) = (self.objects.clone(), Arc::clone(&self.requests));
        paths
            .chunks(PAGE)
            .then(move |paths| {
                let (objects, requests) = (objects.clone(), Arc::clone(&requests));
                async move {
                    let paths: Vec<Path> = match paths.into_iter().collect() {
                        Ok(paths) => paths,
                        Err(error) => return vec![Err(error)],
                    };
                    let all = stream::iter(paths.clone().into_iter().map(Ok)).boxed();
                    match objects.delete_stream(all).try_collect::<Vec<_>>().await {
                        Ok(removed) => removed.into_iter().map(Ok).collect(),
                        Err(_) => one_by_one(&requests, paths).await,
                    }
                }
            })
            .flat_map(stream::iter)
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects(Wanted::below(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects(Wanted {
            after: Some(offset.to_string()),
            ..Wanted::below(prefix)
        })
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let wanted = Wanted {
            by_directory: true,
            ..Wanted::below(prefix)
        };
        let mut listed = ListResult {
            common_prefixes: Vec::new(),
            objects: Vec::new(),
            extensions: http::Extensions::default(),
        };
        let mut pages = self.pages(wanted);
        while let Some(page) = pages.try_next().await? {
            listed.objects.extend(page.objects);
            listed.common_prefixes.extend(page.directories);
        }
        Ok(listed)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.objects.copy_opts(from, to, options).await
    }
}

#[async_trait]
impl MultipartStore for S3 {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.objects.create_multipart(path).await
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        index: usize,
        bytes: PutPayload,
    ) -> Result<PartId> {
        self.objects.put_part(path, id, index, bytes).await
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        self.objects.complete_multipart(path, id, parts).await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.objects.abort_multipart(path, id).await
    }
}

impl fmt::Display for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the bucket at {}", self.requests.bucket_url)
    }
}

/// Removes each object by a request of its own, which succeeds also when there is none.
async fn one_by_one(requests: &Requests, paths: Vec<Path>) -> Vec<Result<Path>> {
    const AT_ONCE: usize = 16;

    let removals = paths.into_iter().map(|path| async move {
        let request = Request {
            method: Method::DELETE,
            key: path.as_ref(),
            query: &[],
            headers: HeaderMap::new(),
        };
        requests.send(&request).await?;
        Ok(path)
    });
    stream::iter(removals).buffer_unordered(AT_ONCE).collect().await
}

async fn page(requests: &Requests, wanted: &Wanted, token: Option<&str>) -> Result<Listing> {
    let most = wanted.most.to_string();
    let mut query = vec![
        ("list-type", "2"),
        ("max-keys", &most),
        ("prefix", &wanted.prefix),
    ];
    if wanted.by_directory {
        query.push(("delimiter", "/"));
    }
    match (token, &wanted.after) {
        (Some(token), _) => query.push(("continuation-token", token)),
        (None, Some(after)) => query.push(("start-after", after)),
        (None, None) => {}
    }
    let request = Request {
        method: Method::GET,
        key: "",
        query: &query,
        headers: HeaderMap::new(),
    };
    answers::read(&requests.send(&request).await?)
}

/// The beginning of all keys below a directory.
fn below(prefix: Option<&Path>) -> String {
    match prefix {
        Some(prefix) if !prefix.is_root() => format!("{prefix}/"),
        _ => String::new(),
    }
}

fn options(settings: &S3Settings) -> Result<ClientOptions> {
    let mut options = ClientOptions::new()
        .with_allow_http(true)
        .with_allow_invalid_certificates(settings.skip_verify);
    if let Some(agent) = &settings.user_agent {
        options = options.with_user_agent(header(agent)?);
    }
    if let Some(pem) = &settings.authorities {
        for certificate in Certificate::from_pem_bundle(pem)? {
            options = options.with_root_certificate(certificate);
        }
    }
    Ok(options)
}

fn builder(settings: &S3Settings, bucket_url: &str, options: &ClientOptions) -> AmazonS3Builder {
    // The name of the bucket is already in the URL, wherever it belongs.
    AmazonS3Builder::new()
        .with_bucket_name(&settings.bucket)
        .with_region(settings.signing_region())
        .with_virtual_hosted_style_request(true)
        .with_endpoint(bucket_url)
        .with_allow_http(true)
        // Bodies are protected by TLS; without it by their digest in the signature.
        .with_unsigned_payload(bucket_url.starts_with("https:"))
        .with_client_options(options.clone())
}

/// The client that all requests to the bucket are made by.
fn client(
    settings: &S3Settings,
    options: &ClientOptions,
    patience: Patience,
    signature: &Signature,
    meters: RequestMeters,
) -> Result<HttpClient> {
    // A blob may take hours to a slow client; attempts have bounds of their own.
    let options = options.clone().with_timeout_disabled();
    let attempts = Attempts {
        client: ReqwestConnector::default().connect(&options)?,
        patience,
        meters,
    };
    let repeating = Repeating::new(attempts, signature.clone(), settings.bucket_url());
    Ok(HttpClient::new(AddHeaders {
        inner: HttpClient::new(repeating),
        headers: object_headers(settings)?,
        signature: signature.clone(),
    }))
}

/// How a stream goes on that was cut, however long it has lasted. All else is repeated by the client below.
fn of_streams(patience: Patience) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: patience.first_wait,
            max_backoff: patience.longest_wait.min(Duration::from_secs(1)),
            base: 2.0,
        },
        max_retries: CUTS,
        retry_timeout: Duration::MAX,
    }
}

/// Gives out a client that there is.
#[derive(Debug)]
struct Connected(HttpClient);

impl HttpConnector for Connected {
    fn connect(&self, _: &ClientOptions) -> Result<HttpClient> {
        Ok(self.0.clone())
    }
}

fn with_credentials(builder: AmazonS3Builder, credentials: &Credentials) -> AmazonS3Builder {
    use AmazonS3ConfigKey as Name;

    match credentials {
        Credentials::Shared(files) => builder.with_credentials(Arc::new(SharedProvider::new(files.clone()))),
        Credentials::Fixed(key) => {
            let builder = builder
                .with_access_key_id(&key.id)
                .with_secret_access_key(&key.secret);
            match &key.token {
                Some(token) => builder.with_token(token),
                None => builder,
            }
        }
        Credentials::WebIdentity {
            token_file,
            role,
            session,
        } => {
            let builder = builder
                .with_config(Name::WebIdentityTokenFile, token_file)
                .with_config(Name::RoleArn, role);
            match session {
                Some(session) => builder.with_config(Name::RoleSessionName, session),
                None => builder,
            }
        }
        Credentials::Container(path) => builder.with_config(Name::ContainerCredentialsRelativeUri, path),
        Credentials::Pod { uri, token_file } => builder
            .with_config(Name::ContainerCredentialsFullUri, uri)
            .with_config(Name::ContainerAuthorizationTokenFile, token_file),
        Credentials::Instance => builder,
    }
}

/// The headers of every request that creates an object.
fn object_headers(settings: &S3Settings) -> Result<HeaderMap> {
    let (encryption, key) = match &settings.encryption {
        Encryption::Bucket => (None, None),
        Encryption::Aes256 => (Some("AES256"), None),
        Encryption::Kms(key) => (Some("aws:kms"), Some(key.as_str())),
    };
    let named = [
        ("x-amz-storage-class", settings.storage_class.as_deref()),
        ("x-amz-acl", settings.acl.as_deref()),
        ("x-amz-server-side-encryption", encryption),
        ("x-amz-server-side-encryption-aws-kms-key-id", key),
    ];
    named
        .into_iter()
        .filter_map(|(name, value)| Some((HeaderName::from_static(name), value?)))
        .map(|(name, value)| Ok((name, header(value)?)))
        .collect()
}

fn header(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(requests::failed)
}
