//! What the page for browsers needs: the image of the operator, and the sessions.

use std::{
    io::{self, Read as _},
    path::Path,
    sync::Arc,
};

use anyhow::{Context as _, bail};
use wharf_access::sessions::Sessions;
use wharf_server::Logo;
use wharf_storage::Storage;

use crate::config::{Auth, Settings};

/// The largest image, in bytes: it is in each answer that shows it for the first time.
const LARGEST: u64 = 256 << 10;

/// Reads the image of `ui.logo`.
pub(super) fn logo(path: &Path) -> anyhow::Result<Logo> {
    let shown = path.display();
    let bytes = read(path)
        .with_context(|| format!("cannot read the image `{shown}` of `ui.logo`; it may have 256 KiB"))?;
    match Logo::of(bytes) {
        Some(logo) => Ok(logo),
        None => bail!(
            "`ui.logo` names `{shown}`, which is no image of PNG, JPEG or SVG; name another file, or leave the key out"
        ),
    }
}

/// The bytes of a file that is not too large.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    #[expect(clippy::disallowed_methods, reason = "it is not a file of the store")]
    let file = std::fs::File::open(path)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > LARGEST {
        true => Err(io::Error::other("it is too large")),
        false => Ok(bytes),
    }
}

/// Reads the sessions in the store; `None`: there is no page, or users do not sign in with a password.
pub(super) async fn sessions(settings: &Settings, store: &Arc<dyn Storage>) -> Option<Sessions> {
    settings.server.ui.as_ref()?;
    settings.auth.as_ref().and_then(Auth::htpasswd)?;
    let sessions = Sessions::new(store, settings.ui.lifetimes);
    if let Err(error) = sessions.refresh().await {
        tracing::error!(%error, "no browser is signed in until the sessions can be read");
    }
    Some(sessions)
}
