//! Opens a bucket: finds the credentials, and asks the store once, so that a wrong setting is one sentence at the start.

use std::{env, path::PathBuf, sync::Arc};

use anyhow::{Context as _, anyhow};
use jiff::SignedDuration;
use wharf_budget::Share;
use wharf_storage::object::{
    ObjectStorage, Prefix,
    s3::{Credentials, S3, S3Settings},
};

use crate::config::Bucket;

/// A registry in a bucket, and the client of the bucket.
pub(crate) struct Opened {
    pub(crate) storage: ObjectStorage,
    pub(crate) client: Arc<S3>,
    /// How far this machine's clock is ahead of the store's, if the store says its time
    pub(crate) skew: Option<SignedDuration>,
}

/// Opens the registry in a bucket. Its uploads share the memory `parts`.
///
/// # Errors
///
/// When there are no credentials, a setting or the file of authorities cannot be used, or the store does not answer as it should.
pub(crate) async fn open(bucket: &Bucket, parts: Share) -> anyhow::Result<Opened> {
    let name = &bucket.settings.bucket;
    let credentials = match &bucket.access_key {
        Some(key) => Credentials::Fixed(key.clone()),
        None => Credentials::find(&|name| env::var_os(name))
            .map_err(|reason| anyhow!("`storage.s3`: {reason}"))?,
    };
    let settings = S3Settings {
        authorities: authorities()?,
        has_secure_proxy: has_secure_proxy(),
        ..bucket.settings.clone()
    };
    let client =
        S3::new(&settings, &credentials).with_context(|| format!("cannot use the bucket `{name}`"))?;
    let skew = client.check().await.map_err(|reason| anyhow!(reason))?;
    let prefix = Prefix::from(bucket.prefix.as_str());
    let client = Arc::new(client.with_prefix(&prefix));
    let storage = ObjectStorage::sharing(Arc::clone(&client) as _, prefix, parts, bucket.options);
    Ok(Opened {
        storage,
        client,
        skew,
    })
}

/// Certificates of authorities that are trusted beside those of the system: the variable is that of the SDK of AWS.
fn authorities() -> anyhow::Result<Option<Vec<u8>>> {
    let Some(path) = env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    let path = PathBuf::from(path);
    #[expect(clippy::disallowed_methods, reason = "it is not a file of the store")]
    let pem = std::fs::read(&path)
        .with_context(|| format!("cannot read `{}`, which AWS_CA_BUNDLE names", path.display()))?;
    Ok(Some(pem))
}

/// Whether requests without TLS pass a proxy that is itself spoken to by TLS: the variables are those of all HTTP clients.
fn has_secure_proxy() -> bool {
    ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]
        .into_iter()
        .filter_map(env::var_os)
        .any(|proxy| proxy.to_string_lossy().starts_with("https:"))
}
