//! The one module that makes system calls on files: the [`Disk`] trait and the real disk.
//!
//! Everything above works on a [`Disk`], so that a simulated one can take its place and cut the
//! power between any two effects. Paths are relative to the root of the store. What decides about
//! durability (rename into a directory, sync of a directory) takes an *open* directory: the entry
//! that is written and the directory that is synced are then the same, whatever happens to the
//! path meanwhile.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    ops::ControlFlow,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Once,
    time::{Duration, SystemTime},
};

use rustix::{
    fs::{
        AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, RawDir, RenameFlags, SeekFrom,
        StatVfsMountFlags, Timespec, Timestamps, UTIME_OMIT, fadvise, flock, fstat, fstatfs, fstatvfs, fsync,
        ftruncate, futimens, linkat, mkdirat, openat, renameat, renameat_with, seek, statat, unlinkat,
    },
    io::{Errno, ReadWriteFlags, pread, preadv2, pwritev, retry_on_intr},
};

use crate::Space;

/// Directories are created as registry:2 does: everything that the umask leaves.
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o777);
const FILE_MODE: Mode = Mode::from_raw_mode(0o666);
const PRIVATE_FILE_MODE: Mode = Mode::from_raw_mode(0o600);
/// Attempts to lock a file that another program removes meanwhile.
const ATTEMPTS: u32 = 100;

