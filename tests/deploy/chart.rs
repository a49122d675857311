//! The chart for Kubernetes: what it makes of values, and that the registry takes the configuration in it.

use wharf_testkit::{
    Value, json,
    suite::{Part, Suite},
    tool::Bench,
};

use crate::{
    checked,
    manifests::{self, BUCKET, Manifests, made_of, set, set_without_operator},
};

/// The examples of the chart, which its README lists.
const EXAMPLES: [&str; 4] = ["aws.yaml", "minio.yaml", "secrets.yaml", "volume.yaml"];

pub(crate) fn add_to(suite: &mut Suite) {
    let helm = [Part::Program("helm")];
    suite.test("chart_and_its_examples_pass_helm_lint", &helm, lint);
    suite.test(
        "chart_configurations_pass_config_check",
        &helm,
        configurations_are_good,
    );
    suite.test("chart_on_a_volume_never_has_two_pods", &helm, on_a_volume);
    suite.test("chart_on_a_bucket_has_many_pods", &helm, on_a_bucket);
    suite.test(
        "chart_takes_any_key_of_the_configuration",
        &helm,
        any_key_of_the_configuration,
    );
    suite.test(
        "chart_keeps_secrets_out_of_the_config_map",
        &helm,
        secrets_stay_secret,
    );
    suite.test("chart_refers_to_secrets_that_exist", &helm, existing_secrets);
    suite.test(
        "chart_pods_are_replaced_when_their_configuration_changes",
        &helm,
        changes_replace_pods,
    );
    suite.test("chart_pods_run_with_no_rights", &helm, no_rights);
    suite.test("chart_pods_end_after_their_requests", &helm, pods_end_in_time);
    suite.test("chart_probes_ask_the_debug_port", &helm, probes);
    suite.test("chart_ingress_lets_layers_through", &helm, ingress);
    suite.test(
        "chart_shows_metrics_to_monitoring_alone",
        &helm,
        monitoring_and_network,
    );
    suite.test("chart_readme_lists_every_value", &[], readme_is_complete);
}

fn lint() {
    let bench = Bench::new();
    let chart = manifests::chart();
    bench.run("helm", &["lint", "--strict", &chart]);
    for example in EXAMPLES {
        let values = format!("{chart}/examples/{example}");
        bench.run("helm", &["lint", "--strict", &chart, "--values", &values]);
    }
    let on_disk = std::fs::read_dir(format!("{chart}/examples")).expect("there are examples");
    assert_eq!(on_disk.count(), EXAMPLES.len(), "each example is tested");
}

fn example(name: &str) -> Manifests {
    made_of(&manifests::file(&format!("examples/{name}")))
}

fn configurations_are_good() {
    checked_of(&made_of(""));
    for name in EXAMPLES {
        checked_of(&example(name));
    }
    checked_of(&set(&["config.storage=inmemory"]));
    checked_of(&set(&[BUCKET, "config.http.addr=:8080", "config.auth=none"]));
}

#[track_caller]
fn checked_of(manifests: &Manifests) {
    checked::is_good(manifests.config(), &manifests.variables());
}

fn on_a_volume() {
    let made = made_of("");
    let workload = made.one("StatefulSet");
    assert!(made.all("Deployment").is_empty());
    assert_eq!(workload["spec"]["replicas"], 1);
    let claim = made.one("PersistentVolumeClaim");
    assert_eq!(
        claim["metadata"]["annotations"]["helm.sh/resource-policy"],
        "keep"
    );
    assert_eq!(claim["spec"]["accessModes"], json!(["ReadWriteOnce"]));
    assert_eq!(
        volume(&made, "data")["persistentVolumeClaim"]["claimName"],
        claim["metadata"]["name"]
    );
    assert_eq!(mount(&made, "data"), "/var/lib/registry");
    let governing = made.named(
        "Service",
        workload["spec"]["serviceName"].as_str().expect("a name"),
    );
    assert_eq!(governing["spec"]["clusterIP"], "None");
    assert!(made.all("PodDisruptionBudget").is_empty(), "it would stop drains");

    let elsewhere = set(&[
        "config.storage.filesystem.rootdirectory=/data",
        "persistence.existingClaim=mine",
    ]);
    assert!(elsewhere.all("PersistentVolumeClaim").is_empty());
    assert_eq!(
        volume(&elsewhere, "data")["persistentVolumeClaim"]["claimName"],
        "mine"
    );
    assert_eq!(mount(&elsewhere, "data"), "/data");

    let volatile = set(&["persistence.enabled=false"]);
    assert!(volatile.all("PersistentVolumeClaim").is_empty());
    assert_eq!(volume(&volatile, "data")["emptyDir"], json!({}));
}

