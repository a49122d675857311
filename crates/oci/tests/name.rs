//! Repository names, tags, upload ids and references: what is one, and what is told of those that are none.

use wharf_oci::{
    Digest, NameError, Reference, ReferenceError, RepoName, Tag, TagError, UploadId, UploadIdError,
};

#[test]
fn names_that_people_use_are_names() {
    for name in [
        "a",
        "0",
        "alpine",
        "library/alpine",
        "kyo/my-image",
        "education/engineer1-6.2.2",
        "a/b/c/d/e/f/g/h",
        "a.b",
        "a_b",
        "a__b",
        "a-b",
        "a--b",
        "a---------b",
        "1/2/3",
        "blobs/uploads",
        "tags/list",
        "v2",
        "a.b_c__d-e",
        "0-0",
    ] {
        let parsed: RepoName = name.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(parsed.as_str(), name);
        assert_eq!(parsed.to_string(), name);
        assert_eq!(format!("{parsed:?}"), format!("{name:?}"));
    }
    let longest = format!("{}/{}", "a".repeat(127), "b".repeat(127));
    assert_eq!(longest.parse::<RepoName>().unwrap().as_str(), longest);
}

/// The grammar of the specification once more, by another method than the one under test.
fn is_name(text: &str) -> bool {
    let is_separator = |run: &str| matches!(run, "." | "_" | "__") || run.bytes().all(|byte| byte == b'-');
    text.split('/').all(|component| {
        let is_word = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
        let words: Vec<&str> = component.split(|character| !is_word(character)).collect();
        let separators: Vec<&str> = component.split(is_word).filter(|run| !run.is_empty()).collect();
        !words[0].is_empty() && !words[words.len() - 1].is_empty() && separators.into_iter().all(is_separator)
    })
}

#[test]
fn every_short_text_is_judged_as_by_the_grammar() {
    let alphabet = ['a', '0', '.', '_', '-', '/', 'A', '%'];
    let mut texts = vec![String::new()];
    let mut names = 0;
    for _ in 0..6 {
        texts = texts
            .iter()
            .flat_map(|text| alphabet.map(|character| format!("{text}{character}")))
            .collect();
        for text in &texts {
            match text.parse::<RepoName>() {
                Ok(_) => {
                    names += 1;
                    assert!(is_name(text), "{text} was accepted");
                }
                // Whatever it says, it says it with a reason that is there.
                Err(error) => {
                    assert!(!is_name(text), "{text}: {error}");
                    let reason_is_there = match &error {
                        NameError::UpperCase { name, lower } => name == text && is_name(lower),
                        NameError::DotComponent { component } => {
                            text.split('/').any(|part| part == *component)
                        }
                        NameError::EmptyComponent => text.split('/').any(str::is_empty),
                        NameError::BadCharacter { character } => *character == '%' && text.contains('%'),
                        NameError::SeparatorAtEnd { component } => {
                            text.split('/').any(|part| part == component)
                                && (component.starts_with(['.', '_', '-'])
                                    || component.ends_with(['.', '_', '-']))
                        }
                        NameError::BadSeparator { component, separator } => {
                            component.contains(separator) && !is_name(&format!("a{separator}b"))
                        }
                        _ => false,
                    };
                    assert!(reason_is_there, "{text}: {error:?}");
                }
            }
        }
    }
    // Neither side of the comparison is empty.
    assert!(names > 1000, "{names}");
}

#[test]
fn what_is_wrong_with_a_name_is_said() {
    let allowed = "allowed are `a-z`, `0-9`, the separators `.`, `_`, `-`, and `/` between components";
    let climb = "names are not paths and cannot climb";
    let ends = "of the repository name starts or ends with a separator; a component starts and ends with a letter or digit";
    let between = "between its words; allowed are `.`, `_`, `__` or any number of `-`";
    let empty =
        "the repository name contains an empty component; write single slashes, and none at the start or end";
    let table = [
        ("", "the repository name is empty".to_owned()),
        (
            "Library/Alpine",
            "repository names are lower case; use `library/alpine` instead of `Library/Alpine`".into(),
        ),
        (
            "..",
            format!("the repository name contains the component `..`; {climb}"),
        ),
        (
            "a/../b",
            format!("the repository name contains the component `..`; {climb}"),
        ),
        (
            "./a",
            format!("the repository name contains the component `.`; {climb}"),
        ),
        ("a//b", empty.into()),
        ("/a", empty.into()),
        ("a/", empty.into()),
        ("/", empty.into()),
        ("a/_b", format!("the component `_b` {ends}")),
        ("a/B-", format!("the component `B-` {ends}")),
        ("-", format!("the component `-` {ends}")),
        (
            "a..b",
            format!("the component `a..b` of the repository name has `..` {between}"),
        ),
        (
            "x/a___b",
            format!("the component `a___b` of the repository name has `___` {between}"),
        ),
        (
            "a-b._c",
            format!("the component `a-b._c` of the repository name has `._` {between}"),
        ),
        (
            "a\0b",
            "the repository name contains the control character U+0000".into(),
        ),
        (
            "a\nb",
            "the repository name contains the control character U+000A".into(),
        ),
        (
            "a\u{7f}",
            "the repository name contains the control character U+007F".into(),
        ),
        ("a b", format!("the repository name contains ` `; {allowed}")),
        ("a:b", format!("the repository name contains `:`; {allowed}")),
        ("a@b", format!("the repository name contains `@`; {allowed}")),
        ("a\\b", format!("the repository name contains `\\\\`; {allowed}")),
        ("émile", format!("the repository name contains `é`; {allowed}")),
        ("a%2Fb", format!("the repository name contains `%`; {allowed}")),
    ];
    for (name, message) in table {
        assert_eq!(
            name.parse::<RepoName>().unwrap_err().to_string(),
            message,
            "{name}"
        );
    }
    let long = "a".repeat(256).parse::<RepoName>().unwrap_err();
    assert_eq!(long, NameError::TooLong { got: 256 });
    assert_eq!(
        long.to_string(),
        "a repository name has at most 255 characters, got 256"
    );
    // 200 characters, but 400 bytes: its length is not what is wrong.
    assert_eq!(
        "é".repeat(200).parse::<RepoName>(),
        Err(NameError::BadCharacter { character: 'é' })
    );
}

