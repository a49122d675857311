//! The processes that serve one bucket: each writes a small object every minute, and reads those of the others.
//!
//! It is for the eyes of operators, and for stores on which one process may work only. No data depends on it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Error, ErrorKind, Key, Put, Removal, Result, Scanned, Storage, layout};

/// How often a process writes its presence.
pub const INTERVAL: Duration = Duration::from_secs(60);

/// A presence that is older, by the clock of the store, counts no more; one that is much older is removed.
const LONGEST_SILENCE: Duration = Duration::from_secs(5 * 60);
const DEAD: Duration = Duration::from_secs(60 * 60);

/// Replicas that are read, and the bytes of each.
const MOST: usize = 200;
const LARGEST: u64 = 16 << 10;

/// Replicas that are read at once.
const AT_ONCE: usize = 8;

/// A process that serves the bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// Its name for as long as it runs
    pub id: Uuid,
    /// Name of its machine, or of its container
    pub host: String,
    /// Address that it listens at
    pub address: String,
    /// Version of the program
    pub version: String,
    /// When it started, by its own clock: `2026-01-02T03:04:05Z`
    pub started: String,
    /// What it does
    pub state: ReplicaState,
}

/// What a replica does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplicaState {
    /// It answers requests, and is still trying what the store honours
    Starting,
    /// It answers requests
    Ready,
    /// It lets running requests finish
    Stopping,
}

/// The presence of this process among the replicas.
#[derive(Debug)]
pub struct Presence {
    storage: Arc<dyn Storage>,
    own: Replica,
    /// When it was first written, by the clock of the store
    since: Option<SystemTime>,
}

impl ReplicaState {
    /// Name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Stopping => "stopping",
        }
    }
}

impl Replica {
    /// This process, which has just started.
    pub fn this(host: String, address: String, version: &str) -> Self {
        Self {
            id: Uuid::new_v4(),
            host,
            address,
            version: version.to_owned(),
            started: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            state: ReplicaState::Starting,
        }
    }

    /// Whether both listen at one address of one machine, so that one of them has ended.
    fn is_in_place_of(&self, other: &Self) -> bool {
        (&self.host, &self.address) == (&other.host, &other.address)
    }

    /// The order in which replicas started, the same for all that look.
    fn order(&self) -> (String, Uuid) {
        (self.started.clone(), self.id)
    }
}

/// Name of this machine, or of its container.
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The servers that write to the bucket of `storage`, in the order in which they started, for a process that is none of
/// them. One that was killed counts for some minutes more. It is a look by the clock of this machine, and keeps no server
/// from starting.
///
/// # Errors
///
/// Those of the store.
pub async fn serving(storage: &Arc<dyn Storage>) -> Result<Vec<Replica>> {
    let found = storage.scan(&layout::replicas(), None, MOST).await?.objects;
    let now = SystemTime::now();
    let alive = found
        .into_iter()
        .filter(|found| age(found, now) <= LONGEST_SILENCE);
    let mut replicas: Vec<Replica> = stream::iter(alive)
        .map(|found| read(storage, found.key))
        .buffered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    replicas.sort_by_cached_key(Replica::order);
    Ok(replicas)
}

impl Presence {
    /// The presence of `own` in `storage`; nothing is written yet.
    pub fn new(storage: Arc<dyn Storage>, own: Replica) -> Self {
        Self {
            storage,
            own,
            since: None,
        }
    }

    /// This process.
    pub fn own(&self) -> &Replica {
        &self.own
    }

