//! Paths in a layer.

/// `path` as it is from the root of the image, without a leading slash: `./usr//bin/` is `usr/bin`. Empty for the root itself, and
/// `None` for a path that leads out of the image.
pub fn clean(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop()?,
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The directory of a path, and its last part; the root has neither.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// `name` in `directory`.
pub(crate) fn join(directory: &str, name: &str) -> String {
    match directory {
        "" => name.to_owned(),
        directory => format!("{directory}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_from_the_root() {
        for (path, cleaned) in [
            ("./usr//bin/", Some("usr/bin")),
            ("/etc/passwd", Some("etc/passwd")),
            ("a/../b", Some("b")),
            ("/", Some("")),
            ("./", Some("")),
            ("../etc", None),
            ("a/../../b", None),
        ] {
            assert_eq!(clean(path).as_deref(), cleaned, "{path}");
        }
        assert_eq!((split("a/b/c"), split("a")), (("a/b", "c"), ("", "a")));
        assert_eq!(
            (join("a", "b"), join("", "b")),
            ("a/b".to_owned(), "b".to_owned())
        );
    }
}
