//! Permissions and owners of the files that the configuration names, their times, and the space of their disk.

use std::{
    fs::Metadata,
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::{fs::statvfs, process::geteuid};
use wharf_storage::layout;

use super::report::Report;
use crate::{
    config::{Auth, Engine, Settings},
    preflight,
};

const PERMISSIONS: &str = "permissions";
const CLOCK: &str = "clock";
const DISK: &str = "disk";

const OTHERS_READ: u32 = 0o004;
const OTHERS_WRITE: u32 = 0o002;
const GROUP_AND_OTHERS: u32 = 0o077;

/// The clock of a file server may differ by so much from that of this machine.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// A time before the first version of this program: the clock was not set.
const FIRST: Duration = Duration::from_secs(1_700_000_000);

/// The bit of a directory in which only the owner of a file may remove or replace it.
const STICKY: u32 = 0o1000;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A file, and the permissions that other users must not have.
struct Guarded {
    path: PathBuf,
    /// What it is, and why that matters
    what: &'static str,
    forbidden: u32,
    /// The mode that suits it
    mode: u32,
    is_directory: bool,
}

/// Looks at permissions, owners, the clock and the disk. `has_secret`: the configuration file itself has one.
pub(super) fn look(settings: &Settings, has_secret: bool, report: &mut Report) {
    if let Some(problem) = preflight::store(settings) {
        report.problem(PERMISSIONS, problem, remedy_for_data(settings));
    }
    let findings = preflight::environment(settings);
    for problem in findings.problems {
        report.problem(
            PERMISSIONS,
            problem,
            "let the user that the server runs as read and make it",
        );
    }
    for guarded in guarded(settings, has_secret) {
        guarded.look(report);
    }
    if let Engine::Filesystem { root } = &settings.storage {
        owners(root, report);
    }
    if report.worst_of(PERMISSIONS).is_none() {
        report.ok(
            PERMISSIONS,
            "what is secret is closed to other users, and the data can be written",
        );
    }
    clock(settings, report);
    if let Engine::Filesystem { root } = &settings.storage {
        disk(root, settings.server.read_only, report);
    }
}

fn remedy_for_data(settings: &Settings) -> String {
    match &settings.storage {
        Engine::Filesystem { root } => format!(
            "give the directory to the user that the server runs as, `chown -R USER {}`, and run this as that user; or correct \
             `storage.filesystem.rootdirectory`",
            root.display()
        ),
        _ => "correct the credentials of the bucket".to_owned(),
    }
}

fn guarded(settings: &Settings, has_secret: bool) -> Vec<Guarded> {
    let file = |path: &Path, what, forbidden, mode| Guarded {
        path: path.to_owned(),
        what,
        forbidden,
        mode,
        is_directory: false,
    };
    let directory = |path: &Path, what| Guarded {
        is_directory: true,
        ..file(path, what, OTHERS_WRITE, 0o755)
    };
    let directory_of = |path: &Path, what| {
        let above = path.parent().filter(|above| !above.as_os_str().is_empty());
        directory(above.unwrap_or(Path::new(".")), what)
    };
    let mut files = Vec::new();
    if let Some(source) = &settings.source {
        files.push(match has_secret {
            true => file(
                &source.path,
                "the configuration, which has secrets",
                OTHERS_READ | OTHERS_WRITE,
                0o600,
            ),
            false => file(&source.path, "the configuration", OTHERS_WRITE, 0o644),
        });
    }
    if let Some(tls) = &settings.tls {
        let both = OTHERS_READ | OTHERS_WRITE;
        files.push(file(&tls.key, "the private key of the certificate", both, 0o600));
        files.push(directory_of(&tls.key, "the directory of the private key"));
        files.push(file(&tls.certificate, "the certificate", OTHERS_WRITE, 0o644));
    }
    if let Some(htpasswd) = settings.auth.as_ref().and_then(Auth::htpasswd) {
        let both = OTHERS_READ | OTHERS_WRITE;
        files.push(file(&htpasswd.path, "the password file", both, 0o600));
        files.push(directory_of(&htpasswd.path, "the directory of the password file"));
    }
    if let Some(rules) = &settings.access.rules {
        files.push(file(rules, "the file of access rules", OTHERS_WRITE, 0o644));
    }
    if let Engine::Filesystem { root } = &settings.storage {
        files.push(directory(root, "the data directory"));
        for key in [layout::token_keys(), layout::robot_tokens()] {
            let path = root.join(key.as_str());
            files.push(file(
                &path,
                "the state of the token server",
                GROUP_AND_OTHERS,
                0o600,
            ));
        }
    }
    files
}

impl Guarded {
    fn look(&self, report: &mut Report) {
        // A file that is missing is the business of another check.
        let Ok(found) = self.path.metadata() else { return };
        // Devices, such as `/dev/null` for no configuration, are open to all.
        let is_expected = match self.is_directory {
            true => found.is_dir(),
            false => found.is_file(),
        };
        // In a directory such as `/tmp`, files of other users cannot be replaced.
        let is_sticky = found.is_dir() && found.mode() & STICKY != 0;
        if !is_expected || is_sticky {
            return;
        }
        let open = found.mode() & self.forbidden;
        let (path, what) = (self.path.display(), self.what);
        let remedy = format!("chmod {:o} {path}", self.mode);
        if open & 0o022 != 0 {
            report.problem(
                PERMISSIONS,
                format!("other users can change {what}, `{path}`"),
                remedy,
            );
        } else if open != 0 {
            report.problem(
                PERMISSIONS,
                format!("other users can read {what}, `{path}`"),
                remedy,
            );
        }
    }
}

/// Compares the owners of the directories that a server writes to.
fn owners(root: &Path, report: &mut Report) {
    let Ok(owner) = root.metadata().map(|found| found.uid()) else {
        return;
    };
    let places = [
        "docker",
        "docker/registry",
        "docker/registry/v2",
        "docker/registry/v2/blobs",
        "docker/registry/v2/repositories",
        "wharf",
    ];
    let of = |place: &str| {
        root.join(place)
            .metadata()
            .ok()
            .map(|found: Metadata| found.uid())
    };
    let other = places
        .iter()
        .find_map(|place| Some((place, of(place).filter(|&other| other != owner)?)));
    if let Some((place, other)) = other {
        report.warning(
            PERMISSIONS,
            format!(
                "`{}` belongs to user {other}, and the data directory above it to user {owner}: the server may not be able to write",
                root.join(place).display()
            ),
            format!("chown -R {owner} {}", root.display()),
        );
    }
    let own = geteuid().as_raw();
    if ![own, 0].contains(&owner) && own != 0 {
        report.warning(
            PERMISSIONS,
            format!(
                "`{}` belongs to user {owner}, and this runs as user {own}",
                root.display()
            ),
            "run this as the user that the server runs as, which may write what you may not",
        );
    }
}

/// Compares the clock with the times of files, which a file server may have set.
fn clock(settings: &Settings, report: &mut Report) {
    let now = SystemTime::now();
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    if since < FIRST {
        return report.problem(
            CLOCK,
            format!("it says {}", shown(now)),
            "set it: certificates and tokens are judged by it; `timedatectl set-ntp true` keeps it right",
        );
    }
    let mut files: Vec<PathBuf> = guarded(settings, false)
        .into_iter()
        .map(|guarded| guarded.path)
        .collect();
    if let Engine::Filesystem { root } = &settings.storage {
        files.extend(
            ["docker/registry/v2", "docker/registry/v2/repositories", "wharf"].map(|name| root.join(name)),
        );
    }
    let ahead = files.iter().find_map(|path| {
        let changed = path.metadata().and_then(|found| found.modified()).ok()?;
        let ahead = changed.duration_since(now).ok()?;
        (ahead > SKEW).then_some((path, ahead))
    });
    match ahead {
        Some((path, ahead)) => report.warning(
            CLOCK,
            format!(
                "`{}` was changed {} min in the future: this clock, or that of the file server, is wrong",
                path.display(),
                ahead.as_secs() / 60
            ),
            "set the clock; `timedatectl set-ntp true` keeps it right",
        ),
        None => report.ok(CLOCK, format!("{}, and no file is newer", shown(now))),
    }
}

/// A time, to the second.
fn shown(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).ok();
    let time = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

/// The space that the disk of the data directory has left.
fn disk(root: &Path, is_only_read: bool, report: &mut Report) {
    // Where the directory does not exist yet, it will be on the disk of the one above.
    let Some(place) = root.ancestors().find(|place| place.exists()) else {
        return;
    };
    let place = if place.as_os_str().is_empty() {
        Path::new(".")
    } else {
        place
    };
    let found = match statvfs(place) {
        Ok(found) => found,
        Err(error) => {
            let text = format!(
                "cannot ask for the space of `{}`: {}",
                place.display(),
                io::Error::from(error)
            );
            return report.warning(DISK, text, "look at it with `df`");
        }
    };
    if found.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) && !is_only_read {
        return report.problem(
            DISK,
            format!("the file system of `{}` is read-only", root.display()),
            "mount it to be written, or set `storage.maintenance.readonly.enabled: true`",
        );
    }
    let space = Space {
        free: found.f_bavail.saturating_mul(found.f_frsize),
        total: found.f_blocks.saturating_mul(found.f_frsize),
        free_inodes: found.f_favail,
        inodes: found.f_files,
    };
    space.judge(root, report);
}

