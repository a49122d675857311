//! The documents of a backup: snapshots and repositories, as JSON.

use std::{collections::HashSet, time::SystemTime};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use wharf_oci::{Algorithm, Digest};

use super::error::{Error, Result};
use crate::{transfer::digest_of, tree::parallel::in_background};

/// What every snapshot says of itself.
const FORMAT: &str = "wharf backup";
/// The version of the format that is written, and the newest that is read.
const VERSION: u32 = 1;

/// A registry at one time, as a backup has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    format: String,
    version: u32,
    /// When it was taken.
    pub created: Time,
    /// The backup that has the blobs which this file leaves out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseName>,
    /// The repositories, in ascending order of their names.
    pub repositories: Vec<SavedRepository>,
    /// Files of the server.
    pub settings: Vec<SavedFile>,
    /// How many images, tags and repositories were left out, because the source is damaged.
    pub left_out: u64,
    /// Blobs of a file whose entries have other bytes than their names say, because the source was damaged. No image needs them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<Digest>,
}

/// A backup that another one builds on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseName {
    /// Its snapshot.
    pub snapshot: String,
    /// The file name that it had.
    pub name: String,
}

/// A repository of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedRepository {
    /// Name of the repository.
    pub name: String,
    /// Digest of its document.
    pub document: Digest,
    /// How many tags it has.
    pub tags: u64,
    /// How many manifests it has.
    pub manifests: u64,
}

/// A file of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedFile {
    /// What it is for the server.
    pub kind: FileKind,
    /// Its name without directories, or its key in the store.
    pub name: String,
    /// Digest of its content.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// What a file is for the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// The `config.yml`
    Configuration,
    /// The password file
    Passwords,
    /// The file of access rules
    Rules,
    /// An object of the store that decides about rights: keys of tokens, robot tokens
    Store,
}

/// The pointers of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryDocument {
    /// Name of the repository.
    pub name: String,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// Its manifests.
    pub manifests: Vec<Manifest>,
    /// Its layers and configurations.
    pub layers: Vec<Link>,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// Its name.
    pub name: String,
    /// The manifest that it points at.
    pub digest: Digest,
    /// When its link was written.
    pub time: Time,
    /// The manifests at which it points, or pointed.
    pub history: Vec<Past>,
}

/// A manifest at which a tag pointed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// Its digest.
    pub digest: Digest,
    /// When the tag last came to point at it.
    pub time: Time,
}

/// A link from a repository to bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Digest of the bytes.
    pub digest: Digest,
    /// Where the link lies, `<algorithm>/<hex>`, if that is not the digest of the bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// When it was written.
    pub time: Time,
}

/// A manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its link.
    #[serde(flatten)]
    pub link: Link,
    /// Its size in bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: String,
    /// What it names and the repository has: layers, configuration, children.
    pub needs: Vec<Digest>,
}

impl Link {
    /// The digest by which clients know it; `None`: no client can.
    pub fn name(&self) -> Option<Digest> {
        match &self.path {
            None => Some(self.digest),
            Some(path) => path.replacen('/', ":", 1).parse().ok(),
        }
    }

    /// The path below the directory of its kind.
    pub(super) fn place(&self) -> String {
        match &self.path {
            None => format!("{}/{}/link", self.digest.algorithm(), self.digest.hex()),
            Some(path) => format!("{path}/link"),
        }
    }
}

impl RepositoryDocument {
    /// The digests of all bytes that it needs.
    pub(super) fn bytes(&self) -> impl Iterator<Item = &Digest> {
        let manifests = self.manifests.iter().map(|manifest| &manifest.link.digest);
        manifests.chain(self.layers.iter().map(|layer| &layer.digest))
    }

    /// The pointers to some of `digests`, each with the time at which it was written.
    pub(super) fn pointers_to(&self, digests: &HashSet<Digest>) -> HashSet<(Digest, Time)> {
        let tags = self.tags.iter().map(|tag| (tag.digest, tag.time));
        let links = self
            .manifests
            .iter()
            .map(|manifest| &manifest.link)
            .chain(&self.layers);
        let links = links.map(|link| (link.digest, link.time));
        tags.chain(links)
            .filter(|(digest, _)| digests.contains(digest))
            .collect()
    }
}

