//! Keys that certificates vouch for.

use serde_json::{Value, json};
use wharf_access::token::{ChainFault, Claims, Rejection, Verifier};
use wharf_testkit::tokens::{Certificate, Signer, Wanted, x5c};

use crate::scene::{NOW, at, claims, claims_with, now, pull, trusting};

/// A root, a certificate that it signed, and the key that this one vouches for.
struct House {
    root: Signer,
    root_wanted: Wanted,
    between: Signer,
    between_wanted: Wanted,
    key: Signer,
}

impl House {
    fn new() -> Self {
        Self {
            root: Signer::new("RS256"),
            root_wanted: Wanted::authority("root"),
            between: Signer::new("ES384"),
            between_wanted: Wanted::authority("between"),
            key: Signer::new("ES256"),
        }
    }

    fn verifier(&self) -> Verifier {
        trusting(&self.root.self_signed(&self.root_wanted).pem())
    }

    fn between(&self) -> Certificate {
        self.root
            .certify(&self.root_wanted, &self.between, &self.between_wanted)
    }

    fn leaf(&self, wanted: &Wanted) -> Certificate {
        self.between.certify(&self.between_wanted, &self.key, wanted)
    }

    fn verify(&self, chain: &Value) -> Result<Claims, Rejection> {
        verify(&self.verifier(), &self.key, json!({"x5c": chain}))
    }
}

fn verify(verifier: &Verifier, signer: &Signer, header: Value) -> Result<Claims, Rejection> {
    verifier.verify(&signer.token(header, &claims(&pull())), now())
}

#[test]
fn a_chain_leads_to_a_root_of_the_bundle() {
    let house = House::new();
    let (between, leaf) = (house.between(), house.leaf(&Wanted::leaf("key")));
    let root = house.root.self_signed(&house.root_wanted);
    house.verify(&x5c(&[&leaf, &between])).unwrap();
    house.verify(&x5c(&[&leaf, &between, &root])).unwrap();
    house.verify(&x5c(&[&leaf, &root, &between])).unwrap();
    let direct = house
        .root
        .certify(&house.root_wanted, &house.key, &Wanted::leaf("key"));
    house.verify(&x5c(&[&direct])).unwrap();

    let mut jwk = house.key.jwk();
    jwk["x5c"] = x5c(&[&leaf, &between]);
    verify(&house.verifier(), &house.key, json!({"jwk": jwk})).unwrap();
}

#[test]
fn a_chain_to_another_root_is_refused() {
    let (house, other) = (House::new(), House::new());
    let refused = |chain: Value, fault: ChainFault| {
        assert_eq!(house.verify(&chain), Err(Rejection::Chain(fault)));
    };
    let own = house.leaf(&Wanted::leaf("key"));
    // The same names, other keys.
    let foreign = other
        .between
        .certify(&other.between_wanted, &house.key, &Wanted::leaf("key"));
    let other_root = other.root.self_signed(&other.root_wanted);
    let error = house
        .verify(&x5c(&[&foreign, &other.between(), &other_root]))
        .unwrap_err();
    assert!(matches!(error, Rejection::Chain(_)), "{error}");
    let unknown = Wanted::authority("unknown");
    let elsewhere = other.root.certify(&unknown, &house.key, &Wanted::leaf("key"));
    refused(x5c(&[&elsewhere]), ChainFault::UnknownRoot);
    refused(x5c(&[&own]), ChainFault::UnknownRoot);
    let alone = house.key.self_signed(&Wanted::leaf("key"));
    refused(x5c(&[&alone]), ChainFault::UnknownRoot);
    // A leaf that signs.
    let by_leaf = house
        .key
        .certify(&Wanted::leaf("key"), &house.key, &Wanted::leaf("below"));
    assert!(house.verify(&x5c(&[&by_leaf, &own, &house.between()])).is_err());

    refused(json!(["AAAA"]), ChainFault::Damaged(1));
    refused(json!(["%"]), ChainFault::Damaged(1));
    refused(json!([x5c(&[&own])[0], "="]), ChainFault::Damaged(2));
    refused(x5c(&[&own; 5]), ChainFault::TooLong);
}

