//! `middleware.storage`: servers in front of the store, from which clients read blobs.

use std::{path::PathBuf, time::Duration};

use wharf_storage::elsewhere::Rewrite;

use super::{
    keys::{Key, List, Positive, Since::From3, Status::Accepted, keys, words},
    section::Section,
};

keys! {
    STORAGE: List = Key::sections("middleware.storage")
        .help("Servers in front of the store, from which clients read blobs; see [clouds](clouds.md#servers-in-front-of-the-store)");
    NAME: Option<String> = Key::new("middleware.storage[].name").help("Kind of the server: `redirect`, `rewrite` or `cloudfront`");
    IS_DISABLED: bool = Key::new("middleware.storage[].disabled")
        .default("false")
        .help("Whether the entry has no effect");
    BASE: Option<String> = Key::new("middleware.storage[].options.baseurl")
        .help("URL below which clients find the objects, for `redirect` and `cloudfront`");
    SCHEME: Option<String> = Key::new("middleware.storage[].options.scheme")
        .help("Scheme in place of that of the signed URL, for `rewrite`")
        .since(From3("3.0"));
    HOST: Option<String> = Key::new("middleware.storage[].options.host")
        .help("Host, and port if needed, in place of those of the signed URL, for `rewrite`")
        .since(From3("3.0"));
    TRIM: Option<String> = Key::new("middleware.storage[].options.trimpathprefix")
        .help("What is taken away from the beginning of the path of the signed URL, for `rewrite`")
        .since(From3("3.0"));
    PRIVATE_KEY: Option<String> = Key::new("middleware.storage[].options.privatekey")
        .help("Path of a file with a private key of RSA in PEM, for `cloudfront`");
    KEY_PAIR: Option<String> = Key::new("middleware.storage[].options.keypairid")
        .help("ID under which CloudFront knows the public key, for `cloudfront`");
    DURATION: Positive<Duration> = Key::new("middleware.storage[].options.duration")
        .default("20m")
        .help("Time during which a client may begin to read, for `cloudfront`");
    FILTER: Filter = Key::new("middleware.storage[].options.ipfilteredby")
        .default("none")
        .help("Whether clients in AWS read from S3 and not from CloudFront: only `none` is supported, all read from CloudFront");
    REGION: Option<Vec<String>> = Key::new("middleware.storage[].options.awsregion").status(Accepted(FILTER_ALONE));
    UPDATE: Option<Duration> = Key::new("middleware.storage[].options.updatefrequency").status(Accepted(FILTER_ALONE));
    MISSPELT_UPDATE: Option<Duration> = Key::new("middleware.storage[].options.updatefrenquency")
        .status(Accepted("another name of `updatefrequency`, which matters only to an `ipfilteredby` other than `none`"));
    RANGES: Option<String> = Key::new("middleware.storage[].options.iprangesurl").status(Accepted(FILTER_ALONE));
}

const FILTER_ALONE: &str = "it matters only to an `ipfilteredby` other than `none`";

const NO_FILTER: &str = "must be `none`: the others need the addresses of clients, which proxies hide, and a list that AWS changes and that would \
     have to be downloaded again and again. With `none` clients in AWS read from CloudFront as well";

/// Which clients read from S3 itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filter {
    None,
    Aws,
}

words! { Filter: "none" => Self::None, "aws" => Self::Aws, "awsregion" => Self::Aws }

/// A server in front of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Middleware {
    /// URL, without a slash at its end
    Redirect(String),
    Rewrite(Rewrite),
    CloudFront {
        /// Without a slash at its end
        base: String,
        key_pair: String,
        /// The file with the private key
        private_key: PathBuf,
        duration: Duration,
    },
}

impl Middleware {
    /// Whether clients are told an address that is not that of the store.
    pub(super) fn has_address(&self) -> bool {
        !matches!(self, Self::Rewrite(Rewrite { host: None, .. }))
    }

    /// Whether it needs the signed URL of the store.
    pub(crate) fn needs_signed_url(&self) -> bool {
        matches!(self, Self::Rewrite(_))
    }
}

/// Reads the list. `is_s3`: the store is a bucket of S3.
pub(super) fn read(root: &Section<'_>, is_s3: bool) -> Vec<Middleware> {
    let entries = root.elements(STORAGE);
    let enabled = entries.iter().filter(|entry| !entry.get(IS_DISABLED));
    enabled.filter_map(|entry| one(entry, is_s3)).collect()
}

