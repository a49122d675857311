//! The files of a layer, one directory at a time.

use futures_util::{FutureExt as _, future::BoxFuture};
use wharf_oci::Reference;
use wharf_pages::{Digest, File, Files, Link, Shown, TABLE_LIMIT};

use super::{
    answer::Answer,
    call::Call,
    failure::Result,
    fields::query_of,
    forms::{hidden, optional_time},
    lists::foot,
    names,
};
use crate::admin::wire;

/// Files of a page.
const FILES: &str = "200";

/// The directory of a layer that the query names.
pub(super) fn show(call: Call<'_>) -> BoxFuture<'_, Result<Answer>> {
    async move {
        let (name, reference) = names::image(call.rest)?;
        let reference_text = reference.to_string();
        let query = [
            ("repository", name.as_str()),
            ("reference", reference_text.as_str()),
            ("layer", call.query.some("layer").unwrap_or("1")),
            ("path", call.query.get("path")),
            ("match", call.query.get("match")),
            ("cursor", call.query.get("cursor")),
            ("limit", FILES),
        ];
        let found: wire::LayerFiles = call.ask("listFiles", &query).await?;
        let place = Place {
            call,
            layer: found.number.to_string(),
        };
        let digest = found.layer.map(|layer| layer.digest).unwrap_or_default();
        let shown = match &reference {
            Reference::Tag(tag) => tag.to_string(),
            Reference::Digest(_) => Digest::from(reference_text.as_str()).short().to_owned(),
        };
        Ok(Answer::page(Files {
            repository: name.to_string(),
            reference: shown,
            image: call.url(&format!("/image/{}", names::of_image(&name, &reference))),
            number: found.number as u64,
            digest: Digest::from(digest),
            step: Shown::of(
                found
                    .made_by
                    .map(|made| wharf_oci::instruction(&made))
                    .unwrap_or_default(),
                TABLE_LIMIT,
            ),
            here: call.url(call.path),
            hidden: hidden([("layer", place.layer.as_str()), ("path", found.path.as_str())]),
            q: call.query.get("match").to_owned(),
            total: found.total as u64,
            problem: call.said(found.problem, &found.problem_messages),
            path: place.parents(&found.path),
            pages: foot(call, found.next.as_deref()),
            files: found.files.into_iter().map(|file| place.file(file)).collect(),
            page: call.page(),
        }))
    }
    .boxed()
}

/// The layer that is looked at.
struct Place<'a> {
    call: Call<'a>,
    layer: String,
}

impl Place<'_> {
    /// The page of another directory of the layer.
    fn href(&self, path: &str) -> String {
        let query = [("layer", self.layer.as_str()), ("path", path)];
        let query = query_of(query.into_iter().filter(|(_, value)| !value.is_empty()));
        format!("{}?{query}", self.call.url(self.call.path))
    }

    /// The directories from the root to `path`.
    fn parents(&self, path: &str) -> Vec<Link> {
        let root = Link {
            href: self.href(""),
            label: "/".into(),
        };
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        let mut start = 0;
        let parts = ends.filter(|_| !path.is_empty()).map(|end| {
            let label = &path[start..end];
            start = end + 1;
            Link {
                href: self.href(&path[..end]),
                label: label.into(),
            }
        });
        let parts: Vec<Link> = parts.collect();
        [root].into_iter().chain(parts).collect()
    }

    fn file(&self, file: wire::LayerFile) -> File {
        let kind = file.kind.as_deref().unwrap_or_default();
        let owner = file
            .user
            .zip(file.group)
            .map(|(user, group)| format!("{user}:{group}"));
        File {
            name: Shown::of(&file.name, TABLE_LIMIT),
            icon: match kind {
                "directory" => "folder",
                "symlink" | "hardlink" => "link",
                _ => "file",
            },
            size: file.size,
            mode: file.mode.map(|mode| mode_of(kind, &mode)).unwrap_or_default(),
            owner: owner.unwrap_or_default(),
            href: if kind == "directory" {
                self.href(&file.path)
            } else {
                String::new()
            },
            target: file.link.map(|link| Shown::of(link, TABLE_LIMIT)),
            removed: file.removed,
            modified: optional_time(file.modified.as_ref()),
        }
    }
}

/// Permission bits as `ls` writes them.
fn mode_of(kind: &str, octal: &str) -> String {
    let Ok(bits) = u32::from_str_radix(octal, 8) else {
        return octal.to_owned();
    };
    let mut text = String::from(match kind {
        "directory" => "d",
        "symlink" => "l",
        "character-device" => "c",
        "block-device" => "b",
        "fifo" => "p",
        _ => "-",
    });
    for (place, letter) in "rwxrwxrwx".chars().enumerate() {
        let is_set = bits & (1 << (8 - place)) != 0;
        let special = [(2, 0o4000, 's'), (5, 0o2000, 's'), (8, 0o1000, 't')];
        let special = special
            .into_iter()
            .find(|(at, bit, _)| *at == place && bits & bit != 0);
        text.push(match (special, is_set) {
            (Some((.., letter)), true) => letter,
            (Some((.., letter)), false) => letter.to_ascii_uppercase(),
            (None, true) => letter,
            (None, false) => '-',
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_written_as_ls_does() {
        for (kind, octal, expected) in [
            ("file", "0644", "-rw-r--r--"),
            ("directory", "1777", "drwxrwxrwt"),
            ("file", "4755", "-rwsr-xr-x"),
            ("file", "2644", "-rw-r-Sr--"),
            ("symlink", "0777", "lrwxrwxrwx"),
            ("file", "what", "what"),
        ] {
            assert_eq!(mode_of(kind, octal), expected);
        }
    }
}
