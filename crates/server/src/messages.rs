//! The sentences of services, compared with the texts that pages have for them.

use std::collections::{BTreeMap, BTreeSet};

use wharf_message::Code;
use wharf_pages::{Lang, places_of_sentences};

use crate::{
    api::problem::{FIELDS, Kind},
    words::{EndedEarly, MissingFiles, Refused, Unknown},
};

/// The sentences of this crate.
const OURS: [&[Code]; 6] = [
    Kind::CODES,
    FIELDS,
    Refused::CODES,
    Unknown::CODES,
    MissingFiles::CODES,
    EndedEarly::CODES,
];

#[test]
fn each_sentence_of_a_service_has_a_text_in_each_language_with_the_same_arguments() {
    let codes = OURS.iter().chain(wharf_registry::MESSAGES).copied().flatten();
    let wanted: BTreeMap<&str, BTreeSet<&str>> = codes
        .map(|code| (code.code, code.arguments.iter().copied().collect()))
        .collect();
    for lang in [Lang::Ru, Lang::Zh, Lang::Es] {
        let found: BTreeMap<&str, BTreeSet<&str>> = places_of_sentences(lang).collect();
        let missing: Vec<&&str> = wanted.keys().filter(|code| !found.contains_key(*code)).collect();
        assert!(missing.is_empty(), "{lang} has no text for {missing:?}");
        let unused: Vec<&&str> = found.keys().filter(|code| !wanted.contains_key(*code)).collect();
        assert!(
            unused.is_empty(),
            "no service says {unused:?}, for which {lang} has a text"
        );
        for (code, arguments) in &wanted {
            assert_eq!(&found[code], arguments, "{lang}: {code}");
        }
    }
}

#[test]
fn each_code_is_said_by_one_service() {
    let mut seen = BTreeSet::new();
    for code in OURS.iter().chain(wharf_registry::MESSAGES).copied().flatten() {
        assert!(
            seen.insert(code.code),
            "two sentences have the code `{}`",
            code.code
        );
    }
}
