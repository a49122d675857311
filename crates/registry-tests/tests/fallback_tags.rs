//! Fallback tags, written for registries that know no referrers.

use wharf_oci::{Digest, PageRequest, media_type};
use wharf_registry::FallbackState;
use wharf_storage::layout;

use crate::common::{about, image, index, name, put, registry, tag, write};

#[tokio::test]
async fn fallback_tags_list_what_refers_to_their_digest() {
    let (registry, storage) = registry();
    let app = name("app");
    assert_eq!(registry.fallback_tags(&app).await.unwrap(), []);
    let subject = image(&registry, &app, "subject", "").await;
    let digest = put(&registry, &app, tag("1"), &subject).await;
    assert_eq!(registry.fallback_tags(&app).await.unwrap(), []);

    let fallback_tag = format!("sha256-{}", digest.hex());
    let check = async |state: FallbackState, expected: &[Digest]| {
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        let found = registry.fallback_tags(&app).await.unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        let mut listed: Vec<Digest> = found[0].referrers.iter().map(|listed| listed.digest).collect();
        listed.sort_unstable();
        assert_eq!((found[0].tag.as_str(), found[0].state), (&*fallback_tag, state));
        assert_eq!(listed, expected);
        if found[0].is_due() {
            registry.write_fallback_tag(&app, &found[0]).await.unwrap();
        }
    };
    let mut referrers = Vec::new();
    for (content, state) in [("one", FallbackState::Missing), ("two", FallbackState::Stale)] {
        let manifest = image(&registry, &app, content, &about(&digest, subject.len())).await;
        let referrer = Digest::sha256_of(manifest.as_bytes());
        // As an older registry writes it, without a look at fallback tags.
        write(&*storage, &layout::blob(&referrer), &manifest).await;
        let link = layout::revision_link(&app, &referrer);
        write(&*storage, &link, &referrer.to_string()).await;
        referrers.push(referrer);
        check(state, &referrers).await;
        check(FallbackState::Current, &referrers).await;
    }
    let written = registry.manifest(&app, &tag(&fallback_tag).into()).await.unwrap();
    assert_eq!(&*written.media_type, media_type::OCI_INDEX);
    let written = std::str::from_utf8(&written.bytes).unwrap();
    assert!(
        written.contains(r#""artifactType":"example/signature""#),
        "{written}"
    );
    let tags = registry.tags(&app, &PageRequest::default()).await.unwrap();
    assert_eq!(tags.names.len(), 2, "{tags:?}");

    // A tag that a client wrote keeps what else it lists.
    let other = image(&registry, &app, "other", "").await;
    let other_digest = Digest::sha256_of(other.as_bytes());
    put(&registry, &app, other_digest, &other).await;
    let list = index(&[(other_digest, other.len())]);
    let list_digest = Digest::sha256_of(list.as_bytes());
    put(&registry, &app, list_digest, &list).await;
    let link = layout::tag_link(&app, &tag(&fallback_tag));
    write(&*storage, &link, &list_digest.to_string()).await;
    referrers.push(other_digest);
    check(FallbackState::Stale, &referrers).await;
    check(FallbackState::Current, &referrers).await;
}

#[tokio::test]
async fn a_tag_of_that_form_that_is_no_index_stays() {
    let (registry, _) = registry();
    let app = name("app");
    let subject = image(&registry, &app, "subject", "").await;
    let digest = put(&registry, &app, tag("1"), &subject).await;
    put(
        &registry,
        &app,
        tag(&format!("sha256-{}", digest.hex())),
        &subject,
    )
    .await;
    let found = registry.fallback_tags(&app).await.unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].state, FallbackState::Foreign);
    assert!(!found[0].is_due());
}
