//! Names that were probably meant by one that there is not. Nothing is named that the visitor may not pull.

use wharf_access::Verb;
use wharf_document::words::nearest;
use wharf_oci::{PageRequest, RepoName};
use wharf_pages::{Line, Link};

use super::{call::Call, names};

/// How many names are looked through.
const MOST: usize = 2_000;

/// How many are shown.
const SHOWN: usize = 5;

/// How much of a name is compared, in characters: the work grows with its square.
const COMPARED: usize = 255;

/// Tags and repositories with names like that of `image`, which is `NAME`, `NAME:TAG` or `NAME@DIGEST`. It is help: where it fails there
/// is none.
pub(super) async fn images(call: Call<'_>, image: &str) -> Vec<Link> {
    let (name, reference) = names::split(image);
    let repository = name.parse::<RepoName>().ok();
    let repository = repository.filter(|name| call.may(Verb::Pull, name, None));
    if let (Some(repository), Some(tag)) = (repository, reference)
        && let Some(tags) = tags(call, &repository, tag).await
    {
        return tags;
    }
    repositories(call, name).await
}

/// The tags of a repository, and the repository; `None`: there is no such repository.
async fn tags(call: Call<'_>, name: &RepoName, tag: &str) -> Option<Vec<Link>> {
    let page = call.shared.app.registry.tags(name, &first_page()).await.ok()?;
    let visible = page
        .names
        .into_iter()
        .filter(|tag| call.may(Verb::Pull, name, Some(tag)));
    let near = near(tag, visible.collect()).await.into_iter();
    let tags = near.map(|tag| link(call, &format!("/image/{name}:{tag}"), format!("{name}:{tag}")));
    let repository = link(call, &format!("/repo/{name}"), name.to_string());
    Some(tags.chain([repository]).collect())
}

async fn repositories(call: Call<'_>, name: &str) -> Vec<Link> {
    let Ok(page) = call.shared.app.registry.catalog(&first_page()).await else {
        return Vec::new();
    };
    let is_visible = |known: &str| {
        let known = known.parse::<RepoName>();
        known.is_ok_and(|known| call.may(Verb::Pull, &known, None))
    };
    let visible = page.names.iter().filter(|known| is_visible(known)).cloned();
    let near = near(name, visible.collect()).await.into_iter();
    near.map(|name| link(call, &format!("/repo/{name}"), name.into()))
        .collect()
}

fn first_page() -> PageRequest {
    PageRequest {
        n: Some(MOST),
        last: None,
    }
}

fn link(call: Call<'_>, path: &str, label: String) -> Link {
    Link {
        href: call.url(path),
        label: Line::from(label),
    }
}

/// The names that were probably meant. Comparing thousands of them takes some milliseconds.
async fn near(written: &str, names: Vec<Box<str>>) -> Vec<Box<str>> {
    let written: String = written.chars().take(COMPARED).collect();
    let compared = tokio::task::spawn_blocking(move || {
        let near = nearest(&written, names.iter().map(|name| &**name), SHOWN);
        near.into_iter().map(Into::into).collect()
    });
    compared.await.unwrap_or_default()
}
