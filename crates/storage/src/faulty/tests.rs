//! The wrapper does what it was told and nothing else, and what is written in order never dangles.

use std::collections::BTreeMap;

use proptest::prelude::*;
use wharf_oci::{RepoName, Tag};

use super::*;
use crate::{layout, object::ObjectStorage};

mod contract_without_faults {
    use super::*;

    contract_tests!(async || (Arc::new(faulty()) as Arc<dyn Storage>, ()));
}

fn faulty() -> Faulty {
    Faulty::new(Arc::new(ObjectStorage::in_memory()))
}

fn key(path: &str) -> Key {
    Key::new(path).unwrap()
}

fn put(path: &str, content: &'static str) -> Put {
    Put::new(key(path), Bytes::from_static(content.as_bytes()))
}

fn upload_key() -> UploadKey {
    UploadKey {
        repository: "library/alpine".parse().unwrap(),
        id: "u".parse().unwrap(),
    }
}

async fn content(storage: &Faulty, path: &str) -> Option<Bytes> {
    match storage.inner().read(&key(path), 1_000_000).await {
        Ok(object) => Some(object.bytes),
        Err(error) if error.is_not_found() => None,
        Err(error) => panic!("{error}"),
    }
}

/// On a bucket, what does not wait for the put that fails takes effect all the same.
#[tokio::test]
async fn a_publish_in_steps_loses_what_waits_for_the_put_that_fails() {
    let mut puts = Puts::default();
    for (step, path) in [(0, "bytes"), (1, "h1"), (2, "t1"), (1, "h2"), (2, "t2")] {
        puts.add(step, put(path, "1"));
    }
    for (fault, at, expected) in [
        (Fault::before(ErrorKind::Other), "h1", "bytes h2"),
        (Fault::after_effect(ErrorKind::Other), "h1", "bytes h1 h2"),
        (Fault::before(ErrorKind::Other), "t1", "bytes h1 h2 t2"),
    ] {
        let storage = faulty();
        storage.inject(fault.on(Operation::Publish).key(at));
        storage.publish_all(&puts).await.unwrap_err();
        let mut found = Vec::new();
        for path in ["bytes", "h1", "t1", "h2", "t2"] {
            if content(&storage, path).await.is_some() {
                found.push(path);
            }
        }
        assert_eq!(found.join(" "), expected, "{at}");
    }
}

#[tokio::test]
async fn a_publish_stops_where_the_fault_strikes() {
    for (fault, expected) in [
        (Fault::before(ErrorKind::NoSpace), [true, false, false]),
        (Fault::after_effect(ErrorKind::NoSpace), [true, true, false]),
    ] {
        let storage = faulty();
        storage.inject(fault.on(Operation::Publish).key("b"));
        let error = storage
            .publish(&[put("x/a", "1"), put("x/b", "2"), put("x/c", "3")])
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        for (path, expected) in ["x/a", "x/b", "x/c"].into_iter().zip(expected) {
            assert_eq!(content(&storage, path).await.is_some(), expected, "{path}");
        }
        assert_eq!(storage.struck(), 1);
    }
}

#[tokio::test]
async fn a_rule_waits_for_its_turn_and_runs_out() {
    let storage = faulty();
    storage.inject(
        Fault::before(ErrorKind::Other)
            .on(Operation::Stat)
            .key("a")
            .after(2)
            .times(2),
    );
    storage.publish(&[put("a", "1"), put("b", "2")]).await.unwrap();
    let mut outcomes = Vec::new();
    for _ in 0..6 {
        assert!(storage.stat(&key("b")).await.is_ok(), "another key");
        assert!(storage.read(&key("a"), 10).await.is_ok(), "another operation");
        outcomes.push(storage.stat(&key("a")).await.is_ok());
    }
    assert_eq!(outcomes, [true, true, false, false, true, true]);
}

