//! The files of a server that a backup has.

use std::path::Path;

use anyhow::Context as _;
use wharf_registry::backup::{SettingsFile, document::FileKind};

use crate::config::{Auth, Settings};

/// Reads the configuration, the password file and the file of access rules, as far as there are any.
pub(super) fn files(settings: &Settings) -> anyhow::Result<Vec<SettingsFile>> {
    let source = settings.source.as_ref().map(|source| source.path.as_path());
    let passwords = settings
        .auth
        .as_ref()
        .and_then(Auth::htpasswd)
        .map(|htpasswd| htpasswd.path.as_path());
    let rules = settings.access.rules.as_deref();
    let named = [
        (FileKind::Configuration, source),
        (FileKind::Passwords, passwords),
        (FileKind::Rules, rules),
    ];
    let mut files = Vec::new();
    for (kind, path) in named {
        let Some(path) = path.filter(|path| path.is_file()) else {
            continue;
        };
        files.push(SettingsFile {
            kind,
            name: path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            bytes: read(path)?.into(),
        });
    }
    Ok(files)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    #[expect(clippy::disallowed_methods, reason = "saves a file that is not in the store")]
    let read = std::fs::read(path);
    read.with_context(|| {
        format!(
            "cannot read `{}`, which belongs to the settings of the server; run this as its user, or with `--without-settings`",
            path.display()
        )
    })
}