/// The effects and observations that the engine needs from a file system.
///
/// Everything takes `&self` and may block, except [`read_at_once`](Self::read_at_once), and what
/// only looks at metadata is quick enough for an async thread.
///
/// # Errors
///
/// Each method fails as the system call of its name does; the methods say what else.
#[expect(
    clippy::missing_errors_doc,
    reason = "thirty system calls; their errors are those of the manual"
)]
pub trait Disk: std::fmt::Debug + Send + Sync + 'static {
    /// An open regular file.
    type File: Send + Sync + 'static;
    /// An open directory.
    type Directory: Send + Sync + 'static;
    /// Exclusive use of the store, released when dropped.
    type Lock: Send + Sync + 'static;

    /// Takes exclusive use of the store with a lock file at `path`, which will hold `content`.
    /// `Err` with [`io::ErrorKind::WouldBlock`] and the content that is there as its text when
    /// another process has it.
    fn lock(&self, path: &str, content: &str) -> io::Result<Self::Lock>;
    /// Whether the file at `path` is the one that `lock` is held on.
    fn is_locked_at(&self, lock: &Self::Lock, path: &str) -> io::Result<bool>;

    /// What is at `path`; symbolic links are followed.
    fn stat(&self, path: &str) -> io::Result<Metadata>;
    /// What is at `name` in an open directory; symbolic links are followed.
    fn stat_at(&self, directory: &Self::Directory, path: &str) -> io::Result<Metadata>;
    /// The state of an open file.
    fn stat_file(&self, file: &Self::File) -> io::Result<Metadata>;
    /// The names in a directory, in no order, without `.` and `..`.
    fn read_directory(
        &self,
        path: &str,
        each: &mut dyn FnMut(&[u8], Kind) -> ControlFlow<()>,
    ) -> io::Result<()>;
    /// The names in an open directory, from its first one on.
    fn read_open_directory(
        &self,
        directory: &Self::Directory,
        each: &mut dyn FnMut(&[u8], Kind) -> ControlFlow<()>,
    ) -> io::Result<()>;

    /// Opens a file to read, without waiting, whatever kind of file it is.
    fn open(&self, path: &str) -> io::Result<Self::File>;
    /// Opens an existing file to read and write, without waiting.
    fn open_to_write(&self, path: &str) -> io::Result<Self::File>;
    /// Creates a file, which must not exist, to read and write.
    fn create(&self, path: &str) -> io::Result<Self::File>;
    /// The same of a file that only its owner may read.
    fn create_private(&self, path: &str) -> io::Result<Self::File>;
    /// Opens a directory.
    fn open_directory(&self, path: &str) -> io::Result<Self::Directory>;
    /// Opens a directory in a directory.
    fn open_directory_at(&self, directory: &Self::Directory, name: &str) -> io::Result<Self::Directory>;
    /// The same of a directory only: [`io::ErrorKind::NotADirectory`] for a symbolic link to one.
    fn open_real_directory_at(&self, directory: &Self::Directory, name: &str) -> io::Result<Self::Directory>;
    /// Identity of an open directory: device and inode.
    fn identity(&self, directory: &Self::Directory) -> io::Result<(u64, u64)>;

    /// Reads at `offset`; 0 is the end of the file.
    fn read_at(&self, file: &Self::File, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// The same without ever waiting for the disk: [`io::ErrorKind::WouldBlock`] when it would, or
    /// when the system cannot tell.
    fn read_at_once(&self, file: &Self::File, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Starts to bring a range into memory. A hint: errors are of no consequence.
    fn read_ahead(&self, file: &Self::File, offset: u64, length: u64);
    /// Writes at `offset`, and returns how much of `buffers` was taken, at least one byte.
    fn write_at(&self, file: &Self::File, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<usize>;
    /// Cuts or extends a file.
    fn set_length(&self, file: &Self::File, length: u64) -> io::Result<()>;
    /// Sets the time at which the content of a file changed.
    fn set_modified(&self, file: &Self::File, time: SystemTime) -> io::Result<()>;
    /// Starts to write a range back to the disk, without waiting. Promises nothing: it only makes
    /// the [`sync_file`](Self::sync_file) that follows short.
    fn start_writeback(&self, file: &Self::File, offset: u64, length: u64);

    /// Makes the content of a file durable. Not the name under which it is found.
    fn sync_file(&self, file: &Self::File) -> io::Result<()>;
    /// Makes the names in a directory durable. Not the name of the directory itself.
    fn sync_directory(&self, directory: &Self::Directory) -> io::Result<()>;

    /// Moves what is at `from` to `name` in `to`, in place of a file or an empty directory there.
    fn rename(&self, from: &str, to: &Self::Directory, name: &str) -> io::Result<()>;
    /// Moves the file at `from` to `name` in `to`; [`io::ErrorKind::AlreadyExists`] when something is there.
    fn rename_new(&self, from: &str, to: &Self::Directory, name: &str) -> io::Result<()>;
    /// Moves a file from one open directory to another, in place of a file there.
    fn rename_at(&self, from: (&Self::Directory, &str), to: (&Self::Directory, &str)) -> io::Result<()>;
    /// Gives the file at `from` a second name, the path `to`, at which nothing is.
    fn link_at(&self, from: (&Self::Directory, &str), to: &str) -> io::Result<()>;
    /// Creates a directory.
    fn create_directory(&self, path: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &str) -> io::Result<()>;
    /// Removes a file in an open directory.
    fn remove_file_at(&self, directory: &Self::Directory, name: &str) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_directory(&self, path: &str) -> io::Result<()>;
    /// Removes an empty directory in an open directory.
    fn remove_directory_at(&self, directory: &Self::Directory, name: &str) -> io::Result<()>;
    /// What the kernel that runs is known by: it differs after each start. `None` where that is not known.
    fn boot_id(&self) -> Option<&str> {
        None
    }
    /// Whether the root is where it was, and can be written to, as far as the kernel says so without a write.
    fn check(&self) -> io::Result<()>;
    /// The space of the file system; `None` if it does not tell.
    fn space(&self) -> io::Result<Option<Space>>;
}

/// The kind of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, or something that the file system does not tell when it lists a directory.
    Unknown,
    /// A socket, a pipe, a device.
    Other,
}

/// The state of a file or a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Kind of the file or directory
    pub kind: Kind,
    /// Size in bytes
    pub size: u64,
    /// Number of the file system that it lies on
    pub device: u64,
    /// Number within the file system. It may be used again once the file is gone.
    pub inode: u64,
    /// Whether it lies under another name as well.
    pub has_other_names: bool,
    /// When the content changed
    pub modified: Stamp,
    /// When anything about it changed; no program can set this one back.
    pub changed: Stamp,
    /// Whether the stamps come from the clock of this machine, not from a file server's.
    pub stamped_here: bool,
}

