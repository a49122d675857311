//! Every path that wharf reads or writes: registry:2's tree, and wharf's own files beside it.
//!
//! ```text
//! docker/registry/v2/
//! ├─ blobs/<alg>/<hex[0:2]>/<hex>/data                                bytes: layers, configs, manifests
//! └─ repositories/<name>/
//!    ├─ _layers/<alg>/<hex>/link                                      the repository may read the blob
//!    ├─ _manifests/revisions/<alg>/<hex>/link                         the repository may read the manifest
//!    ├─ _manifests/tags/<tag>/current/link                            what the tag points at
//!    ├─ _manifests/tags/<tag>/index/<alg>/<hex>/link                  every digest the tag ever had
//!    └─ _uploads/<id>/{data,startedat}                                bytes so far (file system engine)
//! wharf/                                                              wharf's own; losing it loses no image
//! ├─ access/{keys,robots,robots-used,sessions}                        keys that sign tokens, robot tokens, their last use, sessions of browsers; private
//! ├─ activity/<time>-<writer>-<n>.jsonl                               what accounts did: lines of the activity log
//! ├─ control.sock                                                     the way of the operator's commands to the server of a directory
//! ├─ lock                                                             the process that uses this store
//! ├─ events/<endpoint>/…                                              events that are still to be delivered
//! ├─ fsck                                                             how far a check of the blobs is
//! ├─ gc/{lease,sweep/<run>-<n>,doomed/…,pins/…}                            marks with which replicas and the collector agree on a bucket
//! ├─ leases/<worker>                                                  the replica whose worker works; losing it is harmless
//! ├─ probe/<id>/…                                                     what a start tries on a bucket, for seconds
//! ├─ pulls/<writer>                                                   how often images were pulled, and when last
//! ├─ quarantine/<alg>/<hex>[.<n>]                                     damaged bytes that were moved aside
//! ├─ replicas/<id>                                                    the processes that serve a bucket
//! ├─ scrub                                                            how far the scrub of the server is
//! ├─ staging/…                                                        files that are not renamed to their place yet
//! ├─ trash/<time>-<number>.json                                        the pointers that a deletion has removed, for its way back
//! └─ uploads/<name, `=` for `/`>/<id>/{state,data/…}                  uploads of the object engine
//! ```
//!
//! A link holds a digest as text, `sha256:<64 hex>`, without a newline. (Source: distribution,
//! `registry/storage/paths.go`.)
//!
//! What is pushed by SHA-512 lies under `blobs/sha512/`. registry:2 stores it under its SHA-256 instead, with the
//! SHA-256 in `_layers/sha512/<hex>/link`, and then its own collector deletes it, because the manifest names
//! the other digest. registry:2 reads both forms, and so does wharf, which writes the form that survives.

use bytes::Bytes;
use uuid::Uuid;
use wharf_oci::{Algorithm, Digest, DigestError, RepoName, UploadId};

use crate::key::{Key, KeyError, is_component};

const V2: &str = "docker/registry/v2";

/// Where manifests and tags, layers, and tags alone lie in a repository.
pub(crate) const MANIFESTS: &str = "_manifests/";
pub(crate) const LAYERS: &str = "_layers/";
pub(crate) const TAGS: &str = "_manifests/tags/";

/// Where the link of a tag lies in its directory.
pub(crate) const TAG_LINK: &str = "current/link";

/// The longest name that a repository has had in any registry. A deeper directory is no repository, or a loop of links.
pub const LONGEST_NAME: usize = 255;
/// Where the keys of tokens lie, and the robot tokens.
const ACCESS: &str = "wharf/access";
/// The socket through which the operator reaches the server of a directory.
pub const CONTROL_SOCKET: &str = "wharf/control.sock";

/// Where the marks lie with which replicas and the collector agree.
const GC: &str = "wharf/gc";

/// The most bytes that a link can have and still hold a digest.
pub const LINK_LIMIT: u64 = 1024;

/// The bytes of a blob, layer, config or manifest alike.
pub fn blob(digest: &Digest) -> Key {
    let (algorithm, hex) = (digest.algorithm(), digest.hex());
    Key::from_safe(format!(
        "{V2}/blobs/{algorithm}/{}/{hex}/data",
        &hex.as_str()[..2]
    ))
}

