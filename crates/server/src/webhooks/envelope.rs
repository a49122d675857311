//! Events as registry:2 and registry:3 post them: one in an envelope, three spaces for a step, Go's escapes.

use std::io;

use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use serde_json::ser::{CharEscape, Formatter, PrettyFormatter};
use wharf_oci::Descriptor;

use super::record::{Record, Request, Source, Target};

/// Media type of the envelope of registry:2; GitLab takes no other.
pub(super) const V1_MEDIA_TYPE: &str = "application/vnd.docker.distribution.events.v1+json";
/// Media type of the envelope of registry:3.
pub(super) const V2_MEDIA_TYPE: &str = "application/vnd.docker.distribution.events.v2+json";

/// Version of the envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// Fields of no value are left out, and the size stands before the digest.
    V1,
    /// The type, the digest and the size of the target are always there, in this order; children have platforms.
    V2,
}

/// The body to post.
pub(super) fn render(event: &Record, version: Version) -> Vec<u8> {
    let mut body = Vec::with_capacity(1024);
    let mut serializer = serde_json::Serializer::with_formatter(&mut body, GoFormatter::new());
    // Writing to memory cannot fail.
    _ = Envelope(event, version).serialize(&mut serializer);
    body
}

struct Envelope<'a>(&'a Record, Version);

impl Serialize for Envelope<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("events", &[Shown(self.0, self.1)])?;
        map.end()
    }
}

/// One event in the form of a version.
pub(super) struct Shown<'a>(pub(super) &'a Record, pub(super) Version);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(event, version) = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &event.id)?;
        map.serialize_entry("timestamp", &event.timestamp)?;
        map.serialize_entry("action", event.action.as_str())?;
        map.serialize_entry("target", &ShownTarget(&event.target, *version))?;
        map.serialize_entry("request", &ShownRequest(&event.request))?;
        map.serialize_entry("actor", &Actor(&event.actor))?;
        map.serialize_entry("source", &ShownSource(&event.source))?;
        map.end()
    }
}

struct ShownTarget<'a>(&'a Target, Version);

impl Serialize for ShownTarget<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(target, version) = self;
        let mut map = serializer.serialize_map(None)?;
        let media_type = target.media_type.as_deref().unwrap_or("");
        let digest = target.digest.as_deref().unwrap_or("");
        content(&mut map, *version, media_type, digest, target.size)?;
        if target.size > 0 {
            map.serialize_entry("length", &target.size)?;
        }
        text(&mut map, "repository", &target.repository)?;
        text(
            &mut map,
            "fromRepository",
            target.from_repository.as_deref().unwrap_or(""),
        )?;
        text(&mut map, "url", target.url.as_deref().unwrap_or(""))?;
        text(&mut map, "tag", target.tag.as_deref().unwrap_or(""))?;
        if !target.references.is_empty() {
            map.serialize_entry("references", &References(&target.references, *version))?;
        }
        map.end()
    }
}

struct References<'a>(&'a [Descriptor], Version);

impl Serialize for References<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for descriptor in self.0 {
            list.serialize_element(&Reference(descriptor, self.1))?;
        }
        list.end()
    }
}

struct Reference<'a>(&'a Descriptor, Version);

impl Serialize for Reference<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(descriptor, version) = self;
        let mut map = serializer.serialize_map(None)?;
        let digest = descriptor.digest.to_string();
        content(
            &mut map,
            *version,
            &descriptor.media_type,
            &digest,
            descriptor.size,
        )?;
        if !descriptor.urls.is_empty() {
            map.serialize_entry("urls", &descriptor.urls)?;
        }
        if let Some(annotations) = descriptor
            .annotations
            .as_ref()
            .filter(|annotations| !annotations.is_empty())
        {
            map.serialize_entry("annotations", annotations)?;
        }
        if *version == Version::V2 {
            if let Some(platform) = &descriptor.platform {
                map.serialize_entry("platform", platform)?;
            }
            text(
                &mut map,
                "artifactType",
                descriptor.artifact_type.as_deref().unwrap_or(""),
            )?;
        }
        map.end()
    }
}

