//! The configuration file: which one it is, and its text.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use super::{Found, Source};

/// Paths of the configuration in the images of registry:2 and registry:3.
pub(super) const PLACES: [&str; 2] = ["/etc/docker/registry/config.yml", "/etc/distribution/config.yml"];

/// The configuration in our image at the first path. As long as it is unchanged there, a file at the second path is
/// read instead: users of registry:3 mount theirs there.
const SHIPPED: &str = include_str!("../../../../packaging/config.yml");

/// The most bytes that a configuration file may have.
const FILE_LIMIT: u64 = 4 << 20;

/// The file to read, and a second one that is not read, because the first takes precedence.
pub(super) fn find(
    argument: Option<&Path>,
    variable: Option<OsString>,
    places: &[&Path],
) -> (Option<Source>, Option<PathBuf>) {
    let of = |path: PathBuf, found| Some(Source { path, found });
    if let Some(argument) = argument {
        return (of(argument.to_owned(), Found::Argument), None);
    }
    if let Some(path) = variable.filter(|path| !path.is_empty()) {
        return (of(path.into(), Found::Variable), None);
    }
    let (chosen, shadowed) = choose(places, Path::exists, |path| read(path).ok());
    let chosen = chosen.and_then(|path| of(path.to_owned(), Found::Place));
    (chosen, shadowed.map(Path::to_owned))
}

/// The file that a server reads for which none is named, of those at the usual places that `exist` for it; `text` reads one.
pub(crate) fn usual_place(
    exist: impl Fn(&Path) -> bool,
    text: impl Fn(&Path) -> Option<String>,
) -> Option<&'static Path> {
    choose(&PLACES.map(Path::new), exist, text).0
}

/// Of `places`, the file to read, and a second one that is not read.
fn choose<'a>(
    places: &[&'a Path],
    exist: impl Fn(&Path) -> bool,
    text: impl Fn(&Path) -> Option<String>,
) -> (Option<&'a Path>, Option<&'a Path>) {
    let mut places = places.iter().copied().filter(|path| exist(path));
    match (places.next(), places.next()) {
        (Some(first), Some(second)) if text(first).is_some_and(|text| text == SHIPPED) => {
            (Some(second), None)
        }
        found => found,
    }
}

/// The text of a configuration file.
///
/// # Errors
///
/// When the file cannot be read, is too large, or is not UTF-8.
#[expect(clippy::disallowed_methods, reason = "the configuration is not in the store")]
pub(super) fn read(path: &Path) -> io::Result<String> {
    use io::Read as _;

    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(FILE_LIMIT + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(io::Error::other(format!("it has more than {FILE_LIMIT} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|&&byte| byte == b'\n').count();
        io::Error::other(format!("line {line} is not UTF-8"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_place_counts_and_the_second_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let (first, second) = (directory.path().join("a.yml"), directory.path().join("b.yml"));
        let places: [&Path; 2] = [&first, &second];
        assert_eq!(find(None, None, &places), (None, None));
        let of = |path: &Path, found| {
            Some(Source {
                path: path.to_owned(),
                found,
            })
        };
        for path in [&second, &first] {
            tempfile::NamedTempFile::new().unwrap().persist(path).unwrap();
            let shadowed = (path == &first).then(|| second.clone());
            assert_eq!(
                find(None, Some("".into()), &places),
                (of(path, Found::Place), shadowed)
            );
        }
        let named = of(Path::new("/v"), Found::Variable);
        assert_eq!(find(None, Some("/v".into()), &places), (named, None));
        let named = of(Path::new("/a"), Found::Argument);
        assert_eq!(
            find(Some(Path::new("/a")), Some("/v".into()), &places),
            (named, None)
        );
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "configurations are not in the store")]
    fn a_file_at_the_second_place_beats_the_image_s_own() {
        let directory = tempfile::tempdir().unwrap();
        let (first, second) = (directory.path().join("a.yml"), directory.path().join("b.yml"));
        let places: [&Path; 2] = [&first, &second];
        let found = |path: &Path, shadowed: Option<&Path>| {
            let path = path.to_owned();
            let source = Source {
                path,
                found: Found::Place,
            };
            (Some(source), shadowed.map(Path::to_owned))
        };
        std::fs::write(&first, SHIPPED).unwrap();
        assert_eq!(find(None, None, &places), found(&first, None));
        std::fs::write(&second, "version: 0.1\n").unwrap();
        assert_eq!(find(None, None, &places), found(&second, None));
        std::fs::write(&first, format!("{SHIPPED}# mine\n")).unwrap();
        assert_eq!(find(None, None, &places), found(&first, Some(&second)));
    }

    #[test]
    fn the_file_of_another_server_is_chosen_as_that_of_this_one() {
        let [first, second] = PLACES.map(Path::new);
        let chosen = |of_first: Option<&str>, has_second: bool| {
            let exist = |path: &Path| {
                if path == first {
                    of_first.is_some()
                } else {
                    has_second
                }
            };
            usual_place(exist, |_| of_first.map(str::to_owned))
        };
        assert_eq!(chosen(Some(SHIPPED), true), Some(second));
        assert_eq!(chosen(Some(SHIPPED), false), Some(first));
        assert_eq!(chosen(Some("version: 0.1\n"), true), Some(first));
        assert_eq!(chosen(None, true), Some(second));
        assert_eq!(chosen(None, false), None);
    }
}
