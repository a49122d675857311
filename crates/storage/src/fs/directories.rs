//! Which directories are known to be durable, and one sync for all requests that wait for the same directory.
//!
//! "Durable" of a directory means that it will still be found after a cut of power: its entry in
//! the directory above is synced, and so on up to the root. That a directory *exists* says nothing
//! about it: another request may have made it a moment ago, or an earlier process that was killed
//! before it could sync. So a request that puts something into a directory either finds it in the set of
//! those known to be durable, or syncs the chain above it itself.
//!
//! # Why the set is never wrong
//!
//! A path enters the set when a [`Chain`] through it was synced: each directory of the chain was
//! open, and synced, while the path did not change. A path leaves it in the same critical section
//! as the system call that creates, moves or removes the directory ([`Directories::change`]), so
//! no request sees the new directory and the old verdict. A change also invalidates the chains through that
//! path that are being synced. A removal by another program (`rm -rf`) shows as a directory
//! that is missing; wharf then creates it, which is a change.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    ops::Bound,
    sync::Arc,
};

use parking_lot::{Condvar, Mutex};

use super::sys::Disk;

/// How many durable directories are remembered, at most twice that. One path takes about 200 bytes.
const REMEMBERED: usize = 8192;

/// The directories of a store that this process knows to be durable.
#[derive(Debug, Default)]
pub(super) struct Directories {
    known: Mutex<Known>,
    groups: Mutex<HashMap<(u64, u64), Arc<Group>>>,
}

/// An open directory, and above it those that are not known to be durable.
pub(super) struct Chain<D: Disk> {
    /// The last one known to be durable, then each one below it.
    opened: Vec<D::Directory>,
    /// Identifiers of the checks of all opened directories, except the root.
    checks: Vec<u64>,
    /// Whether the chain goes through directories that another request may have put there a moment ago.
    relies_on_others: bool,
}

/// What [`Directories::open`] found.
pub(super) enum Opened<D: Disk> {
    /// The directory exists.
    Found(Chain<D>),
    /// The topmost directory that is missing.
    Missing(String),
}

#[derive(Debug, Default)]
struct Known {
    /// Two generations: when the young one is full it becomes the old one, and the old one goes.
    young: BTreeSet<Box<str>>,
    old: BTreeSet<Box<str>>,
    checks: Vec<Check>,
    next_check: u64,
}

#[derive(Debug)]
struct Check {
    id: u64,
    path: Box<str>,
    /// Whether the path changed since the check began
    invalidated: bool,
}

/// The requests that wait for a sync of one directory.
#[derive(Debug, Default)]
struct Group {
    state: Mutex<Rounds>,
    done: Condvar,
}

#[derive(Debug, Default)]
struct Rounds {
    /// Rounds are numbered from 1. Equal to `finished` when none is under way.
    started: u64,
    finished: u64,
    /// The last round that failed, and how.
    failed: Option<(u64, Option<i32>, io::ErrorKind)>,
}

