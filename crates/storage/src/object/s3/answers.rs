//! The XML that a bucket answers with.

use std::time::SystemTime;

use object_store::{Error, ObjectMeta, Result, path::Path};
use serde::{Deserialize, de::DeserializeOwned};

/// A page of a listing.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Listing {
    contents: Vec<Contents>,
    is_truncated: bool,
    pub(super) next_continuation_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Contents {
    key: String,
    size: u64,
    last_modified: String,
    e_tag: Option<String>,
}

/// A page of the multipart uploads that are neither completed nor aborted.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Multiparts {
    #[serde(rename = "Upload")]
    pub(super) uploads: Vec<Multipart>,
    pub(super) is_truncated: bool,
    pub(super) next_key_marker: Option<String>,
    pub(super) next_upload_id_marker: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Multipart {
    pub(super) key: String,
    pub(super) upload_id: String,
    pub(super) initiated: String,
}

/// The answer to the begin of a multipart upload.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Begun {
    pub(super) upload_id: String,
}

/// The answer to a copy into a part.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Copied {
    pub(super) e_tag: String,
}

/// Why the store refuses a request. A copy may also answer this with status 200.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Refusal {
    pub(super) code: String,
    pub(super) message: String,
    /// The region of the bucket, where another one was named
    pub(super) region: Option<String>,
}

/// The objects of a page that a [`Path`] can name, and the first key that none can.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) objects: Vec<ObjectMeta>,
    pub(super) stray: Option<String>,
}

impl Listing {
    /// The token of the next page.
    pub(super) fn next(&self) -> Option<String> {
        self.next_continuation_token.clone().filter(|_| self.is_truncated)
    }

    /// The keys in the order of the page, also those that no path can name.
    pub(super) fn keys(self) -> Vec<String> {
        self.contents.into_iter().map(|object| object.key).collect()
    }

    /// What the page lists, without the keys that no path can name, as `a//b` and `directory/`.
    pub(super) fn named(self) -> Result<Named> {
        let mut named = Named::default();
        for object in self.contents {
            match path_of(&object.key) {
                Some(location) => named.objects.push(ObjectMeta {
                    location,
                    last_modified: time(&object.last_modified)?.into(),
                    size: object.size,
                    e_tag: object.e_tag,
                    version: None,
                }),
                None => named.stray = named.stray.or(Some(object.key)),
            }
        }
        Ok(named)
    }
}

/// The path of exactly this key, if there is one.
pub(super) fn path_of(key: &str) -> Option<Path> {
    Path::parse(key)
        .ok()
        .filter(|path| path.as_ref() == key && !key.is_empty())
}

/// Reads an answer.
pub(super) fn read<T: DeserializeOwned>(xml: &[u8]) -> Result<T> {
    quick_xml::de::from_reader(xml).map_err(|error| broken(&error.to_string()))
}

/// Reads a time, as `2026-01-02T03:04:05.678Z`.
pub(super) fn time(text: &str) -> Result<SystemTime> {
    let time: Result<jiff::Timestamp, _> = text.parse();
    time.map(SystemTime::from)
        .map_err(|_| broken(&format!("`{text}` is no time")))
}

fn broken(reason: &str) -> Error {
    Error::Generic {
        store: "S3",
        source: format!("the answer of the store cannot be read: {reason}").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
        <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><KeyCount>5</KeyCount>
        <Contents><Key>a/x&amp;y</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified><ETag>&quot;e&quot;</ETag>
        <Size>7</Size><StorageClass>STANDARD</StorageClass></Contents>
        <Contents><Key>a//b</Key><LastModified>2026-01-02T03:04:05Z</LastModified><Size>1</Size></Contents>
        <Contents><Key>a/dir/</Key><LastModified>2026-01-02T03:04:05Z</LastModified><Size>0</Size></Contents>
        <Contents><Key>/a</Key><LastModified>2026-01-02T03:04:05Z</LastModified><Size>0</Size></Contents>
        <IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken></ListBucketResult>"#;

    #[test]
    fn keys_that_no_path_can_name_are_left_out() {
        let page: Listing = read(PAGE.as_bytes()).unwrap();
        assert_eq!(page.next().as_deref(), Some("t"));
        let named = page.named().unwrap();
        let [object] = &named.objects[..] else {
            panic!("{named:?}")
        };
        assert_eq!((object.location.as_ref(), object.size), ("a/x&y", 7));
        assert_eq!(object.e_tag.as_deref(), Some("\"e\""));
        assert_eq!(named.stray.as_deref(), Some("a//b"));
    }

    #[test]
    fn a_copy_that_failed_is_no_part() {
        let refusal = b"<Error><Code>InternalError</Code><Message>m</Message></Error>";
        assert!(read::<Copied>(refusal).is_err());
        assert_eq!(read::<Refusal>(refusal).unwrap().code, "InternalError");
        let copied = b"<CopyPartResult><LastModified>x</LastModified><ETag>\"e\"</ETag></CopyPartResult>";
        assert_eq!(read::<Copied>(copied).unwrap().e_tag, "\"e\"");
    }
}
