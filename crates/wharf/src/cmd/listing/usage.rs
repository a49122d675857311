//! `wharf repo du`.

use anyhow::Context as _;
use wharf_client::printable;
use wharf_server::admin::wire::Usage;

use super::{known, show_names};
use crate::{
    cli::{Du, Output},
    cmd::{
        remote::{ask, print, print_json, say},
        size::readable,
        table::aligned,
    },
};

/// How many repositories are shown.
const LIMIT: usize = 1000;

/// Shows the disk use of a registry.
pub(crate) fn run(arguments: Du) -> anyhow::Result<()> {
    let output = arguments.form.output(Output::Table);
    let usage: Usage = ask(&arguments.registry, arguments.remote, async |client| {
        let body = client.administration(&format!("/usage?limit={LIMIT}")).await?;
        let body = body.context("this registry does not tell its disk use: only a wharf does, to its administrators (`access.admins`)")?;
        serde_json::from_slice(&body).context(
            "the registry tells its disk use in a form that this program does not know; another version may",
        )
    })?;
    if let Some(problem) = &usage.problem {
        say(problem);
    }
    match output {
        Output::Json => print_json(&format!("{:#}\n", serde_json::to_value(&usage)?)),
        Output::Name => show_names(usage.repositories.iter().map(|repository| &*repository.name)),
        Output::Table => print(&text(&usage)),
    }
}

fn text(usage: &Usage) -> String {
    let rows = usage.repositories.iter().map(|repository| {
        [
            printable(&repository.name).into_owned(),
            readable(repository.size),
            known(repository.unique, readable),
            known(repository.shared, readable),
            repository.manifests.to_string(),
        ]
    });
    let table = aligned(["REPOSITORY", "SIZE", "ITS OWN", "SHARED", "MANIFESTS"], rows);
    let free = match (usage.free, usage.capacity) {
        (Some(free), Some(capacity)) => {
            format!("; {} of {} are free", readable(free), readable(capacity))
        }
        _ => String::new(),
    };
    format!(
        "{table}\n{} repositories need {}{free}\n",
        usage.total,
        readable(usage.size)
    )
}
