//! The mounts of a process, from the text of `/proc/PID/mountinfo`, and where a container has a directory of this machine.

use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Number that no other mount of the machine has, in no mount namespace
    id: u32,
    /// Device of the file system, as `8:1`
    device: String,
    /// Directory of the file system that is mounted
    root: PathBuf,
    /// Path at which it is mounted
    point: PathBuf,
    is_read_only: bool,
}

/// Reads the lines of `/proc/PID/mountinfo`.
pub(super) fn parse(text: &str) -> Vec<Mount> {
    text.lines().filter_map(mount).collect()
}

fn mount(line: &str) -> Option<Mount> {
    let mut fields = line.split(' ');
    let id = fields.next()?.parse().ok()?;
    let device = fields.nth(1)?.to_owned();
    let (root, point) = (unescaped(fields.next()?), unescaped(fields.next()?));
    let is_read_only = fields.next()?.split(',').any(|option| option == "ro");
    Some(Mount {
        id,
        device,
        root,
        point,
        is_read_only,
    })
}

/// A path of the table, in which spaces and a few others are octal: `\040`.
fn unescaped(field: &str) -> PathBuf {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let octal = (byte == b'\\').then(|| after.get(..3)).flatten();
        let number = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match number {
            Some(number) => {
                path.push(number);
                rest = &after[3..];
            }
            None => {
                path.push(byte);
                rest = after;
            }
        }
    }
    OsString::from_vec(path).into()
}

/// Where another mount namespace has `directory`, a path of this one without symbolic links, to write to it: the path of the
/// mount that reaches it or a part of it. `None`: nowhere.
///
/// A file system that is mounted as a whole tells nothing: it may be the disk of the machine.
pub(super) fn place_of(directory: &Path, own: &[Mount], other: &[Mount]) -> Option<PathBuf> {
    let mine = own
        .iter()
        .filter(|mount| directory.starts_with(&mount.point))
        // Of two mounts at one path, the later one hides the earlier one.
        .max_by_key(|mount| mount.point.components().count())?;
    let in_file_system = mine.root.join(directory.strip_prefix(&mine.point).ok()?);
    let found = other.iter().find(|mount| {
        let is_whole = mount.root == Path::new("/") && in_file_system != Path::new("/");
        let reaches = in_file_system.starts_with(&mount.root) || mount.root.starts_with(&in_file_system);
        let is_own = own.iter().any(|mine| mine.id == mount.id);
        mount.device == mine.device && reaches && !is_whole && !is_own && !mount.is_read_only
    })?;
    Some(found.point.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "\
        22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        25 22 0:21 / /proc rw,nosuid - proc proc rw\n\
        30 22 8:17 / /srv rw - xfs /dev/sdb1 rw\n";

    fn container(lines: &str) -> Vec<Mount> {
        parse(&format!("400 300 0:50 / / rw - overlay overlay rw\n{lines}"))
    }

    #[test]
    fn a_directory_is_found_where_a_container_has_it() {
        let place = |directory: &str, lines: &str| {
            let place = place_of(Path::new(directory), &parse(OWN), &container(lines));
            place.map(|place| place.display().to_string())
        };
        let some = |path: &str| Some(path.to_owned());
        let line = |device: &str, root: &str, options: &str| {
            format!("401 400 {device} {root} /var/lib/registry {options} - xfs /dev/sdb1 rw\n")
        };
        let data = "/srv/registry/data";
        for root in ["/registry/data", "/registry", "/registry/data/docker"] {
            assert_eq!(
                place(data, &line("8:17", root, "rw")),
                some("/var/lib/registry"),
                "{root}"
            );
        }
        for (device, root, options) in [
            ("8:17", "/registry/other", "rw"),
            ("8:17", "/registry/data2", "rw"),
            ("8:1", "/registry/data", "rw"),
            ("8:17", "/", "rw"),
            ("8:17", "/registry/data", "ro,relatime"),
        ] {
            assert_eq!(place(data, &line(device, root, options)), None, "{device} {root}");
        }
        // The whole disk is the directory.
        assert_eq!(place("/srv", &line("8:17", "/", "rw")), some("/var/lib/registry"));
        assert_eq!(
            place("/data/a b", &line("8:1", "/data/a\\040b", "rw")),
            some("/var/lib/registry")
        );
    }

    #[test]
    fn the_mounts_of_this_namespace_are_no_container() {
        let own = parse(OWN);
        assert_eq!(place_of(Path::new("/srv"), &own, &own), None);
    }
}
