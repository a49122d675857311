//! What a probe found, what it means, and what to do about it.

use std::fmt;

use super::{
    super::{
        super::store::{Abilities, Cas},
        clock::shown,
        policy,
    },
    tries::Operation,
};
use crate::Obstacle;

/// What a probe of a bucket found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What the store is known to honour
    pub abilities: Abilities,
    /// What the policy of the bucket does not allow
    pub missing: Vec<Operation>,
    /// Why no second process may use the bucket
    pub breaks: Vec<Break>,
    /// What an operator must know, each in a sentence with the remedy
    pub findings: Vec<Finding>,
}

/// How a registry works on a store, by what the store honours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Any number of processes; of two writers of one thing, one is told at once
    Replicas,
    /// Any number of processes; of two writers of one thing, one is told late
    LateConflicts,
    /// One process
    Alone,
}

/// Something that a store does against all that several processes rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// It completes a multipart upload with another part than the one that is named
    WrongPart,
    /// It obeys a signed URL after its time
    ExpiredUrl,
    /// A read or a list misses what was written, or has what was removed
    Stale,
    /// Lists are not sorted by the bytes of keys
    Unsorted,
}

/// A sentence for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is
    pub severity: Severity,
    /// The sentence, without a full stop
    pub text: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Worth to be known
    Note,
    /// Something does not work as well as it could
    Warning,
    /// Something does not work
    Error,
}

impl Report {
    /// How a registry works on this store.
    pub fn mode(&self) -> Mode {
        if !self.breaks.is_empty() {
            Mode::Alone
        } else if self.abilities.creates && self.abilities.cas != Cas::None {
            Mode::Replicas
        } else {
            Mode::LateConflicts
        }
    }

    /// Whether a signed URL was refused, and not only could not be tried.
    pub fn refuses_signed_urls(&self) -> bool {
        self.missing.is_empty() && !self.abilities.signs
    }

    /// Why no second process may use the bucket, in a few words; empty where any number may.
    pub fn reasons(&self) -> String {
        let reasons: Vec<&str> = self.breaks.iter().map(|broken| broken.text()).collect();
        reasons.join(", and ")
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Replicas => "any number of replicas; conflicts are told at once",
            Self::LateConflicts => "any number of replicas; conflicts are told late",
            Self::Alone => "one replica",
        })
    }
}

impl Break {
    fn text(self) -> &'static str {
        match self {
            Self::WrongPart => "it completes a multipart upload with a part that was not named",
            Self::ExpiredUrl => "it obeys a signed DELETE after its time",
            Self::Stale => "it gives reads or lists that are older than the last write",
            Self::Unsorted => "it does not sort its lists by key",
        }
    }
}

impl Finding {
    pub(super) fn warning(text: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            text: text.into(),
        }
    }

    fn note(text: &str) -> Self {
        Self {
            severity: Severity::Note,
            text: text.to_owned(),
        }
    }
}

impl Operation {
    /// Name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::List => "ListObjectsV2",
            Self::Get => "GetObject",
            Self::Put => "PutObject",
            Self::Delete => "DeleteObject",
            Self::CreateMultipart => "CreateMultipartUpload",
            Self::PutPart => "UploadPart",
            Self::CompleteMultipart => "CompleteMultipartUpload",
            Self::AbortMultipart => "AbortMultipartUpload",
            Self::ListMultiparts => "ListMultipartUploads",
            Self::Copy => "CopyObject",
            Self::CopyPart => "UploadPartCopy",
        }
    }

    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::List,
        Self::Get,
        Self::Put,
        Self::Delete,
        Self::CreateMultipart,
        Self::PutPart,
        Self::CompleteMultipart,
        Self::AbortMultipart,
        Self::ListMultiparts,
        Self::Copy,
        Self::CopyPart,
    ];

    /// What a policy must allow for it.
    fn actions(self) -> &'static [&'static str] {
        match self {
            Self::List => &["s3:ListBucket"],
            Self::Get => &["s3:GetObject"],
            Self::Put | Self::CreateMultipart | Self::PutPart | Self::CompleteMultipart => &["s3:PutObject"],
            Self::Delete => &["s3:DeleteObject"],
            Self::AbortMultipart => &["s3:AbortMultipartUpload"],
            Self::ListMultiparts => &["s3:ListBucketMultipartUploads"],
            Self::Copy | Self::CopyPart => &["s3:GetObject", "s3:PutObject"],
        }
    }

    /// Whether it is one on the bucket, and not on an object.
    fn is_of_bucket(self) -> bool {
        matches!(self, Self::List | Self::ListMultiparts)
    }

    /// What does not work without it.
    fn consequence(self) -> &'static str {
        match self {
            Self::List => "tags, repositories and garbage cannot be listed",
            Self::Get => "nothing can be pulled",
            Self::Put => "nothing can be pushed",
            Self::Delete => "nothing can be deleted or collected, and each push leaves an object behind",
            Self::CreateMultipart | Self::PutPart | Self::CompleteMultipart => {
                "blobs that are larger than one part cannot be pushed"
            }
            Self::AbortMultipart => "uploads that are given up go on to take space",
            Self::ListMultiparts => "abandoned multipart uploads are not found, and go on to take space",
            Self::Copy | Self::CopyPart => "blobs that are pushed in chunks cannot be finished",
        }
    }
}

