//! Removes what probes of processes left that died in the middle.

use std::time::{Duration, SystemTime};

use super::{
    super::answers::{self, Listing, Multiparts},
    tries::{Tries, Try},
};

/// No probe lasts that long.
const OLD: Duration = Duration::from_secs(60 * 60);

/// Removes what is older, by the clock of the store, in the directory of all probes; as far as that goes.
pub(super) async fn remove(tries: &Tries, probes: &str) -> Result<(), String> {
    let prefix = format!("{probes}/");
    let tried = Try {
        query: &[("list-type", "2"), ("max-keys", "1000"), ("prefix", &prefix)],
        ..Try::default()
    };
    let answer = tries.send(&tried).await?;
    let ours = i128::from(tries.skew().unwrap_or_default().as_secs());
    let is_old = |written: SystemTime| {
        let age = SystemTime::now().duration_since(written).unwrap_or_default();
        i128::from(age.as_secs()) - ours > i128::from(OLD.as_secs())
    };
    let listing: Listing = answers::read(&answer.body).unwrap_or_default();
    for object in listing.named().map_err(|error| error.to_string())?.objects {
        if is_old(object.last_modified.into()) {
            tries.delete(object.location.as_ref()).await?;
        }
    }
    let tried = Try {
        query: &[("prefix", &prefix), ("uploads", "")],
        ..Try::default()
    };
    let open: Multiparts = match tries.once(&tried).await {
        Ok(answer) if answer.status.is_success() => answers::read(&answer.body).unwrap_or_default(),
        _ => Multiparts::default(),
    };
    for upload in open.uploads {
        let begun = answers::time(&upload.initiated);
        if upload.key.starts_with(&prefix) && begun.is_ok_and(is_old) {
            tries.abort(&upload.key, &upload.upload_id).await?;
        }
    }
    Ok(())
}