/// A file system's time stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// Seconds since the epoch
    pub seconds: i64,
    /// Nanoseconds within the second
    pub nanoseconds: u32,
}

impl From<Stamp> for SystemTime {
    fn from(stamp: Stamp) -> Self {
        let whole = Duration::from_secs(stamp.seconds.unsigned_abs());
        let base = if stamp.seconds < 0 {
            Self::UNIX_EPOCH - whole
        } else {
            Self::UNIX_EPOCH + whole
        };
        base + Duration::from_nanos(stamp.nanoseconds.into())
    }
}

impl From<SystemTime> for Stamp {
    fn from(time: SystemTime) -> Self {
        let whole = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Self {
                seconds: whole(since),
                nanoseconds: since.subsec_nanos(),
            },
            // Whole seconds are good enough for a time that no registry has seen.
            Err(before) => Self {
                seconds: -whole(before.duration()),
                nanoseconds: 0,
            },
        }
    }
}

/// Writes all of `bytes` at `offset`.
pub(super) fn write_all_at<D: Disk>(
    disk: &D,
    file: &D::File,
    mut bytes: &[u8],
    mut offset: u64,
) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = disk.write_at(file, &[IoSlice::new(bytes)], offset)?;
        bytes = &bytes[written..];
        offset += written as u64;
    }
    Ok(())
}

/// The file system of this machine, below one directory.
#[derive(Debug)]
pub struct RealDisk {
    root: OwnedFd,
    path: PathBuf,
    read_at_once: bool,
    stamped_here: bool,
    boot_id: Option<String>,
}

impl RealDisk {
    /// Opens the directory `root`; creates it, durably, with the directories above it, when there is none.
    ///
    /// # Errors
    ///
    /// When it can be neither opened nor created.
    pub fn open(root: &Path) -> io::Result<Self> {
        create_root(root)?;
        Self::open_existing(root)
    }

    /// Opens the directory `root`, which must exist.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub fn open_existing(root: &Path) -> io::Result<Self> {
        let fd = open_directory_at(CWD, root)?;
        let stamped_here = !is_remote(u64::try_from(fstatfs(&fd)?.f_type).unwrap_or(0));
        let read_at_once = kernel_reads_at_once(rustix::system::uname().release().to_str().unwrap_or(""));
        Ok(Self {
            root: fd,
            path: root.to_owned(),
            read_at_once,
            stamped_here,
            boot_id: boot_id(),
        })
    }

    /// Path of the store, as the caller named it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn metadata(&self, stat: &rustix::fs::Stat) -> Metadata {
        Metadata {
            kind: kind(FileType::from_raw_mode(stat.st_mode)),
            size: u64::try_from(stat.st_size).unwrap_or(0),
            device: stat.st_dev,
            inode: stat.st_ino,
            has_other_names: stat.st_nlink > 1,
            modified: Stamp {
                seconds: stat.st_mtime,
                nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
            },
            changed: Stamp {
                seconds: stat.st_ctime,
                nanoseconds: u32::try_from(stat.st_ctime_nsec).unwrap_or(0),
            },
            stamped_here: self.stamped_here,
        }
    }

    /// Locks the file that was opened at `path`; false when it does not lie there any more, and the lock protects nothing.
    fn lock_file(&self, file: &OwnedFd, path: &str) -> io::Result<bool> {
        if let Err(error) = retry_on_intr(|| flock(file, FlockOperation::NonBlockingLockExclusive)) {
            if error != Errno::WOULDBLOCK {
                return Err(failure_of_lock(error));
            }
            let mut holder = vec![0; 256];
            let length = pread(file, &mut holder, 0).unwrap_or(0);
            let holder = String::from_utf8_lossy(&holder[..length]).into_owned();
            return Err(io::Error::new(io::ErrorKind::WouldBlock, holder));
        }
        match self.is_locked_at(file, path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            other => other,
        }
    }

    fn open_file(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        self.open_file_with(path, flags, FILE_MODE)
    }

    fn open_file_with(&self, path: &str, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY;
        Ok(retry_on_intr(|| openat(&self.root, path, flags, mode))?)
    }
}

