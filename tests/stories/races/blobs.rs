//! Blobs that many clients push at once, and uploads that two clients use.

use wharf_testkit::{Server, digest, image::Blob};

use super::at_once;

wharf_testkit::on_both_engines![
    many_clients_push_the_same_blob,
    many_clients_push_the_same_blob_into_many_repositories,
    two_requests_on_one_upload_never_mix,
    two_puts_that_end_one_upload_have_one_winner,
    a_blob_deleted_while_it_is_pushed_is_there_or_not,
];

async fn many_clients_push_the_same_blob(server: Server) {
    let repository = server.anonymous().repository("kyo/my-image");
    let blob = Blob::random(1, 500_000);
    at_once((0..8).map(|client| {
        let (repository, blob) = (repository.clone(), blob.clone());
        async move {
            for _ in 0..4 {
                if client % 2 == 0 {
                    repository.push_blob(&blob).await;
                } else {
                    let location = repository.start_upload().await;
                    repository
                        .append(&location, blob.bytes.slice(..200_000))
                        .await
                        .expect(202);
                    repository
                        .finish(&location, &blob.digest, blob.bytes.slice(200_000..))
                        .await
                        .expect(201);
                }
                // A blob that is acknowledged to one client is readable by all, whole, while other clients still push.
                repository.expect_blob(&blob).await;
            }
        }
    }))
    .await;
}

async fn many_clients_push_the_same_blob_into_many_repositories(server: Server) {
    let client = server.anonymous();
    let blob = Blob::random(1, 50_000);
    at_once((0..8).map(|n| {
        let (repository, blob) = (client.repository(&format!("team/{n}")), blob.clone());
        async move {
            repository.push_blob(&blob).await;
            repository.expect_blob(&blob).await;
        }
    }))
    .await;
}

/// I1: each of two clients appends pieces that can be told apart; what is stored in the end is a
/// sequence of whole pieces, and only acknowledged ones.
async fn two_requests_on_one_upload_never_mix(server: Server) {
    const PIECE: usize = 10_000;
    let repository = server.anonymous().repository("a");
    let location = repository.start_upload().await;
    let accepted: usize = at_once([b'a', b'b', b'c'].map(|letter| {
        let (repository, location) = (repository.clone(), location.clone());
        async move {
            let mut accepted = 0;
            for _ in 0..20 {
                let answer = repository
                    .append(&location, "")
                    .streamed(&vec![letter; PIECE].into(), 777)
                    .await;
                match answer.status.as_u16() {
                    202 => accepted += 1,
                    _ => drop(answer.expect_error(409, "BLOB_UPLOAD_INVALID")),
                }
            }
            accepted
        }
    }))
    .await
    .into_iter()
    .sum();
    assert!(accepted > 0);
    let answer = repository.client().get(&location).await.expect(204);
    assert_eq!(
        answer.header("range"),
        format!("0-{}", accepted * PIECE - 1),
        "{answer}"
    );

    // The digest of the stored bytes is not known here: the refusal of a wrong one names it, and so
    // a second upload of all combinations is not needed; what matters is read from the tree.
    if server.engine() == wharf_testkit::Engine::Filesystem {
        let uploads = server.tree().join("repositories/a/_uploads");
        let upload = std::fs::read_dir(uploads)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let bytes = std::fs::read(upload.join("data")).unwrap();
        assert_eq!(bytes.len(), accepted * PIECE);
        for piece in bytes.chunks(PIECE) {
            assert!(piece.iter().all(|byte| *byte == piece[0]), "a piece is mixed");
        }
        repository
            .finish(&location, &digest::sha256(&bytes), "")
            .await
            .expect(201);
    }
}

async fn two_puts_that_end_one_upload_have_one_winner(server: Server) {
    let repository = server.anonymous().repository("a");
    for round in 0..10 {
        let blobs = [Blob::random(round, 20_000), Blob::random(round + 100, 20_000)];
        let location = repository.start_upload().await;
        let statuses = at_once(blobs.clone().map(|blob| {
            let (repository, location) = (repository.clone(), location.clone());
            async move {
                repository
                    .finish(&location, &blob.digest, blob.bytes)
                    .await
                    .status
                    .as_u16()
            }
        }))
        .await;
        let winners = statuses.iter().filter(|status| **status == 201).count();
        assert_eq!(winners, 1, "{statuses:?}");
        for (blob, status) in blobs.iter().zip(&statuses) {
            match status {
                201 => drop(repository.expect_blob(blob).await),
                404 | 409 => drop(repository.head_blob(&blob.digest).await.expect(404)),
                _ => panic!("{statuses:?}"),
            }
        }
    }
}

async fn a_blob_deleted_while_it_is_pushed_is_there_or_not(server: Server) {
    let repository = server.anonymous().repository("a");
    let blob = Blob::random(1, 10_000);
    repository.push_blob(&blob).await;
    let pusher = {
        let (repository, blob) = (repository.clone(), blob.clone());
        tokio::spawn(async move {
            for _ in 0..20 {
                repository.push_blob(&blob).await;
            }
        })
    };
    for _ in 0..40 {
        let answer = repository
            .client()
            .delete(&repository.blob_path(&blob.digest))
            .await;
        assert!(matches!(answer.status.as_u16(), 202 | 404), "{answer}");
        let answer = repository.get_blob(&blob.digest).await;
        match answer.status.as_u16() {
            200 => drop(answer.expect_body(&blob.bytes)),
            _ => drop(answer.expect_error(404, "BLOB_UNKNOWN")),
        }
    }
    pusher.await.unwrap();
    repository.push_blob(&blob).await;
    repository.expect_blob(&blob).await;
}
