//! `wharf user`: adding, changing, removing and listing the users in the password file.

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use rustix::fs::{Mode, OFlags};
use wharf_access::{
    htpasswd::{self, Edited},
    password,
};

use crate::{
    cli::{PasswordFile, User, UserAndPassword},
    config::{self, Auth},
    prompt,
};

/// Length of a generated password: 119 bits.
pub(super) const GENERATED_LENGTH: usize = 20;

pub(crate) fn run(command: User) -> anyhow::Result<()> {
    match command {
        User::Add(user) => add(&user),
        User::Passwd(user) => set_password(&user),
        User::Rm { name, file } => remove(&name, &path_of(&file)?),
        User::Ls { quiet, file } => list(&path_of(&file)?, quiet),
    }
}

fn add(user: &UserAndPassword) -> anyhow::Result<()> {
    let path = path_of(&user.file)?;
    if path.exists() && names_in(&path)?.contains(&user.name) {
        bail!(
            "there is a user `{}` already; `wharf user passwd` changes the password",
            user.name
        );
    }
    give(user, |hash| {
        htpasswd::add(&path, &user.name, hash)?;
        say(&format!("added user `{}` to {}", user.name, path.display()))
    })
}

fn set_password(user: &UserAndPassword) -> anyhow::Result<()> {
    let path = path_of(&user.file)?;
    if !names_in(&path)?.contains(&user.name) {
        bail!(
            "there is no user `{}` in {}; `wharf user add` adds one",
            user.name,
            path.display()
        );
    }
    give(user, |hash| {
        htpasswd::set(&path, &user.name, hash)?;
        say(&format!("user `{}` has a new password", user.name))
    })
}

/// Reads or makes the password, prints it or writes it to the file `--out`, and stores its hash with `put`. That file
/// is written before the hash is stored: a password that the user cannot see is never set.
fn give(user: &UserAndPassword, put: impl FnOnce(&str) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let Some(out) = &user.out else {
        let password = password_for(user)?;
        put(&password::hash(&password, user.cost)?)?;
        return if user.generate { print(&password) } else { Ok(()) };
    };
    let mut file = create(out)?;
    let given = password_for(user).and_then(|password| {
        // Without a newline, as `$(cat file)` and `--password-stdin` both like it.
        let written = file.write_all(&password).and_then(|()| file.sync_all());
        written.context("cannot write the password")?;
        put(&password::hash(&password, user.cost)?)
    });
    if given.is_err() {
        // This command made the file, and its password was not set.
        _ = rustix::fs::unlink(out);
    }
    given
}

fn print(password: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(password)?;
    out.write_all(b"\n")?;
    out.flush().context("cannot print the password")
}

fn remove(name: &str, path: &Path) -> anyhow::Result<()> {
    if htpasswd::remove(path, name)? == Edited::NotFound {
        bail!("there is no user `{name}` in {}", path.display());
    }
    say(&format!("removed user `{name}` from {}", path.display()))
}

fn list(path: &Path, is_quiet: bool) -> anyhow::Result<()> {
    let users = htpasswd::list_users(path)?;
    let width = users
        .iter()
        .map(|user| user.name.chars().count())
        .max()
        .unwrap_or(0);
    let mut out = io::BufWriter::new(io::stdout().lock());
    for user in users {
        let name = user.name.escape_debug().to_string();
        match (is_quiet, user.cost, user.problem) {
            (true, ..) => writeln!(out, "{name}")?,
            (false, Some(cost), _) => writeln!(out, "{name:width$}  bcrypt, cost {cost}")?,
            (false, None, problem) => writeln!(out, "{name:width$}  {}", problem.unwrap_or_default())?,
        }
    }
    out.flush()?;
    Ok(())
}

fn names_in(path: &Path) -> anyhow::Result<Vec<String>> {
    Ok(htpasswd::list_users(path)?
        .into_iter()
        .map(|user| user.name)
        .collect())
}

/// The file of the option, or that of the configuration.
fn path_of(PasswordFile { file }: &PasswordFile) -> anyhow::Result<PathBuf> {
    if let Some(path) = file {
        return Ok(path.clone());
    }
    let configured = config::load(None)
        .context("cannot find the password file; name it with `--file`")?
        .auth;
    let configured = configured.as_ref().and_then(Auth::htpasswd);
    let configured = configured.context("no password file is configured; name it with `--file`")?;
    Ok(configured.path.clone())
}

fn password_for(user: &UserAndPassword) -> anyhow::Result<Vec<u8>> {
    let password = if user.generate {
        password::generate(GENERATED_LENGTH)?.into_bytes()
    } else if user.password_stdin {
        prompt::line_of_stdin()?
    } else {
        ask_twice()?
    };
    check_password(&password)?;
    Ok(password)
}

/// Refuses a password that is none, and warns of one that bcrypt does not read whole.
///
/// # Errors
///
/// When it is empty, or longer than Apache's tool takes.
pub(super) fn check_password(password: &[u8]) -> anyhow::Result<()> {
    if password.is_empty() {
        bail!("an empty password lets every client in; `wharf pwgen` makes a good one");
    }
    if password.len() > prompt::LENGTH_LIMIT {
        bail!("the password is longer than {} bytes", prompt::LENGTH_LIMIT);
    }
    if password.len() > password::PASSWORD_BYTES {
        say(&format!(
            "warning: the password has {} bytes, and bcrypt looks at the first {} only",
            password.len(),
            password::PASSWORD_BYTES
        ))?;
    }
    Ok(())
}

fn ask_twice() -> anyhow::Result<Vec<u8>> {
    let first = prompt::password("New password: ")?;
    if prompt::password("Re-type new password: ")? != first {
        bail!("the two passwords differ; nothing was changed");
    }
    Ok(first)
}

/// A new file that only its owner can read.
fn create(path: &Path) -> anyhow::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o600));
    Ok(File::from(file.with_context(|| {
        format!("cannot create `{}`", path.display())
    })?))
}

/// Prints to standard error: standard output is for passwords and lists, which scripts read.
fn say(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(io::stderr(), "{text}")?)
}
