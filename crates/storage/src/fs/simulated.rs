//! A disk in memory whose power can be cut after any effect, and that then forgets what was not synced.
//!
//! It promises as little as a file system without a journal does (ext2): a synced file keeps its content, and a synced
//! directory its names. Everything else that was done since may be lost or kept, each effect for itself, in any
//! combination. What is not synced of a file may be missing, zero, or old, block by block.
//!
//! No directory is ordered before another one: what was renamed from directory to directory may be found under the
//! new name, the old one, both or none, until each of the two directories is synced. Of a directory that is found under
//! two names, a check of the file system may remove either name before the store is opened, or leave both.

mod survival;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, IoSlice},
    ops::ControlFlow,
    sync::Arc,
    time::SystemTime,
};

use parking_lot::{Condvar, Mutex};

use self::survival::{Chooser, Name};
use super::sys::{Disk, Kind, Metadata, Stamp};
use crate::Space;

pub use self::survival::Survival;

const ROOT: u64 = 1;

/// The disk. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct SimulatedDisk(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Notified when a sync stops, and when it may go on
    paused: Condvar,
    /// Differs after each cut of power
    boot_id: String,
}

/// How often something was made durable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Syncs {
    /// Syncs of files
    pub files: u32,
    /// Syncs of directories
    pub directories: u32,
}

#[derive(Debug, Clone)]
struct State {
    nodes: BTreeMap<u64, Node>,
    /// Changes of names that are not durable yet, oldest first.
    pending: Vec<Change>,
    clock: i64,
    effects: usize,
    cut_after: usize,
    off: bool,
    has_no_locks: bool,
    /// The file that is locked
    locked: Option<u64>,
    mounted: Option<u64>,
    /// The directory that the process has no right to read
    denied: Option<u64>,
    reads: u64,
    syncs: Syncs,
    /// Bytes that can still be written.
    space: u64,
    /// The number of the sync of a file that fails, counted down to zero.
    failing_file_sync: Option<u32>,
    failing_directory_sync: Option<u32>,
    failing_removal: Option<u32>,
    ignored_sync: Option<u32>,
    pausing_directory_sync: Option<u32>,
    /// One for each call of `pause_directory_sync`
    pauses: Vec<Pause>,
    log: Vec<String>,
}

/// Whether a sync has stopped, and waits to be resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pause {
    NotReached,
    Reached,
    Resumed,
}

#[derive(Debug, Clone)]
struct Node {
    content: Content,
    modified: i64,
    changed: i64,
}

#[derive(Debug, Clone)]
enum Content {
    File {
        now: Vec<u8>,
        durable: Vec<u8>,
        lost: bool,
    },
    Directory {
        now: BTreeMap<String, u64>,
        durable: BTreeMap<String, u64>,
        removed: bool,
    },
}

/// One change of a name.
#[derive(Debug, Clone)]
struct Change {
    directory: u64,
    name: String,
    /// What the name stands for then
    target: Option<u64>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            nodes: BTreeMap::from([(ROOT, Node::new(Content::directory()))]),
            pending: Vec::new(),
            clock: 1_000_000,
            effects: 0,
            cut_after: usize::MAX,
            off: false,
            has_no_locks: false,
            locked: None,
            mounted: None,
            denied: None,
            reads: 0,
            syncs: Syncs::default(),
            space: u64::MAX,
            failing_file_sync: None,
            failing_directory_sync: None,
            failing_removal: None,
            ignored_sync: None,
            pausing_directory_sync: None,
            pauses: Vec::new(),
            log: Vec::new(),
        }
    }
}

impl SimulatedDisk {
    /// Lets `effects` more take place, and no more.
    pub fn cut_after(&self, effects: usize) {
        let mut state = self.0.state.lock();
        state.cut_after = state.effects + effects;
    }

    /// Lets the sync of this number, counted from 0, say that all is well and do nothing.
    pub fn ignore_sync(&self, number: u32) {
        self.0.state.lock().ignored_sync = Some(number);
    }

    /// Lets the directory `path`, which is created, lie on another file system.
    pub fn mount(&self, path: &str) {
        let mut state = self.0.state.lock();
        state.mounted = state.add(path, Content::directory()).ok();
    }

