//! Opening the store for a command that works on it itself, without a server.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use wharf_budget::{Budget, Limits, Machine};
use wharf_storage::{
    ErrorKind, Storage,
    fs::FsStorage,
    replicas::{self, Replica},
};

use crate::{bucket, cloud, config::Engine};

/// A command that works on the store, in the words of its errors.
pub(super) struct Work {
    /// What cannot be done: `cannot collect`.
    pub(super) cannot: &'static str,
    /// What cannot be done to a directory that there is none of, with the remedy.
    pub(super) cannot_read: &'static str,
    /// What cannot be done beside a server.
    pub(super) cannot_beside: &'static str,
    /// The remedy for that; follows the error that names the server.
    pub(super) instead: &'static str,
    /// What becomes of the data of a server that keeps it in its memory; follows `cannot`.
    pub(super) in_memory: &'static str,
}

/// Opens the store to read only, which works beside a server. Never creates one.
pub(super) async fn open_to_read(engine: &Engine, work: &Work) -> anyhow::Result<Arc<dyn Storage>> {
    match engine {
        Engine::Filesystem { root } => {
            let storage = FsStorage::open_to_read(root).context(work.cannot_read)?;
            Ok(Arc::new(storage))
        }
        Engine::InMemory => bail!("{}: `storage: inmemory` {}", work.cannot, work.in_memory),
        Engine::S3(bucket) => {
            let parts = Budget::new(Limits::of(Machine::read())).parts;
            let opened = bucket::open(bucket, parts).await.context(work.cannot)?;
            Ok(Arc::new(opened.storage))
        }
        Engine::Cloud(bucket) => {
            let parts = Budget::new(Limits::of(Machine::read())).parts;
            let opened = cloud::open(bucket, parts).await.context(work.cannot)?;
            Ok(Arc::new(opened.storage))
        }
    }
}

/// As [`open_to_read`], but the command can note how far it is where a server has been before.
pub(super) async fn open_to_check(engine: &Engine, work: &Work) -> anyhow::Result<Arc<dyn Storage>> {
    match engine {
        Engine::Filesystem { root } => {
            let storage = FsStorage::open_to_check(root).context(work.cannot_read)?;
            Ok(Arc::new(storage))
        }
        _ => open_to_read(engine, work).await,
    }
}

/// Opens the store exclusively.
pub(super) async fn open(engine: &Engine, work: &Work) -> anyhow::Result<Arc<dyn Storage>> {
    // This finds a wrong directory, where the other would make one.
    let to_read = open_to_read(engine, work).await?;
    exclusively(to_read, engine, work).await
}

/// Opens a store exclusively that is open to read.
///
/// A bucket has no lock. This refuses while servers are known to write to it; that none is started meanwhile is up to the
/// operator, as with registry:2.
pub(super) async fn exclusively(
    to_read: Arc<dyn Storage>,
    engine: &Engine,
    work: &Work,
) -> anyhow::Result<Arc<dyn Storage>> {
    let root = match engine {
        Engine::Filesystem { root } => root,
        Engine::InMemory => return Ok(to_read),
        Engine::S3(_) | Engine::Cloud(_) => {
            let servers = replicas::serving(&to_read).await.context(work.cannot)?;
            return match described(&servers) {
                None => Ok(to_read),
                Some(servers) => bail!(
                    "{}: {servers} to the bucket; stop them (a server that was killed counts for five minutes), {}",
                    work.cannot_beside,
                    work.instead
                ),
            };
        }
    };
    match FsStorage::open(root) {
        Ok(storage) => Ok(Arc::new(storage)),
        Err(error) if error.kind() == ErrorKind::Locked => {
            bail!("{}: {error}; {}", work.cannot_beside, work.instead)
        }
        Err(error) => Err(error).context(work.cannot),
    }
}

/// How many blobs the store can take at once: on a bucket each needs memory for a part.
pub(super) fn part_buffers(engine: &Engine) -> usize {
    let suitable = |part_size: usize| (Limits::of(Machine::read()).parts / part_size).max(1);
    match engine {
        Engine::S3(bucket) => match bucket.part_buffers {
            Some(buffers) => buffers.max(1),
            None => suitable(bucket.options.part_size),
        },
        Engine::Cloud(bucket) => suitable(bucket.options.part_size),
        Engine::Filesystem { .. } | Engine::InMemory => usize::MAX,
    }
}

/// The servers as the subject of a sentence; `None` when there are none.
fn described(servers: &[Replica]) -> Option<String> {
    let [first, others @ ..] = servers else {
        return None;
    };
    let first = format!("the server at {} of `{}`", first.address, first.host);
    Some(match others.len() {
        0 => format!("{first} writes"),
        1 => format!("{first} and another one write"),
        more => format!("{first} and {more} others write"),
    })
}
