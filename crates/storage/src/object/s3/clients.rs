//! Builds the clients of a bucket.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use http::{HeaderMap, HeaderName};
use object_store::{
    BackoffConfig, Certificate, ClientOptions, Result, RetryConfig, StaticCredentialProvider,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, AwsCredential, AwsCredentialProvider},
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
        ReqwestConnector,
    },
};

use super::{
    attempt::Attempts,
    credentials::{AccessKey, Credentials, SharedProvider},
    headers::{self, AddHeaders},
    meters::RequestMeters,
    patience::Patience,
    repeat::Repeating,
    requests::Requests,
    settings::{Encryption, S3Settings},
    signature::Signature,
};

/// How long the search for credentials is repeated.
const CREDENTIALS: Duration = Duration::from_secs(20);

/// How often the stream of one object goes on after a cut.
const CUTS: usize = 16;

/// The clients of a bucket. All requests are made by one, with one cache of credentials.
#[derive(Debug)]
pub(super) struct Clients {
    pub(super) objects: AmazonS3,
    /// Signs URLs for clients, at the address that they reach the store by
    pub(super) signer: AmazonS3,
    pub(super) requests: Requests,
}

impl Clients {
    /// Nothing is sent yet.
    pub(super) fn new(
        settings: &S3Settings,
        credentials: &Credentials,
        patience: Patience,
        meters: RequestMeters,
    ) -> Result<Self> {
        let options = options(settings)?.with_connect_timeout(patience.connect);
        let credentials = provider(settings, credentials, &options)?;
        let signature = Signature {
            credentials: Arc::clone(&credentials),
            region: settings.signing_region().to_owned(),
        };
        let client = client(settings, &options, patience, &signature, meters)?;
        let builder = |url: &str| {
            builder(settings, url, &options)
                .with_credentials(Arc::clone(&credentials))
                .with_http_connector(Connected(client.clone()))
        };
        let objects = builder(&settings.bucket_url())
            .with_retry(of_streams(patience))
            .build()?;
        let signer = builder(&settings.redirect_url()).build()?;
        let requests = Requests {
            client,
            credentials,
            region: settings.signing_region().to_owned(),
            bucket_url: settings.bucket_url(),
        };
        Ok(Self {
            objects,
            signer,
            requests,
        })
    }
}

fn options(settings: &S3Settings) -> Result<ClientOptions> {
    let mut options = ClientOptions::new()
        .with_allow_http(true)
        .with_allow_invalid_certificates(settings.skip_verify);
    if let Some(agent) = &settings.user_agent {
        options = options.with_user_agent(headers::value(agent)?);
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
    // A blob may take hours to a slow client; attempts have bounds of their own. The authorities of the system are hundreds
    // of files, which take longer to read than all else that a start does.
    let options = options
        .clone()
        .with_timeout_disabled()
        .with_no_system_certificates(!settings.needs_authorities());
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

/// Gives out clients that are made when they have a request to send.
#[derive(Debug)]
struct Lazily;

impl HttpConnector for Lazily {
    fn connect(&self, options: &ClientOptions) -> Result<HttpClient> {
        Ok(HttpClient::new(Lazy {
            options: options.clone(),
            client: OnceLock::new(),
        }))
    }
}

#[derive(Debug)]
struct Lazy {
    options: ClientOptions,
    client: OnceLock<HttpClient>,
}

#[async_trait]
impl HttpService for Lazy {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let client = match self.client.get() {
            Some(client) => client,
            None => {
                let made = ReqwestConnector::default().connect(&self.options);
                let made = made.map_err(|error| HttpError::new(HttpErrorKind::Connect, error))?;
                self.client.get_or_init(|| made)
            }
        };
        client.execute(request).await
    }
}

/// Gives out the keys of the moment. Those that a service has are asked for by a client of their own.
fn provider(
    settings: &S3Settings,
    credentials: &Credentials,
    options: &ClientOptions,
) -> Result<AwsCredentialProvider> {
    use AmazonS3ConfigKey as Name;

    let builder = builder(settings, &settings.bucket_url(), options)
        .with_http_connector(Lazily)
        .with_retry(RetryConfig {
            retry_timeout: CREDENTIALS,
            ..RetryConfig::default()
        });
    let builder = match credentials {
        Credentials::Shared(files) => return Ok(Arc::new(SharedProvider::new(files.clone()))),
        Credentials::Fixed(AccessKey { id, secret, token }) => {
            return Ok(Arc::new(StaticCredentialProvider::new(AwsCredential {
                key_id: id.clone(),
                secret_key: secret.clone(),
                token: token.clone(),
            })));
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
    };
    Ok(Arc::clone(builder.build()?.credentials()))
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
        .map(|(name, value)| Ok((name, headers::value(value)?)))
        .collect()
}
