//! The application log and the access log: their forms, and what must never be in them.

use wharf_testkit::{Server, Value, eventually, image, run, serde_json};

use crate::builder;

/// The lines of the log that are objects of JSON.
fn objects(server: &Server) -> Vec<Value> {
    let log = server.log();
    log.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// Waits for a line of JSON that `is_wanted`.
async fn object(server: &Server, what: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
    eventually(what, async || objects(server).iter().any(&is_wanted)).await;
    objects(server).into_iter().find(is_wanted).unwrap()
}

/// A request that is refused for a reason that operators want to know.
async fn refused(server: &Server) {
    server
        .anonymous()
        .put("/v2/team/app/manifests/1.0?_state=hunter2")
        .header("user-agent", "test/1")
        .header("referer", "http://joe:hunter2@example.com/")
        .body("{")
        .await
        .expect(400);
}

#[test]
fn c1_8_a_refused_request_is_one_line_with_the_fields_of_registry_2() {
    run(async {
        let server = builder()
            .config("log: {formatter: json, fields: {service: registry, environment: staging}}")
            .start();
        refused(&server).await;
        let line = object(&server, "the refusal is logged", |line| {
            line["msg"] == "response completed with error"
        })
        .await;
        for (field, expected) in [
            ("level", "info"),
            ("http.request.method", "PUT"),
            ("http.request.uri", "/v2/team/app/manifests/1.0?_state=REDACTED"),
            ("http.request.referer", "http://REDACTED@example.com/"),
            ("http.request.useragent", "test/1"),
            ("http.request.remoteaddr", "127.0.0.1"),
            ("vars.name", "team/app"),
            ("vars.reference", "1.0"),
            ("err.code", "manifest invalid"),
            ("service", "registry"),
            ("environment", "staging"),
            ("version", env!("CARGO_PKG_VERSION")),
        ] {
            assert_eq!(line[field], expected, "{field}: {line}");
        }
        assert_eq!(line["http.response.status"], 400);
        assert_eq!(line["http.request.host"], server.address().to_string());
        for field in ["http.request.id", "instance.id"] {
            assert_eq!(line[field].as_str().map(str::len), Some(36), "{field}: {line}");
        }
        let time = line["time"].as_str().unwrap();
        assert!(time.contains('T') && time.ends_with('Z'), "RFC 3339: {time}");
        let lines = objects(&server);
        let lines = lines
            .iter()
            .filter(|line| line["msg"] == "response completed with error");
        assert_eq!(lines.count(), 1, "{}", server.log());
        assert!(!server.log().contains("hunter2"), "{}", server.log());
    });
}

#[test]
fn c1_2_log_formatter_text_looks_like_logrus() {
    run(async {
        let server = builder().config("log: {fields: {service: registry}}").start();
        refused(&server).await;
        let refusal = || {
            let log = server.log();
            let found = log
                .lines()
                .find(|line| line.contains("response completed with error"));
            found.map(str::to_owned)
        };
        eventually("the refusal is logged", async || refusal().is_some()).await;
        let line = refusal().unwrap();
        assert!(line.starts_with("time=\"2"), "{line}");
        for part in [
            " level=info msg=\"response completed with error\" err.code=\"manifest invalid\" err.",
            " http.request.method=PUT ",
            " http.response.status=400 ",
            " service=registry ",
            " vars.name=team/app ",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
    });
}

#[test]
fn c1_2_log_formatter_logstash_has_its_own_names() {
    run(async {
        let server = builder().config("log: {formatter: logstash}").start();
        refused(&server).await;
        let line = object(&server, "the refusal is logged", |line| {
            line["message"] == "response completed with error"
        })
        .await;
        assert_eq!(line["@version"], "1");
        assert!(line["@timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
        assert_eq!(line.get("msg").or(line.get("time")), None, "{line}");
    });
}

#[test]
fn c1_2_log_level_decides_how_much_is_said() {
    run(async {
        let quiet = builder().config("log: {level: Error}").start();
        refused(&quiet).await;
        let loud = builder().config("log: {level: DEBUG, formatter: json}").start();
        loud.anonymous().get("/v2/").await.expect(200);
        loud.anonymous().get("/v2/a/manifests/nope").await.expect(404);
        let done = object(&loud, "a good answer", |line| line["msg"] == "response completed").await;
        assert_eq!(
            (&done["level"], &done["http.response.status"]),
            (&"debug".into(), &200.into())
        );
        let missing = object(&loud, "a 404", |line| line["http.response.status"] == 404).await;
        assert_eq!(
            missing["level"], "debug",
            "clients ask for what is not there: {missing}"
        );
        assert_eq!(missing["err.code"], "manifest unknown");
        assert!(!quiet.log().contains("level=info"), "{}", quiet.log());
    });
}

#[test]
fn c1_2_log_reportcaller_names_the_line_that_speaks() {
    run(async {
        let server = builder()
            .config("log: {formatter: json, reportcaller: true}")
            .start();
        refused(&server).await;
        let line = object(&server, "the refusal is logged", |line| {
            line["err.code"] == "manifest invalid"
        })
        .await;
        let (file, func) = (line["file"].as_str().unwrap(), line["func"].as_str().unwrap());
        assert!(
            file.contains("request_log.rs:") && func == "wharf_server::request_log",
            "{line}"
        );
    });
}

#[test]
fn the_access_log_can_be_json() {
    run(async {
        let server = builder().config("log: {accesslog: {format: json}}").start();
        refused(&server).await;
        let line = object(&server, "the access is logged", |line| {
            line["http.response.status"] == 400
        })
        .await;
        assert_eq!(
            line["http.request.uri"],
            "/v2/team/app/manifests/1.0?_state=REDACTED"
        );
        assert_eq!(line["http.request.method"], "PUT");
        assert_eq!(line["http.request.useragent"], "test/1");
        assert!(!server.log().contains("hunter2"), "{}", server.log());
    });
}

#[test]
fn failures_of_the_store_are_errors_with_their_cause() {
    run(async {
        let server = builder().config("log: {formatter: json}").unchecked().start();
        let repository = server.anonymous().repository("app");
        repository.push_image("1.0", &image::oci(1)).await;
        // A link of the file system that leads to itself: the kernel refuses to follow it.
        let link = server
            .tree()
            .join("repositories/app/_manifests/tags/1.0/current/link");
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink("link", &link).unwrap();
        let answer = repository.get_manifest("1.0").await.expect_error(500, "UNKNOWN");
        let line = object(&server, "the failure is logged", |line| line["level"] == "error").await;
        let cause = line["err.detail"].as_str().unwrap();
        assert!(cause.contains("current/link"), "{line}");
        assert!(!answer.text().contains("current/link"), "{}", answer.text());
    });
}

#[test]
fn no_secret_is_in_anything_that_a_server_says() {
    run(async {
        for formatter in ["text", "json", "logstash"] {
            for access in ["combined", "json"] {
                let server = builder()
                    .config(format!(
                        "log: {{level: debug, formatter: {formatter}, accesslog: {{format: {access}}}}}"
                    ))
                    .http("secret: hunter2")
                    .start();
                let client = server.anonymous();
                for path in ["/", "/v2/", "/v2/a/manifests/x", "/nowhere", "/v2/A/tags/list"] {
                    client
                        .get(&format!("{path}?_state=hunter2&token=hunter2&password=hunter2"))
                        .header("authorization", "Basic aHVudGVyMjpodW50ZXIy")
                        .header("cookie", "session=hunter2")
                        .header("referer", "https://joe:hunter2@example.com/?access_token=hunter2")
                        .await;
                }
                eventually("the last access is logged", async || {
                    server.log().contains("/v2/A/tags/list?_state=REDACTED")
                })
                .await;
                let said = server.log();
                for secret in ["hunter2", "aHVudGVyMjpodW50ZXIy"] {
                    assert!(!said.contains(secret), "{said}");
                }
            }
        }
    });
}

/// Warnings come from crates that do not know requests.
#[test]
fn a_warning_of_the_registry_has_the_id_of_its_request() {
    run(async {
        for level in ["debug", "warn"] {
            let mut server = builder()
                .config(format!("log: {{level: {level}, formatter: json}}"))
                .start();
            server.leave_unchecked();
            let client = server.anonymous();
            client.repository("app").push_image("1.0", &image::oci(1)).await;
            let tag = server.tree().join("repositories/app/_manifests/tags/1.0");
            std::fs::write(tag.join("current/link"), "").unwrap();
            client.get("/v2/app/manifests/1.0").await.expect(404);
            let warning = object(&server, "the damaged link is named", |line| {
                line["msg"]
                    .as_str()
                    .is_some_and(|text| text.contains("does not hold a digest"))
            })
            .await;
            let id = warning["http.request.id"].as_str().unwrap();
            assert_eq!(id.len(), 36, "{warning}");
            if level == "debug" {
                let answer = object(&server, "the answer is logged", |line| {
                    line["http.request.method"] == "GET"
                        && line["http.request.uri"] == "/v2/app/manifests/1.0"
                })
                .await;
                assert_eq!(answer["http.request.id"], id, "{answer}");
            }
        }
    });
}

#[test]
fn health_checks_of_balancers_can_be_left_out_of_the_access_log() {
    run(async {
        let server = builder()
            .config(
                "log: {accesslog: {exclude: {paths: ['/v2/'], useragents: ['kube-probe/*'], networks: [192.0.2.0/24]}}}",
            )
            .start();
        let client = server.anonymous();
        client.get("/v2/?x=1").await.expect(200);
        client
            .get("/v2/_catalog")
            .header("user-agent", "kube-probe/1.33")
            .await
            .expect(200);
        client
            .get("/v2/_catalog")
            .header("x-forwarded-for", "192.0.2.7")
            .await
            .expect(200);
        client
            .get("/v2/_catalog")
            .header("user-agent", "a kube-probe/1.33")
            .await
            .expect(200);
        eventually("the last request has a line", async || {
            server.log().contains("a kube-probe")
        })
        .await;
        let log = server.log();
        let lines: Vec<_> = log.lines().filter(|line| line.contains("GET /v2/")).collect();
        assert_eq!(lines.len(), 1, "{log}");
    });
}