fn on_a_bucket() {
    let made = set(&[BUCKET, "replicas=3"]);
    let workload = made.one("Deployment");
    assert!(made.all("StatefulSet").is_empty() && made.all("PersistentVolumeClaim").is_empty());
    assert_eq!(workload["spec"]["replicas"], 3);
    assert_eq!(
        workload["spec"]["strategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}})
    );
    let spread = made.pod()["topologySpreadConstraints"].as_array();
    let spread = spread.expect("pods are spread").iter();
    let keys: Vec<&Value> = spread
        .map(|constraint| {
            assert_eq!(
                constraint["labelSelector"]["matchLabels"],
                workload["spec"]["selector"]["matchLabels"]
            );
            &constraint["topologyKey"]
        })
        .collect();
    assert_eq!(keys, ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]);
    let budget = made.one("PodDisruptionBudget");
    assert_eq!(budget["spec"]["maxUnavailable"], 1);
    let names: Vec<_> = made.variables().into_iter().map(|(name, _)| name).collect();
    assert!(names.is_empty(), "the pod finds its keys by itself: {names:?}");

    let scaled = set(&[BUCKET, "autoscaling.enabled=true"]);
    assert_eq!(scaled.one("Deployment")["spec"]["replicas"], Value::Null);
    let scaler = &scaled.one("HorizontalPodAutoscaler")["spec"];
    assert_eq!(scaler["scaleTargetRef"]["kind"], "Deployment");
    assert_eq!(scaler["minReplicas"], 2);
    assert!(
        set(&[BUCKET]).all("PodDisruptionBudget").is_empty(),
        "one pod is alone"
    );
    // The other name of the section.
    set(&["config.storage.s3aws.bucket=b", "replicas=2"]).one("Deployment");
}

fn any_key_of_the_configuration() {
    let made = made_of(
        "config:\n  version: 0.1\n  log: {level: debug, fields: {environment: test}}\n  storage:\n    s3: {region: r, bucket: b, \
         chunksize: 16777216, rootdirectory: /a}\n    delete: {enabled: true}\n    redirect: {disable: true, expiry: 5m}\n  http:\n    \
         headers: {X-Frame-Options: [DENY]}\n  tags: {maxtags: 1000000}\n",
    );
    checked_of(&made);
    let shown = checked::shown(made.config(), &[]);
    for (path, value) in [
        ("/log/level", json!("debug")),
        ("/log/fields/environment", json!("test")),
        ("/storage/s3/chunksize", json!(16_777_216)),
        ("/storage/s3/rootdirectory", json!("/a")),
        ("/storage/delete/enabled", json!(true)),
        ("/storage/redirect/disable", json!(true)),
        ("/storage/redirect/expiry", json!("5m")),
        ("/tags/maxtags", json!(1_000_000)),
        ("/http/headers/X-Frame-Options", json!(["DENY"])),
        // What the chart adds.
        ("/http/headers/X-Content-Type-Options", json!(["nosniff"])),
        ("/http/debug/addr", json!(":5001")),
        ("/http/draintimeout", json!("45s")),
        ("/health/storagedriver/enabled", json!(true)),
    ] {
        assert_eq!(shown.pointer(path), Some(&value), "{path}");
    }
    assert_eq!(shown["storage"]["filesystem"], Value::Null, "there is one store");

    let off = set(&["config.health.storagedriver.enabled=false,config.health.storagedriver.threshold=0"]);
    let shown = checked::shown(off.config(), &[]);
    assert_eq!(
        shown["health"]["storagedriver"],
        json!({"enabled": false, "interval": "10s", "threshold": 0}),
        "`false` and 0 win over the chart as well"
    );
}

fn secrets_stay_secret() {
    let made = example("secrets.yaml");
    for secret in ["the-access-key", "the-secret-key", "$2y$", "the-http-secret"] {
        let holds = |object: &&Value| object.to_string().contains(secret);
        let kinds: Vec<&Value> = made
            .objects()
            .filter(holds)
            .map(|object| &object["kind"])
            .collect();
        assert_eq!(kinds, ["Secret"], "`{secret}`");
    }
    let variables = made.variables();
    for (name, value) in [
        ("REGISTRY_STORAGE_S3_ACCESSKEY", "the-access-key"),
        ("REGISTRY_STORAGE_S3_SECRETKEY", "the-secret-key"),
        ("REGISTRY_HTTP_SECRET", "the-http-secret"),
    ] {
        assert!(
            variables.contains(&(name.to_owned(), value.to_owned())),
            "`{name}`"
        );
    }
    assert_eq!(mount(&made, "htpasswd"), "/etc/wharf/auth");
    let shown = checked::shown(made.config(), &variables);
    assert_eq!(shown["auth"]["htpasswd"]["path"], "/etc/wharf/auth/htpasswd");
}