#[test]
fn a_certificate_counts_between_its_dates() {
    let mut house = House::new();
    let old = house.leaf(&Wanted::leaf("key").years(2020, 2026));
    let error = house.verify(&x5c(&[&old, &house.between()]));
    assert_eq!(error, Err(Rejection::Chain(ChainFault::Expired)));
    let young = house.leaf(&Wanted::leaf("key").years(2028, 2030));
    let error = house.verify(&x5c(&[&young, &house.between()]));
    assert_eq!(error, Err(Rejection::Chain(ChainFault::NotYetValid)));

    let leaf = house.leaf(&Wanted::leaf("key"));
    house.between_wanted = house.between_wanted.years(2020, 2026);
    assert!(house.verify(&x5c(&[&leaf, &house.between()])).is_err());
    let mut house = House::new();
    house.root_wanted = house.root_wanted.years(2020, 2026);
    let leaf = house.leaf(&Wanted::leaf("key"));
    let chain = x5c(&[&leaf, &house.between()]);
    let error = house.verify(&chain);
    assert_eq!(error, Err(Rejection::Chain(ChainFault::UnknownRoot)));

    // The root has got a new certificate for its key.
    let renewed = Wanted::authority("root");
    let bundle =
        [&house.root_wanted, &renewed, &house.root_wanted].map(|wanted| house.root.self_signed(wanted).pem());
    verify(&trusting(&bundle.concat()), &house.key, json!({"x5c": chain})).unwrap();
}

/// A certificate that ends before the token ends the token, also when it is remembered.
#[test]
fn a_token_ends_with_the_certificates_that_vouch_for_it() {
    const END_OF_2027: i64 = 1_830_297_600; // 2028-01-01
    let house = House::new();
    let verifier = house.verifier();
    let leaf = house.leaf(&Wanted::leaf("key").years(2026, 2028));
    let chain = x5c(&[&leaf, &house.between()]);
    let token = house.key.token(
        json!({"x5c": chain}),
        &claims_with("exp", json!(END_OF_2027 + 1000)),
    );
    verifier.authenticate(&token, at(NOW)).unwrap();
    assert!(verifier.recognise(&token, at(END_OF_2027 - 1)).is_some());
    assert!(verifier.recognise(&token, at(END_OF_2027 + 1)).is_none());
    assert!(verifier.authenticate(&token, at(END_OF_2027 + 1)).is_err());
}

/// Many token servers sign with a key whose self-signed certificate is the bundle, authority or not.
#[test]
fn a_certificate_of_the_bundle_vouches_for_its_own_key() {
    for wanted in [Wanted::leaf("token server"), Wanted::authority("token server")] {
        let signer = Signer::new("RS256");
        let certificate = signer.self_signed(&wanted);
        let verifier = trusting(&certificate.pem());
        verify(&verifier, &signer, json!({"x5c": x5c(&[&certificate])})).unwrap();
    }
    // Its dates count in `x5c`; its key stays trusted by name, as in registry:2.
    let signer = Signer::new("RS256");
    let certificate = signer.self_signed(&Wanted::leaf("old").years(2020, 2026));
    let verifier = trusting(&certificate.pem());
    assert_eq!(
        verify(&verifier, &signer, json!({"x5c": x5c(&[&certificate])})),
        Err(Rejection::Chain(ChainFault::Expired))
    );
    verify(&verifier, &signer, json!({"kid": signer.fingerprint()})).unwrap();
}

#[test]
fn a_certificate_that_is_no_authority_vouches_for_no_other() {
    let (signer, other) = (Signer::new("ES256"), Signer::new("ES256"));
    let wanted = Wanted::leaf("token server");
    let verifier = trusting(&signer.self_signed(&wanted).pem());
    let below = signer.certify(&wanted, &other, &Wanted::leaf("below"));
    assert_eq!(
        verify(&verifier, &other, json!({"x5c": x5c(&[&below])})),
        Err(Rejection::Chain(ChainFault::UnknownRoot))
    );
}

/// Unlike registry:2, which lets the key of any certificate sign tokens.
#[test]
fn the_key_of_an_authority_below_the_root_signs_no_tokens() {
    let house = House::new();
    let header = || json!({"x5c": x5c(&[&house.between()])});
    assert_eq!(
        verify(&house.verifier(), &house.between, header()),
        Err(Rejection::Chain(ChainFault::Authority))
    );
}

/// A chain that verifies says nothing about a token that another key signed.
#[test]
fn a_borrowed_chain_is_refused() {
    let house = House::new();
    let chain = x5c(&[&house.leaf(&Wanted::leaf("key")), &house.between()]);
    let thief = Signer::new("ES256");
    assert_eq!(
        verify(&house.verifier(), &thief, json!({"x5c": chain})),
        Err(Rejection::Signature)
    );
    let mut jwk = thief.jwk();
    jwk["x5c"] = chain;
    assert_eq!(
        verify(&house.verifier(), &thief, json!({"jwk": jwk})),
        Err(Rejection::Chain(ChainFault::Key))
    );
    // A damaged chain is not made good by a trusted id.
    let header = json!({"x5c": ["AAAA"], "kid": house.root.fingerprint()});
    assert!(matches!(
        verify(&house.verifier(), &house.root, header),
        Err(Rejection::Chain(_))
    ));
}
