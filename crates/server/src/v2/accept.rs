//! `compat.strict_accept`: the manifest that registry:2 answers for an `Accept` header (decision D2).

use std::sync::Arc;

use http::header;
use wharf_oci::{Descriptor, ErrorCode, ManifestView, Reference, RepoName, media_type};
use wharf_registry::StoredManifest;

use crate::{
    call::Call,
    error::{Failure, Result},
};

/// The stored manifest, the `linux/amd64` child of a Docker list that the client does not accept, or a 404.
pub(super) async fn choose(
    call: Call<'_>,
    name: &RepoName,
    reference: &Reference,
    stored: Arc<StoredManifest>,
) -> Result<Arc<StoredManifest>> {
    match &*stored.media_type {
        media_type::OCI_MANIFEST if !accepts(call, media_type::OCI_MANIFEST) => Err(unacceptable(
            "OCI manifest found, but accept header does not support OCI manifests",
        )),
        media_type::OCI_INDEX if !accepts(call, media_type::OCI_INDEX) => Err(unacceptable(
            "OCI index found, but accept header does not support OCI indexes",
        )),
        media_type::DOCKER_MANIFEST_LIST
            if reference.tag().is_some() && !accepts(call, media_type::DOCKER_MANIFEST_LIST) =>
        {
            let Some(child) = linux_amd64(&stored) else {
                return Err(unacceptable(
                    "the manifest list has no linux/amd64 image, and the accept header does not support lists",
                ));
            };
            Ok(call.app.registry.manifest(name, &child.digest.into()).await?)
        }
        _ => Ok(stored),
    }
}

fn unacceptable(text: &str) -> Failure {
    Failure::new(ErrorCode::ManifestUnknown, text)
}

/// Whether `Accept` names the media type literally: registry:2 ignores `*/*`.
fn accepts(call: Call<'_>, wanted: &str) -> bool {
    let values = call.parts.headers.get_all(header::ACCEPT);
    values
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .any(|range| {
            range
                .split(';')
                .next()
                .is_some_and(|media_type| media_type.trim() == wanted)
        })
}

fn linux_amd64(list: &StoredManifest) -> Option<Descriptor> {
    let children = ManifestView::parse_stored(&list.bytes).ok()?.manifests;
    children.into_iter().find(|child| {
        let platform = child.platform.as_ref();
        platform.is_some_and(|platform| platform.os == "linux" && platform.architecture == "amd64")
    })
}
