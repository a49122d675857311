//! The contract on both clouds, and what each of them needs.

mod fake;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::{
    ClientOptions, Error, ObjectStore, ObjectStoreExt, PutMode, UpdateVersion,
    multipart::MultipartStore as _, path::Path,
};

use self::fake::{Dialect, Fake};
use super::{Azure, AzureLogin, AzureSettings, Gcs, GcsLogin, GcsSettings};
use crate::{
    ErrorKind, Key, Objects as _, Storage,
    object::{ObjectStorage, PartCopy, SignedGet, Store, s3::Patience},
};

const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(1),
    answer: Duration::from_secs(5),
    work: Duration::from_secs(5),
    slowest: 64 << 10,
    repeat: Duration::from_secs(5),
    first_wait: Duration::from_millis(1),
    longest_wait: Duration::from_millis(2),
};

fn gcs(fake: &Fake) -> Gcs {
    // A service account has the key with which URLs are signed.
    let account = serde_json::json!({
        "private_key": include_str!("../../elsewhere/key_for_tests.pem"),
        "private_key_id": "1",
        "client_email": "tests@example.com",
    });
    gcs_as(fake, &GcsLogin::ServiceAccount(account.to_string()))
}

fn gcs_as(fake: &Fake, login: &GcsLogin) -> Gcs {
    let settings = GcsSettings {
        bucket: "b".to_owned(),
        user_agent: None,
        endpoint: Some("http://gcs.example".to_owned()),
    };
    let options = ClientOptions::new().with_allow_http(true);
    Gcs::over(&fake.client(), options, &settings, login).unwrap()
}

fn azure(fake: &Fake) -> Azure {
    azure_as(fake, &AzureLogin::Key("a2V5".to_owned()))
}

fn azure_as(fake: &Fake, login: &AzureLogin) -> Azure {
    let settings = AzureSettings {
        account: "a".to_owned(),
        container: "c".to_owned(),
        endpoint: "http://azure.example".to_owned(),
        prefix: "some/where".to_owned(),
        skip_verify: false,
        max_retries: 3,
        retry_delay: PATIENCE.first_wait,
    };
    let options = ClientOptions::new().with_allow_http(true);
    Azure::over(&fake.client(), options, &settings, login).unwrap()
}

fn storage(store: impl Store) -> Arc<dyn Storage> {
    Arc::new(ObjectStorage::new(Arc::new(store), Path::from("some/where")))
}

mod on_google {
    use super::*;

    contract_tests!(async || (storage(gcs(&Fake::new(Dialect::Google))), ()));
}

mod on_azure {
    use super::*;

    contract_tests!(async || (storage(azure(&Fake::new(Dialect::Azure))), ()));
}

/// Both, each with its fake.
fn both() -> [(Fake, Arc<dyn Store>); 2] {
    let (google, microsoft) = (Fake::new(Dialect::Google), Fake::new(Dialect::Azure));
    let stores: [Arc<dyn Store>; 2] = [Arc::new(gcs(&google)), Arc::new(azure(&microsoft))];
    let [first, second] = stores;
    [(google, first), (microsoft, second)]
}

#[tokio::test]
async fn lists_begin_after_the_key_and_leave_out_what_no_path_can_name() {
    for (fake, store) in both() {
        for key in ["d/a", "d/a//b", "d/a-b", "d/a/", "d/b", "d/c", "e/a"] {
            fake.put(key, "x", false);
        }
        for ignores_start in [false, true] {
            fake.content.lock().ignores_start = ignores_start;
            let scan = async |after: Option<&str>, most| {
                let after = after.map(Path::from);
                let found = store.scan(&Path::from("d"), after.as_ref(), most).await.unwrap();
                found
                    .iter()
                    .map(|meta| meta.location.to_string())
                    .collect::<Vec<_>>()
            };
            assert_eq!(scan(None, 9).await, ["d/a", "d/a-b", "d/b", "d/c"], "{store}");
            assert_eq!(scan(None, 2).await, ["d/a", "d/a-b"], "{store}");
            assert_eq!(scan(Some("d/a"), 2).await, ["d/a-b", "d/b"], "{store}");
            assert_eq!(scan(Some("d/aa"), 1).await, ["d/b"], "{store}");
            assert_eq!(scan(Some("d/c"), 9).await, [""; 0], "{store}");
        }
        let all: Vec<_> = store.list(None).try_collect().await.unwrap();
        assert_eq!(all.len(), 5, "{store}");
    }
}

