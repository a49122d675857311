//! `Idempotency-Key`: a change that is sent again is made once.

use wharf_testkit::{Method, ServerBuilder};

use super::{Api, ExpectProblem as _, with_users};

wharf_testkit::configured_on_both_engines![a_change_that_is_sent_again_is_made_once];

async fn a_change_that_is_sent_again_is_made_once(builder: ServerBuilder) {
    let server = with_users(builder).start();
    let api = Api::of_operator(&server).await;
    let key = [("idempotency-key", "\"4f9a\"")];
    let add = async |body| api.send(Method::POST, "/users", &key, Some(body)).await;
    let bob = r#"{"name":"bob","cost":4}"#;
    let first = add(bob).await.expect(201);
    let again = add(bob).await.expect(201);
    assert_eq!(
        (&again.body, again.header("etag")),
        (&first.body, first.header("etag")),
        "the same password"
    );
    add(r#"{"name":"carol","cost":4}"#)
        .await
        .expect_problem(422, "key-reused");
    api.post("/users", bob).await.expect_problem(409, "user-exists");

    let key = [("idempotency-key", "second")];
    let remove = async |name: &str| {
        let target = format!("/users?name={name}");
        api.send(Method::DELETE, &target, &key, None).await
    };
    remove("carol").await.expect_problem(404, "unknown-user");
    api.post("/users", r#"{"name":"carol","cost":4}"#)
        .await
        .expect(201);
    remove("carol").await.expect(200);
    remove("carol").await.expect(200);
    for bad in ["", &"x".repeat(256)] {
        let answer = api
            .send(
                Method::DELETE,
                "/users?name=bob",
                &[("idempotency-key", bad)],
                None,
            )
            .await;
        answer.expect_problem(400, "bad-header");
    }
}
