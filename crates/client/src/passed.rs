//! The way of a request that is passed on: which proxies, and so which mirrors, it has come through (RFC 9110, section 7.6.3).

use http::HeaderValue;

tokio::task_local! {
    static VIA: HeaderValue;
}

/// Runs `requests` for a request that came through other proxies: with `via` as the header of that name, in place of the name of this
/// registry alone. A registry finds its own name there when mirrors lead in a circle.
pub async fn passing_on<F: Future>(via: Option<HeaderValue>, requests: F) -> F::Output {
    match via {
        Some(via) => VIA.scope(via, requests).await,
        None => requests.await,
    }
}

/// The header of requests of this task, if they are passed on.
pub(crate) fn via() -> Option<HeaderValue> {
    VIA.try_with(HeaderValue::clone).ok()
}
