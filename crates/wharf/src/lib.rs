//! The program as a library: [`main`] is the command line, [`start`] a server within another process.

mod bucket;
mod cli;
mod cloud;
mod cmd;
mod completion;
mod config;
mod control;
mod elsewhere;
mod log;
mod nesting;
mod preflight;
mod prompt;
mod running;
mod services;
mod systemd;
mod upstreams;
mod version;

pub use running::{Running, start, start_quickly};

use std::{ffi::OsString, path::Path, process::ExitCode};

use clap::{CommandFactory as _, Parser as _};
use clap_complete::CompleteEnv;

use crate::cmd::inspect::View;

/// Reads the command line of this process and runs one command.
pub fn main() -> ExitCode {
    let completions = CompleteEnv::with_factory(cli::Cli::command).var(completion::VARIABLE);
    // A shell that asks for completions shows no errors.
    match completions.try_complete(std::env::args_os(), None) {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(_) => return ExitCode::FAILURE,
    }
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_default();
    let result = if is_called(&program, "htpasswd") {
        Ok(cmd::htpasswd::run(&words.collect::<Vec<OsString>>()))
    } else if is_called(&program, cmd::credential_helper::PROGRAM) {
        Ok(cmd::credential_helper::run(&words.collect::<Vec<OsString>>()))
    } else {
        run(cli::Cli::parse().command)
    };
    // What is printed next comes after the lines of the log.
    log::flush();
    match result {
        Ok(code) => code,
        Err(error) => {
            print_error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(command: cli::Command) -> anyhow::Result<ExitCode> {
    match command {
        cli::Command::Serve { config } => cmd::serve::run(config.as_deref())?,
        cli::Command::Doctor(arguments) => return Ok(cmd::doctor::run(&arguments)),
        cli::Command::Init(arguments) => cmd::init::run(&arguments)?,
        cli::Command::Config { command } => {
            return Ok(match command {
                cli::Config::Check { file, no_files } => cmd::config::check(file.as_deref(), !no_files),
                cli::Config::Show { file, origin } => cmd::config::show(file.as_deref(), origin),
                cli::Config::Keys => cmd::config::keys(),
            });
        }
        cli::Command::GarbageCollect(arguments) => cmd::garbage_collect::run(&arguments)?,
        cli::Command::Gc(arguments) => cmd::gc::run(&arguments)?,
        cli::Command::Why(arguments) => cmd::why::run(&arguments)?,
        cli::Command::Fsck(arguments) => return cmd::fsck::run(&arguments),
        cli::Command::Storage { command } => match command {
            cli::Storage::Copy(arguments) => return cmd::storage::copy(&arguments),
        },
        cli::Command::Backup(arguments) => return cmd::backup::run(&arguments),
        cli::Command::Verify(arguments) => return cmd::backup::verify(&arguments),
        cli::Command::Restore(arguments) => return cmd::restore::run(&arguments),
        cli::Command::Referrers(arguments) => match arguments.command {
            Some(cli::Referrers::WriteTags(arguments)) => cmd::referrers::write_tags(&arguments)?,
            None => cmd::referrers::list(arguments.of)?,
        },
        cli::Command::Attach(arguments) => cmd::attach::run(arguments)?,
        cli::Command::Status(arguments) => return cmd::status::run(&arguments),
        cli::Command::Activity(arguments) => cmd::activity::run(arguments)?,
        cli::Command::Uploads { command } => match command {
            cli::Uploads::Ls { config } => cmd::uploads::list(config.as_deref())?,
            cli::Uploads::Purge {
                config,
                older_than,
                dry_run,
            } => cmd::uploads::purge(config.as_deref(), older_than, dry_run)?,
        },
        cli::Command::Healthcheck { config } => cmd::healthcheck::run(config.as_deref())?,
        cli::Command::Repo { command } => return cmd::repo::run(command),
        cli::Command::Tag { command } => return cmd::repo::run_tag(command),
        cli::Command::Prune(arguments) => return cmd::prune::run(&arguments),
        cli::Command::Trash { command } => return cmd::trash::run(command),
        cli::Command::Inspect {
            image,
            platform,
            raw,
            dockerfile,
            json,
            remote,
        } => {
            let view = if dockerfile {
                View::Dockerfile
            } else if raw {
                View::Raw
            } else if json {
                View::Json
            } else {
                View::Text
            };
            cmd::inspect::run(&image, platform.as_deref(), view, remote)?;
        }
        cli::Command::Search(arguments) => cmd::listing::search(arguments)?,
        cli::Command::Ls(arguments) => cmd::files::list(arguments)?,
        cli::Command::Cat(arguments) => cmd::files::print_file(arguments)?,
        cli::Command::Diff(arguments) => return cmd::diff::run(arguments),
        cli::Command::Copy(arguments) => cmd::transfer::copy(&arguments)?,
        cli::Command::Export(arguments) => cmd::transfer::export(&arguments)?,
        cli::Command::Import(arguments) => cmd::transfer::import(&arguments)?,
        cli::Command::Inventory(arguments) => cmd::transfer::inventory(&arguments)?,
        cli::Command::Sync(arguments) => return cmd::sync::run(&arguments),
        cli::Command::Login(arguments) => cmd::login::login(arguments)?,
        cli::Command::Logout(arguments) => cmd::login::logout(arguments)?,
        cli::Command::Completion { shell } => cmd::manual::print_completion(shell)?,
        cli::Command::Reference => cmd::manual::print_reference()?,
        cli::Command::Man { directory } => cmd::manual::write_pages(&directory)?,
        cli::Command::User { command } => cmd::user::run(command)?,
        cli::Command::Access { command } => return cmd::access::run(&command),
        cli::Command::Token { command } => cmd::token::run(&command)?,
        cli::Command::Htpasswd { arguments } => return Ok(cmd::htpasswd::run(&arguments)),
        cli::Command::Cert { command } => cmd::cert::run(command)?,
        cli::Command::Pwgen { length, count } => cmd::pwgen::run(length, count)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the program was started by this name, such as `htpasswd`, that of Apache's tool.
fn is_called(program: &OsString, wanted: &str) -> bool {
    Path::new(program).file_name().is_some_and(|name| name == wanted)
}

#[expect(
    clippy::print_stderr,
    reason = "the error that ends a command belongs on stderr, with or without a log"
)]
fn print_error(error: &anyhow::Error) {
    // Errors of the commands that ask a registry repeat its words.
    for line in format!("wharf: {error:#}").lines() {
        eprintln!("{}", wharf_client::printable(line));
    }
}
