//! Credentials: of the command line, and of the files of docker, podman and similar tools.
//!
//! Looked at in this order, each only if those before it have none for the registry:
//!
//! 1. a user that was given;
//! 2. `$DOCKER_AUTH_CONFIG`, the text of a configuration (docker, GitLab's runner);
//! 3. the file that `$REGISTRY_AUTH_FILE` names (podman, skopeo);
//! 4. docker's `config.json`, in `$DOCKER_CONFIG` or in `~/.docker`;
//! 5. podman's `auth.json`, in `$XDG_RUNTIME_DIR/containers`, or `/run/containers/UID` without that variable;
//! 6. `auth.json` in `$XDG_CONFIG_HOME/containers`, or `~/.config/containers` (podman, buildah);
//! 7. `~/.dockercfg`, docker's file until 2014, which podman reads as well.
//!
//! Docker's file is before podman's, because `wharf login` writes docker's: what was said last must hold. A directory
//! that was given (`--config`) stands in place of 2 to 7.
//!
//! In a configuration, `credHelpers` and `credsStore` name programs `docker-credential-NAME` that hold the secret, and
//! `auths` holds it itself; files from before `auths` existed, with the hosts at the top, are read as well.

mod edit;
mod entries;
mod helper;

pub mod stored;

use std::{
    env,
    ffi::OsString,
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// The answer of a helper without credentials for a host, by the protocol of docker's helpers.
pub const NOT_FOUND: &str = "credentials not found in native keychain";

/// The user name with which helpers mark a secret that is a token.
pub const TOKEN_USER: &str = "<token>";

/// Places to look for credentials.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Credentials that were given, for every registry.
    pub given: Option<Login>,
    /// Directory of docker's `config.json`, when it is not the usual one.
    pub directory: Option<PathBuf>,
}

/// A user with a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Name of the user.
    pub user: String,
    /// Secret of the user.
    pub secret: Secret,
}

/// The secret of a user.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// A password, for the registry or for its token server.
    Password(String),
    /// A refresh token, for the token server (`identitytoken`).
    IdentityToken(String),
    /// A bearer token, for the registry (`registrytoken`).
    RegistryToken(String),
}

/// Why credentials cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CredentialsError {
    /// A configuration cannot be read.
    #[error("cannot read the credentials in `{place}`: {reason}")]
    Configuration {
        /// File or variable that has them.
        place: String,
        /// Reason why they cannot be read.
        reason: String,
    },
    /// A helper failed.
    #[error("the credential helper `{program}` failed: {reason}")]
    Helper {
        /// Name of the program.
        program: String,
        /// Reason why it failed.
        reason: String,
    },
}

/// Credentials, with the place that has them.
#[derive(Debug)]
pub struct Found {
    /// The credentials.
    pub login: Login,
    /// File or variable with them, or with the name of the helper that has them; `None`: they were given.
    pub place: Option<String>,
}

/// A place that may have a configuration.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Text(String),
    File(PathBuf),
}

impl Credentials {
    /// The credentials for `repository` of the registry at `host`; `None`: there are none, and requests are anonymous.
    /// Keys of podman's files may name a repository or the path above it: of these the longest that fits is taken.
    ///
    /// # Errors
    /// When a configuration is damaged, or a helper fails. A helper without credentials for the host is no failure.
    pub async fn find(
        &self,
        host: &str,
        repository: Option<&str>,
    ) -> Result<Option<Login>, CredentialsError> {
        Ok(self.look(host, repository).await?.map(|found| found.login))
    }

    /// The same, with the place.
    ///
    /// # Errors
    /// The errors of [`find`](Self::find).
    pub async fn look(
        &self,
        host: &str,
        repository: Option<&str>,
    ) -> Result<Option<Found>, CredentialsError> {
        if let Some(given) = &self.given {
            let login = given.clone();
            return Ok(Some(Found { login, place: None }));
        }
        for place in self.places(&variable) {
            let Some((place, text)) = place.read()? else {
                continue;
            };
            let configuration = parse(&place, &text)?;
            if let Some(login) = entries::find(&configuration, &place, host, repository).await? {
                let place = Some(place);
                return Ok(Some(Found { login, place }));
            }
        }
        Ok(None)
    }

    /// The file that a login changes: the first one that is looked at. `None`: no variable says where it could be.
    pub fn file(&self) -> Option<PathBuf> {
        self.file_by(&variable)
    }

    fn file_by(&self, variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        let files = self.places(variable).into_iter().filter_map(|place| match place {
            Place::File(path) => Some(path),
            Place::Text(_) => None,
        });
        let of_podman =
            |path: &PathBuf| path.ends_with("containers/auth.json") || path.ends_with(".dockercfg");
        let mut files = files.collect::<Vec<_>>().into_iter();
        match (&self.directory, variable("REGISTRY_AUTH_FILE")) {
            (None, Some(_)) => files.next(),
            _ => files.find(|path| !of_podman(path)),
        }
    }