#[tokio::test]
async fn of_writes_under_a_condition_one_wins() {
    for (_, store) in both() {
        let path = Path::from("k");
        let create =
            async |text: &'static str| store.put_opts(&path, text.into(), PutMode::Create.into()).await;
        let first = create("1").await.unwrap();
        assert!(
            matches!(create("2").await, Err(Error::AlreadyExists { .. })),
            "{store}"
        );
        let replace = async |put: &object_store::PutResult, text: &'static str| {
            let version = UpdateVersion {
                e_tag: put.e_tag.clone(),
                version: put.version.clone(),
            };
            store
                .put_opts(&path, text.into(), PutMode::Update(version).into())
                .await
        };
        replace(&first, "3").await.unwrap();
        assert!(
            matches!(replace(&first, "4").await, Err(Error::Precondition { .. })),
            "{store}"
        );
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "3");
    }
}

#[tokio::test]
async fn trouble_is_repeated_unless_a_condition_could_have_taken_effect() {
    for (fake, store) in both() {
        let path = Path::from("k");
        fake.content.lock().faults.extend([Some(500), None, Some(429)]);
        store.put(&path, "1".into()).await.unwrap();
        assert_eq!(fake.asked().len(), 4, "{store}");
        fake.content.lock().faults.extend([Some(503), Some(429)]);
        let other = Path::from("other");
        store
            .put_opts(&other, "1".into(), PutMode::Create.into())
            .await
            .unwrap();
        // The answer got lost: a repeat would find the object, and take it for that of another server.
        fake.content.lock().faults.push_back(None);
        fake.asked();
        let third = Path::from("third");
        let lost = store.put_opts(&third, "1".into(), PutMode::Create.into()).await;
        assert_eq!(fake.asked().len(), 1, "{store}: {lost:?}");
        assert!(
            !matches!(lost, Ok(_) | Err(Error::AlreadyExists { .. })),
            "{store}: {lost:?}"
        );
    }
}

#[tokio::test]
async fn a_store_that_stays_busy_is_unavailable() {
    for (fake, store) in both() {
        let storage = ObjectStorage::new(store, Path::from("some/where"));
        fake.content.lock().faults.extend([Some(503); 9]);
        let error = storage.stat(&Key::new("k").unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert_eq!(fake.asked().len(), 4);
        assert!(error.to_string().contains("4 attempts have failed"), "{error}");
    }
}

#[tokio::test]
async fn a_multipart_upload_consists_of_the_parts_that_are_named() {
    for (_, store) in both() {
        let path = Path::from("k");
        let id = store.create_multipart(&path).await.unwrap();
        let first = store.put_part(&path, &id, 0, "12".into()).await.unwrap();
        let second = store.put_part(&path, &id, 1, "34".into()).await.unwrap();
        let late = store.put_part(&path, &id, 1, "xy".into()).await.unwrap();
        let parts = vec![first.clone(), late];
        store.complete_multipart(&path, &id, parts).await.unwrap();
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "12xy");
        store
            .complete_multipart(&path, &id, vec![first, second])
            .await
            .unwrap_err();
    }
}

