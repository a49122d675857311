//! A store whose entity tags are hashes of the content, as those of S3 mostly are, for tests.

use std::fmt;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use md5::{Digest as _, Md5};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    multipart::{MultipartStore, PartId},
    path::Path,
};

use super::store::{Abilities, OpenMultipart, PartCopy, Store};

/// A [`Store`] that shows each object with the MD5 of its content as entity tag, instead of what `T` calls it. Objects that
/// came in parts have one as well. Clones share the content.
#[derive(Debug, Clone)]
pub struct Hashed<T>(T);

impl<T: Store> Hashed<T> {
    /// The objects of `inner`.
    pub fn new(inner: T) -> Self {
        Self(inner)
    }

    /// Makes of the entity tag of the object that a condition names the one that `T` has.
    async fn translate(&self, path: &Path, named: &mut Option<String>) {
        if named.is_some()
            && *named == e_tag_of(&self.0, path).await
            && let Ok(meta) = self.0.head(path).await
        {
            *named = meta.e_tag;
        }
    }
}

/// The object with its hash as entity tag. One that is gone meanwhile stays as it was.
async fn hashed(store: &impl ObjectStore, mut meta: ObjectMeta) -> ObjectMeta {
    if let Some(e_tag) = e_tag_of(store, &meta.location).await {
        meta.e_tag = Some(e_tag);
    }
    meta
}

async fn e_tag_of(store: &impl ObjectStore, path: &Path) -> Option<String> {
    let bytes = store.get(path).await.ok()?.bytes().await.ok()?;
    Some(e_tag([&bytes[..]]))
}

fn e_tag<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Md5::new();
    pieces.into_iter().for_each(|piece| hash.update(piece));
    let hash: [u8; 16] = hash.finalize().into();
    format!("\"{:032x}\"", u128::from_be_bytes(hash))
}

#[async_trait]
impl<T: Store + Clone> ObjectStore for Hashed<T> {
    async fn put_opts(&self, path: &Path, bytes: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        if let PutMode::Update(version) = &mut options.mode {
            self.translate(path, &mut version.e_tag).await;
        }
        let e_tag = e_tag(bytes.iter().map(|piece| &piece[..]));
        let mut put = self.0.put_opts(path, bytes, options).await?;
        put.e_tag = Some(e_tag);
        Ok(put)
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, mut options: GetOptions) -> Result<GetResult> {
        self.translate(path, &mut options.if_match).await;
        self.translate(path, &mut options.if_none_match).await;
        let mut got = self.0.get_opts(path, options).await?;
        got.meta = hashed(&self.0, got.meta).await;
        Ok(got)
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let store = self.0.clone();
        let listed = self.0.list(prefix).and_then(move |meta| {
            let store = store.clone();
            async move { Ok(hashed(&store, meta).await) }
        });
        listed.boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

#[async_trait]
impl<T: Store + Clone> MultipartStore for Hashed<T> {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.0.create_multipart(path).await
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        index: usize,
        bytes: PutPayload,
    ) -> Result<PartId> {
        self.0.put_part(path, id, index, bytes).await
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        self.0.complete_multipart(path, id, parts).await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.0.abort_multipart(path, id).await
    }
}

#[async_trait]
impl<T: Store + Clone> Store for Hashed<T> {
    async fn scan(&self, prefix: &Path, after: Option<&Path>, most: usize) -> Result<Vec<ObjectMeta>> {
        let mut found = self.0.scan(prefix, after, most).await?;
        for meta in &mut found {
            *meta = hashed(&self.0, meta.clone()).await;
        }
        Ok(found)
    }

    async fn copy_part(&self, copy: &PartCopy<'_>) -> Result<PartId> {
        self.0.copy_part(copy).await
    }

    async fn open_multiparts(&self, prefix: &Path) -> Result<Vec<OpenMultipart>> {
        self.0.open_multiparts(prefix).await
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            e_tag_is_md5: true,
            ..self.0.abilities()
        }
    }
}

impl<T: fmt::Display> fmt::Display for Hashed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, hashed", self.0)
    }
}
