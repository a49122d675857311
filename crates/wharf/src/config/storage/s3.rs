//! `storage.s3`: a bucket of S3, or of a store that speaks its protocol.

use std::ops::RangeInclusive;

use wharf_storage::object::{
    ObjectOptions,
    s3::{AccessKey, AwsNames, Encryption, S3Settings},
};

use crate::config::{
    Bucket,
    keys::{
        Default, Group, Key, Positive, Secret,
        Since::{From3, Ours},
        Status::Accepted,
        keys, words,
    },
    section::Section,
    storage::prefix,
};

const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

/// Sizes that stores take for a part of a multipart upload.
const PARTS: RangeInclusive<i64> = 5 << 20..=5 << 30;

/// The largest part that is held in memory; a larger one saves no requests that matter.
const LARGEST_PART: usize = 64 * MIB;

keys! {
    pub(super) S3: Group = Key::named("storage.s3").help("Store the data in a bucket of S3, or of a store that speaks its protocol, as registry:2 does");
    ACCESS_KEY: Option<Secret> = Key::new("storage.s3.accesskey")
        .shown_default(Default::Words("found as the SDK of AWS does: variables, service account, files, container, machine"))
        .help("ID of the access key");
    SECRET_KEY: Option<Secret> = Key::new("storage.s3.secretkey").help("Secret of the access key");
    TOKEN: Option<Secret> = Key::new("storage.s3.sessiontoken")
        .help("Token of a temporary access key")
        .since(Ours);
    REGION: Option<String> = Key::new("storage.s3.region")
        .help("Region of the bucket; needed unless `regionendpoint` is set");
    ENDPOINT: Option<String> = Key::new("storage.s3.regionendpoint")
        .help("Address of a store other than AWS: `https://s3.example:9000`");
    PATH_STYLE: Option<bool> = Key::new("storage.s3.forcepathstyle")
        .shown_default(Default::Words("true if `regionendpoint` is set"))
        .help("Whether the bucket stands in the path of URLs, and not in their host name");
    BUCKET: Option<String> = Key::new("storage.s3.bucket").help("Name of the bucket; it must exist");
    ROOT: Option<String> = Key::new("storage.s3.rootdirectory")
        .help("Prefix of all keys; `docker/registry/v2` follows it");
    ENCRYPT: bool = Key::new("storage.s3.encrypt")
        .default("false")
        .help("Whether the store is asked to encrypt objects");
    KEY_ID: Option<String> = Key::new("storage.s3.keyid")
        .help("ID of a key of AWS KMS to encrypt with; without one the store's own keys are used");
    SECURE: bool = Key::new("storage.s3.secure")
        .default("true")
        .help("Whether https is spoken with AWS, and with a `regionendpoint` that has no scheme");
    SKIP_VERIFY: bool = Key::new("storage.s3.skipverify")
        .default("false")
        .help("Accept any certificate of the store");
    CHUNK: i64 = Key::new("storage.s3.chunksize")
        .default("8388608")
        .help("Bytes of each part of a multipart upload, 5 MiB or more; more than 64 MiB count as 64 MiB");
    PART_BUFFERS: Option<Positive<usize>> = Key::new("storage.s3.partbuffers")
        .shown_default(Default::Words("what fits in a quarter of the memory, 16 MiB to 96 MiB"))
        .help("Parts that all uploads together may hold in memory")
        .since(Ours);
    COPY_CHUNK: i64 = Key::new("storage.s3.multipartcopychunksize")
        .default("33554432")
        .help("Bytes of each range in which the store copies a large object");
    COPY_THRESHOLD: i64 = Key::new("storage.s3.multipartcopythresholdsize")
        .default("33554432")
        .help("Size in bytes up to which the store copies an object in one request");
    COPY_CONCURRENCY: i64 = Key::new("storage.s3.multipartcopymaxconcurrency")
        .default("100")
        .help("Ranges of one object that the store copies at once");
    STORAGE_CLASS: StorageClass = Key::new("storage.s3.storageclass")
        .default("STANDARD")
        .help("Storage class of objects; `NONE` leaves it to the bucket");
    ACL: Acl = Key::new("storage.s3.objectacl").default("private").help("Canned ACL of objects");
    USER_AGENT: Option<String> = Key::new("storage.s3.useragent").help("`User-Agent` of requests to the store");
    ACCELERATE: bool = Key::new("storage.s3.accelerate")
        .default("false")
        .help("Whether the bucket is reached by transfer acceleration");
    DUAL_STACK: bool = Key::new("storage.s3.usedualstack")
        .default("false")
        .help("Whether AWS is reached by the names that have IPv6 addresses")
        .since(From3("3.0"));
    FIPS: bool = Key::new("storage.s3.usefipsendpoint")
        .default("false")
        .help("Whether AWS is reached by the servers with validated cryptography")
        .since(From3("3.1"));
    REDIRECT_ENDPOINT: Option<String> = Key::new("storage.s3.redirectendpoint")
        .help("Address of the store for clients, if it differs from that for the server")
        .since(From3("3.2"));
    ALONE: bool = Key::new("storage.s3.alone")
        .default("false")
        .help("Whether the operator makes sure that no other server uses the bucket; needed only where the store is not fit for several")
        .since(Ours);
    V4_AUTH: Option<bool> = Key::new("storage.s3.v4auth").status(Accepted("requests are always signed with version 4"));
    LOG_LEVEL: Option<String> = Key::new("storage.s3.loglevel")
        .status(Accepted("requests that are repeated are in the log of this server"))
        .since(From3("3.0"));
}

