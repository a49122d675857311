//! The project's own chores, called as `cargo xtask CHORE`.
#![expect(
    clippy::disallowed_methods,
    reason = "chores read and write files; only the product is held to one module"
)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a chore talks to the person who called it"
)]

mod bench;
mod image;
mod package;
mod project;

use clap::{Parser, Subcommand};

/// The project's own chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Compare wharf with `registry:2`, `registry:3` and nginx on this machine.
    ///
    /// docs/benchmarks.md says how to read what it prints.
    Bench(bench::Options),
    /// Build the container image, from nothing but this machine's busybox.
    Image(image::Options),
    /// Build the Debian package, with manual pages and completions.
    Deb,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().chore {
        Chore::Bench(options) => bench::run(&options),
        Chore::Image(options) => image::run(&options),
        Chore::Deb => package::run(),
    }
}
