//! Tags that many clients move at once.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use wharf_testkit::{
    Server,
    image::{self, Image},
};

use super::at_once;

wharf_testkit::on_both_engines![
    one_push_of_a_tag_wins_and_the_tag_is_never_absent,
    pushes_and_deletes_of_one_tag_leave_it_whole,
    pushes_of_different_tags_lose_none,
    a_manifest_deleted_while_it_is_tagged_leaves_no_dangling_tag,
    referrers_pushed_at_once_are_all_listed,
    one_of_many_pushes_that_create_only_wins,
    tags_that_move_only_from_what_was_read_lose_no_move,
];

/// `If-None-Match: *`: exactly one client creates the tag, and it points at that client's image.
async fn one_of_many_pushes_that_create_only_wins(server: Server) {
    let repository = server.anonymous().repository("kyo/my-image");
    let images: Vec<Image> = (0..6).map(image::oci).collect();
    for image in &images {
        repository.push_blobs(image).await;
    }
    for round in 0..5 {
        let tag = format!("v{round}");
        let statuses = at_once(images.iter().cloned().map(|image| {
            let (repository, tag) = (repository.clone(), tag.clone());
            async move {
                let push = repository.put_manifest(&tag, &image.manifest);
                let answer = push.header("If-None-Match", "*").await;
                (answer.status.as_u16(), image.manifest.digest.clone())
            }
        }))
        .await;
        let winners: Vec<_> = statuses.iter().filter(|(status, _)| *status == 201).collect();
        assert_eq!(winners.len(), 1, "{statuses:?}");
        assert!(
            statuses.iter().all(|(status, _)| matches!(status, 201 | 412)),
            "{statuses:?}"
        );
        let found = repository.get_manifest(&tag).await.expect(200);
        assert_eq!(found.header("docker-content-digest"), winners[0].1);
    }
}

/// `If-Match`: each client moves the tag from what it has read, and tries again when another one was first. So the tag goes
/// through as many manifests as there were moves.
async fn tags_that_move_only_from_what_was_read_lose_no_move(server: Server) {
    let repository = server.anonymous().repository("kyo/my-image");
    let images: Vec<Image> = (0..4).map(image::oci).collect();
    for image in &images {
        repository.push_blobs(image).await;
    }
    repository.push_manifest("latest", &images[0].manifest).await;
    let moves = at_once(images.iter().cloned().map(|image| {
        let repository = repository.clone();
        async move {
            let mut from = Vec::new();
            while from.len() < 5 {
                let current = repository.head_manifest("latest").await.expect(200);
                let etag = current.header("etag").to_owned();
                let push = repository.put_manifest("latest", &image.manifest);
                match push.header("If-Match", &etag).await.status.as_u16() {
                    201 => from.push((etag, image.manifest.digest.clone())),
                    status => assert_eq!(status, 412),
                }
            }
            from
        }
    }))
    .await;
    // Every move went on from where another one ended: as often as a manifest was left, it was reached.
    let last = repository
        .head_manifest("latest")
        .await
        .header("docker-content-digest")
        .to_owned();
    for image in &images {
        let digest = &image.manifest.digest;
        let moves = || moves.iter().flatten();
        let left = moves()
            .filter(|(from, _)| *from == format!("\"{digest}\""))
            .count();
        let reached = moves().filter(|(_, to)| to == digest).count()
            + usize::from(*digest == images[0].manifest.digest);
        assert_eq!(reached, left + usize::from(*digest == last), "{digest}");
    }
}

/// I5: "one wins, both are readable by digest, the tag is never absent in between."
async fn one_push_of_a_tag_wins_and_the_tag_is_never_absent(server: Server) {
    let repository = server.anonymous().repository("kyo/my-image");
    let images: Vec<Image> = (0..4).map(image::oci).collect();
    for image in &images {
        repository.push_image("latest", image).await;
    }
    let digests: Vec<String> = images.iter().map(|image| image.manifest.digest.clone()).collect();
    let running = Arc::new(AtomicBool::new(true));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (repository, digests, running) = (repository.clone(), digests.clone(), Arc::clone(&running));
            tokio::spawn(async move {
                let mut reads = 0;
                while running.load(Ordering::Relaxed) {
                    let answer = repository.get_manifest("latest").await.expect(200);
                    assert!(
                        digests.contains(&answer.header("docker-content-digest").to_owned()),
                        "{answer}"
                    );
                    let tags = repository.tags().await;
                    assert_eq!(tags, ["latest"]);
                    reads += 1;
                }
                reads
            })
        })
        .collect();
    at_once(images.iter().cloned().map(|image| {
        let repository = repository.clone();
        async move {
            for _ in 0..25 {
                repository.push_manifest("latest", &image.manifest).await;
            }
        }
    }))
    .await;
    running.store(false, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
    let winner = repository.head_manifest("latest").await.expect(200);
    assert!(
        digests.contains(&winner.header("docker-content-digest").to_owned()),
        "{winner}"
    );
    for image in &images {
        repository.pull_image(&image.manifest.digest, image).await;
    }
}

