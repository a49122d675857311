//! No change of a valid token makes another valid one.

use std::sync::LazyLock;

use proptest::{
    prelude::{ProptestConfig, any, prop_assert},
    prop_oneof,
    sample::Index,
    strategy::Strategy,
};
use serde_json::json;
use wharf_access::token::Verifier;
use wharf_testkit::tokens::Signer;

use crate::scene::{claims, now, pull, trusting};

struct Scene {
    verifier: Verifier,
    tokens: Vec<Vec<u8>>,
}

static SCENE: LazyLock<Scene> = LazyLock::new(|| {
    let signers = ["RS256", "PS512", "ES256", "EdDSA"].map(Signer::new);
    let bundle: String = signers.iter().map(Signer::public_pem).collect();
    let tokens = signers.iter().flat_map(|signer| {
        let headers = [json!({"kid": signer.fingerprint()}), json!({"jwk": signer.jwk()})];
        headers.map(|header| signer.token(header, &claims(&pull())))
    });
    let scene = Scene {
        verifier: trusting(&bundle),
        tokens: tokens.collect(),
    };
    for token in &scene.tokens {
        scene.verifier.verify(token, now()).unwrap();
    }
    scene
});

const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=";

/// One change of some bytes.
#[derive(Debug, Clone)]
enum Change {
    Set(Index, u8),
    Letter(Index, Index),
    Flip(Index, u8),
    Insert(Index, u8),
    Remove(Index, Index),
    Repeat(Index, Index),
    Swap(Index, Index),
}

impl Change {
    fn apply(&self, token: &mut Vec<u8>) {
        let length = token.len();
        match self {
            Self::Set(place, byte) => token[place.index(length)] = *byte,
            Self::Letter(place, letter) => token[place.index(length)] = LETTERS[letter.index(LETTERS.len())],
            Self::Flip(place, bit) => token[place.index(length)] ^= 1 << (bit % 8),
            Self::Insert(place, byte) => token.insert(place.index(length + 1), *byte),
            Self::Remove(one, other) => {
                let (one, other) = (one.index(length), other.index(length));
                // Something stays, so that another change has bytes to change.
                token.drain(one.min(other)..one.max(other));
            }
            Self::Repeat(one, other) => {
                let (one, other) = (one.index(length), other.index(length));
                token.extend_from_within(one.min(other)..one.max(other));
            }
            Self::Swap(one, other) => token.swap(one.index(length), other.index(length)),
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let place = any::<Index>;
    prop_oneof![
        (place(), any::<u8>()).prop_map(|(place, byte)| Change::Set(place, byte)),
        (place(), place()).prop_map(|(place, letter)| Change::Letter(place, letter)),
        (place(), any::<u8>()).prop_map(|(place, bit)| Change::Flip(place, bit)),
        (place(), any::<u8>()).prop_map(|(place, byte)| Change::Insert(place, byte)),
        (place(), place()).prop_map(|(one, other)| Change::Remove(one, other)),
        (place(), place()).prop_map(|(one, other)| Change::Repeat(one, other)),
        (place(), place()).prop_map(|(one, other)| Change::Swap(one, other)),
    ]
}

proptest::proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_mutation_of_a_valid_token_verifies(
        token in any::<Index>(),
        changes in proptest::collection::vec(change(), 1..4),
    ) {
        let scene = &*SCENE;
        let valid = token.get(&scene.tokens);
        let mut mutated = valid.clone();
        for change in &changes {
            change.apply(&mut mutated);
        }
        if mutated != *valid {
            prop_assert!(scene.verifier.authenticate(&mutated, now()).is_err(), "{:?}", changes);
        }
    }

    /// The last letter of each part has bits that mean nothing; they must be zero.
    #[test]
    fn each_letter_of_a_token_counts(token in any::<Index>(), letter in any::<Index>()) {
        let scene = &*SCENE;
        let valid = token.get(&scene.tokens);
        let ends: Vec<usize> = (0..valid.len())
            .filter(|&place| valid.get(place + 1).is_none_or(|&next| next == b'.'))
            .collect();
        for end in ends {
            let mut mutated = valid.clone();
            mutated[end] = LETTERS[letter.index(LETTERS.len())];
            if mutated != *valid {
                prop_assert!(scene.verifier.verify(&mutated, now()).is_err());
            }
        }
    }
}
