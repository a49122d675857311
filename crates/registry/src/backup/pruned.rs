//! What of a repository is whole, and which images suffer from what is not.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use wharf_oci::Digest;

use super::document::RepositoryDocument;

/// Why bytes cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Loss {
    /// They are not there.
    Missing,
    /// They have another digest.
    Damaged,
    /// They could not be read.
    Unread(String),
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing"),
            Self::Damaged => f.write_str("is damaged"),
            Self::Unread(error) => write!(f, "cannot be read ({error})"),
        }
    }
}

/// Bytes that cannot be had, by their digest.
pub(super) type Losses = HashMap<Digest, Loss>;

/// An image, or a tag, that is not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    repository: String,
    manifest: Option<Digest>,
    tags: Vec<String>,
    why: String,
}

/// Names the tags of the image, or the manifest if it has none.
impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.repository;
        match (&self.tags[..], &self.manifest) {
            ([], Some(manifest)) => write!(f, "`{name}@{manifest}`")?,
            (tags, manifest) => {
                for (number, tag) in tags.iter().enumerate() {
                    let separator = if number == 0 { "" } else { ", " };
                    write!(f, "{separator}`{name}:{tag}`")?;
                }
                if let Some(manifest) = manifest {
                    write!(f, " (`{manifest}`)")?;
                }
            }
        }
        write!(f, ": {}", self.why)
    }
}

impl RepositoryDocument {
    /// Leaves out everything that needs what is lost. Returns the images and tags that were left out, and how many links of
    /// layers that no manifest needs.
    pub(super) fn prune(&mut self, lost: &Losses) -> (Vec<Broken>, u64) {
        let broken = self.broken_manifests(lost);
        let mut tags_of: HashMap<Digest, Vec<String>> = HashMap::new();
        let mut pointless: Vec<Broken> = Vec::new();
        let names: HashSet<Digest> = self
            .manifests
            .iter()
            .filter_map(|manifest| manifest.link.name())
            .collect();
        self.tags.retain(|tag| {
            if broken.contains_key(&tag.digest) {
                tags_of.entry(tag.digest).or_default().push(tag.name.clone());
                return false;
            }
            let is_there = names.contains(&tag.digest);
            if !is_there {
                pointless.push(Broken {
                    repository: self.name.clone(),
                    manifest: None,
                    tags: vec![tag.name.clone()],
                    why: format!("it points at `{}`, which is not in the repository", tag.digest),
                });
            }
            is_there
        });
        let mut found: Vec<Broken> = broken
            .iter()
            .map(|(manifest, why)| Broken {
                repository: self.name.clone(),
                manifest: Some(*manifest),
                tags: tags_of.remove(manifest).unwrap_or_default(),
                why: why.clone(),
            })
            .collect();
        found.sort_by(|one, other| (&one.tags, &one.manifest).cmp(&(&other.tags, &other.manifest)));
        found.extend(pointless);
        self.manifests.retain(|manifest| {
            let is_broken = manifest
                .link
                .name()
                .is_some_and(|name| broken.contains_key(&name));
            !is_broken && !lost.contains_key(&manifest.link.digest)
        });
        let before = self.layers.len();
        self.layers.retain(|layer| !lost.contains_key(&layer.digest));
        (found, (before - self.layers.len()) as u64)
    }

