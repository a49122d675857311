//! A repository with its tags, or with the manifests that no tag reaches.

use futures_util::{FutureExt as _, future::BoxFuture, join};
use wharf_access::Verb;
use wharf_oci::RepoName;
use wharf_pages::{Digest, LONG_LIMIT, Line, Link, Pages, Said, Shown, TagPlatform, TagRow, Tags};

use super::{
    answer::Answer,
    call::Call,
    commands,
    described::description,
    failure::Result,
    fields::query_of,
    forms::optional_time,
    lists::{column, foot, pattern, sortable},
    names,
};
use crate::admin::wire;

/// Rows of a page.
const ROWS: &str = "100";

/// Platforms of a row.
const PLATFORMS: usize = 4;

/// The repository.
pub(super) fn show(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let name = names::repository(call.rest)?;
        let shows_untagged = call.query.is_set("untagged");
        let query = [
            ("repository", name.as_str()),
            ("match", name.as_str()),
            ("limit", "1"),
        ];
        let summary = call.ask::<wire::RepositoryPage>("listRepositories", &query[1..]);
        let sort = match call.query.get("sort") {
            sort @ ("version" | "name" | "-name" | "pushed" | "-pushed") => sort,
            _ => "-version",
        };
        let (summary, list) = match shows_untagged {
            true => join!(summary, untagged(call, &name)),
            false => join!(summary, tagged(call, &name, sort)),
        };
        let list = list?;
        let description = match shows_untagged || call.query.is_set("cursor") {
            true => None,
            false => description(call, &name, &list.rows).await,
        };
        // It is about the whole repository; its tags are shown without it as well.
        let summary = summary.ok().and_then(|page| page.repositories.into_iter().next());
        Ok(Answer::page(view(
            call,
            &name,
            (sort, shows_untagged),
            (summary, description),
            list,
        )))
    }
    .boxed()
}

/// Rows, and what belongs to them.
struct List {
    rows: Vec<TagRow>,
    pages: Pages,
    left_out: Said,
    untagged: Option<u64>,
}

async fn tagged(call: Call<'_>, name: &RepoName, sort: &str) -> Result<List> {
    let wanted = pattern(call.query.get("match"));
    let query = [
        ("repository", name.as_str()),
        ("match", wanted.as_str()),
        ("sort", sort),
        ("cursor", call.query.get("cursor")),
        ("limit", ROWS),
        ("with", "attached"),
    ];
    let found: wire::TagPage = call.ask("listTags", &query).await?;
    let maker = Rows::new(call, name);
    Ok(List {
        rows: found.tags.into_iter().map(|tag| maker.tag(tag)).collect(),
        pages: foot(call, found.next.as_deref()),
        left_out: call.said(found.problem, &found.problem_messages),
        untagged: None,
    })
}

async fn untagged(call: Call<'_>, name: &RepoName) -> Result<List> {
    let query = [
        ("repository", name.as_str()),
        ("cursor", call.query.get("cursor")),
        ("limit", ROWS),
    ];
    let found: wire::UntaggedPage = call.ask("listUntagged", &query).await?;
    let maker = Rows::new(call, name);
    Ok(List {
        rows: found
            .manifests
            .into_iter()
            .map(|manifest| maker.manifest(manifest))
            .collect(),
        pages: foot(call, found.next.as_deref()),
        left_out: call.said(found.problem, &found.problem_messages),
        untagged: Some(found.total as u64),
    })
}

fn view(
    call: Call<'_>,
    name: &RepoName,
    (sort, shows_untagged): (&str, bool),
    (summary, description): (Option<wire::ListedRepository>, Option<String>),
    list: List,
) -> Tags {
    let summary = summary.filter(|row| row.name == name.as_str());
    let address = format!("{}/{name}", commands::host(call));
    let example = list
        .rows
        .iter()
        .find(|row| !row.untagged && matches!(row.kind.as_str(), "image" | ""));
    let example = example.map(|row| row.tag.clone()).unwrap_or_default();
    let damaged = summary.as_ref().is_some_and(|row| row.damaged > 0);
    let problem = summary.as_ref().map_or_else(Said::default, |row| {
        call.said(row.problem.as_ref(), &row.problem_messages)
    });
    let (problem, note) = match damaged {
        true => (problem, Said::default()),
        false => (Said::default(), problem),
    };
    Tags {
        parents: parents(call, name),
        description: description.map(|text| Shown::of(&text, LONG_LIMIT)),
        compares: list.rows.len() > 1 && !shows_untagged,
        deletes: list.rows.iter().any(|row| row.deletes),
        problem,
        tags_total: summary.as_ref().and_then(|row| row.tags).map(|tags| tags as u64),
        size: summary.as_ref().and_then(|row| row.size),
        untagged: list.untagged,
        pushed: summary
            .as_ref()
            .and_then(|row| optional_time(row.pushed.as_ref())),
        pulls: summary.as_ref().and_then(|row| row.pulls.pulls),
        commands: commands::of_image(call, &format!("{address}:{example}")),
        example,
        q: call.query.get("match").to_owned(),
        sort: sort.to_owned(),
        shows_untagged,
        rows: list.rows,
        columns: columns(call, sort, shows_untagged),
        pages: list.pages,
        left_out: [list.left_out, note]
            .into_iter()
            .filter(|said| !said.is_empty())
            .collect(),
        repository: name.to_string(),
        address,
        page: call.page(),
    }
}

