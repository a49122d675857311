//! `wharf ls` and `wharf cat`: the files of an image, read from its registry.

mod layer;
mod parts;
pub(super) mod shown;

use std::{io, sync::Arc};

use anyhow::{Context as _, bail};
use serde_json::json;
use wharf_client::{Client, printable};
use wharf_layers::{Flow, Kind, Node, Tree, clean};
use wharf_oci::Descriptor;

use self::{layer::read_layer, parts::Parts, shown::Row};
use super::{
    image::Image,
    nearest::explained,
    remote::{ask, print, print_json},
};
use crate::cli::{Cat, Ls};

/// The files that an image shows.
pub(super) struct Files<T> {
    pub(super) tree: Tree<T>,
    layers: Vec<Descriptor>,
}

/// The files that an image shows, and where those are of which not the whole layer was read.
struct Listed {
    files: Files<()>,
    /// By layer; `None`: it was read whole
    parts: Vec<Option<Parts>>,
}

impl<T: Send + 'static> Files<T> {
    /// Those of `image`. Its layers are read from the lowest up. `note` makes the note about each file.
    ///
    /// # Errors
    ///
    /// When it has no layers with files, or one cannot be read.
    pub(super) async fn read(
        client: &Arc<Client>,
        repository: &str,
        image: &Image,
        note: fn(&mut dyn io::Read) -> io::Result<T>,
    ) -> anyhow::Result<Self> {
        let layers = layers(image)?;
        let mut tree = Tree::default();
        for layer in &layers {
            tree = add_layer(client, repository, layer, tree, note).await?;
        }
        Ok(Self { tree, layers })
    }
}

impl Listed {
    /// Those of `image`, of layers with a table of contents by that alone.
    ///
    /// # Errors
    ///
    /// As [`Files::read`].
    async fn read(client: &Arc<Client>, repository: &str, image: &Image) -> anyhow::Result<Self> {
        let layers = layers(image)?;
        let (mut tree, mut parts) = (Tree::default(), Vec::new());
        for layer in &layers {
            let mut of_layer = Parts::of(client, repository, layer).await?;
            tree = match &mut of_layer {
                Some(parts) => {
                    let entries = parts.contents.take_entries();
                    let adding = tokio::task::spawn_blocking(move || {
                        entries.into_iter().try_for_each(|entry| tree.add(entry, ()))?;
                        tree.end_layer();
                        Ok::<_, wharf_layers::Error>(tree)
                    });
                    adding.await.context("listing a layer did not end")??
                }
                None => add_layer(client, repository, layer, tree, |_| Ok(())).await?,
            };
            parts.push(of_layer);
        }
        Ok(Self {
            files: Files { tree, layers },
            parts,
        })
    }
}

/// The layers of an image, from the lowest up.
fn layers(image: &Image) -> anyhow::Result<Vec<Descriptor>> {
    if image.config.is_none() || image.view.layers.is_empty() {
        bail!("this is no image with files: it has no configuration of a container, or no layers");
    }
    Ok(image.view.layers.clone())
}

/// The files of `tree` with those of one more layer, which is read whole.
async fn add_layer<T: Send + 'static>(
    client: &Arc<Client>,
    repository: &str,
    layer: &Descriptor,
    mut tree: Tree<T>,
    note: fn(&mut dyn io::Read) -> io::Result<T>,
) -> anyhow::Result<Tree<T>> {
    read_layer(client, repository, layer, move |bytes| {
        wharf_layers::read(bytes, |entry, content| {
            let note = note(content)?;
            tree.add(entry, note)?;
            Ok(Flow::Continue)
        })?;
        tree.end_layer();
        Ok(tree)
    })
    .await
}

/// Lists files.
pub(crate) fn list(arguments: Ls) -> anyhow::Result<()> {
    let path = wanted(arguments.path.as_deref().unwrap_or("/"))?;
    let repository = arguments.image.repository.to_string();
    let reference = &arguments.image.reference;
    let platform = arguments.of.platform.as_deref();
    let listed = ask(&arguments.image.registry, arguments.remote, async |client| {
        let image = Image::of_platform(&client, &repository, reference, platform).await;
        let image = explained(&client, &arguments.image, image).await?;
        Listed::read(&Arc::new(client), &repository, &image).await
    })?;
    let files = listed.files;
    let rows = rows(&files.tree, &path, arguments.recursive)?;
    if arguments.json {
        let entries: Vec<_> = rows.iter().map(|row| row.json(&files.layers)).collect();
        return print_json(&format!("{:#}\n", json!(entries)));
    }
    print(&shown::text(&rows, arguments.long))
}

