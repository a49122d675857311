//! Credentials: of the command line, and of the files of docker and similar tools.
//!
//! Looked at in this order: a user that was given; `$DOCKER_AUTH_CONFIG`, the text of a configuration; the file
//! that `$REGISTRY_AUTH_FILE` names (podman, skopeo); docker's `config.json` in the directory that was given, in
//! `$DOCKER_CONFIG`, or in `~/.docker`. In a configuration, `credHelpers` and `credsStore` name programs
//! `docker-credential-NAME` that hold the secret (`get`: the host on standard input, JSON on standard output), and
//! `auths` holds it itself; files from before `auths` existed, with the hosts at the top, are read as well.

use std::{
    env, io,
    path::{Path, PathBuf},
    process::Stdio,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, process::Command};

/// The answer of a helper without credentials for a host, by the protocol of docker's helpers.
pub const NOT_FOUND: &str = "credentials not found in native keychain";

/// The user name with which helpers mark a secret that is a token.
pub const TOKEN_USER: &str = "<token>";

/// Places to look for credentials.
#[derive(Clone, Default)]
pub struct Credentials {
    /// Credentials that were given, for every registry.
    pub given: Option<Login>,
    /// Directory of docker's `config.json`, when it is not the usual one.
    pub directory: Option<PathBuf>,
}

/// A user with a secret.
#[derive(Clone)]
pub struct Login {
    /// Name of the user.
    pub user: String,
    /// Secret of the user.
    pub secret: Secret,
}

/// The secret of a user.
#[derive(Clone)]
pub enum Secret {
    /// A password, for the registry or for its token server.
    Password(String),
    /// A refresh token, for the token server (`identitytoken`).
    IdentityToken(String),
    /// A bearer token, for the registry (`registrytoken`).
    RegistryToken(String),
}

/// Why credentials cannot be read.
#[derive(Debug, thiserror::Error)]
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
        if let Some(given) = &self.given {
            return Ok(Some(given.clone()));
        }
        for (place, text) in self.configurations()? {
            let configuration: Value =
                serde_json::from_str(&text).map_err(|error| CredentialsError::Configuration {
                    place: place.clone(),
                    reason: error.to_string(),
                })?;
            if let Some(login) = in_configuration(&configuration, &place, host, repository).await? {
                return Ok(Some(login));
            }
        }
        Ok(None)
    }

    /// The configurations that exist, with their names.
    fn configurations(&self) -> Result<Vec<(String, String)>, CredentialsError> {
        let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let mut found = Vec::new();
        if self.directory.is_none() {
            if let Some(text) = variable("DOCKER_AUTH_CONFIG").and_then(|text| text.into_string().ok()) {
                found.push(("$DOCKER_AUTH_CONFIG".to_owned(), text));
            }
            if let Some(file) = variable("REGISTRY_AUTH_FILE") {
                found.extend(read(Path::new(&file))?);
            }
        }
        let directory = self
            .directory
            .clone()
            .or_else(|| variable("DOCKER_CONFIG").map(PathBuf::from));
        let directory = directory.or_else(|| variable("HOME").map(|home| Path::new(&home).join(".docker")));
        if let Some(directory) = directory {
            found.extend(read(&directory.join("config.json"))?);
        }
        Ok(found)
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

/// A file's name and text; `None` when the file does not exist.
fn read(path: &Path) -> Result<Option<(String, String)>, CredentialsError> {
    #[expect(
        clippy::disallowed_methods,
        reason = "docker's configuration is not in the store"
    )]
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some((path.display().to_string(), text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CredentialsError::Configuration {
            place: path.display().to_string(),
            reason: error.to_string(),
        }),
    }
}

