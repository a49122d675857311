//! One layer, entry by entry.

use std::io::{self, BufReader, Read};

use crate::{Error, Result, clean};

/// Bytes of a name, of the target of a link, or of the extended attributes of one entry.
const NAME_LIMIT: u64 = 1 << 20;

/// Bytes that tell how a layer is compressed.
const MAGIC: usize = 6;

/// Bytes that are read ahead of the decompression.
const BUFFER: usize = 128 << 10;

/// How much a zstd stream may make this process remember: 128 MiB, the most that `zstd -19 --long` needs.
const ZSTD_WINDOW_LOG: u32 = 27;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file with its bytes
    File,
    /// A directory
    Directory,
    /// A symbolic link
    Symlink,
    /// Another name of a file
    Hardlink,
    /// A character device
    CharacterDevice,
    /// A block device
    BlockDevice,
    /// A named pipe
    Fifo,
}

impl Kind {
    /// Name of the kind in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
            Self::Hardlink => "hardlink",
            Self::CharacterDevice => "character-device",
            Self::BlockDevice => "block-device",
            Self::Fifo => "fifo",
        }
    }
}

/// One entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path from the root of the image, without a leading slash; bytes that are no UTF-8 are replaced
    pub path: String,
    /// What it is
    pub kind: Kind,
    /// Bytes of a file, 0 for everything else
    pub size: u64,
    /// Permission bits, with setuid, setgid and sticky bit
    pub mode: u32,
    /// Number of the owner
    pub user: u64,
    /// Number of the group
    pub group: u64,
    /// When it was modified, in seconds since 1970
    pub modified: u64,
    /// Where a link leads, as it is written; for a hard link the path of the other name
    pub link: Option<String>,
}

/// The bytes of an entry that is a file.
pub type Content<'a> = &'a mut dyn Read;

/// Whether to read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go on with the next entry.
    Continue,
    /// The rest of the layer is not needed.
    Stop,
}

/// Goes through the layer that `reader` gives, a tar that may be compressed with gzip or zstd, which its first bytes tell. `visit`
/// gets each entry in order, with the bytes of files; it need not read them. Entries with a path out of the image are left out.
/// Blocks.
///
/// # Errors
///
/// When the bytes are no such layer, do not come, or have a name that is too long; and the errors of `visit`.
pub fn read(reader: impl Read, mut visit: impl FnMut(Entry, Content<'_>) -> Result<Flow>) -> Result<()> {
    let mut archive = tar::Archive::new(decompressed(reader)?);
    let mut next = Extended::default();
    for raw in archive.entries()?.raw(true) {
        let mut raw = raw?;
        let Some(kind) = kind(raw.header().entry_type()) else {
            next.take(&mut raw)?;
            continue;
        };
        let attributes = std::mem::take(&mut next);
        let Some(entry) = entry(&raw, kind, attributes) else {
            continue;
        };
        if visit(entry, &mut raw)? == Flow::Stop {
            break;
        }
    }
    Ok(())
}

/// The tar in `reader`.
fn decompressed<'a>(mut reader: impl Read + 'a) -> Result<Box<dyn Read + 'a>> {
    let mut start = Vec::new();
    reader.by_ref().take(MAGIC as u64).read_to_end(&mut start)?;
    let is_gzip = start.starts_with(&[0x1f, 0x8b]);
    let is_zstd = start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) || is_skippable(&start);
    let unsupported = [
        (&b"BZh"[..], "bzip2"),
        (&[0xfd, b'7', b'z', b'X', b'Z', 0], "xz"),
        (&[4, 0x22, 0x4d, 0x18], "lz4"),
        (&b"PK\x03\x04"[..], "zip"),
    ];
    if let Some((_, name)) = unsupported.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Err(Error::Compression(name));
    }
    let reader = BufReader::with_capacity(BUFFER, io::Cursor::new(start).chain(reader));
    if is_gzip {
        return Ok(Box::new(flate2::bufread::MultiGzDecoder::new(reader)));
    }
    if is_zstd {
        let mut decoder = zstd::Decoder::with_buffer(reader)?;
        decoder.window_log_max(ZSTD_WINDOW_LOG)?;
        return Ok(Box::new(decoder));
    }
    Ok(Box::new(reader))
}

