//! `validation`: the rules by which manifests are accepted.

use wharf_document::words::cut;
use wharf_registry::{Children, UrlRules};

use super::{
    keys::{Key, List, Since, keys, words},
    section::Section,
};

keys! {
    DISABLED: bool = Key::new("validation.disabled")
        .default("false")
        .help("Accept layers at any URL, and indexes whose children are not in the repository");
    ENABLED: Option<bool> =
        Key::new("validation.enabled").help("The old opposite of `disabled`; `true` takes precedence over it");
    ALLOW: Vec<String> = Key::list("validation.manifests.urls.allow").help(
        "Regular expressions; layers that are stored elsewhere are accepted when each of their URLs matches one",
    );
    DENY: Vec<String> = Key::list("validation.manifests.urls.deny")
        .help("Regular expressions; manifests with a URL that matches one are refused");
    PLATFORMS: Platforms = Key::new("validation.manifests.indexes.platforms")
        .default("all")
        .help("Children of an index that must be in the repository before it")
        .since(Since::From3("3.0"));
    PLATFORM_LIST: List = Key::sections("validation.manifests.indexes.platformlist")
        .help("The platforms of `platforms: list`")
        .since(Since::From3("3.0"));
    ARCHITECTURE: Option<String> = Key::new("validation.manifests.indexes.platformlist[].architecture")
        .help("Architecture of the platform, such as `amd64`")
        .since(Since::From3("3.0"));
    OS: Option<String> = Key::new("validation.manifests.indexes.platformlist[].os")
        .help("Operating system of the platform, such as `linux`")
        .since(Since::From3("3.0"));
}

#[derive(Debug, Clone, Copy)]
enum Platforms {
    All,
    None,
    List,
}

words! { Platforms: "all" => Self::All, "none" => Self::None, "list" => Self::List }

/// Sets the rules in `registry`.
pub(super) fn read(root: &Section<'_>, registry: &mut wharf_registry::Options) {
    if root.get(DISABLED) && root.get(ENABLED) != Some(true) {
        registry.allow_foreign_layers = true;
        registry.required_children = Children::None;
        return;
    }
    urls(root, registry);
    registry.required_children = children(root);
}

fn urls(root: &Section<'_>, registry: &mut wharf_registry::Options) {
    let mut rules = UrlRules::default();
    for (key, is_allowed) in [(ALLOW, true), (DENY, false)] {
        let patterns = root.get(key);
        registry.allow_foreign_layers |= !patterns.is_empty();
        for pattern in &patterns {
            let added = if is_allowed {
                rules.allow(pattern)
            } else {
                rules.deny(pattern)
            };
            if let Err(error) = added {
                let text = format!(
                    "has `{}`, which is not a regular expression: {error}",
                    cut(pattern)
                );
                root.problem(key, &text);
            }
        }
    }
    registry.url_rules = rules;
}

fn children(root: &Section<'_>) -> Children {
    let list: Vec<(String, String)> = root
        .elements(PLATFORM_LIST)
        .iter()
        .map(|platform| {
            let required = |key: Key<Option<String>>| {
                let text = platform.get(key);
                if text.is_none() {
                    platform.problem(key, "is missing");
                }
                text.unwrap_or_default()
            };
            (required(ARCHITECTURE), required(OS))
        })
        .collect();
    match root.get(PLATFORMS) {
        Platforms::All => {
            if !list.is_empty() {
                root.warning(PLATFORM_LIST, "has no effect without `platforms: list`");
            }
            Children::All
        }
        Platforms::None => Children::None,
        Platforms::List if list.is_empty() => {
            root.warning(
                PLATFORMS,
                "is `list`, but `platformlist` is empty: all children must be there",
            );
            Children::All
        }
        Platforms::List => Children::OfPlatforms(list),
    }
}
