//! Files of trusted keys, and the problems in them.

use serde_json::{Value, json};
use wharf_access::token::{Problem, TrustedKeys};
use wharf_testkit::tokens::{Signer, Wanted};

fn told(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_bundle_has_several_certificates_and_keys() {
    let (one, other, bare) = (Signer::new("ES256"), Signer::new("EdDSA"), Signer::new("ES512"));
    let text = format!(
        "# a comment\n{}\nbetween\n{}{}",
        one.self_signed(&Wanted::leaf("one")).pem(),
        other
            .self_signed(&Wanted::authority("other"))
            .pem()
            .replace('\n', "\r\n"),
        bare.public_pem(),
    );
    let mut keys = TrustedKeys::default();
    assert!(keys.is_empty());
    assert_eq!(keys.add_bundle(text.as_bytes()), Ok(Vec::new()));
    assert_eq!(keys.len(), 3);
    assert_eq!(keys.add_bundle(text.as_bytes()), Ok(Vec::new()));
    assert_eq!(keys.len(), 3, "the same keys again");
    let marked = format!("\u{feff}{}", bare.public_pem());
    assert_eq!(
        TrustedKeys::default().add_bundle(marked.as_bytes()),
        Ok(Vec::new())
    );
}

#[test]
fn each_problem_of_a_bundle_is_told_with_its_place() {
    let signer = Signer::new("ES256");
    let good = signer.self_signed(&Wanted::leaf("one")).pem();
    let private = signer.private_pem();
    let text = format!(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n\
         {private}-----BEGIN CERTIFICATE-----\nno base64!\n-----END CERTIFICATE-----\n\
         -----BEGIN DH PARAMETERS-----\nAAAA\n-----END DH PARAMETERS-----\n{good}-----BEGIN CERTIFICATE-----\nAAAA\n"
    );
    let mut keys = TrustedKeys::default();
    let problems = told(&keys.add_bundle(text.as_bytes()).unwrap());
    assert_eq!(problems.len(), 5, "{problems:#?}");
    assert_eq!(problems[0], "part 1 (line 1): the certificate is damaged");
    assert!(
        problems[1].starts_with("part 2 (line 4): is a private key"),
        "{}",
        problems[1]
    );
    assert!(
        problems[2].contains("part 3") && problems[2].contains("no whole PEM"),
        "{}",
        problems[2]
    );
    assert!(
        problems[3].contains("part 4") && problems[3].contains("neither"),
        "{}",
        problems[3]
    );
    assert!(
        problems[4].contains("part 6") && problems[4].contains("no whole PEM"),
        "{}",
        problems[4]
    );
    assert_eq!(keys.len(), 1);
}

#[test]
fn a_bundle_without_a_usable_key_is_an_error() {
    let mut keys = TrustedKeys::default();
    for text in ["", "no PEM", "-----BEGIN CERTIFICATE-----"] {
        let error = keys.add_bundle(text.as_bytes()).unwrap_err().to_string();
        assert!(
            error.starts_with("has no certificate or public key that can verify a token"),
            "{error}"
        );
    }
    let private = Signer::new("ES256").private_pem();
    let error = keys.add_bundle(private.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("; part 1 (line 1): is a private key"), "{error}");
    assert!(!error.contains(private.lines().nth(1).unwrap()));
    assert!(keys.is_empty());
}

#[test]
fn each_problem_of_a_jwks_is_told_with_its_place() {
    let good = Signer::new("RS256").jwk();
    let with = |name: &str, value: Value| {
        let mut jwk = good.clone();
        jwk[name] = value;
        jwk
    };
    let document = json!({"keys": [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "shared"},
        {"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"},
        with("use", json!("enc")),
        with("key_ops", json!(["sign"])),
        with("alg", json!("ES256")),
        with("alg", json!("HS256")),
        with("n", json!("AQAB")),
        with("n", json!("a+b")),
        with("e", Value::Null),
        {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
        "text",
        with("d", json!("the private part")),
    ]});
    let mut keys = TrustedKeys::default();
    let problems = told(&keys.add_jwks(document.to_string().as_bytes()).unwrap());
    let expected = [
        "key 1 (\"shared\"): is a shared secret",
        "key 2: has the `crv` \"secp256k1\"",
        "key 3: is not for signatures, by its `use`",
        "key 4: is not for signatures, by its `key_ops`",
        "key 5: has the `alg` `ES256`, which needs another kind of key",
        "key 6: has an `alg` that cannot be used: `HS256`",
        "key 7: is an RSA key of 17 bits",
        "key 8: has a `n` that is not base64url",
        "key 9: has no `e`",
        "key 10: has an `x` or a `y` that is not as long",
        "key 11: is not an object of texts",
        "key 12: is used, and has its private part",
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.starts_with(expected), "{problem}");
        assert!(!problem.contains("the private part") && !problem.contains("c2VjcmV0"));
    }
    assert_eq!(keys.len(), 1);
}

#[test]
fn a_jwks_without_a_usable_key_is_an_error() {
    let mut keys = TrustedKeys::default();
    for (text, words) in [
        (
            "",
            "is not a JSON Web Key Set, `{\"keys\": [{\"kty\": …}]}` (line 1)",
        ),
        ("{\n\"keys\": [}", "(line 2)"),
        ("[]", "is not a JSON Web Key Set"),
        ("{\"kty\": \"EC\"}", "is not a JSON Web Key Set"),
        ("{\"keys\": {}}", "is not a JSON Web Key Set"),
        ("{\"keys\": []}", "has no key that can verify a token"),
        ("{\"keys\": [{\"kty\": \"oct\"}]}", "; key 1: is a shared secret"),
    ] {
        let error = keys.add_jwks(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
    assert!(keys.is_empty());
}
