//! The arguments of `wharf attach`.

use std::{path::PathBuf, str::FromStr};

use clap::Args;
use wharf_client::ImageName;
use wharf_oci::media_type;

use super::{remote::Remote, server::Report};
use crate::completion;

/// Arguments of `wharf attach`.
#[derive(Debug, Args)]
pub(crate) struct Attach {
    /// The image, such as localhost:5000/app:1.0, or with @sha256:… behind the name.
    #[arg(add = completion::image())]
    pub(crate) image: ImageName,

    /// Files, each with its media type behind a colon, such as sbom.json:application/spdx+json; without one it is application/octet-stream.
    #[arg(value_name = "FILE[:TYPE]", required = true)]
    pub(crate) files: Vec<FileAndType>,

    /// Type of the artifact, such as application/spdx+json; otherwise the type of the first file.
    #[arg(long, value_name = "TYPE", value_parser = kind)]
    pub(crate) artifact_type: Option<String>,

    /// An annotation of the artifact; may be given more than once.
    #[arg(short, long = "annotation", value_name = "NAME=VALUE", value_parser = annotation)]
    pub(crate) annotations: Vec<(String, String)>,

    #[command(flatten)]
    pub(crate) form: Report,

    #[command(flatten)]
    pub(crate) remote: Remote,
}

/// A file, and its media type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileAndType {
    pub(crate) path: PathBuf,
    pub(crate) media_type: String,
}

impl FromStr for FileAndType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A path may have colons as well.
        let typed = text
            .rsplit_once(':')
            .filter(|(path, media_type)| !path.is_empty() && is_media_type(media_type));
        let (path, media_type) = typed.unwrap_or((text, media_type::OCTET_STREAM));
        match path.is_empty() {
            true => Err("the path of the file is missing".to_owned()),
            false => Ok(Self {
                path: path.into(),
                media_type: media_type.to_owned(),
            }),
        }
    }
}

/// Whether `text` is a media type without parameters (RFC 6838, section 4.2), such as `text/plain`.
fn is_media_type(text: &str) -> bool {
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    text.split_once('/')
        .is_some_and(|(kind, name)| is_name(kind) && is_name(name))
}

fn kind(text: &str) -> Result<String, String> {
    match is_media_type(text) {
        true => Ok(text.to_owned()),
        false => Err("write a media type, such as `application/spdx+json`".to_owned()),
    }
}

fn annotation(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as `NAME=VALUE`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_is_told_from_a_path_with_a_colon() {
        let check = |text: &str, path: &str, media_type: &str| {
            let file: FileAndType = text.parse().unwrap();
            assert_eq!(
                (file.path, &*file.media_type),
                (path.into(), media_type),
                "{text}"
            );
        };
        check("a.json:application/spdx+json", "a.json", "application/spdx+json");
        check("a.json", "a.json", media_type::OCTET_STREAM);
        check("/tmp/12:30", "/tmp/12:30", media_type::OCTET_STREAM);
        check("c:text/plain", "c", "text/plain");
        assert!("".parse::<FileAndType>().is_err());
        assert!(annotation("a=b=c").unwrap() == ("a".to_owned(), "b=c".to_owned()));
        assert!(annotation("a").is_err() && kind("sbom").is_err());
    }
}
