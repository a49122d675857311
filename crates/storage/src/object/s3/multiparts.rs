//! What `object_store` does not have of multipart uploads: a copy into a part, and the list of those that are open.

use http::{HeaderMap, Method};
use object_store::{Result, multipart::PartId, path::Path};

use super::{
    answers::{self, Copied, Multiparts},
    headers,
    requests::{self, Request, Requests},
};
use crate::object::store::{OpenMultipart, PartCopy};

/// Copies bytes of an object of the bucket into a part.
pub(super) async fn copy_part(requests: &Requests, bucket: &str, copy: &PartCopy<'_>) -> Result<PartId> {
    let source = format!("{}/{}", bucket, requests::encoded(copy.from.as_ref()));
    let range = format!("bytes={}-{}", copy.range.start, copy.range.end.saturating_sub(1));
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-copy-source", headers::value(&source)?);
    headers.insert("x-amz-copy-source-range", headers::value(&range)?);
    let number = (copy.part + 1).to_string();
    let request = Request {
        method: Method::PUT,
        key: copy.to.as_ref(),
        query: &[("partNumber", &number), ("uploadId", copy.id)],
        headers,
    };
    let body = requests.send(&request).await?;
    let copied: Copied = answers::read(&body)?;
    Ok(PartId {
        content_id: copied.e_tag,
    })
}

/// The multipart uploads at the key `prefix`, or below the directory `prefix`. One may stand at the key itself, so the store is
/// asked without the slash.
pub(super) async fn open(requests: &Requests, prefix: &Path) -> Result<Vec<OpenMultipart>> {
    let beginning = prefix.to_string();
    let (mut key, mut id) = (String::new(), String::new());
    let mut open = Vec::new();
    loop {
        let mut query = vec![("prefix", beginning.as_str()), ("uploads", "")];
        if !key.is_empty() {
            query.push(("key-marker", &key));
            query.push(("upload-id-marker", &id));
        }
        let request = Request {
            method: Method::GET,
            key: "",
            query: &query,
            headers: HeaderMap::new(),
        };
        let page: Multiparts = answers::read(&requests.send(&request).await?)?;
        for upload in page.uploads {
            if let Some(path) = answers::path_of(&upload.key).filter(|path| path.prefix_matches(prefix)) {
                open.push(OpenMultipart {
                    path,
                    id: upload.upload_id,
                    begun: answers::time(&upload.initiated)?,
                });
            }
        }
        let next = page.next_key_marker.unwrap_or_default();
        let next_id = page.next_upload_id_marker.unwrap_or_default();
        // A store that does not move on would be asked forever.
        if !page.is_truncated || next.is_empty() || (&next, &next_id) == (&key, &id) {
            return Ok(open);
        }
        (key, id) = (next, next_id);
    }
}
