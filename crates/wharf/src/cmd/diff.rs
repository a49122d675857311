//! `wharf diff`: in what two images differ.

use std::{collections::BTreeMap, fmt::Write as _, io, process::ExitCode, sync::Arc};

use anyhow::bail;
use serde_json::{Map, Value, json};
use wharf_client::{Client, ImageName, printable};
use wharf_layers::{Entry, Node};
use wharf_oci::{Algorithm, Digest, Hasher};

use super::{
    files::{Files, shown::word},
    image::Image,
    nearest::explained,
    remote::{ask, print, print_json},
    size::readable,
};
use crate::cli;

/// The exit status when the images differ.
const DIFFERENT: u8 = 10;

/// Bytes of a file that are hashed at once.
const PIECE: usize = 64 << 10;

/// One of the two images.
struct Side {
    image: Image,
    /// Each file with the digest of its content; `None` when files are not compared.
    files: Option<Files<Option<Digest>>>,
}

impl Side {
    async fn read(
        client: &Arc<Client>,
        name: &ImageName,
        platform: Option<&str>,
        with_files: bool,
    ) -> anyhow::Result<Self> {
        let repository = name.repository.to_string();
        let image = Image::of_platform(client, &repository, &name.reference, platform).await;
        let image = explained(client, name, image).await?;
        let files = match with_files && image.config.is_some() {
            true => Some(Files::read(client, &repository, &image, hashed).await?),
            false => None,
        };
        Ok(Self { image, files })
    }
}

/// Compares two images.
pub(crate) fn run(arguments: cli::Diff) -> anyhow::Result<ExitCode> {
    let (before, after) = (&arguments.before, &arguments.after);
    if arguments.remote.reach.user.is_some() && before.registry != after.registry {
        bail!(
            "`--user` names the user of one registry, and the images are in two; log in to each, as with `docker login HOST`"
        );
    }
    if arguments.remote.reach.insecure && before.registry != after.registry {
        bail!(
            "`--insecure` is for one registry, and the images are in two; `--cacert FILE` names the authorities of both"
        );
    }
    let platform = arguments.of.platform.as_deref();
    let with_files = !arguments.no_files;
    let (old, new) = if before.registry == after.registry {
        ask(&before.registry, arguments.remote, async |client| {
            let client = Arc::new(client);
            let old = Side::read(&client, before, platform, with_files).await?;
            Ok((old, Side::read(&client, after, platform, with_files).await?))
        })?
    } else {
        let read = |name: &ImageName| {
            ask(&name.registry, arguments.remote.clone(), async |client| {
                Side::read(&Arc::new(client), name, platform, with_files).await
            })
        };
        (read(before)?, read(after)?)
    };
    let difference = Difference::between(&old, &new);
    match arguments.json {
        true => print_json(&format!("{:#}\n", difference.json(before, after)))?,
        false => print(&difference.text())?,
    }
    Ok(match difference.is_none() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(DIFFERENT),
    })
}

/// The digest of a content; `None` for what has none.
fn hashed(content: &mut dyn io::Read) -> io::Result<Option<Digest>> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut piece = vec![0; PIECE];
    let mut is_empty = true;
    loop {
        match content.read(&mut piece)? {
            0 => break,
            count => {
                is_empty = false;
                hasher.update(&piece[..count]);
            }
        }
    }
    Ok((!is_empty).then(|| hasher.finish()))
}

/// In what two images differ.
#[derive(Debug, Default, PartialEq)]
struct Difference {
    digests: Option<[Digest; 2]>,
    /// Parts of the configuration: before and after.
    config: BTreeMap<String, [Option<Value>; 2]>,
    /// Layers that only one of them has, with sizes in bytes.
    layers: [Vec<(Digest, u64)>; 2],
    /// How many layers both have.
    shared_layers: usize,
    /// `None` when files were not compared.
    files: Option<Changes>,
}

/// Files that are not the same.
#[derive(Debug, Default, PartialEq)]
struct Changes {
    added: Vec<Changed>,
    removed: Vec<Changed>,
    changed: Vec<Changed>,
}

#[derive(Debug, PartialEq)]
struct Changed {
    path: String,
    /// Bytes before and after
    sizes: [u64; 2],
    /// What changed
    what: Vec<&'static str>,
}