/// The digest of the blob whose bytes lie at `key`; `None` for a key that is not that of a blob.
pub fn blob_at(key: &Key) -> Option<Digest> {
    let path = key.as_str().strip_prefix(V2)?.strip_prefix("/blobs/")?;
    let (algorithm, path) = path.split_once('/')?;
    let digest = format!("{algorithm}:{}", path.split('/').nth(1)?).parse().ok()?;
    (blob(&digest) == *key).then_some(digest)
}

/// The directory of all blobs.
pub fn blobs() -> Key {
    Key::from_safe(format!("{V2}/blobs"))
}

/// The directory of all repositories.
pub fn repositories() -> Key {
    Key::from_safe(format!("{V2}/repositories"))
}

/// A repository in the tree: one with a valid name, or whatever directory stands in its place.
///
/// All paths of a repository are made from one of the two by the same functions.
pub trait InTree {
    /// The path below `repositories/`.
    fn path(&self) -> &str;
}

impl InTree for RepoName {
    fn path(&self) -> &str {
        self.as_str()
    }
}

/// A directory in the place of a repository, whatever its name: one whose name no request can have needs its blobs
/// as well.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Repository(Box<str>);

impl Repository {
    /// The directory `name` among all repositories, or in the repository `above`.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when no key can have that name.
    pub fn find(above: Option<&Self>, name: &str) -> Result<Self, KeyError> {
        if !is_component(name) {
            return Err(KeyError(name.to_owned()));
        }
        let path = above.map_or_else(|| name.to_owned(), |above| format!("{}/{name}", above.0));
        Ok(Self(path.into()))
    }
}

impl Repository {
    /// The directory at `path` among all repositories.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when no key can have that name, or when it is longer than any name of a repository.
    pub fn at(path: &str) -> Result<Self, KeyError> {
        if path.len() > LONGEST_NAME || !path.split('/').all(is_component) {
            return Err(KeyError(path.to_owned()));
        }
        Ok(Self(path.into()))
    }
}

impl InTree for Repository {
    fn path(&self) -> &str {
        &self.0
    }
}

impl From<&RepoName> for Repository {
    fn from(name: &RepoName) -> Self {
        Self(name.as_str().into())
    }
}

/// The directory of one repository; other repositories may lie below it.
pub fn repository(repository: &impl InTree) -> Key {
    Key::from_safe(format!("{V2}/repositories/{}", repository.path()))
}

/// The link that lets the repository read the blob `digest`.
pub fn layer_link(repository: &impl InTree, digest: &Digest) -> Key {
    link(repository, "_layers", digest)
}

/// The directory whose names are the algorithms, and below them the hex digits, of all layer links of a repository.
pub fn layers(repository: &impl InTree) -> Key {
    below(repository, "_layers")
}

/// The link that lets the repository read the manifest `digest`.
pub fn revision_link(repository: &impl InTree, digest: &Digest) -> Key {
    link(repository, "_manifests/revisions", digest)
}

/// The directory whose names are the algorithms, and below them the hex digits, of all manifests of a repository.
pub fn revisions(repository: &impl InTree) -> Key {
    below(repository, "_manifests/revisions")
}

/// The directory whose names are the hex digits of the manifests that are known by `algorithm`.
pub fn revisions_of(repository: &impl InTree, algorithm: Algorithm) -> Key {
    let path = repository.path();
    Key::from_safe(format!(
        "{V2}/repositories/{path}/_manifests/revisions/{algorithm}"
    ))
}

/// The directory of everything that is a manifest or a tag.
pub fn manifests(repository: &impl InTree) -> Key {
    below(repository, "_manifests")
}

/// The directory whose names are the tags of a repository.
pub fn tags(repository: &impl InTree) -> Key {
    below(repository, "_manifests/tags")
}

/// The directory of one tag, which holds its link and its history. Here and below, `tag` is a valid tag, or the name of
/// a directory in [`tags`].
pub fn tag(repository: &impl InTree, tag: &(impl AsRef<str> + ?Sized)) -> Key {
    let (path, tag) = (repository.path(), tag.as_ref());
    Key::from_safe(format!("{V2}/repositories/{path}/_manifests/tags/{tag}"))
}

