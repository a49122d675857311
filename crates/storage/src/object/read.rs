//! Small objects, read whole, with the version of exactly their bytes.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use md5::{Digest as _, Md5};

use super::{Bucket, blob::ObjectBlob};
use crate::{Blob as _, Error, ErrorKind, Key, Object, Result, Version};

/// Objects of more bytes get the version that the store sends, because hashing them would take long.
const SMALL: usize = 64 * 1024;
/// How often an object is read whose bytes and entity tag do not belong together.
const ATTEMPTS: usize = 4;

/// Reads the object at `key`.
///
/// # Bytes and their entity tag
///
/// A store that keeps them in two places (versitygw does) may answer a read during a write with the old bytes and the new
/// tag. If that pair were remembered, the old bytes would be taken for the new ones until the next write. Such a tag is the MD5 of
/// its object, so a tag that looks like an MD5 is compared with the bytes, and the object is read again if they differ. If the
/// same bytes come with the same tag again, this store's tags are something else (with encryption by a key service they
/// are), and are compared no more.
pub(super) async fn read(bucket: &Bucket, key: &Key, limit: u64) -> Result<Object> {
    let blob = ObjectBlob::open(bucket, key).await?;
    read_opened(bucket, key, limit, blob).await
}

/// As [`read`], but `None` when the object still is of that version.
pub(super) async fn read_unless(
    bucket: &Bucket,
    key: &Key,
    limit: u64,
    version: &Version,
) -> Result<Option<Object>> {
    let Some(mark) = version.as_object() else {
        return read(bucket, key, limit).await.map(Some);
    };
    match ObjectBlob::open_unless(bucket, key, &mark.e_tag).await? {
        Some(blob) => read_opened(bucket, key, limit, blob).await.map(Some),
        None => Ok(None),
    }
}

async fn read_opened(bucket: &Bucket, key: &Key, limit: u64, blob: ObjectBlob) -> Result<Object> {
    let mut object = whole(blob, key, limit).await?;
    for _ in 1..ATTEMPTS {
        if bucket.tags_are_opaque.load(Ordering::Relaxed) || has_its_tag(&object) {
            return Ok(object);
        }
        let again = whole(ObjectBlob::open(bucket, key).await?, key, limit).await?;
        let is_same = again.bytes == object.bytes && again.stat.version == object.stat.version;
        if is_same && !bucket.store.abilities().e_tag_is_md5 {
            bucket.tags_are_opaque.store(true, Ordering::Relaxed);
        }
        object = again;
    }
    if !has_its_tag(&object) {
        object.stat.version = None;
    }
    Ok(object)
}

/// Whether the entity tag of a small object is the MD5 of its bytes, if it looks like one.
fn has_its_tag(object: &Object) -> bool {
    let mark = object.stat.version.as_ref().and_then(Version::as_object);
    let md5 = mark.and_then(|mark| md5_of_tag(&mark.e_tag));
    md5.is_none_or(|md5| object.bytes.len() > SMALL || md5 == md5_of(&object.bytes))
}

async fn whole(blob: ObjectBlob, key: &Key, limit: u64) -> Result<Object> {
    let stat = blob.stat();
    if stat.size > limit {
        let context = format!("read `{key}`, {} bytes where {limit} are the limit", stat.size);
        return Err(Error::new(ErrorKind::TooLarge, context));
    }
    let bytes = blob.bytes().await?;
    Ok(Object { bytes, stat })
}

fn md5_of(bytes: &Bytes) -> [u8; 16] {
    Md5::digest(bytes).into()
}

/// The MD5 that an entity tag looks like.
fn md5_of_tag(e_tag: &str) -> Option<[u8; 16]> {
    let hex = e_tag.trim_matches('"');
    let is_md5 = hex.len() == 32 && hex.bytes().all(|digit| digit.is_ascii_hexdigit());
    let number = u128::from_str_radix(hex, 16).ok().filter(|_| is_md5);
    number.map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_of_32_hex_digits_may_be_an_md5() {
        let empty = md5_of(&Bytes::new());
        for tag in [
            "d41d8cd98f00b204e9800998ecf8427e",
            "\"D41D8CD98F00B204E9800998ECF8427E\"",
        ] {
            assert_eq!(md5_of_tag(tag), Some(empty));
        }
        for tag in [
            "",
            "\"5\"",
            "d41d8cd98f00b204e9800998ecf8427e-2",
            "+41d8cd98f00b204e9800998ecf8427e",
        ] {
            assert_eq!(md5_of_tag(tag), None, "{tag}");
        }
    }
}
