//! Links: what the source and the destination have at one key, compared.

use bytes::Bytes;
use wharf_oci::Digest;
use wharf_storage::{Error, ErrorKind, Key, Put, layout};

use super::job::{Failure, Job};

/// A link that the source has.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) key: Key,
    /// Its size when it was listed.
    pub(super) size: u64,
    /// The size of what the destination has at its key.
    pub(super) there: Option<u64>,
    /// The digest that its key names, if there is one and it is known.
    pub(super) own: Option<Digest>,
}

/// What the source has at a key, beside what the destination has there.
#[derive(Debug)]
pub(super) enum Compared {
    /// The destination has the same.
    Same(Digest),
    /// The destination has something else, or nothing: the content to put there.
    Other(Digest, Bytes),
}

impl Compared {
    /// The digest that the link of the source holds.
    pub(super) fn target(&self) -> Digest {
        match self {
            Self::Same(target) | Self::Other(target, _) => *target,
        }
    }
}

/// Compares what the two stores have. A link whose size is that of the digest in its key is not read when the
/// destination has one of that size: what else would they hold?
///
/// # Errors
///
/// When the link of the source is gone or holds no digest, or a store fails.
pub(super) async fn compare(job: &Job, link: &Link) -> Result<Compared, Failure> {
    let is_there = link.there == Some(link.size);
    if let (true, Some(own), false) = (is_there, &link.own, job.options.verify)
        && link.size == own.text().as_str().len() as u64
    {
        return Ok(Compared::Same(*own));
    }
    let here = job.from.read(&link.key, layout::LINK_LIMIT).await;
    let here = here.map_err(Failure::reading)?.bytes;
    let target = layout::parse_link(&here).map_err(|error| {
        let why = match here.is_empty() {
            true => "it is empty".to_owned(),
            false => error.to_string(),
        };
        Failure::Damaged(format!(
            "it holds no digest ({why}), and the registry treats it as absent; push the image again, or remove the file"
        ))
    })?;
    if is_there {
        let there = job.to.read(&link.key, layout::LINK_LIMIT).await;
        match there {
            Ok(there) if there.bytes == here => return Ok(Compared::Same(target)),
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::TooLarge) => {
                return Err(Failure::Destination(error));
            }
            _ => {}
        }
    }
    Ok(Compared::Other(target, here))
}

/// Publishes links in order, and reads them again if that is asked for.
///
/// # Errors
///
/// Errors of the destination.
pub(super) async fn publish(job: &Job, puts: Vec<Put>) -> Result<(), Failure> {
    if puts.is_empty() || job.options.dry_run {
        return Ok(());
    }
    job.to.publish(&puts).await.map_err(Failure::Destination)?;
    for put in puts.iter().filter(|_| job.options.verify) {
        let there = job.to.read(&put.key, layout::LINK_LIMIT).await;
        if there.map_err(Failure::Destination)?.bytes != put.bytes {
            let context = format!(
                "check `{}`: the destination gives back something else than was written",
                put.key
            );
            return Err(Failure::Destination(Error::new(ErrorKind::Other, context)));
        }
    }
    Ok(())
}
