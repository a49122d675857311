//! The table of contents of an eStargz layer: what it holds, and where, so that a part of the layer is enough.
//!
//! Such a layer is a gzip of a tar, of which each file begins a member of the gzip. The last bytes say where the member with the table
//! begins (`docs/estargz.md` of the stargz snapshotter). The table is as good as the manifest, which has its digest; each piece of a file
//! has one in the table.

use std::{
    collections::HashMap,
    io::{self, Read},
    ops::Range,
};

use jiff::Timestamp;
use serde::Deserialize;

use crate::{Entry, Error, Kind, Result, clean};

/// The annotation of a layer, in the manifest, that holds the digest of its table of contents.
pub const TABLE_DIGEST: &str = "containerd.io/snapshot/stargz/toc.digest";

/// Bytes at the end of a layer that say where its table of contents begins.
pub const FOOTER: u64 = 51;

/// The most bytes of a table of contents, as it is stored and unpacked: that of some hundred thousand files.
pub const MOST_BYTES: u64 = 64 << 20;

/// Name of the file that is the table.
const NAME: &str = "stargz.index.json";

/// Where the extra field of the footer begins: behind the header of gzip, the length, and the identification of the field.
const EXTRA: usize = 16;

/// Digits of the place of the table in the footer.
const DIGITS: usize = 16;

/// A table of contents.
#[derive(Debug)]
pub struct Contents {
    entries: Vec<Entry>,
    /// The pieces of each file that is not empty, by its path
    pieces: HashMap<String, Vec<Piece>>,
}

/// A part of a file, in one member of the gzip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Bytes of the layer that hold it
    pub stored: Range<u64>,
    /// Bytes that come before it when these are unpacked
    pub skipped: u64,
    /// Bytes of the file
    pub size: u64,
    /// The digest of these, `sha256:…`
    pub digest: String,
}

/// Where the table of contents of a layer begins, by the [last bytes](FOOTER) of the layer; `None`: these name no place.
pub fn begin_of_table(footer: &[u8]) -> Option<u64> {
    let named = footer.get(EXTRA..)?;
    let (digits, rest) = named.split_at_checked(DIGITS)?;
    let is_footer = footer.len() as u64 == FOOTER
        && footer.starts_with(&[0x1f, 0x8b, 8, 4])
        && footer.get(10..EXTRA) == Some(&[26, 0, b'S', b'G', 22, 0])
        && rest.starts_with(b"STARGZ");
    let digits = std::str::from_utf8(digits).ok().filter(|_| is_footer)?;
    u64::from_str_radix(digits, 16).ok()
}

/// The text of the table in `stored`, the bytes of the layer from its begin to the footer. Its digest is to be compared before it is
/// [read](Contents::read). Blocks.
///
/// # Errors
///
/// When the bytes hold no table, or one that is too long.
pub fn table(stored: &[u8]) -> Result<Vec<u8>> {
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(stored));
    let first = archive.entries()?.next();
    let mut file = first.ok_or(Error::Contents("it is empty"))??;
    if &*file.path_bytes() != NAME.as_bytes() {
        return Err(Error::Contents("it has another name"));
    }
    if file.size() > MOST_BYTES {
        return Err(Error::Contents("it has more than 64 MiB"));
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(text)
}

/// The bytes that the [stored](Piece::stored) bytes of a piece unpack to.
pub fn unpacked<'a>(stored: impl Read + 'a) -> impl Read + 'a {
    flate2::read::MultiGzDecoder::new(stored)
}