/// The link of the manifest that a tag points at.
pub fn tag_link(repository: &impl InTree, tag: &(impl AsRef<str> + ?Sized)) -> Key {
    let (path, tag) = (repository.path(), tag.as_ref());
    Key::from_safe(format!(
        "{V2}/repositories/{path}/_manifests/tags/{tag}/current/link"
    ))
}

/// The path of [`tag_link`] below the directory of a tag, the same for each.
pub fn in_tag_link() -> Key {
    Key::from_safe(TAG_LINK.to_owned())
}

/// The path of the link below a directory that has a digest for its name, in [`revisions_of`] and elsewhere.
pub fn in_digest() -> Key {
    Key::from_safe("link".to_owned())
}

/// The directory whose names are the algorithms, and below them the hex digits, of all digests that a tag ever had.
pub fn tag_history(repository: &impl InTree, tag: &(impl AsRef<str> + ?Sized)) -> Key {
    let (path, tag) = (repository.path(), tag.as_ref());
    Key::from_safe(format!("{V2}/repositories/{path}/_manifests/tags/{tag}/index"))
}

/// The link that says that a tag once pointed at `digest`.
pub fn tag_history_link(repository: &impl InTree, tag: &(impl AsRef<str> + ?Sized), digest: &Digest) -> Key {
    let (path, tag) = (repository.path(), tag.as_ref());
    let (algorithm, hex) = (digest.algorithm(), digest.hex());
    Key::from_safe(format!(
        "{V2}/repositories/{path}/_manifests/tags/{tag}/index/{algorithm}/{hex}/link"
    ))
}

/// The path of [`tag_history_link`] below the directory of a tag, the same for each.
pub fn in_tag_history(digest: &Digest) -> Key {
    let (algorithm, hex) = (digest.algorithm(), digest.hex());
    Key::from_safe(format!("index/{algorithm}/{hex}/link"))
}

/// The directory of the uploads of a repository.
pub fn uploads(repository: &impl InTree) -> Key {
    below(repository, "_uploads")
}

fn below(repository: &impl InTree, kind: &str) -> Key {
    Key::from_safe(format!("{V2}/repositories/{}/{kind}", repository.path()))
}

fn link(repository: &impl InTree, kind: &str, digest: &Digest) -> Key {
    let path = repository.path();
    let (algorithm, hex) = (digest.algorithm(), digest.hex());
    Key::from_safe(format!("{V2}/repositories/{path}/{kind}/{algorithm}/{hex}/link"))
}

/// The directory of what is tried on a bucket, in a directory of its own for each trial.
pub(crate) fn probes() -> Key {
    Key::from_safe("wharf/probe".to_owned())
}

/// The directory whose names are the processes that serve a bucket.
pub(crate) fn replicas() -> Key {
    Key::from_safe("wharf/replicas".to_owned())
}

/// The presence of one process among [`replicas`].
pub(crate) fn replica(id: Uuid) -> Key {
    Key::from_safe(format!("wharf/replicas/{id}"))
}

/// The directory of the segments of the activity log.
pub fn activity() -> Key {
    Key::from_safe("wharf/activity".to_owned())
}

/// The directory whose names are the processes that count pulls, each with its counts.
pub fn pulls() -> Key {
    Key::from_safe("wharf/pulls".to_owned())
}

/// The pulls that the process `writer` has counted; `None`: the one process that has a directory to itself.
pub fn pulls_of(writer: Option<Uuid>) -> Key {
    Key::from_safe(match writer {
        Some(writer) => format!("wharf/pulls/{writer}"),
        None => "wharf/pulls/server".to_owned(),
    })
}

/// What was stored on each day.
pub fn growth() -> Key {
    Key::from_safe("wharf/growth".to_owned())
}

/// The directory of all uploads in the object engine.
pub(crate) fn object_uploads() -> Key {
    Key::from_safe("wharf/uploads".to_owned())
}

