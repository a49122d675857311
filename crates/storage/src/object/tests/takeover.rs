//! Requests that end nowhere: their process is killed, or so slow that the client has gone on with another one.

use std::future::Future;

use tokio::task::JoinHandle;

use super::{
    uploads::{assert_nothing_is_left, blob, content, create, patch, put},
    *,
};

/// What was acknowledged before, and is smaller than a part and larger than a tail.
const BEFORE: usize = PART / 2;

/// What the first process does when it stops.
#[derive(Debug, Clone, Copy)]
enum Request {
    /// A PATCH with parts.
    Patch,
    /// A PATCH of less than a part.
    SmallPatch,
    /// A PUT with all bytes, on an upload without any.
    WholePut,
    /// A PUT with the rest.
    RestPut,
    /// A PUT without bytes, after all have come.
    LastPut,
}

/// How the client goes on.
#[derive(Debug, Clone, Copy)]
enum Retry {
    /// With the same request.
    Same,
    /// It asks how much there is, and goes on there.
    Resume,
    Cancel,
}

struct Scene {
    store: Weak,
    two: ObjectStorage,
    upload: UploadKey,
    whole: Bytes,
    digest: Digest,
    /// The first process, and its request.
    gate: Arc<Gate>,
    stopped: JoinHandle<Result<()>>,
}

impl Scene {
    /// The first process has sent `steps` requests to the store, and stops before the next one; `None` when it has no
    /// next one.
    async fn set(conditions: Conditions, request: Request, steps: u64) -> Option<Self> {
        let store = Weak::new(conditions);
        let gate = Arc::new(Gate::default());
        let slow = Weak {
            gate: Arc::clone(&gate),
            ..store.clone()
        };
        let (one, two) = (process(&slow, small()), process(&store, small()));
        let whole = content(1, 3 * PART + PART / 3);
        let digest = Digest::sha256_of(&whole);
        let upload = create(&two).await;
        let acknowledged = match request {
            Request::WholePut => 0,
            Request::LastPut => whole.len(),
            Request::Patch | Request::SmallPatch | Request::RestPut => BEFORE,
        };
        if acknowledged > 0 {
            patch(&two, &upload, whole.slice(..acknowledged)).await.unwrap();
        }
        gate.stop_after(steps);
        let (rest, of) = (whole.slice(acknowledged..), upload.clone());
        let stopped = tokio::spawn(async move {
            match request {
                Request::Patch => patch(&one, &of, rest).await.map(drop),
                Request::SmallPatch => patch(&one, &of, rest.slice(..PART / 5)).await.map(drop),
                Request::WholePut | Request::RestPut | Request::LastPut => {
                    put(&one, &of, rest, &digest).await
                }
            }
        });
        while !gate.has_stopped() {
            if stopped.is_finished() {
                return None;
            }
            tokio::task::yield_now().await;
        }
        // What the request does at the same time goes on.
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        Some(Self {
            store,
            two,
            upload,
            whole,
            digest,
            gate,
            stopped,
        })
    }

    /// The client goes on at another process.
    async fn go_on(&self, request: Request, retry: Retry) -> Result<()> {
        let Self {
            two,
            upload,
            whole,
            digest,
            ..
        } = self;
        match (retry, request) {
            (Retry::Cancel, _) => two.open_upload(upload).await?.discard().await,
            (Retry::Same, Request::WholePut) => put(two, upload, whole.clone(), digest).await,
            (Retry::Same, Request::RestPut) => put(two, upload, whole.slice(BEFORE..), digest).await,
            (Retry::Same, Request::LastPut) => put(two, upload, Bytes::new(), digest).await,
            (Retry::Resume, _) | (Retry::Same, Request::Patch | Request::SmallPatch) => {
                let has = two.upload_size(upload).await?;
                let rest = whole.slice(usize::try_from(has).unwrap()..);
                if !rest.is_empty() {
                    let size = patch(two, upload, rest).await?;
                    assert_eq!(size, whole.len() as u64);
                }
                Ok(())
            }
        }
    }

    /// Every process that is alive purges, much later.
    async fn purge(&self) {
        let later = SystemTime::now() + Duration::from_secs(60);
        purge(&self.two, later).await.unwrap();
        assert_nothing_is_left(&self.two, &self.store.inner).await;
    }
}

async fn at_each_step<F: Future<Output = ()>>(request: Request, play: impl Fn(Scene) -> F) -> u64 {
    at_each_step_of(Conditions::Honoured, request, play).await
}

async fn at_each_step_of<F: Future<Output = ()>>(
    conditions: Conditions,
    request: Request,
    play: impl Fn(Scene) -> F,
) -> u64 {
    // Before its first step the request has not begun: it would come after its successor.
    for steps in 1.. {
        match Scene::set(conditions, request, steps).await {
            Some(scene) => play(scene).await,
            None => return steps,
        }
    }
    unreachable!("a request ends");
}

/// The process is killed: its client goes on at once, whatever it was doing, and wherever it was.
#[tokio::test]
async fn a_killed_process_costs_no_client_its_retry() {
    for request in [
        Request::Patch,
        Request::SmallPatch,
        Request::WholePut,
        Request::RestPut,
        Request::LastPut,
    ] {
        for retry in [Retry::Same, Retry::Resume] {
            let steps = at_each_step(request, async |scene| {
                scene.stopped.abort();
                let went_on = scene.go_on(request, retry).await;
                expect(&scene, went_on, request, retry).await;
                scene.purge().await;
            })
            .await;
            assert!(steps > 2, "{request:?} has {steps} steps");
        }
    }
}