    /// Takes the right to read the directory `path` away, or gives it back.
    pub fn deny(&self, path: Option<&str>) {
        let mut state = self.0.state.lock();
        state.denied = None;
        state.denied = path.and_then(|path| state.find(path).ok());
        if let Some(denied) = state.denied {
            state.clock += 1;
            let clock = state.clock;
            if let Ok(node) = state.node(denied) {
                node.changed = clock;
            }
        }
    }

    /// Number of syncs since the last call.
    pub fn take_syncs(&self) -> Syncs {
        std::mem::take(&mut self.0.state.lock().syncs)
    }

    /// Lets `bytes` more bytes be written.
    pub fn set_space(&self, bytes: u64) {
        self.0.state.lock().space = bytes;
    }

    /// Lets the sync of a file fail, after `others` that succeed. As on Linux, what could not be
    /// written is lost and the next sync knows nothing of it.
    pub fn fail_file_sync(&self, others: u32) {
        self.0.state.lock().failing_file_sync = Some(others);
    }

    /// Lets the sync of a directory fail, after `others` that succeed.
    pub fn fail_directory_sync(&self, others: u32) {
        self.0.state.lock().failing_directory_sync = Some(others);
    }

    /// Lets the removal of a file by its path fail, after `others` that succeed. A rename that replaces nothing is a link and
    /// such a removal, as on NFS.
    pub fn fail_removal(&self, others: u32) {
        self.0.state.lock().failing_removal = Some(others);
    }

    /// Lets files have no locks.
    pub fn refuse_locks(&self) {
        self.0.state.lock().has_no_locks = true;
    }

    /// Lets the sync of a directory stop before it does anything, after `others` that do not. Returns the number of the pause.
    pub fn pause_directory_sync(&self, others: u32) -> usize {
        let mut state = self.0.state.lock();
        state.pausing_directory_sync = Some(others);
        state.pauses.push(Pause::NotReached);
        state.pauses.len() - 1
    }

    /// Waits until the sync that is to stop has stopped. Blocks.
    pub fn wait_for_pause(&self) {
        let mut state = self.0.state.lock();
        while state.pauses.last() == Some(&Pause::NotReached) {
            self.0.paused.wait(&mut state);
        }
    }

    /// Whether the sync that is to stop has stopped.
    pub fn is_paused(&self) -> bool {
        self.0.state.lock().pauses.last() == Some(&Pause::Reached)
    }

    /// Lets the sync go on that has stopped in the pause of this number.
    pub fn resume(&self, number: usize) {
        self.0.state.lock().pauses[number] = Pause::Resumed;
        self.0.paused.notify_all();
    }

    /// Stops here if this sync is the one that is to stop.
    fn pause(&self) {
        let mut state = self.0.state.lock();
        if counted_down(&mut state.pausing_directory_sync) {
            let number = state.pauses.len() - 1;
            state.pauses[number] = Pause::Reached;
            self.0.paused.notify_all();
            while state.pauses[number] == Pause::Reached {
                self.0.paused.wait(&mut state);
            }
        }
    }

    /// The effects so far, one a line.
    pub fn log(&self) -> String {
        self.0.state.lock().log.join("\n")
    }

    /// The disk as it is found when the power is back.
    pub fn after_power_cut(&self, survival: Survival) -> Self {
        let mut state = self.0.state.lock().clone();
        state.lose(&mut Chooser::new(survival));
        let state = State {
            nodes: state.nodes,
            clock: state.clock + 1_000_000,
            ..State::default()
        };
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            paused: Condvar::new(),
            boot_id: format!("{}again", self.0.boot_id),
        }))
    }

    /// All files, with their content.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.0.state.lock();
        let mut files = BTreeMap::new();
        state.walk(ROOT, "", &mut |path, node| {
            if let Content::File { now, .. } = &node.content {
                files.insert(path.to_owned(), now.clone());
            }
        });
        files
    }

    /// All directories.
    pub fn directories(&self) -> BTreeSet<String> {
        let state = self.0.state.lock();
        let mut directories = BTreeSet::new();
        state.walk(ROOT, "", &mut |path, node| {
            if matches!(node.content, Content::Directory { .. }) {
                directories.insert(path.to_owned());
            }
        });
        directories
    }

    fn look<T>(&self, look: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.0.state.lock();
        if state.off {
            Err(no_power())
        } else {
            look(&mut state)
        }
    }

    fn effect<T>(
        &self,
        what: impl FnOnce() -> String,
        effect: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.0.state.lock();
        if state.off || state.effects >= state.cut_after {
            state.off = true;
            return Err(no_power());
        }
        state.clock += 1;
        let result = effect(&mut state)?;
        state.effects += 1;
        state.log.push(what());
        Ok(result)
    }
}

