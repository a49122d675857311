//! Moving damaged bytes aside, so that their digest counts as absent and the next push heals it (invariant I4).

use wharf_oci::Digest;
use wharf_storage::{Error, ErrorKind, Key, Removal, Result, Storage, layout};

/// How often the bytes of one digest may be damaged and kept.
const MOST: u32 = 1000;

/// Moves what is stored under `digest` to a place of its own in the quarantine, and returns that. Nothing is overwritten.
///
/// # Errors
///
/// Errors of the store.
pub(super) async fn quarantine(storage: &dyn Storage, digest: &Digest) -> Result<Key> {
    for number in 0..MOST {
        let to = layout::quarantine(digest, number);
        match storage.stat(&to).await {
            Ok(_) => continue,
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        let from = Removal {
            key: layout::blob(digest),
            keep: layout::blobs(),
        };
        storage.rename(&from, &to).await?;
        return Ok(to);
    }
    let context =
        format!("move the blob `{digest}` aside: the quarantine has it {MOST} times; remove some of them");
    Err(Error::new(ErrorKind::Other, context))
}
