//! Stores written straight to disk in registry:2's layout, once, and read by every server in turn.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};

use super::bucket::tag_tree;
use super::content::{BigBlobs, Blob, Image};
use super::push::in_parallel;

/// The repository of `Seed::Images`.
pub(crate) const IMAGE_REPOSITORY: &str = "bench/image";
/// The repository of `Seed::Tags`.
pub(crate) const TAG_REPOSITORY: &str = "bench/tags";
/// The repository of `Seed::Screen`.
pub(crate) const SCREEN_REPOSITORY: &str = "bench/screen";
const SCREEN_TAGS: u64 = 1_000;
pub(crate) const TAG_COUNT: usize = 10_000;
pub(crate) const REPOSITORY_COUNT: usize = 5_000;
pub(crate) const BIG_BLOB: usize = 100 << 20;
const SMALL_IMAGES: u64 = 16;
/// Manifests of `Seed::Garbage` in a full run and in a quick one, each with a config and eight layers. No tag reaches
/// half of them.
const GARBAGE_MANIFESTS: [u64; 2] = [10_000, 1_000];

/// A store to start a server on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Seed {
    /// An empty directory, new each time, which the server may fill.
    Empty,
    /// A blob of 100 MiB and sixteen small images.
    Images,
    /// One repository with 10,000 tags.
    Tags,
    /// One repository with 1,000 tags, each of another image.
    Screen,
    /// 5,000 repositories with one tag each.
    Repositories,
    /// 10,000 manifests of nine blobs each in ten repositories, every other one without a tag; a new
    /// store each time.
    Garbage,
    /// The same, and the manifests without a tag were deleted: their blobs are there, but no link to them.
    Deleted,
}

impl Seed {
    /// Whether a server changes the store, so that every turn needs another one.
    fn is_used_up(self) -> bool {
        matches!(self, Self::Empty | Self::Garbage | Self::Deleted)
    }
}

/// Digests and tags of `Seed::Images`.
pub(crate) struct Images {
    pub(crate) big: String,
    pub(crate) small: Vec<(String, Image)>,
}

impl Images {
    pub(crate) fn new() -> Self {
        let small = (0..SMALL_IMAGES)
            .map(|n| (format!("v{n}"), Image::small(1_000_000 + n)))
            .collect();
        Self {
            big: BigBlobs::new(BIG_BLOB).get(0).digest,
            small,
        }
    }
}

/// Makes stores below one directory, each when it is first asked for.
pub(crate) struct Seeds {
    directory: PathBuf,
    quick: bool,
    /// Whether the stores are buckets.
    buckets: bool,
    used_up: u64,
    /// Stores that servers have changed, until the end of the row.
    spent: Vec<PathBuf>,
}

impl Seeds {
    pub(crate) fn new(directory: PathBuf, quick: bool, buckets: bool) -> Self {
        Self {
            directory,
            quick,
            buckets,
            used_up: 0,
            spent: Vec::new(),
        }
    }

    /// The root directory to give to the next server.
    pub(crate) fn root(&mut self, seed: Seed) -> Result<PathBuf> {
        let mut name = match seed {
            Seed::Empty => "empty",
            Seed::Images => "images",
            Seed::Tags => "tags",
            Seed::Screen => "screen",
            Seed::Repositories => "repositories",
            Seed::Garbage => "garbage",
            Seed::Deleted => "deleted",
        }
        .to_owned();
        if seed.is_used_up() {
            self.used_up += 1;
            name.push_str(&format!("-{}", self.used_up));
        }
        let root = self.directory.join(name);
        if !root.exists() {
            let making = self.directory.join("making");
            fs::create_dir_all(&making)?;
            match seed {
                Seed::Empty => {}
                Seed::Images => write_images(&making)?,
                Seed::Tags => write_tags(&making)?,
                Seed::Screen => write_screen(&making)?,
                Seed::Repositories => write_repositories(&making)?,
                Seed::Garbage => write_garbage(&making, self.garbage_manifests(), false)?,
                Seed::Deleted => write_garbage(&making, self.garbage_manifests(), true)?,
            }
            if self.buckets {
                tag_tree(&making)?;
            }
            fs::rename(&making, &root)?;
        }
        write_back(&root)?;
        Ok(root)
    }

