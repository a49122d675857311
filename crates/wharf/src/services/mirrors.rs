//! The mirrors: parts of the registry whose content comes from other registries.

use std::sync::Arc;

use anyhow::bail;
use wharf_mirror::{MirrorOptions, Mirrors, Place};
use wharf_registry::Registry;

use crate::{config::Settings, upstreams};

/// Reads the files that the mirrors name. Their upstreams need not be there for a start: they may come later.
///
/// # Errors
///
/// When a file cannot be used.
pub(super) fn check(settings: &Settings) -> anyhow::Result<()> {
    let problems = upstreams::problems(settings);
    if !problems.is_empty() {
        bail!(problems.join("; "));
    }
    Ok(())
}

/// The mirrors of `registry`; `None`: the settings name none. No upstream is asked.
///
/// # Errors
///
/// When a file of certificates that was there when it was checked cannot be used.
pub(super) fn open(settings: &Settings, registry: &Arc<Registry>) -> anyhow::Result<Option<Arc<Mirrors>>> {
    if settings.mirrors.is_empty() {
        return Ok(None);
    }
    let mirrors = Mirrors::new(registry, &settings.mirrors)?;
    for mirror in &settings.mirrors {
        tell(mirror);
    }
    Ok(Some(Arc::new(mirrors)))
}

/// Says in the log which names come from which upstream.
fn tell(mirror: &MirrorOptions) {
    let upstream = mirror.upstream.url.origin().ascii_serialization();
    let repositories = match &mirror.place {
        Place::Whole => "**".to_owned(),
        Place::Below(prefix) => format!("{prefix}/**"),
    };
    match mirror.is_offline {
        true => tracing::info!(
            repositories,
            upstream,
            "mirroring offline: the upstream is never asked"
        ),
        false => tracing::info!(repositories, upstream, "mirroring"),
    }
}