    /// Writes the presence of this process, and reads those of all, the one that started first before the others.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn renew(&mut self, state: ReplicaState) -> Result<Vec<Replica>> {
        self.own.state = state;
        let key = layout::replica(self.own.id);
        let text = serde_json::to_vec_pretty(&self.own).map_err(|error| {
            Error::with_source(ErrorKind::Other, "write the presence of a replica", error)
        })?;
        self.storage.publish(&[Put::new(key.clone(), text)]).await?;
        let found = self.storage.scan(&layout::replicas(), None, MOST).await?.objects;
        let now = match found.iter().find(|found| found.key == key) {
            Some(own) => own.stat.modified,
            None => self.storage.stat(&key).await?.modified,
        };
        self.remove_dead(&found, now).await?;
        let since = *self.since.get_or_insert(now);
        let alive = found
            .into_iter()
            .filter(|found| age(found, now) <= LONGEST_SILENCE);
        let this = &*self;
        let others = stream::iter(alive.filter(|found| found.key != key))
            .map(|found| async move { Some((read(&this.storage, found.key).await?, found.stat.modified)) })
            .buffered(AT_ONCE)
            .filter_map(std::future::ready);
        // A process that was killed, and in whose place this one runs, wrote last before this one did.
        let mut replicas: Vec<Replica> = others
            .filter(|(other, wrote)| std::future::ready(*wrote > since || !this.own.is_in_place_of(other)))
            .map(|(other, _)| other)
            .collect()
            .await;
        replicas.push(self.own.clone());
        replicas.sort_by_cached_key(Replica::order);
        Ok(replicas)
    }

    /// Removes the presence of this process.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn leave(&self) -> Result<()> {
        let key = layout::replica(self.own.id);
        match self.storage.remove(&key, &layout::replicas()).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    async fn remove_dead(&self, found: &[Scanned], now: SystemTime) -> Result<()> {
        let dead = found.iter().filter(|found| age(found, now) > DEAD);
        let removals: Vec<Removal> = dead
            .map(|found| Removal {
                key: found.key.clone(),
                keep: layout::replicas(),
            })
            .collect();
        match removals.is_empty() {
            true => Ok(()),
            false => self.storage.remove_many(&removals).await,
        }
    }
}

/// `None` for what has ended meanwhile, or is of another version of the program.
async fn read(storage: &Arc<dyn Storage>, key: Key) -> Option<Replica> {
    let object = storage.read(&key, LARGEST).await.ok()?;
    serde_json::from_slice(&object.bytes).ok()
}

/// Time since a presence was written, by the clock of the store.
fn age(found: &Scanned, now: SystemTime) -> Duration {
    now.duration_since(found.stat.modified).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Stat, object::ObjectStorage};

    fn replica(host: &str, second: u8) -> Replica {
        Replica {
            started: format!("2026-01-02T03:04:0{second}Z"),
            ..Replica::this(host.to_owned(), "0.0.0.0:5000".to_owned(), "1")
        }
    }

    #[tokio::test]
    async fn replicas_see_each_other_until_they_leave() {
        let storage: Arc<dyn Storage> = Arc::new(ObjectStorage::in_memory());
        let mut young = Presence::new(Arc::clone(&storage), replica("young", 2));
        let mut old = Presence::new(Arc::clone(&storage), replica("old", 1));
        assert_eq!(
            young.renew(ReplicaState::Starting).await.unwrap(),
            [young.own().clone()]
        );
        let seen = old.renew(ReplicaState::Ready).await.unwrap();
        assert_eq!(seen, [old.own().clone(), young.own().clone()]);
        assert_eq!(seen[0].state, ReplicaState::Ready);
        let stray = layout::replica(Uuid::nil());
        storage
            .publish(&[Put::new(stray, "of another version")])
            .await
            .unwrap();
        assert_eq!(young.renew(ReplicaState::Ready).await.unwrap().len(), 2);
        let both = serving(&storage).await.unwrap();
        assert_eq!(both.len(), 2, "a process that is none of them sees both");
        assert_eq!(both[0].host, "old");
        old.leave().await.unwrap();
        old.leave().await.unwrap();
        assert_eq!(serving(&storage).await.unwrap(), [young.own().clone()]);
        assert_eq!(
            young.renew(ReplicaState::Ready).await.unwrap(),
            [young.own().clone()]
        );
    }

    #[tokio::test]
    async fn a_process_that_died_is_not_seen_by_the_one_in_its_place() {
        let storage: Arc<dyn Storage> = Arc::new(ObjectStorage::in_memory());
        let mut killed = Presence::new(Arc::clone(&storage), replica("a", 1));
        killed.renew(ReplicaState::Ready).await.unwrap();
        let mut again = Presence::new(Arc::clone(&storage), replica("a", 2));
        assert_eq!(
            again.renew(ReplicaState::Ready).await.unwrap(),
            [again.own().clone()]
        );
    }

    #[test]
    fn the_clock_of_the_store_says_how_old_a_presence_is() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let found = |modified| Scanned {
            key: layout::replica(Uuid::nil()),
            stat: Stat {
                size: 1,
                modified,
                version: None,
            },
        };
        assert!(age(&found(now - LONGEST_SILENCE), now) <= LONGEST_SILENCE);
        assert!(age(&found(now - LONGEST_SILENCE - Duration::from_secs(1)), now) > LONGEST_SILENCE);
        assert_eq!(age(&found(now + DEAD), now), Duration::ZERO);
    }
}
