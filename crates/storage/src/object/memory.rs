//! A store in the memory of this process that behaves like a bucket.

use std::{collections::BTreeMap, fmt, sync::Arc, time::SystemTime};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    memory::InMemory,
    multipart::{MultipartStore, PartId},
    path::Path,
};
use parking_lot::Mutex;
use uuid::Uuid;

use super::store::{OpenMultipart, PartCopy, Store};

/// A bucket in memory; clones share the content.
///
/// Objects are those of [`InMemory`]. Its multipart uploads, however, complete with whatever parts they have, and cannot
/// be listed; those of a bucket complete with the parts that are named, or not at all.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    objects: InMemory,
    uploads: Arc<Mutex<BTreeMap<MultipartId, Multipart>>>,
}

#[derive(Debug)]
struct Multipart {
    open: OpenMultipart,
    parts: BTreeMap<usize, (PartId, PutPayload)>,
}

impl Memory {
    /// An empty bucket.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many multipart uploads are neither completed nor aborted.
    pub fn open_multipart_count(&self) -> usize {
        self.uploads.lock().len()
    }

    fn add_part(&self, id: &MultipartId, index: usize, bytes: PutPayload) -> Result<PartId> {
        let mut uploads = self.uploads.lock();
        let upload = uploads.get_mut(id).ok_or_else(|| no_upload(id))?;
        let part = PartId {
            content_id: format!("\"{}\"", Uuid::new_v4()),
        };
        upload.parts.insert(index, (part.clone(), bytes));
        Ok(part)
    }
}

#[async_trait]
impl MultipartStore for Memory {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        let id = Uuid::new_v4().to_string();
        let open = OpenMultipart {
            path: path.clone(),
            id: id.clone(),
            begun: SystemTime::now(),
        };
        let parts = BTreeMap::new();
        self.uploads.lock().insert(id.clone(), Multipart { open, parts });
        Ok(id)
    }

    async fn put_part(
        &self,
        _path: &Path,
        id: &MultipartId,
        index: usize,
        bytes: PutPayload,
    ) -> Result<PartId> {
        self.add_part(id, index, bytes)
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        let whole = {
            let uploads = self.uploads.lock();
            let upload = uploads.get(id).ok_or_else(|| no_upload(id))?;
            let mut whole = Vec::new();
            for (index, named) in parts.iter().enumerate() {
                match upload.parts.get(&index) {
                    Some((part, bytes)) if part.content_id == named.content_id => {
                        bytes.iter().for_each(|piece| whole.extend_from_slice(piece));
                    }
                    _ => return Err(invalid_part(index)),
                }
            }
            whole
        };
        let put = self.objects.put(path, whole.into()).await?;
        self.uploads.lock().remove(id);
        Ok(put)
    }

    async fn abort_multipart(&self, _path: &Path, id: &MultipartId) -> Result<()> {
        let removed = self.uploads.lock().remove(id);
        removed.map(drop).ok_or_else(|| no_upload(id))
    }
}

#[async_trait]
impl Store for Memory {
    async fn copy_part(&self, copy: &PartCopy<'_>) -> Result<PartId> {
        let bytes = self.objects.get_range(copy.from, copy.range.clone()).await?;
        self.add_part(copy.id, copy.part, bytes.into())
    }

    async fn open_multiparts(&self, prefix: &Path) -> Result<Vec<OpenMultipart>> {
        let uploads = self.uploads.lock();
        let below = uploads
            .values()
            .filter(|upload| upload.open.path.prefix_matches(prefix));
        Ok(below.map(|upload| upload.open.clone()).collect())
    }

    async fn delete_until(&self, path: &Path, until: SystemTime) -> Result<()> {
        if SystemTime::now() >= until {
            return Err(Error::Precondition {
                path: path.to_string(),
                source: "the request has expired".into(),
            });
        }
        self.objects.delete(path).await
    }
}

#[async_trait]
impl ObjectStore for Memory {
    async fn put_opts(&self, path: &Path, bytes: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.objects.put_opts(path, bytes, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.objects.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.objects.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.objects.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.objects.copy_opts(from, to, options).await
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a bucket in memory")
    }
}

fn no_upload(id: &MultipartId) -> Error {
    Error::NotFound {
        path: id.clone(),
        source: "no such multipart upload".into(),
    }
}

fn invalid_part(index: usize) -> Error {
    Error::Generic {
        store: "memory",
        source: format!("part {index} is not the part that was named").into(),
    }
}
