//! Marks for links of layers: the same agreement as for bytes, about the right of one repository to read them.
//!
//! A repository may have a link to bytes that it does not need, and that another one needs: then the link goes, and the bytes stay. To a
//! client that pushes to the repository the link is what the bytes are to the store: it is told that the layer is there, sends a
//! manifest that names it, and that manifest must find the link. So a link is doomed, pinned and swept as bytes are, by a
//! digest that stands for the repository and the layer, and all that [the module above](super) argues holds for it word for word:
//! what makes the link needed is a manifest *of that repository* that names the layer, and a request relies on it by reading the
//! doom of that digest, together with that of the layer.
//!
//! The first byte is that of the layer. By it the locks of one process are chosen: a request that holds the lock on the layer holds the
//! one on its link, and the collector, which waits for the requests that found no doom, waits for the right ones.

use wharf_oci::{Algorithm, Digest};
use wharf_storage::layout::InTree;

/// The digest by which the marks name the link of `layer` in `repository`.
pub(crate) fn link_mark(repository: &impl InTree, layer: &Digest) -> Digest {
    let hash = Digest::sha256_of(format!("link\0{}\0{layer}", repository.path()).as_bytes());
    let mut bytes = hash.bytes().to_vec();
    bytes[0] = layer.bytes()[0];
    Digest::from_bytes(Algorithm::Sha256, &bytes).unwrap_or(hash)
}

#[cfg(test)]
mod tests {
    use wharf_oci::RepoName;

    use super::*;

    #[test]
    fn a_mark_stands_for_one_link_and_has_the_lock_of_its_layer() {
        let [app, other] = ["app", "other"].map(|name| name.parse::<RepoName>().unwrap());
        let layers = [
            Digest::sha256_of(b"1"),
            Digest::sha256_of(b"2"),
            Digest::of(Algorithm::Sha512, b"1"),
        ];
        let mut marks = std::collections::HashSet::new();
        for layer in layers {
            assert!(marks.insert(layer));
            for repository in [&app, &other] {
                let mark = link_mark(repository, &layer);
                assert_eq!(mark.bytes()[0], layer.bytes()[0]);
                assert!(marks.insert(mark));
                assert_eq!(mark, link_mark(repository, &layer));
            }
        }
    }
}