impl Node {
    fn new(content: Content) -> Self {
        Self {
            content,
            modified: 0,
            changed: 0,
        }
    }
}

impl Content {
    fn directory() -> Self {
        Self::Directory {
            now: BTreeMap::new(),
            durable: BTreeMap::new(),
            removed: false,
        }
    }

    fn file() -> Self {
        Self::File {
            now: Vec::new(),
            durable: Vec::new(),
            lost: false,
        }
    }
}

impl State {
    fn node(&mut self, inode: u64) -> io::Result<&mut Node> {
        self.nodes.get_mut(&inode).ok_or_else(not_found)
    }

    fn names(&self, inode: u64) -> io::Result<&BTreeMap<String, u64>> {
        if self.denied == Some(inode) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        match self.nodes.get(&inode).map(|node| &node.content) {
            Some(Content::Directory { removed: true, .. }) | None => Err(not_found()),
            Some(Content::Directory { now, .. }) => Ok(now),
            Some(Content::File { .. }) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn find(&self, path: &str) -> io::Result<u64> {
        path.split('/')
            .filter(|name| !matches!(*name, "" | "."))
            .try_fold(ROOT, |directory, name| self.child(directory, name))
    }

    fn child(&self, directory: u64, name: &str) -> io::Result<u64> {
        self.names(directory)?.get(name).copied().ok_or_else(not_found)
    }

    fn is_directory(&self, inode: u64) -> bool {
        matches!(
            self.nodes.get(&inode),
            Some(Node {
                content: Content::Directory { .. },
                ..
            })
        )
    }

    fn parent_of<'a>(&self, path: &'a str) -> io::Result<(u64, &'a str)> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok((self.find(parent)?, name))
    }

    fn add(&mut self, path: &str, content: Content) -> io::Result<u64> {
        let (parent, name) = self.parent_of(path)?;
        if self.names(parent)?.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = self.nodes.keys().next_back().map_or(ROOT, |last| last + 1);
        let (modified, changed) = (self.clock, self.clock);
        self.nodes.insert(
            inode,
            Node {
                content,
                modified,
                changed,
            },
        );
        self.change(parent, name, Some(inode));
        Ok(inode)
    }

    fn change(&mut self, directory: u64, name: &str, target: Option<u64>) {
        let clock = self.clock;
        if let Some(node) = self.nodes.get_mut(&directory) {
            (node.modified, node.changed) = (clock, clock);
            if let Content::Directory { now, .. } = &mut node.content {
                put(now, name, target);
            }
        }
        self.pending.push(Change {
            directory,
            name: name.to_owned(),
            target,
        });
    }

    fn remove(&mut self, directory: u64, name: &str, want_directory: bool) -> io::Result<()> {
        let inode = self.child(directory, name)?;
        match (&mut self.node(inode)?.content, want_directory) {
            (Content::File { .. }, false) => {}
            (Content::File { .. }, true) => return Err(io::ErrorKind::NotADirectory.into()),
            (Content::Directory { .. }, false) => return Err(io::ErrorKind::IsADirectory.into()),
            (Content::Directory { now, removed, .. }, true) => {
                if !now.is_empty() {
                    return Err(io::ErrorKind::DirectoryNotEmpty.into());
                }
                *removed = true;
            }
        }
        self.change(directory, name, None);
        Ok(())
    }

    fn link(&mut self, from: (u64, &str), to: &str) -> io::Result<()> {
        let inode = self.child(from.0, from.1)?;
        let (directory, name) = self.parent_of(to)?;
        if self.is_directory(inode) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        if self.names(directory)?.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let clock = self.clock;
        self.node(inode)?.changed = clock;
        self.change(directory, name, Some(inode));
        Ok(())
    }

    /// Whether a node lies on the file system that is mounted.
    fn is_mounted(&self, inode: u64) -> bool {
        let mut is_below = false;
        if let Some(mounted) = self.mounted {
            let mut below = vec![mounted];
            while let (false, Some(next)) = (is_below, below.pop()) {
                is_below = next == inode;
                if let Ok(names) = self.names(next) {
                    below.extend(names.values());
                }
            }
        }
        is_below
    }

    fn rename(&mut self, from: (u64, &str), to: u64, name: &str) -> io::Result<()> {
        let (from_directory, from_name) = from;
        if self.is_mounted(from_directory) != self.is_mounted(to) {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        let inode = self.child(from_directory, from_name)?;
        if let Some(&there) = self.names(to)?.get(name) {
            if there == inode {
                return Ok(());
            }
            let is_directory = self.is_directory(inode);
            match (&mut self.node(there)?.content, is_directory) {
                (Content::File { .. }, false) => {}
                (Content::File { .. }, true) => return Err(io::ErrorKind::NotADirectory.into()),
                (Content::Directory { .. }, false) => return Err(io::ErrorKind::IsADirectory.into()),
                (Content::Directory { now, removed, .. }, true) => {
                    if !now.is_empty() {
                        return Err(io::ErrorKind::DirectoryNotEmpty.into());
                    }
                    *removed = true;
                }
            }
        }
        let clock = self.clock;
        self.node(inode)?.changed = clock;
        self.change(to, name, Some(inode));
        self.change(from_directory, from_name, None);
        Ok(())
    }

    /// Makes the changes of the names in `directory` durable, and no others.
    fn sync_names(&mut self, directory: u64) {
        let (durable, pending) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|change| change.directory == directory);
        self.pending = pending;
        self.apply(durable);
    }

    fn apply(&mut self, changes: Vec<Change>) {
        for Change {
            directory,
            name,
            target,
        } in changes
        {
            if let Some(Node {
                content: Content::Directory { durable, .. },
                ..
            }) = self.nodes.get_mut(&directory)
            {
                put(durable, &name, target);
            }
        }
    }

    /// Leaves what survives a cut of power.
    fn lose(&mut self, chooser: &mut Chooser) {
        let pending = std::mem::take(&mut self.pending);
        let total = pending.len();
        let mut lost: BTreeSet<(u64, String)> = BTreeSet::new();
        let mut kept = Vec::new();
        for (index, change) in pending.into_iter().enumerate() {
            let key = (change.directory, change.name.clone());
            // A change of a name that builds on a lost one is lost with it.
            if chooser.keep(index, total) && !lost.contains(&key) {
                kept.push(change);
            } else {
                lost.insert(key);
            }
        }
        self.apply(kept);
        self.check_names(chooser);
        for node in self.nodes.values_mut() {
            match &mut node.content {
                Content::File { now, durable, lost } => {
                    if now != durable {
                        let cache = if *lost { durable.clone() } else { now.clone() };
                        *durable = chooser.content(durable, &cache);
                    }
                    now.clone_from(durable);
                }
                Content::Directory {
                    now,
                    durable,
                    removed,
                } => {
                    now.clone_from(durable);
                    *removed = false;
                }
            }
        }
    }

    /// Does as a check of the file system: of a directory with two names it may remove either.
    fn check_names(&mut self, chooser: &mut Chooser) {
        let mut names: BTreeMap<u64, Vec<(u64, String)>> = BTreeMap::new();
        for (directory, node) in &self.nodes {
            if let Content::Directory { durable, .. } = &node.content {
                for (name, inode) in durable.iter().filter(|(_, inode)| self.is_directory(**inode)) {
                    names.entry(*inode).or_default().push((*directory, name.clone()));
                }
            }
        }
        for mut names in names.into_values().filter(|names| names.len() > 1) {
            match chooser.name() {
                Name::Both => continue,
                Name::First => drop(names.remove(0)),
                Name::Last => drop(names.pop()),
            }
            let changes = names.into_iter().map(|(directory, name)| Change {
                directory,
                name,
                target: None,
            });
            self.apply(changes.collect());
        }
    }

    fn walk(&self, inode: u64, path: &str, each: &mut dyn FnMut(&str, &Node)) {
        let Some(node) = self.nodes.get(&inode) else {
            return;
        };
        each(path, node);
        if let Content::Directory { now, .. } = &node.content {
            for (name, child) in now {
                let below = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}/{name}")
                };
                self.walk(*child, &below, each);
            }
        }
    }

    fn metadata(&self, inode: u64) -> io::Result<Metadata> {
        let node = self.nodes.get(&inode).ok_or_else(not_found)?;
        let (kind, size) = match &node.content {
            Content::File { now, .. } => (Kind::File, now.len() as u64),
            Content::Directory { .. } => (Kind::Directory, 4096),
        };
        let stamp = |seconds| Stamp {
            seconds,
            nanoseconds: 1,
        };
        let (modified, changed) = (stamp(node.modified), stamp(node.changed));
        let names = self.nodes.values().map(|node| match &node.content {
            Content::Directory { now, .. } => now.values().filter(|child| **child == inode).count(),
            Content::File { .. } => 0,
        });
        let has_other_names = names.sum::<usize>() > 1;
        Ok(Metadata {
            kind,
            size,
            device: if self.is_mounted(inode) { 2 } else { 1 },
            inode,
            has_other_names,
            modified,
            changed,
            stamped_here: true,
        })
    }
}