    fn garbage_manifests(&self) -> u64 {
        GARBAGE_MANIFESTS[usize::from(self.quick)]
    }

    /// Removes the stores that the row has changed.
    pub(crate) fn end_row(&mut self) -> Result<()> {
        self.spent.drain(..).try_for_each(|root| remove_tree(&root))
    }

    /// Puts a used store back into its first state, without the files beside the tree; or keeps it
    /// until the end of the row when it was changed.
    pub(crate) fn give_back(&mut self, seed: Seed, root: &Path) -> Result<()> {
        if seed.is_used_up() {
            // ext4 without a journal steps over every inode that was freed in the last minute when
            // it looks for a free one: the next server would pay for the removal of many files.
            self.spent.push(root.to_owned());
            return remove_large_files(root);
        }
        for entry in fs::read_dir(root)? {
            let entry = entry?;
            if entry.file_name() != "docker" {
                if entry.file_type()?.is_dir() {
                    fs::remove_dir_all(entry.path())?;
                } else {
                    fs::remove_file(entry.path())?;
                }
            }
        }
        Ok(())
    }
}

/// Gives the space of big blobs back, which is most of the space and few files.
fn remove_large_files(root: &Path) -> Result<()> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            remove_large_files(&entry.path())?;
        } else if metadata.len() >= 1 << 20 {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Removes a directory with all below it, many entries at a time: where the file system tells the
/// device of every freed block at once (ext4's `discard` without a journal), one entry takes milliseconds.
pub(crate) fn remove_tree(root: &Path) -> Result<()> {
    let (mut files, mut levels) = (Vec::new(), vec![vec![root.to_owned()]]);
    while let Some(level) = levels.last().filter(|level| !level.is_empty()) {
        let mut below = Vec::new();
        for directory in level {
            for entry in fs::read_dir(directory)? {
                let entry = entry?;
                let list = if entry.file_type()?.is_dir() {
                    &mut below
                } else {
                    &mut files
                };
                list.push(entry.path());
            }
        }
        levels.push(below);
    }
    remove_all(&files, |path| fs::remove_file(path))?;
    levels
        .iter()
        .rev()
        .try_for_each(|level| remove_all(level, |path| fs::remove_dir(path)))
}

fn remove_all(paths: &[PathBuf], remove: impl Fn(&Path) -> std::io::Result<()> + Sync) -> Result<()> {
    const AT_A_TIME: usize = 64;
    let next = AtomicUsize::new(0);
    in_parallel(AT_A_TIME.min(paths.len()), || {
        while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
            remove(path).with_context(|| format!("cannot remove `{}`", path.display()))?;
        }
        Ok(())
    })
}

/// Writes back what the file system holds in memory, so that no measurement pays for the work of another.
fn write_back(path: &Path) -> Result<()> {
    let directory = fs::File::open(path)?;
    rustix::fs::syncfs(&directory)
        .with_context(|| format!("cannot sync the file system of `{}`", path.display()))
}

fn write_images(root: &Path) -> Result<()> {
    let blobs = BigBlobs::new(BIG_BLOB);
    let big = blobs.get(0);
    write_blob(root, &big.digest, &[big.prefix, &big.tail])?;
    write_link(root, &layer_link(IMAGE_REPOSITORY, &big.digest), &big.digest)?;
    for (tag, image) in Images::new().small {
        write_image_blobs(root, &image)?;
        write_image_links(root, IMAGE_REPOSITORY, &image)?;
        write_tag(root, IMAGE_REPOSITORY, &tag, &image.manifest.digest)?;
    }
    Ok(())
}

fn write_tags(root: &Path) -> Result<()> {
    let image = Image::small(2_000_000);
    write_image_blobs(root, &image)?;
    write_image_links(root, TAG_REPOSITORY, &image)?;
    (0..TAG_COUNT).try_for_each(|n| {
        write_tag(
            root,
            TAG_REPOSITORY,
            &format!("build-{n:05}"),
            &image.manifest.digest,
        )
    })
}

