//! The parameters of the queries of operations.

use super::{
    query::{Form, Parameter},
    users::LARGEST_PAGE,
};

pub(super) const NAME_OF_USER: Parameter = Parameter {
    name: "name",
    help: "name of the user",
    form: Form::Text,
    is_required: true,
};

pub(super) const TOKEN: Parameter = Parameter {
    name: "token",
    help: "name or identifier of the token",
    form: Form::Text,
    is_required: true,
};

pub(super) const SESSION: Parameter = Parameter {
    name: "session",
    help: "identifier of the session",
    form: Form::Text,
    is_required: true,
};

pub(super) const OF_ACCOUNT: Parameter = Parameter {
    name: "account",
    help: "the account, for `admin`; the caller's own if it is left out",
    form: Form::Text,
    is_required: false,
};

pub(super) const NAME_OF_REPOSITORY: Parameter = Parameter {
    name: "repository",
    help: "name of the repository",
    form: Form::Repository,
    is_required: true,
};

pub(super) const TAG: Parameter = Parameter {
    name: "tag",
    help: "the tag",
    form: Form::Tag,
    is_required: true,
};

pub(super) const DIGEST: Parameter = Parameter {
    name: "digest",
    help: "digest of a manifest, a layer or another blob",
    form: Form::Text,
    is_required: true,
};

pub(super) const ONE_REPOSITORY: Parameter = Parameter {
    name: "repository",
    help: "only this repository",
    form: Form::Repository,
    is_required: false,
};

pub(super) const DELETION: Parameter = Parameter {
    name: "deletion",
    help: "identifier of the deletion in the trash",
    form: Form::Text,
    is_required: true,
};

pub(super) const REPOSITORY: Parameter = Parameter {
    name: "repository",
    help: "only these repositories: a name, or a pattern such as `team/**`",
    form: Form::Text,
    is_required: false,
};

pub(super) const ACCOUNT: Parameter = Parameter {
    name: "account",
    help: "only this account; of a failed login, the name that was tried",
    form: Form::Text,
    is_required: false,
};

pub(super) const ACTION: Parameter = Parameter {
    name: "action",
    help: "only this action",
    form: Form::Action,
    is_required: false,
};

pub(super) const SINCE: Parameter = Parameter {
    name: "since",
    help: "only what happened since then",
    form: Form::Time,
    is_required: false,
};

pub(super) const UNTIL: Parameter = Parameter {
    name: "until",
    help: "only what happened before then",
    form: Form::Time,
    is_required: false,
};

pub(super) const CURSOR: Parameter = Parameter {
    name: "cursor",
    help: "`next` of the page before",
    form: Form::Text,
    is_required: false,
};

pub(super) const LIMIT: Parameter = Parameter {
    name: "limit",
    help: "number of entries on the page, 100 if it is left out",
    form: Form::UpTo(LARGEST_PAGE),
    is_required: false,
};

pub(super) const MATCH: Parameter = Parameter {
    name: "match",
    help: "only those with a name that matches: a name, a pattern such as `1.*`, or a regular expression after `re:`",
    form: Form::Text,
    is_required: false,
};

pub(super) const REFERENCE: Parameter = Parameter {
    name: "reference",
    help: "tag or digest",
    form: Form::Text,
    is_required: true,
};

pub(super) const FROM: Parameter = Parameter {
    name: "from",
    help: "tag or digest of the first image",
    form: Form::Text,
    is_required: true,
};

pub(super) const TO: Parameter = Parameter {
    name: "to",
    help: "tag or digest of the second image",
    form: Form::Text,
    is_required: true,
};

pub(super) const PLATFORM: Parameter = Parameter {
    name: "platform",
    help: "platform that is meant of an index, such as `linux/arm64/v8`; `linux/amd64` or the first one if it is left out",
    form: Form::Text,
    is_required: false,
};

pub(super) const LAYER: Parameter = Parameter {
    name: "layer",
    help: "number of the layer, counted from the lowest, 1",
    form: Form::UpTo(1000),
    is_required: true,
};

pub(super) const PATH: Parameter = Parameter {
    name: "path",
    help: "the directory; the root if it is left out",
    form: Form::Text,
    is_required: false,
};

pub(super) const TEXT_OF_PATHS: Parameter = Parameter {
    name: "match",
    help: "only files, at any depth, with this text in their paths below the directory, in upper or lower case",
    form: Form::Text,
    is_required: false,
};

pub(super) const TEXT: Parameter = Parameter {
    name: "q",
    help: "text to look for, in upper or lower case",
    form: Form::Text,
    is_required: true,
};

pub(super) const IN: Parameter = Parameter {
    name: "in",
    help: "where to look: some of `name`, `label`, `annotation` and `digest`, with commas between them; everywhere if it is left out",
    form: Form::Text,
    is_required: false,
};

pub(super) const SORT: Parameter = Parameter {
    name: "sort",
    help: "the order: `name` if it is left out; `-` is from the last one, or the newest one; `version` has `1.9` before `1.10`",
    form: Form::Order,
    is_required: false,
};

pub(super) const WITH: Parameter = Parameter {
    name: "with",
    help: "`attached` has what is attached to each image as well: signatures, SBOMs, attestations",
    form: Form::OneOf(&["attached"]),
    is_required: false,
};