/// The failure of a lock that no other process holds. NFS without lockd has no locks, nor have some file systems in user
/// space.
fn failure_of_lock(error: Errno) -> io::Error {
    match error {
        Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS => {
            io::Error::new(io::ErrorKind::Unsupported, io::Error::from(error))
        }
        error => error.into(),
    }
}

impl Disk for RealDisk {
    type File = OwnedFd;
    type Directory = OwnedFd;
    type Lock = OwnedFd;

    fn lock(&self, path: &str, content: &str) -> io::Result<OwnedFd> {
        for _ in 0..ATTEMPTS {
            let file = self.open_file(path, OFlags::RDWR | OFlags::CREATE)?;
            if self.lock_file(&file, path)? {
                ftruncate(&file, 0)?;
                write_all_at(self, &file, content.as_bytes(), 0)?;
                return Ok(file);
            }
        }
        Err(io::Error::other(format!(
            "gave up after {ATTEMPTS} attempts: another program removes `{path}` again and again"
        )))
    }

    fn is_locked_at(&self, lock: &OwnedFd, path: &str) -> io::Result<bool> {
        let (held, there) = (fstat(lock)?, statat(&self.root, path, AtFlags::empty())?);
        Ok((held.st_dev, held.st_ino) == (there.st_dev, there.st_ino))
    }

    fn stat(&self, path: &str) -> io::Result<Metadata> {
        Ok(self.metadata(&statat(&self.root, path, AtFlags::empty())?))
    }

    fn stat_at(&self, directory: &OwnedFd, path: &str) -> io::Result<Metadata> {
        Ok(self.metadata(&statat(directory, path, AtFlags::empty())?))
    }

    fn stat_file(&self, file: &OwnedFd) -> io::Result<Metadata> {
        Ok(self.metadata(&fstat(file)?))
    }

    fn read_directory(
        &self,
        path: &str,
        each: &mut dyn FnMut(&[u8], Kind) -> ControlFlow<()>,
    ) -> io::Result<()> {
        self.read_open_directory(&self.open_directory(path)?, each)
    }

