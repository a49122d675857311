//! A container of Azure Blob Storage.
//!
//! # Append blobs
//!
//! registry:2 and registry:3 upload into *append blobs*, and copy them to the keys of blobs, where they stay append blobs. A
//! put, a block and a copy at the key of one are refused with `InvalidBlobType`, and Azure has no way to replace it in one
//! step. It has to be removed first, and in between readers find nothing. So an append blob is removed only if
//! its bytes are wrong:
//!
//! - What is to be written is compared with what is there. If the bytes are equal, which is the rule at a key that has a
//!   digest in it, nothing is removed and the write has happened. So no blob that an image needs is ever absent.
//! - If they differ, there is a damaged blob, or the link of a tag that an old version of a registry wrote as an append blob.
//!   It is removed on the condition that it still is what was compared, so that of two servers that do this at once none
//!   removes what the other has written. Readers find nothing for the time of one request. A server that dies in between
//!   leaves nothing in its place: the damaged blob was of no use, and the push of the tag was not acknowledged. This
//!   happens once for each such link: from then on it is a block blob.
//! - The parts of a multipart upload cannot be compared before all are there. So at the key of an append blob they are gathered
//!   at another key, and are copied when the upload is completed.
//!
//! A multipart upload here is a set of blocks that no request names yet. Azure drops them after a week, and at once when another
//! upload at the same key is completed. The completion is refused then, and the engine finds the blob that the other one
//! has made.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Buf as _, Bytes};
use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use http::{HeaderMap, HeaderValue, Method, header::IF_MATCH};
use jiff::SignedDuration;
use object_store::{
    ClientOptions, CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartId,
    MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, Result,
    azure::{AzureConfigKey, AzureCredential, MicrosoftAzure, MicrosoftAzureBuilder},
    client::HttpClient,
    multipart::{MultipartStore, PartId},
    path::Path,
    signer::Signer,
};
use uuid::Uuid;

use super::{
    check::{self, Names},
    listing::Lists,
    requests::{Identity, Request, Requests, failed},
    steady::{self, Connected, Repeats},
};
use crate::{
    layout,
    object::{
        s3::Patience,
        store::{Abilities, Cas, PartCopy, SignedGet, Store},
    },
};

/// Azure's word for a write at the key of an append blob.
const WRONG_TYPE: &str = "InvalidBlobType";

/// Begins the ID of a multipart upload whose parts are gathered at another key.
const ASIDE: &str = "aside-";

/// How long the URL of a source is valid that the store copies from.
const SOURCE: Duration = Duration::from_secs(15 * 60);

/// How often a write is tried at the key of an append blob that is removed first.
const TURNS: usize = 4;

/// A container of Azure Blob Storage.
///
/// Its documentation promises what [`abilities`](Store::abilities) says: reads and lists have what was written or removed before
/// ("Azure Storage uses a strong consistency model"); a condition on the entity tag makes one of several writes win
/// (`specifying-conditional-headers-for-blob-service-operations`); a list of blocks is committed as a whole, with exactly the
/// blocks that it names (`put-block-list`), whose names are made by chance here; lists are sorted by name (`list-blobs`);
/// a block can be copied from a range of another blob (`put-block-from-url`).
#[derive(Debug)]
pub struct Azure {
    objects: MicrosoftAzure,
    lists: Lists,
    names: Names,
    /// Beginning of all keys, empty or with a slash at its end
    root: String,
    /// That no URL can be signed was reported.
    has_warned: AtomicBool,
}

/// How to reach a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AzureSettings {
    /// Name of the account
    pub account: String,
    /// Name of the container
    pub container: String,
    /// Address of the account, with its scheme: `https://account.blob.core.windows.net`
    pub endpoint: String,
    /// Beginning of all keys, without slashes around it
    pub prefix: String,
    /// Whether any certificate of the store is accepted
    pub skip_verify: bool,
    /// How often a request is repeated at most
    pub max_retries: u32,
    /// The wait before a request is repeated for the first time
    pub retry_delay: Duration,
}

/// What requests are authorised by.
#[derive(Clone, PartialEq, Eq)]
pub enum AzureLogin {
    /// A key of the account
    Key(String),
    /// An application of Entra ID
    Client {
        /// ID of the application
        id: String,
        /// ID of the directory
        tenant: String,
        /// Its secret
        secret: String,
        /// Address of Entra ID; `None`: the public one
        authority: Option<String>,
    },
    /// An application of Entra ID, by a token in a file, as AKS gives it to a service account
    Workload {
        /// ID of the application
        id: String,
        /// ID of the directory
        tenant: String,
        /// The file
        token_file: String,
        /// Address of Entra ID; `None`: the public one
        authority: Option<String>,
    },
    /// The identity of the machine, or the one of its identities that has this ID
    Machine(Option<String>),
}

