//! The processes that use a data directory, and the registries that may do so, as `/proc` shows them.
//!
//! A registry keeps no file of its store open while it has nothing to do, so its command line and its configuration are
//! looked at, with its environment, from its own root directory: a container may see the directory at another path.
#![expect(
    clippy::disallowed_methods,
    reason = "`/proc` is the kernel's answer, and configurations of other servers are not in the store"
)]

use std::{
    borrow::Cow,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, Read as _},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
    path::{Component, Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxFlags, fstat, openat, openat2, statx},
    io::Errno,
};
use wharf_storage::fs::LOCK;

use super::mounts::{self, Mount};
use crate::config;

/// Commands of registry:2 that write to the data directory.
const COMMANDS: [&str; 2] = ["serve", "garbage-collect"];

/// The variable with the path of the configuration.
const CONFIGURATION: &str = "REGISTRY_CONFIGURATION_PATH";

/// How long the open files of other processes are looked at.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most bytes of a configuration, a command line or an environment.
const LIMIT: u64 = 4 << 20;

/// A process that uses the directory, or a registry that may.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// Command line of a registry; of another program, its name alone: its arguments may be secret
    pub(super) command: String,
    pub(super) role: Role,
    /// Path of the directory as the process sees it, or of a file in it
    pub(super) path: Option<PathBuf>,
}

/// How a process uses the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A server of this program; `locks`: no other one works on the directory at the same time
    Wharf { locks: bool },
    /// A registry that has not locked it, such as registry:2
    Registry,
    /// A registry of which the directory is not known
    Unknown,
    /// A program that has files in the directory open to write
    Writer,
}

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) processes: Vec<Process>,
    /// Whether not all open files could be looked at in time
    pub(super) is_cut_short: bool,
}

/// Looks at all processes but this one.
///
/// # Errors
///
/// When the directory or `/proc` cannot be read.
pub(super) fn using(directory: &Path) -> io::Result<Seen> {
    let wanted = Wanted::new(directory)?;
    let mut seen = Seen::default();
    for pid in fs::read_dir("/proc")?.flatten() {
        let pid = pid.file_name().to_str().and_then(|name| name.parse().ok());
        // A process that has ended meanwhile, and a thread of the kernel, have no command line.
        let Some(pid) = pid.filter(|&pid| pid != std::process::id()) else {
            continue;
        };
        let Some(words) = words_of(pid, "cmdline").filter(|words| !words.is_empty()) else {
            continue;
        };
        seen.processes.extend(wanted.look(pid, &words));
    }
    seen.is_cut_short = wanted.deadline < Instant::now();
    seen.processes.sort_by_key(|process| process.pid);
    Ok(seen)
}

/// A file or directory, whatever its path is.
type Identity = (u32, u32, u64);

/// The directory that is looked for.
struct Wanted {
    path: PathBuf,
    root: Identity,
    /// The directory, and its parts that are mounted from other disks
    directories: Vec<Identity>,
    /// The file that a server of this program locks
    lock: Option<Identity>,
    mounts: Vec<Mount>,
    deadline: Instant,
}

impl Wanted {
    fn new(directory: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(directory)?;
        let root = identity(&path)?;
        let below = ["docker/registry/v2/blobs", "docker/registry/v2/repositories"];
        let below = below.iter().filter_map(|name| identity(&path.join(name)).ok());
        let directories = std::iter::once(root).chain(below).collect();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        Ok(Self {
            root,
            directories,
            lock: identity(&path.join(LOCK)).ok(),
            mounts: mounts::parse(&mounts),
            path,
            deadline: Instant::now() + PATIENCE,
        })
    }

    fn look(&self, pid: u32, words: &[OsString]) -> Option<Process> {
        if let Some(command) = RegistryCommand::of(words) {
            return self.look_at_registry(pid, words, &command);
        }
        let path = self.written_by(pid)?;
        let name = read_text(&format!("/proc/{pid}/comm")).unwrap_or_default();
        Some(Process {
            pid,
            command: name.trim().to_owned(),
            role: Role::Writer,
            path: Some(path),
        })
    }

