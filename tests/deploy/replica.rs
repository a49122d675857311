//! A registry on the bucket of a store of the tests.

use wharf_testkit::{Server, ServerBuilder, bucket::BucketStore};

/// The real binary; `endpoint` is the address of the store.
pub(crate) fn on_bucket(endpoint: &str) -> ServerBuilder {
    Server::builder(env!("CARGO_BIN_EXE_wharf"))
        .unchecked()
        .environment("REGISTRY_STORAGE", "s3")
        .environment("REGISTRY_STORAGE_S3_REGIONENDPOINT", endpoint)
        .environment("REGISTRY_STORAGE_S3_BUCKET", BucketStore::BUCKET)
        .environment("REGISTRY_STORAGE_S3_ACCESSKEY", BucketStore::ACCESS_KEY)
        .environment("REGISTRY_STORAGE_S3_SECRETKEY", BucketStore::SECRET_KEY)
}