/// The directory of one upload in the object engine. No name of a repository contains `=`, so one
/// upload's directory never lies in that of another one.
pub(crate) fn object_upload(upload: &UploadKey) -> Key {
    let repository = upload.repository.as_str().replace('/', "=");
    Key::from_safe(format!("wharf/uploads/{repository}/{}", upload.id))
}

/// The state of the upload in `dir`, with the bytes that are in no part yet.
pub(crate) fn object_upload_state(dir: &Key) -> Key {
    Key::from_safe(format!("{dir}/state"))
}

/// What the parts of the upload in `dir` become at its end. Each multipart upload has a name of its own.
pub(crate) fn object_upload_data(dir: &Key, name: Uuid) -> Key {
    Key::from_safe(format!("{dir}/data/{name}"))
}

/// The directory of the upload that a key of the object engine belongs to.
pub(crate) fn object_upload_of(key: &Key) -> Option<Key> {
    let mut parts = key.as_str().strip_prefix("wharf/uploads/")?.split('/');
    let (repository, id) = (parts.next()?, parts.next()?);
    parts.next()?;
    Some(Key::from_safe(format!("wharf/uploads/{repository}/{id}")))
}

/// Where registry:2 keeps the bytes of the upload in `dir`: on a bucket, a multipart upload at this key.
pub(crate) fn registry_upload_data(dir: &Key) -> Key {
    Key::from_safe(format!("{dir}/data"))
}

/// The directory of the upload of registry:2 that a key belongs to, its repository, its identifier, and the rest of the key.
pub(crate) fn registry_upload_of(key: &Key) -> Option<(Key, Box<str>, Box<str>, &str)> {
    let path = key.as_str().strip_prefix(V2)?.strip_prefix("/repositories/")?;
    let (repository, rest) = path.split_once("/_uploads/")?;
    let (id, name) = rest.split_once('/')?;
    let dir = Key::from_safe(format!("{V2}/repositories/{repository}/_uploads/{id}"));
    Some((dir, repository.into(), id.into(), name))
}

/// The keys that sign the tokens of this registry.
pub fn token_keys() -> Key {
    Key::from_safe(format!("{ACCESS}/keys"))
}

/// The robot tokens.
pub fn robot_tokens() -> Key {
    Key::from_safe(format!("{ACCESS}/robots"))
}

/// When each robot token was used last.
pub fn robot_token_uses() -> Key {
    Key::from_safe(format!("{ACCESS}/robots-used"))
}

/// The sessions of browsers that are signed in.
pub fn sessions() -> Key {
    Key::from_safe(format!("{ACCESS}/sessions"))
}