fn put(names: &mut BTreeMap<String, u64>, name: &str, target: Option<u64>) {
    match target {
        Some(inode) => names.insert(name.to_owned(), inode),
        None => names.remove(name),
    };
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

fn no_power() -> io::Error {
    io::Error::other("the power is off")
}

/// Counts down; true at zero, once.
fn counted_down(countdown: &mut Option<u32>) -> bool {
    match countdown {
        Some(0) => {
            *countdown = None;
            true
        }
        Some(others) => {
            *others -= 1;
            false
        }
        None => false,
    }
}

impl Disk for SimulatedDisk {
    type File = u64;
    type Directory = u64;
    type Lock = u64;

    fn lock(&self, path: &str, content: &str) -> io::Result<u64> {
        self.effect(
            || format!("lock {path}"),
            |state| {
                if state.has_no_locks {
                    return Err(io::ErrorKind::Unsupported.into());
                }
                let inode = match state.find(path) {
                    Ok(inode) => inode,
                    Err(_) => state.add(path, Content::file())?,
                };
                if state.locked.replace(inode) == Some(inode) {
                    return Err(io::Error::new(io::ErrorKind::WouldBlock, "pid 1\nsince ever\n"));
                }
                if let Content::File { now, .. } = &mut state.node(inode)?.content {
                    *now = content.into();
                }
                Ok(inode)
            },
        )
    }

    fn is_locked_at(&self, lock: &u64, path: &str) -> io::Result<bool> {
        self.look(|state| Ok(state.find(path)? == *lock))
    }

    fn stat(&self, path: &str) -> io::Result<Metadata> {
        self.look(|state| state.metadata(state.find(path)?))
    }

    fn stat_at(&self, directory: &u64, path: &str) -> io::Result<Metadata> {
        self.look(|state| {
            let mut names = path.split('/');
            let inode = names.try_fold(*directory, |directory, name| state.child(directory, name))?;
            state.metadata(inode)
        })
    }

    fn stat_file(&self, file: &u64) -> io::Result<Metadata> {
        self.look(|state| state.metadata(*file))
    }

    fn read_directory(
        &self,
        path: &str,
        each: &mut dyn FnMut(&[u8], Kind) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let directory = self.open_directory(path)?;
        self.read_open_directory(&directory, each)
    }

    fn read_open_directory(
        &self,
        directory: &u64,
        each: &mut dyn FnMut(&[u8], Kind) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let entries: Vec<_> = self.look(|state| {
            let names = state.names(*directory)?;
            Ok(names
                .iter()
                .map(|(name, inode)| (name.clone(), state.is_directory(*inode)))
                .collect())
        })?;
        for (name, is_directory) in entries.iter().rev() {
            let kind = if *is_directory {
                Kind::Directory
            } else {
                Kind::File
            };
            if each(name.as_bytes(), kind).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn open(&self, path: &str) -> io::Result<u64> {
        self.look(|state| state.find(path))
    }

    fn open_to_write(&self, path: &str) -> io::Result<u64> {
        self.look(|state| match state.find(path)? {
            directory if state.is_directory(directory) => Err(io::ErrorKind::IsADirectory.into()),
            file => Ok(file),
        })
    }

    fn create(&self, path: &str) -> io::Result<u64> {
        self.effect(
            || format!("create {path}"),
            |state| state.add(path, Content::file()),
        )
    }

    /// The simulated disk has no modes.
    fn create_private(&self, path: &str) -> io::Result<u64> {
        self.create(path)
    }

    fn open_directory(&self, path: &str) -> io::Result<u64> {
        self.look(|state| {
            let inode = state.find(path)?;
            state.names(inode).map(|_| inode)
        })
    }

    fn open_directory_at(&self, directory: &u64, name: &str) -> io::Result<u64> {
        self.look(|state| {
            let inode = state.child(*directory, name)?;
            state.names(inode).map(|_| inode)
        })
    }

    fn open_real_directory_at(&self, directory: &u64, name: &str) -> io::Result<u64> {
        self.open_directory_at(directory, name)
    }

    fn identity(&self, directory: &u64) -> io::Result<(u64, u64)> {
        Ok((1, *directory))
    }

    fn read_at(&self, file: &u64, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.look(|state| {
            let Content::File { now, .. } = &state.node(*file)?.content else {
                return Err(io::ErrorKind::IsADirectory.into());
            };
            let rest = now
                .get(usize::try_from(offset).unwrap_or(usize::MAX)..)
                .unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        })
    }

    fn read_at_once(&self, file: &u64, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let waits = self.look(|state| {
            state.reads += 1;
            Ok(state.reads % 2 == 0)
        })?;
        if waits {
            Err(io::ErrorKind::WouldBlock.into())
        } else {
            self.read_at(file, buffer, offset)
        }
    }

    fn read_ahead(&self, _file: &u64, _offset: u64, _length: u64) {}

    fn write_at(&self, file: &u64, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        let mut bytes: Vec<u8> = buffers.iter().flat_map(|buffer| buffer.iter().copied()).collect();
        let what = format!("write {} bytes at {offset} of {file}", bytes.len());
        self.effect(
            || what,
            |state| {
                bytes.truncate(usize::try_from(state.space).unwrap_or(usize::MAX));
                if bytes.is_empty() {
                    // A write which failed need not have left the file as it was.
                    if let Content::File { now, .. } = &mut state.node(*file)?.content {
                        now.extend(b"rest of a failed write");
                    }
                    return Err(io::ErrorKind::StorageFull.into());
                }
                state.space -= bytes.len() as u64;
                let clock = state.clock;
                let node = state.node(*file)?;
                (node.modified, node.changed) = (clock, clock);
                if let Content::File { now, .. } = &mut node.content {
                    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
                    now.resize(now.len().max(offset + bytes.len()), 0);
                    now[offset..offset + bytes.len()].copy_from_slice(&bytes);
                }
                Ok(bytes.len())
            },
        )
    }

    fn set_length(&self, file: &u64, length: u64) -> io::Result<()> {
        self.effect(
            || format!("cut {file} to {length}"),
            |state| {
                let clock = state.clock;
                let node = state.node(*file)?;
                (node.modified, node.changed) = (clock, clock);
                if let Content::File { now, .. } = &mut node.content {
                    now.resize(usize::try_from(length).unwrap_or(usize::MAX), 0);
                }
                Ok(())
            },
        )
    }

    fn set_modified(&self, file: &u64, time: SystemTime) -> io::Result<()> {
        self.effect(
            || format!("set the time of {file}"),
            |state| {
                let clock = state.clock;
                let node = state.node(*file)?;
                (node.modified, node.changed) = (Stamp::from(time).seconds, clock);
                Ok(())
            },
        )
    }

    fn start_writeback(&self, _file: &u64, _offset: u64, _length: u64) {}

    fn sync_file(&self, file: &u64) -> io::Result<()> {
        self.effect(
            || format!("sync the file {file}"),
            |state| {
                state.syncs.files += 1;
                if counted_down(&mut state.ignored_sync) {
                    return Ok(());
                }
                let fails = counted_down(&mut state.failing_file_sync);
                if let Content::File { now, durable, lost } = &mut state.node(*file)?.content {
                    *lost |= fails;
                    if !*lost {
                        durable.clone_from(now);
                    }
                }
                if fails {
                    Err(io::Error::from_raw_os_error(5))
                } else {
                    Ok(())
                }
            },
        )
    }

    fn sync_directory(&self, directory: &u64) -> io::Result<()> {
        self.pause();
        self.effect(
            || format!("sync the directory {directory}"),
            |state| {
                state.syncs.directories += 1;
                if counted_down(&mut state.ignored_sync) {
                    return Ok(());
                }
                if counted_down(&mut state.failing_directory_sync) {
                    return Err(io::Error::from_raw_os_error(5));
                }
                state.sync_names(*directory);
                Ok(())
            },
        )
    }

    fn rename(&self, from: &str, to: &u64, name: &str) -> io::Result<()> {
        self.effect(
            || format!("rename {from} to {name} in {to}"),
            |state| state.rename(state.parent_of(from)?, *to, name),
        )
    }

    fn rename_new(&self, from: &str, to: &u64, name: &str) -> io::Result<()> {
        self.effect(
            || format!("rename {from} to {name} in {to}, where nothing is"),
            |state| match state.child(*to, name) {
                Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                Err(_) if counted_down(&mut state.failing_removal) => {
                    let inode = state.find(from)?;
                    state.change(*to, name, Some(inode));
                    Err(io::Error::from_raw_os_error(5))
                }
                Err(_) => state.rename(state.parent_of(from)?, *to, name),
            },
        )
    }

    fn rename_at(&self, from: (&u64, &str), to: (&u64, &str)) -> io::Result<()> {
        self.effect(
            || format!("rename {} in {} to {} in {}", from.1, from.0, to.1, to.0),
            |state| state.rename((*from.0, from.1), *to.0, to.1),
        )
    }

    fn link_at(&self, from: (&u64, &str), to: &str) -> io::Result<()> {
        self.effect(
            || format!("link {} in {} to {to}", from.1, from.0),
            |state| state.link((*from.0, from.1), to),
        )
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        self.effect(
            || format!("create the directory {path}"),
            |state| state.add(path, Content::directory()).map(|_| ()),
        )
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        self.effect(
            || format!("remove {path}"),
            |state| {
                if counted_down(&mut state.failing_removal) {
                    return Err(io::Error::from_raw_os_error(5));
                }
                let (parent, name) = state.parent_of(path)?;
                state.remove(parent, name, false)
            },
        )
    }

    fn remove_file_at(&self, directory: &u64, name: &str) -> io::Result<()> {
        self.effect(
            || format!("remove {name} in {directory}"),
            |state| state.remove(*directory, name, false),
        )
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        self.effect(
            || format!("remove the directory {path}"),
            |state| {
                let (parent, name) = state.parent_of(path)?;
                state.remove(parent, name, true)
            },
        )
    }

    fn remove_directory_at(&self, directory: &u64, name: &str) -> io::Result<()> {
        self.effect(
            || format!("remove the directory {name} in {directory}"),
            |state| state.remove(*directory, name, true),
        )
    }

    fn boot_id(&self) -> Option<&str> {
        Some(&self.0.boot_id)
    }

    fn check(&self) -> io::Result<()> {
        self.look(|_| Ok(()))
    }

    fn space(&self) -> io::Result<Option<Space>> {
        self.look(|state| {
            Ok(Some(Space {
                free: state.space,
                total: u64::MAX,
            }))
        })
    }
}
