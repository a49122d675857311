//! Whether a signed URL can be read, and is refused after its time.

use std::time::Duration;

use http::Method;
use object_store::{aws::AmazonS3, path::Path, signer::Signer};
use tokio::time::{self, Instant};

use super::{contents::CONTENT, tries::Tries};

/// How long the URLs are valid that must be refused later.
const SHORT: Duration = Duration::from_secs(1);

/// Clocks are compared by the second, so this much more is waited.
const MARGIN: Duration = Duration::from_secs(2);

/// A larger difference of clocks is not waited for.
const LONGEST_SKEW: Duration = Duration::from_secs(60);

/// A signed URL by which an object would be removed, had it not been too late.
#[derive(Debug)]
pub(super) struct Expiring {
    url: String,
    key: String,
    signed: Instant,
}

impl Expiring {
    /// Writes an object, and signs its removal. `None`: the policy does not allow that.
    pub(super) async fn sign(tries: &Tries, signer: &AmazonS3) -> Result<Option<Self>, String> {
        let key = tries.key("expired");
        if tries.put(&key, CONTENT).await?.is_none() {
            return Ok(None);
        }
        let url = sign(signer, Method::DELETE, &key, SHORT).await?;
        let signed = Instant::now();
        Ok(Some(Self { url, key, signed }))
    }

    /// Whether the removal is refused after its time; `None` where that cannot be found out.
    pub(super) async fn refuses(self, tries: &Tries) -> Result<Option<bool>, String> {
        let skew = tries.skew().unwrap_or_default();
        if skew.unsigned_abs() > LONGEST_SKEW {
            return Ok(None);
        }
        // To a store whose clock is behind the URL is valid for longer.
        let behind = if skew.is_positive() {
            skew.unsigned_abs()
        } else {
            Duration::ZERO
        };
        time::sleep_until(self.signed + SHORT + MARGIN + behind).await;
        let answer = tries.follow(Method::DELETE, &self.url).await?;
        if !answer.status.is_success() {
            return Ok(Some(true));
        }
        let read = tries.get(&self.key).await?;
        Ok(read.map(|read| read.status.is_success()))
    }
}

/// Whether a signed URL can be read.
pub(super) async fn reads(tries: &Tries, signer: &AmazonS3) -> Result<bool, String> {
    let key = tries.key("signed");
    if tries.put(&key, CONTENT).await?.is_none() {
        return Ok(false);
    }
    let url = sign(signer, Method::GET, &key, LONGEST_SKEW).await?;
    let read = tries.follow(Method::GET, &url).await?;
    Ok(read.status.is_success() && read.body == CONTENT)
}

async fn sign(signer: &AmazonS3, method: Method, key: &str, ttl: Duration) -> Result<String, String> {
    let url = signer.signed_url(method, &Path::from(key), ttl).await;
    url.map(String::from)
        .map_err(|error| format!("a URL cannot be signed: {error}"))
}
