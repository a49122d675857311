//! Traces, as a collector sees them.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
};

use wharf_testkit::{Receiver, Value, eventually, run, serde_json};

use crate::builder;

/// A collector that keeps the posted traces.
#[derive(Clone, Default)]
struct Collector {
    posts: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Collector {
    fn start(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let collector = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).to_lowercase();
                let length = head.split("content-length: ").nth(1).unwrap();
                let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                let body = serde_json::from_slice(&body).unwrap();
                collector.posts.lock().unwrap().push((head, body));
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                    .unwrap();
            }
        });
        address
    }

    fn spans(&self) -> Vec<Value> {
        let posts = self.posts.lock().unwrap();
        let spans = posts.iter().flat_map(|(_, body)| {
            body["resourceSpans"][0]["scopeSpans"][0]["spans"]
                .as_array()
                .unwrap()
                .clone()
        });
        spans.collect()
    }
}

fn attribute<'a>(span: &'a Value, key: &str) -> &'a Value {
    let attributes = span["attributes"].as_array().unwrap();
    let found = attributes.iter().find(|attribute| attribute["key"] == key);
    found.map_or(&Value::Null, |attribute| &attribute["value"])
}

#[test]
fn a_request_becomes_a_span_of_its_callers_trace() {
    run(async {
        let collector = Collector::default();
        let endpoint = format!("http://{}", collector.start());
        let mut server = builder()
            .environment("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
            .environment("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hunter2")
            .environment("OTEL_SERVICE_NAME", "images")
            .environment("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=staging")
            .environment("OTEL_BSP_SCHEDULE_DELAY", "1")
            .config("log: {level: debug}")
            .start();
        let trace = "0af7651916cd43dd8448eb211c80319c";
        server
            .anonymous()
            .get("/v2/team/app/manifests/1.0?token=hunter2")
            .header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"))
            .header("user-agent", "test/1")
            .await
            .expect(404);
        server
            .anonymous()
            .get("/v2/")
            .header("traceparent", format!("00-{trace}-b7ad6b7169203331-00"))
            .await
            .expect(200);
        eventually("a span arrives", async || !collector.spans().is_empty()).await;
        // Waiting spans are sent before the end.
        server.anonymous().get("/v2/_catalog").await.expect(200);
        server.stop();

        let spans = collector.spans();
        let names: Vec<_> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
        let expected = ["GET /v2/{name}/manifests/{reference}", "GET /v2/_catalog"];
        assert_eq!(names, expected, "and not the one whose caller is not sampled");
        let span = &spans[0];
        assert_eq!(
            (&span["traceId"], &span["parentSpanId"]),
            (&trace.into(), &"b7ad6b7169203331".into())
        );
        assert_eq!(span["kind"], 2);
        assert_eq!(
            span["status"],
            serde_json::json!({}),
            "a 404 is no error of a server"
        );
        assert_eq!(attribute(span, "http.response.status_code")["intValue"], "404");
        assert_eq!(
            attribute(span, "url.path")["stringValue"],
            "/v2/team/app/manifests/1.0"
        );
        assert_eq!(attribute(span, "url.query")["stringValue"], "token=REDACTED");
        assert_eq!(attribute(span, "user_agent.original")["stringValue"], "test/1");
        let time = |key: &str| span[key].as_str().unwrap().parse::<u128>().unwrap();
        assert!(time("startTimeUnixNano") <= time("endTimeUnixNano"));
        assert!(spans[1].get("parentSpanId").is_none());

        let posts = collector.posts.lock().unwrap();
        let (head, body) = &posts[0];
        assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
        assert!(
            head.contains("api-key: hunter2") && head.contains("content-type: application/json"),
            "{head}"
        );
        let resource = &body["resourceSpans"][0]["resource"];
        assert_eq!(attribute(resource, "service.name")["stringValue"], "images");
        assert_eq!(
            attribute(resource, "deployment.environment")["stringValue"],
            "staging"
        );
        assert!(!server.log().contains("hunter2"), "{}", server.log());
    });
}

#[test]
fn a_collector_that_is_away_costs_spans_and_one_line() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let server = crate::watched()
            .environment("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
            .environment("OTEL_BSP_SCHEDULE_DELAY", "1")
            .start();
        let watcher = crate::watcher(&server).await;
        for lost in 1..=3 {
            server.anonymous().get("/v2/").await.expect(200);
            eventually("the span is dropped", async || {
                let page = watcher.get("/metrics").await.text();
                crate::value(&page, "wharf_trace_spans_total{result=\"dropped\"}") == Some(f64::from(lost))
            })
            .await;
        }
        server.says("traces cannot be sent").await;
        assert_eq!(
            server.log().matches("traces cannot be sent").count(),
            1,
            "{}",
            server.log()
        );
    });
}

#[test]
fn what_cannot_be_done_is_refused() {
    let (status, said) = builder()
        .environment("OTEL_TRACES_EXPORTER", "otlp")
        .environment("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        .unchecked()
        .output();
    assert!(
        !status.success() && said.contains("`OTEL_EXPORTER_OTLP_PROTOCOL` must be"),
        "{said}"
    );
}

#[test]
fn a_request_has_one_id_in_the_log_in_its_trace_and_in_its_event() {
    run(async {
        let (collector, receiver) = (Collector::default(), Receiver::start());
        let endpoint = format!("http://{}", collector.start());
        let url = receiver.url();
        let server = builder()
            .environment("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
            .environment("OTEL_BSP_SCHEDULE_DELAY", "1")
            .config("log: {level: debug, formatter: json}")
            .config(format!(
                "notifications: {{endpoints: [{{name: alice, url: '{url}', ignoredmediatypes: [application/octet-stream]}}]}}"
            ))
            .start();
        let repository = server.anonymous().repository("team/app");
        repository.push_image("1.0", &wharf_testkit::image::oci(1)).await;
        let event = receiver.wait_for(1).await.pop().unwrap().event();
        let id = event["request"]["id"].as_str().unwrap();

        let line = format!("\"http.request.id\":\"{id}\"");
        eventually("the id is in the log", async || {
            let log = server.log();
            log.lines()
                .any(|found| found.contains(&line) && found.contains("/v2/team/app/manifests/1.0"))
        })
        .await;
        eventually("the id is in a span", async || {
            let spans = collector.spans();
            spans.iter().any(|span| {
                span["name"] == "PUT /v2/{name}/manifests/{reference}"
                    && attribute(span, "http.request.id")["stringValue"] == id
            })
        })
        .await;
    });
}
