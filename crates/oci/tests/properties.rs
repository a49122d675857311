//! What holds for any input: what is parsed is shown as it was, and what is shown is parsed again.

use proptest::prelude::*;
use wharf_oci::{
    Algorithm, ChunkRange, Descriptor, Digest, Hasher, ManifestKind, ManifestView, PageRequest, Platform,
    RangeRequest, Reference, RepoName, Route, Tag, UploadId, clean_path, link, media_type, parse_range,
    query_pairs, query_value, referrers_tag,
};

fn digests() -> impl Strategy<Value = Digest> {
    (any::<bool>(), any::<[u8; 16]>()).prop_map(|(long, seed)| {
        Digest::of(
            if long {
                Algorithm::Sha512
            } else {
                Algorithm::Sha256
            },
            &seed,
        )
    })
}

/// Names by the grammar, some of their components words of the API.
fn names() -> impl Strategy<Value = RepoName> {
    let word = "[a-z0-9]{1,6}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}";
    let component = prop_oneof![
        3 => word.prop_map(|word| word),
        1 => "manifests|blobs|uploads|tags|list|referrers|v2".prop_map(|word| word),
    ];
    prop::collection::vec(component, 1..6).prop_map(|components| {
        components
            .join("/")
            .parse()
            .expect("the strategy follows the grammar")
    })
}

fn tags() -> impl Strategy<Value = Tag> {
    "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}".prop_map(|tag| tag.parse().expect("the strategy follows the grammar"))
}

fn upload_ids() -> impl Strategy<Value = UploadId> {
    "[a-zA-Z0-9_=-][a-zA-Z0-9_.=-]{0,127}"
        .prop_map(|id| id.parse().expect("the strategy follows the grammar"))
}

fn references() -> impl Strategy<Value = Reference> {
    prop_oneof![
        tags().prop_map(Reference::Tag),
        digests().prop_map(Reference::Digest)
    ]
}

fn routes() -> impl Strategy<Value = Route> {
    prop_oneof![
        Just(Route::Base),
        Just(Route::Catalog),
        names().prop_map(Route::Tags),
        (names(), references()).prop_map(|(name, reference)| Route::Manifest(name, reference)),
        (names(), digests()).prop_map(|(name, digest)| Route::Blob(name, digest)),
        names().prop_map(Route::Uploads),
        (names(), upload_ids()).prop_map(|(name, id)| Route::Upload(name, id)),
        (names(), digests()).prop_map(|(name, digest)| Route::Referrers(name, digest)),
    ]
}

fn descriptors() -> impl Strategy<Value = Descriptor> {
    let annotations = prop::option::of(prop::collection::btree_map(
        any::<String>(),
        any::<String>(),
        1..3,
    ));
    let platform = ("[a-z]{0,4}", "[a-z]{0,4}", prop::option::of("[a-z0-9]{1,3}")).prop_map(
        |(architecture, os, variant)| Platform {
            architecture,
            os,
            variant,
        },
    );
    let small = (
        prop::option::of(".{0,8}"),
        prop::collection::vec(any::<String>(), 0..2),
        prop::option::of(platform),
    );
    (
        "[a-z]{1,5}/[a-z.+]{1,9}",
        digests(),
        0..=i64::MAX.unsigned_abs(),
        annotations,
        small,
    )
        .prop_map(
            |(media_type, digest, size, annotations, (artifact_type, urls, platform))| Descriptor {
                media_type,
                digest,
                size,
                artifact_type,
                annotations,
                urls,
                platform,
            },
        )
}

/// Percent-encodes the bytes that `which` selects, but no slash.
fn encoded(path: &str, which: &[bool]) -> String {
    let mut which = which.iter().cycle();
    path.chars()
        .map(|character| match which.next() {
            Some(true) if character != '/' => format!("%{:02X}", u32::from(character)),
            _ => character.to_string(),
        })
        .collect()
}

