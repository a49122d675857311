//! What an artifact is to its users: a signature, a bill of materials, an attestation, or something else.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

/// The kinds of artifacts that refer to images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Signature,
    Sbom,
    Attestation,
    Other,
}

/// Parts of types, and of types of predicates, that bills of materials have.
const BILLS: [&str; 4] = ["spdx", "cyclonedx", "syft", "sbom"];

/// Beginnings of types that attestations have.
const ATTESTATIONS: [&str; 4] = [
    "application/vnd.in-toto",
    "application/vnd.dsse.envelope",
    "application/vnd.dev.cosign.artifact.att",
    "application/vnd.docker.attestation",
];

/// Beginnings of types that signatures have.
const SIGNATURES: [&str; 4] = [
    "application/vnd.dev.cosign.artifact.sig",
    "application/vnd.dev.cosign.simplesigning",
    "application/vnd.dev.sigstore.bundle",
    "application/vnd.cncf.notary.signature",
];

/// Annotations that name the type of what is attested.
const PREDICATES: [&str; 3] = [
    "dev.sigstore.bundle.predicateType",
    "in-toto.io/predicate-type",
    "predicateType",
];

impl Kind {
    /// The kind of an artifact with this type and these annotations.
    pub(super) fn of(artifact_type: &str, annotations: &BTreeMap<String, String>) -> Self {
        let begins = |known: &[&str]| known.iter().any(|start| artifact_type.starts_with(start));
        let is_bill = |text: &str| {
            let text = text.to_ascii_lowercase();
            BILLS.iter().any(|part| text.contains(part))
        };
        let predicate = PREDICATES.iter().find_map(|name| annotations.get(*name));
        match predicate {
            Some(predicate) if is_bill(predicate) => Self::Sbom,
            Some(_) => Self::Attestation,
            None if begins(&SIGNATURES) => Self::Signature,
            None if begins(&ATTESTATIONS) => Self::Attestation,
            None if is_bill(artifact_type) => Self::Sbom,
            None => Self::Other,
        }
    }

    /// The kind of what cosign keeps at a tag with this ending.
    pub(super) fn of_ending(ending: &str) -> Self {
        match ending {
            "sig" => Self::Signature,
            "sbom" => Self::Sbom,
            "att" => Self::Attestation,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signature => "signature",
            Self::Sbom => "sbom",
            Self::Attestation => "attestation",
            Self::Other => "other",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_type_and_predicate() {
        let none = BTreeMap::new();
        let with = |predicate: &str| {
            BTreeMap::from([(
                "dev.sigstore.bundle.predicateType".to_owned(),
                predicate.to_owned(),
            )])
        };
        let bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
        for (artifact_type, annotations, kind) in [
            (bundle, &none, Kind::Signature),
            (bundle, &with("https://spdx.dev/Document"), Kind::Sbom),
            (bundle, &with("https://slsa.dev/provenance/v1"), Kind::Attestation),
            ("application/vnd.cncf.notary.signature", &none, Kind::Signature),
            ("application/spdx+json", &none, Kind::Sbom),
            ("application/vnd.cyclonedx+json", &none, Kind::Sbom),
            ("application/vnd.in-toto+json", &none, Kind::Attestation),
            ("application/vnd.example.report", &none, Kind::Other),
        ] {
            assert_eq!(Kind::of(artifact_type, annotations), kind, "{artifact_type}");
        }
        assert_eq!(Kind::of_ending("sig"), Kind::Signature);
    }
}