    fn read_open_directory(
        &self,
        directory: &OwnedFd,
        each: &mut dyn FnMut(&[u8], Kind) -> ControlFlow<()>,
    ) -> io::Result<()> {
        seek(directory, SeekFrom::Start(0))?;
        let mut buffer = vec![MaybeUninit::uninit(); 32 * 1024];
        let mut entries = RawDir::new(directory, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." && each(name, kind(entry.file_type())).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn open(&self, path: &str) -> io::Result<OwnedFd> {
        // The open of a pipe waits for its other end; the caller finds out that it is no regular file.
        self.open_file(path, OFlags::RDONLY | OFlags::NONBLOCK)
    }

    fn open_to_write(&self, path: &str) -> io::Result<OwnedFd> {
        self.open_file(path, OFlags::RDWR | OFlags::NONBLOCK)
    }

    fn create(&self, path: &str) -> io::Result<OwnedFd> {
        self.open_file(path, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)
    }

    fn create_private(&self, path: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        self.open_file_with(path, flags, PRIVATE_FILE_MODE)
    }

    fn open_directory(&self, path: &str) -> io::Result<OwnedFd> {
        open_directory_at(&self.root, Path::new(if path.is_empty() { "." } else { path }))
    }

    fn open_directory_at(&self, directory: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
        open_directory_at(directory, Path::new(name))
    }

    fn open_real_directory_at(&self, directory: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match retry_on_intr(|| openat(directory, name, flags, Mode::empty())) {
            Err(Errno::LOOP) => Err(io::ErrorKind::NotADirectory.into()),
            other => Ok(other?),
        }
    }

    fn identity(&self, directory: &OwnedFd) -> io::Result<(u64, u64)> {
        let stat = fstat(directory)?;
        Ok((stat.st_dev, stat.st_ino))
    }

    fn read_at(&self, file: &OwnedFd, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        Ok(retry_on_intr(|| pread(file, &mut *buffer, offset))?)
    }

    fn read_at_once(&self, file: &OwnedFd, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if !self.read_at_once {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let read = retry_on_intr(|| {
            preadv2(
                file,
                &mut [IoSliceMut::new(&mut *buffer)],
                offset,
                ReadWriteFlags::NOWAIT,
            )
        });
        match read {
            // A file system below that cannot (another one may be mounted inside the store).
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Err(io::ErrorKind::WouldBlock.into()),
            other => Ok(other?),
        }
    }

    fn read_ahead(&self, file: &OwnedFd, offset: u64, length: u64) {
        let length = std::num::NonZeroU64::new(length);
        if let Err(error) = fadvise(file, offset, length, rustix::fs::Advice::WillNeed) {
            tracing::trace!(%error, "no read-ahead");
        }
    }

    fn write_at(&self, file: &OwnedFd, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        // More than the kernel takes in one call (IOV_MAX).
        let buffers = &buffers[..buffers.len().min(1024)];
        match retry_on_intr(|| pwritev(file, buffers, offset))? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            written => Ok(written),
        }
    }

    fn set_length(&self, file: &OwnedFd, length: u64) -> io::Result<()> {
        Ok(retry_on_intr(|| ftruncate(file, length))?)
    }

    fn set_modified(&self, file: &OwnedFd, time: SystemTime) -> io::Result<()> {
        let stamp = Stamp::from(time);
        let times = Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: Timespec {
                tv_sec: stamp.seconds,
                tv_nsec: stamp.nanoseconds.into(),
            },
        };
        Ok(futimens(file, &times)?)
    }

    #[expect(unsafe_code, reason = "rustix has no sync_file_range")]
    fn start_writeback(&self, file: &OwnedFd, offset: u64, length: u64) {
        let (Ok(offset), Ok(length)) = (i64::try_from(offset), i64::try_from(length)) else {
            return;
        };
        // SAFETY: takes no pointers, and the descriptor is open. Its result is of no consequence:
        // the sync that follows does all the work that this left undone, and reports all errors.
        let _ =
            unsafe { libc::sync_file_range(file.as_raw_fd(), offset, length, libc::SYNC_FILE_RANGE_WRITE) };
    }

    fn sync_file(&self, file: &OwnedFd) -> io::Result<()> {
        Ok(retry_on_intr(|| fsync(file))?)
    }

    fn sync_directory(&self, directory: &OwnedFd) -> io::Result<()> {
        tolerant(retry_on_intr(|| fsync(directory)), &self.path)
    }

    fn rename(&self, from: &str, to: &OwnedFd, name: &str) -> io::Result<()> {
        Ok(renameat(&self.root, from, to, name)?)
    }

