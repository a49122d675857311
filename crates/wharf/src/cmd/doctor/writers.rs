//! Other programs that write to the data directory: a registry:2 that still runs, or another server of this program.

use std::path::Path;

use rustix::{fs::statfs, process::geteuid};
use wharf_document::words;

use super::{
    processes::{self, Process, Role, Seen},
    report::Report,
};
use crate::config::{Engine, Settings};

const WRITERS: &str = "writers";

/// Number of the first process namespace of a machine, which the kernel fixes.
const FIRST_NAMESPACE: &str = "pid:[4026531836]";

/// Numbers of file systems that other machines may have mounted as well: NFS, SMB, Ceph, Lustre, and what runs over FUSE.
const NETWORK: [u32; 6] = [
    0x6969,
    0xFE53_4D42,
    0xFF53_4D42,
    0x00C3_6400,
    0x0BD0_0BD0,
    0x6573_5546,
];

/// Looks for them. `is_address_free`: no server has the address of this configuration.
pub(super) fn look(settings: &Settings, is_address_free: bool, report: &mut Report) {
    let Engine::Filesystem { root } = &settings.storage else {
        return;
    };
    if settings.server.read_only {
        let text = "this configuration only reads; it may share the directory with a server that writes";
        return report.ok(WRITERS, text);
    }
    if !root.exists() {
        return report.ok(WRITERS, format!("`{}` does not exist yet", root.display()));
    }
    match processes::using(root) {
        Ok(seen) => judge(root, &seen, is_address_free, &blind_spots(root, &seen), report),
        Err(error) => report.warning(
            WRITERS,
            format!(
                "cannot look for other programs that use `{}`: {error}",
                root.display()
            ),
            "make sure that no registry:2 runs on it",
        ),
    }
}

fn judge(root: &Path, seen: &Seen, is_address_free: bool, blind_spots: &str, report: &mut Report) {
    let directory = root.display();
    for process in &seen.processes {
        let named = named(process);
        match process.role {
            Role::Registry => report.problem(
                WRITERS,
                format!("{named} uses the same data directory, `{directory}`{}", seen_as(root, process)),
                "stop it first, such as with `docker stop` or `systemctl stop`: it has not locked the directory, and two registries that write to one \
                 directory remove what the other one has just stored",
            ),
            Role::Unknown => report.warning(
                WRITERS,
                format!("{named} may use `{directory}`: its configuration or its environment cannot be read"),
                "run this as root, or make sure that it serves another directory",
            ),
            Role::Writer => report.warning(
                WRITERS,
                format!("{named} has files in `{directory}` open to write{}", seen_as(root, process)),
                "let it end before a server starts: a backup that is restored beside one is mixed with what clients push",
            ),
            Role::Wharf { .. } => {}
        }
    }
    servers(root, seen, is_address_free, report);
    if report.worst_of(WRITERS).is_none() {
        report.ok(
            WRITERS,
            format!("no other program is seen to use `{directory}`{blind_spots}"),
        );
    }
}

/// The servers of this program, of which one at a time writes.
fn servers(root: &Path, seen: &Seen, is_address_free: bool, report: &mut Report) {
    let servers: Vec<(&Process, bool)> = seen
        .processes
        .iter()
        .filter_map(|process| match process.role {
            Role::Wharf { locks } => Some((process, locks)),
            Role::Registry | Role::Unknown | Role::Writer => None,
        })
        .collect();
    let names: Vec<String> = servers
        .iter()
        .map(|(process, _)| format!("{}{}", named(process), seen_as(root, process)))
        .collect();
    let names = names.join(", ");
    let directory = root.display();
    match servers[..] {
        [] => {}
        [_] if is_address_free => report.warning(
            WRITERS,
            format!("{names} serves `{directory}`, and no server has the address of this configuration"),
            "if it is not meant to, stop it: a second server waits until the first one has ended",
        ),
        [_] => report.ok(WRITERS, format!("{names} serves `{directory}`")),
        _ if servers.iter().all(|(_, locks)| *locks) => report.warning(
            WRITERS,
            format!("several servers are to serve `{directory}`, and one of them does: {names}"),
            "stop all but one: the others wait until the first one has ended",
        ),
        _ => report.problem(
            WRITERS,
            format!("several servers write to `{directory}`, and not all of them lock it: {names}"),
            "stop all but one; `storage.filesystem.lock: false` is for a directory that has no other server",
        ),
    }
}