/// What a disk has.
struct Space {
    free: u64,
    total: u64,
    free_inodes: u64,
    /// 0: the file system has no fixed number of them
    inodes: u64,
}

impl Space {
    fn judge(&self, root: &Path, report: &mut Report) {
        let Self {
            free,
            total,
            free_inodes,
            inodes,
        } = *self;
        let more = format!(
            "free some: `wharf garbage-collect` removes what is no longer needed; or move `{}` to a larger disk",
            root.display()
        );
        let text = format!("{} of {} are free", size(free), size(total));
        if free < 64 * MIB {
            report.problem(DISK, format!("the disk is full: {text}"), more.clone());
        } else if free < GIB || free < total / 20 {
            report.warning(DISK, format!("the disk is nearly full: {text}"), more.clone());
        }
        let left = format!("{free_inodes} of {inodes} inodes are free");
        if inodes > 0 && free_inodes == 0 {
            report.problem(DISK, format!("no file can be made: {left}"), more);
        } else if inodes > 0 && free_inodes < inodes / 50 {
            report.warning(DISK, format!("few more files can be made: {left}"), more);
        }
        if report.worst_of(DISK).is_none() {
            report.ok(DISK, text);
        }
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= 10 * GIB => format!("{} GiB", bytes / GIB),
        bytes => format!("{} MiB", bytes / MIB),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::report::State, *};

