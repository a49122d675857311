//! The tags at which clients keep lists of referrers for registries that keep none (distribution specification, "Unavailable
//! Referrers API").

use std::time::Duration;

use http::{StatusCode, header};
use serde_json::{Value, json};
use tokio::time::sleep;
use wharf_oci::{Descriptor, Digest, Reference, Tag, media_type, referrers_tag};

use crate::{Client, Error, MANIFEST_LIMIT, Result, Target, wire::Answer};

/// How often a list is written, because another client writes it as well.
const ATTEMPTS: u32 = 5;

/// Pause before the list is read again; each further one is longer.
const PAUSE: Duration = Duration::from_millis(100);

impl Client {
    /// Adds `referrers` to the list of `subject` at its fallback tag. What else the list says stays.
    ///
    /// The tag cannot be changed in one step: of two clients that write it at the same time, the later one takes away what the
    /// earlier one has added. So it is read again, and written again while something is missing.
    ///
    /// # Errors
    /// When the list cannot be read or written, something else is at the tag, or what is added does not stay.
    pub async fn add_to_fallback(
        &self,
        repository: &str,
        subject: &Digest,
        referrers: &[Descriptor],
    ) -> Result<()> {
        let tag = referrers_tag(subject);
        for attempt in 0..=ATTEMPTS {
            // Other clients that have read the old list have time to write it.
            sleep(PAUSE * attempt).await;
            let mut index = self.fallback_index(repository, &tag).await?;
            let unlisted = unlisted(&index, referrers);
            if unlisted.is_empty() {
                return Ok(());
            }
            if attempt == ATTEMPTS {
                break;
            }
            if let Some(entries) = index["manifests"].as_array_mut() {
                entries.extend(unlisted);
            }
            let bytes = index.to_string().into();
            let reference = Reference::Tag(tag.clone());
            self.push_manifest(repository, &reference, media_type::OCI_INDEX, &bytes)
                .await?;
        }
        Err(unusable(
            repository,
            &tag,
            "what is added does not stay, because other clients write the list at the same time; run the same command again",
        ))
    }

    /// What is at the fallback tag `target`; `None`: there is no such tag.
    pub(crate) async fn at_fallback(&self, target: &Target) -> Result<Option<Answer>> {
        match self.get(target, &target.path, MANIFEST_LIMIT).await {
            Err(Error::Refused { status, .. }) if status == StatusCode::NOT_FOUND => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// The list at `tag` as JSON, with an array `manifests`; an empty one where there is none.
    async fn fallback_index(&self, repository: &str, tag: &Tag) -> Result<Value> {
        let target = Target::pull(repository, &format!("manifests/{tag}"));
        let Some(answer) = self.at_fallback(&target).await? else {
            return Ok(json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": []}));
        };
        let announced = answer.header(&header::CONTENT_TYPE).unwrap_or_default();
        index_of(&answer.body, announced).ok_or_else(|| {
            let reason = "something else is at that tag, and stays; delete the tag if nothing needs it";
            unusable(repository, tag, reason)
        })
    }
}

/// The JSON of an OCI index; `None`: it is something else. What names no media type is what the registry `announced`.
fn index_of(bytes: &[u8], announced: &str) -> Option<Value> {
    let index: Value = serde_json::from_slice(bytes).ok()?;
    let own = index.get("mediaType").and_then(Value::as_str);
    let is_index = own.unwrap_or(media_type::essence(announced)) == media_type::OCI_INDEX;
    (is_index && index.get("manifests")?.is_array()).then_some(index)
}

/// Those of `referrers` that `index` does not list, as entries of it.
fn unlisted(index: &Value, referrers: &[Descriptor]) -> Vec<Value> {
    let listed = index["manifests"].as_array().into_iter().flatten();
    let listed: Vec<&str> = listed.filter_map(|entry| entry["digest"].as_str()).collect();
    let is_new = |wanted: &&Descriptor| !listed.contains(&wanted.digest.to_string().as_str());
    let new = referrers.iter().filter(is_new);
    new.map(|wanted| json!(wanted)).collect()
}

fn unusable(repository: &str, tag: &Tag, reason: &str) -> Error {
    Error::ReferrersTag {
        repository: repository.to_owned(),
        tag: tag.to_string(),
        reason: reason.to_owned(),
    }
}
