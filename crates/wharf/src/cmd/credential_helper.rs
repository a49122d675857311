//! `docker-credential-wharf`: a credential helper of docker, podman and others that stores no password.
//!
//! It keeps a refresh token for each registry, which the registry can end, and gives programs one that is good for some
//! minutes. The protocol is that of docker-credential-helpers: one word as the argument, the question on standard input, the
//! answer on standard output, also that it failed.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use tokio::runtime;
use wharf_access::change_private_file;
use wharf_client::{Address, Client, Credentials, Login, NOT_FOUND, Options, Secret, TOKEN_USER};

use crate::{cmd::private::read_if_there, version};

/// The name of the program, by which docker finds it: `credsStore: wharf`.
pub(crate) const PROGRAM: &str = "docker-credential-wharf";

/// How long a token is good that a program gets. A large push takes new access tokens with it all the time.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The most bytes of a question.
const QUESTION: u64 = 1 << 20;

/// What is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    version: u32,
    registries: BTreeMap<String, Entry>,
}

/// What is kept for a registry.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    user: String,
    refresh_token: String,
}

/// Credentials as docker sends and gets them.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Exchanged {
    #[serde(rename = "ServerURL", default)]
    server: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// Runs the helper with the words behind its name.
pub(crate) fn run(words: &[OsString]) -> ExitCode {
    let (text, code) = match answer(words) {
        Ok(text) => (text, ExitCode::SUCCESS),
        // The protocol wants the reason on standard output.
        Err(error) => (format!("{error:#}\n"), ExitCode::FAILURE),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => code,
        Err(_closed) => ExitCode::FAILURE,
    }
}

fn answer(words: &[OsString]) -> anyhow::Result<String> {
    let [word] = words else {
        bail!("docker calls this program; `{PROGRAM} get|store|erase|list|version`");
    };
    match word.to_str() {
        Some("get") => get(&question()?),
        Some("store") => store(&question()?),
        Some("erase") => erase(&question()?),
        Some("list") => list(),
        Some("version") => Ok(format!("{PROGRAM} (wharf) {}\n", version::WHOLE)),
        _ => bail!("the action is none of `get`, `store`, `erase`, `list` and `version`"),
    }
}

fn get(server: &str) -> anyhow::Result<String> {
    let address = address_of(server)?;
    let kept = read(&place()?)?;
    let Some(entry) = kept.registries.get(address.host()) else {
        bail!(NOT_FOUND);
    };
    let login = Login {
        user: entry.user.clone(),
        secret: Secret::IdentityToken(entry.refresh_token.clone()),
    };
    // The refresh token has ended: with its user, its password, or its time.
    let token = fetch(&address, &login, Some(LIFETIME))?.context(NOT_FOUND)?;
    Ok(serde_json::to_string(&Exchanged {
        server: server.trim().to_owned(),
        username: TOKEN_USER.to_owned(),
        secret: token,
    })? + "\n")
}

fn store(question: &str) -> anyhow::Result<String> {
    let Exchanged {
        server,
        username,
        secret,
    } = serde_json::from_str(question).context("the credentials are not the JSON of docker")?;
    if username.is_empty() {
        bail!("no credentials username");
    }
    let address = address_of(&server)?;
    let refresh_token = match &*username {
        TOKEN_USER => secret,
        _ => {
            let login = Login {
                user: username.clone(),
                secret: Secret::Password(secret),
            };
            fetch(&address, &login, None)?.with_context(|| {
                format!(
                    "{} gives no refresh token for this password, and {PROGRAM} stores no passwords; with wharf, set `access.tokens.enabled`",
                    address.host()
                )
            })?
        }
    };
    let entry = Entry {
        user: username,
        refresh_token,
    };
    change(|kept| drop(kept.registries.insert(address.host().to_owned(), entry.clone())))?;
    Ok(String::new())
}