/// Whether a zstd stream begins with a frame to be skipped, as those with a table of contents may.
fn is_skippable(start: &[u8]) -> bool {
    matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// What the entries of `kind` are; `None` for those that describe the next entry.
fn kind(kind: tar::EntryType) -> Option<Kind> {
    use tar::EntryType;
    Some(match kind {
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Symlink,
        EntryType::Link => Kind::Hardlink,
        EntryType::Char => Kind::CharacterDevice,
        EntryType::Block => Kind::BlockDevice,
        EntryType::Fifo => Kind::Fifo,
        EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader | EntryType::XGlobalHeader => {
            return None;
        }
        _ => Kind::File,
    })
}

/// What was said ahead of an entry that does not fit into its header.
#[derive(Debug, Default)]
struct Extended {
    path: Option<String>,
    link: Option<String>,
    size: Option<u64>,
    user: Option<u64>,
    group: Option<u64>,
    modified: Option<u64>,
}

impl Extended {
    /// Takes what `raw` says of the next entry.
    fn take(&mut self, raw: &mut tar::Entry<'_, impl Read>) -> Result<()> {
        let kind = raw.header().entry_type();
        if kind.is_pax_global_extensions() {
            return Ok(());
        }
        let size = raw.header().entry_size()?;
        if size > NAME_LIMIT {
            return Err(Error::LongName(size));
        }
        let mut bytes = Vec::new();
        raw.read_to_end(&mut bytes)?;
        let text = |bytes: &[u8]| {
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
        };
        if kind.is_gnu_longname() {
            self.path = text(&bytes);
            return Ok(());
        }
        if kind.is_gnu_longlink() {
            self.link = text(&bytes);
            return Ok(());
        }
        for attribute in tar::PaxExtensions::new(&bytes) {
            let attribute = attribute?;
            let value = attribute.value_bytes();
            let number = || {
                let whole = value.split(|byte| *byte == b'.').next()?;
                std::str::from_utf8(whole).ok()?.parse().ok()
            };
            match attribute.key_bytes() {
                b"path" | b"GNU.sparse.name" => self.path = text(value),
                b"linkpath" => self.link = text(value),
                b"size" | b"GNU.sparse.realsize" => self.size = number(),
                b"uid" => self.user = number(),
                b"gid" => self.group = number(),
                b"mtime" => self.modified = number(),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The entry of a header, with what was said ahead of it; `None` when it is out of the image.
fn entry(raw: &tar::Entry<'_, impl Read>, kind: Kind, ahead: Extended) -> Option<Entry> {
    let header = raw.header();
    let path = ahead
        .path
        .unwrap_or_else(|| String::from_utf8_lossy(&header.path_bytes()).into_owned());
    let link = || {
        let short = header.link_name_bytes();
        let short = short.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        ahead.link.or(short)
    };
    let is_link = matches!(kind, Kind::Symlink | Kind::Hardlink);
    let sparse = header.as_gnu().filter(|_| header.entry_type().is_gnu_sparse());
    let size = ahead
        .size
        .or_else(|| sparse.and_then(|sparse| sparse.real_size().ok()))
        .or_else(|| header.entry_size().ok());
    // In old archives a directory is a file with a slash at the end of its name.
    let kind = match kind {
        Kind::File if path.ends_with('/') => Kind::Directory,
        kind => kind,
    };
    Some(Entry {
        path: clean(&path)?,
        size: size.filter(|_| kind == Kind::File).unwrap_or_default(),
        mode: header.mode().unwrap_or_default() & 0o7777,
        user: ahead.user.or_else(|| header.uid().ok()).unwrap_or_default(),
        group: ahead.group.or_else(|| header.gid().ok()).unwrap_or_default(),
        modified: ahead.modified.or_else(|| header.mtime().ok()).unwrap_or_default(),
        link: is_link.then(link).flatten(),
        kind,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn header(kind: tar::EntryType, size: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o100_755);
        header.set_mtime(7);
        header
    }

    fn archive(append: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        append(&mut builder);
        builder.into_inner().unwrap()
    }

    fn entries(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>> {
        let mut found = Vec::new();
        read(bytes, |entry, content| {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            found.push((entry, bytes));
            Ok(Flow::Continue)
        })?;
        Ok(found)
    }

    fn some_files() -> Vec<u8> {
        archive(|tar| {
            let mut directory = header(tar::EntryType::Directory, 0);
            tar.append_data(&mut directory, "./usr/", io::empty()).unwrap();
            let mut file = header(tar::EntryType::Regular, 5);
            tar.append_data(&mut file, "usr/file", &b"hello"[..]).unwrap();
            let long = format!("usr/{}", "n".repeat(300));
            let mut link = header(tar::EntryType::Symlink, 0);
            tar.append_link(&mut link, &long, "t".repeat(200)).unwrap();
            let mut other = header(tar::EntryType::Link, 0);
            tar.append_link(&mut other, "usr/other", "usr/file").unwrap();
        })
    }

    fn require_some_files(bytes: &[u8]) {
        let found = entries(bytes).unwrap();
        let [(usr, _), (file, content), (link, _), (other, _)] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!(
            (usr.path.as_str(), usr.kind, usr.size),
            ("usr", Kind::Directory, 0)
        );
        assert_eq!((file.path.as_str(), file.size, file.mode), ("usr/file", 5, 0o755));
        assert_eq!((&content[..], file.modified), (&b"hello"[..], 7));
        assert_eq!((link.path.len(), link.kind), (304, Kind::Symlink));
        assert_eq!(link.link.as_ref().map(String::len), Some(200));
        assert_eq!(
            (other.kind, other.link.as_deref()),
            (Kind::Hardlink, Some("usr/file"))
        );
    }

    #[test]
    fn a_layer_is_read_however_it_is_compressed() {
        let tar = some_files();
        require_some_files(&tar);
        let (one, two) = tar.split_at(700);
        let mut gzip = Vec::new();
        // As pigz and eStargz have it: several members.
        for part in [one, two] {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(part).unwrap();
            gzip.extend(encoder.finish().unwrap());
        }
        require_some_files(&gzip);
        let mut zstd = vec![0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        zstd.extend(zstd::encode_all(&tar[..], 1).unwrap());
        require_some_files(&zstd);
        let xz = entries(b"\xfd7zXZ\0 and more").unwrap_err();
        assert!(xz.to_string().contains("compressed with xz"), "{xz}");
    }

    #[test]
    fn attributes_of_pax_count() {
        let tar = archive(|tar| {
            let long = "d/".repeat(200) + "file";
            let size = u64::from(u32::MAX).to_string();
            tar.append_pax_extensions([
                ("path", long.as_bytes()),
                ("mtime", &b"12.5"[..]),
                ("uid", size.as_bytes()),
            ])
            .unwrap();
            let mut file = header(tar::EntryType::Regular, 1);
            tar.append_data(&mut file, "short", &b"x"[..]).unwrap();
            let mut next = header(tar::EntryType::Regular, 0);
            tar.append_data(&mut next, "next", io::empty()).unwrap();
        });
        let found = entries(&tar).unwrap();
        let (file, next) = (&found[0].0, &found[1].0);
        assert_eq!(
            (file.path.len(), file.modified, file.user),
            (404, 12, u64::from(u32::MAX))
        );
        assert_eq!((next.path.as_str(), next.user), ("next", 0));
    }

    #[test]
    fn nothing_leads_out_of_the_image() {
        let mut file = header(tar::EntryType::Regular, 0);
        file.as_gnu_mut().unwrap().name[..9].copy_from_slice(b"../../etc");
        file.set_cksum();
        let tar = archive(|tar| tar.append(&file, io::empty()).unwrap());
        assert_eq!(entries(&tar).unwrap(), []);
    }

    #[test]
    fn a_name_that_fills_the_memory_is_refused() {
        let mut name = header(tar::EntryType::GNULongName, 1 << 40);
        name.set_cksum();
        let error = entries(name.as_bytes()).unwrap_err();
        assert!(
            matches!(error, Error::LongName(size) if size == 1 << 40),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_tar_or_is_cut_short_is_an_error() {
        assert!(entries(&[b'x'; 2000]).is_err());
        let tar = some_files();
        assert!(entries(&tar[..1800]).is_err(), "in the middle of a file");
        assert_eq!(entries(&[]).unwrap(), [], "the layer of nothing");
    }

    #[test]
    fn reading_stops_when_enough_is_known() {
        let mut seen = 0;
        read(&some_files()[..], |_, _| {
            seen += 1;
            Ok(if seen == 2 { Flow::Stop } else { Flow::Continue })
        })
        .unwrap();
        assert_eq!(seen, 2);
    }
}
