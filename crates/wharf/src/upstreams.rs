//! The upstreams of mirrors, from the settings: what must be in order on this machine before one is asked.

use std::path::Path;

use anyhow::{Context as _, bail};
use wharf_client::upstream::{Upstream, UpstreamLogin};
use wharf_mirror::{MirrorOptions, Place};

use crate::config::Settings;

/// Reads the files that the mirrors name, and returns the problems, at most one for each mirror. No upstream is asked.
pub(crate) fn problems(settings: &Settings) -> Vec<String> {
    let problem = |mirror: &MirrorOptions| {
        let error = check(mirror).err()?;
        Some(format!("{:#}", error.context(name(mirror))))
    };
    settings.mirrors.iter().filter_map(problem).collect()
}

/// Reads the files that one mirror names.
fn check(mirror: &MirrorOptions) -> anyhow::Result<()> {
    if let UpstreamLogin::Stored(credentials) = &mirror.upstream.login
        && let Some(directory) = &credentials.directory
    {
        docker_config(directory)?;
    }
    Upstream::new(mirror.upstream.clone())?;
    Ok(())
}

/// Looks for docker's configuration: a start without it would ask the upstream anonymously.
fn docker_config(directory: &Path) -> anyhow::Result<()> {
    if !directory.is_dir() {
        bail!(
            "`dockerconfig` names `{}`, which is no directory; name the one that has docker's `config.json`",
            directory.display()
        );
    }
    let file = directory.join("config.json");
    #[expect(clippy::disallowed_methods, reason = "it is not a file of the store")]
    let found = std::fs::File::open(&file);
    found.with_context(|| {
        format!(
            "`dockerconfig` names a directory without credentials: cannot read `{}`",
            file.display()
        )
    })?;
    Ok(())
}

fn name(mirror: &MirrorOptions) -> String {
    match &mirror.place {
        Place::Whole => "cannot use the upstream of `proxy`".to_owned(),
        Place::Below(prefix) => format!("cannot use the upstream of the mirror `{prefix}`"),
    }
}
