//! The form of a request by `POST`.

use std::time::Duration;

use bytes::Bytes;
use http::header;
use hyper::body::Incoming;
use tokio::time;

use super::{refusal::Refusal, request::TokenRequest};
use crate::{call::Call, incoming};

/// The longest form, in bytes: a refresh token and a hundred scopes are far shorter.
const LIMIT: usize = 64 << 10;

/// What is charged for a form that does not announce its length.
const USUAL: usize = 8 << 10;

/// How long a form waits for room.
const PATIENCE: Duration = Duration::from_millis(500);

/// Reads a form, charged to the budget once its first byte has come.
pub(super) async fn read(call: Call<'_>, body: &mut Incoming) -> Result<TokenRequest, Refusal> {
    let media_type = call.header(&header::CONTENT_TYPE).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let text = "the body of a request for a token is a form, `application/x-www-form-urlencoded`";
        return Err(Refusal::bad("invalid_request", text));
    }
    let announced = call
        .header(&header::CONTENT_LENGTH)
        .and_then(|text| text.parse().ok());
    if announced.is_some_and(|length: usize| length > LIMIT) {
        return Err(Refusal::too_large(LIMIT));
    }
    let share = &call.app.services.budget.bodies;
    let usual = announced.unwrap_or(USUAL).max(1);
    let gather = async {
        let mut coming = next(call, body).await?;
        let mut charges = vec![call.context.room_for_body(share, usual, PATIENCE).await?];
        let mut form: Vec<u8> = Vec::new();
        while let Some(bytes) = coming {
            let length = form.len() + bytes.len();
            if length > LIMIT {
                return Err(Refusal::too_large(LIMIT));
            }
            if length > usual && charges.len() == 1 {
                charges.push(call.context.room_for_body(share, LIMIT - usual, PATIENCE).await?);
            }
            form.extend_from_slice(&bytes);
            coming = next(call, body).await?;
        }
        let text = std::str::from_utf8(&form);
        let text = text.map_err(|_| Refusal::bad("invalid_request", "the form is not UTF-8"))?;
        Ok(TokenRequest::read(text)?)
    };
    let gathered = time::timeout(call.context.limits().idle, gather).await;
    gathered.map_err(|_elapsed| Refusal::bad("invalid_request", "the form did not come in time"))?
}

/// The next bytes; `None` at the end.
async fn next(call: Call<'_>, body: &mut Incoming) -> Result<Option<Bytes>, Refusal> {
    let next = incoming::next(call.context, body).await;
    next.map_err(|_| Refusal::bad("invalid_request", "the form broke off"))
}
