//! The file that a backup is written to: it has its name only when it is whole.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use rustix::{
    fs::{CWD, FlockOperation, Mode, OFlags, RenameFlags, flock, open, rename, renameat_with, unlink},
    io::Errno,
};

/// A file that is being written, beside the place that it will have.
pub(super) struct Partial {
    file: File,
    at: PathBuf,
    path: PathBuf,
    is_kept: bool,
}

impl Partial {
    /// Makes the file that will be at `path`, where nothing may be, readable by its owner alone. What a run that was killed has
    /// left is written anew.
    pub(super) fn make(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        if path.symlink_metadata().is_ok() {
            bail!("`{shown}` exists, and a backup never replaces a file; name another one, or remove it");
        }
        let Some(name) = path.file_name() else {
            bail!("`{shown}` is no name of a file");
        };
        let mut partial = name.to_owned();
        partial.push(".partial");
        let at = path.with_file_name(partial);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = open(&at, flags, Mode::from_raw_mode(0o600))
            .with_context(|| format!("cannot make `{}`", at.display()))?;
        // A file system may have no locks.
        if flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
            bail!("another backup writes `{shown}`; wait for it to end");
        }
        let file = File::from(file);
        file.set_len(0)
            .with_context(|| format!("cannot write `{}`", at.display()))?;
        Ok(Self {
            file,
            at,
            path: path.to_owned(),
            is_kept: false,
        })
    }

    /// The file to write to.
    pub(super) fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Gives the file its name, durably.
    pub(super) fn keep(mut self) -> anyhow::Result<()> {
        let shown = self.path.display().to_string();
        self.file
            .sync_all()
            .with_context(|| format!("cannot write `{shown}`"))?;
        let renamed = match renameat_with(CWD, &self.at, CWD, &self.path, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) => rename(&self.at, &self.path),
            renamed => renamed,
        };
        renamed.with_context(|| format!("cannot give `{}` its name `{shown}`", self.at.display()))?;
        self.is_kept = true;
        let directory = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let synced = open(
            directory,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .and_then(rustix::fs::fsync);
        synced.with_context(|| format!("cannot sync the directory of `{shown}`"))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_kept
            && let Err(error) = unlink(&self.at)
        {
            tracing::debug!(%error, "cannot remove the file of a backup that ended half-way");
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "looks at the files")]
mod tests {
    use std::{io::Write as _, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_file_has_its_name_when_it_is_whole_and_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("b.tar");
        let partial = Partial::make(&path).unwrap();
        partial.file().unwrap().write_all(b"half").unwrap();
        assert!(!path.exists());
        assert!(
            Partial::make(&path)
                .err()
                .unwrap()
                .to_string()
                .contains("another backup")
        );
        drop(partial);
        assert_eq!(directory.path().read_dir().unwrap().count(), 0);

        std::fs::write(
            directory.path().join("b.tar.partial"),
            "left by a run that was killed",
        )
        .unwrap();
        let partial = Partial::make(&path).unwrap();
        partial.file().unwrap().write_all(b"whole").unwrap();
        partial.keep().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        let error = Partial::make(&path).err().unwrap().to_string();
        assert!(error.contains("never replaces"), "{error}");

        let fresh = directory.path().join("c.tar");
        Partial::make(&fresh).unwrap().keep().unwrap();
        assert_eq!(fresh.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