/// After the last answer the blob is there, or the upload is, with all bytes.
async fn expect(scene: &Scene, went_on: Result<()>, request: Request, retry: Retry) {
    match went_on {
        Ok(()) => {}
        // The stopped request had published the blob, and the link, and removed the upload.
        Err(error) if error.is_not_found() => {
            assert!(
                blob(&scene.two, &scene.digest).await == scene.whole,
                "{request:?}"
            );
            return;
        }
        Err(error) => panic!("{request:?}, {retry:?}: {error}"),
    }
    let is_published = matches!(retry, Retry::Same)
        && matches!(request, Request::WholePut | Request::RestPut | Request::LastPut);
    if !is_published {
        put(&scene.two, &scene.upload, Bytes::new(), &scene.digest)
            .await
            .unwrap();
    }
    assert!(
        blob(&scene.two, &scene.digest).await == scene.whole,
        "{request:?}"
    );
}

#[tokio::test]
async fn the_upload_of_a_killed_process_is_cancelled_at_once() {
    for request in [
        Request::Patch,
        Request::SmallPatch,
        Request::WholePut,
        Request::RestPut,
    ] {
        at_each_step(request, async |scene| {
            scene.stopped.abort();
            match scene.go_on(request, Retry::Cancel).await {
                Ok(()) => {}
                Err(error) => assert!(error.is_not_found(), "{request:?}: {error}"),
            }
            let gone = scene.two.upload_size(&scene.upload).await.unwrap_err();
            assert!(gone.is_not_found());
            scene.purge().await;
        })
        .await;
    }
}

/// The first process is only slow. It goes on when the client has got the answer of the second one, and takes nothing of
/// that away.
#[tokio::test]
async fn a_slow_process_takes_nothing_away_from_its_successor() {
    for request in [Request::Patch, Request::SmallPatch] {
        at_each_step(request, async |mut scene| {
            scene.go_on(request, Retry::Resume).await.unwrap();
            scene.gate.open();
            // It may have been at its very end.
            let slow = (&mut scene.stopped).await.unwrap();
            if let Err(error) = slow {
                assert_eq!(error.kind(), ErrorKind::Busy, "{request:?}: {error}");
            }
            assert_eq!(
                scene.two.upload_size(&scene.upload).await.unwrap(),
                scene.whole.len() as u64,
                "what was acknowledged"
            );
            expect(&scene, Ok(()), request, Retry::Resume).await;
            scene.purge().await;
        })
        .await;
    }
}

/// As above, with the end of the upload: one of the two publishes the blob, or both do, and no answer is a wrong one.
#[tokio::test]
async fn a_slow_end_and_its_repetition_publish_the_blob() {
    for conditions in [Conditions::Honoured, Conditions::Ignored, Conditions::Refused] {
        for request in [Request::WholePut, Request::RestPut, Request::LastPut] {
            at_each_step_of(conditions, request, async |mut scene| {
                let went_on = scene.go_on(request, Retry::Same).await;
                scene.gate.open();
                drop((&mut scene.stopped).await.unwrap());
                expect(&scene, went_on, request, Retry::Same).await;
                scene.purge().await;
            })
            .await;
        }
    }
}

/// Where the store ignores conditions, a slow process may take away what its successor was told, and then the digest tells.
#[tokio::test]
async fn without_conditions_a_slow_process_mixes_nothing() {
    for conditions in [Conditions::Ignored, Conditions::Refused] {
        for request in [Request::Patch, Request::SmallPatch] {
            at_each_step_of(conditions, request, async |mut scene| {
                scene.go_on(request, Retry::Resume).await.unwrap();
                scene.gate.open();
                drop((&mut scene.stopped).await.unwrap());
                match put(&scene.two, &scene.upload, Bytes::new(), &scene.digest).await {
                    Ok(()) if scene.two.stat(&layout::blob(&scene.digest)).await.is_err() => {
                        // The digest was another one, and the upload is gone.
                    }
                    Ok(()) => assert!(blob(&scene.two, &scene.digest).await == scene.whole),
                    Err(error) => panic!("{request:?}: {error}"),
                }
                scene.purge().await;
            })
            .await;
        }
    }
}

/// Two processes that are alive write parts at the same time: the one that asked last goes on.
#[tokio::test]
async fn the_last_request_has_the_upload() {
    let store = Memory::new();
    let (one, two) = (process(&store, small()), process(&store, small()));
    let upload = create(&one).await;
    patch(&one, &upload, content(5, PART)).await.unwrap();
    let mut first = one.open_upload(&upload).await.unwrap();
    // The queue holds one piece, so by the third write the first has been dealt with.
    for _ in 0..3 {
        first.write(content(1, 2 * PART)).await.unwrap();
    }
    assert_eq!(two.upload_size(&upload).await.unwrap(), PART as u64);
    let mut second = two.open_upload(&upload).await.unwrap();
    assert_eq!(second.size(), PART as u64);
    for _ in 0..3 {
        second.write(content(2, 2 * PART)).await.unwrap();
    }
    assert_eq!(first.suspend().await.unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(second.suspend().await.unwrap(), 7 * PART as u64);
    let part = content(2, 2 * PART);
    let expected = [&content(5, PART)[..], &part, &part, &part].concat();
    assert!(publish(&one, "u").await.unwrap() == expected);
    assert_nothing_is_left(&one, &store).await;
}
