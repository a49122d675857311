//! What the machine, or the container, allows this process.

use std::path::Path;

use rustix::process::{Resource, getrlimit};

/// What the machine, or the container, allows this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// Bytes of memory, by the smallest limit of the process's control groups; `None`: no limit but the memory itself.
    pub memory: Option<usize>,
    /// Open files.
    pub descriptors: usize,
}

impl Machine {
    /// Reads the limits of this process.
    pub fn read() -> Self {
        let descriptors = getrlimit(Resource::Nofile).current;
        Self {
            memory: memory_limit(),
            descriptors: descriptors.map_or(usize::MAX, saturating),
        }
    }
}

/// The smallest limit of the control groups of this process, of version 2 or 1.
fn memory_limit() -> Option<usize> {
    let groups = read(Path::new("/proc/self/cgroup"))?;
    groups.lines().filter_map(limit_of).min()
}

/// The smallest limit from the control group of a line `id:controllers:path` to the root.
fn limit_of(line: &str) -> Option<usize> {
    let mut parts = line.splitn(3, ':');
    let (_id, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let (root, file) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.max"),
        list if list.split(',').any(|name| name == "memory") => {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return None,
    };
    let path = Path::new(path.trim_start_matches('/'));
    // In a container the path is that of the host, and only the root of it is mounted: what is missing has no limit.
    let limits = path
        .ancestors()
        .filter_map(|group| bytes(&read(&Path::new(root).join(group).join(file))?));
    limits.min()
}

/// The limit that a control group's file says. `max`, and the huge number of version 1, are none.
fn bytes(text: &str) -> Option<usize> {
    const UNLIMITED: u64 = 1 << 60;
    let limit: u64 = text.trim().parse().ok()?;
    (limit < UNLIMITED).then(|| saturating(limit))
}

#[expect(clippy::disallowed_methods, reason = "files of the kernel, none of the store")]
fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

fn saturating(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_read_as_none() {
        assert_eq!(bytes("max\n"), None);
        assert_eq!(bytes("9223372036854771712\n"), None);
        assert_eq!(bytes("67108864\n"), Some(64 << 20));
    }

    #[test]
    fn this_process_may_open_files() {
        assert!(Machine::read().descriptors > 3);
    }
}
