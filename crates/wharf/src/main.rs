//! The binary: reads the command line and runs one command.

mod cli;
mod cmd;
mod config;
mod systemd;

use std::process::ExitCode;

use clap::Parser as _;

/// Transfers pass through buffers of 128 KiB and more, which glibc takes from the kernel and gives back each
/// time (its mmap threshold); mimalloc keeps them, and returns what an idle server no longer needs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let result = match cli::Cli::parse().command {
        cli::Command::Serve { config } => cmd::serve::run(config.as_deref()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say_error(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the last words of a command belong on stderr, with or without a log"
)]
fn say_error(error: &anyhow::Error) {
    eprintln!("wharf: {error:#}");
}
