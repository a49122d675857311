//! What a store needs to know of an object's state in order to replace that state and no other.

use std::{sync::Arc, time::SystemTime};

use md5::{Digest as _, Md5};

/// The state of one object or directory at one moment, as its store names it.
///
/// Equal versions of one key mean equal content. [`Condition::Matches`](crate::Condition::Matches) takes a version
/// back to the store that gave it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version(Mark);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Mark {
    File(FileMark),
    Object(Arc<ObjectMark>),
}

/// The state of a file: inode, size, time of the last change of its content, time of its last change at all.
pub(crate) type FileMark = [u64; 4];

/// The state of an object in a bucket.
///
/// Size and time are part of it because on S3 an entity tag is an MD5, of which two contents could be made to agree.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct ObjectMark {
    /// The strong entity tag, as the store wrote it
    pub(crate) e_tag: String,
    /// The number of the version, where the store keeps several of one key
    pub(crate) version: Option<String>,
    /// Size in bytes
    pub(crate) size: u64,
    /// When the object was written
    pub(crate) modified: SystemTime,
}

/// What many buckets tell of the content of an object without being asked to read it: its size and its MD5.
///
/// Two contents with one fingerprint are the same content, as long as neither was made for a collision of MD5; the text of
/// a digest cannot be. That an object has another fingerprint than a content says nothing: the entity tag of an encrypted
/// object, or of one that came in parts, may only look like an MD5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    md5: [u8; 16],
    size: u64,
}

impl Fingerprint {
    /// The fingerprint of `content`.
    pub fn of(content: &[u8]) -> Self {
        Self {
            md5: Md5::digest(content).into(),
            size: content.len() as u64,
        }
    }
}

impl Version {
    /// The fingerprint of the object, if its store told one.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        let mark = self.as_object()?;
        let hex = mark.e_tag.trim_matches('"');
        if hex.len() != 32 || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let md5 = u128::from_str_radix(hex, 16).ok()?.to_be_bytes();
        Some(Fingerprint { md5, size: mark.size })
    }

    /// Whether what was of either version is the same content, unless that was made for a collision of MD5.
    ///
    /// The rest of two versions of an object may differ: one that is written again with its content has another time, which a
    /// [conditional read](crate::Objects::read_unless) does not tell, because it goes by the entity tag; and a versioned bucket
    /// numbers its versions in the answer to a GET, but not in a listing.
    pub fn has_content_of(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Mark::Object(one), Mark::Object(other)) => one.e_tag == other.e_tag && one.size == other.size,
            (one, other) => one == other,
        }
    }

    pub(crate) fn file(mark: FileMark) -> Self {
        Self(Mark::File(mark))
    }

    pub(crate) fn object(mark: ObjectMark) -> Self {
        Self(Mark::Object(Arc::new(mark)))
    }

    /// `None` for a version that a bucket gave.
    pub(crate) fn as_file(&self) -> Option<FileMark> {
        match self.0 {
            Mark::File(mark) => Some(mark),
            Mark::Object(_) => None,
        }
    }

    /// `None` for a version that a file system gave.
    pub(crate) fn as_object(&self) -> Option<&ObjectMark> {
        match &self.0 {
            Mark::File(_) => None,
            Mark::Object(mark) => Some(mark),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(e_tag: &str, size: u64) -> Version {
        Version::object(ObjectMark {
            e_tag: e_tag.to_owned(),
            version: None,
            size,
            modified: SystemTime::UNIX_EPOCH,
        })
    }

    #[test]
    fn an_entity_tag_is_a_fingerprint_if_it_can_be_an_md5() {
        let abc = Fingerprint::of(b"abc");
        let md5 = "900150983cd24fb0d6963f7d28e17f72";
        for e_tag in [format!("\"{md5}\""), md5.to_owned(), md5.to_uppercase()] {
            assert_eq!(version(&e_tag, 3).fingerprint(), Some(abc), "{e_tag}");
            assert_ne!(version(&e_tag, 4).fingerprint(), Some(abc), "another size");
        }
        for e_tag in [
            "\"0\"",
            "",
            "\"900150983cd24fb0d6963f7d28e17f72-2\"",
            "+00150983cd24fb0d6963f7d28e17f72",
        ] {
            assert_eq!(version(e_tag, 3).fingerprint(), None, "{e_tag}");
        }
        assert_eq!(Version::file([0; 4]).fingerprint(), None);
    }
}
