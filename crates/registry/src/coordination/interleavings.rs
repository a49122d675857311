//! Every order in which requests and a removal can take their turns, on the real locks and the real marks in memory.
//!
//! The tasks are polled by hand, one poll after the other, and all orders of polls are tried, each from the start: a task that waits
//! for a lock is polled when the lock has woken it, as by a runtime. `loom` and `shuttle` cannot do this here: both replace the
//! primitives below the locks, and these are tokio's, whose own sources would have to be compiled for the one, and replaced by
//! another crate for the other. Between two polls a task runs alone, so what several threads see of one another is left to tokio;
//! what the locks and marks promise does not depend on it.

use std::{
    collections::HashMap,
    future::poll_fn,
    mem,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use wharf_oci::{Algorithm, Digest, RepoName, Tag};

use super::{
    decisions::{Fate, Timing, fate, is_pinned},
    in_memory::InMemory,
    marks::{Flag, Marks, RunId, RunName, Suspects},
    relying::Reliance,
    stripes::Stripes,
};
use crate::error::Result;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// What is left out of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    /// The shared lock of pushes
    SharedLock,
    /// The exclusive lock of a removal
    ExclusiveLock,
    /// The second look of a removal, under its lock
    SecondLook,
    /// The wait of the collector for requests that found no doom
    Pass,
    /// The second mark, which confirms the doom
    Confirmation,
    /// The flag of the sweep
    Flag,
    /// The look at the pins
    Pins,
}

/// A digest, and one manifest that may come to need it.
#[derive(Debug)]
struct Scene {
    without: Without,
    stripes: Stripes,
    marks: Arc<dyn Marks>,
    is_stored: AtomicBool,
    is_needed: AtomicBool,
}

impl Scene {
    /// A digest that is stored and not needed.
    fn new(without: Without) -> Arc<Self> {
        Arc::new(Self {
            without,
            stripes: Stripes::new(),
            marks: Arc::new(InTurns(InMemory::new(Duration::ZERO))),
            is_stored: AtomicBool::new(true),
            is_needed: AtomicBool::new(false),
        })
    }

    fn is_lost(&self) -> bool {
        self.is_needed.load(SeqCst) && !self.is_stored.load(SeqCst)
    }

    /// Pushes the manifest, if the digest may be relied on and is there.
    async fn push(self: Arc<Self>) {
        turn().await;
        let hold = match self.without {
            Without::SharedLock => None,
            _ => Some(self.stripes.lock_shared(&[digest(1)]).await),
        };
        let reliance = Reliance::on(&self.marks, None, &[digest(1)]).await.unwrap();
        turn().await;
        if self.is_stored.load(SeqCst) && !reliance.is_swept(&digest(1)) {
            turn().await;
            self.is_needed.store(true, SeqCst);
        }
        drop(hold);
    }

    /// Removes the digest if nothing needs it, as a deletion does.
    async fn delete(self: Arc<Self>) {
        loop {
            turn().await;
            let watch = self.stripes.watch(&[digest(1)]).await;
            turn().await;
            if self.is_needed.load(SeqCst) {
                return;
            }
            turn().await;
            let hold = match self.without {
                Without::ExclusiveLock => None,
                _ => Some(self.stripes.lock_exclusive(&[digest(1)]).await),
            };
            if watch.is_disturbed() && self.without != Without::SecondLook {
                continue;
            }
            turn().await;
            self.is_stored.store(false, SeqCst);
            drop(hold);
            return;
        }
    }

    /// Collects twice: the second run confirms what the first one has doomed, as [`super::Run`] does.
    async fn collect(self: Arc<Self>) {
        let (marks, one) = (&self.marks, digest(1));
        let mut marked = None;
        for number in 0..2 {
            let run = RunName::new(true);
            turn().await;
            let began = marks.take_lease(&run).await.unwrap().unwrap();
            if marked.is_none() || self.without != Without::Confirmation {
                turn().await;
                marked = Some(self.is_needed.load(SeqCst));
            }
            let doomed = marks.doomed().await.unwrap().get(&one).copied();
            match fate(marked == Some(true), doomed, began, marks.timing()) {
                Fate::Keep | Fate::Wait => {}
                Fate::Spare => marks.spare(&one, began).await.unwrap(),
                Fate::Doom => {
                    marks.doom(&one).await.unwrap();
                    if self.without != Without::Pass {
                        self.stripes.pass(&[one]).await;
                    }
                }
                Fate::Sweep => self.sweep(Flag { run: run.id, number }, began).await,
            }
            marks.give_lease_back(&run).await.unwrap();
        }
    }

