//! Fallback tags are kept up to date with each push and deletion of a referrer, on both engines, by several registries over one store.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use futures_util::future::join_all;
use tokio::{join, time::sleep};
use wharf_oci::{Digest, ManifestView, PageRequest, Reference, RepoName, Tag, referrers_tag};
use wharf_registry::{Error, Options, Registry};
use wharf_storage::{Storage, layout};

use crate::common::{
    ROUND_TRIP, about, caller, far_away, image, index, name, on_both_engines, put, tag, with_referrers_tags,
    write,
};

/// A repository with an image, to which artifacts refer.
struct Signed {
    storage: Arc<dyn Storage>,
    /// The registry, with the option `referrers_tags`.
    registry: Arc<Registry>,
    app: RepoName,
    /// The image.
    subject: Digest,
    /// The field `subject` of its referrers.
    about: String,
}

impl Signed {
    async fn over(storage: &Arc<dyn Storage>) -> Self {
        let (registry, app) = (with_referrers_tags(storage), name("app"));
        let manifest = image(&registry, &app, "subject", "").await;
        let subject = put(&registry, &app, tag("1"), &manifest).await;
        Self {
            storage: Arc::clone(storage),
            registry,
            app,
            subject,
            about: about(&subject, manifest.len()),
        }
    }

    /// Another registry over the same store, with default options but for deletion.
    fn without_the_option(&self) -> Arc<Registry> {
        let options = Options {
            delete_enabled: true,
            ..Options::default()
        };
        Arc::new(Registry::new(Arc::clone(&self.storage), options))
    }

    fn tag(&self) -> Tag {
        referrers_tag(&self.subject)
    }

    /// A referrer, of which the blobs are pushed and the manifest is not.
    async fn artifact(&self, content: &str) -> (Digest, String) {
        let manifest = image(&self.registry, &self.app, content, &self.about).await;
        (Digest::sha256_of(manifest.as_bytes()), manifest)
    }

    /// Pushes a referrer to `registry`.
    async fn sign(&self, registry: &Arc<Registry>, content: &str) -> Digest {
        let (digest, manifest) = self.artifact(content).await;
        put(registry, &self.app, digest, &manifest).await
    }

    async fn delete(&self, registry: &Registry, digest: &Digest, force: bool) -> Result<(), Error> {
        let caller = caller();
        let deleted = registry.delete_manifest(&caller, &self.app, digest, force).await;
        deleted.map(drop)
    }

    /// What the fallback tag lists; `None` when there is none.
    async fn listed(&self) -> Option<BTreeSet<Digest>> {
        let reference = Reference::Tag(self.tag());
        let index = match self.registry.manifest(&self.app, &reference).await {
            Ok(index) => index,
            Err(Error::ManifestUnknown { .. }) => return None,
            Err(error) => panic!("{error}"),
        };
        let view = ManifestView::parse_stored(&index.bytes).unwrap();
        let listed = view.manifests.iter().map(|entry| entry.digest);
        let each_once: BTreeSet<Digest> = listed.collect();
        assert_eq!(each_once.len(), view.manifests.len(), "none is listed twice");
        Some(each_once)
    }

    async fn check(&self, expected: &[Digest]) {
        assert_eq!(self.listed().await, Some(expected.iter().copied().collect()));
    }

    /// The fallback tag lists just what refers to the image.
    async fn check_is_current(&self) -> usize {
        let page = self.registry.referrers(&self.app, &self.subject, None, None);
        let referrers = page.await.unwrap().descriptors;
        let referrers: BTreeSet<Digest> = referrers.iter().map(|referrer| referrer.digest).collect();
        assert_eq!(self.listed().await.unwrap_or_default(), referrers);
        referrers.len()
    }
}

async fn tags(
    registry: &Registry,
    app: &RepoName,
    n: Option<usize>,
    last: Option<&str>,
) -> (Vec<Box<str>>, bool) {
    let last = last.map(Into::into);
    let page = registry.tags(app, &PageRequest { n, last }).await.unwrap();
    (page.names, page.more)
}

async fn signed(storage: Arc<dyn Storage>, _is_bucket: bool) -> Signed {
    Signed::over(&storage).await
}

on_both_engines! { signed:
    referrers_come_and_go_in_the_tag
    the_tag_is_left_out_of_lists
    without_the_option_a_tag_that_is_there_never_goes_stale
    referrers_that_are_pushed_at_once_are_all_listed
    a_list_of_a_client_is_completed_and_loses_nothing
    a_tag_that_is_no_index_stays_as_it_is
    a_referrer_that_must_not_be_deleted_stays_listed
    a_damaged_referrer_keeps_no_other_from_being_listed
    a_list_that_is_too_long_is_cut
    a_deleted_tag_comes_back_with_the_next_referrer
}

