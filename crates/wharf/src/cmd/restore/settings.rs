//! The files of a server that a backup has, written beside the directory to which it is restored.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use bytes::Bytes;
use rustix::{
    fs::{Mode, OFlags, mkdir, open},
    io::Errno,
};
use wharf_registry::backup::document::SavedFile;

/// What became of the files.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The directory that they are in
    pub(super) directory: String,
    /// Their names
    pub(super) written: Vec<String>,
    /// How many were there already
    pub(super) existing: u64,
}

/// Writes the files into `<data>.settings`, readable by their owner alone, and none over a file that exists.
pub(super) fn write(data: &Path, files: &[(SavedFile, Bytes)]) -> anyhow::Result<Written> {
    if files.is_empty() {
        return Ok(Written::default());
    }
    let directory = beside(data);
    match mkdir(&directory, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => {
            return Err(error)
                .with_context(|| format!("cannot make the directory `{}`", directory.display()));
        }
    }
    let mut written = Written {
        directory: directory.display().to_string(),
        ..Written::default()
    };
    for (file, bytes) in files {
        // A name with directories in it is of no backup that this program took.
        let Some(name) = Path::new(&file.name)
            .file_name()
            .filter(|name| *name == file.name.as_str())
        else {
            continue;
        };
        let path = directory.join(name);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = match open(&path, flags, Mode::from_raw_mode(0o600)) {
            Err(Errno::EXIST) => {
                written.existing += 1;
                continue;
            }
            made => made.with_context(|| format!("cannot make `{}`", path.display()))?,
        };
        let mut made = File::from(made);
        made.write_all(bytes)
            .and_then(|()| made.sync_all())
            .with_context(|| format!("cannot write `{}`", path.display()))?;
        written.written.push(file.name.clone());
    }
    Ok(written)
}

/// The directory beside that of the data.
fn beside(data: &Path) -> PathBuf {
    let mut name = match data.file_name() {
        Some(name) => name.to_owned(),
        // Such as `.` and `/`.
        None => return data.join("wharf.settings"),
    };
    name.push(".settings");
    data.with_file_name(name)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "looks at the files")]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use wharf_oci::Digest;
    use wharf_registry::backup::document::FileKind;

    use super::*;

    #[test]
    fn files_come_beside_the_data_and_replace_none() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &'static str| {
            let saved = SavedFile {
                kind: FileKind::Passwords,
                name: name.to_owned(),
                digest: Digest::sha256_of(text.as_bytes()),
                size: text.len() as u64,
            };
            (saved, Bytes::from_static(text.as_bytes()))
        };
        let data = directory.path().join("data/");
        let written = write(&data, &[file("htpasswd", "a"), file("../evil", "b")]).unwrap();
        assert_eq!(
            (written.written, written.existing),
            (vec!["htpasswd".to_owned()], 0)
        );
        let path = directory.path().join("data.settings/htpasswd");
        assert_eq!(std::fs::read(&path).unwrap(), b"a");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!directory.path().join("evil").exists());
        let written = write(&data, &[file("htpasswd", "c"), file("rules.yml", "d")]).unwrap();
        assert_eq!(
            (written.written, written.existing),
            (vec!["rules.yml".to_owned()], 1)
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"a");
    }
}
