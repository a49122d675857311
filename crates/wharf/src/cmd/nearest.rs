//! What is not there, and the names that were probably meant.

use wharf_client::{Client, Error, ImageName, printable, transfer::TransferError};
use wharf_document::words::distance;
use wharf_oci::Reference;

/// Names that are shown.
const SHOWN: usize = 3;

/// Explains why `image` cannot be had: of a repository or tag that does not exist, it says which there are. One page of
/// names is read for that, if the registry gives it.
pub(crate) async fn explain(client: &Client, image: &ImageName, error: Error) -> anyhow::Error {
    let Error::Refused { status, .. } = &error else {
        return error.into();
    };
    if status.as_u16() != 404 {
        return error.into();
    }
    let repository = image.repository.as_str();
    let host = image.registry.host();
    match (&image.reference, client.first_tags(repository).await) {
        (Reference::Tag(tag), Ok(tags)) if !tags.iter().any(|known| known == tag.as_str()) => {
            let near = nearest(tag.as_str(), &tags);
            let near = match (near.is_empty(), tags.is_empty()) {
                (false, _) => format!("did you mean {near}?"),
                (true, true) => "it has none".to_owned(),
                (true, false) => format!("`wharf tag ls {host}/{repository}` lists those that there are"),
            };
            anyhow::anyhow!("`{repository}` at `{host}` has no tag `{tag}`; {near}")
        }
        (_, Err(Error::Refused { status, .. })) if status.as_u16() == 404 => {
            let known = client.first_repositories().await.unwrap_or_default();
            let near = nearest(repository, &known);
            let near = match near.is_empty() {
                true => format!("`wharf repo ls {host}` lists those that there are"),
                false => format!("did you mean {near}?"),
            };
            anyhow::anyhow!("`{host}` has no repository `{repository}`, or not for this user; {near}")
        }
        _ => error.into(),
    }
}

/// `read`, with an error as [`explain`] explains it.
pub(crate) async fn explained<T>(
    client: &Client,
    image: &ImageName,
    read: anyhow::Result<T>,
) -> anyhow::Result<T> {
    let error = match read.map_err(anyhow::Error::downcast::<TransferError>) {
        Ok(read) => return Ok(read),
        Err(Ok(TransferError::Registry(error))) => error.into(),
        Err(Ok(error)) => error.into(),
        Err(Err(error)) => error,
    };
    match error.downcast::<Error>() {
        Ok(error) => Err(explain(client, image, error).await),
        Err(error) => Err(error),
    }
}

/// The names that are spelled almost alike, or end alike: the nearest first.
pub(super) fn nearest(written: &str, known: &[String]) -> String {
    let last = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
    let alike = known.iter().filter_map(|name| {
        let distance =
            distance(written, name).or_else(|| (last(name) == last(written)).then_some(usize::MAX));
        Some((distance?, name))
    });
    let mut alike: Vec<_> = alike.collect();
    alike.sort();
    let names = alike
        .iter()
        .take(SHOWN)
        .map(|(_, name)| format!("`{}`", printable(name)));
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_come_first() {
        let known = ["team/app", "app-2", "other", "my-image", "kyo/my-image"].map(str::to_owned);
        assert_eq!(nearest("ap-2", &known), "`app-2`");
        assert_eq!(nearest("app", &known), "`app-2`, `team/app`");
        assert_eq!(nearest("my-imag", &known), "`my-image`");
        assert_eq!(nearest("my-image", &known), "`my-image`, `kyo/my-image`");
        assert_eq!(nearest("unlike", &known), "");
    }
}
