//! The counts of pulls in the store: this process's own, and those of the others.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;
use uuid::Uuid;
use wharf_oci::RepoName;
use wharf_storage::{Error, ErrorKind, Key, Objects, Put, Removal, Result, Scanned, Version, layout};

use super::{AllPulls, Counted, Counts, Forgotten, MOST, PullCount, RepositoryPulls};
use crate::record::Record;

/// A process on a bucket writes its object at least so often.
const ALIVE: Duration = Duration::from_secs(3600);
/// An object that was not written for so long belongs to a process that ended.
const DEAD: Duration = Duration::from_secs(24 * 3600);
/// Then it has been absorbed, or never is, by whatever process names it.
const SETTLED: Duration = Duration::from_secs(26 * 3600);

/// Objects that are read, and bytes of each.
const OBJECTS: usize = 500;
const LARGEST: u64 = 64 << 20;
/// Bytes of each for a list, which is asked for often. The counts of one process have less.
const LARGEST_OF_LIST: u64 = 8 << 20;
/// Objects that are read at once.
const READS: usize = 8;
/// The largest object that is parsed on an async thread, in bytes.
const INLINE: usize = 64 << 10;
/// Repositories, tags and digests in the counts of other processes that are remembered.
const REMEMBERED: usize = 10 * MOST;
/// Objects that are absorbed in one go.
const AT_ONCE: usize = 20;

/// How often images were pulled. Clones are the same counts.
#[derive(Clone)]
pub struct Pulls {
    objects: Arc<dyn Objects>,
    own: Key,
    state: Arc<Mutex<State>>,
    /// The counts of other processes as they were read last.
    memory: Arc<Memory>,
}

/// The counts of other processes by the versions of their objects, so that what has not changed is neither read nor parsed again.
#[derive(Default)]
struct Memory {
    counts: Mutex<HashMap<Key, (Version, Arc<Counts>)>>,
    /// Held while counts are read and remembered, so that requests that come at once do not each read them.
    reading: tokio::sync::Mutex<()>,
}

struct State {
    counts: Counts,
    is_changed: bool,
    /// When those of other processes were looked at last
    looked: Option<Instant>,
}

/// The counts of another process.
struct Other {
    found: Scanned,
    counts: Arc<Counts>,
}

/// The counts of other processes.
struct Others {
    counts: Vec<Other>,
    /// Whether these are all: there were not too many, and each could be understood.
    is_complete: bool,
}

impl Pulls {
    /// The counts in `objects`. On a directory this process goes on with those of the last one; if they cannot be read, it
    /// begins anew.
    pub(crate) async fn open(objects: Arc<dyn Objects>) -> Self {
        let own = layout::pulls_of(objects.is_shared().then(Uuid::new_v4));
        let counts = match objects.is_shared() {
            true => Counts::default(),
            false => match read(&*objects, &own, LARGEST).await {
                Ok(Read::Counts(counts)) => Arc::unwrap_or_clone(counts),
                Ok(Read::Gone | Read::Unknown) => Counts::default(),
                Err(error) => {
                    tracing::warn!(%error, "the counts of pulls cannot be read, and begin anew");
                    Counts::default()
                }
            },
        };
        let began = counts.since.is_none();
        let counts = Counts {
            since: counts.since.or_else(|| Some(Timestamp::now())),
            ..counts
        };
        let state = State {
            // Without a pull as well: it counts that there was none.
            is_changed: began && !objects.is_shared(),
            counts,
            looked: None,
        };
        Self {
            objects,
            own,
            state: Arc::new(Mutex::new(state)),
            memory: Arc::default(),
        }
    }

    /// The pulls of `repository`, of all replicas, and of those `tags` and `digests` in it. Those of the last seconds are not counted yet,
    /// those of other replicas since they wrote theirs last.
    ///
    /// # Errors
    ///
    /// Those of the store, on a bucket.
    pub async fn of(
        &self,
        repository: &RepoName,
        tags: &[&str],
        digests: &[&str],
    ) -> Result<Counted<RepositoryPulls>> {
        let name = repository.as_str();
        let others = self.others_if_shared(LARGEST_OF_LIST).await?;
        let mut pulls = RepositoryPulls::default();
        let state = self.state.lock();
        let of_others = unabsorbed(&others.counts, Some(&state.counts)).map(|other| &*other.counts);
        for counts in of_others.chain([&state.counts]) {
            if let Some(counts) = counts.repositories.get(name) {
                pulls.add_some(counts, tags, digests);
            }
        }
        Ok(others.counted(pulls, &state.counts))
    }