impl fmt::Debug for AzureLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "a key of the account",
            Self::Client { .. } => "an application",
            Self::Workload { .. } => "an application by a token",
            Self::Machine(_) => "the identity of the machine",
        })
    }
}

impl Azure {
    /// A client of the container; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// When a setting cannot be used, such as a key that is not in base64.
    pub fn new(settings: &AzureSettings, login: &AzureLogin) -> Result<Self> {
        let options = ClientOptions::new()
            .with_allow_http(true)
            .with_allow_invalid_certificates(settings.skip_verify);
        let repeats = Repeats {
            patience: Patience {
                first_wait: settings.retry_delay,
                ..Patience::default()
            },
            most: settings.max_retries,
        };
        let client = steady::client(&options, repeats)?;
        Self::over(&client, options, settings, login)
    }

    /// A client of the container that sends its requests through `client`.
    pub(super) fn over(
        client: &HttpClient,
        options: ClientOptions,
        settings: &AzureSettings,
        login: &AzureLogin,
    ) -> Result<Self> {
        let endpoint = settings.endpoint.trim_end_matches('/');
        let builder = MicrosoftAzureBuilder::new()
            .with_account(&settings.account)
            .with_container_name(&settings.container)
            .with_endpoint(endpoint.to_owned())
            .with_client_options(options)
            .with_http_connector(Connected(client.clone()))
            .with_retry(steady::of_streams(Patience::default()));
        let objects = with_login(builder, login).build()?;
        let url = format!("{endpoint}/{}", settings.container);
        let requests = Requests {
            client: client.clone(),
            url: url.clone(),
            identity: Identity::Azure {
                credentials: Arc::clone(objects.credentials()),
                account: settings.account.clone(),
            },
        };
        Ok(Self {
            objects,
            lists: Lists::new(Arc::new(requests)),
            names: Names {
                bucket: format!("`storage.azure.container` \"{}\"", settings.container),
                endpoint: "`accountname`, `realm` or `serviceurl`, and the network",
                url,
            },
            root: match settings.prefix.as_str() {
                "" => String::new(),
                prefix => format!("{prefix}/"),
            },
            has_warned: AtomicBool::new(false),
        })
    }

    /// Asks the container for one key, once, and says what is wrong with the settings if it does not answer.
    ///
    /// # Errors
    ///
    /// One sentence with the cause and the remedy.
    pub async fn check(&self) -> Result<Option<SignedDuration>, String> {
        check::azure(&self.lists.requests, &self.names).await
    }

