//! Flat lists of a bucket, page by page, without the keys that no path can name.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use http::{HeaderMap, HeaderValue, Method};
use object_store::{Error, ObjectMeta, Result, path::Path};
use serde::Deserialize;

use super::requests::{Identity, Request, Requests, failed, read};

/// Objects in one page of a listing.
const PAGE: usize = 1000;

/// The version of Azure's protocol that can begin a list at a name.
const AZURE_VERSION: &str = "2026-02-06";

/// Lists objects.
#[derive(Debug, Clone)]
pub(super) struct Lists {
    pub(super) requests: Arc<Requests>,
    /// A key that no path can name was reported.
    has_warned: Arc<AtomicBool>,
}

/// A page of a listing.
#[derive(Debug)]
struct Page {
    objects: Vec<Listed>,
    next: Option<String>,
}

#[derive(Debug)]
struct Listed {
    key: String,
    size: u64,
    modified: SystemTime,
    e_tag: Option<String>,
    /// The generation of Google, which answers to reads have as well: of one object both must tell the same version
    version: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GooglePage {
    #[serde(default)]
    contents: Vec<GoogleObject>,
    next_continuation_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GoogleObject {
    key: String,
    size: u64,
    last_modified: String,
    #[serde(rename = "ETag")]
    e_tag: Option<String>,
    generation: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AzurePage {
    blobs: AzureBlobs,
    next_marker: Option<String>,
}

#[derive(Debug, Deserialize)]
struct AzureBlobs {
    #[serde(rename = "Blob", default)]
    blobs: Vec<AzureBlob>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AzureBlob {
    name: String,
    properties: AzureProperties,
}

#[derive(Debug, Deserialize)]
struct AzureProperties {
    #[serde(rename = "Last-Modified")]
    last_modified: String,
    #[serde(rename = "Content-Length")]
    content_length: u64,
    #[serde(rename = "Etag")]
    e_tag: Option<String>,
}

impl Lists {
    pub(super) fn new(requests: Arc<Requests>) -> Self {
        Self {
            requests,
            has_warned: Arc::default(),
        }
    }

    /// The objects below the directory `prefix` whose keys are greater than `after`, in pages of `most`.
    pub(super) fn objects(
        &self,
        prefix: Option<&Path>,
        after: Option<&Path>,
        most: usize,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let lists = self.clone();
        let prefix = match prefix {
            Some(prefix) if !prefix.is_root() => format!("{prefix}/"),
            _ => String::new(),
        };
        let after = after.map(ToString::to_string);
        let most = most.clamp(1, PAGE);
        // `None` instead of a token: there are no more.
        stream::try_unfold(Some(None::<String>), move |token| {
            let (lists, prefix, after) = (lists.clone(), prefix.clone(), after.clone());
            async move {
                let Some(token) = token else {
                    return Ok::<_, Error>(None);
                };
                let page = lists
                    .page(&prefix, after.as_deref(), token.as_deref(), most)
                    .await?;
                let objects = lists.named(page.objects, after.as_deref());
                let objects = stream::iter(objects.into_iter().map(Ok::<_, Error>));
                Ok(Some((objects, page.next.map(Some))))
            }
        })
        .try_flatten()
        .boxed()
    }

    async fn page(
        &self,
        prefix: &str,
        after: Option<&str>,
        token: Option<&str>,
        most: usize,
    ) -> Result<Page> {
        let most = most.to_string();
        let mut headers = HeaderMap::new();
        let mut query = match &self.requests.identity {
            Identity::Google(_) => vec![("list-type", "2"), ("max-keys", most.as_str())],
            Identity::Azure { .. } => {
                headers.insert("x-ms-version", HeaderValue::from_static(AZURE_VERSION));
                vec![
                    ("restype", "container"),
                    ("comp", "list"),
                    ("maxresults", most.as_str()),
                ]
            }
        };
        query.push(("prefix", prefix));
        match (&self.requests.identity, token, after) {
            (Identity::Google(_), Some(token), _) => query.push(("continuation-token", token)),
            (Identity::Google(_), None, Some(after)) => query.push(("start-after", after)),
            (Identity::Azure { .. }, Some(token), _) => query.push(("marker", token)),
            (Identity::Azure { .. }, None, Some(after)) => query.push(("startFrom", after)),
            (_, None, None) => {}
        }
        let request = Request {
            method: Method::GET,
            key: "",
            query: &query,
            headers,
        };
        let answer = self.requests.send(&request).await?;
        match &self.requests.identity {
            Identity::Google(_) => google(&answer.body),
            Identity::Azure { .. } => azure(&answer.body),
        }
    }

    /// What a path can name, after the key `after`: Azure begins with it, and an older version of it, or an emulator, begins with
    /// the first key of all.
    fn named(&self, objects: Vec<Listed>, after: Option<&str>) -> Vec<ObjectMeta> {
        let mut named = Vec::with_capacity(objects.len());
        for object in objects {
            if after.is_some_and(|after| object.key.as_str() <= after) {
                continue;
            }
            match Path::parse(&object.key) {
                Ok(location) if location.as_ref() == object.key && !object.key.is_empty() => {
                    named.push(ObjectMeta {
                        location,
                        last_modified: object.modified.into(),
                        size: object.size,
                        e_tag: object.e_tag,
                        version: object.version,
                    });
                }
                _ if !self.has_warned.swap(true, Ordering::Relaxed) => tracing::warn!(
                    key = object.key,
                    "the bucket has a key that no registry writes; listings leave out such keys"
                ),
                _ => {}
            }
        }
        named
    }
}

fn google(xml: &[u8]) -> Result<Page> {
    let page: GooglePage = read(xml)?;
    let objects = page.contents.into_iter().map(|object| {
        let modified: jiff::Timestamp = object.last_modified.parse().map_err(failed)?;
        Ok(Listed {
            key: object.key,
            size: object.size,
            modified: modified.into(),
            e_tag: object.e_tag,
            version: object.generation,
        })
    });
    Ok(Page {
        objects: objects.collect::<Result<_>>()?,
        next: page.next_continuation_token.filter(|token| !token.is_empty()),
    })
}

fn azure(xml: &[u8]) -> Result<Page> {
    let page: AzurePage = read(xml)?;
    let objects = page.blobs.blobs.into_iter().map(|blob| {
        let properties = blob.properties;
        let modified = jiff::fmt::rfc2822::parse(&properties.last_modified).map_err(failed)?;
        Ok(Listed {
            key: blob.name,
            size: properties.content_length,
            modified: modified.timestamp().into(),
            // In the head of an answer it is in quotes.
            e_tag: properties.e_tag.map(quoted),
            version: None,
        })
    });
    Ok(Page {
        objects: objects.collect::<Result<_>>()?,
        next: page.next_marker.filter(|token| !token.is_empty()),
    })
}

fn quoted(e_tag: String) -> String {
    match e_tag.starts_with('"') {
        true => e_tag,
        false => format!("\"{e_tag}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_google_is_read() {
        let page = google(
            br#"<?xml version='1.0' encoding='UTF-8'?><ListBucketResult xmlns="http://doc.s3.amazonaws.com/2006-03-01">
            <Name>b</Name><Prefix/><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>
            <Contents><Key>a/b&amp;c</Key><Generation>1</Generation><MetaGeneration>1</MetaGeneration>
            <LastModified>2026-01-02T03:04:05.678Z</LastModified><ETag>"e"</ETag><Size>7</Size></Contents></ListBucketResult>"#,
        )
        .unwrap();
        assert_eq!(page.next.as_deref(), Some("t"));
        let [object] = &page.objects[..] else {
            panic!("{page:?}")
        };
        assert_eq!((object.key.as_str(), object.size), ("a/b&c", 7));
        assert_eq!(object.e_tag.as_deref(), Some("\"e\""));
        assert_eq!(object.version.as_deref(), Some("1"));
        assert!(google(b"<ListBucketResult/>").unwrap().objects.is_empty());
    }

    #[test]
    fn a_page_of_azure_is_read_with_its_byte_order_mark() {
        let page = azure(
            "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ServiceEndpoint=\"https://a/\" ContainerName=\"c\">
            <Prefix>a</Prefix><Blobs><Blob><Name>a/b</Name><Properties><Creation-Time>x</Creation-Time>
            <Last-Modified>Fri, 02 Jan 2026 03:04:05 GMT</Last-Modified><Etag>0x8D</Etag><Content-Length>7</Content-Length>
            <BlobType>AppendBlob</BlobType></Properties></Blob></Blobs><NextMarker /></EnumerationResults>"
                .as_bytes(),
        )
        .unwrap();
        assert_eq!(page.next, None);
        let [object] = &page.objects[..] else {
            panic!("{page:?}")
        };
        assert_eq!((object.key.as_str(), object.size), ("a/b", 7));
        assert_eq!(object.e_tag.as_deref(), Some("\"0x8D\""));
        assert!(
            azure(b"<EnumerationResults><Blobs/></EnumerationResults>")
                .unwrap()
                .objects
                .is_empty()
        );
    }
}