    /// The manifests that need what is lost, each with what that is.
    fn broken_manifests(&self, lost: &Losses) -> HashMap<Digest, String> {
        let links = self
            .layers
            .iter()
            .chain(self.manifests.iter().map(|manifest| &manifest.link));
        let targets: HashMap<Digest, Digest> = links
            .filter_map(|link| Some((link.name()?, link.digest)))
            .collect();
        let loss_of = |digest: &Digest| {
            let target = targets.get(digest).unwrap_or(digest);
            lost.get(target).map(|loss| (*target, loss))
        };
        let mut broken: HashMap<Digest, String> = HashMap::new();
        for manifest in &self.manifests {
            let Some(name) = manifest.link.name() else {
                continue;
            };
            if let Some(loss) = lost.get(&manifest.link.digest) {
                broken.insert(name, format!("its manifest {loss}"));
            } else if let Some((needed, loss)) = manifest.needs.iter().find_map(loss_of) {
                broken.insert(name, format!("`{needed}`, which it needs, {loss}"));
            }
        }
        // Indexes of broken images, and indexes of these.
        loop {
            let more: Vec<(Digest, String)> = self
                .manifests
                .iter()
                .filter_map(|manifest| {
                    let name = manifest.link.name().filter(|name| !broken.contains_key(name))?;
                    let child = manifest.needs.iter().find(|needed| broken.contains_key(needed))?;
                    let why = broken.get(child)?;
                    Some((name, format!("its image `{child}` is not whole: {why}")))
                })
                .collect();
            if more.is_empty() {
                return broken;
            }
            broken.extend(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::{
        super::document::{Link, Manifest, Tag, Time},
        *,
    };

    const NOW: Time = Time(SystemTime::UNIX_EPOCH);

    fn digest(text: &str) -> Digest {
        Digest::sha256_of(text.as_bytes())
    }

    fn link(text: &str) -> Link {
        Link {
            digest: digest(text),
            path: None,
            time: NOW,
        }
    }

    fn manifest(text: &str, needs: &[&str]) -> Manifest {
        Manifest {
            link: link(text),
            size: 1,
            media_type: String::new(),
            needs: needs.iter().map(|need| digest(need)).collect(),
        }
    }

    fn tag(name: &str, of: &str) -> Tag {
        Tag {
            name: name.to_owned(),
            digest: digest(of),
            time: NOW,
            history: Vec::new(),
        }
    }

    fn document() -> RepositoryDocument {
        RepositoryDocument {
            name: "app".to_owned(),
            tags: vec![
                tag("a", "a"),
                tag("all", "index"),
                tag("b", "b"),
                tag("gone", "gone"),
            ],
            manifests: vec![
                manifest("a", &["layer", "config"]),
                manifest("b", &["other", "config"]),
                manifest("index", &["a", "b"]),
            ],
            layers: ["layer", "config", "other", "unneeded"].map(link).to_vec(),
        }
    }

    #[test]
    fn what_needs_something_that_is_lost_is_left_out_and_named() {
        let mut pruned = document();
        let lost = Losses::from([
            (digest("layer"), Loss::Damaged),
            (digest("unneeded"), Loss::Missing),
        ]);
        let (broken, dangling) = pruned.prune(&lost);
        let texts: Vec<String> = broken.iter().map(ToString::to_string).collect();
        assert_eq!(dangling, 2);
        assert_eq!(texts.len(), 3, "{texts:#?}");
        assert_eq!(
            texts[0],
            format!(
                "`app:a` (`{}`): `{}`, which it needs, is damaged",
                digest("a"),
                digest("layer")
            )
        );
        assert!(
            texts[1].starts_with("`app:all`") && texts[1].contains("is not whole"),
            "{texts:#?}"
        );
        assert!(texts[2].starts_with("`app:gone`: it points at"), "{texts:#?}");
        assert_eq!(pruned.tags, [tag("b", "b")]);
        assert_eq!(pruned.manifests, [manifest("b", &["other", "config"])]);
        assert_eq!(pruned.prune(&lost), (Vec::new(), 0));
    }

    #[test]
    fn a_manifest_that_is_lost_takes_its_tags_along() {
        let mut pruned = document();
        let (broken, _) = pruned.prune(&Losses::from([(digest("b"), Loss::Missing)]));
        assert!(
            broken
                .iter()
                .any(|one| one.to_string().contains("its manifest is missing")),
            "{broken:?}"
        );
        assert_eq!(pruned.tags, [tag("a", "a")]);
    }
}