async fn in_configuration(
    configuration: &Value,
    place: &str,
    host: &str,
    repository: Option<&str>,
) -> Result<Option<Login>, CredentialsError> {
    let (stored, has_paths) = match configuration.get("auths") {
        Some(auths) => (auths, true),
        // A file from before `auths` existed: the hosts are at the top.
        None => (configuration, false),
    };
    let entries = stored.as_object().into_iter().flatten();
    let found = entries
        .filter(|(_, entry)| entry.is_object())
        .filter_map(|(key, entry)| Some((fit(key, host, repository, has_paths)?, key, entry)))
        .max_by_key(|(fit, ..)| *fit);
    let of_found = || match found {
        Some((_, key, entry)) => of_entry(entry).map_err(|reason| CredentialsError::Configuration {
            place: place.to_owned(),
            reason: format!("`{key}`: {reason}"),
        }),
        None => Ok(None),
    };
    // A helper knows hosts. An entry for a part of the registry is more exact.
    if found.is_some_and(|(fit, ..)| fit > 0) {
        return of_found();
    }
    let helper = configuration["credHelpers"][host].as_str();
    let helper = helper.or_else(|| configuration["credsStore"].as_str());
    if let Some(name) = helper.filter(|name| !name.is_empty())
        && let Some(login) = ask_helper(name, host).await?
    {
        return Ok(Some(login));
    }
    of_found()
}

/// How exactly a key of a configuration names `repository` of `host`: the length of the path in the key; `None`: the
/// key names another registry, or another part of this one.
///
/// `registry.example.com:5000/team` names a part of a registry (podman, containers-auth.json(5)). Docker's keys are URLs
/// such as `https://registry.example.com:5000/v2/`, and name the whole registry, as do those with `/v1/` or `/v2/` alone.
fn fit(key: &str, host: &str, repository: Option<&str>, has_paths: bool) -> Option<usize> {
    let (is_url, rest) = match key.split_once("://") {
        Some((_, rest)) => (true, rest),
        None => (false, key),
    };
    let (named, path) = rest.split_once('/').unwrap_or((rest, ""));
    if named != host {
        return None;
    }
    let path = path.trim_end_matches('/');
    if is_url || !has_paths || matches!(path, "" | "v1" | "v2") {
        return Some(0);
    }
    let below = repository?.strip_prefix(path)?;
    (below.is_empty() || below.starts_with('/')).then_some(path.len())
}

fn of_entry(entry: &Value) -> Result<Option<Login>, String> {
    let text = |name: &str| entry[name].as_str().filter(|text| !text.is_empty());
    let (user, password) = match text("auth") {
        Some(encoded) => {
            let decoded = STANDARD
                .decode(encoded.trim())
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok());
            let decoded = decoded.ok_or("`auth` is not base64 of `user:password`")?;
            // Docker's own store pads with zero bytes.
            let (user, password) = decoded
                .split_once(':')
                .ok_or("`auth` is not base64 of `user:password`")?;
            (user.to_owned(), Some(password.trim_end_matches('\0').to_owned()))
        }
        None => (
            text("username").unwrap_or_default().to_owned(),
            text("password").map(str::to_owned),
        ),
    };
    let secret = if let Some(token) = text("registrytoken") {
        Secret::RegistryToken(token.to_owned())
    } else if let Some(token) = text("identitytoken") {
        Secret::IdentityToken(token.to_owned())
    } else if let Some(password) = password.filter(|password| !password.is_empty()) {
        Secret::Password(password)
    } else {
        return Ok(None);
    };
    Ok(Some(Login { user, secret }))
}

