//! The files with the keys of a token server, read again as soon as they change.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use wharf_watched::{Damage, Read, Status, Watched, read_whole};

use super::{
    Settings, Verifier,
    trusted::{KeysError, Problem, TrustedKeys},
};

/// The most bytes that a file of keys may have.
const SIZE_LIMIT: u64 = 4 << 20;

/// The files with the keys that are trusted (`auth.token`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFiles {
    /// Certificates and public keys, in PEM (`rootcertbundle`)
    pub bundle: Option<PathBuf>,
    /// A JSON Web Key Set (`jwks`)
    pub jwks: Option<PathBuf>,
}

/// Verifies tokens by the keys in files. Clones share everything.
#[derive(Debug, Clone)]
pub struct WatchedVerifier {
    files: Watched<Reader>,
}

/// Why a file of keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("cannot read `{}`, the `{}` of the token server: {error}", path.display(), kind.key())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// What it should hold.
        kind: KeyFile,
        /// The cause.
        error: io::Error,
    },
    /// It holds no keys.
    #[error("`{}`, the `{}` of the token server, {error}", path.display(), kind.key())]
    Content {
        /// Path of the file.
        path: PathBuf,
        /// What it should hold.
        kind: KeyFile,
        /// The cause.
        error: KeysError,
    },
}

/// What a file of keys holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFile {
    /// Certificates and public keys, in PEM
    Bundle,
    /// A JSON Web Key Set
    Jwks,
}

#[derive(Debug)]
struct Reader {
    settings: Settings,
    kinds: Vec<KeyFile>,
}

impl KeyFile {
    /// Its key in `auth.token`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Bundle => "rootcertbundle",
            Self::Jwks => "jwks",
        }
    }

    fn add(self, keys: &mut TrustedKeys, bytes: &[u8]) -> Result<Vec<Problem>, KeysError> {
        match self {
            Self::Bundle => keys.add_bundle(bytes),
            Self::Jwks => keys.add_jwks(bytes),
        }
    }
}

impl KeyFiles {
    /// Reads the keys once, and the problems with parts of the files that are not used.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`]: one of the files cannot be used.
    pub fn read(&self) -> Result<(TrustedKeys, Vec<String>), KeyFileError> {
        let mut keys = TrustedKeys::default();
        let mut problems = Vec::new();
        for (path, kind) in self.list() {
            let contents = read_whole(path, SIZE_LIMIT).map_err(|error| KeyFileError::Read {
                path: path.to_owned(),
                kind,
                error,
            })?;
            let found = kind.add(&mut keys, &contents.bytes);
            let found = found.map_err(|error| KeyFileError::Content {
                path: path.to_owned(),
                kind,
                error,
            })?;
            let told = |problem: Problem| format!("`{}`: {problem}", path.display());
            problems.extend(found.into_iter().map(told));
        }
        Ok((keys, problems))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list().next().is_none()
    }

    fn list(&self) -> impl Iterator<Item = (&Path, KeyFile)> {
        let files = [(&self.bundle, KeyFile::Bundle), (&self.jwks, KeyFile::Jwks)];
        files
            .into_iter()
            .filter_map(|(path, kind)| Some((path.as_deref()?, kind)))
    }
}

impl WatchedVerifier {
    /// Reads the keys in `files`.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`]: without good keys at the start there are none that could stay in force.
    pub fn open(settings: Settings, files: &KeyFiles) -> Result<Self, KeyFileError> {
        let (keys, _) = files.read()?;
        let initial = Verifier::new(settings.clone(), keys);
        let (paths, kinds) = files.list().map(|(path, kind)| (path.to_owned(), kind)).unzip();
        Ok(Self {
            files: Watched::open(Reader { settings, kinds }, paths, initial.into()),
        })
    }

    /// What `use_them` makes of the keys in force, if the files are as they were; `None`: call [`refresh`](Self::refresh). One
    /// system call for each.
    pub(crate) fn if_unchanged<T>(&self, use_them: impl FnOnce(&Verifier) -> T) -> Option<T> {
        self.files.if_unchanged(use_them)
    }

    /// The keys that were in force at the last look.
    pub(crate) fn current(&self) -> Arc<Verifier> {
        self.files.current()
    }

    /// The keys in force, after a look at the files if they changed.
    pub(crate) async fn refresh(&self) -> Arc<Verifier> {
        self.files.refresh().await
    }

    /// The state of the files, for the operator.
    pub fn status(&self) -> Status {
        self.files.status()
    }
}

/// Other keys are another verifier, with nothing in its memory: a token of a key that went is not recognised any more.
impl wharf_watched::Reader for Reader {
    type Value = Verifier;

    const NAME: &'static str = "keys of the token server";
    const SIZE_LIMIT: u64 = SIZE_LIMIT;

    fn read(&self, contents: &[&[u8]], _old: &Verifier) -> Result<Option<Read<Verifier>>, Damage> {
        let mut keys = TrustedKeys::default();
        let mut findings = Vec::new();
        for (file, (kind, bytes)) in self.kinds.iter().zip(contents).enumerate() {
            let found = kind.add(&mut keys, bytes).map_err(|error| Damage {
                file: Some(file),
                text: format!("it {error}"),
            })?;
            findings.extend(
                found
                    .into_iter()
                    .map(|problem| format!("{}: {problem}", kind.key())),
            );
        }
        Ok(Some(Read {
            value: Verifier::new(self.settings.clone(), keys),
            findings,
        }))
    }

    fn last_good(verifier: &Verifier) -> String {
        format!("the last good {} keys", verifier.keys.len())
    }

    fn announce(&self, verifier: &Verifier, paths: &str) {
        tracing::info!(
            keys = verifier.keys.len(),
            "read the keys of the token server in {paths}"
        );
    }
}
