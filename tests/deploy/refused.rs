//! Values from which the chart makes nothing, each with a sentence that says why.

use std::process::Command;

use wharf_testkit::suite::{Part, Suite};

use crate::manifests::{BUCKET, refusal};

pub(crate) fn add_to(suite: &mut Suite) {
    let helm = [Part::Program("helm")];
    suite.test(
        "chart_refuses_two_pods_on_one_directory",
        &helm,
        two_pods_on_one_directory,
    );
    suite.test("chart_refuses_values_that_cannot_work", &helm, cannot_work);
    suite.test("chart_refuses_values_of_the_wrong_kind", &helm, wrong_kind);
    suite.test(
        "chart_refuses_every_secret_in_its_config",
        &helm,
        every_secret_in_config,
    );
}

#[track_caller]
fn refused(values: &[&str], expected: &str) {
    let said = refusal(values);
    assert!(said.contains(expected), "`{expected}` was expected:\n{said}");
}

fn two_pods_on_one_directory() {
    let why = "needs the data in a bucket: two pods must never write to one directory, and a volume is one. \
               Set config.storage.s3, or one replica";
    refused(&["replicas=2"], &format!("replicas: 2 {why}"));
    refused(&["replicas=2", "config.storage=inmemory"], why);
    refused(
        &["replicas=2", "config.storage.filesystem.rootdirectory=/data"],
        why,
    );
    refused(
        &["autoscaling.enabled=true"],
        &format!("autoscaling.enabled: true {why}"),
    );
}

fn cannot_work() {
    for (values, why) in [
        (
            &["s3.existingSecret=a"][..],
            "s3 has keys, but the registry is not in a bucket",
        ),
        (
            &[BUCKET, "s3.existingSecret=a,s3.accessKey=b,s3.secretKey=c"],
            "s3 has both existingSecret and keys",
        ),
        (
            &[BUCKET, "s3.accessKey=b"],
            "s3 must have both accessKey and secretKey",
        ),
        (
            &["htpasswd.existingSecret=a,htpasswd.users=b"],
            "htpasswd has both existingSecret and users",
        ),
        (
            &["htpasswd.users=a", "config.auth=none"],
            "htpasswd and config.auth both say how users log in",
        ),
        (
            &["tls.existingSecret=a,tls.certificate=b,tls.key=c"],
            "tls has both existingSecret and a certificate",
        ),
        (&["tls.certificate=b"], "tls must have both certificate and key"),
        (
            &["config.http.addr=127.0.0.1:5000"],
            "the cluster connects from outside of the pod",
        ),
        (
            &["config.http.debug.addr=localhost:5001"],
            "config.http.debug.addr is \"localhost:5001\"",
        ),
        (&["config.http.net=unix"], "config.http.net: unix cannot be used"),
        (
            &["config.http.draintimeout=8s"],
            "set by termination.drainSeconds",
        ),
        (
            &[BUCKET, "config.storage.filesystem.rootdirectory=/data"],
            "config.storage names two stores, filesystem and s3",
        ),
        (&["ingress.enabled=true"], "ingress.hosts is empty"),
    ] {
        refused(values, why);
    }
}

fn wrong_kind() {
    for (value, why) in [
        (
            "replicaCount=2",
            "additional properties 'replicaCount' not allowed",
        ),
        ("s3.bucket=images", "additional properties 'bucket' not allowed"),
        ("replicas=two", "at '/replicas'"),
        ("replicas=-1", "at '/replicas'"),
        ("config=5", "at '/config'"),
        ("persistence.size=50 GB", "at '/persistence/size'"),
        (
            "persistence.accessModes[0]=ReadOnlyMany",
            "at '/persistence/accessModes/0'",
        ),
        ("service.port=70000", "at '/service/port'"),
        ("service.type=ExternalName", "at '/service/type'"),
        ("image.digest=sha256:1", "at '/image/digest'"),
        ("image.repository=", "at '/image/repository'"),
        ("termination.drainSeconds=0", "at '/termination/drainSeconds'"),
        (
            "podDisruptionBudget.maxUnavailable=0",
            "at '/podDisruptionBudget/maxUnavailable'",
        ),
        (
            "ingress.hosts[0]=https://registry.example.com",
            "at '/ingress/hosts/0'",
        ),
    ] {
        refused(&[value], why);
    }
}

/// The keys that `wharf config keys` calls secrets, and those whose values may hold some.
fn every_secret_in_config() {
    let output = Command::new(env!("CARGO_BIN_EXE_wharf"))
        .args(["config", "keys"])
        .output()
        .expect("the binary runs");
    let keys = String::from_utf8(output.stdout).expect("keys are text");
    let secret = |line: &str| {
        Some(
            line.split_once("` | secret |")?
                .0
                .trim_start_matches("| `")
                .replace("[]", "[0]"),
        )
    };
    let mut keys: Vec<String> = keys.lines().filter_map(secret).collect();
    assert!(keys.contains(&"storage.s3.secretkey".to_owned()), "{keys:?}");
    keys.push("storage.s3aws.secretkey".to_owned());
    keys.push("notifications.endpoints[0].headers.Authorization[0]".to_owned());
    for key in keys {
        refused(
            &[BUCKET, &format!("config.{key}=hidden")],
            "is a secret, and would stand in a ConfigMap",
        );
    }
    refused(
        &["config.notifications.endpoints[0].url=http://user:hidden@builds/"],
        "set it in secretEnv, as REGISTRY_NOTIFICATIONS_ENDPOINTS_0_URL",
    );
    refused(
        &[BUCKET, "config.storage.s3.accesskey=hidden"],
        "set s3.accessKey and s3.secretKey, or name a Secret in s3.existingSecret",
    );
}