    fn look_at_registry(
        &self,
        pid: u32,
        words: &[OsString],
        command: &RegistryCommand<'_>,
    ) -> Option<Process> {
        let is_wharf = self.is_wharf(pid, command);
        // The other commands of this program take the lock for as long as they run.
        if is_wharf && command.name != "serve" {
            return None;
        }
        let (path, locks) = match self.served_by(pid, command.file) {
            Serves::This(directory) if directory.is_written => (Some(directory.root), directory.is_locked),
            Serves::This(_) => return None,
            // The file may have been changed since the process read it.
            Serves::Another => (Some(self.written_by(pid)?), true),
            Serves::Unknown => (self.reached_by(pid), true),
        };
        let role = match path {
            Some(_) if is_wharf => Role::Wharf { locks },
            Some(_) => Role::Registry,
            // A process that has just ended can no longer be looked at.
            None if words_of(pid, "cmdline").is_none_or(|now| now != words) => return None,
            None => Role::Unknown,
        };
        Some(Process {
            pid,
            command: words.join(OsStr::new(" ")).to_string_lossy().into_owned(),
            role,
            path,
        })
    }

    /// Where a registry with a configuration that cannot be read has the directory: a mount of its container, or an open file.
    fn reached_by(&self, pid: u32) -> Option<PathBuf> {
        let mounted = read_text(&format!("/proc/{pid}/mountinfo")).unwrap_or_default();
        let mounted = mounts::place_of(&self.path, &self.mounts, &mounts::parse(&mounted));
        mounted.or_else(|| self.written_by(pid))
    }

    /// Whether a registry is a server of this program: by its name, its file, or the lock that it has open.
    fn is_wharf(&self, pid: u32, command: &RegistryCommand<'_>) -> bool {
        let file = identity(Path::new(&format!("/proc/{pid}/exe")));
        let own = identity(Path::new("/proc/self/exe"));
        command.program == "wharf"
            || matches!((file, own), (Ok(file), Ok(own)) if file == own)
            || open_files(pid).any(|open| {
                open.identity()
                    .is_some_and(|identity| Some(identity) == self.lock)
            })
    }

    /// What a registry serves, by its configuration `file` and its environment, of which any variable may name another directory.
    fn served_by(&self, pid: u32, file: Option<&OsStr>) -> Serves {
        let (Some(view), Some(variables)) = (View::of(pid), environment(pid)) else {
            return Serves::Unknown;
        };
        let named = variables
            .iter()
            .find(|(name, value)| name == CONFIGURATION && !value.is_empty());
        let file = file.or(named.map(|(_, value)| value.as_os_str())).map(Path::new);
        let usual = || config::usual_place(|path| view.open(path).is_ok(), |path| view.read(path));
        let text = match file.or_else(usual).map(|file| view.read(file)) {
            Some(None) => return Serves::Unknown,
            text => text.flatten(),
        };
        let Some(directory) = config::directory_of(text.as_deref(), variables) else {
            return Serves::Another;
        };
        match view.open(&directory.root) {
            Ok(found) if identity_of(&found).is_ok_and(|found| found == self.root) => Serves::This(directory),
            Err(Errno::ACCESS | Errno::PERM | Errno::LOOP) => Serves::Unknown,
            _ => Serves::Another,
        }
    }

