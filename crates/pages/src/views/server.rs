//! The servers: their health, their configuration, their certificates.

use askama::Template;

use crate::{
    filters,
    foreign::{Line, Shown},
    moment::Time,
    page::Page,
    said::Said,
    text::Text,
    values::Tone,
    view::View,
};

/// Health, version, replicas and workers.
#[derive(Template)]
#[template(path = "servers.html")]
pub struct Servers {
    /// What all pages share.
    pub page: Page,
    /// The health checks that fail.
    pub failing: Vec<FailingCheck>,
    /// Commit and build of the program.
    pub commit: String,
    /// Name of the storage engine.
    pub engine: String,
    /// When this server started.
    pub started: Time,
    /// The servers of the same bucket; without any the store is in none.
    pub replicas: Vec<Replica>,
    /// What runs beside requests.
    pub workers: Vec<Worker>,
}

/// A health check that fails.
pub struct FailingCheck {
    /// Name of the check.
    pub name: Line,
    /// Why it fails.
    pub reason: Said,
}

/// A server of the same bucket.
pub struct Replica {
    /// Name of its machine.
    pub host: Line,
    /// What it does: the last part of the key of a text in `replica`.
    pub state: String,
    /// Colour of that.
    pub tone: Tone,
    /// Whether it is the one that answers.
    pub own: bool,
    /// Whether its version is another one than that of the server that answers.
    pub differs: bool,
    /// The work that it alone does, separated by commas.
    pub leases: Line,
    /// Version of its program.
    pub version: Line,
    /// Address at which it listens.
    pub address: Line,
    /// When it started, by its own clock.
    pub started: Option<Time>,
}

/// Something that runs beside requests.
pub struct Worker {
    /// Its name.
    pub name: Line,
    /// What it does: the last part of the key of a text in `worker`.
    pub state: String,
    /// Colour of that.
    pub tone: Tone,
    /// What it says about its work.
    pub detail: Line,
    /// Its last failure; empty: there was none.
    pub error: Said,
}

impl View for Servers {}

/// The configuration as it counts.
#[derive(Template)]
#[template(path = "config.html")]
pub struct Configuration {
    /// What all pages share.
    pub page: Page,
    /// Path of the file of the configuration; empty without one.
    pub file: String,
    /// What the file says and does not mean what it seems to.
    pub warnings: Vec<Said>,
    /// The filter.
    pub q: String,
    /// Whether keys that are not set are listed.
    pub shows_defaults: bool,
    /// The sections.
    pub sections: Vec<ConfigSection>,
}

/// A section of the configuration.
pub struct ConfigSection {
    /// Its name.
    pub name: String,
    /// Its keys.
    pub settings: Vec<Setting>,
}

/// A key of the configuration.
pub struct Setting {
    /// The whole key.
    pub key: String,
    /// Its value; without anything in it for a secret.
    pub value: Shown,
    /// Whether it is a secret.
    pub secret: bool,
    /// Where the value is from: the last part of the key of a text in `origin`.
    pub origin: String,
    /// The place there, such as `config.yml:4`.
    pub place: Line,
}

impl Setting {
    fn is_default(&self) -> bool {
        self.origin == "default"
    }
}

impl View for Configuration {}

/// The certificates of TLS.
#[derive(Template)]
#[template(path = "certificates.html")]
pub struct Certificates {
    /// What all pages share.
    pub page: Page,
    /// Whether the certificate of their authority can be downloaded here.
    pub has_ca: bool,
    /// The certificates.
    pub certificates: Vec<Certificate>,
}

/// A certificate.
pub struct Certificate {
    /// Its subject.
    pub subject: Line,
    /// Colour of its state.
    pub tone: Tone,
    /// Icon of its state.
    pub icon: &'static str,
    /// Its state.
    pub state: Text,
    /// The names that it is for.
    pub hosts: Vec<Line>,
    /// When it ends.
    pub ends: Time,
    /// Its issuer.
    pub issuer: Line,
    /// Kind of its key.
    pub key: Line,
    /// Where it is from.
    pub source: Line,
    /// Its SHA-256 fingerprint.
    pub fingerprint: String,
    /// What to do; `None`: nothing.
    pub advice: Option<Text>,
}

impl View for Certificates {}
