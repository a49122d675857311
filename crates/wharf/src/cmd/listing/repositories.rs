//! `wharf repo ls`.

use serde::Serialize;
use wharf_client::{Client, printable};
use wharf_server::admin::wire::{ListedRepository, RepositoryPage};

use super::{
    asked::{self, Page},
    chosen, known, show_json, show_names, time,
};
use crate::{
    cli::{List, Order, Output, RepoLs},
    cmd::{
        remote::{ask, print, say},
        size::readable,
        table::aligned,
    },
};

/// A repository, as `--output json` prints it.
#[derive(Debug, Default, Serialize)]
struct Row {
    name: String,
    tags: Option<usize>,
    manifests: Option<usize>,
    size: Option<u64>,
    pushed: Option<String>,
    last_pull: Option<String>,
    pulls: Option<u64>,
    problem: Option<String>,
}

impl Page for RepositoryPage {
    type Row = ListedRepository;

    fn take(self) -> (Vec<ListedRepository>, Option<String>) {
        (self.repositories, self.next)
    }

    fn remark(&self) -> Option<String> {
        self.problem.clone()
    }
}

/// Lists the repositories of a registry.
pub(in crate::cmd) fn repositories(arguments: &RepoLs) -> anyhow::Result<()> {
    let list = &arguments.list;
    let output = list.output();
    let rows = ask(&arguments.registry, list.remote.clone(), async |client| {
        if list.wants_more_than_names()
            && let Some(rows) = of_wharf(&client, list).await?
            && (!rows.is_empty() || matches!(list.sort, Order::Pushed | Order::PushedDown))
        {
            return Ok(rows);
        }
        // A token may be good for the names alone.
        let names = chosen(client.repositories().await?, list)?;
        if output != Output::Name && !names.is_empty() {
            say(
                "this registry tells this user the names of its repositories alone; a wharf tells more to users that log in with a password",
            );
        }
        let named = |name| Row {
            name,
            ..Row::default()
        };
        Ok(names.into_iter().map(named).collect())
    })?;
    match output {
        Output::Name => show_names(rows.iter().map(|row| &*row.name)),
        Output::Json => show_json(&rows),
        Output::Table => print(&format!("{}\n", table(rows))),
    }
}

/// The rows that a wharf tells.
async fn of_wharf(client: &Client, list: &List) -> anyhow::Result<Option<Vec<Row>>> {
    let mut query = vec![("sort", list.sort.text())];
    query.extend(list.pattern.as_deref().map(|pattern| ("match", pattern)));
    let listed = asked::all::<RepositoryPage>(client, "/repositories", &query).await?;
    Ok(listed.map(|listed| listed.into_iter().map(Row::from).collect()))
}

impl From<ListedRepository> for Row {
    fn from(listed: ListedRepository) -> Self {
        Self {
            name: listed.name,
            tags: listed.tags,
            manifests: listed.manifests,
            size: listed.size,
            pushed: listed.pushed,
            last_pull: listed.pulls.last_pull,
            pulls: listed.pulls.pulls,
            problem: listed.problem,
        }
    }
}

fn table(rows: Vec<Row>) -> String {
    let rows = rows.into_iter().map(|row| {
        [
            printable(&row.name).into_owned(),
            known(row.tags, |count| count.to_string()),
            known(row.size, readable),
            known(row.pushed, |text| time(&text)),
            known(row.last_pull, |text| time(&text)),
            known(row.pulls, |count| count.to_string()),
        ]
    });
    aligned(
        ["REPOSITORY", "TAGS", "SIZE", "PUSHED", "LAST PULL", "PULLS"],
        rows,
    )
}