fn erase(server: &str) -> anyhow::Result<String> {
    let host = address_of(server)?.host().to_owned();
    change(|kept| drop(kept.registries.remove(&host)))?;
    Ok(String::new())
}

fn list() -> anyhow::Result<String> {
    let kept = read(&place()?)?;
    let users = kept.registries.iter().map(|(host, entry)| (host, &entry.user));
    Ok(serde_json::to_string(&users.collect::<BTreeMap<_, _>>())? + "\n")
}

/// Asks the registry for a refresh token.
fn fetch(address: &Address, login: &Login, lifetime: Option<Duration>) -> anyhow::Result<Option<String>> {
    let options = Options {
        credentials: Credentials::default(),
        ..Options::default()
    };
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = Client::connect(address, options).await?;
        Ok(client.refresh_token(login, lifetime).await?)
    })
}

/// The registry that docker means: a host, or a URL of it.
fn address_of(server: &str) -> anyhow::Result<Address> {
    let server = server.trim();
    if server.is_empty() {
        bail!("no credentials server URL");
    }
    let (scheme, rest) = match server.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), server),
    };
    let host = rest.split('/').next().unwrap_or(rest);
    Ok(format!("{scheme}{host}").parse()?)
}

fn question() -> anyhow::Result<String> {
    let mut text = String::new();
    let read = io::stdin().lock().take(QUESTION).read_to_string(&mut text);
    read.context("cannot read the question on standard input")?;
    Ok(text)
}

/// `$XDG_STATE_HOME/wharf/credentials.json`, or below `~/.local/state`.
fn place() -> anyhow::Result<PathBuf> {
    let state = env::var_os("XDG_STATE_HOME").filter(|path| !path.is_empty());
    let state = state.map(PathBuf::from).or_else(|| {
        let home = env::var_os("HOME").filter(|path| !path.is_empty())?;
        Some(Path::new(&home).join(".local/state"))
    });
    let state = state.context("neither `XDG_STATE_HOME` nor `HOME` says where to keep refresh tokens")?;
    Ok(state.join("wharf/credentials.json"))
}

fn read(path: &Path) -> anyhow::Result<Kept> {
    let bytes = read_if_there(path, QUESTION).with_context(|| format!("cannot read `{}`", path.display()))?;
    bytes.map_or_else(|| Ok(Kept::default()), |bytes| parse(path, &bytes))
}

fn parse(path: &Path, bytes: &[u8]) -> anyhow::Result<Kept> {
    serde_json::from_slice(bytes).with_context(|| {
        format!(
            "`{}` is damaged; remove it, and log in again with `docker login`",
            path.display()
        )
    })
}

/// Changes what is kept. The file is for its owner alone, and whole at each moment.
fn change(change: impl Fn(&mut Kept)) -> anyhow::Result<()> {
    let path = place()?;
    let changed = change_private_file(&path, QUESTION, |bytes| {
        let mut kept = match bytes {
            [] => Kept::default(),
            bytes => parse(&path, bytes)?,
        };
        change(&mut kept);
        kept.version = 1;
        anyhow::Ok(serde_json::to_vec_pretty(&kept)?)
    });
    changed.with_context(|| format!("cannot write `{}`", path.display()))
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_one_however_docker_writes_it() {
        for (written, host) in [
            ("localhost:5000", "localhost:5000"),
            ("localhost:5000\n", "localhost:5000"),
            ("http://localhost:5000", "localhost:5000"),
            ("https://hub.example/v2/", "hub.example"),
        ] {
            assert_eq!(address_of(written).unwrap().host(), host, "{written}");
        }
        assert_eq!(
            address_of(" \n").unwrap_err().to_string(),
            "no credentials server URL"
        );
    }

    #[test]
    fn a_token_shows_in_no_debug_output() {
        let entry = Entry {
            user: "alice".to_owned(),
            refresh_token: "secret".to_owned(),
        };
        assert!(!format!("{entry:?}").contains("secret"));
    }
}