async fn pushes_and_deletes_of_one_tag_leave_it_whole(server: Server) {
    let repository = server.anonymous().repository("kyo/my-image");
    let images: Vec<Image> = (0..2).map(image::oci).collect();
    for image in &images {
        repository.push_image("latest", image).await;
    }
    let pushers = images.iter().cloned().map(|image| {
        let repository = repository.clone();
        tokio::spawn(async move {
            for _ in 0..30 {
                repository.push_manifest("latest", &image.manifest).await;
            }
        })
    });
    let pushers: Vec<_> = pushers.collect();
    let deleter = repository.clone();
    let deletes = tokio::spawn(async move {
        let mut deleted = 0;
        for _ in 0..60 {
            let answer = deleter.delete_manifest("latest").await;
            assert!(matches!(answer.status.as_u16(), 202 | 404), "{answer}");
            deleted += usize::from(answer.status == 202);
        }
        deleted
    });
    let reader = repository.clone();
    let reads = tokio::spawn(async move {
        for _ in 0..60 {
            let answer = reader.get_manifest("latest").await;
            assert!(matches!(answer.status.as_u16(), 200 | 404), "{answer}");
        }
    });
    for pusher in pushers {
        pusher.await.unwrap();
    }
    assert!(deletes.await.unwrap() > 0);
    reads.await.unwrap();
    // Whatever the last request did, a push after it decides.
    repository.push_manifest("latest", &images[0].manifest).await;
    repository.pull_image("latest", &images[0]).await;
    repository
        .pull_image(&images[1].manifest.digest, &images[1])
        .await;
}

async fn pushes_of_different_tags_lose_none(server: Server) {
    let repository = server.anonymous().repository("kyo/my-image");
    let image = image::oci(1);
    repository.push_blobs(&image).await;
    at_once((0..8).map(|client| {
        let (repository, manifest) = (repository.clone(), image.manifest.clone());
        async move {
            for n in 0..10 {
                repository
                    .push_manifest(&format!("t{client}{n}"), &manifest)
                    .await;
                // A listing during pushes has at least the tags that were acknowledged before.
                let tags = repository.tags().await;
                for m in 0..=n {
                    assert!(
                        tags.contains(&format!("t{client}{m}")),
                        "t{client}{m} is missing from {tags:?}"
                    );
                }
            }
        }
    }))
    .await;
    assert_eq!(repository.tags().await.len(), 80);
}

/// I3: whichever comes first, no tag points at a manifest that is gone. The store is checked in the end.
async fn a_manifest_deleted_while_it_is_tagged_leaves_no_dangling_tag(server: Server) {
    let repository = server.anonymous().repository("kyo/my-image");
    let image = image::oci(1);
    repository.push_blobs(&image).await;
    for _ in 0..15 {
        repository.push_manifest("a", &image.manifest).await;
        let tagger = {
            let (repository, manifest) = (repository.clone(), image.manifest.clone());
            tokio::spawn(async move {
                for tag in ["b", "c", "d"] {
                    repository.push_manifest(tag, &manifest).await;
                }
            })
        };
        let answer = repository.delete_manifest(&image.manifest.digest).await;
        assert!(matches!(answer.status.as_u16(), 202 | 404), "{answer}");
        tagger.await.unwrap();
        let by_digest = repository.head_manifest(&image.manifest.digest).await;
        // A store without directories forgets a repository with its last manifest, and has no list to show.
        let tags = match by_digest.status.as_u16() {
            404 => ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
            _ => repository.tags().await,
        };
        for tag in tags {
            let answer = repository.get_manifest(&tag).await;
            assert_eq!(
                answer.status, by_digest.status,
                "{tag} is listed\n{answer}\nby digest\n{by_digest}"
            );
        }
    }
}

async fn referrers_pushed_at_once_are_all_listed(server: Server) {
    let repository = server.anonymous().repository("kyo/my-image");
    let subject = image::oci(1);
    repository.push_image("latest", &subject).await;
    let mut expected = at_once((0..8).map(|seed| {
        let (repository, subject) = (repository.clone(), subject.manifest.clone());
        async move {
            let artifact = image::artifact(seed, "application/vnd.example.sbom", &subject);
            repository.push_blobs(&artifact).await;
            repository
                .push_manifest(&artifact.manifest.digest, &artifact.manifest)
                .await;
            let listed = repository.referrers(&subject.digest).await;
            assert!(
                listed.contains(&artifact.manifest.digest),
                "what was acknowledged is not in {listed:?}"
            );
            artifact.manifest.digest
        }
    }))
    .await;
    let mut listed = repository.referrers(&subject.manifest.digest).await;
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
}
