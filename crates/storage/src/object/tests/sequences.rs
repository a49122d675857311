//! Any sequence of requests to several replicas, some of which are killed, stopped and resumed, over a store that fails.

use proptest::prelude::*;
use tokio::{runtime, task::JoinHandle};

use super::{
    uploads::{assert_nothing_is_left, content},
    *,
};

const REPLICAS: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    /// A chunk goes to a replica.
    Patch {
        at: usize,
        size: usize,
        is_announced: bool,
    },
    /// The rest goes to a replica, with the digest of all.
    Put { at: usize, size: usize },
    /// A chunk goes to a replica, which stops after some requests to the store.
    Stop { at: usize, size: usize, after: u64 },
    /// All that have stopped go on.
    Resume,
    /// All that have stopped are killed.
    Kill,
    /// A replica purges uploads that are old, of which there is none.
    Purge { at: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let at = || 0..REPLICAS;
    let size = || prop_oneof![1..300_usize, 300..9_000_usize, 9_000..30_000_usize];
    let step = prop_oneof![
        4 => (at(), size(), any::<bool>()).prop_map(|(at, size, is_announced)| Step::Patch { at, size, is_announced }),
        2 => (at(), 0..20_000_usize).prop_map(|(at, size)| Step::Put { at, size }),
        3 => (at(), size(), 1..12_u64).prop_map(|(at, size, after)| Step::Stop { at, size, after }),
        1 => Just(Step::Resume),
        1 => Just(Step::Kill),
        1 => at().prop_map(|at| Step::Purge { at }),
    ];
    prop::collection::vec(step, 1..25)
}

/// One client, its upload, and what it knows of it.
struct World {
    store: Weak,
    limits: Limits,
    replicas: Vec<(Arc<Gate>, Arc<ObjectStorage>)>,
    stopped: Vec<(Arc<Gate>, JoinHandle<()>)>,
    whole: Bytes,
    number: u32,
    upload: UploadKey,
    /// How many bytes the client was told that the upload has.
    acknowledged: u64,
    /// The digests that it has named.
    named: Vec<Digest>,
}

impl World {
    async fn new(seed: u64, failing: u64) -> Self {
        let store = Weak::new(Conditions::Honoured);
        let limits = Limits {
            part_size: 4096,
            smallest_part: 2560,
            tail: 256,
            copy_whole: 10_000,
            copy_size: 10_000,
            ..Limits::default()
        };
        let mut world = Self {
            replicas: Vec::new(),
            stopped: Vec::new(),
            whole: content(7, 400_000),
            number: 0,
            upload: upload_key("u0"),
            acknowledged: 0,
            named: Vec::new(),
            store,
            limits,
        };
        for number in 0..REPLICAS {
            let replica = world.replica();
            replica.0.fail(seed + number as u64, failing);
            world.replicas.push(replica);
        }
        world.start().await;
        world
    }

    fn replica(&self) -> (Arc<Gate>, Arc<ObjectStorage>) {
        let gate = Arc::new(Gate::default());
        let store = Weak {
            gate: Arc::clone(&gate),
            ..self.store.clone()
        };
        (gate, Arc::new(process(&store, self.limits)))
    }

    /// A replica without faults.
    fn healthy(&self) -> ObjectStorage {
        process(&self.store, self.limits)
    }

    async fn start(&mut self) {
        self.number += 1;
        self.upload = upload_key(&format!("u{}", self.number));
        self.healthy().create_upload(&self.upload).await.unwrap();
        self.acknowledged = 0;
        self.named.clear();
    }

    /// How many bytes there are. An upload that is gone was published, as what the client named.
    async fn size(&mut self) -> u64 {
        match self.healthy().upload_size(&self.upload).await {
            Ok(size) => {
                assert!(
                    size >= self.acknowledged,
                    "{size} of {} are left",
                    self.acknowledged
                );
                size
            }
            Err(error) => {
                assert!(error.is_not_found(), "{error}");
                let mut published = false;
                for digest in &self.named {
                    published |= self.healthy().stat(&layout::blob(digest)).await.is_ok();
                }
                assert!(published, "an upload is gone, and no blob is there");
                self.start().await;
                0
            }
        }
    }

