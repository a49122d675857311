//! `wharf user`: adding, changing, removing and listing users, through the server that runs, or else in the password file.

use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
};

use anyhow::{Context as _, anyhow, bail};
use http::Method;
use rustix::fs::{Mode, OFlags};
use wharf_access::{htpasswd, password};
use wharf_client::control::ControlError;
use wharf_server::admin::{NewPassword, Removal, Users, wire};

use super::token;
use crate::{
    cli::{PasswordFile, User, UserAndPassword},
    config::{self, Auth, Settings},
    control::RunningServer,
    prompt,
};

/// Length of a generated password: 119 bits.
pub(super) const GENERATED_LENGTH: usize = 20;

/// How often a list that changes while it is read is read again.
const ATTEMPTS: usize = 5;

/// The users that a command is for.
enum Accounts {
    /// Those in a password file, which the command changes itself; with the registry that they are users of, if a configuration names
    /// the file.
    InFile(Users, Option<Box<Settings>>),
    /// Those of a server that runs.
    OfServer(RunningServer),
}

pub(crate) fn run(command: User) -> anyhow::Result<()> {
    match command {
        User::Add(user) => add(&user),
        User::Passwd(user) => set_password(&user),
        User::Rm { name, file } => remove(&name, &Accounts::of(&file)?),
        User::Ls { quiet, file } => list(&Accounts::of(&file)?, quiet),
    }
}

fn add(user: &UserAndPassword) -> anyhow::Result<()> {
    let accounts = Accounts::of(&user.file)?;
    if accounts.have(&user.name)? {
        bail!(
            "there is a user `{}` already; `wharf user passwd` changes the password",
            user.name
        );
    }
    give(user, |hash| {
        let file = accounts.add(&user.name, hash)?;
        say(&format!("added user `{}` to {file}", user.name))
    })
}

fn set_password(user: &UserAndPassword) -> anyhow::Result<()> {
    let accounts = Accounts::of(&user.file)?;
    if !accounts.have(&user.name)? {
        bail!(
            "there is no user `{}` in {}; `wharf user add` adds one",
            user.name,
            accounts.file()?
        );
    }
    give(user, |hash| {
        accounts.set_password(&user.name, hash)?;
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

fn remove(name: &str, accounts: &Accounts) -> anyhow::Result<()> {
    let wire::RemovedUser {
        name,
        file,
        was_user,
        tokens,
    } = accounts.remove(name)?;
    say(&match was_user {
        true => format!("removed user `{name}` from {file}"),
        false => format!("there was no user `{name}` in {file} any more"),
    })?;
    match tokens.len() {
        0 => Ok(()),
        1 => say(&format!("revoked 1 robot token: {}", tokens.join(", "))),
        number => say(&format!("revoked {number} robot tokens: {}", tokens.join(", "))),
    }
}

fn list(accounts: &Accounts, is_quiet: bool) -> anyhow::Result<()> {
    let users = accounts.list()?;
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

impl Accounts {
    /// Those in the file of the option, else those of the running server, else those in the file of the configuration. A server
    /// without users does not know a file that its configuration has named since it started.
    fn of(PasswordFile { file, config }: &PasswordFile) -> anyhow::Result<Self> {
        if let Some(path) = file {
            return Ok(Self::InFile(Users::in_file(path), None));
        }
        let settings = config::load(config.as_deref())
            .context("cannot find the password file; name it with `--file`")?;
        let server = RunningServer::find(&settings)
            .map_err(|error| anyhow!("{error:#}; `--file` changes a file without the server"))?;
        if let Some(server) = server {
            match first_page(&server) {
                Ok(_) => return Ok(Self::OfServer(server)),
                Err(error) if error.is("no-users") => {}
                Err(error) => return Err(error.into()),
            }
        }
        let configured = settings.auth.as_ref().and_then(Auth::htpasswd);
        let configured = configured.context("no password file is configured; name it with `--file`")?;
        let users = Users::in_file(&configured.path);
        Ok(Self::InFile(users, Some(Box::new(settings))))
    }

    /// Whether there is a user of this name. A file that does not exist has none.
    fn have(&self, name: &str) -> anyhow::Result<bool> {
        if let Self::InFile(users, _) = self
            && !users.path().exists()
        {
            return Ok(false);
        }
        Ok(self.list()?.iter().any(|user| user.name == name))
    }

    fn list(&self) -> anyhow::Result<Vec<htpasswd::User>> {
        match self {
            Self::InFile(users, _) => Ok(users.list()?.users),
            Self::OfServer(server) => {
                let mut attempts = ATTEMPTS;
                loop {
                    attempts -= 1;
                    match all_pages(server) {
                        Err(error) if error.is("list-changed") && attempts > 0 => {}
                        read => return Ok(read?),
                    }
                }
            }
        }
    }

    /// Path of the password file.
    fn file(&self) -> anyhow::Result<String> {
        Ok(match self {
            Self::InFile(users, _) => users.path().display().to_string(),
            Self::OfServer(server) => first_page(server)?.file,
        })
    }

    /// Adds a user; gives the path of the file.
    fn add(&self, name: &str, hash: &str) -> anyhow::Result<String> {
        match self {
            Self::InFile(users, _) => {
                users.add(name, NewPassword::Hashed(hash), None)?;
                self.file()
            }
            Self::OfServer(server) => {
                let user = wire::NewUser {
                    name: name.to_owned(),
                    password: None,
                    hash: Some(wire::Secret(hash.to_owned())),
                    cost: None,
                };
                let added: wire::ChangedUser = server.tell(Method::POST, "/users", &[], &user)?;
                Ok(added.file)
            }
        }
    }

    fn set_password(&self, name: &str, hash: &str) -> anyhow::Result<()> {
        match self {
            Self::InFile(users, _) => drop(users.set_password(name, NewPassword::Hashed(hash), None)?),
            Self::OfServer(server) => {
                let other = wire::OtherPassword {
                    hash: Some(wire::Secret(hash.to_owned())),
                    ..wire::OtherPassword::default()
                };
                let _: wire::ChangedUser =
                    server.tell(Method::PUT, "/users/password", &[("name", name)], &other)?;
            }
        }
        Ok(())
    }

    /// Removes a user, and its robot tokens.
    fn remove(&self, name: &str) -> anyhow::Result<wire::RemovedUser> {
        let (users, settings) = match self {
            Self::InFile(users, settings) => (users, settings),
            Self::OfServer(server) => return Ok(server.ask(Method::DELETE, "/users", &[("name", name)])?),
        };
        let removal = Removal::of(users, name, None)?;
        let revoked = match settings {
            Some(settings) => token::revoke_of(name, settings),
            None => Ok(Vec::new()),
        };
        let removed = removal.with_tokens(revoked.map_err(|error| format!("{error:#}")))?;
        Ok(wire::RemovedUser {
            name: removed.name,
            file: self.file()?,
            was_user: removed.was_user,
            tokens: removed.tokens,
        })
    }
}

fn first_page(server: &RunningServer) -> Result<wire::UserPage, ControlError> {
    server.ask(Method::GET, "/users", &[("limit", "1000")])
}

fn all_pages(server: &RunningServer) -> Result<Vec<htpasswd::User>, ControlError> {
    let mut page = first_page(server)?;
    let mut users = Vec::new();
    loop {
        let found = page.users.into_iter();
        users.extend(found.map(|wire::User { name, cost, problem }| htpasswd::User { name, cost, problem }));
        let Some(next) = page.next else {
            return Ok(users);
        };
        page = server.ask(Method::GET, "/users", &[("limit", "1000"), ("cursor", &next)])?;
    }
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