fn content<M: SerializeMap>(
    map: &mut M,
    version: Version,
    media_type: &str,
    digest: &str,
    size: u64,
) -> Result<(), M::Error> {
    match version {
        Version::V1 => {
            text(map, "mediaType", media_type)?;
            if size > 0 {
                map.serialize_entry("size", &size)?;
            }
            text(map, "digest", digest)
        }
        Version::V2 => {
            map.serialize_entry("mediaType", media_type)?;
            map.serialize_entry("digest", digest)?;
            map.serialize_entry("size", &size)
        }
    }
}

/// A text, unless it is empty.
fn text<M: SerializeMap>(map: &mut M, name: &'static str, value: &str) -> Result<(), M::Error> {
    match value {
        "" => Ok(()),
        value => map.serialize_entry(name, value),
    }
}

struct ShownRequest<'a>(&'a Request);

impl Serialize for ShownRequest<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(request) = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &request.id)?;
        text(&mut map, "addr", &request.addr)?;
        text(&mut map, "host", &request.host)?;
        map.serialize_entry("method", &request.method)?;
        map.serialize_entry("useragent", &request.user_agent)?;
        map.end()
    }
}

struct Actor<'a>(&'a str);

impl Serialize for Actor<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        text(&mut map, "name", self.0)?;
        map.end()
    }
}

struct ShownSource<'a>(&'a Source);

impl Serialize for ShownSource<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        text(&mut map, "addr", &self.0.addr)?;
        text(&mut map, "instanceID", &self.0.instance_id)?;
        map.end()
    }
}

/// Writes JSON as Go's `json.MarshalIndent` does: what HTML could take for its own is escaped.
struct GoFormatter(PrettyFormatter<'static>);

impl GoFormatter {
    fn new() -> Self {
        Self(PrettyFormatter::with_indent(b"   "))
    }
}

impl Formatter for GoFormatter {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            writer.write_all(&rest.as_bytes()[..at])?;
            let mut characters = rest[at..].chars();
            let found = characters.next().map_or(0, u32::from);
            write!(writer, "\\u{found:04x}")?;
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        match escape {
            CharEscape::Backspace => writer.write_all(b"\\u0008"),
            CharEscape::FormFeed => writer.write_all(b"\\u000c"),
            other => self.0.write_char_escape(writer, other),
        }
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Action, record::Subject},
        *,
    };

    fn event() -> Record {
        Record {
            id: "i".to_owned(),
            timestamp: "2026-01-02T03:04:05.6Z".to_owned(),
            action: Action::Delete,
            subject: Subject::Manifest,
            target: Target {
                digest: Some("sha256:a".to_owned()),
                repository: "a/b".to_owned(),
                ..Target::default()
            },
            request: Request {
                id: "r".to_owned(),
                addr: "127.0.0.1:4711".to_owned(),
                host: "h".to_owned(),
                method: "DELETE".to_owned(),
                user_agent: "t<&>\u{2028}é\u{8}".to_owned(),
            },
            actor: String::new(),
            source: Source {
                addr: "vm:5000".to_owned(),
                instance_id: "n".to_owned(),
            },
        }
    }

    #[test]
    fn the_form_of_registry_2_is_kept_to_the_byte() {
        let expected = r#"{
   "events": [
      {
         "id": "i",
         "timestamp": "2026-01-02T03:04:05.6Z",
         "action": "delete",
         "target": {
            "digest": "sha256:a",
            "repository": "a/b"
         },
         "request": {
            "id": "r",
            "addr": "127.0.0.1:4711",
            "host": "h",
            "method": "DELETE",
            "useragent": "t\u003c\u0026\u003e\u2028é\u0008"
         },
         "actor": {},
         "source": {
            "addr": "vm:5000",
            "instanceID": "n"
         }
      }
   ]
}"#;
        assert_eq!(
            String::from_utf8(render(&event(), Version::V1)).unwrap(),
            expected
        );
    }

    #[test]
    fn registry_3_always_has_type_digest_and_size() {
        let body = String::from_utf8(render(&event(), Version::V2)).unwrap();
        let target = body
            .split("\"target\": {")
            .nth(1)
            .unwrap()
            .split('}')
            .next()
            .unwrap();
        let target: String = target.split_whitespace().collect();
        assert_eq!(
            target,
            r#""mediaType":"","digest":"sha256:a","size":0,"repository":"a/b""#
        );
    }
}
