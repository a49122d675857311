//! Which images of a repository suffer when a digest is missing or damaged: the way from there up to tags.

use std::collections::{HashMap, HashSet};

use wharf_oci::Digest;

use super::{
    content::Content,
    finding::{Image, ImageReference, Images},
};

/// The manifests of one repository by what they name.
pub(super) struct Users<'a> {
    content: &'a Content,
    /// For each digest, the manifests that name it, each with the platform that it names it for.
    users: HashMap<Digest, Vec<(Digest, Option<&'a str>)>>,
    tags: HashMap<Digest, Vec<&'a str>>,
}

impl<'a> Users<'a> {
    pub(super) fn of(content: &'a Content) -> Self {
        let mut users: HashMap<Digest, Vec<(Digest, Option<&str>)>> = HashMap::new();
        for (digest, needs) in &content.manifests {
            for part in &needs.parts {
                let user = (*digest, part.platform.as_deref());
                users.entry(part.digest).or_default().push(user);
            }
        }
        let mut tags: HashMap<Digest, Vec<&str>> = HashMap::new();
        for tag in &content.tags {
            if let Some(target) = tag.target {
                tags.entry(target).or_default().push(&tag.name);
            }
        }
        Self { content, users, tags }
    }

    /// The images that need `digest`: the tags that reach it, each for the platforms for which they do; without any, the
    /// manifests from which it is reached.
    pub(super) fn images(&self, digest: &Digest) -> Images {
        let (mut tagged, mut untagged) = (Images::default(), Images::default());
        let mut seen: HashSet<(Digest, Option<&str>)> = HashSet::new();
        let mut ahead: Vec<(Digest, Option<&str>)> = vec![(*digest, None)];
        while let Some((digest, platform)) = ahead.pop() {
            if !seen.insert((digest, platform)) {
                continue;
            }
            let image = |reference| Image {
                repository: self.content.name().into(),
                reference,
                platform: platform.map(Into::into),
            };
            let tags = self.tags.get(&digest).into_iter().flatten();
            tags.for_each(|tag| tagged.add(image(ImageReference::Tag((*tag).into()))));
            let users = self.users.get(&digest).map_or(&[][..], Vec::as_slice);
            if users.is_empty() && self.content.has_revision(&digest) {
                untagged.add(image(ImageReference::Digest(digest)));
            }
            // The platform of the innermost index is that of the image.
            ahead.extend(users.iter().map(|(user, of)| (*user, platform.or(*of))));
        }
        if tagged.is_empty() { untagged } else { tagged }
    }
}
