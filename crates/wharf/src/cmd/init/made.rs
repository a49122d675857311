//! Files and directories that a command makes: all of them, or none.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdir, open, unlink, unlinkat};

/// What was made so far. Dropping it removes everything, the newest first, unless it is [kept](Self::keep).
#[derive(Debug, Default)]
pub(super) struct Made(Vec<Entry>);

#[derive(Debug)]
enum Entry {
    File(PathBuf),
    Directory(PathBuf),
}

impl Made {
    /// Makes a directory.
    ///
    /// # Errors
    ///
    /// When it exists, or cannot be made.
    pub(super) fn directory(&mut self, path: &Path, mode: u32) -> anyhow::Result<()> {
        mkdir(path, Mode::from_raw_mode(mode))
            .with_context(|| format!("cannot make the directory `{}`", path.display()))?;
        self.0.push(Entry::Directory(path.to_owned()));
        Ok(())
    }

    /// Makes the directories of `path` that do not exist.
    ///
    /// # Errors
    ///
    /// When one cannot be made.
    pub(super) fn directories(&mut self, path: &Path, mode: u32) -> anyhow::Result<()> {
        let missing = path
            .ancestors()
            .take_while(|above| !above.as_os_str().is_empty() && !above.exists());
        let missing: Vec<&Path> = missing.collect();
        for directory in missing.into_iter().rev() {
            self.directory(directory, mode)?;
        }
        Ok(())
    }

    /// Makes a file. It is on the disk when this returns.
    ///
    /// # Errors
    ///
    /// When it exists, or cannot be made or written.
    pub(super) fn file(&mut self, path: &Path, mode: u32, content: &[u8]) -> anyhow::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = open(path, flags, Mode::from_raw_mode(mode))
            .with_context(|| format!("cannot make `{}`", path.display()))?;
        self.0.push(Entry::File(path.to_owned()));
        let mut file = File::from(file);
        file.write_all(content)
            .and_then(|()| file.sync_all())
            .with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// Leaves everything where it is.
    pub(super) fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        while let Some(entry) = self.0.pop() {
            let removed = match &entry {
                Entry::File(path) => unlink(path),
                Entry::Directory(path) => unlinkat(CWD, path, AtFlags::REMOVEDIR),
            };
            if let Err(error) = removed {
                tracing::debug!(%error, ?entry, "cannot remove what was made");
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "looks at what is left")]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let make = || {
            let mut made = Made::default();
            made.directories(&path("a/b"), 0o755).unwrap();
            made.directory(&path("a/b/c"), 0o700).unwrap();
            made.file(&path("a/b/c/file"), 0o600, b"content").unwrap();
            made
        };
        drop(make());
        assert!(!path("a").exists());
        make().keep();
        assert_eq!(std::fs::read(path("a/b/c/file")).unwrap(), b"content");

        let mut made = Made::default();
        assert!(made.file(&path("a/b/c/file"), 0o600, b"other").is_err());
        assert!(made.directory(&path("a/b/c"), 0o755).is_err());
        drop(made);
        assert_eq!(std::fs::read(path("a/b/c/file")).unwrap(), b"content");
    }
}