    /// The pulls of each of `repositories` in all, of all replicas, as [`of`](Self::of) knows them. Those without any are left out.
    ///
    /// # Errors
    ///
    /// Those of the store, on a bucket.
    pub async fn totals(&self, repositories: &[&RepoName]) -> Result<Counted<HashMap<RepoName, PullCount>>> {
        let others = self.others_if_shared(LARGEST_OF_LIST).await?;
        let mut totals: HashMap<RepoName, PullCount> = HashMap::new();
        let state = self.state.lock();
        let of_others = unabsorbed(&others.counts, Some(&state.counts)).map(|other| &*other.counts);
        for counts in of_others.chain([&state.counts]) {
            for name in repositories {
                if let Some(counts) = counts.repositories.get(name.as_str()) {
                    totals.entry((*name).clone()).or_default().add(counts.total);
                }
            }
        }
        Ok(others.counted(totals, &state.counts))
    }

    /// The pulls of all repositories, of all replicas, as [`of`](Self::of) knows them.
    ///
    /// # Errors
    ///
    /// Those of the store, on a bucket.
    pub async fn all(&self) -> Result<AllPulls> {
        let others = self.others_if_shared(LARGEST).await?;
        let own = self.state.lock().counts.clone();
        Ok(all_of(&others, Some(&own)))
    }

