//! Digests: what is one, what is told of those that are none, and that they are computed right.

use std::collections::HashSet;

use wharf_oci::{Algorithm, Digest, DigestError, Hasher};

const EMPTY_256: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const ABC_256: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const ABC_512: &str = "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

#[test]
fn digests_are_computed() {
    // The test vectors of FIPS 180-4.
    assert_eq!(Digest::sha256_of(b"").to_string(), EMPTY_256);
    assert_eq!(Digest::sha256_of(b"abc").to_string(), ABC_256);
    assert_eq!(Digest::of(Algorithm::Sha512, b"abc").to_string(), ABC_512);
}

#[test]
fn a_hasher_takes_pieces_and_can_be_cloned() {
    for (algorithm, expected) in [(Algorithm::Sha256, ABC_256), (Algorithm::Sha512, ABC_512)] {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(b"a");
        let mut clone = hasher.clone();
        hasher.update(b"");
        hasher.update(b"bc");
        clone.update(b"x");
        assert_eq!(hasher.algorithm(), algorithm);
        assert_eq!(hasher.finish().to_string(), expected);
        assert_eq!(clone.finish(), Digest::of(algorithm, b"ax"));
    }
}

#[test]
fn a_digest_is_taken_apart() {
    for (text, algorithm) in [(ABC_256, Algorithm::Sha256), (ABC_512, Algorithm::Sha512)] {
        let digest: Digest = text.parse().unwrap();
        assert_eq!(digest.algorithm(), algorithm);
        assert_eq!(digest.hex().as_str(), &text[7..]);
        assert_eq!(digest.hex().to_string(), &text[7..]);
        assert_eq!(digest.text().as_str(), text);
        assert_eq!(digest.bytes().len(), algorithm.byte_len());
        assert_eq!(digest.hex().as_str().len(), algorithm.hex_len());
        assert_eq!(Digest::from_bytes(algorithm, digest.bytes()), Some(digest));
        assert_eq!(format!("{digest:?}"), text);
        assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
    }
    assert_eq!(Digest::from_bytes(Algorithm::Sha256, &[0; 31]), None);
    assert_eq!(Digest::from_bytes(Algorithm::Sha256, &[0; 64]), None);
    assert_eq!(Digest::from_bytes(Algorithm::Sha512, &[0; 32]), None);
}

#[test]
fn every_byte_has_its_two_digits() {
    let bytes: Vec<u8> = (0..=255).collect();
    for piece in bytes.chunks(32) {
        let digest = Digest::from_bytes(Algorithm::Sha256, piece).unwrap();
        let expected: String = piece.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest.hex().as_str(), expected);
        assert_eq!(format!("sha256:{expected}").parse(), Ok(digest));
    }
}

#[test]
fn no_other_character_is_a_digit() {
    for character in (0..=0x7f_u8).map(char::from).chain(['é', '€', '\u{ff11}', '𝟘']) {
        for position in [1, 2, 63, 64] {
            let mut digits: Vec<char> = "0".repeat(64).chars().collect();
            digits[position - 1] = character;
            let text: String = "sha256:".chars().chain(digits).collect();
            let expected = match character {
                '0'..='9' | 'a'..='f' => None,
                'A'..='F' => Some(DigestError::UpperCase),
                _ => Some(DigestError::NotHex { character, position }),
            };
            assert_eq!(
                text.parse::<Digest>().err(),
                expected,
                "{character:?} at {position}"
            );
        }
    }
}

