//! Purging unfinished uploads.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use wharf_registry::{Error, Options, Registry};
use wharf_storage::{
    ErrorKind, Operation,
    faulty::{Fault, Faulty},
    object::ObjectStorage,
};

use crate::common::{name, push_blob, registry};

/// Waits a moment, so that earlier uploads are older than an age of zero.
async fn a_moment_later() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// I6: a purge takes what no request has touched for the age, and never what a request holds.
#[tokio::test]
async fn purge_takes_the_untouched_and_spares_the_held() {
    let (registry, _) = registry();
    let app = name("team/app");
    let idle = registry.start_upload(&app).await.unwrap();
    let other = registry.start_upload(&name("team/other")).await.unwrap();
    let held = registry.start_upload(&app).await.unwrap();
    let mut session = registry.open_upload(&app, &held).await.unwrap();
    session.write(Bytes::from_static(b"some ")).await.unwrap();
    a_moment_later().await;

    let hour = Duration::from_secs(3600);
    assert_eq!(registry.abandoned_uploads(hour).await.unwrap(), 0);
    assert_eq!(registry.purge_uploads(hour).await.unwrap(), 0);
    assert_eq!(registry.abandoned_uploads(Duration::ZERO).await.unwrap(), 2);
    assert_eq!(
        registry.upload_size(&app, &idle).await.unwrap(),
        0,
        "it only looked"
    );
    assert_eq!(registry.purge_uploads(Duration::ZERO).await.unwrap(), 2);
    for (repository, gone) in [(&app, &idle), (&name("team/other"), &other)] {
        let error = registry.upload_size(repository, gone).await.unwrap_err();
        assert!(matches!(error, Error::UploadUnknown { .. }), "{error}");
    }
    session.write(Bytes::from_static(b"bytes")).await.unwrap();
    assert_eq!(session.suspend().await.unwrap(), 10);
}

/// An upload that cannot be removed does not keep other uploads; a store that cannot list them is an error.
#[tokio::test]
async fn purge_goes_on_after_a_failure() {
    let faulty = Arc::new(Faulty::new(Arc::new(ObjectStorage::in_memory())));
    let registry = Arc::new(Registry::new(Arc::clone(&faulty) as _, Options::default()));
    let app = name("team/app");
    for _ in 0..3 {
        registry.start_upload(&app).await.unwrap();
    }
    a_moment_later().await;
    faulty.inject(
        Fault::before(ErrorKind::Other)
            .on(Operation::RemoveUpload)
            .times(1),
    );
    assert_eq!(registry.purge_uploads(Duration::ZERO).await.unwrap(), 2);
    assert_eq!(registry.purge_uploads(Duration::ZERO).await.unwrap(), 1);

    faulty.inject(Fault::before(ErrorKind::Other).on(Operation::ListUploads));
    registry.purge_uploads(Duration::ZERO).await.unwrap_err();
    registry.abandoned_uploads(Duration::ZERO).await.unwrap_err();
}

/// A blob that can be read is not told to be durable before its link has been written without a failure.
#[tokio::test]
async fn a_link_that_is_written_again_fails_with_the_store() {
    let faulty = Arc::new(Faulty::new(Arc::new(ObjectStorage::in_memory())));
    let registry = Arc::new(Registry::new(Arc::clone(&faulty) as _, Options::default()));
    let (app, other) = (name("team/app"), name("team/other"));
    let digest = push_blob(&registry, &app, b"content").await;
    faulty.inject(
        Fault::before(ErrorKind::Other)
            .on(Operation::Publish)
            .key("_layers")
            .times(1),
    );
    registry.link_blob_again(&app, &digest).await.unwrap_err();
    let blob = registry.link_blob_again(&app, &digest).await.unwrap().unwrap();
    assert_eq!((blob.digest, blob.size), (digest, 7));
    let elsewhere = registry.link_blob_again(&other, &digest).await.unwrap();
    assert_eq!(elsewhere, None, "only a repository that has the blob");
    registry.blob(&other, &digest).await.unwrap_err();
}
