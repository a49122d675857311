//! A registry over a tree that outlives it, so that another one can take its place.

use std::path::Path;

use wharf_testkit::peer::{Peer, REGISTRY_2, REGISTRY_3};
use wharf_testkit::suite::Part;
use wharf_testkit::{RawAnswer, wire::Request};

/// Media types that a current client accepts; with fewer, registry:2 refuses or converts.
pub(crate) const ACCEPT: &str = "application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";

/// The program that serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The registry under test.
    Wharf,
    /// Debian's `docker-registry`, 2.8.2.
    Two,
    /// `registry:3`.
    Three,
}

impl Kind {
    /// The parts that a test of this program needs.
    pub(crate) fn needs(self) -> Vec<Part> {
        match self {
            Kind::Wharf => Vec::new(),
            Kind::Two => vec![Part::Program(REGISTRY_2)],
            Kind::Three => vec![Part::Program(REGISTRY_3)],
        }
    }

    /// Its name in the names of tests.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Wharf => "wharf",
            Kind::Two => "registry_2",
            Kind::Three => "registry_3",
        }
    }

    /// Its program, for `Peer`.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Kind::Wharf => env!("CARGO_BIN_EXE_wharf"),
            Kind::Two => REGISTRY_2,
            Kind::Three => REGISTRY_3,
        }
    }

    /// Starts it over the tree at `root`.
    pub(crate) fn serve(self, root: &Path) -> Site {
        self.serve_with(root, &[])
    }

    /// Starts it over the tree at `root`, configured by these variables.
    pub(crate) fn serve_with(self, root: &Path, environment: &[(&str, &str)]) -> Site {
        Site {
            peer: Peer::start_with(self.program(), root, environment),
        }
    }
}

/// A running registry.
pub(crate) struct Site {
    peer: Peer,
}

impl Site {
    /// Host and port.
    pub(crate) fn authority(&self) -> &str {
        self.peer.authority()
    }

    /// Sends a request that must be answered.
    pub(crate) fn send(&self, request: &Request) -> RawAnswer {
        let answer = self.peer.send(request);
        answer.unwrap_or_else(|error| panic!("{request:?}: {error}\n{}", self.peer.log()))
    }

    /// A request without a body, accepting every manifest type.
    pub(crate) fn ask(&self, method: &str, path: &str) -> RawAnswer {
        self.send(&Request::new(method, path).header("Accept", ACCEPT))
    }

    /// Deletes something that must be there.
    pub(crate) fn delete(&self, path: &str) {
        let answer = self.ask("DELETE", path);
        assert_eq!(answer.status, 202, "DELETE {path}: {}", answer.text());
    }

    /// Starts an upload and answers its location.
    pub(crate) fn start_upload(&self, name: &str) -> String {
        let answer = self.send(&Request::new("POST", &format!("/v2/{name}/blobs/uploads/")));
        assert_eq!(answer.status, 202, "POST uploads of {name}: {}", answer.text());
        answer
            .header("Location")
            .expect("an upload has a location")
            .to_owned()
    }

    /// Stops it and waits until it has ended.
    pub(crate) fn stop(self) {
        self.peer.stop();
    }
}
