//! The binary: reads the command line and runs one command.

mod cli;
mod cmd;
mod config;
mod log;
mod prompt;
mod systemd;

use std::{ffi::OsString, path::Path, process::ExitCode};

use clap::Parser as _;

use crate::cmd::inspect::View;

/// Transfers pass through buffers of 128 KiB and more, which glibc takes from the kernel and gives back each
/// time (its mmap threshold); mimalloc keeps them, and returns what an idle server no longer needs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let result = if words.next().is_some_and(|program| is_htpasswd(&program)) {
        Ok(cmd::htpasswd::run(&words.collect::<Vec<OsString>>()))
    } else {
        run(cli::Cli::parse().command)
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            say_error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(command: cli::Command) -> anyhow::Result<ExitCode> {
    match command {
        cli::Command::Serve { config } => cmd::serve::run(config.as_deref())?,
        cli::Command::Config { command } => {
            return Ok(match command {
                cli::Config::Check { file } => cmd::config::check(file.as_deref()),
                cli::Config::Show { file, origin } => cmd::config::show(file.as_deref(), origin),
                cli::Config::Keys => cmd::config::keys(),
            });
        }
        cli::Command::GarbageCollect(arguments) => cmd::garbage_collect::run(&arguments)?,
        cli::Command::Healthcheck { config } => cmd::healthcheck::run(config.as_deref())?,
        cli::Command::Repo { command } => cmd::repo::run(command)?,
        cli::Command::Tag { command } => cmd::repo::run_tag(command)?,
        cli::Command::Inspect {
            image,
            platform,
            raw,
            json,
            remote,
        } => {
            let view = if raw {
                View::Raw
            } else if json {
                View::Json
            } else {
                View::Text
            };
            cmd::inspect::run(&image, platform.as_deref(), view, remote)?;
        }
        cli::Command::Completion { shell } => cmd::manual::print_completion(shell)?,
        cli::Command::Man { directory } => cmd::manual::write_pages(&directory)?,
        cli::Command::User { command } => cmd::user::run(command)?,
        cli::Command::Htpasswd { arguments } => return Ok(cmd::htpasswd::run(&arguments)),
        cli::Command::Cert { command } => cmd::cert::run(command)?,
        cli::Command::Pwgen { length, count } => cmd::pwgen::run(length, count)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the program was started under the name of Apache's tool.
fn is_htpasswd(program: &OsString) -> bool {
    Path::new(program)
        .file_name()
        .is_some_and(|name| name == "htpasswd")
}

#[expect(
    clippy::print_stderr,
    reason = "the last words of a command belong on stderr, with or without a log"
)]
fn say_error(error: &anyhow::Error) {
    eprintln!("wharf: {error:#}");
}
