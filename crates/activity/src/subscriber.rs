//! The activity log as a subscriber of the registry.

use async_trait::async_trait;
use wharf_oci::media_type;
use wharf_registry::{Event, EventKind, Pull, Pulled, Subscriber};

use crate::{
    Activity,
    entry::Action,
    record::{Record, Sighting},
};

#[async_trait]
impl Subscriber for Activity {
    /// Pulls are recorded as they are seen.
    fn wants_pulls(&self) -> bool {
        false
    }

    /// Records the `GET` of a manifest. The blobs of an image follow from its manifest, and a `HEAD` pulls nothing.
    fn observe(&self, pull: Pull<'_>) {
        let Pulled::Manifest { manifest, tag } = pull.content else {
            return;
        };
        let caller = pull.caller.facts();
        if caller.method == "HEAD" {
            return;
        }
        let sighting = Sighting {
            repository: Some(pull.repository),
            tag,
            digest: Some(&manifest.digest),
            ..Sighting::by(Action::Pull, &caller)
        };
        self.recorder.saw_with(sighting, || {
            let mut record = sighting.record(caller.request);
            record.set_media_type(&manifest.media_type);
            record.size = Some(manifest.bytes.len() as u64);
            record
        });
    }

    async fn deliver(&self, event: &Event) {
        if let Some(record) = record(event) {
            self.recorder.add(record);
        }
    }

    fn try_deliver(&self, _event: &Event) {}
}

/// The record of a change; `None` for a pull.
fn record(event: &Event) -> Option<Record> {
    let caller = event.origin.facts();
    let sighting = |action| Sighting {
        repository: Some(&event.repository),
        ..Sighting::by(action, &caller)
    };
    let of = |sighting: Sighting<'_>| sighting.record(caller.request);
    let blob = |sighting: Sighting<'_>, size| {
        let mut record = of(sighting);
        record.set_media_type(media_type::OCTET_STREAM);
        record.size = Some(size);
        record
    };
    let record = match &event.kind {
        EventKind::ManifestPushed { manifest, tag } => {
            let mut record = of(Sighting {
                tag: tag.as_ref(),
                digest: Some(&manifest.digest),
                ..sighting(Action::Push)
            });
            record.set_media_type(&manifest.media_type);
            record.size = Some(manifest.bytes.len() as u64);
            record
        }
        EventKind::BlobPushed { digest, size } => blob(
            Sighting {
                digest: Some(digest),
                ..sighting(Action::Push)
            },
            *size,
        ),
        EventKind::BlobMounted { digest, size, from } => {
            let mut record = blob(
                Sighting {
                    digest: Some(digest),
                    ..sighting(Action::Mount)
                },
                *size,
            );
            record.from_repository.clone_from(from);
            record
        }
        EventKind::ManifestDeleted { digest } | EventKind::BlobDeleted { digest } => of(Sighting {
            digest: Some(digest),
            ..sighting(Action::Delete)
        }),
        EventKind::TagDeleted { tag } => of(Sighting {
            tag: Some(tag),
            ..sighting(Action::Delete)
        }),
        EventKind::ManifestPulled { .. } | EventKind::BlobPulled { .. } => return None,
    };
    Some(record)
}