    /// The pulls of all repositories as they are written in `objects`, for a process that does not count.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn written(objects: &dyn Objects) -> Result<AllPulls> {
        let all = read_all(objects, None, &Memory::default(), LARGEST).await?;
        Ok(all_of(&all, None))
    }

    /// Adds the pulls of `records`.
    pub(crate) fn count(&self, records: &[Record]) {
        let mut state = self.state.lock();
        if state.counts.count(records) {
            state.counts.bound(MOST);
            state.is_changed = true;
        }
    }

    /// Adds what happened to its day.
    pub(crate) fn count_days(&self, records: &[Record]) {
        let mut state = self.state.lock();
        state.is_changed |= state.counts.days.count(records);
    }

    /// Adds the bytes of manifests and blobs that clients got to this day.
    pub(crate) fn count_sent(&self, bytes: u64) {
        if bytes > 0 {
            let mut state = self.state.lock();
            state.counts.days.count_sent(Timestamp::now(), bytes);
            state.is_changed = true;
        }
    }

    /// Forgets the pulls of what was deleted.
    pub(crate) fn forget(&self, deleted: impl Iterator<Item = (RepoName, Forgotten)>) {
        let mut state = self.state.lock();
        for (repository, forgotten) in deleted {
            state.is_changed |= state.counts.forget(&repository, &forgotten);
        }
    }

    /// Writes the counts if they have changed, and once an hour to show other replicas that this one is alive. Then it takes
    /// over the counts of those that ended, unless it ends itself.
    pub(crate) async fn write(&self, is_ending: bool) -> Result<()> {
        self.write_at(SystemTime::now(), is_ending).await
    }

    async fn write_at(&self, now: SystemTime, is_ending: bool) -> Result<()> {
        let is_due = {
            let mut state = self.state.lock();
            let is_due = state.looked.is_none_or(|looked| looked.elapsed() > ALIVE);
            let is_due = is_due && self.objects.is_shared() && !is_ending;
            if is_due {
                state.looked = Some(Instant::now());
            }
            is_due
        };
        if is_due && let Err(error) = self.absorb(now).await {
            self.state.lock().looked = None;
            return Err(error);
        }
        let is_wanted = {
            let state = self.state.lock();
            state.is_changed || (is_due && state.counts.has_something())
        };
        match is_wanted {
            true => self.publish().await,
            false => Ok(()),
        }
    }

    async fn publish(&self) -> Result<()> {
        let state = Arc::clone(&self.state);
        let written = tokio::task::spawn_blocking(move || {
            let mut state = state.lock();
            state.is_changed = false;
            serde_json::to_vec(&state.counts)
        });
        let failed = |error| Error::with_source(ErrorKind::Other, "write the counts of pulls", error);
        let bytes = match written.await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) => return Err(failed(Box::from(error))),
            Err(error) => return Err(failed(Box::<dyn std::error::Error + Send + Sync>::from(error))),
        };
        let published = self.objects.publish(&[Put::new(self.own.clone(), bytes)]).await;
        if published.is_err() {
            self.state.lock().is_changed = true;
        }
        published
    }

    /// Takes over the counts of processes that ended. The documentation of [`pulls`](super) has the argument.
    async fn absorb(&self, now: SystemTime) -> Result<()> {
        let others = self.others().await?;
        if !others.is_complete {
            tracing::warn!(
                directory = layout::pulls().as_str(),
                "some counts of pulls cannot be read, or there are too many: it is not known which images were not pulled; remove those of processes that ended"
            );
        }
        self.absorb_of(others.counts, now).await
    }

    /// As [`absorb`](Self::absorb), while the process of `alive` lives.
    #[cfg(test)]
    async fn absorb_but(&self, now: SystemTime, alive: &Key) -> Result<()> {
        let mut others = self.others().await?.counts;
        others.retain(|other| other.found.key != *alive);
        self.absorb_of(others, now).await
    }

    async fn absorb_of(&self, others: Vec<Other>, now: SystemTime) -> Result<()> {
        let named: HashSet<&str> = others
            .iter()
            .flat_map(|other| &other.counts.absorbed)
            .map(|name| &**name)
            .collect();
        let mut done: Vec<&Other> = Vec::new();
        let mut dead: Vec<&Other> = Vec::new();
        for other in &others {
            let name = other.found.key.name();
            let is_older = |than| age(&other.found, now) > than;
            let names_one_that_is_left = || {
                let is_left = |name: &str| others.iter().any(|other| other.found.key.name() == name);
                other.counts.absorbed.iter().any(|name| is_left(name))
            };
            match named.contains(name) {
                true if is_older(SETTLED) => done.push(other),
                false if is_older(DEAD) && !names_one_that_is_left() => dead.push(other),
                _ => {}
            }
        }
        self.remove(&done).await?;
        dead.truncate(AT_ONCE);
        if dead.is_empty() {
            return Ok(());
        }
        let before = {
            let mut state = self.state.lock();
            let before = state.counts.clone();
            for other in &dead {
                state.counts.absorb(other.found.key.name(), &other.counts);
            }
            state.counts.bound(MOST);
            before
        };
        let is_mine = match self.publish().await {
            Ok(()) => self.is_alone_with(&dead).await,
            Err(error) => Err(error),
        };
        match is_mine {
            Ok(true) => self.remove(&dead).await,
            // Only the worker that absorbs changes the counts, so nothing else is taken back.
            Ok(false) => {
                self.state.lock().counts = before;
                self.publish().await
            }
            Err(error) => {
                let mut state = self.state.lock();
                (state.counts, state.is_changed) = (before, true);
                Err(error)
            }
        }
    }

    /// Whether no other process names one of `dead` as absorbed.
    async fn is_alone_with(&self, dead: &[&Other]) -> Result<bool> {
        let others = self.others().await?.counts;
        let is_named = |name: &str| {
            let mut named = others.iter().flat_map(|other| &other.counts.absorbed);
            named.any(|absorbed| &**absorbed == name)
        };
        Ok(!dead.iter().any(|other| is_named(other.found.key.name())))
    }

    async fn remove(&self, others: &[&Other]) -> Result<()> {
        if others.is_empty() {
            return Ok(());
        }
        let removals: Vec<Removal> = others
            .iter()
            .map(|other| Removal {
                key: other.found.key.clone(),
                keep: layout::pulls(),
            })
            .collect();
        self.objects.remove_many(&removals).await
    }

    /// The counts of other processes, read anew.
    async fn others(&self) -> Result<Others> {
        read_all(&*self.objects, Some(&self.own), &Memory::default(), LARGEST).await
    }

    /// The counts of other processes; on a directory there are none.
    async fn others_if_shared(&self, largest: u64) -> Result<Others> {
        match self.objects.is_shared() {
            true => read_all(&*self.objects, Some(&self.own), &self.memory, largest).await,
            false => Ok(Others {
                counts: Vec::new(),
                is_complete: true,
            }),
        }
    }
}

