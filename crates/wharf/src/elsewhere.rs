//! The servers in front of the store, from the settings: reads the private keys that sign their URLs.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use wharf_storage::elsewhere::{CloudFront, Detour, Elsewhere};

use crate::config::{Middleware, Settings};

/// Where clients read blobs.
///
/// # Errors
///
/// When a file with a private key cannot be read, or has none.
pub(crate) fn open(settings: &Settings) -> anyhow::Result<Elsewhere> {
    let prefix = settings.storage.prefix();
    let detours = settings.middleware.iter().map(|server| detour(server, prefix));
    Ok(Elsewhere::new(detours.collect::<anyhow::Result<_>>()?))
}

fn detour(server: &Middleware, prefix: &str) -> anyhow::Result<Detour> {
    Ok(match server {
        Middleware::Redirect(base) => Detour::Redirect { base: base.clone() },
        Middleware::Rewrite(rewrite) => Detour::Rewrite(rewrite.clone()),
        Middleware::CloudFront {
            base,
            key_pair,
            private_key,
            duration,
        } => {
            let pem = read(private_key)?;
            let cloudfront = CloudFront::new(base.clone(), prefix, key_pair.clone(), &pem, *duration);
            let cloudfront = cloudfront.with_context(|| cannot_use(private_key))?;
            Detour::CloudFront(Arc::new(cloudfront))
        }
    })
}

fn read(path: &Path) -> anyhow::Result<String> {
    #[expect(clippy::disallowed_methods, reason = "it is not a file of the store")]
    let pem = std::fs::read_to_string(path);
    pem.with_context(|| cannot_use(path))
}

fn cannot_use(path: &Path) -> String {
    format!(
        "cannot use `{}`, which `privatekey` of `middleware.storage` names",
        path.display()
    )
}