    /// Whether an append blob is at the key.
    async fn is_append_blob(&self, path: &Path) -> Result<bool> {
        let request = Request {
            method: Method::HEAD,
            key: path.as_ref(),
            query: &[],
            headers: HeaderMap::new(),
        };
        match self.lists.requests.send(&request).await {
            Ok(answer) => Ok(answer
                .headers
                .get("x-ms-blob-type")
                .is_some_and(|kind| kind == "AppendBlob")),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes what is at the key, if it still has this entity tag.
    async fn remove_if(&self, path: &Path, e_tag: &str) -> Result<()> {
        let mut headers = HeaderMap::new();
        headers.insert(IF_MATCH, HeaderValue::try_from(e_tag).map_err(failed)?);
        // Old registries make no snapshots; the tools of operators do.
        headers.insert("x-ms-delete-snapshots", HeaderValue::from_static("include"));
        let request = Request {
            method: Method::DELETE,
            key: path.as_ref(),
            query: &[],
            headers,
        };
        match self.lists.requests.send(&request).await {
            // Another server was first.
            Ok(_) | Err(Error::NotFound { .. } | Error::Precondition { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Puts where an append blob is.
    async fn put_over(&self, path: &Path, bytes: PutPayload) -> Result<PutResult> {
        let whole = Bytes::from(bytes.clone());
        let mut turn = 0;
        loop {
            match self.objects.get(path).await {
                Ok(found) => {
                    let meta = found.meta.clone();
                    if meta.size == whole.len() as u64 && found.bytes().await? == whole {
                        return Ok(PutResult {
                            e_tag: meta.e_tag,
                            version: meta.version,
                            extensions: http::Extensions::default(),
                        });
                    }
                    self.remove_if(path, &meta.e_tag.unwrap_or_default()).await?;
                }
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
            turn += 1;
            match self.objects.put(path, bytes.clone()).await {
                Err(error) if is_wrong_type(&error) && turn < TURNS => {}
                put => return put,
            }
        }
    }

    /// Copies to a key where an append blob is.
    async fn copy_over(&self, from: &Path, to: &Path) -> Result<()> {
        let mut turn = 0;
        loop {
            match self.objects.get(to).await {
                Ok(found) => {
                    let e_tag = found.meta.e_tag.clone().unwrap_or_default();
                    if is_same(found, self.objects.get(from).await?).await? {
                        return Ok(());
                    }
                    self.remove_if(to, &e_tag).await?;
                }
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
            turn += 1;
            match self.copy_once(from, to).await {
                Err(error) if is_wrong_type(&error) && turn < TURNS => {}
                copied => return copied,
            }
        }
    }

    /// Has the store copy an object before it answers: *Copy Blob*, which `object_store` uses, may go on afterwards, and readers
    /// find a part of the blob meanwhile. Where the store has no other, that one must be done when it answers.
    async fn copy_once(&self, from: &Path, to: &Path) -> Result<()> {
        let mut headers = self.source(from).await?;
        headers.insert("x-ms-blob-type", HeaderValue::from_static("BlockBlob"));
        let copied = self.put_empty(to, &[], headers).await;
        match copied {
            Err(error) if is_unknown(&error) => {}
            copied => return copied.map(drop),
        }
        let status = self.put_empty(to, &[], self.source(from).await?).await?;
        let status = status.get("x-ms-copy-status").cloned();
        match status {
            Some(status) if status == "success" => Ok(()),
            status => Err(Error::Generic {
                store: "Azure",
                source: format!("a copy is not done when the store answers: {status:?}").into(),
            }),
        }
    }

    /// A request that makes something at the key of what the store has; answers its headers.
    async fn put_empty(&self, path: &Path, query: &[(&str, &str)], headers: HeaderMap) -> Result<HeaderMap> {
        let request = Request {
            method: Method::PUT,
            key: path.as_ref(),
            query,
            headers,
        };
        Ok(self.lists.requests.send(&request).await?.headers)
    }

    /// The headers that name an object to copy from, and let the store read it.
    async fn source(&self, path: &Path) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        let credential = self.objects.credentials().get_credential().await?;
        let mut secret = |name: &'static str, value: String| {
            let mut value = HeaderValue::try_from(value).map_err(failed)?;
            value.set_sensitive(true);
            headers.insert(name, value);
            Ok::<_, Error>(())
        };
        match &*credential {
            AzureCredential::BearerToken(token) => {
                secret("x-ms-copy-source-authorization", format!("Bearer {token}"))?;
                secret("x-ms-copy-source", self.lists.requests.url_of(path.as_ref()))?;
            }
            AzureCredential::AccessKey(_) | AzureCredential::SASToken(_) => {
                let url = self.objects.signed_url(Method::GET, path, SOURCE).await?;
                secret("x-ms-copy-source", url.into())?;
            }
        }
        Ok(headers)
    }

    /// Where the parts of a multipart upload are gathered.
    fn gathered(&self, path: &Path, id: &MultipartId) -> Path {
        match id.strip_prefix(ASIDE) {
            // As data of an upload that has no state, which a purge removes if this process dies.
            Some(name) => Path::from(format!(
                "{}{}/azure/{name}/data/{name}",
                self.root,
                layout::object_uploads()
            )),
            None => path.clone(),
        }
    }
}

#[async_trait]
impl Store for Azure {
    async fn scan(&self, prefix: &Path, after: Option<&Path>, most: usize) -> Result<Vec<ObjectMeta>> {
        let objects = self.lists.objects(Some(prefix), after, most);
        objects.take(most).try_collect().await
    }

    async fn copy_part(&self, copy: &PartCopy<'_>) -> Result<PartId> {
        let content_id = Uuid::new_v4().simple().to_string();
        let range = format!("bytes={}-{}", copy.range.start, copy.range.end.saturating_sub(1));
        let mut headers = self.source(copy.from).await?;
        headers.insert("x-ms-source-range", HeaderValue::try_from(range).map_err(failed)?);
        let query = [("comp", "block"), ("blockid", &*STANDARD.encode(&content_id))];
        match self
            .put_empty(&self.gathered(copy.to, copy.id), &query, headers)
            .await
        {
            Ok(_) => Ok(PartId { content_id }),
            Err(error) if is_unknown(&error) => Err(Error::NotSupported {
                source: Box::new(error),
            }),
            Err(error) => Err(error),
        }
    }

    /// An application signs with a key that it asks the store for. Where it may not, clients read through this server.
    async fn sign(&self, get: &SignedGet<'_>) -> Result<Option<String>> {
        match self.objects.signed_url(Method::GET, get.path, get.ttl).await {
            Ok(url) => Ok(Some(url.into())),
            Err(error) => {
                if !self.has_warned.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        %error,
                        "no URL can be signed for clients, so blobs are sent from here; give the identity the role \
                         `Storage Blob Delegator` on the account, or set `storage.redirect.disable: true`"
                    );
                }
                Ok(None)
            }
        }
    }

    async fn delete_until(&self, path: &Path, until: SystemTime) -> Result<()> {
        let requests = &self.lists.requests;
        requests.delete_until(&self.objects, path, until).await
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            creates: true,
            cas: Cas::Quoted,
            checks_parts: true,
            refuses_expired: true,
            is_consistent: true,
            sorts_lists: true,
            copies_parts: true,
            signs: true,
            ..Abilities::UNKNOWN
        }
    }
}

#[async_trait]
impl ObjectStore for Azure {
    async fn put_opts(&self, path: &Path, bytes: PutPayload, options: PutOptions) -> Result<PutResult> {
        let overwrites = matches!(options.mode, PutMode::Overwrite);
        match self.objects.put_opts(path, bytes.clone(), options).await {
            Err(error) if overwrites && is_wrong_type(&error) => self.put_over(path, bytes).await,
            put => put,
        }
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
        if !matches!(options.mode, CopyMode::Overwrite) {
            return self.objects.copy_opts(from, to, options).await;
        }
        match self.copy_once(from, to).await {
            Err(error) if is_wrong_type(&error) => self.copy_over(from, to).await,
            copied => copied,
        }
    }
}

#[async_trait]
impl MultipartStore for Azure {
    /// Other than on S3, nothing is begun at the store: its one request looks for an append blob at the key.
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        let name = Uuid::new_v4();
        Ok(match self.is_append_blob(path).await? {
            true => format!("{ASIDE}{name}"),
            false => name.to_string(),
        })
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        index: usize,
        bytes: PutPayload,
    ) -> Result<PartId> {
        let path = self.gathered(path, id);
        self.objects.put_part(&path, id, index, bytes).await
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        let gathered = self.gathered(path, id);
        let completed = self.objects.complete_multipart(&gathered, id, parts).await;
        if gathered == *path {
            return completed;
        }
        completed?;
        let copied = self.copy_over(&gathered, path).await;
        if let Err(error) = self.objects.delete(&gathered).await {
            tracing::debug!(path = %gathered, %error, "could not remove a copy; a purge will");
        }
        copied?;
        let meta = self.objects.head(path).await?;
        Ok(PutResult {
            e_tag: meta.e_tag,
            version: meta.version,
            extensions: http::Extensions::default(),
        })
    }

    /// Blocks cannot be dropped: Azure does that after a week.
    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.objects.abort_multipart(path, id).await
    }
}

impl fmt::Display for Azure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the container at {}", self.names.url)
    }
}