#[test]
fn what_is_wrong_is_said() {
    let table = [
        (
            "latest",
            "a digest is written `<algorithm>:<hex digits>`, such as `sha256:` and 64 hex digits; the colon is missing",
        ),
        (
            "",
            "a digest is written `<algorithm>:<hex digits>`, such as `sha256:` and 64 hex digits; the colon is missing",
        ),
        (
            "sha256:",
            "64 hex digits expected after `sha256:`, got 0; the digest was cut off",
        ),
        (
            &EMPTY_256[..52],
            "64 hex digits expected after `sha256:`, got 45; the digest was cut off",
        ),
        (
            &format!("{EMPTY_256}0"),
            "64 hex digits expected after `sha256:`, got 65; the digest is too long",
        ),
        (
            &format!("{EMPTY_256}\n"),
            "64 hex digits expected after `sha256:`, got 65; the digest is too long",
        ),
        (
            &ABC_512[..70],
            "128 hex digits expected after `sha512:`, got 63; the digest was cut off",
        ),
        (
            "md5:d41d8cd98f00b204e9800998ecf8427e",
            "unknown digest algorithm `md5`; supported are `sha256` and `sha512`",
        ),
        (
            ":abc",
            "unknown digest algorithm ``; supported are `sha256` and `sha512`",
        ),
        (
            &EMPTY_256.replace("sha", "SHA"),
            "unknown digest algorithm `SHA256`; supported are `sha256` and `sha512`",
        ),
        (
            "sha384:00",
            "unknown digest algorithm `sha384`; supported are `sha256` and `sha512`",
        ),
        (
            "sha256+b64:00",
            "unknown digest algorithm `sha256+b64`; supported are `sha256` and `sha512`",
        ),
        (
            &EMPTY_256.replace("e3b", "E3B"),
            "the hex digits of a digest are written in lower case; write `a-f`, not `A-F`",
        ),
        (
            &EMPTY_256.replace("b0c", "b0x"),
            "a digest holds only the hex digits `0-9` and `a-f`; character 5 after the colon is `x`",
        ),
    ];
    for (text, message) in table {
        assert_eq!(text.parse::<Digest>().unwrap_err().to_string(), message, "{text}");
    }
}

#[test]
fn a_long_algorithm_is_not_repeated_in_full() {
    let error = format!("{}:00", "x".repeat(100_000))
        .parse::<Digest>()
        .unwrap_err();
    let expected = format!(
        "unknown digest algorithm `{}…`; supported are `sha256` and `sha512`",
        "x".repeat(80)
    );
    assert_eq!(error.to_string(), expected);
    let DigestError::UnknownAlgorithm { algorithm } = error else {
        panic!("{error}")
    };
    assert!(algorithm.len() < 100);
}

#[test]
fn digests_order_and_compare_as_their_texts_do() {
    let mut texts: Vec<String> = (0..100_u8)
        .map(|byte| Digest::sha256_of(&[byte]).to_string())
        .collect();
    texts.extend((0..100_u8).map(|byte| Digest::of(Algorithm::Sha512, &[byte]).to_string()));
    let mut digests: Vec<Digest> = texts.iter().map(|text| text.parse().unwrap()).collect();
    texts.sort();
    digests.sort();
    assert_eq!(digests.iter().map(Digest::to_string).collect::<Vec<_>>(), texts);
    assert_eq!(digests.iter().collect::<HashSet<_>>().len(), 200);
    // The same bytes under another algorithm are another digest, also where one is a prefix of the other.
    let short = Digest::from_bytes(Algorithm::Sha256, &[0; 32]).unwrap();
    let long = Digest::from_bytes(Algorithm::Sha512, &[0; 64]).unwrap();
    assert_ne!(short, long);
}

#[test]
fn digests_are_strings_in_json() {
    let digest = Digest::sha256_of(b"");
    let json = serde_json::to_string(&digest).unwrap();
    assert_eq!(json, format!("\"{EMPTY_256}\""));
    assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
    // Escapes make an owned string of it, which must do as well.
    assert_eq!(
        serde_json::from_str::<Digest>(&json.replace(':', "\\u003a")).unwrap(),
        digest
    );
    let error = serde_json::from_str::<Digest>("\"sha256:00\"")
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("64 hex digits expected"), "{error}");
    assert!(serde_json::from_str::<Digest>("5").is_err());
}

#[test]
fn a_digest_can_be_padded() {
    let digest = Digest::sha256_of(b"");
    assert_eq!(format!("{digest:>73}|"), format!("  {EMPTY_256}|"));
    assert_eq!(format!("{:.12}", digest.hex()), &EMPTY_256[7..19]);
}

#[test]
fn a_hasher_goes_on_from_a_saved_state() {
    for algorithm in Algorithm::ALL {
        for length in [0, 1, 63, 64, 127, 128, 1000] {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(&vec![7; length]);
            let state = hasher.save();
            let mut restored = Hasher::restore(algorithm, &state).unwrap();
            restored.update(b"rest");
            let content = [vec![7; length], b"rest".to_vec()].concat();
            assert_eq!(restored.finish(), Digest::of(algorithm, &content), "{length}");
            for wrong in ["", "0", "zz", &state[1..], &state[2..], &format!("{state}00")] {
                assert!(Hasher::restore(algorithm, wrong).is_none(), "{wrong}");
            }
        }
    }
}
