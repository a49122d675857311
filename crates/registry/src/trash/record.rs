//! The record of a deletion: every pointer that went, with its digest and its time.

use std::{fmt, str::FromStr, time::SystemTime};

use jiff::{Timestamp, tz::TimeZone};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use wharf_oci::{Digest, RepoName, Tag};

/// The form of an identifier's time, in UTC: it sorts like the time, and any key can have it.
const TIME: &str = "%Y%m%dT%H%M%S";
/// Length of that form, with a dot and three digits of a second's fraction.
const TIME_LENGTH: usize = "20261129T101500.123".len();
/// Digits of the number.
const NUMBER_LENGTH: usize = 8;
/// Digits of the mark of the repository.
const MARK_LENGTH: usize = 4;

/// Identifier of a record, such as `20261129T101500.123-5e1c09ab-e46f`: the time, a number, and a [mark](TrashId::may_be_of) of the
/// repository. Sorted as texts, the records are in the order of their times.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrashId(Box<str>);

/// A text that is no identifier of a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no identifier of a deletion, which looks like `20261129T101500.123-5e1c09ab-e46f`; `wharf trash ls` lists them"
)]
pub struct TrashIdError(String);

impl TrashId {
    /// A new identifier of a record of the repository `name` that is made at `time`.
    pub(super) fn new(time: SystemTime, number: u32, name: &RepoName) -> Self {
        let time = Timestamp::try_from(time).unwrap_or_default();
        let millis = time.subsec_nanosecond().unsigned_abs() / 1_000_000;
        let time = time.to_zoned(TimeZone::UTC).strftime(TIME);
        let mark = mark_of(name);
        Self(format!("{time}.{millis:03}-{number:08x}-{mark}").into())
    }

