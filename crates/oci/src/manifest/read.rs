//! From bytes to a [`ManifestView`], strictly for a push and tolerantly for a stored manifest.

use std::{cell::RefCell, collections::BTreeMap};

use serde_json::value::RawValue;

use super::{
    ManifestError, ManifestKind, ManifestView, Omissions,
    json::{self, Path, Type},
};
use crate::{Descriptor, Digest, Platform, media_type, text::shortened};

/// How many objects and arrays a pushed manifest may nest. Real ones need five; programs that read them recurse.
pub const MAX_DEPTH: usize = 128;

/// The first bytes of a file that gzip compressed (RFC 1952), which no JSON begins with.
const GZIP: &[u8] = &[0x1f, 0x8b];

const ROOT: Path<'static> = Path::Root;

pub(super) fn pushed(content_type: Option<&str>, bytes: &[u8]) -> Result<ManifestView, ManifestError> {
    if bytes.starts_with(GZIP) {
        return Err(ManifestError::Compressed);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| ManifestError::NotUtf8 {
        position: error.valid_up_to(),
    })?;
    check_depth(bytes)?;
    let root = object_at_root(text)?;
    // The media type comes first: it decides which other fields have a meaning.
    let [field, version] = Reader::TOLERANT.object(root, ROOT, ["mediaType", "schemaVersion"])?;
    let field = Reader::STRICT
        .optional_string(field, ROOT.key("mediaType"))?
        .filter(|field| !field.is_empty());
    let media_type = agreed_media_type(content_type, field.as_deref(), version)?;
    let kind = ManifestKind::of(&media_type);
    let fields = match kind {
        ManifestKind::Unknown => Fields::of_unknown(&Reader::STRICT, root)?,
        _ => Fields::read(&Reader::STRICT, root)?,
    };
    fields.check_structure(kind, &media_type, field.is_some())?;
    assemble(Reader::STRICT, media_type, kind, &fields)
}

pub(super) fn stored(bytes: &[u8]) -> Result<ManifestView, ManifestError> {
    // `registry:2` takes bytes that are no UTF-8, as long as they stand inside of strings.
    let text = String::from_utf8_lossy(bytes);
    let root = object_at_root(&text)?;
    let fields = Fields::read(&Reader::TOLERANT, root)?;
    let media_type = fields.stored_media_type();
    let kind = ManifestKind::of(&media_type);
    assemble(Reader::TOLERANT, media_type, kind, &fields)
}

/// The media type that the header and the field agree on.
fn agreed_media_type(
    content_type: Option<&str>,
    field: Option<&str>,
    version: Option<&RawValue>,
) -> Result<String, ManifestError> {
    // Clients without a media type of their own send one of these.
    let says_something =
        |media_type: &str| !matches!(media_type, "" | media_type::JSON | media_type::OCTET_STREAM);
    let header = content_type
        .map(media_type::essence)
        .filter(|header| says_something(header));
    for media_type in [header, field].into_iter().flatten() {
        if !media_type::is_valid(media_type) {
            return Err(ManifestError::InvalidMediaType {
                media_type: shortened(media_type),
            });
        }
        if ManifestKind::of(media_type) == ManifestKind::Schema1 {
            return Err(ManifestError::Schema1);
        }
    }
    match (header, field) {
        (Some(header), Some(field)) if !header.eq_ignore_ascii_case(field) => {
            Err(ManifestError::MediaTypeMismatch {
                content_type: shortened(header),
                media_type: shortened(field),
            })
        }
        (_, Some(field)) if says_something(field) => Ok(field.to_owned()),
        // A manifest without the field is served under the usual spelling.
        (Some(header), _) => Ok(header.to_ascii_lowercase()),
        _ if version.is_some_and(|version| version.get() == "1") => Err(ManifestError::Schema1),
        _ => Err(ManifestError::NoMediaType),
    }
}