impl Difference {
    fn between(old: &Side, new: &Side) -> Self {
        let digests = [old.image.manifest.digest, new.image.manifest.digest];
        let layers = [old, new].map(|side| {
            let layers = side.image.view.layers.iter();
            layers.map(|layer| (layer.digest, layer.size)).collect::<Vec<_>>()
        });
        let only = |one: usize, other: usize| {
            let others = &layers[other];
            let only = layers[one].iter().filter(|layer| !others.contains(layer));
            only.copied().collect::<Vec<_>>()
        };
        let only = [only(0, 1), only(1, 0)];
        Self {
            digests: (digests[0] != digests[1]).then_some(digests),
            config: changed_parts(old.image.config.as_ref(), new.image.config.as_ref()),
            shared_layers: layers[0].len() - only[0].len(),
            layers: only,
            files: old
                .files
                .as_ref()
                .zip(new.files.as_ref())
                .map(|(old, new)| Changes::between(old, new)),
        }
    }

    fn is_none(&self) -> bool {
        self.digests.is_none()
    }

    /// The differences as docs/cli/files.md documents them.
    fn json(&self, before: &ImageName, after: &ImageName) -> Value {
        let name = |name: &ImageName| format!("{}/{}", name.registry.host(), name.repository);
        let layers = |layers: &[(Digest, u64)]| {
            let layer = |(digest, size): &(Digest, u64)| json!({"digest": digest.to_string(), "size": size});
            layers.iter().map(layer).collect::<Vec<_>>()
        };
        let config: Map<String, Value> = self
            .config
            .iter()
            .map(|(part, [old, new])| (part.clone(), json!({"before": old, "after": new})))
            .collect();
        json!({
            "before": name(before),
            "after": name(after),
            "digests": self.digests.map(|digests| digests.map(|digest| digest.to_string())),
            "config": config,
            "layers": {
                "shared": self.shared_layers,
                "removed": layers(&self.layers[0]),
                "added": layers(&self.layers[1]),
            },
            "files": self.files.as_ref().map(Changes::json),
        })
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let Some([old, new]) = self.digests else {
            return "the images are the same\n".to_owned();
        };
        _ = writeln!(text, "digest   {old}\n      -> {new}");
        for (part, [old, new]) in &self.config {
            let shown = |value: &Option<Value>| match value {
                None => "-".to_owned(),
                Some(Value::String(text)) => printable(text).into_owned(),
                Some(value) => printable(&value.to_string()).into_owned(),
            };
            _ = writeln!(
                text,
                "config   {}: {} -> {}",
                printable(part),
                shown(old),
                shown(new)
            );
        }
        for (sign, layers) in ["-", "+"].into_iter().zip(&self.layers) {
            for (digest, size) in layers {
                _ = writeln!(text, "layer {sign}  {digest}  {}", readable(*size));
            }
        }
        _ = writeln!(text, "layers   {} in both", self.shared_layers);
        for (sign, change) in self.files.iter().flat_map(Changes::all) {
            let Changed { path, sizes, what } = change;
            let size = match sign {
                "+" => readable(sizes[1]),
                "-" => readable(sizes[0]),
                _ => format!(
                    "{} -> {} ({})",
                    readable(sizes[0]),
                    readable(sizes[1]),
                    what.join(", ")
                ),
            };
            _ = writeln!(text, "file {sign}   /{}  {size}", printable(path));
        }
        text
    }
}

/// The parts of two configurations that are not the same, by their paths: `config.Env`, `architecture`.
fn changed_parts(old: Option<&Value>, new: Option<&Value>) -> BTreeMap<String, [Option<Value>; 2]> {
    /// What is compared as layers and files, or says only how the image was made.
    const PASSED_OVER: [&str; 2] = ["history", "rootfs"];
    let parts = |config: Option<&Value>| {
        let mut parts = BTreeMap::new();
        for (name, value) in config.and_then(Value::as_object).into_iter().flatten() {
            match value.as_object() {
                _ if PASSED_OVER.contains(&name.as_str()) => {}
                Some(inner) if name == "config" => {
                    let inner = inner
                        .iter()
                        .map(|(part, value)| (format!("{name}.{part}"), value.clone()));
                    parts.extend(inner);
                }
                _ => _ = parts.insert(name.clone(), value.clone()),
            }
        }
        parts
    };
    let (mut old, new) = (parts(old), parts(new));
    let mut changed = BTreeMap::new();
    for (part, value) in new {
        let before = old.remove(&part);
        if before.as_ref() != Some(&value) {
            changed.insert(part, [before, Some(value)]);
        }
    }
    changed.extend(old.into_iter().map(|(part, value)| (part, [Some(value), None])));
    changed
}

