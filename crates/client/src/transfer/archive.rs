//! The table of contents of a tar, found by jumping from header to header: what it holds is read from its place later.

use std::{
    collections::HashMap,
    io::{self, Read as _, Seek as _},
    path::{Component, Path},
};

use super::{error::LayoutError, file::Part};

/// Entries of a tar; an image has some hundred.
const MOST_ENTRIES: usize = 1 << 20;
/// Links that are followed from one name.
const MOST_LINKS: usize = 16;

/// The files in a tar, by name.
#[derive(Debug)]
pub(super) struct Archive {
    whole: Part,
    /// Place and size of each file, in bytes.
    files: HashMap<String, (u64, u64)>,
    /// Names of symbolic and hard links, with the names to which they lead.
    links: HashMap<String, String>,
}

impl Archive {
    pub(super) fn open(whole: Part) -> Result<Self, LayoutError> {
        let path = whole.path.clone();
        let not_tar = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => LayoutError::Cut(path.clone()),
            _ => LayoutError::no_image(&path, format!("it is no tar ({error})")),
        };
        let mut file = &*whole.file;
        let mut magic = [0; 4];
        let seekable = file.rewind();
        seekable.map_err(|error| {
            LayoutError::no_image(
                &path,
                format!("it is no file that can be read twice ({error}); save it to one first"),
            )
        })?;
        let known = file
            .read(&mut magic)
            .map_err(|error| LayoutError::io(&path, &error))?;
        if known == 0 {
            return Err(LayoutError::no_image(&path, "it is empty".to_owned()));
        }
        if magic.starts_with(&[0x1f, 0x8b]) || magic == [0x28, 0xb5, 0x2f, 0xfd] {
            let tool = if magic[0] == 0x1f { "gunzip" } else { "unzstd" };
            return Err(LayoutError::no_image(
                &path,
                format!("it is compressed; run `{tool}` on it first"),
            ));
        }
        file.rewind().map_err(|error| LayoutError::io(&path, &error))?;
        let (mut files, mut links) = (HashMap::new(), HashMap::new());
        let mut tar = tar::Archive::new(file);
        for entry in tar.entries_with_seek().map_err(not_tar)? {
            let entry = entry.map_err(not_tar)?;
            let name = entry.path().map_err(not_tar)?;
            let name = plain(&name);
            let kind = entry.header().entry_type();
            if kind.is_file() {
                let (start, size) = (entry.raw_file_position(), entry.size());
                if start.checked_add(size).is_none_or(|end| end > whole.size) {
                    return Err(LayoutError::Cut(path));
                }
                files.insert(name, (start, size));
            } else if let Some(to) = entry.link_name().map_err(not_tar)? {
                let to = match kind.is_symlink() {
                    true => plain(&Path::new(&name).parent().unwrap_or(Path::new("")).join(&to)),
                    false => plain(&to),
                };
                links.insert(name, to);
            }
            if files.len() + links.len() > MOST_ENTRIES {
                return Err(LayoutError::no_image(
                    &path,
                    "it has more files than any image".to_owned(),
                ));
            }
        }
        Ok(Self { whole, files, links })
    }

    pub(super) fn path(&self) -> &Path {
        &self.whole.path
    }

    /// The file of this name, or the one to which a link of this name leads.
    pub(super) fn find(&self, name: &str) -> Option<Part> {
        let mut name = plain(Path::new(name));
        for _ in 0..MOST_LINKS {
            if let Some((start, size)) = self.files.get(&name) {
                return Some(Part {
                    start: *start,
                    size: *size,
                    ..self.whole.clone()
                });
            }
            name.clone_from(self.links.get(&name)?);
        }
        None
    }
}

/// The name without `.` and `..`; a tar names files from its own root.
fn plain(name: &Path) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.components() {
        match part {
            Component::Normal(part) => parts.extend(part.to_str()),
            Component::ParentDir => _ = parts.pop(),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    parts.join("/")
}
