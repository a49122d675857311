//! `wharf diff`: in what two images differ.

use std::{collections::BTreeMap, fmt::Write as _, io, process::ExitCode, sync::Arc};

use anyhow::bail;
use serde_json::{Map, Value, json};
use wharf_client::{Client, ImageName, printable};
use wharf_layers::{Change, Changes};
use wharf_oci::{Algorithm, Digest, Hasher, changed_parts};

use super::{
    files::Files,
    image::Image,
    nearest::explained,
    remote::{ask, print, print_json},
    size::readable,
};
use crate::cli;

/// The exit status when the images differ.
const DIFFERENT: u8 = 10;

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
    let is_empty = io::copy(content, &mut hasher)? == 0;
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
                .map(|(old, new)| Changes::between(&old.tree, &new.tree)),
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
            "files": self.files.as_ref().map(changes_json),
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
            let Change { path, sizes, what } = change;
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

/// The changes of files, as docs/cli/files.md documents them.
fn changes_json(changes: &Changes) -> Value {
    let list = |changes: &[Change]| {
        let change = |change: &Change| {
            json!({
                "path": change.path, "before": change.sizes[0], "after": change.sizes[1],
                "what": Some(&change.what).filter(|what| !what.is_empty()),
            })
        };
        changes.iter().map(change).collect::<Vec<_>>()
    };
    json!({"added": list(&changes.added), "removed": list(&changes.removed), "changed": list(&changes.changed)})
}
