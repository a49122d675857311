//! The operations of a store that are tried with each fault, and what tests write with them.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::{TryStreamExt, future::BoxFuture};
use wharf_storage::{
    Condition, Error, ErrorKind, Key, Objects, Put, Removal, Uploads, layout::UploadKey,
    object::ObjectStorage,
};

/// Bytes of a part: the least that stores take.
pub(super) const PART: usize = 5 << 20;

/// An operation of the store, in a directory of its own.
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) prepare: for<'a> fn(&'a ObjectStorage, &'a Key) -> BoxFuture<'a, ()>,
    pub(super) run: for<'a> fn(&'a ObjectStorage, &'a Key) -> BoxFuture<'a, Result<(), Error>>,
}

pub(super) fn operations() -> Vec<Operation> {
    fn nothing<'a>(_: &'a ObjectStorage, _: &'a Key) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
    fn small<'a>(storage: &'a ObjectStorage, directory: &'a Key) -> BoxFuture<'a, ()> {
        Box::pin(async move { write(storage, &below(directory, "object"), &content(1000)).await })
    }
    vec![
        Operation {
            name: "read",
            prepare: small,
            run: |storage, directory| {
                Box::pin(async move {
                    let read = storage.read(&below(directory, "object"), 1 << 20).await?;
                    assert!(
                        read.bytes == content(1000),
                        "the bytes are those that were written"
                    );
                    Ok(())
                })
            },
        },
        Operation {
            name: "stat",
            prepare: small,
            run: |storage, directory| {
                Box::pin(async move {
                    assert_eq!(storage.stat(&below(directory, "object")).await?.size, 1000);
                    Ok(())
                })
            },
        },
        Operation {
            name: "stat-nothing",
            prepare: nothing,
            run: |storage, directory| {
                Box::pin(async move {
                    match storage.stat(&below(directory, "object")).await {
                        Err(error) if error.is_not_found() => Ok(()),
                        other => other.map(drop),
                    }
                })
            },
        },
        Operation {
            name: "publish",
            prepare: nothing,
            run: |storage, directory| {
                Box::pin(async move {
                    let object = below(directory, "object");
                    storage
                        .publish(&[Put::new(object.clone(), content(200_000))])
                        .await?;
                    holds(storage, &object, &content(200_000)).await
                })
            },
        },
        Operation {
            name: "publish-absent",
            prepare: nothing,
            run: |storage, directory| {
                Box::pin(async move {
                    let object = below(directory, "object");
                    let mut put = Put::new(object.clone(), content(200_000));
                    put.condition = Condition::Absent;
                    storage.publish(&[put]).await?;
                    holds(storage, &object, &content(200_000)).await
                })
            },
        },
        Operation {
            name: "publish-matching",
            prepare: small,
            run: |storage, directory| {
                Box::pin(async move {
                    let object = below(directory, "object");
                    let version = storage
                        .stat(&object)
                        .await?
                        .version
                        .expect("buckets have versions");
                    let mut put = Put::new(object.clone(), content(200_000));
                    put.condition = Condition::Matches(version);
                    storage.publish(&[put]).await?;
                    holds(storage, &object, &content(200_000)).await
                })
            },
        },
        Operation {
            name: "rename",
            prepare: small,
            run: |storage, directory| {
                Box::pin(async move {
                    let to = below(directory, "renamed");
                    storage.rename(&removal_in(directory), &to).await?;
                    holds(storage, &below(directory, "renamed"), &content(1000)).await
                })
            },
        },
        Operation {
            name: "remove",
            prepare: small,
            run: |storage, directory| {
                Box::pin(async move {
                    storage.remove(&below(directory, "object"), directory).await?;
                    let found = storage.read(&below(directory, "object"), 1).await;
                    assert!(found.is_err_and(|error| error.is_not_found()));
                    Ok(())
                })
            },
        },
        Operation {
            name: "remove-until",
            prepare: small,
            run: |storage, directory| {
                Box::pin(async move {
                    let until = SystemTime::now() + Duration::from_secs(60);
                    let removal = removal_in(directory);
                    // A request that may still be on its way is not repeated, and its outcome not known.
                    match storage.remove_until(&removal, until).await {
                        Err(error) if error.kind() != ErrorKind::Precondition => return Ok(()),
                        removed => removed?,
                    }
                    let found = storage.read(&removal.key, 1).await;
                    assert!(found.is_err_and(|error| error.is_not_found()));
                    Ok(())
                })
            },
        },
        Operation {
            name: "remove-tree",
            prepare: small,
            run: |storage, directory| Box::pin(async move { storage.remove_tree(directory).await }),
        },
        Operation {
            name: "list",
            prepare: small,
            run: |storage, directory| {
                Box::pin(async move {
                    let page = storage.list(directory, None, 10).await?;
                    assert_eq!(page.entries.len(), 1, "{page:?}");
                    let page = storage.scan(directory, None, 10).await?;
                    assert_eq!(page.objects.len(), 1, "{page:?}");
                    Ok(())
                })
            },
        },
        Operation {
            name: "upload",
            prepare: nothing,
            run: |storage, directory| Box::pin(upload(storage, directory, 200_000, 1)),
        },
        Operation {
            name: "chunked-upload",
            prepare: nothing,
            run: |storage, directory| Box::pin(upload(storage, directory, 300_000, 3)),
        },
        Operation {
            name: "large-upload",
            prepare: nothing,
            run: |storage, directory| Box::pin(upload(storage, directory, PART + 200_000, 1)),
        },
        Operation {
            name: "list-uploads",
            prepare: nothing,
            run: |storage, _| {
                Box::pin(async move {
                    storage
                        .list_uploads()
                        .await?
                        .try_collect::<Vec<_>>()
                        .await
                        .map(drop)
                })
            },
        },
    ]
}

