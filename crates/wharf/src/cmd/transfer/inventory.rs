//! `wharf inventory`: what a registry has, for an export that leaves that out.
//!
//! A text: a heading, then for each repository a line `repository NAME` and a line for each digest in it.

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Write as _,
    path::Path,
};

use anyhow::{Context as _, bail};
use wharf_client::Client;
use wharf_oci::{Digest, ManifestView, Reference, Tag};

use super::{connect, run};
use crate::{
    cli::{Destination, Inventory},
    cmd::remote::print,
};

const HEADING: &str = "# wharf inventory 1";

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
        for repository in &repositories {
            let digests = blobs(&client, repository).await?;
            let mut text = format!("repository {repository}\n");
            for digest in digests {
                _ = writeln!(text, "{digest}");
            }
            print(&text)?;
        }
        Ok(())
    })
}

/// The blobs that the tags of a repository need.
async fn blobs(client: &Client, repository: &str) -> anyhow::Result<BTreeSet<Digest>> {
    let mut blobs = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut left = Vec::new();
    for tag in client.tags(repository).await? {
        let tag: Tag = tag.parse().context("the registry lists a tag that is none")?;
        left.push(Reference::Tag(tag));
    }
    while let Some(reference) = left.pop() {
        let manifest = client.manifest(repository, &reference).await?;
        if !seen.insert(manifest.digest) {
            continue;
        }
        let Ok(view) = ManifestView::parse_stored(&manifest.bytes) else {
            continue;
        };
        blobs.extend(
            view.blobs()
                .filter(|blob| !blob.is_foreign())
                .map(|blob| blob.digest),
        );
        let children = view
            .children()
            .map(|child| child.digest)
            .filter(|child| !seen.contains(child));
        left.extend(children.map(Reference::Digest));
    }
    Ok(blobs)
}

/// The blobs of an inventory, each with a repository that has it.
pub(super) fn read(path: &Path) -> anyhow::Result<HashMap<Digest, String>> {
    #[expect(clippy::disallowed_methods, reason = "an inventory is not in the store")]
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    parse(&text).with_context(|| {
        format!(
            "`{}` is no inventory that `wharf inventory` wrote",
            path.display()
        )
    })
}

fn parse(text: &str) -> anyhow::Result<HashMap<Digest, String>> {
    let mut lines = text.lines();
    let heading = lines.next().unwrap_or_default();
    if !heading.starts_with(HEADING) {
        bail!("its first line is not `{HEADING} …`");
    }
    let mut blobs = HashMap::new();
    let mut repository = None;
    for line in lines {
        match line.strip_prefix("repository ") {
            Some(name) => repository = Some(name.to_owned()),
            None => {
                let digest: Digest = line.parse().with_context(|| format!("the line `{line}`"))?;
                let name = repository
                    .clone()
                    .context("a digest before the first repository")?;
                blobs.insert(digest, name);
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
        let read = parse(&format!(
            "{HEADING} r.test\nrepository a/b\n{digest}\nrepository c\n"
        ))
        .unwrap();
        assert_eq!(read, HashMap::from([(digest, "a/b".to_owned())]));
        for bad in [
            "",
            "x",
            &format!("{HEADING}\n{digest}\n"),
            &format!("{HEADING}\nrepository a\nsha256:1\n"),
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