/// A view of the fields that have a meaning for `kind`.
fn assemble(
    reader: Reader<'static>,
    media_type: String,
    kind: ManifestKind,
    fields: &Fields<'_>,
) -> Result<ManifestView, ManifestError> {
    let omissions = RefCell::default();
    let reader = &reader.noting(&omissions);
    let mut view = ManifestView {
        media_type,
        kind,
        config: None,
        layers: Vec::new(),
        manifests: Vec::new(),
        subject: None,
        artifact_type: None,
        annotations: BTreeMap::new(),
        omissions: Omissions::default(),
    };
    if kind == ManifestKind::Unknown {
        // In an unknown type these fields may have any form; they count where they have the known one.
        view.subject = Reader::STRICT
            .optional_descriptor(fields.subject, ROOT)
            .unwrap_or_default();
        view.artifact_type = Reader::STRICT
            .optional_string(fields.artifact_type, ROOT)
            .unwrap_or_default();
        view.annotations = Reader::STRICT
            .annotations(fields.annotations, ROOT)
            .unwrap_or_default();
    } else {
        view.subject = reader.optional_descriptor(fields.subject, ROOT.key("subject"))?;
        view.artifact_type = reader.optional_string(fields.artifact_type, ROOT.key("artifactType"))?;
        view.annotations = reader.annotations(fields.annotations, ROOT.key("annotations"))?;
    }
    // What was pushed strictly has no references beyond those of its kind; in what is stored, all may matter.
    let reads = |wanted: ManifestKind| kind == wanted || !reader.strict;
    if reads(ManifestKind::Image) {
        view.config = reader.optional_descriptor(fields.config, ROOT.key("config"))?;
        view.layers = reader.descriptors(fields.layers, ROOT.key("layers"))?;
    }
    if reads(ManifestKind::Artifact) {
        view.layers
            .extend(reader.descriptors(fields.blobs, ROOT.key("blobs"))?);
    }
    if reads(ManifestKind::Index) {
        view.manifests = reader.descriptors(fields.manifests, ROOT.key("manifests"))?;
    }
    if reads(ManifestKind::Schema1) {
        view.layers.extend(schema1_layers(reader, fields.fs_layers)?);
    }
    view.omissions = omissions.take();
    Ok(view)
}

/// Schema 1 names its layers by digest alone.
fn schema1_layers(reader: &Reader<'_>, layers: Option<&RawValue>) -> Result<Vec<Descriptor>, ManifestError> {
    let path = ROOT.key("fsLayers");
    let mut found = Vec::new();
    let Some(layers) = layers.filter(|layers| Type::of(layers) == Type::Array) else {
        return Ok(found);
    };
    json::elements(layers, path, |_, layer| {
        let digest = reader
            .object(layer, path, ["blobSum"])
            .and_then(|[digest]| reader.digest(digest, path))
            .ok();
        found.extend(digest.map(|digest| Descriptor {
            media_type: media_type::DOCKER_LAYER.to_owned(),
            digest,
            size: 0,
            artifact_type: None,
            annotations: None,
            urls: Vec::new(),
            platform: None,
        }));
        Ok(())
    })?;
    Ok(found)
}

fn object_at_root(text: &str) -> Result<&RawValue, ManifestError> {
    let root = json::document(text)?;
    match Type::of(root) {
        Type::Object => Ok(root),
        other => Err(ManifestError::NotAnObject { found: other.noun() }),
    }
}

/// One pass over the bytes, before any parser sees them. Text that is not JSON may be counted wrong, and is refused.
fn check_depth(json: &[u8]) -> Result<(), ManifestError> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(ManifestError::TooDeep { limit: MAX_DEPTH });
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// The values of the known fields of a manifest; null is as good as missing, as Go writes its empty lists.
#[derive(Default)]
struct Fields<'a> {
    schema_version: Option<&'a RawValue>,
    media_type: Option<&'a RawValue>,
    artifact_type: Option<&'a RawValue>,
    config: Option<&'a RawValue>,
    layers: Option<&'a RawValue>,
    manifests: Option<&'a RawValue>,
    blobs: Option<&'a RawValue>,
    subject: Option<&'a RawValue>,
    annotations: Option<&'a RawValue>,
    fs_layers: Option<&'a RawValue>,
    signatures: Option<&'a RawValue>,
}

