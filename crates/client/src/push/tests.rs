//! Uploads to a registry that makes trouble.

use parking_lot::Mutex;
use std::sync::Arc;

use super::*;
use crate::{
    Notices,
    fake::{Fake, Reply},
};

struct Whole(Option<Bytes>);

impl Blob for Whole {
    fn seek(&mut self, position: u64) {
        self.0 = Some(Bytes::from_static(
            &b"content"[usize::try_from(position).unwrap()..],
        ));
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        Ok(self.0.take())
    }
}

fn blob() -> Descriptor {
    Descriptor {
        media_type: media_type::OCTET_STREAM.to_owned(),
        digest: Digest::sha256_of(b"content"),
        size: 7,
        artifact_type: None,
        annotations: None,
        urls: Vec::new(),
        platform: None,
    }
}

async fn push(client: &Client) -> Result<Upload> {
    let mut whole = Whole(None);
    client.push_blob("app", &blob(), &mut whole, None, &|_| {}).await
}

#[tokio::test]
async fn an_upload_goes_on_with_a_new_token_also_after_other_trouble() {
    let (tokens, puts) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    let fake = Fake::start(move |request, address| {
        let current = format!("Bearer t{}", *tokens.lock());
        if request.path.starts_with("/token") {
            *tokens.lock() += 1;
            return Reply::json(200, &format!("{{\"token\":\"t{}\"}}", *tokens.lock()));
        }
        let unauthorized = || {
            Reply::json(401, "{}").with(
                "WWW-Authenticate",
                &format!("Bearer realm=\"http://{address}/token\",service=\"s\""),
            )
        };
        if request.authorization.as_deref() != Some(&current) {
            return unauthorized();
        }
        match &*request.method {
            "PUT" => {
                *puts.lock() += 1;
                match *puts.lock() {
                    1 => Reply::Reset,
                    // The token ends here.
                    2 => {
                        *tokens.lock() += 1;
                        unauthorized()
                    }
                    _ => Reply::json(201, ""),
                }
            }
            "POST" => Reply::json(202, "").with("Location", "/up"),
            "GET" if request.path == "/up" => Reply::json(204, "").with("Range", "0-0"),
            _ => Reply::json(404, "{}"),
        }
    });
    let client = fake.client(Notices::default()).await;
    assert_eq!(push(&client).await.unwrap(), Upload::Sent);
}

#[tokio::test]
async fn an_upload_that_is_forgotten_again_and_again_has_an_end() {
    let (puts, progress) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    let fake = Fake::start(move |request, _| match &*request.method {
        "PUT" | "PATCH" => {
            *puts.lock() += 1;
            match *puts.lock() {
                // By now it should have been given up.
                60.. => Reply::json(201, ""),
                _ => Reply::json(503, "{}").with("Retry-After", "0"),
            }
        }
        "POST" => Reply::json(202, "").with("Location", "/up"),
        "GET" if request.path == "/up" => {
            *progress.lock() += 1;
            match *progress.lock() % 2 {
                1 => Reply::json(204, "").with("Range", "0-3"),
                _ => Reply::json(404, "{}"),
            }
        }
        _ => Reply::json(404, "{}"),
    });
    let client = fake.client(Notices::default()).await;
    assert!(push(&client).await.is_err());
}

#[tokio::test]
async fn a_push_waits_as_long_as_the_registry_asks_and_says_so() {
    let asked = Arc::new(Mutex::new(0));
    let fake = Fake::start(move |request, _| match &*request.method {
        "PUT" => Reply::json(201, ""),
        "POST" => {
            *asked.lock() += 1;
            match *asked.lock() {
                // More often than a registry that only fails is asked.
                1..=5 => Reply::json(429, "{}").with("Retry-After", "0"),
                _ => Reply::json(202, "").with("Location", "/up"),
            }
        }
        _ => Reply::json(200, "{}"),
    });
    let said = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&said);
    let client = fake
        .client(Notices::to(move |text| taken.lock().push(text.to_owned())))
        .await;
    assert_eq!(push(&client).await.unwrap(), Upload::Sent);
    let said = said.lock();
    assert_eq!(said.len(), 5, "{said:?}");
    assert!(said[0].contains("limits its clients (429"), "{said:?}");
}

#[test]
fn a_name_stays_one_value_of_the_query() {
    assert_eq!(in_query("team/my-app_1.x"), "team/my-app_1.x");
    assert_eq!(in_query("a&digest=b#c d\n"), "a%26digest%3Db%23c%20d%0A");
}