/// Reads one entry. `None`: it has no effect, or a problem has been reported.
fn one(entry: &Section<'_>, is_s3: bool) -> Option<Middleware> {
    match entry.get(NAME).as_deref() {
        Some("redirect") => redirect(entry),
        Some("rewrite") => rewrite(entry),
        Some("cloudfront") => {
            let read = cloudfront(entry);
            if is_s3 {
                return read;
            }
            entry.warning(
                NAME,
                "is `cloudfront`, which has no effect: CloudFront needs a bucket of S3",
            );
            None
        }
        Some(other) => {
            let text = format!(
                "names no middleware with `{}`; there are `redirect`, `rewrite` and `cloudfront`",
                other.escape_debug()
            );
            entry.problem(NAME, &text);
            None
        }
        None => {
            entry.problem(
                NAME,
                "is missing; there are `redirect`, `rewrite` and `cloudfront`",
            );
            None
        }
    }
}

fn redirect(entry: &Section<'_>) -> Option<Middleware> {
    let Some(base) = entry.get(BASE) else {
        entry.problem(
            BASE,
            "is missing; it is a URL such as `https://cdn.example.com/registry`",
        );
        return None;
    };
    url(entry, &base).map(Middleware::Redirect)
}

fn rewrite(entry: &Section<'_>) -> Option<Middleware> {
    let rewrite = Rewrite {
        scheme: entry.get(SCHEME),
        host: entry.get(HOST),
        trim: entry.get(TRIM),
    };
    if rewrite == Rewrite::default() {
        entry.warning(
            NAME,
            "is `rewrite`, which has no effect without `scheme`, `host` or `trimpathprefix`",
        );
        return None;
    }
    let is_scheme = |scheme: &String| matches!(scheme.as_str(), "http" | "https");
    if !rewrite.scheme.as_ref().is_none_or(is_scheme) {
        entry.problem(SCHEME, "must be `http` or `https`");
    }
    let is_host = |host: &String| host.bytes().all(is_of_url) && !host.contains('/');
    if !rewrite.host.as_ref().is_none_or(is_host) {
        entry.problem(
            HOST,
            "must be a host such as `s3.example.com:9000`, without a scheme",
        );
    }
    Some(Middleware::Rewrite(rewrite))
}

fn cloudfront(entry: &Section<'_>) -> Option<Middleware> {
    if entry.get(FILTER) != Filter::None {
        entry.problem(FILTER, NO_FILTER);
    }
    let mut missing = false;
    let mut needed = |key: Key<Option<String>>, what: &str| {
        let value = entry.get(key);
        if value.is_none() {
            entry.problem(key, &format!("is missing; it is {what}"));
            missing = true;
        }
        value.unwrap_or_default()
    };
    let base = needed(
        BASE,
        "the URL of the distribution, such as `https://d1234.cloudfront.net`",
    );
    let private_key = needed(PRIVATE_KEY, "the path of a file with a private key of RSA");
    let key_pair = needed(KEY_PAIR, "the ID under which CloudFront knows the public key");
    if missing {
        return None;
    }
    // As registry:2, for the bare name of a distribution.
    let base = match base.contains("://") {
        true => base,
        false => format!("https://{base}"),
    };
    Some(Middleware::CloudFront {
        base: url(entry, &base)?,
        key_pair,
        private_key: private_key.into(),
        duration: entry.get(DURATION).0,
    })
}

/// Checks a URL, and takes the slash from its end.
fn url(entry: &Section<'_>, url: &str) -> Option<String> {
    let is_url = url.split_once("://").is_some_and(|(scheme, rest)| {
        let is_scheme = matches!(scheme, "http" | "https");
        is_scheme && !rest.is_empty() && !rest.starts_with('/') && rest.bytes().all(is_of_url)
    });
    if !is_url {
        let text = format!(
            "must be a URL with scheme and host, such as `https://cdn.example.com`, not `{}`",
            url.escape_debug()
        );
        entry.problem(BASE, &text);
        return None;
    }
    Some(url.trim_end_matches('/').to_owned())
}

/// Whether the byte may stand in a host or a path of a URL.
fn is_of_url(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"?#@\"<>\\".contains(&byte)
}
