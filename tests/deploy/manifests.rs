//! The objects that the chart makes of values.

use wharf_testkit::{
    Value,
    tool::{self, Bench, Ran},
};

use crate::yaml;

/// Values for a bucket.
pub(crate) const BUCKET: &str = "config.storage.s3.bucket=images,config.storage.s3.region=eu-central-1";

/// The objects of a release called `r`.
pub(crate) struct Manifests(Vec<Value>);

/// The directory of the chart.
pub(crate) fn chart() -> String {
    tool::root_directory()
        .join("packaging/helm/wharf")
        .display()
        .to_string()
}

/// The text of a file of the chart.
pub(crate) fn file(name: &str) -> String {
    std::fs::read_to_string(format!("{}/{name}", chart())).expect("the chart has this file")
}

/// Values by their names as the command line has them, `config.storage.s3.bucket=b`.
#[track_caller]
pub(crate) fn set(values: &[&str]) -> Manifests {
    rendered(&template("", values))
}

/// Values as a file has them.
#[track_caller]
pub(crate) fn made_of(values: &str) -> Manifests {
    rendered(&template(values, &[]))
}

/// As [`set`], in a cluster without Prometheus's operator.
#[track_caller]
pub(crate) fn set_without_operator(values: &[&str]) -> Manifests {
    rendered(&template_for(&[], "", values))
}

/// The error of values from which nothing is made.
#[track_caller]
pub(crate) fn refusal(values: &[&str]) -> String {
    let ran = template("", values);
    assert!(!ran.succeeded, "{values:?} were taken:\n{}", ran.stdout);
    ran.stderr
}

fn template(file: &str, values: &[&str]) -> Ran {
    template_for(&["--api-versions", "monitoring.coreos.com/v1"], file, values)
}

fn template_for(cluster: &[&str], file: &str, values: &[&str]) -> Ran {
    let bench = Bench::new();
    bench.write("values.yaml", file);
    let chart = chart();
    // A helm that `go install` built calls itself one for Kubernetes 1.20.
    let mut words = vec!["template", "r", &chart, "--values", "values.yaml"];
    words.extend(["--kube-version", "1.34.0", "--namespace", "images"]);
    words.extend(cluster);
    for value in values {
        words.extend(["--set", value]);
    }
    bench.try_run("helm", &words)
}

#[track_caller]
fn rendered(ran: &Ran) -> Manifests {
    assert!(ran.succeeded, "`{}`\n{}", ran.line, ran.stderr);
    Manifests(yaml::documents(&ran.stdout))
}

impl Manifests {
    /// All of them.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &Value> {
        self.0.iter()
    }

    /// The objects of a kind.
    pub(crate) fn all(&self, kind: &str) -> Vec<&Value> {
        self.0.iter().filter(|object| object["kind"] == kind).collect()
    }

    /// The only object of a kind.
    #[track_caller]
    pub(crate) fn one(&self, kind: &str) -> &Value {
        match self.all(kind)[..] {
            [one] => one,
            ref all => panic!("{} objects of the kind {kind}", all.len()),
        }
    }

    /// The object of a kind with this name.
    #[track_caller]
    pub(crate) fn named(&self, kind: &str, name: &str) -> &Value {
        let mut all = self.all(kind).into_iter();
        all.find(|object| object["metadata"]["name"] == name)
            .unwrap_or_else(|| panic!("there is no {kind} `{name}`"))
    }

    /// Deployment or StatefulSet.
    #[track_caller]
    pub(crate) fn workload(&self) -> &Value {
        match [self.all("Deployment"), self.all("StatefulSet")].concat()[..] {
            [one] => one,
            ref all => panic!("{} workloads", all.len()),
        }
    }

    /// What its pods have.
    #[track_caller]
    pub(crate) fn pod(&self) -> &Value {
        &self.workload()["spec"]["template"]["spec"]
    }

    /// The container of the registry.
    #[track_caller]
    pub(crate) fn container(&self) -> &Value {
        &self.pod()["containers"][0]
    }

    /// The configuration of the registry.
    #[track_caller]
    pub(crate) fn config(&self) -> &str {
        self.one("ConfigMap")["data"]["config.yml"]
            .as_str()
            .expect("it is a text")
    }

    /// The variables of the registry; those of a Secret that the chart does not make get a value of the test.
    #[track_caller]
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().expect("it is a text").to_owned();
        let none = Vec::new();
        let listed = |key: &str| self.container()[key].as_array().unwrap_or(&none).clone();
        let mut variables = Vec::new();
        for variable in listed("env") {
            let value = match variable["value"].as_str() {
                Some(value) => value.to_owned(),
                None => self.secret(&variable["valueFrom"]["secretKeyRef"]),
            };
            variables.push((text(&variable["name"]), value));
        }
        for source in listed("envFrom") {
            let secret = self.named("Secret", &text(&source["secretRef"]["name"]));
            let values = secret["stringData"].as_object().expect("it has values");
            variables.extend(values.iter().map(|(name, value)| (name.clone(), text(value))));
        }
        variables
    }

    fn secret(&self, reference: &Value) -> String {
        let mut made = self.all("Secret").into_iter();
        let made = made.find(|secret| secret["metadata"]["name"] == reference["name"]);
        let key = reference["key"].as_str().expect("a reference has a key");
        match made {
            Some(secret) => secret["stringData"][key]
                .as_str()
                .expect("the Secret has the key")
                .to_owned(),
            None => format!("the {key} of a Secret"),
        }
    }
}