fn named(process: &Process) -> String {
    format!("process {}, `{}`,", process.pid, words::cut(&process.command))
}

/// The path of the directory for a process that sees it elsewhere.
fn seen_as(root: &Path, process: &Process) -> String {
    match &process.path {
        Some(path) if path != root => format!(" (by `{}`)", path.display()),
        _ => String::new(),
    }
}

/// What cannot be seen from here.
fn blind_spots(root: &Path, seen: &Seen) -> String {
    let mut unseen = Vec::new();
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok();
    if namespace.is_none_or(|namespace| namespace.as_os_str() != FIRST_NAMESPACE) {
        unseen.push("those outside of this container");
    }
    if !geteuid().is_root() {
        unseen.push("some of other users");
    }
    if statfs(root).is_ok_and(|found| u32::try_from(found.f_type).is_ok_and(|kind| NETWORK.contains(&kind))) {
        unseen.push("those on other machines");
    }
    if seen.is_cut_short {
        unseen.push("some that have many files open");
    }
    match unseen.is_empty() {
        true => String::new(),
        false => format!("; not to be seen from here: {}", unseen.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::report::State, *};

    fn judged(roles: &[Role], is_address_free: bool) -> Vec<(State, String)> {
        let processes = roles.iter().zip(1..).map(|(&role, pid)| Process {
            pid,
            command: "registry serve c.yml".to_owned(),
            role,
            path: Some("/var/lib/registry".into()),
        });
        let seen = Seen {
            processes: processes.collect(),
            is_cut_short: false,
        };
        let mut report = Report::default();
        judge(
            Path::new("/srv"),
            &seen,
            is_address_free,
            "; not all",
            &mut report,
        );
        let lines = report.lines.into_iter();
        lines
            .inspect(|line| assert_eq!(line.remedy.is_none(), line.state == State::Ok))
            .map(|line| (line.state, line.text))
            .collect()
    }

    #[test]
    fn each_kind_of_program_is_judged() {
        let wharf = Role::Wharf { locks: true };
        let without = Role::Wharf { locks: false };
        for (roles, is_address_free, state, text) in [
            (
                &[][..],
                true,
                State::Ok,
                "no other program is seen to use `/srv`; not all",
            ),
            (
                &[Role::Registry],
                true,
                State::Problem,
                "process 1, `registry serve c.yml`, uses the same data directory, `/srv` (by `/var/lib/registry`)",
            ),
            (
                &[Role::Unknown],
                true,
                State::Warning,
                "process 1, `registry serve c.yml`, may use `/srv`: its configuration or its environment cannot be read",
            ),
            (&[Role::Writer], true, State::Warning, "open to write"),
            (&[wharf], false, State::Ok, "serves `/srv`"),
            (
                &[wharf],
                true,
                State::Warning,
                "no server has the address of this configuration",
            ),
            (
                &[wharf, wharf],
                false,
                State::Warning,
                "one of them does: process 1, ",
            ),
            (
                &[wharf, without],
                false,
                State::Problem,
                "not all of them lock it",
            ),
        ] {
            let lines = judged(roles, is_address_free);
            assert_eq!(lines.len(), 1, "{roles:?}: {lines:?}");
            assert!(
                lines[0].0 == state && lines[0].1.contains(text),
                "{roles:?}: {lines:?}"
            );
        }
        assert_eq!(judged(&[wharf, Role::Registry], false).len(), 2);
    }
}
