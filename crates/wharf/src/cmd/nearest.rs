//! What is not there, and the names that were probably meant.

use wharf_client::{Client, Error, ImageName, printable, transfer::TransferError};
use wharf_document::words;
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

/// The names that were probably meant, for a message.
pub(super) fn nearest(written: &str, known: &[String]) -> String {
    let names = words::nearest(written, known.iter().map(String::as_str), SHOWN);
    let names: Vec<_> = names
        .into_iter()
        .map(|name| format!("`{}`", printable(name)))
        .collect();
    names.join(", ")
}
