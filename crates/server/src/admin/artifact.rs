//! What an artifact that is no image says of itself: names of its files, its configuration, the packages of an SBOM.
//!
//! All of it comes from clients of the registry. A document is read up to a bound, a few at a time, and what is no such document, or longer,
//! says nothing.

use futures_util::TryStreamExt as _;
use serde::Deserialize;
use serde_json::Value;
use tokio::{sync::Semaphore, task::spawn_blocking};
use wharf_oci::{Descriptor, Digest, ManifestView, Reference, RepoName};
use wharf_registry::{Registry, Result};

/// The longest configuration that is read.
const LONGEST_CONFIG: u64 = 1 << 20;

/// The longest SBOM that is read.
const LONGEST_SBOM: u64 = 4 << 20;

/// How many packages of an SBOM are kept.
const MOST_PACKAGES: usize = 20_000;

/// How many bytes of each of their texts.
const LONGEST_TEXT: usize = 400;

/// How many artifacts are read at a time.
static TURNS: Semaphore = Semaphore::const_new(2);

/// The annotation that names a file.
const TITLE: &str = "org.opencontainers.image.title";

/// What an artifact says of itself.
#[derive(Debug, Default)]
pub struct ArtifactContent {
    /// The names of its files, in the order of the manifest; empty for a file without one.
    pub titles: Vec<String>,
    /// Its configuration, if that is JSON.
    pub config: Option<Value>,
    /// The first SBOM in it, if that can be read.
    pub sbom: Option<Packages>,
}

/// The packages that an SBOM names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Packages {
    /// Format of the SBOM, with its version.
    pub format: String,
    /// The packages; the first 20,000.
    pub packages: Vec<Package>,
}

/// A package in an SBOM.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Package {
    /// Name of the package.
    pub name: String,
    /// Version of the package.
    pub version: String,
    /// Its licence.
    pub licence: String,
}

/// What the artifact `digest` of `name` says of itself.
///
/// # Errors
///
/// As [`Registry::manifest`]; errors of the store. A file that is missing or damaged is none: it says nothing.
pub async fn read_artifact(registry: &Registry, name: &RepoName, digest: &Digest) -> Result<ArtifactContent> {
    // It is never closed.
    let _turn = TURNS.acquire().await.ok();
    let Some(manifest) = manifest_of(registry, name, digest).await? else {
        return Ok(ArtifactContent::default());
    };
    let config = match &manifest.config {
        Some(config) => {
            document(registry, name, config, LONGEST_CONFIG, |bytes| {
                serde_json::from_slice(bytes).ok()
            })
            .await
        }
        None => None,
    };
    let sbom = match manifest.layers.iter().find(|layer| is_sbom(&layer.media_type)) {
        Some(layer) => document(registry, name, layer, LONGEST_SBOM, Packages::read).await,
        None => None,
    };
    Ok(ArtifactContent {
        titles: manifest.layers.iter().map(title).collect(),
        config,
        sbom,
    })
}

/// The names of the files of the artifact `digest` of `name`, as in [`ArtifactContent::titles`]. Of the store it reads the manifest alone.
///
/// # Errors
///
/// As [`Registry::manifest`].
pub async fn titles_of(registry: &Registry, name: &RepoName, digest: &Digest) -> Result<Vec<String>> {
    // It is never closed.
    let _turn = TURNS.acquire().await.ok();
    let manifest = manifest_of(registry, name, digest).await?;
    let layers = manifest.map(|manifest| manifest.layers).unwrap_or_default();
    Ok(layers.iter().map(title).collect())
}

/// What the manifest says; `None`: it cannot be understood.
async fn manifest_of(registry: &Registry, name: &RepoName, digest: &Digest) -> Result<Option<ManifestView>> {
    let stored = registry.manifest(name, &Reference::Digest(*digest)).await?;
    let parsed = spawn_blocking(move || ManifestView::parse_stored(&stored.bytes)).await;
    Ok(parsed.ok().and_then(std::result::Result::ok))
}

/// The name that an annotation gives to a file; empty without one.
fn title(layer: &Descriptor) -> String {
    let annotations = layer.annotations.as_ref();
    let title = annotations.and_then(|annotations| annotations.get(TITLE));
    title.cloned().unwrap_or_default()
}

/// Whether a media type, or the type of an artifact, is that of an SBOM.
pub fn is_sbom(media_type: &str) -> bool {
    ["spdx", "cyclonedx", "syft"]
        .iter()
        .any(|format| media_type.contains(format))
}

/// What something that is attached to an image is to its users, by the type of the artifact: `signature`, `sbom`, `attestation` or `other`.
pub fn kind_of_attached(media_type: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|word| media_type.contains(word));
    match media_type {
        _ if is_sbom(media_type) => "sbom",
        _ if has(&["in-toto", "dsse", "attestation", "provenance", "openvex"]) => "attestation",
        _ if has(&["cosign", "sigstore", "notary", "signature"]) => "signature",
        _ => "other",
    }
}

/// What cosign attaches to a manifest by tags that are made of its digest: the ends of the tags, and the kinds.
const BY_TAGS: [(&str, &str); 3] = [("sig", "signature"), ("att", "attestation"), ("sbom", "sbom")];

/// What is attached to an image by such a tag; `None`: the end of the tag does not say.
pub fn kind_of_attached_tag(tag: &str) -> Option<&'static str> {
    let (_, end) = tag.rsplit_once('.')?;
    let (_, kind) = BY_TAGS.into_iter().find(|(known, _)| *known == end)?;
    Some(kind)
}

