//! `wharf init`: a directory with everything that a registry with users and TLS needs.

mod made;
mod texts;

use std::{
    io::{self, IsTerminal as _, Write as _},
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf, absolute},
};

use anyhow::{Context as _, bail};
use rustix::process::{getegid, geteuid};
use wharf_access::{htpasswd, password};

use self::{
    made::Made,
    texts::{Password, Site},
};
use super::{
    cert::{self, Wanted},
    user::{GENERATED_LENGTH, check_password},
};
use crate::{cli::Init, prompt};

/// What is made, and the files that a program would read instead of it: Compose prefers some names to others.
const NAMES: [&str; 9] = [
    "data",
    "auth",
    "certs",
    "config.yml",
    ".env",
    "docker-compose.yml",
    "docker-compose.yaml",
    "compose.yaml",
    "compose.yml",
];

/// Days for which the certificate is valid: Apple's systems refuse more.
const DAYS: u32 = 825;

/// Makes everything, or nothing.
pub(crate) fn run(arguments: &Init) -> anyhow::Result<()> {
    let directory = absolute(&arguments.directory).context("cannot find the directory")?;
    let site = site(arguments, &directory)?;
    check_user(&site.user)?;
    refuse_what_exists(arguments, &directory)?;
    let certificate = match arguments.no_tls {
        true => None,
        false => Some(certificate(arguments, &site.host)?),
    };
    let password = password_of(arguments)?;
    let line = format!(
        "{}:{}\n",
        site.user,
        password::hash(&password, password::DEFAULT_COST)?
    );

    let mut made = Made::default();
    let written = arguments.password_out.as_ref();
    if let Some(path) = written {
        // Without a newline, as `$(cat file)` and `--password-stdin` both like it.
        made.file(path, 0o600, &password)?;
    }
    made.directories(&directory, 0o755)?;
    let path = |name: &str| directory.join(name);
    made.directory(&path("data"), 0o700)?;
    made.directory(&path("auth"), 0o700)?;
    made.file(&path("auth/htpasswd"), 0o600, line.as_bytes())?;
    if let Some(certificate) = &certificate {
        // Clients copy the certificate from here.
        made.directory(&path("certs"), 0o755)?;
        made.file(&path("certs/domain.key"), 0o600, certificate.key.as_bytes())?;
        made.file(
            &path("certs/domain.crt"),
            0o644,
            certificate.certificate.as_bytes(),
        )?;
    }
    made.file(&path("config.yml"), 0o644, site.configuration().as_bytes())?;
    made.file(&path(".env"), 0o644, site.environment().as_bytes())?;
    made.file(&path("docker-compose.yml"), 0o644, site.compose().as_bytes())?;

    let password = String::from_utf8_lossy(&password);
    let written = written.map(|path| path.display().to_string());
    let told = match (&written, arguments.password_stdin) {
        (Some(path), _) => Password::Written(path),
        (None, true) => Password::Given,
        (None, false) => Password::Shown(&password),
    };
    let mut out = io::stdout().lock();
    // Without the password the registry would be of no use: it is made when the operator has seen it.
    out.write_all(site.instructions(&told).as_bytes())
        .and_then(|()| out.flush())
        .context("cannot print the instructions; nothing was made")?;
    made.keep();
    Ok(())
}

fn site(arguments: &Init, directory: &Path) -> anyhow::Result<Site> {
    let Some(path) = directory.to_str() else {
        bail!(
            "`{}` is not UTF-8, and cannot be named in a configuration; choose another directory",
            directory.display()
        );
    };
    let path = path.trim_end_matches('/');
    let host = match arguments.hosts.first() {
        Some(host) => host.clone(),
        None => this_machine(),
    };
    Ok(Site {
        directory: if path.is_empty() { "/" } else { path }.to_owned(),
        user: arguments.user.clone(),
        host,
        port: arguments.port,
        has_tls: !arguments.no_tls,
        owner: format!("{}:{}", geteuid().as_raw(), getegid().as_raw()),
    })
}

/// Whether the first user can have this name, in the password file and among `access.admins`.
fn check_user(name: &str) -> anyhow::Result<()> {
    htpasswd::check_name(name)?;
    if name.contains('*') || name.starts_with('@') {
        bail!(
            "the user name `{}` cannot be used: in access rules it would stand for several accounts",
            name.escape_debug()
        );
    }
    Ok(())
}

/// The name of this machine, if it can be that of a host.
fn this_machine() -> String {
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy().to_lowercase();
    match cert::host_name(&name) {
        Ok(name) if !name.starts_with('*') => name.to_owned(),
        _ => "localhost".to_owned(),
    }
}

/// Fails when anything that would be made exists, and names all of it.
fn refuse_what_exists(arguments: &Init, directory: &Path) -> anyhow::Result<()> {
    if directory.exists() && !directory.is_dir() {
        bail!("`{}` is not a directory", directory.display());
    }
    let mut existing: Vec<PathBuf> = NAMES.iter().map(|name| directory.join(name)).collect();
    existing.extend(arguments.password_out.clone());
    // Also a symbolic link that leads nowhere.
    existing.retain(|path| path.symlink_metadata().is_ok());
    if existing.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = existing
        .iter()
        .map(|path| format!("`{}`", path.display()))
        .collect();
    let exists = if names.len() == 1 { "exists" } else { "exist" };
    bail!(
        "{} {exists} already, and nothing was made; name another directory, or move what is in the way",
        names.join(", ")
    )
}

fn certificate(arguments: &Init, host: &str) -> anyhow::Result<cert::Made> {
    let mut names = match arguments.hosts.is_empty() {
        true => vec![host.to_owned()],
        false => arguments.hosts.clone(),
    };
    names.push("localhost".to_owned());
    Wanted {
        names,
        addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        days: DAYS,
        is_rsa: false,
    }
    .make()
}

/// Reads the password of the first user, or makes one that the operator will see: it must not end in a file of a log.
fn password_of(arguments: &Init) -> anyhow::Result<Vec<u8>> {
    if arguments.password_stdin {
        let password = prompt::line_of_stdin().context("cannot read the password")?;
        check_password(&password)?;
        if password::is_well_known(&arguments.user, &password) {
            bail!("the password is well known and easy to guess; `wharf pwgen` makes a good one");
        }
        return Ok(password);
    }
    if arguments.password_out.is_none() && !io::stdout().is_terminal() {
        bail!(
            "the password would be shown on standard output, which is not a terminal; `--password-out FILE` writes it to a file \
             that only you can read, and `--password-stdin` takes yours"
        );
    }
    Ok(password::generate(GENERATED_LENGTH)?.into_bytes())
}
