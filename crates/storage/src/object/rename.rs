//! Moving an object: a copy, and the removal of what was copied.

use std::sync::Arc;

use super::{Bucket, blob::Pieces, writer::ObjectWriter};
use crate::{Key, Result};

/// Copies the object at `from` to `to`, then removes it. A crash in between leaves both.
pub(super) async fn rename(bucket: &Arc<Bucket>, from: &Key, to: &Key) -> Result<()> {
    let size = bucket.head(from).await?.size;
    if from == to {
        return Ok(());
    }
    if size <= bucket.limits.copy_size {
        bucket.copy(from, to).await?;
    } else {
        let mut writer = ObjectWriter::new(bucket, to, None);
        if let Err(error) = copy_into(&mut writer, bucket, from, size).await {
            writer.abort().await;
            return Err(error);
        }
        writer.finish(None).await?;
    }
    bucket.delete(from).await
}

/// Adds the object at `from` to what `writer` writes.
pub(super) async fn copy_into(
    writer: &mut ObjectWriter,
    bucket: &Bucket,
    from: &Key,
    size: u64,
) -> Result<()> {
    let mut pieces = Pieces::of(bucket, from, size).await?;
    while let Some(piece) = pieces.next().await? {
        writer.write(&piece).await?;
    }
    Ok(())
}