    #[test]
    fn little_space_is_told_with_its_remedy() {
        let roomy = Space {
            free: 100 * GIB,
            total: 1000 * GIB,
            free_inodes: 500,
            inodes: 1000,
        };
        for (space, state, expected) in [
            (Space { ..roomy }, State::Ok, "100 GiB of 1000 GiB are free"),
            (
                Space {
                    free: 40 * GIB,
                    ..roomy
                },
                State::Warning,
                "nearly full: 40 GiB of 1000 GiB",
            ),
            (
                Space { free: MIB, ..roomy },
                State::Problem,
                "the disk is full: 1 MiB",
            ),
            (
                Space {
                    free_inodes: 0,
                    ..roomy
                },
                State::Problem,
                "no file can be made: 0 of 1000 inodes",
            ),
            (
                Space {
                    free_inodes: 9,
                    ..roomy
                },
                State::Warning,
                "few more files",
            ),
            (
                Space {
                    free_inodes: 0,
                    inodes: 0,
                    ..roomy
                },
                State::Ok,
                "are free",
            ),
        ] {
            let mut report = Report::default();
            space.judge(Path::new("/srv/data"), &mut report);
            let line = report.lines.remove(0);
            assert!(line.state == state && line.text.contains(expected), "{line:?}");
            let has_remedy = line
                .remedy
                .is_some_and(|remedy| remedy.contains("wharf garbage-collect"));
            assert_eq!(has_remedy, state != State::Ok);
        }
    }
}
