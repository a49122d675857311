//! What one image for one platform is made of: its configuration and its layers, as its files are looked at and compared.

use serde_json::Value;
use wharf_message::Sentence;
use wharf_oci::{Descriptor, Digest, ManifestView, Platform, Reference, RepoName};

use super::image::steps;
use crate::{
    delete::unknown, error::Result, patience::turn, registry::Registry, tag_rights::TagRights,
    tree::words::Flaw,
};

/// How many layers of an image are looked at.
const LAYERS: usize = 1000;

/// The platform that is taken of an index if the client names none, and the index has an image for it.
const USUAL: &str = "linux/amd64";

/// How many indexes lead to an image at most.
const DEPTH: usize = 4;

/// The image that is to be looked at.
#[derive(Debug, Clone, Copy)]
pub struct PartsWanted<'a> {
    /// The repository.
    pub name: &'a RepoName,
    /// The tag or the digest.
    pub reference: &'a Reference,
    /// The platform of an index, such as `linux/arm64/v8`; `None`: `linux/amd64`, or the first one.
    pub platform: Option<&'a str>,
}

/// What an image is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageParts {
    /// Digest of the manifest of the image, which may be the child of an index.
    pub digest: Digest,
    /// The platform that the index names; `None`: no index leads to it, or it does not say.
    pub platform: Option<String>,
    /// The configuration.
    pub config: Option<Descriptor>,
    /// The layers, the lowest one first.
    pub layers: Vec<Descriptor>,
    /// The commands that made the layers, in their order; empty where that is not known.
    pub made_by: Vec<String>,
    /// When the image was built, as its configuration says.
    pub created: Option<String>,
}

impl Registry {
    /// What the image that is `wanted` is made of, for a client with these `rights`; or why it cannot be told, in words.
    ///
    /// # Errors
    ///
    /// [`Error::ManifestUnknown`](crate::Error::ManifestUnknown) when there is no such tag or manifest, or the client may not see the tag;
    /// [`Error::Exhausted`](crate::Error::Exhausted) when too many lists are being made; errors of the store.
    pub async fn image_parts(
        &self,
        wanted: PartsWanted<'_>,
        rights: &dyn TagRights,
    ) -> Result<Result<ImageParts, Sentence>> {
        let PartsWanted {
            name,
            reference,
            platform,
        } = wanted;
        let _turn = turn(&self.budget().lists).await?;
        let unknown = || unknown(name, reference.to_string(), None);
        let mut digest = match reference {
            Reference::Tag(tag) if rights.may_see(tag) => self.require_tag(name, tag).await?,
            Reference::Tag(_) => return Err(unknown()),
            Reference::Digest(digest) => *digest,
        };
        let mut found = None;
        for _ in 0..DEPTH {
            if !self.has_revision(name, &digest).await? {
                return match reference {
                    Reference::Digest(asked) if *asked == digest => Err(unknown()),
                    _ => Ok(Err(Flaw::ManifestUnlinked { digest }.into())),
                };
            }
            let view = match self.view_of(&digest).await? {
                Ok((_, view)) => view,
                Err(why) => return Ok(Err(why)),
            };
            if view.children().next().is_none() {
                return Ok(Ok(self.parts_of(name, digest, found, view).await?));
            }
            let Some(child) = chosen(&view, platform) else {
                return Ok(Err(Flaw::NoPlatform { digest }.into()));
            };
            found = child.platform.as_ref().and_then(Platform::name);
            digest = child.digest;
        }
        Ok(Err(Flaw::TooDeep.into()))
    }

    async fn parts_of(
        &self,
        name: &RepoName,
        digest: Digest,
        platform: Option<String>,
        view: ManifestView,
    ) -> Result<ImageParts> {
        let mut layers = view.layers;
        layers.truncate(LAYERS);
        let config = match &view.config {
            // What cannot be read of it is left out here: the screen of the image says why.
            Some(config) => self.tree.configs.read(name, &config.digest).await?.ok(),
            None => None,
        };
        let numbers = steps(config.as_ref(), layers.len());
        let history = config.as_ref().map_or(&[][..], |config| &config.history);
        let command = |number: usize| history.get(number)?.created_by.clone();
        Ok(ImageParts {
            digest,
            platform,
            made_by: numbers
                .into_iter()
                .map(|number| command(number).unwrap_or_default())
                .collect(),
            created: config.and_then(|config| config.created),
            config: view.config,
            layers,
        })
    }

    /// The configuration `digest` of `name` as a whole, or why it cannot be told, in words.
    ///
    /// # Errors
    ///
    /// Errors of the store; [`Error::Exhausted`](crate::Error::Exhausted) when too many large ones are being read.
    pub async fn config_document(&self, name: &RepoName, digest: &Digest) -> Result<Result<Value, Sentence>> {
        self.tree.configs.document(name, digest).await
    }
}

/// The child of an index for `platform`, or for the usual one. Attestations are for none.
fn chosen<'a>(index: &'a ManifestView, platform: Option<&str>) -> Option<&'a Descriptor> {
    let name = |child: &Descriptor| child.platform.as_ref().and_then(Platform::name);
    let of = |wanted: &str| {
        index
            .children()
            .find(|child| name(child).as_deref() == Some(wanted))
    };
    match platform {
        Some(wanted) => of(wanted),
        None => of(USUAL)
            .or_else(|| index.children().find(|child| name(child).is_some()))
            .or_else(|| index.children().next()),
    }
}
