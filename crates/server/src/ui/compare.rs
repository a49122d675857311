//! Two images of a repository, side by side.

use futures_util::{FutureExt as _, future::BoxFuture, join};
use wharf_pages::{Change, Compare, Comparison, Digest, Line, NamedChoice, Page, Said, Shown, TABLE_LIMIT};

use super::{answer::Answer, call::Call, failure::Result, lists::foot, names};
use crate::admin::wire;

/// Files of a page.
const FILES: &str = "200";

/// Tags to choose from.
const NAMES: &str = "100";

/// The images that the query names, or the form that asks for them.
pub(super) fn show(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let name = names::repository(call.rest)?;
        let (from, to) = (call.query.get("from"), call.query.get("to"));
        let query = [
            ("repository", name.as_str()),
            ("sort", "-version"),
            ("limit", NAMES),
        ];
        let tags = call.ask::<wire::TagPage>("listTags", &query);
        let comparison = async {
            if from.is_empty() || to.is_empty() {
                return None;
            }
            let query = [
                ("repository", name.as_str()),
                ("from", from),
                ("to", to),
                ("platform", call.query.get("platform")),
                ("cursor", call.query.get("cursor")),
                ("limit", FILES),
            ];
            Some(call.ask::<wire::Comparison>("compareImages", &query).await)
        };
        let (tags, found) = join!(tags, comparison);
        let (tags, found) = (tags?, found.transpose()?);
        let page = call.page();
        let sum = found.as_ref().and_then(|found| {
            let (before, after) = (found.from.size?, found.to.size?);
            Some(
                page.t("compare.sum")
                    .arg("before", page.size(before))
                    .arg("after", page.size(after)),
            )
        });
        let platform = found
            .as_ref()
            .and_then(|found| found.to.platform.clone().or(found.from.platform.clone()));
        let platforms = platform.into_iter().map(|platform| NamedChoice {
            name: platform.as_str().into(),
            value: platform,
            chosen: true,
        });
        Ok(Answer::page(Compare {
            repository: name.to_string(),
            from: Line::from(from),
            to: Line::from(to),
            names: tags.tags.into_iter().map(|tag| tag.tag).collect(),
            platforms: platforms.collect(),
            sum,
            result: found.map(|found| result(call, &page, &found)),
            page,
        }))
    }
    .boxed()
}

fn result(call: Call<'_>, page: &Page, found: &wire::Comparison) -> Comparison {
    let count = |change: &str| found.layers.iter().filter(|layer| layer.change == change).count() as u64;
    let pages = foot(call, found.next.as_deref());
    Comparison {
        same: found.from.digest.is_some() && found.from.digest == found.to.digest,
        config: found.config.iter().map(part).collect(),
        layers_same: count("both"),
        layers_added: count("added"),
        layers_removed: count("removed"),
        layers: found.layers.iter().filter_map(|part| layer(page, part)).collect(),
        files_added: found.added.unwrap_or_default() as u64,
        files_removed: found.removed.unwrap_or_default() as u64,
        files_changed: found.changed.unwrap_or_default() as u64,
        files_note: Said::joined(
            page.lang,
            page.said_each(&found.left_out, &found.left_out_messages),
        ),
        files: found.files.iter().map(|changed| file(page, changed)).collect(),
        pages,
    }
}

fn shown(text: &str) -> Shown {
    Shown::of(text, TABLE_LIMIT)
}

fn part(part: &wire::ChangedPart) -> Change {
    Change {
        change: match (&part.before, &part.after) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        },
        name: shown(&part.name),
        before: part.before.as_deref().map(shown),
        after: part.after.as_deref().map(shown),
    }
}

/// A layer that only one of the images has.
fn layer(page: &Page, layer: &wire::ComparedLayer) -> Option<Change> {
    let made = layer.made_by.as_deref().map(wharf_oci::instruction);
    let digest = Digest::from(layer.part.digest.as_str());
    let what = shown(&format!("{} · {}", digest.short(), page.size(layer.part.size)));
    let (change, before, after) = match layer.change.as_str() {
        "added" => ("added", None, Some(what)),
        "removed" => ("removed", Some(what), None),
        _ => return None,
    };
    Some(Change {
        change,
        name: shown(made.as_deref().unwrap_or_else(|| digest.short())),
        before,
        after,
    })
}

fn file(page: &Page, file: &wire::ChangedFile) -> Change {
    let size = |size: Option<u64>| size.map(|size| page.size(size));
    let after = size(file.after).map(|size| match file.what.is_empty() {
        true => size,
        false => {
            let what: Vec<String> = file
                .what
                .iter()
                .map(|what| page.t_of("differs", what).attr())
                .collect();
            format!("{size} ({})", what.join(", "))
        }
    });
    Change {
        change: match file.change.as_str() {
            "added" => "added",
            "removed" => "removed",
            _ => "changed",
        },
        name: shown(&file.path),
        before: size(file.before).as_deref().map(shown),
        after: after.as_deref().map(shown),
    }
}
