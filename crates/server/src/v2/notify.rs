//! The events of requests: which request is an event, and what the event contains.

use http::header;
use wharf_http::location::authority;
use wharf_oci::{Descriptor, Digest, ManifestView, Reference, RepoName, Route, Tag, media_type};
use wharf_registry::{BlobInfo, StoredManifest};

use crate::{
    call::Call,
    location,
    webhooks::{
        Action, Webhooks,
        event::{Event, Request, Subject, Target},
    },
};

/// The context of the events of a request. It outlives the request, because the work of the request does.
pub(super) struct EventContext {
    webhooks: Webhooks,
    request: Request,
    actor: String,
    /// What stands before `/v2/` in URLs.
    base: String,
}

/// Reports that a blob was asked for, and exists.
pub(super) fn pulled_blob(call: Call<'_>, name: &RepoName, blob: &BlobInfo) {
    if let Some(webhooks) = &call.app.services.webhooks {
        let context = EventContext::new(call, webhooks);
        let event = context.event(Action::Pull, Subject::Blob, context.blob(name, blob));
        webhooks.tell_soon(&event);
    }
}

/// Reports that a manifest is answered.
pub(super) fn pulled_manifest(
    call: Call<'_>,
    name: &RepoName,
    reference: &Reference,
    manifest: &StoredManifest,
) {
    if let Some(webhooks) = &call.app.services.webhooks {
        let context = EventContext::new(call, webhooks);
        let target = Target {
            tag: reference.tag().map(Tag::to_string),
            references: match webhooks.includes_references() {
                true => ManifestView::parse_stored(&manifest.bytes).map_or(Vec::new(), references),
                false => Vec::new(),
            },
            ..context.manifest(name, &manifest.digest, &manifest.media_type, manifest.bytes.len())
        };
        webhooks.tell_soon(&context.event(Action::Pull, Subject::Manifest, target));
    }
}

impl EventContext {
    /// The context of the events of this request; `None`: there are no endpoints.
    pub(super) fn of(call: Call<'_>) -> Option<Self> {
        let webhooks = call.app.services.webhooks.as_ref()?;
        Some(Self::new(call, webhooks))
    }

    fn new(call: Call<'_>, webhooks: &Webhooks) -> Self {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let request = Request {
            id: call.context.id().to_string(),
            addr: call.context.client_text(&call.parts.headers),
            host: text(authority(call.parts)),
            method: call.parts.method.to_string(),
            user_agent: text(call.header(&header::USER_AGENT)),
        };
        Self {
            webhooks: webhooks.clone(),
            request,
            actor: text(call.context.actor()),
            base: location::base(call),
        }
    }

    pub(super) async fn pushed_blob(&self, name: &RepoName, blob: &BlobInfo) {
        self.tell(Action::Push, Subject::Blob, self.blob(name, blob))
            .await;
    }

    pub(super) async fn mounted_blob(&self, name: &RepoName, blob: &BlobInfo, from: Option<&RepoName>) {
        let target = Target {
            from_repository: from.map(RepoName::to_string),
            ..self.blob(name, blob)
        };
        self.tell(Action::Mount, Subject::Blob, target).await;
    }

    pub(super) async fn deleted_blob(&self, name: &RepoName, digest: &Digest) {
        self.tell(Action::Delete, Subject::Blob, digest_of(name, digest))
            .await;
    }

    /// One event for each tag, or one without.
    pub(super) async fn pushed_manifest(&self, name: &RepoName, digest: &Digest, bytes: &[u8], tags: &[Tag]) {
        let view = ManifestView::parse_stored(bytes).ok();
        let media_type = view
            .as_ref()
            .map_or(media_type::OCTET_STREAM, |view| &view.media_type);
        let mut target = self.manifest(name, digest, media_type, bytes.len());
        if let (true, Some(view)) = (self.webhooks.includes_references(), view) {
            target.references = references(view);
        }
        if tags.is_empty() {
            return self.tell(Action::Push, Subject::Manifest, target).await;
        }
        for tag in tags {
            let target = Target {
                tag: Some(tag.to_string()),
                ..target.clone()
            };
            self.tell(Action::Push, Subject::Manifest, target).await;
        }
    }

    /// The manifest, and the tags that went with it, in the order of registry:2.
    pub(super) async fn deleted_manifest(&self, name: &RepoName, digest: &Digest, tags: &[Tag]) {
        self.tell(Action::Delete, Subject::Manifest, digest_of(name, digest))
            .await;
        for tag in tags {
            self.deleted_tag(name, tag).await;
        }
    }

    pub(super) async fn deleted_tag(&self, name: &RepoName, tag: &Tag) {
        let target = Target {
            repository: name.to_string(),
            tag: Some(tag.to_string()),
            ..Target::default()
        };
        self.tell(Action::Delete, Subject::Tag, target).await;
    }

    async fn tell(&self, action: Action, subject: Subject, target: Target) {
        self.webhooks.tell(&self.event(action, subject, target)).await;
    }

    fn event(&self, action: Action, subject: Subject, target: Target) -> Event {
        Event::now(
            action,
            subject,
            target,
            (&self.request, &self.actor, self.webhooks.source()),
        )
    }

    fn blob(&self, name: &RepoName, blob: &BlobInfo) -> Target {
        Target {
            media_type: Some(media_type::OCTET_STREAM.to_owned()),
            digest: Some(blob.digest.to_string()),
            size: blob.size,
            repository: name.to_string(),
            url: Some(self.url(&Route::Blob(name.clone(), blob.digest))),
            ..Target::default()
        }
    }

    fn manifest(&self, name: &RepoName, digest: &Digest, media_type: &str, size: usize) -> Target {
        Target {
            media_type: Some(media_type.to_owned()),
            digest: Some(digest.to_string()),
            size: size as u64,
            repository: name.to_string(),
            url: Some(self.url(&Route::Manifest(name.clone(), (*digest).into()))),
            ..Target::default()
        }
    }

    fn url(&self, route: &Route) -> String {
        format!("{}{}", self.base, route.path())
    }
}

fn digest_of(name: &RepoName, digest: &Digest) -> Target {
    Target {
        digest: Some(digest.to_string()),
        repository: name.to_string(),
        ..Target::default()
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