    /// The path of a file in the directory that a process has open to write.
    fn written_by(&self, pid: u32) -> Option<PathBuf> {
        let view = View::of(pid)?;
        let devices: Vec<(u32, u32)> = self
            .directories
            .iter()
            .map(|&(major, minor, _)| (major, minor))
            .collect();
        open_files(pid)
            .take_while(|_| Instant::now() < self.deadline)
            .filter(|open| {
                // Asked for first, so that file systems that do not answer are left alone.
                let identity = open.identity();
                identity.is_some_and(|(major, minor, _)| devices.contains(&(major, minor)))
            })
            .filter(OpenFile::is_writable)
            .map(|open| open.path)
            .find(|path| {
                path.ancestors().skip(1).any(|above| {
                    let above = view.open(above).ok();
                    let identity = above.and_then(|above| identity_of(&above).ok());
                    identity.is_some_and(|identity| self.directories.contains(&identity))
                })
            })
    }
}

/// What a registry serves.
enum Serves {
    This(config::Directory),
    Another,
    Unknown,
}

/// The file system as a process sees it.
struct View {
    root: OwnedFd,
    /// Directory that relative paths begin at
    current: Option<PathBuf>,
}

impl View {
    /// `None`: this user may not look.
    fn of(pid: u32) -> Option<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Some(Self {
            root: openat(CWD, format!("/proc/{pid}/root"), flags, Mode::empty()).ok()?,
            current: fs::read_link(format!("/proc/{pid}/cwd")).ok(),
        })
    }

    /// Finds a path of the process, and neither reads nor writes what it leads to. Symbolic links lead to what they lead to for the
    /// process; where the kernel cannot do that, a path with one is refused.
    fn open(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        let path = match (path.is_absolute(), &self.current) {
            (true, _) => path.to_owned(),
            (false, Some(current)) => current.join(path),
            (false, None) => return Err(Errno::ACCESS),
        };
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        match openat2(&self.root, &path, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
            // Kernels before 5.6, and sandboxes that know no newer calls.
            Err(Errno::NOSYS | Errno::PERM) => open_without_links(&self.root, &path),
            opened => opened,
        }
    }

    /// The text of a file; `None`: there is none that can be read. The path may be that of a device, which to open may have an effect: what
    /// it leads to is known before it is opened.
    fn read(&self, path: &Path) -> Option<String> {
        let found = File::from(self.open(path).ok()?);
        let is_readable = |found: &fs::Metadata| found.is_file() || is_null(found);
        found.metadata().ok().filter(is_readable)?;
        let again = format!("/proc/self/fd/{}", found.as_raw_fd());
        // What another process has leased must not be waited for.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        text_of(File::from(openat(CWD, again, flags, Mode::empty()).ok()?))
    }
}

/// Finds a path below `root`. It must have no symbolic link, which would begin at the root of this process, and no `..`, which could
/// leave `root`.
fn open_without_links(root: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut found = openat(root, ".", flags, Mode::empty())?;
    for component in path.components() {
        let name = match component {
            Component::Normal(name) => name,
            Component::RootDir | Component::CurDir => continue,
            Component::ParentDir | Component::Prefix(_) => return Err(Errno::LOOP),
        };
        found = openat(&found, name, flags, Mode::empty())?;
        if FileType::from_raw_mode(fstat(&found)?.st_mode) == FileType::Symlink {
            return Err(Errno::LOOP);
        }
    }
    Ok(found)
}

/// Whether a file is `/dev/null`, which is an empty configuration.
fn is_null(found: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let null = fs::metadata("/dev/null").map(|null| null.rdev());
    null.is_ok_and(|null| null == found.rdev() && found.rdev() != 0)
}

/// The command line of a registry.
struct RegistryCommand<'a> {
    /// Name of the program, without its directory
    program: Cow<'a, str>,
    name: &'a str,
    /// Configuration file that it names
    file: Option<&'a OsStr>,
}

