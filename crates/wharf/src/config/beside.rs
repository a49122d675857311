//! The data directory of a server beside this one, from that server's configuration.

use std::{ffi::OsString, path::PathBuf};

use super::{Engine, load, report::Report};

/// The variables that name the store. Those that name files with secrets end otherwise.
const STORAGE: &str = "REGISTRY_STORAGE";

/// The data directory of a server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Directory {
    /// Path of the directory, as that server sees it.
    pub(crate) root: PathBuf,
    /// Whether the server writes to it.
    pub(crate) is_written: bool,
    /// Whether the server locks it, if it is a wharf.
    pub(crate) is_locked: bool,
}

/// The directory that a server works on, if its configuration file has this text and its environment these variables.
/// `None`: it keeps its data elsewhere, such as in a bucket. What is wrong otherwise with the configuration does not matter.
pub(crate) fn directory_of(
    text: Option<&str>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Option<Directory> {
    let is_needed = |name: &OsString| {
        let name = name.to_string_lossy();
        name.starts_with(STORAGE) && !name.ends_with("_FILE")
    };
    let variables = variables.into_iter().filter(|(name, _)| is_needed(name));
    let settings = load::interpret(None, text, variables, Report::new(None)).settings;
    match settings.storage {
        Engine::Filesystem { root } => Some(Directory {
            root,
            is_written: !settings.server.read_only,
            is_locked: settings.locking.is_on,
        }),
        Engine::InMemory | Engine::S3(_) | Engine::Cloud(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, variables: &[(&str, &str)]) -> Option<Directory> {
        let variables = variables
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        directory_of(Some(text), variables)
    }

    fn written(root: &str) -> Option<Directory> {
        Some(Directory {
            root: root.into(),
            is_written: true,
            is_locked: true,
        })
    }

    #[test]
    fn the_directory_is_that_of_the_file_and_the_environment() {
        let file = "version: 0.1\nstorage: {filesystem: {rootdirectory: /srv}}\n";
        assert_eq!(of(file, &[]), written("/srv"));
        let variable = ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/other");
        assert_eq!(of(file, &[variable]), written("/other"));
        assert_eq!(
            of("version: 0.1\nstorage: filesystem\n", &[]),
            written("/var/lib/registry")
        );
        assert_eq!(of(file, &[("REGISTRY_STORAGE", "inmemory")]), None);
        let read_only = ("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", "true");
        assert!(of(file, &[read_only]).is_some_and(|directory| !directory.is_written));
        let unlocked = "version: 0.1\nstorage: {filesystem: {rootdirectory: /srv, lock: false}}\n";
        assert!(of(unlocked, &[]).is_some_and(|directory| !directory.is_locked));
    }

    #[test]
    fn other_mistakes_of_a_configuration_do_not_hide_its_directory() {
        let file = "version: 0.1\nstorage: {filesystem: {rootdirectory: /srv}}\nhttp: {addr: 5000, tls: {certificate: /c}}\n";
        let secret = ("REGISTRY_STORAGE_S3_SECRETKEY_FILE", "/nowhere/secret");
        assert_eq!(of(file, &[secret]), written("/srv"));
    }
}
