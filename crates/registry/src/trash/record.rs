//! The record of a deletion: every pointer that went, with its digest and its time.

use std::{fmt, str::FromStr, time::SystemTime};

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use wharf_oci::{Digest, RepoName, Tag};

/// The form of an identifier's time, in UTC: it sorts like the time, and any key can have it.
const TIME: &str = "%Y%m%dT%H%M%S";
/// Length of that form, with a dot and three digits of a second's fraction.
const TIME_LENGTH: usize = "20261129T101500.123".len();

/// Identifier of a record, such as `20261129T101500.123-5e1c09ab`: sorted as texts, the records are in the order of their times.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrashId(Box<str>);

/// A text that is no identifier of a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no identifier of a deletion, which looks like `20261129T101500.123-5e1c09ab`; `wharf trash ls` lists them"
)]
pub struct TrashIdError(String);

impl TrashId {
    /// A new identifier of a record that is made at `time`.
    pub(super) fn new(time: SystemTime, number: u32) -> Self {
        let time = Timestamp::try_from(time).unwrap_or_default();
        let millis = time.subsec_nanosecond().unsigned_abs() / 1_000_000;
        let time = time.to_zoned(TimeZone::UTC).strftime(TIME);
        Self(format!("{time}.{millis:03}-{number:08x}").into())
    }

    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// When the record was made, to the millisecond.
    pub fn time(&self) -> SystemTime {
        time_of(&self.0).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

/// The time at the beginning of an identifier.
fn time_of(text: &str) -> Option<SystemTime> {
    let (time, rest) = (text.get(..TIME_LENGTH)?, text.get(TIME_LENGTH..)?);
    let number = rest.strip_prefix('-')?;
    let is_hex = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    if number.len() != 8 || !number.bytes().all(is_hex) {
        return None;
    }
    let time = jiff::civil::DateTime::strptime(format!("{TIME}%.3f"), time).ok()?;
    let time = time.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some(time.into())
}

impl FromStr for TrashId {
    type Err = TrashIdError;

    fn from_str(text: &str) -> Result<Self, TrashIdError> {
        match time_of(text) {
            Some(_) => Ok(Self(text.into())),
            None => Err(TrashIdError(text.to_owned())),
        }
    }
}

impl fmt::Display for TrashId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What was deleted, in the words of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeletedKind {
    /// One tag or several, maybe with manifests that nothing else needed.
    Tags,
    /// A manifest, with its tags.
    Manifest,
    /// A blob.
    Blob,
    /// Manifests that no tag reached.
    Untagged,
    /// Tags and manifests that the rules of retention do not keep.
    Retention,
    /// A whole repository.
    Repository,
}

/// The record of one deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrashRecord {
    /// Identifier of the record.
    pub id: TrashId,
    /// Account that asked for the deletion; `None` for anonymous requests and for workers.
    pub actor: Option<String>,
    /// Surface through which it came: `distribution`, `administration`, or the name of a worker or a command.
    pub surface: String,
    /// What was deleted.
    pub kind: DeletedKind,
    /// Repository that lost it.
    pub repository: RepoName,
    /// The pointers that went.
    pub pointers: Pointers,
}

/// Pointers of one repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pointers {
    /// Tags, each with its history.
    pub tags: Vec<TrashedTag>,
    /// Links of manifests.
    pub manifests: Vec<TrashedLink>,
    /// Links of layers, which let the repository read a blob.
    pub layers: Vec<TrashedLayer>,
    /// Entries in the histories of tags that stayed.
    pub history: Vec<TrashedEntry>,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrashedTag {
    /// Its name.
    #[serde(with = "text")]
    pub tag: Tag,
    /// What it pointed at.
    pub digest: Digest,
    /// Since when.
    #[serde(with = "time")]
    pub since: SystemTime,
    /// Its history.
    pub history: Vec<TrashedLink>,
}

/// A link that holds its own digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrashedLink {
    /// The digest.
    pub digest: Digest,
    /// When the link was written.
    #[serde(with = "time")]
    pub since: SystemTime,
}

/// A link of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrashedLayer {
    /// Digest by which the repository knows the blob.
    pub digest: Digest,
    /// Digest under which the bytes are stored, if that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Digest>,
    /// When the link was written.
    #[serde(with = "time")]
    pub since: SystemTime,
}