impl<'a> RegistryCommand<'a> {
    /// `None`: it is another program, or a command that writes nothing.
    fn of(words: &'a [OsString]) -> Option<Self> {
        let [program, command, rest @ ..] = words else {
            return None;
        };
        let program = Path::new(program).file_name()?.to_string_lossy();
        // Harbor has a suffix behind the name.
        let is_registry =
            program == "wharf" || program == "docker-registry" || program.starts_with("registry");
        let name = command.to_str().filter(|command| COMMANDS.contains(command))?;
        let file = rest.iter().find(|word| !word.as_bytes().starts_with(b"-"));
        is_registry.then_some(Self {
            program,
            name,
            file: file.map(OsString::as_os_str),
        })
    }
}

/// A file that a process has open.
struct OpenFile {
    pid: u32,
    number: OsString,
    /// Path as the process sees it
    path: PathBuf,
}

/// The open files of a process that have a path; none, if this user may not look.
fn open_files(pid: u32) -> impl Iterator<Item = OpenFile> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd"));
    descriptors
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(move |entry| {
            let path = fs::read_link(entry.path())
                .ok()
                .filter(|path| path.is_absolute())?;
            Some(OpenFile {
                pid,
                number: entry.file_name(),
                path,
            })
        })
}

impl OpenFile {
    fn identity(&self) -> Option<Identity> {
        identity(
            &Path::new("/proc")
                .join(self.pid.to_string())
                .join("fd")
                .join(&self.number),
        )
        .ok()
    }

    fn is_writable(&self) -> bool {
        const ACCESS: u32 = 0o3;

        let path = format!("/proc/{}/fdinfo/{}", self.pid, self.number.display());
        let flags = read_text(&path).and_then(|text| {
            let flags = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
            u32::from_str_radix(flags.trim(), 8).ok()
        });
        flags.is_some_and(|flags| flags & ACCESS != 0)
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    of_statx(statx(CWD, path, AtFlags::STATX_DONT_SYNC, StatxFlags::INO))
}

fn identity_of(file: &OwnedFd) -> io::Result<Identity> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    of_statx(statx(file, "", flags, StatxFlags::INO))
}

fn of_statx(found: rustix::io::Result<rustix::fs::Statx>) -> io::Result<Identity> {
    let found = found?;
    Ok((found.stx_dev_major, found.stx_dev_minor, found.stx_ino))
}

/// The words of a file of a process, each of which ends with a zero byte; `None`: this user may not read it.
fn words_of(pid: u32, name: &str) -> Option<Vec<OsString>> {
    let mut bytes = Vec::new();
    let file = File::open(format!("/proc/{pid}/{name}")).ok()?;
    file.take(LIMIT).read_to_end(&mut bytes).ok()?;
    let words = bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    Some(words.map(|word| OsString::from_vec(word.to_vec())).collect())
}

/// The environment of a process; `None`: this user may not read it.
fn environment(pid: u32) -> Option<Vec<(OsString, OsString)>> {
    let variables = words_of(pid, "environ")?;
    let pair = |variable: &OsString| {
        let text = variable.as_bytes();
        let at = text.iter().position(|&byte| byte == b'=')?;
        let of = |bytes| OsStr::from_bytes(bytes).to_owned();
        Some((of(&text[..at]), of(&text[at + 1..])))
    };
    Some(variables.iter().filter_map(pair).collect())
}

fn read_text(path: &str) -> Option<String> {
    text_of(File::open(path).ok()?)
}

