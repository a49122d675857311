//! Webhooks as a subscriber of the registry: from its typed events to the records that endpoints are sent.

use async_trait::async_trait;
use jiff::Timestamp;
use wharf_oci::{Descriptor, Digest, ManifestView, RepoName, Route, Tag, media_type};
use wharf_registry::{Event, EventKind, Origin, StoredManifest, Subscriber};

use super::{
    Action, Webhooks,
    record::{Record, Request, Source, Subject, Target},
};

#[async_trait]
impl Subscriber for Webhooks {
    fn wants_pulls(&self) -> bool {
        let queues = &self.shared.queues;
        queues
            .iter()
            .any(|queue| queue.endpoint.wants(Action::Pull, None))
    }

    async fn deliver(&self, event: &Event) {
        self.tell(&self.record(event)).await;
    }

    fn try_deliver(&self, event: &Event) {
        self.tell_soon(&self.record(event));
    }
}

impl Webhooks {
    fn record(&self, event: &Event) -> Record {
        record(event, self.shared.include_references, &self.shared.source)
    }
}

fn record(event: &Event, include_references: bool, source: &Source) -> Record {
    let (action, subject, target) = describe(event, include_references);
    Record {
        id: event.id.to_string(),
        timestamp: Timestamp::try_from(event.time).unwrap_or_default().to_string(),
        action,
        subject,
        target,
        request: request(&event.origin),
        actor: event.origin.actor.as_deref().unwrap_or_default().to_owned(),
        source: source.clone(),
    }
}

fn describe(event: &Event, include_references: bool) -> (Action, Subject, Target) {
    match &event.kind {
        EventKind::ManifestPushed { manifest, tag } => {
            let target = stored_manifest(event, manifest, tag.as_ref(), include_references);
            (Action::Push, Subject::Manifest, target)
        }
        EventKind::ManifestPulled { manifest, tag } => {
            let target = stored_manifest(event, manifest, tag.as_ref(), include_references);
            (Action::Pull, Subject::Manifest, target)
        }
        EventKind::ManifestDeleted { digest } => (Action::Delete, Subject::Manifest, deleted(event, digest)),
        EventKind::TagDeleted { tag } => {
            let target = Target {
                repository: event.repository.to_string(),
                tag: Some(tag.to_string()),
                ..Target::default()
            };
            (Action::Delete, Subject::Tag, target)
        }
        EventKind::BlobPushed { digest, size } => (Action::Push, Subject::Blob, blob(event, digest, *size)),
        EventKind::BlobPulled { digest, size } => (Action::Pull, Subject::Blob, blob(event, digest, *size)),
        EventKind::BlobMounted { digest, size, from } => {
            let target = Target {
                from_repository: from.as_ref().map(RepoName::to_string),
                ..blob(event, digest, *size)
            };
            (Action::Mount, Subject::Blob, target)
        }
        EventKind::BlobDeleted { digest } => (Action::Delete, Subject::Blob, deleted(event, digest)),
    }
}

fn stored_manifest(
    event: &Event,
    manifest: &StoredManifest,
    tag: Option<&Tag>,
    include_references: bool,
) -> Target {
    let references = if include_references {
        ManifestView::parse_stored(&manifest.bytes).map_or(Vec::new(), references)
    } else {
        Vec::new()
    };
    Target {
        media_type: Some(manifest.media_type.to_string()),
        digest: Some(manifest.digest.to_string()),
        size: manifest.bytes.len() as u64,
        repository: event.repository.to_string(),
        url: url(event, |name| Route::Manifest(name, manifest.digest.into())),
        tag: tag.map(Tag::to_string),
        references,
        ..Target::default()
    }
}

fn blob(event: &Event, digest: &Digest, size: u64) -> Target {
    Target {
        media_type: Some(media_type::OCTET_STREAM.to_owned()),
        digest: Some(digest.to_string()),
        size,
        repository: event.repository.to_string(),
        url: url(event, |name| Route::Blob(name, *digest)),
        ..Target::default()
    }
}

fn deleted(event: &Event, digest: &Digest) -> Target {
    Target {
        digest: Some(digest.to_string()),
        repository: event.repository.to_string(),
        ..Target::default()
    }
}

/// The URL of the content, as the client of the request sees it.
fn url(event: &Event, route: impl FnOnce(RepoName) -> Route) -> Option<String> {
    let request = event.origin.request.as_ref()?;
    let path = route(event.repository.clone()).path();
    Some(format!("{}{path}", request.base_url))
}

fn request(origin: &Origin) -> Request {
    let Some(request) = &origin.request else {
        return Request::default();
    };
    Request {
        id: request.id.to_string(),
        addr: request.address.clone(),
        host: request.host.clone(),
        method: request.method.clone(),
        user_agent: request.user_agent.clone(),
    }
}