#[tokio::test]
async fn a_full_disk_can_be_read_and_cleaned() {
    let storage = faulty();
    storage.publish(&[put("a", "1"), put("b", "2")]).await.unwrap();
    storage.create_upload(&upload_key()).await.unwrap();
    let mut held = storage.open_upload(&upload_key()).await.unwrap();
    storage.inject(Fault::disk_full());
    assert_eq!(
        storage.publish(&[put("c", "3")]).await.unwrap_err().kind(),
        ErrorKind::NoSpace
    );
    assert_eq!(
        held.write(Bytes::from_static(b"x")).await.unwrap_err().kind(),
        ErrorKind::NoSpace
    );
    held.discard().await.unwrap();
    storage.remove(&key("a"), &key("keep")).await.unwrap();
    assert_eq!(storage.read(&key("b"), 10).await.unwrap().bytes, "2");

    storage.heal();
    storage.inject(Fault::read_only());
    assert_eq!(
        storage.remove(&key("b"), &key("keep")).await.unwrap_err().kind(),
        ErrorKind::ReadOnly
    );
    assert_eq!(storage.read(&key("b"), 10).await.unwrap().bytes, "2");

    storage.heal();
    storage.inject(Fault::permission_denied());
    assert_eq!(
        storage.read(&key("b"), 10).await.unwrap_err().kind(),
        ErrorKind::PermissionDenied
    );
    storage.heal();
    storage.publish(&[put("c", "3")]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_waited_for() {
    let storage = faulty();
    storage.publish(&[put("a", "1")]).await.unwrap();
    storage.inject(
        Fault::delay(Duration::from_secs(3600))
            .on(Operation::Read)
            .times(1),
    );
    let start = tokio::time::Instant::now();
    assert_eq!(storage.read(&key("a"), 10).await.unwrap().bytes, "1");
    assert_eq!(
        start.elapsed().as_secs(),
        3600,
        "on a clock that only this test moves"
    );
}

#[tokio::test]
async fn a_stream_fails_at_its_start_or_half_way() {
    let storage = faulty();
    storage
        .publish(&[Put::new(key("a"), vec![1; 1000])])
        .await
        .unwrap();
    for (fault, expected) in [
        (Fault::before(ErrorKind::Other), 0),
        (Fault::after_effect(ErrorKind::Damaged), 350),
    ] {
        storage.heal();
        storage.inject(fault.on(Operation::Stream));
        let mut stream = storage.open(&key("a")).await.unwrap().stream(100..800);
        let mut sent = 0;
        let mut failures = 0;
        while let Some(piece) = stream.next().await {
            match piece {
                Ok(piece) => sent += piece.len(),
                Err(_) => failures += 1,
            }
        }
        assert_eq!((sent, failures), (expected, 1));
    }
}

#[tokio::test]
async fn an_upload_outlives_each_failure() {
    let failures = [
        Operation::Write,
        Operation::Suspend,
        Operation::Finish,
        Operation::PublishBlob,
        Operation::Discard,
    ];
    for operation in failures {
        let storage = faulty();
        storage.create_upload(&upload_key()).await.unwrap();
        let mut held = storage.open_upload(&upload_key()).await.unwrap();
        held.write(Bytes::from_static(b"kept")).await.unwrap();
        storage.inject(Fault::before(ErrorKind::Other).on(operation));
        let failed = match operation {
            Operation::Write => {
                let failed = held.write(Bytes::from_static(b"lost")).await.is_err();
                drop(held);
                failed
            }
            Operation::Suspend => held.suspend().await.is_err(),
            Operation::Finish => held.finish(None).await.is_err(),
            Operation::Discard => held.discard().await.is_err(),
            _ => held
                .finish(None)
                .await
                .unwrap()
                .publish(&key("blob"), &[])
                .await
                .is_err(),
        };
        assert!(failed, "{operation}");
        storage.heal();
        let held = loop {
            match storage.open_upload(&upload_key()).await {
                Err(error) if error.kind() == ErrorKind::Busy => tokio::task::yield_now().await,
                held => break held.unwrap(),
            }
        };
        held.finish(None)
            .await
            .unwrap()
            .publish(&key("blob"), &[])
            .await
            .unwrap();
        assert_eq!(content(&storage, "blob").await.unwrap(), "kept", "{operation}");
    }
}

#[tokio::test]
async fn links_of_a_blob_are_struck_one_by_one() {
    let storage = faulty();
    storage.create_upload(&upload_key()).await.unwrap();
    let finished = storage
        .open_upload(&upload_key())
        .await
        .unwrap()
        .finish(None)
        .await
        .unwrap();
    storage.inject(
        Fault::before(ErrorKind::NoSpace)
            .on(Operation::Publish)
            .key("second"),
    );
    let error = finished
        .publish(&key("blob"), &[put("first", "1"), put("second", "2")])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    assert!(content(&storage, "blob").await.is_some());
    assert!(content(&storage, "first").await.is_some());
    assert!(content(&storage, "second").await.is_none());
}

#[tokio::test]
async fn the_same_seed_strikes_the_same_calls() {
    let outcomes = async |seed| {
        let storage = faulty();
        storage.publish(&[put("a", "1")]).await.unwrap();
        storage.inject_randomly(seed, 300);
        let mut outcomes = Vec::new();
        for _ in 0..200 {
            outcomes.push(storage.stat(&key("a")).await.is_ok());
        }
        outcomes
    };
    let first = outcomes(7).await;
    assert_eq!(first, outcomes(7).await);
    assert_ne!(first, outcomes(8).await);
    let struck = first.iter().filter(|ok| !**ok).count();
    assert!((30..90).contains(&struck), "{struck} of 200 at 300 per mille");
}

// A registry in miniature, which obeys the order of I3 and gives up at the first error.

/// What a client may want.
#[derive(Debug, Clone)]
enum Wish {
    /// Blob, layer link, revision, tag.
    Push { content: u8, tag: u8 },
    /// Only the tag.
    Untag { tag: u8 },
    /// All tags of a content, then its revision, its layer link, its blob.
    Delete { content: u8 },
}

fn wishes() -> impl Strategy<Value = Vec<Wish>> {
    let wish = prop_oneof![
        3 => (0..4_u8, 0..4_u8).prop_map(|(content, tag)| Wish::Push { content, tag }),
        1 => (0..4_u8).prop_map(|tag| Wish::Untag { tag }),
        2 => (0..4_u8).prop_map(|content| Wish::Delete { content }),
    ];
    prop::collection::vec(wish, 1..30)
}

struct Client {
    storage: Faulty,
    repository: RepoName,
    uploads: u32,
}

fn bytes_of(content: u8) -> Bytes {
    Bytes::from(vec![content; 100 + usize::from(content) * 1000])
}

fn tag_of(tag: u8) -> Tag {
    format!("v{tag}").parse().unwrap()
}

impl Client {
    fn new() -> Self {
        Self {
            storage: faulty(),
            repository: "library/alpine".parse().unwrap(),
            uploads: 0,
        }
    }

    async fn fulfil(&mut self, wish: &Wish) -> Result<()> {
        match *wish {
            Wish::Push { content, tag } => self.push(content, tag).await,
            Wish::Untag { tag } => self.untag(tag).await,
            Wish::Delete { content } => self.delete(content).await,
        }
    }

    async fn push(&mut self, content: u8, tag: u8) -> Result<()> {
        self.uploads += 1;
        let id = format!("u{}", self.uploads).parse().unwrap();
        let upload = UploadKey {
            repository: self.repository.clone(),
            id,
        };
        self.storage.create_upload(&upload).await?;
        let mut held = self.storage.open_upload(&upload).await?;
        for piece in bytes_of(content).chunks(700) {
            held.write(Bytes::copy_from_slice(piece)).await?;
        }
        let finished = held.finish(None).await?;
        let digest = finished.digest(Algorithm::Sha256).unwrap();
        assert_eq!(digest, Digest::sha256_of(&bytes_of(content)));
        let link = |key| Put::new(key, layout::link_content(&digest));
        let layer = link(layout::layer_link(&self.repository, &digest));
        finished.publish(&layout::blob(&digest), &[layer]).await?;

        let tag = tag_of(tag);
        let mut links = Puts::default();
        links.add(0, link(layout::revision_link(&self.repository, &digest)));
        links.add(0, link(layout::tag_history_link(&self.repository, &tag, &digest)));
        links.add(1, link(layout::tag_link(&self.repository, &tag)));
        self.storage.publish_all(&links).await
    }

    async fn untag(&self, tag: u8) -> Result<()> {
        gone(
            self.storage
                .remove_tree(&layout::tag(&self.repository, &tag_of(tag)))
                .await,
        )
    }

    async fn delete(&self, content: u8) -> Result<()> {
        let digest = Digest::sha256_of(&bytes_of(content));
        let tags = self
            .storage
            .list(&layout::tags(&self.repository), None, 100)
            .await?;
        for entry in tags.entries {
            let tag: Tag = entry.name.parse().unwrap();
            match self
                .storage
                .read(&layout::tag_link(&self.repository, &tag), 1000)
                .await
            {
                Ok(link) if layout::parse_link(&link.bytes) == Ok(digest) => {
                    gone(
                        self.storage
                            .remove_tree(&layout::tag(&self.repository, &tag))
                            .await,
                    )?;
                }
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        let keep = layout::repositories();
        gone(
            self.storage
                .remove(&layout::revision_link(&self.repository, &digest), &keep)
                .await,
        )?;
        gone(
            self.storage
                .remove(&layout::layer_link(&self.repository, &digest), &keep)
                .await,
        )?;
        gone(self.storage.remove(&layout::blob(&digest), &keep).await)
    }

    /// What the tags point at, having checked that nothing dangles and no blob is other than its digest.
    async fn verify(&self) -> BTreeMap<String, Digest> {
        let storage = self.storage.inner();
        let mut found = BTreeMap::new();
        for entry in storage
            .list(&layout::tags(&self.repository), None, 100)
            .await
            .unwrap()
            .entries
        {
            let tag: Tag = entry.name.parse().unwrap();
            // A history without a current link is an unfinished push; it points at nothing.
            let Ok(link) = storage
                .read(&layout::tag_link(&self.repository, &tag), 1000)
                .await
            else {
                continue;
            };
            let digest = layout::parse_link(&link.bytes).unwrap();
            storage
                .stat(&layout::revision_link(&self.repository, &digest))
                .await
                .expect("a revision for the tag");
            found.insert(tag.to_string(), digest);
        }
        for content in 0..4 {
            let digest = Digest::sha256_of(&bytes_of(content));
            let blob = storage.read(&layout::blob(&digest), 1_000_000).await.ok();
            if let Some(blob) = &blob {
                assert_eq!(blob.bytes, bytes_of(content), "a blob is what its digest says");
            }
            for link in [
                layout::layer_link(&self.repository, &digest),
                layout::revision_link(&self.repository, &digest),
            ] {
                if let Ok(link) = storage.read(&link, 1000).await {
                    assert_eq!(layout::parse_link(&link.bytes), Ok(digest));
                    assert!(blob.is_some(), "a link to {digest} without its blob");
                }
            }
        }
        found
    }
}

/// That something was not there to be removed is as good as having removed it.
fn gone(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever fails wherever: nothing dangles, nothing is half there; and once nothing fails any more, everything
    /// that is asked for again succeeds.
    #[test]
    fn nothing_dangles_whatever_fails(wishes in wishes(), seed: u64, per_mille in 0..400_u16) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut client = Client::new();
            for wish in &wishes {
                client.storage.inject_randomly(seed ^ u64::from(client.uploads), per_mille);
                let before = client.verify().await;
                let outcome = client.fulfil(wish).await;
                let after = client.verify().await;
                check_step(wish, outcome.is_ok(), &before, &after);
            }
            client.storage.heal();
            for wish in &wishes {
                let before = client.verify().await;
                client.fulfil(wish).await.expect("nothing fails any more");
                check_step(wish, true, &before, &client.verify().await);
            }
        });
    }
}

/// What succeeded is so; what failed is as before or as wished; no other tag has moved.
fn check_step(
    wish: &Wish,
    succeeded: bool,
    before: &BTreeMap<String, Digest>,
    after: &BTreeMap<String, Digest>,
) {
    let mut wished = before.clone();
    match *wish {
        Wish::Push { content, tag } => {
            wished.insert(tag_of(tag).to_string(), Digest::sha256_of(&bytes_of(content)));
        }
        Wish::Untag { tag } => {
            wished.remove(&tag_of(tag).to_string());
        }
        Wish::Delete { content } => {
            wished.retain(|_, digest| *digest != Digest::sha256_of(&bytes_of(content)));
        }
    }
    if succeeded {
        assert_eq!(*after, wished, "{wish:?} succeeded");
        return;
    }
    for tag in before.keys().chain(wished.keys()) {
        let now = after.get(tag);
        assert!(
            now == before.get(tag) || now == wished.get(tag),
            "{wish:?} failed and left `{tag}` at {now:?}"
        );
    }
    assert!(
        after
            .keys()
            .all(|tag| before.contains_key(tag) || wished.contains_key(tag))
    );
}
