//! Certificates in files: authorities that the command line names, and what docker and podman keep for a registry in
//! `certs.d/HOST:PORT`: authorities (`*.crt`), and certificates of the client (`*.cert`) with their keys (`*.key`).

use std::{
    env, io,
    path::{Path, PathBuf},
};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

use crate::{Error, Result, outgoing::Identity};

/// What this machine knows about the TLS of one registry.
#[derive(Debug, Default)]
pub(crate) struct OfHost {
    pub(crate) authorities: Vec<CertificateDer<'static>>,
    /// Certificate by which the registry knows this client.
    pub(crate) identity: Option<Identity>,
}

/// The certificates for the registry at `host`. As for podman, the first directory that exists has all of them.
pub(crate) fn of_host(host: &str) -> Result<OfHost> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let directories = directories(
        variable("HOME").as_deref(),
        variable("XDG_CONFIG_HOME").as_deref(),
    );
    of_first(directories.iter().map(|directory| directory.join(host)))
}

/// The certificates of authorities in PEM files.
pub(crate) fn authorities(paths: &[PathBuf]) -> Result<Vec<CertificateDer<'static>>> {
    let mut authorities = Vec::new();
    for path in paths {
        authorities.extend(certificates(path)?);
    }
    Ok(authorities)
}

/// Where directories of registries may be: of the user, then of the machine.
fn directories(home: Option<&std::ffi::OsStr>, configuration: Option<&std::ffi::OsStr>) -> Vec<PathBuf> {
    let home = home.map(Path::new);
    let configuration = configuration
        .map(PathBuf::from)
        .or_else(|| home.map(|home| home.join(".config")));
    let of_user = [
        configuration.as_ref().map(|path| path.join("containers/certs.d")),
        home.map(|home| home.join(".docker/certs.d")),
        // Of a docker daemon without root.
        configuration.as_ref().map(|path| path.join("docker/certs.d")),
    ];
    let of_machine = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
    of_user.into_iter().flatten().chain(of_machine).collect()
}

fn of_first(directories: impl Iterator<Item = PathBuf>) -> Result<OfHost> {
    for directory in directories {
        if let Some(names) = list(&directory)? {
            return of_files(&names);
        }
    }
    Ok(OfHost::default())
}

/// The files of a directory; `None` when there is none, or it is not for this user, as for podman.
#[expect(clippy::disallowed_methods, reason = "certificates are not in the store")]
fn list(directory: &Path) -> Result<Option<Vec<PathBuf>>> {
    let failed = |error: &io::Error| failed(directory, &error.to_string());
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            return match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied => {
                    Ok(None)
                }
                _ => Err(failed(&error)),
            };
        }
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<_> = paths.collect::<io::Result<_>>().map_err(|error| failed(&error))?;
    paths.sort();
    Ok(Some(paths))
}

fn of_files(paths: &[PathBuf]) -> Result<OfHost> {
    let mut found = OfHost::default();
    for path in paths {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => found.authorities.extend(certificates(path)?),
            Some("cert") => {
                let key = path.with_extension("key");
                if !paths.contains(&key) {
                    let reason = format!(
                        "its key `{}` is missing; authorities have names that end with `.crt`",
                        key.display()
                    );
                    return Err(failed(path, &reason));
                }
                // One is enough: a registry asks once.
                if found.identity.is_none() {
                    found.identity = Some(identity(path, &key)?);
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The certificate of this client in one PEM file, with those that lead to its authority, and its key in another one.
pub(crate) fn identity(certificate: &Path, key: &Path) -> Result<Identity> {
    let chain = certificates(certificate)?;
    let text = read(key)?;
    let secret = PrivateKeyDer::from_pem_slice(&text).map_err(|error| failed(key, &error.to_string()))?;
    let pem = [read(certificate)?, b"\n".to_vec(), text].concat();
    Ok(Identity::new(chain, secret, pem))
}

/// The certificates in a PEM file.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let pem = read(path)?;
    let certificates: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|error| failed(path, &error.to_string()))?;
    match certificates.is_empty() {
        true => Err(failed(path, "there is none in it")),
        false => Ok(certificates),
    }
}

#[expect(clippy::disallowed_methods, reason = "certificates are not in the store")]
fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| failed(path, &error.to_string()))
}

fn failed(path: &Path, reason: &str) -> Error {
    Error::Authorities {
        path: path.display().to_string(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn directories_of_the_user_come_before_those_of_the_machine() {
        let shown = |home: Option<&str>, configuration: Option<&str>| -> Vec<String> {
            directories(home.map(OsStr::new), configuration.map(OsStr::new))
                .iter()
                .map(|path| path.display().to_string())
                .collect()
        };
        assert_eq!(
            shown(Some("/h"), None),
            [
                "/h/.config/containers/certs.d",
                "/h/.docker/certs.d",
                "/h/.config/docker/certs.d",
                "/etc/containers/certs.d",
                "/etc/docker/certs.d",
            ]
        );
        assert_eq!(shown(None, Some("/c"))[0], "/c/containers/certs.d");
        assert_eq!(shown(None, None).len(), 2);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "plays a user with certificates")]
    fn what_is_wrong_in_a_directory_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let first = directory.path().join("h:5000");
        let missing = directory.path().join("missing");
        let of_first = || of_first([missing.clone(), first.clone()].into_iter());
        assert!(of_first().unwrap().authorities.is_empty());
        std::fs::create_dir(&first).unwrap();
        std::fs::write(first.join("README"), "x").unwrap();
        assert!(of_first().unwrap().identity.is_none());
        std::fs::write(first.join("client.cert"), "x").unwrap();
        let error = of_first().unwrap_err().to_string();
        assert!(
            error.contains("client.key") && error.contains("missing"),
            "{error}"
        );
        std::fs::write(first.join("ca.crt"), "x").unwrap();
        let error = of_first().unwrap_err().to_string();
        assert!(
            error.contains("ca.crt") && error.contains("none in it"),
            "{error}"
        );
    }
}
