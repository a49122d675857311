//! Random repositories against a simple model: what can be reached is byte for byte the same, everything else is gone.

use std::collections::{BTreeMap, BTreeSet};

use wharf_testkit::{
    Bytes,
    image::{Manifest, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST},
    json,
    suite::Suite,
};

use crate::tree::{Files, Tree, below};

const CASES: u64 = 40;

pub(crate) fn add_to(suite: &mut Suite) {
    suite.test("random_repositories_as_the_model_says", &[], random_repositories);
}

fn random_repositories() {
    let mut removed = 0;
    for seed in 1..=CASES {
        let (tree, model) = Model::random(seed);
        for delete_untagged in [false, true] {
            let before = tree.files();
            let expected = model.expected(&before, delete_untagged);
            let said = tree.collect(if delete_untagged { &["-m"] } else { &[] });
            let found = tree.files();
            let lost: Vec<_> = expected
                .keys()
                .filter(|path| !found.contains_key(*path))
                .collect();
            let left: Vec<_> = found
                .keys()
                .filter(|path| !expected.contains_key(*path))
                .collect();
            assert!(
                lost.is_empty() && left.is_empty(),
                "seed {seed}, -m {delete_untagged}: lost {lost:#?}, left {left:#?}\n{}{}",
                said.output,
                said.errors
            );
            assert_eq!(found, expected, "seed {seed}, -m {delete_untagged}");
            assert_eq!(said.errors, "", "seed {seed}");
            removed += before.len() - found.len();
            tree.check();
        }
    }
    assert!(removed > 1000, "there was hardly any garbage: {removed} files");
}

/// A generator of numbers (xorshift64*, Vigna 2016).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

#[derive(Default)]
struct Repository {
    manifests: BTreeMap<String, Named>,
    tags: BTreeMap<String, String>,
    layers: BTreeSet<String>,
}

/// The digests that a manifest names.
#[derive(Clone, Default)]
struct Named {
    blobs: Vec<String>,
    children: Vec<String>,
    subject: Option<String>,
}

#[derive(Default)]
struct Model(BTreeMap<String, Repository>);

impl Model {
    fn random(seed: u64) -> (Tree, Self) {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let tree = Tree::new();
        let mut model = Self::default();
        let names = ["a", "a/b", "a/b/c", "org/x", "0", "z-9"];
        let repositories = 1 + random.below(names.len());
        for name in &names[..repositories] {
            model.0.entry((*name).to_owned()).or_default();
            for step in 0..3 + random.below(25) {
                model.step(&tree, name, &mut random, step);
            }
        }
        (tree, model)
    }

    /// A change by a client, or the remains of an interrupted one.
    fn step(&mut self, tree: &Tree, name: &str, random: &mut Random, step: usize) {
        let repository = self.0.get_mut(name).unwrap();
        let known: Vec<String> = repository.manifests.keys().cloned().collect();
        let pick = |random: &mut Random| known[random.below(known.len())].clone();
        match random.below(10) {
            0 => {
                let layer = tree.layer(name, layer(random));
                repository.layers.insert(layer);
            }
            1 if !known.is_empty() => {
                // By digest, as the API does it.
                let digest = pick(random);
                if repository.is_needed(&digest) {
                    return;
                }
                tree.delete(name, &digest);
                repository.manifests.remove(&digest);
                repository.tags.retain(|_, target| *target != digest);
            }
            2 if !known.is_empty() => {
                let tags: Vec<_> = repository.tags.keys().cloned().collect();
                if let Some(tag) = tags.get(random.below(tags.len().max(1))) {
                    let path = tree.repository(&format!("{name}/_manifests/tags/{tag}"));
                    std::fs::remove_dir_all(path).unwrap();
                    repository.tags.remove(tag);
                }
            }
            3 | 4 if !known.is_empty() => {
                let children: Vec<String> = (0..1 + random.below(3)).map(|_| pick(random)).collect();
                let named = Named {
                    children,
                    ..Named::default()
                };
                repository.push(tree, name, random, step, named);
            }
            _ => {
                let blobs = (0..2 + random.below(3)).map(|_| tree.layer(name, layer(random)));
                let blobs: Vec<String> = blobs.collect();
                repository.layers.extend(blobs.iter().cloned());
                let mut named = Named {
                    blobs,
                    ..Named::default()
                };
                if random.chance(30) {
                    // Now and then the content does not exist.
                    named.subject = Some(if known.is_empty() || random.chance(20) {
                        wharf_testkit::digest::unknown(step as u64)
                    } else {
                        pick(random)
                    });
                }
                repository.push(tree, name, random, step, named);
            }
        }
    }