#[tokio::test]
async fn azure_copies_into_parts_and_google_does_not() {
    let [(_, google), (fake, microsoft)] = both();
    let (from, to) = (Path::from("from"), Path::from("some/to"));
    let copy = |id, range, part| PartCopy {
        from: &from,
        range,
        to: &to,
        id,
        part,
    };
    let id = "1".to_owned();
    let unsupported = google.copy_part(&copy(&id, 0..1, 0)).await;
    assert!(matches!(unsupported, Err(Error::NotSupported { .. })));
    fake.put("from", "0123456789", false);
    let id = microsoft.create_multipart(&to).await.unwrap();
    let parts = vec![
        microsoft.copy_part(&copy(&id, 2..5, 0)).await.unwrap(),
        microsoft.copy_part(&copy(&id, 5..10, 1)).await.unwrap(),
    ];
    microsoft.complete_multipart(&to, &id, parts).await.unwrap();
    assert_eq!(fake.get("some/to").unwrap().0, "23456789");
    let headers = fake.content.lock().headers.clone();
    let copied = headers
        .iter()
        .find(|headers| headers.contains_key("x-ms-source-range"))
        .unwrap();
    let source = copied["x-ms-copy-source"].to_str().unwrap();
    assert!(
        source.starts_with("http://azure.example/c/from?") && source.contains("sig="),
        "{source}"
    );
    assert_eq!(copied["x-ms-source-range"], "bytes=2-4");
}

#[tokio::test]
async fn an_append_blob_with_the_same_bytes_is_never_removed() {
    let fake = Fake::new(Dialect::Azure);
    let store = azure(&fake);
    fake.put("k", "same", true);
    fake.put("from", "same", false);
    let path = Path::from("k");
    store.put(&path, "same".into()).await.unwrap();
    store.copy(&Path::from("from"), &path).await.unwrap();
    let id = store.create_multipart(&path).await.unwrap();
    let part = store.put_part(&path, &id, 0, "same".into()).await.unwrap();
    store.complete_multipart(&path, &id, vec![part]).await.unwrap();
    assert_eq!(fake.get("k"), Some(("same".to_owned(), true)));
    let removed: Vec<_> = fake
        .asked()
        .into_iter()
        .filter(|asked| asked == "DELETE c/k")
        .collect();
    assert_eq!(removed, [""; 0]);
    // What was gathered beside is gone.
    assert_eq!(fake.content.lock().objects.len(), 2);
}

#[tokio::test]
async fn an_append_blob_with_other_bytes_is_replaced() {
    let fake = Fake::new(Dialect::Azure);
    let store = azure(&fake);
    let path = Path::from("k");
    fake.put("from", "copied", false);
    for damaged in ["other", "same length"] {
        fake.put("k", damaged, true);
        store.put(&path, "put".into()).await.unwrap();
        assert_eq!(fake.get("k"), Some(("put".to_owned(), false)));
        fake.put("k", damaged, true);
        store.copy(&Path::from("from"), &path).await.unwrap();
        assert_eq!(fake.get("k"), Some(("copied".to_owned(), false)));
        fake.put("k", damaged, true);
        let id = store.create_multipart(&path).await.unwrap();
        let parts = vec![
            store.put_part(&path, &id, 0, "same ".into()).await.unwrap(),
            store.put_part(&path, &id, 1, "lengtH".into()).await.unwrap(),
        ];
        // Until it is completed, the old one stays.
        assert_eq!(fake.get("k"), Some((damaged.to_owned(), true)));
        let gathered = fake
            .asked()
            .into_iter()
            .filter(|asked| asked.contains("comp=block&"));
        assert!(gathered.count() == 2);
        store.complete_multipart(&path, &id, parts).await.unwrap();
        assert_eq!(fake.get("k"), Some(("same lengtH".to_owned(), false)));
    }
    assert_eq!(fake.content.lock().objects.len(), 2);
}

/// Two servers replace an append blob at once: the removal of the later one must not hit what the earlier one has written.
#[tokio::test]
async fn what_another_server_has_put_in_the_place_of_an_append_blob_is_not_removed() {
    let fake = Fake::new(Dialect::Azure);
    let store = azure(&fake);
    fake.put("other", "theirs", false);
    let theirs = fake.content.lock().objects["other"].clone();
    fake.put("k", "old", true);
    fake.content.lock().before_removal = Some(("k".to_owned(), theirs));
    fake.asked();
    store.put(&Path::from("k"), "ours".into()).await.unwrap();
    assert_eq!(fake.asked(), ["PUT c/k", "GET c/k", "DELETE c/k", "PUT c/k"]);
    // It was written over, in one step, as any other object.
    assert_eq!(fake.get("k"), Some(("ours".to_owned(), false)));
}