impl<'a> Fields<'a> {
    fn read(reader: &Reader<'_>, root: &'a RawValue) -> Result<Self, ManifestError> {
        let known = [
            "schemaVersion",
            "mediaType",
            "artifactType",
            "config",
            "layers",
            "manifests",
            "blobs",
            "subject",
            "annotations",
            "fsLayers",
            "signatures",
        ];
        let [
            schema_version,
            media_type,
            artifact_type,
            config,
            layers,
            manifests,
            blobs,
            subject,
            annotations,
            fs_layers,
            signatures,
        ] = reader.object(root, ROOT, known)?;
        Ok(Self {
            schema_version,
            media_type,
            artifact_type,
            config,
            layers,
            manifests,
            blobs,
            subject,
            annotations,
            fs_layers,
            signatures,
        })
    }

    /// Only the fields that have the same meaning in every manifest.
    fn of_unknown(reader: &Reader<'_>, root: &'a RawValue) -> Result<Self, ManifestError> {
        let [media_type, artifact_type, subject, annotations] = reader.object(
            root,
            ROOT,
            ["mediaType", "artifactType", "subject", "annotations"],
        )?;
        Ok(Self {
            media_type,
            artifact_type,
            subject,
            annotations,
            ..Self::default()
        })
    }

    /// Checks that a pushed manifest is of its media type, and cannot be taken for another kind.
    fn check_structure(
        &self,
        kind: ManifestKind,
        media_type: &str,
        has_field: bool,
    ) -> Result<(), ManifestError> {
        if kind == ManifestKind::Unknown {
            return Ok(());
        }
        if !has_field && !matches!(media_type, media_type::OCI_MANIFEST | media_type::OCI_INDEX) {
            return Err(ManifestError::MediaTypeNotInside {
                media_type: media_type.to_owned(),
            });
        }
        let missing = |path: &str| {
            Err(ManifestError::Missing {
                path: path.to_owned(),
            })
        };
        match kind {
            ManifestKind::Image => {
                self.check_version()?;
                check_unmixed(
                    media_type,
                    &[("manifests", self.manifests), ("fsLayers", self.fs_layers)],
                )?;
                if self.config.is_none() {
                    missing("config")
                } else {
                    Ok(())
                }
            }
            ManifestKind::Index => {
                self.check_version()?;
                let foreign = [
                    ("config", self.config),
                    ("layers", self.layers),
                    ("fsLayers", self.fs_layers),
                ];
                check_unmixed(media_type, &foreign)?;
                // With its type inside, an index needs no children; without it, nothing else says what it is.
                if self.manifests.is_none() && !has_field {
                    missing("manifests")
                } else {
                    Ok(())
                }
            }
            ManifestKind::Artifact | ManifestKind::Schema1 | ManifestKind::Unknown => Ok(()),
        }
    }

    fn check_version(&self) -> Result<(), ManifestError> {
        match self.schema_version.map(RawValue::get) {
            Some("2") => Ok(()),
            Some("1") => Err(ManifestError::Schema1),
            Some(got) => Err(ManifestError::SchemaVersion { got: shortened(got) }),
            None => Err(ManifestError::Missing {
                path: "schemaVersion".to_owned(),
            }),
        }
    }

    /// The media type of a stored manifest, always valid: its own, or else by its structure.
    fn stored_media_type(&self) -> String {
        let own = Reader::TOLERANT
            .optional_string(self.media_type, ROOT)
            .unwrap_or_default();
        if let Some(own) = own.filter(|own| media_type::is_valid(own)) {
            return own;
        }
        let is_schema1 = self.schema_version.is_some_and(|version| version.get() == "1");
        let derived = match (self.manifests, self.signatures) {
            (Some(_), _) => media_type::OCI_INDEX,
            (None, Some(_)) if is_schema1 => media_type::DOCKER_SCHEMA1_SIGNED,
            (None, None) if is_schema1 => media_type::DOCKER_SCHEMA1,
            _ => media_type::OCI_MANIFEST,
        };
        derived.to_owned()
    }
}

