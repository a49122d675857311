//! The arguments of every command that is for the registry of this machine or for another one.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use wharf_client::Address;

use super::{
    listing::Output,
    remote::{Reach, Remote},
    transfer::Place,
};

/// The registry that a command is for.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Server {
    /// The registry, such as `registry.example.com`; without it, that of this machine.
    ///
    /// Where a command names a repository, `HOST/REPOSITORY` does the same.
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) server: Option<Address>,

    /// Of the registry of this machine, its config.yml, which is otherwise found as for `serve`; of another one, the directory of docker's
    /// config.json.
    #[arg(long, value_name = "PATH")]
    pub(crate) config: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) reach: Reach,
}

/// In which form a command prints what it did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Args)]
pub(crate) struct Report {
    /// The form.
    #[arg(short, long, value_enum, value_name = "FORM")]
    output: Option<ReportForm>,

    /// The same as --output json.
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReportForm {
    /// A text for people
    Table,
    /// A JSON object; its fields are documented and stay
    Json,
}

impl Server {
    /// Connection and credentials for another registry.
    pub(crate) fn remote(&self) -> Remote {
        Remote {
            reach: self.reach.clone(),
            config: self.config.clone(),
        }
    }

    /// The registry that is meant by a name with the registry `named` in front, and by `--server`.
    ///
    /// # Errors
    /// When both name one, and not the same.
    pub(crate) fn registry<'a>(&'a self, named: Option<&'a Address>) -> Result<Option<&'a Address>, String> {
        match (&self.server, named) {
            (Some(server), Some(named)) if server != named => Err(format!(
                "`--server {}` and the name with `{}` in front are different registries; name one",
                server.host(),
                named.host()
            )),
            (server, named) => Ok(named.or(server.as_ref())),
        }
    }
}

impl Report {
    /// Whether JSON is to be printed.
    pub(crate) fn is_json(self) -> bool {
        self.json || self.output == Some(ReportForm::Json)
    }

    /// The form, of those of commands that list.
    pub(crate) fn output(self) -> Output {
        match self.is_json() {
            true => Output::Json,
            false => Output::Table,
        }
    }
}

/// The image or repository of a registry that `text` names: its first part is a registry if it has a dot or a colon, or is `localhost`,
/// as docker reads names. `None`: it names none.
///
/// # Errors
/// When what follows is no name.
pub(super) fn placed(text: &str) -> Result<Option<Place>, String> {
    let Some((first, _)) = text.split_once('/') else {
        return Ok(None);
    };
    let has_scheme = text.starts_with("http://") || text.starts_with("https://");
    match has_scheme || first.contains(['.', ':']) || first == "localhost" {
        true => text.parse().map(Some).map_err(|error| format!("{error}")),
        false => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_begins_with_a_registry_as_docker_reads_it() {
        for text in [
            "localhost/app",
            "localhost:5000/app:1",
            "r.test/a/b",
            "http://registry/app",
        ] {
            assert!(placed(text).unwrap().is_some(), "{text}");
        }
        for text in ["app", "app:1.0", "team/app:1.0", "registry/app"] {
            assert_eq!(placed(text), Ok(None), "{text}");
        }
        assert!(placed("r.test/App").unwrap_err().contains("HOST:PORT"));
    }

    #[test]
    fn a_registry_is_named_once() {
        let parse = |text: &str| text.parse::<Address>().unwrap();
        let server = Server {
            server: Some(parse("r.test")),
            ..Server::default()
        };
        let (same, other) = (parse("r.test"), parse("s.test"));
        assert_eq!(server.registry(Some(&same)), Ok(Some(&same)));
        assert_eq!(server.registry(None), Ok(Some(&same)));
        assert!(server.registry(Some(&other)).unwrap_err().contains("s.test"));
        assert_eq!(Server::default().registry(Some(&other)), Ok(Some(&other)));
    }
}