    /// The files that must be left of `before`.
    fn expected(&self, before: &Files, delete_untagged: bool) -> Files {
        let mut kept = Files::new();
        let mut keep = |path: String| {
            if let Some(bytes) = before.get(&path) {
                kept.insert(path, bytes.clone());
            }
        };
        for (name, repository) in &self.0 {
            let (manifests, blobs) = repository.live(delete_untagged);
            for digest in blobs.iter().chain(&manifests) {
                let (algorithm, hex) = digest.split_once(':').unwrap();
                keep(format!("blobs/{algorithm}/{}/{hex}/data", &hex[..2]));
                keep(format!("repositories/{name}/_layers/{}/link", below(digest)));
            }
            for digest in &manifests {
                keep(format!(
                    "repositories/{name}/_manifests/revisions/{}/link",
                    below(digest)
                ));
            }
            for tag in repository.tags.keys() {
                let tag = format!("repositories/{name}/_manifests/tags/{tag}");
                keep(format!("{tag}/current/link"));
                for path in before
                    .keys()
                    .filter(|path| path.starts_with(&format!("{tag}/index/")))
                {
                    let is_live = manifests.iter().any(|digest| path.contains(&below(digest)));
                    if is_live || !delete_untagged {
                        keep(path.clone());
                    }
                }
            }
        }
        kept
    }
}

impl Repository {
    fn push(&mut self, tree: &Tree, name: &str, random: &mut Random, step: usize, named: Named) {
        let descriptor =
            |media_type: &str, digest: &String| json!({"mediaType": media_type, "digest": digest, "size": 1});
        let mut value = if named.children.is_empty() {
            let layers: Vec<_> = named.blobs[1..]
                .iter()
                .map(|digest| descriptor("application/vnd.oci.image.layer.v1.tar", digest))
                .collect();
            json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(OCI_CONFIG, &named.blobs[0]), "layers": layers})
        } else {
            let children: Vec<_> = named
                .children
                .iter()
                .map(|digest| descriptor(OCI_MANIFEST, digest))
                .collect();
            json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children})
        };
        value["annotations"] = json!({"step": step.to_string()});
        if let Some(subject) = &named.subject {
            value["subject"] = descriptor(OCI_MANIFEST, subject);
        }
        let manifest = Manifest::new(OCI_MANIFEST, &value);
        let tag = random.chance(55).then(|| format!("t{}", random.below(4)));
        let digest = tree.manifest(name, tag.as_deref(), &manifest);
        if let Some(tag) = tag {
            self.tags.insert(tag, digest.clone());
        }
        self.manifests.insert(digest, named);
    }

    /// Whether an index lists `digest`: deleting it would break the index, not the collection.
    fn is_needed(&self, digest: &String) -> bool {
        self.manifests
            .values()
            .any(|named| named.children.contains(digest))
    }

    /// The manifests and the blobs that are needed: everything is looked at again until nothing is added.
    fn live(&self, delete_untagged: bool) -> (BTreeSet<String>, BTreeSet<String>) {
        let mut manifests: BTreeSet<String> = self.tags.values().cloned().collect();
        if !delete_untagged {
            manifests.extend(self.manifests.keys().cloned());
        }
        let mut blobs = BTreeSet::new();
        loop {
            let before = manifests.len();
            for (digest, named) in &self.manifests {
                if named
                    .subject
                    .as_ref()
                    .is_some_and(|subject| manifests.contains(subject))
                {
                    manifests.insert(digest.clone());
                }
                if manifests.contains(digest) {
                    blobs.extend(named.blobs.iter().cloned());
                    manifests.extend(named.children.iter().cloned());
                    let subject = named.subject.iter();
                    manifests.extend(
                        subject
                            .filter(|subject| self.manifests.contains_key(*subject))
                            .cloned(),
                    );
                }
            }
            if manifests.len() == before {
                return (manifests, blobs);
            }
        }
    }
}

/// One of a few, so that many are shared.
fn layer(random: &mut Random) -> Bytes {
    format!("layer {}", random.below(40)).into()
}