/// Whether an object holds secrets: on a file system, its file is for its owner alone.
pub(crate) fn is_private(path: &str) -> bool {
    path.strip_prefix(ACCESS)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// How far a check by `wharf fsck` is.
pub fn check() -> Key {
    Key::from_safe("wharf/fsck".to_owned())
}

/// How far the scrub of the server is.
pub fn scrub() -> Key {
    Key::from_safe("wharf/scrub".to_owned())
}

/// Where damaged bytes of `digest` lie that were moved aside; the first are number 0.
pub fn quarantine(digest: &Digest, number: u32) -> Key {
    let (algorithm, hex) = (digest.algorithm(), digest.hex());
    Key::from_safe(match number {
        0 => format!("wharf/quarantine/{algorithm}/{hex}"),
        number => format!("wharf/quarantine/{algorithm}/{hex}.{number}"),
    })
}

/// The directory of the leases of workers.
pub fn worker_leases() -> Key {
    Key::from_safe("wharf/leases".to_owned())
}

/// The object that names the replica whose worker called `worker` works.
///
/// # Errors
///
/// [`KeyError`] when no key can have that name.
pub fn worker_lease(worker: &str) -> Result<Key, KeyError> {
    Key::new(format!("wharf/leases/{worker}"))
}

/// The directory of all that is wharf's own.
pub fn own() -> Key {
    Key::from_safe("wharf".to_owned())
}

/// The directory of the records of deletions.
pub fn trash() -> Key {
    Key::from_safe("wharf/trash".to_owned())
}

/// The record of the deletion `id`, which is the time of it and a number.
pub fn trash_record(id: &str) -> Key {
    Key::from_safe(format!("wharf/trash/{id}.json"))
}

/// The object that names the replica that collects.
pub fn collector_lease() -> Key {
    Key::from_safe(format!("{GC}/lease"))
}

/// The directory of the flags of all sweeps that may be under way.
pub fn sweep_flags() -> Key {
    Key::from_safe(format!("{GC}/sweep"))
}

/// The object that names what the sweep `number` of the run `run` of a collector removes, and is there as long.
pub fn sweep_flag(run: &Uuid, number: u64) -> Key {
    Key::from_safe(format!("{GC}/sweep/{run}-{number}"))
}

/// The run and the number of the sweep that a key below [`sweep_flags`] is the flag of; `None` for a key of another form.
pub fn sweep_of_flag(key: &Key) -> Option<(Uuid, u64)> {
    let name = key.as_str().strip_prefix(GC)?.strip_prefix("/sweep/")?;
    let (run, number) = name.rsplit_once('-')?;
    Some((run.parse().ok()?, number.parse().ok()?))
}

/// The directory of the marks of all digests that are doomed.
pub fn dooms() -> Key {
    Key::from_safe(format!("{GC}/doomed"))
}

/// The mark that says that the collector found no need of `digest`.
pub fn doom(digest: &Digest) -> Key {
    let (algorithm, hex) = (digest.algorithm(), digest.hex());
    Key::from_safe(format!("{GC}/doomed/{algorithm}/{hex}"))
}

/// The directory of all pins.
pub fn pins() -> Key {
    Key::from_safe(format!("{GC}/pins"))
}

/// The mark that says that a request of `process` relies on `digest`, which is doomed. The process numbers its pins.
pub fn pin(digest: &Digest, process: &Uuid, number: u64) -> Key {
    let (algorithm, hex) = (digest.algorithm(), digest.hex());
    Key::from_safe(format!("{GC}/pins/{algorithm}/{hex}/{process}-{number}"))
}

/// The digest that a key below [`dooms`] or [`pins`] is of; `None` for a key that is of neither form.
pub fn marked_digest(key: &Key) -> Option<Digest> {
    let mut parts = key.as_str().strip_prefix(GC)?.split('/').skip(2);
    format!("{}:{}", parts.next()?, parts.next()?).parse().ok()
}

/// How many values [`removal_rank`] has.
pub(crate) const REMOVAL_RANKS: u8 = 4;

/// In which order the objects of a tree must go where they cannot go at once, so that no pointer
/// outlives what it points to (I3): tags, their history, revisions, everything else.
pub(crate) fn removal_rank(path: &str) -> u8 {
    if path.contains("/_manifests/tags/") {
        u8::from(!path.ends_with("/current/link"))
    } else if path.contains("/_manifests/") {
        2
    } else {
        3
    }
}

/// One upload of one repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UploadKey {
    /// Repository that the blob is uploaded into.
    pub repository: RepoName,
    /// Identifier that the registry gave the upload.
    pub id: UploadId,
}

/// The repository that an object below [`repositories`] belongs to, and its path in it: the layout's own names begin with an
/// underscore, and those of repositories do not.
pub fn repository_of(path: &str) -> Option<(&str, &str)> {
    let slash = path.find("/_")?;
    (!path.starts_with('_')).then(|| (&path[..slash], &path[slash + 1..]))
}

/// The tag that an object of a repository belongs to, and its path in the directory of the tag.
pub(crate) fn tag_of(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix(TAGS)?.split_once('/')
}

/// Whether an object belongs to a tag: its history, or its link.
pub(crate) fn is_of_tag(path: &str) -> bool {
    path.contains("/_manifests/tags/")
}

/// The content of a link to `digest`.
pub fn link_content(digest: &Digest) -> Bytes {
    Bytes::from(digest.to_string())
}

/// The digest that a link holds. White space around it is ignored, because operators edit these files.
///
/// # Errors
///
/// [`DigestError`] when the content is no digest.
pub fn parse_link(content: &[u8]) -> Result<Digest, DigestError> {
    let text = std::str::from_utf8(content).unwrap_or("");
    text.trim().parse()
}