impl Directories {
    /// Opens `path` with all of the chain above it that is not known to be durable.
    pub(super) fn open<D: Disk>(&self, disk: &D, path: &str) -> io::Result<Opened<D>> {
        loop {
            let base = self.known.lock().deepest(path).len();
            let opened = match disk.open_directory(&path[..base]) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && base > 0 => {
                    self.known.lock().forget(&path[..base]);
                    continue;
                }
                other => other?,
            };
            let mut known = self.known.lock();
            // It was open before it is known: had it been replaced in between, the new one's
            // being durable would mean that the removal of the open one is durable too.
            if known.deepest(path).len() != base {
                continue;
            }
            let mut chain = Chain {
                opened: vec![opened],
                checks: Vec::new(),
                relies_on_others: base < path.len(),
            };
            // Also of the durable one: it stays known as durable only if it is not replaced meanwhile.
            let known_one = (base > 0).then_some(&path[..base]);
            let paths = known_one
                .into_iter()
                .chain(below(path, base).map(|(above, _)| above));
            chain.checks.extend(paths.map(|path| known.begin(path)));
            drop(known);
            for (above, name) in below(path, base) {
                match disk.open_directory_at(&chain.opened[chain.opened.len() - 1], name) {
                    Ok(next) => chain.opened.push(next),
                    Err(error) => {
                        self.known.lock().end(&chain.checks, false);
                        return match error.kind() {
                            io::ErrorKind::NotFound => Ok(Opened::Missing(above.to_owned())),
                            _ => Err(error),
                        };
                    }
                }
            }
            return Ok(Opened::Found(chain));
        }
    }

    /// Goes down from the directory that `chain` ends in into the directory `path`, which is created if it is missing. It is
    /// `remembered` unless it is seldom written to again.
    pub(super) fn make<D: Disk>(
        &self,
        disk: &D,
        chain: &mut Chain<D>,
        path: &str,
        remembered: bool,
    ) -> io::Result<()> {
        let is_new = match self.change(path, || disk.create_directory(path)) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(error),
        };
        if remembered {
            chain.checks.push(self.known.lock().begin(path));
        }
        let name = path.rsplit('/').next().unwrap_or(path);
        chain
            .opened
            .push(disk.open_directory_at(chain.directory(), name)?);
        chain.relies_on_others |= !is_new;
        Ok(())
    }

    /// Syncs the directory that `chain` ends in, and makes it durable itself, if those above it are found where they are:
    /// see [`Chain::relies_on_others`]. [`end`](Self::end) is to be called after that.
    pub(super) fn sync_chain<D: Disk>(&self, disk: &D, chain: &Chain<D>) -> io::Result<()> {
        chain
            .opened
            .iter()
            .rev()
            .try_for_each(|directory| self.sync(disk, directory))
    }

    /// Lets go of a chain, which is `durable` when it was synced. Returns whether it is, and the path led to this very
    /// directory all the time.
    pub(super) fn end<D: Disk>(&self, chain: &Chain<D>, durable: bool) -> bool {
        self.known.lock().end(&chain.checks, durable)
    }

    /// Lets go of a chain that nothing was put into.
    pub(super) fn release<D: Disk>(&self, chain: &Chain<D>) {
        self.end(chain, false);
    }

    /// Makes `change`, which creates, moves or removes the directory `path`.
    pub(super) fn change<T>(&self, path: &str, change: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let mut known = self.known.lock();
        known.forget(path);
        change()
    }

    /// As [`change`](Self::change), for a tree whose own directories are all synced, put in place
    /// below a directory that is about to be synced: [`Placed::durable`] to be called after that.
    pub(super) fn place(&self, path: &str, change: impl FnOnce() -> io::Result<()>) -> io::Result<Placed> {
        let mut known = self.known.lock();
        known.forget(path);
        change()?;
        Ok(Placed {
            check: known.begin(path),
        })
    }

    /// Syncs one open directory. Concurrent callers for the same directory share a sync; each is
    /// satisfied only by one that started after its call.
    pub(super) fn sync<D: Disk>(&self, disk: &D, directory: &D::Directory) -> io::Result<()> {
        let identity = disk.identity(directory)?;
        let group = Arc::clone(self.groups.lock().entry(identity).or_default());
        let result = group.sync(|| disk.sync_directory(directory));
        let mut groups = self.groups.lock();
        drop(group);
        // No request can get hold of it while the map is locked.
        if groups
            .get(&identity)
            .is_some_and(|group| Arc::strong_count(group) == 1)
        {
            groups.remove(&identity);
        }
        result
    }
}

impl<D: Disk> Chain<D> {
    /// The directory itself.
    pub(super) fn directory(&self) -> &D::Directory {
        &self.opened[self.opened.len() - 1]
    }

    /// Whether a directory of the chain may belong to a tree of another request that is not settled: that one's old name is
    /// in a directory which this chain does not know.
    pub(super) fn relies_on_others(&self) -> bool {
        self.relies_on_others
    }

    /// The directories of the chain, the deepest first.
    pub(super) fn into_directories(self) -> impl Iterator<Item = D::Directory> {
        self.opened.into_iter().rev()
    }
}

/// A tree that was put in place.
pub(super) struct Placed {
    check: u64,
}

impl Placed {
    /// The directory above was synced: the tree's top and the directories `inside` it are durable.
    pub(super) fn durable(self, directories: &Directories, inside: impl Iterator<Item = String>) {
        let mut known = directories.known.lock();
        if known.end(&[self.check], true) {
            inside.for_each(|path| known.insert(path.into()));
        }
    }

    /// Forgets the tree: it is not known whether it is durable.
    pub(super) fn uncertain(self, directories: &Directories) {
        directories.known.lock().end(&[self.check], false);
    }
}

