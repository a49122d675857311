//! What a repository is for, in the words of its newest image.

use wharf_oci::RepoName;
use wharf_pages::TagRow;

use super::{
    call::Call,
    image::{chosen, labels},
    subject::{ask, described},
};

/// The longest description that is shown of a repository, in bytes.
const LONGEST: usize = 1000;

/// What the image says that was pushed last of those in `rows`, if it says something.
pub(super) async fn description(call: Call<'_>, name: &RepoName, rows: &[TagRow]) -> Option<String> {
    let images = rows
        .iter()
        .filter(|row| matches!(row.kind.as_str(), "image" | "chart"));
    let newest = images.max_by_key(|row| row.pushed)?;
    let digest = newest.digest.as_ref()?.whole();
    let known = &call.shared.descriptions;
    if let Some(text) = known.get(digest) {
        return Some(text).filter(|text| !text.is_empty());
    }
    // A list is worth having without it.
    let text = read(call, name, digest).await?;
    known.insert(digest.to_owned(), text.clone());
    Some(text).filter(|text| !text.is_empty())
}

/// The description of an image: that of the whole, or of the platform that most clients pull. `None`: it cannot be read now.
async fn read(call: Call<'_>, name: &RepoName, digest: &str) -> Option<String> {
    let found = ask(call, name, digest).await.ok()?;
    let child = match (described(&labels(&found, None)), chosen(call, &found)) {
        (None, Some(child)) => Some(ask(call, name, &child).await.ok()?),
        _ => None,
    };
    let shown = child.as_ref().unwrap_or(&found).manifest.as_ref();
    let labels = labels(&found, shown);
    let mut text = described(&labels).unwrap_or_default().trim().to_owned();
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
    }
    Some(text)
}
