//! `wharf login` and `wharf logout`: credentials as docker keeps them, so that docker, podman and others find them.

use std::{
    io::{self, IsTerminal as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use tokio::runtime;
use wharf_access::change_private_file;
use wharf_client::{Client, Credentials, Found, Login, Secret, Verified, stored};

use crate::{
    cli,
    cmd::{
        private::read_if_there,
        remote::{self, ask, print, say},
    },
    prompt,
};

/// Symbolic links that are followed to a file.
const LINKS: usize = 16;

/// Where logins are kept.
struct Keeper {
    credentials: Credentials,
    /// The configuration of docker.
    path: PathBuf,
}

pub(crate) fn login(arguments: cli::Login) -> anyhow::Result<()> {
    let cli::Login { registry, mut remote } = arguments;
    let host = registry.host().to_owned();
    let keeper = Keeper::new(remote.config.clone())?;
    if remote.reach.user.is_none() && !remote.reach.password_stdin {
        remote.reach.user = Some(ask_for_name()?);
    }
    let given = remote::login(remote.reach.user.take(), remote.reach.password_stdin)?;
    let Some(mut login) = given else {
        bail!("add `--user NAME` and `--password-stdin`");
    };
    if login.user.is_empty() || login.user.contains(':') {
        bail!("a user has a name without `:`; the password is asked for, or read with `--password-stdin`");
    }
    remote.reach.password_stdin = false;
    let verified = ask(&registry, remote, async |client: Client| {
        Ok(client.verify(&login).await?)
    })?;
    match verified {
        Verified::Accepted { refresh_token } => {
            if let Some(token) = refresh_token {
                login.secret = Secret::IdentityToken(token);
            }
        }
        Verified::NotAsked => say(&format!(
            "`{host}` asks for no login, so the password was not checked; it is kept nevertheless"
        )),
    }
    run(keeper.keep(&host, &login))?;
    print("Login Succeeded\n")
}

pub(crate) fn logout(arguments: cli::Logout) -> anyhow::Result<()> {
    let host = arguments.registry.host().to_owned();
    let keeper = Keeper::new(arguments.config)?;
    run(keeper.forget(&host))
}

fn run(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

fn ask_for_name() -> anyhow::Result<String> {
    if !io::stdin().is_terminal() {
        bail!("there is no terminal to ask at; add `--user NAME` and `--password-stdin`");
    }
    remote::ask_at_terminal("User: ")?;
    let name = prompt::line_of_stdin()?;
    let name = String::from_utf8(name).context("the name is not UTF-8")?;
    match name.is_empty() {
        true => bail!("no name was given"),
        false => Ok(name),
    }
}

impl Keeper {
    fn new(directory: Option<PathBuf>) -> anyhow::Result<Self> {
        let credentials = Credentials {
            given: None,
            directory,
        };
        let path = credentials.file().context(
            "neither `DOCKER_CONFIG` nor `HOME` says where docker's configuration is; add `--config DIRECTORY`",
        )?;
        let path = target_of(path)?;
        Ok(Self { credentials, path })
    }

    /// Keeps the login in the helper of the configuration, or else in the configuration itself.
    async fn keep(&self, host: &str, login: &Login) -> anyhow::Result<()> {
        match self.helper(host)? {
            Some(helper) => {
                helper.store(stored::key(host), login).await?;
                // As docker does: the configuration says for which registries the helper has logins.
                self.write(|text, place| stored::with_login(text, place, host, None))?;
            }
            None => {
                self.write(|text, place| stored::with_login(text, place, host, Some(login)))?;
                self.warn(login);
            }
        }
        let first = self.credentials.look(host, None).await;
        if let Ok(Some(Found {
            place: Some(place), ..
        })) = first
            && self.is_elsewhere(&place)
        {
            say(&format!(
                "`{place}` has another login for `{host}`, which comes first"
            ));
        }
        Ok(())
    }

    async fn forget(&self, host: &str) -> anyhow::Result<()> {
        let helper = self.helper(host)?;
        let was_there = self
            .credentials
            .look(host, None)
            .await
            .is_ok_and(|found| found.is_some());
        let erased = match &helper {
            Some(helper) => erase(helper, host).await,
            None => Ok(()),
        };
        let text = self.text()?;
        let place = self.place();
        let has_entry = stored::without(&text, &place, host)?.is_some();
        if has_entry {
            self.write(|text, place| {
                let without = stored::without(text, place, host)?;
                Ok(without.unwrap_or_else(|| text.to_vec()))
            })?;
        }
        // Only now: what the configuration itself had is gone, whatever the helper says.
        erased?;
        match has_entry || was_there {
            true => print(&format!("Removing login credentials for {host}\n"))?,
            false => print(&format!("Not logged in to {host}\n"))?,
        }
        if let Some(Found {
            place: Some(place), ..
        }) = self.credentials.look(host, None).await?
        {
            say(&format!(
                "`{place}` still has a login for `{host}`, or names a helper that has one"
            ));
        }
        Ok(())
    }

    fn helper(&self, host: &str) -> anyhow::Result<Option<stored::Helper>> {
        Ok(stored::helper(&self.text()?, &self.place(), host)?)
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }

    /// Whether credentials at `place` are not those that this keeper writes.
    fn is_elsewhere(&self, place: &str) -> bool {
        target_of(PathBuf::from(place)).is_ok_and(|place| place != self.path)
    }

    fn text(&self) -> anyhow::Result<Vec<u8>> {
        let text = read_if_there(&self.path, stored::LIMIT);
        let text = text.with_context(|| format!("cannot read `{}`", self.place()))?;
        Ok(text.unwrap_or_default())
    }

    /// Changes the configuration: whole at each moment, and no change of another process through this program is lost.
    fn write(
        &self,
        change: impl Fn(&[u8], &str) -> Result<Vec<u8>, wharf_client::CredentialsError>,
    ) -> anyhow::Result<()> {
        let place = self.place();
        let changed = change_private_file(&self.path, stored::LIMIT, |text| {
            anyhow::Ok(change(text, &place)?)
        });
        changed.with_context(|| format!("cannot write `{place}`"))
    }

    /// Docker's warning, and one of our own, about a password in a file.
    fn warn(&self, login: &Login) {
        if let Secret::Password(_) = login.secret {
            say(&format!(
                "WARNING! Your credentials are stored unencrypted in '{}'.\n\
                 Configure a credential helper to remove this warning. See\n\
                 https://docs.docker.com/go/credential-store/",
                self.place()
            ));
        }
        let mode = std::fs::metadata(&self.path).map(|metadata| metadata.permissions().mode());
        if let Ok(mode) = mode
            && mode & 0o077 != 0
        {
            let place = self.place();
            say(&format!(
                "`{place}` can be read by others (mode {:o}); `chmod 600 {place}` takes that away",
                mode & 0o777
            ));
        }
    }
}

/// Erases a login under each of the names under which docker has stored logins.
async fn erase(helper: &stored::Helper, host: &str) -> anyhow::Result<()> {
    let key = stored::key(host);
    for server in [key.to_owned(), format!("http://{key}"), format!("https://{key}")] {
        if server.matches("://").count() < 2 {
            helper.erase(&server).await?;
        }
    }
    Ok(())
}

/// The file behind symbolic links, also one that does not exist yet.
fn target_of(path: PathBuf) -> anyhow::Result<PathBuf> {
    let mut target = path;
    for _ in 0..LINKS {
        let Ok(next) = std::fs::read_link(&target) else {
            return Ok(target);
        };
        let directory = target.parent().unwrap_or(Path::new("."));
        target = directory.join(next);
    }
    bail!("`{}` is a link that leads nowhere", target.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_to_files_that_do_not_exist_yet() {
        let directory = std::env::temp_dir().join(format!("wharf-links-{}", std::process::id()));
        std::fs::DirBuilder::new().create(&directory).unwrap();
        let link = directory.join("config.json");
        std::os::unix::fs::symlink("dotfiles/docker.json", &link).unwrap();
        let found = target_of(link).unwrap();
        let circle = directory.join("circle");
        std::os::unix::fs::symlink("circle", &circle).unwrap();
        let refused = target_of(circle).unwrap_err().to_string();
        #[expect(clippy::disallowed_methods, reason = "what this test has made")]
        std::fs::remove_dir_all(&directory).unwrap();
        assert_eq!(found, directory.join("dotfiles/docker.json"));
        assert!(refused.contains("leads nowhere"), "{refused}");
    }
}