impl fmt::Debug for Pulls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pulls")
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

impl Others {
    /// What was counted, by other processes and by this one, which has `own` counts.
    fn counted<T>(&self, counts: T, own: &Counts) -> Counted<T> {
        let mut all = unabsorbed(&self.counts, Some(own))
            .map(|other| &*other.counts)
            .chain([own]);
        Counted {
            counts,
            is_complete: self.is_complete,
            has_forgotten: all.any(|counts| counts.forgotten.is_some()),
        }
    }
}

/// Those whose counts are not contained in the counts of another process.
fn unabsorbed<'a>(others: &'a [Other], own: Option<&'a Counts>) -> impl Iterator<Item = &'a Other> {
    let all = others.iter().map(|other| &*other.counts).chain(own);
    let absorbed: HashSet<&str> = all
        .flat_map(|counts| &counts.absorbed)
        .map(|name| &**name)
        .collect();
    others
        .iter()
        .filter(move |other| !absorbed.contains(other.found.key.name()))
}

/// The pulls that all processes together have counted. Where some of the counts are missing, it is not known what was not pulled.
fn all_of(others: &Others, own: Option<&Counts>) -> AllPulls {
    let mut sum = Counts::default();
    let each = unabsorbed(&others.counts, own).map(|other| &*other.counts);
    for counts in each.chain(own) {
        sum.add(counts);
    }
    let all = sum.into_all();
    AllPulls {
        since: all.since.filter(|_| others.is_complete),
        is_complete: others.is_complete,
        ..all
    }
}

/// The counts of all processes but `own`, as far as their objects have no more than `largest` bytes. What `memory` has in the same version
/// is not read again.
async fn read_all(objects: &dyn Objects, own: Option<&Key>, memory: &Memory, largest: u64) -> Result<Others> {
    let _reading = memory.reading.lock().await;
    let page = objects.scan(&layout::pulls(), None, OBJECTS).await?;
    let mut others = Others {
        counts: Vec::new(),
        is_complete: !page.more,
    };
    let found = page.objects.into_iter().filter(|found| own != Some(&found.key));
    let reads = found.map(|found| async move {
        let read = match memory.recall(&found) {
            Some(counts) => Read::Counts(counts),
            None => read(objects, &found.key, largest).await?,
        };
        Ok::<_, Error>((found, read))
    });
    let mut reads = stream::iter(reads).buffered(READS);
    while let Some(read) = reads.next().await {
        match read? {
            (found, Read::Counts(counts)) => others.counts.push(Other { found, counts }),
            (_, Read::Gone) => {}
            (_, Read::Unknown) => others.is_complete = false,
        }
    }
    memory.keep(&others.counts);
    Ok(others)
}

impl Memory {
    /// The counts in an object, if they are remembered in its version.
    fn recall(&self, found: &Scanned) -> Option<Arc<Counts>> {
        let version = found.stat.version.as_ref()?;
        let known = self.counts.lock();
        let (known, counts) = known.get(&found.key)?;
        (known == version).then(|| Arc::clone(counts))
    }

    /// Remembers the counts that were read last, and no others; of too many the first.
    fn keep(&self, others: &[Other]) {
        let mut room = REMEMBERED;
        let kept = others.iter().map_while(|other| {
            let sizes = other.counts.repositories.values().map(RepositoryPulls::size);
            room = room.checked_sub(1 + sizes.sum::<usize>())?;
            Some(other)
        });
        let kept = kept.filter_map(|other| {
            let version = other.found.stat.version.clone()?;
            Some((other.found.key.clone(), (version, Arc::clone(&other.counts))))
        });
        let kept = kept.collect();
        *self.counts.lock() = kept;
    }
}

/// What an object with counts held.
enum Read {
    Counts(Arc<Counts>),
    Gone,
    /// Another version of the program has written it in another form, or it is damaged or too large.
    Unknown,
}

async fn read(objects: &dyn Objects, key: &Key, largest: u64) -> Result<Read> {
    match objects.read(key, largest).await {
        Ok(object) => {
            let bytes = object.bytes;
            let is_small = bytes.len() <= INLINE;
            let parse = move || serde_json::from_slice::<Counts>(&bytes).ok();
            let counts = match is_small {
                true => parse(),
                false => tokio::task::spawn_blocking(parse).await.unwrap_or_default(),
            };
            Ok(counts.map_or(Read::Unknown, |counts| Read::Counts(Arc::new(counts))))
        }
        Err(error) if error.is_not_found() => Ok(Read::Gone),
        Err(error) if error.kind() == ErrorKind::TooLarge => Ok(Read::Unknown),
        Err(error) => Err(error),
    }
}