    fn places(&self, variable: &dyn Fn(&str) -> Option<OsString>) -> Vec<Place> {
        if let Some(directory) = &self.directory {
            return vec![Place::File(directory.join("config.json"))];
        }
        let path = |name: &str| variable(name).map(PathBuf::from);
        let home = path("HOME");
        let below_home = |name: &str| home.as_ref().map(|home| home.join(name));
        let runtime = path("XDG_RUNTIME_DIR").map(|directory| directory.join("containers"));
        let text = variable("DOCKER_AUTH_CONFIG").and_then(|text| text.into_string().ok());
        let docker = path("DOCKER_CONFIG").or_else(|| below_home(".docker"));
        let configured = path("XDG_CONFIG_HOME").or_else(|| below_home(".config"));
        let files = [
            path("REGISTRY_AUTH_FILE"),
            docker.map(|directory| directory.join("config.json")),
            runtime
                .or_else(own_runtime_directory)
                .map(|directory| directory.join("auth.json")),
            configured.map(|directory| directory.join("containers/auth.json")),
            below_home(".dockercfg"),
        ];
        let files = files.into_iter().flatten().map(Place::File);
        text.map(Place::Text).into_iter().chain(files).collect()
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("given", &self.given.as_ref().map(|login| &login.user))
            .field("directory", &self.directory)
            .finish()
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Place {
    /// The name of the place and its text; `None` when there is none.
    fn read(self) -> Result<Option<(String, String)>, CredentialsError> {
        match self {
            Self::Text(text) => Ok(Some(("$DOCKER_AUTH_CONFIG".to_owned(), text))),
            Self::File(path) => read(&path),
        }
    }
}

/// A variable of the environment that is not empty.
fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// Where podman keeps what lasts until the machine stops, for a user without `$XDG_RUNTIME_DIR`.
fn own_runtime_directory() -> Option<PathBuf> {
    let user = std::fs::metadata("/proc/self").ok()?.uid();
    Some(PathBuf::from(format!("/run/containers/{user}")))
}

/// A file's name and text; `None` when the file does not exist.
fn read(path: &Path) -> Result<Option<(String, String)>, CredentialsError> {
    #[expect(
        clippy::disallowed_methods,
        reason = "docker's configuration is not in the store"
    )]
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some((path.display().to_string(), text))),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(CredentialsError::Configuration {
            place: path.display().to_string(),
            reason: error.to_string(),
        }),
    }
}

/// A configuration; an empty file is an empty one, as for docker.
fn parse(place: &str, text: &str) -> Result<Value, CredentialsError> {
    if text.trim().is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    serde_json::from_str(text).map_err(|error| CredentialsError::Configuration {
        place: place.to_owned(),
        // The text of an error of serde may repeat a value, which may be a secret.
        reason: format!(
            "it is not JSON (line {}, column {})",
            error.line(),
            error.column()
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(credentials: &Credentials, variables: &[(&str, &str)]) -> Vec<String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let places = credentials.places(&variable).into_iter();
        places
            .map(|place| match place {
                Place::Text(text) => text,
                Place::File(path) => path.display().to_string(),
            })
            .chain(
                credentials
                    .file_by(&variable)
                    .map(|path| format!("written: {}", path.display())),
            )
            .collect()
    }

    #[test]
    fn places_are_looked_at_in_the_order_that_is_documented() {
        let everywhere = [
            ("HOME", "/h"),
            ("XDG_RUNTIME_DIR", "/run/user/1"),
            ("DOCKER_AUTH_CONFIG", "{}"),
            ("REGISTRY_AUTH_FILE", "/a.json"),
        ];
        let credentials = Credentials::default();
        assert_eq!(
            places(&credentials, &everywhere),
            [
                "{}",
                "/a.json",
                "/h/.docker/config.json",
                "/run/user/1/containers/auth.json",
                "/h/.config/containers/auth.json",
                "/h/.dockercfg",
                "written: /a.json",
            ]
        );
        let other = [
            ("HOME", "/h"),
            ("XDG_RUNTIME_DIR", "/r"),
            ("DOCKER_CONFIG", "/d"),
            ("XDG_CONFIG_HOME", "/c"),
        ];
        assert_eq!(
            places(&credentials, &other),
            [
                "/d/config.json",
                "/r/containers/auth.json",
                "/c/containers/auth.json",
                "/h/.dockercfg",
                "written: /d/config.json",
            ]
        );
        let given = Credentials {
            given: None,
            directory: Some("/g".into()),
        };
        assert_eq!(
            places(&given, &everywhere),
            ["/g/config.json", "written: /g/config.json"]
        );
        let none = places(&credentials, &[("XDG_RUNTIME_DIR", "/r")]);
        assert_eq!(none, ["/r/containers/auth.json"], "there is nowhere to write");
    }

    #[test]
    fn a_secret_shows_in_no_debug_output_and_in_no_error() {
        let login = Login {
            user: "ann".to_owned(),
            secret: Secret::Password("secret".to_owned()),
        };
        let shown = format!(
            "{login:?}{:?}",
            Credentials {
                given: Some(login.clone()),
                directory: None
            }
        );
        assert!(shown.contains("ann") && !shown.contains("secret"), "{shown}");
        for damaged in [
            r#"{"auths":{"h":{"password":"secret"}}"#,
            "secret",
            r#"["secret""#,
        ] {
            let error = parse("c.json", damaged).unwrap_err().to_string();
            assert!(error.contains("`c.json`") && !error.contains("secret"), "{error}");
        }
        assert!(parse("c.json", " \n").is_ok());
    }
}
