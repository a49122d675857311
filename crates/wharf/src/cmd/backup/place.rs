//! Where a backup lies: in a directory, a file, or a bucket that a configuration names.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use rustix::fs::{Mode, OFlags, open};
use wharf_registry::backup::{Base, Compression, FileTarget, OpenFile, Source, Target};
use wharf_storage::{ErrorKind, fs::FsStorage};

use super::{
    super::offline::{self, Work},
    file::Partial,
};
use crate::config::{self, Engine};

const AT: Work = Work {
    cannot: "cannot open the backup",
    cannot_read: "cannot open the backup",
    cannot_beside: "",
    instead: "",
    in_memory: "keeps the data in the memory of the server, where no backup can be",
};

/// The place of a backup.
pub(in super::super) enum Place {
    Directory(PathBuf),
    File(PathBuf, Compression),
    Bucket(Engine),
}

impl Place {
    /// The place that `word` names to write to: what does not exist is a file or a directory, as its name says.
    pub(super) fn to_write(word: &Path) -> anyhow::Result<Self> {
        if word.is_dir() {
            return Ok(Self::Directory(word.to_owned()));
        }
        let name = word.to_string_lossy();
        refuse_url(&name)?;
        if is_configuration(&name) && word.exists() {
            return Self::of_configuration(word);
        }
        if name.ends_with(".tar.zst") || name.ends_with(".tzst") {
            return Ok(Self::File(word.to_owned(), Compression::Zstd));
        }
        if name.ends_with(".tar") {
            return Ok(Self::File(word.to_owned(), Compression::None));
        }
        if word.exists() || is_configuration(&name) || name.ends_with(".tar.gz") || name.ends_with(".tgz") {
            bail!(
                "`{name}` is no place for a backup; name a directory, a new file that ends with `.tar.zst` or `.tar`, or a configuration \
                 (`.yml`) whose `storage` names a bucket"
            );
        }
        Ok(Self::Directory(word.to_owned()))
    }

    /// The place that `word` names to read.
    pub(in super::super) fn to_read(word: &Path) -> anyhow::Result<Self> {
        let name = word.to_string_lossy();
        refuse_url(&name)?;
        if word.is_dir() {
            return Ok(Self::Directory(word.to_owned()));
        }
        if !word.exists() {
            bail!(
                "`{name}` does not exist; name a backup: a directory, a file, or a configuration whose `storage` names its bucket"
            );
        }
        match is_configuration(&name) {
            true => Self::of_configuration(word),
            false => Ok(Self::File(word.to_owned(), Compression::None)),
        }
    }

    fn of_configuration(word: &Path) -> anyhow::Result<Self> {
        Ok(match config::load(Some(word))?.storage {
            Engine::Filesystem { root } => Self::Directory(root),
            bucket => Self::Bucket(bucket),
        })
    }

    /// The place, as operators read it.
    pub(in super::super) fn name(&self) -> String {
        match self {
            Self::Directory(path) | Self::File(path, _) => path.display().to_string(),
            Self::Bucket(Engine::S3(bucket)) => bucket.place(),
            Self::Bucket(Engine::Cloud(bucket)) => bucket.place(),
            Self::Bucket(Engine::Filesystem { .. } | Engine::InMemory) => "memory".to_owned(),
        }
    }

    /// How many blobs it can take at once: on a bucket each needs memory for a part.
    pub(super) fn part_buffers(&self) -> usize {
        match self {
            Self::Bucket(engine) => offline::part_buffers(engine),
            Self::Directory(_) | Self::File(..) => usize::MAX,
        }
    }