fn existing_secrets() {
    let made = set(&[
        BUCKET,
        "s3.existingSecret=mine,s3.secretNames.accessKey=id,s3.secretNames.sessionToken=token",
        "htpasswd.existingSecret=users,htpasswd.key=passwords",
        "tls.existingSecret=certificate",
    ]);
    assert!(made.all("Secret").is_empty());
    checked_of(&made);
    let reference = |name: &str, key: &str| json!({"name": name, "valueFrom": {"secretKeyRef": {"name": "mine", "key": key}}});
    let wanted = json!([
        reference("REGISTRY_STORAGE_S3_ACCESSKEY", "id"),
        reference("REGISTRY_STORAGE_S3_SECRETKEY", "secretkey"),
        reference("REGISTRY_STORAGE_S3_SESSIONTOKEN", "token"),
    ]);
    assert_eq!(made.container()["env"], wanted);
    assert_eq!(
        volume(&made, "htpasswd")["secret"],
        json!({"secretName": "users", "items": [{"key": "passwords", "path": "htpasswd"}]})
    );
    assert_eq!(volume(&made, "tls")["secret"]["secretName"], "certificate");
    let shown = checked::shown(made.config(), &made.variables());
    assert_eq!(shown["http"]["tls"]["certificate"], "/etc/wharf/tls/tls.crt");
}

fn changes_replace_pods() {
    let annotations = |values: &[&str]| {
        let made = set(&[&[BUCKET], values].concat());
        made.workload()["spec"]["template"]["metadata"]["annotations"].clone()
    };
    let before = annotations(&[]);
    assert_eq!(before, annotations(&["service.port=80"]), "not read by the pod");
    assert_eq!(
        before,
        annotations(&["replicas=2"]),
        "a replica more replaces none"
    );
    assert_ne!(before, annotations(&["config.log.level=debug"]));
    assert_ne!(before, annotations(&["s3.accessKey=a,s3.secretKey=b"]));
    assert_ne!(before, annotations(&["secretEnv.REGISTRY_HTTP_SECRET=a"]));
    let users = |lines: &str| annotations(&[&format!("htpasswd.users={lines}")]);
    assert_eq!(users("alice:a"), users("bob:b"), "users are read again");
}

fn no_rights() {
    let made = made_of("");
    let pod = &made.pod()["securityContext"];
    assert_eq!(pod["runAsNonRoot"], true);
    assert_eq!(pod["runAsUser"], 65532);
    assert_eq!(pod["fsGroup"], 65532);
    assert_eq!(pod["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(
        made.container()["securityContext"],
        json!({
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]}
        })
    );
    assert_eq!(made.pod()["automountServiceAccountToken"], false);
    let role = example("aws.yaml");
    assert_eq!(
        role.one("ServiceAccount")["metadata"]["annotations"]["eks.amazonaws.com/role-arn"],
        "arn:aws:iam::123456789012:role/registry"
    );
    assert_eq!(
        role.pod()["serviceAccountName"],
        role.one("ServiceAccount")["metadata"]["name"]
    );
}

fn pods_end_in_time() {
    let made = set(&["termination.delaySeconds=7,termination.drainSeconds=100"]);
    assert!(made.config().contains("draintimeout: 100s"), "{}", made.config());
    // The server ends by itself 6 s after its drain.
    assert_eq!(made.pod()["terminationGracePeriodSeconds"], 117);
    assert_eq!(made.container()["lifecycle"]["preStop"]["sleep"]["seconds"], 7);
    let at_once = set(&["termination.delaySeconds=0"]);
    assert_eq!(at_once.container()["lifecycle"], Value::Null);
}