/// What is to be listed of `path`: the file, or what is in the directory.
fn rows<'a>(tree: &'a Tree<()>, path: &str, recursive: bool) -> anyhow::Result<Vec<Row<'a>>> {
    let place = tree.resolve(path).with_context(|| circle(path))?;
    if let Some(node) = tree.get(&place)
        && node.entry.kind != Kind::Directory
    {
        return Ok(vec![Row::of(&node.entry.path, node)]);
    }
    let prefix = match place.as_str() {
        "" => 0,
        place => place.len() + 1,
    };
    let mut rows: Vec<Row<'a>> = Vec::new();
    for (below, node) in tree.below(&place) {
        let name = &below[prefix..];
        match name.split_once('/') {
            Some(_) if recursive => rows.push(Row::of(name, node)),
            // A directory that no layer has an entry of.
            Some((directory, _)) if rows.last().is_none_or(|last| last.name != directory) => {
                rows.push(Row::directory(directory, node.layer));
            }
            Some(_) => {}
            None => rows.push(Row::of(name, node)),
        }
    }
    if !recursive {
        // `a-b` comes between `a` and `a/c`.
        rows.sort_by(|one, other| one.name.cmp(other.name));
        rows.dedup_by(|next, before| {
            next.name == before.name && (next.node.is_none() || before.node.is_none())
        });
    }
    match rows.is_empty() && tree.get(&place).is_none() && !place.is_empty() {
        true => Err(unknown(path)),
        false => Ok(rows),
    }
}

/// Prints a file.
pub(crate) fn print_file(arguments: Cat) -> anyhow::Result<()> {
    let path = wanted(&arguments.path)?;
    let repository = arguments.image.repository.to_string();
    let reference = &arguments.image.reference;
    let platform = arguments.of.platform.as_deref();
    ask(&arguments.image.registry, arguments.remote, async |client| {
        let image = Image::of_platform(&client, &repository, reference, platform).await;
        let image = explained(&client, &arguments.image, image).await?;
        let client = Arc::new(client);
        let Listed { files, parts } = Listed::read(&client, &repository, &image).await?;
        let file = file(&files.tree, &path)?;
        let layer = &files.layers[file.layer];
        let place = file.entry.path.clone();
        if let Some(parts) = &parts[file.layer]
            && parts.print(&place, file.entry.size).await?
        {
            return Ok(());
        }
        let printed = read_layer(&client, &repository, layer, move |bytes| copy(bytes, &place)).await?;
        match printed {
            Printed::Whole | Printed::ReaderLeft => Ok(()),
            Printed::NotFound => Err(unknown(&path)),
        }
    })
}

/// The file at `path`, of which the bytes are to be printed.
fn file<'a>(tree: &'a Tree<()>, path: &str) -> anyhow::Result<&'a Node<()>> {
    let place = tree.resolve(path).with_context(|| circle(path))?;
    let node = tree.get(&place);
    let is_directory = match node {
        Some(node) => node.entry.kind == Kind::Directory,
        None => tree.below(&place).next().is_some(),
    };
    if is_directory {
        bail!("`{}` is a directory; `wharf ls` lists it", printable(path));
    }
    let node = node.with_context(|| unknown(path))?;
    let file = tree.linked(node).with_context(|| {
        format!(
            "`{}` is another name of a file that a later layer has removed",
            printable(path)
        )
    })?;
    match file.entry.kind {
        Kind::File => Ok(file),
        _ => bail!("`{}` is no file with bytes", printable(path)),
    }
}

/// What became of a file that was to be printed.
enum Printed {
    Whole,
    /// The reader of the output closed it, as `head` does.
    ReaderLeft,
    NotFound,
}

/// Prints the file at `place` in the layer of `bytes`: the last of that path.
fn copy(bytes: &mut dyn io::Read, place: &str) -> wharf_layers::Result<Printed> {
    let mut printed = Printed::NotFound;
    wharf_layers::read(bytes, |entry, content| {
        if entry.path != place || entry.kind != Kind::File {
            return Ok(Flow::Continue);
        }
        printed = match io::copy(content, &mut io::stdout().lock()) {
            Ok(_) => Printed::Whole,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Printed::ReaderLeft,
            Err(error) => return Err(error.into()),
        };
        Ok(Flow::Stop)
    })?;
    Ok(printed)
}

/// A path that was given, from the root of the image.
fn wanted(path: &str) -> anyhow::Result<String> {
    clean(path).with_context(|| format!("`{}` leads out of the image", printable(path)))
}

fn unknown(path: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "the image has no `{}`; `wharf ls -r` lists all that it has",
        printable(path)
    )
}

fn circle(path: &str) -> String {
    format!("the symbolic links of `{}` go in a circle", printable(path))
}