impl Contents {
    /// Reads the `text` of the table that begins at `begin` in its layer. Blocks.
    ///
    /// # Errors
    ///
    /// When it is no such table.
    pub fn read(text: &[u8], begin: u64) -> Result<Self> {
        let table: Table = serde_json::from_slice(text).map_err(io::Error::from)?;
        if table.version != 1 {
            return Err(Error::Contents("its version is not 1"));
        }
        let mut places: Vec<u64> = table.entries.iter().map(|row| row.offset).collect();
        places.push(begin);
        places.sort_unstable();
        places.dedup();
        let mut contents = Self {
            entries: Vec::new(),
            pieces: HashMap::new(),
        };
        let mut sizes: HashMap<String, u64> = HashMap::new();
        for row in table.entries {
            let Some(path) = clean(&row.name) else { continue };
            let (is_piece, is_first) = (row.is_piece(), row.kind != "chunk");
            if is_first {
                // A later entry of the same path replaces the earlier one.
                contents.pieces.remove(&path);
                sizes.insert(path.clone(), row.size);
            }
            if is_piece {
                let size = sizes.get(&path).copied().unwrap_or_default();
                let piece = row.piece(size, &places)?;
                contents.pieces.entry(path).or_default().push(piece);
            }
            if is_first {
                contents.entries.extend(row.entry());
            }
        }
        for (path, pieces) in &contents.pieces {
            let whole = pieces
                .iter()
                .try_fold(0_u64, |sum, piece| sum.checked_add(piece.size));
            if whole != sizes.get(path).copied() {
                return Err(Error::Contents("a file is not the sum of its pieces"));
            }
        }
        // It is a file of the layer as well, and names itself nowhere.
        contents.entries.push(Entry {
            path: NAME.to_owned(),
            kind: Kind::File,
            size: text.len() as u64,
            mode: 0o444,
            user: 0,
            group: 0,
            modified: 0,
            link: None,
        });
        Ok(contents)
    }

    /// The entries of the layer, in their order.
    pub fn take_entries(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries)
    }

    /// The pieces of the file at `path`, in their order; none of an empty file. `None`: they are not known.
    pub fn pieces(&self, path: &str, size: u64) -> Option<&[Piece]> {
        match self.pieces.get(path) {
            Some(pieces) => Some(pieces),
            None if size == 0 => Some(&[]),
            None => None,
        }
    }
}

#[derive(Deserialize)]
struct Table {
    version: u64,
    entries: Vec<Row>,
}

/// An entry of the table: that of a file, or one more piece of the file before it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    size: u64,
    #[serde(default, rename = "modtime")]
    modified: String,
    #[serde(default)]
    link_name: String,
    #[serde(default)]
    mode: u32,
    #[serde(default, rename = "uid")]
    user: u64,
    #[serde(default, rename = "gid")]
    group: u64,
    #[serde(default)]
    offset: u64,
    #[serde(default)]
    inner_offset: u64,
    #[serde(default)]
    chunk_offset: u64,
    #[serde(default)]
    chunk_size: u64,
    #[serde(default)]
    chunk_digest: String,
}

impl Row {
    fn is_piece(&self) -> bool {
        self.kind == "chunk" || self.kind == "reg" && self.size > 0
    }

    /// The piece that this is of a file of `whole` bytes, where members of the gzip begin at `places`.
    fn piece(&self, whole: u64, places: &[u64]) -> Result<Piece> {
        let next = places.partition_point(|place| *place <= self.offset);
        let end = places.get(next).copied();
        let end = end.ok_or(Error::Contents("a file begins behind it"))?;
        let size = match self.chunk_size {
            0 => whole.checked_sub(self.chunk_offset),
            size => Some(size),
        };
        Ok(Piece {
            stored: self.offset..end,
            skipped: self.inner_offset,
            size: size.ok_or(Error::Contents("a piece begins behind its file"))?,
            digest: self.chunk_digest.clone(),
        })
    }

    fn entry(self) -> Option<Entry> {
        let kind = match &*self.kind {
            "dir" => Kind::Directory,
            "reg" => Kind::File,
            "symlink" => Kind::Symlink,
            "hardlink" => Kind::Hardlink,
            "char" => Kind::CharacterDevice,
            "block" => Kind::BlockDevice,
            "fifo" => Kind::Fifo,
            _ => return None,
        };
        let modified = self.modified.parse::<Timestamp>().map(Timestamp::as_second);
        Some(Entry {
            path: clean(&self.name)?,
            size: if kind == Kind::File { self.size } else { 0 },
            mode: self.mode & 0o7777,
            user: self.user,
            group: self.group,
            modified: modified
                .ok()
                .and_then(|time| time.try_into().ok())
                .unwrap_or_default(),
            link: matches!(kind, Kind::Symlink | Kind::Hardlink).then_some(self.link_name),
            kind,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};
    use serde_json::json;

    use super::*;

    fn footer(begin: u64) -> Vec<u8> {
        let mut footer = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 26, 0, b'S', b'G', 22, 0];
        footer.extend(format!("{begin:016x}STARGZ").bytes());
        footer.extend([1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]);
        footer
    }

    fn packed(name: &str, text: &[u8]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        tar.append_data(&mut header, name, text).unwrap();
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&tar.into_inner().unwrap()).unwrap();
        gzip.finish().unwrap()
    }

