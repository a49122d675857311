//! Whether multipart uploads are complete with the parts that are named only, are listed, and take copies as parts.

use http::Method;

use super::{
    super::{
        answers::{self, Begun, Copied, Multiparts},
        requests::{Answer, encoded},
    },
    conditions::{WRONG, e_tag},
    contents::CONTENT,
    tries::{Operation, Tries, Try, unexpected},
};

/// Content of an object that is copied. Some stores keep smaller ones with their names, and copy those as a whole only.
const SOURCE: &[u8] = &[b'w'; 16 << 10];

/// What was found.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct MultipartUploads {
    /// `None`: that cannot be found out
    pub(super) checks_parts: Option<bool>,
    pub(super) copies_parts: bool,
    pub(super) lists_multiparts: bool,
}

impl MultipartUploads {
    /// `bucket` is the name of the bucket.
    pub(super) async fn probe(tries: &Tries, bucket: &str) -> Result<Self, String> {
        let mut found = Self::default();
        let key = tries.key("multipart");
        let Some(id) = begin(tries, &key).await? else {
            return Ok(found);
        };
        found.lists_multiparts = lists(tries, &id).await?;
        if let Some(part) = put_part(tries, &key, &id).await? {
            found.checks_parts = complete(tries, &key, &id, &part).await?;
        }
        tries.abort(&key, &id).await?;
        let source = tries.key("source");
        if tries.put(&source, SOURCE).await?.is_some() {
            let source = format!("{bucket}/{}", encoded(&source));
            copy(tries, &source).await?;
            found.copies_parts = copies_part(tries, &source).await?;
        }
        Ok(found)
    }
}

async fn begin(tries: &Tries, key: &str) -> Result<Option<String>, String> {
    let tried = Try {
        method: Method::POST,
        key,
        query: &[("uploads", "")],
        creates: true,
        ..Try::default()
    };
    let Some(answer) = tries.allowed(Operation::CreateMultipart, &tried).await? else {
        return Ok(None);
    };
    let begun: Result<Begun, _> = answers::read(&answer.body);
    let Ok(Begun { upload_id }) = begun else {
        return Err(unexpected(&tried, &answer));
    };
    tries.opened(key, &upload_id);
    Ok(Some(upload_id))
}

async fn lists(tries: &Tries, id: &str) -> Result<bool, String> {
    let prefix = tries.key("");
    let tried = Try {
        query: &[("prefix", &prefix), ("uploads", "")],
        ..Try::default()
    };
    let Some(answer) = tries.allowed(Operation::ListMultiparts, &tried).await? else {
        return Ok(false);
    };
    let listed: Multiparts = answers::read(&answer.body).unwrap_or_default();
    Ok(answer.status.is_success() && listed.uploads.iter().any(|upload| upload.upload_id == id))
}

async fn put_part(tries: &Tries, key: &str, id: &str) -> Result<Option<String>, String> {
    let tried = Try {
        method: Method::PUT,
        key,
        query: &[("partNumber", "1"), ("uploadId", id)],
        body: CONTENT.into(),
        ..Try::default()
    };
    let Some(answer) = tries.allowed(Operation::PutPart, &tried).await? else {
        return Ok(None);
    };
    match e_tag(&answer) {
        Some(part) if answer.status.is_success() => Ok(Some(part)),
        _ => Err(unexpected(&tried, &answer)),
    }
}

/// Completes with a part that there is not, and then with the one that there is. Whether the first was refused.
async fn complete(tries: &Tries, key: &str, id: &str, part: &str) -> Result<Option<bool>, String> {
    let Some(wrong) = try_to_complete(tries, key, id, WRONG).await? else {
        return Ok(None);
    };
    if is_done(&wrong) {
        return Ok(Some(false));
    }
    match try_to_complete(tries, key, id, part).await? {
        Some(right) if is_done(&right) => Ok(Some(true)),
        Some(right) => Err(format!(
            "a multipart upload cannot be completed: the store answers {} {}",
            right.status,
            right.refusal().code
        )),
        None => Ok(None),
    }
}

async fn try_to_complete(tries: &Tries, key: &str, id: &str, part: &str) -> Result<Option<Answer>, String> {
    let part = part.trim_matches('"');
    let body = format!(
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Part><ETag>&quot;{part}&quot;</ETag>\
         <PartNumber>1</PartNumber></Part></CompleteMultipartUpload>"
    );
    let tried = Try {
        method: Method::POST,
        key,
        query: &[("uploadId", id)],
        body: body.into(),
        ..Try::default()
    };
    // A store may answer a wrong part with any error, also with one of its own, so this is not repeated.
    let answer = tries.once(&tried).await?;
    let is_allowed = tries.note(Operation::CompleteMultipart, &answer);
    Ok(is_allowed.then_some(answer))
}

/// A completion or a copy may fail with status 200.
fn is_done(answer: &Answer) -> bool {
    let is_error = answer.body.windows(6).any(|at| at == b"<Error");
    answer.status.is_success() && !is_error
}

async fn copy(tries: &Tries, source: &str) -> Result<(), String> {
    let key = tries.key("copy");
    let tried = Try {
        method: Method::PUT,
        key: &key,
        header: Some(("x-amz-copy-source", source)),
        creates: true,
        ..Try::default()
    };
    match tries.allowed(Operation::Copy, &tried).await? {
        Some(answer) if !is_done(&answer) => Err(unexpected(&tried, &answer)),
        _ => Ok(()),
    }
}

async fn copies_part(tries: &Tries, source: &str) -> Result<bool, String> {
    let key = tries.key("parts");
    let Some(id) = begin(tries, &key).await? else {
        return Ok(false);
    };
    let tried = Try {
        method: Method::PUT,
        key: &key,
        query: &[("partNumber", "1"), ("uploadId", &id)],
        header: Some(("x-amz-copy-source", source)),
        ..Try::default()
    };
    let copied = tries.once(&tried).await?;
    let is_allowed = tries.note(Operation::CopyPart, &copied);
    let is_copied = copied.status.is_success() && answers::read::<Copied>(&copied.body).is_ok();
    tries.abort(&key, &id).await?;
    Ok(is_allowed && is_copied)
}