/// Checks that the manifest has no field of another kind of manifest.
fn check_unmixed(
    media_type: &str,
    foreign: &[(&'static str, Option<&RawValue>)],
) -> Result<(), ManifestError> {
    match foreign.iter().find(|(_, value)| value.is_some()) {
        Some((key, _)) => Err(ManifestError::MixedKinds {
            media_type: media_type.to_owned(),
            key,
        }),
        None => Ok(()),
    }
}

/// How the parts of a manifest are read.
struct Reader<'n> {
    /// Whether a wrong value is an error; otherwise it counts as missing.
    strict: bool,
    /// Where the values that descriptors leave out are noted.
    omissions: Option<&'n RefCell<Omissions>>,
}

impl Reader<'static> {
    const STRICT: Self = Self {
        strict: true,
        omissions: None,
    };
    const TOLERANT: Self = Self {
        strict: false,
        omissions: None,
    };

    /// This reader, which notes in `omissions` what descriptors leave out.
    fn noting(self, omissions: &RefCell<Omissions>) -> Reader<'_> {
        Reader {
            strict: self.strict,
            omissions: Some(omissions),
        }
    }
}

impl Reader<'_> {
    /// The values of the `known` keys of an object; null is as good as missing, and of several the last counts.
    fn object<'a, const N: usize>(
        &self,
        object: &'a RawValue,
        path: Path<'_>,
        known: [&'static str; N],
    ) -> Result<[Option<&'a RawValue>; N], ManifestError> {
        let mut values = [None; N];
        let mut seen = [false; N];
        json::members(object, path, |key, value| {
            if let Some(index) = known.iter().position(|known| *known == key) {
                if self.strict && seen[index] {
                    return Err(ManifestError::DuplicateKey {
                        path: path.key(key).to_string(),
                    });
                }
                seen[index] = true;
                values[index] = (Type::of(value) != Type::Null).then_some(value);
            } else if let Some(known) = known.iter().find(|known| self.strict && folds_to(key, known)) {
                return Err(ManifestError::KeyInOtherCase {
                    path: path.key(key).to_string(),
                    known,
                });
            }
            Ok(())
        })?;
        Ok(values)
    }

    fn descriptors(
        &self,
        array: Option<&RawValue>,
        path: Path<'_>,
    ) -> Result<Vec<Descriptor>, ManifestError> {
        let mut descriptors = Vec::new();
        let Some(array) = array else {
            return Ok(descriptors);
        };
        let result = json::elements(array, path, |index, element| {
            match self.descriptor(element, Path::Index(&path, index)) {
                Ok(descriptor) => descriptors.push(descriptor),
                Err(error) if self.strict => return Err(error),
                Err(_) => {}
            }
            Ok(())
        });
        self.forgive(result)?;
        Ok(descriptors)
    }

    fn optional_descriptor(
        &self,
        value: Option<&RawValue>,
        path: Path<'_>,
    ) -> Result<Option<Descriptor>, ManifestError> {
        self.forgive(value.map(|value| self.descriptor(value, path)).transpose())
    }

    /// A descriptor needs a digest, which says what the content is. Old tools leave out media type or size, which registry:2
    /// and registry:3 accept; a tolerant read forgives everything else as well.
    fn descriptor(&self, value: &RawValue, path: Path<'_>) -> Result<Descriptor, ManifestError> {
        let known = [
            "mediaType",
            "digest",
            "size",
            "artifactType",
            "annotations",
            "urls",
            "platform",
        ];
        let [
            media_type,
            digest,
            size,
            artifact_type,
            annotations,
            urls,
            platform,
        ] = self.object(value, path, known)?;
        let annotations = self.annotations(annotations, path.key("annotations"))?;
        Ok(Descriptor {
            digest: self.digest(digest, path.key("digest"))?,
            media_type: self.expected(required_text(media_type, path.key("mediaType")))?,
            size: self.expected(size_of(size, path.key("size")))?,
            artifact_type: self.optional_string(artifact_type, path.key("artifactType"))?,
            annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
            urls: self.strings(urls, path.key("urls"))?,
            platform: self.platform(platform, path.key("platform"))?,
        })
    }

    fn digest(&self, value: Option<&RawValue>, path: Path<'_>) -> Result<Digest, ManifestError> {
        let text = required_text(value, path)?;
        text.parse().map_err(|reason| ManifestError::Digest {
            path: path.to_string(),
            reason,
        })
    }

    fn optional_string(
        &self,
        value: Option<&RawValue>,
        path: Path<'_>,
    ) -> Result<Option<String>, ManifestError> {
        self.forgive(value.map(|value| json::string(value, path)).transpose())
    }

    fn strings(&self, array: Option<&RawValue>, path: Path<'_>) -> Result<Vec<String>, ManifestError> {
        let mut strings = Vec::new();
        let Some(array) = array else { return Ok(strings) };
        let result = json::elements(array, path, |index, element| {
            strings.push(json::string(element, Path::Index(&path, index))?);
            Ok(())
        });
        self.forgive(result)?;
        Ok(strings)
    }

    fn annotations(
        &self,
        object: Option<&RawValue>,
        path: Path<'_>,
    ) -> Result<BTreeMap<String, String>, ManifestError> {
        let mut annotations = BTreeMap::new();
        let Some(object) = object else {
            return Ok(annotations);
        };
        let result = json::members(object, path, |key, value| {
            if self.strict && annotations.contains_key(key) {
                return Err(ManifestError::DuplicateKey {
                    path: path.key(key).to_string(),
                });
            }
            if let Some(text) = self.optional_string(Some(value), path.key(key))? {
                annotations.insert(key.to_owned(), text);
            }
            Ok(())
        });
        self.forgive(result)?;
        Ok(annotations)
    }

    fn platform(&self, value: Option<&RawValue>, path: Path<'_>) -> Result<Option<Platform>, ManifestError> {
        let Some(value) = value else { return Ok(None) };
        let known = ["architecture", "os", "variant"];
        let Some([architecture, os, variant]) = self.forgive(self.object(value, path, known).map(Some))?
        else {
            return Ok(None);
        };
        Ok(Some(Platform {
            architecture: self
                .optional_string(architecture, path.key("architecture"))?
                .unwrap_or_default(),
            os: self.optional_string(os, path.key("os"))?.unwrap_or_default(),
            variant: self.optional_string(variant, path.key("variant"))?,
        }))
    }

    /// A value that a descriptor should have: its absence is noted, a wrong one is forgiven or not.
    fn expected<T: Default>(&self, result: Result<T, ManifestError>) -> Result<T, ManifestError> {
        match (result, self.omissions) {
            (Err(ManifestError::Missing { path }), Some(omissions)) => {
                omissions.borrow_mut().note(path);
                Ok(T::default())
            }
            (result, _) => self.forgive(result),
        }
    }

    /// The error when strict; `None` otherwise.
    fn forgive<T: Default>(&self, result: Result<T, ManifestError>) -> Result<T, ManifestError> {
        if self.strict {
            result
        } else {
            Ok(result.unwrap_or_default())
        }
    }
}

fn required_text(value: Option<&RawValue>, path: Path<'_>) -> Result<String, ManifestError> {
    let text = value.map(|value| json::string(value, path)).transpose()?;
    text.filter(|text| !text.is_empty())
        .ok_or_else(|| ManifestError::Missing {
            path: path.to_string(),
        })
}

/// A whole number that fits an `i64`, as every program that reads manifests has it.
fn size_of(value: Option<&RawValue>, path: Path<'_>) -> Result<u64, ManifestError> {
    let value = value.ok_or_else(|| ManifestError::Missing {
        path: path.to_string(),
    })?;
    let size = value
        .get()
        .parse()
        .ok()
        .filter(|size| *size <= i64::MAX.unsigned_abs());
    size.ok_or_else(|| ManifestError::Size {
        path: path.to_string(),
        got: shortened(value.get()),
    })
}

/// Whether Go's decoder reads `key` as `known`, which is ASCII: by Unicode's simple case folding, in which two
/// characters beyond ASCII fold to ASCII letters.
fn folds_to(key: &str, known: &str) -> bool {
    let fold = |character| match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        _ => character.to_ascii_lowercase(),
    };
    key.chars().map(fold).eq(known.chars().map(fold))
}