    #[test]
    fn the_last_bytes_say_where_the_table_begins() {
        assert_eq!(begin_of_table(&footer(0x1234)), Some(0x1234));
        assert_eq!(begin_of_table(&footer(u64::MAX)), Some(u64::MAX));
        let whole = footer(7);
        for length in 0..whole.len() {
            assert_eq!(begin_of_table(&whole[..length]), None, "{length}");
        }
        for at in [0, 3, 10, 12, 14, 17, 32, 37] {
            let mut damaged = whole.clone();
            damaged[at] = b'z';
            assert_eq!(begin_of_table(&damaged), None, "{at}");
        }
    }

    #[test]
    fn only_a_table_is_unpacked() {
        assert_eq!(table(&packed(NAME, b"{}")).unwrap(), b"{}");
        table(&packed("other", b"{}")).unwrap_err();
        table(b"").unwrap_err();
        table(&[0; 2000]).unwrap_err();
    }

    #[test]
    fn a_table_tells_entries_and_pieces() {
        let text = json!({"version": 1, "entries": [
            {"name": "bin/", "type": "dir", "mode": 0o40755, "modtime": "1970-01-01T00:00:07Z"},
            {"name": "bin/tool", "type": "reg", "size": 10, "mode": 0o100_755, "uid": 3, "gid": 4, "offset": 100, "chunkSize": 6, "chunkDigest": "sha256:a"},
            {"name": "bin/tool", "type": "chunk", "offset": 150, "chunkOffset": 6, "chunkDigest": "sha256:b"},
            {"name": "bin/other", "type": "reg", "size": 2, "offset": 150, "innerOffset": 4, "chunkDigest": "sha256:c"},
            {"name": "empty", "type": "reg"},
            {"name": "sh", "type": "symlink", "linkName": "bin/tool"},
            {"name": "../out", "type": "reg", "size": 1, "offset": 150},
        ]})
        .to_string();
        let mut contents = Contents::read(text.as_bytes(), 200).unwrap();
        let piece = |stored: Range<u64>, skipped, size, digest: &str| Piece {
            stored,
            skipped,
            size,
            digest: digest.to_owned(),
        };
        let tool = [
            piece(100..150, 0, 6, "sha256:a"),
            piece(150..200, 0, 4, "sha256:b"),
        ];
        assert_eq!(contents.pieces("bin/tool", 10).unwrap(), tool);
        assert_eq!(
            contents.pieces("bin/other", 2).unwrap(),
            [piece(150..200, 4, 2, "sha256:c")]
        );
        assert_eq!(contents.pieces("empty", 0).unwrap(), []);
        assert_eq!(contents.pieces("unknown", 1), None);
        let entries = contents.take_entries();
        let names: Vec<&str> = entries.iter().map(|entry| &*entry.path).collect();
        assert_eq!(
            names,
            ["bin", "bin/tool", "bin/other", "empty", "sh", "stargz.index.json"]
        );
        assert_eq!((entries[0].mode, entries[0].modified), (0o755, 7));
        assert_eq!((entries[1].size, entries[1].user, entries[1].group), (10, 3, 4));
        assert_eq!(entries[4].link.as_deref(), Some("bin/tool"));
    }

    #[test]
    fn a_table_that_contradicts_itself_is_none() {
        let file = |extra: serde_json::Value| {
            let mut file = json!({"name": "a", "type": "reg", "size": 10, "offset": 1});
            file.as_object_mut()
                .unwrap()
                .extend(extra.as_object().unwrap().clone());
            json!({"version": 1, "entries": [file]}).to_string()
        };
        Contents::read(file(json!({})).as_bytes(), 9).unwrap();
        for wrong in [
            file(json!({"offset": 9})),
            file(json!({"chunkSize": 6})),
            file(json!({"chunkOffset": 11})),
            json!({"version": 2, "entries": []}).to_string(),
            json!({"entries": []}).to_string(),
            "no JSON".to_owned(),
        ] {
            Contents::read(wrong.as_bytes(), 9).unwrap_err();
        }
    }
}
