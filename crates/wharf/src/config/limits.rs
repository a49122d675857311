//! `http.limits`: what all clients together may use of the server.

use super::{
    Engine, Limits,
    keys::{Default, Key, Positive, Since, keys},
    section::Section,
};

keys! {
    CONNECTIONS: Option<Positive<usize>> = Key::new("http.limits.connections")
        .shown_default(Default::Words("a third of the descriptors, at most 4096, and a quarter of the memory"))
        .help("Connections that may be open at once")
        .since(Since::Ours);
    REQUESTS: Option<Positive<usize>> = Key::new("http.limits.requests")
        .shown_default(Default::Words("a sixth of the descriptors, one for each 256 KiB of memory, at most 2048"))
        .help("Requests over HTTP/2 that may run at once, over all connections")
        .since(Since::Ours);
    BODIES: Option<Positive<usize>> = Key::new("http.limits.bodies")
        .shown_default(Default::Words("a quarter of the memory, 8 MiB to 64 MiB"))
        .help("Bytes of manifests that may be received at once, or read to find which refer to which")
        .since(Since::Ours);
    TRANSFERS: Option<Positive<usize>> = Key::new("http.limits.transfers")
        .shown_default(Default::Words("a quarter of the memory, 8 MiB to 64 MiB"))
        .help("Bytes of blobs that may be in memory at once, on their way to clients")
        .since(Since::Ours);
    WINDOWS: Option<Positive<usize>> = Key::new("http.limits.windows")
        .shown_default(Default::Words("an eighth of the memory, 4 MiB to 32 MiB"))
        .help("Bytes that clients may send over HTTP/2 before the server reads them")
        .since(Since::Ours);
    pub(super) PER_ADDRESS: Option<Positive<usize>> = Key::new("http.limits.peraddress")
        .shown_default(Default::Words("no limit"))
        .help("Connections that may be open from one address; behind a proxy, all come from its address")
        .since(Since::Ours);
}

/// Reads `http.limits`.
pub(super) fn read(root: &Section<'_>, engine: Option<&Engine>) -> Limits {
    let limit = |key: Key<Option<Positive<usize>>>| root.get(key).map(|Positive(limit)| limit);
    Limits {
        connections: limit(CONNECTIONS),
        requests: limit(REQUESTS),
        bodies: limit(BODIES),
        parts: match engine {
            Some(Engine::S3(bucket)) => bucket.part_memory(),
            Some(Engine::Filesystem { .. } | Engine::InMemory | Engine::Cloud(_)) | None => None,
        },
        transfers: limit(TRANSFERS),
        windows: limit(WINDOWS),
    }
}
