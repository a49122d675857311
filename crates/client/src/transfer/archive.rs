//! The table of contents of a tar, found by jumping from header to header: what it holds is read from its place later.
//!
//! The headers are walked here and not by the crate `tar`, which keeps long names and the records of PAX in memory whatever size the
//! file gives them.

use std::{
    collections::HashMap,
    io,
    os::unix::fs::FileExt as _,
    path::{Component, Path},
};

use tar::{EntryType, Header};

use super::{error::LayoutError, file::Part};

/// Entries of a tar; an image has some hundred.
const MOST_ENTRIES: usize = 100_000;
/// Bytes of all names in it.
const MOST_NAMES: usize = 16 << 20;
/// Bytes of the records before one entry: a long name, or those of PAX.
const MOST_RECORDS: u64 = 1 << 20;
/// Links that are followed from one name.
const MOST_LINKS: usize = 16;
/// Bytes of a block.
const BLOCK: u64 = 512;

/// The files in a tar, by name.
#[derive(Debug)]
pub(super) struct Archive {
    whole: Part,
    /// Place and size of each file, in bytes.
    files: HashMap<String, (u64, u64)>,
    /// Names of symbolic and hard links, with the names to which they lead.
    links: HashMap<String, String>,
    /// Bytes of all names.
    names: usize,
}

/// What the records before an entry say about it, in place of its header.
#[derive(Debug, Default)]
struct Records {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Archive {
    pub(super) fn open(whole: Part) -> Result<Self, LayoutError> {
        let no_image = |reason: String| LayoutError::no_image(&whole.path, reason);
        let mut magic = [0; 4];
        match whole.file.read_at(&mut magic, 0) {
            Ok(0) => return Err(no_image("it is empty".to_owned())),
            Ok(_) => {}
            Err(error) => return Err(LayoutError::io(&whole.path, &error)),
        }
        if magic.starts_with(&[0x1f, 0x8b]) || magic == [0x28, 0xb5, 0x2f, 0xfd] {
            let tool = if magic[0] == 0x1f { "gunzip" } else { "unzstd" };
            return Err(no_image(format!("it is compressed; run `{tool}` on it first")));
        }
        let mut archive = Self {
            whole,
            files: HashMap::new(),
            links: HashMap::new(),
            names: 0,
        };
        archive.walk()?;
        Ok(archive)
    }

    /// Finds the entries. An archive ends with an empty block, or with the file.
    fn walk(&mut self) -> Result<(), LayoutError> {
        let mut at = 0;
        let mut records = Records::default();
        while let Some(header) = self.header(at)? {
            let start = at + BLOCK;
            let kind = header.entry_type();
            let size = match records.size {
                Some(size) if !is_of_records(kind) => size,
                _ => header
                    .entry_size()
                    .map_err(|error| self.no_tar(&error.to_string()))?,
            };
            let end = size
                .checked_next_multiple_of(BLOCK)
                .and_then(|size| start.checked_add(size));
            // The last block may be cut where nothing of the file is.
            if start.checked_add(size).is_none_or(|end| end > self.whole.size) {
                return Err(LayoutError::Cut(self.whole.path.clone()));
            }
            match kind {
                EntryType::GNULongName => records.name = Some(self.text(start, size)?),
                EntryType::GNULongLink => records.link = Some(self.text(start, size)?),
                EntryType::XHeader => records.take(&self.record(start, size)?),
                EntryType::XGlobalHeader => _ = self.record(start, size)?,
                EntryType::GNUSparse => return Err(self.no_tar("it has a file with holes")),
                _ => {
                    let own = std::mem::take(&mut records);
                    self.take(&header, own, (start, size))?;
                }
            }
            at = end.ok_or_else(|| LayoutError::Cut(self.whole.path.clone()))?;
        }
        Ok(())
    }

