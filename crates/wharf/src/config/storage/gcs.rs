//! `storage.gcs`: a bucket of Google Cloud Storage.

use wharf_storage::object::{ObjectOptions, PART_SIZE, clouds::GcsSettings};

use crate::config::{
    Cloud, CloudBucket, GcsKey,
    keys::{Default, Group, Key, Pairs, Status::Accepted, keys},
    section::Section,
    storage::prefix,
};

/// What Google takes for a piece of an upload.
const UNIT: i64 = 256 << 10;

/// The smallest part of a multipart upload.
const SMALLEST: i64 = 5 << 20;

/// The largest part that is held in memory; a larger one saves no requests that matter.
const LARGEST: i64 = 64 << 20;

keys! {
    pub(super) GCS: Group = Key::named("storage.gcs").help("Store the data in a bucket of Google Cloud Storage, as registry:2 does; see [clouds](clouds.md)");
    BUCKET: Option<String> = Key::new("storage.gcs.bucket").help("Name of the bucket; it must exist");
    KEY_FILE: Option<String> = Key::new("storage.gcs.keyfile")
        .shown_default(Default::Words("`GOOGLE_APPLICATION_CREDENTIALS`, the file of `gcloud`, or the account of the machine"))
        .help("Path of the key of a service account, as JSON");
    CREDENTIALS: Pairs = Key::secret_fields("storage.gcs.credentials")
        .help("The content of such a file, in place of `keyfile`");
    ROOT: Option<String> = Key::new("storage.gcs.rootdirectory")
        .help("Prefix of all keys; `docker/registry/v2` follows it");
    CHUNK: Option<i64> = Key::new("storage.gcs.chunksize")
        .shown_default(Default::Value("8388608"))
        .help("Bytes of each part of a multipart upload, a multiple of 262144 (256 KiB); less than 5 MiB count as 5 MiB, and more than 64 MiB as 64 MiB");
    CONCURRENCY: Option<i64> = Key::new("storage.gcs.maxconcurrency")
        .status(Accepted("requests to the bucket are bounded by the budget of the server"));
    USER_AGENT: Option<String> = Key::new("storage.gcs.useragent").help("`User-Agent` of requests to the bucket");
}

/// Reads `storage.gcs`. `None`: a problem has been reported.
pub(super) fn read(root: &Section<'_>) -> Option<CloudBucket> {
    let bucket = root.get(BUCKET);
    if bucket.is_none() {
        root.problem(BUCKET, "is missing");
    }
    let prefix = prefix(root, ROOT);
    let part_size = part_size(root)?;
    let settings = GcsSettings {
        bucket: bucket?,
        user_agent: root.get(USER_AGENT),
        endpoint: None,
    };
    Some(CloudBucket {
        cloud: Cloud::Gcs(settings, key(root)),
        prefix,
        options: ObjectOptions {
            part_size,
            // A copy within a bucket moves no bytes, and there is none of a range.
            copy_whole: u64::MAX,
            ..ObjectOptions::default()
        },
    })
}

/// The configured key of a service account.
fn key(root: &Section<'_>) -> GcsKey {
    let credentials = root.get(CREDENTIALS);
    match root.get(KEY_FILE) {
        Some(file) if credentials.is_empty() => GcsKey::File(file.into()),
        Some(file) => {
            root.problem(CREDENTIALS, "and `keyfile` are two keys; remove one of them");
            GcsKey::File(file.into())
        }
        None if credentials.is_empty() => GcsKey::Found,
        None => {
            let map: serde_json::Map<String, serde_json::Value> = credentials
                .into_iter()
                .map(|(name, values)| (name, values.concat().into()))
                .collect();
            for name in ["client_email", "private_key", "private_key_id"] {
                if !map.contains_key(name) {
                    let text =
                        format!("has no `{name}`; it is the content of the key file of a service account");
                    root.problem(CREDENTIALS, &text);
                }
            }
            GcsKey::Json(serde_json::Value::Object(map).to_string())
        }
    }
}

fn part_size(root: &Section<'_>) -> Option<usize> {
    let Some(size) = root.get(CHUNK) else {
        return Some(PART_SIZE);
    };
    if size < UNIT || size % UNIT != 0 {
        root.problem(CHUNK, "must be a multiple of 262144 (256 KiB), as `16777216`");
        return None;
    }
    usize::try_from(size.clamp(SMALLEST, LARGEST)).ok()
}