#[tokio::test]
async fn two_multipart_uploads_at_one_key_of_azure_end_with_one_blob() {
    let fake = Fake::new(Dialect::Azure);
    let store = azure(&fake);
    let path = Path::from("k");
    let (one, other) = (
        store.create_multipart(&path).await.unwrap(),
        store.create_multipart(&path).await.unwrap(),
    );
    let of_one = store.put_part(&path, &one, 0, "1".into()).await.unwrap();
    let of_other = store.put_part(&path, &other, 0, "2".into()).await.unwrap();
    store.complete_multipart(&path, &one, vec![of_one]).await.unwrap();
    store
        .complete_multipart(&path, &other, vec![of_other])
        .await
        .unwrap_err();
    assert_eq!(fake.get("k"), Some(("1".to_owned(), false)));
}

#[tokio::test]
async fn urls_for_clients_are_signed_where_there_is_a_key() {
    let get = SignedGet {
        path: &Path::from("some/k"),
        ttl: Duration::from_secs(60),
    };
    let [(_, google), (_, microsoft)] = both();
    let url = google.sign(&get).await.unwrap().unwrap();
    assert!(
        url.starts_with("http://gcs.example/b/some/k?X-Goog-Algorithm"),
        "{url}"
    );
    let without_key = gcs_as(&Fake::new(Dialect::Google), &GcsLogin::None);
    assert_eq!(without_key.sign(&get).await.unwrap(), None);
    let until = SystemTime::now() + Duration::from_secs(60);
    let removed = without_key.delete_until(get.path, until).await;
    assert!(matches!(removed, Err(Error::NotSupported { .. })), "{removed:?}");
    let url = microsoft.sign(&get).await.unwrap().unwrap();
    assert!(
        url.starts_with("http://azure.example/c/some/k?") && url.contains("sp=r"),
        "{url}"
    );
}

#[tokio::test]
async fn an_application_needs_no_right_to_sign() {
    let fake = Fake::new(Dialect::Azure);
    let login = AzureLogin::Client {
        id: "i".to_owned(),
        tenant: "t".to_owned(),
        secret: "s".to_owned(),
        authority: Some("http://azure.example/login".to_owned()),
    };
    let store = azure_as(&fake, &login);
    fake.put("from", "x", false);
    store.copy(&Path::from("from"), &Path::from("to")).await.unwrap();
    assert_eq!(fake.get("to").unwrap().0, "x");
    let headers = fake.content.lock().headers.clone();
    let copied = headers.last().unwrap();
    assert_eq!(copied["x-ms-copy-source"], "http://azure.example/c/from");
    assert_eq!(copied["x-ms-copy-source-authorization"], "Bearer t");
    let get = SignedGet {
        path: &Path::from("to"),
        ttl: Duration::from_secs(60),
    };
    assert_eq!(store.sign(&get).await.unwrap(), None);
}

#[tokio::test]
async fn the_start_says_what_is_wrong() {
    let fake = Fake::new(Dialect::Google);
    gcs(&fake).check().await.unwrap();
    fake.content.lock().faults.push_back(Some(404));
    let reason = gcs(&fake).check().await.unwrap_err();
    assert!(
        reason.contains("`storage.gcs.bucket` \"b\": http://gcs.example/b answers 404"),
        "{reason}"
    );
    let fake = Fake::new(Dialect::Azure);
    azure(&fake).check().await.unwrap();
    fake.content.lock().is_hierarchical = true;
    let reason = azure(&fake).check().await.unwrap_err();
    assert!(
        reason.contains("`storage.azure.container` \"c\": the account has a hierarchical namespace"),
        "{reason}"
    );
}

#[tokio::test]
async fn an_append_blob_that_is_pushed_again_stays_readable_through_the_engine() {
    let fake = Fake::new(Dialect::Azure);
    let storage = storage(azure(&fake));
    fake.put("some/where/k", "content", true);
    let key = Key::new("k").unwrap();
    let puts = [crate::Put::new(key.clone(), Bytes::from_static(b"content"))];
    storage.publish(&puts).await.unwrap();
    assert_eq!(storage.read(&key, 100).await.unwrap().bytes, "content");
    assert!(fake.get("some/where/k").unwrap().1);
}