impl Changes {
    fn between(old: &Files<Option<Digest>>, new: &Files<Option<Digest>>) -> Self {
        let mut changes = Self::default();
        for (path, node) in new.tree.files() {
            match old.tree.get(path) {
                None => changes.added.push(Changed::of(path, [0, node.entry.size])),
                Some(before) => {
                    let what = differences(before, node);
                    if !what.is_empty() {
                        let sizes = [before.entry.size, node.entry.size];
                        changes.changed.push(Changed {
                            what,
                            ..Changed::of(path, sizes)
                        });
                    }
                }
            }
        }
        for (path, node) in old.tree.files() {
            if new.tree.get(path).is_none() {
                changes.removed.push(Changed::of(path, [node.entry.size, 0]));
            }
        }
        changes
    }

    /// All changes in the order of the paths, each with its sign.
    fn all(&self) -> Vec<(&'static str, &Changed)> {
        let lists = [("+", &self.added), ("-", &self.removed), ("~", &self.changed)];
        let each = lists
            .into_iter()
            .flat_map(|(sign, changes)| changes.iter().map(move |change| (sign, change)));
        let mut all: Vec<(&'static str, &Changed)> = each.collect();
        all.sort_by(|one, other| one.1.path.cmp(&other.1.path));
        all
    }

    fn json(&self) -> Value {
        let list = |changes: &[Changed]| {
            let change = |change: &Changed| {
                json!({
                    "path": change.path, "before": change.sizes[0], "after": change.sizes[1],
                    "what": Some(&change.what).filter(|what| !what.is_empty()),
                })
            };
            changes.iter().map(change).collect::<Vec<_>>()
        };
        json!({"added": list(&self.added), "removed": list(&self.removed), "changed": list(&self.changed)})
    }
}

impl Changed {
    fn of(path: &str, sizes: [u64; 2]) -> Self {
        Self {
            path: path.to_owned(),
            sizes,
            what: Vec::new(),
        }
    }
}

/// In what two files at one path differ. The time of change does not count: each build sets it anew.
fn differences(old: &Node<Option<Digest>>, new: &Node<Option<Digest>>) -> Vec<&'static str> {
    let (one, other): (&Entry, &Entry) = (&old.entry, &new.entry);
    if one.kind != other.kind {
        return vec![word(other.kind)];
    }
    let mut what = Vec::new();
    if one.size != other.size || old.note != new.note {
        what.push("content");
    }
    if one.link != other.link {
        what.push("target");
    }
    if one.mode != other.mode {
        what.push("mode");
    }
    if (one.user, one.group) != (other.user, other.group) {
        what.push("owner");
    }
    what
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_configuration_are_compared_one_by_one() {
        let old = json!({
            "architecture": "amd64", "author": "a", "created": "2020", "history": [1],
            "config": {"Env": ["A=1"], "Cmd": ["x"]},
        });
        let new = json!({
            "architecture": "amd64", "created": "2021", "history": [2],
            "config": {"Env": ["A=2"], "Cmd": ["x"], "User": "app"},
        });
        let changed = changed_parts(Some(&old), Some(&new));
        let changed: Vec<(&str, [Option<Value>; 2])> = changed
            .iter()
            .map(|(part, values)| (part.as_str(), values.clone()))
            .collect();
        assert_eq!(
            changed,
            [
                ("author", [Some(json!("a")), None]),
                ("config.Env", [Some(json!(["A=1"])), Some(json!(["A=2"]))]),
                ("config.User", [None, Some(json!("app"))]),
                ("created", [Some(json!("2020")), Some(json!("2021"))]),
            ]
        );
    }
}