    /// Opens it to write, and returns the file that gets its name at the end.
    pub(super) async fn target(&self, since: Option<Base>) -> anyhow::Result<(Target, Option<Partial>)> {
        if since.is_some() && !matches!(self, Self::File(..)) {
            bail!("`--since` is for files; a directory or a bucket never gets twice what it has");
        }
        match self {
            Self::File(path, compression) => {
                let partial = Partial::make(path)?;
                let file = FileTarget {
                    file: Box::new(partial.file().context("cannot write the backup")?),
                    compression: *compression,
                };
                Ok((Target::File(file, since), Some(partial)))
            }
            Self::Directory(path) => match FsStorage::open(path) {
                Err(error) if error.kind() == ErrorKind::Locked => {
                    bail!("cannot back up to a directory that another process uses: {error}")
                }
                opened => Ok((Target::Store(Arc::new(opened.context("cannot back up")?)), None)),
            },
            Self::Bucket(engine) => Ok((Target::Store(offline::open_to_read(engine, &AT).await?), None)),
        }
    }

    /// Opens it to read.
    pub(in super::super) async fn source(&self) -> anyhow::Result<Source> {
        Ok(match self {
            Self::Directory(path) => Source::Store(Arc::new(
                FsStorage::open_to_read(path).context("cannot open the backup")?,
            )),
            Self::File(path, _) => Source::File(reading(path)),
            Self::Bucket(engine) => Source::Store(offline::open_to_read(engine, &AT).await?),
        })
    }
}

fn is_configuration(name: &str) -> bool {
    name.ends_with(".yml") || name.ends_with(".yaml")
}

fn refuse_url(name: &str) -> anyhow::Result<()> {
    if name.starts_with("s3://") {
        bail!(
            "`{name}`: a bucket is named by a configuration, a file with `storage: {{s3: {{bucket: NAME, region: REGION}}}}`"
        );
    }
    Ok(())
}

/// Opens a file as often as it is read.
fn reading(path: &Path) -> OpenFile {
    let path = path.to_owned();
    Arc::new(move || {
        let file = open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(io::Error::from)?;
        Ok(Box::new(std::fs::File::from(file)) as Box<dyn Read + Send>)
    })
}

/// The backup that a new file builds on.
pub(super) async fn base(word: &Path) -> anyhow::Result<Base> {
    let name = match word.file_name() {
        Some(name) => name.to_string_lossy().into_owned(),
        None => word.display().to_string(),
    };
    let source = Place::to_read(word)?.source().await?;
    source
        .base(&name)
        .await
        .with_context(|| format!("cannot build on the backup `{}`", word.display()))
}

/// The backup that the file at `path` builds on: `named`, or what lies beside it under the name that it had.
pub(super) async fn find_base(
    source: &Source,
    path: &Path,
    named: Option<&Path>,
) -> anyhow::Result<Option<Source>> {
    if let Some(named) = named {
        return Ok(Some(Place::to_read(named)?.source().await?));
    }
    let Source::File(_) = source else { return Ok(None) };
    // A file that has no snapshot builds on nothing.
    let Ok((_, snapshot)) = source.snapshot(None).await else {
        return Ok(None);
    };
    let Some(base) = snapshot.base else {
        return Ok(None);
    };
    let beside = path.with_file_name(base.name);
    match beside.exists() {
        true => Ok(Some(Place::to_read(&beside)?.source().await?)),
        false => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_new_place_says_what_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let of = |name: &str| Place::to_write(&directory.path().join(name));
        assert!(matches!(
            of("b.tar.zst").unwrap(),
            Place::File(_, Compression::Zstd)
        ));
        assert!(matches!(of("b.tar").unwrap(), Place::File(_, Compression::None)));
        assert!(matches!(of("").unwrap(), Place::Directory(_)));
        assert!(matches!(of("backups").unwrap(), Place::Directory(_)));
        for refused in ["b.tar.gz", "new.yml"] {
            let error = of(refused).err().unwrap().to_string();
            assert!(error.contains("is no place for a backup"), "{error}");
        }
        let error = Place::to_write(Path::new("s3://bucket/x"))
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("storage: {s3: {bucket"), "{error}");
        assert!(Place::to_read(&directory.path().join("gone")).is_err());
    }
}
