//! `wharf inventory`: what a registry has, for an export that leaves that out.
//!
//! A text: a heading, then for each repository a line `repository NAME` and a line for each digest in it.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Write as _,
    io::{BufRead, BufReader, Read as _},
    path::Path,
};

use anyhow::{Context as _, bail, ensure};
use wharf_client::{Client, Error, printable};
use wharf_oci::{Digest, ManifestView, Reference, RepoName, Tag};

use super::{connect, run};
use crate::{
    cli::{Destination, Inventory},
    cmd::remote::{print, say},
};

const HEADING: &str = "# wharf inventory 1";
/// Digests of one repository, and of all of an inventory.
const MOST_DIGESTS: usize = 1 << 20;
/// Bytes of a line of an inventory.
const LONGEST_LINE: u64 = 1024;

/// What a repository has.
#[derive(Default)]
struct Found {
    blobs: BTreeSet<Digest>,
    /// Whether something could not be read.
    is_incomplete: bool,
}

pub(crate) fn inventory(arguments: &Inventory) -> anyhow::Result<()> {
    run(async {
        let (registry, repository) = match &arguments.place {
            Destination::Registry(registry) => (registry, None),
            Destination::Place(place) if place.reference.is_some() => {
                bail!("an inventory is of a registry or a repository; leave the tag out")
            }
            Destination::Place(place) => (&place.registry, Some(place.repository.to_string())),
        };
        let client = connect(registry, &arguments.connection).await?;
        let repositories = match repository {
            Some(repository) => vec![repository],
            None => client.repositories().await?,
        };
        print(&format!("{HEADING} {}\n", registry.host()))?;
        let mut incomplete = 0;
        for name in &repositories {
            let found = match name.parse::<RepoName>() {
                Ok(repository) => {
                    let found = blobs(&client, &repository).await?;
                    let mut text = format!("repository {repository}\n");
                    for digest in &found.blobs {
                        _ = writeln!(text, "{digest}");
                    }
                    print(&text)?;
                    found
                }
                Err(error) => {
                    say(&format!("`{}` is left out: {error}", printable(name)));
                    Found {
                        is_incomplete: true,
                        ..Found::default()
                    }
                }
            };
            incomplete += usize::from(found.is_incomplete);
        }
        match incomplete {
            0 => Ok(()),
            _ => bail!(
                "{incomplete} of {} repositories could not be read whole; the inventory is good, and an export carries what it lacks",
                repositories.len()
            ),
        }
    })
}

/// The blobs that the tags of a repository need. What cannot be read is told, and the rest goes on.
async fn blobs(client: &Client, repository: &RepoName) -> anyhow::Result<Found> {
    let mut found = Found::default();
    let name = repository.as_str();
    let missing = |found: &mut Found, what: &str, error: &dyn std::fmt::Display| {
        say(&format!("`{name}{what}` is left out: {error}"));
        found.is_incomplete = true;
    };
    let tags = match client.tags(name).await {
        Ok(tags) => tags,
        Err(Error::Refused { status, .. }) if status.as_u16() == 404 => Vec::new(),
        Err(error) if is_of_one(&error) => {
            missing(&mut found, "", &error);
            return Ok(found);
        }
        Err(error) => return Err(error.into()),
    };
    if tags.is_empty() {
        say(&format!("`{name}` has no tags"));
    }
    let mut left = Vec::new();
    for tag in &tags {
        match tag.parse::<Tag>() {
            Ok(tag) => left.push(Reference::Tag(tag)),
            Err(error) => missing(&mut found, &format!(":{tag}"), &error),
        }
    }
    let mut seen = BTreeSet::new();
    while let Some(reference) = left.pop() {
        let separator = if reference.digest().is_some() { '@' } else { ':' };
        let what = format!("{separator}{reference}");
        let manifest = match client.manifest(name, &reference).await {
            Ok(manifest) => manifest,
            Err(error) if is_of_one(&error) => {
                missing(&mut found, &what, &error);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if !seen.insert(manifest.digest) {
            continue;
        }
        let view = match ManifestView::parse_stored(&manifest.bytes) {
            Ok(view) => view,
            Err(error) => {
                missing(&mut found, &what, &error);
                continue;
            }
        };
        found.blobs.extend(
            view.blobs()
                .filter(|blob| !blob.is_foreign())
                .map(|blob| blob.digest),
        );
        let children = view
            .children()
            .map(|child| child.digest)
            .filter(|child| !seen.contains(child));
        left.extend(children.map(Reference::Digest));
        ensure!(
            found.blobs.len() + left.len() <= MOST_DIGESTS,
            "`{name}` has more than {MOST_DIGESTS} blobs and manifests"
        );
    }
    Ok(found)
}

/// Whether an error is about what was asked for, and not about the registry as a whole.
fn is_of_one(error: &Error) -> bool {
    !matches!(
        error,
        Error::Unreachable { .. }
            | Error::TimedOut { .. }
            | Error::Interrupted { .. }
            | Error::Untrusted { .. }
            | Error::Authorities { .. }
            | Error::Credentials(_)
    )
}

/// The blobs of an inventory, each with a repository that has it.
pub(super) fn read(path: &Path) -> anyhow::Result<HashMap<Digest, RepoName>> {
    #[expect(clippy::disallowed_methods, reason = "an inventory is not in the store")]
    let file = std::fs::File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    parse(BufReader::new(file)).with_context(|| {
        format!(
            "`{}` is no inventory that `wharf inventory` wrote",
            path.display()
        )
    })
}

fn parse(mut text: impl BufRead) -> anyhow::Result<HashMap<Digest, RepoName>> {
    let mut blobs = HashMap::new();
    let mut repository: Option<RepoName> = None;
    let mut line = String::new();
    for number in 0.. {
        line.clear();
        if text.by_ref().take(LONGEST_LINE).read_line(&mut line)? == 0 {
            ensure!(number > 0, "it is empty");
            break;
        }
        let written = line.trim_end_matches(['\r', '\n']);
        if number == 0 {
            ensure!(
                written.starts_with(HEADING),
                "its first line is not `{HEADING} …`"
            );
            continue;
        }
        let at_line = || format!("the line `{}`", printable(written));
        match written.strip_prefix("repository ") {
            Some(name) => repository = Some(name.parse().with_context(at_line)?),
            None => {
                let digest: Digest = written.parse().with_context(at_line)?;
                let name = repository.clone();
                blobs.insert(digest, name.context("a digest before the first repository")?);
                ensure!(
                    blobs.len() <= MOST_DIGESTS,
                    "it has more than {MOST_DIGESTS} digests"
                );
            }
        }
    }
    Ok(blobs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inventory_is_read_as_it_is_written() {
        let digest = Digest::sha256_of(b"");
        let text = format!("{HEADING} r.test\nrepository a/b\n{digest}\nrepository c\n");
        let read = parse(text.as_bytes()).unwrap();
        assert_eq!(read, HashMap::from([(digest, "a/b".parse().unwrap())]));
        for bad in [
            "",
            "x",
            &format!("{HEADING}\n{digest}\n"),
            &format!("{HEADING}\nrepository a\nsha256:1\n"),
            &format!("{HEADING}\nrepository a&digest=b\n{digest}\n"),
            &format!("{HEADING}\n{}", "x".repeat(1 << 20)),
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