    /// The header at this place; `None`: the archive ends.
    fn header(&self, at: u64) -> Result<Option<Header>, LayoutError> {
        if at >= self.whole.size {
            return Ok(None);
        }
        let mut header = Header::new_old();
        let read = self.whole.file.read_exact_at(header.as_mut_bytes(), at);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof if at > 0 => LayoutError::Cut(self.whole.path.clone()),
            io::ErrorKind::UnexpectedEof => self.no_tar("it is too short"),
            _ => LayoutError::io(&self.whole.path, &error),
        })?;
        let bytes = header.as_bytes();
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        // The sum counts its own field as blanks.
        let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
        let expected = sum(&bytes[..148]) + sum(&bytes[156..]) + 8 * u32::from(b' ');
        if header.cksum().ok() != Some(expected) {
            return Err(self.no_tar("a header does not have its checksum"));
        }
        Ok(Some(header))
    }

    /// Notes a file or a link.
    fn take(&mut self, header: &Header, records: Records, place: (u64, u64)) -> Result<(), LayoutError> {
        let name = records.name.unwrap_or_else(|| header.path_bytes().into_owned());
        let name = plain(&name);
        let kind = header.entry_type();
        let length = match kind {
            EntryType::Regular | EntryType::Continuous => {
                let length = name.len();
                self.files.insert(name, place);
                length
            }
            EntryType::Symlink | EntryType::Link => {
                let to = records
                    .link
                    .or_else(|| Some(header.link_name_bytes()?.into_owned()));
                let to = to.unwrap_or_default();
                let to = match kind {
                    EntryType::Symlink => {
                        let directory = name.rsplit_once('/').map_or("", |(directory, _)| directory);
                        plain(&[directory.as_bytes(), b"/", &to].concat())
                    }
                    _ => plain(&to),
                };
                let length = name.len() + to.len();
                self.links.insert(name, to);
                length
            }
            _ => 0,
        };
        self.names += length;
        if self.files.len() + self.links.len() > MOST_ENTRIES || self.names > MOST_NAMES {
            let reason = "it has more files than any image".to_owned();
            return Err(LayoutError::no_image(&self.whole.path, reason));
        }
        Ok(())
    }

    /// The text of an entry that belongs to the next one, without the zero at its end.
    fn text(&self, start: u64, size: u64) -> Result<Vec<u8>, LayoutError> {
        let mut text = self.record(start, size)?;
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        text.truncate(end);
        Ok(text)
    }

    fn record(&self, start: u64, size: u64) -> Result<Vec<u8>, LayoutError> {
        if size > MOST_RECORDS {
            return Err(self.no_tar(&format!(
                "it has a name or record of {size} bytes, more than any image has"
            )));
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
        let read = self.whole.file.read_exact_at(&mut bytes, start);
        read.map_err(|error| LayoutError::io(&self.whole.path, &error))?;
        Ok(bytes)
    }

    fn no_tar(&self, why: &str) -> LayoutError {
        LayoutError::no_image(&self.whole.path, format!("it is no tar ({why})"))
    }

    pub(super) fn path(&self) -> &Path {
        &self.whole.path
    }

    /// The file of this name, or the one to which a link of this name leads.
    pub(super) fn find(&self, name: &str) -> Option<Part> {
        let mut name = plain(name.as_bytes());
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

impl Records {
    /// Reads records of PAX: `30 mtime=1350244992.023960108\n`.
    fn take(&mut self, records: &[u8]) {
        let mut rest = records;
        while let Some(space) = rest.iter().position(|byte| *byte == b' ') {
            let length = std::str::from_utf8(&rest[..space]);
            let length = length.ok().and_then(|length| length.parse::<usize>().ok());
            let Some(record) = length.and_then(|length| rest.get(space + 1..length)) else {
                return;
            };
            rest = &rest[space + 1 + record.len()..];
            let record = record.strip_suffix(b"\n").unwrap_or(record);
            let Some(equals) = record.iter().position(|byte| *byte == b'=') else {
                continue;
            };
            let value = record[equals + 1..].to_vec();
            match &record[..equals] {
                b"path" => self.name = Some(value),
                b"linkpath" => self.link = Some(value),
                b"size" => self.size = String::from_utf8(value).ok().and_then(|size| size.parse().ok()),
                _ => {}
            }
        }
    }
}

/// Whether an entry says something about the next one.
fn is_of_records(kind: EntryType) -> bool {
    matches!(
        kind,
        EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader | EntryType::XGlobalHeader
    )
}

/// The name without `.` and `..`; a tar names files from its own root.
fn plain(name: &[u8]) -> String {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

    let mut parts: Vec<&str> = Vec::new();
    for part in Path::new(OsStr::from_bytes(name)).components() {
        match part {
            Component::Normal(part) => parts.extend(part.to_str()),
            Component::ParentDir => _ = parts.pop(),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn header(kind: EntryType, name: &str, size: u64) -> Vec<u8> {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_path(name).unwrap();
        header.set_size(size);
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    fn open(bytes: &[u8]) -> Result<Archive, LayoutError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        Archive::open(Part::whole(file.path())?.unwrap())
    }

    #[test]
    fn long_names_and_links_are_found() {
        let mut tar = tar::Builder::new(Vec::new());
        let long = format!("{}/file", "directory/".repeat(30));
        let mut add = |name: &str, content: &str| {
            let mut header = Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_cksum();
            tar.append_data(&mut header, name, content.as_bytes()).unwrap();
        };
        add(&long, "long");
        add("./short", "short");
        let mut link = Header::new_gnu();
        link.set_entry_type(EntryType::Symlink);
        link.set_size(0);
        tar.append_link(&mut link, "directory/link", "../short").unwrap();
        tar.append_pax_extensions([("path", "by/pax".as_bytes()), ("size", b"3".as_slice())])
            .unwrap();
        let mut bytes = tar.into_inner().unwrap();
        bytes.truncate(bytes.len() - 1024);
        bytes.extend(header(EntryType::Regular, "ignored", 0));
        bytes.extend(b"pax");
        bytes.extend([0; 509]);
        let archive = open(&bytes).unwrap();
        let read = |name: &str| archive.find(name).map(|part| part.read(100).unwrap());
        assert_eq!(read(&long).as_deref(), Some(&b"long"[..]));
        assert_eq!(read("directory/link").as_deref(), Some(&b"short"[..]));
        assert_eq!(read("by/pax").as_deref(), Some(&b"pax"[..]));
        assert_eq!(read("ignored"), None);
    }

    #[test]
    fn a_name_that_would_fill_the_memory_is_refused_before_it_is_read() {
        for kind in [
            EntryType::GNULongName,
            EntryType::XHeader,
            EntryType::XGlobalHeader,
        ] {
            // A file with holes has the size that its header claims, and takes no room.
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&header(kind, "name", 8 << 30)).unwrap();
            file.as_file().set_len((8 << 30) + 4096).unwrap();
            let opened = Archive::open(Part::whole(file.path()).unwrap().unwrap());
            let error = opened.unwrap_err().to_string();
            assert!(error.contains("more than any image has"), "{kind:?}: {error}");
        }
    }

    #[test]
    fn what_is_cut_or_no_tar_is_told_apart() {
        let mut tar = header(EntryType::Regular, "file", 600);
        assert!(matches!(open(&tar), Err(LayoutError::Cut(_))));
        tar.extend([1; 1024]);
        assert!(open(&tar).is_ok(), "an archive may end with the file");
        tar.extend([1; 100]);
        assert!(matches!(open(&tar), Err(LayoutError::Cut(_))));
        assert!(
            open(&[b'x'; 2000])
                .unwrap_err()
                .to_string()
                .contains("it is no tar")
        );
    }
}
