//! `validation`: which manifests are accepted.

use wharf_registry::{Children, UrlRules};

use super::{
    keys::{Default, Key, Kind, Since},
    raw::Section,
};

pub(super) const KEYS: &[Key] = &[
    Key::works(
        "validation.disabled",
        Kind::Boolean,
        Default::Value("false"),
        "Accept layers at any URL, and indexes whose children are not in the repository",
    ),
    Key::works(
        "validation.enabled",
        Kind::Boolean,
        Default::None,
        "The old opposite of `disabled`; `true` wins over it",
    ),
    Key::works(
        "validation.manifests.urls.allow",
        Kind::Texts,
        Default::None,
        "Regular expressions; layers that lie elsewhere are accepted when each of their URLs matches one",
    ),
    Key::works(
        "validation.manifests.urls.deny",
        Kind::Texts,
        Default::None,
        "Regular expressions; manifests with a URL that matches one are refused",
    ),
    Key::works(
        "validation.manifests.indexes.platforms",
        Kind::Word(&["all", "none", "list"]),
        Default::Value("all"),
        "Which children of an index must be in the repository before it",
    )
    .since(Since::From3("3.0")),
    Key::works(
        "validation.manifests.indexes.platformlist",
        Kind::List,
        Default::None,
        "The platforms of `platforms: list`",
    )
    .since(Since::From3("3.0")),
    Key::works(
        "validation.manifests.indexes.platformlist[].architecture",
        Kind::Text,
        Default::None,
        "Such as `amd64`",
    )
    .since(Since::From3("3.0")),
    Key::works(
        "validation.manifests.indexes.platformlist[].os",
        Kind::Text,
        Default::None,
        "Such as `linux`",
    )
    .since(Since::From3("3.0")),
];

#[derive(Debug, Clone, Copy)]
enum Platforms {
    All,
    None,
    List,
}

/// Sets in `registry` what manifests may be like.
pub(super) fn read(validation: &Section<'_>, registry: &mut wharf_registry::Options) {
    let is_disabled = validation.boolean("disabled").unwrap_or(false);
    if is_disabled && validation.boolean("enabled") != Some(true) {
        registry.allow_foreign_layers = true;
        registry.required_children = Children::None;
        return;
    }
    let manifests = validation.section("manifests");
    urls(&manifests.section("urls"), registry);
    registry.required_children = children(&manifests.section("indexes"));
}

fn urls(urls: &Section<'_>, registry: &mut wharf_registry::Options) {
    let mut rules = UrlRules::default();
    for (key, is_allowed) in [("allow", true), ("deny", false)] {
        let patterns = urls.strings(key);
        registry.allow_foreign_layers |= !patterns.is_empty();
        for pattern in &patterns {
            let added = if is_allowed {
                rules.allow(pattern)
            } else {
                rules.deny(pattern)
            };
            if let Err(error) = added {
                let text = format!(
                    "has `{}`, which is no regular expression: {error}",
                    super::check::cut(pattern)
                );
                urls.problem(key, &text);
            }
        }
    }
    registry.url_rules = rules;
}

fn children(indexes: &Section<'_>) -> Children {
    let words = [
        ("all", Platforms::All),
        ("none", Platforms::None),
        ("list", Platforms::List),
    ];
    let list: Vec<(String, String)> = indexes
        .sections("platformlist")
        .iter()
        .map(|platform| {
            for key in ["architecture", "os"] {
                if platform.string(key).is_none() {
                    platform.problem(key, "is missing");
                }
            }
            let text = |key| platform.string(key).unwrap_or_default();
            (text("architecture"), text("os"))
        })
        .collect();
    match indexes.choice("platforms", &words) {
        None | Some(Platforms::All) => {
            if !list.is_empty() {
                indexes.warning("platformlist", "has no effect without `platforms: list`");
            }
            Children::All
        }
        Some(Platforms::None) => Children::None,
        Some(Platforms::List) if list.is_empty() => {
            indexes.warning(
                "platforms",
                "is `list`, but `platformlist` is empty: all children must be there",
            );
            Children::All
        }
        Some(Platforms::List) => Children::OfPlatforms(list),
    }
}