async fn referrers_come_and_go_in_the_tag(signed: Signed) {
    assert_eq!(
        signed.listed().await,
        None,
        "an image without referrers needs none"
    );
    let one = signed.sign(&signed.registry, "one").await;
    signed.check(&[one]).await;
    let two = signed.sign(&signed.registry, "two").await;
    signed.check(&[one, two]).await;
    let again = signed.sign(&signed.registry, "two").await;
    signed.check(&[one, again]).await;
    // The list does not keep a referrer from being deleted.
    signed.delete(&signed.registry, &one, false).await.unwrap();
    signed.check(&[two]).await;
    signed.delete(&signed.registry, &two, true).await.unwrap();
    signed.check(&[]).await;
    let back = signed.sign(&signed.registry, "one").await;
    signed.check(&[back]).await;
}

async fn the_tag_is_left_out_of_lists(signed: Signed) {
    signed.sign(&signed.registry, "one").await;
    let (with, without) = (Arc::clone(&signed.registry), signed.without_the_option());
    let app = &signed.app;
    let hidden = signed.tag();
    assert_eq!(tags(&with, app, None, None).await, (vec!["1".into()], false));
    assert_eq!(
        tags(&without, app, None, None).await.0,
        ["1".into(), hidden.as_str().into()]
    );
    // A page is full although tags between are left out.
    let subject = Reference::Digest(signed.subject);
    let manifest = with.manifest(app, &subject).await.unwrap();
    let manifest = std::str::from_utf8(&manifest.bytes).unwrap();
    for other in ["sha256-short", "zeta"] {
        put(&with, app, tag(other), manifest).await;
    }
    assert_eq!(
        tags(&with, app, Some(1), Some("1")).await,
        (vec!["sha256-short".into()], true)
    );
    assert_eq!(
        tags(&with, app, Some(2), Some("1")).await.0,
        ["sha256-short".into(), "zeta".into()]
    );
    // A repository of which no tag is shown is none of the catalogue.
    let catalog = async || with.catalog(&PageRequest::default()).await.unwrap().names.len();
    assert_eq!(catalog().await, 1);
    for own in ["1", "sha256-short", "zeta"] {
        with.delete_tag(&caller(), app, &tag(own)).await.unwrap();
    }
    assert_eq!(tags(&with, app, None, None).await, (vec![], false));
    assert_eq!(catalog().await, 0);
}

async fn without_the_option_a_tag_that_is_there_never_goes_stale(signed: Signed) {
    let registry = signed.without_the_option();
    let one = signed.sign(&registry, "one").await;
    assert_eq!(signed.listed().await, None);
    let written = registry.fallback_tags(&signed.app).await.unwrap();
    registry
        .write_fallback_tag(&signed.app, &written[0])
        .await
        .unwrap();
    signed.check(&[one]).await;
    let two = signed.sign(&registry, "two").await;
    signed.check(&[one, two]).await;
    signed.delete(&registry, &one, false).await.unwrap();
    signed.check(&[two]).await;
    registry
        .delete_tag(&caller(), &signed.app, &signed.tag())
        .await
        .unwrap();
    signed.sign(&registry, "three").await;
    assert_eq!(signed.listed().await, None, "without the option none is made");
}

async fn referrers_that_are_pushed_at_once_are_all_listed(signed: Signed) {
    let replicas = [Arc::clone(&signed.registry), with_referrers_tags(&signed.storage)];
    let contents: Vec<String> = (0..12).map(|number| format!("artifact {number}")).collect();
    let pushes = contents.iter().zip(replicas.iter().cycle());
    let pushed = join_all(pushes.map(|(content, registry)| signed.sign(registry, content))).await;
    signed.check(&pushed).await;
    let deletions = pushed[..6].iter().zip(replicas.iter().cycle());
    let deleted = join_all(deletions.map(|(digest, registry)| signed.delete(registry, digest, false))).await;
    deleted.into_iter().for_each(|deleted| deleted.unwrap());
    signed.check(&pushed[6..]).await;
}

async fn a_list_of_a_client_is_completed_and_loses_nothing(signed: Signed) {
    let one = signed.sign(&signed.registry, "one").await;
    let other = image(&signed.registry, &signed.app, "other", "").await;
    let other_digest = put(
        &signed.registry,
        &signed.app,
        Digest::sha256_of(other.as_bytes()),
        &other,
    )
    .await;
    let list = index(&[(other_digest, other.len())]);
    for registry in [&signed.registry, &signed.without_the_option()] {
        put(registry, &signed.app, signed.tag(), &list).await;
        signed.check(&[one, other_digest]).await;
    }
    let two = signed.sign(&signed.registry, "two").await;
    signed.check(&[one, two, other_digest]).await;
    // A list that is complete stays byte for byte.
    let page = signed
        .registry
        .referrers(&signed.app, &signed.subject, None, None)
        .await
        .unwrap();
    let sizes: HashMap<Digest, u64> = page
        .descriptors
        .iter()
        .map(|entry| (entry.digest, entry.size))
        .collect();
    let complete = [two, one].map(|digest| (digest, usize::try_from(sizes[&digest]).unwrap()));
    let complete = index(&[complete[0], complete[1], (other_digest, other.len())]);
    let digest = put(&signed.registry, &signed.app, signed.tag(), &complete).await;
    let stored = signed
        .registry
        .manifest(&signed.app, &signed.tag().into())
        .await
        .unwrap();
    assert_eq!(stored.digest, digest);
    // What only the client lists is protected as a child of any tagged index.
    let refused = signed.delete(&signed.registry, &other_digest, false).await;
    assert!(matches!(refused, Err(Error::NeededByIndex { .. })), "{refused:?}");
}

