//! Retention: which tags and manifests of a repository stay, by rules, and a reason for every tag.
//!
//! A [`Policy`] decides about the tags of one repository at a time; it is a plain value and reads nothing. What it lets go becomes a
//! [plan](crate::Plan) like any other deletion, with the same checks when it is applied, the same record in the trash, and the same
//! way back.
//!
//! - The push time of a tag is the time of its link: when the tag last came to point at its manifest. When an image was built does
//!   not matter.
//! - The first rule that selects a tag decides about it. The tag goes if nothing in that rule keeps it.
//! - Tags that clients make of the digest of a manifest, as cosign does, follow that manifest. They count nowhere.
//! - The last tag of a repository goes only by a rule that says `keep: 0`.
//! - One run takes a part of the tags of a repository at most, unless the rules say how many stay.

mod age;
mod decide;
mod words;

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use wharf_message::Sentence;
use wharf_oci::{ArtifactKind, Digest, RepoName, Tag};
use wharf_pattern::Pattern;

pub(crate) use self::decide::{Candidate, Decided, decide};
pub use self::{
    age::{AgeError, parse_age},
    words::{Rank, Reason, RetentionRefusal},
};

/// How much of the tags of a repository one run takes at most, in percent, if nothing else is said.
pub const DEFAULT_MOST: u8 = 50;

/// What stays in the repositories of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Rules, of which the first that selects a tag decides about it.
    pub rules: Vec<RetentionRule>,
    /// Tags that no rule takes.
    pub protected: Vec<Pattern>,
    /// How much of the tags of a repository one run takes at most, in percent; 100: all of them. Rules that say how many stay
    /// take as many as they say.
    pub most: u8,
    /// How long a tag that was moved keeps what it pointed at before from going as untagged.
    pub keep_history: Duration,
}

/// One rule of a [`Policy`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetentionRule {
    /// Repositories that it is about.
    pub repositories: Vec<Pattern>,
    /// Kinds of artifacts that it is about; all when there are none.
    pub kinds: Vec<ArtifactKind>,
    /// Tags that it is about; all when there are none.
    pub tags: Vec<Pattern>,
    /// Tags that it is not about.
    pub not_tags: Vec<Pattern>,
    /// How many tags stay of those that it is about: those that were pushed last. `None`: their number does not keep any.
    pub keep: Option<usize>,
    /// Tags that were pushed less long ago stay.
    pub older_than: Option<Duration>,
    /// Tags that were pulled, or pushed, less long ago stay.
    pub not_pulled: Option<Duration>,
    /// Manifests go that no tag reaches and that came into the repository so long ago. `None`: they stay.
    pub untagged: Option<Duration>,
}

/// When the images of a repository were pulled last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastPulls {
    /// Since when pulls are counted: what is not listed was not pulled since then.
    pub since: SystemTime,
    /// The last pull by each tag.
    pub tags: HashMap<Tag, SystemTime>,
    /// The last pull of each manifest.
    pub digests: HashMap<Digest, SystemTime>,
}

/// What retention decides about a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The tag.
    pub tag: Tag,
    /// Digest of the manifest at which it points.
    pub digest: Digest,
    /// What the manifest is.
    pub kind: ArtifactKind,
    /// When the tag was pushed.
    pub pushed: SystemTime,
    /// When the image was last pulled; `None`: it is not known, or never was.
    pub pulled: Option<SystemTime>,
    /// Whether the tag goes.
    pub goes: bool,
    /// Why: a clause without a subject.
    pub why: Sentence,
}

impl Policy {
    /// The rules about the repository `name`.
    pub fn rules_of<'a>(&'a self, name: &'a RepoName) -> impl Iterator<Item = &'a RetentionRule> {
        self.rules.iter().filter(|rule| rule.is_about(name))
    }

    /// How old untagged manifests of the repository `name` must be to go; `None`: they stay.
    pub fn untagged(&self, name: &RepoName) -> Option<Duration> {
        self.rules_of(name).find_map(|rule| rule.untagged)
    }

    /// Whether a rule asks when images were pulled.
    pub fn needs_pulls(&self) -> bool {
        self.rules.iter().any(|rule| rule.not_pulled.is_some())
    }
}

impl RetentionRule {
    fn is_about(&self, name: &RepoName) -> bool {
        let mut patterns = self.repositories.iter();
        patterns.any(|pattern| pattern.matches(name.as_str(), None))
    }

    /// Whether it says of any tag that it goes.
    pub fn takes_tags(&self) -> bool {
        self.keep.is_some() || self.older_than.is_some() || self.not_pulled.is_some()
    }

    fn selects(&self, candidate: &Candidate) -> bool {
        let is_named = |patterns: &[Pattern]| matching(patterns, &candidate.tag).is_some();
        // A tag that was made of a digest is about a manifest, maybe of another repository: only a rule about signatures takes it.
        let is_ours = match candidate.is_of_digest {
            true => self.kinds.contains(&ArtifactKind::Signature),
            false => self.kinds.is_empty() || self.kinds.contains(&candidate.kind),
        };
        self.takes_tags()
            && is_ours
            && (self.tags.is_empty() || is_named(&self.tags))
            && !is_named(&self.not_tags)
    }
}

/// Reads a pattern of tags: a name, a pattern, or a regular expression after `re:`.
///
/// # Errors
///
/// Why it is none, or matches no tag.
pub fn tag_pattern(text: &str) -> Result<Pattern, String> {
    let pattern = Pattern::parse_or_regex(text).map_err(|error| error.to_string())?;
    match pattern.matches_no_tag() {
        Some(error) => Err(format!("it matches no tag: {error}")),
        None => Ok(pattern),
    }
}

/// Reads a pattern of repositories: a name, a pattern, or a regular expression after `re:`.
///
/// # Errors
///
/// Why it is none, or matches no repository.
pub fn repository_pattern(text: &str) -> Result<Pattern, String> {
    let pattern = Pattern::parse_or_regex(text).map_err(|error| error.to_string())?;
    match pattern.matches_no_repository() {
        Some(error) => Err(format!("it matches no repository: {error}")),
        None => Ok(pattern),
    }
}

/// The first of `patterns` that matches `tag`.
fn matching<'a>(patterns: &'a [Pattern], tag: &Tag) -> Option<&'a Pattern> {
    patterns
        .iter()
        .find(|pattern| pattern.matches(tag.as_str(), None))
}

impl LastPulls {
    /// The last pull of an image by its tag, by its digest, or by that of a child.
    fn of(&self, candidate: &Candidate) -> Option<SystemTime> {
        let digests = candidate.below.iter().chain([&candidate.digest]);
        let by_digest = digests.filter_map(|digest| self.digests.get(digest)).max();
        self.tags.get(&candidate.tag).max(by_digest).copied()
    }
}