    async fn step(&mut self, step: Step) {
        let has = self.size().await;
        match step {
            Step::Patch {
                at,
                size,
                is_announced,
            } => {
                let bytes = self.bytes(has, size);
                let sent = patch(&self.replicas[at].1, &self.upload, has, bytes, is_announced).await;
                if let Ok(size) = sent {
                    self.acknowledged = size;
                }
            }
            Step::Put { at, size } => {
                let bytes = self.bytes(has, size);
                let whole = [&self.bytes(0, usize::try_from(has).unwrap())[..], &bytes].concat();
                let digest = Digest::sha256_of(&whole);
                self.named.push(digest);
                if put(&self.replicas[at].1, &self.upload, has, bytes, &digest)
                    .await
                    .is_ok()
                {
                    let blob = self.healthy().read(&layout::blob(&digest), u64::MAX).await;
                    assert!(blob.unwrap().bytes == whole);
                    self.start().await;
                }
            }
            Step::Stop { at, size, after } => self.stop(at, has, size, after).await,
            Step::Resume => {
                for (gate, task) in std::mem::take(&mut self.stopped) {
                    gate.open();
                    task.await.unwrap();
                }
            }
            Step::Kill => {
                for (_, task) in std::mem::take(&mut self.stopped) {
                    task.abort();
                }
            }
            Step::Purge { at } => drop(purge(&*self.replicas[at].1, SystemTime::UNIX_EPOCH).await),
        }
    }

    fn bytes(&self, from: u64, size: usize) -> Bytes {
        let from = usize::try_from(from).unwrap();
        self.whole.slice(from..self.whole.len().min(from + size))
    }

    /// A replica begins with a request, and stops. Another one takes its place.
    async fn stop(&mut self, at: usize, has: u64, size: usize, after: u64) {
        let fresh = self.replica();
        let (gate, replica) = std::mem::replace(&mut self.replicas[at], fresh);
        gate.stop_after(after);
        let (upload, bytes) = (self.upload.clone(), self.bytes(has, size));
        let task = tokio::spawn(async move {
            drop(patch(&replica, &upload, has, bytes, false).await);
        });
        while !gate.has_stopped() && !task.is_finished() {
            tokio::task::yield_now().await;
        }
        self.stopped.push((gate, task));
    }

    /// Whatever happened, all bytes that count can be published, each blob is what its name says, and a purge leaves nothing
    /// else.
    async fn end(mut self) {
        for (_, task) in self.stopped.drain(..) {
            task.abort();
        }
        let has = self.size().await;
        let healthy = self.healthy();
        let digest = Digest::sha256_of(&self.bytes(0, usize::try_from(has).unwrap()));
        let published = put(&healthy, &self.upload, has, Bytes::new(), &digest).await;
        published.expect("the bytes that count are there");
        for path in objects(&healthy).await {
            if let Some(hex) = path.strip_prefix("docker/registry/v2/blobs/sha256/") {
                let bytes = self.store.inner.get(&Path::from(path.clone())).await.unwrap();
                let digest = Digest::sha256_of(&bytes.bytes().await.unwrap());
                assert!(hex.contains(&digest.hex().to_string()), "{path}");
            }
        }
        // What was dropped, and not killed, is being taken back.
        let later = SystemTime::now() + Duration::from_secs(60);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        purge(&healthy, later).await.unwrap();
        assert_nothing_is_left(&healthy, &self.store.inner).await;
    }
}

/// A PATCH that says where its bytes belong.
async fn patch(
    storage: &ObjectStorage,
    upload: &UploadKey,
    from: u64,
    bytes: Bytes,
    is_announced: bool,
) -> Result<u64> {
    let mut held = storage.open_upload(upload).await?;
    if held.size() != from {
        return Err(Error::new(ErrorKind::Precondition, "the upload has another size"));
    }
    held.announce(Announced {
        digest: None,
        length: is_announced.then_some(bytes.len() as u64),
    });
    for at in (0..bytes.len()).step_by(1500) {
        held.write(bytes.slice(at..bytes.len().min(at + 1500))).await?;
    }
    held.suspend().await
}

async fn put(
    storage: &ObjectStorage,
    upload: &UploadKey,
    from: u64,
    bytes: Bytes,
    digest: &Digest,
) -> Result<()> {
    let mut held = storage.open_upload(upload).await?;
    if held.size() != from {
        return Err(Error::new(ErrorKind::Precondition, "the upload has another size"));
    }
    held.write_provisionally();
    held.announce(Announced {
        digest: Some(*digest),
        length: Some(bytes.len() as u64),
    });
    held.write(bytes).await?;
    let mut finished = held.finish(None).await?;
    assert_eq!(finished.digest(Algorithm::Sha256), Some(*digest));
    finished.prepare().await?;
    finished.publish(&layout::blob(digest), &[]).await
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_sequence_publishes_what_was_hashed_and_loses_nothing(
        steps in steps(),
        seed in 1..u64::MAX / 2,
        failing in prop_oneof![Just(0_u64), Just(30), Just(150)],
    ) {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new(seed, failing).await;
            for step in steps {
                world.step(step).await;
            }
            world.end().await;
        });
    }
}