fn write_screen(root: &Path) -> Result<()> {
    (0..SCREEN_TAGS).try_for_each(|n| {
        let image = Image::of_layers(5_000_000 + 10 * n, 3, 512);
        write_image_blobs(root, &image)?;
        write_image_links(root, SCREEN_REPOSITORY, &image)?;
        write_tag(
            root,
            SCREEN_REPOSITORY,
            &format!("build-{n:04}"),
            &image.manifest.digest,
        )
    })
}

fn write_repositories(root: &Path) -> Result<()> {
    let image = Image::small(3_000_000);
    write_image_blobs(root, &image)?;
    (0..REPOSITORY_COUNT).try_for_each(|n| {
        let name = format!("team-{:02}/service-{:02}", n / 100, n % 100);
        write_image_links(root, &name, &image)?;
        write_tag(root, &name, "latest", &image.manifest.digest)
    })
}

/// Writes `manifests` images, half of them without a tag, and, when they were `deleted`, without a link to the manifest.
fn write_garbage(root: &Path, manifests: u64, deleted: bool) -> Result<()> {
    for number in 0..manifests {
        let repository = format!("bench/garbage-{}", number % 10);
        let image = Image::of_layers(4_000_000 + 10 * number, 8, 512);
        write_image_blobs(root, &image)?;
        // Half of each repository: registry:2 stops at one that has no tag at all.
        let is_tagged = number / 10 % 2 == 0;
        write_layer_links(root, &repository, &image)?;
        if is_tagged || !deleted {
            write_revision(root, &repository, &image)?;
        }
        if is_tagged {
            write_tag(root, &repository, &format!("v{number}"), &image.manifest.digest)?;
        }
    }
    Ok(())
}

/// How many blobs a store holds, manifests included.
pub(crate) fn count_blobs(root: &Path) -> Result<u64> {
    let mut count = 0;
    for prefix in fs::read_dir(root.join("docker/registry/v2/blobs/sha256"))? {
        for blob in fs::read_dir(prefix?.path())? {
            count += u64::from(blob?.path().join("data").exists());
        }
    }
    Ok(count)
}

fn write_image_blobs(root: &Path, image: &Image) -> Result<()> {
    let write = |blob: &Blob| write_blob(root, &blob.digest, &[&blob.bytes]);
    write(&image.config)?;
    image.layers.iter().try_for_each(write)?;
    write(&image.manifest)
}

fn write_image_links(root: &Path, repository: &str, image: &Image) -> Result<()> {
    write_layer_links(root, repository, image)?;
    write_revision(root, repository, image)
}

fn write_layer_links(root: &Path, repository: &str, image: &Image) -> Result<()> {
    for blob in image.layers.iter().chain([&image.config]) {
        write_link(root, &layer_link(repository, &blob.digest), &blob.digest)?;
    }
    Ok(())
}

fn write_revision(root: &Path, repository: &str, image: &Image) -> Result<()> {
    let revision = format!(
        "repositories/{repository}/_manifests/revisions/{}/link",
        as_path(&image.manifest.digest)
    );
    write_link(root, &revision, &image.manifest.digest)
}

fn write_tag(root: &Path, repository: &str, tag: &str, digest: &str) -> Result<()> {
    let tag = format!("repositories/{repository}/_manifests/tags/{tag}");
    write_link(root, &format!("{tag}/current/link"), digest)?;
    write_link(root, &format!("{tag}/index/{}/link", as_path(digest)), digest)
}

fn layer_link(repository: &str, digest: &str) -> String {
    format!("repositories/{repository}/_layers/{}/link", as_path(digest))
}

/// Path of the bytes of a blob below the root.
pub(crate) fn blob_path(digest: &str) -> String {
    let hex = digest.trim_start_matches("sha256:");
    format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2])
}

fn as_path(digest: &str) -> String {
    digest.replace(':', "/")
}

fn write_blob(root: &Path, digest: &str, parts: &[&[u8]]) -> Result<()> {
    let path = root.join(blob_path(digest));
    write(&path, &parts.concat())
}

fn write_link(root: &Path, path: &str, digest: &str) -> Result<()> {
    write(&root.join("docker/registry/v2").join(path), digest.as_bytes())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let directory = path
        .parent()
        .with_context(|| format!("`{}` has no directory", path.display()))?;
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(path, bytes))
        .with_context(|| format!("cannot write `{}`", path.display()))
}
