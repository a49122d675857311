//! Moving an object: a copy, and the removal of what was copied.

use std::sync::Arc;

use super::{Bucket, copy::copy};
use crate::{Key, Result};

/// Copies the object at `from` to `to`, then removes it. A crash in between leaves both.
pub(super) async fn rename(bucket: &Arc<Bucket>, from: &Key, to: &Key) -> Result<()> {
    let size = bucket.head(from).await?.size;
    if from == to {
        return Ok(());
    }
    copy(bucket, from, to, size).await?;
    bucket.delete(from).await
}
