//! The command line: definitions only.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// A private container registry: one binary, a drop-in for registry:2.
#[derive(Debug, Parser)]
#[command(name = "wharf", version, disable_version_flag = true)]
pub(crate) struct Cli {
    /// Print the version.
    #[arg(short, long, action = clap::ArgAction::Version)]
    version: (),

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the registry.
    ///
    /// Needs no configuration: it then listens on 127.0.0.1:5000 and keeps its data in ./data.
    Serve {
        /// registry:2's config.yml.
        ///
        /// Otherwise $REGISTRY_CONFIGURATION_PATH, /etc/docker/registry/config.yml or
        /// /etc/distribution/config.yml. REGISTRY_HTTP_ADDR=:5000 in the environment overrides http.addr,
        /// and so on for each key.
        config: Option<PathBuf>,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_takes_an_optional_file() {
        let parse = |words: &[&str]| match Cli::try_parse_from(words).unwrap().command {
            Command::Serve { config } => config,
        };
        assert_eq!(parse(&["wharf", "serve"]), None);
        assert_eq!(
            parse(&["registry", "serve", "/etc/c.yml"]),
            Some("/etc/c.yml".into())
        );
    }
}
