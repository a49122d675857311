//! The Dockerfile of an image, as far as its history has it.

use anyhow::bail;
use wharf_client::printable;
use wharf_oci::instruction;

use super::image::Image;

/// The instructions of the history of `image`, one step a line.
pub(super) fn of(image: &Image) -> anyhow::Result<String> {
    let mut text = String::new();
    for step in image.history() {
        let made = step["created_by"].as_str().unwrap_or_default().trim();
        let comment = step["comment"].as_str().unwrap_or_default().trim();
        let line = match (made, comment) {
            ("", "") => "# a step that says nothing".to_owned(),
            ("", comment) => format!("# {comment}"),
            (made, _) => instruction(made),
        };
        // Line breaks are those of the instruction, such as of a here document.
        for line in line.lines() {
            text += &printable(line.trim_end());
            text.push('\n');
        }
    }
    match text.is_empty() {
        true => {
            bail!("the image has no history: its builder did not write one, or it is no image of a container")
        }
        false => Ok(text),
    }
}