proptest! {
    #[test]
    fn digests_are_shown_as_they_are_read(digest in digests()) {
        prop_assert_eq!(digest.to_string().parse(), Ok(digest));
        prop_assert_eq!(Digest::from_bytes(digest.algorithm(), digest.bytes()), Some(digest));
        prop_assert!(digest.text().as_str().ends_with(digest.hex().as_str()));
    }

    #[test]
    fn any_text_that_is_a_digest_is_that_digest(text in "(sha256|sha512|md5|):?[0-9a-fA-FgX]{0,130}") {
        if let Ok(digest) = text.parse::<Digest>() {
            prop_assert_eq!(digest.to_string(), text);
        }
    }

    #[test]
    fn a_digest_does_not_depend_on_the_pieces(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..9)) {
        for algorithm in Algorithm::ALL {
            let mut hasher = Hasher::new(algorithm);
            pieces.iter().for_each(|piece| hasher.update(piece));
            prop_assert_eq!(hasher.finish(), Digest::of(algorithm, &pieces.concat()));
        }
    }

    #[test]
    fn names_are_shown_as_they_are_read(name in names()) {
        prop_assert_eq!(name.as_str().parse(), Ok(name.clone()));
        prop_assert!(name.as_str().len() <= RepoName::MAX_LEN);
    }

    #[test]
    fn any_text_is_judged_without_panic(text in any::<String>()) {
        if let Ok(name) = text.parse::<RepoName>() {
            prop_assert_eq!(name.as_str(), &text);
        }
        for shown in [
            text.parse::<Tag>().map(|tag| tag.to_string()).ok(),
            text.parse::<UploadId>().map(|id| id.to_string()).ok(),
            text.parse::<Reference>().map(|reference| reference.to_string()).ok(),
        ].into_iter().flatten() {
            prop_assert_eq!(shown, text.as_str());
        }
    }

    #[test]
    fn messages_are_short_and_printable(text in "\\PC{0,200}|[\\x00-\\x20.a/-]{0,300}|x{200,900}") {
        let messages = [
            text.parse::<Digest>().err().map(|error| error.to_string()),
            format!("{text}:00").parse::<Digest>().err().map(|error| error.to_string()),
            text.parse::<RepoName>().err().map(|error| error.to_string()),
            text.parse::<Tag>().err().map(|error| error.to_string()),
            text.parse::<UploadId>().err().map(|error| error.to_string()),
            text.parse::<ChunkRange>().err().map(|error| error.to_string()),
            PageRequest::parse(&format!("n={text}")).err().map(|error| error.to_string()),
            ManifestView::parse_pushed(Some(&text), b"{}").err().map(|error| error.to_string()),
        ];
        for message in messages.into_iter().flatten() {
            prop_assert!(message.chars().count() < 1200, "{}", message);
            prop_assert!(!message.contains(char::is_control), "{:?}", message);
        }
    }

    #[test]
    fn routes_are_parsed_from_their_paths(route in routes(), which in prop::collection::vec(any::<bool>(), 1..20)) {
        let path = route.path();
        prop_assert_eq!(Route::parse(&path), Ok(route.clone()));
        // Encoded or not, it is the same path; `/v2` alone is matched as it is.
        let raw = format!("/v2{}", encoded(&path[3..], &which));
        prop_assert_eq!(Route::parse(&raw), Ok(route), "{}", raw);
    }

    #[test]
    fn a_path_is_cleaned_to_what_it_means(route in routes(), where_to in prop::collection::vec(any::<bool>(), 1..9), at_end in 0..3_usize) {
        let path = route.path();
        let mut places = where_to.iter().cycle();
        let doubled = path.chars().map(|character| match places.next() {
            Some(true) if character == '/' => "//".to_owned(),
            _ => character.to_string(),
        });
        let unclean = doubled.collect::<String>() + &"/".repeat(at_end);
        match clean_path(&unclean) {
            Some(clean) => {
                prop_assert_eq!(Route::parse(&clean), Ok(route), "{}", unclean);
                prop_assert_eq!(clean_path(&clean), None);
            }
            None => prop_assert_eq!(unclean, path),
        }
    }

    #[test]
    fn a_slash_of_a_name_may_be_encoded(name in names()) {
        let path = format!("/v2/{}/tags/list", name.as_str().replace('/', "%2F"));
        prop_assert_eq!(Route::parse(&path), Ok(Route::Tags(name.clone())));
        let twice = format!("/v2/{}/tags/list", name.as_str().replace('/', "%252F"));
        prop_assert_eq!(Route::parse(&twice).is_ok(), !name.as_str().contains('/'));
    }

    #[test]
    fn any_path_is_parsed_without_panic(path in "/v2/([a-zA-Z0-9._%/:-]{0,30}/)?(manifests|blobs|blobs/uploads|tags|referrers)/[a-z0-9%:./-]{0,12}") {
        if let Ok(route) = Route::parse(&path) {
            prop_assert_eq!(Route::parse(&route.path()), Ok(route));
        }
    }

    #[test]
    fn a_range_lies_within_what_is_there(header in "bytes=[0-9]{0,21}-[0-9]{0,21}|[ -~]{0,30}", size in prop_oneof![0..100_u64, any::<u64>()]) {
        if let RangeRequest::One(range) = parse_range(&header, size) {
            prop_assert!(range.start < range.end && range.end <= size, "{:?} of {}", range, size);
        }
    }

    #[test]
    fn several_ranges_ask_for_what_each_of_them_asks_for(
        specs in prop::collection::vec("[0-9]{1,2}-[0-9]{0,2}|-[0-9]{1,2}", 1..8),
        size in 0..60_u64,
    ) {
        let each: Vec<RangeRequest> = specs.iter().map(|spec| parse_range(&format!("bytes={spec}"), size)).collect();
        let asked_for = |byte: u64| each.iter().any(|range| matches!(range, RangeRequest::One(range) if range.contains(&byte)));
        let sent = match parse_range(&format!("bytes={}", specs.join(",")), size) {
            RangeRequest::One(range) => vec![range],
            RangeRequest::Many(ranges) => {
                prop_assert!(ranges.len() >= 2 && ranges.len() <= specs.len());
                ranges
            }
            // One of them is not valid, or none has a byte.
            RangeRequest::Whole | RangeRequest::Unsatisfiable => return Ok(()),
        };
        for byte in 0..size {
            let times = sent.iter().filter(|range| range.contains(&byte)).count();
            prop_assert_eq!(times, usize::from(asked_for(byte)), "byte {} of {:?}", byte, sent);
        }
    }

    #[test]
    fn ranges_are_what_they_say(size in 1..u64::MAX, first in any::<u64>(), length in any::<u64>()) {
        let (first, last) = (first % size, (first % size).saturating_add(length));
        let expected = first..last.saturating_add(1).min(size);
        prop_assert_eq!(parse_range(&format!("bytes={first}-{last}"), size), RangeRequest::One(expected));
        prop_assert_eq!(parse_range(&format!("bytes={first}-"), size), RangeRequest::One(first..size));
        if length > 0 {
            let expected = size.saturating_sub(length)..size;
            prop_assert_eq!(parse_range(&format!("bytes=-{length}"), size), RangeRequest::One(expected));
        }
    }

    #[test]
    fn chunks_are_shown_as_they_are_read(start in 0..u64::MAX / 4, length in 0..u64::MAX / 8) {
        let chunk = ChunkRange { start, end: start + length };
        prop_assert_eq!(chunk.to_string().parse(), Ok(chunk));
        for other in ["bytes CHUNK", "bytes=CHUNK", "CHUNK/*", "bytes CHUNK/*", "CHUNK/END", "bytes CHUNK/END"] {
            let header = other.replace("CHUNK", &chunk.to_string()).replace("END", &chunk.end.to_string());
            prop_assert_eq!(header.parse(), Ok(chunk), "{}", header);
        }
        let cut = chunk.end.checked_sub(1).map(|total| format!("bytes {chunk}/{total}").parse::<ChunkRange>());
        prop_assert!(cut.is_none_or(|cut| cut.is_err()));
        prop_assert_eq!((chunk.len(), chunk.is_empty()), (length, length == 0));
    }

    #[test]
    fn the_link_asks_for_the_page_behind(last in any::<String>(), n in any::<usize>()) {
        let link = link("/v2/_catalog", &last, n);
        let query = link.strip_prefix("</v2/_catalog?").and_then(|rest| rest.strip_suffix(">; rel=\"next\""));
        let query = query.expect("the link has the form of one");
        prop_assert!(!query.contains(['>', '"', ' ', ',', ';']), "{}", query);
        let read = query_value(query, "last");
        prop_assert_eq!(read.as_deref(), Some(last.as_str()));
        let page = PageRequest::parse(query);
        prop_assert_eq!(page, Ok(PageRequest { n: Some(n), last: Some(last).filter(|last| !last.is_empty()) }));
    }

    #[test]
    fn any_query_is_read_without_panic(query in any::<String>()) {
        let pairs = query_pairs(&query).count();
        prop_assert!(pairs <= query.matches('&').count() + 1);
        if let Ok(page) = PageRequest::parse(&query) {
            prop_assert!(page.last.is_none_or(|last| !last.is_empty()));
        }
    }

    #[test]
    fn descriptors_are_read_as_they_are_written(descriptor in descriptors()) {
        let json = serde_json::to_string(&descriptor).expect("a descriptor has a JSON form");
        prop_assert_eq!(&serde_json::from_str::<Descriptor>(&json).expect("it was just written"), &descriptor);
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{json}]}}"#);
        let view = ManifestView::parse_pushed(Some(media_type::OCI_INDEX), index.as_bytes()).expect("all is valid");
        prop_assert_eq!(view.kind, ManifestKind::Index);
        prop_assert_eq!(view.manifests, [descriptor]);
    }

    #[test]
    fn what_is_pushed_is_read_the_same_when_stored(
        config in descriptors(),
        layers in prop::collection::vec(descriptors(), 0..4),
        subject in prop::option::of(descriptors()),
        artifact_type in prop::option::of(any::<String>()),
        own_type in any::<bool>(),
    ) {
        let mut manifest = serde_json::json!({"schemaVersion": 2, "config": config, "layers": layers});
        if own_type {
            manifest["mediaType"] = media_type::OCI_MANIFEST.into();
        }
        manifest["subject"] = serde_json::json!(subject);
        manifest["artifactType"] = serde_json::json!(artifact_type);
        let bytes = manifest.to_string();
        let view = ManifestView::parse_pushed(Some(media_type::OCI_MANIFEST), bytes.as_bytes()).expect("all is valid");
        prop_assert_eq!(ManifestView::parse_stored(bytes.as_bytes()), Ok(view.clone()));
        prop_assert_eq!(view.config.as_ref(), Some(&config));
        prop_assert_eq!((&view.layers, &view.subject, &view.artifact_type), (&layers, &subject, &artifact_type));
        let own = artifact_type.filter(|own| !own.is_empty()).unwrap_or(config.media_type);
        prop_assert_eq!(view.effective_artifact_type(), Some(own.as_str()));
    }

    #[test]
    fn the_tag_of_referrers_is_a_tag(digest in digests()) {
        let tag = referrers_tag(&digest);
        prop_assert_eq!(tag.as_str().parse(), Ok(tag.clone()));
        prop_assert!(tag.as_str().len() == 7 + 64);
    }
}