impl Snapshot {
    pub(super) fn new(created: Time) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            created,
            base: None,
            repositories: Vec::new(),
            settings: Vec::new(),
            left_out: 0,
            damaged: Vec::new(),
        }
    }

    /// Its bytes, and the name that it has with them.
    ///
    /// # Errors
    ///
    /// When the work did not end.
    pub(super) async fn write(self) -> Result<(String, Bytes)> {
        let time = self.created.compact();
        let (digest, bytes) = write(self).await?;
        Ok((format!("{time}-{}", digest.hex()), bytes))
    }

    /// Reads the snapshot `id`.
    ///
    /// # Errors
    ///
    /// When the bytes are not those that were written, or of a newer format.
    pub(super) async fn read(id: &str, bytes: Bytes) -> Result<Self> {
        let digest = digest_of(Algorithm::Sha256, bytes.clone()).await?;
        let damaged = |why: &str| {
            Error::refused(format!(
                "the snapshot `{id}` is damaged: {why}; use another backup, or another snapshot"
            ))
        };
        if !id.ends_with(digest.hex().as_str()) {
            return Err(damaged(
                "its bytes do not have the digest that its name ends with",
            ));
        }
        let snapshot: Self = parse(bytes).await?.map_err(|error| damaged(&error))?;
        if snapshot.format != FORMAT || snapshot.version > VERSION {
            return Err(Error::refused(format!(
                "the snapshot `{id}` is of version {} of the format `{}`, and this program reads `{FORMAT}` up to {VERSION}; use a newer \
                 version of it",
                snapshot.version, snapshot.format
            )));
        }
        Ok(snapshot)
    }
}

/// A document as bytes, and their SHA-256.
///
/// # Errors
///
/// When the work did not end, or the document cannot be written as JSON.
pub(super) async fn write(document: impl Serialize + Send + 'static) -> Result<(Digest, Bytes)> {
    let work = move || {
        let bytes = Bytes::from(serde_json::to_vec(&document).map_err(|error| error.to_string())?);
        Ok((Digest::sha256_of(&bytes), bytes))
    };
    in_background(work).await?.map_err(Error::Refused)
}

/// Reads a document, whose digest is right.
///
/// # Errors
///
/// When the work did not end; the inner error is that of the JSON.
pub(super) async fn parse<T: de::DeserializeOwned + Send + 'static>(
    bytes: Bytes,
) -> Result<Result<T, String>> {
    let work = move || serde_json::from_slice(&bytes).map_err(|error| error.to_string());
    Ok(in_background(work).await?)
}

/// A point in time, in JSON as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub SystemTime);

impl Time {
    fn timestamp(self) -> Timestamp {
        Timestamp::try_from(self.0).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The form in names of snapshots, which sorts by time: `20261129T221446.123Z`.
    fn compact(self) -> String {
        self.timestamp().strftime("%Y%m%dT%H%M%S.%3fZ").to_string()
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.timestamp().fmt(f)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let timestamp: Timestamp = text.parse().map_err(de::Error::custom)?;
        Ok(Self(timestamp.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_snapshot_is_read_as_it_was_written_and_not_when_a_bit_differs() {
        let mut snapshot = Snapshot::new(Time(
            SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        ));
        snapshot.settings.push(SavedFile {
            kind: FileKind::Passwords,
            name: "htpasswd".to_owned(),
            digest: Digest::sha256_of(b"a"),
            size: 1,
        });
        let (id, bytes) = snapshot.clone().write().await.unwrap();
        assert!(id.starts_with("20231114T221320.123Z-"), "{id}");
        assert_eq!(Snapshot::read(&id, bytes.clone()).await.unwrap(), snapshot);
        let mut flipped = bytes.to_vec();
        flipped[20] ^= 1;
        let error = Snapshot::read(&id, flipped.into()).await.unwrap_err();
        assert!(error.to_string().contains("is damaged"), "{error}");

        snapshot.version = 2;
        let (id, bytes) = snapshot.write().await.unwrap();
        let error = Snapshot::read(&id, bytes).await.unwrap_err();
        assert!(error.to_string().contains("use a newer"), "{error}");
    }

    #[test]
    fn times_are_kept_to_the_nanosecond() {
        let time = Time(SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789));
        let text = serde_json::to_string(&time).unwrap();
        assert_eq!(serde_json::from_str::<Time>(&text).unwrap(), time, "{text}");
    }
}
