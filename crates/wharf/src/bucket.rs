//! Opens a bucket: finds the credentials, and asks the store once, so that a wrong setting is one sentence at the start.

use std::{env, sync::Arc};

use anyhow::{Context as _, anyhow};
use wharf_storage::object::{
    ObjectStorage, Prefix,
    s3::{Credentials, S3},
};

use crate::config::Bucket;

/// A registry in a bucket, and the client of the bucket.
pub(crate) struct Opened {
    pub(crate) storage: ObjectStorage,
    pub(crate) client: Arc<S3>,
}

/// Opens the registry in a bucket.
///
/// # Errors
///
/// When there are no credentials, a setting cannot be used, or the store does not answer as it should.
pub(crate) async fn open(bucket: &Bucket) -> anyhow::Result<Opened> {
    let name = &bucket.settings.bucket;
    let credentials = match &bucket.access_key {
        Some(key) => Credentials::Fixed(key.clone()),
        None => Credentials::find(&|name| env::var_os(name))
            .map_err(|reason| anyhow!("`storage.s3`: {reason}"))?,
    };
    let client =
        S3::new(&bucket.settings, &credentials).with_context(|| format!("cannot use the bucket `{name}`"))?;
    client.check().await.map_err(|reason| anyhow!(reason))?;
    let prefix = Prefix::from(bucket.prefix.as_str());
    let client = Arc::new(client.with_prefix(&prefix));
    let storage = ObjectStorage::with_options(Arc::clone(&client) as _, prefix, bucket.options);
    Ok(Opened { storage, client })
}