/// Time since an object was written.
fn age(found: &Scanned, now: SystemTime) -> Duration {
    now.duration_since(found.stat.modified).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use wharf_storage::{
        Operation,
        faulty::{Fault, Faulty},
        object::ObjectStorage,
    };

    use super::*;
    use crate::{
        entry::Action,
        record::{Record, Sighting},
    };

    const DAY: Duration = Duration::from_secs(25 * 3600);

    fn name() -> RepoName {
        "team/app".parse().unwrap()
    }

    fn pulls(count: u64) -> Record {
        let nothing = Sighting::by(Action::Pull, &wharf_registry::CallerFacts::default());
        let name = name();
        let sighting = Sighting {
            repository: Some(&name),
            ..nothing
        };
        let mut record = sighting.record(None);
        record.count = count;
        record
    }

    async fn replica(objects: &Arc<dyn Objects>, count: u64) -> Pulls {
        let replica = Pulls::open(Arc::clone(objects)).await;
        replica.count(&[pulls(count)]);
        replica.write(true).await.unwrap();
        replica
    }

    async fn number_of_objects(objects: &Arc<dyn Objects>) -> usize {
        let found = objects.scan(&layout::pulls(), None, OBJECTS).await.unwrap();
        found.objects.len()
    }

    async fn total(objects: &Arc<dyn Objects>) -> u64 {
        let written = Pulls::written(&**objects).await.unwrap().repositories;
        written["team/app"].total.count
    }

    #[tokio::test]
    async fn counts_of_other_processes_are_read_again_only_when_they_change() {
        let faulty = Arc::new(Faulty::new(Arc::new(ObjectStorage::in_memory())));
        let objects: Arc<dyn Objects> = Arc::clone(&faulty) as Arc<dyn Objects>;
        let (one, other) = (replica(&objects, 1).await, replica(&objects, 10).await);
        let counted = async || {
            let pulls = one.of(&name(), &[], &[]).await;
            pulls.map(|pulls| pulls.counts.total.count)
        };
        assert_eq!(counted().await.unwrap(), 11);
        faulty.inject(Fault::permission_denied().on(Operation::Read));
        assert_eq!(counted().await.unwrap(), 11);
        let totals = one.totals(&[&name()]).await.unwrap();
        assert_eq!(totals.counts[&name()].count, 11);
        other.count(&[pulls(100)]);
        other.write(true).await.unwrap();
        counted().await.unwrap_err();
        faulty.heal();
        assert_eq!(counted().await.unwrap(), 111);
    }

    #[tokio::test]
    async fn counts_are_not_all_known_once_another_process_has_forgotten_some() {
        let objects: Arc<dyn Objects> = Arc::new(ObjectStorage::in_memory());
        let (one, other) = (replica(&objects, 1).await, replica(&objects, 10).await);
        let forgets = async || one.of(&name(), &[], &[]).await.unwrap().has_forgotten;
        assert!(!forgets().await);
        {
            let mut state = other.state.lock();
            state.counts.forgotten = Some(Timestamp::now());
            state.is_changed = true;
        }
        other.write(true).await.unwrap();
        assert!(forgets().await);
        assert!(one.totals(&[]).await.unwrap().has_forgotten);
        assert!(Pulls::written(&*objects).await.unwrap().has_forgotten);
    }

    /// Requests that come at once read what is not remembered once.
    #[tokio::test(start_paused = true)]
    async fn counts_that_several_requests_need_are_read_once() {
        let faulty = Arc::new(Faulty::new(Arc::new(ObjectStorage::in_memory())));
        let objects: Arc<dyn Objects> = Arc::clone(&faulty) as Arc<dyn Objects>;
        let one = replica(&objects, 1).await;
        for count in [10, 100] {
            replica(&objects, count).await;
        }
        faulty.inject(Fault::delay(Duration::from_secs(1)).on(Operation::Read));
        let name = name();
        let reads = (0..20).map(|_| one.of(&name, &[], &[]));
        for pulls in futures_util::future::join_all(reads).await {
            assert_eq!(pulls.unwrap().counts.total.count, 111);
        }
        assert_eq!(faulty.struck(), 2);
    }

    /// Retention takes what was not pulled: a replica that cannot be asked may have counted its pulls.
    #[tokio::test]
    async fn counts_that_cannot_be_read_leave_unknown_what_was_not_pulled() {
        let objects: Arc<dyn Objects> = Arc::new(ObjectStorage::in_memory());
        let alive = replica(&objects, 1).await;
        assert!(alive.all().await.unwrap().since.is_some());
        assert!(alive.of(&name(), &[], &[]).await.unwrap().is_complete);
        let stranger = layout::pulls_of(Some(Uuid::new_v4()));
        objects
            .publish(&[Put::new(stranger, "later form")])
            .await
            .unwrap();
        assert_eq!(alive.all().await.unwrap().since, None);
        let written = Pulls::written(&*objects).await.unwrap();
        assert_eq!((written.since, written.is_complete), (None, false));
        assert!(!alive.of(&name(), &[], &[]).await.unwrap().is_complete);
        assert!(!alive.totals(&[&name()]).await.unwrap().is_complete);
        assert_eq!(total(&objects).await, 1);
    }

    #[tokio::test]
    async fn the_counts_of_processes_that_ended_are_taken_over() {
        let objects: Arc<dyn Objects> = Arc::new(ObjectStorage::in_memory());
        for count in [1, 10, 100] {
            drop(replica(&objects, count).await);
        }
        let (now, alive) = (SystemTime::now(), replica(&objects, 1000).await);
        alive.write_at(now, false).await.unwrap();
        assert_eq!(number_of_objects(&objects).await, 4, "they may be alive");
        alive.state.lock().looked = None;
        alive.write_at(now + DAY, false).await.unwrap();
        assert_eq!(
            (number_of_objects(&objects).await, total(&objects).await),
            (1, 1111)
        );
        let pulls = alive.of(&name(), &[], &[]).await.unwrap();
        assert_eq!(pulls.counts.total.count, 1111);
    }

    /// However two replicas come between each other, no count is lost, and none is there twice in the end.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn replicas_that_take_over_at_once_do_not_count_twice() {
        for _ in 0..30 {
            let objects: Arc<dyn Objects> = Arc::new(ObjectStorage::in_memory());
            for count in [1, 10, 100] {
                drop(replica(&objects, count).await);
            }
            let (one, other) = (replica(&objects, 1000).await, replica(&objects, 10_000).await);
            let later = SystemTime::now() + DAY;
            // Theirs are not old: no clock of a store is set back here, so each passes over the other one.
            let absorb = |replica: Pulls, other: Key| async move {
                tokio::spawn(async move { replica.absorb_but(later, &other).await }).await
            };
            let (first, second) = tokio::join!(
                absorb(one.clone(), other.own.clone()),
                absorb(other.clone(), one.own.clone())
            );
            first.unwrap().unwrap();
            second.unwrap().unwrap();
            assert_eq!(total(&objects).await, 11_111);
        }
    }

    /// A process that was cut after it had written what it absorbed: the object that it names counts no more.
    #[tokio::test]
    async fn what_another_process_has_absorbed_is_passed_over_and_then_removed() {
        let objects: Arc<dyn Objects> = Arc::new(ObjectStorage::in_memory());
        let ended = replica(&objects, 1).await;
        let cut = replica(&objects, 10).await;
        let ended_counts = ended.state.lock().counts.clone();
        cut.state.lock().counts.absorb(ended.own.name(), &ended_counts);
        cut.publish().await.unwrap();
        assert_eq!(total(&objects).await, 11);
        let alive = replica(&objects, 100).await;
        let later = SystemTime::now() + DAY;
        alive.absorb(later).await.unwrap();
        assert_eq!(
            (number_of_objects(&objects).await, total(&objects).await),
            (3, 111)
        );
        alive.absorb(later + DAY).await.unwrap();
        assert_eq!(
            (number_of_objects(&objects).await, total(&objects).await),
            (2, 111)
        );
        alive.absorb(later + DAY).await.unwrap();
        assert_eq!(
            (number_of_objects(&objects).await, total(&objects).await),
            (1, 111)
        );
    }
}