async fn a_tag_that_is_no_index_stays_as_it_is(signed: Signed) {
    let subject = signed
        .registry
        .manifest(&signed.app, &signed.subject.into())
        .await
        .unwrap();
    let manifest = std::str::from_utf8(&subject.bytes).unwrap();
    put(&signed.registry, &signed.app, signed.tag(), manifest).await;
    let one = signed.sign(&signed.registry, "one").await;
    signed.delete(&signed.registry, &one, false).await.unwrap();
    let stored = signed
        .registry
        .manifest(&signed.app, &signed.tag().into())
        .await
        .unwrap();
    assert_eq!(stored.digest, signed.subject);
}

async fn a_referrer_that_must_not_be_deleted_stays_listed(signed: Signed) {
    let (one, manifest) = signed.artifact("one").await;
    put(&signed.registry, &signed.app, one, &manifest).await;
    put(
        &signed.registry,
        &signed.app,
        tag("multi"),
        &index(&[(one, manifest.len())]),
    )
    .await;
    match signed.delete(&signed.registry, &one, false).await {
        Err(Error::NeededByIndex { indexes, .. }) => assert_eq!(indexes, ["app:multi"]),
        other => panic!("{other:?}"),
    }
    signed.check(&[one]).await;
}

async fn a_damaged_referrer_keeps_no_other_from_being_listed(signed: Signed) {
    let one = signed.sign(&signed.registry, "one").await;
    write(&*signed.storage, &layout::blob(&one), "damaged").await;
    let fresh = with_referrers_tags(&signed.storage);
    let two = signed.sign(&fresh, "two").await;
    signed.check(&[two]).await;
    // It may be deleted, which is one of the remedies.
    signed.delete(&fresh, &one, false).await.unwrap();
    signed.check(&[two]).await;
}

async fn a_list_that_is_too_long_is_cut(signed: Signed) {
    let options = Options {
        delete_enabled: true,
        referrers_tags: true,
        manifest_limit: 1200,
        ..Options::default()
    };
    let registry = Arc::new(Registry::new(Arc::clone(&signed.storage), options));
    let mut pushed = BTreeSet::new();
    for number in 0..12 {
        pushed.insert(signed.sign(&registry, &format!("artifact {number}")).await);
    }
    let listed = signed.listed().await.unwrap();
    assert!(
        (2..12).contains(&listed.len()) && listed.is_subset(&pushed),
        "{listed:?}"
    );
    let found = registry.fallback_tags(&signed.app).await.unwrap();
    assert!(found[0].is_cut && !found[0].is_due(), "{found:?}");
    // What is deleted makes room.
    let first = listed.first().unwrap();
    signed.delete(&registry, first, false).await.unwrap();
    let now = signed.listed().await.unwrap();
    assert!(!now.contains(first) && now.len() >= listed.len() - 1, "{now:?}");
}

async fn a_deleted_tag_comes_back_with_the_next_referrer(signed: Signed) {
    let one = signed.sign(&signed.registry, "one").await;
    let list = signed
        .registry
        .manifest(&signed.app, &signed.tag().into())
        .await
        .unwrap();
    signed
        .delete(&signed.registry, &list.digest, false)
        .await
        .unwrap();
    assert_eq!(signed.listed().await, None, "a client may delete it");
    let two = signed.sign(&signed.registry, "two").await;
    signed.check(&[one, two]).await;
}

/// A push and a deletion of referrers of one image, by one registry and by two over one bucket, at every delay of the one
/// to the other.
#[tokio::test(start_paused = true)]
async fn a_referrer_that_goes_while_another_one_comes() {
    for delay in (0..80).step_by(2) {
        for replicas in [1, 2] {
            let (_, storage) = far_away();
            let signed = Signed::over(&storage).await;
            let old = signed.sign(&signed.registry, "old").await;
            let (new, manifest) = signed.artifact("new").await;
            let pushing = match replicas {
                1 => Arc::clone(&signed.registry),
                _ => with_referrers_tags(&storage),
            };
            let push = async {
                sleep(ROUND_TRIP / 2 * delay).await;
                put(&pushing, &signed.app, new, &manifest).await
            };
            let (deleted, _) = join!(signed.delete(&signed.registry, &old, false), push);
            deleted.unwrap();
            let count = signed.check_is_current().await;
            assert_eq!(count, 1, "{replicas} registries, the push {delay} later");
        }
    }
}