pub(super) fn removal_in(directory: &Key) -> Removal {
    Removal {
        key: below(directory, "object"),
        keep: directory.clone(),
    }
}

/// Sends a blob in `chunks` requests, each to its own opening of the upload, and publishes it.
async fn upload(storage: &ObjectStorage, directory: &Key, size: usize, chunks: usize) -> Result<(), Error> {
    let name = directory.as_str().to_ascii_lowercase();
    let id: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let upload = UploadKey {
        repository: "faults/uploads".parse().expect("a name"),
        id: id.parse().expect("an ID"),
    };
    let blob = content(size);
    storage.create_upload(&upload).await?;
    for (number, chunk) in blob.chunks(size.div_ceil(chunks)).enumerate() {
        let mut open = storage.open_upload(&upload).await?;
        assert_eq!(
            open.size(),
            (number * size.div_ceil(chunks)) as u64,
            "what was acknowledged is there"
        );
        open.write(Bytes::copy_from_slice(chunk)).await?;
        open.suspend().await?;
    }
    let finished = storage.open_upload(&upload).await?.finish(None).await?;
    assert_eq!(finished.size(), size as u64);
    let object = below(directory, "blob");
    finished.publish(&object, &[]).await?;
    holds(storage, &object, &blob).await
}

pub(super) async fn write(storage: &ObjectStorage, key: &Key, content: &Bytes) {
    let put = Put::new(key.clone(), content.clone());
    storage.publish(&[put]).await.expect("the object is written");
}

pub(super) async fn holds(storage: &ObjectStorage, key: &Key, content: &Bytes) -> Result<(), Error> {
    let open = storage.open(key).await?;
    let size = open.stat().size;
    let pieces: Vec<Bytes> = open.stream(0..size).try_collect().await?;
    assert!(pieces.concat() == *content, "`{key}` has other bytes");
    Ok(())
}

/// Bytes that differ from place to place.
pub(super) fn content(size: usize) -> Bytes {
    (0..size)
        .map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[0])
        .collect()
}

pub(super) fn key(text: &str) -> Key {
    Key::new(text.to_owned()).expect("a key")
}

pub(super) fn below(directory: &Key, name: &str) -> Key {
    key(&format!("{directory}/{name}"))
}