fn probes() {
    let made = set(&["config.http.debug.addr=:6001", "config.http.addr=0.0.0.0:8443"]);
    let container = made.container();
    assert_eq!(
        container["readinessProbe"]["httpGet"],
        json!({"path": "/debug/health", "port": "debug"})
    );
    assert_eq!(
        container["livenessProbe"]["httpGet"],
        json!({"path": "/debug/workers", "port": "debug"})
    );
    assert_eq!(
        container["ports"],
        json!([{"name": "http", "containerPort": 8443}, {"name": "debug", "containerPort": 6001}])
    );
    let service = &made.named("Service", "r-wharf")["spec"]["ports"];
    assert_eq!(
        *service,
        json!([{"name": "http", "port": 5000, "targetPort": "http"}])
    );
}

fn ingress() {
    let made = made_of(
        "ingress:\n  enabled: true\n  hosts: [registry.example.com]\n  annotations:\n    \
         nginx.ingress.kubernetes.io/proxy-read-timeout: '60'\n",
    );
    let ingress = made.one("Ingress");
    let annotation =
        |name: &str| &ingress["metadata"]["annotations"][format!("nginx.ingress.kubernetes.io/{name}")];
    assert_eq!(annotation("proxy-body-size"), "0");
    assert_eq!(annotation("proxy-request-buffering"), "off");
    assert_eq!(annotation("proxy-buffering"), "off");
    assert_eq!(annotation("proxy-read-timeout"), "60", "values win");
    assert_eq!(*annotation("backend-protocol"), Value::Null);
    let rule = &ingress["spec"]["rules"][0];
    assert_eq!(rule["host"], "registry.example.com");
    assert_eq!(
        rule["http"]["paths"][0]["backend"]["service"],
        json!({"name": "r-wharf", "port": {"name": "http"}})
    );
    let encrypted = set(&["ingress.enabled=true,ingress.hosts[0]=a.example,tls.existingSecret=certificate"]);
    let annotations = &encrypted.one("Ingress")["metadata"]["annotations"];
    assert_eq!(
        annotations["nginx.ingress.kubernetes.io/backend-protocol"],
        "HTTPS"
    );
}

fn monitoring_and_network() {
    let made = example("minio.yaml");
    let rules = made.one("NetworkPolicy")["spec"]["ingress"].clone();
    assert_eq!(rules[0]["ports"][0]["port"], "https");
    assert_eq!(rules[0]["from"], Value::Null, "all clients");
    assert_eq!(rules[1]["ports"][0]["port"], "debug");
    assert_eq!(
        rules[1]["from"][0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"],
        "monitoring"
    );

    let watched = example("aws.yaml");
    let monitor = &watched.one("ServiceMonitor")["spec"];
    assert_eq!(
        monitor["endpoints"][0],
        json!({"port": "debug", "path": "/metrics", "interval": "30s"})
    );
    let debug = watched.named("Service", "r-wharf-debug");
    let labels = monitor["selector"]["matchLabels"].as_object().expect("labels");
    for (name, value) in labels {
        assert_eq!(&debug["metadata"]["labels"][name], value);
    }
    assert!(made_of("").all("ServiceMonitor").is_empty());
    let without = set_without_operator(&["serviceMonitor.enabled=true"]);
    assert!(without.all("ServiceMonitor").is_empty(), "it would be refused");
}

/// Each value that is not a map, and each map that is empty, has a row in the table.
fn readme_is_complete() {
    let readme = manifests::file("README.md");
    let values = crate::yaml::document(&manifests::file("values.yaml"));
    let mut left = vec![(String::new(), &values)];
    while let Some((path, value)) = left.pop() {
        match value.as_object().filter(|map| !map.is_empty()) {
            Some(map) if !has_row(&readme, &path) => {
                let below = map.iter().map(|(name, value)| {
                    (format!("{path}.{name}").trim_start_matches('.').to_owned(), value)
                });
                left.extend(below);
            }
            _ => assert!(
                has_row(&readme, &path),
                "`{path}` is not in the table of README.md"
            ),
        }
    }
    for example in EXAMPLES {
        assert!(readme.contains(&format!("examples/{example}")), "{example}");
    }
}

fn has_row(readme: &str, path: &str) -> bool {
    readme.contains(&format!("\n| `{path}` |"))
}

fn volume<'a>(made: &'a Manifests, name: &str) -> &'a Value {
    named(&made.pod()["volumes"], name)
}

fn mount<'a>(made: &'a Manifests, name: &str) -> &'a Value {
    &named(&made.container()["volumeMounts"], name)["mountPath"]
}

#[track_caller]
fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    let mut list = list.as_array().expect("it is a list").iter();
    list.find(|item| item["name"] == name)
        .unwrap_or_else(|| panic!("there is no `{name}`"))
}