    async fn sweep(&self, flag: Flag, began: SystemTime) {
        let (marks, one) = (&self.marks, digest(1));
        if self.without != Without::Flag {
            marks.raise_flag(&flag, &[one]).await.unwrap();
        }
        turn().await;
        let pinned = marks.pins().await.unwrap().get(&one).copied();
        if self.without == Without::Pins || !is_pinned(pinned, began, marks.timing()) {
            turn().await;
            self.is_stored.store(false, SeqCst);
        }
        turn().await;
        marks.spare(&one, began).await.unwrap();
        marks.lower_flag(&flag, began).await.unwrap();
    }
}

/// Marks in memory that let other tasks take their turns before each step of a request.
#[derive(Debug)]
struct InTurns(InMemory);

#[async_trait]
impl Marks for InTurns {
    fn timing(&self) -> &'static Timing {
        self.0.timing()
    }

    fn most_dooms(&self) -> usize {
        self.0.most_dooms()
    }

    fn note(&self, digests: &[Digest]) {
        self.0.note(digests);
    }

    fn is_recent(&self, digest: &Digest) -> bool {
        self.0.is_recent(digest)
    }

    fn may_be_any(&self) -> bool {
        self.0.may_be_any()
    }

    async fn suspects(&self, digests: &[Digest]) -> Result<Suspects> {
        self.0.suspects(digests).await
    }

    async fn is_doomed(&self, digest: &Digest) -> Result<bool> {
        turn().await;
        self.0.is_doomed(digest).await
    }

    async fn pin(&self, digest: &Digest) -> Result<()> {
        turn().await;
        self.0.pin(digest).await
    }

    async fn is_swept(&self, digest: &Digest) -> Result<bool> {
        turn().await;
        self.0.is_swept(digest).await
    }

    async fn doom(&self, digest: &Digest) -> Result<()> {
        self.0.doom(digest).await
    }

    async fn doomed(&self) -> Result<HashMap<Digest, SystemTime>> {
        self.0.doomed().await
    }

    async fn spare(&self, digest: &Digest, until: SystemTime) -> Result<()> {
        self.0.spare(digest, until).await
    }

    async fn pins(&self) -> Result<HashMap<Digest, SystemTime>> {
        self.0.pins().await
    }

    async fn remove_pins(&self, is_expired: &(dyn Fn(SystemTime) -> bool + Sync)) -> Result<()> {
        self.0.remove_pins(is_expired).await
    }

    async fn raise_flag(&self, flag: &Flag, digests: &[Digest]) -> Result<()> {
        self.0.raise_flag(flag, digests).await
    }

    async fn flags(&self) -> Result<Vec<Flag>> {
        self.0.flags().await
    }

    async fn lower_flag(&self, flag: &Flag, until: SystemTime) -> Result<()> {
        self.0.lower_flag(flag, until).await
    }

    async fn take_lease(&self, run: &RunId) -> Result<Option<SystemTime>> {
        self.0.take_lease(run).await
    }

    async fn renew_lease(&self, run: &RunId) -> Result<Option<SystemTime>> {
        self.0.renew_lease(run).await
    }

    async fn give_lease_back(&self, run: &RunId) -> Result<()> {
        self.0.give_lease_back(run).await
    }
}

fn digest(first: u8) -> Digest {
    let mut bytes = [0; 32];
    bytes[0] = first;
    Digest::from_bytes(Algorithm::Sha256, &bytes).unwrap()
}

/// Lets other tasks take their turns.
async fn turn() {
    let mut is_first = true;
    poll_fn(|context| match mem::take(&mut is_first) {
        true => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
        false => Poll::Ready(()),
    })
    .await;
}

/// Whether a task has been woken since it was last polled.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