/// What `read` makes of a blob that has no more than `longest` bytes.
async fn document<T: Send + 'static>(
    registry: &Registry,
    name: &RepoName,
    blob: &Descriptor,
    longest: u64,
    read: fn(&[u8]) -> Option<T>,
) -> Option<T> {
    let opened = registry.open_blob(name, &blob.digest).await.ok()?;
    let size = opened.info.size;
    if size == 0 || size > longest {
        return None;
    }
    let add = |mut bytes: Vec<u8>, part: bytes::Bytes| async move {
        bytes.extend_from_slice(&part);
        Ok(bytes)
    };
    let bytes = opened.stream(0..size).try_fold(Vec::new(), add).await.ok()?;
    spawn_blocking(move || read(&bytes)).await.ok()?
}

/// The parts of SPDX and of CycloneDX that are shown, also in a statement of in-toto.
#[derive(Deserialize)]
struct Document {
    #[serde(rename = "spdxVersion")]
    spdx: Option<String>,
    #[serde(rename = "bomFormat")]
    cyclone: Option<String>,
    #[serde(rename = "specVersion")]
    version: Option<String>,
    packages: Option<Vec<SpdxPackage>>,
    components: Option<Vec<Component>>,
    predicate: Option<Box<Document>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpdxPackage {
    name: Option<String>,
    version_info: Option<String>,
    license_concluded: Option<String>,
    license_declared: Option<String>,
}

#[derive(Deserialize)]
struct Component {
    name: Option<String>,
    version: Option<String>,
    licenses: Option<Vec<LicenceChoice>>,
}

#[derive(Deserialize)]
struct LicenceChoice {
    expression: Option<String>,
    license: Option<Licence>,
}

#[derive(Deserialize)]
struct Licence {
    id: Option<String>,
    name: Option<String>,
}

impl Packages {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut document: Document = serde_json::from_slice(bytes).ok()?;
        if let Some(predicate) = document.predicate.take() {
            document = *predicate;
        }
        let (format, packages) = match document {
            Document {
                spdx: Some(version),
                packages,
                ..
            } => {
                let packages = packages.unwrap_or_default().into_iter().map(Package::from);
                (version.replace('-', " "), packages.take(MOST_PACKAGES).collect())
            }
            Document {
                cyclone: Some(format),
                version,
                components,
                ..
            } => {
                let packages = components.unwrap_or_default().into_iter().map(Package::from);
                let version = version.unwrap_or_default();
                (
                    format!("{format} {version}"),
                    packages.take(MOST_PACKAGES).collect(),
                )
            }
            _ => return None,
        };
        Some(Self {
            format: short(Some(format)),
            packages,
        })
    }
}

impl From<SpdxPackage> for Package {
    fn from(package: SpdxPackage) -> Self {
        let is_said = |licence: &String| licence != "NOASSERTION" && licence != "NONE";
        let licence = package.license_concluded.filter(is_said);
        Self {
            name: short(package.name),
            version: short(package.version_info),
            licence: short(licence.or(package.license_declared.filter(is_said))),
        }
    }
}

impl From<Component> for Package {
    fn from(component: Component) -> Self {
        let licences = component.licenses.into_iter().flatten().filter_map(|choice| {
            let licence = choice.license.and_then(|licence| licence.id.or(licence.name));
            choice.expression.or(licence)
        });
        let licences: Vec<String> = licences.take(5).collect();
        Self {
            name: short(component.name),
            version: short(component.version),
            licence: short(Some(licences.join(", "))),
        }
    }
}

fn short(text: Option<String>) -> String {
    let mut text = text.unwrap_or_default();
    text.truncate(text.floor_char_boundary(LONGEST_TEXT));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, licence: &str) -> Package {
        Package {
            name: name.to_owned(),
            version: version.to_owned(),
            licence: licence.to_owned(),
        }
    }

    #[test]
    fn packages_are_read_of_both_formats_and_of_statements() {
        let spdx = r#"{"spdxVersion": "SPDX-2.3", "packages": [
            {"name": "tokio", "versionInfo": "1.47", "licenseConcluded": "NOASSERTION", "licenseDeclared": "MIT"},
            {"name": "app"}
        ]}"#;
        let expected = Packages {
            format: "SPDX 2.3".to_owned(),
            packages: vec![package("tokio", "1.47", "MIT"), package("app", "", "")],
        };
        assert_eq!(Packages::read(spdx.as_bytes()).as_ref(), Some(&expected));
        let statement = format!(r#"{{"predicateType": "https://spdx.dev/Document", "predicate": {spdx}}}"#);
        assert_eq!(Packages::read(statement.as_bytes()), Some(expected));
        let cyclone = r#"{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [
            {"name": "zlib", "version": "1.3", "licenses": [{"license": {"id": "Zlib"}}, {"expression": "MIT OR BSD"}]}
        ]}"#;
        let read = Packages::read(cyclone.as_bytes()).unwrap();
        assert_eq!(read.format, "CycloneDX 1.6");
        assert_eq!(read.packages, [package("zlib", "1.3", "Zlib, MIT OR BSD")]);
    }

    #[test]
    fn what_is_no_sbom_says_nothing() {
        let deep = "[".repeat(100_000);
        for text in [
            "",
            "{}",
            "[]",
            "null",
            "{\"packages\": 1}",
            r#"{"spdxVersion": 2}"#,
            &deep,
        ] {
            assert_eq!(Packages::read(text.as_bytes()), None);
        }
    }
}
