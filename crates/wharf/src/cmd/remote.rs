//! Shared parts of the commands that query a registry: connecting, logging in and printing.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::{Context as _, bail};
use tokio::runtime;
use wharf_client::{
    Address, Client, Credentials, Login, Notices, Options, Secret, printable, printable_json,
};

use crate::{cli::Remote, prompt};

/// Queries the registry at `address`, in a runtime of the command's own.
pub(crate) fn ask<T>(
    address: &Address,
    remote: Remote,
    question: impl AsyncFnOnce(Client) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (address, options) = options(address, remote)?;
    runtime.block_on(async { question(Client::connect(&address, options).await?).await })
}

/// The address of a registry, and how the client connects to it, as the command line says.
pub(crate) fn options(address: &Address, remote: Remote) -> anyhow::Result<(Address, Options)> {
    let reach = remote.reach;
    if reach.insecure {
        say_insecure(address);
    }
    let address = match (reach.plain_http, address.requires_tls()) {
        (true, true) => bail!("`--plain-http` contradicts the `https://` of the registry"),
        (true, false) => address.clone().over_plain_http(),
        (false, _) => address.clone(),
    };
    let options = Options {
        credentials: Credentials {
            given: login(reach.user, reach.password_stdin)?,
            directory: remote.config,
        },
        authorities: reach.cacert,
        insecure: reach.insecure,
        notices: Notices::to(say),
    };
    Ok((address, options))
}

/// Says what `--insecure` means for the registry at `address`.
pub(crate) fn say_insecure(address: &Address) {
    say(&format!(
        "--insecure: nothing proves that it is `{0}` that answers, and passwords may go to another server; \
         `--cacert FILE` with its authority is safe",
        address.host()
    ));
}

/// Says something beside the data of the command: on standard error, whatever the words of a server do to a terminal.
pub(crate) fn say(text: &str) {
    let mut lines = String::new();
    for line in text.lines() {
        lines.extend(["wharf: ", &*printable(line), "\n"]);
    }
    // Without a place for messages the command goes on.
    _ = io::stderr().lock().write_all(lines.as_bytes());
}

/// Puts a question to the terminal; the answer is a line of standard input.
pub(crate) fn ask_at_terminal(question: &str) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    stderr.write_all(question.as_bytes())?;
    stderr.flush()
}

/// `NAME`, with the password from standard input or the terminal, or `NAME:PASSWORD`.
pub(crate) fn login(user: Option<String>, password_stdin: bool) -> anyhow::Result<Option<Login>> {
    let Some(user) = user else {
        if password_stdin {
            bail!("`--password-stdin` needs `--user NAME`");
        }
        return Ok(None);
    };
    let (user, password) = match user.split_once(':') {
        Some((user, password)) if !password_stdin => (user.to_owned(), password.to_owned()),
        _ => {
            let bytes = if password_stdin {
                prompt::secret_of_stdin()?
            } else if io::stdin().is_terminal() {
                prompt::secret(&format!("Password of {user}: "))?
            } else {
                bail!("`--user {user}` needs a password: `--password-stdin` reads it from standard input");
            };
            (
                user,
                String::from_utf8(bytes).context("the password is not UTF-8")?,
            )
        }
    };
    let secret = Secret::Password(password);
    Ok(Some(Login { user, secret }))
}

/// Prints a JSON document with texts of another server, which may go to a terminal.
pub(crate) fn print_json(document: &str) -> anyhow::Result<()> {
    write(&printable_json(document))
}

/// Prints the lines of `text`, which may have words of another server: what would act on a terminal is escaped. Words that could begin a
/// line of their own are to be made [printable] before. A reader that closes the pipe early, such as `head`, is not a failure.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let lines = text
        .split_inclusive('\n')
        .map(|line| match line.strip_suffix('\n') {
            Some(line) => printable(line).into_owned() + "\n",
            None => printable(line).into_owned(),
        });
    write(&lines.collect::<String>())
}

/// Writes to standard output.
fn write(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}