/// Runs the tasks that `start` makes in every order. Answers how many orders there are, or the first one after which something is
/// lost.
///
/// # Panics
///
/// When all tasks that have not ended wait for each other.
fn explore(start: impl Fn() -> (Arc<Scene>, Vec<Task>)) -> std::result::Result<usize, Vec<usize>> {
    // Of each turn: which of the tasks that could take it did, and how many could.
    let mut taken: Vec<(usize, usize)> = Vec::new();
    for orders in 1.. {
        let (scene, tasks) = start();
        let mut tasks: Vec<Option<(Task, Arc<Woken>)>> = tasks
            .into_iter()
            .map(|task| Some((task, Arc::new(Woken(AtomicBool::new(true))))))
            .collect();
        let (mut turns, mut order) = (0, Vec::new());
        while tasks.iter().any(Option::is_some) {
            let is_ready = |task: &Option<(Task, Arc<Woken>)>| {
                task.as_ref().is_some_and(|(_, woken)| woken.0.load(SeqCst))
            };
            let ready: Vec<usize> = (0..tasks.len())
                .filter(|number| is_ready(&tasks[*number]))
                .collect();
            assert!(!ready.is_empty(), "the tasks wait for each other after {order:?}");
            if turns == taken.len() {
                taken.push((0, ready.len()));
            }
            let number = ready[taken[turns].0];
            order.push(number);
            turns += 1;
            if let Some((task, woken)) = &mut tasks[number] {
                woken.0.store(false, SeqCst);
                let waker = Waker::from(Arc::clone(woken));
                if task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                    tasks[number] = None;
                }
            }
        }
        if scene.is_lost() {
            return Err(order);
        }
        while let Some((last, of)) = taken.pop() {
            if last + 1 < of {
                taken.push((last + 1, of));
                break;
            }
        }
        if taken.is_empty() {
            return Ok(orders);
        }
    }
    unreachable!("the orders have an end")
}

fn pushes_and_a_deletion(without: Without) -> std::result::Result<usize, Vec<usize>> {
    explore(|| {
        let scene = Scene::new(without);
        let tasks: Vec<Task> = vec![
            Box::pin(Arc::clone(&scene).push()),
            Box::pin(Arc::clone(&scene).push()),
            Box::pin(Arc::clone(&scene).delete()),
        ];
        (scene, tasks)
    })
}

fn a_push_and_a_collection(without: Without) -> std::result::Result<usize, Vec<usize>> {
    explore(|| {
        let scene = Scene::new(without);
        let tasks: Vec<Task> = vec![
            Box::pin(Arc::clone(&scene).push()),
            Box::pin(Arc::clone(&scene).collect()),
        ];
        (scene, tasks)
    })
}

#[test]
fn no_order_of_pushes_and_a_deletion_loses_what_is_needed() {
    let orders = pushes_and_a_deletion(Without::Nothing);
    assert!(orders.as_ref().is_ok_and(|orders| *orders > 1000), "{orders:?}");
}

#[test]
fn a_deletion_needs_its_locks_and_its_second_look() {
    for without in [Without::SharedLock, Without::ExclusiveLock, Without::SecondLook] {
        let orders = pushes_and_a_deletion(without);
        assert!(orders.is_err(), "nothing is lost without {without:?}: {orders:?}");
    }
}

#[test]
fn no_order_of_a_push_and_a_collection_loses_what_is_needed() {
    let orders = a_push_and_a_collection(Without::Nothing);
    assert!(orders.as_ref().is_ok_and(|orders| *orders > 1000), "{orders:?}");
}

#[test]
fn a_collection_needs_each_part_of_the_agreement() {
    for without in [
        Without::SharedLock,
        Without::Pass,
        Without::Confirmation,
        Without::Flag,
        Without::Pins,
    ] {
        let orders = a_push_and_a_collection(without);
        assert!(orders.is_err(), "nothing is lost without {without:?}: {orders:?}");
    }
}

#[test]
fn no_order_of_locks_on_several_digests_and_tags_ends_in_a_deadlock() {
    let (name, tags): (RepoName, Vec<Tag>) = (
        "app".parse().unwrap(),
        ["1", "2"].map(|tag| tag.parse().unwrap()).into(),
    );
    let orders = explore(|| {
        let scene = Scene::new(Without::Nothing);
        let backwards: Vec<_> = tags.iter().rev().cloned().collect();
        let (one, two) = ([digest(1), digest(2)], [digest(2), digest(1)]);
        let watching = Arc::clone(&scene);
        let all = tags.clone();
        let locking = |is_shared: bool, digests: [Digest; 2], tags: Vec<Tag>| -> Task {
            let (scene, name) = (Arc::clone(&scene), name.clone());
            Box::pin(async move {
                turn().await;
                let digests = match is_shared {
                    true => scene.stripes.lock_shared(&digests).await,
                    false => scene.stripes.lock_exclusive(&digests).await,
                };
                turn().await;
                let tags = scene.stripes.lock_tags(&name, &tags).await;
                turn().await;
                drop((digests, tags));
            })
        };
        let tasks = vec![
            locking(false, one, all.clone()),
            locking(false, two, backwards),
            locking(true, two, all),
            Box::pin(async move {
                drop(watching.stripes.watch(&two).await);
            }) as Task,
        ];
        (scene, tasks)
    });
    assert!(orders.as_ref().is_ok_and(|orders| *orders > 100), "{orders:?}");
}