fn columns(call: Call<'_>, sort: &str, shows_untagged: bool) -> Vec<wharf_pages::Column> {
    let by = |label, orders| match shows_untagged {
        true => column(label, false),
        false => sortable(call, label, orders, sort),
    };
    // A list by name is one that a browser was sent to; its column turns it round.
    let names = if sort.ends_with("name") {
        ("name", "-name")
    } else {
        ("-version", "version")
    };
    vec![
        by("tag", names),
        column("platforms", false),
        column("size", true),
        by("pushed", ("-pushed", "pushed")),
        column("pulled", false),
        column("pulls", true),
        column("digest", false),
    ]
}

/// The directories in which a repository is, each with the list of what is in it.
fn parents(call: Call<'_>, name: &RepoName) -> Vec<Link> {
    let name = name.as_str();
    let slashes = name.match_indices('/').map(|(place, _)| place);
    let mut start = 0;
    let links = slashes.map(|end| {
        let pattern = format!("{}/**", &name[..end]);
        let label = &name[start..end];
        start = end + 1;
        Link {
            href: format!(
                "{}?{}",
                call.url("/"),
                query_of([("q", pattern.as_str())].into_iter())
            ),
            label: label.into(),
        }
    });
    links.collect()
}

/// Makes the rows of a repository.
struct Rows<'a> {
    call: Call<'a>,
    name: &'a RepoName,
    address: String,
    offers_deletion: bool,
}

impl<'a> Rows<'a> {
    fn new(call: Call<'a>, name: &'a RepoName) -> Self {
        Self {
            call,
            name,
            address: format!("{}/{name}", commands::host(call)),
            offers_deletion: call.offers_deletion(),
        }
    }

    fn tag(&self, found: wire::ListedTag) -> TagRow {
        let row = self.row(found.image);
        let retention = &self.call.shared.app.services.admin.retention;
        TagRow {
            path: format!("{}:{}", self.name, found.tag),
            pull: commands::pull(self.call, &format!("{}:{}", self.address, found.tag)),
            deletes: self.offers_deletion && self.call.may(Verb::Delete, self.name, Some(&found.tag)),
            pushed: optional_time(Some(&found.pushed)),
            pulled: optional_time(found.pulls.last_pull.as_ref()),
            pulls: found.pulls.pulls,
            digest: found.digest.map(Digest::from),
            protected: retention.protects(&found.tag),
            attached: found.attached,
            reference: found.tag.clone(),
            tag: found.tag,
            ..row
        }
    }

    fn manifest(&self, found: wire::ListedUntagged) -> TagRow {
        let row = self.row(found.image);
        let digest = Digest::from(found.digest);
        TagRow {
            tag: digest.short().to_owned(),
            reference: digest.whole().to_owned(),
            untagged: true,
            path: format!("{}@{digest}", self.name),
            pull: commands::pull(self.call, &format!("{}@{digest}", self.address)),
            deletes: self.offers_deletion && self.call.may(Verb::Delete, self.name, None),
            pushed: optional_time(Some(&found.pushed)),
            digest: Some(digest),
            ..row
        }
    }

    /// What rows share.
    fn row(&self, image: wire::ListedImage) -> TagRow {
        let more = image.platforms.len().saturating_sub(PLATFORMS);
        let platforms = image
            .platforms
            .into_iter()
            .take(PLATFORMS)
            .map(|platform| TagPlatform {
                name: Line::from(
                    platform
                        .platform
                        .strip_prefix("linux/")
                        .unwrap_or(&platform.platform),
                ),
                title: Line::from(platform.platform.as_str()),
                size: platform.size,
            });
        TagRow {
            tag: String::new(),
            reference: String::new(),
            untagged: false,
            path: String::new(),
            pull: String::new(),
            deletes: false,
            kind: image.kind.unwrap_or_default(),
            protected: false,
            attached: Vec::new(),
            problem: self.call.said(image.problem, &image.problem_messages),
            platforms: platforms.collect(),
            more_platforms: more as u64,
            size: image.size,
            pushed: None,
            pulled: None,
            pulls: None,
            digest: None,
        }
    }
}