    /// Whether the record may be one of the repository `name`. Of others of them only one in 65,536 may, so that records of other
    /// repositories need not be read. Of an identifier without a mark, as former versions made them, it is not known.
    pub(crate) fn may_be_of(&self, name: &RepoName) -> bool {
        let mark = self.0.get(TIME_LENGTH + 1 + NUMBER_LENGTH + 1..);
        mark.is_none_or(|mark| mark == mark_of(name))
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

/// Some digits of the digest of a repository's name.
fn mark_of(name: &RepoName) -> String {
    let digest = Digest::sha256_of(name.as_str().as_bytes());
    digest.hex().as_str().chars().take(MARK_LENGTH).collect()
}

/// The time at the beginning of an identifier.
fn time_of(text: &str) -> Option<SystemTime> {
    let (time, rest) = (text.get(..TIME_LENGTH)?, text.get(TIME_LENGTH..)?);
    let rest = rest.strip_prefix('-')?;
    let (number, mark) = rest
        .split_once('-')
        .map_or((rest, None), |(number, mark)| (number, Some(mark)));
    let is_hex = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    let are_hex = |text: &str, length| text.len() == length && text.bytes().all(is_hex);
    if !are_hex(number, NUMBER_LENGTH) || !mark.is_none_or(|mark| are_hex(mark, MARK_LENGTH)) {
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

/// What the record of a deletion says, with the numbers of its pointers in place of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrashSummary {
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
    /// Number of tags.
    pub tags: usize,
    /// Number of links of manifests.
    pub manifests: usize,
    /// Number of links of layers.
    pub layers: usize,
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

/// The parts of a [`Document`] that a summary needs. Reading it keeps no pointer.
#[derive(Debug, Deserialize)]
struct Head {
    version: u32,
    #[serde(default)]
    actor: Option<String>,
    surface: String,
    kind: DeletedKind,
    #[serde(with = "text")]
    repository: RepoName,
    #[serde(default)]
    tags: Count,
    #[serde(default)]
    manifests: Count,
    #[serde(default)]
    layers: Count,
}

/// The length of a list.
#[derive(Debug, Default)]
struct Count(usize);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Counting;
        impl<'de> Visitor<'de> for Counting {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Count, A::Error> {
                let mut count = 0;
                while list.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Count(count))
            }
        }
        deserializer.deserialize_seq(Counting)
    }
}

/// Checks that this program knows records of `version`. The error says what is wrong.
fn require_known(version: u32) -> Result<(), String> {
    match version {
        VERSION => Ok(()),
        _ => Err(format!(
            "it has the version {version}, and this program knows version {VERSION}"
        )),
    }
}

impl TrashSummary {
    /// Reads the head of the record `id`. The error says what is wrong with it.
    pub(super) fn from_json(id: TrashId, bytes: &[u8]) -> Result<Self, String> {
        let head: Head = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        require_known(head.version)?;
        Ok(Self {
            id,
            actor: head.actor,
            surface: head.surface,
            kind: head.kind,
            repository: head.repository,
            tags: head.tags.0,
            manifests: head.manifests.0,
            layers: head.layers.0,
        })
    }
}

impl TrashRecord {
    /// The record, with the numbers of its pointers in place of these.
    pub fn summary(&self) -> TrashSummary {
        TrashSummary {
            id: self.id.clone(),
            actor: self.actor.clone(),
            surface: self.surface.clone(),
            kind: self.kind,
            repository: self.repository.clone(),
            tags: self.pointers.tags.len(),
            manifests: self.pointers.manifests.len(),
            layers: self.pointers.layers.len(),
        }
    }

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
        require_known(document.version)?;
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
        let (app, other): (RepoName, RepoName) = ("team/app".parse().unwrap(), "other".parse().unwrap());
        let (one, later) = (
            TrashId::new(time, 7, &app),
            TrashId::new(time + Duration::from_millis(1), 0, &app),
        );
        assert!(one < later);
        assert_eq!(one.time(), time);
        assert_eq!(one.as_str().parse::<TrashId>().unwrap(), one);
        assert_eq!(one.as_str(), "20261118T110640.007-00000007-e46f");
        assert!(one.may_be_of(&app) && !one.may_be_of(&other));
        let without_mark: TrashId = "20261118T110640.007-00000007".parse().unwrap();
        assert_eq!(without_mark.time(), time);
        assert!(without_mark.may_be_of(&app) && without_mark.may_be_of(&other));
        for text in [
            "",
            "20261118T110640.007",
            "20261318T110640.007-00000007",
            "20261118T110640.007-0000000G",
            "20261118T110640.007-00000007-",
            "20261118T110640.007-00000007-12345",
            "../x",
        ] {
            let error = text.parse::<TrashId>().unwrap_err();
            assert!(error.to_string().contains("trash ls"), "{text}");
        }
    }

    #[test]
    fn a_record_of_another_version_is_not_read() {
        let repository: RepoName = "app".parse().unwrap();
        let id = TrashId::new(SystemTime::UNIX_EPOCH, 0, &repository);
        let link = |text: &str| TrashedLink {
            digest: Digest::sha256_of(text.as_bytes()),
            since: SystemTime::UNIX_EPOCH,
        };
        let record = TrashRecord {
            id: id.clone(),
            actor: None,
            surface: "distribution".to_owned(),
            kind: DeletedKind::Tags,
            repository,
            pointers: Pointers {
                manifests: vec![link("one"), link("two")],
                ..Pointers::default()
            },
        };
        let json = String::from_utf8(record.to_json().unwrap()).unwrap();
        let summary = TrashSummary::from_json(id.clone(), json.as_bytes()).unwrap();
        assert_eq!((summary.tags, summary.manifests), (0, 2));
        assert_eq!(summary, record.summary());
        assert_eq!(TrashRecord::from_json(id.clone(), json.as_bytes()), Ok(record));
        let later = json.replace("\"version\":1", "\"version\":2");
        assert!(
            TrashRecord::from_json(id.clone(), later.as_bytes())
                .unwrap_err()
                .contains("version 2")
        );
        assert!(TrashSummary::from_json(id.clone(), later.as_bytes()).is_err());
        assert!(TrashRecord::from_json(id, &json.as_bytes()[..20]).is_err());
    }
}
