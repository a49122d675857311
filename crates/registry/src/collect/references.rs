//! What a stored manifest refers to, as far as it can be known.

use wharf_oci::{Algorithm, Digest, ManifestKind, ManifestView};
use wharf_storage::{ErrorKind, Storage, layout};

/// The largest manifest that is read; registry:2 has never accepted one of a sixteenth of it.
const LARGEST: u64 = 64 << 20;

/// What is known of a manifest.
#[derive(Debug)]
pub(super) enum Stored {
    /// Its bytes are not there.
    Absent,
    /// Nobody knows what it needs; why.
    Unreadable(String),
    /// All that it names.
    Understood(References),
}

/// All that a manifest names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct References {
    /// Config and layers, and in a manifest of an unknown type every digest that stands in it.
    pub(super) blobs: Box<[Digest]>,
    /// The children of an index.
    pub(super) manifests: Box<[Digest]>,
    /// The manifest that it refers to.
    pub(super) subject: Option<Digest>,
}

/// Reads the manifest `digest`.
pub(super) async fn read(storage: &dyn Storage, digest: &Digest) -> Stored {
    let bytes = match storage.read(&layout::blob(digest), LARGEST).await {
        Ok(object) => object.bytes,
        Err(error) if error.is_not_found() => return Stored::Absent,
        Err(error) if error.kind() == ErrorKind::TooLarge => {
            return Stored::Unreadable("it is too large to be a manifest".to_owned());
        }
        Err(error) => return Stored::Unreadable(error.to_string()),
    };
    // A bit that fell over may be one of a digest in it.
    if Digest::of(digest.algorithm(), &bytes) != *digest {
        return Stored::Unreadable(format!("its {} bytes are damaged", bytes.len()));
    }
    match ManifestView::parse_stored(&bytes) {
        Ok(view) => Stored::Understood(references(view, &bytes)),
        Err(error) => Stored::Unreadable(error.to_string()),
    }
}

fn references(view: ManifestView, bytes: &[u8]) -> References {
    let mut blobs: Vec<Digest> = view.blobs().map(|descriptor| descriptor.digest).collect();
    let manifests: Box<[Digest]> = view
        .manifests
        .iter()
        .map(|descriptor| descriptor.digest)
        .collect();
    // A type that we do not know may name what it needs in any way; and an image or an index that names nothing at
    // all may be spelled in a way that only other programs understand.
    if view.kind == ManifestKind::Unknown || (blobs.is_empty() && manifests.is_empty()) {
        blobs.extend(mentioned(bytes));
    }
    References {
        blobs: blobs.into(),
        manifests,
        subject: view.subject.map(|subject| subject.digest),
    }
}

/// Every digest that stands anywhere in `text`.
fn mentioned(text: &[u8]) -> Vec<Digest> {
    let mut found = Vec::new();
    for algorithm in Algorithm::ALL {
        let (name, length) = (algorithm.as_str().as_bytes(), algorithm.hex_len());
        for (start, window) in text.windows(name.len() + 1 + length).enumerate() {
            // The colon is the rarest of it.
            if window[name.len()] != b':' || !window.starts_with(name) {
                continue;
            }
            let goes_on = text.get(start + window.len()).is_some_and(u8::is_ascii_hexdigit);
            let digest = std::str::from_utf8(window).ok().map(str::parse::<Digest>);
            found.extend(digest.and_then(Result::ok).filter(|_| !goes_on));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> References {
        references(
            ManifestView::parse_stored(text.as_bytes()).unwrap(),
            text.as_bytes(),
        )
    }

    #[test]
    fn a_known_type_names_what_it_needs_in_its_own_fields() {
        let [config, layer, elsewhere] = ["c", "l", "e"].map(|text| Digest::sha256_of(text.as_bytes()));
        let found = read_text(&format!(
            r#"{{"schemaVersion":2,"config":{{"digest":"{config}"}},"layers":[{{"digest":"{layer}"}}],"annotations":{{"base":"{elsewhere}"}}}}"#
        ));
        assert_eq!(found.blobs[..], [config, layer]);
        assert!(found.manifests.is_empty());
    }

    #[test]
    fn an_unknown_type_needs_whatever_it_mentions() {
        let (short, long) = (Digest::sha256_of(b"s"), Digest::of(Algorithm::Sha512, b"l"));
        let found = read_text(&format!(
            r#"{{"mediaType":"application/vnd.example+json","parts":{{"a":["{short}"],"{long}":1}},"no":"sha256:{}","longer":"{short}0"}}"#,
            "g".repeat(64)
        ));
        assert_eq!(found.blobs[..], [short, long]);
    }

    #[test]
    fn an_image_in_another_spelling_needs_whatever_it_mentions() {
        let layer = Digest::sha256_of(b"l");
        let found = read_text(&format!(
            r#"{{"schemaVersion":2,"Layers":[{{"digest":"{layer}"}}]}}"#
        ));
        assert_eq!(found.blobs[..], [layer]);
    }

    #[test]
    fn schema_1_needs_its_layers() {
        let layer = Digest::sha256_of(b"l");
        let found = read_text(&format!(
            r#"{{"schemaVersion":1,"fsLayers":[{{"blobSum":"{layer}"}}]}}"#
        ));
        assert_eq!(found.blobs[..], [layer]);
    }
}