/// Storage class of objects; `None`: that of the bucket.
#[derive(Debug)]
struct StorageClass(Option<&'static str>);

// STANDARD is the class of objects that are put without one, and some stores know no classes.
words! { StorageClass:
    "NONE" => Self(None),
    "STANDARD" => Self(None),
    "REDUCED_REDUNDANCY" => Self(Some("REDUCED_REDUNDANCY")),
    "STANDARD_IA" => Self(Some("STANDARD_IA")),
    "ONEZONE_IA" => Self(Some("ONEZONE_IA")),
    "INTELLIGENT_TIERING" => Self(Some("INTELLIGENT_TIERING")),
    "OUTPOSTS" => Self(Some("OUTPOSTS")),
    "GLACIER_IR" => Self(Some("GLACIER_IR")),
}

/// Canned ACL of objects; `None`: that of the bucket.
#[derive(Debug)]
struct Acl(Option<&'static str>);

// `private` is the ACL of objects that are put without one, and buckets without ACLs refuse any.
words! { Acl:
    "private" => Self(None),
    "public-read" => Self(Some("public-read")),
    "public-read-write" => Self(Some("public-read-write")),
    "authenticated-read" => Self(Some("authenticated-read")),
    "aws-exec-read" => Self(Some("aws-exec-read")),
    "bucket-owner-read" => Self(Some("bucket-owner-read")),
    "bucket-owner-full-control" => Self(Some("bucket-owner-full-control")),
}

/// Reads `storage.s3`. `None`: a problem has been reported.
pub(super) fn read(root: &Section<'_>) -> Option<Bucket> {
    let bucket = root.get(BUCKET);
    if bucket.is_none() {
        root.problem(BUCKET, "is missing");
    }
    let is_secure = root.get(SECURE);
    let endpoint = root
        .get(ENDPOINT)
        .map(|endpoint| with_scheme(endpoint, is_secure));
    let region = root.get(REGION);
    if region.is_none() && endpoint.is_none() {
        root.problem(REGION, "is missing; only `regionendpoint` makes it optional");
    }
    let prefix = prefix(root, ROOT);
    let part_size = size(root, CHUNK)?;
    let copy_size = size(root, COPY_CHUNK)?;
    let copy_whole = number(root, COPY_THRESHOLD, 0..=5 * GIB)?;
    let copies = number(root, COPY_CONCURRENCY, 1..=10_000)?;
    warn(root, endpoint.is_some());
    let settings = S3Settings {
        bucket: bucket?,
        region,
        path_style: root.get(PATH_STYLE).unwrap_or(endpoint.is_some()),
        endpoint,
        redirect_endpoint: root
            .get(REDIRECT_ENDPOINT)
            .map(|endpoint| with_scheme(endpoint, is_secure)),
        secure: is_secure,
        skip_verify: root.get(SKIP_VERIFY),
        authorities: None,
        has_secure_proxy: false,
        names: AwsNames {
            accelerate: root.get(ACCELERATE),
            dual_stack: root.get(DUAL_STACK),
            fips: root.get(FIPS),
        },
        encryption: match root.get(KEY_ID) {
            _ if !root.get(ENCRYPT) => Encryption::Bucket,
            Some(key) => Encryption::Kms(key),
            None => Encryption::Aes256,
        },
        storage_class: root.get(STORAGE_CLASS).0.map(str::to_owned),
        acl: root.get(ACL).0.map(str::to_owned),
        user_agent: root.get(USER_AGENT),
    };
    Some(Bucket {
        access_key: access_key(root),
        settings,
        prefix,
        is_alone: root.get(ALONE),
        options: ObjectOptions {
            part_size: part_size.min(LARGEST_PART),
            copy_whole: copy_whole as u64,
            copy_size: copy_size as u64,
            copies,
        },
        part_buffers: root.get(PART_BUFFERS).map(|Positive(buffers)| buffers),
    })
}

fn access_key(root: &Section<'_>) -> Option<AccessKey> {
    match (root.get(ACCESS_KEY), root.get(SECRET_KEY)) {
        (Some(Secret(id)), Some(Secret(secret))) => Some(AccessKey {
            id,
            secret,
            token: root.get(TOKEN).map(|Secret(token)| token),
        }),
        (None, None) => {
            if root.has(TOKEN) {
                root.warning(TOKEN, "has no effect without `accesskey` and `secretkey`");
            }
            None
        }
        _ => {
            root.problem(S3, "must have both `accesskey` and `secretkey`, or none of them");
            None
        }
    }
}

fn size(root: &Section<'_>, key: Key<i64>) -> Option<usize> {
    let size = root.get(key);
    if !PARTS.contains(&size) {
        root.problem(key, "must be between 5242880 (5 MiB) and 5368709120 (5 GiB)");
        return None;
    }
    usize::try_from(size).ok()
}

fn number(root: &Section<'_>, key: Key<i64>, range: RangeInclusive<usize>) -> Option<usize> {
    let number = usize::try_from(root.get(key))
        .ok()
        .filter(|number| range.contains(number));
    if number.is_none() {
        let text = format!("must be between {} and {}", range.start(), range.end());
        root.problem(key, &text);
    }
    number
}

/// Warns of keys that have no effect beside the others.
fn warn(root: &Section<'_>, has_endpoint: bool) {
    if root.get(KEY_ID).is_some() && !root.get(ENCRYPT) {
        root.warning(KEY_ID, "has no effect without `encrypt: true`");
    }
    if root.get(V4_AUTH) == Some(false) {
        root.warning(
            V4_AUTH,
            "is off, but requests are signed with version 4: stores no longer take version 2",
        );
    }
    for key in [ACCELERATE, DUAL_STACK, FIPS] {
        if has_endpoint && root.get(key) {
            root.warning(key, "has no effect beside `regionendpoint`");
        }
    }
}

fn with_scheme(endpoint: String, is_secure: bool) -> String {
    if endpoint.contains("://") {
        return endpoint;
    }
    let scheme = if is_secure { "https" } else { "http" };
    format!("{scheme}://{endpoint}")
}