    fn rename_new(&self, from: &str, to: &OwnedFd, name: &str) -> io::Result<()> {
        match renameat_with(&self.root, from, to, name, RenameFlags::NOREPLACE) {
            // File systems that have no such rename (NFS, some of FUSE). A link refuses to replace as well.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                linkat(&self.root, from, to, name, AtFlags::empty())?;
                Ok(unlinkat(&self.root, from, AtFlags::empty())?)
            }
            other => Ok(other?),
        }
    }

    fn rename_at(&self, from: (&OwnedFd, &str), to: (&OwnedFd, &str)) -> io::Result<()> {
        Ok(renameat(from.0, from.1, to.0, to.1)?)
    }

    fn link_at(&self, from: (&OwnedFd, &str), to: &str) -> io::Result<()> {
        Ok(linkat(from.0, from.1, &self.root, to, AtFlags::empty())?)
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        Ok(mkdirat(&self.root, path, DIRECTORY_MODE)?)
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        Ok(unlinkat(&self.root, path, AtFlags::empty())?)
    }

    fn remove_file_at(&self, directory: &OwnedFd, name: &str) -> io::Result<()> {
        Ok(unlinkat(directory, name, AtFlags::empty())?)
    }

    fn remove_directory(&self, path: &str) -> io::Result<()> {
        Ok(unlinkat(&self.root, path, AtFlags::REMOVEDIR)?)
    }

    fn remove_directory_at(&self, directory: &OwnedFd, name: &str) -> io::Result<()> {
        Ok(unlinkat(directory, name, AtFlags::REMOVEDIR)?)
    }

    fn boot_id(&self) -> Option<&str> {
        self.boot_id.as_deref()
    }

    fn check(&self) -> io::Result<()> {
        let (held, there) = (fstat(&self.root)?, statat(CWD, &self.path, AtFlags::empty())?);
        if (held.st_dev, held.st_ino) != (there.st_dev, there.st_ino) {
            return Err(io::Error::other(
                "another directory lies there now: it was renamed or mounted over; restart the registry to use it",
            ));
        }
        let is_read_only = fstatvfs(&self.root)?.f_flag.contains(StatVfsMountFlags::RDONLY);
        if is_read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(())
    }

    fn space(&self) -> io::Result<Option<Space>> {
        let found = fstatvfs(&self.root)?;
        // Blocks that are kept for root are neither free nor in use.
        let used = found.f_blocks.saturating_sub(found.f_bfree);
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        let space = Space {
            free: bytes(found.f_bavail),
            total: bytes(used.saturating_add(found.f_bavail)),
        };
        Ok((space.total > 0).then_some(space))
    }
}

/// Creates `root` and what is missing above it, each synced into the directory that holds it.
fn create_root(root: &Path) -> io::Result<()> {
    match statat(CWD, root, AtFlags::empty()) {
        Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
        Ok(_) => return Ok(()),
    }
    let parent = match root.parent() {
        None => return Err(io::ErrorKind::NotFound.into()),
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
    };
    create_root(parent)?;
    match mkdirat(CWD, root, DIRECTORY_MODE) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    tolerant(fsync(open_directory_at(CWD, parent)?), parent)
}

/// The result of the sync of a directory, without the errors of file systems that cannot sync one (SMB, some of FUSE). The
/// first of them in a process is logged.
fn tolerant(synced: Result<(), Errno>, path: &Path) -> io::Result<()> {
    static WARNED: Once = Once::new();
    match synced {
        Err(error @ (Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS | Errno::BADF)) => {
            WARNED.call_once(|| {
                tracing::warn!(
                    path = %path.display(), %error,
                    "the file system of the store cannot sync directories: what was pushed last may be missing after a \
                     cut of power or a crash of the file server, although it was acknowledged; see `What wharf asks of \
                     a file system` in docs/install.md"
                );
            });
            Ok(())
        }
        other => Ok(other?),
    }
}

fn open_directory_at(base: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(retry_on_intr(|| {
        openat(base.as_fd(), path, flags, Mode::empty())
    })?)
}

fn kind(file_type: FileType) -> Kind {
    match file_type {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink | FileType::Unknown => Kind::Unknown,
        _ => Kind::Other,
    }
}

/// The id that the kernel has drawn for itself at its start.
fn boot_id() -> Option<String> {
    let file = openat(
        CWD,
        "/proc/sys/kernel/random/boot_id",
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    );
    let mut text = [0; 64];
    let count = pread(file.ok()?, &mut text, 0).ok()?;
    let id = std::str::from_utf8(&text[..count]).ok()?.trim();
    (!id.is_empty()).then(|| id.to_owned())
}

/// `RWF_NOWAIT` came with 4.14. In 5.9 and 5.10 it may return fewer bytes than there are as if the file ended.
fn kernel_reads_at_once(release: &str) -> bool {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse().unwrap_or(0));
    let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= (4, 14) && version != (5, 9) && version != (5, 10)
}

