//! Whether the store honours `If-None-Match` and `If-Match`, also among several requests at once.

use futures_util::future::join_all;
use http::{Method, StatusCode, header::ETAG};

use super::{
    super::{super::store::Cas, requests::Answer, verdict::is_busy},
    tries::{Operation, Tries, Try, unexpected},
};

/// Requests at once, of which one may win.
const RIVALS: u8 = 8;

const CREATE: (&str, &str) = ("if-none-match", "*");
const IF_MATCH: &str = "if-match";

/// An entity tag that no object of a probe has.
pub(super) const WRONG: &str = "\"00000000000000000000000000000000\"";

/// The conditions of puts that a store honours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Conditions {
    pub(in super::super) creates: bool,
    pub(in super::super) cas: Cas,
}

/// How many requests won a race.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Race {
    One,
    Several,
    /// As when the store does not know the condition.
    None,
}

impl Conditions {
    /// None, which is what a store honours at least.
    pub(in super::super) const NONE: Self = Self {
        creates: false,
        cas: Cas::None,
    };

    /// Tries them by one request after the other.
    ///
    /// # Errors
    ///
    /// When the store does not answer.
    pub(in super::super) async fn ask(tries: &Tries) -> Result<Self, String> {
        let key = tries.key("conditions");
        let Some(put) = tries.put(&key, "conditions").await? else {
            return Ok(Self::NONE);
        };
        let second = put_if(tries, &key, CREATE, 0).await?;
        if second.status.is_success() {
            return Ok(Self::NONE);
        }
        let creates = is_refused(&second);
        let cas = match e_tag(&put) {
            Some(e_tag) => replaces(tries, &key, &e_tag).await?,
            None => Cas::None,
        };
        Ok(Self { creates, cas })
    }

    /// What of them holds among several requests at once, too. Some stores let the losers wait for seconds, so no client
    /// should wait for the end of this.
    ///
    /// # Errors
    ///
    /// When the store does not answer.
    pub(super) async fn race(self, tries: &Tries) -> Result<Self, String> {
        let key = tries.key("race");
        // A store that lets several win is not believed to let one win at another time.
        if self.creates && race(tries, &key, CREATE).await? == Race::Several {
            return Ok(Self::NONE);
        }
        let put = tries.put(&key, "race").await?;
        let cas = match put.as_ref().and_then(e_tag) {
            Some(e_tag) if self.cas != Cas::None => {
                match race(tries, &key, (IF_MATCH, &in_form(self.cas, &e_tag))).await? {
                    Race::One => self.cas,
                    Race::None => Cas::None,
                    Race::Several => return Ok(Self::NONE),
                }
            }
            _ => Cas::None,
        };
        Ok(Self { cas, ..self })
    }
}

/// The form of the entity tag that is compared rightly.
async fn replaces(tries: &Tries, key: &str, e_tag: &str) -> Result<Cas, String> {
    for form in [Cas::Quoted, Cas::Unquoted] {
        let wrong = put_if(tries, key, (IF_MATCH, &in_form(form, WRONG)), 0).await?;
        if !is_refused(&wrong) {
            return Ok(Cas::None);
        }
        let right = put_if(tries, key, (IF_MATCH, &in_form(form, e_tag)), 1).await?;
        if right.status.is_success() {
            return Ok(form);
        }
    }
    Ok(Cas::None)
}

async fn race(tries: &Tries, key: &str, condition: (&'static str, &str)) -> Result<Race, String> {
    let rivals = (0..RIVALS).map(|rival| put_if(tries, key, condition, rival + 2));
    let answers = join_all(rivals).await;
    let won = answers
        .iter()
        .filter(|answer| answer.as_ref().is_ok_and(|answer| answer.status.is_success()))
        .count();
    match won {
        0 => {
            // A store that is out of reach is no store without conditions.
            let answers: Result<Vec<Answer>, String> = answers.into_iter().collect();
            answers.map(|_| Race::None)
        }
        1 => Ok(Race::One),
        _ => Ok(Race::Several),
    }
}

/// Puts under a condition; each of the `rivals` puts another content.
async fn put_if(
    tries: &Tries,
    key: &str,
    condition: (&'static str, &str),
    rival: u8,
) -> Result<Answer, String> {
    let tried = Try {
        method: Method::PUT,
        key,
        header: Some(condition),
        body: format!("conditions {rival}").into(),
        creates: true,
        ..Try::default()
    };
    let answer = tries.once(&tried).await?;
    // Not repeated: an attempt that took effect makes the next one fail.
    if is_busy(answer.status) {
        return Err(unexpected(&tried, &answer));
    }
    tries.note(Operation::Put, &answer);
    Ok(answer)
}

fn in_form(form: Cas, e_tag: &str) -> String {
    match form {
        Cas::Unquoted => e_tag.trim_matches('"').to_owned(),
        Cas::Quoted | Cas::None => e_tag.to_owned(),
    }
}

pub(super) fn e_tag(answer: &Answer) -> Option<String> {
    answer.headers.get(ETAG)?.to_str().ok().map(str::to_owned)
}

fn is_refused(answer: &Answer) -> bool {
    answer.status == StatusCode::PRECONDITION_FAILED
}
