//! A bucket of S3, or of a store that speaks its protocol.
//!
//! `object_store` makes requests and signs them, and goes on with an object whose stream was cut; this adds what it does not
//! have: attempts that are bounded in time and repeated whatever the operation, listings that survive keys that no path
//! can name, copies into a part, the list of multipart uploads, the headers of encryption, storage class and ACL, and the names of
//! all of AWS.

mod answers;
mod attempt;
mod check;
mod clients;
mod clock;
mod credentials;
mod expiring;
mod headers;
mod known;
mod listing;
mod meters;
mod multiparts;
mod operation;
mod patience;
mod policy;
mod probe;
mod removal;
mod repeat;
mod requests;
mod settings;
mod signature;
mod verdict;

use std::{fmt, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use http::Method;
use jiff::SignedDuration;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    aws::AmazonS3,
    multipart::{MultipartStore, PartId},
    path::Path,
    signer::Signer,
};

pub use self::{
    credentials::{AccessKey, Credentials, SharedFiles},
    meters::{MeasuredRequests, OUTCOMES, RequestMeters},
    patience::Patience,
    probe::{Break, Finding, Mode, Operation, Report, Severity},
    settings::{AwsNames, Encryption, S3Settings},
};

use self::{
    clients::Clients,
    known::Known,
    listing::{Lists, PAGE, Wanted},
    probe::{Conditions, Subject},
    requests::Requests,
};
use super::store::{Abilities, Cas, OpenMultipart, PartCopy, SignedGet, Store};
use crate::layout;

/// A bucket.
#[derive(Debug)]
pub struct S3 {
    objects: AmazonS3,
    /// Signs URLs for clients, at the address that they reach the store by
    signer: AmazonS3,
    requests: Arc<Requests>,
    patience: Patience,
    lists: Lists,
    bucket: String,
    /// Beginning of all keys, empty or with a slash at its end
    root: String,
    known: Known,
    meters: RequestMeters,
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
        let meters = RequestMeters::default();
        let clients = Clients::new(settings, credentials, patience, meters.clone())?;
        let requests = Arc::new(clients.requests);
        Ok(Self {
            objects: clients.objects,
            signer: clients.signer,
            patience,
            lists: Lists::new(&requests),
            requests,
            bucket: settings.bucket.clone(),
            root: String::new(),
            known: Known::default(),
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
        self.root = listing::below(Some(prefix));
        self
    }

    /// Tries what the store honours and what the policy of the bucket allows, on objects that it removes again. The
    /// engine uses what it finds from then on. It takes some seconds.
    ///
    /// # Errors
    ///
    /// When the store does not answer, or not in time.
    pub async fn probe(&self) -> Result<Report, String> {
        let probes = self.probes();
        self.known.probe(&self.subject(&probes)).await
    }

    /// Removes what a [probe](Self::probe) has written that was dropped before its end.
    pub async fn end_probe(&self) {
        self.known.end_probe().await;
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
    pub async fn check(&self) -> Result<Option<SignedDuration>, String> {
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

    /// The conditions that the store honours: none while that is not known.
    async fn conditions(&self) -> Conditions {
        if let Some(known) = self.known.conditions() {
            return known;
        }
        let probes = self.probes();
        self.known.conditions_in_time(&self.subject(&probes)).await
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
}

#[async_trait]
impl Store for S3 {
    async fn scan(&self, prefix: &Path, after: Option<&Path>, most: usize) -> Result<Vec<ObjectMeta>> {
        let wanted = Wanted {
            after: after.map(ToString::to_string),
            most: most.clamp(1, PAGE),
            ..Wanted::below(Some(prefix))
        };
        self.lists.objects(wanted).take(most).try_collect().await
    }

    async fn copy_part(&self, copy: &PartCopy<'_>) -> Result<PartId> {
        multiparts::copy_part(&self.requests, &self.bucket, copy).await
    }

    async fn open_multiparts(&self, prefix: &Path) -> Result<Vec<OpenMultipart>> {
        multiparts::open(&self.requests, prefix).await
    }

    async fn sign(&self, get: &SignedGet<'_>) -> Result<Option<String>> {
        if self.known.report().is_some_and(Report::refuses_signed_urls) {
            return Ok(None);
        }
        let url = self.signer.signed_url(Method::GET, get.path, get.ttl).await?;
        Ok(Some(url.into()))
    }

    async fn delete_until(&self, path: &Path, until: SystemTime) -> Result<()> {
        expiring::delete(&self.requests, &self.objects, self.patience, path, until).await
    }

    fn abilities(&self) -> Abilities {
        self.known
            .report()
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

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        removal::remove_many(&self.objects, &self.requests, paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.lists.objects(Wanted::below(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.lists.objects(Wanted {
            after: Some(offset.to_string()),
            ..Wanted::below(prefix)
        })
    }

    /// The trait asks for it; the engine makes directories out of flat lists, which are alike on all stores.
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
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