/// Where a bucket is, for statements of its policy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) bucket: &'a str,
    pub(super) region: &'a str,
    /// Beginning of all keys, empty or with a slash at its end
    pub(super) root: &'a str,
}

/// Findings about the store itself.
pub(super) fn about_store(abilities: &Abilities, breaks: &[Break]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let ignored_conditions = match (abilities.creates, abilities.cas) {
        (true, Cas::Quoted | Cas::Unquoted) => None,
        (true, Cas::None) => Some("If-Match"),
        (false, Cas::Quoted | Cas::Unquoted) => Some("If-None-Match"),
        (false, Cas::None) => Some("If-None-Match and If-Match"),
    };
    if let Some(ignored) = ignored_conditions {
        findings.push(Finding::warning(format!(
            "this store ignores {ignored} (probed). Uploads stay safe; two clients on one upload are noticed late; the collector's \
             lease takes a minute"
        )));
    }
    if abilities.cas == Cas::Unquoted {
        findings.push(Finding::note(
            "this store refuses quoted ETags in If-Match (Ceph before #63348); sending unquoted ones",
        ));
    }
    if !abilities.signs {
        findings.push(Finding::warning(
            "this store refuses a signed URL: clients are not redirected, and blobs are sent by this server",
        ));
    }
    if !abilities.copies_parts {
        findings.push(Finding::warning(
            "this store does not copy into parts: large blobs that are pushed in chunks pass through this server again",
        ));
    }
    if !abilities.lists_multiparts {
        findings.push(Finding::warning(
            "this store does not list multipart uploads below a directory: what abandoned ones take is not found; add a lifecycle \
             rule with AbortIncompleteMultipartUpload after 7 days",
        ));
    }
    if let Some(skew) = abilities
        .skew
        .filter(|skew| skew.unsigned_abs() > Obstacle::LONGEST_SKEW)
    {
        findings.push(Finding::warning(format!(
            "the clock of this machine differs from the store's by {}; nothing is collected",
            shown(skew)
        )));
    }
    if breaks.contains(&Break::Unsorted) {
        findings.push(Finding {
            severity: Severity::Error,
            text: "this store does not sort its lists by key: lists of tags and repositories may miss some"
                .to_owned(),
        });
    }
    findings
}

/// What the policy does not allow, with the statement that does.
pub(super) fn about_policy(operation: Operation, answer: &str, place: Place<'_>) -> Finding {
    let arn = policy::bucket(place.bucket, place.region);
    let resource = match operation.is_of_bucket() {
        true => arn,
        false => format!("{arn}/{}*", place.root),
    };
    Finding {
        severity: Severity::Error,
        text: format!(
            "`storage.s3.bucket` \"{}\": these keys may not do {} (the store answers {answer}), so {}; allow it: {}",
            place.bucket,
            operation.name(),
            operation.consequence(),
            policy::statement(operation.actions(), &resource)
        ),
    }
}