impl Known {
    /// The longest prefix of `path` that is known to be durable; the root always is.
    fn deepest<'a>(&mut self, path: &'a str) -> &'a str {
        let mut prefix = path;
        while !prefix.is_empty() && !self.contains(prefix) {
            prefix = parent(prefix);
        }
        prefix
    }

    fn contains(&mut self, path: &str) -> bool {
        if self.young.contains(path) {
            return true;
        }
        match self.old.take(path) {
            Some(path) => {
                self.insert(path);
                true
            }
            None => false,
        }
    }

    fn insert(&mut self, path: Box<str>) {
        if self.young.len() >= REMEMBERED {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(path);
    }

    /// Forgets what is known about `path` and everything below it.
    fn forget(&mut self, path: &str) {
        for generation in [&mut self.young, &mut self.old] {
            generation.remove(path);
            // `0` is the character after `/`.
            let (from, to) = (format!("{path}/"), format!("{path}0"));
            let stale: Vec<_> = generation
                .range::<str, _>((Bound::Included(&*from), Bound::Excluded(&*to)))
                .cloned()
                .collect();
            stale.iter().for_each(|path| {
                generation.remove(path);
            });
        }
        for check in &mut self.checks {
            check.invalidated |= is_at_or_below(&check.path, path);
        }
    }

    fn begin(&mut self, path: &str) -> u64 {
        self.next_check += 1;
        self.checks.push(Check {
            id: self.next_check,
            path: path.into(),
            invalidated: false,
        });
        self.next_check
    }

    /// Ends checks, topmost path first. Returns whether all of them came out well.
    fn end(&mut self, ids: &[u64], mut durable: bool) -> bool {
        for id in ids {
            if let Some(position) = self.checks.iter().position(|check| check.id == *id) {
                let check = self.checks.swap_remove(position);
                durable &= !check.invalidated;
                if durable {
                    self.insert(check.path);
                }
            }
        }
        durable
    }
}

impl Group {
    fn sync(&self, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state.lock();
        // The round under way may have started before what the caller wants synced.
        let mine = state.started + 1;
        while state.finished < mine {
            if state.started > state.finished {
                self.done.wait(&mut state);
                continue;
            }
            state.started += 1;
            let round = state.started;
            drop(state);
            let result = sync();
            state = self.state.lock();
            state.finished = round;
            if let Err(error) = &result {
                state.failed = Some((round, error.raw_os_error(), error.kind()));
            }
            self.done.notify_all();
            return result;
        }
        match state.failed {
            // A later round may have succeeded; that does not make good what an earlier one lost.
            Some((round, code, kind)) if round >= mine => {
                Err(code.map_or_else(|| kind.into(), io::Error::from_raw_os_error))
            }
            _ => Ok(()),
        }
    }
}

/// The directories of `path` below its first `base` bytes, topmost first, each with its last component.
pub(super) fn below(path: &str, base: usize) -> impl Iterator<Item = (&str, &str)> {
    let mut start = if base == 0 { 0 } else { base + 1 };
    std::iter::from_fn(move || {
        let rest = path.get(start..).filter(|rest| !rest.is_empty())?;
        let end = start + rest.find('/').unwrap_or(rest.len());
        let item = (&path[..end], &path[start..end]);
        start = end + 1;
        Some(item)
    })
}

/// The directory that holds `path`; empty for the root.
pub(super) fn parent(path: &str) -> &str {
    path.rfind('/').map_or("", |slash| &path[..slash])
}

