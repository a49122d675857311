//! Opening what decides about clients at the start, and warnings about passwords.

use std::{
    io::{self, Write as _},
    path::Path,
    sync::Arc,
    time::SystemTime,
};

use anyhow::Context as _;
use wharf_access::{
    Access, TokenServer,
    htpasswd::{Htpasswd, Provisioned},
    issuer::{Issuer, Options},
    robot::Robots,
    rules::RulesFile,
    token::WatchedVerifier,
};
use wharf_budget::Budget;
use wharf_storage::Storage;

use crate::config::{self, Auth};

/// Opens what the authentication of clients needs, and the rules of what they may do.
pub(super) fn open(auth: &Auth, rights: &config::Access, budget: &Budget) -> anyhow::Result<Access> {
    let access = match auth {
        Auth::Htpasswd(config) => htpasswd(config)?,
        Auth::Token(config) => token(config)?,
    };
    let access = match &rights.rules {
        Some(path) => access.with_rules_of(RulesFile::open(path, rights.configured.clone())?),
        None => access.with_configured(&rights.configured),
    };
    let access = match &rights.proxy_header {
        Some(header) => access.with_proxy_header(header.clone()),
        None => access,
    };
    Ok(access.with_budget(budget))
}

/// Reads the keys and the robot tokens in the store, and makes the first key. Where that fails, users log in with their
/// passwords all the same, and the workers try again.
pub(super) async fn token_server(options: &Options, storage: &Arc<dyn Storage>) -> TokenServer {
    let (issuer, robots) = (Issuer::new(storage, options.clone()), Robots::new(storage));
    if let Err(error) = issuer.start(SystemTime::now()).await {
        tracing::error!(%error, "no tokens can be issued until the keys can be read and written");
    }
    if let Err(error) = robots.refresh().await {
        tracing::error!(%error, "no robot token is taken until they can be read");
    }
    TokenServer::new(issuer, robots)
}

/// Reads the keys of the token server.
fn token(config: &config::Token) -> anyhow::Result<Access> {
    let server = WatchedVerifier::open(config.settings.clone(), &config.keys)?;
    Ok(Access::with_tokens(server))
}

/// Opens the password file, or creates it. An existing one is searched for weak passwords in the background.
fn htpasswd(config: &config::Htpasswd) -> anyhow::Result<Access> {
    let (users, provisioned) = Htpasswd::open(&config.path)?;
    if let Some(provisioned) = provisioned {
        show(&config.path, &provisioned)?;
    } else {
        users.look_for_weak_passwords();
    }
    Ok(Access::with_htpasswd(config.realm.clone(), users))
}

/// Warns when passwords would cross a network in clear text. That a proxy in front speaks TLS is known from
/// `http.host`, or from an address at which only this machine can connect.
pub(super) fn warn_of_clear_text(is_encrypted: bool, is_loopback: bool, host: Option<&str>) {
    let is_behind_tls = host.is_some_and(|host| host.starts_with("https://"));
    if !(is_encrypted || is_loopback || is_behind_tls) {
        tracing::warn!(
            "passwords cross the network in clear text: this server does not speak TLS, and not only this machine can connect; \
             set `http.tls.certificate` and `http.tls.key` (`wharf cert new` makes both), or, behind a proxy that speaks TLS, \
             say so with `http.host: https://registry.example.com`"
        );
    }
}

/// Prints the password of a file that was just created. It goes to standard error, not to the log, which may be sent
/// to other systems and kept.
fn show(path: &Path, Provisioned { user, password }: &Provisioned) -> anyhow::Result<()> {
    let path = path.display();
    let text = format!(
        "\nThere was no password file, so `{path}` was made, with one user:\n\n    \
         user      {user}\n    \
         password  {password}\n\n\
         This is shown once and kept nowhere. Another password: wharf user passwd {user} --file {path}\n\n"
    );
    io::stderr().lock().write_all(text.as_bytes()).with_context(|| {
        format!("made the password file `{path}`, but cannot show its password; delete the file, and start again with a standard error")
    })
}
