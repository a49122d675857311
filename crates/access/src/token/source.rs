//! The files with the keys of a token server.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::trusted::{KeysError, Problem, TrustedKeys};
use crate::files;

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

/// Why a file of keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("cannot read `{}`, the {key} of the token server: {error}", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// The key of the configuration that names it.
        key: &'static str,
        /// The cause.
        error: io::Error,
    },
    /// It holds no keys.
    #[error("`{}`, the {key} of the token server, {error}", path.display())]
    Content {
        /// Path of the file.
        path: PathBuf,
        /// The key of the configuration that names it.
        key: &'static str,
        /// The cause.
        error: KeysError,
    },
}

impl KeyFiles {
    /// Reads the keys, and the problems with parts of the files that are not used.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`]: one of the files cannot be used.
    pub fn read(&self) -> Result<(TrustedKeys, Vec<String>), KeyFileError> {
        let mut keys = TrustedKeys::default();
        let mut problems = Vec::new();
        let files = [
            (&self.bundle, "rootcertbundle", TrustedKeys::add_bundle as Add),
            (&self.jwks, "jwks", TrustedKeys::add_jwks as Add),
        ];
        for (path, key, add) in files {
            let Some(path) = path else { continue };
            let found = read(&mut keys, path, key, add)?;
            let told = |problem: Problem| format!("`{}`: {problem}", path.display());
            problems.extend(found.into_iter().map(told));
        }
        Ok((keys, problems))
    }

    /// The paths of the files.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        [&self.bundle, &self.jwks]
            .into_iter()
            .flatten()
            .map(PathBuf::as_path)
    }
}

type Add = fn(&mut TrustedKeys, &[u8]) -> Result<Vec<Problem>, KeysError>;

fn read(
    keys: &mut TrustedKeys,
    path: &Path,
    key: &'static str,
    add: Add,
) -> Result<Vec<Problem>, KeyFileError> {
    let contents = files::read(path, SIZE_LIMIT).map_err(|error| KeyFileError::Read {
        path: path.to_owned(),
        key,
        error,
    })?;
    add(keys, &contents.bytes).map_err(|error| KeyFileError::Content {
        path: path.to_owned(),
        key,
        error,
    })
}