/// Whether `path` is `directory` or lies below it.
pub(super) fn is_at_or_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_names_each_directory_of_a_path() {
        assert_eq!(
            below("a/b/c", 0).collect::<Vec<_>>(),
            [("a", "a"), ("a/b", "b"), ("a/b/c", "c")]
        );
        assert_eq!(
            below("a/b/c", 1).collect::<Vec<_>>(),
            [("a/b", "b"), ("a/b/c", "c")]
        );
        assert_eq!(below("a/b/c", 5).count(), 0);
        assert_eq!(below("", 0).count(), 0);
    }

    #[test]
    fn a_change_forgets_what_is_below_and_invalidates_checks() {
        let mut known = Known::default();
        for path in ["a", "a/b", "a/b/c", "a/bc", "a/b-c", "d"] {
            known.insert(path.into());
        }
        let check = known.begin("a/b/x");
        let other = known.begin("a/bx");
        known.forget("a/b");
        assert_eq!(known.deepest("a/b/c"), "a");
        assert_eq!(known.deepest("a/bc"), "a/bc");
        assert_eq!(known.deepest("a/b-c"), "a/b-c");
        assert!(!known.end(&[check], true));
        assert!(known.end(&[other], true));
        assert_eq!(known.deepest("a/b/x"), "a");
        assert_eq!(known.deepest("a/bx/y"), "a/bx");
    }

    #[test]
    fn a_directory_that_was_replaced_vouches_for_nothing() {
        let disk = crate::fs::simulated::SimulatedDisk::default();
        let directories = Directories::default();
        disk.create_directory("a").unwrap();
        let open = || match directories.open(&disk, "a").unwrap() {
            Opened::Found(chain) => chain,
            Opened::Missing(path) => panic!("`{path}` is missing"),
        };
        let sync = |chain| {
            directories.sync_chain(&disk, &chain).unwrap();
            directories.end(&chain, true)
        };
        assert!(sync(open()));
        assert_eq!(directories.known.lock().deepest("a/b"), "a");
        for _ in 0..2 {
            // First while the directory is known to be durable, then while it is not.
            let chain = open();
            directories.change("a", || Ok(())).unwrap();
            assert!(!sync(chain));
            assert_eq!(directories.known.lock().deepest("a/b"), "");
        }
        assert!(directories.known.lock().checks.is_empty());
    }

    #[test]
    fn what_is_in_use_survives_a_change_of_generation() {
        let mut known = Known::default();
        known.insert("used".into());
        known.insert("unused".into());
        for n in 0..2 * REMEMBERED {
            known.insert(format!("other/{n}").into());
            assert!(known.contains("used"));
        }
        assert!(!known.contains("unused"));
        assert!(known.young.len() + known.old.len() <= 2 * REMEMBERED);
    }

    #[test]
    fn waiters_share_a_sync_that_started_after_they_came() {
        use std::sync::{
            Barrier,
            atomic::{AtomicUsize, Ordering},
        };
        let group = Group::default();
        let syncs = AtomicUsize::new(0);
        let (entered, leave) = (Barrier::new(2), Barrier::new(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                group
                    .sync(|| {
                        entered.wait();
                        leave.wait();
                        syncs.fetch_add(1, Ordering::SeqCst);
                        Ok(())
                    })
                    .unwrap();
            });
            entered.wait();
            // These callers come while a sync is under way, which may not satisfy them.
            let waiters: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        group.sync(|| {
                            assert!(
                                syncs.fetch_add(1, Ordering::SeqCst) >= 1,
                                "shared a sync that began too early"
                            );
                            Ok(())
                        })
                    })
                })
                .collect();
            leave.wait();
            waiters
                .into_iter()
                .for_each(|waiter| waiter.join().unwrap().unwrap());
        });
        let syncs = syncs.load(Ordering::SeqCst);
        assert!((2..=5).contains(&syncs), "{syncs}");
    }

    #[test]
    fn a_failed_sync_fails_for_all_who_shared_it() {
        use std::sync::{
            Barrier,
            atomic::{AtomicUsize, Ordering},
        };
        let group = Group::default();
        let (entered, leave) = (Barrier::new(2), Barrier::new(2));
        let (coming, syncs) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let first = scope.spawn(|| {
                group.sync(|| {
                    entered.wait();
                    leave.wait();
                    Ok(())
                })
            });
            entered.wait();
            let waiters: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        coming.fetch_add(1, Ordering::SeqCst);
                        group.sync(|| {
                            syncs.fetch_add(1, Ordering::SeqCst);
                            Err(io::Error::from_raw_os_error(5))
                        })
                    })
                })
                .collect();
            while coming.load(Ordering::SeqCst) < 4 {
                std::thread::yield_now();
            }
            // Gives most of the callers the time to wait, and so to share a sync.
            std::thread::sleep(std::time::Duration::from_millis(50));
            leave.wait();
            first.join().unwrap().unwrap();
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap().unwrap_err().raw_os_error(), Some(5));
            }
        });
        assert!((1..=4).contains(&syncs.load(Ordering::SeqCst)));
        group.sync(|| Ok(())).unwrap();
    }
}