fn with_login(builder: MicrosoftAzureBuilder, login: &AzureLogin) -> MicrosoftAzureBuilder {
    let (builder, authority) = match login {
        AzureLogin::Key(key) => (builder.with_access_key(key), &None),
        AzureLogin::Client {
            id,
            tenant,
            secret,
            authority,
        } => (
            builder.with_client_secret_authorization(id, secret, tenant),
            authority,
        ),
        AzureLogin::Workload {
            id,
            tenant,
            token_file,
            authority,
        } => (
            builder
                .with_client_id(id)
                .with_tenant_id(tenant)
                .with_federated_token_file(token_file),
            authority,
        ),
        AzureLogin::Machine(None) => (builder, &None),
        AzureLogin::Machine(Some(id)) => (builder.with_config(AzureConfigKey::ClientId, id), &None),
    };
    match authority {
        Some(authority) => builder.with_authority_host(authority),
        None => builder,
    }
}

/// Whether a write was refused because of the append blob at its key. `object_store` hands on the words of the store only in
/// the text of its error.
fn is_wrong_type(error: &Error) -> bool {
    let is_conflict = matches!(error, Error::AlreadyExists { .. } | Error::Precondition { .. });
    is_conflict && error.to_string().contains(WRONG_TYPE)
}

/// Whether the store does not know the operation, as emulators.
fn is_unknown(error: &Error) -> bool {
    let text = error.to_string();
    let signs = ["501 ", "APINotImplemented", "UnsupportedHeader"];
    signs.iter().any(|sign| text.contains(sign))
}

/// Whether two objects have the same bytes.
async fn is_same(one: GetResult, other: GetResult) -> Result<bool> {
    if one.meta.size != other.meta.size {
        return Ok(false);
    }
    let (mut ones, mut others) = (one.into_stream(), other.into_stream());
    let (mut left, mut right) = (Bytes::new(), Bytes::new());
    loop {
        if left.is_empty() {
            left = ones.try_next().await?.unwrap_or_default();
        }
        if right.is_empty() {
            right = others.try_next().await?.unwrap_or_default();
        }
        let length = left.len().min(right.len());
        if length == 0 {
            return Ok(left.is_empty() && right.is_empty());
        }
        if left[..length] != right[..length] {
            return Ok(false);
        }
        left.advance(length);
        right.advance(length);
    }
}