/// An entry in the history of a tag that stayed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrashedEntry {
    /// The tag.
    #[serde(with = "text")]
    pub tag: Tag,
    /// At what it pointed.
    pub digest: Digest,
    /// When it last came to point at it.
    #[serde(with = "time")]
    pub since: SystemTime,
}

impl Pointers {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.manifests.is_empty() && self.layers.is_empty() && self.history.is_empty()
    }

    /// The manifests that the pointers name, in any role; some may be named several times.
    pub(crate) fn named_manifests(&self) -> impl Iterator<Item = Digest> {
        let tags = self.tags.iter().flat_map(|tag| {
            let history = tag.history.iter().map(|past| past.digest);
            history.chain([tag.digest])
        });
        let manifests = self.manifests.iter().map(|manifest| manifest.digest);
        tags.chain(manifests)
            .chain(self.history.iter().map(|entry| entry.digest))
    }
}

/// The form of a record in the store. Another form has another version, so that a program that does not know it keeps it.
#[derive(Debug, Serialize, Deserialize)]
struct Document {
    version: u32,
    #[serde(with = "time")]
    time: SystemTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    surface: String,
    kind: DeletedKind,
    #[serde(with = "text")]
    repository: RepoName,
    #[serde(flatten)]
    pointers: Pointers,
}

const VERSION: u32 = 1;

impl TrashRecord {
    /// The record as it is stored.
    pub(super) fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&Document {
            version: VERSION,
            time: self.id.time(),
            actor: self.actor.clone(),
            surface: self.surface.clone(),
            kind: self.kind,
            repository: self.repository.clone(),
            pointers: self.pointers.clone(),
        })
    }

    /// Reads the record `id`. The error says what is wrong with it.
    pub(super) fn from_json(id: TrashId, bytes: &[u8]) -> Result<Self, String> {
        let document: Document = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if document.version != VERSION {
            return Err(format!(
                "it has the version {}, and this program knows version {VERSION}",
                document.version
            ));
        }
        Ok(Self {
            id,
            actor: document.actor,
            surface: document.surface,
            kind: document.kind,
            repository: document.repository,
            pointers: document.pointers,
        })
    }
}

/// Times in JSON: RFC 3339 in UTC, as precise as the store told them.
mod time {
    use std::time::SystemTime;

    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Timestamp::try_from(*time).unwrap_or_default())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time: Timestamp = text.parse().map_err(D::Error::custom)?;
        Ok(time.into())
    }
}

/// Names and tags in JSON.
mod text {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn identifiers_sort_by_time_and_tell_it() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_000_000_007);
        let (one, later) = (
            TrashId::new(time, 7),
            TrashId::new(time + Duration::from_millis(1), 0),
        );
        assert!(one < later);
        assert_eq!(one.time(), time);
        assert_eq!(one.as_str().parse::<TrashId>().unwrap(), one);
        assert_eq!(one.as_str(), "20261118T110640.007-00000007");
        for text in [
            "",
            "20261118T110640.007",
            "20261318T110640.007-00000007",
            "20261118T110640.007-0000000G",
            "../x",
        ] {
            let error = text.parse::<TrashId>().unwrap_err();
            assert!(error.to_string().contains("trash ls"), "{text}");
        }
    }

    #[test]
    fn a_record_of_another_version_is_not_read() {
        let id = TrashId::new(SystemTime::UNIX_EPOCH, 0);
        let record = TrashRecord {
            id: id.clone(),
            actor: None,
            surface: "distribution".to_owned(),
            kind: DeletedKind::Tags,
            repository: "app".parse().unwrap(),
            pointers: Pointers::default(),
        };
        let json = String::from_utf8(record.to_json().unwrap()).unwrap();
        assert_eq!(TrashRecord::from_json(id.clone(), json.as_bytes()), Ok(record));
        let later = json.replace("\"version\":1", "\"version\":2");
        assert!(
            TrashRecord::from_json(id.clone(), later.as_bytes())
                .unwrap_err()
                .contains("version 2")
        );
        assert!(TrashRecord::from_json(id, &json.as_bytes()[..20]).is_err());
    }
}