fn text_of(file: File) -> Option<String> {
    let mut bytes = Vec::new();
    file.take(LIMIT).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::mknodat;

    use super::*;

    fn command(words: &[&str]) -> Option<(String, Option<String>)> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let command = RegistryCommand::of(&words)?;
        let file = command.file.map(|file| file.to_string_lossy().into_owned());
        Some((command.name.to_owned(), file))
    }

    #[test]
    fn registries_are_known_by_name_and_command() {
        let some = |command: &str, file: Option<&str>| Some((command.to_owned(), file.map(str::to_owned)));
        for (words, expected) in [
            (
                &["registry", "serve", "/etc/docker/registry/config.yml"][..],
                some("serve", Some("/etc/docker/registry/config.yml")),
            ),
            (&["/usr/bin/docker-registry", "serve"], some("serve", None)),
            (
                &["registry_DO_NOT_USE_GC", "serve", "c.yml"],
                some("serve", Some("c.yml")),
            ),
            (
                &["bin/registry", "garbage-collect", "-m", "c.yml"],
                some("garbage-collect", Some("c.yml")),
            ),
            (&["wharf", "serve", "c.yml"], some("serve", Some("c.yml"))),
            (&["wharf", "doctor", "c.yml"], None),
            (&["registry", "--version"], None),
            (&["nginx", "serve", "c.yml"], None),
            (&["registry"], None),
        ] {
            assert_eq!(command(words), expected, "{words:?}");
        }
    }

    /// What this process sees.
    fn own_view() -> View {
        View::of(std::process::id()).unwrap()
    }

    #[test]
    fn only_files_are_opened() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        // The shell waits for a reader to open the other end, and is busy once one has.
        let mut child = std::process::Command::new("sh")
            .args(["-c", "echo ready; exec 3>fifo; while :; do :; done"])
            .current_dir(directory.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
        let status = format!("/proc/{}/status", child.id());
        let waits = || fs::read_to_string(&status).unwrap().contains("State:\tS");
        while !waits() {
            std::thread::yield_now();
        }
        let text = own_view().read(&fifo);
        let still_waits = waits();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(text.is_none() && still_waits);

        fs::write(directory.path().join("file"), "text").unwrap();
        symlink("file", directory.path().join("link")).unwrap();
        let read = |path: &Path| own_view().read(path);
        assert_eq!(read(&directory.path().join("link")).unwrap(), "text");
        assert_eq!(read(Path::new("/dev/null")).unwrap(), "");
        assert_eq!(read(Path::new("/dev/zero")), None);
    }

    #[test]
    fn a_link_is_not_followed_where_it_would_lead_elsewhere() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("a/b")).unwrap();
        symlink("/etc", directory.path().join("a/link")).unwrap();
        let root = View::of(std::process::id())
            .unwrap()
            .open(directory.path())
            .unwrap();
        let open = |path: &str| open_without_links(&root, Path::new(path));
        let identity_at = |path: &str| identity(&directory.path().join(path)).unwrap();
        assert_eq!(identity_of(&open("/a/b").unwrap()).unwrap(), identity_at("a/b"));
        assert_eq!(identity_of(&open("/").unwrap()).unwrap(), identity_at(""));
        for path in ["/a/link", "/a/link/passwd", "/a/../a"] {
            assert_eq!(open(path).unwrap_err(), Errno::LOOP, "{path}");
        }
        assert_eq!(open("/a/none").unwrap_err(), Errno::NOENT);
    }

    #[test]
    fn a_process_that_writes_to_a_file_is_found_and_one_that_reads_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("docker/registry/v2/blobs");
        fs::create_dir_all(&below).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let run = |script: &str| {
            let mut child = std::process::Command::new("sh")
                .args(["-c", script])
                .current_dir(&below)
                .env("ELSEWHERE", elsewhere.path())
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            // The shell says when it has the file open, and waits for the end of its input.
            let mut line = [0; 6];
            child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
            let seen = using(directory.path()).unwrap();
            let found = seen
                .processes
                .into_iter()
                .find(|process| process.pid == child.id());
            drop(child.stdin.take());
            child.wait().unwrap();
            found
        };
        let found = run("exec 3>data; echo ready; read end").expect("the shell");
        assert_eq!(found.role, Role::Writer);
        assert_eq!(found.path, Some(fs::canonicalize(below.join("data")).unwrap()));
        assert!(
            !found.command.is_empty() && !found.command.contains("exec"),
            "{found:?}"
        );
        assert_eq!(run("exec 3<data; echo ready; read end"), None);
        assert_eq!(run("exec 3>$ELSEWHERE/data; echo ready; read end"), None);
    }
}
