//! Whether all that a manifest names was found in it: what is not found would be missing from a copy that calls itself whole.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use wharf_oci::ManifestView;

/// The first digest in a manifest that is none of the references in `view`. Annotations are free text, and not looked at.
pub(super) fn unknown(bytes: &[u8], view: &ManifestView) -> Option<String> {
    let known = view
        .blobs()
        .chain(view.children())
        .chain(&view.subject)
        .map(|descriptor| descriptor.digest.to_string())
        .collect();
    let text = String::from_utf8_lossy(bytes);
    let mut unknown = None;
    let walk = Walk {
        known: &known,
        unknown: &mut unknown,
    };
    let mut json = serde_json::Deserializer::from_str(&text);
    // The view was read from the same bytes, so this fails for a digest that is unknown, or for a depth that no manifest has.
    match walk.deserialize(&mut json) {
        Ok(()) => None,
        Err(error) => Some(unknown.unwrap_or_else(|| error.to_string())),
    }
}

/// A value of any kind, with the digests in it.
struct Walk<'a> {
    known: &'a HashSet<String>,
    unknown: &'a mut Option<String>,
}

/// The value of a key `digest`.
struct Named<'a>(Walk<'a>);

impl Walk<'_> {
    fn again(&mut self) -> Walk<'_> {
        Walk {
            known: self.known,
            unknown: self.unknown,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match &*key {
                "annotations" => _ = map.next_value::<IgnoredAny>()?,
                "digest" => map.next_value_seed(Named(self.again()))?,
                _ => map.next_value_seed(self.again())?,
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(self.again())?.is_some() {}
        Ok(())
    }

    fn visit_str<E>(self, _text: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _value: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _number: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _number: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _number: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Named<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Named<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a digest")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        if self.0.known.contains(text) {
            return Ok(());
        }
        *self.0.unknown = Some(text.chars().take(200).collect());
        Err(E::custom("a reference that is not known"))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.0.visit_map(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<(), A::Error> {
        self.0.visit_seq(list)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<(), E> {
        *self.0.unknown = Some(number.to_string());
        Err(E::custom("a reference that is not known"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use wharf_oci::{Digest, media_type};

    use super::*;

    fn found(value: &Value) -> Option<String> {
        let bytes = serde_json::to_vec(value).unwrap();
        unknown(&bytes, &ManifestView::parse_stored(&bytes).unwrap())
    }

    #[test]
    fn what_the_view_leaves_out_is_found() {
        let digest = |text: &str| Digest::sha256_of(text.as_bytes()).to_string();
        let blob = |text: &str| json!({"mediaType": "a/b", "size": 1, "digest": digest(text)});
        let image = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": blob("config"),
            "layers": [blob("layer")], "subject": blob("subject"), "annotations": {"digest": "free text"}, "other": [1, 1.5, true, null]});
        assert_eq!(found(&image), None);
        let index =
            json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [blob("child")]});
        assert_eq!(found(&index), None);
        for (place, value) in [
            ("/layers/0/digest", json!("blake3:0123")),
            ("/layers/0/digest", json!(digest("layer").to_uppercase())),
            ("/config/digest", json!(7)),
            ("/other/0", blob("elsewhere")),
            ("/config", json!([blob("config")])),
        ] {
            let mut changed = image.clone();
            *changed.pointer_mut(place).unwrap() = value;
            assert!(found(&changed).is_some(), "{place}");
        }
    }
}
