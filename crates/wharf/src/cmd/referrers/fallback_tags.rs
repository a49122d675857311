//! `wharf referrers write-tags`: writes the tags by which older registries and clients find signatures and other referrers.

use std::io::{self, Write as _};

use anyhow::Context as _;
use tokio::runtime;
use wharf_oci::{PageRequest, RepoName};
use wharf_registry::{FallbackState, FallbackTag, Options, Registry};

use crate::{
    cli::WriteTags,
    cmd::offline::{self, Work},
    config::{self, Engine},
};

const WORK: Work = Work {
    cannot: "cannot write tags",
    cannot_read: "cannot look for referrers; does `storage.filesystem.rootdirectory` name the right directory?",
    cannot_beside: "cannot write tags while a server runs",
    instead: "then run this again. Without `--write` this says what would be written, and needs no stop",
    in_memory: "keeps the data in the memory of the server, and no other registry will see it",
};

/// Writes the tags, or without `--write` prints which would be written.
pub(crate) fn write_tags(arguments: &WriteTags) -> anyhow::Result<()> {
    let settings = config::load(arguments.config.as_deref())?;
    let runtime = runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    runtime.block_on(go_through(&settings.storage, arguments))
}

async fn go_through(engine: &Engine, arguments: &WriteTags) -> anyhow::Result<()> {
    let options = Options {
        show_empty_repositories: true,
        ..Options::default()
    };
    let storage = match arguments.write {
        true => offline::open(engine, &WORK).await?,
        false => offline::open_to_read(engine, &WORK).await?,
    };
    let registry = Registry::new(storage, options);
    let repositories = match &arguments.repository {
        Some(name) => vec![name.clone()],
        None => {
            let page = registry.catalog(&PageRequest::default()).await?;
            page.names.iter().filter_map(|name| name.parse().ok()).collect()
        }
    };
    let mut due = 0_u64;
    for name in &repositories {
        for fallback in registry.fallback_tags(name).await? {
            due += u64::from(fallback.is_due());
            treat(&registry, name, &fallback, arguments.write).await?;
        }
    }
    print(&match (due, arguments.write) {
        (0, _) => "nothing to do: every fallback tag lists what refers to its digest".to_owned(),
        (due, true) => format!("{due} tag(s) written"),
        (due, false) => format!("{due} tag(s) to write; `--write` writes them, while the server is stopped"),
    })
}

async fn treat(
    registry: &Registry,
    name: &RepoName,
    fallback: &FallbackTag,
    write: bool,
) -> anyhow::Result<()> {
    let (tag, count) = (&fallback.tag, fallback.referrers.len());
    let state = match fallback.state {
        FallbackState::Current => return Ok(()),
        FallbackState::Foreign => {
            return print(&format!("{name}:{tag}: left as it is, because it is no index"));
        }
        FallbackState::Missing => "is missing",
        FallbackState::Stale => "lists other manifests",
    };
    if write {
        registry
            .write_fallback_tag(name, fallback)
            .await
            .with_context(|| format!("cannot write `{name}:{tag}`"))?;
    }
    let rest = match fallback.is_cut {
        true => ", and more that do not fit into a manifest",
        false => "",
    };
    print(&format!(
        "{name}:{tag}: {state}; {count} manifest(s) to list{rest}"
    ))
}

fn print(line: &str) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{line}").context("cannot write to standard output")
}
