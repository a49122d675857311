//! Digests as text, computed independently of the server.

use sha2::Digest as _;

/// `sha256:<hex>` of `bytes`.
pub fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&sha2::Sha256::digest(bytes)))
}

/// `sha512:<hex>` of `bytes`.
pub fn sha512(bytes: &[u8]) -> String {
    format!("sha512:{}", hex(&sha2::Sha512::digest(bytes)))
}

/// The digest of `bytes` with the algorithm of `like`.
pub fn same_algorithm(like: &str, bytes: &[u8]) -> String {
    match like.split_once(':') {
        Some(("sha256", _)) => sha256(bytes),
        Some(("sha512", _)) => sha512(bytes),
        _ => panic!("`{like}` is neither a sha256 nor a sha512 digest"),
    }
}

/// A well-formed digest of bytes that no test pushes, different for each `seed`.
pub fn unknown(seed: u64) -> String {
    sha256(format!("never pushed {seed}").as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source: FIPS 180-4, the examples for "abc".
    #[test]
    fn known_answers() {
        assert_eq!(
            sha256(b"abc"),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(sha512(b"abc").starts_with("sha512:ddaf35a193617abacc417349ae204131"));
    }
}
