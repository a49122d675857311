//! The image that an operator puts beside the name of the registry.

use std::fmt;

use bytes::Bytes;
use wharf_oci::Digest;

/// An image for the bar of the page. It is answered with a policy of its own, so that a script in an SVG does not run, and the page
/// shows it as an image alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Logo {
    bytes: Bytes,
    media_type: &'static str,
    /// The beginning of its digest
    name: String,
}

impl Logo {
    /// The image in `bytes`; `None`: they are no PNG, JPEG or SVG.
    pub fn of(bytes: Vec<u8>) -> Option<Self> {
        let media_type = if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            "image/png"
        } else if bytes.starts_with(b"\xff\xd8\xff") {
            "image/jpeg"
        } else if is_svg(&bytes) {
            "image/svg+xml"
        } else {
            return None;
        };
        let digest = Digest::sha256_of(&bytes);
        Some(Self {
            name: digest.hex().as_str()[..16].to_owned(),
            bytes: bytes.into(),
            media_type,
        })
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Its name in addresses, which changes with the image.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn media_type(&self) -> &'static str {
        self.media_type
    }
}

impl fmt::Debug for Logo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes", self.media_type, self.bytes.len())
    }
}

/// Whether a text is an SVG: its first element is `svg`, behind a declaration and comments.
fn is_svg(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    loop {
        let end = match rest {
            _ if rest.starts_with("<!--") => "-->",
            _ if rest.starts_with("<?") => "?>",
            _ if rest.starts_with("<!") => ">",
            _ => break,
        };
        let Some((_, after)) = rest.split_once(end) else {
            return false;
        };
        rest = after.trim_start();
    }
    let name = rest.strip_prefix("<svg").unwrap_or_default();
    name.starts_with(|next: char| next.is_whitespace() || next == '>')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_its_content() {
        for (bytes, expected) in [
            (&b"\x89PNG\r\n\x1a\nrest"[..], Some("image/png")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (
                b"<svg xmlns='http://www.w3.org/2000/svg'/>",
                Some("image/svg+xml"),
            ),
            (
                b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- a > b -->\n<!DOCTYPE svg>\n<svg>",
                Some("image/svg+xml"),
            ),
            (b"<html><svg/></html>", None),
            (b"<svga>", None),
            (b"<!-- <svg>", None),
            (b"GIF89a", None),
            (b"", None),
            (b"\xff\xfe<svg>", None),
        ] {
            let logo = Logo::of(bytes.to_vec());
            assert_eq!(logo.as_ref().map(Logo::media_type), expected, "{bytes:?}");
        }
    }
}
