//! The repositories, as a tree of their names or as a list.

use futures_util::{FutureExt as _, future::BoxFuture};
use wharf_pages::{Directory, Node, Repositories, RepositoryRow};

use super::{
    answer::Answer,
    call::Call,
    commands,
    failure::Result,
    fields::query_of,
    forms::optional_time,
    lists::{column, foot, pattern, sortable},
};
use crate::admin::wire;

/// Repositories of a page of the tree, and of the list.
const IN_TREE: &str = "200";
const IN_LIST: &str = "100";

/// A directory with more repositories of a page is a link to a page of its own.
const MOST_OPEN: usize = 50;

/// The first page.
pub(super) fn show(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let is_flat = call.query.get("view") == "flat";
        let filter = call.query.get("q");
        let sort = match call.query.get("sort") {
            sort @ ("-name" | "pushed" | "-pushed") if is_flat => sort,
            _ => "name",
        };
        let wanted = pattern(filter);
        let query = [
            ("match", wanted.as_str()),
            ("sort", sort),
            ("cursor", call.query.get("cursor")),
            ("limit", if is_flat { IN_LIST } else { IN_TREE }),
        ];
        let found: wire::RepositoryPage = call.ask("listRepositories", &query).await?;
        let is_whole = found.next.is_none() && !call.query.is_set("cursor");
        let total = is_whole.then_some(found.repositories.len() as u64);
        let rows: Vec<RepositoryRow> = found
            .repositories
            .into_iter()
            .map(|found| row(call, found))
            .collect();
        let nodes = match is_flat {
            true => rows
                .into_iter()
                .map(|row| Node::Repository(Box::new(row)))
                .collect(),
            false => Tree { call, filter }.nodes(rows),
        };
        Ok(Answer::page(Repositories {
            view: if is_flat { "flat" } else { "tree" },
            nodes,
            q: filter.to_owned(),
            total,
            commands: commands::of_push(call),
            pages: foot(call, found.next.as_deref()),
            columns: vec![
                sortable(call, "name", ("name", "-name"), sort),
                column("tags.title", true),
                column("size", true),
                sortable(call, "pushed", ("-pushed", "pushed"), sort),
                column("pulled", false),
                column("pulls", true),
            ],
            problem: call.said(found.problem, &found.problem_messages),
            page: call.page(),
        }))
    }
    .boxed()
}

fn row(call: Call<'_>, repository: wire::ListedRepository) -> RepositoryRow {
    RepositoryRow {
        label: repository.name.clone(),
        name: repository.name,
        tags: repository.tags.map(|tags| tags as u64),
        size: repository.size,
        pushed: optional_time(repository.pushed.as_ref()),
        pulled: optional_time(repository.pulls.last_pull.as_ref()),
        pulls: repository.pulls.pulls,
        problem: call.said(repository.problem, &repository.problem_messages),
        damaged: repository.damaged > 0,
    }
}

/// The tree of the names of a page.
#[derive(Clone, Copy)]
struct Tree<'a> {
    call: Call<'a>,
    /// The filter: its own directories are always open.
    filter: &'a str,
}

impl Tree<'_> {
    fn nodes(self, rows: Vec<RepositoryRow>) -> Vec<Node> {
        let mut nodes = Vec::with_capacity(rows.len() * 2);
        self.add(rows, 0, &mut nodes);
        nodes
    }

    /// Adds rows with the first `start` bytes of their names in common.
    fn add(self, rows: Vec<RepositoryRow>, start: usize, nodes: &mut Vec<Node>) {
        let mut rows = rows.into_iter().peekable();
        while let Some(first) = rows.next() {
            let Some(end) = first.name[start..].find('/').map(|slash| start + slash + 1) else {
                let label = first.name[start..].to_owned();
                nodes.push(Node::Repository(Box::new(RepositoryRow { label, ..first })));
                continue;
            };
            let path = first.name[..end].to_owned();
            let mut inside = vec![first];
            while let Some(next) = rows.next_if(|row| row.name.starts_with(&path)) {
                inside.push(next);
            }
            let query = query_of([("q", format!("{path}**").as_str())].into_iter());
            let directory = Directory {
                label: path[start..].to_owned(),
                repositories: inside.len() as u64,
                href: format!("{}?{query}", self.call.url("/")),
            };
            if inside.len() > MOST_OPEN && !self.filter.starts_with(&path) {
                nodes.push(Node::Folded(directory));
                continue;
            }
            nodes.push(Node::Open(directory));
            self.add(inside, end, nodes);
            nodes.push(Node::Close);
        }
    }
}