/// Whether a file system of this type takes its time stamps from another machine's clock, or is
/// not known to take them from this machine's (NFS, SMB, 9p, Ceph, FUSE, AFS, Coda).
fn is_remote(file_system_type: u64) -> bool {
    const REMOTE: [u64; 9] = [
        0x6969,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x0102_1997,
        0x00c3_6400,
        0x6573_5546,
        0x5346_414f,
        0x7375_7245,
    ];
    REMOTE.contains(&(file_system_type & 0xffff_ffff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_without_locks_is_told_from_one_that_fails() {
        for errno in [Errno::NOLCK, Errno::OPNOTSUPP, Errno::NOSYS] {
            let error = failure_of_lock(errno);
            assert_eq!(error.kind(), io::ErrorKind::Unsupported);
            let cause = error.get_ref().map(ToString::to_string);
            assert_eq!(
                cause,
                Some(io::Error::from(errno).to_string()),
                "the cause is named"
            );
        }
        let error = failure_of_lock(Errno::IO);
        assert_eq!(error.raw_os_error(), Some(Errno::IO.raw_os_error()));
    }

    #[test]
    fn reads_without_waiting_are_off_where_the_kernel_gets_them_wrong() {
        for bad in [
            "4.4.0-generic",
            "4.13.16",
            "5.9.0",
            "5.10.0-28-amd64",
            "",
            "weird",
        ] {
            assert!(!kernel_reads_at_once(bad), "{bad}");
        }
        for good in ["4.14.1", "5.8.18", "5.11.0", "5.100.0", "6.18.44-x"] {
            assert!(kernel_reads_at_once(good), "{good}");
        }
    }

    #[test]
    fn a_directory_that_cannot_be_synced_is_tolerated_and_one_that_fails_is_not() {
        let path = Path::new("/data");
        for error in [Errno::INVAL, Errno::OPNOTSUPP, Errno::NOSYS, Errno::BADF] {
            tolerant(Err(error), path).unwrap();
        }
        for error in [Errno::IO, Errno::NOSPC, Errno::ROFS] {
            tolerant(Err(error), path).unwrap_err();
        }
    }

    #[test]
    fn a_root_that_is_gone_or_replaced_is_noticed() {
        let above = tempfile::tempdir().unwrap();
        let root = above.path().join("data");
        let disk = RealDisk::open(&root).unwrap();
        disk.check().unwrap();
        renameat(CWD, &root, CWD, above.path().join("moved")).unwrap();
        assert_eq!(disk.check().unwrap_err().kind(), io::ErrorKind::NotFound);
        mkdirat(CWD, &root, DIRECTORY_MODE).unwrap();
        let error = disk.check().unwrap_err().to_string();
        assert!(error.contains("another directory"), "{error}");
    }

    #[test]
    fn a_lock_file_that_was_removed_while_it_was_opened_is_not_the_lock() {
        let root = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(root.path()).unwrap();
        let open = || disk.open_file("lock", OFlags::RDWR | OFlags::CREATE).unwrap();
        let removed = open();
        disk.remove_file("lock").unwrap();
        assert!(!disk.lock_file(&removed, "lock").unwrap());
        let replaced = open();
        assert!(!disk.lock_file(&removed, "lock").unwrap());
        assert!(disk.lock_file(&replaced, "lock").unwrap());
        let held = disk.lock("lock", "pid 1").unwrap_err();
        assert_eq!(held.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_root_is_created_with_what_is_missing_above_it() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("a/b/c");
        let disk = RealDisk::open(&root).unwrap();
        assert_eq!(disk.stat(".").unwrap().kind, Kind::Directory);
        assert!(root.is_dir());
        RealDisk::open(&root).unwrap();
    }

    #[test]
    fn stamps_before_and_after_the_epoch_convert() {
        let stamp = |seconds, nanoseconds| SystemTime::from(Stamp { seconds, nanoseconds });
        assert_eq!(stamp(1, 500), SystemTime::UNIX_EPOCH + Duration::new(1, 500));
        assert_eq!(
            stamp(-1, 500_000_000),
            SystemTime::UNIX_EPOCH - Duration::from_millis(500)
        );
    }
}