#[test]
fn tags_are_as_in_the_specification() {
    let longest = format!("_{}", "x".repeat(127));
    for tag in [
        "latest",
        "1.4.2-alpine",
        "_",
        "A",
        "0",
        "_.-",
        "v1.0_beta",
        longest.as_str(),
    ] {
        let parsed: Tag = tag.parse().unwrap_or_else(|error| panic!("{tag}: {error}"));
        assert_eq!(parsed.as_str(), tag);
        assert_eq!(parsed.to_string(), tag);
    }
    for character in (0..=0x7f_u8).map(char::from).chain(['é', '\u{fffd}']) {
        let is_word = character.is_ascii_alphanumeric() || character == '_';
        let first = format!("{character}x").parse::<Tag>();
        let later = format!("x{character}").parse::<Tag>();
        match character {
            '.' | '-' => {
                assert_eq!(first, Err(TagError::BadStart { character }));
                assert!(later.is_ok());
            }
            _ if is_word => assert!(first.is_ok() && later.is_ok(), "{character}"),
            _ => {
                assert_eq!(first, Err(TagError::BadCharacter { character }));
                assert_eq!(later, Err(TagError::BadCharacter { character }));
            }
        }
    }
}

#[test]
fn what_is_wrong_with_a_tag_is_said() {
    let table = [
        (String::new(), "the tag is empty".to_owned()),
        (
            "x".repeat(129),
            "a tag has at most 128 characters, got 129".into(),
        ),
        (
            ".x".into(),
            "a tag starts with a letter, a digit or `_`, not with `.`".into(),
        ),
        (
            "-".into(),
            "a tag starts with a letter, a digit or `_`, not with `-`".into(),
        ),
        (
            "a/b".into(),
            "a tag cannot contain `/`; allowed are letters, digits, `_`, `.` and `-`".into(),
        ),
        (
            "a\0".into(),
            "a tag cannot contain `\\0`; allowed are letters, digits, `_`, `.` and `-`".into(),
        ),
    ];
    for (tag, message) in table {
        assert_eq!(tag.parse::<Tag>().unwrap_err().to_string(), message, "{tag}");
    }
}

#[test]
fn upload_ids_are_safe_names_of_files() {
    for id in [
        "0f8fad5b-d9cb-469f-a165-70867728950e",
        "a",
        "...",
        "A_b.c=d-e",
        &"x".repeat(128),
    ] {
        assert_eq!(id.parse::<UploadId>().unwrap().as_str(), id);
    }
    let table = [
        (String::new(), UploadIdError::Empty),
        (".".into(), UploadIdError::Dots),
        ("..".into(), UploadIdError::Dots),
        ("x".repeat(129), UploadIdError::TooLong { got: 129 }),
        ("a/b".into(), UploadIdError::BadCharacter { character: '/' }),
        ("a\0".into(), UploadIdError::BadCharacter { character: '\0' }),
        ("é".into(), UploadIdError::BadCharacter { character: 'é' }),
    ];
    for (id, error) in table {
        assert!(
            error
                .to_string()
                .ends_with("use the `Location` of the last answer"),
            "{error}"
        );
        assert_eq!(id.parse::<UploadId>(), Err(error), "{id}");
    }
}

#[test]
fn a_reference_is_a_digest_if_it_has_a_colon() {
    let digest = Digest::sha256_of(b"");
    assert_eq!(digest.to_string().parse(), Ok(Reference::from(digest)));
    assert_eq!(
        "latest".parse(),
        Ok(Reference::from("latest".parse::<Tag>().unwrap()))
    );
    assert_eq!(Reference::from(digest).digest(), Some(&digest));
    assert_eq!(Reference::from(digest).tag(), None);
    assert_eq!("x".parse::<Reference>().unwrap().digest(), None);
    assert_eq!(
        "x".parse::<Reference>().unwrap().tag().map(Tag::as_str),
        Some("x")
    );
    // Forty hex digits without an algorithm are a fine tag.
    assert!(matches!(
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4".parse(),
        Ok(Reference::Tag(_))
    ));
    assert!(matches!(
        "sha256:x".parse::<Reference>(),
        Err(ReferenceError::Digest(_))
    ));
    assert!(matches!(
        "a:b".parse::<Reference>(),
        Err(ReferenceError::Digest(_))
    ));
    assert!(matches!("a@b".parse::<Reference>(), Err(ReferenceError::Tag(_))));
    assert!(matches!(
        "".parse::<Reference>(),
        Err(ReferenceError::Tag(TagError::Empty))
    ));
}

#[test]
fn a_walk_jumps_to_the_place_before_a_name_and_misses_none() {
    let names = [
        "a", "tea", "team", "team-x/y", "team.a", "team/", "team/a", "team0", "teb", "z",
    ];
    for target in ["team/", "team", "t", "z", "a", "0", ""] {
        let place = RepoName::just_before(target);
        for name in names {
            assert_eq!(*name > *place, name >= target, "{name} and {target}");
        }
    }
}