async fn ask_helper(name: &str, host: &str) -> Result<Option<Login>, CredentialsError> {
    let program = format!("docker-credential-{name}");
    let failed = |reason: String| CredentialsError::Helper {
        program: program.clone(),
        reason,
    };
    if name.contains('/') {
        return Err(failed("its name has a `/`".to_owned()));
    }
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read its question has answered, or will fail, without it.
        _ = stdin.write_all(format!("{host}\n").as_bytes()).await;
    }
    let output = child
        .wait_with_output()
        .await
        .map_err(|error| failed(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        // The message of a failed helper holds no secret, and is meant for people.
        let errors = String::from_utf8_lossy(&output.stderr);
        let words = [said.trim(), errors.trim()].join(" ");
        return if words.contains(NOT_FOUND) {
            Ok(None)
        } else {
            Err(failed(format!("{}: {}", output.status, words.trim())))
        };
    }
    let answer: Value =
        serde_json::from_str(&said).map_err(|_| failed("it does not answer with JSON".to_owned()))?;
    let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    let (user, secret) = (text("Username"), text("Secret"));
    if secret.is_empty() {
        return Ok(None);
    }
    let secret = if user == TOKEN_USER {
        Secret::IdentityToken(secret)
    } else {
        Secret::Password(secret)
    };
    Ok(Some(Login { user, secret }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn found(configuration: Value, host: &str) -> Option<(String, String)> {
        found_for(configuration, host, None).await
    }

    async fn found_for(
        configuration: Value,
        host: &str,
        repository: Option<&str>,
    ) -> Option<(String, String)> {
        let login = in_configuration(&configuration, "test", host, repository)
            .await
            .unwrap()?;
        let secret = match login.secret {
            Secret::Password(secret) => secret,
            Secret::IdentityToken(secret) => format!("identity {secret}"),
            Secret::RegistryToken(secret) => format!("registry {secret}"),
        };
        Some((login.user, secret))
    }

    #[tokio::test]
    async fn every_shape_of_docker_s_file_is_read() {
        let auth = STANDARD.encode("bob:p:w");
        let expected = Some(("bob".to_owned(), "p:w".to_owned()));
        for key in [
            "r.example.com:5000",
            "https://r.example.com:5000",
            "https://r.example.com:5000/v2/",
        ] {
            let host = "r.example.com:5000";
            assert_eq!(
                found(json!({"auths": {key: {"auth": auth}}}), host).await,
                expected,
                "{key}"
            );
            assert_eq!(
                found(json!({key: {"auth": auth, "email": ""}}), host).await,
                expected,
                "S4-03: {key}"
            );
            assert_eq!(
                found(json!({"auths": {key: {"auth": auth}}}), "r.example.com").await,
                None
            );
        }
        let host = "h";
        let entry = |entry: Value| json!({"auths": {host: entry}});
        assert_eq!(
            found(entry(json!({"username": "bob", "password": "p:w"})), host).await,
            expected
        );
        let token = found(
            entry(json!({"auth": STANDARD.encode("x:"), "identitytoken": "t"})),
            host,
        )
        .await;
        assert_eq!(token.unwrap().1, "identity t");
        assert_eq!(
            found(entry(json!({"registrytoken": "t"})), host).await.unwrap().1,
            "registry t"
        );
        assert_eq!(found(entry(json!({})), host).await, None);
    }

    #[tokio::test]
    async fn the_longest_key_that_fits_is_taken() {
        let entry = |user: &str| json!({"auth": STANDARD.encode(format!("{user}:pw"))});
        let configuration = json!({"auths": {
            "h:5000": entry("whole"),
            "h:5000/team-a": entry("team"),
            "h:5000/team-a/app": entry("app"),
            "other/team-a": entry("other"),
        }});
        for (repository, user) in [
            (None, "whole"),
            (Some("team-b/app"), "whole"),
            (Some("team-abc"), "whole"),
            (Some("team-a"), "team"),
            (Some("team-a/web"), "team"),
            (Some("team-a/app"), "app"),
            (Some("team-a/app/x"), "app"),
            (Some("team-a/apple"), "team"),
        ] {
            let found = found_for(configuration.clone(), "h:5000", repository).await;
            assert_eq!(found.unwrap().0, user, "{repository:?}");
        }
        let part = json!({"auths": {"h/team-a": entry("team")}});
        for repository in [None, Some("team-b/app"), Some("team-ab")] {
            assert_eq!(
                found_for(part.clone(), "h", repository).await,
                None,
                "{repository:?}"
            );
        }
        let old = json!({"h/v1/": entry("old")});
        assert_eq!(found_for(old, "h", Some("app")).await.unwrap().0, "old");
        for whole in ["h/v2/", "https://h/team-a"] {
            let whole = json!({"auths": {whole: entry("whole")}});
            assert_eq!(found_for(whole, "h", Some("app")).await.unwrap().0, "whole");
        }
    }

    #[tokio::test]
    async fn damage_names_its_place_and_no_secret() {
        for auth in ["%%%", "bm9jb2xvbg=="] {
            let configuration = json!({"auths": {"h": {"auth": auth}}});
            let error = in_configuration(&configuration, "c.json", "h", None)
                .await
                .err()
                .unwrap()
                .to_string();
            assert!(
                error.contains("`c.json`") && error.contains("`h`") && !error.contains(auth),
                "{error}"
            );
        }
    }
}
