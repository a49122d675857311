//! Names of queues that are names of directories at the same time.

use std::fmt;

use wharf_oci::{Algorithm, Digest};

/// How many characters of the text are kept, so that operators recognise it.
const KEPT: usize = 40;

/// The name of a queue: a directory's name that is made of any text, so that different texts have different names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SpoolName(String);

impl SpoolName {
    /// The name for `text`: what is plain of it, and eight digits of its digest.
    pub fn of(text: &str) -> Self {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let plain: String = text
            .chars()
            .take(KEPT)
            .map(|c| if is_plain(c) { c.to_ascii_lowercase() } else { '-' })
            .collect();
        let digest = Digest::of(Algorithm::Sha256, text.as_bytes());
        let hex = digest.hex();
        Self(format!("{plain}-{}", &hex.as_str()[..8]))
    }

    /// The name of the queue's directory.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SpoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_becomes_a_directory_of_its_own() {
        let names: Vec<String> = ["", "Alice", "alice", "a/../b", "a b", "ä", &"x".repeat(500)]
            .into_iter()
            .map(|text| SpoolName::of(text).to_string())
            .collect();
        for name in &names {
            assert!(name.len() < 64, "{name}");
            assert!(
                name.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'),
                "{name}"
            );
        }
        let different: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{names:?}");
        assert!(names[1].starts_with("alice-"), "{names:?}");
    }
}
