//! A bucket of Google Cloud Storage.

use std::{fmt, path::PathBuf, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use futures_util::{TryStreamExt, stream::BoxStream};
use http::{HeaderValue, Method};
use jiff::SignedDuration;
use object_store::{
    ClientOptions, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    StaticCredentialProvider,
    client::HttpClient,
    gcp::{GcpCredential, GoogleCloudStorage, GoogleCloudStorageBuilder},
    multipart::{MultipartStore, PartId},
    path::Path,
    signer::Signer,
};

use super::{
    check::{self, Names},
    listing::Lists,
    requests::{Identity, Requests, failed},
    steady::{self, Connected, Repeats},
};
use crate::object::{
    s3::Patience,
    store::{Abilities, Cas, SignedGet, Store},
};

/// The address of Google Cloud Storage.
const GOOGLE: &str = "https://storage.googleapis.com";

/// A bucket of Google Cloud Storage.
///
/// Its documentation promises what [`abilities`](Store::abilities) says: reads and lists have what was written or removed
/// before (`docs/consistency`); a condition on the generation of an object makes one of several writes win
/// (`docs/request-preconditions`); the completion of a multipart upload names each part by its entity tag, and is refused with
/// `InvalidPart` when the part is another one (`docs/xml-api/post-object-complete`); lists are sorted by the bytes of names
/// (`docs/listing-objects`). A copy within a bucket moves no bytes (`docs/json_api/v1/objects/rewrite`); there is none of a
/// range.
#[derive(Debug)]
pub struct Gcs {
    objects: GoogleCloudStorage,
    lists: Lists,
    names: Names,
    /// Whether URLs can be signed here: only with the private key of a service account
    signs: bool,
}

/// How to reach a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GcsSettings {
    /// Name of the bucket
    pub bucket: String,
    /// `User-Agent` of requests
    pub user_agent: Option<String>,
    /// Address of another server that speaks the protocol, with its scheme and without a path
    pub endpoint: Option<String>,
}

/// What requests are authorised by.
#[derive(Clone, PartialEq, Eq)]
pub enum GcsLogin {
    /// The key of a service account, as JSON
    ServiceAccount(String),
    /// The file that `gcloud auth application-default login` writes
    User(PathBuf),
    /// The service account of the machine
    Machine,
    /// Nothing, as emulators want it
    None,
}

impl fmt::Debug for GcsLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServiceAccount(_) => f.write_str("a service account"),
            Self::User(path) => write!(f, "the user of {}", path.display()),
            Self::Machine => f.write_str("the account of the machine"),
            Self::None => f.write_str("nothing"),
        }
    }
}

impl Gcs {
    /// A client of the bucket; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// When a setting or the key of the service account cannot be used.
    pub fn new(settings: &GcsSettings, login: &GcsLogin) -> Result<Self> {
        let patience = Patience::default();
        let options = options(settings)?;
        let repeats = Repeats {
            patience,
            most: u32::MAX,
        };
        let client = steady::client(&options, repeats)?;
        Self::over(&client, options, settings, login)
    }

    /// A client of the bucket that sends its requests through `client`.
    pub(super) fn over(
        client: &HttpClient,
        options: ClientOptions,
        settings: &GcsSettings,
        login: &GcsLogin,
    ) -> Result<Self> {
        let endpoint = settings.endpoint.as_deref().unwrap_or(GOOGLE);
        let endpoint = endpoint.trim_end_matches('/');
        let builder = GoogleCloudStorageBuilder::new()
            .with_bucket_name(&settings.bucket)
            .with_base_url(endpoint)
            .with_client_options(options)
            .with_http_connector(Connected(client.clone()))
            .with_retry(steady::of_streams(Patience::default()));
        let builder = match login {
            GcsLogin::ServiceAccount(json) => builder.with_service_account_key(json),
            GcsLogin::User(path) => builder.with_application_credentials(path.to_string_lossy()),
            GcsLogin::Machine => builder,
            GcsLogin::None => {
                let bearer = String::new();
                builder.with_credentials(Arc::new(StaticCredentialProvider::new(GcpCredential { bearer })))
            }
        };
        let objects = builder.build()?;
        let url = format!("{endpoint}/{}", settings.bucket);
        let requests = Requests {
            client: client.clone(),
            url: url.clone(),
            identity: Identity::Google(Arc::clone(objects.credentials())),
        };
        Ok(Self {
            objects,
            lists: Lists::new(Arc::new(requests)),
            names: Names {
                bucket: format!("`storage.gcs.bucket` \"{}\"", settings.bucket),
                endpoint: "the network",
                url,
            },
            signs: matches!(login, GcsLogin::ServiceAccount(_)),
        })
    }

    /// Asks the bucket for one key, once, and says what is wrong with the settings if it does not answer.
    ///
    /// # Errors
    ///
    /// One sentence with the cause and the remedy.
    pub async fn check(&self) -> Result<Option<SignedDuration>, String> {
        check::google(&self.lists.requests, &self.names).await
    }
}

#[async_trait]
impl Store for Gcs {
    async fn scan(&self, prefix: &Path, after: Option<&Path>, most: usize) -> Result<Vec<ObjectMeta>> {
        let objects = self.lists.objects(Some(prefix), after, most);
        futures_util::StreamExt::take(objects, most).try_collect().await
    }

    /// A machine's account signs by a request to another service of Google, which needs a right that few accounts have, so
    /// clients are redirected only where the private key is here; registry:2 does the same.
    async fn sign(&self, get: &SignedGet<'_>) -> Result<Option<String>> {
        if !self.signs {
            return Ok(None);
        }
        let url = self.objects.signed_url(Method::GET, get.path, get.ttl).await?;
        Ok(Some(url.into()))
    }

    async fn delete_until(&self, path: &Path, until: SystemTime) -> Result<()> {
        if !self.signs {
            return Err(Error::NotSupported {
                source: "only an account that has its private key here can sign a removal that expires"
                    .into(),
            });
        }
        let requests = &self.lists.requests;
        requests.delete_until(&self.objects, path, until).await
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            creates: true,
            // By the generation, which goes with the entity tag of what was read.
            cas: Cas::Quoted,
            checks_parts: true,
            refuses_expired: true,
            is_consistent: true,
            sorts_lists: true,
            signs: self.signs,
            ..Abilities::UNKNOWN
        }
    }
}

#[async_trait]
impl ObjectStore for Gcs {
    async fn put_opts(&self, path: &Path, bytes: PutPayload, options: PutOptions) -> Result<PutResult> {
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
        self.objects.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.lists.objects(prefix, None, usize::MAX)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.lists.objects(prefix, Some(offset), usize::MAX)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.objects.copy_opts(from, to, options).await
    }
}

#[async_trait]
impl MultipartStore for Gcs {
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

fn options(settings: &GcsSettings) -> Result<ClientOptions> {
    let options = ClientOptions::new().with_allow_http(true);
    Ok(match &settings.user_agent {
        Some(agent) => options.with_user_agent(HeaderValue::try_from(agent).map_err(failed)?),
        None => options,
    })
}

impl fmt::Display for Gcs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the bucket at {}", self.names.url)
    }
}