/// What a manifest consists of, in the order of registry:2.
fn references(view: ManifestView) -> Vec<Descriptor> {
    view.config
        .into_iter()
        .chain(view.layers)
        .chain(view.manifests)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        time::{Duration, SystemTime},
    };

    use uuid::Uuid;
    use wharf_registry::RequestFacts;

    use super::*;

    fn of_request() -> Origin {
        Origin {
            actor: Some("alice".into()),
            surface: wharf_registry::Surface::Distribution,
            request: Some(RequestFacts {
                id: Uuid::from_u128(1),
                address: "192.0.2.1:4711".to_owned(),
                host: "example.com".to_owned(),
                method: "PUT".to_owned(),
                user_agent: "test/1".to_owned(),
                base_url: "https://example.com".to_owned(),
            }),
        }
    }

    fn record_of(origin: Origin, kind: EventKind) -> Record {
        let event = Event {
            id: Uuid::from_u128(2),
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1500),
            origin: Arc::new(origin),
            repository: "team/app".parse().unwrap(),
            kind,
        };
        record(&event, true, &Source::new("vm:5000".to_owned()))
    }

    #[test]
    fn a_record_has_the_facts_of_its_event() {
        let digest = Digest::sha256_of(b"content");
        let bytes = format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"c","digest":"{digest}","size":7}},"layers":[{{"mediaType":"l","digest":"{digest}","size":7}}]}}"#
        );
        let manifest = Arc::new(StoredManifest {
            digest: Digest::sha256_of(bytes.as_bytes()),
            media_type: media_type::OCI_MANIFEST.into(),
            bytes: bytes.into(),
        });
        let (size, whole) = (manifest.bytes.len(), manifest.digest);
        let url = |kind: &str, digest: &Digest| format!("https://example.com/v2/team/app/{kind}/{digest}");
        let tag: Tag = "1.0".parse().unwrap();
        let (oci, octets) = (media_type::OCI_MANIFEST, media_type::OCTET_STREAM);
        for (kind, expected) in [
            (
                EventKind::ManifestPushed {
                    manifest: Arc::clone(&manifest),
                    tag: Some(tag.clone()),
                },
                format!(
                    "Push Manifest {oci} {whole} {size} - {} 1.0 2",
                    url("manifests", &whole)
                ),
            ),
            (
                EventKind::ManifestPulled {
                    manifest: Arc::clone(&manifest),
                    tag: None,
                },
                format!(
                    "Pull Manifest {oci} {whole} {size} - {} - 2",
                    url("manifests", &whole)
                ),
            ),
            (
                EventKind::ManifestDeleted { digest },
                format!("Delete Manifest - {digest} 0 - - - 0"),
            ),
            (
                EventKind::TagDeleted { tag },
                "Delete Tag - - 0 - - 1.0 0".to_owned(),
            ),
            (
                EventKind::BlobPushed { digest, size: 7 },
                format!("Push Blob {octets} {digest} 7 - {} - 0", url("blobs", &digest)),
            ),
            (
                EventKind::BlobPulled { digest, size: 7 },
                format!("Pull Blob {octets} {digest} 7 - {} - 0", url("blobs", &digest)),
            ),
            (
                EventKind::BlobMounted {
                    digest,
                    size: 7,
                    from: Some("other".parse().unwrap()),
                },
                format!(
                    "Mount Blob {octets} {digest} 7 other {} - 0",
                    url("blobs", &digest)
                ),
            ),
            (
                EventKind::BlobDeleted { digest },
                format!("Delete Blob - {digest} 0 - - - 0"),
            ),
        ] {
            let record = record_of(of_request(), kind);
            let target = &record.target;
            let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            let shown = format!(
                "{:?} {:?} {} {} {} {} {} {} {}",
                record.action,
                record.subject,
                text(&target.media_type),
                text(&target.digest),
                target.size,
                text(&target.from_repository),
                text(&target.url),
                text(&target.tag),
                target.references.len()
            );
            assert_eq!(shown, expected);
            assert_eq!(target.repository, "team/app");
            assert_eq!(record.id, Uuid::from_u128(2).to_string());
            assert_eq!(record.timestamp, "1970-01-01T00:00:01.5Z");
            assert_eq!(record.actor, "alice");
            assert_eq!(record.request.id, Uuid::from_u128(1).to_string());
            assert_eq!(record.request.addr, "192.0.2.1:4711");
        }
    }

    #[test]
    fn an_event_of_a_worker_has_neither_a_request_nor_a_url() {
        let digest = Digest::sha256_of(b"content");
        let record = record_of(Origin::worker("test"), EventKind::BlobPushed { digest, size: 7 });
        assert_eq!(record.request, Request::default());
        assert_eq!((record.actor.as_str(), record.target.url), ("", None));
    }
}
