//! The settings of a bucket of Google Cloud or Azure.

use std::{fmt, path::PathBuf};

use wharf_storage::object::{
    ObjectOptions,
    clouds::{AzureLogin, AzureSettings, GcsSettings},
    s3::S3Settings,
};

/// A bucket of a cloud, and the way to write into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CloudBucket {
    pub(crate) cloud: Cloud,
    /// Prefix of all keys, without slashes around it.
    pub(crate) prefix: String,
    pub(crate) options: ObjectOptions,
}

/// A cloud, and what requests to it are authorised by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cloud {
    Gcs(GcsSettings, GcsKey),
    Azure(AzureSettings, AzureIdentity),
}

/// The key of a service account.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum GcsKey {
    File(PathBuf),
    /// The content of such a file
    Json(String),
    /// It is found as Google's programs find it.
    Found,
}

/// What requests to Azure are authorised by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AzureIdentity {
    Configured(AzureLogin),
    /// It is found as Azure's programs find it, at this address of Entra ID unless the environment has another.
    Found {
        authority: Option<String>,
    },
}

impl CloudBucket {
    /// The bucket and the prefix in it, as operators read them.
    pub(crate) fn place(&self) -> String {
        let bucket = match &self.cloud {
            Cloud::Gcs(settings, _) => format!("gs://{}", settings.bucket),
            Cloud::Azure(settings, _) => format!("{}/{}", settings.endpoint, settings.container),
        };
        match self.prefix.as_str() {
            "" => bucket,
            prefix => format!("{bucket}/{prefix}"),
        }
    }

    /// The name of the cloud in the configuration, in metrics and in checks.
    pub(crate) fn driver(&self) -> &'static str {
        match self.cloud {
            Cloud::Gcs(..) => "gcs",
            Cloud::Azure(..) => "azure",
        }
    }

    /// Whether clients can be expected to reach the store.
    pub(super) fn is_reachable_by_clients(&self) -> bool {
        match &self.cloud {
            Cloud::Gcs(..) => true,
            // The rule is about addresses, whatever is spoken there.
            Cloud::Azure(settings, _) => S3Settings {
                endpoint: Some(settings.endpoint.clone()),
                ..S3Settings::default()
            }
            .is_reachable_by_clients(),
        }
    }
}

impl fmt::Debug for GcsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Json(_) => f.write_str("configured"),
            Self::Found => f.write_str("found"),
        }
    }
}
